/* Batch norm: over all but the channels.  Channels lie last in memory, so it works on the columns of a matrix
 * [N * pixels, C]. */
#include "ops/norm.h"

#include "td_ops.h"

static bool vector_legal(td_infer *q, const char *op, int i, int64_t n)
{
	char text[TD_SHAPE_TEXT], tx[TD_SHAPE_TEXT];

	if (!q->in[i] || (q->in[i]->rank == 1 && q->in[i]->dim[0] == n && q->in[i]->dtype == q->in[0]->dtype))
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s: input %d must have %lld entries, one for each channel (axis 1) of %s, not %s",
		op, i, (long long)n, td_shape_text(q->in[0], tx), td_shape_text(q->in[i], text));
	return false;
}

static bool channels_legal(td_infer *q, const char *op, int first, int last)
{
	char text[TD_SHAPE_TEXT];

	if (!ops_need_float(q, op))
		return false;
	if (q->in[0]->rank < 2 || q->in[0]->rank > 4) {
		td_fail(q->ctx, TD_SHAPE, "%s needs [N, C], [N, C, L] or [N, C, H, W], not %s", op,
			td_shape_text(q->in[0], text));
		return false;
	}
	for (int i = first; i <= last; i++)
		if (!vector_legal(q, op, i, q->in[0]->dim[1]))
			return false;
	return true;
}

/* ---- batch_norm_train: y = (x - mean) rstd weight + bias with the batch's mean and variance, by channel; the running
 * ones move by MOMENTUM towards them (the variance unbiased), as torch.nn.BatchNorm2d (Ioffe and Szegedy, 2015); a
 * gate (input 5, a scalar) of 0 lets them as they are.
 * Hidden outputs: mean, rstd = 1 / sqrt(variance + eps) */

typedef struct batch_norm_attrs {
	double momentum, eps;
} batch_norm_attrs;

static const td_field batch_norm_fields[] = { TD_FIELD(batch_norm_attrs, momentum), TD_FIELD(batch_norm_attrs, eps),
	{ 0 } };

#define NEEDS_MORE                                                                                                     \
	"batch_norm needs more than one value for each channel while training, and this batch has one, %s; use two "   \
	"samples or more, also in the last batch of an epoch"

static bool has_one_value(const td_shape *x)
{
	return x->dim[0] == 1 && td_shape_count(x) == x->dim[1];
}

static void batch_norm_train_infer(td_infer *q)
{
	char text[TD_SHAPE_TEXT];
	struct norm v;

	if (!channels_legal(q, "batch_norm", 1, 4))
		return;
	if (q->in[5] && q->in[5]->rank) {
		td_fail(q->ctx, TD_SHAPE, "batch_norm is told by a scalar whether it trains, not by %s",
			td_shape_text(q->in[5], text));
		return;
	}
	if (!q->in[5] && has_one_value(q->in[0])) {
		td_fail(q->ctx, TD_SHAPE, NEEDS_MORE, td_shape_text(q->in[0], text));
		return;
	}
	ops_infer_same(q);
	q->out[1] = q->out[2] = (td_shape){ .dtype = q->in[0]->dtype, .rank = 1, .dim = { q->in[0]->dim[1] } };
	norm_init(&v, q->in[0], q->in[0]->dim[1]);
	q->workspace = norm_bytes(&v) + (2 * sizeof(double) + 2 * v.size) * (size_t)v.n;
}

static void columns_sum_slice(void *arg, int slice)
{
	const struct norm *v = arg;
	int64_t from, m = norm_rows(v, slice, &from);

	TD_PICK(v->dtype, k_columns_sum)(v->acc + slice * v->n, at_const(v->x, from * v->n, v->size), m, v->n);
}

static void columns_squares_slice(void *arg, int slice)
{
	const struct norm *v = arg;
	int64_t from, m = norm_rows(v, slice, &from);

	TD_PICK(v->dtype, k_columns_squares)
	(v->acc + slice * v->n, at_const(v->x, from * v->n, v->size), v->centre, m, v->n);
}

static void columns_normalize_slice(void *arg, int slice)
{
	const struct norm *v = arg;
	int64_t from, m = norm_rows(v, slice, &from);

	TD_PICK(v->dtype, k_columns_normalize)
	(at(v->y, from * v->n, v->size), at_const(v->x, from * v->n, v->size), v->mean, v->rstd, v->weight, v->bias, m,
		v->n);
}

