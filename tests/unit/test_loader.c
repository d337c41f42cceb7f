/* Loaders: splits, orders, pictures, arrays; packs that are damaged. */
#include "test_pack.h"

#include "base/rng.h"
#include "io/image.h"

#define N 100

/* 100 pictures of one channel and 2 x 2 pixels: picture i is i everywhere, but for its last pixel, which is 0. */
static const char *const tiny_info =
	"{\"version\":1,\"dataset\":\"tiny\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":100},"
	"\"test\":{\"samples\":3}},\"image\":{\"channels\":1,\"height\":2,\"width\":2},\"classes\":[\"a\",\"b\",\"c\"]"
	"}";

static void write_tiny(struct lab *lab)
{
	uint8_t pixels[N][4];
	int32_t labels[N];

	for (int i = 0; i < N; i++) {
		memset(pixels[i], i, 3);
		pixels[i][3] = 0;
		labels[i] = i % 10 == 0 ? 2 : i % 2; /* 10 of c, 40 of a, 50 of b */
	}
	LAB_WRITE(lab, "train.images", pixels);
	LAB_WRITE(lab, "train.labels", labels);
	lab_write(lab, "test.images", pixels, sizeof pixels[0] * 3);
	lab_write(lab, "test.labels", labels, sizeof labels[0] * 3);
}

/* The sample of each place of a split: its first pixel. */
static void samples_of(struct lab *lab, enum data_split split, int *out)
{
	int64_t n = loader_facts(lab->l)->n[split];
	struct data_batch b = lab_batch(lab, split, -1, NULL, 0, n);

	for (int64_t i = 0; i < n; i++)
		out[i] = (int)lrintf(((float *)b.x)[i * 4] * 255);
	batch_free(&b);
}

/* ---- Splits and orders ----------------------------------------------------------------------------------------- */

static void a_split_by_end_takes_the_last_of_the_limit(void **state)
{
	struct lab *lab = *state;
	const struct data_facts *f;
	int train[N], validation[N];

	write_tiny(lab);
	f = loader_facts(lab_open(lab, "{\"limit\":80,\"split\":{\"validation\":0.256}}", tiny_info, 7));
	assert_int_equal(f->n[DATA_TRAIN], 60);
	assert_int_equal(f->n[DATA_VALIDATION], 20); /* 20.48: fractions are rounded down */
	assert_int_equal(f->n[DATA_TEST], 3);
	samples_of(lab, DATA_TRAIN, train);
	samples_of(lab, DATA_VALIDATION, validation);
	for (int i = 0; i < 60; i++)
		assert_int_equal(train[i], i);
	for (int i = 0; i < 20; i++)
		assert_int_equal(validation[i], 60 + i);
}

/* A job of an older version goes on with the samples that it had. */
static void a_random_split_is_the_permutation_of_its_seed(void **state)
{
	struct lab *lab = *state;
	struct rng_key key = { .seed = 7, .stream = rng_stream("split") };
	int64_t permutation[90];
	int validation[N], other[N], expected[N] = { 0 };

	write_tiny(lab);
	rng_permutation(&key, 90, permutation);
	for (int i = 60; i < 90; i++)
		expected[permutation[i]] = 1;
	lab_open(lab, "{\"limit\":90,\"split\":{\"validation\":30,\"by\":\"random\"}}", tiny_info, 7);
	samples_of(lab, DATA_VALIDATION, validation);
	for (int i = 0; i < 30; i++) {
		assert_int_equal(expected[validation[i]], 1);
		assert_true(i == 0 || validation[i] > validation[i - 1]);
	}
	lab_open(lab, "{\"limit\":90,\"split\":{\"validation\":30,\"by\":\"random\"}}", tiny_info, 8);
	samples_of(lab, DATA_VALIDATION, other);
	assert_memory_not_equal(validation, other, sizeof(int) * 30);
}

