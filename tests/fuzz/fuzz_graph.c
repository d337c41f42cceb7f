/* Saved graphs from outside: the input's bytes choose inputs, ops and attributes, within sense and beyond it.  Whatever
 * comes out is refused in words, or it is a graph: it says the same when it is saved again, and runs or refuses to. */
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "core/core.h"
#include "seeds.h"

#define INPUTS_MOST     4
#define NODES_MOST      6
#define TEXT_MOST       60000
#define VARIABLES_BYTES (1 << 16)
#define ELEMENTS_MOST   4096 /* of a value that is computed */

struct choices {
	const unsigned char *data;
	size_t n, at;
};

/* A number below N; 0 when the input is used up. */
static unsigned pick(struct choices *c, unsigned n)
{
	return c->at < c->n ? c->data[c->at++] % n : 0;
}

static void write_shape(struct choices *c, struct buf *out)
{
	static const char *const dtypes[] = { "float32", "float32", "float32", "float64", "int64", "int32", "uint8",
		"bool" };
	static const char *const sizes[] = { "1", "2", "3", "4", "\"?2\"", "0", "5", "7" };
	unsigned rank = pick(c, 6);

	buf_printf(out, "\"dtype\":\"%s\",\"shape\":[", dtypes[pick(c, TD_COUNT(dtypes))]);
	for (unsigned i = 0; i < rank; i++)
		buf_printf(out, "%s%s", i ? "," : "", sizes[pick(c, TD_COUNT(sizes))]);
	buf_printf(out, "]%s", pick(c, 4) ? "" : ",\"order\":\"channels_last\"");
}

static void write_input(struct choices *c, struct buf *out, unsigned k)
{
	bool variable = pick(c, 2);

	buf_printf(out, "%s{\"name\":\"x%u\",\"kind\":\"%s\",", k ? "," : "", k, variable ? "variable" : "placeholder");
	write_shape(c, out);
	buf_printf(out, "%s}", pick(c, 2) ? ",\"gradient\":true" : "");
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

static void write_node(struct choices *c, struct buf *out, unsigned k, unsigned n_inputs)
{
	int n_ops = 0;
	const td_op *op;

	while (td__ops[n_ops])
		n_ops++;
	op = td__ops[(pick(c, 256) * 256 + pick(c, 256)) % (unsigned)n_ops];
	buf_printf(out, "%s{\"name\":\"n%u\",\"op\":\"%s\",\"gradient\":%s,\"attributes\":{", k ? "," : "", k, op->name,
		pick(c, 2) ? "true" : "false");
	for (const td_field *f = op->fields; f && f->name; f++) {
		buf_printf(out, "%s\"%s\":%s", f == op->fields ? "" : ",", f->name, f->count ? "[" : "");
		for (int i = 0; i < TD_MAX(f->count, 1); i++) {
			buf_puts(out, i ? "," : "");
			write_number(c, f, out);
		}
		buf_puts(out, f->count ? "]" : "");
	}
	buf_puts(out, "},\"inputs\":[");
	for (int i = 0; i < op->n_in; i++) {
		unsigned which = pick(c, n_inputs + 2 * k + 1);

		buf_puts(out, i ? "," : "");
		if (which < n_inputs)
			buf_printf(out, "\"x%u\"", which);
		else if (which < n_inputs + 2 * k)
			buf_printf(out, "\"n%u:%u\"", (which - n_inputs) / 2, (which - n_inputs) % 2);
		else
			buf_puts(out, "null");
	}
	buf_puts(out, "]}");
}

static void write_graph(struct choices *c, struct buf *out)
{
	unsigned n_inputs = 1 + pick(c, INPUTS_MOST), n_nodes = 1 + pick(c, NODES_MOST);

	buf_puts(out, "{\"tandem_graph\":1,\"inputs\":[");
	for (unsigned k = 0; k < n_inputs; k++)
		write_input(c, out, k);
	buf_puts(out, "],\"nodes\":[");
	for (unsigned k = 0; k < n_nodes; k++)
		write_node(c, out, k, n_inputs);
	buf_puts(out, "]}");
}

static bool small(const td_graph *g)
{
	for (int i = 0; i < g->n_values; i++)
		if (td_shape_count(&g->values[i]->shape) > ELEMENTS_MOST)
			return false;
	return true;
}

/* Everything, on zeros. */
static void run(td_ctx *c, td_graph *g)
{
	td_feed *feeds = MEM_NEW_N(td_feed, g->n_values + 1);
	td_value **results = MEM_NEW_N(td_value *, g->n_values + 1);
	td_session *s;
	int n = 0;

	for (int i = 0; i < g->n_values; i++) {
		td_value *v = g->values[i];

		if (v->placeholder)
			feeds[n++] = (td_feed){ v, td_tensor(c, &v->shape, NULL) };
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
	if (small(g))
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
	SEED("\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31\32"),
};

FUZZ_MUTATOR(seeds)
