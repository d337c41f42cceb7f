/* The inside of the engine: the structs that td.h keeps opaque.  Shared by core, ops and passes; nobody else includes
 * it.
 *
 *   td_storage  bytes, counted           td_op      what an op is (const, one block in ops/)
 *   td_value    a shape, maybe storage   td_node    one application of an op: tape entry and graph node alike
 *   td_graph    nodes in order           td_plan    what a session runs: flat steps; td_binding: one set of sizes of it
 *   td_ctx      mode, step, error        td_session plans, each with bindings */
#ifndef CORE_CORE_H
#define CORE_CORE_H

#include "base/arena.h"
#include "base/map.h"
#include "base/ptrs.h"
#include "base/rng.h"
#include "base/threads.h"
#include "td.h"

#define TD_MOST_IN  16 /* inputs of one op; the gradient of a loop takes the most */
#define TD_MOST_OUT 8

/* ---- Devices and storage ----------------------------------------------------------------------------------------- */

/* Everything that touches memory of a device goes through this table.  The CPU is its first row. */
enum { TD_CPU, TD_N_DEVICES };

typedef struct td_device {
	const char *name;
	void *(*alloc)(size_t n_bytes); /* aligned to TD_ALIGN, or NULL */
	void (*release)(void *bytes);
	void (*copy)(void *to, const void *from, size_t n_bytes); /* within the device and to the host */
	void (*fill)(void *to, int byte, size_t n_bytes);
	void (*synchronise)(void); /* wait until everything started is done */
} td_device;

extern const td_device td__devices[TD_N_DEVICES];

/* Released storage waits here, by size, for the next tensor of that size: most steps of a job allocate the same sizes
 * again. Lives as long as its context or its last storage. */
typedef struct td_pool td_pool;
td_pool *td__pool_create(const td_device *device);
void td__pool_unref(td_pool *p);

typedef struct td_storage {
	int refs;
	uint32_t version;   /* counts in-place writes */
	const char *writer; /* op that made the last one; NULL: the program, by td_write */
	size_t n_bytes;
	void *bytes;   /* owned */
	td_pool *pool; /* where BYTES go back to; holds a reference */
} td_storage;

td_storage *td__storage_create(td_pool *p, size_t n_bytes); /* NULL: no memory */
void td__storage_unref(td_storage *s);
void td__pool_count(const td_pool *p, int64_t *live_bytes, int64_t *peak_bytes);

/* ---- Values and nodes -------------------------------------------------------------------------------------------- */

/* What wants to see a value's gradient; see td_hook_add. */
typedef struct td_hook {
	td_hook_fn *see;
	void *arg; /* borrowed */
	struct td_hook *next;
} td_hook;

struct td_value {
	int refs; /* of an eager value; a graph's live and die with its arena */
	int id;   /* in its graph; -1: eager */
	bool needs_grad;
	td_shape shape;
	td_storage *storage; /* owned reference; NULL: a symbol */
	td_node *producer;   /* made by; an eager value owns a reference, NULL for leaves */
	int out;             /* which output of the producer */
	td_value *grad;      /* of a leaf: eager owns a reference; while tracing a symbol, borrowed from the graph */
	td_value *captured;  /* of a graph's symbol: the tensor that it stands for (owned reference), or NULL */
	bool placeholder;    /* of a graph's symbol: fed */
	uint32_t unknown;    /* of a placeholder, bit i: a feed may have any size along axis i */
	uint32_t version;    /* of a graph's symbol: writes recorded so far; a tensor's are counted by its storage */
	const char *writer;  /* likewise: op of the last one */
	int64_t grad_step;   /* of a leaf with a gradient: the step that began it */
	td_hook *hooks;      /* owned list (a symbol's lie in the graph's arena) */
	const char *name;    /* owned by an eager value; the graph's arena otherwise; NULL: none */
	const struct td_op *maker; /* of an eager value, for messages: made by, recorded or not */
	const char *made_in;       /* likewise: the layer; interned */
};

