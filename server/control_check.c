/* Questions that only the engine can answer: is this spec in order, what does this model say of that input.
 *
 * Each kind has a desk: a queue in front of one process of a role, which answers one question at a time.  A question is
 * its asker's, who parks meanwhile; the desk reaches it only under the lock, while it is in the queue.  Whoever gives
 * up takes it out, and the answer of a process that is still at it is dropped. */
#include "control_internal.h"
#include "base/log.h"

#include <string.h>

#define SENDS_MOST                                                                                                     \
	2 /* a predictor may leave, idle for long enough, just when it is asked; more than that is no chance */

struct question {
	struct question *next;
	cJSON *body;          /* owned */
	cJSON *answer;        /* owned; NULL: none (yet) */
	struct err err;       /* why there is none */
	bool ended;           /* answered, one way or the other */
	int sends;            /* to a process */
	int64_t memory_bytes; /* that its process may use meanwhile; 0: as much as it likes */
	int64_t deadline_ms;  /* monotonic */
};

static const struct {
	enum worker_role role;
	enum proto_kind question, answer;
	int ms;                       /* from the asking on */
	const char *who, *what, *fix; /* for people */
} desks[ASK_N_KINDS] = {
	[ASK_CHECK] = { ROLE_CHECKER, PROTO_CHECK, PROTO_CHECKED, CONTROL_CHECK_MS, "the checker", "checking the model",
		"make it smaller" },
	[ASK_PREDICT] = { ROLE_PREDICTOR, PROTO_PREDICT, PROTO_PREDICTED, CONTROL_PREDICT_MS, "the predictor",
		"the prediction", "send fewer inputs at once" },
};

static struct desk *desk_of(struct control *c, enum worker_role role, enum question_kind *kind)
{
	for (int k = 0; k < ASK_N_KINDS; k++)
		if (desks[k].role == role) {
			*kind = (enum question_kind)k;
			return &c->desks[k];
		}
	TD_BUG("a %s answers no questions", worker_role_name(role));
}

/* ---- Asking, from any thread ------------------------------------------------------------------------------------ */

static void question_free(struct question *k)
{
	cJSON_Delete(k->body);
	cJSON_Delete(k->answer);
	mem_free(k);
}

static td_status append(struct control *c, enum question_kind kind, struct question *k, struct err *e)
{
	struct question **at = &c->desks[kind].first;
	int n = 0;

	for (; *at; at = &(*at)->next)
		n++;
	if (n >= QUESTIONS_MOST)
		return err_set(e, TD_BUSY, "%d questions are waiting for %s already; try again in a few seconds", n,
			desks[kind].who);
	if (c->stopping)
		return err_set(e, TD_UNAVAILABLE, "the daemon is stopping");
	*at = k;
	return TD_OK;
}

td_status control_ask(struct control *c, enum question_kind kind, cJSON *body, int64_t memory_bytes,
	struct question **out, struct err *e)
{
	struct question *k = MEM_NEW(struct question);

	k->body = body;
	k->memory_bytes = memory_bytes;
	k->deadline_ms = clock_monotonic_ms() + desks[kind].ms;
	pthread_mutex_lock(&c->lock);
	append(c, kind, k, e);
	pthread_mutex_unlock(&c->lock);
	*out = e->status ? NULL : k;
	if (e->status)
		question_free(k);
	else
		control_wake_loop(c);
	return e->status;
}

bool control_answered(struct control *c, struct question *k, cJSON **answer, struct err *e)
{
	bool ended;

	*answer = NULL;
	pthread_mutex_lock(&c->lock);
	ended = k->ended;
	if (ended) {
		*answer = k->answer;
		k->answer = NULL;
		if (!*answer)
			err_copy(e, &k->err);
	}
	pthread_mutex_unlock(&c->lock);
	return ended;
}

bool control_is_answered(struct control *c, const struct question *k)
{
	bool ended;

	pthread_mutex_lock(&c->lock);
	ended = !k || k->ended;
	pthread_mutex_unlock(&c->lock);
	return ended;
}

/* Under the lock, like everything below that touches a desk. */
static void take_out(struct desk *d, struct question *k)
{
	for (struct question **at = &d->first; *at; at = &(*at)->next)
		if (*at == k) {
			*at = k->next;
			break;
		}
	if (d->sent == k)
		d->sent = NULL;
}

void control_forget(struct control *c, struct question *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < ASK_N_KINDS; i++)
		take_out(&c->desks[i], k);
	pthread_mutex_unlock(&c->lock);
	question_free(k);
}

void control_on_answer(struct control *c, void (*wake)(void *arg), void *arg)
{
	pthread_mutex_lock(&c->lock);
	c->on_answer = wake;
	c->on_answer_arg = arg;
	pthread_mutex_unlock(&c->lock);
}

/* ---- Answering, on the loop's thread ----------------------------------------------------------------------------- */

static void end(struct control *c, struct desk *d, struct question *k)
{
	take_out(d, k);
	k->ended = true;
	if (c->on_answer)
		c->on_answer(c->on_answer_arg);
}

static struct worker *answerer(const struct control *c, enum worker_role role)
{
	for (struct worker *w = c->workers; w; w = w->next)
		if (w->role == role && w->state == WORKER_READY && w->peer && !w->exited)
			return w;
	return NULL;
}

/* The data set of the next spec to be checked.  Owned; NULL: none. */
static char *next_dataset(struct control *c)
{
	const struct question *k;
	char *name;

	pthread_mutex_lock(&c->lock);
	k = c->desks[ASK_CHECK].busy ? NULL : c->desks[ASK_CHECK].first;
	name = k ? mem_strdup(json_string(json_at(k->body, "/spec/data"), "dataset", "")) : NULL;
	pthread_mutex_unlock(&c->lock);
	return name;
}

