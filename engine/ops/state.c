/* Ops with effects: assignment and the optimizers' updates.  They write variables (captured tensors) and have no
 * results; a gate of 0 lets everything as it is, so a bad step can be stopped before it spoils the weights. */
#include "ops/ops.h"

#include "td_ops.h"

static bool same_place(td_infer *q, const char *op, int i)
{
	char a[TD_SHAPE_TEXT], b[TD_SHAPE_TEXT];

	if (!q->in[i] || td_shape_same(q->in[0], q->in[i]))
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s: %s does not fit the variable %s", op, td_shape_text(q->in[i], a),
		td_shape_text(q->in[0], b));
	return false;
}

/* ---- assign: the variable takes the value ------------------------------------------------------------------------ */

static void assign_infer(td_infer *q)
{
	same_place(q, "assign", 1);
}

static void assign_forward(const td_call *call)
{
	size_t size = td_dtype_size(call->in[0].shape->dtype);

	ops_rows(call, ops_copy_row(size), &call->in[0], &call->in[1], NULL, (size_t[]){ size, size, size });
}

static td_value *assign_apply(td_ctx *c, td_value *const *in)
{
	td_assign(c, in[0], in[1]);
	return NULL;
}

static bool assign_sample(int i, td_sample *s)
{
	if (i >= 2)
		return false;
	s->apply = assign_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5);
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5);
	s->in[0].variable = true;
	s->in[0].shape.order = i ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	return true;
}

TD_OP(assign, .n_in = 2, .n_out = 0, .writes = 1, .infer = assign_infer, .forward = { assign_forward },
	.backward = td_nodiff, .sample = assign_sample)

/* Returns VARIABLE. */
TD_API td_value *td_assign(td_ctx *c, td_value *variable, td_value *value)
{
	if (variable && value)
		TD_APPLY(c, assign, NULL, variable, value);
	return variable;
}

/* ---- Updates: cut into slices of elements; every slice reads the same scalars ------------------------------------ */

static double scalar(const td_view *v)
{
	return v->shape->dtype == TD_F64 ? *(const double *)v->data : (double)*(const float *)v->data;
}

static bool scalars_legal(td_infer *q, const char *op, int first)
{
	for (int i = first; i < q->n_in; i++)
		if (q->in[i]->rank || !td__is_float(q->in[i]->dtype)) {
			td_fail(q->ctx, TD_SHAPE, "%s: input %d must be a floating scalar", op, i);
			return false;
		}
	return true;
}

/* All arrays of an update lie alike; the builder has seen to it. */
static bool arrays_legal(td_infer *q, const char *op, int n)
{
	for (int i = 1; i < n; i++) {
		if (!same_place(q, op, i))
			return false;
		if (q->in[i] && q->in[i]->order != q->in[0]->order)
			TD_BUG("%s: input %d lies in another order than the variable", op, i);
	}
	return true;
}

struct update {
	const td_call *call;
	struct k_sgd sgd;
	struct k_adam adam;
	struct k_rmsprop rmsprop;
	int64_t n;
	td_dtype dtype;
	size_t size;
};

static void update_run(const td_call *call, struct update *u, void (*slice)(void *arg, int slice))
{
	u->call = call;
	u->n = td_shape_count(call->in[0].shape);
	u->dtype = call->in[0].shape->dtype;
	u->size = td_dtype_size(u->dtype);
	threads_run(call->threads, (int)((u->n + SLICE_ELEMENTS - 1) / SLICE_ELEMENTS), slice, u);
}

static td_value *like(td_ctx *c, td_value *x, const td_value *variable)
{
	return x && x->shape.order != variable->shape.order ? td_reorder(c, x, variable->shape.order) : x;
}

static void sample_update(td_sample *s, int n_arrays, int n_scalars, bool channels_last)
{
	for (int i = 0; i < n_arrays; i++) {
		SAMPLE_INPUT(s, i >= 2 ? TD_FILL_POSITIVE : TD_FILL_NORMAL, TD_F32, 3, 4, 5);
		s->in[i].variable = i != 1;
		s->in[i].shape.order = channels_last && i != 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	}
	for (int i = 0; i < n_scalars; i++)
		ops_sample_input(s, TD_FILL_ONES, TD_F32, 0, NULL);
}

/* ---- sgd_update: g = grad + decay p; b = g at the first update, momentum b + (1 - dampening) g later; p -= lr b, or
 * with Nesterov p -= lr (g + momentum b) (torch.optim.SGD)
 * --------------------------------------------------------------------------------------- */

