/* The trainer: runs the programs of trainer_programs.c, and keeps what lives from step to step. */
#include "nn/trainer.h"
#include "io/io.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const in_names[N_IN] = { "input", "target", "lengths", "t", "gate", "weight" };

/* ---- Life ------------------------------------------------------------------------------------------------------ */

static td_value *like_param(const struct nn_trainer *t, int p)
{
	return td_tensor(t->c, &t->model->params[p].shape, NULL);
}

static void state_name(const struct nn_trainer *t, int p, int k, char out[NN_NAME + 16])
{
	snprintf(out, NN_NAME + 16, "optimizer.%s.%s", t->model->params[p].name,
		trainer_optimizer(t)->state_name(t->optimizer.options, t->slots[p].group, k));
}

static void fill(td_value *v, double x)
{
	float *data = td_data(v);

	for (int64_t i = 0; i < td_shape_count(td_shape_of(v)); i++)
		data[i] = (float)x;
}

static bool create_state(struct nn_trainer *t, int p)
{
	const struct nn_optimizer_type *type = trainer_optimizer(t);
	struct trainer_slot *slot = &t->slots[p];
	char name[NN_NAME + 16];

	slot->n_state = type->n_state(t->optimizer.options, slot->group);
	for (int k = 0; k < slot->n_state; k++) {
		slot->state[k] = like_param(t, p);
		if (!slot->state[k])
			return false;
		if (type->state_start)
			fill(slot->state[k], type->state_start(t->optimizer.options));
		state_name(t, p, k, name);
		td_set_name(slot->state[k], name);
	}
	return true;
}

/* It begins as a copy, for evaluations before the first step. */
static bool create_average(struct nn_trainer *t, int p)
{
	const struct nn_param *param = &t->model->params[p];
	td_value *average = like_param(t, p);
	char name[NN_NAME + 16];

	t->slots[p].average = average;
	if (!average)
		return false;
	memcpy(td_data(average), td_data(param->value), td_shape_bytes(&param->shape));
	snprintf(name, sizeof name, "%s%s", CHECKPOINT_AVERAGE, param->name);
	td_set_name(average, name);
	return true;
}

static bool create_slot(struct nn_trainer *t, int p)
{
	const struct nn_param *param = &t->model->params[p];
	struct trainer_slot *slot = &t->slots[p];
	char name[NN_NAME + 16];

	slot->learns = !param->buffer && !param->frozen;
	slot->group = nn_optimizer_group(t->optimizer.options, param->name);
	if (slot->learns && !create_state(t, p))
		return false;
	if (t->n_averaged && slot->learns && !create_average(t, p))
		return false;
	if (t->accumulate > 1 && slot->learns) {
		slot->sum = like_param(t, p);
		if (!slot->sum)
			return false;
		snprintf(name, sizeof name, NN_SUM "%s", param->name);
		td_set_name(slot->sum, name);
	}
	return true;
}

static bool create_scalars(struct nn_trainer *t, bool moves_momentum)
{
	char name[32];

	t->n_lr = 1 + ((const struct nn_optimizer_options *)t->optimizer.options)->groups.n;
	t->lr = MEM_NEW_N(td_value *, t->n_lr);
	for (int g = 0; g < t->n_lr; g++) {
		t->lr[g] = td_scalar(t->c, TD_F32, 0);
		if (!t->lr[g])
			return false;
		snprintf(name, sizeof name, g ? "lr.%d" : "lr", g - 1);
		td_set_name(t->lr[g], name);
	}
	t->t = td_scalar(t->c, TD_F32, 0);
	t->gate = td_scalar(t->c, TD_F32, 1);
	t->weight = td_scalar(t->c, TD_F32, 1);
	if (t->ema_decay > 0) {
		t->n_averaged = td_scalar(t->c, TD_F32, 0);
		if (!t->n_averaged)
			return false;
		td_set_name(t->n_averaged, "n_averaged");
	}
	if (moves_momentum) {
		t->momentum = td_scalar(t->c, TD_F32, 0);
		if (!t->momentum)
			return false;
		td_set_name(t->momentum, "momentum");
	}
	if (!t->t || !t->gate || !t->weight)
		return false;
	td_set_name(t->t, in_names[IN_T]);
	td_set_name(t->gate, in_names[IN_GATE]);
	td_set_name(t->weight, in_names[IN_WEIGHT]);
	return true;
}

static void variant_init(struct trainer_variant *v, struct nn_trainer *t, unsigned bits, int n_in, bool graph,
	void (*write)(td_ctx *c, void *arg, td_value *const *in, td_value **out))
{
	*v = (struct trainer_variant){ .t = t,
		.answers = bits & 1,
		.keeps = bits & 2,
		.program = { .c = t->c,
			.graph = graph,
			.n_in = n_in,
			.n_out = N_OUT,
			.in_names = in_names,
			.write = write,
			.arg = v } };
}

