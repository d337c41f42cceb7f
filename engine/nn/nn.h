/* Layers, initialisers, losses, optimizers, metrics, and what puts them together: model, program, trainer.
 *
 * Everything a job can name is one block: its options (nn/options.h) and a few functions of ops.  A block never asks
 * for the mode; the program below runs one piece of code step by step (eager) or traces it once and replays it (graph).
 * Names, defaults and meanings are those of torch.nn and torch.optim. */
#ifndef TD_NN_NN_H
#define TD_NN_NN_H

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
};

extern const struct opt_family nn_inits;          /* what an "init" option may choose */
extern const struct nn_init_type nn_bias_uniform; /* torch's rule for biases: uniform within 1/sqrt(fan in) */

/* COUNT elements of the weight NAME in logical row-major order.  Addressed by (SEED, NAME, element). */
void nn_init_fill(const struct nn_init_type *init, const void *options, const struct nn_fans *fans, uint64_t seed,
	const char *name, int64_t count, float *out);

/* ---- Layers ---------------------------------------------------------------------------------------------------- */

#define NN_NAME         96 /* bytes of a dotted name: of a parameter, or of what an optimizer keeps for it */
#define NN_LAYER_PARAMS 2  /* parameters that one layer has at most */

struct nn_param {
	char name[NN_NAME / 2]; /* "0.weight": the layer's position, and the name that torch gives it */
	td_shape shape;
	struct nn_fans fans;
	const struct nn_init_type *init;
	const void *init_options; /* borrowed */
	td_value *value;          /* owned; NULL until nn_model_allocate */
};

struct nn_layer {
	const struct nn_layer_type *type;
	const void *options;              /* borrowed; the type's own struct */
	char name[16];                    /* position in the list: "3" */
	char pointer[40];                 /* "/model/layers/3" */
	td_shape in, out;                 /* for the batch size of nn_model_create */
	int64_t flops;                    /* of one forward pass of that batch */
	int first_param, n_params;        /* its slice of the model's parameters */
	td_value *param[NN_LAYER_PARAMS]; /* borrowed: tensors, or symbols while the model is being built */
};

struct nn_builder; /* the model under construction; model.c */

struct nn_layer_type {
	struct opt_type type; /* first: an opt_choice's type is cast to this */
	/* Declare the parameters that l->in asks for (nn_declare).  False: l->in does not fit, and nn_refuse said why.
	 */
	bool (*build)(struct nn_builder *b, struct nn_layer *l);
	td_value *(*forward)(td_ctx *c, const struct nn_layer *l, td_value *x, bool training);
	double (*flops)(
		const struct nn_layer *l); /* of one forward pass over l->in; NULL: one for each output element */
};

extern const struct opt_family nn_layers;

bool nn_declare(struct nn_builder *b, struct nn_layer *l, const char *name, const td_shape *shape, struct nn_fans fans,
	const struct nn_init_type *init, const void *init_options);
/* A fault of layer L.  Returns false. */
bool nn_refuse(struct nn_builder *b, const struct nn_layer *l, const char *fmt, ...) TD_PRINTF(3, 4);
/* "the data" or "layer 2 (max_pool2d)": where L's input comes from. */
const char *nn_source(struct nn_builder *b, const struct nn_layer *l);

/* ---- The model ------------------------------------------------------------------------------------------------- */

#define NN_LAYERS_MOST 1000
#define NN_ELEMENTS_MOST                                                                                               \
	((int64_t)1 << 40) /* of one value; far above any memory, far below what a multiplication overflows */

struct nn_model {
	struct nn_layer *layers; /* owned */
	struct nn_param *params; /* owned */
	int n_layers, n_params;
	td_shape in, out;
	int64_t n_parameters;     /* elements of all parameters */
	int64_t activation_bytes; /* all layers' outputs for one batch */
	double flops;             /* of one forward pass of one batch */
};

/* Build symbolically: shapes are inferred by the ops' own rules, nothing is allocated for them.  IN is a batch of
 * inputs. NULL: FAULTS says what does not fit, by layer.  LAYERS is borrowed for the model's life. */
struct nn_model *nn_model_create(const struct opt_choices *layers, const td_shape *in, struct faults *faults);
void nn_model_free(struct nn_model *m);
/* Make the parameters and fill them with their initial values.  TD_NO_MEMORY is on C too. */
td_status nn_model_allocate(struct nn_model *m, td_ctx *c, uint64_t seed);
td_value *nn_forward(const struct nn_model *m, td_ctx *c, td_value *x, bool training);

/* ---- Losses, metrics, optimizers ------------------------------------------------------------------------------- */

struct nn_loss_type {
	struct opt_type type;
	/* Does a model with output OUT fit a problem of N_CLASSES?  False: WHY (TD_PRINTF text) says what to change. */
	bool (*check)(const td_shape *out, int n_classes, const char *dataset, struct err *why);
	td_value *(*mean)(td_ctx *c, const void *options, td_value *output, td_value *labels); /* scalar */
	td_value *(*each)(td_ctx *c, const void *options, td_value *output, td_value *labels); /* [N] */
};

