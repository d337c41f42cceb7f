/* Map from addresses: keys are not looked at, values are pointers the map does not own.  Open addressing, grows by
 * doubling; nothing is removed. */
#ifndef TD_BASE_PTRS_H
#define TD_BASE_PTRS_H

#include "base/mem.h"

struct ptrs {
	struct ptrs_entry {
		const void *key; /* NULL: free slot */
		void *value;
	} * entries; /* owned; ROOM slots, a power of two */
	size_t n, room;
}; /* all zeros: empty */

void ptrs_release(struct ptrs *m);
/* The place of KEY's value, NULL in a new one; valid until the next call. */
void **ptrs_at(struct ptrs *m, const void *key);

#endif