/* The shapes of what an evaluation tells, found by writing it down once on the side. */
static bool find_shapes(struct nn_trainer *t, const struct data_facts *facts)
{
	td_ctx *c = td_ctx_create(
		&(td_ctx_options){ .threads = 1 }); /* of its own: the job's counters show the job alone */
	td_graph *g = td_graph_create();
	td_shape x = t->model->in, y = { .dtype = facts->y.dtype, .rank = facts->y.rank + 1, .dim = { x.dim[0] } };
	td_shape lengths = td_shape_make(TD_I64, 1, x.dim[0]);
	td_value *out[N_OUT] = { 0 };

	for (int i = 0; i < facts->y.rank; i++)
		y.dim[i + 1] = facts->y.dim[i];
	td_trace_begin(c, g);
	trainer_write_evaluation(c, &t->evaluation,
		(td_value *[]){ td_placeholder(c, in_names[IN_X], &x), td_placeholder(c, in_names[IN_Y], &y),
			facts->has_lengths ? td_placeholder(c, in_names[IN_LENGTHS], &lengths) : NULL },
		out);
	td_trace_end(c);
	if (td_error(c)->status) {
		td_fail(t->c, td_error(c)->status, "%s", td_error(c)->text);
	} else {
		t->answer = *td_shape_of(out[OUT_ANSWER]);
		t->each = *td_shape_of(out[OUT_EACH]);
	}
	td_graph_free(g);
	td_ctx_free(c);
	return !td_error(t->c)->status;
}

struct nn_trainer *nn_trainer_create(const struct nn_trainer_options *o)
{
	struct nn_trainer *t = MEM_NEW(struct nn_trainer);
	bool whole;

	t->c = o->c;
	t->model = o->model;
	t->loss = o->loss;
	t->optimizer = o->optimizer;
	t->accumulate = TD_MAX(o->accumulate, 1);
	t->clip_norm = o->clip_norm;
	t->clip_value = o->clip_value;
	t->ema_decay = o->ema_decay;
	t->slots = MEM_NEW_N(struct trainer_slot, o->model->n_params + 1);
	for (unsigned bits = 0; bits < VARIANTS; bits++) {
		variant_init(&t->step[bits], t, bits, IN_GATE + 1, o->graph, trainer_write_step);
		variant_init(&t->gather[bits], t, bits, IN_LENGTHS + 1, o->graph, trainer_write_gather);
		variant_init(&t->update[bits], t, bits, N_IN, o->graph, trainer_write_update);
	}
	variant_init(&t->evaluation, t, 0, IN_LENGTHS + 1, o->graph, trainer_write_evaluation);
	whole = create_scalars(t, o->moves_momentum);
	for (int p = 0; p < o->model->n_params && whole; p++)
		whole = create_slot(t, p);
	if (whole && find_shapes(t, o->facts))
		return t;
	nn_trainer_free(t);
	return NULL;
}

static void release_programs(struct nn_trainer *t)
{
	for (int i = 0; i < VARIANTS; i++) {
		nn_program_release(&t->step[i].program);
		nn_program_release(&t->gather[i].program);
		nn_program_release(&t->update[i].program);
	}
	nn_program_release(&t->evaluation.program);
}

void nn_trainer_free(struct nn_trainer *t)
{
	if (!t)
		return;
	release_programs(t);
	for (int p = 0; p < t->model->n_params; p++) {
		for (int k = 0; k < NN_STATE_MOST; k++)
			td_unref(t->slots[p].state[k]);
		td_unref(t->slots[p].sum);
		td_unref(t->slots[p].average);
		td_unref(t->slots[p].kept);
	}
	for (int g = 0; g < t->n_lr; g++)
		td_unref(t->lr[g]);
	td_unref(t->t);
	td_unref(t->gate);
	td_unref(t->momentum);
	td_unref(t->n_averaged);
	td_unref(t->weight);
	mem_free(t->slots);
	mem_free(t->lr);
	mem_free(t->answer_room);
	mem_free(t->each_room);
	mem_free(t);
}

/* ---- A step ---------------------------------------------------------------------------------------------------- */

static void write_scalar(td_value *v, double x)
{
	float f = (float)x;

	td_write(v, &f);
}

/* Randomness is addressed by the number of the batch alone: evaluations in between do not count. */
static void begin_batch(struct nn_trainer *t, const struct nn_step *step, int i)
{
	td_step_set(t->c, (step->number - 1) * t->accumulate + i);
	td_step_begin(t->c);
}

