/* Files that survive a crash: written under another name, synced, renamed, and their folder synced. */
#ifndef TD_BASE_FILE_H
#define TD_BASE_FILE_H

#include <stdint.h>
#include "base/buf.h"

#define SHA256_TEXT 65 /* 64 hexadecimal digits and the zero byte */

/* Replace PATH by N bytes, atomically and durably. */
td_status file_write(const char *path, const void *bytes, size_t n, struct err *e);
/* Make PATH durable: fsync it (a file or a folder). */
td_status file_sync(const char *path, struct err *e);
/* Make all that was written into FOLDER durable, at once: one by one, thousands of small files would take a minute. */
td_status file_sync_folder(const char *folder, struct err *e);
/* Rename durably: TO's folder is synced. */
td_status file_rename(const char *from, const char *to, struct err *e);
/* A second name for the file FROM, whose bytes never change; where the file system knows no links, a synced copy.  The
 * folder of TO is not synced.  TD_NOT_FOUND: there is no FROM (any more). */
td_status file_link(const char *from, const char *to, struct err *e);
/* Read all of PATH into OUT (initialised by the caller); more than OUT's cap is TD_TOO_LARGE. */
td_status file_read(const char *path, struct buf *out, struct err *e);
/* mkdir -p, mode 0700. */
td_status file_make_folder(const char *path, struct err *e);
/* rm -r; what is not there is fine.  Symbolic links are removed, not followed. */
td_status file_remove_tree(const char *path, struct err *e);
/* SHA-256 in lower-case hexadecimal. */
void sha256_of(const void *bytes, size_t n, char out[SHA256_TEXT]);
td_status sha256_of_file(const char *path, char out[SHA256_TEXT], int64_t *n_bytes, struct err *e);

#endif
