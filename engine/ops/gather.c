/* Elements by their number along an axis.  Each pair takes and gives back, and is the other's gradient: gather and
 * scatter_add with a number for every element, index_select and index_add with one for a whole slice; scatter
 * overwrites.  A number that is out of range is an error when the op runs. */
#include "ops/axis_map.h"

#include "td_ops.h"

typedef struct gather_attrs {
	int64_t axis;
} gather_attrs;

static const td_field gather_fields[] = { TD_FIELD(gather_attrs, axis), { 0 } };

static void start_from_base(const td_call *call)
{
	if (call->out[0].data != call->in[0].data)
		memcpy(call->out[0].data, call->in[0].data, td_shape_bytes(call->out[0].shape));
}

/* ---- Rows of gather, scatter_add and scatter --------------------------------------------------------------------- */

/* INDEX and what lies like it, in rows along the last axis; X is the larger side. */
struct gathering {
	const td_shape *index, *x;
	int64_t x_stride[TD_MAX_RANK];
	int axis;
	int64_t row, n_rows, per_slice;
	td_dtype dtype;
	size_t size;
	const int64_t *at_index;
	char *x_data, *y_data; /* one of the two is only read */
};

static void gathering_init(struct gathering *g, const td_call *call, const td_view *x, const td_view *y)
{
	*g = (struct gathering){ .index = call->in[1].shape,
		.x = x->shape,
		.axis = (int)((const gather_attrs *)call->attrs)->axis,
		.row = call->in[1].shape->dim[call->in[1].shape->rank - 1],
		.dtype = x->shape->dtype,
		.size = td_dtype_size(x->shape->dtype),
		.at_index = call->in[1].data,
		.x_data = x->data,
		.y_data = y->data };
	td_shape_strides(x->shape, g->x_stride);
	g->n_rows = td_shape_count(g->index) / g->row;
}

/* Where row R begins in x, the place along the axis aside. */
static int64_t row_start(const struct gathering *g, int64_t r)
{
	int64_t at_row = 0;

	for (int i = g->index->rank - 2; i >= 0; r /= g->index->dim[i--])
		at_row += i == g->axis ? 0 : r % g->index->dim[i] * g->x_stride[i];
	return at_row;
}

/* From element to element of a row in x. */
static int64_t row_stride(const struct gathering *g)
{
	return g->axis == g->index->rank - 1 ? 0 : 1;
}

/* What gather and scatter_add demand of X and INDEX. */
static bool gather_legal(td_infer *q, const char *op, const td_shape *x, const td_shape *index)
{
	char tx[TD_SHAPE_TEXT], ti[TD_SHAPE_TEXT];
	bool fits = x->rank == index->rank && index->dtype == TD_I64;

	if (!ops_need_axis(q, op, x, ((const gather_attrs *)q->attrs)->axis))
		return false;
	for (int i = 0; i < x->rank && fits; i++)
		fits = i == ((const gather_attrs *)q->attrs)->axis || index->dim[i] <= x->dim[i];
	if (!fits)
		td_fail(q->ctx, TD_SHAPE,
			"%s along axis %lld needs an index int64 or int32 with as many axes as %s and no more elements "
			"than it along the others, not %s",
			op, (long long)((const gather_attrs *)q->attrs)->axis, td_shape_text(x, tx),
			td_shape_text(index, ti));
	return fits;
}

static bool indices_legal(const td_call *call, const char *op, const td_shape *x)
{
	return index_in_range(call, op, call->in[1].data, td_shape_count(call->in[1].shape),
		x->dim[((const gather_attrs *)call->attrs)->axis]);
}

/* ---- gather: y[i, j, k] = x[i, index[i, j, k], k] along axis 1; likewise along others -----------------------------
 */

static void gather_infer(td_infer *q)
{
	if (!gather_legal(q, "gather", q->in[0], q->in[1]))
		return;
	q->out[0] = *q->in[1];
	q->out[0].dtype = q->in[0]->dtype;
}

static void gather_slice(void *arg, int slice)
{
	const struct gathering *g = arg;
	td_gather_fn *gather = TD_PICK_SIZE(g->size, k_gather);
	int64_t first = slice * g->per_slice;

	for (int64_t r = first; r < TD_MIN(first + g->per_slice, g->n_rows); r++)
		gather(at(g->y_data, r * g->row, g->size), at_const(g->x_data, row_start(g, r), g->size),
			g->at_index + r * g->row, g->row, g->x_stride[g->axis], row_stride(g));
}

