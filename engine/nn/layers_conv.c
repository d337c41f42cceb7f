/* Convolutions.  One of a row of numbers is one of an image with a height of 1. */
#include "nn/layers.h"

/* What a convolution's options come to. */
struct window {
	int64_t kernel[2], stride[2], padding[2], dilation[2];
	int64_t channels, filters, groups;
};

enum { PADDING_SAME = -1, PADDING_VALID = -2 };

static const char *const padding_words[] = { "same", "valid", NULL };

/* ---- What both check and declare alike --------------------------------------------------------------------------- */

/* Make numbers of "same" and "valid", and see whether the window fits.  AXES: 2, or 1 where the height is no axis. */
static bool window_fits(struct nn_builder *b, const struct nn_layer *l, struct window *w, int axes)
{
	const char *op = l->type->type.name;
	char in[TD_SHAPE_TEXT];

	td_shape_text(&l->in[0], in);
	if (w->channels % w->groups || w->filters % w->groups)
		return nn_refuse(b, l,
			"%s: groups %lld does not divide the %lld channels of the input %s from %s and the %lld "
			"out_channels",
			op, (long long)w->groups, (long long)w->channels, in, nn_source(b, l, 0),
			(long long)w->filters);
	for (int i = 2 - axes; i < 2; i++) {
		int64_t reach = (w->kernel[i] - 1) * w->dilation[i] + 1, size = l->in[0].dim[l->in[0].rank - 2 + i];

		if (w->padding[i] == PADDING_SAME && w->stride[i] != 1)
			return nn_refuse(b, l, "%s: padding \"same\" needs a stride of 1, not %lld; give numbers", op,
				(long long)w->stride[i]);
		if (w->padding[i] == PADDING_SAME && reach % 2 == 0)
			return nn_refuse(b, l,
				"%s: padding \"same\" would be one more on one side than on the other for a "
				"kernel_size of %lld; "
				"use an odd one",
				op, (long long)w->kernel[i]);
		if (w->padding[i] < 0)
			w->padding[i] = w->padding[i] == PADDING_SAME ? reach / 2 : 0;
		if (reach > size + 2 * w->padding[i])
			return nn_refuse(b, l,
				"%s: kernel_size %lld%s is larger than the padded input, %lld (%s from %s); use a "
				"kernel of at most "
				"%lld here, more padding, or less pooling before it",
				op, (long long)w->kernel[i], w->dilation[i] > 1 ? " with its dilation" : "",
				(long long)(size + 2 * w->padding[i]), in, nn_source(b, l, 0),
				(long long)((size + 2 * w->padding[i] - 1) / w->dilation[i] + 1));
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
	return (td_conv2d_attrs){ .stride = { w->stride[0], w->stride[1] },
		.padding = { w->padding[0], w->padding[1] },
		.dilation = { w->dilation[0], w->dilation[1] },
		.groups = w->groups };
}

/* Multiplications and additions for each output element. */
static double filter_flops(const struct nn_layer *l, const struct window *w)
{
	int64_t channels = w->channels / w->groups;

	return 2.0 * (double)td_shape_count(&l->out) * (double)channels * (double)w->kernel[0] * (double)w->kernel[1];
}

/* ---- conv2d: y[n,o] = b[o] + sum over c of the cross-correlation of x[n,c] and w[o,c] -------------------------- */

struct conv2d_options {
	int64_t in_channels, out_channels;
	int64_t kernel_size[2], stride[2], padding[2], dilation[2];
	int64_t groups;
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
		.names = padding_words,
		.doc = "Zeros added on each side; \"same\" keeps height and width, \"valid\" adds none." },
	{ NN_ROW(conv2d_options, dilation), .kind = OPT_PAIR, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = "Step from one of a filter's elements to the next." },
	{ NN_ROW(conv2d_options, groups), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_FEATURES_MOST,
		.doc = "Groups of channels that do not see each other; as many as there are channels is a depthwise "
		       "convolution." },
	NN_INIT_ROWS(conv2d_options) };

static struct window conv2d_window(const struct nn_layer *l)
{
	const struct conv2d_options *o = l->options;
	struct window w = { .channels = l->in[0].dim[1], .filters = o->out_channels, .groups = o->groups };

	for (int i = 0; i < 2; i++) {
		w.kernel[i] = o->kernel_size[i];
		w.stride[i] = o->stride[i];
		w.dilation[i] = o->dilation[i];
		w.padding[i] = o->padding[i] == PADDING_SAME ? (o->kernel_size[i] - 1) * o->dilation[i] / 2
							     : TD_MAX(o->padding[i], 0);
	}
	return w;
}

