/* Control: what runs before what although no value goes from one to the other, and operations that stand for several.
 *
 * A node is kept with what it runs after, and nodes run in the order in which they were recorded, so a dependency never
 * changes an order: it only says what is needed. */
#include "core/core.h"

#include <string.h>

#include "td_ops.h"

/* The nodes of ITEMS are added to the list in force.  False: C has the error. */
static bool gather(td_ctx *c, const td_fetch *items, int n, int depth)
{
	td_graph *g = c->graph;

	if (depth > TD_FETCH_DEPTH_MOST)
		return td_fail(c, TD_INVALID, "lists to wait for are nested deeper than %d", TD_FETCH_DEPTH_MOST),
		       false;
	for (int i = 0; i < n; i++) {
		td_node *node = items[i].value ? items[i].value->producer : items[i].operation;

		if (items[i].list && !gather(c, items[i].list, items[i].n, depth + 1))
			return false;
		if (!node)
			continue; /* an input of the graph is there without running */
		if (!td__graph_has_node(g, node))
			return td_fail(c, TD_INVALID,
				       "%s, which is to be waited for, is not of the graph that is traced",
				       node->op->name),
			       false;
		MEM_GROW(g->control, g->n_control, g->control_room);
		g->control[g->n_control++] = node;
	}
	return true;
}

void td_control_begin(td_ctx *c, const td_fetch *before, int n)
{
	td_graph *g = c->graph;

	if (!g)
		return;
	MEM_GROW(g->controls, g->n_controls, g->controls_room);
	g->controls[g->n_controls++] = g->n_control;
	if (!c->err.status)
		gather(c, before, n, 0);
}

void td_control_end(td_ctx *c)
{
	td_graph *g = c->graph;

	if (!g)
		return;
	TD_ASSERT(g->n_controls);
	g->n_control = g->controls[--g->n_controls];
}

void td__control_apply(td_graph *g, td_node *n)
{
	n->n_after = g->n_control;
	n->after = arena_alloc(&g->arena, sizeof(td_node *) * (size_t)TD_MAX(g->n_control, 1));
	if (g->n_control)
		memcpy(n->after, g->control, sizeof(td_node *) * (size_t)g->n_control);
	if (n->op->writes && n->op->n_out)
		td__collect(g, TD_UPDATES, (td_fetch){ .operation = n });
}

td_node *td_last_operation(const td_ctx *c)
{
	return c->graph && c->graph->n_nodes && !c->err.status ? c->graph->nodes[c->graph->n_nodes - 1] : NULL;
}

td_node *td_group(td_ctx *c, const char *name, const td_fetch *items, int n)
{
	td_node *group;

	if (!c->graph)
		return NULL;
	td_control_begin(c, items, n);
	td_no_op(c);
	td_control_end(c);
	group = td_last_operation(c);
	if (group)
		group->name = arena_strdup(&c->graph->arena, name);
	return group;
}

void td_group_begin(td_ctx *c)
{
	td_graph *g = c->graph;

	if (!g)
		return;
	MEM_GROW(g->groups, g->n_groups, g->groups_room);
	g->groups[g->n_groups++] = g->n_nodes;
}

td_node *td_group_end(td_ctx *c, const char *name)
{
	td_graph *g = c->graph;
	td_fetch *items;
	td_node *group;
	int first, n = 0;

	if (!g)
		return NULL;
	TD_ASSERT(g->n_groups);
	first = g->groups[--g->n_groups];
	items = MEM_NEW_N(td_fetch, g->n_nodes - first + 1);
	for (int k = first; k < g->n_nodes; k++)
		if (g->nodes[k]->op->writes)
			items[n++] = TD_OPERATION(g->nodes[k]);
	group = td_group(c, name, items, n);
	mem_free(items);
	return group;
}

/* ---- Collections ------------------------------------------------------------------------------------------------- */

void td__collect(td_graph *g, const char *collection, td_fetch item)
{
	td_named_list *l = map_get(&g->collection_names, collection);

	if (!l) {
		l = arena_alloc(&g->arena, sizeof *l);
		l->name = arena_strdup(&g->arena, collection);
		*(g->collections ? &g->last_collection->next : &g->collections) = l;
		g->last_collection = l;
		map_put(&g->collection_names, collection, l);
	}
	MEM_GROW(l->items, l->n, l->room);
	l->items[l->n++] = item;
}

void td_collect(td_ctx *c, const char *collection, td_fetch item)
{
	TD_ASSERT(!item.list);
	if (c->graph && !c->err.status && (item.value || item.operation))
		td__collect(c->graph, collection, item);
}

const td_fetch *td_collection(const td_graph *g, const char *collection, int *n)
{
	const td_named_list *l = map_get(&g->collection_names, collection);

	*n = l ? l->n : 0;
	return l ? l->items : NULL;
}
