/* Random numbers by address: element i of a use of randomness has the same number whoever draws it, and whichever
 * elements are drawn beside it. */
#include "kernels/kernels.h"

#include <math.h>

#include "base/rng.h"

void K(k_uniform)(
	void *yv, int64_t first, int64_t n, double low, double high, uint64_t seed, uint32_t stream, uint32_t step)
{
	const struct rng_key key = { seed, stream, step };
	real *y = yv;
	uint32_t four[4];

	for (int64_t i = 0; i < n; i++) {
		uint64_t element = (uint64_t)(first + i);

		if (i == 0 || element % 4 == 0)
			rng_block(&key, element / 4, four);
		y[i] = (real)(low + (high - low) * (double)rng_unit(four[element % 4]));
		if (y[i] >= (real)high && low < high) /* rounded up */
			y[i] = R(nextafter)((real)high, (real)low);
	}
}

/* Box and Muller's transform of the numbers 2i and 2i+1; the first is moved into (0, 1], where the logarithm is finite.
 */
void K(k_normal)(
	void *yv, int64_t first, int64_t n, double mean, double std, uint64_t seed, uint32_t stream, uint32_t step)
{
	const struct rng_key key = { seed, stream, step };
	real *y = yv;
	uint32_t four[4];

	for (int64_t i = 0; i < n; i++) {
		uint64_t element = 2 * (uint64_t)(first + i);

		if (i == 0 || element % 4 == 0)
			rng_block(&key, element / 4, four);
		double radius = sqrt(-2.0 * log(1.0 - (double)rng_unit(four[element % 4])));
		double angle = 2.0 * M_PI * (double)rng_unit(four[element % 4 + 1]);
		y[i] = (real)(mean + std * radius * cos(angle));
	}
}

void K(k_bernoulli)(void *yv, const void *pv, int64_t first, int64_t n, uint64_t seed, uint32_t stream, uint32_t step)
{
	const struct rng_key key = { seed, stream, step };
	const real *p = pv;
	real *y = yv;
	uint32_t four[4];

	for (int64_t i = 0; i < n; i++) {
		uint64_t element = (uint64_t)(first + i);

		if (i == 0 || element % 4 == 0)
			rng_block(&key, element / 4, four);
		y[i] = (real)rng_unit(four[element % 4]) < p[i];
	}
}
