/* The inside of sessions: what is asked of a graph, a plan for it, and layouts of the plan. */
#ifndef CORE_SESSION_H
#define CORE_SESSION_H

#include "core/core.h"

/* What a run asks for and is given; the key of a plan. */
typedef struct td_request {
	int *fetches; /* owned; ids of values, in order */
	int n_fetches, fetches_room;
	int *operations; /* owned; ids of nodes, in order */
	int n_operations, operations_room;
	int *computed; /* owned; ids of values that are fed although a node or a variable has them, ascending */
	int n_computed, computed_room;
} td_request;

void td__request_release(td_request *r);
bool td__request_same(const td_request *a, const td_request *b);

/* One set of sizes. */
typedef struct td_binding {
	td_shape *feeds; /* owned; the key: one shape for each input of the plan */
	td_layout layout;
	td_call *calls; /* owned; one per step */
	char *arena;    /* borrowed; the context's, as the calls know it */
	uint64_t used;  /* run number of the last use; 0: free slot */
} td_binding;

/* A plan and everything that is kept to run it. */
typedef struct td_prepared {
	td_request request;
	td_plan plan;
	int *inputs; /* owned; value ids that the plan needs fed */
	int n_inputs;
	int *reads; /* owned; variables that a step reads, or the run fetches, before any step writes them: value ids */
	int n_reads;
	td_binding bindings[TD_BINDINGS_MOST];
	uint64_t used; /* run number of the last use */
} td_prepared;

/* Take what REQUEST holds and make a plan for it; FLAGS: td_session_flags. */
td_prepared *td__prepare(td_ctx *c, td_graph *g, td_request *request, bool effects, unsigned flags);
void td__prepared_free(td_prepared *p);
/* Shapes of what P makes, by value id, from its inputs', which stand there; and every step's scratch (NULL: not wanted).
 * False: C has the error. */
bool td__plan_shapes(const td_plan *p, td_ctx *c, td_shape *shapes, size_t *workspace);
/* The plan of a session that was made for its fetches.  NULL: C has the error. */
const td_plan *td__session_plan(td_session *s, td_ctx *c);
/* L for INPUTS, the shapes of P's inputs in order; td__layout_release it, also where C has the error (false). */
bool td__layout_make(const td_prepared *p, td_ctx *c, td_layout *l, const td_shape *inputs, unsigned flags);
void td__layout_release(td_layout *l);
/* The binding for FEEDS, likewise; made where there is none, its calls ready to run in C's arena.  NULL: C has the
 * error. */
td_binding *td__binding_for(td_prepared *p, td_ctx *c, const td_shape *feeds, unsigned flags, uint64_t run);
void td__binding_release(const td_plan *p, td_binding *b);

#endif
