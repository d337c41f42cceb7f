/* A small model with its trainer, for each kind of data, and the batches that it meets. */
#ifndef TEST_TRAINER_RIG_H
#define TEST_TRAINER_RIG_H

#include "learn_rig.h"

#include <stdio.h>

/* ---- A model and its trainer ------------------------------------------------------------------------------------- */

#define SAMPLES 12
#define STEPS   5
#define CLASSES 3
#define WIDTH   4

/* A task: which model, and which batches it meets. */
struct task {
	const char *model;
	enum data_target target;
	bool tokens; /* inputs are tokens [N, STEPS] with lengths; else [N, WIDTH] */
};

static const struct task plain = {
	"{\"layers\":[{\"type\":\"linear\",\"out_features\":6},\"relu\",{\"type\":\"linear\",\"out_features\":3}]}",
	DATA_CLASS, false
};
static const struct task noisy = { "{\"layers\":[{\"type\":\"linear\",\"out_features\":6},\"batch_norm1d\",\"relu\","
				   "{\"type\":\"dropout\",\"p\":0.4},{\"type\":\"linear\",\"out_features\":3}]}",
	DATA_CLASS, false };
static const struct task shared_out = {
	"{\"layers\":[{\"type\":\"linear\",\"out_features\":5},\"tanh\",{\"type\":\"linear\",\"out_features\":3}]}",
	DATA_SHARES, false
};
static const struct task binary = { "{\"layers\":[{\"type\":\"linear\",\"out_features\":1}]}", DATA_CLASS, false };
static const struct task numbers = {
	"{\"layers\":[{\"type\":\"linear\",\"out_features\":5},\"relu\",{\"type\":\"linear\",\"out_features\":3}]}",
	DATA_VALUES, false
};
static const struct task straight = { "{\"layers\":[{\"type\":\"linear\",\"out_features\":3}]}", DATA_VALUES, false };
static const struct task words = {
	"{\"layers\":[{\"type\":\"embedding\",\"embedding_dim\":4},"
	"{\"type\":\"lstm\",\"hidden_size\":3,\"return\":\"sequence\"},{\"type\":\"linear\",\"out_features\":3}]}",
	DATA_TOKENS, true
};

struct settings {
	const char *loss, *optimizer;
	double clip_norm, clip_value, ema_decay, momentum; /* MOMENTUM: of every step; 0: the optimizer's */
	int64_t accumulate;
	bool graph;
	int threads;
	const char *freeze; /* a pattern, or NULL */
};

struct rig {
	const struct task *task;
	struct arena arena;
	struct faults faults;
	struct chosen loss, optimizer;
	struct nn_model_options options;
	struct data_facts facts;
	td_ctx *c;
	struct nn_model *model;
	struct nn_trainer *trainer;
	td_value *made[3]; /* the present batch: x, y, lengths */
	int64_t offset;    /* of the present step's first sample */
	int64_t size;      /* of its batches; the last one gets what is left of SAMPLES */
	int n_given;       /* batches so far */
	int give_up_at;    /* this batch does not come; -1: all come */
	double momentum;   /* of the steps */
	double answered;   /* sum over what was told of answers */
};

static inline struct data_facts facts_of(const struct task *task)
{
	struct data_facts f = { .target = task->target, .dataset = "test", .n_classes = task == &binary ? 2 : CLASSES };

	f.x = task->tokens ? td_shape_make(TD_I64, 1, (int64_t)STEPS) : td_shape_make(TD_F32, 1, (int64_t)WIDTH);
	f.has_lengths = task->tokens;
	f.n_tokens = task->tokens ? 7 : 0;
	f.y = (td_shape){ .dtype = TD_I64 };
	if (task->target == DATA_TOKENS)
		f.y = td_shape_make(TD_I64, 1, (int64_t)STEPS);
	if (task->target == DATA_SHARES || task->target == DATA_VALUES)
		f.y = td_shape_make(TD_F32, 1, (int64_t)CLASSES);
	return f;
}

/* A trainer does nothing that is probably not meant. */
static inline void no_warning(void *arg, const td_warning *w)
{
	(void)arg;
	fail_msg("layer %s: warning %s: %s", w->layer, w->code, w->text);
}