/* What is known of a data set, which is read without the lock. */
struct known {
	char *name, *info; /* owned; INFO NULL: nothing yet */
};

/* Add to BODY what is known of the data that its spec names.  False: that was not looked at, for the question has come
 * to the front since. */
static bool add_info(cJSON *body, const struct known *about)
{
	const char *name = json_string(json_at(body, "/spec/data"), "dataset", "");

	if (!about->name || strcmp(name, about->name))
		return false;
	if (about->info)
		cJSON_AddRawToObject(body, "data", about->info);
	else
		cJSON_AddNullToObject(body, "data");
	return true;
}

static void send_next(struct control *c, enum question_kind kind, struct worker *w, const struct known *about)
{
	struct desk *d = &c->desks[kind];
	struct question *k = d->first;
	cJSON *body = cJSON_Duplicate(k->body, true);

	if (kind == ASK_CHECK && !add_info(body, about)) {
		cJSON_Delete(body);
		control_due(c, c->now_ms);
		return;
	}
	cJSON_AddNumberToObject(body, "id", (double)++d->id);
	k->sends++;
	d->sent = k;
	d->busy = true;
	d->deadline_ms = k->deadline_ms;
	w->memory_most = k->memory_bytes;
	peer_say(w->peer, desks[kind].question, body);
}

/* Give up what has waited for too long; the process that hangs must go. */
static void look_at_deadlines(struct control *c, enum question_kind kind, struct worker *w)
{
	struct desk *d = &c->desks[kind];

	for (struct question *k = d->first, *next; k; k = next) {
		next = k->next;
		if (c->now_ms < k->deadline_ms) {
			control_due(c, k->deadline_ms);
		} else {
			if (k == d->sent)
				err_set(&k->err, TD_TIMEOUT, "%s took more than %d s; %s", desks[kind].what,
					desks[kind].ms / 1000, desks[kind].fix);
			else
				err_set(&k->err, TD_UNAVAILABLE,
					"%s was busy or starting for more than %d s; try again", desks[kind].who,
					desks[kind].ms / 1000);
			end(c, d, k);
		}
	}
	if (d->busy && w && c->now_ms >= d->deadline_ms)
		worker_kill(w, "its answer took too long");
	else if (d->busy && w)
		control_due(c, d->deadline_ms);
}

void control_questions_step(struct control *c)
{
	struct known about = { .name = next_dataset(c) };

	about.info = about.name && *about.name ? dataset_info(c, about.name) : NULL;
	pthread_mutex_lock(&c->lock);
	for (int kind = 0; kind < ASK_N_KINDS; kind++) {
		struct worker *w = answerer(c, desks[kind].role);
		look_at_deadlines(c, (enum question_kind)kind, w);
		if (!c->desks[kind].busy && c->desks[kind].first && w)
			send_next(c, (enum question_kind)kind, w, &about);
	}
	pthread_mutex_unlock(&c->lock);
	mem_free(about.name);
	mem_free(about.info);
}

int control_predictors_wanted(struct control *c)
{
	bool wait;

	pthread_mutex_lock(&c->lock);
	wait = c->desks[ASK_PREDICT].first != NULL;
	pthread_mutex_unlock(&c->lock);
	return wait;
}

bool control_answerer_busy(const struct control *c, const struct worker *w)
{
	for (int kind = 0; kind < ASK_N_KINDS; kind++)
		if (desks[kind].role == w->role)
			return c->desks[kind].busy && w == answerer(c, w->role);
	return false;
}

void control_answerer_said(struct control *c, struct worker *w, struct proto_msg *m)
{
	enum question_kind kind;
	struct desk *d = desk_of(c, w->role, &kind);
	struct question *k = NULL;

	pthread_mutex_lock(&c->lock);
	if (m->kind == desks[kind].answer && d->busy && json_int(m->body, "id", 0) == d->id) {
		d->busy = false;
		w->memory_most = 0;
		k = d->sent; /* NULL: who asked has left */
	}
	if (k) {
		k->answer = m->body;
		m->body = NULL;
		end(c, d, k);
	}
	pthread_mutex_unlock(&c->lock);
}

static void fail_sent(struct question *k, enum question_kind kind, const struct worker *w, const char *how)
{
	if (w->over_memory)
		err_set(&k->err, TD_TOO_LARGE, "%s needs more than the %lld MB that it may use; %s", desks[kind].what,
			(long long)w->memory_most >> 20, desks[kind].fix);
	else
		err_set(&k->err, TD_UNAVAILABLE, "the process at %s ended before it had an answer: %s",
			desks[kind].what, how);
}

void control_answerer_lost(struct control *c, struct worker *w, bool by_itself, const char *how)
{
	enum question_kind kind;
	struct desk *d = desk_of(c, w->role, &kind);

	pthread_mutex_lock(&c->lock);
	if (!by_itself && !c->stopping)
		log_line(LOG_WARN, "a process that answers is lost", "role=%s text=%s", worker_role_name(w->role), how);
	d->busy = false;
	if (d->sent && by_itself && d->sent->sends < SENDS_MOST) {
		d->sent = NULL; /* still the first of the queue */
	} else if (d->sent) {
		fail_sent(d->sent, kind, w, how);
		end(c, d, d->sent);
	}
	pthread_mutex_unlock(&c->lock);
}

void control_questions_end(struct control *c)
{
	pthread_mutex_lock(&c->lock);
	c->stopping = true;
	for (int kind = 0; kind < ASK_N_KINDS; kind++)
		while (c->desks[kind].first) {
			struct question *k = c->desks[kind].first;
			err_set(&k->err, TD_UNAVAILABLE, "the daemon is stopping");
			end(c, &c->desks[kind], k);
		}
	pthread_mutex_unlock(&c->lock);
}
