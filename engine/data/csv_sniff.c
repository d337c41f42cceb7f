/* What the first rows of a CSV file say: delimiter, header, and what its columns look like.  See csv.h. */
#include "data/csv.h"
#include "data/pictures.h"

#include <string.h>

#define HEADER_NAME 60 /* bytes: what is longer is no name of a column, if nothing else says so */

struct csv csv_sample(const struct csv *c, char delimiter)
{
	struct csv sample = {
		.source = c->source, .bytes = c->bytes, .n_bytes = c->n_bytes, .at = c->at, .ended = true, .line = 1
	};

	if (!c->ended)
		while (sample.n_bytes > sample.at && sample.bytes[sample.n_bytes - 1] != '\n')
			sample.n_bytes--;
	sample.delimiter = delimiter;
	buf_init(&sample.row, CSV_ROW_MOST);
	return sample;
}

void csv_sample_release(struct csv *c)
{
	buf_release(&c->row);
	mem_free(c->starts);
	mem_free(c->ends);
}

/* Whether TEXT is a number where C's delimiter stands between numbers. */
static bool is_number(const struct csv *c, const char *text, size_t n)
{
	double ignored;

	return csv_number(text, n, &ignored) || (c->delimiter == ';' && csv_number_with_comma(text, n, &ignored));
}

/* How well DELIMITER fits: the fields of the first row if all rows have as many, else the part of rows that do. */
static double rate(const struct csv *c, char delimiter)
{
	struct csv sample = csv_sample(c, delimiter);
	int n_first = 0, n_rows = 0, n_same = 0;

	while (n_rows < CSV_SNIFF_ROWS && csv_row(&sample, NULL) > 0) {
		if (csv_row_is_blank(&sample))
			continue;
		n_first = n_rows ? n_first : sample.n_fields;
		n_same += sample.n_fields == n_first;
		n_rows++;
	}
	csv_sample_release(&sample);
	if (n_first < 2)
		return 0;
	return n_same == n_rows ? n_first : (double)n_same / n_rows;
}

/* Whether all rows are several numbers between semicolons: "0,5;1,25", which commas would cut as evenly. */
static bool has_decimal_commas(const struct csv *c)
{
	struct csv sample = csv_sample(c, ';');
	bool all = true;

	for (int n = 0; all && n < CSV_SNIFF_ROWS && csv_row(&sample, NULL) > 0; n++)
		for (int k = 0; all && k < sample.n_fields && !csv_row_is_blank(&sample); k++)
			all = is_number(&sample, csv_field(&sample, k), csv_field_bytes(&sample, k));
	csv_sample_release(&sample);
	return all && rate(c, ';') >= 2;
}

char csv_find_delimiter(const struct csv *c)
{
	static const char candidates[] = { ',', ';', '\t', '|' };
	double best = 0;
	char found = ',';

	for (size_t i = 0; i < TD_COUNT(candidates); i++) {
		double now = rate(c, candidates[i]);
		if (now > best) {
			best = now;
			found = candidates[i];
		}
	}
	return found == ',' && has_decimal_commas(c) ? ';' : found;
}

/* What a first row says about itself, and the rows below about it. */
struct column_signs {
	char *first; /* owned */
	int n_numbers, n_others;
	bool again; /* the first row's value stands below it too */
};

/* Names are no numbers.  A row where each column has a name of its own may be one of texts above texts; where a name is
 * missing (the index that pandas writes) or stands twice, a column of numbers below its name must say that these are
 * names. */
static bool looks_like_header(const struct csv *c, const struct column_signs *signs, int n_columns, int n_rows)
{
	bool numbers_below = false, again = false, all_differ = true;

	for (int k = 0; k < n_columns; k++) {
		size_t n = strlen(signs[k].first);
		if (csv_is_missing(signs[k].first, n)) {
			all_differ = false;
			continue;
		}
		if (is_number(c, signs[k].first, n) || n > HEADER_NAME)
			return false;
		for (int j = 0; j < k && n_columns < 1000; j++)
			all_differ &= strcmp(signs[j].first, signs[k].first) != 0;
		numbers_below |= signs[k].n_numbers && !signs[k].n_others;
		again |= signs[k].again;
	}
	return numbers_below || (n_rows > 1 && all_differ && !again);
}

bool csv_find_header(const struct csv *c)
{
	struct csv sample = csv_sample(c, c->delimiter);
	struct column_signs *signs = NULL;
	int n_columns = 0, n_rows = 0;
	bool found;

	for (; n_rows < CSV_SNIFF_ROWS && csv_row(&sample, NULL) > 0; n_rows++) {
		if (!n_rows) {
			n_columns = sample.n_fields;
			signs = MEM_NEW_N(struct column_signs, n_columns);
		}
		for (int k = 0; k < n_columns && k < sample.n_fields; k++) {
			const char *text = csv_field(&sample, k);
			size_t n = csv_field_bytes(&sample, k);

			if (!n_rows) {
				signs[k].first = mem_strdup(text);
				continue;
			}
			if (is_number(c, text, n))
				signs[k].n_numbers++;
			else
				signs[k].n_others += !csv_is_missing(text, n) && strcmp(text, CSV_DASH) != 0;
			signs[k].again |= !strcmp(text, signs[k].first);
		}
	}
	found = n_columns && looks_like_header(c, signs, n_columns, n_rows);
	for (int k = 0; k < n_columns; k++)
		mem_free(signs[k].first);
	mem_free(signs);
	csv_sample_release(&sample);
	return found;
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

static int count_words(const char *text)
{
	int n = 0;

	for (bool blank = true; *text; text++) {
		bool now = *text == ' ' || *text == '\t' || *text == '\n';
		n += blank && !now;
		blank = now;
	}
	return n;
}

static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
	return hash;
}

static bool is_new(const uint64_t *seen, int n, uint64_t hash)
{
	for (int i = 0; i < n; i++)
		if (seen[i] == hash)
			return false;
	return true;
}

static void look_at(const struct csv *c, struct csv_profile *p, int k, uint64_t *seen)
{
	const char *text = csv_field(c, k);
	uint64_t hash = hash_of(text);

	p->n_words += count_words(text);
	p->pictures += picture_is_named(text);
	p->numbers += is_number(c, text, csv_field_bytes(c, k));
	if (is_new(seen, (int)p->n_distinct, hash))
		seen[(int)p->n_distinct++] = hash;
}

int csv_profile(const struct csv *c, struct csv_profile *out)
{
	struct csv sample;
	uint64_t *seen;
	int n = 0;

	memset(out, 0, sizeof *out * (size_t)c->n_columns);
	if (c->n_columns > CSV_PROFILED_MOST)
		return 0;
	sample = csv_sample(c, c->delimiter);
	seen = MEM_NEW_N(uint64_t, CSV_SNIFF_ROWS * c->n_columns);
	while (n < CSV_SNIFF_ROWS && csv_row(&sample, NULL) > 0) {
		if (csv_row_is_blank(&sample) || sample.n_fields != c->n_columns)
			continue;
		for (int k = 0; k < c->n_columns; k++)
			look_at(&sample, &out[k], k, seen + k * CSV_SNIFF_ROWS);
		n++;
	}
	for (int k = 0; k < c->n_columns && n; k++) {
		out[k].n_words /= n;
		out[k].n_distinct /= n;
		out[k].pictures /= n;
		out[k].numbers /= n;
	}
	mem_free(seen);
	csv_sample_release(&sample);
	return n;
}
