/* Worker processes: what each role is for, how many there are of it, how they die, and what that means.
 *
 * A process is over when it has exited, everything it sent has been read, and all of that is committed; only then is
 * its job judged.  So a worker that says "done" and leaves is never taken for one that died. */
#include "control_internal.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* ---- Roles ------------------------------------------------------------------------------------------------------ */

/* One waits for the next job, so that it starts at once, and one for each job about to start. */
static int spares_wanted(struct control *c)
{
	return TD_MIN(1 + c->spares_wanted, SPARES_MOST);
}

static int checkers_wanted(struct control *c)
{
	(void)c;
	return 1;
}

static const struct {
	const char *name;
	int (*wanted)(struct control *c); /* how many there should be that wait for work */
	/* It said M, whose body may be taken; NULL: what it says is committed in batches (control_intake.c). */
	void (*said)(struct control *c, struct worker *w, struct proto_msg *m);
	/* W is gone; BY_ITSELF: it left without a fault, HOW for people.  NULL: its job is judged (control_jobs.c). */
	void (*lost)(struct control *c, struct worker *w, bool by_itself, const char *how);
} roles[ROLE_N] = {
	[ROLE_JOB] = { "job", spares_wanted, NULL, NULL },
	[ROLE_CHECKER] = { "checker", checkers_wanted, control_answerer_said, control_answerer_lost },
	[ROLE_PREDICTOR] = { "predictor", control_predictors_wanted, control_answerer_said, control_answerer_lost },
	[ROLE_PREPARER] = { "preparer", control_preparers_wanted, control_preparer_said, control_preparer_lost },
	[ROLE_REPLAYER] = { "replayer", control_replayers_wanted, control_replayer_said, control_replayer_lost },
};

const char *worker_role_name(enum worker_role role)
{
	return roles[role].name;
}

/* ---- Beginning ------------------------------------------------------------------------------------------------- */

static struct worker *worker_create(struct control *c, enum worker_role role, enum worker_state state)
{
	struct worker *w = MEM_NEW(struct worker);

	w->role = role;
	w->state = state;
	w->slot_process = w->slot_words = -1;
	w->born_ms = c->now_ms;
	w->next = c->workers;
	c->workers = w;
	return w;
}

static void make_secret(char secret[LOCAL_SECRET])
{
	unsigned char bytes[LOCAL_SECRET / 2];

	random_bytes(bytes, sizeof bytes);
	for (size_t i = 0; i < sizeof bytes; i++)
		snprintf(secret + 2 * i, 3, "%02x", bytes[i]);
}

/* A start that failed, or a worker that died before it said hello, will do so again: wait longer each time. */
static void start_failed(struct control *c, const char *why)
{
	int64_t rest = TD_MIN((int64_t)BACKOFF_MS << TD_MIN(c->n_failed_starts, 10), BACKOFF_MOST_MS);

	c->n_failed_starts++;
	c->spawn_after_ms = c->now_ms + rest;
	log_line(LOG_ERROR, "worker does not start", "next_try_ms=%lld text=%s", (long long)rest, why);
}

static void worker_start(struct control *c, enum worker_role role)
{
	struct local_process process;
	char secret[LOCAL_SECRET];
	struct err e = { 0 };
	struct worker *w;

	make_secret(secret);
	if (local_spawn(&process,
		    &(struct local_options){ .program = c->config->worker_path,
			    .socket = c->socket,
			    .role = roles[role].name,
			    .secret = secret,
			    .grace_seconds = c->config->grace_seconds },
		    &e)) {
		start_failed(c, e.text);
		return;
	}
	w = worker_create(c, role, WORKER_BORN);
	w->process = process;
	sha256_of(secret, strlen(secret), w->secret_hash);
	w->deadline_ms = c->now_ms + HELLO_MS;
	w->deadline_why = "it did not say hello";
}

struct worker *worker_adopt(struct control *c, struct cached_job *j)
{
	struct local_process process;
	struct holder h;
	struct worker *w;

	if (!holder_read(c, j->id, &h) || h.attempt != j->attempt || !holder_this_boot(&h) ||
		local_adopt(&process, h.pid, h.born, NULL))
		return NULL;
	w = worker_create(c, ROLE_JOB, WORKER_BUSY);
	w->process = process;
	memcpy(w->secret_hash, h.secret_hash, sizeof w->secret_hash);
	w->attempt = j->attempt;
	w->job = j;
	w->deadline_ms = c->now_ms + c->config->grace_seconds * 1000ll;
	w->deadline_why = "it did not come back after the daemon had restarted";
	j->worker = w;
	log_line(LOG_INFO, "waiting for a worker", "pid=%d job=%s attempt=%d", h.pid, j->id, j->attempt);
	return w;
}

static int missing(struct control *c, enum worker_role role)
{
	int n = roles[role].wanted(c);

	for (struct worker *w = c->workers; w; w = w->next)
		n -= w->role == role && (w->state == WORKER_BORN || w->state == WORKER_READY);
	return n;
}

static void start_missing(struct control *c)
{
	for (int role = 0; role < ROLE_N && !c->draining; role++) {
		int n = missing(c, (enum worker_role)role);
		if (n > 0)
			control_listen_again(c);
		for (; n > 0 && c->now_ms >= c->spawn_after_ms; n--)
			worker_start(c, (enum worker_role)role);
		if (n > 0)
			control_due(c, c->spawn_after_ms);
	}
}

