/* Data: from a pack (pack.h) to batches that are pure functions of (seed, epoch, batch).
 *
 * A loader is what one job makes of its dataset: which samples belong to which split, what is done to them, and as
 * which tensors a model meets them.  It is made in two steps, because a job is checked before its data is there: from
 * the options and the pack's info alone it says all shapes (loader_create); with the pack's folder it maps the columns
 * and fits what must be fitted on the training split, such as means and a vocabulary (loader_open).  What was fitted
 * can be saved, so that a trained model goes on to understand new inputs when the dataset is gone (loader_state).
 *
 * Nothing here remembers what was drawn before, so resuming needs no state. */
#ifndef TD_DATA_DATA_H
#define TD_DATA_DATA_H

#include "base/buf.h"
#include "nn/options.h"
#include "td.h"

/* ---- What a job says about its data ("data" of a spec) ---------------------------------------------------------- */

enum data_split_by { DATA_BY_END, DATA_BY_RANDOM, DATA_BY_STRATIFIED };
enum data_missing { DATA_MISSING_ERROR, DATA_MISSING_DROP, DATA_MISSING_MEAN };
enum data_tokenizer { DATA_CHAR, DATA_WORD };

struct data_options {
	const char *dataset; /* its name; NULL: the document has none, which is a fault */
	int64_t batch_size;
	int64_t limit; /* 0: all training samples */
	bool shuffle;
	struct {
		double validation, test; /* a count, or a fraction below 1, of the training part; TEST only where the
					  * dataset has no test part of its own */
		int by;                  /* enum data_split_by */
	} split;
	struct opt_choices transforms, augment;
	struct opt_strings features, target; /* of tables: names of columns; "*": all others */
	int missing;                         /* enum data_missing */
	struct opt_strings standardize;      /* "features", "target" */
	int tokenizer;                       /* enum data_tokenizer */
	int64_t sequence_length;             /* of one long text: tokens of a sample */
	int64_t max_length;                  /* of many texts: longer ones are cut */
	int64_t vocab;                       /* most tokens that the vocabulary holds; 0: as many as there are */
};

extern const struct opt_type data_section;

/* ---- What a model and a loss must know --------------------------------------------------------------------------- */

enum data_split { DATA_TRAIN, DATA_VALIDATION, DATA_TEST, DATA_SPLITS };
enum data_target {
	DATA_CLASS,  /* y: int64 [N], a class each */
	DATA_SHARES, /* y: float32 [N, classes], a distribution each (one_hot, mixup) */
	DATA_TOKENS, /* y: int64 [N, T], a class for each step; DATA_IGNORE where there is none */
	DATA_VALUES, /* y: float32 [N, n] */
};
#define DATA_IGNORE TD_IGNORE_LABEL /* a target that no loss and no metric counts */
#define DATA_PAD    0 /* the token that fills up short sequences; real tokens begin at 1 where there is padding */

struct data_facts {
	td_shape x; /* of one sample, without the batch axis: float32, or int64 for tokens */
	td_shape y; /* likewise */
	enum data_target target;
	int64_t n[DATA_SPLITS]; /* samples; at most so many until loader_open, which drops rows and counts words */
	bool has_lengths;       /* sequences differ in length: batches have LENGTHS */
	int64_t n_tokens;       /* of the vocabulary, padding included; 0: x is no text */
	int n_classes;          /* 0: values */
	const char *const *class_names; /* borrowed from the loader; NULL where classes are tokens or there are none */
	const char *const *value_names; /* of DATA_VALUES: the target columns; borrowed, may be NULL */
	const char *dataset;            /* borrowed; for messages */
};

/* ---- The loader -------------------------------------------------------------------------------------------------- */

struct loader;

/* From OPTIONS (borrowed for the loader's life) and the pack's INFO (read here, not kept).  NULL: FAULTS says what does
 * not fit, under "/data". */
struct loader *loader_create(const struct data_options *options, const cJSON *info, struct faults *faults);
void loader_free(struct loader *l);
const struct data_facts *loader_facts(const struct loader *l);
/* Bytes that the process holds for the data besides mapped files, at most. */
int64_t loader_bytes(const struct loader *l);

/* Map the pack in FOLDER, divide it by SEED, fit what is fitted on the training split.  E with POINTER (may be NULL):
 * the place in the spec that it is about. */
td_status loader_open(struct loader *l, const char *folder, uint64_t seed, const char **pointer, struct err *e);

/* The order in which an epoch (from 0) meets the N training samples: ORDER becomes a permutation, or 0..n-1 without
 * shuffling. */
void loader_order(const struct loader *l, int64_t epoch, int64_t *order);
/* Batches of an epoch of N samples; the last may be short. */
int64_t data_batches(int64_t n, int64_t batch_size);

/* Where a batch of N samples goes; rooms are the caller's.  X is float or int64_t as the facts say, likewise Y;
 * LENGTHS [N] is NULL where the facts have none. */
struct data_batch {
	void *x, *y;
	int64_t *lengths;
};

/* Samples FIRST .. FIRST+N-1 of SPLIT in ORDER (positions in the split; NULL: the split's own order).  EPOCH (from 0)
 * addresses the augmentation; -1: none (evaluation).  A damaged column is TD_CORRUPT. */
td_status loader_batch(const struct loader *l, enum data_split split, int64_t epoch, const int64_t *order,
	int64_t first, int64_t n, const struct data_batch *out, struct err *e);

/* ---- For people -------------------------------------------------------------------------------------------------- */

/* Sample I of SPLIT as a report shows it: {"index": in the dataset's part, "image": {"width", "height", "png"}} or
 * {"text"} or {"row": {...}}. */
cJSON *loader_sample_json(const struct loader *l, enum data_split split, int64_t i);
/* Class K, or token K of the vocabulary, as text; borrowed. */
const char *loader_class_name(const struct loader *l, int64_t k);
/* Targets and outputs of DATA_VALUES in the target's own units: value * std + mean, for value K of a sample. */
double loader_own_units(const struct loader *l, int k, double value);
/* What a model's input is made of, as lines for those who use it without us. */
void loader_describe(const struct loader *l, struct buf *out);
/* A picture of the N inputs X (as a batch has them, after all transforms, stretched to the visible range) as PNG in
 * OUT; false: they are no images. */
bool loader_grid_png(const struct loader *l, const float *x, int64_t n, struct buf *out);

/* ---- Prediction -------------------------------------------------------------------------------------------------- */

/* All that loader_restore needs besides the options: info, fitted statistics, vocabulary. */
cJSON *loader_state(const struct loader *l);
struct loader *loader_restore(const struct data_options *options, const cJSON *state, struct faults *faults);

/* What somebody sent to be predicted: MEDIA_TYPE application/json ({"inputs": [...]}), application/x-npy, image/png or
 * image/jpeg.  X (owned, mem_free) gets N samples as in a batch, LENGTHS (owned) likewise or NULL.  Text of another
 * length than the training's is allowed where the model allows it: *STEPS is the length of axis 1, 0 where there is
 * none. Faults have pointers into the body. */
struct data_input {
	void *x;
	int64_t *lengths;
	int64_t n, steps;
};
#define DATA_INPUTS_MOST 4096
bool loader_input(const struct loader *l, const char *media_type, const void *body, size_t n_bytes,
	struct data_input *out, struct faults *faults);
void data_input_release(struct data_input *in);

#endif
