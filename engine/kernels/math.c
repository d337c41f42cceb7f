/* Mathematical functions, row by row. */
#include "kernels/rows.h"

#include <math.h>

#if TD_REAL == 32 /* once is enough */
/* Modulo 2^64, whatever the signs; 0^0 is 1. */
static inline int64_t integer_pow(int64_t a, int64_t b)
{
	uint64_t y = 1, square = (uint64_t)a;

	if (b < 0)
		return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
	for (; b; b >>= 1, square *= square)
		y *= b & 1 ? square : 1;
	return (int64_t)y;
}
#endif

UNARY(k_exp, R(exp)(a))
UNARY(k_expm1, R(expm1)(a))
UNARY(k_log, R(log)(a))
UNARY(k_log1p, R(log1p)(a))
UNARY(k_sqrt, R(sqrt)(a))
UNARY(k_rsqrt, 1 / R(sqrt)(a))
UNARY(k_reciprocal, 1 / a)
UNARY(k_sin, R(sin)(a))
UNARY(k_cos, R(cos)(a))
UNARY(k_erf, R(erf)(a))
UNARY(k_floor, R(floor)(a))
UNARY(k_ceil, R(ceil)(a))
UNARY(k_round, R(rint)(a)) /* halves to even */
BINARY(k_pow, R(pow)(a, b))
SIGNED_BINARY(k_pow, integer_pow(a, b))
