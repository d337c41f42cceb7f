/* What waits for what in a graph: an assignment is as much as its operation, and nothing is left out in silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "core/core.h"

/* A counter v of zeros, y = v^2 under control of what COUNT returned, and a session on both. */
struct counting {
	td_ctx *c;
	td_graph *g;
	td_value *one, *v, *counted, *y;
	td_session *s;
};

static td_value *number(td_ctx *c, td_graph *g, const char *name)
{
	td_shape scalar = { 0 };
	td_value *v;

	assert_non_null(g);
	v = td_get_variable(c, name, &scalar, &TD_ZEROS, true);
	assert_non_null(v);
	return v;
}

static void counting_init(struct counting *t, td_value *(*count)(td_ctx *c, td_value *v, td_value *by), unsigned flags)
{
	td_node *init;

	t->c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	t->g = td_graph_create();
	t->one = td_scalar(t->c, TD_F32, 1);
	td_trace_begin(t->c, t->g);
	t->v = number(t->c, t->g, "v");
	td_no_grad_begin(t->c);
	t->counted = count(t->c, t->v, t->one);
	td_no_grad_end(t->c);
	td_control_begin(t->c, &TD_VALUE(t->counted), 1);
	t->y = td_square(t->c, t->v);
	td_control_end(t->c);
	init = td_initialise_variables(t->c);
	td_trace_end(t->c);
	t->s = td_session_open(t->c, t->g, flags);
	td_session_fetch(t->s, t->c, &TD_OPERATION(init), 1, NULL, 0);
	assert_int_equal(td_error(t->c)->status, TD_OK);
}

static void counting_release(struct counting *t)
{
	assert_int_equal(td_error(t->c)->status, TD_OK);
	td_session_free(t->s);
	td_graph_free(t->g);
	td_unref(t->one);
	td_ctx_free(t->c);
}

static double fetched(struct counting *t, td_value *v)
{
	td_fetch fetch = TD_VALUE(v);
	double result;

	td_step_begin(t->c);
	if (td_session_fetch(t->s, t->c, &fetch, 1, NULL, 0))
		fail_msg("%s", td_error(t->c)->text);
	result = td_item(fetch.result);
	td_step_end(t->c);
	return result;
}

static td_value *take(td_ctx *c, td_value *v, td_value *by)
{
	return td_assign(c, v, td_add(c, v, by));
}

static const unsigned ways[] = { TD_SESSION_PARANOID, TD_SESSION_PARANOID | TD_SESSION_UNOPTIMISED };

static void what_waits_for_an_assignments_result_sees_it(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		struct counting t;

		counting_init(&t, way ? take : td_assign_add, ways[way]);
		assert_float_equal(fetched(&t, t.y), 1, 0);
		assert_float_equal(fetched(&t, t.y), 4, 0);
		assert_float_equal(fetched(&t, t.v), 2, 0); /* the variable itself: nothing is counted for it */
		counting_release(&t);
	}
}

static void fetching_an_assignment_assigns(void **state)
{
	(void)state;
	for (int way = 0; way < 2; way++) {
		struct counting t;

		counting_init(&t, way ? td_assign_add : td_assign_sub, ways[way]);
		for (int i = 1; i <= 3; i++)
			assert_float_equal(fetched(&t, t.counted), way ? i : -i, 0);
		counting_release(&t);
	}
}

static void what_an_assignment_returned_is_written_to_and_read_as_the_variable(void **state)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	struct counting t = { .c = c, .g = td_graph_create(), .one = td_scalar(c, TD_F32, 1) };
	td_value *twice, *grad, *read;
	td_node *init;

	(void)state;
	td_trace_begin(c, t.g);
	t.v = number(c, t.g, "v");
	td_no_grad_begin(c);
	twice = td_assign_add(c, td_assign_add(c, t.v, t.one), t.one);
	td_no_grad_end(c);
	read = td_square(c, twice); /* 2 v is the gradient, by v itself */
	td_gradients(c, &read, NULL, 1, &t.v, 1, 0, &grad);
	init = td_initialise_variables(c);
	td_trace_end(c);
	assert_ptr_equal(td_variable_tensor(twice), td_variable_tensor(t.v));
	t.s = td_session_open(c, t.g, TD_SESSION_PARANOID);
	td_session_fetch(t.s, c, &TD_OPERATION(init), 1, NULL, 0);
	assert_float_equal(fetched(&t, twice), 2, 0);
	assert_float_equal(fetched(&t, grad), 8, 0); /* at 4 */
	assert_float_equal(fetched(&t, read), 36, 0);
	counting_release(&t);
}

/* ---- TensorFlow 1's gradients ------------------------------------------------------------------------------------ */

struct saliency {
	td_ctx *c;
	td_graph *g;
	td_value *x, *hidden, *fixed, *w, *y;
};

