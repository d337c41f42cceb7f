/* Mathematical functions, row by row. */
#include "kernels/rows.h"

#include <math.h>

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
