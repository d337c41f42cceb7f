/* How elementwise kernels are written: the expression once, and from it the loops for contiguous and for other rows.  A
 * result may lie exactly on an input, hence ivdep and no restrict. */
#ifndef KERNELS_ROWS_H
#define KERNELS_ROWS_H

#include "kernels/kernels.h"

#include <math.h>

/* e^-|x| never overflows. */
static inline real sigmoid(real x)
{
	real e = R(exp)(-R(fabs)(x));

	return (x >= 0 ? 1 : e) / (1 + e);
}

#define LOOP _Pragma("GCC ivdep") for (int64_t i = 0; i < n; i++)

/* NAME: y = EXPRESSION of a and b.  OUT and IN: the element types. */
#define ROW_BINARY(name, out, in, expression)                                                                          \
	TD_VECTOR void name(void *yv, const void *av, const void *bv, int64_t n, int64_t sa, int64_t sb)               \
	{                                                                                                              \
		out *y = yv;                                                                                           \
		const in *pa = av, *pb = bv;                                                                           \
		if (sa == 1 && sb == 1) {                                                                              \
			LOOP                                                                                           \
			{                                                                                              \
				const in a = pa[i], b = pb[i];                                                         \
				y[i] = (out)(expression);                                                              \
			}                                                                                              \
		} else if (sa == 1 && sb == 0) {                                                                       \
			const in b = *pb;                                                                              \
			LOOP                                                                                           \
			{                                                                                              \
				const in a = pa[i];                                                                    \
				y[i] = (out)(expression);                                                              \
			}                                                                                              \
		} else if (sa == 0 && sb == 1) {                                                                       \
			const in a = *pa;                                                                              \
			LOOP                                                                                           \
			{                                                                                              \
				const in b = pb[i];                                                                    \
				y[i] = (out)(expression);                                                              \
			}                                                                                              \
		} else {                                                                                               \
			for (int64_t i = 0; i < n; i++) {                                                              \
				const in a = pa[i * sa], b = pb[i * sb];                                               \
				y[i] = (out)(expression);                                                              \
			}                                                                                              \
		}                                                                                                      \
	}

/* The same of a alone; b points at the op's parameters, if it has some, and does not move. */
#define ROW_UNARY(name, out, in, expression)                                                                           \
	TD_VECTOR void name(void *yv, const void *av, const void *bv, int64_t n, int64_t sa, int64_t sb)               \
	{                                                                                                              \
		out *y = yv;                                                                                           \
		const in *pa = av, *b = bv;                                                                            \
		(void)b;                                                                                               \
		(void)sb;                                                                                              \
		if (sa == 1) {                                                                                         \
			LOOP                                                                                           \
			{                                                                                              \
				const in a = pa[i];                                                                    \
				y[i] = (out)(expression);                                                              \
			}                                                                                              \
		} else {                                                                                               \
			for (int64_t i = 0; i < n; i++) {                                                              \
				const in a = pa[i * sa];                                                               \
				y[i] = (out)(expression);                                                              \
			}                                                                                              \
		}                                                                                                      \
	}

/* Of floating values. */
#define BINARY(name, expression) ROW_BINARY(K(name), real, real, expression)
#define UNARY(name, expression)  ROW_UNARY(K(name), real, real, expression)

/* Of integers; made once, beside float32.  Arithmetic wraps around, as in torch, so it is done without signs; what
 * depends on the sign is SIGNED.  ROW: ROW_BINARY or ROW_UNARY. */
#if TD_REAL == 32
#define INTEGERS(row, name, expression)                                                                                \
	row(name##_i32, uint32_t, uint32_t, expression) row(name##_i64, uint64_t, uint64_t, expression)                \
		row(name##_u8, uint8_t, uint8_t, expression)
#define SIGNED(row, name, expression)                                                                                  \
	row(name##_i32, int32_t, int32_t, expression) row(name##_i64, int64_t, int64_t, expression)                    \
		row(name##_u8, uint8_t, uint8_t, expression)
#define SIGNED_TRUTH(name, expression)                                                                                 \
	ROW_BINARY(name##_i32, uint8_t, int32_t, expression)                                                           \
	ROW_BINARY(name##_i64, uint8_t, int64_t, expression)                                                           \
	ROW_BINARY(name##_u8, uint8_t, uint8_t, expression)
#else
#define INTEGERS(row, name, expression)
#define SIGNED(row, name, expression)
#define SIGNED_TRUTH(name, expression)
#endif
#define INTEGERS_UNARY(name, expression) INTEGERS(ROW_UNARY, name, expression)
#define SIGNED_BINARY(name, expression)  SIGNED(ROW_BINARY, name, expression)
#define SIGNED_UNARY(name, expression)   SIGNED(ROW_UNARY, name, expression)

/* One expression for floating values and integers alike. */
#define NUMBERS_BINARY(name, expression) BINARY(name, expression) INTEGERS(ROW_BINARY, name, expression)
#define NUMBERS_UNARY(name, expression)  UNARY(name, expression) INTEGERS_UNARY(name, expression)
/* A comparison: one byte an element. */
#define TRUTH(name, expression) ROW_BINARY(K(name), uint8_t, real, expression) SIGNED_TRUTH(name, expression)

#endif
