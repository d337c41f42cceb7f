/* 2-d convolution (cross-correlation, as torch.nn.functional.conv2d).
 *
 * Images lie channels-last, [N, H, W, C] in memory, and so do weights, [O, kh, kw, I].  Images are independent, so the
 * work is cut by image, into a number of slices that follows from the batch alone; the weights' gradient is a sum over
 * images, and the slices' partial sums are added in order.  A slice goes one of three ways, by its sizes alone:
 *
 *   oneDNN     float32 where its table says so (kernels/dnn.h)
 *   patches    all else: an image becomes patches, [pixels, kh kw I], and a matrix product does the rest
 *   plain      loops, where the table says oneDNN and it has nothing for this processor */
#include "ops/conv.h"

#include "td_ops.h"

static const td_field conv2d_fields[] = { TD_FIELDS(td_conv2d_attrs, stride), TD_FIELDS(td_conv2d_attrs, padding),
	TD_FIELDS(td_conv2d_attrs, padding_more), TD_FIELDS(td_conv2d_attrs, dilation),
	TD_FIELD(td_conv2d_attrs, groups), TD_FIELD(td_conv2d_attrs, same), { 0 } };

/* ---- conv2d: y[n,o,p,q] = bias[o] + sum over i,r,s of x[n, i, p*stride+r-padding, q*stride+s-padding] w[o,i,r,s] */

static void conv2d_infer(td_infer *q)
{
	char tb[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];
	struct conv v;

	if (!ops_need_float(q, "conv2d") || !conv_legal(q, q->attrs, q->in[0], q->in[1]))
		return;
	conv_init(&v, q->attrs, q->in[0], q->in[1]);
	if (q->in[2] && (q->in[2]->rank != 1 || q->in[2]->dim[0] != v.out_channels)) {
		td_fail(q->ctx, TD_SHAPE,
			"conv2d: the bias needs one entry for each of the %lld output channels of the weight %s, and "
			"is %s",
			(long long)v.out_channels, td_shape_text(q->in[1], tw), td_shape_text(q->in[2], tb));
		return;
	}
	conv_result_shape(&v, &q->out[0]);
	q->workspace = conv_workspace(&v, DNN_FORWARD);
}

static const void *weight_of(const struct conv *v, int64_t g)
{
	return at_const(v->weight, g * v->out_group * v->patch, v->size);
}

/* Image N of IMAGES, or of results, from the first channel of group G on. */
static void *image_of(const struct conv *v, const char *images, int64_t n, int64_t g)
{
	return at((char *)images, n * conv_image_elements(v) + g * v->w.channels, v->size);
}

static void *result_of(const struct conv *v, const char *results, int64_t n, int64_t g)
{
	return at((char *)results, n * conv_result_elements(v) + g * v->out_group, v->size);
}

/* Call FN for every image of SLICE and every group. */
static void each_image(
	const struct conv *v, int slice, void (*fn)(const struct conv *v, int slice, int64_t n, int64_t g))
{
	int64_t from = slice * v->per_slice, to = TD_MIN(from + v->per_slice, v->batch);

	for (int64_t n = from; n < to; n++)
		for (int64_t g = 0; g < v->groups; g++)
			fn(v, slice, n, g);
}

static char *patches_of(const struct conv *v, int slice)
{
	return v->scratch + (size_t)slice * conv_patch_bytes(v);
}

static void conv2d_plain(const struct conv *v, int slice, int64_t n, int64_t g)
{
	(void)slice;
	TD_PICK(v->dtype, k_convolve)
	(result_of(v, v->y, n, g), image_of(v, v->x, n, g), weight_of(v, g),
		at_const(v->bias, g * v->out_group, v->size), &v->w, v->out_group, v->out_channels);
}

static void conv2d_patches(const struct conv *v, int slice, int64_t n, int64_t g)
{
	if (!g)
		TD_PICK(v->dtype, k_fill_rows)(result_of(v, v->y, n, 0), v->bias, v->pixels, v->out_channels);
	TD_PICK(v->dtype, k_im2col)(patches_of(v, slice), image_of(v, v->x, n, g), &v->w);
	TD_PICK(v->dtype, k_gemm)
	(false, true, v->pixels, v->out_group, v->patch, patches_of(v, slice), v->patch, weight_of(v, g), v->patch, 1,
		result_of(v, v->y, n, g), v->out_channels);
}

