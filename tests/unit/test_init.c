/* Initial weights: where they come from, and how they spread. */
#include "layer_rig.h"

#include <math.h>

static void initial_weights_depend_on_seed_and_name_alone(void **state)
{
	td_shape in = FLAT(4, 50);
	struct bench a, b;

	(void)state;
	bench_layers(
		&a, "{\"type\":\"linear\",\"out_features\":50},\"relu\",{\"type\":\"linear\",\"out_features\":50}", in);
	/* Another layer between two weights does not move them, and neither does one behind. */
	bench_layers(&b,
		"{\"type\":\"linear\",\"out_features\":50},\"dropout\",{\"type\":\"linear\",\"out_features\":50},"
		"\"relu\"",
		in);
	assert_int_equal(nn_model_allocate(a.model, a.c, 7), TD_OK);
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	for (int i = 0; i < a.model->n_params; i++)
		assert_memory_equal(td_data(a.model->params[i].value), td_data(b.model->params[i].value),
			td_shape_bytes(&a.model->params[i].shape));
	assert_string_equal(a.model->params[2].name, "2.weight");
	/* Alike in all but their names. */
	assert_memory_not_equal(
		td_data(a.model->params[0].value), td_data(a.model->params[2].value), 50 * sizeof(float));
	bench_release(&a);
	bench_release(&b);
}

/* Mean, standard deviation and largest size of parameter P of B. */
static void measure_param(const struct bench *b, int p, double *mean, double *deviation, double *largest)
{
	int64_t n = td_shape_count(&b->model->params[p].shape);
	double sum = 0, squares = 0;

	*largest = 0;
	for (int64_t i = 0; i < n; i++) {
		double v = (double)((float *)td_data(b->model->params[p].value))[i];

		sum += v;
		squares += v * v;
		*largest = fmax(*largest, fabs(v));
	}
	*mean = sum / (double)n;
	*deviation = sqrt(squares / (double)n - *mean * *mean);
}

/* The same of LAYER with DEFAULTS. */
static void measure_as(
	const char *layer, td_shape in, const char *defaults, int p, double *mean, double *deviation, double *largest)
{
	struct bench b;

	bench_layers_as(&b, layer, in, defaults);
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	measure_param(&b, p, mean, deviation, largest);
	bench_release(&b);
}

static void measure(const char *layer, td_shape in, int p, double *mean, double *deviation, double *largest)
{
	measure_as(layer, in, "pytorch", p, mean, deviation, largest);
}

/* The rows or the columns of parameter P, whichever are fewer, have length GAIN and stand at right angles. */
static void assert_orthogonal(const struct bench *b, int p, double gain)
{
	const float *w = td_data(b->model->params[p].value);
	int64_t rows = b->model->params[p].shape.dim[0], columns = td_shape_count(&b->model->params[p].shape) / rows;
	int64_t n = TD_MIN(rows, columns), m = TD_MAX(rows, columns), step = rows < columns ? columns : 1,
		along = rows < columns ? 1 : columns;

	for (int64_t i = 0; i < n; i++)
		for (int64_t j = 0; j <= i; j++) {
			double dot = 0;

			for (int64_t k = 0; k < m; k++)
				dot += (double)w[i * step + k * along] * (double)w[j * step + k * along];
			if (!(fabs(dot - (i == j ? gain * gain : 0)) < 1e-6 * gain * gain))
				fail_msg("%s: the product of %d and %d is %g", b->model->params[p].name, (int)i, (int)j,
					dot);
		}
}

