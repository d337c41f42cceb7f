/* Metrics on small cases with ties, absent classes and one class alone.  The numbers are scikit-learn's; random cases
 * are compared by tests/parity/metrics.py. */
#include "learn_rig.h"

/* Six samples, four classes, of which the last one does not occur. */
static const float answers[6 * 4] = { .5f, .25f, .25f, 0, .25f, .5f, .25f, 0, .25f, .25f, .5f, 0, .5f, .5f, 0, 0, .125f,
	.625f, .25f, 0, .75f, 0, .25f, 0 };
static const int64_t labels[6] = { 0, 1, 0, 1, 2, 0 };
/* Eight samples of two classes. */
static const float second[8] = { .25f, .5f, .5f, .75f, .125f, .5f, 1, .25f };
static const int64_t binary[8] = { 0, 1, 0, 1, 0, 1, 1, 1 };

static const struct data_facts of_four = { .target = DATA_CLASS, .n_classes = 4, .dataset = "test" };
static const struct data_facts of_two = { .target = DATA_CLASS, .n_classes = 2, .dataset = "test" };
static const struct data_facts of_shares = {
	.target = DATA_SHARES, .n_classes = 4, .y = { .rank = 1, .dim = { 4 } }, .dataset = "test"
};
static const struct data_facts of_values = {
	.target = DATA_VALUES, .y = { .rank = 1, .dim = { 2 } }, .dataset = "test"
};

/* The value over N samples of A, added BATCH at a time. */
static double measure(
	const char *spec, const struct data_facts *facts, const struct nn_answers *a, int64_t batch, double *error)
{
	int64_t one = a->steps * a->width;
	struct nn_meter meter;
	struct chosen metric;
	double value;

	chosen_init(&metric, &nn_metrics, spec);
	nn_meter_init(&meter, &metric.choice, facts);
	for (int64_t i = 0; i < a->n; i += batch) {
		struct nn_answers some = *a;

		some.n = TD_MIN(batch, a->n - i);
		some.answer += i * one;
		some.label = a->label ? a->label + i * a->steps : NULL;
		some.loss = a->loss ? a->loss + i * a->steps : NULL;
		some.value = a->value ? a->value + i * one : NULL;
		some.share = a->share ? a->share + i * one : NULL;
		nn_meter_add(&meter, &some);
	}
	nn_meter_result(&meter, &value, error);
	nn_meter_release(&meter);
	chosen_release(&metric);
	return value;
}

static struct nn_answers two_classes(float both[16])
{
	for (int i = 0; i < 8; i++) {
		both[2 * i] = 1 - second[i];
		both[2 * i + 1] = second[i];
	}
	return (struct nn_answers){ .n = 8, .steps = 1, .width = 2, .answer = both, .label = binary };
}

static void figures_are_scikit_learns(void **state)
{
	static const struct {
		const char *spec;
		double four, two; /* of the two cases; 0: not asked */
	} rows[] = {
		{ "\"accuracy\"", 0.5, 0.625 }, { "{\"type\":\"top_k\",\"k\":2}", 5.0 / 6, 0 },
		{ "\"precision\"", 0.38888888888888884, 0 }, { "\"recall\"", 0.38888888888888884, 0 },
		{ "\"f1\"", 0.38888888888888884, 0 }, { "{\"type\":\"f1\",\"average\":\"micro\"}", 0.5, 0 },
		{ "{\"type\":\"recall\",\"average\":\"weighted\"}", 0.5, 0 },
		{ "{\"type\":\"precision\",\"average\":\"binary\"}", 0, 1 },
		{ "{\"type\":\"recall\",\"average\":\"binary\"}", 0, 0.4 },
		{ "{\"type\":\"f1\",\"average\":\"binary\"}", 0, 0.5714285714285714 },
		{ "\"average_precision\"", 0.4055555555555555, 0.8628571428571428 },
		{ "\"roc_auc\"", NAN, 0.8333333333333334 }, /* a class that never occurs has no area */
	};
	struct nn_answers four = { .n = 6, .steps = 1, .width = 4, .answer = answers, .label = labels }, two;
	float both[16];

	(void)state;
	two = two_classes(both);
	for (size_t i = 0; i < TD_COUNT(rows); i++)
		for (int64_t batch = 1; batch < 8; batch += 3) {
			if (rows[i].four != 0)
				assert_near(measure(rows[i].spec, &of_four, &four, batch, NULL), rows[i].four, 1e-12,
					rows[i].spec);
			if (rows[i].two != 0)
				assert_near(measure(rows[i].spec, &of_two, &two, batch, NULL), rows[i].two, 1e-12,
					rows[i].spec);
		}
}

