/* Tandem's engine: tensors, ops, automatic differentiation, graphs.
 *
 * The one header that other folders include.  The mental model:
 *
 *   A value has a shape.  A value with storage is a tensor; a value without is a symbol.  An op applied to values gives
 *   values.  Whether it runs now (eager) or is only written down (graph) is the context's mode, which td_apply alone
 * looks at; everything above and below it is written once for both.
 *
 *	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 2, .seed = 7 });
 *	td_step_begin(c);
 *	td_value *y = td_linear(c, x, w, b);                  // runs now
 *	td_backward(c, td_cross_entropy(c, y, labels));       // w and b have .grad now
 *	if (td_error(c)->status) ...                          // once, for all of the above
 *	td_step_end(c);                                       // whatever the step made is gone, unless it was td_ref'ed
 *
 *	td_graph *g = td_graph_create();
 *	td_trace_begin(c, g);                                 // from here on the same calls write into g ...
 *	... the same step, on td_placeholder's instead of tensors ...
 *	td_trace_end(c);
 *	td_session *s = td_session_create(c, g, fetches, n);  // ... and this replays them: planned, allocated once,
 *	td_session_run(s, c, feeds, n_feeds, results);        // without any dispatch
 *
 * Errors are sticky: the first one stays on the context, and every later builder returns NULL at once, so nested calls
 * need one check at their end.  Every builder accepts NULL inputs (an earlier failure) and returns NULL for them.
 *
 * Ownership: a value that a builder returned is borrowed from its context until the step (or the trace's graph) ends;
 * td_ref keeps a tensor longer.  Tensors made by td_tensor and td_scalar belong to the caller (td_unref).
 *
 * Numbers: a job's bits depend on its seed and its shapes only, never on the mode or the number of threads. */
#ifndef TD_TD_H
#define TD_TD_H

#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

#define TD_MAX_RANK 6

typedef enum td_dtype { TD_F32, TD_F64, TD_I32, TD_I64, TD_U8, TD_BOOL, TD_N_DTYPES } td_dtype;

size_t td_dtype_size(td_dtype d);      /* bytes of one element */
const char *td_dtype_name(td_dtype d); /* "float32", ... */

/* Where the elements of a value lie.  Shapes are logical, [N, C, H, W] for images; the order says how they lie in
 * memory. TD_CHANNELS_LAST moves axis 1 to the end; it exists for rank 3 and more. */
typedef enum td_order { TD_ROW_MAJOR, TD_CHANNELS_LAST } td_order;

typedef struct td_shape {
	td_dtype dtype;
	td_order order;
	int rank;                 /* 0: a scalar */
	int64_t dim[TD_MAX_RANK]; /* logical sizes; may be 0 */
} td_shape;

#define TD_SHAPE_TEXT 96

/* A row-major shape.  td_shape_make(TD_F32, 2, 64, 10) */
td_shape td_shape_make(td_dtype dtype, int rank, ...);
int64_t td_shape_count(const td_shape *s); /* elements */
size_t td_shape_bytes(const td_shape *s);
bool td_shape_same(const td_shape *a, const td_shape *b);               /* type and sizes; order does not matter */
void td_shape_strides(const td_shape *s, int64_t strides[TD_MAX_RANK]); /* in elements, per logical axis */
const char *td_shape_text(const td_shape *s, char out[TD_SHAPE_TEXT]);  /* "float32[64, 10]" */

typedef struct td_ctx td_ctx;
typedef struct td_value td_value;
typedef struct td_node td_node;
typedef struct td_graph td_graph;
typedef struct td_session td_session;

/* ---- Context ----------------------------------------------------------------------------------------------------- */

typedef struct td_ctx_options {
	int threads; /* 0 means 1 */
	uint64_t seed;
} td_ctx_options;

