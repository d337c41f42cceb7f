/* Joining and cutting along an axis.  In memory a value is a row of blocks, one for each setting of the axes that lie
 * before the axis in question; joining interleaves blocks, cutting takes a piece out of each. */
#include "ops/ops.h"

#include "td_ops.h"

/* Blocks of X around AXIS: how many, and the elements of one per unit of the axis. */
static void blocks(const td_shape *x, int64_t axis, int64_t *n_blocks, int64_t *unit)
{
	bool before = true;

	*n_blocks = *unit = 1;
	for (int i = 0; i < x->rank; i++) {
		int at_axis = ops_memory_axis(x, i);
		if (at_axis == axis)
			before = false;
		else
			*(before ? n_blocks : unit) *= x->dim[at_axis];
	}
}

/* Some units of each block: every STEP-th from FROM on. */
struct units {
	int64_t from, step;
};

/* Copy COUNT units of every block of X to their places in Y. */
static void copy_units(
	const td_view *y, struct units to, const td_view *x, struct units from, int64_t axis, int64_t count)
{
	size_t size = td_dtype_size(x->shape->dtype);
	int64_t n_blocks, unit, together = to.step == 1 && from.step == 1 ? count : 1;

	blocks(x->shape, axis, &n_blocks, &unit);
	if (!count || !unit)
		return;
	for (int64_t i = 0; i < n_blocks; i++)
		for (int64_t k = 0; k < count; k += together)
			memcpy(at(y->data, (i * y->shape->dim[axis] + to.from + k * to.step) * unit, size),
				at_const(x->data, (i * x->shape->dim[axis] + from.from + k * from.step) * unit, size),
				(size_t)(together * unit) * size);
}

/* ---- concat: one after the other along an axis ------------------------------------------------------------------- */

#define CONCAT_MOST (TD_MOST_IN - 1) /* its gradient has one input more */

typedef struct concat_attrs {
	int64_t axis;
	int64_t part; /* of concat_part: whose; concat reads AXIS alone */
} concat_attrs;

static const td_field concat_fields[] = { TD_FIELD(concat_attrs, axis), TD_FIELD(concat_attrs, part), { 0 } };

/* Shapes IN[0] .. that there are. */
static int n_given(const td_shape *const *in, int most)
{
	int n = 0;

	while (n < most && in[n])
		n++;
	return n;
}

/* The shape of the N values IN, joined. */
static bool join_shapes(td_infer *q, const td_shape *const *in, int n, td_shape *y)
{
	int64_t axis = ((const concat_attrs *)q->attrs)->axis;
	char ta[TD_SHAPE_TEXT], tb[TD_SHAPE_TEXT];

	*y = *in[0];
	if (!ops_need_axis(q, "concat", y, axis))
		return false;
	for (int k = 1; k < n; k++) {
		bool fits = in[k]->rank == y->rank && in[k]->dtype == y->dtype;

		for (int i = 0; i < y->rank && fits; i++)
			fits = i == axis || in[k]->dim[i] == y->dim[i];
		if (!fits) {
			td_fail(q->ctx, TD_SHAPE,
				"concat along axis %lld: %s and %s differ in more than that axis; give them one type "
				"and the same other sizes",
				(long long)axis, td_shape_text(in[0], ta), td_shape_text(in[k], tb));
			return false;
		}
		y->dim[axis] += in[k]->dim[axis];
	}
	return true;
}

static void concat_infer(td_infer *q)
{
	join_shapes(q, q->in, n_given(q->in, CONCAT_MOST), &q->out[0]);
}

static void concat_forward(const td_call *call)
{
	int64_t axis = ((const concat_attrs *)call->attrs)->axis, start = 0;

	for (int i = 0; i < CONCAT_MOST && call->in[i].shape; start += call->in[i++].shape->dim[axis])
		copy_units(&call->out[0], (struct units){ start, 1 }, &call->in[i], (struct units){ 0, 1 }, axis,
			call->in[i].shape->dim[axis]);
}

static td_value *concat_part(td_ctx *c, td_value *y, td_value *const *xs, int n, int which, int64_t axis);

static void concat_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	int count = 0;

	while (count < CONCAT_MOST && n->in[count])
		count++;
	for (int i = 0; i < count; i++)
		if (td_wants(n, i))
			dx[i] = concat_part(c, dy[0], n->in, count, i, ((const concat_attrs *)n->attrs)->axis);
}

