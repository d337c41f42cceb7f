/* Rows by number: embedding tables, and the last valid step of sequences. */
#include "ops/axis_map.h"

#include "td_ops.h"

#define ROWS_PER_SLICE 256

/* ---- embedding: y[..] = table[ids[..]] --------------------------------------------------------------------------- */

typedef struct embedding_attrs {
	int64_t padding; /* the id whose row gets no gradient; -1: none */
} embedding_attrs;

static const td_field embedding_fields[] = { TD_FIELD(embedding_attrs, padding), { 0 } };

/* The shape of a row of TABLE for each of IDS, into Y. */
static bool rows_shape(td_infer *q, const char *op, const td_shape *table, const td_shape *ids, td_shape *y)
{
	char tt[TD_SHAPE_TEXT], ti[TD_SHAPE_TEXT];

	if (!td__is_float(table->dtype) || table->rank != 2 || ids->dtype != TD_I64 || ids->rank >= TD_MAX_RANK) {
		td_fail(q->ctx, TD_SHAPE,
			"%s needs a table float[rows, size] and ids of integers of at most %d axes, not %s and %s", op,
			TD_MAX_RANK - 1, td_shape_text(table, tt), td_shape_text(ids, ti));
		return false;
	}
	*y = *ids;
	y->dtype = table->dtype;
	y->dim[y->rank++] = table->dim[1];
	return true;
}

static void embedding_infer(td_infer *q)
{
	rows_shape(q, "embedding", q->in[0], q->in[1], &q->out[0]);
}

static void embedding_slice(void *arg, int slice)
{
	const td_call *call = arg;
	td_dtype d = call->in[0].shape->dtype;
	size_t size = td_dtype_size(d);
	int64_t n = call->in[0].shape->dim[1], from = (int64_t)slice * ROWS_PER_SLICE,
		count = TD_MIN(ROWS_PER_SLICE, td_shape_count(call->in[1].shape) - from);

	TD_PICK(d, k_embedding)
	(at(call->out[0].data, from * n, size), call->in[0].data, (const int64_t *)call->in[1].data + from, count, n);
}

static int n_row_slices(const td_shape *ids)
{
	return (int)((td_shape_count(ids) + ROWS_PER_SLICE - 1) / ROWS_PER_SLICE);
}

static void embedding_forward(const td_call *call)
{
	const td_shape *ids = call->in[1].shape;

	if (index_in_range(call, "embedding", call->in[1].data, td_shape_count(ids), call->in[0].shape->dim[0]))
		threads_run(call->threads, n_row_slices(ids), embedding_slice, (void *)(uintptr_t)call);
}

static void embedding_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_embedding_dw(c, dy[0], n->in[1], n->in[0], ((const embedding_attrs *)n->attrs)->padding);
}

static td_value *embedding_apply(td_ctx *c, td_value *const *in)
{
	return td_embedding(c, in[0], in[1], -1);
}

static bool embedding_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = embedding_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 6, 3);
	if (i)
		SAMPLE_INPUT(s, TD_FILL_LABELS, i == 1 ? TD_I64 : i == 2 ? TD_I32 : TD_U8, 9);
	else
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 4, 5);
	s->in[1].classes = 6;
	s->in[1].batched = true;
	return true;
}

TD_OP(embedding, .n_in = 2, .n_out = 1, .attrs_size = sizeof(embedding_attrs), .fields = embedding_fields,
	.infer = embedding_infer, .forward = { embedding_forward }, .backward = embedding_backward,
	.sample = embedding_sample)

/* table [rows, size], ids int64, int32 or uint8 [..] -> [.., size]; an id that is no row is an error.  PADDING: see
 * embedding_dw; -1. */
TD_API td_value *td_embedding(td_ctx *c, td_value *table, td_value *ids, int64_t padding)
{
	return table && ids ? TD_APPLY(c, embedding, (&(embedding_attrs){ padding }), ops_row_major(c, table),
				      ops_row_major(c, index_of(c, ids, true)))
			    : NULL;
}

/* ---- embedding_dw: the gradient of embedding by its table: dy's rows added up by id, in order; the row PADDING gets
 * none.  Only the table's shape is read */

