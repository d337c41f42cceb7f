/* A recording: what one or more steps computed, op by op, while they ran eagerly.
 *
 * It watches a context (td_observe).  Of every value it keeps what it looked like (range, mean, zeros, histogram), who
 * made it and who read it, and its elements in a file of NPY files, as far as that may grow.  A tensor that is written
 * in place is a new value from then on, so that what stood there before can still be seen. */
#ifndef TD_NN_RECORDING_H
#define TD_NN_RECORDING_H

#include "base/ptrs.h"
#include "nn/learn.h"

#define RECORDING_BYTES_MOST   ((int64_t)2 << 30) /* of elements in the file; of what follows there are figures only */
#define RECORDING_NODES_MOST   20000              /* ops; what runs after them is not recorded */
#define RECORDING_BUCKETS      64                 /* of a histogram */
#define RECORDING_ROWS_MOST    64                 /* rows with non-finite elements that are named */
#define RECORDING_OF_NODE_MOST 24                 /* inputs, or outputs, of one op */

enum recording_kind {
	RECORDING_PARAMETER,
	RECORDING_BUFFER,
	RECORDING_STATE, /* an optimizer's, or a sum of gradients */
	RECORDING_INPUT,
	RECORDING_ACTIVATION,
	RECORDING_GRADIENT,
	RECORDING_UPDATE, /* written in place */
	RECORDING_KINDS
};

enum recording_phase {
	RECORDING_FORWARD,
	RECORDING_BACKWARD,
	RECORDING_UPDATING, /* from the gradients to the new parameters */
	RECORDING_METRICS,
	RECORDING_PHASES
};

struct recording_value {
	enum recording_kind kind;
	char *name;        /* owned; "" for most */
	const char *layer; /* borrowed from the context */
	int64_t step;
	int batch;        /* of the step, from 0 */
	int of, gradient; /* values; -1: none.  See the server's api/replays.c */
	int producer;     /* node; -1: none */
	td_shape shape;
	double min, max, mean; /* of the finite elements; NaN: there are none */
	double norm;           /* Euclidean, of the finite elements */
	int64_t n_zero, n_non_finite;
	int64_t bucket[RECORDING_BUCKETS]; /* equal widths from MIN to MAX */
	bool by_sample;                    /* axis 0 is that of the batch's samples */
	int64_t row[RECORDING_ROWS_MOST];  /* of those the first with non-finite elements */
	int64_t n_rows;                    /* with non-finite elements, named or not */
	bool stays;                        /* its tensor outlives the engine's step */
	int64_t at, n_bytes;               /* in the file: an NPY file of its own; AT -1: not kept */
};

struct recording_node {
	const char *op, *layer; /* borrowed */
	enum recording_phase phase;
	int64_t step;
	int batch;
	int in[RECORDING_OF_NODE_MOST], n_in; /* values; -1: left out, or never seen */
	int out[RECORDING_OF_NODE_MOST], n_out;
};

struct recording {
	td_ctx *c;                      /* borrowed */
	struct recording_value *values; /* owned; in the order in which they appeared */
	int n_values, values_room;
	struct recording_node *nodes; /* owned; in the order in which they ran */
	int n_nodes, nodes_room;
	int64_t n_bytes; /* in the file */
	bool truncated;  /* elements or nodes were left out */
	struct err err;  /* writing failed */
	/* Its own. */
	void *file;       /* owned */
	struct ptrs seen; /* which value a tensor is now, by its address */
	int64_t step;
	int batch;
	int64_t n_samples; /* of the batch */
};

/* Values go into the file PATH, which is made anew. */
td_status recording_init(struct recording *r, td_ctx *c, const char *path, struct err *e);
void recording_release(struct recording *r);
/* Watch STEP of a trainer: its tensors, as they are now, are the first values. */
void recording_begin(struct recording *r, struct nn_trainer *t, const struct nn_model *m, int64_t step);
/* Batch I of the step is B, of N samples; it is about to be used. */
void recording_batch(struct recording *r, int i, const struct nn_batch *b, int64_t n);
/* Watch no more. */
void recording_end(struct recording *r);
/* All that was written is on disk.  Nothing is recorded after it. */
td_status recording_sync(struct recording *r, struct err *e);
/* Element I of ELEMENTS, which are of type D. */
double recording_element(const void *elements, td_dtype d, int64_t i);

/* ---- recording_json.c -------------------------------------------------------------------------------------------- */

/* The members "nodes" and "values", without braces around them. */
void recording_print(const struct recording *r, struct buf *out);
extern const char *const recording_phase_names[RECORDING_PHASES];

/* ---- recording_culprit.c ----------------------------------------------------------------------------------------- */

/* Where STEP stopped being finite: from the loss, or else the gradient norm, back along what is not finite to the first
 * op whose inputs are, or to what came in so.  NULL: loss and norm are finite. */
cJSON *recording_culprit(const struct recording *r, int64_t step);

#endif
