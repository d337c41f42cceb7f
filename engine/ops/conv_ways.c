/* Sizes and ways of a convolution: see conv.h. */
#include "ops/conv.h"

#define SLICES_MOST 8 /* of a batch; each has a patch buffer of its own */

/* Pixels from the first to the last that a window touches along axis I. */
static int64_t reach(const td_conv2d_attrs *a, const td_shape *weight, int i)
{
	return TD_MAX(a->dilation[i], 1) * (weight->dim[2 + i] - 1) + 1;
}

/* Zeros before and after axis I.  "same" gives ceil(size / stride) windows, and the odd zero comes last. */
static void conv_padding(
	const td_conv2d_attrs *a, const td_shape *x, const td_shape *weight, int i, int64_t *begin, int64_t *end)
{
	int64_t size = x->dim[2 + i], windows = (size + a->stride[i] - 1) / a->stride[i], total;

	*begin = a->padding[i];
	*end = a->padding[i] + a->padding_more[i];
	if (!a->same)
		return;
	total = TD_MAX((windows - 1) * a->stride[i] + reach(a, weight, i) - size, 0);
	*begin = total / 2;
	*end = total - total / 2;
}

void conv_init(struct conv *v, const td_conv2d_attrs *a, const td_shape *x, const td_shape *weight)
{
	int64_t out[2];

	*v = (struct conv){
		.batch = x->dim[0], .out_channels = weight->dim[0], .dtype = x->dtype, .size = td_dtype_size(x->dtype)
	};
	v->groups = TD_MAX(a->groups, 1);
	v->out_group = v->out_channels / v->groups;
	v->w = (struct k_window){
		.channels = weight->dim[1], .pixel = x->dim[1], .height = x->dim[2], .width = x->dim[3]
	};
	for (int i = 0; i < 2; i++) {
		v->w.kernel[i] = weight->dim[2 + i];
		v->w.stride[i] = a->stride[i];
		v->w.dilation[i] = TD_MAX(a->dilation[i], 1);
		conv_padding(a, x, weight, i, &v->w.padding[i], &v->padding_end[i]);
		out[i] = (x->dim[2 + i] + v->w.padding[i] + v->padding_end[i] - reach(a, weight, i)) / a->stride[i] + 1;
	}
	v->w.out_height = out[0];
	v->w.out_width = out[1];
	v->pixels = v->w.out_height * v->w.out_width;
	v->patch = v->w.kernel[0] * v->w.kernel[1] * v->w.channels;
	v->per_slice = TD_MAX(1, (v->batch + SLICES_MOST - 1) / SLICES_MOST);
	v->n_slices = (int)TD_MAX(1, (v->batch + v->per_slice - 1) / v->per_slice);
}

size_t conv_patch_bytes(const struct conv *v)
{
	return (size_t)(v->pixels * v->patch) * v->size;
}

size_t conv_weight_bytes(const struct conv *v)
{
	return (size_t)(v->out_channels * v->patch) * v->size;
}

/* ---- Through oneDNN ---------------------------------------------------------------------------------------------- */

static struct dnn_sizes dnn_sizes_of(const struct conv *v, bool bias)
{
	struct dnn_sizes s = { .channels = v->w.pixel,
		.filters = v->out_channels,
		.groups = v->groups,
		.image = { v->w.height, v->w.width },
		.result = { v->w.out_height, v->w.out_width },
		.bias = bias };

	memcpy(s.kernel, v->w.kernel, sizeof s.kernel);
	memcpy(s.stride, v->w.stride, sizeof s.stride);
	memcpy(s.dilation, v->w.dilation, sizeof s.dilation);
	memcpy(s.padding, v->w.padding, sizeof s.padding);
	memcpy(s.padding_end, v->padding_end, sizeof s.padding_end);
	return s;
}

static bool through_dnn(const struct conv *v, enum dnn_pass pass)
{
	struct dnn_sizes s = dnn_sizes_of(v, false);

	return v->dtype == TD_F32 && v->batch && dnn_takes(pass, &s);
}

size_t conv_workspace(const struct conv *v, enum dnn_pass pass)
{
	struct dnn_sizes s = dnn_sizes_of(v, false);
	size_t n_slices = (size_t)v->n_slices;

	if (through_dnn(v, pass))
		return dnn_weights_bytes(&s) * (pass == DNN_BY_WEIGHTS ? n_slices : 1);
	return (conv_patch_bytes(v) + (pass == DNN_BY_WEIGHTS ? conv_weight_bytes(v) : 0)) * n_slices;
}

void *conv_prepare(const struct conv *v, enum dnn_pass pass, bool bias)
{
	struct dnn_sizes s = dnn_sizes_of(v, bias);

	return through_dnn(v, pass) ? dnn_conv_create(pass, &s, v->n_slices, v->per_slice,
					      v->batch - (v->n_slices - 1) * v->per_slice)
				    : NULL;
}

