/* What a job may say, what is refused and in which words, and that the schema and the reader say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "worker/spec.h"
#include "worker/worker.h"

#define DATA  "\"data\":{\"dataset\":\"fashion-mnist\"}"
#define MODEL "\"model\":{\"layers\":[\"flatten\",{\"type\":\"linear\",\"out_features\":10}]}"
#define LOSS  "\"loss\":\"cross_entropy\""
#define LEAST "{" DATA "," MODEL "," LOSS "}"

/* The info of Fashion-MNIST's pack. */
#define INFO                                                                                                           \
	"{\"version\":1,\"dataset\":\"fashion-mnist\",\"kind\":\"images\","                                            \
	"\"parts\":{\"train\":{\"samples\":60000},\"test\":{\"samples\":10000}},"                                      \
	"\"image\":{\"channels\":1,\"height\":28,\"width\":28},"                                                       \
	"\"classes\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\",\"j\"]}"
#define TABLE                                                                                                          \
	"{\"version\":1,\"dataset\":\"houses\",\"kind\":\"table\",\"parts\":{\"train\":{\"samples\":100}},"            \
	"\"columns\":["                                                                                                \
	"{\"name\":\"size\",\"type\":\"number\",\"missing\":0},{\"name\":\"price\",\"type\":\"number\",\"missing\":0}" \
	"]}"

/* The answer to a CHECK message about the spec TEXT and the data INFO (NULL: not known yet). */
static cJSON *check_with(const char *text, const char *info)
{
	cJSON *message = cJSON_CreateObject(), *spec = cJSON_Parse(text), *answer;

	if (!spec)
		fail_msg("not JSON: %s", text);
	cJSON_AddItemToObject(message, "spec", spec);
	cJSON_AddItemToObject(message, "data", info ? cJSON_Parse(info) : cJSON_CreateNull());
	cJSON_AddNumberToObject(message, "id", 5);
	answer = worker_check(message);
	assert_int_equal(json_int(answer, "id", 0), 5);
	cJSON_Delete(message);
	return answer;
}

static cJSON *check(const char *text)
{
	return check_with(text, INFO);
}

static void accepted(const char *text)
{
	cJSON *answer = check(text), *fault = cJSON_GetArrayItem(json_get(answer, "faults"), 0);

	if (fault)
		fail_msg("%s: %s: %s", text, json_string(fault, "pointer", ""), json_string(fault, "detail", ""));
	cJSON_Delete(answer);
}

/* Refused, first at POINTER, in words that hold WORDS. */
static void refused(const char *text, const char *pointer, const char *words)
{
	cJSON *answer = check(text), *fault = cJSON_GetArrayItem(json_get(answer, "faults"), 0);

	if (!fault)
		fail_msg("accepted: %s", text);
	if (strcmp(json_string(fault, "pointer", ""), pointer) != 0 || !strstr(json_string(fault, "detail", ""), words))
		fail_msg("%s\n  wanted %s: %s\n  got    %s: %s", text, pointer, words,
			json_string(fault, "pointer", ""), json_string(fault, "detail", ""));
	cJSON_Delete(answer);
}

static void refused_layers(const char *layers, const char *pointer, const char *words)
{
	char *text = mem_printf("{" DATA ",\"model\":{\"layers\":%s}," LOSS "}", layers);

	refused(text, pointer, words);
	mem_free(text);
}

/* ---- What is read ---------------------------------------------------------------------------------------------- */

static void only_data_model_and_loss_are_required_and_the_rest_has_defaults(void **state)
{
	cJSON *document = cJSON_Parse(LEAST);
	struct faults faults;
	struct spec s;

	(void)state;
	faults_init(&faults);
	spec_read(document, &s, &faults);
	assert_int_equal(faults.n_found, 0);
	assert_int_equal(s.mode, SPEC_GRAPH);
	assert_int_equal(s.data.batch_size, 64);
	assert_true(s.data.shuffle);
	assert_int_equal(s.train.epochs, 1);
	assert_int_equal(s.train.steps, 0);
	assert_int_equal(s.train.validate_every, SPEC_EVERY_EPOCH);
	assert_int_equal(spec_steps(&s, 60000), 938);
	assert_string_equal(s.optimizer.type->name, "adam");
	assert_true(((const struct nn_optimizer_options *)s.optimizer.options)->lr == 0.001);
	assert_string_equal(s.schedule.type->name, "constant");
	assert_null(s.metrics.items); /* chosen when the data is known */
	assert_null(s.train.early_stopping.metric);
	assert_null(s.init_from.model);
	assert_int_equal(s.train.accumulate, 1);
	assert_true(s.train.clip_norm == 0);
	assert_true(s.train.ema.decay == 0);
	assert_int_equal(s.resources.threads, 1);
	spec_release(&s);
	faults_release(&faults);
	cJSON_Delete(document);
}

