/* Steps: batches go into the trainer, running means come out. */
#include "worker/run.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const int64_t *epoch_order(struct run *r, int64_t epoch)
{
	if (r->order_epoch != epoch) {
		loader_order(r->loader, epoch, r->order);
		if (r->spec.data.shuffle)
			td_note_order(r->c, r->order, r->facts->n[DATA_TRAIN]);
	}
	r->order_epoch = epoch;
	return r->order;
}

/* ---- Points ------------------------------------------------------------------------------------------------------ */

void log_window(struct run *r)
{
	struct checkpoint *at = &r->at;
	int64_t now = clock_monotonic_ns();
	char series[SPEC_SERIES], name[NN_METRIC_NAME];

	if (at->window_targets) /* else there was nothing to learn from */
		tell_point(&r->tell, "train/loss", at->step, at->window_loss / (double)at->window_targets);
	for (int i = 0; i < r->spec.metrics.n; i++) {
		const struct opt_choice *metric = &r->spec.metrics.items[i];
		const struct checkpoint_figure *f = &at->window_metric[i];
		double value;

		if (!spec_metric(&r->spec, i)->add_mean)
			continue;
		nn_figure_result(metric, &(struct nn_figure){ f->sum, f->sum_squares, f->n }, &value, NULL);
		snprintf(series, sizeof series, "train/%s", nn_metric_name(metric, name));
		tell_point(&r->tell, series, at->step, value);
	}
	tell_point(&r->tell, "train/lr", at->step, nn_group_lr(r->spec.optimizer.options, -1) * r->factor);
	tell_point(&r->tell, "train/grad_norm", at->step, r->grad_norm);
	if (r->spec.train.on_nonfinite == SPEC_CONTINUE)
		tell_point(&r->tell, "train/skipped", at->step, (double)at->skipped);
	if (now > r->window_ns)
		tell_point(&r->tell, "train/samples_per_second", at->step,
			(double)r->window_seen * 1e9 / (double)(now - r->window_ns));
	at->window_loss = 0;
	at->window_targets = 0;
	memset(at->window_metric, 0, sizeof at->window_metric);
	r->window_ns = now;
	r->window_seen = 0;
}

/* ---- Histograms -------------------------------------------------------------------------------------------------- */

#define BUCKETS    64   /* of equal width, from the smallest to the largest value */
#define HALF_LEAST 1e-6 /* of a value, so that it is more than rounding, however large the value is */

/* Count the finite ones of the N values at V.  All being equal, the range is a unit around them, as NumPy has it, or
 * wider around very large ones. */
static void send_histogram(struct run *r, const char *group, const char *name, const float *v, int64_t n)
{
	cJSON *body = cJSON_CreateObject(), *edges, *counts;
	double low = INFINITY, high = -INFINITY;
	int64_t count[BUCKETS] = { 0 };
	char *text = mem_printf("%s/%s", group, name);

	for (int64_t i = 0; i < n; i++) {
		low = isfinite(v[i]) ? fmin(low, (double)v[i]) : low;
		high = isfinite(v[i]) ? fmax(high, (double)v[i]) : high;
	}
	if (!(low < high)) {
		double half = isfinite(low) ? fmax(0.5, fabs(low) * HALF_LEAST) : 0.5;

		low = isfinite(low) ? low - half : 0;
		high = low + 2 * half;
	}
	for (int64_t i = 0; i < n; i++)
		if (isfinite(v[i]))
			count[TD_MIN(BUCKETS - 1, (int)(((double)v[i] - low) / (high - low) * BUCKETS))]++;
	cJSON_AddStringToObject(body, "name", text);
	cJSON_AddNumberToObject(body, "step", (double)r->at.step);
	edges = cJSON_AddArrayToObject(body, "edges");
	counts = cJSON_AddArrayToObject(body, "counts");
	for (int i = 0; i <= BUCKETS; i++)
		cJSON_AddItemToArray(edges, cJSON_CreateNumber(low + (high - low) * i / BUCKETS));
	for (int i = 0; i < BUCKETS; i++)
		cJSON_AddItemToArray(counts, cJSON_CreateNumber((double)count[i]));
	link_send(r->link, PROTO_HISTOGRAM, body);
	mem_free(text);
}

