/* Activations: one function of each element, and softmax, one of each row. */
#include "nn/layers.h"

#include <math.h>

/* ---- Those without options --------------------------------------------------------------------------------------- */

#define PLAIN(layer, function, module, text)                                                                           \
	static td_value *layer##_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)        \
	{                                                                                                              \
		(void)l;                                                                                               \
		return function(p->c, x[0]);                                                                           \
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

PLAIN(relu, td_relu, "ReLU", "max(x, 0)");
PLAIN(silu, td_silu, "SiLU", "x sigmoid(x), also called swish");
PLAIN(sigmoid, td_sigmoid, "Sigmoid", "1 / (1 + exp(-x))");
PLAIN(tanh, td_tanh, "Tanh", "The hyperbolic tangent");

/* ---- Those that are made of others ------------------------------------------------------------------------------- */

/* x / (1 + |x|) */
static td_value *softsign_of(td_ctx *c, td_value *x)
{
	return td_div(c, x, td_shift_by(c, td_abs(c, x), 1));
}

static td_value *mish_of(td_ctx *c, td_value *x)
{
	return td_mul(c, x, td_tanh(c, td_softplus(c, x)));
}

static td_value *log_sigmoid_of(td_ctx *c, td_value *x)
{
	return td_neg(c, td_softplus(c, td_neg(c, x)));
}

/* The gradient at 0 is relu's, 0. */
static td_value *relu6_of(td_ctx *c, td_value *x)
{
	return td_clamp(c, td_relu(c, x), 0, 6);
}

static td_value *hardsigmoid_of(td_ctx *c, td_value *x)
{
	return td_scale_by(c, relu6_of(c, td_shift_by(c, x, 3)), 1.0 / 6);
}

static td_value *hardswish_of(td_ctx *c, td_value *x)
{
	return td_mul(c, x, hardsigmoid_of(c, x));
}

/* Klambauer et al., "Self-normalizing neural networks", 2017: with these constants mean 0 and variance 1 stay. */
static td_value *selu_of(td_ctx *c, td_value *x)
{
	return td_scale_by(c, td_elu(c, x, 1.6732632423543772), 1.0507009873554805);
}

PLAIN(softsign, softsign_of, "Softsign", "x / (1 + |x|)");
PLAIN(mish, mish_of, "Mish", "x tanh(softplus(x))");
PLAIN(log_sigmoid, log_sigmoid_of, "LogSigmoid", "The logarithm of sigmoid");
PLAIN(relu6, relu6_of, "ReLU6", "min(max(x, 0), 6)");
PLAIN(hardsigmoid, hardsigmoid_of, "Hardsigmoid", "relu6(x + 3) / 6");
PLAIN(hardswish, hardswish_of, "Hardswish", "x hardsigmoid(x)");
PLAIN(selu, selu_of, "SELU", "elu with constants that keep mean and variance");

/* ---- leaky_relu: x where it is positive, else slope * x ---------------------------------------------------------- */

struct leaky_relu_options {
	double negative_slope;
};

static const struct opt leaky_relu_opts[] = { NN_FLOAT_ROW_OR(
	leaky_relu_options, negative_slope, 0, 1e6, "0.01", "0.3", "Factor of negative values.") };

static td_value *leaky_relu_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return td_leaky_relu(p->c, x[0], ((const struct leaky_relu_options *)l->options)->negative_slope);
}

static void leaky_relu_torch(const struct nn_layer *l, struct buf *out)
{
	char number[32];

	buf_printf(out, "nn.LeakyReLU(%s)",
		json_shortest(((const struct leaky_relu_options *)l->options)->negative_slope, number));
}

const struct nn_layer_type nn_leaky_relu = {
	.type = OPT_TYPE(leaky_relu, "x where it is positive, else a small part of it, as torch.nn.LeakyReLU."),
	.forward = leaky_relu_forward,
	.torch = leaky_relu_torch,
};

/* ---- softplus: log(1 + exp(beta x)) / beta, x itself where beta x is above the threshold ------------------------- */

#define SOFTPLUS_EXACT 20 /* from there on x itself, whether the threshold says so or not, up to 3e-9 */

