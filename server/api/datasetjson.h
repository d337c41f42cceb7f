/* What the files about datasets share. */
#ifndef API_DATASETJSON_H
#define API_DATASETJSON_H

#include "api/api.h"
#include "datasets.h"

/* The dataset NAME as a whole, with its files, info and summary. */
td_status respond_dataset_named(struct request *q, struct response *r, int code, const char *name, struct err *e);
/* The same within a transaction that changes it; takes SUMMARY, which is read beforehand.  *OUT is owned. */
td_status dataset_json_read(
	struct store_tx *tx, const char *name, cJSON *summary, const char *base, cJSON **out, struct err *e);
/* What the pack of D says of itself, or null.  Owned. */
cJSON *dataset_summary(const struct config *c, const struct dataset *d);
/* The dataset NAME, if the asker may change it: TD_NOT_FOUND, TD_FORBIDDEN.  One that a job has asked for is
 * everybody's. */
td_status dataset_own(struct request *q, const char *name, struct dataset *d, struct err *e);

#endif
