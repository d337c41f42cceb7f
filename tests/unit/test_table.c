/* Tables: features, targets, what is missing, scales, and rows to predict. */
#include "test_pack.h"

/* price, area, colour (red, green, blue), note (text); eight houses. */
#define ROWS 8
#define INFO(missing_area, missing_colour)                                                                             \
	"{\"version\":1,\"dataset\":\"houses\",\"kind\":\"table\",\"parts\":{\"train\":{\"samples\":8}},\"columns\":[" \
	"{\"name\":\"price\",\"type\":\"number\",\"missing\":0},"                                                      \
	"{\"name\":\"area\",\"type\":\"number\",\"missing\":" missing_area "},"                                        \
	"{\"name\":\"colour\",\"type\":\"category\",\"categories\":[\"red\",\"green\",\"blue\"],"                      \
	"\"missing\":" missing_colour "},{\"name\":\"note\",\"type\":\"text\"}]}"

static const char *const whole = INFO("0", "0"), *const holes = INFO("2", "1");

static void write_table(struct lab *lab, bool with_holes)
{
	double price[ROWS] = { 10, 20, 30, 40, 50, 60, 70, 80 }, area[ROWS] = { 1, 2, 3, 4, 5, 6, 7, 800 };
	int32_t colour[ROWS] = { 0, 1, 2, 0, 1, 2, 0, 1 };

	if (with_holes) {
		area[1] = area[3] = NAN;
		colour[2] = -1;
	}
	LAB_WRITE(lab, "train.column-0", price);
	LAB_WRITE(lab, "train.column-1", area);
	LAB_WRITE(lab, "train.column-2", colour);
}

static void features_stand_beside_each_other_in_the_order_of_the_columns(void **state)
{
	struct lab *lab = *state;
	const float x[8] = { 1, 1, 0, 0, 2, 0, 1, 0 }, y[2] = { 10, 20 };
	struct data_batch b;

	write_table(lab, false);
	lab_open(lab, "{\"target\":\"price\"}", whole, 7);
	assert_int_equal(loader_facts(lab->l)->x.dim[0], 4);
	assert_int_equal(loader_facts(lab->l)->target, DATA_VALUES);
	assert_string_equal(loader_facts(lab->l)->value_names[0], "price");
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 2);
	assert_memory_equal(b.x, x, sizeof x);
	assert_memory_equal(b.y, y, sizeof y);
	batch_free(&b);
	lab_open(lab, "{\"target\":[\"area\",\"price\"],\"features\":[\"colour\"]}", whole, 7);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 2, 1);
	assert_near(((float *)b.x)[2], 1, 0);
	assert_near(((float *)b.y)[0], 3, 0);
	assert_near(((float *)b.y)[1], 30, 0);
	batch_free(&b);
}

static void a_category_as_target_is_a_class(void **state)
{
	struct lab *lab = *state;
	struct data_batch b;

	write_table(lab, false);
	lab_open(lab, "{\"target\":[\"colour\"],\"features\":[\"*\"]}", whole, 7);
	assert_int_equal(loader_facts(lab->l)->target, DATA_CLASS);
	assert_int_equal(loader_facts(lab->l)->n_classes, 3);
	assert_string_equal(loader_class_name(lab->l, 2), "blue");
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 5, 1);
	assert_int_equal(((int64_t *)b.y)[0], 2);
	assert_near(((float *)b.x)[0], 60, 0);
	batch_free(&b);
}

