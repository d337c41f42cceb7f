/* GRU, a whole sequence at a time, with torch's gates; see rnn.h. */
#include "ops/rnn.h"

#include "td_ops.h"

/* ---- gru: r, z = sigmoid of gates + W h + b; n = tanh(gates + r (W h + b)); y = h = (1 - z) n + z h.  Hidden output:
 * r, z, n, and W h + b of n */

static void gru_infer(td_infer *q)
{
	char tb[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];
	struct rnn r;

	if (!rnn_legal(q, "gru", q->in[0], 3, q->in[1], q->in[3]))
		return;
	if (q->in[2]->rank != 1 || q->in[2]->dim[0] != q->in[1]->dim[0] || q->in[2]->dtype != q->in[1]->dtype) {
		td_fail(q->ctx, TD_SHAPE, "gru needs a bias of %lld entries, one for each row of the weight %s, not %s",
			(long long)q->in[1]->dim[0], td_shape_text(q->in[1], tw), td_shape_text(q->in[2], tb));
		return;
	}
	q->out[0] = rnn_sequence(q->in[0], q->in[1]->dim[1]);
	q->out[1] = rnn_sequence(q->in[0], 4 * q->in[1]->dim[1]);
	rnn_init(&r, NULL, &q->out[0], 3);
	q->workspace = rnn_scratch_bytes(&r, 8 * r.h); /* what the last output gives, the gates, the last output */
}

static void gru_step(const struct rnn *r, int64_t from, int64_t m, int64_t t, char *hidden, char *gates, char *last)
{
	int64_t h = r->h;
	size_t narrow = (size_t)h * r->size;

	TD_PICK(r->dtype, k_fill_rows)(hidden, r->bias, m, 3 * h);
	TD_PICK(r->dtype, k_gemm)(false, true, m, 3 * h, h, last, h, r->weight, h, 1, hidden, 3 * h);
	for (int64_t i = 0; i < m; i++) {
		int64_t n = from + i;
		char *g = gates + (size_t)i * 4 * narrow, *kept = hidden + (size_t)i * 3 * narrow,
		     *y = last + (size_t)i * narrow;

		if (!rnn_valid(r, n, t)) {
			memset(rnn_row_of(r, r->out, n, t, h), 0, narrow);
			if (r->kept)
				memset(rnn_row_of(r, r->kept, n, t, 4 * h), 0, 4 * narrow);
			continue;
		}
		memcpy(g, rnn_row(r, r->x, n, t, 3 * h), 3 * narrow);
		TD_PICK(r->dtype, k_add)(g, g, kept, 2 * h, 1, 1);
		TD_PICK(r->dtype, k_gru_step)(g, kept + 2 * narrow, y, y, h);
		memcpy(rnn_row_of(r, r->out, n, t, h), y, narrow);
		if (r->kept)
			memcpy(rnn_row_of(r, r->kept, n, t, 4 * h), g, 4 * narrow);
	}
}

static void gru_slice(void *arg, int slice)
{
	const struct rnn *r = arg;
	int64_t from, m = rnn_slice(r, slice, &from);
	char *hidden = rnn_scratch(r, slice, 8 * r->h), *gates = hidden + (size_t)(m * 3 * r->h) * r->size,
	     *last = gates + (size_t)(m * 4 * r->h) * r->size;

	if (!m)
		return;
	memset(last, 0, (size_t)(m * r->h) * r->size);
	for (int64_t k = 0; k < r->steps; k++)
		gru_step(r, from, m, r->reverse ? r->steps - 1 - k : k, hidden, gates, last);
}

static void gru_forward(const td_call *call)
{
	struct rnn r;

	rnn_init(&r, call, call->out[0].shape, 3);
	r.x = call->in[0].data;
	r.weight = call->in[1].data;
	r.bias = call->in[2].data;
	r.lengths = call->in[3].data;
	r.out = call->out[0].data;
	r.kept = call->out[1].data;
	threads_run(call->threads, r.n_slices, gru_slice, &r);
}

