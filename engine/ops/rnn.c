/* The plain recurrent layer of Elman (1990), a whole sequence at a time; see rnn.h. */
#include "ops/rnn.h"

#include "td_ops.h"

/* ---- rnn: y = h = tanh(gates + W h), or relu; torch.nn.RNN ------------------------------------------------------- */

static void rnn_infer(td_infer *q)
{
	struct rnn r;

	if (!rnn_legal(q, "rnn", q->in[0], 1, q->in[1], q->in[2]))
		return;
	q->out[0] = rnn_sequence(q->in[0], q->in[1]->dim[1]);
	rnn_init(&r, NULL, &q->out[0], 1);
	q->workspace = rnn_scratch_bytes(&r, 2 * r.h); /* the output, the last output */
}

static void rnn_step(const struct rnn *r, int64_t from, int64_t m, int64_t t, char *output, char *last)
{
	size_t row = (size_t)r->h * r->size;

	for (int64_t i = 0; i < m; i++)
		memcpy(output + (size_t)i * row, rnn_row(r, r->x, from + i, t, r->h), row);
	TD_PICK(r->dtype, k_gemm)
	(false, true, m, r->h, r->h, last, r->h, r->weight, r->h, 1, output, r->h);
	for (int64_t i = 0; i < m; i++) {
		int64_t n = from + i;
		char *y = output + (size_t)i * row;

		if (!rnn_valid(r, n, t)) {
			memset(rnn_row_of(r, r->out, n, t, r->h), 0, row);
			continue;
		}
		TD_PICK(r->dtype, k_rnn_step)(y, r->h, r->relu);
		memcpy(last + (size_t)i * row, y, row);
		memcpy(rnn_row_of(r, r->out, n, t, r->h), y, row);
	}
}

static void run_slice(void *arg, int slice)
{
	const struct rnn *r = arg;
	int64_t from, m = rnn_slice(r, slice, &from);
	char *output = rnn_scratch(r, slice, 2 * r->h), *last = output + (size_t)(m * r->h) * r->size;

	if (!m)
		return;
	memset(last, 0, (size_t)(m * r->h) * r->size);
	for (int64_t k = 0; k < r->steps; k++)
		rnn_step(r, from, m, r->reverse ? r->steps - 1 - k : k, output, last);
}

static void rnn_forward(const td_call *call)
{
	struct rnn r;

	rnn_init(&r, call, call->out[0].shape, 1);
	r.x = call->in[0].data;
	r.weight = call->in[1].data;
	r.lengths = call->in[2].data;
	r.out = call->out[0].data;
	threads_run(call->threads, r.n_slices, run_slice, &r);
}

static void rnn_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const rnn_attrs *a = n->attrs;
	td_value *dgates = td_rnn_dx(c, dy[0], n->in[1], n->out[0], n->in[2], a->reverse, a->relu);

	if (td_wants(n, 0))
		dx[0] = dgates;
	if (td_wants(n, 1))
		dx[1] = td_recurrent_dw(c, dgates, n->out[0], n->in[1], a->reverse);
}

static td_value *rnn_apply(td_ctx *c, td_value *const *in)
{
	return td_rnn(c, in[0], in[1], in[2], false, false);
}
static td_value *rnn_apply_reverse(td_ctx *c, td_value *const *in)
{
	return td_rnn(c, in[0], in[1], in[2], true, false);
}
static td_value *rnn_apply_relu(td_ctx *c, td_value *const *in)
{
	return td_rnn(c, in[0], in[1], in[2], false, true);
}
static td_value *rnn_apply_relu_reverse(td_ctx *c, td_value *const *in)
{
	return td_rnn(c, in[0], in[1], in[2], true, true);
}

static bool rnn_op_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(
		td_ctx *, td_value *const *) = { rnn_apply, rnn_apply_reverse, rnn_apply_relu, rnn_apply_relu_reverse };

	if (i >= 8)
		return false;
	s->apply = applies[i / 2];
	return rnn_sample(i % 4, s, 1, false);
}

TD_OP(rnn, .n_in = 3, .n_out = 1, .optional = 4, .attrs_size = sizeof(rnn_attrs), .fields = rnn_fields,
	.infer = rnn_infer, .forward = { rnn_forward }, .backward = rnn_backward, .sample = rnn_op_sample)

