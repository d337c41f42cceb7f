/* Models from outside: the input's bytes choose layers and their options from the tables of options themselves, within
 * their bounds and at them.  Whatever comes out is built or refused in words; what is built has names of its own and
 * can be written down for PyTorch. */
#include <stdio.h>
#include <string.h>
#include "nn/nn.h"

#define DOCUMENT_MOST 60000
#define DEPTH_MOST    6

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

struct choices {
	const unsigned char *data;
	size_t n, at;
};

/* A number below N; 0 when the input is used up. */
static unsigned pick(struct choices *c, unsigned n)
{
	return c->at < c->n ? c->data[c->at++] % n : 0;
}

/* Mostly small, so that layers fit upon each other; sometimes at a bound. */
static void write_number(struct choices *c, const struct opt *o, struct buf *out)
{
	unsigned which = pick(c, 16);
	double v = which == 15 ? o->high : which == 14 ? o->low : (double)pick(c, 5);

	if (v < o->low || v > o->high)
		v = o->low;
	buf_printf(out, "%.17g", o->kind == OPT_FLOAT && which < 8 ? v * 0.5 : v);
}

static void write_layers(struct choices *c, struct buf *out, int depth);

static void write_value(struct choices *c, const struct opt *o, struct buf *out, int depth)
{
	static const char *const names[] = { "input", "a", "b", "0", "1", "a.b", "0.layers.0", "" };
	int count = 0;

	switch (o->kind) {
	case OPT_BOOL: buf_puts(out, pick(c, 2) ? "true" : "false"); break;
	case OPT_STRING: buf_printf(out, "\"%s\"", names[pick(c, TD_COUNT(names))]); break;
	case OPT_STRINGS:
		buf_printf(out, "[\"%s\",\"%s\"]", names[pick(c, TD_COUNT(names))], names[pick(c, TD_COUNT(names))]);
		break;
	case OPT_ENUM:
		while (o->names[count])
			count++;
		buf_printf(out, "\"%s\"", o->names[pick(c, (unsigned)count)]);
		break;
	case OPT_PAIR:
	case OPT_INTS:
		if (o->names && pick(c, 3) == 0) {
			buf_printf(out, "\"%s\"", o->names[0]);
			break;
		}
		buf_puts(out, "[");
		write_number(c, o, out);
		buf_puts(out, ",");
		write_number(c, o, out);
		buf_puts(out, "]");
		break;
	case OPT_CHOICE:
		buf_printf(out, "\"%s\"", o->family->types[pick(c, (unsigned)o->family->n_types)]->name);
		break;
	case OPT_CHOICES: write_layers(c, out, depth + 1); break;
	case OPT_CHOICE_LISTS:
		buf_puts(out, "[");
		write_layers(c, out, depth + 1);
		buf_puts(out, ",");
		write_layers(c, out, depth + 1);
		buf_puts(out, "]");
		break;
	default: write_number(c, o, out);
	}
}

static void write_members(struct choices *c, const struct opt_type *t, struct buf *out, int depth)
{
	for (int i = 0; i < t->n_options; i++) {
		if (!t->options[i].required && pick(c, 4) != 1)
			continue;
		buf_printf(out, ",\"%s\":", t->options[i].name);
		write_value(c, &t->options[i], out, depth);
	}
}

static void write_layers(struct choices *c, struct buf *out, int depth)
{
	unsigned n = depth < DEPTH_MOST ? pick(c, 5) : 0;

	buf_puts(out, "[");
	for (unsigned i = 0; i < n; i++) {
		const struct opt_type *t = nn_layers.types[pick(c, (unsigned)nn_layers.n_types)];

		buf_printf(out, "%s{\"type\":\"%s\"", i ? "," : "", t->name);
		write_members(c, t, out, depth);
		write_members(c, nn_layers.common, out, depth);
		buf_puts(out, "}");
	}
	buf_puts(out, "]");
}

static void look_at(const struct nn_model *m)
{
	struct buf source;

	TD_ASSERT(m->n_layers <= NN_LAYERS_MOST && m->output >= 0 && m->output < m->n_layers && m->flops >= 0);
	for (int i = 0; i < m->n_params; i++)
		for (int k = 0; k < i; k++)
			TD_ASSERT(strcmp(m->params[i].name, m->params[k].name) != 0);
	for (int i = 0; i < m->n_layers; i++)
		for (int k = 0; k < m->layers[i].n_inputs; k++)
			TD_ASSERT(m->layers[i].input[k] < i);
	buf_init(&source, 1 << 24);
	nn_model_pytorch(m, "", &source);
	TD_ASSERT(!source.full);
	buf_release(&source);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	static const td_shape inputs[] = { { TD_F32, TD_ROW_MAJOR, 4, { 2, 4, 8, 8 } },
		{ TD_F32, TD_ROW_MAJOR, 3, { 2, 4, 4 } }, { TD_F32, TD_ROW_MAJOR, 2, { 2, 4 } },
		{ TD_I64, TD_ROW_MAJOR, 2, { 2, 4 } } };
	struct choices c = { .data = data, .n = n };
	const td_shape *in = &inputs[pick(&c, TD_COUNT(inputs))];
	bool has_lengths = in->rank < 4 && pick(&c, 2);
	struct nn_model_options options = { 0 };
	struct arena arena;
	struct faults faults;
	struct buf text;
	struct err e = { 0 };
	cJSON *document;

	buf_init(&text, DOCUMENT_MOST);
	buf_puts(&text, "{\"layers\":");
	write_layers(&c, &text, 0);
	buf_puts(&text, "}");
	document = text.full ? NULL : json_parse(text.data, text.len, &e);
	arena_init(&arena);
	faults_init(&faults);
	if (document)
		opt_read(&nn_model_section, document, "/model", &options, &arena, &faults);
	if (document && !faults.n_found) {
		struct nn_model *m = nn_model_create(&options, in, in->dtype == TD_I64 ? 7 : 0, has_lengths, &faults);

		TD_ASSERT((m != NULL) == (faults.n_found == 0));
		if (m)
			look_at(m);
		nn_model_free(m);
	}
	faults_release(&faults);
	arena_release(&arena);
	cJSON_Delete(document);
	buf_release(&text);
	return 0;
}