static void steps_do_not_meet_the_default_of_epochs(void **state)
{
	cJSON *document =
		cJSON_Parse("{" DATA "," MODEL "," LOSS ",\"train\":{\"steps\":7,\"validate_every\":\"never\"}}");
	struct faults faults;
	struct spec s;

	(void)state;
	faults_init(&faults);
	spec_read(document, &s, &faults);
	assert_int_equal(faults.n_found, 0);
	assert_int_equal(spec_steps(&s, 60000), 7);
	assert_int_equal(s.train.epochs, 0);
	assert_int_equal(s.train.validate_every, SPEC_NEVER);
	spec_release(&s);
	faults_release(&faults);
	cJSON_Delete(document);
}

static void a_check_tells_shapes_parameters_and_costs(void **state)
{
	cJSON *answer = check(
		"{\"data\":{\"dataset\":\"fashion-mnist\",\"batch_size\":32}," LOSS ",\"model\":{\"layers\":["
		"{\"type\":\"conv2d\",\"out_channels\":32,\"kernel_size\":[3,5],\"padding\":[1,0],\"stride\":[1,2]},"
		"\"relu\","
		"{\"type\":\"max_pool2d\",\"kernel_size\":2},\"flatten\",{\"type\":\"linear\",\"out_features\":10}]}}");
	const cJSON *layers = json_get(answer, "layers"), *conv = cJSON_GetArrayItem(layers, 0),
		    *last = cJSON_GetArrayItem(layers, 4);
	char *shape = json_print(json_get(conv, "output"));

	(void)state;
	assert_int_equal(cJSON_GetArraySize(json_get(answer, "faults")), 0);
	assert_int_equal(cJSON_GetArraySize(layers), 5);
	assert_string_equal(shape, "[32,32,28,12]");
	mem_free(shape);
	assert_int_equal(json_int(conv, "parameters", 0), 32 * 15 + 32);
	assert_int_equal(json_int(last, "parameters", 0), 32 * 14 * 6 * 10 + 10);
	assert_int_equal(json_int(answer, "parameters", 0), 32 * 15 + 32 + 32 * 14 * 6 * 10 + 10);
	assert_int_equal(json_int(conv, "flops", 0), 2ll * 32 * 32 * 28 * 12 * 15);
	assert_true(json_double(answer, "flops", 0) > 3 * 2.0 * 32 * 32 * 28 * 12 * 15);
	assert_true(json_double(answer, "bytes", 0) > 70000.0 * 784);
	shape = json_print(json_get(last, "input"));
	assert_string_equal(shape, "[32,2688]");
	mem_free(shape);
	cJSON_Delete(answer);
}

/* ---- What is refused ------------------------------------------------------------------------------------------- */

