/* Headers of weight files, good and hostile; names and folders of datasets; files that grow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "config.h"
#include "datasets.h"
#include "part.h"
#include "weights.h"

static char folder[64]; /* of one test */

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/tandem-weights-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return file_remove_tree(folder, NULL);
}

static char *in_folder(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

/* ---- Weights ---------------------------------------------------------------------------------------------------- */

/* A file whose header says that it has N_SAYS bytes (-1: as many as it has), followed by N_DATA bytes. */
static void write_weights(const char *header, long long n_says, size_t n_data)
{
	size_t n = strlen(header);
	char *bytes = mem_alloc(8 + n + n_data);

	if (n_says < 0)
		n_says = (long long)n;
	for (int i = 0; i < 8; i++)
		bytes[i] = (char)((unsigned long long)n_says >> 8 * i);
	memcpy(bytes + 8, header, n);
	assert_int_equal(file_write(in_folder("w"), bytes, 8 + n + n_data, NULL), TD_OK);
	mem_free(bytes);
}

static void expect_refusal(const char *says)
{
	struct err e = { 0 };
	cJSON *tensors;

	assert_int_equal(weights_tensors(in_folder("w"), &tensors, &e), TD_INVALID);
	assert_null(tensors);
	if (!strstr(e.text, says))
		fail_msg("\"%s\" does not say \"%s\"", e.text, says);
}

static void the_tensors_of_a_file_are_listed(void **state)
{
	struct err e = { 0 };
	cJSON *tensors;
	char *text;

	(void)state;
	write_weights(
		"{\"__metadata__\":{\"a\":\"b\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[2,26]},"
		"\"b\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[0,2]},"
		"\"none\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[26,26]}}   ",
		-1, 26);
	assert_int_equal(weights_tensors(in_folder("w"), &tensors, &e), TD_OK);
	text = json_print(tensors);
	assert_string_equal(text,
		"[{\"name\":\"w\",\"dtype\":\"F32\",\"shape\":[2,3]},{\"name\":\"b\",\"dtype\":\"F16\","
		"\"shape\":[]},{\"name\":\"none\",\"dtype\":\"I64\",\"shape\":[0,7]}]");
	mem_free(text);
	cJSON_Delete(tensors);
}

static void headers_that_lie_are_refused(void **state)
{
	static const struct {
		const char *header;
		long long n_says;
		size_t n_data;
		const char *says;
	} rows[] = {
		{ "{}", 1000000000000, 0, "header has 1000000000000 bytes" },
		{ "{}", 3, 0, "header has 3 bytes" },
		{ "{}", 0, 0, "header has 0 bytes" },
		{ "{}", LLONG_MAX, 0, "header has" },
		{ "{}", -1, 0, "no tensor" },
		{ "[]", -1, 0, "no JSON object" },
		{ "{\"w\":", -1, 0, "not JSON" },
		{ "{\"w\":1,\"w\":1}", -1, 0, "not JSON" },
		{ "{\"w\":1}", -1, 0, "dtype" },
		{ "{\"w\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", -1, 4, "F31" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", -1, 4, "shape" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", -1, 4, "shape" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[9007199254740991,9007199254740991],\"data_offsets\":[0,4]}}",
			-1, 4, "shape" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", -1, 4, "data_offsets" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", -1, 3, "data_offsets" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", -1, 4, "data_offsets" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", -1, 4, "data_offsets" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", -1, 4, "data_offsets" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[1]}}", -1, 4, "data_offsets" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", -1, 8, "begins at byte 4" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", -1, 5, "belong to no tensor" },
		{ "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
		  "\"v\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}",
			-1, 6, "begins at byte 2" },
		{ "{\"w\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}", -1,
			1, "at most 16" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		write_weights(rows[i].header, rows[i].n_says, rows[i].n_data);
		expect_refusal(rows[i].says);
	}
	assert_int_equal(file_write(in_folder("w"), "short", 5, NULL), TD_OK);
	expect_refusal("5 bytes");
}

/* ---- Names ------------------------------------------------------------------------------------------------------ */

static void names_cannot_leave_their_folder(void **state)
{
	static const char *const good[] = { "a", "fashion-mnist", "A.b_c-9",
		"0123456789012345678901234567890123456789012345678901234567890123" };
	static const char *const bad[] = { "", ".", "..", "../a", "a/b", "-a", ".a", "a b", "\xc3\xa4", "a\n",
		"01234567890123456789012345678901234567890123456789012345678901234" };
	static const char *const good_files[] = { "a.csv", "My data (1).csv", "\xc3\xa4.zip", "package.zip", "part" };
	static const char *const bad_files[] = { "", ".hidden", "..", "a/b", "a\nb", "\xff", "pack-1", "a.part",
		"/etc/passwd" };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(good); i++)
		assert_true(dataset_name_safe(good[i]));
	for (size_t i = 0; i < TD_COUNT(bad); i++)
		assert_false(dataset_name_safe(bad[i]));
	for (size_t i = 0; i < TD_COUNT(good_files); i++)
		assert_int_equal(dataset_file_check(good_files[i], NULL), TD_OK);
	for (size_t i = 0; i < TD_COUNT(bad_files); i++)
		assert_int_equal(dataset_file_check(bad_files[i], NULL), TD_INVALID);
}

/* ---- Folders below --data-root ---------------------------------------------------------------------------------- */

static void touch(const char *name)
{
	assert_int_equal(file_write(in_folder(name), name, strlen(name), NULL), TD_OK);
}

static void make_folder(const char *name)
{
	assert_int_equal(file_make_folder(in_folder(name), NULL), TD_OK);
}

static void collect(void *arg, const char *name, int64_t n_bytes)
{
	buf_printf(arg, "%s:%lld ", name, (long long)n_bytes);
}

static void expect_listing(const struct config *c, const char *name, const char *files)
{
	struct err e = { 0 };
	struct buf out;
	char *path;

	buf_init(&out, 1000);
	if (dataset_root_folder(c, name, &path, &e) || dataset_list_folder(c, path, collect, &out, &e))
		fail_msg("%s", e.text);
	assert_string_equal(out.data, files);
	buf_release(&out);
	mem_free(path);
}

static td_status refusal(const struct config *c, const char *name)
{
	struct err e = { 0 };
	struct buf out;
	char *path;

	buf_init(&out, 1000);
	if (!dataset_root_folder(c, name, &path, &e))
		dataset_list_folder(c, path, collect, &out, &e);
	buf_release(&out);
	mem_free(path);
	return e.status;
}

static void a_folder_is_its_files_or_one_if_it_holds_folders_alone(void **state)
{
	struct config c = { .data_root = folder };

	(void)state;
	make_folder("files");
	touch("files/b.csv");
	touch("files/a.csv");
	touch("files/.hidden");
	make_folder("classes/cat");
	make_folder("classes/dog");
	make_folder("both/images");
	touch("both/labels.csv");
	assert_int_equal(symlink("a.csv", in_folder("files/link")), 0);
	expect_listing(&c, "files", "a.csv:11 b.csv:11 link:11 ");
	expect_listing(&c, "classes", ":-1 ");
	expect_listing(&c, "both", "images:-1 labels.csv:15 ");
	expect_listing(&c, "classes/../files", "a.csv:11 b.csv:11 link:11 ");
}

static void nothing_outside_of_the_root_is_reached(void **state)
{
	char root[PATH_MAX], target[PATH_MAX];
	struct config c = { .data_root = root }, none = { .data_root = "/nowhere/at/all" }, nil = { 0 };

	(void)state;
	make_folder("root/empty");
	make_folder("root/evil");
	make_folder("outside");
	make_folder("rootless");
	touch("outside/secret");
	touch("root/plain");
	snprintf(root, sizeof root, "%s", in_folder("root"));
	snprintf(target, sizeof target, "%s", in_folder("outside"));
	assert_int_equal(symlink(target, in_folder("root/away")), 0);
	snprintf(target, sizeof target, "%s", in_folder("outside/secret"));
	assert_int_equal(symlink(target, in_folder("root/evil/link")), 0);
	assert_int_equal(mkfifo(in_folder("root/pipe"), 0600), 0);

	assert_int_equal(refusal(&c, "../outside"), TD_INVALID);
	assert_int_equal(refusal(&c, "../rootless"), TD_INVALID); /* its path begins like the root's */
	assert_int_equal(refusal(&c, "away"), TD_INVALID);
	assert_int_equal(refusal(&c, "evil"), TD_INVALID);
	assert_int_equal(refusal(&c, "/etc"), TD_INVALID);
	assert_int_equal(refusal(&c, ""), TD_INVALID);
	assert_int_equal(refusal(&c, "plain"), TD_INVALID);
	assert_int_equal(refusal(&c, "empty"), TD_INVALID);
	assert_int_equal(refusal(&c, "."), TD_INVALID); /* the pipe */
	assert_int_equal(refusal(&c, "not-there"), TD_NOT_FOUND);
	assert_int_equal(refusal(&none, "a"), TD_INVALID);
	assert_int_equal(refusal(&nil, "a"), TD_INVALID);
}

/* ---- Growing files ---------------------------------------------------------------------------------------------- */

static void a_part_goes_on_where_it_was_left_with_the_right_hash(void **state)
{
	char sha256[SHA256_TEXT], expected[SHA256_TEXT], *bytes = mem_alloc(3000000);
	struct err e = { 0 };
	struct part p;

	(void)state;
	for (int i = 0; i < 3000000; i++)
		bytes[i] = (char)(i * 7 + i / 256);
	sha256_of(bytes, 3000000, expected);
	assert_int_equal(part_open(&p, in_folder("p"), &e), TD_OK);
	assert_int_equal(part_append(&p, bytes, 2500000, &e), TD_OK);
	part_close(&p);
	assert_int_equal(part_open(&p, in_folder("p"), &e), TD_OK);
	assert_int_equal(p.n, 2500000);
	while (p.n_hashed < p.n)
		assert_true(part_hash(&p));
	assert_int_equal(part_append(&p, bytes + 2500000, 500000, &e), TD_OK);
	assert_int_equal(part_finish(&p, sha256, &e), TD_OK);
	assert_string_equal(sha256, expected);
	mem_free(bytes);
}

static void a_full_disk_is_said(void **state)
{
	struct err e = { 0 };
	struct part p;

	(void)state;
	assert_int_equal(part_open(&p, "/dev/full", &e), TD_OK);
	assert_int_equal(part_append(&p, "x", 1, &e), TD_NO_SPACE);
	part_close(&p);
}

#define folder_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		folder_test(the_tensors_of_a_file_are_listed),
		folder_test(headers_that_lie_are_refused),
		cmocka_unit_test(names_cannot_leave_their_folder),
		folder_test(a_folder_is_its_files_or_one_if_it_holds_folders_alone),
		folder_test(nothing_outside_of_the_root_is_reached),
		folder_test(a_part_goes_on_where_it_was_left_with_the_right_hash),
		cmocka_unit_test(a_full_disk_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
