/* The engine's core: steps, errors, the tape, traces, plans and their bindings; and the gates that guard plans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/session.h"

static td_ctx *context(void)
{
	return td_ctx_create(&(td_ctx_options){ .threads = 2, .seed = 7 });
}

static td_value *row(td_ctx *c, int n, const float *data)
{
	td_shape s = td_shape_make(TD_F32, 1, n);

	return td_tensor(c, &s, data);
}

static void the_first_error_stays_and_later_calls_return_nothing(void **state)
{
	td_ctx *c = context();
	td_value *a = row(c, 3, NULL), *b = row(c, 2, NULL);

	(void)state;
	td_name_push(c, "0");
	assert_null(td_add(c, a, b));
	td_name_pop(c);
	assert_int_equal(td_error(c)->status, TD_SHAPE);
	assert_non_null(strstr(td_error(c)->text, "layer 0"));
	assert_non_null(strstr(td_error(c)->text, "float32[3]"));
	assert_null(td_relu(c, td_mul(c, a, a)));
	assert_non_null(strstr(td_error(c)->text, "float32[2]")); /* still the first */
	td_error_clear(c);
	assert_non_null(td_relu(c, td_mul(c, a, a)));
	td_unref(a);
	td_unref(b);
	td_ctx_free(c);
}

static void a_shape_error_says_where_its_inputs_come_from(void **state)
{
	(void)state;
	for (int traced = 0; traced < 2; traced++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
		td_graph *g = td_graph_create();
		td_value *x = row(c, 2, (float[]){ 1, 2 }), *w = row(c, 3, (float[]){ 1, 2, 3 }),
			 *own = row(c, 3, (float[]){ 1, 2, 3 }), *y;

		td_require_grad(c, x, true);
		td_set_name(w, "head.weight");
		td_set_name(own, "tail.weight");
		td_step_begin(c);
		if (traced)
			td_trace_begin(c, g);
		td_name_push(c, "act");
		y = td_relu(c, x);
		td_name_pop(c);
		td_name_push(c, "tail");
		assert_null(td_add(c, y, w));
		assert_int_equal(td_error(c)->status, TD_SHAPE);
		assert_non_null(strstr(td_error(c)->text, "layer tail: add: float32[2] and float32[3]"));
		assert_non_null(strstr(
			td_error(c)->text, "; input 0 comes from relu of layer act, input 1 is \"head.weight\""));
		td_error_clear(c);
		assert_null(td_add(c, y, own)); /* that "tail.weight" is a weight of "tail" is no news */
		assert_non_null(strstr(td_error(c)->text, "; input 0 comes from relu of layer act"));
		assert_null(strstr(td_error(c)->text, "tail.weight"));
		td_error_clear(c);
		td_name_pop(c);
		if (traced)
			td_trace_end(c);
		td_step_end(c);
		td_graph_free(g);
		td_unref(x);
		td_unref(w);
		td_unref(own);
		td_ctx_free(c);
	}
}

static void layers_beyond_the_most_are_refused_and_the_path_outside_stays(void **state)
{
	td_ctx *c = context();
	td_value *x = row(c, 2, (float[]){ 1, 2 });

	(void)state;
	td_name_push(c, "outer");
	for (int i = 0; !td_error(c)->status && i <= TD_LAYERS_MOST; i++) {
		char name[24];

		snprintf(name, sizeof name, "%d", i);
		td_name_push(c, name);
		td_name_pop(c);
	}
	assert_int_equal(td_error(c)->status, TD_TOO_LARGE);
	assert_non_null(strstr(td_error(c)->text, "layer outer: \"outer.65534\" would be"));
	td_error_clear(c);
	td_name_push(c, "1"); /* what is known stays so */
	assert_non_null(td_relu(c, x));
	td_name_pop(c);
	td_name_pop(c);
	td_unref(x);
	td_ctx_free(c);
}