static void orthogonal_matrices_have_right_angles(void **state)
{
	static const struct {
		const char *layer;
		td_shape in;
		double gain;
	} layers[] = {
		{ "{\"type\":\"linear\",\"out_features\":60,\"init\":\"orthogonal\"}", FLAT(4, 23), 1 },
		{ "{\"type\":\"linear\",\"out_features\":7,\"init\":{\"type\":\"orthogonal\",\"gain\":3}}", FLAT(4, 40),
			3 },
		{ "{\"type\":\"conv2d\",\"out_channels\":5,\"kernel_size\":3,\"init\":\"orthogonal\"}",
			IMAGE(2, 3, 8, 8), 1 },
	};
	double mean, deviation, largest;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(layers); i++) {
		struct bench b;

		bench_layers(&b, layers[i].layer, layers[i].in);
		assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
		assert_orthogonal(&b, 0, layers[i].gain);
		/* As wide as a matrix of any other directions: no axis is preferred. */
		measure_param(&b, 0, &mean, &deviation, &largest);
		assert_true(fabs(mean) < 0.3 * deviation && largest < 5 * deviation);
		bench_release(&b);
	}
}

static void a_vector_that_is_orthogonal_has_length_one(void **state)
{
	struct bench b;

	(void)state;
	bench_layers(&b, "{\"type\":\"linear\",\"out_features\":9,\"bias_init\":\"orthogonal\"}", (td_shape)FLAT(4, 3));
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	assert_orthogonal(&b, 1, 1);
	bench_release(&b);
}

/* Keras' glorot_uniform, orthogonal, zeros, and 1 for what an LSTM forgets. */
static void recurrent_layers_start_as_kerass(void **state)
{
	static const struct {
		const char *layer;
		double largest; /* of the input's weights: sqrt(6 / (400 + gates 25)) */
		bool forgets;
	} layers[] = {
		{ "{\"type\":\"rnn\",\"hidden_size\":25}", 0.118818, false },
		{ "{\"type\":\"gru\",\"hidden_size\":25}", 0.112390, false },
		{ "{\"type\":\"lstm\",\"hidden_size\":25}", 0.109545, true },
	};
	double mean, deviation, largest;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(layers); i++) {
		const float *bias[2];
		struct bench b;

		bench_layers_as(&b, layers[i].layer, (td_shape)SEQUENCE(2, 3, 400), "keras");
		assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
		measure_param(&b, 0, &mean, &deviation, &largest);
		assert_true(largest <= layers[i].largest && largest > 0.995 * layers[i].largest);
		assert_orthogonal(&b, 1, 1);
		for (int k = 0; k < 2; k++)
			bias[k] = td_data(b.model->params[2 + k].value);
		for (int64_t k = 0; k < b.model->params[2].shape.dim[0]; k++) {
			assert_true(bias[0][k] == (layers[i].forgets && k >= 25 && k < 50 ? 1.0F : 0.0F));
			assert_true(bias[1][k] == 0);
		}
		bench_release(&b);
	}
	measure_as("{\"type\":\"lstm\",\"hidden_size\":25,\"init\":\"ones\",\"recurrent_init\":\"zeros\"}",
		(td_shape)SEQUENCE(2, 3, 4), "pytorch", 0, &mean, &deviation, &largest);
	assert_true(mean == 1 && deviation == 0);
	measure_as("\"prelu\"", (td_shape)FLAT(2, 3), "keras", 0, &mean, &deviation, &largest);
	assert_true(largest == 0);
}

