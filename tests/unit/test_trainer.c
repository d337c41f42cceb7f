/* The trainer: both modes alike to the bit, many batches alike one large one, and what a step must not touch. */
#include "trainer_rig.h"

/* ---- Both modes ------------------------------------------------------------------------------------------------ */

static const struct {
	const struct task *task;
	const char *loss;
} losses[] = {
	{ &noisy, "\"cross_entropy\"" },
	{ &noisy, "{\"type\":\"cross_entropy\",\"weight\":[1,2,0.5],\"label_smoothing\":0.1}" },
	{ &shared_out, "\"cross_entropy\"" },
	{ &shared_out, "\"bce_with_logits\"" },
	{ &binary, "{\"type\":\"bce_with_logits\",\"pos_weight\":[2]}" },
	{ &words, "\"cross_entropy\"" },
	{ &words, "{\"type\":\"cross_entropy\",\"weight\":[1,2,0.5],\"label_smoothing\":0.1}" },
	{ &numbers, "\"mse\"" },
	{ &numbers, "\"l1\"" },
	{ &numbers, "{\"type\":\"l1\",\"reduction\":\"sum\"}" },
	{ &words, "{\"type\":\"nll\",\"weight\":[1,2,0.5],\"reduction\":\"sum\"}" },
	{ &numbers, "{\"type\":\"huber\",\"delta\":0.5}" },
	{ &numbers, "{\"type\":\"smooth_l1\",\"beta\":0.5}" },
};

static const char *const optimizers[] = { "\"sgd\"",
	"{\"type\":\"sgd\",\"momentum\":0.9,\"nesterov\":true,\"lr\":0.05}",
	"{\"type\":\"adam\",\"groups\":[{\"params\":[\"0.*\"],\"lr\":0.02,\"weight_decay\":0.1}]}", "\"adamw\"",
	"{\"type\":\"rmsprop\",\"momentum\":0.5,\"centered\":true}" };

/* Eager, graph, graph on two threads and being asked for everything else that a step can tell: the same bits. */
static void compare_modes(const struct task *task, struct settings s)
{
	struct rig rigs[3];

	for (int i = 0; i < 3; i++) {
		s.graph = i > 0;
		s.threads = i == 2 ? 2 : 1;
		rig_init(&rigs[i], task, &s);
	}
	assert_int_equal(nn_trainer_keep_gradients(rigs[2].trainer, true), TD_OK);
	for (int64_t number = 1; number <= 4; number++) {
		/* Steps of many batches and of one, of full ones and of short ones. */
		int64_t size = s.accumulate == 1 ? SAMPLES : number % 2 ? 5 : SAMPLES;
		struct nn_step_result first = step(&rigs[0], number, size, false), other;

		for (int i = 1; i < 3; i++) {
			if (i == 2)
				evaluate(&rigs[i]);
			other = step(&rigs[i], number, size, i == 2);
			if (memcmp(&first, &other, sizeof first))
				fail_msg("%s %s: step %d of rig %d: loss %.9g, not %.9g; norm %.9g, not %.9g", s.loss,
					s.optimizer, (int)number, i, other.loss, first.loss, other.grad_norm,
					first.grad_norm);
		}
	}
	for (int i = 1; i < 3; i++)
		assert_same_tensors(&rigs[0], &rigs[i], s.loss);
	assert_int_equal(td_ctx_counters(rigs[0].c).recorded, 0);
	assert_int_equal(td_ctx_counters(rigs[1].c).dispatched, 0);
	for (int i = 0; i < 3; i++)
		rig_release(&rigs[i]);
}

