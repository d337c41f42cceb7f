/* The spec's sections as tables of options, and the checks that take more than one option. */
#include "worker/spec.h"

#include <string.h>

#define AT(member) offsetof(struct spec, member)

#define TEXT_MOST          200 /* characters of a name, a project, a tag */
#define NOTES_MOST         10000
#define TAGS_MOST          32
#define EPOCHS_MOST        1e6
#define STEPS_MOST         1e9 /* about a year of steps of 30 ms */
#define BATCH_MOST         65536
#define TRANSFORMS_MOST    16
#define TIMEOUT_MOST       (365 * 86400.0)
#define THREADS_MOST_ASKED 256
#define MEMORY_LEAST       64 /* MiB: the process with its libraries */
#define MEMORY_MOST        (1 << 20)

/* Sections' options lie at offsets from the section's own place. */
#define WITHIN(section, member) (AT(section.member) - AT(section))

static const char *const mode_names[] = { "graph", "eager", NULL };
static const char *const defaults_names[] = { "pytorch", NULL };
static const char *const by_names[] = { "end", "random", NULL };
static const char *const validate_words[] = { "epoch", "never", NULL };
static const char *const best_names[] = { "none", "val/loss", "val/accuracy", NULL };
static const char *const device_names[] = { "auto", "cpu", NULL };

static const struct opt split_opts[] = {
	{ .name = "validation",
		.kind = OPT_COUNT_OR_PART,
		.at = WITHIN(data.split, validation),
		.value = "0",
		.low = 0,
		.high = 1e9,
		.doc = "Training samples that are set apart: a count, or a fraction between 0 and 1." },
	{ .name = "by",
		.kind = OPT_ENUM,
		.at = WITHIN(data.split, by),
		.value = "\"end\"",
		.names = by_names,
		.doc = "Which: the last ones, or random ones by the job's seed." },
};
static const struct opt_type split_section = { .name = "split",
	.doc = "How training samples are divided.",
	.options = split_opts,
	.n_options = TD_COUNT(split_opts) };

static const struct opt data_opts[] = {
	{ .name = "dataset",
		.kind = OPT_ENUM,
		.at = WITHIN(data, dataset),
		.names = data_names,
		.required = true,
		.doc = "The dataset's name." },
	{ .name = "batch_size",
		.kind = OPT_INT,
		.at = WITHIN(data, batch_size),
		.value = "64",
		.low = 1,
		.high = BATCH_MOST,
		.doc = "Samples of one step; the last batch of an epoch may be smaller." },
	{ .name = "limit",
		.kind = OPT_INT,
		.at = WITHIN(data, limit),
		.low = 1,
		.high = 1e9,
		.doc = "Take the first so many training samples; all where it is not given." },
	{ .name = "split",
		.kind = OPT_SECTION,
		.at = WITHIN(data, split),
		.section = &split_section,
		.doc = "Samples set apart for validation." },
	{ .name = "transforms",
		.kind = OPT_CHOICES,
		.at = WITHIN(data, transforms),
		.value = "[]",
		.most = TRANSFORMS_MOST,
		.family = &data_transforms,
		.doc = "Applied in order to every image, whose values are in [0, 1] at first." },
	{ .name = "shuffle",
		.kind = OPT_BOOL,
		.at = WITHIN(data, shuffle),
		.value = "true",
		.doc = "Meet the training samples in another order in each epoch." },
};
static const struct opt_type data_section = {
	.name = "data", .doc = "What is learned from.", .options = data_opts, .n_options = TD_COUNT(data_opts)
};

static const struct opt model_opts[] = {
	{ .name = "layers",
		.kind = OPT_CHOICES,
		.at = WITHIN(model, layers),
		.required = true,
		.least = 1,
		.most = NN_LAYERS_MOST,
		.family = &nn_layers,
		.doc = "Layers, the first one gets the images, the last one's output is the model's." },
};
static const struct opt_type model_section = {
	.name = "model", .doc = "What learns.", .options = model_opts, .n_options = TD_COUNT(model_opts)
};

