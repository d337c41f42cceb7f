/* Bump arena: see arena.h. */
#include "base/arena.h"

#include <stdalign.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)16384)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

void arena_release(struct arena *a)
{
	while (a->last) {
		struct arena_block *next = a->last->next;
		mem_free(a->last);
		a->last = next;
	}
	a->n_bytes = 0;
}

void *arena_alloc(struct arena *a, size_t n_bytes)
{
	struct arena_block *block = a->last;
	size_t size = (n_bytes + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
	void *p;

	if (!block || block->size - block->used < size) {
		block = mem_alloc(sizeof *block + TD_MAX(size, BLOCK_BYTES));
		block->size = TD_MAX(size, BLOCK_BYTES);
		block->next = a->last;
		a->last = block;
		a->n_bytes += sizeof *block + block->size;
	}
	p = block->bytes + block->used;
	block->used += size;
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	size_t n;
	char *copy;

	if (!s)
		return NULL;
	n = strlen(s) + 1;
	copy = arena_alloc(a, n);
	memcpy(copy, s, n);
	return copy;
}
