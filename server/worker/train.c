/* The training loop: from a RUN message to weights.
 *
 * The order of messages is part of the promise that a killed job loses and doubles nothing: every point (and histogram)
 * up to a step is sent before the checkpoint of that step, and a step that has a checkpoint never sends a point again.
 * So validation comes before the checkpoint of its step, with all that is decided from it, and the last step, be it the
 * planned one or an early one, has its checkpoint only after the test points. */
#include "worker/run.h"
#include "worker/worker.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define INFO_MOST           (64u << 20) /* bytes of a pack's info.json: 100,000 classes with their names */
#define EPOCH_CHECKPOINT_MS 1000        /* epochs that are shorter than this do not each leave a checkpoint */
#define LEAVE_FLUSH_MS                                                                                                 \
	60000 /* until the daemon has acknowledged the last message; it kills a worker that it gave up                 \
	       */
#define REPORT_TRAIN_MOST 5000 /* training samples that the report evaluates: the figures need no more */

/* ---- Getting ready --------------------------------------------------------------------------------------------- */

/* The first fault becomes the job's error. */
static bool without_faults(struct run *r)
{
	if (!r->faults.n_found)
		return true;
	r->err_pointer = r->faults.items[0].pointer;
	err_set(&r->err, TD_INVALID, "%s", r->faults.items[0].detail);
	return false;
}

static bool read_spec(struct run *r)
{
	spec_read_stored(r->document, &r->spec, &r->faults);
	return without_faults(r);
}

static cJSON *read_info(struct run *r)
{
	char *path = mem_printf("%s/info.json", r->data_folder);
	struct buf text;
	cJSON *info = NULL;

	buf_init(&text, INFO_MOST);
	if (!file_read(path, &text, &r->err))
		info = json_parse(text.data ? text.data : "", text.len, &r->err);
	if (!info)
		r->err_pointer = "/data/dataset";
	buf_release(&text);
	mem_free(path);
	return info;
}

static bool read_data(struct run *r)
{
	cJSON *info = read_info(r);
	const char *pointer = NULL;

	if (!info)
		return false;
	r->loader = loader_create(&r->spec.data, info, &r->faults);
	cJSON_Delete(info);
	if (!without_faults(r))
		return false;
	TD_ASSERT(r->loader);
	r->tell.n_steps = spec_steps(&r->spec, loader_facts(r->loader)->n[DATA_TRAIN]);
	/* A job that goes on is not shown as back at its beginning. */
	tell_progress(&r->tell, json_int(r->resume, "step", 0), 0, "prepare", true);
	if (loader_open(r->loader, r->data_folder, (uint64_t)r->spec.seed, &pointer, &r->err)) {
		r->err_pointer = pointer;
		return false;
	}
	r->facts = loader_facts(r->loader);
	spec_meet_data(&r->spec, r->facts, &r->faults);
	return without_faults(r);
}

static bool make_model(struct run *r)
{
	r->model = spec_model(&r->spec, r->facts, &r->faults);
	if (r->model && !r->resume && !r->watch) /* what ran before runs again, whatever is thought of its memory now */
		spec_rehearse(&r->spec, r->model, r->facts, loader_bytes(r->loader), NULL, NULL, &r->faults);
	if (!without_faults(r))
		return false;
	r->order = MEM_NEW_N(int64_t, r->facts->n[DATA_TRAIN]);
	r->order_epoch = -1;
	r->n_batches = data_batches(r->facts->n[DATA_TRAIN], r->spec.data.batch_size);
	r->n_steps = r->tell.n_steps = spec_steps(&r->spec, r->facts->n[DATA_TRAIN]);
	return batch_rooms_init(r);
}

