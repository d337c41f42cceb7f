/* Batches: from the loader to tensors, and from what a model answered back to what people and metrics read. */
#include "worker/run.h"

#include <string.h>

const char *const run_split_series[DATA_SPLITS] = {
	[DATA_TRAIN] = "train", [DATA_VALIDATION] = "val", [DATA_TEST] = "test"
};
const char *const run_split_names[DATA_SPLITS] = {
	[DATA_TRAIN] = "train", [DATA_VALIDATION] = "validation", [DATA_TEST] = "test"
};

bool run_has_classes(const struct run *r)
{
	return r->facts->n_classes && (r->facts->target != DATA_TOKENS || r->facts->class_names);
}

bool batch_rooms_init(struct run *r)
{
	int64_t size = r->spec.data.batch_size;
	td_shape x = spec_batch_shape(&r->facts->x, size), y = spec_batch_shape(&r->facts->y, size);

	r->room.x = mem_try_alloc(td_shape_bytes(&x));
	r->room.y = mem_try_alloc(td_shape_bytes(&y));
	if (r->facts->has_lengths)
		r->room.lengths = MEM_NEW_N(int64_t, size);
	if (r->facts->target == DATA_VALUES) {
		r->own_answer = MEM_NEW_N(float, td_shape_count(&y));
		r->own_target = MEM_NEW_N(float, td_shape_count(&y));
	}
	if (r->room.x && r->room.y)
		return true;
	err_set(&r->err, TD_NO_MEMORY, "no memory for a batch of %lld samples", (long long)size);
	return false;
}

static void release_tensors(struct batch *b)
{
	td_unref(b->of.x);
	td_unref(b->of.y);
	td_unref(b->of.lengths);
	*b = (struct batch){ 0 };
}

void batch_rooms_release(struct run *r)
{
	for (size_t i = 0; i < TD_COUNT(r->batches); i++)
		release_tensors(&r->batches[i]);
	mem_free(r->room.x);
	mem_free(r->room.y);
	mem_free(r->room.lengths);
	mem_free(r->own_answer);
	mem_free(r->own_target);
}

static bool make_tensors(struct run *r, struct batch *b, int64_t n)
{
	td_shape x = spec_batch_shape(&r->facts->x, n), y = spec_batch_shape(&r->facts->y, n),
		 lengths = td_shape_make(TD_I64, 1, n);

	release_tensors(b);
	b->n = n;
	b->of.x = td_tensor(r->c, &x, NULL);
	b->of.y = td_tensor(r->c, &y, NULL);
	if (r->facts->has_lengths)
		b->of.lengths = td_tensor(r->c, &lengths, NULL);
	if (!td_error(r->c)->status)
		return true;
	err_set(&r->err, td_error(r->c)->status, "a batch of %lld samples: %s", (long long)n, td_error(r->c)->text);
	return false;
}

struct batch *run_batch(
	struct run *r, enum data_split split, int64_t epoch, const int64_t *order, int64_t first, int64_t n)
{
	struct batch *b = &r->batches[n != r->spec.data.batch_size];

	if (loader_batch(r->loader, split, epoch, order, first, n, &r->room, &r->err)) {
		r->err_pointer = "/data/dataset";
		return NULL;
	}
	if (b->n != n && !make_tensors(r, b, n))
		return NULL;
	td_write(b->of.x, r->room.x);
	td_write(b->of.y, r->room.y);
	if (b->of.lengths)
		td_write(b->of.lengths, r->room.lengths);
	return b;
}

/* Outputs and targets of values in the target's own units. */
static void to_own_units(struct run *r, int64_t n, int64_t width, const float *answer)
{
	const float *target = r->room.y;

	for (int64_t i = 0; i < n * width; i++) {
		r->own_answer[i] = (float)loader_own_units(r->loader, (int)(i % width), answer[i]);
		r->own_target[i] = (float)loader_own_units(r->loader, (int)(i % width), target[i]);
	}
}

/* Labels that the loss does not count are no metric's either. */
static void leave_out(struct run *r, int64_t n_labels)
{
	const struct nn_loss_type *loss = spec_loss(&r->spec);
	int64_t *label = r->room.y, ignored = loss->ignores ? loss->ignores(r->spec.loss.options) : DATA_IGNORE;

	for (int64_t i = 0; i < n_labels; i++)
		if (label[i] == ignored)
			label[i] = DATA_IGNORE;
}

struct nn_answers run_answers(struct run *r, int64_t n, const float *answer, const float *each)
{
	struct nn_answers a = { .n = n, .steps = 1, .answer = answer, .loss = each };
	td_shape of_answer, of_each;

	nn_trainer_answer_shape(r->trainer, n, &of_answer, &of_each);
	a.width = of_answer.dim[of_answer.rank - 1];
	a.n_losses = td_shape_count(&of_each) / n;
	switch (r->facts->target) {
	case DATA_CLASS:
		leave_out(r, n);
		a.label = r->room.y;
		break;
	case DATA_SHARES: a.share = r->room.y; break;
	case DATA_TOKENS:
		a.steps = r->facts->y.dim[0];
		leave_out(r, n * a.steps);
		a.label = r->room.y;
		break;
	case DATA_VALUES:
		to_own_units(r, n, a.width, answer);
		a.answer = r->own_answer;
		a.value = r->own_target;
		break;
	}
	return a;
}

bool answer_rooms(struct run *r, int64_t n, float **answer, float **each)
{
	td_shape of_answer, of_each;

	nn_trainer_answer_shape(r->trainer, n, &of_answer, &of_each);
	*answer = mem_try_alloc(td_shape_bytes(&of_answer));
	*each = mem_try_alloc(td_shape_bytes(&of_each));
	if (*answer && *each)
		return true;
	err_set(&r->err, TD_NO_MEMORY, "no memory for the answers to a batch of %lld samples", (long long)n);
	return false;
}

bool answers_count(const struct nn_answers *a, int64_t i)
{
	return !a->label || a->label[i] != DATA_IGNORE;
}

double answers_loss(const struct nn_answers *a, int64_t i, double none)
{
	int64_t n = 0;
	double sum = 0;

	for (int64_t k = i * a->n_losses; k < (i + 1) * a->n_losses; k++)
		if (answers_count(a, k)) {
			sum += a->loss[k];
			n++;
		}
	return n ? sum / (double)n : none;
}
