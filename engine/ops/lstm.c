/* LSTM, a whole sequence at a time, with torch's gates; see rnn.h. */
#include "ops/rnn.h"

#include "td_ops.h"

/* ---- lstm: i, f, o = sigmoid, g = tanh of gates + W h; c = f c + i g; y = h = o tanh(c).  Hidden outputs: the gates'
 * values, the cells */

static void lstm_infer(td_infer *q)
{
	struct rnn r;

	if (!rnn_legal(q, "lstm", q->in[0], 4, q->in[1], q->in[2]))
		return;
	q->out[0] = q->out[2] = rnn_sequence(q->in[0], q->in[1]->dim[1]);
	q->out[1] = *q->in[0];
	q->out[1].order = TD_ROW_MAJOR;
	rnn_init(&r, NULL, &q->out[0], 4);
	q->workspace = rnn_scratch_bytes(&r, 6 * r.h); /* gates, cell, last output */
}

static void lstm_step(const struct rnn *r, int64_t from, int64_t m, int64_t t, char *gates, char *cell, char *last)
{
	size_t wide = (size_t)(4 * r->h) * r->size, narrow = (size_t)r->h * r->size;

	for (int64_t i = 0; i < m; i++)
		memcpy(gates + (size_t)i * wide, rnn_row(r, r->x, from + i, t, 4 * r->h), wide);
	TD_PICK(r->dtype, k_gemm)
	(false, true, m, 4 * r->h, r->h, last, r->h, r->weight, r->h, 1, gates, 4 * r->h);
	for (int64_t i = 0; i < m; i++) {
		int64_t n = from + i;
		char *g = gates + (size_t)i * wide, *c = cell + (size_t)i * narrow, *h = last + (size_t)i * narrow;

		if (!rnn_valid(r, n, t)) {
			memset(rnn_row_of(r, r->out, n, t, r->h), 0, narrow);
			if (r->kept) {
				memset(rnn_row_of(r, r->kept, n, t, 4 * r->h), 0, wide);
				memset(rnn_row_of(r, r->kept_cells, n, t, r->h), 0, narrow);
			}
			continue;
		}
		TD_PICK(r->dtype, k_lstm_step)(g, c, h, r->h);
		memcpy(rnn_row_of(r, r->out, n, t, r->h), h, narrow);
		if (r->kept) {
			memcpy(rnn_row_of(r, r->kept, n, t, 4 * r->h), g, wide);
			memcpy(rnn_row_of(r, r->kept_cells, n, t, r->h), c, narrow);
		}
	}
}

static void lstm_slice(void *arg, int slice)
{
	const struct rnn *r = arg;
	int64_t from, m = rnn_slice(r, slice, &from);
	char *gates = rnn_scratch(r, slice, 6 * r->h), *cell = gates + (size_t)(m * 4 * r->h) * r->size,
	     *last = cell + (size_t)(m * r->h) * r->size;

	if (!m)
		return;
	memset(cell, 0, (size_t)(2 * m * r->h) * r->size);
	for (int64_t k = 0; k < r->steps; k++)
		lstm_step(r, from, m, r->reverse ? r->steps - 1 - k : k, gates, cell, last);
}

static void lstm_forward(const td_call *call)
{
	struct rnn r;

	rnn_init(&r, call, call->out[0].shape, 4);
	r.x = call->in[0].data;
	r.weight = call->in[1].data;
	r.lengths = call->in[2].data;
	r.out = call->out[0].data;
	r.kept = call->out[2].data ? call->out[1].data : NULL;
	r.kept_cells = call->out[2].data;
	threads_run(call->threads, r.n_slices, lstm_slice, &r);
}

static void lstm_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	int64_t reverse = ((const rnn_attrs *)n->attrs)->reverse;
	td_value *dgates = td_lstm_dx(c, dy[0], n->in[1], n->out[1], n->out[2], n->in[2], reverse);

	if (td_wants(n, 0))
		dx[0] = dgates;
	if (td_wants(n, 1))
		dx[1] = td_recurrent_dw(c, dgates, n->out[0], n->in[1], reverse);
}

static td_value *lstm_apply(td_ctx *c, td_value *const *in)
{
	return td_lstm(c, in[0], in[1], in[2], false);
}
static td_value *lstm_apply_reverse(td_ctx *c, td_value *const *in)
{
	return td_lstm(c, in[0], in[1], in[2], true);
}

