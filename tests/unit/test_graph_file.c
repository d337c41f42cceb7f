/* Graphs as text: what a saved graph says, that it computes the same, and what is refused. */
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
	return td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
}

/* A regression with dropout, an update that waits for a counter, and a constant that no double holds. */
static td_graph *record(td_ctx *c)
{
	td_graph *g = td_graph_create();
	td_shape x = td_shape_make(TD_F32, 2, TD_UNKNOWN(4), 3), w = td_shape_make(TD_F32, 2, 2, 3), scalar = { 0 };
	td_value *in, *kernel, *count, *loss, *grad, *lr = td_scalar(c, TD_F32, 0.01), *one = td_scalar(c, TD_F32, 1);

	td_trace_begin(c, g);
	in = td_placeholder(c, "x", &x);
	td_scope_begin(c, "fc", TD_REUSE_INHERIT);
	kernel = td_get_variable(c, "kernel", &w, &TD_NORMAL(0, 1), true);
	count = td_get_variable(c, "count", &scalar, &TD_ZEROS, false);
	loss = td_sum_squares(c, td_dropout(c, td_linear(c, in, kernel, NULL), 0.5f));
	td_scope_end(c);
	td_group(c, "loss", &TD_VALUE(loss), 1);
	td_collect(c, "losses", TD_VALUE(loss));
	td_collect(c, "inputs", TD_VALUE(in));
	td_gradients(c, &loss, NULL, 1, &kernel, 1, 0, &grad);
	td_assign_add(c, count, one);
	td_control_begin(c, &TD_OPERATION(td_last_operation(c)), 1);
	td_no_grad_begin(c);
	td_group_begin(c);
	td_sgd_update(c, kernel, grad, NULL, lr, one, one, &(td_sgd_attrs){ .weight_decay = 0.1 });
	td_group_end(c, "train");
	td_no_grad_end(c);
	td_control_end(c);
	td_initialise_variables(c);
	td_trace_end(c);
	td_unref(lr);
	td_unref(one);
	assert_int_equal(td_error(c)->status, TD_OK);
	return g;
}

static void save(td_graph *g, struct buf *text)
{
	struct err e = { 0 };

	buf_init(text, 1 << 20);
	if (td_graph_save(g, text, &e))
		fail_msg("%s", e.text);
}

static td_graph *load(td_ctx *c, const char *text, size_t n)
{
	return td_graph_load(c, text, n, 1 << 20);
}

/* The losses of ten steps, and the counter. */
static void train(td_ctx *c, td_graph *g, double *losses)
{
	td_shape s = td_shape_make(TD_F32, 2, 7, 3);
	td_value *x = td_tensor(c, &s, NULL);
	td_session *session = td_session_open(c, g, TD_SESSION_PARANOID);
	td_node *init = td_graph_find_operation(g, "initialise_variables"), *step = td_graph_find_operation(g, "train");
	int n;

	for (int i = 0; i < 21; i++)
		((float *)td_data(x))[i] = sinf((float)i);
	td_step_set(c, 0);
	assert_non_null(init);
	td_session_fetch(session, c, &TD_OPERATION(init), 1, NULL, 0);
	for (int i = 0; i < 10; i++) {
		td_fetch fetches[] = { *td_collection(g, "losses", &n), TD_OPERATION(step) };

		td_step_begin(c);
		td_session_fetch(session, c, fetches, 2, &(td_feed){ td_graph_find(g, "x"), x }, 1);
		if (td_error(c)->status)
			fail_msg("%s", td_error(c)->text);
		losses[i] = td_item(fetches[0].result);
		td_step_end(c);
	}
	losses[10] = td_item(td_variable_tensor(td_graph_find(g, "fc.count")));
	td_session_free(session);
	td_unref(x);
}

static void a_saved_graph_trains_to_the_same_bits(void **state)
{
	td_ctx *c = context();
	td_graph *g = record(c), *again;
	double before[11], after[11];
	struct buf text;

	(void)state;
	save(g, &text);
	again = load(c, text.data, text.len);
	if (!again)
		fail_msg("%s", td_error(c)->text);
	train(c, g, before);
	train(c, again, after);
	assert_memory_equal(before, after, sizeof before);
	assert_true(isfinite(before[9]) && before[9] != before[0]);
	assert_float_equal(before[10], 10, 0);
	buf_release(&text);
	td_graph_free(again);
	td_graph_free(g);
	td_ctx_free(c);
}

