/* Updates that scale each element by the history of its gradients: Adam, RMSprop, Adagrad, Adadelta. */
#include "ops/update.h"

#include "td_ops.h"

/* ---- adam_update: g = grad + decay p (or p = (1 - lr decay) p where decoupled); m = beta1 m + (1 - beta1) g;
 *      v = beta2 v + (1 - beta2) g^2; p -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps), with AMSGrad of
 *      the largest v so far (torch.optim.Adam).
 *      As keras.optimizers.Adam: p -= lr sqrt(1 - beta2^t) / (1 - beta1^t) m / (sqrt(v) + eps) ----------------------
 */

static void adam_update_infer(td_infer *q)
{
	ops_update_infer(q, "adam_update", 5);
}

static void adam_slice(void *arg, int slice)
{
	const struct ops_update *u = arg;

	TD_PICK(u->dtype, k_adam)
	(ops_slice_at(u, 0, slice), ops_slice_at(u, 1, slice), ops_slice_at(u, 2, slice), ops_slice_at(u, 3, slice),
		ops_slice_at(u, 4, slice), ops_slice_n(u, slice), u->rule);
}

static void adam_run(const td_call *call, double beta1)
{
	const td_adam_attrs *a = call->attrs;

	ops_update_run(call, 7,
		&(struct k_adam){ .lr = ops_scalar(&call->in[5]),
			.beta1 = beta1,
			.beta2 = a->beta2,
			.eps = a->eps,
			.weight_decay = a->weight_decay,
			.t = ops_scalar(&call->in[6]),
			.decoupled = a->decoupled,
			.keras = a->keras },
		adam_slice);
}

static void adam_update_forward(const td_call *call)
{
	adam_run(call, ((const td_adam_attrs *)call->attrs)->beta1);
}

static td_value *adam_update_apply(td_ctx *c, td_value *const *in)
{
	td_adam_update(c, in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7],
		&(td_adam_attrs){ .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01 });
	return NULL;
}
static td_value *adam_update_apply_plain(td_ctx *c, td_value *const *in)
{
	td_adam_update(c, in[0], in[1], in[2], in[3], NULL, in[5], in[6], in[7],
		&(td_adam_attrs){ .beta1 = 0.9,
			.beta2 = 0.999,
			.eps = 1e-7,
			.weight_decay = 0.01,
			.decoupled = true,
			.keras = true });
	return NULL;
}

static bool adam_update_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = i / 2 ? adam_update_apply_plain : adam_update_apply;
	ops_update_sample(s, 5, 3, i % 2);
	return true;
}

static const td_field adam_update_fields[] = { TD_FIELD(td_adam_attrs, beta1), TD_FIELD(td_adam_attrs, beta2),
	TD_FIELD(td_adam_attrs, eps), TD_FIELD(td_adam_attrs, weight_decay), TD_FIELD(td_adam_attrs, decoupled),
	TD_FIELD(td_adam_attrs, keras), { 0 } };

TD_OP(adam_update, .n_in = 8, .n_out = 0, .writes = 29, .optional = 16, .attrs_size = sizeof(td_adam_attrs),
	.fields = adam_update_fields, .infer = adam_update_infer, .forward = { adam_update_forward },
	.backward = td_nodiff, .sample = adam_update_sample)

/* m, v, largest (NULL: no AMSGrad): like param, zeros before the first update.  lr, t (the update's number, from 1),
 * gate: scalars. */
TD_API void td_adam_update(td_ctx *c, td_value *param, td_value *grad, td_value *m, td_value *v, td_value *largest,
	td_value *lr, td_value *t, td_value *gate, const td_adam_attrs *attrs)
{
	if (param && grad && m && v && lr && t && gate)
		td_apply(c, &td_op_adam_update, attrs,
			(td_value *[]){ param, ops_like_param(c, grad, param), m, v, largest, lr, t, gate }, 8);
}

/* ---- adam_update_at: adam_update with a beta1 that changes from step to step, an input; the correction by
 *      1 - beta1^t goes by the present one, as torch.optim.Adam's does ---------------------------------------------- */