static const struct opt keep_opts[] = {
	{ .name = "last",
		.kind = OPT_INT,
		.at = WITHIN(train.keep, last),
		.value = "1",
		.low = 1,
		.high = 1,
		.doc = "How many of the latest checkpoints are kept." },
	{ .name = "best",
		.kind = OPT_ENUM,
		.at = WITHIN(train.keep, best),
		.value = "\"none\"",
		.names = best_names,
		.doc = "Also keep the checkpoint with the best value of this series." },
};
static const struct opt_type keep_section = {
	.name = "keep", .doc = "Which checkpoints are kept.", .options = keep_opts, .n_options = TD_COUNT(keep_opts)
};

static const struct opt train_opts[] = {
	{ .name = "epochs",
		.kind = OPT_INT,
		.at = WITHIN(train, epochs),
		.low = 1,
		.high = EPOCHS_MOST,
		.doc = "How often every training sample is met; this or \"steps\"." },
	{ .name = "steps",
		.kind = OPT_INT,
		.at = WITHIN(train, steps),
		.low = 1,
		.high = STEPS_MOST,
		.doc = "How many batches are learned from; this or \"epochs\"." },
	{ .name = "validate_every",
		.kind = OPT_INT_OR_WORD,
		.at = WITHIN(train, validate_every),
		.value = "\"epoch\"",
		.low = 1,
		.high = STEPS_MOST,
		.names = validate_words,
		.doc = "After each epoch, never, or after every so many steps." },
	{ .name = "checkpoint_every",
		.kind = OPT_INT,
		.at = WITHIN(train, checkpoint_every),
		.value = "500",
		.low = 0,
		.high = STEPS_MOST,
		.doc = "Steps between checkpoints, besides those at the end of epochs; 0: those alone." },
	{ .name = "keep",
		.kind = OPT_SECTION,
		.at = WITHIN(train, keep),
		.section = &keep_section,
		.doc = "Which checkpoints are kept." },
};
static const struct opt_type train_section = { .name = "train",
	.doc = "How long, and what happens on the way.",
	.options = train_opts,
	.n_options = TD_COUNT(train_opts) };

static const struct opt log_opts[] = {
	{ .name = "every",
		.kind = OPT_INT,
		.at = WITHIN(log, every),
		.value = "10",
		.low = 1,
		.high = STEPS_MOST,
		.doc = "Steps from one point of the training series to the next." },
};
static const struct opt_type log_section = {
	.name = "log", .doc = "What is written down.", .options = log_opts, .n_options = TD_COUNT(log_opts)
};

static const struct opt resources_opts[] = {
	{ .name = "threads",
		.kind = OPT_INT,
		.at = WITHIN(resources, threads),
		.value = "1",
		.low = 1,
		.high = THREADS_MOST_ASKED,
		.doc = "Threads; no number depends on how many." },
	{ .name = "memory_mb",
		.kind = OPT_INT,
		.at = WITHIN(resources, memory_mb),
		.value = "1024",
		.low = MEMORY_LEAST,
		.high = MEMORY_MOST,
		.doc = "Memory in MiB; a job that needs more is refused or fails." },
	{ .name = "device",
		.kind = OPT_ENUM,
		.at = WITHIN(resources, device),
		.value = "\"auto\"",
		.names = device_names,
		.doc = "Where the job computes." },
};
static const struct opt_type resources_section = { .name = "resources",
	.doc = "What the job may use.",
	.options = resources_opts,
	.n_options = TD_COUNT(resources_opts) };

