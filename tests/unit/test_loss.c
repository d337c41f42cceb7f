/* Losses against PyTorch's numbers, and what is said of models that do not fit them. */
#include "learn_rig.h"
#include "learn_golden.h"
#include "keras_golden.h"

/* What the targets are; P_: the outputs are probabilities. */
enum target { LABELS, TOKENS, SHARES, BINARY, VALUES, P_LABELS, P_SHARES, P_BINARY };

static const float output[12] = { 0.5f, -1, 2, 1.5f, 0.25f, -0.75f, -2, 1, 1, 0.125f, 3, -1 };
static const float single[4] = { 0.5f, -1.5f, 2, 30 };
static const int64_t labels[4] = { 0, 2, 1, 2 }, tokens[4] = { 0, 2, DATA_IGNORE, 1 }, binary[4] = { 0, 1, 1, 0 };
static const float shares[12] = { 0.2f, 0.3f, 0.5f, 1, 0, 0, 0, 0.25f, 0.75f, 0.1f, 0.8f, 0.1f };
static const float values[12] = { 0.75f, -1, -3, 1, 2.5f, -0.5f, -2.25f, 1.5f, 5, 0, 3, 1 };
static const float probabilities[12] = { 0.25f, 0.125f, 0.625f, 0.5f, 0.375f, 0.125f, 0.0625f, 0.3125f, 0.625f, 0.75f,
	0.125f, 0.125f };
static const float chances[4] = { 0.25f, 0.75f, 0.5f, 0.875f };

static const struct golden {
	const char *spec;
	enum target target;
	double mean, gradient[12];
	double second[12]; /* of Keras: not given */
} golden[] = { GOLDEN_LOSSES }, golden_keras[] = { GOLDEN_KERAS_LOSSES };

static bool is_single(enum target target)
{
	return target == BINARY || target == P_BINARY;
}

static td_value *make_output(td_ctx *c, enum target target)
{
	td_shape shape = target == TOKENS    ? td_shape_make(TD_F32, 3, (int64_t)2, (int64_t)2, (int64_t)3)
			 : is_single(target) ? td_shape_make(TD_F32, 2, (int64_t)4, (int64_t)1)
					     : td_shape_make(TD_F32, 2, (int64_t)4, (int64_t)3);

	return td_tensor(c, &shape,
		target == P_BINARY                         ? chances
		: target == BINARY                         ? single
		: target == P_LABELS || target == P_SHARES ? probabilities
							   : output);
}

static td_value *make_target(td_ctx *c, enum target target)
{
	td_shape flat = td_shape_make(TD_I64, 1, (int64_t)4), steps = td_shape_make(TD_I64, 2, (int64_t)2, (int64_t)2);
	td_shape wide = td_shape_make(TD_F32, 2, (int64_t)4, (int64_t)3);

	switch (target) {
	case LABELS:
	case P_LABELS: return td_tensor(c, &flat, labels);
	case BINARY:
	case P_BINARY: return td_tensor(c, &flat, binary);
	case TOKENS: return td_tensor(c, &steps, tokens);
	case SHARES:
	case P_SHARES: return td_tensor(c, &wide, shares);
	case VALUES: return td_tensor(c, &wide, values);
	}
	return NULL;
}

/* V as float64, the caller's; integers as they are.  Shares are written in decimals that float32 does not hold. */
static td_value *widen(td_ctx *c, td_value *v, enum target target, bool is_target)
{
	static const double exact[12] = { 0.2, 0.3, 0.5, 1, 0, 0, 0, 0.25, 0.75, 0.1, 0.8, 0.1 };
	td_shape shape = *td_shape_of(v);
	float narrow[12];
	double wide[12];

	if (shape.dtype != TD_F32)
		return v;
	td_read(v, narrow);
	for (int64_t i = 0; i < td_shape_count(&shape); i++)
		wide[i] = is_target && (target == SHARES || target == P_SHARES) ? exact[i] : (double)narrow[i];
	td_unref(v);
	shape.dtype = TD_F64;
	return td_tensor(c, &shape, wide);
}

static void read(const td_value *v, double out[12])
{
	float narrow[12] = { 0 };

	memset(out, 0, sizeof *out * 12);
	if (!v)
		return; /* no gradient: zeros */
	td_read(v, td_shape_of(v)->dtype == TD_F64 ? (void *)out : narrow);
	for (int64_t i = 0; i < td_shape_count(td_shape_of(v)) && td_shape_of(v)->dtype == TD_F32; i++)
		out[i] = (double)narrow[i];
}

