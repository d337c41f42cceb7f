/* Datasets on disk: names, paths, and what may be read where.
 *
 * Below DATA/datasets/NAME lie the files that were fetched or uploaded, under their own names, and the pack that was
 * made of them, pack-KEY.  What is still growing is called *.part, .upload-* or pack-*.part; nothing else is. */
#ifndef DATASETS_H
#define DATASETS_H

#include "config.h"
#include "fetch/known.h"
#include "store/store.h"

#define DATASET_PACK   "pack-"
#define DATASET_GONE   ".gone-"
#define DATASET_UPLOAD ".upload-"

/* Letters, digits and "-_.", not "-_." first, at most DATASET_NAME_MOST: good for a path and an address. */
bool dataset_name_safe(const char *name);
/* TD_INVALID with the reason: a plain name that cannot leave its folder, and not one of what is growing or packed. */
td_status dataset_file_check(const char *name, struct err *e);

/* DATA/datasets/NAME, or FILE in it.  Owned, like all paths here. */
char *dataset_path(const struct config *c, const char *name, const char *file);
char *dataset_pack_path(const struct config *c, const char *name, const char *key);
/* Where all files of K are whole: a folder of --data-root, or its own; NULL: nowhere. */
char *dataset_known_folder(const struct config *c, const struct known_dataset *k);
/* Where FILE of a dataset with this SOURCE and FOLDER lies. */
char *dataset_file_path(
	const struct config *c, const char *name, const char *source, const char *folder, const char *file);

/* That file's place without links, for reading it.  TD_INVALID: one of a folder now leads out of --data-root;
 * TD_NOT_FOUND. */
td_status dataset_file_place(const struct config *c, const char *name, const char *source, const char *folder,
	const char *file, char **place, struct err *e);

/* A folder below --data-root, by its path relative to that.  TD_INVALID: it leaves the root, through ".." or a link;
 * TD_NOT_FOUND. */
td_status dataset_root_folder(const struct config *c, const char *folder, char **path, struct err *e);
/* What the folder PATH gives: its entries in the order of their names, hidden ones left out; or, when it holds nothing
 * but folders, those are classes or parts and it is one file itself, with the name "".  N_BYTES -1: a folder. */
td_status dataset_list_folder(const struct config *c, const char *path,
	void (*each)(void *arg, const char *name, int64_t n_bytes), void *arg, struct err *e);

/* A row for K with its files, to be fetched from wherever the configuration says. */
td_status dataset_add_known(
	struct store_tx *tx, const struct config *c, const struct known_dataset *k, const char *owner, struct err *e);

#endif
