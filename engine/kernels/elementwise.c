/* Arithmetic, comparisons and choices, row by row. */
#include "kernels/rows.h"

#include <math.h>

/* Python's and torch's: the remainder has the sign of the divisor. */
static inline real remainder_of(real a, real b)
{
	real r = R(fmod)(a, b);

	return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

#if TD_REAL == 32 /* once is enough */
/* A divisor of 0 gives 0; -1 stands apart because the smallest integer divided by it overflows. */
static inline int64_t integer_remainder(int64_t a, int64_t b)
{
	int64_t r = b == 0 || b == -1 ? 0 : a % b;

	return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
#endif

NUMBERS_BINARY(k_add, a + b)
NUMBERS_BINARY(k_sub, a - b)
NUMBERS_BINARY(k_mul, a *b)
BINARY(k_div, a / b)
BINARY(k_remainder, remainder_of(a, b))
SIGNED_BINARY(k_remainder, integer_remainder(a, b))
UNARY(k_neg, -a)
INTEGERS_UNARY(k_neg, 0 - a)
NUMBERS_UNARY(k_square, a *a)
UNARY(k_abs, R(fabs)(a))
SIGNED_UNARY(k_abs, a > 0 ? (uint64_t)a : 0 - (uint64_t)a)
UNARY(k_sign, (a > 0) - (a < 0)) /* of a NaN 0, as in torch */
SIGNED_UNARY(k_sign, a > 0 ? 1 : a == 0 ? 0 : -1)

/* NaN wins. */
BINARY(k_maximum, a > b || a != a ? a : b)
BINARY(k_minimum, a < b || a != a ? a : b)
SIGNED_BINARY(k_maximum, a > b ? a : b)
SIGNED_BINARY(k_minimum, a < b ? a : b)
BINARY(k_maximum_slope, a < b ? 0 : a == b ? (real)0.5 : 1)
UNARY(k_relu, a > 0 || a != a ? a : 0) /* NaN stays NaN */
BINARY(k_relu_dx, b > 0 ? a : 0)

TRUTH(k_equal, a == b)
TRUTH(k_not_equal, a != b)
TRUTH(k_less, a < b)
TRUTH(k_less_equal, a <= b)
ROW_UNARY(K(k_is_finite), uint8_t, real, a - a == 0)

#if TD_REAL == 32
ROW_BINARY(k_and, uint8_t, uint8_t, a &&b)
ROW_BINARY(k_or, uint8_t, uint8_t, a || b)
ROW_UNARY(k_not, uint8_t, uint8_t, !a)

/* y = a where the byte b is not 0; other elements of y stay. */
#define CHOOSE(name, type)                                                                                             \
	void name(void *yv, const void *av, const void *bv, int64_t n, int64_t sa, int64_t sb)                         \
	{                                                                                                              \
		type *y = yv;                                                                                          \
		const type *a = av;                                                                                    \
		const uint8_t *b = bv;                                                                                 \
		for (int64_t i = 0; i < n; i++)                                                                        \
			y[i] = b[i * sb] ? a[i * sa] : y[i];                                                           \
	}
CHOOSE(k_choose_1, uint8_t)
CHOOSE(k_choose_4, uint32_t)
CHOOSE(k_choose_8, uint64_t)
#endif

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
