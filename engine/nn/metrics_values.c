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
		nn_figure_add(f, fabs(difference(a, i)));
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
		nn_figure_add(f, difference(a, i) * difference(a, i));
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
	double *products; /* owned; [width, width]: sums of a sample's squared error of one value times that of another;
			     NULL: too many */
	struct column items[];
};

#define PRODUCTS_MOST 64 /* values whose errors are related to one another: a square of sums, at every sample */

static void *columns_create(const void *options, const struct data_facts *f)
{
	int64_t width = f->y.rank ? f->y.dim[0] : 1;
	struct columns *s = mem_alloc(sizeof *s + sizeof s->items[0] * (size_t)width);

	(void)options;
	s->width = width;
	if (width <= PRODUCTS_MOST)
		s->products = MEM_NEW_N(double, (width * width));
	return s;
}

static void columns_destroy(void *state)
{
	struct columns *s = state;

	mem_free(s->products);
	mem_free(s);
}

/* SAMPLE: the place of its first value in A. */
static void add_products(struct columns *s, const struct nn_answers *a, int64_t sample)
{
	for (int64_t k = 0; k < s->width; k++)
		for (int64_t l = 0; l < s->width; l++) {
			double one = difference(a, sample + k), other = difference(a, sample + l);
			s->products[k * s->width + l] += one * one * other * other;
		}
}

static void columns_add(void *state, const struct nn_answers *a)
{
	struct columns *s = state;

	TD_ASSERT(a->width == s->width);
	for (int64_t i = 0; i < a->n; i++) {
		for (int64_t k = 0; k < s->width; k++) {
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
		if (s->products)
			add_products(s, a, i * a->width);
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

/* The slope of a root. */
static double half_over_root(double mean)
{
	return mean > 0 ? 0.5 / sqrt(mean) : 0;
}

static double root(const struct column *column)
{
	return column->n ? sqrt(column->squares / (double)column->n) : NAN;
}

/* By the delta method: the value is the mean of roots of means, and each root's slope is 1 / (2 root). */
static double root_error(const struct columns *s)
{
	double n = (double)s->items[0].n, variance = 0;

	if (!s->products || n < 2)
		return NAN;
	for (int64_t k = 0; k < s->width; k++)
		for (int64_t l = 0; l < s->width; l++) {
			double covariance =
				s->products[k * s->width + l] - s->items[k].squares * s->items[l].squares / n;
			double slopes = 4 * root(&s->items[k]) * root(&s->items[l]);

			variance +=
				slopes > 0 ? covariance / (n - 1) / slopes : 0; /* without errors there is no spread */
		}
	return sqrt(fmax(0, variance) / n) / (double)s->width;
}

static void rmse_result(void *state, double *value, double *error)
{
	*value = columns_mean(state, root);
	*error = root_error(state);
}

const struct nn_metric_type nn_metric_rmse = {
	.type = { .name = "rmse",
		.doc = "Root of the mean squared error; of several values the mean of their roots (during training, "
		       "the root over all)." },
	.check = rmse_check,
	.add_mean = squares_add,
	.of_mean = sqrt,
	.slope = half_over_root,
	.create = columns_create,
	.add = columns_add,
	.result = rmse_result,
	.destroy = columns_destroy,
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

/* No standard error: the common formulas are for a model that was fitted to these very samples. */
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
	.destroy = columns_destroy,
};