/* What the context did, so that a job's record can show which mode really ran. */
typedef struct td_counters {
	int64_t dispatched;             /* ops that td_apply ran (eager) */
	int64_t recorded;               /* ops that td_apply wrote into a graph */
	int64_t replayed;               /* ops that sessions ran */
	int64_t plans;                  /* plans built */
	int64_t bindings;               /* sets of sizes for which a plan was laid out */
	int64_t arena_bytes;            /* largest arena of any run */
	int64_t live_bytes, peak_bytes; /* eager storage now, and at most */
} td_counters;

td_ctx *td_ctx_create(const td_ctx_options *options);
void td_ctx_free(td_ctx *c); /* frees the values that its steps still hold; graphs and sessions go first */
const struct err *td_error(const td_ctx *c); /* status TD_OK: none */
void td_error_clear(td_ctx *c);
/* Set the sticky error.  Returns NULL, so that a builder can return it. */
td_value *td_fail(td_ctx *c, td_status s, const char *fmt, ...) TD_PRINTF(3, 4);
td_counters td_ctx_counters(const td_ctx *c);
/* "avx2 openblas-0.3.21-Zen tandem-0.1.0": equal text, equal bits. */
const char *td_fingerprint(void);

/* A step: the unit of randomness and of memory.  Random ops are addressed by (seed, position in the step, step,
 * element). */
void td_step_begin(td_ctx *c);             /* advances the step by one */
void td_step_end(td_ctx *c);               /* releases the values that the step made */
void td_step_set(td_ctx *c, int64_t step); /* the next td_step_begin makes it STEP + 1; for resuming */

/* Names for errors and drawings: values and nodes made between push and pop belong to "outer.NAME".  A context knows at
 * most TD_LAYERS_MOST such paths; the next new one is an error. */
#define TD_LAYERS_MOST 65536
void td_name_push(td_ctx *c, const char *name);
void td_name_pop(td_ctx *c);

/* Gradients are recorded unless switched off; calls nest. */
void td_no_grad_begin(td_ctx *c);
void td_no_grad_end(td_ctx *c);

/* Watching what runs: FN is told of every op after eager mode has run it, of every gradient when it is complete, and of
 * the end of each step.  What an event points to is borrowed for the call, and FN may read it but apply no op. */
typedef struct td_event {
	enum { TD_EVENT_OP, TD_EVENT_GRADIENT, TD_EVENT_STEP_END } kind;
	const char *op, *layer; /* of an op */
	bool backward;          /* likewise; it is part of a gradient rule */
	td_value *const *in;    /* of an op its inputs, NULL where one was left out; of a gradient the value it is of */
	int n_in;
	uint32_t written;     /* of an op: bit i, it has changed input i in place */
	td_value *const *out; /* of an op its outputs; of a gradient the gradient */
	int n_out;
} td_event;
typedef void td_observer(void *arg, const td_event *event);
void td_observe(td_ctx *c, td_observer *fn, void *arg); /* FN NULL: nobody watches any more */

/* Warnings: what is allowed and probably not meant, told once for each code and layer, and at most TD_WARNINGS_MOST in
 * all.  FN must not apply ops. */
#define TD_WARNINGS_MOST 1000
typedef struct td_warning {
	const char *code;  /* "broadcast", "double_softmax", "double_sigmoid", "nll_of_softmax", "training_mode",
			    * "accumulated", "unused", "same_order"; nn: "logits_as_probabilities" */
	const char *layer; /* that it is about; "" outside of any */
	const char *text;  /* a sentence with the fix */
} td_warning;
typedef void td_warning_fn(void *arg, const td_warning *w);
void td_on_warning(td_ctx *c, td_warning_fn *fn, void *arg); /* FN NULL: nobody listens, and nobody looks */
void td_warn(td_ctx *c, const char *code, const char *fmt, ...) TD_PRINTF(3, 4);
/* The N samples of the next epoch, shuffled, in the order in which they will be seen. */
void td_note_order(td_ctx *c, const int64_t *order, int64_t n);
/* Gradients are meant to add up over several steps: no warning about it. */
void td_accumulate(td_ctx *c, bool meant);

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* A tensor of SHAPE; DATA are its elements in logical row-major order, or NULL for zeros.  The caller's (td_unref),
 * also inside a step.  NULL and a sticky error when there is no memory. */