static void a_stratified_split_gives_every_class_its_share(void **state)
{
	struct lab *lab = *state;
	const char *info =
		"{\"version\":1,\"dataset\":\"tiny\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":100}},"
		"\"image\":{\"channels\":1,\"height\":2,\"width\":2},\"classes\":[\"a\",\"b\",\"c\"]}";
	int64_t counts[DATA_SPLITS][3] = { { 0 } };
	int seen[N] = { 0 }, samples[N];

	write_tiny(lab);
	lab_open(lab, "{\"split\":{\"validation\":0.25,\"test\":11,\"by\":\"stratified\"}}", info, 7);
	for (int s = 0; s < DATA_SPLITS; s++) {
		int64_t n = loader_facts(lab->l)->n[s];
		struct data_batch b = lab_batch(lab, (enum data_split)s, -1, NULL, 0, n);

		samples_of(lab, (enum data_split)s, samples);
		for (int64_t i = 0; i < n; i++) {
			seen[samples[i]]++;
			counts[s][((int64_t *)b.y)[i]]++;
		}
		batch_free(&b);
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(seen[i], 1);
	/* Of 40, 50, 10: 4.4, 5.5, 1.1 for tests, so the half is rounded up. */
	assert_int_equal(counts[DATA_TEST][0], 4);
	assert_int_equal(counts[DATA_TEST][1], 6);
	assert_int_equal(counts[DATA_TEST][2], 1);
	/* Of 36, 44, 9 that are left: 10.11, 12.36, 2.53. */
	assert_int_equal(counts[DATA_VALIDATION][0], 10);
	assert_int_equal(counts[DATA_VALIDATION][1], 12);
	assert_int_equal(counts[DATA_VALIDATION][2], 3);
}

static void what_cannot_be_divided_is_said_before_the_data_are_there(void **state)
{
	struct lab *lab = *state;

	lab_refused(lab, "{\"limit\":101}", tiny_info, "/data/limit", "101 is more than the 100");
	lab_refused(lab, "{\"split\":{\"validation\":100}}", tiny_info, "/data/split/validation", "leave none");
	lab_refused(lab, "{\"split\":{\"test\":5}}", tiny_info, "/data/split/test", "of its own");
	lab_refused(lab, "{\"target\":[\"x\"]}", tiny_info, "/data/target", "tables");
}

static void every_epoch_has_an_order_of_its_own_that_does_not_depend_on_others(void **state)
{
	struct lab *lab = *state;
	struct rng_key key = { .seed = 7, .stream = rng_stream("shuffle"), .step = 1 };
	int64_t a[N], b[N], expected[N];

	write_tiny(lab);
	lab_open(lab, "{}", tiny_info, 7);
	loader_order(lab->l, 1, a);
	rng_permutation(&key, N, expected);
	assert_memory_equal(a, expected, sizeof a);
	loader_order(lab->l, 0, b);
	assert_memory_not_equal(a, b, sizeof a);
	lab_open(lab, "{\"shuffle\":false}", tiny_info, 7);
	loader_order(lab->l, 1, a);
	for (int i = 0; i < N; i++)
		assert_int_equal(a[i], i);
	assert_int_equal(data_batches(100, 50), 2);
	assert_int_equal(data_batches(101, 50), 3);
}

/* ---- Pictures ---------------------------------------------------------------------------------------------------- */

static void a_batch_holds_its_samples_normalised_as_floats(void **state)
{
	struct lab *lab = *state;
	int64_t order[3] = { 41, 5, 99 };
	struct data_batch b;

	write_tiny(lab);
	lab_open(lab, "{\"transforms\":[{\"type\":\"normalize\",\"mean\":[0.286],\"std\":[0.353]}]}", tiny_info, 7);
	b = lab_batch(lab, DATA_TRAIN, 0, order, 0, 3);
	for (int i = 0; i < 3; i++) {
		float x = ((float)order[i] / 255.0f - 0.286f) / 0.353f, zero = (0.0f - 0.286f) / 0.353f;

		assert_int_equal(((int64_t *)b.y)[i], order[i] % 2);
		assert_memory_equal((float *)b.x + i * 4, &x, sizeof x);
		assert_memory_equal((float *)b.x + i * 4 + 3, &zero, sizeof zero);
	}
	batch_free(&b);
}