static bool make_trainer(struct run *r)
{
	struct nn_trainer_options o = { .model = r->model,
		.loss = r->spec.loss,
		.optimizer = r->spec.optimizer,
		.facts = r->facts,
		.clip_norm = r->spec.train.clip_norm,
		.clip_value = r->spec.train.clip_value,
		.ema_decay = r->spec.train.ema.decay,
		.accumulate = r->spec.train.accumulate,
		.moves_momentum = nn_schedule_momentum(&r->spec.schedule, 1, 1, 1) >= 0,
		.graph = r->spec.mode == SPEC_GRAPH };

	r->c = o.c = td_ctx_create(&(td_ctx_options){ .threads = r->threads, .seed = (uint64_t)r->spec.seed });
	if (!nn_model_allocate(r->model, r->c, (uint64_t)r->spec.seed))
		r->trainer = nn_trainer_create(&o);
	if (r->trainer && r->spec.log.histograms_every && !r->watch)
		nn_trainer_keep_gradients(r->trainer, true);
	if (!r->trainer || td_error(r->c)->status)
		err_set(&r->err, td_error(r->c)->status, "making the model: %s", td_error(r->c)->text);
	return !r->err.status;
}

const char *run_pack(const struct run *r)
{
	const char *last = strrchr(r->data_folder, '/');

	return last ? last + 1 : r->data_folder;
}

/* Whether the job begins with weights from elsewhere. */
static bool begins_from(const struct spec_init *from)
{
	return (from->model && *from->model) || (from->job && *from->job);
}

static bool set_start(struct run *r)
{
	r->saved_step = -1;
	r->factor = 1;
	r->at = (struct checkpoint){
		.seed = (uint64_t)r->spec.seed, .best = NAN, .early_best = NAN, .plateau = { .best = NAN, .factor = 1 }
	};
	if (r->resume ? !load_checkpoint(r) : begins_from(&r->spec.init_from) && !load_init(r))
		return false;
	if (r->resume && strcmp(r->at.fingerprint, td_fingerprint()) != 0)
		tell_log(&r->tell, "warning", "the checkpoint was made on %s, this is %s: going on, but not bit-exact",
			r->at.fingerprint, td_fingerprint());
	snprintf(r->at.fingerprint, sizeof r->at.fingerprint, "%s", td_fingerprint());
	r->start_step = r->at.step;
	return true;
}

static void add_series(cJSON *list, const char *group, const char *name, bool deterministic)
{
	cJSON *o = cJSON_CreateObject();
	char text[SPEC_SERIES];

	snprintf(text, sizeof text, "%s/%s", group, name);
	cJSON_AddStringToObject(o, "name", text);
	cJSON_AddBoolToObject(o, "deterministic", deterministic);
	cJSON_AddItemToArray(list, o);
}

/* The loss and the metrics of SPLIT; of the training only those that are means. */
static void add_split_series(const struct run *r, cJSON *list, enum data_split split)
{
	char name[NN_METRIC_NAME];

	add_series(list, run_split_series[split], "loss", true);
	for (int i = 0; i < r->spec.metrics.n; i++)
		if (split != DATA_TRAIN || spec_metric(&r->spec, i)->add_mean)
			add_series(
				list, run_split_series[split], nn_metric_name(&r->spec.metrics.items[i], name), true);
}

static void tell_started(struct run *r)
{
	cJSON *body = cJSON_CreateObject(), *series;

	cJSON_AddStringToObject(body, "fingerprint", td_fingerprint());
	cJSON_AddStringToObject(body, "data", run_pack(r));
	cJSON_AddStringToObject(body, "init", r->init_sha256);
	cJSON_AddNumberToObject(body, "parameters", (double)r->model->n_parameters);
	cJSON_AddNumberToObject(body, "n_steps", (double)r->n_steps);
	cJSON_AddItemToObject(body, "metrics", worker_metric_names(&r->spec));
	series = cJSON_AddArrayToObject(body, "series");
	add_split_series(r, series, DATA_TRAIN);
	if (validates(r))
		add_split_series(r, series, DATA_VALIDATION);
	if (r->facts->n[DATA_TEST])
		add_split_series(r, series, DATA_TEST);
	add_series(series, "train", "lr", true);
	add_series(series, "train", "grad_norm", true);
	if (r->spec.train.on_nonfinite == SPEC_CONTINUE)
		add_series(series, "train", "skipped", true);
	add_series(series, "train", "samples_per_second", false);
	link_send(r->link, PROTO_STARTED, body);
}

