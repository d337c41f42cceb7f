/* The largest of rectangles of images: max pooling over windows, and adaptive max pooling to a given size. */
#include "ops/pool.h"

#include "td_ops.h"

/* ---- max_pool2d: y = the largest of x over each rectangle; a NaN wins.  Hidden output: where in the image it stood,
 * row times width plus column; -1 where a window meets padding alone, whose largest is minus infinity */

static td_shape places_shape(const td_shape *y)
{
	td_shape s = *y;

	s.dtype = TD_I32;
	return s;
}

static bool max_pool_legal(td_infer *q, const char *op, const td_shape *x)
{
	char tx[TD_SHAPE_TEXT];

	if (!pool_legal(q, op, x))
		return false;
	if (x->dim[2] <= INT32_MAX / TD_MAX(x->dim[3], 1))
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s takes images of less than 2^31 pixels, unlike %s", op, td_shape_text(x, tx));
	return false;
}

static void max_pool2d_infer(td_infer *q)
{
	if (!ops_need_float(q, "max_pool2d") || !max_pool_legal(q, "max_pool2d", q->in[0]))
		return;
	q->out[0] = pool_shape(q->attrs, q->in[0]);
	q->out[1] = places_shape(&q->out[0]);
	q->workspace = pool_bytes(&q->out[0]);
}

static void max_pool2d_image(void *arg, int n)
{
	const struct pool *p = arg;

	TD_PICK(p->dtype, k_max_pool)
	(at(p->to, n * pool_result(p), p->size), p->places ? p->places + n * pool_result(p) : NULL,
		at_const(p->from, n * pool_image(p), p->size), p->channels, p->width, p->span[0], p->n[0], p->span[1],
		p->n[1]);
}

static void max_pool2d_forward(const td_call *call)
{
	pool_run(call, call->in[0].shape, max_pool2d_image);
}

static void max_pool2d_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_max_pool2d_dx(c, dy[0], n->out[1], n->in[0], n->attrs);
}

static const struct {
	int64_t x[4];
	td_pool2d_attrs attrs;
} max_pool_samples[] = {
	{ { 3, 4, 6, 6 }, { .kernel = { 2, 2 }, .stride = { 2, 2 } } },
	{ { 2, 1, 7, 5 }, { .kernel = { 3, 2 }, .stride = { 2, 1 }, .padding = { 1, 0 } } },
	{ { 2, 3, 4, 4 }, { .kernel = { 3, 3 }, .stride = { 1, 1 }, .padding = { 1, 1 }, .ceil_mode = true } },
	{ { 2, 3, 6, 8 }, { .kernel = { 3, 3 }, .stride = { 2, 2 }, .padding = { 0, 1 }, .ceil_mode = true } },
	{ { 2, 2, 9, 8 }, { .kernel = { 3, 2 }, .stride = { 2, 1 }, .padding = { 2, 1 }, .dilation = { 2, 3 } } },
	{ { 0, 2, 5, 5 }, { .kernel = { 2, 2 } } },
};

#define MAX_POOL_APPLY(k)                                                                                              \
	static td_value *max_pool2d_apply_##k(td_ctx *c, td_value *const *in)                                          \
	{                                                                                                              \
		return td_max_pool2d(c, in[0], &max_pool_samples[k].attrs);                                            \
	}
MAX_POOL_APPLY(0)
MAX_POOL_APPLY(1)
MAX_POOL_APPLY(2)
MAX_POOL_APPLY(3)
MAX_POOL_APPLY(4)
MAX_POOL_APPLY(5)
static td_value *max_pool2d_apply_adaptive(td_ctx *c, td_value *const *in)
{
	return td_adaptive_max_pool2d(c, in[0], 3, 4);
}

static bool max_pool2d_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(td_ctx *, td_value *const *) = { max_pool2d_apply_0, max_pool2d_apply_1,
		max_pool2d_apply_2, max_pool2d_apply_3, max_pool2d_apply_4, max_pool2d_apply_5,
		max_pool2d_apply_adaptive };

	if (i >= 2 * (int)TD_COUNT(applies))
		return false;
	s->apply = applies[i / 2];
	if (i / 2 < (int)TD_COUNT(max_pool_samples))
		ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, max_pool_samples[i / 2].x);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 7, 5);
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(max_pool2d, .n_in = 1, .n_out = 1, .n_hidden = 1, .attrs_size = sizeof(pool_attrs), .fields = pool_fields,
	.infer = max_pool2d_infer, .forward = { max_pool2d_forward }, .backward = max_pool2d_backward,
	.sample = max_pool2d_sample)

/* torch.nn.functional.max_pool2d: x [N, C, H, W] -> [N, C, (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1,
 * ...], channels-last. */
TD_API td_value *td_max_pool2d(td_ctx *c, td_value *x, const td_pool2d_attrs *attrs)
{
	pool_attrs a = pool_windows(attrs);

	return x ? TD_APPLY(c, max_pool2d, &a, ops_channels_last(c, x)) : NULL;
}

/* torch.nn.functional.adaptive_max_pool2d: x [N, C, H, W] -> [N, C, HEIGHT, WIDTH], channels-last. */
TD_API td_value *td_adaptive_max_pool2d(td_ctx *c, td_value *x, int64_t height, int64_t width)
{
	pool_attrs a;

	if (!x || !pool_cells(&a, c, height, width))
		return NULL;
	return TD_APPLY(c, max_pool2d, &a, ops_channels_last(c, x));
}

/* ---- max_pool2d_dx: dy goes to where the largest stood; only the shape of x is read ------------------------------ */

