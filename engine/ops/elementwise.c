/* Arithmetic, element by element; and casts. */
#include "ops/elementwise.h"

#include "td_ops.h"

/* ---- Shared by the elementwise files ----------------------------------------------------------------------------- */

bool elementwise_infer(td_infer *q, const char *op, enum elementwise_types types)
{
	char text[TD_SHAPE_TEXT];

	for (int i = 0; i < q->n_in; i++) {
		td_dtype d = q->in[i]->dtype;

		if (td__is_float(d) || types == ANYTHING || (types == NUMBERS && d != TD_BOOL))
			continue;
		td_fail(q->ctx, TD_DTYPE, "%s takes %s, not %s; cast it to %s with td_cast", op,
			types == FLOATS ? "floating values" : "numbers", td_shape_text(q->in[i], text),
			types == FLOATS ? "float32" : "int64");
		return false;
	}
	if (q->n_in == 2)
		return ops_broadcast(q, q->in[0], q->in[1], op, &q->out[0]);
	ops_infer_same(q);
	return true;
}

void elementwise_forward(const td_call *call, td_row_fn *fn)
{
	const td_view *a = &call->in[0], *b = call->in[1].shape ? &call->in[1] : NULL;

	ops_rows(call, fn, &call->out[0], a, b,
		(size_t[]){ td_dtype_size(call->out[0].shape->dtype), td_dtype_size(a->shape->dtype),
			b ? td_dtype_size(b->shape->dtype) : 0 });
}

/* Equal sizes, scalar, row, column, outer, images with a channel's row, nothing at all; then integers. */
bool elementwise_sample_binary(int i, td_sample *s, enum td_fill fill, enum elementwise_types types)
{
	static const td_dtype others[] = { TD_I64, TD_I32, TD_U8, TD_BOOL };

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
	default:
		if (i - 7 >= (types == FLOATS ? 0 : types == NUMBERS ? 3 : 4))
			return false;
		SAMPLE_INPUT(s, TD_FILL_LABELS, others[i - 7], 4, 5);
		SAMPLE_INPUT(s, TD_FILL_LABELS, others[i - 7], 5);
		s->in[0].classes = s->in[1].classes = others[i - 7] == TD_BOOL ? 2 : 5;
	}
	s->in[0].batched = true;
	s->in[1].batched = s->in[1].shape.rank == s->in[0].shape.rank;
	return true;
}

bool elementwise_sample_unary(int i, td_sample *s, enum td_fill fill, enum elementwise_types types)
{
	static const td_dtype others[] = { TD_I64, TD_I32, TD_U8, TD_BOOL };

	switch (i) {
	case 0: SAMPLE_INPUT(s, fill, TD_F32, 6, 7); break;
	case 1:
		SAMPLE_INPUT(s, fill, TD_F32, 2, 3, 4, 5);
		s->in[0].shape.order = TD_CHANNELS_LAST;
		break;
	case 2: ops_sample_input(s, fill, TD_F32, 0, NULL); return true;
	case 3: SAMPLE_INPUT(s, fill, TD_F32, 0, 3); return true;
	default:
		if (i - 4 >= (types == FLOATS ? 0 : types == NUMBERS ? 3 : 4))
			return false;
		SAMPLE_INPUT(s, TD_FILL_LABELS, others[i - 4], 4, 5);
		s->in[0].classes = others[i - 4] == TD_BOOL ? 2 : 5;
	}
	s->in[0].batched = true;
	return true;
}

/* ---- add: y = a + b ---------------------------------------------------------------------------------------------- */

static void add_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	for (int i = 0; i < 2; i++)
		if (td_wants(n, i))
			dx[i] = td_sum_like(c, dy[0], n->in[i]);
}

BINARY(add, NUMBERS, TD_FILL_NORMAL)
TD_OP(add, BINARY_OP(add), .backward = add_backward)

/* a, b: numbers of one type, broadcast; y in their common shape.  Integers wrap around. */
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

BINARY(sub, NUMBERS, TD_FILL_NORMAL)
TD_OP(sub, BINARY_OP(sub), .backward = sub_backward)

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

