/* Masks: filling where one is set, choosing the rows where one is set, and triangles of matrices. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- masked_fill: y = mask ? value : x --------------------------------------------------------------------------- */

typedef struct masked_fill_attrs {
	double value;
} masked_fill_attrs;

static const td_field masked_fill_fields[] = { TD_FIELD(masked_fill_attrs, value), { 0 } };

static void masked_fill_infer(td_infer *q)
{
	const td_shape *x = q->in[0], *mask = q->in[1];
	char tx[TD_SHAPE_TEXT], tm[TD_SHAPE_TEXT];

	if (mask->dtype != TD_BOOL || !ops_fits(mask, x)) {
		td_fail(q->ctx, TD_SHAPE,
			"masked_fill needs a mask of type bool that can be broadcast to %s, not %s; cast or reshape it",
			td_shape_text(x, tx), td_shape_text(mask, tm));
		return;
	}
	ops_infer_same(q);
}

static void masked_fill_forward(const td_call *call)
{
	const td_view *y = &call->out[0];
	const td_shape scalar = { .dtype = y->shape->dtype };
	uint64_t value = 0;

	k_convert((int)scalar.dtype, TD_F64, &value, &((const masked_fill_attrs *)call->attrs)->value, 1, 1);
	ops_choose(call, y, &call->in[1], &(td_view){ &scalar, &value }, &call->in[0]);
}

static void masked_fill_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_masked_fill(c, dy[0], n->in[1], 0);
}

static td_value *masked_fill_apply(td_ctx *c, td_value *const *in)
{
	return td_masked_fill(c, in[0], in[1], 2.5);
}

static bool masked_fill_sample(int i, td_sample *s)
{
	s->apply = masked_fill_apply;
	SAMPLE_INPUT(s, i == 3 ? TD_FILL_LABELS : TD_FILL_NORMAL, i == 3 ? TD_I64 : TD_F32, 3, 4, 5);
	if (i == 0)
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 3, 4, 5);
	else if (i == 1)
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 4, 1);
	else
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 3, 1, 5);
	s->in[0].shape.order = i == 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].classes = 9;
	s->in[1].classes = 2;
	s->in[0].batched = true;
	s->in[1].batched = i != 1;
	return i < 4;
}

TD_OP(masked_fill, .n_in = 2, .n_out = 1, .inplace = 1, .attrs_size = sizeof(masked_fill_attrs),
	.fields = masked_fill_fields, .infer = masked_fill_infer, .forward = { masked_fill_forward },
	.backward = masked_fill_backward, .sample = masked_fill_sample)

/* torch.masked_fill, not in place: MASK bool, broadcast to X; y lies in x's order. */
TD_API td_value *td_masked_fill(td_ctx *c, td_value *x, td_value *mask, double value)
{
	return x && mask ? TD_APPLY(c, masked_fill, (&(masked_fill_attrs){ value }), x, mask) : NULL;
}

/* ---- boolean_mask: the rows of x where mask is set, first and in order; zeros after; and how many there are -------
 */

/* Rows are what lies behind the mask's axes: their number, and the bytes of one of VALUE's. */
static int64_t mask_rows(const td_shape *mask, const td_shape *value, size_t *row)
{
	int64_t n = td_shape_count(mask);

	*row = n ? td_shape_bytes(value) / (size_t)n : 0;
	return n;
}

static void boolean_mask_infer(td_infer *q)
{
	const td_shape *x = q->in[0], *mask = q->in[1];
	char tx[TD_SHAPE_TEXT], tm[TD_SHAPE_TEXT];
	bool fits = mask->dtype == TD_BOOL && mask->rank >= 1 && mask->rank <= x->rank;

	for (int i = 0; i < mask->rank && fits; i++)
		fits = mask->dim[i] == x->dim[i];
	if (!fits) {
		td_fail(q->ctx, TD_SHAPE,
			"boolean_mask needs a mask of type bool with the sizes of the first axes of %s, not %s",
			td_shape_text(x, tx), td_shape_text(mask, tm));
		return;
	}
	q->out[0] = (td_shape){ .dtype = x->dtype, .rank = 1, .dim = { td_shape_count(mask) } };
	for (int i = mask->rank; i < x->rank; i++)
		q->out[0].dim[q->out[0].rank++] = x->dim[i];
	q->out[1] = (td_shape){ .dtype = TD_I64 };
}

