/* TensorFlow 1's way, as its notebooks write it: placeholders, variables in scopes, a train operation that waits for
 * updates, one session for everything; and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "core/core.h"

static td_ctx *context(void)
{
	return td_ctx_create(&(td_ctx_options){ .threads = 2, .seed = 7 });
}

static td_value *numbers(td_ctx *c, int n, int m)
{
	td_shape s = td_shape_make(TD_F32, 2, n, m);
	td_value *v = td_tensor(c, &s, NULL);

	for (int i = 0; i < n * m; i++)
		((float *)td_data(v))[i] = sinf((float)i);
	return v;
}

static void assert_refused(td_ctx *c, td_status status, const char *a, const char *b)
{
	if (td_error(c)->status != status || !strstr(td_error(c)->text, a) || !strstr(td_error(c)->text, b))
		fail_msg(
			"not \"%s\" and \"%s\", but %s: %s", a, b, status_name(td_error(c)->status), td_error(c)->text);
	td_error_clear(c);
}

/* ---- The notebook ------------------------------------------------------------------------------------------------ */

struct net {
	td_graph *graph;
	td_value *x, *y, *logits, *loss, *step;
	td_node *train, *init;
};

static td_value *dense(td_ctx *c, const char *scope, td_value *x, int n_in, int n_out)
{
	td_shape w = td_shape_make(TD_F32, 2, n_out, n_in), b = td_shape_make(TD_F32, 1, n_out);
	td_value *y;

	td_scope_begin(c, scope, TD_REUSE_INHERIT);
	y = td_linear(
		c, x, td_get_variable(c, "kernel", &w, NULL, true), td_get_variable(c, "bias", &b, &TD_ZEROS, true));
	td_scope_end(c);
	return y;
}

static td_value *normalised(td_ctx *c, td_value *x, int n)
{
	td_shape s = td_shape_make(TD_F32, 1, n);
	td_value *y;

	td_scope_begin(c, "norm", TD_REUSE_INHERIT);
	y = td_batch_norm(c, x, td_get_variable(c, "gamma", &s, &TD_ONES, true),
		td_get_variable(c, "beta", &s, &TD_ZEROS, true), td_get_variable(c, "mean", &s, &TD_ZEROS, false),
		td_get_variable(c, "variance", &s, &TD_ONES, false),
		&(td_batch_norm_attrs){ .momentum = 0.1, .eps = 1e-5, .training = true });
	td_scope_end(c);
	return y;
}

/* tf.train.GradientDescentOptimizer(0.1).minimize(loss, global_step) under control of the updates. */
static td_node *minimise(td_ctx *c, struct net *net)
{
	td_value *variables[8], *grads[8], *lr = td_scalar(c, TD_F32, 0.5), *one = td_scalar(c, TD_F32, 1);
	int n = td_variables(net->graph, NULL, TD_TRAINABLE, variables, 8), n_updates;
	const td_fetch *updates = td_collection(net->graph, TD_UPDATES, &n_updates);

	td_control_begin(c, updates, n_updates);
	td_group_begin(c);
	td_gradients(c, &net->loss, NULL, 1, variables, n, 0, grads);
	td_assign_add(c, net->step, one);
	td_no_grad_begin(c);
	for (int i = 0; i < n; i++)
		td_sgd_update(c, variables[i], grads[i], NULL, lr, one, one, &(td_sgd_attrs){ 0 });
	td_no_grad_end(c);
	td_unref(lr);
	td_unref(one);
	td_control_end(c);
	return td_group_end(c, "train");
}

static void build(td_ctx *c, struct net *net)
{
	td_shape x = td_shape_make(TD_F32, 2, TD_UNKNOWN(8), 5), y = td_shape_make(TD_I64, 1, TD_UNKNOWN(8)),
		 scalar = { 0 };

	net->graph = td_graph_create();
	td_trace_begin(c, net->graph);
	net->x = td_placeholder(c, "x", &x);
	net->y = td_placeholder(c, "y", &y);
	net->step = td_get_variable(c, "global_step", &scalar, &TD_ZEROS, false);
	net->logits = dense(c, "out", td_relu(c, normalised(c, dense(c, "hidden", net->x, 5, 6), 6)), 6, 3);
	net->loss = td_cross_entropy(c, net->logits, net->y);
	net->train = minimise(c, net);
	net->init = td_initialise_variables(c);
	td_trace_end(c);
	td_graph_finalise(net->graph);
	assert_int_equal(td_error(c)->status, TD_OK);
}