BINARY(mul, NUMBERS, TD_FILL_NORMAL)
TD_OP(mul, BINARY_OP(mul), .backward = mul_backward)

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

BINARY(div, FLOATS, TD_FILL_POSITIVE)
TD_OP(div, BINARY_OP(div), .backward = div_backward)

TD_API td_value *td_div(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, div, NULL, a, b) : NULL;
}

/* ---- remainder: y = a - b floor(a / b), with the sign of b (torch.remainder); db = -dy floor(a / b) -------------- */

static void remainder_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *floors;

	if (td_wants(n, 0))
		dx[0] = td_sum_like(c, dy[0], n->in[0]);
	if (!td_wants(n, 1))
		return;
	floors = td_floor(c, td_div(c, n->in[0], n->in[1]));
	dx[1] = td_sum_like(c, td_neg(c, td_mul(c, dy[0], floors)), n->in[1]);
}

ELEMENTWISE(remainder, NUMBERS)
APPLY_BINARY(remainder)

/* Nothing that divides evenly: there the remainder jumps. */
static bool remainder_sample(int i, td_sample *s)
{
	s->apply = remainder_apply;
	if (!elementwise_sample_binary(i, s, i % 2 ? TD_FILL_POSITIVE : TD_FILL_NORMAL, NUMBERS))
		return false;
	if (i < 7)
		s->in[1].fill = TD_FILL_SMALL;
	return true;
}

TD_OP(remainder, BINARY_OP(remainder), .backward = remainder_backward)

/* Of integers 0 where b is 0; of floating values NaN there. */
TD_API td_value *td_remainder(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, remainder, NULL, a, b) : NULL;
}

/* ---- maximum: y = the larger; a NaN wins; equal elements share the gradient -------------------------------------- */

static void extreme_backward(td_ctx *c, const td_node *n, td_value *dy, td_value **dx, bool largest)
{
	for (int i = 0; i < 2; i++)
		if (td_wants(n, i)) {
			td_value *x = n->in[i], *other = n->in[1 - i],
				 *slope = largest ? td_maximum_slope(c, x, other) : td_maximum_slope(c, other, x);

			dx[i] = td_sum_like(c, td_mul(c, dy, slope), x);
		}
}

static void maximum_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	extreme_backward(c, n, dy[0], dx, true);
}

BINARY(maximum, NUMBERS, TD_FILL_NORMAL)
TD_OP(maximum, BINARY_OP(maximum), .backward = maximum_backward)

TD_API td_value *td_maximum(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, maximum, NULL, a, b) : NULL;
}

/* ---- minimum: y = the smaller; a NaN wins; equal elements share the gradient ------------------------------------- */

static void minimum_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	extreme_backward(c, n, dy[0], dx, false);
}

BINARY(minimum, NUMBERS, TD_FILL_NORMAL)
TD_OP(minimum, BINARY_OP(minimum), .backward = minimum_backward)

TD_API td_value *td_minimum(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, minimum, NULL, a, b) : NULL;
}

/* ---- maximum_slope: the derivative of maximum by a: 0 where a < b, 1/2 where they are equal, else 1 -------------- */

BINARY(maximum_slope, FLOATS, TD_FILL_NORMAL)
TD_OP(maximum_slope, BINARY_OP(maximum_slope), .backward = td_nodiff)

TD_API td_value *td_maximum_slope(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, maximum_slope, NULL, a, b) : NULL;
}

/* ---- neg: y = -x ------------------------------------------------------------------------------------------------- */

static void neg_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	(void)n;
	dx[0] = td_neg(c, dy[0]);
}

UNARY(neg, NUMBERS, TD_FILL_NORMAL)
TD_OP(neg, UNARY_OP(neg), .backward = neg_backward)

TD_API td_value *td_neg(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, neg, NULL, x) : NULL;
}

/* ---- abs: y = |x|; dx = dy sign(x) ------------------------------------------------------------------------------- */

static void abs_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_sign(c, n->in[0]));
}

UNARY(abs, NUMBERS, TD_FILL_NORMAL)
TD_OP(abs, UNARY_OP(abs), .backward = abs_backward)

TD_API td_value *td_abs(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, abs, NULL, x) : NULL;
}