/* Keras' counts: 4 (400 + 25 + 1) 25 and (400 + 25 + 1) 25.  The other bias is there for torch's layer, and zero. */
static void a_recurrent_layer_can_have_one_bias(void **state)
{
	static const struct {
		const char *layer, *torch;
		int64_t parameters;
	} rows[] = {
		{ "{\"type\":\"lstm\",\"hidden_size\":25,\"recurrent_bias\":false}",
			"nn.LSTM(400, 25, batch_first=True)", 42600 },
		{ "{\"type\":\"rnn\",\"hidden_size\":25,\"recurrent_bias\":false,\"bias_init\":\"ones\"}",
			"nn.RNN(400, 25, batch_first=True)", 10650 },
	};
	double mean, deviation, largest;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct bench b;
		struct buf torch;

		bench_layers(&b, rows[i].layer, (td_shape)SEQUENCE(2, 3, 400));
		assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
		assert_int_equal(b.model->n_parameters, rows[i].parameters);
		assert_string_equal(b.model->params[3].name, "0.bias_hh_l0");
		assert_true(b.model->params[3].buffer && !b.model->params[2].buffer);
		measure_param(&b, 2, &mean, &deviation, &largest);
		assert_true(largest > 0);
		measure_param(&b, 3, &mean, &deviation, &largest);
		assert_true(largest == 0);
		buf_init(&torch, 1000);
		b.model->layers[0].type->torch(&b.model->layers[0], &torch);
		assert_string_equal(torch.data, rows[i].torch);
		buf_release(&torch);
		bench_release(&b);
	}
}

/* Glorot's bound of each projection by itself where torch has one of all three, and of what torch.nn.Linear starts. */
static void attention_starts_as_kerass(void **state)
{
	static const struct {
		const char *layer, *defaults, *param;
		double largest;
	} rows[] = {
		{ "{\"type\":\"multihead_attention\",\"num_heads\":4}", "keras", "0.in_proj_weight", 0.273861 },
		{ "{\"type\":\"multihead_attention\",\"num_heads\":4}", "keras", "0.out_proj.weight", 0.273861 },
		{ "{\"type\":\"multihead_attention\",\"num_heads\":4}", "pytorch", "0.in_proj_weight", 0.193649 },
		{ "{\"type\":\"multihead_attention\",\"num_heads\":4}", "pytorch", "0.out_proj.weight", 0.158114 },
		{ "{\"type\":\"multihead_attention\",\"num_heads\":4,\"joint_fans\":false,\"out_init\":\"ones\"}",
			"pytorch", "0.in_proj_weight", 0.273861 },
		{ "{\"type\":\"multihead_attention\",\"num_heads\":4,\"joint_fans\":false,\"out_init\":\"ones\"}",
			"pytorch", "0.out_proj.weight", 1 },
		{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":4}", "keras", "0.self_attn.in_proj_weight",
			0.273861 },
		{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":4}", "keras", "0.self_attn.out_proj.weight",
			0.273861 },
		{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":4}", "keras", "0.linear1.weight", 0.0536056 },
		{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":4}", "keras", "0.linear2.weight", 0.0536056 },
		{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":4}", "keras", "0.linear1.bias", 0 },
		{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":4}", "keras", "0.linear2.bias", 0 },
		{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":4}", "pytorch", "0.linear1.bias", 0.158114 },
		{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":4}", "pytorch", "0.linear2.weight", 0.0220971 },
		{ "\"positional_embedding\"", "keras", "0.weight", 0.05 },
	};
	double mean, deviation, largest;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct bench b;
		int p = 0;

		bench_layers_as(&b, rows[i].layer, (td_shape)SEQUENCE(2, 20, 40), rows[i].defaults);
		assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
		while (p < b.model->n_params && strcmp(b.model->params[p].name, rows[i].param) != 0)
			p++;
		assert_true(p < b.model->n_params);
		measure_param(&b, p, &mean, &deviation, &largest);
		if (!(largest <= rows[i].largest * 1.000001 && largest >= 0.99 * rows[i].largest))
			fail_msg("%s of %s: %g", rows[i].param, rows[i].layer, largest);
		bench_release(&b);
	}
}