static void move_running(const td_call *call, const struct norm *v, const double *mean, const double *squares)
{
	const batch_norm_attrs *a = call->attrs;
	char text[TD_SHAPE_TEXT];

	if (call->in[5].data && ops_get(call->in[5].data, v->dtype, 0) == 0)
		return;
	if (has_one_value(call->in[0].shape)) {
		err_set(call->err, TD_SHAPE, NEEDS_MORE, td_shape_text(call->in[0].shape, text));
		return;
	}
	for (int64_t j = 0; j < v->n; j++) {
		double unbiased = squares[j] / (double)(v->m - 1);

		ops_set(call->in[3].data, v->dtype, j,
			(1 - a->momentum) * ops_get(call->in[3].data, v->dtype, j) + a->momentum * mean[j]);
		ops_set(call->in[4].data, v->dtype, j,
			(1 - a->momentum) * ops_get(call->in[4].data, v->dtype, j) + a->momentum * unbiased);
	}
}

static void batch_norm_train_forward(const td_call *call)
{
	const batch_norm_attrs *a = call->attrs;
	struct norm v;
	double *mean;
	char *rest;

	norm_init(&v, call->in[0].shape, call->in[0].shape->dim[1]);
	if (!v.m)
		return;
	v.x = call->in[0].data;
	v.weight = call->in[1].data;
	v.bias = call->in[2].data;
	v.y = call->out[0].data;
	v.acc = call->workspace;
	mean = v.acc + v.n_slices * v.n;
	rest = (char *)(mean + 2 * v.n);
	v.means = call->out[1].data ? call->out[1].data : rest;
	v.rstds = call->out[2].data ? call->out[2].data : rest + v.size * (size_t)v.n;
	norm_sum(&v, call->threads, columns_sum_slice);
	for (int64_t j = 0; j < v.n; j++)
		mean[j] = v.acc[j] / (double)v.m;
	v.centre = mean;
	norm_sum(&v, call->threads, columns_squares_slice);
	for (int64_t j = 0; j < v.n; j++) {
		ops_set(v.means, v.dtype, j, mean[j]);
		ops_set(v.rstds, v.dtype, j, 1 / sqrt(v.acc[j] / (double)v.m + a->eps));
	}
	move_running(call, &v, mean, v.acc);
	v.mean = v.means;
	v.rstd = v.rstds;
	threads_run(call->threads, v.n_slices, columns_normalize_slice, &v);
}

static void batch_norm_train_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	td_value *dw = td_batch_norm_dw(c, dy[0], n->in[0], n->out[1], n->out[2], n->attrs),
		 *db = norm_sum_by_channel(c, dy[0]);

	if (td_wants(n, 0))
		dx[0] = td_batch_norm_dx(c, dy[0], n->in[0], n->in[1], n->out[1], n->out[2], dw, db, n->attrs);
	if (td_wants(n, 1))
		dx[1] = dw;
	if (td_wants(n, 2))
		dx[2] = db;
}

static td_value *batch_norm_train_apply(td_ctx *c, td_value *const *in)
{
	td_batch_norm_attrs a = { .momentum = 0.25, .eps = 1e-3, .training = true };

	return td_batch_norm(c, in[0], in[1], in[2], in[3], in[4], &a);
}

static td_value *batch_norm_train_apply_gated(td_ctx *c, td_value *const *in)
{
	td_batch_norm_attrs a = { .momentum = 0.25, .eps = 1e-3 };

	return td_batch_norm_switched(c, in[0], in[1], in[2], in[3], in[4], td_cast(c, in[5], TD_BOOL), &a);
}

