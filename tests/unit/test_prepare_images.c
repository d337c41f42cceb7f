/* Pictures by folder, by CSV, from IDX, CIFAR and arrays: the same pack, whatever they came from. */
#include "test_prepare.h"

/* ---- Folders of classes ------------------------------------------------------------------------------------------ */

static void class_folders_become_sorted_classes(void **state)
{
	struct buf a = png_of(1, 2, 3, 10), b = png_of(1, 2, 3, 20);
	const struct member members[] = {
		{ "pets/dog/1.png", b.data, b.len, NULL },
		{ "pets/cat/1.png", a.data, a.len, NULL },
		{ "pets/dog/2.png", a.data, a.len, NULL },
		{ "pets/.DS_Store", "x", 1, NULL },
		{ "__MACOSX/pets/cat/._1.png", "x", 1, NULL },
		{ "pets/readme.txt", "hello", 5, NULL },
	};
	static const char *const formats[] = { "tar", "tar.gz", "zip" };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(formats); i++) {
		write_archive("pets", formats[i], members, TD_COUNT(members));
		prepared_well(prepare("{}", "pets", NULL));
		assert_info("/kind", "\"images\"");
		assert_info("/classes", "[\"cat\",\"dog\"]");
		assert_info("/image", "{\"channels\":1,\"height\":2,\"width\":3}");
		assert_info("/parts", "{\"train\":{\"samples\":3}}");
		assert_column("train.labels", int32_t, 1, 0, 1);
		assert_column("train.images", uint8_t, 20, 20, 20, 20, 20, 20, 10, 10, 10, 10, 10, 10, 10, 10, 10, 10,
			10, 10);
		assert_false(has_column("train.sizes"));
		assert_true(noted("pets/readme.txt"));
		assert_false(noted("DS_Store"));
		assert_int_equal(cJSON_GetArraySize(json_get(summary, "samples")), 3);
		assert_int_equal(json_int(json_at(summary, "/classes/1"), "train", 0), 2);
	}
	buf_release(&a);
	buf_release(&b);
}

static void train_and_test_folders_are_parts(void **state)
{
	struct buf a = png_of(3, 2, 2, 1);
	const struct member members[] = {
		{ "x/train/cat/deep/1.png", a.data, a.len, NULL },
		{ "x/train/dog/1.png", a.data, a.len, NULL },
		{ "x/val/cat/1.png", a.data, a.len, NULL },
		{ "test/dog/1.png", a.data, a.len, NULL },
	};

	(void)state;
	write_archive("a.zip", "zip", members, TD_COUNT(members));
	prepared_well(prepare("{\"type\":\"image_folder\"}", "a.zip", NULL));
	assert_info("/classes", "[\"cat\",\"dog\"]");
	assert_info("/parts", "{\"train\":{\"samples\":2},\"test\":{\"samples\":2}}");
	assert_column("test.labels", int32_t, 0, 1);
	refused_for(prepare("{\"type\":\"image_folder\",\"test\":0.5}", "a.zip", NULL), "/format/test", "of their own");
	buf_release(&a);
}

static void a_folder_called_train_without_folders_is_a_class(void **state)
{
	struct buf a = png_of(1, 2, 2, 1);
	const struct member members[] = { { "bus/1.png", a.data, a.len, NULL },
		{ "train/1.png", a.data, a.len, NULL } };

	(void)state;
	write_archive("a.tar", "tar", members, 2);
	prepared_well(prepare("{}", "a.tar", NULL));
	assert_info("/classes", "[\"bus\",\"train\"]");
	buf_release(&a);
}

static void different_sizes_have_offsets(void **state)
{
	struct buf a = png_of(1, 2, 2, 1), b = png_of(1, 1, 3, 2);
	const struct member members[] = { { "c/1.png", a.data, a.len, NULL }, { "c/2.png", b.data, b.len, NULL } };

	(void)state;
	write_archive("a.zip", "zip", members, 2);
	prepared_well(prepare("{}", "a.zip", NULL));
	assert_info("/image", "{\"channels\":1,\"height\":0,\"width\":0}");
	assert_column("train.sizes", int32_t, 2, 2, 1, 3);
	assert_column("train.offsets", int64_t, 0, 4, 7);
	assert_column("train.images", uint8_t, 1, 1, 1, 1, 2, 2, 2);
	prepared_well(prepare("{\"image_size\":[4,5]}", "a.zip", NULL));
	assert_info("/image", "{\"channels\":1,\"height\":4,\"width\":5}");
	column("train.images", 40);
	buf_release(&a);
	buf_release(&b);
}

