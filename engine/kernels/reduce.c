/* Sums, in double and in a fixed order: eight lanes along a row, which are then added one after the other. */
#include "kernels/kernels.h"

#define LANES 8

TD_VECTOR void K(k_accumulate)(double *acc, const void *xv, int64_t n, int64_t sx, int64_t so)
{
	const real *x = xv;
	double lanes[LANES] = { 0 };
	int64_t i = 0;

	if (so == 1 && sx == 1) {
		for (; i < n; i++)
			acc[i] += (double)x[i];
		return;
	}
	if (so) {
		for (; i < n; i++)
			acc[i * so] += (double)x[i * sx];
		return;
	}
	for (; i + LANES <= n; i += LANES)
		for (int lane = 0; lane < LANES; lane++)
			lanes[lane] += (double)x[(i + lane) * sx];
	for (; i < n; i++)
		lanes[i % LANES] += (double)x[i * sx];
	for (int lane = 0; lane < LANES; lane++)
		*acc += lanes[lane];
}

TD_VECTOR void K(k_accumulate_squares)(double *acc, const void *xv, int64_t n)
{
	const real *x = xv;
	double lanes[LANES] = { 0 };
	int64_t i = 0;

	for (; i + LANES <= n; i += LANES)
		for (int lane = 0; lane < LANES; lane++)
			lanes[lane] += (double)x[i + lane] * (double)x[i + lane];
	for (; i < n; i++)
		lanes[i % LANES] += (double)x[i] * (double)x[i];
	for (int lane = 0; lane < LANES; lane++)
		*acc += lanes[lane];
}

TD_VECTOR void K(k_store)(void *yv, const double *acc, int64_t n, double scale)
{
	real *y = yv;

	for (int64_t i = 0; i < n; i++)
		y[i] = (real)(acc[i] * scale);
}
