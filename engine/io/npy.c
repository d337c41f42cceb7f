/* NPY: see npy.h.  The dictionary is a Python literal of a known form; a scanner of a few tokens reads it. */
#include "io/npy.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAGIC_BYTES  6
#define HEADER_ALIGN 64 /* what NumPy pads to */

static const char magic[MAGIC_BYTES] = "\x93NUMPY";

static const struct {
	const char *code, *name;
	int64_t n_bytes;
} types[NPY_N_TYPES] = {
#define X(name, word, code, bytes) [NPY_##name] = { code, word, bytes },
	NPY_TYPES(X)
#undef X
};

int64_t npy_type_bytes(enum npy_type t)
{
	return types[t].n_bytes;
}

bool npy_is_float(enum npy_type t)
{
	return types[t].code[0] == 'f';
}

/* ---- The header ------------------------------------------------------------------------------------------------ */

td_status npy_header_bytes(const void *bytes, size_t n_bytes, int64_t *out, struct err *e)
{
	const uint8_t *b = bytes;
	uint32_t n;

	if (n_bytes < NPY_PREFIX || memcmp(b, magic, MAGIC_BYTES) != 0)
		return err_set(e, TD_CORRUPT, "it does not begin as an NPY file; write it with numpy.save");
	if (b[6] < 1 || b[6] > 3)
		return err_set(
			e, TD_UNSUPPORTED, "it is an NPY file of version %d.%d; 1.0 to 3.0 are read", b[6], b[7]);
	n = (uint32_t)b[8] | (uint32_t)b[9] << 8;
	if (b[6] > 1)
		n |= (uint32_t)b[10] << 16 | (uint32_t)b[11] << 24;
	if (n > NPY_HEADER_MOST)
		return err_set(e, TD_CORRUPT, "its header says that it has %u bytes itself; at most %d are read", n,
			NPY_HEADER_MOST);
	*out = (b[6] > 1 ? 12 : 10) + (int64_t)n;
	return TD_OK;
}

struct scan {
	const char *at, *end;
};

static void skip_blanks(struct scan *s)
{
	while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t'))
		s->at++;
}

static bool take(struct scan *s, char c)
{
	skip_blanks(s);
	if (s->at == s->end || *s->at != c)
		return false;
	s->at++;
	return true;
}

static bool take_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	skip_blanks(s);
	if ((size_t)(s->end - s->at) < n || memcmp(s->at, word, n) != 0)
		return false;
	s->at += n;
	return true;
}

/* 'text' or "text", without escapes. */
static bool take_text(struct scan *s, char *out, size_t size)
{
	size_t n = 0;
	char quote;

	skip_blanks(s);
	if (s->at == s->end || (*s->at != '\'' && *s->at != '"'))
		return false;
	for (quote = *s->at++; s->at < s->end && *s->at != quote; s->at++)
		if (n + 1 < size)
			out[n++] = *s->at;
	out[n] = '\0';
	return take(s, quote);
}

static bool take_size(struct scan *s, int64_t *out)
{
	const char *from;

	skip_blanks(s);
	*out = 0;
	for (from = s->at; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++)
		if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *s->at - '0', out))
			return false;
	take_word(s, "L"); /* Python 2 */
	return s->at > from;
}

static bool take_shape(struct scan *s, struct npy *out)
{
	if (!take(s, '('))
		return false;
	for (out->rank = 0; !take(s, ')');) {
		if (out->rank == NPY_RANK_MOST || !take_size(s, &out->dim[out->rank++]))
			return false;
		if (!take(s, ',')) /* "(3)" is not what NumPy writes, but means the same */
			return take(s, ')');
	}
	return true;
}

struct header {
	char descr[64];
	bool has_descr, has_shape, has_order, fortran;
};

static bool take_entry(struct scan *s, struct header *h, struct npy *out)
{
	char key[32];

	if (!take_text(s, key, sizeof key) || !take(s, ':'))
		return false;
	if (!strcmp(key, "descr"))
		return h->has_descr = take_text(s, h->descr, sizeof h->descr);
	if (!strcmp(key, "fortran_order")) {
		h->fortran = take_word(s, "True");
		return h->has_order = h->fortran || take_word(s, "False");
	}
	return !strcmp(key, "shape") && (h->has_shape = take_shape(s, out));
}

static bool take_header(struct scan *s, struct header *h, struct npy *out)
{
	if (!take(s, '{'))
		return false;
	while (!take(s, '}'))
		if (!take_entry(s, h, out) || (!take(s, ',') && (skip_blanks(s), s->at == s->end || *s->at != '}')))
			return false;
	return h->has_descr && h->has_shape && h->has_order;
}

static td_status find_type(const char *descr, struct npy *out, struct err *e)
{
	const char *code = descr + (descr[0] && strchr("<>|=", descr[0]));

	for (int t = 0; t < NPY_N_TYPES; t++) {
		if (strcmp(types[t].code, code) != 0)
			continue;
		if (descr[0] == '>' && types[t].n_bytes > 1)
			return err_set(e, TD_UNSUPPORTED,
				"its elements are big-endian (%s); save array.astype('%s') instead", descr,
				types[t].code);
		out->type = (enum npy_type)t;
		return TD_OK;
	}
	if (code[0] == 'O')
		return err_set(
			e, TD_UNSUPPORTED, "it holds Python objects, which are not read; save an array of numbers");
	if (code[0] == 'U' || code[0] == 'S')
		return err_set(e, TD_UNSUPPORTED,
			"it holds text (%.20s); save np.unique(array, return_inverse=True)[1], and the names as the "
			"\"classes\" of \"format\"",
			descr);
	return err_set(e, TD_UNSUPPORTED,
		"its element type is %.20s; booleans, integers up to 64 bits and floats are read, so save "
		"array.astype('f4')",
		descr);
}

