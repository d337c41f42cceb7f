/* Losses and metrics: what a model is trained for, and what people look at. */
#include "nn/nn.h"

/* ---- cross_entropy: mean over the batch of -log softmax(output)[label] ----------------------------------------- */

static bool cross_entropy_check(const td_shape *out, int n_classes, const char *dataset, struct err *why)
{
	char text[TD_SHAPE_TEXT];

	td_shape_text(out, text);
	if (out->rank != 2) {
		err_set(why, TD_SHAPE,
			"the model's output is %s, but cross_entropy takes [N, %d], one value for each class of %s; "
			"put \"flatten\" and {\"type\": \"linear\", \"out_features\": %d} behind this layer",
			text, n_classes, dataset, n_classes);
		return false;
	}
	if (out->dim[1] != n_classes) {
		err_set(why, TD_SHAPE,
			"the model's output is %s, but %s has %d classes and cross_entropy takes [N, %d]; "
			"the last linear layer needs \"out_features\": %d",
			text, dataset, n_classes, n_classes, n_classes);
		return false;
	}
	return true;
}

static td_value *cross_entropy_mean(td_ctx *c, const void *options, td_value *output, td_value *labels)
{
	(void)options;
	return td_cross_entropy(c, output, labels);
}

static td_value *cross_entropy_each(td_ctx *c, const void *options, td_value *output, td_value *labels)
{
	(void)options;
	return td_cross_entropy_each(c, output, labels);
}

static const struct nn_loss_type cross_entropy = {
	.type = { .name = "cross_entropy",
		.doc = "Softmax and negative log-likelihood of the label, as torch.nn.CrossEntropyLoss." },
	.check = cross_entropy_check,
	.mean = cross_entropy_mean,
	.each = cross_entropy_each,
};

static const struct opt_type *const losses[] = { &cross_entropy.type };

const struct opt_family nn_losses = { .name = "loss", .types = losses, .n_types = TD_COUNT(losses) };

/* ---- accuracy: how often the largest output is the label's ----------------------------------------------------- */

static td_value *accuracy_sum(td_ctx *c, const void *options, td_value *output, td_value *labels)
{
	(void)options;
	return td_sum(c, td_cast(c, td_equal(c, td_argmax(c, output, 1), labels), TD_F32), TD_ALL_AXES, false);
}

static double accuracy_one(const void *options, int64_t prediction, int64_t label)
{
	(void)options;
	return prediction == label;
}

static const struct nn_metric_type accuracy = {
	.type = { .name = "accuracy", .doc = "Part of the samples whose largest output is the label's." },
	.sum = accuracy_sum,
	.one = accuracy_one,
};

static const struct opt_type *const metrics[] = { &accuracy.type };

const struct opt_family nn_metrics = { .name = "metric", .types = metrics, .n_types = TD_COUNT(metrics) };
