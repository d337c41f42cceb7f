/* Automatic differentiation as its users know it: torch's .grad and torch.autograd.grad, hooks, functions with a rule
 * of their own, writes in place, and TensorFlow's tape. */
#include "leaf_rig.h"

#include <math.h>
#include <string.h>

#define ALL TD_ALL_AXES

static td_ctx *context(void)
{
	return td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
}

static void zeros_and_none_are_two_ways_to_zero_a_gradient(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 2, (double[]){ 3, 4 });

	(void)state;
	td_backward(c, td_sum_squares(c, x));
	assert_float_equal(at(td_grad_of(x), 1), 8, 0);
	td_zero_grad(c, &x, 1, TD_ZERO_FILL);
	assert_float_equal(at(td_grad_of(x), 1), 0, 0);
	td_zero_grad(c, &x, 1, TD_ZERO_NONE);
	assert_null(td_grad_of(x));
	td_zero_grad(c, &x, 1, TD_ZERO_FILL); /* what is not there stays so */
	assert_null(td_grad_of(x));
	td_unref(x);
	td_ctx_free(c);
}

static void several_outputs_are_weighted_by_their_seeds(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 2, (double[]){ 3, 4 }), *grad;
	td_value *outputs[] = { td_square(c, x), td_sum(c, x, ALL, false) };
	td_shape s = td_shape_make(TD_F64, 1, 2);
	td_value *seed = td_tensor(c, &s, (double[]){ 10, 100 }), *seeds[] = { seed, NULL };

	(void)state;
	td_gradients(c, outputs, seeds, 2, &x, 1, TD_RETAIN_GRAPH, &grad);
	assert_float_equal(at(grad, 0), 61, 0);
	assert_float_equal(at(grad, 1), 801, 0);
	assert_null(td_grad_of(x)); /* nothing is accumulated */
	td_backward_from(c, outputs, seeds, 2, 0);
	assert_float_equal(at(td_grad_of(x), 1), 801, 0);
	td_gradients(c, outputs, (td_value *[]){ outputs[1], NULL }, 2, &x, 1, 0, &grad);
	assert_int_equal(td_error(c)->status, TD_SHAPE);
	assert_non_null(strstr(td_error(c)->text, "seed float64[]"));
	td_unref(seed);
	td_unref(x);
	td_ctx_free(c);
}

static void the_tape_is_used_up_unless_it_is_retained(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 1, (double[]){ 3 }), *y = td_sum(c, td_square(c, x), ALL, false);

	(void)state;
	td_backward_from(c, &y, NULL, 1, TD_RETAIN_GRAPH);
	td_backward(c, y);
	assert_float_equal(at(td_grad_of(x), 0), 12, 0);
	td_backward(c, y);
	assert_int_equal(td_error(c)->status, TD_INVALID);
	assert_non_null(strstr(td_error(c)->text, "TD_RETAIN_GRAPH"));
	td_unref(x);
	td_ctx_free(c);
}

/* WGAN-GP: the penalty (|d critic / d x| - 1)^2 is itself differentiated by the weights. */
static void a_gradient_penalty_is_differentiated_again(void **state)
{
	td_ctx *c = context();
	td_value *w = leaf(c, "w", 2, (double[]){ 3, 4 }), *x = leaf(c, "x", 2, (double[]){ 1, 2 }), *dx, *one, *norm;
	td_value *critic = td_sum(c, td_mul(c, w, td_square(c, x)), ALL, false);

	(void)state;
	td_gradients(c, &critic, NULL, 1, &x, 1, TD_CREATE_GRAPH, &dx); /* 2 w x = (6, 16) */
	norm = td_sqrt(c, td_sum_squares(c, dx));
	one = td_ones_like(c, norm);
	td_backward(c, td_square(c, td_sub(c, norm, one)));
	/* 2 (|g| - 1) / |g| * g * 2 x */
	assert_float_equal(at(td_grad_of(w), 0), 2 * (sqrt(292) - 1) / sqrt(292) * 6 * 2, 1e-12);
	assert_float_equal(at(td_grad_of(w), 1), 2 * (sqrt(292) - 1) / sqrt(292) * 16 * 4, 1e-12);
	td_unref(w);
	td_unref(x);
	td_ctx_free(c);
}

