/* The report: what a trained model is worth, on numbers and on samples, and what it cost.
 *
 * "splits" has figures {value, standard_error or null} for each split.  The rest is about one split, the test's where
 * there is one: "confusion" counts targets (row: label, column: prediction; of very many classes those that
 * "confusion_classes" lists), "per_class" says how well each class is found,
 * "curves" trade precision against recall and false positives against true ones, "residuals" are points of target and
 * prediction, "samples" shows the first samples and the worst. */
#include "worker/run.h"
#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CONFUSION_MOST 1000       /* classes of a whole confusion matrix */
#define CONFUSED_SHOWN 200        /* beyond: so many classes, those with the most mistakes */
#define REPORT_MOST    (6u << 20) /* bytes of the report as text; a message holds 8 MiB */

static const char *const tasks[] = {
	[DATA_CLASS] = "classification",
	[DATA_SHARES] = "classification",
	[DATA_VALUES] = "regression",
};

static const char *task_of(const struct data_facts *facts)
{
	if (facts->target == DATA_TOKENS)
		return facts->class_names ? "tagging" : "language";
	return tasks[facts->target];
}

/* ---- Splits ---------------------------------------------------------------------------------------------------- */

/* Not every figure has an error: some have none that is known, and of the same result for all samples it would be 0,
 * which says that no other draw could differ. */
static cJSON *figure_json(double value, double error)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddItemToObject(o, "value", json_number(value));
	cJSON_AddItemToObject(
		o, "standard_error", isfinite(error) && error > 0 ? json_number(error) : cJSON_CreateNull());
	return o;
}

static void add_split(const struct run *r, cJSON *splits, const struct evaluation *e)
{
	cJSON *o = cJSON_AddObjectToObject(splits, run_split_names[e->split]);
	char name[NN_METRIC_NAME];
	double value, error;

	cJSON_AddNumberToObject(o, "samples", (double)e->n);
	cJSON_AddNumberToObject(o, "of", (double)r->facts->n[e->split]);
	cJSON_AddItemToObject(o, "loss", figure_json(evaluation_loss(e), evaluation_loss_error(e)));
	for (int i = 0; i < r->spec.metrics.n; i++) {
		nn_meter_result(&e->meter[i], &value, &error);
		cJSON_AddItemToObject(o, nn_metric_name(&r->spec.metrics.items[i], name), figure_json(value, error));
	}
}

/* ---- Classes --------------------------------------------------------------------------------------------------- */

/* Which classes a confusion matrix has, in their order. */
struct shown {
	int n;
	int32_t *class; /* owned; [n] */
	int32_t *place; /* owned; of each class, or -1: [n_classes] */
};

struct mistakes {
	int64_t n;
	int32_t class;
};

static int compare_mistakes(const void *a, const void *b)
{
	const struct mistakes *x = a, *y = b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x->class < y->class ? -1 : x->class > y->class;
}

static bool is_class(const struct run *r, int32_t k)
{
	return k >= 0 && k < r->facts->n_classes;
}

/* Mark the CONFUSED_SHOWN classes with the most mistakes, as label or as prediction. */
static void mark_confused(const struct run *r, const struct evaluation *e, int32_t *place)
{
	int n_classes = r->facts->n_classes;
	struct mistakes *m = MEM_NEW_N(struct mistakes, n_classes);

	for (int k = 0; k < n_classes; k++)
		m[k].class = k;
	for (int64_t i = 0; i < e->n * e->steps; i++)
		if (is_class(r, e->label[i]) && is_class(r, e->predicted[i]) && e->label[i] != e->predicted[i]) {
			m[e->label[i]].n++;
			m[e->predicted[i]].n++;
		}
	qsort(m, (size_t)n_classes, sizeof *m, compare_mistakes);
	for (int k = 0; k < n_classes; k++)
		place[m[k].class] = k < CONFUSED_SHOWN ? 0 : -1;
	mem_free(m);
}

static struct shown choose_classes(const struct run *r, const struct evaluation *e)
{
	int n_classes = r->facts->n_classes;
	struct shown s = { .class = MEM_NEW_N(int32_t, n_classes), .place = MEM_NEW_N(int32_t, n_classes) };

	if (n_classes > CONFUSION_MOST)
		mark_confused(r, e, s.place);
	for (int k = 0; k < n_classes; k++)
		if (s.place[k] >= 0) {
			s.class[s.n] = k;
			s.place[k] = s.n++;
		}
	return s;
}

