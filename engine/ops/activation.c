/* Activations: elementwise ops of one input, some with parameters.  A derivative that nothing simpler expresses is an
 * op of its own, NAME_slope, so that the first gradient takes one pass; its own gradient is made of ops. */
#include "ops/elementwise.h"

#include "td_ops.h"

#define NORMAL_TOP 0.39894228040143267794 /* 1 / sqrt(2 pi) */
/* Hendrycks and Gimpel, "Gaussian error linear units", 2016 */
#define TANH_SCALE 0.79788456080286535588 /* sqrt(2 / pi) */
#define TANH_CUBE  0.044715

/* ---- Shared by the family ---------------------------------------------------------------------------------------- */

typedef struct activation_attrs {
	double p[2]; /* what the kernels find at b */
} activation_attrs;

static const td_field activation_fields[] = { TD_FIELDS(activation_attrs, p), { 0 } };

static void run(const td_call *call, td_row_fn *fn)
{
	td_dtype d = call->out[0].shape->dtype;
	size_t size = td_dtype_size(d);
	const activation_attrs *a = call->attrs;
	float single[2] = { a ? (float)a->p[0] : 0, a ? (float)a->p[1] : 0 };
	int64_t strides[TD_MAX_RANK], still[TD_MAX_RANK] = { 0 };

	td_shape_strides(call->in[0].shape, strides);
	ops_rows_strided(call, fn, &call->out[0], call->in[0].data, strides,
		!a            ? NULL
		: d == TD_F64 ? (const void *)a->p
			      : (const void *)single,
		still, (size_t[]){ size, size, size });
}

/* NAME_infer and NAME_forward. */
#define FORWARD(name)                                                                                                  \
	static void name##_infer(td_infer *q)                                                                          \
	{                                                                                                              \
		if (ops_need_float(q, #name))                                                                          \
			ops_infer_same(q);                                                                             \
	}                                                                                                              \
	static void name##_forward(const td_call *call)                                                                \
	{                                                                                                              \
		run(call, TD_PICK(call->out[0].shape->dtype, k_##name));                                               \
	}

#define SAMPLES(name, ...)                                                                                             \
	APPLY_UNARY(name, ##__VA_ARGS__)                                                                               \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		s->apply = name##_apply;                                                                               \
		return elementwise_sample_unary(i, s, TD_FILL_NORMAL, FLOATS);                                         \
	}

/* What a record says of all that is shared; of an op with parameters, and of one without. */
#define PARAMETERS(name) PLAIN(name), .attrs_size = sizeof(activation_attrs), .fields = activation_fields
#define PLAIN(name)                                                                                                    \
	.n_in = 1, .n_out = 1, .inplace = 1, .infer = name##_infer, .forward = { name##_forward },                     \
	.sample = name##_sample

/* ---- scale_by: y = factor x */

static void scale_by_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_scale_by(c, dy[0], ((const activation_attrs *)n->attrs)->p[0]);
}

FORWARD(scale_by)
SAMPLES(scale_by, -1.75)
TD_OP(scale_by, PARAMETERS(scale_by), .backward = scale_by_backward)

TD_API td_value *td_scale_by(td_ctx *c, td_value *x, double factor)
{
	return x ? TD_APPLY(c, scale_by, (&(activation_attrs){ { factor, 0 } }), x) : NULL;
}

/* ---- shift_by: y = x + term */

static void shift_by_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	(void)c;
	(void)n;
	dx[0] = dy[0];
}

FORWARD(shift_by)
SAMPLES(shift_by, 0.5)
TD_OP(shift_by, PARAMETERS(shift_by), .backward = shift_by_backward)

TD_API td_value *td_shift_by(td_ctx *c, td_value *x, double term)
{
	return x ? TD_APPLY(c, shift_by, (&(activation_attrs){ { term, 0 } }), x) : NULL;
}

/* ---- pow_by: y = x^exponent, exactly 1 for an exponent of 0; dx = dy exponent x^(exponent - 1) */

static void pow_by_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	double exponent = ((const activation_attrs *)n->attrs)->p[0];

	dx[0] = td_mul(c, dy[0], td_scale_by(c, td_pow_by(c, n->in[0], exponent - 1), exponent));
}

static td_value *pow_by_apply_cube(td_ctx *c, td_value *const *in)
{
	return td_pow_by(c, in[0], 3);
}
static td_value *pow_by_apply_part(td_ctx *c, td_value *const *in)
{
	return td_pow_by(c, in[0], -1.75);
}

/* A part of a power of what is below 0 is NaN. */
static bool pow_by_sample(int i, td_sample *s)
{
	s->apply = i % 2 ? pow_by_apply_part : pow_by_apply_cube;
	if (!elementwise_sample_unary(i / 2, s, TD_FILL_NORMAL, FLOATS))
		return false;
	s->in[0].fill = i % 2 ? TD_FILL_POSITIVE : TD_FILL_NORMAL;
	return true;
}

FORWARD(pow_by)
TD_OP(pow_by, PARAMETERS(pow_by), .backward = pow_by_backward)

static td_value *whole_power(td_ctx *c, td_value *x, double exponent)
{
	char text[TD_SHAPE_TEXT];

	if (!(exponent >= 0 && exponent == floor(exponent) && exponent <= UINT8_MAX))
		return td_fail(c, TD_DTYPE,
			"pow_by takes %s to whole powers from 0 to %d, not to %g; cast it to float32 with td_cast",
			td_shape_text(&x->shape, text), UINT8_MAX, exponent);
	return td_pow(c, x, td_full_like(c, x, exponent));
}

/* x to a power that is the same number in every step (torch.pow); what has an op of its own is done by that. */
TD_API td_value *td_pow_by(td_ctx *c, td_value *x, double exponent)
{
	if (!x)
		return NULL;
	if (exponent == 0)
		return td_ones_like(c, x);
	if (exponent == 1)
		return x;
	if (exponent == 2)
		return td_square(c, x);
	if (!td__is_float(x->shape.dtype) && x->shape.dtype != TD_BOOL)
		return whole_power(c, x, exponent);
	if (exponent == -1)
		return td_reciprocal(c, x);
	if (exponent == 0.5)
		return td_sqrt(c, x);
	if (exponent == -0.5)
		return td_rsqrt(c, x);
	return TD_APPLY(c, pow_by, (&(activation_attrs){ { exponent, 0 } }), x);
}

/* ---- sigmoid: y = 1 / (1 + e^-x); dx = dy (y - y^2) */

static void sigmoid_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *y = n->out[0];

	dx[0] = td_mul(c, dy[0], td_sub(c, y, td_square(c, y)));
}

