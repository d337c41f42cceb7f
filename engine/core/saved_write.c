/* A graph as a file that people can read: written here (see saved_graph.h for the words). */
#include "core/saved_graph.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "core/function.h"

#define INDENT 2 /* blanks before an entry, for each graph around it */

struct saving {
	td_graph *whole; /* the outermost */
	struct buf *out;
	struct err *e;
	int depth;       /* functions around the graph that is written */
	int n_functions; /* so far */
};

static const td_trace *trace_of(const td_node *n, const td_field *f)
{
	return *(const td_trace **)((char *)n->attrs + f->at);
}

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

static bool is_constant(const td_value *v)
{
	return v->captured && !*td_name_of(v->captured) && td_shape_count(&v->shape) <= SAVED_CONSTANT_MOST;
}

/* Of a function's graph: what stands for a tensor of the whole graph, which has been given a symbol for each that is no
 * constant. */
static const td_value *outside(const struct saving *s, const td_value *v)
{
	void **symbol = s->depth && v->captured ? ptrs_at(&s->whole->captures, v->captured) : NULL;

	return symbol ? *symbol : NULL;
}

/* VARIABLE: what V is, or NULL. */
static cJSON *input_entry(const struct saving *s, const td_value *v, const td_variable *variable)
{
	const td_value *of = outside(s, v);
	bool constant = !variable && is_constant(v);
	int kind = v->placeholder ? SAVED_PLACEHOLDER : of ? SAVED_OUTER : constant ? SAVED_CONSTANT : SAVED_VARIABLE;
	cJSON *entry = cJSON_CreateObject(), *init;

	cJSON_AddStringToObject(entry, "name", td_name_of(v));
	cJSON_AddStringToObject(entry, "kind", td__saved_kinds[kind]);
	if (of) {
		cJSON_AddStringToObject(entry, "of", td_name_of(of));
		return entry;
	}
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

		if (f->kind == TD_FIELD_FUNCTION)
			continue;
		if (!f->count) {
			cJSON_AddItemToObject(attributes, f->name, td__saved_field(f->kind, at, 0));
			continue;
		}
		list = add_new(attributes, f->name, cJSON_CreateArray());
		for (int i = 0; i < f->count; i++)
			cJSON_AddItemToArray(list, td__saved_field(f->kind, at, i));
	}
}

/* What runs functions could take many inputs and is given few: those left out at the end are not told. */
static int count_inputs(const td_node *n)
{
	bool flow = false;
	int n_in = n->n_in;

	for (const td_field *f = n->op->fields; f && f->name; f++)
		flow |= f->kind == TD_FIELD_FUNCTION;
	while (flow && n_in && !n->in[n_in - 1])
		n_in--;
	return n_in;
}