static void columns_that_do_not_fit_are_named(void **state)
{
	struct lab *lab = *state;

	lab_refused(lab, "{}", whole, "/data/target", "name the column");
	lab_refused(lab, "{\"target\":[\"prise\"]}", whole, "/data/target/0", "did you mean \"price\"");
	lab_refused(lab, "{\"target\":[\"note\"]}", whole, "/data/target/0", "neither number nor category");
	lab_refused(lab, "{\"target\":[\"price\",\"colour\"]}", whole, "/data/target", "predicted alone");
	lab_refused(
		lab, "{\"target\":[\"price\"],\"features\":[\"area\",\"price\"]}", whole, "/data/features/1", "target");
	lab_refused(lab, "{\"target\":[\"colour\"],\"standardize\":[\"target\"]}", whole, "/data/standardize/0",
		"no scale");
	lab_refused(lab, "{\"target\":[\"price\"],\"standardize\":[\"all\"]}", whole, "/data/standardize/0", "all");
	lab_refused(lab, "{\"target\":[\"price\"],\"transforms\":[\"standardize\"]}", whole, "/data/transforms/0",
		"\"standardize\": [\"features\"]");
	lab_refused(
		lab, "{\"target\":[\"price\"],\"split\":{\"by\":\"stratified\"}}", whole, "/data/split/by", "class");
}

/* ---- What is missing --------------------------------------------------------------------------------------------- */

static void missing_values_are_refused_where_nothing_is_said(void **state)
{
	struct lab *lab = *state;
	const int32_t colour[ROWS] = { 0 };

	write_table(lab, true);
	lab_refused(lab, "{\"target\":[\"price\"]}", holes, "/data/missing",
		"column \"area\" of houses has 2 missing values, and it is not the only one; choose \"drop\"");
	lab_refused(lab, "{\"target\":[\"price\"],\"features\":[\"colour\"]}", holes, "/data/missing",
		"\"colour\" of houses has 1 missing value; choose");
	/* A pack that is wrong about itself. */
	assert_non_null(lab_create(lab, "{\"target\":[\"price\"]}", whole));
	assert_int_equal(lab_try_open(lab, 7), TD_INVALID);
	assert_string_equal(lab->pointer, "/data/missing");
	assert_non_null(strstr(lab->err.text, "\"area\" of houses has 2 missing values, the first in row 1"));
	/* A column that is not used may have holes. */
	LAB_WRITE(lab, "train.column-2", colour);
	lab_open(lab, "{\"target\":[\"price\"],\"features\":[\"colour\"]}", INFO("2", "0"), 7);
}

static void rows_with_missing_values_can_be_dropped(void **state)
{
	struct lab *lab = *state;
	const double expected[5] = { 10, 50, 60, 70, 80 };
	struct data_batch b;

	write_table(lab, true);
	assert_non_null(
		lab_create(lab, "{\"target\":[\"price\"],\"missing\":\"drop\",\"split\":{\"validation\":1}}", holes));
	assert_int_equal(loader_facts(lab->l)->n[DATA_TRAIN], 7);
	assert_int_equal(lab_try_open(lab, 7), TD_OK);
	assert_int_equal(loader_facts(lab->l)->n[DATA_TRAIN], 4);
	assert_int_equal(loader_facts(lab->l)->n[DATA_VALIDATION], 1);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 4);
	for (int i = 0; i < 4; i++)
		assert_near(((float *)b.y)[i], expected[i], 0);
	batch_free(&b);
}

static void missing_numbers_become_the_training_mean_and_missing_categories_a_category(void **state)
{
	struct lab *lab = *state;
	const float x[12] = { 4.4f, 0, 1, 0, 0, 3, 0, 0, 0, 1, 4.4f, 1 };
	struct data_batch b;

	write_table(lab, true);
	lab_open(lab, "{\"target\":[\"price\"],\"missing\":\"mean\",\"split\":{\"validation\":1}}", holes, 7);
	assert_int_equal(loader_facts(lab->l)->x.dim[0], 5);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 1, 3);
	for (int i = 0; i < 12; i++) /* the mean of 1, 3, 5, 6, 7; the 800 is in the validation split */
		assert_near(((float *)b.x)[i], x[i], 1e-6);
	batch_free(&b);
}

static void a_missing_target_is_never_made_up(void **state)
{
	struct lab *lab = *state;

	write_table(lab, true);
	lab_open(lab, "{\"target\":[\"area\"],\"missing\":\"mean\",\"features\":[\"price\"]}", holes, 7);
	assert_int_equal(loader_facts(lab->l)->n[DATA_TRAIN], 6);
}

