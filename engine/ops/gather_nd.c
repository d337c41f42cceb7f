/* Rows by several numbers at once: each line of an index names a place along the first axes.  gather_nd takes,
 * index_put_add gives back, and each is the other's gradient; index_put overwrites.  With an index that is stacked from
 * one for each axis they are x[rows, columns] and x[rows, columns] = y.  A number that is out of range is an error when
 * the op runs. */
#include "ops/axis_map.h"

#include "td_ops.h"

/* ---- What an index [.., K] names: K axes of x, and behind them rows of the elements of the others --------------- */

static int64_t named_axes(const td_shape *index)
{
	return index->rank ? index->dim[index->rank - 1] : 0;
}

/* The shape of what INDEX takes from X, into Y. */
static bool places_legal(td_infer *q, const char *op, const td_shape *x, const td_shape *index, td_shape *y)
{
	char tx[TD_SHAPE_TEXT], ti[TD_SHAPE_TEXT];
	int64_t k = named_axes(index);

	if (index->dtype != TD_I64 || k < 1 || k > x->rank || index->rank - 1 + x->rank - k > TD_MAX_RANK) {
		td_fail(q->ctx, TD_SHAPE,
			"%s needs an index int64[.., K] or int32[.., K] of 1 to %d axes of %s, and a result of at "
			"most %d axes, not %s",
			op, x->rank, td_shape_text(x, tx), TD_MAX_RANK, td_shape_text(index, ti));
		return false;
	}
	*y = (td_shape){ .dtype = x->dtype, .rank = index->rank - 1 };
	memcpy(y->dim, index->dim, sizeof *y->dim * (size_t)y->rank);
	for (int64_t i = k; i < x->rank; i++)
		y->dim[y->rank++] = x->dim[i];
	return true;
}

static int64_t places_count(const td_shape *index)
{
	int64_t n = 1;

	for (int i = 0; i < index->rank - 1; i++)
		n *= index->dim[i];
	return n;
}

/* The number of rows of X that INDEX chooses from, and the elements of one. */
static int64_t rows_of(const td_shape *x, const td_shape *index, int64_t *row)
{
	int64_t rows = 1;

	*row = 1;
	for (int i = 0; i < x->rank; i++)
		*(i < named_axes(index) ? &rows : row) *= x->dim[i];
	return rows;
}

/* The row of X for each line of input 1.  False: the call fails and names the first number that is out of range. */
static bool places_fill(const td_call *call, const char *op, const td_shape *x, int64_t *place)
{
	const td_shape *index = call->in[1].shape;
	const int64_t *number = call->in[1].data;
	int64_t k = named_axes(index), n = places_count(index);

	for (int64_t i = 0; i < n; i++, number += k) {
		place[i] = 0;
		for (int64_t axis = 0; axis < k; axis++) {
			if (!index_in_range(call, op, number + axis, 1, x->dim[axis]))
				return false;
			place[i] = place[i] * x->dim[axis] + number[axis];
		}
	}
	return true;
}

/* ---- gather_nd: y[i, ..] = x[index[i, 0], .., index[i, K - 1], ..] ---------------------------------------------- */

static void gather_nd_infer(td_infer *q)
{
	if (places_legal(q, "gather_nd", q->in[0], q->in[1], &q->out[0]))
		q->workspace = sizeof(int64_t) * (size_t)places_count(q->in[1]);
}

struct taking {
	const td_call *call;
	int64_t n, row, per_slice;
};

static void gather_nd_slice(void *arg, int slice)
{
	const struct taking *t = arg;
	static const uint64_t zero;
	int64_t first = slice * t->per_slice;
	size_t size = td_dtype_size(t->call->out[0].shape->dtype);

	TD_PICK_SIZE(size, k_take)
	(at(t->call->out[0].data, first * t->row, size), t->call->in[0].data, (int64_t *)t->call->workspace + first,
		TD_MIN(t->per_slice, t->n - first), t->row, &zero);
}

static void gather_nd_forward(const td_call *call)
{
	struct taking t = { .call = call, .n = places_count(call->in[1].shape) };

	rows_of(call->in[0].shape, call->in[1].shape, &t.row);
	if (!places_fill(call, "gather_nd", call->in[0].shape, call->workspace) || !td_shape_count(call->out[0].shape))
		return;
	t.per_slice = TD_MAX(1, SLICE_ELEMENTS / t.row);
	threads_run(call->threads, (int)((t.n + t.per_slice - 1) / t.per_slice), gather_nd_slice, &t);
}

