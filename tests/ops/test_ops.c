/* Every op of the table through every check.  An op without samples fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "suite.h"

static void every_sample_through(suite_check *check)
{
	for (const td_op *const *op = td__ops; *op; op++) {
		td_sample s = { 0 };
		int n = 0;

		for (; (*op)->sample(n, &s); n++) {
			const char *wrong = check(*op, &s, n);
			if (wrong)
				fail_msg("%s", wrong);
			s = (td_sample){ 0 };
		}
		if (!n)
			fail_msg("the op %s has no samples", (*op)->name);
	}
}

static void shape_rules_agree_with_forward(void **state)
{
	(void)state;
	every_sample_through(suite_infer_agrees);
}

static void eager_and_graphs_give_the_same_bits(void **state)
{
	(void)state;
	every_sample_through(suite_same_bits);
}

static void gradients_agree_with_central_differences(void **state)
{
	(void)state;
	every_sample_through(suite_gradient);
}

static void float32_agrees_with_float64(void **state)
{
	(void)state;
	every_sample_through(suite_precision);
}

static void wrong_inputs_are_refused_with_a_word(void **state)
{
	(void)state;
	every_sample_through(suite_refuses);
}

/* The gradients of what walks over steps are walks as well: a second one would need a tape of each walk back. */
static void only_walks_over_steps_have_no_second_gradient(void **state)
{
	static const char *const once[] = { "gru_dx", "gru_hidden", "lstm_dx", "recurrent_dw", "rnn_dx", "while_dx",
		NULL };
	const char *const *next = once;

	(void)state;
	for (const td_op *const *op = td__ops; *op; op++)
		if ((*op)->backward == td_once) {
			assert_non_null(*next);
			assert_string_equal((*op)->name, *next++);
		}
	assert_null(*next);
}

static void attributes_have_a_field_for_every_member(void **state)
{
	(void)state;
	for (const td_op *const *op = td__ops; *op; op++) {
		const char *wrong = suite_fields(*op);
		if (wrong)
			fail_msg("%s", wrong);
	}
}

/* The suite passes over what cannot be saved. */
static void every_op_can_be_saved_but_code_of_the_program(void **state)
{
	(void)state;
	for (const td_op *const *op = td__ops; *op; op++)
		for (const td_field *f = (*op)->fields; f && f->name; f++)
			assert_true(f->kind != TD_FIELD_CODE || !strcmp((*op)->name, "custom"));
}

/* Whether attributes of OP cannot be all zeros: one is a function. */
static bool needs_attributes(const td_op *op)
{
	for (const td_field *f = op->fields; f && f->name; f++)
		if (f->kind > TD_FIELD_BOOL)
			return true;
	return false;
}

/* Whether OP's shape rule takes [3, 1], [7] and what broadcasts to both, of types FIRST and then REST, for [3, 7]. */
static bool spreads(const td_op *op, td_dtype first, td_dtype rest)
{
	static const double attrs[64]; /* zeros */
	td_shape column = td_shape_make(first, 2, (int64_t)3, (int64_t)1), row = td_shape_make(rest, 1, (int64_t)7),
		 one = td_shape_make(rest, 0), out[TD_MOST_OUT] = { 0 };
	const td_shape *in[TD_MOST_IN] = { &column, &row, &one };
	td_ctx *c = suite_context(1);
	td_infer q = { .ctx = c, .attrs = attrs, .in = in, .n_in = op->n_in, .out = out };
	bool spread;

	op->infer(&q);
	spread = !c->err.status && out->rank == 2 && out->dim[0] == 3 && out->dim[1] == 7;
	td_ctx_free(c);
	return spread;
}

/* So that no op that is added is forgotten where the lint looks for mutual expansion. */
static void an_op_says_that_it_broadcasts(void **state)
{
	(void)state;
	for (const td_op *const *op = td__ops; *op; op++) {
		bool does = false;

		for (int i = 0; i < TD_N_DTYPES * TD_N_DTYPES && (*op)->n_in > 1 && (*op)->n_in <= 3; i++)
			does = does || (!needs_attributes(*op) &&
					       spreads(*op, (td_dtype)(i / TD_N_DTYPES), (td_dtype)(i % TD_N_DTYPES)));
		if (does != (*op)->broadcasts)
			fail_msg("the op %s %s its inputs, and its record says otherwise", (*op)->name,
				does ? "broadcasts" : "does not broadcast");
	}
}

/* ---- The gates themselves: each must see an op that is broken on purpose ----------------------------------------- */

/* A copy of mul that a test may break. */
static td_op broken;
static td_sample sample_of_broken;

static td_value *apply_broken(td_ctx *c, td_value *const *in)
{
	return td_apply(c, &broken, NULL, in, 2);
}

static const td_sample *break_mul(void)
{
	broken = *td__op_find("mul");
	sample_of_broken = (td_sample){ 0 };
	assert_true(broken.sample(0, &sample_of_broken));
	sample_of_broken.apply = apply_broken;
	return &sample_of_broken;
}

static void wrong_gradient(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	for (int i = 0; i < 2; i++)
		dx[i] = td_mul(c, dy[0], n->in[i]); /* the other factor would be right */
}

static void a_wrong_gradient_is_caught_by_differences_and_not_by_equal_modes(void **state)
{
	const td_sample *s = break_mul();

	(void)state;
	assert_null(suite_gradient(&broken, s, 0));
	broken.backward = wrong_gradient;
	assert_non_null(suite_gradient(&broken, s, 0));
	assert_null(suite_same_bits(&broken, s, 0)); /* both modes share the rule: equality is no proof */
}

