/* 2-d transposed convolution: the gradient of a convolution by its images, as an operation of its own.  The kernels are
 * those of conv2d_dx; what is new is the size of the result, which the attributes say, and the bias. */
#include "ops/ops.h"

#include "td_ops.h"

extern const td_op td_op_conv2d_dx; /* ops/conv.c */

typedef struct conv_transpose2d_attrs {
	td_conv2d_attrs conv; /* the convolution whose gradient this is; first, for it stands in for these */
	int64_t output_padding[2];
} conv_transpose2d_attrs;

static const td_field conv_transpose2d_fields[] = { TD_FIELDS(conv_transpose2d_attrs, conv.stride),
	TD_FIELDS(conv_transpose2d_attrs, conv.padding), TD_FIELDS(conv_transpose2d_attrs, conv.dilation),
	TD_FIELD(conv_transpose2d_attrs, conv.groups), TD_FIELDS(conv_transpose2d_attrs, conv.padding_more),
	TD_FIELD(conv_transpose2d_attrs, conv.same), TD_FIELDS(conv_transpose2d_attrs, output_padding), { 0 } };

/* Size of the result along axis I: what a convolution would have to read to give X's. */
static int64_t result_size(const conv_transpose2d_attrs *a, const td_shape *x, const td_shape *w, int i)
{
	if (a->conv.same)
		return x->dim[2 + i] * a->conv.stride[i];
	return (x->dim[2 + i] - 1) * a->conv.stride[i] - 2 * a->conv.padding[i] - a->conv.padding_more[i] +
	       TD_MAX(a->conv.dilation[i], 1) * (w->dim[2 + i] - 1) + a->output_padding[i] + 1;
}

static bool conv_transpose_legal(td_infer *q, const conv_transpose2d_attrs *a, const td_shape *x, const td_shape *w)
{
	char tx[TD_SHAPE_TEXT], tw[TD_SHAPE_TEXT];
	int64_t groups = TD_MAX(a->conv.groups, 1);

	td_shape_text(x, tx);
	td_shape_text(w, tw);
	if (x->rank != 4 || w->rank != 4) {
		td_fail(q->ctx, TD_SHAPE,
			"conv_transpose2d needs images [N, C, H, W] and a weight [I, O, kh, kw], not %s and %s", tx,
			tw);
		return false;
	}
	if (x->dim[1] != w->dim[0] || w->dim[0] % groups) {
		td_fail(q->ctx, TD_SHAPE,
			"conv_transpose2d: the images %s have %lld channels, the weight %s takes %lld, which the %lld "
			"groups must divide",
			tx, (long long)x->dim[1], tw, (long long)w->dim[0], (long long)groups);
		return false;
	}
	for (int i = 0; i < 2; i++) {
		if (!ops_need_countable(q, "conv_transpose2d",
			    (int64_t[]){ x->dim[2 + i], w->dim[2 + i], a->conv.stride[i], a->conv.padding[i],
				    a->conv.padding_more[i], a->conv.dilation[i], a->output_padding[i], groups },
			    8))
			return false;
		if (a->conv.stride[i] < 1 || a->conv.padding[i] < 0 || a->conv.dilation[i] < 0 || w->dim[2 + i] < 1 ||
			a->output_padding[i] < 0 || a->output_padding[i] >= a->conv.stride[i] ||
			(a->conv.same && a->output_padding[i])) {
			td_fail(q->ctx, TD_INVALID,
				"conv_transpose2d needs a kernel, a stride and a dilation of at least 1, a padding of "
				"at least 0, and an output_padding from 0 to less than the stride (0 with \"same\"), "
				"not %lldx%lld",
				(long long)a->output_padding[0], (long long)a->output_padding[1]);
			return false;
		}
		if (x->dim[2 + i] < 1 || result_size(a, x, w, i) < 1) {
			td_fail(q->ctx, TD_SHAPE,
				"conv_transpose2d: nothing is left of the images %s with the weight %s and a padding "
				"of %lldx%lld; use less padding or a larger kernel",
				tx, tw, (long long)a->conv.padding[0], (long long)a->conv.padding[1]);
			return false;
		}
	}
	return true;
}

