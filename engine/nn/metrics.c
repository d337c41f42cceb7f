/* Metrics that are means over targets of classes, the family of all metrics, and how answers are read.
 *
 * Definitions, down to ties and absent classes, are scikit-learn's, so that a figure may stand beside one of theirs. */
#include "nn/metrics.h"

#include <math.h>
#include <stdio.h>

/* ---- Answers --------------------------------------------------------------------------------------------------- */

bool metric_needs_classes(const char *name, const struct data_facts *f, struct err *why)
{
	if (f->target != DATA_VALUES)
		return true;
	err_set(why, TD_INVALID,
		"%s counts classes, but the target of %s is a number; take \"mae\", \"mse\", \"rmse\" or \"r2\"", name,
		f->dataset);
	return false;
}

bool metric_needs_values(const char *name, const struct data_facts *f, struct err *why)
{
	if (f->target == DATA_VALUES)
		return true;
	err_set(why, TD_INVALID, "%s compares numbers, but the target of %s is a class; take \"accuracy\" or \"f1\"",
		name, f->dataset);
	return false;
}

static int64_t largest(const float *x, int64_t n)
{
	int64_t best = 0;

	for (int64_t k = 1; k < n; k++)
		if (x[k] > x[best] || (isnan(x[k]) && !isnan(x[best])))
			best = k;
	return best;
}

int64_t nn_label(const struct nn_answers *a, int64_t i)
{
	if (!a->label)
		return largest(a->share + i * a->width, a->width);
	return a->label[i] >= 0 && a->label[i] < a->width ? a->label[i] : -1;
}

int64_t nn_prediction(const struct nn_answers *a, int64_t i)
{
	return largest(a->answer + i * a->width, a->width);
}

/* ---- accuracy: how often the largest answer is the label's ------------------------------------------------------- */

static bool accuracy_check(const void *options, const struct data_facts *f, struct err *why)
{
	(void)options;
	return metric_needs_classes("accuracy", f, why);
}

static void accuracy_add(const void *options, const struct nn_answers *a, struct nn_figure *f)
{
	(void)options;
	for (int64_t i = 0; i < a->n * a->steps; i++) {
		int64_t label = nn_label(a, i);
		if (label >= 0)
			nn_figure_add(f, nn_prediction(a, i) == label);
	}
}

static const struct nn_metric_type accuracy = {
	.type = { .name = "accuracy", .doc = "Part of the targets whose largest answer is the label's." },
	.check = accuracy_check,
	.add_mean = accuracy_add,
};

/* ---- top_k: how often the label is among the k largest answers.  Of equal answers the later class comes first, as in
 *      scikit-learn's top_k_accuracy_score; of two classes the first, since there it is a threshold that decides. -- */

struct top_k_options {
	int64_t k;
};

static const struct opt top_k_opts[] = {
	{ .name = "k",
		.kind = OPT_INT,
		.at = offsetof(struct top_k_options, k),
		.value = "5",
		.low = 1,
		.high = 1e6,
		.doc = "How many answers may name the label." },
};

static bool top_k_check(const void *options, const struct data_facts *f, struct err *why)
{
	long long k = ((const struct top_k_options *)options)->k;

	if (!metric_needs_classes("top_k", f, why))
		return false;
	if (k < f->n_classes)
		return true;
	err_set(why, TD_INVALID, "top_k with k %lld of the %d classes of %s is always 1; take a smaller \"k\"", k,
		f->n_classes, f->dataset);
	return false;
}

/* How many classes stand before LABEL in the order of ANSWER. */
static int64_t rank_of(const float *answer, int64_t width, int64_t label)
{
	int64_t before = 0;

	for (int64_t k = 0; k < width; k++)
		before += answer[k] > answer[label] ||
			  (answer[k] == answer[label] && (width > 2 ? k > label : k < label));
	return before;
}

static void top_k_add(const void *options, const struct nn_answers *a, struct nn_figure *f)
{
	int64_t k = ((const struct top_k_options *)options)->k;

	for (int64_t i = 0; i < a->n * a->steps; i++) {
		const float *answer = a->answer + i * a->width;
		int64_t label = nn_label(a, i);
		if (label >= 0)
			nn_figure_add(f, !isnan(answer[label]) && rank_of(answer, a->width, label) < k);
	}
}

static void top_k_name(const void *options, char out[NN_METRIC_NAME])
{
	snprintf(out, NN_METRIC_NAME, "top_%lld", (long long)((const struct top_k_options *)options)->k);
}

static const struct nn_metric_type top_k = {
	.type = OPT_TYPE(top_k, "Part of the targets whose label is among the k largest answers."),
	.check = top_k_check,
	.add_mean = top_k_add,
	.name = top_k_name,
};

/* ---- perplexity: e to the mean loss ------------------------------------------------------------------------------ */

static bool perplexity_check(const void *options, const struct data_facts *f, struct err *why)
{
	(void)options;
	if (!metric_needs_classes("perplexity", f, why))
		return false;
	if (f->target != DATA_SHARES)
		return true;
	err_set(why, TD_INVALID, "perplexity needs one class for each target, but %s has shares; take \"accuracy\"",
		f->dataset);
	return false;
}

static void perplexity_add(const void *options, const struct nn_answers *a, struct nn_figure *f)
{
	(void)options;
	for (int64_t i = 0; i < a->n * a->steps; i++)
		if (nn_label(a, i) >= 0)
			nn_figure_add(f, (double)a->loss[i]);
}

static const struct nn_metric_type perplexity = {
	.type = { .name = "perplexity",
		.doc = "Exponential of the mean loss, for cross-entropy without weights and smoothing: among how many "
		       "equally likely classes the model is undecided." },
	.check = perplexity_check,
	.add_mean = perplexity_add,
	.of_mean = exp,
	.slope = exp,
	.smaller_is_better = true,
};

/* ---- All of them ----------------------------------------------------------------------------------------------- */

static const struct opt_type *const metrics[] = { &accuracy.type, &top_k.type, &nn_metric_precision.type,
	&nn_metric_recall.type, &nn_metric_f1.type, &nn_metric_roc_auc.type, &nn_metric_average_precision.type,
	&perplexity.type, &nn_metric_mae.type, &nn_metric_mse.type, &nn_metric_rmse.type, &nn_metric_r2.type };

const struct opt_family nn_metrics = { .name = "metric", .types = metrics, .n_types = TD_COUNT(metrics) };

const char *nn_metric_name(const struct opt_choice *metric, char out[NN_METRIC_NAME])
{
	const struct nn_metric_type *type = (const struct nn_metric_type *)metric->type;

	if (type->name)
		type->name(metric->options, out);
	else
		snprintf(out, NN_METRIC_NAME, "%s", type->type.name);
	return out;
}
