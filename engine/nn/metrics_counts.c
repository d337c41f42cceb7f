/* Metrics from counts of each class: precision, recall, F1.
 *
 * As in scikit-learn, classes that neither occur nor are answered do not enter an average, and a part of nothing is 0.
 */
#include "nn/metrics.h"

#include <math.h>
#include <stdio.h>

enum average { AVERAGE_MACRO, AVERAGE_MICRO, AVERAGE_WEIGHTED, AVERAGE_BINARY };

static const char *const average_names[] = { "macro", "micro", "weighted", "binary", NULL };

struct count_options {
	int average; /* enum average */
};

static const struct opt count_opts[] = {
	{ .name = "average",
		.kind = OPT_ENUM,
		.at = offsetof(struct count_options, average),
		.value = "\"macro\"",
		.names = average_names,
		.doc = "Over classes: their mean, all targets together, their mean weighted by how often they occur, "
		       "or the second of two classes alone." },
};

/* Of one class. */
struct count {
	double right, answered, occurs; /* exact: far fewer than 2^53 targets */
};

struct counts {
	int average;
	int64_t n_classes;
	struct count items[];
};

static bool counts_check(const char *name, const void *options, const struct data_facts *f, struct err *why)
{
	const struct count_options *o = options;

	if (!metric_needs_classes(name, f, why))
		return false;
	if (o->average != AVERAGE_BINARY || f->n_classes == 2)
		return true;
	err_set(why, TD_INVALID,
		"%s with \"average\": \"binary\" needs two classes, but %s has %d; take \"macro\", \"micro\" or "
		"\"weighted\"",
		name, f->dataset, f->n_classes);
	return false;
}

static void *counts_create(const void *options, const struct data_facts *f)
{
	struct counts *s = mem_alloc(sizeof *s + sizeof s->items[0] * (size_t)f->n_classes);

	s->average = ((const struct count_options *)options)->average;
	s->n_classes = f->n_classes;
	return s;
}

static void counts_add(void *state, const struct nn_answers *a)
{
	struct counts *s = state;

	for (int64_t i = 0; i < a->n * a->steps; i++) {
		int64_t label = nn_label(a, i), prediction;
		if (label < 0 || label >= s->n_classes)
			continue;
		prediction = TD_MIN(nn_prediction(a, i), s->n_classes - 1);
		s->items[label].occurs++;
		s->items[prediction].answered++;
		s->items[label].right += prediction == label;
	}
}

static double part(double of, double whole)
{
	return whole > 0 ? of / whole : 0;
}

static double precision(const struct count *k)
{
	return part(k->right, k->answered);
}

static double recall(const struct count *k)
{
	return part(k->right, k->occurs);
}

static double f1(const struct count *k)
{
	return part(2 * k->right, k->answered + k->occurs);
}

/* Mean over the classes that are there, each counting 1 or, WEIGHTED, as often as it occurs. */
static double mean_over_classes(const struct counts *s, double (*of)(const struct count *k), bool weighted)
{
	double sum = 0, weights = 0;

	for (int64_t i = 0; i < s->n_classes; i++) {
		const struct count *k = &s->items[i];
		double weight = weighted ? k->occurs : k->answered + k->occurs > 0;

		sum += weight * of(k);
		weights += weight;
	}
	return sum / weights;
}

static void counts_result(const struct counts *s, double (*of)(const struct count *k), double *value, double *error)
{
	struct count all = { 0 };

	for (int64_t i = 0; i < s->n_classes; i++) {
		all.right += s->items[i].right;
		all.answered += s->items[i].answered;
		all.occurs += s->items[i].occurs;
	}
	*error = NAN;
	if (all.occurs == 0) {
		*value = NAN; /* nothing was counted */
	} else if (s->average == AVERAGE_BINARY) {
		*value = of(&s->items[1]);
	} else if (s->average == AVERAGE_MICRO) {
		*value = of(&all); /* the part that is right: binomial */
		*error = all.occurs > 1 ? sqrt(*value * (1 - *value) / (all.occurs - 1)) : NAN;
	} else {
		*value = mean_over_classes(s, of, s->average == AVERAGE_WEIGHTED);
	}
}

static void counts_name(const char *name, const void *options, char out[NN_METRIC_NAME])
{
	int average = ((const struct count_options *)options)->average;

	if (average == AVERAGE_MACRO)
		snprintf(out, NN_METRIC_NAME, "%s", name);
	else
		snprintf(out, NN_METRIC_NAME, "%s_%s", name, average_names[average]);
}

/* A metric NAME is the function of this name over the counts. */
#define COUNT_METRIC(word, text)                                                                                       \
	static bool word##_check(const void *options, const struct data_facts *f, struct err *why)                     \
	{                                                                                                              \
		return counts_check(#word, options, f, why);                                                           \
	}                                                                                                              \
	static void word##_result(void *state, double *value, double *error)                                           \
	{                                                                                                              \
		counts_result(state, word, value, error);                                                              \
	}                                                                                                              \
	static void word##_name(const void *options, char out[NN_METRIC_NAME])                                         \
	{                                                                                                              \
		counts_name(#word, options, out);                                                                      \
	}                                                                                                              \
	const struct nn_metric_type nn_metric_##word = {                                                               \
		.type = OPT_TYPE_OF(word, count_opts, count_options, text),                                            \
		.check = word##_check,                                                                                 \
		.create = counts_create,                                                                               \
		.add = counts_add,                                                                                     \
		.result = word##_result,                                                                               \
		.destroy = mem_free,                                                                                   \
		.name = word##_name,                                                                                   \
	};

COUNT_METRIC(precision, "Part of what is answered to be of a class that is of it.")
COUNT_METRIC(recall, "Part of what is of a class that is answered to be of it.")
COUNT_METRIC(f1, "Harmonic mean of precision and recall.")