static td_value *concat_apply_1(td_ctx *c, td_value *const *in)
{
	return td_concat(c, in[0], in[1], 1);
}
static td_value *concat_apply_last(td_ctx *c, td_value *const *in)
{
	return td_concat(c, in[0], in[1], -1);
}
static td_value *concat_apply_four(td_ctx *c, td_value *const *in)
{
	return td_concat_all(c, in, 4, 1);
}
static td_value *concat_apply_stack(td_ctx *c, td_value *const *in)
{
	return td_stack(c, in, 2, 1);
}
static td_value *concat_apply_many(td_ctx *c, td_value *const *in)
{
	td_value *xs[40];

	for (int i = 0; i < 40; i++)
		xs[i] = in[i % 2];
	return td_concat_all(c, xs, 40, 0);
}

static bool concat_sample(int i, td_sample *s)
{
	td_dtype d = i == 6 ? TD_I64 : TD_F32;
	enum td_fill fill = i == 6 ? TD_FILL_LABELS : TD_FILL_NORMAL;

	s->apply = i < 2    ? concat_apply_1
		   : i == 2 ? concat_apply_last
		   : i < 5  ? concat_apply_four
		   : i < 7  ? concat_apply_stack
			    : concat_apply_many;
	if (i < 5) {
		SAMPLE_INPUT(s, fill, d, 2, 3, 4, 5);
		SAMPLE_INPUT(s, fill, d, 2, i == 2 ? 3 : 2, 4, i == 2 ? 1 : 5);
	} else if (i < 8) {
		SAMPLE_INPUT(s, fill, d, 3, 2);
		SAMPLE_INPUT(s, fill, d, 3, 2);
	}
	if (i == 3 || i == 4) {
		SAMPLE_INPUT(s, fill, d, 2, 0, 4, 5);
		SAMPLE_INPUT(s, fill, d, 2, 1, 4, 5);
	}
	s->in[0].shape.order = i == 1 || i == 2 || i == 4 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].classes = s->in[1].classes = 9;
	for (int k = 0; k < s->n_in; k++)
		s->in[k].batched = true;
	return i < 8;
}

TD_OP(concat, .n_in = CONCAT_MOST, .n_out = 1, .optional = 0x7ffe, .attrs_size = sizeof(concat_attrs),
	.fields = concat_fields, .infer = concat_infer, .forward = { concat_forward }, .backward = concat_backward,
	.sample = concat_sample)

/* XS: up to CONCAT_MOST. */
static td_value *concat_some(td_ctx *c, td_value *const *xs, int n, int axis)
{
	td_value *in[CONCAT_MOST];

	for (int i = 0; i < n; i++)
		if (!(in[i] = ops_in_order(c, xs[i], xs[0])))
			return NULL;
	return td_apply(c, &td_op_concat, &(concat_attrs){ axis, 0 }, in, n);
}

/* torch.cat of N values (at least 1), alike in type and in all axes but AXIS; y lies as the first does. */
TD_API td_value *td_concat_all(td_ctx *c, td_value *const *xs, int n, int axis)
{
	td_value **group, *y;
	int n_groups = 0;

	if (n < 1)
		return td_fail(c, TD_INVALID, "concat needs at least one value");
	for (int i = 0; i < n; i++)
		if (!xs[i])
			return NULL;
	if (!ops_axis(c, "concat", xs[0], &axis))
		return NULL;
	if (n <= CONCAT_MOST)
		return concat_some(c, xs, n, axis);
	group = MEM_NEW_N(td_value *, n);
	for (int i = 0; i < n; i += CONCAT_MOST)
		group[n_groups++] = concat_some(c, xs + i, TD_MIN(n - i, CONCAT_MOST), axis);
	y = td_concat_all(c, group, n_groups, axis);
	mem_free(group);
	return y;
}

TD_API td_value *td_concat(td_ctx *c, td_value *a, td_value *b, int axis)
{
	return td_concat_all(c, (td_value *[]){ a, b }, 2, axis);
}

/* torch.stack of N values of one shape: along a new axis, which stands at AXIS of y (-1: last). */
TD_API td_value *td_stack(td_ctx *c, td_value *const *xs, int n, int axis)
{
	td_value **wide, *y;
	char first[TD_SHAPE_TEXT], other[TD_SHAPE_TEXT];

	if (n < 1)
		return td_fail(c, TD_INVALID, "stack needs at least one value");
	for (int i = 0; i < n; i++)
		if (!xs[i])
			return NULL;
	if (axis < -xs[0]->shape.rank - 1 || axis > xs[0]->shape.rank || xs[0]->shape.rank == TD_MAX_RANK)
		return td_fail(c, TD_SHAPE, "stack: no axis %d can be added to %s (at most %d)", axis,
			td_shape_text(&xs[0]->shape, first), TD_MAX_RANK);
	for (int i = 1; i < n; i++)
		if (!td_shape_same(&xs[i]->shape, &xs[0]->shape))
			return td_fail(c, TD_SHAPE, "stack needs values of one shape, not %s and %s",
				td_shape_text(&xs[0]->shape, first), td_shape_text(&xs[i]->shape, other));
	wide = MEM_NEW_N(td_value *, n);
	for (int i = 0; i < n; i++)
		wide[i] = td_unsqueeze(c, xs[i], axis);
	y = wide[0] ? td_concat_all(c, wide, n, axis < 0 ? axis + wide[0]->shape.rank : axis) : NULL;
	mem_free(wide);
	return y;
}

