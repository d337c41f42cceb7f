/* Comparisons and what is done with their results: values of one type in, bool out, and choices between values by a
 * bool.
 */
#include "ops/elementwise.h"

#include "td_ops.h"

/* ---- equal, not_equal, less, less_equal: whether it is so; of a NaN nothing is, but that it is not equal ----------
 */

static void compare_infer(td_infer *q)
{
	if (elementwise_infer(q, "a comparison", ANYTHING))
		q->out[0].dtype = TD_BOOL;
}

#define COMPARISON(name)                                                                                               \
	ELEMENTWISE_FORWARD(name, NUMBERS)                                                                             \
	APPLY_BINARY(name)                                                                                             \
	static bool name##_sample(int i, td_sample *s)                                                                 \
	{                                                                                                              \
		s->apply = name##_apply;                                                                               \
		if (!elementwise_sample_binary(i, s, TD_FILL_LABELS, ANYTHING))                                        \
			return false;                                                                                  \
		for (int k = 0; k < 2 && i < 7; k++)                                                                   \
			s->in[k].classes = 3;                                                                          \
		return true;                                                                                           \
	}

COMPARISON(equal)
TD_OP(equal, .n_in = 2, .n_out = 1, .broadcasts = true, .infer = compare_infer, .forward = { equal_forward },
	.backward = td_nodiff, .sample = equal_sample)

COMPARISON(not_equal)
TD_OP(not_equal, .n_in = 2, .n_out = 1, .broadcasts = true, .infer = compare_infer, .forward = { not_equal_forward },
	.backward = td_nodiff, .sample = not_equal_sample)

COMPARISON(less)
TD_OP(less, .n_in = 2, .n_out = 1, .broadcasts = true, .infer = compare_infer, .forward = { less_forward },
	.backward = td_nodiff, .sample = less_sample)

COMPARISON(less_equal)
TD_OP(less_equal, .n_in = 2, .n_out = 1, .broadcasts = true, .infer = compare_infer, .forward = { less_equal_forward },
	.backward = td_nodiff, .sample = less_equal_sample)

/* a, b: of one type, broadcast -> bool. */
TD_API td_value *td_equal(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, equal, NULL, a, b) : NULL;
}

TD_API td_value *td_not_equal(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, not_equal, NULL, a, b) : NULL;
}

TD_API td_value *td_less(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, less, NULL, a, b) : NULL;
}

TD_API td_value *td_less_equal(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, less_equal, NULL, a, b) : NULL;
}

TD_API td_value *td_greater(td_ctx *c, td_value *a, td_value *b)
{
	return td_less(c, b, a);
}

TD_API td_value *td_greater_equal(td_ctx *c, td_value *a, td_value *b)
{
	return td_less_equal(c, b, a);
}

/* Every type is asked; only floating values can be NaN. */
TD_API td_value *td_isnan(td_ctx *c, td_value *x)
{
	return td_not_equal(c, x, x);
}

/* ---- is_finite: whether x is neither infinite nor NaN ------------------------------------------------------------ */

static void is_finite_infer(td_infer *q)
{
	if (elementwise_infer(q, "isfinite", FLOATS))
		q->out[0].dtype = TD_BOOL;
}

ELEMENTWISE_FORWARD(is_finite, FLOATS)

static td_value *is_finite_apply(td_ctx *c, td_value *const *in)
{
	return td_isfinite(c, in[0]);
}

static bool is_finite_sample(int i, td_sample *s)
{
	s->apply = is_finite_apply;
	return elementwise_sample_unary(i, s, TD_FILL_NORMAL, FLOATS);
}

TD_OP(is_finite, .n_in = 1, .n_out = 1, .infer = is_finite_infer, .forward = { is_finite_forward },
	.backward = td_nodiff, .sample = is_finite_sample)

/* Every integer is finite. */
TD_API td_value *td_isfinite(td_ctx *c, td_value *x)
{
	if (!x)
		return NULL;
	return td__is_float(x->shape.dtype) ? TD_APPLY(c, is_finite, NULL, x) : td_equal(c, x, x);
}

/* ---- logical_and, logical_or, logical_not: of bools; what is no bool is first cast to one: whether it differs from 0
 */

static void logical_infer(td_infer *q)
{
	char text[TD_SHAPE_TEXT];

	if (q->in[0]->dtype != TD_BOOL)
		td_fail(q->ctx, TD_DTYPE, "a logical op takes bools, not %s", td_shape_text(q->in[0], text));
	else
		elementwise_infer(q, "a logical op", ANYTHING);
}

static void logical_and_forward(const td_call *call)
{
	elementwise_forward(call, k_and);
}

static void logical_or_forward(const td_call *call)
{
	elementwise_forward(call, k_or);
}

static void logical_not_forward(const td_call *call)
{
	elementwise_forward(call, k_not);
}

static bool sample_logical(td_sample *s)
{
	for (int k = 0; k < s->n_in; k++) {
		s->in[k].classes = 2;
		if (s->in[k].shape.dtype == TD_F32)
			s->in[k].shape.dtype = TD_BOOL;
	}
	return true;
}

