/* The cache of jobs, and what each needs next.
 *
 * Every job whose state is not terminal has an entry.  After each reading of the rows, every entry is looked at: its
 * state, its worker (or that it has none), its deadlines say what is missing, and that is posted.  Nothing here
 * remembers what it did. */
#include "control_internal.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* Rows are not read more often than this share of the time allows: a commit of metrics wakes the loop too. */
#define READ_SHARE   10
#define READ_MOST_MS 500

/* ---- The cache ------------------------------------------------------------------------------------------------- */

struct cached_job *control_job(const struct control *c, const char *id)
{
	return map_get(&c->jobs, id);
}

static void job_free(struct control *c, struct cached_job *j)
{
	map_remove(&c->jobs, j->id);
	mem_free(j->reason);
	mem_free(j->engine);
	mem_free(j->dataset);
	mem_free(j->verdict.words);
	mem_free(j);
}

static void replace(char **text, const char *now)
{
	if (*text && now && !strcmp(*text, now))
		return;
	mem_free(*text);
	*text = mem_strdup(now);
}

/* What a job's spec tells the loop, once: it never changes. */
static void read_spec(struct cached_job *j, const char *spec)
{
	cJSON *root = cJSON_Parse(spec); /* our own column */

	j->dataset = mem_strdup(json_string(json_get(root, "data"), "dataset", NULL));
	j->keep_last = (int)TD_MAX(json_int(json_at(root, "/train/keep"), "last", 1), 1);
	cJSON_Delete(root);
}

static void see_row(void *arg, const struct job *row)
{
	struct control *c = arg;
	struct cached_job *j = control_job(c, row->id);

	if (!j) {
		j = MEM_NEW(struct cached_job);
		snprintf(j->id, sizeof j->id, "%s", row->id);
		j->verdict.event = JOB_EV_LOST;
		j->external = job_external(row);
		read_spec(j, row->spec);
		map_put(&c->jobs, j->id, j);
	}
	if (j->state != row->state || j->attempt != row->attempt) {
		j->judged = false;
		j->timeout_at_ms = 0;
	}
	j->seen = true;
	j->state = row->state;
	j->priority = row->priority;
	j->threads = row->threads;
	j->retries = row->retries;
	j->attempt = row->attempt;
	j->memory_bytes = row->memory_bytes;
	j->timeout_ms = row->timeout_ms;
	j->run_ms = row->run_ms;
	j->queued_ms = row->queued_ms;
	j->acked = row->acked;
	j->step = row->step;
	j->heard_ms = row->updated_ms;
	replace(&j->reason, row->reason);
	replace(&j->engine, row->engine);
}

static td_status read_rows(struct control *c, struct err *e)
{
	int64_t seq = store_seq(c->store), start_ns = clock_monotonic_ns();
	struct map_entry *entry;
	td_status s;

	for (size_t i = 0; (entry = map_next(&c->jobs, &i));)
		((struct cached_job *)entry->value)->seen = false;
	s = store_job_active(c->reader, see_row, c, e);
	c->read_after_ms = c->now_ms + TD_MIN((clock_monotonic_ns() - start_ns) * READ_SHARE / 1000000, READ_MOST_MS);
	if (!s) {
		c->read_seq = seq;
		c->reread = false;
	}
	return s;
}

/* Own commits that changed states are read at once; what others changed, as soon as the share allows. */
static void refresh(struct control *c)
{
	bool changed = atomic_load(&c->woken_seq) > c->read_seq;
	struct err e = { 0 };

	if (!c->reread && changed && c->now_ms < c->read_after_ms) {
		control_due(c, c->read_after_ms);
		return;
	}
	if ((c->reread || changed) && read_rows(c, &e)) {
		log_line(LOG_ERROR, "jobs cannot be read", "text=%s", e.text);
		c->read_after_ms = c->now_ms + RETRY_MS;
		control_due(c, c->read_after_ms);
	}
}

td_status control_jobs_load(struct control *c, struct err *e)
{
	struct map_entry *entry;

	if (read_rows(c, e))
		return e->status;
	for (size_t i = 0; (entry = map_next(&c->jobs, &i));) {
		struct cached_job *j = entry->value;
		if (job_state_occupies(j->state) && !j->external)
			worker_adopt(c, j);
	}
	return TD_OK;
}

void control_jobs_free(struct control *c)
{
	struct map_entry *entry;

	for (size_t i = 0; (entry = map_next(&c->jobs, &i)); i = 0)
		job_free(c, entry->value);
	map_release(&c->jobs);
}

bool control_jobs_occupied(const struct control *c)
{
	struct map_entry *entry;

	for (size_t i = 0; (entry = map_next(&c->jobs, &i));) {
		const struct cached_job *j = entry->value;
		if (job_state_occupies(j->state) && !j->external)
			return true;
	}
	return false;
}

