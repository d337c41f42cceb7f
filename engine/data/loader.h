/* What the pieces of a loader share: loader.c says what is common to all data, load_*.c what is special to a kind.
 *
 * A kind is a table of functions on its own struct.  The common part knows splits, orders, targets as shares and mixed
 * batches; a kind knows its columns, its shapes and how to fill inputs and targets for given samples of a part. */
#ifndef TD_DATA_LOADER_H
#define TD_DATA_LOADER_H

#include "data/pack.h"
#include "data/pipeline.h"

#define CLASSES_MOST 100000 /* that info.json may list */
#define TEXT_SHOWN   500    /* bytes of a sample's text in a report */

/* Samples of one part, in the order of its files. */
struct view {
	enum pack_part part;
	int64_t *index; /* owned; [n] */
	int64_t n;
};

struct batch_request {
	enum pack_part part;
	const int64_t *samples; /* [n]; positions in the part */
	int64_t n;
	int64_t epoch; /* of the augmentation; -1: none */
};

struct loader;

struct loader_kind {
	size_t n_bytes; /* of its own struct */
	/* Read INFO into L->own, and fill L->facts but for `n`, `target` of shares and names in common.  False: FAULTS.
	 */
	bool (*create)(struct loader *l, const cJSON *info, struct faults *faults);
	void (*release)(void *own);
	/* Map the columns and check them; what is counted only now is put into L->n_part. */
	td_status (*map)(struct loader *l, const char *folder, const char **pointer, struct err *e);
	/* Whether sample I takes part at all; NULL: all do. */
	bool (*keeps)(const struct loader *l, enum pack_part part, int64_t i);
	/* The class of sample I; NULL, or never called, where the target is no class. */
	int32_t (*label)(const struct loader *l, enum pack_part part, int64_t i);
	/* Fit on L->view[DATA_TRAIN]; NULL: nothing to fit. */
	td_status (*fit)(struct loader *l, const char **pointer, struct err *e);
	/* Y of classes is int64 even where the batch will have shares. */
	td_status (*fill)(
		const struct loader *l, const struct batch_request *q, const struct data_batch *out, struct err *e);
	/* Add what a report shows of sample I of PART to OBJECT. */
	void (*show)(const struct loader *l, enum pack_part part, int64_t i, cJSON *object);
	/* What was fitted, into and out of STATE; false: it does not fit. */
	void (*save)(const struct loader *l, cJSON *state);
	bool (*restore)(struct loader *l, const cJSON *state);
	/* Inputs to predict: the array "inputs", or a file (NULL: the kind takes no such file). */
	bool (*read_json)(const struct loader *l, const cJSON *inputs, struct data_input *out, struct faults *faults);
	bool (*read_npy)(const struct loader *l, const void *body, size_t n_bytes, struct data_input *out,
		struct faults *faults);
	bool (*read_image)(const struct loader *l, const void *body, size_t n_bytes, struct data_input *out,
		struct faults *faults);
	/* Bytes that it holds besides what is common. */
	int64_t (*bytes)(const struct loader *l);
	const char *(*token)(const struct loader *l, int64_t k);          /* of the vocabulary; NULL: there is none */
	double (*own_units)(const struct loader *l, int k, double value); /* NULL: values are the target's own */
	void (*describe)(const struct loader *l, struct buf *out); /* what stands where in an input; NULL: no words */
};

extern const struct loader_kind load_images, load_arrays, load_table, load_text, load_labelled_text, load_tagged_text;

struct loader {
	const struct data_options *options; /* borrowed */
	const struct loader_kind *kind;
	void *own;          /* owned; KIND's */
	struct arena arena; /* names, lists, scalings */
	cJSON *info;        /* owned; a copy */
	struct data_facts facts;
	const struct image_op *mixup; /* NULL: batches are not mixed */
	const void *mixup_options;
	int64_t n_part[PACK_PARTS]; /* samples */
	uint64_t seed;
	struct view view[DATA_SPLITS];
	struct batch_room *room; /* owned; rooms of loader_batch, grown as needed */
};

/* ---- For the kinds --------------------------------------------------------------------------------------------- */

/* INFO of this dataset says what cannot be.  Returns false. */
bool loader_refuse_info(struct loader *l, struct faults *faults, const char *fmt, ...) TD_PRINTF(3, 4);
/* INFO's "classes" into the facts, as DATA_CLASS with y a scalar. */
bool loader_read_classes(struct loader *l, const cJSON *info, struct faults *faults);
/* Refuse what transforms pictures, and what scales: HINT says what to do instead.  True: there is no such thing. */
bool loader_refuse_scalings(const struct loader *l, const char *hint, struct faults *faults);
/* A list of names, copied; N_LEAST to CLASSES_MOST of them.  NULL: it is none. */
const char *const *loader_read_names(struct loader *l, const cJSON *list, int n_least, int *n);
/* Map PART.NAME where the part has samples. */
td_status loader_map(const struct loader *l, const char *folder, enum pack_part part, const char *name, int64_t n_bytes,
	struct pack_column *out, struct err *e);
/* LABELS [n] are below N_CLASSES, from LEAST; else TD_CORRUPT, with the first one that is not. */
td_status loader_check_labels(const struct loader *l, enum pack_part part, const char *name, const int32_t *labels,
	int64_t n, int32_t least, int32_t n_classes, struct err *e);
/* OFFSETS [n+1] ascend from 0 to END. */
td_status loader_check_offsets(const struct loader *l, enum pack_part part, const char *name, const int64_t *offsets,
	int64_t n, int64_t end, struct err *e);
/* Room for N inputs of the facts' shape (STEPS > 0: of so many steps) in OUT; false: too much, FAULTS says so. */
bool loader_input_room(const struct loader *l, int64_t n, int64_t steps, struct data_input *out, struct faults *faults);

/* ---- split.c --------------------------------------------------------------------------------------------------- */

/* How the first LIMIT of N training samples and N_TEST own test samples are divided. */
void split_counts(const struct data_options *o, int64_t n, int64_t n_test, int64_t counts[DATA_SPLITS]);
/* Fill L->view and the facts' counts.  TD_NO_MEMORY; TD_INVALID with POINTER: nothing is left to train with. */
td_status split_make(struct loader *l, const char **pointer, struct err *e);

#endif