static void an_unknown_name_is_refused_with_the_nearest_known_one(void **state)
{
	(void)state;
	refused("{" DATA "," MODEL "," LOSS ",\"optimiser\":\"adam\"}", "/optimiser", "did you mean \"optimizer\"");
	refused("{" DATA "," MODEL "," LOSS ",\"augment\":[]}", "/augment", "has no option");
	refused("{" DATA "," MODEL ",\"loss\":\"cross_entropi\"}", "/loss", "did you mean \"cross_entropy\"");
	refused("{" DATA "," MODEL "," LOSS ",\"optimizer\":{\"type\":\"adm\"}}", "/optimizer/type",
		"did you mean \"adam\"");
	refused("{" DATA "," MODEL "," LOSS ",\"optimizer\":{\"type\":\"sgd\",\"momentun\":0.9}}",
		"/optimizer/momentun", "did you mean \"momentum\"");
	refused("{\"data\":{\"dataset\":\"x\",\"bach_size\":3}," MODEL "," LOSS "}", "/data/bach_size",
		"did you mean \"batch_size\"");
	refused("{" DATA "," MODEL "," LOSS ",\"mode\":\"eagre\"}", "/mode", "did you mean \"eager\"");
	refused_layers("[\"rellu\"]", "/model/layers/0", "did you mean \"relu\"");
	refused_layers("[\"flatten\",{\"type\":\"linear\",\"out_feature\":10}]", "/model/layers/1/out_feature",
		"did you mean \"out_features\"");
	refused_layers("[\"perceptron\"]", "/model/layers/0", "not a known layer");
	refused("{" DATA "," MODEL "," LOSS ",\"metrics\":[\"acuracy\"]}", "/metrics/0", "did you mean \"accuracy\"");
	refused("{" DATA "," MODEL "," LOSS ",\"schedule\":\"cosin\"}", "/schedule", "did you mean \"cosine\"");
	refused("{" DATA "," MODEL "," LOSS ",\"train\":{\"epochs\":1,\"early_stopping\":{\"metrik\":\"val/loss\"}}}",
		"/train/early_stopping/metrik", "did you mean \"metric\"");
	refused_layers("[{\"type\":\"relu\",\"inplace\":true}]", "/model/layers/0/inplace", "it has \"name\"");
}

static void what_is_missing_is_named(void **state)
{
	(void)state;
	refused("{" MODEL "," LOSS "}", "", "\"data\" is missing");
	refused("{" DATA "," LOSS "}", "", "\"model\" is missing");
	refused("{" DATA "," MODEL "}", "", "\"loss\" is missing");
	refused("{\"data\":{}," MODEL "," LOSS "}", "/data", "\"dataset\" is missing");
	refused_layers("[\"conv2d\"]", "/model/layers/0", "\"out_channels\" is missing from conv2d");
	refused_layers("[{\"type\":\"max_pool2d\"}]", "/model/layers/0", "\"kernel_size\" is missing");
	refused_layers("[{}]", "/model/layers/0", "a known layer");
	refused("{" DATA "," MODEL "," LOSS ",\"train\":{}}", "/train", "give one");
	refused("[]", "", "an object");
	refused("{" DATA "," MODEL "," LOSS ",\"train\":5}", "/train", "5 is not an object");
}

