/* The training loop: from a RUN message to weights.
 *
 * The order of messages is part of the promise that a killed job loses and doubles nothing: every point up to a step is
 * sent before the checkpoint of that step, and a step that has a checkpoint never sends a point again.  So validation
 * comes before the checkpoint of its step, and the last step has its checkpoint only after the test points. */
#include "worker/run.h"
#include "worker/worker.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define EPOCH_CHECKPOINT_MS 1000 /* epochs that are shorter than this do not each leave a checkpoint */
#define LEAVE_FLUSH_MS                                                                                                 \
	60000 /* until the daemon has acknowledged the last message; it kills a worker that it gave up                 \
	       */
#define REPORT_TRAIN_MOST 5000 /* training samples that the report evaluates: the figures need no more */

/* ---- Batches --------------------------------------------------------------------------------------------------- */

static bool make_batch(struct run *r, struct batch *b, int64_t n)
{
	const struct data_info *info = spec_dataset(&r->spec);
	td_shape images = td_shape_make(TD_F32, 4, n, info->channels, info->height, info->width);
	td_shape labels = td_shape_make(TD_I64, 1, n);

	td_unref(b->images);
	td_unref(b->labels);
	b->n = n;
	b->images = td_tensor(r->c, &images, NULL);
	b->labels = td_tensor(r->c, &labels, NULL);
	if (b->images && b->labels)
		return true;
	err_set(&r->err, td_error(r->c)->status, "a batch of %lld samples: %s", (long long)n, td_error(r->c)->text);
	return false;
}

struct batch *run_batch(struct run *r, const struct data_view *v, const int64_t *order, int64_t first, int64_t n)
{
	struct batch *b = &r->batches[n != r->spec.data.batch_size];

	if (b->n != n && !make_batch(r, b, n))
		return NULL;
	data_batch(v, &r->table, order, first, n, r->images, r->labels);
	td_write(b->images, r->images);
	td_write(b->labels, r->labels);
	return b;
}

static const int64_t *epoch_order(struct run *r, int64_t epoch)
{
	if (r->order_epoch != epoch)
		data_epoch_order((uint64_t)r->spec.seed, epoch, r->spec.data.shuffle, r->train.n, r->order);
	r->order_epoch = epoch;
	return r->order;
}

/* ---- Getting ready --------------------------------------------------------------------------------------------- */

static bool read_spec(struct run *r, const cJSON *document)
{
	spec_read(document, &r->spec, &r->faults);
	if (!r->faults.n_found)
		r->model = spec_model(&r->spec, &r->faults);
	if (r->model)
		return true;
	r->err_pointer = r->faults.items[0].pointer;
	err_set(&r->err, TD_INVALID, "%s", r->faults.items[0].detail);
	return false;
}

static bool read_data(struct run *r)
{
	const struct data_info *info = spec_dataset(&r->spec);
	int64_t size = r->spec.data.batch_size * info->channels * info->height * info->width;

	data_init(&r->data, info);
	if (data_load(&r->data, DATA_TRAIN, r->data_folder, spec_limit(&r->spec), &r->err)) {
		r->err_pointer = "/data/dataset";
		return false;
	}
	data_split(&r->data, spec_limit(&r->spec), spec_validation(&r->spec), (enum data_split_by)r->spec.data.split.by,
		(uint64_t)r->spec.seed, &r->train, &r->validation);
	data_table_init(&r->table, &r->spec.data.transforms, info->channels);
	r->order = MEM_NEW_N(int64_t, r->train.n);
	r->order_epoch = -1;
	r->labels = MEM_NEW_N(int64_t, r->spec.data.batch_size);
	r->images = mem_try_alloc((size_t)size * sizeof(float));
	if (!r->images)
		err_set(&r->err, TD_NO_MEMORY, "no memory for a batch of %lld samples",
			(long long)r->spec.data.batch_size);
	r->n_batches = data_batches(r->train.n, r->spec.data.batch_size);
	return r->images;
}

static bool load_test(struct run *r)
{
	if (data_load(&r->data, DATA_TEST, r->data_folder, 0, &r->err)) {
		r->err_pointer = "/data/dataset";
		return false;
	}
	data_whole(&r->data, DATA_TEST, &r->test);
	return true;
}