struct td_node {
	const struct td_op *op;
	int id;           /* in its graph */
	const char *name; /* of a graph's node: its own, or NULL: the op's (see names.c) */
	const char *path; /* likewise: unique, once someone has asked for names */
	td_node **after;  /* of a graph's node: what must run before it besides its inputs' producers */
	int n_after;
	int refs;                                   /* eager: outputs alive */
	bool backward;                              /* made by a gradient rule */
	bool no_grad;                               /* applied while gradients were off */
	bool walked;                                /* a gradient went through it */
	bool spent;                                 /* a walk that did not keep the tape has been here */
	uint64_t seq;                               /* order of application, the same in both modes */
	int n_in, n_out;                            /* N_OUT counts hidden ones */
	void *attrs;                                /* copy */
	const char *layer;                          /* interned path, "" outside of any */
	td_value *in[TD_MOST_IN];                   /* eager: owned references; NULL: an optional input left out */
	uint32_t version[TD_MOST_IN + TD_MOST_OUT]; /* of inputs, then outputs, when the op had run */
	td_value *out[TD_MOST_OUT]; /* borrowed, NULL once gone or not wanted; eager hidden outputs are owned references
				     */
};

td_value *td__value_create(const td_shape *shape); /* eager, one reference, no storage */
/* How often V's bytes have been written in place (views count with what they look at), and by which op last. */
uint32_t td__version(td_value *v, const char **writer);
/* V, or behind views of it the value that has the bytes. */
td_value *td__base(td_value *v);
bool td__is_float(td_dtype d);
/* "float32[?, 784]": td_shape_text with sizes that are not known, by bit. */
const char *td__shape_text(const td_shape *s, uint32_t unknown, char out[TD_SHAPE_TEXT]);
/* Whether a shape rule may have meant it: no negative size, and not larger than any memory. */
bool td__shape_sane(const td_shape *s);

/* ---- Ops --------------------------------------------------------------------------------------------------------- */

/* What a shape rule sees and fills. */
typedef struct td_infer {
	td_ctx *ctx; /* for td_fail */
	const void *attrs;
	const td_shape *const *in; /* NULL entries: optional inputs left out */
	int n_in;
	td_shape *out;    /* zeroed; one per output, hidden ones too */
	size_t workspace; /* bytes of scratch that forward needs; must follow from shapes alone, not from threads */
} td_infer;

typedef struct td_view {
	const td_shape *shape;
	void *data; /* NULL: left out (input) or not wanted (hidden output) */
} td_view;

/* What a kernel call sees. */
typedef struct td_call {
	const void *attrs;
	td_view in[TD_MOST_IN];
	td_view out[TD_MOST_OUT];
	void *workspace;
	void *handle;    /* what prepare made */
	struct err *err; /* forward sets it where values, not shapes, are wrong (an index out of range) */
	struct threads *threads;
	uint64_t seed;
	uint32_t step;
} td_call;

/* One input of a sample: how the op suite fills it. */
enum td_fill {
	TD_FILL_NORMAL,   /* about -2..2, no two equal, none near a kink at 0 */
	TD_FILL_POSITIVE, /* 0.5..2 */
	TD_FILL_SMALL,    /* 0.05..0.2 */
	TD_FILL_LABELS,   /* integers 0..classes-1 */
	TD_FILL_ONES,
};

typedef struct td_sample {
	int n_in;
	struct {
		td_shape shape; /* dtype TD_F32: the suite also runs it in float64 */
		enum td_fill fill;
		int classes;   /* of TD_FILL_LABELS */
		bool batched;  /* axis 0 is a batch: the suite replays the sample at other sizes of it */
		bool variable; /* written by the op: the suite gives a captured tensor and compares it afterwards */
		bool fixed;    /* not differentiated even if it is floating (a learning rate, a step counter) */
	} in[TD_MOST_IN];
	td_value *(*apply)(td_ctx *c, td_value *const *in); /* calls the typed builder; NULL result: only effects */
} td_sample;

