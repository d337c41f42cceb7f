/* Averages over rectangles of images: average pooling over windows, and adaptive pooling to a given size.  Both say
 * which rows and columns each result takes; the loops are the same. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- Spans ------------------------------------------------------------------------------------------------------- */

typedef struct mean_pool_attrs {
	int64_t kernel[2], stride[2], padding[2]; /* of windows, where SIZE is 0 */
	int64_t size[2];                          /* of the result, of an adaptive pool */
	int64_t ceil_mode, count_include_pad;
} mean_pool_attrs;

static int64_t n_spans(const mean_pool_attrs *a, int64_t size, int i)
{
	return a->size[i] ? a->size[i] : ops_windows(size, a->kernel[i], a->stride[i], a->padding[i], a->ceil_mode);
}

/* Span K along an axis of SIZE elements: windows as torch.nn.AvgPool2d, cells as torch.nn.AdaptiveAvgPool2d. */
static struct k_span span_at(const mean_pool_attrs *a, int64_t size, int i, int64_t k)
{
	struct k_span s;

	if (a->size[i]) {
		s.from = k * size / a->size[i];
		s.to = ((k + 1) * size + a->size[i] - 1) / a->size[i];
		s.count = s.to - s.from;
		return s;
	}
	s.from = k * a->stride[i] - a->padding[i];
	s.to = TD_MIN(s.from + a->kernel[i], size + a->padding[i]);
	s.count = s.to - s.from;
	s.from = TD_MAX(s.from, 0);
	s.to = TD_MIN(s.to, size);
	if (!a->count_include_pad)
		s.count = s.to - s.from;
	return s;
}

struct mean_pool {
	int64_t channels, height, width, n[2];
	struct k_span *span[2]; /* in the workspace */
	td_dtype dtype;
	size_t size;
	const char *from;
	char *to;
};

/* IMAGE: the larger side's shape. */
static void mean_pool_init(struct mean_pool *p, const mean_pool_attrs *a, const td_shape *image, void *workspace)
{
	*p = (struct mean_pool){ .channels = image->dim[1],
		.height = image->dim[2],
		.width = image->dim[3],
		.dtype = image->dtype,
		.size = td_dtype_size(image->dtype) };
	for (int i = 0; i < 2; i++)
		p->n[i] = n_spans(a, image->dim[2 + i], i);
	if (!workspace)
		return;
	p->span[0] = workspace;
	p->span[1] = p->span[0] + p->n[0];
	for (int i = 0; i < 2; i++)
		for (int64_t k = 0; k < p->n[i]; k++)
			p->span[i][k] = span_at(a, image->dim[2 + i], i, k);
}

static bool mean_pool_legal(td_infer *q, const td_shape *x)
{
	const mean_pool_attrs *a = q->attrs;
	char tx[TD_SHAPE_TEXT];

	td_shape_text(x, tx);
	if (x->rank != 4) {
		td_fail(q->ctx, TD_SHAPE, "a pool needs images [N, C, H, W], not %s", tx);
		return false;
	}
	for (int i = 0; i < 2; i++) {
		if (a->size[i] ? a->size[i] < 0 || x->dim[2 + i] < 1
			       : a->kernel[i] < 1 || a->stride[i] < 1 || a->padding[i] < 0 ||
					 a->padding[i] > a->kernel[i] / 2) {
			td_fail(q->ctx, TD_INVALID,
				"a pool needs a kernel and a stride of at least 1 and a padding of at most half the "
				"kernel, or a size of at least 1, and an image that is not empty");
			return false;
		}
		if (!a->size[i] && a->kernel[i] > x->dim[2 + i] + 2 * a->padding[i]) {
			td_fail(q->ctx, TD_SHAPE,
				"the pool's kernel %lldx%lld is larger than the images %s with their padding",
				(long long)a->kernel[0], (long long)a->kernel[1], tx);
			return false;
		}
	}
	return true;
}

