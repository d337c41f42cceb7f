/* What a dataset is prepared from, as one stream of entries: files as they are, compressed files, the members of
 * archives, the files below folders.  Formats see names and bytes and need not know which of these they come from.
 *
 * Nothing is unpacked to disk, and nothing that an archive says is believed: names may not leave it, links and devices
 * are passed over, archives within archives are not opened, and what comes out is capped by what went in.
 *
 * The error objects of these functions must not be NULL: their status is what the functions return. */
#ifndef TD_DATA_SOURCE_H
#define TD_DATA_SOURCE_H

#include <fts.h>
#include <nettle/sha2.h>
#include <sys/types.h>
#include "data/prepare.h"

#define SOURCE_ENTRIES_MOST  10000000             /* of one dataset */
#define SOURCE_DEPTH_MOST    32                   /* folders within folders */
#define SOURCE_NAME_MOST     4096                 /* bytes of an entry's name */
#define SOURCE_UNPACKED_MOST ((int64_t)100 << 30) /* bytes that come out of packed files */
#define SOURCE_RATIO_MOST    200                  /* and as a multiple of their size: zeros reach 1000 */
#define SOURCE_UNPACKED_FREE ((int64_t)1 << 30)   /* more than the ratio, for small files */
#define SOURCE_WHERE         512                  /* bytes of an entry's place, for messages */

struct source_entry {
	const char *name; /* path in its archive or folder, or the file's own name; UTF-8, no "." or ".." parts; until
			     the next */
	const char *file; /* the dataset's file that it is in; borrowed */
	bool inside;      /* it has a path: an archive or a folder is around it */
	int64_t n_bytes;  /* -1: not known before it is read */
};

struct source {
	const struct prepare_file *files; /* borrowed */
	int n_files;
	uint64_t *stamps;          /* owned; of each file when reading began */
	int at;                    /* of FILES, the one being read */
	FTS *folder;               /* owned; NULL: it is no folder */
	int fd;                    /* -1: none open */
	struct archive *archive;   /* owned; NULL: FD is read as it is */
	bool raw;                  /* ARCHIVE is one compressed file, no archive */
	struct source_entry entry; /* the present one */
	char *name;                /* owned; ENTRY's */
	char *buffer;              /* owned; bytes of the entry that were read ahead */
	size_t taken, held;        /* of BUFFER */
	char where[SOURCE_WHERE];  /* "photos.zip: cats/1.jpg"; for messages */
	int64_t n_entries;
	int64_t n_links;                         /* links and devices passed over */
	int64_t n_total;                         /* bytes of all files; of folders once they were hashed */
	int64_t n_before;                        /* bytes of the files that were read before the open one */
	int64_t n_packed;                        /* bytes of packed files so far */
	int64_t n_unpacked;                      /* bytes that came out of them */
	void (*told)(void *of, int64_t n_bytes); /* called with the bytes of input that were read; may be NULL */
	void *of;
};

/* Borrows FILES.  Fails where a file is not there. */
td_status source_init(struct source *s, const struct prepare_file *files, int n_files, struct err *e);
void source_release(struct source *s);
/* TD_CONFLICT: a file is not what it was at source_init. */
td_status source_unchanged(const struct source *s, struct err *e);
/* From the beginning again. */
void source_rewind(struct source *s);
/* Step to the next entry that is a file and not hidden.  1: it is in S->entry; 0: there is none; -1: E says why. */
int source_next(struct source *s, struct err *e);
/* At most N bytes of the entry.  0: its end; -1: E says why, with its place. */
ssize_t source_read(struct source *s, void *to, size_t n, struct err *e);
/* Exactly N bytes; fewer are TD_CORRUPT. */
td_status source_read_exactly(struct source *s, void *to, size_t n, struct err *e);
/* The whole entry into OUT (cleared first); more than OUT's cap is TD_TOO_LARGE. */
td_status source_read_all(struct source *s, struct buf *out, struct err *e);

/* Feed KEY with the name and the SHA-256 of every file, those below folders too, in order.  S->n_total is exact then.
 */
td_status source_hash(struct source *s, struct sha256_ctx *key, struct err *e);

/* What of a name formats ask: the part behind the last "/"; whether it ends in ".EXT", whatever the case; whether it
 * speaks of the test part ("test", "t10k", "val"), in its last part. */
const char *source_base(const char *name);
bool source_has_ending(const char *name, const char *ending);
bool source_is_test(const char *name);

#endif
