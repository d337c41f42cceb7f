/* Bump arena: many small things with one lifetime.  Memory is zeroed; nothing is freed alone. */
#ifndef TD_BASE_ARENA_H
#define TD_BASE_ARENA_H

#include "base/mem.h"

struct arena {
	struct arena_block *last; /* owned chain, newest first */
	size_t n_bytes;           /* allocated from the system so far */
};

void arena_init(struct arena *a);
void arena_release(struct arena *a);
void *arena_alloc(struct arena *a, size_t n_bytes); /* zeroed, aligned for any type; never NULL */
char *arena_strdup(struct arena *a, const char *s); /* NULL stays NULL */

#endif