static void values_are_measured_in_each_column(void **state)
{
	static const float value[6] = { 1, 10, 2, 10, 4, 10 }, answer[6] = { 1.5f, 10, 2, 11, 3, 10 };
	struct nn_answers a = { .n = 3, .steps = 1, .width = 2, .answer = answer, .value = value };

	(void)state;
	assert_near(measure("\"mae\"", &of_values, &a, 2, NULL), 0.41666666666666663, 1e-12, "mae");
	assert_near(measure("\"mse\"", &of_values, &a, 2, NULL), 0.375, 1e-12, "mse");
	assert_near(measure("\"rmse\"", &of_values, &a, 2, NULL), 0.6114237467787642, 1e-12, "rmse");
	assert_near(
		measure("\"r2\"", &of_values, &a, 2, NULL), 0.36607142857142855, 1e-12, "r2"); /* one never changes */
	a.answer = value;
	assert_true(measure("\"r2\"", &of_values, &a, 3, NULL) == 1);
	a.n = 1;
	assert_true(isnan(measure("\"r2\"", &of_values, &a, 3, NULL)));
}

static void what_does_not_count_is_left_out(void **state)
{
	static const struct data_facts facts = {
		.target = DATA_TOKENS, .n_classes = 4, .y = { .rank = 1, .dim = { 3 } }, .dataset = "test"
	};
	static const int64_t some[6] = { 0, DATA_IGNORE, 0, 1, DATA_IGNORE, DATA_IGNORE };
	static const float loss[6] = { 1, NAN, 2, 4, NAN, NAN };
	struct nn_answers a = { .n = 2, .steps = 3, .width = 4, .answer = answers, .label = some, .loss = loss };

	(void)state;
	assert_near(measure("\"accuracy\"", &facts, &a, 1, NULL), 1.0 / 3, 1e-15, "accuracy");
	assert_near(measure("\"perplexity\"", &facts, &a, 1, NULL), exp(7.0 / 3), 1e-12, "perplexity");
	assert_near(measure("{\"type\":\"f1\",\"average\":\"micro\"}", &facts, &a, 1, NULL), 1.0 / 3, 1e-15, "f1");
}

static void shares_are_judged_by_the_largest(void **state)
{
	float share[24] = { 0 };
	struct nn_answers a = { .n = 6, .steps = 1, .width = 4, .answer = answers, .share = share };

	(void)state;
	for (int i = 0; i < 6; i++) {
		share[4 * i + 3] = 0.3f;
		share[4 * i + labels[i]] = 0.7f;
	}
	assert_near(measure("\"accuracy\"", &of_shares, &a, 4, NULL), 0.5, 1e-15, "accuracy");
	assert_near(measure("\"f1\"", &of_shares, &a, 4, NULL), 0.38888888888888884, 1e-12, "f1");
}

