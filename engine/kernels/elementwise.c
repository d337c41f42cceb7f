/* Elementwise rows.  Contiguous inputs and scalars have a loop of their own, which the compiler makes vectors of; a
 * result may lie exactly on an input, hence ivdep and no restrict. */
#include "kernels/kernels.h"

#include <math.h>

#include "base/rng.h"

#define LOOP _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)

#define BINARY(name, type, expression)                                                                                 \
	TD_VECTOR void K(name)(void *yv, const void *av, const void *bv, int64_t n, int64_t sa, int64_t sb)            \
	{                                                                                                              \
		type *y = yv;                                                                                          \
		const real *pa = av, *pb = bv;                                                                         \
		if (sa == 1 && sb == 1) {                                                                              \
			LOOP                                                                                           \
			{                                                                                              \
				const real a = pa[i], b = pb[i];                                                       \
				y[i] = expression;                                                                     \
			}                                                                                              \
		} else if (sa == 1 && sb == 0) {                                                                       \
			const real b = *pb;                                                                            \
			LOOP                                                                                           \
			{                                                                                              \
				const real a = pa[i];                                                                  \
				y[i] = expression;                                                                     \
			}                                                                                              \
		} else if (sa == 0 && sb == 1) {                                                                       \
			const real a = *pa;                                                                            \
			LOOP                                                                                           \
			{                                                                                              \
				const real b = pb[i];                                                                  \
				y[i] = expression;                                                                     \
			}                                                                                              \
		} else {                                                                                               \
			for (int64_t i = 0; i < n; i++) {                                                              \
				const real a = pa[i * sa], b = pb[i * sb];                                             \
				y[i] = expression;                                                                     \
			}                                                                                              \
		}                                                                                                      \
	}

#define UNARY(name, expression)                                                                                        \
	TD_VECTOR void K(name)(void *yv, const void *av, const void *bv, int64_t n, int64_t sa, int64_t sb)            \
	{                                                                                                              \
		real *y = yv;                                                                                          \
		const real *pa = av;                                                                                   \
		(void)bv;                                                                                              \
		(void)sb;                                                                                              \
		if (sa == 1) {                                                                                         \
			LOOP                                                                                           \
			{                                                                                              \
				const real a = pa[i];                                                                  \
				y[i] = expression;                                                                     \
			}                                                                                              \
		} else {                                                                                               \
			for (int64_t i = 0; i < n; i++) {                                                              \
				const real a = pa[i * sa];                                                             \
				y[i] = expression;                                                                     \
			}                                                                                              \
		}                                                                                                      \
	}

BINARY(k_add, real, a + b)
BINARY(k_sub, real, a - b)
BINARY(k_mul, real, a *b)
BINARY(k_div, real, a / b)
BINARY(k_relu_dx, real, b > 0 ? a : 0)
BINARY(k_equal, uint8_t, a == b)
UNARY(k_neg, -a)
UNARY(k_exp, R(exp)(a))
UNARY(k_log, R(log)(a))
UNARY(k_sqrt, R(sqrt)(a))
UNARY(k_square, a *a)
UNARY(k_relu, a > 0 || a != a ? a : 0) /* NaN stays NaN */

TD_VECTOR void K(k_mask)(void *yv, const void *av, const void *bv, int64_t n, int64_t sa, int64_t sb)
{
	real *y = yv;
	const real *a = av;
	const uint8_t *b = bv;

	if (sa == 1 && sb == 1) {
		LOOP y[i] = b[i] ? a[i] : 0;
	} else {
		for (int64_t i = 0; i < n; i++)
			y[i] = b[i * sb] ? a[i * sa] : 0;
	}
}

TD_VECTOR void K(k_scale)(void *yv, const void *av, int64_t n, double scale)
{
	real *y = yv, s = (real)scale;
	const real *a = av;

	LOOP y[i] = a[i] * s;
}

TD_VECTOR void K(k_fill)(void *yv, int64_t n, double value)
{
	real *y = yv, v = (real)value;

	LOOP y[i] = v;
}

void K(k_dropout)(void *yv, uint8_t *mask, const void *xv, int64_t first, int64_t n, double p, uint64_t seed,
	uint32_t stream, uint32_t step)
{
	const struct rng_key key = { seed, stream, step };
	const real *x = xv;
	real *y = yv, scale = (real)(p < 1 ? 1 / (1 - p) : 0);
	uint32_t four[4];

	for (int64_t i = 0; i < n; i++) {
		uint64_t element = (uint64_t)(first + i);
		if (i == 0 || element % 4 == 0)
			rng_block(&key, element / 4, four);
		bool keep = rng_unit(four[element % 4]) >= (float)p;
		y[i] = keep ? x[i] * scale : 0;
		if (mask)
			mask[i] = keep;
	}
}
