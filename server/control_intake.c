/* What a job's worker says becomes rows.
 *
 * All messages that a round finds are one command: committed together, acknowledged together.  While it is under way
 * the worker is not read, so a slow disk slows the worker down through its socket, and what comes meanwhile makes the
 * next, larger batch. A message that was committed before (its worker did not hear so) is passed over by its number. */
#include "control_internal.h"
#include "base/log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define OBSOLETE_MOST (1u << 16) /* bytes of names of files that a batch makes superfluous */

struct batch {
	struct action action;  /* first */
	struct worker *worker; /* borrowed: it is not freed while it has a batch */
	char job[ULID_TEXT];
	int attempt;
	int keep_last;              /* checkpoints of kind "last" that stay */
	struct proto_msg *messages; /* owned */
	int n, cap;
	cJSON *engine; /* owned; of the row when the batch began, or NULL */
	/* Results, made anew by each run. */
	struct buf obsolete; /* names, newline-terminated */
	bool moved;          /* the job's state changed, or was meant to */
	bool ended;          /* DONE or FAILED: the worker has nothing more to say */
};

typedef td_status (*intake_fn)(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e);

/* ---- One function per kind, on the writer's thread ------------------------------------------------------------- */

/* An event that comes too late for the state is no failure: what the user asked for meanwhile stands. */
static td_status move(struct store_tx *tx, struct batch *b, enum job_event event, const char *reason,
	const char *detail, struct err *e)
{
	struct err mine = { 0 };
	td_status s = store_job_event(tx, b->job, event, reason, detail, NULL, &mine);

	b->moved = true;
	return s && s != TD_CONFLICT ? err_set(e, s, "%s", mine.text) : TD_OK;
}

static td_status set_engine(struct store_tx *tx, struct batch *b, struct err *e)
{
	char *text = json_print(b->engine);
	td_status s = store_job_set_engine(tx, b->job, text, e);

	mem_free(text);
	return s;
}

/* What the bits of a job follow from is told when a worker starts, and stays for replays. */
static void keep_told(cJSON *engine, const char *name, const cJSON *told)
{
	const char *value = json_string(told, name, "");

	if (!*value)
		return;
	cJSON_DeleteItemFromObjectCaseSensitive(engine, name);
	cJSON_AddStringToObject(engine, name, value);
}

/* Equal fingerprints give equal bits.  A job that goes on under another one is never again called exact; its worker
 * says so in the log.
 */
static td_status take_numerics(struct store_tx *tx, struct batch *b, const cJSON *told, struct err *e)
{
	const char *now = json_string(told, "fingerprint", ""), *before = json_string(b->engine, "fingerprint", now);
	bool exact = json_bool(b->engine, "exact", true) && !strcmp(before, now);

	if (!b->engine)
		b->engine = cJSON_CreateObject();
	keep_told(b->engine, "data", told);
	keep_told(b->engine, "init", told); /* of an attempt that goes on from a checkpoint none */
	cJSON_DeleteItemFromObjectCaseSensitive(b->engine, "fingerprint");
	cJSON_DeleteItemFromObjectCaseSensitive(b->engine, "exact");
	cJSON_AddStringToObject(b->engine, "fingerprint", now);
	cJSON_AddBoolToObject(b->engine, "exact", exact);
	return set_engine(tx, b, e);
}

static td_status take_started(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	const cJSON *series;
	td_status s = move(tx, b, JOB_EV_STARTED, "started", NULL, e);

	if (!s)
		s = take_numerics(tx, b, body, e);
	cJSON_ArrayForEach(series, json_get(body, "series"))
	{
		int64_t id;
		if (s)
			break;
		s = store_series(
			tx, b->job, json_string(series, "name", ""), json_bool(series, "deterministic", false), &id, e);
	}
	return s;
}

static td_status take_progress(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	return store_job_progress(tx, b->job, json_int(body, "step", 0), json_int(body, "n_steps", 0),
		json_string(body, "phase", ""), (int)json_int(body, "epoch", 0), e);
}

static td_status read_point(const cJSON *row, const char **series, struct point *p, struct err *e)
{
	const cJSON *name = cJSON_GetArrayItem(row, 0), *step = cJSON_GetArrayItem(row, 1),
		    *time = cJSON_GetArrayItem(row, 2);

	if (!cJSON_IsString(name) || !json_is_integer(step) || !json_is_integer(time) ||
		!json_to_number(cJSON_GetArrayItem(row, 3), &p->value))
		return err_set(e, TD_INVALID, "a point is not [series, step, time_ms, value]");
	*series = name->valuestring;
	p->step = (int64_t)step->valuedouble;
	p->time_ms = (int64_t)time->valuedouble;
	return TD_OK;
}

