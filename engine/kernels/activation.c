/* Activations, one element at a time.  Their parameters, where they have some, lie at b. */
#include "kernels/kernels.h"

#include <math.h>

#define ACTIVATION(name, expression)                                                                                   \
	TD_VECTOR void K(name)(void *yv, const void *av, const void *bv, int64_t n, int64_t sa, int64_t sb)            \
	{                                                                                                              \
		real *y = yv;                                                                                          \
		const real *pa = av, *b = bv;                                                                          \
		(void)b;                                                                                               \
		(void)sb;                                                                                              \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			const real a = pa[i * sa];                                                                     \
			y[i] = expression;                                                                             \
		}                                                                                                      \
	}

#define ROOT_HALF  ((real)0.70710678118654752440) /* 1 / sqrt(2) */
#define NORMAL_TOP ((real)0.39894228040143267794) /* 1 / sqrt(2 pi) */

/* Hendrycks and Gimpel, "Gaussian error linear units", 2016: the approximation is 0.5 x (1 + tanh(t(x))). */
#define TANH_SCALE ((real)0.79788456080286535588) /* sqrt(2 / pi) */
#define TANH_CUBE  ((real)0.044715)

/* e^-|x| never overflows. */
static inline real sigmoid(real x)
{
	real e = R(exp)(-R(fabs)(x));

	return (x >= 0 ? 1 : e) / (1 + e);
}

static inline real gelu_slope(real x)
{
	return (real)0.5 * (1 + R(erf)(x * ROOT_HALF)) + x * NORMAL_TOP * R(exp)((real)-0.5 * x * x);
}

static inline real gelu_tanh_slope(real x)
{
	real t = R(tanh)(TANH_SCALE * (x + TANH_CUBE * x * x * x));

	return (real)0.5 * (1 + t) + (real)0.5 * x * (1 - t * t) * TANH_SCALE * (1 + 3 * TANH_CUBE * x * x);
}

ACTIVATION(k_scale_by, a *b[0])
ACTIVATION(k_shift_by, a + b[0])
ACTIVATION(k_pow_by, R(pow)(a, b[0]))
ACTIVATION(k_sigmoid, sigmoid(a))
ACTIVATION(k_tanh, R(tanh)(a))
ACTIVATION(k_softplus, (a > 0 ? a : 0) + R(log1p)(R(exp)(-R(fabs)(a))))
ACTIVATION(k_gelu, (real)0.5 * a * (1 + R(erf)(a * ROOT_HALF)))
ACTIVATION(k_gelu_slope, gelu_slope(a))
ACTIVATION(k_gelu_tanh, (real)0.5 * a * (1 + R(tanh)(TANH_SCALE * (a + TANH_CUBE * a * a * a))))
ACTIVATION(k_gelu_tanh_slope, gelu_tanh_slope(a))
ACTIVATION(k_leaky_relu, a > 0 ? a : a * b[0])
ACTIVATION(k_leaky_relu_slope, a > 0 ? 1 : b[0])
ACTIVATION(k_elu, a > 0 ? a : b[0] * R(expm1)(a))
ACTIVATION(k_elu_slope, a > 0 ? 1 : b[0] * R(exp)(a))
ACTIVATION(k_clamp, a<b[0] ? b[0] : a> b[1] ? b[1] : a)
ACTIVATION(k_clamp_slope, a >= b[0] && a <= b[1] ? 1 : 0)