static void every_value_has_a_type_and_bounds(void **state)
{
	static const struct {
		const char *member, *pointer, *words;
	} rows[] = {
		{ "\"seed\":-1", "/seed", "-1 is not an integer of at least 0" },
		{ "\"seed\":1.5", "/seed", "an integer" },
		{ "\"seed\":\"7\"", "/seed", "an integer" },
		{ "\"name\":5", "/name", "a string of at most 200 characters" },
		{ "\"tags\":\"a\"", "/tags", "an array" },
		{ "\"tags\":[\"a\",5]", "/tags/1", "a string" },
		{ "\"mode\":null", "/mode", "\"graph\" or \"eager\"" },
		{ "\"optimizer\":{\"type\":\"adam\",\"lr\":-0.1}", "/optimizer/lr",
			"-0.1 is not a number of at least 0" },
		{ "\"optimizer\":{\"type\":\"adam\",\"lr\":\"0.1\"}", "/optimizer/lr", "a number" },
		{ "\"optimizer\":{\"type\":\"adam\",\"betas\":[0.9,1]}", "/optimizer/betas/1", "below 1" },
		{ "\"optimizer\":{\"type\":\"adam\",\"betas\":[0.9]}", "/optimizer/betas", "an array of 2 numbers" },
		{ "\"optimizer\":{\"type\":\"sgd\",\"nesterov\":true}", "/optimizer", "nesterov needs a momentum" },
		{ "\"train\":{\"epochs\":0}", "/train/epochs", "0 is not" },
		{ "\"train\":{\"epochs\":1e15}", "/train/epochs", "at most 1000000" },
		{ "\"train\":{\"epochs\":1,\"steps\":5}", "/train", "keep one" },
		{ "\"train\":{\"epochs\":1,\"validate_every\":\"hourly\"}", "/train/validate_every", "known" },
		{ "\"train\":{\"epochs\":1,\"validate_every\":0}", "/train/validate_every", "0 is not" },
		{ "\"train\":{\"epochs\":1,\"keep\":{\"last\":101}}", "/train/keep/last", "101 is not" },
		{ "\"train\":{\"epochs\":1,\"keep\":{\"best\":\"val/loss\"}}", "/train/keep/best",
			"needs a validation split" },
		{ "\"metrics\":[\"accuracy\",\"accuracy\"]", "/metrics/1", "stands twice" },
		{ "\"log\":{\"every\":0}", "/log/every", "0 is not" },
		{ "\"resources\":{\"threads\":0}", "/resources/threads", "0 is not" },
		{ "\"resources\":{\"device\":\"cuda\"}", "/resources/device", "known: \"auto\" or \"cpu\"" },
		{ "\"resources\":{\"memory_mb\":63}", "/resources/memory_mb", "63 is not" },
		{ "\"kind\":\"external\"", "/kind", "known: \"train\"" },
		{ "\"train\":{\"epochs\":1,\"accumulate\":0}", "/train/accumulate", "0 is not" },
		{ "\"train\":{\"epochs\":1,\"clip_norm\":-1}", "/train/clip_norm", "-1 is not" },
		{ "\"train\":{\"epochs\":1,\"early_stopping\":{}}", "/train/early_stopping", "\"metric\" is missing" },
		{ "\"train\":{\"epochs\":1,\"early_stopping\":{\"metric\":\"val/loss\",\"patience\":0}}",
			"/train/early_stopping/patience", "0 is not" },
		{ "\"init_from\":{\"model\":\"a\",\"job\":\"b\"}", "/init_from", "keep one" },
		{ "\"init_from\":{\"model\":\"a\",\"checkpoint\":\"best\"}", "/init_from/checkpoint",
			"give \"job\" too" },
		{ "\"init_from\":{}", "/init_from", "neither a model nor a job" },
		{ "\"freeze\":[\"nothing.*\"]", "/freeze/0", "nothing.*" },
		{ "\"freeze\":[\"*\"]", "/freeze", "nothing to train" },
		{ "\"optimizer\":{\"type\":\"adam\",\"groups\":[{\"params\":[\"none.*\"]}]}",
			"/optimizer/groups/0/params/0", "none.*" },
		{ "\"metrics\":[\"mae\"]", "/metrics/0", "" },
		{ "\"log\":{\"histograms_every\":-1}", "/log/histograms_every", "-1 is not" },
		{ "\"defaults\":\"jax\"", "/defaults", "known: \"pytorch\"" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		char *text = mem_printf("{" DATA "," MODEL "," LOSS ",%s}", rows[i].member);
		refused(text, rows[i].pointer, rows[i].words);
		mem_free(text);
	}
}

static void data_sections_are_checked_against_the_dataset(void **state)
{
	static const struct {
		const char *member, *pointer, *words;
	} rows[] = {
		{ "\"limit\":60001", "/data/limit", "60001 is more than the 60000 training samples" },
		{ "\"limit\":10,\"split\":{\"validation\":10}", "/data/split/validation", "leave none of the 10" },
		{ "\"split\":{\"validation\":1.5}", "/data/split/validation", "1.5 is not a count" },
		{ "\"split\":{\"validation\":-1}", "/data/split/validation", "-1 is not a count" },
		{ "\"split\":{\"by\":\"class\"}", "/data/split/by", "known" },
		{ "\"batch_size\":0", "/data/batch_size", "0 is not" },
		{ "\"batch_size\":1e9", "/data/batch_size", "1000000000 is not" },
		{ "\"transforms\":[{\"type\":\"normalize\",\"mean\":[0.1,0.2],\"std\":[1]}]", "/data/transforms/0/mean",
			"1 channel;" },
		{ "\"transforms\":[{\"type\":\"normalize\",\"mean\":[0.1],\"std\":[0]}]", "/data/transforms/0/std/0",
			"0 is not" },
		{ "\"transforms\":[\"normalize\"]", "/data/transforms/0", "\"mean\" is missing" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		char *text =
			mem_printf("{\"data\":{\"dataset\":\"fashion-mnist\",%s}," MODEL "," LOSS "}", rows[i].member);
		refused(text, rows[i].pointer, rows[i].words);
		mem_free(text);
	}
	refused("{\"data\":{\"dataset\":\"fashion-mnist\",\"batch_size\":1}," MODEL "," LOSS
		",\"train\":{\"epochs\":1000000}}",
		"/train/epochs", "1000000 epochs of 60000 steps are more than the 1000000000");
	accepted("{\"data\":{\"dataset\":\"fashion-mnist\",\"limit\":10,\"split\":{\"validation\":0.5,\"by\":"
		 "\"random\"}}," MODEL "," LOSS ",\"train\":{\"epochs\":1,\"keep\":{\"best\":\"val/accuracy\"}}}");
}

static void layers_that_do_not_fit_name_the_layer_both_shapes_and_the_fix(void **state)
{
	(void)state;
	refused_layers("[{\"type\":\"linear\",\"out_features\":10}]", "/model/layers/0",
		"gets float32[64, 1, 28, 28] from the data; put \"flatten\" before it");
	refused_layers("[\"flatten\",{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3}]", "/model/layers/1",
		"gets float32[64, 784] from layer 0 (flatten)");
	refused_layers("[{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":29}]", "/model/layers/0",
		"kernel_size 29 is larger than the padded input, 28");
	refused_layers("[{\"type\":\"max_pool2d\",\"kernel_size\":[2,31],\"padding\":[0,1]}]", "/model/layers/0",
		"larger than the padded input, 30");
	refused_layers(
		"[{\"type\":\"max_pool2d\",\"kernel_size\":2,\"padding\":2}]", "/model/layers/0", "more than half");
	refused_layers(
		"[\"flatten\",{\"type\":\"linear\",\"out_features\":7}]", "/model/layers/1", "\"out_features\": 10");
	refused_layers("[{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3}]", "/model/layers/0",
		"put \"flatten\" and");
	refused_layers("[\"flatten\",{\"type\":\"softmax\",\"dim\":0},{\"type\":\"linear\",\"out_features\":10}]",
		"/model/layers/1", "has no axis 0 behind the batch");
	refused_layers("[{\"type\":\"adaptive_avg_pool2d\",\"output_size\":[65536,65536]},\"flatten\","
		       "{\"type\":\"linear\",\"out_features\":10}]",
		"/resources/memory_mb", "this job needs about");
	refused_layers("[\"flatten\"]", "/model/layers", "nothing to train");
	refused_layers("[]", "/model/layers", "[] is not an array of 1 to 1000");
}

