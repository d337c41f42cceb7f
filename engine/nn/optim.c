/* Optimizers: options, how much state they keep, and which op updates a parameter.  Definitions are those of
 * torch.optim. */
#include "nn/nn.h"

#define LR_MOST 1e6 /* beyond any use; keeps lr finite in float32 */

#define LR_OPTION(text)                                                                                                \
	{                                                                                                              \
		.name = "lr", .kind = OPT_FLOAT, .at = offsetof(struct nn_optimizer_options, lr), .value = text,       \
		.low = 0, .high = LR_MOST, .doc = "Learning rate."                                                     \
	}

#define WEIGHT_DECAY_OPTION(where)                                                                                     \
	{                                                                                                              \
		.name = "weight_decay", .kind = OPT_FLOAT, .at = where, .value = "0", .low = 0, .high = LR_MOST,       \
		.doc = "Added to the gradient: weight_decay times the parameter (L2)."                                 \
	}

/* ---- sgd ------------------------------------------------------------------------------------------------------- */

struct sgd_options {
	struct nn_optimizer_options base;
	double momentum, dampening, weight_decay;
	bool nesterov;
};

static const struct opt sgd_opts[] = {
	LR_OPTION("0.001"),
	{ .name = "momentum",
		.kind = OPT_FLOAT,
		.at = offsetof(struct sgd_options, momentum),
		.value = "0",
		.low = 0,
		.high = 1,
		.doc = "How much of the last step goes into this one." },
	{ .name = "dampening",
		.kind = OPT_FLOAT,
		.at = offsetof(struct sgd_options, dampening),
		.value = "0",
		.low = 0,
		.high = 1,
		.doc = "Gradients enter the momentum buffer scaled by 1 - dampening, but for the first." },
	WEIGHT_DECAY_OPTION(offsetof(struct sgd_options, weight_decay)),
	{ .name = "nesterov",
		.kind = OPT_BOOL,
		.at = offsetof(struct sgd_options, nesterov),
		.value = "false",
		.doc = "Nesterov momentum." },
};

static int sgd_state(const void *options)
{
	return ((const struct sgd_options *)options)->momentum != 0;
}

static void sgd_check(const void *options, const char *pointer, struct faults *faults)
{
	const struct sgd_options *o = options;

	if (o->nesterov && (o->momentum == 0 || o->dampening != 0))
		faults_add(faults, pointer,
			"nesterov needs a momentum above 0 and a dampening of 0, not momentum %g and dampening %g; "
			"set \"momentum\": 0.9 or leave nesterov out",
			o->momentum, o->dampening);
}

static void sgd_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	const struct sgd_options *o = options;
	td_sgd_attrs attrs = { .momentum = o->momentum,
		.weight_decay = o->weight_decay,
		.nesterov = o->nesterov,
		.dampening = o->dampening };

	td_sgd_update(c, u->param, u->grad, u->state[0], u->lr, u->t, u->gate, &attrs);
}

static const struct nn_optimizer_type sgd = {
	.type = { .name = "sgd",
		.doc = "Stochastic gradient descent, as torch.optim.SGD.",
		.options = sgd_opts,
		.n_options = TD_COUNT(sgd_opts),
		.n_bytes = sizeof(struct sgd_options) },
	.state_names = { "momentum_buffer" },
	.n_state = sgd_state,
	.check = sgd_check,
	.update = sgd_update,
};

/* ---- adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015) ----------------------------- */

struct adam_options {
	struct nn_optimizer_options base;
	double betas[2], eps, weight_decay;
};

static const struct opt adam_opts[] = {
	LR_OPTION("0.001"),
	{ .name = "betas",
		.kind = OPT_FLOATS2,
		.at = offsetof(struct adam_options, betas),
		.value = "[0.9,0.999]",
		.low = 0,
		.high = 1,
		.below = true,
		.doc = "Decay of the running means of the gradient and of its square." },
	{ .name = "eps",
		.kind = OPT_FLOAT,
		.at = offsetof(struct adam_options, eps),
		.value = "1e-8",
		.low = 0,
		.high = 1,
		.doc = "Added to the denominator." },
	WEIGHT_DECAY_OPTION(offsetof(struct adam_options, weight_decay)),
};

static int adam_state(const void *options)
{
	(void)options;
	return 2;
}

static void adam_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	const struct adam_options *o = options;
	td_adam_attrs attrs = {
		.beta1 = o->betas[0], .beta2 = o->betas[1], .eps = o->eps, .weight_decay = o->weight_decay
	};

	td_adam_update(c, u->param, u->grad, u->state[0], u->state[1], u->lr, u->t, u->gate, &attrs);
}

static const struct nn_optimizer_type adam = {
	.type = { .name = "adam",
		.doc = "Adam, as torch.optim.Adam.",
		.options = adam_opts,
		.n_options = TD_COUNT(adam_opts),
		.n_bytes = sizeof(struct adam_options) },
	.state_names = { "exp_avg", "exp_avg_sq" },
	.n_state = adam_state,
	.update = adam_update,
};

static const struct opt_type *const types[] = { &adam.type, &sgd.type };

const struct opt_family nn_optimizers = { .name = "optimizer", .types = types, .n_types = TD_COUNT(types) };
