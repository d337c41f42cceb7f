/* IDX: two zero bytes, a type (8: unsigned byte), the number of axes, their sizes as big-endian 32-bit numbers, the
 * elements. The files come from elsewhere: nothing in a header is believed before it is checked. */
#include "data/data.h"

#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define IDX_UNSIGNED_BYTE 8
#define READ_MOST         (1u << 30) /* bytes that one gzread may ask for: its count is an int */

static td_status gz_failed(gzFile f, const char *path, struct err *e)
{
	int code;
	const char *text = gzerror(f, &code);

	if (code == Z_ERRNO)
		return err_errno(e, "reading %s", path);
	return err_set(e, TD_CORRUPT, "%s is damaged: %s; fetch it again", path, code ? text : "it ends too early");
}

/* Exactly N bytes, or a status. */
static td_status read_exactly(gzFile f, const char *path, uint8_t *out, int64_t n, struct err *e)
{
	while (n > 0) {
		int got = gzread(f, out, (unsigned)TD_MIN(n, (int64_t)READ_MOST));
		if (got <= 0)
			return gz_failed(f, path, e);
		out += got;
		n -= got;
	}
	return TD_OK;
}

static td_status read_header(
	gzFile f, const char *path, int rank, int64_t bytes_most, struct idx *out, int64_t *n_bytes, struct err *e)
{
	uint8_t magic[4], size[4];
	td_status s = read_exactly(f, path, magic, sizeof magic, e);

	if (s)
		return s;
	if (magic[0] || magic[1] || magic[2] != IDX_UNSIGNED_BYTE || magic[3] != rank)
		return err_set(e, TD_CORRUPT,
			"%s begins with the bytes %02x %02x %02x %02x, not with 00 00 08 %02x (IDX, unsigned bytes, %d "
			"axes); "
			"is it another file?",
			path, magic[0], magic[1], magic[2], magic[3], (unsigned)rank, rank);
	out->rank = rank;
	*n_bytes = 1;
	for (int i = 0; i < rank; i++) {
		s = read_exactly(f, path, size, sizeof size, e);
		if (s)
			return s;
		out->dim[i] = (int64_t)size[0] << 24 | size[1] << 16 | size[2] << 8 | size[3];
		if (out->dim[i] == 0 || __builtin_mul_overflow(*n_bytes, out->dim[i], n_bytes) || *n_bytes > bytes_most)
			return err_set(e, TD_CORRUPT,
				"%s: axis %d of its header has size %lld, which cannot be (at most %lld bytes in all)",
				path, i, (long long)out->dim[i], (long long)bytes_most);
	}
	return TD_OK;
}

/* Nothing follows; this is also where zlib compares the checksum. */
static td_status check_end(gzFile f, const char *path, struct err *e)
{
	uint8_t more;
	int got = gzread(f, &more, 1);

	if (got > 0)
		return err_set(e, TD_CORRUPT, "%s is longer than its header says; fetch it again", path);
	return got < 0 ? gz_failed(f, path, e) : TD_OK;
}

td_status idx_read(const char *path, int rank, int64_t bytes_most, int64_t n_most, struct idx *out, struct err *e)
{
	gzFile f = gzopen(path, "rbe");
	int64_t n_bytes = 0;
	bool whole = false;
	td_status s;

	TD_ASSERT(rank >= 1 && rank <= IDX_RANK_MOST);
	memset(out, 0, sizeof *out);
	if (!f)
		return err_errno(e, "opening %s", path);
	gzbuffer(f, 1 << 17);
	s = read_header(f, path, rank, bytes_most, out, &n_bytes, e);
	if (s)
		goto out;
	whole = !n_most || n_most >= out->dim[0];
	out->n = whole ? out->dim[0] : n_most;
	n_bytes = n_bytes / out->dim[0] * out->n;
	out->bytes = mem_try_alloc((size_t)n_bytes);
	if (!out->bytes) {
		s = err_set(e, TD_NO_MEMORY, "no memory for the %lld bytes of %s", (long long)n_bytes, path);
		goto out;
	}
	s = read_exactly(f, path, out->bytes, n_bytes, e);
	if (!s && whole)
		s = check_end(f, path, e);
out:
	if (gzclose_r(f) == Z_BUF_ERROR && !s && whole) /* the file ends within the stream's trailer */
		s = err_set(e, TD_CORRUPT, "%s is damaged: it ends too early", path);
	if (s)
		idx_release(out);
	return s;
}

void idx_release(struct idx *i)
{
	mem_free(i->bytes);
	memset(i, 0, sizeof *i);
}
