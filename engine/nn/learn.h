/* Learning: losses, metrics, optimizers, schedules, and the trainer, which puts them and a model together.
 *
 * A loss and an optimizer are calls of ops, written once for both modes.  A metric is counted on the host from what the
 * model answered, in the split's order, so it is exact and the same in both modes.  Names, defaults and meanings are
 * those of torch.nn and torch.optim; metrics are scikit-learn's. */
#ifndef TD_NN_LEARN_H
#define TD_NN_LEARN_H

#include "data/data.h"
#include "nn/nn.h"

/* ---- Losses ------------------------------------------------------------------------------------------------------ */

struct nn_loss_type {
	struct opt_type type;
	/* Does a model with output OUT fit the data?  False: WHY says what to change. */
	bool (*check)(const void *options, const td_shape *out, const struct data_facts *facts, struct err *why);
	/* One loss for each target: [N], [N, T] or [N, n]; 0 where the target does not count.  *WEIGHT: what the mean
	 * divides their sum by, a scalar; left alone (NULL), it is their number. */
	td_value *(*each)(td_ctx *c, const void *options, td_value *output, td_value *y, td_value **weight);
	/* What the output says, as people read it: probabilities with the classes on the last axis, or values. */
	td_value *(*answer)(td_ctx *c, const void *options, td_value *output);
	int64_t (*ignores)(const void *options);       /* a label that does not count, besides the data's; NULL: none */
	bool (*of_probabilities)(const void *options); /* the output must be probabilities; NULL: it need not */
};

/* Every loss's common options. */
struct nn_loss_common {
	int reduction; /* enum nn_reduction: what a step's gradients are of */
};

enum nn_reduction { NN_REDUCTION_MEAN, NN_REDUCTION_SUM };

extern const struct opt_family nn_losses;

/* The mean over all targets that count, from what EACH made.  Where none does it is 0, and so are its gradients, as in
 * Keras: torch's is NaN, which one batch of padding alone would spread to all weights. */
td_value *nn_loss_mean(td_ctx *c, td_value *each, td_value *weight);

/* What a step's gradients are of: MEAN, or as LOSS may say, the sum of EACH. */
bool nn_loss_sums(const struct opt_choice *loss);
td_value *nn_loss_objective(td_ctx *c, const struct opt_choice *loss, td_value *each, td_value *mean);

/* Warn of an output of M that LOSS takes for probabilities and that a layer made whose values may be any. */
void nn_loss_look(td_ctx *c, const struct opt_choice *loss, const struct nn_model *m);

/* ---- Metrics ----------------------------------------------------------------------------------------------------- */

#define NN_METRICS_MOST 16
#define NN_METRIC_NAME  48  /* bytes */
#define NN_CURVE_MOST   200 /* points of a curve in a report */

/* Answers and targets of some samples, on the host. */
struct nn_answers {
	int64_t n, steps, width; /* samples; targets of a sample (1, or T); classes, or values of a sample */
	const float *answer;     /* [n, steps, width]; values in the target's own units */
	const float *loss;       /* [n, n_losses]: the loss's EACH; of labels, one for each */
	int64_t n_losses;        /* of a sample */
	const int64_t *label;    /* [n, steps]; DATA_IGNORE does not count; NULL: VALUE or SHARE instead */
	const float *value;      /* [n, width], own units */
	const float *share;      /* [n, width] */
};

/* Target I (of n * steps): its class, of shares the largest; -1 where it does not count. */
int64_t nn_label(const struct nn_answers *a, int64_t i);
/* The class that is answered to target I: the first of the largest; NaN is larger than any number, as in td_argmax. */
int64_t nn_prediction(const struct nn_answers *a, int64_t i);

/* A figure over n counted elements. */
struct nn_figure {
	double sum, sum_squares;
	int64_t n;
};

static inline void nn_figure_add(struct nn_figure *f, double x)
{
	f->sum += x;
	f->sum_squares += x * x;
	f->n++;
}

/* The standard error of its mean: sqrt(variance / n), with the unbiased variance; NaN below two elements. */
double nn_figure_error(const struct nn_figure *f);

