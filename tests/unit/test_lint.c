/* Warnings about what is allowed and probably not meant: each is told, once, with the fix, in both modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "td.h"

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

	td_require_grad(v, true);
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
		{ a_softmax_before_the_loss, "double_softmax", "leave the softmax out" },
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_mistake_is_told_once_with_its_layer),
		cmocka_unit_test(gradients_that_are_never_zeroed_are_told_unless_it_is_meant),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
