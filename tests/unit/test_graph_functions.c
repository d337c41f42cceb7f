/* Graphs as text that hold functions: branches and loops, within each other, with their gradients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "core/core.h"
#include "td_ops.h"

static td_ctx *context(void)
{
	return td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
}

static void fine(td_ctx *c)
{
	if (td_error(c)->status)
		fail_msg("%s", td_error(c)->text);
}

static td_graph *save_and_load(td_ctx *c, td_graph *g, struct buf *text)
{
	struct err e = { 0 };
	td_graph *loaded;

	buf_init(text, 1 << 20);
	if (td_graph_save(g, text, &e))
		fail_msg("%s", e.text);
	loaded = td_graph_load(c, text->data, text->len, 1 << 20);
	fine(c);
	return loaded;
}

/* ---- A loop that branches ---------------------------------------------------------------------------------------- */

#define ROWS 30

/* What the bodies see besides their inputs: a table too large for the text, and a small constant. */
static struct {
	td_function *then, *otherwise, *test, *body;
	td_value *table, *quarter;
} flow;

/* tanh(x w) x^2, of which the square is a constant to whoever differentiates, and the number of elements too. */
static void then_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	td_value *square;

	(void)arg;
	td_no_grad_begin(c);
	square = td_square(c, in[0]);
	td_no_grad_end(c);
	out[0] = td_mul(c, td_tanh(c, td_mul(c, in[0], in[1])), td_add(c, square, td_detach(c, td_exp(c, in[1]))));
}

static void otherwise_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_add(c, td_mul(c, in[0], flow.quarter), td_sum(c, flow.table, 1, false));
}

static void test_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_cast(c, in[0], TD_I32);
}

static void loop_body(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	td_value *less = td_less(c, td_sum(c, in[1], TD_ALL_AXES, false), flow.quarter);

	(void)arg;
	out[0] = td_shift_by(c, in[0], -1);
	td_cond(c, less, flow.then, flow.otherwise, &in[1], 2, &out[1]);
}

static void flow_init(td_ctx *c)
{
	td_shape s = td_shape_make(TD_F32, 2, ROWS, 3);

	flow.then = td_function_create("then", then_body, NULL, 2, 1, 0);
	flow.otherwise = td_function_create("otherwise", otherwise_body, NULL, 2, 1, 0);
	flow.test = td_function_create("test", test_body, NULL, 3, 1, 0);
	flow.body = td_function_create("body", loop_body, NULL, 3, 2, 0);
	flow.table = td_tensor(c, &s, NULL);
	td_set_name(flow.table, "table");
	for (int i = 0; i < ROWS * 3; i++)
		((float *)td_data(flow.table))[i] = cosf((float)i) / 9;
	flow.quarter = td_scalar(c, TD_F32, 0.25);
}

static void flow_release(void)
{
	td_function_free(flow.then);
	td_function_free(flow.otherwise);
	td_function_free(flow.test);
	td_function_free(flow.body);
	td_unref(flow.table);
	td_unref(flow.quarter);
}

/* A loss, and its gradient by w. */
static void compute(td_ctx *c, td_value *x, td_value *rounds, td_value *w, bool gradient, td_value **out)
{
	td_loop loop = { .test = flow.test, .body = flow.body, .n_vars = 2, .n_constants = 1, .most = 6 };
	td_value *y[2] = { 0 };

	td_while(c, &loop, (td_value *[]){ rounds, x }, &w, y);
	out[0] = td_sum_squares(c, td_mul(c, y[1], w));
	if (gradient)
		td_gradients(c, &out[0], NULL, 1, &w, 1, 0, &out[1]);
}

/* X, of seven rows, the rounds, and w, which wants a gradient. */
static void make_inputs(td_ctx *c, td_value **x, td_value **rounds, td_value **w)
{
	td_shape s = td_shape_make(TD_F32, 2, 7, 3), v = td_shape_make(TD_F32, 1, 3);

	*x = td_tensor(c, &s, NULL);
	for (int i = 0; i < 21; i++)
		((float *)td_data(*x))[i] = sinf((float)i) / 4;
	*rounds = td_scalar(c, TD_F32, 4);
	*w = td_tensor(c, &v, (float[]){ 0.5f, -1.25f, 0.75f });
	td_set_name(*w, "w");
	td_require_grad(c, *w, true);
}

