/* Layers: shapes, parameters, both modes, and what they say in torch's words. */
#include "layer_rig.h"

#include <math.h>

/* ---- Every layer by a table -------------------------------------------------------------------------------------- */

struct row {
	const char *layer;
	td_shape in;
	const char *out;    /* shape of the output */
	int64_t parameters; /* learnt elements */
	const char *torch;  /* the module in generated code; NULL: none */
};

static const struct row rows[] = {
	{ "{\"type\":\"linear\",\"out_features\":4}", FLAT(2, 3), "float32[2, 4]", 16, "nn.Linear(3, 4)" },
	{ "{\"type\":\"linear\",\"out_features\":4,\"bias\":false}", SEQUENCE(2, 5, 3), "float32[2, 5, 4]", 12,
		"nn.Linear(3, 4, bias=False)" },
	{ "{\"type\":\"embedding\",\"embedding_dim\":6}", TOKENS(2, 5), "float32[2, 5, 6]", 120,
		"nn.Embedding(20, 6)" },
	{ "{\"type\":\"embedding\",\"embedding_dim\":6,\"num_embeddings\":30,\"padding_idx\":2}", TOKENS(2, 5),
		"float32[2, 5, 6]", 180, "nn.Embedding(30, 6, padding_idx=2)" },
	{ "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":3}", IMAGE(2, 3, 9, 7), "float32[2, 8, 7, 5]", 224,
		"nn.Conv2d(3, 8, (3, 3), stride=(1, 1), padding=(0, 0))" },
	{ "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":[3,5],\"padding\":\"same\"}", IMAGE(2, 3, 9, 7),
		"float32[2, 8, 9, 7]", 368, "nn.Conv2d(3, 8, (3, 5), stride=(1, 1), padding=(1, 2))" },
	{ "{\"type\":\"conv2d\",\"out_channels\":8,\"kernel_size\":[3,2],\"stride\":2,\"padding\":\"same\"}",
		IMAGE(2, 3, 9, 8), "float32[2, 8, 5, 4]", 152,
		"nn.Conv2d(3, 8, (3, 2), stride=(2, 2), padding=(0, 0))" },
	{ "{\"type\":\"conv1d\",\"out_channels\":4,\"kernel_size\":4,\"padding\":\"same\"}", SEQUENCE(2, 3, 9),
		"float32[2, 4, 9]", 52, "nn.Conv1d(3, 4, 4, stride=1, padding=0)" },
	{ "{\"type\":\"conv2d\",\"out_channels\":6,\"kernel_size\":3,\"dilation\":2,\"groups\":3,\"padding\":"
	  "\"valid\"}",
		IMAGE(2, 3, 9, 7), "float32[2, 6, 5, 3]", 60,
		"nn.Conv2d(3, 6, (3, 3), stride=(1, 1), padding=(0, 0), dilation=(2, 2), groups=3)" },
	{ "{\"type\":\"conv1d\",\"out_channels\":4,\"kernel_size\":5,\"stride\":2,\"padding\":2}", SEQUENCE(2, 3, 9),
		"float32[2, 4, 5]", 64, "nn.Conv1d(3, 4, 5, stride=2, padding=2)" },
	{ "{\"type\":\"conv_transpose2d\",\"out_channels\":4,\"kernel_size\":4,\"stride\":2,\"padding\":1}",
		IMAGE(2, 3, 5, 7), "float32[2, 4, 10, 14]", 196,
		"nn.ConvTranspose2d(3, 4, (4, 4), stride=(2, 2), padding=(1, 1))" },
	{ "{\"type\":\"conv_transpose2d\",\"out_channels\":6,\"kernel_size\":[3,2],\"stride\":[3,1],"
	  "\"output_padding\":[2,0],\"dilation\":[1,2],\"groups\":3,\"bias\":false}",
		IMAGE(2, 3, 4, 5), "float32[2, 6, 14, 7]", 36,
		"nn.ConvTranspose2d(3, 6, (3, 2), stride=(3, 1), output_padding=(2, 0), dilation=(1, 2), groups=3, "
		"bias=False)" },
	{ "{\"type\":\"conv_transpose1d\",\"out_channels\":4,\"kernel_size\":3,\"stride\":2,\"output_padding\":1}",
		SEQUENCE(2, 3, 5), "float32[2, 4, 12]", 40, "nn.ConvTranspose1d(3, 4, 3, stride=2, output_padding=1)" },
	{ "{\"type\":\"conv_transpose2d\",\"out_channels\":4,\"kernel_size\":[4,2],\"stride\":[1,3],\"padding\":"
	  "\"same\"}",
		IMAGE(2, 3, 5, 7), "float32[2, 4, 5, 21]", 100,
		"nn.ConvTranspose2d(3, 4, (4, 2), stride=(1, 3), padding=(1, 0), output_padding=(0, 1))" },
	{ "{\"type\":\"conv_transpose1d\",\"out_channels\":4,\"kernel_size\":5,\"stride\":2,\"padding\":\"same\"}",
		SEQUENCE(2, 3, 5), "float32[2, 4, 10]", 64, "nn.ConvTranspose1d(3, 4, 5, stride=2, padding=1)" },
	{ "{\"type\":\"conv_transpose1d\",\"out_channels\":4,\"kernel_size\":3,\"stride\":2,\"padding\":\"valid\"}",
		SEQUENCE(2, 3, 5), "float32[2, 4, 11]", 40, "nn.ConvTranspose1d(3, 4, 3, stride=2)" },
	{ "{\"type\":\"max_pool2d\",\"kernel_size\":[2,3],\"stride\":1,\"dilation\":[3,2],\"padding\":[2,0]}",
		IMAGE(2, 3, 9, 7), "float32[2, 3, 10, 3]", 0,
		"nn.MaxPool2d((2, 3), stride=(1, 1), padding=(2, 0), dilation=(3, 2))" },
	{ "{\"type\":\"max_pool1d\",\"kernel_size\":2,\"dilation\":3}", SEQUENCE(2, 3, 9), "float32[2, 3, 3]", 0,
		"nn.MaxPool1d(2, stride=2, padding=0, dilation=3)" },
	{ "{\"type\":\"avg_pool2d\",\"kernel_size\":2,\"divisor_override\":3}", IMAGE(2, 3, 8, 8),
		"float32[2, 3, 4, 4]", 0, "nn.AvgPool2d((2, 2), stride=(2, 2), padding=(0, 0), divisor_override=3)" },
	{ "{\"type\":\"adaptive_max_pool2d\",\"output_size\":[2,3]}", IMAGE(2, 3, 9, 7), "float32[2, 3, 2, 3]", 0,
		"nn.AdaptiveMaxPool2d((2, 3))" },
	{ "{\"type\":\"adaptive_avg_pool1d\",\"output_size\":4}", SEQUENCE(2, 3, 9), "float32[2, 3, 4]", 0,
		"nn.AdaptiveAvgPool1d(4)" },
	{ "{\"type\":\"adaptive_max_pool1d\",\"output_size\":4}", SEQUENCE(2, 3, 9), "float32[2, 3, 4]", 0,
		"nn.AdaptiveMaxPool1d(4)" },
	{ "\"global_max_pool\"", IMAGE(2, 3, 9, 7), "float32[2, 3]", 0, NULL },
	{ "\"global_max_pool\"", SEQUENCE(2, 3, 9), "float32[2, 3]", 0, NULL },
	{ "{\"type\":\"max_pool2d\",\"kernel_size\":2}", IMAGE(2, 3, 9, 7), "float32[2, 3, 4, 3]", 0,
		"nn.MaxPool2d((2, 2), stride=(2, 2), padding=(0, 0))" },
	{ "{\"type\":\"max_pool2d\",\"kernel_size\":3,\"stride\":2,\"ceil_mode\":true}", IMAGE(2, 3, 8, 8),
		"float32[2, 3, 4, 4]", 0, "nn.MaxPool2d((3, 3), stride=(2, 2), padding=(0, 0), ceil_mode=True)" },
	{ "{\"type\":\"avg_pool2d\",\"kernel_size\":2,\"padding\":1,\"count_include_pad\":false}", IMAGE(2, 3, 8, 8),
		"float32[2, 3, 5, 5]", 0,
		"nn.AvgPool2d((2, 2), stride=(2, 2), padding=(1, 1), count_include_pad=False)" },
	{ "{\"type\":\"max_pool1d\",\"kernel_size\":3}", SEQUENCE(2, 3, 9), "float32[2, 3, 3]", 0,
		"nn.MaxPool1d(3, stride=3, padding=0)" },
	{ "{\"type\":\"avg_pool1d\",\"kernel_size\":2,\"stride\":1}", SEQUENCE(2, 3, 9), "float32[2, 3, 8]", 0,
		"nn.AvgPool1d(2, stride=1, padding=0)" },
	{ "{\"type\":\"adaptive_avg_pool2d\",\"output_size\":[2,3]}", IMAGE(2, 3, 9, 7), "float32[2, 3, 2, 3]", 0,
		"nn.AdaptiveAvgPool2d((2, 3))" },
	{ "\"global_avg_pool\"", IMAGE(2, 3, 9, 7), "float32[2, 3]", 0, NULL },
	{ "\"global_avg_pool\"", SEQUENCE(2, 3, 9), "float32[2, 3]", 0, NULL },
	{ "\"batch_norm\"", FLAT(4, 3), "float32[4, 3]", 6, "nn.BatchNorm1d(3)" },
	{ "\"batch_norm1d\"", SEQUENCE(4, 3, 5), "float32[4, 3, 5]", 6, "nn.BatchNorm1d(3)" },
	{ "{\"type\":\"batch_norm2d\",\"momentum\":0.2,\"affine\":false}", IMAGE(4, 3, 5, 5), "float32[4, 3, 5, 5]", 0,
		"nn.BatchNorm2d(3, momentum=0.2, affine=False)" },
	{ "{\"type\":\"batch_norm\",\"track_running_stats\":false}", FLAT(4, 3), "float32[4, 3]", 6,
		"nn.BatchNorm1d(3, track_running_stats=False)" },
	{ "{\"type\":\"batch_norm\",\"frozen\":true}", FLAT(4, 3), "float32[4, 3]", 0,
		"nn.BatchNorm1d(3).requires_grad_(False)" },
	{ "\"layer_norm\"", SEQUENCE(4, 3, 5), "float32[4, 3, 5]", 10, "nn.LayerNorm((5, ))" },
	{ "{\"type\":\"layer_norm\",\"bias\":false}", SEQUENCE(4, 3, 5), "float32[4, 3, 5]", 5,
		"nn.LayerNorm((5, ), bias=False)" },
	{ "{\"type\":\"softplus\",\"beta\":2,\"threshold\":3}", FLAT(4, 3), "float32[4, 3]", 0,
		"nn.Softplus(2, threshold=3)" },
	{ "{\"type\":\"conv2d\",\"out_channels\":2,\"kernel_size\":3,\"padding\":\"same\",\"padding_mode\":"
	  "\"circular\"}",
		IMAGE(2, 3, 5, 4), "float32[2, 2, 5, 4]", 56,
		"nn.Conv2d(3, 2, (3, 3), stride=(1, 1), padding=\"same\", padding_mode=\"circular\")" },
	{ "{\"type\":\"conv1d\",\"out_channels\":2,\"kernel_size\":3,\"padding\":2,\"padding_mode\":\"reflect\"}",
		SEQUENCE(2, 3, 5), "float32[2, 2, 7]", 20,
		"nn.Conv1d(3, 2, 3, stride=1, padding=2, padding_mode=\"reflect\")" },
	{ "{\"type\":\"layer_norm\",\"axes\":2}", SEQUENCE(4, 3, 5), "float32[4, 3, 5]", 30, "nn.LayerNorm((3, 5, ))" },
	{ "\"rms_norm\"", SEQUENCE(4, 3, 5), "float32[4, 3, 5]", 5, "nn.RMSNorm((5, ))" },
	{ "{\"type\":\"rms_norm\",\"axes\":2,\"eps\":0.001,\"elementwise_affine\":false}", SEQUENCE(4, 3, 5),
		"float32[4, 3, 5]", 0, "nn.RMSNorm((3, 5, ), eps=0.001, elementwise_affine=False)" },
	{ "{\"type\":\"group_norm\",\"num_groups\":2}", IMAGE(2, 6, 4, 3), "float32[2, 6, 4, 3]", 12,
		"nn.GroupNorm(2, 6)" },
	{ "{\"type\":\"group_norm\",\"num_groups\":3,\"affine\":false,\"eps\":0.01}", FLAT(4, 6), "float32[4, 6]", 0,
		"nn.GroupNorm(3, 6, eps=0.01, affine=False)" },
	{ "\"instance_norm2d\"", IMAGE(2, 3, 4, 3), "float32[2, 3, 4, 3]", 0, "nn.InstanceNorm2d(3)" },
	{ "{\"type\":\"instance_norm2d\",\"affine\":true,\"track_running_stats\":true,\"momentum\":0.3}",
		IMAGE(2, 3, 4, 3), "float32[2, 3, 4, 3]", 6,
		"nn.InstanceNorm2d(3, momentum=0.3, affine=True, track_running_stats=True)" },
	{ "{\"type\":\"instance_norm1d\",\"affine\":true}", SEQUENCE(2, 3, 5), "float32[2, 3, 5]", 6,
		"nn.InstanceNorm1d(3, affine=True)" },
	{ "{\"type\":\"local_response_norm\",\"size\":4}", IMAGE(2, 5, 4, 3), "float32[2, 5, 4, 3]", 0,
		"nn.LocalResponseNorm(4, alpha=0.0001, beta=0.75, k=1)" },
	{ "{\"type\":\"zero_pad2d\",\"padding\":2}", IMAGE(2, 3, 4, 3), "float32[2, 3, 8, 7]", 0,
		"nn.ZeroPad2d((2, 2, 2, 2))" },
	{ "{\"type\":\"reflection_pad2d\",\"padding\":[1,2,3,0]}", IMAGE(2, 3, 4, 3), "float32[2, 3, 7, 6]", 0,
		"nn.ReflectionPad2d((1, 2, 3, 0))" },
	{ "{\"type\":\"replication_pad2d\",\"padding\":[0,4,1,1]}", IMAGE(2, 3, 4, 3), "float32[2, 3, 6, 7]", 0,
		"nn.ReplicationPad2d((0, 4, 1, 1))" },
	{ "{\"type\":\"upsample\",\"scale_factor\":2}", IMAGE(2, 3, 4, 3), "float32[2, 3, 8, 6]", 0,
		"nn.Upsample(scale_factor=2, mode=\"nearest\")" },
	{ "{\"type\":\"upsample\",\"size\":[5,9],\"mode\":\"bilinear\",\"align_corners\":true}", IMAGE(2, 3, 4, 3),
		"float32[2, 3, 5, 9]", 0, "nn.Upsample(size=(5, 9), mode=\"bilinear\", align_corners=True)" },
	{ "{\"type\":\"lstm\",\"hidden_size\":4}", SEQUENCE(2, 5, 3), "float32[2, 5, 4]", 144,
		"nn.LSTM(3, 4, batch_first=True)" },
	{ "{\"type\":\"lstm\",\"hidden_size\":4,\"num_layers\":2,\"bidirectional\":true,\"return\":\"last\","
	  "\"dropout\":0.5}",
		SEQUENCE(2, 5, 3), "float32[2, 8]", 736,
		"nn.LSTM(3, 4, num_layers=2, batch_first=True, dropout=0.5, bidirectional=True)" },
	{ "{\"type\":\"lstm\",\"hidden_size\":4,\"bias\":false}", SEQUENCE(2, 5, 3), "float32[2, 5, 4]", 112,
		"nn.LSTM(3, 4, bias=False, batch_first=True)" },
	{ "{\"type\":\"gru\",\"hidden_size\":4,\"bias\":false,\"bidirectional\":true}", SEQUENCE(2, 5, 3),
		"float32[2, 5, 8]", 168, "nn.GRU(3, 4, bias=False, batch_first=True, bidirectional=True)" },
	{ "{\"type\":\"gru\",\"hidden_size\":4}", SEQUENCE(2, 5, 3), "float32[2, 5, 4]", 108,
		"nn.GRU(3, 4, batch_first=True)" },
	{ "{\"type\":\"rnn\",\"hidden_size\":4,\"input_size\":3}", SEQUENCE(2, 5, 3), "float32[2, 5, 4]", 36,
		"nn.RNN(3, 4, batch_first=True)" },
	{ "{\"type\":\"rnn\",\"hidden_size\":4,\"num_layers\":2,\"bidirectional\":true,\"return\":\"last\","
	  "\"nonlinearity\":\"relu\"}",
		SEQUENCE(2, 5, 3), "float32[2, 8]", 184,
		"nn.RNN(3, 4, num_layers=2, nonlinearity=\"relu\", batch_first=True, bidirectional=True)" },
	{ "\"sequence_mean\"", SEQUENCE(2, 5, 3), "float32[2, 3]", 0, NULL },
	{ "{\"type\":\"multihead_attention\",\"num_heads\":3}", SEQUENCE(2, 5, 6), "float32[2, 5, 6]", 168,
		"nn.MultiheadAttention(6, 3, batch_first=True)" },
	{ "{\"type\":\"multihead_attention\",\"embed_dim\":6,\"num_heads\":2,\"bias\":false,\"causal\":true,"
	  "\"dropout\":0.5,\"inputs\":[\"input\",\"input\",\"input\"]}",
		SEQUENCE(2, 5, 6), "float32[2, 5, 6]", 144,
		"nn.MultiheadAttention(6, 2, dropout=0.5, bias=False, batch_first=True)" },
	{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":2,\"dim_feedforward\":10}", SEQUENCE(2, 5, 6),
		"float32[2, 5, 6]", 328,
		"nn.TransformerEncoderLayer(6, 2, dim_feedforward=10, dropout=0.1, activation=\"relu\", "
		"layer_norm_eps=1e-05, batch_first=True, norm_first=False)" },
	{ "{\"type\":\"transformer_encoder_layer\",\"nhead\":3,\"dim_feedforward\":10,\"norm_first\":true,"
	  "\"activation\":\"gelu\",\"causal\":true,\"bias\":false,\"dropout\":0}",
		SEQUENCE(2, 5, 6), "float32[2, 5, 6]", 276,
		"nn.TransformerEncoderLayer(6, 3, dim_feedforward=10, dropout=0, activation=\"gelu\", "
		"layer_norm_eps=1e-05, batch_first=True, norm_first=True, bias=False)" },
	{ "\"positional_embedding\"", SEQUENCE(2, 5, 3), "float32[2, 5, 3]", 15, "nn.Embedding(5, 3)" },
	{ "{\"type\":\"positional_embedding\",\"num_embeddings\":9,\"init\":\"zeros\"}", SEQUENCE(2, 5, 3),
		"float32[2, 5, 3]", 27, "nn.Embedding(9, 3)" },
	{ "\"positional_encoding\"", SEQUENCE(2, 5, 3), "float32[2, 5, 3]", 0, NULL },
	{ "\"relu\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.ReLU()" },
	{ "\"leaky_relu\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.LeakyReLU(0.01)" },
	{ "\"elu\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.ELU(1)" },
	{ "\"gelu\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.GELU(approximate=\"none\")" },
	{ "\"silu\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.SiLU()" },
	{ "\"sigmoid\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Sigmoid()" },
	{ "\"tanh\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Tanh()" },
	{ "\"softplus\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Softplus()" },
	{ "\"softsign\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Softsign()" },
	{ "\"mish\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Mish()" },
	{ "\"log_sigmoid\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.LogSigmoid()" },
	{ "\"relu6\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.ReLU6()" },
	{ "\"hardsigmoid\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Hardsigmoid()" },
	{ "\"hardswish\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Hardswish()" },
	{ "\"hardtanh\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Hardtanh(-1, 1)" },
	{ "\"selu\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.SELU()" },
	{ "{\"type\":\"celu\",\"alpha\":0.5}", FLAT(2, 3), "float32[2, 3]", 0, "nn.CELU(0.5)" },
	{ "{\"type\":\"threshold\",\"threshold\":0.1,\"value\":-2}", FLAT(2, 3), "float32[2, 3]", 0,
		"nn.Threshold(0.1, -2)" },
	{ "\"prelu\"", SEQUENCE(2, 5, 3), "float32[2, 5, 3]", 1, "nn.PReLU(1, init=0.25)" },
	{ "{\"type\":\"prelu\",\"num_parameters\":3,\"init\":0.5}", IMAGE(2, 3, 4, 5), "float32[2, 3, 4, 5]", 3,
		"nn.PReLU(3, init=0.5)" },
	{ "\"glu\"", SEQUENCE(2, 5, 6), "float32[2, 5, 3]", 0, "nn.GLU(dim=2)" },
	{ "{\"type\":\"glu\",\"dim\":1}", IMAGE(2, 4, 3, 2), "float32[2, 2, 3, 2]", 0, "nn.GLU(dim=1)" },
	{ "\"softmin\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Softmin(dim=1)" },
	{ "\"softmax\"", SEQUENCE(2, 5, 3), "float32[2, 5, 3]", 0, "nn.Softmax(dim=2)" },
	{ "{\"type\":\"log_softmax\",\"dim\":1}", SEQUENCE(2, 5, 3), "float32[2, 5, 3]", 0, "nn.LogSoftmax(dim=1)" },
	{ "\"dropout\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Dropout(0.5)" },
	{ "{\"type\":\"dropout1d\",\"p\":0.25}", SEQUENCE(2, 3, 5), "float32[2, 3, 5]", 0, "nn.Dropout1d(0.25)" },
	{ "\"dropout2d\"", IMAGE(2, 3, 5, 4), "float32[2, 3, 5, 4]", 0, "nn.Dropout2d(0.5)" },
	{ "\"alpha_dropout\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.AlphaDropout(0.5)" },
	{ "\"identity\"", FLAT(2, 3), "float32[2, 3]", 0, "nn.Identity()" },
	{ "\"flatten\"", IMAGE(2, 3, 9, 7), "float32[2, 189]", 0, "nn.Flatten()" },
	{ "{\"type\":\"flatten\",\"start_dim\":2}", IMAGE(2, 3, 9, 7), "float32[2, 3, 63]", 0, "nn.Flatten(2, -1)" },
	{ "{\"type\":\"flatten\",\"end_dim\":2}", IMAGE(2, 3, 9, 7), "float32[2, 27, 7]", 0, "nn.Flatten(1, 2)" },
	{ "{\"type\":\"unflatten\",\"unflattened_size\":[2,-1]}", SEQUENCE(2, 6, 5), "float32[2, 2, 3, 5]", 0,
		"nn.Unflatten(1, (2, -1, ))" },
	{ "{\"type\":\"unflatten\",\"dim\":-1,\"unflattened_size\":[5]}", SEQUENCE(2, 6, 5), "float32[2, 6, 5]", 0,
		"nn.Unflatten(2, (5, ))" },
	{ "{\"type\":\"reshape\",\"shape\":[7,-1]}", IMAGE(2, 3, 9, 7), "float32[2, 7, 27]", 0, NULL },
	{ "\"transpose\"", SEQUENCE(2, 5, 3), "float32[2, 3, 5]", 0, NULL },
	{ "{\"type\":\"add\",\"inputs\":[\"input\",\"input\"]}", FLAT(2, 3), "float32[2, 3]", 0, NULL },
	{ "{\"type\":\"concat\",\"inputs\":[\"input\",\"input\",\"input\"],\"dim\":-1}", SEQUENCE(2, 5, 3),
		"float32[2, 5, 9]", 0, NULL },
};

