/* Graphs: what tracing writes into.  Everything lives in the graph's arena; tensors that the trace met are captured,
 * each once, by a symbol that holds a reference. */
#include "core/core.h"

#include <stdio.h>
#include <string.h>

td_graph *td_graph_create(void)
{
	td_graph *g = MEM_NEW(td_graph);

	arena_init(&g->arena);
	map_init(&g->collection_names);
	map_init(&g->names);
	return g;
}

void td_graph_free(td_graph *g)
{
	if (!g)
		return;
	TD_ASSERT(!g->n_sessions);
	for (int i = 0; i < g->n_values; i++)
		td_unref(g->values[i]->captured);
	for (td_named_list *l = g->collections; l; l = l->next)
		mem_free(l->items);
	map_release(&g->collection_names);
	map_release(&g->names);
	arena_release(&g->arena);
	mem_free(g->control);
	mem_free(g->controls);
	mem_free(g->groups);
	for (int i = 0; i < g->n_functions; i++)
		td_function_free(g->functions[i]);
	mem_free(g->functions);
	mem_free(g->variables);
	mem_free(g->nodes);
	mem_free(g->values);
	ptrs_release(&g->captures);
	mem_free(g);
}

td_value *td__graph_value(td_graph *g, const td_shape *shape)
{
	td_value *v = arena_alloc(&g->arena, sizeof *v);

	v->shape = *shape;
	v->id = g->n_values;
	MEM_GROW(g->values, g->n_values, g->values_room);
	g->values[g->n_values++] = v;
	return v;
}

bool td__graph_open(td_ctx *c, const char *what)
{
	if (c->graph->finalised)
		td_fail(c, TD_CONFLICT,
			"%s cannot be added: the graph is finalised; record everything before td_graph_finalise", what);
	return !c->err.status;
}

void td__graph_add(td_graph *g, td_node *n)
{
	TD_ASSERT(!g->finalised);
	n->id = g->n_nodes;
	td__control_apply(g, n);
	MEM_GROW(g->nodes, g->n_nodes, g->nodes_room);
	g->nodes[g->n_nodes++] = n;
}

td_value *td__graph_capture(td_graph *g, td_value *tensor)
{
	void **symbol = ptrs_at(&g->captures, tensor);
	td_value *v = *symbol;

	if (v)
		return v;
	v = td__graph_value(g, &tensor->shape);
	v->captured = td_ref(tensor);
	v->needs_grad = tensor->needs_grad;
	v->name = arena_strdup(&g->arena, tensor->name);
	*symbol = v;
	return v;
}

void td_trace_begin(td_ctx *c, td_graph *g)
{
	TD_ASSERT(!c->graph);
	c->graph = g;
	g->n_scopes = c->n_scopes;
	c->n_random = g->n_random; /* positions count from the start of the step, and a graph is one step */
}

void td_trace_end(td_ctx *c)
{
	td_graph *g = c->graph;

	TD_ASSERT(g);
	if (g->n_controls || g->n_groups || c->n_scopes > g->n_scopes)
		td_fail(c, TD_INVALID, "the trace ends within %s that is still open",
			g->n_controls ? "a td_control_begin"
			: g->n_groups ? "a td_group_begin"
				      : "a td_scope_begin or td_name_push");
	while (g->n_controls)
		td_control_end(c);
	while (c->n_scopes > g->n_scopes)
		td_name_pop(c);
	g->n_groups = 0;
	for (int i = 0; i < g->n_values; i++)
		if (g->values[i]->captured && g->values[i]->captured->grad && g->values[i]->captured->grad->id >= 0)
			g->values[i]->captured->grad = NULL;
	g->traced = true;
	g->n_random = c->n_random;
	c->graph = NULL;
}

void td_graph_finalise(td_graph *g)
{
	g->finalised = true;
}

td_value *td_placeholder(td_ctx *c, const char *name, const td_shape *shape)
{
	td_shape example = *shape;
	uint32_t unknown = 0;
	char what[80];
	td_value *v;

	if (c->err.status)
		return NULL;
	TD_ASSERT(c->graph);
	snprintf(what, sizeof what, "the placeholder \"%.40s\"", name);
	if (!td__graph_open(c, what))
		return NULL;
	for (int i = 0; i < shape->rank; i++)
		if (shape->dim[i] < 0) {
			example.dim[i] = TD_UNKNOWN(shape->dim[i]); /* it is its own reverse */
			unknown |= 1u << i;
		}
	v = td__graph_value(c->graph, &example);
	v->placeholder = true;
	v->unknown = unknown;
	v->name = arena_strdup(&c->graph->arena, name);
	return v;
}

static void show_input(const td_value *v, void (*each)(void *arg, const td_node_view *node), void *arg)
{
	each(arg, &(td_node_view){ .id = v->id, .name = td_name_of(v), .shape = v->shape });
}

/* Nodes go by the id of their first output; a node without outputs, by the first id past all values and its place. */
void td__show_nodes(const td_graph *g, td_node *const *nodes, int n_nodes,
	void (*each)(void *arg, const td_node_view *node), void *arg)
{
	bool *used = MEM_NEW_N(bool, g->n_values + 1);

	for (int k = 0; k < n_nodes; k++)
		for (int i = 0; i < nodes[k]->n_in; i++)
			if (nodes[k]->in[i])
				used[nodes[k]->in[i]->id] = true;
	for (int i = 0; i < g->n_values; i++)
		if (used[i] && !g->values[i]->producer)
			show_input(g->values[i], each, arg);
	for (int k = 0; k < n_nodes; k++) {
		const td_node *n = nodes[k];
		int inputs[TD_MOST_IN], n_inputs = 0;

		for (int i = 0; i < n->n_in; i++) {
			const td_value *v = n->in[i];

			if (v)
				inputs[n_inputs++] = v->producer ? v->producer->out[0]->id : v->id;
		}
		each(arg, &(td_node_view){ .id = n->n_out ? n->out[0]->id : g->n_values + k,
				  .op = n->op->name,
				  .name = n->layer,
				  .shape = n->n_out   ? n->out[0]->shape
					   : n->in[0] ? n->in[0]->shape
						      : (td_shape){ 0 },
				  .inputs = inputs,
				  .n_inputs = n_inputs,
				  .backward = n->backward });
	}
	mem_free(used);
}

void td_graph_each_node(const td_graph *g, void (*each)(void *arg, const td_node_view *node), void *arg)
{
	td__show_nodes(g, g->nodes, g->n_nodes, each, arg);
}
