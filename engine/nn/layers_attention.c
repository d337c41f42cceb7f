/* Attention, the transformer's encoder layer, and what tells both where a step stands.
 *
 * Where sequences differ in length, nothing looks at the steps behind a sequence's end; what those steps themselves
 * give means nothing, as in torch. */
#include "nn/layers.h"

#define HEADS_MOST 1024

/* ---- Shared: projections into queries, keys and values, attention, and the projection of what it gives ----------- */

struct attention {
	int64_t width, heads; /* of the queries; heads that share it */
	int64_t keys, values; /* sizes of one step of each */
	bool bias, causal;
	double dropout;
	const struct opt_choice *init, *out_init; /* of the projections into queries, keys and values; of the last */
	bool joint_fans;                          /* of is_joint: INIT sees one matrix, not three */
};

/* Parameters of one attention, in this order; those that it has none of are left out. */
struct attention_params {
	td_value *in[3], *in_bias[3], *out, *out_bias;
};

/* torch has one matrix for all three projections where their inputs have one size. */
static bool is_joint(const struct attention *a)
{
	return a->keys == a->width && a->values == a->width;
}

static bool declare_weight(struct nn_builder *b, struct nn_layer *l, const char *prefix, const char *name, int64_t rows,
	int64_t columns, int64_t fan_out, const struct opt_choice *init)
{
	td_shape shape = { .dtype = TD_F32, .rank = 2, .dim = { rows, columns } }; /* beyond an int, too */
	struct nn_fans fans = { columns, fan_out };
	char full[64];

	snprintf(full, sizeof full, "%s%s", prefix, name);
	return nn_declare(b, l, full, &shape, fans, nn_init_of(init), init->options);
}

static bool declare_matrix(struct nn_builder *b, struct nn_layer *l, const char *prefix, const char *name, int64_t rows,
	int64_t columns, const struct opt_choice *init)
{
	return declare_weight(b, l, prefix, name, rows, columns, rows, init);
}

static bool declare_vector(struct nn_builder *b, struct nn_layer *l, const char *prefix, const char *name, int64_t n,
	const struct nn_init_type *init)
{
	td_shape shape = { .dtype = TD_F32, .rank = 1, .dim = { n } };
	char full[64];

	snprintf(full, sizeof full, "%s%s", prefix, name);
	return nn_declare(b, l, full, &shape, (struct nn_fans){ n, n }, init, NULL);
}

static bool declare_attention(struct nn_builder *b, struct nn_layer *l, const char *prefix, const struct attention *a)
{
	int64_t e = a->width, all = nn_product(3, e);
	bool declared =
		is_joint(a) ? declare_weight(b, l, prefix, "in_proj_weight", all, e, a->joint_fans ? all : e, a->init)
			    : declare_matrix(b, l, prefix, "q_proj_weight", e, e, a->init) &&
				      declare_matrix(b, l, prefix, "k_proj_weight", e, a->keys, a->init) &&
				      declare_matrix(b, l, prefix, "v_proj_weight", e, a->values, a->init);

	return declared && (!a->bias || declare_vector(b, l, prefix, "in_proj_bias", all, &nn_zeros)) &&
	       declare_matrix(b, l, prefix, "out_proj.weight", e, e, a->out_init) &&
	       (!a->bias || declare_vector(b, l, prefix, "out_proj.bias", e, &nn_zeros));
}

/* The parameters that declare_attention declared, from *AT on; *AT moves behind them. */
static struct attention_params attention_params(td_ctx *c, const struct nn_layer *l, const struct attention *a, int *at)
{
	struct attention_params p = { 0 };
	int64_t e = a->width;
	td_value *joint = is_joint(a) ? l->param[(*at)++] : NULL, *bias;