static void both_modes_have_the_same_bits_whatever_is_chosen(void **state)
{
	(void)state;
	for (size_t l = 0; l < TD_COUNT(losses); l++)
		for (size_t o = 0; o < TD_COUNT(optimizers); o++)
			for (int i = 0; i < 4; i++)
				compare_modes(losses[l].task, (struct settings){ .loss = losses[l].loss,
								      .optimizer = optimizers[o],
								      .clip_norm = i & 1 ? 0.05 : 0,
								      .clip_value = i & 2 ? 0.01 : 0,
								      .accumulate = i & 2 ? 3 : 1 });
}

/* ---- Many batches are one -------------------------------------------------------------------------------------- */

static void many_small_batches_are_one_large_batch(void **state)
{
	(void)state;
	for (size_t l = 0; l < TD_COUNT(losses); l++) {
		const struct task *task = losses[l].task == &noisy ? &plain : losses[l].task;
		struct settings s = { .loss = losses[l].loss,
			.optimizer = "{\"type\":\"sgd\",\"lr\":0.5,\"momentum\":0.9}",
			.clip_norm = l % 2 ? 0.2 : 0,
			.accumulate = 1,
			.graph = l % 2 };
		struct rig one, many;

		rig_init(&one, task, &s);
		s.accumulate = 5;
		rig_init(&many, task, &s);
		for (int64_t number = 1; number <= 3; number++) {
			struct nn_step_result a = step(&one, number, SAMPLES, true), b = step(&many, number, 5, true);

			assert_int_equal(a.n, b.n);
			assert_near(b.loss, a.loss, 1e-6, s.loss);
			assert_near(b.grad_norm, a.grad_norm, 1e-5, s.loss);
			assert_near(many.answered, one.answered, 1e-5, s.loss);
		}
		assert_near_tensors(&one, &many, 1e-5, s.loss);
		rig_release(&one);
		rig_release(&many);
	}
}

static void targets_that_do_not_count_are_not_counted(void **state)
{
	struct settings s = { .loss = "\"cross_entropy\"", .optimizer = "\"sgd\"", .accumulate = 3 };
	int64_t n = 0;
	struct rig r;

	(void)state;
	rig_init(&r, &words, &s);
	for (int64_t i = 0; i < SAMPLES; i++)
		n += length_of(SAMPLES + i);
	assert_int_equal(step(&r, 1, SAMPLES, false).n, n);
	n = 0;
	for (int64_t i = 0; i < SAMPLES; i++)
		n += length_of(2 * SAMPLES + i);
	assert_int_equal(step(&r, 2, 5, false).n, n);
	rig_release(&r);
}

/* The same samples in each batch; what was answered to each. */
struct echo {
	struct rig *r;
	float first[SAMPLES * CLASSES];
	int n_differ; /* batches that were answered otherwise than the first */
};

static bool same_again(void *arg, int i, struct nn_batch *out)
{
	struct echo *echo = arg;

	(void)i;
	make_batch(echo->r, 0, SAMPLES, out);
	return true;
}

static void compare_with_first(void *arg, int i, const float *answer, const float *each)
{
	struct echo *echo = arg;

	(void)each;
	if (!i)
		memcpy(echo->first, answer, sizeof echo->first);
	echo->n_differ += memcmp(echo->first, answer, sizeof echo->first) != 0;
}

static void each_batch_of_a_step_has_noise_of_its_own(void **state)
{
	(void)state;
	for (int graph = 0; graph < 2; graph++) {
		struct settings s = {
			.loss = "\"cross_entropy\"", .optimizer = "\"sgd\"", .accumulate = 3, .graph = graph
		};
		struct nn_step_result result;
		struct rig noise, none;
		struct echo echo = { .r = &noise };
		struct nn_step three = { .number = 1,
			.factor = 1,
			.n_batches = 3,
			.next = same_again,
			.answered = compare_with_first,
			.arg = &echo };

		rig_init(&noise, &noisy, &s);
		assert_int_equal(nn_trainer_step(noise.trainer, &three, &result), TD_OK);
		assert_int_equal(echo.n_differ, 2);
		rig_init(&none, &plain, &s);
		echo = (struct echo){ .r = &none };
		assert_int_equal(nn_trainer_step(none.trainer, &three, &result), TD_OK);
		assert_int_equal(echo.n_differ, 0);
		rig_release(&noise);
		rig_release(&none);
	}
}