static void gather_nd_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_index_put(c, td_zeros_like(c, n->in[0]), n->in[1], dy[0], true);
}

static td_value *gather_nd_apply(td_ctx *c, td_value *const *in)
{
	return td_gather_nd(c, in[0], in[1]);
}

static const struct nd_case {
	td_dtype dtype, index_dtype;
	int rank, index_rank;
	int64_t x[4], index[3];
} nd_cases[] = {
	{ TD_F32, TD_I64, 2, 2, { 5, 7 }, { 9, 2 } },    /* elements */
	{ TD_F32, TD_I64, 3, 2, { 4, 5, 3 }, { 6, 1 } }, /* rows */
	{ TD_F32, TD_I32, 4, 3, { 4, 5, 2, 3 }, { 3, 2, 2 } },
	{ TD_F32, TD_I64, 1, 1, { 6 }, { 1 } }, /* a scalar */
	{ TD_F32, TD_I64, 2, 2, { 5, 3 }, { 0, 1 } },
	{ TD_I64, TD_I64, 2, 2, { 5, 4 }, { 7, 1 } },
	{ TD_U8, TD_I32, 3, 2, { 4, 5, 3 }, { 6, 3 } },
};

static bool gather_nd_sample(int i, td_sample *s)
{
	const struct nd_case *n = &nd_cases[i];

	if (i >= (int)TD_COUNT(nd_cases))
		return false;
	s->apply = gather_nd_apply;
	ops_sample_input(s, n->dtype ? TD_FILL_LABELS : TD_FILL_NORMAL, n->dtype, n->rank, n->x);
	ops_sample_input(s, TD_FILL_LABELS, n->index_dtype, n->index_rank, n->index);
	s->in[0].classes = 9;
	s->in[1].classes = (int)n->x[0];
	for (int k = 1; k < n->index[n->index_rank - 1]; k++) /* no number beyond any axis that it may be for */
		s->in[1].classes = TD_MIN(s->in[1].classes, (int)n->x[k]);
	s->in[1].batched = n->index_rank > 1;
	return true;
}

TD_OP(gather_nd, .n_in = 2, .n_out = 1, .infer = gather_nd_infer, .forward = { gather_nd_forward },
	.backward = gather_nd_backward, .sample = gather_nd_sample)

/* tf.gather_nd: INDEX int64 or int32 [.., K], each number 0 .. size-1 of its axis; x [d0, .., dK, ..] -> [.., dK, ..],
 * row-major. */
TD_API td_value *td_gather_nd(td_ctx *c, td_value *x, td_value *index)
{
	return x && index
		       ? TD_APPLY(c, gather_nd, NULL, ops_row_major(c, x), ops_row_major(c, index_of(c, index, false)))
		       : NULL;
}

/* ---- index_put: y = base, and y[index[i, 0], .., index[i, K - 1], ..] = x[i, ..].  Hidden output: whether a later row
 *      took the place of row i, so that it has no influence ----------------------------------------------------------
 */

static bool put_legal(td_infer *q, const char *op)
{
	td_shape x;

	if (!places_legal(q, op, q->in[0], q->in[1], &x) || !ops_need_like(q, op, 2, &x))
		return false;
	ops_infer_same(q);
	q->workspace = sizeof(int64_t) * (size_t)places_count(q->in[1]);
	return true;
}

static void index_put_infer(td_infer *q)
{
	int64_t row;

	if (!put_legal(q, "index_put"))
		return;
	q->workspace += (size_t)rows_of(q->in[0], q->in[1], &row);
	q->out[1] = *q->in[2];
	q->out[1].dtype = TD_BOOL;
	for (int i = q->in[1]->rank - 1; i < q->out[1].rank; i++)
		q->out[1].dim[i] = 1;
}

static void start_from_base(const td_call *call)
{
	if (call->out[0].data != call->in[0].data)
		memcpy(call->out[0].data, call->in[0].data, td_shape_bytes(call->out[0].shape));
}