/* Points come interleaved ([loss, 1], [lr, 1], [loss, 2], ...); the store takes one series at a time, in its order. */
static td_status take_metrics(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	const cJSON *rows = json_get(body, "points"), *row;
	int n = cJSON_GetArraySize(rows), at = 0;
	const char **names = MEM_NEW_N(const char *, n + 1);
	struct point *points = MEM_NEW_N(struct point, n + 1), *run = MEM_NEW_N(struct point, n + 1);
	td_status s = TD_OK;

	cJSON_ArrayForEach(row, rows)
	{
		if ((s = read_point(row, &names[at], &points[at], e)))
			goto out;
		at++;
	}
	for (int i = 0; i < n && !s; i++) {
		const char *name = names[i];
		int n_run = 0;
		if (!name)
			continue; /* was part of an earlier run */
		for (int k = i; k < n; k++)
			if (names[k] && (k == i || !strcmp(names[k], name))) {
				run[n_run++] = points[k];
				names[k] = NULL;
			}
		s = store_points_add(tx, b->job, name, run, n_run, e);
	}
out:
	mem_free(names);
	mem_free(points);
	mem_free(run);
	return s;
}

static td_status take_log(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	return store_log_append(tx, b->job, json_int(body, "time_ms", clock_now_ms()),
		json_string(body, "level", "info"), json_string(body, "text", ""), e);
}

/* The step that was not finite is looked at by itself. */
static td_status replay_step(struct store_tx *tx, const struct batch *b, int64_t step, struct err *e)
{
	struct replay_row row = { .step = step, .steps = 1, .automatic = true }, there;
	struct err none = { 0 };

	if (store_replay_read(tx, b->job, step, &there, &none) == TD_OK) {
		replay_release(&there);
		return TD_OK;
	}
	snprintf(row.job, sizeof row.job, "%s", b->job);
	return store_replay_insert(tx, &row, e);
}

static td_status take_warning(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	int64_t step = json_int(body, "replay", 0);

	if (step && replay_step(tx, b, step, e))
		return e->status;
	return store_warning_add(tx, b->job,
		&(struct store_warning){ .code = json_string(body, "code", ""),
			.layer = json_string(body, "layer", ""),
			.text = json_string(body, "text", ""),
			.time_ms = json_int(body, "time_ms", clock_now_ms()) },
		e);
}

static td_status set_document(struct store_tx *tx, const struct batch *b, const cJSON *value,
	td_status (*set)(struct store_tx *tx, const char *id, const char *json, struct err *e), struct err *e)
{
	char *text = json_print(value);
	td_status s = set(tx, b->job, text, e);

	mem_free(text);
	return s;
}

static td_status take_graph(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	return set_document(tx, b, body, store_job_set_graph, e);
}

/* The strings stay BODY's: the store copies them. */
static td_status read_artifact(const cJSON *body, struct artifact *a, struct err *e)
{
	const char *file = json_string(body, "file", ""), *sha256 = json_string(body, "sha256", "");

	if (!job_file_safe(file))
		return err_set(e, TD_INVALID, "\"%s\" is not the plain name of a file in the job's folder", file);
	if (strlen(sha256) != SHA256_TEXT - 1)
		return err_set(e, TD_INVALID, "\"%s\" is not the SHA-256 of %s", sha256, file);
	*a = (struct artifact){ .name = (char *)json_string(body, "name", file),
		.file = (char *)file,
		.sha256 = (char *)sha256,
		.media_type = (char *)json_string(body, "media_type", "application/octet-stream"),
		.n_bytes = json_int(body, "bytes", 0),
		.created_ms = clock_now_ms(),
		.step = json_int(body, "step", -1),
		.kind = (char *)json_string(body, "kind", "last") };
	return TD_OK;
}

static td_status take_checkpoint(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	char *obsolete = NULL;
	struct artifact a;
	td_status s = read_artifact(body, &a, e);

	if (!s)
		s = store_checkpoint_add(tx, b->job, &a, strcmp(a.kind, "last") ? 1 : b->keep_last, &obsolete, e);
	if (!s && obsolete)
		buf_printf(&b->obsolete, "%s\n", obsolete);
	mem_free(obsolete);
	return s;
}

