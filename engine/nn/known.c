/* Known models by name: each writes the document of layers that it stands for, which is then read like any other.
 *
 * Names of parameters, sizes and initial weights are those of torchvision where the model is one of its, so its files
 * of weights fit (He et al., "Deep residual learning", CVPR 2016; Iandola et al., "SqueezeNet", 2016). */
#include "nn/layers.h"
#include "nn/model.h"

#define DOCUMENT_MOST (1u << 20) /* bytes of the layers that a known model stands for */
#define HIDDEN_MOST   64         /* hidden layers of an MLP */

struct known_model {
	struct opt_type args;
	/* Members of a JSON array, each after a comma or the first.  N_TOKENS: size of the data's vocabulary; 0: none.
	 */
	void (*write)(const void *args, int64_t n_tokens, struct buf *out);
	bool of_tokens; /* it needs a vocabulary */
};

#define CLASSES_ROW(type) NN_COUNT_ROW(type, classes, "Outputs: one for each class, or each value.")
#define DROPOUT_ROW(type, otherwise, text)                                                                             \
	{                                                                                                              \
		NN_ROW(type, dropout), .kind = OPT_FLOAT, .value = (otherwise), .low = 0, .high = 1, .below = true,    \
				       .doc = (text)                                                                   \
	}

/* ---- mlp --------------------------------------------------------------------------------------------------------- */

struct mlp_args {
	struct opt_ints hidden;
	int64_t classes;
	int activation; /* index into activations */
	double dropout;
};

static const char *const activations[] = { "relu", "leaky_relu", "elu", "gelu", "silu", "sigmoid", "tanh", NULL };

static const struct opt mlp_args[] = {
	{ NN_ROW(mlp_args, hidden), .kind = OPT_INTS, .value = "[128]", .least = 0, .most = HIDDEN_MOST, .low = 1,
		.high = NN_FEATURES_MOST, .doc = "Sizes of the hidden layers." },
	CLASSES_ROW(mlp_args),
	{ NN_ROW(mlp_args, activation), .kind = OPT_ENUM, .value = "\"relu\"", .names = activations,
		.doc = "What follows each hidden layer." },
	DROPOUT_ROW(mlp_args, "0", "Dropout behind each hidden layer."),
};

static void mlp_write(const void *args, int64_t n_tokens, struct buf *out)
{
	const struct mlp_args *a = args;

	(void)n_tokens;
	buf_puts(out, "\"flatten\"");
	for (int i = 0; i < a->hidden.n; i++) {
		buf_printf(out, ",{\"type\":\"linear\",\"out_features\":%lld},\"%s\"", (long long)a->hidden.items[i],
			activations[a->activation]);
		if (a->dropout > 0)
			buf_printf(out, ",{\"type\":\"dropout\",\"p\":%.17g}", a->dropout);
	}
	buf_printf(out, ",{\"type\":\"linear\",\"out_features\":%lld}", (long long)a->classes);
}

/* ---- resnet18 ---------------------------------------------------------------------------------------------------- */

struct resnet_args {
	int64_t classes;
	bool small;
};

static const struct opt resnet18_args[] = {
	CLASSES_ROW(resnet_args),
	NN_FLAG_ROW(resnet_args, small, "false",
		"For images of about 32x32: the first convolution is 3x3 and keeps the size, and no pooling follows "
		"it."),
};

#define RESNET_CONV                                                                                                    \
	"{\"type\":\"conv2d\",\"name\":\"%s\",\"out_channels\":%d,\"kernel_size\":%d,\"stride\":%d,\"padding\":%d,"    \
	"\"bias\":false,\"init\":{\"type\":\"kaiming_normal\",\"mode\":\"fan_out\"}}"

static void write_block(struct buf *out, int number, int channels, int stride)
{
	buf_printf(out, "%s{\"type\":\"residual\",\"name\":\"%d\",\"layers\":[", number ? "," : "", number);
	buf_printf(out, RESNET_CONV ",{\"type\":\"batch_norm2d\",\"name\":\"bn1\"},\"relu\",", "conv1", channels, 3,
		stride, 1);
	buf_printf(out, RESNET_CONV ",{\"type\":\"batch_norm2d\",\"name\":\"bn2\"}]", "conv2", channels, 3, 1, 1);
	if (stride != 1) {
		buf_puts(out, ",\"shortcut\":[{\"type\":\"sequential\",\"name\":\"downsample\",\"layers\":[");
		buf_printf(
			out, RESNET_CONV ",{\"type\":\"batch_norm2d\",\"name\":\"1\"}]}]", "0", channels, 1, stride, 0);
	}
	buf_printf(out, "},{\"type\":\"relu\",\"name\":\"relu%d\"}", number);
}