struct worker *worker_spare(struct control *c)
{
	for (struct worker *w = c->workers; w; w = w->next)
		if (w->role == ROLE_JOB && w->state == WORKER_READY && w->peer && !w->peer->ended && !w->exited)
			return w;
	return NULL;
}

/* ---- Ending ---------------------------------------------------------------------------------------------------- */

void worker_kill(struct worker *w, const char *why)
{
	if (w->exited || w->process.killed)
		return;
	if (why)
		log_line(LOG_WARN, "killing a worker", "pid=%d job=%s text=%s", w->process.pid,
			w->job ? w->job->id : "none", why);
	else if (!w->stop)
		w->stop = "unneeded";
	local_signal(&w->process, SIGKILL);
	w->deadline_ms = 0;
}

void worker_stop(struct control *c, struct worker *w, const char *why)
{
	if (w->stop)
		return;
	w->stop = why;
	peer_say_stop(w->peer, why);
	w->deadline_ms = c->draining ? c->drain_until_ms : c->now_ms + STOP_MS;
	w->deadline_why = "it did not stop in time";
}

void worker_free(struct control *c, struct worker *w)
{
	struct worker **at = &c->workers;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	if (w->job)
		w->job->worker = NULL;
	peer_free(w->peer);
	batch_free(w->batch);
	local_release(&w->process);
	mem_free(w->broken);
	preparation_free(w->preparation);
	replaying_free(w->replaying);
	mem_free(w);
}

/* Everything that W had to say is committed, and it is gone. */
static void bury(struct control *c, struct worker *w)
{
	pid_t pid = w->process.pid;
	struct local_exit x = local_reap(&w->process);
	char how[160], said[400];

	local_exit_text(&x, how, sizeof how);
	if (w->process.words.len)
		snprintf(said, sizeof said, "process %d %s: %.*s", pid, how, (int)TD_MIN(w->process.words.len, 200u),
			w->process.words.data);
	else
		snprintf(said, sizeof said, "process %d %s", pid, how);
	if (w->state == WORKER_BORN && !w->stop && !c->draining)
		start_failed(c, said);
	if (roles[w->role].lost)
		roles[w->role].lost(c, w, x.known && !x.by_signal && !x.code, said);
	if (w->job)
		job_lost_worker(c, w->job, w, &x);
	worker_free(c, w);
}

/* ---- Watching -------------------------------------------------------------------------------------------------- */

static void look_at_memory(struct control *c, struct worker *w)
{
	int64_t most = w->memory_most ? w->memory_most : w->job->memory_bytes;

	if (w->exited)
		return;
	if (c->now_ms < w->memory_ms + MEMORY_MS) {
		control_due(c, w->memory_ms + MEMORY_MS);
		return;
	}
	w->memory_ms = c->now_ms;
	w->memory_bytes = local_memory(w->process.pid);
	if (most && w->memory_bytes > most && !w->over_memory) {
		w->over_memory = true;
		worker_kill(w, "it is over its memory limit");
	}
	control_due(c, c->now_ms + MEMORY_MS);
}

static void look_at_deadline(struct control *c, struct worker *w)
{
	if (!w->deadline_ms || w->exited)
		return;
	if (c->now_ms >= w->deadline_ms)
		worker_kill(w, w->deadline_why);
	else
		control_due(c, w->deadline_ms);
}

static void read_answers(struct control *c, struct worker *w)
{
	struct proto_msg m;
	struct err e = { 0 };
	int got;

	while ((got = proto_decode(&w->peer->in, &m, &e)) == 1) {
		roles[w->role].said(c, w, &m);
		proto_msg_release(&m);
	}
	if (got < 0) {
		buf_clear(&w->peer->in);
		worker_kill(w, e.text);
	}
}

static void read_worker(struct control *c, struct worker *w)
{
	if (w->peer && (control_ready(c, w->peer->slot) || w->exited) && !w->batch)
		peer_read(w->peer);
	if (w->peer && control_ready(c, w->peer->slot) & POLLOUT)
		peer_write(w->peer);
	if (roles[w->role].said && w->peer)
		read_answers(c, w);
	else if (w->job && w->state == WORKER_BUSY)
		control_intake_step(c, w);
	/* Read to its end and committed: the connection is over.  The process may come back, or be gone. */
	if (w->peer && w->peer->ended && !w->batch) {
		peer_free(w->peer);
		w->peer = NULL;
		if (!w->deadline_ms) {
			w->deadline_ms = c->now_ms + AWAY_MS;
			w->deadline_why = "it closed its connection and did not come back";
		}
	}
}

static void step(struct control *c, struct worker *w)
{
	if (control_ready(c, w->slot_words))
		local_read_words(&w->process);
	w->exited |= control_ready(c, w->slot_process) != 0;
	read_worker(c, w);
	look_at_deadline(c, w);
	if ((w->job && w->state == WORKER_BUSY) || w->memory_most)
		look_at_memory(c, w);
	if (w->exited && !w->peer && !w->batch && w->state != WORKER_RESERVED)
		bury(c, w);
}

void control_workers_step(struct control *c)
{
	for (struct worker *w = c->workers, *next; w; w = next) {
		next = w->next;
		step(c, w);
	}
	start_missing(c);
}
