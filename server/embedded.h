/* Files that are part of the program, so that a deployment is two binaries and nothing else: the dashboard, the
 * migrations and the job's schema.  The table is written by embed.sh at build time. */
#ifndef EMBEDDED_H
#define EMBEDDED_H

#include <stddef.h>

struct embedded_file {
	const char *path;          /* "web/index.html", "migrations/0001_init.sql", "schema/job.json" */
	const char *media_type;    /* by the file's extension */
	const unsigned char *data; /* a zero byte follows that N_BYTES does not count: text is a string */
	size_t n_bytes;
};

/* All of them, sorted by path in the order of strcmp. */
extern const struct embedded_file embedded_files[];
extern const size_t n_embedded_files;

/* The file of exactly this PATH, or NULL. */
const struct embedded_file *embedded_find(const char *path);

#endif
