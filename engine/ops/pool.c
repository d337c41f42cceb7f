/* Pools over windows of images, channels-last. */
#include "ops/ops.h"

#include "td_ops.h"

struct pool {
	struct k_window w;
	td_dtype dtype;
	size_t size;
	const char *x, *dy;
	char *y, *dx;
	int32_t *which;
};

static void pool_init(struct pool *p, const td_pool2d_attrs *a, const td_shape *x)
{
	*p = (struct pool){ .dtype = x->dtype, .size = td_dtype_size(x->dtype) };
	p->w = (struct k_window){ .channels = x->dim[1], .pixel = x->dim[1], .height = x->dim[2], .width = x->dim[3] };
	for (int i = 0; i < 2; i++) {
		p->w.kernel[i] = a->kernel[i];
		p->w.stride[i] = a->stride[i];
		p->w.padding[i] = a->padding[i];
		p->w.dilation[i] = 1;
	}
	p->w.out_height = ops_windows(x->dim[2], a->kernel[0], a->stride[0], a->padding[0], a->ceil_mode);
	p->w.out_width = ops_windows(x->dim[3], a->kernel[1], a->stride[1], a->padding[1], a->ceil_mode);
}

/* A copy whose padding bytes are zeros, as attributes must be. */
static void pool_attrs(td_pool2d_attrs *to, const td_pool2d_attrs *from)
{
	memset(to, 0, sizeof *to);
	memcpy(to->kernel, from->kernel, sizeof to->kernel);
	memcpy(to->stride, from->stride, sizeof to->stride);
	memcpy(to->padding, from->padding, sizeof to->padding);
	to->ceil_mode = from->ceil_mode;
	to->count_include_pad = from->count_include_pad;
}

static bool pool_legal(td_infer *q, const td_pool2d_attrs *a, const td_shape *x)
{
	char tx[TD_SHAPE_TEXT];

	if (x->rank != 4) {
		td_fail(q->ctx, TD_SHAPE, "a pool needs images [N, C, H, W], not %s", td_shape_text(x, tx));
		return false;
	}
	for (int i = 0; i < 2; i++) {
		if (a->kernel[i] < 1 || a->stride[i] < 1 || a->padding[i] < 0 || a->padding[i] > a->kernel[i] / 2 ||
			a->kernel[i] > INT16_MAX) {
			td_fail(q->ctx, TD_INVALID,
				"a pool needs a kernel and a stride of at least 1 and a padding of at most half "
				"the kernel");
			return false;
		}
		if (a->kernel[i] > x->dim[2 + i] + 2 * a->padding[i]) {
			td_fail(q->ctx, TD_SHAPE,
				"the pool's kernel %lldx%lld is larger than the image %lldx%lld with its padding",
				(long long)a->kernel[0], (long long)a->kernel[1], (long long)x->dim[2],
				(long long)x->dim[3]);
			return false;
		}
	}
	return true;
}

/* ---- max_pool2d: the largest of each window; a NaN wins.  Hidden output: its place in the window ----------------- */

static td_shape pooled(const td_pool2d_attrs *a, const td_shape *x)
{
	struct pool p;

	pool_init(&p, a, x);
	return (td_shape){ .dtype = p.dtype,
		.order = TD_CHANNELS_LAST,
		.rank = 4,
		.dim = { x->dim[0], p.w.channels, p.w.out_height, p.w.out_width } };
}

static void max_pool2d_infer(td_infer *q)
{
	if (!ops_need_float(q, "max_pool2d") || !pool_legal(q, q->attrs, q->in[0]))
		return;
	q->out[0] = q->out[1] = pooled(q->attrs, q->in[0]);
	q->out[1].dtype = TD_I32;
}

static void max_pool2d_image(void *arg, int n)
{
	const struct pool *p = arg;
	int64_t out = n * p->w.channels * p->w.out_height * p->w.out_width;

	TD_PICK(p->dtype, k_max_pool)
	(p->y + (size_t)out * p->size, p->which ? p->which + out : NULL,
		p->x + (size_t)(n * p->w.channels * p->w.height * p->w.width) * p->size, &p->w);
}

static void max_pool2d_forward(const td_call *call)
{
	struct pool p;

	pool_init(&p, call->attrs, call->in[0].shape);
	p.x = call->in[0].data;
	p.y = call->out[0].data;
	p.which = call->out[1].data;
	if (td_shape_count(call->out[0].shape))
		threads_run(call->threads, (int)call->in[0].shape->dim[0], max_pool2d_image, &p);
}

static void max_pool2d_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_max_pool2d_dx(c, dy[0], n->out[1], n->in[0], n->attrs);
}