static void gather_forward(const td_call *call)
{
	struct gathering g;

	if (!td_shape_count(call->out[0].shape) || !indices_legal(call, "gather", call->in[0].shape))
		return;
	gathering_init(&g, call, &call->in[0], &call->out[0]);
	g.per_slice = TD_MAX(1, SLICE_ELEMENTS / g.row);
	threads_run(call->threads, (int)((g.n_rows + g.per_slice - 1) / g.per_slice), gather_slice, &g);
}

static void gather_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_scatter_add(
			c, td_zeros_like(c, n->in[0]), (int)((const gather_attrs *)n->attrs)->axis, n->in[1], dy[0]);
}

static td_value *gather_apply_0(td_ctx *c, td_value *const *in)
{
	return td_gather(c, in[0], 0, in[1]);
}
static td_value *gather_apply_1(td_ctx *c, td_value *const *in)
{
	return td_gather(c, in[0], 1, in[1]);
}
static td_value *gather_apply_last(td_ctx *c, td_value *const *in)
{
	return td_gather(c, in[0], -1, in[1]);
}

static const struct gather_case {
	td_dtype dtype;
	int rank, axis;
	int64_t x[4], index[4];
} gather_cases[] = {
	{ TD_F32, 2, 1, { 5, 7 }, { 5, 1 } },
	{ TD_F32, 1, 0, { 6 }, { 9 } },
	{ TD_F32, 3, 1, { 4, 5, 3 }, { 4, 2, 3 } },
	{ TD_F32, 3, 2, { 4, 3, 5 }, { 4, 3, 6 } },
	{ TD_F32, 3, 0, { 5, 4, 3 }, { 6, 3, 2 } },
	{ TD_F32, 2, 1, { 4, 5 }, { 4, 0 } },
	{ TD_U8, 3, 1, { 4, 5, 3 }, { 4, 2, 3 } },
	{ TD_I64, 2, 1, { 4, 5 }, { 4, 3 } },
	{ TD_I32, 3, 0, { 5, 4, 3 }, { 6, 3, 2 } },
};

/* Both inputs of case I, batched where the axis is not the batch's. */
static bool gather_case_inputs(int i, td_sample *s, td_value *(*const applies[3])(td_ctx *c, td_value *const *in))
{
	const struct gather_case *g = &gather_cases[i];

	s->apply = applies[g->axis == g->rank - 1 && g->rank > 1 ? 2 : g->axis];
	ops_sample_input(s, g->dtype == TD_F32 ? TD_FILL_NORMAL : TD_FILL_LABELS, g->dtype, g->rank, g->x);
	ops_sample_input(s, TD_FILL_LABELS, g->dtype == TD_I32 ? TD_I32 : TD_I64, g->rank, g->index);
	s->in[0].classes = 7;
	s->in[1].classes = (int)g->x[g->axis];
	s->in[0].batched = s->in[1].batched = g->axis > 0;
	return true;
}

static bool gather_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(
		td_ctx *, td_value *const *) = { gather_apply_0, gather_apply_1, gather_apply_last };

	return i < (int)TD_COUNT(gather_cases) && gather_case_inputs(i, s, applies);
}

TD_OP(gather, .n_in = 2, .n_out = 1, .attrs_size = sizeof(gather_attrs), .fields = gather_fields, .infer = gather_infer,
	.forward = { gather_forward }, .backward = gather_backward, .sample = gather_sample)

/* torch.gather (numpy.take_along_axis): INDEX, int64 or int32, has as many axes as X and, along all but AXIS, no more
 * elements; its entries are 0 .. size-1 of the axis.  y: INDEX's sizes, row-major. */
TD_API td_value *td_gather(td_ctx *c, td_value *x, int axis, td_value *index)
{
	if (!x || !index || !ops_axis(c, "gather", x, &axis))
		return NULL;
	return TD_APPLY(
		c, gather, (&(gather_attrs){ axis }), ops_row_major(c, x), ops_row_major(c, index_of(c, index, false)));
}

/* ---- scatter_add: y = base, and y[i, index[i, j, k], k] += x[i, j, k] along axis 1 --------------------------------
 */

static void scatter_add_infer(td_infer *q)
{
	td_shape x = *q->in[1];

	x.dtype = q->in[0]->dtype;
	if (x.dtype == TD_BOOL) {
		char text[TD_SHAPE_TEXT];
		td_fail(q->ctx, TD_DTYPE, "scatter_add adds numbers, not %s; cast them", td_shape_text(q->in[0], text));
		return;
	}
	if (gather_legal(q, "scatter_add", q->in[0], q->in[1]) && ops_need_like(q, "scatter_add", 2, &x))
		ops_infer_same(q);
}

