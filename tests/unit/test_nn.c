/* Initialisers, optimizers and the trainer: against definitions written out by hand, and against themselves in the
 * other mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nn/nn.h"

/* ---- A model and its trainer from JSON ------------------------------------------------------------------------- */

struct parts {
	struct opt_choices layers, metrics;
	struct opt_choice loss, optimizer;
};

static const struct opt parts_opts[] = {
	{ .name = "layers",
		.kind = OPT_CHOICES,
		.at = offsetof(struct parts, layers),
		.required = true,
		.least = 1,
		.most = 99,
		.family = &nn_layers,
		.doc = "" },
	{ .name = "metrics",
		.kind = OPT_CHOICES,
		.at = offsetof(struct parts, metrics),
		.value = "[\"accuracy\"]",
		.most = NN_METRICS_MOST,
		.family = &nn_metrics,
		.doc = "" },
	{ .name = "loss",
		.kind = OPT_CHOICE,
		.at = offsetof(struct parts, loss),
		.value = "\"cross_entropy\"",
		.family = &nn_losses,
		.doc = "" },
	{ .name = "optimizer",
		.kind = OPT_CHOICE,
		.at = offsetof(struct parts, optimizer),
		.value = "\"adam\"",
		.family = &nn_optimizers,
		.doc = "" },
};
static const struct opt_type parts_type = {
	.name = "parts", .options = parts_opts, .n_options = TD_COUNT(parts_opts), .n_bytes = sizeof(struct parts)
};

struct rig {
	struct arena arena;
	struct faults faults;
	struct parts parts;
	td_ctx *c;
	struct nn_model *model;
	struct nn_trainer *trainer;
	td_shape in;
};

static void rig_init(struct rig *r, const char *text, td_shape in, bool graph, int threads)
{
	cJSON *document = cJSON_Parse(text);

	assert_non_null(document);
	*r = (struct rig){ .in = in, .c = td_ctx_create(&(td_ctx_options){ .threads = threads, .seed = 7 }) };
	arena_init(&r->arena);
	faults_init(&r->faults);
	opt_read(&parts_type, document, "", &r->parts, &r->arena, &r->faults);
	r->model = r->faults.n_found ? NULL : nn_model_create(&r->parts.layers, &in, &r->faults);
	if (!r->model)
		fail_msg("%s: %s", r->faults.items[0].pointer, r->faults.items[0].detail);
	assert_int_equal(nn_model_allocate(r->model, r->c, 7), TD_OK);
	r->trainer = nn_trainer_create(&(struct nn_trainer_options){ .c = r->c,
		.model = r->model,
		.loss = r->parts.loss,
		.optimizer = r->parts.optimizer,
		.metrics = r->parts.metrics,
		.graph = graph });
	assert_non_null(r->trainer);
	cJSON_Delete(document);
}

static void rig_release(struct rig *r)
{
	nn_trainer_free(r->trainer);
	nn_model_free(r->model);
	td_ctx_free(r->c);
	arena_release(&r->arena);
	faults_release(&r->faults);
}

/* Inputs and labels of batch NUMBER with N samples: any numbers, always the same. */
static void make_batch(struct rig *r, int64_t number, int64_t n, td_value **x, td_value **labels)
{
	struct rng_key key = { .seed = 99, .stream = 1, .step = (uint32_t)number };
	td_shape shape = r->in, flat = td_shape_make(TD_I64, 1, n);
	int64_t count, *y = MEM_NEW_N(int64_t, n);
	float *data;

	shape.dim[0] = n;
	count = td_shape_count(&shape);
	data = MEM_NEW_N(float, count);
	for (int64_t i = 0; i < count; i++)
		data[i] = 2 * rng_unit(rng_u32(&key, (uint64_t)i)) - 1;
	for (int64_t i = 0; i < n; i++)
		y[i] = data[i * (count / n)] > 0 ? 1 : (i + number) % 3 == 0 ? 2 : 0;
	*x = td_tensor(r->c, &shape, data);
	*labels = td_tensor(r->c, &flat, y);
	mem_free(data);
	mem_free(y);
}

