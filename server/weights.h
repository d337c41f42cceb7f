/* Files of weights (safetensors) by name: where they lie, what is in them, and which one a job begins from.
 *
 * The daemon reads a file's header, never its numbers: names, types and shapes are what a person asks for and what a
 * broken or hostile upload gets wrong. */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "config.h"
#include "store/store.h"

#define WEIGHTS_HEADER_MOST (8 << 20)  /* bytes of the JSON: 50,000 tensors with long names */
#define WEIGHTS_UPLOAD      ".upload-" /* how what is still growing is called */

/* DATA/models/NAME.safetensors, or with NAME NULL its folder.  Owned. */
char *weights_path(const struct config *c, const char *name);
/* Read and check the header of the file PATH: its size, its JSON, and that every tensor has a known type, a shape, and
 * just the bytes for it, without gaps or overlaps.  *TENSORS: an array of {name, dtype, shape} (cJSON_Delete).
 * TD_INVALID says what is wrong. */
td_status weights_tensors(const char *path, cJSON **tensors, struct err *e);
/* The artifact of a job that CHECKPOINT ("best" | "last") stands for, or NULL. */
const char *weights_artifact(const char *checkpoint);
/* The file that INIT_FROM of a job's spec ({model} or {job, checkpoint}) stands for.  TD_NOT_FOUND: there is none
 * (yet). */
td_status weights_find(
	const struct config *c, struct store_reader *r, const cJSON *init_from, char **path, struct err *e);
/* At the start: remove the files of models without a row, and what was still growing. */
void weights_sweep(const struct config *c, struct store_reader *r);

#endif