static cJSON *node_entry(td_graph *g, const td_node *n)
{
	cJSON *entry = cJSON_CreateObject(), *list;
	bool gradient = false;
	int n_in = count_inputs(n);

	cJSON_AddStringToObject(entry, "name", n->path);
	cJSON_AddStringToObject(entry, "op", n->op->name);
	if (*n->layer)
		cJSON_AddStringToObject(entry, "layer", n->layer);
	if (n->op->attrs_size)
		add_attributes(entry, n);
	list = add_new(entry, "inputs", cJSON_CreateArray());
	for (int i = 0; i < n_in; i++)
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

/* A line for an entry. */
static void begin_line(const struct saving *s, bool *first)
{
	buf_printf(s->out, "%s\n%*s", *first ? "" : ",", (1 + 2 * s->depth) * INDENT, "");
	*first = false;
}

/* ENTRY, which is deleted, without its closing brace. */
static void put_open(const struct saving *s, cJSON *entry)
{
	char *text = json_print(entry);

	text[strlen(text) - 1] = '\0';
	buf_puts(s->out, text);
	mem_free(text);
	cJSON_Delete(entry);
}

static void put_inputs(struct saving *s, td_graph *g)
{
	bool first = true;
	int n = 0; /* variables so far */

	for (int i = 0; i < g->n_values; i++) {
		const td_value *v = g->values[i];
		bool is_variable = n < g->n_variables && g->variables[n].symbol == v; /* both in order of creation */
		const td_variable *variable = is_variable ? &g->variables[n++] : NULL;

		if (v->producer)
			continue;
		begin_line(s, &first);
		put_open(s, input_entry(s, v, variable));
		buf_puts(s->out, "}");
	}
}

static void put_nodes(struct saving *s, td_graph *g);

static void put_text(struct saving *s, const char *before, const char *text)
{
	cJSON *v = cJSON_CreateString(text);
	char *quoted = json_print(v);

	buf_printf(s->out, "%s%s", before, quoted);
	mem_free(quoted);
	cJSON_Delete(v);
}

/* T as an object of several lines. */
static void put_function(struct saving *s, const td_trace *t)
{
	int in = ++s->depth * 2 * INDENT;

	td__graph_index(t->graph);
	put_text(s, "{\"name\": ", td__function_name(t->function));
	buf_printf(s->out, ",\n%*s\"inputs\": [", in, "");
	put_inputs(s, t->graph);
	buf_printf(s->out, "],\n%*s\"nodes\": [", in, "");
	put_nodes(s, t->graph);
	buf_printf(s->out, "],\n%*s\"results\": ", in, "");
	for (int i = 0; i < td__function_results(t->function); i++)
		put_text(s, i ? ", " : "[", td_graph_name_of(t->graph, t->result[i]));
	buf_puts(s->out, "]}");
	s->depth--;
}

static void put_nodes(struct saving *s, td_graph *g)
{
	bool first = true;

	for (int k = 0; k < g->n_nodes && !s->out->full; k++) {
		const td_node *n = g->nodes[k];
		int n_functions = 0;

		begin_line(s, &first);
		put_open(s, node_entry(g, n));
		for (const td_field *f = n->op->fields; f && f->name; f++) {
			if (f->kind != TD_FIELD_FUNCTION)
				continue;
			buf_printf(s->out, "%s\n%*s\"%s\": ", n_functions++ ? "," : ", \"functions\": {",
				(1 + 2 * s->depth) * INDENT + 1, "", f->name);
			put_function(s, trace_of(n, f));
		}
		buf_puts(s->out, n_functions ? "}}" : "}");
	}
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

/* What G's nodes have in their attributes can be written, and tensors of their functions' graphs belong to the whole
 * one. */
static td_status prepare(struct saving *s, td_graph *g);

static td_status prepare_function(struct saving *s, const td_node *n, const td_trace *t)
{
	const char *name = td__function_name(t->function);
	td_status status;

	if (s->depth == SAVED_DEPTH_MOST)
		return err_set(s->e, TD_TOO_LARGE,
			"%s cannot be saved: the function %s lies within %d others, the most", n->path, name,
			SAVED_DEPTH_MOST);
	if (++s->n_functions > SAVED_FUNCTIONS_MOST)
		return err_set(s->e, TD_TOO_LARGE, "the graph cannot be saved: it has more than %d functions",
			SAVED_FUNCTIONS_MOST);
	for (int i = 0, k = 0; i < t->graph->n_values; i++) {
		const td_value *v = t->graph->values[i];

		if (v->placeholder && ++k > td__function_inputs(t->function))
			return err_set(s->e, TD_UNSUPPORTED,
				"%s cannot be saved: the function %s has a placeholder \"%s\" that is not its input",
				n->path, name, td_name_of(v));
		if (v->captured && !is_constant(v))
			td__graph_capture(s->whole, v->captured);
	}
	s->depth++;
	status = prepare(s, t->graph);
	s->depth--;
	return status;
}

static td_status prepare(struct saving *s, td_graph *g)
{
	td_status status;

	td__graph_index(g);
	for (int k = 0; k < g->n_nodes; k++) {
		const td_node *n = g->nodes[k];

		for (const td_field *f = n->op->fields; f && f->name; f++) {
			if (f->kind == TD_FIELD_CODE)
				return err_set(s->e, TD_UNSUPPORTED,
					"%s cannot be saved: the custom function \"%s\" is code of the program",
					n->path, ((const td_custom *)((char *)n->attrs + f->at))->name);
			status = f->kind == TD_FIELD_FUNCTION ? prepare_function(s, n, trace_of(n, f)) : TD_OK;
			if (status)
				return status;
		}
	}
	return TD_OK;
}

td_status td_graph_save(td_graph *g, struct buf *out, struct err *e)
{
	struct saving s = { .whole = g, .out = out, .e = e };
	td_status status = prepare(&s, g);
	char *text;
	cJSON *all;

	if (status)
		return status;
	td__graph_index(g);
	buf_printf(out, "{\"tandem_graph\": %d, \"random\": %lld,\n \"inputs\": [",
		s.n_functions ? SAVED_VERSION_FUNCTIONS : 1, (long long)g->n_random);
	put_inputs(&s, g);
	buf_puts(out, "],\n \"nodes\": [");
	put_nodes(&s, g);
	all = collections(g);
	text = json_print(all);
	buf_printf(out, "],\n \"collections\": \n  %s}\n", text);
	mem_free(text);
	cJSON_Delete(all);
	return out->full ? err_set(e, TD_TOO_LARGE, "the graph's text is larger than %zu bytes", out->cap) : TD_OK;
}
