/* What a job says about its training beside optimizer and schedule, as a step obeys it. */
#include "trainer_rig.h"
#include "worker/spec.h"

/* ---- Targets that do not count ----------------------------------------------------------------------------------- */

/* Batches of words; from GIVE_UP_AT on they are padding alone. */
static bool words_then_padding(void *arg, int i, struct nn_batch *out)
{
	static const int64_t none[SAMPLES * STEPS] = { [0 ... SAMPLES * STEPS - 1] = DATA_IGNORE };
	struct rig *r = arg;

	make_batch(r, i * SAMPLES, SAMPLES, out);
	if (i >= r->give_up_at)
		td_write(out->y, none);
	return true;
}

static struct nn_step_result padded_step(struct rig *r, int n_batches, int n_words)
{
	struct nn_step_result result;

	r->give_up_at = n_words;
	assert_int_equal(nn_trainer_step(r->trainer,
				 &(struct nn_step){ .number = 1,
					 .factor = 1,
					 .n_batches = n_batches,
					 .next = words_then_padding,
					 .arg = r },
				 &result),
		TD_OK);
	return result;
}

static void a_batch_of_padding_alone_changes_nothing(void **state)
{
	(void)state;
	for (int graph = 0; graph < 2; graph++) {
		struct settings s = {
			.loss = "\"cross_entropy\"", .optimizer = "\"sgd\"", .accumulate = 3, .graph = graph
		};
		float before[7 * 4];
		struct nn_step_result a, b;
		struct rig two, three, none;

		rig_init(&two, &words, &s);
		rig_init(&three, &words, &s);
		a = padded_step(&two, 2, 2);
		b = padded_step(&three, 3, 2);
		assert_true(a.loss > 0 && a.loss == b.loss && a.n == b.n && a.grad_norm == b.grad_norm);
		assert_same_tensors(&two, &three, "with a batch of padding more");
		for (int n_batches = 1; n_batches < 4; n_batches++) {
			rig_init(&none, &words, &s);
			td_read(none.model->params[0].value, before);
			a = padded_step(&none, n_batches, 0);
			assert_true(a.loss == 0 && a.grad_norm == 0 && a.n == 0);
			assert_memory_equal(td_data(none.model->params[0].value), before,
				td_shape_bytes(&none.model->params[0].shape));
			rig_release(&none);
		}
		rig_release(&two);
		rig_release(&three);
	}
}

static void count_warning(void *arg, const td_warning *w)
{
	assert_string_equal(w->code, "logits_as_probabilities");
	assert_string_equal(w->layer, "2");
	assert_non_null(strstr(w->text, "end with \"softmax\""));
	++*(int *)arg;
}

static void outputs_that_are_no_probabilities_are_told(void **state)
{
	(void)state;
	for (int graph = 0; graph < 2; graph++) {
		struct settings s = { .loss = "{\"type\":\"cross_entropy\",\"from_probabilities\":true}",
			.optimizer = "\"sgd\"",
			.graph = graph };
		int n = 0;
		struct rig r;

		rig_init(&r, &plain, &s);
		td_on_warning(r.c, count_warning, &n);
		step(&r, 1, SAMPLES, false);
		step(&r, 2, SAMPLES, false);
		assert_int_equal(n, 1);
		rig_release(&r);
	}
}

static void they_are_told_before_anything_is_allocated(void **state)
{
	struct settings s = { .loss = "{\"type\":\"cross_entropy\",\"from_probabilities\":true}",
		.optimizer = "\"sgd\"" };
	struct nn_rehearsal rehearsal;
	struct err e = { 0 };
	int n = 0;
	struct rig r;

	(void)state;
	rig_init(&r, &plain, &s);
	rehearsal = (struct nn_rehearsal){
		.model = r.model, .loss = &r.loss.choice, .facts = &r.facts, .warn = count_warning, .arg = &n
	};
	nn_trainer_free(r.trainer);
	r.trainer = NULL;
	assert_int_equal(nn_rehearse(&rehearsal, &e), TD_OK);
	assert_int_equal(n, 1);
	rig_release(&r);
}

