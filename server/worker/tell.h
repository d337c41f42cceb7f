/* What a running job tells its daemon: points, progress, log lines, in few messages.
 *
 * Points are gathered and sent together, but the first at once: somebody is waiting for it.  Nothing is kept beyond the
 * caps below; tell_flush sends what is there, and whoever announces a checkpoint calls it first. */
#ifndef WORKER_TELL_H
#define WORKER_TELL_H

#include "td.h"
#include "worker/link.h"

#define TELL_METRICS_MS  50   /* points wait for others at most so long */
#define TELL_POINTS_MOST 2000 /* points of one message */
#define TELL_PROGRESS_MS 100  /* between two messages of progress */

struct tell {
	struct link *link; /* borrowed */
	cJSON *points;     /* owned; of the next METRICS, NULL: none */
	int n_points;
	int64_t sent_ms;     /* monotonic; of the last METRICS, 0: none yet */
	int64_t progress_ms; /* monotonic; of the last PROGRESS */
	int64_t n_steps;     /* of the whole job */
	/* Not NULL: points go here, and everything else nowhere; nobody but a replay listens. */
	void (*point)(void *arg, const char *series, int64_t step, double value);
	void *arg; /* borrowed */
};

void tell_init(struct tell *t, struct link *l);
void tell_release(struct tell *t);
/* VALUE of SERIES at STEP, now. */
void tell_point(struct tell *t, const char *series, int64_t step, double value);
/* Send points that have waited long enough. */
void tell_due(struct tell *t);
void tell_flush(struct tell *t);
/* Where the job is; too soon after the last one it is dropped unless URGENT.  PHASE: "prepare", "train", "validate",
 * "test". */
void tell_progress(struct tell *t, int64_t step, int64_t epoch, const char *phase, bool urgent);
void tell_log(struct tell *t, const char *level, const char *fmt, ...) TD_PRINTF(3, 4);
/* What is probably not meant; the daemon keeps it once for each code and layer. */
void tell_warning(struct tell *t, const td_warning *w);
/* The first update of the job that is left out, because STEP was not finite: WHAT has VALUE.  The daemon replays it. */
void tell_left_out(struct tell *t, int64_t step, const char *what, const char *value);
/* FAILED.  POINTER may be NULL; RETRY: another attempt may help; STEP: the one that was not finite, 0: none was. */
void tell_failed(struct tell *t, td_status s, const char *detail, const char *pointer, bool retry, int64_t step);

#endif
