/* A list of what is wrong with a document, every fault and not only the first. */
#ifndef TD_BASE_FAULT_H
#define TD_BASE_FAULT_H

#include <stddef.h>
#include "base/err.h"

#define FAULTS_MOST 50 /* more are counted, not kept: nobody reads the 51st */

struct fault {
	char *pointer; /* owned; JSON pointer (RFC 6901), "" is the whole document */
	char *detail;  /* owned; the value, what was expected, the fix */
};

struct faults {
	struct fault items[FAULTS_MOST];
	size_t n;       /* kept */
	size_t n_found; /* seen, kept or not */
};

void faults_init(struct faults *f);
void faults_release(struct faults *f);
void faults_add(struct faults *f, const char *pointer, const char *fmt, ...) TD_PRINTF(3, 4);

/* The entry of NAMES (N_NAMES) nearest to NAME by edit distance, or NULL when none is near enough to be a typing error.
 */
const char *nearest_name(const char *name, const char *const *names, size_t n_names);
/* Changes that make A into B: a letter more, less or other, or two neighbours swapped (optimal string alignment);
 * letters are compared without case.  For names that nearest_name has taken or given: longer ones are SIZE_MAX apart.
 */
size_t name_distance(const char *a, const char *b);

#endif
