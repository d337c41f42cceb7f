/* Matrix products. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- matmul: y = op(a) op(b) over the last two axes; the axes before broadcast; op transposes when told -----------
 */

typedef struct matmul_attrs {
	bool ta, tb;
} matmul_attrs;

static const td_field matmul_fields[] = { TD_FIELD(matmul_attrs, ta), TD_FIELD(matmul_attrs, tb), { 0 } };

/* The axes before the last two. */
static td_shape batch_of(const td_shape *x)
{
	td_shape b = *x;

	b.rank = TD_MAX(x->rank - 2, 0);
	return b;
}

static void matmul_infer(td_infer *q)
{
	const matmul_attrs *t = q->attrs;
	const td_shape *a = q->in[0], *b = q->in[1];
	char text_a[TD_SHAPE_TEXT], text_b[TD_SHAPE_TEXT];
	td_shape batch_a = batch_of(a), batch_b = batch_of(b), *y = &q->out[0];

	if (!ops_need_numbers(q, "matmul"))
		return;
	if (a->rank < 2 || b->rank < 2)
		td_fail(q->ctx, TD_SHAPE, "matmul takes [.., rows, columns] twice, not %s and %s",
			td_shape_text(a, text_a), td_shape_text(b, text_b));
	else if (a->dim[a->rank - (t->ta ? 2 : 1)] != b->dim[b->rank - (t->tb ? 1 : 2)])
		td_fail(q->ctx, TD_SHAPE,
			"matmul: %s%s has %lld columns, but %s%s has %lld rows; the two must be equal (transpose one "
			"of them?)",
			td_shape_text(a, text_a), t->ta ? " (transposed)" : "",
			(long long)a->dim[a->rank - (t->ta ? 2 : 1)], td_shape_text(b, text_b),
			t->tb ? " (transposed)" : "", (long long)b->dim[b->rank - (t->tb ? 1 : 2)]);
	else if (ops_broadcast(q, &batch_a, &batch_b, "matmul, but for the last two axes", y)) {
		y->dim[y->rank++] = a->dim[a->rank - (t->ta ? 1 : 2)];
		y->dim[y->rank++] = b->dim[b->rank - (t->tb ? 2 : 1)];
	}
}

/* One b for all rows of a is one product; otherwise each item of the batch is one, cut as it would be alone. */
static void matmul_forward(const td_call *call)
{
	const matmul_attrs *t = call->attrs;
	const td_shape *a = call->in[0].shape, *b = call->in[1].shape, *y = call->out[0].shape;
	const td_shape batch_a = batch_of(a), batch_b = batch_of(b), batch = batch_of(y);
	int64_t m = y->dim[y->rank - 2], n = y->dim[y->rank - 1], k = a->dim[a->rank - (t->ta ? 2 : 1)];
	struct ops_gemm g = { .dtype = y->dtype,
		.ta = t->ta,
		.tb = t->tb,
		.m = m,
		.n = n,
		.k = k,
		.a = call->in[0].data,
		.lda = a->dim[a->rank - 1],
		.b = call->in[1].data,
		.ldb = b->dim[b->rank - 1],
		.c = call->out[0].data,
		.ldc = n };

	if (!td_shape_count(y))
		return;
	if (b->rank == 2 && !t->ta)
		g.m = td_shape_count(y) / n;
	else
		ops_gemm_batch(&g, &batch, &batch_a, &batch_b);
	ops_gemm_run(call->threads, &g);
}

static td_value *as_rows(td_ctx *c, td_value *x);

/* DX is the gradient of X as a product with OTHER made it; what broadcasting had repeated is added up. */
static td_value *fitted(td_ctx *c, td_value *dx, td_value *x, const td_value *other)
{
	bool fits = dx && other->shape.rank == 2 && dx->shape.rank == x->shape.rank;

	return fits ? dx : td_sum_like(c, dx, x);
}

/* Y = A B: dA = dY B^T, dB = A^T dY; a transposed input gets the transpose of that, by swapping the factors. */
static void matmul_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const matmul_attrs *t = n->attrs;
	td_value *a = n->in[0], *b = n->in[1], *g = dy[0];

	if (td_wants(n, 0))
		dx[0] = fitted(c, t->ta ? td_matmul(c, b, g, t->tb, true) : td_matmul(c, g, b, false, !t->tb), a, b);
	if (!td_wants(n, 1))
		return;
	if (b->shape.rank == 2 && !t->ta) { /* all rows in one product */
		a = as_rows(c, a);
		g = as_rows(c, g);
	}
	dx[1] = fitted(c, t->tb ? td_matmul(c, g, a, true, t->ta) : td_matmul(c, a, g, !t->ta, false), b, a);
}

#define MATMUL_APPLY(name, ta, tb)                                                                                     \
	static td_value *name(td_ctx *c, td_value *const *in)                                                          \
	{                                                                                                              \
		return td_matmul(c, in[0], in[1], ta, tb);                                                             \
	}
MATMUL_APPLY(matmul_nn, false, false)
MATMUL_APPLY(matmul_nt, false, true)
MATMUL_APPLY(matmul_tn, true, false)
MATMUL_APPLY(matmul_tt, true, true)