static void gru_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	int64_t reverse = ((const rnn_attrs *)n->attrs)->reverse;
	/* [N, T, 4H]: of the inputs' shares of r, z and n, then of the last output's share of n */
	td_value *all = td_gru_dx(c, dy[0], n->in[1], n->out[1], n->out[0], n->in[3], reverse), *hidden;

	if (td_wants(n, 0))
		dx[0] = td_concat_part(c, all, n->in[0], n->out[0], 0, 2);
	if (!td_wants(n, 1) && !td_wants(n, 2))
		return;
	hidden = td_gru_hidden(c, all);
	if (td_wants(n, 1))
		dx[1] = td_recurrent_dw(c, hidden, n->out[0], n->in[1], reverse);
	if (td_wants(n, 2))
		dx[2] = td_sum(c, hidden, 3, false);
}

static td_value *gru_apply(td_ctx *c, td_value *const *in)
{
	return td_gru(c, in[0], in[1], in[2], in[3], false);
}
static td_value *gru_apply_reverse(td_ctx *c, td_value *const *in)
{
	return td_gru(c, in[0], in[1], in[2], in[3], true);
}

static bool gru_sample(int i, td_sample *s)
{
	s->apply = i / 2 ? gru_apply_reverse : gru_apply;
	return rnn_sample(i, s, 3, true);
}

TD_OP(gru, .n_in = 4, .n_out = 1, .n_hidden = 1, .optional = 8, .attrs_size = sizeof(rnn_attrs), .fields = rnn_fields,
	.infer = gru_infer, .forward = { gru_forward }, .backward = gru_backward, .sample = gru_sample)

/* gates [N, T, 3H]: x W_ih^T + b_ih, in the order r, z, n; weight [3H, H]: W_hh; bias [3H]: b_hh; lengths int64 [N] or
 * NULL -> [N, T, H]. */
TD_API td_value *td_gru(td_ctx *c, td_value *gates, td_value *weight, td_value *bias, td_value *lengths, bool reverse)
{
	return gates && weight && bias ? TD_APPLY(c, gru, (&(rnn_attrs){ .reverse = reverse }), ops_row_major(c, gates),
						 weight, bias, lengths)
				       : NULL;
}

/* ---- gru_dx: the gradient of gru, through time, by all that goes into its gates: see gru_backward ---------------- */

static void gru_dx_infer(td_infer *q)
{
	struct rnn r;
	td_shape gates = *q->in[2], y;

	gates.dim[2] = gates.rank == 3 ? gates.dim[2] / 4 * 3 : 0;
	if (!rnn_legal(q, "gru_dx", &gates, 3, q->in[1], q->in[4]))
		return;
	y = rnn_sequence(&gates, q->in[1]->dim[1]);
	if (!ops_need_like(q, "gru_dx", 0, &y) || !ops_need_like(q, "gru_dx", 3, &y))
		return;
	q->out[0] = *q->in[2];
	rnn_init(&r, NULL, q->in[0], 3);
	q->workspace = rnn_scratch_bytes(
		&r, 6 * r.h); /* gradients by what the last output gives, twice by that output, and this */
}

static void gru_step_dx(
	const struct rnn *r, int64_t from, int64_t m, int64_t t, char *dhidden, char *dkept, char *dlast)
{
	int64_t h = r->h, before = rnn_step_before(r, t);
	size_t narrow = (size_t)h * r->size;

	for (int64_t i = 0; i < m; i++) {
		int64_t n = from + i;
		char *dh = dlast + (size_t)i * narrow, *through = dhidden + (size_t)i * 3 * narrow,
		     *direct = dkept + (size_t)i * narrow, *all = rnn_row_of(r, r->dgates, n, t, 4 * h);
		bool first = before < 0 || !rnn_valid(r, n, before);

		if (!rnn_valid(r, n, t)) {
			memset(all, 0, 4 * narrow);
			memset(through, 0, 3 * narrow);
			memset(direct, 0, narrow);
			continue;
		}
		TD_PICK(r->dtype, k_add)(dh, dh, rnn_row(r, r->dy, n, t, h), h, 1, 1);
		TD_PICK(r->dtype, k_gru_step_dx)
		(all, direct, dh, rnn_row(r, r->gates, n, t, 4 * h), first ? NULL : rnn_row(r, r->y, n, before, h), h);
		memcpy(through, all, 2 * narrow);
		memcpy(through + 2 * narrow, all + 3 * narrow, narrow);
	}
	TD_PICK(r->dtype, k_gemm)(false, false, m, h, 3 * h, dhidden, 3 * h, r->weight, h, 0, dlast, h);
	TD_PICK(r->dtype, k_add)(dlast, dlast, dkept, m * h, 1, 1);
}

