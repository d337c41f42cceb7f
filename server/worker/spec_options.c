/* The job's own sections as tables of options. */
#include "proto.h"
#include "worker/spec.h"

#define TEXT_MOST          200 /* characters of what names a model, a job, a series, a pattern */
#define PATTERNS_MOST      100
#define EPOCHS_MOST        1e6
#define STEPS_MOST         1e9 /* about a year of steps of 30 ms */
#define ACCUMULATE_MOST    1024
#define IMAGES_MOST        64 /* of samples.png: eight rows of eight */
#define TIMEOUT_MOST       (365 * 86400.0)
#define THREADS_MOST_ASKED 256
#define MEMORY_LEAST       64 /* MiB: the process with its libraries */
#define MEMORY_MOST        (1 << 20)

static const char *const kind_names[] = { "train", NULL };
static const char *const external_names[] = { "external", NULL };
static const char *const nonfinite_names[] = { "stop", "continue", NULL };
static const char *const mode_names[] = { "graph", "eager", NULL };
static const char *const defaults_names[] = { "pytorch", "keras", NULL };
static const char *const validate_words[] = { "epoch", "never", NULL };
static const char *const device_names[] = { "auto", "cpu", NULL };

/* ---- Where weights come from ------------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct spec_init, member)

static const struct opt init_opts[] = {
	{ .name = "model",
		.kind = OPT_STRING,
		.at = AT(model),
		.high = TEXT_MOST,
		.doc = "The name of stored weights (GET /models); this or \"job\"." },
	{ .name = "job",
		.kind = OPT_STRING,
		.at = AT(job),
		.high = TEXT_MOST,
		.doc = "The id of a job whose weights are taken; this or \"model\"." },
	{ .name = "checkpoint",
		.kind = OPT_STRING,
		.at = AT(checkpoint),
		.high = TEXT_MOST,
		.doc = "Which of the job's weights: \"last\" or \"best\"; the last ones where it is not given." },
	{ .name = "strict",
		.kind = OPT_BOOL,
		.at = AT(strict),
		.value = "true",
		.doc = "Every tensor must be there and fit; else what fits is taken, and the log names every "
		       "difference." },
	{ .name = "skip",
		.kind = OPT_STRINGS,
		.at = AT(skip),
		.value = "[]",
		.high = TEXT_MOST,
		.most = PATTERNS_MOST,
		.doc = "Shell patterns over names of parameters that keep their initial values: \"classifier.*\"." },
};
static const struct opt_type init_section = {
	.name = "init_from", .doc = "Weights to begin with.", .options = init_opts, .n_options = TD_COUNT(init_opts)
};

#undef AT

/* ---- Training ---------------------------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct spec_early, member)

static const struct opt early_opts[] = {
	{ .name = "metric",
		.kind = OPT_STRING,
		.at = AT(metric),
		.high = TEXT_MOST,
		.required = true,
		.doc = "The validation series that is to become better: \"val/loss\", \"val/accuracy\"." },
	{ .name = "patience",
		.kind = OPT_INT,
		.at = AT(patience),
		.value = "3",
		.low = 1,
		.high = EPOCHS_MOST,
		.doc = "Stop after so many validations in a row without a better value." },
	{ .name = "min_delta",
		.kind = OPT_FLOAT,
		.at = AT(min_delta),
		.value = "0",
		.low = 0,
		.high = 1e30,
		.doc = "Only a value that is better by more than this is a better one." },
};
static const struct opt_type early_section = { .name = "early_stopping",
	.doc = "When to stop before the end.",
	.options = early_opts,
	.n_options = TD_COUNT(early_opts) };

#undef AT
#define AT(member) offsetof(struct spec_ema, member)

static const struct opt ema_opts[] = {
	{ .name = "decay",
		.kind = OPT_FLOAT,
		.at = AT(decay),
		.low = 0,
		.above = true,
		.high = 1,
		.below = true,
		.value = "0.999",
		.keras = "0.99",
		.doc = "How much of the average each step keeps." },
};
static const struct opt_type ema_section = {
	.name = "ema", .doc = "Running averages of the weights.", .options = ema_opts, .n_options = TD_COUNT(ema_opts)
};

#undef AT
#define AT(member) offsetof(struct spec_keep, member)

static const struct opt keep_opts[] = {
	{ .name = "last",
		.kind = OPT_INT,
		.at = AT(last),
		.value = "1",
		.low = 1,
		.high = 100,
		.doc = "How many of the latest checkpoints are kept; a fork may begin at any of them." },
	{ .name = "best",
		.kind = OPT_STRING,
		.at = AT(best),
		.value = "\"none\"",
		.high = TEXT_MOST,
		.doc = "Also keep the checkpoint with the best value of this validation series, such as \"val/loss\"; "
		       "or \"none\"." },
};
static const struct opt_type keep_section = {
	.name = "keep", .doc = "Which checkpoints are kept.", .options = keep_opts, .n_options = TD_COUNT(keep_opts)
};

#undef AT
#define AT(member) offsetof(struct spec_train, member)

static const struct opt train_opts[] = {
	{ .name = "epochs",
		.kind = OPT_INT,
		.at = AT(epochs),
		.low = 1,
		.high = EPOCHS_MOST,
		.doc = "How often every training sample is met; this or \"steps\"." },
	{ .name = "steps",
		.kind = OPT_INT,
		.at = AT(steps),
		.low = 1,
		.high = STEPS_MOST,
		.doc = "How many steps are made; this or \"epochs\"." },
	{ .name = "validate_every",
		.kind = OPT_INT_OR_WORD,
		.at = AT(validate_every),
		.value = "\"epoch\"",
		.low = 1,
		.high = STEPS_MOST,
		.names = validate_words,
		.doc = "After each epoch, never, or after every so many steps." },
	{ .name = "checkpoint_every",
		.kind = OPT_INT,
		.at = AT(checkpoint_every),
		.value = "500",
		.low = 0,
		.high = STEPS_MOST,
		.doc = "Steps between checkpoints, besides those at the end of epochs; 0: those alone." },
	{ .name = "clip_norm",
		.kind = OPT_FLOAT,
		.at = AT(clip_norm),
		.value = "0",
		.low = 0,
		.high = 1e30,
		.doc = "Longer gradients (Euclidean norm of all together) are scaled to this length; 0: they are "
		       "not." },
	{ .name = "clip_value",
		.kind = OPT_FLOAT,
		.at = AT(clip_value),
		.value = "0",
		.low = 0,
		.high = 1e30,
		.doc = "Each number of the gradients is kept between -clip_value and clip_value, after clip_norm where "
		       "both are given; 0: none is." },
	{ .name = "accumulate",
		.kind = OPT_INT,
		.at = AT(accumulate),
		.value = "1",
		.low = 1,
		.high = ACCUMULATE_MOST,
		.doc = "Batches whose gradients are added up for one step." },
	{ .name = "on_nonfinite",
		.kind = OPT_ENUM,
		.at = AT(on_nonfinite),
		.value = "\"stop\"",
		.names = nonfinite_names,
		.doc = "What a loss or gradient norm that is not finite does: the job stops before the update, and "
		       "that step is replayed to find the op to blame; or it goes on without the update." },
	{ .name = "ema",
		.kind = OPT_SECTION,
		.at = AT(ema),
		.section = &ema_section,
		.optional = true,
		.doc = "Running averages of the weights: these are validated, tested and saved." },
	{ .name = "early_stopping",
		.kind = OPT_SECTION,
		.at = AT(early_stopping),
		.section = &early_section,
		.doc = "Stop when a validation series does not become better any more." },
	{ .name = "keep",
		.kind = OPT_SECTION,
		.at = AT(keep),
		.section = &keep_section,
		.doc = "Which checkpoints are kept." },
};
static const struct opt_type train_section = { .name = "train",
	.doc = "How long, and what happens on the way.",
	.options = train_opts,
	.n_options = TD_COUNT(train_opts) };

#undef AT

/* ---- What is written down, and what the job may use -------------------------------------------------------------- */