/* ---- Commands about a job -------------------------------------------------------------------------------------- */

void job_post(struct control *c, struct cached_job *j, struct action *a)
{
	j->pending = true;
	control_post(c, a);
}

void job_action_done(struct control *c, const char *id, const struct err *e)
{
	struct cached_job *j = control_job(c, id);

	c->reread = true;
	if (!j)
		return;
	j->pending = false;
	/* A conflict means that the user was faster: the next reading shows how things stand. */
	if (e->status && e->status != TD_CONFLICT && e->status != TD_NOT_FOUND) {
		log_line(LOG_ERROR, "a job's state cannot be stored", "job=%s text=%s", id, e->text);
		j->hold_until_ms = c->now_ms + RETRY_MS;
	}
}

/* An event, the words that go with it, and what follows at once. */
struct event_action {
	struct action action; /* first */
	char id[ULID_TEXT];
	enum job_event event;
	const char *reason;
	char detail[400];
	char *words; /* owned; last words for the job's log, or NULL */
	bool again;  /* interrupted by this: queue it again at once */
};

static td_status set_error(struct store_tx *tx, const char *id, const char *status, const char *detail, struct err *e)
{
	cJSON *error = cJSON_CreateObject();
	char *text;
	td_status s;

	cJSON_AddStringToObject(error, "status", status);
	cJSON_AddStringToObject(error, "detail", detail);
	text = json_print(error);
	s = store_job_set_error(tx, id, text, e);
	mem_free(text);
	cJSON_Delete(error);
	return s;
}

static td_status run_event(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct event_action *a = (struct event_action *)cmd;
	struct job after = { 0 };
	td_status s = store_job_event(tx, a->id, a->event, a->reason, *a->detail ? a->detail : NULL, &after, e);

	if (!s && a->words)
		s = store_log_append(tx, a->id, clock_now_ms(), "error", a->words, e);
	if (!s && (after.state == JOB_FAILED || after.state == JOB_TIMED_OUT))
		s = set_error(tx, a->id, a->reason, a->detail, e);
	if (!s && a->again && after.state == JOB_INTERRUPTED)
		s = store_job_event(tx, a->id, JOB_EV_REQUEUE, a->reason, a->detail, NULL, e);
	job_release(&after);
	return s;
}

static void finish_event(struct control *c, struct action *action)
{
	struct event_action *a = (struct event_action *)action;

	job_action_done(c, a->id, &action->cmd.err);
	mem_free(a->words);
	mem_free(a);
}

static struct event_action *make_event(
	struct control *c, const struct cached_job *j, enum job_event event, const char *reason, const char *detail)
{
	struct event_action *a = MEM_NEW(struct event_action);

	a->action = (struct action){ .cmd.run = run_event, .control = c, .finish = finish_event };
	snprintf(a->id, sizeof a->id, "%s", j->id);
	snprintf(a->detail, sizeof a->detail, "%s", detail);
	a->event = event;
	a->reason = reason;
	return a;
}

static void post_event(
	struct control *c, struct cached_job *j, enum job_event event, const char *reason, const char *detail)
{
	job_post(c, j, &make_event(c, j, event, reason, detail)->action);
}

/* ---- The end of an attempt ------------------------------------------------------------------------------------- */

/* Losses that are the job's own fault, as far as anybody can tell; these use up its retries. */
static const char reason_died[] = "worker_died", reason_failed[] = "worker_failed";
/* This one does not. */
static const char reason_restarted[] = "daemon_restarted";

static void judge(struct control *c, struct verdict *v, const struct cached_job *j, const struct worker *w,
	const struct local_exit *x)
{
	char how[160];

	local_exit_text(x, how, sizeof how);
	if (w->over_memory) {
		v->event = JOB_EV_FAIL;
		v->reason = "memory_limit";
		snprintf(v->detail, sizeof v->detail,
			"memory limit of %lld MB exceeded: the job used %lld MB; ask for more in /resources/memory_mb, "
			"or make /data/batch_size smaller",
			(long long)j->memory_bytes >> 20, (long long)w->memory_bytes >> 20);
	} else if (w->stop && !strcmp(w->stop, "timeout")) {
		v->event = JOB_EV_TIMEOUT;
		v->reason = "timeout";
		snprintf(v->detail, sizeof v->detail, "it had run for /timeout_s, %lld s",
			(long long)j->timeout_ms / 1000);
	} else if (w->stopped || c->draining) {
		v->event = JOB_EV_STOPPED;
		v->reason = "drained";
		v->again = true;
		snprintf(v->detail, sizeof v->detail, "%s", w->stopped ? "it stopped with a checkpoint" : how);
	} else if (!w->met) {
		v->event = JOB_EV_LOST;
		v->reason = reason_restarted;
		v->again = true;
		snprintf(v->detail, sizeof v->detail, "its worker did not come back after the daemon had restarted");
	} else if (w->broken) {
		v->event = JOB_EV_LOST;
		v->reason = reason_failed;
		snprintf(v->detail, sizeof v->detail, "%s", w->broken);
	} else {
		v->event = JOB_EV_LOST;
		v->reason = reason_died;
		snprintf(v->detail, sizeof v->detail, "its process %s%s%s", how, w->process.killed ? ": " : "",
			w->process.killed && w->deadline_why ? w->deadline_why : "");
	}
}

