/* Padding, and its gradient.  The attributes say how much comes before and after each axis; how the new places are
 * filled is the mode. */
#include "ops/axis_map.h"

#include "td_ops.h"

#define PAD_MOST ((int64_t)1 << 46) /* elements before or after an axis */

typedef struct pad_attrs {
	int64_t before[TD_MAX_RANK], after[TD_MAX_RANK]; /* elements, by axis; of a constant padding also negative */
	int64_t mode;                                    /* td_pad_mode */
	double value;                                    /* of a constant padding */
} pad_attrs;

static const td_field pad_fields[] = { TD_FIELDS(pad_attrs, before), TD_FIELDS(pad_attrs, after),
	TD_FIELD(pad_attrs, mode), TD_FIELD(pad_attrs, value), { 0 } };

static uint32_t padded_axes(const pad_attrs *a)
{
	uint32_t axes = 0;

	for (int i = 0; i < TD_MAX_RANK; i++)
		axes |= a->before[i] || a->after[i] ? 1u << i : 0;
	return axes;
}

/* The shape of x, padded, into Y. */
static bool pad_shape(td_infer *q, const td_shape *x, td_shape *y)
{
	static const char *const limits[] = {
		[TD_PAD_CONSTANT] = "a size of at least 0",
		[TD_PAD_REFLECT] = "fewer elements of padding than the axis has",
		[TD_PAD_REPLICATE] = "an axis that is not empty",
		[TD_PAD_CIRCULAR] = "at most as many elements of padding as the axis has",
	};
	const pad_attrs *a = q->attrs;
	char text[TD_SHAPE_TEXT];

	*y = *x;
	for (int i = 0; i < 2 * TD_MAX_RANK; i++) {
		int64_t amount = i % 2 ? a->after[i / 2] : a->before[i / 2];

		if (amount >= -PAD_MOST && amount <= PAD_MOST)
			continue;
		td_fail(q->ctx, TD_TOO_LARGE, "pad: %lld elements are more than any memory holds", (long long)amount);
		return false;
	}
	if (a->mode < 0 || (size_t)a->mode >= TD_COUNT(limits)) {
		td_fail(q->ctx, TD_INVALID, "pad: there is no mode %d", (int)a->mode);
		return false;
	}
	for (int i = 0; i < x->rank; i++) {
		int64_t most = TD_MAX(a->before[i], a->after[i]), least = TD_MIN(a->before[i], a->after[i]);
		bool legal = a->mode == TD_PAD_CONSTANT || (!most && !least);

		y->dim[i] += a->before[i] + a->after[i];
		legal |= a->mode == TD_PAD_REFLECT && most < x->dim[i];
		legal |= a->mode == TD_PAD_REPLICATE && x->dim[i] > 0;
		legal |= a->mode == TD_PAD_CIRCULAR && most <= x->dim[i];
		if (legal && y->dim[i] >= 0 && (a->mode == TD_PAD_CONSTANT || least >= 0))
			continue;
		td_fail(q->ctx, TD_SHAPE, "pad: %s cannot be padded by %lld and %lld along axis %d; that takes %s%s",
			td_shape_text(x, text), (long long)a->before[i], (long long)a->after[i], i, limits[a->mode],
			a->mode == TD_PAD_CONSTANT ? "" : ", and no negative amounts");
		return false;
	}
	return true;
}

struct pad_place {
	const pad_attrs *attrs;
	const td_shape *x;
};

/* Where element I of the padded axis comes from. */
static int64_t pad_place(const void *arg, int axis, int64_t i)
{
	const struct pad_place *p = arg;
	int64_t n = p->x->dim[axis], from = i - p->attrs->before[axis];

	switch (p->attrs->mode) {
	case TD_PAD_REFLECT: return from < 0 ? -from : from >= n ? 2 * (n - 1) - from : from;
	case TD_PAD_REPLICATE: return TD_MAX(0, TD_MIN(from, n - 1));
	case TD_PAD_CIRCULAR: return from < 0 ? from + n : from >= n ? from - n : from;
	default: return from < 0 || from >= n ? -1 : from;
	}
}

static void pad_maps(const td_call *call, struct axis_maps *m, const td_shape *y, const td_shape *x)
{
	axis_maps_fill(
		m, call->workspace, y, padded_axes(call->attrs), pad_place, &(struct pad_place){ call->attrs, x });
}