/* Of all weights and of the last step's gradients.  False: R->err. */
static bool send_histograms(struct run *r)
{
	int64_t most = 0;
	float *room;

	for (int i = 0; i < r->model->n_params; i++)
		most = TD_MAX(most, td_shape_count(&r->model->params[i].shape));
	room = mem_try_alloc((size_t)most * sizeof *room);
	if (!room) {
		err_set(&r->err, TD_NO_MEMORY,
			"no memory for histograms of %lld values; set /log/histograms_every to 0", (long long)most);
		return false;
	}
	for (int i = 0; i < r->model->n_params; i++) {
		const struct nn_param *p = &r->model->params[i];

		if (p->buffer)
			continue;
		td_read(p->value, room);
		send_histogram(r, "weights", p->name, room, td_shape_count(&p->shape));
		if (nn_trainer_gradient(r->trainer, i, room) == TD_OK)
			send_histogram(r, "gradients", p->name, room, td_shape_count(&p->shape));
	}
	mem_free(room);
	return true;
}

/* ---- One step ---------------------------------------------------------------------------------------------------- */

/* The batches of a step, and what becomes of them. */
struct step {
	struct run *run;
	int64_t batch;   /* the first, within its epoch */
	int64_t n;       /* samples of the present one */
	int64_t samples; /* of all so far */
};

static bool next_batch(void *arg, int i, struct nn_batch *out)
{
	struct step *s = arg;
	struct run *r = s->run;
	int64_t size = r->spec.data.batch_size, first = (s->batch + i) * size,
		n = TD_MIN(size, r->facts->n[DATA_TRAIN] - first);
	struct batch *b = run_batch(r, DATA_TRAIN, r->at.epoch, epoch_order(r, r->at.epoch), first, n);

	if (!b)
		return false;
	if (r->watch)
		r->watch->batch(r->watch->arg, i, b, epoch_order(r, r->at.epoch), first);
	s->n = n;
	s->samples += n;
	*out = b->of;
	return true;
}

static void count_answers(void *arg, int i, const float *answer, const float *each)
{
	const struct step *s = arg;
	struct run *r = s->run;
	struct nn_answers a = run_answers(r, s->n, answer, each);

	if (r->watch)
		r->watch->answers(r->watch->arg, i, &a);
	for (int k = 0; k < r->spec.metrics.n; k++) {
		const struct nn_metric_type *t = spec_metric(&r->spec, k);
		struct checkpoint_figure *f = &r->at.window_metric[k];
		struct nn_figure figure = { f->sum, f->sum_squares, f->n };

		if (!t->add_mean)
			continue;
		t->add_mean(r->spec.metrics.items[k].options, &a, &figure);
		*f = (struct checkpoint_figure){ figure.sum, figure.sum_squares, figure.n };
	}
}

static bool has_running_metric(const struct spec *s)
{
	for (int i = 0; i < s->metrics.n; i++)
		if (spec_metric(s, i)->add_mean)
			return true;
	return false;
}

static double schedule_factor(const struct run *r)
{
	const struct checkpoint *at = &r->at;
	struct nn_plateau plateau = { at->plateau.best, at->plateau.bad, at->plateau.factor };

	return nn_schedule_factor(&r->spec.schedule, &plateau, at->step + 1,
		spec_epoch_steps(&r->spec, r->facts->n[DATA_TRAIN]), r->n_steps);
}

static double schedule_momentum(const struct run *r)
{
	return nn_schedule_momentum(
		&r->spec.schedule, r->at.step + 1, spec_epoch_steps(&r->spec, r->facts->n[DATA_TRAIN]), r->n_steps);
}

