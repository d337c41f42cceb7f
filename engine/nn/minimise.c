/* An optimizer of the table in a graph of TensorFlow's kind: one operation that takes a step.  What it keeps for each
 * variable is a variable of the graph, so a session saves and restores it like any other. */
#include "nn/learn.h"

#include "td_ops.h"

/* The variable STATE of VARIABLE in the present scope, which the optimizer fills with START. */
static td_value *state_variable(td_ctx *c, const td_value *variable, const char *state, double start)
{
	char *name = mem_printf("%s.%s", td_name_of(variable), state);
	td_init init = { .kind = TD_INIT_CONSTANT, .a = start };
	td_value *v = td_get_variable(c, name, td_shape_of(variable), &init, false);

	mem_free(name);
	return v;
}

/* U has everything but what depends on the variable. */
static void write_update(td_ctx *c, const struct opt_choice *optimizer, td_value *factor, struct nn_update u)
{
	const struct nn_optimizer_type *type = (const struct nn_optimizer_type *)optimizer->type;
	char shape[TD_SHAPE_TEXT];

	u.group = nn_optimizer_group(optimizer->options, td_name_of(u.param));
	u.weight_decay = nn_group_weight_decay(optimizer->options, u.group);
	u.lr = td_scale_by(c, factor, nn_group_lr(optimizer->options, u.group));
	if (type->takes && !type->takes(optimizer->options, u.group, td_shape_of(u.param))) {
		td_fail(c, TD_INVALID,
			"%s does not update the variable \"%s\", which is %s; give it to another optimizer",
			type->type.name, td_name_of(u.param), td_shape_text(td_shape_of(u.param), shape));
		return;
	}
	for (int k = 0; k < type->n_state(optimizer->options, u.group); k++)
		u.state[k] = state_variable(c, u.param, type->state_name(optimizer->options, u.group, k),
			type->state_start ? type->state_start(optimizer->options) : 0);
	if (!td_error(c)->status)
		type->update(c, optimizer->options, &u);
}

td_node *nn_minimise(td_ctx *c, td_graph *g, const char *name, const struct opt_choice *optimizer, td_value *loss,
	const char *scope, td_value *factor)
{
	int n = td_variables(g, scope, TD_TRAINABLE, NULL, 0);
	td_value **variables = MEM_NEW_N(td_value *, n + 1), **grads = MEM_NEW_N(td_value *, n + 1);
	td_value *one = td_scalar(c, TD_F32, 1), *t;
	td_shape scalar = td_shape_make(TD_F32, 0);
	td_node *train;

	td_variables(g, scope, TD_TRAINABLE, variables, n);
	td_group_begin(c);
	td_gradients(c, &loss, NULL, 1, variables, n, 0, grads);
	td_no_grad_begin(c);
	td_scope_begin(c, name, TD_REUSE_INHERIT);
	t = td_get_variable(c, "step", &scalar, &TD_ZEROS, false);
	t = td_assign_add(c, t, one);
	for (int i = 0; i < n && !td_error(c)->status; i++)
		if (grads[i])
			write_update(c, optimizer, factor ? factor : one,
				(struct nn_update){ .param = variables[i], .grad = grads[i], .t = t, .gate = one });
	td_scope_end(c);
	td_no_grad_end(c);
	train = td_group_end(c, name);
	td_unref(one);
	mem_free(variables);
	mem_free(grads);
	return train;
}
