/* Files of tensors: safetensors, and checkpoints, which are safetensors files with what else a training needs to go on.
 *
 * A file holds elements in logical row-major order, little-endian, whatever order they have in memory. */
#ifndef TD_IO_IO_H
#define TD_IO_IO_H

#include "base/file.h"
#include "base/json.h"
#include "td.h"

/* ---- safetensors ----------------------------------------------------------------------------------------------- */

/* The format of Hugging Face's library of this name: u64 header bytes, a JSON object {name: {dtype, shape,
 * data_offsets}, "__metadata__": {text: text}}, then the elements. */

#define SAFETENSORS_HEADER_MOST (16u << 20) /* bytes: enough for 100,000 tensors */
#define SAFETENSORS_NAME_MOST   256         /* bytes of a tensor's name */

/* What goes into a file: a name and a tensor. */
struct named_tensor {
	const char *name; /* borrowed */
	td_value *value;  /* borrowed */
};

/* Written files, as the daemon records them. */
struct file_facts {
	char sha256[SHA256_TEXT];
	int64_t n_bytes;
};

/* Write TENSORS to PATH, atomically and durably.  METADATA is an object of strings, or NULL.  Equal input, equal bytes.
 * TD_NO_MEMORY when the file does not fit into memory beside the tensors. */
td_status safetensors_write(const char *path, const struct named_tensor *tensors, int n, const cJSON *metadata,
	struct file_facts *facts, struct err *e);

struct stored_tensor {
	const char *name;  /* borrowed from the file's header */
	td_shape shape;    /* row-major */
	const void *bytes; /* borrowed from the file; not aligned */
};

struct safetensors {
	struct stored_tensor *items; /* owned */
	int n;
	const cJSON *metadata;    /* borrowed from HEADER; NULL: none */
	cJSON *header;            /* owned */
	struct buf file;          /* owned */
	char sha256[SHA256_TEXT]; /* of the whole file */
};

/* Read PATH, of at most BYTES_MOST bytes.  The header is checked before it is believed: every tensor's size is that of
 * its shape, and together they fill the file without hole or overlap.  TD_CORRUPT, TD_TOO_LARGE, TD_NO_MEMORY, TD_IO.
 */
td_status safetensors_read(const char *path, int64_t bytes_most, struct safetensors *out, struct err *e);
void safetensors_release(struct safetensors *s);
const struct stored_tensor *safetensors_find(const struct safetensors *s, const char *name); /* NULL: absent */

/* ---- Variables of a graph -------------------------------------------------------------------------------------- */

/* The variables of G within SCOPE (NULL: all), as td_variables lists them, to a file, under their names.  One that has no
 * value yet is an error (TD_CONFLICT), and nothing was written then. */
td_status variables_write(
	const td_graph *g, const char *scope, const char *path, struct file_facts *facts, struct err *e);
/* The reverse, from a file of at most BYTES_MOST; what else it holds is left alone.  A variable that it lacks
 * (TD_NOT_FOUND) or has in another shape (TD_SHAPE) is an error, and nothing was written then. */
td_status variables_read(td_graph *g, const char *scope, const char *path, int64_t bytes_most, struct err *e);

/* ---- Checkpoints ----------------------------------------------------------------------------------------------- */

#define CHECKPOINT_VERSION      3
#define CHECKPOINT_METRICS_MOST 16
#define CHECKPOINT_MODEL        "model." /* how names of the model's own tensors begin */
#define CHECKPOINT_AVERAGE      "ema."   /* those of their averages, which a model is used with if it has any */

/* Sums over counted elements, as metrics keep them. */
struct checkpoint_figure {
	double sum, sum_squares;
	int64_t n;
};

/* Where a training stood, after STEP whole steps.  Doubles are kept as hexadecimal text: the same bits come back. */
struct checkpoint {
	int64_t step;  /* steps done */
	int64_t epoch; /* the next step's, from 0 */
	int64_t batch; /* the next step's first batch within its epoch, from 0 */
	uint64_t seed;
	char fingerprint[128]; /* of the numerics that made it */
	/* Running means since the last logged point. */
	double window_loss;     /* sum over targets */
	int64_t window_targets; /* how many those are */
	struct checkpoint_figure window_metric[CHECKPOINT_METRICS_MOST];
	double best;       /* best value so far of the series whose best checkpoint is kept; NaN: none */
	int64_t best_step; /* when; 0: none, or not known (version 1) */
	double early_best; /* likewise, of the series that early stopping watches */
	int64_t bad;       /* validations since without improvement of that one */
	struct {
		double best, factor; /* see nn_plateau */
		int64_t bad;
	} plateau;
	int64_t skipped; /* steps so far whose update was left out, because they were not finite */
	bool stopped;    /* early: no step follows */
	bool finished;   /* all steps are done, and the final evaluation's points were sent */
};

/* One file: CK's members as metadata, and TENSORS. */
td_status checkpoint_write(const char *path, const struct checkpoint *ck, const struct named_tensor *tensors, int n,
	struct file_facts *facts, struct err *e);
/* Read PATH into CK and into TENSORS, which must be exactly the file's, by name, type and shape.  SHA256 (NULL: not
 * known) is compared.  Nothing was written to TENSORS unless this returns TD_OK.  A newer version is TD_UNSUPPORTED;
 * what an older one does not say gets the value of a training that has not met it yet. */
td_status checkpoint_read(const char *path, const char *sha256, struct checkpoint *ck,
	const struct named_tensor *tensors, int n, struct err *e);
/* The same for a training that goes on differently: the model's tensors must be exactly the file's, but of what an
 * optimizer keeps only what both have, by name and shape, is read; the rest of TENSORS stays as it is. */
td_status checkpoint_read_fork(const char *path, const char *sha256, struct checkpoint *ck,
	const struct named_tensor *tensors, int n, struct err *e);

#endif
