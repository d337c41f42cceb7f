/* Elementwise ops.  Two inputs broadcast as in NumPy; what broadcasting repeated, sum_like adds up again in the
 * gradient. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- Shared by the family ---------------------------------------------------------------------------------------- */

static void infer_binary(td_infer *q)
{
	if (ops_need_float(q, "an elementwise op"))
		ops_broadcast(q, q->in[0], q->in[1], "elementwise", &q->out[0]);
}

static void infer_unary(td_infer *q)
{
	if (ops_need_float(q, "an elementwise op"))
		ops_infer_same(q);
}

#define FORWARD_BINARY(name)                                                                                           \
	static void name##_forward(const td_call *call)                                                                \
	{                                                                                                              \
		td_dtype d = call->out[0].shape->dtype;                                                                \
		size_t size = td_dtype_size(d);                                                                        \
		ops_rows(call, TD_PICK(d, k_##name), &call->out[0], &call->in[0], &call->in[1],                        \
			(size_t[]){ size, size, size });                                                               \
	}
#define FORWARD_UNARY(name)                                                                                            \
	static void name##_forward(const td_call *call)                                                                \
	{                                                                                                              \
		td_dtype d = call->out[0].shape->dtype;                                                                \
		size_t size = td_dtype_size(d);                                                                        \
		ops_rows(call, TD_PICK(d, k_##name), &call->out[0], &call->in[0], NULL,                                \
			(size_t[]){ size, size, size });                                                               \
	}

/* Pairs that broadcast in every way: equal, scalar, row, column, outer, image with a channel's row, nothing at all. */
static bool sample_binary(int i, td_sample *s, enum td_fill fill)
{
	switch (i) {
	case 0:
		SAMPLE_INPUT(s, fill, TD_F32, 4, 5);
		SAMPLE_INPUT(s, fill, TD_F32, 4, 5);
		break;
	case 1:
		SAMPLE_INPUT(s, fill, TD_F32, 4, 5);
		SAMPLE_INPUT(s, fill, TD_F32, 5);
		break;
	case 2:
		SAMPLE_INPUT(s, fill, TD_F32, 3, 1);
		SAMPLE_INPUT(s, fill, TD_F32, 7);
		s->in[0].batched = true;
		return true;
	case 3:
		SAMPLE_INPUT(s, fill, TD_F32, 2, 3, 4, 5);
		SAMPLE_INPUT(s, fill, TD_F32, 3, 1, 1);
		s->in[0].shape.order = TD_CHANNELS_LAST;
		s->in[0].batched = true;
		return true;
	case 4:
		SAMPLE_INPUT(s, fill, TD_F32, 2, 3, 4, 5);
		SAMPLE_INPUT(s, fill, TD_F32, 2, 3, 4, 5);
		s->in[1].shape.order = TD_CHANNELS_LAST;
		break;
	case 5:
		SAMPLE_INPUT(s, fill, TD_F32, 0, 5);
		SAMPLE_INPUT(s, fill, TD_F32, 5);
		return true;
	case 6:
		ops_sample_input(s, fill, TD_F32, 0, NULL);
		SAMPLE_INPUT(s, fill, TD_F32, 3);
		return true;
	default: return false;
	}
	s->in[0].batched = true;
	s->in[1].batched = s->in[1].shape.rank == s->in[0].shape.rank;
	return true;
}

static bool sample_unary(int i, td_sample *s, enum td_fill fill)
{
	switch (i) {
	case 0: SAMPLE_INPUT(s, fill, TD_F32, 6, 7); break;
	case 1:
		SAMPLE_INPUT(s, fill, TD_F32, 2, 3, 4, 5);
		s->in[0].shape.order = TD_CHANNELS_LAST;
		break;
	case 2: ops_sample_input(s, fill, TD_F32, 0, NULL); return true;
	case 3: SAMPLE_INPUT(s, fill, TD_F32, 0, 3); return true;
	default: return false;
	}
	s->in[0].batched = true;
	return true;
}

#define SAMPLES_BINARY(name, fill)                                                                                     \
	static td_value *name##_apply(td_ctx *c, td_value *const *in)                                                  \
	{                                                                                                              \
		return td_##name(c, in[0], in[1]);                                                                     \
	}                                                                                                              \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		s->apply = name##_apply;                                                                               \
		return sample_binary(i, s, fill);                                                                      \
	}
#define SAMPLES_UNARY(name, fill)                                                                                      \
	static td_value *name##_apply(td_ctx *c, td_value *const *in)                                                  \
	{                                                                                                              \
		return td_##name(c, in[0]);                                                                            \
	}                                                                                                              \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		s->apply = name##_apply;                                                                               \
		return sample_unary(i, s, fill);                                                                       \
	}

