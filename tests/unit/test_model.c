/* Models: names and inputs, containers, sharing, hostile ones, known ones, freezing. */
#include "test_model.h"

#include <math.h>

#define IMAGE ((td_shape){ TD_F32, TD_ROW_MAJOR, 4, { 2, 3, 8, 8 } })
#define FLAT  ((td_shape){ TD_F32, TD_ROW_MAJOR, 2, { 2, 6 } })

#define CONV(options)   "{\"type\":\"conv2d\",\"out_channels\":3,\"kernel_size\":3,\"padding\":1" options "}"
#define LINEAR(options) "{\"type\":\"linear\",\"out_features\":6" options "}"

/* ---- Names and the graph of layers ------------------------------------------------------------------------------- */

static void assert_layers(const struct bench *b, const char *const *names, size_t n)
{
	assert_int_equal(b->model->n_layers, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(b->model->layers[i].name, names[i]);
}

static void containers_become_a_list_with_the_paths_of_torch(void **state)
{
	static const char *const names[] = { "stem", "body.0", "body.named", "2.layers.0", "2.deep.0", "2.shortcut.0",
		"2", "3.paths.0.0", "3.wide", "3", "4.0.0", "4.0.1", "4.1.0", "4.1.1" };
	static const int inputs[][2] = { { NN_INPUT }, { 0 }, { 1 }, { 2 }, { 3 }, { 2 }, { 4, 5 }, { 6 }, { 6 },
		{ 7, 8 }, { 9 }, { 10 }, { 11 }, { 12 } };
	struct bench b;

	(void)state;
	bench_layers(&b,
		CONV(",\"name\":\"stem\"") ",{\"type\":\"sequential\",\"name\":\"body\",\"layers\":[\"relu\"," CONV(
			",\"name\":\"named\"") "]},"
					       "{\"type\":\"residual\",\"layers\":[" CONV(
						       "") ",{\"type\":\"sequential\",\"name\":\"deep\",\"layers\":["
							   "\"relu\"]}],"
							   "\"shortcut\":[" CONV(
								   "") "]},"
								       "{\"type\":\"branches\",\"paths\":[[\"relu\"],"
								       "[" CONV(
									       ",\"name\":\"wide\"") "]]},"
												     "{\"type\":"
												     "\"sequential\","
												     "\"repeat\":2,"
												     "\"layers\":"
												     "[" CONV(
													     "") ",\"re"
														 "lu\"]"
														 "}",
		IMAGE);
	assert_layers(&b, names, TD_COUNT(names));
	for (int i = 0; i < b.model->n_layers; i++)
		for (int k = 0; k < b.model->layers[i].n_inputs; k++)
			assert_int_equal(b.model->layers[i].input[k], inputs[i][k]);
	assert_string_equal(b.model->layers[4].pointer, "/model/layers/2/layers/1/layers/0");
	assert_string_equal(b.model->layers[8].pointer, "/model/layers/3/paths/1/0");
	assert_string_equal(b.model->layers[12].pointer, "/model/layers/4/layers/0");
	assert_int_equal(b.model->layers[9].out.dim[1], 6);
	find_param(b.model, "2.shortcut.0.weight");
	/* Copies have parameters of their own. */
	assert_ptr_not_equal(find_param(b.model, "4.0.0.weight"), find_param(b.model, "4.1.0.weight"));
	bench_release(&b);
}

static void inputs_are_looked_up_in_the_container_and_then_around_it(void **state)
{
	struct bench b;

	(void)state;
	bench_layers(&b,
		"{\"type\":\"relu\",\"name\":\"a\"},{\"type\":\"sequential\",\"name\":\"s\",\"layers\":["
		"{\"type\":\"tanh\",\"name\":\"a\"},{\"type\":\"silu\",\"name\":\"b\",\"inputs\":\"a\"},"
		"{\"type\":\"add\",\"inputs\":[\"a\",\"b\",\"s.a\",\"input\"]}]},{\"type\":\"add\",\"inputs\":[\"s\","
		"\"a\",\"s.b\"]}",
		FLAT);
	assert_int_equal(b.model->layers[2].input[0], 1); /* the one beside it hides the outer one */
	bench_release(&b);
	assert_refused("{\"layers\":[{\"type\":\"relu\",\"inputs\":[\"b\"]},{\"type\":\"tanh\",\"name\":\"b\"}]}", FLAT,
		"/model/layers/0/inputs/0", "no layer \"b\" comes before this one");
	assert_refused("{\"layers\":[{\"type\":\"relu\",\"name\":\"stem\"},{\"type\":\"tanh\",\"inputs\":[\"stm\"]}]}",
		FLAT, "/model/layers/1/inputs/0", "did you mean \"stem\"?");
	assert_refused("{\"layers\":[\"relu\",{\"type\":\"tanh\",\"inputs\":[\"0\",\"0\"]}]}", FLAT, "/model/layers/1",
		"tanh takes 1 input, but \"inputs\" names 2");
	assert_refused("{\"layers\":[\"relu\",\"add\"]}", FLAT, "/model/layers/1", "add needs \"inputs\"");
}

static void names_are_unique_and_plain(void **state)
{
	(void)state;
	assert_refused("{\"layers\":[{\"type\":\"relu\",\"name\":\"a\"},{\"type\":\"relu\",\"name\":\"a\"}]}", FLAT,
		"/model/layers/1/name", "names are unique");
	assert_refused("{\"layers\":[{\"type\":\"relu\",\"name\":\"1\"},\"relu\"]}", FLAT, "/model/layers/1",
		"another layer is called \"1\"");
	assert_refused(
		"{\"layers\":[{\"type\":\"relu\",\"name\":\"a.b\"}]}", FLAT, "/model/layers/0/name", "is not a name");
	assert_refused(
		"{\"layers\":[{\"type\":\"relu\",\"name\":\"\"}]}", FLAT, "/model/layers/0/name", "the name is empty");
	assert_refused("{\"layers\":[{\"type\":\"relu\",\"name\":\"input\"}]}", FLAT, "/model/layers/0/name",
		"use another name");
	assert_refused("{\"layers\":[{\"type\":\"relu\",\"name\":\"metrics\"}]}", FLAT, "/model/layers/0/name",
		"a part of the training step");
}

static void an_output_can_be_chosen_and_what_nobody_reads_is_refused(void **state)
{
	struct bench b;
	char out[TD_SHAPE_TEXT];

	(void)state;
	bench_init(&b,
		"{\"layers\":[{\"type\":\"linear\",\"out_features\":4,\"name\":\"head\"},{\"type\":\"concat\",\"name\":"
		"\"both\","
		"\"inputs\":[\"head\",\"input\"]}],\"outputs\":[\"both\"]}",
		FLAT, 0, false);
	assert_string_equal(td_shape_text(&b.model->out, out), "float32[2, 10]");
	bench_release(&b);
	assert_refused("{\"layers\":[{\"type\":\"relu\",\"name\":\"a\"},\"tanh\"],\"outputs\":[\"a\"]}", FLAT,
		"/model/layers/1", "nothing reads the output of layer 1 (tanh)");
	assert_refused(
		"{\"layers\":[\"relu\"],\"outputs\":[\"b\"]}", FLAT, "/model/outputs/0", "there is no layer \"b\"");
}

static void one_mistake_is_one_fault_and_two_are_two(void **state)
{
	struct bench b;

	(void)state;
	bench_init(&b,
		"{\"layers\":[{\"type\":\"branches\",\"paths\":["
		"[{\"type\":\"conv2d\",\"out_channels\":2,\"kernel_size\":9},\"relu\",{\"type\":\"lstm\",\"hidden_"
		"size\":1}],"
		"[{\"type\":\"linear\",\"out_features\":2}]]},\"flatten\",{\"type\":\"linear\",\"out_features\":2}]}",
		IMAGE, 0, false);
	assert_int_equal(b.faults.n_found, 2);
	assert_string_equal(b.faults.items[0].pointer, "/model/layers/0/paths/0/0");
	assert_string_equal(b.faults.items[1].pointer, "/model/layers/0/paths/1/0");
	bench_release(&b);
	assert_refused("{\"layers\":[{\"type\":\"residual\",\"layers\":[" CONV(",\"stride\":2") "]}]}", IMAGE,
		"/model/layers/0",
		"float32[2, 3, 4, 4] from layer 0.layers.0 (conv2d) and float32[2, 3, 8, 8] from the data");
	assert_refused("{\"layers\":[{\"type\":\"branches\",\"paths\":[[" CONV(",\"stride\":2") "],[]]}]}", IMAGE,
		"/model/layers/0", "concat, which joins the channels: ");
}

/* ---- Sharing ----------------------------------------------------------------------------------------------------- */

static void shared_parameters_are_there_once(void **state)
{
	struct bench b;

	(void)state;
	bench_layers(&b,
		LINEAR(",\"name\":\"a\"") ",\"relu\"," LINEAR(",\"share\":\"a\"") "," LINEAR(",\"share\":\"2\""), FLAT);
	assert_int_equal(b.model->n_params, 2);
	assert_int_equal(b.model->n_parameters, 42);
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	assert_ptr_equal(b.model->layers[0].param[0], b.model->layers[2].param[0]);
	assert_ptr_equal(b.model->layers[0].param[1], b.model->layers[3].param[1]);
	bench_release(&b);
}

static void only_layers_that_are_alike_share(void **state)
{
	static const struct {
		const char *layers, *pointer, *words;
	} refusals[] = {
		{ LINEAR(",\"name\":\"a\"") ",{\"type\":\"linear\",\"out_features\":3,\"share\":\"a\"}",
			"/model/layers/1",
			"the weight of layer a is float32[6, 6], but this layer needs float32[3, 6]" },
		{ LINEAR(",\"name\":\"a\"") "," LINEAR(",\"bias\":false,\"share\":\"a\""), "/model/layers/1",
			"nn.Linear(6, 6, bias=False), but layer a" },
		{ LINEAR(",\"name\":\"a\",\"bias\":false") "," LINEAR(",\"share\":\"a\""), "/model/layers/1",
			"has no parameter \"bias\"" },
		{ LINEAR(",\"name\":\"a\"") ",{\"type\":\"layer_norm\",\"share\":\"a\"}", "/model/layers/1",
			"layer a is a linear, this one a layer_norm" },
		{ "{\"type\":\"relu\",\"name\":\"a\"},{\"type\":\"relu\",\"share\":\"a\"}", "/model/layers/1",
			"has no parameters" },
		{ "{\"type\":\"lstm\",\"hidden_size\":2,\"name\":\"a\"},{\"type\":\"lstm\",\"hidden_size\":2,"
		  "\"inputs\":["
		  "\"input\"],\"share\":\"a\"}",
			"/model/layers/0", "lstm takes sequences" }, /* what is wrong with the first is said once */
		{ LINEAR(",\"share\":\"input\""), "/model/layers/0/share", "the model's input has no parameters" },
		{ LINEAR(",\"share\":\"b\""), "/model/layers/0/share", "no layer \"b\" comes before" },
		{ LINEAR(",\"name\":\"a\"") ",{\"type\":\"sequential\",\"layers\":[\"relu\"],\"share\":\"a\"}",
			"/model/layers/1/share", "share its layers one by one" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(refusals); i++) {
		char *text = mem_printf("{\"layers\":[%s]}", refusals[i].layers);

		assert_refused(text, FLAT, refusals[i].pointer, refusals[i].words);
		mem_free(text);
	}
}

/* ---- Hostile models ---------------------------------------------------------------------------------------------- */

static void a_model_that_repeats_itself_without_end_is_refused_quickly(void **state)
{
	(void)state;
	assert_refused(
		"{\"layers\":[{\"type\":\"sequential\",\"repeat\":1000,\"layers\":[{\"type\":\"sequential\","
		"\"repeat\":1000,\"layers\":[{\"type\":\"sequential\",\"repeat\":1000,\"layers\":[\"relu\"]}]}]}]}",
		FLAT, "/model/layers", "more than 1000 layers");
	/* The copies' faults are those of the first. */
	assert_refused(
		"{\"layers\":[{\"type\":\"sequential\",\"repeat\":1000,\"layers\":[{\"type\":\"relu\",\"inputs\":["
		"\"b\"]}]}]}",
		FLAT, "/model/layers/0/layers/0/inputs/0", "no layer \"b\"");
	/* Containers that bring no layer of their own count too. */
	assert_refused("{\"layers\":[{\"type\":\"sequential\",\"repeat\":1000,\"layers\":[{\"type\":\"sequential\","
		       "\"repeat\":1000,\"layers\":[{\"type\":\"residual\",\"layers\":[\"relu\"]}]}]}]}",
		FLAT, "/model/layers", "more than 1000 layers");
}

static void containers_stand_in_each_other_only_so_deep(void **state)
{
	struct buf text;

	(void)state;
	for (int depth = 16; depth <= 17; depth++) {
		struct bench b;

		buf_init(&text, 10000);
		buf_puts(&text, "{\"layers\":[");
		for (int i = 0; i < depth; i++)
			buf_puts(&text, "{\"type\":\"sequential\",\"layers\":[");
		buf_puts(&text, "\"relu\"");
		for (int i = 0; i < depth; i++)
			buf_puts(&text, "]}");
		buf_puts(&text, "]}");
		bench_init(&b, text.data, FLAT, 0, false);
		assert_true((b.model != NULL) == (depth == 16));
		if (!b.model)
			assert_non_null(strstr(b.faults.items[0].detail, "more than 16 deep"));
		bench_release(&b);
		buf_release(&text);
	}
}

static void a_path_that_is_too_long_is_refused(void **state)
{
	char name[61] = "", *text;

	(void)state;
	memset(name, 'n', sizeof name - 1);
	text = mem_printf(
		"{\"layers\":[{\"type\":\"sequential\",\"name\":\"%s\",\"layers\":[{\"type\":\"relu\",\"name\":\"%s\"}"
		"]}]}",
		name, name);
	assert_refused(text, FLAT, "/model/layers/0/layers/0", "has 121 characters");
	mem_free(text);
}

static void sizes_beyond_any_memory_are_refused_and_not_allocated(void **state)
{
	(void)state;
	assert_refused(
		"{\"layers\":[{\"type\":\"linear\",\"out_features\":1000000000},{\"type\":\"linear\",\"out_features\":"
		"1000000000},{\"type\":\"linear\",\"out_features\":1000000000}]}",
		FLAT, "/model/layers/1", "more than the 1099511627776 elements");
	assert_refused("{\"layers\":[{\"type\":\"concat\",\"inputs\":[\"input\",\"input\"]},{\"type\":\"lstm\","
		       "\"hidden_size\":"
		       "1000000000}]}",
		((td_shape){ TD_F32, TD_ROW_MAJOR, 3, { 2, 3, 4 } }), "/model/layers/1",
		"elements that one tensor may have");
}

/* ---- Known models ------------------------------------------------------------------------------------------------ */

static void known_models_have_the_parameters_of_torchvision(void **state)
{
	static const struct {
		const char *text;
		td_shape in;
		int64_t parameters;
		int n_params; /* tensors, buffers too */
		const char *out, *param, *shape;
	} rows[] = {
		{ "{\"name\":\"resnet18\",\"args\":{\"classes\":10}}", { TD_F32, TD_ROW_MAJOR, 4, { 2, 3, 224, 224 } },
			11181642, 102, "float32[2, 10]", "layer2.0.downsample.0.weight", "float32[128, 64, 1, 1]" },
		{ "{\"name\":\"resnet18\",\"args\":{\"classes\":10,\"small\":true}}",
			{ TD_F32, TD_ROW_MAJOR, 4, { 2, 3, 32, 32 } }, 11173962, 102, "float32[2, 10]", "conv1.weight",
			"float32[64, 3, 3, 3]" },
		{ "{\"name\":\"squeezenet1_1\",\"args\":{\"classes\":1000}}",
			{ TD_F32, TD_ROW_MAJOR, 4, { 2, 3, 224, 224 } }, 1235496, 52, "float32[2, 1000]",
			"features.3.expand1x1.weight", "float32[64, 16, 1, 1]" },
		{ "{\"name\":\"mlp\",\"args\":{\"classes\":3,\"hidden\":[20,10]}}",
			{ TD_F32, TD_ROW_MAJOR, 2, { 2, 6 } }, 383, 6, "float32[2, 3]", "3.weight", "float32[10, 20]" },
		{ "{\"name\":\"lstm_classifier\",\"args\":{\"classes\":4}}", { TD_I64, TD_ROW_MAJOR, 2, { 2, 9 } },
			135172, 7, "float32[2, 4]", "lstm.weight_hh_l0", "float32[512, 128]" },
		{ "{\"name\":\"gpt\",\"args\":{\"layers\":3,\"heads\":2,\"width\":8}}",
			{ TD_I64, TD_ROW_MAJOR, 2, { 2, 9 } }, 3024, 41, "float32[2, 9, 20]",
			"blocks.2.self_attn.in_proj_weight", "float32[24, 8]" },
	};
	char text[TD_SHAPE_TEXT];

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct bench b;

		bench_init(&b, rows[i].text, rows[i].in, rows[i].in.dtype == TD_I64 ? 20 : 0, false);
		if (!b.model)
			fail_msg("%s", b.faults.items[0].detail);
		assert_int_equal(b.model->n_parameters, rows[i].parameters);
		assert_int_equal(b.model->n_params, rows[i].n_params);
		assert_string_equal(td_shape_text(&b.model->out, text), rows[i].out);
		assert_string_equal(td_shape_text(&find_param(b.model, rows[i].param)->shape, text), rows[i].shape);
		bench_release(&b);
	}
}

/* The generators and discriminators of CS231n's exercise on adversarial networks, with its counts of parameters. */
static void adversarial_networks_are_lists_of_layers(void **state)
{
	static const struct {
		const char *layers;
		td_shape in;
		int64_t parameters;
		const char *out;
	} rows[] = {
		{ "{\"type\":\"linear\",\"out_features\":256},\"leaky_relu\",{\"type\":\"linear\",\"out_features\":256}"
		  ","
		  "\"leaky_relu\",{\"type\":\"linear\",\"out_features\":1}",
			{ TD_F32, TD_ROW_MAJOR, 2, { 2, 784 } }, 267009, "float32[2, 1]" },
		{ "{\"type\":\"linear\",\"out_features\":1024},\"relu\",{\"type\":\"linear\",\"out_features\":1024},"
		  "\"relu\",{\"type\":\"linear\",\"out_features\":784},\"tanh\"",
			{ TD_F32, TD_ROW_MAJOR, 2, { 2, 4 } }, 1858320, "float32[2, 784]" },
		{ "{\"type\":\"unflatten\",\"unflattened_size\":[1,28,28]},"
		  "{\"type\":\"conv2d\",\"out_channels\":32,\"kernel_size\":5},\"leaky_relu\","
		  "{\"type\":\"max_pool2d\",\"kernel_size\":2},"
		  "{\"type\":\"conv2d\",\"out_channels\":64,\"kernel_size\":5},\"leaky_relu\","
		  "{\"type\":\"max_pool2d\",\"kernel_size\":2},\"flatten\","
		  "{\"type\":\"linear\",\"out_features\":1024},\"leaky_relu\",{\"type\":\"linear\",\"out_features\":1}",
			{ TD_F32, TD_ROW_MAJOR, 2, { 2, 784 } }, 1102721, "float32[2, 1]" },
		{ "{\"type\":\"linear\",\"out_features\":1024},\"relu\",\"batch_norm1d\","
		  "{\"type\":\"linear\",\"out_features\":6272},\"relu\",\"batch_norm1d\","
		  "{\"type\":\"unflatten\",\"unflattened_size\":[128,7,7]},"
		  "{\"type\":\"conv_transpose2d\",\"out_channels\":64,\"kernel_size\":4,\"stride\":2,\"padding\":1},"
		  "\"relu\",\"batch_norm2d\","
		  "{\"type\":\"conv_transpose2d\",\"out_channels\":1,\"kernel_size\":4,\"stride\":2,\"padding\":1},"
		  "\"tanh\",\"flatten\"",
			{ TD_F32, TD_ROW_MAJOR, 2, { 2, 4 } }, 6580801, "float32[2, 784]" },
	};
	char text[TD_SHAPE_TEXT];

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct bench b;

		bench_layers(&b, rows[i].layers, rows[i].in);
		assert_int_equal(b.model->n_parameters, rows[i].parameters);
		assert_string_equal(td_shape_text(&b.model->out, text), rows[i].out);
		bench_release(&b);
	}
}