static td_status take_artifact(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	struct artifact a;
	td_status s = read_artifact(body, &a, e);

	return s ? s : store_artifact_add(tx, b->job, &a, e);
}

static td_status take_histogram(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	return store_histogram_add(tx, b->job, json_string(body, "name", ""), json_int(body, "step", -1),
		json_get(body, "edges"), json_get(body, "counts"), e);
}

static td_status take_done(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	const cJSON *report = json_get(body, "report"), *member;
	td_status s = report ? set_document(tx, b, report, store_job_set_report, e) : TD_OK;

	if (!b->engine)
		b->engine = cJSON_CreateObject();
	cJSON_ArrayForEach(member, json_get(body, "engine"))
	{
		cJSON_DeleteItemFromObjectCaseSensitive(b->engine, member->string);
		cJSON_AddItemToObject(b->engine, member->string, cJSON_Duplicate(member, true));
	}
	b->ended = true;
	if (!s)
		s = set_engine(tx, b, e);
	return s ? s : move(tx, b, JOB_EV_DONE, "done", NULL, e);
}

static td_status take_failed(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	const char *status = json_string(body, "status", "INTERNAL"), *detail = json_string(body, "detail", "");
	char reason[32];
	size_t n = 0;

	b->ended = true;
	if (json_bool(body, "retry", false))
		return TD_OK; /* judged when the process is gone, as any other loss */
	for (; n < sizeof reason - 1 && status[n]; n++)
		reason[n] = (char)tolower((unsigned char)status[n]);
	reason[n] = '\0';
	if (set_document(tx, b, body, store_job_set_error, e))
		return e->status;
	if (json_int(body, "step", 0) && replay_step(tx, b, json_int(body, "step", 0), e))
		return e->status;
	return move(tx, b, JOB_EV_FAIL, reason, detail, e);
}

/* What STOPPED means depends on why; it is judged when the process is gone. */
static td_status take_stopped(struct store_tx *tx, struct batch *b, const cJSON *body, struct err *e)
{
	(void)tx;
	(void)body;
	(void)e;
	b->ended = true;
	return TD_OK;
}

static const intake_fn intakes[PROTO_N_KINDS] = {
	[PROTO_STARTED] = take_started,
	[PROTO_PROGRESS] = take_progress,
	[PROTO_METRICS] = take_metrics,
	[PROTO_LOG] = take_log,
	[PROTO_GRAPH] = take_graph,
	[PROTO_CHECKPOINT] = take_checkpoint,
	[PROTO_ARTIFACT] = take_artifact,
	[PROTO_DONE] = take_done,
	[PROTO_FAILED] = take_failed,
	[PROTO_STOPPED] = take_stopped,
	[PROTO_HISTOGRAM] = take_histogram,
	[PROTO_WARNING] = take_warning,
};

static td_status run_batch(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct batch *b = (struct batch *)cmd;

	buf_clear(&b->obsolete);
	for (int i = 0; i < b->n; i++) {
		const struct proto_msg *m = &b->messages[i];
		if (!store_job_accept(tx, b->job, b->attempt, m->number))
			continue;
		if (intakes[m->kind](tx, b, m->body, e))
			return err_wrap(e, "message %s", proto_kind_name(m->kind));
	}
	return TD_OK;
}

/* ---- On the loop's thread -------------------------------------------------------------------------------------- */

void batch_free(struct batch *b)
{
	if (!b)
		return;
	for (int i = 0; i < b->n; i++)
		proto_msg_release(&b->messages[i]);
	mem_free(b->messages);
	cJSON_Delete(b->engine);
	buf_release(&b->obsolete);
	mem_free(b);
}

/* What the loop itself needs to know of the messages, once they are committed. */
static void note(struct worker *w, const struct proto_msg *m)
{
	w->done |= m->kind == PROTO_DONE || m->kind == PROTO_FAILED;
	w->stopped |= m->kind == PROTO_STOPPED;
	if (m->kind == PROTO_FAILED && json_bool(m->body, "retry", false) && !w->broken)
		w->broken = mem_strdup(json_string(m->body, "detail", "the worker failed"));
}

/* The disk is full, or the like: nothing is lost while the worker waits. */
static bool may_heal(td_status s)
{
	return s == TD_NO_SPACE || s == TD_IO || s == TD_BUSY || s == TD_UNAVAILABLE;
}