extern const struct opt_family nn_losses;

struct nn_metric_type {
	struct opt_type type;
	td_value *(*sum)(
		td_ctx *c, const void *options, td_value *output, td_value *labels); /* scalar, over the batch */
	double (*one)(const void *options, int64_t prediction, int64_t label); /* the same for one evaluated sample */
};

extern const struct opt_family nn_metrics;
#define NN_METRICS_MOST 4

#define NN_STATE_MOST 2 /* tensors that an optimizer keeps for each parameter */

/* What one parameter's update reads and writes.  LR, T (updates so far, this one included) and GATE are float32
 * scalars. */
struct nn_update {
	td_value *param, *grad, *state[NN_STATE_MOST];
	td_value *lr, *t, *gate;
};

/* Every optimizer's options begin with this. */
struct nn_optimizer_options {
	double lr;
};

struct nn_optimizer_type {
	struct opt_type type;
	const char *state_names[NN_STATE_MOST]; /* torch's names of the state, for checkpoints */
	int (*n_state)(const void *options);
	/* What the rows cannot say about the options together; NULL: nothing. */
	void (*check)(const void *options, const char *pointer, struct faults *faults);
	void (*update)(td_ctx *c, const void *options, const struct nn_update *u);
};

extern const struct opt_family nn_optimizers;

/* ---- Program: one piece of code, both modes -------------------------------------------------------------------- */

#define NN_PROGRAM_INPUTS  8
#define NN_PROGRAM_OUTPUTS 8

/* WRITE applies ops to IN and stores results in OUT.  Eager: it is called at every run.  Graph: it is called once, on
 * placeholders, and what it wrote is replayed. */
struct nn_program {
	td_ctx *c; /* borrowed */
	bool graph;
	int n_in, n_out;
	const char *const *in_names;
	void (*write)(td_ctx *c, void *arg, td_value *const *in, td_value **out);
	void *arg;                                /* borrowed */
	td_graph *traced;                         /* owned; graph mode after the first run */
	td_session *session;                      /* owned; likewise */
	td_value *placeholder[NN_PROGRAM_INPUTS]; /* of the graph */
};

/* Inside a step.  OUT is borrowed from the step.  The status is C's sticky error. */
td_status nn_program_run(struct nn_program *p, td_value *const *in, td_value **out);
/* Visit the nodes: what the session runs, or in eager mode what a run does, written down once on the side for inputs
 * like IN. */
td_status nn_program_draw(struct nn_program *p, td_value *const *in, void (*each)(void *arg, const td_node_view *node),
	void *arg, struct err *e);
void nn_program_release(struct nn_program *p);

/* ---- Trainer: a model with its loss, metrics and optimizer ----------------------------------------------------- */

/* What a step tells.  Metric values are sums over the batch. */
struct nn_step_result {
	double loss;      /* mean over the batch */
	double grad_norm; /* Euclidean norm of all gradients together */
	double metric[NN_METRICS_MOST];
};

struct nn_trainer {
	td_ctx *c;                         /* borrowed */
	struct nn_model *model;            /* borrowed; allocated */
	struct opt_choice loss, optimizer; /* options borrowed */
	struct opt_choices metrics;        /* likewise; at most NN_METRICS_MOST */
	int n_state;                       /* of the optimizer, for each parameter */
	td_value **state;                  /* owned; [n_params][n_state], zeros at first */
	td_value *lr, *t, *gate;           /* owned scalars, written before each step */
	td_value **grads;                  /* owned scratch: the gradients, then the parameters that they are of */
	struct nn_program step, evaluation;
};

struct nn_trainer_options {
	td_ctx *c;
	struct nn_model *model;
	struct opt_choice loss, optimizer;
	struct opt_choices metrics;
	bool graph; /* mode */
};

/* NULL: the sticky error of the context says why. */
struct nn_trainer *nn_trainer_create(const struct nn_trainer_options *o);
void nn_trainer_free(struct nn_trainer *t);
/* Step NUMBER (from 1): forward, backward, update.  X is a batch, LABELS int64 [N]. */
td_status nn_trainer_step(
	struct nn_trainer *t, int64_t number, td_value *x, td_value *labels, struct nn_step_result *r);
/* Evaluation mode, no gradients: LOSSES [N], PREDICTIONS [N] (the likeliest class) and PROBABILITIES [N, classes] are
 * filled where they are not NULL; room for N is the caller's. */
td_status nn_trainer_evaluate(
	struct nn_trainer *t, td_value *x, td_value *labels, float *losses, int64_t *predictions, float *probabilities);
/* Name of state I of parameter P: "0.weight.exp_avg". */
void nn_trainer_state_name(const struct nn_trainer *t, int p, int i, char out[NN_NAME]);
td_status nn_trainer_draw(struct nn_trainer *t, td_value *x, td_value *labels,
	void (*each)(void *arg, const td_node_view *node), void *arg, struct err *e);

#endif
