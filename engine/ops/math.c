/* Mathematical functions, element by element.  All gradients are made of the functions themselves, so they go on to any
 * order. */
#include "ops/elementwise.h"

#include "td_ops.h"

#define TWO_OVER_ROOT_PI 1.12837916709551257390 /* 2 / sqrt(pi) */

/* ---- exp: y = e^x; dx = dy y ------------------------------------------------------------------------------------- */

static void exp_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], n->out[0]);
}

ELEMENTWISE(exp, FLOATS, TD_PICK)
SAMPLES_UNARY(exp, TD_FILL_NORMAL, FLOATS)
TD_OP(exp, .n_in = 1, .n_out = 1, .inplace = 1, .infer = exp_infer, .forward = { exp_forward },
	.backward = exp_backward, .sample = exp_sample)

TD_API td_value *td_exp(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, exp, NULL, x) : NULL;
}

/* ---- expm1: y = e^x - 1, precise near 0; dx = dy (y + 1) --------------------------------------------------------- */

static void expm1_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_shift_by(c, n->out[0], 1));
}

ELEMENTWISE(expm1, FLOATS, TD_PICK)
SAMPLES_UNARY(expm1, TD_FILL_NORMAL, FLOATS)
TD_OP(expm1, .n_in = 1, .n_out = 1, .inplace = 1, .infer = expm1_infer, .forward = { expm1_forward },
	.backward = expm1_backward, .sample = expm1_sample)

TD_API td_value *td_expm1(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, expm1, NULL, x) : NULL;
}

/* ---- log: y = ln x; dx = dy / x ---------------------------------------------------------------------------------- */

static void log_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_div(c, dy[0], n->in[0]);
}

ELEMENTWISE(log, FLOATS, TD_PICK)
SAMPLES_UNARY(log, TD_FILL_POSITIVE, FLOATS)
TD_OP(log, .n_in = 1, .n_out = 1, .inplace = 1, .infer = log_infer, .forward = { log_forward },
	.backward = log_backward, .sample = log_sample)

TD_API td_value *td_log(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, log, NULL, x) : NULL;
}

/* ---- log1p: y = ln(1 + x), precise near 0; dx = dy / (1 + x) ----------------------------------------------------- */

static void log1p_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_div(c, dy[0], td_shift_by(c, n->in[0], 1));
}

ELEMENTWISE(log1p, FLOATS, TD_PICK)
SAMPLES_UNARY(log1p, TD_FILL_POSITIVE, FLOATS)
TD_OP(log1p, .n_in = 1, .n_out = 1, .inplace = 1, .infer = log1p_infer, .forward = { log1p_forward },
	.backward = log1p_backward, .sample = log1p_sample)

TD_API td_value *td_log1p(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, log1p, NULL, x) : NULL;
}

/* ---- sqrt: y = x^(1/2); dx = dy / (2 y) -------------------------------------------------------------------------- */

static void sqrt_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_div(c, dy[0], td_add(c, n->out[0], n->out[0]));
}

ELEMENTWISE(sqrt, FLOATS, TD_PICK)
SAMPLES_UNARY(sqrt, TD_FILL_POSITIVE, FLOATS)
TD_OP(sqrt, .n_in = 1, .n_out = 1, .inplace = 1, .infer = sqrt_infer, .forward = { sqrt_forward },
	.backward = sqrt_backward, .sample = sqrt_sample)

TD_API td_value *td_sqrt(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, sqrt, NULL, x) : NULL;
}

/* ---- rsqrt: y = x^(-1/2); dx = -dy y^3 / 2 ----------------------------------------------------------------------- */

static void rsqrt_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *y = n->out[0];

	dx[0] = td_mul(c, dy[0], td_scale_by(c, td_mul(c, y, td_square(c, y)), -0.5));
}

ELEMENTWISE(rsqrt, FLOATS, TD_PICK)
SAMPLES_UNARY(rsqrt, TD_FILL_POSITIVE, FLOATS)
TD_OP(rsqrt, .n_in = 1, .n_out = 1, .inplace = 1, .infer = rsqrt_infer, .forward = { rsqrt_forward },
	.backward = rsqrt_backward, .sample = rsqrt_sample)

TD_API td_value *td_rsqrt(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, rsqrt, NULL, x) : NULL;
}

/* ---- reciprocal: y = 1 / x; dx = -dy y^2 ------------------------------------------------------------------------- */

static void reciprocal_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_neg(c, td_mul(c, dy[0], td_square(c, n->out[0])));
}

ELEMENTWISE(reciprocal, FLOATS, TD_PICK)
SAMPLES_UNARY(reciprocal, TD_FILL_POSITIVE, FLOATS)
TD_OP(reciprocal, .n_in = 1, .n_out = 1, .inplace = 1, .infer = reciprocal_infer, .forward = { reciprocal_forward },
	.backward = reciprocal_backward, .sample = reciprocal_sample)

TD_API td_value *td_reciprocal(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, reciprocal, NULL, x) : NULL;
}

