/* A graph from a file that people can read: read back through td_apply, so a file can say nothing that a program could
 * not (see saved_graph.h for the words). */
#include "core/function.h"
#include "core/saved_graph.h"

#include <stdlib.h>
#include <string.h>

struct reading {
	td_ctx *c;
	td_graph *g;        /* that is read */
	td_graph *whole;    /* the outermost */
	int64_t bytes_left; /* for variables and constants */
	int64_t version;    /* of the file */
	int depth;          /* functions around G */
	int n_functions;    /* so far */
};

static int word(const char *const *words, int n, const char *w)
{
	for (int i = 0; i < n; i++)
		if (w && !strcmp(words[i], w))
			return i;
	return -1;
}

static bool read_size(const cJSON *v, int64_t *size, bool *unknown)
{
	const char *text = cJSON_IsString(v) ? v->valuestring : NULL;
	char *end;

	*unknown = text != NULL;
	if (!text) {
		*size = json_is_integer(v) ? (int64_t)v->valuedouble : -1;
		return *size >= 0;
	}
	if (text[0] != '?' || text[1] < '0' || text[1] > '9' || strlen(text) >= SAVED_INTEGER_LETTERS - 4)
		return false;
	*size = strtoll(text + 1, &end, 10);
	return !*end;
}

/* UNKNOWN: sizes that feeds may change, by bit. */
static bool read_shape(struct reading *r, const cJSON *entry, td_shape *s, uint32_t *unknown)
{
	const cJSON *dims = json_get(entry, "shape"), *dim;
	const char *dtype = json_string(entry, "dtype", ""), *order = json_string(entry, "order", "row_major");
	int which = word(td__saved_orders, 2, order);

	*s = (td_shape){ .dtype = TD_N_DTYPES };
	*unknown = 0;
	for (int d = 0; d < TD_N_DTYPES; d++)
		if (!strcmp(dtype, td_dtype_name((td_dtype)d)))
			s->dtype = (td_dtype)d;
	if (s->dtype == TD_N_DTYPES)
		return td_fail(r->c, TD_INVALID, "there is no element type \"%.40s\"", dtype), false;
	if (!cJSON_IsArray(dims) || cJSON_GetArraySize(dims) > TD_MAX_RANK)
		return td_fail(r->c, TD_INVALID, "a shape is an array of at most %d sizes", TD_MAX_RANK), false;
	cJSON_ArrayForEach(dim, dims)
	{
		bool may_differ;

		if (!read_size(dim, &s->dim[s->rank], &may_differ))
			return td_fail(r->c, TD_INVALID, "size %d of the shape is neither a number nor \"?number\"",
				       s->rank),
			       false;
		*unknown |= (uint32_t)may_differ << s->rank++;
	}
	if (which < 0 || (which && s->rank < 3))
		return td_fail(r->c, TD_INVALID, "%d sizes cannot lie in the order \"%.40s\"", s->rank, order), false;
	s->order = (td_order)which;
	if (!td__shape_sane(s))
		return td_fail(r->c, TD_TOO_LARGE, "the shape is larger than any memory"), false;
	return true;
}

/* The name of ENTRY, which nothing else has; NULL: C has the error. */
static const char *read_name(struct reading *r, const cJSON *entry)
{
	const char *name = json_string(entry, "name", "");

	if (!*name || strlen(name) > SAVED_NAME_MOST)
		return td_fail(r->c, TD_INVALID, "an entry needs a name of 1 to %d bytes", SAVED_NAME_MOST), NULL;
	if (td_graph_find(r->g, name) || td_graph_find_operation(r->g, name))
		return td_fail(r->c, TD_INVALID, "the name \"%s\" stands there twice", name), NULL;
	return name;
}

