/* A pack: a dataset decoded once, as a folder of raw column files to be mapped (the format stands in pack.c).
 *
 * info.json says what there is; "train" and "test" are the parts.  Written by prepare.h, read by the loader. */
#ifndef TD_DATA_PACK_H
#define TD_DATA_PACK_H

#include "base/json.h"

#define PACK_VERSION 1

enum pack_kind { PACK_IMAGES, PACK_ARRAYS, PACK_TABLE, PACK_TEXT, PACK_LABELLED_TEXT, PACK_TAGGED_TEXT, PACK_N_KINDS };
enum pack_part { PACK_TRAIN, PACK_TEST, PACK_PARTS };

extern const char *const pack_kind_names[]; /* "images", ...; NULL-terminated */
extern const char *const pack_part_names[]; /* "train", "test", NULL */

/* A mapped column. */
struct pack_column {
	const void *data; /* mapped; NULL: an empty file */
	int64_t n_bytes;
};

/* Map FOLDER/PART.NAME, which must have N_BYTES bytes (-1: any).  TD_NOT_FOUND, TD_CORRUPT, TD_IO. */
td_status pack_map(const char *folder, enum pack_part part, const char *name, int64_t n_bytes, struct pack_column *out,
	struct err *e);
void pack_unmap(struct pack_column *c);

#endif