static void known_models_say_what_is_wrong_with_their_arguments(void **state)
{
	(void)state;
	assert_refused(
		"{\"name\":\"resnet\",\"args\":{\"classes\":10}}", IMAGE, "/model/name", "did you mean \"resnet18\"?");
	assert_refused("{\"name\":\"zebra\"}", IMAGE, "/model/name",
		"known: \"mlp\", \"resnet18\", \"squeezenet1_1\", \"lstm_classifier\" or \"gpt\"");
	assert_refused("{\"name\":\"resnet18\",\"args\":{\"classes\":10,\"smal\":true}}", IMAGE, "/model/args/smal",
		"did you mean \"small\"?");
	assert_refused("{\"name\":\"resnet18\"}", IMAGE, "/model/args", "\"classes\" is missing from resnet18");
	assert_refused("{\"name\":\"gpt\"}", IMAGE, "/model/name", "this data has no vocabulary");
	assert_refused("{\"name\":\"resnet18\",\"args\":3}", IMAGE, "/model/args", "3 is not an object");
	assert_refused("{\"name\":\"squeezenet1_1\",\"args\":{\"classes\":10}}", IMAGE, "/model/name",
		"squeezenet1_1, layer features.");
	assert_refused(
		"{\"name\":\"mlp\",\"args\":{\"classes\":2},\"layers\":[\"relu\"]}", IMAGE, "/model", "not both");
	assert_refused("{}", IMAGE, "/model", "give \"layers\", or the \"name\"");
	assert_refused("{\"layers\":[\"relu\"],\"args\":{}}", IMAGE, "/model/args", "give its \"name\"");
}

