/* Weights from a file into a model: our own, a checkpoint of ours, or one that PyTorch wrote. */
#include "io/io.h"
#include "nn/nn.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define CHECKPOINT_PREFIX "model."              /* of a model's tensors in a checkpoint of ours */
#define BATCH_COUNTER     "num_batches_tracked" /* torch counts batches; no value depends on it */

struct loading {
	struct nn_model *model;
	const struct safetensors *file;
	const struct opt_strings *skip;
	const char *prefix; /* of the file's names: "" or CHECKPOINT_PREFIX */
	bool strict;
	struct buf *notes;
	struct faults *faults;
};

/* One difference between file and model. */
static void differ(struct loading *l, const char *fmt, ...) TD_PRINTF(2, 3);

static void differ(struct loading *l, const char *fmt, ...)
{
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (l->strict)
		faults_add(l->faults, "/init_from", "%s", text);
	else
		buf_printf(l->notes, "%s\n", text);
}

static bool is_skipped(const struct loading *l, const char *name)
{
	for (int i = 0; i < l->skip->n; i++)
		if (!fnmatch(l->skip->items[i], name, 0))
			return true;
	return false;
}

static const struct stored_tensor *stored(const struct safetensors *file, const char *prefix, const char *name)
{
	char *full = mem_printf("%s%s", prefix, name);
	const struct stored_tensor *t = safetensors_find(file, full);

	mem_free(full);
	return t;
}

/* Whichever of the two gives more of the model's parameters. */
static const char *find_prefix(const struct nn_model *m, const struct safetensors *file)
{
	int plain = 0, prefixed = 0;

	for (int i = 0; i < m->n_params; i++) {
		plain += stored(file, "", m->params[i].name) != NULL;
		prefixed += stored(file, CHECKPOINT_PREFIX, m->params[i].name) != NULL;
	}
	return prefixed > plain ? CHECKPOINT_PREFIX : "";
}

static bool fits(struct loading *l, const struct nn_param *p, const struct stored_tensor *t)
{
	char ours[TD_SHAPE_TEXT], theirs[TD_SHAPE_TEXT];

	if (!t)
		differ(l, "%s is missing from the file", p->name);
	else if (!td_shape_same(&p->shape, &t->shape))
		differ(l, "%s is %s in the file, but the model needs %s", p->name, td_shape_text(&t->shape, theirs),
			td_shape_text(&p->shape, ours));
	else
		return true;
	return false;
}

static const struct nn_param *find_param(const struct nn_model *m, const char *name)
{
	for (int i = 0; i < m->n_params; i++)
		if (!strcmp(m->params[i].name, name))
			return &m->params[i];
	return NULL;
}

/* What the file has and the model has not.  Beside a checkpoint's model stands what its optimizer keeps. */
static void find_unexpected(struct loading *l)
{
	size_t n = strlen(l->prefix);

	for (int i = 0; i < l->file->n; i++) {
		const char *name = l->file->items[i].name, *last = strrchr(name, '.');

		if (strncmp(name, l->prefix, n) != 0 || !strcmp(last ? last + 1 : name, BATCH_COUNTER))
			continue;
		if (!is_skipped(l, name + n) && !find_param(l->model, name + n))
			differ(l, "%s is in the file, but the model has no parameter of this name", name + n);
	}
}

bool nn_model_load(struct nn_model *m, const struct safetensors *file, bool strict, const struct opt_strings *skip,
	struct buf *notes, struct faults *faults)
{
	struct loading l = { .model = m,
		.file = file,
		.skip = skip,
		.prefix = find_prefix(m, file),
		.strict = strict,
		.notes = notes,
		.faults = faults };
	const struct stored_tensor **from = MEM_NEW_N(const struct stored_tensor *, TD_MAX(m->n_params, 1));
	size_t before = faults->n_found;
	int n = 0;

	for (int i = 0; i < m->n_params; i++) {
		const struct stored_tensor *t = stored(file, l.prefix, m->params[i].name);

		if (!is_skipped(&l, m->params[i].name) && fits(&l, &m->params[i], t)) {
			from[i] = t;
			n++;
		}
	}
	find_unexpected(&l);
	if (!n && faults->n_found == before)
		faults_add(faults, "/init_from",
			"no tensor of the file fits the model; the file has \"%s\", the model \"%s\"",
			file->n ? file->items[0].name : "nothing", m->n_params ? m->params[0].name : "nothing");
	for (int i = 0; i < m->n_params && faults->n_found == before; i++) /* all or nothing */
		if (from[i])
			td_write(m->params[i].value, from[i]->bytes);
	mem_free(from);
	return faults->n_found == before;
}
