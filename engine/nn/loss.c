/* What all losses share: the family, the mean, and which outputs fit which data.  Definitions are those of torch.nn. */
#include "nn/loss.h"
#include "nn/layers.h"

td_value *nn_loss_mean(td_ctx *c, td_value *each, td_value *weight)
{
	td_value *sum, *none; /* NONE: 1 where nothing counts, else 0 */

	if (!weight)
		return td_mean(c, each, TD_ALL_AXES, false);
	none = td_cast(c, td_equal(c, weight, td_zeros_like(c, weight)), td_shape_of(weight)->dtype);
	sum = td_mul(c, td_sum(c, each, TD_ALL_AXES, false), td_shift_by(c, td_neg(c, none), 1));
	return td_div(c, sum, td_add(c, weight, none));
}

bool nn_loss_sums(const struct opt_choice *loss)
{
	return ((const struct nn_loss_common *)loss->common)->reduction == NN_REDUCTION_SUM;
}

td_value *nn_loss_objective(td_ctx *c, const struct opt_choice *loss, td_value *each, td_value *mean)
{
	return nn_loss_sums(loss) ? td_sum(c, each, TD_ALL_AXES, false) : mean;
}

void nn_loss_look(td_ctx *c, const struct opt_choice *loss, const struct nn_model *m)
{
	const struct nn_loss_type *type = (const struct nn_loss_type *)loss->type;
	const struct nn_layer *last = m->output >= 0 ? &m->layers[m->output] : NULL;

	if (!type->of_probabilities || !type->of_probabilities(loss->options) || !last)
		return;
	if (last->type != &nn_linear && last->type != &nn_conv2d && last->type != &nn_conv1d)
		return;
	td_name_push(c, last->name);
	td_warn(c, "logits_as_probabilities",
		"%s takes probabilities here, but this layer's outputs are any numbers; end with \"%s\", or take %s",
		type->type.name, type == &nn_loss_bce ? "sigmoid" : "softmax",
		type == &nn_loss_bce ? "\"bce_with_logits\"" : "\"from_probabilities\": false");
	td_name_pop(c);
}

td_value *loss_weights(td_ctx *c, const struct opt_floats *list, const td_value *output)
{
	td_shape shape = td_shape_make(TD_F64, 1, (int64_t)list->n);
	td_value *v = td_tensor(c, &shape, list->items), *w;

	w = output ? td_detach(c, td_cast(c, v, td_shape_of(output)->dtype)) : NULL; /* the step's, even if it is V */
	td_unref(v);
	return w;
}

td_value *loss_counts(td_ctx *c, td_value *labels, td_value *w, const td_value *output)
{
	return output ? td_cast(c, td_label_weights(c, labels, w), td_shape_of(output)->dtype) : NULL;
}

td_value *loss_itself(td_ctx *c, const void *options, td_value *output)
{
	(void)c;
	(void)options;
	return output;
}

/* ---- What fits --------------------------------------------------------------------------------------------------- */

static bool fits_steps(const char *name, const td_shape *out, const struct data_facts *f, struct err *why)
{
	char text[TD_SHAPE_TEXT];
	int64_t steps = f->y.dim[0];

	if (out->rank == 3 && out->dim[1] == steps && out->dim[2] == f->n_classes)
		return true;
	err_set(why, TD_SHAPE,
		"the model's output is %s, but %s has a target at each step, and %s takes [N, %lld, %d]: steps, then "
		"one value for each class; end with {\"type\": \"linear\", \"out_features\": %d} behind layers that "
		"keep the steps",
		td_shape_text(out, text), f->dataset, name, (long long)steps, f->n_classes, f->n_classes);
	return false;
}

