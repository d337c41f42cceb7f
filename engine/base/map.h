/* String map: keys are copied, values are pointers the map does not own.  Open addressing, grows by doubling. */
#ifndef TD_BASE_MAP_H
#define TD_BASE_MAP_H

#include "base/mem.h"

struct map_entry {
	char *key; /* owned; NULL: free slot */
	void *value;
};

struct map {
	struct map_entry *entries; /* owned; ROOM slots, in no order */
	size_t n, room;
};

void map_init(struct map *m);
void map_release(struct map *m);
void *map_get(const struct map *m, const char *key);        /* NULL: absent */
void *map_put(struct map *m, const char *key, void *value); /* returns what stood there before, or NULL */
void *map_remove(struct map *m, const char *key);           /* returns what stood there, or NULL */
/* Visit all: for (size_t i = 0; (e = map_next(m, &i));) */
struct map_entry *map_next(const struct map *m, size_t *i);

#endif