static void infinite_and_unknown_values_are_refused(void **state)
{
	struct lab *lab = *state;
	double area[ROWS] = { 1, 2, INFINITY, 4, 5, 6, 7, 8 }, large[ROWS] = { 1, 2, 3, 1e300, 5, 6, 7, 8 };
	int32_t colour[ROWS] = { 0, 1, 3, 0, 1, 2, 0, 1 };
	float room_x[32], room_y[8];
	struct data_batch b = { room_x, room_y, NULL };

	write_table(lab, false);
	LAB_WRITE(lab, "train.column-1", area);
	assert_non_null(lab_create(lab, "{\"target\":[\"price\"]}", whole));
	assert_int_equal(lab_try_open(lab, 7), TD_INVALID);
	assert_non_null(strstr(lab->err.text, "row 2"));
	LAB_WRITE(lab, "train.column-1", large);
	lab_open(lab, "{\"target\":[\"price\"]}", whole, 7);
	assert_int_equal(loader_batch(lab->l, DATA_TRAIN, 0, NULL, 0, 8, &b, &lab->err), TD_INVALID);
	assert_non_null(strstr(lab->err.text, "standardize"));
	write_table(lab, false);
	LAB_WRITE(lab, "train.column-2", colour);
	assert_non_null(lab_create(lab, "{\"target\":[\"price\"]}", whole));
	assert_int_equal(lab_try_open(lab, 7), TD_CORRUPT);
	assert_non_null(strstr(lab->err.text, "entry 2 is 3"));
}

/* ---- Scales ------------------------------------------------------------------------------------------------------ */

static void scales_come_from_the_training_split_and_lead_back(void **state)
{
	struct lab *lab = *state;
	struct data_batch b;

	write_table(lab, false);
	lab_open(lab, "{\"target\":[\"price\"],\"standardize\":[\"features\",\"target\"],\"split\":{\"validation\":1}}",
		whole, 7);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 7);
	for (int i = 0; i < 7; i++) { /* 1 to 7: mean 4, deviation 2 */
		assert_near(((float *)b.x)[i * 4], (i + 1 - 4) / 2.0, 1e-6);
		assert_near(((float *)b.y)[i], (i + 1 - 4) / 2.0, 1e-6);
		assert_near(loader_own_units(lab->l, 0, ((float *)b.y)[i]), 10 * (i + 1), 1e-5);
	}
	batch_free(&b);
	b = lab_batch(lab, DATA_VALIDATION, -1, NULL, 0, 1);
	assert_near(((float *)b.x)[0], 398, 1e-3);
	batch_free(&b);
}

static void a_report_shows_the_row(void **state)
{
	struct lab *lab = *state;
	cJSON *sample;
	const cJSON *row;

	write_table(lab, true);
	lab_open(lab, "{\"target\":[\"price\"],\"missing\":\"mean\"}", holes, 7);
	sample = loader_sample_json(lab->l, DATA_TRAIN, 2);
	row = json_get(sample, "row");
	assert_near(json_double(row, "price", 0), 30, 0);
	assert_true(cJSON_IsNull(json_get(row, "colour")));
	assert_null(json_get(row, "note"));
	cJSON_Delete(sample);
}

/* ---- Prediction -------------------------------------------------------------------------------------------------- */

static bool predict(struct lab *lab, const char *body, struct data_input *in)
{
	faults_release(&lab->faults);
	return loader_input(lab->l, "application/json; charset=utf-8", body, strlen(body), in, &lab->faults);
}

