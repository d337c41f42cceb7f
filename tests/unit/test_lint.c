/* Warnings about what is allowed and probably not meant: each is told, once, with the fix, in both modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/session.h"
#include "nn/learn.h"
#include "test_model.h"

struct told {
	int n;
	char code[8][32], layer[8][32], text[8][500];
};

static void tell(void *arg, const td_warning *w)
{
	struct told *t = arg;

	assert_true(t->n < 8);
	snprintf(t->code[t->n], 32, "%s", w->code);
	snprintf(t->layer[t->n], 32, "%s", w->layer);
	snprintf(t->text[t->n++], 500, "%s", w->text);
}

static td_value *kept[64]; /* what the mistakes are made of; released by forget() */
static int n_kept;

static td_value *keep(td_value *v)
{
	assert_true(n_kept < 64);
	return kept[n_kept++] = v;
}

static void forget(void)
{
	while (n_kept)
		td_unref(kept[--n_kept]);
}

static td_value *ones(td_ctx *c, int n, int m)
{
	td_shape s = td_shape_make(TD_F32, m ? 2 : 1, n, m);
	td_value *v = keep(td_tensor(c, &s, NULL));

	td_require_grad(c, v, true);
	return v;
}

/* The notebook's mistake: labels [N] against predictions [N, 1]. */
static void a_column_against_a_row(td_ctx *c)
{
	td_value *x = ones(c, 4, 1), *y = ones(c, 4, 0);

	td_square(c, td_sub(c, x, y));
	td_add(c, x, x);                         /* no spreading at all */
	td_mul(c, ones(c, 4, 3), ones(c, 3, 0)); /* one input alone is spread */
}

static void a_softmax_before_the_loss(td_ctx *c)
{
	td_shape s = td_shape_make(TD_I64, 1, 4);

	td_cross_entropy(c, td_softmax(c, ones(c, 4, 3), 1), keep(td_tensor(c, &s, NULL)));
	td_cross_entropy(c, ones(c, 4, 3), keep(td_tensor(c, &s, NULL)));
}

static void a_sigmoid_before_the_loss(td_ctx *c)
{
	td_value *labels = ones(c, 4, 3);

	td_bce_logits_each(c, td_sigmoid(c, ones(c, 4, 3)), labels, NULL);
}

static void probabilities_for_logarithms(td_ctx *c)
{
	td_shape s = td_shape_make(TD_I64, 1, 4);

	td_nll_each(c, td_softmax(c, ones(c, 4, 3), 1), keep(td_tensor(c, &s, NULL)));
}

/* Targets that are shares of classes: the loss is made of a log_softmax. */
static void a_softmax_before_a_log_softmax(td_ctx *c)
{
	td_value *y = td_softmax(c, ones(c, 4, 3), 1);

	td_log_softmax(c, td_transpose(c, y, (int[]){ 1, 0 }, 2), 0);
}

static void dropout_in_an_evaluation(td_ctx *c)
{
	td_dropout(c, ones(c, 4, 3), 0.5f);
	td_no_grad_begin(c);
	td_dropout(c, ones(c, 4, 3), 0.5f);
	td_no_grad_end(c);
}