td_value *td_tensor(td_ctx *c, const td_shape *shape, const void *data);
/* A scalar of a floating type.  The caller's. */
td_value *td_scalar(td_ctx *c, td_dtype dtype, double v);
td_value *td_ref(td_value *v); /* returns V */
void td_unref(td_value *v);    /* NULL is fine; a graph's symbols ignore both */

const td_shape *td_shape_of(const td_value *v);
void *td_data(td_value *v);                   /* in V's own order; NULL for a symbol */
void td_read(const td_value *v, void *out);   /* all elements in logical row-major order */
void td_write(td_value *v, const void *data); /* the reverse */
double td_item(const td_value *v);            /* the one element of a tensor, as a double */

void td_set_name(td_value *v, const char *name); /* copied; shown in errors and drawings */
const char *td_name_of(const td_value *v);       /* never NULL */
/* Whether a walk gives V a gradient.  V is a floating leaf: a result wants one where something it is made from does. */
void td_require_grad(td_ctx *c, td_value *v, bool on);
td_value *td_grad_of(const td_value *v); /* .grad, borrowed, or NULL */

/* ---- Automatic differentiation ----------------------------------------------------------------------------------- */

/* A walk back uses its part of the tape up, as in torch: who wants to walk there again says so at the first walk.  What
 * a walk computes is not recorded itself unless it is asked for. */
enum td_walk {
	TD_RETAIN_GRAPH = 1,
	TD_CREATE_GRAPH = 2, /* gradients can be differentiated again; keeps the tape, too */
};

/* Accumulate d(loss)/d(leaf) into .grad of every leaf that wants a gradient; there must be one.  LOSS is a scalar. */
void td_backward(td_ctx *c, td_value *loss);
/* The same from several OUTPUTS of any shape, each weighted by its seed; SEEDS, or one of them, NULL: ones, for scalars
 * only.  FLAGS: enum td_walk. */
void td_backward_from(td_ctx *c, td_value *const *outputs, td_value *const *seeds, int n_outputs, unsigned flags);
/* .grad of the N VALUES becomes NULL, or zeros (torch's set_to_none=False). */
enum td_zero { TD_ZERO_NONE, TD_ZERO_FILL };
void td_zero_grad(td_ctx *c, td_value *const *values, int n, enum td_zero how);
/* GRADS[i] = sum over outputs of seed * d(output)/d(inputs[i]); NULL where there is no dependence.  SEEDS NULL: ones.
 * Nothing is accumulated.  INPUTS may be leaves or results.  A graph's placeholders, variables and results have
 * gradients whether they want one or not, as in TensorFlow 1; no other gradient is recorded for that. */
void td_gradients(td_ctx *c, td_value *const *outputs, td_value *const *seeds, int n_outputs, td_value *const *inputs,
	int n_inputs, unsigned flags, td_value **grads);

/* SEE is called with the gradient of V (which wants one) whenever a walk has completed it, and may return another one
 * of the same shape in its place; NULL: leave it.  In graph mode it is called while tracing.  Hooks are called in the
 * order in which they were added, and go with V. */
typedef td_value *td_hook_fn(td_ctx *c, void *arg, td_value *grad);
void td_hook_add(td_ctx *c, td_value *v, td_hook_fn *see, void *arg);

/* A function with a gradient rule of its own (torch.autograd.Function), both made of ops.  FORWARD is not recorded;
 * BACKWARD fills DX[i] from inputs, result and its gradient; NULL: zero. */
