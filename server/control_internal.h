/* What the files of the control loop share; nobody else includes it.
 *
 *   control.c         life, the loop, what others see of it
 *   control_peer.c    sockets: bytes in, bytes out, who is who
 *   control_intake.c  messages of a job's worker, as one command a round
 *   control_pool.c    worker processes: spares, the checker, deaths
 *   control_jobs.c    the cache of jobs, and what each needs next
 *   control_queue.c   who runs next, and handing it to a worker
 *   control_folder.c  a job's folder (jobfiles.h), tidied
 *   control_check.c   questions to the checker and the predictor
 *   control_sweep.c   sweeps
 *   control_data.c    datasets: what each needs next, downloads
 *   control_want.c    datasets: how one fares, for jobs that name it
 *   control_prepare.c datasets: their files decoded into packs
 *   control_replay.c  steps of jobs, done once more
 *
 * Everything belongs to the loop's thread, except what stands under its lock.  Decisions are made from
 * levels, never from edges: a step function looks at what is (a committed state, a process, a deadline) and does what
 * is missing, so a lost wake-up, a refused command or a restart needs no code of its own. */
#ifndef CONTROL_INTERNAL_H
#define CONTROL_INTERNAL_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include "base/file.h"
#include "base/map.h"
#include "control.h"
#include "datasets.h"
#include "fetch/fetch.h"
#include "jobfiles.h"
#include "proto.h"
#include "sched/local.h"

/* ---- Limits, with their reasons -------------------------------------------------------------------------------- */

#define TICK_MS         1000  /* between rounds when nothing happens: ageing of waiting jobs, /readyz */
#define MEMORY_MS       250   /* between looks at a job's memory */
#define HELLO_MS        10000 /* from start to hello: loading libraries on a slow disk */
#define AWAY_MS         10000 /* a worker whose connection broke under a living daemon reconnects at once, or hangs */
#define STOP_MS         10000 /* from "stop" to SIGKILL: a step, a checkpoint, a sync */
#define RETRY_MS        1000  /* after a command failed: the disk is full, say */
#define OUTBOX_MS       5     /* between attempts to post to a full queue: the writer empties it in a few commits */
#define SPARES_MOST     4     /* warm workers without a job; each costs its libraries' memory */
#define STRANGERS_MOST  32    /* connections that have not said hello */
#define BATCH_MOST      1024  /* messages in one command: bounds the time that the writer spends on one job */
#define SLOTS_MOST      1024  /* descriptors polled */
#define BACKOFF_MS      250   /* after a worker's death, doubled for each that follows ... */
#define BACKOFF_MOST_MS 15000 /* ... up to this */
#define SOUND_MS        1000  /* an attempt that has run for so long starts the count anew */
#define REASONS_MOST    32    /* waiting jobs whose reason is rewritten in one command */
#define REASON_AFTER_MS 1000  /* a job that waits for less needs no reason */
#define QUESTIONS_MOST  64    /* waiting for the checker, or for the predictor */
#define SWEEP_MOST      16    /* children made, and decisions written, in one command about a sweep */
#define PREPARERS_MOST  2     /* datasets decoded at once: each takes a thread that no job has paid for */
#define PREPARE_MB      1024  /* memory of one; preparing streams, so more means that its files are made to hurt */
#define PREPARE_WORD_MS 60000 /* a preparer that says nothing for so long hangs */
#define DATA_SAY_MS     1000  /* between two rows about the progress of a dataset */
#define DATA_LOG_MS     5000  /* between two lines about it in the logs of the jobs that wait for it */

/* ---- Commands -------------------------------------------------------------------------------------------------- */

/* A command on its way to the writer and back. */
struct action {
	struct store_cmd cmd; /* first, so that the writer's pointer is ours */
	struct control *control;
	void (*finish)(struct control *c, struct action *a); /* on the loop's thread, after the commit; frees A */
	struct action *next;                                 /* in the outbox, or among the finished */
};

struct action_list {
	struct action *first, **end;
};

/* Hand A to the writer; when its queue is full A waits in the outbox, and no worker is read meanwhile. */
void control_post(struct control *c, struct action *a);

/* ---- Connections ----------------------------------------------------------------------------------------------- */

struct peer {
	struct peer *next; /* among strangers */
	int fd;
	int slot;   /* in control.fds this round; -1: not polled */
	bool ended; /* nothing more will come */
	int64_t hello_by_ms;
	struct buf in, out;
};

