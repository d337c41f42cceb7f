/* Layers, losses, optimizers and schedules as a job runs them, for tests/parity/layers.py and learning.py: a case per
 * line of standard input, a result per line of standard output.
 *
 *	{"spec": {"model": {..}, "defaults": "keras"}, "type": "float64", "input": X, "tokens": 7, "lengths": [..],
 *	 "weights": {"0.weight": X, ..}, "seed": [..], "steps": 10, "lr": 0.05, "momentum": 0.9, "freeze": "0.*"}
 *	-> {"output": X, "input_gradient": X, "gradients": {..}, "after": {..}, "evaluated": X, "bare": X}
 *	{"spec": {"model": {..}}, "start": 7, "input": X, "tokens": 7} -> {"weights": {"0.weight": X, ..}}, of that seed
 *	{"spec": {"loss": {..}}, "type": .., "input": X, "target": X} -> {"mean": 0.5, "gradient": X}
 *	{"spec": {"optimizer": {..}}, "type": .., "weight": X, "gradients": [[..], ..], "factors": [..]}
 *	-> {"after": [[..], ..]}; "momenta": [..]: what stands for the optimizer's momentum at each step
 *	{"spec": {"schedule": {..}}, "steps": 50, "epoch": 5, "values": [..]} -> {"factors": [..], "momenta": [..]}
 *
 * X is {"shape": [..], "values": [..]}; an integer one is of labels.  "bare": evaluated with the weights given, before
 * any step; "evaluated": after the last.  What is refused is answered with {"fault": "why"}.
 *
 * Jobs compute in float32.  A model is built as for one, and its parameters are made in float64 where "type" says so:
 * layers are calls of ops, which take either. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "nn/learn.h"

#define LINE_MOST (64 << 20)

static const char *const defaults[] = { "pytorch", "keras", NULL };

struct spec {
	struct nn_model_options model;
	struct opt_choice loss, optimizer, schedule;
	int defaults;
};

static const struct opt spec_opts[] = {
	{ .name = "model",
		.kind = OPT_SECTION,
		.at = offsetof(struct spec, model),
		.section = &nn_model_section,
		.doc = "" },
	{ .name = "loss", .kind = OPT_CHOICE, .at = offsetof(struct spec, loss), .family = &nn_losses, .doc = "" },
	{ .name = "optimizer",
		.kind = OPT_CHOICE,
		.at = offsetof(struct spec, optimizer),
		.family = &nn_optimizers,
		.doc = "" },
	{ .name = "schedule",
		.kind = OPT_CHOICE,
		.at = offsetof(struct spec, schedule),
		.family = &nn_schedules,
		.doc = "" },
	{ .name = "defaults",
		.kind = OPT_ENUM,
		.at = offsetof(struct spec, defaults),
		.value = "\"pytorch\"",
		.names = defaults,
		.doc = "" },
};

static const struct opt_type spec_type = {
	.name = "case", .options = spec_opts, .n_options = TD_COUNT(spec_opts), .n_bytes = sizeof(struct spec)
};

struct one_case {
	const cJSON *line; /* borrowed */
	td_dtype type;     /* of all numbers that are no labels */
	td_ctx *c;
	struct arena arena;
	struct faults faults;
	struct spec spec;
	cJSON *result;
};

/* ---- Numbers between JSON and tensors ---------------------------------------------------------------------------- */

static double *numbers(struct one_case *k, const cJSON *list, int64_t *n)
{
	const cJSON *item;
	double *out;
	int64_t i = 0;

	*n = cJSON_GetArraySize(list);
	out = arena_alloc(&k->arena, sizeof *out * (size_t)(*n + 1));
	cJSON_ArrayForEach(item, list) json_to_number(item, &out[i++]);
	return out;
}

static void write(struct one_case *k, td_value *v, const double *x)
{
	int64_t n = td_shape_count(td_shape_of(v));
	float *narrow = arena_alloc(&k->arena, sizeof *narrow * (size_t)(n + 1));
	int64_t *labels = arena_alloc(&k->arena, sizeof *labels * (size_t)(n + 1));
	td_dtype type = td_shape_of(v)->dtype;

	for (int64_t i = 0; i < n; i++) {
		narrow[i] = (float)x[i];
		labels[i] = type == TD_I64 ? (int64_t)x[i] : 0;
	}
	td_write(v, type == TD_F64 ? (const void *)x : type == TD_F32 ? (void *)narrow : labels);
}

