/* Inputs to predict: pictures and arrays, as files and as numbers. */
#include "test_pack.h"

#include "io/image.h"
#include "io/npy.h"

static const char *const colour_info =
	"{\"version\":1,\"dataset\":\"colour\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":1}},"
	"\"image\":{\"channels\":3,\"height\":2,\"width\":2},\"classes\":[\"a\"]}";
static const char *const values_info =
	"{\"version\":1,\"dataset\":\"values\",\"kind\":\"arrays\",\"parts\":{\"train\":{\"samples\":2}},"
	"\"x\":{\"dtype\":\"float32\",\"shape\":[2]},\"y\":{\"dtype\":\"float32\",\"shape\":[]}}";

static void open_colour(struct lab *lab, const char *options)
{
	const uint8_t pixels[12] = { 0 };
	const int32_t labels[1] = { 0 };

	LAB_WRITE(lab, "train.images", pixels);
	LAB_WRITE(lab, "train.labels", labels);
	lab_open(lab, options, colour_info, 7);
}

static bool give(struct lab *lab, const char *type, const void *body, size_t n, struct data_input *in)
{
	faults_release(&lab->faults);
	return loader_input(lab->l, type, body, n, in, &lab->faults);
}

static bool give_json(struct lab *lab, const char *body, struct data_input *in)
{
	return give(lab, "application/json", body, strlen(body), in);
}

static void a_picture_of_numbers_has_its_channels_first_or_last(void **state)
{
	struct lab *lab = *state;
	struct data_input in;
	float *x;

	open_colour(lab, "{}");
	assert_true(give_json(lab,
		"{\"inputs\":[[[[255,0],[0,0]],[[0,51],[0,0]],[[0,0],[0,102]]],"
		"[[[255,0,0],[0,51,0]],[[0,0,0],[0,0,102]]],[[255,0],[0,0]]]}",
		&in));
	x = in.x;
	assert_int_equal(in.n, 3);
	assert_near(x[0], 1, 0);
	assert_near(x[4 + 1], 0.2, 1e-7);
	assert_near(x[8 + 3], 0.4, 1e-7);
	assert_memory_equal(x, x + 12, sizeof(float) * 12);
	for (int c = 0; c < 3; c++) /* grey in three channels */
		assert_near(x[24 + 4 * c], 1, 0);
	data_input_release(&in);
}

static void a_wrong_number_is_pointed_at(void **state)
{
	struct lab *lab = *state;
	const struct {
		const char *body, *pointer, *detail;
	} cases[] = {
		{ "{\"inputs\":[[[1,2],[3,256]]]}", "/inputs/0", "256" },
		{ "{\"inputs\":[[[1,2],[3,-1]]]}", "/inputs/0", "-1" },
		{ "{\"inputs\":[[[1,2],[3]]]}", "/inputs/0/1", "neighbours" },
		{ "{\"inputs\":[[[1,2],[3,\"4\"]]]}", "/inputs/0/1/1", "not a number" },
		{ "{\"inputs\":[[[1,2],[3,4]],[1,2]]}", "/inputs/1", "no picture" },
		{ "{\"inputs\":[[[],[]]]}", "/inputs/0", "empty" },
		{ "{\"inputs\":[{\"image\":\"@@@\"}]}", "/inputs/0", "base64" },
		{ "{\"inputs\":[{\"image\":\"AAAA\"}]}", "/inputs/0", "cannot be read" },
		{ "{\"inputs\":[{}]}", "/inputs/0", "base64" },
		{ "{\"inputs\":[[[[[[[[[[1]]]]]]]]]]}", "/inputs/0", "nested" },
	};

	open_colour(lab, "{}");
	for (size_t i = 0; i < TD_COUNT(cases); i++) {
		struct data_input in;

		assert_false(give_json(lab, cases[i].body, &in));
		assert_null(in.x);
		assert_string_equal(lab->faults.items[0].pointer, cases[i].pointer);
		if (!strstr(lab->faults.items[0].detail, cases[i].detail))
			fail_msg("%s: %s", cases[i].body, lab->faults.items[0].detail);
	}
}

/* A picture of SIDE x SIDE whose left half is white. */
static void half_white(int64_t side, struct buf *png)
{
	struct image image;

	assert_int_equal(image_init(&image, 1, side, side, NULL), TD_OK);
	for (int64_t i = 0; i < side * side; i++)
		image.pixels[i] = i % side < side / 2 ? 255 : 0;
	buf_init(png, 1 << 20);
	assert_int_equal(image_encode_png(&image, png, NULL), TD_OK);
	image_release(&image);
}

