/* CSV: see csv.h.  Fields are copied span by span from the bytes in hand into the row; nothing looks ahead further than
 * one byte, so the same code reads a stream and the piece of it from which delimiter and header are found out. */
#include "data/csv.h"
#include "base/map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NUMBER_MOST  64 /* bytes of a number: more digits than a double can tell apart */
#define EXACT_DIGITS 15 /* an integer of so many digits is exact in a double */
#define EXACT_POWER  22 /* and so is 10 to this power, so one product or quotient is rounded correctly */
#define HEADER_NAME  60 /* bytes: what is longer is no name of a column, if nothing else says so */

/* ---- Values ------------------------------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

const char *csv_trim(const char *text, size_t *n)
{
	while (*n && is_blank(text[0])) {
		text++;
		--*n;
	}
	while (*n && is_blank(text[*n - 1]))
		--*n;
	return text;
}

bool csv_is_missing(const char *text, size_t n)
{
	static const char *const words[] = { "na", "n/a", "nan", "null", "?" };

	text = csv_trim(text, &n);
	for (size_t i = 0; i < TD_COUNT(words); i++)
		if (strlen(words[i]) == n && !strncasecmp(text, words[i], n))
			return true;
	return !n;
}

/* Digits with at most one point, and an exponent.  *EXACT: MANTISSA and POWER of ten say all of it. */
static bool scan_number(const char *at, const char *end, int64_t *mantissa, int *power, bool *exact)
{
	int n_digits = 0, n_significant = 0;
	bool point = false;

	*mantissa = 0;
	*power = 0;
	for (; at < end && ((*at >= '0' && *at <= '9') || (*at == '.' && !point)); at++) {
		if (*at == '.') {
			point = true;
			continue;
		}
		n_digits++;
		n_significant += n_significant || *at != '0';
		if (n_significant <= EXACT_DIGITS)
			*mantissa = *mantissa * 10 + (*at - '0');
		*power -= point;
	}
	*exact = n_significant <= EXACT_DIGITS && *power >= -EXACT_POWER && at == end;
	if (at < end && n_digits && (*at == 'e' || *at == 'E')) {
		at++;
		at += at < end && (*at == '+' || *at == '-');
		if (at == end)
			return false;
		while (at < end && *at >= '0' && *at <= '9')
			at++;
	}
	return n_digits && at == end;
}

bool csv_number(const char *text, size_t n, double *out)
{
	static const double powers[EXACT_POWER + 1] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
		1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
	char copy[NUMBER_MOST + 1];
	int64_t mantissa;
	bool exact, minus;
	int power;

	text = csv_trim(text, &n);
	if (!n || n > NUMBER_MOST)
		return false;
	minus = text[0] == '-';
	if (!scan_number(text + (minus || text[0] == '+'), text + n, &mantissa, &power, &exact))
		return false;
	if (exact) {
		*out = (double)mantissa / powers[-power];
		*out = minus ? -*out : *out;
		return true;
	}
	memcpy(copy, text, n);
	copy[n] = '\0';
	*out = strtod(copy, NULL);
	return isfinite(*out);
}

bool csv_number_with_comma(const char *text, size_t n, double *out)
{
	char copy[NUMBER_MOST];
	char *comma;

	text = csv_trim(text, &n);
	if (n > sizeof copy || memchr(text, '.', n) || !memchr(text, ',', n))
		return false;
	memcpy(copy, text, n);
	comma = memchr(copy, ',', n);
	*comma = '.'; /* a second one is no part of a number */
	return csv_number(copy, n, out);
}

bool csv_read_number(const struct csv *c, struct csv_numbers *seen, const char *text, size_t n, double *out)
{
	*out = NAN;
	if (!n)
		return true;
	if (!strcmp(text, CSV_DASH)) {
		seen->n_dashes++;
		return true;
	}
	if (csv_number(text, n, out)) {
		seen->n_points += memchr(text, '.', n) != NULL;
	} else if (c->delimiter == ';' && csv_number_with_comma(text, n, out)) {
		seen->n_commas++;
	} else {
		if (!seen->odd_line)
			snprintf(seen->odd, sizeof seen->odd, "%s",
				n < sizeof seen->odd && utf8_valid(text, n) ? text : "(a longer text)");
		seen->odd_line = seen->odd_line ? seen->odd_line : c->row_line;
		return false;
	}
	seen->n_numbers++;
	return !seen->n_points || !seen->n_commas;
}

bool csv_is_meant(const struct source_entry *entry)
{
	static const char *const endings[] = { "csv", "tsv", "txt", "data" };

	for (size_t i = 0; i < TD_COUNT(endings) && entry->inside; i++)
		if (source_has_ending(entry->name, endings[i]))
			return true;
	return !entry->inside;
}

/* ---- Bytes ------------------------------------------------------------------------------------------------------- */