static td_shape shape_of(const cJSON *x, td_dtype type)
{
	td_shape s = { .dtype = type };
	const cJSON *size;

	cJSON_ArrayForEach(size, json_get(x, "shape")) s.dim[s.rank++] = (int64_t)size->valuedouble;
	return s;
}

/* The caller's. */
static td_value *tensor(struct one_case *k, const cJSON *x, td_dtype type)
{
	td_shape shape = shape_of(x, type);
	td_value *v = td_tensor(k->c, &shape, NULL);
	int64_t n;

	write(k, v, numbers(k, json_get(x, "values"), &n));
	TD_ASSERT(n == td_shape_count(&shape));
	return v;
}

static cJSON *values(struct one_case *k, const td_value *v)
{
	const td_shape *s = td_shape_of(v);
	int64_t n = td_shape_count(s);
	double *wide = arena_alloc(&k->arena, sizeof *wide * (size_t)(n + 1));
	cJSON *list = cJSON_CreateArray();

	td_read(v, wide);
	for (int64_t i = n; i-- > 0 && s->dtype == TD_F32;)
		wide[i] = (double)((float *)wide)[i];
	for (int64_t i = 0; i < n; i++)
		cJSON_AddItemToArray(list, json_number(wide[i]));
	return list;
}

/* V with its shape; of no gradient: null. */
static cJSON *array(struct one_case *k, const td_value *v)
{
	cJSON *x, *sizes;

	if (!v)
		return cJSON_CreateNull();
	x = cJSON_CreateObject();
	sizes = cJSON_AddArrayToObject(x, "shape");
	for (int i = 0; i < td_shape_of(v)->rank; i++)
		cJSON_AddItemToArray(sizes, cJSON_CreateNumber((double)td_shape_of(v)->dim[i]));
	cJSON_AddItemToObject(x, "values", values(k, v));
	return x;
}

/* ---- One parameter and its optimizer ----------------------------------------------------------------------------- */

/* What the update of PARAM takes; all but PARAM and GRAD is the caller's, see release_update. */
static struct nn_update prepare_update(struct one_case *k, const struct opt_choice *optimizer, td_value *param)
{
	const struct nn_optimizer_type *t = (const struct nn_optimizer_type *)optimizer->type;
	int group = nn_optimizer_group(optimizer->options, "0.weight");
	td_dtype type = td_shape_of(param)->dtype;
	int64_t n = td_shape_count(td_shape_of(param));
	double *start = arena_alloc(&k->arena, sizeof *start * (size_t)(n + 1));
	struct nn_update u = { .param = param,
		.lr = td_scalar(k->c, type, nn_group_lr(optimizer->options, group)),
		.t = td_scalar(k->c, type, 0),
		.gate = td_scalar(k->c, type, 1),
		.group = group,
		.weight_decay = nn_group_weight_decay(optimizer->options, group) };

	for (int64_t i = 0; i < n; i++)
		start[i] = t->state_start ? t->state_start(optimizer->options) : 0;
	for (int i = 0; i < t->n_state(optimizer->options, group); i++) {
		u.state[i] = td_tensor(k->c, td_shape_of(param), NULL);
		write(k, u.state[i], start);
	}
	return u;
}

static void release_update(struct nn_update *u)
{
	td_unref(u->lr);
	td_unref(u->t);
	td_unref(u->gate);
	for (int i = 0; i < NN_STATE_MOST; i++)
		td_unref(u->state[i]);
}

/* Update number STEP, from 1, with every learning rate times FACTOR. */
static void update(struct one_case *k, const struct opt_choice *optimizer, struct nn_update *u, int step, double factor)
{
	double t = step, lr = factor * nn_group_lr(optimizer->options, u->group);

	write(k, u->t, &t);
	write(k, u->lr, &lr);
	td_no_grad_begin(k->c);
	((const struct nn_optimizer_type *)optimizer->type)->update(k->c, optimizer->options, u);
	td_no_grad_end(k->c);
}