FORWARD(sigmoid)
SAMPLES(sigmoid)
TD_OP(sigmoid, PLAIN(sigmoid), .backward = sigmoid_backward)

TD_API td_value *td_sigmoid(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, sigmoid, NULL, x) : NULL;
}

/* ---- tanh: y = tanh x; dx = dy (1 - y^2) */

static void tanh_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_sub(c, dy[0], td_mul(c, dy[0], td_square(c, n->out[0])));
}

FORWARD(tanh)
SAMPLES(tanh)
TD_OP(tanh, PLAIN(tanh), .backward = tanh_backward)

TD_API td_value *td_tanh(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, tanh, NULL, x) : NULL;
}

/* ---- softplus: y = log(1 + e^x); dx = dy sigmoid(x) */

static void softplus_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_sigmoid(c, n->in[0]));
}

FORWARD(softplus)
SAMPLES(softplus)
TD_OP(softplus, PLAIN(softplus), .backward = softplus_backward)

TD_API td_value *td_softplus(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, softplus, NULL, x) : NULL;
}

/* ---- gelu: y = x times the normal distribution function of x; dx = dy gelu_slope(x) */

static void gelu_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_gelu_slope(c, n->in[0]));
}

FORWARD(gelu)
SAMPLES(gelu, false)
TD_OP(gelu, PLAIN(gelu), .backward = gelu_backward)

/* TANH_FORM: the approximation, as torch's approximate="tanh". */
TD_API td_value *td_gelu(td_ctx *c, td_value *x, bool tanh_form)
{
	if (tanh_form)
		return td_gelu_tanh(c, x);
	return x ? TD_APPLY(c, gelu, NULL, x) : NULL;
}

/* ---- gelu_tanh: its approximation by a tanh; dx = dy gelu_tanh_slope(x) */

static void gelu_tanh_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_gelu_tanh_slope(c, n->in[0]));
}

FORWARD(gelu_tanh)
SAMPLES(gelu_tanh)
TD_OP(gelu_tanh, PLAIN(gelu_tanh), .backward = gelu_tanh_backward)

