/* Numbers by place: one-hot vectors of classes, and counting along an axis. */
#include "ops/axis_map.h"

#include "td_ops.h"

/* ---- one_hot: y[.., k] = 1 where ids[..] = k, else 0 --------------------------------------------------------------
 */

typedef struct one_hot_attrs {
	int64_t classes; /* 0: as many as LIKE, the second input, has elements along AXIS */
	int64_t axis;
	int64_t dtype; /* td_dtype of y */
} one_hot_attrs;

static const td_field one_hot_fields[] = { TD_FIELD(one_hot_attrs, classes), TD_FIELD(one_hot_attrs, axis),
	TD_FIELD(one_hot_attrs, dtype), { 0 } };

static void one_hot_infer(td_infer *q)
{
	const one_hot_attrs *a = q->attrs;
	const td_shape *ids = q->in[0], *like = q->in[1];
	char text[TD_SHAPE_TEXT];

	if (ids->dtype != TD_I64 || ids->rank >= TD_MAX_RANK) {
		td_fail(q->ctx, TD_DTYPE,
			"one_hot needs ids int64, int32 or uint8 of at most %d axes, not %s; cast them",
			TD_MAX_RANK - 1, td_shape_text(ids, text));
		return;
	}
	if (like && !ops_need_axis(q, "one_hot", like, a->axis))
		return;
	q->out[0] = *ids;
	q->out[0].dtype = (td_dtype)a->dtype;
	q->out[0].dim[q->out[0].rank++] = like ? like->dim[a->axis] : a->classes;
}

static void one_hot_forward(const td_call *call)
{
	const td_shape *y = call->out[0].shape;
	int64_t count = td_shape_count(call->in[0].shape), classes = y->dim[y->rank - 1];
	const int64_t *id = call->in[0].data;
	size_t size = td_dtype_size(y->dtype);
	double one = 1;

	memset(call->out[0].data, 0, td_shape_bytes(y));
	if (!index_in_range(call, "one_hot", id, count, classes))
		return;
	for (int64_t i = 0; i < count; i++)
		k_convert((int)y->dtype, TD_F64, at(call->out[0].data, i * classes + id[i], size), &one, 1, 1);
}

static td_value *one_hot_apply_f32(td_ctx *c, td_value *const *in)
{
	return td_one_hot(c, in[0], 6, TD_F32);
}
static td_value *one_hot_apply_i64(td_ctx *c, td_value *const *in)
{
	return td_one_hot(c, in[0], 6, TD_I64);
}
static td_value *one_hot_apply_like(td_ctx *c, td_value *const *in)
{
	return td_one_hot_like(c, in[0], in[1], -1);
}

static bool one_hot_sample(int i, td_sample *s)
{
	s->apply = i == 0 ? one_hot_apply_f32 : i == 3 ? one_hot_apply_like : one_hot_apply_i64;
	if (i == 2)
		ops_sample_input(s, TD_FILL_LABELS, TD_I64, 0, NULL);
	else if (i == 1)
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_I64, 4, 3);
	else
		SAMPLE_INPUT(s, TD_FILL_LABELS, i == 4 ? TD_I32 : i == 5 ? TD_U8 : TD_I64, 5);
	if (i == 3)
		SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 5, 6);
	s->in[0].classes = 6;
	s->in[0].batched = i != 2;
	s->in[1].batched = true;
	return i < 6;
}

TD_OP(one_hot, .n_in = 2, .n_out = 1, .optional = 2, .shape_only = 2, .attrs_size = sizeof(one_hot_attrs),
	.fields = one_hot_fields, .infer = one_hot_infer, .forward = { one_hot_forward }, .backward = td_nodiff,
	.sample = one_hot_sample)

/* torch.nn.functional.one_hot: IDS int64, int32 or uint8 [..], each 0 .. CLASSES-1 -> DTYPE [.., CLASSES]. */
TD_API td_value *td_one_hot(td_ctx *c, td_value *ids, int64_t classes, td_dtype dtype)
{
	if (!ids)
		return NULL;
	if (classes < 1)
		return td_fail(c, TD_INVALID, "one_hot needs at least 1 class, not %lld", (long long)classes);
	return TD_APPLY(c, one_hot, (&(one_hot_attrs){ classes, 0, dtype }), ops_row_major(c, index_of(c, ids, true)));
}

/* The same with as many classes as LIKE has elements along AXIS, and in its type; only its shape is read. */
TD_API td_value *td_one_hot_like(td_ctx *c, td_value *ids, td_value *like, int axis)
{
	if (!ids || !like || !ops_axis(c, "one_hot", like, &axis))
		return NULL;
	return TD_APPLY(c, one_hot, (&(one_hot_attrs){ 0, axis, like->shape.dtype }),
		ops_row_major(c, index_of(c, ids, true)), like);
}

/* ---- arange_like: y[i] = start + i step, for each place along an axis of x, whose shape alone is read -------------
 */

typedef struct arange_like_attrs {
	int64_t axis, dtype; /* td_dtype of y */
	double start, step;
} arange_like_attrs;

static const td_field arange_like_fields[] = { TD_FIELD(arange_like_attrs, axis), TD_FIELD(arange_like_attrs, dtype),
	TD_FIELD(arange_like_attrs, start), TD_FIELD(arange_like_attrs, step), { 0 } };

static void arange_like_infer(td_infer *q)
{
	const arange_like_attrs *a = q->attrs;

	if (!ops_need_axis(q, "arange_like", q->in[0], a->axis))
		return;
	q->out[0] = (td_shape){ .dtype = (td_dtype)a->dtype, .rank = 1, .dim = { q->in[0]->dim[a->axis] } };
}

static void arange_like_forward(const td_call *call)
{
	const arange_like_attrs *a = call->attrs;
	size_t size = td_dtype_size(call->out[0].shape->dtype);

	for (int64_t i = 0; i < call->out[0].shape->dim[0]; i++) {
		double v = a->start + (double)i * a->step;
		k_convert((int)call->out[0].shape->dtype, TD_F64, at(call->out[0].data, i, size), &v, 1, 1);
	}
}

static td_value *arange_like_apply_i64(td_ctx *c, td_value *const *in)
{
	return td_arange_like(c, in[0], 0, TD_I64, 0, 1);
}
static td_value *arange_like_apply_f32(td_ctx *c, td_value *const *in)
{
	return td_arange_like(c, in[0], -1, TD_F32, 0.5, -0.25);
}

static bool arange_like_sample(int i, td_sample *s)
{
	s->apply = i ? arange_like_apply_f32 : arange_like_apply_i64;
	SAMPLE_INPUT(s, TD_FILL_ONES, TD_F32, 5, 7);
	s->in[0].batched = true;
	return i < 2;
}

TD_OP(arange_like, .n_in = 1, .n_out = 1, .shape_only = 1, .attrs_size = sizeof(arange_like_attrs),
	.fields = arange_like_fields, .infer = arange_like_infer, .forward = { arange_like_forward },
	.backward = td_nodiff, .sample = arange_like_sample)

/* torch.arange with as many elements as X has along AXIS: [size], of DTYPE. */
TD_API td_value *td_arange_like(td_ctx *c, td_value *x, int axis, td_dtype dtype, double start, double step)
{
	if (!x || !ops_axis(c, "arange_like", x, &axis))
		return NULL;
	return TD_APPLY(c, arange_like, (&(arange_like_attrs){ axis, dtype, start, step }), x);
}