static void every_layer_has_the_shapes_and_parameters_of_torch(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		const struct row *row = &rows[i];
		char out[TD_SHAPE_TEXT];
		const struct nn_layer *l;
		struct buf torch;
		struct bench b;

		bench_layers(&b, row->layer, row->in);
		l = &b.model->layers[0];
		assert_string_equal(td_shape_text(&b.model->out, out), row->out);
		assert_int_equal(b.model->n_parameters, row->parameters);
		assert_true(l->flops >= 0);
		buf_init(&torch, 1000);
		assert_true((l->type->torch != NULL) == (row->torch != NULL));
		if (row->torch) {
			l->type->torch(l, &torch);
			assert_string_equal(torch.data, row->torch);
		} else {
			assert_non_null(l->type->call);
		}
		buf_release(&torch);
		bench_release(&b);
	}
}

static td_value *any_input(struct bench *b, td_shape in)
{
	int64_t n = td_shape_count(&in), *tokens = MEM_NEW_N(int64_t, n);
	float *numbers = MEM_NEW_N(float, n);
	struct rng_key key = { .seed = 3, .stream = 1 };
	td_value *x;

	for (int64_t i = 0; i < n; i++) {
		tokens[i] = i % 20;
		numbers[i] = 2 * rng_unit(rng_u32(&key, (uint64_t)i)) - 1;
	}
	x = td_tensor(b->c, &in, in.dtype == TD_I64 ? (void *)tokens : numbers);
	mem_free(numbers);
	mem_free(tokens);
	return x;
}

