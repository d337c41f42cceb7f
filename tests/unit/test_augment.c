/* Augmentations: values by hand, torchvision's definitions, and that a draw depends on its address alone. */
#include "test_pack.h"

#define SIDE 6
#define N    40

static const char *const grey_info =
	"{\"version\":1,\"dataset\":\"grey\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":40},"
	"\"test\":{\"samples\":1}},\"image\":{\"channels\":1,\"height\":6,\"width\":6},\"classes\":[\"a\",\"b\"]}";
static const char *const colour_info =
	"{\"version\":1,\"dataset\":\"colour\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":1}},"
	"\"image\":{\"channels\":3,\"height\":1,\"width\":2},\"classes\":[\"a\"]}";

/* Pixel (y, x) of each picture is 6 y + x + 1: all differ, none is 0. */
static void write_grey(struct lab *lab)
{
	uint8_t pixels[N][SIDE * SIDE];
	int32_t labels[N];

	for (int i = 0; i < N; i++) {
		for (int p = 0; p < SIDE * SIDE; p++)
			pixels[i][p] = (uint8_t)(p + 1);
		labels[i] = i % 2;
	}
	LAB_WRITE(lab, "train.images", pixels);
	LAB_WRITE(lab, "train.labels", labels);
	lab_write(lab, "test.images", pixels, sizeof pixels[0]);
	lab_write(lab, "test.labels", labels, sizeof labels[0]);
}

/* The training samples of EPOCH in order, as bytes again. */
static uint8_t *augmented(struct lab *lab, const char *augment, int64_t epoch, uint64_t seed)
{
	char *options = mem_printf("{\"augment\":%s}", augment);
	struct data_batch b;
	uint8_t *bytes = mem_alloc(N * SIDE * SIDE);

	write_grey(lab);
	lab_open(lab, options, grey_info, seed);
	b = lab_batch(lab, DATA_TRAIN, epoch, NULL, 0, N);
	for (int i = 0; i < N * SIDE * SIDE; i++)
		bytes[i] = (uint8_t)lrintf(((float *)b.x)[i] * 255);
	batch_free(&b);
	mem_free(options);
	return bytes;
}

/* Pixel (y, x) of the original with zeros outside, or its reflection. */
static int original(int y, int x, bool reflect)
{
	if (reflect) {
		y = y < 0 ? -y : y >= SIDE ? 2 * (SIDE - 1) - y : y;
		x = x < 0 ? -x : x >= SIDE ? 2 * (SIDE - 1) - x : x;
	}
	return y < 0 || y >= SIDE || x < 0 || x >= SIDE ? 0 : SIDE * y + x + 1;
}

/* The shift by which PIXELS is a window of the original; fails where it is none. */
static void find_shift(const uint8_t *pixels, bool reflect, int *dy, int *dx)
{
	for (*dy = -2; *dy <= 2; ++*dy)
		for (*dx = -2; *dx <= 2; ++*dx) {
			int same = 0;

			for (int p = 0; p < SIDE * SIDE; p++)
				same += pixels[p] == original(p / SIDE + *dy, p % SIDE + *dx, reflect);
			if (same == SIDE * SIDE)
				return;
		}
	fail_msg("this is no window of the picture");
}

static void a_random_crop_is_a_window_of_the_padded_picture(void **state)
{
	struct lab *lab = *state;

	for (int reflect = 0; reflect < 2; reflect++) {
		uint8_t *bytes = augmented(lab,
			reflect ? "[{\"type\":\"random_crop\",\"size\":6,\"padding\":2,\"padding_mode\":"
				  "\"reflect\"}]"
				: "[{\"type\":\"random_crop\",\"size\":6,\"padding\":2}]",
			0, 7);
		int seen[5][5] = { { 0 } }, n_seen = 0, dy, dx;

		for (int i = 0; i < N; i++) {
			find_shift(bytes + i * SIDE * SIDE, reflect, &dy, &dx);
			n_seen += !seen[dy + 2][dx + 2]++;
		}
		assert_true(n_seen > 10); /* of 25, in 40 draws; fewer has a probability below 1e-6 */
		mem_free(bytes);
	}
}

