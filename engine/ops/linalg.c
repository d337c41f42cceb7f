/* Matrix products. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- matmul: y = op(a) op(b), rank 2; op transposes when told ---------------------------------------------------- */

typedef struct matmul_attrs {
	bool ta, tb;
} matmul_attrs;

static void matmul_infer(td_infer *q)
{
	const matmul_attrs *t = q->attrs;
	const td_shape *a = q->in[0], *b = q->in[1];
	char text_a[TD_SHAPE_TEXT], text_b[TD_SHAPE_TEXT];

	if (!ops_need_float(q, "matmul") || !ops_need_rank(q, "matmul", 0, 2, "[rows, columns]") ||
		!ops_need_rank(q, "matmul", 1, 2, "[rows, columns]"))
		return;
	if (a->dim[t->ta ? 0 : 1] != b->dim[t->tb ? 1 : 0])
		td_fail(q->ctx, TD_SHAPE, "matmul: the inner sizes of %s%s and %s%s differ", td_shape_text(a, text_a),
			t->ta ? " (transposed)" : "", td_shape_text(b, text_b), t->tb ? " (transposed)" : "");
	q->out[0] = (td_shape){ .dtype = a->dtype, .rank = 2, .dim = { a->dim[t->ta ? 1 : 0], b->dim[t->tb ? 0 : 1] } };
}

static void matmul_forward(const td_call *call)
{
	const matmul_attrs *t = call->attrs;
	const td_shape *a = call->in[0].shape, *b = call->in[1].shape, *y = call->out[0].shape;

	ops_gemm(call->threads, y->dtype, t->ta, t->tb, y->dim[0], y->dim[1], a->dim[t->ta ? 0 : 1], call->in[0].data,
		a->dim[1], call->in[1].data, b->dim[1], 0, call->out[0].data, y->dim[1]);
}

/* Y = A B: dA = dY B^T, dB = A^T dY; a transposed input gets the transpose of that, by swapping the factors. */
static void matmul_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const matmul_attrs *t = n->attrs;
	td_value *a = n->in[0], *b = n->in[1];

	if (td_wants(n, 0))
		dx[0] = t->ta ? td_matmul(c, b, dy[0], t->tb, true) : td_matmul(c, dy[0], b, false, !t->tb);
	if (td_wants(n, 1))
		dx[1] = t->tb ? td_matmul(c, dy[0], a, true, t->ta) : td_matmul(c, a, dy[0], !t->ta, false);
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
		int64_t a[2], b[2];
	} rows[] = { { matmul_nn, { 5, 7 }, { 7, 3 } }, { matmul_nt, { 5, 7 }, { 3, 7 } },
		{ matmul_tn, { 7, 5 }, { 7, 3 } }, { matmul_tt, { 7, 5 }, { 3, 7 } },
		{ matmul_nn, { 64, 40 }, { 40, 50 } }, { matmul_nn, { 3, 0 }, { 0, 4 } },
		{ matmul_nn, { 0, 3 }, { 3, 2 } }, { matmul_nn, { 1, 1 }, { 1, 1 } },
		{ matmul_tn, { 130, 33 }, { 130, 65 } } };

	if (i >= (int)TD_COUNT(rows))
		return false;
	s->apply = rows[i].apply;
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 2, rows[i].a);
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 2, rows[i].b);
	s->in[0].batched = rows[i].apply != matmul_tt && i != 6;
	s->in[1].batched = rows[i].apply == matmul_tn;
	return true;
}

TD_OP(matmul, .n_in = 2, .n_out = 1, .attrs_size = sizeof(matmul_attrs), .infer = matmul_infer,
	.forward = { matmul_forward }, .backward = matmul_backward, .sample = matmul_sample)

TD_API td_value *td_matmul(td_ctx *c, td_value *a, td_value *b, bool transpose_a, bool transpose_b)
{
	return a && b ? TD_APPLY(c, matmul, (&(matmul_attrs){ transpose_a, transpose_b }), ops_row_major(c, a),
				ops_row_major(c, b))
		      : NULL;
}

/* ---- linear: y = x w^T + bias; x [.., in], w [out, in], bias [out] (torch.nn.functional.linear) ------------------ */

static void linear_infer(td_infer *q)
{
	const td_shape *x = q->in[0], *w = q->in[1], *b = q->in[2];
	char tx[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];

	if (!ops_need_float(q, "linear") || !ops_need_rank(q, "linear", 1, 2, "[out, in]"))
		return;
	if (x->rank < 2 || x->dim[x->rank - 1] != w->dim[1] || (b && (b->rank != 1 || b->dim[0] != w->dim[0])))
		td_fail(q->ctx, TD_SHAPE,
			"linear: the input %s does not have %lld features on its last axis, as the weight %s takes",
			td_shape_text(x, tx), (long long)w->dim[1], td_shape_text(w, tw));
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
