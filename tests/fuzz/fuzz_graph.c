/* Saved graphs from outside: the input's bytes choose inputs, ops and attributes, within sense and beyond it.  Whatever
 * comes out is refused in words, or it is a graph: it says the same when it is saved again, and runs or refuses to. */
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "core/function.h"
#include "seeds.h"

#define INPUTS_MOST     4
#define ARGUMENTS_MOST  (2 * INPUTS_MOST) /* of a function; a loop's gradient takes the variables twice */
#define SHAPE_TEXT      96
#define DEPTH_MOST      3 /* functions around a node */
#define NODES_MOST      6
#define TEXT_MOST       60000
#define VARIABLES_BYTES (1 << 16)
#define ELEMENTS_MOST   4096  /* of a value that is computed */
#define CALLS_MOST      20000 /* of ops in one run, loops counted */

struct choices {
	const unsigned char *data;
	size_t n, at;
	bool flow; /* mostly what control flow is about: a few bytes make loops and branches that work */
};

/* A number below N; 0 when the input is used up. */
static unsigned pick(struct choices *c, unsigned n)
{
	return c->at < c->n ? c->data[c->at++] % n : 0;
}

/* A graph or function that is being written: its inputs are called x0, x1 ... and its nodes n0, n1 ... */
struct scope {
	unsigned depth, n_inputs, n_nodes;
	char shape[ARGUMENTS_MOST][SHAPE_TEXT]; /* of inputs, as text */
	struct arguments {
		unsigned n, n_results, which[INPUTS_MOST]; /* of the inputs */
	} last;                                            /* of the newest loop: its gradient takes them, too */
};

static void choose_shape(struct choices *c, char text[SHAPE_TEXT])
{
	static const char *const dtypes[] = { "float32", "float32", "float32", "float64", "int64", "int32", "uint8",
		"bool" };
	static const char *const sizes[] = { "1", "2", "3", "4", "\"?2\"", "0", "5", "7" };
	static const char *const plain[] = { "\"bool\",\"shape\":[]", "\"float32\",\"shape\":[\"?2\"]",
		"\"float32\",\"shape\":[]", "\"int32\",\"shape\":[]", "\"int64\",\"shape\":[]",
		"\"float64\",\"shape\":[3,\"?2\"]", "\"uint8\",\"shape\":[2,4]", "\"float32\",\"shape\":[0]" };
	unsigned rank;
	size_t n;

	if (c->flow) {
		snprintf(text, SHAPE_TEXT, "\"dtype\":%s", plain[pick(c, TD_COUNT(plain))]);
		return;
	}
	rank = pick(c, 6);
	n = (size_t)snprintf(text, SHAPE_TEXT, "\"dtype\":\"%s\",\"shape\":[", dtypes[pick(c, TD_COUNT(dtypes))]);
	for (unsigned i = 0; i < rank; i++)
		n += (size_t)snprintf(text + n, SHAPE_TEXT - n, "%s%s", i ? "," : "", sizes[pick(c, TD_COUNT(sizes))]);
	snprintf(text + n, SHAPE_TEXT - n, "]%s", pick(c, 4) ? "" : ",\"order\":\"channels_last\"");
}

static void write_input(struct choices *c, struct buf *out, struct scope *s, unsigned k)
{
	unsigned kind = pick(c, 4);
	bool variable = kind & 1 && !s->depth;

	if (!s->depth)
		choose_shape(c, s->shape[k]);
	buf_printf(out, "%s{\"name\":\"x%u\",\"kind\":\"%s\",%s%s}", k ? "," : "", k,
		variable ? "variable" : "placeholder", s->shape[k], kind & 2 ? ",\"gradient\":true" : "");
}

