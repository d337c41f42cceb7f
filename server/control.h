/* The control loop: one poll loop with the worker sockets, timers, scheduling, downloads (libcurl) and wake-ups.
 *
 * Its memory is a cache of committed rows.  A wake-up says "rows changed, up to seq N", nothing more: a lost one is
 * harmless, and start-up is the same path.  It never blocks on the writer (store_post), and stops reading workers while
 * the queue is full. */
#ifndef CONTROL_H
#define CONTROL_H

#include "config.h"
#include "store/store.h"

/* What the control loop keeps below DATA: worker.sock; jobs/ID/, a job's folder (checkpoints, artifacts, and
 * worker.json: which process holds the present attempt); datasets/NAME/, what was fetched. */
struct control;

/* Reconcile with the store (jobs that were running become interrupted unless their worker comes back within the grace
 * time; files without rows go), start the warm spares and the checker, run the loop on a thread of its own. */
td_status control_start(const struct config *config, struct store *store, struct control **out, struct err *e);
/* Tell workers to checkpoint and leave, wait until the drain deadline, kill the rest, stop.  A second call, from
 * another thread or a signal handler while the first waits, kills them at once and returns.  Requests may still ask
 * what there is; what needs the loop finds nobody. */
void control_stop(struct control *c);
void control_free(struct control *c); /* after control_stop, when nobody can ask any more; NULL is fine */

/* From any thread: rows changed; look again. */
void control_wake(struct control *c, int64_t seq);

/* Questions to processes that know more than the daemon: is this spec in order (the checker, which alone knows shapes),
 * and what does this model say of that input (the predictor, started on demand).  Who asks does not wait: it parks, and
 * looks again when it is woken.  The deadline counts from the asking. */
enum question_kind {
	ASK_CHECK,   /* body {spec}; answer as in PROTO_CHECKED */
	ASK_PREDICT, /* body as in PROTO_PREDICT; answer as in PROTO_PREDICTED */
	ASK_N_KINDS
};
struct question;
#define CONTROL_CHECK_MS   5000
#define CONTROL_PREDICT_MS 60000
/* Takes BODY.  MEMORY_BYTES: what the process may use for it, 0: as it likes.  TD_BUSY: too many wait already. */
td_status control_ask(struct control *c, enum question_kind kind, cJSON *body, int64_t memory_bytes,
	struct question **out, struct err *e);
/* False: not answered yet.  True: *ANSWER is the caller's (cJSON_Delete), or NULL, and E says why there is none. */
bool control_answered(struct control *c, struct question *k, cJSON **answer, struct err *e);
bool control_is_answered(struct control *c, const struct question *k);
/* Free K, answered or not; NULL is fine. */
void control_forget(struct control *c, struct question *k);
/* Called when a question is answered, on the loop's thread; must not block.  Set before the first question. */
void control_on_answer(struct control *c, void (*wake)(void *arg), void *arg);

/* Whether a dataset is on disk.  FETCHING: it comes, or would if somebody asked for it; a job is then PREPARING. */
enum dataset_state { DATASET_UNKNOWN, DATASET_READY, DATASET_FETCHING, DATASET_FAILED };
enum dataset_state control_dataset(struct control *c, const char *name, struct err *e);
/* Within the transaction that stores such a job: if NAME is known and not there, it is fetched from now on (again). */
td_status control_dataset_ask(struct store_tx *tx, const struct config *config, const char *name, struct err *e);

/* What runs where, for GET /workers and /system: a JSON array of workers; and the machine's budget. */
cJSON *control_workers(struct control *c);
struct control_room {
	int threads, threads_free, workers, workers_free;
	int64_t memory_bytes, memory_free;
	int64_t ticks;        /* scheduler ticks so far, for /readyz */
	int64_t last_tick_ms; /* monotonic */
};
struct control_room control_room(struct control *c);

#endif
