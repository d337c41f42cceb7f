/* Tables: CSV files whose columns are numbers or categories.
 *
 * A column's type is known when its last value was read, and the file is read once.  So each column is written as
 * everything that it may still be: as numbers while all its values are numbers, as categories while there are few of
 * them.  What it turns out not to be is removed.  Words that hardly come again, or too many of them, are text. */
#include "data/formats.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CATEGORIES_MOST   1000                 /* more distinct values are text, unless somebody says so */
#define FEW_VALUES        20                   /* of a column, all different, may be categories */
#define DICTIONARIES_MOST ((int64_t)256 << 20) /* bytes of the distinct values of all columns */
#define ENTRY_BYTES       80                   /* of one of them, besides its text */
#define BUFFERS_MOST      (32 << 20)           /* bytes of all columns' buffers */
#define BUFFER_LEAST      1024
#define BINS              20
#define TOP_VALUES        20
#define ROWS_SHOWN        10
#define COLUMNS_SHOWN     100 /* of a sample */
#define VALUE_SHOWN       200 /* bytes */
#define NEARLY_ALL        0.9 /* of a column's values are numbers: the others are worth a word */

struct table_column {
	char *name;               /* owned */
	bool corrected;           /* its type was given */
	enum prepare_column type; /* given, or found at the end */
	bool maybe_number, maybe_category;
	struct column numbers[PACK_PARTS], codes[PACK_PARTS];
	struct classes categories;
	int64_t n_missing;       /* of all parts */
	struct csv_numbers seen; /* what its values are as numbers, whatever the column is */
	/* of the training part's numbers, by Welford's recurrence */
	int64_t n;
	double mean, m2, min, max;
};

struct table {
	struct prepare *p;
	struct table_column *columns; /* owned; [n] */
	int n;
	int64_t rows[PACK_PARTS];
	int64_t n_read; /* rows of files that are not named for the test part */
	int64_t dictionary_bytes;
	char first_file[SOURCE_WHERE]; /* whose header the others must have */
	cJSON *shown[ROWS_SHOWN];      /* owned; the first rows, as text */
	int n_shown;
};

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

static td_status apply_corrections(struct table *t, const struct csv *c, struct err *e)
{
	const struct prepare_format *f = &t->p->format;

	for (int i = 0; i < f->n_columns; i++) {
		int k = csv_find(c, f->columns[i].name);
		char token[256], pointer[300];
		const char *near;

		if (k >= 0) {
			t->columns[k].corrected = true;
			t->columns[k].type = f->columns[i].type;
			continue;
		}
		near = nearest_name(f->columns[i].name, (const char *const *)c->names, (size_t)c->n_columns);
		json_pointer_token(f->columns[i].name, token, sizeof token);
		snprintf(pointer, sizeof pointer, "/format/columns/%s", token);
		prepare_blame(t->p, pointer);
		return err_set(e, TD_INVALID,
			"%s has no column \"%.100s\"%s%.100s%s; its columns begin with \"%.100s\"", c->source->where,
			f->columns[i].name, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "",
			c->names[0]);
	}
	return TD_OK;
}

static void open_columns(struct table *t, const struct csv *c)
{
	size_t room = (size_t)(BUFFERS_MOST / (2 * PACK_PARTS * c->n_columns));

	room = TD_MAX(BUFFER_LEAST, TD_MIN(room, COLUMN_ROOM));
	t->n = c->n_columns;
	t->columns = MEM_NEW_N(struct table_column, t->n);
	for (int k = 0; k < t->n; k++) {
		struct table_column *column = &t->columns[k];
		char name[48];

		column->name = mem_strdup(c->names[k]);
		column->maybe_number = column->maybe_category = true;
		column->min = INFINITY;
		column->max = -INFINITY;
		classes_init(&column->categories, PREPARE_CLASSES_MOST);
		for (enum pack_part part = PACK_TRAIN; part < PACK_PARTS; part++) {
			snprintf(name, sizeof name, "column-%d.numbers", k);
			column_open(&column->numbers[part], t->p, part, name, room);
			snprintf(name, sizeof name, "column-%d.codes", k);
			column_open(&column->codes[part], t->p, part, name, room);
		}
	}
}

static void drop_numbers(struct table_column *c)
{
	c->maybe_number = false;
	for (int part = 0; part < PACK_PARTS; part++)
		column_drop(&c->numbers[part]);
}

static void drop_categories(struct table *t, struct table_column *c)
{
	c->maybe_category = false;
	t->dictionary_bytes -= (int64_t)c->categories.n_text + c->categories.n * ENTRY_BYTES;
	for (int part = 0; part < PACK_PARTS; part++)
		column_drop(&c->codes[part]);
	classes_release(&c->categories);
}

