/* The document's tree of layers: names, inputs by name, and containers, which become plain layers while it is walked.
 *
 * Paths are the names that torch's modules would have.  A layer is called by its name, or by its position, below its
 * container: "features.3".  In a sequential that is repeated, the copy's number stands between: "features.1.3".  A
 * residual and branches have several lists, whose unnamed layers stand below the list: "block.layers.0",
 * "block.shortcut.0", "block.paths.1.0".  What a container gives out has the container's path. */
#include "nn/layers.h"
#include "nn/learn.h"
#include "nn/model.h"

#include <ctype.h>
#include <stdint.h>

#define VISITS_MOST (4 * NN_LAYERS_MOST) /* of layers and containers: containers in containers make no layer each */
#define HINTS_MOST  64                   /* names that a hint chooses from */

/* ---- Paths ------------------------------------------------------------------------------------------------------- */

/* Layers are kept in the map as themselves and this: NULL is "not there", and NN_INPUT and NN_HOLE are below 0. */
#define PATH_BIAS 3

static void remember(struct nn_builder *b, const char *path, int layer)
{
	map_put(&b->paths, path, (void *)(intptr_t)(layer + PATH_BIAS));
}

static bool look_up(const struct nn_builder *b, const char *path, int *layer)
{
	intptr_t v = (intptr_t)map_get(&b->paths, path);

	*layer = v ? (int)(v - PATH_BIAS) : NN_HOLE;
	return v != 0;
}

int nn_find(const struct nn_builder *b, const struct nn_spot *spot, const char *name, bool *found)
{
	char scope[NN_PATH], path[2 * NN_NAME];
	int layer = NN_INPUT;

	*found = true;
	if (!strcmp(name, "input"))
		return layer;
	snprintf(scope, sizeof scope, "%s", spot->path);
	while (*scope) {
		char *dot = strrchr(scope, '.');

		snprintf(path, sizeof path, "%s.%s", scope, name);
		if (look_up(b, path, &layer))
			return layer;
		*(dot ? dot : scope) = '\0';
	}
	*found = look_up(b, name, &layer);
	return layer;
}

/* SPOT's path with PARTS below it, as far as they are not empty.  False: too long, and a fault says so. */
static bool go_below(struct nn_builder *b, struct nn_spot *spot, const char *group, const char *name)
{
	char path[4 * NN_NAME];
	int n = snprintf(
		path, sizeof path, "%s%s%s%s%s", spot->path, *spot->path ? "." : "", group, *group ? "." : "", name);

	if (n < (int)sizeof spot->path) {
		memcpy(spot->path, path, (size_t)n + 1);
		return true;
	}
	nn_refuse_at(b, spot, "",
		"the path \"%.100s...\" of this layer has %d characters; at most %d: use shorter names or fewer "
		"containers",
		path, n, (int)sizeof spot->path - 1);
	return false;
}

static void point_below(struct nn_spot *spot, const char *below)
{
	size_t n = strlen(spot->pointer);

	if (!spot->named_model)
		snprintf(spot->pointer + n, sizeof spot->pointer - n, "%s", below);
}

/* ---- What a layer says about itself ------------------------------------------------------------------------------ */

static bool is_trainers(const char *name)
{
	for (int i = 0; i < NN_PARTS; i++)
		if (!strcmp(name, nn_parts[i]))
			return true;
	return false;
}

/* SPOT is in the list that stands at LIST. */
static bool name_fits(struct nn_builder *b, const struct nn_spot *list, const struct nn_spot *spot, const char *name)
{
	if (!name)
		return true;
	if (!*name) {
		nn_refuse_at(
			b, spot, "/name", "the name is empty; use letters, digits, \"_\" and \"-\", or leave it out");
		return false;
	}
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-') {
			nn_refuse_at(b, spot, "/name", "\"%.60s\" is not a name: use letters, digits, \"_\" and \"-\"",
				name);
			return false;
		}
	if (!strcmp(name, "input")) {
		nn_refuse_at(b, spot, "/name", "\"input\" is what the model's input is called; use another name");
		return false;
	}
	if (!*list->path && is_trainers(name)) {
		nn_refuse_at(b, spot, "/name", "\"%s\" is what a part of the training step is called; use another name",
			name);
		return false;
	}
	return true;
}

/* The name of a layer before SPOT that is nearest to NAME, or NULL. */
static const char *nearest_layer(const struct nn_builder *b, const char *name)
{
	const char *names[HINTS_MOST];
	const struct map_entry *e;
	size_t n = 0;

	for (size_t i = 0; n < HINTS_MOST && (e = map_next(&b->paths, &i));)
		names[n++] = e->key;
	return nearest_name(name, names, n);
}

/* The layer that NAME means in SCOPE, for the option at BELOW of SPOT. */
static int resolve(struct nn_builder *b, const struct nn_spot *scope, const struct nn_spot *spot, const char *name,
	const char *below)
{
	const char *near;
	bool found;
	int at = nn_find(b, scope, name, &found);

	if (found)
		return at;
	near = nearest_layer(b, name);
	if (near)
		nn_refuse_at(
			b, spot, below, "no layer \"%.60s\" comes before this one; did you mean \"%s\"?", name, near);
	else
		nn_refuse_at(b, spot, below,
			"no layer \"%.60s\" comes before this one; give the \"name\" of a layer above, or \"input\"",
			name);
	return NN_HOLE;
}