static td_init read_initial(const cJSON *entry)
{
	const cJSON *initial = json_get(entry, "initial"), *a = json_get(initial, "a"), *b = json_get(initial, "b");
	int kind = word(td__saved_inits, TD_N_INIT_KINDS, json_string(initial, "kind", "constant"));
	int fan = word(td__saved_fans, TD_N_FANS, json_string(initial, "fan", "none"));
	td_init init = TD_ZEROS;

	init.kind = kind < 0 ? TD_INIT_CONSTANT : (enum td_init_kind)kind;
	init.fan = fan < 0 ? TD_FAN_NONE : (enum td_fan)fan;
	if (a)
		json_to_number(a, &init.a);
	if (b)
		json_to_number(b, &init.b);
	return init;
}

static void fill_constant(struct reading *r, td_value *tensor, const cJSON *data)
{
	int64_t n = td_shape_count(&tensor->shape), i = 0;
	void *bytes = mem_alloc(td_shape_bytes(&tensor->shape) + 1);
	const cJSON *element;

	if (!cJSON_IsArray(data) || cJSON_GetArraySize(data) != n)
		td_fail(r->c, TD_INVALID, "a constant of this shape has %lld elements in \"data\"", (long long)n);
	else
		cJSON_ArrayForEach(element, data)
		{
			if (!td__saved_read_element(tensor->shape.dtype, element, bytes, i++))
				td_fail(r->c, TD_INVALID, "element %lld is no %s", (long long)(i - 1),
					td_dtype_name(tensor->shape.dtype));
		}
	if (!r->c->err.status)
		td_write(tensor, bytes);
	mem_free(bytes);
}

static void read_constant(struct reading *r, const cJSON *entry, const char *name, const td_shape *s)
{
	td_value *tensor, *symbol;

	if (td_shape_count(s) > SAVED_CONSTANT_MOST) {
		td_fail(r->c, TD_TOO_LARGE, "a constant has at most %d elements", SAVED_CONSTANT_MOST);
		return;
	}
	tensor = td_tensor(r->c, s, NULL);
	if (!tensor)
		return;
	fill_constant(r, tensor, json_get(entry, "data"));
	symbol = td__graph_capture(r->g, tensor);
	symbol->name = arena_strdup(&r->g->arena, name);
	td_unref(tensor);
}

/* What stands for a variable or constant of the whole graph. */
static void read_outer(struct reading *r, const cJSON *entry, const char *name)
{
	const char *of = json_string(entry, "of", "");
	const td_value *v = td_graph_find(r->whole, of);
	td_value *symbol;

	if (!v || !v->captured) {
		td_fail(r->c, TD_INVALID,
			"\"%s\" is of \"%.100s\", which is no variable or constant of the whole graph", name, of);
		return;
	}
	symbol = td__graph_capture(r->g, v->captured);
	if (symbol->id != r->g->n_values - 1) {
		td_fail(r->c, TD_INVALID, "\"%s\" is of \"%.100s\", and so is \"%s\"", name, of,
			td_graph_name_of(r->g, symbol));
		return;
	}
	symbol->name = arena_strdup(&r->g->arena, name);
	if (!*td_name_of(v->captured))
		return; /* a constant */
	MEM_GROW(r->g->variables, r->g->n_variables, r->g->variables_room);
	r->g->variables[r->g->n_variables++] = (td_variable){ .name = symbol->name, .symbol = symbol };
}