	for (int i = 0; i < 3; i++)
		p.in[i] = joint ? td_slice(c, joint, 0, i * e, (i + 1) * e) : l->param[(*at)++];
	bias = a->bias ? l->param[(*at)++] : NULL;
	for (int i = 0; i < 3 && bias; i++)
		p.in_bias[i] = td_slice(c, bias, 0, i * e, (i + 1) * e);
	p.out = l->param[(*at)++];
	p.out_bias = a->bias ? l->param[(*at)++] : NULL;
	return p;
}

/* X: what queries, keys and values are made of, [N, T, *] and twice [N, S, *] -> [N, T, E]. */
static td_value *attend(
	const struct nn_pass *p, const struct nn_layer *l, const struct attention *a, td_value *const x[3], int *at)
{
	struct attention_params w = attention_params(p->c, l, a, at);
	td_value *made[3];

	for (int i = 0; i < 3; i++)
		made[i] = td_linear(p->c, x[i], w.in[i], w.in_bias[i]);
	return td_linear(p->c,
		td_attention(
			p->c, made[0], made[1], made[2], p->lengths, a->heads, a->causal, p->training ? a->dropout : 0),
		w.out, w.out_bias);
}

/* Of N sequences, T queries and S keys. */
static double attention_flops(const struct attention *a, double n, double t, double s)
{
	double e = (double)a->width, projections = 2 * t * e * e + s * e * ((double)a->keys + (double)a->values);

	return 2 * n * (projections + 2 * t * s * e);
}

static bool heads_fit(struct nn_builder *b, const struct nn_layer *l, const char *name, int64_t heads, int64_t width)
{
	return width % heads == 0 ||
	       nn_refuse(b, l, "%s: %s %lld does not divide the %lld features from %s; use a divisor of them",
		       l->type->type.name, name, (long long)heads, (long long)width, nn_source(b, l, 0));
}

/* Without a bias_init: both libraries begin at zeros. */
#define ATTENTION_INIT_ROWS(type)                                                                                      \
	NN_INIT_ROW(type, init, "\"xavier_uniform\"",                                                                  \
		"Initial weights of the projections into queries, keys and values; the default is torch's."),          \
		NN_FLAG_ROW_OR(type, joint_fans, "true", "false",                                                      \
			"Let init take these projections for one matrix where they have one size, as torch; else "     \
			"each has fans of its own, as in Keras."),                                                     \
		NN_INIT_ROW_OR(type, out_init, "\"bias_uniform\"", NN_KERAS_INIT,                                      \
			"Initial weights of the projection of what attention gives; the default is that of "           \
			"torch.nn.Linear.")
#define CAUSAL_ROW(type) NN_FLAG_ROW(type, causal, "false", "A step sees itself and those before it, no later one.")

/* ---- multihead_attention ----------------------------------------------------------------------------------------- */

struct multihead_attention_options {
	int64_t embed_dim, num_heads, kdim, vdim;
	double dropout;
	bool bias, causal, joint_fans;
	struct opt_choice init, out_init;
};

static const struct opt multihead_attention_opts[] = {
	NN_GIVEN_ROW(multihead_attention_options, embed_dim,
		"Size of each step of the queries; it follows from the layer before."),
	{ NN_ROW(multihead_attention_options, num_heads), .kind = OPT_INT, .low = 1, .high = HEADS_MOST,
		.required = true, .doc = "Heads, which share the features evenly." },
	{ NN_ROW(multihead_attention_options, dropout), .kind = OPT_FLOAT, .value = "0", .low = 0, .high = 1,
		.below = true, .doc = "Share of the attention's weights that become zero while training." },
	NN_FLAG_ROW(multihead_attention_options, bias, "true", "Add learnt biases."),
	NN_GIVEN_ROW(multihead_attention_options, kdim, "Size of each step of the keys; it follows from \"inputs\"."),
	NN_GIVEN_ROW(multihead_attention_options, vdim, "Size of each step of the values; it follows from \"inputs\"."),
	CAUSAL_ROW(multihead_attention_options),
	ATTENTION_INIT_ROWS(multihead_attention_options),
};