struct softplus_options {
	double beta, threshold;
};

static const struct opt softplus_opts[] = {
	{ NN_ROW(softplus_options, beta), .kind = OPT_FLOAT, .value = "1", .low = 0, .above = true, .high = 1e6,
		.doc = "How sharp the bend is." },
	NN_FLOAT_ROW(softplus_options, threshold, 0, 1e6, "20", "Where beta x is above it the output is x."),
};

static td_value *softplus_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct softplus_options *o = l->options;
	td_value *scaled = o->beta == 1 ? x[0] : td_scale_by(p->c, x[0], o->beta), *y = td_softplus(p->c, scaled),
		 *over;

	if (o->beta != 1)
		y = td_scale_by(p->c, y, 1 / o->beta);
	if (o->threshold >= SOFTPLUS_EXACT || !y)
		return y;
	over = td_less(p->c, td_scale_by(p->c, td_ones_like(p->c, scaled), o->threshold), scaled);
	return td_where(p->c, over, x[0], y);
}

static void softplus_torch(const struct nn_layer *l, struct buf *out)
{
	const struct softplus_options *o = l->options;
	char number[32], threshold[32];

	if (o->beta == 1 && o->threshold == SOFTPLUS_EXACT)
		buf_puts(out, "nn.Softplus()");
	else
		buf_printf(out, "nn.Softplus(%s, threshold=%s)", json_shortest(o->beta, number),
			json_shortest(o->threshold, threshold));
}

const struct nn_layer_type nn_softplus = {
	.type = OPT_TYPE(softplus, "log(1 + exp(x)), as torch.nn.Softplus."),
	.forward = softplus_forward,
	.torch = softplus_torch,
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

	buf_printf(out, "nn.ELU(%s)", json_shortest(((const struct elu_options *)l->options)->alpha, number));
}

const struct nn_layer_type nn_elu = {
	.type = OPT_TYPE(elu, "x where it is positive, else alpha (exp(x) - 1), as torch.nn.ELU."),
	.forward = elu_forward,
	.torch = elu_torch,
};

/* ---- celu: x where it is positive, else alpha (exp(x / alpha) - 1) ----------------------------------------------- */

struct celu_options {
	double alpha;
};

static const struct opt celu_opts[] = { NN_FLOAT_ROW(
	celu_options, alpha, 1e-6, 1e6, "1", "What very negative values come to, with a minus.") };

/* As the sum of its two halves, so that what is positive comes out as it went in. */
static td_value *celu_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	double alpha = ((const struct celu_options *)l->options)->alpha;
	td_value *negative = td_clamp(p->c, x[0], -INFINITY, 0);

	negative = td_scale_by(p->c, td_elu(p->c, td_scale_by(p->c, negative, 1 / alpha), 1), alpha);
	return td_add(p->c, td_relu(p->c, x[0]), negative);
}

static void celu_torch(const struct nn_layer *l, struct buf *out)
{
	char number[32];

	buf_printf(out, "nn.CELU(%s)", json_shortest(((const struct celu_options *)l->options)->alpha, number));
}

const struct nn_layer_type nn_celu = {
	.type = OPT_TYPE(celu, "x where it is positive, else alpha (exp(x / alpha) - 1), as torch.nn.CELU."),
	.forward = celu_forward,
	.torch = celu_torch,
};

/* ---- hardtanh: x between two bounds ------------------------------------------------------------------------------ */

struct hardtanh_options {
	double min_val, max_val;
};

static const struct opt hardtanh_opts[] = { NN_FLOAT_ROW(
						    hardtanh_options, min_val, -1e30, 1e30, "-1", "The least value."),
	NN_FLOAT_ROW(hardtanh_options, max_val, -1e30, 1e30, "1", "The largest.") };

static bool hardtanh_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct hardtanh_options *o = l->options;

	return o->min_val < o->max_val ||
	       nn_refuse(b, l, "hardtanh: max_val %g must be larger than min_val %g", o->max_val, o->min_val);
}

static td_value *hardtanh_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct hardtanh_options *o = l->options;

	return td_clamp(p->c, x[0], o->min_val, o->max_val);
}

