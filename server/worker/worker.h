/* What tandem-worker does once it is connected. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include "worker/link.h"

/* Run the job of a RUN message to its end, checkpoint, or failure; everything worth knowing goes through LINK.
 * Returns the exit code: 0 done, stopped as told, or failed with a message sent; 1 otherwise. */
int worker_train(struct link *l, const cJSON *run);
/* Build the model of a CHECK message and answer with the body of CHECKED. */
cJSON *worker_check(const cJSON *check);
/* The job's JSON Schema (2020-12), made from the tables of layers, losses, optimizers and sections. */
cJSON *worker_schema(void);

#endif
