/* Optimizers that scale each element by the history of its gradients. */
#include "nn/optim.h"

#define SHRINKS "Each step shrinks the parameter by lr times weight_decay."

/* ---- adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015; AMSGrad: Reddi, Kale and Kumar,
 *      ICLR 2018), and adamw (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019), which shrinks
 *      the parameter and not the gradient ------------------------------------------------------------------------- */

struct adam_options {
	struct nn_optimizer_options base;
	double betas[2], eps;
	bool amsgrad;
};

#define ADAM_OPTIONS                                                                                                   \
	OPTIM_LR("0.001", NULL), OPTIM_BETAS(adam_options, betas, "[0.9,0.999]"),                                      \
		OPTIM_FLOAT(adam_options, eps, "1e-8", "1e-7", 1, "Added to the denominator."),                        \
		OPTIM_FLAG(adam_options, amsgrad, "false",                                                             \
			"Divide by the largest mean of squares so far, not by the present one.")

static const struct opt adam_opts[] = { ADAM_OPTIONS, OPTIM_WEIGHT_DECAY("0", NULL, OPTIM_L2), OPTIM_FORM,
	OPTIM_GROUPS(nn_group_type) };
static const struct opt adamw_opts[] = { ADAM_OPTIONS, OPTIM_WEIGHT_DECAY("0.01", "0.004", SHRINKS), OPTIM_FORM,
	OPTIM_GROUPS(nn_group_type) };

static int adam_state(const void *options, int group)
{
	(void)group;
	return ((const struct adam_options *)options)->amsgrad ? 3 : 2;
}

static const char *adam_state_name(const void *options, int group, int k)
{
	static const char *const names[] = { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" };

	(void)options;
	(void)group;
	return names[k];
}

static void update_adam(td_ctx *c, const struct adam_options *o, const struct nn_update *u, bool decoupled)
{
	td_adam_attrs attrs = { .beta1 = o->betas[0],
		.beta2 = o->betas[1],
		.eps = o->eps,
		.weight_decay = u->weight_decay,
		.decoupled = decoupled || optim_keras(o),
		.keras = optim_keras(o) };

	if (u->momentum)
		td_adam_update_at(c, u->param, u->grad, u->state[0], u->state[1], u->state[2], u->lr, u->t, u->gate,
			u->momentum, &attrs);
	else
		td_adam_update(
			c, u->param, u->grad, u->state[0], u->state[1], u->state[2], u->lr, u->t, u->gate, &attrs);
}

static bool adam_takes_momentum(const void *options)
{
	(void)options;
	return true;
}

static void adam_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	update_adam(c, options, u, false);
}

static void adamw_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	update_adam(c, options, u, true);
}

const struct nn_optimizer_type nn_adam = {
	.type = OPT_TYPE(adam, "Adam, as torch.optim.Adam."),
	.n_state = adam_state,
	.state_name = adam_state_name,
	.takes_momentum = adam_takes_momentum,
	.update = adam_update,
};

const struct nn_optimizer_type nn_adamw = {
	.type = OPT_TYPE_OF(adamw, adamw_opts, adam_options, "Adam with decoupled weight decay, as torch.optim.AdamW."),
	.n_state = adam_state,
	.state_name = adam_state_name,
	.takes_momentum = adam_takes_momentum,
	.update = adamw_update,
};

/* ---- rmsprop (Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera, 2012) ------------------------------------- */

struct rmsprop_options {
	struct nn_optimizer_options base;
	double alpha, eps, momentum;
	bool centered;
};

static const struct opt rmsprop_opts[] = {
	OPTIM_LR("0.01", "0.001"),
	OPTIM_FLOAT(rmsprop_options, alpha, "0.99", "0.9", 1,
		"Decay of the running mean of the gradient's square; Keras' rho."),
	OPTIM_FLOAT(rmsprop_options, eps, "1e-8", "1e-7", 1, "Added to the denominator."),
	OPTIM_WEIGHT_DECAY("0", NULL, OPTIM_L2),
	OPTIM_MOMENTUM(rmsprop_options),
	OPTIM_FLAG(rmsprop_options, centered, "false", "Divide by the gradient's deviation from its running mean."),
	OPTIM_FORM,
	OPTIM_GROUPS(nn_group_type),
};

static int rmsprop_state(const void *options, int group)
{
	const struct rmsprop_options *o = options;

	(void)group;
	return 1 + (o->momentum > 0) + o->centered;
}

static const char *rmsprop_state_name(const void *options, int group, int k)
{
	(void)group;
	if (!k)
		return "square_avg";
	return k == 1 && ((const struct rmsprop_options *)options)->momentum > 0 ? "momentum_buffer" : "grad_avg";
}

