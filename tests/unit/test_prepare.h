/* What the tests of preparing share: files and archives made on the spot, a preparation, and its columns read back. */
#ifndef TEST_PREPARE_H
#define TEST_PREPARE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "data/prepare.h"
#include "io/image.h"
#include "io/npy.h"

#define FILES_MOST 8

static char room[64];       /* the test's folder: files in it, the pack in "pack" below it */
static struct prepared got; /* of the last preparation */
static struct faults faults;
static cJSON *summary;
static struct buf column_bytes;

static inline const char *path_of(const char *name)
{
	static char paths[FILES_MOST][200];
	static int turn;

	turn = (turn + 1) % FILES_MOST;
	snprintf(paths[turn], sizeof paths[turn], "%s/%s", room, name);
	return paths[turn];
}

static inline void write_file(const char *name, const void *bytes, size_t n)
{
	FILE *f = fopen(path_of(name), "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static inline void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

static inline void write_gzip(const char *name, const void *bytes, size_t n)
{
	gzFile f = gzopen(path_of(name), "wb");

	assert_non_null(f);
	assert_int_equal(gzwrite(f, bytes, (unsigned)n), n);
	gzclose(f);
}

struct member {
	const char *name;
	const void *bytes;
	size_t n;
	const char *link; /* a symbolic link to this instead */
};

/* FORMAT: "tar", "tar.gz" or "zip". */
static inline void write_archive(const char *name, const char *format, const struct member *members, int n)
{
	struct archive *a = archive_write_new();

	if (strcmp(format, "zip")) {
		archive_write_set_format_pax_restricted(a);
		if (strstr(format, "gz"))
			archive_write_add_filter_gzip(a);
	} else {
		archive_write_set_format_zip(a);
	}
	assert_int_equal(archive_write_open_filename(a, path_of(name)), ARCHIVE_OK);
	for (int i = 0; i < n; i++) {
		struct archive_entry *e = archive_entry_new();

		archive_entry_set_pathname(e, members[i].name);
		archive_entry_set_perm(e, 0644);
		archive_entry_set_filetype(e, members[i].link ? AE_IFLNK : AE_IFREG);
		if (members[i].link)
			archive_entry_set_symlink(e, members[i].link);
		else
			archive_entry_set_size(e, (int64_t)members[i].n);
		assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
		if (!members[i].link)
			assert_int_equal(archive_write_data(a, members[i].bytes, members[i].n), members[i].n);
		archive_entry_free(e);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
}

/* A PNG file of VALUE everywhere; the blue of a coloured one is 255 - VALUE. */
static inline struct buf png_of(int64_t channels, int64_t height, int64_t width, uint8_t value)
{
	struct image i;
	struct err e = { 0 };
	struct buf out;

	buf_init(&out, 1 << 20);
	assert_int_equal(image_init(&i, channels, height, width, &e), TD_OK);
	memset(i.pixels, value, (size_t)(channels * height * width));
	if (channels == 3)
		memset(i.pixels + 2 * height * width, 255 - value, (size_t)(height * width));
	assert_int_equal(image_encode_png(&i, &out, &e), TD_OK);
	image_release(&i);
	return out;
}

static inline void forget(void)
{
	prepared_release(&got);
	faults_release(&faults);
	cJSON_Delete(summary);
	summary = NULL;
	buf_release(&column_bytes);
}

/* Prepare the named files (up to a NULL) into an empty pack. */
static inline bool prepare(const char *format, ...)
{
	struct prepare_file files[FILES_MOST];
	struct prepare_order order = { .dataset = "mine", .files = files };
	struct err e = { 0 };
	struct buf text;
	cJSON *options = json_parse(format, strlen(format), &e);
	const char *name, *pack = path_of("pack");
	va_list ap;
	bool ok;

	forget();
	assert_non_null(options);
	assert_int_equal(file_remove_tree(pack, &e), TD_OK);
	assert_int_equal(mkdir(pack, 0700), 0);
	va_start(ap, format);
	while ((name = va_arg(ap, const char *)))
		files[order.n_files++] = (struct prepare_file){ name, path_of(name) };
	va_end(ap);
	order.format = options;
	order.folder = pack;
	ok = prepare_run(&order, &got, &faults);
	cJSON_Delete(options);
	buf_init(&text, 1 << 22);
	if (ok && file_read(path_of("pack/summary.json"), &text, &e) == TD_OK)
		summary = json_parse(text.data, text.len, &e);
	buf_release(&text);
	return ok;
}

static inline void prepared_well(bool ok)
{
	if (!ok)
		fail_msg("%s: %s", faults.items[0].pointer, faults.items[0].detail);
	assert_non_null(got.info);
	assert_non_null(summary);
}

/* It failed with a fault at POINTER that says SAYS. */
static inline void refused_for(bool ok, const char *pointer, const char *says)
{
	assert_false(ok);
	assert_null(got.info);
	for (size_t i = 0; i < faults.n; i++)
		if (!strcmp(faults.items[i].pointer, pointer) && strstr(faults.items[i].detail, says))
			return;
	fail_msg("no fault at \"%s\" says \"%s\"; the first is at \"%s\": %s", pointer, says, faults.items[0].pointer,
		faults.items[0].detail);
}

/* The bytes of "train.labels" and so on; valid until the next. */
static inline const void *column(const char *name, size_t n_bytes)
{
	char path[80];
	struct err e = { 0 };

	snprintf(path, sizeof path, "pack/%s", name);
	buf_release(&column_bytes);
	buf_init(&column_bytes, 1 << 24);
	if (file_read(path_of(path), &column_bytes, &e))
		fail_msg("%s", e.text);
	assert_int_equal(column_bytes.len, n_bytes);
	return column_bytes.data;
}

#define assert_column(name, type, ...)                                                                                 \
	do {                                                                                                           \
		const type expected_[] = { __VA_ARGS__ };                                                              \
		assert_memory_equal(column(name, sizeof expected_), expected_, sizeof expected_);                      \
	} while (0)

static inline bool has_column(const char *name)
{
	char path[80];

	snprintf(path, sizeof path, "pack/%s", name);
	return !access(path_of(path), F_OK);
}

static inline void assert_info(const char *pointer, const char *expected)
{
	const cJSON *v = json_at(got.info, pointer);
	char *text = v ? json_print(v) : mem_strdup("(absent)");

	if (strcmp(text, expected) != 0)
		fail_msg("%s is %s, not %s", pointer, text, expected);
	mem_free(text);
}

static inline bool noted(const char *says)
{
	const cJSON *note;

	cJSON_ArrayForEach(note, json_get(summary, "notes")) if (strstr(note->valuestring, says)) return true;
	return false;
}

static inline int make_room(void **state)
{
	(void)state;
	snprintf(room, sizeof room, "/tmp/test-prepare-XXXXXX");
	return mkdtemp(room) ? 0 : 1;
}

static inline int remove_room(void **state)
{
	(void)state;
	forget();
	return file_remove_tree(room, NULL) ? 1 : 0;
}

#endif