/* ---- add: y = a + b ---------------------------------------------------------------------------------------------- */

static void add_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	for (int i = 0; i < 2; i++)
		if (td_wants(n, i))
			dx[i] = td_sum_like(c, dy[0], n->in[i]);
}

FORWARD_BINARY(add)
SAMPLES_BINARY(add, TD_FILL_NORMAL)
TD_OP(add, .n_in = 2, .n_out = 1, .inplace = 3, .infer = infer_binary, .forward = { add_forward },
	.backward = add_backward, .sample = add_sample)

/* a, b: floating, broadcast; y in their common shape. */
TD_API td_value *td_add(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, add, NULL, a, b) : NULL;
}

/* ---- sub: y = a - b ---------------------------------------------------------------------------------------------- */

static void sub_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_sum_like(c, dy[0], n->in[0]);
	if (td_wants(n, 1))
		dx[1] = td_sum_like(c, td_neg(c, dy[0]), n->in[1]);
}

FORWARD_BINARY(sub)
SAMPLES_BINARY(sub, TD_FILL_NORMAL)
TD_OP(sub, .n_in = 2, .n_out = 1, .inplace = 3, .infer = infer_binary, .forward = { sub_forward },
	.backward = sub_backward, .sample = sub_sample)

TD_API td_value *td_sub(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, sub, NULL, a, b) : NULL;
}

/* ---- mul: y = a b ------------------------------------------------------------------------------------------------ */

static void mul_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	for (int i = 0; i < 2; i++)
		if (td_wants(n, i))
			dx[i] = td_sum_like(c, td_mul(c, dy[0], n->in[1 - i]), n->in[i]);
}

FORWARD_BINARY(mul)
SAMPLES_BINARY(mul, TD_FILL_NORMAL)
TD_OP(mul, .n_in = 2, .n_out = 1, .inplace = 3, .infer = infer_binary, .forward = { mul_forward },
	.backward = mul_backward, .sample = mul_sample)

TD_API td_value *td_mul(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, mul, NULL, a, b) : NULL;
}

/* ---- div: y = a / b; da = dy / b, db = -dy y / b ----------------------------------------------------------------- */

static void div_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *da = td_div(c, dy[0], n->in[1]);

	if (td_wants(n, 0))
		dx[0] = td_sum_like(c, da, n->in[0]);
	if (td_wants(n, 1))
		dx[1] = td_sum_like(c, td_neg(c, td_mul(c, da, td_div(c, n->in[0], n->in[1]))), n->in[1]);
}

FORWARD_BINARY(div)
SAMPLES_BINARY(div, TD_FILL_POSITIVE)
TD_OP(div, .n_in = 2, .n_out = 1, .inplace = 3, .infer = infer_binary, .forward = { div_forward },
	.backward = div_backward, .sample = div_sample)

TD_API td_value *td_div(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, div, NULL, a, b) : NULL;
}

/* ---- neg: y = -x ------------------------------------------------------------------------------------------------- */

static void neg_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	(void)n;
	dx[0] = td_neg(c, dy[0]);
}

FORWARD_UNARY(neg)
SAMPLES_UNARY(neg, TD_FILL_NORMAL)
TD_OP(neg, .n_in = 1, .n_out = 1, .inplace = 1, .infer = infer_unary, .forward = { neg_forward },
	.backward = neg_backward, .sample = neg_sample)

TD_API td_value *td_neg(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, neg, NULL, x) : NULL;
}

/* ---- exp: y = e^x; dx = dy y ------------------------------------------------------------------------------------- */

static void exp_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], n->out[0]);
}

