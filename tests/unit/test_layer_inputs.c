/* What layers take and refuse: sizes that do not fit, and sequences of several lengths. */
#include "layer_rig.h"

#include <math.h>

static const struct {
	const char *layers;
	td_shape in;
	const char *pointer, *words;
} refusals[] = {
	{ "{\"type\":\"linear\",\"out_features\":4}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"float32[2, 3, 9, 7] from the data; put \"flatten\" before it" },
	{ "\"flatten\",\"relu\",{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3}", IMAGE(2, 3, 9, 7),
		"/model/layers/2", "float32[2, 189] from layer 1 (relu); put it before \"flatten\"" },
	{ "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":10}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"kernel_size 10 is larger than the padded input, 9" },
	{ "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3,\"dilation\":5}", IMAGE(2, 3, 9, 7),
		"/model/layers/0", "a kernel of at most 2 here" },
	{ "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3,\"groups\":2}", IMAGE(2, 3, 9, 7),
		"/model/layers/0", "groups 2 does not divide the 3 channels" },
	{ "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3,\"padding\":\"some\"}", IMAGE(2, 3, 9, 7),
		"/model/layers/0/padding", "did you mean \"same\"?" },
	{ "{\"type\":\"conv2d\",\"out_channels\":1000000000,\"kernel_size\":65536,\"padding\":65536}",
		IMAGE(2, 3, 9, 7), "/model/layers/0", "elements that one tensor may have" },
	{ "{\"type\":\"conv1d\",\"out_channels\":8,\"kernel_size\":3}", FLAT(2, 3), "/model/layers/0",
		"conv1d takes rows [N, C, L]" },
	{ "{\"type\":\"max_pool2d\",\"kernel_size\":2,\"padding\":2}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"more than half of kernel_size" },
	{ "{\"type\":\"avg_pool2d\",\"kernel_size\":8}", IMAGE(2, 3, 9, 7), "/model/layers/0", "at most 7 here" },
	{ "{\"type\":\"max_pool2d\",\"kernel_size\":3,\"dilation\":4}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"kernel_size 3 with its dilation is larger than the padded input, 7" },
	{ "{\"type\":\"adaptive_max_pool1d\",\"output_size\":4}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"use the layer whose name ends in \"2d\"" },
	{ "{\"type\":\"conv_transpose2d\",\"out_channels\":4,\"kernel_size\":3}", FLAT(2, 12), "/model/layers/0",
		"put a \"reshape\" to [C, H, W] before it" },
	{ "{\"type\":\"conv_transpose2d\",\"out_channels\":4,\"kernel_size\":3,\"output_padding\":1}",
		IMAGE(2, 3, 9, 7), "/model/layers/0", "must be less than the stride, 1" },
	{ "{\"type\":\"conv_transpose2d\",\"out_channels\":4,\"kernel_size\":3,\"padding\":6}", IMAGE(2, 3, 9, 7),
		"/model/layers/0", "leaves nothing of an output of 11" },
	{ "{\"type\":\"conv_transpose2d\",\"out_channels\":4,\"kernel_size\":3,\"stride\":2,\"padding\":\"same\","
	  "\"output_padding\":1}",
		IMAGE(2, 3, 9, 7), "/model/layers/0", "leave output_padding out" },
	{ "{\"type\":\"conv_transpose1d\",\"out_channels\":4,\"kernel_size\":3,\"groups\":2}", SEQUENCE(2, 3, 9),
		"/model/layers/0", "groups 2 does not divide the 3 channels" },
	{ "\"global_avg_pool\"", FLAT(2, 3), "/model/layers/0", "takes images [N, C, H, W] or rows" },
	{ "\"batch_norm2d\"", FLAT(2, 3), "/model/layers/0", "batch_norm2d takes images" },
	{ "{\"type\":\"layer_norm\",\"axes\":2}", FLAT(2, 3), "/model/layers/0", "at most 1 here" },
	{ "{\"type\":\"rms_norm\",\"axes\":2}", FLAT(2, 3), "/model/layers/0", "rms_norm: axes 2 would take in" },
	{ "{\"type\":\"group_norm\",\"num_groups\":2}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"num_groups 2 does not divide the 3 channels" },
	{ "\"instance_norm1d\"", IMAGE(2, 3, 9, 7), "/model/layers/0", "instance_norm1d takes rows [N, C, L]" },
	{ "\"instance_norm2d\"", IMAGE(2, 3, 1, 1), "/model/layers/0", "more than one value in each channel" },
	{ "{\"type\":\"local_response_norm\",\"size\":2}", FLAT(2, 3), "/model/layers/0",
		"local_response_norm takes [N, C, L]" },
	{ "{\"type\":\"reflection_pad2d\",\"padding\":[0,0,9,0]}", IMAGE(2, 3, 9, 12), "/model/layers/0",
		"needs a height of more than that" },
	{ "\"upsample\"", IMAGE(2, 3, 9, 7), "/model/layers/0", "either \"size\" or \"scale_factor\"" },
	{ "{\"type\":\"upsample\",\"scale_factor\":2,\"align_corners\":true}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"is for the mode \"bilinear\"" },
	{ "{\"type\":\"zero_pad2d\",\"padding\":[1,2]}", IMAGE(2, 3, 9, 7), "/model/layers/0/padding", "4" },
	{ "{\"type\":\"lstm\",\"hidden_size\":4}", FLAT(2, 3), "/model/layers/0", "takes sequences [N, T, features]" },
	{ "\"relu\"", TOKENS(2, 5), "/model/layers/0", "int64[2, 5], from the data; put \"embedding\" before it" },
	{ "{\"type\":\"embedding\",\"embedding_dim\":3}", FLAT(2, 3), "/model/layers/0", "embedding takes tokens" },
	{ "{\"type\":\"embedding\",\"embedding_dim\":3,\"num_embeddings\":19}", TOKENS(2, 5), "/model/layers/0",
		"less than the 20 tokens" },
	{ "{\"type\":\"embedding\",\"embedding_dim\":3,\"padding_idx\":20}", TOKENS(2, 5), "/model/layers/0",
		"not one of the 20 rows" },
	{ "{\"type\":\"reshape\",\"shape\":[5,-1]}", FLAT(2, 12), "/model/layers/0",
		"the sizes make 5 elements, but float32[2, 12] from the data has 12" },
	{ "{\"type\":\"reshape\",\"shape\":[-1,-1]}", FLAT(2, 12), "/model/layers/0", "at most one" },
	{ "{\"type\":\"transpose\",\"dim0\":0}", SEQUENCE(2, 5, 3), "/model/layers/0", "behind the batch" },
	{ "{\"type\":\"softmax\",\"dim\":2}", FLAT(2, 12), "/model/layers/0", "has no axis 2" },
	{ "{\"type\":\"linear\",\"out_features\":4,\"in_features\":7}", FLAT(2, 3), "/model/layers/0/in_features",
		"in_features is 7, but the data gives 3; leave \"in_features\" out" },
	{ "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3,\"in_channels\":1}", IMAGE(2, 3, 9, 7),
		"/model/layers/0/in_channels", "in_channels is 1, but the data gives 3" },
	{ "{\"type\":\"conv_transpose1d\",\"out_channels\":8,\"kernel_size\":3,\"in_channels\":1}", SEQUENCE(2, 3, 9),
		"/model/layers/0/in_channels", "in_channels is 1, but the data gives 3" },
	{ "{\"type\":\"batch_norm2d\",\"num_features\":9}", IMAGE(2, 3, 9, 7), "/model/layers/0/num_features",
		"num_features is 9, but the data gives 3" },
	{ "\"relu\",{\"type\":\"gru\",\"hidden_size\":4,\"input_size\":4}", SEQUENCE(2, 5, 3),
		"/model/layers/1/input_size", "input_size is 4, but layer 0 (relu) gives 3" },
	{ "{\"type\":\"multihead_attention\",\"num_heads\":4}", SEQUENCE(2, 5, 6), "/model/layers/0",
		"num_heads 4 does not divide the 6 features from the data" },
	{ "{\"type\":\"multihead_attention\",\"num_heads\":2}", FLAT(2, 6), "/model/layers/0",
		"takes sequences [N, T, features]" },
	{ "{\"type\":\"multihead_attention\",\"num_heads\":1,\"inputs\":[\"input\",\"input\",\"input\","
	  "\"input\"]}",
		SEQUENCE(2, 5, 6), "/model/layers/0", "takes 1 to 3 inputs, but \"inputs\" names 4" },
	{ "{\"type\":\"multihead_attention\",\"num_heads\":1,\"kdim\":5}", SEQUENCE(2, 5, 6), "/model/layers/0/kdim",
		"kdim is 5, but the data gives 6" },
	{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":4}", SEQUENCE(2, 5, 6), "/model/layers/0",
		"nhead 4 does not divide" },
	{ "{\"type\":\"positional_embedding\",\"num_embeddings\":4}", SEQUENCE(2, 5, 6), "/model/layers/0",
		"num_embeddings 4 is less than the 5 steps from the data" },
	{ "{\"type\":\"prelu\",\"num_parameters\":4}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"num_parameters 4 is neither 1 nor the channels of float32[2, 3, 9, 7]" },
	{ "\"glu\"", FLAT(2, 3), "/model/layers/0",
		"glu halves axis 1, but that of float32[2, 3] from the data has 3 elements" },
	{ "{\"type\":\"hardtanh\",\"min_val\":1}", FLAT(2, 3), "/model/layers/0",
		"max_val 1 must be larger than min_val 1" },
	{ "{\"type\":\"glu\",\"dim\":2}", FLAT(2, 4), "/model/layers/0", "has no axis 2 behind the batch" },
	{ "{\"type\":\"concat\",\"inputs\":[\"input\",\"input\"],\"dim\":4}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"has no axis 4 behind the batch" },
	{ "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3}", SEQUENCE(2, 5, 3), "/model/layers/0",
		"use the layer whose name ends in \"1d\"" },
	{ "{\"name\":\"a\",\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3},"
	  "{\"type\":\"add\",\"inputs\":[\"input\",\"a\"]}",
		IMAGE(2, 3, 9, 7), "/model/layers/1",
		"float32[2, 3, 9, 7] from the data and float32[2, 8, 7, 5] from layer a (conv2d) differ in "
		"channels (3 and 8) and height (9 and 7) and width (7 and 5); let both shrink the image alike" },
	{ "{\"name\":\"a\",\"type\":\"linear\",\"out_features\":5},{\"type\":\"add\",\"inputs\":[\"input\","
	  "\"a\"]}",
		FLAT(2, 3), "/model/layers/1", "differ in features (3 and 5); a \"linear\" changes the last axis" },
	{ "\"dropout2d\"", FLAT(2, 3), "/model/layers/0", "takes images [N, C, H, W]" },
	{ "{\"type\":\"flatten\",\"start_dim\":2,\"end_dim\":1}", IMAGE(2, 3, 9, 7), "/model/layers/0",
		"in this order" },
	{ "{\"type\":\"unflatten\",\"unflattened_size\":[2,-1]}", FLAT(2, 3), "/model/layers/0",
		"has 3 to fill them in each sample; use sizes that divide them" },
	{ "{\"type\":\"unflatten\",\"unflattened_size\":[1,1,1,1,3]}", SEQUENCE(2, 3, 1), "/model/layers/0",
		"more than 6 axes" },
	{ "{\"type\":\"linear\"}", FLAT(2, 3), "/model/layers/0", "\"out_features\" is missing" },
};

static void a_layer_says_what_does_not_fit_and_what_to_do(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(refusals); i++) {
		char *text = mem_printf("{\"layers\":[%s]}", refusals[i].layers);

		assert_refused(text, refusals[i].in, refusals[i].pointer, refusals[i].words);
		mem_free(text);
	}
}

static void explicit_sizes_that_are_right_are_taken(void **state)
{
	struct bench b;

	(void)state;
	bench_layers(&b,
		"{\"type\":\"gru\",\"hidden_size\":4,\"input_size\":3},{\"type\":\"linear\",\"in_features\":4,"
		"\"out_features\":6},{\"type\":\"multihead_attention\",\"embed_dim\":6,\"num_heads\":3,\"kdim\":6,"
		"\"vdim\":6},{\"type\":\"transformer_encoder_layer\",\"d_model\":6,\"nhead\":2}",
		(td_shape)SEQUENCE(2, 5, 3));
	assert_int_equal(b.model->n_layers, 4);
	bench_release(&b);
}

static void lengths_must_still_be_those_of_the_sequences(void **state)
{
	static const char shortened[] = "{\"layers\":[{\"type\":\"embedding\",\"embedding_dim\":4},\"transpose\","
					"{\"type\":\"conv1d\",\"out_channels\":4,\"kernel_size\":3},\"transpose\","
					"{\"type\":\"lstm\",\"hidden_size\":3}]}";
	struct bench b;

	(void)state;
	bench_init(&b, shortened, (td_shape)TOKENS(2, 9), 20, true);
	assert_int_equal(b.faults.n_found, 1);
	assert_string_equal(b.faults.items[0].pointer, "/model/layers/4");
	assert_non_null(strstr(b.faults.items[0].detail, "has 7 steps and no longer the data's 9"));
	bench_release(&b);
	bench_init(&b, shortened, (td_shape)TOKENS(2, 9), 20, false); /* all are as long as the axis */
	assert_non_null(b.model);
	bench_release(&b);
}

/* Outputs of LAYERS over two sequences of 5 steps, the second of which ends behind the third: what stands behind it is
 * JUNK. */
static float *padded_outputs(const char *layers, float junk)
{
	char *text = mem_printf("{\"layers\":[%s]}", layers);
	td_shape in = SEQUENCE(2, 5, 6), two = td_shape_make(TD_I64, 1, 2);
	float numbers[2][5][6], *out;
	struct nn_pass pass = { 0 };
	struct bench b;
	td_value *x;

	for (int i = 0; i < 60; i++)
		(&numbers[0][0][0])[i] = i / 6 < 8 ? sinf((float)i) : junk;
	bench_init(&b, text, in, 0, true);
	assert_non_null(b.model);
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	x = td_tensor(b.c, &in, numbers);
	pass.c = b.c;
	pass.lengths = td_tensor(b.c, &two, (int64_t[]){ 5, 3 });
	td_step_begin(b.c);
	out = elements(nn_forward(b.model, &pass, x));
	td_step_end(b.c);
	td_unref(x);
	td_unref(pass.lengths);
	bench_release(&b);
	mem_free(text);
	return out;
}

static void nothing_that_counts_depends_on_what_stands_behind_a_sequence(void **state)
{
	static const char *const layers[] = { "\"sequence_mean\"",
		"{\"type\":\"rnn\",\"hidden_size\":3,\"bidirectional\":true,\"return\":\"last\"}",
		"{\"type\":\"lstm\",\"hidden_size\":3,\"num_layers\":2,\"bidirectional\":true,\"return\":\"last\"}",
		"{\"type\":\"gru\",\"hidden_size\":3,\"bidirectional\":true},\"sequence_mean\"",
		"{\"type\":\"multihead_attention\",\"num_heads\":2},\"sequence_mean\"",
		"{\"type\":\"transformer_encoder_layer\",\"nhead\":3,\"dim_feedforward\":7,\"norm_first\":true},"
		"{\"type\":\"transformer_encoder_layer\",\"nhead\":3,\"dim_feedforward\":7},\"sequence_mean\"" };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(layers); i++) {
		float *a = padded_outputs(layers[i], 0), *b = padded_outputs(layers[i], 1e6f);

		if (memcmp(a, b, 12 * sizeof *a) != 0)
			fail_msg("%s looks behind the end of a sequence", layers[i]);
		mem_free(a);
		mem_free(b);
	}
}

static void causal_layers_do_not_look_ahead(void **state)
{
	static const char *const layers[] = { "{\"type\":\"multihead_attention\",\"num_heads\":2,\"causal\":true}",
		"{\"type\":\"transformer_encoder_layer\",\"nhead\":2,\"dim_feedforward\":7,\"causal\":true}" };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(layers); i++) {
		float *a = padded_outputs(layers[i], 0), *b = padded_outputs(layers[i], 3);

		/* steps 0 to 2 of the second sequence see none of the steps that differ; all outputs are [2, 5, 6] */
		assert_memory_equal(a, b, sizeof *a * (30 + 18));
		mem_free(a);
		mem_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_layer_says_what_does_not_fit_and_what_to_do),
		cmocka_unit_test(explicit_sizes_that_are_right_are_taken),
		cmocka_unit_test(lengths_must_still_be_those_of_the_sequences),
		cmocka_unit_test(nothing_that_counts_depends_on_what_stands_behind_a_sequence),
		cmocka_unit_test(causal_layers_do_not_look_ahead),
	};

	return cmocka_run_group_tests_name("layer inputs", tests, NULL, NULL);
}
