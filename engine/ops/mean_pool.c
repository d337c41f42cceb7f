/* Averages over rectangles of images: average pooling over windows, and adaptive pooling to a given size. */
#include "ops/pool.h"

#include "td_ops.h"

/* ---- mean_pool: y = the mean of x over each rectangle ------------------------------------------------------------ */

static void mean_pool_infer(td_infer *q)
{
	const pool_attrs *a = q->attrs;
	const char *op =
		a->size[0] || a->size[1] ? "adaptive_avg_pool2d" : "avg_pool2d"; /* as the builders are called */

	if (!ops_need_float(q, op) || !pool_legal(q, op, q->in[0]))
		return;
	q->out[0] = pool_shape(q->attrs, q->in[0]);
	q->workspace = pool_bytes(&q->out[0]);
}

static void mean_pool_image(void *arg, int n)
{
	const struct pool *p = arg;

	TD_PICK(p->dtype, k_mean_pool)
	(at(p->to, n * pool_result(p), p->size), at_const(p->from, n * pool_image(p), p->size), p->channels, p->width,
		p->span[0], p->n[0], p->span[1], p->n[1]);
}

static void mean_pool_forward(const td_call *call)
{
	pool_run(call, call->in[0].shape, mean_pool_image);
}

static void mean_pool_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mean_pool_dx(c, dy[0], n->in[0], n->attrs);
}

static const struct {
	int64_t x[4];
	td_pool2d_attrs attrs;
} mean_pool_samples[] = {
	{ { 3, 4, 6, 6 }, { .kernel = { 2, 2 }, .stride = { 2, 2 }, .count_include_pad = true } },
	{ { 2, 1, 7, 5 }, { .kernel = { 3, 2 }, .stride = { 2, 1 }, .padding = { 1, 0 } } },
	{ { 2, 3, 6, 8 }, { .kernel = { 3, 3 },
				  .stride = { 2, 2 },
				  .padding = { 1, 1 },
				  .ceil_mode = true,
				  .count_include_pad = true } },
	{ { 2, 3, 5, 6 }, { .kernel = { 3, 2 }, .padding = { 1, 1 }, .ceil_mode = true, .divisor_override = 5 } },
	{ { 0, 2, 5, 5 }, { .kernel = { 2, 2 } } },
};

#define MEAN_POOL_APPLY(k)                                                                                             \
	static td_value *mean_pool_apply_##k(td_ctx *c, td_value *const *in)                                           \
	{                                                                                                              \
		return td_avg_pool2d(c, in[0], &mean_pool_samples[k].attrs);                                           \
	}
MEAN_POOL_APPLY(0)
MEAN_POOL_APPLY(1)
MEAN_POOL_APPLY(2)
MEAN_POOL_APPLY(3)
MEAN_POOL_APPLY(4)
static td_value *mean_pool_apply_adaptive(td_ctx *c, td_value *const *in)
{
	return td_adaptive_avg_pool2d(c, in[0], 3, 4);
}

static bool mean_pool_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(td_ctx *, td_value *const *) = { mean_pool_apply_0, mean_pool_apply_1,
		mean_pool_apply_2, mean_pool_apply_3, mean_pool_apply_4, mean_pool_apply_adaptive };

	if (i >= 2 * (int)TD_COUNT(applies))
		return false;
	s->apply = applies[i / 2];
	if (i / 2 < (int)TD_COUNT(mean_pool_samples))
		ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, mean_pool_samples[i / 2].x);
	else
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 7, 5);
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(mean_pool, .n_in = 1, .n_out = 1, .attrs_size = sizeof(pool_attrs), .fields = pool_fields,
	.infer = mean_pool_infer, .forward = { mean_pool_forward }, .backward = mean_pool_backward,
	.sample = mean_pool_sample)

/* torch.nn.functional.avg_pool2d: x [N, C, H, W] -> [N, C, (H + 2 padding - kernel) / stride + 1, ...], channels-last.
 */
TD_API td_value *td_avg_pool2d(td_ctx *c, td_value *x, const td_pool2d_attrs *attrs)
{
	pool_attrs a = pool_windows(attrs);

	return x ? TD_APPLY(c, mean_pool, &a, ops_channels_last(c, x)) : NULL;
}

/* torch.nn.functional.adaptive_avg_pool2d: x [N, C, H, W] -> [N, C, HEIGHT, WIDTH], channels-last. */
TD_API td_value *td_adaptive_avg_pool2d(td_ctx *c, td_value *x, int64_t height, int64_t width)
{
	pool_attrs a;

	if (!x || !pool_cells(&a, c, height, width))
		return NULL;
	return TD_APPLY(c, mean_pool, &a, ops_channels_last(c, x));
}

/* ---- mean_pool_dx: dy spread evenly over each rectangle; only the shape of x is read ----------------------------- */

static void mean_pool_dx_infer(td_infer *q)
{
	td_shape y;

	if (!ops_need_float(q, "mean_pool_dx") || !pool_legal(q, "mean_pool_dx", q->in[1]))
		return;
	y = pool_shape(q->attrs, q->in[1]);
	if (!ops_need_like(q, "mean_pool_dx", 0, &y))
		return;
	q->out[0] = *q->in[1];
	q->out[0].order = TD_CHANNELS_LAST;
	q->workspace = pool_bytes(&y);
}

static void mean_pool_dx_image(void *arg, int n)
{
	const struct pool *p = arg;
	int64_t count = pool_image(p);

	memset(at(p->to, n * count, p->size), 0, (size_t)count * p->size);
	TD_PICK(p->dtype, k_mean_pool_dx)
	(at(p->to, n * count, p->size), at_const(p->from, n * pool_result(p), p->size), p->channels, p->width,
		p->span[0], p->n[0], p->span[1], p->n[1]);
}

static void mean_pool_dx_forward(const td_call *call)
{
	pool_run(call, call->in[1].shape, mean_pool_dx_image);
}

/* Linear in dy. */
static void mean_pool_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = TD_APPLY(c, mean_pool, n->attrs, ops_channels_last(c, dy[0]));
}

static td_value *mean_pool_dx_apply(td_ctx *c, td_value *const *in)
{
	pool_attrs a = {
		.kernel = { 3, 3 }, .stride = { 2, 2 }, .padding = { 1, 1 }, .dilation = { 1, 1 }, .ceil_mode = 1
	};

	return td_mean_pool_dx(c, in[0], in[1], &a);
}

static bool mean_pool_dx_sample(int i, td_sample *s)
{
	s->apply = mean_pool_dx_apply;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 4, 5);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 2, 3, 6, 8);
	s->in[0].batched = s->in[1].batched = true;
	s->in[1].fixed = true;
	return i < 1;
}

TD_OP(mean_pool_dx, .n_in = 2, .n_out = 1, .shape_only = 2, .attrs_size = sizeof(pool_attrs), .fields = pool_fields,
	.infer = mean_pool_dx_infer, .forward = { mean_pool_dx_forward }, .backward = mean_pool_dx_backward,
	.sample = mean_pool_dx_sample)

/* ATTRS: of the mean_pool that made y. */
TD_API td_value *td_mean_pool_dx(td_ctx *c, td_value *dy, td_value *x, const void *attrs)
{
	return dy && x ? TD_APPLY(c, mean_pool_dx, attrs, ops_channels_last(c, dy), x) : NULL;
}
