/* Documents from bytes: a fuzzer's input chooses types, options and values from the tables of options themselves, so
 * that what it writes is mostly sense, at its bounds and a little beyond.  An input that is used up chooses the first
 * of everything. */
#ifndef FUZZ_DOCUMENTS_H
#define FUZZ_DOCUMENTS_H

#include <string.h>
#include "base/buf.h"
#include "nn/nn.h"

#define DEPTH_MOST 6 /* of lists of layers in layers */

struct choices {
	const unsigned char *data;
	size_t n, at;
};

static inline unsigned pick(struct choices *c, unsigned n)
{
	return c->at < c->n ? c->data[c->at++] % n : 0;
}

static inline void write_members(struct choices *c, const struct opt_type *t, struct buf *out, int depth);

/* Mostly small, so that layers fit upon each other; sometimes at a bound. */
static inline void write_number(struct choices *c, const struct opt *o, struct buf *out)
{
	unsigned which = pick(c, 16);
	double v = which == 15 ? o->high : which == 14 ? o->low : (double)pick(c, 5);

	if (v < o->low || v > o->high)
		v = o->low;
	buf_printf(out, "%.17g", o->kind != OPT_INT && o->kind != OPT_INTS && which < 8 ? v * 0.5 : v);
}

/* So many that they are more than the row wants now and then. */
static inline unsigned pick_count(struct choices *c, const struct opt *o)
{
	unsigned n = pick(c, 8), least = (unsigned)TD_MAX(o->least, 0);

	return n == 7 ? 0 : least + n % 3;
}

static inline void write_numbers(struct choices *c, const struct opt *o, unsigned n, struct buf *out)
{
	buf_puts(out, "[");
	for (unsigned i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "");
		write_number(c, o, out);
	}
	buf_puts(out, "]");
}

/* Names of inputs, layers, parameters, columns, splits and series. */
static inline void write_word(struct choices *c, const struct opt *o, struct buf *out)
{
	static const char *const words[] = { "input", "a", "b", "0", "1", "a.b", "0.layers.0", "*", "0.*", "*.weight",
		"val/loss", "val/accuracy", "train/loss", "none", "size", "price", "kind", "features", "target", "" };
	int count = 0;

	while (o->names && o->names[count])
		count++;
	if (count)
		buf_printf(out, "\"%s\"", o->names[pick(c, (unsigned)count)]);
	else
		buf_printf(out, "\"%s\"", words[pick(c, TD_COUNT(words))]);
}

static inline void write_words(struct choices *c, const struct opt *o, struct buf *out)
{
	unsigned n = pick_count(c, o);

	buf_puts(out, "[");
	for (unsigned i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "");
		write_word(c, o, out);
	}
	buf_puts(out, "]");
}

static inline void write_choice(struct choices *c, const struct opt_family *f, struct buf *out, int depth)
{
	const struct opt_type *t = f->types[pick(c, (unsigned)f->n_types)];

	if (pick(c, 32) == 31) {
		buf_printf(out, "\"%s\"", t->name);
		return;
	}
	buf_printf(out, "{\"type\":\"%s\"", t->name);
	write_members(c, t, out, depth);
	if (f->common)
		write_members(c, f->common, out, depth);
	buf_puts(out, "}");
}

/* What a loss may want of the last layer. */
static inline void write_head(struct choices *c, bool first, struct buf *out)
{
	unsigned which = pick(c, 4);

	if (which > 1)
		return;
	buf_printf(out, "%s%s{\"type\":\"linear\",\"out_features\":%u}", first ? "" : ",", which ? "" : "\"flatten\",",
		1 + pick(c, 8));
}

static inline void write_choices(struct choices *c, const struct opt_family *f, struct buf *out, int depth)
{
	unsigned n = depth < DEPTH_MOST ? pick(c, 5) : 0;

	buf_puts(out, "[");
	for (unsigned i = 0; i < n; i++) {
		buf_puts(out, i ? "," : "");
		write_choice(c, f, out, depth + 1);
	}
	if (f == &nn_layers && !depth)
		write_head(c, !n, out);
	buf_puts(out, "]");
}

