/* Memory, two kinds.
 *
 * Small things (structs, names, messages) come from mem_alloc and friends, which abort when there is no memory left:
 * nothing sensible can be done.  Things whose size a user controls (tensors, uploads, plans) come from mem_try_*, which
 * return NULL, and whose caller turns that into TD_NO_MEMORY.
 *
 * FAIL_AT=n in the environment makes the n-th mem_try_* of the process fail, for the tests that loop over n. */
#ifndef TD_BASE_MEM_H
#define TD_BASE_MEM_H

#include <stddef.h>
#include "base/err.h"

#define TD_ALIGN 64 /* bytes: a cache line, and the widest vector register */

void *mem_alloc(size_t n_bytes);            /* zeroed; never NULL */
void *mem_realloc(void *p, size_t n_bytes); /* grown part is not zeroed; never NULL */
char *mem_strdup(const char *s);            /* NULL stays NULL */
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *fmt, ...) TD_PRINTF(1, 2);
void mem_free(void *p); /* NULL is fine */

/* N_BYTES aligned to TD_ALIGN, not zeroed (free with mem_free), or NULL. */
void *mem_try_alloc(size_t n_bytes);

#define MEM_NEW(type)      ((type *)mem_alloc(sizeof(type)))
#define MEM_NEW_N(type, n) ((type *)mem_alloc(sizeof(type) * (size_t)(n)))

/* Room for one more element in a plain array: grows ITEMS (capacity CAP, an lvalue) so that index N is valid. */
#define MEM_GROW(items, n, cap)                                                                                        \
	do {                                                                                                           \
		if ((size_t)(n) >= (size_t)(cap)) {                                                                    \
			(cap) = (cap) ? (cap)*2 : 8;                                                                   \
			(items) = mem_realloc((items), sizeof *(items) * (size_t)(cap));                               \
		}                                                                                                      \
	} while (0)

#define TD_COUNT(array)  (sizeof(array) / sizeof((array)[0]))
#define TD_TEXT(number)  TD_TEXT_(number) /* a macro's number as a literal text */
#define TD_TEXT_(number) #number
#define TD_MIN(a, b)     ((a) < (b) ? (a) : (b))
#define TD_MAX(a, b)     ((a) > (b) ? (a) : (b))

#endif
