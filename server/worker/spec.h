/* A job's spec as the worker sees it: the sections of the document as structs, read by tables of options.
 *
 * The tables of the job itself stand in spec_options.c; those of data, models, losses, optimizers, schedules and
 * metrics stand with what they describe.  They are all that is known of a job's form; the JSON Schema that the daemon
 * checks with is made from the same tables.  What is not built is not in a table, so it is refused, never ignored.
 *
 * A spec is read before its data is known (spec_read), and completed when it is (spec_meet_data). */
#ifndef WORKER_SPEC_H
#define WORKER_SPEC_H

#include "data/data.h"
#include "nn/learn.h"
#include "nn/nn.h"

enum spec_mode { SPEC_GRAPH, SPEC_EAGER };

/* train.validate_every besides a number of steps */
#define SPEC_EVERY_EPOCH (-1)
#define SPEC_NEVER       (-2)

#define SPEC_SERIES 64 /* bytes of a series' name: "val/recall_macro" */

/* train.on_nonfinite */
enum spec_nonfinite { SPEC_STOP, SPEC_CONTINUE };

struct spec_init {
	const char *model, *job, *checkpoint; /* MODEL, or JOB and CHECKPOINT; NULL or empty: not given */
	bool strict;
	struct opt_strings skip;
};

struct spec_early {
	const char *metric; /* a series; NULL: no early stopping */
	int64_t patience;   /* validations */
	double min_delta;
};

struct spec_keep {
	int64_t last;
	const char *best; /* a series, or "none" */
};

struct spec_ema {
	double decay; /* 0: no averages */
};

struct spec_train {
	int64_t epochs, steps;    /* one of them; the other is 0 */
	int64_t validate_every;   /* steps, or one of the two above */
	int64_t checkpoint_every; /* 0: at the end of epochs alone */
	double clip_norm;         /* 0: none */
	double clip_value;        /* 0: none; after CLIP_NORM */
	int64_t accumulate;       /* batches of a step */
	int on_nonfinite;         /* enum spec_nonfinite: what a loss or norm that is not finite does */
	struct spec_ema ema;
	struct spec_early early_stopping;
	struct spec_keep keep;
};

struct spec_log {
	int64_t every;
	int64_t histograms_every; /* steps; 0: never */
	int64_t images;           /* samples of samples.png; 0: none */
};

struct spec_resources {
	int64_t threads, memory_mb;
	int device;
};

struct spec {
	const char *name, *project, *notes;
	struct opt_strings tags;
	int kind; /* of job; the worker meets one kind alone */
	int mode; /* enum spec_mode */
	int64_t seed;
	int defaults; /* whose constants stand where none was given; the options have them */
	struct data_options data;
	struct nn_model_options model;
	struct spec_init init_from;
	struct opt_strings freeze;
	struct opt_choice loss, optimizer, schedule;
	struct opt_choices metrics; /* items NULL: not given; spec_meet_data chooses */
	struct spec_train train;
	struct spec_log log;
	struct spec_resources resources;
	int64_t priority, timeout_s, retries;
	const cJSON *args;  /* borrowed from the document; NULL: none */
	struct arena arena; /* owned: all strings and options above */
};

extern const struct opt_type spec_type;     /* of jobs that this program trains */
extern const struct opt_type spec_external; /* of jobs that train elsewhere: a record of metrics */

/* Read DOCUMENT (borrowed for S's life) and check what it says against itself.  Every fault goes to FAULTS; only
 * without any is OUT good for more than spec_release. */
void spec_read(const cJSON *document, struct spec *out, struct faults *faults);
/* Likewise for the DOCUMENT of a job that was taken, maybe by an older version: what it does not say is as it was then. */
void spec_read_stored(const cJSON *document, struct spec *out, struct faults *faults);
void spec_release(struct spec *s);

/* The data is known: fill in what depends on it, and check the spec against it. */
void spec_meet_data(struct spec *s, const struct data_facts *facts, struct faults *faults);
/* Build the model symbolically, freeze what is to be frozen, and check model, loss and groups.  NULL: FAULTS. */
struct nn_model *spec_model(const struct spec *s, const struct data_facts *facts, struct faults *faults);
/* Write down a step of M before it is allocated: FAULTS hears where layers and loss do not meet and of too little memory,
 * WARN (NULL: nobody) what is probably not meant.  Returns the bytes that a training needs at about its peak, of which
 * the loader holds DATA_BYTES; 0: FAULTS. */
int64_t spec_rehearse(const struct spec *s, struct nn_model *m, const struct data_facts *facts, int64_t data_bytes,
	td_warning_fn *warn, void *arg, struct faults *faults);

/* ---- What follows from it ---------------------------------------------------------------------------------------- */

int64_t spec_epoch_steps(const struct spec *s, int64_t n_train); /* steps of an epoch of N_TRAIN samples */
int64_t spec_steps(const struct spec *s, int64_t n_train);       /* steps of the whole training */
bool spec_keeps_best(const struct spec *s);
const struct nn_loss_type *spec_loss(const struct spec *s);
const struct nn_optimizer_type *spec_optimizer(const struct spec *s);
const struct nn_schedule_type *spec_schedule(const struct spec *s);
const struct nn_metric_type *spec_metric(const struct spec *s, int i);
/* The series that the schedule looks at, or NULL. */
const char *spec_watched(const struct spec *s);
/* Which validation series NAME is: 0 "val/loss", 1 + i that of metric i; -1: none. */
int spec_series(const struct spec *s, const char *name);
/* Whether a smaller value of series I (as above) is better. */
bool spec_smaller_is_better(const struct spec *s, int i);
/* A batch of N of DIMS, one sample's shape. */
td_shape spec_batch_shape(const td_shape *sample, int64_t n);

#endif
