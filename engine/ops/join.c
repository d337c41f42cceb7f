/* Joining and cutting along an axis.  In memory a value is a row of blocks, one for each setting of the axes that lie
 * before the axis in question; joining interleaves blocks, cutting takes a piece out of each. */
#include "ops/ops.h"

#include "td_ops.h"

typedef struct join_attrs {
	int64_t axis, start, end; /* concat reads AXIS alone */
} join_attrs;

/* Blocks of X around AXIS: how many, and the elements of one per unit of the axis. */
static void blocks(const td_shape *x, int64_t axis, int64_t *n_blocks, int64_t *unit)
{
	bool before = true;

	*n_blocks = *unit = 1;
	for (int i = 0; i < x->rank; i++) {
		int at_axis = x->order == TD_CHANNELS_LAST && i ? (i == x->rank - 1 ? 1 : i + 1) : i;
		if (at_axis == axis)
			before = false;
		else
			*(before ? n_blocks : unit) *= x->dim[at_axis];
	}
}

/* Copy COUNT units of every block, from unit FROM_AT of X to unit TO_AT of Y. */
static void copy_units(const td_view *y, int64_t to_at, const td_view *x, int64_t from_at, int64_t axis, int64_t count)
{
	size_t size = td_dtype_size(x->shape->dtype);
	int64_t n_blocks, unit;

	blocks(x->shape, axis, &n_blocks, &unit);
	for (int64_t i = 0; i < n_blocks; i++)
		memcpy(at(y->data, (i * y->shape->dim[axis] + to_at) * unit, size),
			at_const(x->data, (i * x->shape->dim[axis] + from_at) * unit, size),
			(size_t)(count * unit) * size);
}

static bool join_axis_legal(td_infer *q, const char *op, int64_t axis)
{
	char text[TD_SHAPE_TEXT];

	if (axis >= 0 && axis < q->in[0]->rank)
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s: %s has no axis %lld", op, td_shape_text(q->in[0], text), (long long)axis);
	return false;
}

/* ---- concat: a, then b, along an axis ---------------------------------------------------------------------------- */

static void concat_infer(td_infer *q)
{
	int64_t axis = ((const join_attrs *)q->attrs)->axis;
	const td_shape *a = q->in[0], *b = q->in[1];
	char ta[TD_SHAPE_TEXT], tb[TD_SHAPE_TEXT];
	bool fits = a->rank == b->rank && a->dtype == b->dtype;

	if (!join_axis_legal(q, "concat", axis))
		return;
	for (int i = 0; i < a->rank && fits; i++)
		fits = i == axis || a->dim[i] == b->dim[i];
	if (!fits) {
		td_fail(q->ctx, TD_SHAPE, "concat along axis %lld: %s and %s differ in more than that axis",
			(long long)axis, td_shape_text(a, ta), td_shape_text(b, tb));
		return;
	}
	ops_infer_same(q);
	q->out[0].dim[axis] += b->dim[axis];
}

static void concat_forward(const td_call *call)
{
	int64_t axis = ((const join_attrs *)call->attrs)->axis, at_b = call->in[0].shape->dim[axis];

	copy_units(&call->out[0], 0, &call->in[0], 0, axis, at_b);
	copy_units(&call->out[0], at_b, &call->in[1], 0, axis, call->in[1].shape->dim[axis]);
}

static void concat_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	int axis = (int)((const join_attrs *)n->attrs)->axis;

	for (int i = 0; i < 2; i++)
		if (td_wants(n, i))
			dx[i] = td_concat_part(c, dy[0], n->in[0], n->in[1], i, axis);
}

static td_value *concat_apply_1(td_ctx *c, td_value *const *in)
{
	return td_concat(c, in[0], in[1], 1);
}
static td_value *concat_apply_last(td_ctx *c, td_value *const *in)
{
	return td_concat(c, in[0], in[1], 3);
}

static bool concat_sample(int i, td_sample *s)
{
	if (i >= 3)
		return false;
	s->apply = i == 2 ? concat_apply_last : concat_apply_1;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 4, 5);
	if (i == 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 4, 1);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 2, 4, 5);
	s->in[0].shape.order = i ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = s->in[1].batched = true;
	return true;
}