static void assert_all_near(const td_value *got, const double *want, double tolerance, const char *what)
{
	double x[12];

	read(got, x);
	for (int k = 0; k < 12; k++)
		assert_near(x[k], want[k], tolerance, what);
}

/* Mean, gradient, and the gradient of the gradient's squares, as a penalty takes it. */
static void check(const struct golden *g, const char *defaults, bool wide, bool twice)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	td_value *x = make_output(c, g->target), *y = make_target(c, g->target);
	td_value *weight = NULL, *each, *mean, *first = NULL, *second = NULL, *squares;
	const struct nn_loss_type *type;
	struct chosen loss;
	double tolerance = wide ? 1e-12 : 1e-6;

	if (wide) {
		x = widen(c, x, g->target, false);
		y = widen(c, y, g->target, true);
	}
	chosen_init_as(&loss, &nn_losses, g->spec, defaults);
	type = (const struct nn_loss_type *)loss.choice.type;
	td_require_grad(c, x, true);
	td_step_begin(c);
	each = type->each(c, loss.choice.options, x, y, &weight);
	mean = nn_loss_mean(c, each, weight);
	td_gradients(c, &mean, NULL, 1, &x, 1, TD_CREATE_GRAPH, &first);
	squares = td_sum_squares(c, first);
	if (squares && twice)
		td_gradients(c, &squares, NULL, 1, &x, 1, 0, &second);
	if (td_error(c)->status)
		fail_msg("%s: %s", g->spec, td_error(c)->text);
	assert_near(td_item(mean), g->mean, tolerance, g->spec);
	if (td_shape_of(y)->dtype == TD_I64) /* of shares and values some losses make one, some one for each class */
		assert_int_equal(td_shape_of(each)->rank, td_shape_of(y)->rank);
	assert_all_near(first, g->gradient, tolerance, g->spec);
	if (twice)
		assert_all_near(second, g->second, 10 * tolerance, g->spec);
	td_step_end(c);
	td_unref(x);
	td_unref(y);
	chosen_release(&loss);
	td_ctx_free(c);
}

static void means_and_gradients_are_pytorchs(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden); i++) {
		check(&golden[i], "pytorch", true, true);
		check(&golden[i], "pytorch", false, true);
	}
}

static void means_and_gradients_from_probabilities_are_kerass(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden_keras); i++) {
		check(&golden_keras[i], "keras", true, false);
		check(&golden_keras[i], "keras", false, false);
	}
}

static void what_does_not_count_has_no_loss(void **state)
{
	static const char *const specs[] = { "\"cross_entropy\"",
		"{\"type\":\"cross_entropy\",\"label_smoothing\":0.3}" };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(specs); i++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
		td_value *x = make_output(c, TOKENS), *y = make_target(c, TOKENS), *weight = NULL, *each;
		float losses[4];
		struct chosen loss;

		chosen_init(&loss, &nn_losses, specs[i]);
		td_step_begin(c);
		each = ((const struct nn_loss_type *)loss.choice.type)->each(c, loss.choice.options, x, y, &weight);
		td_read(each, losses);
		assert_true(losses[0] > 0 && losses[1] > 0 && losses[2] == 0 && losses[3] > 0);
		assert_true(td_item(weight) == 3);
		td_step_end(c);
		td_unref(x);
		td_unref(y);
		chosen_release(&loss);
		td_ctx_free(c);
	}
}

/* torch's mean is 0 / 0; Keras' is 0. */
static void where_no_target_counts_loss_and_gradient_are_zero(void **state)
{
	static const struct {
		const char *spec;
		enum target target;
	} rows[] = {
		{ "{\"type\":\"cross_entropy\",\"ignore_index\":2}", LABELS },
		{ "{\"type\":\"cross_entropy\",\"weight\":[1,1,0],\"label_smoothing\":0.2}", LABELS },
		{ "{\"type\":\"cross_entropy\",\"ignore_index\":2,\"from_probabilities\":true}", P_LABELS },
		{ "{\"type\":\"nll\",\"ignore_index\":2}", LABELS },
		{ "{\"type\":\"nll\",\"weight\":[1,1,0]}", LABELS },
		{ "\"cross_entropy\"", TOKENS },
		{ "\"nll\"", TOKENS },
		{ "\"multi_margin\"", TOKENS },
		{ "\"hinge\"", TOKENS },
	};
	static const int64_t all_of_2[4] = { 2, 2, 2, 2 };
	static const int64_t none[4] = { DATA_IGNORE, DATA_IGNORE, DATA_IGNORE, DATA_IGNORE };
	static const double zeros[12] = { 0 };

	(void)state;
	for (size_t i = 0; i < 2 * TD_COUNT(rows); i++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
		enum target target = rows[i / 2].target;
		td_value *x = make_output(c, target), *y = make_target(c, target), *weight = NULL, *mean, *gradient;
		struct chosen loss;

		x = i % 2 ? widen(c, x, target, false) : x;
		td_write(y, target == TOKENS ? none : all_of_2);
		chosen_init(&loss, &nn_losses, rows[i / 2].spec);
		td_require_grad(c, x, true);
		td_step_begin(c);
		mean = ((const struct nn_loss_type *)loss.choice.type)->each(c, loss.choice.options, x, y, &weight);
		mean = nn_loss_mean(c, mean, weight);
		td_gradients(c, &mean, NULL, 1, &x, 1, 0, &gradient);
		assert_near(td_item(mean), 0, 0, rows[i / 2].spec);
		assert_all_near(gradient, zeros, 0, rows[i / 2].spec);
		td_step_end(c);
		td_unref(x);
		td_unref(y);
		chosen_release(&loss);
		td_ctx_free(c);
	}
}