#define TABLE_SLICES 4

static void embedding_dw_infer(td_infer *q)
{
	const td_shape *ids = q->in[1], *table = q->in[2];
	td_shape y;

	if (!rows_shape(q, "embedding_dw", table, ids, &y) || !ops_need_like(q, "embedding_dw", 0, &y))
		return;
	q->out[0] = *table;
	q->out[0].order = TD_ROW_MAJOR;
}

/* Each slice owns some rows of the table and looks at all ids. */
static void embedding_dw_slice(void *arg, int slice)
{
	const td_call *call = arg;
	td_dtype d = call->in[0].shape->dtype;
	int64_t m = call->in[2].shape->dim[0], n = call->in[2].shape->dim[1],
		per = (m + TABLE_SLICES - 1) / TABLE_SLICES, from = slice * per, to = TD_MIN(from + per, m);
	size_t size = td_dtype_size(d);

	if (from >= to)
		return;
	memset(at(call->out[0].data, from * n, size), 0, (size_t)((to - from) * n) * size);
	TD_PICK(d, k_embedding_dw)
	(call->out[0].data, call->in[0].data, call->in[1].data, td_shape_count(call->in[1].shape), n, from, to,
		((const embedding_attrs *)call->attrs)->padding);
}

static void embedding_dw_forward(const td_call *call)
{
	threads_run(call->threads, TABLE_SLICES, embedding_dw_slice, (void *)(uintptr_t)call);
}

/* Linear in dy. */
static void embedding_dw_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_embedding(c, dy[0], n->in[1], -1);
}

static td_value *embedding_dw_apply(td_ctx *c, td_value *const *in)
{
	return td_embedding_dw(c, in[0], in[1], in[2], -1);
}

static bool embedding_dw_sample(int i, td_sample *s)
{
	s->apply = embedding_dw_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 4, 5, 3);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 4, 5);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 6, 3);
	s->in[1].classes = 6;
	s->in[0].batched = s->in[1].batched = true;
	s->in[2].fixed = true;
	return i < 1;
}

TD_OP(embedding_dw, .n_in = 3, .n_out = 1, .shape_only = 4, .attrs_size = sizeof(embedding_attrs),
	.fields = embedding_fields, .infer = embedding_dw_infer, .forward = { embedding_dw_forward },
	.backward = embedding_dw_backward, .sample = embedding_dw_sample)

TD_API td_value *td_embedding_dw(td_ctx *c, td_value *dy, td_value *ids, td_value *table, int64_t padding)
{
	return dy && ids && table ? TD_APPLY(c, embedding_dw, (&(embedding_attrs){ padding }), ops_row_major(c, dy),
					    ops_row_major(c, ids), table)
				  : NULL;
}

/* ---- last_step: of each sequence of x [N, T, H] its last valid step, or with FIRST its first --------------------- */

typedef struct step_attrs {
	int64_t first;
} step_attrs;

static const td_field step_fields[] = { TD_FIELD(step_attrs, first), { 0 } };

static bool steps_legal(td_infer *q, const char *op, const td_shape *x, const td_shape *lengths)
{
	char tx[TD_SHAPE_TEXT];

	if (x->rank == 3 && td__is_float(x->dtype) && x->dim[1] > 0 &&
		(!lengths || (lengths->dtype == TD_I64 && lengths->rank == 1 && lengths->dim[0] == x->dim[0])))
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s needs sequences float[N, T, H] of at least one step and lengths int64[N], not %s",
		op, td_shape_text(x, tx));
	return false;
}

/* Row of sequence I in [N * T]. */
static int64_t step_row(const td_call *call, const td_shape *x, const int64_t *lengths, int64_t i)
{
	int64_t t = ((const step_attrs *)call->attrs)->first ? 0 : lengths ? lengths[i] - 1 : x->dim[1] - 1;

	return i * x->dim[1] + TD_MAX(0, TD_MIN(t, x->dim[1] - 1));
}

static void last_step_infer(td_infer *q)
{
	if (!steps_legal(q, "last_step", q->in[0], q->in[1]))
		return;
	q->out[0] = (td_shape){ .dtype = q->in[0]->dtype, .rank = 2, .dim = { q->in[0]->dim[0], q->in[0]->dim[2] } };
}

