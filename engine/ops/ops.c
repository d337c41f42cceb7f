/* What the families of ops share: see ops.h. */
#include "ops/ops.h"

/* The place of a type among those that hold what it holds: where two meet, the narrower is cast. */
static int breadth(td_dtype d)
{
	static const int places[TD_N_DTYPES] = { [TD_U8] = 1, [TD_I32] = 2, [TD_I64] = 3, [TD_F32] = 4, [TD_F64] = 5 };

	return places[d];
}

bool ops_broadcast(td_infer *q, const td_shape *a, const td_shape *b, const char *op, td_shape *y)
{
	const td_shape *longer = a->rank >= b->rank ? a : b;
	char ta[TD_SHAPE_TEXT], tb[TD_SHAPE_TEXT];

	if (a->dtype != b->dtype) {
		bool first = breadth(a->dtype) < breadth(b->dtype);
		td_fail(q->ctx, TD_DTYPE, "%s takes inputs of one type, not %s and %s; cast %s to %s with td_cast", op,
			td_shape_text(a, ta), td_shape_text(b, tb), first ? "the first" : "the second",
			td_dtype_name(first ? b->dtype : a->dtype));
		return false;
	}
	*y = *longer;
	for (int i = 1; i <= longer->rank; i++) {
		int64_t da = i <= a->rank ? a->dim[a->rank - i] : 1, db = i <= b->rank ? b->dim[b->rank - i] : 1;
		if (da != db && da != 1 && db != 1) {
			td_fail(q->ctx, TD_SHAPE,
				"%s: %s and %s do not fit: sizes %lld and %lld, counted from the last axis at %d, are "
				"neither equal nor 1",
				op, td_shape_text(a, ta), td_shape_text(b, tb), (long long)da, (long long)db, i);
			return false;
		}
		y->dim[y->rank - i] = da == 1 ? db : da;
	}
	return true;
}

bool ops_fits(const td_shape *x, const td_shape *y)
{
	bool fits = x->rank <= y->rank;

	for (int i = 1; i <= x->rank && fits; i++)
		fits = x->dim[x->rank - i] == 1 || x->dim[x->rank - i] == y->dim[y->rank - i];
	return fits;
}

void ops_broadcast_strides(const td_shape *y, const td_shape *x, int64_t strides[TD_MAX_RANK])
{
	int64_t own[TD_MAX_RANK] = { 0 };

	td_shape_strides(x, own);
	for (int i = 0; i < y->rank; i++) {
		int k = i - (y->rank - x->rank);
		strides[i] = k < 0 || x->dim[k] == 1 ? 0 : own[k];
	}
}

int ops_memory_axis(const td_shape *x, int i)
{
	return x->order == TD_CHANNELS_LAST && i ? (i == x->rank - 1 ? 1 : i + 1) : i;
}

void ops_infer_same(td_infer *q)
{
	q->out[0] = *q->in[0];
}

bool ops_axis(td_ctx *c, const char *op, const td_value *x, int *axis)
{
	char text[TD_SHAPE_TEXT];

	if (*axis >= -x->shape.rank && *axis < x->shape.rank) {
		*axis += *axis < 0 ? x->shape.rank : 0;
		return true;
	}
	td_fail(c, TD_SHAPE, "%s: %s has no axis %d", op, td_shape_text(&x->shape, text), *axis);
	return false;
}

bool ops_need_axis(td_infer *q, const char *op, const td_shape *x, int64_t axis)
{
	char text[TD_SHAPE_TEXT];

	if (axis >= 0 && axis < x->rank)
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s: %s has no axis %lld", op, td_shape_text(x, text), (long long)axis);
	return false;
}

bool ops_need_countable(td_infer *q, const char *op, const int64_t *numbers, int n)
{
	for (int i = 0; i < n; i++)
		if (numbers[i] > INT32_MAX || numbers[i] < INT32_MIN) {
			td_fail(q->ctx, TD_INVALID,
				"%s: a size, stride, padding or dilation of %lld is too large; it must be below 2^31",
				op, (long long)numbers[i]);
			return false;
		}
	return true;
}

bool ops_need_rank(td_infer *q, const char *op, int i, int rank, const char *axes)
{
	char text[TD_SHAPE_TEXT];

	if (q->in[i]->rank == rank)
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s needs input %d to be %s, not %s", op, i, axes, td_shape_text(q->in[i], text));
	return false;
}

