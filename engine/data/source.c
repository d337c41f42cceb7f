/* Files, compressed files, archives and folders as one stream of entries: see source.h.
 *
 * Two loops stand inside each other: over files (a folder's files are met in the order of their names), and over the
 * members of the one that is open.  A file that is not packed is its own single member. */
#include "data/source.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES (1 << 16) /* of one read */
#define PEEK_BYTES 512       /* where the magic of all packed files stands; a block of tar */

/* ---- Names ------------------------------------------------------------------------------------------------------- */

const char *source_base(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

bool source_has_ending(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);

	return n > m && name[n - m - 1] == '.' && !strcasecmp(name + n - m, ending);
}

static size_t letters(const char *at)
{
	size_t n = 0;

	while ((at[n] >= 'a' && at[n] <= 'z') || (at[n] >= 'A' && at[n] <= 'Z'))
		n++;
	return n;
}

/* A word of letters that means the test part: "test" alone, behind one letter ("Xtest"), or before one of a few. */
static bool word_is_test(const char *word, size_t n)
{
	static const char *const words[] = { "test", "testing", "testset", "testdata", "testimages", "testlabels",
		"testbatch", "val", "valid", "validation", "valset" };

	for (size_t i = 0; i < TD_COUNT(words); i++) {
		size_t m = strlen(words[i]);
		if (n >= m && n <= m + 1 && !strncasecmp(word + n - m, words[i], m))
			return n == m || words[i][0] == 't';
	}
	return false;
}

bool source_is_test(const char *name)
{
	const char *base = source_base(name);

	for (const char *at = base; *at;) {
		size_t n = letters(at);
		if (word_is_test(at, n))
			return true;
		at += n ? n : 1;
	}
	return strcasestr(base, "t10k") != NULL;
}

/* Files that systems leave behind, and that nobody means. */
static bool is_hidden(const char *name)
{
	const char *part = name, *slash;

	do {
		slash = strchr(part, '/');
		if (*part == '.' || !strncmp(part, "__MACOSX/", 9))
			return true;
		part = slash ? slash + 1 : part;
	} while (slash);
	return !strcasecmp(source_base(name), "Thumbs.db") || !strcasecmp(source_base(name), "desktop.ini");
}