struct nn_metric_type {
	struct opt_type type;
	bool (*check)(const void *options, const struct data_facts *facts, struct err *why);
	/* A metric that is a mean over elements: add those of A to F.  OF_MEAN (NULL: itself) makes the value from the
	 * mean: a root, an exponential.  Only these have a series of the training. */
	void (*add_mean)(const void *options, const struct nn_answers *a, struct nn_figure *f);
	double (*of_mean)(double mean);
	double (*slope)(double mean); /* derivative of OF_MEAN: the value's error is that of the mean times this */
	/* A state of its own, over a whole split, for any other, and for a mean whose value over a split says more (the
	 * root of each output alone).  VALUE and ERROR (standard error; NaN where there is none). */
	void *(*create)(const void *options, const struct data_facts *facts);
	void (*add)(void *state, const struct nn_answers *a);
	void (*result)(void *state, double *value, double *error);
	/* For the report, NULL: none: an array of {"class", ..} with arrays of at most NN_CURVE_MOST points each. */
	cJSON *(*curves)(void *state);
	const char *curve; /* what CURVES draw: "pr", "roc" */
	void (*destroy)(void *state);
	/* The series' name where it is not the type's: "top_3". */
	void (*name)(const void *options, char out[NN_METRIC_NAME]);
	bool smaller_is_better;
};

extern const struct opt_family nn_metrics;

/* The series' name of a metric: "accuracy", "top_3", "f1_micro" ("f1" alone is the macro average). */
const char *nn_metric_name(const struct opt_choice *metric, char out[NN_METRIC_NAME]);

/* One metric over one split, whichever kind it is. */
struct nn_meter {
	const struct opt_choice *metric; /* borrowed */
	struct nn_figure figure;
	void *state; /* owned; NULL: FIGURE says it all */
};
void nn_meter_init(struct nn_meter *m, const struct opt_choice *metric, const struct data_facts *facts);
void nn_meter_release(struct nn_meter *m);
void nn_meter_add(struct nn_meter *m, const struct nn_answers *a);
void nn_meter_result(const struct nn_meter *m, double *value, double *error);
/* Value and standard error (either may be NULL) of a metric that is a mean; NaN where F is empty. */
void nn_figure_result(const struct opt_choice *metric, const struct nn_figure *f, double *value, double *error);

/* ---- Optimizers and schedules ---------------------------------------------------------------------------------- */

#define NN_STATE_MOST 3 /* tensors that an optimizer keeps for each parameter */

/* What one parameter's update reads and writes.  LR, T (updates so far, this one included) and GATE are float32
 * scalars. */
struct nn_update {
	td_value *param, *grad, *state[NN_STATE_MOST];
	td_value *lr, *t, *gate;
	td_value *momentum;  /* a scalar that stands for SGD's momentum, Adam's beta1; NULL: they are the option's */
	int group;           /* of the parameter; -1: none */
	double weight_decay; /* the group's */
};

/* One group of parameters with settings of its own: "groups" of the optimizer.  The first that matches a name has it.
 */
struct nn_group {
	struct opt_strings params; /* shell patterns over names */
	double lr, weight_decay;   /* negative: the optimizer's */
	bool adamw;                /* of muon: these are AdamW's */
};

enum nn_optimizer_form { NN_FORM_PYTORCH, NN_FORM_KERAS };

/* Every optimizer's options begin with this. */
struct nn_optimizer_options {
	double lr, weight_decay;
	int form;                   /* enum nn_optimizer_form: whose formula, where they differ */
	struct opt_sections groups; /* of struct nn_group */
};

struct nn_optimizer_type {
	struct opt_type type;
	/* Of a parameter in GROUP: tensors of state, and their names, torch's, for checkpoints. */
	int (*n_state)(const void *options, int group);
	const char *(*state_name)(const void *options, int group, int k);
	double (*state_start)(const void *options); /* what they are filled with before the first update; NULL: 0 */
	/* Whether a parameter of SHAPE in GROUP can be updated; NULL: any. */
	bool (*takes)(const void *options, int group, const td_shape *shape);
	/* What the rows cannot say about the options together; NULL: nothing. */
	void (*check)(const void *options, const char *pointer, struct faults *faults);
	bool (*takes_momentum)(const void *options); /* of an update; NULL: it does not */
	void (*update)(td_ctx *c, const void *options, const struct nn_update *u);
};

extern const struct opt_family nn_optimizers;

/* The group that has parameter NAME, or -1: none. */
int nn_optimizer_group(const void *options, const char *name);
/* Learning rate and weight decay of group G (-1: the optimizer's own). */
double nn_group_lr(const void *options, int g);
double nn_group_weight_decay(const void *options, int g);
bool nn_group_adamw(const void *options, int g);
/* The most tensors of state that a parameter has. */
int nn_optimizer_states(const struct nn_optimizer_type *type, const void *options);
/* Faults below POINTER (the optimizer's): a pattern of a group that matches no parameter of M, a parameter that the
 * optimizer does not take. */
void nn_optimizer_check_model(
	const struct opt_choice *optimizer, const struct nn_model *m, const char *pointer, struct faults *faults);

