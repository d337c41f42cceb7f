/* Preparing: files of any format that is known here become a pack (pack.h), once.
 *
 * A preparation streams: its memory does not grow with the data, but for the names of classes and what a table's text
 * columns are made of.  It writes into one folder and nowhere else, so killing it at any time leaves that folder to be
 * removed.  The same files and the same "format" give the same bytes and the same key. */
#ifndef TD_DATA_PREPARE_H
#define TD_DATA_PREPARE_H

#include "base/file.h"
#include "nn/options.h"

#define PREPARE_KEY          33     /* 32 hexadecimal digits and the zero byte */
#define PREPARE_CLASSES_MOST 100000 /* classes of a dataset */
#define PREPARE_COLUMNS_MOST 16384  /* of a table */
#define PREPARE_FILES_MOST   1000   /* files of a dataset; an archive or a folder is one */
#define PREPARE_PROGRESS_MS  250    /* between two words about progress */

/* ---- "format" of a dataset ------------------------------------------------------------------------------------- */

enum prepare_type {
	PREPARE_AUTO,
	PREPARE_IDX,
	PREPARE_CIFAR,
	PREPARE_IMAGE_FOLDER,
	PREPARE_IMAGE_CSV,
	PREPARE_ARRAYS,
	PREPARE_TABLE,
	PREPARE_TEXT,
	PREPARE_LABELLED_TEXT,
	PREPARE_TAGGED_TEXT,
	PREPARE_N_TYPES
};

enum prepare_header { PREPARE_HEADER_AUTO, PREPARE_HEADER_YES, PREPARE_HEADER_NO };
enum prepare_column { PREPARE_NUMBER, PREPARE_CATEGORY, PREPARE_WORDS, PREPARE_IGNORED, PREPARE_N_COLUMNS };

/* A column's type as somebody corrected it. */
struct prepare_correction {
	const char *name; /* of the column, or its number from 1 */
	enum prepare_column type;
};

struct prepare_format {
	int type;                   /* enum prepare_type */
	int64_t image_size[2];      /* height, width; 0: as they are */
	int header;                 /* enum prepare_header */
	const char *delimiter;      /* one character; "": found out */
	const char *path_column;    /* name or number from 1; "": found out */
	const char *label_column;   /* likewise */
	const char *text_column;    /* likewise */
	double max_broken;          /* pictures that may be left out: a count, or below 1 a part of all */
	struct opt_strings classes; /* names in the order of the labels, for formats whose labels are numbers */
	double test;                /* part of the samples that becomes the test part, where the files have none */
	struct prepare_correction *columns; /* owned by the reading's arena */
	int n_columns;
};

extern const char *const prepare_type_names[];   /* "auto", ..., NULL */
extern const char *const prepare_column_names[]; /* "number", "category", "text", "ignored", NULL */

/* Read FORMAT (NULL or null: all defaults); as opt_read, under POINTER. */
void prepare_format_read(const cJSON *format, const char *pointer, struct prepare_format *out, struct arena *arena,
	struct faults *faults);
/* The schema of "format". */
cJSON *prepare_format_schema(cJSON *defs);

/* ---- A preparation ----------------------------------------------------------------------------------------------- */

struct prepare_file {
	const char *name; /* as the dataset calls it; says the part and, sometimes, the format */
	const char *path; /* a file or a folder */
};

struct prepare_order {
	const char *dataset;
	const cJSON *format; /* NULL: all defaults */
	const struct prepare_file *files;
	int n_files;
	const char *folder; /* where the pack's files go; exists and is empty */
	/* Bytes of input done, of TOTAL; at most every PREPARE_PROGRESS_MS.  May be NULL. */
	void (*progress)(void *of, int64_t done, int64_t total);
	void *of;
};

struct prepared {
	char key[PREPARE_KEY]; /* first digits of SHA-256 of version, format, names and contents */
	cJSON *info;           /* owned; info.json */
	int64_t n_bytes;       /* of the pack */
};

/* Decode FILES into FOLDER; synced.  False: FAULTS says what is wrong; pointers are into the dataset's document
 * ("/format/columns/zip"), or "" where the files themselves are.  OUT is empty then. */
bool prepare_run(const struct prepare_order *order, struct prepared *out, struct faults *faults);
void prepared_release(struct prepared *p);

#endif
