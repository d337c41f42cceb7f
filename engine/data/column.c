/* A pack's columns as files: see column.h.  All that a preparation writes while it decodes is written here. */
#include "data/column.h"
#include "data/formats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char *column_path(const struct prepare *p, enum pack_part part, const char *name)
{
	return mem_printf("%s/%s.%s", p->order->folder, pack_part_names[part], name);
}

void column_open(struct column *c, const struct prepare *p, enum pack_part part, const char *name, size_t room)
{
	*c = (struct column){ .path = column_path(p, part, name), .room = room };
}

static td_status append(struct column *c, const uint8_t *bytes, size_t n, struct err *e)
{
	int fd = open(c->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND | (c->made ? 0 : O_TRUNC), 0600);
	td_status s = TD_OK;

	if (fd < 0)
		return err_errno(e, "creating %s", c->path);
	c->made = true;
	while (n && !s) {
		ssize_t put = write(fd, bytes, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			s = err_errno(e, "writing %s", c->path);
		} else {
			bytes += put;
			n -= (size_t)put;
		}
	}
	close(fd);
	return s;
}

td_status column_flush(struct column *c, struct err *e)
{
	td_status s = c->n || !c->made ? append(c, c->buffer, c->n, e) : TD_OK;

	c->n = 0;
	return s;
}

td_status column_add(struct column *c, const void *bytes, size_t n, struct err *e)
{
	td_status s = TD_OK;

	if (n > c->room - c->n)
		s = column_flush(c, e);
	c->n_bytes += (int64_t)n;
	if (s)
		return s;
	if (n >= c->room)
		return append(c, bytes, n, e);
	if (!c->buffer) /* many columns stay empty: those of a part that is not there */
		c->buffer = mem_alloc(c->room);
	if (n)
		memcpy(c->buffer + c->n, bytes, n);
	c->n += n;
	return TD_OK;
}

void column_release(struct column *c)
{
	mem_free(c->path);
	mem_free(c->buffer);
	*c = (struct column){ 0 };
}

void column_drop(struct column *c)
{
	if (c->made)
		unlink(c->path);
	column_release(c);
}

td_status column_call(struct column *c, const struct prepare *p, enum pack_part part, const char *name, struct err *e)
{
	char *path = column_path(p, part, name);

	if (rename(c->path, path)) {
		mem_free(path);
		return err_errno(e, "renaming %s", c->path);
	}
	mem_free(c->path);
	c->path = path;
	return TD_OK;
}

td_status column_replace(struct column *c, struct column *by, struct err *e)
{
	if (rename(by->path, c->path))
		return err_errno(e, "renaming %s", by->path);
	c->n_bytes = by->n_bytes;
	column_release(by);
	return TD_OK;
}

void *column_map(const struct column *c, struct err *e)
{
	int fd = c->n_bytes ? open(c->path, O_RDWR | O_CLOEXEC) : -1;
	void *bytes;

	if (!c->n_bytes)
		return NULL;
	bytes = fd < 0 ? MAP_FAILED : mmap(NULL, (size_t)c->n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		err_errno(e, "mapping %s", c->path);
	if (fd >= 0)
		close(fd);
	return bytes == MAP_FAILED ? NULL : bytes;
}

void column_unmap(const struct column *c, void *bytes)
{
	if (bytes)
		munmap(bytes, (size_t)c->n_bytes);
}

/* In pieces: mapped pages would count as the process's memory. */
td_status column_rename(const struct column *c, const int32_t *rank, struct err *e)
{
	int32_t *piece = mem_alloc(COLUMN_ROOM);
	int fd = open(c->path, O_RDWR | O_CLOEXEC);
	td_status s = fd < 0 ? err_errno(e, "opening %s", c->path) : TD_OK;

	for (int64_t at = 0; at < c->n_bytes && !s;) {
		ssize_t n = pread(fd, piece, COLUMN_ROOM, at);

		for (ssize_t i = 0; i < n / (ssize_t)sizeof *piece; i++)
			if (piece[i] >= 0)
				piece[i] = rank[piece[i]];
		if (n <= 0 || n % (ssize_t)sizeof *piece || pwrite(fd, piece, (size_t)n, at) != n)
			s = err_errno(e, "rewriting %s", c->path);
		at += n;
	}
	if (fd >= 0)
		close(fd);
	mem_free(piece);
	return s;
}

td_status column_read(const struct column *c, int64_t at, void *to, size_t n, struct err *e)
{
	int fd = open(c->path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : pread(fd, to, n, at);

	if (fd >= 0)
		close(fd);
	if (got < 0)
		return err_errno(e, "reading %s", c->path);
	return (size_t)got == n ? TD_OK : err_set(e, TD_IO, "%s ends early", c->path);
}
