/* Files that survive a crash: see file.h. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES 65536
#define COPY_BYTES (1 << 20) /* by one call */

td_status file_sync(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	td_status s = TD_OK;

	if (fd < 0)
		return err_errno(e, "opening %s", path);
	if (fsync(fd))
		s = err_errno(e, "syncing %s", path);
	close(fd);
	return s;
}

td_status file_sync_folder(const char *folder, struct err *e)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd))
		err_errno(e, "syncing %s", folder);
	if (fd >= 0)
		close(fd);
	return e->status;
}

static td_status sync_parent(const char *path, struct err *e)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? mem_strndup(path, (size_t)(slash - path) + (slash == path)) : mem_strdup(".");
	td_status s = file_sync(folder, e);

	mem_free(folder);
	return s;
}

td_status file_rename(const char *from, const char *to, struct err *e)
{
	if (rename(from, to))
		return err_errno(e, "renaming %s to %s", from, to);
	return sync_parent(to, e);
}

static td_status write_all(int fd, const char *bytes, size_t n, const char *path, struct err *e)
{
	while (n) {
		ssize_t put = write(fd, bytes, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_errno(e, "writing %s", path);
		bytes += put;
		n -= (size_t)put;
	}
	return fsync(fd) ? err_errno(e, "syncing %s", path) : TD_OK;
}

td_status file_write(const char *path, const void *bytes, size_t n, struct err *e)
{
	char *part = mem_printf("%s.part", path);
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	td_status s;

	if (fd < 0) {
		s = err_errno(e, "creating %s", part);
		goto out;
	}
	s = write_all(fd, bytes, n, part, e);
	close(fd);
	if (s)
		unlink(part);
	else
		s = file_rename(part, path, e);
out:
	mem_free(part);
	return s;
}

static td_status copy(const char *from, const char *to, struct err *e)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW),
	    out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t n = in < 0 || out < 0 ? -1 : 1;
	td_status s = TD_OK;

	while (n > 0)
		n = sendfile(out, in, NULL, COPY_BYTES);
	if (n < 0 || fsync(out))
		s = err_errno(e, "copying %s to %s", from, to);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	if (s && out >= 0)
		unlink(to);
	return s;
}

td_status file_link(const char *from, const char *to, struct err *e)
{
	if (!link(from, to))
		return TD_OK;
	if (errno == ENOENT)
		return err_set(e, TD_NOT_FOUND, "there is no file %s", from);
	return copy(from, to, e);
}

td_status file_read(const char *path, struct buf *out, struct err *e)
{
	char chunk[READ_BYTES];
	FILE *f = fopen(path, "re");
	td_status s = TD_OK;
	size_t n;

	if (!f)
		return err_errno(e, "opening %s", path);
	while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
		if (!buf_append(out, chunk, n)) {
			s = err_set(e, TD_TOO_LARGE, "%s is larger than %zu bytes", path, out->cap);
			break;
		}
	if (!s && ferror(f))
		s = err_errno(e, "reading %s", path);
	fclose(f);
	return s;
}

td_status file_make_folder(const char *path, struct err *e)
{
	char *copy = mem_strdup(path);
	td_status s = TD_OK;

	for (char *p = copy + 1; !s; p++) {
		char c = *p;
		if (c != '/' && c)
			continue;
		*p = '\0';
		if (mkdir(copy, 0700) && errno != EEXIST)
			s = err_errno(e, "creating the folder %s", copy);
		*p = c;
		if (!c)
			break;
	}
	mem_free(copy);
	return s;
}

td_status file_remove_tree(const char *path, struct err *e)
{
	td_status s = TD_OK;
	struct dirent *d;
	DIR *dir;

	if (!unlink(path) || errno == ENOENT)
		return TD_OK;
	dir = opendir(path);
	if (!dir)
		return err_errno(e, "removing %s", path);
	while (!s && (d = readdir(dir))) {
		char *child;
		if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, ".."))
			continue;
		child = mem_printf("%s/%s", path, d->d_name);
		s = file_remove_tree(child, e);
		mem_free(child);
	}
	closedir(dir);
	if (!s && rmdir(path) && errno != ENOENT)
		s = err_errno(e, "removing %s", path);
	return s;
}

static void hexadecimal(const uint8_t digest[SHA256_DIGEST_SIZE], char out[SHA256_TEXT])
{
	for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void sha256_of(const void *bytes, size_t n, char out[SHA256_TEXT])
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, n, bytes);
	sha256_digest(&ctx, sizeof digest, digest);
	hexadecimal(digest, out);
}

td_status sha256_of_file(const char *path, char out[SHA256_TEXT], int64_t *n_bytes, struct err *e)
{
	uint8_t digest[SHA256_DIGEST_SIZE], chunk[READ_BYTES];
	FILE *f = fopen(path, "re");
	td_status s = TD_OK;
	struct sha256_ctx ctx;
	int64_t total = 0;
	size_t n;

	if (!f)
		return err_errno(e, "opening %s", path);
	sha256_init(&ctx);
	while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
		sha256_update(&ctx, n, chunk);
		total += (int64_t)n;
	}
	if (ferror(f))
		s = err_errno(e, "reading %s", path);
	fclose(f);
	sha256_digest(&ctx, sizeof digest, digest);
	hexadecimal(digest, out);
	if (n_bytes)
		*n_bytes = total;
	return s;
}
