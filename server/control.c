/* The control loop: see control.h, and control_internal.h for how its files share the work. */
#include "control_internal.h"
#include "base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* ---- Commands, out and back ------------------------------------------------------------------------------------ */

static void list_append(struct action_list *l, struct action *a)
{
	a->next = NULL;
	*(l->first ? l->end : &l->first) = a;
	l->end = &a->next;
}

static struct action *list_take(struct action_list *l)
{
	struct action *a = l->first;

	if (a)
		l->first = a->next;
	return a;
}

void control_wake_loop(struct control *c)
{
	uint64_t one = 1;
	ssize_t n = write(c->wake, &one, sizeof one);

	(void)n; /* fails only when the counter is full, and then the loop wakes anyway */
}

/* On the writer's thread. */
static void action_committed(struct store_cmd *cmd)
{
	struct action *a = (struct action *)cmd;
	struct control *c = a->control;

	pthread_mutex_lock(&c->lock);
	list_append(&c->finished, a);
	pthread_mutex_unlock(&c->lock);
	control_wake_loop(c);
}

static void flush_outbox(struct control *c)
{
	while (c->outbox.first) {
		struct action *a = c->outbox.first, *next = a->next;
		/* Once posted, A may be finished at any moment: NEXT was read before. */
		if (!store_post(c->store, &a->cmd)) {
			control_due(c, c->now_ms + OUTBOX_MS);
			return;
		}
		c->outbox.first = next;
	}
}

void control_post(struct control *c, struct action *a)
{
	a->cmd.done = action_committed;
	err_clear(&a->cmd.err);
	c->n_actions++;
	list_append(&c->outbox, a);
	flush_outbox(c);
}

static void finish_actions(struct control *c)
{
	for (;;) {
		struct action *a;
		pthread_mutex_lock(&c->lock);
		a = list_take(&c->finished);
		pthread_mutex_unlock(&c->lock);
		if (!a)
			return;
		c->n_actions--;
		a->finish(c, a);
	}
}

/* ---- A round --------------------------------------------------------------------------------------------------- */

int control_watch(struct control *c, int fd, short events)
{
	if (fd < 0 || c->n_fds == SLOTS_MOST)
		return -1;
	c->fds[c->n_fds] = (struct pollfd){ .fd = fd, .events = events };
	return c->n_fds++;
}

static void watch_worker(struct control *c, struct worker *w)
{
	/* While a batch is under way, or the writer's queue is full, what the worker says stays in its socket. */
	bool read = w->role != ROLE_JOB || (!w->batch && !c->outbox.first);

	w->slot_process = w->exited ? -1 : control_watch(c, w->process.pidfd, POLLIN);
	w->slot_words = w->exited ? -1 : control_watch(c, w->process.words_fd, POLLIN);
	if (!w->peer)
		return;
	w->peer->slot = -1;
	if (read || w->peer->out.len)
		w->peer->slot =
			control_watch(c, w->peer->fd, (short)((read ? POLLIN : 0) | (w->peer->out.len ? POLLOUT : 0)));
}

static void wait_for_events(struct control *c)
{
	int64_t now_ms = clock_monotonic_ms();
	uint64_t count;

	c->n_fds = 0;
	control_watch(c, c->wake, POLLIN);
	if (c->n_strangers < STRANGERS_MOST)
		control_watch(c, c->listener, POLLIN);
	for (struct peer *p = c->strangers; p; p = p->next)
		p->slot = control_watch(c, p->fd, POLLIN);
	for (struct worker *w = c->workers; w; w = w->next)
		watch_worker(c, w);
	fetch_wait(c->fetch, c->fds, c->n_fds, (int)TD_MAX(c->next_ms - now_ms, 0));
	if (c->fds[0].revents && read(c->wake, &count, sizeof count) < 0)
		log_line(LOG_DEBUG, "wake-up was read before", "text=%s", strerror(errno));
}

static cJSON *describe_worker(const struct control *c, const struct worker *w)
{
	static const char *const states[] = { [WORKER_BORN] = "starting",
		[WORKER_READY] = "idle",
		[WORKER_RESERVED] = "assigned",
		[WORKER_BUSY] = "busy" };
	enum worker_state state = control_answerer_busy(c, w) ? WORKER_BUSY : w->state;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddNumberToObject(o, "pid", w->process.pid);
	cJSON_AddStringToObject(o, "role", worker_role_name(w->role));
	cJSON_AddStringToObject(o, "state", state == WORKER_BUSY && !w->peer ? "away" : states[state]);
	cJSON_AddItemToObject(o, "job", w->job ? cJSON_CreateString(w->job->id) : cJSON_CreateNull());
	cJSON_AddNumberToObject(o, "attempt", w->attempt);
	cJSON_AddNumberToObject(o, "threads", w->job ? w->job->threads : 0);
	cJSON_AddNumberToObject(o, "memory_bytes", (double)w->memory_bytes);
	cJSON_AddNumberToObject(o, "age_ms", (double)(clock_monotonic_ms() - w->born_ms));
	return o;
}