static void adam_update_at_infer(td_infer *q)
{
	ops_update_infer(q, "adam_update_at", 5);
}

static void adam_update_at_forward(const td_call *call)
{
	adam_run(call, ops_scalar(&call->in[8]));
}

static td_value *adam_update_at_apply(td_ctx *c, td_value *const *in)
{
	td_adam_update_at(c, in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], in[8],
		&(td_adam_attrs){ .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01 });
	return NULL;
}

static bool adam_update_at_sample(int i, td_sample *s)
{
	s->apply = adam_update_at_apply;
	ops_update_sample(s, 5, 4, i % 2);
	s->in[8].fill = TD_FILL_POSITIVE;
	return i < 2;
}

TD_OP(adam_update_at, .n_in = 9, .n_out = 0, .writes = 29, .optional = 16, .attrs_size = sizeof(td_adam_attrs),
	.fields = adam_update_fields, .infer = adam_update_at_infer, .forward = { adam_update_at_forward },
	.backward = td_nodiff, .sample = adam_update_at_sample)

/* BETA1, a scalar, stands for that of ATTRS. */
TD_API void td_adam_update_at(td_ctx *c, td_value *param, td_value *grad, td_value *m, td_value *v, td_value *largest,
	td_value *lr, td_value *t, td_value *gate, td_value *beta1, const td_adam_attrs *attrs)
{
	if (param && grad && m && v && lr && t && gate && beta1)
		td_apply(c, &td_op_adam_update_at, attrs,
			(td_value *[]){ param, ops_like_param(c, grad, param), m, v, largest, lr, t, gate, beta1 }, 9);
}

/* ---- rmsprop_update: g = grad + decay p; s = alpha s + (1 - alpha) g^2; a = alpha a + (1 - alpha) g where centered;
 *      d = g / (sqrt(s - a^2) + eps); b = momentum b + d; p -= lr b (torch.optim.RMSprop; Hinton, 2012).
 *      As keras.optimizers.RMSprop: p = (1 - lr decay) p; d = lr grad / sqrt(s - a^2 + eps); b = momentum b + d;
 *      p -= b -------------------------------------------------------------------------------------------------------
 */

static void rmsprop_update_infer(td_infer *q)
{
	ops_update_infer(q, "rmsprop_update", 5);
}

static void rmsprop_slice(void *arg, int slice)
{
	const struct ops_update *u = arg;

	TD_PICK(u->dtype, k_rmsprop)
	(ops_slice_at(u, 0, slice), ops_slice_at(u, 1, slice), ops_slice_at(u, 2, slice), ops_slice_at(u, 3, slice),
		ops_slice_at(u, 4, slice), ops_slice_n(u, slice), u->rule);
}

static void rmsprop_update_forward(const td_call *call)
{
	const td_rmsprop_attrs *a = call->attrs;

	ops_update_run(call, 6,
		&(struct k_rmsprop){ .lr = ops_scalar(&call->in[5]),
			.alpha = a->alpha,
			.eps = a->eps,
			.momentum = a->momentum,
			.weight_decay = a->weight_decay,
			.keras = a->keras },
		rmsprop_slice);
}

static td_value *rmsprop_update_apply(td_ctx *c, td_value *const *in)
{
	td_rmsprop_update(c, in[0], in[1], in[2], in[3], in[4], in[5], in[6],
		&(td_rmsprop_attrs){ .alpha = 0.9, .eps = 1e-8, .momentum = 0.5, .weight_decay = 0.01 });
	return NULL;
}
static td_value *rmsprop_update_apply_keras(td_ctx *c, td_value *const *in)
{
	td_rmsprop_update(c, in[0], in[1], in[2], in[3], in[4], in[5], in[6],
		&(td_rmsprop_attrs){ .alpha = 0.9, .eps = 1e-7, .momentum = 0.5, .weight_decay = 0.01, .keras = true });
	return NULL;
}