/* Which of L's inputs are queries, keys (1) and values (2): one is all three, of two the second is the latter two. */
static int part_of(const struct nn_layer *l, int part)
{
	return TD_MIN(part, l->n_inputs - 1);
}

static struct attention multihead(const struct nn_layer *l)
{
	const struct multihead_attention_options *o = l->options;

	return (struct attention){ .width = l->in[0].dim[2],
		.heads = o->num_heads,
		.keys = l->in[part_of(l, 1)].dim[2],
		.values = l->in[part_of(l, 2)].dim[2],
		.bias = o->bias,
		.causal = o->causal,
		.dropout = o->dropout,
		.init = &o->init,
		.out_init = &o->out_init,
		.joint_fans = o->joint_fans };
}

static bool multihead_attention_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct multihead_attention_options *o = l->options;
	char in[TD_SHAPE_TEXT], other[TD_SHAPE_TEXT];
	struct attention a;

	for (int i = 0; i < l->n_inputs; i++)
		if (!nn_takes(b, l, i, NN_SEQUENCES))
			return false;
	if (l->in[part_of(l, 1)].dim[1] != l->in[part_of(l, 2)].dim[1])
		return nn_refuse(b, l,
			"multihead_attention: keys %s and values %s differ in their number of steps (axis 1); "
			"take both from layers that keep the steps",
			td_shape_text(&l->in[part_of(l, 1)], in), td_shape_text(&l->in[part_of(l, 2)], other));
	a = multihead(l);
	return nn_expect(b, l, 0, "embed_dim", o->embed_dim, a.width) &&
	       nn_expect(b, l, part_of(l, 1), "kdim", o->kdim, a.keys) &&
	       nn_expect(b, l, part_of(l, 2), "vdim", o->vdim, a.values) &&
	       heads_fit(b, l, "num_heads", a.heads, a.width) && nn_lengths_fit(b, l, part_of(l, 1)) &&
	       declare_attention(b, l, "", &a);
}

static td_value *multihead_attention_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	struct attention a = multihead(l);
	int at = 0;

	return attend(p, l, &a, (td_value *[]){ x[0], x[part_of(l, 1)], x[part_of(l, 2)] }, &at);
}

static double multihead_attention_flops(const struct nn_layer *l)
{
	struct attention a = multihead(l);

	return attention_flops(
		&a, (double)l->in[0].dim[0], (double)l->in[0].dim[1], (double)l->in[part_of(l, 1)].dim[1]);
}

static void multihead_attention_torch(const struct nn_layer *l, struct buf *out)
{
	struct attention a = multihead(l);
	char number[32];

	buf_printf(out, "nn.MultiheadAttention(%lld, %lld", (long long)a.width, (long long)a.heads);
	if (a.dropout > 0)
		buf_printf(out, ", dropout=%s", json_shortest(a.dropout, number));
	if (!a.bias)
		buf_puts(out, ", bias=False");
	if (!is_joint(&a))
		buf_printf(out, ", kdim=%lld, vdim=%lld", (long long)a.keys, (long long)a.values);
	buf_puts(out, ", batch_first=True)");
}

static void multihead_attention_call(
	const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	buf_printf(out, "attention(%s, %s, %s, %s, lengths, causal=%s)", module, x[0], x[part_of(l, 1)],
		x[part_of(l, 2)], nn_python(multihead(l).causal));
}

const struct nn_layer_type nn_multihead_attention = {
	.type = OPT_TYPE(multihead_attention,
		"Attention with several heads, of the input on itself, or of \"inputs\" query, key and value, as "
		"torch.nn.MultiheadAttention."),
	.n_inputs_most = 3,
	.build = multihead_attention_build,
	.forward = multihead_attention_forward,
	.flops = multihead_attention_flops,
	.torch = multihead_attention_torch,
	.call = multihead_attention_call,
};

/* ---- transformer_encoder_layer: attention and two linear layers, each with a residual and a layer norm ----------- */

enum { ACTIVATION_RELU, ACTIVATION_GELU };

static const char *const activations[] = { "relu", "gelu", NULL };