static void one_coloured_picture_makes_all_coloured(void **state)
{
	struct buf a = png_of(1, 1, 2, 7), b = png_of(3, 1, 2, 9);
	const struct member members[] = { { "c/1.png", a.data, a.len, NULL }, { "d/2.png", b.data, b.len, NULL },
		{ "c/3.png", a.data, a.len, NULL } };

	(void)state;
	write_archive("a.zip", "zip", members, 3);
	prepared_well(prepare("{}", "a.zip", NULL));
	assert_info("/image/channels", "3");
	assert_column("train.images", uint8_t, 7, 7, 7, 7, 7, 7, 9, 9, 9, 9, 246, 246, 7, 7, 7, 7, 7, 7);
	assert_column("train.labels", int32_t, 0, 1, 0);
	buf_release(&a);
	buf_release(&b);
}

static void few_broken_pictures_are_noted_and_many_refuse(void **state)
{
	struct buf a = png_of(1, 2, 2, 1);
	struct member members[200];
	char names[200][16];

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(names[i], sizeof names[i], "c/%d.png", i);
		members[i] = (struct member){ names[i], a.data, a.len - (i < 2 ? 30 : 0), NULL };
	}
	write_archive("a.zip", "zip", members, 200);
	prepared_well(prepare("{}", "a.zip", NULL));
	assert_info("/parts/train/samples", "198");
	assert_true(noted("2 of 200 pictures") && noted("a.zip: c/0.png"));
	write_archive("a.zip", "zip", members, 199); /* 2 of 199 are more than 1 % */
	refused_for(prepare("{}", "a.zip", NULL), "", "2 of 199 pictures cannot be read (c/0.png, c/1.png)");
	refused_for(prepare("{\"max_broken\":1}", "a.zip", NULL), "", "\"max_broken\": 2 in the format");
	refused_for(prepare("{\"max_broken\":0}", "a.zip", NULL), "", "2 of 199");
	refused_for(prepare("{\"max_broken\":1.5}", "a.zip", NULL), "/format/max_broken", "a count");
	prepared_well(prepare("{\"max_broken\":2}", "a.zip", NULL));
	assert_info("/parts/train/samples", "197");
	prepared_well(prepare("{\"max_broken\":0.02}", "a.zip", NULL));
	write_archive("a.zip", "zip", members + 1, 20); /* one of few is no reason */
	prepared_well(prepare("{}", "a.zip", NULL));
	for (int i = 0; i < 20; i++)
		members[i].n = a.len - 30;
	write_archive("a.zip", "zip", members, 100);
	refused_for(prepare("{}", "a.zip", NULL), "", "c/8.png, c/9.png, ...); replace them");
	buf_release(&a);
}

static void a_folder_is_read_in_the_order_of_names_and_links_are_passed_over(void **state)
{
	struct buf a = png_of(1, 1, 1, 1), b = png_of(1, 1, 1, 2);
	char first[PREPARE_KEY];

	(void)state;
	mkdir(path_of("tree"), 0700);
	mkdir(path_of("tree/b"), 0700);
	mkdir(path_of("tree/a"), 0700);
	write_file("tree/b/2.png", b.data, b.len);
	write_file("tree/b/1.png", a.data, a.len);
	write_file("tree/a/9.png", b.data, b.len);
	assert_int_equal(symlink("/etc/passwd", path_of("tree/a/link.png")), 0);
	prepared_well(prepare("{}", "tree", NULL));
	assert_column("train.images", uint8_t, 2, 1, 2);
	assert_column("train.labels", int32_t, 0, 1, 1);
	assert_true(noted("1 link"));
	memcpy(first, got.key, sizeof first);
	write_file("tree/a/9.png", a.data, a.len);
	prepared_well(prepare("{}", "tree", NULL));
	assert_string_not_equal(got.key, first); /* another content, another key */
	buf_release(&a);
	buf_release(&b);
}

/* ---- Paths and labels -------------------------------------------------------------------------------------------- */

