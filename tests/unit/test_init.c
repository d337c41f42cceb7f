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

/* Mean, standard deviation and largest size of parameter P of LAYER. */
static void measure(const char *layer, td_shape in, int p, double *mean, double *deviation, double *largest)
{
	double sum = 0, squares = 0;
	struct bench b;
	int64_t n;

	bench_layers(&b, layer, in);
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	n = td_shape_count(&b.model->params[p].shape);
	*largest = 0;
	for (int64_t i = 0; i < n; i++) {
		double v = (double)((float *)td_data(b.model->params[p].value))[i];

		sum += v;
		squares += v * v;
		*largest = fmax(*largest, fabs(v));
	}
	*mean = sum / (double)n;
	*deviation = sqrt(squares / (double)n - *mean * *mean);
	bench_release(&b);
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
		cmocka_unit_test(the_row_of_the_padding_token_is_zero),
	};

	return cmocka_run_group_tests_name("init", tests, NULL, NULL);
}
