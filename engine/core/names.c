/* Names: a path for every node and every value of a graph, each unique.
 *
 * They are made when someone asks, in the order of recording, so equal programs give equal names: a node is its layer's
 * path and its op ("fc.linear"), an output adds its number ("fc.linear:1"), an input of the graph is called as it was
 * named.  Whatever is taken already gets a number ("fc.linear_1"). */
#include "core/core.h"

#include <stdlib.h>
#include <string.h>

/* What a name stands for. */
typedef struct td_named {
	td_value *source; /* an input of the graph, or NULL */
	td_node *node;    /* a node, or NULL */
	int next;         /* number for the next one that would have this name */
} td_named;

/* The unique form of NAME, for ENTRY. */
static const char *claim(td_graph *g, const char *name, td_value *source, td_node *node)
{
	td_named *taken = map_get(&g->names, name), *entry = arena_alloc(&g->arena, sizeof *entry);
	char *unique;

	entry->source = source;
	entry->node = node;
	if (!taken) {
		map_put(&g->names, name, entry);
		return arena_strdup(&g->arena, name);
	}
	do {
		char *candidate = mem_printf("%s_%d", name, ++taken->next);
		unique = arena_strdup(&g->arena, candidate);
		mem_free(candidate);
	} while (map_get(&g->names, unique));
	map_put(&g->names, unique, entry);
	return unique;
}

static void name_source(td_graph *g, td_value *v)
{
	v->name = claim(g, v->name && *v->name ? v->name : v->placeholder ? "placeholder" : "constant", v, NULL);
}

static void name_node(td_graph *g, td_node *n)
{
	char *path = mem_printf("%s%s%s", n->layer, *n->layer ? "." : "", n->name ? n->name : n->op->name);

	n->path = claim(g, path, NULL, n);
	mem_free(path);
}

void td__name_node(td_graph *g, td_node *n, const char *path)
{
	n->path = claim(g, path, NULL, n);
}

void td__graph_index(td_graph *g)
{
	for (; g->n_named_values < g->n_values; g->n_named_values++)
		if (!g->values[g->n_named_values]->producer)
			name_source(g, g->values[g->n_named_values]);
	for (; g->n_named_nodes < g->n_nodes; g->n_named_nodes++)
		if (!g->nodes[g->n_named_nodes]->path)
			name_node(g, g->nodes[g->n_named_nodes]);
}

static td_value *output(const td_named *named, int i)
{
	if (!named || i < 0)
		return NULL;
	if (named->source)
		return i ? NULL : named->source;
	return i < named->node->n_out ? named->node->out[i] : NULL;
}

td_value *td_graph_find(td_graph *g, const char *name)
{
	const char *colon = strrchr(name, ':');
	td_value *found;
	char *path, *end;
	long i;

	td__graph_index(g);
	found = output(map_get(&g->names, name), 0); /* a name may have a colon of its own */
	if (found || !colon)
		return found;
	i = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || *end || i < 0 || i >= TD_MOST_OUT)
		return NULL;
	path = mem_strndup(name, (size_t)(colon - name));
	found = output(map_get(&g->names, path), (int)i);
	mem_free(path);
	return found;
}

td_node *td_graph_find_operation(td_graph *g, const char *name)
{
	const td_named *named;

	td__graph_index(g);
	named = map_get(&g->names, name);
	return named ? named->node : NULL;
}

const char *td_graph_name_of(td_graph *g, const td_value *v)
{
	td_value *own = g->values[v->id];

	td__graph_index(g);
	if (v->producer && !v->name) {
		char *name = mem_printf("%s:%d", v->producer->path, v->out);
		own->name = arena_strdup(&g->arena, name);
		mem_free(name);
	}
	return td_name_of(v);
}