bool ops_need_like(td_infer *q, const char *op, int i, const td_shape *want)
{
	char tw[TD_SHAPE_TEXT], tg[TD_SHAPE_TEXT];

	if (!q->in[i] || td_shape_same(q->in[i], want))
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s needs input %d to be %s, not %s", op, i, td_shape_text(want, tw),
		td_shape_text(q->in[i], tg));
	return false;
}

bool ops_need_float(td_infer *q, const char *op)
{
	char text[TD_SHAPE_TEXT];

	for (int i = 0; i < q->n_in; i++) {
		if (!q->in[i])
			continue;
		if (!td__is_float(q->in[i]->dtype) || q->in[i]->dtype != q->in[0]->dtype) {
			td_fail(q->ctx, TD_DTYPE,
				"%s needs floating inputs of one type; input %d is %s: cast it to %s with td_cast", op,
				i, td_shape_text(q->in[i], text),
				td_dtype_name(td__is_float(q->in[0]->dtype) ? q->in[0]->dtype : TD_F32));
			return false;
		}
	}
	return true;
}

bool ops_need_numbers(td_infer *q, const char *op)
{
	char text[TD_SHAPE_TEXT];

	for (int i = 0; i < q->n_in; i++) {
		if (!q->in[i] || (q->in[i]->dtype != TD_BOOL && q->in[i]->dtype == q->in[0]->dtype))
			continue;
		td_fail(q->ctx, TD_DTYPE, "%s needs numbers of one type; input %d is %s: cast it to %s with td_cast",
			op, i, td_shape_text(q->in[i], text),
			td_dtype_name(q->in[0]->dtype == TD_BOOL ? TD_I64 : q->in[0]->dtype));
		return false;
	}
	return true;
}

/* ---- Lines along an axis ----------------------------------------------------------------------------------------- */

#define LINES_PER_SLICE 64

struct ops_lines ops_lines_along(const td_shape *x, int axis)
{
	struct ops_lines l = { 1, 1, 1 };

	for (int i = 0; i < x->rank; i++) {
		*(i == axis ? &l.n : &l.count) *= x->dim[i];
		l.inner *= i > axis ? x->dim[i] : 1;
	}
	return l;
}

struct line_job {
	const td_call *call;
	struct ops_lines lines;
	ops_line_fn *fn;
};

static void line_slice(void *arg, int slice)
{
	const struct line_job *j = arg;
	int64_t from = (int64_t)slice * LINES_PER_SLICE, to = TD_MIN(from + LINES_PER_SLICE, j->lines.count);

	for (int64_t i = from; i < to; i++)
		j->fn(j->call, &j->lines, i);
}