TD_API td_value *td_gelu_tanh(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, gelu_tanh, NULL, x) : NULL;
}

/* ---- gelu_slope: the derivative of gelu */

/* With the bell f(x) = e^(-x^2/2) / sqrt(2 pi): gelu'' = f(x) (2 - x^2). */
static void gelu_slope_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *square = td_square(c, n->in[0]);
	td_value *bell = td_scale_by(c, td_exp(c, td_scale_by(c, square, -0.5)), NORMAL_TOP);

	dx[0] = td_mul(c, dy[0], td_mul(c, bell, td_shift_by(c, td_neg(c, square), 2)));
}

FORWARD(gelu_slope)
SAMPLES(gelu_slope)
TD_OP(gelu_slope, PLAIN(gelu_slope), .backward = gelu_slope_backward)

TD_API td_value *td_gelu_slope(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, gelu_slope, NULL, x) : NULL;
}

/* ---- gelu_tanh_slope: the derivative of gelu_tanh */

/* With u = k (x + q x^3) and t = tanh u: (1 - t^2) (k (1 + 6 q x^2) - x t u'^2), u' = k (1 + 3 q x^2). */
static void gelu_tanh_slope_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const double k = TANH_SCALE, q = TANH_CUBE;
	td_value *x = n->in[0], *square = td_square(c, x);
	td_value *t = td_tanh(c, td_mul(c, x, td_shift_by(c, td_scale_by(c, square, k * q), k)));
	td_value *du = td_shift_by(c, td_scale_by(c, square, 3 * k * q), k);
	td_value *bend = td_shift_by(c, td_scale_by(c, square, 6 * k * q), k);
	td_value *slope = td_sub(c, bend, td_mul(c, td_mul(c, x, t), td_square(c, du)));

	dx[0] = td_mul(c, dy[0], td_mul(c, td_shift_by(c, td_neg(c, td_square(c, t)), 1), slope));
}

FORWARD(gelu_tanh_slope)
SAMPLES(gelu_tanh_slope)
TD_OP(gelu_tanh_slope, PLAIN(gelu_tanh_slope), .backward = gelu_tanh_slope_backward)

TD_API td_value *td_gelu_tanh_slope(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, gelu_tanh_slope, NULL, x) : NULL;
}

/* ---- leaky_relu: y = x above 0, slope x below */

static void leaky_relu_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_leaky_relu_slope(c, n->in[0], ((const activation_attrs *)n->attrs)->p[0]));
}

FORWARD(leaky_relu)
SAMPLES(leaky_relu, 0.125)
TD_OP(leaky_relu, PARAMETERS(leaky_relu), .backward = leaky_relu_backward)

TD_API td_value *td_leaky_relu(td_ctx *c, td_value *x, double slope)
{
	return x ? TD_APPLY(c, leaky_relu, (&(activation_attrs){ { slope, 0 } }), x) : NULL;
}

/* ---- leaky_relu_slope: 1 above 0, slope below */

FORWARD(leaky_relu_slope)
SAMPLES(leaky_relu_slope, 0.125)
TD_OP(leaky_relu_slope, PARAMETERS(leaky_relu_slope), .backward = td_nodiff)

TD_API td_value *td_leaky_relu_slope(td_ctx *c, td_value *x, double slope)
{
	return x ? TD_APPLY(c, leaky_relu_slope, (&(activation_attrs){ { slope, 0 } }), x) : NULL;
}

/* ---- elu: y = x above 0, alpha (e^x - 1) below */

static void elu_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_elu_slope(c, n->in[0], ((const activation_attrs *)n->attrs)->p[0]));
}

FORWARD(elu)
SAMPLES(elu, 0.75)
TD_OP(elu, PARAMETERS(elu), .backward = elu_backward)

TD_API td_value *td_elu(td_ctx *c, td_value *x, double alpha)
{
	return x ? TD_APPLY(c, elu, (&(activation_attrs){ { alpha, 0 } }), x) : NULL;
}

/* ---- elu_slope: the derivative of elu */

/* The slope itself below 0, and 0 above, where it is 1. */
static void elu_slope_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_sub(c, n->out[0], td_leaky_relu_slope(c, n->in[0], 0)));
}

