/* A meter: one metric over one split, whether it is a mean or has a state of its own. */
#include "nn/learn.h"

#include <math.h>
#include <string.h>

static const struct nn_metric_type *type_of(const struct opt_choice *metric)
{
	return (const struct nn_metric_type *)metric->type;
}

void nn_meter_init(struct nn_meter *m, const struct opt_choice *metric, const struct data_facts *facts)
{
	const struct nn_metric_type *type = type_of(metric);

	*m = (struct nn_meter){ .metric = metric };
	if (type->create)
		m->state = type->create(metric->options, facts);
}

void nn_meter_release(struct nn_meter *m)
{
	if (m->state)
		type_of(m->metric)->destroy(m->state);
	memset(m, 0, sizeof *m);
}

void nn_meter_add(struct nn_meter *m, const struct nn_answers *a)
{
	const struct nn_metric_type *type = type_of(m->metric);

	if (m->state)
		type->add(m->state, a);
	else
		type->add_mean(m->metric->options, a, &m->figure);
}

void nn_meter_result(const struct nn_meter *m, double *value, double *error)
{
	double v, e;

	if (m->state)
		type_of(m->metric)->result(m->state, value ? value : &v, error ? error : &e);
	else
		nn_figure_result(m->metric, &m->figure, value, error);
}

double nn_figure_error(const struct nn_figure *f)
{
	double n = (double)f->n, mean = f->sum / n;

	return f->n < 2 || isnan(f->sum_squares) ? NAN : sqrt(fmax(0, f->sum_squares - n * mean * mean) / (n - 1) / n);
}

/* The error of a function of the mean is by the delta method: to first order, that of the mean times the slope there.
 */
void nn_figure_result(const struct opt_choice *metric, const struct nn_figure *f, double *value, double *error)
{
	const struct nn_metric_type *type = type_of(metric);
	double mean = f->n ? f->sum / (double)f->n : NAN;

	if (value)
		*value = type->of_mean ? type->of_mean(mean) : mean;
	if (error)
		*error = nn_figure_error(f) * (type->of_mean ? type->slope(mean) : 1);
}