static void read_input(struct reading *r, const cJSON *entry)
{
	const char *name = read_name(r, entry);
	int kind = word(td__saved_kinds, SAVED_N_KINDS, json_string(entry, "kind", ""));
	bool gradient = json_bool(entry, "gradient", false);
	td_init initial = read_initial(entry);
	uint32_t unknown;
	td_shape s;

	if (name && (r->depth ? kind == SAVED_VARIABLE : kind == SAVED_OUTER)) {
		td_fail(r->c, TD_INVALID, "\"%s\" is %s", name,
			r->depth ? "a variable of a function, which has none; it may stand for one of the whole graph "
				   "(\"outer\")"
				 : "\"outer\" in the outermost graph");
		return;
	}
	if (name && kind == SAVED_OUTER) {
		read_outer(r, entry, name);
		return;
	}
	if (!name || !read_shape(r, entry, &s, &unknown))
		return;
	if (gradient && !td__is_float(s.dtype)) {
		td_fail(r->c, TD_DTYPE, "\"%s\" of type %s has no gradient", name, td_dtype_name(s.dtype));
		return;
	}
	if (kind == SAVED_PLACEHOLDER) {
		for (int i = 0; i < s.rank; i++)
			s.dim[i] = unknown >> i & 1 ? TD_UNKNOWN(s.dim[i]) : s.dim[i];
		td_placeholder(r->c, name, &s)->needs_grad = gradient;
		return;
	}
	if (kind < 0 || unknown) {
		td_fail(r->c, TD_INVALID, "\"%s\" is neither a placeholder nor a variable or constant of known sizes",
			name);
		return;
	}
	if ((int64_t)td_shape_bytes(&s) > r->bytes_left) {
		td_fail(r->c, TD_TOO_LARGE, "with \"%s\" the variables take more memory than they may", name);
		return;
	}
	r->bytes_left -= (int64_t)td_shape_bytes(&s);
	if (kind == SAVED_CONSTANT)
		read_constant(r, entry, name, &s);
	else
		td__variable_add(r->c, name, &s, &initial, gradient);
}

/* N values or elements of one attribute. */
static bool read_attribute(const td_field *f, const cJSON *v, char *attrs)
{
	const cJSON *element;
	int i = 0;

	if (!f->count)
		return v && td__saved_read_field(f->kind, v, attrs + f->at, 0);
	if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != f->count)
		return false;
	cJSON_ArrayForEach(element, v)
	{
		if (!td__saved_read_field(f->kind, element, attrs + f->at, i++))
			return false;
	}
	return true;
}

static const td_trace *read_function(struct reading *r, const cJSON *entry);

static const cJSON *field_entry(const td_field *f, const cJSON *entry)
{
	return json_get(json_get(entry, f->kind == TD_FIELD_FUNCTION ? "functions" : "attributes"), f->name);
}

static bool read_field(struct reading *r, const td_op *op, const td_field *f, const cJSON *entry, char *attrs)
{
	const cJSON *v = field_entry(f, entry);
	const td_trace *t;

	if (f->kind == TD_FIELD_CODE)
		return td_fail(r->c, TD_UNSUPPORTED, "the op %s is code of a program and cannot be read from a file",
			       op->name),
		       false;
	if (f->kind != TD_FIELD_FUNCTION && !read_attribute(f, v, attrs))
		return td_fail(r->c, TD_INVALID, "the attribute \"%s\" of %s is missing or of another kind", f->name,
			       op->name),
		       false;
	if (f->kind != TD_FIELD_FUNCTION)
		return true;
	if (r->version < SAVED_VERSION_FUNCTIONS)
		return td_fail(r->c, TD_INVALID, "%s has functions, which version %lld of the format has not", op->name,
			       (long long)r->version),
		       false;
	t = read_function(r, v);
	if (!t)
		return err_wrap(&r->c->err, "/functions/%s", f->name), false;
	memcpy(attrs + f->at, &t, sizeof t);
	return true;
}

static bool read_attributes(struct reading *r, const td_op *op, const cJSON *entry, char *attrs)
{
	int n_attributes = cJSON_GetArraySize(json_get(entry, "attributes")), n = 0;
	int n_functions = cJSON_GetArraySize(json_get(entry, "functions")), m = 0;

	for (const td_field *f = op->fields; f && f->name; f++) {
		if (!read_field(r, op, f, entry, attrs))
			return false;
		*(f->kind == TD_FIELD_FUNCTION ? &m : &n) += 1;
	}
	if (n_attributes != n || n_functions != m)
		return td_fail(r->c, TD_INVALID, "%s has %d attributes and %d functions, not %d and %d", op->name, n, m,
			       n_attributes, n_functions),
		       false;
	return true;
}

