/* Layers: one block each, options, what it declares for its input, and its forward pass as calls of ops.
 *
 * Options, defaults and weights' names and shapes are those of torch.nn.  Sizes of outputs are not computed here: the
 * ops' shape rules say them when the model is built.  A block checks only what deserves a better answer than an op can
 * give. */
#include "nn/nn.h"

#include <stdio.h>

#define SIZE_MOST 65536 /* kernel sizes, strides, paddings: an image side larger than this is not built here */

#define FEATURES_MOST 1e9

/* torch's reset_parameters: kaiming_uniform with a = sqrt(5), which is uniform within 1 / sqrt(fan in). */
#define TORCH_INIT "{\"type\":\"kaiming_uniform\",\"a\":2.23606797749979,\"mode\":\"fan_in\"}"

#define INIT_DOC "Initial weights; the default is torch's: kaiming_uniform with a = sqrt(5)."

static const struct nn_init_type *init_of(const struct opt_choice *choice)
{
	return (const struct nn_init_type *)choice->type;
}

/* ---- linear: y = x W^T + b ------------------------------------------------------------------------------------- */

struct linear_options {
	int64_t out_features;
	bool bias;
	struct opt_choice init;
};

static const struct opt linear_opts[] = {
	{ .name = "out_features",
		.kind = OPT_INT,
		.at = offsetof(struct linear_options, out_features),
		.low = 1,
		.high = FEATURES_MOST,
		.required = true,
		.doc = "Size of each output." },
	{ .name = "bias",
		.kind = OPT_BOOL,
		.at = offsetof(struct linear_options, bias),
		.value = "true",
		.doc = "Add a learnt bias." },
	{ .name = "init",
		.kind = OPT_CHOICE,
		.at = offsetof(struct linear_options, init),
		.value = TORCH_INIT,
		.family = &nn_inits,
		.doc = INIT_DOC },
};

static const char *const linear_inferred[] = { "in_features", NULL };

static bool linear_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct linear_options *o = l->options;
	char in[TD_SHAPE_TEXT];

	if (l->in.rank != 2)
		return nn_refuse(b, l,
			"linear takes a 2-d input [N, features], but gets %s from %s; put \"flatten\" before it",
			td_shape_text(&l->in, in), nn_source(b, l));
	int64_t features = l->in.dim[1];
	td_shape weight = td_shape_make(TD_F32, 2, o->out_features, features),
		 bias = td_shape_make(TD_F32, 1, o->out_features);
	struct nn_fans fans = { features, o->out_features };

	return nn_declare(b, l, "weight", &weight, fans, init_of(&o->init), o->init.options) &&
	       (!o->bias || nn_declare(b, l, "bias", &bias, fans, &nn_bias_uniform, NULL));
}

static td_value *linear_forward(td_ctx *c, const struct nn_layer *l, td_value *x, bool training)
{
	(void)training;
	return td_linear(c, x, l->param[0], l->param[1]);
}

static double linear_flops(const struct nn_layer *l)
{
	return 2.0 * (double)td_shape_count(&l->in) * (double)l->out.dim[1];
}

static const struct nn_layer_type linear = {
	.type = { .name = "linear",
		.doc = "y = x W^T + b on inputs [N, features], as torch.nn.Linear.",
		.options = linear_opts,
		.n_options = TD_COUNT(linear_opts),
		.n_bytes = sizeof(struct linear_options),
		.inferred = linear_inferred },
	.build = linear_build,
	.forward = linear_forward,
	.flops = linear_flops,
};

/* ---- Sliding windows: what convolution and pooling check alike ------------------------------------------------- */

static bool fits_window(
	struct nn_builder *b, const struct nn_layer *l, const int64_t kernel[2], const int64_t padding[2])
{
	char in[TD_SHAPE_TEXT];

	if (l->in.rank != 4)
		return nn_refuse(b, l,
			"%s takes images [N, C, H, W], but gets %s from %s; put it before \"flatten\" and \"linear\"",
			l->type->type.name, td_shape_text(&l->in, in), nn_source(b, l));
	for (int i = 0; i < 2; i++) {
		int64_t size = l->in.dim[2 + i] + 2 * padding[i];
		if (kernel[i] > size)
			return nn_refuse(b, l,
				"%s: kernel_size [%lld, %lld] is larger than the padded input [%lld, %lld] (%s from "
				"%s); "
				"use a kernel of at most %lld here, more padding, or less pooling before it",
				l->type->type.name, (long long)kernel[0], (long long)kernel[1],
				(long long)(l->in.dim[2] + 2 * padding[0]), (long long)(l->in.dim[3] + 2 * padding[1]),
				td_shape_text(&l->in, in), nn_source(b, l), (long long)size);
	}
	return true;
}