/* One member of an op's attributes, so that a saved graph can be read by people.  A table ends with a NULL name.
 *
 * A function's graph is saved within the graph that holds the op; a function in C is code, and a graph with one cannot
 * be saved. */
enum td_field_kind {
	TD_FIELD_INT,
	TD_FIELD_INT64,
	TD_FIELD_MASK,
	TD_FIELD_FLOAT,
	TD_FIELD_DOUBLE,
	TD_FIELD_BOOL,
	TD_FIELD_FUNCTION, /* const td_trace *, one of a td_function that the program or the graph owns */
	TD_FIELD_CODE,     /* td_custom */
};
typedef struct td_trace td_trace; /* see function.h */

typedef struct td_field {
	const char *name;
	enum td_field_kind kind;
	size_t at; /* bytes from the start of the attributes */
	int count; /* elements of an array; 0: it is none */
} td_field;

#define TD_FIELD_KIND(v)                                                                                               \
	_Generic((v), int                                                                                              \
		 : TD_FIELD_INT, int64_t                                                                               \
		 : TD_FIELD_INT64, uint32_t                                                                            \
		 : TD_FIELD_MASK, float                                                                                \
		 : TD_FIELD_FLOAT, double                                                                              \
		 : TD_FIELD_DOUBLE, bool                                                                               \
		 : TD_FIELD_BOOL, const td_trace *                                                                     \
		 : TD_FIELD_FUNCTION, td_custom                                                                        \
		 : TD_FIELD_CODE)
/* MEMBER of the attributes' struct TYPE: a number, a flag, or an enum; and an array of them. */
#define TD_FIELD(type, member)                                                                                         \
	{                                                                                                              \
		.name = #member, .kind = TD_FIELD_KIND(((type *)0)->member), .at = offsetof(type, member)              \
	}
#define TD_FIELDS(type, member)                                                                                        \
	{                                                                                                              \
		.name = #member, .kind = TD_FIELD_KIND(((type *)0)->member[0]), .at = offsetof(type, member),          \
		.count = TD_COUNT(((type *)0)->member)                                                                 \
	}

typedef struct td_op {
	const char *name; /* unique; used in saved graphs, so never renamed */
	int n_in;         /* the most it takes */
	int n_out;        /* visible outputs */
	int n_hidden; /* trailing outputs kept for backward; NULL when nobody wants them, and no visible bit depends on
			 that */
	uint32_t optional;   /* bit i: input i may be left out */
	uint32_t shape_only; /* bit i: only the shape of input i is read; its bytes may be gone */
	uint32_t inplace;    /* bit i: output 0 may lie where input i lies, if sizes and orders agree; read by
				passes/memory.c */
	uint32_t writes;     /* bit i: input i is written (an effect); such a node is never pruned, merged or moved */
	uint32_t overwrites; /* bit i: of these, input i is not read: what was there does not matter */
	bool broadcasts;     /* output 0 has the sizes that all inputs are broadcast to; the lint looks at them */
	bool view;           /* output 0 has the bytes of input 0 under another shape; forward does not run */
	size_t attrs_size;   /* bytes of the POD attributes; 0: none */
	const td_field *fields;     /* every member of the attributes */
	void (*infer)(td_infer *q); /* shape rule; complains by td_fail(q->ctx, ...) */
	void *(*prepare)(const td_call
			*call); /* optional: a handle for one set of shapes, owned by the binding or the eager cache */
	void (*release)(void *handle);
	void (*forward[TD_N_DEVICES])(const td_call *call);
	/* Gradient rule, as calls of ops: DX[i] for every input that wants one (td_wants), from DY (NULL entries:
	 * zero).  Or td_nodiff, or td_once. */
	void (*backward)(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx);
	bool (*sample)(int i, td_sample *s); /* the i-th test input; false: no more.  Compulsory */
} td_op;

