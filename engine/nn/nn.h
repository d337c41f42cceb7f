/* Layers, initialisers, and what puts them together: the model.  What a model is trained with stands in nn/learn.h.
 *
 * Everything a job can name is one block: its options (nn/options.h) and a few functions of ops.  A block never asks
 * for the mode; the program (learn.h) runs one piece of code step by step (eager) or traces it once and replays it
 * (graph).  Names, defaults and meanings are those of torch.nn.
 *
 * A model is a flat list of layers in the order in which they run, each with the layers that it reads from: containers
 * (sequential, residual, branches) and named models exist in the document only, and become such a list when the model
 * is built. */
#ifndef TD_NN_NN_H
#define TD_NN_NN_H

#include "base/buf.h"
#include "base/rng.h"
#include "nn/options.h"
#include "td.h"

/* ---- Initialisers ---------------------------------------------------------------------------------------------- */

/* How many values meet in one output (in), and how many outputs one value reaches (out), as torch.nn.init counts them.
 */
struct nn_fans {
	int64_t in, out;
};

struct nn_init_type {
	struct opt_type type;
	/* Element I of a weight, a pure function of KEY and I: the order of drawing does not matter. */
	float (*element)(const void *options, const struct nn_fans *fans, const struct rng_key *key, uint64_t i);
	/* Instead, where elements depend on each other: ROWS (the weight's first axis) by COLUMNS (all others) of them.
	 * False: no memory. */
	bool (*fill)(const void *options, const struct nn_fans *fans, const struct rng_key *key, int64_t rows,
		int64_t columns, float *out);
};

extern const struct opt_family nn_inits;          /* what an "init" option may choose */
extern const struct nn_init_type nn_bias_uniform; /* torch's rule for biases: uniform within 1/sqrt(fan in) */
extern const struct nn_init_type nn_zeros, nn_ones;
extern const struct nn_init_type nn_masked; /* another one, but for a range of elements; options: struct nn_mask */

struct nn_mask {
	const struct nn_init_type *init;
	const void *options;
	int64_t first, end; /* elements that are VALUE */
	float value;
};

/* The weight NAME of SHAPE in logical row-major order.  Addressed by (SEED, NAME, element).  False: no memory. */
bool nn_init_fill(const struct nn_init_type *init, const void *options, const struct nn_fans *fans, uint64_t seed,
	const char *name, const td_shape *shape, float *out);

/* ---- Layers ---------------------------------------------------------------------------------------------------- */

#define NN_NAME         160  /* bytes of a dotted name: of a parameter, or of what an optimizer keeps for it */
#define NN_LAYER_PARAMS 64   /* parameters and buffers that one layer has at most: eight LSTMs in two directions */
#define NN_LAYER_INPUTS 16   /* layers that one reads from */
#define NN_INPUT        (-1) /* in place of a layer: the model's input */

struct nn_param {
	char name[NN_NAME - 32]; /* "features.0.weight": the dotted path, and the name that torch gives it */
	td_shape shape;
	struct nn_fans fans;
	const struct nn_init_type *init;
	const void *init_options; /* borrowed */
	bool buffer;              /* not learnt but kept: running means of batch norm */
	bool frozen;              /* keeps its value: no gradient, no update */
	td_value *value;          /* owned; NULL until nn_model_allocate */
};

struct nn_layer {
	const struct nn_layer_type *type;
	const void *options;                     /* borrowed; the type's own struct */
	char name[NN_NAME - 64];                 /* dotted path of names or positions: "features.3" */
	char pointer[256];                       /* its place in the spec: "/model/layers/3" */
	int input[NN_LAYER_INPUTS], n_inputs;    /* layers that it reads from, or NN_INPUT */
	td_shape in[NN_LAYER_INPUTS], out;       /* for the batch size of nn_model_create */
	int64_t flops;                           /* of one forward pass of that batch */
	int param_at[NN_LAYER_PARAMS], n_params; /* which of the model's parameters; those of another layer if shared */
	td_value *param[NN_LAYER_PARAMS];        /* borrowed: tensors, or symbols while the model is being built */
	int64_t rows;                            /* of an embedding's table */
	bool frozen;                             /* it has parameters, and all are */
};

/* What a forward pass knows besides its inputs. */
struct nn_pass {
	td_ctx *c;
	bool training;
	td_value *lengths; /* int64 [N]: valid steps of each sequence; NULL: all are */
};

#define NN_VARIABLE 16 /* bytes of a variable's name in generated code */

struct nn_builder; /* the model under construction; model.h */
struct nn_spot;    /* a container's place in the document; model.h */

struct nn_layer_type {
	struct opt_type type; /* first: an opt_choice's type is cast to this */
	int n_inputs;         /* that it takes; 0 means 1, -1 one or more */
	int n_inputs_most;    /* that it may take where it can do with fewer; 0: it cannot */
	bool takes_tokens;    /* inputs are int64; all others take float32 alone */
	bool over_batch; /* while training it takes the variance of each channel: one value has none (see nn_needs_samples) */
	/* Of a container, which has nothing else: build what it holds; returns whose output is its own (see model.h).
	 */
	int (*expand)(struct nn_builder *b, const struct nn_spot *spot);
	/* Declare the parameters that l->in asks for (nn_declare).  False: l->in does not fit, and nn_refuse said why.
	 */
	bool (*build)(struct nn_builder *b, struct nn_layer *l);
	td_value *(*forward)(const struct nn_pass *p, const struct nn_layer *l, td_value *const *x);
	double (*flops)(
		const struct nn_layer *l); /* of one forward pass over l->in; NULL: one for each output element */
	/* The torch module that is the same, "nn.Linear(784, 10)", for generated code; NULL: there is none, and CALL
	 * says it. */
	void (*torch)(const struct nn_layer *l, struct buf *out);
	/* The expression for its output from MODULE, an expression too, and variables X, "x1 + x2"; NULL: the module is
	 * called. */
	void (*call)(const struct nn_layer *l, const char *module, const char (*x)[NN_VARIABLE], struct buf *out);
};

