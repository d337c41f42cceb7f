/* Normalisation over the columns of a matrix (batch norm) or over its rows (layer norm).  Sums are in double. */
#include "kernels/kernels.h"

#include <math.h>

TD_VECTOR void K(k_columns_sum)(double *acc, const void *xv, int64_t m, int64_t n)
{
	const real *x = xv;

	for (int64_t i = 0; i < m; i++, x += n)
		for (int64_t j = 0; j < n; j++)
			acc[j] += (double)x[j];
}

TD_VECTOR void K(k_columns_squares)(double *acc, const void *xv, const double *mean, int64_t m, int64_t n)
{
	const real *x = xv;

	for (int64_t i = 0; i < m; i++, x += n)
		for (int64_t j = 0; j < n; j++) {
			double d = (double)x[j] - mean[j];
			acc[j] += d * d;
		}
}

TD_VECTOR void K(k_columns_products)(
	double *acc, const void *dyv, const void *xv, const void *meanv, const void *rstdv, int64_t m, int64_t n)
{
	const real *dy = dyv, *x = xv, *mean = meanv, *rstd = rstdv;

	for (int64_t i = 0; i < m; i++, x += n, dy += n)
		for (int64_t j = 0; j < n; j++)
			acc[j] += (double)(dy[j] * ((x[j] - mean[j]) * rstd[j]));
}

TD_VECTOR void K(k_columns_normalize)(void *yv, const void *xv, const void *meanv, const void *rstdv,
	const void *weightv, const void *biasv, int64_t m, int64_t n)
{
	const real *x = xv, *mean = meanv, *rstd = rstdv, *weight = weightv, *bias = biasv;
	real *y = yv;

	for (int64_t i = 0; i < m; i++, x += n, y += n)
		for (int64_t j = 0; j < n; j++) {
			real v = (x[j] - mean[j]) * rstd[j];
			v = weight ? v * weight[j] : v;
			y[j] = bias ? v + bias[j] : v;
		}
}

TD_VECTOR void K(k_columns_normalize_dx)(void *dxv, const void *dyv, const void *xv, const void *meanv,
	const void *rstdv, const void *weightv, const void *dwv, const void *dbv, int64_t m, int64_t n, double count)
{
	const real *dy = dyv, *x = xv, *mean = meanv, *rstd = rstdv, *weight = weightv, *dw = dwv, *db = dbv;
	real *dx = dxv, share = (real)(1 / count);

	for (int64_t i = 0; i < m; i++, x += n, dy += n, dx += n)
		for (int64_t j = 0; j < n; j++) {
			real v = dy[j] - db[j] * share - (x[j] - mean[j]) * rstd[j] * (dw[j] * share);
			dx[j] = v * rstd[j] * (weight ? weight[j] : 1);
		}
}

void K(k_rows_normalize)(void *yv, void *meanv, void *rstdv, const void *xv, const void *weightv, const void *biasv,
	int64_t m, int64_t n, double eps, bool centred)
{
	const real *x = xv, *weight = weightv, *bias = biasv;
	real *y = yv, *means = meanv, *rstds = rstdv;

	for (int64_t i = 0; i < m; i++, x += n, y += n) {
		double sum = 0, squares = 0;
		real mean, rstd;

		for (int64_t j = 0; centred && j < n; j++)
			sum += (double)x[j];
		sum /= (double)n;
		for (int64_t j = 0; j < n; j++)
			squares += ((double)x[j] - sum) * ((double)x[j] - sum);
		mean = (real)sum;
		rstd = (real)(1 / sqrt(squares / (double)n + eps));
		if (means) {
			means[i] = mean;
			rstds[i] = rstd;
		}
		for (int64_t j = 0; j < n; j++) {
			real v = (x[j] - mean) * rstd;
			v = weight ? v * weight[j] : v;
			y[j] = bias ? v + bias[j] : v;
		}
	}
}

void K(k_rows_normalize_dx)(void *dxv, const void *dyv, const void *xv, const void *meanv, const void *rstdv,
	const void *weightv, int64_t m, int64_t n, bool centred)
{
	const real *dy = dyv, *x = xv, *mean = meanv, *rstd = rstdv, *weight = weightv;
	real *dx = dxv;

	for (int64_t i = 0; i < m; i++, x += n, dy += n, dx += n) {
		double sum = 0, products = 0;

		for (int64_t j = 0; j < n; j++) {
			real g = weight ? dy[j] * weight[j] : dy[j];
			sum += (double)g;
			products += (double)(g * ((x[j] - mean[i]) * rstd[i]));
		}
		sum = centred ? sum / (double)n : 0;
		products /= (double)n;
		for (int64_t j = 0; j < n; j++) {
			real g = weight ? dy[j] * weight[j] : dy[j];
			dx[j] = (g - (real)sum - (x[j] - mean[i]) * rstd[i] * (real)products) * rstd[i];
		}
	}
}

void K(k_rows_products)(
	double *acc, const void *dyv, const void *xv, const void *meanv, const void *rstdv, int64_t m, int64_t n)
{
	const real *dy = dyv, *x = xv, *mean = meanv, *rstd = rstdv;

	for (int64_t i = 0; i < m; i++, x += n, dy += n)
		for (int64_t j = 0; j < n; j++)
			acc[j] += (double)(dy[j] * ((x[j] - mean[i]) * rstd[i]));
}
