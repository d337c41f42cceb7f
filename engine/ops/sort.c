/* Order along an axis: one op finds it, the values are gathered by it, so their gradient is gather's. */
#include "ops/ops.h"

#include "td_ops.h"

#define SORT_SLICES_MOST 16    /* each has scratch of its own */
#define SORT_WORK        16384 /* elements worth a slice */

/* ---- argsort: the indices that put x in order along an axis; equal elements stay as they stood, NaN is the largest */

typedef struct argsort_attrs {
	int axis;
	int descending;
} argsort_attrs;

static const td_field argsort_fields[] = { TD_FIELD(argsort_attrs, axis), TD_FIELD(argsort_attrs, descending), { 0 } };

static int n_sort_slices(const struct ops_lines *l)
{
	return (int)TD_MIN(TD_MIN(l->count, SORT_SLICES_MOST), l->n * l->count / SORT_WORK + 1);
}

static void argsort_infer(td_infer *q)
{
	int axis = ((const argsort_attrs *)q->attrs)->axis;
	struct ops_lines l;

	if ((q->in[0]->rank || axis) && !ops_need_axis(q, "argsort", q->in[0], axis))
		return;
	ops_infer_same(q);
	q->out[0].dtype = TD_I64;
	l = ops_lines_along(q->in[0], axis);
	q->workspace = sizeof(int64_t) * 3 * (size_t)(l.n * n_sort_slices(&l)); /* keys, order, scratch */
}

static void argsort_slice(void *arg, int slice)
{
	const td_call *call = arg;
	const argsort_attrs *a = call->attrs;
	const td_view *x = &call->in[0];
	const struct ops_lines l = ops_lines_along(x->shape, a->axis);
	int64_t *keys = (int64_t *)call->workspace + slice * 3 * l.n, *order = keys + l.n, *y = call->out[0].data;
	int64_t per = (l.count + n_sort_slices(&l) - 1) / n_sort_slices(&l), from = slice * per;

	for (int64_t i = from; i < TD_MIN(from + per, l.count); i++) {
		int64_t first = ops_line_start(&l, i);

		TD_PICK_NUMBERS(x->shape->dtype, k_sort_keys)
		(keys, at_const(x->data, first, td_dtype_size(x->shape->dtype)), l.n, l.inner);
		k_sort(order, order + l.n, keys, l.n, a->descending);
		for (int64_t k = 0; k < l.n; k++)
			y[first + k * l.inner] = order[k];
	}
}

static void argsort_forward(const td_call *call)
{
	struct ops_lines l = ops_lines_along(call->in[0].shape, ((const argsort_attrs *)call->attrs)->axis);

	if (l.n && l.count)
		threads_run(call->threads, n_sort_slices(&l), argsort_slice, (void *)(uintptr_t)call);
}

static td_value *argsort_apply_first(td_ctx *c, td_value *const *in)
{
	return td_argsort(c, in[0], 0, false);
}
static td_value *argsort_apply_last(td_ctx *c, td_value *const *in)
{
	return td_argsort(c, in[0], -1, true);
}

/* Distinct numbers, then many equal ones, of each type; and enough for several slices. */
static bool argsort_sample(int i, td_sample *s)
{
	static const td_dtype others[] = { TD_F32, TD_I32, TD_I64, TD_U8, TD_BOOL };

	s->apply = i % 2 ? argsort_apply_last : argsort_apply_first;
	if (ops_sample_lines(i, s))
		return true;
	if (i > 11)
		return false;
	if (i == 6) {
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 33, 1500);
	} else {
		SAMPLE_INPUT(s, TD_FILL_LABELS, others[i - 7], 4, 9);
		s->in[0].classes = i == 11 ? 2 : 4;
	}
	s->in[0].batched = true;
	return true;
}

TD_OP(argsort, .n_in = 1, .n_out = 1, .attrs_size = sizeof(argsort_attrs), .fields = argsort_fields,
	.infer = argsort_infer, .forward = { argsort_forward }, .backward = td_nodiff, .sample = argsort_sample)

/* AXIS: from the last if negative -> int64, x's shape.  Always stable (torch.argsort(stable=True)). */
TD_API td_value *td_argsort(td_ctx *c, td_value *x, int axis, bool descending)
{
	if (!x || (x->shape.rank && !ops_axis(c, "argsort", x, &axis)))
		return NULL;
	return TD_APPLY(c, argsort, (&(argsort_attrs){ x->shape.rank ? axis : 0, descending }), ops_row_major(c, x));
}

/* x in order along AXIS (torch.sort(stable=True)); its indices in *INDICES, which may be NULL. */
TD_API td_value *td_sort(td_ctx *c, td_value *x, int axis, bool descending, td_value **indices)
{
	td_value *order = td_argsort(c, x, axis, descending);

	if (indices)
		*indices = order;
	return order && x->shape.rank ? td_gather(c, x, axis, order) : order ? x : NULL;
}

/* The K largest (or smallest) along AXIS, the first of them first; of equal ones those that stand first (torch.topk).
 * *INDICES as td_sort's. */
TD_API td_value *td_topk(td_ctx *c, td_value *x, int64_t k, int axis, bool largest, td_value **indices)
{
	char text[TD_SHAPE_TEXT];
	td_value *order;

	if (indices)
		*indices = NULL;
	if (!x || !ops_axis(c, "topk", x, &axis))
		return NULL;
	if (k < 0 || k > x->shape.dim[axis])
		return td_fail(c, TD_SHAPE, "topk: %s has no %lld elements along axis %d",
			td_shape_text(&x->shape, text), (long long)k, axis);
	order = td_slice(c, td_argsort(c, x, axis, largest), axis, 0, k);
	if (indices)
		*indices = order;
	return td_gather(c, x, axis, order);
}