td_status npy_parse(const void *bytes, size_t n_bytes, struct npy *out, struct err *e)
{
	struct header h = { 0 };
	struct scan scan;
	int64_t n_header;
	td_status s;

	*out = (struct npy){ 0 };
	s = npy_header_bytes(bytes, n_bytes, &n_header, e);
	if (s)
		return s;
	if (n_header > (int64_t)n_bytes)
		return err_set(e, TD_CORRUPT, "it ends within its header");
	scan.at = (const char *)bytes + (((const uint8_t *)bytes)[6] > 1 ? 12 : 10);
	scan.end = (const char *)bytes + n_header;
	if (!take_header(&scan, &h, out))
		return err_set(e, TD_CORRUPT,
			"its header is not {'descr': ..., 'fortran_order': ..., 'shape': ...} as numpy.save writes it "
			"(records are not read)");
	s = find_type(h.descr, out, e);
	if (s)
		return s;
	out->n = 1;
	out->n_header = n_header;
	for (int i = 0; i < out->rank; i++)
		if (__builtin_mul_overflow(out->n, out->dim[i], &out->n) || out->n > INT64_MAX / 8)
			return err_set(e, TD_CORRUPT, "the sizes of its shape are larger than any file");
	if (h.fortran && out->rank > 1)
		return err_set(e, TD_UNSUPPORTED,
			"its elements are in Fortran order; save np.ascontiguousarray(array) instead");
	return TD_OK;
}

bool npy_write_header(struct buf *out, enum npy_type type, const int64_t *dim, int rank)
{
	bool byte = types[type].n_bytes == 1;
	struct buf text;
	size_t n;
	bool ok;

	TD_ASSERT(rank <= NPY_RANK_MOST);
	buf_init(&text, 1024);
	buf_printf(&text, "{'descr': '%c%s', 'fortran_order': False, 'shape': (", byte ? '|' : '<', types[type].code);
	for (int i = 0; i < rank; i++)
		buf_printf(&text, "%" PRId64 "%s", dim[i], rank == 1 || i + 1 < rank ? ", " : "");
	buf_puts(&text, "), }");
	n = (10 + text.len + 1 + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN - 10;
	while (text.len + 1 < n)
		buf_puts(&text, " ");
	buf_puts(&text, "\n");
	ok = buf_append(out, magic, MAGIC_BYTES) &&
	     buf_append(out, (char[]){ 1, 0, (char)(n & 0xff), (char)(n >> 8) }, 4) && buf_append(out, text.data, n);
	buf_release(&text);
	return ok;
}

/* ---- Elements -------------------------------------------------------------------------------------------------- */

static double from_half(uint16_t h)
{
	int exponent = h >> 10 & 31, fraction = h & 1023;
	double magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
			   : exponent     ? ldexp(1024 + fraction, exponent - 25)
					  : ldexp(fraction, -24);

	return h >> 15 ? -magnitude : magnitude;
}

/* One row for each type: what it is in C, and how its value comes out. */
#define CONVERSIONS(X, out_type)                                                                                       \
	X(NPY_BOOL, uint8_t, (out_type)(v != 0))                                                                       \
	X(NPY_U8, uint8_t, (out_type)v)                                                                                \
	X(NPY_U16, uint16_t, (out_type)v)                                                                              \
	X(NPY_U32, uint32_t, (out_type)v)                                                                              \
	X(NPY_I8, int8_t, (out_type)v)                                                                                 \
	X(NPY_I16, int16_t, (out_type)v)                                                                               \
	X(NPY_I32, int32_t, (out_type)v)                                                                               \
	X(NPY_I64, int64_t, (out_type)v)

#define CONVERT(kind, in_type, value)                                                                                  \
	case kind:                                                                                                     \
		for (int64_t i = 0; i < n; i++) {                                                                      \
			in_type v;                                                                                     \
			memcpy(&v, bytes + i * (int64_t)sizeof v, sizeof v);                                           \
			out[i] = value;                                                                                \
		}                                                                                                      \
		break;

void npy_to_ints(enum npy_type type, const void *elements, int64_t n, int64_t *out)
{
	const uint8_t *bytes = elements;

	switch (type) {
		CONVERSIONS(CONVERT, int64_t)
	default: TD_BUG("%s is no type of integers", types[type].name);
	}
}

void npy_to_floats(enum npy_type type, const void *elements, int64_t n, float *out)
{
	const uint8_t *bytes = elements;

	switch (type) {
		CONVERSIONS(CONVERT, float)
		CONVERT(NPY_F16, uint16_t, (float)from_half(v))
		CONVERT(NPY_F32, float, v)
		CONVERT(NPY_F64, double, (float)v)
	case NPY_N_TYPES: break;
	}
}

void npy_to_doubles(enum npy_type type, const void *elements, int64_t n, double *out)
{
	const uint8_t *bytes = elements;

	switch (type) {
		CONVERSIONS(CONVERT, double)
		CONVERT(NPY_F16, uint16_t, from_half(v))
		CONVERT(NPY_F32, float, (double)v)
		CONVERT(NPY_F64, double, v)
	case NPY_N_TYPES: break;
	}
}
