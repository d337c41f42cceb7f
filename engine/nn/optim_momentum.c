/* Optimizers with one running mean of the gradient: SGD, and Muon, which takes the direction of a whole matrix. */
#include "nn/optim.h"

#include <math.h>

/* ---- sgd ------------------------------------------------------------------------------------------------------- */

struct sgd_options {
	struct nn_optimizer_options base;
	double momentum, dampening;
	bool nesterov;
};

static const struct opt sgd_opts[] = {
	OPTIM_LR("0.001", "0.01"),
	OPTIM_MOMENTUM(sgd_options),
	OPTIM_FLOAT(sgd_options, dampening, "0", NULL, 1,
		"Gradients enter the momentum buffer scaled by 1 - dampening, but for the first."),
	OPTIM_WEIGHT_DECAY("0", NULL, OPTIM_L2),
	OPTIM_FLAG(sgd_options, nesterov, "false", "Nesterov momentum."),
	OPTIM_FORM,
	OPTIM_GROUPS(nn_group_type),
};

static int sgd_state(const void *options, int group)
{
	(void)group;
	return ((const struct sgd_options *)options)->momentum != 0;
}

static const char *sgd_state_name(const void *options, int group, int k)
{
	(void)options;
	(void)group;
	(void)k;
	return "momentum_buffer";
}

static void sgd_check(const void *options, const char *pointer, struct faults *faults)
{
	const struct sgd_options *o = options;

	if (optim_keras(o) && o->dampening != 0)
		faults_add(faults, pointer,
			"Keras' form has no dampening, but it is %g; leave it out, or set \"form\": \"pytorch\"",
			o->dampening);
	else if (!optim_keras(o) && o->nesterov && (o->momentum == 0 || o->dampening != 0))
		faults_add(faults, pointer,
			"nesterov needs a momentum above 0 and a dampening of 0, not momentum %g and dampening %g; "
			"set \"momentum\": 0.9 or leave nesterov out",
			o->momentum, o->dampening);
}

static void sgd_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	const struct sgd_options *o = options;
	td_sgd_attrs attrs = { .momentum = o->momentum,
		.dampening = o->dampening,
		.weight_decay = u->weight_decay,
		.nesterov = o->nesterov,
		.keras = optim_keras(o) };

	if (u->momentum)
		td_sgd_update_at(c, u->param, u->grad, u->state[0], u->lr, u->t, u->gate, u->momentum, &attrs);
	else
		td_sgd_update(c, u->param, u->grad, u->state[0], u->lr, u->t, u->gate, &attrs);
}

static bool sgd_takes_momentum(const void *options)
{
	return ((const struct sgd_options *)options)->momentum != 0;
}

const struct nn_optimizer_type nn_sgd = {
	.type = OPT_TYPE(sgd, "Stochastic gradient descent, as torch.optim.SGD."),
	.n_state = sgd_state,
	.state_name = sgd_state_name,
	.check = sgd_check,
	.takes_momentum = sgd_takes_momentum,
	.update = sgd_update,
};

/* ---- muon (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024; torch.optim.Muon):
 *      b = momentum b + (1 - momentum) g; d = b, or with Nesterov momentum b + (1 - momentum) g; O = d made
 *      orthogonal; p = (1 - lr decay) p - lr s O, s from the sizes [m, n] of p: sqrt(max(1, m / n)), or
 *      0.2 sqrt(max(m, n)).  torch iterates in bfloat16, this in the parameter's own type. --------------------------
 */

#define NS_STEPS_MOST 20

enum scale { SCALE_ORIGINAL, SCALE_RMS };

static const char *const scale_names[] = { "original", "match_rms_adamw", NULL };

struct muon_options {
	struct nn_optimizer_options base;
	double momentum, eps;
	bool nesterov;
	int64_t ns_steps;
	int adjust_lr_fn; /* enum scale */
	double adamw_betas[2], adamw_eps;
};