static bool read_operands(struct reading *r, const td_op *op, const cJSON *entry, td_value **in)
{
	const cJSON *inputs = json_get(entry, "inputs"), *name;
	int i = 0;

	if (!cJSON_IsArray(inputs) || cJSON_GetArraySize(inputs) > op->n_in)
		return td_fail(r->c, TD_INVALID, "%s has %d inputs", op->name, op->n_in), false;
	for (int k = cJSON_GetArraySize(inputs); k < op->n_in; k++) /* optional ones that there were not yet */
		if (!(op->optional >> k & 1))
			return td_fail(r->c, TD_INVALID, "%s has %d inputs", op->name, op->n_in), false;
	cJSON_ArrayForEach(name, inputs)
	{
		in[i] = cJSON_IsString(name) ? td_graph_find(r->g, name->valuestring) : NULL;
		if (!in[i] && !(cJSON_IsNull(name) && (op->optional >> i & 1)))
			return td_fail(r->c, TD_INVALID, "input %d of %s, \"%.100s\", is not there before it", i,
				       op->name, cJSON_IsString(name) ? name->valuestring : "null"),
			       false;
		if ((op->writes >> i & 1) && in[i] && !td__base(in[i])->captured)
			return td_fail(r->c, TD_INVALID, "input %d of %s, \"%.100s\", is written and is no variable", i,
				       op->name, name->valuestring),
			       false;
		i++;
	}
	return true;
}

static bool read_after(struct reading *r, const cJSON *entry)
{
	const cJSON *after = json_get(entry, "after"), *name;
	td_graph *g = r->g;

	g->n_control = 0;
	cJSON_ArrayForEach(name, after)
	{
		td_node *n = cJSON_IsString(name) ? td_graph_find_operation(g, name->valuestring) : NULL;

		if (!n)
			return td_fail(r->c, TD_INVALID,
				       "\"%.100s\", which is to run before, is no operation before it",
				       cJSON_IsString(name) ? name->valuestring : "?"),
			       false;
		MEM_GROW(g->control, g->n_control, g->control_room);
		g->control[g->n_control++] = n;
	}
	return true;
}

/* Whether N's results wanted no gradient because gradients were off, and not because no input wanted one. */
static bool was_off(const cJSON *entry, const td_op *op, td_value *const *in)
{
	bool wanted = json_bool(entry, "backward", false);

	for (int i = 0; i < op->n_in; i++)
		wanted |= in[i] && in[i]->needs_grad && !(op->shape_only >> i & 1);
	return wanted && !json_bool(entry, "gradient", false);
}

static void read_node(struct reading *r, const cJSON *entry)
{
	td_ctx *c = r->c;
	const char *name = read_name(r, entry), *op_name = json_string(entry, "op", ""), *layer = c->layer;
	const td_op *op = td__op_find(op_name);
	bool in_backward = c->in_backward;
	td_value *in[TD_MOST_IN] = { 0 }, *out[TD_MOST_OUT];
	char *attrs;

	if (!name)
		return;
	if (!op) {
		td_fail(c, TD_UNSUPPORTED, "there is no op \"%.60s\"", op_name);
		return;
	}
	attrs = mem_alloc(op->attrs_size + 1);
	if (read_attributes(r, op, entry, attrs) && read_operands(r, op, entry, in) && read_after(r, entry)) {
		bool off = was_off(entry, op, in);

		c->layer = json_string(entry, "layer", "");
		c->in_backward = json_bool(entry, "backward", false);
		c->no_grad += off;
		td_apply_all(c, op, attrs, in, op->n_in, out);
		c->no_grad -= off;
		c->in_backward = in_backward;
		c->layer = layer;
	}
	r->g->n_control = 0;
	mem_free(attrs);
	if (!c->err.status)
		td__name_node(r->g, r->g->nodes[r->g->n_nodes - 1], name);
}

