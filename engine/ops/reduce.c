/* Sums and means over axes, and their reverse. */
#include "ops/reduction.h"

#include "td_ops.h"

/* ---- sum: y = the sum of x over the axes whose bits are set; of integers and bools in int64 ---------------------- */

static void sum_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = reduction_beside(c, dy[0], n->in[0], n->attrs);
}

REDUCTION(sum, REDUCE_SUM, reduction_infer_int64, true)
TD_OP(sum, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = sum_infer,
	.forward = { sum_forward }, .backward = sum_backward, .sample = sum_sample)

/* AXES: bit i for axis i, each one that x has, or TD_ALL_AXES; of integers and bools in int64 (torch.sum). */
TD_API td_value *td_sum(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	reduce_attrs a;

	return x ? TD_APPLY(c, sum, reduction_attrs(&a, x, axes, keep), x) : NULL;
}

/* ---- mean: y = the sum, divided by how many were added less the correction --------------------------------------- */

static void mean_infer(td_infer *q)
{
	reduction_infer_float(q, &((const mean_attrs *)q->attrs)->of, "mean");
}

static void mean_forward(const td_call *call)
{
	const mean_attrs *a = call->attrs;
	struct reduction r;

	reduction_over(&r, &a->of, call->in[0].shape);
	reduction_run(call, &r, REDUCE_SUM, call->in[0].data, NULL, call->workspace);
	TD_PICK(r.dtype, k_store)(call->out[0].data, call->workspace, r.n_out, 1 / reduction_each(&r, a->correction));
}

static void mean_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const mean_attrs *a = n->attrs;

	dx[0] = reduction_spread(c, dy[0], n->in[0], &a->of, true, a->correction);
}

static td_value *mean_apply_all(td_ctx *c, td_value *const *in)
{
	return td_mean(c, in[0], TD_ALL_AXES, false);
}
static td_value *mean_apply_pixels(td_ctx *c, td_value *const *in)
{
	return td_mean(c, in[0], 1 | 4 | 8, false);
}

static bool mean_sample(int i, td_sample *s)
{
	s->apply = i / 4 == 0 ? mean_apply_all : mean_apply_pixels;
	return i < 8 && reduction_sample(i % 4, s);
}

TD_OP(mean, .n_in = 1, .n_out = 1, .attrs_size = sizeof(mean_attrs), .fields = mean_fields, .infer = mean_infer,
	.forward = { mean_forward }, .backward = mean_backward, .sample = mean_sample)

static td_value *mean(td_ctx *c, td_value *x, uint32_t axes, bool keep, double correction)
{
	mean_attrs a;

	return x ? TD_APPLY(c, mean, reduction_mean_attrs(&a, x, axes, keep, correction), x) : NULL;
}

TD_API td_value *td_mean(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	return mean(c, x, axes, keep, 0);
}

/* ---- spread: the reverse of sum (mean): dy repeated over the axes of x that were summed; only x's shape is read -- */

typedef struct spread_attrs {
	reduce_attrs of;
	double correction; /* of the mean */
	bool mean;
} spread_attrs;

static const td_field spread_fields[] = { TD_FIELD(spread_attrs, of.axes), TD_FIELD(spread_attrs, of.keep),
	TD_FIELD(spread_attrs, mean), TD_FIELD(spread_attrs, correction), { 0 } };

static void spread_infer(td_infer *q)
{
	const spread_attrs *a = q->attrs;
	td_shape y;

	reduction_shape(&a->of, q->in[1], &y);
	if (!td_shape_same(&y, q->in[0]) || !td__is_float(y.dtype)) {
		char got[TD_SHAPE_TEXT], want[TD_SHAPE_TEXT];
		td_fail(q->ctx, TD_SHAPE, "spread needs %s, not %s", td_shape_text(&y, want),
			td_shape_text(q->in[0], got));
	}
	q->out[0] = *q->in[1];
	q->workspace = td_shape_bytes(&y);
}

static void spread_forward(const td_call *call)
{
	const spread_attrs *a = call->attrs;
	const td_shape *x = call->out[0].shape;
	int64_t strides[TD_MAX_RANK] = { 0 };
	size_t size = td_dtype_size(x->dtype);
	struct reduction r;

	if (!td_shape_count(x))
		return;
	reduction_over(&r, &a->of, x);
	TD_PICK(x->dtype, k_scale)
	(call->workspace, call->in[0].data, r.n_out, a->mean ? 1 / reduction_each(&r, a->correction) : 1);
	reduction_strides(&a->of, x, strides);
	ops_rows_strided(call, ops_copy_row(size), &call->out[0], call->workspace, strides, NULL, NULL,
		(size_t[]){ size, size, size });
}

static void spread_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const spread_attrs *a = n->attrs;

	dx[0] = a->mean ? mean(c, dy[0], a->of.axes, a->of.keep, a->correction)
			: td_sum(c, dy[0], a->of.axes, a->of.keep);
}

static td_value *spread_apply(td_ctx *c, td_value *const *in)
{
	return reduction_spread(c, in[0], in[1], &(reduce_attrs){ 1 | 4, false }, false, 0);
}
static td_value *spread_apply_mean(td_ctx *c, td_value *const *in)
{
	return reduction_spread(c, in[0], in[1], &(reduce_attrs){ 1 | 4, false }, true, 0.5);
}

