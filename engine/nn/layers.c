/* The family of layers: which there are, and what every one of them can have.
 *
 * A layer is one block in one of the files layers_*.c: its options, what it declares for its input, its forward pass as
 * calls of ops, and the torch module that is the same.  Options, defaults and weights' names and shapes are those of
 * torch.nn.  Sizes of outputs are not computed there: the ops' shape rules say them when the model is built.  A block
 * checks only what deserves a better answer than an op can give. */
#include "nn/layers.h"
#include "nn/model.h"

static const struct opt common_opts[] = {
	{ NN_ROW(nn_common, name), .kind = OPT_STRING, .high = NN_NAME_MOST,
		.doc = "Its name, of letters, digits, \"_\" and \"-\"; its position where none is given." },
	{ NN_ROW(nn_common, inputs), .kind = OPT_STRINGS, .high = NN_NAME, .most = NN_LAYER_INPUTS, .alone = true,
		.doc = "Names of the layers that it reads from, \"input\" for the model's; the layer before where none "
		       "is given." },
	{ NN_ROW(nn_common, share), .kind = OPT_STRING, .high = NN_NAME,
		.doc = "Name of a layer before it whose parameters it uses as its own." },
};

static const struct opt_type common = { .name = "layer",
	.doc = "What every layer can have.",
	.options = common_opts,
	.n_options = TD_COUNT(common_opts),
	.n_bytes = sizeof(struct nn_common) };

static const struct opt_type *const types[] = { &nn_linear.type, &nn_conv2d.type, &nn_conv1d.type,
	&nn_conv_transpose2d.type, &nn_conv_transpose1d.type, &nn_max_pool2d.type, &nn_avg_pool2d.type,
	&nn_max_pool1d.type, &nn_avg_pool1d.type, &nn_adaptive_avg_pool2d.type, &nn_adaptive_max_pool2d.type,
	&nn_adaptive_avg_pool1d.type, &nn_adaptive_max_pool1d.type, &nn_global_avg_pool.type, &nn_global_max_pool.type,
	&nn_batch_norm.type, &nn_batch_norm1d.type, &nn_batch_norm2d.type, &nn_layer_norm.type, &nn_rms_norm.type,
	&nn_group_norm.type, &nn_instance_norm1d.type, &nn_instance_norm2d.type, &nn_local_response_norm.type,
	&nn_zero_pad2d.type, &nn_reflection_pad2d.type, &nn_replication_pad2d.type, &nn_upsample.type, &nn_dropout.type,
	&nn_dropout1d.type, &nn_dropout2d.type, &nn_alpha_dropout.type, &nn_embedding.type, &nn_rnn.type, &nn_lstm.type,
	&nn_gru.type, &nn_sequence_mean.type, &nn_multihead_attention.type, &nn_transformer_encoder_layer.type,
	&nn_positional_embedding.type, &nn_positional_encoding.type, &nn_relu.type, &nn_leaky_relu.type, &nn_elu.type,
	&nn_gelu.type, &nn_silu.type, &nn_sigmoid.type, &nn_tanh.type, &nn_softplus.type, &nn_softsign.type,
	&nn_mish.type, &nn_log_sigmoid.type, &nn_relu6.type, &nn_hardsigmoid.type, &nn_hardswish.type,
	&nn_hardtanh.type, &nn_selu.type, &nn_celu.type, &nn_prelu.type, &nn_threshold.type, &nn_glu.type,
	&nn_softmax.type, &nn_softmin.type, &nn_log_softmax.type, &nn_flatten.type, &nn_unflatten.type,
	&nn_identity.type, &nn_reshape.type, &nn_transpose.type, &nn_add.type, &nn_concat.type, &nn_sequential.type,
	&nn_residual.type, &nn_branches.type };

const struct opt_family nn_layers = { .name = "layer", .types = types, .n_types = TD_COUNT(types), .common = &common };

static const struct {
	int rank;
	const char *axes, *shape; /* SHAPE: of one sample */
	const char *twin; /* what a layer is called that does the same to rows, or to images; NULL: there is none */
} forms[] = {
	[NN_IMAGES] = { 4, "images [N, C, H, W]", "[C, H, W]", "1d" },
	[NN_ROWS] = { 3, "rows [N, C, L]", "[C, L]", "2d" },
	[NN_SEQUENCES] = { 3, "sequences [N, T, features]", "[steps, features]", NULL },
};

bool nn_takes(struct nn_builder *b, const struct nn_layer *l, int i, enum nn_form form)
{
	int rank = l->in[i].rank, other = form == NN_IMAGES ? 3 : 4;
	char in[TD_SHAPE_TEXT], fix[80] = "";

	if (rank == forms[form].rank)
		return true;
	if (rank == 2 && nn_input_layer(b, l, i))
		snprintf(fix, sizeof fix, "put it before \"flatten\" and \"linear\", or ");
	else if (rank == other && forms[form].twin)
		snprintf(fix, sizeof fix, "use the layer whose name ends in \"%s\", or ", forms[form].twin);
	return nn_refuse(b, l, "%s takes %s, but gets %s from %s; %sput a \"reshape\" to %s before it",
		l->type->type.name, forms[form].axes, td_shape_text(&l->in[i], in), nn_source(b, l, i), fix,
		forms[form].shape);
}
