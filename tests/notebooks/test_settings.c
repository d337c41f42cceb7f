/* CS231n's notebooks on PyTorch and TensorFlow: each of their networks, with its optimizer, is a job that a dry run takes,
 * with the notebook's number of parameters and of steps.
 *
 * TensorFlow flattens pictures with the channels last: a job says so with two transposes.  What it cannot say is a mean
 * for each pixel, which T9 subtracts: standardize has one for each channel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "worker/spec.h"
#include "worker/worker.h"

/* The info of CIFAR-10's pack. */
#define INFO                                                                                                           \
	"{\"version\":1,\"dataset\":\"cifar10\",\"kind\":\"images\","                                                  \
	"\"parts\":{\"train\":{\"samples\":50000},\"test\":{\"samples\":10000}},"                                      \
	"\"image\":{\"channels\":3,\"height\":32,\"width\":32},"                                                       \
	"\"classes\":[\"airplane\",\"automobile\",\"bird\",\"cat\",\"deer\",\"dog\",\"frog\",\"horse\",\"ship\","      \
	"\"truck\"]}"

/* What all have: 49,000 pictures to train, 1,000 to validate, batches of 64. */
#define TORCH_DATA                                                                                                     \
	"\"data\":{\"dataset\":\"cifar10\",\"batch_size\":64,\"split\":{\"validation\":1000,\"by\":\"end\"},"          \
	"\"transforms\":[{\"type\":\"normalize\",\"mean\":[0.4914,0.4822,0.4465],\"std\":[0.2023,0.1994,0.201]}]}"
#define KERAS_DATA                                                                                                     \
	"\"data\":{\"dataset\":\"cifar10\",\"batch_size\":64,\"split\":{\"validation\":1000,\"by\":\"end\"},"          \
	"\"transforms\":[\"standardize\"]}"

#define LINEAR(n, more)       "{\"type\":\"linear\",\"out_features\":" #n more "}"
#define CONV(n, kernel, more) "{\"type\":\"conv2d\",\"out_channels\":" #n ",\"kernel_size\":" #kernel more "}"
#define SAME                  ",\"padding\":\"same\""
#define HE                    ",\"init\":\"kaiming_normal\""
#define SCALED                ",\"init\":{\"type\":\"variance_scaling\",\"scale\":2}"
#define ZERO_BIAS             HE ",\"bias_init\":\"zeros\""
#define POOL                  "{\"type\":\"max_pool2d\",\"kernel_size\":2}"
#define POOL_3                "{\"type\":\"max_pool2d\",\"kernel_size\":3,\"stride\":2}"
#define DROPOUT(p)            "{\"type\":\"dropout\",\"p\":" #p "}"
#define NORM                  "{\"type\":\"batch_norm\",\"eps\":1e-7}"
#define PAD(n)                "{\"type\":\"zero_pad2d\",\"padding\":" #n "}"
#define FLATTEN_LAST                                                                                                   \
	"{\"type\":\"transpose\",\"dim0\":1,\"dim1\":2},{\"type\":\"transpose\",\"dim0\":2,\"dim1\":3},\"flatten\""
#define SGD(lr)            "{\"type\":\"sgd\",\"lr\":" #lr "}"
#define NESTEROV(lr)       "{\"type\":\"sgd\",\"lr\":" #lr ",\"momentum\":0.9,\"nesterov\":true}"
#define FROM_LOGITS        "{\"type\":\"cross_entropy\",\"from_probabilities\":false}"
#define FROM_PROBABILITIES "{\"type\":\"cross_entropy\",\"from_probabilities\":true}"

#define CHALLENGE                                                                                                      \
	CONV(16, 5, ",\"padding\":2")                                                                                  \
	",\"batch_norm2d\",\"relu\"," POOL                                                                             \
	"," CONV(32, 3, ",\"padding\":1") ",\"batch_norm2d\",\"relu\"," POOL "," CONV(64, 3,                           \
		",\"padding\":1") ",\"batch_norm2d\",\"relu\"," POOL ",\"flatten\"," DROPOUT(0.2) "," LINEAR(10, "")

