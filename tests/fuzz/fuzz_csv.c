/* CSV of any bytes, row by row: every field lies in its row, every number is finite.  The first byte chooses the
 * options. */
#include <math.h>
#include "prepare.h"

static const struct csv_options choices[] = {
	{ 0, PREPARE_HEADER_AUTO },
	{ ',', PREPARE_HEADER_NO },
	{ ';', PREPARE_HEADER_YES },
	{ 0, PREPARE_HEADER_YES },
};

static const struct seed seeds[] = {
	SEED("0a,b,c\n1,x,2.5\n2,y,\n3,x,-1e9\n4,\"z, \"\"q\"\"\",NaN\n"),
	SEED("0\xef\xbb\xbf"
	     "a\tb\r\n\"1\n2\"\t0x\r\n\r\nnull\t1e308\r\n"),
	SEED("11,2\r3,4\r?,N/A\r,+.5e-3\r"),
	SEED("2a;b;a\n1;\xc3\xa9; 7 \n\"\";\"x\"\"\";-0\n"),
	SEED("3a|b\n9007199254740993|123456789.125\n00012|1e-320\n"),
};

FUZZ_MUTATOR(seeds)

static void read_rows(struct csv *c, struct err *e)
{
	int got;

	while ((got = csv_next(c, e)) > 0) {
		TD_ASSERT(c->n_fields == c->n_columns);
		for (int k = 0; k < c->n_columns; k++) {
			const char *field = csv_field(c, k);
			size_t n = csv_field_bytes(c, k);
			double x;

			TD_ASSERT(c->ends[k] < c->row.len && !field[n]);
			if (csv_number(field, n, &x))
				TD_ASSERT(isfinite(x) && !csv_is_missing(field, n));
		}
	}
	TD_ASSERT(!got || e->text[0]);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct prepare_file file = { "table.csv", NULL };
	struct csv_profile profile[CSV_PROFILED_MOST];
	struct source s;
	struct csv c;
	struct err e = { 0 };

	if (!n)
		return 0;
	file.path = fuzz_file(0, data + 1, n - 1);
	TD_ASSERT(!source_init(&s, &file, 1, &e));
	if (source_next(&s, &e) <= 0) {
		source_release(&s);
		return 0;
	}
	if (!csv_open(&c, &s, &choices[data[0] % TD_COUNT(choices)], &e)) {
		if (c.n_columns <= CSV_PROFILED_MOST)
			csv_profile(&c, profile);
		read_rows(&c, &e);
	} else {
		TD_ASSERT(e.text[0]);
	}
	csv_release(&c);
	source_release(&s);
	return 0;
}
