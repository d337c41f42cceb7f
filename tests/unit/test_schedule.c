/* Schedules against the learning rates that PyTorch's take. */
#include "learn_rig.h"
#include "learn_golden.h"

#define N_STEPS 50
#define N_EPOCH 5

static const struct golden {
	const char *spec;
	double factor[N_STEPS];
} golden[] = { GOLDEN_SCHEDULES }, golden_momenta[] = { GOLDEN_MOMENTA };

static const struct {
	double value, factor;
} golden_plateau[] = { GOLDEN_PLATEAU };

static void factors_are_pytorchs(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden); i++) {
		struct chosen c;

		chosen_init(&c, &nn_schedules, golden[i].spec);
		for (int step = 1; step <= N_STEPS; step++)
			assert_near(nn_schedule_factor(&c.choice, NULL, step, N_EPOCH, N_STEPS),
				golden[i].factor[step - 1], 1e-13, golden[i].spec);
		chosen_release(&c);
	}
}

static void momenta_are_pytorchs(void **state)
{
	struct chosen c;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(golden_momenta); i++) {
		chosen_init(&c, &nn_schedules, golden_momenta[i].spec);
		for (int step = 1; step <= N_STEPS; step++)
			assert_near(nn_schedule_momentum(&c.choice, step, N_EPOCH, N_STEPS),
				golden_momenta[i].factor[step - 1], 1e-13, golden_momenta[i].spec);
		chosen_release(&c);
	}
	chosen_init(&c, &nn_schedules, "\"one_cycle\"");
	assert_true(nn_schedule_momentum(&c.choice, 1, N_EPOCH, N_STEPS) < 0); /* the optimizer's own */
	chosen_release(&c);
}

static void a_momentum_that_is_not_there_cannot_move(void **state)
{
	static const struct {
		const char *schedule, *optimizer;
		bool fits;
	} rows[] = {
		{ "{\"type\":\"one_cycle\",\"cycle_momentum\":true}", "\"sgd\"", false },
		{ "{\"type\":\"one_cycle\",\"cycle_momentum\":true}", "{\"type\":\"sgd\",\"momentum\":0.9}", true },
		{ "{\"type\":\"one_cycle\",\"cycle_momentum\":true}", "\"adamw\"", true },
		{ "{\"type\":\"one_cycle\",\"cycle_momentum\":true}", "\"adagrad\"", false },
		{ "\"one_cycle\"", "\"sgd\"", true },
		{ "\"cosine\"", "\"sgd\"", true },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct chosen schedule, optimizer;

		chosen_init(&schedule, &nn_schedules, rows[i].schedule);
		chosen_init(&optimizer, &nn_optimizers, rows[i].optimizer);
		nn_schedule_check_optimizer(&schedule.choice, &optimizer.choice, "/schedule", &schedule.faults);
		assert_int_equal(schedule.faults.n_found, !rows[i].fits);
		if (!rows[i].fits)
			assert_non_null(strstr(schedule.faults.items[0].detail, "leave \"cycle_momentum\" out"));
		chosen_release(&schedule);
		chosen_release(&optimizer);
	}
}

static void a_plateau_lowers_when_pytorchs_does(void **state)
{
	static const char spec[] = "{\"type\":\"plateau\",\"factor\":0.5,\"patience\":1,\"min_factor\":0.1}";
	struct nn_plateau p = NN_PLATEAU_START, rising = NN_PLATEAU_START;
	const struct nn_schedule_type *type;
	struct chosen c;

	(void)state;
	chosen_init(&c, &nn_schedules, spec);
	type = (const struct nn_schedule_type *)c.choice.type;
	assert_string_equal(type->watches(c.choice.options), "val/loss");
	for (size_t i = 0; i < TD_COUNT(golden_plateau); i++) {
		type->observe(c.choice.options, &p, golden_plateau[i].value, true);
		assert_near(
			nn_schedule_factor(&c.choice, &p, 5, N_EPOCH, N_STEPS), golden_plateau[i].factor, 1e-9, spec);
		if (i < 5) /* the mirror image: larger is better */
			type->observe(c.choice.options, &rising, 3 - golden_plateau[i].value, false);
	}
	assert_true(rising.factor == 0.5 && rising.best == 3 - 0.9);
	chosen_release(&c);
}

