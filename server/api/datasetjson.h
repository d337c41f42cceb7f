/* What the files about datasets share. */
#ifndef API_DATASETJSON_H
#define API_DATASETJSON_H

#include "api/api.h"
#include "datasets.h"

/* The dataset NAME as a whole, with its files, info and summary. */
td_status respond_dataset_named(struct request *q, struct response *r, int code, const char *name, struct err *e);
/* The dataset NAME, if the asker may change it: TD_NOT_FOUND, TD_FORBIDDEN.  One that a job has asked for is
 * everybody's. */
td_status dataset_own(struct request *q, const char *name, struct dataset *d, struct err *e);

#endif
