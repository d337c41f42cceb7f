/* A recording as JSON: the forms are written down in the server's api/replays.c. */
#include "nn/recording.h"

#include <math.h>

static const char *const kind_names[RECORDING_KINDS] = { [RECORDING_PARAMETER] = "parameter",
	[RECORDING_BUFFER] = "buffer",
	[RECORDING_STATE] = "state",
	[RECORDING_INPUT] = "input",
	[RECORDING_ACTIVATION] = "activation",
	[RECORDING_GRADIENT] = "gradient",
	[RECORDING_UPDATE] = "update" };

const char *const recording_phase_names[RECORDING_PHASES] = { [RECORDING_FORWARD] = "forward",
	[RECORDING_BACKWARD] = "backward",
	[RECORDING_UPDATING] = "update",
	[RECORDING_METRICS] = "metrics" };

/* Who reads each value, in the order of the nodes: HEAD and NEXT are positions in LINKS, 0: none. */
struct readers {
	struct {
		int node, next;
	} * links;        /* owned; the first is not used */
	int *head, *tail; /* owned; by value */
	int n, room;
};

static void add_reader(struct readers *r, int value, int node)
{
	if (r->tail[value] && r->links[r->tail[value]].node == node)
		return; /* it reads the value twice */
	MEM_GROW(r->links, r->n, r->room);
	r->links[r->n].node = node;
	r->links[r->n].next = 0;
	*(r->tail[value] ? &r->links[r->tail[value]].next : &r->head[value]) = r->n;
	r->tail[value] = r->n++;
}

static struct readers find_readers(const struct recording *rec)
{
	struct readers r = { .head = MEM_NEW_N(int, rec->n_values + 1), .tail = MEM_NEW_N(int, rec->n_values + 1) };

	MEM_GROW(r.links, r.n, r.room);
	r.n = 1;
	for (int i = 0; i < rec->n_nodes; i++)
		for (int k = 0; k < rec->nodes[i].n_in; k++)
			if (rec->nodes[i].in[k] >= 0)
				add_reader(&r, rec->nodes[i].in[k], i);
	return r;
}

/* Takes V. */
static void put_json(struct buf *out, const char *name, cJSON *v)
{
	char *printed = json_print(v);

	buf_printf(out, "\"%s\":%s,", name, printed);
	mem_free(printed);
	cJSON_Delete(v);
}

static void put_text(struct buf *out, const char *name, const char *text)
{
	put_json(out, name, cJSON_CreateString(text));
}

static void put_number(struct buf *out, const char *name, double v)
{
	put_json(out, name, isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull());
}

static void put_id(struct buf *out, const char *name, int id)
{
	if (id < 0)
		buf_printf(out, "\"%s\":null,", name);
	else
		buf_printf(out, "\"%s\":%d,", name, id);
}

static void put_ids(struct buf *out, const char *name, const int *ids, int n)
{
	buf_printf(out, "\"%s\":[", name);
	for (int i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "");
		if (ids[i] < 0)
			buf_puts(out, "null");
		else
			buf_printf(out, "%d", ids[i]);
	}
	buf_puts(out, "],");
}

static void print_node(struct buf *out, const struct recording_node *n, int id)
{
	buf_printf(out, "{\"id\":%d,\"step\":%lld,\"batch\":%d,\"op\":\"%s\",\"phase\":\"%s\",", id, (long long)n->step,
		n->batch, n->op, recording_phase_names[n->phase]);
	put_ids(out, "inputs", n->in, n->n_in);
	put_ids(out, "outputs", n->out, n->n_out);
	put_text(out, "layer", n->layer);
	out->len--; /* the last comma */
	buf_puts(out, "}");
}

static void print_histogram(struct buf *out, const struct recording_value *v)
{
	if (!isfinite(v->min)) {
		buf_puts(out, "\"histogram\":null,");
		return;
	}
	buf_puts(out, "\"histogram\":{");
	put_number(out, "low", v->min);
	put_number(out, "high", v->max);
	buf_puts(out, "\"counts\":[");
	if (v->min < v->max)
		for (int i = 0; i < RECORDING_BUCKETS; i++)
			buf_printf(out, "%s%lld", i ? "," : "", (long long)v->bucket[i]);
	else
		buf_printf(out, "%lld", (long long)v->bucket[0]);
	buf_puts(out, "]},");
}

static void print_value(struct buf *out, const struct recording_value *v, int id, const struct readers *readers)
{
	int64_t n = td_shape_count(&v->shape);

	buf_printf(out, "{\"id\":%d,\"step\":%lld,\"batch\":%d,\"kind\":\"%s\",", id, (long long)v->step, v->batch,
		kind_names[v->kind]);
	put_text(out, "name", v->name);
	put_text(out, "layer", v->layer);
	put_id(out, "of", v->of);
	put_id(out, "gradient", v->gradient);
	put_id(out, "producer", v->producer);
	buf_puts(out, "\"consumers\":[");
	for (int i = readers->head[id]; i; i = readers->links[i].next)
		buf_printf(out, "%s%d", i == readers->head[id] ? "" : ",", readers->links[i].node);
	buf_printf(out, "],\"dtype\":\"%s\",\"order\":\"%s\",\"shape\":[", td_dtype_name(v->shape.dtype),
		v->shape.order == TD_CHANNELS_LAST ? "channels_last" : "row_major");
	for (int i = 0; i < v->shape.rank; i++)
		buf_printf(out, "%s%lld", i ? "," : "", (long long)v->shape.dim[i]);
	buf_puts(out, "],");
	put_number(out, "min", v->min);
	put_number(out, "max", v->max);
	put_number(out, "mean", v->mean);
	put_number(out, "norm", v->norm);
	put_number(out, "zeros", n ? (double)v->n_zero / (double)n : 0);
	buf_printf(out, "\"non_finite\":%lld,", (long long)v->n_non_finite);
	print_histogram(out, v);
	buf_printf(out, "\"kept\":%s,\"at\":%lld,\"bytes\":%lld}", v->at >= 0 ? "true" : "false", (long long)v->at,
		(long long)v->n_bytes);
}

void recording_print(const struct recording *r, struct buf *out)
{
	struct readers readers = find_readers(r);

	buf_puts(out, "\"nodes\":[");
	for (int i = 0; i < r->n_nodes; i++) {
		buf_puts(out, i ? ",\n" : "\n");
		print_node(out, &r->nodes[i], i);
	}
	buf_puts(out, "\n],\n\"values\":[");
	for (int i = 0; i < r->n_values; i++) {
		buf_puts(out, i ? ",\n" : "\n");
		print_value(out, &r->values[i], i, &readers);
	}
	buf_puts(out, "\n]");
	mem_free(readers.links);
	mem_free(readers.head);
	mem_free(readers.tail);
}