static void nothing_and_not_a_number_give_not_a_number(void **state)
{
	static const char *const specs[] = { "\"accuracy\"", "\"f1\"",
		"{\"type\":\"precision\",\"average\":\"weighted\"}", "\"roc_auc\"", "\"average_precision\"",
		"\"perplexity\"" };
	static const int64_t none[6] = { DATA_IGNORE, DATA_IGNORE, 99, -1, 4, INT64_MIN };
	float wild[24], loss[6] = { 0 };
	struct nn_answers a = { .n = 6, .steps = 1, .width = 4, .answer = answers, .label = none, .loss = loss };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(specs); i++)
		assert_true(isnan(measure(specs[i], &of_four, &a, 2, NULL)));
	for (int i = 0; i < 24; i++)
		wild[i] = NAN;
	a.answer = wild;
	a.label = labels;
	for (size_t i = 0; i < TD_COUNT(specs); i++) {
		double value = measure(specs[i], &of_four, &a, 2, NULL);
		assert_true(i < 3 || i == 5 ? isfinite(value) : isnan(value));
	}
	assert_near(
		measure("\"accuracy\"", &of_four, &a, 2, NULL), 0.5, 1e-15, "all answers alike"); /* the first class */
}

static void one_class_alone_is_no_crash(void **state)
{
	static const int64_t ones[8] = { 1, 1, 1, 1, 1, 1, 1, 1 }, zeros[8] = { 0 };
	struct nn_answers a;
	float both[16];

	(void)state;
	a = two_classes(both);
	a.label = ones;
	assert_true(isnan(measure("\"roc_auc\"", &of_two, &a, 3, NULL)));
	assert_true(measure("\"average_precision\"", &of_two, &a, 3, NULL) == 1);
	a.label = zeros;
	assert_true(isnan(measure("\"roc_auc\"", &of_two, &a, 3, NULL)));
	assert_true(measure("\"average_precision\"", &of_two, &a, 3, NULL) == 0);
	assert_true(measure("{\"type\":\"f1\",\"average\":\"binary\"}", &of_two, &a, 3, NULL) == 0);
}

static void standard_errors_are_those_of_means_and_areas(void **state)
{
	struct nn_answers a;
	float both[16];
	double error;

	(void)state;
	a = two_classes(both);
	measure("\"accuracy\"", &of_two, &a, 3, &error);
	assert_near(error, sqrt(0.625 * 0.375 / 7), 1e-12, "error of accuracy");
	measure("{\"type\":\"f1\",\"average\":\"micro\"}", &of_two, &a, 3, &error);
	assert_near(error, sqrt(0.625 * 0.375 / 7), 1e-12, "error of micro f1");
	measure("\"f1\"", &of_two, &a, 3, &error);
	assert_true(isnan(error));
	/* A = 5/6, 5 right and 3 wrong: Q1 = A / (2 - A) = 5/7, Q2 = 2 A^2 / (1 + A) = 25/33 */
	measure("\"roc_auc\"", &of_two, &a, 3, &error);
	assert_near(error, sqrt((5.0 / 36 + 4 * (5.0 / 7 - 25.0 / 36) + 2 * (25.0 / 33 - 25.0 / 36)) / 15), 1e-12,
		"error of auc");
	a.n = 1;
	measure("\"accuracy\"", &of_two, &a, 3, &error);
	assert_true(isnan(error));
	both[0] = NAN; /* what is no number has no error of 0 */
	a = (struct nn_answers){ .n = 8, .steps = 1, .width = 2, .answer = both, .value = both };
	measure("\"mae\"", &of_values, &a, 3, &error);
	assert_true(isnan(error));
}