typedef struct td_custom {
	const char *name; /* for errors and drawings; outlives the results */
	td_value *(*forward)(td_ctx *c, void *arg, td_value *const *in, int n_in);
	void (*backward)(td_ctx *c, void *arg, td_value *const *in, int n_in, td_value *y, td_value *dy, td_value **dx);
	void *arg; /* borrowed; outlives the results */
} td_custom;
#define TD_CUSTOM_MOST_IN 15
td_value *td_custom_call(td_ctx *c, const td_custom *f, td_value *const *in, int n_in);

/* TensorFlow's gradient tape.  While it is open, what depends on a watched value, or on a leaf that requires a
 * gradient, can be differentiated; .grad is not touched, so there is nothing to zero.  Tapes nest: what an inner one
 * computes is recorded for the outer one. */
typedef struct td_tape td_tape;
td_tape *td_tape_open(td_ctx *c, bool persistent); /* not PERSISTENT: gives gradients once */
void td_tape_watch(td_tape *t, td_value *v);       /* from here on; a floating value */
void td_tape_stop(td_tape *t);                     /* record nothing ... */
void td_tape_resume(td_tape *t);                   /* ... until here */
/* See td_gradients. */
void td_tape_gradient(td_tape *t, td_value *target, td_value *const *sources, int n_sources, td_value **grads);
void td_tape_close(td_tape *t); /* what was watched for it is as before */

/* ---- Graphs and sessions ----------------------------------------------------------------------------------------- */

td_graph *td_graph_create(void);
void td_graph_free(td_graph *g);             /* after every session on it */
void td_trace_begin(td_ctx *c, td_graph *g); /* graph mode from here on; a graph that was traced before grows */
void td_trace_end(td_ctx *c);                /* eager again; .grad of captured tensors is dropped */
void td_graph_finalise(td_graph *g);         /* whatever is added from here on is refused (TD_CONFLICT) */

/* In a placeholder's shape: a size that may differ from run to run.  N stands for it while the graph is recorded. */
#define TD_UNKNOWN(n) (-1 - (n))
/* An input of the graph, to be fed with exactly SHAPE but for unknown sizes. */
td_value *td_placeholder(td_ctx *c, const char *name, const td_shape *shape);

/* What a value is called: "fc.linear:0" is output 0 (which may be left out) of a node of op "linear" in layer "fc", the
 * second such is "fc.linear_1"; placeholders and variables have their own names.  NULL: there is none. */
td_value *td_graph_find(td_graph *g, const char *name);
td_node *td_graph_find_operation(td_graph *g, const char *name);
const char *td_graph_name_of(td_graph *g, const td_value *v); /* of a value of G; valid until G is freed */

/* A value, an operation (which runs and has no result), or a list of these: what is fetched, and what is waited for. */
typedef struct td_fetch {
	td_value *value;
	td_node *operation;
	struct td_fetch *list;
	int n;
	td_value *result; /* of a value, set by td_session_fetch: a new tensor, borrowed from the step */
} td_fetch;

#define TD_VALUE(v)     ((td_fetch){ .value = (v) })
#define TD_OPERATION(o) ((td_fetch){ .operation = (o) })
#define TD_LIST(...)                                                                                                   \
	((td_fetch){ .list = (td_fetch[]){ __VA_ARGS__ },                                                              \
		.n = (int)(sizeof((td_fetch[]){ __VA_ARGS__ }) / sizeof(td_fetch)) })
#define TD_FETCH_DEPTH_MOST 16 /* lists in lists */

/* Operations are what a graph has and eager mode needs not: these functions return NULL there and do nothing. */

/* What is recorded until the end runs after BEFORE, and never without.  Calls nest. */
void td_control_begin(td_ctx *c, const td_fetch *before, int n);
void td_control_end(td_ctx *c);
/* An operation that is done when all ITEMS are; with none, one that does nothing. */
td_node *td_group(td_ctx *c, const char *name, const td_fetch *items, int n);
/* A group of everything with an effect (assignments, updates) that was recorded in between.  Calls nest. */
void td_group_begin(td_ctx *c);
td_node *td_group_end(td_ctx *c, const char *name);
/* What was recorded last. */
td_node *td_last_operation(const td_ctx *c);