static void answers_are_probabilities_or_values(void **state)
{
	static const struct {
		const char *spec;
		enum target target;
		int n;
		double first[3]; /* of the first row */
	} rows[] = {
		{ "\"cross_entropy\"", LABELS, 12, { 0.175290392, 0.0391125733, 0.785597035 } },
		{ "\"cross_entropy\"", TOKENS, 12, { 0.175290392, 0.0391125733, 0.785597035 } },
		{ "\"bce_with_logits\"", BINARY, 8, { 0.377540669, 0.622459331, 0.817574476 } },
		{ "\"bce_with_logits\"", SHARES, 12, { 0.622459331, 0.268941421, 0.880797078 } },
		{ "\"mse\"", VALUES, 12, { 0.5, -1, 2 } },
		{ "\"huber\"", VALUES, 12, { 0.5, -1, 2 } },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
		td_value *x = make_output(c, rows[i].target), *answer;
		struct chosen loss;
		float read[12];

		chosen_init(&loss, &nn_losses, rows[i].spec);
		td_step_begin(c);
		answer = ((const struct nn_loss_type *)loss.choice.type)->answer(c, loss.choice.options, x);
		assert_int_equal(td_shape_count(td_shape_of(answer)), rows[i].n);
		td_read(answer, read);
		for (int k = 0; k < 3; k++)
			assert_near((double)read[k], rows[i].first[k], 1e-6, rows[i].spec);
		td_step_end(c);
		td_unref(x);
		chosen_release(&loss);
		td_ctx_free(c);
	}
}

/* What torch has of binary_cross_entropy(sigmoid([-200, 200, 0]), [1, 0, 1]): the gradients of p end at 1e12. */
static void bce_of_a_saturated_sigmoid_has_a_finite_gradient(void **state)
{
	static const float logits[] = { -200, 200, 0 }, targets[] = { 1, 0, 1 };
	static const double losses[] = { 100, 100, 0.693147181 }, slopes[] = { 0, 0, -0.5 };
	td_shape s = td_shape_make(TD_F32, 2, 3, 1);
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	td_value *x = td_tensor(c, &s, logits), *y = td_tensor(c, &s, targets), *each, *sum, *grad, *weight = NULL;
	struct chosen loss;
	float read[3];

	(void)state;
	chosen_init(&loss, &nn_losses, "\"bce\"");
	td_require_grad(c, x, true);
	td_step_begin(c);
	each = ((const struct nn_loss_type *)loss.choice.type)
		       ->each(c, loss.choice.options, td_sigmoid(c, x), y, &weight);
	td_read(each, read);
	for (int k = 0; k < 3; k++)
		assert_near((double)read[k], losses[k], 1e-6, "a loss");
	sum = td_sum(c, each, TD_ALL_AXES, false);
	td_gradients(c, &sum, NULL, 1, &x, 1, 0, &grad);
	td_read(grad, read);
	for (int k = 0; k < 3; k++)
		assert_near((double)read[k], slopes[k], 1e-6, "a slope");
	td_step_end(c);
	td_unref(x);
	td_unref(y);
	chosen_release(&loss);
	td_ctx_free(c);
}

/* ---- What does not fit ------------------------------------------------------------------------------------------- */

