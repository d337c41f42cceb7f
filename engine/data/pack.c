/* Packs: the format, and the mapping of their columns.
 *
 * A pack is a folder.  info.json says what it holds: {"version", "dataset", "input_bytes" (of the files that it was
 * made of), "kind", "parts": {"train": {"samples"}, "test": {"samples"}}} and by kind what pack.h's neighbours need to
 * read the columns.  A column is the file PART.NAME: little-endian numbers or bytes and nothing else, so that mapping
 * it is reading it.
 *
 * - images: images u8 [n][C][H][W], labels i32 [n]; where sizes differ also sizes i32 [n][2] and offsets i64 [n+1]
 * - arrays: x and y, of the types and shapes that info.json gives
 * - table: column-K, K from 0: f64 (NaN: missing) of numbers, i32 (-1: missing) of categories
 * - text: text, UTF-8
 * - labelled_text: text, offsets i64 [n+1], labels i32 [n]
 * - tagged_text: text (a sample's words, each but the last followed by a line end), offsets i64 [n+1], tags i32,
 *   tag_offsets i64 [n+1]
 *
 * A pack is whole once its folder has its name, and never changes after that, so sizes are checked once, here. */
#include "data/pack.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const pack_kind_names[] = { "images", "arrays", "table", "text", "labelled_text", "tagged_text", NULL };
const char *const pack_part_names[] = { "train", "test", NULL };

static td_status map_file(int fd, const char *path, int64_t n_bytes, struct pack_column *out, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st))
		return err_errno(e, "reading the size of %s", path);
	if (n_bytes >= 0 && st.st_size != n_bytes)
		return err_set(e, TD_CORRUPT, "%s has %lld bytes, but the dataset needs %lld; prepare it again", path,
			(long long)st.st_size, (long long)n_bytes);
	if (!st.st_size)
		return TD_OK;
	out->data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	out->n_bytes = st.st_size;
	if (out->data != MAP_FAILED)
		return TD_OK;
	*out = (struct pack_column){ 0 };
	return err_errno(e, "mapping %s", path);
}

td_status pack_map(const char *folder, enum pack_part part, const char *name, int64_t n_bytes, struct pack_column *out,
	struct err *e)
{
	char *path = mem_printf("%s/%s.%s", folder, pack_part_names[part], name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	td_status s;

	*out = (struct pack_column){ 0 };
	if (fd >= 0)
		s = map_file(fd, path, n_bytes, out, e);
	else if (errno == ENOENT)
		s = err_set(e, TD_NOT_FOUND, "%s is not there; prepare the dataset again", path);
	else
		s = err_errno(e, "opening %s", path);
	if (fd >= 0)
		close(fd);
	mem_free(path);
	return s;
}

void pack_unmap(struct pack_column *c)
{
	if (c->data)
		munmap((void *)(uintptr_t)c->data, (size_t)c->n_bytes);
	*c = (struct pack_column){ 0 };
}
