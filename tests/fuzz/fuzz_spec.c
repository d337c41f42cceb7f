/* Jobs from outside: the input's bytes choose a dataset's info and a whole spec from the tables of options themselves.
 * The spec is checked as the worker checks it.  What is accepted and small is then trained for two steps, one of them
 * eagerly and one as a graph, and the other way round: both accept it as well, with the same bits. */
#include <math.h>
#include <stdio.h>
#include "documents.h"
#include "worker/spec.h"
#include "worker/worker.h"

#define DOCUMENT_MOST    60000
#define PARAMETERS_MOST  20000 /* of a model that is trained here */
#define ACTIVATIONS_MOST (1 << 18)
#define FLOPS_MOST       1e6
#define LAYERS_MOST      24
#define SAMPLES_MOST     9 /* of the datasets below */
#define STEPS            2
#define BATCHES_MOST     2 /* of a step */

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

#define INFO(dataset, kind, train, test)                                                                               \
	"{\"version\":1,\"dataset\":\"" dataset "\",\"kind\":\"" kind "\",\"parts\":{\"train\":{\"samples\":" train    \
	"},\"test\":{\"samples\":" test "}},"
static const char *const infos[] = {
	INFO("pictures", "images", "5", "2") "\"image\":{\"channels\":3,\"height\":8,\"width\":8},"
					     "\"classes\":[\"a\",\"b\",\"c\"]}",
	INFO("grey", "images", "4", "0") "\"image\":{\"channels\":1,\"height\":7,\"width\":5},"
					 "\"classes\":[\"a\",\"b\"]}",
	INFO("rows", "arrays", "6", "3") "\"x\":{\"dtype\":\"float32\",\"shape\":[4]},"
					 "\"y\":{\"dtype\":\"int64\",\"shape\":[]},\"classes\":[\"a\",\"b\",\"c\"]}",
	INFO("signals", "arrays", "5", "0") "\"x\":{\"dtype\":\"float32\",\"shape\":[2,6]},"
					    "\"y\":{\"dtype\":\"float32\",\"shape\":[3]}}",
	INFO("numbers", "arrays", "4", "0") "\"x\":{\"dtype\":\"float32\",\"shape\":[]},"
					    "\"y\":{\"dtype\":\"float32\",\"shape\":[]}}",
	INFO("codes", "arrays", "5", "0") "\"x\":{\"dtype\":\"int64\",\"shape\":[3]},"
					  "\"y\":{\"dtype\":\"int64\",\"shape\":[]},\"classes\":[\"a\",\"b\"]}",
	INFO("houses", "table", "9", "0") "\"columns\":[{\"name\":\"size\",\"type\":\"number\",\"missing\":1},"
					  "{\"name\":\"price\",\"type\":\"number\",\"missing\":0},"
					  "{\"name\":\"kind\",\"type\":\"category\",\"missing\":1,"
					  "\"categories\":[\"a\",\"b\",\"c\"]},"
					  "{\"name\":\"a\",\"type\":\"other\",\"missing\":0}]}",
	INFO("book", "text", "90", "30") "\"characters\":7,\"words\":5}",
	INFO("reviews", "labelled_text", "6", "2") "\"classes\":[\"bad\",\"good\"],\"characters\":6,\"words\":8,"
						   "\"longest\":{\"characters\":5,\"words\":4}}",
	INFO("tags", "tagged_text", "5", "0") "\"classes\":[\"x\",\"y\",\"z\"],\"words\":6,\"longest\":4}",
	"null",
	"{\"version\":1,\"dataset\":\"empty\",\"kind\":\"images\"}",
};

/* ---- Training: what was accepted learns -------------------------------------------------------------------------- */

/* A model with its trainer, and the batch that it meets. */
struct training {
	const struct spec *spec;
	const struct data_facts *facts;
	td_ctx *c;
	struct nn_model *model;
	struct nn_trainer *trainer;
	td_value *made[3]; /* owned: x, y, lengths */
	int64_t n;         /* samples of a batch */
};

static bool is_small(const struct nn_model *m)
{
	int64_t n_bytes = 0;

	for (int i = 0; i < m->n_layers; i++)
		n_bytes += (int64_t)td_shape_bytes(&m->layers[i].out);
	return m->n_parameters <= PARAMETERS_MOST && n_bytes <= ACTIVATIONS_MOST && m->flops <= FLOPS_MOST &&
	       m->n_layers <= LAYERS_MOST && m->in.dim[0] <= SAMPLES_MOST;
}

static int64_t length_of(int64_t sample, int64_t steps)
{
	return 1 + sample % steps;
}

static td_value *make_inputs(const struct training *t)
{
	td_shape s = spec_batch_shape(&t->facts->x, t->n);
	int64_t n = td_shape_count(&s), n_tokens = TD_MAX(t->facts->n_tokens, 1);
	td_value *v = td_tensor(t->c, &s, NULL);

	for (int64_t i = 0; i < n; i++)
		if (s.dtype == TD_I64)
			((int64_t *)td_data(v))[i] = (i * 5 + 1) % n_tokens;
		else
			((float *)td_data(v))[i] = (float)((i * 37 + 11) % 101) / 50 - 1;
	return v;
}