bool run_open(struct run *r)
{
	return read_spec(r) && read_data(r) && make_model(r) && make_trainer(r) && set_start(r);
}

static void warn(void *arg, const td_warning *w)
{
	tell_warning(arg, w);
}

static bool prepare(struct run *r)
{
	if (!run_open(r))
		return false;
	td_on_warning(r->c, warn, &r->tell);
	tell_started(r);
	tell_log(&r->tell, "info",
		"%s: %lld parameters, %lld steps of %lld samples, %lld to train, %lld to validate, %s mode, %d "
		"thread%s",
		r->resume ? "going on" : "training", (long long)r->model->n_parameters, (long long)r->n_steps,
		(long long)(r->spec.data.batch_size * r->spec.train.accumulate), (long long)r->facts->n[DATA_TRAIN],
		(long long)r->facts->n[DATA_VALIDATION], r->spec.mode == SPEC_GRAPH ? "graph" : "eager", r->threads,
		r->threads == 1 ? "" : "s");
	return true;
}

void run_release(struct run *r)
{
	tell_release(&r->tell);
	batch_rooms_release(r);
	nn_trainer_free(r->trainer);
	nn_model_free(r->model);
	if (r->c)
		td_ctx_free(r->c);
	loader_free(r->loader);
	mem_free(r->order);
	spec_release(&r->spec);
	faults_release(&r->faults);
}

/* ---- The loop -------------------------------------------------------------------------------------------------- */

bool run_abandoned(const struct run *r)
{
	enum link_stop stop = link_stop_wanted(r->link);

	return stop == LINK_CANCEL || stop == LINK_TIMEOUT || stop == LINK_STALE;
}

/* What nobody waits for comes when the first points are on their way: the drawing of the graph, and once in a job the
 * picture of its first batch. */
static bool settle(struct run *r)
{
	cJSON *graph = graph_json(r, &r->batches[r->batches[0].n == 0]);

	if (!graph)
		return false;
	link_send(r->link, PROTO_GRAPH, graph);
	r->settled = true;
	return !r->spec.log.images || r->start_step || save_samples(r);
}

static bool checkpoint_due(const struct run *r)
{
	int64_t every = r->spec.train.checkpoint_every;

	if (every && r->at.step % every == 0)
		return true;
	return r->at.batch == 0 && clock_monotonic_ms() - r->saved_ms >= EPOCH_CHECKPOINT_MS;
}

static bool trained(const struct run *r)
{
	return r->at.step >= r->n_steps || r->at.stopped;
}

/* Train to the end.  False: stopped as told, or R->err. */
static bool train_all(struct run *r)
{
	r->window_ns = clock_monotonic_ns();
	while (!trained(r)) {
		if (link_stop_wanted(r->link) != LINK_GO || !train_step(r))
			return false;
		if (!r->settled && !settle(r))
			return false;
		if (validation_due(r) && !validate(r))
			return false;
		if (!trained(r) && checkpoint_due(r) && !save_checkpoint(r, "last"))
			return false;
	}
	return true;
}

/* ---- Endings ---------------------------------------------------------------------------------------------------- */

static bool tell_done(struct run *r, const struct evaluation *const evaluations[DATA_SPLITS])
{
	cJSON *report = report_json(r, evaluations), *body;

	if (!report)
		return false;
	tell_flush(&r->tell);
	tell_progress(&r->tell, r->at.step, r->at.epoch, "test", true);
	body = cJSON_CreateObject();
	cJSON_AddItemToObject(body, "report", report);
	cJSON_AddItemToObject(body, "engine", engine_json(r));
	link_send(r->link, PROTO_DONE, body);
	return true;
}

