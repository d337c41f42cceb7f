/* Summaries of points: see downsample.h. */
#include "store/downsample.h"
#include "store/store.h"

#include <math.h>

const struct bucket bucket_empty = { .min = NAN, .max = NAN, .mean = NAN, .value = NAN };

void bucket_add_point(struct bucket *b, const struct point *p)
{
	struct bucket one = { .count = 1,
		.step = p->step,
		.time_ms = p->time_ms,
		.value = p->value,
		.min = p->value,
		.max = p->value,
		.mean = p->value };

	if (!isfinite(p->value)) {
		one.non_finite = 1;
		one.min = one.max = one.mean = NAN;
	}
	bucket_add(b, &one);
}

void bucket_add(struct bucket *b, const struct bucket *later)
{
	int64_t finite = b->count - b->non_finite, more = later->count - later->non_finite;

	if (!later->count)
		return;
	if (more && finite) {
		double share = (double)more / (double)(finite + more);
		/* As a weighted mean of means, not as a sum: a sum of large values may overflow, this cannot. */
		b->mean = b->mean * (1 - share) + later->mean * share;
		b->min = fmin(b->min, later->min);
		b->max = fmax(b->max, later->max);
		b->mean = fmin(fmax(b->mean, b->min), b->max); /* rounding may not carry it outside */
	} else if (more) {
		b->mean = later->mean;
		b->min = later->min;
		b->max = later->max;
	}
	b->count += later->count;
	b->non_finite += later->non_finite;
	b->step = later->step;
	b->time_ms = later->time_ms;
	b->value = later->value;
}

int downsample_width(int64_t first, int64_t end, int64_t most)
{
	int width = 0;

	while (end > first && ((end - 1) >> width) - (first >> width) + 1 > most)
		width++;
	return width;
}

/* Where a piece of level K stops: at LIMIT, or earlier where a bucket of the next level begins. */
static int64_t until_coarser(
	int64_t first, int64_t limit, int64_t end, int k, int level, const int64_t have[DOWNSAMPLE_LEVELS])
{
	int64_t length = (int64_t)1 << ((k + 1) * DOWNSAMPLE_FAN_BITS), next = (first / length + 1) * length;

	if (k < level && next < limit && next + length <= (end < have[k + 1] ? end : have[k + 1]))
		return next;
	return limit;
}

struct piece downsample_piece(int64_t first, int64_t end, int level, const int64_t have[DOWNSAMPLE_LEVELS])
{
	for (int k = level; k > 0; k--) {
		int64_t length = (int64_t)1 << (k * DOWNSAMPLE_FAN_BITS);
		int64_t limit = (end < have[k] ? end : have[k]) / length * length;

		if (first % length == 0 && first < limit)
			return (struct piece){
				.level = k, .first = first, .end = until_coarser(first, limit, end, k, level, have)
			};
	}
	return (struct piece){ .level = 0, .first = first, .end = until_coarser(first, end, end, 0, level, have) };
}