bool control_listen(struct control *c, struct err *e);
/* Make the socket anew if somebody who tidies folders has taken it: no worker would find us. */
void control_listen_again(struct control *c);
void peer_free(struct peer *p);
void peer_read(struct peer *p);
void peer_write(struct peer *p);
/* Append a message (takes BODY) and write what the socket takes. */
void peer_say(struct peer *p, enum proto_kind kind, cJSON *body);
void peer_say_stop(struct peer *p, const char *why);
/* Read strangers, find out who they are, send away those that are nobody. */
void control_strangers_step(struct control *c);

/* ---- Workers --------------------------------------------------------------------------------------------------- */

enum worker_role { ROLE_JOB, ROLE_CHECKER, ROLE_PREDICTOR, ROLE_PREPARER, ROLE_REPLAYER, ROLE_N }; /* control_pool.c */
enum worker_state {
	WORKER_BORN,     /* started, has not said hello */
	WORKER_READY,    /* a spare, or the checker */
	WORKER_RESERVED, /* its ASSIGN is under way */
	WORKER_BUSY,     /* RUN was sent; also one that an earlier daemon started */
};

struct worker {
	struct worker *next;
	enum worker_role role;
	enum worker_state state;
	struct local_process process;
	char secret_hash[SHA256_TEXT];
	struct peer *peer;      /* owned; NULL: no connection */
	struct cached_job *job; /* borrowed; from RESERVED on */
	int attempt;
	int64_t born_ms;
	int64_t deadline_ms;      /* killed then; 0: none */
	const char *deadline_why; /* for people */
	const char *stop;         /* what it was told: "cancel", "pause", "drain", "timeout"; NULL: nothing */
	bool met;                 /* it has said hello to this daemon */
	bool stopped, done;       /* it said so; it leaves by itself */
	bool exited;              /* its process is gone */
	bool over_memory;
	char *broken; /* owned; why its messages cannot be taken, or the job's fault that another attempt may heal */
	struct batch *batch;             /* owned; messages being committed */
	int64_t batch_retry_ms;          /* the batch failed and is posted again then; 0: it is on its way */
	int slot_process, slot_words;    /* in control.fds; -1: not polled */
	int64_t memory_bytes, memory_ms; /* resident, looked at then */
	int64_t memory_most;             /* killed above it; 0: its job's, or none */
	struct preparation *preparation; /* owned; what a preparer is at, or NULL */
	struct replaying *replaying;     /* owned; what a replayer is at, or NULL */
};

/* Read exits, last words and deadlines; remove the dead; start what is missing. */
void control_workers_step(struct control *c);
/* Watch the worker that an earlier daemon gave J to; NULL: it is gone. */
struct worker *worker_adopt(struct control *c, struct cached_job *j);
void worker_kill(struct worker *w, const char *why); /* WHY for the log; NULL: as planned */
/* Tell it once why it must stop, and kill it if it has not after STOP_MS. */
void worker_stop(struct control *c, struct worker *w, const char *why);
void worker_free(struct control *c, struct worker *w);
struct worker *worker_spare(struct control *c); /* ready and without a job, or NULL */
const char *worker_role_name(enum worker_role role);

/* Take what a busy worker has said, in one command. */
void control_intake_step(struct control *c, struct worker *w);
void batch_free(struct batch *b);

/* ---- Jobs ------------------------------------------------------------------------------------------------------ */

/* What the loop remembers of a row whose state is not terminal. */
struct cached_job {
	char id[ULID_TEXT];
	enum job_state state;
	int priority, threads, retries, attempt;
	int64_t memory_bytes, timeout_ms, run_ms, queued_ms, acked, step;
	char *reason;          /* owned; of the row */
	char *engine;          /* owned; of the row, may be NULL */
	char *dataset;         /* owned; NULL: none */
	bool external;         /* its numbers come from outside: no process ever has it */
	int keep_last;         /* checkpoints of kind "last" that stay */
	int64_t heard_ms;      /* of the wall clock; when it last said something */
	struct worker *worker; /* borrowed; NULL: no process has it */
	bool seen;             /* by the present reading of the rows */
	bool pending;          /* a command about it is under way: its state here may be old */
	int64_t hold_until_ms; /* a command about it failed: nothing is done before */
	int64_t timeout_at_ms; /* monotonic; 0: not computed */
	bool judged;           /* INTERRUPTED: its losses have been counted */
	bool give_up;          /* there were too many */
	struct verdict {       /* what the end of its worker meant; event LOST without reason: nothing is known */
		enum job_event event;
		const char *reason; /* NULL: the daemon was restarted meanwhile */
		char detail[400];
		char *words; /* owned; last words on standard error, or NULL */
		bool again;  /* queued again at once: it was not the job's fault */
	} verdict;
};