struct transformer_encoder_layer_options {
	int64_t d_model, nhead, dim_feedforward;
	double dropout, layer_norm_eps;
	int activation; /* index into activations */
	bool norm_first, bias, causal, joint_fans;
	struct opt_choice init, out_init, linear_init, linear_bias_init;
};

static const struct opt transformer_encoder_layer_opts[] = {
	NN_GIVEN_ROW(transformer_encoder_layer_options, d_model,
		"Size of each step of the input; it follows from the layer before."),
	{ NN_ROW(transformer_encoder_layer_options, nhead), .kind = OPT_INT, .low = 1, .high = HEADS_MOST,
		.required = true, .doc = "Heads, which share the features evenly." },
	{ NN_ROW(transformer_encoder_layer_options, dim_feedforward), .kind = OPT_INT, .value = "2048", .low = 1,
		.high = NN_FEATURES_MOST, .doc = "Size of what stands between the two linear layers." },
	{ NN_ROW(transformer_encoder_layer_options, dropout), .kind = OPT_FLOAT, .value = "0.1", .low = 0, .high = 1,
		.below = true, .doc = "Dropout of the attention's weights and behind each part." },
	{ NN_ROW(transformer_encoder_layer_options, activation), .kind = OPT_ENUM, .value = "\"relu\"",
		.names = activations, .doc = "What stands between the two linear layers." },
	NN_FLOAT_ROW(transformer_encoder_layer_options, layer_norm_eps, 0, 1, "1e-5",
		"Added to the variance in the layer norms."),
	NN_FLAG_ROW(transformer_encoder_layer_options, norm_first, "false",
		"Normalise what goes into each part, not the sum behind it."),
	NN_FLAG_ROW(transformer_encoder_layer_options, bias, "true", "Add learnt biases."),
	CAUSAL_ROW(transformer_encoder_layer_options),
	ATTENTION_INIT_ROWS(transformer_encoder_layer_options),
	NN_INIT_ROW_OR(transformer_encoder_layer_options, linear_init, "\"bias_uniform\"", NN_KERAS_INIT,
		"Initial weights of the two linear layers; the default is that of torch.nn.Linear."),
	NN_INIT_ROW_OR(transformer_encoder_layer_options, linear_bias_init, "\"bias_uniform\"", "\"zeros\"",
		"Initial biases of the two linear layers."),
};

static struct attention encoder_attention(const struct nn_layer *l)
{
	const struct transformer_encoder_layer_options *o = l->options;
	int64_t width = l->in[0].dim[2];

	return (struct attention){ .width = width,
		.heads = o->nhead,
		.keys = width,
		.values = width,
		.bias = o->bias,
		.causal = o->causal,
		.dropout = o->dropout,
		.init = &o->init,
		.out_init = &o->out_init,
		.joint_fans = o->joint_fans };
}

static bool declare_linear(struct nn_builder *b, struct nn_layer *l, const char *prefix, int64_t rows, int64_t columns)
{
	const struct transformer_encoder_layer_options *o = l->options;
	td_shape shape = { .dtype = TD_F32, .rank = 1, .dim = { rows } };
	char bias[64];

	snprintf(bias, sizeof bias, "%sbias", prefix);
	return declare_matrix(b, l, prefix, "weight", rows, columns, &o->linear_init) &&
	       (!o->bias || nn_declare(b, l, bias, &shape, (struct nn_fans){ columns, rows },
				    nn_init_of(&o->linear_bias_init), o->linear_bias_init.options));
}

static bool declare_norm(struct nn_builder *b, struct nn_layer *l, const char *prefix, int64_t width, bool bias)
{
	return declare_vector(b, l, prefix, "weight", width, &nn_ones) &&
	       (!bias || declare_vector(b, l, prefix, "bias", width, &nn_zeros));
}