static void sgd_update_infer(td_infer *q)
{
	if (arrays_legal(q, "sgd_update", 3))
		scalars_legal(q, "sgd_update", 3);
}

static void sgd_slice(void *arg, int slice)
{
	const struct update *u = arg;
	const td_view *in = u->call->in;
	int64_t first = (int64_t)slice * SLICE_ELEMENTS, n = TD_MIN(SLICE_ELEMENTS, u->n - first);

	TD_PICK(u->dtype, k_sgd)
	(at(in[0].data, first, u->size), at(in[1].data, first, u->size), at(in[2].data, first, u->size), n, &u->sgd);
}

static void sgd_update_forward(const td_call *call)
{
	const td_sgd_attrs *a = call->attrs;
	struct update u = { .sgd = { scalar(&call->in[3]), a->momentum, a->dampening, a->weight_decay, a->nesterov,
				    scalar(&call->in[4]) <= 1 } };

	if (scalar(&call->in[5]) != 0)
		update_run(call, &u, sgd_slice);
}

static td_value *sgd_update_apply(td_ctx *c, td_value *const *in)
{
	td_sgd_update(c, in[0], in[1], in[2], in[3], in[4], in[5], &(td_sgd_attrs){ 0.9, 0.1, 0.01, false });
	return NULL;
}
static td_value *sgd_update_apply_nesterov(td_ctx *c, td_value *const *in)
{
	td_sgd_update(c, in[0], in[1], in[2], in[3], in[4], in[5], &(td_sgd_attrs){ 0.9, 0, 0, true });
	return NULL;
}

static bool sgd_update_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = i / 2 ? sgd_update_apply_nesterov : sgd_update_apply;
	sample_update(s, 3, 3, i % 2);
	return true;
}

TD_OP(sgd_update, .n_in = 6, .n_out = 0, .writes = 5, .optional = 4, .attrs_size = sizeof(td_sgd_attrs),
	.infer = sgd_update_infer, .forward = { sgd_update_forward }, .backward = td_nodiff,
	.sample = sgd_update_sample)

/* buffer: like param, zeros before the first update, or NULL without momentum.  lr, t (the update's number, from 1),
 * gate: scalars. */
TD_API void td_sgd_update(td_ctx *c, td_value *param, td_value *grad, td_value *buffer, td_value *lr, td_value *t,
	td_value *gate, const td_sgd_attrs *attrs)
{
	td_sgd_attrs a;

	if (!param || !grad || !lr || !t || !gate)
		return;
	memset(&a, 0, sizeof a);
	a.momentum = attrs->momentum;
	a.dampening = attrs->dampening;
	a.weight_decay = attrs->weight_decay;
	a.nesterov = attrs->nesterov;
	TD_APPLY(c, sgd_update, &a, param, like(c, grad, param), buffer, lr, t, gate);
}

/* ---- adam_update: g = grad + decay p; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2;
 *      p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps) (torch.optim.Adam)
 * ------------------------------------------------- */

static void adam_update_infer(td_infer *q)
{
	if (arrays_legal(q, "adam_update", 4))
		scalars_legal(q, "adam_update", 4);
}

static void adam_slice(void *arg, int slice)
{
	const struct update *u = arg;
	const td_view *in = u->call->in;
	int64_t first = (int64_t)slice * SLICE_ELEMENTS, n = TD_MIN(SLICE_ELEMENTS, u->n - first);

	TD_PICK(u->dtype, k_adam)
	(at(in[0].data, first, u->size), at(in[1].data, first, u->size), at(in[2].data, first, u->size),
		at(in[3].data, first, u->size), n, &u->adam);
}

static void adam_update_forward(const td_call *call)
{
	const td_adam_attrs *a = call->attrs;
	struct update u = { .adam = { scalar(&call->in[4]), a->beta1, a->beta2, a->eps, a->weight_decay,
				    scalar(&call->in[5]), a->decoupled } };

	if (scalar(&call->in[6]) != 0)
		update_run(call, &u, adam_slice);
}

static td_value *adam_update_apply(td_ctx *c, td_value *const *in)
{
	td_adam_update(
		c, in[0], in[1], in[2], in[3], in[4], in[5], in[6], &(td_adam_attrs){ 0.9, 0.999, 1e-8, 0.01, false });
	return NULL;
}
static td_value *adam_update_apply_decoupled(td_ctx *c, td_value *const *in)
{
	td_adam_update(
		c, in[0], in[1], in[2], in[3], in[4], in[5], in[6], &(td_adam_attrs){ 0.9, 0.999, 1e-8, 0.01, true });
	return NULL;
}