static bool conv2d_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct conv2d_options *o = l->options;
	struct window w = conv2d_window(l);
	char in[TD_SHAPE_TEXT];

	if (l->in[0].rank != 4)
		return nn_refuse(b, l,
			"conv2d takes images [N, C, H, W], but gets %s from %s; put it before \"flatten\" and "
			"\"linear\"",
			td_shape_text(&l->in[0], in), nn_source(b, l, 0));
	memcpy(w.padding, o->padding, sizeof w.padding);
	if (!nn_expect(b, l, 0, "in_channels", o->in_channels, w.channels) || !window_fits(b, l, &w, 2))
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

	return td_conv2d(p->c, x[0], l->param[0], l->param[1], &attrs);
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

	buf_printf(out, "nn.Conv2d(%lld, %lld, (%lld, %lld), stride=(%lld, %lld), padding=(%lld, %lld)",
		(long long)w.channels, (long long)w.filters, (long long)w.kernel[0], (long long)w.kernel[1],
		(long long)w.stride[0], (long long)w.stride[1], (long long)w.padding[0], (long long)w.padding[1]);
	if (w.dilation[0] > 1 || w.dilation[1] > 1)
		buf_printf(out, ", dilation=(%lld, %lld)", (long long)w.dilation[0], (long long)w.dilation[1]);
	if (w.groups > 1)
		buf_printf(out, ", groups=%lld", (long long)w.groups);
	buf_puts(out, o->bias ? ")" : ", bias=False)");
}

const struct nn_layer_type nn_conv2d = {
	NN_TYPE(conv2d, "2-d convolution of images [N, C, H, W], as torch.nn.Conv2d."),
	.build = conv2d_build,
	.forward = conv2d_forward,
	.flops = conv2d_flops,
	.torch = conv2d_torch,
};

/* ---- conv1d: the same along one axis ----------------------------------------------------------------------------- */

struct conv1d_options {
	int64_t in_channels, out_channels, kernel_size, stride, padding, dilation, groups;
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
		.names = padding_words,
		.doc = "Zeros added on each side; \"same\" keeps the length, \"valid\" adds none." },
	{ NN_ROW(conv1d_options, dilation), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = "Step from one of a filter's elements to the next." },
	{ NN_ROW(conv1d_options, groups), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_FEATURES_MOST,
		.doc = "Groups of channels that do not see each other." },
	NN_INIT_ROWS(conv1d_options) };

static struct window conv1d_window(const struct nn_layer *l)
{
	const struct conv1d_options *o = l->options;

	return (struct window){ .kernel = { 1, o->kernel_size },
		.stride = { 1, o->stride },
		.padding = { 0,
			o->padding == PADDING_SAME ? (o->kernel_size - 1) * o->dilation / 2 : TD_MAX(o->padding, 0) },
		.dilation = { 1, o->dilation },
		.channels = l->in[0].dim[1],
		.filters = o->out_channels,
		.groups = o->groups };
}

static bool conv1d_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct conv1d_options *o = l->options;
	struct window w = conv1d_window(l);
	char in[TD_SHAPE_TEXT];

	if (l->in[0].rank != 3)
		return nn_refuse(b, l,
			"conv1d takes [N, C, L], but gets %s from %s; after \"embedding\" put {\"type\": "
			"\"transpose\", \"dim0\": 1, "
			"\"dim1\": 2} before it",
			td_shape_text(&l->in[0], in), nn_source(b, l, 0));
	w.padding[1] = o->padding;
	if (!nn_expect(b, l, 0, "in_channels", o->in_channels, w.channels) || !window_fits(b, l, &w, 1))
		return false;
	td_shape weight = td_shape_make(TD_F32, 3, o->out_channels, w.channels / w.groups, o->kernel_size);
	return declare_filters(b, l, &w, &weight, o->bias, &o->init, &o->bias_init);
}

static td_value *conv1d_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	static const int64_t image[] = { TD_SIZE_OF(0), TD_SIZE_OF(1), 1, TD_SIZE_OF(2) },
			     row[] = { TD_SIZE_OF(0), TD_SIZE_OF(1), TD_SIZE_OF(3) };
	struct window w = conv1d_window(l);
	td_conv2d_attrs attrs = attrs_of(&w);
	td_value *y = td_conv2d(
		p->c, td_reshape(p->c, x[0], image, 4), td_reshape(p->c, l->param[0], image, 4), l->param[1], &attrs);

	return td_reshape(p->c, y, row, 3);
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

	buf_printf(out, "nn.Conv1d(%lld, %lld, %lld, stride=%lld, padding=%lld", (long long)w.channels,
		(long long)w.filters, (long long)w.kernel[1], (long long)w.stride[1], (long long)w.padding[1]);
	if (w.dilation[1] > 1)
		buf_printf(out, ", dilation=%lld", (long long)w.dilation[1]);
	if (w.groups > 1)
		buf_printf(out, ", groups=%lld", (long long)w.groups);
	buf_puts(out, o->bias ? ")" : ", bias=False)");
}

const struct nn_layer_type nn_conv1d = {
	NN_TYPE(conv1d, "1-d convolution of [N, C, L], as torch.nn.Conv1d."),
	.build = conv1d_build,
	.forward = conv1d_forward,
	.flops = conv1d_flops,
	.torch = conv1d_torch,
};