static void a_csv_beside_or_within_gives_labels(void **state)
{
	struct buf a = png_of(1, 1, 1, 1), b = png_of(1, 1, 1, 2);
	const char *csv = "path,label\nimages/2.png,cat\n./images/1.png,dog\n";
	const struct member members[] = { { "all/images/1.png", a.data, a.len, NULL },
		{ "all/images/2.png", b.data, b.len, NULL }, { "all/images/3.png", b.data, b.len, NULL },
		{ "all/labels.csv", csv, strlen(csv), NULL } };

	(void)state;
	write_archive("a.tar.gz", "tar.gz", members, 4);
	prepared_well(prepare("{}", "a.tar.gz", NULL));
	assert_info("/format", "\"image_csv\"");
	assert_column("train.images", uint8_t, 1, 2);
	assert_column("train.labels", int32_t, 1, 0);
	assert_true(noted("1 picture was passed over"));
	write_archive("a.tar.gz", "tar.gz", members, 3);
	write_text("labels.csv", "1,x,test\n2,y,train\n3,y,train\n");
	prepared_well(prepare("{\"type\":\"image_csv\",\"path_column\":\"1\",\"label_column\":\"2\"}", "labels.csv",
		"a.tar.gz", NULL));
	assert_column("train.labels", int32_t, 0, 1, 1);
	write_text("labels.csv", "id,label,split\n1,x,test\n2,y,train\n3,y,train\n");
	prepared_well(prepare("{}", "labels.csv", "a.tar.gz", NULL));
	assert_column("train.labels", int32_t, 1, 1);
	assert_column("test.labels", int32_t, 0);
	buf_release(&a);
	buf_release(&b);
}

static void a_csv_that_does_not_fit_says_why(void **state)
{
	struct buf a = png_of(1, 1, 1, 1);
	const struct member members[] = { { "images/1.png", a.data, a.len, NULL } };

	(void)state;
	write_archive("a.zip", "zip", members, 1);
	write_text("labels.csv", "path,label\nimages/7.png,cat\n");
	refused_for(prepare("{}", "labels.csv", "a.zip", NULL), "", "images/7.png");
	write_text("labels.csv", "path,label\n1.png,cat\n1.png,dog\n");
	refused_for(prepare("{}", "labels.csv", "a.zip", NULL), "", "labels.csv, line 3: a second row for \"1.png\"");
	write_text("labels.csv", "path,label\n1.png,\n");
	refused_for(prepare("{}", "labels.csv", "a.zip", NULL), "", "labels.csv, line 2: there is no label");
	write_text("labels.csv", "path,label\n1.png,cat\n");
	refused_for(prepare("{\"type\":\"image_csv\",\"label_column\":\"lable\"}", "labels.csv", "a.zip", NULL),
		"/format/label_column", "lable");
	buf_release(&a);
}

/* ---- IDX, CIFAR -------------------------------------------------------------------------------------------------- */

static const uint8_t idx_images[] = { 0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4 };
static const uint8_t idx_labels[] = { 0, 0, 8, 1, 0, 0, 0, 2, 1, 0 };

