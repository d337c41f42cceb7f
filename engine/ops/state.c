/* Ops with effects: assignment, running averages, SGD's update, and what all updates share (update.h; adaptive.c has
 * the others).  They write variables (captured tensors) and have no results; a gate of 0 lets everything as it is, so a
 * bad step can be stopped before it spoils the weights. */
#include "ops/update.h"

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

TD_OP(assign, .n_in = 2, .n_out = 0, .writes = 1, .overwrites = 1, .infer = assign_infer, .forward = { assign_forward },
	.backward = td_nodiff, .sample = assign_sample)

/* ---- assigned: the variable once it is written, for who waits for the assignment, fetches it or reads on --------- */

static void assigned_forward(const td_call *call)
{
	(void)call; /* a view */
}

static void assigned_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	(void)c;
	(void)n;
	dx[0] = dy[0];
}

static td_value *assigned_apply(td_ctx *c, td_value *const *in);

static bool assigned_sample(int i, td_sample *s)
{
	if (i >= 2)
		return false;
	s->apply = assigned_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5);
	s->in[0].shape.order = i ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	return true;
}

TD_OP(assigned, .n_in = 1, .n_out = 1, .view = true, .infer = ops_infer_same, .forward = { assigned_forward },
	.backward = assigned_backward, .sample = assigned_sample)

static td_value *assigned_apply(td_ctx *c, td_value *const *in)
{
	return TD_APPLY(c, assigned, NULL, in[0]);
}

/* Returns VARIABLE; in a graph a view of it that runs after the assignment and never without.  Gradients go through it
 * to VARIABLE, as they would had VARIABLE itself been read. */
TD_API td_value *td_assign(td_ctx *c, td_value *variable, td_value *value)
{
	int no_grad = c->no_grad;
	td_node *assignment;

	if (variable && value)
		TD_APPLY(c, assign, NULL, variable, value);
	if (c->err.status)
		return NULL;
	assignment = td_last_operation(c);
	if (!assignment) /* eagerly it is done */
		return variable;
	c->no_grad = 0;
	td_control_begin(c, &TD_OPERATION(assignment), 1);
	variable = TD_APPLY(c, assigned, NULL, variable);
	td_control_end(c);
	c->no_grad = no_grad;
	return variable;
}

/* ---- Updates ----------------------------------------------------------------------------------------------------- */

double ops_scalar(const td_view *v)
{
	return ops_get(v->data, v->shape->dtype, 0);
}

void ops_update_infer(td_infer *q, const char *op, int n)
{
	char text[TD_SHAPE_TEXT];

	for (int i = 1; i < n; i++) {
		if (!same_place(q, op, i))
			return;
		if (q->in[i] && q->in[i]->order != q->in[0]->order) {
			td_fail(q->ctx, TD_SHAPE, "%s: input %d lies in another order than the variable", op, i);
			return;
		}
	}
	for (int i = n; i < q->n_in; i++)
		if (q->in[i]->rank || !td__is_float(q->in[i]->dtype)) {
			td_fail(q->ctx, TD_SHAPE, "%s: input %d must be a floating scalar, not %s", op, i,
				td_shape_text(q->in[i], text));
			return;
		}
}

void ops_update_run(const td_call *call, int gate, const void *rule, void (*slice)(void *arg, int slice))
{
	const td_shape *param = call->in[0].shape;
	struct ops_update u = { .call = call,
		.rule = rule,
		.n = td_shape_count(param),
		.dtype = param->dtype,
		.size = td_dtype_size(param->dtype) };

	if (ops_scalar(&call->in[gate]) != 0)
		threads_run(call->threads, ops_n_slices(u.n), slice, &u);
}

td_value *ops_like_param(td_ctx *c, td_value *grad, const td_value *param)
{
	return grad && grad->shape.order != param->shape.order ? td_reorder(c, grad, param->shape.order) : grad;
}

