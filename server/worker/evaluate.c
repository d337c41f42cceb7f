/* Evaluation of a split: every sample once, in the split's order, sums on the host in that order.
 *
 * Answers are looked at batch by batch and not kept: only what a report needs of each sample is (EVALUATION's arrays),
 * so the memory is that of a batch and a few numbers a sample, however large a split or a vocabulary is. */
#include "worker/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A metric that draws curves keeps every score; beyond so many a report goes without curves that nobody asked for. */
#define CURVE_SCORES_MOST (4 << 20)

/* ---- Figures ----------------------------------------------------------------------------------------------------- */

/* The mean loss: what its weights divide by, or the number of its targets. */
static double loss_divisor(const struct evaluation *e)
{
	return e->loss_weight > 0 ? e->loss_weight : (double)e->loss.n;
}

double evaluation_loss(const struct evaluation *e)
{
	return e->loss.sum / loss_divisor(e);
}

double evaluation_loss_error(const struct evaluation *e)
{
	return nn_figure_error(&e->loss) * ((double)e->loss.n / loss_divisor(e));
}

double evaluation_value(const struct evaluation *e, int i)
{
	double value;

	if (!i)
		return evaluation_loss(e);
	nn_meter_result(&e->meter[i - 1], &value, NULL);
	return value;
}

/* ---- What is kept for a report ----------------------------------------------------------------------------------- */

static bool has_metric(const struct spec *s, const struct opt_type *type)
{
	for (int i = 0; i < s->metrics.n; i++)
		if (s->metrics.items[i].type == type)
			return true;
	return false;
}

/* Curves belong into a report, whether their metrics are among the job's or not. */
static void add_curves(struct run *r, struct evaluation *e)
{
	for (int i = 0; i < nn_metrics.n_types && e->n_curves < CURVES_MOST; i++) {
		const struct nn_metric_type *t = (const struct nn_metric_type *)nn_metrics.types[i];
		struct opt_choice *choice = &e->curve_choice[e->n_curves];
		struct err why = { 0 };

		if (!t->curves || has_metric(&r->spec, &t->type))
			continue;
		choice->type = &t->type;
		choice->options = arena_alloc(&r->spec.arena, TD_MAX(t->type.n_bytes, 1));
		opt_read(&t->type, NULL, "", choice->options, &r->spec.arena, &r->faults);
		if (!t->check || t->check(choice->options, r->facts, &why))
			nn_meter_init(&e->curve[e->n_curves++], choice, r->facts);
	}
}

static bool keep_init(struct run *r, struct evaluation *e)
{
	int64_t n_targets = e->n * e->steps;

	e->sample_loss = mem_try_alloc(sizeof *e->sample_loss * (size_t)TD_MAX(e->n, 1));
	if (r->facts->target == DATA_VALUES) {
		e->residuals.every = (e->n + RESIDUALS_MOST - 1) / RESIDUALS_MOST;
		e->residuals.target = MEM_NEW_N(double, RESIDUALS_MOST);
		e->residuals.prediction = MEM_NEW_N(double, RESIDUALS_MOST);
	} else if (run_has_classes(r)) {
		e->label = mem_try_alloc(sizeof *e->label * (size_t)TD_MAX(n_targets, 1));
		e->predicted = mem_try_alloc(sizeof *e->predicted * (size_t)TD_MAX(n_targets, 1));
	}
	if (run_has_classes(r) && n_targets * r->facts->n_classes <= CURVE_SCORES_MOST)
		add_curves(r, e);
	if (e->sample_loss && !run_has_classes(r) == !(e->label && e->predicted))
		return true;
	err_set(&r->err, TD_NO_MEMORY, "no memory for the predictions of %lld samples", (long long)e->n);
	return false;
}

/* The classes of sample I, which is sample AT of the evaluation. */
static void keep_classes(struct evaluation *e, const struct nn_answers *a, int64_t i, int64_t at)
{
	for (int64_t t = 0; t < a->steps; t++) {
		e->label[at * a->steps + t] = (int32_t)nn_label(a, i * a->steps + t);
		e->predicted[at * a->steps + t] = (int32_t)nn_prediction(a, i * a->steps + t);
	}
}

