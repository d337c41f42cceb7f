/* Convolutions.  One of a row of numbers is one of an image with a height of 1. */
#include "nn/layers.h"

/* What a convolution's options come to. */
struct window {
	int64_t kernel[2], stride[2], dilation[2];
	int64_t padding[2], padding_end[2]; /* zeros at the top and left, at the bottom and right */
	bool same;                          /* the word: they follow from the sizes */
	int mode;                           /* enum padding_mode: what stands in place of the zeros */
	int64_t channels, filters, groups;
};

const char *const nn_padding_words[] = { "same", "valid", NULL };

enum padding_mode { PAD_ZEROS, PAD_REFLECT, PAD_REPLICATE, PAD_CIRCULAR };

static const char *const padding_modes[] = { "zeros", "reflect", "replicate", "circular", NULL };

#define PADDING_MODE_ROW(type)                                                                                         \
	{                                                                                                              \
		NN_ROW(type, padding_mode), .kind = OPT_ENUM, .value = "\"zeros\"", .names = padding_modes,            \
					    .doc = "What the padding is made of: zeros, the input mirrored at its "    \
						   "border, the border repeated, or the input's other end."            \
	}

/* ---- What both check and declare alike --------------------------------------------------------------------------- */

/* Make zeros of PADDING, numbers or a word, for an input of IMAGE; "same" as tensorflow.nn.conv2d, the odd zero last.
 */
static void window_pad(struct window *w, const int64_t padding[2], const int64_t image[2])
{
	w->same = padding[1] == NN_PADDING_SAME;
	for (int i = 0; i < 2; i++) {
		int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1;
		int64_t last = (image[i] + w->stride[i] - 1) / w->stride[i] * w->stride[i] - w->stride[i];
		int64_t all = w->same ? TD_MAX(last + reach - image[i], 0) : 2 * TD_MAX(padding[i], 0);

		w->padding[i] = all / 2;
		w->padding_end[i] = all - all / 2;
	}
}

/* Whether torch's modules have no word or number for the padding, whatever the sizes. */
static bool padded_apart(const struct window *w)
{
	for (int i = 0; i < 2 && w->mode == PAD_ZEROS; i++)
		if (w->same && (w->stride[i] > 1 || (w->kernel[i] - 1) * w->dilation[i] % 2))
			return true;
	return false;
}

/* See whether there is enough of the input to make the padding of. */
static bool padding_fits(struct nn_builder *b, const struct nn_layer *l, const struct window *w, int axes)
{
	char in[TD_SHAPE_TEXT];

	td_shape_text(&l->in[0], in);
	for (int i = 2 - axes; i < 2 && w->mode != PAD_ZEROS; i++) {
		int64_t size = l->in[0].dim[l->in[0].rank - 2 + i], most = w->mode == PAD_REFLECT ? size - 1 : size;

		if (w->same && w->stride[i] > 1)
			return nn_refuse(b, l,
				"%s: padding \"same\" with a stride of %lld has zeros alone; give the padding in "
				"numbers, or "
				"leave \"padding_mode\" out",
				l->type->type.name, (long long)w->stride[i]);
		if (w->mode != PAD_REPLICATE && w->padding_end[i] > most)
			return nn_refuse(b, l,
				"%s: a padding of %lld needs at least %lld of the input for \"padding_mode\": \"%s\", "
				"and %s "
				"from %s has %lld; use at most %lld",
				l->type->type.name, (long long)w->padding_end[i],
				(long long)w->padding_end[i] + (w->mode == PAD_REFLECT), padding_modes[w->mode], in,
				nn_source(b, l, 0), (long long)size, (long long)most);
	}
	return true;
}

/* See whether the window fits.  AXES: 2, or 1 where the height is no axis. */
static bool window_fits(struct nn_builder *b, const struct nn_layer *l, struct window *w, int axes)
{
	const char *op = l->type->type.name;
	char in[TD_SHAPE_TEXT];

	td_shape_text(&l->in[0], in);
	if (!padding_fits(b, l, w, axes))
		return false;
	if (w->channels % w->groups || w->filters % w->groups)
		return nn_refuse(b, l,
			"%s: groups %lld does not divide the %lld channels of %s from %s and its %lld "
			"out_channels; take a divisor of both, or other out_channels",
			op, (long long)w->groups, (long long)w->channels, in, nn_source(b, l, 0),
			(long long)w->filters);
	for (int i = 2 - axes; i < 2; i++) {
		int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1, size = l->in[0].dim[l->in[0].rank - 2 + i];
		int64_t padded = size + w->padding[i] + w->padding_end[i];

		if (reach > padded)
			return nn_refuse(b, l,
				"%s: kernel_size %lld%s is larger than the padded input, %lld (%s from %s); use a "
				"kernel of at most %lld here, more padding, or less pooling before it",
				op, (long long)w->kernel[i], w->dilation[i] > 1 ? " with its dilation" : "",
				(long long)padded, in, nn_source(b, l, 0),
				(long long)((padded - 1) / w->dilation[i] + 1));
	}
	return true;
}