static void run_optimizer(struct one_case *k)
{
	const struct opt_choice *optimizer = &k->spec.optimizer;
	const struct nn_optimizer_type *type = (const struct nn_optimizer_type *)optimizer->type;
	const cJSON *row;
	cJSON *after = cJSON_AddArrayToObject(k->result, "after");
	td_value *param = tensor(k, json_get(k->line, "weight"), k->type);
	struct nn_update u;
	int64_t n;
	double *factors = numbers(k, json_get(k->line, "factors"), &n), *momenta;
	int64_t n_momenta;
	int step = 0;

	momenta = numbers(k, json_get(k->line, "momenta"), &n_momenta);

	if (type->check)
		type->check(optimizer->options, "/optimizer", &k->faults);
	if (!k->faults.n_found) {
		u = prepare_update(k, optimizer, param);
		u.grad = td_tensor(k->c, td_shape_of(param), NULL);
		u.momentum = n_momenta ? td_scalar(k->c, k->type, 0) : NULL;
		cJSON_ArrayForEach(row, json_get(k->line, "gradients"))
		{
			write(k, u.grad, numbers(k, row, &n));
			if (step < n_momenta)
				write(k, u.momentum, &momenta[step]);
			td_step_begin(k->c);
			update(k, optimizer, &u, step + 1, factors[step]);
			td_step_end(k->c);
			cJSON_AddItemToArray(after, values(k, param));
			step++;
		}
		td_unref(u.grad);
		td_unref(u.momentum);
		release_update(&u);
	}
	td_unref(param);
}

/* ---- A model ----------------------------------------------------------------------------------------------------- */

struct run {
	struct nn_model *model;
	td_value *x, *lengths, *seed;
	td_value **learnt; /* parameters that are no buffers, and X last where it is numbers */
	int n_learnt, n_params;
};

/* The model's parameters, with the values of the case.  False: they are other ones. */
static bool allocate(struct one_case *k, struct run *r)
{
	const cJSON *weights = json_get(k->line, "weights");
	struct nn_model *m = r->model;

	r->learnt = arena_alloc(&k->arena, sizeof *r->learnt * (size_t)(m->n_params + 1));
	for (int i = 0; i < m->n_params; i++) {
		struct nn_param *p = &m->params[i];
		const cJSON *given = json_get(weights, p->name);
		td_shape shape = shape_of(given, p->shape.dtype);
		char text[TD_SHAPE_TEXT];

		if (!given || !td_shape_same(&shape, &p->shape)) {
			faults_add(&k->faults, "/weights", "the case should have %s, %s", p->name,
				td_shape_text(&p->shape, text));
			return false;
		}
		p->value = tensor(k, given, k->type);
		td_require_grad(k->c, p->value, !p->buffer && !p->frozen);
		if (!p->buffer && !p->frozen)
			r->learnt[r->n_learnt++] = p->value;
	}
	for (int i = 0; i < m->n_layers; i++)
		for (int j = 0; j < m->layers[i].n_params; j++)
			m->layers[i].param[j] = m->params[m->layers[i].param_at[j]].value;
	if (cJSON_GetArraySize(weights) != m->n_params)
		faults_add(&k->faults, "/weights", "the model has %d parameters and buffers, not %d", m->n_params,
			cJSON_GetArraySize(weights));
	r->n_params = r->n_learnt;
	if (td_shape_of(r->x)->dtype != TD_I64) {
		td_require_grad(k->c, r->x, true);
		r->learnt[r->n_learnt++] = r->x;
	}
	return !k->faults.n_found;
}

static td_value *forward(struct one_case *k, struct run *r, bool training)
{
	struct nn_pass pass = { .c = k->c, .training = training, .lengths = r->lengths };

	return nn_forward(r->model, &pass, r->x);
}

static void evaluate(struct one_case *k, struct run *r, const char *name)
{
	td_value *y;

	td_step_begin(k->c);
	y = forward(k, r, false);
	if (y)
		cJSON_AddItemToObject(k->result, name, array(k, y));
	td_step_end(k->c);
}

static void tell_gradients(struct one_case *k, struct run *r, td_value *y, td_value **grads)
{
	cJSON *all = cJSON_AddObjectToObject(k->result, "gradients");

	cJSON_AddItemToObject(k->result, "output", array(k, y));
	for (int i = 0; i < r->n_params; i++)
		cJSON_AddItemToObject(all, td_name_of(r->learnt[i]), array(k, grads[i]));
	if (r->n_params < r->n_learnt)
		cJSON_AddItemToObject(k->result, "input_gradient", array(k, grads[r->n_params]));
}