/* Drop "." and empty parts in place.  False: the name is absolute or goes up. */
static bool clean_name(char *name)
{
	char *to = name;

	if (name[0] == '/')
		return false;
	for (char *part = name, *next; part; part = next) {
		char *slash = strchr(part, '/');
		size_t n = slash ? (size_t)(slash - part) : strlen(part);

		next = slash ? slash + 1 : NULL;
		if (n == 2 && part[0] == '.' && part[1] == '.')
			return false;
		if (!n || (n == 1 && part[0] == '.'))
			continue;
		if (to > name)
			*to++ = '/';
		memmove(to, part, n);
		to += n;
	}
	*to = '\0';
	return true;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static const struct prepare_file *present(const struct source *s)
{
	return &s->files[s->at];
}

static void close_file(struct source *s)
{
	struct stat st;

	if (s->archive)
		archive_read_free(s->archive);
	if (s->fd >= 0) {
		if (!fstat(s->fd, &st))
			s->n_before += st.st_size;
		close(s->fd);
	}
	s->archive = NULL;
	s->fd = -1;
}

static void set_entry(struct source *s, const char *name, bool inside, int64_t n_bytes)
{
	if (name != s->name) {
		mem_free(s->name);
		s->name = mem_strdup(name);
	}
	s->taken = s->held = 0;
	s->entry = (struct source_entry){ s->name, present(s)->name, inside, n_bytes };
	if (inside)
		snprintf(s->where, sizeof s->where, "%.200s: %.280s", present(s)->name, s->name);
	else
		snprintf(s->where, sizeof s->where, "%.400s", present(s)->name);
}

/* Packed files that are not read, by how they begin. */
static const struct {
	const char *bytes;
	size_t n;
	const char *name;
} unread[] = {
	{ "BZh", 3, "bzip2" },
	{ "\x28\xb5\x2f\xfd", 4, "Zstandard" },
	{ "7z\xbc\xaf\x27\x1c", 6, "7-Zip" },
	{ "Rar!\x1a\x07", 6, "RAR" },
	{ "\x89HDF\r\n\x1a\n", 8, "HDF5" },
	{ "PAR1", 4, "Parquet" },
};

static bool is_packed(const uint8_t *b, ssize_t n)
{
	return (n >= 2 && b[0] == 0x1f && b[1] == 0x8b) ||
	       (n >= 6 && !memcmp(b,
				  "\xfd"
				  "7zXZ",
				  6)) ||
	       (n >= 4 && (!memcmp(b, "PK\3\4", 4) || !memcmp(b, "PK\5\6", 4))) ||
	       (n >= 262 && !memcmp(b + 257, "ustar", 5));
}

static td_status open_archive(struct source *s, struct err *e)
{
	s->archive = archive_read_new();
	TD_ASSERT(s->archive);
	archive_read_support_filter_gzip(s->archive);
	archive_read_support_filter_xz(s->archive);
	archive_read_support_format_tar(s->archive);
	archive_read_support_format_zip(s->archive);
	archive_read_support_format_raw(s->archive);
	archive_read_support_format_empty(s->archive);
	if (archive_read_open_fd(s->archive, s->fd, READ_BYTES) != ARCHIVE_OK)
		return err_set(
			e, TD_CORRUPT, "%s cannot be unpacked: %s", present(s)->name, archive_error_string(s->archive));
	return TD_OK;
}

/* PATH, called NAME where it lies in a folder.  Its first entry is not there yet. */
static td_status open_file(struct source *s, const char *path, const char *name, struct err *e)
{
	uint8_t begin[PEEK_BYTES];
	struct stat st;
	ssize_t n;

	/* Within a folder nothing is followed; a file of its own is where the order says. */
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (s->folder ? O_NOFOLLOW : 0));
	if (s->fd < 0 || fstat(s->fd, &st))
		return err_errno(e, "opening %s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, TD_INVALID, "%s is neither a file nor a folder", name);
	n = pread(s->fd, begin, sizeof begin, 0);
	if (n < 0)
		return err_errno(e, "reading %s", name);
	for (size_t i = 0; i < TD_COUNT(unread); i++)
		if (n >= (ssize_t)unread[i].n && !memcmp(begin, unread[i].bytes, unread[i].n))
			return err_set(e, TD_UNSUPPORTED,
				"%s is a %s file, which is not read; repack it as .zip or .tar.gz, or export CSV or "
				"NPY",
				name, unread[i].name);
	set_entry(s, name, s->folder != NULL, st.st_size);
	if (!is_packed(begin, n))
		return TD_OK;
	s->n_packed += st.st_size;
	return open_archive(s, e);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static td_status open_folder(struct source *s, const char *path, struct err *e)
{
	char *const paths[] = { (char *)path, NULL };

	s->folder = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	return s->folder ? TD_OK : err_errno(e, "reading the folder %s", path);
}

/* The next regular file below the open folder.  1: it is open; 0: the folder is done; -1: E says why. */
static int next_in_folder(struct source *s, struct err *e)
{
	size_t n_root = strlen(present(s)->path);
	FTSENT *f;

	while ((f = fts_read(s->folder))) {
		const char *name = f->fts_path + TD_MIN(n_root, strlen(f->fts_path));

		name += *name == '/';
		if (f->fts_info == FTS_D && f->fts_level > SOURCE_DEPTH_MOST) {
			err_set(e, TD_INVALID, "%.300s: more than %d folders within each other", name,
				SOURCE_DEPTH_MOST);
			return -1;
		}
		if (f->fts_info == FTS_D && f->fts_level && is_hidden(name))
			fts_set(s->folder, f, FTS_SKIP);
		s->n_links += f->fts_info == FTS_SL || f->fts_info == FTS_SLNONE || f->fts_info == FTS_DEFAULT;
		if (f->fts_info == FTS_DNR || f->fts_info == FTS_ERR || f->fts_info == FTS_NS) {
			errno = f->fts_errno;
			err_errno(e, "reading %.300s", name);
			return -1;
		}
		if (f->fts_info == FTS_F && !is_hidden(name))
			return open_file(s, f->fts_path, name, e) ? -1 : 1;
	}
	fts_close(s->folder);
	s->folder = NULL;
	return 0;
}

/* The next file, of the dataset's own or of the open folder. */
static int next_file(struct source *s, struct err *e)
{
	for (;;) {
		struct stat st;
		int got = s->folder ? next_in_folder(s, e) : 0;

		if (got)
			return got;
		if (s->at + 1 == s->n_files)
			return 0;
		s->at++;
		if (stat(present(s)->path, &st)) {
			err_errno(e, "opening %s", present(s)->name);
			return -1;
		}
		if (!S_ISDIR(st.st_mode))
			return open_file(s, present(s)->path, present(s)->name, e) ? -1 : 1;
		if (open_folder(s, present(s)->path, e))
			return -1;
	}
}

/* ---- Members of the open file ------------------------------------------------------------------------------------ */

static int archive_failed(struct source *s, struct err *e)
{
	const char *text = archive_error_string(s->archive);

	err_set(e, TD_CORRUPT, "%s: unpacking failed: %s; is the file whole?", s->where,
		text ? text : "no reason given");
	return -1;
}

/* A compressed file is called as it is without its ending. */
static void name_raw(struct source *s)
{
	char *name = mem_strdup(s->name);

	if (source_has_ending(name, "gz") || source_has_ending(name, "xz"))
		*strrchr(name, '.') = '\0';
	set_entry(s, name, s->folder != NULL, -1);
	mem_free(name);
}

static int name_member(struct source *s, struct archive_entry *member, struct err *e)
{
	const char *stored = archive_entry_pathname_utf8(member);
	char *name;

	if (!stored)
		stored = archive_entry_pathname(member);
	if (!stored || strlen(stored) > SOURCE_NAME_MOST || !utf8_valid(stored, strlen(stored))) {
		err_set(e, TD_INVALID, "%s: the name of entry %lld is not UTF-8 of at most %d bytes; rename it",
			present(s)->name, (long long)s->n_entries, SOURCE_NAME_MOST);
		return -1;
	}
	name = mem_strdup(stored);
	if (!clean_name(name)) {
		err_set(e, TD_INVALID,
			"%s: entry \"%.200s\" would lie outside of the archive; pack it with relative names and "
			"without \"..\"",
			present(s)->name, stored);
		mem_free(name);
		return -1;
	}
	set_entry(s, name, true, archive_entry_size_is_set(member) ? archive_entry_size(member) : -1);
	mem_free(name);
	return 0;
}

static int64_t unpacked_most(const struct source *s)
{
	return TD_MIN(SOURCE_UNPACKED_MOST, s->n_packed * SOURCE_RATIO_MOST + SOURCE_UNPACKED_FREE);
}

static int refuse_trap(const struct source *s, struct err *e)
{
	err_set(e, TD_TOO_LARGE,
		"%s: %lld bytes unpack to more than %lld; no dataset is packed so well, so this looks like a trap",
		s->where, (long long)s->n_packed, (long long)unpacked_most(s));
	return -1;
}

/* The next regular, visible member of the open archive. */
static int next_member(struct source *s, struct err *e)
{
	struct archive_entry *member;
	int got;

	while ((got = archive_read_next_header(s->archive, &member)) == ARCHIVE_OK || got == ARCHIVE_WARN) {
		if (++s->n_entries > SOURCE_ENTRIES_MOST) {
			err_set(e, TD_TOO_LARGE, "%s: more than %d entries", present(s)->name, SOURCE_ENTRIES_MOST);
			return -1;
		}
		if (archive_format(s->archive) == ARCHIVE_FORMAT_RAW) {
			name_raw(s);
			return 1;
		}
		if (name_member(s, member, e))
			return -1;
		/* Members that are passed over are unpacked too. */
		if (s->entry.n_bytes > unpacked_most(s) || archive_filter_bytes(s->archive, 0) > unpacked_most(s))
			return refuse_trap(s, e);
		if (archive_entry_filetype(member) == AE_IFREG && !archive_entry_hardlink(member)) {
			if (*s->name && !is_hidden(s->name))
				return 1;
		} else {
			s->n_links += archive_entry_filetype(member) != AE_IFDIR;
		}
	}
	return got == ARCHIVE_EOF ? 0 : archive_failed(s, e);
}

int source_next(struct source *s, struct err *e)
{
	for (;;) {
		int got;

		if (s->archive) {
			got = next_member(s, e);
			if (got)
				return got;
		}
		close_file(s);
		got = next_file(s, e);
		if (got <= 0)
			return got;
		if (!s->archive) {
			s->n_entries++;
			return 1;
		}
	}
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static void tell(struct source *s)
{
	off_t at = s->told ? lseek(s->fd, 0, SEEK_CUR) : 0;

	if (s->told && at >= 0)
		s->told(s->of, s->n_before + at);
}

static ssize_t read_packed(struct source *s, void *to, size_t n, struct err *e)
{
	la_ssize_t got = archive_read_data(s->archive, to, n);

	if (got < 0)
		return archive_failed(s, e);
	s->n_unpacked += got;
	return s->n_unpacked > unpacked_most(s) ? refuse_trap(s, e) : (ssize_t)got;
}

static ssize_t read_through(struct source *s, void *to, size_t n, struct err *e)
{
	ssize_t got;

	tell(s);
	if (s->archive)
		return read_packed(s, to, n, e);
	do
		got = read(s->fd, to, n);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		err_errno(e, "reading %s", s->where);
	return got;
}

/* Small reads come out of a buffer: formats of many small records need not keep one each. */
ssize_t source_read(struct source *s, void *to, size_t n, struct err *e)
{
	ssize_t got;

	if (s->taken == s->held && n >= READ_BYTES)
		return read_through(s, to, n, e);
	if (s->taken == s->held) {
		s->taken = s->held = 0;
		got = read_through(s, s->buffer, READ_BYTES, e);
		if (got <= 0)
			return got;
		s->held = (size_t)got;
	}
	n = TD_MIN(n, s->held - s->taken);
	memcpy(to, s->buffer + s->taken, n);
	s->taken += n;
	return (ssize_t)n;
}

td_status source_read_exactly(struct source *s, void *to, size_t n, struct err *e)
{
	char *at = to;

	while (n) {
		ssize_t got = source_read(s, at, n, e);
		if (got < 0)
			return e->status;
		if (!got)
			return err_set(e, TD_CORRUPT, "%s ends %zu bytes too early; is the file whole?", s->where, n);
		at += got;
		n -= (size_t)got;
	}
	return TD_OK;
}

td_status source_read_all(struct source *s, struct buf *out, struct err *e)
{
	char piece[16384];
	ssize_t got;

	buf_clear(out);
	while ((got = source_read(s, piece, sizeof piece, e)) > 0)
		if (!buf_append(out, piece, (size_t)got))
			return err_set(e, TD_TOO_LARGE, "%s has more than the %zu bytes that are read of such a file",
				s->where, out->cap);
	return got < 0 ? (e->status) : TD_OK;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

/* What changes with a file's bytes, without reading them.  A folder is looked at itself, not what is below it. */
static uint64_t stamp_of(const struct stat *st)
{
	const int64_t signs[] = { (int64_t)st->st_ino, st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec };
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < TD_COUNT(signs); i++)
		hash = (hash ^ (uint64_t)signs[i]) * 0x100000001b3u;
	return hash;
}

static td_status add_up(struct source *s, struct err *e)
{
	s->stamps = MEM_NEW_N(uint64_t, s->n_files);
	for (int i = 0; i < s->n_files; i++) {
		struct stat st;

		if (stat(s->files[i].path, &st))
			return err_errno(e, "opening %s", s->files[i].name);
		if (!S_ISDIR(st.st_mode))
			s->n_total += st.st_size;
		s->stamps[i] = stamp_of(&st);
	}
	return TD_OK;
}

td_status source_unchanged(const struct source *s, struct err *e)
{
	for (int i = 0; i < s->n_files; i++) {
		struct stat st;

		if (stat(s->files[i].path, &st))
			return err_errno(e, "looking at %s again", s->files[i].name);
		if (stamp_of(&st) != s->stamps[i])
			return err_set(e, TD_CONFLICT,
				"%s was changed while it was read; prepare the dataset again when nobody writes to it",
				s->files[i].name);
	}
	return TD_OK;
}

td_status source_init(struct source *s, const struct prepare_file *files, int n_files, struct err *e)
{
	*s = (struct source){ .files = files, .n_files = n_files, .at = -1, .fd = -1, .buffer = mem_alloc(READ_BYTES) };
	return add_up(s, e);
}

void source_rewind(struct source *s)
{
	close_file(s);
	if (s->folder)
		fts_close(s->folder);
	s->folder = NULL;
	s->at = -1;
	s->n_entries = s->n_links = s->n_before = s->n_packed = s->n_unpacked = 0;
}

void source_release(struct source *s)
{
	source_rewind(s);
	mem_free(s->name);
	mem_free(s->buffer);
	mem_free(s->stamps);
	s->name = s->buffer = NULL;
	s->stamps = NULL;
}

/* ---- Hashes ------------------------------------------------------------------------------------------------------ */

/* The open file's bytes, whether it is packed or not. */
static td_status hash_file(struct source *s, char out[SHA256_TEXT], struct err *e)
{
	uint8_t *piece = mem_alloc(READ_BYTES), digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx hash;
	int64_t at = 0;
	ssize_t n;

	sha256_init(&hash);
	while ((n = pread(s->fd, piece, READ_BYTES, at)) > 0) {
		sha256_update(&hash, (size_t)n, piece);
		at += n;
		s->n_total = TD_MAX(s->n_total, s->n_before + at);
		if (s->told)
			s->told(s->of, s->n_before + at);
	}
	mem_free(piece);
	if (n < 0)
		return err_errno(e, "reading %s", s->where);
	sha256_digest(&hash, sizeof digest, digest);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	return TD_OK;
}

td_status source_hash(struct source *s, struct sha256_ctx *key, struct err *e)
{
	char hash[SHA256_TEXT];
	td_status status;
	int got;

	for (source_rewind(s); (got = next_file(s, e)) > 0; close_file(s)) {
		status = hash_file(s, hash, e);
		if (status)
			return status;
		sha256_update(key, strlen(s->entry.file) + 1, (const uint8_t *)s->entry.file);
		sha256_update(key, strlen(s->name) + 1, (const uint8_t *)s->name);
		sha256_update(key, sizeof hash, (const uint8_t *)hash);
	}
	source_rewind(s);
	return got < 0 ? (e->status) : TD_OK;
}
