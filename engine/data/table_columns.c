/* Which columns of a table a job learns from, and whether it may: read from what the pack says of them, before any value
 * is looked at. */
#include "data/load_table.h"

#include <stdio.h>
#include <string.h>

#define TABLE_COLUMNS_MOST 20000 /* that info.json may list */
#define TABLE_WIDTH_MOST   ((int64_t)1 << 20)

/* ---- What the pack has ----------------------------------------------------------------------------------------- */

static bool read_column(struct loader *l, const cJSON *v, struct loaded_column *c, struct faults *faults)
{
	const char *type = json_string(v, "type", "");

	c->name = arena_strdup(&l->arena, json_string(v, "name", ""));
	c->type = COLUMN_OTHER;
	c->std = 1;
	if (!strcmp(type, "number")) {
		c->type = COLUMN_NUMBER;
	} else if (!strcmp(type, "category")) {
		c->type = COLUMN_CATEGORY;
		c->categories = loader_read_names(l, json_get(v, "categories"), 0, &c->n_categories);
		if (!c->categories)
			return loader_refuse_info(l, faults, "column \"%.60s\" has no list of categories", c->name);
	}
	c->n_missing = json_int(v, "missing", 0);
	/* Only where some are missing: else the place would be 0 for ever. */
	c->missing_is_category =
		c->type == COLUMN_CATEGORY && l->options->missing == DATA_MISSING_MEAN && c->n_missing > 0;
	return true;
}

static bool read_columns(struct loader *l, const cJSON *info, struct faults *faults)
{
	struct loaded_table *t = l->own;
	const cJSON *list = json_get(info, "columns"), *v;
	int n = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : -1;

	if (n < 1 || n > TABLE_COLUMNS_MOST)
		return loader_refuse_info(l, faults, "\"columns\" is no list of columns");
	t->columns = arena_alloc(&l->arena, sizeof *t->columns * (size_t)n);
	cJSON_ArrayForEach(v, list) if (!read_column(l, v, &t->columns[t->n++], faults)) return false;
	return true;
}

/* ---- What the job makes of it ---------------------------------------------------------------------------------- */

static int find_column(const struct loaded_table *t, const char *name)
{
	for (int k = 0; k < t->n; k++)
		if (!strcmp(t->columns[k].name, name))
			return k;
	return -1;
}

static void refuse_column(const struct loader *l, const char *name, const char *pointer, struct faults *faults)
{
	const struct loaded_table *t = l->own;
	const char **names = MEM_NEW_N(const char *, t->n), *near;

	for (int k = 0; k < t->n; k++)
		names[k] = t->columns[k].name;
	near = nearest_name(name, names, (size_t)t->n);
	faults_add(faults, pointer, "%s has no column \"%.60s\"%s%.60s%s", l->facts.dataset, name,
		near ? "; did you mean \"" : "; GET /datasets/{name} lists them", near ? near : "", near ? "\"?" : "");
	mem_free(names);
}

/* The column of NAME, which must hold values and not be TAKEN yet; -1: FAULTS. */
static int pick_column(
	const struct loader *l, const char *name, const bool *taken, const char *pointer, struct faults *faults)
{
	const struct loaded_table *t = l->own;
	int k = find_column(t, name);

	if (k < 0) {
		refuse_column(l, name, pointer, faults);
	} else if (t->columns[k].type == COLUMN_OTHER) {
		faults_add(faults, pointer,
			"column \"%.60s\" is neither number nor category; correct its type with POST "
			"/datasets/{name}/prepare, or leave it out",
			name);
		k = -1;
	} else if (taken[k]) {
		faults_add(faults, pointer, "column \"%.60s\" is named twice, or is the target", name);
		k = -1;
	}
	return k;
}

static bool pick_named(struct loader *l, const struct opt_strings *names, const char *option, bool *taken, int *out,
	int *n, struct faults *faults)
{
	bool good = true;

	for (int i = 0; i < names->n; i++) {
		char *pointer = mem_printf("/data/%s/%d", option, i);
		int k = pick_column(l, names->items[i], taken, pointer, faults);

		mem_free(pointer);
		if (k < 0) {
			good = false;
			continue;
		}
		taken[k] = true;
		out[(*n)++] = k;
	}
	return good;
}

static bool pick_columns(struct loader *l, struct faults *faults)
{
	struct loaded_table *t = l->own;
	const struct data_options *o = l->options;
	bool *taken = MEM_NEW_N(bool, t->n), good;
	bool all = !o->features.n || (o->features.n == 1 && !strcmp(o->features.items[0], "*"));

	t->targets = arena_alloc(&l->arena, sizeof(int) * (size_t)t->n);
	t->features = arena_alloc(&l->arena, sizeof(int) * (size_t)t->n);
	if (!o->target.n)
		faults_add(faults, "/data/target", "name the column that is to be predicted, as in [\"price\"]");
	good = o->target.n && pick_named(l, &o->target, "target", taken, t->targets, &t->n_targets, faults);
	for (int k = 0; all && good && k < t->n; k++)
		if (!taken[k] && t->columns[k].type != COLUMN_OTHER)
			t->features[t->n_features++] = k;
	if (!all && good)
		good = pick_named(l, &o->features, "features", taken, t->features, &t->n_features, faults);
	if (good && !t->n_features) {
		faults_add(faults, "/data/features", "besides the target no column holds numbers or categories");
		good = false;
	}
	mem_free(taken);
	return good;
}