/* What backward leaves in .grad, unless it is asked for, knows nothing of where it came from. */
static void gradients_are_constants_unless_a_graph_is_created(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 1, (double[]){ 3 }), *y = td_sum_squares(c, x), *dx, *ddx;

	(void)state;
	td_gradients(c, &y, NULL, 1, &x, 1, TD_RETAIN_GRAPH, &dx);
	td_gradients(c, &dx, (td_value *[]){ dx }, 1, &x, 1, 0, &ddx);
	assert_null(ddx);
	td_backward_from(c, &y, NULL, 1, TD_CREATE_GRAPH);
	y = td_sum(c, td_grad_of(x), ALL, false);
	td_gradients(c, &y, NULL, 1, &x, 1, 0, &ddx);
	assert_float_equal(at(ddx, 0), 2, 0);
	td_zero_grad(c, &x, 1, TD_ZERO_NONE);
	td_unref(x);
	td_ctx_free(c);
}

/* ---- Hooks ------------------------------------------------------------------------------------------------------- */

static td_value *double_it(td_ctx *c, void *seen, td_value *grad)
{
	++*(int *)seen;
	return td_add(c, grad, grad);
}

static td_value *look(td_ctx *c, void *seen, td_value *grad)
{
	(void)c;
	*(double *)seen = at(grad, 0);
	return NULL;
}

static td_value *shrink(td_ctx *c, void *arg, td_value *grad)
{
	(void)arg;
	return td_sum(c, grad, ALL, false);
}

static void hooks_see_whole_gradients_and_may_change_them(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 1, (double[]){ 3 }), *y = td_square(c, x);
	int n = 0;
	double of_y = 0;

	(void)state;
	td_hook_add(c, y, look, &of_y);
	td_hook_add(c, y, double_it, &n);
	td_hook_add(c, x, double_it, &n);
	td_backward(c, td_sum(c, td_add(c, y, y), ALL, false));
	assert_float_equal(of_y, 2, 0); /* both uses of y, added up */
	assert_int_equal(n, 2);
	assert_float_equal(at(td_grad_of(x), 0), 6 * 2 * 2 * 2, 0);
	td_hook_add(c, x, shrink, NULL);
	td_backward(c, td_sum(c, x, ALL, false));
	assert_int_equal(td_error(c)->status, TD_SHAPE);
	td_error_clear(c);
	td_hook_add(c, td_detach(c, x), look, &of_y);
	assert_int_equal(td_error(c)->status, TD_INVALID);
	td_unref(x);
	td_ctx_free(c);
}

/* ---- Functions with a rule of their own -------------------------------------------------------------------------- */

/* jcjohnson's ReLU as a custom autograd function. */
static td_value *relu_forward(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	(void)arg;
	(void)n_in;
	return td_mul(c, in[0], td_cast(c, td_equal(c, in[0], td_relu(c, in[0])), TD_F64));
}

static void relu_backward(
	td_ctx *c, void *calls, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx)
{
	(void)n_in;
	(void)y;
	++*(int *)calls;
	dx[0] = td_mul(c, dy, td_cast(c, td_equal(c, in[0], td_relu(c, in[0])), TD_F64));
}

static void a_custom_function_uses_its_own_rule(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 3, (double[]){ -1, 2, -3 });
	int calls = 0;
	td_custom relu = { .name = "my_relu", .forward = relu_forward, .backward = relu_backward, .arg = &calls };

	(void)state;
	td_backward(c, td_sum_squares(c, td_custom_call(c, &relu, &x, 1)));
	assert_int_equal(calls, 1);
	assert_float_equal(at(td_grad_of(x), 0), 0, 0);
	assert_float_equal(at(td_grad_of(x), 1), 4, 0);
	td_unref(x);
	td_ctx_free(c);
}