static void index_put_forward(const td_call *call)
{
	const td_shape *y = call->out[0].shape, *index = call->in[1].shape;
	int64_t *place = call->workspace, n = places_count(index), row, rows = rows_of(y, index, &row);
	uint8_t *taken = (uint8_t *)(place + n), *lost = call->out[1].data;
	size_t bytes = (size_t)row * td_dtype_size(y->dtype);

	start_from_base(call);
	if (!places_fill(call, "index_put", y, place))
		return;
	for (int64_t i = 0; i < n; i++)
		memcpy((char *)call->out[0].data + (size_t)place[i] * bytes,
			(const char *)call->in[2].data + (size_t)i * bytes, bytes);
	if (!lost)
		return;
	memset(taken, 0, (size_t)rows);
	for (int64_t i = n - 1; i >= 0; i--) {
		lost[i] = taken[place[i]];
		taken[place[i]] = 1;
	}
}

static void index_put_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_index_put(c, dy[0], n->in[1], td_zeros_like(c, n->in[2]), false);
	if (td_wants(n, 2))
		dx[2] = td_masked_fill(c, td_gather_nd(c, dy[0], n->in[1]), n->out[1], 0);
}

static td_value *index_put_apply(td_ctx *c, td_value *const *in)
{
	return td_index_put(c, in[0], in[1], in[2], false);
}
static td_value *index_put_apply_add(td_ctx *c, td_value *const *in)
{
	return td_index_put(c, in[0], in[1], in[2], true);
}

/* Some rows come to one place. */
static bool index_put_sample(int i, td_sample *s)
{
	const struct nd_case *n = &nd_cases[i];
	int64_t dim[TD_MAX_RANK];
	int rank;

	if (!gather_nd_sample(i, s))
		return false;
	rank = n->index_rank - 1;
	memcpy(dim, n->index, sizeof *dim * (size_t)rank);
	for (int64_t k = n->index[rank]; k < n->rank; k++)
		dim[rank++] = n->x[k];
	s->apply = index_put_apply;
	ops_sample_input(s, s->in[0].fill, n->dtype, rank, dim);
	s->in[2].classes = 9;
	s->in[2].batched = s->in[1].batched;
	return true;
}

TD_OP(index_put, .n_in = 3, .n_out = 1, .n_hidden = 1, .inplace = 1, .infer = index_put_infer,
	.forward = { index_put_forward }, .backward = index_put_backward, .sample = index_put_sample)

/* ---- index_put_add: the same, but rows are added, in order ------------------------------------------------------ */

static void index_put_add_infer(td_infer *q)
{
	char text[TD_SHAPE_TEXT];

	if (q->in[0]->dtype == TD_BOOL)
		td_fail(q->ctx, TD_DTYPE, "index_put adds numbers, not %s; cast them", td_shape_text(q->in[0], text));
	else
		put_legal(q, "index_put");
}

static void index_put_add_forward(const td_call *call)
{
	const td_shape *y = call->out[0].shape, *index = call->in[1].shape;
	int64_t row;

	start_from_base(call);
	rows_of(y, index, &row);
	if (places_fill(call, "index_put", y, call->workspace))
		TD_PICK_NUMBERS(y->dtype, k_put)
	(call->out[0].data, call->in[2].data, call->workspace, places_count(index), row);
}

static void index_put_add_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = dy[0];
	if (td_wants(n, 2))
		dx[2] = td_gather_nd(c, dy[0], n->in[1]);
}

static bool index_put_add_sample(int i, td_sample *s)
{
	return index_put_sample(i, s) && (s->apply = index_put_apply_add);
}

TD_OP(index_put_add, .n_in = 3, .n_out = 1, .inplace = 1, .infer = index_put_add_infer,
	.forward = { index_put_add_forward }, .backward = index_put_add_backward, .sample = index_put_add_sample)

/* torch.index_put, not in place (tf.tensor_scatter_nd_update and _add): INDEX as for td_gather_nd, X like what that
 * would take from BASE.  Of rows that come to one place the last one stays, and it alone has a gradient; with
 * ACCUMULATE all are added to what is there. */
TD_API td_value *td_index_put(td_ctx *c, td_value *base, td_value *index, td_value *x, bool accumulate)
{
	const td_op *op = accumulate ? &td_op_index_put_add : &td_op_index_put;
	td_value *in[3];

	if (!base || !index || !x)
		return NULL;
	in[0] = ops_row_major(c, base);
	in[1] = ops_row_major(c, index_of(c, index, false));
	in[2] = ops_row_major(c, x);
	return in[0] && in[1] && in[2] ? td_apply(c, op, NULL, in, 3) : NULL;
}