static bool declare_filters(struct nn_builder *b, struct nn_layer *l, const struct window *w, const td_shape *weight,
	bool with_bias, const struct opt_choice *init, const struct opt_choice *bias_init)
{
	td_shape bias = td_shape_make(TD_F32, 1, w->filters);
	int64_t area = nn_product(w->kernel[0], w->kernel[1]);
	/* As torch counts: outputs of all groups, though one input reaches those of its own group only. */
	struct nn_fans fans = { nn_product(w->channels / w->groups, area), nn_product(w->filters, area) };

	return nn_declare(b, l, "weight", weight, fans, nn_init_of(init), init->options) &&
	       (!with_bias || nn_declare(b, l, "bias", &bias, fans, nn_init_of(bias_init), bias_init->options));
}

static td_conv2d_attrs attrs_of(const struct window *w)
{
	bool bare = w->same || w->mode != PAD_ZEROS;

	return (td_conv2d_attrs){ .stride = { w->stride[0], w->stride[1] },
		.padding = { bare ? 0 : w->padding[0], bare ? 0 : w->padding[1] },
		.same = w->same && w->mode == PAD_ZEROS,
		.dilation = { w->dilation[0], w->dilation[1] },
		.groups = w->groups };
}

/* X with its padding, where that is no zeros.  AXES: 2, or 1 where the height is no axis. */
static td_value *padded(td_ctx *c, td_value *x, const struct window *w, int axes)
{
	static const td_pad_mode modes[] = {
		[PAD_REFLECT] = TD_PAD_REFLECT, [PAD_REPLICATE] = TD_PAD_REPLICATE, [PAD_CIRCULAR] = TD_PAD_CIRCULAR
	};
	int64_t sides[4] = { w->padding[1], w->padding_end[1], w->padding[0], w->padding_end[0] };

	if (w->mode == PAD_ZEROS || !(sides[1] || sides[3]))
		return x;
	return td_pad(c, x, sides, axes, modes[w->mode], 0);
}

/* Multiplications and additions for each output element. */
static double filter_flops(const struct nn_layer *l, const struct window *w)
{
	int64_t channels = w->channels / w->groups;

	return 2.0 * (double)td_shape_count(&l->out) * (double)channels * (double)w->kernel[0] * (double)w->kernel[1];
}

static void put_mode(const struct window *w, struct buf *out)
{
	if (w->mode != PAD_ZEROS)
		buf_printf(out, ", padding_mode=\"%s\"", padding_modes[w->mode]);
}

/* ---- conv2d: y[n,o] = b[o] + sum over c of the cross-correlation of x[n,c] and w[o,c] -------------------------- */

struct conv2d_options {
	int64_t in_channels, out_channels;
	int64_t kernel_size[2], stride[2], padding[2], dilation[2];
	int64_t groups;
	int padding_mode;
	bool bias;
	struct opt_choice init, bias_init;
};

static const struct opt conv2d_opts[] = { NN_GIVEN_ROW(conv2d_options, in_channels,
						  "Channels of the input; they follow from the layer before."),
	NN_COUNT_ROW(conv2d_options, out_channels, "Number of filters."),
	{ NN_ROW(conv2d_options, kernel_size), .kind = OPT_PAIR, .low = 1, .high = NN_SIZE_MOST, .required = true,
		.doc = "Height and width of the filters." },
	{ NN_ROW(conv2d_options, stride), .kind = OPT_PAIR, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = "Step from one window to the next." },
	{ NN_ROW(conv2d_options, padding), .kind = OPT_PAIR, .value = "0", .low = 0, .high = NN_SIZE_MOST,
		.names = nn_padding_words,
		.doc = "Zeros added on each side; \"same\" adds what makes height and width those of the input divided "
		       "by the stride, \"valid\" none." },
	{ NN_ROW(conv2d_options, dilation), .kind = OPT_PAIR, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = "Step from one of a filter's elements to the next." },
	{ NN_ROW(conv2d_options, groups), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_FEATURES_MOST,
		.doc = "Groups of channels that do not see each other; as many as there are channels is a depthwise "
		       "convolution." },
	PADDING_MODE_ROW(conv2d_options), NN_INIT_ROWS(conv2d_options) };