/* How many targets of BATCH count. */
static int64_t count_targets(const struct nn_trainer *t, const struct nn_batch *batch)
{
	const td_shape *y = td_shape_of(batch->y);
	const int64_t *labels = td_data(batch->y);
	const struct nn_loss_type *loss = trainer_loss(t);
	int64_t n = 0, ignored = loss->ignores ? loss->ignores(t->loss.options) : DATA_IGNORE;
	td_shape each = t->each;

	if (y->dtype != TD_I64) {
		each.dim[0] = y->dim[0];
		return td_shape_count(&each);
	}
	for (int64_t i = 0; i < td_shape_count(y); i++)
		n += labels[i] != DATA_IGNORE && labels[i] != ignored;
	return n;
}

/* V's elements, in *ROOM, which grows.  NULL: no memory. */
static const float *read_out(struct nn_trainer *t, const td_value *v, float **room, int64_t *most)
{
	int64_t n = td_shape_count(td_shape_of(v));

	if (n > *most) {
		mem_free(*room);
		*most = 0;
		*room = mem_try_alloc(sizeof **room * (size_t)n);
		if (!*room) {
			td_fail(t->c, TD_NO_MEMORY, "there is no memory for %lld answers of the model", (long long)n);
			return NULL;
		}
		*most = n;
	}
	td_read(v, *room);
	return *room;
}

static void tell_answers(struct nn_trainer *t, const struct nn_step *step, int i, td_value *const *out)
{
	const float *answer = read_out(t, out[OUT_ANSWER], &t->answer_room, &t->answer_most);
	const float *each = read_out(t, out[OUT_EACH], &t->each_room, &t->each_most);

	if (answer && each)
		step->answered(step->arg, i, answer, each);
}

static struct nn_program *variant(struct trainer_variant *of, bool answers, bool keeps)
{
	return &of[(answers ? 1 : 0) | (keeps ? 2 : 0)].program;
}

static td_status step_of_one(struct nn_trainer *t, const struct nn_step *step, struct nn_step_result *r)
{
	td_value *in[N_IN] = { 0 }, *out[NN_PROGRAM_OUTPUTS] = { 0 };
	struct nn_batch batch = { 0 };

	if (!step->next(step->arg, 0, &batch))
		return TD_CANCELLED;
	in[IN_X] = batch.x;
	in[IN_Y] = batch.y;
	in[IN_LENGTHS] = batch.lengths;
	in[IN_T] = t->t;
	in[IN_GATE] = t->gate;
	begin_batch(t, step, 0);
	if (!nn_program_run(variant(t->step, step->answered, t->keep), in, out)) {
		r->loss = td_item(out[OUT_LOSS]);
		r->n = count_targets(t, &batch);
		r->grad_norm = out[OUT_GRAD_NORM] ? td_item(out[OUT_GRAD_NORM]) : 0;
		if (step->answered)
			tell_answers(t, step, 0, out);
	}
	td_step_end(t->c);
	return td_error(t->c)->status;
}

/* Batch I of many.  Adds to R's sum of losses, to R's n, and to *WEIGHT. */
static td_status gather(
	struct nn_trainer *t, const struct nn_step *step, int i, struct nn_step_result *r, double *weight)
{
	td_value *in[N_IN] = { 0 }, *out[NN_PROGRAM_OUTPUTS] = { 0 };
	struct nn_batch batch = { 0 };
	int64_t n;

	if (!step->next(step->arg, i, &batch))
		return TD_CANCELLED;
	in[IN_X] = batch.x;
	in[IN_Y] = batch.y;
	in[IN_LENGTHS] = batch.lengths;
	begin_batch(t, step, i);
	if (!nn_program_run(variant(t->gather, step->answered, false), in, out)) {
		n = count_targets(t, &batch);
		r->n += n;
		r->loss += td_item(out[OUT_LOSS]);
		*weight += out[OUT_WEIGHT] ? td_item(out[OUT_WEIGHT]) : (double)n;
		if (step->answered)
			tell_answers(t, step, i, out);
	}
	td_step_end(t->c);
	return td_error(t->c)->status;
}

static td_status step_of_many(struct nn_trainer *t, const struct nn_step *step, struct nn_step_result *r)
{
	td_value *in[N_IN] = { 0 }, *out[NN_PROGRAM_OUTPUTS] = { 0 };
	double weight = 0;
	td_status s = TD_OK;

	for (int p = 0; p < t->model->n_params; p++)
		if (t->slots[p].sum)
			memset(td_data(t->slots[p].sum), 0, td_shape_bytes(td_shape_of(t->slots[p].sum)));
	for (int i = 0; i < step->n_batches && !s; i++)
		s = gather(t, step, i, r, &weight);
	if (s)
		return s;
	if (weight == 0)
		weight = INFINITY; /* no target counts, so loss and gradients are 0: see nn_loss_mean */
	write_scalar(t->weight, weight);
	write_scalar(t->gate, isfinite(r->loss));
	in[IN_T] = t->t;
	in[IN_GATE] = t->gate;
	in[IN_WEIGHT] = t->weight;
	td_step_begin(t->c);
	if (!nn_program_run(variant(t->update, false, t->keep), in, out)) {
		r->loss /= weight;
		r->grad_norm = out[OUT_GRAD_NORM] ? td_item(out[OUT_GRAD_NORM]) : 0;
	}
	td_step_end(t->c);
	return td_error(t->c)->status;
}

