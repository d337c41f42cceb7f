/* Broadcasting as an op: axes of size 1, and axes that are not there, become as long as is asked for. */
#include "ops/ops.h"

#include "td_ops.h"

static void need_fit(td_infer *q, const char *op, const td_shape *x, const td_shape *y)
{
	char tx[TD_SHAPE_TEXT], ty[TD_SHAPE_TEXT];

	if (!ops_fits(x, y))
		td_fail(q->ctx, TD_SHAPE,
			"%s: %s cannot be broadcast to %s; counted from the last axis, its sizes must be equal or 1",
			op, td_shape_text(x, tx), td_shape_text(y, ty));
}

static void expand_forward(const td_call *call)
{
	size_t size = td_dtype_size(call->out[0].shape->dtype);

	ops_rows(call, ops_copy_row(size), &call->out[0], &call->in[0], NULL, (size_t[]){ size, size, size });
}

static void expand_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_sum_like(c, dy[0], n->in[0]);
}

/* ---- expand: to sizes -------------------------------------------------------------------------------------------- */

typedef struct expand_attrs {
	int64_t rank;
	int64_t dim[TD_MAX_RANK]; /* -1: as x has it */
} expand_attrs;

static const td_field expand_fields[] = { TD_FIELD(expand_attrs, rank), TD_FIELDS(expand_attrs, dim), { 0 } };

static void expand_infer(td_infer *q)
{
	const expand_attrs *a = q->attrs;
	const td_shape *x = q->in[0];
	td_shape *y = &q->out[0];
	char text[TD_SHAPE_TEXT];

	if (a->rank < 0 || a->rank > TD_MAX_RANK) {
		td_fail(q->ctx, TD_SHAPE, "expand takes up to %d sizes, not %lld", TD_MAX_RANK, (long long)a->rank);
		return;
	}
	*y = (td_shape){ .dtype = x->dtype, .order = x->order, .rank = (int)a->rank };
	for (int i = 0; i < y->rank; i++) {
		int k = i - (y->rank - x->rank);

		y->dim[i] = a->dim[i];
		if (a->dim[i] != -1)
			continue;
		if (k < 0) {
			td_fail(q->ctx, TD_SHAPE, "expand: axis %d is not one of %s but new, so it needs a size", i,
				td_shape_text(x, text));
			return;
		}
		y->dim[i] = x->dim[k];
	}
	need_fit(q, "expand", x, y);
}

static td_value *expand_apply_rows(td_ctx *c, td_value *const *in)
{
	return td_expand(c, in[0], (int64_t[]){ -1, 4, -1 }, 3);
}
static td_value *expand_apply_axes(td_ctx *c, td_value *const *in)
{
	return td_expand(c, in[0], (int64_t[]){ 2, 3, -1, 5 }, 4);
}
static td_value *expand_apply_none(td_ctx *c, td_value *const *in)
{
	return td_expand(c, in[0], (int64_t[]){ 0, 3 }, 2);
}

static bool expand_sample(int i, td_sample *s)
{
	if (i >= 6)
		return false;
	s->apply = i < 3 ? expand_apply_rows : i < 5 ? expand_apply_axes : expand_apply_none;
	if (i < 3)
		SAMPLE_INPUT(s, i == 2 ? TD_FILL_LABELS : TD_FILL_NORMAL, i == 2 ? TD_U8 : TD_F32, 3, 1, 5);
	else if (i == 3)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 6, 1);
	else if (i == 4)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 6, 5);
	else
		ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 0, NULL);
	s->in[0].classes = 9;
	s->in[0].shape.order = i == 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = i < 3;
	return true;
}

TD_OP(expand, .n_in = 1, .n_out = 1, .attrs_size = sizeof(expand_attrs), .fields = expand_fields, .infer = expand_infer,
	.forward = { expand_forward }, .backward = expand_backward, .sample = expand_sample)

/* torch.expand (broadcast_to), as a copy: DIMS are RANK sizes, -1 for an axis that stays as x has it.  A size that is a
 * batch's comes from td_expand_like or -1. */
TD_API td_value *td_expand(td_ctx *c, td_value *x, const int64_t *dims, int rank)
{
	expand_attrs a = { .rank = rank };

	if (!x)
		return NULL;
	if (rank < 0 || rank > TD_MAX_RANK)
		return td_fail(c, TD_SHAPE, "expand takes up to %d sizes, not %d", TD_MAX_RANK, rank);
	for (int i = 0; i < rank; i++) {
		if (dims[i] < -1)
			return td_fail(c, TD_SHAPE, "expand: %lld is not a size", (long long)dims[i]);
		a.dim[i] = dims[i];
	}
	return TD_APPLY(c, expand, &a, rank == x->shape.rank ? x : ops_row_major(c, x));
}

/* ---- expand_like: to the sizes of y, whose shape alone is read --------------------------------------------------- */

static void expand_like_infer(td_infer *q)
{
	q->out[0] = *q->in[1];
	q->out[0].dtype = q->in[0]->dtype;
	need_fit(q, "expand_like", q->in[0], &q->out[0]);
}

static td_value *expand_like_apply(td_ctx *c, td_value *const *in)
{
	return td_expand_like(c, in[0], in[1]);
}

static bool expand_like_sample(int i, td_sample *s)
{
	static const int64_t like[] = { 3, 4, 5 };

	if (i >= 4)
		return false;
	s->apply = expand_like_apply;
	if (i == 0)
		ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 0, NULL);
	else if (i == 1)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 4, 1);
	else
		SAMPLE_INPUT(s, i == 3 ? TD_FILL_LABELS : TD_FILL_NORMAL, i == 3 ? TD_BOOL : TD_F32, 1, 4, 1);
	ops_sample_input(s, TD_FILL_ONES, TD_F32, 3, like);
	s->in[0].classes = 2;
	s->in[1].shape.order = i == 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[1].batched = s->in[1].fixed = true;
	return true;
}

TD_OP(expand_like, .n_in = 2, .n_out = 1, .shape_only = 2, .infer = expand_like_infer, .forward = { expand_forward },
	.backward = expand_backward, .sample = expand_like_sample)

/* X broadcast to the sizes of LIKE; y keeps x's type and lies as LIKE does. */
TD_API td_value *td_expand_like(td_ctx *c, td_value *x, td_value *like)
{
	return x && like ? TD_APPLY(c, expand_like, NULL, x, like) : NULL;
}
