/* A graph that went through its text. */
#ifndef OPS_READ_BACK_H
#define OPS_READ_BACK_H

#include "base/buf.h"
#include "core/core.h"

/* V of one graph in another that was saved from it. */
static inline td_value *read_back_value(td_graph *to, td_graph *from, const td_value *v)
{
	return td_graph_find(to, td_graph_name_of(from, v));
}

/* G written down and read again, its variables filled as they are.  NULL: C's error, or code that cannot be saved. */
static inline td_graph *read_back(td_ctx *c, td_graph *g)
{
	td_graph *loaded = NULL;
	struct err e = { 0 };
	struct buf text;

	buf_init(&text, 1 << 24);
	if (!td_graph_save(g, &text, &e))
		loaded = td_graph_load(c, text.data, text.len, 1 << 24);
	else if (e.status != TD_UNSUPPORTED)
		td_fail(c, e.status, "%s", e.text);
	buf_release(&text);
	for (int i = 0; loaded && i < g->n_values; i++) {
		const td_value *tensor = g->values[i]->captured;
		void *bytes = tensor ? mem_alloc(td_shape_bytes(&tensor->shape) + 1) : NULL;

		if (tensor) {
			td_read(tensor, bytes);
			td_write(td_variable_tensor(read_back_value(loaded, g, g->values[i])), bytes);
		}
		mem_free(bytes);
	}
	return loaded;
}

#endif