/* More bytes in hand.  1: there are some; 0: the end; -1: E says why. */
static int fill(struct csv *c, struct err *e)
{
	ssize_t got;

	if (c->at < c->n_bytes)
		return 1;
	if (c->ended)
		return 0;
	got = source_read(c->source, c->bytes, c->n_room, e);
	c->at = 0;
	c->n_bytes = got > 0 ? (size_t)got : 0;
	c->ended = got <= 0;
	return got > 0 ? 1 : (int)got;
}

void csv_where(const struct csv *c, char *out, size_t size)
{
	snprintf(out, size, "%s, line %lld", c->source->where, (long long)c->row_line);
}

static int refuse(const struct csv *c, struct err *e, const char *what)
{
	char where[SOURCE_WHERE + 32];

	csv_where(c, where, sizeof where);
	err_set(e, TD_INVALID, "%s: %s", where, what);
	return -1;
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static bool append(struct csv *c, const char *bytes, size_t n)
{
	return buf_append(&c->row, bytes, n);
}

static void begin_field(struct csv *c)
{
	if ((size_t)c->n_fields == c->room) {
		c->room = c->room ? c->room * 2 : 32;
		c->starts = mem_realloc(c->starts, c->room * sizeof *c->starts);
		c->ends = mem_realloc(c->ends, c->room * sizeof *c->ends);
	}
	c->starts[c->n_fields] = c->row.len;
}

static void end_field(struct csv *c)
{
	c->ends[c->n_fields++] = c->row.len;
	append(c, "", 1);
}

/* Bytes up to one of the characters that end a span.  Returns that character, -1 at the end, -2: E says why. */
static int read_span(struct csv *c, bool quoted, struct err *e)
{
	for (;;) {
		const char *from = c->bytes + c->at, *end = c->bytes + c->n_bytes, *at = from;
		int got;

		if (quoted)
			for (; at < end && *at != '"' && *at; at++)
				c->line += *at == '\n';
		else
			while (at < end && *at != c->delimiter && *at != '\n' && *at != '\r' && *at)
				at++;
		c->at += (size_t)(at - from);
		if (!append(c, from, (size_t)(at - from)))
			return refuse(c, e, "a row of more than 16 MiB; is a closing quote missing?") - 1;
		if (at < end && *at)
			return (unsigned char)*at;
		if (at < end)
			return refuse(c, e, "a zero byte; is this UTF-16 or no text at all? Save it as UTF-8") - 1;
		got = fill(c, e);
		if (got <= 0)
			return got - 1;
	}
}

/* The rest of a field whose opening quote was read.  Returns as read_span. */
static int read_quoted(struct csv *c, struct err *e)
{
	for (;;) {
		int stop = read_span(c, true, e), got;

		if (stop == -1)
			return refuse(c, e, "a quote that is opened in this row is never closed") - 1;
		if (stop < 0)
			return stop;
		c->at++; /* the quote */
		got = fill(c, e);
		if (got <= 0)
			return got - 1;
		if (c->bytes[c->at] != '"')
			return (unsigned char)c->bytes[c->at];
		append(c, "\"", 1); /* two quotes are one */
		c->at++;
	}
}

static int read_field(struct csv *c, struct err *e)
{
	int got = fill(c, e), stop;

	begin_field(c);
	if (got < 0)
		return -2;
	if (got && c->bytes[c->at] == '"') {
		c->at++;
		stop = read_quoted(c, e);
		while (stop == ' ') { /* between a closing quote and the delimiter */
			c->at++;
			got = fill(c, e);
			stop = got > 0 ? (unsigned char)c->bytes[c->at] : got - 1;
		}
		if (stop >= 0 && stop != (unsigned char)c->delimiter && stop != '\n' && stop != '\r')
			return refuse(c, e,
				       "text after a closing quote; a quote within a quoted field is written twice") -
			       1;
	} else {
		stop = read_span(c, false, e);
	}
	if (stop >= -1)
		end_field(c);
	return stop;
}

int csv_row(struct csv *c, struct err *e)
{
	int stop = fill(c, e);

	if (stop <= 0)
		return stop;
	buf_clear(&c->row);
	c->n_fields = 0;
	c->row_line = c->line;
	while ((stop = read_field(c, e)) == (unsigned char)c->delimiter) {
		c->at++;
		if (c->n_fields >= PREPARE_COLUMNS_MOST)
			return refuse(c, e, "a row of more than 16384 fields; is the delimiter right?");
	}
	if (stop < -1)
		return -1;
	if (stop == '\r') {
		c->at++;
		stop = fill(c, e) > 0 && c->bytes[c->at] == '\n' ? '\n' : -1;
		c->line += stop != '\n';
	}
	if (stop == '\n') {
		c->at++;
		c->line++;
	}
	return 1;
}

bool csv_row_is_blank(const struct csv *c)
{
	return c->n_fields == 1 && c->starts[0] == c->ends[0];
}

int csv_next(struct csv *c, struct err *e)
{
	char text[160];
	int got;

	while ((got = csv_row(c, e)) > 0 && csv_row_is_blank(c))
		;
	if (got <= 0 || c->n_fields == c->n_columns)
		return got;
	snprintf(text, sizeof text, "it has %d field%s, but the first row has %d; is a %s within a text not quoted?",
		c->n_fields, c->n_fields == 1 ? "" : "s", c->n_columns,
		c->n_fields > c->n_columns ? "delimiter" : "line end");
	return refuse(c, e, text);
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static td_status read_first(struct csv *c, struct err *e)
{
	while (!c->ended && c->n_bytes < c->n_room) {
		ssize_t got = source_read(c->source, c->bytes + c->n_bytes, c->n_room - c->n_bytes, e);
		if (got < 0)
			return e->status;
		c->n_bytes += (size_t)got;
		c->ended = !got;
	}
	if (c->n_bytes >= 2 && (!memcmp(c->bytes, "\xff\xfe", 2) || !memcmp(c->bytes, "\xfe\xff", 2)))
		return err_set(e, TD_INVALID,
			"%s is UTF-16; save it as UTF-8, for example with iconv -f utf-16 -t utf-8", c->source->where);
	if (c->n_bytes >= 3 && !memcmp(c->bytes, "\xef\xbb\xbf", 3))
		c->at = 3;
	return TD_OK;
}

/* A name for column K that no column before it has.  SEEN counts how often each was met. */
static char *name_column(const struct csv *c, int k, struct map *seen)
{
	size_t n = csv_field_bytes(c, k);
	const char *text = csv_trim(csv_field(c, k), &n);
	char *base = n ? mem_strndup(text, n) : mem_printf("%d", k + 1), *name = mem_strdup(base);

	while (map_get(seen, name)) {
		intptr_t base_times = (intptr_t)map_get(seen, base) + 1;

		map_put(seen, base, (void *)base_times);
		mem_free(name);
		name = mem_printf("%s.%d", base, (int)base_times);
	}
	map_put(seen, name, (void *)(intptr_t)1);
	mem_free(base);
	return name;
}

static td_status set_names(struct csv *c, struct err *e)
{
	struct map seen;
	td_status s = TD_OK;

	map_init(&seen);
	c->names = MEM_NEW_N(char *, c->n_columns);
	for (int k = 0; k < c->n_columns; k++) {
		c->names[k] = c->has_header ? name_column(c, k, &seen) : mem_printf("%d", k + 1);
		if (!utf8_valid(c->names[k], strlen(c->names[k])))
			s = err_set(e, TD_INVALID,
				"%s: the name of column %d is not UTF-8; convert the file, for example with iconv -f "
				"latin1 -t utf-8",
				c->source->where, k + 1);
	}
	map_release(&seen);
	return s;
}

static td_status read_names(struct csv *c, struct err *e)
{
	struct csv sample = csv_sample(c, c->delimiter);
	int got = 0;

	if (c->has_header)
		while ((got = csv_row(c, e)) > 0 && csv_row_is_blank(c))
			;
	else /* a first row longer than what is in hand has no end there: it is counted when it comes */
		while ((got = csv_row(&sample, e)) > 0 && csv_row_is_blank(&sample))
			;
	c->n_columns = got > 0 ? (c->has_header ? c->n_fields : sample.n_fields) : 0;
	csv_sample_release(&sample);
	if (got < 0)
		return e->status;
	if (!c->n_columns)
		return err_set(e, TD_INVALID, "%s has no rows, or a first row of more than %d bytes", c->source->where,
			CSV_SNIFF);
	return set_names(c, e);
}

td_status csv_open(struct csv *c, struct source *s, const struct csv_options *options, struct err *e)
{
	td_status status;

	*c = (struct csv){ .source = s, .line = 1, .row_line = 1 };
	c->n_room = s->entry.n_bytes >= 0 ? (size_t)TD_MIN(s->entry.n_bytes + 1, (int64_t)CSV_SNIFF) : CSV_SNIFF;
	c->bytes = mem_alloc(c->n_room);
	buf_init(&c->row, CSV_ROW_MOST);
	status = read_first(c, e);
	if (status)
		return status;
	c->delimiter = options->delimiter ? options->delimiter : csv_find_delimiter(c);
	c->has_header =
		options->header == PREPARE_HEADER_AUTO ? csv_find_header(c) : options->header == PREPARE_HEADER_YES;
	return read_names(c, e);
}

void csv_release(struct csv *c)
{
	for (int k = 0; k < c->n_columns && c->names; k++)
		mem_free(c->names[k]);
	mem_free(c->names);
	mem_free(c->bytes);
	mem_free(c->starts);
	mem_free(c->ends);
	buf_release(&c->row);
	*c = (struct csv){ 0 };
}

int csv_find(const struct csv *c, const char *name)
{
	char *end;
	long number;

	for (int k = 0; k < c->n_columns; k++)
		if (!strcmp(c->names[k], name))
			return k;
	number = strtol(name, &end, 10);
	return *name && !*end && number >= 1 && number <= c->n_columns ? (int)number - 1 : -1;
}

int csv_find_any(const struct csv *c, const char *const *names)
{
	for (; *names; names++)
		for (int k = 0; k < c->n_columns; k++)
			if (!strcasecmp(c->names[k], *names))
				return k;
	return -1;
}