static void errors_of_functions_of_means_are_by_the_delta_method(void **state)
{
	static const float value[5 * 2] = { 1, 2, 2, 5, 3, 1, 4, 4, 6, 2 };
	static const float answer[5 * 2] = { 1.5f, 2, 2, 4, 2, 1.5f, 5, 4, 4, 4 };
	static const float loss[4] = { 1, 2, 4, 1 };
	struct nn_answers a = { .n = 5, .steps = 1, .width = 2, .answer = answer, .value = value };
	struct nn_answers of_loss = {
		.n = 4, .steps = 1, .width = 4, .answer = answers, .label = labels, .loss = loss
	};
	struct data_facts of_many = of_values;
	float none[2 * 65] = { 0 }, one[2 * 65] = { 1 };
	double error;

	(void)state;
	/* NumPy: the deviation of each sample's influence on the value, by the root of their number. */
	assert_near(measure("\"rmse\"", &of_values, &a, 2, &error), 1.0713645326729275, 1e-12, "rmse");
	assert_near(error, 0.3359310126968473, 1e-12, "error of rmse");
	/* e^2 times the error of the mean, sqrt(2 / 4) */
	assert_near(measure("\"perplexity\"", &of_four, &of_loss, 2, &error), exp(2), 1e-12, "perplexity");
	assert_near(error, exp(2) * sqrt(0.5), 1e-12, "error of perplexity");
	measure("\"r2\"", &of_values, &a, 2, &error);
	assert_true(isnan(error));
	a.answer = value;
	measure("\"rmse\"", &of_values, &a, 2, &error);
	assert_true(error == 0);
	a.n = 1;
	measure("\"rmse\"", &of_values, &a, 2, &error);
	assert_true(isnan(error));
	of_many.y.dim[0] = 65; /* too many to relate them all */
	a = (struct nn_answers){ .n = 2, .steps = 1, .width = 65, .answer = none, .value = one };
	assert_near(measure("\"rmse\"", &of_many, &a, 2, &error), sqrt(0.5) / 65, 1e-12, "rmse of many");
	assert_true(isnan(error));
}

/* ---- Curves ---------------------------------------------------------------------------------------------------- */

static cJSON *curves_of(const char *spec, const struct data_facts *facts, const struct nn_answers *a)
{
	struct nn_meter meter;
	struct chosen metric;
	cJSON *curves;

	chosen_init(&metric, &nn_metrics, spec);
	nn_meter_init(&meter, &metric.choice, facts);
	nn_meter_add(&meter, a);
	curves = ((const struct nn_metric_type *)metric.choice.type)->curves(meter.state);
	nn_meter_release(&meter);
	chosen_release(&metric);
	return curves;
}

static void short_curves_are_whole(void **state)
{
	struct nn_answers a;
	float both[16];
	char *text;
	cJSON *c;

	(void)state;
	a = two_classes(both);
	c = curves_of("\"roc_auc\"", &of_two, &a);
	text = json_print(c);
	assert_string_equal(text, "[{\"class\":1,\"fpr\":[0,0,0,0.333333,0.666667,1],\"tpr\":[0,0.2,0.4,0.8,1,1],"
				  "\"auc\":0.8333333333333334}]");
	mem_free(text);
	cJSON_Delete(c);
	c = curves_of("\"average_precision\"", &of_two, &a);
	text = json_print(c);
	assert_string_equal(text,
		"[{\"class\":1,\"recall\":[0,0.2,0.4,0.8,1,1],\"precision\":[1,1,1,0.8,0.714286,0.625],"
		"\"average_precision\":0.8628571428571428}]");
	mem_free(text);
	cJSON_Delete(c);
}

static void long_curves_are_thinned_but_keep_ends_and_extremes(void **state)
{
	enum { N = 5000 };
	float *both = MEM_NEW_N(float, 2 * N);
	int64_t *label = MEM_NEW_N(int64_t, N);
	struct nn_answers a = { .n = N, .steps = 1, .width = 2, .answer = both, .label = label };
	double lowest = 1;
	cJSON *c, *x, *y;
	int n;

	(void)state;
	for (int i = 0; i < N; i++) { /* falling scores; the first 40 are wrong: precision starts at 0 */
		both[2 * i + 1] = 1 - (float)i / N;
		label[i] = i >= 40 && i % 3 == 0;
	}
	for (int kind = 0; kind < 2; kind++) {
		c = curves_of(kind ? "\"average_precision\"" : "\"roc_auc\"", &of_two, &a);
		x = cJSON_GetObjectItem(c->child, kind ? "recall" : "fpr");
		y = cJSON_GetObjectItem(c->child, kind ? "precision" : "tpr");
		n = cJSON_GetArraySize(x);
		assert_true(n > 90 && n <= NN_CURVE_MOST && cJSON_GetArraySize(y) == n);
		assert_true(
			cJSON_GetArrayItem(x, 0)->valuedouble == 0 && cJSON_GetArrayItem(x, n - 1)->valuedouble == 1);
		assert_true(cJSON_GetArrayItem(y, 0)->valuedouble == kind);
		for (int i = 1; i < n; i++) {
			assert_true(cJSON_GetArrayItem(x, i)->valuedouble >= cJSON_GetArrayItem(x, i - 1)->valuedouble);
			lowest = kind ? fmin(lowest, cJSON_GetArrayItem(y, i)->valuedouble) : lowest;
		}
		cJSON_Delete(c);
	}
	assert_true(lowest == 0);
	mem_free(both);
	mem_free(label);
}

