/* Tagged text as CoNLL has it: a line for each word, "word TAG" or "word ... TAG" with tabs or spaces between, and a
 * blank line between sentences. */
#include "data/census.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define READ_ROOM 65536
#define LINE_MOST 65536 /* bytes */
#define TAGS_MOST 10000
#define DOCUMENT  "-DOCSTART-" /* CoNLL-2003's line between documents */

struct part {
	struct column text, offsets, tags, tag_offsets;
	int64_t n, n_tags;
};

struct reading {
	struct prepare *p;
	struct census census;
	struct classes tags;
	struct part part[PACK_PARTS];
	int64_t n_read;   /* sentences of files that are not named for the test part */
	struct buf words; /* of the present sentence, joined by '\n' */
	int32_t *tag;     /* owned; of the present sentence */
	int64_t n, room;  /* of TAG */
	int64_t line;     /* of the file, from 1 */
	int64_t longest;  /* words, of the training part */
	int64_t longest_characters;
};

/* ---- Sentences --------------------------------------------------------------------------------------------------- */

static td_status end_sentence(struct reading *r, bool test, struct err *e)
{
	enum pack_part part = prepare_deal(r->p, test, r->n_read);
	struct part *to = &r->part[part];
	td_status s;

	if (!r->n)
		return TD_OK;
	r->n_read += !test;
	if (part == PACK_TRAIN) {
		r->longest = TD_MAX(r->longest, r->n);
		r->longest_characters =
			TD_MAX(r->longest_characters, census_characters(&r->census, r->words.data, r->words.len));
	}
	s = column_add(&to->offsets, &to->text.n_bytes, sizeof to->text.n_bytes, e);
	if (!s)
		s = column_add(&to->tag_offsets, &to->n_tags, sizeof to->n_tags, e);
	if (!s)
		s = column_add(&to->text, r->words.data, r->words.len, e);
	if (!s)
		s = column_add(&to->tags, r->tag, (size_t)r->n * sizeof *r->tag, e);
	for (int64_t i = 0; i < r->n; i++)
		r->tags.count[r->tag[i]][part]++;
	to->n++;
	to->n_tags += r->n;
	r->n = 0;
	buf_clear(&r->words);
	return s;
}

static td_status refuse(struct reading *r, struct err *e, const char *what)
{
	return err_set(e, TD_INVALID, "%.300s, line %lld: %s", r->p->source.where, (long long)r->line, what);
}

/* Counted as words are met later: lower-cased. */
static void learn_word(struct reading *r, const char *word)
{
	char *lower = mem_strdup(word);

	for (char *c = lower; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + ('a' - 'A'));
	census_word(&r->census, lower);
	mem_free(lower);
}

static td_status add_word(struct reading *r, const char *word, const char *tag, bool test, struct err *e)
{
	int32_t k = classes_add(&r->tags, tag, e);

	if (k < 0)
		return err_wrap(e, "%.300s, line %lld", r->p->source.where, (long long)r->line);
	if (r->words.len && !buf_puts(&r->words, "\n"))
		return refuse(r, e, "a sentence of more than 16 MiB; blank lines stand between sentences");
	if (!buf_puts(&r->words, word))
		return refuse(r, e, "a sentence of more than 16 MiB; blank lines stand between sentences");
	MEM_GROW(r->tag, r->n, r->room);
	r->tag[r->n++] = k;
	if (!test)
		learn_word(r, word);
	return TD_OK;
}

