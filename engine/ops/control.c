/* Ops that compute nothing: what they run after is all there is to them. */
#include "ops/ops.h"

#include "td_ops.h"

/* ---- no_op: nothing; a graph's groups are made of it (core/control.c) -------------------------------------------- */

static void no_op_infer(td_infer *q)
{
	(void)q;
}

static void no_op_forward(const td_call *call)
{
	(void)call;
}

static td_value *no_op_apply(td_ctx *c, td_value *const *in)
{
	(void)in;
	td_no_op(c);
	return NULL;
}

static bool no_op_sample(int i, td_sample *s)
{
	s->apply = no_op_apply;
	return i < 1;
}

TD_OP(no_op, .n_in = 0, .n_out = 0, .infer = no_op_infer, .forward = { no_op_forward }, .backward = td_nodiff,
	.sample = no_op_sample)

TD_API void td_no_op(td_ctx *c)
{
	td_apply(c, &td_op_no_op, NULL, NULL, 0);
}
