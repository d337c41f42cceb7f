/* Rows of class scores. */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

/* The largest of a row; NaN when one is NaN. */
static real largest(const real *x, int64_t n, int64_t stride)
{
	real best = n ? x[0] : 0;

	for (int64_t i = 1; i < n; i++)
		if (x[i * stride] > best || x[i * stride] != x[i * stride])
			best = x[i * stride];
	return best;
}

void K(k_softmax)(void *yv, const void *xv, int64_t n, int64_t stride)
{
	const real *x = xv;
	real *y = yv, top = largest(x, n, stride);
	double sum = 0;

	for (int64_t i = 0; i < n; i++) {
		y[i * stride] = R(exp)(x[i * stride] - top);
		sum += (double)y[i * stride];
	}
	for (int64_t i = 0; i < n; i++)
		y[i * stride] = (real)((double)y[i * stride] / sum);
}

void K(k_log_softmax)(void *yv, const void *xv, int64_t n, int64_t stride)
{
	const real *x = xv;
	real *y = yv, top = largest(x, n, stride), lse;
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)R(exp)(x[i * stride] - top);
	lse = (real)((double)top + log(sum));
	for (int64_t i = 0; i < n; i++)
		y[i * stride] = x[i * stride] - lse;
}

void K(k_cross_entropy)(void *lossv, void *lsev, const void *xv, int64_t label, int64_t n)
{
	const real *x = xv;
	real top = largest(x, n, 1), lse;
	double sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += (double)R(exp)(x[i] - top);
	lse = (real)((double)top + log(sum));
	if (lsev)
		*(real *)lsev = lse;
	*(real *)lossv = label == K_IGNORED ? 0 : lse - x[label];
}

void K(k_cross_entropy_dx)(void *dxv, const void *xv, const void *lsev, int64_t label, const void *dyv, int64_t n)
{
	const real *x = xv, lse = *(const real *)lsev, dy = *(const real *)dyv;
	real *dx = dxv;

	if (label == K_IGNORED) {
		memset(dx, 0, sizeof(real) * (size_t)n);
		return;
	}
	for (int64_t i = 0; i < n; i++)
		dx[i] = (R(exp)(x[i] - lse) - (i == label ? 1 : 0)) * dy;
}

void K(k_nll)(void *lossv, const void *xv, int64_t label)
{
	*(real *)lossv = label == K_IGNORED ? 0 : -((const real *)xv)[label];
}

void K(k_nll_dx)(void *dxv, int64_t label, const void *dyv, int64_t n)
{
	memset(dxv, 0, sizeof(real) * (size_t)n);
	if (label != K_IGNORED)
		((real *)dxv)[label] = -*(const real *)dyv;
}