static void what_is_saved_again_is_the_same_text(void **state)
{
	td_ctx *c = context();
	td_graph *g = record(c), *again;
	struct buf first, second;

	(void)state;
	save(g, &first);
	again = load(c, first.data, first.len);
	assert_non_null(again);
	save(again, &second);
	assert_string_equal(first.data, second.data);
	assert_non_null(strstr(first.data, "{\"tandem_graph\": 1, ")); /* who knows no functions can read it */
	assert_non_null(strstr(first.data, "\"shape\":[\"?4\",3]"));
	assert_non_null(strstr(first.data, "{\"name\":\"fc.dropout\",\"op\":\"dropout\",\"layer\":\"fc\""));
	assert_non_null(strstr(first.data, "\"initial\":{\"kind\":\"normal\""));
	buf_release(&first);
	buf_release(&second);
	td_graph_free(again);
	td_graph_free(g);
	td_ctx_free(c);
}

static void variables_of_a_read_graph_must_be_restored_first(void **state)
{
	td_ctx *c = context();
	td_graph *g = record(c), *again;
	td_shape s = td_shape_make(TD_F32, 2, 1, 3);
	td_value *x = td_tensor(c, &s, NULL);
	td_session *session;
	struct buf text;

	(void)state;
	save(g, &text);
	again = load(c, text.data, text.len);
	session = td_session_open(c, again, 0);
	td_session_fetch(session, c, &TD_VALUE(td_graph_find(again, "fc.linear")), 1,
		&(td_feed){ td_graph_find(again, "x"), x }, 1);
	assert_int_equal(td_error(c)->status, TD_CONFLICT);
	assert_non_null(strstr(td_error(c)->text, "fc.kernel"));
	td_error_clear(c);
	td_session_free(session);
	td_unref(x);
	buf_release(&text);
	td_graph_free(again);
	td_graph_free(g);
	td_ctx_free(c);
}

/* What stands before every weight wanted no gradient when it was recorded; TensorFlow 1's gradients go through it. */
static void a_read_graph_has_gradients_by_its_placeholders(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create(), *again;
	td_shape s = td_shape_make(TD_F32, 1, 2), scalar = { 0 };
	td_value *x, *loss, *w, *grad, *fed = td_tensor(c, &s, (float[]){ 1, 3 }), *result;
	td_session *session;
	struct buf text;

	(void)state;
	td_trace_begin(c, g);
	x = td_neg(c, td_placeholder(c, "x", &s));
	w = td_get_variable(c, "w", &scalar, &TD_ONES, true);
	loss = td_sum_squares(c, td_mul(c, x, w));
	td_collect(c, "losses", TD_VALUE(loss));
	td_gradients(c, &loss, NULL, 1, &w, 1, 0, &grad);
	td_trace_end(c);
	save(g, &text);
	again = load(c, text.data, text.len);
	assert_non_null(again);
	td_trace_begin(c, again);
	x = td_graph_find(again, "x");
	td_gradients(c, &(td_value *){ td_graph_find(again, "sum_squares:0") }, NULL, 1, &x, 1, 0, &grad);
	td_trace_end(c);
	assert_non_null(grad);
	td_write(td_variable_tensor(td_graph_find(again, "w")), &(float){ 2 });
	session = td_session_create(c, again, &grad, 1);
	assert_int_equal(td_session_run(session, c, &(td_feed){ x, fed }, 1, &result), TD_OK);
	assert_float_equal(((float *)td_data(result))[0], 8, 0); /* 2 w^2 x */
	assert_float_equal(((float *)td_data(result))[1], 24, 0);
	td_session_free(session);
	td_unref(fed);
	buf_release(&text);
	td_graph_free(again);
	td_graph_free(g);
	td_step_end(c);
	td_ctx_free(c);
}