static void resnet18_write(const void *args, int64_t n_tokens, struct buf *out)
{
	const struct resnet_args *a = args;

	(void)n_tokens;
	buf_printf(out,
		RESNET_CONV ",{\"type\":\"batch_norm2d\",\"name\":\"bn1\"},{\"type\":\"relu\",\"name\":\"relu\"}",
		"conv1", 64, a->small ? 3 : 7, a->small ? 1 : 2, a->small ? 1 : 3);
	if (!a->small)
		buf_puts(out,
			",{\"type\":\"max_pool2d\",\"name\":\"maxpool\",\"kernel_size\":3,\"stride\":2,\"padding\":1}");
	for (int i = 1; i <= 4; i++) {
		buf_printf(out, ",{\"type\":\"sequential\",\"name\":\"layer%d\",\"layers\":[", i);
		write_block(out, 0, 32 << i, i > 1 ? 2 : 1);
		write_block(out, 1, 32 << i, 1);
		buf_puts(out, "]}");
	}
	buf_printf(out,
		",{\"type\":\"global_avg_pool\",\"name\":\"avgpool\"},{\"type\":\"linear\",\"name\":\"fc\",\"out_"
		"features\":%lld}",
		(long long)a->classes);
}

/* ---- squeezenet1_1 ----------------------------------------------------------------------------------------------- */

struct squeezenet_args {
	int64_t classes;
	double dropout;
};

static const struct opt squeezenet1_1_args[] = {
	CLASSES_ROW(squeezenet_args),
	DROPOUT_ROW(squeezenet_args, "0.5", "Dropout before the last convolution."),
};

#define SQUEEZE_CONV                                                                                                   \
	"{\"type\":\"conv2d\",\"name\":\"%s\",\"out_channels\":%d,\"kernel_size\":%d,\"padding\":%d,"                  \
	"\"init\":\"kaiming_uniform\",\"bias_init\":\"zeros\"%s},{\"type\":\"relu\",\"name\":\"%s_activation\"}"

#define SQUEEZE_POOL ",{\"type\":\"max_pool2d\",\"kernel_size\":3,\"stride\":2,\"ceil_mode\":true}"

/* A fire module: squeeze to few channels, then expand with filters of both sizes side by side. */
static void write_fire(struct buf *out, int squeeze, int expand)
{
	static const char inputs[] = ",\"inputs\":[\"squeeze_activation\"]";

	buf_puts(out, ",{\"type\":\"sequential\",\"layers\":[");
	buf_printf(out, SQUEEZE_CONV ",", "squeeze", squeeze, 1, 0, "", "squeeze");
	buf_printf(out, SQUEEZE_CONV ",", "expand1x1", expand, 1, 0, inputs, "expand1x1");
	buf_printf(out, SQUEEZE_CONV, "expand3x3", expand, 3, 1, inputs, "expand3x3");
	buf_puts(out, ",{\"type\":\"concat\",\"inputs\":[\"expand1x1_activation\",\"expand3x3_activation\"]}]}");
}

static void squeezenet1_1_write(const void *args, int64_t n_tokens, struct buf *out)
{
	const struct squeezenet_args *a = args;
	static const int fires[][2] = { { 16, 64 }, { 16, 64 }, { 0, 0 }, { 32, 128 }, { 32, 128 }, { 0, 0 },
		{ 48, 192 }, { 48, 192 }, { 64, 256 }, { 64, 256 } };

	(void)n_tokens;
	buf_puts(out,
		"{\"type\":\"sequential\",\"name\":\"features\",\"layers\":[{\"type\":\"conv2d\",\"out_channels\":64,"
		"\"kernel_size\":3,\"stride\":2,\"init\":\"kaiming_uniform\",\"bias_init\":\"zeros\"},"
		"\"relu\"" SQUEEZE_POOL);
	for (size_t i = 0; i < TD_COUNT(fires); i++)
		if (fires[i][0])
			write_fire(out, fires[i][0], fires[i][1]);
		else
			buf_puts(out, SQUEEZE_POOL);
	buf_printf(out,
		"]},{\"type\":\"sequential\",\"name\":\"classifier\",\"layers\":[{\"type\":\"dropout\",\"p\":%.17g},"
		"{\"type\":\"conv2d\",\"out_channels\":%lld,\"kernel_size\":1,"
		"\"init\":{\"type\":\"normal\",\"std\":0.01},\"bias_init\":\"zeros\"},\"relu\",\"global_avg_pool\"]}",
		a->dropout, (long long)a->classes);
}