/* Mostly small; sometimes what no shape rule wants to meet. */
static void write_number(struct choices *c, const td_field *f, struct buf *out)
{
	static const char *const odd[] = { "-1", "-2", "-3", "100", "2147483647", "-2147483648",
		"\"9223372036854775807\"", "\"-9223372036854775808\"" };

	if (f->kind == TD_FIELD_BOOL)
		buf_puts(out, pick(c, 2) ? "true" : "false");
	else if (pick(c, 8) == 1)
		buf_puts(out, odd[pick(c, TD_COUNT(odd))]);
	else
		buf_printf(out, "%u", pick(c, 5));
}

/* An input or something that was made before; or nothing. */
static void write_operand(struct choices *c, struct buf *out, const struct scope *s)
{
	unsigned which = pick(c, s->n_inputs + 2 * s->n_nodes + 1);

	if (which < s->n_inputs)
		buf_printf(out, "\"x%u\"", which);
	else if (which < s->n_inputs + 2 * s->n_nodes)
		buf_printf(out, "\"n%u:%u\"", (which - s->n_inputs) / 2, (which - s->n_inputs) % 2);
	else
		buf_puts(out, "null");
}

static void write_attribute(struct choices *c, struct buf *out, const td_field *f)
{
	buf_printf(out, "\"%s\":%s", f->name, f->count ? "[" : "");
	for (int i = 0; i < TD_MAX(f->count, 1); i++) {
		buf_puts(out, i ? "," : "");
		write_number(c, f, out);
	}
	buf_puts(out, f->count ? "]" : "");
}

static void write_nodes(struct choices *c, struct buf *out, struct scope *s, unsigned n);

/* A function that takes INNER's inputs and gives N_RESULTS, mostly the first of what it takes or has made. */
static void write_function(struct choices *c, struct buf *out, struct scope *inner, unsigned n_results)
{
	inner->n_nodes = 0;
	buf_puts(out, "{\"name\":\"f\",\"inputs\":[");
	for (unsigned k = 0; k < inner->n_inputs; k++)
		write_input(c, out, inner, k);
	switch (pick(c, 6)) {
	case 1: buf_printf(out, ",{\"name\":\"o\",\"kind\":\"outer\",\"of\":\"x%u\"}", pick(c, INPUTS_MOST)); break;
	case 2:
		buf_puts(
			out, ",{\"name\":\"o\",\"kind\":\"constant\",\"dtype\":\"float32\",\"shape\":[],\"data\":[2]}");
		break;
	default: break;
	}
	buf_puts(out, "],\"nodes\":[");
	write_nodes(c, out, inner, pick(c, 3));
	buf_puts(out, "],\"results\":[");
	for (unsigned i = 0; i < n_results; i++) {
		buf_puts(out, i ? "," : "");
		if (inner->n_nodes && pick(c, 3) == 1)
			buf_printf(out, "\"n%u:0\"", pick(c, inner->n_nodes));
		else if (pick(c, 8) == 1)
			write_operand(c, out, inner);
		else
			buf_printf(out, "\"%c%u\"", i < inner->n_inputs ? 'x' : 'n', i);
	}
	buf_puts(out, "]}");
}