static td_value *labels(td_ctx *c, int n)
{
	td_shape s = td_shape_make(TD_I64, 1, n);
	td_value *v = td_tensor(c, &s, NULL);

	for (int i = 0; i < n; i++)
		((int64_t *)td_data(v))[i] = i % 3;
	return v;
}

static double evaluate(td_ctx *c, td_session *s, const td_feed *feeds, int n_feeds, td_value *v)
{
	td_fetch fetch = TD_VALUE(v);
	double result;

	td_step_begin(c);
	if (td_session_fetch(s, c, &fetch, 1, feeds, n_feeds))
		fail_msg("%s", td_error(c)->text);
	result = td_item(fetch.result);
	td_step_end(c);
	return result;
}

static void a_notebook_trains_with_one_session(void **state)
{
	td_ctx *c = context();
	struct net net;
	td_value *x = numbers(c, 12, 5), *y = labels(c, 12);
	double first = 0, last = 0;
	td_session *s;

	(void)state;
	build(c, &net);
	s = td_session_open(c, net.graph, TD_SESSION_PARANOID);
	td_session_fetch(s, c, &TD_OPERATION(net.init), 1, NULL, 0);
	for (int step = 1; step <= 200; step++) {
		td_fetch fetches[] = { TD_VALUE(net.loss), TD_OPERATION(net.train) };

		td_step_begin(c);
		td_session_fetch(s, c, fetches, 2, (td_feed[]){ { net.x, x }, { net.y, y } }, 2);
		assert_int_equal(td_error(c)->status, TD_OK);
		last = td_item(fetches[0].result);
		first = step == 1 ? last : first;
		assert_null(fetches[1].result);
		td_step_end(c);
	}
	assert_true(isfinite(first) && last < 0.8 * first);
	assert_float_equal(evaluate(c, s, NULL, 0, net.step), 200, 0);
	assert_int_equal(td_ctx_counters(c).plans, 3); /* init, train, global_step */
	td_session_free(s);
	td_graph_free(net.graph);
	td_unref(x);
	td_unref(y);
	td_ctx_free(c);
}

/* ---- What runs --------------------------------------------------------------------------------------------------- */

static td_value *counter(td_ctx *c, const char *name)
{
	td_shape scalar = { 0 };

	return td_get_variable(c, name, &scalar, &TD_ZEROS, false);
}

static td_node *count(td_ctx *c, td_value *v)
{
	td_value *one = td_scalar(c, TD_F32, 1);

	td_assign_add(c, v, one);
	td_unref(one);
	return td_last_operation(c);
}

static void only_what_the_fetches_need_runs(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_value *a, *b, *sum, *guarded;
	td_node *count_a, *count_b, *init, *both;
	td_session *s;

	(void)state;
	td_trace_begin(c, g);
	a = counter(c, "a");
	b = counter(c, "b");
	count_a = count(c, a);
	td_control_begin(c, &TD_OPERATION(count_a), 1);
	count_b = count(c, b);
	guarded = td_exp(c, a);
	td_control_end(c);
	sum = td_add(c, a, b);
	both = td_group(c, "both", (td_fetch[]){ TD_OPERATION(count_a), TD_LIST(TD_OPERATION(count_b)) }, 2);
	init = td_initialise_variables(c);
	td_trace_end(c);

	s = td_session_open(c, g, TD_SESSION_PARANOID);
	td_session_fetch(s, c, &TD_OPERATION(init), 1, NULL, 0);
	assert_float_equal(evaluate(c, s, NULL, 0, sum), 0, 0); /* no assignment ran */
	td_session_fetch(s, c, &TD_OPERATION(count_a), 1, NULL, 0);
	assert_float_equal(evaluate(c, s, NULL, 0, sum), 1, 0);
	td_session_fetch(s, c, &TD_OPERATION(count_b), 1, NULL, 0); /* and with it what it runs after */
	assert_float_equal(evaluate(c, s, NULL, 0, sum), 3, 0);
	td_session_fetch(s, c, &TD_OPERATION(both), 1, NULL, 0);
	assert_float_equal(evaluate(c, s, NULL, 0, sum), 5, 0);
	assert_float_equal(evaluate(c, s, NULL, 0, guarded), expf(4), 1e-3); /* a is counted first */
	assert_int_equal(td_error(c)->status, TD_OK);
	td_session_free(s);
	td_graph_free(g);
	td_ctx_free(c);
}