static bool batch_norm_train_sample(int i, td_sample *s)
{
	static const int64_t big[] = { 40, 33, 5, 6 }, small[] = { 3, 4, 2, 3 }, flat[] = { 6, 5 },
			     line[] = { 3, 4, 5 };
	static const struct {
		int rank;
		const int64_t *dim;
		enum { ALWAYS, GATE_ON, GATE_OFF } gate;
	} rows[] = { { 4, small, ALWAYS }, { 2, flat, ALWAYS }, { 3, line, ALWAYS }, { 4, big, ALWAYS },
		{ 4, small, ALWAYS }, { 4, small, GATE_ON }, { 4, small, GATE_OFF } };

	if (i >= (int)TD_COUNT(rows))
		return false;
	s->apply = batch_norm_train_apply;
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, rows[i].rank, rows[i].dim);
	for (int k = 1; k < 5; k++)
		SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, rows[i].dim[1]);
	s->in[0].shape.order = i == 4 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = rows[i].rank > 2; /* a single sample of [N, C] is refused */
	s->in[3].variable = s->in[4].variable = true;
	if (rows[i].gate) {
		s->apply = batch_norm_train_apply_gated;
		ops_sample_input(s, rows[i].gate == GATE_ON ? TD_FILL_ONES : TD_FILL_LABELS, TD_F32, 0, NULL);
		s->in[5].classes = 1; /* labels of one class: 0 */
		s->in[5].fixed = true;
	}
	return true;
}

TD_OP(batch_norm_train, .n_in = 6, .n_out = 1, .n_hidden = 2, .optional = 38, .writes = 24,
	.attrs_size = sizeof(batch_norm_attrs), .fields = batch_norm_fields, .infer = batch_norm_train_infer,
	.forward = { batch_norm_train_forward }, .backward = batch_norm_train_backward,
	.sample = batch_norm_train_sample)

static td_value *batch_norm_running(
	td_ctx *c, td_value *x, td_value *weight, td_value *bias, td_value *mean, td_value *variance, double eps)
{
	td_value *deviation = td_sqrt(c, td_shift_by(c, variance, eps)), *scale, *y;

	scale = td_div(c, weight ? weight : td_ones_like(c, mean), deviation);
	y = td_mul(c, td_sub(c, x, norm_by_channel(c, mean, x)), norm_by_channel(c, scale, x));
	return bias ? td_add(c, y, norm_by_channel(c, bias, x)) : y;
}

/* x [N, C], [N, C, L] or [N, C, H, W]; weight and bias [C] or NULL; running_mean, running_var [C]: written while
 * training, and read instead of the batch's otherwise. */
TD_API td_value *td_batch_norm(td_ctx *c, td_value *x, td_value *weight, td_value *bias, td_value *running_mean,
	td_value *running_var, const td_batch_norm_attrs *attrs)
{
	batch_norm_attrs a = { attrs->momentum, attrs->eps };

	if (!x || !running_mean || !running_var)
		return NULL;
	if (!attrs->training)
		return batch_norm_running(c, x, weight, bias, running_mean, running_var, attrs->eps);
	return TD_APPLY(
		c, batch_norm_train, &a, ops_channels_last(c, x), weight, bias, running_mean, running_var, NULL);
}

/* The same where TRAINING, one bool, says at each run whether the batch's statistics are taken and the running ones
 * move (ATTRS' own is not read): TensorFlow 1's graph with a placeholder for the mode.  Dropout switches by td_where.
 */
TD_API td_value *td_batch_norm_switched(td_ctx *c, td_value *x, td_value *weight, td_value *bias,
	td_value *running_mean, td_value *running_var, td_value *training, const td_batch_norm_attrs *attrs)
{
	batch_norm_attrs a = { attrs->momentum, attrs->eps };
	td_value *evaluated;

	if (!x || !running_mean || !running_var || !training)
		return NULL;
	evaluated = batch_norm_running(c, x, weight, bias, running_mean, running_var, attrs->eps);
	return td_where(c, training,
		TD_APPLY(c, batch_norm_train, &a, ops_channels_last(c, x), weight, bias, running_mean, running_var,
			td_cast(c, training, x->shape.dtype)),
		evaluated);
}

/* ---- batch_norm_dw: the gradient of batch norm by its weight: sum of dy (x - mean) rstd for each channel */

static void batch_norm_dw_infer(td_infer *q)
{
	struct norm v;

	if (!channels_legal(q, "batch_norm_dw", 2, 3) || !ops_need_like(q, "batch_norm_dw", 1, q->in[0]))
		return;
	q->out[0] = *q->in[2];
	norm_init(&v, q->in[0], q->in[0]->dim[1]);
	q->workspace = norm_bytes(&v);
}

static void columns_products_slice(void *arg, int slice)
{
	const struct norm *v = arg;
	int64_t from, m = norm_rows(v, slice, &from);

	TD_PICK(v->dtype, k_columns_products)
	(v->acc + slice * v->n, at_const(v->dy, from * v->n, v->size), at_const(v->x, from * v->n, v->size), v->mean,
		v->rstd, m, v->n);
}

