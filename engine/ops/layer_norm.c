/* Layer norm and RMS norm: over the last axes of each sample, which are the rows of a matrix. */
#include "ops/norm.h"

#include "td_ops.h"

/* ---- What the gradients of all norms share ----------------------------------------------------------------------- */

void norm_standardise(td_ctx *c, td_value *x, uint32_t axes, double eps, bool centred, td_value **h, td_value **rstd)
{
	td_value *d = centred ? td_sub(c, x, td_mean(c, x, axes, true)) : x,
		 *deviation = td_sqrt(c, td_shift_by(c, td_mean(c, td_square(c, d), axes, true), eps));

	*h = td_div(c, d, deviation);
	*rstd = deviation ? td_div(c, td_ones_like(c, deviation), deviation) : NULL;
}

static td_value *mean_product(td_ctx *c, td_value *a, td_value *b, uint32_t axes)
{
	return td_mean(c, td_mul(c, a, b), axes, true);
}

td_value *norm_dx_by_x(td_ctx *c, td_value *u, td_value *g, td_value *x, td_value *q, td_value *dx, uint32_t axes,
	double eps, bool centred)
{
	td_value *h, *rstd, *sum;

	norm_standardise(c, x, axes, eps, centred, &h, &rstd);
	sum = td_mul(c, q, mean_product(c, g, h, axes));
	sum = td_add(c, sum, td_mul(c, dx, mean_product(c, u, h, axes)));
	sum = td_add(c, sum, td_mul(c, h, mean_product(c, u, dx, axes)));
	return td_neg(c, td_mul(c, sum, rstd));
}

/* ---- layer_norm: y = (x - mean) rstd weight + bias with the mean and variance of each row, a row being the last
 * N_AXES axes, as torch.nn.LayerNorm (Ba et al., 2016).  Hidden outputs: mean, rstd */

typedef struct layer_norm_attrs {
	double eps;
	int n_axes;
	int centred; /* 0: RMS norm */
} layer_norm_attrs;

static const td_field layer_norm_fields[] = { TD_FIELD(layer_norm_attrs, eps), TD_FIELD(layer_norm_attrs, n_axes),
	TD_FIELD(layer_norm_attrs, centred), { 0 } };

/* The last N_AXES of X. */
static uint32_t row_axes(const td_value *x, int n_axes)
{
	return ((1u << x->shape.rank) - 1) & ~((1u << (x->shape.rank - n_axes)) - 1);
}

/* The axes before them. */
static uint32_t lead_axes(const td_value *x, int n_axes)
{
	return (1u << (x->shape.rank - n_axes)) - 1;
}

static int64_t row_size(const td_shape *x, int n_axes)
{
	int64_t n = 1;

	for (int i = x->rank - n_axes; i < x->rank; i++)
		n *= x->dim[i];
	return n;
}

/* Inputs WEIGHT .. LAST have the shape of a row. */
static bool rows_legal(td_infer *q, const char *op, int n_axes, int weight, int last)
{
	char tx[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];
	const td_shape *x = q->in[0];

	if (!ops_need_float(q, op))
		return false;
	if (n_axes < 1 || n_axes > x->rank) {
		td_fail(q->ctx, TD_SHAPE, "%s over the last %d axes needs as many, and %s has %d", op, n_axes,
			td_shape_text(x, tx), x->rank);
		return false;
	}
	for (int i = weight; i <= last; i++) {
		bool fits = !q->in[i] || q->in[i]->rank == n_axes;
		for (int k = 0; k < n_axes && q->in[i] && fits; k++)
			fits = q->in[i]->dim[k] == x->dim[x->rank - n_axes + k];
		if (!fits) {
			td_fail(q->ctx, TD_SHAPE, "%s: %s does not have the last %d axes of %s", op,
				td_shape_text(q->in[i], tw), n_axes, td_shape_text(x, tx));
			return false;
		}
	}
	return true;
}

/* One statistic for each row of X. */
static td_shape row_statistics(const td_shape *x, int n_axes)
{
	td_shape s = { .dtype = x->dtype, .rank = x->rank - n_axes };

	memcpy(s.dim, x->dim, sizeof *s.dim * (size_t)s.rank);
	return s;
}

static void layer_norm_infer(td_infer *q)
{
	const layer_norm_attrs *a = q->attrs;

	if (!rows_legal(q, a->centred ? "layer_norm" : "rms_norm", a->n_axes, 1, q->n_in - 1))
		return;
	ops_infer_same(q);
	q->out[1] = q->out[2] = row_statistics(q->in[0], a->n_axes);
}