static void a_batch_norm_never_meets_a_single_value(void **state)
{
#define NORMED(data, layers, train)                                                                                    \
	"{\"data\":{\"dataset\":\"fashion-mnist\"," data "},\"model\":{\"layers\":[" layers                            \
	",\"flatten\",{\"type\":\"linear\",\"out_features\":10}]}," LOSS ",\"train\":{" train "}}"
#define FLAT "\"flatten\",{\"type\":\"linear\",\"out_features\":8},\"batch_norm\""
	(void)state;
	refused(NORMED("\"limit\":65,\"batch_size\":32", FLAT, "\"epochs\":1"), "/data/batch_size",
		"layer 2 (batch_norm) needs more than one value for each channel, but 65 samples in batches of 32 "
		"leave a last batch of one; take 33, for example");
	refused(NORMED("\"limit\":65,\"batch_size\":32", FLAT, "\"steps\":3"), "/data/batch_size", "last batch of one");
	refused(NORMED("\"limit\":65,\"batch_size\":32", FLAT, "\"steps\":2,\"accumulate\":2"), "/data/batch_size", "");
	refused(NORMED("\"limit\":9,\"batch_size\":1", FLAT, "\"steps\":1"), "/model/layers/2", "this batch has one");
	refused(NORMED("\"limit\":1,\"batch_size\":32", FLAT, "\"steps\":1"), "/model/layers/2", "this batch has one");
	refused(NORMED("\"limit\":65,\"batch_size\":32", "\"global_avg_pool\",\"batch_norm\"", "\"epochs\":1"),
		"/data/batch_size", "layer 1 (batch_norm)");
	/* Each of these has its two values. */
	accepted(NORMED("\"limit\":65,\"batch_size\":32", FLAT, "\"steps\":2"));
	accepted(NORMED("\"limit\":65,\"batch_size\":32", "\"batch_norm\"", "\"epochs\":1"));
	accepted(NORMED("\"limit\":66,\"batch_size\":32", FLAT, "\"epochs\":1"));
	accepted(NORMED("\"limit\":5,\"batch_size\":32", FLAT, "\"epochs\":1"));
	accepted(NORMED("\"limit\":1,\"batch_size\":1", "\"batch_norm\"", "\"epochs\":1"));
#undef FLAT
#undef NORMED
}