static void each_mistake_is_told_once_with_its_layer(void **state)
{
	static const struct {
		void (*mistake)(td_ctx *c);
		const char *code, *says;
	} cases[] = {
		{ a_column_against_a_row, "broadcast", "float32[4, 1] and float32[4] give float32[4, 4]" },
		{ a_softmax_before_the_loss, "double_softmax", "leave this one out" },
		{ a_softmax_before_a_log_softmax, "double_softmax", "leave this one out" },
		{ a_sigmoid_before_the_loss, "double_sigmoid", "leave this one out" },
		{ probabilities_for_logarithms, "nll_of_softmax", "make it a log_softmax" },
		{ dropout_in_an_evaluation, "training_mode", "dropout runs as in training" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int traced = 0; traced < 2; traced++) {
			td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
			td_graph *g = td_graph_create();
			struct told told = { 0 };

			td_on_warning(c, tell, &told);
			td_step_begin(c);
			if (traced)
				td_trace_begin(c, g);
			for (int again = 0; again < 3; again++) {
				td_name_push(c, "fc");
				cases[i].mistake(c);
				td_name_pop(c);
			}
			assert_int_equal(td_error(c)->status, TD_OK);
			assert_int_equal(told.n, 1);
			assert_string_equal(told.code[0], cases[i].code);
			assert_string_equal(told.layer[0], "fc");
			assert_non_null(strstr(told.text[0], cases[i].says));
			if (traced)
				td_trace_end(c);
			td_step_end(c);
			td_graph_free(g);
			forget();
			td_ctx_free(c);
		}
}

static td_value *spread_by(td_ctx *c, int which, td_value *x, td_value *y)
{
	switch (which) {
	case 0: return td_pow(c, x, y);
	case 1: return td_remainder(c, x, y);
	case 2: return td_less(c, x, y);
	case 3: return td_less_equal(c, x, y);
	case 4: return td_not_equal(c, x, y);
	case 5: return td_logical_and(c, x, y);
	default: return td_where(c, td_cast(c, x, TD_BOOL), td_sum(c, y, TD_ALL_AXES, false), y);
	}
}

static void whatever_op_spreads_all_of_its_inputs_is_told(void **state)
{
	static const char *const says[] = { "pow spreads both", "remainder spreads both", "less spreads both",
		"less_equal spreads both", "not_equal spreads both", "logical_and spreads both",
		"where spreads all of its inputs: bool[4, 1], float32[] and float32[4] give float32[4, 4]" };

	(void)state;
	for (int i = 0; i < (int)(sizeof says / sizeof *says); i++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
		struct told told = { 0 };

		td_on_warning(c, tell, &told);
		td_step_begin(c);
		assert_non_null(spread_by(c, i, ones(c, 4, 1), ones(c, 4, 0)));
		assert_int_equal(told.n, 1);
		assert_string_equal(told.code[0], "broadcast");
		assert_non_null(strstr(told.text[0], says[i]));
		assert_non_null(spread_by(c, i, ones(c, 4, 4), ones(c, 4, 0))); /* one alone is spread */
		assert_int_equal(told.n, 1);
		td_step_end(c);
		forget();
		td_ctx_free(c);
	}
}

static void gradients_that_are_never_zeroed_are_told_unless_it_is_meant(void **state)
{
	(void)state;
	for (int meant = 0; meant < 2; meant++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
		td_value *w = ones(c, 3, 0);
		struct told told = { 0 };

		td_set_name(w, "fc.weight");
		td_on_warning(c, tell, &told);
		td_accumulate(c, meant);
		for (int step = 0; step < 3; step++) {
			td_step_begin(c);
			td_backward(c, td_sum_squares(c, w));
			td_backward(c, td_sum_squares(c, w)); /* twice in a step is how losses are added */
			td_step_end(c);
		}
		assert_int_equal(told.n, !meant);
		if (!meant)
			assert_non_null(strstr(told.text[0], "\"fc.weight\" was not zeroed since step 1"));
		td_zero_grad(c, &w, 1, TD_ZERO_NONE);
		forget();
		td_ctx_free(c);
	}
}

/* Layers "fc" and "aux" with a weight each; the loss reads "fc", and "aux" too where it is READ. */
static td_value *two_layers(td_ctx *c, td_value *fc, td_value *aux, bool read)
{
	td_value *x = td_ones_like(c, fc), *y, *z;

	td_name_push(c, "fc");
	y = td_mul(c, x, fc);
	td_name_pop(c);
	td_name_push(c, "aux");
	z = td_mul(c, x, aux);
	td_name_pop(c);
	return td_sum_squares(c, read ? td_add(c, y, z) : y);
}

static void a_layer_that_no_fetch_depends_on_is_told(void **state)
{
	(void)state;
	for (int read = 0; read < 2; read++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
		td_graph *g = td_graph_create();
		td_value *fc = ones(c, 3, 0), *aux = ones(c, 3, 0), *loss, *result;
		struct told told = { 0 };
		td_session *s;

		td_on_warning(c, tell, &told);
		td_trace_begin(c, g);
		loss = two_layers(c, fc, aux, read);
		td_trace_end(c);
		s = td_session_create(c, g, &loss, 1);
		for (int step = 0; step < 2; step++) {
			td_step_begin(c);
			assert_int_equal(td_session_run(s, c, NULL, 0, &result), TD_OK);
			td_step_end(c);
		}
		assert_int_equal(told.n, !read);
		if (!read) {
			assert_string_equal(told.code[0], "unused");
			assert_string_equal(told.layer[0], "aux");
		}
		td_session_free(s);
		td_graph_free(g);
		forget();
		td_ctx_free(c);
	}
}

/* The notebooks' mistake: the second layer is given the first one's product, not what a relu made of it. */
static td_value *loose_relu(td_ctx *c, td_value *w, const char *layer, bool loose)
{
	td_value *product = td_mul(c, td_ones_like(c, w), w), *positive;

	if (layer)
		td_name_push(c, layer);
	positive = td_relu(c, product);
	if (layer)
		td_name_pop(c);
	return td_mul(c, loose ? product : positive, product);
}

static void a_result_that_nothing_reads_is_told(void **state)
{
	static const struct {
		const char *layer;
		bool frozen, loose;
	} cases[] = { { NULL, false, true }, { NULL, false, false }, { "conv1", false, true },
		{ "conv1", true, true } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
		td_graph *g = td_graph_create();
		td_value *w = ones(c, 3, 0), *loss, *fetches[2];
		struct told told = { 0 };
		td_session *s;

		td_require_grad(c, w, !cases[i].frozen);
		td_on_warning(c, tell, &told);
		td_trace_begin(c, g);
		loss = loose_relu(c, w, cases[i].layer, cases[i].loose);
		td_gradients(c, &loss, &w, 1, &w, 1, 0, &fetches[0]); /* the gradients alone are asked for */
		fetches[1] = w;
		td_trace_end(c);
		s = td_session_create(c, g, cases[i].frozen ? &loss : fetches, 1);
		for (int step = 0; step < 2; step++) {
			td_step_begin(c);
			assert_int_equal(td_session_run(s, c, NULL, 0, &fetches[1]), TD_OK);
			td_step_end(c);
		}
		assert_int_equal(told.n, cases[i].loose);
		if (told.n) {
			assert_string_equal(told.code[0], "unused");
			assert_string_equal(told.layer[0], cases[i].layer ? cases[i].layer : "");
			assert_non_null(strstr(told.text[0], "relu, which makes float32[3] here"));
		}
		td_session_free(s);
		td_graph_free(g);
		forget();
		td_ctx_free(c);
	}
}

/* The loss of B's model, whose parameters are symbols, and their gradients. */
static int write_known(struct bench *b, bool training, td_value **fetches)
{
	td_value *learnt[128], *loss;
	td_ctx *c = b->c;
	int n = 0;

	for (int i = 0; i < b->model->n_layers; i++)
		for (int k = 0; k < b->model->layers[i].n_params; k++) {
			const struct nn_param *p = &b->model->params[b->model->layers[i].param_at[k]];
			td_value **param = &b->model->layers[i].param[k];

			assert_true(n < 128);
			if (p->buffer) {
				*param = keep(td_tensor(c, &p->shape, NULL));
				continue;
			}
			*param = learnt[n++] = td_placeholder(c, p->name, &p->shape);
			td_require_grad(c, *param, true);
		}
	fetches[0] = nn_forward(
		b->model, &(struct nn_pass){ .c = c, .training = training }, td_placeholder(c, "input", &b->model->in));
	if (!training)
		return 1;
	loss = td_sum_squares(c, fetches[0]);
	td_no_grad_begin(c);
	td_gradients(c, &loss, NULL, 1, learnt, n, 0, fetches + 1);
	td_no_grad_end(c);
	return 1 + n;
}

static void no_known_model_has_a_loose_end(void **state)
{
	static const struct {
		const char *text;
		td_shape in;
	} rows[] = {
		{ "{\"name\":\"resnet18\",\"args\":{\"classes\":10}}",
			{ TD_F32, TD_ROW_MAJOR, 4, { 2, 3, 224, 224 } } },
		{ "{\"name\":\"squeezenet1_1\",\"args\":{\"classes\":1000}}",
			{ TD_F32, TD_ROW_MAJOR, 4, { 2, 3, 224, 224 } } },
		{ "{\"name\":\"mlp\",\"args\":{\"classes\":3,\"hidden\":[20,10]}}",
			{ TD_F32, TD_ROW_MAJOR, 2, { 2, 6 } } },
		{ "{\"name\":\"lstm_classifier\",\"args\":{\"classes\":4}}", { TD_I64, TD_ROW_MAJOR, 2, { 2, 9 } } },
		{ "{\"name\":\"gpt\",\"args\":{\"layers\":3,\"heads\":2,\"width\":8}}",
			{ TD_I64, TD_ROW_MAJOR, 2, { 2, 9 } } },
	};

	(void)state;
	for (size_t i = 0; i < 2 * TD_COUNT(rows); i++) {
		td_graph *g = td_graph_create();
		td_value *fetches[129];
		td_session *s;
		struct bench b;
		int n;

		bench_init(&b, rows[i / 2].text, rows[i / 2].in, rows[i / 2].in.dtype == TD_I64 ? 20 : 0, false);
		td_trace_begin(b.c, g);
		n = write_known(&b, i % 2, fetches);
		td_trace_end(b.c);
		s = td_session_create(b.c, g, fetches, n);
		assert_non_null(s);
		assert_non_null(td__session_plan(s, b.c)); /* the listener of the bench fails at a warning */
		td_session_free(s);
		td_graph_free(g);
		for (int k = 0; k < b.model->n_layers; k++)
			for (int p = 0; p < b.model->layers[k].n_params; p++)
				b.model->layers[k].param[p] = NULL;
		forget();
		bench_release(&b);
	}
}

/* One variable learns; the other is read by what is fetched, or it is not. */
static void a_variable_that_no_run_reads_is_told_when_its_session_ends(void **state)
{
	(void)state;
	for (int way = 0; way < 3; way++) { /* forgotten; read; nothing learns */
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
		td_graph *g = td_graph_create();
		td_shape scalar = { 0 };
		td_value *w, *aux, *loss, *grad;
		struct told told = { 0 };
		td_node *train, *init;
		td_fetch fetches[2];
		td_session *s;

		td_on_warning(c, tell, &told);
		td_trace_begin(c, g);
		w = td_get_variable(c, "w", &scalar, &TD_ONES, true);
		td_scope_begin(c, "aux", TD_REUSE_INHERIT);
		aux = td_get_variable(c, "kernel", &scalar, &TD_ONES, true);
		td_scope_end(c);
		loss = td_square(c, way == 1 ? td_add(c, w, aux) : w);
		td_mul(c, aux, loss);
		td_gradients(c, &loss, NULL, 1, &w, 1, 0, &grad);
		td_no_grad_begin(c);
		td_group_begin(c);
		td_assign_sub(c, w, grad);
		train = td_group_end(c, "train");
		td_no_grad_end(c);
		init = td_initialise_variables(c);
		td_trace_end(c);
		s = td_session_open(c, g, 0);
		fetches[0] = TD_OPERATION(init);
		assert_int_equal(td_session_fetch(s, c, fetches, 1, NULL, 0), TD_OK);
		fetches[0] = TD_VALUE(loss);
		fetches[1] = TD_OPERATION(train);
		assert_int_equal(td_session_fetch(s, c, fetches, way == 2 ? 1 : 2, NULL, 0), TD_OK);
		assert_int_equal(told.n, 0);
		td_session_free(s);
		assert_int_equal(told.n, way == 0);
		if (told.n) {
			assert_string_equal(told.code[0], "unused");
			assert_string_equal(told.layer[0], "aux");
			assert_non_null(strstr(told.text[0], "\"aux.kernel\""));
		}
		td_graph_free(g);
		forget();
		td_ctx_free(c);
	}
}

static void a_softmax_is_told_once_whichever_loss_reads_it(void **state)
{
	td_shape s = td_shape_make(TD_I64, 1, 4);
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
	struct told told = { 0 };
	td_value *y;

	(void)state;
	td_on_warning(c, tell, &told);
	td_step_begin(c);
	td_name_push(c, "5");
	y = td_softmax(c, ones(c, 4, 3), 1);
	td_name_pop(c);
	for (int i = 0; i < 2; i++) {
		td_name_push(c, i ? "loss" : "metrics");
		td_cross_entropy(c, y, keep(td_tensor(c, &s, NULL)));
		td_name_pop(c);
	}
	td_nll_each(c, td_log_softmax(c, ones(c, 4, 3), 1), keep(td_tensor(c, &s, NULL)));
	assert_int_equal(td_error(c)->status, TD_OK);
	assert_int_equal(told.n, 1);
	assert_string_equal(told.layer[0], "5");
	td_step_end(c);
	forget();
	td_ctx_free(c);
}

static void count(void *n, const td_warning *w)
{
	(void)w;
	++*(int *)n;
}

static void there_is_an_end_to_warnings(void **state)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1 });
	int n = 0;

	(void)state;
	td_on_warning(c, count, &n);
	for (int i = 0; i < TD_WARNINGS_MOST + 5; i++) {
		char code[24];

		snprintf(code, sizeof code, "code %d", i);
		td_warn(c, code, "again");
	}
	assert_int_equal(n, TD_WARNINGS_MOST);
	td_ctx_free(c);
}

