/* A running job: what train.c, evaluate.c, save.c and report.c share. */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "io/io.h"
#include "worker/spec.h"
#include "worker/tell.h"

struct run {
	struct link *link; /* borrowed */
	struct tell tell;
	const char *folder;      /* borrowed; the job's */
	const char *data_folder; /* borrowed; the dataset's files */
	int threads;
	const cJSON *resume; /* borrowed; NULL: from the start */
	struct err err;
	const char *err_pointer; /* borrowed; the place in the spec that ERR is about, or NULL */

	struct spec spec;
	struct faults faults;
	struct dataset data;
	struct data_view train, validation, test; /* VALIDATION may be empty */
	struct data_table table;
	int64_t *order;      /* owned; of the present epoch */
	int64_t order_epoch; /* which epoch that is; -1: none yet */

	td_ctx *c;
	struct nn_model *model;
	struct nn_trainer *trainer;
	/* One batch: the full size, and the short one that ends an epoch or a split (made when it is needed). */
	struct batch {
		td_value *images, *labels; /* owned */
		int64_t n;
	} batches[2];
	float *images;   /* owned; where a batch is put together */
	int64_t *labels; /* owned; likewise */

	int64_t n_steps, n_batches; /* of the training; of an epoch */
	struct checkpoint at;       /* where the training stands; what a checkpoint keeps */
	int64_t saved_step;         /* of the last checkpoint that was announced; -1: none */
	int64_t saved_ms;           /* monotonic; when */
	bool settled;               /* the graph was sent and the test samples are read */

	/* For train/samples_per_second and the report. */
	int64_t window_ns;     /* monotonic; when the present window began */
	int64_t window_seen;   /* samples since */
	int64_t train_ns;      /* spent in train steps by this attempt */
	int64_t train_samples; /* seen by this attempt */
	int64_t began_ms;      /* monotonic */
};

/* ---- train.c ----------------------------------------------------------------------------------------------------- */

/* Put samples FIRST .. FIRST+N-1 of V (in ORDER, or its own) into tensors.  NULL: R->err. */
struct batch *run_batch(struct run *r, const struct data_view *v, const int64_t *order, int64_t first, int64_t n);
/* Whether the job must leave without finishing what it is at. */
bool run_abandoned(const struct run *r);

/* ---- evaluate.c -------------------------------------------------------------------------------------------------- */

/* A figure over N samples: its mean, and the standard error of that. */
struct figure {
	double sum, sum_squares;
	int64_t n;
};
double figure_mean(const struct figure *f);
double figure_error(const struct figure *f);

struct evaluation {
	const struct data_view *view; /* borrowed */
	struct figure loss, metric[NN_METRICS_MOST];
	int64_t n;           /* samples */
	int32_t *prediction; /* owned; [n] */
	float *probability;  /* owned; [n]: of the prediction */
};

/* The first N samples of V (all: V->n) in evaluation mode.  PHASE is shown as progress.  False: R->err, or abandoned.
 */
bool evaluate(struct run *r, const struct data_view *v, int64_t n, const char *phase, struct evaluation *out);
void evaluation_release(struct evaluation *e);
/* Send SPLIT/loss and the metrics as points of STEP. */
void evaluation_tell(struct run *r, const struct evaluation *e, const char *split, int64_t step);

/* ---- save.c ------------------------------------------------------------------------------------------------------ */

/* Checkpoint now, after everything up to here was sent.  KIND "last" or "best".  False: R->err. */
bool save_checkpoint(struct run *r, const char *kind);
/* Go back to the checkpoint of R->resume.  False: R->err. */
bool load_checkpoint(struct run *r);
/* The weights, as the artifact model.safetensors.  False: R->err. */
bool save_model(struct run *r);

/* ---- report.c ---------------------------------------------------------------------------------------------------- */

/* TRAIN, VALIDATION: NULL where there is none. */
cJSON *report_json(struct run *r, const struct evaluation *train, const struct evaluation *validation,
	const struct evaluation *test);
cJSON *engine_json(const struct run *r);
/* The traced step, for drawing.  NULL: R->err. */
cJSON *graph_json(struct run *r, const struct batch *b);

#endif