static void conv2d_slice(void *arg, int slice)
{
	const struct conv *v = arg;

	if (v->dnn)
		dnn_conv_slice(v->dnn, slice, conv_slice_of(v, v->x, conv_image_elements(v), slice), v->scratch,
			(void *)v->bias, conv_slice_of(v, v->y, conv_result_elements(v), slice));
	else
		each_image(v, slice, v->plain ? conv2d_plain : conv2d_patches);
}

static void *conv2d_prepare(const td_call *call)
{
	struct conv v;

	conv_init(&v, call->attrs, call->in[0].shape, call->in[1].shape);
	return conv_prepare(&v, DNN_FORWARD, call->in[2].shape);
}

static void conv2d_forward(const td_call *call)
{
	struct conv v;

	conv_init(&v, call->attrs, call->in[0].shape, call->in[1].shape);
	v.x = call->in[0].data;
	v.weight = call->in[1].data;
	v.bias = call->in[2].data;
	v.y = call->out[0].data;
	conv_run(&v, call, DNN_FORWARD, conv2d_slice);
}

static void conv2d_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_conv2d_dx(c, dy[0], n->in[1], n->in[0], n->attrs);
	if (td_wants(n, 1))
		dx[1] = td_conv2d_dw(c, dy[0], n->in[0], n->in[1], n->attrs);
	if (td_wants(n, 2))
		dx[2] = td_sum(c, dy[0], 1 | 4 | 8, false);
}

static const struct {
	int64_t x[4], w[4];
	td_conv2d_attrs attrs;
} conv_samples[] = {
	{ { 2, 3, 6, 5 }, { 4, 3, 3, 3 },
		{ .stride = { 1, 1 }, .padding = { 1, 1 }, .dilation = { 1, 1 }, .groups = 1 } },
	{ { 2, 1, 7, 7 }, { 3, 1, 3, 2 }, { .stride = { 2, 1 }, .padding = { 0, 1 } } },
	{ { 3, 2, 5, 4 }, { 5, 2, 1, 1 }, { .stride = { 2, 2 } } },
	{ { 1, 1, 3, 3 }, { 1, 1, 5, 5 }, { .stride = { 1, 1 }, .padding = { 2, 2 } } },
	{ { 19, 2, 6, 6 }, { 3, 2, 2, 3 }, { .stride = { 3, 2 }, .padding = { 2, 0 } } },
	{ { 2, 4, 7, 6 }, { 6, 2, 3, 2 },
		{ .stride = { 1, 2 }, .padding = { 1, 1 }, .dilation = { 2, 3 }, .groups = 2 } },
	{ { 3, 3, 5, 5 }, { 3, 1, 3, 3 }, { .stride = { 1, 1 }, .groups = 3 } },
	{ { 2, 2, 5, 4 }, { 3, 2, 2, 3 }, { .stride = { 1, 1 }, .padding = { 1, 2 }, .padding_more = { 1, -2 } } },
	{ { 2, 2, 5, 7 }, { 2, 2, 2, 4 }, { .stride = { 1, 2 }, .same = true } },
	{ { 9, 3, 9, 8 }, { 10, 3, 3, 2 }, { .stride = { 1, 1 }, .same = true } }, /* all three passes through oneDNN */
	{ { 0, 2, 4, 4 }, { 3, 2, 3, 3 }, { .stride = { 1, 1 } } },
};

#define CONV_APPLY(k)                                                                                                  \
	static td_value *conv2d_apply_##k(td_ctx *c, td_value *const *in)                                              \
	{                                                                                                              \
		return td_conv2d(c, in[0], in[1], in[2], &conv_samples[k].attrs);                                      \
	}                                                                                                              \
	static td_value *conv2d_dx_apply_##k(td_ctx *c, td_value *const *in)                                           \
	{                                                                                                              \
		return td_conv2d_dx(c, in[0], in[1], in[2], &conv_samples[k].attrs);                                   \
	}                                                                                                              \
	static td_value *conv2d_dw_apply_##k(td_ctx *c, td_value *const *in)                                           \
	{                                                                                                              \
		return td_conv2d_dw(c, in[0], in[1], in[2], &conv_samples[k].attrs);                                   \
	}
