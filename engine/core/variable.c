/* Variables of a graph: found by name in scopes.  A variable is a captured tensor with an entry in the graph's list; it
 * has no struct of its own among values. */
#include "core/core.h"

#include <string.h>

#include "td_ops.h"

/* ---- Scopes ------------------------------------------------------------------------------------------------------ */

void td_scope_begin(td_ctx *c, const char *name, enum td_reuse reuse)
{
	enum td_reuse outside = td__reuse_now(c);

	TD_ASSERT(c->graph);
	td__scope_push(c, name, reuse == TD_REUSE_INHERIT || outside == TD_REUSE_ALWAYS ? outside : reuse);
}

void td_scope_end(td_ctx *c)
{
	TD_ASSERT(c->graph);
	td_name_pop(c);
}

/* ---- Variables --------------------------------------------------------------------------------------------------- */

static td_variable *find_variable(const td_graph *g, const char *name)
{
	for (int i = 0; i < g->n_variables; i++)
		if (!strcmp(g->variables[i].name, name))
			return &g->variables[i];
	return NULL;
}

td_value *td__variable_add(td_ctx *c, const char *name, const td_shape *shape, const td_init *init, bool trainable)
{
	td_graph *g = c->graph;
	td_value *tensor = td_tensor(c, shape, NULL), *symbol;

	if (!tensor)
		return NULL;
	td_set_name(tensor, name);
	if (trainable && td__is_float(shape->dtype))
		td_require_grad(c, tensor, true);
	symbol = td__graph_capture(g, tensor);
	td_unref(tensor); /* the graph holds it now */
	MEM_GROW(g->variables, g->n_variables, g->variables_room);
	g->variables[g->n_variables++] = (td_variable){
		.name = arena_strdup(&g->arena, name), .symbol = symbol, .init = *init, .trainable = trainable
	};
	return symbol;
}

/* The variable NAME as a reuse: it must be what is asked for. */
static td_value *reuse(td_ctx *c, const td_variable *v, const td_shape *shape)
{
	char want[TD_SHAPE_TEXT], is[TD_SHAPE_TEXT];

	if (td_shape_same(&v->symbol->shape, shape))
		return v->symbol;
	return td_fail(c, TD_SHAPE, "the variable \"%s\" is %s and is asked for again as %s", v->name,
		td_shape_text(&v->symbol->shape, is), td_shape_text(shape, want));
}

static td_value *get_variable(td_ctx *c, const char *name, const td_shape *shape, const td_init *init, bool trainable)
{
	enum td_reuse mode = td__reuse_now(c);
	const td_variable *old = find_variable(c->graph, name);
	char text[TD_SHAPE_TEXT];

	if (old && mode == TD_REUSE_INHERIT)
		return td_fail(c, TD_CONFLICT,
			"there is a variable \"%s\" already; open its scope with TD_REUSE_ALWAYS or TD_REUSE_AUTO to "
			"share it",
			name);
	if (old)
		return reuse(c, old, shape);
	if (mode == TD_REUSE_ALWAYS)
		return td_fail(c, TD_NOT_FOUND,
			"there is no variable \"%s\" to reuse; make it first, or open its scope with TD_REUSE_AUTO",
			name);
	if (!td__graph_open(c, name))
		return NULL;
	if (!td__shape_sane(shape))
		return td_fail(c, TD_INVALID,
			"the variable \"%s\" cannot be %s: every size is known, and all of it fits into memory", name,
			td_shape_text(shape, text));
	return td__variable_add(c, name, shape, init, trainable);
}

td_value *td_get_variable(td_ctx *c, const char *name, const td_shape *shape, const td_init *init, bool trainable)
{
	td_value *v;
	char *path;

	if (c->err.status)
		return NULL;
	TD_ASSERT(c->graph);
	path = mem_printf("%s%s%s", c->layer, *c->layer ? "." : "", name);
	v = get_variable(c, path, shape, init ? init : &TD_GLOROT_UNIFORM, trainable);
	mem_free(path);
	return v;
}

td_value *td_variable_tensor(const td_value *variable)
{
	const td_value *base = td__base((td_value *)(uintptr_t)variable); /* what td_assign returned is a view of it */

	TD_ASSERT(base->captured);
	return base->captured;
}

bool td_variable_has_value(const td_value *variable)
{
	return td_variable_tensor(variable)->storage->version > 0;
}

static bool within(const char *name, const char *scope)
{
	size_t n = scope ? strlen(scope) : 0;

	return !n || (!strncmp(name, scope, n) && name[n] == '.');
}

int td_variables(const td_graph *g, const char *scope, enum td_which which, td_value **out, int most)
{
	int n = 0;

	for (int i = 0; i < g->n_variables; i++) {
		const td_variable *v = &g->variables[i];

		if (!(which & (v->trainable ? TD_TRAINABLE : TD_NOT_TRAINABLE)) || !within(v->name, scope))
			continue;
		if (n < most)
			out[n] = v->symbol;
		n++;
	}
	return n;
}

td_node *td_initialise_variables(td_ctx *c)
{
	td_graph *g = c->graph;

	TD_ASSERT(g);
	td_group_begin(c);
	td_no_grad_begin(c);
	for (int i = 0; i < g->n_variables; i++)
		td_initialise(c, g->variables[i].symbol, &g->variables[i].init, g->variables[i].name);
	td_no_grad_end(c);
	return td_group_end(c, "initialise_variables");
}

static td_value *assign_changed(td_ctx *c, td_value *variable, td_value *delta,
	td_value *(*change)(td_ctx *c, td_value *variable, td_value *delta))
{
	td_value *result;

	td_no_grad_begin(c);
	result = td_assign(c, variable, change(c, variable, delta));
	td_no_grad_end(c);
	return result;
}

td_value *td_assign_add(td_ctx *c, td_value *variable, td_value *delta)
{
	return assign_changed(c, variable, delta, td_add);
}

td_value *td_assign_sub(td_ctx *c, td_value *variable, td_value *delta)
{
	return assign_changed(c, variable, delta, td_sub);
}
