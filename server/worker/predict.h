/* One prediction: what predict.c and predict_text.c share. */
#ifndef WORKER_PREDICT_H
#define WORKER_PREDICT_H

#include "worker/spec.h"

struct prediction {
	const cJSON *question; /* borrowed; the message */
	struct spec spec;
	struct loader *loader;   /* owned */
	struct buf body;         /* owned; what was sent */
	cJSON *json;             /* owned; the body, where it is JSON */
	struct data_input input; /* owned; the body as a batch */
	td_ctx *c;               /* owned */
	struct nn_model *model;  /* owned */
	int64_t n_outputs;       /* numbers that it gives for one sample as it was sent */
	int top;                 /* classes named for each input */
	struct faults faults;    /* owned */
};

/* What the model says of a batch. */
struct answered {
	td_shape shape;   /* of ANSWER */
	float *answer;    /* owned; row-major */
	float *output;    /* owned; the model's own output, row-major */
	int64_t n_output; /* elements of OUTPUT */
};

/* The model's answer to N samples of the shape SAMPLE; LENGTHS may be NULL.  False: P's faults. */
bool prediction_run(struct prediction *p, const void *x, const int64_t *lengths, const td_shape *sample, int64_t n,
	struct answered *out);
void answered_release(struct answered *a);

/* Continue each input's text; PREDICTIONS gets {"text"} each.  The body says "length" (tokens), "temperature" (0: the
 * likeliest token always) and "seed". */
void predict_text(struct prediction *p, cJSON *predictions);

#endif
