/* Activations, one element at a time.  Their parameters, where they have some, lie at b. */
#include "kernels/rows.h"

#include <math.h>

#define ROOT_HALF  ((real)0.70710678118654752440) /* 1 / sqrt(2) */
#define NORMAL_TOP ((real)0.39894228040143267794) /* 1 / sqrt(2 pi) */

/* Hendrycks and Gimpel, "Gaussian error linear units", 2016: the approximation is 0.5 x (1 + tanh(t(x))). */
#define TANH_SCALE ((real)0.79788456080286535588) /* sqrt(2 / pi) */
#define TANH_CUBE  ((real)0.044715)

static inline real gelu_slope(real x)
{
	return (real)0.5 * (1 + R(erf)(x * ROOT_HALF)) + x * NORMAL_TOP * R(exp)((real)-0.5 * x * x);
}

static inline real gelu_tanh_slope(real x)
{
	real t = R(tanh)(TANH_SCALE * (x + TANH_CUBE * x * x * x));

	return (real)0.5 * (1 + t) + (real)0.5 * x * (1 - t * t) * TANH_SCALE * (1 + 3 * TANH_CUBE * x * x);
}

UNARY(k_scale_by, a *b[0])
UNARY(k_shift_by, a + b[0])
UNARY(k_pow_by, R(pow)(a, b[0]))
UNARY(k_sigmoid, sigmoid(a))
UNARY(k_tanh, R(tanh)(a))
UNARY(k_softplus, (a > 0 ? a : 0) + R(log1p)(R(exp)(-R(fabs)(a))))
UNARY(k_gelu, (real)0.5 * a * (1 + R(erf)(a * ROOT_HALF)))
UNARY(k_gelu_slope, gelu_slope(a))
UNARY(k_gelu_tanh, (real)0.5 * a * (1 + R(tanh)(TANH_SCALE * (a + TANH_CUBE * a * a * a))))
UNARY(k_gelu_tanh_slope, gelu_tanh_slope(a))
UNARY(k_leaky_relu, a > 0 ? a : a * b[0])
UNARY(k_leaky_relu_slope, a > 0 ? 1 : b[0])
UNARY(k_elu, a > 0 ? a : b[0] * R(expm1)(a))
UNARY(k_elu_slope, a > 0 ? 1 : b[0] * R(exp)(a))
UNARY(k_clamp, a<b[0] ? b[0] : a> b[1] ? b[1] : a)
SIGNED_UNARY(k_clamp, a<b[0] ? b[0] : a> b[1] ? b[1] : a)
UNARY(k_clamp_slope, a >= b[0] && a <= b[1] ? 1 : 0)
