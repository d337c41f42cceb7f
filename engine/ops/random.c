/* Random ops.  A number's address is (seed, stream, step, element): the stream is the op's position among the random
 * ops of its step, fixed when it is applied or recorded; elements count in memory order. */
#include "ops/ops.h"

#include "td_ops.h"

/* Of a call the numbers of STREAM. */
static struct rng_key key_of(const td_call *call, uint32_t stream)
{
	return (struct rng_key){ call->seed, stream, call->step };
}

/* Call SLICE for every part of output 0. */
static void run_slices(const td_call *call, void (*slice)(void *arg, int slice))
{
	threads_run(call->threads, ops_n_slices(td_shape_count(call->out[0].shape)), slice, (void *)(uintptr_t)call);
}

/* ---- dropout: y = x / (1 - p) where a number of [0, 1) is at least p, else 0.  Hidden output: the mask ----------- */

typedef struct dropout_attrs {
	double p;
	uint32_t stream;
} dropout_attrs;

static const td_field dropout_fields[] = { TD_FIELD(dropout_attrs, p), TD_FIELD(dropout_attrs, stream), { 0 } };

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
	const struct rng_key key = key_of(call, a->stream);
	int64_t first, n = ops_slice(td_shape_count(call->in[0].shape), slice, &first);
	size_t size = td_dtype_size(call->in[0].shape->dtype);

	TD_PICK(call->in[0].shape->dtype, k_dropout)
	(at(call->out[0].data, first, size), at(call->out[1].data, first, 1), at_const(call->in[0].data, first, size),
		first, n, a->p, &key);
}

static void dropout_forward(const td_call *call)
{
	run_slices(call, dropout_slice);
}

static void dropout_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_dropout_dx(c, dy[0], n->out[1], ((const dropout_attrs *)n->attrs)->p);
}

static td_value *dropout_apply(td_ctx *c, td_value *const *in)
{
	return td_dropout(c, in[0], 0.375f);
}

static bool dropout_sample(int i, td_sample *s)
{
	if (i >= 5)
		return false;
	s->apply = dropout_apply;
	if (i < 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5, 7);
	else if (i == 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 200, 170); /* several slices */
	else if (i == 3)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 0, 3);
	else
		ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 0, NULL);
	s->in[0].shape.order = i == 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = i != 4;
	return true;
}

TD_OP(dropout, .n_in = 1, .n_out = 1, .n_hidden = 1, .inplace = 1, .attrs_size = sizeof(dropout_attrs),
	.fields = dropout_fields, .infer = dropout_infer, .forward = { dropout_forward }, .backward = dropout_backward,
	.sample = dropout_sample)