/* ---- Groups ------------------------------------------------------------------------------------------------------ */

/* How far the model's parameter P is from that of STILL, which was not trained. */
static double moved(const struct rig *r, const struct rig *still, int p)
{
	const float *x = td_data(r->model->params[p].value), *y = td_data(still->model->params[p].value);
	double sum = 0;

	for (int64_t k = 0; k < td_shape_count(&r->model->params[p].shape); k++)
		sum += fabs((double)x[k] - (double)y[k]);
	return sum;
}

static void groups_go_by_settings_of_their_own(void **state)
{
	(void)state;
	for (int graph = 0; graph < 2; graph++) {
		struct settings s = { .loss = "\"mse\"", .optimizer = "{\"type\":\"sgd\",\"lr\":0.1}", .graph = graph };
		struct rig still, all, some;

		rig_init(&still, &numbers, &s);
		rig_init(&all, &numbers, &s);
		s.optimizer = "{\"type\":\"sgd\",\"lr\":0.1,\"groups\":[{\"params\":[\"0.weight\"],\"lr\":0},"
			      "{\"params\":[\"0.*\"],\"lr\":0.2},{\"params\":[\"2.weight\"],\"weight_decay\":0.5}]}";
		rig_init(&some, &numbers, &s);
		step(&all, 1, SAMPLES, false);
		step(&some, 1, SAMPLES, false);
		assert_true(moved(&all, &still, 0) > 0 && moved(&some, &still, 0) == 0);
		assert_near(moved(&some, &still, 1), 2 * moved(&all, &still, 1), 1e-5, "twice the learning rate");
		assert_true(fabs(moved(&some, &all, 2)) > 1e-4); /* decayed besides */
		assert_true(moved(&some, &all, 3) == 0);         /* in no group */
		rig_release(&still);
		rig_release(&all);
		rig_release(&some);
	}
}

/* ---- Clipping -------------------------------------------------------------------------------------------------- */

static void a_step_is_no_longer_than_the_clipped_norm(void **state)
{
	(void)state;
	for (int graph = 0; graph < 2; graph++) {
		struct settings s = { .loss = "\"mse\"", .optimizer = "{\"type\":\"sgd\",\"lr\":1}", .graph = graph };
		struct rig still, free_, slow, clipped, loose;
		double norm;

		rig_init(&still, &numbers, &s);
		rig_init(&free_, &numbers, &s);
		rig_init(&slow, &numbers, &s);
		s.clip_norm = 0.01;
		rig_init(&clipped, &numbers, &s);
		s.clip_norm = 1000;
		rig_init(&loose, &numbers, &s);
		norm = step(&free_, 1, SAMPLES, false).grad_norm;
		assert_near(distance(&still, &free_), norm, 1e-5, "a free step");
		norm = step(&slow, 4, SAMPLES, false).grad_norm;
		assert_near(distance(&still, &slow), norm / 4, 1e-5, "a step of a quarter of the learning rate");
		norm = distance(&still, &free_);
		assert_near(step(&clipped, 1, SAMPLES, false).grad_norm, norm, 1e-5, "the norm, told as it was before");
		assert_near(distance(&still, &clipped), 0.01 * norm / (norm + 1e-6), 1e-6, "a clipped step");
		step(&loose, 1, SAMPLES, false);
		assert_near(distance(&free_, &loose), 0, 1e-12, "a step within the bound");
		rig_release(&still);
		rig_release(&free_);
		rig_release(&slow);
		rig_release(&clipped);
		rig_release(&loose);
	}
}

/* ---- Averages ---------------------------------------------------------------------------------------------------- */