/* [label][prediction] of the classes shown. */
static int64_t *count_confusion(const struct run *r, const struct evaluation *e, const struct shown *s)
{
	int64_t *count = MEM_NEW_N(int64_t, s->n * s->n);

	for (int64_t i = 0; i < e->n * e->steps; i++) {
		if (!is_class(r, e->label[i]) || !is_class(r, e->predicted[i]))
			continue;
		int32_t row = s->place[e->label[i]], column = s->place[e->predicted[i]];
		if (row >= 0 && column >= 0)
			count[row * s->n + column]++;
	}
	return count;
}

static cJSON *confusion_json(const int64_t *count, int n)
{
	cJSON *rows = cJSON_CreateArray();

	for (int i = 0; i < n; i++) {
		cJSON *row = cJSON_CreateArray();
		for (int k = 0; k < n; k++)
			cJSON_AddItemToArray(row, cJSON_CreateNumber((double)count[i * n + k]));
		cJSON_AddItemToArray(rows, row);
	}
	return rows;
}

/* 0 where nothing was predicted or nothing was there, as scikit-learn has it. */
static double ratio(int64_t part, int64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* Over all targets, whether their classes are shown in the matrix or not. */
static cJSON *classes_json(const struct run *r, const struct evaluation *e, const struct shown *s)
{
	struct {
		int64_t right, labelled, predicted;
	} *count = mem_alloc(sizeof *count * (size_t)r->facts->n_classes);
	cJSON *list = cJSON_CreateArray();

	for (int64_t i = 0; i < e->n * e->steps; i++) {
		if (!is_class(r, e->label[i]) || !is_class(r, e->predicted[i]))
			continue;
		count[e->label[i]].labelled++;
		count[e->predicted[i]].predicted++;
		count[e->label[i]].right += e->label[i] == e->predicted[i];
	}
	for (int i = 0; i < s->n; i++) {
		int32_t k = s->class[i];
		cJSON *o = cJSON_CreateObject();

		cJSON_AddStringToObject(o, "name", loader_class_name(r->loader, k));
		cJSON_AddNumberToObject(o, "support", (double)count[k].labelled);
		cJSON_AddNumberToObject(o, "precision", ratio(count[k].right, count[k].predicted));
		cJSON_AddNumberToObject(o, "recall", ratio(count[k].right, count[k].labelled));
		cJSON_AddNumberToObject(o, "f1", ratio(2 * count[k].right, count[k].labelled + count[k].predicted));
		cJSON_AddItemToArray(list, o);
	}
	mem_free(count);
	return list;
}

static void add_classes(const struct run *r, cJSON *report, const struct evaluation *e)
{
	struct shown s = choose_classes(r, e);
	int64_t *count = count_confusion(r, e, &s);
	cJSON *names = cJSON_AddArrayToObject(report, "classes");

	for (int k = 0; k < r->facts->n_classes; k++)
		cJSON_AddItemToArray(names, cJSON_CreateString(loader_class_name(r->loader, k)));
	if (s.n < r->facts->n_classes)
		cJSON_AddItemToObject(report, "confusion_classes", cJSON_CreateIntArray(s.class, s.n));
	cJSON_AddItemToObject(report, "confusion", confusion_json(count, s.n));
	cJSON_AddItemToObject(report, "per_class", classes_json(r, e, &s));
	mem_free(count);
	mem_free(s.class);
	mem_free(s.place);
}

/* ---- Curves and residuals ---------------------------------------------------------------------------------------- */

static void add_curve(cJSON *curves, const struct nn_meter *m)
{
	const struct nn_metric_type *t = (const struct nn_metric_type *)m->metric->type;

	if (t->curves && m->state && !json_get(curves, t->curve))
		cJSON_AddItemToObject(curves, t->curve, t->curves(m->state));
}

static void add_curves(const struct run *r, cJSON *report, const struct evaluation *e)
{
	cJSON *curves = cJSON_AddObjectToObject(report, "curves"),
	      *split = cJSON_AddObjectToObject(curves, run_split_names[e->split]);

	for (int i = 0; i < r->spec.metrics.n; i++)
		add_curve(split, &e->meter[i]);
	for (int i = 0; i < e->n_curves; i++)
		add_curve(split, &e->curve[i]);
}

/* Of the first target, where there are several. */
static void add_residuals(cJSON *report, const struct evaluation *e)
{
	cJSON *o = cJSON_AddObjectToObject(report, "residuals"), *target = cJSON_AddArrayToObject(o, "target"),
	      *prediction = cJSON_AddArrayToObject(o, "prediction");

	for (int64_t i = 0; i < e->residuals.n; i++) {
		cJSON_AddItemToArray(target, json_number(e->residuals.target[i]));
		cJSON_AddItemToArray(prediction, json_number(e->residuals.prediction[i]));
	}
}

/* ---- All of it ------------------------------------------------------------------------------------------------- */

static void add_costs(const struct run *r, cJSON *report)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	cJSON_AddNumberToObject(report, "time_s", (double)(clock_monotonic_ms() - r->began_ms) / 1e3);
	cJSON_AddNumberToObject(report, "train_s", (double)r->train_ns / 1e9);
	cJSON_AddNumberToObject(
		report, "samples_per_second", r->train_ns ? (double)r->train_samples * 1e9 / (double)r->train_ns : 0);
	cJSON_AddNumberToObject(report, "peak_bytes", (double)usage.ru_maxrss * 1024);
}