static struct window conv2d_window(const struct nn_layer *l)
{
	const struct conv2d_options *o = l->options;
	struct window w = {
		.channels = l->in[0].dim[1], .filters = o->out_channels, .groups = o->groups, .mode = o->padding_mode
	};

	for (int i = 0; i < 2; i++) {
		w.kernel[i] = o->kernel_size[i];
		w.stride[i] = o->stride[i];
		w.dilation[i] = o->dilation[i];
	}
	window_pad(&w, o->padding, &l->in[0].dim[2]);
	return w;
}

static bool conv2d_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct conv2d_options *o = l->options;
	struct window w = conv2d_window(l);

	if (!nn_takes(b, l, 0, NN_IMAGES) || !nn_expect(b, l, 0, "in_channels", o->in_channels, w.channels) ||
		!window_fits(b, l, &w, 2))
		return false;
	td_shape weight =
		td_shape_make(TD_F32, 4, o->out_channels, w.channels / w.groups, o->kernel_size[0], o->kernel_size[1]);
	weight.order = TD_CHANNELS_LAST; /* the order in which the kernels read it */
	return declare_filters(b, l, &w, &weight, o->bias, &o->init, &o->bias_init);
}

static td_value *conv2d_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	struct window w = conv2d_window(l);
	td_conv2d_attrs attrs = attrs_of(&w);

	return td_conv2d(p->c, padded(p->c, x[0], &w, 2), l->param[0], l->param[1], &attrs);
}

static double conv2d_flops(const struct nn_layer *l)
{
	struct window w = conv2d_window(l);

	return filter_flops(l, &w);
}

static void conv2d_torch(const struct nn_layer *l, struct buf *out)
{
	const struct conv2d_options *o = l->options;
	struct window w = conv2d_window(l);

	bool apart = padded_apart(&w);

	buf_printf(out, "nn.Conv2d(%lld, %lld, (%lld, %lld), stride=(%lld, %lld), padding=", (long long)w.channels,
		(long long)w.filters, (long long)w.kernel[0], (long long)w.kernel[1], (long long)w.stride[0],
		(long long)w.stride[1]);
	if (w.same && w.mode != PAD_ZEROS)
		buf_puts(out, "\"same\"");
	else
		buf_printf(
			out, "(%lld, %lld)", apart ? 0 : (long long)w.padding[0], apart ? 0 : (long long)w.padding[1]);
	put_mode(&w, out);
	if (w.dilation[0] > 1 || w.dilation[1] > 1)
		buf_printf(out, ", dilation=(%lld, %lld)", (long long)w.dilation[0], (long long)w.dilation[1]);
	if (w.groups > 1)
		buf_printf(out, ", groups=%lld", (long long)w.groups);
	buf_puts(out, o->bias ? ")" : ", bias=False)");
}

static void conv2d_call(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	struct window w = conv2d_window(l);

	if (padded_apart(&w))
		buf_printf(out, "%s(nn.functional.pad(%s, (%lld, %lld, %lld, %lld)))", module, x[0],
			(long long)w.padding[1], (long long)w.padding_end[1], (long long)w.padding[0],
			(long long)w.padding_end[0]);
	else
		buf_printf(out, "%s(%s)", module, x[0]);
}

const struct nn_layer_type nn_conv2d = {
	.type = OPT_TYPE(conv2d, "2-d convolution of images [N, C, H, W], as torch.nn.Conv2d."),
	.build = conv2d_build,
	.forward = conv2d_forward,
	.flops = conv2d_flops,
	.torch = conv2d_torch,
	.call = conv2d_call,
};

/* ---- conv1d: the same along one axis ----------------------------------------------------------------------------- */

struct conv1d_options {
	int64_t in_channels, out_channels, kernel_size, stride, padding, dilation, groups;
	int padding_mode;
	bool bias;
	struct opt_choice init, bias_init;
};