/* tf.train.Optimizer.minimize, for a graph G that C traces: an operation that updates the trainable variables of SCOPE
 * (NULL: all) that LOSS depends on.  What must run before it stands around the call (td_control_begin).  What the
 * optimizer keeps is in variables of G in the scope NAME: "adam.fc.kernel.exp_avg", and the updates so far in
 * "adam.step".  FACTOR, a float32 scalar, multiplies every learning rate; NULL: 1. */
td_node *nn_minimise(td_ctx *c, td_graph *g, const char *name, const struct opt_choice *optimizer, td_value *loss,
	const char *scope, td_value *factor);

/* A schedule gives the factor of every learning rate for a step (from 1) of N_STEPS, N_EPOCH of an epoch.  Pure; what a
 * plateau remembers is kept by the caller, in the checkpoint. */
struct nn_plateau {
	double best;   /* of the watched series; NaN: none yet */
	int64_t bad;   /* validations since without improvement */
	double factor; /* so far */
};
#define NN_PLATEAU_START ((struct nn_plateau){ .best = NAN, .factor = 1 })

/* What every schedule has: a linear rise at the start ("common" of the family). */
struct nn_warmup {
	int64_t steps; /* 0: none */
	double factor; /* of the first step */
};

struct nn_schedule_type {
	struct opt_type type;
	/* NULL: what OBSERVE has made of it. */
	double (*factor)(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps);
	/* The momentum of a step; NULL, or below 0: it is the optimizer's own. */
	double (*momentum)(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps);
	/* Decays to the end from where the warm-up ended: its steps count from there. */
	bool after_warmup;
	/* After a validation gave VALUE of the series that OPTIONS watch; NULL: the schedule does not look. */
	void (*observe)(const void *options, struct nn_plateau *p, double value, bool smaller_is_better);
	const char *(*watches)(const void *options); /* "val/loss"; NULL with OBSERVE */
	/* What the rows cannot say about the options together; NULL: nothing. */
	void (*check)(const void *options, const char *pointer, struct faults *faults);
};

extern const struct opt_family nn_schedules;
/* Warm-up included; SCHEDULE->type NULL: 1. */
double nn_schedule_factor(
	const struct opt_choice *schedule, const struct nn_plateau *p, int64_t step, int64_t n_epoch, int64_t n_steps);

/* The momentum of a step; below 0: it is the optimizer's own, and that at every step. */
double nn_schedule_momentum(const struct opt_choice *schedule, int64_t step, int64_t n_epoch, int64_t n_steps);
/* A fault at POINTER (the schedule's): it moves a momentum that OPTIMIZER does not have. */
void nn_schedule_check_optimizer(const struct opt_choice *schedule, const struct opt_choice *optimizer,
	const char *pointer, struct faults *faults);

/* ---- Program: one piece of code, both modes -------------------------------------------------------------------- */

#define NN_PROGRAM_INPUTS  12
#define NN_PROGRAM_OUTPUTS 8

/* WRITE applies ops to IN and stores results in OUT.  Eager: it is called at every run.  Graph: it is called once, on
 * placeholders, and what it wrote is replayed.  An output that it leaves alone stays NULL. */
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
	int fetch_at[NN_PROGRAM_OUTPUTS]; /* place of each output among what the session fetches; -1: not written */
};

/* Inside a step.  OUT is borrowed from the step.  An input is NULL at every run or at none.  The status is C's sticky
 * error. */
td_status nn_program_run(struct nn_program *p, td_value *const *in, td_value **out);
/* Visit the nodes: what the session runs, or in eager mode what a run does, written down once on the side for inputs
 * like IN. */
td_status nn_program_draw(struct nn_program *p, td_value *const *in, void (*each)(void *arg, const td_node_view *node),
	void *arg, struct err *e);
void nn_program_release(struct nn_program *p);

/* ---- Trainer: a model with its loss and optimizer -------------------------------------------------------------- */

/* A batch as tensors; LENGTHS NULL where there are none. */
struct nn_batch {
	td_value *x, *y, *lengths;
};

/* What a step tells. */
struct nn_step_result {
	double loss;      /* mean over the targets that count, of all its batches */
	int64_t n;        /* how many those are */
	double grad_norm; /* Euclidean norm of all gradients together, before clipping */
};