static void absurd_sizes_are_faults_and_not_crashes(void **state)
{
	(void)state;
	refused_layers(
		"[\"flatten\",{\"type\":\"linear\",\"out_features\":1e9},{\"type\":\"linear\",\"out_features\":1e9}]",
		"/model/layers/2", "more than the 1099511627776 elements");
	refused_layers(
		"[\"flatten\",{\"type\":\"linear\",\"out_features\":1e8},{\"type\":\"linear\",\"out_features\":10}]",
		"/resources/memory_mb", "this job needs about");
	refused_layers(
		"[\"flatten\",{\"type\":\"linear\",\"out_features\":9e15}]", "/model/layers/1/out_features", "at most");
	refused_layers("[{\"type\":\"conv2d\",\"out_channels\":1e9,\"kernel_size\":65536,\"padding\":65536}]",
		"/model/layers/0", "more than the 1099511627776 elements");
	refused_layers("[{\"type\":\"conv2d\",\"out_channels\":100000,\"kernel_size\":1,\"padding\":65536}]",
		"/model/layers/0", "larger than any memory");
	refused_layers("[{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3,\"stride\":0}]",
		"/model/layers/0/stride", "0 is not");
	refused_layers("[{\"type\":\"conv2d\",\"out_channels\":-8,\"kernel_size\":3}]", "/model/layers/0/out_channels",
		"-8 is not");
	refused_layers("[{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":[3,3,3]}]",
		"/model/layers/0/kernel_size", "an array of 2");
}

static void every_fault_is_reported_and_not_only_the_first(void **state)
{
	cJSON *answer = check(
		"{\"seed\":-1,\"nane\":\"x\",\"data\":{\"dataset\":\"x\",\"batch_size\":\"y\"},\"model\":{\"layers\":["
		"\"rellu\",{\"type\":\"dropout\",\"p\":2}]}}");

	(void)state;
	assert_int_equal(cJSON_GetArraySize(json_get(answer, "faults")), 6);
	cJSON_Delete(answer);
}

/* ---- Before and after the data is known -------------------------------------------------------------------------- */

static void without_data_only_what_needs_no_shapes_is_checked(void **state)
{
	static const char unfit[] =
		"{" DATA ",\"model\":{\"layers\":[{\"type\":\"linear\",\"out_features\":10}]}," LOSS "}",
			  wrong[] = "{" DATA "," MODEL "," LOSS ",\"train\":{\"epochs\":1,\"steps\":2}}";
	cJSON *answer = check_with(unfit, NULL);

	(void)state;
	assert_int_equal(cJSON_GetArraySize(json_get(answer, "faults")), 0);
	assert_int_equal(cJSON_GetArraySize(json_get(answer, "layers")), 0);
	cJSON_Delete(answer);
	refused(unfit, "/model/layers/0", "flatten");
	answer = check_with(wrong, NULL);
	assert_int_equal(cJSON_GetArraySize(json_get(answer, "faults")), 1);
	cJSON_Delete(answer);
}

/* The metrics that a check says are in force. */
static void measured(const char *text, const char *info, const char *metrics)
{
	cJSON *answer = check_with(text, info), *fault = cJSON_GetArrayItem(json_get(answer, "faults"), 0);
	char *names = json_print(json_get(answer, "metrics"));

	if (fault)
		fail_msg("%s: %s", json_string(fault, "pointer", ""), json_string(fault, "detail", ""));
	assert_string_equal(names, metrics);
	mem_free(names);
	cJSON_Delete(answer);
}

static void classes_are_measured_by_accuracy_and_values_by_mae_unless_told(void **state)
{
	(void)state;
	measured(LEAST, INFO, "[\"accuracy\"]");
	measured("{" DATA "," MODEL "," LOSS ",\"metrics\":[]}", INFO, "[]");
	measured("{" DATA "," MODEL "," LOSS ",\"metrics\":[\"f1\",{\"type\":\"top_k\",\"k\":3}]}", INFO,
		"[\"f1\",\"top_3\"]");
	measured("{\"data\":{\"dataset\":\"houses\",\"target\":[\"price\"]},\"loss\":\"mse\","
		 "\"model\":{\"layers\":[{\"type\":\"linear\",\"out_features\":1}]}}",
		TABLE, "[\"mae\"]");
}