static bool matmul_sample(int i, td_sample *s)
{
	static const struct {
		td_value *(*apply)(td_ctx *, td_value *const *);
		int rank_a, rank_b;
		int64_t a[4], b[4];
		bool batched_a, batched_b;
	} rows[] = {
		{ matmul_nn, 2, 2, { 5, 7 }, { 7, 3 }, true, false },
		{ matmul_nt, 2, 2, { 5, 7 }, { 3, 7 }, true, false },
		{ matmul_tn, 2, 2, { 7, 5 }, { 7, 3 }, true, true },
		{ matmul_tt, 2, 2, { 7, 5 }, { 3, 7 }, false, false },
		{ matmul_nn, 2, 2, { 64, 40 }, { 40, 50 }, true, false },
		{ matmul_nn, 2, 2, { 3, 0 }, { 0, 4 }, true, false },
		{ matmul_nn, 2, 2, { 0, 3 }, { 3, 2 }, false, false },
		{ matmul_nn, 2, 2, { 1, 1 }, { 1, 1 }, true, false },
		{ matmul_tn, 2, 2, { 130, 33 }, { 130, 65 }, true, true },
		/* batches: alike, one b for all, one a for all, broadcast both ways, large items, none, of nothing */
		{ matmul_nn, 3, 3, { 4, 5, 7 }, { 4, 7, 3 }, true, true },
		{ matmul_tn, 3, 3, { 4, 7, 5 }, { 4, 7, 3 }, true, true },
		{ matmul_nt, 3, 3, { 4, 5, 7 }, { 4, 3, 7 }, true, true },
		{ matmul_tt, 3, 3, { 4, 7, 5 }, { 4, 3, 7 }, true, true },
		{ matmul_nn, 3, 2, { 4, 5, 7 }, { 7, 3 }, true, false },
		{ matmul_nt, 4, 2, { 2, 3, 5, 7 }, { 3, 7 }, true, false },
		{ matmul_tn, 3, 2, { 4, 7, 5 }, { 7, 3 }, true, false },
		{ matmul_nn, 2, 3, { 5, 7 }, { 4, 7, 3 }, false, true },
		{ matmul_nn, 4, 4, { 2, 1, 5, 7 }, { 1, 3, 7, 2 }, true, false },
		{ matmul_nt, 4, 3, { 2, 3, 5, 7 }, { 3, 4, 7 }, true, false },
		{ matmul_nn, 3, 3, { 3, 40, 33 }, { 3, 33, 50 }, true, true },
		{ matmul_nn, 3, 3, { 0, 5, 7 }, { 0, 7, 3 }, false, false },
		{ matmul_nn, 3, 3, { 2, 5, 0 }, { 2, 0, 3 }, false, false },
		/* integers */
		{ matmul_nn, 2, 2, { 5, 7 }, { 7, 3 }, true, false },
		{ matmul_tt, 3, 3, { 4, 7, 5 }, { 4, 3, 7 }, true, true },
		{ matmul_tn, 3, 2, { 4, 7, 5 }, { 7, 3 }, true, false },
		{ matmul_nt, 2, 2, { 64, 40 }, { 50, 40 }, true, false },
	};

	static const td_dtype integers[] = { TD_I32, TD_I64, TD_U8, TD_I64 };
	const int first = TD_COUNT(rows) - TD_COUNT(integers);
	td_dtype type;

	if (i >= (int)TD_COUNT(rows))
		return false;
	s->apply = rows[i].apply;
	type = i < first ? TD_F32 : integers[i - first];
	ops_sample_input(s, i < first ? TD_FILL_NORMAL : TD_FILL_LABELS, type, rows[i].rank_a, rows[i].a);
	ops_sample_input(s, i < first ? TD_FILL_NORMAL : TD_FILL_LABELS, type, rows[i].rank_b, rows[i].b);
	s->in[0].classes = s->in[1].classes = 100;
	s->in[0].batched = rows[i].batched_a;
	s->in[1].batched = rows[i].batched_b;
	return true;
}

TD_OP(matmul, .n_in = 2, .n_out = 1, .attrs_size = sizeof(matmul_attrs), .fields = matmul_fields, .infer = matmul_infer,
	.forward = { matmul_forward }, .backward = matmul_backward, .sample = matmul_sample)

/* a [.., m, k], b [.., k, n] -> [.., m, n], numbers of one type; integers wrap around; what lies before broadcasts
 * (torch.matmul).  A transposed input is given as [.., k, m], or [.., n, k]. */
TD_API td_value *td_matmul(td_ctx *c, td_value *a, td_value *b, bool transpose_a, bool transpose_b)
{
	return a && b ? TD_APPLY(c, matmul, (&(matmul_attrs){ transpose_a, transpose_b }), ops_row_major(c, a),
				ops_row_major(c, b))
		      : NULL;
}

