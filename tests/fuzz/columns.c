/* Columns in memory, in the place of engine/data/column.c: the fuzzers drive decoders, and a disk would be most of the
 * time.  What was flushed is remembered under its name until columns_forget, to be held against what the pack says. */
#include "data/column.h"
#include "data/formats.h"
#include "prepare.h"

#define KEPT_MOST 256 /* columns that are remembered; a wider table's last ones are not looked at */

static struct {
	char *name; /* owned */
	int64_t n_bytes;
} kept[KEPT_MOST];
static int n_kept;

void columns_forget(void)
{
	while (n_kept)
		mem_free(kept[--n_kept].name);
}

int64_t columns_bytes(enum pack_part part, const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "%s.%s", pack_part_names[part], name);
	for (int i = 0; i < n_kept; i++)
		if (!strcmp(kept[i].name, path))
			return kept[i].n_bytes;
	return -1;
}

void column_open(struct column *c, const struct prepare *p, enum pack_part part, const char *name, size_t room)
{
	(void)p;
	(void)room;
	*c = (struct column){ .path = mem_printf("%s.%s", pack_part_names[part], name) };
}

td_status column_add(struct column *c, const void *bytes, size_t n, struct err *e)
{
	(void)e;
	if (n > c->room - c->n) {
		c->room = TD_MAX(c->n + n, 2 * c->room);
		c->buffer = mem_realloc(c->buffer, c->room);
	}
	if (n)
		memcpy(c->buffer + c->n, bytes, n);
	c->n += n;
	c->n_bytes += (int64_t)n;
	return TD_OK;
}

td_status column_flush(struct column *c, struct err *e)
{
	(void)e;
	c->made = true;
	return TD_OK;
}

void column_drop(struct column *c)
{
	c->made = false;
	column_release(c);
}

void column_release(struct column *c)
{
	if (c->made && n_kept < KEPT_MOST) {
		kept[n_kept].name = c->path;
		kept[n_kept++].n_bytes = c->n_bytes;
	} else {
		mem_free(c->path);
	}
	mem_free(c->buffer);
	*c = (struct column){ 0 };
}

td_status column_call(struct column *c, const struct prepare *p, enum pack_part part, const char *name, struct err *e)
{
	(void)p;
	(void)e;
	TD_ASSERT(c->made);
	mem_free(c->path);
	c->path = mem_printf("%s.%s", pack_part_names[part], name);
	return TD_OK;
}

td_status column_replace(struct column *c, struct column *by, struct err *e)
{
	(void)e;
	TD_ASSERT(by->made);
	mem_free(by->path);
	by->path = c->path;
	mem_free(c->buffer);
	*c = *by;
	*by = (struct column){ 0 };
	return TD_OK;
}

void *column_map(const struct column *c, struct err *e)
{
	(void)e;
	TD_ASSERT(c->made || !c->n_bytes);
	return c->n_bytes ? c->buffer : NULL;
}

void column_unmap(const struct column *c, void *bytes)
{
	TD_ASSERT(!bytes || bytes == c->buffer);
}

td_status column_rename(const struct column *c, const int32_t *rank, struct err *e)
{
	int32_t *codes = (int32_t *)c->buffer;

	(void)e;
	TD_ASSERT(c->made && c->n_bytes % (int64_t)sizeof *codes == 0);
	for (int64_t i = 0; i < c->n_bytes / (int64_t)sizeof *codes; i++)
		if (codes[i] >= 0)
			codes[i] = rank[codes[i]];
	return TD_OK;
}

td_status column_read(const struct column *c, int64_t at, void *to, size_t n, struct err *e)
{
	TD_ASSERT(c->made);
	if (at < 0 || at > c->n_bytes || (int64_t)n > c->n_bytes - at)
		return err_set(e, TD_IO, "%s ends early", c->path);
	if (n)
		memcpy(to, c->buffer + at, n);
	return TD_OK;
}