#define AT(member) offsetof(struct spec_log, member)

static const struct opt log_opts[] = {
	{ .name = "every",
		.kind = OPT_INT,
		.at = AT(every),
		.value = "10",
		.low = 1,
		.high = STEPS_MOST,
		.doc = "Steps from one point of the training series to the next." },
	{ .name = "histograms_every",
		.kind = OPT_INT,
		.at = AT(histograms_every),
		.value = "0",
		.low = 0,
		.high = STEPS_MOST,
		.doc = "Steps from one set of histograms of weights and gradients to the next; 0: none." },
	{ .name = "images",
		.kind = OPT_INT,
		.at = AT(images),
		.value = "0",
		.low = 0,
		.high = IMAGES_MOST,
		.doc = "So many images of the first training batch become samples.png, as the model sees them; 0: "
		       "none." },
};
static const struct opt_type log_section = {
	.name = "log", .doc = "What is written down.", .options = log_opts, .n_options = TD_COUNT(log_opts)
};

#undef AT
#define AT(member) offsetof(struct spec_resources, member)

static const struct opt resources_opts[] = {
	{ .name = "threads",
		.kind = OPT_INT,
		.at = AT(threads),
		.value = "1",
		.low = 1,
		.high = THREADS_MOST_ASKED,
		.doc = "Threads; no number depends on how many." },
	{ .name = "memory_mb",
		.kind = OPT_INT,
		.at = AT(memory_mb),
		.value = "1024",
		.low = MEMORY_LEAST,
		.high = MEMORY_MOST,
		.doc = "Memory in MiB; a job that needs more is refused or fails." },
	{ .name = "device",
		.kind = OPT_ENUM,
		.at = AT(device),
		.value = "\"auto\"",
		.names = device_names,
		.doc = "Where the job computes." },
};
static const struct opt_type resources_section = { .name = "resources",
	.doc = "What the job may use.",
	.options = resources_opts,
	.n_options = TD_COUNT(resources_opts) };

