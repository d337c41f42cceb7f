/* Queue policy: who runs next.  Pure: no clock, no I/O, no globals; tested with tables and against a naive model. */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "sched/job.h"

struct sched_job {
	const char *id;    /* borrowed */
	int priority;      /* higher first */
	int64_t queued_ms; /* earlier first among equals, then by id */
	int threads;
	int64_t memory_bytes;
};

struct sched_room {
	int threads, workers; /* free now */
	int64_t memory_bytes;
};

/* Priority grows by one for every minute of waiting, so no job starves. */
#define SCHED_AGING_MS 60000

/* Choose from JOBS (any order) those that start now; their indices go to PICKED (room for N), in starting order.
 * The first that does not fit holds its place: later ones may pass only if they leave it the room it waits for.
 * Returns how many. */
int sched_pick(const struct sched_job *jobs, int n, struct sched_room room, int64_t now_ms, int *picked);

/* Why a queued job does not run, for its reason: "waiting_for_threads", "waiting_for_memory", "waiting_for_worker",
 * "waiting_for_turn". */
const char *sched_why(const struct sched_job *job, struct sched_room room);

#endif