static void a_step_gives_back_all_that_it_made_but_what_was_referenced(void **state)
{
	td_ctx *c = context();
	td_value *x = row(c, 1000, NULL), *kept;
	int64_t before = td_ctx_counters(c).live_bytes;

	(void)state;
	td_require_grad(c, x, true);
	td_step_begin(c);
	kept = td_ref(td_exp(c, x));
	td_backward(c, td_sum(c, td_mul(c, kept, kept), TD_ALL_AXES, false));
	assert_true(td_ctx_counters(c).live_bytes > before);
	td_step_end(c);
	assert_float_equal(((float *)td_data(kept))[999], 1, 0);
	td_unref(kept);
	td_zero_grad(c, &x, 1, TD_ZERO_NONE);
	assert_int_equal(td_ctx_counters(c).live_bytes, before);
	td_unref(x);
	td_ctx_free(c);
}

static void a_chain_as_long_as_a_long_step_is_freed_without_recursion(void **state)
{
	td_ctx *c = context();
	td_value *x = row(c, 1, (float[]){ 1 }), *y = x;

	(void)state;
	td_require_grad(c, x, true);
	for (int i = 0; i < 300000; i++)
		y = td_neg(c, y);
	td_backward(c, td_sum(c, y, TD_ALL_AXES, false));
	assert_float_equal(td_item(td_grad_of(x)), 1, 0);
	td_unref(x);
	td_ctx_free(c);
}

static void backward_accumulates_until_the_gradient_is_zeroed(void **state)
{
	td_ctx *c = context();
	td_value *x = row(c, 2, (float[]){ 3, 4 });

	(void)state;
	td_require_grad(c, x, true);
	for (int i = 1; i <= 3; i++) {
		td_step_begin(c);
		td_backward(c, td_sum_squares(c, x));
		td_step_end(c);
		assert_float_equal(((float *)td_data(td_grad_of(x)))[1], 8.0f * (float)i, 0);
	}
	td_zero_grad(c, &x, 1, TD_ZERO_NONE);
	assert_null(td_grad_of(x));
	td_unref(x);
	td_ctx_free(c);
}

static void nothing_is_recorded_without_a_gradient_and_detach_cuts(void **state)
{
	td_ctx *c = context();
	td_value *x = row(c, 2, (float[]){ 3, 4 }), *y, *grad;

	(void)state;
	td_require_grad(c, x, true);
	td_no_grad_begin(c);
	y = td_exp(c, x);
	td_no_grad_end(c);
	assert_null(y->producer);
	y = td_sum(c, td_mul(c, x, td_detach(c, x)), TD_ALL_AXES, false);
	td_gradients(c, &y, NULL, 1, &x, 1, 0, &grad);
	assert_float_equal(((float *)td_data(grad))[0], 3, 0); /* not 6 */
	assert_ptr_equal(td_data(td_detach(c, x)), td_data(x));
	td_unref(x);
	td_ctx_free(c);
}

static void backward_of_something_that_is_not_a_scalar_is_refused(void **state)
{
	td_ctx *c = context();
	td_value *x = row(c, 2, NULL);

	(void)state;
	td_require_grad(c, x, true);
	td_backward(c, td_exp(c, x));
	assert_int_equal(td_error(c)->status, TD_SHAPE);
	td_unref(x);
	td_ctx_free(c);
}

/* ---- One train step, written once: w <- w - lr d/dw mean((x w)^2 with dropout) ----------------------------------- */

static td_value *train_step(td_ctx *c, td_value *x, td_value *w, td_value *lr, td_value *t, td_value *gate)
{
	td_value *loss =
		td_mean(c, td_square(c, td_dropout(c, td_matmul(c, x, w, false, false), 0.5f)), TD_ALL_AXES, false);

	td_backward(c, loss);
	td_no_grad_begin(c);
	td_sgd_update(c, w, td_grad_of(w), NULL, lr, t, gate, &(td_sgd_attrs){ 0 });
	td_no_grad_end(c);
	td_zero_grad(c, &w, 1, TD_ZERO_NONE);
	return loss;
}

static td_value *batch(td_ctx *c, int n, int step)
{
	td_shape s = td_shape_make(TD_F32, 2, n, 6);
	float data[64 * 6];

	for (int i = 0; i < n * 6; i++)
		data[i] = sinf((float)(i + 31 * step));
	return td_tensor(c, &s, data);
}

#define STEPS 24

