/* The largest, the smallest, the product; whether any, or all, are true. */
#include "ops/reduction.h"

#include "td_ops.h"

/* ---- max, min: the largest (smallest) along the axes; NaN wins; equal ones share the gradient (torch.amax, amin) --
 */

static void extreme_infer(td_infer *q, const char *op)
{
	char text[TD_SHAPE_TEXT];

	if (reduction_infer(q, q->attrs, op) && !td_shape_count(q->in[0]) && td_shape_count(&q->out[0]))
		td_fail(q->ctx, TD_SHAPE,
			"%s: of no elements none is the largest or the smallest, and %s has none where it is reduced",
			op, td_shape_text(q->in[0], text));
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

REDUCTION(max, REDUCE_MAX, extreme_infer, false)
TD_OP(max, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = max_infer,
	.forward = { max_forward }, .backward = extreme_backward, .sample = max_sample)
REDUCTION(min, REDUCE_MIN, extreme_infer, false)
TD_OP(min, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = min_infer,
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

REDUCTION(prod, REDUCE_PROD, reduction_infer_int64, true)
TD_OP(prod, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = prod_infer,
	.forward = { prod_forward }, .backward = prod_backward, .sample = prod_sample)

/* Second derivatives are those of a product without zeros. */
TD_API td_value *td_prod(td_ctx *c, td_value *x, uint32_t axes, bool keep)
{
	reduce_attrs a;

	return x ? TD_APPLY(c, prod, reduction_attrs(&a, x, axes, keep), x) : NULL;
}

/* ---- any, all: whether an element, or every element, differs from 0 ---------------------------------------------- */

static void truth_infer(td_infer *q, const char *op)
{
	reduction_infer(q, q->attrs, op);
	q->out[0].dtype = TD_BOOL;
}

REDUCTION(any, REDUCE_ANY, truth_infer, true)
TD_OP(any, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = any_infer,
	.forward = { any_forward }, .backward = td_nodiff, .sample = any_sample)
REDUCTION(all, REDUCE_ALL, truth_infer, true)
TD_OP(all, .n_in = 1, .n_out = 1, .attrs_size = sizeof(reduce_attrs), .fields = reduce_fields, .infer = all_infer,
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