/* P: the share of elements that become 0 (torch.nn.functional.dropout in training). */
TD_API td_value *td_dropout(td_ctx *c, td_value *x, double p)
{
	dropout_attrs a;

	if (!x)
		return NULL;
	memset(&a, 0, sizeof a);
	a.p = p;
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
		td_fail(q->ctx, TD_SHAPE, "dropout_dx: %s and the mask %s must have the same sizes",
			td_shape_text(q->in[0], a), td_shape_text(q->in[1], b));
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
		dx[0] = td_dropout_dx(c, dy[0], n->in[1], ((const dropout_attrs *)n->attrs)->p);
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

TD_OP(dropout_dx, .n_in = 2, .n_out = 1, .inplace = 1, .attrs_size = sizeof(dropout_attrs), .fields = dropout_fields,
	.infer = dropout_dx_infer, .forward = { dropout_dx_forward }, .backward = dropout_dx_backward,
	.sample = dropout_dx_sample)

TD_API td_value *td_dropout_dx(td_ctx *c, td_value *dy, td_value *mask, double p)
{
	dropout_attrs a;

	memset(&a, 0, sizeof a);
	a.p = p;
	return dy && mask ? TD_APPLY(c, dropout_dx, &a, dy, mask) : NULL;
}

/* ---- uniform_like, normal_like: numbers in the shape, type and order of x, of which only the shape is read --------
 */

typedef struct draw_attrs {
	double a, b; /* low and high, or mean and standard deviation */
	uint32_t stream;
} draw_attrs;

static const td_field draw_fields[] = { TD_FIELD(draw_attrs, a), TD_FIELD(draw_attrs, b), TD_FIELD(draw_attrs, stream),
	{ 0 } };

static void uniform_like_infer(td_infer *q)
{
	if (ops_need_float(q, "uniform_like"))
		ops_infer_same(q);
}

static void normal_like_infer(td_infer *q)
{
	if (ops_need_float(q, "normal_like"))
		ops_infer_same(q);
}

typedef void draw_fn(void *y, int64_t first, int64_t n, double a, double b, const struct rng_key *key);

static void draw(const td_call *call, int slice, draw_fn *fn)
{
	const draw_attrs *a = call->attrs;
	const td_view *y = &call->out[0];
	const struct rng_key key = key_of(call, a->stream);
	int64_t first, n = ops_slice(td_shape_count(y->shape), slice, &first);

	fn(at(y->data, first, td_dtype_size(y->shape->dtype)), first, n, a->a, a->b, &key);
}

static void uniform_slice(void *arg, int slice)
{
	const td_call *call = arg;

	draw(call, slice, TD_PICK(call->out[0].shape->dtype, k_uniform));
}

static void uniform_like_forward(const td_call *call)
{
	run_slices(call, uniform_slice);
}

static void normal_slice(void *arg, int slice)
{
	const td_call *call = arg;

	draw(call, slice, TD_PICK(call->out[0].shape->dtype, k_normal));
}

static void normal_like_forward(const td_call *call)
{
	run_slices(call, normal_slice);
}

static td_value *uniform_like_apply(td_ctx *c, td_value *const *in)
{
	return td_uniform_like(c, in[0], -1, 3);
}

static bool uniform_like_sample(int i, td_sample *s)
{
	bool more = dropout_sample(i, s);

	s->apply = uniform_like_apply;
	return more;
}

static td_value *normal_like_apply(td_ctx *c, td_value *const *in)
{
	return td_normal_like(c, in[0], 1, 0.5);
}

static bool normal_like_sample(int i, td_sample *s)
{
	bool more = uniform_like_sample(i, s);

	s->apply = normal_like_apply;
	return more;
}

TD_OP(uniform_like, .n_in = 1, .n_out = 1, .shape_only = 1, .attrs_size = sizeof(draw_attrs), .fields = draw_fields,
	.infer = uniform_like_infer, .forward = { uniform_like_forward }, .backward = td_nodiff,
	.sample = uniform_like_sample)
TD_OP(normal_like, .n_in = 1, .n_out = 1, .shape_only = 1, .attrs_size = sizeof(draw_attrs), .fields = draw_fields,
	.infer = normal_like_infer, .forward = { normal_like_forward }, .backward = td_nodiff,
	.sample = normal_like_sample)

static const draw_attrs *draw_attrs_of(td_ctx *c, draw_attrs *attrs, double a, double b)
{
	memset(attrs, 0, sizeof *attrs);
	attrs->a = a;
	attrs->b = b;
	attrs->stream = td__next_stream(c);
	return attrs;
}

/* From [low, high), in steps of 2^-24 of it (torch.rand_like). */
TD_API td_value *td_uniform_like(td_ctx *c, td_value *x, double low, double high)
{
	draw_attrs a;

	if (!x)
		return NULL;
	if (!(low <= high))
		return td_fail(c, TD_INVALID, "uniform_like draws from a lower to a higher bound, not from %g to %g",
			low, high);
	return TD_APPLY(c, uniform_like, draw_attrs_of(c, &a, low, high), x);
}

/* torch.randn_like, times std, plus mean. */
TD_API td_value *td_normal_like(td_ctx *c, td_value *x, double mean, double std)
{
	draw_attrs a;

	if (!x)
		return NULL;
	if (!(std >= 0))
		return td_fail(
			c, TD_INVALID, "normal_like needs a standard deviation that is not below 0, not %g", std);
	return TD_APPLY(c, normal_like, draw_attrs_of(c, &a, mean, std), x);
}

/* ---- bernoulli: y = 1 with probability p, each element by its own; else 0 ---------------------------------------- */

typedef struct stream_attrs {
	uint32_t stream;
} stream_attrs;

static const td_field stream_fields[] = { TD_FIELD(stream_attrs, stream), { 0 } };

static void bernoulli_infer(td_infer *q)
{
	if (ops_need_float(q, "bernoulli"))
		ops_infer_same(q);
}

static void bernoulli_slice(void *arg, int slice)
{
	const td_call *call = arg;
	const struct rng_key key = key_of(call, ((const stream_attrs *)call->attrs)->stream);
	td_dtype d = call->out[0].shape->dtype;
	int64_t first, n = ops_slice(td_shape_count(call->out[0].shape), slice, &first);

	TD_PICK(d, k_bernoulli)
	(at(call->out[0].data, first, td_dtype_size(d)), at_const(call->in[0].data, first, td_dtype_size(d)), first, n,
		&key);
}

static void bernoulli_forward(const td_call *call)
{
	run_slices(call, bernoulli_slice);
}

static td_value *bernoulli_apply(td_ctx *c, td_value *const *in)
{
	return td_bernoulli(c, in[0]);
}

static bool bernoulli_sample(int i, td_sample *s)
{
	bool more = uniform_like_sample(i, s);

	s->apply = bernoulli_apply;
	s->in[0].fill = TD_FILL_SMALL;
	return more;
}

TD_OP(bernoulli, .n_in = 1, .n_out = 1, .inplace = 1, .attrs_size = sizeof(stream_attrs), .fields = stream_fields,
	.infer = bernoulli_infer, .forward = { bernoulli_forward }, .backward = td_nodiff, .sample = bernoulli_sample)

/* p: probabilities, floating -> zeros and ones of p's type (torch.bernoulli). */
TD_API td_value *td_bernoulli(td_ctx *c, td_value *p)
{
	return p ? TD_APPLY(c, bernoulli, (&(stream_attrs){ td__next_stream(c) }), p) : NULL;
}

/* ---- randperm_like: 0 .. n-1 in any order, n being the size of x's first axis ------------------------------------ */

static void randperm_like_infer(td_infer *q)
{
	char text[TD_SHAPE_TEXT];

	if (q->in[0]->rank < 1) {
		td_fail(q->ctx, TD_SHAPE, "randperm_like needs a value with an axis, not %s",
			td_shape_text(q->in[0], text));
		return;
	}
	q->out[0] = (td_shape){ .dtype = TD_I64, .rank = 1, .dim = { q->in[0]->dim[0] } };
}

static void randperm_like_forward(const td_call *call)
{
	const struct rng_key key = key_of(call, ((const stream_attrs *)call->attrs)->stream);

	rng_permutation(&key, call->out[0].shape->dim[0], call->out[0].data);
}

static td_value *randperm_like_apply(td_ctx *c, td_value *const *in)
{
	return td_randperm_like(c, in[0]);
}

static bool randperm_like_sample(int i, td_sample *s)
{
	static const int64_t sizes[] = { 12, 1, 0 };

	if (i > 2)
		return false;
	s->apply = randperm_like_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, sizes[i], 2);
	s->in[0].batched = true;
	return true;
}

TD_OP(randperm_like, .n_in = 1, .n_out = 1, .shape_only = 1, .attrs_size = sizeof(stream_attrs),
	.fields = stream_fields, .infer = randperm_like_infer, .forward = { randperm_like_forward },
	.backward = td_nodiff, .sample = randperm_like_sample)

/* x [n, ..] -> int64 [n] (torch.randperm). */
TD_API td_value *td_randperm_like(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, randperm_like, (&(stream_attrs){ td__next_stream(c) }), x) : NULL;
}