static void run_steps(bool graph, float *losses, float *weights, td_counters *counters)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape ws = td_shape_make(TD_F32, 2, 6, 5), scalar = { .dtype = TD_F32 };
	td_value *w = td_tensor(c, &ws, NULL), *lr = td_scalar(c, TD_F32, 0.1), *t = td_scalar(c, TD_F32, 1),
		 *gate = td_scalar(c, TD_F32, 1);
	td_value *symbols[4] = { 0 }, *loss = NULL;
	td_session *s = NULL;

	for (int i = 0; i < 30; i++)
		((float *)td_data(w))[i] = cosf((float)i);
	td_require_grad(c, w, true);
	for (int step = 0; step < STEPS; step++) {
		td_value *x = batch(c, step % 5 == 4 ? 11 : 64, step), *result;

		td_step_begin(c);
		if (graph && !s) {
			td_trace_begin(c, g);
			td_shape any = *td_shape_of(x);

			any.dim[0] = TD_UNKNOWN(any.dim[0]);
			symbols[0] = td_placeholder(c, "x", &any);
			for (int i = 1; i < 4; i++)
				symbols[i] = td_placeholder(c, "scalar", &scalar);
			loss = train_step(c, symbols[0], w, symbols[1], symbols[2], symbols[3]);
			td_trace_end(c);
			s = td_session_create(c, g, &loss, 1);
		}
		if (graph)
			td_session_run(s, c,
				(td_feed[]){ { symbols[0], x }, { symbols[1], lr }, { symbols[2], t },
					{ symbols[3], gate } },
				4, &result);
		else
			result = train_step(c, x, w, lr, t, gate);
		assert_int_equal(td_error(c)->status, TD_OK);
		losses[step] = (float)td_item(result);
		td_step_end(c);
		td_unref(x);
	}
	td_read(w, weights);
	*counters = td_ctx_counters(c);
	td_session_free(s);
	td_graph_free(g);
	td_unref(w);
	td_unref(lr);
	td_unref(t);
	td_unref(gate);
	td_ctx_free(c);
}

static void a_traced_step_replays_the_bits_of_the_eager_one_short_batches_included(void **state)
{
	float losses[2][STEPS], weights[2][30];
	td_counters n[2];

	(void)state;
	run_steps(false, losses[0], weights[0], &n[0]);
	run_steps(true, losses[1], weights[1], &n[1]);
	assert_memory_equal(losses[0], losses[1], sizeof losses[0]);
	assert_memory_equal(weights[0], weights[1], sizeof weights[0]);
	assert_true(losses[0][STEPS - 1] < losses[0][0]);
	assert_int_equal(n[0].plans, 0);
	assert_int_equal(n[0].recorded, 0);
	assert_int_equal(n[1].dispatched, 0);
	assert_int_equal(n[1].plans, 1);
	assert_int_equal(n[1].bindings, 2); /* 64 and 11 */
	assert_true(n[1].replayed > 0);
}

static void a_gate_of_zero_leaves_the_weights_alone(void **state)
{
	td_ctx *c = context();
	td_value *w = row(c, 2, (float[]){ 3, 4 }), *g = row(c, 2, (float[]){ NAN, 1 });
	td_value *one = td_scalar(c, TD_F32, 1), *zero = td_scalar(c, TD_F32, 0);

	(void)state;
	td_sgd_update(c, w, g, NULL, one, one, zero, &(td_sgd_attrs){ 0 });
	assert_float_equal(((float *)td_data(w))[0], 3, 0);
	td_sgd_update(c, w, g, NULL, one, one, one, &(td_sgd_attrs){ 0 });
	assert_true(isnan(((float *)td_data(w))[0]));
	td_unref(w);
	td_unref(g);
	td_unref(one);
	td_unref(zero);
	td_ctx_free(c);
}

static void a_session_refuses_missing_and_mistyped_feeds_by_name(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape s = td_shape_make(TD_F32, 1, 3), wrong = td_shape_make(TD_I64, 1, 3);
	td_value *x, *y, *bad = td_tensor(c, &wrong, NULL), *result;
	td_session *session;

	(void)state;
	td_trace_begin(c, g);
	x = td_placeholder(c, "pictures", &s);
	y = td_exp(c, x);
	td_trace_end(c);
	session = td_session_create(c, g, &y, 1);
	assert_int_equal(td_session_run(session, c, NULL, 0, &result), TD_INVALID);
	assert_non_null(strstr(td_error(c)->text, "pictures"));
	td_error_clear(c);
	assert_int_equal(td_session_run(session, c, (td_feed[]){ { x, bad } }, 1, &result), TD_DTYPE);
	td_error_clear(c);
	td_session_free(session);
	td_graph_free(g);
	td_unref(bad);
	td_ctx_free(c);
}