static struct nn_step_result step(struct rig *r, int64_t number)
{
	struct nn_step_result result = { 0 };
	td_value *x, *labels;

	make_batch(r, number, number % 3 == 0 ? 3 : 8, &x, &labels); /* every third batch is short */
	if (nn_trainer_step(r->trainer, number, x, labels, &result))
		fail_msg("step %d: %s", (int)number, td_error(r->c)->text);
	td_unref(x);
	td_unref(labels);
	return result;
}

static void evaluate(struct rig *r)
{
	float losses[8], probabilities[8 * 3];
	int64_t predictions[8];
	td_value *x, *labels;

	make_batch(r, 1000, 8, &x, &labels);
	assert_int_equal(nn_trainer_evaluate(r->trainer, x, labels, losses, predictions, probabilities), TD_OK);
	for (int i = 0; i < 8; i++) {
		float sum = 0;
		for (int k = 0; k < 3; k++) {
			assert_true(probabilities[3 * i + k] <= probabilities[3 * i + predictions[i]]);
			sum += probabilities[3 * i + k];
		}
		assert_true(fabsf(sum - 1) < 1e-6f && losses[i] > 0);
	}
	td_unref(x);
	td_unref(labels);
}

static void assert_same_weights(const struct rig *a, const struct rig *b)
{
	for (int i = 0; i < a->model->n_params; i++) {
		size_t n = td_shape_bytes(&a->model->params[i].shape);
		assert_memory_equal(td_data(a->model->params[i].value), td_data(b->model->params[i].value), n);
	}
}

/* ---- Equality -------------------------------------------------------------------------------------------------- */

#define CNN                                                                                                            \
	"{\"layers\":[{\"type\":\"conv2d\",\"out_channels\":5,\"kernel_size\":3,\"padding\":1},\"relu\","              \
	"{\"type\":\"max_pool2d\",\"kernel_size\":2},\"flatten\",{\"type\":\"dropout\",\"p\":0.3},"                    \
	"{\"type\":\"linear\",\"out_features\":3}],\"optimizer\":{\"type\":\"%s\",\"lr\":0.05%s}}"

static void both_modes_and_any_threads_give_the_same_bits(void **state)
{
	static const char *const optimizers[][2] = { { "adam", "" }, { "sgd", "" },
		{ "sgd", ",\"momentum\":0.9,\"nesterov\":true" },
		{ "sgd", ",\"momentum\":0.9,\"dampening\":0.5,\"weight_decay\":0.1" } };
	td_shape in = td_shape_make(TD_F32, 4, 8, 2, 9, 7);

	(void)state;
	for (size_t k = 0; k < TD_COUNT(optimizers); k++) {
		char *text = mem_printf(CNN, optimizers[k][0], optimizers[k][1]);
		struct rig rigs[4];

		for (int i = 0; i < 4; i++)
			rig_init(&rigs[i], text, in, i & 1, i & 2 ? 2 : 1);
		for (int64_t number = 1; number <= 7; number++) {
			struct nn_step_result first = step(&rigs[0], number);
			for (int i = 1; i < 4; i++) {
				struct nn_step_result other;
				if (i == 3)
					evaluate(&rigs[i]); /* evaluations in between change nothing */
				other = step(&rigs[i], number);
				assert_memory_equal(&first.loss, &other.loss, sizeof first.loss);
				assert_memory_equal(&first.grad_norm, &other.grad_norm, sizeof first.grad_norm);
				assert_memory_equal(first.metric, other.metric, sizeof first.metric);
			}
		}
		for (int i = 1; i < 4; i++)
			assert_same_weights(&rigs[0], &rigs[i]);
		assert_int_equal(td_ctx_counters(rigs[0].c).plans, 0);
		assert_int_equal(td_ctx_counters(rigs[0].c).recorded, 0);
		assert_int_equal(td_ctx_counters(rigs[1].c).dispatched, 0);
		assert_int_equal(td_ctx_counters(rigs[1].c).plans, 1);
		for (int i = 0; i < 4; i++)
			rig_release(&rigs[i]);
		mem_free(text);
	}
}

