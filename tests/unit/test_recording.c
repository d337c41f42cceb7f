/* A recording: what it says of values whose figures are at the edges of what numbers can be, and that the text it is
 * printed as can be read again, line by line. */
#include "nn/recording.h"
#include "trainer_rig.h"

#include <unistd.h>

/* A recording of a first step, into a file that has no name any more. */
static void begin(struct rig *r, struct recording *recording)
{
	char path[] = "/tmp/tandem-recording-XXXXXX";
	struct err e = { 0 };

	close(mkstemp(path));
	rig_init(r, &plain, &(struct settings){ .loss = "\"cross_entropy\"", .optimizer = "\"sgd\"" });
	assert_int_equal(recording_init(recording, r->c, path, &e), TD_OK);
	unlink(path);
	recording_begin(recording, r->trainer, r->model, 1);
}

static void end(struct rig *r, struct recording *recording)
{
	recording_release(recording);
	rig_release(r);
}

/* What is recorded of the N doubles at X, as the line of a value that the server reads alone; the caller's. */
static cJSON *recorded(const double *x, int64_t n)
{
	td_shape shape = td_shape_make(TD_F64, 1, n);
	struct recording recording;
	struct err e = { 0 };
	struct buf text;
	struct rig r;
	td_value *v;
	char *line;
	cJSON *o;

	begin(&r, &recording);
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
	td_unref(v);
	end(&r, &recording);
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

/* Of a batch of N samples every second one is not finite, in two places. */
static void half_of_a_batch(int64_t n)
{
	float *x = MEM_NEW_N(float, n * 3);
	td_shape shape = td_shape_make(TD_F32, 2, n, (int64_t)3);
	const struct recording_value *of;
	struct recording recording;
	struct rig r;
	td_value *v;

	for (int64_t i = 0; i < n; i += 2)
		x[3 * i] = x[3 * i + 2] = NAN;
	begin(&r, &recording);
	v = td_tensor(r.c, &shape, x);
	recording_batch(&recording, 0, &(struct nn_batch){ .x = v }, n);
	of = &recording.values[recording.n_values - 1];
	assert_string_equal(of->name, "input");
	assert_int_equal(of->n_non_finite, 2 * ((n + 1) / 2));
	assert_int_equal(of->n_rows, (n + 1) / 2);
	for (int i = 0; i < TD_MIN(of->n_rows, RECORDING_ROWS_MOST); i++)
		assert_int_equal(of->row[i], 2 * i);
	td_unref(v);
	mem_free(x);
	end(&r, &recording);
}

static void samples_that_are_not_finite_are_counted_and_the_first_are_named(void **state)
{
	(void)state;
	half_of_a_batch(1);
	half_of_a_batch(5);
	half_of_a_batch(2 * RECORDING_ROWS_MOST);
	half_of_a_batch(300);
}

/* No loss lets its logarithm meet a zero; should one, or an op of somebody's own, it is to blame. */
static void the_logarithm_of_a_zero_is_the_culprit(void **state)
{
	const float x[] = { 1, 0.5f, 2, 0, 3, 4, 5, 0 };
	td_shape shape = td_shape_make(TD_F32, 2, (int64_t)4, (int64_t)2);
	struct recording recording;
	struct rig r;
	td_value *v, *logarithms, *loss;
	cJSON *culprit;

	(void)state;
	begin(&r, &recording);
	v = td_tensor(r.c, &shape, x);
	td_step_begin(r.c);
	recording_batch(&recording, 0, &(struct nn_batch){ .x = v }, 4);
	td_name_push(r.c, "squash");
	logarithms = td_log(r.c, v);
	td_name_pop(r.c);
	loss = td_mean(r.c, logarithms, 0x3, false);
	td_set_name(loss, "loss");
	td_step_end(r.c);
	recording_end(&recording);
	culprit = recording_culprit(&recording, 1);
	assert_non_null(culprit);
	assert_string_equal(json_string(culprit, "kind", ""), "op");
	assert_string_equal(json_string(culprit, "op", ""), "log");
	assert_string_equal(json_string(culprit, "layer", ""), "squash");
	assert_string_equal(json_string(culprit, "what", ""), "loss");
	assert_true(json_double(json_at(culprit, "/inputs/0"), "min", -1) == 0);
	assert_int_equal(json_int(culprit, "n_samples", 0), 2);
	assert_int_equal(json_at(culprit, "/samples/0")->valueint, 1);
	assert_int_equal(json_at(culprit, "/samples/1")->valueint, 3);
	cJSON_Delete(culprit);
	td_unref(v);
	end(&r, &recording);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_at_the_edges_are_recorded),
		cmocka_unit_test(whole_numbers_beyond_2_53_are_recorded),
		cmocka_unit_test(samples_that_are_not_finite_are_counted_and_the_first_are_named),
		cmocka_unit_test(the_logarithm_of_a_zero_is_the_culprit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