static td_status begin(struct table *t, const struct csv *c, struct err *e)
{
	td_status s;

	if (t->columns) {
		if (c->n_columns != t->n)
			return err_set(e, TD_INVALID,
				"%.200s has %d columns, but %.200s has %d; all files of a table have the same columns, "
				"so leave one out",
				c->source->where, c->n_columns, t->first_file, t->n);
		for (int k = 0; k < t->n && c->has_header; k++)
			if (strcmp(c->names[k], t->columns[k].name) != 0)
				return err_set(e, TD_INVALID,
					"column %d of %.150s is called \"%.80s\", but in %.150s \"%.80s\"", k + 1,
					c->source->where, c->names[k], t->first_file, t->columns[k].name);
		return TD_OK;
	}
	snprintf(t->first_file, sizeof t->first_file, "%s", c->source->where);
	open_columns(t, c);
	s = apply_corrections(t, c, e);
	for (int k = 0; k < t->n && !s; k++) {
		struct table_column *column = &t->columns[k];

		if (column->corrected && column->type != PREPARE_NUMBER)
			drop_numbers(column);
		if (column->corrected && column->type != PREPARE_CATEGORY)
			drop_categories(t, column);
	}
	return s;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static void learn_number(struct table_column *c, double x)
{
	double d = x - c->mean;

	c->mean += d / (double)++c->n;
	c->m2 += d * (x - c->mean);
	c->min = TD_MIN(c->min, x);
	c->max = TD_MAX(c->max, x);
}

static td_status misfit(struct table *t, const struct csv *c, int k, const char *text, struct err *e)
{
	char where[SOURCE_WHERE + 32], token[256], pointer[300];

	csv_where(c, where, sizeof where);
	json_pointer_token(t->columns[k].name, token, sizeof token);
	snprintf(pointer, sizeof pointer, "/format/columns/%s", token);
	prepare_blame(t->p, pointer);
	return err_set(e, TD_INVALID,
		"%.200s, column \"%.60s\": \"%.60s\" is no number, which this column was said to hold; correct the "
		"file, or make it a \"category\"",
		where, t->columns[k].name, text);
}

/* TEXT was read as X, if it is a NUMBER or missing. */
static td_status add_number(struct table *t, const struct csv *c, int k, enum pack_part part, const char *text,
	bool number, double x, struct err *e)
{
	struct table_column *column = &t->columns[k];

	if (!number) {
		if (column->corrected)
			return misfit(t, c, k, text, e);
		drop_numbers(column);
		return TD_OK;
	}
	if (!isnan(x) && part == PACK_TRAIN)
		learn_number(column, x);
	return column_add(&column->numbers[part], &x, sizeof x, e);
}

static bool can_take(struct table *t, const struct table_column *c, const char *text, size_t n)
{
	if (map_get(&c->categories.index, text))
		return true;
	if (c->categories.n >= CATEGORIES_MOST || n > CLASS_NAME_MOST || !utf8_valid(text, n))
		return false;
	return t->dictionary_bytes + (int64_t)n + ENTRY_BYTES <= DICTIONARIES_MOST;
}

static td_status add_category(
	struct table *t, const struct csv *c, int k, enum pack_part part, const char *text, size_t n, struct err *e)
{
	struct table_column *column = &t->columns[k];
	int64_t n_before = column->categories.n;
	int32_t code = -1;

	if (n && !column->corrected && !can_take(t, column, text, n)) {
		if (!utf8_valid(text, n))
			prepare_note(t->p,
				"Column \"%.100s\" is text: line %lld is not UTF-8; convert the file, for example with "
				"iconv -f latin1 -t utf-8.",
				column->name, (long long)c->row_line);
		drop_categories(t, column);
		return TD_OK;
	}
	if (n) {
		code = classes_add(&column->categories, text, e);
		if (code < 0) {
			char where[SOURCE_WHERE + 32];
			csv_where(c, where, sizeof where);
			return err_wrap(e, "%.200s, column \"%.60s\"", where, column->name);
		}
		column->categories.count[code][part]++;
		if (column->categories.n > n_before)
			t->dictionary_bytes += (int64_t)n + 1 + ENTRY_BYTES;
	}
	return column_add(&column->codes[part], &code, sizeof code, e);
}

static td_status add_value(struct table *t, const struct csv *c, int k, enum pack_part part, struct err *e)
{
	struct table_column *column = &t->columns[k];
	size_t n = csv_field_bytes(c, k);
	char *text = (char *)csv_trim(csv_field(c, k), &n);
	td_status s = TD_OK;
	bool number;
	double x;

	text[n] = '\0'; /* the row is ours; what follows are the blanks that were cut off */
	if (csv_is_missing(text, n)) {
		column->n_missing++;
		n = 0;
	}
	number = csv_read_number(c, &column->seen, text, n, &x);
	if (column->maybe_number)
		s = add_number(t, c, k, part, text, number, x, e);
	if (!s && column->maybe_category)
		s = add_category(t, c, k, part, text, n, e);
	return s;
}

static void show_row(struct table *t, const struct csv *c)
{
	cJSON *row = cJSON_CreateArray();

	for (int k = 0; k < TD_MIN(t->n, COLUMNS_SHOWN); k++) {
		size_t n = TD_MIN(csv_field_bytes(c, k), VALUE_SHOWN);
		char *text;

		while (n && n == VALUE_SHOWN && ((unsigned char)csv_field(c, k)[n] & 0xc0) == 0x80)
			n--; /* not in the middle of a character */
		text = mem_strndup(csv_field(c, k), n);
		cJSON_AddItemToArray(row, cJSON_CreateString(utf8_valid(text, n) ? text : "(not UTF-8)"));
		mem_free(text);
	}
	t->shown[t->n_shown++] = row;
}

static td_status read_file(void *of, struct err *e)
{
	struct table *t = of;
	struct csv_options options = prepare_csv_options(t->p);
	bool test = source_is_test(t->p->source.entry.name);
	struct csv c;
	td_status s = csv_open(&c, &t->p->source, &options, e);
	int got = 0;

	if (!s)
		s = begin(t, &c, e);
	while (!s && (got = csv_next(&c, e)) > 0) {
		enum pack_part part = prepare_deal(t->p, test, t->n_read);

		t->n_read += !test;
		if (part == PACK_TRAIN && t->n_shown < ROWS_SHOWN)
			show_row(t, &c);
		for (int k = 0; k < t->n && !s; k++)
			s = add_value(t, &c, k, part, e);
		t->rows[part]++;
	}
	if (!s && got < 0)
		s = e->status;
	if (!s && options.header == PREPARE_HEADER_AUTO)
		prepare_note(t->p, "%s: %s; \"header\" of the format says otherwise.", t->p->source.where,
			c.has_header ? "the first row was taken for the columns' names" : "no row of names was seen");
	csv_release(&c);
	return s;
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

/* The column's file gets its name, or is removed where the part is empty. */
static td_status keep(struct table *t, int k, struct column *files, struct err *e)
{
	char name[32];

	snprintf(name, sizeof name, "column-%d", k);
	for (enum pack_part part = PACK_TRAIN; part < PACK_PARTS; part++) {
		td_status s;

		if (!t->rows[part]) {
			column_drop(&files[part]);
			continue;
		}
		s = column_flush(&files[part], e);
		if (!s)
			s = column_call(&files[part], t->p, part, name, e);
		if (s)
			return s;
	}
	return TD_OK;
}

static td_status finish_categories(struct table *t, int k, struct err *e)
{
	struct table_column *c = &t->columns[k];
	int32_t *rank = classes_sort(&c->categories);
	td_status s = keep(t, k, c->codes, e);

	for (int part = 0; part < PACK_PARTS && !s; part++)
		if (t->rows[part])
			s = column_rename(&c->codes[part], rank, e);
	mem_free(rank);
	return s;
}

/* Values that hardly come again are names, codes or words, which no category could be learned from. */
static bool comes_again(struct table *t, const struct table_column *c)
{
	int64_t n = t->rows[PACK_TRAIN] + t->rows[PACK_TEST] - c->n_missing;

	if (n <= FEW_VALUES || c->categories.n <= n / 2)
		return true;
	prepare_note(t->p,
		"Column \"%.100s\" is text: %lld of its %lld values are distinct, and a category has at most half as "
		"many; \"columns\" of the format says otherwise.",
		c->name, (long long)c->categories.n, (long long)n);
	return false;
}

/* What was not to be taken for granted in a column of numbers. */
static void note_numbers(struct table *t, struct table_column *c)
{
	if (c->seen.n_commas)
		prepare_note(t->p, "Column \"%.100s\": its numbers were read with a decimal comma.", c->name);
	if (c->seen.n_dashes)
		prepare_note(t->p, "Column \"%.100s\": %lld value%s \"-\" among numbers, taken for missing.", c->name,
			(long long)c->seen.n_dashes, c->seen.n_dashes == 1 ? " is" : "s are");
	c->n_missing += c->seen.n_dashes;
}

/* A column that is no number, though it nearly was one. */
static void note_odd(struct table *t, const struct table_column *c)
{
	int64_t n = t->rows[PACK_TRAIN] + t->rows[PACK_TEST] - c->n_missing - c->seen.n_dashes;
	const char *type = prepare_column_names[c->type];

	if (c->seen.n_points && c->seen.n_commas && c->seen.n_numbers == n)
		prepare_note(t->p,
			"Column \"%.100s\" is %s: of its numbers, %lld have a decimal point and %lld a decimal comma; "
			"write all of them in one way.",
			c->name, type, (long long)c->seen.n_points, (long long)c->seen.n_commas);
	else if (c->seen.n_numbers < n && (double)c->seen.n_numbers >= NEARLY_ALL * (double)n)
		prepare_note(t->p,
			"Column \"%.100s\" is %s, though %lld of its %lld values are numbers: \"%s\" in line %lld is "
			"none; for a column of numbers correct it, or leave it empty.",
			c->name, type, (long long)c->seen.n_numbers, (long long)n, c->seen.odd,
			(long long)c->seen.odd_line);
}

static enum prepare_column find_type(struct table *t, const struct table_column *c)
{
	if (c->n_missing == t->rows[PACK_TRAIN] + t->rows[PACK_TEST]) {
		prepare_note(t->p, "Column \"%.100s\" has no values and is ignored.", c->name);
		return PREPARE_IGNORED;
	}
	if (c->maybe_number && c->seen.n_numbers)
		return PREPARE_NUMBER;
	return c->maybe_category && comes_again(t, c) ? PREPARE_CATEGORY : PREPARE_WORDS;
}

static td_status finish_column(struct table *t, int k, struct err *e)
{
	struct table_column *c = &t->columns[k];

	if (!c->corrected)
		c->type = find_type(t, c);
	if (c->type == PREPARE_NUMBER)
		note_numbers(t, c);
	else if (!c->corrected)
		note_odd(t, c);
	if (c->type != PREPARE_NUMBER && c->maybe_number)
		drop_numbers(c);
	if (c->type != PREPARE_CATEGORY && c->maybe_category)
		drop_categories(t, c);
	if (c->type == PREPARE_NUMBER)
		return keep(t, k, c->numbers, e);
	return c->type == PREPARE_CATEGORY ? finish_categories(t, k, e) : TD_OK;
}

static cJSON *describe(const struct table_column *c)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", c->name);
	cJSON_AddStringToObject(o, "type", prepare_column_names[c->type]);
	cJSON_AddNumberToObject(o, "missing", (double)c->n_missing);
	if (c->type == PREPARE_NUMBER && c->n) {
		cJSON_AddNumberToObject(o, "min", c->min);
		cJSON_AddNumberToObject(o, "max", c->max);
		cJSON_AddItemToObject(o, "mean", json_number(c->mean));
		cJSON_AddItemToObject(o, "std", json_number(sqrt(c->m2 / (double)c->n)));
	}
	return o;
}

/* How many numbers of the training part lie in each of twenty bins between the least and the largest. */
static td_status count_bins(struct table *t, const struct table_column *c, double width, int64_t n[BINS], struct err *e)
{
	const struct column *numbers = &c->numbers[PACK_TRAIN];
	double *piece = mem_alloc(COLUMN_ROOM);
	td_status s = TD_OK;

	for (int64_t at = 0, left = t->rows[PACK_TRAIN], m; left && !s; left -= m, at += m * (int64_t)sizeof *piece) {
		m = TD_MIN(left, (int64_t)(COLUMN_ROOM / sizeof *piece));
		s = column_read(numbers, at, piece, (size_t)m * sizeof *piece, e);
		for (int64_t i = 0; i < m && !s; i++)
			if (!isnan(piece[i]))
				n[width > 0 ? TD_MIN((int)(piece[i] / width - c->min / width), BINS - 1) : 0]++;
	}
	mem_free(piece);
	return s;
}

static td_status add_histogram(struct table *t, const struct table_column *c, cJSON *to, struct err *e)
{
	double width = c->max / BINS - c->min / BINS; /* the difference itself may be no double */
	cJSON *histogram, *edges, *counts;
	int64_t n[BINS] = { 0 };
	td_status s = count_bins(t, c, width, n, e);

	if (s)
		return s;
	histogram = cJSON_AddObjectToObject(to, "histogram");
	edges = cJSON_AddArrayToObject(histogram, "edges");
	counts = cJSON_AddArrayToObject(histogram, "counts");
	for (int b = 0; b <= BINS; b++)
		cJSON_AddItemToArray(edges, json_number(b == BINS ? c->max : c->min + width * b));
	for (int b = 0; b < BINS; b++)
		cJSON_AddItemToArray(counts, cJSON_CreateNumber((double)n[b]));
	return TD_OK;
}

/* The most frequent categories. */
static void add_top_values(const struct table_column *c, cJSON *to)
{
	cJSON *values = cJSON_AddArrayToObject(to, "values");
	const struct classes *k = &c->categories;
	bool *told = MEM_NEW_N(bool, k->n + 1);

	for (int64_t shown = 0; shown < TD_MIN(k->n, TOP_VALUES); shown++) {
		int64_t best = -1, most = -1;
		cJSON *one = cJSON_CreateObject();

		for (int64_t i = 0; i < k->n; i++) {
			int64_t n = k->count[i][PACK_TRAIN] + k->count[i][PACK_TEST];
			if (!told[i] && n > most) {
				most = n;
				best = i;
			}
		}
		told[best] = true;
		cJSON_AddStringToObject(one, "value", k->names[best]);
		cJSON_AddNumberToObject(one, "count", (double)most);
		cJSON_AddItemToArray(values, one);
	}
	mem_free(told);
}

static td_status tell_columns(struct table *t, struct err *e)
{
	cJSON *columns = cJSON_AddArrayToObject(t->p->info, "columns");
	cJSON *shown = cJSON_AddArrayToObject(t->p->summary, "columns");

	for (int k = 0; k < t->n; k++) {
		const struct table_column *c = &t->columns[k];
		cJSON *info = describe(c), *summary = k < PREPARE_SHOWN_MOST ? describe(c) : NULL, *names;

		cJSON_AddItemToArray(columns, info);
		if (summary)
			cJSON_AddItemToArray(shown, summary);
		if (c->type == PREPARE_CATEGORY) {
			names = cJSON_AddArrayToObject(info, "categories");
			for (int64_t i = 0; i < c->categories.n; i++)
				cJSON_AddItemToArray(names, cJSON_CreateString(c->categories.names[i]));
			if (summary)
				add_top_values(c, summary);
		}
		if (c->type == PREPARE_NUMBER && c->n && summary && add_histogram(t, c, summary, e))
			return e->status;
	}
	return TD_OK;
}

static void tell_rows(struct table *t)
{
	for (int i = 0; i < t->n_shown; i++) {
		cJSON *row = cJSON_AddObjectToObject(add_sample(t->p, i, NULL), "row"), *value;
		int k = 0;

		cJSON_ArrayForEach(value, t->shown[i])
		{
			const struct table_column *c = &t->columns[k++];
			const char *text = value->valuestring;
			size_t n = strlen(text);
			double x;

			if (csv_is_missing(text, n) || (c->type == PREPARE_NUMBER && !strcmp(text, CSV_DASH)))
				cJSON_AddNullToObject(row, c->name);
			else if (c->type == PREPARE_NUMBER &&
				 (csv_number(text, n, &x) || csv_number_with_comma(text, n, &x)))
				cJSON_AddNumberToObject(row, c->name, x);
			else
				cJSON_AddStringToObject(row, c->name, text);
		}
	}
}

static td_status finish(struct table *t, struct err *e)
{
	td_status s = prepare_parts(t->p, t->rows, e);

	for (int k = 0; k < t->n && !s; k++)
		s = finish_column(t, k, e);
	if (s)
		return s;
	cJSON_AddStringToObject(t->p->info, "kind", pack_kind_names[PACK_TABLE]);
	tell_rows(t);
	return tell_columns(t, e);
}

static void table_release(struct table *t)
{
	for (int k = 0; k < t->n; k++) {
		struct table_column *c = &t->columns[k];

		for (int part = 0; part < PACK_PARTS; part++) {
			column_release(&c->numbers[part]);
			column_release(&c->codes[part]);
		}
		classes_release(&c->categories);
		mem_free(c->name);
	}
	mem_free(t->columns);
	for (int i = 0; i < t->n_shown; i++)
		cJSON_Delete(t->shown[i]);
}

td_status from_table(struct prepare *p, struct err *e)
{
	struct table t = { .p = p };
	td_status s;

	s = prepare_walk(p, csv_is_meant, "it is not called .csv", read_file, &t, e);
	if (!s)
		s = finish(&t, e);
	table_release(&t);
	return s;
}
