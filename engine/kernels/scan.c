/* Running sums, and sorting. */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

#define CUMSUM(name, out, total, in)                                                                                   \
	void name(void *yv, const void *xv, int64_t n, int64_t stride, bool reverse)                                   \
	{                                                                                                              \
		const in *x = xv;                                                                                      \
		out *y = yv;                                                                                           \
		total sum = 0;                                                                                         \
		for (int64_t k = 0; k < n; k++) {                                                                      \
			int64_t i = (reverse ? n - 1 - k : k) * stride;                                                \
			sum += (total)x[i];                                                                            \
			y[i] = (out)sum;                                                                               \
		}                                                                                                      \
	}
CUMSUM(K(k_cumsum), real, double, real)

/* A double's bits, read as an integer, rise with it above 0; below, all but the sign are turned around. */
void K(k_sort_keys)(int64_t *keys, const void *xv, int64_t n, int64_t stride)
{
	const real *x = xv;

	for (int64_t i = 0; i < n; i++) {
		double v = (double)x[i * stride] + 0.0; /* -0 becomes 0 */
		int64_t bits;

		memcpy(&bits, &v, sizeof bits);
		keys[i] = v != v ? INT64_MAX : bits < 0 ? bits ^ INT64_MAX : bits;
	}
}

#if TD_REAL == 32 /* once is enough */

CUMSUM(k_cumsum_i32, int64_t, uint64_t, int32_t)
CUMSUM(k_cumsum_i64, int64_t, uint64_t, int64_t)
CUMSUM(k_cumsum_u8, int64_t, uint64_t, uint8_t)

#define KEYS(name, in)                                                                                                 \
	void name(int64_t *keys, const void *xv, int64_t n, int64_t stride)                                            \
	{                                                                                                              \
		const in *x = xv;                                                                                      \
		for (int64_t i = 0; i < n; i++)                                                                        \
			keys[i] = x[i * stride];                                                                       \
	}
KEYS(k_sort_keys_i32, int32_t)
KEYS(k_sort_keys_i64, int64_t)
KEYS(k_sort_keys_u8, uint8_t)

/* Merge the runs a and b, each in order already; of equal keys a's come first. */
static void merge(
	int64_t *to, const int64_t *a, const int64_t *end_a, const int64_t *end_b, const int64_t *keys, bool descending)
{
	const int64_t *b = end_a;

	while (a < end_a && b < end_b)
		*to++ = (descending ? keys[*b] > keys[*a] : keys[*b] < keys[*a]) ? *b++ : *a++;
	while (a < end_a)
		*to++ = *a++;
	while (b < end_b)
		*to++ = *b++;
}

/* Merge sort from the bottom up: stable, and never slower than n log n. */
void k_sort(int64_t *order, int64_t *scratch, const int64_t *keys, int64_t n, bool descending)
{
	int64_t *from = order, *to = scratch;

	for (int64_t i = 0; i < n; i++)
		order[i] = i;
	for (int64_t run = 1; run < n; run *= 2) {
		int64_t *swap = from;

		for (int64_t i = 0; i < n; i += 2 * run) {
			int64_t middle = i + run < n ? i + run : n, end = i + 2 * run < n ? i + 2 * run : n;
			merge(to + i, from + i, from + middle, from + end, keys, descending);
		}
		from = to;
		to = swap;
	}
	if (from != order)
		memcpy(order, from, (size_t)n * sizeof *order);
}

#endif

/* A NaN is better than what is none. */
#define ARG_BEST(name, type, better)                                                                                   \
	void name(int64_t *y, const void *xv, int64_t n, int64_t stride)                                               \
	{                                                                                                              \
		const type *x = xv;                                                                                    \
		int64_t best = 0;                                                                                      \
		for (int64_t i = 1; i < n; i++) {                                                                      \
			const type a = x[i * stride], b = x[best * stride];                                            \
			if (better)                                                                                    \
				best = i;                                                                              \
		}                                                                                                      \
		*y = best;                                                                                             \
	}
ARG_BEST(K(k_argmax), real, a > b || (a != a && b == b))
ARG_BEST(K(k_argmin), real, a < b || (a != a && b == b))
#if TD_REAL == 32 /* once is enough */
ARG_BEST(k_argmax_i32, int32_t, a > b)
ARG_BEST(k_argmin_i32, int32_t, a < b)
ARG_BEST(k_argmax_i64, int64_t, a > b)
ARG_BEST(k_argmin_i64, int64_t, a < b)
ARG_BEST(k_argmax_u8, uint8_t, a > b)
ARG_BEST(k_argmin_u8, uint8_t, a < b)
#endif
