/* The model as Python source: an nn.Module with the same modules under the same names, so its state_dict has the names
 * of our files of weights, and a forward pass that is the list of layers, one line each. */
#include "nn/layers.h"
#include "nn/model.h"

static const char head[] = "\"\"\"A model trained by Tandem, for PyTorch.\n"
			   "\n"
			   "Saved as model.py:\n"
			   "\n"
			   "    import model\n"
			   "    net = model.load(\"model.safetensors\")\n"
			   "\n";

static const char imports[] = "\"\"\"\n"
			      "import json\n"
			      "\n"
			      "import torch\n"
			      "from torch import nn\n"
			      "\n"
			      "\n";

static const char put_function[] = "def put(root, path, module):\n"
				   "    \"\"\"Make MODULE known as PATH, \"layer1.0.conv1\", below ROOT.\"\"\"\n"
				   "    *outer, last = path.split(\".\")\n"
				   "    for name in outer:\n"
				   "        root = root._modules.setdefault(name, nn.Module())\n"
				   "    root._modules[last] = module\n"
				   "\n"
				   "\n";

static const char part_method[] = "\n"
				  "    def part(self, path):\n"
				  "        module = self\n"
				  "        for name in path.split(\".\"):\n"
				  "            module = module._modules[name]\n"
				  "        return module\n";

static const char recurrent_function[] =
	"def recurrent(module, x, lengths, last):\n"
	"    \"\"\"All outputs [N, T, H], or the last ones [N, H]; what stands behind a sequence's length does not "
	"count.\"\"\"\n"
	"    if lengths is None:\n"
	"        y, state = module(x)\n"
	"    else:\n"
	"        packed = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)\n"
	"        y, state = module(packed)\n"
	"        y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])\n"
	"    if not last:\n"
	"        return y\n"
	"    hidden = state[0] if isinstance(state, tuple) else state\n"
	"    return torch.cat((hidden[-2], hidden[-1]), 1) if module.bidirectional else hidden[-1]\n"
	"\n"
	"\n";

static const char mean_function[] = "def mean_step(x, lengths):\n"
				    "    \"\"\"Mean of the steps of [N, T, D] that count.\"\"\"\n"
				    "    if lengths is None:\n"
				    "        return x.mean(1)\n"
				    "    lengths = lengths.to(x.device)[:, None]\n"
				    "    behind = torch.arange(x.shape[1], device=x.device)[None, :] >= lengths\n"
				    "    return x.masked_fill(behind[:, :, None], 0).sum(1) / lengths.to(x.dtype)\n"
				    "\n"
				    "\n";

static const char masks_function[] =
	"def masks(queries, keys, lengths, causal):\n"
	"    \"\"\"What no query may see, True: steps behind a sequence's length [N, S], later steps [T, S].\"\"\"\n"
	"    steps = torch.arange(keys.shape[1], device=keys.device)\n"
	"    behind = None if lengths is None else steps[None, :] >= lengths.to(keys.device)[:, None]\n"
	"    later = steps[None, :] > torch.arange(queries.shape[1], device=keys.device)[:, None] if causal else None\n"
	"    return behind, later\n"
	"\n"
	"\n";

static const char attention_function[] =
	"def attention(module, query, key, value, lengths, causal):\n"
	"    \"\"\"What attention gives for each step of the query, [N, T, E].\"\"\"\n"
	"    behind, later = masks(query, key, lengths, causal)\n"
	"    return module(query, key, value, key_padding_mask=behind, attn_mask=later, need_weights=False)[0]\n"
	"\n"
	"\n";

static const char encoder_function[] = "def encoder_layer(module, x, lengths, causal):\n"
				       "    \"\"\"What a transformer's layer makes of [N, T, E].\"\"\"\n"
				       "    behind, later = masks(x, x, lengths, causal)\n"
				       "    return module(x, src_mask=later, src_key_padding_mask=behind)\n"
				       "\n"
				       "\n";

static const char sinusoids_function[] =
	"def sinusoids(x):\n"
	"    \"\"\"Sines and cosines that stand for the positions of the steps of [N, T, D]: [T, D].\"\"\"\n"
	"    column = torch.arange(x.shape[2])\n"
	"    angle = torch.arange(x.shape[1])[:, None] * 10000.0 ** (-(column - column % 2).double() / x.shape[2])\n"
	"    return torch.where(column % 2 == 0, angle.sin(), angle.cos()).to(x)\n"
	"\n"
	"\n";

/* Functions of the source, each with the layers whose calls need it. */
static const struct {
	const char *text;
	const struct nn_layer_type *types[4];
} functions[] = {
	{ recurrent_function, { &nn_rnn, &nn_lstm, &nn_gru } },
	{ mean_function, { &nn_sequence_mean } },
	{ masks_function, { &nn_multihead_attention, &nn_transformer_encoder_layer } },
	{ attention_function, { &nn_multihead_attention } },
	{ encoder_function, { &nn_transformer_encoder_layer } },
	{ sinusoids_function, { &nn_positional_encoding } },
};

