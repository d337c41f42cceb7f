/* One long text: plain files, one after the other, as UTF-8 with '\n' at the end of lines. */
#include "data/census.h"

#include <string.h>

#define READ_ROOM 65536
#define REST_MOST (1 << 20) /* bytes that wait for the end of a word; a longer word is cut */

struct reading {
	struct prepare *p;
	struct census census;
	struct column files[PACK_PARTS];
	int64_t n_characters[PACK_PARTS];
	struct buf rest;    /* read, but perhaps not yet a whole word */
	int64_t n_consumed; /* bytes of the present file before REST */
	char last;          /* byte that was written */
};

/* Bytes of the character that LEAD begins; 1 where it begins none. */
static size_t character_bytes(uint8_t lead)
{
	return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Offset of the first byte that is no UTF-8. */
static size_t first_bad(const char *text, size_t n)
{
	size_t at = 0;

	while (at < n) {
		size_t n_bytes = character_bytes((uint8_t)text[at]);
		if (at + n_bytes > n || !utf8_valid(text + at, n_bytes))
			break;
		at += n_bytes;
	}
	return at;
}

/* How many of N bytes are whole words, or at least whole characters. */
static size_t whole_words(const char *text, size_t n)
{
	size_t whole = n;

	while (whole && text[whole - 1] != ' ' && text[whole - 1] != '\n')
		whole--;
	if (whole || n < REST_MOST / 2)
		return whole;
	for (whole = n; whole && n - whole < 4 && ((uint8_t)text[whole - 1] & 0xc0) == 0x80;)
		whole--;
	return whole && (uint8_t)text[whole - 1] >= 0xc0 ? whole - 1 : n;
}

static size_t unify_line_ends(char *text, size_t n)
{
	size_t to = 0;

	for (size_t i = 0; i < n; i++)
		if (text[i] != '\r' || i + 1 == n || text[i + 1] != '\n')
			text[to++] = text[i];
	return to;
}

/* Write the first N bytes of what waits. */
static td_status consume(struct reading *r, enum pack_part part, size_t n, struct err *e)
{
	char *text = r->rest.data;
	size_t n_text;
	td_status s;

	if (!n)
		return TD_OK;
	if (!utf8_valid(text, n) || memchr(text, '\0', n)) {
		size_t at = TD_MIN(first_bad(text, n), strlen(text));
		return err_set(e, TD_INVALID,
			"%s: byte %lld (%02x) is no text in UTF-8; convert the file, for example with iconv -f latin1 "
			"-t utf-8",
			r->p->source.where, (long long)(r->n_consumed + (int64_t)at), (uint8_t)text[at]);
	}
	n_text = unify_line_ends(text, n);
	r->n_characters[part] += census_characters(&r->census, text, n_text);
	census_words(&r->census, text, n_text);
	r->last = text[n_text - 1];
	s = column_add(&r->files[part], text, n_text, e);
	buf_drop(&r->rest, n);
	r->n_consumed += (int64_t)n;
	return s;
}

static td_status read_file(void *of, struct err *e)
{
	struct reading *r = of;
	enum pack_part part = source_is_test(r->p->source.entry.name) ? PACK_TEST : PACK_TRAIN;
	char *piece = mem_alloc(READ_ROOM);
	td_status s = TD_OK;
	ssize_t got = 0;

	if (r->files[part].n_bytes && r->last != '\n') {
		s = column_add(&r->files[part], "\n", 1, e);
		r->n_characters[part]++;
	}
	r->n_consumed = 0;
	buf_clear(&r->rest);
	while (!s && (got = source_read(&r->p->source, piece, READ_ROOM, e)) > 0) {
		buf_append(&r->rest, piece, (size_t)got);
		if (!r->n_consumed && r->rest.len >= 3 && !memcmp(r->rest.data, "\xef\xbb\xbf", 3)) {
			buf_drop(&r->rest, 3);
			r->n_consumed = 3;
		}
		s = consume(r, part, whole_words(r->rest.data, r->rest.len), e);
	}
	mem_free(piece);
	if (s || got < 0)
		return e->status;
	return consume(r, part, r->rest.len, e);
}

static bool is_meant(const struct source_entry *entry)
{
	return !entry->inside || source_has_ending(entry->name, "txt") || source_has_ending(entry->name, "text") ||
	       source_has_ending(entry->name, "md");
}

static td_status tell(struct reading *r, struct err *e)
{
	const struct column *train = &r->files[PACK_TRAIN];
	td_status s = text_tell(r->p, train, 0, train->n_bytes, '\n', 0, NULL, e);
	cJSON *parts;

	if (s)
		return s;
	cJSON_AddStringToObject(r->p->info, "kind", pack_kind_names[PACK_TEXT]);
	cJSON_AddNumberToObject(r->p->info, "bytes", (double)(train->n_bytes + r->files[PACK_TEST].n_bytes));
	census_tell(&r->census, r->p);
	parts = cJSON_GetObjectItemCaseSensitive(r->p->info, "parts");
	for (int part = 0; part < PACK_PARTS; part++)
		if (r->files[part].n_bytes)
			cJSON_AddNumberToObject(cJSON_GetObjectItemCaseSensitive(parts, pack_part_names[part]), "bytes",
				(double)r->files[part].n_bytes);
	return TD_OK;
}

static td_status finish(struct reading *r, struct err *e)
{
	td_status s = prepare_parts(r->p, r->n_characters, e);

	for (int part = 0; part < PACK_PARTS && !s; part++)
		if (r->files[part].n_bytes)
			s = column_flush(&r->files[part], e);
	return s ? s : tell(r, e);
}

td_status from_text(struct prepare *p, struct err *e)
{
	struct reading r = { .p = p };
	td_status s;

	if (p->format.test > 0) {
		prepare_blame(p, "/format/test");
		return err_set(e, TD_INVALID, "one long text has no samples to deal out; let a job's \"split\" cut it");
	}
	census_init(&r.census);
	buf_init(&r.rest, REST_MOST + READ_ROOM);
	for (enum pack_part part = PACK_TRAIN; part < PACK_PARTS; part++)
		column_open(&r.files[part], p, part, "text", COLUMN_ROOM);
	s = prepare_walk(p, is_meant, "it is not called .txt", read_file, &r, e);
	if (!s)
		s = finish(&r, e);
	for (int part = 0; part < PACK_PARTS; part++)
		column_release(&r.files[part]);
	buf_release(&r.rest);
	census_release(&r.census);
	return s;
}