static inline void rig_init(struct rig *r, const struct task *task, const struct settings *s)
{
	cJSON *document = cJSON_Parse(task->model);
	const char *patterns[1] = { s->freeze };
	td_shape in;

	assert_non_null(document);
	*r = (struct rig){ .task = task, .facts = facts_of(task), .give_up_at = -1, .momentum = s->momentum };
	r->c = td_ctx_create(&(td_ctx_options){ .threads = TD_MAX(s->threads, 1), .seed = 7 });
	td_on_warning(r->c, no_warning, NULL);
	arena_init(&r->arena);
	faults_init(&r->faults);
	chosen_init(&r->loss, &nn_losses, s->loss);
	chosen_init(&r->optimizer, &nn_optimizers, s->optimizer);
	opt_read(&nn_model_section, document, "/model", &r->options, &r->arena, &r->faults);
	in = r->facts.x;
	in.rank++;
	in.dim[1] = in.dim[0];
	in.dim[0] = SAMPLES;
	r->model = nn_model_create(&r->options, &in, r->facts.n_tokens, r->facts.has_lengths, &r->faults);
	if (!r->model || r->faults.n_found)
		fail_msg("%s: %s", r->faults.items[0].pointer, r->faults.items[0].detail);
	if (s->freeze)
		nn_model_freeze(r->model, &(struct opt_strings){ patterns, 1 }, "/freeze", &r->faults);
	assert_int_equal(r->faults.n_found, 0);
	assert_int_equal(nn_model_allocate(r->model, r->c, 7), TD_OK);
	r->trainer = nn_trainer_create(&(struct nn_trainer_options){ .c = r->c,
		.model = r->model,
		.loss = r->loss.choice,
		.optimizer = r->optimizer.choice,
		.facts = &r->facts,
		.clip_norm = s->clip_norm,
		.clip_value = s->clip_value,
		.ema_decay = s->ema_decay,
		.moves_momentum = s->momentum > 0,
		.accumulate = s->accumulate,
		.graph = s->graph });
	if (!r->trainer)
		fail_msg("%s", td_error(r->c)->text);
	cJSON_Delete(document);
}

static inline void drop_batch(struct rig *r)
{
	for (int i = 0; i < 3; i++) {
		td_unref(r->made[i]);
		r->made[i] = NULL;
	}
}

static inline void rig_release(struct rig *r)
{
	drop_batch(r);
	nn_trainer_free(r->trainer);
	nn_model_free(r->model);
	td_ctx_free(r->c);
	chosen_release(&r->loss);
	chosen_release(&r->optimizer);
	arena_release(&r->arena);
	faults_release(&r->faults);
}

/* ---- Batches: any numbers, always the same --------------------------------------------------------------------- */

static inline float any(int64_t sample, int64_t k)
{
	struct rng_key key = { .seed = 99, .stream = 1, .step = (uint32_t)sample };

	return 2 * rng_unit(rng_u32(&key, (uint64_t)k)) - 1;
}

static inline int64_t length_of(int64_t sample)
{
	return 1 + sample % STEPS;
}

/* Element K of the target of a sample. */
static inline int64_t label_of(const struct rig *r, int64_t sample, int64_t k)
{
	int64_t label = (int64_t)(fabsf(any(sample, 100 + k)) * (float)r->facts.n_classes);

	return r->task->target == DATA_TOKENS && k >= length_of(sample) ? DATA_IGNORE : label;
}

static inline td_value *make(struct rig *r, const td_shape *one, int64_t first, int64_t n, bool target)
{
	td_shape shape = *one;
	int64_t per = td_shape_count(one);
	bool whole = one->dtype == TD_I64;
	char *data = mem_alloc((size_t)(n * per) * td_dtype_size(one->dtype));
	td_value *v;

	for (int64_t i = 0; i < n * per; i++) {
		int64_t sample = first + i / per, k = i % per;
		if (whole)
			((int64_t *)(void *)data)[i] = target ? label_of(r, sample, k) : 1 + (sample + k) % 6;
		else
			((float *)(void *)data)[i] = target && r->task->target == DATA_SHARES
							     ? (k ? 0.25f : 0.5f)
							     : any(sample, k + 50 * target);
	}
	for (int i = shape.rank++; i > 0; i--)
		shape.dim[i] = shape.dim[i - 1];
	shape.dim[0] = n;
	v = td_tensor(r->c, &shape, data);
	mem_free(data);
	return v;
}

static inline void make_batch(struct rig *r, int64_t first, int64_t n, struct nn_batch *out)
{
	td_shape length = { .dtype = TD_I64 };
	int64_t lengths[SAMPLES];

	drop_batch(r);
	r->made[0] = make(r, &r->facts.x, first, n, false);
	r->made[1] = make(r, &r->facts.y, first, n, true);
	if (r->facts.has_lengths) {
		length = td_shape_make(TD_I64, 1, n);
		for (int64_t i = 0; i < n; i++)
			lengths[i] = length_of(first + i);
		r->made[2] = td_tensor(r->c, &length, lengths);
	}
	*out = (struct nn_batch){ r->made[0], r->made[1], r->made[2] };
}

