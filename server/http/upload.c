/* Bodies that are written to a file as they come: of any size up to the route's cap, in constant memory.
 *
 * The route says before the first byte where the file grows and how large it may become; its handler, called when all
 * bytes are there and durable, gives the file its name.  A body that breaks off, is refused or finds no room leaves
 * nothing behind. */
#include "http/connection.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

static bool refuse(struct connection *c, const struct err *e)
{
	router_fail(c, e);
	upload_discard(c);
	return false;
}

/* Better told now than when the disk is full. */
static td_status check_room(const char *path, int64_t declared, struct err *e)
{
	struct statvfs disk;
	int64_t room;

	if (statvfs(path, &disk))
		return TD_OK;
	room = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
	if (declared <= room)
		return TD_OK;
	return err_set(e, TD_NO_SPACE, "the body has %lld bytes, and the disk has room for %lld", (long long)declared,
		(long long)room);
}

static td_status refuse_size(const struct connection *c, const char *how, int64_t n_bytes, struct err *e)
{
	return err_set(e, TD_TOO_LARGE, "the body has %s%lld bytes; %s %s takes at most %lld", how, (long long)n_bytes,
		c->q.method, c->q.path, (long long)c->q.upload.most);
}

bool upload_begin(struct connection *c, int64_t declared)
{
	struct upload *u = &c->q.upload;
	struct err e = { 0 };

	if (c->route->open(&c->q, u, &e))
		return refuse(c, &e);
	TD_ASSERT(u->path);
	if (declared > u->most)
		refuse_size(c, "", declared, &e);
	else if (!part_open(&c->part, u->path, &e))
		check_room(u->path, declared, &e);
	return e.status ? refuse(c, &e) : true;
}

bool upload_take(struct connection *c, const void *bytes, size_t n)
{
	struct err e = { 0 };

	if ((int64_t)n > c->q.upload.most - c->part.n)
		refuse_size(c, "more than ", c->q.upload.most, &e);
	else
		part_append(&c->part, bytes, n, &e);
	return e.status ? refuse(c, &e) : true;
}

bool upload_end(struct connection *c)
{
	struct upload *u = &c->q.upload;
	struct err e = { 0 };

	u->n_bytes = c->part.n;
	return part_finish(&c->part, u->sha256, &e) ? refuse(c, &e) : true;
}

void upload_discard(struct connection *c)
{
	struct upload *u = &c->q.upload;

	part_close(&c->part);
	if (u->path)
		unlink(u->path);
	mem_free(u->path);
	u->path = NULL;
}

td_status upload_keep(struct upload *u, const char *path, struct err *e)
{
	td_status s = file_rename(u->path, path, e);

	if (!s) {
		mem_free(u->path);
		u->path = NULL;
	}
	return s;
}
