/* Growable bytes with a compulsory cap, so that no buffer of the project can grow without bound.
 * DATA is always terminated by a zero byte that LEN does not count (once anything was appended). */
#ifndef TD_BASE_BUF_H
#define TD_BASE_BUF_H

#include <stdint.h>
#include <stdio.h>
#include "base/mem.h"

struct buf {
	char *data;  /* owned; NULL while empty */
	size_t len;  /* bytes in use */
	size_t room; /* bytes allocated */
	size_t cap;  /* LEN never passes this */
	bool full;   /* an append was refused; stays set until buf_clear */
};

void buf_init(struct buf *b, size_t cap);
void buf_release(struct buf *b);
void buf_clear(struct buf *b);                               /* empty, room kept */
bool buf_append(struct buf *b, const void *bytes, size_t n); /* false, and nothing is appended: over the cap */
bool buf_puts(struct buf *b, const char *s);
bool buf_printf(struct buf *b, const char *fmt, ...) TD_PRINTF(2, 3);
bool buf_read_line(struct buf *b, FILE *f); /* append the rest of a line, its end included; false: no more, or full */
void buf_drop(struct buf *b, size_t n);     /* remove the first N bytes */
char *buf_take(struct buf *b);              /* the bytes become the caller's (mem_free); never NULL */

#endif