static void batch_norm_dw_forward(const td_call *call)
{
	struct norm v;

	norm_init(&v, call->in[0].shape, call->in[0].shape->dim[1]);
	v.dy = call->in[0].data;
	v.x = call->in[1].data;
	v.mean = call->in[2].data;
	v.rstd = call->in[3].data;
	v.acc = call->workspace;
	norm_sum(&v, call->threads, columns_products_slice);
	TD_PICK(v.dtype, k_store)(call->out[0].data, v.acc, v.n, 1);
}

/* With h = (x - mean) rstd, whose mean and rstd are taken for what they are of x (norm.h), and U what came for the
 * weight: d(dy) = h U, and d(x) is the norm's own gradient with U as its weight. */
static void batch_norm_dw_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const batch_norm_attrs *a = n->attrs;
	td_value *g = n->in[0], *x = n->in[1], *h, *r;

	if (td_wants(n, 0)) {
		norm_standardise(c, x, norm_value_axes(x), a->eps, true, &h, &r);
		dx[0] = td_mul(c, h, norm_by_channel(c, dy[0], x));
	}
	if (td_wants(n, 1))
		dx[1] = td_batch_norm_dx(c, g, x, dy[0], n->in[2], n->in[3],
			td_batch_norm_dw(c, g, x, n->in[2], n->in[3], a), norm_sum_by_channel(c, g), a);
}

static const batch_norm_attrs gradient_attrs = { 0, 1e-3 };

/* The statistics of X that a norm keeps. */
static void keep_statistics(td_ctx *c, td_value *x, td_value **mean, td_value **rstd)
{
	td_value *h;

	x = td_detach(c, x);
	norm_standardise(c, x, norm_value_axes(x), gradient_attrs.eps, true, &h, rstd);
	*rstd = norm_sum_by_channel(c, *rstd);
	*mean = td_mean(c, x, norm_value_axes(x), false);
}

static td_value *batch_norm_dw_apply(td_ctx *c, td_value *const *in)
{
	td_value *mean, *rstd;

	keep_statistics(c, in[1], &mean, &rstd);
	return td_batch_norm_dw(c, in[0], in[1], mean, rstd, &gradient_attrs);
}

static void sample_columns(td_sample *s, int n_vectors)
{
	for (int k = 0; k < 2; k++) {
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 2, 3);
		s->in[k].shape.order = TD_CHANNELS_LAST;
		s->in[k].batched = true;
	}
	for (int k = 0; k < n_vectors; k++)
		SAMPLE_INPUT(s, TD_FILL_POSITIVE, TD_F32, 4);
}

static bool batch_norm_dw_sample(int i, td_sample *s)
{
	s->apply = batch_norm_dw_apply;
	sample_columns(s, 0);
	return i < 1;
}

TD_OP(batch_norm_dw, .n_in = 4, .n_out = 1, .attrs_size = sizeof(batch_norm_attrs), .fields = batch_norm_fields,
	.infer = batch_norm_dw_infer, .forward = { batch_norm_dw_forward }, .backward = batch_norm_dw_backward,
	.sample = batch_norm_dw_sample)

/* mean, rstd: the hidden outputs of the norm of x; ATTRS: of that node. */
TD_API td_value *td_batch_norm_dw(
	td_ctx *c, td_value *dy, td_value *x, td_value *mean, td_value *rstd, const void *attrs)
{
	return dy && x && mean && rstd ? TD_APPLY(c, batch_norm_dw, attrs, ops_channels_last(c, dy),
						 ops_channels_last(c, x), mean, rstd)
				       : NULL;
}

/* ---- batch_norm_dx: the gradient of batch norm by its input; dw and db are those by its weight and bias, and m counts
 * the values of a channel: dx = weight rstd (dy - db / m - (x - mean) rstd dw / m) */

static void batch_norm_dx_infer(td_infer *q)
{
	if (channels_legal(q, "batch_norm_dx", 2, 6) && ops_need_like(q, "batch_norm_dx", 1, q->in[0]))
		ops_infer_same(q);
}

static void columns_normalize_dx_slice(void *arg, int slice)
{
	const struct norm *v = arg;
	int64_t from, m = norm_rows(v, slice, &from);

	TD_PICK(v->dtype, k_columns_normalize_dx)
	(at(v->y, from * v->n, v->size), at_const(v->dy, from * v->n, v->size), at_const(v->x, from * v->n, v->size),
		v->mean, v->rstd, v->weight, v->dw, v->db, m, v->n, v->count);
}

