/* Sums over axes.
 *
 * One algorithm serves all of them: walk the input in its memory order and add each element, in double, to its result.
 * When the slowest axis is one that is summed, it is cut into a number of slices that follows from the shape; each has
 * results of its own in the workspace, which are added in order. */
#include "ops/ops.h"

#include "td_ops.h"

#define PARTIALS_MOST 16
#define PARTIAL_WORK  32768 /* elements worth a slice */

struct reduction {
	int rank; /* axes of the input in memory order, joined */
	int64_t dim[TD_MAX_RANK];
	int64_t in_stride[TD_MAX_RANK];
	int64_t out_stride[TD_MAX_RANK]; /* 0: summed */
	int64_t count, n_out;
	int n_slices;
	bool partial; /* slices have results of their own */
	td_dtype dtype;
	const char *x;
	double *acc; /* [n_slices or 1, n_out] */
	char *y;
	double scale;
};

/* OUT_STRIDE: per logical axis of X, 0 where summed. */
static void reduction_init(struct reduction *r, const td_shape *x, const int64_t *out_stride, int64_t n_out)
{
	int64_t strides[TD_MAX_RANK];

	*r = (struct reduction){ .count = td_shape_count(x), .n_out = n_out, .dtype = x->dtype };
	td_shape_strides(x, strides);
	for (int i = 0; i < x->rank; i++) {
		int axis = x->order == TD_CHANNELS_LAST && i ? (i == x->rank - 1 ? 1 : i + 1) : i, last = r->rank - 1;

		if (x->dim[axis] == 1)
			continue;
		if (!r->rank || r->in_stride[last] != strides[axis] * x->dim[axis] ||
			r->out_stride[last] != out_stride[axis] * x->dim[axis] ||
			!r->out_stride[last] != !out_stride[axis]) {
			last = r->rank++;
			r->dim[last] = 1;
		}
		r->dim[last] *= x->dim[axis];
		r->in_stride[last] = strides[axis];
		r->out_stride[last] = out_stride[axis];
	}
	if (!r->rank) {
		r->rank = 1;
		r->dim[0] = 1;
	}
	r->partial = r->out_stride[0] == 0;
	r->n_slices = (int)TD_MIN(TD_MIN(r->count / PARTIAL_WORK + 1, PARTIALS_MOST), TD_MAX(r->dim[0], 1));
}

static size_t reduction_workspace(const struct reduction *r)
{
	return sizeof(double) * (size_t)(r->n_out * (r->partial ? r->n_slices : 1));
}

/* Dimension 0 from FROM to TO, the others whole. */
static void add_range(const struct reduction *r, double *acc, int64_t from, int64_t to)
{
	int last = r->rank - 1;
	int64_t row = last ? r->dim[last] : to - from, n_rows = last ? to - from : 1;
	size_t size = td_dtype_size(r->dtype);

	for (int i = 1; i < last; i++)
		n_rows *= r->dim[i];
	for (int64_t k = 0; k < n_rows && row > 0; k++) {
		int64_t rest = k, in = 0, out = 0;

		for (int i = last - 1; i > 0; i--, rest /= r->dim[i + 1]) {
			in += rest % r->dim[i] * r->in_stride[i];
			out += rest % r->dim[i] * r->out_stride[i];
		}
		in += (last ? from + rest : from) * r->in_stride[0];
		out += (last ? from + rest : from) * r->out_stride[0];
		TD_PICK(r->dtype, k_accumulate)
		(acc + out, r->x + in * (int64_t)size, row, r->in_stride[last], r->out_stride[last]);
	}
}

static void reduce_slice(void *arg, int slice)
{
	const struct reduction *r = arg;
	int64_t per = (r->dim[0] + r->n_slices - 1) / r->n_slices, from = slice * per;

	add_range(r, r->acc + (r->partial ? slice * r->n_out : 0), from, TD_MIN(from + per, r->dim[0]));
}

static void reduce(const td_call *call, struct reduction *r, double scale)
{
	r->x = call->in[0].data;
	r->acc = call->workspace;
	for (size_t i = 0; i < reduction_workspace(r) / sizeof(double); i++)
		r->acc[i] = 0;
	if (r->count)
		threads_run(call->threads, r->n_slices, reduce_slice, r);
	for (int s = 1; r->partial && s < r->n_slices; s++)
		for (int64_t i = 0; i < r->n_out; i++)
			r->acc[i] += r->acc[s * r->n_out + i];
	TD_PICK(r->dtype, k_store)(call->out[0].data, r->acc, r->n_out, scale);
}

/* ---- sum, mean: y = sum (mean) of x over the axes whose bits are set --------------------------------------------- */

typedef struct sum_attrs {
	uint32_t axes; /* bit i: axis i; TD_ALL_AXES: all */
	bool keep;     /* summed axes stay, with size 1 */
} sum_attrs;

