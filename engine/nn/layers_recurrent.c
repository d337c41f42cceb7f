/* Layers over the steps of a sequence [N, T, D]: plain recurrence, LSTM, GRU, and the mean of all steps.
 *
 * Where sequences differ in length, a recurrent layer ends each at its own end, as torch does for a packed sequence:
 * the outputs behind it are zero, and the reverse direction begins there. */
#include "nn/layers.h"
#include "nn/model.h"

#define STACKED_MOST 8 /* layers in one: NN_LAYER_PARAMS holds the parameters of eight in two directions */

/* ---- rnn, lstm and gru ------------------------------------------------------------------------------------------- */

enum { RETURN_SEQUENCE, RETURN_LAST };

static const char *const returns[] = { "sequence", "last", NULL };

struct recurrent_options {
	int64_t input_size, hidden_size, num_layers;
	bool bidirectional;
	double dropout;
	int answer;                                        /* RETURN_SEQUENCE or RETURN_LAST */
	struct opt_choice init, recurrent_init, bias_init; /* INIT without a type: torch's rule */
	int nonlinearity;                                  /* of rnn: index into nonlinearities */
	bool bias;                                         /* both, or with RECURRENT_BIAS off the input's */
	bool recurrent_bias;                               /* of rnn and lstm */
	bool unit_forget_bias;                             /* of lstm */
};

#define RECURRENT_ROWS                                                                                                 \
	NN_GIVEN_ROW(                                                                                                  \
		recurrent_options, input_size, "Size of each step of the input; it follows from the layer before."),   \
		NN_COUNT_ROW(                                                                                          \
			recurrent_options, hidden_size, "Size of the state, and of the output of one direction."),     \
		{ NN_ROW(recurrent_options, num_layers), .kind = OPT_INT, .value = "1", .low = 1,                      \
			.high = STACKED_MOST, .doc = "Layers one upon the other." },                                   \
		NN_FLAG_ROW(recurrent_options, bidirectional, "false",                                                 \
			"Also read from the end; the outputs of both directions are joined."),                         \
		{ NN_ROW(recurrent_options, dropout), .kind = OPT_FLOAT, .value = "0", .low = 0, .high = 1,            \
			.below = true, .doc = "Dropout between the layers that stand one upon the other." },           \
		{ .name = "return",                                                                                    \
			.at = offsetof(struct recurrent_options, answer),                                              \
			.kind = OPT_ENUM,                                                                              \
			.value = "\"sequence\"",                                                                       \
			.names = returns,                                                                              \
			.doc = "The output of each step, or the one of the last step alone (of each direction's own "  \
			       "last)." },                                                                             \
		NN_FLAG_ROW(recurrent_options, bias, "true",                                                           \
			"Add learnt biases; without them the layer has none at all."),                                 \
		NN_INIT_ROW_OR(recurrent_options, init, NULL, NN_KERAS_INIT,                                           \
			"Initial weights of the input; the default is torch's: uniform within 1 / "                    \
			"sqrt(hidden_size)."),                                                                         \
		NN_INIT_ROW_OR(recurrent_options, recurrent_init, "\"bias_uniform\"", "\"orthogonal\"",                \
			"Initial weights of the state."),                                                              \
		NN_INIT_ROW_OR(recurrent_options, bias_init, "\"bias_uniform\"", "\"zeros\"", "Initial biases.")

#define RECURRENT_BIAS_ROW                                                                                             \
	NN_FLAG_ROW_OR(recurrent_options, recurrent_bias, "true", "false",                                             \
		"Learn the bias of the state beside that of the input, as torch; else it stays zero and is no "        \
		"parameter, as in Keras.")

static const struct opt gru_opts[] = { RECURRENT_ROWS };

static const struct opt lstm_opts[] = { RECURRENT_ROWS, RECURRENT_BIAS_ROW,
	NN_FLAG_ROW_OR(recurrent_options, unit_forget_bias, "false", "true",
		"Let the forget gate's bias be 1 at the start, whatever bias_init says.") };

static const char *const nonlinearities[] = { "tanh", "relu", NULL };

static const struct opt rnn_opts[] = { RECURRENT_ROWS, RECURRENT_BIAS_ROW,
	{ NN_ROW(recurrent_options, nonlinearity), .kind = OPT_ENUM, .value = "\"tanh\"", .names = nonlinearities,
		.doc = "What is made of the sum of what input and state give." } };

/* Parameters of layer K, direction D, stand at param + params_of(l) * (K * directions + D), in this order; without
 * biases the first two alone. */
enum { WEIGHT_IH, WEIGHT_HH, BIAS_IH, BIAS_HH, RECURRENT_PARAMS };

static int params_of(const struct nn_layer *l)
{
	return ((const struct recurrent_options *)l->options)->bias ? RECURRENT_PARAMS : BIAS_IH;
}

static int directions_of(const struct nn_layer *l)
{
	return ((const struct recurrent_options *)l->options)->bidirectional ? 2 : 1;
}

/* Blocks of HIDDEN rows in each weight: i, f, g, o or r, z, n; the plain layer has one. */
static int gates_of(const struct nn_layer *l)
{
	return l->type == &nn_lstm ? 4 : l->type == &nn_gru ? 3 : 1;
}

