/* Specs to be checked: HTTP threads wait here, the checker process answers, one spec at a time.
 *
 * A request lies on the stack of the thread that waits for it and is reachable only under the lock, while it is in the
 * list: whoever gives up takes it out, so nobody answers into a frame that is gone. */
#include "control_internal.h"
#include "base/log.h"

#include <string.h>

struct check {
	struct check *next;
	cJSON *spec;    /* the caller's until it is sent, then NULL */
	char *dataset;  /* owned by the caller; may be NULL */
	cJSON *checked; /* the answer */
	struct err err; /* or why there is none */
	bool ended;
};

/* ---- The waiting thread ---------------------------------------------------------------------------------------- */

static td_status append(struct control *c, struct check *k, struct err *e)
{
	struct check **at = &c->checks;
	int n = 0;

	for (; *at; at = &(*at)->next)
		n++;
	if (n >= CHECKS_MOST)
		return err_set(
			e, TD_BUSY, "%d specs are waiting for the checker already; try again in a few seconds", n);
	if (c->stopping)
		return err_set(e, TD_UNAVAILABLE, "the daemon is stopping");
	*at = k;
	return TD_OK;
}

static void take_out(struct control *c, struct check *k)
{
	for (struct check **at = &c->checks; *at; at = &(*at)->next)
		if (*at == k) {
			*at = k->next;
			break;
		}
	if (c->sent == k)
		c->sent = NULL;
}

static void wait_for_answer(struct control *c, struct check *k)
{
	int64_t end = clock_monotonic_ns() + CONTROL_CHECK_MS * 1000000ll;
	struct timespec until = { .tv_sec = end / 1000000000, .tv_nsec = end % 1000000000 };

	while (!k->ended && !pthread_cond_timedwait(&c->checked, &c->lock, &until))
		;
	if (!k->ended && c->sent == k)
		err_set(&k->err, TD_TIMEOUT, "checking the model took more than %d s; make it smaller",
			CONTROL_CHECK_MS / 1000);
	else if (!k->ended)
		err_set(&k->err, TD_UNAVAILABLE, "the checker was busy or starting for more than %d s; try again",
			CONTROL_CHECK_MS / 1000);
	take_out(c, k);
}

td_status control_check(struct control *c, const char *spec_json, cJSON **checked, struct err *e)
{
	struct check k = { .spec = json_parse(spec_json, strlen(spec_json), e) };
	const cJSON *dataset = json_at(k.spec, "/data/dataset");

	*checked = NULL;
	if (!k.spec)
		return e->status;
	k.dataset = cJSON_IsString(dataset) ? mem_strdup(dataset->valuestring) : NULL;
	pthread_mutex_lock(&c->lock);
	if (!append(c, &k, &k.err)) {
		control_wake_loop(c);
		wait_for_answer(c, &k);
	}
	pthread_mutex_unlock(&c->lock);
	cJSON_Delete(k.spec);
	mem_free(k.dataset);
	*checked = k.checked;
	return k.checked ? TD_OK : err_set(e, k.err.status, "%s", k.err.text);
}

/* ---- The loop's side; these run under the lock where they touch a request -------------------------------------- */

static void answer(struct control *c, struct check *k)
{
	take_out(c, k);
	k->ended = true;
	pthread_cond_broadcast(&c->checked);
}

static struct worker *checker(const struct control *c)
{
	for (struct worker *w = c->workers; w; w = w->next)
		if (w->role == ROLE_CHECKER && w->state == WORKER_READY && w->peer && !w->exited)
			return w;
	return NULL;
}

static void send_next(struct control *c, struct worker *w)
{
	struct check *k = c->checks;
	char *data = k->dataset ? dataset_folder(c, k->dataset) : NULL;
	cJSON *body = cJSON_CreateObject();

	cJSON_AddNumberToObject(body, "id", (double)++c->check_id);
	cJSON_AddItemToObject(body, "spec", k->spec);
	cJSON_AddItemToObject(body, "data", data ? cJSON_CreateString(data) : cJSON_CreateNull());
	k->spec = NULL;
	c->sent = k;
	c->checking = true;
	c->check_deadline_ms = c->now_ms + CONTROL_CHECK_MS;
	peer_say(w->peer, PROTO_CHECK, body);
	mem_free(data);
}

void control_checks_step(struct control *c)
{
	struct worker *w = checker(c);

	pthread_mutex_lock(&c->lock);
	/* The thread that asked gives up by itself; the process that hangs must go. */
	if (c->checking && w && c->now_ms >= c->check_deadline_ms)
		worker_kill(w, "a check took too long");
	else if (c->checking && w)
		control_due(c, c->check_deadline_ms);
	else if (c->checks && w)
		send_next(c, w);
	pthread_mutex_unlock(&c->lock);
}

void control_checked(struct control *c, cJSON *body)
{
	pthread_mutex_lock(&c->lock);
	if (c->checking && json_int(body, "id", 0) == c->check_id) {
		c->checking = false;
		if (c->sent) {
			c->sent->checked = body;
			body = NULL;
			answer(c, c->sent);
		}
	}
	pthread_mutex_unlock(&c->lock);
	cJSON_Delete(body);
}

void control_checker_lost(struct control *c, const char *how)
{
	log_line(LOG_WARN, "checker lost", "text=%s", how);
	pthread_mutex_lock(&c->lock);
	c->checking = false;
	if (c->sent) {
		err_set(&c->sent->err, TD_UNAVAILABLE,
			"the process that checks specs ended while it checked this one: %s", how);
		answer(c, c->sent);
	}
	pthread_mutex_unlock(&c->lock);
}

void control_checks_end(struct control *c)
{
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	while (c->checks) {
		err_set(&c->checks->err, TD_UNAVAILABLE, "the daemon is stopping");
		answer(c, c->checks);
	}
	pthread_mutex_unlock(&c->lock);
}
