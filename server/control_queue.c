/* Who runs next, and handing it over.
 *
 * A job gets its worker in two steps: ASSIGN is committed, then the worker is told to run.  Between the two the job's
 * place is taken already, so nothing is promised twice; if the daemon dies there, the worker leaves (it has no job yet)
 * and the job is queued again. */
#include "control_internal.h"
#include "base/log.h"
#include "sched/sched.h"
#include "weights.h"

#include <stdio.h>
#include <string.h>

struct control_room control_count_room(const struct control *c)
{
	struct control_room room = {
		.threads = c->config->threads, .workers = c->config->workers, .memory_bytes = c->config->memory_bytes
	};

	room.threads_free = room.threads;
	room.workers_free = room.workers;
	room.memory_free = room.memory_bytes;
	for (const struct worker *w = c->workers; w; w = w->next)
		if (w->job) {
			room.threads_free -= w->job->threads;
			room.memory_free -= w->job->memory_bytes;
			room.workers_free--;
		}
	return room;
}

/* ---- Handing over ---------------------------------------------------------------------------------------------- */

struct assign_action {
	struct action action;  /* first */
	struct worker *worker; /* borrowed: a reserved worker is not freed */
	char id[ULID_TEXT];
	struct resume resume;
	struct job after;
};

/* The new attempt begins where its checkpoint is: what an earlier attempt wrote after that goes in the same
 * transaction. */
static td_status run_assign(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct assign_action *a = (struct assign_action *)cmd;

	job_release(&a->after);
	a->after = (struct job){ 0 };
	if (store_job_event(tx, a->id, JOB_EV_ASSIGN, "assigned", NULL, &a->after, e))
		return e->status;
	return a->after.attempt > 1 ? store_rewind(tx, a->id, a->resume.step, e) : TD_OK;
}

/* The file of the weights that /init_from names, which was there when the job was posted.  Owned; NULL: none are asked
 * for, or they are gone, and the worker says so. */
static char *init_path(const struct control *c, const cJSON *from)
{
	struct err e = { 0 };
	char *path = NULL;

	if (*json_string(from, "model", "") || *json_string(from, "job", ""))
		weights_find(c->config, c->reader, from, &path, &e);
	if (e.status)
		log_line(LOG_WARN, "weights to begin with are gone", "text=%s", e.text);
	return path;
}

/* Of a fork the checkpoint may be the other job's: once it has made one of its own, that is newer. */
static cJSON *resume_json(const struct job *j, const struct resume *from)
{
	cJSON *o = cJSON_CreateObject(), *parent = j->parent ? cJSON_Parse(j->parent) : NULL; /* our own column */
	bool fork = !strcmp(json_string(parent, "sha256", ""), from->sha256);

	cJSON_AddNumberToObject(o, "step", (double)from->step);
	cJSON_AddStringToObject(o, "file", from->file);
	cJSON_AddStringToObject(o, "sha256", from->sha256);
	cJSON_AddBoolToObject(o, "fork", fork);
	cJSON_AddBoolToObject(o, "new_rates", fork && json_bool(parent, "new_rates", false));
	cJSON_Delete(parent);
	return o;
}

void control_add_start(
	const struct control *c, cJSON *body, const struct job *j, const char *data, const struct resume *from)
{
	cJSON *spec = cJSON_Parse(j->spec), *init = cJSON_CreateNull(); /* our own column */
	char *path = init_path(c, json_get(spec, "init_from"));

	if (path) {
		cJSON_Delete(init);
		init = cJSON_CreateObject();
		cJSON_AddStringToObject(init, "path", path);
	}
	cJSON_AddItemToObject(body, "spec", spec);
	cJSON_AddItemToObject(body, "data", data ? cJSON_CreateString(data) : cJSON_CreateNull());
	cJSON_AddItemToObject(body, "init", init);
	cJSON_AddItemToObject(body, "resume", from->file ? resume_json(j, from) : cJSON_CreateNull());
	mem_free(path);
}

static cJSON *run_body(struct control *c, const struct assign_action *a, const struct cached_job *j)
{
	char *folder = job_folder(c->config, a->id), *data = j->dataset ? dataset_pack(c, j->dataset) : NULL;
	cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, "job", a->id);
	cJSON_AddNumberToObject(body, "attempt", a->after.attempt);
	cJSON_AddStringToObject(body, "folder", folder);
	control_add_start(c, body, &a->after, data, &a->resume);
	cJSON_AddNumberToObject(body, "threads", a->after.threads);
	cJSON_AddNumberToObject(body, "memory_bytes", (double)a->after.memory_bytes);
	mem_free(folder);
	mem_free(data);
	return body;
}

static void finish_assign(struct control *c, struct action *action)
{
	struct assign_action *a = (struct assign_action *)action;
	struct cached_job *j = control_job(c, a->id);
	struct worker *w = a->worker;
	struct err e = action->cmd.err;

	if (!e.status) {
		w->state = WORKER_BUSY;
		w->attempt = j->attempt = a->after.attempt;
		j->acked = 0;
		j->timeout_at_ms = 0;
		if (holder_write(c, a->id, w,
			    &e)) /* nobody could prove to be its worker after a restart; better lose it now */
			worker_kill(w, e.text);
		else
			peer_say(w->peer, PROTO_RUN, run_body(c, a, j));
		log_line(LOG_INFO, "job started", "job=%s attempt=%d pid=%d from_step=%lld", a->id, w->attempt,
			w->process.pid, (long long)a->resume.step);
	} else {
		w->state = WORKER_READY;
		w->job = NULL;
		j->worker = NULL;
	}
	job_action_done(c, a->id, &action->cmd.err);
	job_release(&a->after);
	mem_free(a->resume.file);
	mem_free(a);
}