static bool plan_target(struct loader *l, struct faults *faults)
{
	struct loaded_table *t = l->own;
	const struct loaded_column *first = &t->columns[t->targets[0]];
	const char **names;

	if (t->n_targets == 1 && first->type == COLUMN_CATEGORY) {
		l->facts.target = DATA_CLASS;
		l->facts.y = td_shape_make(TD_I64, 0);
		l->facts.class_names = first->categories;
		l->facts.n_classes = first->n_categories;
		return first->n_categories ||
		       loader_refuse_info(l, faults, "column \"%.60s\" has no categories", first->name);
	}
	names = arena_alloc(&l->arena, sizeof *names * (size_t)t->n_targets);
	for (int k = 0; k < t->n_targets; k++) {
		names[k] = t->columns[t->targets[k]].name;
		if (t->columns[t->targets[k]].type != COLUMN_NUMBER) {
			faults_add(faults, "/data/target",
				"\"%.60s\" is a category; a category is predicted alone, numbers together", names[k]);
			return false;
		}
	}
	l->facts.target = DATA_VALUES;
	l->facts.value_names = names;
	l->facts.y = td_shape_make(TD_F32, 1, (int64_t)t->n_targets);
	return true;
}

static bool read_standardize(struct loader *l, struct faults *faults)
{
	struct loaded_table *t = l->own;
	const struct opt_strings *names = &l->options->standardize;
	bool good = true;

	for (int i = 0; i < names->n; i++) {
		char *pointer = mem_printf("/data/standardize/%d", i);

		if (!strcmp(names->items[i], "features")) {
			t->scale_features = true;
		} else if (strcmp(names->items[i], "target") != 0) {
			faults_add(
				faults, pointer, "\"%.40s\" is neither \"features\" nor \"target\"", names->items[i]);
			good = false;
		} else if (l->facts.target != DATA_VALUES) {
			faults_add(faults, pointer, "the target is a category, which has no scale; leave it out");
			good = false;
		} else {
			t->scale_target = true;
		}
		mem_free(pointer);
	}
	return good;
}

bool table_is_target(const struct loaded_table *t, int k)
{
	for (int i = 0; i < t->n_targets; i++)
		if (t->targets[i] == k)
			return true;
	return false;
}

/* By what the pack says of its columns, so that no job need start to hear of it; the values themselves are looked at
 * when they are mapped. */
static bool allow_missing(const struct loader *l, struct faults *faults)
{
	const struct loaded_table *t = l->own;
	const struct loaded_column *first = NULL;
	int n = 0;

	if (l->options->missing != DATA_MISSING_ERROR)
		return true;
	for (int i = 0; i < t->n_targets + t->n_features; i++) {
		const struct loaded_column *c =
			&t->columns[i < t->n_targets ? t->targets[i] : t->features[i - t->n_targets]];

		if (c->n_missing > 0) {
			first = first ? first : c;
			n++;
		}
	}
	if (!n)
		return true;
	faults_add(faults, "/data/missing",
		"column \"%.60s\" of %s has %lld missing value%s%s; choose \"drop\" or \"mean\"", first->name,
		l->facts.dataset, (long long)first->n_missing, first->n_missing == 1 ? "" : "s",
		n > 1 ? ", and it is not the only one" : "");
	return false;
}

int64_t table_width(const struct loaded_column *c)
{
	return c->type == COLUMN_NUMBER ? 1 : c->n_categories + c->missing_is_category;
}

bool table_create(struct loader *l, const cJSON *info, struct faults *faults)
{
	struct loaded_table *t = l->own;
	int64_t width = 0;

	if (!loader_refuse_scalings(l, "tables are scaled by \"standardize\": [\"features\"]", faults) ||
		!read_columns(l, info, faults) || !pick_columns(l, faults) || !plan_target(l, faults) ||
		!read_standardize(l, faults) || !allow_missing(l, faults))
		return false;
	for (int i = 0; i < t->n_features; i++)
		width += table_width(&t->columns[t->features[i]]);
	if (width < 1 || width > TABLE_WIDTH_MOST) {
		faults_add(faults, "/data/features",
			"the columns make a vector of %lld numbers, but 1 to %lld are possible; leave out categories "
			"with many values",
			(long long)width, (long long)TABLE_WIDTH_MOST);
		return false;
	}
	l->facts.x = td_shape_make(TD_F32, 1, width);
	return true;
}
