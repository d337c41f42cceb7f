/* Attention with several heads (Vaswani et al., "Attention is all you need", 2017), of three ops: how well queries and
 * keys fit, a softmax that leaves out what may not be seen, and the mixture of values.
 *
 * The heads lie side by side in the last axis, as torch.nn.MultiheadAttention has them, so nothing is transposed: a
 * product takes one head's columns.  Every product of one head of one sequence is made by one thread.  The first and
 * the third are each other's gradients, and softmax's is made of ops, so attention has gradients of any order. */
#include "ops/ops.h"

#include "td_ops.h"

typedef struct heads_attrs {
	int64_t heads;
	int64_t scaled;     /* times 1 / sqrt(columns of a head) */
	int64_t transposed; /* of heads_mix: by columns of the weights, not by rows */
} heads_attrs;

static const td_field heads_fields[] = { TD_FIELD(heads_attrs, heads), TD_FIELD(heads_attrs, scaled),
	TD_FIELD(heads_attrs, transposed), { 0 } };

struct heads {
	const heads_attrs *attrs;
	int64_t queries, keys, width, columns; /* T, S, E, E / heads */
	double scale;
	td_dtype dtype;
	size_t size;
	const char *a, *b;
	char *y;
};

static void heads_init(struct heads *h, const td_call *call, int64_t queries, int64_t keys, int64_t width)
{
	const heads_attrs *a = call->attrs;
	td_dtype dtype = call->out[0].shape->dtype;

	*h = (struct heads){ .attrs = a,
		.queries = queries,
		.keys = keys,
		.width = width,
		.columns = width / a->heads,
		.dtype = dtype,
		.size = td_dtype_size(dtype),
		.a = call->in[0].data,
		.b = call->in[1].data,
		.y = call->out[0].data };
	h->scale = a->scaled && h->columns ? 1 / sqrt((double)h->columns) : 1;
}

/* First element of head I % heads of sequence I / heads, in an array [N, STEPS, E]. */
static int64_t head_at(const struct heads *h, int i, int64_t steps)
{
	return i / h->attrs->heads * steps * h->width + i % h->attrs->heads * h->columns;
}

/* X is [N, steps, E] with E in HEADS equal parts. */
static bool heads_fit(td_infer *q, const char *op, const td_shape *x)
{
	int64_t heads = ((const heads_attrs *)q->attrs)->heads;
	char text[TD_SHAPE_TEXT];

	if (td__is_float(x->dtype) && x->rank == 3 && heads > 0 && x->dim[2] % heads == 0)
		return true;
	td_fail(q->ctx, TD_SHAPE,
		"%s needs sequences float[N, T, E] with an E that the number of heads, %lld, divides, not %s", op,
		(long long)heads, td_shape_text(x, text));
	return false;
}

/* ---- heads_dot: y[n,h,t,s] = sum of a[n,t,d] b[n,s,d] over the columns d of head h ------------------------------- */

static void heads_dot_infer(td_infer *q)
{
	const td_shape *a = q->in[0], *b = q->in[1];
	char ta[TD_SHAPE_TEXT], tb[TD_SHAPE_TEXT];

	if (!heads_fit(q, "heads_dot", a) || !heads_fit(q, "heads_dot", b))
		return;
	if (a->dtype != b->dtype || a->dim[0] != b->dim[0] || a->dim[2] != b->dim[2]) {
		td_fail(q->ctx, TD_SHAPE,
			"heads_dot needs two inputs with the same N and E, [N, T, E] and [N, S, E], not %s and %s",
			td_shape_text(a, ta), td_shape_text(b, tb));
		return;
	}
	q->out[0] = (td_shape){ .dtype = a->dtype,
		.rank = 4,
		.dim = { a->dim[0], ((const heads_attrs *)q->attrs)->heads, a->dim[1], b->dim[1] } };
}

static void heads_dot_slice(void *arg, int i)
{
	const struct heads *h = arg;
	void *y = at(h->y, i * h->queries * h->keys, h->size);

	TD_PICK(h->dtype, k_gemm)
	(false, true, h->queries, h->keys, h->columns, at_const(h->a, head_at(h, i, h->queries), h->size), h->width,
		at_const(h->b, head_at(h, i, h->keys), h->size), h->width, 0, y, h->keys);
	if (h->attrs->scaled)
		TD_PICK(h->dtype, k_scale)(y, y, h->queries * h->keys, h->scale);
}

