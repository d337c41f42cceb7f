/* Optimizers: options, how much state they keep, and which op updates a parameter.  Definitions are those of
 * torch.optim. */
#include "nn/learn.h"

#include <fnmatch.h>
#include <stdio.h>

#define LR_MOST         1e6 /* beyond any use; keeps lr finite in float32 */
#define GROUPS_MOST     64
#define GROUP_PATTERNS  1000
#define PATTERN_LETTERS 200

/* ---- Groups: settings of their own for some parameters --------------------------------------------------------- */

static const struct opt group_opts[] = {
	{ .name = "params",
		.kind = OPT_STRINGS,
		.at = offsetof(struct nn_group, params),
		.required = true,
		.alone = true,
		.most = GROUP_PATTERNS,
		.high = PATTERN_LETTERS,
		.doc = "Shell patterns over the names of parameters: \"features.*\", or a list of them." },
	{ .name = "lr",
		.kind = OPT_FLOAT,
		.at = offsetof(struct nn_group, lr),
		.value = "-1",
		.low = -1,
		.high = LR_MOST,
		.doc = "Their learning rate; negative: the optimizer's." },
	{ .name = "weight_decay",
		.kind = OPT_FLOAT,
		.at = offsetof(struct nn_group, weight_decay),
		.value = "-1",
		.low = -1,
		.high = LR_MOST,
		.doc = "Their weight decay; negative: the optimizer's." },
};

static const struct opt_type group_type = { .name = "group",
	.doc = "Parameters with settings of their own.",
	.options = group_opts,
	.n_options = TD_COUNT(group_opts),
	.n_bytes = sizeof(struct nn_group) };

static const struct nn_group *group_at(const void *options, int g)
{
	return (const struct nn_group *)((const struct nn_optimizer_options *)options)->groups.items + g;
}

static bool group_matches(const struct nn_group *group, const char *name)
{
	for (int i = 0; i < group->params.n; i++)
		if (!fnmatch(group->params.items[i], name, 0))
			return true;
	return false;
}

int nn_optimizer_group(const void *options, const char *name)
{
	for (int g = 0; g < ((const struct nn_optimizer_options *)options)->groups.n; g++)
		if (group_matches(group_at(options, g), name))
			return g;
	return -1;
}

double nn_group_lr(const void *options, int g)
{
	return g < 0 || group_at(options, g)->lr < 0 ? ((const struct nn_optimizer_options *)options)->lr
						     : group_at(options, g)->lr;
}

double nn_group_weight_decay(const void *options, int g)
{
	return g < 0 || group_at(options, g)->weight_decay < 0
		       ? ((const struct nn_optimizer_options *)options)->weight_decay
		       : group_at(options, g)->weight_decay;
}

static bool matches_any(const char *pattern, const struct nn_model *m)
{
	for (int i = 0; i < m->n_params; i++)
		if (!m->params[i].buffer && !fnmatch(pattern, m->params[i].name, 0))
			return true;
	return false;
}

void nn_optimizer_check_groups(
	const struct opt_choice *optimizer, const struct nn_model *m, const char *pointer, struct faults *faults)
{
	const struct nn_optimizer_options *o = optimizer->options;
	char place[200];

	for (int g = 0; g < o->groups.n; g++)
		for (int i = 0; i < group_at(o, g)->params.n; i++) {
			const char *pattern = group_at(o, g)->params.items[i];

			if (matches_any(pattern, m))
				continue;
			snprintf(place, sizeof place, "%s/groups/%d/params/%d", pointer, g, i);
			faults_add(faults, place,
				"\"%s\" matches no parameter of the model; its names look like \"%s\"; \"*\" stands "
				"for "
				"any letters",
				pattern, m->n_params ? m->params[0].name : "(there are none)");
		}
}

/* ---- Options that all have ------------------------------------------------------------------------------------- */

