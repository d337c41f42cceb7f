/* Reductions, in double or in int64 and in a fixed order: eight lanes along a row, which are then joined one after the
 * other. */
#include "kernels/kernels.h"

#include <math.h>

#define LANES 8

/* STEP: the new total from the total t, the element v and the shift m.  JOIN: from two totals t and v.  START: the
 * total of nothing. */
#define REDUCE(name, total, in, start, step, join)                                                                     \
	TD_VECTOR void name(void *accv, const void *shiftv, const void *xv, int64_t n, int64_t sx, int64_t so)         \
	{                                                                                                              \
		static const double none = 0;                                                                          \
		const double *shift = shiftv ? shiftv : &none;                                                         \
		const int64_t sm = shiftv ? so : 0;                                                                    \
		const in *x = xv;                                                                                      \
		total *acc = accv, lanes[LANES];                                                                       \
		int64_t i = 0;                                                                                         \
		(void)shift;                                                                                           \
		(void)sm;                                                                                              \
		if (so == 1 && sx == 1) {                                                                              \
			for (; i < n; i++) {                                                                           \
				const total t = acc[i];                                                                \
				const in v = x[i];                                                                     \
				MAYBE_UNUSED const double m = shift[i * sm];                                           \
				acc[i] = (total)(step);                                                                \
			}                                                                                              \
			return;                                                                                        \
		}                                                                                                      \
		if (so) {                                                                                              \
			for (; i < n; i++) {                                                                           \
				const total t = acc[i * so];                                                           \
				const in v = x[i * sx];                                                                \
				MAYBE_UNUSED const double m = shift[i * sm];                                           \
				acc[i * so] = (total)(step);                                                           \
			}                                                                                              \
			return;                                                                                        \
		}                                                                                                      \
		MAYBE_UNUSED const double m = *shift;                                                                  \
		for (int lane = 0; lane < LANES; lane++)                                                               \
			lanes[lane] = (start);                                                                         \
		for (; i + LANES <= n; i += LANES)                                                                     \
			for (int lane = 0; lane < LANES; lane++) {                                                     \
				const total t = lanes[lane];                                                           \
				const in v = x[(i + lane) * sx];                                                       \
				lanes[lane] = (total)(step);                                                           \
			}                                                                                              \
		for (; i < n; i++) {                                                                                   \
			const total t = lanes[i % LANES];                                                              \
			const in v = x[i * sx];                                                                        \
			lanes[i % LANES] = (total)(step);                                                              \
		}                                                                                                      \
		for (int lane = 0; lane < LANES; lane++) {                                                             \
			const total t = *acc, v = lanes[lane];                                                         \
			*acc = (total)(join);                                                                          \
		}                                                                                                      \
	}
#define MAYBE_UNUSED __attribute__((unused))

#define FLOATS(name, start, step, join) REDUCE(K(name), double, real, start, step, join)
#if TD_REAL == 32 /* once is enough */
#define INTEGERS(name, start, step)                                                                                    \
	REDUCE(name##_i32, int64_t, int32_t, start, step, step)                                                        \
	REDUCE(name##_i64, int64_t, int64_t, start, step, step)                                                        \
	REDUCE(name##_u8, int64_t, uint8_t, start, step, step)
#else
#define INTEGERS(name, start, step)
#endif
#define TRUTHS(name, start, step)                                                                                      \
	REDUCE(K(name), int64_t, real, start, step, step)                                                              \
	INTEGERS(name, start, step)

FLOATS(k_reduce_sum, 0, t + (double)v, t + v)
INTEGERS(k_reduce_sum, 0, (uint64_t)t + (uint64_t)v)
FLOATS(k_reduce_prod, 1, t *(double)v, t *v)
INTEGERS(k_reduce_prod, 1, (uint64_t)t *(uint64_t)v)
FLOATS(k_reduce_max, -INFINITY, (double)v > t || v != v ? (double)v : t, v > t || v != v ? v : t)
INTEGERS(k_reduce_max, INT64_MIN, v > t ? v : t)
FLOATS(k_reduce_min, INFINITY, (double)v < t || v != v ? (double)v : t, v < t || v != v ? v : t)
INTEGERS(k_reduce_min, INT64_MAX, v < t ? v : t)
TRUTHS(k_reduce_any, 0, t || v != 0)
TRUTHS(k_reduce_all, 1, t &&v != 0)
FLOATS(k_reduce_squares, 0, t + ((double)v - m) * ((double)v - m), t + v)
FLOATS(k_reduce_exp, 0, t + exp((double)v - m), t + v)

TD_VECTOR void K(k_store)(void *yv, const double *acc, int64_t n, double scale)
{
	real *y = yv;

	for (int64_t i = 0; i < n; i++)
		y[i] = (real)(acc[i] * scale);
}