/* What others may see, made anew once a round: they never look at the loop's own things. */
static void publish(struct control *c)
{
	struct control_room room = control_count_room(c);
	cJSON *workers = cJSON_CreateArray(), *before;

	for (const struct worker *w = c->workers; w; w = w->next)
		cJSON_AddItemToArray(workers, describe_worker(c, w));
	pthread_mutex_lock(&c->lock);
	before = c->workers_json;
	c->workers_json = workers;
	room.ticks = c->room.ticks + 1;
	room.last_tick_ms = c->now_ms;
	c->room = room;
	pthread_mutex_unlock(&c->lock);
	cJSON_Delete(before);
}

/* True: everything is over. */
static bool drain_step(struct control *c)
{
	bool hurry = atomic_load(&c->stops) > 1, late;

	if (!atomic_load(&c->stops))
		return false;
	if (!c->draining) {
		c->draining = true;
		c->drain_until_ms = c->now_ms + c->config->drain_seconds * 1000ll;
		control_questions_end(c);
		log_line(LOG_INFO, "draining", "seconds=%d", c->config->drain_seconds);
	}
	late = hurry || c->now_ms >= c->drain_until_ms;
	for (struct worker *w = c->workers; w; w = w->next)
		if (late || !w->job)
			worker_kill(w, w->job ? "the daemon stops" : NULL);
	if (!late)
		control_due(c, c->drain_until_ms);
	/* The last losses are committed before the store closes; jobs that still have a state with a worker get it next
	 * time. */
	return !c->workers && !c->n_actions && (late || !control_jobs_occupied(c));
}

static void *run(void *arg)
{
	struct control *c = arg;

	for (;;) {
		c->now_ms = clock_monotonic_ms();
		c->next_ms = c->now_ms + TICK_MS;
		finish_actions(c);
		flush_outbox(c);
		control_strangers_step(c);
		control_workers_step(c);
		control_questions_step(c);
		control_data_step(c);
		control_jobs_step(c);
		control_sweeps_step(c);
		control_replays_step(c);
		control_queue_step(c);
		publish(c);
		if (drain_step(c))
			return NULL;
		wait_for_events(c);
	}
}

/* ---- Life ------------------------------------------------------------------------------------------------------ */

void control_free(struct control *c)
{
	if (!c)
		return;
	while (c->workers)
		worker_free(c, c->workers);
	while (c->strangers) {
		struct peer *p = c->strangers;
		c->strangers = p->next;
		peer_free(p);
	}
	control_jobs_free(c);
	control_data_free(c);
	control_replays_free(c);
	if (c->reader)
		store_reader_close(c->reader);
	if (c->listener >= 0) {
		close(c->listener);
		unlink(c->socket);
	}
	if (c->wake >= 0)
		close(c->wake);
	cJSON_Delete(c->workers_json);
	mem_free(c->socket);
	pthread_mutex_destroy(&c->lock);
	mem_free(c);
}

static struct control *control_create(const struct config *config, struct store *store)
{
	struct control *c = MEM_NEW(struct control);

	c->config = config;
	c->store = store;
	c->listener = -1;
	c->now_ms = clock_monotonic_ms();
	c->started_ms = clock_now_ms();
	c->replays_reread = true;
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	map_init(&c->jobs);
	map_init(&c->datasets);
	pthread_mutex_init(&c->data_lock, NULL);
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

td_status control_start(const struct config *config, struct store *store, struct control **out, struct err *e)
{
	struct control *c = control_create(config, store);
	char *jobs = mem_printf("%s/jobs", config->data_dir);
	sigset_t all, before;

	if (c->wake < 0)
		err_errno(e, "making the wake-up of the control loop");
	else if (access(config->worker_path, X_OK))
		err_errno(e, "--worker-path %s cannot be run", config->worker_path);
	else if (!file_make_folder(jobs, e) && !store_reader_open(store, &c->reader, e) && control_listen(c, e) &&
		 !control_data_init(c, e)) {
		folder_sweep(c);
		control_jobs_load(c, e);
	}
	mem_free(jobs);
	if (e->status) {
		control_free(c);
		return e->status;
	}
	control_workers_step(c); /* the first spare loads its libraries while the daemon still starts */
	publish(c);
	/* Signals are main's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	TD_ASSERT(!pthread_create(&c->thread, NULL, run, c));
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	*out = c;
	return TD_OK;
}

void control_stop(struct control *c)
{
	if (!c)
		return;
	if (atomic_fetch_add(&c->stops, 1)) {
		control_wake_loop(c);
		return;
	}
	control_wake_loop(c);
	pthread_join(c->thread, NULL);
}

/* ---- From other threads ---------------------------------------------------------------------------------------- */

void control_wake(struct control *c, int64_t seq)
{
	int64_t known = atomic_load(&c->woken_seq);

	while (known < seq && !atomic_compare_exchange_weak(&c->woken_seq, &known, seq))
		;
	control_wake_loop(c);
}

cJSON *control_workers(struct control *c)
{
	cJSON *copy;

	pthread_mutex_lock(&c->lock);
	copy = cJSON_Duplicate(c->workers_json, true);
	pthread_mutex_unlock(&c->lock);
	return copy;
}

struct control_room control_room(struct control *c)
{
	struct control_room room;

	pthread_mutex_lock(&c->lock);
	room = c->room;
	pthread_mutex_unlock(&c->lock);
	return room;
}
