/* Sweeps: which children there are, and which of them go on.  Pure: no clock, no I/O, no globals.
 *
 * A child's parameters depend on the sweep's document and the child's index alone (Philox, addressed by seed, axis and
 * index).  Decisions depend on values alone, never on who came first: so a sweep that is killed and started again plans
 * and decides the same.
 *
 * asha is the asynchronous successive halving of Li et al., "A system for massively parallel hyperparameter tuning"
 * (MLSys 2020), with its order taken out: rung k lies at min_steps * eta^k steps; the value of a child there is its
 * metric's first point at or after that step; the decision about child i looks at the children 0..i only, and is made
 * when each of them has a value there or can have none any more.  It goes on if it is among the best ceil(m / eta) of
 * those m values; the first eta - 1 always do.  With `median` it must also be no worse than their median, from the
 * third value on. */
#ifndef SCHED_SWEEP_H
#define SCHED_SWEEP_H

#include "base/json.h"

#define SWEEP_JOBS_MOST     1000 /* children: each is a row with its spec until it runs */
#define SWEEP_PARALLEL_MOST 256
#define SWEEP_AXES_MOST     32
#define SWEEP_RUNGS_MOST    20 /* 2^20 times the first: more than a job has steps */

enum sweep_strategy { SWEEP_GRID, SWEEP_RANDOM, SWEEP_ASHA };

enum sweep_kind { AXIS_VALUES, AXIS_UNIFORM, AXIS_LOG_UNIFORM, AXIS_INT_UNIFORM, AXIS_QUANTIZED };

struct sweep_axis {
	const char *pointer; /* into a job's spec; borrowed from the document */
	enum sweep_kind kind;
	const cJSON *values;       /* AXIS_VALUES: an array; borrowed */
	double low, high, quantum; /* of the others; both ends are included */
};

struct sweep {
	enum sweep_strategy strategy;
	struct sweep_axis axes[SWEEP_AXES_MOST];
	int n_axes;
	const char *metric; /* borrowed */
	bool maximise;
	int max_jobs, parallel;
	uint64_t seed;
	int64_t min_steps;
	int eta;
	bool median;
};

/* Read DOCUMENT (the body of POST /sweeps), whose strings OUT borrows.  Faults carry pointers into the document; OUT is
 * complete only when there is none. */
void sweep_read(const cJSON *document, struct sweep *out, struct faults *f);

/* What child INDEX has in place of the base's: {"/optimizer/lr": 0.01} (cJSON_Delete). */
cJSON *sweep_params(const struct sweep *s, int index);

/* ---- asha -------------------------------------------------------------------------------------------------------- */

struct sweep_child {
	int n_passed;        /* rungs decided in its favour, from the first */
	bool stopped;        /* at rung n_passed */
	bool over;           /* its job has ended: no value will come any more */
	bool has_next;       /* at the next undecided rung, n_passed, it has a value */
	double next;         /* that value */
	const double *value; /* at the decided rungs (n_passed, and one more when stopped); borrowed */
};

struct sweep_decision {
	int child, rung;
	bool pass;
	double value;
	int rank, m; /* its place among the m values that were looked at, from 0 */
};

int64_t sweep_rung_step(const struct sweep *s, int rung); /* INT64_MAX: beyond all steps */
/* All decisions that can be made now about the N children created so far (0..N-1); at most MOST go to OUT.  A child
 * gets one at a time: its next value is not known here.  Returns how many. */
int sweep_decide(
	const struct sweep *s, const struct sweep_child *children, int n, struct sweep_decision *out, int most);

/* Whether A is better than B; what is not a number is the worst. */
bool sweep_better(const struct sweep *s, double a, double b);

#endif