static td_graph *record(td_ctx *c, td_value *w, bool gradient)
{
	td_shape s = td_shape_make(TD_F32, 2, TD_UNKNOWN(4), 3), scalar = { 0 };
	td_graph *g = td_graph_create();
	td_value *out[2];

	td_trace_begin(c, g);
	compute(c, td_placeholder(c, "x", &s), td_placeholder(c, "rounds", &scalar), w, gradient, out);
	td_collect(c, "loss", TD_VALUE(out[0]));
	if (gradient)
		td_collect(c, "gradient", TD_VALUE(out[1]));
	td_trace_end(c);
	fine(c);
	return g;
}

/* The loss and the gradient, as they come out of G. */
static void run(td_ctx *c, td_graph *g, unsigned flags, td_value *x, td_value *rounds, float out[4])
{
	int n;
	td_fetch fetches[] = { *td_collection(g, "loss", &n), *td_collection(g, "gradient", &n) };
	td_session *s = td_session_open(c, g, flags);
	td_feed feeds[] = { { td_graph_find(g, "x"), x }, { td_graph_find(g, "rounds"), rounds } };

	td_step_begin(c);
	td_session_fetch(s, c, fetches, 2, feeds, 2);
	fine(c);
	td_read(fetches[0].result, &out[0]);
	td_read(fetches[1].result, &out[1]);
	td_step_end(c);
	td_session_free(s);
}

static void fill(td_graph *g, const char *name, td_value *like)
{
	td_value *v = td_graph_find(g, name);

	assert_non_null(v);
	td_write(td_variable_tensor(v), td_data(like));
}

static void what_runs_eagerly_traced_and_read_is_the_same(bool gradient_after)
{
	td_ctx *c = context();
	td_value *x, *rounds, *w, *eager[2];
	float want[4], got[4];
	td_graph *g, *loaded;
	struct buf text;

	flow_init(c);
	make_inputs(c, &x, &rounds, &w);
	td_step_begin(c);
	compute(c, x, rounds, w, true, eager);
	fine(c);
	td_read(eager[0], &want[0]);
	td_read(eager[1], &want[1]);
	td_step_end(c);
	assert_true(isfinite(want[0]) && want[0] != 0 && want[1] != 0);

	g = record(c, w, !gradient_after);
	loaded = save_and_load(c, g, &text);
	fill(loaded, "w", w);
	fill(loaded, "table", flow.table);
	if (gradient_after) {
		td_value *grad, *loss, *kernel = td_graph_find(loaded, "w");
		int n;

		td_trace_begin(c, loaded);
		loss = td_collection(loaded, "loss", &n)->value;
		td_gradients(c, &loss, NULL, 1, &kernel, 1, 0, &grad);
		td_collect(c, "gradient", TD_VALUE(grad));
		td_trace_end(c);
		fine(c);
	}
	for (int way = 0; way < 4; way++) {
		if (way < 2 && gradient_after)
			continue;
		run(c, way < 2 ? g : loaded, way % 2 ? TD_SESSION_PARANOID : TD_SESSION_UNOPTIMISED, x, rounds, got);
		assert_memory_equal(want, got, sizeof want);
	}
	td_unref(x);
	td_unref(rounds);
	td_graph_free(loaded);
	td_graph_free(g);
	td_unref(w);
	flow_release();
	buf_release(&text);
	td_ctx_free(c);
}

static void a_loop_that_branches_has_the_same_bits_eagerly_traced_and_read(void **state)
{
	(void)state;
	what_runs_eagerly_traced_and_read_is_the_same(false);
}

static void what_was_read_is_differentiated_to_the_same_bits(void **state)
{
	(void)state;
	what_runs_eagerly_traced_and_read_is_the_same(true);
}

static void what_is_saved_again_is_the_same_text_of_the_second_version(void **state)
{
	td_ctx *c = context();
	td_value *x, *rounds, *w;
	struct buf first, second;
	td_graph *g, *loaded;

	(void)state;
	flow_init(c);
	make_inputs(c, &x, &rounds, &w);
	g = record(c, w, true);
	loaded = save_and_load(c, g, &first);
	td_graph_free(save_and_load(c, loaded, &second));
	assert_string_equal(strstr(first.data, " \"nodes\": ["), strstr(second.data, " \"nodes\": ["));
	assert_non_null(strstr(first.data, "{\"tandem_graph\": 2, "));
	assert_non_null(strstr(first.data, "\n   \"body\": {\"name\": \"body\",\n    \"inputs\": [\n      {\"name\":"));
	assert_non_null(strstr(first.data, "{\"name\":\"table\",\"kind\":\"outer\",\"of\":\"table\"}"));
	assert_non_null(strstr(first.data, "\"otherwise\": {\"name\": \"otherwise gradient\""));
	assert_non_null(strstr(first.data, "\"inputs\":[\"rounds\",\"x\",\"w\"],"));
	td_graph_free(loaded);
	td_graph_free(g);
	td_unref(x);
	td_unref(rounds);
	td_unref(w);
	flow_release();
	buf_release(&first);
	buf_release(&second);
	td_ctx_free(c);
}