/* ---- Freezing ---------------------------------------------------------------------------------------------------- */

static void patterns_freeze_what_they_match(void **state)
{
	const char *patterns[] = { "body.*", "head.b*" }, *nothing[] = { "body", "*.running_mean" };
	struct faults faults;
	struct bench b;

	(void)state;
	faults_init(&faults);
	bench_layers(&b,
		"{\"type\":\"sequential\",\"name\":\"body\",\"layers\":[" LINEAR("") ",\"batch_norm\"]}," LINEAR(
			",\"name\":\"head\""),
		FLAT);
	nn_model_freeze(b.model, &(struct opt_strings){ patterns, 2 }, "/freeze", &faults);
	assert_int_equal(faults.n_found, 0);
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	assert_true(find_param(b.model, "body.0.weight")->frozen && find_param(b.model, "body.1.bias")->frozen);
	assert_true(find_param(b.model, "head.bias")->frozen);
	assert_false(find_param(b.model, "head.weight")->frozen || find_param(b.model, "body.1.running_mean")->frozen);
	nn_model_freeze(b.model, &(struct opt_strings){ nothing, 2 }, "/freeze", &faults);
	assert_int_equal(faults.n_found, 2);
	assert_string_equal(faults.items[0].pointer, "/freeze/0");
	assert_non_null(strstr(faults.items[0].detail, "names are like \"body.0.weight\""));
	assert_string_equal(faults.items[1].pointer, "/freeze/1");
	faults_release(&faults);
	bench_release(&b);
}