CONV_APPLY(0)
CONV_APPLY(1)
CONV_APPLY(2)
CONV_APPLY(3)
CONV_APPLY(4)
CONV_APPLY(5)
CONV_APPLY(6)
CONV_APPLY(7)
CONV_APPLY(8)
CONV_APPLY(9)
CONV_APPLY(10)
static td_value *(*const conv2d_applies[3][TD_COUNT(conv_samples)])(td_ctx *, td_value *const *) = {
	{ conv2d_apply_0, conv2d_apply_1, conv2d_apply_2, conv2d_apply_3, conv2d_apply_4, conv2d_apply_5,
		conv2d_apply_6, conv2d_apply_7, conv2d_apply_8, conv2d_apply_9, conv2d_apply_10 },
	{ conv2d_dx_apply_0, conv2d_dx_apply_1, conv2d_dx_apply_2, conv2d_dx_apply_3, conv2d_dx_apply_4,
		conv2d_dx_apply_5, conv2d_dx_apply_6, conv2d_dx_apply_7, conv2d_dx_apply_8, conv2d_dx_apply_9,
		conv2d_dx_apply_10 },
	{ conv2d_dw_apply_0, conv2d_dw_apply_1, conv2d_dw_apply_2, conv2d_dw_apply_3, conv2d_dw_apply_4,
		conv2d_dw_apply_5, conv2d_dw_apply_6, conv2d_dw_apply_7, conv2d_dw_apply_8, conv2d_dw_apply_9,
		conv2d_dw_apply_10 },
};

static bool conv2d_sample(int i, td_sample *s)
{
	int k = i / 2;

	if (k >= (int)TD_COUNT(conv_samples))
		return false;
	s->apply = conv2d_applies[0][k];
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, conv_samples[k].x);
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, conv_samples[k].w);
	s->in[0].batched = true;
	if (i % 2) { /* as a job has it: everything channels-last, and a bias */
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, conv_samples[k].w[0]);
		s->in[0].shape.order = s->in[1].shape.order = TD_CHANNELS_LAST;
	}
	return true;
}

TD_OP(conv2d, .n_in = 3, .n_out = 1, .optional = 4, .attrs_size = sizeof(td_conv2d_attrs), .infer = conv2d_infer,
	.fields = conv2d_fields, .prepare = conv2d_prepare, .release = conv_release, .forward = { conv2d_forward },
	.backward = conv2d_backward, .sample = conv2d_sample)

/* x [N, I, H, W], w [O, I / groups, kh, kw], bias [O] or NULL -> [N, O, (H + 2 padding - dilation (kh - 1) - 1) /
 * stride + 1, ...], channels-last.
 */
TD_API td_value *td_conv2d(td_ctx *c, td_value *x, td_value *w, td_value *bias, const td_conv2d_attrs *attrs)
{
	return x && w ? TD_APPLY(c, conv2d, attrs, ops_channels_last(c, x), ops_channels_last(c, w), bias) : NULL;
}

/* ---- conv2d_dx: the gradient of conv2d by its images, from dy and w; only the shape of x is read ----------------- */

static void conv2d_dx_infer(td_infer *q)
{
	struct conv v;
	td_shape y;

	if (!ops_need_float(q, "conv2d_dx") || !conv_legal(q, q->attrs, q->in[2], q->in[1]))
		return;
	conv_init(&v, q->attrs, q->in[2], q->in[1]);
	conv_result_shape(&v, &y);
	if (!ops_need_like(q, "conv2d_dx", 0, &y))
		return;
	q->out[0] = *q->in[2];
	q->out[0].order = TD_CHANNELS_LAST;
	q->workspace = conv_workspace(&v, DNN_BY_DATA);
}

static void conv2d_dx_plain(const struct conv *v, int slice, int64_t n, int64_t g)
{
	(void)slice;
	TD_PICK(v->dtype, k_convolve_dx)
	(image_of(v, v->dx, n, g), result_of(v, v->dy, n, g), weight_of(v, g), &v->w, v->out_group, v->out_channels);
}

