/* Functions that are traced once and replayed, and the control flow that is made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "td.h"

static td_ctx *context(void)
{
	return td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
}

static td_value *vector(td_ctx *c, int n, const double *data)
{
	td_shape s = td_shape_make(TD_F64, 1, n);

	return td_tensor(c, &s, data);
}

static td_value *integer(td_ctx *c, int32_t v)
{
	td_shape s = { .dtype = TD_I32 };

	return td_tensor(c, &s, &v);
}

static double at(const td_value *v, int i)
{
	double all[16];

	assert_true(td_shape_count(td_shape_of(v)) <= 16);
	td_read(v, all);
	return all[i];
}

/* ---- tf.function ------------------------------------------------------------------------------------------------- */

static void affine(td_ctx *c, void *calls, td_value *const *in, td_value **out)
{
	++*(int *)calls;
	out[0] = td_add(c, td_mul(c, in[0], in[1]), in[1]);
}

static void a_function_is_traced_once_for_each_signature_and_says_why(void **state)
{
	td_ctx *c = context();
	int calls = 0;
	td_function *f = td_function_create("affine", affine, &calls, 2, 1, 0);
	td_value *x = vector(c, 2, (double[]){ 3, 4 }), *y = vector(c, 2, (double[]){ 10, 100 }),
		 *z = vector(c, 1, (double[]){ 7 }), *out;

	(void)state;
	for (int i = 0; i < 3; i++) {
		td_step_begin(c);
		td_function_call(c, f, (td_value *[]){ x, y }, &out);
		assert_float_equal(at(out, 1), 500, 0);
		td_step_end(c);
	}
	assert_int_equal(calls, 1);
	assert_string_equal(td_function_counts(f).reason, "");
	td_step_begin(c);
	td_function_call(c, f, (td_value *[]){ x, z }, &out);
	assert_float_equal(at(out, 1), 35, 0);
	td_step_end(c);
	assert_string_equal(td_function_counts(f).reason, "input 1 is float64[1], it was traced for float64[2]");
	td_require_grad(c, x, true);
	td_step_begin(c);
	td_function_call(c, f, (td_value *[]){ x, z }, &out);
	td_step_end(c);
	assert_string_equal(td_function_counts(f).reason, "input 0 wants a gradient now");
	assert_int_equal(td_function_counts(f).traces, 3);
	assert_int_equal(td_function_counts(f).replayed, 5);
	assert_int_equal(calls, 3);
	td_function_free(f);
	td_unref(x);
	td_unref(y);
	td_unref(z);
	td_ctx_free(c);
}

static void sizes_need_no_trace_where_the_body_does_not_look(void **state)
{
	td_ctx *c = context();
	int calls = 0;
	td_function *f = td_function_create("affine", affine, &calls, 2, 1, TD_ANY_SIZE);

	(void)state;
	for (int n = 0; n < 12; n++) {
		td_value *x = vector(c, n, NULL), *out;

		td_step_begin(c);
		assert_int_equal(td_function_call(c, f, (td_value *[]){ x, x }, &out), TD_OK);
		assert_int_equal(td_shape_count(td_shape_of(out)), n);
		td_step_end(c);
		td_unref(x);
	}
	assert_int_equal(calls, 1);
	td_function_free(f);
	td_ctx_free(c);
}

static void traces_beyond_the_most_are_thrown_away(void **state)
{
	td_ctx *c = context();
	int calls = 0;
	td_function *f = td_function_create("affine", affine, &calls, 2, 1, 0);

	(void)state;
	for (int round = 0; round < 2; round++)
		for (int n = 1; n <= TD_TRACES_MOST + 1; n++) {
			td_value *x = vector(c, n, NULL), *out;

			td_step_begin(c);
			assert_int_equal(td_function_call(c, f, (td_value *[]){ x, x }, &out), TD_OK);
			td_step_end(c);
			td_unref(x);
		}
	assert_int_equal(calls, 2 * (TD_TRACES_MOST + 1)); /* each was the oldest when it was wanted again */
	td_function_free(f);
	td_ctx_free(c);
}

static void square(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_square(c, in[0]);
}