static void rows_normalize_slice(void *arg, int slice)
{
	const struct norm *v = arg;
	int64_t from, m = norm_rows(v, slice, &from);

	TD_PICK(v->dtype, k_rows_normalize)
	(at(v->y, from * v->n, v->size), at(v->means, from, v->size), at(v->rstds, from, v->size),
		at_const(v->x, from * v->n, v->size), v->weight, v->bias, m, v->n, v->eps, v->centred);
}

static void layer_norm_forward(const td_call *call)
{
	const layer_norm_attrs *a = call->attrs;
	struct norm v;

	norm_init(&v, call->in[0].shape, row_size(call->in[0].shape, a->n_axes));
	v.x = call->in[0].data;
	v.weight = call->in[1].data;
	v.bias = a->centred ? call->in[2].data : NULL;
	v.y = call->out[0].data;
	v.means = call->out[1].data;
	v.rstds = call->out[2].data;
	v.eps = a->eps;
	v.centred = a->centred;
	threads_run(call->threads, v.n_slices, rows_normalize_slice, &v);
}

static void layer_norm_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const layer_norm_attrs *a = n->attrs;

	if (td_wants(n, 0))
		dx[0] = td_layer_norm_dx(c, dy[0], n->in[0], n->in[1], n->out[1], n->out[2], a);
	if (td_wants(n, 1))
		dx[1] = td_layer_norm_dw(c, dy[0], n->in[0], n->out[1], n->out[2], n->in[1], a);
	if (a->centred && td_wants(n, 2))
		dx[2] = td_sum(c, dy[0], lead_axes(dy[0], a->n_axes), false);
}

static td_value *layer_norm_apply_1(td_ctx *c, td_value *const *in)
{
	return td_layer_norm(c, in[0], in[1], in[2], 1, 1e-3);
}
static td_value *layer_norm_apply_2(td_ctx *c, td_value *const *in)
{
	return td_layer_norm(c, in[0], in[1], in[2], 2, 1e-3);
}

static bool layer_norm_sample(int i, td_sample *s)
{
	if (i >= 5)
		return false;
	s->apply = i % 2 ? layer_norm_apply_2 : layer_norm_apply_1;
	if (i == 3)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 300, 5, 40); /* several slices */
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, i == 4 ? 0 : 5, 3, 7);
	s->in[0].batched = true;
	if (i == 2 || i == 4)
		return true;
	for (int k = 0; k < 2; k++)
		if (i == 3)
			SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, 5, 40);
		else if (i)
			SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, 3, 7);
		else
			SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, 7);
	return true;
}

TD_OP(layer_norm, .n_in = 3, .n_out = 1, .n_hidden = 2, .optional = 6, .attrs_size = sizeof(layer_norm_attrs),
	.fields = layer_norm_fields, .infer = layer_norm_infer, .forward = { layer_norm_forward },
	.backward = layer_norm_backward, .sample = layer_norm_sample)

/* weight, bias: in the shape of x's last N_AXES axes, or NULL. */
TD_API td_value *td_layer_norm(td_ctx *c, td_value *x, td_value *weight, td_value *bias, int n_axes, double eps)
{
	layer_norm_attrs a = { eps, n_axes, 1 };

	return x ? TD_APPLY(c, layer_norm, &a, ops_row_major(c, x), ops_row_major(c, weight), ops_row_major(c, bias))
		 : NULL;
}

/* ---- rms_norm: y = x rstd weight with rstd = 1 / sqrt(mean of x^2 + eps) of each row, as torch.nn.RMSNorm (Zhang and
 * Sennrich, 2019); otherwise as layer_norm.  Hidden outputs: a mean of 0, rstd */

static td_value *rms_norm_apply_1(td_ctx *c, td_value *const *in)
{
	return td_rms_norm(c, in[0], in[1], 1, 1e-3);
}
static td_value *rms_norm_apply_2(td_ctx *c, td_value *const *in)
{
	return td_rms_norm(c, in[0], in[1], 2, 1e-3);
}

static bool rms_norm_sample(int i, td_sample *s)
{
	if (!layer_norm_sample(i, s))
		return false;
	s->apply = i % 2 ? rms_norm_apply_2 : rms_norm_apply_1;
	s->n_in = TD_MIN(s->n_in, 2);
	return true;
}

TD_OP(rms_norm, .n_in = 2, .n_out = 1, .n_hidden = 2, .optional = 2, .attrs_size = sizeof(layer_norm_attrs),
	.fields = layer_norm_fields, .infer = layer_norm_infer, .forward = { layer_norm_forward },
	.backward = layer_norm_backward, .sample = rms_norm_sample)