/* Why the attempt is over: what the user wanted, unless the job itself ended it first.  NULL: nothing is known. */
static const char *end_reason(const struct cached_job *j)
{
	const struct verdict *v = &j->verdict;
	bool own = v->event == JOB_EV_FAIL || v->event == JOB_EV_TIMEOUT;

	if (!own && j->state == JOB_PAUSING)
		return "paused";
	if (!own && j->state == JOB_CANCELLING)
		return "cancelled";
	return v->reason;
}

void job_lost_worker(struct control *c, struct cached_job *j, const struct worker *w, const struct local_exit *x)
{
	mem_free(j->verdict.words);
	j->verdict = (struct verdict){ .event = JOB_EV_LOST };
	judge(c, &j->verdict, j, w, x);
	if (w->process.words.len)
		j->verdict.words = mem_strndup(w->process.words.data, w->process.words.len);
	j->worker = NULL;
	if (!w->done || w->broken)
		log_line(LOG_INFO, "attempt over", "job=%s attempt=%d reason=%s step=%lld text=%s", j->id, w->attempt,
			end_reason(j), (long long)j->step, j->verdict.detail);
}

/* A state that needs a worker, and none: the attempt is over, and this is what it has come to. */
static void conclude(struct control *c, struct cached_job *j)
{
	struct verdict *v = &j->verdict;
	enum job_event event = v->event;
	struct event_action *a;

	if (j->state == JOB_STARTING || j->state == JOB_RUNNING) {
		a = v->reason ? make_event(c, j, event, v->reason, v->detail)
			      : make_event(c, j, JOB_EV_LOST, reason_restarted,
					"its worker was gone when the daemon started");
		a->again = !v->reason || v->again;
	} else { /* the user wanted it to end: cancelled, paused */
		bool clean = event == JOB_EV_STOPPED;
		a = make_event(c, j, event, end_reason(j), clean || !v->reason ? "" : v->detail);
	}
	a->words = v->words;
	*v = (struct verdict){ .event = JOB_EV_LOST };
	job_post(c, j, &a->action);
}

struct losses {
	int n;          /* that count against the retries */
	int n_in_a_row; /* of attempts that got nowhere: each makes the rest before the next one longer */
	int64_t last_ms;
	int64_t started_ms; /* of the attempt; 0: it has not begun */
};

static void count_loss(void *arg, const struct transition *t)
{
	struct losses *l = arg;

	if (!strcmp(t->event, job_event_name(JOB_EV_ASSIGN)))
		l->started_ms = 0;
	if (!strcmp(t->event, job_event_name(JOB_EV_STARTED)))
		l->started_ms = t->time_ms;
	if (strcmp(t->event, job_event_name(JOB_EV_LOST)) ||
		(strcmp(t->reason, reason_died) && strcmp(t->reason, reason_failed)))
		return;
	l->n++;
	l->n_in_a_row = l->started_ms && t->time_ms - l->started_ms >= SOUND_MS ? 1 : l->n_in_a_row + 1;
	l->last_ms = t->time_ms;
}

/* Interrupted: try again after a rest, or give up when the retries are used up. */
static void retry(struct control *c, struct cached_job *j)
{
	struct losses losses = { 0 };
	struct err e = { 0 };
	char detail[200];

	if (!j->judged) {
		int64_t rest;
		if (store_transitions(c->reader, j->id, count_loss, &losses, &e)) {
			log_line(LOG_ERROR, "a job's history cannot be read", "job=%s text=%s", j->id, e.text);
			j->hold_until_ms = c->now_ms + RETRY_MS;
			return;
		}
		j->judged = true;
		j->give_up = losses.n > j->retries;
		rest = losses.n ? TD_MIN((int64_t)BACKOFF_MS << TD_MIN(losses.n_in_a_row - 1, 10), BACKOFF_MOST_MS) : 0;
		rest -= TD_MAX(clock_now_ms() - losses.last_ms, 0);
		if (rest > 0 && !j->give_up) {
			j->hold_until_ms = c->now_ms + rest;
			control_due(c, j->hold_until_ms);
			return;
		}
	}
	if (j->give_up) {
		snprintf(detail, sizeof detail,
			"its worker was lost more often than /retries, %d, allows; its log says more", j->retries);
		post_event(c, j, JOB_EV_GIVE_UP, "retries_used_up", detail);
	} else {
		post_event(c, j, JOB_EV_REQUEUE, "retry", "");
	}
}

