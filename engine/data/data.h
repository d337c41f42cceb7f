/* Data: files of known datasets, decoded to memory once, and batches that are pure functions of (seed, epoch, batch).
 *
 * A dataset has a training and a test part.  A split cuts the training part in two; a view is a list of samples in the
 * order in which they are met.  Nothing here remembers what was drawn before, so resuming needs no state. */
#ifndef TD_DATA_DATA_H
#define TD_DATA_DATA_H

#include "nn/options.h"
#include "td.h"

/* ---- IDX files (the format of MNIST) --------------------------------------------------------------------------- */

#define IDX_RANK_MOST 4

struct idx {
	int rank;
	int64_t dim[IDX_RANK_MOST]; /* as the header says */
	int64_t n;                  /* entries of the first axis that were read */
	uint8_t *bytes;             /* owned; mem_free */
};

/* Read the first N_MOST entries (0: all) of PATH, an IDX file of unsigned bytes of RANK axes, gzipped or not, of at
 * most BYTES_MOST elements.  Every number of the header is checked before it is believed; a file that is shorter than
 * its header says is refused, and where all of it is read, one that is longer. */
td_status idx_read(const char *path, int rank, int64_t bytes_most, int64_t n_most, struct idx *out, struct err *e);
void idx_release(struct idx *i);

/* ---- Datasets -------------------------------------------------------------------------------------------------- */

#define DATA_PARTS 2
enum data_part_name { DATA_TRAIN, DATA_TEST };

/* What is known of a dataset without its files: enough to check a job. */
struct data_info {
	const char *name;
	const char *doc;
	int64_t channels, height, width;
	int n_classes;
	const char *const *class_names;
	int64_t n[DATA_PARTS];          /* samples */
	const char *images[DATA_PARTS]; /* file names */
	const char *labels[DATA_PARTS];
};

extern const char *const data_names[];               /* NULL-terminated: what "dataset" may say */
const struct data_info *data_find(const char *name); /* NULL: not known */

struct data_part {
	uint8_t *images; /* owned; [n, channels, height, width] */
	uint8_t *labels; /* owned; [n], each below n_classes */
	int64_t n;
};

struct dataset {
	const struct data_info *info; /* borrowed */
	struct data_part part[DATA_PARTS];
};

/* Nothing loaded yet. */
void data_init(struct dataset *d, const struct data_info *info);
/* Read the first N_MOST samples (0: all) of PART from FOLDER.  Once for each part. */
td_status data_load(struct dataset *d, enum data_part_name part, const char *folder, int64_t n_most, struct err *e);
void data_release(struct dataset *d);

/* ---- Splits ---------------------------------------------------------------------------------------------------- */

/* Samples of one part, in order. */
struct data_view {
	const struct dataset *data; /* borrowed */
	enum data_part_name part;
	int64_t *index; /* owned; [n] */
	int64_t n;
};

enum data_split_by { DATA_BY_END, DATA_BY_RANDOM };

/* How many of N samples VALIDATION (a count, or a fraction below 1) takes. */
int64_t data_split_count(double validation, int64_t n);
/* The first LIMIT training samples, cut into those to learn from and N_VALIDATION others: the last, or random ones. */
void data_split(const struct dataset *d, int64_t limit, int64_t n_validation, enum data_split_by by, uint64_t seed,
	struct data_view *train, struct data_view *validation);
/* All of PART. */
void data_whole(const struct dataset *d, enum data_part_name part, struct data_view *out);
void data_view_release(struct data_view *v);

/* The order in which an epoch (from 0) meets N samples: ORDER becomes a permutation, or 0..n-1 without SHUFFLE. */
void data_epoch_order(uint64_t seed, int64_t epoch, bool shuffle, int64_t n, int64_t *order);
/* Batches of an epoch; the last may be short. */
int64_t data_batches(int64_t n, int64_t batch_size);

/* ---- Transforms and batches ------------------------------------------------------------------------------------ */

struct data_transform_type {
	struct opt_type type;
	/* What N_CHANNELS asks of the options; NULL: nothing. */
	void (*check)(const void *options, int64_t n_channels, const char *pointer, struct faults *faults);
	float (*apply)(const void *options, int64_t channel, float x);
};

extern const struct opt_family data_transforms;

/* Every byte's value after all transforms, by channel: they are all pointwise, so they are computed once.
 * Values start as byte / 255. */
struct data_table {
	float *value; /* owned; [channels][256] */
	int64_t channels;
};

void data_table_init(struct data_table *t, const struct opt_choices *transforms, int64_t channels);
void data_table_release(struct data_table *t);

/* Samples FIRST .. FIRST+N-1 of ORDER (positions in V; NULL: V's own order) as images [N, C, H, W] and labels [N]. */
void data_batch(const struct data_view *v, const struct data_table *t, const int64_t *order, int64_t first, int64_t n,
	float *images, int64_t *labels);

#endif