void ops_update_sample(td_sample *s, int n_arrays, int n_scalars, bool channels_last)
{
	for (int i = 0; i < n_arrays; i++) {
		SAMPLE_INPUT(s, i >= 2 ? TD_FILL_POSITIVE : TD_FILL_NORMAL, TD_F32, 3, 4, 5);
		s->in[i].variable = i != 1;
		s->in[i].shape.order = channels_last && i != 1 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	}
	for (int i = 0; i < n_scalars; i++)
		ops_sample_input(s, TD_FILL_ONES, TD_F32, 0, NULL);
}

/* ---- lerp_update: a = keep a + (1 - keep) x, a running average --------------------------------------------------- */

static void lerp_update_infer(td_infer *q)
{
	ops_update_infer(q, "lerp_update", 2);
}

static void lerp_slice(void *arg, int slice)
{
	const struct ops_update *u = arg;

	TD_PICK(u->dtype, k_lerp)
	(ops_slice_at(u, 0, slice), ops_slice_at(u, 1, slice), ops_slice_n(u, slice), *(const double *)u->rule);
}

static void lerp_update_forward(const td_call *call)
{
	double keep = ops_scalar(&call->in[2]);

	ops_update_run(call, 3, &keep, lerp_slice);
}

static td_value *lerp_update_apply(td_ctx *c, td_value *const *in)
{
	td_lerp_update(c, in[0], in[1], in[2], in[3]);
	return NULL;
}

static bool lerp_update_sample(int i, td_sample *s)
{
	if (i >= 2)
		return false;
	s->apply = lerp_update_apply;
	ops_update_sample(s, 2, 2, i);
	s->in[2].fill = TD_FILL_POSITIVE;
	return true;
}

TD_OP(lerp_update, .n_in = 4, .n_out = 0, .writes = 1, .infer = lerp_update_infer, .forward = { lerp_update_forward },
	.backward = td_nodiff, .sample = lerp_update_sample)

/* keep, gate: scalars. */
TD_API void td_lerp_update(td_ctx *c, td_value *average, td_value *x, td_value *keep, td_value *gate)
{
	if (average && x && keep && gate)
		TD_APPLY(c, lerp_update, NULL, average, ops_like_param(c, x, average), keep, gate);
}

/* ---- sgd_update: g = grad + decay p; b = g at the first update, momentum b + (1 - dampening) g later; p -= lr b, or
 *      with Nesterov p -= lr (g + momentum b) (torch.optim.SGD).
 *      As keras.optimizers.SGD: p = (1 - lr decay) p; b = momentum b - lr grad; p += b, or with Nesterov
 *      p += momentum b - lr grad ------------------------------------------------------------------------------------
 */

static void sgd_update_infer(td_infer *q)
{
	ops_update_infer(q, "sgd_update", 3);
}

static void sgd_slice(void *arg, int slice)
{
	const struct ops_update *u = arg;

	TD_PICK(u->dtype, k_sgd)
	(ops_slice_at(u, 0, slice), ops_slice_at(u, 1, slice), ops_slice_at(u, 2, slice), ops_slice_n(u, slice),
		u->rule);
}

static void sgd_run(const td_call *call, double momentum)
{
	const td_sgd_attrs *a = call->attrs;

	ops_update_run(call, 5,
		&(struct k_sgd){ .lr = ops_scalar(&call->in[3]),
			.momentum = momentum,
			.dampening = a->dampening,
			.weight_decay = a->weight_decay,
			.nesterov = a->nesterov,
			.keras = a->keras,
			.first = ops_scalar(&call->in[4]) <= 1 },
		sgd_slice);
}

static void sgd_update_forward(const td_call *call)
{
	sgd_run(call, ((const td_sgd_attrs *)call->attrs)->momentum);
}

