/* A growing file: see part.h. */
#include "part.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_BYTES       (1 << 20) /* of an old part, a step: below a millisecond */
#define WRITE_BACK_BYTES (4 << 20) /* the disk begins early, so that the sync at the end is short */

void part_init(struct part *p)
{
	*p = (struct part){ .fd = -1 };
	sha256_init(&p->hash);
}

td_status part_open(struct part *p, const char *path, struct err *e)
{
	struct stat st;

	part_init(p);
	p->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (p->fd < 0 || fstat(p->fd, &st)) {
		err_errno(e, "opening %s", path);
		part_close(p);
		return e->status;
	}
	p->n = st.st_size;
	return TD_OK;
}

void part_close(struct part *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

bool part_hash(struct part *p)
{
	uint8_t *piece = mem_alloc(HASH_BYTES);
	ssize_t n = pread(p->fd, piece, HASH_BYTES, p->n_hashed);

	if (n > 0) {
		sha256_update(&p->hash, (size_t)n, piece);
		p->n_hashed += n;
	} else {
		part_empty(p, NULL);
	}
	mem_free(piece);
	return n > 0;
}

td_status part_append(struct part *p, const void *bytes, size_t n, struct err *e)
{
	for (size_t at = 0; at < n;) {
		ssize_t put = write(p->fd, (const char *)bytes + at, n - at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_errno(e, "writing it after %lld bytes", (long long)p->n);
		at += (size_t)put;
		p->n += put;
	}
	sha256_update(&p->hash, n, bytes);
	p->n_hashed += (int64_t)n;
	if (p->n - p->n_written_back >= WRITE_BACK_BYTES) {
		sync_file_range(p->fd, p->n_written_back, p->n - p->n_written_back, SYNC_FILE_RANGE_WRITE);
		p->n_written_back = p->n;
	}
	return TD_OK;
}

td_status part_empty(struct part *p, struct err *e)
{
	if (p->fd >= 0 && ftruncate(p->fd, 0))
		return err_errno(e, "emptying a part");
	p->n = p->n_hashed = p->n_written_back = 0;
	sha256_init(&p->hash);
	return TD_OK;
}

td_status part_finish(struct part *p, char sha256[SHA256_TEXT], struct err *e)
{
	uint8_t digest[SHA256_DIGEST_SIZE];

	TD_ASSERT(p->n_hashed == p->n);
	sha256_digest(&p->hash, sizeof digest, digest);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(sha256 + 2 * i, 3, "%02x", digest[i]);
	if (fsync(p->fd))
		err_errno(e, "syncing it");
	part_close(p);
	return e->status;
}