static void every_layer_runs_in_both_passes_and_its_parameters_learn(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		struct bench b;
		td_value *x, *y;

		bench_layers(&b, rows[i].layer, rows[i].in);
		assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
		x = any_input(&b, rows[i].in);
		for (int training = 1; training >= 0; training--) {
			struct nn_pass pass = { .c = b.c, .training = training };
			char out[TD_SHAPE_TEXT];

			td_step_begin(b.c);
			y = nn_forward(b.model, &pass, x);
			if (!y)
				fail_msg("%s: %s", rows[i].layer, td_error(b.c)->text);
			assert_string_equal(td_shape_text(td_shape_of(y), out), rows[i].out);
			if (training && b.model->n_parameters) {
				td_backward(b.c, td_sum_squares(b.c, y));
				for (int k = 0; k < b.model->n_params; k++)
					assert_true((td_grad_of(b.model->params[k].value) != NULL) !=
						    b.model->params[k].buffer);
			}
			td_step_end(b.c);
			assert_int_equal(td_error(b.c)->status, TD_OK);
		}
		td_unref(x);
		bench_release(&b);
	}
}

/* Swap the running means and variances of M with those in KEPT, one array a parameter. */
static void swap_buffers(const struct nn_model *m, float **kept)
{
	for (int i = 0; i < m->n_params; i++) {
		float *now = m->params[i].buffer ? elements(m->params[i].value) : NULL;

		if (now && kept[i])
			td_write(m->params[i].value, kept[i]);
		mem_free(kept[i]);
		kept[i] = now;
	}
}

