/* Archives of any bytes: every entry is read to its end, and no name leaves the archive. */
#include "archives.h"
#include "prepare.h"

static const struct packing packings[] = {
	{ archive_write_set_format_ustar, archive_write_add_filter_none },
	{ archive_write_set_format_pax, archive_write_add_filter_none },
	{ archive_write_set_format_gnutar, archive_write_add_filter_none },
	{ archive_write_set_format_zip, archive_write_add_filter_none },
	{ archive_write_set_format_ustar, archive_write_add_filter_gzip },
	{ archive_write_set_format_raw, archive_write_add_filter_gzip },
	{ archive_write_set_format_raw, archive_write_add_filter_xz },
};
static const struct member members[] = { { "cats/\xc3\xa9.txt", "some text", 9 }, { "../up", "", 0 },
	{ "link", NULL, 0 } };
static unsigned char bytes[TD_COUNT(packings)][ARCHIVE_MOST];
static struct seed seeds[TD_COUNT(packings)];

static void make_seed(size_t k)
{
	bool raw = packings[k].format == archive_write_set_format_raw; /* a compressed file, of one member */

	seeds[k].n = fuzz_pack(&packings[k], members, raw ? 1 : TD_COUNT(members), bytes[k]);
	seeds[k].bytes = bytes[k];
}

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t n, size_t most, unsigned random)
{
	if (!seeds[0].n)
		for (size_t k = 0; k < TD_COUNT(packings); k++)
			make_seed(k);
	n = fuzz_mutate(data, n, most, random, seeds, TD_COUNT(seeds));
	if (random / SEED_AGAIN % 8)
		fuzz_set_checksums(data, n);
	return n;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct prepare_file file = { "archive", fuzz_file(0, data, n) };
	struct source s;
	struct err e = { 0 };
	char piece[4096];
	int got;

	TD_ASSERT(source_init(&s, &file, 1, &e) == TD_OK);
	while ((got = source_next(&s, &e)) > 0) {
		TD_ASSERT(s.entry.name[0] && s.entry.name[0] != '/' && strncmp(s.entry.name, "../", 3) != 0 &&
			  strcmp(s.entry.name, "..") != 0 && !strstr(s.entry.name, "/../"));
		while (source_read(&s, piece, sizeof piece, &e) > 0)
			;
	}
	TD_ASSERT(!got || e.text[0]);
	source_release(&s);
	return 0;
}