static void a_training_that_goes_on_elsewhere_has_the_same_bits(void **state)
{
	td_shape in = td_shape_make(TD_F32, 4, 8, 2, 9, 7);
	char *text = mem_printf(CNN, "adam", ""), name[NN_NAME];
	struct rig whole, first, second;

	(void)state;
	rig_init(&whole, text, in, true, 1);
	rig_init(&first, text, in, true, 1);
	rig_init(&second, text, in, false, 2);
	for (int64_t number = 1; number <= 6; number++)
		step(&whole, number);
	for (int64_t number = 1; number <= 3; number++)
		step(&first, number);
	for (int i = 0; i < first.model->n_params; i++) {
		float *copy = mem_alloc(td_shape_bytes(&first.model->params[i].shape));
		td_read(first.model->params[i].value, copy);
		td_write(second.model->params[i].value, copy);
		for (int k = 0; k < 2; k++) {
			td_read(first.trainer->state[2 * i + k], copy);
			td_write(second.trainer->state[2 * i + k], copy);
		}
		mem_free(copy);
	}
	for (int64_t number = 4; number <= 6; number++)
		step(&second, number);
	assert_same_weights(&whole, &second);
	nn_trainer_state_name(whole.trainer, 0, 1, name);
	assert_string_equal(name, "0.weight.exp_avg_sq");
	rig_release(&whole);
	rig_release(&first);
	rig_release(&second);
	mem_free(text);
}

/* ---- Optimizers against their definitions ---------------------------------------------------------------------- */

#define N_IN  3
#define N_OUT 2

/* d(mean cross entropy)/d(W) of a linear layer without bias, W [out, in], in double. */
static void reference_gradient(const double w[N_OUT * N_IN], const float *x, const int64_t *y, int64_t n, double *g)
{
	memset(g, 0, sizeof *g * N_OUT * N_IN);
	for (int64_t i = 0; i < n; i++) {
		double z[N_OUT] = { 0 }, sum = 0;
		for (int o = 0; o < N_OUT; o++) {
			for (int k = 0; k < N_IN; k++)
				z[o] += w[o * N_IN + k] * (double)x[i * N_IN + k];
			sum += exp(z[o]);
		}
		for (int o = 0; o < N_OUT; o++)
			for (int k = 0; k < N_IN; k++)
				g[o * N_IN + k] +=
					(exp(z[o]) / sum - (y[i] == o)) * (double)x[i * N_IN + k] / (double)n;
	}
}

/* torch.optim.SGD as its documentation writes it. */
static void reference_sgd(double *w, double *g, double *buffer, int t, double lr, double momentum, double dampening,
	double decay, bool nesterov)
{
	for (int i = 0; i < N_OUT * N_IN; i++) {
		g[i] += decay * w[i];
		if (momentum != 0) {
			buffer[i] = t > 1 ? momentum * buffer[i] + (1 - dampening) * g[i] : g[i];
			g[i] = nesterov ? g[i] + momentum * buffer[i] : buffer[i];
		}
		w[i] -= lr * g[i];
	}
}

/* torch.optim.Adam likewise. */
static void reference_adam(
	double *w, double *g, double *m, double *v, int t, double lr, double b1, double b2, double eps, double decay)
{
	for (int i = 0; i < N_OUT * N_IN; i++) {
		g[i] += decay * w[i];
		m[i] = b1 * m[i] + (1 - b1) * g[i];
		v[i] = b2 * v[i] + (1 - b2) * g[i] * g[i];
		w[i] -= lr * (m[i] / (1 - pow(b1, t))) / (sqrt(v[i] / (1 - pow(b2, t))) + eps);
	}
}

