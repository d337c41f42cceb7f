/* A job's spec as the worker sees it: the sections of the document as structs, read by tables of options.
 *
 * The tables here and those of layers, losses, optimizers and transforms are all that is known of a job's form; the
 * JSON Schema that the daemon checks with is made from the same tables.  What is not built is not in a table, so it is
 * refused, never ignored. */
#ifndef WORKER_SPEC_H
#define WORKER_SPEC_H

#include "data/data.h"
#include "nn/nn.h"

enum spec_mode { SPEC_GRAPH, SPEC_EAGER };
enum spec_best { SPEC_BEST_NONE, SPEC_BEST_LOSS, SPEC_BEST_ACCURACY };

/* train.validate_every besides a number of steps */
#define SPEC_EVERY_EPOCH (-1)
#define SPEC_NEVER       (-2)

struct spec {
	const char *name, *project, *notes;
	struct opt_strings tags;
	int mode; /* enum spec_mode */
	int64_t seed;
	int defaults; /* whose constants are in force; there is one choice now */
	struct {
		int dataset; /* index into data_names */
		int64_t batch_size;
		int64_t limit; /* 0: all training samples */
		struct {
			double validation; /* a count, or a fraction below 1 */
			int by;            /* enum data_split_by */
		} split;
		struct opt_choices transforms;
		bool shuffle;
	} data;
	struct {
		struct opt_choices layers;
	} model;
	struct opt_choice loss, optimizer;
	struct opt_choices metrics;
	struct {
		int64_t epochs, steps;    /* one of them; the other is 0 */
		int64_t validate_every;   /* steps, or one of the two above */
		int64_t checkpoint_every; /* 0: at the end of epochs alone */
		struct {
			int64_t last;
			int best; /* enum spec_best */
		} keep;
	} train;
	struct {
		int64_t every;
	} log;
	struct {
		int64_t threads, memory_mb;
		int device;
	} resources;
	int64_t priority, timeout_s, retries;
	struct arena arena; /* owned: all strings and options above */
};

extern const struct opt_type spec_type;

/* Read DOCUMENT and check what it says against itself and its dataset; the model is not built.  Every fault goes to
 * FAULTS; only without any is OUT good for more than spec_release. */
void spec_read(const cJSON *document, struct spec *out, struct faults *faults);
void spec_release(struct spec *s);

const struct data_info *spec_dataset(const struct spec *s);
int64_t spec_limit(const struct spec *s);      /* training samples before the split */
int64_t spec_validation(const struct spec *s); /* samples of the validation split */
int64_t spec_steps(const struct spec *s);      /* steps of the whole training */
const struct nn_loss_type *spec_loss(const struct spec *s);
const struct nn_optimizer_type *spec_optimizer(const struct spec *s);

/* Build the model symbolically and check it against the data and the memory that the job asks for.  NULL: FAULTS. */
struct nn_model *spec_model(const struct spec *s, struct faults *faults);

#endif