/* Inputs and functions of control flow: mostly what fits together. */
static void write_flow(struct choices *c, struct buf *out, const td_op *op, struct scope *s)
{
	int lead = !strcmp(op->name, "cond") ? 1 : !strcmp(op->name, "while") ? 0 : 2, at = lead, n_functions = 0;
	struct scope inner = { .depth = s->depth + 1 };
	struct arguments a = s->last;

	if (lead < 2 || !a.n || pick(c, 8) == 1) {
		a.n = 1 + pick(c, TD_MIN(s->n_inputs, INPUTS_MOST));
		a.n_results = 1 + pick(c, a.n);
		for (unsigned i = 0; i < a.n; i++)
			a.which[i] = pick(c, s->n_inputs);
	}
	if (!lead)
		s->last = a;
	buf_puts(out, "\"inputs\":[");
	for (int i = 0; i < lead; i++) {
		if (lead == 2 && s->n_nodes && pick(c, 8) != 1) /* what a loop keeps for its gradient */
			buf_printf(out, "\"n%u:%d\"", s->n_nodes - 1, TD_LOOP_MOST + i);
		else
			write_operand(c, out, s);
		buf_puts(out, ",");
	}
	for (unsigned i = 0; i < a.n; i++, at++) {
		memcpy(inner.shape[i], s->shape[a.which[i]], sizeof inner.shape[i]);
		if (pick(c, 16) == 1)
			choose_shape(c, inner.shape[i]);
		buf_printf(out, "%s\"x%u\"", i ? "," : "", a.which[i]);
	}
	for (; at < op->n_in; at++)
		buf_puts(out, ",null");
	buf_puts(out, "],\"functions\":{");
	inner.n_inputs = a.n;
	if (lead == 2) { /* the variables' gradients, too */
		memcpy(inner.shape + a.n, inner.shape, sizeof inner.shape[0] * a.n_results);
		inner.n_inputs += a.n_results;
		a.n_results = a.n;
	}
	for (const td_field *f = op->fields; f && f->name; f++)
		if (f->kind == TD_FIELD_FUNCTION) {
			buf_printf(out, "%s\"%s\":", n_functions++ ? "," : "", f->name);
			write_function(c, out, &inner, strcmp(f->name, "test") ? a.n_results : 1);
		}
	buf_puts(out, "}}");
}

static const td_op *choose_op(struct choices *c, const struct scope *s)
{
	static const char *const flow[] = { "while", "cond", "while_dx" };
	static const char *const plain[] = { "mul", "neg", "cast", "shift_by", "less", "sum", "sum_like", "tanh",
		"assign", "bernoulli", "reshape", "concat" };
	int n_ops = 0;

	if (c->flow ? (!s->depth && !s->n_nodes) || pick(c, 3) == 1 : pick(c, 8) == 1)
		return td__op_find(flow[pick(c, TD_COUNT(flow))]);
	if (c->flow && pick(c, 8))
		return td__op_find(plain[pick(c, TD_COUNT(plain))]);
	while (td__ops[n_ops])
		n_ops++;
	return td__ops[(pick(c, 256) * 256 + pick(c, 256)) % (unsigned)n_ops];
}

static bool has_functions(const td_op *op)
{
	for (const td_field *f = op->fields; f && f->name; f++)
		if (f->kind == TD_FIELD_FUNCTION)
			return true;
	return false;
}

static void write_node(struct choices *c, struct buf *out, struct scope *s)
{
	const td_op *op = choose_op(c, s);
	int n = 0;

	buf_printf(out, "%s{\"name\":\"n%u\",\"op\":\"%s\",\"gradient\":%s,\"attributes\":{", s->n_nodes ? "," : "",
		s->n_nodes, op->name, pick(c, 2) ? "true" : "false");
	for (const td_field *f = op->fields; f && f->name; f++)
		if (f->kind != TD_FIELD_FUNCTION) {
			buf_puts(out, n++ ? "," : "");
			write_attribute(c, out, f);
		}
	buf_puts(out, "},");
	if (has_functions(op) && s->depth < DEPTH_MOST) {
		write_flow(c, out, op, s);
		return;
	}
	buf_puts(out, "\"inputs\":[");
	for (int i = 0; i < op->n_in; i++) {
		buf_puts(out, i ? "," : "");
		write_operand(c, out, s);
	}
	buf_puts(out, "]}");
}

static void write_nodes(struct choices *c, struct buf *out, struct scope *s, unsigned n)
{
	for (; s->n_nodes < n; s->n_nodes++)
		write_node(c, out, s);
}

