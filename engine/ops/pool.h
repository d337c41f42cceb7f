/* What pools share: which rows and columns of an image each result takes, whether by windows or by cells of a result of
 * given size. */
#ifndef OPS_POOL_H
#define OPS_POOL_H

#include "ops/ops.h"

typedef struct pool_attrs {
	int64_t kernel[2], stride[2], padding[2], dilation[2]; /* of windows, where SIZE is 0 */
	int64_t size[2];                                       /* of the result, of an adaptive pool */
	int64_t divisor;                                       /* of a mean, in place of the window's size; 0: none */
	int64_t ceil_mode, count_include_pad;
} pool_attrs;

static const td_field pool_fields[] = { TD_FIELDS(pool_attrs, kernel), TD_FIELDS(pool_attrs, stride),
	TD_FIELDS(pool_attrs, padding), TD_FIELDS(pool_attrs, dilation), TD_FIELDS(pool_attrs, size),
	TD_FIELD(pool_attrs, divisor), TD_FIELD(pool_attrs, ceil_mode), TD_FIELD(pool_attrs, count_include_pad),
	{ 0 } };

/* As the builders' caller says it: a stride of 0 is the kernel, a dilation of 0 is 1. */
static inline pool_attrs pool_windows(const td_pool2d_attrs *from)
{
	pool_attrs a = { .divisor = from->divisor_override,
		.ceil_mode = from->ceil_mode,
		.count_include_pad = from->count_include_pad };

	for (int i = 0; i < 2; i++) {
		a.kernel[i] = from->kernel[i];
		a.stride[i] = from->stride[i] ? from->stride[i] : from->kernel[i];
		a.padding[i] = from->padding[i];
		a.dilation[i] = TD_MAX(from->dilation[i], 1);
	}
	return a;
}

/* For a result of HEIGHT x WIDTH; false: there is none, and C says so. */
static inline bool pool_cells(pool_attrs *a, td_ctx *c, int64_t height, int64_t width)
{
	*a = (pool_attrs){ .size = { height, width } };
	if (height >= 1 && width >= 1)
		return true;
	td_fail(c, TD_INVALID, "an adaptive pool needs a size of at least 1 x 1, not %lld x %lld", (long long)height,
		(long long)width);
	return false;
}

/* Elements from the first to the last that a window touches along axis I. */
static inline int64_t pool_reach(const pool_attrs *a, int i)
{
	return (a->kernel[i] - 1) * a->dilation[i] + 1;
}

static inline int64_t pool_size(const pool_attrs *a, int64_t size, int i)
{
	return a->size[i] ? a->size[i] : ops_windows(size, pool_reach(a, i), a->stride[i], a->padding[i], a->ceil_mode);
}

/* Span K along axis I, of SIZE elements: windows as torch.nn.AvgPool2d and MaxPool2d, cells as their adaptive kin. */
static inline struct k_span pool_span(const pool_attrs *a, int64_t size, int i, int64_t k)
{
	struct k_span s = { .step = 1 };

	if (a->size[i]) {
		s.from = k * size / a->size[i];
		s.to = ((k + 1) * size + a->size[i] - 1) / a->size[i];
		s.count = s.to - s.from;
		return s;
	}
	s.step = a->dilation[i];
	s.from = k * a->stride[i] - a->padding[i];
	s.to = TD_MIN(s.from + pool_reach(a, i), size + a->padding[i]);
	s.count = s.to - s.from;
	if (s.from < 0)
		s.from += (-s.from + s.step - 1) / s.step * s.step;
	s.to = TD_MIN(s.to, size);
	if (!a->count_include_pad)
		s.count = s.to - s.from;
	if (a->divisor)
		s.count = i ? 1 : a->divisor;
	return s;
}

/* One call of a pool: the geometry, and what the images' functions read and write. */
struct pool {
	int64_t channels, height, width, n[2];
	struct k_span *span[2]; /* in the workspace */
	td_dtype dtype;
	size_t size;
	const char *from;
	char *to;
	const int32_t *which; /* of max pools: where the largest stood, as an input ... */
	int32_t *places;      /* ... and as an output, or NULL */
};