static const char tail[] =
	"\n"
	"\n"
	"def read_safetensors(path):\n"
	"    \"\"\"The float32 tensors of a safetensors file by name.\"\"\"\n"
	"    with open(path, \"rb\") as file:\n"
	"        header = json.loads(file.read(int.from_bytes(file.read(8), \"little\")))\n"
	"        data = bytearray(file.read())\n"
	"    tensors = {}\n"
	"    for name, entry in header.items():\n"
	"        if name == \"__metadata__\" or entry[\"dtype\"] != \"F32\":\n"
	"            continue\n"
	"        start, end = entry[\"data_offsets\"]\n"
	"        values = torch.frombuffer(data[start:end], dtype=torch.float32) if end > start else torch.empty(0)\n"
	"        tensors[name] = values.reshape(entry[\"shape\"])\n"
	"    return tensors\n"
	"\n"
	"\n"
	"def load(path):\n"
	"    \"\"\"The model with the weights of PATH, model.safetensors or a checkpoint, ready to predict.\"\"\"\n"
	"    model, tensors = Model(), read_safetensors(path)\n"
	"    state = model.state_dict()\n"
	"    for name in state:\n"
	"        if not name.endswith(\"num_batches_tracked\"):\n"
	"            state[name] = tensors[name] if name in tensors else tensors[\"model.\" + name]\n"
	"    model.load_state_dict(state)\n"
	"    return model.eval()\n";

/* The layer whose module L calls: itself, or the one whose parameters it uses. */
static const struct nn_layer *owner_of(const struct nn_model *m, const struct nn_layer *l)
{
	if (l->n_params)
		for (int i = 0; i < m->n_layers && &m->layers[i] != l; i++)
			if (m->layers[i].n_params && m->layers[i].param_at[0] == l->param_at[0])
				return &m->layers[i];
	return l;
}

static void write_modules(const struct nn_model *m, struct buf *out)
{
	buf_puts(out, "class Model(nn.Module):\n    def __init__(self):\n        super().__init__()\n");
	for (int i = 0; i < m->n_layers; i++) {
		const struct nn_layer *l = &m->layers[i];

		if (!l->type->torch || owner_of(m, l) != l)
			continue;
		buf_printf(out, "        put(self, \"%s\", ", l->name);
		l->type->torch(l, out);
		buf_puts(out, ")\n");
	}
}

static void variable(int layer, char out[NN_VARIABLE])
{
	if (layer == NN_INPUT)
		snprintf(out, NN_VARIABLE, "x");
	else
		snprintf(out, NN_VARIABLE, "x%d", layer);
}

static void write_call(const struct nn_model *m, int at, struct buf *out)
{
	const struct nn_layer *l = &m->layers[at];
	char x[NN_LAYER_INPUTS][NN_VARIABLE], y[NN_VARIABLE], module[NN_NAME];

	variable(at, y);
	for (int i = 0; i < l->n_inputs; i++)
		variable(l->input[i], x[i]);
	snprintf(module, sizeof module, "part(\"%s\")", owner_of(m, l)->name);
	buf_printf(out, "        %s = ", y);
	if (l->type->call)
		l->type->call(l, module, x, out);
	else
		buf_printf(out, "%s(%s)", module, x[0]);
	buf_puts(out, "\n");
}

/* SHAPE without the batch, as a comment says it: "[N, 1, 28, 28]". */
static void write_shape(const td_shape *shape, struct buf *out)
{
	buf_puts(out, "[N");
	for (int i = 1; i < shape->rank; i++)
		buf_printf(out, ", %lld", (long long)shape->dim[i]);
	buf_printf(out, "] %s", td_dtype_name(shape->dtype));
}

static void write_forward(const struct nn_model *m, struct buf *out)
{
	char y[NN_VARIABLE];

	buf_puts(out, part_method);
	buf_puts(out, "\n    def forward(self, x, lengths=None):\n        \"\"\"");
	write_shape(&m->in, out);
	buf_puts(out, " -> ");
	write_shape(&m->out, out);
	buf_puts(out, "; lengths: int64 [N], steps of each sequence that count.\"\"\"\n        part = self.part\n");
	for (int i = 0; i < m->n_layers; i++)
		write_call(m, i, out);
	variable(m->output, y);
	buf_printf(out, "        return %s\n", y);
}

static bool has_type(const struct nn_model *m, const struct nn_layer_type *const types[4])
{
	for (int i = 0; i < m->n_layers; i++)
		for (int k = 0; k < 4 && types[k]; k++)
			if (m->layers[i].type == types[k])
				return true;
	return false;
}

/* TEXT where a docstring stands: nothing in it ends it. */
static void write_doc(const char *text, struct buf *out)
{
	for (; *text; text++) {
		bool is_control = (unsigned char)*text < ' ' && *text != '\n';

		if (*text == '\\' || *text == '"')
			buf_puts(out, "\\");
		buf_printf(out, "%c", is_control ? ' ' : *text);
	}
}

void nn_model_pytorch(const struct nn_model *m, const char *about, struct buf *out)
{
	buf_puts(out, head);
	write_doc(about, out);
	buf_puts(out, imports);
	buf_puts(out, put_function);
	for (size_t i = 0; i < TD_COUNT(functions); i++)
		if (has_type(m, functions[i].types))
			buf_puts(out, functions[i].text);
	write_modules(m, out);
	write_forward(m, out);
	buf_puts(out, tail);
}