/* ---- What a loss is reduced to ----------------------------------------------------------------------------------- */

static const char sum_of[] = "{\"type\":\"cross_entropy\",\"weight\":[1,2,0.5],\"reduction\":\"sum\"}",
		  mean_of[] = "{\"type\":\"cross_entropy\",\"weight\":[1,2,0.5]}";

/* SIZE: of a step's batches. */
static void compare_reductions(bool graph, int64_t size)
{
	struct settings s = {
		.loss = mean_of, .optimizer = "{\"type\":\"sgd\",\"lr\":1}", .accumulate = 3, .graph = graph
	};
	struct nn_step_result a, b;
	struct rig still, mean, sum;
	double weight;

	rig_init(&still, &words, &s);
	rig_init(&mean, &words, &s);
	s.loss = sum_of;
	rig_init(&sum, &words, &s);
	a = step(&mean, 1, size, false);
	b = step(&sum, 1, size, false);
	assert_true(a.loss == b.loss && a.n == b.n); /* the series has means */
	weight = b.grad_norm / a.grad_norm;
	assert_true(weight > 10 && weight < 2 * (double)a.n);
	for (int i = 0; i < sum.model->n_params; i++) {
		const float *x = td_data(still.model->params[i].value), *y = td_data(mean.model->params[i].value),
			    *z = td_data(sum.model->params[i].value);

		for (int64_t k = 0; k < td_shape_count(&sum.model->params[i].shape); k++)
			assert_near((double)z[k] - (double)x[k], weight * ((double)y[k] - (double)x[k]), 1e-5, sum_of);
	}
	rig_release(&still);
	rig_release(&mean);
	rig_release(&sum);
}

static void gradients_of_a_sum_are_as_much_larger_as_targets_weigh(void **state)
{
	(void)state;
	for (int way = 0; way < 4; way++)
		compare_reductions(way & 1, way & 2 ? 5 : SAMPLES);
}

/* ---- Clipping by value ------------------------------------------------------------------------------------------- */

/* After one step of plain descent the parameters have moved by the gradients as they were used. */
static void compare_clipping(struct settings s, int64_t size)
{
	struct settings bare = s;
	struct rig still, free_, clipped;
	double scale = 1, norm;
	int n_clipped = 0;

	bare.clip_norm = bare.clip_value = 0;
	rig_init(&still, &numbers, &bare);
	rig_init(&free_, &numbers, &bare);
	rig_init(&clipped, &numbers, &s);
	norm = step(&free_, 1, size, false).grad_norm;
	assert_true(step(&clipped, 1, size, false).grad_norm == norm); /* told as it was before */
	if (s.clip_norm > 0)
		scale = fmin(s.clip_norm / (norm + 1e-6), 1);
	for (int i = 0; i < still.model->n_params; i++) {
		const float *x = td_data(still.model->params[i].value), *y = td_data(free_.model->params[i].value),
			    *z = td_data(clipped.model->params[i].value);

		for (int64_t k = 0; k < td_shape_count(&still.model->params[i].shape); k++) {
			double g = scale * ((double)x[k] - (double)y[k]),
			       used = fmax(fmin(g, s.clip_value), -s.clip_value);

			n_clipped += g != used;
			assert_near((double)x[k] - (double)z[k], used, 1e-6, "a gradient between the bounds");
		}
	}
	assert_true(n_clipped > 3);
	rig_release(&still);
	rig_release(&free_);
	rig_release(&clipped);
}

static void no_gradient_is_beyond_the_clipped_value(void **state)
{
	(void)state;
	for (int way = 0; way < 8; way++)
		compare_clipping((struct settings){ .loss = "\"mse\"",
					 .optimizer = "{\"type\":\"sgd\",\"lr\":1}",
					 .clip_norm = way & 1 ? 0.2 : 0, /* first */
					 .clip_value = 0.02,
					 .accumulate = 3,
					 .graph = way & 2 },
			way & 4 ? 5 : SAMPLES);
}