static bool make_trainer(struct run *r)
{
	struct nn_trainer_options o = { .model = r->model,
		.loss = r->spec.loss,
		.optimizer = r->spec.optimizer,
		.metrics = r->spec.metrics,
		.graph = r->spec.mode == SPEC_GRAPH };

	r->c = o.c = td_ctx_create(&(td_ctx_options){ .threads = r->threads, .seed = (uint64_t)r->spec.seed });
	if (!nn_model_allocate(r->model, r->c, (uint64_t)r->spec.seed))
		r->trainer = nn_trainer_create(&o);
	if (!r->trainer)
		err_set(&r->err, td_error(r->c)->status, "making the model: %s", td_error(r->c)->text);
	return r->trainer;
}

static bool set_start(struct run *r)
{
	r->saved_step = -1;
	r->at = (struct checkpoint){ .seed = (uint64_t)r->spec.seed, .best = NAN };
	if (r->resume && !load_checkpoint(r))
		return false;
	if (r->resume && strcmp(r->at.fingerprint, td_fingerprint()) != 0)
		tell_log(&r->tell, "warning", "the checkpoint was made on %s, this is %s: going on, but not bit-exact",
			r->at.fingerprint, td_fingerprint());
	snprintf(r->at.fingerprint, sizeof r->at.fingerprint, "%s", td_fingerprint());
	return true;
}

static void add_series(cJSON *list, const char *group, const char *name, bool deterministic)
{
	cJSON *o = cJSON_CreateObject();
	char text[64];

	snprintf(text, sizeof text, "%s/%s", group, name);
	cJSON_AddStringToObject(o, "name", text);
	cJSON_AddBoolToObject(o, "deterministic", deterministic);
	cJSON_AddItemToArray(list, o);
}

static bool validates(const struct run *r)
{
	return r->validation.n && r->spec.train.validate_every != SPEC_NEVER;
}

static void tell_started(struct run *r)
{
	static const char *const groups[] = { "train", "val", "test" };
	cJSON *body = cJSON_CreateObject(), *series;

	cJSON_AddStringToObject(body, "fingerprint", td_fingerprint());
	cJSON_AddNumberToObject(body, "parameters", (double)r->model->n_parameters);
	cJSON_AddNumberToObject(body, "n_steps", (double)r->n_steps);
	series = cJSON_AddArrayToObject(body, "series");
	for (size_t i = 0; i < TD_COUNT(groups); i++) {
		if (i == 1 && !validates(r))
			continue;
		add_series(series, groups[i], "loss", true);
		for (int k = 0; k < r->spec.metrics.n; k++)
			add_series(series, groups[i], r->spec.metrics.items[k].type->name, true);
	}
	add_series(series, "train", "lr", true);
	add_series(series, "train", "grad_norm", true);
	add_series(series, "train", "samples_per_second", false);
	link_send(r->link, PROTO_STARTED, body);
}

static bool prepare(struct run *r, const cJSON *document)
{
	if (!read_spec(r, document))
		return false;
	r->n_steps = r->tell.n_steps = spec_steps(&r->spec);
	/* A job that goes on is not shown as back at its beginning. */
	tell_progress(&r->tell, json_int(r->resume, "step", 0), 0, "prepare", true);
	if (!read_data(r) || !make_trainer(r) || !set_start(r))
		return false;
	tell_started(r);
	tell_log(&r->tell, "info",
		"%s: %lld parameters, %lld steps of %lld samples, %lld to train, %lld to validate, %s mode, %d "
		"thread%s",
		r->resume ? "going on" : "training", (long long)r->model->n_parameters, (long long)r->n_steps,
		(long long)r->spec.data.batch_size, (long long)r->train.n, (long long)r->validation.n,
		r->spec.mode == SPEC_GRAPH ? "graph" : "eager", r->threads, r->threads == 1 ? "" : "s");
	return true;
}

static void run_release(struct run *r)
{
	tell_release(&r->tell);
	for (size_t i = 0; i < TD_COUNT(r->batches); i++) {
		td_unref(r->batches[i].images);
		td_unref(r->batches[i].labels);
	}
	nn_trainer_free(r->trainer);
	nn_model_free(r->model);
	if (r->c)
		td_ctx_free(r->c);
	data_table_release(&r->table);
	data_view_release(&r->train);
	data_view_release(&r->validation);
	data_view_release(&r->test);
	data_release(&r->data);
	mem_free(r->order);
	mem_free(r->images);
	mem_free(r->labels);
	spec_release(&r->spec);
	faults_release(&r->faults);
}

/* ---- Steps ----------------------------------------------------------------------------------------------------- */

bool run_abandoned(const struct run *r)
{
	enum link_stop stop = link_stop_wanted(r->link);

	return stop == LINK_CANCEL || stop == LINK_TIMEOUT || stop == LINK_STALE;
}