static void write_graph(struct choices *c, struct buf *out)
{
	struct scope s = { 0 };
	unsigned n_nodes;

	c->flow = pick(c, 2);
	s.n_inputs = 1 + pick(c, INPUTS_MOST);
	n_nodes = 1 + pick(c, NODES_MOST);
	buf_printf(out, "{\"tandem_graph\":%d,\"inputs\":[", pick(c, 16) == 1 ? 1 : 2);
	for (unsigned k = 0; k < s.n_inputs; k++)
		write_input(c, out, &s, k);
	buf_puts(out, "],\"nodes\":[");
	write_nodes(c, out, &s, n_nodes);
	buf_puts(out, "]}");
}

/* How many ops run at most, or more than CALLS_MOST. */
static double count_calls(const td_graph *g)
{
	double n = 0;

	for (int k = 0; k < g->n_nodes && n <= CALLS_MOST; k++) {
		const td_node *node = g->nodes[k];
		double each = 1, rounds = 1;

		for (const td_field *f = node->op->fields; f && f->name; f++) {
			const char *at = (const char *)node->attrs + f->at;

			if (f->kind == TD_FIELD_FUNCTION)
				each += count_calls((*(const td_trace *const *)at)->graph);
			if (!strcmp(f->name, "most"))
				rounds += (double)*(const int64_t *)at;
		}
		if (!strcmp(node->op->name, "while_dx"))
			rounds += (double)node->in[1]->shape.dim[0];
		n += each * rounds;
	}
	return n;
}

static bool small(const td_graph *g)
{
	for (int i = 0; i < g->n_values; i++)
		if (td_shape_count(&g->values[i]->shape) > ELEMENTS_MOST)
			return false;
	return true;
}

/* A test that says go on, and what is not the same after a round. */
static td_value *ones(td_ctx *c, const td_shape *s)
{
	td_value *v = td_tensor(c, s, NULL);
	int64_t n = v ? td_shape_count(s) : 0;

	for (int64_t i = 0; i < n; i++)
		switch (s->dtype) {
		case TD_F32: ((float *)td_data(v))[i] = 1; break;
		case TD_F64: ((double *)td_data(v))[i] = 1; break;
		case TD_I32: ((int32_t *)td_data(v))[i] = 1; break;
		case TD_I64: ((int64_t *)td_data(v))[i] = 1; break;
		default: ((uint8_t *)td_data(v))[i] = 1; break;
		}
	return v;
}

/* Everything, on zeros; where there is control flow, on ones. */
static void run(td_ctx *c, td_graph *g)
{
	td_feed *feeds = MEM_NEW_N(td_feed, g->n_values + 1);
	td_value **results = MEM_NEW_N(td_value *, g->n_values + 1);
	td_session *s;
	int n = 0;

	for (int i = 0; i < g->n_values; i++) {
		td_value *v = g->values[i];

		if (v->placeholder)
			feeds[n++] =
				(td_feed){ v, g->n_functions ? ones(c, &v->shape) : td_tensor(c, &v->shape, NULL) };
		if (v->captured)
			v->captured->storage->version++; /* zeros, too */
	}
	s = td_session_create(c, g, g->values, g->n_values);
	td_session_set_flags(s, TD_SESSION_PARANOID);
	td_step_begin(c);
	td_session_run(s, c, feeds, n, results);
	td_step_end(c);
	td_session_free(s);
	for (int i = 0; i < n; i++)
		td_unref(feeds[i].tensor);
	mem_free(results);
	mem_free(feeds);
}

static void save(td_graph *g, struct buf *out)
{
	struct err e = { 0 };

	buf_init(out, 1 << 22);
	if (td_graph_save(g, out, &e))
		TD_BUG("what was read cannot be saved: %s", e.text);
}

