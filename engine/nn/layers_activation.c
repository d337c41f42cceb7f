/* Activations: one function of each element, and softmax, one of each row. */
#include "nn/layers.h"

/* ---- Those without options --------------------------------------------------------------------------------------- */

#define PLAIN(layer, module, text)                                                                                     \
	static td_value *layer##_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)        \
	{                                                                                                              \
		(void)l;                                                                                               \
		return td_##layer(p->c, x[0]);                                                                         \
	}                                                                                                              \
	static void layer##_torch(const struct nn_layer *l, struct buf *out)                                           \
	{                                                                                                              \
		(void)l;                                                                                               \
		buf_puts(out, "nn." module "()");                                                                      \
	}                                                                                                              \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = { .name = #layer, .doc = text ", as torch.nn." module "." },                                   \
		.forward = layer##_forward,                                                                            \
		.torch = layer##_torch,                                                                                \
	}

PLAIN(relu, "ReLU", "max(x, 0)");
PLAIN(silu, "SiLU", "x sigmoid(x), also called swish");
PLAIN(sigmoid, "Sigmoid", "1 / (1 + exp(-x))");
PLAIN(tanh, "Tanh", "The hyperbolic tangent");
PLAIN(softplus, "Softplus", "log(1 + exp(x))");

/* ---- leaky_relu: x where it is positive, else slope * x ---------------------------------------------------------- */

struct leaky_relu_options {
	double negative_slope;
};

static const struct opt leaky_relu_opts[] = { NN_FLOAT_ROW(
	leaky_relu_options, negative_slope, 0, 1e6, "0.01", "Factor of negative values.") };

static td_value *leaky_relu_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return td_leaky_relu(p->c, x[0], ((const struct leaky_relu_options *)l->options)->negative_slope);
}

static void leaky_relu_torch(const struct nn_layer *l, struct buf *out)
{
	char number[32];

	buf_printf(out, "nn.LeakyReLU(%s)",
		nn_number(((const struct leaky_relu_options *)l->options)->negative_slope, number));
}

const struct nn_layer_type nn_leaky_relu = {
	NN_TYPE(leaky_relu, "x where it is positive, else a small part of it, as torch.nn.LeakyReLU."),
	.forward = leaky_relu_forward,
	.torch = leaky_relu_torch,
};

/* ---- elu: x where it is positive, else alpha (exp(x) - 1) -------------------------------------------------------- */

struct elu_options {
	double alpha;
};

static const struct opt elu_opts[] = { NN_FLOAT_ROW(
	elu_options, alpha, 0, 1e6, "1", "What very negative values come to, with a minus.") };

static td_value *elu_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return td_elu(p->c, x[0], ((const struct elu_options *)l->options)->alpha);
}

static void elu_torch(const struct nn_layer *l, struct buf *out)
{
	char number[32];

	buf_printf(out, "nn.ELU(%s)", nn_number(((const struct elu_options *)l->options)->alpha, number));
}

const struct nn_layer_type nn_elu = {
	NN_TYPE(elu, "x where it is positive, else alpha (exp(x) - 1), as torch.nn.ELU."),
	.forward = elu_forward,
	.torch = elu_torch,
};

/* ---- gelu: x times the normal distribution's share below x ------------------------------------------------------- */

struct gelu_options {
	int approximate; /* index into forms */
};

static const char *const forms[] = { "none", "tanh", NULL };

static const struct opt gelu_opts[] = { { NN_ROW(gelu_options, approximate), .kind = OPT_ENUM, .value = "\"none\"",
	.names = forms, .doc = "\"tanh\": by a formula that is a little cheaper." } };

static td_value *gelu_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return td_gelu(p->c, x[0], ((const struct gelu_options *)l->options)->approximate == 1);
}

static void gelu_torch(const struct nn_layer *l, struct buf *out)
{
	buf_printf(out, "nn.GELU(approximate=\"%s\")", forms[((const struct gelu_options *)l->options)->approximate]);
}

const struct nn_layer_type nn_gelu = {
	NN_TYPE(gelu, "x times the share of the normal distribution below x, as torch.nn.GELU."),
	.forward = gelu_forward,
	.torch = gelu_torch,
};

/* ---- softmax and log_softmax: exp(x) with sum 1 along an axis ---------------------------------------------------- */

struct softmax_options {
	int64_t dim;
};

static const struct opt softmax_opts[] = { NN_AXIS_ROW(
	softmax_options, dim, "-1", "The axis along which the sum is 1.") };

static int softmax_axis(const struct nn_layer *l)
{
	return nn_axis(((const struct softmax_options *)l->options)->dim, l->in[0].rank);
}

static bool softmax_build(struct nn_builder *b, struct nn_layer *l)
{
	char in[TD_SHAPE_TEXT];

	return softmax_axis(l) > 0 || nn_refuse(b, l, "%s: %s from %s has no axis %lld behind the batch, axis 0",
					      l->type->type.name, td_shape_text(&l->in[0], in), nn_source(b, l, 0),
					      (long long)((const struct softmax_options *)l->options)->dim);
}

static td_value *softmax_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	int axis = softmax_axis(l);

	return l->type == &nn_softmax ? td_softmax(p->c, x[0], axis) : td_log_softmax(p->c, x[0], axis);
}

static double softmax_flops(const struct nn_layer *l)
{
	return 3.0 * (double)td_shape_count(&l->out);
}

static void softmax_torch(const struct nn_layer *l, struct buf *out)
{
	buf_printf(out, "nn.%s(dim=%d)", l->type == &nn_softmax ? "Softmax" : "LogSoftmax", softmax_axis(l));
}

#define SOFTMAX(layer, text)                                                                                           \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = { .name = #layer,                                                                              \
			.doc = (text),                                                                                 \
			.options = softmax_opts,                                                                       \
			.n_options = TD_COUNT(softmax_opts),                                                           \
			.n_bytes = sizeof(struct softmax_options) },                                                   \
		.build = softmax_build,                                                                                \
		.forward = softmax_forward,                                                                            \
		.flops = softmax_flops,                                                                                \
		.torch = softmax_torch,                                                                                \
	}

SOFTMAX(softmax, "exp(x), scaled so that the sum along an axis is 1, as torch.nn.Softmax.");
SOFTMAX(log_softmax, "The logarithm of softmax, as torch.nn.LogSoftmax.");
