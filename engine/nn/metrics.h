/* What the files of metrics share: the types, for the family in metrics.c, and how answers are read. */
#ifndef TD_NN_METRICS_H
#define TD_NN_METRICS_H

#include "nn/learn.h"

extern const struct nn_metric_type nn_metric_precision, nn_metric_recall, nn_metric_f1;        /* metrics_counts.c */
extern const struct nn_metric_type nn_metric_roc_auc, nn_metric_average_precision;             /* metrics_ranks.c */
extern const struct nn_metric_type nn_metric_mae, nn_metric_mse, nn_metric_rmse, nn_metric_r2; /* metrics_values.c */

/* Whether the data have what a metric NAME counts; else WHY says what to take. */
bool metric_needs_classes(const char *name, const struct data_facts *f, struct err *why);
bool metric_needs_values(const char *name, const struct data_facts *f, struct err *why);

#endif