/* An op may have taken fewer inputs when the file was written. */
static void optional_inputs_at_the_end_need_not_be_there(void **state)
{
	td_ctx *c = context();
	td_graph *g = td_graph_create(), *again;
	td_shape s = td_shape_make(TD_F32, 2, 4, 2), channels = td_shape_make(TD_F32, 1, 2);
	struct buf text;
	char *end;

	(void)state;
	td_trace_begin(c, g);
	td_batch_norm(c, td_placeholder(c, "x", &s), NULL, NULL,
		td_get_variable(c, "mean", &channels, &TD_ZEROS, false),
		td_get_variable(c, "variance", &channels, &TD_ONES, false),
		&(td_batch_norm_attrs){ .momentum = 0.1, .eps = 1e-5, .training = true });
	td_trace_end(c);
	save(g, &text);
	for (int missing = 1; missing <= 2; missing++) { /* the gate; a running statistic, too */
		end = strstr(text.data, missing == 1 ? ",null]" : ",\"variance\" ");
		assert_non_null(end);
		memset(end, ' ', strcspn(end, "]"));
		again = load(c, text.data, text.len);
		assert_true((again != NULL) == (missing == 1));
		assert_true(!td_error(c)->status == (missing == 1));
		if (missing == 2)
			assert_non_null(strstr(td_error(c)->text, "batch_norm_train has 6 inputs"));
		td_graph_free(again);
	}
	buf_release(&text);
	td_graph_free(g);
	td_ctx_free(c);
}

/* ---- Hostile texts ----------------------------------------------------------------------------------------------- */

#define INPUT(members) "{\"tandem_graph\": 1, \"inputs\": [{" members "}], \"nodes\": []}"
#define X              "{\"name\": \"x\", \"kind\": \"placeholder\", \"dtype\": \"float32\", \"shape\": [2, 3]}"
#define NODE(members)  "{\"tandem_graph\": 1, \"inputs\": [" X "], \"nodes\": [{\"name\": \"n\", " members "}]}"

static void hostile_texts_are_refused_with_the_place(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "[", "line 1" },
		{ "{}", "tandem_graph" },
		{ "{\"tandem_graph\": 3}", "version" },
		{ "{\"tandem_graph\": 0}", "version" },
		{ "{\"tandem_graph\": 1}", "\"inputs\"" },
		{ INPUT("\"name\": \"\""), "/inputs/0" },
		{ INPUT("\"name\": \"x\", \"kind\": \"placeholder\", \"dtype\": \"half\", \"shape\": []"), "half" },
		{ INPUT("\"name\": \"x\", \"kind\": \"placeholder\", \"dtype\": \"bool\", \"shape\": [-1]"), "size 0" },
		{ INPUT("\"name\": \"x\", \"kind\": \"placeholder\", \"dtype\": \"bool\", \"shape\": [\"?x\"]"),
			"size 0" },
		{ INPUT("\"name\": \"x\", \"kind\": \"placeholder\", \"dtype\": \"bool\", \"shape\": [1,1,1,1,1,1,1]"),
			"at most 6" },
		{ INPUT("\"name\": \"x\", \"kind\": \"placeholder\", \"dtype\": \"bool\", \"shape\": [], "
			"\"order\": \"channels_last\""),
			"channels_last" },
		{ INPUT("\"name\": \"x\", \"kind\": \"placeholder\", \"dtype\": \"bool\", \"shape\": [], "
			"\"gradient\": true"),
			"no gradient" },
		{ INPUT("\"name\": \"x\", \"kind\": \"variable\", \"dtype\": \"bool\", \"shape\": [9007199254740991, "
			"4096]"),
			"larger than any memory" },
		{ INPUT("\"name\": \"x\", \"kind\": \"variable\", \"dtype\": \"bool\", \"shape\": [99999999]"),
			"more memory" },
		{ INPUT("\"name\": \"x\", \"kind\": \"variable\", \"dtype\": \"bool\", \"shape\": [\"?4\"]"),
			"known sizes" },
		{ INPUT("\"name\": \"x\", \"kind\": \"constant\", \"dtype\": \"int32\", \"shape\": [2], \"data\": [1]"),
			"2 elements" },
		{ INPUT("\"name\": \"x\", \"kind\": \"constant\", \"dtype\": \"int32\", \"shape\": [1], \"data\": "
			"[1.5]"),
			"element 0" },
		{ INPUT("\"name\": \"x\", \"kind\": \"constant\", \"dtype\": \"int64\", \"shape\": [1], "
			"\"data\": [\"99999999999999999999\"]"),
			"element 0" },
		{ NODE("\"op\": \"nonsense\", \"inputs\": []"), "nonsense" },
		{ NODE("\"op\": \"exp\", \"inputs\": []"), "1 inputs" },
		{ NODE("\"op\": \"exp\", \"inputs\": [\"y\"]"), "not there" },
		{ NODE("\"op\": \"exp\", \"inputs\": [\"n\"]"), "not there" },
		{ NODE("\"op\": \"exp\", \"inputs\": [null]"), "not there" },
		{ NODE("\"op\": \"exp\", \"inputs\": [\"x\"], \"after\": [\"n\"]"), "run before" },
		{ NODE("\"op\": \"exp\", \"inputs\": [\"x\"], \"attributes\": {\"a\": 1}"), "0 attributes" },
		{ NODE("\"op\": \"assign\", \"inputs\": [\"x\", \"x\"]"), "no variable" },
		{ NODE("\"op\": \"initialise\", \"inputs\": [\"x\"]"), "kind" },
		{ "{\"tandem_graph\": 1, \"inputs\": [{\"name\": \"x\", \"kind\": \"placeholder\", \"dtype\": "
		  "\"float32\", \"shape\": [1, 1, 2, 2]}], \"nodes\": [{\"name\": \"n\", \"op\": \"mean_pool\", "
		  "\"inputs\": [\"x\"], \"attributes\": {\"kernel\": [2, 2], \"stride\": [1, 1], \"padding\": "
		  "[\"9223372036854775807\", 0], \"dilation\": [1, 1], \"size\": [0, 0], \"divisor\": 0, "
		  "\"ceil_mode\": 0, \"count_include_pad\": 0}}]}",
			"padding or dilation of 9223372036854775807 is too large" },
		{ NODE("\"op\": \"matmul\", \"inputs\": [\"x\", \"x\"], \"attributes\": {\"ta\": false, \"tb\": "
		       "false}"),
			"/nodes/0" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(cases); i++) {
		td_ctx *c = context();

		assert_null(load(c, cases[i].text, strlen(cases[i].text)));
		if (!strstr(td_error(c)->text, cases[i].says))
			fail_msg("case %zu: not \"%s\" but: %s", i, cases[i].says, td_error(c)->text);
		td_ctx_free(c);
	}
}

