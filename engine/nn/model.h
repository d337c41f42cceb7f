/* The model under construction: what model.c (one layer at a time) and model_tree.c (the document's tree) share.
 *
 * The tree is walked once, in the document's order.  Every layer is built as soon as it is met: its inputs are layers
 * before it, so no cycle can be written.  A layer that does not fit leaves a hole, and what reads from a hole is a hole
 * without a fault of its own: one mistake, one fault. */
#ifndef TD_NN_MODEL_H
#define TD_NN_MODEL_H

#include "base/map.h"
#include "nn/nn.h"

#define NN_NAME_MOST  64             /* bytes of one layer's own name */
#define NN_PATH       (NN_NAME - 64) /* bytes of a layer's dotted path */
#define NN_DEPTH_MOST 16             /* containers in containers */
#define NN_HOLE       (-2)           /* in place of a layer: it does not fit */

/* What every layer can have; see layers.c. */
struct nn_common {
	const char *name;          /* NULL: its position */
	struct opt_strings inputs; /* none: the layer before */
	const char *share;         /* NULL: parameters of its own */
};

/* Where a layer or a list of layers stands. */
struct nn_spot {
	char path[NN_PATH];      /* "layer1.0"; empty: the model itself */
	char pointer[256];       /* "/model/layers/3" */
	const void *options;     /* of a container: its own struct */
	int from;                /* the layer whose output comes in, NN_INPUT or NN_HOLE */
	int depth;               /* containers around it */
	const char *named_model; /* the layers are not in the document: POINTER is the model's; NULL: they are */
};

struct nn_builder {
	td_ctx *c;
	struct nn_model *model;
	struct faults *faults;
	size_t n_faults;            /* found before */
	const struct nn_spot *spot; /* of the layer that is built; borrowed */
	size_t layer_cap, param_cap;
	td_value **out; /* owned; symbols of the layers' outputs, NULL: a hole; as long as the layers */
	bool *read;     /* owned; whether some layer reads it; likewise */
	size_t out_cap, read_cap;
	td_value *input, *lengths; /* symbols; LENGTHS NULL: all sequences are as long as their axis */
	int64_t n_tokens;
	struct map paths;         /* every path so far, containers too: what it stands for, see model.c */
	int share;                /* the layer whose parameters the one being built uses; -1: none */
	int n_visited;            /* layers and containers of the tree, repetitions counted */
	bool stopped;             /* too many: a fault says so, the walk ends */
	char source[2 * NN_NAME]; /* what nn_source says */
};

/* ---- model.c ----------------------------------------------------------------------------------------------------- */

/* Build a layer of TYPE at SPOT on INPUTS; SHARE: as in the builder.  Returns its index, whose output may be a hole. */
int nn_build_layer(struct nn_builder *b, const struct nn_layer_type *type, const struct nn_spot *spot,
	const int *inputs, int n_inputs, int share);
/* A fault at POINTER below SPOT ("/inputs/0"). */
void nn_refuse_at(struct nn_builder *b, const struct nn_spot *spot, const char *below, const char *fmt, ...)
	TD_PRINTF(4, 5);

/* ---- model_tree.c ------------------------------------------------------------------------------------------------ */

/* Build LIST one after the other.  GROUP stands before the positions of layers without a name, "" or "layers"; BELOW
 * after SPOT's pointer, "/layers".  Returns the last one, SPOT->from of an empty list. */
int nn_build_list(struct nn_builder *b, const struct nn_spot *spot, const struct opt_choices *list, const char *group,
	const char *below);
/* The layer that NAME means at SPOT: in the container where SPOT stands, or in one around it.  NN_HOLE: none; *FOUND
 * says whether the name is known. */
int nn_find(const struct nn_builder *b, const struct nn_spot *spot, const char *name, bool *found);

/* ---- known.c ----------------------------------------------------------------------------------------------------- */

extern const char *const nn_known_names[]; /* NULL-terminated */

/* The layers of the known model NAME, one of them, with ARGS, read into ARENA.  N_TOKENS: size of the data's
 * vocabulary; 0: it has none.  False: FAULTS says why. */
bool nn_known_layers(const char *name, const cJSON *args, int64_t n_tokens, struct arena *arena,
	struct opt_choices *layers, struct faults *faults);

#endif