/* ---- sign: y = -1, 0 or 1; of a NaN 0, as in torch --------------------------------------------------------------- */

UNARY(sign, NUMBERS, TD_FILL_NORMAL)
TD_OP(sign, UNARY_OP(sign), .backward = td_nodiff)

TD_API td_value *td_sign(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, sign, NULL, x) : NULL;
}

/* ---- square: y = x^2; dx = 2 x dy -------------------------------------------------------------------------------- */

static void square_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, dy[0], td_add(c, n->in[0], n->in[0]));
}

UNARY(square, NUMBERS, TD_FILL_NORMAL)
TD_OP(square, UNARY_OP(square), .backward = square_backward)

TD_API td_value *td_square(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, square, NULL, x) : NULL;
}

/* ---- relu: y = max(x, 0), NaN stays NaN; dx = dy where y > 0 ----------------------------------------------------- */

static void relu_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_relu_dx(c, dy[0], n->out[0]);
}

UNARY(relu, FLOATS, TD_FILL_NORMAL)
TD_OP(relu, UNARY_OP(relu), .backward = relu_backward)

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

ELEMENTWISE_FORWARD(relu_dx, FLOATS)
APPLY_BINARY(relu_dx)

/* Equal shapes: in one order, and in two. */
static bool relu_dx_sample(int i, td_sample *s)
{
	s->apply = relu_dx_apply;
	return i < 2 && elementwise_sample_binary(i ? 4 : 0, s, TD_FILL_NORMAL, FLOATS);
}

TD_OP(relu_dx, .n_in = 2, .n_out = 1, .inplace = 3, .infer = relu_dx_infer, .forward = { relu_dx_forward },
	.backward = relu_dx_backward, .sample = relu_dx_sample)

TD_API td_value *td_relu_dx(td_ctx *c, td_value *dy, td_value *y)
{
	return dy && y ? TD_APPLY(c, relu_dx, NULL, dy, y) : NULL;
}

/* ---- lerp: a + weight (b - a), made of the ops */

/* a, b, weight: floating, broadcast (torch.lerp). */
TD_API td_value *td_lerp(td_ctx *c, td_value *a, td_value *b, td_value *weight)
{
	return td_add(c, a, td_mul(c, weight, td_sub(c, b, a)));
}

/* ---- cast: the same numbers in another type; the gradient is cast back ------------------------------------------- */

typedef struct cast_attrs {
	td_dtype to;
} cast_attrs;

static const td_field cast_fields[] = { TD_FIELD(cast_attrs, to), { 0 } };

static void cast_infer(td_infer *q)
{
	td_dtype to = ((const cast_attrs *)q->attrs)->to;

	if ((unsigned)to >= TD_N_DTYPES) { /* a saved graph may say anything */
		td_fail(q->ctx, TD_INVALID, "cast: there is no element type %u", (unsigned)to);
		return;
	}
	q->out[0] = *q->in[0];
	q->out[0].dtype = to;
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
	int64_t first, n = ops_slice(j->n, slice, &first);

	k_convert((int)j->to, (int)j->from, j->y + first * (int64_t)td_dtype_size(j->to),
		j->x + first * (int64_t)td_dtype_size(j->from), n, 1);
}

static void cast_forward(const td_call *call)
{
	struct cast_job j = { call->out[0].shape->dtype, call->in[0].shape->dtype, call->out[0].data, call->in[0].data,
		td_shape_count(call->in[0].shape) };

	threads_run(call->threads, ops_n_slices(j.n), cast_slice, &j);
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
	return elementwise_sample_unary(i, s, TD_FILL_NORMAL, ANYTHING);
}

TD_OP(cast, .n_in = 1, .n_out = 1, .attrs_size = sizeof(cast_attrs), .fields = cast_fields, .infer = cast_infer,
	.forward = { cast_forward }, .backward = cast_backward, .sample = cast_sample)

/* X itself when it has the type already. */
TD_API td_value *td_cast(td_ctx *c, td_value *x, td_dtype to)
{
	if (!x || x->shape.dtype == to)
		return x;
	return TD_APPLY(c, cast, (&(cast_attrs){ to }), x);
}
