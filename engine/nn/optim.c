/* Optimizers: the family, and groups of parameters with settings of their own. */
#include "nn/optim.h"

#include <fnmatch.h>
#include <stdio.h>

#define GROUP_PATTERNS  1000
#define PATTERN_LETTERS 200

/* ---- Groups: settings of their own for some parameters --------------------------------------------------------- */

#define GROUP_OPTS                                                                                                     \
	{ .name = "params",                                                                                            \
		.kind = OPT_STRINGS,                                                                                   \
		.at = offsetof(struct nn_group, params),                                                               \
		.required = true,                                                                                      \
		.alone = true,                                                                                         \
		.most = GROUP_PATTERNS,                                                                                \
		.high = PATTERN_LETTERS,                                                                               \
		.doc = "Shell patterns over the names of parameters: \"features.*\", or a list of them." },            \
		{ .name = "lr",                                                                                        \
			.kind = OPT_FLOAT,                                                                             \
			.at = offsetof(struct nn_group, lr),                                                           \
			.value = "-1",                                                                                 \
			.low = -1,                                                                                     \
			.high = LR_MOST,                                                                               \
			.doc = "Their learning rate; negative: the optimizer's." },                                    \
	{                                                                                                              \
		.name = "weight_decay", .kind = OPT_FLOAT, .at = offsetof(struct nn_group, weight_decay),              \
		.value = "-1", .low = -1, .high = LR_MOST, .doc = "Their weight decay; negative: the optimizer's."     \
	}

static const struct opt group_opts[] = { GROUP_OPTS };
static const struct opt muon_group_opts[] = {
	GROUP_OPTS,
	{ .name = "adamw",
		.kind = OPT_BOOL,
		.at = offsetof(struct nn_group, adamw),
		.value = "false",
		.doc = "They are updated by AdamW: what is no matrix, embeddings, the last layer." },
};

#define GROUP_TYPE(rows)                                                                                               \
	{                                                                                                              \
		.name = "group", .doc = "Parameters with settings of their own.", .options = (rows),                   \
		.n_options = TD_COUNT(rows), .n_bytes = sizeof(struct nn_group)                                        \
	}

const struct opt_type nn_group_type = GROUP_TYPE(group_opts);
const struct opt_type nn_muon_group_type = GROUP_TYPE(muon_group_opts);

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

bool nn_group_adamw(const void *options, int g)
{
	return g >= 0 && group_at(options, g)->adamw;
}

int nn_optimizer_states(const struct nn_optimizer_type *type, const void *options)
{
	int most = type->n_state(options, -1);

	for (int g = 0; g < ((const struct nn_optimizer_options *)options)->groups.n; g++)
		most = TD_MAX(most, type->n_state(options, g));
	return most;
}

/* ---- Against the model ----------------------------------------------------------------------------------------- */

static bool matches_any(const char *pattern, const struct nn_model *m)
{
	for (int i = 0; i < m->n_params; i++)
		if (!m->params[i].buffer && !fnmatch(pattern, m->params[i].name, 0))
			return true;
	return false;
}

static void check_patterns(
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
				"for any letters",
				pattern, m->n_params ? m->params[0].name : "(there are none)");
		}
}

void nn_optimizer_check_model(
	const struct opt_choice *optimizer, const struct nn_model *m, const char *pointer, struct faults *faults)
{
	const struct nn_optimizer_type *type = (const struct nn_optimizer_type *)optimizer->type;

	check_patterns(optimizer, m, pointer, faults);
	for (int i = 0; i < m->n_params && type->takes; i++) {
		const struct nn_param *p = &m->params[i];
		char shape[TD_SHAPE_TEXT];

		if (p->buffer || p->frozen ||
			type->takes(optimizer->options, nn_optimizer_group(optimizer->options, p->name), &p->shape))
			continue;
		faults_add(faults, pointer,
			"%s updates matrices, but parameter \"%s\" is %s; give it to AdamW by a group: {\"params\": "
			"\"%s\", \"adamw\": true}",
			type->type.name, p->name, td_shape_text(&p->shape, shape), p->name);
	}
}

/* ---- All of them ----------------------------------------------------------------------------------------------- */

const char *const nn_optimizer_forms[] = { [NN_FORM_PYTORCH] = "pytorch", [NN_FORM_KERAS] = "keras", NULL };

static const struct opt_type *const types[] = { &nn_adam.type, &nn_adamw.type, &nn_sgd.type, &nn_rmsprop.type,
	&nn_adagrad.type, &nn_adadelta.type, &nn_muon.type };

const struct opt_family nn_optimizers = { .name = "optimizer", .types = types, .n_types = TD_COUNT(types) };