/* ---- conv2d: y[n,o] = b[o] + sum over c of the cross-correlation of x[n,c] and w[o,c] -------------------------- */

struct conv2d_options {
	int64_t out_channels;
	int64_t kernel_size[2], stride[2], padding[2];
	bool bias;
	struct opt_choice init;
};

static const struct opt conv2d_opts[] = {
	{ .name = "out_channels",
		.kind = OPT_INT,
		.at = offsetof(struct conv2d_options, out_channels),
		.low = 1,
		.high = FEATURES_MOST,
		.required = true,
		.doc = "Number of filters." },
	{ .name = "kernel_size",
		.kind = OPT_PAIR,
		.at = offsetof(struct conv2d_options, kernel_size),
		.low = 1,
		.high = SIZE_MOST,
		.required = true,
		.doc = "Height and width of the filters." },
	{ .name = "stride",
		.kind = OPT_PAIR,
		.at = offsetof(struct conv2d_options, stride),
		.value = "1",
		.low = 1,
		.high = SIZE_MOST,
		.doc = "Step from one window to the next." },
	{ .name = "padding",
		.kind = OPT_PAIR,
		.at = offsetof(struct conv2d_options, padding),
		.value = "0",
		.low = 0,
		.high = SIZE_MOST,
		.doc = "Zeros added on each side." },
	{ .name = "bias",
		.kind = OPT_BOOL,
		.at = offsetof(struct conv2d_options, bias),
		.value = "true",
		.doc = "Add a learnt bias." },
	{ .name = "init",
		.kind = OPT_CHOICE,
		.at = offsetof(struct conv2d_options, init),
		.value = TORCH_INIT,
		.family = &nn_inits,
		.doc = INIT_DOC },
};

static const char *const conv2d_inferred[] = { "in_channels", NULL };

static bool conv2d_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct conv2d_options *o = l->options;

	if (!fits_window(b, l, o->kernel_size, o->padding))
		return false;
	int64_t channels = l->in.dim[1], area = o->kernel_size[0] * o->kernel_size[1]; /* at most 2^32 */
	td_shape weight = td_shape_make(TD_F32, 4, o->out_channels, channels, o->kernel_size[0], o->kernel_size[1]);
	td_shape bias = td_shape_make(TD_F32, 1, o->out_channels);
	/* Beyond the limit the fans are not used: the declaration is refused. */
	struct nn_fans fans = { 1, 1 };

	if (channels <= NN_ELEMENTS_MOST / area && o->out_channels <= NN_ELEMENTS_MOST / area)
		fans = (struct nn_fans){ channels * area, o->out_channels * area };
	weight.order = TD_CHANNELS_LAST; /* the order in which the kernels read it */
	return nn_declare(b, l, "weight", &weight, fans, init_of(&o->init), o->init.options) &&
	       (!o->bias || nn_declare(b, l, "bias", &bias, fans, &nn_bias_uniform, NULL));
}

static td_value *conv2d_forward(td_ctx *c, const struct nn_layer *l, td_value *x, bool training)
{
	const struct conv2d_options *o = l->options;
	td_conv2d_attrs attrs = { .stride = { o->stride[0], o->stride[1] },
		.padding = { o->padding[0], o->padding[1] } };

	(void)training;
	return td_conv2d(c, x, l->param[0], l->param[1], &attrs);
}

static double conv2d_flops(const struct nn_layer *l)
{
	const struct conv2d_options *o = l->options;

	return 2.0 * (double)td_shape_count(&l->out) * (double)l->in.dim[1] *
	       (double)(o->kernel_size[0] * o->kernel_size[1]);
}

static const struct nn_layer_type conv2d = {
	.type = { .name = "conv2d",
		.doc = "2-d convolution of images [N, C, H, W], as torch.nn.Conv2d.",
		.options = conv2d_opts,
		.n_options = TD_COUNT(conv2d_opts),
		.n_bytes = sizeof(struct conv2d_options),
		.inferred = conv2d_inferred },
	.build = conv2d_build,
	.forward = conv2d_forward,
	.flops = conv2d_flops,
};

/* ---- max_pool2d: the largest value of each window -------------------------------------------------------------- */

struct max_pool2d_options {
	int64_t kernel_size[2], stride[2], padding[2]; /* stride 0: the kernel size */
};