static void what_looks_at_a_series_must_find_it(void **state)
{
#define WATCHED "{\"data\":{\"dataset\":\"fashion-mnist\",\"split\":{\"validation\":100}}," MODEL "," LOSS ","
	(void)state;
	accepted(WATCHED "\"train\":{\"epochs\":1,\"keep\":{\"best\":\"val/accuracy\"},"
			 "\"early_stopping\":{\"metric\":\"val/"
			 "loss\"}},\"schedule\":{\"type\":\"plateau\",\"metric\":\"val/loss\"}}");
	refused(WATCHED "\"train\":{\"epochs\":1,\"keep\":{\"best\":\"val/acuracy\"}}}", "/train/keep/best",
		"did you mean \"val/accuracy\"");
	refused(WATCHED
		"\"metrics\":[\"f1\"],\"train\":{\"epochs\":1,\"early_stopping\":{\"metric\":\"val/accuracy\"}}}",
		"/train/early_stopping/metric", "there are \"val/loss\", \"val/f1\"");
	refused(WATCHED "\"schedule\":{\"type\":\"plateau\",\"metric\":\"train/loss\"}}", "/schedule/metric",
		"no validation gives");
	refused(WATCHED
		"\"train\":{\"epochs\":1,\"validate_every\":\"never\",\"early_stopping\":{\"metric\":\"val/loss\"}}}",
		"/train/early_stopping/metric", "needs a validation split");
	refused("{\"data\":{\"dataset\":\"fashion-mnist\",\"limit\":100,\"split\":{\"validation\":0.001}}," MODEL
		"," LOSS ",\"train\":{\"epochs\":1,\"keep\":{\"best\":\"val/loss\"}}}",
		"/data/split/validation", "0.001 of the samples of fashion-mnist are not even one");
#undef WATCHED
}

static void one_pattern_of_a_group_needs_no_list(void **state)
{
	(void)state;
	accepted("{" DATA "," MODEL "," LOSS
		 ",\"optimizer\":{\"type\":\"sgd\",\"groups\":[{\"params\":\"1.*\",\"lr\":0}]}}");
	refused("{" DATA "," MODEL "," LOSS ",\"optimizer\":{\"type\":\"sgd\",\"groups\":[{\"params\":7}]}}",
		"/optimizer/groups/0/params", "strings");
}

static void accumulated_batches_make_fewer_steps(void **state)
{
	cJSON *answer = check("{\"data\":{\"dataset\":\"fashion-mnist\",\"batch_size\":64}," MODEL "," LOSS
			      ",\"train\":{\"epochs\":2,\"accumulate\":4}}");

	(void)state;
	assert_int_equal(json_int(answer, "steps", 0), 2 * 235); /* 938 batches: 234 steps of four, one of two */
	cJSON_Delete(answer);
}

/* ---- The schema ------------------------------------------------------------------------------------------------ */

/* Every object of SCHEMA is closed and described, every reference leads somewhere; returns how many options it has. */
static int walk(const cJSON *schema, const cJSON *root)
{
	const char *ref = json_string(schema, "$ref", NULL);
	const cJSON *child;
	int n = 0;

	if (ref)
		assert_non_null(json_at(root, ref + 1));
	if (!strcmp(json_string(schema, "type", ""), "object")) {
		assert_true(cJSON_IsFalse(json_get(schema, "additionalProperties")) ||
			    cJSON_IsObject(json_get(schema, "additionalProperties"))); /* names that a user chooses */
		cJSON_ArrayForEach(child, json_get(schema, "properties"))
		{
			assert_true(json_get(child, "description") || json_get(child, "const"));
			n += 1 + walk(child, root);
		}
	}
	cJSON_ArrayForEach(child, json_get(schema, "oneOf")) n += walk(child, root);
	if (json_get(schema, "items"))
		n += walk(json_get(schema, "items"), root);
	return n;
}