static void heads_dot_forward(const td_call *call)
{
	const td_shape *a = call->in[0].shape, *y = call->out[0].shape;
	struct heads h;

	heads_init(&h, call, y->dim[2], y->dim[3], a->dim[2]);
	if (!h.columns)
		memset(h.y, 0, td_shape_bytes(y));
	else if (h.queries && h.keys)
		threads_run(call->threads, (int)(y->dim[0] * y->dim[1]), heads_dot_slice, &h);
}

static void heads_dot_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const heads_attrs *a = n->attrs;

	if (td_wants(n, 0))
		dx[0] = td_heads_mix(c, dy[0], n->in[1], a->heads, a->scaled, false);
	if (td_wants(n, 1))
		dx[1] = td_heads_mix(c, dy[0], n->in[0], a->heads, a->scaled, true);
}

static td_value *heads_dot_apply(td_ctx *c, td_value *const *in)
{
	return td_heads_dot(c, in[0], in[1], 3, true);
}
static td_value *heads_dot_apply_one(td_ctx *c, td_value *const *in)
{
	return td_heads_dot(c, in[0], in[1], 1, false);
}

static bool heads_dot_sample(int i, td_sample *s)
{
	static const int64_t sizes[][2] = { { 5, 5 }, { 1, 4 }, { 7, 3 }, { 0, 2 } };

	if (i >= 5)
		return false;
	s->apply = i == 4 ? heads_dot_apply_one : heads_dot_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, sizes[i % 4][0], 6);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, sizes[i % 4][1], 6);
	s->in[0].batched = s->in[1].batched = true;
	return true;
}

TD_OP(heads_dot, .n_in = 2, .n_out = 1, .attrs_size = sizeof(heads_attrs), .fields = heads_fields,
	.infer = heads_dot_infer, .forward = { heads_dot_forward }, .backward = heads_dot_backward,
	.sample = heads_dot_sample)

/* a [N, T, E], b [N, S, E] -> [N, heads, T, S]; SCALED: times 1 / sqrt(E / heads). */
TD_API td_value *td_heads_dot(td_ctx *c, td_value *a, td_value *b, int64_t heads, bool scaled)
{
	heads_attrs attrs = { .heads = heads, .scaled = scaled };

	return a && b ? TD_APPLY(c, heads_dot, &attrs, ops_row_major(c, a), ops_row_major(c, b)) : NULL;
}

/* ---- heads_mix: y[n,t,d] = sum over s of w[n,h,t,s] v[n,s,d] for the columns d of head h; transposed: y[n,s,d] = sum
 * over t of w[n,h,t,s] v[n,t,d] ------------------------------------------------------------------------------------ */

static void heads_mix_infer(td_infer *q)
{
	const td_shape *w = q->in[0], *v = q->in[1];
	const heads_attrs *a = q->attrs;
	char tw[TD_SHAPE_TEXT], tv[TD_SHAPE_TEXT];

	if (!heads_fit(q, "heads_mix", v))
		return;
	if (w->rank != 4 || w->dtype != v->dtype || w->dim[0] != v->dim[0] || w->dim[1] != a->heads ||
		w->dim[a->transposed ? 2 : 3] != v->dim[1]) {
		td_fail(q->ctx, TD_SHAPE,
			"heads_mix needs weights [N, %lld, T, S] and values [N, %s, E], not %s and %s",
			(long long)a->heads, a->transposed ? "T" : "S", td_shape_text(w, tw), td_shape_text(v, tv));
		return;
	}
	q->out[0] = *v;
	q->out[0].order = TD_ROW_MAJOR;
	q->out[0].dim[1] = w->dim[a->transposed ? 3 : 2];
}

static void heads_mix_slice(void *arg, int i)
{
	const struct heads *h = arg;
	bool transposed = h->attrs->transposed;
	int64_t from = transposed ? h->queries : h->keys, to = transposed ? h->keys : h->queries;
	char *y = at(h->y, head_at(h, i, to), h->size);

	TD_PICK(h->dtype, k_gemm)
	(transposed, false, to, h->columns, from, at_const(h->a, i * h->queries * h->keys, h->size), h->keys,
		at_const(h->b, head_at(h, i, from), h->size), h->width, 0, y, h->width);
	for (int64_t t = 0; h->attrs->scaled && t < to; t++) {
		char *row = y + (size_t)(t * h->width) * h->size;

		TD_PICK(h->dtype, k_scale)(row, row, h->columns, h->scale);
	}
}