/* ---- sin: dx = dy cos x ------------------------------------------------------------------------------------------ */

static void sin_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_cos(c, n->in[0]));
}

ELEMENTWISE(sin, FLOATS, TD_PICK)
SAMPLES_UNARY(sin, TD_FILL_NORMAL, FLOATS)
TD_OP(sin, .n_in = 1, .n_out = 1, .inplace = 1, .infer = sin_infer, .forward = { sin_forward },
	.backward = sin_backward, .sample = sin_sample)

TD_API td_value *td_sin(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, sin, NULL, x) : NULL;
}

/* ---- cos: dx = -dy sin x ----------------------------------------------------------------------------------------- */

static void cos_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_neg(c, td_mul(c, dy[0], td_sin(c, n->in[0])));
}

ELEMENTWISE(cos, FLOATS, TD_PICK)
SAMPLES_UNARY(cos, TD_FILL_NORMAL, FLOATS)
TD_OP(cos, .n_in = 1, .n_out = 1, .inplace = 1, .infer = cos_infer, .forward = { cos_forward },
	.backward = cos_backward, .sample = cos_sample)

TD_API td_value *td_cos(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, cos, NULL, x) : NULL;
}

/* ---- erf: y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x; dx = dy 2 / sqrt(pi) e^(-x^2) ------------- */

static void erf_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *bell = td_exp(c, td_neg(c, td_square(c, n->in[0])));

	dx[0] = td_mul(c, dy[0], td_scale_by(c, bell, TWO_OVER_ROOT_PI));
}

ELEMENTWISE(erf, FLOATS, TD_PICK)
SAMPLES_UNARY(erf, TD_FILL_NORMAL, FLOATS)
TD_OP(erf, .n_in = 1, .n_out = 1, .inplace = 1, .infer = erf_infer, .forward = { erf_forward },
	.backward = erf_backward, .sample = erf_sample)

TD_API td_value *td_erf(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, erf, NULL, x) : NULL;
}

/* ---- floor: the largest integer that is not above x -------------------------------------------------------------- */

ELEMENTWISE(floor, FLOATS, TD_PICK)
SAMPLES_UNARY(floor, TD_FILL_NORMAL, FLOATS)
TD_OP(floor, .n_in = 1, .n_out = 1, .inplace = 1, .infer = floor_infer, .forward = { floor_forward },
	.backward = td_nodiff, .sample = floor_sample)

TD_API td_value *td_floor(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, floor, NULL, x) : NULL;
}

/* ---- ceil: the smallest integer that is not below x -------------------------------------------------------------- */

ELEMENTWISE(ceil, FLOATS, TD_PICK)
SAMPLES_UNARY(ceil, TD_FILL_NORMAL, FLOATS)
TD_OP(ceil, .n_in = 1, .n_out = 1, .inplace = 1, .infer = ceil_infer, .forward = { ceil_forward },
	.backward = td_nodiff, .sample = ceil_sample)

TD_API td_value *td_ceil(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, ceil, NULL, x) : NULL;
}

/* ---- round: the nearest integer, halves to the even one ---------------------------------------------------------- */

ELEMENTWISE(round, FLOATS, TD_PICK)
SAMPLES_UNARY(round, TD_FILL_NORMAL, FLOATS)
TD_OP(round, .n_in = 1, .n_out = 1, .inplace = 1, .infer = round_infer, .forward = { round_forward },
	.backward = td_nodiff, .sample = round_sample)

TD_API td_value *td_round(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, round, NULL, x) : NULL;
}

/* ---- pow: y = a^b; da = dy b a^(b-1), db = dy y ln a, both 0 where a power of 0 has no slope --------------------- */

static void pow_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *a = n->in[0], *b = n->in[1], *none, *slope;

	if (td_wants(n, 0)) { /* a^0 is 1 for every a */
		slope = td_mul(c, b, td_pow(c, a, td_shift_by(c, b, -1)));
		slope = td_masked_fill(c, slope, td_equal(c, b, td_zeros_like(c, b)), 0);
		dx[0] = td_sum_like(c, td_mul(c, dy[0], slope), a);
	}
	if (td_wants(n, 1)) { /* 0^b is 0 for every b above 0; at 0^0 the slope is 0, as in torch */
		none = td_logical_and(c, td_equal(c, a, td_zeros_like(c, a)), td_less_equal(c, td_zeros_like(c, b), b));
		slope = td_masked_fill(c, td_mul(c, n->out[0], td_log(c, a)), none, 0);
		dx[1] = td_sum_like(c, td_mul(c, dy[0], slope), b);
	}
}

ELEMENTWISE(pow, FLOATS, TD_PICK)
SAMPLES_BINARY(pow, TD_FILL_POSITIVE, FLOATS)
TD_OP(pow, .n_in = 2, .n_out = 1, .inplace = 3, .infer = pow_infer, .forward = { pow_forward },
	.backward = pow_backward, .sample = pow_sample)

TD_API td_value *td_pow(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, pow, NULL, a, b) : NULL;
}