static td_shape result_shape(const conv_transpose2d_attrs *a, const td_shape *x, const td_shape *w)
{
	return (td_shape){ .dtype = x->dtype,
		.order = TD_CHANNELS_LAST,
		.rank = 4,
		.dim = { x->dim[0], w->dim[1] * TD_MAX(a->conv.groups, 1), result_size(a, x, w, 0),
			result_size(a, x, w, 1) } };
}

/* ---- conv_transpose2d: y[n, o, p*stride+r-padding, q*stride+s-padding] += x[n,i,p,q] w[i,o,r,s] over all i, p, q, r
 * and s, and bias[o], as torch.nn.ConvTranspose2d */

static void conv_transpose2d_infer(td_infer *q)
{
	const conv_transpose2d_attrs *a = q->attrs;
	td_shape y, bias, again = { 0 };

	if (!ops_need_float(q, "conv_transpose2d") || !conv_transpose_legal(q, a, q->in[0], q->in[1]))
		return;
	y = result_shape(a, q->in[0], q->in[1]);
	bias = (td_shape){ .dtype = y.dtype, .rank = 1, .dim = { y.dim[1] } };
	if (!ops_need_like(q, "conv_transpose2d", 2, &bias))
		return;
	q->out[0] = y;
	td_infer dx = { .ctx = q->ctx,
		.attrs = &a->conv,
		.in = (const td_shape *[]){ q->in[0], q->in[1], &y },
		.n_in = 3,
		.out = &again };
	td_op_conv2d_dx.infer(&dx);
	q->workspace = dx.workspace;
}

/* CALL as conv2d_dx has it: the weight as it is, and the result's shape in place of the images'. */
static td_call as_conv2d_dx(const td_call *call)
{
	td_call dx = *call;

	dx.attrs = &((const conv_transpose2d_attrs *)call->attrs)->conv;
	dx.in[2] = (td_view){ .shape = call->out[0].shape };
	return dx;
}

static void *conv_transpose2d_prepare(const td_call *call)
{
	td_call dx = as_conv2d_dx(call);

	return td_op_conv2d_dx.prepare ? td_op_conv2d_dx.prepare(&dx) : NULL;
}

static void conv_transpose2d_release(void *handle)
{
	if (td_op_conv2d_dx.release)
		td_op_conv2d_dx.release(handle);
}

static void conv_transpose2d_forward(const td_call *call)
{
	td_call dx = as_conv2d_dx(call);
	td_dtype d = call->out[0].shape->dtype;
	size_t size = td_dtype_size(d);
	td_shape bias;

	if (!td_shape_count(call->out[0].shape))
		return;
	td_op_conv2d_dx.forward[TD_CPU](&dx);
	if (!call->in[2].data)
		return;
	bias = (td_shape){ .dtype = d, .rank = 3, .dim = { call->out[0].shape->dim[1], 1, 1 } };
	ops_rows(call, TD_PICK(d, k_add), &call->out[0], &call->out[0], &(td_view){ &bias, call->in[2].data },
		(size_t[]){ size, size, size });
}

/* Linear in x and in w, as conv2d_dx is. */
static void conv_transpose2d_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const conv_transpose2d_attrs *a = n->attrs;

	if (td_wants(n, 0))
		dx[0] = td_conv2d(c, dy[0], n->in[1], NULL, &a->conv);
	if (td_wants(n, 1))
		dx[1] = td_conv2d_dw(c, n->in[0], dy[0], n->in[1], &a->conv);
	if (td_wants(n, 2))
		dx[2] = td_sum(c, dy[0], 1 | 4 | 8, false);
}

