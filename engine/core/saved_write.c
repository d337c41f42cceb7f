/* A graph as a file that people can read: written here (see saved_graph.h for the words). */
#include "core/saved_graph.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"

static cJSON *add_new(cJSON *object, const char *name, cJSON *v)
{
	cJSON_AddItemToObject(object, name, v);
	return v;
}

static void add_shape(cJSON *object, const td_value *v)
{
	cJSON *dims;

	cJSON_AddStringToObject(object, "dtype", td_dtype_name(v->shape.dtype));
	if (v->shape.order != TD_ROW_MAJOR)
		cJSON_AddStringToObject(object, "order", td__saved_orders[v->shape.order]);
	dims = add_new(object, "shape", cJSON_CreateArray());
	for (int i = 0; i < v->shape.rank; i++) {
		char text[SAVED_INTEGER_LETTERS];

		snprintf(text, sizeof text, "?%lld", (long long)v->shape.dim[i]);
		cJSON_AddItemToArray(dims,
			v->unknown >> i & 1 ? cJSON_CreateString(text) : cJSON_CreateNumber((double)v->shape.dim[i]));
	}
}

static void add_elements(cJSON *object, const td_value *tensor)
{
	int64_t n = td_shape_count(&tensor->shape);
	void *bytes = mem_alloc(td_shape_bytes(&tensor->shape) + 1);
	cJSON *data = add_new(object, "data", cJSON_CreateArray());

	td_read(tensor, bytes);
	for (int64_t i = 0; i < n; i++)
		cJSON_AddItemToArray(data, td__saved_element(tensor->shape.dtype, bytes, i));
	mem_free(bytes);
}

/* VARIABLE: what V is, or NULL. */
static cJSON *input_entry(const td_value *v, const td_variable *variable)
{
	bool constant = v->captured && !variable && !*td_name_of(v->captured) &&
			td_shape_count(&v->shape) <= SAVED_CONSTANT_MOST;
	int kind = v->placeholder ? SAVED_PLACEHOLDER : constant ? SAVED_CONSTANT : SAVED_VARIABLE;
	cJSON *entry = cJSON_CreateObject(), *init;

	cJSON_AddStringToObject(entry, "name", td_name_of(v));
	cJSON_AddStringToObject(entry, "kind", td__saved_kinds[kind]);
	add_shape(entry, v);
	if (v->needs_grad)
		cJSON_AddTrueToObject(entry, "gradient");
	if (constant)
		add_elements(entry, v->captured);
	if (!variable)
		return entry;
	init = add_new(entry, "initial", cJSON_CreateObject());
	cJSON_AddStringToObject(init, "kind", td__saved_inits[variable->init.kind]);
	cJSON_AddStringToObject(init, "fan", td__saved_fans[variable->init.fan]);
	cJSON_AddItemToObject(init, "a", json_number(variable->init.a));
	cJSON_AddItemToObject(init, "b", json_number(variable->init.b));
	return entry;
}

static void add_attributes(cJSON *entry, const td_node *n)
{
	cJSON *attributes = add_new(entry, "attributes", cJSON_CreateObject());

	for (const td_field *f = n->op->fields; f && f->name; f++) {
		const char *at = (const char *)n->attrs + f->at;
		cJSON *list;

		if (!f->count) {
			cJSON_AddItemToObject(attributes, f->name, td__saved_field(f->kind, at, 0));
			continue;
		}
		list = add_new(attributes, f->name, cJSON_CreateArray());
		for (int i = 0; i < f->count; i++)
			cJSON_AddItemToArray(list, td__saved_field(f->kind, at, i));
	}
}

static cJSON *node_entry(td_graph *g, const td_node *n)
{
	cJSON *entry = cJSON_CreateObject(), *list;
	bool gradient = false;

	cJSON_AddStringToObject(entry, "name", n->path);
	cJSON_AddStringToObject(entry, "op", n->op->name);
	if (*n->layer)
		cJSON_AddStringToObject(entry, "layer", n->layer);
	if (n->op->attrs_size)
		add_attributes(entry, n);
	list = add_new(entry, "inputs", cJSON_CreateArray());
	for (int i = 0; i < n->n_in; i++)
		cJSON_AddItemToArray(
			list, n->in[i] ? cJSON_CreateString(td_graph_name_of(g, n->in[i])) : cJSON_CreateNull());
	if (n->n_after)
		list = add_new(entry, "after", cJSON_CreateArray());
	for (int i = 0; i < n->n_after; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(n->after[i]->path));
	for (int i = 0; i < n->op->n_out; i++)
		gradient |= n->out[i]->needs_grad;
	if (gradient)
		cJSON_AddTrueToObject(entry, "gradient");
	if (n->backward)
		cJSON_AddTrueToObject(entry, "backward");
	return entry;
}

/* ENTRY, which is deleted, on a line of its own. */
static void put_entry(struct buf *out, bool *first, cJSON *entry)
{
	char *text = json_print(entry);

	buf_puts(out, *first ? "\n  " : ",\n  ");
	buf_puts(out, text);
	*first = false;
	mem_free(text);
	cJSON_Delete(entry);
}

static cJSON *collections(td_graph *g)
{
	cJSON *all = cJSON_CreateObject();

	for (const td_named_list *l = g->collections; l; l = l->next) {
		cJSON *list = add_new(all, l->name, cJSON_CreateArray());

		for (int i = 0; i < l->n; i++)
			cJSON_AddItemToArray(
				list, cJSON_CreateString(l->items[i].value ? td_graph_name_of(g, l->items[i].value)
									   : l->items[i].operation->path));
	}
	return all;
}

td_status td_graph_save(td_graph *g, struct buf *out, struct err *e)
{
	bool first = true;
	int n = 0; /* variables so far */

	td__graph_index(g);
	for (int k = 0; k < g->n_nodes; k++)
		if (g->nodes[k]->op->attrs_size && !g->nodes[k]->op->fields)
			return err_set(e, TD_UNSUPPORTED,
				"%s cannot be saved: the op %s does not describe its attributes", g->nodes[k]->path,
				g->nodes[k]->op->name);
	buf_printf(
		out, "{\"tandem_graph\": %d, \"random\": %lld,\n \"inputs\": [", SAVED_VERSION, (long long)g->n_random);
	for (int i = 0; i < g->n_values; i++) {
		const td_value *v = g->values[i];
		bool is_variable = n < g->n_variables && g->variables[n].symbol == v; /* both in order of creation */

		if (!v->producer)
			put_entry(out, &first, input_entry(v, is_variable ? &g->variables[n++] : NULL));
	}
	buf_puts(out, "],\n \"nodes\": [");
	first = true;
	for (int k = 0; k < g->n_nodes; k++)
		put_entry(out, &first, node_entry(g, g->nodes[k]));
	buf_puts(out, "],\n \"collections\": ");
	first = true;
	put_entry(out, &first, collections(g));
	buf_puts(out, "}\n");
	return out->full ? err_set(e, TD_TOO_LARGE, "the graph's text is larger than %zu bytes", out->cap) : TD_OK;
}
