/* "auto": what the files are, by their names and first bytes.
 *
 * Files are looked at in order until it is clear; what was chosen and why becomes a note, so that a wrong guess is seen
 * and corrected by saying the type. */
#include "data/pictures.h"
#include "io/npy.h"

#include <stdio.h>
#include <string.h>

#define LOOK_BYTES      65536 /* of a text */
#define PICTURES_ENOUGH 1000  /* in more than one folder: no list of paths is to come */
#define CIFAR_RECORD    3073
#define TEXT_COLUMNS    4   /* a list of labelled texts has not more columns */
#define TEXT_WORDS      4.0 /* and its texts have more words than this, in the mean */
#define LABELS_MOST     0.9 /* of so many rows as have a label of their own, it is none; */
#define NUMBERS_MOST    0.5 /* a number is none before */
#define FEW_ROWS        20  /* which say nothing about that */
#define MOSTLY          0.9
#define TAGGED_LINES    4

/* Files of one kind. */
struct sign {
	int64_t n;
	char first[SOURCE_WHERE]; /* where the first of them is */
};

struct signs {
	struct prepare *p;
	struct sign pictures, arrays, idx, cifar, csv_files, text, tagged, others;
	char folder[SOURCE_WHERE]; /* of the first picture */
	bool folders;              /* pictures lie in more than one */
	bool csv_alone;            /* a CSV file stands beside the others, not within */
	enum prepare_type csv;     /* what the first CSV file holds */
};

static void see(struct signs *s, struct sign *sign)
{
	if (!sign->n++)
		snprintf(sign->first, sizeof sign->first, "%s", s->p->source.where);
}