static const struct opt spec_opts[] = {
	{ .name = "name",
		.kind = OPT_STRING,
		.at = AT(name),
		.value = "\"\"",
		.high = TEXT_MOST,
		.doc = "For people; the dataset's name where it is empty." },
	{ .name = "project",
		.kind = OPT_STRING,
		.at = AT(project),
		.value = "\"\"",
		.high = TEXT_MOST,
		.doc = "Jobs of one project are listed together." },
	{ .name = "tags",
		.kind = OPT_STRINGS,
		.at = AT(tags),
		.value = "[]",
		.high = TEXT_MOST,
		.most = TAGS_MOST,
		.doc = "Words to find the job by." },
	{ .name = "notes",
		.kind = OPT_STRING,
		.at = AT(notes),
		.value = "\"\"",
		.high = NOTES_MOST,
		.doc = "Anything." },
	{ .name = "mode",
		.kind = OPT_ENUM,
		.at = AT(mode),
		.value = "\"graph\"",
		.names = mode_names,
		.doc = "Trace a step once and replay it, or run op by op; the numbers are the same." },
	{ .name = "seed",
		.kind = OPT_INT,
		.at = AT(seed),
		.value = "0",
		.low = 0,
		.high = JSON_INTEGER_MOST,
		.doc = "All randomness of the job comes from it." },
	{ .name = "defaults",
		.kind = OPT_ENUM,
		.at = AT(defaults),
		.value = "\"pytorch\"",
		.names = defaults_names,
		.doc = "Whose constants stand where none is given." },
	{ .name = "data",
		.kind = OPT_SECTION,
		.at = AT(data),
		.section = &data_section,
		.required = true,
		.doc = "The dataset, its split and its batches." },
	{ .name = "model",
		.kind = OPT_SECTION,
		.at = AT(model),
		.section = &model_section,
		.required = true,
		.doc = "The model's layers." },
	{ .name = "loss",
		.kind = OPT_CHOICE,
		.at = AT(loss),
		.family = &nn_losses,
		.required = true,
		.doc = "What is made small." },
	{ .name = "optimizer",
		.kind = OPT_CHOICE,
		.at = AT(optimizer),
		.value = "{\"type\":\"adam\"}",
		.family = &nn_optimizers,
		.doc = "How parameters follow their gradients." },
	{ .name = "metrics",
		.kind = OPT_CHOICES,
		.at = AT(metrics),
		.value = "[\"accuracy\"]",
		.most = NN_METRICS_MOST,
		.family = &nn_metrics,
		.doc = "Further figures of training, validation and test." },
	{ .name = "train",
		.kind = OPT_SECTION,
		.at = AT(train),
		.value = "{\"epochs\":1}",
		.section = &train_section,
		.doc = "How long, and what happens on the way." },
	{ .name = "log", .kind = OPT_SECTION, .at = AT(log), .section = &log_section, .doc = "What is written down." },
	{ .name = "resources",
		.kind = OPT_SECTION,
		.at = AT(resources),
		.section = &resources_section,
		.doc = "What the job may use." },
	{ .name = "priority",
		.kind = OPT_INT,
		.at = AT(priority),
		.value = "0",
		.low = -1000,
		.high = 1000,
		.doc = "Higher ones start first." },
	{ .name = "timeout_s",
		.kind = OPT_INT,
		.at = AT(timeout_s),
		.value = "0",
		.low = 0,
		.high = TIMEOUT_MOST,
		.doc = "Seconds that it may run in all; 0: as long as it takes." },
	{ .name = "retries",
		.kind = OPT_INT,
		.at = AT(retries),
		.value = "2",
		.low = 0,
		.high = 1000,
		.doc = "How often it goes on from its checkpoint after its worker was lost." },
};

const struct opt_type spec_type = { .name = "the job",
	.doc = "A training job.",
	.options = spec_opts,
	.n_options = TD_COUNT(spec_opts),
	.n_bytes = sizeof(struct spec) };

/* ---- Reading --------------------------------------------------------------------------------------------------- */

static void check_data(const struct spec *s, struct faults *f)
{
	const struct data_info *info = spec_dataset(s);
	int64_t limit = spec_limit(s), n_validation = spec_validation(s);

	if (s->data.limit > info->n[DATA_TRAIN])
		faults_add(f, "/data/limit",
			"%lld is more than the %lld training samples of %s; leave it out to take all",
			(long long)s->data.limit, (long long)info->n[DATA_TRAIN], info->name);
	else if (n_validation >= limit)
		faults_add(f, "/data/split/validation",
			"%lld samples for validation leave none of the %lld to train with; take fewer",
			(long long)n_validation, (long long)limit);
	for (int i = 0; i < s->data.transforms.n; i++) {
		const struct opt_choice *choice = &s->data.transforms.items[i];
		const struct data_transform_type *t = (const struct data_transform_type *)choice->type;
		char *pointer = mem_printf("/data/transforms/%d", i);

		if (t->check)
			t->check(choice->options, info->channels, pointer, f);
		mem_free(pointer);
	}
}