static void an_unoptimised_session_runs_the_same(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_value *a, *y;
	td_session *s;
	td_node *init;

	(void)state;
	td_trace_begin(c, g);
	a = counter(c, "a");
	count(c, a);
	y = td_exp(c, a);
	init = td_initialise_variables(c);
	td_trace_end(c);
	s = td_session_open(c, g, TD_SESSION_UNOPTIMISED);
	td_session_fetch(s, c, &TD_OPERATION(init), 1, NULL, 0);
	assert_float_equal(evaluate(c, s, NULL, 0, y), 1, 0);
	td_session_free(s);
	td_graph_free(g);
	td_ctx_free(c);
}

static void collect_name(void *arg, const td_node_view *node)
{
	if (node->op)
		buf_printf(arg, "%s ", node->op);
}

static void nodes_that_no_run_needs_are_told(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape s1 = td_shape_make(TD_F32, 1, 3);
	struct buf unused;
	td_value *x, *y, *tensor;
	td_session *s;

	(void)state;
	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &s1);
	y = td_exp(c, x);
	td_log(c, td_square(c, x)); /* forgotten */
	td_trace_end(c);
	tensor = td_tensor(c, &s1, NULL);
	s = td_session_open(c, g, 0);
	td_session_fetch(s, c, &TD_VALUE(y), 1, &(td_feed){ x, tensor }, 1);
	buf_init(&unused, 200);
	td_session_each_unused(s, collect_name, &unused);
	assert_int_equal(unused.len, strlen("square log "));
	assert_memory_equal(unused.data, "square log ", unused.len);
	buf_release(&unused);
	td_session_free(s);
	td_graph_free(g);
	td_unref(tensor);
	td_ctx_free(c);
}

/* ---- Feeds ------------------------------------------------------------------------------------------------------- */

static void any_value_can_be_fed_and_its_producer_does_not_run(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape scalar = { 0 };
	td_value *x, *hidden, *y, *a, *z, *two = td_scalar(c, TD_F32, 2), *three = td_scalar(c, TD_F32, 3);
	td_session *s;

	(void)state;
	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &scalar);
	a = counter(c, "a");
	hidden = td_exp(c, x);
	y = td_add(c, td_square(c, hidden), a);
	td_assign(c, a, td_add(c, a, hidden));
	z = td_relu(c, td_reshape(c, hidden, NULL, 0)); /* a view of what is fed */
	td_trace_end(c);
	s = td_session_open(c, g, TD_SESSION_PARANOID);
	/* neither x nor the variable is needed */
	assert_float_equal(evaluate(c, s, (td_feed[]){ { hidden, two }, { a, three } }, 2, y), 7, 0);
	assert_float_equal(evaluate(c, s, (td_feed[]){ { a, three }, { hidden, two } }, 2, y), 7, 0);
	assert_float_equal(evaluate(c, s, (td_feed[]){ { hidden, two } }, 1, z), 2, 0);
	assert_float_equal(evaluate(c, s, (td_feed[]){ { hidden, two } }, 1, hidden), 2, 0);
	assert_int_equal(td_ctx_counters(c).plans, 3); /* the order of feeds makes no other plan */
	assert_float_equal(evaluate(c, s, (td_feed[]){ { x, two } }, 1, hidden), expf(2), 1e-5);
	td_session_free(s);
	td_graph_free(g);
	td_unref(two);
	td_unref(three);
	td_ctx_free(c);
}

