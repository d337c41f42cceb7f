/* Files of a dataset come from elsewhere, and batches must depend on their address alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "base/file.h"
#include "data/data.h"

static char folder[64];

static char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static const char *write_plain(const char *name, const void *bytes, size_t n)
{
	FILE *f = fopen(path_of(name), "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
	return path_of(name);
}

static const char *write_gzip(const char *name, const void *bytes, size_t n)
{
	gzFile f = gzopen(path_of(name), "wb");

	assert_non_null(f);
	assert_int_equal(gzwrite(f, bytes, (unsigned)n), n);
	gzclose(f);
	return path_of(name);
}

static const uint8_t three_by_two[] = { 0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 2, 10, 11, 20, 21, 30, 31 };

static void an_idx_file_is_read_plain_and_gzipped(void **state)
{
	struct idx idx;
	struct err e = { 0 };

	(void)state;
	for (int zipped = 0; zipped < 2; zipped++) {
		const char *path = zipped ? write_gzip("good.gz", three_by_two, sizeof three_by_two)
					  : write_plain("good", three_by_two, sizeof three_by_two);
		assert_int_equal(idx_read(path, 2, 6, 0, &idx, &e), TD_OK);
		assert_int_equal(idx.dim[0], 3);
		assert_int_equal(idx.dim[1], 2);
		assert_int_equal(idx.n, 3);
		assert_memory_equal(idx.bytes, three_by_two + 12, 6);
		idx_release(&idx);
		assert_int_equal(idx_read(path, 2, 6, 2, &idx, &e), TD_OK); /* a part of it */
		assert_int_equal(idx.n, 2);
		assert_int_equal(idx.dim[0], 3);
		assert_memory_equal(idx.bytes, three_by_two + 12, 4);
		idx_release(&idx);
	}
}

/* BYTES with BYTE at PLACE (negative: unchanged), cut to N. */
static void refused(int place, uint8_t byte, size_t n, td_status status, const char *text)
{
	uint8_t bytes[sizeof three_by_two + 1] = { 0 };
	struct err e = { 0 };
	struct idx idx;

	memcpy(bytes, three_by_two, sizeof three_by_two);
	if (place >= 0)
		bytes[place] = byte;
	assert_int_equal(idx_read(write_plain("bad", bytes, n), 2, 6, 0, &idx, &e), status);
	assert_non_null(strstr(e.text, text));
	assert_null(idx.bytes);
	assert_int_equal(idx_read(write_gzip("bad.gz", bytes, n), 2, 6, 0, &idx, NULL), status);
}

static void a_header_is_checked_before_it_is_believed(void **state)
{
	size_t n = sizeof three_by_two;

	(void)state;
	refused(0, 1, n, TD_CORRUPT, "not with 00 00 08 02");
	refused(2, 13, n, TD_CORRUPT, "is it another file"); /* floats */
	refused(3, 3, n, TD_CORRUPT, "is it another file");  /* another rank */
	refused(7, 0, n, TD_CORRUPT, "axis 0");              /* no rows */
	refused(7, 4, n, TD_CORRUPT, "axis 1");              /* more than the caller allows */
	refused(4, 0xff, n, TD_CORRUPT, "axis 0");           /* four billion rows */
	refused(-1, 0, n - 1, TD_CORRUPT, "ends too early");
	refused(-1, 0, n + 1, TD_CORRUPT, "longer than its header says");
	refused(7, 2, n, TD_CORRUPT, "longer than its header says");
	refused(-1, 0, 10, TD_CORRUPT, "ends too early");
	refused(-1, 0, 3, TD_CORRUPT, "ends too early");
	refused(-1, 0, 0, TD_CORRUPT, "ends too early");
}