static void scatter_add_slice(void *arg, int slice)
{
	const struct gathering *g = arg;
	int64_t first = slice * g->per_slice;

	for (int64_t r = first; r < TD_MIN(first + g->per_slice, g->n_rows); r++)
		TD_PICK_NUMBERS(g->dtype, k_scatter_add)
	(at(g->x_data, row_start(g, r), g->size), at_const(g->y_data, r * g->row, g->size), g->at_index + r * g->row,
		g->row, g->x_stride[g->axis], row_stride(g));
}

/* Slices are cut along the axes before AXIS: no two of them write to one place.  False: there is nothing to write, or
 * the call has failed. */
static bool scatter_rows(const td_call *call, const char *op, void (*slice)(void *arg, int slice))
{
	int64_t n_blocks = 1, rows, per_slice;
	struct gathering g;

	start_from_base(call);
	if (!td_shape_count(call->in[1].shape) || !indices_legal(call, op, call->in[0].shape))
		return false;
	gathering_init(&g, call, &call->out[0], &call->in[2]);
	for (int i = 0; i < TD_MIN(g.axis, g.index->rank - 1); i++)
		n_blocks *= g.index->dim[i];
	rows = g.n_rows / n_blocks;
	per_slice = TD_MAX(1, SLICE_ELEMENTS / (rows * g.row));
	g.per_slice = rows * per_slice;
	threads_run(call->threads, (int)((n_blocks + per_slice - 1) / per_slice), slice, &g);
	return true;
}

static void scatter_add_forward(const td_call *call)
{
	scatter_rows(call, "scatter_add", scatter_add_slice);
}

static void scatter_add_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = dy[0];
	if (td_wants(n, 2))
		dx[2] = td_gather(c, dy[0], (int)((const gather_attrs *)n->attrs)->axis, n->in[1]);
}

static td_value *scatter_add_apply_0(td_ctx *c, td_value *const *in)
{
	return td_scatter_add(c, in[0], 0, in[1], in[2]);
}
static td_value *scatter_add_apply_1(td_ctx *c, td_value *const *in)
{
	return td_scatter_add(c, in[0], 1, in[1], in[2]);
}
static td_value *scatter_add_apply_last(td_ctx *c, td_value *const *in)
{
	return td_scatter_add(c, in[0], -1, in[1], in[2]);
}

static bool scatter_add_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(
		td_ctx *, td_value *const *) = { scatter_add_apply_0, scatter_add_apply_1, scatter_add_apply_last };

	if (i >= (int)TD_COUNT(gather_cases) || !gather_case_inputs(i, s, applies))
		return false;
	ops_sample_input(s, s->in[0].fill, s->in[0].shape.dtype, gather_cases[i].rank, gather_cases[i].index);
	s->in[2].classes = 9;
	s->in[2].batched = s->in[1].batched;
	return true;
}

TD_OP(scatter_add, .n_in = 3, .n_out = 1, .inplace = 1, .attrs_size = sizeof(gather_attrs), .fields = gather_fields,
	.infer = scatter_add_infer, .forward = { scatter_add_forward }, .backward = scatter_add_backward,
	.sample = scatter_add_sample)

/* torch.scatter_add, of numbers, not in place: INDEX as for td_gather, X with INDEX's sizes; what comes to one place is
 * added in the order of X. */
TD_API td_value *td_scatter_add(td_ctx *c, td_value *base, int axis, td_value *index, td_value *x)
{
	if (!base || !index || !x || !ops_axis(c, "scatter_add", base, &axis))
		return NULL;
	return TD_APPLY(c, scatter_add, (&(gather_attrs){ axis }), ops_row_major(c, base),
		ops_row_major(c, index_of(c, index, false)), ops_row_major(c, x));
}

/* ---- scatter: y = base, and y[i, index[i, j, k], k] = x[i, j, k] along axis 1.  Hidden output: whether a later
 *      element took the place of x[i, j, k], so that it has no influence ---------------------------------------------
 */

static void scatter_infer(td_infer *q)
{
	td_shape x = *q->in[1];

	x.dtype = q->in[0]->dtype;
	if (!gather_legal(q, "scatter", q->in[0], q->in[1]) || !ops_need_like(q, "scatter", 2, &x))
		return;
	ops_infer_same(q);
	q->out[1] = *q->in[1];
	q->out[1].dtype = TD_BOOL;
	q->workspace = (size_t)td_shape_count(q->in[0]);
}

