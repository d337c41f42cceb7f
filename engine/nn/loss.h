/* What the files of losses share, and the losses of each, for the family in loss.c. */
#ifndef TD_NN_LOSS_H
#define TD_NN_LOSS_H

#include "nn/learn.h"

#define LOSS_CLASSES_MOST 100000 /* weights that an option may list: one for each token of a large vocabulary */

/* Rows.  TYPE is the struct of the options, FIELD its member and the option's name. */
#define LOSS_WEIGHTS_ROW(type, field, text)                                                                            \
	{                                                                                                              \
		.name = #field, .kind = OPT_FLOATS, .at = offsetof(struct type, field), .low = 0, .high = 1e6,         \
		.most = LOSS_CLASSES_MOST, .doc = (text)                                                               \
	}
#define LOSS_FLOAT_ROW(type, field, otherwise, most, text)                                                             \
	{                                                                                                              \
		.name = #field, .kind = OPT_FLOAT, .at = offsetof(struct type, field), .value = (otherwise), .low = 0, \
		.high = (most), .doc = (text)                                                                          \
	}

static inline bool loss_is_shares(const td_value *y)
{
	return td_shape_of(y)->dtype != TD_I64;
}

/* One number for each class, [classes], of OUTPUT's type. */
td_value *loss_weights(td_ctx *c, const struct opt_floats *list, const td_value *output);
/* td_label_weights of OUTPUT's type. */
td_value *loss_counts(td_ctx *c, td_value *labels, td_value *w, const td_value *output);

/* The answer of a model whose output is one: itself. */
td_value *loss_itself(td_ctx *c, const void *options, td_value *output);

/* Does OUT fit NAME's data?  False: WHY.  Of classes: [N, classes], or [N, T, classes] for targets at each step; of two
 * classes, or of shares of many: one output for each decision; of values: one output for each. */
bool loss_fits_classes(const char *name, const td_shape *out, const struct data_facts *f, struct err *why);
bool loss_fits_binary(const char *name, const td_shape *out, const struct data_facts *f, struct err *why);
bool loss_fits_values(const char *name, const td_shape *out, const struct data_facts *f, struct err *why);

/* loss_classes.c, loss_binary.c, loss_values.c */
extern const struct nn_loss_type nn_loss_cross_entropy, nn_loss_nll, nn_loss_multi_margin, nn_loss_hinge;
extern const struct nn_loss_type nn_loss_bce_with_logits, nn_loss_bce, nn_loss_hinge_embedding;
extern const struct nn_loss_type nn_loss_mse, nn_loss_l1, nn_loss_huber, nn_loss_smooth_l1, nn_loss_kl_div;

#endif