static const struct data_facts of_classes = { .target = DATA_CLASS, .n_classes = 10, .dataset = "digits" };
static const struct data_facts of_two = { .target = DATA_CLASS, .n_classes = 2, .dataset = "mails" };
static const struct data_facts of_shares = {
	.target = DATA_SHARES, .n_classes = 10, .y = { .rank = 1, .dim = { 10 } }, .dataset = "digits"
};
static const struct data_facts of_tokens = {
	.target = DATA_TOKENS, .n_classes = 9, .y = { .rank = 1, .dim = { 7 } }, .dataset = "words"
};
static const struct data_facts of_values = {
	.target = DATA_VALUES, .y = { .rank = 1, .dim = { 2 } }, .dataset = "houses"
};

static void a_model_that_does_not_fit_is_told_what_to_change(void **state)
{
	static const struct {
		const char *spec;
		const struct data_facts *facts;
		td_shape out;
		const char *says; /* NULL: it fits */
	} rows[] = {
		{ "\"cross_entropy\"", &of_classes, { .rank = 2, .dim = { 4, 10 } }, NULL },
		{ "\"cross_entropy\"", &of_classes, { .rank = 2, .dim = { 4, 9 } }, "\"out_features\": 10" },
		{ "\"cross_entropy\"", &of_classes, { .rank = 4, .dim = { 4, 10, 1, 1 } }, "put \"flatten\"" },
		{ "\"cross_entropy\"", &of_shares, { .rank = 2, .dim = { 4, 10 } }, NULL },
		{ "\"cross_entropy\"", &of_tokens, { .rank = 3, .dim = { 4, 7, 9 } }, NULL },
		{ "\"cross_entropy\"", &of_tokens, { .rank = 3, .dim = { 4, 9, 7 } }, "[N, 7, 9]" },
		{ "\"cross_entropy\"", &of_tokens, { .rank = 2, .dim = { 4, 9 } }, "a target at each step" },
		{ "\"cross_entropy\"", &of_values, { .rank = 2, .dim = { 4, 2 } }, "take \"mse\"" },
		{ "{\"type\":\"cross_entropy\",\"weight\":[1,2]}", &of_classes, { .rank = 2, .dim = { 4, 10 } },
			"has 2 weights, but digits has 10 classes" },
		{ "\"bce_with_logits\"", &of_two, { .rank = 2, .dim = { 4, 1 } }, NULL },
		{ "\"bce_with_logits\"", &of_two, { .rank = 1, .dim = { 4 } }, NULL },
		{ "\"bce_with_logits\"", &of_two, { .rank = 2, .dim = { 4, 2 } }, "\"out_features\": 1" },
		{ "\"bce_with_logits\"", &of_classes, { .rank = 2, .dim = { 4, 10 } }, "take \"cross_entropy\"" },
		{ "\"bce_with_logits\"", &of_tokens, { .rank = 3, .dim = { 4, 7, 9 } }, "at each step" },
		{ "\"bce_with_logits\"", &of_values, { .rank = 2, .dim = { 4, 2 } }, "take \"mse\"" },
		{ "{\"type\":\"bce_with_logits\",\"pos_weight\":[1,2]}", &of_shares, { .rank = 2, .dim = { 4, 10 } },
			"2 positive weights for 10 outputs" },
		{ "\"mse\"", &of_values, { .rank = 2, .dim = { 4, 2 } }, NULL },
		{ "\"mse\"", &of_values, { .rank = 2, .dim = { 4, 1 } }, "\"out_features\": 2" },
		{ "\"l1\"", &of_values, { .rank = 3, .dim = { 4, 2, 2 } }, "\"flatten\"" },
		{ "\"huber\"", &of_classes, { .rank = 2, .dim = { 4, 10 } }, "one_hot" },
		{ "\"smooth_l1\"", &of_shares, { .rank = 2, .dim = { 4, 10 } }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct chosen loss;
		struct err why = { 0 };
		bool fits;

		chosen_init(&loss, &nn_losses, rows[i].spec);
		fits = ((const struct nn_loss_type *)loss.choice.type)
			       ->check(loss.choice.options, &rows[i].out, rows[i].facts, &why);
		if (fits != !rows[i].says || (rows[i].says && !strstr(why.text, rows[i].says)))
			fail_msg("row %zu, %s: %s", i, rows[i].spec, why.text);
		assert_int_equal(why.status != TD_OK, !fits);
		chosen_release(&loss);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(means_and_gradients_are_pytorchs),
		cmocka_unit_test(means_and_gradients_from_probabilities_are_kerass),
		cmocka_unit_test(what_does_not_count_has_no_loss),
		cmocka_unit_test(where_no_target_counts_loss_and_gradient_are_zero),
		cmocka_unit_test(answers_are_probabilities_or_values),
		cmocka_unit_test(bce_of_a_saturated_sigmoid_has_a_finite_gradient),
		cmocka_unit_test(a_model_that_does_not_fit_is_told_what_to_change),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