static void read_collection(struct reading *r, const cJSON *list)
{
	const cJSON *name;
	struct ptrs there = { 0 }; /* what is collected by itself is there already */
	int n_items;
	const td_fetch *items = td_collection(r->g, list->string, &n_items);

	for (int i = 0; i < n_items; i++)
		*ptrs_at(&there, items[i].value ? (void *)items[i].value : items[i].operation) = r;
	cJSON_ArrayForEach(name, list)
	{
		const char *text = cJSON_IsString(name) ? name->valuestring : "";
		td_node *n = td_graph_find_operation(r->g, text);
		td_value *v = n ? NULL : td_graph_find(r->g, text);
		void **place;

		if (!n && !v) {
			td_fail(r->c, TD_INVALID, "\"%.100s\" of the collection \"%.60s\" is not in the graph", text,
				list->string);
			break;
		}
		place = ptrs_at(&there, n ? (void *)n : v);
		if (!*place)
			td__collect(r->g, list->string, (td_fetch){ .value = v, .operation = n });
		*place = r;
	}
	ptrs_release(&there);
}

static void read_list(
	struct reading *r, const cJSON *root, const char *list, void (*read)(struct reading *, const cJSON *))
{
	const cJSON *entries = json_get(root, list), *entry;
	int k = 0;

	if (!cJSON_IsArray(entries) || cJSON_GetArraySize(entries) > SAVED_NODES_MOST) {
		td_fail(r->c, TD_INVALID, "\"%s\" is a list of at most %d entries", list, SAVED_NODES_MOST);
		return;
	}
	cJSON_ArrayForEach(entry, entries)
	{
		read(r, entry);
		if (r->c->err.status) {
			err_wrap(&r->c->err, "/%s/%d", list, k);
			return;
		}
		k++;
	}
}

/* The names of at most MOST values of the graph.  Returns how many, or -1: C has the error. */
static int read_results(struct reading *r, const cJSON *list, td_value **out, int most)
{
	const cJSON *name;
	int n = 0;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 || cJSON_GetArraySize(list) > most)
		return td_fail(r->c, TD_INVALID, "\"results\" is a list of 1 to %d values", most), -1;
	cJSON_ArrayForEach(name, list)
	{
		out[n] = cJSON_IsString(name) ? td_graph_find(r->g, name->valuestring) : NULL;
		if (!out[n++])
			return td_fail(r->c, TD_INVALID, "the result \"%.100s\" is not in the function's graph",
				       cJSON_IsString(name) ? name->valuestring : "?"),
			       -1;
	}
	return n;
}

/* All placeholders of the graph, which are at most MOST.  Returns how many, or -1: C has the error. */
static int find_placeholders(struct reading *r, td_value **in, int most)
{
	int n = 0;

	for (int i = 0; i < r->g->n_values; i++)
		if (r->g->values[i]->placeholder) {
			if (n == most)
				return td_fail(r->c, TD_TOO_LARGE, "a function has at most %d placeholders", most), -1;
			in[n++] = r->g->values[i];
		}
	return n;
}

/* What a function does without: the op has an effect, or draws random numbers. */
static bool has_effects(const td_op *op)
{
	for (const td_field *f = op->fields; f && f->name; f++)
		if (!strcmp(f->name, "stream"))
			return true;
	return op->writes;
}

/* The graph of ENTRY into R's, which is empty. */
static void read_body(struct reading *r, const cJSON *entry)
{
	read_list(r, entry, "inputs", read_input);
	if (!r->c->err.status)
		read_list(r, entry, "nodes", read_node);
	for (int k = 0; k < r->g->n_nodes && !r->c->err.status; k++)
		if (has_effects(r->g->nodes[k]->op))
			td_fail(r->c, TD_UNSUPPORTED, "/nodes/%d: a function does not run %s, which has an effect", k,
				r->g->nodes[k]->op->name);
}

