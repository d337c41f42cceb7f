/* String map: see map.h.  Removal re-inserts the run that follows, so there are no tombstones. */
#include "base/map.h"

#include <stdint.h>
#include <string.h>

static uint64_t hash(const char *key)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 1099511628211u;
	return h;
}

static size_t slot_of(const struct map *m, const char *key)
{
	size_t i = hash(key) & (m->room - 1);

	while (m->entries[i].key && strcmp(m->entries[i].key, key) != 0)
		i = (i + 1) & (m->room - 1);
	return i;
}

static void grow(struct map *m)
{
	struct map old = *m;

	m->room = old.room ? old.room * 2 : 16;
	m->entries = MEM_NEW_N(struct map_entry, m->room);
	for (size_t i = 0; i < old.room; i++)
		if (old.entries[i].key)
			m->entries[slot_of(m, old.entries[i].key)] = old.entries[i];
	mem_free(old.entries);
}

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
}

void map_release(struct map *m)
{
	for (size_t i = 0; i < m->room; i++)
		mem_free(m->entries[i].key);
	mem_free(m->entries);
	map_init(m);
}

void *map_get(const struct map *m, const char *key)
{
	return m->room ? m->entries[slot_of(m, key)].value : NULL;
}

void *map_put(struct map *m, const char *key, void *value)
{
	struct map_entry *e;
	void *before;

	if ((m->n + 1) * 2 > m->room)
		grow(m);
	e = &m->entries[slot_of(m, key)];
	if (!e->key) {
		e->key = mem_strdup(key);
		m->n++;
	}
	before = e->value;
	e->value = value;
	return before;
}

void *map_remove(struct map *m, const char *key)
{
	size_t i;
	void *before;

	if (!m->room)
		return NULL;
	i = slot_of(m, key);
	if (!m->entries[i].key)
		return NULL;
	before = m->entries[i].value;
	mem_free(m->entries[i].key);
	m->entries[i] = (struct map_entry){ 0 };
	m->n--;
	for (i = (i + 1) & (m->room - 1); m->entries[i].key; i = (i + 1) & (m->room - 1)) {
		struct map_entry moved = m->entries[i];
		m->entries[i] = (struct map_entry){ 0 };
		m->entries[slot_of(m, moved.key)] = moved;
	}
	return before;
}

struct map_entry *map_next(const struct map *m, size_t *i)
{
	while (*i < m->room) {
		struct map_entry *e = &m->entries[(*i)++];
		if (e->key)
			return e;
	}
	return NULL;
}
