/* What the families of ops share: rows for elementwise work, the fixed split of matrix products, shape rules that
 * recur. */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#include <math.h>
#include <string.h>

#include "core/core.h"
#include "kernels/kernels.h"

/* Elements that one slice of elementwise work holds: large enough that handing it over costs nothing, small enough to
 * share. */
#define SLICE_ELEMENTS 16384

/* Slices of COUNT elements; and where slice SLICE begins, and how many it has. */
static inline int ops_n_slices(int64_t count)
{
	return (int)((count + SLICE_ELEMENTS - 1) / SLICE_ELEMENTS);
}

static inline int64_t ops_slice(int64_t count, int slice, int64_t *first)
{
	*first = (int64_t)slice * SLICE_ELEMENTS;
	return TD_MIN(SLICE_ELEMENTS, count - *first);
}

/* Y's shape by NumPy's broadcasting of A and B; the order is that of the first input with as many axes as Y. */
bool ops_broadcast(td_infer *q, const td_shape *a, const td_shape *b, const char *op, td_shape *y);
/* Whether X can be broadcast to Y, which has at least as many axes: from the last on its sizes are equal or 1. */
bool ops_fits(const td_shape *x, const td_shape *y);
/* Strides of X, which fits Y, by Y's axes: 0 where it is repeated. */
void ops_broadcast_strides(const td_shape *y, const td_shape *x, int64_t strides[TD_MAX_RANK]);
/* Which axis of X is number I in memory order, the slowest first. */
int ops_memory_axis(const td_shape *x, int i);
/* Output 0 is like input 0. */
void ops_infer_same(td_infer *q);
/* Call FN on rows that cover Y; A and B (NULL: none) are broadcast to it.  SIZE: bytes of an element of y, a and b. */
void ops_rows(
	const td_call *call, td_row_fn *fn, const td_view *y, const td_view *a, const td_view *b, const size_t size[3]);
/* The same with given strides of the inputs per logical axis of Y (for transposing). */
void ops_rows_strided(const td_call *call, td_row_fn *fn, const td_view *y, const void *a, const int64_t *sa,
	const void *b, const int64_t *sb, const size_t size[3]);
/* The row function that copies elements of SIZE bytes. */
td_row_fn *ops_copy_row(size_t size);
/* Y = A where the bool CONDITION holds, else B; all broadcast to Y, and B may lie in its place. */
void ops_choose(const td_call *call, const td_view *y, const td_view *condition, const td_view *a, const td_view *b);

/* C = op(A) op(B) + beta C, cut by shape alone into slices along the longer side of C; for a batch (ops_gemm_batch) C
 * holds one product after the other (ldc is n), and each is cut as it would be alone. */
struct ops_gemm {
	td_dtype dtype;
	bool ta, tb;
	int64_t m, n, k;
	const void *a; /* borrowed, like b and c */
	int64_t lda;
	const void *b;
	int64_t ldb;
	double beta;
	void *c;
	int64_t ldc;
	int rank; /* axes of the batch; 0: one product */
	int64_t dim[TD_MAX_RANK], stride_a[TD_MAX_RANK], stride_b[TD_MAX_RANK];
	int n_slices; /* of one product; set by ops_gemm_run, like per_slice */
	int64_t per_slice;
};
/* Y: the axes of the batch; A and B, contiguous, have those that are broadcast to it. */
void ops_gemm_batch(struct ops_gemm *g, const td_shape *y, const td_shape *a, const td_shape *b);
void ops_gemm_run(struct threads *t, const struct ops_gemm *g);
/* One product. */
void ops_gemm(struct threads *t, td_dtype dtype, bool ta, bool tb, int64_t m, int64_t n, int64_t k, const void *a,
	int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc);

/* Windows of a pool along an axis of SIZE elements; with CEIL_MODE one more where elements are left, if it begins
 * within the axis or the padding before it. */
int64_t ops_windows(int64_t size, int64_t kernel, int64_t stride, int64_t padding, bool ceil_mode);

/* X in row-major order: itself, or through the op reorder. */
td_value *ops_row_major(td_ctx *c, td_value *x);
td_value *ops_channels_last(td_ctx *c, td_value *x);
/* X in the order in which LIKE lies. */
td_value *ops_in_order(td_ctx *c, td_value *x, const td_value *like);

/* AXIS of X by its place, where a negative one counts from the last; false: X has no such axis, and C says so. */
bool ops_axis(td_ctx *c, const char *op, const td_value *x, int *axis);
/* False, with an error: X has no AXIS, as it is counted once recorded: from 0 on. */
bool ops_need_axis(td_infer *q, const char *op, const td_shape *x, int64_t axis);

/* Complain that one of the N sizes, strides or paddings that OP counts windows with is not between -2^31 and 2^31. */
bool ops_need_countable(td_infer *q, const char *op, const int64_t *numbers, int n);
/* Complain that input I of OP has the wrong rank or type. */
bool ops_need_rank(td_infer *q, const char *op, int i, int rank, const char *axes);
bool ops_need_float(td_infer *q, const char *op);
/* The same of numbers: no bools. */
bool ops_need_numbers(td_infer *q, const char *op);
/* Complain that input I of OP is not like WANT in type and sizes.  A missing input is fine. */
bool ops_need_like(td_infer *q, const char *op, int i, const td_shape *want);

/* A row-major value as lines along one axis: COUNT lines of N elements, INNER apart. */
struct ops_lines {
	int64_t n, inner, count;
};
struct ops_lines ops_lines_along(const td_shape *x, int axis);
typedef void ops_line_fn(const td_call *call, const struct ops_lines *l, int64_t i);
/* Call FN for every line of input 0 along AXIS. */
void ops_run_lines(const td_call *call, int axis, ops_line_fn *fn);
/* The first element of line I. */
static inline int64_t ops_line_start(const struct ops_lines *l, int64_t i)
{
	return i / l->inner * l->n * l->inner + i % l->inner;
}

/* Whether S has no elements; for shape rules, whose sizes nobody has multiplied yet. */
static inline bool ops_is_empty(const td_shape *s)
{
	for (int i = 0; i < s->rank; i++)
		if (!s->dim[i])
			return true;
	return false;
}

static inline void *at(void *p, int64_t element, size_t size)
{
	return p ? (char *)p + element * (int64_t)size : NULL;
}

static inline const void *at_const(const void *p, int64_t element, size_t size)
{
	return p ? (const char *)p + element * (int64_t)size : NULL;
}

/* Element I of P, of the floating type D, as a double. */
static inline double ops_get(const void *p, td_dtype d, int64_t i)
{
	return d == TD_F64 ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static inline void ops_set(void *p, td_dtype d, int64_t i, double v)
{
	if (d == TD_F64)
		((double *)p)[i] = v;
	else
		((float *)p)[i] = (float)v;
}

/* Samples: input I of S. */
void ops_sample_input(td_sample *s, enum td_fill fill, td_dtype dtype, int rank, const int64_t *dim);
/* Six floating inputs for ops along the first or the last axis: in both orders, a scalar, nothing. */
bool ops_sample_lines(int i, td_sample *s);
#define SAMPLE_INPUT(s, fill, dtype, ...)                                                                              \
	ops_sample_input(s, fill, dtype, (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)),                  \
		(int64_t[]){ __VA_ARGS__ })

#endif
