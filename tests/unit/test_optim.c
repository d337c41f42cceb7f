/* Optimizers against the numbers of PyTorch and Keras, and groups of parameters. */
#include "learn_rig.h"
#include "learn_golden.h"
#include "keras_golden.h"

#define N_PARAM   6
#define N_UPDATES 10

struct golden {
	const char *spec;
	int64_t columns; /* of the matrix that is updated */
	double end[N_PARAM];
};

static const struct golden golden[] = { GOLDEN_OPTIMIZERS }, golden_keras[] = { GOLDEN_KERAS_OPTIMIZERS };
static const double start[N_PARAM] = { 0.5, -0.25, 1, 2, -1.5, 0.125 };

static void gradient(int step, double out[N_PARAM])
{
	out[0] = 0.1 * step;
	out[1] = -1.0 / step;
	out[2] = 0.5;
	out[3] = 0.3 - 0.2 * step;
	out[4] = 1.5 - 0.25 * step;
	out[5] = -0.75;
}

static void write(td_value *v, const double *x, int n)
{
	float narrow[N_PARAM];

	for (int i = 0; i < n; i++)
		narrow[i] = (float)x[i];
	td_write(v, td_shape_of(v)->dtype == TD_F64 ? (const void *)x : narrow);
}

static void read(const td_value *v, double out[N_PARAM])
{
	float narrow[N_PARAM];

	td_read(v, td_shape_of(v)->dtype == TD_F64 ? (void *)out : narrow);
	for (int i = 0; i < N_PARAM && td_shape_of(v)->dtype == TD_F32; i++)
		out[i] = (double)narrow[i];
}

static void set_scalar(td_value *v, double x)
{
	write(v, &x, 1);
}

/* A parameter with all that its update takes; the group is the one that matches its name, "0.weight". */
static struct nn_update prepare(td_ctx *c, const struct opt_choice *optimizer, td_dtype type, int64_t columns)
{
	const struct nn_optimizer_type *t = (const struct nn_optimizer_type *)optimizer->type;
	td_shape shape = td_shape_make(type, 2, N_PARAM / columns, columns);
	int group = nn_optimizer_group(optimizer->options, "0.weight");
	struct nn_update u = { .param = td_tensor(c, &shape, NULL),
		.grad = td_tensor(c, &shape, NULL),
		.lr = td_scalar(c, type, nn_group_lr(optimizer->options, group)),
		.t = td_scalar(c, type, 0),
		.gate = td_scalar(c, type, 1),
		.group = group,
		.weight_decay = nn_group_weight_decay(optimizer->options, group) };
	double first[N_PARAM];

	for (int i = 0; i < N_PARAM; i++)
		first[i] = t->state_start ? t->state_start(optimizer->options) : 0;
	for (int k = 0; k < t->n_state(optimizer->options, group); k++) {
		u.state[k] = td_tensor(c, &shape, NULL);
		write(u.state[k], first, N_PARAM);
	}
	write(u.param, start, N_PARAM);
	return u;
}

static void release(struct nn_update *u)
{
	td_unref(u->param);
	td_unref(u->grad);
	td_unref(u->lr);
	td_unref(u->t);
	td_unref(u->gate);
	for (int k = 0; k < NN_STATE_MOST; k++)
		td_unref(u->state[k]);
}

/* Updates number FROM to TO. */
static void train(td_ctx *c, const struct opt_choice *optimizer, struct nn_update *u, int from, int to)
{
	for (int step = from; step <= to; step++) {
		double g[N_PARAM];

		gradient(step, g);
		write(u->grad, g, N_PARAM);
		set_scalar(u->t, step);
		td_step_begin(c);
		((const struct nn_optimizer_type *)optimizer->type)->update(c, optimizer->options, u);
		td_step_end(c);
	}
	if (td_error(c)->status)
		fail_msg("%s", td_error(c)->text);
}

static void check(const struct golden *g, const char *defaults, td_dtype type, double tolerance)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	struct chosen optimizer;
	struct nn_update u;
	double end[N_PARAM];

	chosen_init_as(&optimizer, &nn_optimizers, g->spec, defaults);
	u = prepare(c, &optimizer.choice, type, g->columns);
	train(c, &optimizer.choice, &u, 1, N_UPDATES);
	read(u.param, end);
	for (int k = 0; k < N_PARAM; k++)
		assert_near(end[k], g->end[k], tolerance, g->spec);
	release(&u);
	chosen_release(&optimizer);
	td_ctx_free(c);
}