static void what_a_function_reads_must_be_restored_first(void **state)
{
	td_ctx *c = context();
	td_value *x, *rounds, *w;
	td_graph *g, *loaded;
	td_session *s;
	struct buf text;
	int n;

	(void)state;
	flow_init(c);
	make_inputs(c, &x, &rounds, &w);
	g = record(c, w, false);
	loaded = save_and_load(c, g, &text);
	fill(loaded, "w", w);
	s = td_session_open(c, loaded, 0);
	td_session_fetch(s, c, &(td_fetch){ .value = td_collection(loaded, "loss", &n)->value }, 1,
		(td_feed[]){ { td_graph_find(loaded, "x"), x }, { td_graph_find(loaded, "rounds"), rounds } }, 2);
	assert_int_equal(td_error(c)->status, TD_CONFLICT);
	assert_non_null(strstr(td_error(c)->text, "\"table\""));
	td_session_free(s);
	td_graph_free(loaded);
	td_graph_free(g);
	td_unref(x);
	td_unref(rounds);
	td_unref(w);
	flow_release();
	buf_release(&text);
	td_ctx_free(c);
}

/* ---- Second gradients -------------------------------------------------------------------------------------------- */

static void cube(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_mul(c, td_square(c, in[0]), in[0]);
}

static void square(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	(void)arg;
	out[0] = td_square(c, in[0]);
}

/* A branch's first gradient is saved, the second is made of what was read. */
static void a_gradient_that_was_read_is_differentiated_again(void **state)
{
	td_function *then = td_function_create("cube", cube, NULL, 1, 1, 0),
		    *otherwise = td_function_create("square", square, NULL, 1, 1, 0);
	td_shape s = td_shape_make(TD_F64, 1, 2), scalar = { .dtype = TD_BOOL };

	(void)state;
	for (uint8_t yes = 0; yes < 2; yes++) {
		td_ctx *c = context();
		td_graph *g = td_graph_create(), *loaded;
		td_value *x = td_tensor(c, &s, (double[]){ 2, -3 }), *p = td_tensor(c, &scalar, &yes), *in, *y, *grad,
			 *result;
		td_session *session;
		struct buf text;
		double got[2];
		int n;

		td_trace_begin(c, g);
		in = td_placeholder(c, "x", &s);
		in->needs_grad = true;
		td_cond(c, td_placeholder(c, "p", &scalar), then, otherwise, &in, 1, &y);
		td_gradients(c, &y, NULL, 1, &in, 1, TD_CREATE_GRAPH, &grad);
		td_collect(c, "gradient", TD_VALUE(grad));
		td_trace_end(c);
		loaded = save_and_load(c, g, &text);
		td_trace_begin(c, loaded);
		in = td_graph_find(loaded, "x");
		grad = td_collection(loaded, "gradient", &n)->value;
		td_gradients(c, &grad, NULL, 1, &in, 1, TD_CREATE_GRAPH, &y);
		td_trace_end(c);
		fine(c);
		session = td_session_create(c, loaded, &y, 1);
		td_step_begin(c);
		td_session_run(session, c, (td_feed[]){ { in, x }, { td_graph_find(loaded, "p"), p } }, 2, &result);
		fine(c);
		td_read(result, got);
		assert_float_equal(got[0], yes ? 12 : 2, 0);
		assert_float_equal(got[1], yes ? -18 : 2, 0);
		td_step_end(c);
		td_session_free(session);
		td_graph_free(loaded);
		td_graph_free(g);
		td_unref(x);
		td_unref(p);
		buf_release(&text);
		td_ctx_free(c);
	}
	td_function_free(then);
	td_function_free(otherwise);
}

/* ---- What cannot be saved ---------------------------------------------------------------------------------------- */

#define DEEP_MOST 40

static td_function *deep[DEEP_MOST], *flat;