#define LR_OPTION(text)                                                                                                \
	{                                                                                                              \
		.name = "lr", .kind = OPT_FLOAT, .at = offsetof(struct nn_optimizer_options, lr), .value = text,       \
		.low = 0, .high = LR_MOST, .doc = "Learning rate."                                                     \
	}

#define WEIGHT_DECAY_OPTION(text, says)                                                                                \
	{                                                                                                              \
		.name = "weight_decay", .kind = OPT_FLOAT, .at = offsetof(struct nn_optimizer_options, weight_decay),  \
		.value = text, .low = 0, .high = LR_MOST, .doc = says                                                  \
	}

#define L2 "Added to the gradient: weight_decay times the parameter (L2)."

#define GROUPS_OPTION                                                                                                  \
	{                                                                                                              \
		.name = "groups", .kind = OPT_SECTIONS, .at = offsetof(struct nn_optimizer_options, groups),           \
		.most = GROUPS_MOST, .section = &group_type,                                                           \
		.doc = "Parameters with a learning rate or weight decay of their own; the first group that matches a " \
		       "name has it."                                                                                  \
	}

/* ---- sgd ------------------------------------------------------------------------------------------------------- */

struct sgd_options {
	struct nn_optimizer_options base;
	double momentum, dampening;
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
	WEIGHT_DECAY_OPTION("0", L2),
	{ .name = "nesterov",
		.kind = OPT_BOOL,
		.at = offsetof(struct sgd_options, nesterov),
		.value = "false",
		.doc = "Nesterov momentum." },
	GROUPS_OPTION,
};

static int sgd_state(const void *options)
{
	return ((const struct sgd_options *)options)->momentum != 0;
}

static const char *sgd_state_name(const void *options, int k)
{
	(void)options;
	(void)k;
	return "momentum_buffer";
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
		.weight_decay = u->weight_decay,
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
	.n_state = sgd_state,
	.state_name = sgd_state_name,
	.check = sgd_check,
	.update = sgd_update,
};

/* ---- adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015), and adamw (Loshchilov and Hutter,
 *      "Decoupled weight decay regularization", ICLR 2019), which shrinks the parameter and not the gradient --------
 */

struct adam_options {
	struct nn_optimizer_options base;
	double betas[2], eps;
};

#define ADAM_OPTIONS                                                                                                   \
	LR_OPTION("0.001"),                                                                                            \
		{ .name = "betas",                                                                                     \
			.kind = OPT_FLOATS2,                                                                           \
			.at = offsetof(struct adam_options, betas),                                                    \
			.value = "[0.9,0.999]",                                                                        \
			.low = 0,                                                                                      \
			.high = 1,                                                                                     \
			.below = true,                                                                                 \
			.doc = "Decay of the running means of the gradient and of its square." },                      \
	{                                                                                                              \
		.name = "eps", .kind = OPT_FLOAT, .at = offsetof(struct adam_options, eps), .value = "1e-8", .low = 0, \
		.high = 1, .doc = "Added to the denominator."                                                          \
	}

static const struct opt adam_opts[] = { ADAM_OPTIONS, WEIGHT_DECAY_OPTION("0", L2), GROUPS_OPTION };
static const struct opt adamw_opts[] = { ADAM_OPTIONS,
	WEIGHT_DECAY_OPTION("0.01", "Each step shrinks the parameter by lr times weight_decay."), GROUPS_OPTION };

static int adam_state(const void *options)
{
	(void)options;
	return 2;
}

static const char *adam_state_name(const void *options, int k)
{
	(void)options;
	return k ? "exp_avg_sq" : "exp_avg";
}

static void update_adam(td_ctx *c, const struct adam_options *o, const struct nn_update *u, bool decoupled)
{
	td_adam_attrs attrs = { .beta1 = o->betas[0],
		.beta2 = o->betas[1],
		.eps = o->eps,
		.weight_decay = u->weight_decay,
		.decoupled = decoupled };

	td_adam_update(c, u->param, u->grad, u->state[0], u->state[1], u->lr, u->t, u->gate, &attrs);
}

