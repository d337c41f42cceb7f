/* Running sums. */
#include "ops/ops.h"

#include "td_ops.h"

#define LINES_PER_SLICE 64

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

/* X seen as [outer, n, inner] around the axis. */
struct lines {
	const td_call *call;
	int64_t n, inner, count;
	td_dtype from, to;
	bool reverse;
};

static void cumsum_slice(void *arg, int slice)
{
	const struct lines *l = arg;
	int64_t from = (int64_t)slice * LINES_PER_SLICE, to = TD_MIN(from + LINES_PER_SLICE, l->count);

	for (int64_t i = from; i < to; i++) {
		int64_t first = i / l->inner * l->n * l->inner + i % l->inner;
		TD_PICK_NUMBERS(l->from, k_cumsum)
		(at(l->call->out[0].data, first, td_dtype_size(l->to)),
			at_const(l->call->in[0].data, first, td_dtype_size(l->from)), l->n, l->inner, l->reverse);
	}
}

static void cumsum_forward(const td_call *call)
{
	const td_shape *x = call->in[0].shape;
	const cumsum_attrs *a = call->attrs;
	struct lines l = { call, 1, 1, 1, x->dtype, call->out[0].shape->dtype, a->reverse };

	for (int i = 0; i < x->rank; i++)
		if (i == a->axis)
			l.n = x->dim[i];
		else
			l.count *= x->dim[i];
	for (int i = a->axis + 1; i < x->rank; i++)
		l.inner *= x->dim[i];
	threads_run(call->threads, (int)((l.count + LINES_PER_SLICE - 1) / LINES_PER_SLICE), cumsum_slice, &l);
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
	switch (i) {
	case 0:
	case 1: SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 7); break;
	case 2:
	case 3:
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 4, 5);
		s->in[0].shape.order = i == 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
		break;
	case 4: ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 0, NULL); return true;
	case 5: SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 0); break;
	case 6: SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 200); break; /* several slices */
	default:
		if (i > 10)
			return false;
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