static const struct opt muon_opts[] = {
	OPTIM_LR("0.001", NULL),
	OPTIM_FLOAT(muon_options, momentum, "0.95", NULL, 1, "Decay of the running mean of the gradient."),
	OPTIM_FLAG(muon_options, nesterov, "true", "Nesterov momentum."),
	OPTIM_WEIGHT_DECAY("0.1", NULL, "Each step shrinks the parameter by lr times weight_decay."),
	OPTIM_FLOAT(muon_options, eps, "1e-7", NULL, 1, "The least norm that a matrix is divided by."),
	{ .name = "ns_steps",
		.kind = OPT_INT,
		.at = offsetof(struct muon_options, ns_steps),
		.value = "5",
		.low = 1,
		.high = NS_STEPS_MOST,
		.doc = "Newton-Schulz iterations." },
	{ .name = "adjust_lr_fn",
		.kind = OPT_ENUM,
		.at = offsetof(struct muon_options, adjust_lr_fn),
		.value = "\"original\"",
		.names = scale_names,
		.doc = "How steps of [m, n] are scaled: by sqrt(max(1, m / n)), or by 0.2 sqrt(max(m, n)), so that "
		       "AdamW's learning rates fit." },
	OPTIM_BETAS(muon_options, adamw_betas, "[0.9,0.999]"),
	OPTIM_FLOAT(muon_options, adamw_eps, "1e-8", NULL, 1, "Added to the denominator, in groups of AdamW."),
	OPTIM_GROUPS(nn_muon_group_type),
};

static int muon_state(const void *options, int group)
{
	return nn_group_adamw(options, group) ? 2 : 1;
}

static const char *muon_state_name(const void *options, int group, int k)
{
	return !nn_group_adamw(options, group) ? "momentum_buffer" : k ? "exp_avg_sq" : "exp_avg";
}

static bool muon_takes(const void *options, int group, const td_shape *shape)
{
	return shape->rank == 2 || nn_group_adamw(options, group);
}

/* a x + b y */
static td_value *blend(td_ctx *c, double a, td_value *x, double b, td_value *y)
{
	return td_add(c, td_scale_by(c, x, a), td_scale_by(c, y, b));
}

/* Newton and Schulz' quintic iteration towards the nearest orthogonal matrix: X = a X + (b A + c A^2) X, A = X X^T; of
 * a tall X from the other side.  X [m, n]. */
static td_value *orthogonal(td_ctx *c, td_value *x, const struct muon_options *o)
{
	const td_shape *shape = td_shape_of(x);
	bool tall = shape->dim[0] > shape->dim[1];

	x = td_div(c, x, td_clamp(c, td_sqrt(c, td_sum_squares(c, x)), o->eps, INFINITY));
	for (int64_t i = 0; i < o->ns_steps; i++) {
		td_value *gram = td_matmul(c, x, x, tall, !tall); /* [k, k], k the smaller of m and n */
		td_value *update = blend(c, -4.7750, gram, 2.0315, td_matmul(c, gram, gram, false, false));

		x = blend(c, 3.4445, x, 1, td_matmul(c, tall ? x : update, tall ? update : x, false, false));
	}
	return x;
}

static double muon_scale(const struct muon_options *o, const td_shape *p)
{
	double m = (double)p->dim[0], n = (double)p->dim[1];

	return o->adjust_lr_fn == SCALE_RMS ? 0.2 * sqrt(fmax(m, n)) : sqrt(fmax(1, m / fmax(n, 1)));
}

static void muon_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	const struct muon_options *o = options;
	td_value *d;

	if (nn_group_adamw(o, u->group)) {
		td_adam_update(c, u->param, u->grad, u->state[0], u->state[1], NULL, u->lr, u->t, u->gate,
			&(td_adam_attrs){ .beta1 = o->adamw_betas[0],
				.beta2 = o->adamw_betas[1],
				.eps = o->adamw_eps,
				.weight_decay = u->weight_decay,
				.decoupled = true });
		return;
	}
	td_lerp_update(c, u->state[0], u->grad, td_scale_by(c, td_ones_like(c, u->lr), o->momentum), u->gate);
	d = o->nesterov ? blend(c, 1 - o->momentum, u->grad, o->momentum, u->state[0]) : u->state[0];
	if (!d)
		return;
	d = td_scale_by(c, orthogonal(c, d, o), muon_scale(o, td_shape_of(u->param)));
	td_sgd_update(c, u->param, d, NULL, u->lr, u->t, u->gate,
		&(td_sgd_attrs){ .weight_decay = u->weight_decay, .keras = true });
}

const struct nn_optimizer_type nn_muon = {
	.type = OPT_TYPE(
		muon, "Momentum made orthogonal, for weights of rank 2, as torch.optim.Muon; groups may be AdamW's."),
	.n_state = muon_state,
	.state_name = muon_state_name,
	.takes = muon_takes,
	.update = muon_update,
};