static bool transformer_encoder_layer_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct transformer_encoder_layer_options *o = l->options;
	struct attention a;

	if (!nn_takes(b, l, 0, NN_SEQUENCES))
		return false;
	a = encoder_attention(l);
	return nn_expect(b, l, 0, "d_model", o->d_model, a.width) && heads_fit(b, l, "nhead", a.heads, a.width) &&
	       nn_lengths_fit(b, l, 0) && declare_attention(b, l, "self_attn.", &a) &&
	       declare_linear(b, l, "linear1.", o->dim_feedforward, a.width) &&
	       declare_linear(b, l, "linear2.", a.width, o->dim_feedforward) &&
	       declare_norm(b, l, "norm1.", a.width, o->bias) && declare_norm(b, l, "norm2.", a.width, o->bias);
}

/* A part's weight, and its bias or NULL: what stands at *AT, which moves behind them. */
struct pair {
	td_value *weight, *bias;
};

static struct pair pair_at(const struct nn_layer *l, int *at)
{
	struct pair p = { .weight = l->param[(*at)++] };

	if (((const struct transformer_encoder_layer_options *)l->options)->bias)
		p.bias = l->param[(*at)++];
	return p;
}

static td_value *dropped(const struct nn_pass *p, td_value *x, double share)
{
	return p->training && share > 0 ? td_dropout(p->c, x, share) : x;
}

static td_value *feed_forward(const struct nn_pass *p, const struct transformer_encoder_layer_options *o, td_value *x,
	const struct pair *wide, const struct pair *narrow)
{
	td_value *h = td_linear(p->c, x, wide->weight, wide->bias);

	h = o->activation == ACTIVATION_GELU ? td_gelu(p->c, h, false) : td_relu(p->c, h);
	return dropped(p, td_linear(p->c, dropped(p, h, o->dropout), narrow->weight, narrow->bias), o->dropout);
}

static td_value *transformer_encoder_layer_forward(
	const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct transformer_encoder_layer_options *o = l->options;
	struct attention a = encoder_attention(l);
	int rest = 2 + 2 * o->bias, at = 0; /* parameters of the attention come first */
	struct pair linear[] = { pair_at(l, &rest), pair_at(l, &rest) },
		    norm[] = { pair_at(l, &rest), pair_at(l, &rest) };
	td_value *in = x[0], *y;

	if (o->norm_first)
		in = td_layer_norm(p->c, in, norm[0].weight, norm[0].bias, 1, o->layer_norm_eps);
	y = td_add(p->c, x[0], dropped(p, attend(p, l, &a, (td_value *[]){ in, in, in }, &at), o->dropout));
	if (!o->norm_first)
		y = td_layer_norm(p->c, y, norm[0].weight, norm[0].bias, 1, o->layer_norm_eps);
	in = o->norm_first ? td_layer_norm(p->c, y, norm[1].weight, norm[1].bias, 1, o->layer_norm_eps) : y;
	y = td_add(p->c, y, feed_forward(p, o, in, &linear[0], &linear[1]));
	return o->norm_first ? y : td_layer_norm(p->c, y, norm[1].weight, norm[1].bias, 1, o->layer_norm_eps);
}

static double transformer_encoder_layer_flops(const struct nn_layer *l)
{
	const struct transformer_encoder_layer_options *o = l->options;
	struct attention a = encoder_attention(l);
	double n = (double)l->in[0].dim[0], t = (double)l->in[0].dim[1];

	return attention_flops(&a, n, t, t) + 4 * n * t * (double)a.width * (double)o->dim_feedforward;
}

static void transformer_encoder_layer_torch(const struct nn_layer *l, struct buf *out)
{
	const struct transformer_encoder_layer_options *o = l->options;
	char dropout[32], eps[32];

	buf_printf(out,
		"nn.TransformerEncoderLayer(%lld, %lld, dim_feedforward=%lld, dropout=%s, activation=\"%s\", "
		"layer_norm_eps=%s, batch_first=True, norm_first=%s",
		(long long)l->in[0].dim[2], (long long)o->nhead, (long long)o->dim_feedforward,
		json_shortest(o->dropout, dropout), activations[o->activation], json_shortest(o->layer_norm_eps, eps),
		nn_python(o->norm_first));
	buf_puts(out, o->bias ? ")" : ", bias=False)");
}