static void boolean_mask_forward(const td_call *call)
{
	const uint8_t *mask = call->in[1].data;
	const char *x = call->in[0].data;
	char *y = call->out[0].data;
	size_t row;
	int64_t n = mask_rows(call->in[1].shape, call->in[0].shape, &row), chosen = 0;

	for (int64_t i = 0; i < n; i++)
		if (mask[i])
			memcpy(y + row * (size_t)chosen++, x + row * (size_t)i, row);
	memset(y + row * (size_t)chosen, 0, row * (size_t)(n - chosen));
	*(int64_t *)call->out[1].data = chosen;
}

static void boolean_mask_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0) && dy[0])
		dx[0] = td_boolean_unmask(c, dy[0], n->in[1]);
}

static td_value *boolean_mask_apply(td_ctx *c, td_value *const *in)
{
	td_value *count;

	return td_boolean_mask(c, in[0], in[1], &count);
}
static td_value *boolean_mask_apply_count(td_ctx *c, td_value *const *in)
{
	td_value *count = NULL;

	return td_boolean_mask(c, in[0], in[1], &count) ? count : NULL;
}

static bool boolean_mask_sample(int i, td_sample *s)
{
	s->apply = i == 4 ? boolean_mask_apply_count : boolean_mask_apply;
	SAMPLE_INPUT(s, i == 3 ? TD_FILL_LABELS : TD_FILL_NORMAL, i == 3 ? TD_U8 : TD_F32, 5, 3, 4);
	if (i == 0)
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 5);
	else if (i == 1)
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 5, 3, 4);
	else
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 5, 3);
	s->in[0].shape.order = i == 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].classes = 9;
	s->in[1].classes = 2;
	s->in[0].batched = s->in[1].batched = true;
	return i < 5;
}

TD_OP(boolean_mask, .n_in = 2, .n_out = 2, .infer = boolean_mask_infer, .forward = { boolean_mask_forward },
	.backward = boolean_mask_backward, .sample = boolean_mask_sample)

/* MASK bool has the sizes of the first axes of X.  Sizes never depend on data here: y has as many rows as the mask has
 * elements ([N M, ..] for a mask [N, M]), the chosen ones first and in order, zeros after; *COUNT (int64, a scalar) is
 * how many were chosen.  torch's x[mask] is y's first *COUNT rows. */
TD_API td_value *td_boolean_mask(td_ctx *c, td_value *x, td_value *mask, td_value **count)
{
	td_value *out[TD_MOST_OUT] = { 0 };

	*count = NULL;
	x = ops_row_major(c, x);
	mask = ops_row_major(c, mask);
	if (!x || !mask || !td_apply_all(c, &td_op_boolean_mask, NULL, (td_value *[]){ x, mask }, 2, out))
		return NULL;
	*count = out[1];
	return out[0];
}

/* ---- boolean_unmask: rows back to where the mask is set, zeros elsewhere ------------------------------------------
 */

static void boolean_unmask_infer(td_infer *q)
{
	const td_shape *y = q->in[0], *mask = q->in[1];
	char ty[TD_SHAPE_TEXT], tm[TD_SHAPE_TEXT];
	td_shape *x = &q->out[0];

	if (mask->dtype != TD_BOOL || mask->rank < 1 || y->rank < 1 || y->dim[0] != td_shape_count(mask) ||
		mask->rank + y->rank - 1 > TD_MAX_RANK) {
		td_fail(q->ctx, TD_SHAPE,
			"boolean_unmask needs a row for each element of a mask of type bool, not %s and %s",
			td_shape_text(y, ty), td_shape_text(mask, tm));
		return;
	}
	*x = *mask;
	x->dtype = y->dtype;
	for (int i = 1; i < y->rank; i++)
		x->dim[x->rank++] = y->dim[i];
}

