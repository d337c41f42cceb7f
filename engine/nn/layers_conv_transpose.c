/* Transposed convolutions.  One of a row of numbers is one of an image with a height of 1. */
#include "nn/layers.h"

/* Options of both; that of rows is made one of images by window_of. */
struct conv_transpose2d_options {
	int64_t in_channels, out_channels;
	int64_t kernel_size[2], stride[2], padding[2], output_padding[2], dilation[2];
	int64_t groups;
	bool bias;
	struct opt_choice init, bias_init;
	int64_t padding_more[2]; /* no option: what window_of cuts off at the end besides */
};

struct conv_transpose1d_options {
	int64_t in_channels, out_channels, kernel_size, stride, padding, output_padding, dilation, groups;
	bool bias;
	struct opt_choice init, bias_init;
};

#define CHANNELS_DOC "Channels of the input; they follow from the layer before."
#define STEP_DOC     "Step in the output from one input to the next: how much larger it becomes."
#define PADDING_DOC                                                                                                    \
	"What is cut off on each side of the output; \"same\" cuts off or adds what makes it the input times the "     \
	"stride, \"valid\" cuts off nothing."
#define MORE_DOC   "What is added on one side of the output; less than the stride."
#define SPREAD_DOC "Step from one of a filter's elements to the next."
#define GROUPS_DOC "Groups of channels that do not see each other."

static const struct opt conv_transpose2d_opts[] = { NN_GIVEN_ROW(conv_transpose2d_options, in_channels, CHANNELS_DOC),
	NN_COUNT_ROW(conv_transpose2d_options, out_channels, "Number of filters."),
	{ NN_ROW(conv_transpose2d_options, kernel_size), .kind = OPT_PAIR, .low = 1, .high = NN_SIZE_MOST,
		.required = true, .doc = "Height and width of the filters." },
	{ NN_ROW(conv_transpose2d_options, stride), .kind = OPT_PAIR, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = STEP_DOC },
	{ NN_ROW(conv_transpose2d_options, padding), .kind = OPT_PAIR, .value = "0", .low = 0, .high = NN_SIZE_MOST,
		.names = nn_padding_words, .doc = PADDING_DOC },
	{ NN_ROW(conv_transpose2d_options, output_padding), .kind = OPT_PAIR, .value = "0", .low = 0,
		.high = NN_SIZE_MOST, .doc = MORE_DOC },
	{ NN_ROW(conv_transpose2d_options, dilation), .kind = OPT_PAIR, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = SPREAD_DOC },
	{ NN_ROW(conv_transpose2d_options, groups), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_FEATURES_MOST,
		.doc = GROUPS_DOC },
	NN_INIT_ROWS(conv_transpose2d_options) };

static const struct opt conv_transpose1d_opts[] = { NN_GIVEN_ROW(conv_transpose1d_options, in_channels, CHANNELS_DOC),
	NN_COUNT_ROW(conv_transpose1d_options, out_channels, "Number of filters."),
	{ NN_ROW(conv_transpose1d_options, kernel_size), .kind = OPT_INT, .low = 1, .high = NN_SIZE_MOST,
		.required = true, .doc = "Length of the filters." },
	{ NN_ROW(conv_transpose1d_options, stride), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = STEP_DOC },
	{ NN_ROW(conv_transpose1d_options, padding), .kind = OPT_INT_OR_WORD, .value = "0", .low = 0,
		.high = NN_SIZE_MOST, .names = nn_padding_words, .doc = PADDING_DOC },
	{ NN_ROW(conv_transpose1d_options, output_padding), .kind = OPT_INT, .value = "0", .low = 0,
		.high = NN_SIZE_MOST, .doc = MORE_DOC },
	{ NN_ROW(conv_transpose1d_options, dilation), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_SIZE_MOST,
		.doc = SPREAD_DOC },
	{ NN_ROW(conv_transpose1d_options, groups), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_FEATURES_MOST,
		.doc = GROUPS_DOC },
	NN_INIT_ROWS(conv_transpose1d_options) };

static bool is_row(const struct nn_layer *l)
{
	return l->type == &nn_conv_transpose1d;
}

static bool is_same(const struct conv_transpose2d_options *o)
{
	return o->padding[1] == NN_PADDING_SAME;
}

static struct conv_transpose2d_options given(const struct nn_layer *l)
{
	const struct conv_transpose1d_options *o = l->options;