/* Read the rows again (if they may have changed) and do what each job needs. */
void control_jobs_step(struct control *c);
/* First reading: also finds the workers that an earlier daemon left. */
td_status control_jobs_load(struct control *c, struct err *e);
void control_jobs_free(struct control *c);
bool control_jobs_occupied(const struct control *c);                     /* some job's end is not committed yet */
struct cached_job *control_job(const struct control *c, const char *id); /* or NULL */
/* W, which had J, is gone: say what that means for J. */
void job_lost_worker(struct control *c, struct cached_job *j, const struct worker *w, const struct local_exit *x);
/* Post A, a command about J: nothing else is done about J until job_action_done says how it went. */
void job_post(struct control *c, struct cached_job *j, struct action *a);
void job_action_done(struct control *c, const char *id, const struct err *e);
/* False: the pack of queued J's dataset is not there, and J goes back to wait for it. */
bool job_has_data(struct control *c, struct cached_job *j);

/* Give free workers to queued jobs, and say of the others why they wait. */
void control_queue_step(struct control *c);
struct control_room control_count_room(const struct control *c);
struct resume;
/* What RUN and REPLAY (proto.h) say alike: J's spec, its pack DATA (NULL: none), and the weights and checkpoint that its
 * steps begin from. */
void control_add_start(
	const struct control *c, cJSON *body, const struct job *j, const char *data, const struct resume *from);

/* ---- Folders --------------------------------------------------------------------------------------------------- */

void folder_remove_file(const struct control *c, const char *id, const char *name);
/* Delete what no row names.  Only while no worker has the job. */
void folder_tidy(struct control *c, const char *id);
/* At the start: tidy the folders of jobs, delete those whose job has no row, and files of requests that are no more. */
void folder_sweep(struct control *c);

struct resume { /* where an attempt begins */
	int64_t step;
	char *file; /* owned; NULL: from the beginning */
	char sha256[SHA256_TEXT];
};
/* The last checkpoint whose file is there with all its bytes; the worker, which reads it anyway, checks the hash. */
void folder_checkpoint(struct control *c, const char *id, struct resume *out);

struct holder { /* worker.json: who holds the present attempt */
	int attempt;
	pid_t pid;
	int64_t born;
	char boot[48], secret_hash[SHA256_TEXT];
};
td_status holder_write(struct control *c, const char *id, const struct worker *w, struct err *e);
bool holder_read(const struct control *c, const char *id, struct holder *out);
/* Whether the process was started since the machine's last start. */
bool holder_this_boot(const struct holder *h);

/* ---- Questions and sweeps -------------------------------------------------------------------------------------- */

struct desk {                   /* under the lock: the questions to one kind of process, which answers one at a time */
	struct question *first; /* waiting and sent, oldest first; owned */
	struct question *sent;  /* among them; NULL: none, though the process may still be at one that was given up */
	bool busy;
	int64_t id, deadline_ms; /* of what it is at */
};

void control_questions_step(struct control *c);
void control_questions_end(struct control *c); /* answer all that wait, and all that come: stopping */
int control_predictors_wanted(struct control *c);
bool control_answerer_busy(const struct control *c, const struct worker *w); /* it is at a question */
void control_answerer_said(struct control *c, struct worker *w, struct proto_msg *m);
/* Whatever W was asked, another is asked instead if it left by itself. */
void control_answerer_lost(struct control *c, struct worker *w, bool by_itself, const char *how);

void control_sweeps_step(struct control *c);

/* ---- Datasets -------------------------------------------------------------------------------------------------- */

/* What the loop remembers of a row that is fetching or preparing. */
struct cached_dataset {
	char *name, *source, *folder, *format; /* owned; as in struct dataset */
	enum data_state state;
	int64_t created_ms, max_bytes;
	bool seen;             /* by the present reading of the rows */
	bool pending;          /* a command about its state is under way */
	int64_t hold_until_ms; /* a command about it failed: nothing is done before */
	int64_t said_ms;       /* its last row, and the last line in logs, about progress */
	int64_t logged_ms;
	int64_t *done, *total; /* owned; bytes of each of its files, while fetching */
	int n_files;
};

td_status control_data_init(struct control *c, struct err *e);
void control_data_step(struct control *c);
void control_data_free(struct control *c);
/* Remove what is left of deleted datasets that somebody was still writing to. */
void control_data_tidy(struct control *c);
/* control_want.c.  As control_dataset, from the loop's own thread. */
enum dataset_state dataset_want(struct control *c, const char *name, struct err *e);
/* Of a dataset that is ready its pack's folder, else NULL.  Owned, like what follows. */
char *dataset_pack(const struct control *c, const char *name);
/* JSON of its pack's info, also for a known dataset that is not there yet; NULL: nobody knows it yet. */
char *dataset_info(const struct control *c, const char *name);
/* Move D's row; the texts of M are copied. */
void dataset_post_move(struct control *c, struct cached_dataset *d, const struct dataset_move *m);
/* Tell the row, and the jobs that wait, how far it has come; at most every DATA_SAY_MS. */
void dataset_post_progress(struct control *c, struct cached_dataset *d, int64_t done, int64_t total, const char *file);