static bool lstm_sample(int i, td_sample *s)
{
	s->apply = i / 2 ? lstm_apply_reverse : lstm_apply;
	return rnn_sample(i, s, 4, false);
}

TD_OP(lstm, .n_in = 3, .n_out = 1, .n_hidden = 2, .optional = 4, .attrs_size = sizeof(rnn_attrs), .fields = rnn_fields,
	.infer = lstm_infer, .forward = { lstm_forward }, .backward = lstm_backward, .sample = lstm_sample)

/* gates [N, T, 4H]: x W_ih^T + b_ih + b_hh, in the order i, f, g, o; weight [4H, H]: W_hh; lengths int64 [N] or NULL ->
 * [N, T, H]. */
TD_API td_value *td_lstm(td_ctx *c, td_value *gates, td_value *weight, td_value *lengths, bool reverse)
{
	return gates && weight ? TD_APPLY(c, lstm, (&(rnn_attrs){ .reverse = reverse }), ops_row_major(c, gates),
					 weight, lengths)
			       : NULL;
}

/* ---- lstm_dx: the gradient of lstm by its gates, through time ---------------------------------------------------- */

static void lstm_dx_infer(td_infer *q)
{
	struct rnn r;

	td_shape y;

	if (!rnn_legal(q, "lstm_dx", q->in[2], 4, q->in[1], q->in[4]))
		return;
	y = rnn_sequence(q->in[2], q->in[1]->dim[1]);
	if (!ops_need_like(q, "lstm_dx", 0, &y) || !ops_need_like(q, "lstm_dx", 3, &y))
		return;
	q->out[0] = *q->in[2];
	rnn_init(&r, NULL, q->in[0], 4);
	q->workspace = rnn_scratch_bytes(&r, 6 * r.h); /* gradients of gates, cell, output */
}

static void lstm_step_dx(
	const struct rnn *r, int64_t from, int64_t m, int64_t t, char *dgates, char *dcell, char *dlast)
{
	size_t wide = (size_t)(4 * r->h) * r->size, narrow = (size_t)r->h * r->size;
	int64_t before = rnn_step_before(r, t);

	for (int64_t i = 0; i < m; i++) {
		int64_t n = from + i;
		char *dg = dgates + (size_t)i * wide, *dh = dlast + (size_t)i * narrow;
		bool first = before < 0 || !rnn_valid(r, n, before);

		if (!rnn_valid(r, n, t)) {
			memset(dg, 0, wide);
			memset(rnn_row_of(r, r->dgates, n, t, 4 * r->h), 0, wide);
			continue;
		}
		TD_PICK(r->dtype, k_add)(dh, dh, rnn_row(r, r->dy, n, t, r->h), r->h, 1, 1);
		TD_PICK(r->dtype, k_lstm_step_dx)
		(dg, dcell + (size_t)i * narrow, dh, rnn_row(r, r->gates, n, t, 4 * r->h),
			rnn_row(r, r->cells, n, t, r->h), first ? NULL : rnn_row(r, r->cells, n, before, r->h), r->h);
		memcpy(rnn_row_of(r, r->dgates, n, t, 4 * r->h), dg, wide);
	}
	TD_PICK(r->dtype, k_gemm)
	(false, false, m, r->h, 4 * r->h, dgates, 4 * r->h, r->weight, r->h, 0, dlast, r->h);
}

static void lstm_dx_slice(void *arg, int slice)
{
	const struct rnn *r = arg;
	int64_t from, m = rnn_slice(r, slice, &from);
	char *dgates = rnn_scratch(r, slice, 6 * r->h), *dcell = dgates + (size_t)(m * 4 * r->h) * r->size,
	     *dlast = dcell + (size_t)(m * r->h) * r->size;

	if (!m)
		return;
	memset(dcell, 0, (size_t)(2 * m * r->h) * r->size);
	for (int64_t k = 0; k < r->steps; k++)
		lstm_step_dx(r, from, m, r->reverse ? k : r->steps - 1 - k, dgates, dcell, dlast);
}

static void lstm_dx_forward(const td_call *call)
{
	struct rnn r;

	rnn_init(&r, call, call->in[0].shape, 4);
	r.dy = call->in[0].data;
	r.weight = call->in[1].data;
	r.gates = call->in[2].data;
	r.cells = call->in[3].data;
	r.lengths = call->in[4].data;
	r.dgates = call->out[0].data;
	threads_run(call->threads, r.n_slices, lstm_dx_slice, &r);
}

static td_value *lstm_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_lstm_dx(c, in[0], in[1], in[2], in[3], in[4], false);
}