static void rows_are_read_by_column_name_as_the_training_rows_were(void **state)
{
	struct lab *lab = *state;
	const char *options = "{\"target\":[\"price\"],\"missing\":\"mean\",\"standardize\":[\"features\",\"target\"]}";
	const char *body =
		"{\"inputs\":[{\"area\":null,\"colour\":\"blue\"},{\"colour\":null,\"area\":3,\"price\":1}]}";
	struct data_input in;
	struct loader *restored;
	cJSON *saved;
	float *x;

	write_table(lab, true);
	lab_open(lab, options, holes, 7);
	saved = loader_state(lab->l);
	restored = loader_restore(&lab->options, saved, &lab->faults);
	assert_non_null(restored);
	assert_near(loader_own_units(restored, 0, 1), loader_own_units(lab->l, 0, 1), 0);
	loader_free(lab->l);
	lab->l = restored; /* the dataset is not needed any more */
	assert_true(predict(lab, body, &in));
	x = in.x;
	assert_int_equal(in.n, 2);
	assert_int_equal(in.steps, 0);
	assert_null(in.lengths);
	assert_near(x[0], 0, 1e-6);
	assert_near(x[3], 1, 0);
	assert_near(x[5 + 4], 1, 0);
	assert_true(x[5] < 0);
	data_input_release(&in);
	cJSON_AddNumberToObject(cJSON_GetArrayItem(json_get(saved, "columns"), 0), "unused", 1);
	cJSON_DeleteItemFromArray(cJSON_GetObjectItemCaseSensitive(saved, "columns"), 0);
	assert_null(loader_restore(&lab->options, saved, &lab->faults));
	cJSON_Delete(saved);
}

static void a_wrong_cell_is_pointed_at(void **state)
{
	struct lab *lab = *state;
	const struct {
		const char *body, *pointer, *detail;
	} cases[] = {
		{ "{\"inputs\":[{\"area\":1,\"colour\":\"red\"},{\"area\":\"big\",\"colour\":\"red\"}]}",
			"/inputs/1/area", "number" },
		{ "{\"inputs\":[{\"area\":1,\"colour\":\"gren\"}]}", "/inputs/0/colour", "green" },
		{ "{\"inputs\":[{\"area\":1,\"colour\":[]}]}", "/inputs/0/colour", "category" },
		{ "{\"inputs\":[{\"area\":1e300,\"colour\":\"red\"}]}", "/inputs/0/area", "float32" },
		{ "{\"inputs\":[{\"area\":1}]}", "/inputs/0", "missing" },
		{ "{\"inputs\":[{\"area\":1,\"colour\":\"red\",\"are\":2}]}", "/inputs/0/are",
			"did you mean \"area\"" },
		{ "{\"inputs\":[7]}", "/inputs/0", "object" },
		{ "{\"inputs\":[]}", "/inputs", "0 inputs" },
		{ "{\"inputs\":7}", "/inputs", "list" },
		{ "[1", "", "line 1" },
	};

	write_table(lab, false);
	lab_open(lab, "{\"target\":[\"price\"]}", whole, 7);
	for (size_t i = 0; i < TD_COUNT(cases); i++) {
		struct data_input in;

		assert_false(predict(lab, cases[i].body, &in));
		assert_null(in.x);
		assert_string_equal(lab->faults.items[0].pointer, cases[i].pointer);
		if (!strstr(lab->faults.items[0].detail, cases[i].detail))
			fail_msg("%s: %s", cases[i].body, lab->faults.items[0].detail);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		TEST(features_stand_beside_each_other_in_the_order_of_the_columns),
		TEST(a_category_as_target_is_a_class),
		TEST(columns_that_do_not_fit_are_named),
		TEST(missing_values_are_refused_where_nothing_is_said),
		TEST(rows_with_missing_values_can_be_dropped),
		TEST(missing_numbers_become_the_training_mean_and_missing_categories_a_category),
		TEST(a_missing_target_is_never_made_up),
		TEST(infinite_and_unknown_values_are_refused),
		TEST(scales_come_from_the_training_split_and_lead_back),
		TEST(a_report_shows_the_row),
		TEST(rows_are_read_by_column_name_as_the_training_rows_were),
		TEST(a_wrong_cell_is_pointed_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