static void a_flip_mirrors_about_half_of_the_pictures(void **state)
{
	struct lab *lab = *state;
	uint8_t *bytes = augmented(lab, "[\"random_flip\"]", 0, 7), *upright = augmented(lab,
									    "[{\"type\":\"random_flip\",\"p\":1,"
									    "\"vertical\":true}]",
									    0, 7);
	int flipped = 0;

	for (int i = 0; i < N; i++) {
		bool is = bytes[i * SIDE * SIDE] == SIDE;

		for (int p = 0; p < SIDE * SIDE; p++) {
			int y = p / SIDE, x = p % SIDE;

			assert_int_equal(bytes[i * SIDE * SIDE + p], original(y, is ? SIDE - 1 - x : x, false));
			assert_int_equal(upright[i * SIDE * SIDE + p], original(SIDE - 1 - y, x, false));
		}
		flipped += is;
	}
	assert_in_range(flipped, 5, 35); /* of 40: beyond has a probability below 1e-5 */
	mem_free(bytes);
	mem_free(upright);
}

static void a_draw_depends_on_seed_epoch_and_sample_alone(void **state)
{
	struct lab *lab = *state;
	const char *augment = "[{\"type\":\"random_crop\",\"size\":6,\"padding\":2},\"random_flip\"]";
	uint8_t *a = augmented(lab, augment, 3, 7), *again = augmented(lab, augment, 3, 7),
		*epoch = augmented(lab, augment, 4, 7), *seed = augmented(lab, augment, 3, 8);
	int64_t order[3] = { 31, 4, 17 };
	struct data_batch b;

	assert_memory_equal(a, again, N * SIDE * SIDE);
	assert_memory_not_equal(a, epoch, N * SIDE * SIDE);
	assert_memory_not_equal(a, seed, N * SIDE * SIDE);
	mem_free(augmented(lab, augment, 3, 7));
	b = lab_batch(lab, DATA_TRAIN, 3, order, 0, 3); /* another batch, another place: the same picture */
	for (int i = 0; i < 3; i++)
		for (int p = 0; p < SIDE * SIDE; p++)
			assert_int_equal(
				lrintf(((float *)b.x)[i * SIDE * SIDE + p] * 255), a[order[i] * SIDE * SIDE + p]);
	batch_free(&b);
	mem_free(a);
	mem_free(again);
	mem_free(epoch);
	mem_free(seed);
}

static void an_evaluation_is_not_augmented(void **state)
{
	struct lab *lab = *state;
	struct data_batch b;

	mem_free(augmented(lab, "[{\"type\":\"random_flip\",\"p\":1},{\"type\":\"cutout\",\"size\":6}]", 0, 7));
	b = lab_batch(lab, DATA_TEST, -1, NULL, 0, 1);
	for (int p = 0; p < SIDE * SIDE; p++)
		assert_int_equal(lrintf(((float *)b.x)[p] * 255), p + 1);
	batch_free(&b);
}

static void cutout_clears_a_square(void **state)
{
	struct lab *lab = *state;
	uint8_t *bytes = augmented(lab, "[{\"type\":\"cutout\",\"size\":2}]", 0, 7);

	for (int i = 0; i < N; i++) {
		int top = SIDE, left = SIDE, bottom = -1, right = -1, n = 0;

		for (int p = 0; p < SIDE * SIDE; p++) {
			if (bytes[i * SIDE * SIDE + p]) {
				assert_int_equal(bytes[i * SIDE * SIDE + p], p + 1);
				continue;
			}
			top = TD_MIN(top, p / SIDE);
			bottom = TD_MAX(bottom, p / SIDE);
			left = TD_MIN(left, p % SIDE);
			right = TD_MAX(right, p % SIDE);
			n++;
		}
		assert_true(n >= 1);
		assert_int_equal(n, (bottom - top + 1) * (right - left + 1));
		assert_true(bottom - top < 2 && right - left < 2);
		assert_true(n == 4 || top == 0 || left == 0); /* smaller only where it is cut off */
	}
	mem_free(bytes);
}

static void a_rotation_keeps_the_middle_and_stays_within_its_bound(void **state)
{
	struct lab *lab = *state;
	uint8_t *still = augmented(lab, "[{\"type\":\"random_rotation\",\"degrees\":0}]", 0, 7),
		*turned = augmented(lab, "[{\"type\":\"random_rotation\",\"degrees\":180}]", 0, 7);
	int different = 0;

	for (int i = 0; i < N * SIDE * SIDE; i++)
		assert_int_equal(still[i], i % (SIDE * SIDE) + 1);
	for (int i = 0; i < N; i++) {
		const uint8_t *p = turned + i * SIDE * SIDE;

		/* Turning about the middle leaves the mean of its four pixels, 18.5. */
		assert_near(p[14] + p[15] + p[20] + p[21], 74, 2);
		different += p[14] != 15;
	}
	assert_true(different > N / 2);
	mem_free(still);
	mem_free(turned);
}