td_status nn_trainer_step(struct nn_trainer *t, const struct nn_step *step, struct nn_step_result *r)
{
	td_status s;

	TD_ASSERT(step->n_batches >= 1 && step->n_batches <= t->accumulate);
	*r = (struct nn_step_result){ 0 };
	for (int g = 0; g < t->n_lr; g++)
		write_scalar(t->lr[g], nn_group_lr(t->optimizer.options, g - 1) * step->factor);
	write_scalar(t->t, (double)step->number);
	if (t->momentum)
		write_scalar(t->momentum, step->momentum);
	write_scalar(t->gate, 1);
	s = step->n_batches == 1 ? step_of_one(t, step, r) : step_of_many(t, step, r);
	t->kept = t->keep && !s;
	return s;
}

void nn_trainer_set_mode(struct nn_trainer *t, bool graph)
{
	for (int i = 0; i < VARIANTS; i++)
		t->step[i].program.graph = t->gather[i].program.graph = t->update[i].program.graph = graph;
	t->evaluation.program.graph = graph;
}

/* ---- Besides steps --------------------------------------------------------------------------------------------- */

td_status nn_trainer_evaluate(struct nn_trainer *t, const struct nn_batch *batch, float *each, float *answer)
{
	td_value *in[N_IN] = { batch->x, batch->y, batch->lengths }, *out[NN_PROGRAM_OUTPUTS] = { 0 };

	td_step_begin(t->c);
	if (!nn_program_run(&t->evaluation.program, in, out)) {
		if (each)
			td_read(out[OUT_EACH], each);
		if (answer)
			td_read(out[OUT_ANSWER], answer);
		t->evaluated_weight = out[OUT_WEIGHT] ? td_item(out[OUT_WEIGHT]) : 0;
	}
	td_step_end(t->c);
	return td_error(t->c)->status;
}

double nn_trainer_evaluated_weight(const struct nn_trainer *t)
{
	return t->evaluated_weight;
}

void nn_trainer_answer_shape(const struct nn_trainer *t, int64_t n, td_shape *answer, td_shape *each)
{
	*answer = t->answer;
	*each = t->each;
	answer->dim[0] = each->dim[0] = n;
}

void nn_trainer_tensors(struct nn_trainer *t, void (*each)(void *arg, const char *name, td_value *v), void *arg)
{
	char name[NN_NAME + 16];

	for (int p = 0; p < t->model->n_params; p++) {
		snprintf(name, sizeof name, "model.%s", t->model->params[p].name);
		each(arg, name, t->model->params[p].value);
	}
	if (t->n_averaged)
		each(arg, "n_averaged", t->n_averaged);
	for (int p = 0; p < t->model->n_params; p++)
		if (t->slots[p].average)
			each(arg, td_name_of(t->slots[p].average), t->slots[p].average);
	for (int p = 0; p < t->model->n_params; p++)
		for (int k = 0; k < t->slots[p].n_state; k++) {
			state_name(t, p, k, name);
			each(arg, name, t->slots[p].state[k]);
		}
}

td_value *nn_trainer_weight(const struct nn_trainer *t, int p)
{
	return t->slots[p].average ? t->slots[p].average : t->model->params[p].value;
}

td_status nn_trainer_keep_gradients(struct nn_trainer *t, bool on)
{
	for (int p = 0; p < t->model->n_params && on; p++) {
		if (t->slots[p].learns && !t->slots[p].kept)
			t->slots[p].kept = like_param(t, p);
		if (t->slots[p].learns && !t->slots[p].kept)
			return td_error(t->c)->status;
	}
	t->keep = on;
	return TD_OK;
}

td_status nn_trainer_gradient(struct nn_trainer *t, int p, float *out)
{
	if (!t->kept || !t->slots[p].has_kept)
		return TD_NOT_FOUND;
	td_read(t->slots[p].kept, out);
	return TD_OK;
}

td_status nn_trainer_draw(struct nn_trainer *t, const struct nn_batch *batch,
	void (*each)(void *arg, const td_node_view *node), void *arg, struct err *e)
{
	td_value *in[N_IN] = { batch->x, batch->y, batch->lengths, t->t, t->gate };
	struct nn_program *drawn = &t->step[0].program;

	for (int i = 0; i < VARIANTS && !drawn->session; i++)
		if (t->step[i].program.session)
			drawn = &t->step[i].program;
	return nn_program_draw(drawn, in, each, arg, e);
}