static size_t text_bytes(const cJSON *v)
{
	char *text = json_print(v);
	size_t n = strlen(text);

	mem_free(text);
	return n;
}

/* A report must fit into a message.  What is largest and missed least goes first, and the report says so. */
static void shrink(struct run *r, cJSON *report)
{
	static const char *const dispensable[] = { "curves", "confusion", "samples", "per_class", "classes" };
	size_t n = text_bytes(report);

	for (size_t i = 0; i < TD_COUNT(dispensable) && n > REPORT_MOST; i++) {
		if (!json_get(report, dispensable[i]))
			continue;
		cJSON_DeleteItemFromObjectCaseSensitive(report, dispensable[i]);
		tell_log(&r->tell, "warning",
			"the report has no \"%s\": it would be %zu bytes long, and at most %u fit", dispensable[i], n,
			REPORT_MOST);
		n = text_bytes(report);
	}
}

cJSON *report_json(struct run *r, const struct evaluation *const evaluations[DATA_SPLITS])
{
	cJSON *report = cJSON_CreateObject(), *splits, *samples;
	const struct evaluation *kept = NULL;

	cJSON_AddStringToObject(report, "task", task_of(r->facts));
	cJSON_AddStringToObject(report, "loss", r->spec.loss.type->name);
	cJSON_AddStringToObject(report, "dataset", r->facts->dataset);
	splits = cJSON_AddObjectToObject(report, "splits");
	for (int i = 0; i < DATA_SPLITS; i++) {
		if (!evaluations[i])
			continue;
		add_split(r, splits, evaluations[i]);
		kept = evaluations[i]->keep ? evaluations[i] : kept;
	}
	cJSON_AddStringToObject(report, "shown", run_split_names[kept->split]);
	if (kept->label) {
		add_classes(r, report, kept);
		add_curves(r, report, kept);
	}
	if (kept->residuals.target)
		add_residuals(report, kept);
	samples = report_samples(r, kept);
	if (!samples) {
		cJSON_Delete(report);
		return NULL;
	}
	cJSON_AddItemToObject(report, "samples", samples);
	add_costs(r, report);
	shrink(r, report);
	return report;
}

cJSON *engine_json(const struct run *r)
{
	td_counters c = td_ctx_counters(r->c);
	cJSON *o = cJSON_CreateObject(), *counters;

	cJSON_AddStringToObject(o, "fingerprint", td_fingerprint());
	cJSON_AddStringToObject(o, "mode", r->spec.mode == SPEC_GRAPH ? "graph" : "eager");
	cJSON_AddNumberToObject(o, "threads", r->threads);
	counters = cJSON_AddObjectToObject(o, "counters");
	cJSON_AddNumberToObject(counters, "dispatched", (double)c.dispatched);
	cJSON_AddNumberToObject(counters, "recorded", (double)c.recorded);
	cJSON_AddNumberToObject(counters, "replayed", (double)c.replayed);
	cJSON_AddNumberToObject(counters, "plans", (double)c.plans);
	cJSON_AddNumberToObject(counters, "bindings", (double)c.bindings);
	cJSON_AddNumberToObject(counters, "arena_bytes", (double)c.arena_bytes);
	cJSON_AddNumberToObject(counters, "peak_bytes", (double)c.peak_bytes);
	return o;
}
