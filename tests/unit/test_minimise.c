/* Optimizers of the table in a graph with variables, and these as files: a training that goes on in another program. */
#include "learn_rig.h"

#include <stdlib.h>
#include <unistd.h>

#include "io/io.h"

#define STEPS 6

static const char *const optimizers[] = { "{\"type\":\"sgd\",\"lr\":0.05}",
	"{\"type\":\"sgd\",\"lr\":0.05,\"momentum\":0.9,\"nesterov\":true}", "\"adam\"",
	"{\"type\":\"adam\",\"amsgrad\":true}", "\"adamw\"",
	"{\"type\":\"rmsprop\",\"centered\":true,\"momentum\":0.5}",
	"{\"type\":\"adagrad\",\"initial_accumulator_value\":0.1}", "\"adadelta\"", "\"muon\"",
	"{\"type\":\"adam\",\"groups\":[{\"params\":\"first.*\",\"lr\":0.1,\"weight_decay\":0.01}]}" };

static td_value *filled(td_ctx *c, int n, int m, float scale)
{
	td_shape s = td_shape_make(TD_F32, 2, n, m);
	td_value *v = td_tensor(c, &s, NULL);

	for (int i = 0; i < n * m; i++)
		((float *)td_data(v))[i] = scale * sinf(3.0f * (float)i + (float)m);
	return v;
}

/* Written once for both modes. */
static td_value *loss_of(td_ctx *c, td_value *x, td_value *first, td_value *second)
{
	td_value *y = td_matmul(c, td_tanh(c, td_matmul(c, x, first, false, false)), second, false, false);

	return td_mean(c, td_square(c, y), TD_ALL_AXES, false);
}

/* ---- Eager, by hand ---------------------------------------------------------------------------------------------- */

static void train_eagerly(const struct opt_choice *optimizer, float out[2][20])
{
	static const char *const names[] = { "first.w", "second.w" };
	const struct nn_optimizer_type *type = (const struct nn_optimizer_type *)optimizer->type;
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .seed = 7 });
	td_value *x = filled(c, 6, 5, 1), *w[] = { filled(c, 5, 4, 0.5f), filled(c, 4, 3, 0.5f) };
	td_value *state[2][NN_STATE_MOST] = { 0 }, *one = td_scalar(c, TD_F32, 1), *grads[2];

	for (int i = 0; i < 2; i++) {
		td_require_grad(c, w[i], true);
		for (int k = 0; k < type->n_state(optimizer->options, nn_optimizer_group(optimizer->options, names[i]));
			k++) {
			float start = type->state_start ? (float)type->state_start(optimizer->options) : 0;

			state[i][k] = td_tensor(c, td_shape_of(w[i]), NULL);
			for (int64_t e = 0; e < td_shape_count(td_shape_of(w[i])); e++)
				((float *)td_data(state[i][k]))[e] = start;
		}
	}
	for (int step = 1; step <= STEPS; step++) {
		td_value *loss, *t = td_scalar(c, TD_F32, step);

		td_step_begin(c);
		loss = loss_of(c, x, w[0], w[1]);
		td_gradients(c, &loss, NULL, 1, w, 2, 0, grads);
		td_no_grad_begin(c);
		for (int i = 0; i < 2; i++) {
			struct nn_update u = { .param = w[i], .grad = grads[i], .t = t, .gate = one };

			u.group = nn_optimizer_group(optimizer->options, names[i]);
			u.weight_decay = nn_group_weight_decay(optimizer->options, u.group);
			u.lr = td_scale_by(c, one, nn_group_lr(optimizer->options, u.group));
			memcpy(u.state, state[i], sizeof u.state);
			type->update(c, optimizer->options, &u);
		}
		td_no_grad_end(c);
		td_step_end(c);
		td_unref(t);
	}
	assert_int_equal(td_error(c)->status, TD_OK);
	for (int i = 0; i < 2; i++) {
		td_read(w[i], out[i]);
		td_unref(w[i]);
		for (int k = 0; k < NN_STATE_MOST; k++)
			td_unref(state[i][k]);
	}
	td_unref(x);
	td_unref(one);
	td_ctx_free(c);
}

/* ---- As a graph -------------------------------------------------------------------------------------------------- */

struct program {
	td_ctx *c;
	td_graph *graph;
	td_session *session;
	td_value *x, *fed, *w[2], *loss;
	td_node *train, *init;
};

static td_value *weight(td_ctx *c, const char *scope, int n, int m)
{
	td_shape s = td_shape_make(TD_F32, 2, n, m);
	td_value *v, *start = filled(c, n, m, 0.5f);

	td_scope_begin(c, scope, TD_REUSE_INHERIT);
	v = td_get_variable(c, "w", &s, NULL, true);
	td_scope_end(c);
	td_write(td_variable_tensor(v), td_data(start));
	td_unref(start);
	return v;
}

