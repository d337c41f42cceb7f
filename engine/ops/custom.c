/* Functions that bring their own gradient rule.  The function itself runs without being recorded; what is recorded is
 * one view of its result, which knows the inputs and whom to ask for their gradients. */
#include "core/core.h"
#include "ops/ops.h"

/* ---- custom ------------------------------------------------------------------------------------------------------ */

/* y = f(x1, x2, ...), of which forward sees nothing: input 0 is y itself, and the others are there for backward. */
typedef struct custom_attrs {
	td_custom f;
	int n_in; /* without y; the last of them may have been left out */
} custom_attrs;

static const td_field custom_fields[] = { TD_FIELD(custom_attrs, f), TD_FIELD(custom_attrs, n_in), { 0 } };

static void custom_infer(td_infer *q)
{
	q->out[0] = *q->in[0];
}

static void custom_backward(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	const custom_attrs *a = n->attrs;

	td_name_push(c, a->f.name);
	a->f.backward(c, a->f.arg, &n->in[1], a->n_in, n->in[0], dy[0], &dx[1]);
	td_name_pop(c);
	for (int i = 1; i <= a->n_in; i++) {
		char got[TD_SHAPE_TEXT], want[TD_SHAPE_TEXT];

		if (dx[i] && n->in[i] && !td_shape_same(&dx[i]->shape, &n->in[i]->shape))
			td_fail(c, TD_SHAPE,
				"the function %s gave its input %d, which is %s, a gradient %s; it has to be "
				"of the same type and sizes",
				a->f.name, i - 1, td_shape_text(&n->in[i]->shape, want),
				td_shape_text(&dx[i]->shape, got));
	}
}

static td_value *cube(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	(void)arg;
	(void)n_in;
	return td_mul(c, td_square(c, in[0]), in[0]);
}

static void cube_backward(td_ctx *c, void *arg, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx)
{
	td_value *square = td_square(c, in[0]);

	(void)arg;
	(void)n_in;
	(void)y;
	dx[0] = td_mul(c, dy, td_add(c, square, td_add(c, square, square)));
}

static td_value *custom_apply(td_ctx *c, td_value *const *in)
{
	static const td_custom f = { .name = "cube", .forward = cube, .backward = cube_backward };

	return td_custom_call(c, &f, in, 1);
}

static bool custom_sample(int i, td_sample *s)
{
	static const int64_t sizes[] = { 3, 0, 7 };

	if (i >= (int)TD_COUNT(sizes))
		return false;
	s->n_in = 1;
	s->in[0].shape = (td_shape){ .dtype = TD_F32, .rank = 2, .dim = { 2, sizes[i] } };
	s->in[0].batched = true;
	s->apply = custom_apply;
	return true;
}

/* Every input but the result is optional: a function takes as many as it likes. */
TD_OP(custom, .n_in = TD_CUSTOM_MOST_IN + 1, .n_out = 1, .optional = 0xfffe, .view = true,
	.attrs_size = sizeof(custom_attrs), .fields = custom_fields, .infer = custom_infer, .backward = custom_backward,
	.sample = custom_sample)

td_value *td_custom_call(td_ctx *c, const td_custom *f, td_value *const *in, int n_in)
{
	td_value *all[TD_MOST_IN] = { 0 };
	custom_attrs a = { *f, n_in };

	if (c->err.status)
		return NULL;
	TD_ASSERT(n_in >= 1 && n_in <= TD_CUSTOM_MOST_IN);
	td_no_grad_begin(c);
	td_name_push(c, f->name);
	all[0] = f->forward(c, f->arg, in, n_in);
	td_name_pop(c);
	td_no_grad_end(c);
	if (c->err.status)
		return NULL;
	if (!all[0])
		return td_fail(
			c, TD_INVALID, "the function %s gave no result; its forward returns what it computed", f->name);
	for (int i = 0; i < n_in; i++)
		all[i + 1] = in[i];
	return td_apply(c, &td_op_custom, &a, all, n_in + 1);
}