/* The samples of SPLIT that the report evaluates. */
static int64_t n_reported(const struct run *r, enum data_split split)
{
	int64_t n = r->facts->n[split];

	return split == DATA_TRAIN ? TD_MIN(n, REPORT_TRAIN_MOST) : n;
}

/* Evaluations of a finished job, for its report. */
struct results {
	struct evaluation of[DATA_SPLITS];
	const struct evaluation *there[DATA_SPLITS]; /* NULL: the data has no such split, or it was not evaluated yet */
	enum data_split shown;                       /* whose samples the report shows: the last split that there is */
};

static bool evaluate_split(struct run *r, struct results *e, enum data_split split)
{
	int64_t n = n_reported(r, split);

	if (!n)
		return true;
	if (!evaluate(r, split, n, "test", split == e->shown, &e->of[split]))
		return false;
	e->there[split] = &e->of[split];
	return true;
}

/* The test points, and then the last checkpoint; after a resume both may be there already. */
static bool conclude(struct run *r, const struct evaluation *test)
{
	if (r->at.finished)
		return true;
	if (test)
		evaluation_tell(r, test, r->at.step);
	r->at.finished = true;
	return save_checkpoint(r, "last");
}

/* All steps are done: test, checkpoint, weights, report. */
static bool finish(struct run *r)
{
	const int64_t *n = r->facts->n;
	struct results e = { .shown = n[DATA_TEST] ? DATA_TEST : n[DATA_VALIDATION] ? DATA_VALIDATION : DATA_TRAIN };
	bool ok;

	r->tell.n_steps = r->at.step; /* fewer than planned, where it stopped early */
	ok = evaluate_split(r, &e, DATA_TEST) && conclude(r, e.there[DATA_TEST]) && save_artifacts(r) &&
	     evaluate_split(r, &e, DATA_TRAIN) && evaluate_split(r, &e, DATA_VALIDATION);
	if (ok)
		tell_log(&r->tell, "info", "done: %s/loss %.4f", run_split_series[e.shown],
			evaluation_loss(&e.of[e.shown]));
	ok = ok && tell_done(r, e.there);
	for (int split = 0; split < DATA_SPLITS; split++)
		if (e.there[split])
			evaluation_release(r, &e.of[split]);
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
	tell_progress(&r->tell, r->at.step, r->at.epoch, "train", true); /* no point lies beyond */
	body = cJSON_CreateObject();
	cJSON_AddNumberToObject(body, "step", (double)TD_MAX(r->saved_step, 0));
	link_send(r->link, PROTO_STOPPED, body);
}

void run_init(struct run *r, struct link *l, const cJSON *run)
{
	*r = (struct run){ .link = l,
		.folder = json_string(run, "folder", ""),
		.data_folder = json_string(run, "data", ""),
		.threads = (int)json_int(run, "threads", 1),
		.init = json_string(json_get(run, "init"), "path", NULL),
		.document = json_get(run, "spec"),
		.began_ms = clock_monotonic_ms() };

	if (cJSON_IsObject(json_get(run, "resume")))
		r->resume = json_get(run, "resume");
	tell_init(&r->tell, l);
	faults_init(&r->faults);
}

int worker_train(struct link *l, const cJSON *run)
{
	struct run r;
	bool done;

	run_init(&r, l, run);
	done = prepare(&r) && train_all(&r) && finish(&r);
	if (!done && !r.err.status)
		stop(&r);
	if (r.err.status) {
		tell_progress(&r.tell, r.at.step, r.at.epoch, "train", true);
		tell_failed(&r.tell, r.err.status, r.err.text, r.err_pointer,
			r.err.status == TD_IO || r.err.status == TD_NO_SPACE, r.nonfinite ? r.at.step + 1 : 0);
	}
	run_release(&r);
	return link_flush(l, LEAVE_FLUSH_MS) || link_stop_wanted(l) == LINK_STALE ? 0 : 1;
}