/* The running statistics of M are those in KEPT, which goes. */
static void assert_same_buffers(const struct nn_model *m, float **kept, const char *layers)
{
	for (int i = 0; i < m->n_params; i++) {
		if (kept[i] && memcmp(kept[i], td_data(m->params[i].value), td_shape_bytes(&m->params[i].shape)) != 0)
			fail_msg("%s: %s differs between the modes", layers, m->params[i].name);
		mem_free(kept[i]);
	}
	mem_free(kept);
}

/* The output for X and the gradient of its sum of squares for the first parameter (NULL: there is none), in both modes.
 * The graph is recorded for EXAMPLE, a batch of another size. */
static void assert_same_in_both_modes(struct bench *b, const char *layer, bool training, td_value *x, td_value *example)
{
	struct nn_pass pass = { .c = b->c, .training = training };
	td_value *first = b->model->n_parameters ? b->model->params[0].value : NULL, *eager[2] = { 0 },
		 *fetch[2] = { 0 }, *replayed[2] = { 0 }, *loss, *in;
	float **kept = MEM_NEW_N(float *, TD_MAX(b->model->n_params, 1));
	td_shape any_batch = *td_shape_of(example);
	td_graph *g = td_graph_create();
	td_session *session;

	swap_buffers(b->model, kept); /* as they are before */
	td_step_set(b->c, 0);
	td_step_begin(b->c);
	eager[0] = nn_forward(b->model, &pass, x);
	loss = td_sum_squares(b->c, eager[0]);
	if (first)
		td_gradients(b->c, &loss, NULL, 1, &first, 1, TD_CREATE_GRAPH, &eager[1]);
	td_ref(eager[0]);
	if (first)
		td_ref(eager[1]);
	td_step_end(b->c);
	swap_buffers(b->model, kept); /* again as before; what the step left is kept */

	td_trace_begin(b->c, g);
	any_batch.dim[0] = TD_UNKNOWN(any_batch.dim[0]);
	in = td_placeholder(b->c, "x", &any_batch);
	fetch[0] = nn_forward(b->model, &pass, in);
	loss = first ? td_sum_squares(b->c, fetch[0]) : NULL;
	if (first)
		td_gradients(b->c, &loss, NULL, 1, &first, 1, TD_CREATE_GRAPH, &fetch[1]);
	td_trace_end(b->c);
	session = td_session_create(b->c, g, fetch, first ? 2 : 1);
	td_step_set(b->c, 0);
	td_step_begin(b->c);
	if (!session || td_session_run(session, b->c, &(td_feed){ in, x }, 1, replayed))
		fail_msg("%s: %s", layer, td_error(b->c)->text);
	for (int i = 0; i < (first ? 2 : 1); i++) {
		float *a = elements(eager[i]), *r = elements(replayed[i]);

		if (!td_shape_same(td_shape_of(eager[i]), td_shape_of(replayed[i])) ||
			memcmp(a, r, td_shape_bytes(td_shape_of(eager[i]))) != 0)
			fail_msg("%s: the %s differs between the modes", layer, i ? "gradient" : "output");
		mem_free(a);
		mem_free(r);
		td_unref(eager[i]);
	}
	td_step_end(b->c);
	assert_same_buffers(b->model, kept, layer);
	td_session_free(session);
	td_graph_free(g);
}