/* The trace of a function that the graph around it owns from here on.  NULL: C has the error. */
static const td_trace *read_function(struct reading *r, const cJSON *entry)
{
	td_graph *around = r->g;
	const char *name = json_string(entry, "name", "");
	td_value *in[TD_MOST_IN], *out[TD_MOST_OUT];
	td_function *f = NULL;
	struct td_outside o;
	int n_in, n_out = 0;

	if (r->depth == SAVED_DEPTH_MOST || r->n_functions == SAVED_FUNCTIONS_MOST)
		return td_fail(r->c, TD_TOO_LARGE, "a graph has at most %d functions, %d within each other",
			       SAVED_FUNCTIONS_MOST, SAVED_DEPTH_MOST),
		       NULL;
	if (!*name || strlen(name) > SAVED_NAME_MOST)
		return td_fail(r->c, TD_INVALID, "a function needs a name of 1 to %d bytes", SAVED_NAME_MOST), NULL;
	r->n_functions++;
	r->depth++;
	r->g = td_graph_create();
	o = td__go_inside(r->c, r->g, false);
	read_body(r, entry);
	n_in = r->c->err.status ? -1 : find_placeholders(r, in, TD_MOST_IN);
	n_out = n_in < 0 ? -1 : read_results(r, json_get(entry, "results"), out, TD_MOST_OUT);
	td__come_back(r->c, &o);
	if (n_out > 0)
		f = td__function_from(r->c, name, r->g, in, n_in, out, n_out);
	else
		td_graph_free(r->g);
	r->g = around;
	r->depth--;
	if (!f)
		return NULL;
	MEM_GROW(around->functions, around->n_functions, around->functions_room);
	around->functions[around->n_functions++] = f;
	return td__function_only_trace(f);
}

static void read_graph(struct reading *r, const cJSON *root)
{
	int64_t version = json_int(root, "tandem_graph", -1), random = json_int(root, "random", 0);
	const cJSON *list;

	if (version < 1 || version > SAVED_VERSION) {
		td_fail(r->c, version > SAVED_VERSION ? TD_UNSUPPORTED : TD_INVALID,
			"this is no graph of version 1 to %d of the format: \"tandem_graph\" says %lld", SAVED_VERSION,
			(long long)version);
		return;
	}
	r->version = version;
	read_list(r, root, "inputs", read_input);
	if (!r->c->err.status)
		read_list(r, root, "nodes", read_node);
	cJSON_ArrayForEach(list, json_get(root, "collections"))
	{
		if (!r->c->err.status)
			read_collection(r, list);
	}
	if (random < 0 || random > INT32_MAX)
		td_fail(r->c, TD_INVALID, "\"random\" is the number of random ops, not %lld", (long long)random);
	else
		r->c->n_random = (uint32_t)random;
}

td_graph *td_graph_load(td_ctx *c, const char *text, size_t length, int64_t variable_bytes_most)
{
	struct reading r = { .c = c, .bytes_left = variable_bytes_most };
	struct err e = { 0 };
	cJSON *root;

	if (c->err.status)
		return NULL;
	if (length > TD_GRAPH_TEXT_MOST)
		return td_fail(c, TD_TOO_LARGE, "a saved graph has at most %d bytes, not %zu", TD_GRAPH_TEXT_MOST,
			       length),
		       NULL;
	root = json_parse(text, length, &e);
	if (!root)
		return td_fail(c, e.status, "a saved graph: %s", e.text), NULL;
	r.g = r.whole = td_graph_create();
	td_trace_begin(c, r.g);
	read_graph(&r, root);
	td_trace_end(c);
	cJSON_Delete(root);
	if (!c->err.status)
		return r.g;
	td_graph_free(r.g);
	return NULL;
}