static void see_picture(struct signs *s)
{
	const char *name = s->p->source.entry.name;
	char folder[SOURCE_WHERE];

	snprintf(folder, sizeof folder, "%.*s", (int)TD_MIN(source_base(name) - name, SOURCE_WHERE - 1), name);
	if (!s->pictures.n)
		memcpy(s->folder, folder, sizeof folder);
	s->folders |= strcmp(folder, s->folder) != 0;
	see(s, &s->pictures);
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

/* Whether beside texts there is one column, and it is a label: its values come again.  The first column may number the
 * rows. */
static bool is_labelled(const struct csv *c, const struct csv_profile *profile, int n_rows)
{
	const struct csv_profile *label = NULL;
	int n_texts = 0, n_others = 0;

	for (int k = 0; k < c->n_columns; k++) {
		if (profile[k].n_words > TEXT_WORDS) {
			n_texts++;
		} else if (k || c->n_columns == 2 || profile[k].n_distinct < 1) {
			n_others++;
			label = &profile[k];
		}
	}
	return n_texts && n_others == 1 && c->n_columns <= TEXT_COLUMNS &&
	       (n_rows <= FEW_ROWS || label->n_distinct <= (label->numbers > MOSTLY ? NUMBERS_MOST : LABELS_MOST));
}

static enum prepare_type judge_csv(const struct csv *c)
{
	struct csv_profile profile[CSV_PROFILED_MOST];
	int n_rows = c->n_columns <= CSV_PROFILED_MOST ? csv_profile(c, profile) : 0;

	for (int k = 0; n_rows && k < c->n_columns; k++)
		if (profile[k].pictures > MOSTLY)
			return PREPARE_IMAGE_CSV;
	return n_rows && is_labelled(c, profile, n_rows) ? PREPARE_LABELLED_TEXT : PREPARE_TABLE;
}

static td_status see_csv(struct signs *s, struct err *e)
{
	struct csv_options options = prepare_csv_options(s->p);
	struct csv c;
	td_status status = TD_OK;

	s->csv_alone |= !s->p->source.entry.inside;
	if (!s->csv_files.n) {
		status = csv_open(&c, &s->p->source, &options, e);
		if (!status)
			s->csv = judge_csv(&c);
		csv_release(&c);
	}
	see(s, &s->csv_files);
	return status;
}

/* ---- Texts ------------------------------------------------------------------------------------------------------- */

static int count_fields(const char *line, size_t n)
{
	int fields = 0;

	for (size_t i = 0; i < n; i++)
		fields += strchr(" \t\r", line[i]) == NULL && (!i || strchr(" \t\r", line[i - 1]));
	return fields;
}

/* Whether nearly all lines are a word and a tag, with blank lines between. */
static bool looks_tagged(const char *text, size_t n)
{
	int n_lines = 0, n_pairs = 0, n_blank = 0, n_first = 0;

	for (size_t at = 0; at < n;) {
		const char *end = memchr(text + at, '\n', n - at);
		size_t n_line = end ? (size_t)(end - text) - at : n - at;
		int fields = count_fields(text + at, n_line);

		if (!end && n == LOOK_BYTES)
			break; /* cut off */
		n_first = n_first ? n_first : fields;
		n_blank += !fields;
		n_lines += fields > 0;
		n_pairs += fields == n_first && fields >= 2 && fields <= 4;
		at += n_line + 1;
	}
	return n_lines >= TAGGED_LINES && n_blank && n_pairs >= MOSTLY * n_lines;
}

static td_status see_text(struct signs *s, const char *begins, size_t n)
{
	see(s, looks_tagged(begins, n) ? &s->tagged : &s->text);
	return TD_OK;
}

/* ---- All files --------------------------------------------------------------------------------------------------- */

/* A binary file, or one whose ending says nothing: by its first bytes. */
static td_status see_bytes(struct signs *s, struct err *e)
{
	const struct source_entry *entry = &s->p->source.entry;
	char *bytes = mem_alloc(LOOK_BYTES);
	size_t n = 0;
	ssize_t got;

	while (n < LOOK_BYTES && (got = source_read(&s->p->source, bytes + n, LOOK_BYTES - n, e)) > 0)
		n += (size_t)got;
	if (e->status)
		goto out;
	if (n >= NPY_PREFIX && !memcmp(bytes, "\x93NUMPY", 6))
		see(s, &s->arrays);
	else if (n >= 8 && !bytes[0] && !bytes[1] && bytes[2] >= 8 && bytes[2] <= 14 && bytes[3] >= 1 && bytes[3] <= 4)
		see(s, &s->idx);
	else if (source_has_ending(entry->name, "bin") && n >= CIFAR_RECORD)
		see(s, &s->cifar);
	else if (image_is_known(bytes, n))
		see_picture(s);
	else if (n && !memchr(bytes, '\0', n))
		see_text(s, bytes, n);
	else
		see(s, &s->others);
out:
	mem_free(bytes);
	return e->status;
}

static td_status see_entry(struct signs *s, struct err *e)
{
	const char *name = s->p->source.entry.name;

	if (picture_is_named(name)) {
		see_picture(s);
		return TD_OK;
	}
	if (source_has_ending(name, "csv") || source_has_ending(name, "tsv") || source_has_ending(name, "data"))
		return see_csv(s, e);
	if (s->pictures.n) /* what else lies with pictures are notes about them */
		return TD_OK;
	return see_bytes(s, e);
}

/* Whether more files could change the answer. */
static bool is_clear(const struct signs *s)
{
	return s->arrays.n || s->idx.n || (s->pictures.n >= PICTURES_ENOUGH && s->folders);
}

struct rule {
	bool is;
	enum prepare_type type;
	const struct sign *sign;
	const char *why;
};

/* The first rule that is so.  False: none is. */
static bool decide(const struct signs *s, struct rule *out)
{
	bool by_csv = s->pictures.n && s->csv_files.n && (s->csv_alone || !s->folders);
	const struct rule rules[] = {
		{ s->arrays.n > 0, PREPARE_ARRAYS, &s->arrays, "it is an NPY array" },
		{ s->idx.n > 0, PREPARE_IDX, &s->idx, "it begins as an IDX file" },
		{ s->cifar.n > 0, PREPARE_CIFAR, &s->cifar, "it is a .bin file as CIFAR's are" },
		{ by_csv, PREPARE_IMAGE_CSV, &s->csv_files, "there are pictures and this CSV file" },
		{ s->pictures.n > 0, PREPARE_IMAGE_FOLDER, &s->pictures, "there are pictures in folders" },
		{ s->csv_files.n && s->csv == PREPARE_LABELLED_TEXT, PREPARE_LABELLED_TEXT, &s->csv_files,
			"it is a CSV file with a column of texts" },
		{ s->csv_files.n > 0, PREPARE_TABLE, &s->csv_files, "it is a CSV file" },
		{ s->tagged.n > 0, PREPARE_TAGGED_TEXT, &s->tagged, "its lines are words and tags" },
		{ s->text.n > 0, PREPARE_TEXT, &s->text, "it is plain text" },
	};

	for (size_t i = 0; i < TD_COUNT(rules); i++)
		if (rules[i].is) {
			*out = rules[i];
			return true;
		}
	return false;
}

td_status detect_format(struct prepare *p, enum prepare_type *out, struct err *e)
{
	struct signs s = { .p = p };
	struct rule rule;
	td_status status = TD_OK;
	bool csv_beside = false;
	int got = 0;

	for (int i = 0; i < p->order->n_files; i++)
		csv_beside |= source_has_ending(p->order->files[i].name, "csv");
	while (!status && (csv_beside || !is_clear(&s)) && (got = source_next(&p->source, e)) > 0)
		status = see_entry(&s, e);
	source_rewind(&p->source);
	if (status || got < 0)
		return e->status;
	if (!decide(&s, &rule))
		return err_set(e, TD_INVALID,
			"there is nothing here that could be told by its name or first bytes%s%.300s; say the \"type\" "
			"of the format",
			s.others.n ? "; the first file is " : "", s.others.first);
	*out = rule.type;
	prepare_note(p, "Read as \"%s\": %s (%s).", prepare_type_names[rule.type], rule.why, rule.sign->first);
	return TD_OK;
}