static td_value *sgd_update_apply(td_ctx *c, td_value *const *in)
{
	td_sgd_update(c, in[0], in[1], in[2], in[3], in[4], in[5],
		&(td_sgd_attrs){ .momentum = 0.9, .dampening = 0.1, .weight_decay = 0.01 });
	return NULL;
}
static td_value *sgd_update_apply_nesterov(td_ctx *c, td_value *const *in)
{
	td_sgd_update(
		c, in[0], in[1], in[2], in[3], in[4], in[5], &(td_sgd_attrs){ .momentum = 0.9, .nesterov = true });
	return NULL;
}
static td_value *sgd_update_apply_keras(td_ctx *c, td_value *const *in)
{
	td_sgd_update(c, in[0], in[1], in[2], in[3], in[4], in[5],
		&(td_sgd_attrs){ .momentum = 0.9, .weight_decay = 0.01, .nesterov = true, .keras = true });
	return NULL;
}

static bool sgd_update_sample(int i, td_sample *s)
{
	if (i >= 6)
		return false;
	s->apply = i / 2 == 2 ? sgd_update_apply_keras : i / 2 == 1 ? sgd_update_apply_nesterov : sgd_update_apply;
	ops_update_sample(s, 3, 3, i % 2);
	return true;
}

static const td_field sgd_update_fields[] = { TD_FIELD(td_sgd_attrs, momentum), TD_FIELD(td_sgd_attrs, dampening),
	TD_FIELD(td_sgd_attrs, weight_decay), TD_FIELD(td_sgd_attrs, nesterov), TD_FIELD(td_sgd_attrs, keras), { 0 } };

TD_OP(sgd_update, .n_in = 6, .n_out = 0, .writes = 5, .optional = 4, .attrs_size = sizeof(td_sgd_attrs),
	.fields = sgd_update_fields, .infer = sgd_update_infer, .forward = { sgd_update_forward },
	.backward = td_nodiff, .sample = sgd_update_sample)

/* buffer: like param, zeros before the first update, or NULL without momentum.  lr, t (the update's number, from 1),
 * gate: scalars. */
TD_API void td_sgd_update(td_ctx *c, td_value *param, td_value *grad, td_value *buffer, td_value *lr, td_value *t,
	td_value *gate, const td_sgd_attrs *attrs)
{
	if (param && grad && lr && t && gate)
		TD_APPLY(c, sgd_update, attrs, param, ops_like_param(c, grad, param), buffer, lr, t, gate);
}

/* ---- sgd_update_at: sgd_update with a momentum that changes from step to step, an input ------------------------- */

static void sgd_update_at_infer(td_infer *q)
{
	ops_update_infer(q, "sgd_update_at", 3);
}

static void sgd_update_at_forward(const td_call *call)
{
	sgd_run(call, ops_scalar(&call->in[6]));
}

static td_value *sgd_update_at_apply(td_ctx *c, td_value *const *in)
{
	td_sgd_update_at(c, in[0], in[1], in[2], in[3], in[4], in[5], in[6],
		&(td_sgd_attrs){ .dampening = 0.1, .weight_decay = 0.01 });
	return NULL;
}

static bool sgd_update_at_sample(int i, td_sample *s)
{
	s->apply = sgd_update_at_apply;
	ops_update_sample(s, 3, 4, i % 2);
	s->in[6].fill = TD_FILL_POSITIVE;
	return i < 2;
}

TD_OP(sgd_update_at, .n_in = 7, .n_out = 0, .writes = 5, .attrs_size = sizeof(td_sgd_attrs),
	.fields = sgd_update_fields, .infer = sgd_update_at_infer, .forward = { sgd_update_at_forward },
	.backward = td_nodiff, .sample = sgd_update_at_sample)

/* MOMENTUM, a scalar, stands for that of ATTRS; BUFFER must be there. */
TD_API void td_sgd_update_at(td_ctx *c, td_value *param, td_value *grad, td_value *buffer, td_value *lr, td_value *t,
	td_value *gate, td_value *momentum, const td_sgd_attrs *attrs)
{
	if (param && grad && buffer && lr && t && gate && momentum)
		TD_APPLY(c, sgd_update_at, attrs, param, ops_like_param(c, grad, param), buffer, lr, t, gate, momentum);
}