/* y = x^2, or x + bias, with a rule that does not care. */
static td_value *biased(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	(void)arg;
	assert_int_equal(n_in, 2);
	return in[1] ? td_add(c, in[0], in[1]) : td_square(c, in[0]);
}

static void biased_backward(
	td_ctx *c, void *calls, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx)
{
	(void)c;
	(void)in;
	(void)y;
	++*(int *)calls;
	assert_int_equal(n_in, 2);
	for (int i = 0; i < n_in; i++)
		dx[i] = dy;
}

static void a_custom_function_has_as_many_inputs_in_both_directions_and_is_not_called_after_an_error(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 1, (double[]){ 3 });
	int calls = 0;
	td_custom f = { .name = "biased", .forward = biased, .backward = biased_backward, .arg = &calls };

	(void)state;
	td_backward(c, td_sum(c, td_custom_call(c, &f, (td_value *[]){ x, NULL }, 2), ALL, false));
	assert_int_equal(td_error(c)->status, TD_OK);
	assert_int_equal(calls, 1);
	td_fail(c, TD_INVALID, "an earlier failure");
	assert_null(td_custom_call(c, &f, (td_value *[]){ NULL }, 1)); /* f would look at n_in */
	td_error_clear(c);
	td_unref(x);
	td_ctx_free(c);
}

/* ---- Writes in place --------------------------------------------------------------------------------------------- */

static void a_leaf_is_written_only_where_nothing_is_recorded(void **state)
{
	td_ctx *c = context();
	td_value *w = leaf(c, "w", 1, (double[]){ 3 });

	(void)state;
	assert_null(td_assign(c, w, td_neg(c, w)));
	assert_int_equal(td_error(c)->status, TD_INVALID);
	assert_non_null(strstr(td_error(c)->text, "\"w\""));
	td_error_clear(c);
	td_no_grad_begin(c);
	td_assign(c, w, td_neg(c, w)); /* w.data = -w */
	td_no_grad_end(c);
	assert_int_equal(td_error(c)->status, TD_OK);
	assert_float_equal(at(w, 0), -3, 0);
	td_unref(w);
	td_ctx_free(c);
}

static void a_write_between_forward_and_backward_is_named(void **state)
{
	(void)state;
	for (int traced = 0; traced < 2; traced++) {
		td_ctx *c = context();
		td_graph *g = td_graph_create();
		td_value *w = leaf(c, "w", 1, (double[]){ 3 }), *x = leaf(c, "x", 1, (double[]){ 2 }), *loss;

		if (traced)
			td_trace_begin(c, g);
		td_name_push(c, "fc");
		loss = td_sum(c, td_mul(c, w, x), ALL, false);
		td_name_pop(c);
		td_no_grad_begin(c);
		td_assign(c, w, td_neg(c, x));
		td_no_grad_end(c);
		td_backward(c, loss); /* d/dx is the w that was */
		assert_int_equal(td_error(c)->status, TD_INVALID);
		assert_non_null(strstr(td_error(c)->text, "layer fc"));
		assert_non_null(strstr(td_error(c)->text, "gradient of mul reads \"w\" (float64[1])"));
		assert_non_null(strstr(td_error(c)->text, "assign has written"));
		if (traced)
			td_trace_end(c);
		td_graph_free(g);
		td_unref(w);
		td_unref(x);
		td_ctx_free(c);
	}
}