static bool rmsprop_update_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = i / 2 ? rmsprop_update_apply_keras : rmsprop_update_apply;
	ops_update_sample(s, 5, 2, i % 2);
	s->in[3].fill = TD_FILL_NORMAL;
	s->in[4].fill = TD_FILL_SMALL; /* the square of a mean does not reach the mean of squares */
	return true;
}

static const td_field rmsprop_update_fields[] = { TD_FIELD(td_rmsprop_attrs, alpha), TD_FIELD(td_rmsprop_attrs, eps),
	TD_FIELD(td_rmsprop_attrs, momentum), TD_FIELD(td_rmsprop_attrs, weight_decay),
	TD_FIELD(td_rmsprop_attrs, keras), { 0 } };

TD_OP(rmsprop_update, .n_in = 7, .n_out = 0, .writes = 29, .optional = 24, .attrs_size = sizeof(td_rmsprop_attrs),
	.fields = rmsprop_update_fields, .infer = rmsprop_update_infer, .forward = { rmsprop_update_forward },
	.backward = td_nodiff, .sample = rmsprop_update_sample)

/* square, buffer (NULL without momentum), average (NULL if not centered): like param, zeros before the first update.
 * lr, gate: scalars. */
TD_API void td_rmsprop_update(td_ctx *c, td_value *param, td_value *grad, td_value *square, td_value *buffer,
	td_value *average, td_value *lr, td_value *gate, const td_rmsprop_attrs *attrs)
{
	if (param && grad && square && lr && gate)
		TD_APPLY(c, rmsprop_update, attrs, param, ops_like_param(c, grad, param), square, buffer, average, lr,
			gate);
}

/* ---- adagrad_update: g = grad + decay p; s += g^2; p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)
 *      (torch.optim.Adagrad; Duchi, Hazan and Singer, JMLR 2011).
 *      As keras.optimizers.Adagrad: p = (1 - lr decay) p; s += grad^2; p -= lr grad / sqrt(s + eps) -----------------
 */

static void adagrad_update_infer(td_infer *q)
{
	ops_update_infer(q, "adagrad_update", 3);
}

static void adagrad_slice(void *arg, int slice)
{
	const struct ops_update *u = arg;

	TD_PICK(u->dtype, k_adagrad)
	(ops_slice_at(u, 0, slice), ops_slice_at(u, 1, slice), ops_slice_at(u, 2, slice), ops_slice_n(u, slice),
		u->rule);
}

static void adagrad_update_forward(const td_call *call)
{
	const td_adagrad_attrs *a = call->attrs;

	ops_update_run(call, 5,
		&(struct k_adagrad){ .lr = ops_scalar(&call->in[3]),
			.lr_decay = a->lr_decay,
			.eps = a->eps,
			.weight_decay = a->weight_decay,
			.t = ops_scalar(&call->in[4]),
			.keras = a->keras },
		adagrad_slice);
}

static td_value *adagrad_update_apply(td_ctx *c, td_value *const *in)
{
	td_adagrad_update(c, in[0], in[1], in[2], in[3], in[4], in[5],
		&(td_adagrad_attrs){ .lr_decay = 0.1, .eps = 1e-10, .weight_decay = 0.01 });
	return NULL;
}
static td_value *adagrad_update_apply_keras(td_ctx *c, td_value *const *in)
{
	td_adagrad_update(c, in[0], in[1], in[2], in[3], in[4], in[5],
		&(td_adagrad_attrs){ .eps = 1e-7, .weight_decay = 0.01, .keras = true });
	return NULL;
}

static bool adagrad_update_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = i / 2 ? adagrad_update_apply_keras : adagrad_update_apply;
	ops_update_sample(s, 3, 3, i % 2);
	return true;
}

static const td_field adagrad_update_fields[] = { TD_FIELD(td_adagrad_attrs, lr_decay), TD_FIELD(td_adagrad_attrs, eps),
	TD_FIELD(td_adagrad_attrs, weight_decay), TD_FIELD(td_adagrad_attrs, keras), { 0 } };

