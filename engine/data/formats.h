/* What the formats share: the preparation that they work for, classes, images on their way into a pack.
 *
 * A format is one function `from_...` and one row of the table in prepare.c.  It walks the source, writes columns and
 * fills the members of info and summary that are its kind's.  Errors are about the files unless prepare_blame says
 * which member of "format" they are about. */
#ifndef TD_DATA_FORMATS_H
#define TD_DATA_FORMATS_H

#include "base/map.h"
#include "base/rng.h"
#include "data/column.h"
#include "data/csv.h"
#include "data/pack.h"
#include "data/prepare.h"
#include "data/source.h"
#include "io/image.h"

#define PREPARE_SAMPLES_MOST 25   /* of a summary */
#define PREPARE_SHOWN_MOST   1000 /* classes, columns of a summary: info.json has all */
#define THUMBNAIL_SIDE       64

/* ---- The preparation ------------------------------------------------------------------------------------------- */

struct prepare {
	const struct prepare_order *order; /* borrowed */
	struct arena arena;                /* of FORMAT */
	struct prepare_format format;
	struct source source;
	char pointer[256]; /* what an error is about; "": the files */
	cJSON *info;       /* owned */
	cJSON *summary;    /* owned */
	cJSON *notes;      /* borrowed from SUMMARY */
	int64_t n_done;    /* bytes of input, for progress; hashing counts as once */
	int64_t told_ms;   /* monotonic; of the last word about progress */
	bool hashed;       /* the source is being decoded, no longer hashed */
	bool has_test;     /* some file is named for the test part */
};

/* The three acts of a preparation, of which prepare_run also makes the key, and syncs what was written: read ORDER
 * (false: FAULTS says what is wrong with it; prepare_end it none the less), decode its files into columns, info and
 * summary, forget it all. */
bool prepare_begin(struct prepare *p, const struct prepare_order *order, struct faults *faults);
td_status prepare_decode(struct prepare *p, struct err *e);
void prepare_end(struct prepare *p);

td_status from_idx(struct prepare *p, struct err *e);
td_status from_cifar(struct prepare *p, struct err *e);
td_status from_image_folder(struct prepare *p, struct err *e);
td_status from_image_csv(struct prepare *p, struct err *e);
td_status from_arrays(struct prepare *p, struct err *e);
td_status from_table(struct prepare *p, struct err *e);
td_status from_text(struct prepare *p, struct err *e);
td_status from_labelled_text(struct prepare *p, struct err *e);
td_status from_tagged_text(struct prepare *p, struct err *e);

/* Which format the source is of, with a note why.  Rewinds it. */
td_status detect_format(struct prepare *p, enum prepare_type *out, struct err *e);

/* A sentence for summary.json's notes. */
void prepare_note(struct prepare *p, const char *fmt, ...) TD_PRINTF(2, 3);
/* The error that follows is about POINTER of the dataset's document. */
void prepare_blame(struct prepare *p, const char *pointer);
/* The part of sample INDEX of the training files: TEST says that its file is named for the test part; where none is,
 * format.test deals. */
enum pack_part prepare_deal(struct prepare *p, bool test, int64_t index);
/* info.parts: how many samples each part has.  TD_INVALID: none to train on, or a test part of its own besides the one
 * that the format asks for. */
td_status prepare_parts(struct prepare *p, const int64_t n[PACK_PARTS], struct err *e);
/* READ every entry of the source that IS_MEANT, with OF; of the others a note says that they are passed over: "it is
 * not called .csv". */
td_status prepare_walk(struct prepare *p, bool (*is_meant)(const struct source_entry *entry), const char *why_not,
	td_status (*read)(void *of, struct err *e), void *of, struct err *e);
/* The CSV options of the format. */
struct csv_options prepare_csv_options(const struct prepare *p);

/* ---- Classes --------------------------------------------------------------------------------------------------- */

/* Names in the order in which they were met, until they are sorted. */
struct classes {
	struct map index;             /* name to number + 1 */
	char **names;                 /* owned, and each */
	int64_t (*count)[PACK_PARTS]; /* owned; samples of each */
	int64_t n, room;
	int64_t n_most;
	size_t n_text; /* bytes of all names */
};

#define CLASSES_TEXT_MOST ((size_t)4 << 20) /* bytes of all names: they must fit into a message */
#define CLASS_NAME_MOST   200               /* bytes of one */

void classes_init(struct classes *c, int64_t n_most);
void classes_release(struct classes *c);
/* The number of NAME, which is new or not; -1: E says what is wrong with it, or that there are too many. */
int32_t classes_add(struct classes *c, const char *name, struct err *e);
/* Classes named "0" to "N - 1", or as the format's "classes" say. */
td_status classes_by_number(struct classes *c, const struct prepare *p, int64_t n, struct err *e);
/* By name, numbers by value; RANK (owned by the caller, mem_free) says where each has gone. */
int32_t *classes_sort(struct classes *c);
/* Members "classes" of info and summary. */
void classes_tell(const struct classes *c, struct prepare *p);

/* Up to PREPARE_SAMPLES_MOST places in LABELS, spread over the classes and sorted by class.  LABELS NULL: spread over
 * all N. */
int choose_samples(const int32_t *labels, int64_t n, int64_t n_classes, int64_t out[PREPARE_SAMPLES_MOST]);
/* {"part": "train", "index", "label"?} at the end of summary.samples. */
cJSON *add_sample(struct prepare *p, int64_t index, const char *label);

/* ---- Images ---------------------------------------------------------------------------------------------------- */

struct images_part {
	struct column pixels, sizes, offsets, labels;
	int64_t n, n_labels;
};

struct images {
	struct prepare *p;     /* borrowed */
	int64_t channels;      /* 0: no image yet */
	int64_t height, width; /* of the first */
	bool sizes_differ;
	bool needs_colour; /* grey was begun and colour came: begin again with 3 channels */
	struct images_part part[PACK_PARTS];
	int64_t histogram[3][256]; /* of the training part's bytes, by channel */
};

/* CHANNELS 0: those of the first image. */
void images_init(struct images *i, struct prepare *p, int64_t channels);
void images_release(struct images *i);
/* Remove what was written, and release. */
void images_drop(struct images *i);
/* Append a picture, fitted to format.image_size and with I's channels (it may be changed for that).  TD_CONFLICT with
 * needs_colour set: nothing was written. */
td_status images_add(struct images *i, enum pack_part part, struct image *picture, struct err *e);
td_status images_label(struct images *i, enum pack_part part, int32_t label, struct err *e);
/* Write what is left, and info and summary.  RANK (NULL: none) renames the labels. */
td_status images_finish(struct images *i, struct classes *c, const int32_t *rank, struct err *e);

#endif
