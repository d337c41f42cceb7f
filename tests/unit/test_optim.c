/* Optimizers against PyTorch's numbers, and groups of parameters. */
#include "learn_rig.h"
#include "learn_golden.h"

#define N_PARAM   4
#define N_UPDATES 5

static const struct golden {
	const char *spec;
	double end[N_PARAM];
} golden[] = { GOLDEN_OPTIMIZERS };

static void gradient(int step, float out[N_PARAM])
{
	out[0] = (float)(0.1 * step);
	out[1] = (float)(-1.0 / step);
	out[2] = 0.5f;
	out[3] = (float)(0.3 - 0.2 * step);
}

/* Five updates of one parameter. */
static void train(td_ctx *c, const struct opt_choice *optimizer, double gate, float out[N_PARAM])
{
	static const float start[N_PARAM] = { 0.5f, -0.25f, 1, 2 };
	const struct nn_optimizer_type *type = (const struct nn_optimizer_type *)optimizer->type;
	td_shape shape = td_shape_make(TD_F32, 1, (int64_t)N_PARAM);
	struct nn_update u = { .param = td_tensor(c, &shape, start),
		.grad = td_tensor(c, &shape, NULL),
		.lr = td_scalar(c, TD_F32, nn_group_lr(optimizer->options, -1)),
		.t = td_scalar(c, TD_F32, 0),
		.gate = td_scalar(c, TD_F32, gate),
		.weight_decay = nn_group_weight_decay(optimizer->options, -1) };

	for (int k = 0; k < type->n_state(optimizer->options, -1); k++)
		u.state[k] = td_tensor(c, &shape, NULL);
	for (int step = 1; step <= N_UPDATES; step++) {
		float g[N_PARAM], t = (float)step;

		gradient(step, g);
		td_write(u.grad, g);
		td_write(u.t, &t);
		td_step_begin(c);
		type->update(c, optimizer->options, &u);
		td_step_end(c);
	}
	assert_int_equal(td_error(c)->status, TD_OK);
	td_read(u.param, out);
	td_unref(u.param);
	td_unref(u.grad);
	td_unref(u.lr);
	td_unref(u.t);
	td_unref(u.gate);
	for (int k = 0; k < NN_STATE_MOST; k++)
		td_unref(u.state[k]);
}

static void parameters_go_where_pytorchs_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden); i++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
		struct chosen optimizer;
		float end[N_PARAM];

		chosen_init(&optimizer, &nn_optimizers, golden[i].spec);
		train(c, &optimizer.choice, 1, end);
		for (int k = 0; k < N_PARAM; k++)
			assert_near((double)end[k], golden[i].end[k], 2e-6, golden[i].spec);
		train(c, &optimizer.choice, 0, end);
		assert_true(end[0] == 0.5f && end[3] == 2); /* a shut gate lets everything as it is */
		chosen_release(&optimizer);
		td_ctx_free(c);
	}
}

static void states_have_pytorchs_names(void **state)
{
	static const struct {
		const char *spec;
		int n;
		const char *names[NN_STATE_MOST];
	} rows[] = {
		{ "\"sgd\"", 0, { NULL } },
		{ "{\"type\":\"sgd\",\"momentum\":0.9}", 1, { "momentum_buffer" } },
		{ "\"adam\"", 2, { "exp_avg", "exp_avg_sq" } },
		{ "\"adamw\"", 2, { "exp_avg", "exp_avg_sq" } },
		{ "\"rmsprop\"", 1, { "square_avg" } },
		{ "{\"type\":\"rmsprop\",\"momentum\":0.1}", 2, { "square_avg", "momentum_buffer" } },
		{ "{\"type\":\"rmsprop\",\"centered\":true}", 2, { "square_avg", "grad_avg" } },
		{ "{\"type\":\"rmsprop\",\"centered\":true,\"momentum\":0.1}", 3,
			{ "square_avg", "momentum_buffer", "grad_avg" } },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		const struct nn_optimizer_type *type;
		struct chosen c;

		chosen_init(&c, &nn_optimizers, rows[i].spec);
		type = (const struct nn_optimizer_type *)c.choice.type;
		assert_int_equal(type->n_state(c.choice.options, -1), rows[i].n);
		for (int k = 0; k < rows[i].n; k++)
			assert_string_equal(type->state_name(c.choice.options, -1, k), rows[i].names[k]);
		chosen_release(&c);
	}
}

