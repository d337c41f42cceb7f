/* Tables, for the files about them: table_columns.c (what is learnt from), load_table.c (training), input_table.c
 * (prediction). */
#ifndef TD_DATA_LOAD_TABLE_H
#define TD_DATA_LOAD_TABLE_H

#include "data/loader.h"

enum column_type { COLUMN_NUMBER, COLUMN_CATEGORY, COLUMN_OTHER };

struct loaded_column {
	const char *name;
	enum column_type type;
	const char *const *categories; /* of COLUMN_CATEGORY */
	int n_categories;
	int64_t n_missing;        /* in all parts, as the pack says */
	bool missing_is_category; /* one more place in the vector: for rows without a value */
	struct pack_column data[PACK_PARTS];
	double mean, std; /* of a number; fitted on the training split */
};

struct loaded_table {
	struct loaded_column *columns; /* the loader's arena */
	int n;
	int *features, *targets; /* places in COLUMNS; the arena's */
	int n_features, n_targets;
	bool scale_features, scale_target;
};

/* Choose the columns that L's options ask for; the shape of a sample.  False: FAULTS. */
bool table_create(struct loader *l, const cJSON *info, struct faults *faults);
/* Whether column K is a target. */
bool table_is_target(const struct loaded_table *t, int k);
/* Floats that the column takes in a sample. */
int64_t table_width(const struct loaded_column *c);
/* VALUE of a number column (NaN: missing, becomes the mean) as the model gets it. */
float table_number(const struct loaded_table *t, const struct loaded_column *c, double value);
/* CATEGORY (-1: missing) as WIDTH floats. */
void table_one_hot(const struct loaded_column *c, int64_t category, float *out);

bool table_read_json(const struct loader *l, const cJSON *inputs, struct data_input *out, struct faults *faults);
bool table_read_npy(
	const struct loader *l, const void *body, size_t n_bytes, struct data_input *out, struct faults *faults);

#endif