/* control_prepare.c */
void dataset_prepare(struct control *c, struct cached_dataset *d);
/* End the preparations that no row asks for any more. */
void control_preparers_step(struct control *c);
int control_preparers_wanted(struct control *c);
/* Another round follows at once when one is missing. */
void control_preparers_due(struct control *c);
void control_preparer_said(struct control *c, struct worker *w, struct proto_msg *m);
void control_preparer_lost(struct control *c, struct worker *w, bool by_itself, const char *how);
void preparation_free(struct preparation *p);

/* ---- Replays --------------------------------------------------------------------------------------------------- */

void control_replays_step(struct control *c);
int control_replayers_wanted(struct control *c);
void control_replayer_said(struct control *c, struct worker *w, struct proto_msg *m);
void control_replayer_lost(struct control *c, struct worker *w, bool by_itself, const char *how);
/* Remove the folders of replays of JOB that have no row. */
void control_replays_tidy(struct control *c, const char *job);
void control_replays_free(struct control *c); /* the row in memory */
void replaying_free(struct replaying *r);

/* ---- The loop -------------------------------------------------------------------------------------------------- */

struct control {
	const struct config *config; /* borrowed */
	struct store *store;         /* borrowed */
	struct store_reader *reader;
	pthread_t thread;
	int wake; /* eventfd */
	int listener;
	char *socket; /* owned; path */

	int64_t now_ms, next_ms; /* monotonic: this round, and the latest time of the next */
	struct pollfd fds[SLOTS_MOST];
	int n_fds;

	struct peer *strangers;
	int n_strangers;
	struct worker *workers;
	int64_t spawn_after_ms; /* a start failed, or a worker died before hello */
	int n_failed_starts;    /* in a row */
	int spares_wanted;      /* by the queue */
	bool reasons_pending;   /* a command that says why jobs wait is under way */

	struct map jobs;       /* id -> struct cached_job, owned */
	int64_t read_seq;      /* rows were read up to this seq */
	int64_t read_after_ms; /* not again before */
	bool reread;           /* own commits have changed rows */
	int64_t started_ms;    /* of the wall clock: of this daemon */
	int64_t sweeps_seq;    /* sweeps were looked at up to this seq */
	int64_t sweeps_after_ms;
	bool sweep_pending; /* a command about a sweep is under way */

	struct replay_row *replay; /* owned; the oldest that is not over, NULL: none */
	int64_t replays_seq;       /* rows were read up to this seq */
	int64_t replays_after_ms;  /* not again before */
	int64_t replays_hold_ms;   /* nothing is done about them before: a command failed */
	bool replays_reread;       /* own commits have changed rows */
	int replays_pending;       /* commands about replays that are under way */

	struct action_list outbox; /* waiting for room in the writer's queue */
	int n_actions;             /* posted or waiting */

	struct fetch *fetch;
	struct map datasets;  /* name -> struct cached_dataset, owned: those that are fetching or preparing */
	int64_t data_seq;     /* their rows were read up to this seq */
	bool data_reread;     /* own commits have changed rows */
	bool registering;     /* a command that adds a row is under way */
	int64_t data_hold_ms; /* rows could not be read or added: not again before */
	pthread_mutex_t data_lock;
	struct store_reader *data_reader; /* under DATA_LOCK: for threads that ask about a dataset */
	bool draining;
	int64_t drain_until_ms;

	atomic_int stops;          /* calls of control_stop */
	_Atomic int64_t woken_seq; /* newest seq that anybody told us */

	pthread_mutex_t lock;        /* guards what follows */
	struct action_list finished; /* committed, to be finished here */
	struct desk desks[ASK_N_KINDS];
	bool stopping;                /* no more questions */
	void (*on_answer)(void *arg); /* wakes those that park until their question is answered */
	void *on_answer_arg;          /* borrowed */
	cJSON *workers_json;          /* owned; for control_workers */
	struct control_room room;
};

/* The round that follows begins at WHEN_MS at the latest. */
static inline void control_due(struct control *c, int64_t when_ms)
{
	c->next_ms = TD_MIN(c->next_ms, when_ms);
}

/* Poll FD for EVENTS; returns its slot, or -1. */
int control_watch(struct control *c, int fd, short events);
static inline short control_ready(const struct control *c, int slot)
{
	return slot >= 0 ? c->fds[slot].revents : 0;
}
void control_wake_loop(struct control *c);

#endif
