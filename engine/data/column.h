/* A column of a pack that is being made: raw elements that only grow in number.
 *
 * What decodes a format adds elements, looks at what it added, and gives the column its name at the end; where the
 * bytes are in the meantime is known here alone (in a file: column.c). */
#ifndef TD_DATA_COLUMN_H
#define TD_DATA_COLUMN_H

#include "base/err.h"
#include "data/pack.h"

#define COLUMN_ROOM (1 << 16) /* bytes that a column gathers before it writes */

struct prepare;

/* A file of raw elements that only grows.  No descriptor stays open: a table has more columns than a process files. */
struct column {
	char *path;      /* owned; NULL: not opened */
	uint8_t *buffer; /* owned; NULL: nothing was added yet */
	size_t room, n;  /* bytes of BUFFER, and those in use */
	int64_t n_bytes; /* of the column, the buffer's included */
	bool made;       /* the file exists */
};

void column_open(struct column *c, const struct prepare *p, enum pack_part part, const char *name, size_t room);
td_status column_add(struct column *c, const void *bytes, size_t n, struct err *e);
/* All bytes to the file, which exists then even if it is empty. */
td_status column_flush(struct column *c, struct err *e);
/* Remove the file, and forget it. */
void column_drop(struct column *c);
void column_release(struct column *c);
/* A flushed column gets another NAME. */
td_status column_call(struct column *c, const struct prepare *p, enum pack_part part, const char *name, struct err *e);
/* The flushed column BY, which is released, takes the place of C. */
td_status column_replace(struct column *c, struct column *by, struct err *e);
/* A flushed column in memory, to read and to change in place; NULL: it is empty, or E says why not. */
void *column_map(const struct column *c, struct err *e);
void column_unmap(const struct column *c, void *bytes);
/* Replace each i32 X of a flushed column by RANK[X]; negative ones stay. */
td_status column_rename(const struct column *c, const int32_t *rank, struct err *e);
/* N bytes of a flushed column from AT on. */
td_status column_read(const struct column *c, int64_t at, void *to, size_t n, struct err *e);

#endif