static void transformer_encoder_layer_call(
	const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	buf_printf(
		out, "encoder_layer(%s, %s, lengths, causal=%s)", module, x[0], nn_python(encoder_attention(l).causal));
}

const struct nn_layer_type nn_transformer_encoder_layer = {
	.type = OPT_TYPE(transformer_encoder_layer,
		"Attention of the input on itself and a small perceptron, as torch.nn.TransformerEncoderLayer."),
	.build = transformer_encoder_layer_build,
	.forward = transformer_encoder_layer_forward,
	.flops = transformer_encoder_layer_flops,
	.torch = transformer_encoder_layer_torch,
	.call = transformer_encoder_layer_call,
};

/* ---- positional_embedding: x plus a learnt row for each position ------------------------------------------------- */

struct positional_embedding_options {
	int64_t num_embeddings; /* 0: the input's steps */
	struct opt_choice init;
};

static const struct opt positional_embedding_opts[] = {
	{ NN_ROW(positional_embedding_options, num_embeddings), .kind = OPT_INT, .low = 1, .high = NN_FEATURES_MOST,
		.doc = "Positions that have a row; as many as the input has steps where it is not given." },
	NN_INIT_ROW_OR(positional_embedding_options, init, "\"normal\"",
		"{\"type\":\"uniform\",\"a\":-0.05,\"b\":0.05}",
		"Initial rows; the default is that of torch.nn.Embedding: standard normal."),
};

static bool positional_embedding_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct positional_embedding_options *o = l->options;
	int64_t steps = l->in[0].dim[1], rows = o->num_embeddings ? o->num_embeddings : steps;

	if (!nn_takes(b, l, 0, NN_SEQUENCES))
		return false;
	if (rows < steps)
		return nn_refuse(b, l,
			"positional_embedding: num_embeddings %lld is less than the %lld steps from %s; leave it out",
			(long long)rows, (long long)steps, nn_source(b, l, 0));
	l->rows = rows;
	return declare_matrix(b, l, "", "weight", rows, l->in[0].dim[2], &o->init);
}

static td_value *positional_embedding_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return td_add(p->c, x[0], td_first_rows(p->c, l->param[0], x[0]));
}

static void positional_embedding_torch(const struct nn_layer *l, struct buf *out)
{
	buf_printf(out, "nn.Embedding(%lld, %lld)", (long long)l->rows, (long long)l->in[0].dim[2]);
}

static void positional_embedding_call(
	const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	(void)l;
	buf_printf(out, "%s + %s.weight[:%s.shape[1]]", x[0], module, x[0]);
}

const struct nn_layer_type nn_positional_embedding = {
	.type = OPT_TYPE(positional_embedding, "Adds a learnt row of numbers for each position of [N, T, features]."),
	.build = positional_embedding_build,
	.forward = positional_embedding_forward,
	.torch = positional_embedding_torch,
	.call = positional_embedding_call,
};

/* ---- positional_encoding: x plus fixed sines and cosines of each position ---------------------------------------- */

static bool positional_encoding_build(struct nn_builder *b, struct nn_layer *l)
{
	return nn_takes(b, l, 0, NN_SEQUENCES);
}

static td_value *positional_encoding_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	(void)l;
	return td_add(p->c, x[0], td_sinusoids(p->c, x[0]));
}

static void positional_encoding_call(
	const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	(void)l;
	(void)module;
	buf_printf(out, "%s + sinusoids(%s)", x[0], x[0]);
}

const struct nn_layer_type nn_positional_encoding = {
	.type = { .name = "positional_encoding",
		.doc = "Adds fixed sines and cosines of each position of [N, T, features] (Vaswani et al., 2017)." },
	.build = positional_encoding_build,
	.forward = positional_encoding_forward,
	.call = positional_encoding_call,
};