/* ---- A momentum that moves --------------------------------------------------------------------------------------- */

/* One that is the same at every step is the option of that value, to the bit; another is not; in both modes. */
static void the_momentum_of_a_step_stands_for_the_optimizers(void **state)
{
	static const char *const rows[][2] = {
		{ "{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.875,\"nesterov\":true,\"weight_decay\":0.01}",
			"{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.5,\"nesterov\":true,\"weight_decay\":0.01}" },
		{ "{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.875,\"form\":\"keras\"}",
			"{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.5,\"form\":\"keras\"}" },
		{ "{\"type\":\"adam\",\"betas\":[0.875,0.99],\"amsgrad\":true}",
			"{\"type\":\"adam\",\"betas\":[0.5,0.99],\"amsgrad\":true}" },
		{ "{\"type\":\"adamw\",\"betas\":[0.875,0.99]}", "{\"type\":\"adamw\",\"betas\":[0.5,0.99]}" },
	};

	(void)state;
	for (size_t i = 0; i < 4 * TD_COUNT(rows); i++) {
		struct settings s = {
			.loss = "\"cross_entropy\"", .optimizer = rows[i / 4][0], .accumulate = 3, .graph = i & 1
		};
		int64_t size = i & 2 ? 5 : SAMPLES;
		struct rig fixed, moved;

		rig_init(&fixed, &noisy, &s);
		s.optimizer = rows[i / 4][1];
		s.momentum = 0.875;
		s.graph = !s.graph;
		rig_init(&moved, &noisy, &s);
		for (int64_t number = 1; number <= 3; number++) {
			step(&fixed, number, size, false);
			step(&moved, number, size, false);
		}
		assert_same_tensors(&fixed, &moved, rows[i / 4][0]);
		moved.momentum = 0.25;
		step(&fixed, 4, size, false);
		step(&moved, 4, size, false);
		assert_true(distance(&fixed, &moved) > 1e-6);
		rig_release(&fixed);
		rig_release(&moved);
	}
}

/* ---- Batch norm that stays as it is ------------------------------------------------------------------------------ */

/* LAYER is trained for two steps; what it runs with has moved or not, and so have its weights. */
static void see_what_moves(const char *layer, bool graph, bool weights, bool statistics)
{
	char *model = mem_printf("{\"layers\":[{\"type\":\"linear\",\"out_features\":6},%s,\"relu\","
				 "{\"type\":\"linear\",\"out_features\":3}]}",
		layer);
	struct task task = { model, DATA_CLASS, false };
	struct settings s = { .loss = "\"cross_entropy\"",
		.optimizer = "{\"type\":\"sgd\",\"lr\":0.1}",
		.graph = graph,
		.freeze = weights ? NULL : "1.*" };
	struct rig r, still;

	if (strstr(layer, "frozen"))
		s.freeze = NULL;
	rig_init(&still, &task, &s);
	rig_init(&r, &task, &s);
	step(&r, 1, SAMPLES, false);
	step(&r, 2, SAMPLES, false);
	assert_int_equal(r.model->n_params, 8);
	for (int i = 0; i < r.model->n_params; i++) {
		const struct nn_param *p = &r.model->params[i];
		bool moved = memcmp(td_data(p->value), td_data(still.model->params[i].value),
				     td_shape_bytes(&p->shape)) != 0;
		bool wanted = strstr(p->name, "running") ? statistics : weights;

		if (p->name[0] == '1' && moved != wanted)
			fail_msg("%s: %s has %s", layer, p->name, moved ? "moved" : "stayed");
	}
	rig_release(&r);
	rig_release(&still);
	mem_free(model);
}