static void adam_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	update_adam(c, options, u, false);
}

static void adamw_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	update_adam(c, options, u, true);
}

static const struct nn_optimizer_type adam = {
	.type = { .name = "adam",
		.doc = "Adam, as torch.optim.Adam.",
		.options = adam_opts,
		.n_options = TD_COUNT(adam_opts),
		.n_bytes = sizeof(struct adam_options) },
	.n_state = adam_state,
	.state_name = adam_state_name,
	.update = adam_update,
};

static const struct nn_optimizer_type adamw = {
	.type = { .name = "adamw",
		.doc = "Adam with decoupled weight decay, as torch.optim.AdamW.",
		.options = adamw_opts,
		.n_options = TD_COUNT(adamw_opts),
		.n_bytes = sizeof(struct adam_options) },
	.n_state = adam_state,
	.state_name = adam_state_name,
	.update = adamw_update,
};

/* ---- rmsprop (Tieleman and Hinton, "Lecture 6.5: rmsprop", Coursera, 2012) ------------------------------------- */

struct rmsprop_options {
	struct nn_optimizer_options base;
	double alpha, eps, momentum;
	bool centered;
};

static const struct opt rmsprop_opts[] = {
	LR_OPTION("0.01"),
	{ .name = "alpha",
		.kind = OPT_FLOAT,
		.at = offsetof(struct rmsprop_options, alpha),
		.value = "0.99",
		.low = 0,
		.high = 1,
		.doc = "Decay of the running mean of the gradient's square." },
	{ .name = "eps",
		.kind = OPT_FLOAT,
		.at = offsetof(struct rmsprop_options, eps),
		.value = "1e-8",
		.low = 0,
		.high = 1,
		.doc = "Added to the denominator." },
	WEIGHT_DECAY_OPTION("0", L2),
	{ .name = "momentum",
		.kind = OPT_FLOAT,
		.at = offsetof(struct rmsprop_options, momentum),
		.value = "0",
		.low = 0,
		.high = 1,
		.doc = "How much of the last step goes into this one." },
	{ .name = "centered",
		.kind = OPT_BOOL,
		.at = offsetof(struct rmsprop_options, centered),
		.value = "false",
		.doc = "Divide by the gradient's deviation from its running mean." },
	GROUPS_OPTION,
};

static int rmsprop_state(const void *options)
{
	const struct rmsprop_options *o = options;

	return 1 + (o->momentum > 0) + o->centered;
}

static const char *rmsprop_state_name(const void *options, int k)
{
	if (!k)
		return "square_avg";
	return k == 1 && ((const struct rmsprop_options *)options)->momentum > 0 ? "momentum_buffer" : "grad_avg";
}

static void rmsprop_update(td_ctx *c, const void *options, const struct nn_update *u)
{
	const struct rmsprop_options *o = options;
	bool momentum = o->momentum > 0;
	td_rmsprop_attrs attrs = {
		.alpha = o->alpha, .eps = o->eps, .momentum = o->momentum, .weight_decay = u->weight_decay
	};

	td_rmsprop_update(c, u->param, u->grad, u->state[0], momentum ? u->state[1] : NULL,
		o->centered ? u->state[1 + momentum] : NULL, u->lr, u->gate, &attrs);
}

static const struct nn_optimizer_type rmsprop = {
	.type = { .name = "rmsprop",
		.doc = "RMSprop, as torch.optim.RMSprop.",
		.options = rmsprop_opts,
		.n_options = TD_COUNT(rmsprop_opts),
		.n_bytes = sizeof(struct rmsprop_options) },
	.n_state = rmsprop_state,
	.state_name = rmsprop_state_name,
	.update = rmsprop_update,
};

static const struct opt_type *const types[] = { &adam.type, &adamw.type, &sgd.type, &rmsprop.type };

const struct opt_family nn_optimizers = { .name = "optimizer", .types = types, .n_types = TD_COUNT(types) };