struct nn_trainer_options {
	td_ctx *c;
	struct nn_model *model;            /* borrowed; allocated */
	struct opt_choice loss, optimizer; /* options borrowed */
	const struct data_facts *facts;    /* borrowed */
	double clip_norm;                  /* 0: none */
	double clip_value;                 /* 0: none; after CLIP_NORM */
	double ema_decay;                  /* averages of the weights are kept, and evaluated; 0: none */
	int64_t accumulate;                /* batches of a step, at most; 0 or 1: no accumulation */
	bool moves_momentum;               /* steps say what it is */
	bool graph;                        /* mode */
};

/* A step written down on symbols before anything is allocated.  WARN (NULL: nobody listens) is told what is probably not
 * meant. */
struct nn_rehearsal {
	struct nn_model *model; /* not allocated yet */
	const struct opt_choice *loss;
	const struct data_facts *facts;
	bool graph; /* mode */
	td_warning_fn *warn;
	void *arg;
	size_t n_bytes; /* out: what the values and scratch of a step take, gradients included, parameters not */
};

/* E has what does not fit, where a check of shapes has not seen it. */
td_status nn_rehearse(struct nn_rehearsal *r, struct err *e);

struct nn_trainer;

/* What a trainer calls its own parts of a step, where a model's ops have their layer's name. */
enum nn_part {
	NN_PART_LOSS,
	NN_PART_METRICS,
	NN_PART_ACCUMULATION,
	NN_PART_CLIPPING,
	NN_PART_OPTIMIZER,
	NN_PART_EMA,
	NN_PARTS
};
extern const char *const nn_parts[NN_PARTS];
#define NN_SUM "sum." /* how the names of its sums of gradients begin, which no checkpoint has */

/* NULL: the sticky error of the context says why. */
struct nn_trainer *nn_trainer_create(const struct nn_trainer_options *o);
void nn_trainer_free(struct nn_trainer *t);

/* Step NUMBER (from 1): forward and backward for each of the N_BATCHES (1..accumulate; each is weighted by its
 * targets), clipping, update with every learning rate times FACTOR. */
struct nn_step {
	int64_t number;
	double factor, momentum; /* MOMENTUM only where the trainer's moves */
	int n_batches;
	/* Fill batch I, just before it is used.  False: give up.  The step has then changed no parameter, but the
	 * batches before this one have moved running means: nothing should be saved any more. */
	bool (*next)(void *arg, int i, struct nn_batch *batch);
	/* NULL: nobody wants them.  Else what the model answered to batch I, row-major, valid during the call. */
	void (*answered)(void *arg, int i, const float *answer, const float *each);
	void *arg;
};
/* Where the loss or the gradient norm is not finite, R says so and the update has not happened.
 * TD_CANCELLED: NEXT gave up.  Any other failure is on the context as well. */
td_status nn_trainer_step(struct nn_trainer *t, const struct nn_step *step, struct nn_step_result *r);
/* The mode of what follows.  What was traced before is kept. */
void nn_trainer_set_mode(struct nn_trainer *t, bool graph);
/* Evaluation mode, no gradients: EACH (a loss for each target) and ANSWER (see nn_loss_type) in row-major order, where
 * they are not NULL; room is the caller's. */
td_status nn_trainer_evaluate(struct nn_trainer *t, const struct nn_batch *batch, float *each, float *answer);
/* What the mean of the last evaluation's losses divides their sum by, where classes have weights; 0: it is their
 * number. */
double nn_trainer_evaluated_weight(const struct nn_trainer *t);
/* Shape of ANSWER and EACH for N samples as long as those that the model was built for. */
void nn_trainer_answer_shape(const struct nn_trainer *t, int64_t n, td_shape *answer, td_shape *each);

/* All that changes while training, for checkpoints: parameters and buffers ("model.0.weight"), their averages
 * ("ema.0.weight"), and what the optimizer keeps for each parameter that it updates ("optimizer.0.weight.exp_avg").
 * NAME is valid during the call. */
void nn_trainer_tensors(struct nn_trainer *t, void (*each)(void *arg, const char *name, td_value *v), void *arg);
/* What evaluations use as the model's parameter P: its average where there is one.  Borrowed. */
td_value *nn_trainer_weight(const struct nn_trainer *t, int p);
/* Keep the gradients of the steps from here on (or no more), for histograms; no bit of the training depends on it. */
td_status nn_trainer_keep_gradients(struct nn_trainer *t, bool on);
/* The last step's gradient of the model's parameter P, before clipping, row-major.  TD_NOT_FOUND: it had none, or none
 * was kept. */
td_status nn_trainer_gradient(struct nn_trainer *t, int p, float *out);
td_status nn_trainer_draw(struct nn_trainer *t, const struct nn_batch *batch,
	void (*each)(void *arg, const td_node_view *node), void *arg, struct err *e);

#endif