static td_shape mean_pooled(const mean_pool_attrs *a, const td_shape *x)
{
	return (td_shape){ .dtype = x->dtype,
		.order = TD_CHANNELS_LAST,
		.rank = 4,
		.dim = { x->dim[0], x->dim[1], n_spans(a, x->dim[2], 0), n_spans(a, x->dim[3], 1) } };
}

static size_t spans_bytes(const td_shape *y)
{
	return sizeof(struct k_span) * (size_t)(y->dim[2] + y->dim[3]);
}

/* ---- mean_pool: y = the mean of x over each rectangle ------------------------------------------------------------ */

static void mean_pool_infer(td_infer *q)
{
	if (!ops_need_float(q, "mean_pool") || !mean_pool_legal(q, q->in[0]))
		return;
	q->out[0] = mean_pooled(q->attrs, q->in[0]);
	q->workspace = spans_bytes(&q->out[0]);
}

static void mean_pool_image(void *arg, int n)
{
	const struct mean_pool *p = arg;

	TD_PICK(p->dtype, k_mean_pool)
	(at(p->to, n * p->channels * p->n[0] * p->n[1], p->size),
		at_const(p->from, n * p->channels * p->height * p->width, p->size), p->channels, p->width, p->span[0],
		p->n[0], p->span[1], p->n[1]);
}

static void mean_pool_forward(const td_call *call)
{
	struct mean_pool p;

	mean_pool_init(&p, call->attrs, call->in[0].shape, call->workspace);
	p.from = call->in[0].data;
	p.to = call->out[0].data;
	if (td_shape_count(call->out[0].shape))
		threads_run(call->threads, (int)call->in[0].shape->dim[0], mean_pool_image, &p);
}

static void mean_pool_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = td_mean_pool_dx(c, dy[0], n->in[0], n->attrs);
}

static const struct {
	int64_t x[4];
	td_pool2d_attrs attrs;
} pool_samples[] = {
	{ { 3, 4, 6, 6 }, { { 2, 2 }, { 2, 2 }, { 0, 0 }, false, true } },
	{ { 2, 1, 7, 5 }, { { 3, 2 }, { 2, 1 }, { 1, 0 }, false, false } },
	{ { 2, 3, 6, 8 }, { { 3, 3 }, { 2, 2 }, { 1, 1 }, true, true } },
};

static td_value *mean_pool_apply_0(td_ctx *c, td_value *const *in)
{
	return td_avg_pool2d(c, in[0], &pool_samples[0].attrs);
}
static td_value *mean_pool_apply_1(td_ctx *c, td_value *const *in)
{
	return td_avg_pool2d(c, in[0], &pool_samples[1].attrs);
}
static td_value *mean_pool_apply_2(td_ctx *c, td_value *const *in)
{
	return td_avg_pool2d(c, in[0], &pool_samples[2].attrs);
}
static td_value *mean_pool_apply_adaptive(td_ctx *c, td_value *const *in)
{
	return td_adaptive_avg_pool2d(c, in[0], 3, 4);
}

static td_value *(*const mean_pool_applies[])(td_ctx *, td_value *const *) = { mean_pool_apply_0, mean_pool_apply_1,
	mean_pool_apply_2, mean_pool_apply_adaptive };

static bool mean_pool_sample(int i, td_sample *s)
{
	if (i >= 8)
		return false;
	s->apply = mean_pool_applies[i / 2];
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, pool_samples[TD_MIN(i / 2, 2)].x);
	s->in[0].shape.order = i % 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = true;
	return true;
}

TD_OP(mean_pool, .n_in = 1, .n_out = 1, .attrs_size = sizeof(mean_pool_attrs), .infer = mean_pool_infer,
	.forward = { mean_pool_forward }, .backward = mean_pool_backward, .sample = mean_pool_sample)

/* torch.nn.functional.avg_pool2d: x [N, C, H, W] -> [N, C, (H + 2 padding - kernel) / stride + 1, ...], channels-last.
 */
