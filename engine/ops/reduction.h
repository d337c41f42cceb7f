/* Reductions over axes: the one algorithm behind sums, products, extremes and spreads.
 *
 * Walk the input in its memory order and take each element, as a double or int64, into its result.  When the slowest
 * axis is one that is reduced, it is cut into a number of slices that follows from the shape; each has results of its
 * own in the workspace, which are joined in order. */
#ifndef OPS_REDUCTION_H
#define OPS_REDUCTION_H

#include "ops/ops.h"

/* Which axes go; the attributes of a plain reduction. */
typedef struct reduce_attrs {
	uint32_t axes; /* bit i: axis i */
	bool keep;     /* reduced axes stay, with size 1 */
} reduce_attrs;

extern const td_field reduce_fields[];

/* Of what is divided by how many elements there were, less the correction: 0 for a mean or the variance of a whole
 * population, as in NumPy, 1 for an unbiased variance, as in torch. */
typedef struct mean_attrs {
	reduce_attrs of;
	double correction;
} mean_attrs;

extern const td_field mean_fields[];

enum reduction_kind {
	REDUCE_SUM,
	REDUCE_PROD,
	REDUCE_MAX,
	REDUCE_MIN,
	REDUCE_ANY,
	REDUCE_ALL,
	REDUCE_SQUARES, /* sum of (x - shift)^2 */
	REDUCE_EXP,     /* sum of e^(x - shift) */
};

struct reduction {
	int rank; /* axes of the input in memory order, joined */
	int64_t dim[TD_MAX_RANK];
	int64_t in_stride[TD_MAX_RANK];
	int64_t out_stride[TD_MAX_RANK]; /* 0: reduced */
	int64_t count, n_out;
	int n_slices;
	bool partial; /* slices have results of their own */
	td_dtype dtype;
	td_reduce_fn *fn;  /* set by reduction_run, like all that follows */
	const char *x;     /* borrowed */
	char *acc;         /* [n_slices or 1, n_out] */
	const char *shift; /* borrowed; [n_out], or NULL */
};

/* OUT_STRIDE: per logical axis of X, 0 where reduced. */
void reduction_init(struct reduction *r, const td_shape *x, const int64_t *out_stride, int64_t n_out);
/* The result's strides by axis of X, 0 where A reduces, and its elements. */
int64_t reduction_strides(const reduce_attrs *a, const td_shape *x, int64_t strides[TD_MAX_RANK]);
/* For the axes of A. */
void reduction_over(struct reduction *r, const reduce_attrs *a, const td_shape *x);
size_t reduction_workspace(const struct reduction *r);
/* Reduce X into the first N_OUT numbers of ACC (reduction_workspace bytes), row by row of the result: doubles, or int64
 * for integers and for any and all.  SHIFT: N_OUT doubles, or NULL. */
void reduction_run(const td_call *call, struct reduction *r, enum reduction_kind kind, const void *x,
	const double *shift, void *acc);
/* What each result was made of, less the correction; not below 0. */
double reduction_each(const struct reduction *r, double correction);

/* AXES of X (TD_ALL_AXES: those that it has), as attributes without loose bytes. */
reduce_attrs *reduction_attrs(reduce_attrs *a, const td_value *x, uint32_t axes, bool keep);
mean_attrs *reduction_mean_attrs(mean_attrs *a, const td_value *x, uint32_t axes, bool keep, double correction);
/* X's shape without the axes. */
void reduction_shape(const reduce_attrs *a, const td_shape *x, td_shape *y);
/* False, with an error: X has not all of AXES. */
bool reduction_axes_legal(td_ctx *c, const char *op, const td_shape *x, uint32_t axes);
/* The shape rule of OP, a reduction by A, with the workspace of one; of floating values alone; and by the node's
 * attributes with integers and bools becoming int64.  False: the error. */
bool reduction_infer(td_infer *q, const reduce_attrs *a, const char *op);
bool reduction_infer_float(td_infer *q, const reduce_attrs *a, const char *op);
void reduction_infer_int64(td_infer *q, const char *op);
/* Output 0 = input 0, reduced by the node's attributes. */
void reduction_forward(const td_call *call, enum reduction_kind kind);

/* DY repeated over the axes of X that A took; with MEAN divided by how many there were, less the CORRECTION. */
td_value *reduction_spread(td_ctx *c, td_value *dy, td_value *x, const reduce_attrs *a, bool mean, double correction);
/* The values of Y, a reduction of X by A, beside the elements that they came from. */
td_value *reduction_beside(td_ctx *c, td_value *y, td_value *x, const reduce_attrs *a);

/* Images in both orders, small and large enough for several slices. */
bool reduction_sample(int i, td_sample *s);
/* The same for three sets of axes, i % 3; then a plain row of each other type, a scalar, and with EMPTY also nothing,
 * by the first axis or by all. */
bool reduction_sample_all(int i, td_sample *s, bool empty);

/* NAME_infer, by RULE, NAME_forward and NAME_sample of a plain reduction of any type. */
#define REDUCTION(name, kind, rule, empty)                                                                             \
	static void name##_infer(td_infer *q)                                                                          \
	{                                                                                                              \
		rule(q, #name);                                                                                        \
	}                                                                                                              \
	static void name##_forward(const td_call *call)                                                                \
	{                                                                                                              \
		reduction_forward(call, kind);                                                                         \
	}                                                                                                              \
	static td_value *name##_apply_all(td_ctx *c, td_value *const *in)                                              \
	{                                                                                                              \
		return td_##name(c, in[0], TD_ALL_AXES, false);                                                        \
	}                                                                                                              \
	static td_value *name##_apply_first(td_ctx *c, td_value *const *in)                                            \
	{                                                                                                              \
		return td_##name(c, in[0], 1, false);                                                                  \
	}                                                                                                              \
	static td_value *name##_apply_rest(td_ctx *c, td_value *const *in)                                             \
	{                                                                                                              \
		return td_##name(c, in[0], 2 | 8, true);                                                               \
	}                                                                                                              \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		if (i < 12)                                                                                            \
			s->apply = i % 3 == 0   ? name##_apply_all                                                     \
				   : i % 3 == 1 ? name##_apply_first                                                   \
						: name##_apply_rest;                                                   \
		else                                                                                                   \
			s->apply = i < 16 && i % 2 == 0 ? name##_apply_first : name##_apply_all;                       \
		return reduction_sample_all(i, s, empty);                                                              \
	}

#endif