static void a_damaged_or_cut_gzip_is_refused(void **state)
{
	uint8_t zipped[4096], big[2012] = { 0, 0, 8, 2, 0, 0, 0, 20, 0, 0, 0, 100 };
	struct err e = { 0 };
	struct idx idx;
	size_t n;
	FILE *f;

	(void)state;
	for (size_t i = 12; i < sizeof big; i++)
		big[i] = (uint8_t)(i * i >> 3);
	f = fopen(write_gzip("whole.gz", big, sizeof big), "rb");
	n = fread(zipped, 1, sizeof zipped, f);
	fclose(f);
	assert_int_equal(idx_read(path_of("whole.gz"), 2, 2000, 0, &idx, &e), TD_OK);
	idx_release(&idx);
	assert_int_equal(idx_read(write_plain("cut.gz", zipped, n / 2), 2, 2000, 0, &idx, NULL), TD_CORRUPT);
	assert_int_equal(idx_read(write_plain("cut.gz", zipped, n - 4), 2, 2000, 0, &idx, NULL), TD_CORRUPT);
	zipped[n - 6] ^= 1; /* in the checksum */
	assert_int_equal(idx_read(write_plain("cut.gz", zipped, n), 2, 2000, 0, &idx, NULL), TD_CORRUPT);
	assert_int_equal(idx_read(path_of("absent"), 2, 2000, 0, &idx, &e), TD_NOT_FOUND);
	assert_non_null(strstr(e.text, "absent"));
}

/* ---- A small dataset in memory --------------------------------------------------------------------------------- */

static struct dataset tiny(int64_t n)
{
	struct dataset d = { .info = data_find("fashion-mnist") };

	for (int p = 0; p < DATA_PARTS; p++) {
		d.part[p].n = n;
		d.part[p].images = mem_alloc((size_t)n * 784);
		d.part[p].labels = mem_alloc((size_t)n);
		for (int64_t i = 0; i < n; i++) {
			d.part[p].labels[i] = (uint8_t)(i % 10);
			memset(d.part[p].images + i * 784, (int)(i % 256), 784);
		}
	}
	return d;
}

static void a_split_by_end_takes_the_last_of_the_limit(void **state)
{
	struct dataset d = tiny(100);
	struct data_view train, validation;

	(void)state;
	assert_int_equal(data_split_count(0.25, 80), 20);
	assert_int_equal(data_split_count(5000, 60000), 5000);
	data_split(&d, 80, 20, DATA_BY_END, 7, &train, &validation);
	assert_int_equal(train.n, 60);
	assert_int_equal(validation.n, 20);
	for (int64_t i = 0; i < 60; i++)
		assert_int_equal(train.index[i], i);
	for (int64_t i = 0; i < 20; i++)
		assert_int_equal(validation.index[i], 60 + i);
	data_view_release(&train);
	data_view_release(&validation);
	data_release(&d);
}

static void a_random_split_divides_and_depends_on_the_seed(void **state)
{
	struct dataset d = tiny(100);
	struct data_view train[3], validation[3];
	uint64_t seeds[3] = { 7, 7, 8 };
	int seen[100] = { 0 };

	(void)state;
	for (int k = 0; k < 3; k++)
		data_split(&d, 90, 30, DATA_BY_RANDOM, seeds[k], &train[k], &validation[k]);
	for (int64_t i = 0; i < 60; i++)
		seen[train[0].index[i]]++;
	for (int64_t i = 0; i < 30; i++)
		seen[validation[0].index[i]]++;
	for (int i = 0; i < 100; i++)
		assert_int_equal(seen[i], i < 90);
	assert_memory_equal(validation[0].index, validation[1].index, sizeof(int64_t) * 30);
	assert_memory_not_equal(validation[0].index, validation[2].index, sizeof(int64_t) * 30);
	for (int k = 0; k < 3; k++) {
		data_view_release(&train[k]);
		data_view_release(&validation[k]);
	}
	data_release(&d);
}