FORWARD_UNARY(exp)
SAMPLES_UNARY(exp, TD_FILL_NORMAL)
TD_OP(exp, .n_in = 1, .n_out = 1, .inplace = 1, .infer = infer_unary, .forward = { exp_forward },
	.backward = exp_backward, .sample = exp_sample)

TD_API td_value *td_exp(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, exp, NULL, x) : NULL;
}

/* ---- log: y = ln x; dx = dy / x ---------------------------------------------------------------------------------- */

static void log_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_div(c, dy[0], n->in[0]);
}

FORWARD_UNARY(log)
SAMPLES_UNARY(log, TD_FILL_POSITIVE)
TD_OP(log, .n_in = 1, .n_out = 1, .inplace = 1, .infer = infer_unary, .forward = { log_forward },
	.backward = log_backward, .sample = log_sample)

TD_API td_value *td_log(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, log, NULL, x) : NULL;
}

/* ---- sqrt: y = x^(1/2); dx = dy / (2 y) -------------------------------------------------------------------------- */

static void sqrt_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_div(c, dy[0], td_add(c, n->out[0], n->out[0]));
}

FORWARD_UNARY(sqrt)
SAMPLES_UNARY(sqrt, TD_FILL_POSITIVE)
TD_OP(sqrt, .n_in = 1, .n_out = 1, .inplace = 1, .infer = infer_unary, .forward = { sqrt_forward },
	.backward = sqrt_backward, .sample = sqrt_sample)

TD_API td_value *td_sqrt(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, sqrt, NULL, x) : NULL;
}

/* ---- square: y = x^2; dx = 2 x dy -------------------------------------------------------------------------------- */

static void square_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_add(c, n->in[0], n->in[0]));
}

FORWARD_UNARY(square)
SAMPLES_UNARY(square, TD_FILL_NORMAL)
TD_OP(square, .n_in = 1, .n_out = 1, .inplace = 1, .infer = infer_unary, .forward = { square_forward },
	.backward = square_backward, .sample = square_sample)

TD_API td_value *td_square(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, square, NULL, x) : NULL;
}

/* ---- relu: y = max(x, 0), NaN stays NaN; dx = dy where y > 0 ----------------------------------------------------- */

static void relu_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_relu_dx(c, dy[0], n->out[0]);
}

FORWARD_UNARY(relu)
SAMPLES_UNARY(relu, TD_FILL_NORMAL)
TD_OP(relu, .n_in = 1, .n_out = 1, .inplace = 1, .infer = infer_unary, .forward = { relu_forward },
	.backward = relu_backward, .sample = relu_sample)

TD_API td_value *td_relu(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, relu, NULL, x) : NULL;
}

/* ---- relu_dx: dx = dy where y > 0, else 0; linear in dy ---------------------------------------------------------- */

static void relu_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_relu_dx(c, dy[0], n->in[1]);
	if (td_wants(n, 1))
		dx[1] = td_mul(c, n->in[1], td_zeros_like(c, n->in[1]));
}

/* dx lies as y does, whatever the order of dy. */
static void relu_dx_infer(td_infer *q)
{
	char a[TD_SHAPE_TEXT], b[TD_SHAPE_TEXT];

	if (!ops_need_float(q, "relu_dx"))
		return;
	if (!td_shape_same(q->in[0], q->in[1]))
		td_fail(q->ctx, TD_SHAPE, "relu_dx needs equal shapes, not %s and %s", td_shape_text(q->in[0], a),
			td_shape_text(q->in[1], b));
	q->out[0] = *q->in[1];
}

static bool relu_dx_sample(int i, td_sample *s);
FORWARD_BINARY(relu_dx)
TD_OP(relu_dx, .n_in = 2, .n_out = 1, .inplace = 3, .infer = relu_dx_infer, .forward = { relu_dx_forward },
	.backward = relu_dx_backward, .sample = relu_dx_sample)

TD_API td_value *td_relu_dx(td_ctx *c, td_value *dy, td_value *y)
{
	return dy && y ? TD_APPLY(c, relu_dx, NULL, dy, y) : NULL;
}

static td_value *relu_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_relu_dx(c, in[0], in[1]);
}