static void hardtanh_torch(const struct nn_layer *l, struct buf *out)
{
	const struct hardtanh_options *o = l->options;
	char low[32], high[32];

	buf_printf(out, "nn.Hardtanh(%s, %s)", json_shortest(o->min_val, low), json_shortest(o->max_val, high));
}

const struct nn_layer_type nn_hardtanh = {
	.type = OPT_TYPE(hardtanh, "x, but no less and no more than two bounds, as torch.nn.Hardtanh."),
	.build = hardtanh_build,
	.forward = hardtanh_forward,
	.torch = hardtanh_torch,
};

/* ---- threshold: x where it is above a bound, else a value -------------------------------------------------------- */

struct threshold_options {
	double threshold, value;
};

#define NUMBER_ROW(type, field, text)                                                                                  \
	{                                                                                                              \
		NN_ROW(type, field), .kind = OPT_FLOAT, .low = -1e30, .high = 1e30, .required = true, .doc = (text)    \
	}

static const struct opt threshold_opts[] = { NUMBER_ROW(threshold_options, threshold, "The bound."),
	NUMBER_ROW(threshold_options, value, "What stands for all that is not above it.") };

static td_value *threshold_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct threshold_options *o = l->options;
	td_value *bound = td_shift_by(p->c, td_zeros_like(p->c, x[0]), o->threshold);

	return td_masked_fill(p->c, x[0], td_less_equal(p->c, x[0], bound), o->value);
}

static void threshold_torch(const struct nn_layer *l, struct buf *out)
{
	const struct threshold_options *o = l->options;
	char bound[32], value[32];

	buf_printf(out, "nn.Threshold(%s, %s)", json_shortest(o->threshold, bound), json_shortest(o->value, value));
}

const struct nn_layer_type nn_threshold = {
	.type = OPT_TYPE(threshold, "x where it is above a bound, else a value, as torch.nn.Threshold."),
	.forward = threshold_forward,
	.torch = threshold_torch,
};

/* ---- prelu: x where it is positive, else a learnt slope * x ------------------------------------------------------ */

struct prelu_options {
	int64_t num_parameters;
	double init;
};

static const struct opt prelu_opts[] = { { NN_ROW(prelu_options, num_parameters), .kind = OPT_INT, .value = "1",
						 .low = 1, .high = NN_FEATURES_MOST,
						 .doc = "Slopes: one for all, or one for each channel, axis 1." },
	NN_FLOAT_ROW_OR(prelu_options, init, -1e6, 1e6, "0.25", "0", "Slopes at the start.") };

static float prelu_start(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i)
{
	(void)fans;
	(void)key;
	(void)i;
	return (float)((const struct prelu_options *)options)->init;
}

static const struct nn_init_type prelu_init = { .type = { .name = "prelu" }, .element = prelu_start };

static bool prelu_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct prelu_options *o = l->options;
	td_shape weight = { .dtype = TD_F32, .rank = 1, .dim = { o->num_parameters } };
	char in[TD_SHAPE_TEXT];

	if (o->num_parameters > 1 && (l->in[0].rank < 2 || l->in[0].dim[1] != o->num_parameters))
		return nn_refuse(b, l,
			"prelu: num_parameters %lld is neither 1 nor the channels of %s from %s; use 1%s",
			(long long)o->num_parameters, td_shape_text(&l->in[0], in), nn_source(b, l, 0),
			l->in[0].rank < 2 ? "" : ", or their number");
	return nn_declare(b, l, "weight", &weight, (struct nn_fans){ 1, 1 }, &prelu_init, o);
}

/* At 0 the gradient is the slope, as torch has it. */
static td_value *prelu_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	int64_t dims[TD_MAX_RANK] = { -1 };
	int n = TD_MAX(l->in[0].rank - 1, 1); /* [C, 1, 1] beside [N, C, H, W] */
	td_value *slope = l->param[0];

	for (int i = 1; i < n; i++)
		dims[i] = 1;
	if (n > 1)
		slope = td_reshape(p->c, slope, dims, n);
	return td_add(p->c, td_relu(p->c, x[0]), td_mul(p->c, td_clamp(p->c, x[0], -INFINITY, 0), slope));
}

