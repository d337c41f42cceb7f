/* Reading a spec, and the checks that take more than one option. */
#include "worker/spec.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MOST 1e9 /* of a training, however its length was given */

/* ---- What follows from it ---------------------------------------------------------------------------------------- */

int64_t spec_epoch_steps(const struct spec *s, int64_t n_train)
{
	return data_batches(data_batches(n_train, s->data.batch_size), s->train.accumulate);
}

int64_t spec_steps(const struct spec *s, int64_t n_train)
{
	return s->train.steps ? s->train.steps : s->train.epochs * spec_epoch_steps(s, n_train);
}

bool spec_keeps_best(const struct spec *s)
{
	return strcmp(s->train.keep.best, "none") != 0;
}

const struct nn_loss_type *spec_loss(const struct spec *s)
{
	return (const struct nn_loss_type *)s->loss.type;
}

const struct nn_optimizer_type *spec_optimizer(const struct spec *s)
{
	return (const struct nn_optimizer_type *)s->optimizer.type;
}

const struct nn_schedule_type *spec_schedule(const struct spec *s)
{
	return (const struct nn_schedule_type *)s->schedule.type;
}

const struct nn_metric_type *spec_metric(const struct spec *s, int i)
{
	return (const struct nn_metric_type *)s->metrics.items[i].type;
}

const char *spec_watched(const struct spec *s)
{
	const struct nn_schedule_type *t = spec_schedule(s);

	return t && t->observe ? t->watches(s->schedule.options) : NULL;
}

int spec_series(const struct spec *s, const char *name)
{
	char metric[NN_METRIC_NAME];

	if (strncmp(name, "val/", 4) != 0)
		return -1;
	if (!strcmp(name + 4, "loss"))
		return 0;
	for (int i = 0; i < s->metrics.n; i++)
		if (!strcmp(name + 4, nn_metric_name(&s->metrics.items[i], metric)))
			return 1 + i;
	return -1;
}

bool spec_smaller_is_better(const struct spec *s, int i)
{
	return !i || spec_metric(s, i - 1)->smaller_is_better;
}

td_shape spec_batch_shape(const td_shape *sample, int64_t n)
{
	td_shape batch = *sample;

	TD_ASSERT(sample->rank < TD_MAX_RANK);
	memmove(batch.dim + 1, sample->dim, sizeof *batch.dim * (size_t)sample->rank);
	batch.dim[0] = n;
	batch.rank++;
	return batch;
}

/* ---- Series that something looks at ------------------------------------------------------------------------------ */

/* NAME, which stands at POINTER, must be a series that each validation has. */
static void check_series(const struct spec *s, const char *name, const char *pointer, struct faults *f)
{
	char names[1 + NN_METRICS_MOST][SPEC_SERIES], metric[NN_METRIC_NAME];
	const char *known[1 + NN_METRICS_MOST], *near;
	struct buf list;

	if (s->train.validate_every == SPEC_NEVER || s->data.split.validation <= 0) {
		faults_add(f, pointer,
			"\"%.60s\" needs a validation split; set /data/split/validation, and do not switch it off",
			name);
		return;
	}
	if (spec_series(s, name) >= 0)
		return;
	buf_init(&list, 1000);
	for (int i = 0; i <= s->metrics.n; i++) {
		snprintf(
			names[i], SPEC_SERIES, "val/%s", i ? nn_metric_name(&s->metrics.items[i - 1], metric) : "loss");
		known[i] = names[i];
		buf_printf(&list, "%s\"%s\"", i ? ", " : "", names[i]);
	}
	near = nearest_name(name, known, 1 + (size_t)s->metrics.n);
	if (near)
		faults_add(f, pointer, "no validation gives \"%.60s\"; did you mean \"%s\"?", name, near);
	else
		faults_add(f, pointer, "no validation gives \"%.60s\"; there are %s; others come from /metrics", name,
			list.data);
	buf_release(&list);
}

/* Whether anything is decided by validations. */
static bool is_watched(const struct spec *s)
{
	return spec_keeps_best(s) || s->train.early_stopping.metric || spec_watched(s);
}

static void check_watched(const struct spec *s, struct faults *f)
{
	if (spec_keeps_best(s))
		check_series(s, s->train.keep.best, "/train/keep/best", f);
	if (s->train.early_stopping.metric)
		check_series(s, s->train.early_stopping.metric, "/train/early_stopping/metric", f);
	if (spec_watched(s))
		check_series(s, spec_watched(s), "/schedule/metric", f);
}

/* ---- Against itself ---------------------------------------------------------------------------------------------- */

static void check_metrics(const struct spec *s, struct faults *f)
{
	char name[NN_METRIC_NAME], other[NN_METRIC_NAME];

	for (int i = 0; i < s->metrics.n; i++)
		for (int k = 0; k < i; k++)
			if (!strcmp(nn_metric_name(&s->metrics.items[i], name),
				    nn_metric_name(&s->metrics.items[k], other))) {
				char *pointer = mem_printf("/metrics/%d", i);
				faults_add(f, pointer, "\"%s\" stands twice; keep one", name);
				mem_free(pointer);
			}
}

