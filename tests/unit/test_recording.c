/* A recording: what it says of values whose figures are at the edges of what numbers can be, and that the text it is
 * printed as can be read again, line by line. */
#include "nn/recording.h"
#include "trainer_rig.h"

#include <unistd.h>

/* What is recorded of the N doubles at X, as the line of a value that the server reads alone; the caller's. */
static cJSON *recorded(const double *x, int64_t n)
{
	char path[] = "/tmp/tandem-recording-XXXXXX", *line;
	td_shape shape = td_shape_make(TD_F64, 1, n);
	struct recording recording;
	struct err e = { 0 };
	struct buf text;
	struct rig r;
	td_value *v;
	cJSON *o;

	close(mkstemp(path));
	rig_init(&r, &plain, &(struct settings){ .loss = "\"cross_entropy\"", .optimizer = "\"sgd\"" });
	assert_int_equal(recording_init(&recording, r.c, path, &e), TD_OK);
	recording_begin(&recording, r.trainer, r.model, 1);
	v = td_tensor(r.c, &shape, x);
	td_unref(td_neg(r.c, v));
	recording_end(&recording);
	buf_init(&text, 1 << 20);
	recording_print(&recording, &text);
	line = strstr(text.data, "\"kind\":\"input\"");
	assert_non_null(line);
	while (*line != '{')
		line--;
	o = json_parse(line, strcspn(line, "\n") - 1, &e);
	if (!o)
		fail_msg("%.300s: %s", line, e.text);
	buf_release(&text);
	recording_release(&recording);
	td_unref(v);
	rig_release(&r);
	unlink(path);
	return o;
}

/* The finite ones are counted, each in one bucket, between the smallest and the largest, which read back as they are. */
static void is_recorded(const double *x, int64_t n)
{
	cJSON *o = recorded(x, n);
	const cJSON *histogram = json_get(o, "histogram"), *count;
	double min = INFINITY, max = -INFINITY, counted = 0;
	int64_t n_finite = 0;

	for (int64_t i = 0; i < n; i++) {
		min = isfinite(x[i]) ? fmin(min, x[i]) : min;
		max = isfinite(x[i]) ? fmax(max, x[i]) : max;
		n_finite += isfinite(x[i]) != 0;
	}
	assert_int_equal(json_int(o, "non_finite", -1), n - n_finite);
	if (n_finite) {
		assert_true(json_get(o, "min")->valuedouble == min && json_get(o, "max")->valuedouble == max);
		assert_true(json_get(histogram, "low")->valuedouble == min);
		assert_true(json_get(histogram, "high")->valuedouble == max);
		cJSON_ArrayForEach(count, json_get(histogram, "counts")) counted += count->valuedouble;
		assert_true(counted == (double)n_finite);
	} else {
		assert_true(cJSON_IsNull(json_get(o, "min")) && cJSON_IsNull(histogram));
	}
	cJSON_Delete(o);
}

#define IS_RECORDED(...) is_recorded((double[]){ __VA_ARGS__ }, sizeof(double[]){ __VA_ARGS__ } / sizeof(double))

static void values_at_the_edges_are_recorded(void **state)
{
	(void)state;
	IS_RECORDED(1, 2, 3);
	IS_RECORDED(-0.1, 1.0 / 3, 1e-300);
	IS_RECORDED(0);
	IS_RECORDED(NAN, INFINITY, -INFINITY);
	IS_RECORDED(NAN, -1, INFINITY, 1, -INFINITY);
	IS_RECORDED(-1.7976931348623157e308, 1.7976931348623157e308);
	IS_RECORDED(0, 4.9406564584124654e-324);
	IS_RECORDED(1.4821969375237396e-323, 1.9762625833649862e-323);
}

/* Integers that a double does not tell from their neighbours have an exponent, without which they would be refused. */
static void whole_numbers_beyond_2_53_are_recorded(void **state)
{
	(void)state;
	IS_RECORDED(9007199254740993.0, 1e16);
	IS_RECORDED(-99999999999999984.0, 10000000272564224.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_at_the_edges_are_recorded),
		cmocka_unit_test(whole_numbers_beyond_2_53_are_recorded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