bool loss_fits_classes(const char *name, const td_shape *out, const struct data_facts *f, struct err *why)
{
	char text[TD_SHAPE_TEXT];
	int n = f->n_classes;

	if (f->target == DATA_VALUES) {
		err_set(why, TD_INVALID,
			"%s compares classes, but the target of %s is a number; take \"mse\", \"l1\" or \"huber\"",
			name, f->dataset);
		return false;
	}
	if (f->target == DATA_TOKENS)
		return fits_steps(name, out, f, why);
	if (out->rank == 2 && out->dim[1] == n)
		return true;
	td_shape_text(out, text);
	if (out->rank != 2)
		err_set(why, TD_SHAPE,
			"the model's output is %s, but %s takes [N, %d], one value for each class of %s; put "
			"\"flatten\" and {\"type\": \"linear\", \"out_features\": %d} behind this layer",
			text, name, n, f->dataset, n);
	else
		err_set(why, TD_SHAPE,
			"the model's output is %s, but %s has %d classes and %s takes [N, %d]; the last linear layer "
			"needs \"out_features\": %d",
			text, f->dataset, n, name, n, n);
	return false;
}

bool loss_fits_binary(const char *name, const td_shape *out, const struct data_facts *f, struct err *why)
{
	bool one = f->target == DATA_CLASS;
	int n = one ? 1 : f->n_classes;
	char text[TD_SHAPE_TEXT];

	if (f->target != DATA_SHARES && !(one && f->n_classes == 2)) {
		const char *what = f->target == DATA_CLASS    ? "more"
				   : f->target == DATA_TOKENS ? "a target at each step"
							      : "numbers";
		err_set(why, TD_INVALID, "%s decides between two classes, but %s has %s; take \"%s\"%s", name,
			f->dataset, what, f->target == DATA_VALUES ? "mse" : "cross_entropy",
			f->target == DATA_CLASS
				? ", or {\"type\": \"one_hot\"} among /data/transforms to decide about each class"
				: "");
		return false;
	}
	if ((out->rank == 2 && out->dim[1] == n) || (one && out->rank == 1))
		return true;
	err_set(why, TD_SHAPE,
		"the model's output is %s, but %s takes [N, %d] for %s; the last linear layer needs \"out_features\": "
		"%d",
		td_shape_text(out, text), name, n, f->dataset, n);
	return false;
}

bool loss_fits_values(const char *name, const td_shape *out, const struct data_facts *f, struct err *why)
{
	char text[TD_SHAPE_TEXT];
	long long n = f->y.rank == 1 ? f->y.dim[0] : 1;

	if (f->target == DATA_CLASS || f->target == DATA_TOKENS) {
		err_set(why, TD_INVALID,
			"%s compares numbers, but the target of %s is a class; take \"cross_entropy\"%s", name,
			f->dataset,
			f->target == DATA_CLASS ? ", or {\"type\": \"one_hot\"} among /data/transforms" : "");
		return false;
	}
	if (out->rank != 2 || out->dim[1] != n) {
		err_set(why, TD_SHAPE,
			"the model's output is %s, but %s takes [N, %lld], one value for each of the targets of %s; %s"
			"{\"type\": \"linear\", \"out_features\": %lld} must come last",
			td_shape_text(out, text), name, n, f->dataset, out->rank == 2 ? "" : "\"flatten\" and ", n);
		return false;
	}
	return true;
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

static const struct opt_type *const losses[] = { &nn_loss_cross_entropy.type, &nn_loss_bce_with_logits.type,
	&nn_loss_mse.type, &nn_loss_l1.type, &nn_loss_huber.type, &nn_loss_smooth_l1.type, &nn_loss_nll.type,
	&nn_loss_bce.type, &nn_loss_hinge.type, &nn_loss_multi_margin.type, &nn_loss_hinge_embedding.type,
	&nn_loss_kl_div.type };

static const char *const reduction_names[] = { "mean", "sum", NULL };

static const struct opt common_opts[] = {
	{ .name = "reduction",
		.kind = OPT_ENUM,
		.at = offsetof(struct nn_loss_common, reduction),
		.value = "\"mean\"",
		.names = reduction_names,
		.doc = "What gradients are of: the mean over the targets that count, or their sum, which grows with "
		       "the batch. The series show means in either case, to be compared." },
};

static const struct opt_type common_type = { .name = "loss",
	.options = common_opts,
	.n_options = TD_COUNT(common_opts),
	.n_bytes = sizeof(struct nn_loss_common) };

const struct opt_family nn_losses = {
	.name = "loss", .types = losses, .n_types = TD_COUNT(losses), .common = &common_type
};