static void nested_fetches_come_back_in_their_places(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape scalar = { 0 };
	td_value *x, *a, *b, *two = td_scalar(c, TD_F32, 2);
	td_fetch tree[3];
	td_session *s;

	(void)state;
	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &scalar);
	a = td_square(c, x);
	b = td_neg(c, a);
	td_trace_end(c);
	s = td_session_open(c, g, 0);
	tree[0] = TD_VALUE(b);
	tree[1] = TD_LIST(TD_VALUE(a), TD_LIST(TD_VALUE(x)));
	tree[2] = TD_VALUE(a);
	td_session_fetch(s, c, tree, 3, &(td_feed){ x, two }, 1);
	assert_int_equal(td_error(c)->status, TD_OK);
	assert_float_equal(td_item(tree[0].result), -4, 0);
	assert_float_equal(td_item(tree[1].list[0].result), 4, 0);
	assert_float_equal(td_item(tree[1].list[1].list[0].result), 2, 0);
	assert_float_equal(td_item(tree[2].result), 4, 0);
	td_session_free(s);
	td_graph_free(g);
	td_unref(two);
	td_ctx_free(c);
}

static void the_number_of_plans_is_bounded(void **state)
{
	enum { VALUES = 3 * TD_PLANS_MOST };
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape scalar = { 0 };
	td_value *values[VALUES], *one = td_scalar(c, TD_F32, 1);
	td_session *s;

	(void)state;
	td_trace_begin(c, g);
	values[0] = td_placeholder(c, "x", &scalar);
	for (int i = 1; i < VALUES; i++)
		values[i] = td_shift_by(c, values[i - 1], 1);
	td_trace_end(c);
	s = td_session_open(c, g, 0);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < VALUES; i++)
			assert_float_equal(evaluate(c, s, &(td_feed){ values[0], one }, 1, values[i]), i + 1, 0);
	assert_int_equal(td_ctx_counters(c).plans, 2 * VALUES); /* each was gone when it was wanted again */
	td_session_free(s);
	td_graph_free(g);
	td_unref(one);
	td_ctx_free(c);
}

static void feeds_that_do_not_fit_are_refused_by_name_and_shape(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create(), *other = td_graph_create();
	td_shape declared = td_shape_make(TD_F32, 2, TD_UNKNOWN(2), 4);
	td_value *x, *y, *wide = numbers(c, 3, 5), *tall = numbers(c, 9, 4), *stranger = numbers(c, 1, 1);
	td_fetch fetch;
	td_session *s;

	(void)state;
	td_trace_begin(c, g);
	x = td_placeholder(c, "images", &declared);
	y = td_exp(c, x);
	td_trace_end(c);
	td_trace_begin(c, other);
	td_trace_end(c);
	s = td_session_open(c, g, 0);
	fetch = TD_VALUE(y);
	assert_int_equal(td_session_fetch(s, c, &fetch, 1, &(td_feed){ x, tall }, 1), TD_OK);
	td_session_fetch(s, c, &fetch, 1, &(td_feed){ x, wide }, 1);
	assert_refused(c, TD_SHAPE, "\"images\" is float32[?, 4]", "float32[3, 5]");
	td_session_fetch(s, c, &fetch, 1, (td_feed[]){ { x, tall }, { x, tall } }, 2);
	assert_refused(c, TD_INVALID, "images", "twice");
	td_session_fetch(s, c, &fetch, 1, NULL, 0);
	assert_refused(c, TD_INVALID, "images", "not fed");
	td_session_fetch(s, c, &TD_VALUE(stranger), 1, NULL, 0);
	assert_refused(c, TD_INVALID, "no value of the session's graph", "");
	td_session_fetch(s, c, &fetch, 1, &(td_feed){ stranger, tall }, 1);
	assert_refused(c, TD_INVALID, "no value of the session's graph", "");
	assert_null(td_session_create(c, g, &stranger, 1));
	assert_refused(c, TD_INVALID, "fetch 0 is a tensor", "can be read as it is");
	assert_null(td_session_create(c, g, &(td_value *){ NULL }, 1));
	assert_refused(c, TD_INVALID, "fetch 0 is missing", "");
	assert_null(td_session_create(c, other, &y, 1));
	assert_refused(c, TD_INVALID, "fetch 0 is a value of another graph", "");
	td_session_free(s);
	td_graph_free(other);
	td_graph_free(g);
	td_unref(wide);
	td_unref(tall);
	td_unref(stranger);
	td_ctx_free(c);
}

