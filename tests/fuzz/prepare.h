/* What the fuzzers of dataset formats share: any bytes as a file, and a preparation of it whose pack must be whole. */
#ifndef FUZZ_PREPARE_H
#define FUZZ_PREPARE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "data/pack.h"
#include "data/prepare.h"
#include "data/source.h"

/* DATA as a file in memory; its path goes to PATH. */
static inline int fuzz_file(const unsigned char *data, size_t n, char path[40])
{
	int fd = memfd_create("data", 0);

	TD_ASSERT(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	snprintf(path, 40, "/proc/self/fd/%d", fd);
	return fd;
}

static inline int64_t fuzz_bytes(const char *folder, int part, const char *column)
{
	char path[120];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s.%s", folder, pack_part_names[part], column);
	return stat(path, &st) ? -1 : st.st_size;
}

/* A pack that was made has as many labels, and so on, as it says that it has samples. */
static inline void fuzz_check_pack(const struct prepared *p, const char *folder)
{
	const char *kind = json_string(p->info, "kind", "");

	TD_ASSERT(kind[0] && p->n_bytes > 0);
	for (int part = 0; part < PACK_PARTS; part++) {
		int64_t n = json_int(json_get(json_get(p->info, "parts"), pack_part_names[part]), "samples", 0);

		if (n && !strcmp(kind, pack_kind_names[PACK_IMAGES])) {
			const cJSON *image = json_get(p->info, "image");
			int64_t size = json_int(image, "height", 0) * json_int(image, "width", 0);

			TD_ASSERT(fuzz_bytes(folder, part, "labels") == 4 * n);
			TD_ASSERT(!size ||
				  fuzz_bytes(folder, part, "images") == n * size * json_int(image, "channels", 0));
			TD_ASSERT(size || fuzz_bytes(folder, part, "offsets") == 8 * (n + 1));
		}
		if (n && !strcmp(kind, pack_kind_names[PACK_LABELLED_TEXT]))
			TD_ASSERT(fuzz_bytes(folder, part, "labels") == 4 * n &&
				  fuzz_bytes(folder, part, "offsets") == 8 * (n + 1));
		if (n && !strcmp(kind, pack_kind_names[PACK_TAGGED_TEXT]))
			TD_ASSERT(fuzz_bytes(folder, part, "tag_offsets") == 8 * (n + 1));
	}
}

/* Prepare DATA, called NAME, as FORMAT says: refused with a reason, or a whole pack. */
static inline void fuzz_prepare(const char *format, const char *name, const unsigned char *data, size_t n)
{
	static char folder[40];
	char path[40];
	int fd = fuzz_file(data, n, path);
	struct prepare_file file = { name, path };
	struct prepare_order order = { .dataset = "fuzz", .files = &file, .n_files = 1, .folder = folder };
	struct prepared made;
	struct faults faults;
	cJSON *options = cJSON_Parse(format);

	if (!folder[0]) {
		snprintf(folder, sizeof folder, "/dev/shm/fuzz-XXXXXX");
		TD_ASSERT(mkdtemp(folder));
	} else {
		file_remove_tree(folder, NULL);
		TD_ASSERT(!mkdir(folder, 0700));
	}
	faults_init(&faults);
	order.format = options;
	if (prepare_run(&order, &made, &faults))
		fuzz_check_pack(&made, folder);
	else
		TD_ASSERT(faults.n && faults.items[0].detail[0]);
	prepared_release(&made);
	faults_release(&faults);
	cJSON_Delete(options);
	close(fd);
}

#endif
