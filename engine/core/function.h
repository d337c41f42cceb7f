/* The inside of functions, for the ops that run them (ops/flow.c) and the files that hold them (saved_graph.h). */
#ifndef CORE_FUNCTION_H
#define CORE_FUNCTION_H

#include "core/core.h"

/* One kind of inputs of a function, written down. */
struct td_trace {
	td_function *function; /* borrowed; whose trace this is */
	td_shape in[TD_MOST_IN];
	bool needs_grad[TD_MOST_IN];
	bool no_grad;
	uint32_t random_base, n_random;                          /* streams that the body takes */
	bool pinned;                                             /* nodes refer to it: never thrown away */
	uint64_t used;                                           /* the function's call at which it was last used */
	td_graph *graph;                                         /* owned */
	td_value *placeholder[TD_MOST_IN], *result[TD_MOST_OUT]; /* of the graph */
	td_session *session;                                     /* owned */
};

int td__function_inputs(const td_function *f);
int td__function_results(const td_function *f);
/* The trace for inputs like IN, for an op that will run it by itself: the body may have no effect, draw nothing, and
 * hold no constant that wants a gradient; results are row-major.  NULL: the sticky error. */
td_trace *td__function_pin(td_ctx *c, td_function *f, const td_shape *in);
/* The function that gives the gradients of F's inputs, from these and the gradients of F's results; owned by F.  NULL:
 * the sticky error. */
td_function *td__function_gradient(td_ctx *c, td_function *f);
/* What stands for a gradient that there is not: zeros like V, which may be of integers. */
td_value *td__zeros_of(td_ctx *c, td_value *v);
/* Shapes of the results for N_IN inputs, perhaps of other sizes.  False: the sticky error, also where T takes others. */
bool td__trace_shapes(td_ctx *c, const td_trace *t, const td_shape *const *in, int n_in, td_shape *out);
/* What C puts aside while it writes a trace inside a trace. */
struct td_outside {
	td_graph *graph;
	const td_node *visiting;
	int no_grad;
};
struct td_outside td__go_inside(td_ctx *c, td_graph *g, bool no_grad);
void td__come_back(td_ctx *c, const struct td_outside *o);
/* A function of one trace, which is there already: G (taken, also on failure), traced, with IN (all its placeholders)
 * and OUT.  It is held to what td__function_pin promises.  Whoever asks for a gradient has the nodes of G recorded
 * again.  NULL: the sticky error. */
td_function *td__function_from(
	td_ctx *c, const char *name, td_graph *g, td_value *const *in, int n_in, td_value *const *out, int n_out);
const td_trace *td__function_only_trace(const td_function *f); /* of one that td__function_from made */
const char *td__function_name(const td_function *f);
/* Run T on bytes, inside a kernel.  OUT[i].data NULL: not wanted.  False: CALL's error. */
bool td__trace_run(const td_trace *t, const td_call *call, const td_view *in, const td_view *out);

#endif