/* ---- Variables --------------------------------------------------------------------------------------------------- */

static void scopes_say_whether_a_name_is_new_or_shared(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape s = td_shape_make(TD_F32, 2, 3, 2), other = td_shape_make(TD_F32, 2, 3, 3);
	td_value *w, *out[4];

	(void)state;
	td_trace_begin(c, g);
	td_scope_begin(c, "net", TD_REUSE_INHERIT);
	w = td_get_variable(c, "w", &s, NULL, true);
	assert_null(td_get_variable(c, "w", &s, NULL, true));
	assert_refused(c, TD_CONFLICT, "\"net.w\"", "TD_REUSE");
	td_scope_end(c);
	td_scope_begin(c, "net", TD_REUSE_ALWAYS);
	assert_ptr_equal(td_get_variable(c, "w", &s, NULL, true), w);
	assert_null(td_get_variable(c, "w", &other, NULL, true));
	assert_refused(c, TD_SHAPE, "float32[3, 2]", "float32[3, 3]");
	assert_null(td_get_variable(c, "b", &s, NULL, true));
	assert_refused(c, TD_NOT_FOUND, "\"net.b\"", "reuse");
	td_scope_begin(c, "inner", TD_REUSE_AUTO); /* what is shared outside is shared inside */
	assert_null(td_get_variable(c, "w", &s, NULL, true));
	assert_refused(c, TD_NOT_FOUND, "\"net.inner.w\"", "reuse");
	td_scope_end(c);
	td_scope_end(c);
	td_scope_begin(c, "net2", TD_REUSE_AUTO);
	assert_ptr_equal(td_get_variable(c, "w", &s, NULL, false), td_get_variable(c, "w", &s, NULL, false));
	td_scope_end(c);
	td_trace_end(c);
	assert_int_equal(td_variables(g, NULL, TD_GLOBAL, out, 4), 2);
	assert_int_equal(td_variables(g, "net", TD_GLOBAL, out, 4), 1); /* not net2 */
	assert_ptr_equal(out[0], w);
	assert_int_equal(td_variables(g, NULL, TD_NOT_TRAINABLE, out, 4), 1);
	assert_string_equal(td_name_of(out[0]), "net2.w");
	td_graph_free(g);
	td_ctx_free(c);
}

static void a_variable_without_a_value_is_not_read(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape shape = td_shape_make(TD_F32, 2, 50, 200);
	td_value *w, *y;
	td_node *init;
	td_session *s;
	double sum = 0;

	(void)state;
	td_trace_begin(c, g);
	w = td_get_variable(c, "w", &shape, NULL, true);
	y = td_sum_squares(c, w);
	init = td_initialise_variables(c);
	td_trace_end(c);
	s = td_session_open(c, g, 0);
	td_session_fetch(s, c, &TD_VALUE(y), 1, NULL, 0);
	assert_refused(c, TD_CONFLICT, "\"w\"", "td_initialise_variables");
	td_session_fetch(s, c, &TD_OPERATION(init), 1, NULL, 0);
	for (int i = 0; i < 10000; i++)
		sum += ((double)((float *)td_data(td_variable_tensor(w)))[i]) *
		       ((double)((float *)td_data(td_variable_tensor(w)))[i]);
	assert_float_equal(sum / 10000, 2.0 / 250, 0.0004); /* glorot: variance 2 / (in + out) */
	assert_float_equal(evaluate(c, s, NULL, 0, y), sum, 1e-3);
	td_session_free(s);
	td_graph_free(g);
	td_ctx_free(c);
}

/* ---- Graphs ------------------------------------------------------------------------------------------------------ */

