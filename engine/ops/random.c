/* Random ops.  A number's address is (seed, stream, step, element): the stream is the op's position among the random
 * ops of its step, fixed when it is applied or recorded; elements count in memory order. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- dropout: y = x / (1 - p) where a number of [0, 1) is at least p, else 0.  Hidden output: the mask ----------- */

typedef struct dropout_attrs {
	double p;
	uint32_t stream;
} dropout_attrs;

static void dropout_infer(td_infer *q)
{
	const dropout_attrs *a = q->attrs;

	if (!ops_need_float(q, "dropout"))
		return;
	if (!(a->p >= 0 && a->p <= 1)) {
		td_fail(q->ctx, TD_INVALID, "dropout needs a probability from 0 to 1, not %g", a->p);
		return;
	}
	ops_infer_same(q);
	q->out[1] = q->out[0];
	q->out[1].dtype = TD_BOOL;
}

static void dropout_slice(void *arg, int slice)
{
	const td_call *call = arg;
	const dropout_attrs *a = call->attrs;
	int64_t first = (int64_t)slice * SLICE_ELEMENTS,
		n = TD_MIN(SLICE_ELEMENTS, td_shape_count(call->in[0].shape) - first);
	size_t size = td_dtype_size(call->in[0].shape->dtype);

	TD_PICK(call->in[0].shape->dtype, k_dropout)
	(at(call->out[0].data, first, size), at(call->out[1].data, first, 1), at_const(call->in[0].data, first, size),
		first, n, a->p, call->seed, a->stream, call->step);
}

static void dropout_forward(const td_call *call)
{
	int64_t n = td_shape_count(call->in[0].shape);

	threads_run(call->threads, (int)((n + SLICE_ELEMENTS - 1) / SLICE_ELEMENTS), dropout_slice,
		(void *)(uintptr_t)call);
}

static void dropout_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_dropout_dx(c, dy[0], n->out[1], (float)((const dropout_attrs *)n->attrs)->p);
}

static td_value *dropout_apply(td_ctx *c, td_value *const *in)
{
	return td_dropout(c, in[0], 0.375f);
}

static bool dropout_sample(int i, td_sample *s)
{
	if (i >= 3)
		return false;
	s->apply = dropout_apply;
	if (i < 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5, 7);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 200, 170); /* several slices */
	s->in[0].shape.order = i == 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(dropout, .n_in = 1, .n_out = 1, .n_hidden = 1, .inplace = 1, .attrs_size = sizeof(dropout_attrs),
	.infer = dropout_infer, .forward = { dropout_forward }, .backward = dropout_backward, .sample = dropout_sample)

/* P: the share of elements that become 0 (torch.nn.functional.dropout in training). */
TD_API td_value *td_dropout(td_ctx *c, td_value *x, float p)
{
	dropout_attrs a;

	if (!x)
		return NULL;
	memset(&a, 0, sizeof a);
	a.p = (double)p;
	a.stream = td__next_stream(c);
	return TD_APPLY(c, dropout, &a, x);
}

/* ---- dropout_dx: y = x / (1 - p) where the mask is set; linear, so it is its own gradient ------------------------ */

static void dropout_dx_infer(td_infer *q)
{
	char a[TD_SHAPE_TEXT], b[TD_SHAPE_TEXT];

	td_shape mask = *q->in[0];

	mask.dtype = TD_BOOL;
	if (!td_shape_same(q->in[1], &mask) || !td__is_float(q->in[0]->dtype))
		td_fail(q->ctx, TD_SHAPE, "dropout_dx: %s and the mask %s do not fit", td_shape_text(q->in[0], a),
			td_shape_text(q->in[1], b));
	q->out[0] = *q->in[1];
	q->out[0].dtype = q->in[0]->dtype;
}

static void dropout_dx_forward(const td_call *call)
{
	double p = ((const dropout_attrs *)call->attrs)->p;
	td_dtype d = call->out[0].shape->dtype;
	size_t size = td_dtype_size(d);

	ops_rows(call, TD_PICK(d, k_mask), &call->out[0], &call->in[0], &call->in[1], (size_t[]){ size, size, 1 });
	TD_PICK(d, k_scale)
	(call->out[0].data, call->out[0].data, td_shape_count(call->out[0].shape), p < 1 ? 1 / (1 - p) : 0);
}

static void dropout_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_dropout_dx(c, dy[0], n->in[1], (float)((const dropout_attrs *)n->attrs)->p);
}

static td_value *dropout_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_dropout_dx(c, in[0], in[1], 0.25f);
}

static bool dropout_dx_sample(int i, td_sample *s)
{
	if (i >= 2)
		return false;
	s->apply = dropout_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 3, 4, 5);
	s->in[1].classes = 2;
	s->in[1].shape.order = i ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = s->in[1].batched = true;
	return true;
}

TD_OP(dropout_dx, .n_in = 2, .n_out = 1, .inplace = 1, .attrs_size = sizeof(dropout_attrs), .infer = dropout_dx_infer,
	.forward = { dropout_dx_forward }, .backward = dropout_dx_backward, .sample = dropout_dx_sample)

TD_API td_value *td_dropout_dx(td_ctx *c, td_value *dy, td_value *mask, float p)
{
	dropout_attrs a;

	memset(&a, 0, sizeof a);
	a.p = (double)p;
	return dy && mask ? TD_APPLY(c, dropout_dx, &a, dy, mask) : NULL;
}
