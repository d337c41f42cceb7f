/* Metrics of values: how far answers are from targets, in the targets' own units.  Over a split each value of a sample
 * (each target column) is looked at alone and the results are averaged, as scikit-learn's "uniform_average" does. */
#include "nn/metrics.h"

#include <math.h>

/* ---- Means over all values: mae, mse --------------------------------------------------------------------------- */

static double difference(const struct nn_answers *a, int64_t i)
{
	return (double)a->answer[i] - (double)a->value[i];
}

static bool mae_check(const void *options, const struct data_facts *f, struct err *why)
{
	(void)options;
	return metric_needs_values("mae", f, why);
}

static void mae_add(const void *options, const struct nn_answers *a, struct nn_figure *f)
{
	(void)options;
	for (int64_t i = 0; i < a->n * a->width; i++)
		figure_add(f, fabs(difference(a, i)));
}

const struct nn_metric_type nn_metric_mae = {
	.type = { .name = "mae", .doc = "Mean absolute error." },
	.check = mae_check,
	.add_mean = mae_add,
	.smaller_is_better = true,
};

static bool mse_check(const void *options, const struct data_facts *f, struct err *why)
{
	(void)options;
	return metric_needs_values("mse", f, why);
}

static void squares_add(const void *options, const struct nn_answers *a, struct nn_figure *f)
{
	(void)options;
	for (int64_t i = 0; i < a->n * a->width; i++)
		figure_add(f, difference(a, i) * difference(a, i));
}

const struct nn_metric_type nn_metric_mse = {
	.type = { .name = "mse", .doc = "Mean squared error." },
	.check = mse_check,
	.add_mean = squares_add,
	.smaller_is_better = true,
};

/* ---- Each value alone: rmse, r2 -------------------------------------------------------------------------------- */

/* Sums of one value over the samples so far.  The target is taken as its difference from the first one, and SPREAD, the
 * sum of its squared deviations from MEAN, grows as in Welford's "Note on a method for calculating corrected sums of
 * squares and products" (Technometrics, 1962): a target far from zero costs no digits. */
struct column {
	int64_t n;
	double first, mean, spread;
	double squares; /* of the errors */
};

struct columns {
	int64_t width;
	struct column items[];
};

static void *columns_create(const void *options, const struct data_facts *f)
{
	int64_t width = f->y.rank ? f->y.dim[0] : 1;
	struct columns *s = mem_alloc(sizeof *s + sizeof s->items[0] * (size_t)width);

	(void)options;
	s->width = width;
	return s;
}

static void columns_add(void *state, const struct nn_answers *a)
{
	struct columns *s = state;

	for (int64_t i = 0; i < a->n; i++)
		for (int64_t k = 0; k < TD_MIN(s->width, a->width); k++) {
			struct column *column = &s->items[k];
			double error = difference(a, i * a->width + k), y = (double)a->value[i * a->width + k];
			double from_mean;

			column->first = column->n ? column->first : y;
			from_mean = y - column->first - column->mean;
			column->n++;
			column->mean += from_mean / (double)column->n;
			column->spread += from_mean * (y - column->first - column->mean);
			column->squares += error * error;
		}
}

static double columns_mean(const struct columns *s, double (*of)(const struct column *column))
{
	double sum = 0;

	for (int64_t k = 0; k < s->width; k++)
		sum += of(&s->items[k]);
	return sum / (double)s->width;
}

static bool rmse_check(const void *options, const struct data_facts *f, struct err *why)
{
	(void)options;
	return metric_needs_values("rmse", f, why);
}

static double root(const struct column *column)
{
	return column->n ? sqrt(column->squares / (double)column->n) : NAN;
}

static void rmse_result(void *state, double *value, double *error)
{
	*value = columns_mean(state, root);
	*error = NAN;
}

const struct nn_metric_type nn_metric_rmse = {
	.type = { .name = "rmse",
		.doc = "Root of the mean squared error; of several values the mean of their roots (during training, "
		       "the root "
		       "over all)." },
	.check = rmse_check,
	.add_mean = squares_add,
	.of_mean = sqrt,
	.create = columns_create,
	.add = columns_add,
	.result = rmse_result,
	.destroy = mem_free,
	.smaller_is_better = true,
};

static bool r2_check(const void *options, const struct data_facts *f, struct err *why)
{
	(void)options;
	return metric_needs_values("r2", f, why);
}

/* 1 - squared errors / squared deviations from the mean; of a target that never changes, 1 where nothing is wrong and 0
 * otherwise. */
static double determination(const struct column *column)
{
	if (column->n < 2)
		return NAN;
	if (column->spread == 0)
		return column->squares == 0;
	return 1 - column->squares / column->spread;
}

static void r2_result(void *state, double *value, double *error)
{
	*value = columns_mean(state, determination);
	*error = NAN;
}

const struct nn_metric_type nn_metric_r2 = {
	.type = { .name = "r2",
		.doc = "Coefficient of determination: the part of the target's variance that is explained." },
	.check = r2_check,
	.create = columns_create,
	.add = columns_add,
	.result = r2_result,
	.destroy = mem_free,
};