/* ---- lstm_classifier --------------------------------------------------------------------------------------------- */

struct lstm_args {
	int64_t classes, embedding, hidden, layers;
	bool bidirectional;
	double dropout;
};

#define LSTM_SIZE_ROW(field, most, otherwise, text)                                                                    \
	{                                                                                                              \
		NN_ROW(lstm_args, field), .kind = OPT_INT, .value = (otherwise), .low = 1, .high = (most),             \
					  .doc = (text)                                                                \
	}

static const struct opt lstm_classifier_args[] = {
	CLASSES_ROW(lstm_args),
	LSTM_SIZE_ROW(embedding, NN_FEATURES_MOST, "128", "Numbers that stand for a token."),
	LSTM_SIZE_ROW(hidden, NN_FEATURES_MOST, "128", "Size of the LSTM's state."),
	LSTM_SIZE_ROW(layers, 8, "1", "LSTMs one upon the other."),
	NN_FLAG_ROW(lstm_args, bidirectional, "false", "Also read from the end."),
	DROPOUT_ROW(lstm_args, "0", "Dropout between LSTMs and before the last layer."),
};

static void lstm_classifier_write(const void *args, int64_t n_tokens, struct buf *out)
{
	const struct lstm_args *a = args;

	(void)n_tokens;
	buf_printf(out, "{\"type\":\"embedding\",\"name\":\"embedding\",\"embedding_dim\":%lld,\"padding_idx\":0},",
		(long long)a->embedding);
	buf_printf(out,
		"{\"type\":\"lstm\",\"name\":\"lstm\",\"hidden_size\":%lld,\"num_layers\":%lld,\"bidirectional\":%s,"
		"\"dropout\":%.17g,\"return\":\"last\"},",
		(long long)a->hidden, (long long)a->layers, a->bidirectional ? "true" : "false", a->dropout);
	if (a->dropout > 0)
		buf_printf(out, "{\"type\":\"dropout\",\"name\":\"dropout\",\"p\":%.17g},", a->dropout);
	buf_printf(out, "{\"type\":\"linear\",\"name\":\"fc\",\"out_features\":%lld}", (long long)a->classes);
}

/* ---- gpt: Radford et al., "Language models are unsupervised multitask learners", 2019, its block and its initial
 * weights ---------------------------------------------------------------------------------------------------------- */

struct gpt_args {
	int64_t layers, heads, width;
	double dropout;
};

#define GPT_SIZE_ROW(field, most, otherwise, text)                                                                     \
	{                                                                                                              \
		NN_ROW(gpt_args, field), .kind = OPT_INT, .value = (otherwise), .low = 1, .high = (most),              \
					 .doc = (text)                                                                 \
	}

static const struct opt gpt_args[] = {
	GPT_SIZE_ROW(layers, 100, "4", "Transformer layers one upon the other."),
	GPT_SIZE_ROW(heads, 1024, "4", "Heads of each; they share the width evenly."),
	GPT_SIZE_ROW(width, NN_FEATURES_MOST, "128", "Numbers that stand for a token."),
	DROPOUT_ROW(gpt_args, "0.1", "Dropout behind the embedding and in each layer."),
};