/* ---- pad: y = x with more, or fewer, elements before and after each axis ----------------------------------------- */

static void pad_infer(td_infer *q)
{
	if (!pad_shape(q, q->in[0], &q->out[0]))
		return;
	q->workspace = axis_maps_bytes(&q->out[0], padded_axes(q->attrs));
}

static void pad_forward(const td_call *call)
{
	uint64_t fill = 0;
	struct axis_maps m;

	k_convert((int)call->out[0].shape->dtype, TD_F64, &fill, &((const pad_attrs *)call->attrs)->value, 1, 1);
	pad_maps(call, &m, call->out[0].shape, call->in[0].shape);
	axis_take(call, &call->out[0], &call->in[0], &m, &fill);
}

static td_value *pad_by(td_ctx *c, td_value *x, const pad_attrs *a);

/* Of a constant padding: what was added is cut off, and zeros come back where something was cut off. */
static void pad_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	pad_attrs a = *(const pad_attrs *)n->attrs;

	if (a.mode != TD_PAD_CONSTANT) {
		dx[0] = td_pad_dx(c, dy[0], n->in[0], n->attrs);
		return;
	}
	for (int i = 0; i < TD_MAX_RANK; i++) {
		a.before[i] = -a.before[i];
		a.after[i] = -a.after[i];
	}
	a.value = 0;
	dx[0] = pad_by(c, dy[0], &a);
}

static td_value *pad_apply_border(td_ctx *c, td_value *const *in)
{
	return td_pad(c, in[0], (int64_t[]){ 1, 2 }, 1, TD_PAD_CONSTANT, 0.5);
}
static td_value *pad_apply_cut(td_ctx *c, td_value *const *in)
{
	return td_pad(c, in[0], (int64_t[]){ -1, 2, 3, -2, 0, 1 }, 3, TD_PAD_CONSTANT, 1);
}
static td_value *pad_apply_reflect(td_ctx *c, td_value *const *in)
{
	return td_pad(c, in[0], (int64_t[]){ 1, 2, 3, 0 }, 2, TD_PAD_REFLECT, 0);
}
static td_value *pad_apply_replicate(td_ctx *c, td_value *const *in)
{
	return td_pad(c, in[0], (int64_t[]){ 3, 0, 1, 5 }, 2, TD_PAD_REPLICATE, 0);
}
static td_value *pad_apply_circular(td_ctx *c, td_value *const *in)
{
	return td_pad(c, in[0], (int64_t[]){ 2, 3, 1, 0 }, 2, TD_PAD_CIRCULAR, 0);
}
static td_value *pad_apply_batch(td_ctx *c, td_value *const *in)
{
	return td_pad(c, in[0], (int64_t[]){ 0, 0, 1, 1, 0, 0, 1, 0 }, 4, TD_PAD_CONSTANT, 0);
}

static const struct {
	td_value *(*apply)(td_ctx *c, td_value *const *in);
	td_dtype dtype;
	enum td_fill fill;
	int rank;
	int64_t x[4];
} pad_samples[] = {
	{ pad_apply_border, TD_F32, TD_FILL_NORMAL, 1, { 5 } },
	{ pad_apply_border, TD_U8, TD_FILL_LABELS, 2, { 3, 4 } },
	{ pad_apply_border, TD_I64, TD_FILL_LABELS, 2, { 3, 0 } },
	{ pad_apply_border, TD_BOOL, TD_FILL_LABELS, 2, { 3, 2 } },
	{ pad_apply_cut, TD_F32, TD_FILL_NORMAL, 4, { 2, 3, 5, 4 } },
	{ pad_apply_cut, TD_I32, TD_FILL_LABELS, 3, { 2, 3, 5 } },
	{ pad_apply_reflect, TD_F32, TD_FILL_NORMAL, 4, { 2, 3, 4, 5 } },
	{ pad_apply_reflect, TD_F32, TD_FILL_NORMAL, 3, { 3, 4, 3 } },
	{ pad_apply_replicate, TD_F32, TD_FILL_NORMAL, 4, { 2, 3, 1, 5 } },
	{ pad_apply_circular, TD_F32, TD_FILL_NORMAL, 4, { 2, 3, 1, 3 } },
	{ pad_apply_batch, TD_F32, TD_FILL_NORMAL, 4, { 2, 3, 1, 3 } },
};

