/* What the recurrent layers share.
 *
 * What the inputs give to the gates is computed outside, for all steps in one product; an op then walks the steps and
 * adds what the last output gives.  Sequences are independent, so the batch is cut into slices, each walked by one
 * thread.  Past a sequence's length the output is 0 and the state stands still.  Gradients are ops of their own; they
 * end there. */
#ifndef OPS_RNN_H
#define OPS_RNN_H

#include "ops/ops.h"

#define RNN_SLICES_MOST 4 /* of a batch: larger products in each are worth more than more slices */

typedef struct rnn_attrs {
	int64_t reverse; /* from the last step to the first */
	int64_t relu;    /* of rnn: its function is relu, not tanh */
} rnn_attrs;

static const td_field rnn_fields[] = { TD_FIELD(rnn_attrs, reverse), TD_FIELD(rnn_attrs, relu), { 0 } };

struct rnn {
	int64_t batch, steps, h;
	int64_t n_gates; /* H each */
	bool reverse, relu;
	int n_slices;
	td_dtype dtype;
	size_t size;
	const char *x, *weight, *bias, *dy, *gates, *cells, *y;
	const int64_t *lengths;
	char *out, *kept, *kept_cells, *dgates, *scratch;
};

static inline void rnn_init(struct rnn *r, const td_call *call, const td_shape *y, int64_t n_gates)
{
	*r = (struct rnn){ .batch = y->dim[0],
		.steps = y->dim[1],
		.h = y->dim[2],
		.n_gates = n_gates,
		.dtype = y->dtype,
		.size = td_dtype_size(y->dtype) };
	r->n_slices = (int)TD_MAX(1, TD_MIN(RNN_SLICES_MOST, r->batch));
	if (call) {
		r->reverse = ((const rnn_attrs *)call->attrs)->reverse;
		r->relu = ((const rnn_attrs *)call->attrs)->relu;
		r->scratch = call->workspace;
	}
}

static inline int64_t rnn_slice(const struct rnn *r, int slice, int64_t *from)
{
	int64_t per = (r->batch + r->n_slices - 1) / r->n_slices;

	*from = slice * per;
	return TD_MAX(0, TD_MIN(per, r->batch - *from));
}

static inline bool rnn_valid(const struct rnn *r, int64_t n, int64_t t)
{
	return !r->lengths || t < r->lengths[n];
}

/* Row (N, T) of an array [batch, steps, WIDTH]. */
static inline const void *rnn_row(const struct rnn *r, const char *p, int64_t n, int64_t t, int64_t width)
{
	return at_const(p, (n * r->steps + t) * width, r->size);
}

static inline void *rnn_row_of(const struct rnn *r, char *p, int64_t n, int64_t t, int64_t width)
{
	return at(p, (n * r->steps + t) * width, r->size);
}

/* Scratch of SLICE: rows of WIDTH for its part of the batch. */
static inline char *rnn_scratch(const struct rnn *r, int slice, int64_t width)
{
	int64_t per = (r->batch + r->n_slices - 1) / r->n_slices;

	return r->scratch + (size_t)(slice * per * width) * r->size;
}

static inline size_t rnn_scratch_bytes(const struct rnn *r, int64_t width)
{
	int64_t per = (r->batch + r->n_slices - 1) / r->n_slices;

	return (size_t)(r->n_slices * per * width) * r->size;
}

/* The step that came before T, or -1. */
static inline int64_t rnn_step_before(const struct rnn *r, int64_t t)
{
	return r->reverse ? (t + 1 < r->steps ? t + 1 : -1) : t - 1;
}

static inline bool rnn_legal(
	td_infer *q, const char *op, const td_shape *x, int64_t n_gates, const td_shape *w, const td_shape *lengths)
{
	char tx[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];

	if (x->rank == 3 && w->rank == 2 && td__is_float(x->dtype) && x->dtype == w->dtype &&
		w->dim[0] == n_gates * w->dim[1] && x->dim[2] == w->dim[0] &&
		(!lengths || (lengths->dtype == TD_I64 && lengths->rank == 1 && lengths->dim[0] == x->dim[0])))
		return true;
	td_fail(q->ctx, TD_SHAPE,
		"%s needs what the inputs give to the gates, float[N, T, %lld H], a weight float[%lld H, H] and "
		"lengths int64[N], not %s and %s",
		op, (long long)n_gates, (long long)n_gates, td_shape_text(x, tx), td_shape_text(w, tw));
	return false;
}

static inline td_shape rnn_sequence(const td_shape *x, int64_t width)
{
	return (td_shape){ .dtype = x->dtype, .rank = 3, .dim = { x->dim[0], x->dim[1], width } };
}

/* Without lengths, with some, and both once more from the end. */
static inline bool rnn_sample(int i, td_sample *s, int64_t n_gates, bool bias)
{
	if (i >= 4)
		return false;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 4, n_gates * 3);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, n_gates * 3, 3);
	if (bias)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, n_gates * 3);
	s->in[0].batched = true;
	if (i % 2) {
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 5);
		s->in[s->n_in - 1].classes = 5;
		s->in[s->n_in - 1].batched = true;
	}
	return true;
}

#endif
