/* The inside of functions, for the ops that run them (ops/control.c). */
#ifndef CORE_FUNCTION_H
#define CORE_FUNCTION_H

#include "core/core.h"

/* One kind of inputs of a function, written down. */
typedef struct td_trace {
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
} td_trace;

int td__function_inputs(const td_function *f);
int td__function_results(const td_function *f);
/* The trace for inputs like IN, for an op that will run it by itself: the body may have no effect, draw nothing, and
 * hold no constant that wants a gradient; results are row-major.  NULL: the sticky error. */
td_trace *td__function_pin(td_ctx *c, td_function *f, const td_shape *in);
/* The function that gives the gradients of F's inputs, from these and the gradients of F's results; owned by F.  NULL:
 * the sticky error. */
td_function *td__function_gradient(td_ctx *c, td_function *f);
/* Shapes of the results for inputs of other sizes.  False: the sticky error. */
bool td__trace_shapes(td_ctx *c, const td_trace *t, const td_shape *in, td_shape *out);
/* Run T on bytes, inside a kernel.  OUT[i].data NULL: not wanted.  False: CALL's error. */
bool td__trace_run(const td_trace *t, const td_call *call, const td_view *in, const td_view *out);

#endif