/* Collections: lists by name, as TensorFlow's. */
#define TD_UPDATES "updates" /* batch norms and others that compute and write: they come here by themselves */
void td_collect(td_ctx *c, const char *collection, td_fetch item); /* a value or an operation */
/* Valid until the graph grows. */
const td_fetch *td_collection(const td_graph *g, const char *collection, int *n);

/* ---- Variables of a graph ---------------------------------------------------------------------------------------- */

/* How a variable begins: a constant A; uniform from A to B; normal with mean A and deviation B, cut off and drawn again
 * beyond two deviations where truncated.  With a fan (inputs [out, in, ...] of one output, outputs of one input, their
 * mean) B is a scale as in Keras' VarianceScaling, and A does not count: the variance is B / fan. */
enum td_init_kind { TD_INIT_CONSTANT, TD_INIT_UNIFORM, TD_INIT_NORMAL, TD_INIT_TRUNCATED, TD_N_INIT_KINDS };
enum td_fan { TD_FAN_NONE, TD_FAN_IN, TD_FAN_OUT, TD_FAN_AVERAGE, TD_N_FANS };
typedef struct td_init {
	enum td_init_kind kind;
	enum td_fan fan;
	double a, b;
} td_init;

#define TD_ZEROS             ((td_init){ TD_INIT_CONSTANT, TD_FAN_NONE, 0, 0 })
#define TD_ONES              ((td_init){ TD_INIT_CONSTANT, TD_FAN_NONE, 1, 0 })
#define TD_NORMAL(mean, std) ((td_init){ TD_INIT_NORMAL, TD_FAN_NONE, mean, std })
#define TD_UNIFORM(low, end) ((td_init){ TD_INIT_UNIFORM, TD_FAN_NONE, low, end })
#define TD_GLOROT_UNIFORM    ((td_init){ TD_INIT_UNIFORM, TD_FAN_AVERAGE, 0, 1 }) /* of tf.get_variable */
#define TD_HE_NORMAL         ((td_init){ TD_INIT_TRUNCATED, TD_FAN_IN, 0, 2 })

/* A layer path (td_name_push) with a rule about the variables in it.  Once a scope reuses, all within do. */
enum td_reuse {
	TD_REUSE_INHERIT, /* of the scope outside; outermost: every name is new */
	TD_REUSE_AUTO,    /* the variable of that name if there is one */
	TD_REUSE_ALWAYS,  /* there must be one */
};
void td_scope_begin(td_ctx *c, const char *name, enum td_reuse reuse);
void td_scope_end(td_ctx *c);

/* The variable NAME of the present scope, a symbol of the graph that is traced; its elements live as long as the graph,
 * whichever session writes them, and reading them before anything did is an error.  INIT NULL: glorot_uniform. */
td_value *td_get_variable(td_ctx *c, const char *name, const td_shape *shape, const td_init *init, bool trainable);
/* The tensor that holds its elements, for td_read and td_write; borrowed. */
td_value *td_variable_tensor(const td_value *variable);
/* Whether it has a value: an initialisation, an assignment or td_write gave it one. */
bool td_variable_has_value(const td_value *variable);
/* Those within SCOPE (NULL: all), in order of creation.  Returns how many there are; the first MOST of
 * them are in OUT. */
enum td_which { TD_TRAINABLE = 1, TD_NOT_TRAINABLE = 2, TD_GLOBAL = 3 };
int td_variables(const td_graph *g, const char *scope, enum td_which which, td_value **out, int most);
/* An operation that gives all variables made so far their initial values; a draw is addressed by the seed and the
 * variable's name. */
td_node *td_initialise_variables(td_ctx *c);