static void boolean_unmask_forward(const td_call *call)
{
	const uint8_t *mask = call->in[1].data;
	const char *y = call->in[0].data;
	char *x = call->out[0].data;
	size_t row;
	int64_t n = mask_rows(call->in[1].shape, call->in[0].shape, &row), chosen = 0;

	for (int64_t i = 0; i < n; i++)
		if (mask[i])
			memcpy(x + row * (size_t)i, y + row * (size_t)chosen++, row);
		else
			memset(x + row * (size_t)i, 0, row);
}

static void boolean_unmask_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *count;

	if (td_wants(n, 0))
		dx[0] = td_boolean_mask(c, dy[0], n->in[1], &count);
}

static td_value *boolean_unmask_apply(td_ctx *c, td_value *const *in)
{
	return td_boolean_unmask(c, in[0], in[1]);
}

static bool boolean_unmask_sample(int i, td_sample *s)
{
	s->apply = boolean_unmask_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 6, 4);
	if (i)
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 2, 3);
	else
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 6);
	s->in[1].classes = 2;
	s->in[0].batched = s->in[1].batched = !i;
	return i < 2;
}

TD_OP(boolean_unmask, .n_in = 2, .n_out = 1, .infer = boolean_unmask_infer, .forward = { boolean_unmask_forward },
	.backward = boolean_unmask_backward, .sample = boolean_unmask_sample)

/* The way back from td_boolean_mask, and its gradient: Y has a row for each element of MASK. */
TD_API td_value *td_boolean_unmask(td_ctx *c, td_value *y, td_value *mask)
{
	return y && mask ? TD_APPLY(c, boolean_unmask, NULL, ops_row_major(c, y), ops_row_major(c, mask)) : NULL;
}

/* ---- triangle: of each matrix, what lies on one side of a diagonal; zeros on the other --------------------------- */

typedef struct triangle_attrs {
	int64_t diagonal; /* which one: column - row */
	int64_t upper;    /* keep what lies on and above it; 0: on and below */
} triangle_attrs;

static const td_field triangle_fields[] = { TD_FIELD(triangle_attrs, diagonal), TD_FIELD(triangle_attrs, upper),
	{ 0 } };

static bool is_matrix(td_infer *q, const char *op)
{
	char text[TD_SHAPE_TEXT];

	if (q->in[0]->rank >= 2)
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s needs matrices [.., rows, columns], not %s", op, td_shape_text(q->in[0], text));
	return false;
}

/* The columns FROM .. TO-1 of a row of COLUMNS that are kept.  A diagonal may lie anywhere, so it is first held to
 * those that touch the row, or lie just beside it. */
static void kept_columns(const triangle_attrs *a, int64_t row, int64_t columns, int64_t *from, int64_t *to)
{
	int64_t on = row + TD_MAX(-row - 1, TD_MIN(a->diagonal, columns - row)); /* -1 .. columns */

	*from = a->upper ? TD_MAX(0, on) : 0;
	*to = a->upper ? columns : TD_MIN(on + 1, columns);
}

static void triangle_infer(td_infer *q)
{
	if (is_matrix(q, "triangle"))
		ops_infer_same(q);
}

static void triangle_forward(const td_call *call)
{
	const td_shape *x = call->in[0].shape;
	int64_t columns = x->dim[x->rank - 1], rows = x->dim[x->rank - 2], count = td_shape_count(x), from, to;
	size_t size = td_dtype_size(x->dtype);

	for (int64_t i = 0; count && i < count / columns; i++) {
		char *y = at(call->out[0].data, i * columns, size);

		kept_columns(call->attrs, i % rows, columns, &from, &to);
		memset(y, 0, (size_t)columns * size);
		memcpy(at(y, from, size), at_const(call->in[0].data, i * columns + from, size),
			(size_t)(to - from) * size);
	}
}

static td_value *triangle_by(td_ctx *c, td_value *x, const triangle_attrs *a);

static void triangle_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = triangle_by(c, dy[0], n->attrs);
}

static td_value *triangle_apply_lower(td_ctx *c, td_value *const *in)
{
	return td_tril(c, in[0], 0);
}
static td_value *triangle_apply_upper(td_ctx *c, td_value *const *in)
{
	return td_triu(c, in[0], -1);
}

