/* Many points in few buckets, without losing an extreme.  Pure: no clock, no I/O; tested against a naive model.
 *
 * Positions number the points of a series from 0.  A bucket of level k is the summary of FAN^k points from a position
 * that is a multiple of FAN^k.  A view's buckets are 2^width points wide and begin at multiples of that, so they are
 * made of whole buckets of the level width / 5 wherever such exist, and of finer ones at the ragged ends. */
#ifndef STORE_DOWNSAMPLE_H
#define STORE_DOWNSAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct point;

#define DOWNSAMPLE_FAN_BITS 5
#define DOWNSAMPLE_FAN      (1 << DOWNSAMPLE_FAN_BITS)
#define DOWNSAMPLE_LEVELS   9 /* 0..8: level 8 buckets hold 2^40 points */

/* The summary of some points. */
struct bucket {
	int64_t count;         /* points; 0: empty */
	int64_t non_finite;    /* of them NaN or infinite */
	int64_t step, time_ms; /* of the last point */
	double value;          /* of the last point */
	double min, max, mean; /* of the finite values; NaN when there is none */
};

extern const struct bucket bucket_empty;

void bucket_add_point(struct bucket *b, const struct point *p);
/* Append the summary of later points. */
void bucket_add(struct bucket *b, const struct bucket *later);

/* The smallest width (in bits) for which the positions FIRST..END-1 fall into at most MOST buckets (MOST >= 2). */
int downsample_width(int64_t first, int64_t end, int64_t most);

/* One piece of a view: buckets of one level that are next to each other. */
struct piece {
	int level;
	int64_t first, end; /* positions; multiples of FAN^level */
};
/* The first piece of FIRST..END-1 when levels up to LEVEL may be used and the buckets of level k exist up to position
 * HAVE[k] (HAVE[0] >= END): as coarse as possible, as long as possible. */
struct piece downsample_piece(int64_t first, int64_t end, int level, const int64_t have[DOWNSAMPLE_LEVELS]);

#endif