static void a_gradient_through_a_function_runs_it_op_by_op(void **state)
{
	td_ctx *c = context();
	td_function *f = td_function_create("square", square, NULL, 1, 1, TD_DIFFERENTIABLE),
		    *constant = td_function_create("square", square, NULL, 1, 1, 0);
	td_value *x = vector(c, 1, (double[]){ 3 }), *y, *grad;
	td_tape *t;

	(void)state;
	td_require_grad(c, x, true);
	td_function_call(c, f, &x, &y);
	td_gradients(c, &y, NULL, 1, &x, 1, 0, &grad);
	assert_float_equal(at(grad, 0), 6, 0);
	assert_int_equal(td_function_counts(f).inlined, 1);
	td_function_call(c, constant, &x, &y);
	td_gradients(c, &y, NULL, 1, &x, 1, 0, &grad);
	assert_null(grad);
	assert_int_equal(td_function_counts(constant).inlined, 0);
	t = td_tape_open(c, false);
	td_function_call(c, constant, &x, &y);
	td_tape_gradient(t, y, &x, 1, &grad);
	assert_float_equal(at(grad, 0), 6, 0);
	td_tape_close(t);
	assert_int_equal(td_function_counts(constant).inlined, 1);
	td_function_free(f);
	td_function_free(constant);
	td_unref(x);
	td_ctx_free(c);
}

/* A whole train step as a function, TensorFlow 2's way: the tape is inside, the variable is captured. */
struct step {
	td_value *w;
};

static void train_step(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	struct step *s = arg;
	td_tape *t = td_tape_open(c, false);
	td_value *grad;

	out[0] = td_mean(c, td_square(c, td_dropout(c, td_mul(c, in[0], s->w), 0.5f)), TD_ALL_AXES, false);
	td_tape_gradient(t, out[0], &s->w, 1, &grad);
	td_tape_close(t);
	td_no_grad_begin(c);
	td_assign(c, s->w, td_sub(c, s->w, grad));
	td_no_grad_end(c);
}

static void train(bool traced, bool twice, double *w, double *loss)
{
	td_ctx *c = context();
	struct step s = { vector(c, 4, (double[]){ 1, 2, 3, 4 }) };
	td_function *f = td_function_create("train_step", train_step, &s, 1, 1, 0);
	td_value *x = vector(c, 4, (double[]){ .1, .2, .3, .4 }), *out;

	td_require_grad(c, s.w, true);
	for (int i = 0; i < 5; i++) {
		td_step_begin(c);
		for (int k = 0; k <= twice; k++)
			if (traced)
				td_function_call(c, f, &x, &out);
			else
				train_step(c, &s, &x, &out);
		loss[i] = at(out, 0);
		td_step_end(c);
	}
	assert_int_equal(td_error(c)->status, TD_OK);
	if (traced)
		assert_int_equal(td_function_counts(f).traces, 1 + twice); /* the second begins at another draw */
	td_read(s.w, w);
	td_function_free(f);
	td_unref(s.w);
	td_unref(x);
	td_ctx_free(c);
}

static void a_traced_train_step_gives_the_bits_of_the_eager_one_dropout_included(void **state)
{
	(void)state;
	for (int twice = 0; twice < 2; twice++) {
		double w[2][4], loss[2][5];

		for (int traced = 0; traced < 2; traced++)
			train(traced, twice, w[traced], loss[traced]);
		assert_memory_equal(w[0], w[1], sizeof w[0]);
		assert_memory_equal(loss[0], loss[1], sizeof loss[0]);
	}
}

static void forgetful(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)c;
	(void)arg;
	(void)in;
	(void)out;
}

static void a_body_that_leaves_a_result_out_is_named(void **state)
{
	td_ctx *c = context();
	td_function *f = td_function_create("forgetful", forgetful, NULL, 1, 1, 0);
	td_value *x = vector(c, 1, NULL), *out;

	(void)state;
	assert_int_equal(td_function_call(c, f, &x, &out), TD_INVALID);
	assert_non_null(strstr(td_error(c)->text, "forgetful left its result 0 out"));
	td_function_free(f);
	td_unref(x);
	td_ctx_free(c);
}

/* ---- cond -------------------------------------------------------------------------------------------------------- */

static void cube(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_mul(c, td_square(c, in[0]), in[0]);
}

static void run(
	td_value *(*write)(td_ctx *c, td_value *const *in), td_ctx *c, bool traced, td_value *const *in, double *out)
{
	td_value *y, *result;
	td_graph *g = td_graph_create();
	td_session *s = NULL;

	td_step_begin(c);
	if (traced)
		td_trace_begin(c, g);
	result = y = write(c, in);
	if (traced) {
		td_trace_end(c);
		s = td_session_create(c, g, &y, 1);
		if (s)
			td_session_run(s, c, NULL, 0, &result);
	}
	if (!td_error(c)->status)
		td_read(result, out);
	td_step_end(c);
	td_session_free(s);
	td_graph_free(g);
}

static td_function *then, *otherwise;

static td_value *second_derivative(td_ctx *c, td_value *const *in)
{
	td_value *y, *grad, *again;

	td_cond(c, in[1], then, otherwise, in, 1, &y);
	td_gradients(c, &y, NULL, 1, in, 1, TD_CREATE_GRAPH, &grad);
	td_gradients(c, &grad, NULL, 1, in, 1, TD_CREATE_GRAPH, &again);
	return td_add(c, td_add(c, y, grad), again);
}

