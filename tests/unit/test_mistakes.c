/* What a program gets wrong is an error that says what to do, in either mode, and never the end of the process. */
#include "leaf_rig.h"

#include <string.h>

#define ALL TD_ALL_AXES

static td_ctx *context(void)
{
	return td_ctx_create(&(td_ctx_options){ .threads = 1 });
}

static void assert_refused(td_ctx *c, td_status status, const char *a, const char *b)
{
	if (td_error(c)->status != status || !strstr(td_error(c)->text, a) || !strstr(td_error(c)->text, b))
		fail_msg("not \"%s\" and \"%s\", but %d: %s", a, b, td_error(c)->status, td_error(c)->text);
	td_error_clear(c);
}

static void a_backward_that_reaches_no_leaf_is_refused(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 2, (double[]){ 3, 4 }), *outputs[2], *seeds[2] = { NULL };
	td_graph *g = td_graph_create();

	(void)state;
	td_no_grad_begin(c);
	outputs[1] = td_sum_squares(c, x);
	td_no_grad_end(c);
	td_backward(c, outputs[1]);
	assert_refused(c, TD_INVALID, "depends on nothing that wants a gradient", "td_require_grad");
	outputs[0] = td_sum_squares(c, x);
	td_backward_from(c, outputs, seeds, 2, 0);
	assert_refused(c, TD_INVALID, "depends on nothing that wants a gradient", "td_no_grad");
	assert_null(td_grad_of(x));
	td_require_grad(c, x, false);
	td_backward(c, td_sum_squares(c, x));
	assert_refused(c, TD_INVALID, "float64[]", "td_require_grad");
	td_trace_begin(c, g);
	td_backward(c, td_sum_squares(c, x));
	assert_refused(c, TD_INVALID, "float64[]", "td_require_grad");
	td_trace_end(c);
	td_graph_free(g);
	td_unref(x);
	td_ctx_free(c);
}

static void only_floating_leaves_can_be_asked_to_want_a_gradient(void **state)
{
	td_ctx *c = context();
	td_shape s = td_shape_make(TD_I64, 1, 2);
	td_value *labels = td_tensor(c, &s, NULL), *x = leaf(c, "x", 2, (double[]){ 3, 4 }), *y;

	(void)state;
	td_require_grad(c, labels, true);
	assert_refused(c, TD_DTYPE, "int64[2]", "td_cast");
	td_require_grad(c, labels, false); /* as it is */
	y = td_square(c, x);
	td_require_grad(c, y, true); /* likewise */
	assert_int_equal(td_error(c)->status, TD_OK);
	td_require_grad(c, y, false);
	assert_refused(c, TD_INVALID, "made by square", "td_detach");
	td_backward(c, td_sum(c, y, ALL, false));
	assert_float_equal(at(td_grad_of(x), 1), 8, 0);
	td_zero_grad(c, &x, 1, TD_ZERO_NONE);
	td_unref(labels);
	td_unref(x);
	td_ctx_free(c);
}

static td_value *nothing(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	(void)c;
	(void)arg;
	(void)in;
	(void)n_in;
	return NULL;
}

static td_value *doubled(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	(void)arg;
	(void)n_in;
	return td_add(c, in[0], in[0]);
}

static void too_small(td_ctx *c, void *arg, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx)
{
	(void)arg;
	(void)in;
	(void)n_in;
	(void)y;
	dx[0] = td_sum(c, dy, ALL, false);
}

static void a_custom_function_that_goes_wrong_is_refused_by_name(void **state)
{
	td_ctx *c = context();
	td_value *x = leaf(c, "x", 2, (double[]){ 3, 4 });
	td_custom empty = { .name = "empty", .forward = nothing, .backward = too_small },
		  summed = { .name = "summed", .forward = doubled, .backward = too_small };
	td_graph *g = td_graph_create();

	(void)state;
	for (int traced = 0; traced < 2; traced++) {
		if (traced)
			td_trace_begin(c, g);
		assert_null(td_custom_call(c, &empty, &x, 1));
		assert_refused(c, TD_INVALID, "empty", "no result");
		td_backward(c, td_sum(c, td_custom_call(c, &summed, &x, 1), ALL, false));
		assert_refused(c, TD_SHAPE, "summed gave its input 0, which is float64[2]", "float64[]");
	}
	td_trace_end(c);
	td_graph_free(g);
	td_unref(x);
	td_ctx_free(c);
}

/* The builder of a convolution puts its input into another order: whoever reads the error knows nothing of it. */
static void a_shape_error_names_what_its_reader_made(void **state)
{
	td_shape image = td_shape_make(TD_F32, 4, 2, 3, 8, 8), kernel = td_shape_make(TD_F32, 4, 5, 4, 3, 3);

	(void)state;
	for (int way = 0; way < 3; way++) { /* eagerly with and without a gradient, and traced */
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
		td_graph *g = td_graph_create();
		td_value *x = td_tensor(c, &image, NULL), *w = td_tensor(c, &kernel, NULL), *y;

		td_require_grad(c, x, way == 1);
		td_set_name(w, "conv.weight");
		td_step_begin(c);
		if (way == 2)
			td_trace_begin(c, g);
		td_name_push(c, "act");
		y = td_relu(c, x);
		td_name_pop(c);
		td_name_push(c, "conv");
		assert_null(td_conv2d(c, y, w, NULL, &(td_conv2d_attrs){ .stride = { 1, 1 } }));
		td_name_pop(c);
		assert_int_equal(td_error(c)->status, TD_SHAPE);
		if (!strstr(td_error(c)->text, "; input 0 comes from relu of layer act") ||
			strstr(td_error(c)->text, "reorder"))
			fail_msg("way %d: %s", way, td_error(c)->text);
		td_error_clear(c);
		if (way == 2)
			td_trace_end(c);
		td_step_end(c);
		td_graph_free(g);
		td_unref(x);
		td_unref(w);
		td_ctx_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_backward_that_reaches_no_leaf_is_refused),
		cmocka_unit_test(only_floating_leaves_can_be_asked_to_want_a_gradient),
		cmocka_unit_test(a_custom_function_that_goes_wrong_is_refused_by_name),
		cmocka_unit_test(a_shape_error_names_what_its_reader_made),
	};

	return cmocka_run_group_tests_name("mistakes", tests, NULL, NULL);
}
