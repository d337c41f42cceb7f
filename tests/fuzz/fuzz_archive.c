/* Archives of any bytes: every entry is read to its end, and no name leaves the archive. */
#include "prepare.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	char path[40];
	int fd = fuzz_file(data, n, path), got;
	struct prepare_file file = { "archive", path };
	struct source s;
	struct err e = { 0 };
	char piece[4096];

	TD_ASSERT(source_init(&s, &file, 1, &e) == TD_OK);
	while ((got = source_next(&s, &e)) > 0) {
		TD_ASSERT(s.entry.name[0] && s.entry.name[0] != '/' && strncmp(s.entry.name, "../", 3) != 0 &&
			  !strstr(s.entry.name, "/../"));
		while (source_read(&s, piece, sizeof piece, &e) > 0)
			;
	}
	TD_ASSERT(!got || e.text[0]);
	source_release(&s);
	close(fd);
	return 0;
}