/* The layers that SPOT reads from; FROM where it names none. */
static int find_inputs(struct nn_builder *b, const struct nn_spot *scope, const struct nn_spot *spot,
	const struct nn_layer_type *type, const struct opt_strings *names, int inputs[NN_LAYER_INPUTS])
{
	char below[32];

	if (!names->n && type->n_inputs < 0) {
		nn_refuse_at(b, spot, "", "%s needs \"inputs\": the names of the layers that it puts together",
			type->type.name);
		inputs[0] = NN_HOLE;
		return 1;
	}
	inputs[0] = spot->from;
	for (int i = 0; i < names->n; i++) {
		snprintf(below, sizeof below, "/inputs/%d", i);
		inputs[i] = resolve(b, scope, spot, names->items[i], below);
	}
	return TD_MAX(names->n, 1);
}

/* The layer whose parameters SPOT is to use; -1: its own; NN_HOLE: there is none such. */
static int find_share(struct nn_builder *b, const struct nn_spot *scope, const struct nn_spot *spot,
	const struct nn_layer_type *type, const char *name)
{
	int at;

	if (!name)
		return -1;
	if (type->expand) {
		nn_refuse_at(b, spot, "/share", "%s has no parameters of its own; share its layers one by one",
			type->type.name);
		return NN_HOLE;
	}
	at = resolve(b, scope, spot, name, "/share");
	if (at != NN_INPUT)
		return at;
	nn_refuse_at(b, spot, "/share", "the model's input has no parameters");
	return NN_HOLE;
}

/* ---- Walking ----------------------------------------------------------------------------------------------------- */

static bool too_many(struct nn_builder *b, const struct nn_spot *spot)
{
	if (b->stopped)
		return true;
	if (b->model->n_layers < NN_LAYERS_MOST && b->n_visited++ < VISITS_MOST)
		return false;
	faults_add(b->faults, spot->named_model ? spot->pointer : "/model/layers",
		"the model has more than %d layers, with all repetitions; use fewer", NN_LAYERS_MOST);
	b->stopped = true;
	return true;
}

static int build_container(
	struct nn_builder *b, const struct nn_layer_type *type, struct nn_spot *spot, const int *inputs, int n_inputs)
{
	if (n_inputs > 1) {
		nn_refuse_at(b, spot, "/inputs",
			"%s takes one input, not %d; join them before it, with \"add\" or \"concat\"", type->type.name,
			n_inputs);
		return NN_HOLE;
	}
	if (spot->depth >= NN_DEPTH_MOST) {
		nn_refuse_at(
			b, spot, "", "containers stand in each other more than %d deep here; use fewer", NN_DEPTH_MOST);
		return NN_HOLE;
	}
	spot->from = inputs[0];
	spot->depth++;
	return type->expand(b, spot);
}

/* The member at SPOT of a container at SCOPE. */
static int build_member(
	struct nn_builder *b, const struct nn_spot *scope, struct nn_spot *spot, const struct opt_choice *choice)
{
	const struct nn_layer_type *type = (const struct nn_layer_type *)choice->type;
	const struct nn_common *common = choice->common;
	int inputs[NN_LAYER_INPUTS], n_inputs, share, at;

	if (look_up(b, spot->path, &at)) {
		nn_refuse_at(b, spot, common->name ? "/name" : "", "another layer is called \"%s\"; names are unique",
			spot->path);
		return NN_HOLE;
	}
	spot->options = choice->options;
	n_inputs = find_inputs(b, scope, spot, type, &common->inputs, inputs);
	share = find_share(b, scope, spot, type, common->share);
	if (type->expand)
		at = share == NN_HOLE ? NN_HOLE : build_container(b, type, spot, inputs, n_inputs);
	else
		at = nn_build_layer(b, type, spot, inputs, n_inputs, share);
	remember(b, spot->path, at);
	return at;
}

int nn_build_list(struct nn_builder *b, const struct nn_spot *spot, const struct opt_choices *list, const char *group,
	const char *below)
{
	int from = spot->from;

	for (int i = 0; i < list->n && !too_many(b, spot); i++) {
		const struct nn_common *common = list->items[i].common;
		struct nn_spot member = *spot;
		char text[64];

		snprintf(text, sizeof text, "%s/%d", below, i);
		point_below(&member, text);
		member.from = from;
		snprintf(text, sizeof text, "%d", i);
		if (!name_fits(b, spot, &member, common->name) ||
			!go_below(b, &member, common->name ? "" : group, common->name ? common->name : text))
			from = NN_HOLE;
		else
			from = build_member(b, spot, &member, &list->items[i]);
	}
	return from;
}

/* ---- sequential: layers one after the other, perhaps several times ----------------------------------------------- */

