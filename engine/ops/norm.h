/* What the norms share: a matrix of M rows and N columns, cut into slices of rows by its shape alone, and the gradient
 * of their gradients. */
#ifndef OPS_NORM_H
#define OPS_NORM_H

#include "ops/ops.h"

#define NORM_SLICES_MOST 16
#define NORM_SLICE_WORK  32768 /* elements worth a slice */

struct norm {
	int64_t m, n; /* rows, columns */
	int n_slices;
	td_dtype dtype;
	size_t size;
	double eps;
	bool centred; /* of rows: the mean is subtracted */
	const char *x, *dy, *mean, *rstd, *weight, *bias, *dw, *db;
	char *y, *means, *rstds;
	double *acc; /* [n_slices, n] */
	const double *centre;
	double count;
};

static inline void norm_init(struct norm *v, const td_shape *x, int64_t n)
{
	int64_t count = td_shape_count(x);

	*v = (struct norm){ .m = n ? count / n : 0, .n = n, .dtype = x->dtype, .size = td_dtype_size(x->dtype) };
	v->n_slices = (int)TD_MAX(1, TD_MIN(TD_MIN(count / NORM_SLICE_WORK + 1, NORM_SLICES_MOST), v->m));
}

/* Of the slices' partial sums. */
static inline size_t norm_bytes(const struct norm *v)
{
	return sizeof(double) * (size_t)(v->n_slices * v->n);
}

/* Rows of SLICE: FROM, and how many. */
static inline int64_t norm_rows(const struct norm *v, int slice, int64_t *from)
{
	int64_t per = (v->m + v->n_slices - 1) / v->n_slices;

	*from = slice * per;
	return TD_MAX(0, TD_MIN(per, v->m - *from));
}

/* Run SLICE_FN, which adds to the slice's part of V->acc; then acc[0..n) are the whole sums. */
static inline void norm_sum(struct norm *v, struct threads *t, void (*slice_fn)(void *arg, int slice))
{
	memset(v->acc, 0, norm_bytes(v));
	threads_run(t, v->n_slices, slice_fn, v);
	for (int s = 1; s < v->n_slices; s++)
		for (int64_t j = 0; j < v->n; j++)
			v->acc[j] += v->acc[s * v->n + j];
}

/* All axes but the channels. */
static inline uint32_t norm_value_axes(const td_value *x)
{
	return ((1u << x->shape.rank) - 1) & ~2u;
}

static inline td_value *norm_sum_by_channel(td_ctx *c, td_value *x)
{
	return x ? td_sum(c, x, norm_value_axes(x), false) : NULL;
}

/* [C] as [C, 1, ..], to be broadcast against X [N, C, ..]. */
static inline td_value *norm_by_channel(td_ctx *c, td_value *v, const td_value *x)
{
	int64_t dims[TD_MAX_RANK] = { -1, 1, 1, 1, 1, 1 };

	return v && x->shape.rank > 2 ? td_reshape(c, v, dims, x->shape.rank - 1) : v;
}

/* Gradients of norms read mean and rstd = 1 / sqrt(variance + eps) as numbers that the norm kept.  Both follow from x,
 * and a gradient of a gradient must say so: it makes them again, of ops, over AXES.  H receives (x - mean) rstd, and
 * RSTD the other in x's shape with ones for AXES. */
void norm_standardise(td_ctx *c, td_value *x, uint32_t axes, double eps, bool centred, td_value **h, td_value **rstd);
/* With dx = rstd (g - mean of g - h times the mean of g h), means over AXES: the gradient by x of the sum of u dx,
 * which is -rstd (q mean(g h) + dx mean(u h) + h mean(u dx)), where q is as dx but of u. */
td_value *norm_dx_by_x(td_ctx *c, td_value *u, td_value *g, td_value *x, td_value *q, td_value *dx, uint32_t axes,
	double eps, bool centred);

#endif