/* A training step on the sum of the output times the seed. */
static void step_model(struct one_case *k, struct run *r, const struct opt_choice *sgd, struct nn_update *u, int step)
{
	td_value **grads = arena_alloc(&k->arena, sizeof *grads * (size_t)(r->n_learnt + 1)), *y, *loss;

	memset(grads, 0, sizeof *grads * (size_t)(r->n_learnt + 1));
	td_step_begin(k->c);
	y = forward(k, r, true);
	loss = td_sum(k->c, td_mul(k->c, y, r->seed), 0, false);
	if (y && loss && r->n_learnt)
		td_gradients(k->c, &loss, NULL, 1, r->learnt, r->n_learnt, 0, grads);
	if (!td_error(k->c)->status && step == 1)
		tell_gradients(k, r, y, grads);
	for (int i = 0; i < r->n_params && !td_error(k->c)->status; i++) {
		u[i].grad = grads[i];
		if (grads[i])
			update(k, sgd, &u[i], step, 1);
	}
	td_step_end(k->c);
}

static void train_model(struct one_case *k, struct run *r)
{
	struct nn_update *u = arena_alloc(&k->arena, sizeof *u * (size_t)(r->n_params + 1));
	struct nn_model *m = r->model;
	cJSON *after;

	for (int i = 0; i < m->n_params; i++)
		td_set_name(m->params[i].value, m->params[i].name);
	for (int i = 0; i < r->n_params; i++)
		u[i] = prepare_update(k, &k->spec.optimizer, r->learnt[i]);
	for (int step = 1; step <= json_int(k->line, "steps", 1) && !td_error(k->c)->status; step++)
		step_model(k, r, &k->spec.optimizer, u, step);
	after = cJSON_AddObjectToObject(k->result, "after");
	for (int i = 0; i < m->n_params; i++)
		cJSON_AddItemToObject(after, m->params[i].name, array(k, m->params[i].value));
	for (int i = 0; i < r->n_params; i++)
		release_update(&u[i]);
}

/* What a job's weights begin with. */
static void tell_start(struct one_case *k, struct nn_model *m)
{
	cJSON *weights = cJSON_AddObjectToObject(k->result, "weights");

	if (nn_model_allocate(m, k->c, (uint64_t)json_int(k->line, "start", 0)) != TD_OK)
		return;
	for (int i = 0; i < m->n_params; i++)
		cJSON_AddItemToObject(weights, m->params[i].name, array(k, m->params[i].value));
}

static void run_model(struct one_case *k)
{
	const cJSON *input = json_get(k->line, "input"), *list = json_get(k->line, "lengths");
	int64_t tokens = json_int(k->line, "tokens", 0), n;
	td_shape in = shape_of(input, tokens ? TD_I64 : TD_F32);
	struct run r = { .model = nn_model_create(&k->spec.model, &in, tokens, list != NULL, &k->faults) };

	if (!r.model)
		return;
	if (json_get(k->line, "freeze"))
		nn_model_freeze(r.model,
			&(struct opt_strings){ (const char *[]){ json_string(k->line, "freeze", "") }, 1 }, "/freeze",
			&k->faults);
	if (json_get(k->line, "start")) {
		tell_start(k, r.model);
		nn_model_free(r.model);
		return;
	}
	r.x = tensor(k, input, tokens ? TD_I64 : k->type);
	if (list) {
		td_shape each = td_shape_make(TD_I64, 1, in.dim[0]);

		r.lengths = td_tensor(k->c, &each, NULL);
		write(k, r.lengths, numbers(k, list, &n));
	}
	if (allocate(k, &r)) {
		td_shape out = r.model->out;
		const cJSON *seed = json_get(k->line, "seed");
		double *x = numbers(k, seed, &n);

		evaluate(k, &r, "bare");
		out.dtype = k->type;
		r.seed = td_tensor(k->c, &out, NULL);
		if (n == td_shape_count(&out) && !td_error(k->c)->status) {
			write(k, r.seed, x);
			train_model(k, &r);
			evaluate(k, &r, "evaluated");
		}
		td_unref(r.seed);
	}
	td_unref(r.x);
	td_unref(r.lengths);
	nn_model_free(r.model);
}

