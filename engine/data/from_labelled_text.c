/* Labelled texts: CSV files of which one column is the text and another its label. */
#include "data/census.h"

#include <string.h>

struct part {
	struct column text, offsets, labels;
	int64_t n;
};

struct reading {
	struct prepare *p;
	struct census census;
	struct classes classes;
	struct part part[PACK_PARTS];
	int64_t n_read; /* rows of files that are not named for the test part */
	int64_t longest_characters, longest_words;
};

static const char *const text_names[] = { "text", "sentence", "review", "content", "message", "comment", "tweet",
	"body", "description", "document", "question", "headline", "sms", "phrase", "article", NULL };
static const char *const label_names[] = { "label", "class", "category", "target", "sentiment", "labels", "class_name",
	"label_name", "intent", "topic", "rating", "stars", "polarity", "y", NULL };

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* The column that the format names, or that is called as such columns are.  -2: the format names one that is not there.
 */
static int find(struct reading *r, const struct csv *c, const char *named, const char *pointer,
	const char *const *names, struct err *e)
{
	int k = named[0] ? csv_find(c, named) : csv_find_any(c, names);

	if (k >= 0 || !named[0])
		return k;
	prepare_blame(r->p, pointer);
	err_set(e, TD_INVALID, "%s has no column \"%.100s\"; its columns begin with \"%.100s\"", c->source->where,
		named, c->names[0]);
	return -2;
}

/* Of the columns besides OTHER, the one with the longest texts, or with the fewest distinct values. */
static int guess(const struct csv *c, const struct csv_profile *profile, int other, bool text)
{
	int best = -1;

	for (int k = 0; k < c->n_columns; k++)
		if (k != other && (best < 0 || (text ? profile[k].n_words > profile[best].n_words
						     : profile[k].n_distinct < profile[best].n_distinct)))
			best = k;
	return best;
}