static void sum_shape(const sum_attrs *a, const td_shape *x, td_shape *y)
{
	*y = (td_shape){ .dtype = x->dtype };
	for (int i = 0; i < x->rank; i++)
		if (!(a->axes >> i & 1))
			y->dim[y->rank++] = x->dim[i];
		else if (a->keep)
			y->dim[y->rank++] = 1;
}

static void sum_strides(const sum_attrs *a, const td_shape *x, int64_t *out_stride)
{
	int64_t n = 1;

	for (int i = x->rank - 1; i >= 0; i--) {
		out_stride[i] = a->axes >> i & 1 ? 0 : n;
		n *= a->axes >> i & 1 ? 1 : x->dim[i];
	}
}

static void sum_reduction(struct reduction *r, const sum_attrs *a, const td_shape *x, const td_shape *y)
{
	int64_t strides[TD_MAX_RANK] = { 0 };

	sum_strides(a, x, strides);
	reduction_init(r, x, strides, td_shape_count(y));
}

static void sum_infer(td_infer *q)
{
	const sum_attrs *a = q->attrs;
	struct reduction r;

	if (!ops_need_float(q, "sum"))
		return;
	sum_shape(a, q->in[0], &q->out[0]);
	sum_reduction(&r, a, q->in[0], &q->out[0]);
	q->workspace = reduction_workspace(&r);
}

static void sum_forward(const td_call *call)
{
	struct reduction r;

	sum_reduction(&r, call->attrs, call->in[0].shape, call->out[0].shape);
	reduce(call, &r, 1);
}

static void mean_forward(const td_call *call)
{
	struct reduction r;

	sum_reduction(&r, call->attrs, call->in[0].shape, call->out[0].shape);
	reduce(call, &r, (double)r.n_out / (double)r.count);
}

static td_value *spread(td_ctx *c, td_value *dy, td_value *x, const sum_attrs *a, bool mean);

static void sum_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = spread(c, dy[0], n->in[0], n->attrs, false);
}

static void mean_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = spread(c, dy[0], n->in[0], n->attrs, true);
}

static td_value *sum_apply_all(td_ctx *c, td_value *const *in)
{
	return td_sum(c, in[0], TD_ALL_AXES, false);
}
static td_value *sum_apply_first(td_ctx *c, td_value *const *in)
{
	return td_sum(c, in[0], 1, false);
}
static td_value *sum_apply_rest(td_ctx *c, td_value *const *in)
{
	return td_sum(c, in[0], 2 | 8, true);
}
static td_value *mean_apply_all(td_ctx *c, td_value *const *in)
{
	return td_mean(c, in[0], TD_ALL_AXES, false);
}
static td_value *mean_apply_pixels(td_ctx *c, td_value *const *in)
{
	return td_mean(c, in[0], 1 | 4 | 8, false);
}

static bool sample_images(int i, td_sample *s)
{
	if (i > 3)
		return false;
	if (i < 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5, 6);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 40, 3, 17, 19); /* enough for several slices */
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

static bool sum_sample(int i, td_sample *s)
{
	s->apply = i / 4 == 0 ? sum_apply_all : i / 4 == 1 ? sum_apply_first : sum_apply_rest;
	return i < 12 && sample_images(i % 4, s);
}

static bool mean_sample(int i, td_sample *s)
{
	s->apply = i / 4 == 0 ? mean_apply_all : mean_apply_pixels;
	return i < 8 && sample_images(i % 4, s);
}

TD_OP(sum, .n_in = 1, .n_out = 1, .attrs_size = sizeof(sum_attrs), .infer = sum_infer, .forward = { sum_forward },
	.backward = sum_backward, .sample = sum_sample)
TD_OP(mean, .n_in = 1, .n_out = 1, .attrs_size = sizeof(sum_attrs), .infer = sum_infer, .forward = { mean_forward },
	.backward = mean_backward, .sample = mean_sample)

static uint32_t axes_of(const td_value *x, uint32_t axes)
{
	return axes & ((1u << x->shape.rank) - 1);
}

TD_API td_value *td_sum(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	return x ? TD_APPLY(c, sum, (&(sum_attrs){ axes_of(x, axes), keep }), x) : NULL;
}

TD_API td_value *td_mean(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	return x ? TD_APPLY(c, mean, (&(sum_attrs){ axes_of(x, axes), keep }), x) : NULL;
}

/* ---- spread: the reverse of sum (mean): dy repeated over the summed axes of x, whose shape alone is read --------- */

typedef struct spread_attrs {
	sum_attrs of;
	bool mean;
} spread_attrs;