static void program_init(struct program *p, const struct opt_choice *optimizer)
{
	td_shape x = td_shape_make(TD_F32, 2, TD_UNKNOWN(6), 5);

	p->c = td_ctx_create(&(td_ctx_options){ .threads = 2, .seed = 7 });
	p->graph = td_graph_create();
	td_trace_begin(p->c, p->graph);
	p->x = td_placeholder(p->c, "x", &x);
	p->w[0] = weight(p->c, "first", 5, 4);
	p->w[1] = weight(p->c, "second", 4, 3);
	p->loss = loss_of(p->c, p->x, p->w[0], p->w[1]);
	p->train = nn_minimise(p->c, p->graph, "train", optimizer, p->loss, NULL, NULL);
	p->init = td_initialise_variables(p->c);
	td_trace_end(p->c);
	p->fed = filled(p->c, 6, 5, 1);
	p->session = td_session_open(p->c, p->graph, TD_SESSION_PARANOID);
	assert_int_equal(td_error(p->c)->status, TD_OK);
}

static void program_release(struct program *p)
{
	td_session_free(p->session);
	td_graph_free(p->graph);
	td_unref(p->fed);
	td_ctx_free(p->c);
}

static void run(struct program *p, td_node *operation, int times)
{
	for (int i = 0; i < times; i++) {
		td_step_begin(p->c);
		td_session_fetch(p->session, p->c, &TD_OPERATION(operation), 1, (td_feed[]){ { p->x, p->fed } }, 1);
		assert_int_equal(td_error(p->c)->status, TD_OK);
		td_step_end(p->c);
	}
}

/* All variables begin; the weights as in eager mode. */
static void start(struct program *p)
{
	float w[2][20];

	for (int i = 0; i < 2; i++)
		td_read(td_variable_tensor(p->w[i]), w[i]);
	run(p, p->init, 1);
	for (int i = 0; i < 2; i++)
		td_write(td_variable_tensor(p->w[i]), w[i]);
}

static void assert_weights(struct program *p, float expected[2][20])
{
	float w[20];

	for (int i = 0; i < 2; i++) {
		size_t n = td_shape_bytes(td_shape_of(p->w[i]));

		td_read(td_variable_tensor(p->w[i]), w);
		assert_memory_equal(w, expected[i], n);
	}
}

static void every_optimizer_takes_the_steps_that_it_takes_eagerly(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(optimizers); i++) {
		float expected[2][20];
		struct program p;
		struct chosen o;

		chosen_init(&o, &nn_optimizers, optimizers[i]);
		train_eagerly(&o.choice, expected);
		program_init(&p, &o.choice);
		start(&p);
		run(&p, p.train, STEPS);
		assert_weights(&p, expected);
		program_release(&p);
		chosen_release(&o);
	}
}

static void a_saved_training_goes_on_in_another_graph(void **state)
{
	char folder[] = "/tmp/test_minimise.XXXXXX", *path;
	float expected[2][20];
	struct file_facts facts;
	struct program first, second;
	struct err e = { 0 };
	struct chosen o;

	(void)state;
	assert_non_null(mkdtemp(folder));
	path = mem_printf("%s/variables.safetensors", folder);
	chosen_init(&o, &nn_optimizers, "\"adam\"");
	train_eagerly(&o.choice, expected);
	program_init(&first, &o.choice);
	assert_int_equal(variables_write(first.graph, NULL, path, &facts, &e), TD_CONFLICT); /* of what value? */
	assert_non_null(strstr(e.text, "has no value"));
	err_clear(&e);
	start(&first);
	run(&first, first.train, STEPS / 2);
	assert_int_equal(variables_write(first.graph, NULL, path, &facts, &e), TD_OK);
	program_release(&first);
	program_init(&second, &o.choice);
	assert_int_equal(variables_read(second.graph, NULL, path, 100, &e), TD_TOO_LARGE);
	err_clear(&e);
	assert_int_equal(
		variables_read(second.graph, NULL, path, 1 << 20, &e), TD_OK); /* in place of an initialisation */
	run(&second, second.train, STEPS - STEPS / 2);
	assert_weights(&second, expected);
	assert_int_equal(variables_write(second.graph, "first", path, &facts, &e), TD_OK);
	assert_int_equal(variables_read(second.graph, "first", path, 1 << 20, &e), TD_OK);
	assert_int_equal(variables_read(second.graph, NULL, path, 1 << 20, &e), TD_NOT_FOUND);
	assert_non_null(strstr(e.text, "\"second.w\""));
	program_release(&second);
	chosen_release(&o);
	unlink(path);
	rmdir(folder);
	mem_free(path);
}

static void what_an_optimizer_does_not_take_is_named(void **state)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .seed = 7 });
	td_graph *g = td_graph_create();
	td_shape s = td_shape_make(TD_F32, 1, 3);
	struct chosen o;

	(void)state;
	chosen_init(&o, &nn_optimizers, "\"muon\"");
	td_trace_begin(c, g);
	nn_minimise(
		c, g, "muon", &o.choice, td_sum_squares(c, td_get_variable(c, "bias", &s, &TD_ONES, true)), NULL, NULL);
	td_trace_end(c);
	assert_int_equal(td_error(c)->status, TD_INVALID);
	assert_non_null(strstr(td_error(c)->text, "\"bias\""));
	td_graph_free(g);
	td_ctx_free(c);
	chosen_release(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_optimizer_takes_the_steps_that_it_takes_eagerly),
		cmocka_unit_test(a_saved_training_goes_on_in_another_graph),
		cmocka_unit_test(what_an_optimizer_does_not_take_is_named),
	};

	return cmocka_run_group_tests_name("minimise", tests, NULL, NULL);
}
