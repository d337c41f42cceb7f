/* What the files of optimizers share: rows of options that recur, and the families' parts. */
#ifndef TD_NN_OPTIM_H
#define TD_NN_OPTIM_H

#include "nn/learn.h"

#define LR_MOST     1e6 /* beyond any use; keeps lr finite in float32 */
#define GROUPS_MOST 64

/* Rows.  TYPE is the struct of the options, FIELD its member and the option's name; KERAS: its default there. */
#define OPTIM_FLOAT(type, field, otherwise, in_keras, most, text)                                                      \
	{                                                                                                              \
		.name = #field, .kind = OPT_FLOAT, .at = offsetof(struct type, field), .value = (otherwise),           \
		.keras = (in_keras), .low = 0, .high = (most), .doc = (text)                                           \
	}
#define OPTIM_FLAG(type, field, otherwise, text)                                                                       \
	{                                                                                                              \
		.name = #field, .kind = OPT_BOOL, .at = offsetof(struct type, field), .value = (otherwise),            \
		.doc = (text)                                                                                          \
	}
#define OPTIM_BETAS(type, field, otherwise)                                                                            \
	{                                                                                                              \
		.name = #field, .kind = OPT_FLOATS2, .at = offsetof(struct type, field), .value = (otherwise),         \
		.low = 0, .high = 1, .below = true,                                                                    \
		.doc = "Decay of the running means of the gradient and of its square."                                 \
	}
#define OPTIM_LR(otherwise, in_keras)                                                                                  \
	OPTIM_FLOAT(nn_optimizer_options, lr, otherwise, in_keras, LR_MOST, "Learning rate.")
#define OPTIM_WEIGHT_DECAY(otherwise, in_keras, text)                                                                  \
	OPTIM_FLOAT(nn_optimizer_options, weight_decay, otherwise, in_keras, LR_MOST, text)
#define OPTIM_L2                                                                                                       \
	"Added to the gradient: weight_decay times the parameter (L2); in Keras' form each step shrinks the "          \
	"parameter by lr times weight_decay."
#define OPTIM_MOMENTUM(type) OPTIM_FLOAT(type, momentum, "0", NULL, 1, "How much of the last step goes into this one.")

#define OPTIM_FORM                                                                                                     \
	{                                                                                                              \
		.name = "form", .kind = OPT_ENUM, .at = offsetof(struct nn_optimizer_options, form),                   \
		.value = "\"pytorch\"", .keras = "\"keras\"", .names = nn_optimizer_forms,                             \
		.doc = "Whose formula where the two differ: that of torch.optim or that of keras.optimizers."          \
	}
#define OPTIM_GROUPS(type)                                                                                             \
	{                                                                                                              \
		.name = "groups", .kind = OPT_SECTIONS, .at = offsetof(struct nn_optimizer_options, groups),           \
		.most = GROUPS_MOST, .section = &(type),                                                               \
		.doc = "Parameters with a learning rate or weight decay of their own; the first group that matches a " \
		       "name has it."                                                                                  \
	}

extern const char *const nn_optimizer_forms[];
extern const struct opt_type nn_group_type, nn_muon_group_type;

static inline bool optim_keras(const void *options)
{
	return ((const struct nn_optimizer_options *)options)->form == NN_FORM_KERAS;
}

/* optim_momentum.c, optim_adaptive.c */
extern const struct nn_optimizer_type nn_sgd, nn_muon, nn_adam, nn_adamw, nn_rmsprop, nn_adagrad, nn_adadelta;

#endif