static void check_train(const struct spec *s, struct faults *f)
{
	if (s->train.epochs && s->train.steps)
		faults_add(f, "/train", "both \"epochs\" (%lld) and \"steps\" (%lld) are given; keep one",
			(long long)s->train.epochs, (long long)s->train.steps);
	else if (!s->train.epochs && !s->train.steps)
		faults_add(f, "/train", "neither \"epochs\" nor \"steps\" says how long to train; give one");
}

static void check_init(const struct spec *s, const cJSON *document, struct faults *f)
{
	const struct spec_init *from = &s->init_from;
	bool model = from->model && *from->model, job = from->job && *from->job;

	if (model && job)
		faults_add(f, "/init_from", "both a model (\"%.60s\") and a job (\"%.60s\") are given; keep one",
			from->model, from->job);
	else if (json_get(document, "init_from") && !model && !job)
		faults_add(f, "/init_from",
			"neither a model nor a job is named; give \"model\" or \"job\", or leave it out");
	else if (from->checkpoint && !job)
		faults_add(f, "/init_from/checkpoint", "a checkpoint is one of a job; give \"job\" too");
}

static void read_spec(const cJSON *document, bool stored, struct spec *out, struct faults *faults)
{
	memset(out, 0, sizeof *out);
	arena_init(&out->arena);
	if (stored)
		opt_read_stored(&spec_type, document, out, &out->arena, faults);
	else
		opt_read(&spec_type, document, "", out, &out->arena, faults);
	if (faults->n_found)
		return; /* what follows would be about values that nobody chose */
	check_metrics(out, faults);
	check_train(out, faults);
	check_init(out, document, faults);
	if (spec_optimizer(out)->check)
		spec_optimizer(out)->check(out->optimizer.options, "/optimizer", faults);
	if (spec_schedule(out)->check)
		spec_schedule(out)->check(out->schedule.options, "/schedule", faults);
	nn_schedule_check_optimizer(&out->schedule, &out->optimizer, "/schedule", faults);
	if (out->metrics.items)
		check_watched(out, faults);
}

void spec_read(const cJSON *document, struct spec *out, struct faults *faults)
{
	read_spec(document, false, out, faults);
}

void spec_read_stored(const cJSON *document, struct spec *out, struct faults *faults)
{
	read_spec(document, true, out, faults);
}

void spec_release(struct spec *s)
{
	arena_release(&s->arena);
	memset(s, 0, sizeof *s);
}

/* ---- Against the data -------------------------------------------------------------------------------------------- */

/* The metric that a job has when it names none. */
static void choose_metric(struct spec *s, const struct data_facts *facts, struct faults *f)
{
	const char *name = facts->target == DATA_VALUES ? "mae" : "accuracy";
	struct opt_choice *choice = arena_alloc(&s->arena, sizeof *choice);

	for (int i = 0; i < nn_metrics.n_types; i++)
		if (!strcmp(nn_metrics.types[i]->name, name))
			choice->type = nn_metrics.types[i];
	TD_ASSERT(choice->type);
	choice->options = arena_alloc(&s->arena, TD_MAX(choice->type->n_bytes, 1));
	opt_read(choice->type, NULL, "/metrics/0", choice->options, &s->arena, f);
	s->metrics = (struct opt_choices){ .items = choice, .n = 1 };
}

void spec_meet_data(struct spec *s, const struct data_facts *facts, struct faults *faults)
{
	if (!s->metrics.items) {
		choose_metric(s, facts, faults);
		check_watched(s, faults);
	}
	for (int i = 0; i < s->metrics.n; i++) {
		struct err why = { 0 };
		char *pointer = mem_printf("/metrics/%d", i);

		if (spec_metric(s, i)->check && !spec_metric(s, i)->check(s->metrics.items[i].options, facts, &why))
			faults_add(faults, pointer, "%s", why.text);
		mem_free(pointer);
	}
	if (!facts->n[DATA_VALIDATION] && s->data.split.validation > 0 && is_watched(s))
		faults_add(faults, "/data/split/validation",
			"%g of the samples of %s are not even one, but something is decided by validations: the best, "
			"an early stop or a plateau; take more",
			s->data.split.validation, facts->dataset);
	if (facts->n[DATA_TRAIN] < 1)
		faults_add(faults, "/data/split",
			"validation and test leave none of the samples of %s to train with; take fewer",
			facts->dataset);
	else if ((double)s->train.epochs * (double)spec_epoch_steps(s, facts->n[DATA_TRAIN]) > STEPS_MOST)
		faults_add(faults, "/train/epochs",
			"%lld epochs of %lld steps are more than the %.0f steps that are possible",
			(long long)s->train.epochs, (long long)spec_epoch_steps(s, facts->n[DATA_TRAIN]), STEPS_MOST);
}

/* ---- The model --------------------------------------------------------------------------------------------------- */

/* The process before its data: program, libraries, stacks.  Measured: 40 MiB with two threads. */
#define PROCESS_BYTES ((int64_t)48 << 20)