/* VARIABLE += (-=) DELTA.  Returns VARIABLE as td_assign does: in a graph a view of it that is there once the
 * assignment has run, so that who waits for it, fetches it or reads on from it assigns. */
td_value *td_assign_add(td_ctx *c, td_value *variable, td_value *delta);
td_value *td_assign_sub(td_ctx *c, td_value *variable, td_value *delta);

/* ---- Graphs as text ---------------------------------------------------------------------------------------------- */

struct buf;

/* Append G to OUT as JSON that people can read; the elements of variables are not part of it (see
 * io/io.h for files of tensors).  Branches and loops are saved with the functions that they run; what those read of the
 * outside becomes a variable of G.  TD_UNSUPPORTED names a custom function, which is code and cannot be saved. */
td_status td_graph_save(td_graph *g, struct buf *out, struct err *e);
/* The reverse.  The text may be hostile: what it says is checked as what a program says, and its variables take at most
 * VARIABLE_BYTES_MOST; they must be written before they are read.  NULL: C has the error, with the place in the text.
 */
#define TD_GRAPH_TEXT_MOST (64 << 20) /* bytes */
td_graph *td_graph_load(td_ctx *c, const char *text, size_t length, int64_t variable_bytes_most);

/* ---- Sessions ---------------------------------------------------------------------------------------------------- */

/* A program that computes FETCHES and every recorded effect (assignments, updates).  Passes run once, at the first run.
 * NULL and the sticky error of C on failure. */
td_session *td_session_create(td_ctx *c, td_graph *g, td_value *const *fetches, int n_fetches);
/* TensorFlow's session: each run says what it fetches, and only what that needs runs.  FLAGS: td_session_flags. */
td_session *td_session_open(td_ctx *c, td_graph *g, unsigned flags);
void td_session_free(td_session *s);

/* PLACEHOLDER may be any value of the graph: what makes it does not run for it. */
typedef struct td_feed {
	td_value *placeholder;
	td_value *tensor;
} td_feed;

/* Run once.  RESULTS[i] is a new tensor that holds fetch i, borrowed from the step.  Effects have happened on return.
 * Layouts for up to TD_BINDINGS_MOST sets of feed sizes are kept; the least recently used goes first. */
#define TD_BINDINGS_MOST 8
td_status td_session_run(td_session *s, td_ctx *c, const td_feed *feeds, int n_feeds, td_value **results);
/* The same for a session that is open to any fetches.  Operations run in the order in which they were recorded.  Plans
 * for up to TD_PLANS_MOST sets of fetches and feeds are kept, likewise. */
#define TD_PLANS_MOST 16
td_status td_session_fetch(
	td_session *s, td_ctx *c, td_fetch *fetches, int n_fetches, const td_feed *feeds, int n_feeds);

/* Switches for tests and for the record; all off by default. */
typedef enum td_session_flags {
	TD_SESSION_UNOPTIMISED = 1, /* no pass runs, nothing is overwritten in place, every value has its own place */
	TD_SESSION_PARANOID = 2,    /* fill what is dead with NaN, verify after each pass */
	TD_SESSION_NEEDED = 4,      /* of a fixed set of fetches, too: effects that no fetch needs do not run */
} td_session_flags;
void td_session_set_flags(td_session *s, unsigned flags); /* before the first run */
/* Bytes of the arena that a run takes where S was made for its fetches and every placeholder is fed what it was declared
 * with (unknown sizes: their examples).  Nothing is allocated.  Unoptimised it is what the same step takes eagerly,
 * because a step holds all its values to its end.  0: C has the error. */
size_t td_session_arena(td_session *s, td_ctx *c);

/* The graph for drawing: calls EACH for every node of the last run, in order; before the first run, for every node that
 * was recorded.  Strings and arrays are borrowed for the duration of the call.  Inputs are ids of earlier nodes; captured
 * tensors and placeholders come first, with op NULL. */