static void epochs_in_the_same_order_are_told_unless_there_are_few_samples(void **state)
{
	enum { N = 20 };
	static const struct {
		int n;
		bool moved;
		int told;
	} cases[] = { { N, false, 1 }, { N, true, 0 }, { 3, false, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
		struct told told = { 0 };
		int64_t order[N];

		td_on_warning(c, tell, &told);
		for (int epoch = 0; epoch < 3; epoch++) {
			for (int k = 0; k < N; k++)
				order[k] = (k + (cases[i].moved ? epoch : 0)) % N;
			td_note_order(c, order, cases[i].n);
		}
		assert_int_equal(told.n, cases[i].told);
		if (told.n)
			assert_string_equal(told.code[0], "same_order");
		td_ctx_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_told_once_with_its_layer),
		cmocka_unit_test(whatever_op_spreads_all_of_its_inputs_is_told),
		cmocka_unit_test(gradients_that_are_never_zeroed_are_told_unless_it_is_meant),
		cmocka_unit_test(a_layer_that_no_fetch_depends_on_is_told),
		cmocka_unit_test(a_result_that_nothing_reads_is_told),
		cmocka_unit_test(no_known_model_has_a_loose_end),
		cmocka_unit_test(a_variable_that_no_run_reads_is_told_when_its_session_ends),
		cmocka_unit_test(a_softmax_is_told_once_whichever_loss_reads_it),
		cmocka_unit_test(there_is_an_end_to_warnings),
		cmocka_unit_test(epochs_in_the_same_order_are_told_unless_there_are_few_samples),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
