/* Growable bytes with a cap: see buf.h. */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t cap)
{
	*b = (struct buf){ .cap = cap };
}

void buf_release(struct buf *b)
{
	mem_free(b->data);
	*b = (struct buf){ .cap = b->cap };
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->full = false;
	if (b->data)
		b->data[0] = '\0';
}

bool buf_append(struct buf *b, const void *bytes, size_t n)
{
	if (n > b->cap - b->len) {
		b->full = true;
		return false;
	}
	if (b->len + n + 1 > b->room) {
		size_t room = TD_MAX(b->room * 2, b->len + n + 1);
		b->data = mem_realloc(b->data, TD_MAX(room, 64));
		b->room = TD_MAX(room, 64);
	}
	if (n)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
	b->data[b->len] = '\0';
	return true;
}

bool buf_puts(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

bool buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;
	bool ok;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	TD_ASSERT(n >= 0);
	ok = buf_append(b, text, (size_t)n);
	free(text);
	return ok;
}

bool buf_read_line(struct buf *b, FILE *f)
{
	char part[4096];

	while (fgets(part, sizeof part, f)) {
		if (!buf_puts(b, part))
			return false;
		if (b->data[b->len - 1] == '\n')
			return true;
	}
	return false;
}

void buf_drop(struct buf *b, size_t n)
{
	TD_ASSERT(n <= b->len);
	if (!n)
		return;
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

char *buf_take(struct buf *b)
{
	char *data = b->data ? b->data : mem_strdup("");

	*b = (struct buf){ .cap = b->cap };
	return data;
}