extern const struct opt_family nn_layers;

/* Parameter NAME of L, or a buffer: kept, not learnt.  False: too large, or not what the layer that L shares with has.
 */
bool nn_declare(struct nn_builder *b, struct nn_layer *l, const char *name, const td_shape *shape, struct nn_fans fans,
	const struct nn_init_type *init, const void *init_options);
bool nn_declare_buffer(struct nn_builder *b, struct nn_layer *l, const char *name, const td_shape *shape,
	const struct nn_init_type *init);
/* A fault of layer L.  Returns false. */
bool nn_refuse(struct nn_builder *b, const struct nn_layer *l, const char *fmt, ...) TD_PRINTF(3, 4);
/* False, with a fault at the option NAME of L: it says GIVEN (0: nothing), but what input I comes from gives ACTUAL. */
bool nn_expect(struct nn_builder *b, const struct nn_layer *l, int i, const char *name, int64_t given, int64_t actual);
/* "the data" or "layer 2 (max_pool2d)": where input I of L comes from.  Valid until the next call. */
const char *nn_source(struct nn_builder *b, const struct nn_layer *l, int i);
/* An arena that lives as long as the model: for options of initialisers. */
struct arena *nn_arena(struct nn_builder *b);
/* The layer that input I of L comes from; NULL: the model's input. */
const struct nn_layer *nn_input_layer(const struct nn_builder *b, const struct nn_layer *l, int i);
/* False, with a fault: sequences differ in length, but input I of L no longer has a step for each of theirs. */
bool nn_lengths_fit(struct nn_builder *b, const struct nn_layer *l, int i);
/* Tokens of the vocabulary that the model's input is made of; 0: it is no text. */
int64_t nn_tokens(const struct nn_builder *b);

/* ---- The model ------------------------------------------------------------------------------------------------- */

#define NN_LAYERS_MOST 1000
#define NN_ELEMENTS_MOST                                                                                               \
	((int64_t)1 << 40) /* of one value; far above any memory, far below what a multiplication overflows */

/* "model" of a spec: layers, or a known model by name. */
struct nn_model_options {
	struct opt_choices layers;
	struct opt_strings outputs; /* the layer whose output is the model's; empty: the last one */
	const char *name;  /* "resnet18", "mlp", "lstm_classifier", "squeezenet1_1", ...; NULL: LAYERS say it */
	const cJSON *args; /* of the named model; borrowed from the document, may be NULL */
};

extern const struct opt_type nn_model_section;

struct nn_model {
	struct nn_layer *layers;        /* owned */
	struct nn_param *params;        /* owned; buffers too */
	int n_layers, n_params, output; /* OUTPUT: which layer's output is the model's */
	td_shape in, out;
	int64_t n_parameters; /* elements of all parameters that are learnt or frozen; buffers do not count */
	double flops;         /* of one forward pass of one batch */
	struct arena arena;   /* owned: options of layers that a named model or a container brought */
};

/* Build symbolically: shapes are inferred by the ops' own rules, nothing is allocated for them.  IN is a batch of
 * inputs; N_TOKENS: size of the vocabulary where they are tokens, else 0.  NULL: FAULTS says what does not fit, by
 * layer.  O is borrowed for the model's life. */
struct nn_model *nn_model_create(const struct nn_model_options *o, const td_shape *in, int64_t n_tokens,
	bool has_lengths, struct faults *faults);
void nn_model_free(struct nn_model *m);
/* Make the parameters and fill them with their initial values.  TD_NO_MEMORY is on C too. */
td_status nn_model_allocate(struct nn_model *m, td_ctx *c, uint64_t seed);
td_value *nn_forward(const struct nn_model *m, const struct nn_pass *p, td_value *x);
/* The layer called NAME ("features.3", "features.3.squeeze"), or the last one in the container of that name; -1: none.
 */
int nn_model_find(const struct nn_model *m, const char *name);
/* What the N LAYERS (indices) answer to X, in OUT.  Layers after the last of them do not run. */
void nn_features(
	const struct nn_model *m, const struct nn_pass *p, td_value *x, const int *layers, int n, td_value **out);
/* The first layer that cannot be trained on a single sample: a batch norm of one value for each channel.  NULL: all
 * can. */
const struct nn_layer *nn_needs_samples(const struct nn_model *m);

/* Freeze what PATTERNS (shell patterns over names: "features.*") match, before nn_model_allocate.  A pattern that
 * matches nothing is a fault. */
void nn_model_freeze(
	struct nn_model *m, const struct opt_strings *patterns, const char *pointer, struct faults *faults);
/* Fill parameters from a file of weights, after nn_model_allocate.  SKIP: patterns of names to leave alone.  STRICT:
 * every difference (missing, unexpected, other shape) is a fault that names it; otherwise they are listed in NOTES, and
 * at least one tensor must fit. */
struct safetensors;
bool nn_model_load(struct nn_model *m, const struct safetensors *file, bool strict, const struct opt_strings *skip,
	struct buf *notes, struct faults *faults);
/* The model as Python source: an nn.Module whose state_dict has the names of our weights files.  ABOUT: whole lines
 * about its inputs, for its docstring; any text may stand there. */
void nn_model_pytorch(const struct nn_model *m, const char *about, struct buf *out);

#endif
