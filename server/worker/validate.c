/* Validation, and what follows from it: the best is kept, a plateau lowers the learning rate, a job stops early.
 *
 * All three remember in the checkpoint what they have seen, and decide before the checkpoint of their step is written:
 * a job that is killed meanwhile validates again, sees the same values, and decides the same. */
#include "worker/run.h"
#include "base/clock.h"

#include <math.h>

bool validates(const struct run *r)
{
	return r->facts->n[DATA_VALIDATION] && r->spec.train.validate_every != SPEC_NEVER;
}

bool validation_due(const struct run *r)
{
	int64_t every = r->spec.train.validate_every;

	if (!validates(r))
		return false;
	return r->at.step == r->n_steps || (every == SPEC_EVERY_EPOCH ? r->at.batch == 0 : r->at.step % every == 0);
}

/* The value of the series NAME, turned so that smaller is better. */
static double cost(const struct run *r, const struct evaluation *e, const char *name)
{
	int series = spec_series(&r->spec, name);
	double value = evaluation_value(e, series);

	return spec_smaller_is_better(&r->spec, series) ? value : -value;
}

/* NaN is worse than anything. */
static bool is_better(double value, double best, double by_more_than)
{
	return isnan(best) ? !isnan(value) : value < best - by_more_than;
}

static bool keep_best(struct run *r, const struct evaluation *e)
{
	double value;

	if (!spec_keeps_best(&r->spec))
		return true;
	value = cost(r, e, r->spec.train.keep.best);
	if (!is_better(value, r->at.best, 0))
		return true;
	r->at.best = value;
	r->at.best_step = r->at.step;
	return save_checkpoint(r, "best");
}

static void watch_plateau(struct run *r, const struct evaluation *e)
{
	const char *name = spec_watched(&r->spec);
	struct nn_plateau p = { r->at.plateau.best, r->at.plateau.bad, r->at.plateau.factor };
	int series;

	if (!name)
		return;
	series = spec_series(&r->spec, name);
	spec_schedule(&r->spec)->observe(
		r->spec.schedule.options, &p, evaluation_value(e, series), spec_smaller_is_better(&r->spec, series));
	if (p.factor != r->at.plateau.factor)
		tell_log(&r->tell, "info",
			"step %lld: %s is on a plateau; learning rates are now %g of what they were set to",
			(long long)r->at.step, name, p.factor);
	r->at.plateau.best = p.best;
	r->at.plateau.bad = p.bad;
	r->at.plateau.factor = p.factor;
}

static void watch_early(struct run *r, const struct evaluation *e)
{
	const struct spec_early *early = &r->spec.train.early_stopping;
	double value;

	if (!early->metric)
		return;
	value = cost(r, e, early->metric);
	if (is_better(value, r->at.early_best, early->min_delta)) {
		r->at.early_best = value;
		r->at.bad = 0;
		return;
	}
	r->at.bad++;
	if (r->at.bad < early->patience || r->at.step == r->n_steps)
		return;
	r->at.stopped = true;
	tell_log(&r->tell, "info", "step %lld: stopping early; %s has not become better in %lld validations",
		(long long)r->at.step, early->metric, (long long)r->at.bad);
	if (r->at.window_targets)
		log_window(r); /* the last step of a training has its point, as always */
}

bool validate(struct run *r)
{
	struct evaluation e;
	bool ok = evaluate(r, DATA_VALIDATION, r->facts->n[DATA_VALIDATION], "validate", false, &e);

	if (!ok)
		return false;
	evaluation_tell(r, &e, r->at.step);
	tell_log(&r->tell, "info", "step %lld, epoch %lld: val/loss %.4f", (long long)r->at.step,
		(long long)(r->at.epoch + (r->at.batch != 0)), evaluation_loss(&e));
	watch_plateau(r, &e);
	watch_early(r, &e);
	ok = keep_best(r, &e);
	evaluation_release(r, &e);
	r->window_ns = clock_monotonic_ns(); /* the time of validation is not that of training */
	r->window_seen = 0;
	return ok;
}