static void a_finalised_graph_refuses_more_and_names_op_and_layer(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape s = td_shape_make(TD_F32, 1, 3);
	td_value *x, *y;

	(void)state;
	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &s);
	td_trace_end(c);
	td_trace_begin(c, g); /* a graph may grow ... */
	y = td_exp(c, x);
	assert_non_null(y);
	td_trace_end(c);
	td_graph_finalise(g);
	td_trace_begin(c, g); /* ... until it is finalised */
	td_name_push(c, "decoder");
	assert_null(td_exp(c, y));
	assert_refused(c, TD_CONFLICT, "layer decoder", "exp");
	td_name_pop(c);
	assert_null(td_placeholder(c, "z", &s));
	assert_refused(c, TD_CONFLICT, "\"z\"", "finalised");
	assert_null(td_get_variable(c, "w", &s, NULL, true));
	assert_refused(c, TD_CONFLICT, "w", "finalised");
	td_trace_end(c);
	td_graph_free(g);
	td_ctx_free(c);
}

static void names_with_dots_end_as_they_began(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape s = td_shape_make(TD_F32, 1, 3);

	(void)state;
	td_trace_begin(c, g);
	td_name_push(c, "tower");
	td_name_push(c, "block.0.conv");
	td_exp(c, td_placeholder(c, "x", &s));
	td_name_pop(c);
	td_get_variable(c, "w", &s, NULL, true);
	td_scope_begin(c, "a.b", TD_REUSE_ALWAYS);
	td_name_push(c, "inner"); /* has the rule of the scope that it is in */
	assert_null(td_get_variable(c, "w", &s, NULL, true));
	assert_refused(c, TD_NOT_FOUND, "\"tower.a.b.inner.w\"", "reuse");
	td_name_pop(c);
	td_scope_end(c);
	td_name_pop(c);
	td_get_variable(c, "w", &s, NULL, true);
	td_name_push(c, "open");
	td_trace_end(c);
	assert_refused(c, TD_INVALID, "td_name_push", "open");
	td_trace_begin(c, g); /* what was left open ended with its trace */
	td_get_variable(c, "v", &s, NULL, true);
	td_trace_end(c);
	assert_non_null(td_graph_find(g, "tower.block.0.conv.exp"));
	assert_non_null(td_graph_find(g, "tower.w"));
	assert_non_null(td_graph_find(g, "w"));
	assert_non_null(td_graph_find(g, "v"));
	td_graph_free(g);
	td_ctx_free(c);
}

static void everything_has_a_name_of_its_own(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create();
	td_shape s = td_shape_make(TD_F32, 1, 3);
	td_value *x, *a, *b;

	(void)state;
	td_trace_begin(c, g);
	x = td_placeholder(c, "x", &s);
	td_name_push(c, "tower");
	a = td_exp(c, x);
	b = td_exp(c, a);
	td_name_pop(c);
	td_group(c, "everything", (td_fetch[]){ TD_VALUE(a), TD_VALUE(b) }, 2);
	td_trace_end(c);
	assert_ptr_equal(td_graph_find(g, "x"), x);
	assert_ptr_equal(td_graph_find(g, "tower.exp"), a);
	assert_ptr_equal(td_graph_find(g, "tower.exp_1:0"), b);
	assert_null(td_graph_find(g, "tower.exp_1:1"));
	assert_null(td_graph_find(g, "tower.exp_2"));
	assert_string_equal(td_graph_name_of(g, b), "tower.exp_1:0");
	assert_non_null(td_graph_find_operation(g, "everything"));
	td_graph_free(g);
	td_ctx_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_notebook_trains_with_one_session),
		cmocka_unit_test(only_what_the_fetches_need_runs),
		cmocka_unit_test(an_unoptimised_session_runs_the_same),
		cmocka_unit_test(nodes_that_no_run_needs_are_told),
		cmocka_unit_test(any_value_can_be_fed_and_its_producer_does_not_run),
		cmocka_unit_test(nested_fetches_come_back_in_their_places),
		cmocka_unit_test(the_number_of_plans_is_bounded),
		cmocka_unit_test(feeds_that_do_not_fit_are_refused_by_name_and_shape),
		cmocka_unit_test(scopes_say_whether_a_name_is_new_or_shared),
		cmocka_unit_test(a_variable_without_a_value_is_not_read),
		cmocka_unit_test(a_finalised_graph_refuses_more_and_names_op_and_layer),
		cmocka_unit_test(names_with_dots_end_as_they_began),
		cmocka_unit_test(everything_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