/* A branch between the next function and a flat one. */
static void deep_body(td_ctx *c, void *level, td_value *const *in, td_value **out)
{
	td_function *next = level ? *((td_function **)level + 1) : NULL;

	out[0] = td_square(c, in[0]);
	if (next)
		td_cond(c, td_cast(c, in[0], TD_I32), next, flat, in, 1, out);
}

/* N nodes, each a branch that has LEVELS - 1 others within it. */
static td_status save_deep(int n, int levels, struct err *e)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape scalar = { 0 };
	td_value *x, *y;
	td_status status;
	struct buf text;

	flat = td_function_create("flat", deep_body, NULL, 1, 1, 0);
	for (int i = 0; i < levels; i++)
		deep[i] = td_function_create("deep", deep_body, &deep[i], 1, 1, 0);
	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &scalar);
	for (int i = 0; i < n; i++)
		td_cond(c, td_cast(c, x, TD_I32), deep[0], flat, &x, 1, &y);
	td_trace_end(c);
	fine(c);
	buf_init(&text, 64 << 20);
	status = td_graph_save(g, &text, e);
	if (!status) {
		td_graph *loaded = td_graph_load(c, text.data, text.len, 1 << 20);
		fine(c);
		td_graph_free(loaded);
	}
	buf_release(&text);
	td_graph_free(g);
	for (int i = 0; i < levels; i++) {
		td_function_free(deep[i]);
		deep[i] = NULL;
	}
	td_function_free(flat);
	td_ctx_free(c);
	return status;
}

static void functions_are_so_many_and_so_deep_and_no_more(void **state)
{
	struct err e = { 0 };

	(void)state;
	assert_int_equal(save_deep(1, 12, &e), TD_OK);
	assert_int_equal(save_deep(1, 13, &e), TD_TOO_LARGE);
	assert_non_null(strstr(e.text, "the function deep lies within 12 others"));
	err_clear(&e);
	assert_int_equal(save_deep(5000, 1, &e), TD_OK);
	assert_int_equal(save_deep(5001, 1, &e), TD_TOO_LARGE);
	assert_non_null(strstr(e.text, "more than 10000 functions"));
}

static td_value *gate(td_ctx *c, void *arg, td_value *const *in, int n_in)
{
	(void)arg;
	(void)n_in;
	return td_square(c, in[0]);
}

static void gate_backward(td_ctx *c, void *arg, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx)
{
	(void)arg;
	(void)n_in;
	(void)y;
	dx[0] = td_mul(c, dy, in[0]);
}

static void gated(td_ctx *c, void *arg, td_value *const *in, td_value **out)
{
	static const td_custom f = { "my gate", gate, gate_backward, NULL };

	(void)arg;
	out[0] = td_custom_call(c, &f, in, 1);
}

static void a_function_of_the_program_is_refused_by_its_name(void **state)
{
	td_function *f = td_function_create("gated", gated, NULL, 1, 1, 0);

	(void)state;
	for (int inside = 0; inside < 2; inside++) {
		td_ctx *c = context();
		td_graph *g = td_graph_create();
		td_shape scalar = { 0 };
		struct err e = { 0 };
		struct buf text;
		td_value *x, *y;

		td_trace_begin(c, g);
		x = td_placeholder(c, "x", &scalar);
		if (inside)
			td_cond(c, td_cast(c, x, TD_I32), f, f, &x, 1, &y);
		else
			gated(c, NULL, &x, &y);
		td_trace_end(c);
		fine(c);
		buf_init(&text, 1 << 20);
		assert_int_equal(td_graph_save(g, &text, &e), TD_UNSUPPORTED);
		assert_non_null(strstr(e.text, "the custom function \"my gate\" is code of the program"));
		buf_release(&text);
		td_graph_free(g);
		td_ctx_free(c);
	}
	td_function_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_loop_that_branches_has_the_same_bits_eagerly_traced_and_read),
		cmocka_unit_test(what_was_read_is_differentiated_to_the_same_bits),
		cmocka_unit_test(what_is_saved_again_is_the_same_text_of_the_second_version),
		cmocka_unit_test(what_a_function_reads_must_be_restored_first),
		cmocka_unit_test(a_gradient_that_was_read_is_differentiated_again),
		cmocka_unit_test(functions_are_so_many_and_so_deep_and_no_more),
		cmocka_unit_test(a_function_of_the_program_is_refused_by_its_name),
	};

	return cmocka_run_group_tests_name("graph_functions", tests, NULL, NULL);
}