static void remove_obsolete(const struct control *c, const struct batch *b)
{
	char *rest = NULL;

	if (!b->obsolete.len)
		return;
	for (char *name = strtok_r(b->obsolete.data, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest))
		folder_remove_file(c, b->job, name);
}

static void finish_batch(struct control *c, struct action *a)
{
	struct batch *b = (struct batch *)a;
	struct worker *w = b->worker;
	const struct err *e = &a->cmd.err;
	cJSON *ack;

	if (e->status && may_heal(e->status)) {
		log_line(LOG_ERROR, "messages cannot be stored now", "job=%s text=%s", b->job, e->text);
		w->batch_retry_ms = c->now_ms + RETRY_MS;
		return;
	}
	w->batch = NULL;
	if (e->status) {
		log_line(LOG_ERROR, "messages cannot be stored", "job=%s text=%s", b->job, e->text);
		if (!w->broken)
			w->broken = mem_strdup(e->text);
		worker_kill(w, "its messages cannot be stored");
	} else {
		for (int i = 0; i < b->n; i++)
			note(w, &b->messages[i]);
		remove_obsolete(c, b);
		ack = cJSON_CreateObject();
		cJSON_AddNumberToObject(ack, "number", (double)b->messages[b->n - 1].number);
		peer_say(w->peer, PROTO_ACK, ack);
		if (w->job)
			w->job->acked = TD_MAX(w->job->acked, b->messages[b->n - 1].number);
		c->reread |= b->moved || b->ended; /* the job's state, and soon its worker's place */
		if (b->ended) {
			w->deadline_ms = c->now_ms + STOP_MS;
			w->deadline_why = "it had ended its job, but not itself";
		}
	}
	batch_free(b);
}

static struct batch *batch_create(struct control *c, struct worker *w)
{
	struct batch *b = MEM_NEW(struct batch);

	b->action = (struct action){ .cmd.run = run_batch, .control = c, .finish = finish_batch };
	b->worker = w;
	b->attempt = w->attempt;
	b->keep_last = w->job->keep_last;
	snprintf(b->job, sizeof b->job, "%s", w->job->id);
	if (w->job->engine)
		b->engine = cJSON_Parse(w->job->engine); /* our own column */
	buf_init(&b->obsolete, OBSOLETE_MOST);
	return b;
}

static void refuse(struct worker *w, const char *why)
{
	log_line(LOG_ERROR, "worker does not speak properly", "pid=%d text=%s", w->process.pid, why);
	if (!w->broken)
		w->broken = mem_strdup(why);
	buf_clear(&w->peer->in);
	worker_kill(w, "its messages cannot be read");
}

/* All whole messages that have arrived, or NULL.  False: what comes next cannot be taken. */
static bool collect(struct control *c, struct worker *w, struct batch **out, struct err *e)
{
	struct batch *b = NULL;
	struct proto_msg m;
	int got = 1, n = 0;

	while (n++ < BATCH_MOST && (got = proto_decode(&w->peer->in, &m, e)) == 1) {
		if (!intakes[m.kind] || m.number < 1) {
			err_set(e, TD_CORRUPT, "a message %s is out of place", proto_kind_name(m.kind));
			proto_msg_release(&m);
			got = -1;
			break;
		}
		if (!b)
			b = batch_create(c, w);
		MEM_GROW(b->messages, b->n, b->cap);
		b->messages[b->n++] = m;
	}
	*out = b;
	return got >= 0;
}

static void retry_batch(struct control *c, struct worker *w)
{
	if (!w->batch_retry_ms) {
		; /* it is on its way */
	} else if (w->exited && c->draining) {
		batch_free(w->batch); /* the next attempt sends it again, from the last checkpoint on */
		w->batch = NULL;
	} else if (c->now_ms >= w->batch_retry_ms) {
		w->batch_retry_ms = 0;
		control_post(c, &w->batch->action);
	} else {
		control_due(c, w->batch_retry_ms);
	}
}

void control_intake_step(struct control *c, struct worker *w)
{
	struct err e = { 0 };

	if (w->batch)
		retry_batch(c, w);
	if (w->batch || !w->peer || w->broken)
		return;
	if (!collect(c, w, &w->batch, &e))
		refuse(w, e.text);
	if (w->batch) {
		w->batch_retry_ms = 0;
		control_post(c, &w->batch->action);
	}
}