/* weight: in the shape of x's last N_AXES axes, or NULL. */
TD_API td_value *td_rms_norm(td_ctx *c, td_value *x, td_value *weight, int n_axes, double eps)
{
	layer_norm_attrs a = { eps, n_axes, 0 };

	return x ? TD_APPLY(c, rms_norm, &a, ops_row_major(c, x), ops_row_major(c, weight)) : NULL;
}

/* ---- layer_norm_dx: the gradient of either by its input: with g = dy weight and h = (x - mean) rstd,
 * dx = rstd (g - mean of g - h times the mean of g h), means over the row; RMS norm has no mean of g.  Its own gradient
 * takes mean and rstd for what they are of x (norm.h) */

/* Input 1 is like input 0; MEAN and the one behind it are statistics of its rows. */
static bool gradient_legal(td_infer *q, const char *op, int n_axes, int mean)
{
	td_shape row = row_statistics(q->in[0], n_axes);

	return ops_need_like(q, op, 1, q->in[0]) && ops_need_like(q, op, mean, &row) &&
	       ops_need_like(q, op, mean + 1, &row);
}

static void layer_norm_dx_infer(td_infer *q)
{
	int n_axes = ((const layer_norm_attrs *)q->attrs)->n_axes;

	if (rows_legal(q, "layer_norm_dx", n_axes, 2, 2) && gradient_legal(q, "layer_norm_dx", n_axes, 3))
		ops_infer_same(q);
}

static void rows_normalize_dx_slice(void *arg, int slice)
{
	const struct norm *v = arg;
	int64_t from, m = norm_rows(v, slice, &from);

	TD_PICK(v->dtype, k_rows_normalize_dx)
	(at(v->y, from * v->n, v->size), at_const(v->dy, from * v->n, v->size), at_const(v->x, from * v->n, v->size),
		at_const(v->mean, from, v->size), at_const(v->rstd, from, v->size), v->weight, m, v->n, v->centred);
}

static void layer_norm_dx_forward(const td_call *call)
{
	const layer_norm_attrs *a = call->attrs;
	struct norm v;

	norm_init(&v, call->in[0].shape, row_size(call->in[0].shape, a->n_axes));
	v.dy = call->in[0].data;
	v.x = call->in[1].data;
	v.weight = call->in[2].data;
	v.mean = call->in[3].data;
	v.rstd = call->in[4].data;
	v.y = call->out[0].data;
	v.centred = a->centred;
	threads_run(call->threads, v.n_slices, rows_normalize_dx_slice, &v);
}

/* Linear in dy and in the weight, alike. */
static void layer_norm_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const layer_norm_attrs *a = n->attrs;
	td_value *g = n->in[0], *x = n->in[1], *weight = n->in[2], *mean = n->in[3], *rstd = n->in[4],
		 *q = td_layer_norm_dx(c, dy[0], x, NULL, mean, rstd, a);

	if (td_wants(n, 0))
		dx[0] = weight ? td_mul(c, q, weight) : q;
	if (td_wants(n, 2))
		dx[2] = td_sum(c, td_mul(c, q, g), lead_axes(g, a->n_axes), false);
	if (td_wants(n, 1))
		dx[1] = norm_dx_by_x(c, dy[0], weight ? td_mul(c, g, weight) : g, x, q,
			td_layer_norm_dx(c, g, x, weight, mean, rstd, a), row_axes(x, a->n_axes), a->eps, a->centred);
}

static const layer_norm_attrs gradient_attrs = { 1e-3, 1, 1 };

/* The statistics of X [5, 7] that a norm keeps. */
static void keep_statistics(td_ctx *c, td_value *x, td_value **mean, td_value **rstd)
{
	td_value *h;

	x = td_detach(c, x);
	norm_standardise(c, x, 2, gradient_attrs.eps, gradient_attrs.centred, &h, rstd);
	*rstd = td_sum(c, *rstd, 2, false);
	*mean = td_mean(c, x, 2, false);
}

static td_value *layer_norm_dx_apply(td_ctx *c, td_value *const *in)
{
	td_value *mean, *rstd;

	keep_statistics(c, in[1], &mean, &rstd);
	return td_layer_norm_dx(c, in[0], in[1], in[2], mean, rstd, &gradient_attrs);
}

static bool layer_norm_dx_sample(int i, td_sample *s)
{
	s->apply = layer_norm_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 7);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 7);
	SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, 7);
	s->in[0].batched = s->in[1].batched = true;
	return i < 1;
}

