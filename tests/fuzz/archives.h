/* Archives to begin with, and what mends a mutated one: a tar whose checksum is wrong is none, and would end each
 * mutation at the door. */
#ifndef FUZZ_ARCHIVES_H
#define FUZZ_ARCHIVES_H

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"

#define ARCHIVE_MOST 4096
#define BLOCK        512 /* of tar */
#define CHECKSUM     148 /* where it stands in a header, 8 bytes, which count as blanks */

struct packing {
	int (*format)(struct archive *);
	int (*filter)(struct archive *);
};

struct member {
	const char *name;
	const void *bytes; /* NULL: a symbolic link */
	size_t n;
};

/* Bytes of the archive of MEMBERS in OUT. */
static inline size_t fuzz_pack(const struct packing *how, const struct member *members, int n, void *out)
{
	struct archive *a = archive_write_new();
	size_t used = 0;

	how->format(a);
	how->filter(a);
	archive_write_set_bytes_per_block(a, BLOCK);
	archive_write_open_memory(a, out, ARCHIVE_MOST, &used);
	for (int i = 0; i < n; i++) {
		struct archive_entry *one = archive_entry_new();

		archive_entry_set_pathname(one, members[i].name);
		archive_entry_set_mode(one, (members[i].bytes ? AE_IFREG : AE_IFLNK) | 0600);
		archive_entry_set_size(one, (int64_t)members[i].n);
		if (!members[i].bytes)
			archive_entry_set_symlink(one, "/etc/passwd");
		TD_ASSERT(archive_write_header(a, one) >= ARCHIVE_WARN); /* of a name that is not ASCII */
		if (members[i].n)
			archive_write_data(a, members[i].bytes, members[i].n);
		archive_entry_free(one);
	}
	TD_ASSERT(archive_write_close(a) == ARCHIVE_OK);
	archive_write_free(a);
	return used;
}

static inline void fuzz_set_checksums(unsigned char *data, size_t n)
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

#endif