/* ---- A loss, a schedule ------------------------------------------------------------------------------------------ */

static void run_loss(struct one_case *k)
{
	const struct opt_choice *loss = &k->spec.loss;
	const cJSON *target = json_get(k->line, "target");
	td_value *x = tensor(k, json_get(k->line, "input"), k->type);
	td_value *y = tensor(k, target, json_bool(target, "labels", false) ? TD_I64 : k->type);
	td_value *weight = NULL, *each, *mean, *objective, *gradient = NULL;

	td_require_grad(k->c, x, true);
	td_step_begin(k->c);
	each = ((const struct nn_loss_type *)loss->type)->each(k->c, loss->options, x, y, &weight);
	mean = nn_loss_mean(k->c, each, weight);
	objective = nn_loss_objective(k->c, loss, each, mean);
	if (mean && objective) {
		td_gradients(k->c, &objective, NULL, 1, &x, 1, 0, &gradient);
		cJSON_AddItemToObject(k->result, "mean", json_number(td_item(mean)));
		cJSON_AddItemToObject(k->result, "gradient", array(k, gradient));
	}
	td_step_end(k->c);
	td_unref(x);
	td_unref(y);
}

/* "values": what a validation after each epoch gives to a schedule that watches one. */
static void run_schedule(struct one_case *k)
{
	const struct opt_choice *schedule = &k->spec.schedule;
	const struct nn_schedule_type *type = (const struct nn_schedule_type *)schedule->type;
	int64_t n_steps = json_int(k->line, "steps", 1), n_epoch = json_int(k->line, "epoch", 1), n;
	double *seen = numbers(k, json_get(k->line, "values"), &n);
	struct nn_plateau plateau = NN_PLATEAU_START;
	cJSON *factors = cJSON_AddArrayToObject(k->result, "factors"),
	      *momenta = cJSON_AddArrayToObject(k->result, "momenta");

	if (type->check)
		type->check(schedule->options, "/schedule", &k->faults);
	for (int64_t step = 1; step <= n_steps && !k->faults.n_found; step++) {
		double factor = nn_schedule_factor(schedule, &plateau, step, n_epoch, n_steps);

		cJSON_AddItemToArray(factors, json_number(factor));
		cJSON_AddItemToArray(momenta, json_number(nn_schedule_momentum(schedule, step, n_epoch, n_steps)));
		if (type->observe && step % n_epoch == 0 && step / n_epoch <= n)
			type->observe(schedule->options, &plateau, seen[step / n_epoch - 1], true);
	}
}

/* ---- One line ---------------------------------------------------------------------------------------------------- */

static void run_case(struct one_case *k)
{
	const cJSON *spec = json_get(k->line, "spec");

	opt_read(&spec_type, spec, "", &k->spec, &k->arena, &k->faults);
	if (!k->faults.n_found && k->spec.schedule.type)
		run_schedule(k);
	else if (!k->faults.n_found && k->spec.loss.type)
		run_loss(k);
	else if (!k->faults.n_found && json_get(spec, "model"))
		run_model(k);
	else if (!k->faults.n_found)
		run_optimizer(k);
	if (k->faults.n_found)
		cJSON_AddStringToObject(k->result, "fault", k->faults.items[0].detail);
	else if (td_error(k->c)->status)
		cJSON_AddStringToObject(k->result, "fault", td_error(k->c)->text);
}

int main(void)
{
	char *line = mem_alloc(LINE_MOST);

	while (fgets(line, LINE_MOST, stdin)) {
		struct err e = { 0 };
		cJSON *document = json_parse(line, strlen(line), &e);
		struct one_case k = { .line = document, .result = cJSON_CreateObject() };
		char *text;

		if (!document) {
			fprintf(stderr, "%s\n", e.text);
			return 1;
		}
		arena_init(&k.arena);
		faults_init(&k.faults);
		k.c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 7 });
		k.type = !strcmp(json_string(document, "type", "float64"), "float32") ? TD_F32 : TD_F64;
		run_case(&k);
		text = json_print(k.result);
		puts(text);
		fflush(stdout);
		mem_free(text);
		cJSON_Delete(k.result);
		cJSON_Delete(document);
		td_ctx_free(k.c);
		faults_release(&k.faults);
		arena_release(&k.arena);
	}
	mem_free(line);
	return 0;
}