FORWARD(elu_slope)
SAMPLES(elu_slope, 0.75)
TD_OP(elu_slope, PARAMETERS(elu_slope), .backward = elu_slope_backward)

TD_API td_value *td_elu_slope(td_ctx *c, td_value *x, double alpha)
{
	return x ? TD_APPLY(c, elu_slope, (&(activation_attrs){ { alpha, 0 } }), x) : NULL;
}

/* ---- clamp: y = low below low, high above high, x between; NaN stays.  With low above high, all is high */

static void clamp_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0],
		td_clamp_slope(c, n->in[0], ((const activation_attrs *)n->attrs)->p[0],
			((const activation_attrs *)n->attrs)->p[1]));
}

static void clamp_infer(td_infer *q)
{
	const double *bound = ((const activation_attrs *)q->attrs)->p;
	char text[TD_SHAPE_TEXT];

	if (!ops_need_numbers(q, "clamp"))
		return;
	ops_infer_same(q);
	for (int i = 0; i < 2 && !td__is_float(q->in[0]->dtype); i++)
		if (!isinf(bound[i]) && bound[i] != floor(bound[i])) {
			td_fail(q->ctx, TD_DTYPE,
				"clamp holds %s between whole numbers, not %g and %g; cast it to float32 with td_cast",
				td_shape_text(q->in[0], text), bound[0], bound[1]);
			return;
		}
}

/* BOUND among the numbers of the integer type D. */
static int64_t nearest(double bound, td_dtype d)
{
	int64_t least = d == TD_U8    ? 0
			: d == TD_I32 ? INT32_MIN
				      : INT64_MIN,
		most = d == TD_U8    ? UINT8_MAX
		       : d == TD_I32 ? INT32_MAX
				     : INT64_MAX;

	return bound <= (double)least ? least : bound >= (double)most ? most : (int64_t)bound;
}

static void clamp_forward(const td_call *call)
{
	const double *bound = ((const activation_attrs *)call->attrs)->p;
	td_dtype d = call->out[0].shape->dtype;
	size_t size = td_dtype_size(d);
	int64_t strides[TD_MAX_RANK], still[TD_MAX_RANK] = { 0 }, whole[2], typed[2];

	if (td__is_float(d)) {
		run(call, TD_PICK(d, k_clamp));
		return;
	}
	whole[0] = nearest(bound[0], d);
	whole[1] = nearest(bound[1], d);
	k_convert((int)d, TD_I64, typed, whole, 2, 1);
	td_shape_strides(call->in[0].shape, strides);
	ops_rows_strided(call, TD_PICK_NUMBERS(d, k_clamp), &call->out[0], call->in[0].data, strides, typed, still,
		(size_t[]){ size, size, size });
}

static td_value *clamp_apply(td_ctx *c, td_value *const *in)
{
	return td_clamp(c, in[0], -0.7, 0.9);
}
static td_value *clamp_apply_whole(td_ctx *c, td_value *const *in)
{
	return td_clamp(c, in[0], 1, 3);
}

static bool clamp_sample(int i, td_sample *s)
{
	s->apply = i < 4 ? clamp_apply : clamp_apply_whole;
	return elementwise_sample_unary(i, s, TD_FILL_NORMAL, NUMBERS);
}

TD_OP(clamp, PARAMETERS(clamp), .backward = clamp_backward)

/* A bound of -INFINITY, or INFINITY, is none; of integers the bounds are whole numbers. */
TD_API td_value *td_clamp(td_ctx *c, td_value *x, double low, double high)
{
	return x ? TD_APPLY(c, clamp, (&(activation_attrs){ { TD_MIN(low, high), high } }), x) : NULL;
}

/* ---- clamp_slope: 1 from low to high, else 0, of a NaN too */

FORWARD(clamp_slope)
SAMPLES(clamp_slope, -0.7, 0.9)
TD_OP(clamp_slope, PARAMETERS(clamp_slope), .backward = td_nodiff)

TD_API td_value *td_clamp_slope(td_ctx *c, td_value *x, double low, double high)
{
	return x ? TD_APPLY(c, clamp_slope, (&(activation_attrs){ { low, high } }), x) : NULL;
}

/* ---- silu: y = x sigmoid(x), made of the two ops */

TD_API td_value *td_silu(td_ctx *c, td_value *x)
{
	return td_mul(c, x, td_sigmoid(c, x));
}