static void initialisers_have_the_spread_of_their_definitions(void **state)
{
	static const struct {
		const char *init; /* of a linear layer from 40 to 1000 */
		double mean, deviation, largest;
	} inits[] = {
		{ "{\"type\":\"kaiming_uniform\",\"a\":2.23606797749979}", 0, 0.0912871,
			0.158114 }, /* torch's default */
		{ "\"kaiming_uniform\"", 0, 0.223607, 0.387298 },
		{ "\"kaiming_normal\"", 0, 0.223607, 0 },
		{ "{\"type\":\"kaiming_normal\",\"mode\":\"fan_out\",\"a\":1}", 0, 0.0316228, 0 },
		{ "\"xavier_uniform\"", 0, 0.0438529, 0.0759555 },
		{ "{\"type\":\"xavier_normal\",\"gain\":2}", 0, 0.0877058, 0 },
		{ "\"variance_scaling\"", 0, 0.158114, 0.359507 },
		{ "{\"type\":\"variance_scaling\",\"scale\":2}", 0, 0.223607, 0.508419 }, /* Keras' he_normal */
		{ "{\"type\":\"variance_scaling\",\"mode\":\"fan_avg\",\"distribution\":\"uniform\"}", 0, 0.0438529,
			0.0759555 },
		{ "{\"type\":\"variance_scaling\",\"mode\":\"fan_out\",\"distribution\":\"untruncated_normal\"}", 0,
			0.0316228, 0 },
		{ "{\"type\":\"normal\",\"mean\":3,\"std\":0.5}", 3, 0.5, 0 },
		{ "{\"type\":\"uniform\",\"a\":-1,\"b\":0}", -0.5, 0.288675, 1 },
		{ "\"zeros\"", 0, 0, 0 },
		{ "\"ones\"", 1, 0, 1 },
		{ "\"bias_uniform\"", 0, 0.0912871, 0.158114 },
	};
	double mean, deviation, largest;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(inits); i++) {
		char *layer = mem_printf("{\"type\":\"linear\",\"out_features\":1000,\"init\":%s}", inits[i].init);

		measure(layer, (td_shape)FLAT(4, 40), 0, &mean, &deviation, &largest);
		if (fabs(mean - inits[i].mean) > 0.02 * fmax(inits[i].deviation, 1e-9) ||
			fabs(deviation - inits[i].deviation) > 0.02 * inits[i].deviation + 1e-9 ||
			(inits[i].largest > 0 && fabs(largest - inits[i].largest) > 0.001 * inits[i].largest))
			fail_msg("%s: mean %g, deviation %g, largest %g", inits[i].init, mean, deviation, largest);
		mem_free(layer);
	}
	measure("{\"type\":\"linear\",\"out_features\":1000}", (td_shape)FLAT(4, 40), 0, &mean, &deviation, &largest);
	assert_true(fabs(deviation - 0.0912871) < 0.002 && largest <= 0.158114);
	measure("{\"type\":\"lstm\",\"hidden_size\":25}", (td_shape)SEQUENCE(2, 3, 400), 0, &mean, &deviation,
		&largest);
	assert_true(largest <= 0.2 && largest > 0.199); /* 1 / sqrt(hidden size), whatever the input's size is */
}

static void the_row_of_the_padding_token_is_zero(void **state)
{
	float weight[20 * 6], zero[6] = { 0 };
	struct bench b;

	(void)state;
	bench_layers(&b, "{\"type\":\"embedding\",\"embedding_dim\":6,\"padding_idx\":3}", (td_shape)TOKENS(2, 5));
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	td_read(b.model->params[0].value, weight);
	for (int i = 0; i < 20; i++)
		assert_true((memcmp(weight + (ptrdiff_t)6 * i, zero, sizeof zero) == 0) == (i == 3));
	bench_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(initial_weights_depend_on_seed_and_name_alone),
		cmocka_unit_test(initialisers_have_the_spread_of_their_definitions),
		cmocka_unit_test(orthogonal_matrices_have_right_angles),
		cmocka_unit_test(a_vector_that_is_orthogonal_has_length_one),
		cmocka_unit_test(recurrent_layers_start_as_kerass),
		cmocka_unit_test(a_recurrent_layer_can_have_one_bias),
		cmocka_unit_test(attention_starts_as_kerass),
		cmocka_unit_test(the_row_of_the_padding_token_is_zero),
	};

	return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