static void the_schema_is_closed_and_complete(void **state)
{
	cJSON *schema = worker_schema();
	const cJSON *def;
	char *required = json_print(json_get(schema, "required"));
	int n = walk(schema, schema);

	(void)state;
	cJSON_ArrayForEach(def, json_get(schema, "$defs")) n += walk(def, schema);
	assert_true(n > 60);
	assert_string_equal(required, "[\"data\",\"model\",\"loss\"]");
	assert_string_equal(json_string(json_at(schema, "/properties/mode"), "default", ""), "graph");
	assert_non_null(json_at(schema, "/properties/train/default/epochs"));
	assert_non_null(json_at(schema, "/properties/log/default"));
	assert_null(json_at(schema, "/properties/data/default"));
	mem_free(required);
	cJSON_Delete(schema);
}

/* Whether the words that may stand alone for a member of FAMILY hold NAME. */
static bool may_stand_alone(const cJSON *schema, const char *family, const char *name)
{
	char *pointer = mem_printf("/$defs/%s/oneOf/0/enum", family);
	const cJSON *word;
	bool found = false;

	cJSON_ArrayForEach(word, json_at(schema, pointer)) found = found || !strcmp(word->valuestring, name);
	mem_free(pointer);
	return found;
}

static void a_name_that_needs_no_options_may_stand_alone_and_others_may_not(void **state)
{
	cJSON *schema = worker_schema();

	(void)state;
	assert_true(may_stand_alone(schema, "layer", "relu"));
	assert_true(may_stand_alone(schema, "layer", "batch_norm"));
	assert_false(may_stand_alone(schema, "layer", "conv2d"));
	assert_true(may_stand_alone(schema, "optimizer", "adamw"));
	assert_true(may_stand_alone(schema, "schedule", "constant"));
	cJSON_Delete(schema);
}

static void external_jobs_and_formats_have_forms_of_their_own(void **state)
{
	cJSON *schema = worker_schema();
	const cJSON *external = json_at(schema, "/$defs/external"), *members = json_get(external, "properties");

	(void)state;
	assert_non_null(json_get(members, "args"));
	assert_non_null(json_get(members, "timeout_s"));
	assert_null(json_get(members, "model"));
	assert_null(json_get(members, "data"));
	assert_string_equal(cJSON_GetArrayItem(json_at(members, "/kind/enum"), 0)->valuestring, "external");
	assert_string_equal(cJSON_GetArrayItem(json_at(schema, "/properties/kind/enum"), 0)->valuestring, "train");
	assert_non_null(json_at(schema, "/$defs/format/properties/image_size"));
	cJSON_Delete(schema);
}

static void a_record_does_not_get_what_nobody_asked_for(void **state)
{
	cJSON *schema = worker_schema();

	(void)state;
	assert_null(json_at(schema, "/properties/init_from/default"));
	assert_null(json_at(schema, "/properties/metrics/default"));
	assert_null(json_at(schema, "/properties/train/properties/early_stopping/default"));
	assert_non_null(json_at(schema, "/properties/schedule/default"));
	cJSON_Delete(schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_data_model_and_loss_are_required_and_the_rest_has_defaults),
		cmocka_unit_test(steps_do_not_meet_the_default_of_epochs),
		cmocka_unit_test(a_check_tells_shapes_parameters_and_costs),
		cmocka_unit_test(an_unknown_name_is_refused_with_the_nearest_known_one),
		cmocka_unit_test(what_is_missing_is_named),
		cmocka_unit_test(every_value_has_a_type_and_bounds),
		cmocka_unit_test(data_sections_are_checked_against_the_dataset),
		cmocka_unit_test(layers_that_do_not_fit_name_the_layer_both_shapes_and_the_fix),
		cmocka_unit_test(a_batch_norm_never_meets_a_single_value),
		cmocka_unit_test(absurd_sizes_are_faults_and_not_crashes),
		cmocka_unit_test(every_fault_is_reported_and_not_only_the_first),
		cmocka_unit_test(without_data_only_what_needs_no_shapes_is_checked),
		cmocka_unit_test(classes_are_measured_by_accuracy_and_values_by_mae_unless_told),
		cmocka_unit_test(what_looks_at_a_series_must_find_it),
		cmocka_unit_test(one_pattern_of_a_group_needs_no_list),
		cmocka_unit_test(accumulated_batches_make_fewer_steps),
		cmocka_unit_test(the_schema_is_closed_and_complete),
		cmocka_unit_test(a_name_that_needs_no_options_may_stand_alone_and_others_may_not),
		cmocka_unit_test(external_jobs_and_formats_have_forms_of_their_own),
		cmocka_unit_test(a_record_does_not_get_what_nobody_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
