/* A replay, as its files share it: replay.c runs the steps, replay_compare.c judges them, replay_samples.c shows their
 * samples. */
#ifndef WORKER_REPLAY_H
#define WORKER_REPLAY_H

#include "nn/recording.h"
#include "replayfiles.h"
#include "worker/run.h"

struct replay {
	struct run run;
	const cJSON *message; /* borrowed; the REPLAY */
	int64_t step, steps;  /* to be looked at: STEP .. STEP+STEPS-1 */
	int64_t from, until;  /* where it began, and the last step that is run */
	int64_t last;         /* of the steps that were looked at */
	bool last_unfinite;   /* it was not finite, so its update has not happened */
	struct run_watch watch;
	struct recording recording;
	bool recorded; /* the recording watches just now */
	bool listens;  /* points are compared */
	const char *phase;
	int64_t said_ms; /* monotonic; of the last progress */

	cJSON *done, *batches, *samples; /* owned; see api/replays.c; BATCHES: of the present step */
	int first_sample;                /* of the present batch */
	cJSON *culprit;                  /* owned; NULL: none */
	cJSON *differences;              /* owned; of the verdict */
	int64_t n_tensors, n_bytes, n_points, n_checkpoints; /* compared */
	bool differs;
	cJSON *unmet;      /* owned; of the recorded points those that the run has not come to yet */
	int64_t loss_till; /* up to this step losses were compared with what the job recorded; 0: none */
	struct {
		int64_t after;  /* the weights after this step were tested by what the job recorded; 0: none */
		int64_t step;   /* by what it recorded of this step */
		const char *by; /* "point" | "checkpoint" */
	} weights;
};

/* ---- replay_compare.c -------------------------------------------------------------------------------------------- */

/* All that changes while training, as it was at one moment. */
struct tensors {
	struct tensor_copy {
		td_value *tensor; /* borrowed from the trainer */
		char *name;       /* owned */
		void *elements;   /* owned; row-major */
	} * items;                /* owned */
	int n, room;
};
void tensors_read(struct tensors *t, struct nn_trainer *of);
void tensors_write(const struct tensors *t); /* back to where they were read */
void tensors_release(struct tensors *t);

/* As far as a replay runs: to the first that the job recorded of the last step's loss, and of the weights after it. */
int64_t compare_until(const struct replay *p);
/* Compare what the eager step left with what the graph has left since. */
void compare_tensors(struct replay *p, int64_t step, const struct tensors *eager);
void compare_number(struct replay *p, int64_t step, const char *what, double eager, double graph);
/* The job's checkpoints of the step at which the run stands.  False: R->err. */
bool compare_checkpoints(struct replay *p);
/* A point of the run, when it is listened to. */
void compare_point(void *arg, const char *series, int64_t step, double value);
/* The run is over: what the job recorded on the way and the run did not say is a difference. */
void compare_unmet(struct replay *p);
cJSON *verdict_json(const struct replay *p);

/* ---- replay_samples.c -------------------------------------------------------------------------------------------- */

/* Look on while the steps run: nothing is saved or told, samples are gathered, points compared. */
void replay_watch(struct replay *p);

#endif