static void read_answers(struct rig *r, float answer[SAMPLES * CLASSES])
{
	struct nn_batch batch;

	make_batch(r, 1000, SAMPLES, &batch);
	assert_int_equal(nn_trainer_evaluate(r->trainer, &batch, NULL, answer), TD_OK);
}

/* The first parameter's average is what its definition says, and answers are those of a model that has the averages. */
static void averages_follow_and_are_evaluated(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++) {
		struct settings s = { .loss = "\"cross_entropy\"",
			.optimizer = "\"adam\"",
			.graph = way & 1,
			.accumulate = way & 2 ? 3 : 1,
			.ema_decay = 0.75 };
		struct settings without = s;
		float param[6 * WIDTH], average[6 * WIDTH], want[6 * WIDTH], answer[SAMPLES * CLASSES],
			other[SAMPLES * CLASSES];
		struct rig r, bare;

		without.ema_decay = 0;
		rig_init(&r, &plain, &s);
		rig_init(&bare, &plain, &without);
		for (int64_t k = 1; k <= 4; k++) {
			step(&r, k, way & 2 ? 5 : SAMPLES, false);
			td_read(r.model->params[0].value, param);
			td_read(nn_trainer_weight(r.trainer, 0), average);
			for (int64_t i = 0; i < td_shape_count(&r.model->params[0].shape); i++) {
				want[i] = k == 1 ? param[i] : 0.75f * want[i] + 0.25f * param[i];
				assert_true(average[i] == want[i]);
			}
		}
		assert_memory_not_equal(param, average, sizeof(float) * 4);
		for (int p = 0; p < r.model->n_params; p++)
			memcpy(td_data(bare.model->params[p].value), td_data(nn_trainer_weight(r.trainer, p)),
				td_shape_bytes(&r.model->params[p].shape));
		read_answers(&r, answer);
		read_answers(&bare, other);
		assert_memory_equal(answer, other, sizeof answer);
		td_read(r.model->params[0].value, average);
		assert_memory_equal(param, average, sizeof(float) * 4); /* the training goes on with its own */
		rig_release(&r);
		rig_release(&bare);
	}
}

/* ---- What a step does not touch -------------------------------------------------------------------------------- */

static void frozen_parameters_and_buffers_keep_out(void **state)
{
	(void)state;
	for (int graph = 0; graph < 2; graph++) {
		struct settings s = {
			.loss = "\"cross_entropy\"", .optimizer = "\"adam\"", .graph = graph, .freeze = "0.*"
		};
		float before[6 * WIDTH], after[6 * WIDTH], mean[6], room[6 * WIDTH];
		struct listing l = { 0 };
		int buffers = 0, states = 0;
		struct rig r;

		rig_init(&r, &noisy, &s);
		td_read(r.model->params[0].value, before);
		assert_int_equal(nn_trainer_keep_gradients(r.trainer, true), TD_OK);
		step(&r, 1, SAMPLES, false);
		td_read(r.model->params[0].value, after);
		assert_memory_equal(before, after, sizeof before);
		nn_trainer_tensors(r.trainer, list_one, &l);
		for (int i = 0; i < l.n; i++) {
			states += !strncmp(l.items[i].name, "optimizer.", 10);
			assert_null(strstr(l.items[i].name, "optimizer.0."));
			assert_null(strstr(l.items[i].name, "running_mean.exp_avg"));
			if (!strcmp(l.items[i].name, "model.1.running_mean")) {
				td_read(l.items[i].value, mean);
				assert_true(mean[0] != 0);
				evaluate(&r); /* looks at the running means, and leaves them alone */
				td_read(l.items[i].value, after);
				assert_memory_equal(mean, after, sizeof mean);
				buffers++;
			}
		}
		assert_int_equal(buffers, 1);
		assert_int_equal(states, 2 * 4); /* weight and bias of the norm and of the last layer */
		assert_int_equal(nn_trainer_gradient(r.trainer, 0, room), TD_NOT_FOUND);
		rig_release(&r);
	}
}