TD_OP(layer_norm_dx, .n_in = 5, .n_out = 1, .optional = 4, .inplace = 3, .attrs_size = sizeof(layer_norm_attrs),
	.fields = layer_norm_fields, .infer = layer_norm_dx_infer, .forward = { layer_norm_dx_forward },
	.backward = layer_norm_dx_backward, .sample = layer_norm_dx_sample)

/* mean, rstd: the hidden outputs of the norm of x; ATTRS: of that node. */
TD_API td_value *td_layer_norm_dx(
	td_ctx *c, td_value *dy, td_value *x, td_value *weight, td_value *mean, td_value *rstd, const void *attrs)
{
	return dy && x && mean && rstd ? TD_APPLY(c, layer_norm_dx, attrs, ops_row_major(c, dy), ops_row_major(c, x),
						 ops_row_major(c, weight), mean, rstd)
				       : NULL;
}

/* ---- layer_norm_dw: the gradient of either by its weight: the sum over rows of dy (x - mean) rstd; only the shape
 * of the weight is read */

static void layer_norm_dw_infer(td_infer *q)
{
	int n_axes = ((const layer_norm_attrs *)q->attrs)->n_axes;
	struct norm v;

	if (!rows_legal(q, "layer_norm_dw", n_axes, 4, 4) || !gradient_legal(q, "layer_norm_dw", n_axes, 2))
		return;
	q->out[0] = *q->in[4];
	q->out[0].order = TD_ROW_MAJOR;
	norm_init(&v, q->in[0], row_size(q->in[0], n_axes));
	q->workspace = norm_bytes(&v);
}

static void rows_products_slice(void *arg, int slice)
{
	const struct norm *v = arg;
	int64_t from, m = norm_rows(v, slice, &from);

	TD_PICK(v->dtype, k_rows_products)
	(v->acc + slice * v->n, at_const(v->dy, from * v->n, v->size), at_const(v->x, from * v->n, v->size),
		at_const(v->mean, from, v->size), at_const(v->rstd, from, v->size), m, v->n);
}

static void layer_norm_dw_forward(const td_call *call)
{
	struct norm v;

	norm_init(&v, call->in[0].shape, row_size(call->in[0].shape, ((const layer_norm_attrs *)call->attrs)->n_axes));
	v.dy = call->in[0].data;
	v.x = call->in[1].data;
	v.mean = call->in[2].data;
	v.rstd = call->in[3].data;
	v.acc = call->workspace;
	norm_sum(&v, call->threads, rows_products_slice);
	TD_PICK(v.dtype, k_store)(call->out[0].data, v.acc, v.n, 1);
}

/* What came for the weight is a weight itself. */
static void layer_norm_dw_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const layer_norm_attrs *a = n->attrs;

	if (td_wants(n, 0))
		dx[0] = a->centred ? td_layer_norm(c, n->in[1], dy[0], NULL, a->n_axes, a->eps)
				   : td_rms_norm(c, n->in[1], dy[0], a->n_axes, a->eps);
	if (td_wants(n, 1))
		dx[1] = td_layer_norm_dx(c, n->in[0], n->in[1], dy[0], n->in[2], n->in[3], a);
}

static td_value *layer_norm_dw_apply(td_ctx *c, td_value *const *in)
{
	td_value *mean, *rstd;

	keep_statistics(c, in[1], &mean, &rstd);
	return td_layer_norm_dw(c, in[0], in[1], mean, rstd, in[2], &gradient_attrs);
}

static bool layer_norm_dw_sample(int i, td_sample *s)
{
	s->apply = layer_norm_dw_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 7);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5, 7);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 7);
	s->in[0].batched = s->in[1].batched = true;
	s->in[2].fixed = true;
	return i < 1;
}

TD_OP(layer_norm_dw, .n_in = 5, .n_out = 1, .shape_only = 16, .attrs_size = sizeof(layer_norm_attrs),
	.fields = layer_norm_fields, .infer = layer_norm_dw_infer, .forward = { layer_norm_dw_forward },
	.backward = layer_norm_dw_backward, .sample = layer_norm_dw_sample)

TD_API td_value *td_layer_norm_dw(
	td_ctx *c, td_value *dy, td_value *x, td_value *mean, td_value *rstd, td_value *weight, const void *attrs)
{
	return dy && x && mean && rstd && weight ? TD_APPLY(c, layer_norm_dw, attrs, ops_row_major(c, dy),
							   ops_row_major(c, x), mean, rstd, weight)
						 : NULL;
}