static bool lstm_dx_sample(int i, td_sample *s)
{
	s->apply = lstm_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 12, 3);
	SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, 5, 4, 12);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 5);
	s->in[4].classes = 5;
	for (int k = 0; k < 5; k++)
		s->in[k].batched = k != 1;
	return i < 1;
}

TD_OP(lstm_dx, .n_in = 5, .n_out = 1, .optional = 16, .attrs_size = sizeof(rnn_attrs), .fields = rnn_fields,
	.infer = lstm_dx_infer, .forward = { lstm_dx_forward }, .backward = td_once, .sample = lstm_dx_sample)

/* gates, cells: lstm's hidden outputs. */
TD_API td_value *td_lstm_dx(
	td_ctx *c, td_value *dy, td_value *weight, td_value *gates, td_value *cells, td_value *lengths, bool reverse)
{
	return dy && weight && gates && cells ? TD_APPLY(c, lstm_dx, (&(rnn_attrs){ .reverse = reverse }),
							ops_row_major(c, dy), weight, gates, cells, lengths)
					      : NULL;
}

/* ---- recurrent_dw: the gradient by W_hh: the sum over sequences and steps of dgates[t] y[t-1]^T; only the weight's
 * shape is read */

static void recurrent_dw_infer(td_infer *q)
{
	struct rnn r;
	const td_shape *w = q->in[2];

	td_shape y;

	if (!rnn_legal(q, "recurrent_dw", q->in[0], w->rank == 2 && w->dim[1] ? w->dim[0] / w->dim[1] : 1, w, NULL))
		return;
	y = rnn_sequence(q->in[0], w->dim[1]);
	if (!ops_need_like(q, "recurrent_dw", 1, &y))
		return;
	q->out[0] = *w;
	rnn_init(&r, NULL, q->in[1], 1);
	q->workspace = (size_t)(r.n_slices * w->dim[0] * w->dim[1]) * r.size;
}

static void recurrent_dw_slice(void *arg, int slice)
{
	const struct rnn *r = arg;
	int64_t from, m = rnn_slice(r, slice, &from), wide = r->n_gates * r->h;
	char *partial = r->scratch + (size_t)(slice * wide * r->h) * r->size;

	memset(partial, 0, (size_t)(wide * r->h) * r->size);
	for (int64_t n = from; n < from + m && r->steps > 1; n++)
		TD_PICK(r->dtype, k_gemm)
	(true, false, wide, r->h, r->steps - 1, rnn_row(r, r->gates, n, r->reverse ? 0 : 1, wide), wide,
		rnn_row(r, r->y, n, r->reverse ? 1 : 0, r->h), r->h, 1, partial, r->h);
}

static void recurrent_dw_forward(const td_call *call)
{
	const td_shape *w = call->in[2].shape;
	struct rnn r;
	size_t bytes = td_shape_bytes(w);

	rnn_init(&r, call, call->in[1].shape, w->dim[1] ? w->dim[0] / w->dim[1] : 1);
	r.gates = call->in[0].data;
	r.y = call->in[1].data;
	threads_run(call->threads, r.n_slices, recurrent_dw_slice, &r);
	memcpy(call->out[0].data, r.scratch, bytes);
	for (int s = 1; s < r.n_slices; s++)
		TD_PICK(r.dtype, k_add)
	(call->out[0].data, call->out[0].data, r.scratch + (size_t)s * bytes, td_shape_count(w), 1, 1);
}

static td_value *recurrent_dw_apply(td_ctx *c, td_value *const *in)
{
	return td_recurrent_dw(c, in[0], in[1], in[2], false);
}

static bool recurrent_dw_sample(int i, td_sample *s)
{
	s->apply = recurrent_dw_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, 12);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 12, 3);
	s->in[0].batched = s->in[1].batched = true;
	return i < 1;
}

TD_OP(recurrent_dw, .n_in = 3, .n_out = 1, .shape_only = 4, .attrs_size = sizeof(rnn_attrs), .fields = rnn_fields,
	.infer = recurrent_dw_infer, .forward = { recurrent_dw_forward }, .backward = td_once,
	.sample = recurrent_dw_sample)

TD_API td_value *td_recurrent_dw(td_ctx *c, td_value *dgates, td_value *y, td_value *weight, bool reverse)
{
	return dgates && y && weight
		       ? TD_APPLY(c, recurrent_dw, (&(rnn_attrs){ .reverse = reverse }), dgates, y, weight)
		       : NULL;
}