static td_status choose(struct reading *r, const struct csv *c, int *text, int *label, struct err *e)
{
	const struct prepare_format *f = &r->p->format;
	struct csv_profile profile[CSV_PROFILED_MOST];
	bool known = c->n_columns <= CSV_PROFILED_MOST && csv_profile(c, profile) > 0;

	*text = find(r, c, f->text_column, "/format/text_column", text_names, e);
	*label = find(r, c, f->label_column, "/format/label_column", label_names, e);
	if (*text == -2 || *label == -2)
		return e->status;
	if (*text < 0 && known)
		*text = guess(c, profile, *label, true);
	if (*label < 0 && known)
		*label = guess(c, profile, *text, false);
	if (*text < 0 || *label < 0 || *text == *label)
		return err_set(e, TD_INVALID,
			"%s: it is not clear which columns are the text and the label; name them as \"text_column\" "
			"and \"label_column\" of the format",
			c->source->where);
	prepare_note(r->p, "%s: texts from column \"%s\", labels from column \"%s\".", c->source->where,
		c->names[*text], c->names[*label]);
	return TD_OK;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static td_status refuse(const struct csv *c, struct err *e, const char *what)
{
	char where[SOURCE_WHERE + 32];

	csv_where(c, where, sizeof where);
	return err_set(e, TD_INVALID, "%.300s: %s", where, what);
}

static td_status write_row(
	struct reading *r, enum pack_part part, const char *text, size_t n, int32_t label, struct err *e)
{
	struct part *to = &r->part[part];
	td_status s = column_add(&to->offsets, &to->text.n_bytes, sizeof to->text.n_bytes, e);

	if (!s)
		s = column_add(&to->text, text, n, e);
	if (!s)
		s = column_add(&to->labels, &label, sizeof label, e);
	r->classes.count[label][part]++;
	to->n++;
	return s;
}

static td_status add_row(struct reading *r, const struct csv *c, int text_at, int label_at, bool test, struct err *e)
{
	enum pack_part part = prepare_deal(r->p, test, r->n_read);
	size_t n = csv_field_bytes(c, text_at), n_label = csv_field_bytes(c, label_at);
	const char *text = csv_trim(csv_field(c, text_at), &n);
	char *label = (char *)csv_trim(csv_field(c, label_at), &n_label);
	int32_t k;

	r->n_read += !test;
	if (!n_label)
		return refuse(c, e, "the label is empty; remove the row, or give it one");
	if (!utf8_valid(text, n))
		return refuse(
			c, e, "the text is not UTF-8; convert the file, for example with iconv -f latin1 -t utf-8");
	label[n_label] = '\0';
	k = classes_add(&r->classes, label, e);
	if (k < 0) {
		char where[SOURCE_WHERE + 32];
		csv_where(c, where, sizeof where);
		return err_wrap(e, "%.300s", where);
	}
	if (part == PACK_TRAIN) {
		int64_t n_characters = census_characters(&r->census, text, n);
		int64_t n_words = census_words(&r->census, text, n);

		r->longest_characters = TD_MAX(r->longest_characters, n_characters);
		r->longest_words = TD_MAX(r->longest_words, n_words);
	}
	return write_row(r, part, text, n, k, e);
}

static td_status read_file(void *of, struct err *e)
{
	struct reading *r = of;
	struct csv_options options = prepare_csv_options(r->p);
	bool test = source_is_test(r->p->source.entry.name);
	int text = -1, label = -1, got = 0;
	struct csv c;
	td_status s = csv_open(&c, &r->p->source, &options, e);

	if (!s)
		s = choose(r, &c, &text, &label, e);
	while (!s && (got = csv_next(&c, e)) > 0)
		s = add_row(r, &c, text, label, test, e);
	if (!s && got < 0)
		s = e->status;
	csv_release(&c);
	return s;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static td_status tell_samples(struct reading *r, struct err *e)
{
	const struct part *train = &r->part[PACK_TRAIN];
	int64_t chosen[PREPARE_SAMPLES_MOST];
	int32_t *labels = column_map(&train->labels, e);
	td_status s = labels ? TD_OK : e->status;
	int n = s ? 0 : choose_samples(labels, train->n, r->classes.n, chosen);

	for (int k = 0; k < n && !s; k++)
		s = text_tell_one(
			r->p, &train->text, &train->offsets, '\n', chosen[k], r->classes.names[labels[chosen[k]]], e);
	column_unmap(&train->labels, labels);
	return s;
}

static td_status finish_part(struct part *part, const int32_t *rank, struct err *e)
{
	td_status s = column_add(&part->offsets, &part->text.n_bytes, sizeof part->text.n_bytes, e);

	if (!s)
		s = column_flush(&part->text, e);
	if (!s)
		s = column_flush(&part->offsets, e);
	if (!s)
		s = column_flush(&part->labels, e);
	return s ? s : column_rename(&part->labels, rank, e);
}

static td_status finish(struct reading *r, struct err *e)
{
	int32_t *rank = classes_sort(&r->classes);
	td_status s = prepare_parts(r->p, (int64_t[]){ r->part[PACK_TRAIN].n, r->part[PACK_TEST].n }, e);

	for (int part = 0; part < PACK_PARTS && !s; part++)
		if (r->part[part].n)
			s = finish_part(&r->part[part], rank, e);
	mem_free(rank);
	if (s)
		return s;
	texts_tell(r->p, PACK_LABELLED_TEXT, &r->classes, &r->census, r->longest_characters, r->longest_words);
	return tell_samples(r, e);
}

td_status from_labelled_text(struct prepare *p, struct err *e)
{
	struct reading r = { .p = p };
	td_status s;

	census_init(&r.census);
	classes_init(&r.classes, PREPARE_CLASSES_MOST);
	for (enum pack_part k = PACK_TRAIN; k < PACK_PARTS; k++) {
		column_open(&r.part[k].text, p, k, "text", COLUMN_ROOM);
		column_open(&r.part[k].offsets, p, k, "offsets", COLUMN_ROOM);
		column_open(&r.part[k].labels, p, k, "labels", COLUMN_ROOM);
	}
	s = prepare_walk(p, csv_is_meant, "it is not called .csv", read_file, &r, e);
	if (!s)
		s = finish(&r, e);
	for (int k = 0; k < PACK_PARTS; k++) {
		column_release(&r.part[k].text);
		column_release(&r.part[k].offsets);
		column_release(&r.part[k].labels);
	}
	classes_release(&r.classes);
	census_release(&r.census);
	return s;
}