static void optimizers_follow_their_definitions(void **state)
{
	static const struct {
		const char *text;
		bool adam;
		double lr, a, b, eps, decay; /* A, B: momentum and dampening, or the betas */
		bool nesterov;
	} rows[] = {
		{ "{\"type\":\"sgd\",\"lr\":0.5}", false, 0.5, 0, 0, 0, 0, false },
		{ "{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.9}", false, 0.1, 0.9, 0, 0, 0, false },
		{ "{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.9,\"dampening\":0.4}", false, 0.1, 0.9, 0.4, 0, 0,
			false },
		{ "{\"type\":\"sgd\",\"lr\":0.1,\"momentum\":0.8,\"nesterov\":true,\"weight_decay\":0.3}", false, 0.1,
			0.8, 0, 0, 0.3, true },
		{ "\"adam\"", true, 0.001, 0.9, 0.999, 1e-8, 0, false },
		{ "{\"type\":\"adam\",\"lr\":0.03,\"betas\":[0.7,0.9],\"eps\":0.001,\"weight_decay\":0.2}", true, 0.03,
			0.7, 0.9, 1e-3, 0.2, false },
	};
	static const float x[4 * N_IN] = { 0.5f, -1, 2, 1.5f, 0.25f, -0.75f, -2, 1, 1, 0.125f, 3, -1 };
	static const int64_t y[4] = { 0, 1, 1, 0 };

	(void)state;
	for (size_t row = 0; row < TD_COUNT(rows); row++) {
		char *text = mem_printf(
			"{\"layers\":[{\"type\":\"linear\",\"out_features\":2,\"bias\":false}],\"optimizer\":%s}",
			rows[row].text);
		double w[N_OUT * N_IN], g[N_OUT * N_IN], m[N_OUT * N_IN] = { 0 }, v[N_OUT * N_IN] = { 0 }, norm;
		td_shape in = td_shape_make(TD_F32, 2, 4, N_IN), flat = td_shape_make(TD_I64, 1, 4);
		float start[N_OUT * N_IN], end[N_OUT * N_IN];
		struct nn_step_result result;
		struct rig r;

		rig_init(&r, text, in, row & 1, 1);
		td_value *images = td_tensor(r.c, &in, x), *labels = td_tensor(r.c, &flat, y);
		td_read(r.model->params[0].value, start);
		for (int i = 0; i < N_OUT * N_IN; i++)
			w[i] = (double)start[i];
		for (int t = 1; t <= 6; t++) {
			reference_gradient(w, x, y, 4, g);
			norm = 0;
			for (int i = 0; i < N_OUT * N_IN; i++)
				norm += g[i] * g[i];
			if (rows[row].adam)
				reference_adam(w, g, m, v, t, rows[row].lr, rows[row].a, rows[row].b, rows[row].eps,
					rows[row].decay);
			else
				reference_sgd(w, g, m, t, rows[row].lr, rows[row].a, rows[row].b, rows[row].decay,
					rows[row].nesterov);
			assert_int_equal(nn_trainer_step(r.trainer, t, images, labels, &result), TD_OK);
			assert_true(fabs(result.grad_norm - sqrt(norm)) < 1e-5 * sqrt(norm));
		}
		td_read(r.model->params[0].value, end);
		for (int i = 0; i < N_OUT * N_IN; i++)
			if (fabs((double)end[i] - w[i]) > 2e-6)
				fail_msg("%s: weight %d is %.8f, by the definition %.8f", rows[row].text, i,
					(double)end[i], w[i]);
		td_unref(images);
		td_unref(labels);
		rig_release(&r);
		mem_free(text);
	}
}

/* ---- Initial weights ------------------------------------------------------------------------------------------- */

static void initial_weights_depend_on_seed_and_name_alone(void **state)
{
	td_shape in = td_shape_make(TD_F32, 2, 4, 50);
	struct rig a, b;

	(void)state;
	rig_init(&a,
		"{\"layers\":[{\"type\":\"linear\",\"out_features\":50},\"relu\",{\"type\":\"linear\",\"out_features\":"
		"50}]}",
		in, false, 1);
	/* Another layer between two weights does not move them, and neither does one behind. */
	rig_init(&b,
		"{\"layers\":[{\"type\":\"linear\",\"out_features\":50},{\"type\":\"dropout\",\"p\":0.1},"
		"{\"type\":\"linear\",\"out_features\":50},\"relu\"]}",
		in, true, 2);
	assert_string_equal(a.model->params[2].name, "2.weight");
	assert_same_weights(&a, &b);
	/* Alike in all but their names. */
	assert_memory_not_equal(
		td_data(a.model->params[0].value), td_data(a.model->params[2].value), 50 * sizeof(float));
	rig_release(&a);
	rig_release(&b);
}