static void a_session_keeps_a_bounded_number_of_bindings_and_stays_right(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape s = td_shape_make(TD_F32, 1, TD_UNKNOWN(3));
	td_value *x, *y;
	td_session *session;

	(void)state;
	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &s);
	y = td_sum(c, td_exp(c, td_neg(c, x)), TD_ALL_AXES, false);
	td_trace_end(c);
	session = td_session_create(c, g, &y, 1);
	for (int round = 0; round < 3; round++)
		for (int n = 1; n <= 3 * TD_BINDINGS_MOST; n++) {
			td_value *v = row(c, n, NULL), *result;

			td_step_begin(c);
			assert_int_equal(td_session_run(session, c, (td_feed[]){ { x, v } }, 1, &result), TD_OK);
			assert_float_equal(td_item(result), n, 0);
			td_step_end(c);
			td_unref(v);
		}
	assert_int_equal(td_ctx_counters(c).plans, 1);
	td_session_free(session);
	td_graph_free(g);
	td_ctx_free(c);
}

static void sizes_beyond_any_memory_are_refused_before_anything_is_allocated(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape s = { .dtype = TD_F32, .rank = 2, .dim = { (int64_t)1 << 40, 1 } },
		 t = { .dtype = TD_F32, .rank = 2, .dim = { 1, (int64_t)1 << 40 } };

	(void)state;
	td_trace_begin(c, g);
	assert_null(td_add(c, td_placeholder(c, "a", &s), td_placeholder(c, "b", &t)));
	assert_int_equal(td_error(c)->status, TD_TOO_LARGE);
	td_trace_end(c);
	td_graph_free(g);
	td_ctx_free(c);
}

/* ---- Prepared handles: an op that counts how often it prepares ------------------------------------------------- */

static int n_prepared, n_released;
static td_op counting;

static void *count_prepare(const td_call *call)
{
	n_prepared++;
	return (void *)(uintptr_t)td_shape_count(call->in[0].shape);
}

static void count_release(void *handle)
{
	(void)handle;
	n_released++;
}

static void fill_with_handle(const td_call *call)
{
	for (int64_t i = 0; i < td_shape_count(call->out[0].shape); i++)
		((float *)call->out[0].data)[i] = (float)(uintptr_t)call->handle;
}

static td_value *apply_counting(td_ctx *c, td_value *x)
{
	return td_apply(c, &counting, NULL, &x, 1);
}

static void use_counting(void)
{
	counting = *td__op_find("neg");
	counting.prepare = count_prepare;
	counting.release = count_release;
	counting.forward[TD_CPU] = fill_with_handle;
	counting.backward = td_nodiff;
	n_prepared = n_released = 0;
}

static void eager_handles_are_made_once_for_each_shape_and_their_number_is_bounded(void **state)
{
	td_ctx *c = context();

	(void)state;
	use_counting();
	for (int k = 0; k < 515; k++) { /* five shapes three times, then more than the cache holds */
		int n = k < 15 ? k % 5 + 1 : k;
		td_value *x = row(c, n, NULL);

		assert_float_equal(((float *)td_data(apply_counting(c, x)))[n - 1], n, 0);
		if (k == 14)
			assert_int_equal(n_prepared, 5);
		td_unref(x);
	}
	assert_true(n_released > 0 && n_released < n_prepared);
	td_ctx_free(c);
	assert_int_equal(n_released, n_prepared);
}