static bool is_relu(const struct nn_layer *l)
{
	return l->type == &nn_rnn && ((const struct recurrent_options *)l->options)->nonlinearity == 1;
}

static bool declare_weight(struct nn_builder *b, struct nn_layer *l, const char *name, int64_t columns, int64_t fan_in,
	const struct opt_choice *init)
{
	int64_t rows = gates_of(l) * ((const struct recurrent_options *)l->options)->hidden_size;
	td_shape shape = { .dtype = TD_F32, .rank = 2, .dim = { rows, columns } }; /* beyond an int, too */

	return nn_declare(b, l, name, &shape, (struct nn_fans){ fan_in, rows },
		init->type ? nn_init_of(init) : &nn_bias_uniform, init->options);
}

/* FORGET: what the forget gate's bias starts from, where it has a start of its own. */
static bool declare_bias(struct nn_builder *b, struct nn_layer *l, const char *name, float forget)
{
	const struct recurrent_options *o = l->options;
	int64_t rows = gates_of(l) * o->hidden_size;
	td_shape shape = { .dtype = TD_F32, .rank = 1, .dim = { rows } };
	struct nn_fans fans = { o->hidden_size, rows };
	struct nn_mask *mask;

	if (!o->unit_forget_bias)
		return nn_declare(b, l, name, &shape, fans, nn_init_of(&o->bias_init), o->bias_init.options);
	mask = arena_alloc(nn_arena(b), sizeof *mask);
	*mask = (struct nn_mask){ .init = nn_init_of(&o->bias_init),
		.options = o->bias_init.options,
		.first = o->hidden_size,
		.end = 2 * o->hidden_size,
		.value = forget };
	return nn_declare(b, l, name, &shape, fans, &nn_masked, mask);
}

/* The state's bias.  Where it is not learnt it is there all the same, so that torch's layer can take the weights. */
static bool declare_state_bias(struct nn_builder *b, struct nn_layer *l, const char *name)
{
	const struct recurrent_options *o = l->options;
	td_shape shape = { .dtype = TD_F32, .rank = 1, .dim = { gates_of(l) * o->hidden_size } };

	return o->recurrent_bias || l->type == &nn_gru ? declare_bias(b, l, name, 0)
						       : nn_declare_buffer(b, l, name, &shape, &nn_zeros);
}

/* Where nothing else is said, all are uniform within 1 / sqrt(hidden size), as torch has it. */
static bool declare_direction(struct nn_builder *b, struct nn_layer *l, int64_t in, int layer, bool reverse)
{
	static const char *const parts[] = { "weight_ih", "weight_hh", "bias_ih", "bias_hh" };
	const struct recurrent_options *o = l->options;
	char names[RECURRENT_PARAMS][32];

	for (int i = 0; i < RECURRENT_PARAMS; i++)
		snprintf(names[i], sizeof names[i], "%s_l%d%s", parts[i], layer, reverse ? "_reverse" : "");
	return declare_weight(b, l, names[WEIGHT_IH], in, o->init.type ? in : o->hidden_size, &o->init) &&
	       declare_weight(b, l, names[WEIGHT_HH], o->hidden_size, o->hidden_size, &o->recurrent_init) &&
	       (!o->bias || (declare_bias(b, l, names[BIAS_IH], 1) && declare_state_bias(b, l, names[BIAS_HH])));
}

static bool recurrent_build(struct nn_builder *b, struct nn_layer *l)
{
	const struct recurrent_options *o = l->options;

	if (!nn_takes(b, l, 0, NN_SEQUENCES) || !nn_expect(b, l, 0, "input_size", o->input_size, l->in[0].dim[2]) ||
		!nn_lengths_fit(b, l, 0))
		return false;
	for (int k = 0; k < o->num_layers; k++)
		for (int d = 0; d < directions_of(l); d++)
			if (!declare_direction(
				    b, l, k ? directions_of(l) * o->hidden_size : l->in[0].dim[2], k, d == 1))
				return false;
	return true;
}

/* One direction of one layer over X [N, T, D]: [N, T, H]. */
static td_value *direction_forward(
	const struct nn_pass *p, const struct nn_layer *l, td_value *const *param, td_value *x, bool reverse)
{
	bool biased = ((const struct recurrent_options *)l->options)->bias;
	td_value *of_input = biased ? param[BIAS_IH] : NULL, *of_state = biased ? param[BIAS_HH] : NULL, *gates;

	if (l->type == &nn_gru) {
		if (!biased) /* it would stand behind the reset gate, so the op takes one */
			of_state = td_zeros_like(p->c, td_sum(p->c, param[WEIGHT_HH], 1u << 1, false));
		gates = td_linear(p->c, x, param[WEIGHT_IH], of_input);
		return td_gru(p->c, gates, param[WEIGHT_HH], of_state, p->lengths, reverse);
	}
	gates = td_linear(p->c, x, param[WEIGHT_IH], biased ? td_add(p->c, of_input, of_state) : NULL);
	return l->type == &nn_lstm ? td_lstm(p->c, gates, param[WEIGHT_HH], p->lengths, reverse)
				   : td_rnn(p->c, gates, param[WEIGHT_HH], p->lengths, reverse, is_relu(l));
}