/* Mean, standard deviation and largest size of the first parameter of LAYER on 40 features. */
static void measure(const char *layer, double *mean, double *deviation, double *largest)
{
	td_shape in = td_shape_make(TD_F32, 2, 4, 40);
	char *text = mem_printf("{\"layers\":[%s]}", layer);
	double sum = 0, squares = 0;
	struct rig r;
	int64_t n;

	rig_init(&r, text, in, false, 1);
	n = td_shape_count(&r.model->params[0].shape);
	*largest = 0;
	for (int64_t i = 0; i < n; i++) {
		double v = (double)((float *)td_data(r.model->params[0].value))[i];
		sum += v;
		squares += v * v;
		*largest = fmax(*largest, fabs(v));
	}
	*mean = sum / (double)n;
	*deviation = sqrt(squares / (double)n - *mean * *mean);
	rig_release(&r);
	mem_free(text);
}

static void initialisers_have_the_spread_of_their_definitions(void **state)
{
	double mean, deviation, largest, torch = 1 / sqrt(40), he = sqrt(2.0 / 40);

	(void)state;
	measure("{\"type\":\"linear\",\"out_features\":1000}", &mean, &deviation, &largest);
	assert_true(fabs(mean) < 0.01 * torch && fabs(deviation - torch / sqrt(3)) < 0.01 * torch);
	assert_true(largest <= torch && largest > 0.999 * torch);
	measure("{\"type\":\"linear\",\"out_features\":1000,\"init\":\"kaiming_uniform\"}", &mean, &deviation,
		&largest);
	assert_true(fabs(mean) < 0.02 * he && fabs(deviation - he) < 0.01 * he && largest <= he * sqrt(3) + 1e-7);
	measure("{\"type\":\"linear\",\"out_features\":1000,\"init\":\"kaiming_normal\"}", &mean, &deviation, &largest);
	assert_true(
		fabs(mean) < 0.02 * he && fabs(deviation - he) < 0.02 * he && largest > 3.5 * he && largest < 6 * he);
	measure("{\"type\":\"linear\",\"out_features\":1000,\"init\":{\"type\":\"kaiming_normal\",\"mode\":\"fan_out\","
		"\"a\":1}}",
		&mean, &deviation, &largest);
	assert_true(fabs(deviation - sqrt(1.0 / 1000)) < 0.02 * sqrt(1.0 / 1000));
}

/* ---- What diverges goes on ------------------------------------------------------------------------------------- */

static void a_loss_that_becomes_nan_is_a_number_like_any_other(void **state)
{
	td_shape in = td_shape_make(TD_F32, 4, 8, 2, 9, 7);
	struct rig r;
	bool seen = false;
	char *text = mem_printf(CNN, "sgd", "");

	(void)state;
	rig_init(&r, text, in, true, 1);
	for (int64_t number = 1; number <= 3; number++) {
		struct nn_step_result result = step(&r, number);
		seen = seen || isnan(result.loss);
		if (number == 1) /* spoil one weight, as a learning rate that is too high does */
			((float *)td_data(r.model->params[0].value))[0] = NAN;
	}
	assert_true(seen);
	assert_int_equal(td_error(r.c)->status, TD_OK);
	rig_release(&r);
	mem_free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_modes_and_any_threads_give_the_same_bits),
		cmocka_unit_test(a_training_that_goes_on_elsewhere_has_the_same_bits),
		cmocka_unit_test(optimizers_follow_their_definitions),
		cmocka_unit_test(initial_weights_depend_on_seed_and_name_alone),
		cmocka_unit_test(initialisers_have_the_spread_of_their_definitions),
		cmocka_unit_test(a_loss_that_becomes_nan_is_a_number_like_any_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
