/* Layers that multiply by one matrix: linear, and embedding, which picks rows of it. */
#include "nn/layers.h"

/* ---- linear: y = x W^T + b ------------------------------------------------------------------------------------- */

struct linear_options {
	int64_t in_features, out_features;
	bool bias;
	struct opt_choice init, bias_init;
};

static const struct opt linear_opts[] = { NN_GIVEN_ROW(linear_options, in_features,
						  "Size of each input; it follows from the layer before."),
	NN_COUNT_ROW(linear_options, out_features, "Size of each output."), NN_INIT_ROWS(linear_options) };

static bool linear_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct linear_options *o = l->options;
	char in[TD_SHAPE_TEXT];

	if (l->in[0].rank < 2)
		return nn_refuse(b, l, "linear takes [N, ..., features], but gets %s from %s",
			td_shape_text(&l->in[0], in), nn_source(b, l, 0));
	if (l->in[0].rank == 4)
		return nn_refuse(b, l,
			"linear takes inputs [N, features] or [N, T, features], but gets %s from %s; put \"flatten\" "
			"before it",
			td_shape_text(&l->in[0], in), nn_source(b, l, 0));
	int64_t features = l->in[0].dim[l->in[0].rank - 1];
	td_shape weight = { .dtype = TD_F32, .rank = 2, .dim = { o->out_features, features } }, /* beyond an int, too */
		bias = td_shape_make(TD_F32, 1, o->out_features);
	struct nn_fans fans = { features, o->out_features };

	return nn_expect(b, l, 0, "in_features", o->in_features, features) &&
	       nn_declare(b, l, "weight", &weight, fans, nn_init_of(&o->init), o->init.options) &&
	       (!o->bias || nn_declare(b, l, "bias", &bias, fans, nn_init_of(&o->bias_init), o->bias_init.options));
}

static td_value *linear_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	return td_linear(p->c, x[0], l->param[0], l->param[1]);
}

static double linear_flops(const struct nn_layer *l)
{
	return 2.0 * (double)td_shape_count(&l->in[0]) * (double)l->out.dim[l->out.rank - 1];
}

static void linear_torch(const struct nn_layer *l, struct buf *out)
{
	const struct linear_options *o = l->options;

	buf_printf(out, "nn.Linear(%lld, %lld%s)", (long long)l->in[0].dim[l->in[0].rank - 1],
		(long long)o->out_features, o->bias ? "" : ", bias=False");
}

const struct nn_layer_type nn_linear = {
	.type = OPT_TYPE(linear, "y = x W^T + b over the last axis, as torch.nn.Linear."),
	.build = linear_build,
	.forward = linear_forward,
	.flops = linear_flops,
	.torch = linear_torch,
};

/* ---- embedding: the row of a learnt table for each token ------------------------------------------------------- */

struct embedding_options {
	int64_t embedding_dim;
	int64_t num_embeddings; /* 0: the vocabulary's size */
	int64_t padding_idx;    /* -1: none */
	struct opt_choice init;
};

static const char *const padding_words[] = { "none", NULL };

static const struct opt embedding_opts[] = {
	NN_COUNT_ROW(embedding_options, embedding_dim, "Numbers that stand for a token."),
	{ NN_ROW(embedding_options, num_embeddings), .kind = OPT_INT, .low = 1, .high = NN_FEATURES_MOST,
		.doc = "Rows of the table; as many as the data's vocabulary has tokens where it is not given." },
	{ NN_ROW(embedding_options, padding_idx), .kind = OPT_INT_OR_WORD, .value = "\"none\"", .low = 0,
		.high = NN_FEATURES_MOST, .names = padding_words,
		.doc = "Token whose row is zero and stays so; the data's padding is token 0." },
	NN_INIT_ROW_OR(embedding_options, init, "\"normal\"", "{\"type\":\"uniform\",\"a\":-0.05,\"b\":0.05}",
		"Initial rows; the default is torch's: standard normal."),
};

static bool embedding_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct embedding_options *o = l->options;
	int64_t rows = o->num_embeddings ? o->num_embeddings : nn_tokens(b);
	td_shape weight = td_shape_make(TD_F32, 2, rows, o->embedding_dim);
	struct nn_fans fans = { o->embedding_dim, rows };
	struct nn_mask *mask;
	char in[TD_SHAPE_TEXT];

	if (l->in[0].dtype != TD_I64)
		return nn_refuse(b, l,
			"embedding takes tokens, int64, but gets %s from %s; numbers need none: leave it out, or use "
			"\"linear\"",
			td_shape_text(&l->in[0], in), nn_source(b, l, 0));
	if (!rows)
		return nn_refuse(b, l,
			"embedding: the data has no vocabulary to count; give \"num_embeddings\", one more than the "
			"largest number");
	if (rows < nn_tokens(b))
		return nn_refuse(b, l,
			"embedding: num_embeddings %lld is less than the %lld tokens of the data's vocabulary; leave "
			"it out",
			(long long)rows, (long long)nn_tokens(b));
	if (o->padding_idx >= rows)
		return nn_refuse(b, l, "embedding: padding_idx %lld is not one of the %lld rows",
			(long long)o->padding_idx, (long long)rows);
	l->rows = rows;
	if (o->padding_idx < 0)
		return nn_declare(b, l, "weight", &weight, fans, nn_init_of(&o->init), o->init.options);
	mask = arena_alloc(nn_arena(b), sizeof *mask);
	*mask = (struct nn_mask){ .init = nn_init_of(&o->init),
		.options = o->init.options,
		.first = o->padding_idx * o->embedding_dim,
		.end = (o->padding_idx + 1) * o->embedding_dim };
	return nn_declare(b, l, "weight", &weight, fans, &nn_masked, mask);
}

static td_value *embedding_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct embedding_options *o = l->options;

	return td_embedding(p->c, l->param[0], x[0], o->padding_idx);
}

static void embedding_torch(const struct nn_layer *l, struct buf *out)
{
	const struct embedding_options *o = l->options;

	buf_printf(out, "nn.Embedding(%lld, %lld", (long long)l->rows, (long long)o->embedding_dim);
	if (o->padding_idx >= 0)
		buf_printf(out, ", padding_idx=%lld", (long long)o->padding_idx);
	buf_puts(out, ")");
}

const struct nn_layer_type nn_embedding = {
	.type = OPT_TYPE(embedding, "A learnt row of numbers for each token, as torch.nn.Embedding."),
	.takes_tokens = true,
	.build = embedding_build,
	.forward = embedding_forward,
	.torch = embedding_torch,
};