static const struct {
	int64_t x[4], w[4];
	td_conv2d_attrs attrs;
	int64_t output_padding[2];
} conv_transpose_samples[] = {
	{ { 2, 3, 4, 5 }, { 3, 4, 3, 3 }, { .stride = { 1, 1 }, .padding = { 1, 1 } }, { 0, 0 } },
	{ { 2, 2, 3, 3 }, { 2, 1, 4, 4 }, { .stride = { 2, 2 }, .padding = { 1, 1 } }, { 0, 0 } },
	{ { 3, 2, 2, 3 }, { 2, 3, 2, 3 }, { .stride = { 3, 2 }, .padding = { 0, 1 } }, { 2, 1 } },
	{ { 2, 4, 3, 2 }, { 4, 3, 2, 3 }, { .stride = { 1, 2 }, .dilation = { 2, 1 }, .groups = 2 }, { 0, 1 } },
	{ { 19, 1, 1, 2 }, { 1, 1, 1, 1 }, { .stride = { 2, 1 } }, { 1, 0 } },
	{ { 0, 2, 3, 3 }, { 2, 2, 2, 2 }, { .stride = { 2, 2 } }, { 0, 0 } },
	{ { 2, 2, 3, 4 }, { 2, 3, 5, 2 }, { .stride = { 2, 3 }, .same = true }, { 0, 0 } },
};

#define CONV_TRANSPOSE_APPLY(k)                                                                                        \
	static td_value *conv_transpose2d_apply_##k(td_ctx *c, td_value *const *in)                                    \
	{                                                                                                              \
		return td_conv_transpose2d(c, in[0], in[1], in[2], &conv_transpose_samples[k].attrs,                   \
			conv_transpose_samples[k].output_padding);                                                     \
	}
CONV_TRANSPOSE_APPLY(0)
CONV_TRANSPOSE_APPLY(1)
CONV_TRANSPOSE_APPLY(2)
CONV_TRANSPOSE_APPLY(3)
CONV_TRANSPOSE_APPLY(4)
CONV_TRANSPOSE_APPLY(5)
CONV_TRANSPOSE_APPLY(6)

static bool conv_transpose2d_sample(int i, td_sample *s)
{
	static td_value *(*const applies[])(td_ctx *, td_value *const *) = { conv_transpose2d_apply_0,
		conv_transpose2d_apply_1, conv_transpose2d_apply_2, conv_transpose2d_apply_3, conv_transpose2d_apply_4,
		conv_transpose2d_apply_5, conv_transpose2d_apply_6 };
	int k = i / 2;

	if (k >= (int)TD_COUNT(applies))
		return false;
	s->apply = applies[k];
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, conv_transpose_samples[k].x);
	ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 4, conv_transpose_samples[k].w);
	s->in[0].batched = true;
	if (i % 2) { /* as a job has it: everything channels-last, and a bias */
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32,
			conv_transpose_samples[k].w[1] * TD_MAX(conv_transpose_samples[k].attrs.groups, 1));
		s->in[0].shape.order = s->in[1].shape.order = TD_CHANNELS_LAST;
	}
	return true;
}

TD_OP(conv_transpose2d, .n_in = 3, .n_out = 1, .optional = 4, .attrs_size = sizeof(conv_transpose2d_attrs),
	.fields = conv_transpose2d_fields, .infer = conv_transpose2d_infer, .prepare = conv_transpose2d_prepare,
	.release = conv_transpose2d_release, .forward = { conv_transpose2d_forward },
	.backward = conv_transpose2d_backward, .sample = conv_transpose2d_sample)

/* x [N, I, H, W], w [I, O / groups, kh, kw], bias [O] or NULL -> [N, O, (H - 1) stride - 2 padding +
 * dilation (kh - 1) + output_padding + 1, ...], channels-last.  With "same", H stride.  OUTPUT_PADDING:
 * height and width, each less than the stride; NULL: 0. */
TD_API td_value *td_conv_transpose2d(td_ctx *c, td_value *x, td_value *w, td_value *bias, const td_conv2d_attrs *attrs,
	const int64_t *output_padding)
{
	conv_transpose2d_attrs a = { .conv = *attrs };

	if (output_padding)
		memcpy(a.output_padding, output_padding, sizeof a.output_padding);
	return x && w ? TD_APPLY(c, conv_transpose2d, &a, ops_channels_last(c, x), ops_channels_last(c, w), bias)
		      : NULL;
}
