/* The largest, the smallest, the product; whether any, or all, are true. */
#include "ops/reduction.h"

#include "td_ops.h"

/* ---- Shared by the family ---------------------------------------------------------------------------------------- */

static void infer(td_infer *q)
{
	struct reduction r;

	reduction_shape(q->attrs, q->in[0], &q->out[0]);
	reduction_over(&r, q->attrs, q->in[0]);
	q->workspace = reduction_workspace(&r);
}

static void forward(const td_call *call, enum reduction_kind kind)
{
	td_dtype d = call->out[0].shape->dtype;
	struct reduction r;

	reduction_over(&r, call->attrs, call->in[0].shape);
	reduction_run(call, &r, kind, call->in[0].data, NULL, call->workspace);
	k_convert((int)d, td__is_float(d) ? TD_F64 : TD_I64, call->out[0].data, call->workspace, r.n_out, 1);
}

/* Three sets of axes for images; then a plain row of each other type, a scalar, and where it can be, nothing. */
static bool sample(int i, td_sample *s, bool empty)
{
	static const td_dtype others[] = { TD_I32, TD_I64, TD_U8, TD_BOOL };

	if (i < 12)
		return reduction_sample(i % 4, s);
	if (i < 16) {
		SAMPLE_INPUT(s, TD_FILL_LABELS, others[i - 12], 5, 6);
		s->in[0].classes = i == 15 ? 2 : 7;
		s->in[0].batched = true;
	} else if (i == 16) {
		ops_sample_input(s, TD_FILL_NORMAL, TD_F32, 0, NULL);
	} else if (i == 17) {
		SAMPLE_INPUT(s, TD_FILL_NORMAL, TD_F32, 3, 0);
	}
	return i < (empty ? 18 : 17);
}

#define REDUCTION(name, kind, empty)                                                                                   \
	static void name##_forward(const td_call *call)                                                                \
	{                                                                                                              \
		forward(call, kind);                                                                                   \
	}                                                                                                              \
	static td_value *name##_apply_all(td_ctx *c, td_value *const *in)                                              \
	{                                                                                                              \
		return td_##name(c, in[0], TD_ALL_AXES, false);                                                        \
	}                                                                                                              \
	static td_value *name##_apply_first(td_ctx *c, td_value *const *in)                                            \
	{                                                                                                              \
		return td_##name(c, in[0], 1, false);                                                                  \
	}                                                                                                              \
	static td_value *name##_apply_rest(td_ctx *c, td_value *const *in)                                             \
	{                                                                                                              \
		return td_##name(c, in[0], 2 | 8, true);                                                               \
	}                                                                                                              \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		s->apply = i % 3 == 0 ? name##_apply_all : i % 3 == 1 ? name##_apply_first : name##_apply_rest;        \
		return sample(i, s, empty);                                                                            \
	}

/* ---- max, min: the largest (smallest) along the axes; NaN wins; equal ones share the gradient (torch.amax, amin) --
 */

static void extreme_infer(td_infer *q)
{
	char text[TD_SHAPE_TEXT];

	infer(q);
	if (!td_shape_count(q->in[0]) && td_shape_count(&q->out[0]))
		td_fail(q->ctx, TD_SHAPE,
			"max and min: of no elements none is the largest or the smallest, and %s has none where it is "
			"reduced",
			td_shape_text(q->in[0], text));
}

static void extreme_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const reduce_attrs *a = n->attrs;
	td_value *x = n->in[0], *is = td_equal(c, x, reduction_beside(c, n->out[0], x, a)), *share;

	if (!is)
		return;
	is = td_cast(c, is, x->shape.dtype);
	share = td_div(c, dy[0], td_sum(c, is, a->axes, a->keep));
	dx[0] = td_mul(c, is, reduction_beside(c, share, x, a));
}

REDUCTION(max, REDUCE_MAX, false)
TD_OP(max, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = extreme_infer,
	.forward = { max_forward }, .backward = extreme_backward, .sample = max_sample)
REDUCTION(min, REDUCE_MIN, false)
TD_OP(min, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = extreme_infer,
	.forward = { min_forward }, .backward = extreme_backward, .sample = min_sample)

TD_API td_value *td_max(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	reduce_attrs a;

	return x ? TD_APPLY(c, max, reduction_attrs(&a, x, axes, keep), x) : NULL;
}

TD_API td_value *td_min(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	reduce_attrs a;

	return x ? TD_APPLY(c, min, reduction_attrs(&a, x, axes, keep), x) : NULL;
}

/* ---- prod: the product; of integers and bools in int64 ----------------------------------------------------------- */

static void prod_infer(td_infer *q)
{
	infer(q);
	if (!td__is_float(q->in[0]->dtype))
		q->out[0].dtype = TD_I64;
}

/* dx[i] = dy times the product of the others.  Without zeros that is y / x[i].  Beside one zero it is 0, and at the
 * zero the product of the others; beside two it is 0 everywhere.  So: the product of all but the zeros, divided by x
 * with ones for zeros, wherever x holds all the zeros that there are. */
static void prod_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const reduce_attrs *a = n->attrs;
	td_value *x = n->in[0], *is_zero = td_equal(c, x, td_zeros_like(c, x)), *safe, *zero, *zeros;

	safe = td_masked_fill(c, x, is_zero, 1);
	zero = td_cast(c, is_zero, x->shape.dtype);
	zeros = reduction_beside(c, td_sum(c, zero, a->axes, a->keep), x, a);
	dx[0] = reduction_beside(c, td_mul(c, dy[0], td_prod(c, safe, a->axes, a->keep)), x, a);
	dx[0] = td_masked_fill(c, td_div(c, dx[0], safe), td_not_equal(c, zeros, zero), 0);
}

REDUCTION(prod, REDUCE_PROD, true)
TD_OP(prod, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = prod_infer,
	.forward = { prod_forward }, .backward = prod_backward, .sample = prod_sample)

/* Second derivatives are those of a product without zeros. */
TD_API td_value *td_prod(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	reduce_attrs a;

	return x ? TD_APPLY(c, prod, reduction_attrs(&a, x, axes, keep), x) : NULL;
}

/* ---- any, all: whether an element, or every element, differs from 0 ---------------------------------------------- */

static void truth_infer(td_infer *q)
{
	infer(q);
	q->out[0].dtype = TD_BOOL;
}

REDUCTION(any, REDUCE_ANY, true)
TD_OP(any, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = truth_infer,
	.forward = { any_forward }, .backward = td_nodiff, .sample = any_sample)
REDUCTION(all, REDUCE_ALL, true)
TD_OP(all, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = truth_infer,
	.forward = { all_forward }, .backward = td_nodiff, .sample = all_sample)

TD_API td_value *td_any(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	reduce_attrs a;

	return x ? TD_APPLY(c, any, reduction_attrs(&a, x, axes, keep), x) : NULL;
}

TD_API td_value *td_all(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	reduce_attrs a;

	return x ? TD_APPLY(c, all, reduction_attrs(&a, x, axes, keep), x) : NULL;
}