static void keep_batch(struct evaluation *e, const struct nn_answers *a, int64_t first)
{
	for (int64_t i = 0; i < a->n; i++) {
		int64_t at = first + i;

		e->sample_loss[at] = (float)answers_loss(a, i, 0);
		if (e->label)
			keep_classes(e, a, i, at);
		if (e->residuals.target && at % e->residuals.every == 0) {
			e->residuals.target[e->residuals.n] = a->value[i * a->width];
			e->residuals.prediction[e->residuals.n++] = a->answer[i * a->width];
		}
	}
	for (int i = 0; i < e->n_curves; i++)
		nn_meter_add(&e->curve[i], a);
}

/* ---- The walk ---------------------------------------------------------------------------------------------------- */

static void add_batch(struct run *r, struct evaluation *e, const struct nn_answers *a, int64_t first)
{
	for (int64_t k = 0; k < a->n * a->n_losses; k++)
		if (answers_count(a, k))
			nn_figure_add(&e->loss, a->loss[k]);
	for (int i = 0; i < r->spec.metrics.n; i++)
		nn_meter_add(&e->meter[i], a);
	if (e->keep)
		keep_batch(e, a, first);
}

static bool evaluate_batch(struct run *r, struct evaluation *e, int64_t first, int64_t n, float *answer, float *each)
{
	struct batch *b = run_batch(r, e->split, -1, NULL, first, n);
	struct nn_answers a;

	if (!b)
		return false;
	if (nn_trainer_evaluate(r->trainer, &b->of, each, answer)) {
		err_set(&r->err, td_error(r->c)->status, "evaluating %s: %s", run_split_names[e->split],
			td_error(r->c)->text);
		return false;
	}
	e->loss_weight += nn_trainer_evaluated_weight(r->trainer);
	a = run_answers(r, n, answer, each);
	add_batch(r, e, &a, first);
	return true;
}

bool evaluate(struct run *r, enum data_split split, int64_t n, const char *phase, bool keep, struct evaluation *out)
{
	int64_t size = r->spec.data.batch_size, done = 0;
	float *answer = NULL, *each = NULL;
	bool ok;

	*out = (struct evaluation){
		.split = split, .n = n, .keep = keep, .steps = r->facts->target == DATA_TOKENS ? r->facts->y.dim[0] : 1
	};
	for (int i = 0; i < r->spec.metrics.n; i++)
		nn_meter_init(&out->meter[i], &r->spec.metrics.items[i], r->facts);
	ok = answer_rooms(r, TD_MIN(size, n), &answer, &each) && (!keep || keep_init(r, out));
	for (; ok && done < n; done += size) {
		ok = !run_abandoned(r) && evaluate_batch(r, out, done, TD_MIN(size, n - done), answer, each);
		tell_progress(&r->tell, r->at.step, r->at.epoch, phase, false);
		tell_due(&r->tell);
	}
	mem_free(answer);
	mem_free(each);
	if (!ok)
		evaluation_release(r, out);
	return ok;
}

void evaluation_release(struct run *r, struct evaluation *e)
{
	for (int i = 0; i < r->spec.metrics.n; i++)
		nn_meter_release(&e->meter[i]);
	for (int i = 0; i < e->n_curves; i++)
		nn_meter_release(&e->curve[i]);
	mem_free(e->sample_loss);
	mem_free(e->label);
	mem_free(e->predicted);
	mem_free(e->residuals.target);
	mem_free(e->residuals.prediction);
	*e = (struct evaluation){ 0 };
}

void evaluation_tell(struct run *r, const struct evaluation *e, int64_t step)
{
	char series[SPEC_SERIES], name[NN_METRIC_NAME];

	for (int i = 0; i <= r->spec.metrics.n; i++) {
		snprintf(series, sizeof series, "%s/%s", run_split_series[e->split],
			i ? nn_metric_name(&r->spec.metrics.items[i - 1], name) : "loss");
		tell_point(&r->tell, series, step, evaluation_value(e, i));
	}
}