TD_OP(adagrad_update, .n_in = 6, .n_out = 0, .writes = 5, .attrs_size = sizeof(td_adagrad_attrs),
	.fields = adagrad_update_fields, .infer = adagrad_update_infer, .forward = { adagrad_update_forward },
	.backward = td_nodiff, .sample = adagrad_update_sample)

/* sum: like param, the initial accumulator before the first update.  lr, t (the update's number, from 1), gate:
 * scalars. */
TD_API void td_adagrad_update(td_ctx *c, td_value *param, td_value *grad, td_value *sum, td_value *lr, td_value *t,
	td_value *gate, const td_adagrad_attrs *attrs)
{
	if (param && grad && sum && lr && t && gate)
		TD_APPLY(c, adagrad_update, attrs, param, ops_like_param(c, grad, param), sum, lr, t, gate);
}

/* ---- adadelta_update: g = grad + decay p (or p = (1 - lr decay) p where decoupled); s = rho s + (1 - rho) g^2;
 *      d = sqrt(u + eps) / sqrt(s + eps) g; u = rho u + (1 - rho) d^2; p -= lr d (torch.optim.Adadelta; Zeiler,
 *      arXiv:1212.5701) ---------------------------------------------------------------------------------------------
 */

static void adadelta_update_infer(td_infer *q)
{
	ops_update_infer(q, "adadelta_update", 4);
}

static void adadelta_slice(void *arg, int slice)
{
	const struct ops_update *u = arg;

	TD_PICK(u->dtype, k_adadelta)
	(ops_slice_at(u, 0, slice), ops_slice_at(u, 1, slice), ops_slice_at(u, 2, slice), ops_slice_at(u, 3, slice),
		ops_slice_n(u, slice), u->rule);
}

static void adadelta_update_forward(const td_call *call)
{
	const td_adadelta_attrs *a = call->attrs;

	ops_update_run(call, 5,
		&(struct k_adadelta){ .lr = ops_scalar(&call->in[4]),
			.rho = a->rho,
			.eps = a->eps,
			.weight_decay = a->weight_decay,
			.decoupled = a->decoupled },
		adadelta_slice);
}

static td_value *adadelta_update_apply(td_ctx *c, td_value *const *in)
{
	td_adadelta_update(c, in[0], in[1], in[2], in[3], in[4], in[5],
		&(td_adadelta_attrs){ .rho = 0.9, .eps = 1e-6, .weight_decay = 0.01 });
	return NULL;
}
static td_value *adadelta_update_apply_decoupled(td_ctx *c, td_value *const *in)
{
	td_adadelta_update(c, in[0], in[1], in[2], in[3], in[4], in[5],
		&(td_adadelta_attrs){ .rho = 0.95, .eps = 1e-7, .weight_decay = 0.01, .decoupled = true });
	return NULL;
}

static bool adadelta_update_sample(int i, td_sample *s)
{
	if (i >= 4)
		return false;
	s->apply = i / 2 ? adadelta_update_apply_decoupled : adadelta_update_apply;
	ops_update_sample(s, 4, 2, i % 2);
	return true;
}

static const td_field adadelta_update_fields[] = { TD_FIELD(td_adadelta_attrs, rho), TD_FIELD(td_adadelta_attrs, eps),
	TD_FIELD(td_adadelta_attrs, weight_decay), TD_FIELD(td_adadelta_attrs, decoupled), { 0 } };

TD_OP(adadelta_update, .n_in = 6, .n_out = 0, .writes = 13, .attrs_size = sizeof(td_adadelta_attrs),
	.fields = adadelta_update_fields, .infer = adadelta_update_infer, .forward = { adadelta_update_forward },
	.backward = td_nodiff, .sample = adadelta_update_sample)

/* square, delta: like param, zeros before the first update.  lr, gate: scalars. */
TD_API void td_adadelta_update(td_ctx *c, td_value *param, td_value *grad, td_value *square, td_value *delta,
	td_value *lr, td_value *gate, const td_adadelta_attrs *attrs)
{
	if (param && grad && square && delta && lr && gate)
		TD_APPLY(c, adadelta_update, attrs, param, ops_like_param(c, grad, param), square, delta, lr, gate);
}