/* Explicit marker: the output does not depend on the inputs in a differentiable way. */
void td_nodiff(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx);
/* Explicit marker of ops that gradient rules are made of: the gradient stops here, and whoever asks for more is told so
 * (TD_UNSUPPORTED) instead of being given a zero. */
void td_once(td_ctx *c, const td_node *n, td_value *const *dy, td_value **dx);

/* TD_OP(name, .n_in = 1, ...) at the end of an op's block; the build finds it there (column 1). */
#define TD_OP(op, ...)                                                                                                 \
	extern const td_op td_op_##op;                                                                                 \
	const td_op td_op_##op = { .name = #op, __VA_ARGS__ };
/* Marks a builder, in column 1; the build derives td_ops.h from it. */
#define TD_API

/* The op table, sorted by name; ends with NULL. */
extern const td_op *const td__ops[];
const td_op *td__op_find(const char *name);

/* The one dispatch point.  Eager: infer, allocate, run, and if a gradient is wanted make a node.  Graph: infer, make a
 * node. Returns output 0 (NULL when there is none, or on failure). */
td_value *td_apply(td_ctx *c, const td_op *op, const void *attrs, td_value *const *in, int n_in);
/* The same for ops with several visible results: all of them.  False: the sticky error, and OUT is as it was. */
bool td_apply_all(
	td_ctx *c, const td_op *op, const void *attrs, td_value *const *in, int n_in, td_value *out[TD_MOST_OUT]);
/* A call with one to seven inputs, written as a list. */
#define TD_APPLY(c, op, attrs, ...)                                                                                    \
	td_apply(c, &td_op_##op, attrs, (td_value *[]){ __VA_ARGS__ },                                                 \
		(int)(sizeof((td_value *[]){ __VA_ARGS__ }) / sizeof(td_value *)))

/* Whether a gradient rule has to make DX[i]. */
static inline bool td_wants(const td_node *n, int i)
{
	return n->in[i] && n->in[i]->needs_grad;
}

/* ---- Graphs, plans, sessions ------------------------------------------------------------------------------------- */

/* A list by name. */
typedef struct td_named_list {
	const char *name;
	td_fetch *items; /* owned */
	int n, room;
	struct td_named_list *next;
} td_named_list;

typedef struct td_variable {
	const char *name;
	td_value *symbol; /* captured: the tensor is there */
	td_init init;
	bool trainable;
} td_variable;

struct td_graph {
	struct arena arena; /* everything of the graph */
	td_node **nodes;    /* owned array; order of recording */
	int n_nodes, nodes_room;
	td_value **values; /* owned array; by id */
	int n_values, values_room;
	struct ptrs captures; /* the symbol of each captured tensor */
	int n_sessions;
	bool traced;       /* td_trace_end has run */
	bool of_function;  /* a function's trace: what wants a gradient is part of its signature */
	bool finalised;    /* nothing is added any more */
	uint32_t n_random; /* random ops so far */

	td_node **control; /* owned array; what the next node runs after */
	int n_control, control_room;
	int *controls; /* owned array; N_CONTROL before each open td_control_begin */
	int n_controls, controls_room;
	int *groups; /* owned array; N_NODES at each open td_group_begin */
	int n_groups, groups_room;
	td_named_list *collections, *last_collection; /* in the arena, but for their items; in order of creation */
	struct map collection_names;                  /* to these */
	td_variable *variables;                       /* owned array; in order of creation */
	int n_variables, variables_room;
	td_function **functions; /* owned array of owned ones; whose graphs were read with this one's */
	int n_functions, functions_room;
	int n_scopes;                      /* of its context, open when the trace began */
	struct map names;                  /* path to struct td_named in the arena; see names.c */
	int n_named_values, n_named_nodes; /* those before have their names */
};

/* Whether V, or N, is one of G's own. */
static inline bool td__graph_has(const td_graph *g, const td_value *v)
{
	return v->id >= 0 && v->id < g->n_values && g->values[v->id] == v;
}