static void a_binding_owns_its_handles(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape s = td_shape_make(TD_F32, 1, TD_UNKNOWN(3));
	td_value *x, *y;
	td_session *session;

	(void)state;
	use_counting();
	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &s);
	y = apply_counting(c, x);
	td_trace_end(c);
	session = td_session_create(c, g, &y, 1);
	for (int k = 0; k < 6; k++) {
		td_value *v = row(c, k % 2 + 1, NULL), *result;

		assert_int_equal(td_session_run(session, c, (td_feed[]){ { x, v } }, 1, &result), TD_OK);
		assert_float_equal(((float *)td_data(result))[0], (k % 2 + 1), 0);
		td_unref(v);
	}
	assert_int_equal(n_prepared, 2);
	td_session_free(session);
	assert_int_equal(n_released, 2);
	td_graph_free(g);
	td_ctx_free(c);
}

/* ---- The gates --------------------------------------------------------------------------------------------------- */

/* Whether FN aborts, in a child. */
static bool aborts(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct sigaction default_action = { .sa_handler = SIG_DFL };
		sigaction(SIGABRT, &default_action, NULL);
		(void)!freopen("/dev/null", "w", stderr);
		fn();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* The plan of a graph of a few steps, and a layout of it. */
static td_prepared *prepared;
static td_binding *binding;

static void prepare(td_ctx *c, td_graph *g)
{
	td_shape s = td_shape_make(TD_F32, 1, 100);
	td_request request = { .fetches = MEM_NEW(int), .n_fetches = 1 };
	td_value *x;

	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &s);
	request.fetches[0] = td_add(c, td_mul(c, td_exp(c, x), td_log(c, x)), x)->id;
	td_trace_end(c);
	prepared = td__prepare(c, g, &request, true, 0);
	binding = td__binding_for(prepared, c, &s, 0, 1);
}

static void verify(void)
{
	td__verify_plan(&prepared->plan, "a test");
	td__verify_layout(&prepared->plan, &binding->layout);
}

static void forget_a_step(void)
{
	td_plan *p = &prepared->plan;

	p->steps[1] = p->steps[--p->n_steps];
	verify();
}

static void swap_steps(void)
{
	td_step_plan *steps = prepared->plan.steps, s = steps[1];

	steps[1] = steps[2];
	steps[2] = s;
	verify();
}

static void put_everything_at_the_start(void)
{
	int64_t *offsets = binding->layout.offsets;

	for (int i = 0; i < prepared->plan.n_values; i++)
		offsets[i] = offsets[i] >= 0 ? 0 : -1;
	verify();
}

static void the_verifier_accepts_a_plan_and_sees_it_broken(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();

	(void)state;
	prepare(c, g);
	assert_false(aborts(verify));
	assert_true(aborts(forget_a_step));
	assert_true(aborts(swap_steps));
	assert_true(aborts(put_everything_at_the_start));
	assert_true(binding->layout.arena_bytes <
		    4 * 448); /* places are used again: four values of 448 bytes in fewer than four places */
	td__prepared_free(prepared);
	td_graph_free(g);
	td_ctx_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_error_stays_and_later_calls_return_nothing),
		cmocka_unit_test(a_shape_error_says_where_its_inputs_come_from),
		cmocka_unit_test(layers_beyond_the_most_are_refused_and_the_path_outside_stays),
		cmocka_unit_test(a_step_gives_back_all_that_it_made_but_what_was_referenced),
		cmocka_unit_test(a_chain_as_long_as_a_long_step_is_freed_without_recursion),
		cmocka_unit_test(backward_accumulates_until_the_gradient_is_zeroed),
		cmocka_unit_test(nothing_is_recorded_without_a_gradient_and_detach_cuts),
		cmocka_unit_test(backward_of_something_that_is_not_a_scalar_is_refused),
		cmocka_unit_test(a_traced_step_replays_the_bits_of_the_eager_one_short_batches_included),
		cmocka_unit_test(a_gate_of_zero_leaves_the_weights_alone),
		cmocka_unit_test(a_session_refuses_missing_and_mistyped_feeds_by_name),
		cmocka_unit_test(a_session_keeps_a_bounded_number_of_bindings_and_stays_right),
		cmocka_unit_test(sizes_beyond_any_memory_are_refused_before_anything_is_allocated),
		cmocka_unit_test(eager_handles_are_made_once_for_each_shape_and_their_number_is_bounded),
		cmocka_unit_test(a_binding_owns_its_handles),
		cmocka_unit_test(the_verifier_accepts_a_plan_and_sees_it_broken),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}