static const struct row {
	const char *name, *defaults, *data, *layers, *loss, *optimizer;
	int epochs, parameters;
} rows[] = {
	/* PyTorch */
	{ "P1", "pytorch", TORCH_DATA,
		"\"flatten\"," LINEAR(4000, ",\"bias\":false" HE) ",\"relu\"," LINEAR(10, ",\"bias\":false" HE),
		"\"cross_entropy\"", SGD(0.01), 1, 12328000 },
	{ "P2", "pytorch", TORCH_DATA,
		CONV(32, 5, ",\"padding\":2" ZERO_BIAS) ",\"relu\"," CONV(
			16, 3, ",\"padding\":1" ZERO_BIAS) ",\"relu\","
							   "\"flatten\"," LINEAR(10, ZERO_BIAS),
		"\"cross_entropy\"", SGD(0.003), 1, 170906 },
	{ "P3", "pytorch", TORCH_DATA, "\"flatten\"," LINEAR(4000, HE) ",\"relu\"," LINEAR(10, HE), "\"cross_entropy\"",
		SGD(0.01), 1, 12332010 },
	{ "P4", "pytorch", TORCH_DATA,
		CONV(32, 5, ",\"padding\":2" HE) ",\"relu\"," CONV(
			16, 3, ",\"padding\":1" HE) ",\"relu\",\"flatten\"," LINEAR(10, HE),
		"\"cross_entropy\"", SGD(0.003), 1, 170906 },
	{ "P5", "pytorch", TORCH_DATA, "\"flatten\"," LINEAR(4000, "") ",\"relu\"," LINEAR(10, ""), "\"cross_entropy\"",
		NESTEROV(0.01), 1, 12332010 },
	{ "P6", "pytorch", TORCH_DATA,
		CONV(32, 5, ",\"padding\":2") ",\"relu\"," CONV(
			16, 3, ",\"padding\":1") ",\"relu\",\"flatten\"," LINEAR(10, ""),
		"\"cross_entropy\"", NESTEROV(0.01), 1, 170906 },
	{ "P7", "pytorch", TORCH_DATA, CHALLENGE, "\"cross_entropy\"", "{\"type\":\"adam\",\"lr\":0.001}", 10, 34826 },
	{ "P7, RMSprop", "pytorch", TORCH_DATA, CHALLENGE, "\"cross_entropy\"", "{\"type\":\"rmsprop\",\"lr\":0.001}",
		10, 34826 },
	/* TensorFlow */
	{ "T1", "keras", KERAS_DATA,
		FLATTEN_LAST "," LINEAR(4000, ",\"bias\":false" HE) ",\"relu\"," LINEAR(10, ",\"bias\":false" HE),
		FROM_LOGITS, SGD(0.01), 1, 12328000 },
	{ "T2", "keras", KERAS_DATA,
		PAD(2) "," CONV(32, 5, HE) ",\"relu\"," PAD(1) "," CONV(16, 3, HE) ",\"relu\"," FLATTEN_LAST
										   "," LINEAR(10, HE),
		FROM_LOGITS, SGD(0.003), 1, 170906 },
	{ "T3", "keras", KERAS_DATA,
		FLATTEN_LAST "," LINEAR(4000, SCALED) ",\"relu\"," LINEAR(10, SCALED) ",\"softmax\"",
		FROM_PROBABILITIES, SGD(0.01), 1, 12332010 },
	{ "T4", "keras", KERAS_DATA,
		CONV(32, 5, SAME SCALED) ",\"relu\"," CONV(16, 3, SAME SCALED) ",\"relu\"," FLATTEN_LAST
									       "," LINEAR(10, SCALED) ",\"softmax\"",
		FROM_PROBABILITIES, NESTEROV(0.003), 1, 170906 },
	{ "T5", "keras", KERAS_DATA,
		FLATTEN_LAST "," LINEAR(4000, SCALED) ",\"relu\"," LINEAR(10, SCALED) ",\"softmax\"",
		FROM_PROBABILITIES, SGD(0.01), 1, 12332010 },
	{ "T6", "keras", KERAS_DATA,
		CONV(32, 5, SAME) ",\"relu\"," CONV(16, 3, SAME) ",\"relu\"," FLATTEN_LAST
								 "," LINEAR(10, "") ",\"softmax\"",
		FROM_PROBABILITIES, NESTEROV(0.0005), 1, 170906 },
	{ "T6, fit", "keras", KERAS_DATA,
		CONV(32, 5, SAME) ",\"relu\"," CONV(16, 3, SAME) ",\"relu\"," FLATTEN_LAST
								 "," LINEAR(10, "") ",\"softmax\"",
		FROM_PROBABILITIES, "\"sgd\"", 1, 170906 },
	{ "T7", "keras", KERAS_DATA,
		"{\"type\":\"flatten\",\"name\":\"flat\",\"inputs\":[\"input\"]}," LINEAR(4000, SCALED
			",\"name\":\"hidden\",\"inputs\":[\"flat\"]") ",{\"type\":\"relu\",\"name\":\"rectified\","
								      "\"inputs\":[\"hidden\"]}," LINEAR(10,
									      SCALED ",\"name\":\"scores\",\"inputs\":["
										     "\"rectified\"]") ",{\"type\":"
												       "\"softmax\","
												       "\"inputs\":["
												       "\"scores\"]}",
		FROM_PROBABILITIES, SGD(0.01), 1, 12332010 },
	{ "T8", "keras", KERAS_DATA,
		CONV(128, 5, SAME) ",\"batch_norm\",\"relu\"," POOL "," CONV(256, 3,
			SAME) ",\"batch_norm\",\"relu\"," POOL
			      "," CONV(512, 3, SAME) ",\"batch_norm\",\"relu\"," DROPOUT(
				      0.2) "," FLATTEN_LAST "," LINEAR(8192, "") "," LINEAR(10, "") ",\"softmax\"",
		FROM_PROBABILITIES, SGD(0.001), 10, 270012426 },
	{ "T9", "keras", KERAS_DATA,
		CONV(64, 5, SAME) ",\"relu\"," POOL_3 "," NORM "," DROPOUT(0.3) "," CONV(
			64, 5, SAME) ",\"relu\"," POOL_3 "," NORM "," DROPOUT(0.3) "," CONV(128, 5,
			SAME) ",\"relu\"," DROPOUT(0.2) "," FLATTEN_LAST "," LINEAR(384,
			"") ",\"relu\"," DROPOUT(0.3) "," LINEAR(96, "") ",\"relu\"," DROPOUT(0.2) "," LINEAR(10, ""),
		FROM_LOGITS, "{\"type\":\"rmsprop\",\"lr\":0.001}", 30, 2759274 },
};