static inline bool td__graph_has_node(const td_graph *g, const td_node *n)
{
	return n->id < g->n_nodes && g->nodes[n->id] == n;
}

td_value *td__graph_value(td_graph *g, const td_shape *shape);
td_value *td__graph_capture(td_graph *g, td_value *tensor); /* the symbol that stands for TENSOR */
void td__graph_add(td_graph *g, td_node *n);
void td__collect(td_graph *g, const char *collection, td_fetch item);
void td__control_apply(td_graph *g, td_node *n); /* N, about to be added, runs after what is in force */
/* False: the graph that C traces is finalised, and WHAT cannot be added; C has the error. */
bool td__graph_open(td_ctx *c, const char *what);
/* A new variable by its whole name. */
td_value *td__variable_add(td_ctx *c, const char *name, const td_shape *shape, const td_init *init, bool trainable);
void td__graph_index(td_graph *g);                             /* give every node and value without one its path */
void td__name_node(td_graph *g, td_node *n, const char *path); /* N, added last, is called PATH, which is free */
void td__show_nodes(const td_graph *g, td_node *const *nodes, int n_nodes,
	void (*each)(void *arg, const td_node_view *node), void *arg);

typedef struct td_step_plan { /* one step of a plan */
	td_node *node;
	int in[TD_MOST_IN];   /* value ids; -1: left out */
	int out[TD_MOST_OUT]; /* value ids; -1: not wanted */
} td_step_plan;

/* Symbolic: which nodes run, in order.  Made once by the passes; sizes come with a binding.
 *
 * A value that is fed although a node makes it has a stand-in: an id of its own past the graph's, which every reader
 * reads instead. */
typedef struct td_plan {
	const td_graph *graph;
	int n_recorded;      /* values of the graph when the plan was made */
	int n_values;        /* these and the stand-ins: value ids are below */
	int *stand_ins;      /* owned; the graph's id behind each */
	td_step_plan *steps; /* owned */
	int n_steps;
	int *fetches; /* owned; value ids */
	int n_fetches;
	bool *fetched;   /* owned; by value id */
	int *operations; /* owned; ids of nodes that run although nobody may read what they make */
	int n_operations;
	bool effects;  /* whatever writes runs; off: only what is asked for */
	bool in_place; /* outputs may lie on inputs, and places are used again; off: every value has its own */
} td_plan;

/* The graph's value behind an id of the plan. */
static inline td_value *td__plan_value(const td_plan *p, int v)
{
	return p->graph->values[v < p->n_recorded ? v : p->stand_ins[v - p->n_recorded]];
}

/* Whether a value's bytes are not the plan's: fed, or a variable's. */
static inline bool td__plan_outside(const td_plan *p, int v)
{
	return v >= p->n_recorded || p->graph->values[v]->captured || p->graph->values[v]->placeholder;
}

/* Where everything lies for one set of feed sizes. */
typedef struct td_layout {
	td_shape *shapes;      /* owned; by value id */
	int64_t *offsets;      /* owned; by value id; -1: not in the arena (fed, captured, or not wanted) */
	size_t *workspace;     /* owned; bytes, by step */
	int64_t *workspace_at; /* owned; offset, by step */
	int *first, *last; /* owned; by value id: the steps during which its place is taken; a view's are its base's */
	int *base;         /* owned; by value id: the value whose place it lies in */
	size_t arena_bytes;
} td_layout;

/* passes/: each takes the plan and leaves it legal; the order is the table's in passes.c. */
typedef struct td_pass {
	const char *name;
	void (*run)(td_plan *p);
} td_pass;
extern const td_pass td__passes[];
void td__passes_run(td_plan *p, bool verify);
void td__pass_prune(td_plan *p);
/* Leave out the steps that nothing asked for needs: no fetch, no operation, no effect where these count. */
void td__plan_keep_needed(td_plan *p);
/* Abort with the neighbourhood of the bad node if the plan is not legal: a value read before it is made or made twice,
 * a missing input or output, a node out of its order or without one that it runs after, a write to what is no variable
 * (a bug of a pass, never of a user). */