static void rmsprop_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	const struct rmsprop_options *o = options;
	bool momentum = o->momentum > 0;

	td_rmsprop_update(c, u->param, u->grad, u->state[0], momentum ? u->state[1] : NULL,
		o->centered ? u->state[1 + momentum] : NULL, u->lr, u->gate,
		&(td_rmsprop_attrs){ .alpha = o->alpha,
			.eps = o->eps,
			.momentum = o->momentum,
			.weight_decay = u->weight_decay,
			.keras = optim_keras(o) });
}

const struct nn_optimizer_type nn_rmsprop = {
	.type = OPT_TYPE(rmsprop, "RMSprop, as torch.optim.RMSprop."),
	.n_state = rmsprop_state,
	.state_name = rmsprop_state_name,
	.update = rmsprop_update,
};

/* ---- adagrad (Duchi, Hazan and Singer, "Adaptive subgradient methods", JMLR 2011) ------------------------------ */

struct adagrad_options {
	struct nn_optimizer_options base;
	double lr_decay, initial_accumulator_value, eps;
};

static const struct opt adagrad_opts[] = {
	OPTIM_LR("0.01", "0.001"),
	OPTIM_FLOAT(adagrad_options, lr_decay, "0", NULL, LR_MOST,
		"The learning rate is divided by 1 + lr_decay times the updates so far."),
	OPTIM_WEIGHT_DECAY("0", NULL, OPTIM_L2),
	OPTIM_FLOAT(adagrad_options, initial_accumulator_value, "0", "0.1", 1e6,
		"What the sums of the gradients' squares begin with."),
	OPTIM_FLOAT(adagrad_options, eps, "1e-10", "1e-7", 1, "Added to the denominator."),
	OPTIM_FORM,
	OPTIM_GROUPS(nn_group_type),
};

static int adagrad_state(const void *options, int group)
{
	(void)options;
	(void)group;
	return 1;
}

static const char *adagrad_state_name(const void *options, int group, int k)
{
	(void)options;
	(void)group;
	(void)k;
	return "sum";
}

static double adagrad_start(const void *options)
{
	return ((const struct adagrad_options *)options)->initial_accumulator_value;
}

static void adagrad_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	const struct adagrad_options *o = options;

	td_adagrad_update(c, u->param, u->grad, u->state[0], u->lr, u->t, u->gate,
		&(td_adagrad_attrs){ .lr_decay = o->lr_decay,
			.eps = o->eps,
			.weight_decay = u->weight_decay,
			.keras = optim_keras(o) });
}

const struct nn_optimizer_type nn_adagrad = {
	.type = OPT_TYPE(adagrad, "Adagrad, as torch.optim.Adagrad."),
	.n_state = adagrad_state,
	.state_name = adagrad_state_name,
	.state_start = adagrad_start,
	.update = adagrad_update,
};

/* ---- adadelta (Zeiler, "ADADELTA: an adaptive learning rate method", arXiv:1212.5701) -------------------------- */

struct adadelta_options {
	struct nn_optimizer_options base;
	double rho, eps;
};

static const struct opt adadelta_opts[] = {
	OPTIM_LR("1", "0.001"),
	OPTIM_FLOAT(adadelta_options, rho, "0.9", "0.95", 1, "Decay of the running means of squares."),
	OPTIM_FLOAT(adadelta_options, eps, "1e-6", "1e-7", 1, "Added to both means under their roots."),
	OPTIM_WEIGHT_DECAY("0", NULL, OPTIM_L2),
	OPTIM_FORM,
	OPTIM_GROUPS(nn_group_type),
};

static int adadelta_state(const void *options, int group)
{
	(void)options;
	(void)group;
	return 2;
}

static const char *adadelta_state_name(const void *options, int group, int k)
{
	(void)options;
	(void)group;
	return k ? "acc_delta" : "square_avg";
}

static void adadelta_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	const struct adadelta_options *o = options;

	td_adadelta_update(c, u->param, u->grad, u->state[0], u->state[1], u->lr, u->gate,
		&(td_adadelta_attrs){
			.rho = o->rho, .eps = o->eps, .weight_decay = u->weight_decay, .decoupled = optim_keras(o) });
}

const struct nn_optimizer_type nn_adadelta = {
	.type = OPT_TYPE(adadelta, "Adadelta, as torch.optim.Adadelta."),
	.n_state = adadelta_state,
	.state_name = adadelta_state_name,
	.update = adadelta_update,
};