#undef AT

/* ---- Jobs -------------------------------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct spec, member)

/* The rows that every kind of job has. */
/* clang-format off */
#define LABEL_OPTS                                                                                              \
	{ .name = "name", .kind = OPT_STRING, .at = AT(name), .value = "\"\"", .high = LABEL_MOST,                      \
		.doc = "For people; the dataset's name where it is empty." },                                          \
	{ .name = "project", .kind = OPT_STRING, .at = AT(project), .value = "\"\"", .high = LABEL_MOST,                \
		.doc = "Jobs of one project are listed together." },                                                   \
	{ .name = "tags", .kind = OPT_STRINGS, .at = AT(tags), .value = "[]", .high = LABEL_MOST, .most = TAGS_MOST,    \
		.doc = "Words to find the job by." },                                                                  \
	{ .name = "notes", .kind = OPT_STRING, .at = AT(notes), .value = "\"\"", .high = NOTES_MOST,                   \
		.doc = "Anything." },                                                                                  \
	{ .name = "args", .kind = OPT_JSON, .at = AT(args),                                                            \
		.doc = "Any JSON: settings of one's own, kept and compared with those of other jobs." }
#define TIMEOUT_OPT                                                                                                    \
	{ .name = "timeout_s", .kind = OPT_INT, .at = AT(timeout_s), .value = "0", .low = 0, .high = TIMEOUT_MOST,     \
		.doc = "Seconds that it may run in all; 0: as long as it takes." }
/* clang-format on */

static const struct opt spec_opts[] = {
	LABEL_OPTS,
	{ .name = "kind",
		.kind = OPT_ENUM,
		.at = AT(kind),
		.value = "\"train\"",
		.names = kind_names,
		.doc = "A job that Tandem trains; one that trains elsewhere is \"external\" and has a form of its "
		       "own." },
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
		.doc = "Whose constants and formulas stand where none is given; known models stay as they were "
		       "published." },
	{ .name = "data",
		.kind = OPT_SECTION,
		.at = AT(data),
		.section = &data_section,
		.required = true,
		.doc = "The dataset, its split and its batches." },
	{ .name = "model",
		.kind = OPT_SECTION,
		.at = AT(model),
		.section = &nn_model_section,
		.required = true,
		.doc = "The model: its layers, or a known one by name." },
	{ .name = "init_from",
		.kind = OPT_SECTION,
		.at = AT(init_from),
		.section = &init_section,
		.optional = true,
		.doc = "Weights to begin with, of a stored model or of a job." },
	{ .name = "freeze",
		.kind = OPT_STRINGS,
		.at = AT(freeze),
		.value = "[]",
		.high = TEXT_MOST,
		.most = PATTERNS_MOST,
		.doc = "Shell patterns over names of parameters that are not learnt: \"features.*\"." },
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
	{ .name = "schedule",
		.kind = OPT_CHOICE,
		.at = AT(schedule),
		.value = "{\"type\":\"constant\"}",
		.family = &nn_schedules,
		.doc = "How the learning rates change on the way." },
	{ .name = "metrics",
		.kind = OPT_CHOICES,
		.at = AT(metrics),
		.most = NN_METRICS_MOST,
		.family = &nn_metrics,
		.doc = "Further figures of training, validation and test; where none are given, accuracy for classes "
		       "and mae for values." },
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
		.low = -PRIORITY_MOST,
		.high = PRIORITY_MOST,
		.doc = "Higher ones start first." },
	TIMEOUT_OPT,
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

static const struct opt external_opts[] = {
	LABEL_OPTS,
	{ .name = "kind",
		.kind = OPT_ENUM,
		.at = AT(kind),
		.names = external_names,
		.required = true,
		.doc = "A job that trains elsewhere and sends its metrics here." },
	TIMEOUT_OPT,
};

const struct opt_type spec_external = { .name = "the external job",
	.doc = "A record of a training elsewhere: it has metrics, but no data, model or loss.",
	.options = external_opts,
	.n_options = TD_COUNT(external_opts),
	.n_bytes = sizeof(struct spec) };