/* y = sum (fixed (w x)^2), where only w wants a gradient. */
static void saliency_init(struct saliency *t)
{
	td_shape s = td_shape_make(TD_F32, 1, TD_UNKNOWN(2)), scalar = { 0 };

	t->c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	t->g = td_graph_create();
	td_trace_begin(t->c, t->g);
	t->x = td_placeholder(t->c, "x", &s);
	t->w = td_get_variable(t->c, "w", &scalar, &TD_ONES, true);
	t->fixed = td_get_variable(t->c, "fixed", &scalar, &TD_NORMAL(2, 0), false);
	t->hidden = td_neg(t->c, t->x); /* nothing that wants a gradient is in it */
	t->y = td_sum(t->c, td_mul(t->c, t->fixed, td_square(t->c, td_mul(t->c, t->hidden, t->w))), TD_ALL_AXES, false);
}

static void assert_elements(const td_value *v, float a, float b)
{
	float elements[2] = { 0, b };

	assert_true(td_shape_count(td_shape_of(v)) <= 2);
	td_read(v, elements);
	assert_float_equal(elements[0], a, 1e-5);
	assert_float_equal(elements[1], b, 1e-5);
}

static void gradients_are_by_placeholders_variables_and_results_unasked(void **state)
{
	struct saliency t;
	td_value *grads[4], *curve, *none, *second, *of_squares, *fed;
	td_shape s = td_shape_make(TD_F32, 1, 2);
	td_session *session;
	td_node *init;

	(void)state;
	saliency_init(&t);
	td_gradients(t.c, &t.y, NULL, 1, (td_value *[]){ t.x, t.hidden, t.fixed, t.w }, 4, TD_CREATE_GRAPH, grads);
	of_squares = td_sum_squares(t.c, grads[0]); /* 16 x^2 each */
	td_gradients(t.c, &of_squares, NULL, 1, &t.x, 1, 0, &second);
	assert_false(t.x->needs_grad || t.hidden->needs_grad || t.fixed->needs_grad); /* as they were */
	td_no_grad_begin(t.c);
	curve = td_sum_squares(t.c, t.x);
	td_no_grad_end(t.c);
	td_gradients(t.c, &curve, NULL, 1, &t.x, 1, 0, &none); /* what was made without gradients has none */
	assert_null(none);
	init = td_initialise_variables(t.c);
	td_trace_end(t.c);
	assert_string_equal(td_error(t.c)->text, "");
	session = td_session_open(t.c, t.g, TD_SESSION_PARANOID);
	td_session_fetch(session, t.c, &TD_OPERATION(init), 1, NULL, 0);
	fed = td_tensor(t.c, &s, (float[]){ 1, 3 });
	for (int i = 0; i < 5; i++)
		assert_non_null(i < 4 ? grads[i] : second);
	td_fetch fetches[] = { TD_VALUE(grads[0]), TD_VALUE(grads[1]), TD_VALUE(grads[2]), TD_VALUE(grads[3]),
		TD_VALUE(second) };
	td_session_fetch(session, t.c, fetches, 5, &(td_feed){ t.x, fed }, 1);
	assert_int_equal(td_error(t.c)->status, TD_OK);
	assert_elements(fetches[0].result, 4, 12);   /* 2 fixed w^2 x */
	assert_elements(fetches[1].result, -4, -12); /* by -x */
	assert_elements(fetches[2].result, 10, 0);   /* the sum of x^2 */
	assert_elements(fetches[3].result, 40, 0);   /* 2 fixed w sum of x^2 */
	assert_elements(fetches[4].result, 32, 96);  /* 32 x */
	td_unref(fed);
	td_session_free(session);
	td_graph_free(t.g);
	td_ctx_free(t.c);
}

/* Gradients by weights record what they did: nothing is computed for a placeholder that nobody asked about. */
static void gradients_by_weights_record_no_other(void **state)
{
	(void)state;
	for (int asked = 0; asked < 2; asked++) {
		struct saliency t;
		td_value *grad, *of_x;
		int64_t before, n;

		saliency_init(&t);
		if (asked)
			td_gradients(t.c, &t.y, NULL, 1, &t.x, 1, TD_RETAIN_GRAPH, &of_x);
		before = td_ctx_counters(t.c).recorded;
		td_gradients(t.c, &t.y, NULL, 1, &t.w, 1, 0, &grad);
		n = td_ctx_counters(t.c).recorded - before;
		assert_string_equal(td_error(t.c)->text, "");
		assert_non_null(grad);
		assert_int_equal(n, 8);
		td_trace_end(t.c);
		td_graph_free(t.g);
		td_ctx_free(t.c);
	}
}

/* ---- One graph for both modes ------------------------------------------------------------------------------------ */

enum { CHANNELS = 3 };

/* What a batch norm of x and its running statistics come to. */
struct norm_result {
	float y[4 * CHANNELS], dx[4 * CHANNELS], mean[CHANNELS], variance[CHANNELS];
};

