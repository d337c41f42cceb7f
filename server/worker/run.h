/* A running job: what the files of its training share. */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

#include "io/io.h"
#include "worker/spec.h"
#include "worker/tell.h"

struct run {
	struct link *link; /* borrowed */
	struct tell tell;
	const char *folder;      /* borrowed; the job's */
	const char *data_folder; /* borrowed; the dataset's pack */
	int threads;
	const cJSON *resume;           /* borrowed; NULL: from the start */
	const char *init;              /* borrowed; file of weights to begin with; NULL: none, or it is gone */
	char init_sha256[SHA256_TEXT]; /* of that file, once it was read */
	struct err err;
	const char *err_pointer; /* borrowed; the place in the spec that ERR is about, or NULL */

	const cJSON *document; /* borrowed; the spec as it came */
	struct spec spec;
	struct faults faults;
	struct loader *loader;          /* owned */
	const struct data_facts *facts; /* borrowed from LOADER */
	int64_t *order;                 /* owned; of the present epoch */
	int64_t order_epoch;            /* which epoch that is; -1: none yet */

	td_ctx *c;
	struct nn_model *model;
	struct nn_trainer *trainer;
	/* One batch: the full size, and the short one that ends an epoch or a split (made when it is needed). */
	struct batch {
		struct nn_batch of; /* owned */
		int64_t n;
	} batches[2];
	struct data_batch room;         /* owned; where a batch is put together */
	float *own_answer, *own_target; /* owned; of values: a batch's in the target's own units */

	int64_t n_steps;               /* of the training */
	int64_t n_batches;             /* of an epoch */
	struct checkpoint at;          /* where the training stands; what a checkpoint keeps */
	double loss, grad_norm;        /* of the last step, and its gradients' norm */
	double factor;                 /* the schedule's, of the last step */
	const char *nonfinite;         /* "loss" | "grad_norm": what stopped the training; NULL: nothing */
	int64_t start_step;            /* where this attempt began */
	int64_t saved_step;            /* of the last checkpoint that was announced; -1: none */
	int64_t saved_ms;              /* monotonic; when */
	bool settled;                  /* what comes after the first step was sent */
	const struct run_watch *watch; /* borrowed; not NULL: this is a replay, which saves and tells nothing */

	/* For train/samples_per_second and the report. */
	int64_t window_ns;     /* monotonic; when the present window began */
	int64_t window_seen;   /* samples since */
	int64_t train_ns;      /* spent in train steps by this attempt */
	int64_t train_samples; /* seen by this attempt */
	int64_t began_ms;      /* monotonic */
};

/* A replay looks on while its steps run. */
struct run_watch {
	/* Batch I of the step is B, samples FIRST .. FIRST+N-1 of ORDER; it is about to be used. */
	void (*batch)(void *arg, int i, const struct batch *b, const int64_t *order, int64_t first);
	/* What the model answered to it; not called where the job has no metric of the training. */
	void (*answers)(void *arg, int i, const struct nn_answers *a);
	void *arg; /* borrowed */
};

/* ---- train.c ----------------------------------------------------------------------------------------------------- */

/* R is what MESSAGE, a RUN or a REPLAY, asks for. */
void run_init(struct run *r, struct link *l, const cJSON *message);
/* Read spec and data, make model and trainer, go to where the training starts.  False: R->err. */
bool run_open(struct run *r);
const char *run_pack(const struct run *r); /* the name of its data's folder, which tells their contents */
void run_release(struct run *r);
/* Whether the job must leave without finishing what it is at. */
bool run_abandoned(const struct run *r);
/* Whether targets are classes with names: those of samples, or tags of words; tokens of a vocabulary are not. */
bool run_has_classes(const struct run *r);
/* "val", "train", "test": how the names of a split's series begin; and how reports call it. */
extern const char *const run_split_series[DATA_SPLITS], *const run_split_names[DATA_SPLITS];

/* ---- batch.c ----------------------------------------------------------------------------------------------------- */

/* False: R->err. */
bool batch_rooms_init(struct run *r);
void batch_rooms_release(struct run *r);
/* Put samples FIRST .. FIRST+N-1 of SPLIT (in ORDER, or its own) into tensors.  NULL: R->err. */
struct batch *run_batch(
	struct run *r, enum data_split split, int64_t epoch, const int64_t *order, int64_t first, int64_t n);
/* What the model answered to the last N samples that run_batch fetched, as metrics read it.  Valid until the next. */
struct nn_answers run_answers(struct run *r, int64_t n, const float *answer, const float *each);
/* Rooms (mem_free) for what the model answers to N samples.  False: R->err. */
bool answer_rooms(struct run *r, int64_t n, float **answer, float **each);
/* Whether target I of A counts. */
bool answers_count(const struct nn_answers *a, int64_t i);
/* The mean loss of sample I; NONE where no target of it counts. */
double answers_loss(const struct nn_answers *a, int64_t i, double none);

