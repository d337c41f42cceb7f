/* A series as it lies in the tables: chunks of points, the pyramid over them, and a tail of rows. */
#ifndef STORE_SERIES_H
#define STORE_SERIES_H

#include "store/chunk.h"
#include "store/db.h"

struct series {
	int64_t key;
	int64_t count;  /* points; positions are 0..count-1 */
	int64_t folded; /* the first so many are in chunks; a multiple of CHUNK_POINTS */
	int64_t non_finite;
	double min, max;   /* of the finite values, or NaN */
	struct point last; /* step -1 while empty */
};

/* TD_NOT_FOUND: the job has no such series. */
td_status series_find(struct db *db, const char *job, const char *name, struct series *out, struct err *e);
/* How many points have a step up to STEP: the position of the first one after it. */
td_status series_position(struct db *db, const struct series *s, int64_t step, int64_t *position, struct err *e);
/* Visit the points at FIRST..END-1 in order. */
td_status series_points(struct db *db, const struct series *s, int64_t first, int64_t end,
	void (*each)(void *arg, int64_t position, const struct point *p), void *arg, struct err *e);
/* Visit FIRST..END-1 as buckets of levels up to LEVEL (in points where there are none), in order. */
td_status series_buckets(struct db *db, const struct series *s, int64_t first, int64_t end, int level,
	void (*each)(void *arg, int64_t position, const struct bucket *b), void *arg, struct err *e);

/* Points that one chunk of LEVEL covers. */
static inline int64_t chunk_span(int level)
{
	return level == 0 ? CHUNK_POINTS : (int64_t)CHUNK_BUCKETS << (level * DOWNSAMPLE_FAN_BITS);
}

#endif