static void idx_pairs_are_read_plain_and_gzipped(void **state)
{
	(void)state;
	write_gzip("train-images-idx3-ubyte.gz", idx_images, sizeof idx_images);
	write_gzip("train-labels-idx1-ubyte.gz", idx_labels, sizeof idx_labels);
	write_file("t10k-images-idx3-ubyte", idx_images, sizeof idx_images);
	write_file("t10k-labels-idx1-ubyte", idx_labels, sizeof idx_labels);
	prepared_well(prepare("{\"classes\":[\"no\",\"yes\"]}", "t10k-labels-idx1-ubyte", "train-images-idx3-ubyte.gz",
		"train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte", NULL));
	assert_info("/parts", "{\"train\":{\"samples\":2},\"test\":{\"samples\":2}}");
	assert_info("/classes", "[\"no\",\"yes\"]");
	assert_info("/image", "{\"channels\":1,\"height\":1,\"width\":2}");
	assert_column("train.images", uint8_t, 1, 2, 3, 4);
	assert_column("test.labels", int32_t, 1, 0);
	refused_for(prepare("{\"classes\":[\"no\"]}", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", NULL),
		"", "names 1 classes");
	refused_for(prepare("{}", "train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte", NULL), "", "beside it");
}

/* The images' file with BYTE at PLACE, cut to N. */
static void idx_refused(int place, uint8_t byte, size_t n, const char *says)
{
	uint8_t bytes[sizeof idx_images + 1] = { 0 };

	memcpy(bytes, idx_images, sizeof idx_images);
	bytes[place] = byte;
	write_file("images", bytes, n);
	write_file("labels", idx_labels, sizeof idx_labels);
	refused_for(prepare("{\"type\":\"idx\"}", "images", "labels", NULL), "", says);
	write_gzip("images", bytes, n);
	refused_for(prepare("{\"type\":\"idx\"}", "images", "labels", NULL), "", says);
}

static void an_idx_header_is_checked_before_it_is_believed(void **state)
{
	size_t n = sizeof idx_images;

	(void)state;
	idx_refused(0, 1, n, "is it another file");
	idx_refused(2, 13, n, "only unsigned bytes");
	idx_refused(3, 5, n, "5 axes");
	idx_refused(3, 2, n, "two axes");
	idx_refused(7, 0, n, "axis 0");
	idx_refused(4, 0xff, n, "too early");
	idx_refused(8, 0x40, n, "at most");
	idx_refused(7, 3, n, "too early");
	idx_refused(7, 1, n, "longer than its header");
	idx_refused(0, 0, n - 1, "too early");
	idx_refused(0, 0, n + 1, "longer than its header");
	idx_refused(0, 0, 3, "too early");
}

static uint8_t *cifar_records(int n_labels, int n, size_t *n_bytes)
{
	uint8_t *bytes = mem_alloc((size_t)n * (3072 + (size_t)n_labels));

	*n_bytes = (size_t)n * (3072 + (size_t)n_labels);
	for (int i = 0; i < n; i++) {
		uint8_t *record = bytes + i * (3072 + n_labels);
		record[0] = (uint8_t)(n_labels == 2 ? 9 : i);
		record[n_labels - 1] = (uint8_t)i;
		memset(record + n_labels, 100 + i, 3072);
	}
	return bytes;
}

static void cifar_of_ten_and_of_a_hundred_classes_is_read(void **state)
{
	const char *names = "zero\none\r\ntwo\n\n";
	size_t n_ten, n_hundred;
	uint8_t *ten = cifar_records(1, 3, &n_ten), *hundred = cifar_records(2, 3, &n_hundred);
	const struct member tens[] = { { "c/batches.meta.txt", names, strlen(names), NULL },
		{ "c/data_batch_1.bin", ten, n_ten, NULL }, { "c/test_batch.bin", ten, 3073, NULL },
		{ "c/readme.html", "<p>", 3, NULL } };
	const struct member hundreds[] = { { "c/train.bin", hundred, n_hundred, NULL },
		{ "c/test.bin", hundred, 3074, NULL }, { "c/coarse_label_names.txt", "fish\n", 5, NULL },
		{ "c/fine_label_names.txt", names, strlen(names), NULL } };

	(void)state;
	write_archive("ten.tar.gz", "tar.gz", tens, 4);
	prepared_well(prepare("{}", "ten.tar.gz", NULL));
	assert_info("/classes", "[\"zero\",\"one\",\"two\"]");
	assert_info("/parts", "{\"train\":{\"samples\":3},\"test\":{\"samples\":1}}");
	assert_column("train.labels", int32_t, 0, 1, 2);
	assert_int_equal(((const uint8_t *)column("train.images", 9216))[9215], 102);
	write_archive("hundred.tar.gz", "tar.gz", hundreds, 4);
	prepared_well(prepare("{}", "hundred.tar.gz", NULL));
	assert_info("/classes", "[\"zero\",\"one\",\"two\"]");
	assert_column("train.labels", int32_t, 0, 1, 2); /* the fine ones */
	write_file("data_batch_1.bin", ten, n_ten - 1);
	refused_for(prepare("{}", "data_batch_1.bin", NULL), "", "record 2 of 3073 bytes");
	mem_free(ten);
	mem_free(hundred);
}

/* ---- Arrays ------------------------------------------------------------------------------------------------------ */

static struct buf npy_of(enum npy_type type, const int64_t *dim, int rank, const void *elements)
{
	struct buf b;
	int64_t n = 1;

	buf_init(&b, 1 << 20);
	npy_write_header(&b, type, dim, rank);
	for (int i = 0; i < rank; i++)
		n *= dim[i];
	buf_append(&b, elements, (size_t)(n * npy_type_bytes(type)));
	return b;
}

static void byte_arrays_with_classes_become_images(void **state)
{
	uint8_t pixels[2 * 4 * 4 * 3];
	const int64_t labels[] = { 1, 0 };
	struct buf x, y = npy_of(NPY_I64, (int64_t[]){ 2 }, 1, labels);

	(void)state;
	for (size_t i = 0; i < sizeof pixels; i++)
		pixels[i] = (uint8_t)i;
	x = npy_of(NPY_U8, (int64_t[]){ 2, 4, 4, 3 }, 4, pixels);
	{
		const struct member members[] = { { "x_train.npy", x.data, x.len, NULL },
			{ "y_train.npy", y.data, y.len, NULL } };
		write_archive("a.npz", "zip", members, 2);
	}
	prepared_well(prepare("{}", "a.npz", NULL));
	assert_info("/kind", "\"images\"");
	assert_info("/image", "{\"channels\":3,\"height\":4,\"width\":4}");
	assert_column("train.labels", int32_t, 1, 0);
	assert_int_equal(
		((const uint8_t *)column("train.images", sizeof pixels))[16], 1); /* planes: green of pixel 0 */
	buf_release(&x);
	buf_release(&y);
}

static void byte_arrays_with_values_stay_arrays(void **state)
{
	uint8_t pixels[2 * 4 * 4] = { 5 };
	const float values[] = { 0.5f, -1 };
	struct buf x = npy_of(NPY_U8, (int64_t[]){ 2, 4, 4 }, 3, pixels),
		   y = npy_of(NPY_F32, (int64_t[]){ 2 }, 1, values);

	(void)state;
	write_file("images.npy", x.data, x.len);
	write_file("targets.npy", y.data, y.len);
	prepared_well(prepare("{}", "images.npy", "targets.npy", NULL));
	assert_info("/kind", "\"arrays\"");
	assert_info("/x", "{\"dtype\":\"float32\",\"shape\":[4,4]}");
	assert_info("/y", "{\"dtype\":\"float32\",\"shape\":[1]}");
	assert_true(*(const float *)column("train.x", 2 * 16 * sizeof(float)) == 5);
	assert_column("train.y", float, 0.5f, -1);
	assert_false(has_column("train.images"));
	buf_release(&x);
	buf_release(&y);
}

static void labels_that_do_not_count_from_zero_are_numbered(void **state)
{
	const int32_t labels[] = { 1, -1, 1 };
	const double features[] = { 1, 2, 3, 4, 5, 6 };
	struct buf x = npy_of(NPY_F64, (int64_t[]){ 3, 2 }, 2, features),
		   y = npy_of(NPY_I32, (int64_t[]){ 3 }, 1, labels);

	(void)state;
	write_file("X.npy", x.data, x.len);
	write_file("y.npy", y.data, y.len);
	prepared_well(prepare("{}", "X.npy", "y.npy", NULL));
	assert_info("/classes", "[\"-1\",\"1\"]");
	assert_column("train.y", int64_t, 1, 0, 1);
	assert_column("train.x", float, 1, 2, 3, 4, 5, 6);
	y.data[y.len - 1] = 0x7f; /* a label beyond all classes, and more than it is worth */
	write_file("y.npy", y.data, y.len - 4);
	refused_for(prepare("{}", "X.npy", "y.npy", NULL), "", "y.npy ends 4 bytes too early");
	refused_for(prepare("{}", "X.npy", NULL), "", "no array of the targets (y)");
	buf_release(&x);
	buf_release(&y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(class_folders_become_sorted_classes),
		cmocka_unit_test(train_and_test_folders_are_parts),
		cmocka_unit_test(a_folder_called_train_without_folders_is_a_class),
		cmocka_unit_test(different_sizes_have_offsets),
		cmocka_unit_test(one_coloured_picture_makes_all_coloured),
		cmocka_unit_test(few_broken_pictures_are_noted_and_many_refuse),
		cmocka_unit_test(a_folder_is_read_in_the_order_of_names_and_links_are_passed_over),
		cmocka_unit_test(a_csv_beside_or_within_gives_labels),
		cmocka_unit_test(a_csv_that_does_not_fit_says_why),
		cmocka_unit_test(idx_pairs_are_read_plain_and_gzipped),
		cmocka_unit_test(an_idx_header_is_checked_before_it_is_believed),
		cmocka_unit_test(cifar_of_ten_and_of_a_hundred_classes_is_read),
		cmocka_unit_test(byte_arrays_with_classes_become_images),
		cmocka_unit_test(byte_arrays_with_values_stay_arrays),
		cmocka_unit_test(labels_that_do_not_count_from_zero_are_numbered),
	};

	return cmocka_run_group_tests(tests, make_room, remove_room);
}
