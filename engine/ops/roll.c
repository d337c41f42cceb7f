/* Elements that change places along their axes: rolling and flipping.  Each is undone by one of its kind, so that is
 * its gradient. */
#include "ops/axis_map.h"

#include "td_ops.h"

/* ---- roll: y[i + shift] = x[i]; what falls off the end comes back at the front ----------------------------------- */

typedef struct roll_attrs {
	int64_t shift[TD_MAX_RANK]; /* by axis */
} roll_attrs;

static const td_field roll_fields[] = { TD_FIELDS(roll_attrs, shift), { 0 } };

static uint32_t rolled_axes(const roll_attrs *a)
{
	uint32_t axes = 0;

	for (int i = 0; i < TD_MAX_RANK; i++)
		axes |= a->shift[i] ? 1u << i : 0;
	return axes;
}

static void roll_infer(td_infer *q)
{
	const roll_attrs *a = q->attrs;

	for (int i = 0; i < TD_MAX_RANK; i++)
		if (a->shift[i] < -INT64_MAX) { /* the gradient rolls back by as much */
			td_fail(q->ctx, TD_TOO_LARGE, "roll: %lld elements are more than any axis has",
				(long long)a->shift[i]);
			return;
		}
	ops_infer_same(q);
	q->workspace = axis_maps_bytes(&q->out[0], rolled_axes(q->attrs));
}

static int64_t roll_place(const void *arg, int axis, int64_t i)
{
	const td_call *call = arg;
	int64_t n = call->in[0].shape->dim[axis], shift = ((const roll_attrs *)call->attrs)->shift[axis] % n;

	return (i - shift + n) % n;
}

static void roll_forward(const td_call *call)
{
	struct axis_maps m;

	axis_maps_fill(&m, call->workspace, call->out[0].shape, rolled_axes(call->attrs), roll_place, call);
	axis_take(call, &call->out[0], &call->in[0], &m, NULL);
}

static td_value *roll_by(td_ctx *c, td_value *x, const roll_attrs *a);

static void roll_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	roll_attrs a = *(const roll_attrs *)n->attrs;

	for (int i = 0; i < TD_MAX_RANK; i++)
		a.shift[i] = -a.shift[i];
	dx[0] = roll_by(c, dy[0], &a);
}

static td_value *roll_apply_last(td_ctx *c, td_value *const *in)
{
	return td_roll(c, in[0], (int64_t[]){ 2 }, (int[]){ -1 }, 1);
}
static td_value *roll_apply_three(td_ctx *c, td_value *const *in)
{
	return td_roll(c, in[0], (int64_t[]){ -9, 1, 4 }, (int[]){ 2, 0, 1 }, 3);
}

/* What roll and flip are tried on; the orders of images, zero sizes, and all sizes of elements. */
static bool turn_sample(int i, td_sample *s, td_value *(*last)(td_ctx *c, td_value *const *in),
	td_value *(*three)(td_ctx *c, td_value *const *in))
{
	s->apply = i == 0 || i == 3 || i == 5 ? last : three;
	switch (i) {
	case 0: SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 5); break;
	case 1: SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 4, 5); break;
	case 2: SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 3, 4, 5); break;
	case 3: SAMPLE_INPUT(s, TD_FILL_LABELS, TD_U8, 2, 3, 7); break;
	case 4: SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 2, 3, 7); break;
	case 5: SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 2, 0); break;
	default: return false;
	}
	s->in[0].shape.order = i == 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].classes = 9;
	s->in[0].batched = i > 0;
	return true;
}

static bool roll_sample(int i, td_sample *s)
{
	return turn_sample(i, s, roll_apply_last, roll_apply_three);
}

TD_OP(roll, .n_in = 1, .n_out = 1, .attrs_size = sizeof(roll_attrs), .fields = roll_fields, .infer = roll_infer,
	.forward = { roll_forward }, .backward = roll_backward, .sample = roll_sample)

static td_value *roll_by(td_ctx *c, td_value *x, const roll_attrs *a)
{
	return TD_APPLY(c, roll, a, x);
}

/* torch.roll: by SHIFTS[i] elements along AXES[i], for N axes; shifts of an axis that stands there twice add up. */
TD_API td_value *td_roll(td_ctx *c, td_value *x, const int64_t *shifts, const int *axes, int n)
{
	roll_attrs a = { 0 };

	if (!x)
		return NULL;
	for (int i = 0; i < n; i++) {
		int axis = axes[i];

		if (!ops_axis(c, "roll", x, &axis))
			return NULL;
		if (__builtin_add_overflow(a.shift[axis], shifts[i], &a.shift[axis]))
			return td_fail(c, TD_TOO_LARGE,
				"roll: the shifts of axis %d add up to more elements than any axis has", axis);
	}
	return roll_by(c, x, &a);
}

/* ---- flip: y[i] = x[n - 1 - i] along some axes ------------------------------------------------------------------- */

typedef struct flip_attrs {
	uint32_t axes; /* bit i: axis i */
} flip_attrs;

static const td_field flip_fields[] = { TD_FIELD(flip_attrs, axes), { 0 } };

static void flip_infer(td_infer *q)
{
	ops_infer_same(q);
	q->workspace = axis_maps_bytes(&q->out[0], ((const flip_attrs *)q->attrs)->axes);
}

static int64_t flip_place(const void *arg, int axis, int64_t i)
{
	const td_call *call = arg;

	return call->in[0].shape->dim[axis] - 1 - i;
}

static void flip_forward(const td_call *call)
{
	struct axis_maps m;

	axis_maps_fill(
		&m, call->workspace, call->out[0].shape, ((const flip_attrs *)call->attrs)->axes, flip_place, call);
	axis_take(call, &call->out[0], &call->in[0], &m, NULL);
}

static td_value *flip_by(td_ctx *c, td_value *x, const flip_attrs *a);

static void flip_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	dx[0] = flip_by(c, dy[0], n->attrs);
}

static td_value *flip_apply_last(td_ctx *c, td_value *const *in)
{
	return td_flip(c, in[0], (int[]){ -1 }, 1);
}
static td_value *flip_apply_three(td_ctx *c, td_value *const *in)
{
	return td_flip(c, in[0], (int[]){ 0, 2, 1 }, 3);
}

static bool flip_sample(int i, td_sample *s)
{
	return turn_sample(i, s, flip_apply_last, flip_apply_three);
}

TD_OP(flip, .n_in = 1, .n_out = 1, .attrs_size = sizeof(flip_attrs), .fields = flip_fields, .infer = flip_infer,
	.forward = { flip_forward }, .backward = flip_backward, .sample = flip_sample)

static td_value *flip_by(td_ctx *c, td_value *x, const flip_attrs *a)
{
	return TD_APPLY(c, flip, a, x);
}

/* torch.flip: along the N AXES, each once. */
TD_API td_value *td_flip(td_ctx *c, td_value *x, const int *axes, int n)
{
	flip_attrs a = { 0 };

	if (!x)
		return NULL;
	for (int i = 0; i < n; i++) {
		int axis = axes[i];

		if (!ops_axis(c, "flip", x, &axis))
			return NULL;
		if (a.axes >> axis & 1)
			return td_fail(c, TD_INVALID, "flip: axis %d is named twice", axis);
		a.axes |= 1u << axis;
	}
	return flip_by(c, x, &a);
}