static void a_write_to_what_no_rule_reads_is_fine(void **state)
{
	td_ctx *c = context();
	td_value *w = leaf(c, "w", 1, (double[]){ 3 }), *x = leaf(c, "x", 1, (double[]){ 2 });
	td_value *loss = td_sum(c, td_add(c, w, x), ALL, false);

	(void)state;
	td_no_grad_begin(c);
	td_assign(c, w, td_neg(c, x));
	td_no_grad_end(c);
	td_backward(c, loss); /* the rule of add looks at shapes alone */
	assert_int_equal(td_error(c)->status, TD_OK);
	assert_float_equal(at(td_grad_of(w), 0), 1, 0);
	td_unref(w);
	td_unref(x);
	td_ctx_free(c);
}

static void a_write_through_a_view_reaches_what_it_shows(void **state)
{
	(void)state;
	for (int traced = 0; traced < 2; traced++) {
		td_ctx *c = context();
		td_graph *g = td_graph_create();
		td_shape s = td_shape_make(TD_F64, 1, 4);
		td_value *w = td_tensor(c, &s, (double[]){ 1, 2, 3, 4 }), *square, *result;

		if (traced)
			td_trace_begin(c, g);
		square = td_reshape(c, w, (int64_t[]){ 2, 2 }, 2);
		td_assign(c, square, td_square(c, square));
		result = td_neg(c, w);
		if (traced) {
			td_trace_end(c);
			td_session *run = td_session_create(c, g, &result, 1);
			td_session_set_flags(run, TD_SESSION_PARANOID);
			td_session_run(run, c, NULL, 0, &result);
			td_session_free(run);
		}
		assert_int_equal(td_error(c)->status, TD_OK);
		assert_float_equal(at(w, 3), 16, 0);
		assert_float_equal(at(result, 2), -9, 0);
		td_unref(w);
		td_graph_free(g);
		td_ctx_free(c);
	}
}

static void a_graph_that_writes_to_a_result_does_not_run(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_value *x = leaf(c, "x", 1, (double[]){ 3 }), *y, *result;
	td_session *s;

	(void)state;
	td_trace_begin(c, g);
	td_no_grad_begin(c);
	y = td_exp(c, x);
	td_assign(c, y, x);
	td_no_grad_end(c);
	td_trace_end(c);
	s = td_session_create(c, g, &y, 1);
	assert_int_equal(td_session_run(s, c, NULL, 0, &result), TD_INVALID);
	assert_string_equal(td_error(c)->text,
		"assign writes to \"exp:0\", which is no variable; a graph that runs writes to variables alone");
	td_session_free(s);
	td_graph_free(g);
	td_unref(x);
	td_ctx_free(c);
}

/* ---- TensorFlow's tape ------------------------------------------------------------------------------------------- */

static void a_tape_watches_what_is_no_variable_and_lets_it_go(void **state)
{
	td_ctx *c = context();
	td_shape s = td_shape_make(TD_F64, 1, 1);
	td_value *x = td_tensor(c, &s, (double[]){ 3 }), *grad;
	td_tape *t = td_tape_open(c, false);

	(void)state;
	td_tape_watch(t, x);
	td_tape_gradient(t, td_square(c, x), &x, 1, &grad);
	assert_float_equal(at(grad, 0), 6, 0);
	assert_null(td_grad_of(x));
	td_tape_gradient(t, x, &x, 1, &grad);
	assert_int_equal(td_error(c)->status, TD_INVALID);
	assert_non_null(strstr(td_error(c)->text, "persistent"));
	td_error_clear(c);
	td_tape_close(t);
	t = td_tape_open(c, false);
	td_tape_gradient(t, td_square(c, x), &x, 1, &grad);
	assert_null(grad);
	td_tape_close(t);
	td_unref(x);
	td_ctx_free(c);
}