static void assign(struct control *c, struct cached_job *j, struct worker *w)
{
	struct assign_action *a;
	struct err e = { 0 };
	char *folder;

	if (!job_has_data(c, j))
		return;
	a = MEM_NEW(struct assign_action);
	folder = job_folder(c->config, j->id);
	if (file_make_folder(folder, &e)) {
		log_line(LOG_ERROR, "job cannot start", "job=%s text=%s", j->id, e.text);
		j->hold_until_ms = c->now_ms + RETRY_MS;
		mem_free(a);
		goto out;
	}
	folder_tidy(c, j->id);
	folder_checkpoint(c, j->id, &a->resume);
	a->action = (struct action){ .cmd.run = run_assign, .control = c, .finish = finish_assign };
	a->worker = w;
	snprintf(a->id, sizeof a->id, "%s", j->id);
	w->state = WORKER_RESERVED;
	w->job = j;
	j->worker = w;
	job_post(c, j, &a->action);
out:
	mem_free(folder);
}

/* ---- Why the others wait --------------------------------------------------------------------------------------- */

struct reasons_action {
	struct action action; /* first */
	int n;
	struct {
		char id[ULID_TEXT];
		const char *reason;
	} items[REASONS_MOST];
};

static td_status run_reasons(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct reasons_action *a = (struct reasons_action *)cmd;
	td_status s = TD_OK;

	for (int i = 0; i < a->n && !s; i++)
		s = store_job_set_reason(tx, a->items[i].id, a->items[i].reason, NULL, e);
	return s;
}

static void finish_reasons(struct control *c, struct action *a)
{
	c->reread = true;
	c->reasons_pending = false;
	mem_free(a);
}

/* Only what has changed, only for jobs that have waited a while, only one command at a time. */
static void tell_why(struct control *c, struct cached_job **queued, int n, struct sched_room room)
{
	struct reasons_action *a;
	int64_t now_ms = clock_now_ms();

	if (c->reasons_pending || c->draining)
		return;
	a = MEM_NEW(struct reasons_action);
	for (int i = 0; i < n && a->n < REASONS_MOST; i++) {
		struct cached_job *j = queued[i];
		struct sched_job s = { .id = j->id, .threads = j->threads, .memory_bytes = j->memory_bytes };
		const char *why = sched_why(&s, room);
		if (j->worker || j->pending || !strcmp(j->reason, why))
			continue;
		if (now_ms < j->queued_ms + REASON_AFTER_MS) {
			control_due(c, c->now_ms + (j->queued_ms + REASON_AFTER_MS - now_ms));
			continue;
		}
		snprintf(a->items[a->n].id, ULID_TEXT, "%s", j->id);
		a->items[a->n++].reason = why;
	}
	if (!a->n) {
		mem_free(a);
		return;
	}
	a->action = (struct action){ .cmd.run = run_reasons, .control = c, .finish = finish_reasons };
	c->reasons_pending = true;
	control_post(c, &a->action);
}

/* ---- A tick ---------------------------------------------------------------------------------------------------- */

static int collect(struct control *c, struct cached_job **queued, struct sched_job *jobs)
{
	struct map_entry *entry;
	int n = 0;

	for (size_t i = 0; (entry = map_next(&c->jobs, &i));) {
		struct cached_job *j = entry->value;
		if (j->state != JOB_QUEUED || !j->seen || j->pending || j->worker || c->now_ms < j->hold_until_ms)
			continue;
		queued[n] = j;
		jobs[n++] = (struct sched_job){ .id = j->id,
			.priority = j->priority,
			.queued_ms = j->queued_ms,
			.threads = j->threads,
			.memory_bytes = j->memory_bytes };
	}
	return n;
}

void control_queue_step(struct control *c)
{
	struct control_room now = control_count_room(c);
	struct sched_room room = {
		.threads = now.threads_free, .workers = now.workers_free, .memory_bytes = now.memory_free
	};
	struct cached_job **queued;
	struct sched_job *jobs;
	int n, n_picked, *picked;

	c->spares_wanted = 0;
	if (!c->jobs.n || c->draining || c->outbox.first)
		return;
	queued = MEM_NEW_N(struct cached_job *, c->jobs.n);
	jobs = MEM_NEW_N(struct sched_job, c->jobs.n);
	picked = MEM_NEW_N(int, c->jobs.n);
	n = collect(c, queued, jobs);
	n_picked = n ? sched_pick(jobs, n, room, clock_now_ms(), picked) : 0;
	for (int i = 0; i < n_picked; i++) {
		struct worker *w = worker_spare(c);
		room.threads -= jobs[picked[i]].threads;
		room.memory_bytes -= jobs[picked[i]].memory_bytes;
		room.workers--;
		if (w)
			assign(c, queued[picked[i]], w);
		else
			c->spares_wanted++;
	}
	if (n > n_picked)
		tell_why(c, queued, n, room);
	mem_free(queued);
	mem_free(jobs);
	mem_free(picked);
}