static td_value *make_targets(const struct training *t)
{
	const struct data_facts *f = t->facts;
	td_shape s = spec_batch_shape(&f->y, t->n);
	int64_t n = td_shape_count(&s), of_one = n / TD_MAX(t->n, 1), steps = f->x.rank ? f->x.dim[0] : 1;
	td_value *v = td_tensor(t->c, &s, NULL);

	for (int64_t i = 0; i < n; i++) {
		int64_t sample = i / of_one, k = i % of_one;

		if (f->target == DATA_SHARES)
			((float *)td_data(v))[i] = 1 / (float)of_one;
		else if (f->target == DATA_VALUES)
			((float *)td_data(v))[i] = (float)((i * 7 + 3) % 11) / 10;
		else if (f->has_lengths && f->target == DATA_TOKENS && k >= length_of(sample, steps))
			((int64_t *)td_data(v))[i] = DATA_IGNORE;
		else
			((int64_t *)td_data(v))[i] = (i * 3 + 1) % TD_MAX(f->n_classes, 1);
	}
	return v;
}

static td_value *make_lengths(const struct training *t)
{
	td_shape s = td_shape_make(TD_I64, 1, t->n);
	td_value *v = td_tensor(t->c, &s, NULL);

	for (int64_t i = 0; i < t->n; i++)
		((int64_t *)td_data(v))[i] = length_of(i, t->facts->x.dim[0]);
	return v;
}

static bool next(void *arg, int i, struct nn_batch *batch)
{
	struct training *t = arg;

	(void)i;
	*batch = (struct nn_batch){ t->made[0], t->made[1], t->made[2] };
	return true;
}

static void train_init(struct training *t, const struct spec *s, const struct loader *l, struct faults *faults)
{
	*t = (struct training){ .spec = s, .facts = loader_facts(l) };
	t->c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = (uint64_t)s->seed });
	t->model = spec_model(s, t->facts, faults);
	TD_ASSERT(t->model);
	t->n = t->model->in.dim[0];
	TD_ASSERT(!nn_model_allocate(t->model, t->c, (uint64_t)s->seed));
	t->made[0] = make_inputs(t);
	t->made[1] = make_targets(t);
	t->made[2] = t->facts->has_lengths ? make_lengths(t) : NULL;
	t->trainer = nn_trainer_create(&(struct nn_trainer_options){ .c = t->c,
		.model = t->model,
		.loss = s->loss,
		.optimizer = s->optimizer,
		.facts = t->facts,
		.clip_norm = s->train.clip_norm,
		.clip_value = s->train.clip_value,
		.moves_momentum = nn_schedule_momentum(&s->schedule, 1, 1, 1) >= 0,
		.ema_decay = s->train.ema.decay,
		.accumulate = s->train.accumulate });
	if (!t->trainer)
		TD_BUG("what was accepted makes no trainer: %s", td_error(t->c)->text);
}

static void train_release(struct training *t)
{
	for (int i = 0; i < 3; i++)
		td_unref(t->made[i]);
	nn_trainer_free(t->trainer);
	nn_model_free(t->model);
	td_ctx_free(t->c);
}

static struct nn_step_result train_step(struct training *t, int64_t number, bool graph)
{
	const struct spec *s = t->spec;
	struct nn_plateau plateau = NN_PLATEAU_START;
	struct nn_step_result r = { 0 };
	int64_t n_steps = spec_steps(s, t->facts->n[DATA_TRAIN]);
	struct nn_step step = { .number = number,
		.factor = nn_schedule_factor(&s->schedule, &plateau, TD_MIN(number, n_steps),
			spec_epoch_steps(s, t->facts->n[DATA_TRAIN]), n_steps),
		.momentum = nn_schedule_momentum(
			&s->schedule, TD_MIN(number, n_steps), spec_epoch_steps(s, t->facts->n[DATA_TRAIN]), n_steps),
		.n_batches = (int)TD_MIN(s->train.accumulate, BATCHES_MOST),
		.next = next,
		.arg = t };

	TD_ASSERT(isfinite(step.factor));
	nn_trainer_set_mode(t->trainer, graph);
	if (nn_trainer_step(t->trainer, &step, &r))
		TD_BUG("what was accepted is refused %s: %s", graph ? "as a graph" : "eagerly", td_error(t->c)->text);
	return r;
}

/* Two trainings side by side, which are to stay the same. */
struct bits {
	const char *name;
	size_t n;
	void *bytes; /* owned */
};
struct listing {
	struct bits *items; /* owned */
	int n;
};

static void keep(void *arg, const char *name, td_value *v)
{
	struct listing *l = arg;
	size_t n = td_shape_bytes(td_shape_of(v));

	l->items = mem_realloc(l->items, sizeof *l->items * (size_t)(l->n + 1));
	l->items[l->n] = (struct bits){ mem_strdup(name), n, mem_alloc(n + 1) };
	td_read(v, l->items[l->n++].bytes);
}

static void listing_release(struct listing *l)
{
	for (int i = 0; i < l->n; i++) {
		mem_free((char *)l->items[i].name);
		mem_free(l->items[i].bytes);
	}
	mem_free(l->items);
}