TD_API td_value *td_avg_pool2d(td_ctx *c, td_value *x, const td_pool2d_attrs *attrs)
{
	mean_pool_attrs a = { .ceil_mode = attrs->ceil_mode, .count_include_pad = attrs->count_include_pad };

	memcpy(a.kernel, attrs->kernel, sizeof a.kernel);
	memcpy(a.stride, attrs->stride, sizeof a.stride);
	memcpy(a.padding, attrs->padding, sizeof a.padding);
	return x ? TD_APPLY(c, mean_pool, &a, ops_channels_last(c, x)) : NULL;
}

/* torch.nn.functional.adaptive_avg_pool2d: x [N, C, H, W] -> [N, C, HEIGHT, WIDTH], channels-last. */
TD_API td_value *td_adaptive_avg_pool2d(td_ctx *c, td_value *x, int64_t height, int64_t width)
{
	mean_pool_attrs a = { .size = { height, width } };

	if (height < 1 || width < 1)
		return td_fail(c, TD_INVALID, "an adaptive pool needs a size of at least 1 x 1, not %lld x %lld",
			(long long)height, (long long)width);
	return x ? TD_APPLY(c, mean_pool, &a, ops_channels_last(c, x)) : NULL;
}

/* ---- mean_pool_dx: dy spread evenly over each rectangle; only the shape of x is read ----------------------------- */

static void mean_pool_dx_infer(td_infer *q)
{
	td_shape y;

	if (!mean_pool_legal(q, q->in[1]))
		return;
	y = mean_pooled(q->attrs, q->in[1]);
	if (!td_shape_same(q->in[0], &y)) {
		char ty[TD_SHAPE_TEXT], tx[TD_SHAPE_TEXT];
		td_fail(q->ctx, TD_SHAPE, "mean_pool_dx needs dy %s, not %s", td_shape_text(&y, ty),
			td_shape_text(q->in[0], tx));
		return;
	}
	q->out[0] = *q->in[1];
	q->out[0].order = TD_CHANNELS_LAST;
	q->workspace = spans_bytes(&y);
}

static void mean_pool_dx_image(void *arg, int n)
{
	const struct mean_pool *p = arg;
	int64_t count = p->channels * p->height * p->width;

	memset(at(p->to, n * count, p->size), 0, (size_t)count * p->size);
	TD_PICK(p->dtype, k_mean_pool_dx)
	(at(p->to, n * count, p->size), at_const(p->from, n * p->channels * p->n[0] * p->n[1], p->size), p->channels,
		p->width, p->span[0], p->n[0], p->span[1], p->n[1]);
}

static void mean_pool_dx_forward(const td_call *call)
{
	struct mean_pool p;

	mean_pool_init(&p, call->attrs, call->in[1].shape, call->workspace);
	p.from = call->in[0].data;
	p.to = call->out[0].data;
	if (td_shape_count(call->out[0].shape))
		threads_run(call->threads, (int)call->in[1].shape->dim[0], mean_pool_dx_image, &p);
}

/* Linear in dy. */
static void mean_pool_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = TD_APPLY(c, mean_pool, n->attrs, ops_channels_last(c, dy[0]));
}

static td_value *mean_pool_dx_apply(td_ctx *c, td_value *const *in)
{
	mean_pool_attrs a = { .kernel = { 3, 3 }, .stride = { 2, 2 }, .padding = { 1, 1 }, .ceil_mode = 1 };

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

TD_OP(mean_pool_dx, .n_in = 2, .n_out = 1, .shape_only = 2, .attrs_size = sizeof(mean_pool_attrs),
	.infer = mean_pool_dx_infer, .forward = { mean_pool_dx_forward }, .backward = mean_pool_dx_backward,
	.sample = mean_pool_dx_sample)

/* ATTRS: of the mean_pool that made y. */
TD_API td_value *td_mean_pool_dx(td_ctx *c, td_value *dy, td_value *x, const void *attrs)
{
	return dy && x ? TD_APPLY(c, mean_pool_dx, attrs, ops_channels_last(c, dy), x) : NULL;
}