/* torchvision's functional.rotate(picture, 47.16025) of a tensor, bilinear; pixel k of the picture is 37 k mod 256. */
static const float rotated[5][7] = { { 0.000000f, 0.078245f, 0.498240f, 0.655613f, 0.762899f, 0.870185f, 0.446243f },
	{ 0.029553f, 0.293931f, 0.449932f, 0.557218f, 0.664505f, 0.771790f, 0.879076f },
	{ 0.111484f, 0.244252f, 0.351538f, 0.458824f, 0.566110f, 0.673396f, 0.622840f },
	{ 0.038571f, 0.145857f, 0.253143f, 0.360429f, 0.467715f, 0.489311f, 0.080817f },
	{ 0.006737f, 0.047462f, 0.154748f, 0.262034f, 0.333920f, 0.081043f, 0.000000f } };

static void a_rotation_is_the_one_of_torchvision(void **state)
{
	struct lab *lab = *state;
	const char *info =
		"{\"version\":1,\"dataset\":\"odd\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":1}},"
		"\"image\":{\"channels\":1,\"height\":5,\"width\":7},\"classes\":[\"a\"]}";
	const int32_t labels[1] = { 0 };
	uint8_t pixels[35];
	struct data_batch b;

	for (int k = 0; k < 35; k++)
		pixels[k] = (uint8_t)(37 * k);
	LAB_WRITE(lab, "train.images", pixels);
	LAB_WRITE(lab, "train.labels", labels);
	/* What seed 7 draws for epoch 3 is the angle above. */
	lab_open(lab, "{\"augment\":[{\"type\":\"random_rotation\",\"degrees\":90}]}", info, 7);
	b = lab_batch(lab, DATA_TRAIN, 3, NULL, 0, 1);
	for (int k = 0; k < 35; k++)
		assert_near(((float *)b.x)[k], rotated[k / 7][k % 7], 2e-6);
	batch_free(&b);
}

static void a_random_resized_crop_of_everything_is_a_resize(void **state)
{
	struct lab *lab = *state;
	uint8_t *bytes =
		augmented(lab, "[{\"type\":\"random_resized_crop\",\"size\":6,\"scale\":[1,1],\"ratio\":[1,1]}]", 0, 7);
	uint8_t *part = augmented(lab, "[{\"type\":\"random_resized_crop\",\"size\":6,\"scale\":[0.1,0.2]}]", 0, 7);

	for (int i = 0; i < N * SIDE * SIDE; i++)
		assert_int_equal(bytes[i], i % (SIDE * SIDE) + 1);
	for (int i = 0; i < N; i++) {
		const uint8_t *p = part + i * SIDE * SIDE;

		/* At most a third of a side: rows differ by less than two. */
		assert_true(p[SIDE * SIDE - 1] - p[0] < 24);
		assert_true(p[0] >= 1 && p[SIDE * SIDE - 1] <= 36);
	}
	mem_free(bytes);
	mem_free(part);
	lab_refused(lab, "{\"augment\":[{\"type\":\"random_resized_crop\",\"size\":6,\"scale\":[0.9,0.1]}]}", grey_info,
		"/data/augment/0/scale", "smaller number");
}

/* ---- Colours ----------------------------------------------------------------------------------------------------- */

/* Two pixels: (0.2, 0.4, 0.8) and (0.6, 0.6, 0.6). */
static void colours(struct lab *lab, const char *jitter, float out[6])
{
	const uint8_t pixels[6] = { 51, 153, 102, 153, 204, 153 };
	const int32_t labels[1] = { 0 };
	char *options = mem_printf("{\"augment\":[{\"type\":\"color_jitter\",%s}]}", jitter);
	struct data_batch b;

	LAB_WRITE(lab, "train.images", pixels);
	LAB_WRITE(lab, "train.labels", labels);
	lab_open(lab, options, colour_info, 7);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 1);
	memcpy(out, b.x, sizeof(float) * 6);
	batch_free(&b);
	mem_free(options);
}

