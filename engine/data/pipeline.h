/* The operations of one job in order: augmentations, then transforms, with the numbers that were fitted for them. */
#ifndef TD_DATA_PIPELINE_H
#define TD_DATA_PIPELINE_H

#include "data/image_ops.h"

struct pipeline {
	const struct opt_choices *augment, *transforms; /* borrowed from the job's options */
	int64_t channels;
	struct scaling scalings[OPS_MOST]; /* of the transforms that scale; mean is NULL for others */
	bool moves;   /* some transform is no scaling: bytes alone do not say what becomes of them */
	bool resizes; /* pictures of any size are welcome */
};

/* Mean and sum of squared distances from it, of N values, in doubles (Chan, Golub and LeVeque's pairwise form). */
struct moments {
	double n, mean, squares;
};

void moments_add(struct moments *m, double n, double mean, double squares);
void moments_add_floats(struct moments *m, const float *x, int64_t n);

void pipeline_init(struct pipeline *p, const struct data_options *o, int64_t channels, struct arena *arena);
/* Whether transform I is to be fitted, and the fitting. */
bool pipeline_is_fitted(const struct pipeline *p, int i);
void pipeline_set(struct pipeline *p, int i, const struct moments *channels);

/* Transforms FROM .. TO-1 on X, [channels][area]; all of them are scalings. */
void pipeline_scale(const struct pipeline *p, int from, int to, float *x, int64_t area);
/* Transforms FROM .. TO-1; the picture's values are floats afterwards. */
td_status pipeline_transform(const struct pipeline *p, int from, int to, struct picture *picture, struct err *e);
/* All augmentations of single samples. */
td_status pipeline_augment(
	const struct pipeline *p, struct picture *picture, uint64_t seed, int64_t epoch, int64_t sample, struct err *e);
/* What becomes of each byte, [channels][256], after transforms 0 .. TO-1, all of them scalings. */
void pipeline_table(const struct pipeline *p, int to, float *table);

/* What was fitted, as JSON: a list with {"mean", "std"} or null for each transform; and back (false: it does not fit).
 */
cJSON *pipeline_to_json(const struct pipeline *p);
bool pipeline_from_json(struct pipeline *p, const cJSON *j);

#endif