static void standardize_takes_its_numbers_from_the_training_split(void **state)
{
	struct lab *lab = *state;
	struct data_batch b;
	double sum = 0, squares = 0;
	float *x;

	write_tiny(lab);
	lab_open(lab, "{\"limit\":50,\"split\":{\"validation\":10},\"transforms\":[\"standardize\"]}", tiny_info, 7);
	b = lab_batch(lab, DATA_TRAIN, -1, NULL, 0, 40);
	x = b.x;
	for (int i = 0; i < 160; i++) {
		sum += (double)x[i];
		squares += (double)x[i] * (double)x[i];
	}
	assert_near(sum / 160, 0, 1e-6);
	assert_near(squares / 160, 1, 1e-6);
	batch_free(&b);
	/* Once pixels move, the same numbers come from a walk through all samples. */
	lab_open(lab,
		"{\"limit\":50,\"split\":{\"validation\":10},\"transforms\":[{\"type\":\"center_crop\",\"size\":[2,1]},"
		"\"standardize\"]}",
		tiny_info, 7);
	b = lab_batch(lab, DATA_TRAIN, -1, NULL, 0, 40);
	x = b.x;
	sum = squares = 0;
	for (int i = 0; i < 80; i++) {
		sum += (double)x[i];
		squares += (double)x[i] * (double)x[i];
	}
	assert_near(sum / 80, 0, 1e-6);
	assert_near(squares / 80, 1, 1e-6);
	batch_free(&b);
}

static void one_hot_makes_shares_of_classes(void **state)
{
	struct lab *lab = *state;
	int64_t order[2] = { 10, 3 };
	const float expected[6] = { 0, 0, 1, 0, 1, 0 };
	struct data_batch b;

	write_tiny(lab);
	lab_open(lab, "{\"transforms\":[\"one_hot\"]}", tiny_info, 7);
	assert_int_equal(loader_facts(lab->l)->target, DATA_SHARES);
	assert_int_equal(loader_facts(lab->l)->y.dim[0], 3);
	b = lab_batch(lab, DATA_TRAIN, 0, order, 0, 2);
	assert_memory_equal(b.y, expected, sizeof expected);
	batch_free(&b);
}

/* A red picture of 4 x 8, a blue one of 6 x 2; channels one after the other. */
static const char *const varied_info =
	"{\"version\":1,\"dataset\":\"photos\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":2}},"
	"\"image\":{\"channels\":3,\"height\":0,\"width\":0},\"classes\":[\"red\",\"blue\"]}";

static void write_varied(struct lab *lab)
{
	uint8_t pixels[3 * 32 + 3 * 12] = { 0 };
	int32_t sizes[4] = { 4, 8, 6, 2 }, labels[2] = { 0, 1 };
	int64_t offsets[3] = { 0, 96, 132 };

	memset(pixels, 255, 32);
	memset(pixels + 96 + 24, 51, 12);
	LAB_WRITE(lab, "train.images", pixels);
	LAB_WRITE(lab, "train.sizes", sizes);
	LAB_WRITE(lab, "train.offsets", offsets);
	LAB_WRITE(lab, "train.labels", labels);
}

