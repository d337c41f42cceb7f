/* Archives of any bytes: every entry is read to its end, and no name leaves the archive.
 *
 * A tar whose checksum is wrong is none, and would end each mutation at the door: checksums are set right after it. */
#include <archive.h>
#include <archive_entry.h>
#include "prepare.h"

#define BLOCK     512 /* of tar */
#define CHECKSUM  148 /* where it stands in a header, 8 bytes, which count as blanks */
#define SEED_MOST 4096

struct kind {
	int (*format)(struct archive *);
	int (*filter)(struct archive *);
};

static const struct kind kinds[] = {
	{ archive_write_set_format_ustar, archive_write_add_filter_none },
	{ archive_write_set_format_pax, archive_write_add_filter_none },
	{ archive_write_set_format_gnutar, archive_write_add_filter_none },
	{ archive_write_set_format_zip, archive_write_add_filter_none },
	{ archive_write_set_format_ustar, archive_write_add_filter_gzip },
	{ archive_write_set_format_raw, archive_write_add_filter_gzip },
	{ archive_write_set_format_raw, archive_write_add_filter_xz },
};
static unsigned char bytes[TD_COUNT(kinds)][SEED_MOST];
static struct seed seeds[TD_COUNT(kinds)];

static void add_entry(struct archive *a, const char *name, const char *text, const char *link)
{
	struct archive_entry *one = archive_entry_new();

	archive_entry_set_pathname(one, name);
	archive_entry_set_mode(one, (link ? AE_IFLNK : AE_IFREG) | 0600);
	archive_entry_set_size(one, (int64_t)strlen(text));
	if (link)
		archive_entry_set_symlink(one, link);
	if (archive_write_header(a, one) == ARCHIVE_OK)
		archive_write_data(a, text, strlen(text));
	archive_entry_free(one);
}

static void make_seed(size_t k)
{
	struct archive *a = archive_write_new();

	kinds[k].format(a);
	kinds[k].filter(a);
	archive_write_set_bytes_per_block(a, BLOCK);
	archive_write_open_memory(a, bytes[k], SEED_MOST, &seeds[k].n);
	add_entry(a, "cats/\xc3\xa9.txt", "some text", NULL);
	if (kinds[k].format != archive_write_set_format_raw) {
		add_entry(a, "../up", "", NULL);
		add_entry(a, "link", "", "/etc/passwd");
	}
	archive_write_close(a);
	archive_write_free(a);
	seeds[k].bytes = bytes[k];
}

static void set_checksums(unsigned char *data, size_t n)
{
	for (unsigned char *block = data; n >= BLOCK; block += BLOCK, n -= BLOCK) {
		unsigned sum = 8 * ' ';

		if (memcmp(block + 257, "ustar", 5) != 0)
			continue;
		for (int i = 0; i < BLOCK; i++)
			sum += i >= CHECKSUM && i < CHECKSUM + 8 ? 0 : block[i];
		snprintf((char *)block + CHECKSUM, 8, "%06o", sum);
	}
}

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t n, size_t most, unsigned random)
{
	if (!seeds[0].n)
		for (size_t k = 0; k < TD_COUNT(kinds); k++)
			make_seed(k);
	n = fuzz_mutate(data, n, most, random, seeds, TD_COUNT(seeds));
	if (random / SEED_AGAIN % 8)
		set_checksums(data, n);
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