static const struct opt max_pool2d_opts[] = {
	{ .name = "kernel_size",
		.kind = OPT_PAIR,
		.at = offsetof(struct max_pool2d_options, kernel_size),
		.low = 1,
		.high = SIZE_MOST,
		.required = true,
		.doc = "Height and width of the windows." },
	{ .name = "stride",
		.kind = OPT_PAIR,
		.at = offsetof(struct max_pool2d_options, stride),
		.low = 1,
		.high = SIZE_MOST,
		.like = "kernel_size",
		.doc = "Step from one window to the next; the kernel size where it is not given." },
	{ .name = "padding",
		.kind = OPT_PAIR,
		.at = offsetof(struct max_pool2d_options, padding),
		.value = "0",
		.low = 0,
		.high = SIZE_MOST,
		.doc = "Minus infinity added on each side; at most half of the kernel size." },
};

static bool max_pool2d_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct max_pool2d_options *o = l->options;

	for (int i = 0; i < 2; i++)
		if (o->padding[i] > o->kernel_size[i] / 2)
			return nn_refuse(b, l,
				"max_pool2d: padding %lld is more than half of kernel_size %lld; some windows would be "
				"empty",
				(long long)o->padding[i], (long long)o->kernel_size[i]);
	return fits_window(b, l, o->kernel_size, o->padding);
}

static td_value *max_pool2d_forward(td_ctx *c, const struct nn_layer *l, td_value *x, bool training)
{
	const struct max_pool2d_options *o = l->options;
	const int64_t *stride = o->stride[0] ? o->stride : o->kernel_size;
	td_pool2d_attrs attrs = { .kernel = { o->kernel_size[0], o->kernel_size[1] },
		.stride = { stride[0], stride[1] },
		.padding = { o->padding[0], o->padding[1] } };

	(void)training;
	return td_max_pool2d(c, x, &attrs);
}

static const struct nn_layer_type max_pool2d = {
	.type = { .name = "max_pool2d",
		.doc = "Largest value of each window, as torch.nn.MaxPool2d.",
		.options = max_pool2d_opts,
		.n_options = TD_COUNT(max_pool2d_opts),
		.n_bytes = sizeof(struct max_pool2d_options) },
	.build = max_pool2d_build,
	.forward = max_pool2d_forward,
};

/* ---- relu: max(x, 0) ------------------------------------------------------------------------------------------- */

static td_value *relu_forward(td_ctx *c, const struct nn_layer *l, td_value *x, bool training)
{
	(void)l;
	(void)training;
	return td_relu(c, x);
}

static const struct nn_layer_type relu = {
	.type = { .name = "relu", .doc = "max(x, 0), as torch.nn.ReLU." },
	.forward = relu_forward,
};

/* ---- flatten: [N, a, b, ...] becomes [N, a*b*...], in C, H, W order -------------------------------------------- */

static td_value *flatten_forward(td_ctx *c, const struct nn_layer *l, td_value *x, bool training)
{
	(void)l;
	(void)training;
	return td_flatten(c, x, 1);
}

static const struct nn_layer_type flatten = {
	.type = { .name = "flatten", .doc = "All axes but the first become one, as torch.nn.Flatten." },
	.forward = flatten_forward,
};

/* ---- dropout: zero with probability p while training, and scale the rest by 1/(1-p) ---------------------------- */

struct dropout_options {
	double p;
};

static const struct opt dropout_opts[] = {
	{ .name = "p",
		.kind = OPT_FLOAT,
		.at = offsetof(struct dropout_options, p),
		.value = "0.5",
		.low = 0,
		.high = 1,
		.below = true,
		.doc = "Probability that a value becomes zero." },
};

static td_value *dropout_forward(td_ctx *c, const struct nn_layer *l, td_value *x, bool training)
{
	const struct dropout_options *o = l->options;

	return training ? td_dropout(c, x, (float)o->p) : x;
}

static const struct nn_layer_type dropout = {
	.type = { .name = "dropout",
		.doc = "Zero values at random while training, as torch.nn.Dropout.",
		.options = dropout_opts,
		.n_options = TD_COUNT(dropout_opts),
		.n_bytes = sizeof(struct dropout_options) },
	.forward = dropout_forward,
};

/* ---- All of them ----------------------------------------------------------------------------------------------- */

static const struct opt_type *const types[] = { &linear.type, &conv2d.type, &max_pool2d.type, &relu.type, &flatten.type,
	&dropout.type };

const struct opt_family nn_layers = { .name = "layer", .types = types, .n_types = TD_COUNT(types) };