/* One node of OP on inputs [2, 3] of a type, along axis -1. */
static void write_along_no_axis(struct buf *out, const td_op *op, const char *dtype)
{
	buf_printf(out,
		"{\"tandem_graph\": 1, \"inputs\": [{\"name\": \"x\", \"kind\": \"placeholder\", \"dtype\": "
		"\"%s\", \"shape\": [2, 3]}], \"nodes\": [{\"name\": \"n\", \"op\": \"%s\", \"inputs\": [",
		dtype, op->name);
	for (int i = 0; i < op->n_in; i++)
		buf_puts(out, i ? ", \"x\"" : "\"x\"");
	buf_puts(out, "], \"attributes\": {");
	for (const td_field *f = op->fields; f->name; f++)
		buf_printf(out, "%s\"%s\": %d", f == op->fields ? "" : ", ", f->name, strcmp(f->name, "axis") ? 1 : -1);
	buf_puts(out, "}}]}");
}

static bool has_axis(const td_op *op)
{
	for (const td_field *f = op->fields; f && f->name; f++)
		if (!strcmp(f->name, "axis"))
			return true;
	return false;
}

/* Functions count an axis from the last where it is negative; what is recorded has counted it already. */
static void no_op_believes_an_axis_that_is_not_there(void **state)
{
	static const char *const dtypes[] = { "float32", "int64" };
	int n_ops = 0;

	(void)state;
	for (const td_op *const *op = td__ops; *op; op++) {
		bool said = !has_axis(*op);

		n_ops += !said;
		for (size_t i = 0; i < TD_COUNT(dtypes) && has_axis(*op); i++) {
			struct buf text;
			td_ctx *c = context();

			buf_init(&text, SIZE_MAX);
			write_along_no_axis(&text, *op, dtypes[i]);
			assert_null(load(c, text.data, text.len));
			said |= strstr(td_error(c)->text, "has no axis -1") != NULL;
			buf_release(&text);
			td_ctx_free(c);
		}
		if (!said)
			fail_msg("%s does not say that there is no axis -1", (*op)->name);
	}
	assert_true(n_ops > 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_saved_graph_trains_to_the_same_bits),
		cmocka_unit_test(what_is_saved_again_is_the_same_text),
		cmocka_unit_test(variables_of_a_read_graph_must_be_restored_first),
		cmocka_unit_test(a_read_graph_has_gradients_by_its_placeholders),
		cmocka_unit_test(optional_inputs_at_the_end_need_not_be_there),
		cmocka_unit_test(hostile_texts_are_refused_with_the_place),
		cmocka_unit_test(no_op_believes_an_axis_that_is_not_there),
	};

	return cmocka_run_group_tests_name("graph_file", tests, NULL, NULL);
}