static void scatter_slice(void *arg, int slice)
{
	const struct gathering *g = arg;
	int64_t first = slice * g->per_slice;

	for (int64_t r = first; r < TD_MIN(first + g->per_slice, g->n_rows); r++)
		TD_PICK_SIZE(g->size, k_scatter)
	(at(g->x_data, row_start(g, r), g->size), at_const(g->y_data, r * g->row, g->size), g->at_index + r * g->row,
		g->row, g->x_stride[g->axis], row_stride(g));
}

static void scatter_forward(const td_call *call)
{
	uint8_t *taken = call->workspace, *lost = call->out[1].data;
	struct gathering g;

	if (!scatter_rows(call, "scatter", scatter_slice) || !lost)
		return;
	gathering_init(&g, call, &call->out[0], &call->in[2]);
	memset(taken, 0, (size_t)td_shape_count(g.x));
	for (int64_t r = g.n_rows - 1; r >= 0; r--)
		for (int64_t i = g.row - 1; i >= 0; i--) {
			int64_t e = r * g.row + i,
				place = row_start(&g, r) + g.at_index[e] * g.x_stride[g.axis] + i * row_stride(&g);

			lost[e] = taken[place];
			taken[place] = 1;
		}
}

static void scatter_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	int axis = (int)((const gather_attrs *)n->attrs)->axis;

	if (td_wants(n, 0))
		dx[0] = td_scatter(c, dy[0], axis, n->in[1], td_zeros_like(c, n->in[2]));
	if (td_wants(n, 2))
		dx[2] = td_masked_fill(c, td_gather(c, dy[0], axis, n->in[1]), n->out[1], 0);
}

static td_value *scatter_apply_0(td_ctx *c, td_value *const *in)
{
	return td_scatter(c, in[0], 0, in[1], in[2]);
}
static td_value *scatter_apply_1(td_ctx *c, td_value *const *in)
{
	return td_scatter(c, in[0], 1, in[1], in[2]);
}
static td_value *scatter_apply_last(td_ctx *c, td_value *const *in)
{
	return td_scatter(c, in[0], -1, in[1], in[2]);
}

static bool scatter_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(
		td_ctx *, td_value *const *) = { scatter_apply_0, scatter_apply_1, scatter_apply_last };

	if (!scatter_add_sample(i, s))
		return false;
	s->apply = applies[s->apply == scatter_add_apply_last ? 2 : s->apply == scatter_add_apply_1];
	return true;
}

TD_OP(scatter, .n_in = 3, .n_out = 1, .n_hidden = 1, .inplace = 1, .attrs_size = sizeof(gather_attrs),
	.fields = gather_fields, .infer = scatter_infer, .forward = { scatter_forward }, .backward = scatter_backward,
	.sample = scatter_sample)

/* torch.scatter, not in place: INDEX as for td_gather, X with INDEX's sizes; of what comes to one place the last one in
 * the order of X stays, and it alone has a gradient (torch leaves both open). */
TD_API td_value *td_scatter(td_ctx *c, td_value *base, int axis, td_value *index, td_value *x)
{
	if (!base || !index || !x || !ops_axis(c, "scatter", base, &axis))
		return NULL;
	return TD_APPLY(c, scatter, (&(gather_attrs){ axis }), ops_row_major(c, base),
		ops_row_major(c, index_of(c, index, false)), ops_row_major(c, x));
}

/* ---- index_select: y[:, j, :] = x[:, index[j], :] along axis 1; likewise along others -----------------------------
 */

static bool select_legal(td_infer *q, const char *op, const td_shape *x)
{
	const td_shape *index = q->in[1];
	char text[TD_SHAPE_TEXT];

	if (!ops_need_axis(q, op, x, ((const gather_attrs *)q->attrs)->axis))
		return false;
	if (index->rank == 1 && index->dtype == TD_I64)
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s needs an index int64[N] or int32[N], not %s", op, td_shape_text(index, text));
	return false;
}

static struct axis_maps select_maps(const td_call *call)
{
	struct axis_maps m = { 0 };

	m.map[((const gather_attrs *)call->attrs)->axis] = call->in[1].data;
	return m;
}

static void index_select_infer(td_infer *q)
{
	if (!select_legal(q, "index_select", q->in[0]))
		return;
	ops_infer_same(q);
	q->out[0].dim[((const gather_attrs *)q->attrs)->axis] = q->in[1]->dim[0];
}

static void index_select_forward(const td_call *call)
{
	struct axis_maps m = select_maps(call);

	if (indices_legal(call, "index_select", call->in[0].shape))
		axis_take(call, &call->out[0], &call->in[0], &m, NULL);
}

static void index_select_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_index_add(
			c, td_zeros_like(c, n->in[0]), (int)((const gather_attrs *)n->attrs)->axis, n->in[1], dy[0]);
}