void ops_run_lines(const td_call *call, int axis, ops_line_fn *fn)
{
	struct line_job j = { call, ops_lines_along(call->in[0].shape, axis), fn };

	threads_run(call->threads, (int)((j.lines.count + LINES_PER_SLICE - 1) / LINES_PER_SLICE), line_slice, &j);
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

struct rows {
	td_row_fn *fn;
	int rank;                       /* after joining axes */
	int64_t dim[TD_MAX_RANK];       /* in Y's memory order, slowest first */
	int64_t stride[3][TD_MAX_RANK]; /* y, a, b */
	size_t size[3];
	char *y;
	const char *a, *b;
	int64_t n_rows, row, per_slice; /* rows of ROW elements; per slice: rows, or elements of the one row */
};

/* Axes in Y's memory order, neighbours joined where all three arrays allow it. */
static void join_axes(struct rows *r, const td_shape *y, const int64_t strides[3][TD_MAX_RANK])
{
	for (int i = 0; i < y->rank; i++) {
		int axis = ops_memory_axis(y, i), last = r->rank - 1;
		bool joins = r->rank > 0;

		if (y->dim[axis] == 1)
			continue;
		for (int k = 0; k < 3 && joins; k++)
			joins = r->stride[k][last] == strides[k][axis] * y->dim[axis];
		if (!joins) {
			last = r->rank++;
			r->dim[last] = 1;
		}
		r->dim[last] *= y->dim[axis];
		for (int k = 0; k < 3; k++)
			r->stride[k][last] = strides[k][axis];
	}
	if (!r->rank) {
		r->rank = 1;
		r->dim[0] = 1;
	}
}

static void run_rows(void *arg, int slice)
{
	const struct rows *r = arg;
	int last = r->rank - 1;
	int64_t from = slice * r->per_slice, to = from + r->per_slice;

	if (r->n_rows == 1) {
		to = TD_MIN(to, r->row);
		r->fn(r->y + (size_t)from * r->size[0], at_const(r->a, from * r->stride[1][last], r->size[1]),
			at_const(r->b, from * r->stride[2][last], r->size[2]), to - from, r->stride[1][last],
			r->stride[2][last]);
		return;
	}
	for (int64_t row = from; row < TD_MIN(to, r->n_rows); row++) {
		int64_t rest = row, offset[3] = { 0 };

		for (int i = last - 1; i >= 0; i--, rest /= r->dim[i + 1])
			for (int k = 0; k < 3; k++)
				offset[k] += rest % r->dim[i] * r->stride[k][i];
		r->fn(at(r->y, offset[0], r->size[0]), at_const(r->a, offset[1], r->size[1]),
			at_const(r->b, offset[2], r->size[2]), r->row, r->stride[1][last], r->stride[2][last]);
	}
}

void ops_rows_strided(const td_call *call, td_row_fn *fn, const td_view *y, const void *a, const int64_t *sa,
	const void *b, const int64_t *sb, const size_t size[3])
{
	struct rows r = { .fn = fn, .y = y->data, .a = a, .b = b };
	int64_t strides[3][TD_MAX_RANK] = { 0 }, count = td_shape_count(y->shape), n_slices;

	if (!count)
		return;
	td_shape_strides(y->shape, strides[0]);
	memcpy(strides[1], sa, sizeof strides[1]);
	if (b)
		memcpy(strides[2], sb, sizeof strides[2]);
	memcpy(r.size, size, sizeof r.size);
	join_axes(&r, y->shape, (const int64_t(*)[TD_MAX_RANK])strides);
	r.row = r.dim[r.rank - 1];
	r.n_rows = count / r.row;
	r.per_slice = r.n_rows == 1 ? SLICE_ELEMENTS : TD_MAX(1, SLICE_ELEMENTS / r.row);
	n_slices = ((r.n_rows == 1 ? r.row : r.n_rows) + r.per_slice - 1) / r.per_slice;
	threads_run(call->threads, (int)n_slices, run_rows, &r);
}

void ops_rows(
	const td_call *call, td_row_fn *fn, const td_view *y, const td_view *a, const td_view *b, const size_t size[3])
{
	int64_t sa[TD_MAX_RANK], sb[TD_MAX_RANK] = { 0 };

	ops_broadcast_strides(y->shape, a->shape, sa);
	if (b)
		ops_broadcast_strides(y->shape, b->shape, sb);
	ops_rows_strided(call, fn, y, a->data, sa, b ? b->data : NULL, sb, size);
}

td_row_fn *ops_copy_row(size_t size)
{
	return TD_PICK_SIZE(size, k_copy);
}

/* All becomes b, then a is put where the condition says so. */
void ops_choose(const td_call *call, const td_view *y, const td_view *condition, const td_view *a, const td_view *b)
{
	size_t size = td_dtype_size(y->shape->dtype);

	if (b->data != y->data)
		ops_rows(call, ops_copy_row(size), y, b, NULL, (size_t[]){ size, size, size });
	ops_rows(call, TD_PICK_SIZE(size, k_choose), y, a, condition, (size_t[]){ size, size, 1 });
}

/* ---- Matrix products --------------------------------------------------------------------------------------------- */

#define GEMM_SLICES 4 /* along the longer side: measured never slower than OpenBLAS' own threads on training shapes */
#define GEMM_SMALL  (1 << 15) /* multiplications below which one slice is quicker than handing work over */

static void gemm_slice(void *arg, int slice)
{
	const struct ops_gemm *g = arg;
	bool by_rows = g->m >= g->n;
	int64_t side = by_rows ? g->m : g->n, from = slice % g->n_slices * g->per_slice,
		part = TD_MIN(g->per_slice, side - from), rest = slice / g->n_slices, at_a = 0, at_b = 0;
	size_t size = td_dtype_size(g->dtype);
	char *to = at(g->c, rest * g->m * g->n, size);

	if (part <= 0)
		return;
	for (int i = g->rank - 1; i >= 0; rest /= g->dim[i], i--) {
		at_a += rest % g->dim[i] * g->stride_a[i];
		at_b += rest % g->dim[i] * g->stride_b[i];
	}
	if (by_rows)
		TD_PICK_NUMBERS(g->dtype, k_gemm)
	(g->ta, g->tb, part, g->n, g->k, at_const(g->a, at_a + (g->ta ? from : from * g->lda), size), g->lda,
		at_const(g->b, at_b, size), g->ldb, g->beta, at(to, from * g->ldc, size), g->ldc);
	else TD_PICK_NUMBERS(g->dtype, k_gemm)(g->ta, g->tb, g->m, part, g->k, at_const(g->a, at_a, size), g->lda,
		at_const(g->b, at_b + (g->tb ? from * g->ldb : from), size), g->ldb, g->beta, at(to, from, size),
		g->ldc);
}

/* Strides of one batch over Y's, in matrices; 0 where it is repeated. */
static void batch_strides(const td_shape *y, const td_shape *x, int64_t each, int64_t *strides)
{
	int64_t own[TD_MAX_RANK];

	ops_broadcast_strides(y, x, own);
	for (int i = 0; i < y->rank; i++)
		strides[i] = own[i] * each;
}

void ops_gemm_batch(struct ops_gemm *g, const td_shape *y, const td_shape *a, const td_shape *b)
{
	g->rank = y->rank;
	memcpy(g->dim, y->dim, sizeof g->dim);
	batch_strides(y, a, g->m * g->k, g->stride_a);
	batch_strides(y, b, g->k * g->n, g->stride_b);
}

void ops_gemm_run(struct threads *t, const struct ops_gemm *product)
{
	struct ops_gemm g = *product;
	size_t size = td_dtype_size(g.dtype);
	int64_t items = 1;

	for (int i = 0; i < g.rank; i++)
		items *= g.dim[i];
	if (!g.m || !g.n || !items)
		return;
	if (!g.k) { /* an empty sum; BLAS would leave C alone */
		for (int64_t i = 0; i < items * g.m && g.beta == 0; i++)
			memset(at(g.c, i * g.ldc, size), 0, (size_t)g.n * size);
		return;
	}
	g.n_slices = g.m * g.n * g.k < GEMM_SMALL ? 1 : GEMM_SLICES;
	g.per_slice = (TD_MAX(g.m, g.n) + g.n_slices - 1) / g.n_slices;
	threads_run(t, (int)(items * g.n_slices), gemm_slice, &g);
}

void ops_gemm(struct threads *t, td_dtype dtype, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a,
	int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc)
{
	ops_gemm_run(t, &(struct ops_gemm){ .dtype = dtype,
				.ta = ta,
				.tb = tb,
				.m = m,
				.n = n,
				.k = k,
				.a = a,
				.lda = lda,
				.b = b,
				.ldb = ldb,
				.beta = beta,
				.c = c,
				.ldc = ldc });
}

int64_t ops_windows(int64_t size, int64_t kernel, int64_t stride, int64_t padding, bool ceil_mode)
{
	int64_t rest = size + 2 * padding - kernel, n = rest / stride + 1;

	return ceil_mode && rest % stride && n * stride < size + padding ? n + 1 : n;
}

/* ---- Orders and samples ------------------------------------------------------------------------------------------ */

td_value *ops_row_major(td_ctx *c, td_value *x)
{
	return x && x->shape.order != TD_ROW_MAJOR ? td_reorder(c, x, TD_ROW_MAJOR) : x;
}

td_value *ops_channels_last(td_ctx *c, td_value *x)
{
	return x && x->shape.order != TD_CHANNELS_LAST && x->shape.rank >= 3 ? td_reorder(c, x, TD_CHANNELS_LAST) : x;
}

td_value *ops_in_order(td_ctx *c, td_value *x, const td_value *like)
{
	return like->shape.order == TD_CHANNELS_LAST ? ops_channels_last(c, x) : ops_row_major(c, x);
}

void ops_sample_input(td_sample *s, enum td_fill fill, td_dtype dtype, int rank, const int64_t *dim)
{
	int i = s->n_in++;

	s->in[i].fill = fill;
	s->in[i].shape = (td_shape){ .dtype = dtype, .rank = rank };
	for (int k = 0; k < rank; k++)
		s->in[i].shape.dim[k] = dim[k];
}

bool ops_sample_lines(int i, td_sample *s)
{
	switch (i) {
	case 0:
	case 1: SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 7); break;
	case 2:
	case 3:
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 4, 5);
		s->in[0].shape.order = i == 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
		break;
	case 4: ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 0, NULL); break;
	case 5: SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 0); break;
	default: return false;
	}
	s->in[0].batched = i != 4;
	return true;
}