/* As long as the data's sequences, for as many tokens as its vocabulary has. */
static void gpt_write(const void *args, int64_t n_tokens, struct buf *out)
{
	const struct gpt_args *a = args;

	buf_printf(out,
		"{\"type\":\"embedding\",\"name\":\"token\",\"embedding_dim\":%lld,\"init\":{\"type\":\"normal\","
		"\"std\":0.02}},{\"type\":\"positional_embedding\",\"name\":\"position\",\"init\":{\"type\":"
		"\"normal\",\"std\":0.02}}",
		(long long)a->width);
	if (a->dropout > 0)
		buf_printf(out, ",{\"type\":\"dropout\",\"name\":\"dropout\",\"p\":%.17g}", a->dropout);
	buf_printf(out, ",{\"type\":\"sequential\",\"name\":\"blocks\",\"layers\":[");
	for (int64_t i = 0; i < a->layers; i++)
		buf_printf(out,
			"%s{\"type\":\"transformer_encoder_layer\",\"nhead\":%lld,\"dim_feedforward\":%lld,"
			"\"dropout\":%.17g,\"activation\":\"gelu\",\"norm_first\":true,\"causal\":true}",
			i ? "," : "", (long long)a->heads, (long long)(4 * a->width), a->dropout);
	buf_printf(out,
		"]},{\"type\":\"layer_norm\",\"name\":\"norm\"},{\"type\":\"linear\",\"name\":\"head\","
		"\"out_features\":%lld,\"bias\":false,\"init\":{\"type\":\"normal\",\"std\":0.02}}",
		(long long)n_tokens);
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

/* X(model, its rows, their struct, whether it needs a vocabulary, what it is) */
#define KNOWN_MODELS(X)                                                                                                \
	X(mlp, mlp_args, mlp_args, false, "A perceptron with hidden layers.")                                          \
	X(resnet18, resnet18_args, resnet_args, false, "A residual network of 18 layers for images.")                  \
	X(squeezenet1_1, squeezenet1_1_args, squeezenet_args, false, "A small convolutional network for images.")      \
	X(lstm_classifier, lstm_classifier_args, lstm_args, false, "An LSTM that says the class of a text.")           \
	X(gpt, gpt_args, gpt_args, true, "A transformer that says the next token of a text at each step.")

static const struct known_model known[] = {
#define X(model, rows, struct_of, tokens, text)                                                                        \
	{ .args = OPT_TYPE_OF(model, rows, struct_of, text), .write = model##_write, .of_tokens = (tokens) },
	KNOWN_MODELS(X)
#undef X
};

const char *const nn_known_names[] = {
#define X(model, rows, struct_of, tokens, text) #model,
	KNOWN_MODELS(X)
#undef X
		NULL
};

static const struct known_model *find_known(const char *name)
{
	for (size_t i = 0; i < TD_COUNT(known); i++)
		if (!strcmp(known[i].args.name, name))
			return &known[i];
	TD_BUG("no reading lets the model \"%s\" through", name);
}

/* Read DOCUMENT, an array of layers, as if somebody had written it. */
static void read_layers(const char *document, struct arena *arena, struct opt_choices *layers)
{
	static const struct opt row = { .name = "layers",
		.kind = OPT_CHOICES,
		.least = 1,
		.most = NN_LAYERS_MOST,
		.required = true,
		.family = &nn_layers,
		.doc = "The layers." };
	static const struct opt_type type = {
		.name = "model", .options = &row, .n_options = 1, .n_bytes = sizeof(struct opt_choices)
	};
	struct err e = { 0 };
	cJSON *object = json_parse(document, strlen(document), &e);
	struct faults faults;

	faults_init(&faults);
	if (object)
		opt_read(&type, object, "", layers, arena, &faults);
	if (!object || faults.n_found)
		TD_BUG("a known model's layers are wrong: %s", object ? faults.items[0].detail : e.text);
	faults_release(&faults);
	cJSON_Delete(object);
}

bool nn_known_layers(const char *name, const cJSON *args, int64_t n_tokens, struct arena *arena,
	struct opt_choices *layers, struct faults *faults)
{
	const struct known_model *k = find_known(name);
	size_t before = faults->n_found;
	cJSON *none = NULL;
	struct buf document;
	void *read;

	if (!args)
		args = none = cJSON_CreateObject();
	read = arena_alloc(arena, k->args.n_bytes);
	opt_read(&k->args, args, "/model/args", read, arena, faults);
	cJSON_Delete(none);
	if (k->of_tokens && !n_tokens)
		faults_add(faults, "/model/name",
			"%s says the next token of a text, but this data has no vocabulary; use "
			"text with \"sequence_length\"",
			name);
	if (faults->n_found > before)
		return false;
	buf_init(&document, DOCUMENT_MOST);
	buf_puts(&document, "{\"layers\":[");
	k->write(read, n_tokens, &document);
	buf_puts(&document, "]}");
	read_layers(document.data, arena, layers);
	buf_release(&document);
	return true;
}