/* ---- Names and what does not fit ------------------------------------------------------------------------------- */

static void names_tell_metrics_apart(void **state)
{
	static const char *const rows[][2] = { { "\"accuracy\"", "accuracy" },
		{ "{\"type\":\"top_k\",\"k\":3}", "top_3" }, { "\"f1\"", "f1" },
		{ "{\"type\":\"f1\",\"average\":\"micro\"}", "f1_micro" },
		{ "{\"type\":\"recall\",\"average\":\"binary\"}", "recall_binary" }, { "\"roc_auc\"", "roc_auc" } };
	char name[NN_METRIC_NAME];
	struct chosen c;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		chosen_init(&c, &nn_metrics, rows[i][0]);
		assert_string_equal(nn_metric_name(&c.choice, name), rows[i][1]);
		chosen_release(&c);
	}
}

static void a_metric_that_does_not_fit_is_refused(void **state)
{
	static const struct data_facts huge = {
		.target = DATA_CLASS, .n_classes = 1000, .n = { 0, 100, 60000 }, .dataset = "test"
	};
	static const struct {
		const char *spec;
		const struct data_facts *facts;
		const char *says; /* NULL: it fits */
	} rows[] = {
		{ "\"accuracy\"", &of_values, "take \"mae\"" },
		{ "\"perplexity\"", &of_values, "counts classes" },
		{ "\"perplexity\"", &of_shares, "one class for each target" },
		{ "\"roc_auc\"", &of_values, "counts classes" },
		{ "\"f1\"", &of_values, "counts classes" },
		{ "\"r2\"", &of_two, "take \"accuracy\"" },
		{ "\"rmse\"", &of_two, "compares numbers" },
		{ "\"top_k\"", &of_four, "always 1" },
		{ "{\"type\":\"top_k\",\"k\":3}", &of_four, NULL },
		{ "{\"type\":\"f1\",\"average\":\"binary\"}", &of_four, "needs two classes" },
		{ "{\"type\":\"f1\",\"average\":\"binary\"}", &of_two, NULL },
		{ "\"roc_auc\"", &huge, "60000000 for test, more than 50000000" },
		{ "\"average_precision\"", &of_four, NULL },
		{ "\"mse\"", &of_values, NULL },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct err why = { 0 };
		struct chosen c;
		bool fits;

		chosen_init(&c, &nn_metrics, rows[i].spec);
		fits = ((const struct nn_metric_type *)c.choice.type)->check(c.choice.options, rows[i].facts, &why);
		if (fits != !rows[i].says || (rows[i].says && !strstr(why.text, rows[i].says)))
			fail_msg("row %zu, %s: %s", i, rows[i].spec, why.text);
		chosen_release(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(figures_are_scikit_learns),
		cmocka_unit_test(values_are_measured_in_each_column),
		cmocka_unit_test(what_does_not_count_is_left_out),
		cmocka_unit_test(shares_are_judged_by_the_largest),
		cmocka_unit_test(nothing_and_not_a_number_give_not_a_number),
		cmocka_unit_test(one_class_alone_is_no_crash),
		cmocka_unit_test(standard_errors_are_those_of_means_and_areas),
		cmocka_unit_test(errors_of_functions_of_means_are_by_the_delta_method),
		cmocka_unit_test(short_curves_are_whole),
		cmocka_unit_test(long_curves_are_thinned_but_keep_ends_and_extremes),
		cmocka_unit_test(names_tell_metrics_apart),
		cmocka_unit_test(a_metric_that_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