/* Add the slices' partial sums up, the first to the last, into the weights' gradient. */
static void add_partials(const struct conv *v)
{
	for (int s = 1; s < v->n_slices; s++)
		TD_PICK(v->dtype, k_add)
	(v->partials, v->partials, at(v->partials, s * v->partial, v->size), v->partial, 1, 1);
	if (v->dnn)
		dnn_weights_out(v->dnn, v->dw, v->partials);
	else
		memcpy(v->dw, v->partials, conv_weight_bytes(v));
}

void conv_run(struct conv *v, const td_call *call, enum dnn_pass pass, void (*slice)(void *arg, int slice))
{
	if (!td_shape_count(call->out[0].shape))
		return;
	if (!v->batch) {
		memset(call->out[0].data, 0, td_shape_bytes(call->out[0].shape));
		return;
	}
	v->dnn = call->handle;
	v->plain = !v->dnn && through_dnn(v, pass);
	v->scratch = v->partials = call->workspace;
	if (v->dnn && pass != DNN_BY_WEIGHTS)
		dnn_weights_in(v->dnn, v->scratch, v->weight);
	v->partial = v->dnn ? dnn_weights_count(v->dnn) : v->out_channels * v->patch;
	if (!v->dnn && !v->plain)
		v->partials += conv_patch_bytes(v) * (size_t)v->n_slices;
	threads_run(call->threads, v->n_slices, slice, v);
	if (pass == DNN_BY_WEIGHTS)
		add_partials(v);
}

void conv_release(void *handle)
{
	dnn_conv_free(handle);
}

void *conv_slice_of(const struct conv *v, const char *images, int64_t count, int i)
{
	return at((char *)images, i * v->per_slice * count, v->size);
}

int64_t conv_image_elements(const struct conv *v)
{
	return v->w.pixel * v->w.height * v->w.width;
}

int64_t conv_result_elements(const struct conv *v)
{
	return v->pixels * v->out_channels;
}

bool conv_legal(td_infer *q, const td_conv2d_attrs *a, const td_shape *x, const td_shape *w)
{
	char tx[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];
	int64_t groups, begin[2], end[2];

	td_shape_text(x, tx);
	td_shape_text(w, tw);
	if (x->rank != 4 || w->rank != 4) {
		td_fail(q->ctx, TD_SHAPE, "conv2d needs images [N, C, H, W] and a weight [O, I, kh, kw], not %s and %s",
			tx, tw);
		return false;
	}
	for (int i = 0; i < 2; i++)
		if (!ops_need_countable(q, "conv2d",
			    (int64_t[]){ x->dim[2 + i], w->dim[2 + i], a->stride[i], a->padding[i], a->padding_more[i],
				    a->dilation[i], a->groups },
			    7))
			return false;
	groups = TD_MAX(a->groups, 1);
	if (x->dim[1] != w->dim[1] * groups || w->dim[0] % groups) {
		td_fail(q->ctx, TD_SHAPE,
			"conv2d: the images %s have %lld channels, the weight %s takes %lld in each of %lld groups, "
			"which must divide its %lld output channels",
			tx, (long long)x->dim[1], tw, (long long)w->dim[1], (long long)groups, (long long)w->dim[0]);
		return false;
	}
	for (int i = 0; i < 2; i++) {
		if (a->stride[i] < 1 || a->padding[i] < 0 || a->padding[i] + a->padding_more[i] < 0 ||
			w->dim[2 + i] < 1 || a->dilation[i] < 0) {
			td_fail(q->ctx, TD_INVALID,
				"conv2d needs a kernel, a stride and a dilation of at least 1 and a padding of at "
				"least 0");
			return false;
		}
		conv_padding(a, x, w, i, &begin[i], &end[i]);
	}
	for (int i = 0; i < 2; i++) {
		if (reach(a, w, i) > x->dim[2 + i] + begin[i] + end[i]) {
			td_fail(q->ctx, TD_SHAPE,
				"conv2d: the kernel, which reaches over %lldx%lld, is larger than the image %lldx%lld "
				"with its padding of %lldx%lld in all; use a smaller kernel or more padding",
				(long long)reach(a, w, 0), (long long)reach(a, w, 1), (long long)x->dim[2],
				(long long)x->dim[3], (long long)(begin[0] + end[0]), (long long)(begin[1] + end[1]));
			return false;
		}
	}
	return true;
}

void conv_result_shape(const struct conv *v, td_shape *y)
{
	*y = (td_shape){ .dtype = v->dtype,
		.order = TD_CHANNELS_LAST,
		.rank = 4,
		.dim = { v->batch, v->out_channels, v->w.out_height, v->w.out_width } };
}
