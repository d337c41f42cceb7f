/* Evaluation of a split: every sample once, in the split's order, sums on the host in that order. */
#include "worker/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void figure_add(struct figure *f, double x)
{
	f->sum += x;
	f->sum_squares += x * x;
	f->n++;
}

double figure_mean(const struct figure *f)
{
	return f->sum / (double)f->n;
}

/* sqrt(variance / n), with the unbiased variance. */
double figure_error(const struct figure *f)
{
	double n = (double)f->n, mean = f->sum / n;

	return f->n < 2 ? NAN : sqrt(fmax(0, f->sum_squares - n * mean * mean) / (n - 1) / n);
}

static const struct nn_metric_type *metric_of(const struct run *r, int i)
{
	return (const struct nn_metric_type *)r->spec.metrics.items[i].type;
}

/* Add one batch, which begins at sample FIRST of the evaluation. */
static void add_batch(struct run *r, struct evaluation *e, int64_t first, int64_t n, const float *losses,
	const int64_t *predictions, const float *probabilities)
{
	int64_t n_classes = r->model->out.dim[1];

	for (int64_t i = 0; i < n; i++) {
		figure_add(&e->loss, losses[i]);
		for (int k = 0; k < r->spec.metrics.n; k++)
			figure_add(&e->metric[k],
				metric_of(r, k)->one(r->spec.metrics.items[k].options, predictions[i], r->labels[i]));
		e->prediction[first + i] = (int32_t)predictions[i];
		e->probability[first + i] = probabilities[i * n_classes + predictions[i]];
	}
}

bool evaluate(struct run *r, const struct data_view *v, int64_t n, const char *phase, struct evaluation *out)
{
	int64_t size = r->spec.data.batch_size, n_classes = r->model->out.dim[1], done;
	float *losses = MEM_NEW_N(float, size), *probabilities = MEM_NEW_N(float, size *n_classes);
	int64_t *predictions = MEM_NEW_N(int64_t, size);

	*out = (struct evaluation){
		.view = v, .n = n, .prediction = MEM_NEW_N(int32_t, n), .probability = MEM_NEW_N(float, n)
	};
	for (done = 0; done < n; done += size) {
		int64_t now = TD_MIN(size, n - done);
		struct batch *b = run_abandoned(r) ? NULL : run_batch(r, v, NULL, done, now);

		if (!b)
			break;
		if (nn_trainer_evaluate(r->trainer, b->images, b->labels, losses, predictions, probabilities)) {
			err_set(&r->err, td_error(r->c)->status, "%s: %s", phase, td_error(r->c)->text);
			break;
		}
		add_batch(r, out, done, now, losses, predictions, probabilities);
		tell_progress(&r->tell, r->at.step, r->at.epoch, phase, false);
		tell_due(&r->tell);
	}
	mem_free(losses);
	mem_free(probabilities);
	mem_free(predictions);
	if (done >= n)
		return true;
	evaluation_release(out);
	return false;
}

void evaluation_release(struct evaluation *e)
{
	mem_free(e->prediction);
	mem_free(e->probability);
	memset(e, 0, sizeof *e);
}

void evaluation_tell(struct run *r, const struct evaluation *e, const char *split, int64_t step)
{
	char series[64];

	snprintf(series, sizeof series, "%s/loss", split);
	tell_point(&r->tell, series, step, figure_mean(&e->loss));
	for (int i = 0; i < r->spec.metrics.n; i++) {
		snprintf(series, sizeof series, "%s/%s", split, metric_of(r, i)->type.name);
		tell_point(&r->tell, series, step, figure_mean(&e->metric[i]));
	}
}