static void pictures_of_differing_sizes_need_a_resize(void **state)
{
	struct lab *lab = *state;
	struct data_batch b;
	float *x;

	lab_refused(lab, "{}", varied_info, "/data/transforms", "resize");
	lab_refused(
		lab, "{\"transforms\":[{\"type\":\"resize\",\"size\":4}]}", varied_info, "/data/transforms", "resize");
	write_varied(lab);
	lab_open(lab, "{\"transforms\":[{\"type\":\"resize\",\"size\":4},{\"type\":\"center_crop\",\"size\":3}]}",
		varied_info, 7);
	assert_int_equal(loader_facts(lab->l)->x.dim[1], 3);
	b = lab_batch(lab, DATA_TRAIN, -1, NULL, 0, 2);
	x = b.x;
	for (int k = 0; k < 27; k++) {
		assert_near(x[k], k < 9 ? 1 : 0, 0);
		assert_near(x[27 + k], k < 18 ? 0 : 51 / 255.0f, 0);
	}
	batch_free(&b);
}

static void augmented_and_evaluated_pictures_must_agree_in_size(void **state)
{
	struct lab *lab = *state;

	lab_refused(lab, "{\"augment\":[{\"type\":\"random_crop\",\"size\":1}]}", tiny_info, "/data/augment", "1 x 1");
	lab_refused(lab, "{\"augment\":[{\"type\":\"random_crop\",\"size\":5,\"padding\":1}]}", tiny_info,
		"/data/augment/0", "more than");
	lab_refused(lab, "{\"transforms\":[{\"type\":\"normalize\",\"mean\":[0,0],\"std\":[1]}]}", tiny_info,
		"/data/transforms/0/mean", "1 channel");
	assert_non_null(
		lab_create(lab, "{\"augment\":[{\"type\":\"random_crop\",\"size\":2,\"padding\":1}]}", tiny_info));
}

static void people_see_the_picture_and_a_grid(void **state)
{
	struct lab *lab = *state;
	struct data_batch b;
	struct image image = { 0 };
	struct buf png;
	cJSON *sample;

	write_tiny(lab);
	lab_open(lab, "{}", tiny_info, 7);
	sample = loader_sample_json(lab->l, DATA_TEST, 2);
	assert_int_equal(json_int(sample, "index", -1), 2);
	assert_int_equal(json_int(json_get(sample, "image"), "width", 0), 2);
	assert_true(!strncmp(json_string(json_get(sample, "image"), "png", ""), "iVBOR", 5));
	cJSON_Delete(sample);
	b = lab_batch(lab, DATA_TRAIN, -1, NULL, 0, 3);
	buf_init(&png, 1 << 20);
	assert_true(loader_grid_png(lab->l, b.x, 3, &png));
	assert_int_equal(image_decode(png.data, png.len, &image, NULL), TD_OK);
	assert_int_equal(image.width, 6); /* two, with a gap */
	assert_int_equal(image.pixels[0], 0);
	assert_int_equal(image.pixels[4], 128); /* sample 1, half of the range from 0 to 2 */
	assert_int_equal(image.pixels[4 * 6], 255);
	image_release(&image);
	buf_release(&png);
	batch_free(&b);
	assert_string_equal(loader_class_name(lab->l, 2), "c");
}

/* ---- Damage ------------------------------------------------------------------------------------------------------ */

static void a_damaged_description_is_refused(void **state)
{
	struct lab *lab = *state;
	static const char *const damaged[] = {
		"{}",
		"{\"version\":2,\"kind\":\"images\"}",
		"{\"version\":1,\"kind\":\"pictures\"}",
		"{\"version\":1,\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":-1}}}",
		"{\"version\":1,\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":1e300}}}",
		"{\"version\":1,\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":1}}}",
		"{\"version\":1,\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":1}},\"image\":{\"channels\":1,"
		"\"height\":0,"
		"\"width\":5},\"classes\":[\"a\"]}",
		"{\"version\":1,\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":1}},\"image\":{\"channels\":1,"
		"\"height\":5,"
		"\"width\":5},\"classes\":[]}",
		"{\"version\":1,\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":1}},\"image\":{\"channels\":1,"
		"\"height\":5,"
		"\"width\":5},\"classes\":[7]}",
		"{\"version\":1,\"kind\":\"arrays\",\"parts\":{\"train\":{\"samples\":1}},\"x\":{\"dtype\":\"float64\","
		"\"shape\":[]}}",
		"{\"version\":1,\"kind\":\"arrays\",\"parts\":{\"train\":{\"samples\":1}},\"x\":{\"dtype\":\"float32\","
		"\"shape\":"
		"[4294967296,4294967296]},\"y\":{\"dtype\":\"float32\",\"shape\":[]}}",
		"{\"version\":1,\"kind\":\"text\",\"parts\":{\"train\":{\"samples\":5}},\"characters\":9}",
		"{\"version\":1,\"kind\":\"labelled_text\",\"parts\":{\"train\":{\"samples\":5}},\"classes\":[\"a\"],"
		"\"characters\":-9}",
	};

	for (size_t i = 0; i < TD_COUNT(damaged); i++)
		lab_refused(lab, "{}", damaged[i], "/data/dataset", "damaged");
}