static void look_at(td_ctx *c, td_graph *g)
{
	struct buf first, second;
	td_graph *again;

	save(g, &first);
	again = td_graph_load(c, first.data, first.len, VARIABLES_BYTES);
	if (!again)
		TD_BUG("what was saved cannot be read: %s", td_error(c)->text);
	save(again, &second);
	TD_ASSERT(!strcmp(first.data, second.data));
	if (small(g) && count_calls(g) <= CALLS_MOST)
		run(c, again);
	td_graph_free(again);
	buf_release(&first);
	buf_release(&second);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	struct choices choices = { .data = data, .n = n };
	bool text = n && data[0] == '{';
	struct buf written;
	td_graph *g;

	buf_init(&written, TEXT_MOST);
	if (!text)
		write_graph(&choices, &written);
	g = td_graph_load(c, text ? (const char *)data : written.data, text ? n : written.len, VARIABLES_BYTES);
	TD_ASSERT((g != NULL) == (td_error(c)->status == TD_OK) && (g || *td_error(c)->text));
	if (g)
		look_at(c, g);
	td_graph_free(g);
	td_ctx_free(c);
	buf_release(&written);
	return 0;
}

static const struct seed seeds[] = {
	SEED("{\"tandem_graph\": 1, \"random\": 1,\n"
	     " \"inputs\": [{\"name\":\"x\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?4\",3]},\n"
	     "  {\"name\":\"w\",\"kind\":\"variable\",\"dtype\":\"float32\",\"shape\":[2,3],\"gradient\":true,"
	     "\"initial\":{\"kind\":\"normal\",\"fan\":\"none\",\"a\":0,\"b\":1}},\n"
	     "  {\"name\":\"c\",\"kind\":\"constant\",\"dtype\":\"float32\",\"shape\":[],\"data\":[0.5]}],\n"
	     " \"nodes\": [{\"name\":\"l\",\"op\":\"linear\",\"layer\":\"fc\",\"inputs\":[\"x\",\"w\",null],"
	     "\"gradient\":true},\n"
	     "  {\"name\":\"a\",\"op\":\"assign\",\"inputs\":[\"c\",\"c\"],\"after\":[\"l\"]},\n"
	     "  {\"name\":\"r\",\"op\":\"relu\",\"inputs\":[\"l:0\"],\"backward\":true}],\n"
	     " \"collections\": {\"losses\":[\"r:0\",\"a\"]}}"),
	/* a loop that branches, and its gradient */
	SEED("{\"tandem_graph\":2,\"random\":0,\"inputs\":[{\"name\":\"n\",\"kind\":\"placeholder\",\"dtype\":\"float32"
	     "\",\"shape\":[]},{\"name\":\"x\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],"
	     "\"gradi"
	     "ent\":true}],\"nodes\":[{\"name\":\"while\",\"op\":\"while\",\"attributes\":{\"most\":3},\"inputs\":["
	     "\"n\""
	     ",\"x\",\"x\",null,null,null,null],\"gradient\":true,\"functions\":{\"test\":{\"name\":\"test\","
	     "\"inputs\":"
	     "[{\"name\":\"i0\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[],\"gradient\":true},{"
	     "\"name\""
	     ":\"i1\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient\":true},{\"name\":"
	     "\"i"
	     "2\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient\":true}],\"nodes\":[{"
	     "\"na"
	     "me\":\"test.cast\",\"op\":\"cast\",\"attributes\":{\"to\":2},\"inputs\":[\"i0\"]}],\"results\":[\"test."
	     "cas"
	     "t:0\"]},\"body\":{\"name\":\"body\",\"inputs\":[{\"name\":\"i0\",\"kind\":\"placeholder\",\"dtype\":"
	     "\"floa"
	     "t32\",\"shape\":[],\"gradient\":true},{\"name\":\"i1\",\"kind\":\"placeholder\",\"dtype\":\"float32\","
	     "\"sh"
	     "ape\":[\"?2\"],\"gradient\":true},{\"name\":\"i2\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape"
	     "\":[\"?2\"],\"gradient\":true}],\"nodes\":[{\"name\":\"b.shift_by\",\"op\":\"shift_by\",\"attributes\":{"
	     "\""
	     "p\":[-1,0]},\"inputs\":[\"i0\"],\"gradient\":true},{\"name\":\"b.cast\",\"op\":\"cast\",\"attributes\":{"
	     "\""
	     "to\":5},\"inputs\":[\"i0\"]},{\"name\":\"b.cond\",\"op\":\"cond\",\"inputs\":[\"b.cast:0\",\"i1\",\"i2\","
	     "n"
	     "ull,null,null,null,null,null,null,null,null,null,null,null,null],\"gradient\":true,\"functions\":{"
	     "\"then\""
	     ":{\"name\":\"mul\",\"inputs\":[{\"name\":\"i0\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":"
	     "["
	     "\"?2\"],\"gradient\":true},{\"name\":\"i1\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?"
	     "2"
	     "\"],\"gradient\":true}],\"nodes\":[{\"name\":\"b.mul.mul\",\"op\":\"mul\",\"inputs\":[\"i0\",\"i1\"],"
	     "\"gra"
	     "dient\":true}],\"results\":[\"b.mul.mul:0\"]},\"otherwise\":{\"name\":\"same\",\"inputs\":[{\"name\":\"i0"
	     "\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient\":true},{\"name\":\"i1\","
	     "\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient\":true}],\"nodes\":[],"
	     "\"resul"
	     "ts\":[\"i0\"]}}}],\"results\":[\"b.shift_by:0\",\"b.cond:0\"]}}},{\"name\":\"fill_like\",\"op\":\"fill_"
	     "lik"
	     "e\",\"attributes\":{\"value\":1},\"inputs\":[\"while:1\"],\"backward\":true},{\"name\":\"fill_like_1\","
	     "\"o"
	     "p\":\"fill_like\",\"attributes\":{\"value\":0},\"inputs\":[\"while:0\"],\"backward\":true},{\"name\":"
	     "\"whi"
	     "le_dx\",\"op\":\"while_dx\",\"inputs\":[\"while:6\",\"while:7\",\"fill_like_1:0\",\"fill_like:0\",\"x\","
	     "nu"
	     "ll,null,null,null],\"backward\":true,\"functions\":{\"gradient\":{\"name\":\"bg\",\"inputs\":[{\"name\":"
	     "\""
	     "i0\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[],\"gradient\":true},{\"name\":\"i1\","
	     "\"kin"
	     "d\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient\":true},{\"name\":\"i2\","
	     "\"kind\":"
	     "\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient\":true},{\"name\":\"i3\",\"kind\":"
	     "\"pl"
	     "aceholder\",\"dtype\":\"float32\",\"shape\":[],\"gradient\":true},{\"name\":\"i4\",\"kind\":\"placeholder"
	     "\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient\":true}],\"nodes\":[{\"name\":\"bg.shift_by\",\"op"
	     "\":\"shift_by\",\"attributes\":{\"p\":[-1,0]},\"inputs\":[\"i0\"],\"gradient\":true,\"backward\":true},{"
	     "\""
	     "name\":\"bg.cast\",\"op\":\"cast\",\"attributes\":{\"to\":5},\"inputs\":[\"i0\"],\"backward\":true},{"
	     "\"nam"
	     "e\":\"bg.cond\",\"op\":\"cond\",\"inputs\":[\"bg.cast:0\",\"i1\",\"i2\",null,null,null,null,null,null,"
	     "null"
	     ",null,null,null,null,null,null],\"gradient\":true,\"backward\":true,\"functions\":{\"then\":{\"name\":"
	     "\"mu"
	     "l\",\"inputs\":[{\"name\":\"i0\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],"
	     "\"gradi"
	     "ent\":true},{\"name\":\"i1\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient"
	     "\":true}],\"nodes\":[{\"name\":\"b.mul.mul\",\"op\":\"mul\",\"inputs\":[\"i0\",\"i1\"],\"gradient\":true}"
	     "]"
	     ",\"results\":[\"b.mul.mul:0\"]},\"otherwise\":{\"name\":\"same\",\"inputs\":[{\"name\":\"i0\",\"kind\":"
	     "\"p"
	     "laceholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient\":true},{\"name\":\"i1\",\"kind\":"
	     "\"place"
	     "holder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],\"gradient\":true}],\"nodes\":[],\"results\":[\"i0\"]}}"
	     "}"
	     ",{\"name\":\"bg.cond_1\",\"op\":\"cond\",\"inputs\":[\"bg.cast:0\",\"i1\",\"i2\",\"i4\",null,null,null,"
	     "nul"
	     "l,null,null,null,null,null,null,null,null],\"gradient\":true,\"backward\":true,\"functions\":{\"then\":{"
	     "\""
	     "name\":\"mulg\",\"inputs\":[{\"name\":\"i0\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":["
	     "\"?"
	     "2\"],\"gradient\":true},{\"name\":\"i1\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?"
	     "2\"]"
	     ",\"gradient\":true},{\"name\":\"i2\",\"kind\":\"placeholder\",\"dtype\":\"float32\",\"shape\":[\"?2\"],"
	     "\"g"
	     "radient\":true}],\"nodes\":[{\"name\":\"bg.mul "
	     "gradient.mul\",\"op\":\"mul\",\"inputs\":[\"i0\",\"i1\"],\""
	     "gradient\":true,\"backward\":true},{\"name\":\"bg.mul gradient.mul_1\",\"op\":\"mul\",\"inputs\":[\"i2\","
	     "\"i1\"],\"gradient\":true,\"backward\":true},{\"name\":\"bg.mul "
	     "gradient.sum_like\",\"op\":\"sum_like\",\""
	     "inputs\":[\"bg.mul gradient.mul_1:0\",\"i0\"],\"gradient\":true,\"backward\":true},{\"name\":\"bg.mul "
	     "grad"
	     "ient.mul_2\",\"op\":\"mul\",\"inputs\":[\"i2\",\"i0\"],\"gradient\":true,\"backward\":true},{\"name\":"
	     "\"bg"
	     ".mul gradient.sum_like_1\",\"op\":\"sum_like\",\"inputs\":[\"bg.mul gradient.mul_2:0\",\"i1\"],\"gradient"
	     "\":true,\"backward\":true}],\"results\":[\"bg.mul gradient.sum_like:0\",\"bg.mul "
	     "gradient.sum_like_1:0\"]}"
	     ",\"otherwise\":{\"name\":\"sameg\",\"inputs\":[{\"name\":\"i0\",\"kind\":\"placeholder\",\"dtype\":"
	     "\"float"
	     "32\",\"shape\":[\"?2\"],\"gradient\":true},{\"name\":\"i1\",\"kind\":\"placeholder\",\"dtype\":"
	     "\"float32\""
	     ",\"shape\":[\"?2\"],\"gradient\":true},{\"name\":\"i2\",\"kind\":\"placeholder\",\"dtype\":\"float32\","
	     "\"s"
	     "hape\":[\"?2\"],\"gradient\":true}],\"nodes\":[{\"name\":\"bg.same "
	     "gradient.fill_like\",\"op\":\"fill_like"
	     "\",\"attributes\":{\"value\":0},\"inputs\":[\"i1\"],\"backward\":true}],\"results\":[\"i2\",\"bg.same "
	     "grad"
	     "ient.fill_like:0\"]}}}],\"results\":[\"i3\",\"bg.cond_1:0\",\"bg.cond_1:1\"]}}},{\"name\":\"add\",\"op\":"
	     "\"add\",\"inputs\":[\"while_dx:1\",\"while_dx:2\"],\"backward\":true}]}"),
	SEED("\1\1\1\2\0\2\1\0\2\1\0\1\0\1\0\1\0\1\0\1"),
	SEED("\0\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31\32"),
};

FUZZ_MUTATOR(seeds)