typedef struct td_node_view {
	int id;
	const char *op;   /* NULL: an input of the graph */
	const char *name; /* of the input, or of the layer that made the node ("layers.0") */
	td_shape shape;   /* of the first output */
	const int *inputs;
	int n_inputs;
	bool backward; /* made by a gradient rule */
} td_node_view;
void td_session_each_node(const td_session *s, void (*each)(void *arg, const td_node_view *node), void *arg);
/* The nodes that were recorded and that no run of the session so far has needed. */
void td_session_each_unused(const td_session *s, void (*each)(void *arg, const td_node_view *node), void *arg);
/* The same for everything that was recorded, session or not. */
void td_graph_each_node(const td_graph *g, void (*each)(void *arg, const td_node_view *node), void *arg);

/* ---- Functions: traced once for each kind of input, then replayed ------------------------------------------------ */

/* What a function computes: OUT from IN, by ops.  It may be called at any time in either mode and always writes the
 * same ops for inputs of the same kind. */
typedef void td_body(td_ctx *c, void *arg, td_value *const *in, td_value **out);

/* TensorFlow's tf.function.  A trace is kept for each signature: types, ranks, sizes and orders of the inputs, whether
 * gradients are recorded, and, where the body draws random numbers, the place in the step at which it begins. */
typedef struct td_function td_function;

#define TD_TRACES_MOST 8 /* kept for one function; the least recently used goes first */

enum td_function_flags {
	TD_ANY_SIZE = 1,       /* sizes are no part of the signature: the body does not look at them */
	TD_DIFFERENTIABLE = 2, /* results can be differentiated by whoever calls */
};

typedef struct td_function_stats {
	int64_t calls, traces;
	int64_t replayed; /* calls that a trace answered */
	int64_t inlined;  /* calls that ran op by op: inside a trace, or because a gradient of the result was wanted */
	const char *reason; /* of the last trace after the first, or of the last inlining: a sentence; never NULL */
} td_function_stats;

/* NAME is copied; ARG is borrowed.  At most TD_FUNCTION_MOST inputs and results. */
#define TD_FUNCTION_MOST 7
td_function *td_function_create(
	const char *name, td_body *body, void *arg, int n_in, int n_out, unsigned flags /* td_function_flags */);
void td_function_free(td_function *f); /* after everything that was recorded with it */
/* OUT is borrowed from the step.  Without TD_DIFFERENTIABLE, and while no tape is open, results are constants for
 * whoever differentiates them outside; with either the body runs op by op, because a trace keeps nothing for a
 * gradient. */
td_status td_function_call(td_ctx *c, td_function *f, td_value *const *in, td_value **out);
td_function_stats td_function_counts(const td_function *f);

/* OUT = THEN(IN) where PREDICATE (a scalar, not 0) says so, else OTHERWISE(IN); only one of them runs.  Both give
 * results of the same types and sizes.  Their bodies see nothing but IN and constants, draw no random numbers and write
 * to nothing (what trains or evaluates as a value says: td_batch_norm_switched, and td_where around a dropout).
 * Differentiable, again and again, by IN. */
td_status td_cond(td_ctx *c, td_value *predicate, td_function *then, td_function *otherwise, td_value *const *in,
	int n_in, td_value **out);
/* While TEST(vars, constants) is not 0: vars = BODY(vars, constants).  What changes keeps its type and sizes; OUT
 * receives it at the end.  MOST bounds the rounds: one more is an error.  Differentiable once, by vars and constants;
 * what the gradient needs of MOST rounds is kept while it is wanted. */
#define TD_LOOP_MOST 6
typedef struct td_loop {
	td_function *test, *body; /* of N_VARS + N_CONSTANTS inputs */
	int n_vars, n_constants;  /* 1 to TD_LOOP_MOST, and together at most TD_FUNCTION_MOST */
	int64_t most;
} td_loop;
td_status td_while(td_ctx *c, const td_loop *loop, td_value *const *vars, td_value *const *constants, td_value **out);