static td_value *row(td_ctx *c, int n, int m, float by)
{
	td_shape s = m ? td_shape_make(TD_F32, 2, n, m) : td_shape_make(TD_F32, 1, n);
	td_value *v = td_tensor(c, &s, NULL);

	for (int64_t i = 0; i < td_shape_count(&s); i++)
		((float *)td_data(v))[i] = 0.5f + by * (float)((i * 7) % 11);
	return v;
}

static void norm_read(struct norm_result *r, td_value *y, td_value *dx, td_value *mean, td_value *variance)
{
	td_read(y, r->y);
	td_read(dx, r->dx);
	td_read(mean, r->mean);
	td_read(variance, r->variance);
}

/* Eagerly, in the mode that ATTRS say; the gradient is of the sum of squares. */
static struct norm_result norm_eagerly(td_ctx *c, td_value *x, const td_batch_norm_attrs *attrs)
{
	td_value *mean = row(c, CHANNELS, 0, 0.25f), *variance = row(c, CHANNELS, 0, 0.125f), *y, *loss, *dx;
	struct norm_result r = { 0 };

	td_step_begin(c);
	td_require_grad(c, x, true);
	y = td_batch_norm(c, x, NULL, NULL, mean, variance, attrs);
	loss = td_sum_squares(c, y);
	td_gradients(c, &loss, NULL, 1, &x, 1, 0, &dx);
	td_require_grad(c, x, false);
	assert_int_equal(td_error(c)->status, TD_OK);
	norm_read(&r, y, dx, mean, variance);
	td_step_end(c);
	td_unref(mean);
	td_unref(variance);
	return r;
}

static void one_graph_trains_and_evaluates_a_batch_norm(void **state)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 2 });
	td_graph *g = td_graph_create();
	td_value *x = row(c, 4, CHANNELS, 0.5f), *one = row(c, 1, CHANNELS, 0.5f), *mean, *variance, *loss, *in, *mode;
	td_batch_norm_attrs attrs = { .momentum = 0.25, .eps = 1e-3 };
	td_shape s = td_shape_make(TD_F32, 2, TD_UNKNOWN(4), CHANNELS), flag = { .dtype = TD_BOOL };
	td_value *fetches[2], *results[2];
	td_session *session;

	(void)state;
	td_trace_begin(c, g);
	in = td_placeholder(c, "x", &s);
	mode = td_placeholder(c, "is_training", &flag);
	mean = row(c, CHANNELS, 0, 0.25f);
	variance = row(c, CHANNELS, 0, 0.125f);
	fetches[0] = td_batch_norm_switched(c, in, NULL, NULL, mean, variance, mode, &attrs);
	loss = td_sum_squares(c, fetches[0]);
	td_gradients(c, &loss, NULL, 1, &in, 1, 0, &fetches[1]);
	td_trace_end(c);
	session = td_session_create(c, g, fetches, 2);
	for (int i = 0; i < 4; i++) { /* evaluating before training leaves nothing behind */
		bool training = i % 2;
		td_value *m = td_tensor(c, &flag, &training),
			 *start[] = { row(c, CHANNELS, 0, 0.25f), row(c, CHANNELS, 0, 0.125f) };
		struct norm_result eager, graph = { 0 };

		td_write(mean, td_data(start[0]));
		td_write(variance, td_data(start[1]));
		attrs.training = training;
		eager = norm_eagerly(c, x, &attrs);
		td_step_begin(c);
		if (td_session_run(session, c, (td_feed[]){ { in, x }, { mode, m } }, 2, results))
			fail_msg("%s", td_error(c)->text);
		norm_read(&graph, results[0], results[1], mean, variance);
		td_step_end(c);
		assert_memory_equal(&graph, &eager, sizeof graph);
		assert_true(!memcmp(graph.mean, td_data(start[0]), sizeof graph.mean) == !training);
		td_session_run(session, c, (td_feed[]){ { in, one }, { mode, m } }, 2, results); /* one sample */
		if (training)
			assert_non_null(
				strstr(td_error(c)->text, "more than one value for each channel while training"));
		assert_int_equal(td_error(c)->status, training ? TD_SHAPE : TD_OK);
		td_error_clear(c);
		td_unref(start[0]);
		td_unref(start[1]);
		td_unref(m);
	}
	td_session_free(session);
	td_graph_free(g);
	td_unref(mean);
	td_unref(variance);
	td_unref(x);
	td_unref(one);
	td_ctx_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits_for_an_assignments_result_sees_it),
		cmocka_unit_test(fetching_an_assignment_assigns),
		cmocka_unit_test(what_an_assignment_returned_is_written_to_and_read_as_the_variable),
		cmocka_unit_test(gradients_are_by_placeholders_variables_and_results_unasked),
		cmocka_unit_test(gradients_by_weights_record_no_other),
		cmocka_unit_test(one_graph_trains_and_evaluates_a_batch_norm),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