	if (!is_row(l))
		return *(const struct conv_transpose2d_options *)l->options;
	return (struct conv_transpose2d_options){ .in_channels = o->in_channels,
		.out_channels = o->out_channels,
		.kernel_size = { 1, o->kernel_size },
		.stride = { 1, o->stride },
		.padding = { 0, o->padding },
		.output_padding = { 0, o->output_padding },
		.dilation = { 1, o->dilation },
		.groups = o->groups,
		.bias = o->bias,
		.init = o->init,
		.bias_init = o->bias_init };
}

/* With paddings in numbers.  "same" as tensorflow.nn.conv2d_transpose: what the filters reach beyond the stride is cut off
 * on both sides, the odd one at the end; what they do not reach is added there. */
static struct conv_transpose2d_options window_of(const struct nn_layer *l)
{
	struct conv_transpose2d_options o = given(l);
	bool same = is_same(&o);

	for (int i = 0; i < 2; i++) {
		int64_t beyond = same ? (o.kernel_size[i] - 1) * o.dilation[i] + 1 - o.stride[i] : 0;

		o.padding[i] = same ? TD_MAX(beyond, 0) / 2 : TD_MAX(o.padding[i], 0);
		o.padding_more[i] = TD_MAX(beyond, 0) % 2;
		o.output_padding[i] += TD_MAX(-beyond, 0);
	}
	return o;
}

static bool declare_filters(struct nn_builder *b, struct nn_layer *l, const struct conv_transpose2d_options *o)
{
	int64_t channels = l->in[0].dim[1], each = o->out_channels / o->groups,
		area = nn_product(o->kernel_size[0], o->kernel_size[1]);
	/* As torch counts: the axes of the weight, although it is the first that is read. */
	struct nn_fans fans = { nn_product(each, area), nn_product(channels, area) };
	td_shape weight = td_shape_make(TD_F32, 4, channels, each, o->kernel_size[0], o->kernel_size[1]),
		 bias = td_shape_make(TD_F32, 1, o->out_channels);

	weight.order = TD_CHANNELS_LAST; /* the order in which the kernels read it */
	if (is_row(l))
		weight = td_shape_make(TD_F32, 3, channels, each, o->kernel_size[1]);
	return nn_declare(b, l, "weight", &weight, fans, nn_init_of(&o->init), o->init.options) &&
	       (!o->bias || nn_declare(b, l, "bias", &bias, fans, nn_init_of(&o->bias_init), o->bias_init.options));
}

static bool conv_transpose_build(struct nn_builder *b, struct nn_layer *l)
{
	struct conv_transpose2d_options o = window_of(l), asked = given(l);
	const char *op = l->type->type.name;
	int axes = is_row(l) ? 1 : 2;
	char in[TD_SHAPE_TEXT];

	td_shape_text(&l->in[0], in);
	if (!nn_takes(b, l, 0, axes == 1 ? NN_ROWS : NN_IMAGES) ||
		!nn_expect(b, l, 0, "in_channels", o.in_channels, l->in[0].dim[1]))
		return false;
	if (l->in[0].dim[1] % o.groups || o.out_channels % o.groups)
		return nn_refuse(b, l,
			"%s: groups %lld does not divide the %lld channels of %s from %s and its %lld "
			"out_channels; take a divisor of both, or other out_channels",
			op, (long long)o.groups, (long long)l->in[0].dim[1], in, nn_source(b, l, 0),
			(long long)o.out_channels);
	if (is_same(&asked) && (asked.output_padding[0] || asked.output_padding[1]))
		return nn_refuse(b, l,
			"%s: with \"padding\": \"same\" the output is the input times the stride; leave output_padding "
			"out, or give padding in numbers",
			op);
	for (int i = 2 - axes; i < 2; i++) {
		int64_t whole = (l->in[0].dim[axes + i] - 1) * o.stride[i] + (o.kernel_size[i] - 1) * o.dilation[i] +
				o.output_padding[i] + 1;

		if (o.output_padding[i] >= o.stride[i])
			return nn_refuse(b, l,
				"%s: output_padding %lld must be less than the stride, %lld; leave it out, or use a "
				"larger stride",
				op, (long long)o.output_padding[i], (long long)o.stride[i]);
		if (whole <= 2 * o.padding[i] + o.padding_more[i])
			return nn_refuse(b, l,
				"%s: padding %lld on both sides leaves nothing of an output of %lld (%s from %s); use "
				"at most %lld",
				op, (long long)o.padding[i], (long long)whole, in, nn_source(b, l, 0),
				(long long)((whole - 1) / 2));
	}
	return declare_filters(b, l, &o);
}