static bool pad_sample(int i, td_sample *s)
{
	const int n = (int)TD_COUNT(pad_samples), k = i % n;

	if (i >= 2 * n)
		return false;
	s->apply = pad_samples[k].apply;
	ops_sample_input(s, pad_samples[k].fill, pad_samples[k].dtype, pad_samples[k].rank, pad_samples[k].x);
	s->in[0].classes = 7;
	s->in[0].shape.order = i >= n && pad_samples[k].rank > 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = pad_samples[k].rank > 1;
	return true;
}

TD_OP(pad, .n_in = 1, .n_out = 1, .attrs_size = sizeof(pad_attrs), .fields = pad_fields, .infer = pad_infer,
	.forward = { pad_forward }, .backward = pad_backward, .sample = pad_sample)

static td_value *pad_by(td_ctx *c, td_value *x, const pad_attrs *a)
{
	return TD_APPLY(c, pad, a, x);
}

/* torch.nn.functional.pad: PADS are N_PAIRS pairs (before, after), the last axis first.  Constant: VALUE; negative
 * amounts cut.  The others need amounts of 0 and more: reflect fewer than the axis has elements, circular as many at
 * most.  y lies in x's order. */
TD_API td_value *td_pad(td_ctx *c, td_value *x, const int64_t *pads, int n_pairs, td_pad_mode mode, double value)
{
	pad_attrs a = { .mode = mode, .value = value };
	char text[TD_SHAPE_TEXT];

	if (!x)
		return NULL;
	if (n_pairs < 0 || n_pairs > x->shape.rank)
		return td_fail(c, TD_SHAPE, "pad: %s does not have the %d axes that are to be padded",
			td_shape_text(&x->shape, text), n_pairs);
	for (int i = 0; i < n_pairs; i++) {
		a.before[x->shape.rank - 1 - i] = pads[2 * i];
		a.after[x->shape.rank - 1 - i] = pads[2 * i + 1];
	}
	return pad_by(c, x, &a);
}

/* ---- pad_dx: dy added up where its elements came from; only the shape of x is read ------------------------------- */

static void pad_dx_infer(td_infer *q)
{
	td_shape y;

	if (!ops_need_float(q, "pad_dx") || !pad_shape(q, q->in[1], &y) || !ops_need_like(q, "pad_dx", 0, &y))
		return;
	q->out[0] = *q->in[1];
	q->out[0].order = q->in[0]->order;
	q->workspace = axis_maps_bytes(&y, padded_axes(q->attrs));
}

static void pad_dx_forward(const td_call *call)
{
	struct axis_maps m;

	memset(call->out[0].data, 0, td_shape_bytes(call->out[0].shape));
	pad_maps(call, &m, call->in[0].shape, call->out[0].shape);
	axis_put(call, &call->out[0], &call->in[0], &m);
}

static void pad_dx_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 0))
		dx[0] = pad_by(c, dy[0], n->attrs);
}

static td_value *pad_dx_apply_reflect(td_ctx *c, td_value *const *in)
{
	return td_pad_dx(c, in[0], in[1],
		&(pad_attrs){ .before = { 0, 0, 2, 1 }, .after = { 0, 0, 1, 0 }, .mode = TD_PAD_REFLECT });
}
static td_value *pad_dx_apply_replicate(td_ctx *c, td_value *const *in)
{
	return td_pad_dx(c, in[0], in[1],
		&(pad_attrs){ .before = { 0, 0, 2, 1 }, .after = { 0, 0, 1, 0 }, .mode = TD_PAD_REPLICATE });
}

static bool pad_dx_sample(int i, td_sample *s)
{
	s->apply = i % 2 ? pad_dx_apply_replicate : pad_dx_apply_reflect;
	SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 7, 5);
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 2, 3, 4, 4);
	s->in[0].shape.order = s->in[1].shape.order = i / 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].batched = s->in[1].batched = true;
	s->in[1].fixed = true;
	return i < 4;
}

TD_OP(pad_dx, .n_in = 2, .n_out = 1, .shape_only = 2, .attrs_size = sizeof(pad_attrs), .fields = pad_fields,
	.infer = pad_dx_infer, .forward = { pad_dx_forward }, .backward = pad_dx_backward, .sample = pad_dx_sample)

/* ATTRS: of the pad that made y. */
TD_API td_value *td_pad_dx(td_ctx *c, td_value *dy, td_value *x, const void *attrs)
{
	return dy && x ? TD_APPLY(c, pad_dx, attrs, dy, x) : NULL;
}