TD_OP(concat, .n_in = 2, .n_out = 1, .attrs_size = sizeof(join_attrs), .infer = concat_infer,
	.forward = { concat_forward }, .backward = concat_backward, .sample = concat_sample)

static td_value *in_order(td_ctx *c, td_value *x, const td_value *like)
{
	return like->shape.order == TD_CHANNELS_LAST ? ops_channels_last(c, x) : ops_row_major(c, x);
}

/* a, b: alike in all axes but AXIS; y lies as a does. */
TD_API td_value *td_concat(td_ctx *c, td_value *a, td_value *b, int axis)
{
	return a && b ? TD_APPLY(c, concat, (&(join_attrs){ axis, 0, 0 }), a, in_order(c, b, a)) : NULL;
}

/* ---- concat_part: of what concat joined, the part of a (0) or of b (1); only the shapes of a and b are read ------ */

static void concat_part_infer(td_infer *q)
{
	const join_attrs *t = q->attrs;
	char ty[TD_SHAPE_TEXT], ta[TD_SHAPE_TEXT], tb[TD_SHAPE_TEXT];
	bool fits = true;

	if (!join_axis_legal(q, "concat_part", t->axis))
		return;
	for (int k = 0; k < 2; k++)
		for (int i = 0; i < q->in[0]->rank && fits; i++)
			fits = q->in[1 + k]->rank == q->in[0]->rank &&
			       (i == t->axis || q->in[1 + k]->dim[i] == q->in[0]->dim[i]);
	if (!fits || q->in[0]->dim[t->axis] != q->in[1]->dim[t->axis] + q->in[2]->dim[t->axis]) {
		td_fail(q->ctx, TD_SHAPE, "concat_part: %s is not %s and %s along axis %lld",
			td_shape_text(q->in[0], ty), td_shape_text(q->in[1], ta), td_shape_text(q->in[2], tb),
			(long long)t->axis);
		return;
	}
	ops_infer_same(q);
	q->out[0].dim[t->axis] = q->in[1 + t->start]->dim[t->axis];
}

static void concat_part_forward(const td_call *call)
{
	const join_attrs *t = call->attrs;

	copy_units(&call->out[0], 0, &call->in[0], t->start ? call->in[1].shape->dim[t->axis] : 0, t->axis,
		call->out[0].shape->dim[t->axis]);
}

static void concat_part_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const join_attrs *t = n->attrs;
	td_value *none;

	if (!td_wants(n, 0))
		return;
	none = td_zeros_like(c, td_concat_part(c, n->in[0], n->in[1], n->in[2], !t->start, (int)t->axis));
	dx[0] = t->start ? td_concat(c, none, dy[0], (int)t->axis) : td_concat(c, dy[0], none, (int)t->axis);
}

static td_value *concat_part_apply_a(td_ctx *c, td_value *const *in)
{
	return td_concat_part(c, in[0], in[1], in[2], 0, 1);
}
static td_value *concat_part_apply_b(td_ctx *c, td_value *const *in)
{
	return td_concat_part(c, in[0], in[1], in[2], 1, 1);
}

static bool concat_part_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = i % 2 ? concat_part_apply_b : concat_part_apply_a;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 5, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 2, 3, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 2, 2, 4, 3);
	s->in[0].shape.order = i / 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = s->in[1].batched = s->in[2].batched = true;
	s->in[1].fixed = s->in[2].fixed = true;
	return true;
}

TD_OP(concat_part, .n_in = 3, .n_out = 1, .shape_only = 6, .attrs_size = sizeof(join_attrs), .infer = concat_part_infer,
	.forward = { concat_part_forward }, .backward = concat_part_backward, .sample = concat_part_sample)

TD_API td_value *td_concat_part(td_ctx *c, td_value *y, td_value *a, td_value *b, int which, int axis)
{
	return y && a && b ? TD_APPLY(c, concat_part, (&(join_attrs){ axis, which, 0 }), y, a, b) : NULL;
}

/* ---- slice: elements START .. END-1 along an axis ---------------------------------------------------------------- */