static td_value *conv_transpose_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	struct conv_transpose2d_options o = window_of(l);
	td_conv2d_attrs attrs = { .stride = { o.stride[0], o.stride[1] },
		.padding = { o.padding[0], o.padding[1] },
		.padding_more = { o.padding_more[0], o.padding_more[1] },
		.dilation = { o.dilation[0], o.dilation[1] },
		.groups = o.groups };
	td_value *in = x[0], *weight = l->param[0], *y;

	if (is_row(l)) {
		in = nn_row_to_image(p->c, in);
		weight = nn_row_to_image(p->c, weight);
	}
	y = td_conv_transpose2d(p->c, in, weight, l->param[1], &attrs, o.output_padding);
	return is_row(l) ? nn_image_to_row(p->c, y) : y;
}

/* Every input meets every filter of its group. */
static double conv_transpose_flops(const struct nn_layer *l)
{
	struct conv_transpose2d_options o = window_of(l);
	int64_t filters = o.out_channels / o.groups;

	return 2.0 * (double)td_shape_count(&l->in[0]) * (double)filters * (double)o.kernel_size[0] *
	       (double)o.kernel_size[1];
}

/* ", NAME=(3, 3)", or of a row ", NAME=3", unless it is torch's default of OTHERWISE. */
static void put_pair(struct buf *out, const struct nn_layer *l, const char *name, const int64_t v[2], int64_t otherwise)
{
	if (is_row(l) && v[1] != otherwise)
		buf_printf(out, ", %s=%lld", name, (long long)v[1]);
	else if (!is_row(l) && (v[0] != otherwise || v[1] != otherwise))
		buf_printf(out, ", %s=(%lld, %lld)", name, (long long)v[0], (long long)v[1]);
}

static void conv_transpose_torch(const struct nn_layer *l, struct buf *out)
{
	struct conv_transpose2d_options o = window_of(l);

	buf_printf(out, "nn.ConvTranspose%s(%lld, %lld, ", is_row(l) ? "1d" : "2d", (long long)l->in[0].dim[1],
		(long long)o.out_channels);
	if (is_row(l))
		buf_printf(out, "%lld", (long long)o.kernel_size[1]);
	else
		buf_printf(out, "(%lld, %lld)", (long long)o.kernel_size[0], (long long)o.kernel_size[1]);
	put_pair(out, l, "stride", o.stride, 1);
	put_pair(out, l, "padding", o.padding, 0);
	put_pair(out, l, "output_padding", o.output_padding, 0);
	put_pair(out, l, "dilation", o.dilation, 1);
	if (o.groups > 1)
		buf_printf(out, ", groups=%lld", (long long)o.groups);
	buf_puts(out, o.bias ? ")" : ", bias=False)");
}

/* torch's modules cut off the same on both sides, so what is cut off at the end besides is no part of them. */
static void conv_transpose_call(
	const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	struct conv_transpose2d_options o = window_of(l);

	buf_printf(out, "%s(%s)", module, x[0]);
	if (o.padding_more[0] || o.padding_more[1])
		buf_printf(out, "[..., %s%s]",
			is_row(l)           ? ""
			: o.padding_more[0] ? ":-1, "
					    : ":, ",
			o.padding_more[1] ? ":-1" : ":");
}

#define CONV_TRANSPOSE(layer, text)                                                                                    \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = OPT_TYPE(layer, text),                                                                         \
		.build = conv_transpose_build,                                                                         \
		.forward = conv_transpose_forward,                                                                     \
		.flops = conv_transpose_flops,                                                                         \
		.torch = conv_transpose_torch,                                                                         \
		.call = conv_transpose_call,                                                                           \
	}

CONV_TRANSPOSE(conv_transpose2d, "2-d transposed convolution of images [N, C, H, W], as torch.nn.ConvTranspose2d.");
CONV_TRANSPOSE(conv_transpose1d, "1-d transposed convolution of [N, C, L], as torch.nn.ConvTranspose1d.");
