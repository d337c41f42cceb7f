/* What tandem-worker does once it is connected. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "td.h"
#include "worker/link.h"

struct spec;

/* Run the job of a RUN message to its end, checkpoint, or failure; everything worth knowing goes through LINK.
 * Returns the exit code: 0 done, stopped as told, or failed with a message sent; 1 otherwise. */
int worker_train(struct link *l, const cJSON *run);
/* Build the model of a CHECK message and answer with the body of CHECKED. */
cJSON *worker_check(const cJSON *check);
/* Run the trained model of a PREDICT message on its input and answer with the body of PREDICTED. */
cJSON *worker_predict(const cJSON *predict);
/* Make the pack of a PREPARE message; progress, and PREPARED or REFUSED, go through LINK. */
void worker_prepare(struct link *l, const cJSON *message);
/* Do some steps of a job again, as a REPLAY message asks; progress, and REPLAYED or REFUSED, go through LINK. */
void worker_replay(struct link *l, const cJSON *message);
/* The job's JSON Schema (2020-12), made from the tables of layers, losses, optimizers and sections. */
cJSON *worker_schema(void);

/* [{pointer, detail}] */
cJSON *worker_faults(const struct faults *f);
/* {code, layer, text} */
cJSON *worker_warning(const td_warning *w);
/* The names of a spec's metrics, as their series have them. */
cJSON *worker_metric_names(const struct spec *s);

#endif
