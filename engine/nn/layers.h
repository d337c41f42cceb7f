/* What the files of layers share: rows of options that recur, and the families' parts. */
#ifndef TD_NN_LAYERS_H
#define TD_NN_LAYERS_H

#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "nn/nn.h"

#define NN_SIZE_MOST     65536 /* kernel sizes, strides, paddings: an image side larger than this is not built here */
#define NN_FEATURES_MOST 1e9   /* features, channels, rows of a table */

/* Rows.  TYPE is the struct of the options, FIELD its member and the option's name. */
#define NN_ROW(type, field) .name = #field, .at = offsetof(struct type, field)
#define NN_COUNT_ROW(type, field, text)                                                                                \
	{                                                                                                              \
		NN_ROW(type, field), .kind = OPT_INT, .low = 1, .high = NN_FEATURES_MOST, .required = true,            \
				     .doc = (text)                                                                     \
	}
/* A size that follows from the layer before; who gives it wants to be told where it is wrong (nn_expect). */
#define NN_GIVEN_ROW(type, field, text)                                                                                \
	{                                                                                                              \
		NN_ROW(type, field), .kind = OPT_INT, .low = 1, .high = NN_FEATURES_MOST, .doc = (text)                \
	}
/* IN_KERAS: the default where the document says "defaults": "keras". */
#define NN_FLAG_ROW_OR(type, field, otherwise, in_keras, text)                                                         \
	{                                                                                                              \
		NN_ROW(type, field), .kind = OPT_BOOL, .value = (otherwise), .keras = (in_keras), .doc = (text)        \
	}
#define NN_FLAG_ROW(type, field, otherwise, text) NN_FLAG_ROW_OR(type, field, otherwise, NULL, text)
#define NN_FLOAT_ROW_OR(type, field, least, most, otherwise, in_keras, text)                                           \
	{                                                                                                              \
		NN_ROW(type, field), .kind = OPT_FLOAT, .low = (least), .high = (most), .value = (otherwise),          \
				     .keras = (in_keras), .doc = (text)                                                \
	}
#define NN_FLOAT_ROW(type, field, least, most, otherwise, text)                                                        \
	NN_FLOAT_ROW_OR(type, field, least, most, otherwise, NULL, text)
#define NN_AXIS_ROW(type, field, otherwise, text)                                                                      \
	{                                                                                                              \
		NN_ROW(type, field), .kind = OPT_INT, .low = -TD_MAX_RANK, .high = TD_MAX_RANK - 1,                    \
				     .value = (otherwise), .required = !(otherwise), .doc = (text)                     \
	}

/* What a padding may say in place of numbers (layers_conv.c). */
enum { NN_PADDING_SAME = -1, NN_PADDING_VALID = -2 };
extern const char *const nn_padding_words[];

/* torch's reset_parameters: kaiming_uniform with a = sqrt(5), which is uniform within 1 / sqrt(fan in). */
#define NN_TORCH_INIT "{\"type\":\"kaiming_uniform\",\"a\":2.23606797749979,\"mode\":\"fan_in\"}"

/* Keras' glorot_uniform. */
#define NN_KERAS_INIT "\"xavier_uniform\""

#define NN_INIT_ROW_OR(type, field, otherwise, in_keras, text)                                                         \
	{                                                                                                              \
		NN_ROW(type, field), .kind = OPT_CHOICE, .value = (otherwise), .keras = (in_keras),                    \
				     .family = &nn_inits, .doc = (text)                                                \
	}
#define NN_INIT_ROW(type, field, otherwise, text) NN_INIT_ROW_OR(type, field, otherwise, NULL, text)
#define NN_INIT_ROWS(type)                                                                                             \
	NN_FLAG_ROW(type, bias, "true", "Add a learnt bias."),                                                         \
		NN_INIT_ROW_OR(type, init, NN_TORCH_INIT, NN_KERAS_INIT,                                               \
			"Initial weights; the default is torch's: kaiming_uniform with a = sqrt(5)."),                 \
		NN_INIT_ROW_OR(type, bias_init, "\"bias_uniform\"", "\"zeros\"", "Initial biases.")

static inline const struct nn_init_type *nn_init_of(const struct opt_choice *choice)
{
	return (const struct nn_init_type *)choice->type;
}

/* A * B without overflow: what is above any limit stays above. */
static inline int64_t nn_product(int64_t a, int64_t b)
{
	int64_t p;

	return __builtin_mul_overflow(a, b, &p) ? INT64_MAX : p;
}