static void a_frozen_batch_norm_keeps_its_statistics_where_that_is_meant(void **state)
{
	static const struct {
		const char *layer;
		bool weights, statistics;
	} rows[] = {
		{ "\"batch_norm1d\"", true, true },
		{ "\"batch_norm1d\"", false, true }, /* torch: requires_grad alone */
		{ "{\"type\":\"batch_norm\",\"freeze_statistics\":true}", true, true },
		{ "{\"type\":\"batch_norm\",\"freeze_statistics\":true}", false, false }, /* Keras: trainable = False */
		{ "{\"type\":\"batch_norm\",\"frozen\":true}", false, false },
	};

	(void)state;
	for (size_t i = 0; i < 2 * TD_COUNT(rows); i++)
		see_what_moves(rows[i / 2].layer, i % 2, rows[i / 2].weights, rows[i / 2].statistics);
}

/* ---- Averages ---------------------------------------------------------------------------------------------------- */

#define JOB "\"data\":{\"dataset\":\"fashion-mnist\"},\"model\":{\"layers\":[\"flatten\"]},\"loss\":\"cross_entropy\","

/* torch.optim.swa_utils.get_ema_multi_avg_fn, and ema_momentum of keras.optimizers. */
static void averages_decay_as_the_framework_has_them(void **state)
{
	static const struct {
		const char *text;
		double decay;
	} rows[] = {
		{ "{" JOB "\"train\":{\"epochs\":1,\"ema\":{}}}", 0.999 },
		{ "{" JOB "\"defaults\":\"keras\",\"train\":{\"epochs\":1,\"ema\":{}}}", 0.99 },
		{ "{" JOB "\"defaults\":\"keras\",\"train\":{\"epochs\":1}}", 0 },
		{ "{" JOB "\"train\":{\"epochs\":1,\"ema\":{\"decay\":0.5}}}", 0.5 },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		cJSON *document = cJSON_Parse(rows[i].text);
		struct faults faults;
		struct spec s;

		faults_init(&faults);
		spec_read(document, &s, &faults);
		assert_int_equal(faults.n_found, 0);
		assert_true(s.train.ema.decay == rows[i].decay);
		spec_release(&s);
		faults_release(&faults);
		cJSON_Delete(document);
	}
}

static void what_a_stored_spec_does_not_say_is_as_it_was_whatever_its_defaults(void **state)
{
	cJSON *document = cJSON_Parse("{\"data\":{\"dataset\":\"fashion-mnist\"},"
				      "\"model\":{\"layers\":[\"flatten\",{\"type\":\"linear\",\"out_features\":10}]},"
				      "\"loss\":\"cross_entropy\",\"defaults\":\"keras\"}");
	struct faults faults;
	struct spec posted, stored;

	(void)state;
	faults_init(&faults);
	spec_read(document, &posted, &faults);
	spec_read_stored(document, &stored, &faults);
	assert_int_equal(faults.n_found, 0);
	assert_int_equal(((const struct nn_optimizer_options *)posted.optimizer.options)->form, NN_FORM_KERAS);
	assert_int_equal(((const struct nn_optimizer_options *)stored.optimizer.options)->form, NN_FORM_PYTORCH);
	spec_release(&posted);
	spec_release(&stored);
	faults_release(&faults);
	cJSON_Delete(document);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_of_padding_alone_changes_nothing),
		cmocka_unit_test(outputs_that_are_no_probabilities_are_told),
		cmocka_unit_test(they_are_told_before_anything_is_allocated),
		cmocka_unit_test(gradients_of_a_sum_are_as_much_larger_as_targets_weigh),
		cmocka_unit_test(no_gradient_is_beyond_the_clipped_value),
		cmocka_unit_test(the_momentum_of_a_step_stands_for_the_optimizers),
		cmocka_unit_test(a_frozen_batch_norm_keeps_its_statistics_where_that_is_meant),
		cmocka_unit_test(averages_decay_as_the_framework_has_them),
		cmocka_unit_test(what_a_stored_spec_does_not_say_is_as_it_was_whatever_its_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