void td__verify_plan(const td_plan *p, const char *after);
/* passes/memory.c: fill base, first, last, offsets and arena_bytes from shapes and workspace. */
void td__layout_places(const td_plan *p, td_layout *l);
/* The independent checker: no two places that are taken at the same time overlap. */
void td__verify_layout(const td_plan *p, const td_layout *l);

/* ---- Context ----------------------------------------------------------------------------------------------------- */

/* A name that is open: a layer's, or a scope's. */
typedef struct td_scope {
	const char *outside; /* the path before it, interned */
	enum td_reuse reuse; /* of variables in it; what td_name_push opens has that of the scope outside */
} td_scope;

struct td_ctx {
	struct err err;          /* sticky */
	td_graph *graph;         /* recorder; NULL: eager mode */
	struct threads *threads; /* owned */
	const td_device *device;
	td_pool *pool; /* owned reference */
	uint64_t seed;
	int64_t step;
	uint64_t seq;      /* of the last node */
	uint32_t n_random; /* random ops of this step so far: the next one's stream */
	int no_grad;       /* depth */
	bool in_backward;
	const td_node *visiting; /* whose gradient rule runs; NULL: none */
	int n_tapes;             /* open */
	td_warning_fn *warn;     /* NULL: nobody listens */
	void *warn_arg;          /* borrowed */
	struct map warned;       /* "code\nlayer" of what was told */
	bool accumulates;        /* see td_accumulate */
	uint64_t order_hash;     /* of the last epoch's order; 0: none was noted */
	td_value **made;         /* owned array of owned references: what the step made */
	int n_made, made_room;
	struct map layers; /* interned layer paths; values are the keys' copies, owned */
	const char *layer; /* present path, interned */
	td_scope *scopes;  /* owned array; open ones */
	int n_scopes, scopes_room;
	td_counters counters;
	char *arena; /* owned; what plans run in, and eager ops have their scratch in: one at a time */
	size_t arena_bytes;
	bool runs_plan;            /* the arena is taken */
	td_observer *observer;     /* NULL: nobody watches */
	void *observer_arg;        /* borrowed */
	struct td_handle *handles; /* owned; eager cache of prepared handles, see apply.c */
	uint64_t handle_uses;      /* so far; the cache's clock */
};

/* The arena has N_BYTES at least; it may have moved.  False: no memory. */
bool td__arena_reserve(td_ctx *c, size_t n_bytes);
void td__handles_free(td_ctx *c);

/* The rule of the innermost scope that is open in the present trace; what is open outside of it does not count. */
enum td_reuse td__reuse_now(const td_ctx *c);
/* NAME with the rule REUSE; td_name_pop ends it. */
void td__scope_push(td_ctx *c, const char *name, enum td_reuse reuse);

/* Look for what is probably not meant; called where somebody listens. */
void td__lint(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out);
/* The same for the input X of a loss on logits that is made of several ops. */
void td__lint_binary_logits(td_ctx *c, const td_value *x);
/* The same for a program that is asked for all that it ever computes: which layers does it not need? */
void td__lint_plan(td_ctx *c, const td_plan *p);
/* The same for all that a session ran that was open to any fetches: USED, by node id, below N_USED. */
void td__lint_session(td_ctx *c, const td_graph *g, const bool *used, int n_used);

/* Beside enum td_walk, of td_gradients: what wants no gradient has none, in a graph, too. */
#define TD__WATCHED_ALONE 0x100u

/* Tell the observer, if there is one, that GRAD is the whole gradient of V.  While tracing there is nothing to tell. */
void td__observe_gradient(td_ctx *c, td_value *v, td_value *grad);

/* V, a reference, is held until the step ends. */
void td__keep(td_ctx *c, td_value *v);

/* The stream of the next random op: its position in the step. */
uint32_t td__next_stream(td_ctx *c);

#endif