APPLY_BINARY(logical_and)
APPLY_BINARY(logical_or)
APPLY_UNARY(logical_not)

static bool logical_and_sample(int i, td_sample *s)
{
	s->apply = logical_and_apply;
	return elementwise_sample_binary(i, s, TD_FILL_LABELS, ANYTHING) && sample_logical(s);
}
static bool logical_or_sample(int i, td_sample *s)
{
	s->apply = logical_or_apply;
	return elementwise_sample_binary(i, s, TD_FILL_LABELS, ANYTHING) && sample_logical(s);
}
static bool logical_not_sample(int i, td_sample *s)
{
	s->apply = logical_not_apply;
	return elementwise_sample_unary(i, s, TD_FILL_LABELS, ANYTHING) && sample_logical(s);
}

TD_OP(logical_and, .n_in = 2, .n_out = 1, .inplace = 3, .broadcasts = true, .infer = logical_infer,
	.forward = { logical_and_forward }, .backward = td_nodiff, .sample = logical_and_sample)
TD_OP(logical_or, .n_in = 2, .n_out = 1, .inplace = 3, .broadcasts = true, .infer = logical_infer,
	.forward = { logical_or_forward }, .backward = td_nodiff, .sample = logical_or_sample)
TD_OP(logical_not, .n_in = 1, .n_out = 1, .inplace = 1, .infer = logical_infer, .forward = { logical_not_forward },
	.backward = td_nodiff, .sample = logical_not_sample)

/* a, b: broadcast -> bool. */
TD_API td_value *td_logical_and(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, logical_and, NULL, td_cast(c, a, TD_BOOL), td_cast(c, b, TD_BOOL)) : NULL;
}

TD_API td_value *td_logical_or(td_ctx *c, td_value *a, td_value *b)
{
	return a && b ? TD_APPLY(c, logical_or, NULL, td_cast(c, a, TD_BOOL), td_cast(c, b, TD_BOOL)) : NULL;
}

TD_API td_value *td_logical_not(td_ctx *c, td_value *x)
{
	return x ? TD_APPLY(c, logical_not, NULL, td_cast(c, x, TD_BOOL)) : NULL;
}

/* ---- where: y = a where the condition holds, else b -------------------------------------------------------------- */

static void where_infer(td_infer *q)
{
	const td_shape *condition = q->in[0];
	td_shape both, like = *condition;
	char text[TD_SHAPE_TEXT];

	if (condition->dtype != TD_BOOL) {
		td_fail(q->ctx, TD_DTYPE, "where chooses by a bool, not by %s; cast it to bool with td_cast",
			td_shape_text(condition, text));
		return;
	}
	like.dtype = q->in[1]->dtype;
	if (ops_broadcast(q, q->in[1], q->in[2], "where", &both))
		ops_broadcast(q, &both, &like, "where", &q->out[0]);
}

static void where_forward(const td_call *call)
{
	ops_choose(call, &call->out[0], &call->in[0], &call->in[1], &call->in[2]);
}

static void where_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	if (td_wants(n, 1))
		dx[1] = td_sum_like(c, td_masked_fill(c, dy[0], td_logical_not(c, n->in[0]), 0), n->in[1]);
	if (td_wants(n, 2))
		dx[2] = td_sum_like(c, td_masked_fill(c, dy[0], n->in[0], 0), n->in[2]);
}

static td_value *where_apply(td_ctx *c, td_value *const *in)
{
	return td_where(c, in[0], in[1], in[2]);
}

/* The condition as large as the result, smaller, and larger than both values. */
static bool where_sample(int i, td_sample *s)
{
	td_sample pair = { 0 };

	if (!elementwise_sample_binary(i, &pair, TD_FILL_NORMAL, ANYTHING))
		return false;
	s->apply = where_apply;
	if (i == 2 || i == 6)
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 2, 3, 1);
	else if (i == 1)
		SAMPLE_INPUT(s, TD_FILL_LABELS, TD_BOOL, 4, 1);
	else
		ops_sample_input(s, TD_FILL_LABELS, TD_BOOL, pair.in[0].shape.rank, pair.in[0].shape.dim);
	s->in[0].classes = 2;
	s->in[0].shape.order = pair.in[0].shape.order;
	s->in[1] = pair.in[0];
	s->in[2] = pair.in[1];
	s->n_in = 3;
	s->in[0].batched = pair.in[0].batched;
	if (i == 2) /* its first axis is not theirs */
		s->in[0].batched = s->in[1].batched = false;
	return true;
}

TD_OP(where, .n_in = 3, .n_out = 1, .inplace = 4, .broadcasts = true, .infer = where_infer,
	.forward = { where_forward }, .backward = where_backward, .sample = where_sample)

/* condition: bool; a, b: of one type; all broadcast.  What is not chosen has no influence, not even a NaN. */
TD_API td_value *td_where(td_ctx *c, td_value *condition, td_value *a, td_value *b)
{
	return condition && a && b ? TD_APPLY(c, where, NULL, condition, a, b) : NULL;
}