/* ", NAME=V" unless V is OTHERWISE, torch's default. */
static inline void nn_put_number(struct buf *out, const char *name, double v, double otherwise)
{
	char number[32];

	if (v != otherwise)
		buf_printf(out, ", %s=%s", name, json_shortest(v, number));
}

static inline const char *nn_python(bool b)
{
	return b ? "True" : "False";
}

/* AXIS of a value with RANK axes, counted from the end where it is negative; -1: there is none such. */
static inline int nn_axis(int64_t axis, int rank)
{
	int64_t a = axis < 0 ? axis + rank : axis;

	return a >= 0 && a < rank ? (int)a : -1;
}

/* [N, C, L] as the image of height 1 that the kernels of images take, and back. */
static inline td_value *nn_row_to_image(td_ctx *c, td_value *row)
{
	static const int64_t image[] = { TD_SIZE_OF(0), TD_SIZE_OF(1), 1, TD_SIZE_OF(2) };

	return td_reshape(c, row, image, 4);
}

static inline td_value *nn_image_to_row(td_ctx *c, td_value *image)
{
	static const int64_t row[] = { TD_SIZE_OF(0), TD_SIZE_OF(1), TD_SIZE_OF(3) };

	return td_reshape(c, image, row, 3);
}

/* What the axes of an input are to a layer: [N, C, H, W], [N, C, L], [N, T, features]. */
enum nn_form { NN_IMAGES, NN_ROWS, NN_SEQUENCES };
/* False, with a fault: input I of L has not as many axes as FORM. */
bool nn_takes(struct nn_builder *b, const struct nn_layer *l, int i, enum nn_form form);

/* What norms share (layers_norm.c): a scale "weight" and a shift "bias" for each channel of input 0, the statistics
 * "running_mean" and "running_var" of each, and the cost. */
bool nn_declare_affine(struct nn_builder *b, struct nn_layer *l);
bool nn_declare_running(struct nn_builder *b, struct nn_layer *l);
double nn_norm_flops(const struct nn_layer *l);

struct nn_concat_options {
	int64_t dim;
};

/* The layers of each file, by the file's noun; layers.c lists them. */
extern const struct nn_layer_type nn_linear, nn_embedding;
extern const struct nn_layer_type nn_conv1d, nn_conv2d;
extern const struct nn_layer_type nn_conv_transpose1d, nn_conv_transpose2d;
extern const struct nn_layer_type nn_max_pool1d, nn_avg_pool1d, nn_max_pool2d, nn_avg_pool2d, nn_adaptive_avg_pool1d,
	nn_adaptive_max_pool1d, nn_adaptive_avg_pool2d, nn_adaptive_max_pool2d, nn_global_avg_pool, nn_global_max_pool;
extern const struct nn_layer_type nn_batch_norm, nn_batch_norm1d, nn_batch_norm2d, nn_layer_norm, nn_rms_norm;
extern const struct nn_layer_type nn_group_norm, nn_instance_norm1d, nn_instance_norm2d, nn_local_response_norm;
extern const struct nn_layer_type nn_zero_pad2d, nn_reflection_pad2d, nn_replication_pad2d, nn_upsample;
extern const struct nn_layer_type nn_rnn, nn_lstm, nn_gru, nn_sequence_mean;
extern const struct nn_layer_type nn_multihead_attention, nn_transformer_encoder_layer, nn_positional_embedding,
	nn_positional_encoding;
extern const struct nn_layer_type nn_dropout, nn_dropout1d, nn_dropout2d, nn_alpha_dropout;
extern const struct nn_layer_type nn_relu, nn_leaky_relu, nn_elu, nn_gelu, nn_silu, nn_sigmoid, nn_tanh, nn_softplus,
	nn_softsign, nn_mish, nn_log_sigmoid, nn_relu6, nn_hardsigmoid, nn_hardswish, nn_hardtanh, nn_selu, nn_celu,
	nn_prelu, nn_threshold, nn_glu, nn_softmax, nn_softmin, nn_log_softmax;
extern const struct nn_layer_type nn_flatten, nn_unflatten, nn_identity, nn_reshape, nn_transpose, nn_add, nn_concat;
extern const struct nn_layer_type nn_sequential, nn_residual, nn_branches; /* model_tree.c */

#endif