static void a_branch_runs_one_side_and_is_differentiated_twice(void **state)
{
	(void)state;
	for (int traced = 0; traced < 2; traced++)
		for (int yes = 0; yes < 2; yes++) {
			td_ctx *c = context();
			td_value *in[] = { vector(c, 1, (double[]){ 2 }), integer(c, yes) };
			double y;

			then = td_function_create("cube", cube, NULL, 1, 1, 0);
			otherwise = td_function_create("square", square, NULL, 1, 1, 0);
			td_require_grad(c, in[0], true);
			run(second_derivative, c, traced, in, &y);
			assert_int_equal(td_error(c)->status, TD_OK);
			assert_float_equal(y, yes ? 8 + 12 + 12 : 4 + 4 + 2, 1e-12);
			td_function_free(then);
			td_function_free(otherwise);
			td_unref(in[0]);
			td_unref(in[1]);
			td_ctx_free(c);
		}
}

static void total(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_sum(c, in[0], TD_ALL_AXES, false);
}

static td_value *hidden;

static void uses_hidden(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_mul(c, in[0], hidden);
}

static void writes(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	td_no_grad_begin(c);
	td_assign(c, hidden, in[0]);
	td_no_grad_end(c);
	out[0] = in[0];
}

static void draws(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_dropout(c, in[0], 0.5f);
}

static void what_cannot_stand_in_a_branch_is_named(void **state)
{
	static const struct {
		td_body *body;
		bool grad;
		const char *says;
	} cases[] = {
		{ total, false, "result 0 is float64[] in one place and float64[2] in another" },
		{ uses_hidden, true, "uses \"w\", which wants a gradient" },
		{ writes, false, "writes to a variable (assign)" },
		{ draws, false, "draws random numbers" },
		{ forgetful, false, "left its result 0 out" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		td_ctx *c = context();
		td_value *x = vector(c, 2, NULL), *yes = integer(c, 1), *y = NULL;
		td_function *bad = td_function_create("bad", cases[i].body, NULL, 1, 1, 0),
			    *good = td_function_create("square", square, NULL, 1, 1, 0);

		hidden = vector(c, 2, NULL);
		td_set_name(hidden, "w");
		td_require_grad(c, hidden, cases[i].grad);
		assert_int_not_equal(td_cond(c, yes, good, bad, &x, 1, &y), TD_OK);
		assert_non_null(strstr(td_error(c)->text, cases[i].says));
		td_function_free(good);
		td_function_free(bad);
		td_unref(hidden);
		td_unref(x);
		td_unref(yes);
		td_ctx_free(c);
	}
}

static void a_branch_has_a_bounded_number_of_traces(void **state)
{
	td_ctx *c = context();
	td_value *yes = integer(c, 1), *y;
	td_function *f = td_function_create("square", square, NULL, 2, 1, 0);
	int n = 0;

	(void)state;
	for (; n < 49 && !td_error(c)->status; n++) {
		td_shape a = { .dtype = TD_F32, .rank = n / 7 }, b = { .dtype = TD_F64, .rank = n % 7 };
		td_value *in[] = { td_tensor(c, &a, NULL), td_tensor(c, &b, NULL) };

		for (int again = 0; again < 2; again++) /* the second finds what the first made */
			td_cond(c, yes, f, f, in, 2, &y);
		td_unref(in[0]);
		td_unref(in[1]);
	}
	assert_int_equal(td_function_counts(f).traces, 32);
	assert_int_equal(td_error(c)->status, TD_TOO_LARGE);
	assert_non_null(strstr(td_error(c)->text, "the function square has 32 kinds of inputs"));
	td_function_free(f);
	td_unref(yes);
	td_ctx_free(c);
}

/* ---- while ------------------------------------------------------------------------------------------------------- */

static void not_zero(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_cast(c, in[0], TD_I32);
}

/* Newton's square root of in[2]: x = (x + a / x) / 2, as often as in[0] says. */
static void newton(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	td_value *two = td_add(c, td_ones_like(c, in[1]), td_ones_like(c, in[1]));

	(void)arg;
	out[0] = td_sub(c, in[0], td_ones_like(c, in[0]));
	out[1] = td_div(c, td_add(c, in[1], td_div(c, in[2], in[1])), two);
}

static td_loop loop;

static td_value *root_and_gradient(td_ctx *c, td_value *const *in)
{
	td_value *out[2], *grad;

	if (td_while(c, &loop, in, &in[2], out))
		return NULL;
	td_gradients(c, &out[1], NULL, 1, &in[2], 1, 0, &grad);
	return td_add(c, out[1], grad);
}

static void a_loop_computes_a_root_and_its_derivative(void **state)
{
	(void)state;
	for (int traced = 0; traced < 2; traced++)
		for (int rounds = 0; rounds <= 21; rounds += 7) {
			td_ctx *c = context();
			td_shape scalar = { .dtype = TD_F64 };
			double n = rounds, y;
			td_value *in[] = { td_tensor(c, &scalar, &n), vector(c, 1, (double[]){ 1 }),
				vector(c, 1, (double[]){ 2 }) };

			loop = (td_loop){ .test = td_function_create("not_zero", not_zero, NULL, 3, 1, 0),
				.body = td_function_create("newton", newton, NULL, 3, 2, 0),
				.n_vars = 2,
				.n_constants = 1,
				.most = 14 };
			td_require_grad(c, in[2], true);
			run(root_and_gradient, c, traced, in, &y);
			if (rounds > loop.most) {
				assert_int_equal(td_error(c)->status, TD_INVALID);
				assert_non_null(strstr(td_error(c)->text, "after 14 rounds"));
			} else {
				assert_int_equal(td_error(c)->status, TD_OK);
				/* without a round the root is its guess, 1, and does not depend on a */
				assert_float_equal(y, rounds ? sqrt(2) + 0.5 / sqrt(2) : 1, 1e-12);
			}
			td_function_free(loop.test);
			td_function_free(loop.body);
			for (int i = 0; i < 3; i++)
				td_unref(in[i]);
			td_ctx_free(c);
		}
}

static void keep(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)c;
	(void)arg;
	out[0] = in[0];
	out[1] = in[2];
}