static void last_step_forward(const td_call *call)
{
	const td_shape *x = call->in[0].shape;
	size_t row = (size_t)x->dim[2] * td_dtype_size(x->dtype);

	for (int64_t i = 0; i < x->dim[0]; i++)
		memcpy((char *)call->out[0].data + (size_t)i * row,
			(const char *)call->in[0].data + (size_t)step_row(call, x, call->in[1].data, i) * row, row);
}

static void last_step_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_last_step_dx(c, dy[0], n->in[0], n->in[1], ((const step_attrs *)n->attrs)->first);
}

static td_value *last_step_apply(td_ctx *c, td_value *const *in)
{
	return td_last_step(c, in[0], in[1], false);
}
static td_value *last_step_apply_first(td_ctx *c, td_value *const *in)
{
	return td_last_step(c, in[0], in[1], true);
}

static bool last_step_sample(int i, td_sample *s)
{
	if (i >= 3)
		return false;
	s->apply = i == 2 ? last_step_apply_first : last_step_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 4, 5, 3);
	s->in[0].batched = true;
	if (i == 0)
		return true;
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 4);
	s->in[1].classes = 6;
	s->in[1].batched = true;
	return true;
}

TD_OP(last_step, .n_in = 2, .n_out = 1, .optional = 2, .attrs_size = sizeof(step_attrs), .fields = step_fields,
	.infer = last_step_infer, .forward = { last_step_forward }, .backward = last_step_backward,
	.sample = last_step_sample)

/* x [N, T, H], lengths int64 [N] (1..T) or NULL: all steps are valid -> [N, H]. */
TD_API td_value *td_last_step(td_ctx *c, td_value *x, td_value *lengths, bool first)
{
	return x ? TD_APPLY(c, last_step, (&(step_attrs){ first }), ops_row_major(c, x), lengths) : NULL;
}

/* ---- last_step_dx: dy where last_step read, zeros elsewhere; only the shape of x is read ------------------------- */

static void last_step_dx_infer(td_infer *q)
{
	td_shape y = { .dtype = q->in[1]->dtype, .rank = 2, .dim = { q->in[1]->dim[0], q->in[1]->dim[2] } };

	if (!steps_legal(q, "last_step_dx", q->in[1], q->in[2]) || !ops_need_like(q, "last_step_dx", 0, &y))
		return;
	q->out[0] = *q->in[1];
	q->out[0].order = TD_ROW_MAJOR;
}

static void last_step_dx_forward(const td_call *call)
{
	const td_shape *x = call->in[1].shape;
	size_t row = (size_t)x->dim[2] * td_dtype_size(x->dtype);

	memset(call->out[0].data, 0, td_shape_bytes(call->out[0].shape));
	for (int64_t i = 0; i < x->dim[0]; i++)
		memcpy((char *)call->out[0].data + (size_t)step_row(call, x, call->in[2].data, i) * row,
			(const char *)call->in[0].data + (size_t)i * row, row);
}

static void last_step_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_last_step(c, dy[0], n->in[2], ((const step_attrs *)n->attrs)->first);
}

static td_value *last_step_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_last_step_dx(c, in[0], in[1], in[2], false);
}

static bool last_step_dx_sample(int i, td_sample *s)
{
	s->apply = last_step_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 4, 5, 3);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 4);
	s->in[1].fixed = true;
	s->in[2].classes = 6;
	for (int k = 0; k < 3; k++)
		s->in[k].batched = true;
	return i < 1;
}

TD_OP(last_step_dx, .n_in = 3, .n_out = 1, .optional = 4, .shape_only = 2, .attrs_size = sizeof(step_attrs),
	.fields = step_fields, .infer = last_step_dx_infer, .forward = { last_step_dx_forward },
	.backward = last_step_dx_backward, .sample = last_step_dx_sample)

TD_API td_value *td_last_step_dx(td_ctx *c, td_value *dy, td_value *x, td_value *lengths, bool first)
{
	return dy && x ? TD_APPLY(c, last_step_dx, (&(step_attrs){ first }), ops_row_major(c, dy), x, lengths) : NULL;
}