/* A step that has failed, in words. */
static bool failed(struct run *r)
{
	err_set(&r->err, td_error(r->c)->status, "step %lld: %s", (long long)r->at.step + 1, td_error(r->c)->text);
	return false;
}

static bool is_finite(const struct run *r)
{
	return isfinite(r->loss) && isfinite(r->grad_norm);
}

/* What of the step was not finite, in words. */
static const char *wrong_name(const struct run *r)
{
	return isfinite(r->loss) ? "gradient norm" : "loss";
}

static const char *wrong_value(const struct run *r)
{
	return json_nonfinite(isfinite(r->loss) ? r->grad_norm : r->loss);
}

/* The figures of STEP alone, wherever it lies in its window. */
static void tell_step(struct run *r, int64_t step)
{
	tell_point(&r->tell, "train/loss", step, r->loss);
	tell_point(&r->tell, "train/grad_norm", step, r->grad_norm);
}

/* The step was not finite, so its update has not happened.  False: the training stops before it. */
static bool pass_over(struct run *r)
{
	const char *what = wrong_name(r), *value = wrong_value(r);

	if (r->spec.train.on_nonfinite == SPEC_CONTINUE) {
		r->at.skipped++;
		tell_log(&r->tell, "warning", "step %lld: the %s is %s; its update is left out",
			(long long)r->at.step + 1, what, value);
		return true;
	}
	r->nonfinite = isfinite(r->loss) ? "grad_norm" : "loss";
	tell_step(r, r->at.step + 1); /* where the curves end */
	err_set(&r->err, TD_INVALID,
		"step %lld: the %s is %s, so its update did not happen and the training stopped; the replay of this "
		"step, which is made by itself, names the op to blame; \"on_nonfinite\": \"continue\" leaves such "
		"updates out",
		(long long)r->at.step + 1, what, value);
	return false;
}

static bool window_ends(const struct run *r)
{
	return r->at.step % r->spec.log.every == 0 || r->at.step == r->n_steps;
}

/* The step that was just done is the first whose update was left out: it is replayed, and has points to be compared
 * with, also within a window. */
static void tell_first_left_out(struct run *r)
{
	if (!window_ends(r))
		tell_step(r, r->at.step);
	tell_left_out(&r->tell, r->at.step, wrong_name(r), wrong_value(r));
}

bool train_step(struct run *r)
{
	struct checkpoint *at = &r->at;
	int64_t began = clock_monotonic_ns();
	struct step s = { .run = r, .batch = at->batch };
	struct nn_step step = { .number = at->step + 1,
		.factor = schedule_factor(r),
		.momentum = schedule_momentum(r),
		.n_batches = (int)TD_MIN(r->spec.train.accumulate, r->n_batches - at->batch),
		.next = next_batch,
		.answered = has_running_metric(&r->spec) ? count_answers : NULL,
		.arg = &s };
	struct nn_step_result result;

	if (nn_trainer_step(r->trainer, &step, &result))
		return failed(r);
	r->factor = step.factor;
	r->loss = result.loss;
	r->grad_norm = result.grad_norm;
	if (!is_finite(r) && !pass_over(r))
		return false;
	r->train_ns += clock_monotonic_ns() - began;
	r->train_samples += s.samples;
	r->window_seen += s.samples;
	at->step++;
	at->batch += step.n_batches;
	if (at->batch == r->n_batches) {
		at->epoch++;
		at->batch = 0;
	}
	at->window_loss += result.loss * (double)result.n;
	at->window_targets += result.n;
	if (window_ends(r))
		log_window(r);
	if (!is_finite(r) && at->skipped == 1)
		tell_first_left_out(r);
	if (r->spec.log.histograms_every && at->step % r->spec.log.histograms_every == 0 && !r->watch &&
		!send_histograms(r))
		return false;
	tell_due(&r->tell);
	tell_progress(&r->tell, at->step, at->epoch, "train", false);
	return true;
}