/* What nobody waits for comes when the first points are on their way: the drawing of the graph, and the test samples,
 * which are read long before they are needed, so that a damaged file does not end a job of hours. */
static bool settle(struct run *r, const struct batch *b)
{
	cJSON *graph = graph_json(r, b);

	if (!graph)
		return false;
	link_send(r->link, PROTO_GRAPH, graph);
	r->settled = true;
	return load_test(r);
}

/* The running means since the last point become points. */
static void log_window(struct run *r, double grad_norm)
{
	struct checkpoint *at = &r->at;
	double samples = (double)at->window_samples;
	int64_t now = clock_monotonic_ns();
	char series[64];

	tell_point(&r->tell, "train/loss", at->step, at->window_loss / samples);
	for (int i = 0; i < r->spec.metrics.n; i++) {
		snprintf(series, sizeof series, "train/%s", r->spec.metrics.items[i].type->name);
		tell_point(&r->tell, series, at->step, at->window_metric[i] / samples);
	}
	tell_point(
		&r->tell, "train/lr", at->step, ((const struct nn_optimizer_options *)r->spec.optimizer.options)->lr);
	tell_point(&r->tell, "train/grad_norm", at->step, grad_norm);
	if (now > r->window_ns)
		tell_point(&r->tell, "train/samples_per_second", at->step,
			(double)r->window_seen * 1e9 / (double)(now - r->window_ns));
	at->window_loss = 0;
	at->window_samples = 0;
	memset(at->window_metric, 0, sizeof at->window_metric);
	r->window_ns = now;
	r->window_seen = 0;
}

static bool train_step(struct run *r)
{
	struct checkpoint *at = &r->at;
	const int64_t *order = epoch_order(r, at->epoch);
	int64_t first = at->batch * r->spec.data.batch_size, n = TD_MIN(r->spec.data.batch_size, r->train.n - first);
	int64_t began = clock_monotonic_ns();
	struct batch *b = run_batch(r, &r->train, order, first, n);
	struct nn_step_result result;

	if (!b)
		return false;
	if (nn_trainer_step(r->trainer, at->step + 1, b->images, b->labels, &result)) {
		err_set(&r->err, td_error(r->c)->status, "step %lld: %s", (long long)at->step + 1,
			td_error(r->c)->text);
		return false;
	}
	r->train_ns += clock_monotonic_ns() - began;
	r->train_samples += n;
	r->window_seen += n;
	at->step++;
	at->epoch = at->step / r->n_batches;
	at->batch = at->step % r->n_batches;
	at->window_loss += result.loss * (double)n;
	at->window_samples += n;
	for (int i = 0; i < r->spec.metrics.n; i++)
		at->window_metric[i] += result.metric[i];
	if (at->step % r->spec.log.every == 0 || at->step == r->n_steps)
		log_window(r, result.grad_norm);
	tell_due(&r->tell);
	tell_progress(&r->tell, at->step, at->epoch, "train", false);
	return r->settled || settle(r, b);
}

/* ---- Between steps --------------------------------------------------------------------------------------------- */

static bool validation_due(const struct run *r)
{
	int64_t every = r->spec.train.validate_every;

	if (!validates(r))
		return false;
	return every == SPEC_EVERY_EPOCH ? r->at.batch == 0 || r->at.step == r->n_steps
					 : r->at.step % every == 0 || r->at.step == r->n_steps;
}

/* Whether E is better than all before, by the series of train.keep.best; if so it is remembered. */
static bool is_best(struct run *r, const struct evaluation *e)
{
	double value = figure_mean(&e->loss);
	bool better;

	if (r->spec.train.keep.best == SPEC_BEST_NONE)
		return false;
	if (r->spec.train.keep.best == SPEC_BEST_ACCURACY)
		for (int i = 0; i < r->spec.metrics.n; i++)
			if (!strcmp(r->spec.metrics.items[i].type->name, "accuracy"))
				value = -figure_mean(&e->metric[i]);
	better = value < r->at.best || (isnan(r->at.best) && !isnan(value));
	if (better)
		r->at.best = value;
	return better;
}