static inline void write_section(struct choices *c, const struct opt_type *t, struct buf *out, int depth)
{
	size_t start = out->len;

	write_members(c, t, out, depth);
	if (out->len > start && !out->full)
		out->data[start] = '{'; /* in place of the first comma */
	else
		buf_puts(out, "{");
	buf_puts(out, "}");
}

/* What stands in place of a value once in a while. */
static inline void write_odd(struct choices *c, struct buf *out)
{
	static const char *const odd[] = { "null", "true", "-1", "0.5", "1e300", "9007199254740991", "\"\"", "\"x\"",
		"[]", "{}", "[[]]", "[null]", "{\"type\":\"\"}", "\"relu\"" };

	buf_puts(out, odd[pick(c, TD_COUNT(odd))]);
}

static inline void write_json(struct choices *c, struct buf *out)
{
	static const char *const any[] = { "{\"classes\":3}", "{\"classes\":3,\"hidden\":[3,2]}",
		"{\"classes\":1,\"hidden\":[2],\"dropout\":0.5,\"activation\":\"gelu\"}",
		"{\"classes\":3,\"embedding\":2,\"hidden\":2}", "{\"width\":4,\"heads\":2,\"layers\":1}", "{}", "[]",
		"5", "{\"a\":{\"b\":[1,2,{}]}}" };

	buf_puts(out, any[pick(c, TD_COUNT(any))]);
}

static inline void write_value(struct choices *c, const struct opt *o, struct buf *out, int depth)
{
	unsigned n;

	if (pick(c, 128) == 127) {
		write_odd(c, out);
		return;
	}
	switch (o->kind) {
	case OPT_BOOL: buf_puts(out, pick(c, 2) ? "true" : "false"); break;
	case OPT_STRING:
	case OPT_ENUM: write_word(c, o, out); break;
	case OPT_STRINGS: write_words(c, o, out); break;
	case OPT_PAIR:
	case OPT_INTS:
		if (o->names && pick(c, 3) == 0)
			write_word(c, o, out);
		else
			write_numbers(c, o, o->kind == OPT_PAIR ? 2 : pick_count(c, o), out);
		break;
	case OPT_FLOATS2: write_numbers(c, o, 2, out); break;
	case OPT_FLOATS: write_numbers(c, o, 1 + pick(c, 4), out); break;
	case OPT_INT_OR_WORD:
		if (pick(c, 2))
			write_word(c, o, out);
		else
			write_number(c, o, out);
		break;
	case OPT_CHOICE: write_choice(c, o->family, out, depth); break;
	case OPT_CHOICES: write_choices(c, o->family, out, depth); break;
	case OPT_SECTION: write_section(c, o->section, out, depth); break;
	case OPT_CHOICE_LISTS:
	case OPT_SECTIONS:
		n = pick_count(c, o);
		buf_puts(out, "[");
		for (unsigned i = 0; i < n; i++) {
			buf_puts(out, i ? "," : "");
			if (o->kind == OPT_SECTIONS)
				write_section(c, o->section, out, depth);
			else
				write_choices(c, o->family, out, depth + 1);
		}
		buf_puts(out, "]");
		break;
	case OPT_JSON: write_json(c, out); break;
	default: write_number(c, o, out);
	}
}

static inline bool is_given(struct choices *c, const struct opt *o)
{
	if (o->family == &nn_layers)
		return pick(c, 8) != 7;
	return o->required || pick(c, 4) == 1;
}

/* Members of an object, a comma before each; of the optional ones, some. */
static inline void write_members(struct choices *c, const struct opt_type *t, struct buf *out, int depth)
{
	for (int i = 0; i < t->n_options; i++) {
		if (!is_given(c, &t->options[i]))
			continue;
		buf_printf(out, ",\"%s\":", t->options[i].name);
		write_value(c, &t->options[i], out, depth);
	}
}

#endif