static td_value *recurrent_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	const struct recurrent_options *o = l->options;
	int n = directions_of(l);
	td_value *y = x[0], *way[2] = { NULL, NULL };

	for (int k = 0; k < o->num_layers; k++) {
		if (k && p->training && o->dropout > 0)
			y = td_dropout(p->c, y, o->dropout);
		for (int d = 0; d < n; d++)
			way[d] = direction_forward(p, l, l->param + params_of(l) * (k * n + d), y, d == 1);
		if (k == o->num_layers - 1 && o->answer == RETURN_LAST)
			break;
		y = n == 2 ? td_concat(p->c, way[0], way[1], 2) : way[0];
	}
	if (o->answer == RETURN_SEQUENCE)
		return y;
	for (int d = 0; d < n; d++)
		way[d] = td_last_step(p->c, way[d], p->lengths, d == 1);
	return n == 2 ? td_concat(p->c, way[0], way[1], 1) : way[0];
}

static double recurrent_flops(const struct nn_layer *l)
{
	const struct recurrent_options *o = l->options;
	double h = (double)o->hidden_size, n = directions_of(l),
	       steps = (double)l->in[0].dim[0] * (double)l->in[0].dim[1];
	double inputs = (double)l->in[0].dim[2] + (double)(o->num_layers - 1) * n * h; /* of all layers together */

	return 2.0 * steps * n * gates_of(l) * h * (inputs + (double)o->num_layers * h);
}

static void recurrent_torch(const struct nn_layer *l, struct buf *out)
{
	const struct recurrent_options *o = l->options;
	char number[32];

	buf_printf(out, "nn.%s(%lld, %lld",
		l->type == &nn_lstm  ? "LSTM"
		: l->type == &nn_gru ? "GRU"
				     : "RNN",
		(long long)l->in[0].dim[2], (long long)o->hidden_size);
	if (o->num_layers > 1)
		buf_printf(out, ", num_layers=%lld", (long long)o->num_layers);
	if (!o->bias)
		buf_puts(out, ", bias=False");
	if (is_relu(l))
		buf_puts(out, ", nonlinearity=\"relu\"");
	buf_puts(out, ", batch_first=True");
	if (o->dropout > 0 && o->num_layers > 1)
		buf_printf(out, ", dropout=%s", json_shortest(o->dropout, number));
	buf_puts(out, o->bidirectional ? ", bidirectional=True)" : ")");
}

static void recurrent_call(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	const struct recurrent_options *o = l->options;

	buf_printf(out, "recurrent(%s, %s, lengths, last=%s)", module, x[0], nn_python(o->answer == RETURN_LAST));
}

#define RECURRENT(layer, text)                                                                                         \
	const struct nn_layer_type nn_##layer = {                                                                      \
		.type = OPT_TYPE_OF(layer, layer##_opts, recurrent_options, text),                                     \
		.build = recurrent_build,                                                                              \
		.forward = recurrent_forward,                                                                          \
		.flops = recurrent_flops,                                                                              \
		.torch = recurrent_torch,                                                                              \
		.call = recurrent_call,                                                                                \
	}

RECURRENT(rnn, "The plain recurrent layer over the steps of [N, T, features], as torch.nn.RNN.");
RECURRENT(lstm, "Long short-term memory over the steps of [N, T, features], as torch.nn.LSTM.");
RECURRENT(gru, "Gated recurrent units over the steps of [N, T, features], as torch.nn.GRU.");

/* ---- sequence_mean: [N, T, D] becomes [N, D] --------------------------------------------------------------------- */

static bool sequence_mean_build(struct nn_builder *b, struct nn_layer *l)
{
	return nn_takes(b, l, 0, NN_SEQUENCES) && nn_lengths_fit(b, l, 0);
}

static td_value *sequence_mean_forward(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x)
{
	static const int64_t column[] = { TD_SIZE_OF(0), 1 };

	(void)l;
	if (!p->lengths)
		return td_mean(p->c, x[0], 1u << 1, false);
	return td_div(p->c, td_sum(p->c, td_mask_steps(p->c, x[0], p->lengths), 1u << 1, false),
		td_reshape(p->c, td_cast(p->c, p->lengths, td_shape_of(x[0])->dtype), column, 2));
}

static double sequence_mean_flops(const struct nn_layer *l)
{
	return (double)td_shape_count(&l->in[0]);
}

static void sequence_mean_call(
	const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out)
{
	(void)module;
	(void)l;
	buf_printf(out, "mean_step(%s, lengths)", x[0]);
}

const struct nn_layer_type nn_sequence_mean = {
	.type = { .name = "sequence_mean",
		.doc = "Mean of all steps up to each sequence's own end: [N, T, D] becomes [N, D]." },
	.build = sequence_mean_build,
	.forward = sequence_mean_forward,
	.flops = sequence_mean_flops,
	.call = sequence_mean_call,
};
