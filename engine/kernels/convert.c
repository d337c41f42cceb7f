/* Rows whose element type is not the file's: copies by size, conversions by a table of all pairs. */
#include "kernels/kernels.h"

#if TD_REAL == 32 /* once is enough */

#define COPY(name, type)                                                                                               \
	void name(void *yv, const void *xv, const void *unused, int64_t n, int64_t sx, int64_t s)                      \
	{                                                                                                              \
		type *y = yv;                                                                                          \
		const type *x = xv;                                                                                    \
		(void)unused;                                                                                          \
		(void)s;                                                                                               \
		for (int64_t i = 0; i < n; i++)                                                                        \
			y[i] = x[i * sx];                                                                              \
	}
COPY(k_copy_1, uint8_t)
COPY(k_copy_4, uint32_t)
COPY(k_copy_8, uint64_t)

/* In the order of td_dtype: float32 float64 int32 int64 uint8 bool.  A bool is whether the element differs from 0; a
 * float out of an integer's range, or NaN, becomes its smallest value. */
#define TO_INTEGER(type, low, high) ((double)v >= (low) && (double)v <= (high) ? (type)v : (type)(low))
#define PAIR(to, to_type, from, from_type, expression)                                                                 \
	static void to##_from_##from(void *yv, const void *xv, int64_t n, int64_t sx)                                  \
	{                                                                                                              \
		to_type *y = yv;                                                                                       \
		const from_type *x = xv;                                                                               \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			const from_type v = x[i * sx];                                                                 \
			y[i] = expression;                                                                             \
		}                                                                                                      \
	}
#define TO_INT64 TO_INTEGER(int64_t, -9223372036854775808.0, 9223372036854774784.0)
#define FROM(from, type, int64)                                                                                        \
	PAIR(f32, float, from, type, (float)v)                                                                         \
	PAIR(f64, double, from, type, (double)v)                                                                       \
	PAIR(i32, int32_t, from, type, TO_INTEGER(int32_t, -2147483648.0, 2147483647.0))                               \
	PAIR(i64, int64_t, from, type, int64)                                                                          \
	PAIR(u8, uint8_t, from, type, TO_INTEGER(uint8_t, 0.0, 255.0))                                                 \
	PAIR(truth, uint8_t, from, type, v != 0)
FROM(f32, float, TO_INT64)
FROM(f64, double, TO_INT64)
FROM(i32, int32_t, v) /* every integer is an int64, but not every int64 a double */
FROM(i64, int64_t, v)
FROM(u8, uint8_t, v)
FROM(truth, uint8_t, v)

#define ROW(to)                                                                                                        \
	{                                                                                                              \
		to##_from_f32, to##_from_f64, to##_from_i32, to##_from_i64, to##_from_u8, to##_from_truth              \
	}
static void (*const conversions[6][6])(
	void *, const void *, int64_t, int64_t) = { ROW(f32), ROW(f64), ROW(i32), ROW(i64), ROW(u8), ROW(truth) };

void k_convert(int to, int from, void *y, const void *x, int64_t n, int64_t sx)
{
	conversions[to][from](y, x, n, sx);
}

#endif