static void heads_mix_forward(const td_call *call)
{
	const td_shape *w = call->in[0].shape;
	struct heads h;

	heads_init(&h, call, w->dim[2], w->dim[3], call->in[1].shape->dim[2]);
	if (!h.queries || !h.keys)
		memset(h.y, 0, td_shape_bytes(call->out[0].shape));
	else if (h.columns)
		threads_run(call->threads, (int)(w->dim[0] * w->dim[1]), heads_mix_slice, &h);
}

static void heads_mix_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const heads_attrs *a = n->attrs;

	if (td_wants(n, 0))
		dx[0] = a->transposed ? td_heads_dot(c, n->in[1], dy[0], a->heads, a->scaled)
				      : td_heads_dot(c, dy[0], n->in[1], a->heads, a->scaled);
	if (td_wants(n, 1))
		dx[1] = td_heads_mix(c, n->in[0], dy[0], a->heads, a->scaled, !a->transposed);
}

static td_value *heads_mix_apply(td_ctx *c, td_value *const *in)
{
	return td_heads_mix(c, in[0], in[1], 2, false, false);
}
static td_value *heads_mix_apply_transposed(td_ctx *c, td_value *const *in)
{
	return td_heads_mix(c, in[0], in[1], 2, true, true);
}

static bool heads_mix_sample(int i, td_sample *s)
{
	static const int64_t sizes[][2] = { { 4, 4 }, { 1, 5 }, { 3, 0 } };
	bool transposed = i % 2;

	if (i >= 6)
		return false;
	s->apply = transposed ? heads_mix_apply_transposed : heads_mix_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 2, sizes[i / 2][0], sizes[i / 2][1]);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, sizes[i / 2][!transposed], 6);
	s->in[0].batched = s->in[1].batched = true;
	return true;
}

TD_OP(heads_mix, .n_in = 2, .n_out = 1, .attrs_size = sizeof(heads_attrs), .fields = heads_fields,
	.infer = heads_mix_infer, .forward = { heads_mix_forward }, .backward = heads_mix_backward,
	.sample = heads_mix_sample)

/* w [N, heads, T, S], v [N, S, E] -> [N, T, E]; TRANSPOSED: v [N, T, E] -> [N, S, E].  SCALED: as of heads_dot. */
TD_API td_value *td_heads_mix(td_ctx *c, td_value *w, td_value *v, int64_t heads, bool scaled, bool transposed)
{
	heads_attrs attrs = { .heads = heads, .scaled = scaled, .transposed = transposed };

	return w && v ? TD_APPLY(c, heads_mix, &attrs, ops_row_major(c, w), ops_row_major(c, v)) : NULL;
}

/* ---- attention_softmax: softmax over the keys that a query may see; 0 for the others.  Query t sees key s where s <
 * length and, if causal, s <= t; one that sees none has zeros.  dx = y (dy - sum of y dy) -------------------------- */

typedef struct attention_attrs {
	int64_t causal;
} attention_attrs;

static const td_field attention_fields[] = { TD_FIELD(attention_attrs, causal), { 0 } };

static void attention_softmax_infer(td_infer *q)
{
	const td_shape *x = q->in[0], *lengths = q->in[1];
	char tx[TD_SHAPE_TEXT], tl[TD_SHAPE_TEXT];

	if (x->rank != 4 || !td__is_float(x->dtype) ||
		(lengths && (lengths->dtype != TD_I64 || lengths->rank != 1 || lengths->dim[0] != x->dim[0]))) {
		td_fail(q->ctx, TD_SHAPE,
			"attention_softmax needs scores float[N, heads, T, S] and lengths int64[N], not %s and %s",
			td_shape_text(x, tx), lengths ? td_shape_text(lengths, tl) : "none");
		return;
	}
	q->out[0] = *x;
	q->out[0].order = TD_ROW_MAJOR;
}