static void every_epoch_has_an_order_of_its_own_that_does_not_depend_on_others(void **state)
{
	int64_t a[50], b[50], again[50], plain[50];

	(void)state;
	data_epoch_order(7, 0, true, 50, a);
	data_epoch_order(7, 1, true, 50, b);
	data_epoch_order(7, 0, true, 50, again);
	data_epoch_order(7, 0, false, 50, plain);
	assert_memory_equal(a, again, sizeof a);
	assert_memory_not_equal(a, b, sizeof a);
	for (int64_t i = 0; i < 50; i++)
		assert_int_equal(plain[i], i);
	data_epoch_order(8, 0, true, 50, b);
	assert_memory_not_equal(a, b, sizeof a);
	assert_int_equal(data_batches(100, 50), 2);
	assert_int_equal(data_batches(101, 50), 3);
	assert_int_equal(data_batches(1, 50), 1);
}

static void a_batch_holds_its_samples_normalised_as_floats(void **state)
{
	struct dataset d = tiny(100);
	struct data_view view;
	struct data_table table;
	struct arena arena;
	struct faults faults;
	struct opt_choices transforms = { 0 };
	const struct opt list = { .name = "t",
		.kind = OPT_CHOICES,
		.value = "[{\"type\":\"normalize\",\"mean\":[0.286],\"std\":[0.353]}]",
		.most = 4,
		.family = &data_transforms,
		.doc = "" };
	const struct opt_type type = { .name = "t", .options = &list, .n_options = 1, .n_bytes = sizeof transforms };
	int64_t order[3] = { 41, 5, 99 }, labels[3];
	float *images = MEM_NEW_N(float, 3 * 784);

	(void)state;
	arena_init(&arena);
	faults_init(&faults);
	opt_read(&type, NULL, "", &transforms, &arena, &faults);
	assert_int_equal(faults.n_found, 0);
	data_table_init(&table, &transforms, 1);
	data_whole(&d, DATA_TEST, &view);
	data_batch(&view, &table, order, 0, 3, images, labels);
	for (int i = 0; i < 3; i++) {
		float x = ((float)order[i] / 255.0f - 0.286f) / 0.353f;
		assert_int_equal(labels[i], order[i] % 10);
		for (int p = 0; p < 784; p++)
			assert_memory_equal(&images[i * 784 + p], &x, sizeof x);
	}
	mem_free(images);
	data_view_release(&view);
	data_table_release(&table);
	arena_release(&arena);
	faults_release(&faults);
	data_release(&d);
}

static void a_dataset_of_other_sizes_is_refused(void **state)
{
	const struct data_info *info = data_find("fashion-mnist");
	struct dataset d;
	struct err e = { 0 };

	(void)state;
	data_init(&d, info);
	assert_null(data_find("fashion_mnist"));
	assert_int_equal(data_load(&d, DATA_TRAIN, folder, 0, &e), TD_NOT_FOUND);
	err_clear(&e);
	write_gzip("train-images-idx3-ubyte.gz", three_by_two, sizeof three_by_two);
	assert_int_equal(data_load(&d, DATA_TRAIN, folder, 0, &e), TD_CORRUPT);
	assert_null(d.part[DATA_TRAIN].images);
}

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/test_data.XXXXXX");
	return !mkdtemp(folder);
}

static int remove_folder(void **state)
{
	(void)state;
	return file_remove_tree(folder, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_idx_file_is_read_plain_and_gzipped),
		cmocka_unit_test(a_header_is_checked_before_it_is_believed),
		cmocka_unit_test(a_damaged_or_cut_gzip_is_refused),
		cmocka_unit_test(a_split_by_end_takes_the_last_of_the_limit),
		cmocka_unit_test(a_random_split_divides_and_depends_on_the_seed),
		cmocka_unit_test(every_epoch_has_an_order_of_its_own_that_does_not_depend_on_others),
		cmocka_unit_test(a_batch_holds_its_samples_normalised_as_floats),
		cmocka_unit_test(a_dataset_of_other_sizes_is_refused),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