struct sequential_options {
	struct opt_choices layers;
	int64_t repeat;
};

#define LIST_ROW(type, field, at_least, otherwise, text)                                                               \
	{                                                                                                              \
		NN_ROW(type, field), .kind = OPT_CHOICES, .least = (at_least), .most = NN_LAYERS_MOST,                 \
				     .value = (otherwise), .required = !(otherwise), .family = &nn_layers,             \
				     .doc = (text)                                                                     \
	}

static const struct opt sequential_opts[] = {
	LIST_ROW(sequential_options, layers, 1, NULL, "The layers, one after the other."),
	{ NN_ROW(sequential_options, repeat), .kind = OPT_INT, .value = "1", .low = 1, .high = NN_LAYERS_MOST,
		.doc = "How many copies follow each other, each with parameters of its own." },
};

static int sequential_expand(struct nn_builder *b, const struct nn_spot *spot)
{
	const struct sequential_options *o = spot->options;
	size_t before = b->faults->n_found;
	int from = spot->from;

	if (o->repeat == 1)
		return nn_build_list(b, spot, &o->layers, "", "/layers");
	for (int64_t i = 0; i < o->repeat && b->faults->n_found == before; i++) { /* the copies have the same faults */
		struct nn_spot copy = *spot;
		char number[16];

		snprintf(number, sizeof number, "%d", (int)i);
		copy.from = from;
		if (!go_below(b, &copy, "", number))
			return NN_HOLE;
		from = nn_build_list(b, &copy, &o->layers, "", "/layers");
		remember(b, copy.path, from);
	}
	return from;
}

const struct nn_layer_type nn_sequential = {
	.type = OPT_TYPE(
		sequential, "Layers one after the other, as torch.nn.Sequential; \"repeat\" makes several copies."),
	.expand = sequential_expand,
};

/* ---- residual: what the layers make of the input, plus the input or what a shortcut makes of it ------------------ */

struct residual_options {
	struct opt_choices layers, shortcut;
};

static const struct opt residual_opts[] = {
	LIST_ROW(residual_options, layers, 1, NULL, "The layers whose output is added to the input."),
	LIST_ROW(residual_options, shortcut, 0, "[]", "Layers between the input and the sum; none: the input itself."),
};

static int residual_expand(struct nn_builder *b, const struct nn_spot *spot)
{
	const struct residual_options *o = spot->options;
	struct nn_spot sum = *spot;
	int terms[2] = { nn_build_list(b, spot, &o->layers, "layers", "/layers"),
		nn_build_list(b, spot, &o->shortcut, "shortcut", "/shortcut") };

	sum.options = NULL;
	return b->stopped ? NN_HOLE : nn_build_layer(b, &nn_add, &sum, terms, 2, -1);
}

const struct nn_layer_type nn_residual = {
	.type = OPT_TYPE(residual,
		"The sum of what some layers make of the input and the input, or what a shortcut makes of it."),
	.expand = residual_expand,
};

/* ---- branches: several lists of layers on one input, put together ------------------------------------------------ */

enum { COMBINE_CONCAT, COMBINE_ADD };

static const char *const combinations[] = { "concat", "add", NULL };

struct branches_options {
	struct opt_choice_lists paths;
	int combine;                    /* index into combinations */
	struct nn_concat_options joint; /* of the concat */
};

static const struct opt branches_opts[] = {
	{ NN_ROW(branches_options, paths), .kind = OPT_CHOICE_LISTS, .least = 2, .most = NN_LAYER_INPUTS,
		.required = true, .family = &nn_layers,
		.doc = "Lists of layers that all get the same input; an empty one hands it on." },
	{ NN_ROW(branches_options, combine), .kind = OPT_ENUM, .value = "\"concat\"", .names = combinations,
		.doc = "Join the outputs along an axis, or add them." },
	{ .name = "dim",
		.at = offsetof(struct branches_options, joint.dim),
		.kind = OPT_INT,
		.value = "1",
		.low = -TD_MAX_RANK,
		.high = TD_MAX_RANK - 1,
		.doc = "The axis along which outputs are joined." },
};

static int branches_expand(struct nn_builder *b, const struct nn_spot *spot)
{
	const struct branches_options *o = spot->options;
	struct nn_spot joint = *spot;
	int ends[NN_LAYER_INPUTS];

	for (int i = 0; i < o->paths.n; i++) {
		char group[32], below[32];

		snprintf(group, sizeof group, "paths.%d", i);
		snprintf(below, sizeof below, "/paths/%d", i);
		ends[i] = nn_build_list(b, spot, &o->paths.items[i], group, below);
	}
	joint.options = o->combine == COMBINE_CONCAT ? &o->joint : NULL;
	return b->stopped ? NN_HOLE
			  : nn_build_layer(b, o->combine == COMBINE_CONCAT ? &nn_concat : &nn_add, &joint, ends,
				    o->paths.n, -1);
}

const struct nn_layer_type nn_branches = {
	.type = OPT_TYPE(branches, "Several lists of layers on one input, whose outputs are joined or added."),
	.expand = branches_expand,
};