/* All queries of one head of one sequence. */
static void attention_softmax_slice(void *arg, int i)
{
	const td_call *call = arg;
	const td_shape *x = call->in[0].shape;
	const int64_t *lengths = call->in[1].data;
	int64_t queries = x->dim[2], keys = x->dim[3], first = i * queries * keys,
		valid = lengths ? TD_MAX(0, TD_MIN(lengths[i / x->dim[1]], keys)) : keys;
	size_t size = td_dtype_size(x->dtype);

	for (int64_t t = 0; t < queries; t++, first += keys) {
		int64_t seen = ((const attention_attrs *)call->attrs)->causal ? TD_MIN(valid, t + 1) : valid;
		char *y = at(call->out[0].data, first, size);

		if (seen)
			TD_PICK(x->dtype, k_softmax)(y, at_const(call->in[0].data, first, size), seen, 1);
		memset(y + (size_t)seen * size, 0, (size_t)(keys - seen) * size);
	}
}

static void attention_softmax_forward(const td_call *call)
{
	const td_shape *x = call->in[0].shape;

	if (td_shape_count(x))
		threads_run(
			call->threads, (int)(x->dim[0] * x->dim[1]), attention_softmax_slice, (void *)(uintptr_t)call);
}

static void attention_softmax_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *y = n->out[0];

	if (td_wants(n, 0))
		dx[0] = td_mul(c, y, td_sub(c, dy[0], td_sum(c, td_mul(c, y, dy[0]), 1u << 3, true)));
}

static td_value *attention_softmax_apply(td_ctx *c, td_value *const *in)
{
	return td_attention_softmax(c, in[0], in[1], false);
}
static td_value *attention_softmax_apply_causal(td_ctx *c, td_value *const *in)
{
	return td_attention_softmax(c, in[0], in[1], true);
}

static bool attention_softmax_sample(int i, td_sample *s)
{
	static const int64_t sizes[][2] = { { 4, 4 }, { 3, 5 }, { 5, 2 }, { 2, 0 } };

	if (i >= 8)
		return false;
	s->apply = i % 2 ? attention_softmax_apply_causal : attention_softmax_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 2, sizes[i / 2][0], sizes[i / 2][1]);
	s->in[0].batched = true;
	if (i < 2)
		return true;
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 3);
	s->in[1].classes = 6;
	s->in[1].batched = true;
	return true;
}

TD_OP(attention_softmax, .n_in = 2, .n_out = 1, .optional = 2, .inplace = 1, .attrs_size = sizeof(attention_attrs),
	.fields = attention_fields, .infer = attention_softmax_infer, .forward = { attention_softmax_forward },
	.backward = attention_softmax_backward, .sample = attention_softmax_sample)

/* x [N, heads, T, S], lengths int64 [N]: keys of each sequence that count, or NULL: all -> [N, heads, T, S]. */
TD_API td_value *td_attention_softmax(td_ctx *c, td_value *x, td_value *lengths, bool causal)
{
	attention_attrs a = { .causal = causal };

	return x ? TD_APPLY(c, attention_softmax, &a, ops_row_major(c, x), lengths) : NULL;
}

/* ---- attention: all three; torch.nn.functional.scaled_dot_product_attention with the heads side by side ---------- */

static bool sequences_fit(const td_shape *q, const td_shape *k, const td_shape *v, int64_t heads)
{
	return td__is_float(q->dtype) && q->rank == 3 && heads > 0 && q->dim[2] % heads == 0 && k->rank == 3 &&
	       k->dtype == q->dtype && k->dim[0] == q->dim[0] && k->dim[2] == q->dim[2] && td_shape_same(k, v);
}

/* q [N, T, E], k and v [N, S, E], lengths int64 [N]: keys that count, or NULL: all -> [N, T, E].  P: the share of
 * weights that dropout makes 0. */
TD_API td_value *td_attention(
	td_ctx *c, td_value *q, td_value *k, td_value *v, td_value *lengths, int64_t heads, bool causal, double p)
{
	td_value *w;
	char tq[TD_SHAPE_TEXT], tk[TD_SHAPE_TEXT], tv[TD_SHAPE_TEXT];

	if (!q || !k || !v)
		return NULL;
	if (!sequences_fit(&q->shape, &k->shape, &v->shape, heads))
		return td_fail(c, TD_SHAPE,
			"attention needs queries float[N, T, E], keys and values float[N, S, E], and an E that the "
			"number of heads, %lld, divides, not %s, %s and %s",
			(long long)heads, td_shape_text(&q->shape, tq), td_shape_text(&k->shape, tk),
			td_shape_text(&v->shape, tv));
	w = td_attention_softmax(c, td_heads_dot(c, q, k, heads, true), lengths, causal);

	return td_heads_mix(c, p > 0 ? td_dropout(c, w, p) : w, v, heads, false, false);
}