static bool spread_sample(int i, td_sample *s)
{
	if (i > 3)
		return false;
	s->apply = i / 2 ? spread_apply_mean : spread_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 5);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 2, 3, 4, 5);
	s->in[1].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[1].batched = s->in[1].fixed = true;
	return true;
}

TD_OP(spread, .n_in = 2, .n_out = 1, .shape_only = 2, .attrs_size = sizeof(spread_attrs), .fields = spread_fields,
	.infer = spread_infer, .forward = { spread_forward }, .backward = spread_backward, .sample = spread_sample)

/* The reduced value may come in any order; its rule reads it row by row. */
td_value *reduction_spread(td_ctx *c, td_value *dy, td_value *x, const reduce_attrs *a, bool mean_of, double correction)
{
	spread_attrs attrs;

	memset(&attrs, 0, sizeof attrs);
	attrs.of.axes = a->axes;
	attrs.of.keep = a->keep;
	attrs.mean = mean_of;
	attrs.correction = correction;
	return dy && x ? TD_APPLY(c, spread, &attrs, ops_row_major(c, dy), x) : NULL;
}

/* ---- sum_like: y in the shape of x, summed over what broadcasting had repeated; only x's shape is read ----------- */

static void sum_like_infer(td_infer *q)
{
	const td_shape *g = q->in[0], *x = q->in[1];
	int64_t strides[TD_MAX_RANK] = { 0 };
	struct reduction r;

	if (g->dtype != x->dtype || !td__is_float(g->dtype) || !ops_fits(x, g)) {
		char tg[TD_SHAPE_TEXT], tx[TD_SHAPE_TEXT];
		td_fail(q->ctx, TD_SHAPE, "sum_like: %s was not broadcast from %s", td_shape_text(g, tg),
			td_shape_text(x, tx));
		return;
	}
	q->out[0] = *x;
	ops_broadcast_strides(g, x, strides);
	reduction_init(&r, g, strides, td_shape_count(x));
	if (!td_shape_same(g, x))
		q->workspace = reduction_workspace(&r);
}

static void sum_like_forward(const td_call *call)
{
	const td_shape *g = call->in[0].shape, *x = call->out[0].shape;
	int64_t strides[TD_MAX_RANK] = { 0 };
	size_t size = td_dtype_size(x->dtype);
	struct reduction r;

	if (td_shape_same(g, x)) {
		if (call->in[0].data != call->out[0].data)
			ops_rows(call, ops_copy_row(size), &call->out[0], &call->in[0], NULL,
				(size_t[]){ size, size, size });
		return;
	}
	ops_broadcast_strides(g, x, strides);
	reduction_init(&r, g, strides, td_shape_count(x));
	reduction_run(call, &r, REDUCE_SUM, call->in[0].data, NULL, call->workspace);
	TD_PICK(x->dtype, k_store)(call->out[0].data, call->workspace, r.n_out, 1);
}

static void sum_like_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_add(c, td_zeros_like(c, n->in[0]), dy[0]);
}

static td_value *sum_like_apply(td_ctx *c, td_value *const *in)
{
	return td_sum_like(c, in[0], in[1]);
}

static bool sum_like_sample(int i, td_sample *s)
{
	static const int64_t shapes[][4] = { { 3, 4, 5, 6 }, { 1, 4, 1, 1 }, { 3, 1, 5, 6 }, { 1, 1, 1, 6 } };

	if (i >= 8)
		return false;
	s->apply = sum_like_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5, 6);
	ops_sample_input(s, TD_FILL_ONES, TD_F32, 4, shapes[i / 2]);
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[1].fixed = true;
	s->in[0].batched = true;
	s->in[1].batched = shapes[i / 2][0] != 1;
	return true;
}

TD_OP(sum_like, .n_in = 2, .n_out = 1, .shape_only = 2, .inplace = 1, .infer = sum_like_infer,
	.forward = { sum_like_forward }, .backward = sum_like_backward, .sample = sum_like_sample)

TD_API td_value *td_sum_like(td_ctx *c, td_value *g, td_value *x)
{
	return g && x ? TD_APPLY(c, sum_like, NULL, g, x) : NULL;
}

/* ---- sum_squares: y = sum of x^2, a scalar ----------------------------------------------------------------------- */

static const reduce_attrs all_axes = { ~0u, false };

static void sum_squares_infer(td_infer *q)
{
	reduction_infer_float(q, &all_axes, "sum_squares");
}

static void sum_squares_forward(const td_call *call)
{
	struct reduction r;

	reduction_over(&r, &all_axes, call->in[0].shape);
	reduction_run(call, &r, REDUCE_SQUARES, call->in[0].data, NULL, call->workspace);
	TD_PICK(r.dtype, k_store)(call->out[0].data, call->workspace, r.n_out, 1);
}

static void sum_squares_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mul(c, td_add(c, n->in[0], n->in[0]), dy[0]);
}

static td_value *sum_squares_apply(td_ctx *c, td_value *const *in)
{
	return td_sum_squares(c, in[0]);
}

static bool sum_squares_sample(int i, td_sample *s)
{
	s->apply = sum_squares_apply;
	return reduction_sample(i, s);
}

TD_OP(sum_squares, .n_in = 1, .n_out = 1, .infer = sum_squares_infer, .forward = { sum_squares_forward },
	.backward = sum_squares_backward, .sample = sum_squares_sample)

TD_API td_value *td_sum_squares(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, sum_squares, NULL, x) : NULL;
}