static void assert_same_for_other_batches(const char *layers, td_shape in)
{
	td_shape larger = in;
	struct bench b;
	td_value *x, *example;

	larger.dim[0] += 3;
	bench_layers(&b, layers, in);
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	x = any_input(&b, larger);
	example = any_input(&b, in);
	assert_same_in_both_modes(&b, layers, false, x, example);
	assert_same_in_both_modes(&b, layers, true, x, example);
	td_unref(x);
	td_unref(example);
	bench_release(&b);
}

static void every_layer_is_the_same_in_both_modes_and_for_other_batches(void **state)
{
	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++)
		assert_same_for_other_batches(rows[i].layer, rows[i].in);
}

static void layers_together_are_the_same_in_both_modes(void **state)
{
	(void)state;
	/* Statistics that two layers share are written twice in a step, in the same order. */
	assert_same_for_other_batches(
		"{\"type\":\"batch_norm\",\"name\":\"a\"},\"tanh\",{\"type\":\"batch_norm\",\"share\":\"a\"}",
		(td_shape)IMAGE(2, 3, 5, 4));
	assert_same_for_other_batches(
		"{\"type\":\"residual\",\"layers\":[{\"type\":\"conv2d\",\"out_channels\":3,\"kernel_size\":3,"
		"\"padding\":1},"
		"\"batch_norm\",\"dropout\"],\"shortcut\":[\"batch_norm\"]},{\"type\":\"branches\",\"paths\":[["
		"\"relu\"],"
		"[\"sigmoid\",\"dropout\"],[]]},\"global_avg_pool\",{\"type\":\"linear\",\"out_features\":4}",
		(td_shape)IMAGE(2, 3, 5, 4));
	assert_same_for_other_batches(
		"{\"type\":\"embedding\",\"embedding_dim\":4},\"transpose\",{\"type\":\"conv1d\",\"out_channels\":6,"
		"\"kernel_size\":3,\"padding\":\"same\"},\"batch_norm\",\"relu\",\"transpose\",{\"type\":\"gru\","
		"\"hidden_size\":3,\"return\":\"last\"}",
		(td_shape)TOKENS(2, 7));
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static void recurrent_parameters_have_the_names_of_torch(void **state)
{
	static const char *const names[] = { "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
		"weight_ih_l0_reverse", "weight_hh_l0_reverse", "bias_ih_l0_reverse", "bias_hh_l0_reverse",
		"weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1", "weight_ih_l1_reverse",
		"weight_hh_l1_reverse", "bias_ih_l1_reverse", "bias_hh_l1_reverse" };
	struct bench b;

	(void)state;
	bench_layers(&b,
		"{\"type\":\"gru\",\"hidden_size\":4,\"num_layers\":2,\"bidirectional\":true,\"name\":\"rnn\"}",
		(td_shape)SEQUENCE(2, 5, 3));
	assert_int_equal(b.model->n_params, TD_COUNT(names));
	for (size_t i = 0; i < TD_COUNT(names); i++) {
		assert_memory_equal(b.model->params[i].name, "rnn.", 4);
		assert_string_equal(b.model->params[i].name + 4, names[i]);
	}
	assert_int_equal(b.model->params[8].shape.dim[1], 8); /* the second layer reads both directions of the first */
	bench_release(&b);
}

static void batch_norm_keeps_buffers_that_no_optimizer_sees(void **state)
{
	struct bench b;
	struct nn_pass pass = { .training = true };
	float mean[3], before[3] = { 0 };
	td_value *x;

	(void)state;
	bench_layers(&b, "\"batch_norm\"", (td_shape)FLAT(4, 3));
	assert_int_equal(b.model->n_parameters, 6);
	assert_true(find_param(b.model, "0.running_mean")->buffer && find_param(b.model, "0.running_var")->buffer);
	assert_false(find_param(b.model, "0.weight")->buffer);
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	td_read(find_param(b.model, "0.running_mean")->value, mean);
	assert_memory_equal(mean, before, sizeof mean);
	pass.c = b.c;
	x = any_input(&b, (td_shape)FLAT(4, 3));
	td_step_begin(b.c);
	nn_forward(b.model, &pass, x);
	td_step_end(b.c);
	td_read(find_param(b.model, "0.running_mean")->value, mean);
	assert_memory_not_equal(mean, before, sizeof mean); /* training writes them ... */
	memcpy(before, mean, sizeof mean);
	pass.training = false;
	td_step_begin(b.c);
	nn_forward(b.model, &pass, x);
	td_step_end(b.c);
	td_read(find_param(b.model, "0.running_mean")->value, mean);
	assert_memory_equal(mean, before, sizeof mean); /* ... evaluation does not */
	td_unref(x);
	bench_release(&b);
}

/* As torch: the batch's mean of what each sample's own mean and unbiased variance are. */
static void instance_norm_tracks_what_the_samples_are_like_on_average(void **state)
{
	enum { N = 2, C = 3, PIXELS = 12 };
	struct bench b;
	struct nn_pass pass = { .training = true };
	float *values, mean[C], var[C], kept[C];
	td_value *x, *y;

	(void)state;
	bench_layers(&b, "{\"type\":\"instance_norm2d\",\"track_running_stats\":true,\"momentum\":0.3}",
		(td_shape)IMAGE(N, C, 4, 3));
	assert_int_equal(nn_model_allocate(b.model, b.c, 7), TD_OK);
	pass.c = b.c;
	x = any_input(&b, (td_shape)IMAGE(N, C, 4, 3));
	values = elements(x);
	for (int training = 1; training >= 0; training--) {
		pass.training = training;
		td_step_begin(b.c);
		y = nn_forward(b.model, &pass, x);
		assert_non_null(y);
		if (!training) { /* by the kept ones: (x - mean) / sqrt(var + eps) */
			float *out = elements(y);

			for (int i = 0; i < N * C * PIXELS; i++)
				assert_true(fabs(out[i] - (values[i] - mean[i / PIXELS % C]) /
								  sqrt(var[i / PIXELS % C] + 1e-5)) < 1e-5);
			mem_free(out);
		}
		td_step_end(b.c);
		td_read(find_param(b.model, "0.running_mean")->value, mean);
		td_read(find_param(b.model, "0.running_var")->value, var);
		if (!training)
			assert_memory_equal(mean, kept, sizeof kept);
		memcpy(kept, mean, sizeof kept);
	}
	for (int c = 0; c < C; c++) {
		double means = 0, vars = 0;

		for (int n = 0; n < N; n++) {
			const float *v = values + (ptrdiff_t)PIXELS * (n * C + c);
			double sum = 0, squares = 0;

			for (int i = 0; i < PIXELS; i++)
				sum += (double)v[i] / PIXELS;
			for (int i = 0; i < PIXELS; i++)
				squares += ((double)v[i] - sum) * ((double)v[i] - sum);
			means += sum / N;
			vars += squares / (PIXELS - 1) / N;
		}
		assert_true(fabs(mean[c] - 0.3 * means) < 1e-6 && fabs(var[c] - (0.7 + 0.3 * vars)) < 1e-6);
	}
	mem_free(values);
	td_unref(x);
	bench_release(&b);
}

/* Keras' BatchNormalization that is not trainable runs as in inference, torch's without gradients does not. */
static void a_batch_norm_that_is_frozen_is_the_frameworks(void **state)
{
	static const char *const all[] = { "0.*" };

	(void)state;
	for (int keras = 0; keras < 2; keras++) {
		struct buf python;
		struct bench b;

		buf_init(&python, 1 << 20);

		bench_layers_as(&b, "\"batch_norm\"", (td_shape)FLAT(2, 3), keras ? "keras" : "pytorch");
		assert_non_null(nn_needs_samples(b.model));
		nn_model_freeze(b.model, &(struct opt_strings){ (const char **)all, 1 }, "/freeze", &b.faults);
		assert_int_equal(nn_needs_samples(b.model) == NULL, keras); /* of one sample there is no variance */
		nn_model_pytorch(b.model, "", &python);
		assert_int_equal(strstr(python.data, ".requires_grad_(False)") != NULL, keras);
		assert_int_equal(
			strstr(python.data, "nn.functional.batch_norm(x, part(\"0\").running_mean") != NULL, keras);
		buf_release(&python);
		bench_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_norm_that_is_frozen_is_the_frameworks),
		cmocka_unit_test(every_layer_has_the_shapes_and_parameters_of_torch),
		cmocka_unit_test(every_layer_runs_in_both_passes_and_its_parameters_learn),
		cmocka_unit_test(every_layer_is_the_same_in_both_modes_and_for_other_batches),
		cmocka_unit_test(layers_together_are_the_same_in_both_modes),
		cmocka_unit_test(recurrent_parameters_have_the_names_of_torch),
		cmocka_unit_test(batch_norm_keeps_buffers_that_no_optimizer_sees),
		cmocka_unit_test(instance_norm_tracks_what_the_samples_are_like_on_average),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