static void the_first_group_that_matches_has_a_parameter(void **state)
{
	static const char spec[] = "{\"type\":\"adamw\",\"lr\":0.5,\"groups\":["
				   "{\"params\":[\"*.bias\",\"norm.*\"],\"weight_decay\":0},"
				   "{\"params\":[\"head.*\"],\"lr\":0.25},{\"params\":[\"head.?\"],\"lr\":9}]}";
	struct chosen c;

	(void)state;
	chosen_init(&c, &nn_optimizers, spec);
	assert_int_equal(nn_optimizer_group(c.choice.options, "head.bias"), 0);
	assert_int_equal(nn_optimizer_group(c.choice.options, "norm.weight"), 0);
	assert_int_equal(nn_optimizer_group(c.choice.options, "head.x"), 1);
	assert_int_equal(nn_optimizer_group(c.choice.options, "body.weight"), -1);
	assert_true(nn_group_lr(c.choice.options, -1) == 0.5 && nn_group_weight_decay(c.choice.options, -1) == 0.01);
	assert_true(nn_group_lr(c.choice.options, 0) == 0.5 && nn_group_weight_decay(c.choice.options, 0) == 0);
	assert_true(nn_group_lr(c.choice.options, 1) == 0.25 && nn_group_weight_decay(c.choice.options, 1) == 0.01);
	chosen_release(&c);
}

static void a_pattern_that_matches_nothing_is_a_fault(void **state)
{
	struct nn_param params[] = { { .name = "0.weight" }, { .name = "0.bias" },
		{ .name = "1.mean", .buffer = true } };
	struct nn_model model = { .params = params, .n_params = 3 };
	struct faults faults;
	struct chosen c;

	(void)state;
	chosen_init(&c, &nn_optimizers,
		"{\"type\":\"sgd\",\"groups\":[{\"params\":[\"0.*\"]},{\"params\":[\"*.bias\",\"1.*\",\"feature*\"]}]"
		"}");
	faults_init(&faults);
	nn_optimizer_check_model(&c.choice, &model, "/optimizer", &faults);
	assert_int_equal(faults.n_found, 2); /* a buffer is nothing that is learnt */
	assert_string_equal(faults.items[0].pointer, "/optimizer/groups/1/params/1");
	assert_string_equal(faults.items[1].pointer, "/optimizer/groups/1/params/2");
	assert_non_null(strstr(faults.items[1].detail, "\"feature*\" matches no parameter"));
	faults_release(&faults);
	chosen_release(&c);
}

static void options_out_of_bounds_are_faults(void **state)
{
	static const char *const specs[] = { "{\"type\":\"sgd\",\"lr\":-1}", "{\"type\":\"adam\",\"betas\":[0.9,1]}",
		"{\"type\":\"rmsprop\",\"alpha\":1.5}", "{\"type\":\"adamw\",\"groups\":[{}]}",
		"{\"type\":\"adamw\",\"groups\":[{\"params\":[\"*\"],\"momentum\":1}]}",
		"{\"type\":\"adamw\",\"groups\":{\"params\":[\"*\"]}}", "\"lion\"" };
	struct chosen c;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(specs); i++) {
		chosen_read(&c, &nn_optimizers, specs[i]);
		if (!c.faults.n_found)
			fail_msg("%s was taken", specs[i]);
		chosen_release(&c);
	}
	chosen_init(&c, &nn_optimizers, "{\"type\":\"sgd\",\"nesterov\":true}");
	((const struct nn_optimizer_type *)c.choice.type)->check(c.choice.options, "/optimizer", &c.faults);
	assert_int_equal(c.faults.n_found, 1);
	chosen_release(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parameters_go_where_pytorchs_go),
		cmocka_unit_test(states_have_pytorchs_names),
		cmocka_unit_test(the_first_group_that_matches_has_a_parameter),
		cmocka_unit_test(a_pattern_that_matches_nothing_is_a_fault),
		cmocka_unit_test(options_out_of_bounds_are_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