static td_value *index_select_apply_0(td_ctx *c, td_value *const *in)
{
	return td_index_select(c, in[0], 0, in[1]);
}
static td_value *index_select_apply_1(td_ctx *c, td_value *const *in)
{
	return td_index_select(c, in[0], 1, in[1]);
}

/* What is selected from, and the index. */
static void select_case(int i, td_sample *s)
{
	if (i == 0)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5);
	else
		SAMPLE_INPUT(s, i == 3 ? TD_FILL_LABELS : TD_FILL_NORMAL, i == 3 ? TD_U8 : TD_F32, 4, 5, 3);
	s->in[0].shape.order = i == 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	SAMPLE_INPUT(s, TD_FILL_LABELS, i == 3 ? TD_I32 : TD_I64, i == 4 ? 0 : 7);
	s->in[0].classes = 9;
	s->in[1].classes = i == 5 ? 4 : 5;
	s->in[i % 5 == 0].batched = true;
}

static bool index_select_sample(int i, td_sample *s)
{
	if (i >= 6)
		return false;
	s->apply = i % 5 ? index_select_apply_1 : index_select_apply_0;
	select_case(i, s);
	return true;
}

TD_OP(index_select, .n_in = 2, .n_out = 1, .attrs_size = sizeof(gather_attrs), .fields = gather_fields,
	.infer = index_select_infer, .forward = { index_select_forward }, .backward = index_select_backward,
	.sample = index_select_sample)

/* torch.index_select: INDEX int64[N] or int32[N], entries 0 .. size-1 of AXIS; y lies in x's order. */
TD_API td_value *td_index_select(td_ctx *c, td_value *x, int axis, td_value *index)
{
	if (!x || !index || !ops_axis(c, "index_select", x, &axis))
		return NULL;
	return TD_APPLY(c, index_select, (&(gather_attrs){ axis }), x, index_of(c, index, false));
}

/* ---- index_add: y = base, and y[:, index[j], :] += x[:, j, :] along axis 1 ----------------------------------------
 */

static void index_add_infer(td_infer *q)
{
	td_shape x = *q->in[0];

	if (x.dtype == TD_BOOL) {
		char text[TD_SHAPE_TEXT];
		td_fail(q->ctx, TD_DTYPE, "index_add adds numbers, not %s; cast them", td_shape_text(&x, text));
		return;
	}
	if (!select_legal(q, "index_add", &x))
		return;
	x.dim[((const gather_attrs *)q->attrs)->axis] = q->in[1]->dim[0];
	if (ops_need_like(q, "index_add", 2, &x))
		ops_infer_same(q);
}

static void index_add_forward(const td_call *call)
{
	struct axis_maps m = select_maps(call);

	start_from_base(call);
	if (indices_legal(call, "index_add", call->in[0].shape))
		axis_put(call, &call->out[0], &call->in[2], &m);
}

static void index_add_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = dy[0];
	if (td_wants(n, 2))
		dx[2] = td_index_select(c, dy[0], (int)((const gather_attrs *)n->attrs)->axis, n->in[1]);
}

static td_value *index_add_apply_0(td_ctx *c, td_value *const *in)
{
	return td_index_add(c, in[0], 0, in[1], in[2]);
}
static td_value *index_add_apply_1(td_ctx *c, td_value *const *in)
{
	return td_index_add(c, in[0], 1, in[1], in[2]);
}

static bool index_add_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = i ? index_add_apply_1 : index_add_apply_0;
	select_case(i, s);
	if (i)
		SAMPLE_INPUT(s, s->in[0].fill, s->in[0].shape.dtype, 4, 7, 3);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 7);
	s->in[2].classes = 9;
	s->in[2].batched = true;
	return true;
}

TD_OP(index_add, .n_in = 3, .n_out = 1, .inplace = 1, .attrs_size = sizeof(gather_attrs), .fields = gather_fields,
	.infer = index_add_infer, .forward = { index_add_forward }, .backward = index_add_backward,
	.sample = index_add_sample)

/* torch.index_add, of numbers, not in place: X is like BASE but along AXIS as long as INDEX, int64[N] or int32[N]; what
 * comes to one place is added in the order in which X lies.  y lies in base's order. */
TD_API td_value *td_index_add(td_ctx *c, td_value *base, int axis, td_value *index, td_value *x)
{
	if (!base || !index || !x || !ops_axis(c, "index_add", base, &axis))
		return NULL;
	return TD_APPLY(
		c, index_add, (&(gather_attrs){ axis }), base, index_of(c, index, false), ops_in_order(c, x, base));
}