/* ---- Running --------------------------------------------------------------------------------------------------- */

static void find_start(void *arg, const struct transition *t)
{
	if (!strcmp(t->event, job_event_name(JOB_EV_STARTED)))
		*(int64_t *)arg = t->time_ms;
}

static void watch_timeout(struct control *c, struct cached_job *j)
{
	if (!j->timeout_ms)
		return;
	if (!j->timeout_at_ms) {
		int64_t now_ms = clock_now_ms(), started_ms = now_ms;
		store_transitions(c->reader, j->id, find_start, &started_ms, NULL);
		j->timeout_at_ms = TD_MAX(c->now_ms + j->timeout_ms - j->run_ms - (now_ms - started_ms), 1);
	}
	if (c->now_ms >= j->timeout_at_ms)
		worker_stop(c, j->worker, "timeout");
	else
		control_due(c, j->timeout_at_ms);
}

/* An external job has no process to watch; its time runs while it is silent.  Silence that the daemon slept through
 * does not count. */
static void watch_silence(struct control *c, struct cached_job *j)
{
	int64_t silent_ms = clock_now_ms() - TD_MAX(j->heard_ms, c->started_ms);
	char detail[100];

	if (j->state != JOB_RUNNING || !j->timeout_ms)
		return;
	if (silent_ms < j->timeout_ms) {
		control_due(c, c->now_ms + j->timeout_ms - silent_ms);
		return;
	}
	snprintf(detail, sizeof detail, "nothing was heard of it for /timeout_s, %lld s",
		(long long)j->timeout_ms / 1000);
	post_event(c, j, JOB_EV_TIMEOUT, "timeout", detail);
}

static void prepare(struct control *c, struct cached_job *j)
{
	struct err e = { 0 };

	switch (j->dataset ? dataset_want(c, j->dataset, &e) : DATASET_READY) {
	case DATASET_READY: post_event(c, j, JOB_EV_DATA_READY, "data_ready", ""); break;
	case DATASET_FETCHING: break;
	case DATASET_UNKNOWN:
	case DATASET_FAILED: post_event(c, j, JOB_EV_DATA_FAILED, "dataset_unavailable", e.text); break;
	}
}

bool job_has_data(struct control *c, struct cached_job *j)
{
	struct err e = { 0 };

	if (!j->dataset || dataset_want(c, j->dataset, &e) == DATASET_READY)
		return true;
	post_event(c, j, JOB_EV_DATA_GONE, "dataset_gone", e.text);
	return false;
}

/* Refused when it was posted, so this machine must have been larger then. */
static void check_fit(struct control *c, struct cached_job *j)
{
	const struct config *machine = c->config;
	char detail[300];

	if (j->threads <= machine->threads && j->memory_bytes <= machine->memory_bytes)
		return;
	snprintf(detail, sizeof detail,
		"it asks for %d threads and %lld MB, and the daemon now has --threads %d and %lld MB: it would wait "
		"for ever",
		j->threads, (long long)j->memory_bytes >> 20, machine->threads, (long long)machine->memory_bytes >> 20);
	post_event(c, j, JOB_EV_FAIL, "too_large", detail);
}

/* What J needs now. */
static void look_at(struct control *c, struct cached_job *j)
{
	if (j->pending)
		return;
	if (c->now_ms < j->hold_until_ms) {
		control_due(c, j->hold_until_ms);
		return;
	}
	if (j->external) {
		watch_silence(c, j);
	} else if (job_state_occupies(j->state) && !j->worker) {
		conclude(c, j);
	} else if (j->worker && j->worker->done) {
		; /* it leaves by itself */
	} else if (j->state == JOB_PAUSING || j->state == JOB_CANCELLING) {
		worker_stop(c, j->worker, j->state == JOB_PAUSING ? "pause" : "cancel");
	} else if (job_state_occupies(j->state) && c->draining) {
		worker_stop(c, j->worker, "drain");
	} else if (j->state == JOB_RUNNING) {
		watch_timeout(c, j);
	} else if (j->state == JOB_INTERRUPTED && !c->draining) {
		retry(c, j);
	} else if (j->state == JOB_QUEUED) {
		check_fit(c, j);
	} else if (j->state == JOB_PREPARING && !c->draining) {
		prepare(c, j);
	}
}

void control_jobs_step(struct control *c)
{
	struct map_entry *entry;

	refresh(c);
	for (size_t i = 0; (entry = map_next(&c->jobs, &i));) {
		struct cached_job *j = entry->value;
		if (j->seen || j->worker || j->pending) {
			look_at(c, j);
		} else {
			job_free(c, j);
			i = 0; /* removal moves entries; what was looked at once more is found as it was left */
		}
	}
}
