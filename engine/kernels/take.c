/* Moves of elements by number.  What only copies does so by the element's size, whatever its type. */
#include "kernels/kernels.h"

#include <string.h>

#if TD_REAL == 32 /* once is enough */

#define TAKE(name, type)                                                                                               \
	void name(void *yv, const void *xv, const int64_t *map, int64_t n, int64_t unit, const void *fill)             \
	{                                                                                                              \
		type *y = yv, other;                                                                                   \
		const type *x = xv;                                                                                    \
		memcpy(&other, fill, sizeof other);                                                                    \
		for (int64_t i = 0; i < n; i++, y += unit) {                                                           \
			int64_t from = map ? map[i] : i;                                                               \
			if (!x || from < 0)                                                                            \
				for (int64_t u = 0; u < unit; u++)                                                     \
					y[u] = other;                                                                  \
			else if (unit == 1)                                                                            \
				*y = x[from];                                                                          \
			else                                                                                           \
				memcpy(y, x + from * unit, (size_t)unit * sizeof *y);                                  \
		}                                                                                                      \
	}
TAKE(k_take_1, uint8_t)
TAKE(k_take_4, uint32_t)
TAKE(k_take_8, uint64_t)

#define GATHER(name, type)                                                                                             \
	void name(void *yv, const void *xv, const int64_t *index, int64_t n, int64_t along, int64_t sx)                \
	{                                                                                                              \
		type *y = yv;                                                                                          \
		const type *x = xv;                                                                                    \
		for (int64_t i = 0; i < n; i++)                                                                        \
			y[i] = x[index[i] * along + i * sx];                                                           \
	}
GATHER(k_gather_1, uint8_t)
GATHER(k_gather_4, uint32_t)
GATHER(k_gather_8, uint64_t)

#define SCATTER(name, type)                                                                                            \
	void name(void *xv, const void *yv, const int64_t *index, int64_t n, int64_t along, int64_t sx)                \
	{                                                                                                              \
		type *x = xv;                                                                                          \
		const type *y = yv;                                                                                    \
		for (int64_t i = 0; i < n; i++)                                                                        \
			x[index[i] * along + i * sx] = y[i];                                                           \
	}
SCATTER(k_scatter_1, uint8_t)
SCATTER(k_scatter_4, uint32_t)
SCATTER(k_scatter_8, uint64_t)

#endif

#define PUT(name, type)                                                                                                \
	void name(void *xv, const void *yv, const int64_t *map, int64_t n, int64_t unit)                               \
	{                                                                                                              \
		type *x = xv;                                                                                          \
		const type *y = yv;                                                                                    \
		for (int64_t i = 0; i < n; i++, y += unit) {                                                           \
			int64_t to = map ? map[i] : i;                                                                 \
			for (int64_t u = 0; to >= 0 && u < unit; u++)                                                  \
				x[to * unit + u] += y[u];                                                              \
		}                                                                                                      \
	}
PUT(K(k_put), real)

#define SCATTER_ADD(name, type)                                                                                        \
	void name(void *xv, const void *yv, const int64_t *index, int64_t n, int64_t along, int64_t sx)                \
	{                                                                                                              \
		type *x = xv;                                                                                          \
		const type *y = yv;                                                                                    \
		for (int64_t i = 0; i < n; i++)                                                                        \
			x[index[i] * along + i * sx] += y[i];                                                          \
	}
SCATTER_ADD(K(k_scatter_add), real)

#if TD_REAL == 32
PUT(k_put_i32, uint32_t)
PUT(k_put_i64, uint64_t)
PUT(k_put_u8, uint8_t)
SCATTER_ADD(k_scatter_add_i32, uint32_t)
SCATTER_ADD(k_scatter_add_i64, uint64_t)
SCATTER_ADD(k_scatter_add_u8, uint8_t)
#endif