static void batch_norm_dx_forward(const td_call *call)
{
	struct norm v;

	norm_init(&v, call->in[0].shape, call->in[0].shape->dim[1]);
	v.dy = call->in[0].data;
	v.x = call->in[1].data;
	v.weight = call->in[2].data;
	v.mean = call->in[3].data;
	v.rstd = call->in[4].data;
	v.dw = call->in[5].data;
	v.db = call->in[6].data;
	v.y = call->out[0].data;
	v.count = (double)v.m;
	threads_run(call->threads, v.n_slices, columns_normalize_dx_slice, &v);
}

/* With h as above, w the weight and m the values of a channel, all but u by channel: d(dy) = u w rstd,
 * d(db) = -w rstd mean(u), d(dw) = -w rstd mean(u h), d(w) = the sum of u dx / w, and
 * d(x) = -(rstd h mean(u dx) + w rstd dw / m q), where q is dx with u for dy and no weight. */
static void batch_norm_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const batch_norm_attrs *a = n->attrs;
	td_value *u = dy[0], *g = n->in[0], *x = n->in[1], *w = n->in[2], *mean = n->in[3], *rstd = n->in[4],
		 *dw = n->in[5], *db = n->in[6], *h, *r, *wr, *bare, *spread, *q;
	uint32_t axes = norm_value_axes(x);

	norm_standardise(c, x, axes, a->eps, true, &h, &r);
	wr = w ? td_mul(c, r, norm_by_channel(c, w, x)) : r;
	bare = td_batch_norm_dx(c, g, x, NULL, mean, rstd, dw, db, a);
	if (td_wants(n, 0))
		dx[0] = td_mul(c, u, wr);
	if (td_wants(n, 6))
		dx[6] = td_neg(c, norm_sum_by_channel(c, td_mul(c, wr, td_mean(c, u, axes, true))));
	if (td_wants(n, 5))
		dx[5] = td_neg(c, norm_sum_by_channel(c, td_mul(c, wr, td_mean(c, td_mul(c, u, h), axes, true))));
	if (td_wants(n, 2))
		dx[2] = norm_sum_by_channel(c, td_mul(c, u, bare));
	if (td_wants(n, 1)) {
		q = td_batch_norm_dx(c, u, x, NULL, mean, rstd, td_batch_norm_dw(c, u, x, mean, rstd, a),
			norm_sum_by_channel(c, u), a);
		spread = td_div(c, dw, norm_sum_by_channel(c, td_ones_like(c, x)));
		q = td_mul(c, q, td_mul(c, wr, norm_by_channel(c, spread, x)));
		h = td_mul(c, h, td_mul(c, wr, td_mean(c, td_mul(c, u, bare), axes, true)));
		dx[1] = td_neg(c, td_add(c, h, q));
	}
}

static td_value *batch_norm_dx_apply(td_ctx *c, td_value *const *in)
{
	td_value *mean, *rstd;

	keep_statistics(c, in[1], &mean, &rstd);
	return td_batch_norm_dx(c, in[0], in[1], in[2], mean, rstd, in[3], in[4], &gradient_attrs);
}

static bool batch_norm_dx_sample(int i, td_sample *s)
{
	s->apply = batch_norm_dx_apply;
	sample_columns(s, 3);
	return i < 1;
}

TD_OP(batch_norm_dx, .n_in = 7, .n_out = 1, .optional = 4, .inplace = 3, .attrs_size = sizeof(batch_norm_attrs),
	.fields = batch_norm_fields, .infer = batch_norm_dx_infer, .forward = { batch_norm_dx_forward },
	.backward = batch_norm_dx_backward, .sample = batch_norm_dx_sample)

TD_API td_value *td_batch_norm_dx(td_ctx *c, td_value *dy, td_value *x, td_value *weight, td_value *mean,
	td_value *rstd, td_value *dw, td_value *db, const void *attrs)
{
	return dy && x && mean && rstd && dw && db ? TD_APPLY(c, batch_norm_dx, attrs, ops_channels_last(c, dy),
							     ops_channels_last(c, x), weight, mean, rstd, dw, db)
						   : NULL;
}