static void conv2d_dx_patches(const struct conv *v, int slice, int64_t n, int64_t g)
{
	if (!g)
		memset(image_of(v, v->dx, n, 0), 0, (size_t)conv_image_elements(v) * v->size);
	TD_PICK(v->dtype, k_gemm)
	(false, false, v->pixels, v->patch, v->out_group, result_of(v, v->dy, n, g), v->out_channels, weight_of(v, g),
		v->patch, 0, patches_of(v, slice), v->patch);
	TD_PICK(v->dtype, k_col2im)(image_of(v, v->dx, n, g), patches_of(v, slice), &v->w);
}

static void conv2d_dx_slice(void *arg, int slice)
{
	const struct conv *v = arg;

	if (v->dnn)
		dnn_conv_slice(v->dnn, slice, conv_slice_of(v, v->dx, conv_image_elements(v), slice), v->scratch, NULL,
			conv_slice_of(v, v->dy, conv_result_elements(v), slice));
	else
		each_image(v, slice, v->plain ? conv2d_dx_plain : conv2d_dx_patches);
}

static void *conv2d_dx_prepare(const td_call *call)
{
	struct conv v;

	conv_init(&v, call->attrs, call->in[2].shape, call->in[1].shape);
	return conv_prepare(&v, DNN_BY_DATA, false);
}

static void conv2d_dx_forward(const td_call *call)
{
	struct conv v;

	conv_init(&v, call->attrs, call->in[2].shape, call->in[1].shape);
	v.dy = call->in[0].data;
	v.weight = call->in[1].data;
	v.dx = call->out[0].data;
	conv_run(&v, call, DNN_BY_DATA, conv2d_dx_slice);
}

/* Linear in dy and in w: with g the gradient of dx, d(dy) = conv2d(g, w) and d(w) = conv2d_dw(dy, g). */
static void conv2d_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_conv2d(c, dy[0], n->in[1], NULL, n->attrs);
	if (td_wants(n, 1))
		dx[1] = td_conv2d_dw(c, n->in[0], dy[0], n->in[1], n->attrs);
}

/* Inputs of the gradient ops: dy in the shape of the result, then what the op reads, then a shape. */
static void sample_conv(int i, td_sample *s, bool reads_weight)
{
	struct conv v;
	td_shape x = { .dtype = TD_F32, .rank = 4 }, w = x, y;

	memcpy(x.dim, conv_samples[i].x, sizeof conv_samples[i].x);
	memcpy(w.dim, conv_samples[i].w, sizeof conv_samples[i].w);
	conv_init(&v, &conv_samples[i].attrs, &x, &w);
	conv_result_shape(&v, &y);
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, y.dim);
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, reads_weight ? w.dim : x.dim);
	ops_sample_input(s, TD_FILL_ONES, TD_F32, 4, reads_weight ? x.dim : w.dim);
	s->in[2].fixed = true;
	s->in[0].batched = true;
	s->in[reads_weight ? 2 : 1].batched = true;
}

static bool conv2d_dx_sample(int i, td_sample *s)
{
	if (i >= (int)TD_COUNT(conv_samples))
		return false;
	s->apply = conv2d_applies[1][i];
	sample_conv(i, s, true);
	return true;
}

TD_OP(conv2d_dx, .n_in = 3, .n_out = 1, .shape_only = 4, .attrs_size = sizeof(td_conv2d_attrs),
	.infer = conv2d_dx_infer, .fields = conv2d_fields, .prepare = conv2d_dx_prepare, .release = conv_release,
	.forward = { conv2d_dx_forward }, .backward = conv2d_dx_backward, .sample = conv2d_dx_sample)

TD_API td_value *td_conv2d_dx(td_ctx *c, td_value *dy, td_value *w, td_value *x, const td_conv2d_attrs *attrs)
{
	return dy && w && x ? TD_APPLY(c, conv2d_dx, attrs, ops_channels_last(c, dy), ops_channels_last(c, w), x)
			    : NULL;
}