/* What a training of M takes at about its peak, STEP_BYTES of it for the values of a step. */
static int64_t training_bytes(const struct spec *s, const struct nn_model *m, const struct data_facts *facts,
	int64_t data_bytes, int64_t step_bytes)
{
	int64_t n_state = nn_optimizer_states(spec_optimizer(s), s->optimizer.options),
		size = (int64_t)td_dtype_size(TD_F32),
		n_evaluated = TD_MAX(facts->n[DATA_VALIDATION], facts->n[DATA_TEST]),
		n_gradients = (s->train.accumulate > 1) + (s->log.histograms_every > 0) +
			      ((s->train.clip_norm > 0 || s->train.clip_value > 0) && s->mode == SPEC_EAGER);

	if (s->train.ema.decay > 0)
		n_state++; /* the average */

	/* parameter, its gradient once more (summed over batches, kept for histograms, clipped) and state; a checkpoint is
	 * put together in memory; a batch, as it is loaded and as it is read; its answers on the host; what an evaluation
	 * keeps of each sample; the order of an epoch */
	return PROCESS_BYTES + data_bytes + m->n_parameters * size * (1 + n_gradients + n_state + 1 + n_state) +
	       step_bytes + 2 * (int64_t)td_shape_bytes(&m->in) + (int64_t)td_shape_bytes(&m->out) +
	       n_evaluated * 3 * size + facts->n[DATA_TRAIN] * (int64_t)sizeof(int64_t);
}

static bool learns(const struct nn_model *m)
{
	for (int i = 0; i < m->n_params; i++)
		if (!m->params[i].buffer && !m->params[i].frozen)
			return true;
	return false;
}

/* A last batch of one sample would end the training at the end of its first epoch; the batches before it are as large
 * as that which the model was built for. */
static void check_last_batch(
	const struct spec *s, const struct nn_model *m, const struct data_facts *facts, struct faults *f)
{
	const struct nn_layer *l = nn_needs_samples(m);
	int64_t n = facts->n[DATA_TRAIN], other = s->data.batch_size + 1;

	if (!l || n % s->data.batch_size != 1 || spec_steps(s, n) < spec_epoch_steps(s, n))
		return;
	while (n % other == 1)
		other++;
	faults_add(f, "/data/batch_size",
		"layer %s (%s) needs more than one value for each channel, but %lld samples in batches of %lld leave a "
		"last batch of one; take %lld, for example",
		l->name, l->type->type.name, (long long)n, (long long)s->data.batch_size, (long long)other);
}

static void check_model(const struct spec *s, struct nn_model *m, const struct data_facts *facts, struct faults *f)
{
	struct err why = { 0 };

	if (!m->n_parameters) {
		faults_add(f, s->model.layers.n ? "/model/layers" : "/model",
			"no layer has parameters, so there is nothing to train; add a \"linear\" or a \"conv2d\"");
		return;
	}
	nn_model_freeze(m, &s->freeze, "/freeze", f);
	if (!f->n_found && !learns(m))
		faults_add(f, "/freeze", "all %lld parameters are frozen, so there is nothing to train; freeze fewer",
			(long long)m->n_parameters);
	nn_optimizer_check_model(&s->optimizer, m, "/optimizer", f);
	check_last_batch(s, m, facts, f);
	if (!spec_loss(s)->check(s->loss.options, &m->out, facts, &why))
		faults_add(f, m->layers[m->output].pointer, "%s", why.text);
}

struct nn_model *spec_model(const struct spec *s, const struct data_facts *facts, struct faults *faults)
{
	td_shape in = spec_batch_shape(&facts->x, TD_MIN(s->data.batch_size, facts->n[DATA_TRAIN]));
	struct nn_model *m = nn_model_create(&s->model, &in, facts->n_tokens, facts->has_lengths, faults);

	if (m)
		check_model(s, m, facts, faults);
	if (m && faults->n_found) {
		nn_model_free(m);
		m = NULL;
	}
	return m;
}

int64_t spec_rehearse(const struct spec *s, struct nn_model *m, const struct data_facts *facts, int64_t data_bytes,
	td_warning_fn *warn, void *arg, struct faults *f)
{
	struct nn_rehearsal r = {
		.model = m, .loss = &s->loss, .facts = facts, .graph = s->mode == SPEC_GRAPH, .warn = warn, .arg = arg
	};
	int64_t most = s->resources.memory_mb << 20, bytes;
	struct err why = { 0 };

	if (nn_rehearse(&r, &why)) {
		faults_add(f, "/loss", "%s", why.text);
		return 0;
	}
	bytes = training_bytes(s, m, facts, data_bytes, (int64_t)r.n_bytes);
	if (bytes > most)
		faults_add(f, "/resources/memory_mb",
			"this job needs about %lld MiB (%lld parameters, %lld MiB for a step on a batch of %lld), more "
			"than its %lld; ask for more, or use a smaller model or batch_size",
			(long long)(bytes >> 20), (long long)m->n_parameters, (long long)(r.n_bytes >> 20),
			(long long)m->in.dim[0], (long long)s->resources.memory_mb);
	return bytes;
}
