/* Random numbers by address, and what is kept by them: element i of a use of randomness has the same number whoever
 * draws it, and whichever elements are drawn beside it. */
#include "kernels/kernels.h"

#include <math.h>

#include "base/rng.h"

/* The number of ELEMENT, and those behind it in its block; FOUR keeps the block from one element to the next, BEGINS:
 * it has none yet. */
static inline const uint32_t *numbers_at(const struct rng_key *key, uint32_t four[4], uint64_t element, bool begins)
{
	if (begins || element % 4 == 0)
		rng_block(key, element / 4, four);
	return &four[element % 4];
}

void K(k_uniform)(void *yv, int64_t first, int64_t n, double low, double high, const struct rng_key *key)
{
	real *y = yv;
	uint32_t four[4];

	for (int64_t i = 0; i < n; i++) {
		y[i] = (real)(low +
			      (high - low) * (double)rng_unit(*numbers_at(key, four, (uint64_t)(first + i), i == 0)));
		if (y[i] >= (real)high && low < high) /* rounded up */
			y[i] = R(nextafter)((real)high, (real)low);
	}
}

/* Box and Muller's transform of the numbers 2i and 2i+1; the first is moved into (0, 1], where the logarithm is finite.
 */
void K(k_normal)(void *yv, int64_t first, int64_t n, double mean, double std, const struct rng_key *key)
{
	real *y = yv;
	uint32_t four[4];

	for (int64_t i = 0; i < n; i++) {
		const uint32_t *two = numbers_at(key, four, 2 * (uint64_t)(first + i), i == 0);
		double radius = sqrt(-2.0 * log(1.0 - (double)rng_unit(two[0])));
		double angle = 2.0 * M_PI * (double)rng_unit(two[1]);

		y[i] = (real)(mean + std * radius * cos(angle));
	}
}

void K(k_bernoulli)(void *yv, const void *pv, int64_t first, int64_t n, const struct rng_key *key)
{
	const real *p = pv;
	real *y = yv;
	uint32_t four[4];

	for (int64_t i = 0; i < n; i++)
		y[i] = (real)rng_unit(*numbers_at(key, four, (uint64_t)(first + i), i == 0)) < p[i];
}

void K(k_dropout)(
	void *yv, uint8_t *mask, const void *xv, int64_t first, int64_t n, double p, const struct rng_key *key)
{
	const real *x = xv;
	real *y = yv, scale = (real)(p < 1 ? 1 / (1 - p) : 0);
	uint32_t four[4];

	for (int64_t i = 0; i < n; i++) {
		bool keep = rng_unit(*numbers_at(key, four, (uint64_t)(first + i), i == 0)) >= (float)p;

		y[i] = keep ? x[i] * scale : 0;
		if (mask)
			mask[i] = keep;
	}
}
