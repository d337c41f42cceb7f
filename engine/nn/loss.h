/* The losses of loss_values.c, for the family in loss.c. */
#ifndef TD_NN_LOSS_H
#define TD_NN_LOSS_H

#include "nn/learn.h"

#define LOSS_CLASSES_MOST 100000 /* weights that an option may list: one for each token of a large vocabulary */

extern const struct nn_loss_type nn_loss_mse, nn_loss_l1, nn_loss_huber, nn_loss_smooth_l1;

#endif