/* Blanks that separate: tabs where there are any, for words may have spaces then. */
static td_status add_line(struct reading *r, char *line, size_t n, bool test, struct err *e)
{
	const char *blanks = memchr(line, '\t', n) ? "\t" : " ";
	char *tag;
	size_t n_word;

	r->line++;
	while (n && strchr(" \t\r", line[n - 1]))
		n--;
	line[n] = '\0';
	if (!n)
		return end_sentence(r, test, e);
	if (!strncmp(line, DOCUMENT, strlen(DOCUMENT)) ||
		(line[0] == '#' && line[1] == ' ' && !r->n && strchr(line, '=')))
		return TD_OK;
	if (strlen(line) != n || !utf8_valid(line, n))
		return refuse(r, e, "no text in UTF-8; convert the file, for example with iconv -f latin1 -t utf-8");
	n_word = strcspn(line, blanks);
	tag = line + n;
	while (tag > line + n_word && !strchr(blanks, tag[-1]))
		tag--;
	if (!n_word || tag <= line + n_word)
		return refuse(r, e, "expected a word and its tag, with a tab or a space between them");
	line[n_word] = '\0';
	return add_word(r, line, tag, test, e);
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* All whole lines of PENDING. */
static td_status take_lines(struct reading *r, struct buf *pending, bool test, struct err *e)
{
	size_t at = 0;
	td_status s = TD_OK;
	char *end;

	while (!s && at < pending->len && (end = memchr(pending->data + at, '\n', pending->len - at))) {
		char *line = pending->data + at;

		at = (size_t)(end - pending->data) + 1;
		s = add_line(r, line, (size_t)(end - line), test, e);
	}
	buf_drop(pending, at);
	return s;
}

static td_status read_file(void *of, struct err *e)
{
	struct reading *r = of;
	bool test = source_is_test(r->p->source.entry.name);
	char *piece = mem_alloc(READ_ROOM);
	struct buf pending;
	td_status s = TD_OK;
	ssize_t got = 0;

	buf_init(&pending, LINE_MOST + READ_ROOM);
	r->line = 0;
	while (!s && (got = source_read(&r->p->source, piece, READ_ROOM, e)) > 0) {
		const char *from = piece;

		if (!r->line && !pending.len && got >= 3 && !memcmp(piece, "\xef\xbb\xbf", 3)) {
			from += 3;
			got -= 3;
		}
		if (!buf_append(&pending, from, (size_t)got)) {
			r->line++;
			s = refuse(r, e, "a line of more than 64 KiB; each word has a line of its own");
		} else {
			s = take_lines(r, &pending, test, e);
		}
	}
	if (!s && got < 0)
		s = e->status;
	if (!s && pending.len && buf_append(&pending, "\n", 1))
		s = take_lines(r, &pending, test, e);
	if (!s)
		s = end_sentence(r, test, e);
	buf_release(&pending);
	mem_free(piece);
	return s;
}

static bool is_meant(const struct source_entry *entry)
{
	static const char *const endings[] = { "txt", "conll", "conllu", "iob", "iob2", "bio", "tsv", "pos" };

	for (size_t i = 0; i < TD_COUNT(endings) && entry->inside; i++)
		if (source_has_ending(entry->name, endings[i]))
			return true;
	return !entry->inside;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static td_status finish_part(struct part *part, const int32_t *rank, struct err *e)
{
	td_status s = column_add(&part->offsets, &part->text.n_bytes, sizeof part->text.n_bytes, e);

	if (!s)
		s = column_add(&part->tag_offsets, &part->n_tags, sizeof part->n_tags, e);
	if (!s)
		s = column_flush(&part->offsets, e);
	if (!s)
		s = column_flush(&part->tag_offsets, e);
	if (!s)
		s = column_flush(&part->text, e);
	if (!s)
		s = column_flush(&part->tags, e);
	return s ? s : column_rename(&part->tags, rank, e);
}

static td_status tell_samples(struct reading *r, struct err *e)
{
	const struct part *train = &r->part[PACK_TRAIN];
	int64_t chosen[PREPARE_SAMPLES_MOST];
	int n = choose_samples(NULL, train->n, 0, chosen);
	td_status s = TD_OK;

	for (int k = 0; k < n && !s; k++)
		s = text_tell_one(r->p, &train->text, &train->offsets, ' ', chosen[k], NULL, e);
	return s;
}

static td_status finish(struct reading *r, struct err *e)
{
	int32_t *rank = classes_sort(&r->tags);
	td_status s = prepare_parts(r->p, (int64_t[]){ r->part[PACK_TRAIN].n, r->part[PACK_TEST].n }, e);

	for (int part = 0; part < PACK_PARTS && !s; part++)
		if (r->part[part].n)
			s = finish_part(&r->part[part], rank, e);
	mem_free(rank);
	if (s)
		return s;
	texts_tell(r->p, PACK_TAGGED_TEXT, &r->tags, &r->census, r->longest_characters, r->longest);
	return tell_samples(r, e);
}

static void part_release(struct part *p)
{
	column_release(&p->text);
	column_release(&p->offsets);
	column_release(&p->tags);
	column_release(&p->tag_offsets);
}

td_status from_tagged_text(struct prepare *p, struct err *e)
{
	struct reading r = { .p = p };
	td_status s;

	census_init(&r.census);
	classes_init(&r.tags, TAGS_MOST);
	buf_init(&r.words, TEXT_MOST);
	for (enum pack_part k = PACK_TRAIN; k < PACK_PARTS; k++) {
		column_open(&r.part[k].text, p, k, "text", COLUMN_ROOM);
		column_open(&r.part[k].offsets, p, k, "offsets", COLUMN_ROOM);
		column_open(&r.part[k].tags, p, k, "tags", COLUMN_ROOM);
		column_open(&r.part[k].tag_offsets, p, k, "tag_offsets", COLUMN_ROOM);
	}
	s = prepare_walk(p, is_meant, "its name is not that of a tagged text", read_file, &r, e);
	if (!s)
		s = finish(&r, e);
	for (int k = 0; k < PACK_PARTS; k++)
		part_release(&r.part[k]);
	mem_free(r.tag);
	buf_release(&r.words);
	classes_release(&r.tags);
	census_release(&r.census);
	return s;
}