static bool adam_update_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = i / 2 ? adam_update_apply_decoupled : adam_update_apply;
	sample_update(s, 4, 3, i % 2);
	return true;
}

TD_OP(adam_update, .n_in = 7, .n_out = 0, .writes = 13, .attrs_size = sizeof(td_adam_attrs), .infer = adam_update_infer,
	.forward = { adam_update_forward }, .backward = td_nodiff, .sample = adam_update_sample)

/* m, v: like param, zeros before the first update.  lr, t (the update's number, from 1), gate: scalars. */
TD_API void td_adam_update(td_ctx *c, td_value *param, td_value *grad, td_value *m, td_value *v, td_value *lr,
	td_value *t, td_value *gate, const td_adam_attrs *attrs)
{
	td_adam_attrs a;

	if (!param || !grad || !m || !v || !lr || !t || !gate)
		return;
	memset(&a, 0, sizeof a);
	a.beta1 = attrs->beta1;
	a.beta2 = attrs->beta2;
	a.eps = attrs->eps;
	a.weight_decay = attrs->weight_decay;
	a.decoupled = attrs->decoupled;
	TD_APPLY(c, adam_update, &a, param, like(c, grad, param), m, v, lr, t, gate);
}

/* ---- rmsprop_update: g = grad + decay p; s = alpha s + (1 - alpha) g^2; a = alpha a + (1 - alpha) g where centered;
 *      d = g / (sqrt(s - a^2) + eps); b = momentum b + d; p -= lr b (torch.optim.RMSprop; Hinton, 2012) */

static void rmsprop_update_infer(td_infer *q)
{
	if (arrays_legal(q, "rmsprop_update", 5))
		scalars_legal(q, "rmsprop_update", 5);
}

static void rmsprop_slice(void *arg, int slice)
{
	const struct update *u = arg;
	const td_view *in = u->call->in;
	int64_t first = (int64_t)slice * SLICE_ELEMENTS, n = TD_MIN(SLICE_ELEMENTS, u->n - first);

	TD_PICK(u->dtype, k_rmsprop)
	(at(in[0].data, first, u->size), at(in[1].data, first, u->size), at(in[2].data, first, u->size),
		at(in[3].data, first, u->size), at(in[4].data, first, u->size), n, &u->rmsprop);
}

static void rmsprop_update_forward(const td_call *call)
{
	const td_rmsprop_attrs *a = call->attrs;
	struct update u = { .rmsprop = { scalar(&call->in[5]), a->alpha, a->eps, a->momentum, a->weight_decay } };

	if (scalar(&call->in[6]) != 0)
		update_run(call, &u, rmsprop_slice);
}

static td_value *rmsprop_update_apply(td_ctx *c, td_value *const *in)
{
	td_rmsprop_update(
		c, in[0], in[1], in[2], in[3], in[4], in[5], in[6], &(td_rmsprop_attrs){ 0.9, 1e-8, 0.5, 0.01 });
	return NULL;
}

static bool rmsprop_update_sample(int i, td_sample *s)
{
	if (i >= 2)
		return false;
	s->apply = rmsprop_update_apply;
	sample_update(s, 5, 2, i);
	s->in[3].fill = TD_FILL_NORMAL;
	s->in[4].fill = TD_FILL_SMALL; /* the square of a mean does not reach the mean of squares */
	return true;
}

TD_OP(rmsprop_update, .n_in = 7, .n_out = 0, .writes = 29, .optional = 24, .attrs_size = sizeof(td_rmsprop_attrs),
	.infer = rmsprop_update_infer, .forward = { rmsprop_update_forward }, .backward = td_nodiff,
	.sample = rmsprop_update_sample)

/* square, buffer (NULL without momentum), average (NULL if not centered): like param, zeros before the first update.
 * lr, gate: scalars. */
TD_API void td_rmsprop_update(td_ctx *c, td_value *param, td_value *grad, td_value *square, td_value *buffer,
	td_value *average, td_value *lr, td_value *gate, const td_rmsprop_attrs *attrs)
{
	if (param && grad && square && lr && gate)
		TD_APPLY(c, rmsprop_update, attrs, param, like(c, grad, param), square, buffer, average, lr, gate);
}