static void a_column_that_is_not_as_described_is_corrupt(void **state)
{
	struct lab *lab = *state;
	uint8_t pixels[N * 4] = { 0 };
	int32_t labels[N] = { 0 };

	assert_non_null(lab_create(lab, "{}", tiny_info));
	assert_int_equal(lab_try_open(lab, 7), TD_NOT_FOUND);
	write_tiny(lab);
	lab_write(lab, "train.images", pixels, sizeof pixels - 1);
	assert_non_null(lab_create(lab, "{}", tiny_info));
	assert_int_equal(lab_try_open(lab, 7), TD_CORRUPT);
	LAB_WRITE(lab, "train.images", pixels);
	labels[42] = 3;
	LAB_WRITE(lab, "train.labels", labels);
	assert_non_null(lab_create(lab, "{}", tiny_info));
	assert_int_equal(lab_try_open(lab, 7), TD_CORRUPT);
	assert_non_null(strstr(lab->err.text, "entry 42 is 3"));
	assert_string_equal(lab->pointer, "/data/dataset");
}

static void sizes_and_offsets_are_checked_before_they_are_believed(void **state)
{
	struct lab *lab = *state;
	const char *options = "{\"transforms\":[{\"type\":\"resize\",\"size\":[2,2]}]}";
	int64_t offsets[3][3] = { { 0, 96, 131 }, { 0, -96, 132 }, { 0, 132, 132 } };
	int32_t sizes[3][4] = { { 4, 8, 6, -2 }, { 0, 8, 6, 2 }, { 1 << 30, 1 << 30, 6, 2 } };

	for (int i = 0; i < 3; i++) {
		write_varied(lab);
		LAB_WRITE(lab, "train.offsets", offsets[i]);
		assert_non_null(lab_create(lab, options, varied_info));
		assert_int_equal(lab_try_open(lab, 7), TD_CORRUPT);
		write_varied(lab);
		LAB_WRITE(lab, "train.sizes", sizes[i]);
		assert_non_null(lab_create(lab, options, varied_info));
		assert_int_equal(lab_try_open(lab, 7), TD_CORRUPT);
	}
}

/* ---- Arrays ------------------------------------------------------------------------------------------------------ */

static const char *const values_info =
	"{\"version\":1,\"dataset\":\"values\",\"kind\":\"arrays\",\"parts\":{\"train\":{\"samples\":4}},"
	"\"x\":{\"dtype\":\"float32\",\"shape\":[2]},\"y\":{\"dtype\":\"float32\",\"shape\":[]}}";

static void arrays_are_standardised_by_feature(void **state)
{
	struct lab *lab = *state;
	const float x[4][2] = { { 1, 7 }, { 3, 7 }, { 1, 7 }, { 3, 7 } }, y[4] = { 0.5f, 1, 2, 4 };
	const float expected[4] = { -1, 0, 1, 0 };
	struct data_batch b;

	LAB_WRITE(lab, "train.x", x);
	LAB_WRITE(lab, "train.y", y);
	lab_open(lab, "{\"transforms\":[\"standardize\"]}", values_info, 7);
	assert_int_equal(loader_facts(lab->l)->target, DATA_VALUES);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 2);
	assert_memory_equal(b.x, expected, sizeof expected);
	assert_memory_equal(b.y, y, sizeof(float) * 2);
	batch_free(&b);
	lab_refused(lab, "{\"augment\":[\"random_flip\"]}", values_info, "/data/augment/0", "pictures");
	lab_refused(lab, "{\"transforms\":[\"one_hot\"]}", values_info, "/data/transforms/0", "classes");
}