static void gru_dx_slice(void *arg, int slice)
{
	const struct rnn *r = arg;
	int64_t from, m = rnn_slice(r, slice, &from);
	char *dhidden = rnn_scratch(r, slice, 6 * r->h), *dkept = dhidden + (size_t)(m * 3 * r->h) * r->size,
	     *dlast = dkept + (size_t)(m * r->h) * r->size;

	if (!m)
		return;
	memset(dlast, 0, (size_t)(m * r->h) * r->size);
	for (int64_t k = 0; k < r->steps; k++)
		gru_step_dx(r, from, m, r->reverse ? k : r->steps - 1 - k, dhidden, dkept, dlast);
}

static void gru_dx_forward(const td_call *call)
{
	struct rnn r;

	rnn_init(&r, call, call->in[0].shape, 3);
	r.dy = call->in[0].data;
	r.weight = call->in[1].data;
	r.gates = call->in[2].data;
	r.y = call->in[3].data;
	r.lengths = call->in[4].data;
	r.dgates = call->out[0].data;
	threads_run(call->threads, r.n_slices, gru_dx_slice, &r);
}

static td_value *gru_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_gru_dx(c, in[0], in[1], in[2], in[3], in[4], false);
}

static bool gru_dx_sample(int i, td_sample *s)
{
	s->apply = gru_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 9, 3);
	SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, 5, 4, 12);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 5);
	s->in[4].classes = 5;
	for (int k = 0; k < 5; k++)
		s->in[k].batched = k != 1;
	return i < 1;
}

TD_OP(gru_dx, .n_in = 5, .n_out = 1, .optional = 16, .attrs_size = sizeof(rnn_attrs), .fields = rnn_fields,
	.infer = gru_dx_infer, .forward = { gru_dx_forward }, .backward = td_once, .sample = gru_dx_sample)

/* gates: gru's hidden output; y: its output. */
TD_API td_value *td_gru_dx(
	td_ctx *c, td_value *dy, td_value *weight, td_value *gates, td_value *y, td_value *lengths, bool reverse)
{
	return dy && weight && gates && y ? TD_APPLY(c, gru_dx, (&(rnn_attrs){ .reverse = reverse }),
						    ops_row_major(c, dy), weight, gates, y, lengths)
					  : NULL;
}

/* ---- gru_hidden: of gru_dx's result [N, T, 4H], the gradients by what the last output gives to r, z and n: [N, T,
 * 3H], the first two and the last quarter */

static void gru_hidden_infer(td_infer *q)
{
	if (q->in[0]->rank != 3 || q->in[0]->dim[2] % 4) {
		td_fail(q->ctx, TD_SHAPE, "gru_hidden needs what gru_dx gives");
		return;
	}
	q->out[0] = rnn_sequence(q->in[0], q->in[0]->dim[2] / 4 * 3);
}

static void gru_hidden_forward(const td_call *call)
{
	const td_shape *x = call->in[0].shape;
	size_t quarter = (size_t)(x->dim[2] / 4) * td_dtype_size(x->dtype);
	const char *from = call->in[0].data;
	char *to = call->out[0].data;

	for (int64_t i = 0; i < x->dim[0] * x->dim[1]; i++, from += 4 * quarter, to += 3 * quarter) {
		memcpy(to, from, 2 * quarter);
		memcpy(to + 2 * quarter, from + 3 * quarter, quarter);
	}
}

static td_value *gru_hidden_apply(td_ctx *c, td_value *const *in)
{
	return td_gru_hidden(c, in[0]);
}

static bool gru_hidden_sample(int i, td_sample *s)
{
	s->apply = gru_hidden_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, 12);
	s->in[0].batched = true;
	return i < 1;
}

TD_OP(gru_hidden, .n_in = 1, .n_out = 1, .infer = gru_hidden_infer, .forward = { gru_hidden_forward },
	.backward = td_once, .sample = gru_hidden_sample)

TD_API td_value *td_gru_hidden(td_ctx *c, td_value *all)
{
	return all ? TD_APPLY(c, gru_hidden, NULL, all) : NULL;
}
