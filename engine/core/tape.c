/* TensorFlow's door to automatic differentiation: a gradient tape.
 *
 * The context records by itself whatever depends on a value that wants a gradient; a tape only makes values want one,
 * and asks for gradients without touching .grad. */
#include "core/core.h"

struct td_tape {
	td_ctx *c; /* borrowed */
	bool persistent;
	bool asked; /* has given gradients */
	int stopped;
	td_value **watched; /* owned array of owned references: those that wanted no gradient before */
	int n_watched, watched_room;
};

td_tape *td_tape_open(td_ctx *c, bool persistent)
{
	td_tape *t = MEM_NEW(td_tape);

	t->c = c;
	t->persistent = persistent;
	c->n_tapes++;
	return t;
}

void td_tape_watch(td_tape *t, td_value *v)
{
	if (!v || t->c->err.status)
		return;
	if (!td__is_float(v->shape.dtype)) {
		td_fail(t->c, TD_DTYPE, "a tape cannot watch a value of %s; only floating values have gradients",
			td_dtype_name(v->shape.dtype));
		return;
	}
	if (t->c->graph && v->id < 0)
		v = td__graph_capture(t->c->graph, v);
	if (v->needs_grad)
		return;
	v->needs_grad = true;
	MEM_GROW(t->watched, t->n_watched, t->watched_room);
	t->watched[t->n_watched++] = td_ref(v);
}

void td_tape_stop(td_tape *t)
{
	t->stopped++;
	td_no_grad_begin(t->c);
}

void td_tape_resume(td_tape *t)
{
	TD_ASSERT(t->stopped);
	t->stopped--;
	td_no_grad_end(t->c);
}

void td_tape_gradient(td_tape *t, td_value *target, td_value *const *sources, int n_sources, td_value **grads)
{
	bool outer = t->c->n_tapes > 1; /* another tape records this one's work, and needs the same part of the tape */

	for (int i = 0; i < n_sources; i++)
		grads[i] = NULL;
	if (t->asked && !t->persistent) {
		td_fail(t->c, TD_INVALID, "a tape that is not persistent gives gradients once; open it as persistent");
		return;
	}
	t->asked = true;
	td_gradients(t->c, &target, NULL, 1, sources, n_sources,
		TD__WATCHED_ALONE | (t->persistent ? TD_RETAIN_GRAPH : 0) | (outer ? TD_CREATE_GRAPH : 0), grads);
}

void td_tape_close(td_tape *t)
{
	if (!t)
		return;
	while (t->stopped)
		td_tape_resume(t);
	for (int i = 0; i < t->n_watched; i++) {
		t->watched[i]->needs_grad = false;
		td_unref(t->watched[i]);
	}
	t->c->n_tapes--;
	mem_free(t->watched);
	mem_free(t);
}
