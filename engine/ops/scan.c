/* Running sums. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- cumsum: y[i] = the sum of x up to i along an axis (from i on, if reversed); dx is the reverse of that ------- */

typedef struct cumsum_attrs {
	int axis;
	int reverse;
} cumsum_attrs;

static const td_field cumsum_fields[] = { TD_FIELD(cumsum_attrs, axis), TD_FIELD(cumsum_attrs, reverse), { 0 } };

static void cumsum_infer(td_infer *q)
{
	int axis = ((const cumsum_attrs *)q->attrs)->axis;

	if ((q->in[0]->rank || axis) && !ops_need_axis(q, "cumsum", q->in[0], axis))
		return;
	ops_infer_same(q);
	if (!td__is_float(q->in[0]->dtype))
		q->out[0].dtype = TD_I64;
}

static void cumsum_line(const td_call *call, const struct ops_lines *l, int64_t i)
{
	const td_view *x = &call->in[0], *y = &call->out[0];
	int64_t first = ops_line_start(l, i);

	TD_PICK_NUMBERS(x->shape->dtype, k_cumsum)
	(at(y->data, first, td_dtype_size(y->shape->dtype)), at_const(x->data, first, td_dtype_size(x->shape->dtype)),
		l->n, l->inner, ((const cumsum_attrs *)call->attrs)->reverse);
}

static void cumsum_forward(const td_call *call)
{
	ops_run_lines(call, ((const cumsum_attrs *)call->attrs)->axis, cumsum_line);
}

static void cumsum_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const cumsum_attrs *a = n->attrs;

	dx[0] = td_cumsum(c, dy[0], a->axis, !a->reverse);
}

static td_value *cumsum_apply_first(td_ctx *c, td_value *const *in)
{
	return td_cumsum(c, in[0], 0, false);
}
static td_value *cumsum_apply_last(td_ctx *c, td_value *const *in)
{
	return td_cumsum(c, in[0], -1, true);
}

static bool cumsum_sample(int i, td_sample *s)
{
	static const td_dtype others[] = { TD_I32, TD_I64, TD_U8, TD_BOOL };

	s->apply = i % 2 ? cumsum_apply_last : cumsum_apply_first;
	if (ops_sample_lines(i, s))
		return true;
	if (i > 10)
		return false;
	if (i == 6) {
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 200); /* several slices */
	} else {
		SAMPLE_INPUT(s, TD_FILL_LABELS, others[i - 7], 4, 5);
		s->in[0].classes = i == 10 ? 2 : 9;
	}
	s->in[0].batched = true;
	return true;
}

TD_OP(cumsum, .n_in = 1, .n_out = 1, .attrs_size = sizeof(cumsum_attrs), .fields = cumsum_fields, .infer = cumsum_infer,
	.forward = { cumsum_forward }, .backward = cumsum_backward, .sample = cumsum_sample)

/* AXIS: from the last if negative.  Sums of integers and bools are int64 (torch.cumsum). */
TD_API td_value *td_cumsum(td_ctx *c, td_value *x, int axis, bool reverse)
{
	if (!x || (x->shape.rank && !ops_axis(c, "cumsum", x, &axis)))
		return NULL;
	return TD_APPLY(c, cumsum, (&(cumsum_attrs){ x->shape.rank ? axis : 0, reverse }), ops_row_major(c, x));
}