static const struct {
	int64_t x[4];
	td_pool2d_attrs attrs;
} pool_samples[] = {
	{ { 3, 4, 6, 6 }, { { 2, 2 }, { 2, 2 }, { 0, 0 }, false, false } },
	{ { 2, 1, 7, 5 }, { { 3, 2 }, { 2, 1 }, { 1, 0 }, false, true } },
	{ { 2, 3, 4, 4 }, { { 3, 3 }, { 1, 1 }, { 1, 1 }, true, true } },
	{ { 2, 3, 6, 8 }, { { 3, 3 }, { 2, 2 }, { 0, 1 }, true, false } },
};

#define POOL_APPLY(k)                                                                                                  \
	static td_value *max_pool2d_apply_##k(td_ctx *c, td_value *const *in)                                          \
	{                                                                                                              \
		return td_max_pool2d(c, in[0], &pool_samples[k].attrs);                                                \
	}
POOL_APPLY(0)
POOL_APPLY(1)
POOL_APPLY(2)
POOL_APPLY(3)

static bool max_pool2d_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(td_ctx *, td_value *const *) = { max_pool2d_apply_0, max_pool2d_apply_1,
		max_pool2d_apply_2, max_pool2d_apply_3 };

	if (i >= 8)
		return false;
	s->apply = applies[i / 2];
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, pool_samples[i / 2].x);
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(max_pool2d, .n_in = 1, .n_out = 1, .n_hidden = 1, .attrs_size = sizeof(td_pool2d_attrs),
	.infer = max_pool2d_infer, .forward = { max_pool2d_forward }, .backward = max_pool2d_backward,
	.sample = max_pool2d_sample)

/* x [N, C, H, W] -> [N, C, (H + 2 padding - kernel) / stride + 1, ...], channels-last. */
TD_API td_value *td_max_pool2d(td_ctx *c, td_value *x, const td_pool2d_attrs *attrs)
{
	td_pool2d_attrs a;

	pool_attrs(&a, attrs);
	return x ? TD_APPLY(c, max_pool2d, &a, ops_channels_last(c, x)) : NULL;
}

/* ---- max_pool2d_dx: dy goes to where the largest stood; only the shape of x is read ------------------------------ */

static void max_pool2d_dx_infer(td_infer *q)
{
	char ty[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];
	td_shape y, which;

	if (!pool_legal(q, q->attrs, q->in[2]))
		return;
	y = which = pooled(q->attrs, q->in[2]);
	which.dtype = TD_I32;
	if (!td_shape_same(q->in[0], &y) || !td_shape_same(q->in[1], &which) || !td__is_float(y.dtype)) {
		td_fail(q->ctx, TD_SHAPE, "max_pool2d_dx needs dy %s and places %s, floating and int32",
			td_shape_text(&y, ty), td_shape_text(&which, tw));
		return;
	}
	q->out[0] = *q->in[2];
	q->out[0].order = TD_CHANNELS_LAST;
}

static void max_pool2d_dx_image(void *arg, int n)
{
	const struct pool *p = arg;
	int64_t out = n * p->w.channels * p->w.out_height * p->w.out_width;

	TD_PICK(p->dtype, k_max_pool_dx)
	(p->dx + (size_t)(n * p->w.channels * p->w.height * p->w.width) * p->size, p->which + out,
		p->dy + (size_t)out * p->size, &p->w);
}

static void max_pool2d_dx_forward(const td_call *call)
{
	struct pool p;

	pool_init(&p, call->attrs, call->in[2].shape);
	p.dy = call->in[0].data;
	p.which = call->in[1].data;
	p.dx = call->out[0].data;
	if (td_shape_count(call->out[0].shape))
		threads_run(call->threads, (int)call->in[2].shape->dim[0], max_pool2d_dx_image, &p);
}

static td_value *max_pool2d_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_max_pool2d_dx(c, in[0], in[1], in[2], &pool_samples[0].attrs);
}

static bool max_pool2d_dx_sample(int i, td_sample *s)
{
	if (i)
		return false;
	s->apply = max_pool2d_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 3, 3);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I32, 3, 4, 3, 3);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 3, 4, 6, 6);
	s->in[1].classes = 4;
	for (int k = 0; k < 3; k++) {
		s->in[k].shape.order = TD_CHANNELS_LAST;
		s->in[k].batched = true;
	}
	return true;
}

TD_OP(max_pool2d_dx, .n_in = 3, .n_out = 1, .shape_only = 4, .attrs_size = sizeof(td_pool2d_attrs),
	.infer = max_pool2d_dx_infer, .forward = { max_pool2d_dx_forward }, .backward = td_once,
	.sample = max_pool2d_dx_sample)

/* which: int32, as max_pool2d's hidden output. */
TD_API td_value *td_max_pool2d_dx(td_ctx *c, td_value *dy, td_value *which, td_value *x, const td_pool2d_attrs *attrs)
{
	return dy && which && x
		       ? TD_APPLY(c, max_pool2d_dx, attrs, ops_channels_last(c, dy), ops_channels_last(c, which), x)
		       : NULL;
}