static bool relu_dx_sample(int i, td_sample *s)
{
	s->apply = relu_dx_apply;
	return i < 2 && sample_binary(i ? 4 : 0, s, TD_FILL_NORMAL); /* equal shapes: in one order, and in two */
}

/* ---- equal: y = (a == b), broadcast ------------------------------------------------------------------------------ */

static void equal_infer(td_infer *q)
{
	char text[TD_SHAPE_TEXT];

	if (!td__is_float(q->in[0]->dtype) && q->in[0]->dtype != TD_I64)
		td_fail(q->ctx, TD_DTYPE, "equal compares floating values or int64, not %s",
			td_shape_text(q->in[0], text));
	if (ops_broadcast(q, q->in[0], q->in[1], "equal", &q->out[0]))
		q->out[0].dtype = TD_BOOL;
}

static void equal_forward(const td_call *call)
{
	td_dtype d = call->in[0].shape->dtype;
	size_t size = td_dtype_size(d);

	ops_rows(call, d == TD_I64 ? k_equal_i64 : TD_PICK(d, k_equal), &call->out[0], &call->in[0], &call->in[1],
		(size_t[]){ 1, size, size });
}

static td_value *equal_apply(td_ctx *c, td_value *const *in)
{
	return td_equal(c, in[0], in[1]);
}

static bool equal_sample(int i, td_sample *s)
{
	s->apply = equal_apply;
	if (!sample_binary(i, s, TD_FILL_LABELS))
		return false;
	for (int k = 0; k < 2; k++) {
		s->in[k].shape.dtype = i % 2 ? TD_F32 : TD_I64;
		s->in[k].classes = 3;
	}
	return true;
}

TD_OP(equal, .n_in = 2, .n_out = 1, .infer = equal_infer, .forward = { equal_forward }, .backward = td_nodiff,
	.sample = equal_sample)

TD_API td_value *td_equal(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, equal, NULL, a, b) : NULL;
}

/* ---- cast: the same numbers in another type; the gradient is cast back ------------------------------------------- */

typedef struct cast_attrs {
	td_dtype to;
} cast_attrs;

static void cast_infer(td_infer *q)
{
	q->out[0] = *q->in[0];
	q->out[0].dtype = ((const cast_attrs *)q->attrs)->to;
}

struct cast_job {
	td_dtype to, from;
	char *y;
	const char *x;
	int64_t n;
};

static void cast_slice(void *arg, int slice)
{
	const struct cast_job *j = arg;
	int64_t first = (int64_t)slice * SLICE_ELEMENTS, n = TD_MIN(SLICE_ELEMENTS, j->n - first);

	k_convert((int)j->to, (int)j->from, j->y + first * (int64_t)td_dtype_size(j->to),
		j->x + first * (int64_t)td_dtype_size(j->from), n, 1);
}

static void cast_forward(const td_call *call)
{
	struct cast_job j = { call->out[0].shape->dtype, call->in[0].shape->dtype, call->out[0].data, call->in[0].data,
		td_shape_count(call->in[0].shape) };

	threads_run(call->threads, (int)((j.n + SLICE_ELEMENTS - 1) / SLICE_ELEMENTS), cast_slice, &j);
}

static void cast_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_cast(c, dy[0], n->in[0]->shape.dtype);
}

static td_value *cast_apply_f64(td_ctx *c, td_value *const *in)
{
	return td_cast(c, in[0], TD_F64);
}

static td_value *cast_apply_i32(td_ctx *c, td_value *const *in)
{
	return td_cast(c, in[0], TD_I32);
}

static bool cast_sample(int i, td_sample *s)
{
	s->apply = i % 2 ? cast_apply_i32 : cast_apply_f64;
	return sample_unary(i, s, TD_FILL_NORMAL);
}

TD_OP(cast, .n_in = 1, .n_out = 1, .attrs_size = sizeof(cast_attrs), .infer = cast_infer, .forward = { cast_forward },
	.backward = cast_backward, .sample = cast_sample)

/* X itself when it has the type already. */
TD_API td_value *td_cast(td_ctx *c, td_value *x, td_dtype to)
{
	if (!x || x->shape.dtype == to)
		return x;
	return TD_APPLY(c, cast, (&(cast_attrs){ to }), x);
}