/* ---- steps.c ----------------------------------------------------------------------------------------------------- */

/* One step, with the points that are due after it.  False: R->err, and R->nonfinite where loss or norm are to blame. */
bool train_step(struct run *r);
/* The running means since the last point become points. */
void log_window(struct run *r);

/* ---- evaluate.c -------------------------------------------------------------------------------------------------- */

#define RESIDUALS_MOST 1000 /* points of a regression's report */
#define CURVES_MOST    4    /* kinds of curves that a report draws */

struct evaluation {
	enum data_split split;
	int64_t n;             /* samples */
	struct nn_figure loss; /* over targets */
	double loss_weight;    /* what its sum is divided by, where classes have weights; 0: the number of targets */
	struct nn_meter meter[NN_METRICS_MOST];
	/* What a report asks for besides; none of it without KEEP. */
	bool keep;
	struct nn_meter curve[CURVES_MOST]; /* of metrics that draw curves and that the job does not name */
	struct opt_choice curve_choice[CURVES_MOST];
	int n_curves;
	int64_t steps;              /* targets of a sample */
	float *sample_loss;         /* owned; [n] */
	int32_t *label, *predicted; /* owned; [n, steps] classes, a label -1 where none counts; NULL: no classes */
	struct {
		double *target, *prediction; /* owned; [n] */
		int64_t n, every;            /* of every so many samples */
	} residuals;                         /* of DATA_VALUES, own units */
};

double evaluation_loss(const struct evaluation *e);
/* The standard error of it. */
double evaluation_loss_error(const struct evaluation *e);

/* The first N samples of SPLIT in evaluation mode.  PHASE is shown as progress.  KEEP: for a report.  False: R->err, or
 * abandoned. */
bool evaluate(struct run *r, enum data_split split, int64_t n, const char *phase, bool keep, struct evaluation *out);
void evaluation_release(struct run *r, struct evaluation *e);
/* Send SPLIT/loss and the metrics as points of STEP. */
void evaluation_tell(struct run *r, const struct evaluation *e, int64_t step);
/* The value of series I: 0 the loss, 1 + i metric i. */
double evaluation_value(const struct evaluation *e, int i);

/* ---- validate.c -------------------------------------------------------------------------------------------------- */

bool validation_due(const struct run *r);
/* Whether there is validation at all. */
bool validates(const struct run *r);
/* Validate, and do what follows: keep the best, lower the learning rate, decide to stop.  False: R->err, or abandoned.
 */
bool validate(struct run *r);

/* ---- save.c ------------------------------------------------------------------------------------------------------ */

/* Checkpoint now, after everything up to here was sent.  KIND "last" or "best".  False: R->err. */
bool save_checkpoint(struct run *r, const char *kind);
/* The file of it alone: the trainer's tensors and AT as PATH. */
bool write_checkpoint(struct run *r, const char *path, const struct checkpoint *at, struct file_facts *facts);
/* Go back to the checkpoint of R->resume, or on from another job's.  False: R->err. */
bool load_checkpoint(struct run *r);
/* Fill the model from the weights at R->init.  False: R->err. */
bool load_init(struct run *r);

/* ---- artifacts.c ------------------------------------------------------------------------------------------------- */

/* Read a file of weights, of at most BYTES_MOST bytes; of a checkpoint, the model's tensors under their own names. */
td_status weights_read(const char *path, int64_t bytes_most, struct safetensors *out, struct err *e);
/* All that a job leaves: weights, best weights, how inputs are prepared, the model as Python.  False: R->err. */
bool save_artifacts(struct run *r);
/* samples.png: the first training batch as the model sees it.  False: R->err. */
bool save_samples(struct run *r);

/* ---- report.c, report_samples.c, graph.c ------------------------------------------------------------------------- */

/* EVALUATIONS by split; NULL where there is none, and the last of them was kept.  NULL: R->err, or abandoned. */
cJSON *report_json(struct run *r, const struct evaluation *const evaluations[DATA_SPLITS]);
/* What E's samples look like, and what the model says of them.  NULL: R->err, or abandoned. */
cJSON *report_samples(struct run *r, const struct evaluation *e);
/* [{label, probability}], the surest first; TOP of the N_CLASSES at P. */
cJSON *report_top(const struct loader *l, const float *p, int64_t n_classes, int top);
/* {name: value} of N values of the target; OWN: they are in its own units already. */
cJSON *report_values(const struct loader *l, const float *v, int64_t n, bool own);
cJSON *engine_json(const struct run *r);
/* The traced step, for drawing.  NULL: R->err. */
cJSON *graph_json(struct run *r, const struct batch *b);

#endif
