/* The datasets that Tandem can fetch by itself: names, files, addresses, sizes, checksums.  Data, and nothing else. */
#ifndef FETCH_KNOWN_H
#define FETCH_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KNOWN_FILES_MOST 4

struct known_file {
	const char *name;   /* in the dataset's folder; appended to the base address */
	const char *sha256; /* lower-case hexadecimal */
	int64_t n_bytes;    /* exactly */
};

struct known_dataset {
	const char *name;
	const char *base_url; /* ends in '/' */
	struct known_file files[KNOWN_FILES_MOST];
	int n_files;
	const char *format; /* JSON: how the files are to be read */
	const char *info;   /* JSON: what its pack's info.json will say of shapes and classes */
};

/* NULL: not known. */
const struct known_dataset *known_dataset(const char *name);
/* The I-th of the table; NULL: there are no more. */
const struct known_dataset *known_at(size_t i);
/* Whether FOLDER holds all files of D in their right sizes. */
bool known_complete(const struct known_dataset *d, const char *folder);

#endif