static const struct opt conv1d_opts[] = { NN_GIVEN_ROW(conv1d_options, in_channels,
						  "Channels of the input; they follow from the layer before."),
	NN_COUNT_ROW(conv1d_options, out_channels, "Number of filters."),
	{ NN_ROW(conv1d_options, kernel_size), .kind = OPT_INT, .low = 1, .high = NN_SIZE_MOST, .required = true,
		.doc = "Length of the filters." },
	{ NN_ROW(conv1d_options, stride), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = "Step from one window to the next." },
	{ NN_ROW(conv1d_options, padding), .kind = OPT_INT_OR_WORD, .value = "0", .low = 0, .high = NN_SIZE_MOST,
		.names = nn_padding_words,
		.doc = "Zeros added on each side; \"same\" adds what makes the length that of the input divided by the "
		       "stride, \"valid\" none." },
	{ NN_ROW(conv1d_options, dilation), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = "Step from one of a filter's elements to the next." },
	{ NN_ROW(conv1d_options, groups), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_FEATURES_MOST,
		.doc = "Groups of channels that do not see each other." },
	PADDING_MODE_ROW(conv1d_options), NN_INIT_ROWS(conv1d_options) };

static struct window conv1d_window(const struct nn_layer *l)
{
	const struct conv1d_options *o = l->options;

	struct window w = { .kernel = { 1, o->kernel_size },
		.stride = { 1, o->stride },
		.dilation = { 1, o->dilation },
		.channels = l->in[0].dim[1],
		.filters = o->out_channels,
		.groups = o->groups,
		.mode = o->padding_mode };

	window_pad(&w, (int64_t[]){ 0, o->padding }, (int64_t[]){ 1, l->in[0].dim[2] });
	return w;
}

static bool conv1d_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct conv1d_options *o = l->options;
	struct window w = conv1d_window(l);

	if (!nn_takes(b, l, 0, NN_ROWS) || !nn_expect(b, l, 0, "in_channels", o->in_channels, w.channels) ||
		!window_fits(b, l, &w, 1))
		return false;
	td_shape weight = td_shape_make(TD_F32, 3, o->out_channels, w.channels / w.groups, o->kernel_size);
	return declare_filters(b, l, &w, &weight, o->bias, &o->init, &o->bias_init);
}

static td_value *conv1d_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	struct window w = conv1d_window(l);
	td_conv2d_attrs attrs = attrs_of(&w);
	td_value *image = nn_row_to_image(p->c, padded(p->c, x[0], &w, 1)),
		 *y = td_conv2d(p->c, image, nn_row_to_image(p->c, l->param[0]), l->param[1], &attrs);

	return nn_image_to_row(p->c, y);
}

static double conv1d_flops(const struct nn_layer *l)
{
	struct window w = conv1d_window(l);

	return filter_flops(l, &w);
}

static void conv1d_torch(const struct nn_layer *l, struct buf *out)
{
	const struct conv1d_options *o = l->options;
	struct window w = conv1d_window(l);

	buf_printf(out, "nn.Conv1d(%lld, %lld, %lld, stride=%lld, padding=", (long long)w.channels,
		(long long)w.filters, (long long)w.kernel[1], (long long)w.stride[1]);
	if (w.same && w.mode != PAD_ZEROS)
		buf_puts(out, "\"same\"");
	else
		buf_printf(out, "%lld", padded_apart(&w) ? 0 : (long long)w.padding[1]);
	put_mode(&w, out);
	if (w.dilation[1] > 1)
		buf_printf(out, ", dilation=%lld", (long long)w.dilation[1]);
	if (w.groups > 1)
		buf_printf(out, ", groups=%lld", (long long)w.groups);
	buf_puts(out, o->bias ? ")" : ", bias=False)");
}

static void conv1d_call(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	struct window w = conv1d_window(l);

	if (padded_apart(&w))
		buf_printf(out, "%s(nn.functional.pad(%s, (%lld, %lld)))", module, x[0], (long long)w.padding[1],
			(long long)w.padding_end[1]);
	else
		buf_printf(out, "%s(%s)", module, x[0]);
}

const struct nn_layer_type nn_conv1d = {
	.type = OPT_TYPE(conv1d, "1-d convolution of [N, C, L], as torch.nn.Conv1d."),
	.build = conv1d_build,
	.forward = conv1d_forward,
	.flops = conv1d_flops,
	.torch = conv1d_torch,
	.call = conv1d_call,
};