static void a_persistent_tape_gives_gradients_again_and_a_stopped_one_none(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 1, (double[]){ 3 }), *y, *z, *hidden, *grad;
	td_tape *t = td_tape_open(c, true);

	(void)state;
	y = td_square(c, x);
	z = td_square(c, y);
	td_tape_stop(t);
	hidden = td_square(c, x);
	td_tape_resume(t);
	td_tape_gradient(t, y, &x, 1, &grad);
	assert_float_equal(at(grad, 0), 6, 0);
	td_tape_gradient(t, z, &x, 1, &grad);
	assert_float_equal(at(grad, 0), 108, 0);
	td_tape_gradient(t, z, &y, 1, &grad); /* a result is a source, too */
	assert_float_equal(at(grad, 0), 18, 0);
	td_tape_gradient(t, hidden, &x, 1, &grad);
	assert_null(grad);
	td_tape_close(t);
	td_unref(x);
	td_ctx_free(c);
}

static void tapes_nest_for_second_derivatives(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 1, (double[]){ 3 }), *dx, *ddx;
	td_tape *outer = td_tape_open(c, false), *inner = td_tape_open(c, false);

	(void)state;
	td_tape_gradient(inner, td_mul(c, td_square(c, x), x), &x, 1, &dx);
	assert_float_equal(at(dx, 0), 27, 0);
	td_tape_close(inner);
	td_tape_gradient(outer, dx, &x, 1, &ddx);
	assert_float_equal(at(ddx, 0), 18, 0);
	td_tape_close(outer);
	td_unref(x);
	td_ctx_free(c);
}

/* A tape can watch what is in the middle: the walk ends there, even behind an op that has no gradient. */
static void watching_a_result_that_has_no_gradient_ends_the_walk_there(void **state)
{
	(void)state;
	for (int traced = 0; traced < 2; traced++) {
		td_ctx *c = context();
		td_graph *g = td_graph_create();
		td_shape s = td_shape_make(TD_F64, 1, 2);
		td_value *x = td_tensor(c, &s, (double[]){ 3, 4 }), *y, *grad, *result;
		td_tape *t;

		if (traced)
			td_trace_begin(c, g);
		t = td_tape_open(c, false);
		y = td_ones_like(c, x);
		td_tape_watch(t, y);
		td_tape_gradient(t, td_sum(c, td_mul(c, y, x), ALL, false), &y, 1, &grad);
		td_tape_close(t);
		assert_int_equal(td_error(c)->status, TD_OK);
		result = grad;
		if (traced) {
			td_trace_end(c);
			td_session *run = td_session_create(c, g, &grad, 1);
			td_session_run(run, c, NULL, 0, &result);
			td_session_free(run);
		}
		assert_float_equal(at(result, 1), 4, 0);
		td_unref(x);
		td_graph_free(g);
		td_ctx_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeros_and_none_are_two_ways_to_zero_a_gradient),
		cmocka_unit_test(several_outputs_are_weighted_by_their_seeds),
		cmocka_unit_test(the_tape_is_used_up_unless_it_is_retained),
		cmocka_unit_test(a_gradient_penalty_is_differentiated_again),
		cmocka_unit_test(gradients_are_constants_unless_a_graph_is_created),
		cmocka_unit_test(hooks_see_whole_gradients_and_may_change_them),
		cmocka_unit_test(a_custom_function_uses_its_own_rule),
		cmocka_unit_test(
			a_custom_function_has_as_many_inputs_in_both_directions_and_is_not_called_after_an_error),
		cmocka_unit_test(a_leaf_is_written_only_where_nothing_is_recorded),
		cmocka_unit_test(a_write_between_forward_and_backward_is_named),
		cmocka_unit_test(a_write_to_what_no_rule_reads_is_fine),
		cmocka_unit_test(a_write_through_a_view_reaches_what_it_shows),
		cmocka_unit_test(a_graph_that_writes_to_a_result_does_not_run),
		cmocka_unit_test(a_tape_watches_what_is_no_variable_and_lets_it_go),
		cmocka_unit_test(a_persistent_tape_gives_gradients_again_and_a_stopped_one_none),
		cmocka_unit_test(tapes_nest_for_second_derivatives),
		cmocka_unit_test(watching_a_result_that_has_no_gradient_ends_the_walk_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
