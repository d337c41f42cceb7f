/* Map from addresses: see ptrs.h. */
#include "base/ptrs.h"

#include <stdint.h>

static struct ptrs_entry *slot_of(const struct ptrs *m, const void *key)
{
	/* Fibonacci's hash: the high half depends on all bits, so a common stride of the keys does not matter. */
	size_t mask = m->room - 1, i = ((uintptr_t)key * 0x9E3779B97F4A7C15u) >> 32 & mask;

	while (m->entries[i].key && m->entries[i].key != key)
		i = (i + 1) & mask;
	return &m->entries[i];
}

static void grow(struct ptrs *m)
{
	struct ptrs old = *m;

	m->room = old.room ? old.room * 2 : 16;
	m->entries = MEM_NEW_N(struct ptrs_entry, m->room);
	for (size_t i = 0; i < old.room; i++)
		if (old.entries[i].key)
			*slot_of(m, old.entries[i].key) = old.entries[i];
	mem_free(old.entries);
}

void ptrs_release(struct ptrs *m)
{
	mem_free(m->entries);
	*m = (struct ptrs){ 0 };
}

void **ptrs_at(struct ptrs *m, const void *key)
{
	struct ptrs_entry *e;

	if ((m->n + 1) * 2 > m->room)
		grow(m);
	e = slot_of(m, key);
	if (!e->key) {
		e->key = key;
		m->n++;
	}
	return &e->value;
}