static void times_n(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_mul(c, td_mul(c, in[0], in[1]), td_cast(c, in[2], TD_F64));
	out[1] = td_cast(c, td_shift_by(c, td_cast(c, in[2], TD_F64), -1), TD_I32);
}

/* Of n, x, and w, as long as n is not 0: x = x w n, and n less by 1. */
static void product(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	td_value *next[2] = { 0 };

	(void)arg;
	td_cond(c, in[0], then, otherwise, (td_value *[]){ in[1], in[2], in[0] }, 3, next);
	out[0] = next[1];
	out[1] = next[0];
}

static td_value *gradient_of_product(td_ctx *c, td_value *const *in)
{
	td_value *out[2], *grad;

	if (td_while(c, &loop, in, &in[2], out))
		return NULL;
	td_gradients(c, &out[1], NULL, 1, &in[2], 1, 0, &grad);
	return grad;
}

static void integers_go_through_beside_what_is_differentiated(void **state)
{
	(void)state;
	for (int traced = 0; traced < 2; traced++) {
		td_ctx *c = context();
		td_value *in[] = { integer(c, 3), vector(c, 1, (double[]){ 2 }), vector(c, 1, (double[]){ 5 }) };
		double y = 0;

		then = td_function_create("times n", times_n, NULL, 3, 2, 0);
		otherwise = td_function_create("keep", keep, NULL, 3, 2, 0);
		loop = (td_loop){ .test = td_function_create("not_zero", not_zero, NULL, 3, 1, 0),
			.body = td_function_create("product", product, NULL, 3, 2, 0),
			.n_vars = 2,
			.n_constants = 1,
			.most = 9 };
		td_require_grad(c, in[2], true);
		run(gradient_of_product, c, traced, in, &y);
		if (td_error(c)->status)
			fail_msg("%s", td_error(c)->text);
		assert_float_equal(y, 3 * 2 * 1 * 2 * 3 * 5 * 5, 0); /* of 3 2 1 x w^3 by w */
		td_function_free(loop.test);
		td_function_free(loop.body);
		td_function_free(then);
		td_function_free(otherwise);
		for (int i = 0; i < 3; i++)
			td_unref(in[i]);
		td_ctx_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_function_is_traced_once_for_each_signature_and_says_why),
		cmocka_unit_test(sizes_need_no_trace_where_the_body_does_not_look),
		cmocka_unit_test(traces_beyond_the_most_are_thrown_away),
		cmocka_unit_test(a_gradient_through_a_function_runs_it_op_by_op),
		cmocka_unit_test(a_traced_train_step_gives_the_bits_of_the_eager_one_dropout_included),
		cmocka_unit_test(a_body_that_leaves_a_result_out_is_named),
		cmocka_unit_test(a_branch_runs_one_side_and_is_differentiated_twice),
		cmocka_unit_test(what_cannot_stand_in_a_branch_is_named),
		cmocka_unit_test(a_branch_has_a_bounded_number_of_traces),
		cmocka_unit_test(a_loop_computes_a_root_and_its_derivative),
		cmocka_unit_test(integers_go_through_beside_what_is_differentiated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
