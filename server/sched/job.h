/* The job: what it is, the states it can be in, and the moves between them.  Start reading the server here.
 *
 * States are data: job_moves (job.c) is the one table, read by the writer (the only one that changes a state), by the
 * API's documentation and by the tests.  Nothing here does I/O or asks for the time. */
#ifndef SCHED_JOB_H
#define SCHED_JOB_H

#include <stdint.h>
#include "base/clock.h"
#include "base/err.h"

/* X(NAME, "text", terminal, occupies: a worker belongs to the job in this state) */
#define JOB_STATES(X)                                                                                                  \
	X(PREPARING, "preparing", 0, 0)                                                                                \
	X(QUEUED, "queued", 0, 0)                                                                                      \
	X(STARTING, "starting", 0, 1)                                                                                  \
	X(RUNNING, "running", 0, 1)                                                                                    \
	X(PAUSING, "pausing", 0, 1)                                                                                    \
	X(PAUSED, "paused", 0, 0)                                                                                      \
	X(CANCELLING, "cancelling", 0, 1)                                                                              \
	X(INTERRUPTED, "interrupted", 0, 0)                                                                            \
	X(SUCCEEDED, "succeeded", 1, 0)                                                                                \
	X(FAILED, "failed", 1, 0)                                                                                      \
	X(CANCELLED, "cancelled", 1, 0)                                                                                \
	X(TIMED_OUT, "timed_out", 1, 0)

enum job_state {
#define X(name, text, terminal, occupies) JOB_##name,
	JOB_STATES(X)
#undef X
		JOB_N_STATES
};

/* What can happen to a job. X(NAME, "text") */
#define JOB_EVENTS(X)                                                                                                  \
	X(DATA_READY, "data_ready")   /* its dataset is on disk */                                                     \
	X(DATA_FAILED, "data_failed") /* its dataset cannot be had */                                                  \
	X(DATA_GONE, "data_gone")     /* when its turn came, its dataset was not on disk (any more) */                 \
	X(BEGIN, "begin")             /* an external job: it runs where it was submitted from */                       \
	X(ASSIGN, "assign")           /* the scheduler gave it a worker */                                             \
	X(STARTED, "started")         /* the worker has built the model and begins */                                  \
	X(DONE, "done")               /* the worker finished it */                                                     \
	X(FAIL, "fail")               /* the worker says that it cannot succeed */                                     \
	X(LOST, "lost")               /* worker, daemon or machine died, or drained: resumes */                        \
	X(REQUEUE, "requeue")         /* after LOST, when an attempt is left */                                        \
	X(GIVE_UP, "give_up")         /* after LOST, when none is left */                                              \
	X(CANCEL, "cancel")           /* the user */                                                                   \
	X(PAUSE, "pause")             /* the user */                                                                   \
	X(RESUME, "resume")           /* the user */                                                                   \
	X(STOPPED, "stopped")         /* the worker has checkpointed and left, as it was told */                       \
	X(TIMEOUT, "timeout")         /* timeout_s has passed */

enum job_event {
#define X(name, text) JOB_EV_##name,
	JOB_EVENTS(X)
#undef X
		JOB_N_EVENTS
};

const char *job_state_name(enum job_state s); /* "queued" */
bool job_state_parse(const char *name, enum job_state *out);
bool job_state_terminal(enum job_state s);
bool job_state_occupies(enum job_state s);
const char *job_event_name(enum job_event e);

/* The move for (FROM, EVENT).  False: there is none; the job stays as it is. */
bool job_next_state(enum job_state from, enum job_event event, enum job_state *to);

/* One row of the table jobs.  Strings are owned (job_release). */
struct job {
	char id[ULID_TEXT];
	int64_t seq; /* commit that last changed the row */
	enum job_state state;
	char *reason; /* machine-readable, of the last transition: "submitted", "no_free_threads", "worker_died" ... */
	char *detail; /* for people; NULL: none */
	char *name, *project, *owner, *notes; /* never NULL */
	char *tags;                           /* JSON array of strings; never NULL */
	char *spec;                           /* JSON, all defaults filled in; never NULL */
	char *checked;                        /* JSON of the checker: layers, parameters, flops, bytes; NULL before */
	char *summary;                        /* JSON object: last value of each series, "test/accuracy": 0.91 */
	char *error;                          /* JSON problem of the last failure, or NULL */
	char *engine; /* JSON: fingerprint, counters, "exact" (same fingerprint in all attempts), and what STARTED of proto.h says
			 of data and init; NULL before */
	int priority;
	int threads;           /* asked for */
	int64_t memory_bytes;  /* asked for */
	int64_t timeout_ms;    /* of running time, all attempts together; 0: none */
	int retries;           /* attempts after a loss that still may follow the first */
	int attempt;           /* 0 before the first; fences stale workers */
	int64_t acked;         /* last message of this attempt that is committed */
	int64_t step, n_steps; /* progress; 0 when unknown */
	char *phase;           /* "train", "validate" ...; empty before the first progress */
	int epoch;
	int64_t created_ms, updated_ms, finished_ms; /* finished: 0 until the state is terminal */
	int64_t queued_ms;  /* when it took its place in the queue; an interrupted job keeps its place */
	int64_t started_ms; /* when this attempt began to run; 0: it has not yet */
	int64_t run_ms;     /* running time of the attempts that have ended */
	bool deleted;
	char *kind;      /* "train" | "external"; NULL stands for "train" */
	char *sweep;     /* id of the sweep that it is a child of; NULL: none */
	int sweep_index; /* its place among the children, from 0 */
	char *params;    /* JSON object: what the sweep chose for it; read only */
	char *parent;    /* JSON of a fork: {"job", "checkpoint", "step", "sha256", "new_rates"}; NULL: it is none */
	char *warnings;  /* JSON array of {"code", "layer", "text"}; NULL: none, or one of a list */
};

/* Whether its numbers come from outside: no worker ever belongs to it. */
bool job_external(const struct job *j);

void job_release(struct job *j);

#endif