/* Elements of one image: of the larger side, and of the pooled one. */
static inline int64_t pool_image(const struct pool *p)
{
	return p->channels * p->height * p->width;
}

static inline int64_t pool_result(const struct pool *p)
{
	return p->channels * p->n[0] * p->n[1];
}

/* IMAGE: the larger side's shape.  WORKSPACE holds pool_bytes. */
static inline void pool_init(struct pool *p, const pool_attrs *a, const td_shape *image, void *workspace)
{
	*p = (struct pool){ .channels = image->dim[1],
		.height = image->dim[2],
		.width = image->dim[3],
		.dtype = image->dtype,
		.size = td_dtype_size(image->dtype) };
	for (int i = 0; i < 2; i++)
		p->n[i] = pool_size(a, image->dim[2 + i], i);
	if (!pool_result(p))
		p->n[0] = p->n[1] = 0; /* no spans */
	p->span[0] = workspace;
	p->span[1] = p->span[0] + p->n[0];
	for (int i = 0; i < 2; i++)
		for (int64_t k = 0; k < p->n[i]; k++)
			p->span[i][k] = pool_span(a, image->dim[2 + i], i, k);
}

/* Run FN(p, n) for every image n of CALL's output 0, made of input 0 by the geometry of IMAGE, the larger side's shape. */
static inline void pool_run(const td_call *call, const td_shape *image, void (*fn)(void *arg, int n))
{
	struct pool p;

	if (!td_shape_count(call->out[0].shape))
		return;
	pool_init(&p, call->attrs, image, call->workspace);
	p.from = call->in[0].data;
	p.which = call->in[1].data;
	p.to = call->out[0].data;
	p.places = call->out[1].data;
	threads_run(call->threads, (int)image->dim[0], fn, &p);
}

/* The spans of a result Y; an empty one has none. */
static inline size_t pool_bytes(const td_shape *y)
{
	return ops_is_empty(y) ? 0 : sizeof(struct k_span) * (size_t)(y->dim[2] + y->dim[3]);
}

static inline td_shape pool_shape(const pool_attrs *a, const td_shape *x)
{
	return (td_shape){ .dtype = x->dtype,
		.order = TD_CHANNELS_LAST,
		.rank = 4,
		.dim = { x->dim[0], x->dim[1], pool_size(a, x->dim[2], 0), pool_size(a, x->dim[3], 1) } };
}

/* Whether the attributes make sense for images X; complains otherwise. */
static inline bool pool_legal(td_infer *q, const char *op, const td_shape *x)
{
	const pool_attrs *a = q->attrs;
	char tx[TD_SHAPE_TEXT];

	td_shape_text(x, tx);
	if (x->rank != 4) {
		td_fail(q->ctx, TD_SHAPE, "%s needs images [N, C, H, W], not %s", op, tx);
		return false;
	}
	for (int i = 0; i < 2; i++) {
		if (!ops_need_countable(q, op,
			    (int64_t[]){ x->dim[2 + i], a->kernel[i], a->stride[i], a->padding[i], a->dilation[i],
				    a->size[i], a->divisor },
			    7))
			return false;
		if (a->size[i] ? a->size[i] < 0 || x->dim[2 + i] < 1
			       : a->kernel[i] < 1 || a->stride[i] < 1 || a->padding[i] < 0 || a->dilation[i] < 1 ||
					 a->padding[i] > pool_reach(a, i) / 2 || a->divisor < 0) {
			td_fail(q->ctx, TD_INVALID,
				"%s needs a kernel, a stride and a dilation of at least 1 and a padding of at most "
				"half the kernel, or a size of at least 1, and images that are not empty, unlike %s",
				op, tx);
			return false;
		}
		if (!a->size[i] && pool_reach(a, i) > x->dim[2 + i] + 2 * a->padding[i]) {
			td_fail(q->ctx, TD_SHAPE,
				"%s: the kernel, which reaches over %lldx%lld, is larger than the images %s with "
				"their padding %lldx%lld; use a smaller kernel or more padding",
				op, (long long)pool_reach(a, 0), (long long)pool_reach(a, 1), tx,
				(long long)a->padding[0], (long long)a->padding[1]);
			return false;
		}
	}
	return true;
}

#endif