static void check_metrics(const struct spec *s, struct faults *f)
{
	for (int i = 0; i < s->metrics.n; i++)
		for (int k = 0; k < i; k++)
			if (s->metrics.items[i].type == s->metrics.items[k].type) {
				char *pointer = mem_printf("/metrics/%d", i);
				faults_add(f, pointer, "\"%s\" stands twice; keep one", s->metrics.items[i].type->name);
				mem_free(pointer);
			}
}

static bool has_accuracy(const struct spec *s)
{
	for (int i = 0; i < s->metrics.n; i++)
		if (!strcmp(s->metrics.items[i].type->name, "accuracy"))
			return true;
	return false;
}

static void check_train(const struct spec *s, struct faults *f)
{
	if (s->train.epochs && s->train.steps)
		faults_add(f, "/train", "both \"epochs\" (%lld) and \"steps\" (%lld) are given; keep one",
			(long long)s->train.epochs, (long long)s->train.steps);
	else if (!s->train.epochs && !s->train.steps)
		faults_add(f, "/train", "neither \"epochs\" nor \"steps\" says how long to train; give one");
	else if (spec_steps(s) > (int64_t)STEPS_MOST)
		faults_add(f, "/train/epochs", "%lld epochs are %lld steps; at most %.0f are possible",
			(long long)s->train.epochs, (long long)spec_steps(s), STEPS_MOST);
	if (s->train.keep.best == SPEC_BEST_NONE)
		return;
	if (!spec_validation(s) || s->train.validate_every == SPEC_NEVER)
		faults_add(f, "/train/keep/best",
			"\"%s\" needs a validation split; set /data/split/validation, and do not switch it off",
			best_names[s->train.keep.best]);
	else if (s->train.keep.best == SPEC_BEST_ACCURACY && !has_accuracy(s))
		faults_add(f, "/train/keep/best", "\"val/accuracy\" needs \"accuracy\" in /metrics");
}

void spec_read(const cJSON *document, struct spec *out, struct faults *faults)
{
	memset(out, 0, sizeof *out);
	arena_init(&out->arena);
	opt_read(&spec_type, document, "", out, &out->arena, faults);
	if (faults->n_found)
		return; /* what follows would be about values that nobody chose */
	check_data(out, faults);
	check_metrics(out, faults);
	if (faults->n_found)
		return;
	check_train(out, faults);
	if (spec_optimizer(out)->check)
		spec_optimizer(out)->check(out->optimizer.options, "/optimizer", faults);
}

void spec_release(struct spec *s)
{
	arena_release(&s->arena);
	memset(s, 0, sizeof *s);
}

/* ---- What follows from it -------------------------------------------------------------------------------------- */

const struct data_info *spec_dataset(const struct spec *s)
{
	return data_find(data_names[s->data.dataset]);
}

int64_t spec_limit(const struct spec *s)
{
	return s->data.limit ? s->data.limit : spec_dataset(s)->n[DATA_TRAIN];
}

int64_t spec_validation(const struct spec *s)
{
	return data_split_count(s->data.split.validation, spec_limit(s));
}

int64_t spec_steps(const struct spec *s)
{
	return s->train.steps ? s->train.steps
			      : s->train.epochs * data_batches(spec_limit(s) - spec_validation(s), s->data.batch_size);
}

const struct nn_loss_type *spec_loss(const struct spec *s)
{
	return (const struct nn_loss_type *)s->loss.type;
}

const struct nn_optimizer_type *spec_optimizer(const struct spec *s)
{
	return (const struct nn_optimizer_type *)s->optimizer.type;
}