static void gradients_are_kept_as_they_were_before_clipping(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct settings s = { .loss = "\"mse\"",
			.optimizer = "{\"type\":\"sgd\",\"lr\":0}",
			.clip_norm = 1e-3,
			.accumulate = 5,
			.graph = i & 1 };
		struct nn_step_result result;
		double sum = 0;
		float room[64];
		struct rig r;

		rig_init(&r, &numbers, &s);
		step(&r, 1, i & 2 ? 5 : SAMPLES, false);
		assert_int_equal(nn_trainer_gradient(r.trainer, 0, room), TD_NOT_FOUND); /* nobody had asked */
		assert_int_equal(nn_trainer_keep_gradients(r.trainer, true), TD_OK);
		result = step(&r, 2, i & 2 ? 5 : SAMPLES, false);
		for (int p = 0; p < r.model->n_params; p++) {
			assert_int_equal(nn_trainer_gradient(r.trainer, p, room), TD_OK);
			for (int64_t k = 0; k < td_shape_count(&r.model->params[p].shape); k++)
				sum += (double)room[k] * (double)room[k];
		}
		assert_near(sqrt(sum), result.grad_norm, 1e-6, "the norm of what was kept");
		nn_trainer_keep_gradients(r.trainer, false);
		step(&r, 3, SAMPLES, false);
		assert_int_equal(nn_trainer_gradient(r.trainer, 0, room), TD_NOT_FOUND);
		rig_release(&r);
	}
}

static void a_batch_that_does_not_come_ends_the_step(void **state)
{
	struct settings s = { .loss = "\"cross_entropy\"", .optimizer = "\"adam\"", .accumulate = 3, .graph = true };
	struct nn_step_result result;
	struct rig a, b;

	(void)state;
	rig_init(&a, &plain, &s);
	rig_init(&b, &plain, &s);
	for (int at = 0; at < 3; at++) {
		a.give_up_at = at;
		assert_int_equal(try_step(&a, 1, 5, false, &result), TD_CANCELLED);
		assert_int_equal(td_error(a.c)->status, TD_OK);
	}
	assert_same_tensors(&a, &b, "a step that was given up");
	a.give_up_at = -1;
	step(&a, 1, 5, false); /* and nothing of it is left */
	step(&b, 1, 5, false);
	assert_same_tensors(&a, &b, "the step after");
	rig_release(&a);
	rig_release(&b);
}

static void what_diverges_goes_on(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct settings s = { .loss = "\"mse\"",
			.optimizer = "{\"type\":\"sgd\",\"lr\":100000}",
			.clip_norm = i & 2 ? 1e30 : 0,
			.graph = i & 1 };
		struct nn_step_result result = { 0 };
		struct rig r;

		rig_init(&r, &straight, &s);
		for (int64_t number = 1; number <= 20; number++)
			result = step(&r, number, SAMPLES, true);
		assert_false(isfinite(result.loss));
		rig_release(&r);
	}
}

/* ---- Checkpoints ----------------------------------------------------------------------------------------------- */

static void tensors_have_the_names_and_order_of_checkpoints(void **state)
{
	static const char *const names[] = { "model.0.weight", "model.0.bias", "model.2.weight", "model.2.bias",
		"optimizer.0.weight.exp_avg", "optimizer.0.weight.exp_avg_sq", "optimizer.0.bias.exp_avg",
		"optimizer.0.bias.exp_avg_sq", "optimizer.2.weight.exp_avg", "optimizer.2.weight.exp_avg_sq",
		"optimizer.2.bias.exp_avg", "optimizer.2.bias.exp_avg_sq" };
	struct settings s = { .loss = "\"cross_entropy\"", .optimizer = "\"adam\"" };
	struct listing l = { 0 };
	struct rig r;

	(void)state;
	rig_init(&r, &plain, &s);
	nn_trainer_tensors(r.trainer, list_one, &l);
	assert_int_equal(l.n, TD_COUNT(names));
	for (int i = 0; i < l.n; i++)
		assert_string_equal(l.items[i].name, names[i]);
	rig_release(&r);
}