static bool triangle_sample(int i, td_sample *s)
{
	s->apply = i % 2 ? triangle_apply_upper : triangle_apply_lower;
	if (i < 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5);
	else
		SAMPLE_INPUT(s, TD_FILL_LABELS, i == 2 ? TD_U8 : TD_I64, 4, 3);
	s->in[0].shape.order = i == 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].classes = 9;
	s->in[0].batched = true;
	return i < 4;
}

TD_OP(triangle, .n_in = 1, .n_out = 1, .attrs_size = sizeof(triangle_attrs), .fields = triangle_fields,
	.infer = triangle_infer, .forward = { triangle_forward }, .backward = triangle_backward,
	.sample = triangle_sample)

static td_value *triangle_by(td_ctx *c, td_value *x, const triangle_attrs *a)
{
	return x ? TD_APPLY(c, triangle, a, ops_row_major(c, x)) : NULL;
}

/* torch.tril: of matrices [.., rows, columns] what lies on and below DIAGONAL (0: the main one, above 0: to the right
 * of it); zeros elsewhere. */
TD_API td_value *td_tril(td_ctx *c, td_value *x, int64_t diagonal)
{
	return triangle_by(c, x, &(triangle_attrs){ diagonal, 0 });
}

/* torch.triu: on and above. */
TD_API td_value *td_triu(td_ctx *c, td_value *x, int64_t diagonal)
{
	return triangle_by(c, x, &(triangle_attrs){ diagonal, 1 });
}

/* ---- triangle_mask: true where triangle keeps; only the shape of x is read ----------------------------------------
 */

static void triangle_mask_infer(td_infer *q)
{
	const td_shape *x = q->in[0];

	if (is_matrix(q, "triangle_mask"))
		q->out[0] =
			(td_shape){ .dtype = TD_BOOL, .rank = 2, .dim = { x->dim[x->rank - 2], x->dim[x->rank - 1] } };
}

static void triangle_mask_forward(const td_call *call)
{
	const td_shape *y = call->out[0].shape;
	uint8_t *mask = call->out[0].data;
	int64_t from, to;

	for (int64_t i = 0; i < y->dim[0]; i++, mask += y->dim[1]) {
		kept_columns(call->attrs, i, y->dim[1], &from, &to);
		for (int64_t k = 0; k < y->dim[1]; k++)
			mask[k] = k >= from && k < to;
	}
}

static td_value *triangle_mask_apply_lower(td_ctx *c, td_value *const *in)
{
	return td_tril_mask(c, in[0], -1);
}
static td_value *triangle_mask_apply_upper(td_ctx *c, td_value *const *in)
{
	return td_triu_mask(c, in[0], 1);
}

static bool triangle_mask_sample(int i, td_sample *s)
{
	s->apply = i % 2 ? triangle_mask_apply_upper : triangle_mask_apply_lower;
	if (i < 2)
		SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 4, 5);
	else
		SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 2, 3, 7, 6);
	s->in[0].batched = true;
	return i < 4;
}

TD_OP(triangle_mask, .n_in = 1, .n_out = 1, .shape_only = 1, .attrs_size = sizeof(triangle_attrs),
	.fields = triangle_fields, .infer = triangle_mask_infer, .forward = { triangle_mask_forward },
	.backward = td_nodiff, .sample = triangle_mask_sample)

/* bool [rows, columns] for X [.., rows, columns]: where td_tril keeps (numpy.tri).  In attention's scores a query may
 * see what td_tril_mask(scores, 0) holds, and td_masked_fill(scores, td_triu_mask(scores, 1), -INFINITY) hides the
 * rest. */
TD_API td_value *td_tril_mask(td_ctx *c, td_value *x, int64_t diagonal)
{
	return x ? TD_APPLY(c, triangle_mask, (&(triangle_attrs){ diagonal, 0 }), x) : NULL;
}

TD_API td_value *td_triu_mask(td_ctx *c, td_value *x, int64_t diagonal)
{
	return x ? TD_APPLY(c, triangle_mask, (&(triangle_attrs){ diagonal, 1 }), x) : NULL;
}