static void a_photo_of_another_size_is_brought_to_the_training_size(void **state)
{
	struct lab *lab = *state;
	struct data_input in;
	struct buf png;
	float *x;

	open_colour(lab, "{\"transforms\":[{\"type\":\"normalize\",\"mean\":[0.5],\"std\":[0.5]}]}");
	half_white(64, &png);
	assert_true(give(lab, "image/png", png.data, png.len, &in));
	x = in.x;
	assert_int_equal(in.n, 1);
	for (int c = 0; c < 3; c++) {
		/* Of a triangle about pixel 16, from 0 to 48, 0.859 lie on white. */
		assert_near(x[4 * c], 0.7176, 1e-4);
		assert_near(x[4 * c + 1], -0.7176, 1e-4);
	}
	data_input_release(&in);
	assert_false(give(lab, "image/png", png.data, png.len / 2, &in));
	assert_false(give(lab, "text/plain", "hello", 5, &in));
	assert_non_null(strstr(lab->faults.items[0].detail, "image/png"));
	buf_release(&png);
}

static void npy_of_bytes_is_a_batch_of_pictures(void **state)
{
	struct lab *lab = *state;
	const int64_t dim[4] = { 2, 2, 2, 3 };
	uint8_t pixels[24] = { 0 };
	float floats[24] = { 0 };
	struct data_input in;
	struct buf npy;

	open_colour(lab, "{}");
	pixels[12 + 3 * 3 + 1] = 255; /* picture 1, pixel (1, 1), green */
	buf_init(&npy, 1 << 16);
	assert_true(npy_write_header(&npy, NPY_U8, dim, 4) && buf_append(&npy, pixels, sizeof pixels));
	assert_true(give(lab, "application/x-npy", npy.data, npy.len, &in));
	assert_int_equal(in.n, 2);
	assert_near(((float *)in.x)[12 + 4 + 3], 1, 0);
	data_input_release(&in);
	assert_false(give(lab, "application/x-npy", npy.data, npy.len - 1, &in));
	buf_clear(&npy);
	assert_true(npy_write_header(&npy, NPY_F32, dim, 4) && buf_append(&npy, floats, sizeof floats));
	assert_false(give(lab, "application/x-npy", npy.data, npy.len, &in));
	assert_non_null(strstr(lab->faults.items[0].detail, "uint8"));
	buf_release(&npy);
}

static void arrays_are_scaled_as_the_training_samples_were(void **state)
{
	struct lab *lab = *state;
	const float x[2][2] = { { 1, 10 }, { 3, 30 } }, y[2] = { 0 };
	const double rows[3][2] = { { 2, 20 }, { 3, 30 }, { NAN, 0 } };
	const int64_t dim[2] = { 2, 2 }, bad[2] = { 3, 2 }, other[2] = { 2, 1 };
	struct data_input in;
	struct loader *restored;
	struct buf npy;
	cJSON *saved;

	LAB_WRITE(lab, "train.x", x);
	LAB_WRITE(lab, "train.y", y);
	lab_open(lab, "{\"transforms\":[\"standardize\"]}", values_info, 7);
	saved = loader_state(lab->l);
	restored = loader_restore(&lab->options, saved, &lab->faults);
	assert_non_null(restored);
	loader_free(lab->l);
	lab->l = restored;
	buf_init(&npy, 1 << 16);
	assert_true(npy_write_header(&npy, NPY_F64, dim, 2) && buf_append(&npy, rows, sizeof(double) * 4));
	assert_true(give(lab, "application/octet-stream", npy.data, npy.len, &in));
	assert_near(((float *)in.x)[0], 0, 1e-7);
	assert_near(((float *)in.x)[3], 1, 1e-7);
	data_input_release(&in);
	buf_clear(&npy);
	assert_true(npy_write_header(&npy, NPY_F64, bad, 2) && buf_append(&npy, rows, sizeof rows));
	assert_false(give(lab, "application/x-npy", npy.data, npy.len, &in));
	buf_clear(&npy);
	assert_true(npy_write_header(&npy, NPY_F64, other, 2) && buf_append(&npy, rows, sizeof(double) * 2));
	assert_false(give(lab, "application/x-npy", npy.data, npy.len, &in));
	assert_non_null(strstr(lab->faults.items[0].detail, "[2, 1]"));
	buf_release(&npy);
	assert_true(give_json(lab, "{\"inputs\":[[3,10]]}", &in));
	assert_near(((float *)in.x)[0], 1, 1e-7);
	assert_near(((float *)in.x)[1], -1, 1e-7);
	data_input_release(&in);
	assert_false(give_json(lab, "{\"inputs\":[[3,10],[3]]}", &in));
	assert_string_equal(lab->faults.items[0].pointer, "/inputs/1");
	cJSON_Delete(cJSON_DetachItemFromObjectCaseSensitive(saved, "transforms"));
	assert_null(loader_restore(&lab->options, saved, &lab->faults));
	cJSON_Delete(saved);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_picture_of_numbers_has_its_channels_first_or_last),
		TEST(a_wrong_number_is_pointed_at),
		TEST(a_photo_of_another_size_is_brought_to_the_training_size),
		TEST(npy_of_bytes_is_a_batch_of_pictures),
		TEST(arrays_are_scaled_as_the_training_samples_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