/* ---- concat_part: of what concat joined, one part; of the parts only shapes are read ------------------------------
 */

static void concat_part_infer(td_infer *q)
{
	const concat_attrs *a = q->attrs;
	int n = n_given(q->in + 1, CONCAT_MOST);
	td_shape y;

	if (!join_shapes(q, q->in + 1, n, &y) || !ops_need_like(q, "concat_part", 0, &y))
		return;
	if (a->part < 0 || a->part >= n) {
		td_fail(q->ctx, TD_INVALID, "concat_part: there is no part %lld of %d", (long long)a->part, n);
		return;
	}
	ops_infer_same(q);
	q->out[0].dim[a->axis] = q->in[1 + a->part]->dim[a->axis];
}

static void concat_part_forward(const td_call *call)
{
	const concat_attrs *a = call->attrs;
	int64_t start = 0;

	for (int i = 0; i < a->part; i++)
		start += call->in[1 + i].shape->dim[a->axis];
	copy_units(&call->out[0], (struct units){ 0, 1 }, &call->in[0], (struct units){ start, 1 }, a->axis,
		call->out[0].shape->dim[a->axis]);
}

/* The part among zeros. */
static void concat_part_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const concat_attrs *a = n->attrs;
	td_value *parts[CONCAT_MOST];
	int count = 0;

	if (!td_wants(n, 0))
		return;
	for (; count < CONCAT_MOST && n->in[1 + count]; count++)
		parts[count] = count == a->part ? dy[0] : td_zeros_like(c, n->in[1 + count]);
	dx[0] = td_concat_all(c, parts, count, (int)a->axis);
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

TD_OP(concat_part, .n_in = TD_MOST_IN, .n_out = 1, .optional = 0xfffc, .shape_only = 0xfffe,
	.attrs_size = sizeof(concat_attrs), .fields = concat_fields, .infer = concat_part_infer,
	.forward = { concat_part_forward }, .backward = concat_part_backward, .sample = concat_part_sample)

static td_value *concat_part(td_ctx *c, td_value *y, td_value *const *xs, int n, int which, int64_t axis)
{
	td_value *in[TD_MOST_IN] = { y };

	memcpy(in + 1, xs, sizeof *in * (size_t)n);
	return td_apply(c, &td_op_concat_part, &(concat_attrs){ axis, which }, in, 1 + n);
}

/* Of y = td_concat(a, b, axis) the part of a (0) or of b (1). */
TD_API td_value *td_concat_part(td_ctx *c, td_value *y, td_value *a, td_value *b, int which, int axis)
{
	return y && a && b ? concat_part(c, y, (td_value *[]){ a, b }, 2, which, axis) : NULL;
}

/* ---- slice: some elements along an axis -------------------------------------------------------------------------- */

typedef struct slice_attrs {
	int64_t axis;
	int64_t start, end, step; /* negative: from the end of the axis */
	int64_t parts;            /* not 0: part START of so many, the rest is not read */
} slice_attrs;

static const td_field slice_fields[] = { TD_FIELD(slice_attrs, axis), TD_FIELD(slice_attrs, start),
	TD_FIELD(slice_attrs, end), TD_FIELD(slice_attrs, step), TD_FIELD(slice_attrs, parts), { 0 } };

static int64_t within(int64_t i, int64_t size)
{
	return i < 0 ? TD_MAX(i + size, 0) : TD_MIN(i, size);
}

/* The units of an axis of SIZE elements, and how many. */
static struct units slice_units(const slice_attrs *a, int64_t size, int64_t *count)
{
	int64_t per = a->parts ? (size + a->parts - 1) / a->parts : 0;
	int64_t from = a->parts ? TD_MIN(a->start * per, size) : within(a->start, size);
	int64_t to = a->parts ? TD_MIN(from + per, size) : within(a->end, size);

	*count = to > from ? (to - from - 1) / a->step + 1 : 0;
	return (struct units){ from, a->step };
}