static void copy_tensors(struct rig *from, struct rig *to)
{
	struct listing a = { 0 }, b = { 0 };

	nn_trainer_tensors(from->trainer, list_one, &a);
	nn_trainer_tensors(to->trainer, list_one, &b);
	for (int i = 0; i < a.n; i++) {
		void *bytes = mem_alloc(td_shape_bytes(td_shape_of(a.items[i].value)));
		td_read(a.items[i].value, bytes);
		td_write(b.items[i].value, bytes);
		mem_free(bytes);
	}
}

/* With dropout, running means, accumulation, clipping, momentum and averages, in the other mode, on another number of
 * threads. */
static void a_training_that_goes_on_elsewhere_has_the_same_bits(void **state)
{
	struct settings s = { .loss = "\"cross_entropy\"",
		.optimizer = "{\"type\":\"rmsprop\",\"momentum\":0.9}",
		.clip_norm = 0.5,
		.clip_value = 0.05,
		.ema_decay = 0.9,
		.accumulate = 3,
		.graph = true };
	struct rig whole, second;

	(void)state;
	rig_init(&whole, &noisy, &s);
	s.graph = false;
	s.threads = 2;
	rig_init(&second, &noisy, &s);
	for (int64_t number = 1; number <= 3; number++)
		step(&whole, number, 5, true);
	copy_tensors(&whole, &second);
	for (int64_t number = 4; number <= 6; number++) {
		step(&whole, number, 5, true);
		step(&second, number, 5, true);
	}
	assert_same_tensors(&whole, &second, "the second half");
	rig_release(&whole);
	rig_release(&second);
}

/* ---- Drawing --------------------------------------------------------------------------------------------------- */

static void count_nodes(void *arg, const td_node_view *node)
{
	int *n = arg;

	n[0]++;
	n[1] += node->op && strstr(node->op, "adam_update") != NULL;
}

static void a_step_can_be_drawn_in_both_modes(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct settings s = { .loss = "\"cross_entropy\"", .optimizer = "\"adam\"", .graph = i & 1 };
		struct err e = { 0 };
		struct nn_batch batch;
		int n[2] = { 0 };
		struct rig r;

		rig_init(&r, &words, &s);
		if (i & 2)
			step(&r, 1, SAMPLES, true);
		make_batch(&r, 0, SAMPLES, &batch);
		assert_int_equal(nn_trainer_draw(r.trainer, &batch, count_nodes, n, &e), TD_OK);
		assert_true(n[0] > 10 && n[1] >= 6);
		rig_release(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_modes_have_the_same_bits_whatever_is_chosen),
		cmocka_unit_test(many_small_batches_are_one_large_batch),
		cmocka_unit_test(targets_that_do_not_count_are_not_counted),
		cmocka_unit_test(each_batch_of_a_step_has_noise_of_its_own),
		cmocka_unit_test(groups_go_by_settings_of_their_own),
		cmocka_unit_test(a_step_is_no_longer_than_the_clipped_norm),
		cmocka_unit_test(averages_follow_and_are_evaluated),
		cmocka_unit_test(frozen_parameters_and_buffers_keep_out),
		cmocka_unit_test(gradients_are_kept_as_they_were_before_clipping),
		cmocka_unit_test(a_batch_that_does_not_come_ends_the_step),
		cmocka_unit_test(what_diverges_goes_on),
		cmocka_unit_test(tensors_have_the_names_and_order_of_checkpoints),
		cmocka_unit_test(a_training_that_goes_on_elsewhere_has_the_same_bits),
		cmocka_unit_test(a_step_can_be_drawn_in_both_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