static inline bool next(void *arg, int i, struct nn_batch *out)
{
	struct rig *r = arg;
	int64_t first = i * r->size, n = TD_MIN(r->size, SAMPLES - first);

	assert_int_equal(i, r->n_given++);
	if (i == r->give_up_at)
		return false;
	make_batch(r, r->offset + first, n, out);
	return true;
}

static inline void answered(void *arg, int i, const float *answer, const float *each)
{
	struct rig *r = arg;
	td_shape of_answer, of_each;

	nn_trainer_answer_shape(r->trainer, TD_MIN(r->size, SAMPLES - i * r->size), &of_answer, &of_each);
	for (int64_t k = 0; k < td_shape_count(&of_answer); k++)
		r->answered += (double)answer[k];
	for (int64_t k = 0; k < td_shape_count(&of_each); k++)
		r->answered += 100 * (double)each[k];
}

/* Step NUMBER over SAMPLES samples, in batches of SIZE. */
static inline td_status try_step(struct rig *r, int64_t number, int64_t size, bool asks, struct nn_step_result *result)
{
	r->offset = number * SAMPLES;
	r->size = size;
	r->n_given = 0;
	return nn_trainer_step(r->trainer,
		&(struct nn_step){ .number = number,
			.factor = 1 / (double)number,
			.momentum = r->momentum,
			.n_batches = (int)((SAMPLES + size - 1) / size),
			.next = next,
			.answered = asks ? answered : NULL,
			.arg = r },
		result);
}

static inline struct nn_step_result step(struct rig *r, int64_t number, int64_t size, bool asks)
{
	struct nn_step_result result;

	if (try_step(r, number, size, asks, &result))
		fail_msg("step %d: %s", (int)number, td_error(r->c)->text);
	return result;
}

static inline void evaluate(struct rig *r)
{
	float each[SAMPLES * STEPS * CLASSES], answer[SAMPLES * STEPS * CLASSES];
	struct nn_batch batch;

	make_batch(r, 1000, SAMPLES, &batch);
	assert_int_equal(nn_trainer_evaluate(r->trainer, &batch, each, answer), TD_OK);
	for (int i = 0; i < SAMPLES; i++)
		assert_true(isfinite(each[i]) && isfinite(answer[i]));
}

/* ---- Comparing ------------------------------------------------------------------------------------------------- */

struct listing {
	int n;
	struct {
		char name[200];
		td_value *value;
	} items[64];
};

static inline void list_one(void *arg, const char *name, td_value *v)
{
	struct listing *l = arg;

	assert_true(l->n < (int)TD_COUNT(l->items));
	snprintf(l->items[l->n].name, sizeof l->items[l->n].name, "%s", name);
	l->items[l->n++].value = v;
}

static inline void assert_same_tensors(struct rig *a, struct rig *b, const char *what)
{
	struct listing x = { 0 }, y = { 0 };

	nn_trainer_tensors(a->trainer, list_one, &x);
	nn_trainer_tensors(b->trainer, list_one, &y);
	assert_int_equal(x.n, y.n);
	for (int i = 0; i < x.n; i++) {
		assert_string_equal(x.items[i].name, y.items[i].name);
		if (memcmp(td_data(x.items[i].value), td_data(y.items[i].value),
			    td_shape_bytes(td_shape_of(x.items[i].value))))
			fail_msg("%s: %s differs", what, x.items[i].name);
	}
}

static inline void assert_near_tensors(struct rig *a, struct rig *b, double tolerance, const char *what)
{
	for (int i = 0; i < a->model->n_params; i++) {
		const float *x = td_data(a->model->params[i].value), *y = td_data(b->model->params[i].value);

		for (int64_t k = 0; k < td_shape_count(&a->model->params[i].shape); k++)
			assert_near((double)x[k], (double)y[k], tolerance, what);
	}
}

static inline double distance(struct rig *a, struct rig *b)
{
	double sum = 0;

	for (int i = 0; i < a->model->n_params; i++) {
		const float *x = td_data(a->model->params[i].value), *y = td_data(b->model->params[i].value);

		for (int64_t k = 0; k < td_shape_count(&a->model->params[i].shape); k++)
			sum += pow((double)x[k] - (double)y[k], 2);
	}
	return sqrt(sum);
}

#endif