static void compare_tensors(struct training *a, struct training *b)
{
	struct listing x = { 0 }, y = { 0 };

	nn_trainer_tensors(a->trainer, keep, &x);
	nn_trainer_tensors(b->trainer, keep, &y);
	TD_ASSERT(x.n == y.n);
	for (int i = 0; i < x.n; i++)
		if (x.items[i].n != y.items[i].n || memcmp(x.items[i].bytes, y.items[i].bytes, x.items[i].n) != 0)
			TD_BUG("%s differs between eager mode and graph", x.items[i].name);
	listing_release(&x);
	listing_release(&y);
}

static float *evaluate(struct training *t, bool graph, int64_t *n)
{
	td_shape answer, each;
	struct nn_batch batch;
	float *room;

	nn_trainer_answer_shape(t->trainer, t->n, &answer, &each);
	*n = td_shape_count(&answer) + td_shape_count(&each);
	room = mem_alloc(sizeof *room * (size_t)(*n + 1));
	next(t, 0, &batch);
	nn_trainer_set_mode(t->trainer, graph);
	if (nn_trainer_evaluate(t->trainer, &batch, room, room + td_shape_count(&each)))
		TD_BUG("what was accepted is not evaluated %s: %s", graph ? "as a graph" : "eagerly",
			td_error(t->c)->text);
	return room;
}

static void compare_evaluations(struct training *a, struct training *b)
{
	int64_t n, m;
	float *x = evaluate(a, false, &n), *y = evaluate(b, true, &m);

	TD_ASSERT(n == m && memcmp(x, y, sizeof *x * (size_t)n) == 0);
	mem_free(x);
	mem_free(y);
}

static void train(const struct spec *s, const struct loader *l, struct faults *faults)
{
	struct training a, b;

	train_init(&a, s, l, faults);
	train_init(&b, s, l, faults);
	for (int64_t number = 1; number <= STEPS; number++) {
		struct nn_step_result x = train_step(&a, number, number & 1), y = train_step(&b, number, !(number & 1));

		TD_ASSERT(x.n == y.n && !memcmp(&x.loss, &y.loss, sizeof x.loss) &&
			  !memcmp(&x.grad_norm, &y.grad_norm, sizeof x.grad_norm));
	}
	compare_tensors(&a, &b);
	compare_evaluations(&a, &b);
	train_release(&a);
	train_release(&b);
}

/* ---- Checking ---------------------------------------------------------------------------------------------------- */

/* SPEC was accepted with INFO: it is read again, with nothing to find fault with. */
static void use(const cJSON *document, const cJSON *info)
{
	struct nn_model *m;
	struct loader *l;
	struct faults faults;
	struct spec s;

	faults_init(&faults);
	spec_read(document, &s, &faults);
	l = loader_create(&s.data, info, &faults);
	TD_ASSERT(l);
	spec_meet_data(&s, loader_facts(l), &faults);
	m = spec_model(&s, loader_facts(l), &faults);
	TD_ASSERT(m && !faults.n_found);
	if (is_small(m))
		train(&s, l, &faults);
	nn_model_free(m);
	loader_free(l);
	spec_release(&s);
	faults_release(&faults);
}

static void check(cJSON *document, cJSON *info, bool trains)
{
	cJSON *message = cJSON_CreateObject(), *answer;
	int n_faults;

	cJSON_AddNumberToObject(message, "id", 1);
	cJSON_AddItemReferenceToObject(message, "spec", document);
	cJSON_AddItemReferenceToObject(message, "data", info);
	answer = worker_check(message);
	n_faults = cJSON_GetArraySize(json_get(answer, "faults"));
	for (int i = 0; i < n_faults; i++) {
		const cJSON *fault = cJSON_GetArrayItem(json_get(answer, "faults"), i);

		TD_ASSERT(*json_string(fault, "detail", "") && cJSON_IsString(json_get(fault, "pointer")));
	}
	if (!n_faults && cJSON_IsObject(info)) {
		TD_ASSERT(cJSON_GetArraySize(json_get(answer, "layers")) > 0 && json_int(answer, "steps", 0) > 0);
		if (trains)
			use(document, info);
	}
	cJSON_Delete(answer);
	cJSON_Delete(message);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	bool written = n && data[0] == '{'; /* a document as it is; else bytes that choose one */
	struct choices c = { .data = data, .n = n };
	const char *info_text = infos[written ? 0 : pick(&c, TD_COUNT(infos))];
	bool trains = !written && !pick(&c, 2);
	struct buf text;
	struct err e = { 0 };
	cJSON *document, *info = json_parse(info_text, strlen(info_text), &e);

	TD_ASSERT(info);
	buf_init(&text, DOCUMENT_MOST);
	if (!written)
		write_section(&c, &spec_type, &text, 0);
	document = text.full ? NULL
		   : written ? json_parse((const char *)data, n, &e)
			     : json_parse(text.data, text.len, &e);
	if (document)
		check(document, info, trains);
	cJSON_Delete(document);
	cJSON_Delete(info);
	buf_release(&text);
	return 0;
}