static void parameters_go_where_pytorchs_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden); i++) {
		check(&golden[i], "pytorch", TD_F64, 1e-12);
		check(&golden[i], "pytorch", TD_F32, strstr(golden[i].spec, "muon") ? 1e-4 : 5e-6);
	}
}

static void parameters_go_where_keras_has_them_go(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden_keras); i++) {
		check(&golden_keras[i], "keras", TD_F64, 1e-12);
		check(&golden_keras[i], "keras", TD_F32, 5e-6);
	}
}

static void a_shut_gate_lets_everything_as_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden); i++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
		double before[1 + NN_STATE_MOST][N_PARAM], after[N_PARAM];
		struct chosen optimizer;
		struct nn_update u;

		chosen_init(&optimizer, &nn_optimizers, golden[i].spec);
		u = prepare(c, &optimizer.choice, TD_F64, golden[i].columns);
		train(c, &optimizer.choice, &u, 1, 2);
		read(u.param, before[NN_STATE_MOST]);
		for (int k = 0; k < NN_STATE_MOST && u.state[k]; k++)
			read(u.state[k], before[k]);
		set_scalar(u.gate, 0);
		train(c, &optimizer.choice, &u, 3, 4);
		read(u.param, after);
		assert_memory_equal(after, before[NN_STATE_MOST], sizeof after);
		for (int k = 0; k < NN_STATE_MOST && u.state[k]; k++) {
			read(u.state[k], after);
			assert_memory_equal(after, before[k], sizeof after);
		}
		release(&u);
		chosen_release(&optimizer);
		td_ctx_free(c);
	}
}

static void muon_names_what_it_cannot_take(void **state)
{
	struct nn_param params[] = { { .name = "0.weight", .shape = { .rank = 2, .dim = { 4, 3 } } },
		{ .name = "0.bias", .shape = { .rank = 1, .dim = { 4 } } },
		{ .name = "1.bias", .shape = { .rank = 1, .dim = { 4 } }, .frozen = true },
		{ .name = "2.running_mean", .shape = { .rank = 1, .dim = { 4 } }, .buffer = true } };
	struct nn_model model = { .params = params, .n_params = TD_COUNT(params) };
	struct chosen c;

	(void)state;
	chosen_init(&c, &nn_optimizers, "\"muon\"");
	nn_optimizer_check_model(&c.choice, &model, "/optimizer", &c.faults);
	assert_int_equal(c.faults.n_found, 1);
	assert_string_equal(c.faults.items[0].pointer, "/optimizer");
	assert_non_null(strstr(c.faults.items[0].detail, "\"0.bias\" is float32[4]"));
	chosen_release(&c);
	chosen_init(&c, &nn_optimizers, "{\"type\":\"muon\",\"groups\":[{\"params\":\"*.bias\",\"adamw\":true}]}");
	nn_optimizer_check_model(&c.choice, &model, "/optimizer", &c.faults);
	assert_int_equal(c.faults.n_found, 0);
	assert_int_equal(nn_optimizer_states((const struct nn_optimizer_type *)c.choice.type, c.choice.options), 2);
	chosen_release(&c);
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
		{ "{\"type\":\"adam\",\"amsgrad\":true}", 3, { "exp_avg", "exp_avg_sq", "max_exp_avg_sq" } },
		{ "\"adagrad\"", 1, { "sum" } },
		{ "\"adadelta\"", 2, { "square_avg", "acc_delta" } },
		{ "\"muon\"", 1, { "momentum_buffer" } },
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
		cmocka_unit_test(parameters_go_where_keras_has_them_go),
		cmocka_unit_test(a_shut_gate_lets_everything_as_it_is),
		cmocka_unit_test(muon_names_what_it_cannot_take),
		cmocka_unit_test(states_have_pytorchs_names),
		cmocka_unit_test(the_first_group_that_matches_has_a_parameter),
		cmocka_unit_test(a_pattern_that_matches_nothing_is_a_fault),
		cmocka_unit_test(options_out_of_bounds_are_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
