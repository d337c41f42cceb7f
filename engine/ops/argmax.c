/* The place of the largest, or of the smallest, along an axis. */
#include "ops/ops.h"

#include "td_ops.h"

typedef struct arg_attrs {
	int axis;
} arg_attrs;

static const td_field arg_fields[] = { TD_FIELD(arg_attrs, axis), { 0 } };

/* ---- argmax, argmin: the index of the first largest (smallest) along an axis, which goes; NaN counts as that -------
 */

static void arg_infer(td_infer *q, const char *op)
{
	int axis = ((const arg_attrs *)q->attrs)->axis;
	char text[TD_SHAPE_TEXT];

	if (!ops_need_numbers(q, op) || !ops_need_axis(q, op, q->in[0], axis))
		return;
	q->out[0] = (td_shape){ .dtype = TD_I64 };
	for (int i = 0; i < q->in[0]->rank; i++)
		if (i != axis)
			q->out[0].dim[q->out[0].rank++] = q->in[0]->dim[i];
	if (!q->in[0]->dim[axis] && td_shape_count(&q->out[0]))
		td_fail(q->ctx, TD_SHAPE, "%s: %s has no elements along axis %d to choose from", op,
			td_shape_text(q->in[0], text), axis);
}

/* Also as integers; the first axis, and the last. */
static bool arg_sample(int i, td_sample *s, td_value *(*first)(td_ctx *, td_value *const *),
	td_value *(*last)(td_ctx *, td_value *const *))
{
	static const td_dtype types[] = { TD_F32, TD_F32, TD_F32, TD_I32, TD_I64, TD_U8 };

	if (i >= (int)TD_COUNT(types))
		return false;
	s->apply = i == 1 ? first : last;
	if (i == 2)
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 4, 2, 3);
	else
		SAMPLE_INPUT(s, i < 3 ? TD_FILL_NORMAL : TD_FILL_LABELS, types[i], 6, 5);
	s->in[0].shape.order = i == 2 ? TD_CHANNELS_LAST : TD_ROW_MAJOR;
	s->in[0].classes = 4; /* some are equal */
	s->in[0].batched = true;
	return true;
}

/* Everything that an op NAME is but its builder. */
#define ARG_OP(name)                                                                                                   \
	static void name##_infer(td_infer *q)                                                                          \
	{                                                                                                              \
		arg_infer(q, #name);                                                                                   \
	}                                                                                                              \
	static void name##_line(const td_call *call, const struct ops_lines *l, int64_t i)                             \
	{                                                                                                              \
		td_dtype d = call->in[0].shape->dtype;                                                                 \
		TD_PICK_NUMBERS(d, k_##name)                                                                           \
		((int64_t *)call->out[0].data + i, at_const(call->in[0].data, ops_line_start(l, i), td_dtype_size(d)), \
			l->n, l->inner);                                                                               \
	}                                                                                                              \
	static void name##_forward(const td_call *call)                                                                \
	{                                                                                                              \
		ops_run_lines(call, ((const arg_attrs *)call->attrs)->axis, name##_line);                              \
	}                                                                                                              \
	static td_value *name##_apply_first(td_ctx *c, td_value *const *in)                                            \
	{                                                                                                              \
		return td_##name(c, in[0], 0);                                                                         \
	}                                                                                                              \
	static td_value *name##_apply_1(td_ctx *c, td_value *const *in)                                                \
	{                                                                                                              \
		return td_##name(c, in[0], 1);                                                                         \
	}                                                                                                              \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		return arg_sample(i, s, name##_apply_first, name##_apply_1);                                           \
	}

ARG_OP(argmax)
TD_OP(argmax, .n_in = 1, .n_out = 1, .attrs_size = sizeof(arg_attrs), .fields = arg_fields, .infer = argmax_infer,
	.forward = { argmax_forward }, .backward = td_nodiff, .sample = argmax_sample)

ARG_OP(argmin)
TD_OP(argmin, .n_in = 1, .n_out = 1, .attrs_size = sizeof(arg_attrs), .fields = arg_fields, .infer = argmin_infer,
	.forward = { argmin_forward }, .backward = td_nodiff, .sample = argmin_sample)

/* x: numbers.  AXIS: from the last if negative; it must have elements (torch.argmax).  -> int64 */
TD_API td_value *td_argmax(td_ctx *c, td_value *x, int axis)
{
	if (!x || !ops_axis(c, "argmax", x, &axis))
		return NULL;
	return TD_APPLY(c, argmax, (&(arg_attrs){ axis }), ops_row_major(c, x));
}

/* The same of the smallest (torch.argmin). */
TD_API td_value *td_argmin(td_ctx *c, td_value *x, int axis)
{
	if (!x || !ops_axis(c, "argmin", x, &axis))
		return NULL;
	return TD_APPLY(c, argmin, (&(arg_attrs){ axis }), ops_row_major(c, x));
}