/* ---- conv2d_dw: the gradient of conv2d by its weight, from dy and x; only the shape of w is read ----------------- */

static void conv2d_dw_infer(td_infer *q)
{
	struct conv v;
	td_shape y;

	if (!ops_need_float(q, "conv2d_dw") || !conv_legal(q, q->attrs, q->in[1], q->in[2]))
		return;
	conv_init(&v, q->attrs, q->in[1], q->in[2]);
	conv_result_shape(&v, &y);
	if (!ops_need_like(q, "conv2d_dw", 0, &y))
		return;
	q->out[0] = *q->in[2];
	q->out[0].order = TD_CHANNELS_LAST;
	q->workspace = conv_workspace(&v, DNN_BY_WEIGHTS);
}

/* The partial sum of SLICE, from group G on. */
static void *partial_of(const struct conv *v, int slice, int64_t g)
{
	return at(v->partials, slice * v->partial + g * v->out_group * v->patch, v->size);
}

static void conv2d_dw_plain(const struct conv *v, int slice, int64_t n, int64_t g)
{
	TD_PICK(v->dtype, k_convolve_dw)
	(partial_of(v, slice, g), result_of(v, v->dy, n, g), image_of(v, v->x, n, g), &v->w, v->out_group,
		v->out_channels, n > slice * v->per_slice);
}

static void conv2d_dw_patches(const struct conv *v, int slice, int64_t n, int64_t g)
{
	TD_PICK(v->dtype, k_im2col)(patches_of(v, slice), image_of(v, v->x, n, g), &v->w);
	TD_PICK(v->dtype, k_gemm)
	(true, false, v->out_group, v->patch, v->pixels, result_of(v, v->dy, n, g), v->out_channels,
		patches_of(v, slice), v->patch, n > slice * v->per_slice, partial_of(v, slice, g), v->patch);
}

static void conv2d_dw_slice(void *arg, int slice)
{
	const struct conv *v = arg;

	if (v->dnn)
		dnn_conv_slice(v->dnn, slice, conv_slice_of(v, v->x, conv_image_elements(v), slice),
			partial_of(v, slice, 0), NULL, conv_slice_of(v, v->dy, conv_result_elements(v), slice));
	else
		each_image(v, slice, v->plain ? conv2d_dw_plain : conv2d_dw_patches);
}

static void *conv2d_dw_prepare(const td_call *call)
{
	struct conv v;

	conv_init(&v, call->attrs, call->in[1].shape, call->in[2].shape);
	return conv_prepare(&v, DNN_BY_WEIGHTS, false);
}

static void conv2d_dw_forward(const td_call *call)
{
	struct conv v;

	conv_init(&v, call->attrs, call->in[1].shape, call->in[2].shape);
	v.dy = call->in[0].data;
	v.x = call->in[1].data;
	v.dw = call->out[0].data;
	conv_run(&v, call, DNN_BY_WEIGHTS, conv2d_dw_slice);
}

static void conv2d_dw_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = td_conv2d(c, n->in[1], dy[0], NULL, n->attrs);
	if (td_wants(n, 1))
		dx[1] = td_conv2d_dx(c, n->in[0], dy[0], n->in[1], n->attrs);
}

static bool conv2d_dw_sample(int i, td_sample *s)
{
	if (i >= (int)TD_COUNT(conv_samples))
		return false;
	s->apply = conv2d_applies[2][i];
	sample_conv(i, s, false);
	return true;
}

TD_OP(conv2d_dw, .n_in = 3, .n_out = 1, .shape_only = 4, .attrs_size = sizeof(td_conv2d_attrs),
	.infer = conv2d_dw_infer, .fields = conv2d_fields, .prepare = conv2d_dw_prepare, .release = conv_release,
	.forward = { conv2d_dw_forward }, .backward = conv2d_dw_backward, .sample = conv2d_dw_sample)

TD_API td_value *td_conv2d_dw(td_ctx *c, td_value *dy, td_value *x, td_value *w, const td_conv2d_attrs *attrs)
{
	return dy && x && w ? TD_APPLY(c, conv2d_dw, attrs, ops_channels_last(c, dy), ops_channels_last(c, x), w)
			    : NULL;
}
