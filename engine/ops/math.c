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

UNARY(exp, FLOATS, TD_FILL_NORMAL)
TD_OP(exp, UNARY_OP(exp), .backward = exp_backward)

TD_API td_value *td_exp(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, exp, NULL, x) : NULL;
}

/* ---- expm1: y = e^x - 1, precise near 0; dx = dy (y + 1) --------------------------------------------------------- */

static void expm1_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_shift_by(c, n->out[0], 1));
}

UNARY(expm1, FLOATS, TD_FILL_NORMAL)
TD_OP(expm1, UNARY_OP(expm1), .backward = expm1_backward)

TD_API td_value *td_expm1(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, expm1, NULL, x) : NULL;
}

/* ---- log: y = ln x; dx = dy / x ---------------------------------------------------------------------------------- */

static void log_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_div(c, dy[0], n->in[0]);
}

UNARY(log, FLOATS, TD_FILL_POSITIVE)
TD_OP(log, UNARY_OP(log), .backward = log_backward)

TD_API td_value *td_log(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, log, NULL, x) : NULL;
}

/* ---- log1p: y = ln(1 + x), precise near 0; dx = dy / (1 + x) ----------------------------------------------------- */

static void log1p_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_div(c, dy[0], td_shift_by(c, n->in[0], 1));
}

UNARY(log1p, FLOATS, TD_FILL_POSITIVE)
TD_OP(log1p, UNARY_OP(log1p), .backward = log1p_backward)

TD_API td_value *td_log1p(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, log1p, NULL, x) : NULL;
}

/* ---- sqrt: y = x^(1/2); dx = dy / (2 y) -------------------------------------------------------------------------- */

static void sqrt_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_div(c, dy[0], td_add(c, n->out[0], n->out[0]));
}

UNARY(sqrt, FLOATS, TD_FILL_POSITIVE)
TD_OP(sqrt, UNARY_OP(sqrt), .backward = sqrt_backward)

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

UNARY(rsqrt, FLOATS, TD_FILL_POSITIVE)
TD_OP(rsqrt, UNARY_OP(rsqrt), .backward = rsqrt_backward)

TD_API td_value *td_rsqrt(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, rsqrt, NULL, x) : NULL;
}

/* ---- reciprocal: y = 1 / x; dx = -dy y^2 ------------------------------------------------------------------------- */

static void reciprocal_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_neg(c, td_mul(c, dy[0], td_square(c, n->out[0])));
}

UNARY(reciprocal, FLOATS, TD_FILL_POSITIVE)
TD_OP(reciprocal, UNARY_OP(reciprocal), .backward = reciprocal_backward)

TD_API td_value *td_reciprocal(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, reciprocal, NULL, x) : NULL;
}

/* ---- sin: dx = dy cos x ------------------------------------------------------------------------------------------ */

static void sin_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_cos(c, n->in[0]));
}

UNARY(sin, FLOATS, TD_FILL_NORMAL)
TD_OP(sin, UNARY_OP(sin), .backward = sin_backward)

TD_API td_value *td_sin(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, sin, NULL, x) : NULL;
}

/* ---- cos: dx = -dy sin x ----------------------------------------------------------------------------------------- */

static void cos_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_neg(c, td_mul(c, dy[0], td_sin(c, n->in[0])));
}

UNARY(cos, FLOATS, TD_FILL_NORMAL)
TD_OP(cos, UNARY_OP(cos), .backward = cos_backward)

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

UNARY(erf, FLOATS, TD_FILL_NORMAL)
TD_OP(erf, UNARY_OP(erf), .backward = erf_backward)

TD_API td_value *td_erf(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, erf, NULL, x) : NULL;
}

/* ---- floor: the largest integer that is not above x -------------------------------------------------------------- */

UNARY(floor, FLOATS, TD_FILL_NORMAL)
TD_OP(floor, UNARY_OP(floor), .backward = td_nodiff)

TD_API td_value *td_floor(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, floor, NULL, x) : NULL;
}

/* ---- ceil: the smallest integer that is not below x -------------------------------------------------------------- */

UNARY(ceil, FLOATS, TD_FILL_NORMAL)
TD_OP(ceil, UNARY_OP(ceil), .backward = td_nodiff)

TD_API td_value *td_ceil(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, ceil, NULL, x) : NULL;
}

/* ---- round: the nearest integer, halves to the even one ---------------------------------------------------------- */

UNARY(round, FLOATS, TD_FILL_NORMAL)
TD_OP(round, UNARY_OP(round), .backward = td_nodiff)

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

BINARY(pow, NUMBERS, TD_FILL_POSITIVE)
TD_OP(pow, BINARY_OP(pow), .backward = pow_backward)

/* Of integers as torch.pow: they wrap around, and a negative power is 0 but of 1 and -1. */
TD_API td_value *td_pow(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, pow, NULL, a, b) : NULL;
}