static void an_array_with_nan_is_refused_with_its_sample(void **state)
{
	struct lab *lab = *state;
	float x[4][2] = { { 1, 7 }, { 3, 7 }, { 1, NAN }, { 3, INFINITY } }, y[4] = { 0 };
	float room_x[8], room_y[4];
	struct data_batch b = { room_x, room_y, NULL };
	struct err e = { 0 };

	LAB_WRITE(lab, "train.x", x);
	LAB_WRITE(lab, "train.y", y);
	lab_open(lab, "{}", values_info, 7);
	assert_int_equal(loader_batch(lab->l, DATA_TRAIN, 0, NULL, 0, 2, &b, &e), TD_OK);
	assert_int_equal(loader_batch(lab->l, DATA_TRAIN, 0, NULL, 1, 2, &b, &e), TD_INVALID);
	assert_non_null(strstr(e.text, "sample 2"));
	err_clear(&e);
	assert_int_equal(loader_batch(lab->l, DATA_TRAIN, 0, NULL, 3, 1, &b, &e), TD_INVALID);
}

static void whole_numbers_are_tokens_with_classes(void **state)
{
	struct lab *lab = *state;
	const char *info =
		"{\"version\":1,\"dataset\":\"ids\",\"kind\":\"arrays\",\"parts\":{\"train\":{\"samples\":2}},"
		"\"x\":{\"dtype\":\"int64\",\"shape\":[3]},\"y\":{\"dtype\":\"int64\",\"shape\":[]},"
		"\"classes\":[\"no\",\"yes\"]}";
	const int64_t x[6] = { 5, 6, 7, 8, 9, 10 }, y[2] = { 1, 0 }, wrong[2] = { 1, 2 };
	struct data_batch b;

	LAB_WRITE(lab, "train.x", x);
	LAB_WRITE(lab, "train.y", y);
	lab_open(lab, "{}", info, 7);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 2);
	assert_memory_equal(b.x, x, sizeof x);
	assert_memory_equal(b.y, y, sizeof y);
	batch_free(&b);
	lab_refused(lab, "{\"transforms\":[\"standardize\"]}", info, "/data/transforms/0", "tokens");
	LAB_WRITE(lab, "train.y", wrong);
	assert_non_null(lab_create(lab, "{}", info));
	assert_int_equal(lab_try_open(lab, 7), TD_CORRUPT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_split_by_end_takes_the_last_of_the_limit),
		TEST(a_random_split_is_the_permutation_of_its_seed),
		TEST(a_stratified_split_gives_every_class_its_share),
		TEST(what_cannot_be_divided_is_said_before_the_data_are_there),
		TEST(every_epoch_has_an_order_of_its_own_that_does_not_depend_on_others),
		TEST(a_batch_holds_its_samples_normalised_as_floats),
		TEST(standardize_takes_its_numbers_from_the_training_split),
		TEST(one_hot_makes_shares_of_classes),
		TEST(pictures_of_differing_sizes_need_a_resize),
		TEST(augmented_and_evaluated_pictures_must_agree_in_size),
		TEST(people_see_the_picture_and_a_grid),
		TEST(a_damaged_description_is_refused),
		TEST(a_column_that_is_not_as_described_is_corrupt),
		TEST(sizes_and_offsets_are_checked_before_they_are_believed),
		TEST(arrays_are_standardised_by_feature),
		TEST(an_array_with_nan_is_refused_with_its_sample),
		TEST(whole_numbers_are_tokens_with_classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