static void a_plateau_and_a_warm_up_multiply(void **state)
{
	struct nn_plateau p = { .best = 1, .factor = 0.25 };
	struct chosen c;

	(void)state;
	chosen_init(&c, &nn_schedules, "{\"type\":\"plateau\",\"warmup_steps\":4,\"warmup_factor\":0.5}");
	assert_true(nn_schedule_factor(&c.choice, &p, 1, N_EPOCH, N_STEPS) == 0.125);
	assert_true(nn_schedule_factor(&c.choice, &p, 3, N_EPOCH, N_STEPS) == 0.1875);
	assert_true(nn_schedule_factor(&c.choice, &p, 5, N_EPOCH, N_STEPS) == 0.25);
	chosen_release(&c);
}

static void without_a_schedule_the_factor_is_one(void **state)
{
	(void)state;
	assert_true(nn_schedule_factor(&(struct opt_choice){ 0 }, NULL, 7, N_EPOCH, N_STEPS) == 1);
}

/* A warm-up longer than the training, one step in all, epochs longer than the training. */
static void odd_lengths_stay_finite(void **state)
{
	static const char *const specs[] = { "{\"type\":\"cosine\",\"warmup_steps\":100}", "\"cosine\"", "\"linear\"",
		"{\"type\":\"linear\",\"unit\":\"step\",\"warmup_steps\":3}", "\"one_cycle\"", "\"polynomial\"",
		"{\"type\":\"one_cycle\",\"three_phase\":true,\"pct_start\":0}",
		"{\"type\":\"one_cycle\",\"pct_start\":1}" };
	struct chosen c;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(specs); i++) {
		chosen_init(&c, &nn_schedules, specs[i]);
		for (int64_t step = 1; step <= 3; step++) {
			double f = nn_schedule_factor(&c.choice, NULL, step, 1000, 3);
			assert_true(f >= 0 && f <= 1);
		}
		assert_true(nn_schedule_factor(&c.choice, NULL, 1, 1, 1) > 0);
		chosen_release(&c);
	}
}

static void options_out_of_bounds_are_faults(void **state)
{
	static const char *const specs[] = { "\"step\"", "{\"type\":\"step\",\"step_size\":0}", "\"exponential\"",
		"{\"type\":\"multi_step\",\"milestones\":[]}", "{\"type\":\"multi_step\",\"milestones\":[1.5]}",
		"{\"type\":\"cosine\",\"unit\":\"batch\"}", "{\"type\":\"plateau\",\"factor\":1}",
		"{\"type\":\"constant\",\"warmup_steps\":-1}", "\"cyclic\"",
		"{\"type\":\"piecewise\",\"boundaries\":[1]}",
		"{\"type\":\"piecewise\",\"boundaries\":[],\"factors\":[1]}" };
	struct chosen c;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(specs); i++) {
		chosen_read(&c, &nn_schedules, specs[i]);
		if (!c.faults.n_found)
			fail_msg("%s was taken", specs[i]);
		chosen_release(&c);
	}
}

static void pieces_that_do_not_fit_are_faults(void **state)
{
	static const struct {
		const char *spec, *says; /* NULL: it is right */
	} rows[] = {
		{ "{\"type\":\"piecewise\",\"boundaries\":[1,5],\"factors\":[1,2,3]}", NULL },
		{ "{\"type\":\"piecewise\",\"boundaries\":[1,5],\"factors\":[1,2]}",
			"2 factors for 2 boundaries, but needs 3" },
		{ "{\"type\":\"piecewise\",\"boundaries\":[5,5],\"factors\":[1,2,3]}", "5 comes after 5" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct chosen c;

		chosen_init(&c, &nn_schedules, rows[i].spec);
		((const struct nn_schedule_type *)c.choice.type)->check(c.choice.options, "/schedule", &c.faults);
		assert_int_equal(c.faults.n_found, rows[i].says != NULL);
		if (rows[i].says && !strstr(c.faults.items[0].detail, rows[i].says))
			fail_msg("%s: %s", rows[i].spec, c.faults.items[0].detail);
		chosen_release(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(factors_are_pytorchs),
		cmocka_unit_test(momenta_are_pytorchs),
		cmocka_unit_test(a_momentum_that_is_not_there_cannot_move),
		cmocka_unit_test(a_plateau_lowers_when_pytorchs_does),
		cmocka_unit_test(a_plateau_and_a_warm_up_multiply),
		cmocka_unit_test(without_a_schedule_the_factor_is_one),
		cmocka_unit_test(odd_lengths_stay_finite),
		cmocka_unit_test(options_out_of_bounds_are_faults),
		cmocka_unit_test(pieces_that_do_not_fit_are_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