/* a [n], b [n] -> their inner product, a scalar. */
TD_API td_value *td_dot(td_ctx *c, td_value *a, td_value *b)
{
	char ta[TD_SHAPE_TEXT], tb[TD_SHAPE_TEXT];

	if (!a || !b)
		return NULL;
	if (a->shape.rank != 1 || !td_shape_same(&a->shape, &b->shape))
		return td_fail(c, TD_SHAPE, "dot takes two vectors of one size, not %s and %s",
			td_shape_text(&a->shape, ta), td_shape_text(&b->shape, tb));
	return td_sum(c, td_mul(c, a, b), TD_ALL_AXES, false);
}

/* a [m], b [n] -> [m, n], every product of an element of each. */
TD_API td_value *td_outer(td_ctx *c, td_value *a, td_value *b)
{
	char ta[TD_SHAPE_TEXT], tb[TD_SHAPE_TEXT];

	if (!a || !b)
		return NULL;
	if (a->shape.rank != 1 || b->shape.rank != 1)
		return td_fail(c, TD_SHAPE, "outer takes two vectors, not %s and %s", td_shape_text(&a->shape, ta),
			td_shape_text(&b->shape, tb));
	return td_mul(c, td_reshape(c, a, (int64_t[]){ TD_SIZE_OF(0), 1 }, 2), b);
}

/* ---- linear: y = x w^T + bias; x [.., in], w [out, in], bias [out] (torch.nn.functional.linear) ------------------ */

static void linear_infer(td_infer *q)
{
	const td_shape *x = q->in[0], *w = q->in[1], *b = q->in[2];
	char tx[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];

	if (!ops_need_float(q, "linear") || !ops_need_rank(q, "linear", 1, 2, "[out, in]"))
		return;
	if (b && (b->rank != 1 || b->dim[0] != w->dim[0]))
		td_fail(q->ctx, TD_SHAPE,
			"linear: the bias needs %lld entries, one for each row of the weight %s, and is %s",
			(long long)w->dim[0], td_shape_text(w, tw), td_shape_text(b, tx));
	else if (x->rank < 2)
		td_fail(q->ctx, TD_SHAPE, "linear takes inputs [.., N, features], not %s", td_shape_text(x, tx));
	else if (x->dim[x->rank - 1] != w->dim[1])
		td_fail(q->ctx, TD_SHAPE,
			"linear: the input %s does not have %lld features on its last axis, as the weight %s takes",
			td_shape_text(x, tx), (long long)w->dim[1], td_shape_text(w, tw));
	if (x->rank < 2)
		return;
	ops_infer_same(q);
	q->out[0].dim[x->rank - 1] = w->dim[0];
}

static void linear_forward(const td_call *call)
{
	const td_shape *y = call->out[0].shape;
	int64_t out = call->in[1].shape->dim[0], in = call->in[1].shape->dim[1],
		rows = out ? td_shape_count(y) / out : 0;

	TD_PICK(y->dtype, k_fill_rows)(call->out[0].data, call->in[2].data, rows, out);
	ops_gemm(call->threads, y->dtype, false, true, rows, out, in, call->in[0].data, in, call->in[1].data, in, 1,
		call->out[0].data, out);
}

/* [.., features] as [rows, features]. */
static td_value *as_rows(td_ctx *c, td_value *x)
{
	int64_t dims[2] = { -1, TD_SIZE_OF(x ? x->shape.rank - 1 : 0) };

	return x && x->shape.rank > 2 ? td_reshape(c, x, dims, 2) : x;
}

static void linear_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *rows = as_rows(c, dy[0]);

	if (td_wants(n, 0))
		dx[0] = td_matmul(c, rows, n->in[1], false, false);
	if (td_wants(n, 0) && n->in[0]->shape.rank > 2)
		dx[0] = td_reshape_like(c, dx[0], n->in[0]);
	if (td_wants(n, 1))
		dx[1] = td_matmul(c, rows, as_rows(c, n->in[0]), true, false);
	if (td_wants(n, 2))
		dx[2] = td_sum(c, rows, 1, false);
}

static td_value *linear_apply(td_ctx *c, td_value *const *in)
{
	return td_linear(c, in[0], in[1], in[2]);
}

static bool linear_sample(int i, td_sample *s)
{
	static const int64_t sizes[][3] = { { 5, 4, 3 }, { 1, 1, 1 }, { 64, 70, 33 }, { 0, 4, 3 }, { 7, 4, 130 } };

	s->apply = linear_apply;
	if (i == 2 * (int)TD_COUNT(sizes)) { /* a sequence */
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5);
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 6, 5);
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 6);
		s->in[0].batched = true;
		return true;
	}
	if (i > 2 * (int)TD_COUNT(sizes))
		return false;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, sizes[i / 2][0], sizes[i / 2][1]);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, sizes[i / 2][2], sizes[i / 2][1]);
	if (i % 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, sizes[i / 2][2]);
	s->in[0].batched = sizes[i / 2][0] > 0;
	return true;
}

TD_OP(linear, .n_in = 3, .n_out = 1, .optional = 4, .infer = linear_infer, .forward = { linear_forward },
	.backward = linear_backward, .sample = linear_sample)

TD_API td_value *td_linear(td_ctx *c, td_value *x, td_value *w, td_value *bias)
{
	return x && w ? TD_APPLY(c, linear, NULL, ops_row_major(c, x), w, bias) : NULL;
}