/* X's shape, sliced, into Y. */
static bool slice_shape(td_infer *q, const td_shape *x, td_shape *y)
{
	const slice_attrs *a = q->attrs;

	if (!ops_need_axis(q, "slice", x, a->axis))
		return false;
	if (a->step < 1 || a->parts < 0 || a->parts > INT32_MAX ||
		(a->parts && (a->start < 0 || a->start >= a->parts))) {
		td_fail(q->ctx, TD_INVALID, "slice: part %lld of %lld with a step of %lld is nothing",
			(long long)a->start, (long long)a->parts, (long long)a->step);
		return false;
	}
	*y = *x;
	slice_units(a, x->dim[a->axis], &y->dim[a->axis]);
	return true;
}

static void slice_infer(td_infer *q)
{
	slice_shape(q, q->in[0], &q->out[0]);
}

static void slice_forward(const td_call *call)
{
	const slice_attrs *a = call->attrs;
	int64_t count;
	struct units from = slice_units(a, call->in[0].shape->dim[a->axis], &count);

	copy_units(&call->out[0], (struct units){ 0, 1 }, &call->in[0], from, a->axis, count);
}

static td_value *slice_dx_by(td_ctx *c, td_value *dy, td_value *x, const slice_attrs *a);

static void slice_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = slice_dx_by(c, dy[0], n->in[0], n->attrs);
}

static td_value *slice_apply(td_ctx *c, td_value *const *in)
{
	return td_slice(c, in[0], 1, 1, 3);
}
static td_value *slice_apply_end(td_ctx *c, td_value *const *in)
{
	return td_slice(c, in[0], 2, 2, TD_SIZE_END);
}
static td_value *slice_apply_step(td_ctx *c, td_value *const *in)
{
	return td_slice_step(c, in[0], 2, -4, 99, 2);
}
static td_value *slice_apply_chunk(td_ctx *c, td_value *const *in)
{
	td_value *parts[3];

	return td_chunk(c, in[0], 3, 0, parts) ? td_concat(c, parts[2], parts[0], 0) : NULL;
}
static td_value *slice_apply_select(td_ctx *c, td_value *const *in)
{
	return td_select(c, in[0], 1, -1);
}
static td_value *slice_apply_none(td_ctx *c, td_value *const *in)
{
	return td_slice(c, in[0], -1, 3, 1);
}

static td_value *(*const slice_applies[])(td_ctx *, td_value *const *) = { slice_apply, slice_apply_end,
	slice_apply_step, slice_apply_chunk, slice_apply_select, slice_apply_none };

