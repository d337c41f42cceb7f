/* CSV as it is found: RFC 4180 with quotes, either line end, a byte order mark, any of four delimiters, a header or
 * none.
 *
 * Rows come one at a time from the present entry of a source; a row's fields are valid until the next.  Only a row is
 * ever in memory, and a row is capped. */
#ifndef TD_DATA_CSV_H
#define TD_DATA_CSV_H

#include "data/source.h"

#define CSV_ROW_MOST   (16u << 20) /* bytes of one row */
#define CSV_SNIFF      (1u << 20)  /* bytes from which delimiter and header are found out */
#define CSV_SNIFF_ROWS 200

struct csv_options {
	char delimiter; /* 0: found out */
	int header;     /* enum prepare_header */
};

struct csv {
	struct source *source; /* borrowed */
	char *bytes;           /* owned; read, not yet parsed */
	size_t n_room;         /* of BYTES */
	size_t n_bytes, at;    /* of BYTES */
	bool ended;            /* the source has no more, or is not to be asked */
	char delimiter;
	bool has_header;
	struct buf row;   /* fields of the present row, each ended by a zero byte */
	size_t *starts;   /* owned; where in ROW each field begins */
	size_t *ends;     /* owned; and where its zero byte is */
	size_t room;      /* of the two */
	int n_fields;     /* of the present row */
	int64_t line;     /* of the file, from 1: where reading stands */
	int64_t row_line; /* where the present row begins */
	char **names;     /* owned, and each; the header's, or "1", "2", ...; n_columns of them */
	int n_columns;    /* of the first row */
};

/* Begin with the present entry of S: find out what OPTIONS leave open, and read the header.  TD_INVALID: an empty file,
 * UTF-16. */
td_status csv_open(struct csv *c, struct source *s, const struct csv_options *options, struct err *e);
void csv_release(struct csv *c);
/* The next row that is not blank.  1: its fields are there, n_columns of them; 0: the end; -1: E says why, with line.
 */
int csv_next(struct csv *c, struct err *e);
static inline const char *csv_field(const struct csv *c, int k)
{
	return c->row.data + c->starts[k];
}
static inline size_t csv_field_bytes(const struct csv *c, int k)
{
	return c->ends[k] - c->starts[k];
}
/* The column called NAME, or whose number from 1 NAME is.  -1: there is none. */
int csv_find(const struct csv *c, const char *name);
/* The first column that has one of NAMES (NULL-terminated), whatever the case; -1: none. */
int csv_find_any(const struct csv *c, const char *const *names);
/* "data.csv, line 7" into OUT. */
void csv_where(const struct csv *c, char *out, size_t size);

/* ---- What the first rows say (csv_sniff.c) ----------------------------------------------------------------------- */

/* One column's values in the first rows. */
struct csv_profile {
	double n_words;    /* in the mean, between blanks */
	double n_distinct; /* of n rows, as a part of them */
	double pictures;   /* part of the values that end as a picture's name does */
	double numbers;    /* part that are numbers */
};

#define CSV_PROFILED_MOST 64 /* columns: a wider table is no list of texts or pictures */

/* Between csv_open and csv_next: fill OUT [n_columns] from at most CSV_SNIFF_ROWS rows.  Returns how many there were; 0
 * where the table has more than CSV_PROFILED_MOST columns. */
int csv_profile(const struct csv *c, struct csv_profile *out);
/* Of the bytes in hand, for csv_open. */
char csv_find_delimiter(const struct csv *c);
bool csv_find_header(const struct csv *c);
/* A reader of the bytes in hand alone, from which a row that is cut off at their end is left out; csv_sample_release.
 */
struct csv csv_sample(const struct csv *c, char delimiter);
void csv_sample_release(struct csv *sample);
/* One row of any number of fields, blank or not.  1, 0, -1. */
int csv_row(struct csv *c, struct err *e);
bool csv_row_is_blank(const struct csv *c);

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* Whether an entry is to be read as CSV by its name: all that are not inside of something, else those that are called
 * so. */
bool csv_is_meant(const struct source_entry *entry);
/* A finite decimal number with blanks around it, and nothing else. */
bool csv_number(const char *text, size_t n, double *out);
/* The same of a number with a decimal comma, as tables have them whose fields stand between semicolons. */
bool csv_number_with_comma(const char *text, size_t n, double *out);
/* Empty, or a word that stands for no value: NA, N/A, nan, null, ? */
bool csv_is_missing(const char *text, size_t n);
#define CSV_DASH      "-" /* stands for no value among numbers; elsewhere it may be a category */
#define CSV_ODD_BYTES 60  /* of a value in a message */

/* What the values of a column are as numbers. */
struct csv_numbers {
	int64_t n_numbers;       /* values that are numbers */
	int64_t n_points;        /* of them with a decimal point, */
	int64_t n_commas;        /* and with a decimal comma: the numbers of a column have one of the two */
	int64_t n_dashes;        /* values "-", which are missing if the others are numbers */
	char odd[CSV_ODD_BYTES]; /* the first value that is no number, */
	int64_t odd_line;        /* and where; 0: there is none */
};
/* Count in TEXT, trimmed (N 0: missing); OUT is NaN where it stands for no value.  False: it is no number, or its
 * decimal mark is not that of the others.  Only between semicolons is a comma such a mark. */
bool csv_read_number(const struct csv *c, struct csv_numbers *seen, const char *text, size_t n, double *out);
/* TEXT without the blanks around it. */
const char *csv_trim(const char *text, size_t *n);

#endif