/* Whether Y is a floating result and WHICH, input 1, are its places. */
static bool places_legal(td_infer *q, const char *op, const td_shape *y)
{
	char ty[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];
	td_shape places = places_shape(y);

	if (td__is_float(y->dtype) && td_shape_same(q->in[1], &places))
		return true;
	td_fail(q->ctx, TD_SHAPE, "%s needs floating images and places %s, not %s", op, td_shape_text(&places, ty),
		td_shape_text(q->in[1], tw));
	return false;
}

static void max_pool2d_dx_infer(td_infer *q)
{
	td_shape y;

	if (!max_pool_legal(q, "max_pool2d_dx", q->in[2]))
		return;
	y = pool_shape(q->attrs, q->in[2]);
	if (!ops_need_like(q, "max_pool2d_dx", 0, &y) || !places_legal(q, "max_pool2d_dx", &y))
		return;
	q->out[0] = *q->in[2];
	q->out[0].order = TD_CHANNELS_LAST;
	q->workspace = pool_bytes(&y);
}

static void max_pool2d_dx_image(void *arg, int n)
{
	const struct pool *p = arg;
	int64_t count = pool_image(p);

	memset(at(p->to, n * count, p->size), 0, (size_t)count * p->size);
	TD_PICK(p->dtype, k_scatter_pixels)
	(at(p->to, n * count, p->size), p->which + n * pool_result(p), at_const(p->from, n * pool_result(p), p->size),
		p->n[0] * p->n[1], p->channels, p->height * p->width);
}

static void max_pool2d_dx_forward(const td_call *call)
{
	pool_run(call, call->in[2].shape, max_pool2d_dx_image);
}

/* Linear in dy. */
static void max_pool2d_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_max_pool2d_pick(c, dy[0], n->in[1], n->attrs);
}

static const pool_attrs places_attrs = { .kernel = { 3, 2 }, .stride = { 1, 2 }, .dilation = { 1, 1 } };

static td_value *max_pool2d_dx_apply(td_ctx *c, td_value *const *in)
{
	return td_max_pool2d_dx(c, in[0], in[1], in[2], &places_attrs);
}

static bool max_pool2d_dx_sample(int i, td_sample *s)
{
	s->apply = max_pool2d_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 3, 3);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I32, 3, 4, 3, 3);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 3, 4, 5, 6);
	s->in[1].classes = 30;
	for (int k = 0; k < 3; k++) {
		s->in[k].shape.order = TD_CHANNELS_LAST;
		s->in[k].batched = true;
	}
	return i < 1;
}

TD_OP(max_pool2d_dx, .n_in = 3, .n_out = 1, .shape_only = 4, .attrs_size = sizeof(pool_attrs), .fields = pool_fields,
	.infer = max_pool2d_dx_infer, .forward = { max_pool2d_dx_forward }, .backward = max_pool2d_dx_backward,
	.sample = max_pool2d_dx_sample)

/* WHICH: max_pool2d's hidden output; ATTRS: of that node. */
TD_API td_value *td_max_pool2d_dx(td_ctx *c, td_value *dy, td_value *which, td_value *x, const void *attrs)
{
	return dy && which && x
		       ? TD_APPLY(c, max_pool2d_dx, attrs, ops_channels_last(c, dy), ops_channels_last(c, which), x)
		       : NULL;
}

/* ---- max_pool2d_pick: y[o] = x[which[o]], 0 where there is no place: what the pool would have taken of another image
 */

static void max_pool2d_pick_infer(td_infer *q)
{
	if (!max_pool_legal(q, "max_pool2d_pick", q->in[0]))
		return;
	q->out[0] = pool_shape(q->attrs, q->in[0]);
	q->workspace = pool_bytes(&q->out[0]);
	places_legal(q, "max_pool2d_pick", &q->out[0]);
}

static void max_pool2d_pick_image(void *arg, int n)
{
	const struct pool *p = arg;

	TD_PICK(p->dtype, k_gather_pixels)
	(at(p->to, n * pool_result(p), p->size), p->which + n * pool_result(p),
		at_const(p->from, n * pool_image(p), p->size), p->n[0] * p->n[1], p->channels, p->height * p->width);
}

static void max_pool2d_pick_forward(const td_call *call)
{
	pool_run(call, call->in[0].shape, max_pool2d_pick_image);
}

static void max_pool2d_pick_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_max_pool2d_dx(c, dy[0], n->in[1], n->in[0], n->attrs);
}

static td_value *max_pool2d_pick_apply(td_ctx *c, td_value *const *in)
{
	return td_max_pool2d_pick(c, in[0], in[1], &places_attrs);
}

static bool max_pool2d_pick_sample(int i, td_sample *s)
{
	s->apply = max_pool2d_pick_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 5, 6);
	SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I32, 3, 4, 3, 3);
	s->in[1].classes = 30;
	s->in[0].batched = s->in[1].batched = true;
	return i < 1;
}

TD_OP(max_pool2d_pick, .n_in = 2, .n_out = 1, .attrs_size = sizeof(pool_attrs), .fields = pool_fields,
	.infer = max_pool2d_pick_infer, .forward = { max_pool2d_pick_forward }, .backward = max_pool2d_pick_backward,
	.sample = max_pool2d_pick_sample)

/* WHICH and ATTRS as td_max_pool2d_dx has them. */
TD_API td_value *td_max_pool2d_pick(td_ctx *c, td_value *x, td_value *which, const void *attrs)
{
	return x && which ? TD_APPLY(c, max_pool2d_pick, attrs, ops_channels_last(c, x), ops_channels_last(c, which))
			  : NULL;
}