/* The job of row R. */
static cJSON *job(const struct row *r)
{
	char *text =
		mem_printf("{\"defaults\":\"%s\",%s,\"model\":{\"layers\":[%s]},\"loss\":%s,\"optimizer\":%s,"
			   "\"metrics\":[\"accuracy\"],\"train\":{\"epochs\":%d},\"resources\":{\"memory_mb\":16000}}",
			r->defaults, r->data, r->layers, r->loss, r->optimizer, r->epochs);
	cJSON *spec = cJSON_Parse(text);

	if (!spec)
		fail_msg("%s is not JSON: %s", r->name, text);
	mem_free(text);
	return spec;
}

/* The answer of a dry run. */
static cJSON *check(const struct row *r)
{
	cJSON *message = cJSON_CreateObject(), *answer;

	cJSON_AddItemToObject(message, "spec", job(r));
	cJSON_AddItemToObject(message, "data", cJSON_Parse(INFO));
	answer = worker_check(message);
	cJSON_Delete(message);
	return answer;
}

static void every_network_of_the_notebooks_is_a_job(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		cJSON *answer = check(&rows[i]), *fault = cJSON_GetArrayItem(json_get(answer, "faults"), 0);

		if (fault)
			fail_msg("%s: %s: %s", rows[i].name, json_string(fault, "pointer", ""),
				json_string(fault, "detail", ""));
		print_message("%-12s %9.0f parameters, %5.0f steps, %5.0f MB\n", rows[i].name,
			json_double(answer, "parameters", 0), json_double(answer, "steps", 0),
			json_double(answer, "bytes", 0) / 1e6);
		assert_int_equal(json_int(answer, "parameters", 0), rows[i].parameters);
		assert_int_equal(json_int(answer, "steps", 0), 766 * rows[i].epochs); /* 765 batches of 64, one of 40 */
		assert_int_equal(json_int(json_get(answer, "samples"), "train", 0), 49000);
		cJSON_Delete(answer);
	}
}

/* What a row does not say is what its framework means: Keras' SGD begins with 0.01, PyTorch's with 0.001. */
static void what_is_not_said_is_the_frameworks(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		bool keras = !strcmp(rows[i].defaults, "keras");
		const struct nn_optimizer_options *o;
		cJSON *document = job(&rows[i]);
		struct faults faults;
		struct spec spec;

		faults_init(&faults);
		spec_read(document, &spec, &faults);
		assert_int_equal(faults.n_found, 0);
		o = spec.optimizer.options;
		assert_int_equal(o->form, keras ? NN_FORM_KERAS : NN_FORM_PYTORCH);
		if (!strcmp(rows[i].optimizer, "\"sgd\""))
			assert_true(o->lr == (keras ? 0.01 : 0.001));
		spec_release(&spec);
		faults_release(&faults);
		cJSON_Delete(document);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_network_of_the_notebooks_is_a_job),
		cmocka_unit_test(what_is_not_said_is_the_frameworks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