/* gates [N, T, H]: x W_ih^T + b_ih + b_hh; weight [H, H]: W_hh; lengths int64 [N] or NULL -> [N, T, H]. */
TD_API td_value *td_rnn(td_ctx *c, td_value *gates, td_value *weight, td_value *lengths, bool reverse, bool relu)
{
	rnn_attrs a = { .reverse = reverse, .relu = relu };

	return gates && weight ? TD_APPLY(c, rnn, &a, ops_row_major(c, gates), weight, lengths) : NULL;
}

/* ---- rnn_dx: the gradient of rnn by its gates, through time ------------------------------------------------------ */

static void rnn_dx_infer(td_infer *q)
{
	struct rnn r;

	if (!rnn_legal(q, "rnn_dx", q->in[2], 1, q->in[1], q->in[3]) || !ops_need_like(q, "rnn_dx", 0, q->in[2]))
		return;
	q->out[0] = *q->in[2];
	rnn_init(&r, NULL, q->in[2], 1);
	q->workspace = rnn_scratch_bytes(&r, 2 * r.h); /* gradients of the gates, the last output */
}

static void rnn_step_dx(const struct rnn *r, int64_t from, int64_t m, int64_t t, char *dgates, char *dlast)
{
	size_t row = (size_t)r->h * r->size;

	for (int64_t i = 0; i < m; i++) {
		int64_t n = from + i;
		char *dg = dgates + (size_t)i * row;

		if (rnn_valid(r, n, t)) {
			TD_PICK(r->dtype, k_add)
			(dg, dlast + (size_t)i * row, rnn_row(r, r->dy, n, t, r->h), r->h, 1, 1);
			TD_PICK(r->dtype, k_rnn_step_dx)(dg, rnn_row(r, r->y, n, t, r->h), r->h, r->relu);
		} else {
			memset(dg, 0, row);
		}
		memcpy(rnn_row_of(r, r->dgates, n, t, r->h), dg, row);
	}
	TD_PICK(r->dtype, k_gemm)
	(false, false, m, r->h, r->h, dgates, r->h, r->weight, r->h, 0, dlast, r->h);
}

static void rnn_dx_slice(void *arg, int slice)
{
	const struct rnn *r = arg;
	int64_t from, m = rnn_slice(r, slice, &from);
	char *dgates = rnn_scratch(r, slice, 2 * r->h), *dlast = dgates + (size_t)(m * r->h) * r->size;

	if (!m)
		return;
	memset(dlast, 0, (size_t)(m * r->h) * r->size);
	for (int64_t k = 0; k < r->steps; k++)
		rnn_step_dx(r, from, m, r->reverse ? k : r->steps - 1 - k, dgates, dlast);
}

static void rnn_dx_forward(const td_call *call)
{
	struct rnn r;

	rnn_init(&r, call, call->in[2].shape, 1);
	r.dy = call->in[0].data;
	r.weight = call->in[1].data;
	r.y = call->in[2].data;
	r.lengths = call->in[3].data;
	r.dgates = call->out[0].data;
	threads_run(call->threads, r.n_slices, rnn_dx_slice, &r);
}

static td_value *rnn_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_rnn_dx(c, in[0], in[1], in[2], in[3], false, false);
}

static bool rnn_dx_sample(int i, td_sample *s)
{
	s->apply = rnn_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 3);
	SAMPLE_INPUT(s, TD_FILL_SMALL, TD_F32, 5, 4, 3);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 5);
	s->in[3].classes = 5;
	for (int k = 0; k < 4; k++)
		s->in[k].batched = k != 1;
	return i < 1;
}

TD_OP(rnn_dx, .n_in = 4, .n_out = 1, .optional = 8, .attrs_size = sizeof(rnn_attrs), .fields = rnn_fields,
	.infer = rnn_dx_infer, .forward = { rnn_dx_forward }, .backward = td_once, .sample = rnn_dx_sample)

/* y: what rnn gave. */
TD_API td_value *td_rnn_dx(
	td_ctx *c, td_value *dy, td_value *weight, td_value *y, td_value *lengths, bool reverse, bool relu)
{
	rnn_attrs a = { .reverse = reverse, .relu = relu };

	return dy && weight && y ? TD_APPLY(c, rnn_dx, &a, ops_row_major(c, dy), weight, y, lengths) : NULL;
}