static bool validate(struct run *r)
{
	struct evaluation e;
	bool ok = evaluate(r, &r->validation, r->validation.n, "validate", &e);

	if (!ok)
		return false;
	evaluation_tell(r, &e, "val", r->at.step);
	tell_log(&r->tell, "info", "step %lld, epoch %lld: val/loss %.4f", (long long)r->at.step,
		(long long)(r->at.step + r->n_batches - 1) / r->n_batches, figure_mean(&e.loss));
	if (is_best(r, &e))
		ok = save_checkpoint(r, "best");
	evaluation_release(&e);
	r->window_ns = clock_monotonic_ns(); /* the time of validation is not that of training */
	r->window_seen = 0;
	return ok;
}

static bool checkpoint_due(const struct run *r)
{
	int64_t every = r->spec.train.checkpoint_every;

	if (every && r->at.step % every == 0)
		return true;
	return r->at.batch == 0 && clock_monotonic_ms() - r->saved_ms >= EPOCH_CHECKPOINT_MS;
}

/* Train to the end.  False: stopped as told, or R->err. */
static bool train_all(struct run *r)
{
	r->window_ns = clock_monotonic_ns();
	while (r->at.step < r->n_steps) {
		if (link_stop_wanted(r->link) != LINK_GO || !train_step(r))
			return false;
		if (validation_due(r) && !validate(r))
			return false;
		if (r->at.step < r->n_steps && checkpoint_due(r) && !save_checkpoint(r, "last"))
			return false;
	}
	return true;
}

/* ---- Endings ---------------------------------------------------------------------------------------------------- */

static void tell_done(struct run *r, const struct evaluation *train, const struct evaluation *validation,
	const struct evaluation *test)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddItemToObject(body, "report", report_json(r, train, validation, test));
	cJSON_AddItemToObject(body, "engine", engine_json(r));
	link_send(r->link, PROTO_DONE, body);
}

/* All steps are done: test, checkpoint, weights, report.  After a resume the points are there already. */
static bool finish(struct run *r)
{
	struct evaluation train = { 0 }, validation = { 0 }, test = { 0 };
	bool ok = (r->test.n || load_test(r)) && evaluate(r, &r->test, r->test.n, "test", &test);

	if (ok && !r->at.finished) {
		evaluation_tell(r, &test, "test", r->at.step);
		r->at.finished = true;
		ok = save_checkpoint(r, "last");
	}
	ok = ok && save_model(r);
	ok = ok && evaluate(r, &r->train, TD_MIN(r->train.n, REPORT_TRAIN_MOST), "test", &train);
	if (r->validation.n)
		ok = ok && evaluate(r, &r->validation, r->validation.n, "test", &validation);
	if (ok) {
		tell_log(&r->tell, "info", "done: test/loss %.4f", figure_mean(&test.loss));
		tell_flush(&r->tell);
		tell_progress(&r->tell, r->at.step, r->at.epoch, "test", true);
		tell_done(r, &train, r->validation.n ? &validation : NULL, &test);
	}
	evaluation_release(&train);
	evaluation_release(&validation);
	evaluation_release(&test);
	return ok;
}

/* Leave as the daemon, or the loss of it, wants: with a checkpoint where the job may go on. */
static void stop(struct run *r)
{
	enum link_stop why = link_stop_wanted(r->link);
	bool goes_on = why == LINK_PAUSE || why == LINK_DRAIN || why == LINK_ORPHANED;
	cJSON *body;

	if (why == LINK_STALE)
		return; /* another attempt owns the job and its folder */
	if (goes_on && r->saved_step != r->at.step && !save_checkpoint(r, "last"))
		return;
	tell_flush(&r->tell);
	body = cJSON_CreateObject();
	cJSON_AddNumberToObject(body, "step", (double)TD_MAX(r->saved_step, 0));
	link_send(r->link, PROTO_STOPPED, body);
}

int worker_train(struct link *l, const cJSON *run)
{
	struct run r = { .link = l,
		.folder = json_string(run, "folder", ""),
		.data_folder = json_string(run, "data", ""),
		.threads = (int)json_int(run, "threads", 1),
		.began_ms = clock_monotonic_ms() };
	bool done;

	if (cJSON_IsObject(json_get(run, "resume")))
		r.resume = json_get(run, "resume");
	tell_init(&r.tell, l);
	faults_init(&r.faults);
	done = prepare(&r, json_get(run, "spec")) && train_all(&r) && finish(&r);
	if (!done && !r.err.status)
		stop(&r);
	if (r.err.status)
		tell_failed(&r.tell, r.err.status, r.err.text, r.err_pointer,
			r.err.status == TD_IO || r.err.status == TD_NO_SPACE);
	run_release(&r);
	return link_flush(l, LEAVE_FLUSH_MS) || link_stop_wanted(l) == LINK_STALE ? 0 : 1;
}