static void color_jitter_keeps_what_its_definition_keeps(void **state)
{
	struct lab *lab = *state;
	const float grey = 0.2989f * 0.2f + 0.587f * 0.4f + 0.114f * 0.8f;
	float c[6], factor;

	colours(lab, "\"brightness\":0.2", c);
	factor = c[0] / 0.2f;
	assert_true(factor >= 0.8f && factor <= 1.2f && fabsf(factor - 1) > 1e-4f);
	assert_near(c[2], 0.4f * factor, 1e-6);
	assert_near(c[4], 0.8f * factor, 1e-6);
	assert_near(c[1], 0.6f * factor, 1e-6);

	colours(lab, "\"contrast\":0.2", c);
	factor = (c[1] - c[0]) / 0.4f; /* differences grow by the factor */
	assert_true(factor >= 0.8f && factor <= 1.2f && fabsf(factor - 1) > 1e-4f);
	assert_near(c[0], factor * 0.2f + (1 - factor) * (grey + 0.6f * 0.9999f) / 2, 1e-5);

	colours(lab, "\"saturation\":0.2", c);
	factor = (c[4] - c[0]) / 0.6f;
	assert_true(factor >= 0.8f && factor <= 1.2f && fabsf(factor - 1) > 1e-4f);
	assert_near(c[2], factor * 0.4f + (1 - factor) * grey, 1e-6);
	assert_near(c[1], 0.6f, 1e-4); /* grey stays grey */

	colours(lab, "\"hue\":0.5", c);
	assert_near(fmaxf(c[0], fmaxf(c[2], c[4])), 0.8f, 1e-6);
	assert_near(fminf(c[0], fminf(c[2], c[4])), 0.2f, 1e-6);
	assert_true(fabsf(c[0] - 0.2f) + fabsf(c[2] - 0.4f) > 1e-3f);
	assert_near(c[3], 0.6f, 0);
}

/* ---- mixup ------------------------------------------------------------------------------------------------------- */

static void mixup_mixes_inputs_and_targets_alike(void **state)
{
	struct lab *lab = *state;
	uint8_t pixels[N][SIDE * SIDE];
	int64_t order[N];
	struct data_batch b, other;
	double share;

	write_grey(lab);
	for (int i = 0; i < N; i++)
		memset(pixels[i], i % 2 ? 255 : 0, sizeof pixels[i]); /* the pixel is the class */
	LAB_WRITE(lab, "train.images", pixels);
	lab_open(lab, "{\"augment\":[{\"type\":\"mixup\",\"alpha\":1}]}", grey_info, 7);
	assert_int_equal(loader_facts(lab->l)->target, DATA_SHARES);
	loader_order(lab->l, 2, order);
	b = lab_batch(lab, DATA_TRAIN, 2, order, 8, 16);
	share = 0;
	for (int i = 0; i < 16; i++) {
		float *y = (float *)b.y + 2 * i, x = ((float *)b.x)[i * SIDE * SIDE];

		assert_near(y[0] + y[1], 1, 1e-6);
		assert_near(y[1], x, 1e-6);
		if (y[1] > 0.001f && y[1] < 0.999f) /* all mixed pairs have the batch's one lambda */
			share = share > 0 ? share : (double)fmaxf(y[0], y[1]);
		if (y[1] > 0.001f && y[1] < 0.999f)
			assert_near(fmaxf(y[0], y[1]), share, 1e-6);
	}
	assert_true(share > 0.5);
	other = lab_batch(lab, DATA_TRAIN, 2, order, 8, 16);
	assert_memory_equal(b.x, other.x, sizeof(float) * 16 * SIDE * SIDE);
	batch_free(&other);
	other = lab_batch(lab, DATA_TRAIN, 3, order, 8, 16);
	assert_memory_not_equal(b.y, other.y, sizeof(float) * 32);
	batch_free(&other);
	batch_free(&b);
	b = lab_batch(lab, DATA_TEST, -1, NULL, 0, 1); /* an evaluation has shares, unmixed */
	assert_near(((float *)b.y)[0], 1, 0);
	batch_free(&b);
	lab_refused(lab, "{\"augment\":[\"mixup\",\"random_flip\"]}", grey_info, "/data/augment/0", "last");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_random_crop_is_a_window_of_the_padded_picture),
		TEST(a_flip_mirrors_about_half_of_the_pictures),
		TEST(a_draw_depends_on_seed_epoch_and_sample_alone),
		TEST(an_evaluation_is_not_augmented),
		TEST(cutout_clears_a_square),
		TEST(a_rotation_keeps_the_middle_and_stays_within_its_bound),
		TEST(a_rotation_is_the_one_of_torchvision),
		TEST(a_random_resized_crop_of_everything_is_a_resize),
		TEST(color_jitter_keeps_what_its_definition_keeps),
		TEST(mixup_mixes_inputs_and_targets_alike),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