/* ---- Ops: one typed builder each, made from the sources by the build --------------------------------------------- */

#define TD_ALL_AXES   0xffffffffu           /* for td_sum, td_mean */
#define TD_SIZE_OF(i) ((int64_t)(-2 - (i))) /* for td_reshape: the size of axis i of the input */

#define TD_SIZE_END INT64_MAX /* for td_slice: to the end of the axis */

/* What td_pad puts into the new places: a value; the elements before the border, mirrored; the one at the border; those
 * of the other end. */
typedef enum td_pad_mode { TD_PAD_CONSTANT, TD_PAD_REFLECT, TD_PAD_REPLICATE, TD_PAD_CIRCULAR } td_pad_mode;

/* torch.nn.functional.interpolate of images */
typedef enum td_resize_mode { TD_RESIZE_NEAREST, TD_RESIZE_BILINEAR } td_resize_mode;
typedef struct td_resize_attrs {
	int64_t size[2];               /* height, width of the result; 0: by SCALE */
	double scale[2];               /* factors; read where SIZE is 0 */
	int64_t mode;                  /* td_resize_mode */
	bool align_corners, antialias; /* of TD_RESIZE_BILINEAR */
} td_resize_attrs;

#define TD_IGNORE_LABEL (-100) /* a label that no loss counts; torch's ignore_index */

/* height, width */
typedef struct td_conv2d_attrs {
	int64_t stride[2], padding[2]; /* zeros on both sides */
	int64_t dilation[2];           /* 0 means 1 */
	int64_t groups;                /* likewise */
	int64_t padding_more[2];       /* at the bottom and right, beyond PADDING; may be negative */
	bool same; /* pad to ceil(size / stride) windows, one more at the end if the sum is odd; PADDING is not read */
} td_conv2d_attrs;

typedef struct td_pool2d_attrs {
	int64_t kernel[2], padding[2];
	int64_t stride[2];        /* 0: the kernel's size */
	int64_t dilation[2];      /* of max pools; 0 means 1 */
	bool ceil_mode;           /* a last window that is not full counts, too */
	bool count_include_pad;   /* of averages: the padding's zeros are counted */
	int64_t divisor_override; /* of averages: divide by this; 0: by the elements of the window */
} td_pool2d_attrs;

/* torch.nn.BatchNorm2d */
typedef struct td_batch_norm_attrs {
	double momentum, eps;
	bool training; /* of td_batch_norm; td_batch_norm_switched is told by a value, at each run */
} td_batch_norm_attrs;

/* Optimizers' updates.  KERAS: by the rule of keras.optimizers where it is not torch.optim's; weight decay is then
 * always decoupled: it shrinks the parameter and leaves the gradient alone. */

/* torch.optim.SGD */
typedef struct td_sgd_attrs {
	double momentum, dampening, weight_decay;
	bool nesterov, keras;
} td_sgd_attrs;

/* torch.optim.Adam and AdamW */
typedef struct td_adam_attrs {
	double beta1, beta2, eps, weight_decay;
	bool decoupled; /* AdamW */
	bool keras;     /* the form of eps alone */
} td_adam_attrs;

/* torch.optim.RMSprop */
typedef struct td_rmsprop_attrs {
	double alpha, eps, momentum, weight_decay;
	bool keras;
} td_rmsprop_attrs;

/* torch.optim.Adagrad */
typedef struct td_adagrad_attrs {
	double lr_decay, eps, weight_decay;
	bool keras;
} td_adagrad_attrs;

/* torch.optim.Adadelta */
typedef struct td_adadelta_attrs {
	double rho, eps, weight_decay;
	bool decoupled; /* weight decay; keras.optimizers.Adadelta */
} td_adadelta_attrs;

#include "td_ops.h"

#endif