static bool slice_sample(int i, td_sample *s)
{
	const int n = (int)TD_COUNT(slice_applies);

	if (i >= 2 * n + 1)
		return false;
	s->apply = slice_applies[i % n];
	SAMPLE_INPUT(s, i == 2 * n ? TD_FILL_LABELS : TD_FILL_NORMAL, i == 2 * n ? TD_U8 : TD_F32, 2, 4, 5, 3);
	s->in[0].classes = 9;
	s->in[0].shape.order = i / n == 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(slice, .n_in = 1, .n_out = 1, .attrs_size = sizeof(slice_attrs), .fields = slice_fields, .infer = slice_infer,
	.forward = { slice_forward }, .backward = slice_backward, .sample = slice_sample)

static td_value *slice_by(td_ctx *c, td_value *x, const slice_attrs *a)
{
	return TD_APPLY(c, slice, a, x);
}

/* x[START:END:STEP] along AXIS, as in torch: negative numbers count from the end, what lies beyond an end is cut.
 * STEP: 1 and more; END may be TD_SIZE_END. */
TD_API td_value *td_slice_step(td_ctx *c, td_value *x, int axis, int64_t start, int64_t end, int64_t step)
{
	if (!x || !ops_axis(c, "slice", x, &axis))
		return NULL;
	if (step < 1)
		return td_fail(c, TD_INVALID, "slice needs a step of at least 1, not %lld; flip turns an axis round",
			(long long)step);
	return slice_by(c, x, &(slice_attrs){ axis, start, end, step, 0 });
}

TD_API td_value *td_slice(td_ctx *c, td_value *x, int axis, int64_t start, int64_t end)
{
	return td_slice_step(c, x, axis, start, end, 1);
}

/* torch.select: element I of AXIS, which is gone in y; a negative one counts from the end. */
TD_API td_value *td_select(td_ctx *c, td_value *x, int axis, int64_t i)
{
	char text[TD_SHAPE_TEXT];

	if (!x || !ops_axis(c, "select", x, &axis))
		return NULL;
	if (i < -x->shape.dim[axis] || i >= x->shape.dim[axis])
		return td_fail(c, TD_SHAPE, "select: %s has no element %lld along axis %d",
			td_shape_text(&x->shape, text), (long long)i, axis);
	return td_squeeze(c, td_slice(c, x, axis, i, i == -1 ? TD_SIZE_END : i + 1), axis);
}

/* torch.split into N parts of SIZES along AXIS; the last one goes to the end of the axis.  PARTS[0] or NULL. */
TD_API td_value *td_split(td_ctx *c, td_value *x, const int64_t *sizes, int n, int axis, td_value **parts)
{
	int64_t start = 0, sum = 0;
	char text[TD_SHAPE_TEXT];

	if (n < 1)
		return td_fail(c, TD_INVALID, "split makes at least one part, not %d", n);
	memset(parts, 0, sizeof *parts * (size_t)n);
	if (!x || !ops_axis(c, "split", x, &axis))
		return NULL;
	for (int i = 0; i < n; i++) {
		if (sizes[i] < 0 || sizes[i] > x->shape.dim[axis])
			return td_fail(c, TD_SHAPE, "split: %s has no part of %lld elements along axis %d",
				td_shape_text(&x->shape, text), (long long)sizes[i], axis);
		sum += sizes[i];
	}
	if (sum != x->shape.dim[axis])
		return td_fail(c, TD_SHAPE, "split: the sizes add up to %lld, but %s has %lld elements along axis %d",
			(long long)sum, td_shape_text(&x->shape, text), (long long)x->shape.dim[axis], axis);
	for (int i = 0; i < n; start += sizes[i++])
		parts[i] = td_slice(c, x, axis, start, i == n - 1 ? TD_SIZE_END : start + sizes[i]);
	return parts[0];
}

/* torch.chunk into N parts of equal size along AXIS; if it does not divide, the last are smaller or empty.  PARTS[0] or
 * NULL. */
TD_API td_value *td_chunk(td_ctx *c, td_value *x, int n, int axis, td_value **parts)
{
	if (n < 1)
		return td_fail(c, TD_INVALID, "chunk makes at least one part, not %d", n);
	memset(parts, 0, sizeof *parts * (size_t)n);
	if (!x || !ops_axis(c, "chunk", x, &axis))
		return NULL;
	for (int i = 0; i < n; i++)
		parts[i] = slice_by(c, x, &(slice_attrs){ axis, i, 0, 1, n });
	return parts[0];
}

/* ---- slice_dx: dy in its place, zeros around it; only the shape of x is read ------------------------------------- */

static void slice_dx_infer(td_infer *q)
{
	td_shape y;

	if (!slice_shape(q, q->in[1], &y) || !ops_need_like(q, "slice_dx", 0, &y))
		return;
	q->out[0] = *q->in[1];
	q->out[0].order = q->in[0]->order;
}

static void slice_dx_forward(const td_call *call)
{
	const slice_attrs *a = call->attrs;
	int64_t count;
	struct units to = slice_units(a, call->out[0].shape->dim[a->axis], &count);

	memset(call->out[0].data, 0, td_shape_bytes(call->out[0].shape));
	copy_units(&call->out[0], to, &call->in[0], (struct units){ 0, 1 }, a->axis, count);
}

static void slice_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = slice_by(c, dy[0], n->attrs);
}

static td_value *slice_dx_apply(td_ctx *c, td_value *const *in)
{
	return slice_dx_by(c, in[0], in[1], &(slice_attrs){ 1, 1, 3, 1, 0 });
}
static td_value *slice_dx_apply_step(td_ctx *c, td_value *const *in)
{
	return slice_dx_by(c, in[0], in[1], &(slice_attrs){ 1, -4, -1, 2, 0 });
}

static bool slice_dx_sample(int i, td_sample *s)
{
	s->apply = i ? slice_dx_apply_step : slice_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 2, 3);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 2, 5, 3);
	s->in[0].batched = s->in[1].batched = true;
	s->in[1].fixed = true;
	return i < 2;
}

TD_OP(slice_dx, .n_in = 2, .n_out = 1, .shape_only = 2, .attrs_size = sizeof(slice_attrs), .fields = slice_fields,
	.infer = slice_dx_infer, .forward = { slice_dx_forward }, .backward = slice_dx_backward,
	.sample = slice_dx_sample)

/* dy: the gradient of the slice of x by A. */
static td_value *slice_dx_by(td_ctx *c, td_value *dy, td_value *x, const slice_attrs *a)
{
	return TD_APPLY(c, slice_dx, a, ops_in_order(c, dy, x), x);
}