static bool slice_range(td_infer *q, const td_shape *x)
{
	const join_attrs *t = q->attrs;
	char text[TD_SHAPE_TEXT];

	if (t->axis >= 0 && t->axis < x->rank && t->start >= 0 && t->start <= TD_MIN(t->end, x->dim[t->axis]) &&
		(t->end == TD_SIZE_END || t->end <= x->dim[t->axis]))
		return true;
	td_fail(q->ctx, TD_SHAPE, "slice: %s has no elements %lld to %lld along axis %lld", td_shape_text(x, text),
		(long long)t->start, (long long)t->end - 1, (long long)t->axis);
	return false;
}

static void slice_infer(td_infer *q)
{
	const join_attrs *t = q->attrs;

	if (!slice_range(q, q->in[0]))
		return;
	ops_infer_same(q);
	q->out[0].dim[t->axis] = TD_MIN(t->end, q->in[0]->dim[t->axis]) - t->start;
}

static void slice_forward(const td_call *call)
{
	const join_attrs *t = call->attrs;

	copy_units(&call->out[0], 0, &call->in[0], t->start, t->axis, call->out[0].shape->dim[t->axis]);
}

static void slice_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const join_attrs *t = n->attrs;

	dx[0] = td_slice_dx(c, dy[0], n->in[0], (int)t->axis, t->start, t->end);
}

static td_value *slice_apply(td_ctx *c, td_value *const *in)
{
	return td_slice(c, in[0], 1, 1, 3);
}
static td_value *slice_apply_end(td_ctx *c, td_value *const *in)
{
	return td_slice(c, in[0], 2, 2, TD_SIZE_END);
}

static bool slice_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = i % 2 ? slice_apply_end : slice_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 4, 5, 3);
	s->in[0].shape.order = i / 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(slice, .n_in = 1, .n_out = 1, .attrs_size = sizeof(join_attrs), .infer = slice_infer,
	.forward = { slice_forward }, .backward = slice_backward, .sample = slice_sample)

/* END may be TD_SIZE_END. */
TD_API td_value *td_slice(td_ctx *c, td_value *x, int axis, int64_t start, int64_t end)
{
	return x ? TD_APPLY(c, slice, (&(join_attrs){ axis, start, end }), x) : NULL;
}

/* ---- slice_dx: dy in its place, zeros around it; only the shape of x is read ------------------------------------- */

static void slice_dx_infer(td_infer *q)
{
	const join_attrs *t = q->attrs;
	td_shape y = *q->in[1];

	if (!slice_range(q, q->in[1]))
		return;
	y.dim[t->axis] = TD_MIN(t->end, y.dim[t->axis]) - t->start;
	if (!ops_need_like(q, "slice_dx", 0, &y))
		return;
	q->out[0] = *q->in[1];
	q->out[0].order = q->in[0]->order;
}

static void slice_dx_forward(const td_call *call)
{
	const join_attrs *t = call->attrs;

	memset(call->out[0].data, 0, td_shape_bytes(call->out[0].shape));
	copy_units(&call->out[0], t->start, &call->in[0], 0, t->axis, call->in[0].shape->dim[t->axis]);
}

static void slice_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = TD_APPLY(c, slice, n->attrs, dy[0]);
}

static td_value *slice_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_slice_dx(c, in[0], in[1], 1, 1, 3);
}

static bool slice_dx_sample(int i, td_sample *s)
{
	s->apply = slice_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 2, 3);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 2, 4, 3);
	s->in[0].batched = s->in[1].batched = true;
	s->in[1].fixed = true;
	return i < 1;
}

TD_OP(slice_dx, .n_in = 2, .n_out = 1, .shape_only = 2, .attrs_size = sizeof(join_attrs), .infer = slice_dx_infer,
	.forward = { slice_dx_forward }, .backward = slice_dx_backward, .sample = slice_dx_sample)

/* dy: the gradient of td_slice(x, axis, start, end). */
TD_API td_value *td_slice_dx(td_ctx *c, td_value *dy, td_value *x, int axis, int64_t start, int64_t end)
{
	return dy && x ? TD_APPLY(c, slice_dx, (&(join_attrs){ axis, start, end }), in_order(c, dy, x), x) : NULL;
}