static td_value *apply_small(td_ctx *c, td_value *const *in)
{
	return td_scale_by(c, apply_broken(c, in), 1e-2);
}

static void almost_right_gradient(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx)
{
	for (int i = 0; i < 2; i++)
		dx[i] = td_mul(c, dy[0], td_scale_by(c, n->in[1 - i], 1 + 1e-5));
}

static void a_small_gradient_is_held_to_its_own_size(void **state)
{
	td_sample s = *break_mul();

	(void)state;
	s.apply = apply_small;
	assert_null(suite_gradient(&broken, &s, 0));
	broken.backward = almost_right_gradient;
	assert_non_null(suite_gradient(&broken, &s, 0));
}

static void unclean_forward(const td_call *call) /* reads what it has not written */
{
	float *y = call->out[0].data;
	const float *a = call->in[0].data;

	for (int64_t i = 0; i < td_shape_count(call->out[0].shape); i++)
		y[i] = i % 2 ? a[i] : y[i] + a[i];
}

static void a_read_of_unwritten_memory_is_caught_by_the_nan_filled_arena(void **state)
{
	const td_sample *s = break_mul();

	(void)state;
	assert_null(suite_same_bits(&broken, s, 0));
	broken.forward[TD_CPU] = unclean_forward;
	broken.backward = td_nodiff;
	assert_non_null(suite_same_bits(&broken, s, 0));
}

static void clearing_forward(const td_call *call) /* right, but where the result lies on an input */
{
	int64_t n = td_shape_count(call->out[0].shape);
	float *y = call->out[0].data;
	const float *a = call->in[0].data, *b = call->in[1].data;

	memset(y, 0, sizeof *y * (size_t)n);
	for (int64_t i = 0; i < n; i++)
		y[i] = a[i] * b[i];
}

static void a_result_that_may_not_lie_on_its_input_is_caught(void **state)
{
	const td_sample *s = break_mul();

	(void)state;
	broken.forward[TD_CPU] = clearing_forward;
	broken.backward = td_nodiff;
	broken.inplace = 0;
	assert_null(suite_same_bits(&broken, s, 0));
	broken.inplace = 1;
	assert_non_null(suite_same_bits(&broken, s, 0));
}

static void imprecise_forward(const td_call *call)
{
	const float *a = call->in[0].data, *b = call->in[1].data;

	for (int64_t i = 0; i < td_shape_count(call->out[0].shape); i++)
		if (call->out[0].shape->dtype == TD_F32)
			((float *)call->out[0].data)[i] = a[i] * b[i] * 1.00001f;
		else
			((double *)call->out[0].data)[i] =
				((const double *)call->in[0].data)[i] * ((const double *)call->in[1].data)[i];
}

static void a_kernel_off_by_ten_parts_in_a_million_is_caught(void **state)
{
	const td_sample *s = break_mul();

	(void)state;
	assert_null(suite_precision(&broken, s, 0));
	broken.forward[TD_CPU] = imprecise_forward;
	assert_non_null(suite_precision(&broken, s, 0));
}

static void careless_infer(td_infer *q)
{
	q->out[0] = *q->in[0];
}

static void nothing_forward(const td_call *call)
{
	(void)call;
}

static void a_shape_rule_that_accepts_anything_is_caught(void **state)
{
	const td_sample *s = break_mul();

	(void)state;
	assert_null(suite_refuses(&broken, s, 0));
	broken.infer = careless_infer;
	broken.forward[TD_CPU] = nothing_forward;
	assert_non_null(suite_refuses(&broken, s, 0));
}

static void a_member_without_a_field_is_caught(void **state)
{
	struct attrs {
		bool first; /* seven bytes of padding follow */
		double second;
		int third;
	};
	td_field fields[] = { TD_FIELD(struct attrs, first), TD_FIELD(struct attrs, second),
		TD_FIELD(struct attrs, third), { 0 } };

	(void)state;
	broken = (td_op){ .name = "broken", .attrs_size = sizeof(struct attrs), .fields = fields };
	assert_null(suite_fields(&broken));
	fields[1] = fields[0];
	assert_non_null(suite_fields(&broken)); /* one twice, one not at all */
	fields[1] = fields[2];
	fields[2] = (td_field){ 0 };
	assert_non_null(suite_fields(&broken));
	broken.fields = NULL;
	assert_non_null(suite_fields(&broken));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shape_rules_agree_with_forward),
		cmocka_unit_test(eager_and_graphs_give_the_same_bits),
		cmocka_unit_test(gradients_agree_with_central_differences),
		cmocka_unit_test(float32_agrees_with_float64),
		cmocka_unit_test(wrong_inputs_are_refused_with_a_word),
		cmocka_unit_test(only_walks_over_steps_have_no_second_gradient),
		cmocka_unit_test(an_op_says_that_it_broadcasts),
		cmocka_unit_test(attributes_have_a_field_for_every_member),
		cmocka_unit_test(every_op_can_be_saved_but_code_of_the_program),
		cmocka_unit_test(a_wrong_gradient_is_caught_by_differences_and_not_by_equal_modes),
		cmocka_unit_test(a_small_gradient_is_held_to_its_own_size),
		cmocka_unit_test(a_read_of_unwritten_memory_is_caught_by_the_nan_filled_arena),
		cmocka_unit_test(a_result_that_may_not_lie_on_its_input_is_caught),
		cmocka_unit_test(a_kernel_off_by_ten_parts_in_a_million_is_caught),
		cmocka_unit_test(a_shape_rule_that_accepts_anything_is_caught),
		cmocka_unit_test(a_member_without_a_field_is_caught),
	};

	return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