static void prelu_torch(const struct nn_layer *l, struct buf *out)
{
	const struct prelu_options *o = l->options;
	char number[32];

	buf_printf(out, "nn.PReLU(%lld, init=%s)", (long long)o->num_parameters, json_shortest(o->init, number));
}

const struct nn_layer_type nn_prelu = {
	.type = OPT_TYPE(prelu, "x where it is positive, else x times a learnt slope, as torch.nn.PReLU."),
	.build = prelu_build,
	.forward = prelu_forward,
	.torch = prelu_torch,
};

/* ---- glu: the first half of an axis times the sigmoid of the second ---------------------------------------------- */

struct glu_options {
	int64_t dim;
};

static const struct opt glu_opts[] = { NN_AXIS_ROW(glu_options, dim, "-1", "The axis that is halved.") };

static int glu_axis(const struct nn_layer *l)
{
	return nn_axis(((const struct glu_options *)l->options)->dim, l->in[0].rank);
}

static bool glu_build(struct nn_builder *b, struct nn_layer *l)
{
	int axis = glu_axis(l);
	char in[TD_SHAPE_TEXT];

	if (axis < 1)
		return nn_refuse(b, l, "glu: %s from %s has no axis %lld behind the batch, axis 0",
			td_shape_text(&l->in[0], in), nn_source(b, l, 0),
			(long long)((const struct glu_options *)l->options)->dim);
	return l->in[0].dim[axis] % 2 == 0 ||
	       nn_refuse(b, l, "glu halves axis %d, but that of %s from %s has %lld elements; make them an even number",
		       axis, td_shape_text(&l->in[0], in), nn_source(b, l, 0), (long long)l->in[0].dim[axis]);
}

static td_value *glu_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	int axis = glu_axis(l);
	int64_t half = l->in[0].dim[axis] / 2;

	return td_mul(p->c, td_slice(p->c, x[0], axis, 0, half),
		td_sigmoid(p->c, td_slice(p->c, x[0], axis, half, TD_SIZE_END)));
}

static void glu_torch(const struct nn_layer *l, struct buf *out)
{
	buf_printf(out, "nn.GLU(dim=%d)", glu_axis(l));
}

const struct nn_layer_type nn_glu = {
	.type = OPT_TYPE(glu, "The first half of an axis times the sigmoid of the second, as torch.nn.GLU."),
	.build = glu_build,
	.forward = glu_forward,
	.torch = glu_torch,
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
	.type = OPT_TYPE(gelu, "x times the share of the normal distribution below x, as torch.nn.GELU."),
	.forward = gelu_forward,
	.torch = gelu_torch,
};

/* ---- softmax, softmin and log_softmax: exp(x), or exp(-x), with sum 1 along an axis ------------------------------ */

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

	if (l->type == &nn_log_softmax)
		return td_log_softmax(p->c, x[0], axis);
	return td_softmax(p->c, l->type == &nn_softmin ? td_neg(p->c, x[0]) : x[0], axis);
}

static double softmax_flops(const struct nn_layer *l)
{
	return 3.0 * (double)td_shape_count(&l->out);
}

static void softmax_torch(const struct nn_layer *l, struct buf *out)
{
	buf_printf(out, "nn.%s(dim=%d)",
		l->type == &nn_softmax   ? "Softmax"
		: l->type == &nn_softmin ? "Softmin"
					 : "LogSoftmax",
		softmax_axis(l));
}

#define SOFTMAX(layer, text)                                                                                           \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = OPT_TYPE_OF(layer, softmax_opts, softmax_options, text),                                       \
		.build = softmax_build,                                                                                \
		.forward = softmax_forward,                                                                            \
		.flops = softmax_flops,                                                                                \
		.torch = softmax_torch,                                                                                \
	}

SOFTMAX(softmax, "exp(x), scaled so that the sum along an axis is 1, as torch.nn.Softmax.");
SOFTMAX(softmin, "Softmax of -x, as torch.nn.Softmin.");
SOFTMAX(log_softmax, "The logarithm of softmax, as torch.nn.LogSoftmax.");