/* ---- What is computed ------------------------------------------------------------------------------------------ */

static void a_graph_of_layers_computes_what_it_says(void **state)
{
	static const float numbers[12] = { 1, -2, 3, -4, 5, -6, 0.5f, -0.5f, 0.25f, -0.25f, 2, -1 };
	float out[24];
	td_value *x, *y;
	struct bench b;

	(void)state;
	bench_layers(&b,
		"{\"type\":\"relu\",\"name\":\"r\"},{\"type\":\"residual\",\"layers\":[\"relu\"]},"
		"{\"type\":\"branches\",\"paths\":[[],[{\"type\":\"add\",\"inputs\":[\"r\",\"input\"]}]]}",
		FLAT);
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	x = td_tensor(b.c, &FLAT, numbers);
	td_step_begin(b.c);
	y = nn_forward(b.model, &(struct nn_pass){ .c = b.c }, x);
	td_read(y, out);
	for (int n = 0; n < 2; n++)
		for (int i = 0; i < 6; i++) {
			float v = numbers[6 * n + i], r = v > 0 ? v : 0;

			assert_true(out[12 * n + i] == 2 * r && out[12 * n + 6 + i] == r + v);
		}
	td_step_end(b.c);
	td_unref(x);
	bench_release(&b);
}

static void features_are_what_layers_answer_and_nothing_after_them_runs(void **state)
{
	static const float numbers[12] = { 1, -2, 3, -4, 5, -6, 0.5f, -0.5f, 0.25f, -0.25f, 2, -1 };
	td_value *x, *taken[2], *y;
	float first[12], second[12], out[12];
	int64_t before, dispatched;
	struct bench b;
	int layers[2];

	(void)state;
	bench_layers(&b,
		"{\"type\":\"sequential\",\"name\":\"features\",\"layers\":[\"relu\",{\"type\":\"residual\","
		"\"layers\":[\"tanh\"]},{\"type\":\"sequential\",\"layers\":[\"relu\",\"sigmoid\"]}]},\"tanh\"",
		FLAT);
	layers[0] = nn_model_find(b.model, "features.2");
	layers[1] = nn_model_find(b.model, "features.0");
	assert_string_equal(b.model->layers[layers[0]].name, "features.2.1");
	assert_string_equal(b.model->layers[layers[1]].name, "features.0");
	assert_string_equal(b.model->layers[nn_model_find(b.model, "features.1")].name, "features.1");
	assert_int_equal(nn_model_find(b.model, "feature"), -1);
	assert_int_equal(nn_model_find(b.model, "features.3"), -1);
	x = td_tensor(b.c, &FLAT, numbers);
	td_step_begin(b.c);
	before = td_ctx_counters(b.c).dispatched;
	nn_features(b.model, &(struct nn_pass){ .c = b.c }, x, layers, 2, taken);
	dispatched = td_ctx_counters(b.c).dispatched - before;
	y = nn_forward(b.model, &(struct nn_pass){ .c = b.c }, x);
	assert_int_equal(td_ctx_counters(b.c).dispatched - before, 2 * dispatched + 1);
	td_read(taken[0], first);
	td_read(taken[1], second);
	td_read(y, out);
	for (int i = 0; i < 12; i++) {
		assert_true(second[i] == fmaxf(numbers[i], 0));
		assert_true(fabsf(out[i] - tanhf(first[i])) < 1e-6f);
	}
	td_step_end(b.c);
	td_unref(x);
	bench_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_become_a_list_with_the_paths_of_torch),
		cmocka_unit_test(inputs_are_looked_up_in_the_container_and_then_around_it),
		cmocka_unit_test(names_are_unique_and_plain),
		cmocka_unit_test(an_output_can_be_chosen_and_what_nobody_reads_is_refused),
		cmocka_unit_test(one_mistake_is_one_fault_and_two_are_two),
		cmocka_unit_test(shared_parameters_are_there_once),
		cmocka_unit_test(only_layers_that_are_alike_share),
		cmocka_unit_test(a_model_that_repeats_itself_without_end_is_refused_quickly),
		cmocka_unit_test(containers_stand_in_each_other_only_so_deep),
		cmocka_unit_test(a_path_that_is_too_long_is_refused),
		cmocka_unit_test(sizes_beyond_any_memory_are_refused_and_not_allocated),
		cmocka_unit_test(known_models_have_the_parameters_of_torchvision),
		cmocka_unit_test(adversarial_networks_are_lists_of_layers),
		cmocka_unit_test(known_models_say_what_is_wrong_with_their_arguments),
		cmocka_unit_test(patterns_freeze_what_they_match),
		cmocka_unit_test(a_graph_of_layers_computes_what_it_says),
		cmocka_unit_test(features_are_what_layers_answer_and_nothing_after_them_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