static void spread_infer(td_infer *q)
{
	const spread_attrs *a = q->attrs;
	td_shape y;

	sum_shape(&a->of, q->in[1], &y);
	if (!td_shape_same(&y, q->in[0])) {
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
	const td_shape *x = call->out[0].shape, *y = call->in[0].shape;
	int64_t strides[TD_MAX_RANK] = { 0 }, n = td_shape_count(y);
	size_t size = td_dtype_size(x->dtype);
	double scale = a->mean ? (double)n / (double)td_shape_count(x) : 1;

	if (!td_shape_count(x))
		return;
	TD_PICK(x->dtype, k_scale)(call->workspace, call->in[0].data, n, scale);
	sum_strides(&a->of, x, strides);
	ops_rows_strided(call, ops_copy_row(size), &call->out[0], call->workspace, strides, NULL, NULL,
		(size_t[]){ size, size, size });
}

static void spread_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const spread_attrs *a = n->attrs;

	dx[0] = a->mean ? td_mean(c, dy[0], a->of.axes, a->of.keep) : td_sum(c, dy[0], a->of.axes, a->of.keep);
}

static td_value *spread_apply(td_ctx *c, td_value *const *in)
{
	return spread(c, in[0], in[1], &(sum_attrs){ 1 | 4, false }, false);
}
static td_value *spread_apply_mean(td_ctx *c, td_value *const *in)
{
	return spread(c, in[0], in[1], &(sum_attrs){ 1 | 4, false }, true);
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

TD_OP(spread, .n_in = 2, .n_out = 1, .shape_only = 2, .attrs_size = sizeof(spread_attrs), .infer = spread_infer,
	.forward = { spread_forward }, .backward = spread_backward, .sample = spread_sample)

/* The sum may come in any order; its rule reads it row by row. */
static td_value *spread(td_ctx *c, td_value *dy, td_value *x, const sum_attrs *a, bool mean)
{
	spread_attrs attrs;

	memset(&attrs, 0, sizeof attrs);
	attrs.of = *a;
	attrs.mean = mean;
	return dy ? TD_APPLY(c, spread, &attrs, ops_row_major(c, dy), x) : NULL;
}

/* ---- sum_like: y in the shape of x, summed over what broadcasting had repeated; only x's shape is read ----------- */

/* Strides into X per axis of G, 0 where G was repeated. */
static void like_strides(const td_shape *g, const td_shape *x, int64_t *strides)
{
	int64_t own[TD_MAX_RANK] = { 0 };

	td_shape_strides(x, own);
	for (int i = 0; i < g->rank; i++) {
		int k = i - (g->rank - x->rank);
		strides[i] = k < 0 || x->dim[k] == 1 ? 0 : own[k];
	}
}

static void sum_like_infer(td_infer *q)
{
	const td_shape *g = q->in[0], *x = q->in[1];
	int64_t strides[TD_MAX_RANK] = { 0 };
	struct reduction r;
	bool fits = g->rank >= x->rank && g->dtype == x->dtype && td__is_float(g->dtype);

	for (int i = 0; i < x->rank && fits; i++)
		fits = x->dim[i] == 1 || x->dim[i] == g->dim[i + g->rank - x->rank];
	if (!fits) {
		char tg[TD_SHAPE_TEXT], tx[TD_SHAPE_TEXT];
		td_fail(q->ctx, TD_SHAPE, "sum_like: %s was not broadcast from %s", td_shape_text(g, tg),
			td_shape_text(x, tx));
		return;
	}
	q->out[0] = *x;
	like_strides(g, x, strides);
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
	like_strides(g, x, strides);
	reduction_init(&r, g, strides, td_shape_count(x));
	reduce(call, &r, 1);
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

static int squares_slices(const td_shape *x)
{
	return (int)TD_MIN(td_shape_count(x) / PARTIAL_WORK + 1, PARTIALS_MOST);
}

static void sum_squares_infer(td_infer *q)
{
	if (!ops_need_float(q, "sum_squares"))
		return;
	q->out[0] = (td_shape){ .dtype = q->in[0]->dtype };
	q->workspace = sizeof(double) * (size_t)squares_slices(q->in[0]);
}

static void squares_slice(void *arg, int slice)
{
	const td_call *call = arg;
	const td_shape *x = call->in[0].shape;
	int64_t n = td_shape_count(x), per = (n + squares_slices(x) - 1) / squares_slices(x), from = slice * per;
	double *acc = (double *)call->workspace + slice;

	*acc = 0;
	if (from < n)
		TD_PICK(x->dtype, k_accumulate_squares)
	(acc, at_const(call->in[0].data, from, td_dtype_size(x->dtype)), TD_MIN(per, n - from));
}

static void sum_squares_forward(const td_call *call)
{
	int n = squares_slices(call->in[0].shape);
	double *acc = call->workspace;

	threads_run(call->threads, n, squares_slice, (void *)(uintptr_t)call);
	for (int s = 1; s < n; s++)
		acc[0] += acc[s];
	TD_PICK(call->out[0].shape->dtype, k_store)(call->out[0].data, acc, 1, 1);
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
	return sample_images(i, s);
}

TD_OP(sum_squares, .n_in = 1, .n_out = 1, .infer = sum_squares_infer, .forward = { sum_squares_forward },
	.backward = sum_squares_backward, .sample = sum_squares_sample)

TD_API td_value *td_sum_squares(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, sum_squares, NULL, x) : NULL;
}
