/* Tables: numbers as they are or standardised, categories as one-hot vectors, beside each other in the order of the
 * features; targets are one category or any of numbers.
 *
 * What is missing is decided here and nowhere else, so that no NaN reaches a batch: rows are dropped before the splits
 * are made, means come from the training split alone. */
#include "data/load_table.h"

#include <math.h>
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

static bool is_target(const struct loaded_table *t, int k)
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

static bool table_create(struct loader *l, const cJSON *info, struct faults *faults)
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
			"with "
			"many values",
			(long long)width, (long long)TABLE_WIDTH_MOST);
		return false;
	}
	l->facts.x = td_shape_make(TD_F32, 1, width);
	return true;
}

static void table_release(void *own)
{
	struct loaded_table *t = own;

	for (int k = 0; k < t->n; k++)
		for (int p = 0; p < PACK_PARTS; p++)
			pack_unmap(&t->columns[k].data[p]);
}

static int64_t table_bytes(const struct loader *l)
{
	const struct loaded_table *t = l->own;

	return t->n * (int64_t)sizeof(struct loaded_column);
}

/* ---- Columns --------------------------------------------------------------------------------------------------- */

static double number_at(const struct loaded_column *c, enum pack_part part, int64_t i)
{
	return ((const double *)c->data[part].data)[i];
}

static int32_t category_at(const struct loaded_column *c, enum pack_part part, int64_t i)
{
	return ((const int32_t *)c->data[part].data)[i];
}

static bool is_missing(const struct loaded_column *c, enum pack_part part, int64_t i)
{
	return c->type == COLUMN_NUMBER ? isnan(number_at(c, part, i)) : category_at(c, part, i) < 0;
}

static td_status check_missing(
	const struct loader *l, const struct loaded_column *c, enum pack_part part, const char **pointer, struct err *e)
{
	int64_t n_missing = 0, first = 0;

	if (l->options->missing != DATA_MISSING_ERROR)
		return TD_OK;
	for (int64_t i = l->n_part[part] - 1; i >= 0; i--)
		if (is_missing(c, part, i)) {
			n_missing++;
			first = i;
		}
	if (!n_missing)
		return TD_OK;
	*pointer = "/data/missing";
	return err_set(e, TD_INVALID,
		"column \"%.60s\" of %s has %lld missing value%s, the first in row %lld of part %s; choose \"drop\" or "
		"\"mean\"",
		c->name, l->facts.dataset, (long long)n_missing, n_missing == 1 ? "" : "s", (long long)first,
		pack_part_names[part]);
}

static td_status check_numbers(
	const struct loader *l, const struct loaded_column *c, enum pack_part part, struct err *e)
{
	for (int64_t i = 0; i < l->n_part[part]; i++)
		if (isinf(number_at(c, part, i)))
			return err_set(e, TD_INVALID,
				"column \"%.60s\" of %s is infinite in row %lld of part %s; no model can learn from "
				"that",
				c->name, l->facts.dataset, (long long)i, pack_part_names[part]);
	return TD_OK;
}

static td_status map_column(
	struct loader *l, int k, const char *folder, enum pack_part part, const char **pointer, struct err *e)
{
	const struct loaded_table *t = l->own;
	struct loaded_column *c = &t->columns[k];
	bool number = c->type == COLUMN_NUMBER;
	int64_t size = number ? (int64_t)sizeof(double) : (int64_t)sizeof(int32_t), n = l->n_part[part];
	char name[32];
	td_status s;

	snprintf(name, sizeof name, "column-%d", k);
	s = loader_map(l, folder, part, name, n * size, &c->data[part], e);
	if (!s && number)
		s = check_numbers(l, c, part, e);
	else if (!s)
		s = loader_check_labels(l, part, name, c->data[part].data, n, -1, c->n_categories, e);
	return s ? s : check_missing(l, c, part, pointer, e);
}

static td_status table_map(struct loader *l, const char *folder, const char **pointer, struct err *e)
{
	const struct loaded_table *t = l->own;
	td_status s = TD_OK;

	for (enum pack_part p = PACK_TRAIN; p < PACK_PARTS && !s; p++) {
		for (int i = 0; i < t->n_targets && !s && l->n_part[p]; i++)
			s = map_column(l, t->targets[i], folder, p, pointer, e);
		for (int i = 0; i < t->n_features && !s && l->n_part[p]; i++)
			s = map_column(l, t->features[i], folder, p, pointer, e);
	}
	return s;
}

/* Targets are never made up: a row without one takes no part. */
static bool table_keeps(const struct loader *l, enum pack_part part, int64_t i)
{
	const struct loaded_table *t = l->own;

	for (int k = 0; k < t->n_targets; k++)
		if (is_missing(&t->columns[t->targets[k]], part, i))
			return false;
	for (int k = 0; k < t->n_features && l->options->missing == DATA_MISSING_DROP; k++)
		if (is_missing(&t->columns[t->features[k]], part, i))
			return false;
	return true;
}

static int32_t table_label(const struct loader *l, enum pack_part part, int64_t i)
{
	const struct loaded_table *t = l->own;

	return category_at(&t->columns[t->targets[0]], part, i);
}

/* ---- Fitting --------------------------------------------------------------------------------------------------- */

/* Mean of the values that are there, and deviation of the column once the others are filled with it; two passes. */
static td_status fit_column(const struct loader *l, struct loaded_column *c, const char **pointer, struct err *e)
{
	const struct view *v = &l->view[DATA_TRAIN];
	double sum = 0, squares = 0;
	int64_t n = 0;

	for (int64_t i = 0; i < v->n; i++) {
		double x = number_at(c, v->part, v->index[i]);

		sum += isnan(x) ? 0 : x;
		n += !isnan(x);
	}
	if (!n) {
		*pointer = "/data/features";
		return err_set(e, TD_INVALID,
			"column \"%.60s\" has no value at all in the training split, so it has no mean; leave it out",
			c->name);
	}
	c->mean = sum / (double)n;
	for (int64_t i = 0; i < v->n; i++) {
		double x = number_at(c, v->part, v->index[i]) - c->mean;

		squares += isnan(x) ? 0 : x * x;
	}
	c->std = squares > 0 ? sqrt(squares / (double)v->n) : 1;
	if (isfinite(c->mean) && isfinite(c->std))
		return TD_OK;
	*pointer = "/data/features";
	return err_set(
		e, TD_INVALID, "the numbers of column \"%.60s\" are too large to be summed; scale them down", c->name);
}

static td_status table_fit(struct loader *l, const char **pointer, struct err *e)
{
	const struct loaded_table *t = l->own;
	bool features = t->scale_features || l->options->missing == DATA_MISSING_MEAN;
	td_status s = TD_OK;

	for (int k = 0; k < t->n && !s; k++) {
		struct loaded_column *c = &t->columns[k];

		if (c->type == COLUMN_NUMBER && c->data[PACK_TRAIN].data && (features || is_target(t, k)))
			s = fit_column(l, c, pointer, e);
		if (s && is_target(t, k))
			*pointer = "/data/target";
	}
	return s;
}

/* ---- Batches --------------------------------------------------------------------------------------------------- */

static float scaled(const struct loaded_column *c, double value, bool scale)
{
	return (float)(scale ? (value - c->mean) / c->std : value);
}

float table_number(const struct loaded_table *t, const struct loaded_column *c, double value)
{
	return scaled(c, isnan(value) ? c->mean : value, t->scale_features);
}

void table_one_hot(const struct loaded_column *c, int64_t category, float *out)
{
	int64_t width = table_width(c), at = category >= 0 ? category : c->n_categories;

	for (int64_t k = 0; k < width; k++)
		out[k] = k == at;
}

static td_status fill_row(const struct loader *l, enum pack_part part, int64_t row, float *x, struct err *e)
{
	const struct loaded_table *t = l->own;

	for (int i = 0; i < t->n_features; i++) {
		const struct loaded_column *c = &t->columns[t->features[i]];

		if (c->type == COLUMN_NUMBER)
			*x = table_number(t, c, number_at(c, part, row));
		else
			table_one_hot(c, category_at(c, part, row), x);
		if (c->type == COLUMN_NUMBER && !isfinite(*x))
			return err_set(e, TD_INVALID,
				"row %lld of part %s: %g in column \"%.60s\" is too large for float32; standardize the "
				"features",
				(long long)row, pack_part_names[part], number_at(c, part, row), c->name);
		x += table_width(c);
	}
	return TD_OK;
}

static td_status fill_values(const struct loader *l, enum pack_part part, int64_t row, float *y, struct err *e)
{
	const struct loaded_table *t = l->own;

	for (int k = 0; k < t->n_targets; k++) {
		const struct loaded_column *c = &t->columns[t->targets[k]];

		y[k] = scaled(c, number_at(c, part, row), t->scale_target);
		if (!isfinite(y[k]))
			return err_set(e, TD_INVALID,
				"row %lld of part %s: %g in column \"%.60s\" is too large for float32; standardize the "
				"target",
				(long long)row, pack_part_names[part], number_at(c, part, row), c->name);
	}
	return TD_OK;
}

static td_status table_fill(
	const struct loader *l, const struct batch_request *q, const struct data_batch *out, struct err *e)
{
	const struct loaded_table *t = l->own;
	int64_t width = td_shape_count(&l->facts.x);
	td_status s = TD_OK;

	for (int64_t i = 0; i < q->n && !s; i++) {
		s = fill_row(l, q->part, q->samples[i], (float *)out->x + i * width, e);
		if (l->facts.target != DATA_VALUES)
			((int64_t *)out->y)[i] = table_label(l, q->part, q->samples[i]);
		else if (!s)
			s = fill_values(l, q->part, q->samples[i], (float *)out->y + i * t->n_targets, e);
	}
	return s;
}

/* ---- For people, and saving ------------------------------------------------------------------------------------ */

static void table_show(const struct loader *l, enum pack_part part, int64_t i, cJSON *object)
{
	const struct loaded_table *t = l->own;
	cJSON *row = cJSON_AddObjectToObject(object, "row");

	for (int k = 0; k < t->n; k++) {
		const struct loaded_column *c = &t->columns[k];

		if (!c->data[part].data)
			continue;
		if (is_missing(c, part, i))
			cJSON_AddNullToObject(row, c->name);
		else if (c->type == COLUMN_NUMBER)
			cJSON_AddItemToObject(row, c->name, json_number(number_at(c, part, i)));
		else
			cJSON_AddStringToObject(row, c->name, c->categories[category_at(c, part, i)]);
	}
}

static double table_own_units(const struct loader *l, int k, double value)
{
	const struct loaded_table *t = l->own;
	const struct loaded_column *c = &t->columns[t->targets[k]];

	return t->scale_target ? value * c->std + c->mean : value;
}

static void table_save(const struct loader *l, cJSON *state)
{
	const struct loaded_table *t = l->own;
	cJSON *list = cJSON_AddArrayToObject(state, "columns"), *item;

	for (int k = 0; k < t->n; k++) {
		item = cJSON_CreateObject();
		cJSON_AddNumberToObject(item, "mean", t->columns[k].mean);
		cJSON_AddNumberToObject(item, "std", t->columns[k].std);
		cJSON_AddItemToArray(list, item);
	}
}

static bool table_restore(struct loader *l, const cJSON *state)
{
	struct loaded_table *t = l->own;
	const cJSON *list = json_get(state, "columns"), *item;
	struct loaded_column *c = t->columns;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != t->n)
		return false;
	cJSON_ArrayForEach(item, list)
	{
		c->mean = json_double(item, "mean", 0);
		c->std = json_double(item, "std", 0);
		if (!(c->std > 0) || !isfinite(c->mean))
			return false;
		c++;
	}
	return true;
}

#define DESCRIBED_MOST 200 /* columns, and categories of a column, that are named */

static void describe_categories(const struct loaded_column *c, struct buf *out)
{
	int n = TD_MIN(c->n_categories, DESCRIBED_MOST);

	buf_puts(out, ", 1 at its category:");
	for (int k = 0; k < n; k++)
		buf_printf(out, "%s %.60s", k ? "," : "", c->categories[k]);
	buf_printf(out, "%s%s\n", n < c->n_categories ? ", ..." : "", c->missing_is_category ? ", (missing)" : "");
}

static void table_describe(const struct loader *l, struct buf *out)
{
	const struct loaded_table *t = l->own;
	int64_t at = 0, width;

	buf_printf(out, "The columns of x%s:\n\n",
		t->scale_features ? ", numbers less their mean and over their deviation" : "");
	for (int i = 0; i < TD_MIN(t->n_features, DESCRIBED_MOST); i++, at += width) {
		const struct loaded_column *c = &t->columns[t->features[i]];

		width = table_width(c);
		buf_printf(out, "    %lld", (long long)at);
		if (width > 1)
			buf_printf(out, " to %lld", (long long)(at + width - 1));
		buf_printf(out, ": %.60s", c->name);
		if (c->type == COLUMN_CATEGORY)
			describe_categories(c, out);
		else
			buf_puts(out, "\n");
	}
	if (t->n_features > DESCRIBED_MOST)
		buf_printf(out, "    and %d columns more\n", t->n_features - DESCRIBED_MOST);
}

const struct loader_kind load_table = {
	.n_bytes = sizeof(struct loaded_table),
	.create = table_create,
	.release = table_release,
	.map = table_map,
	.keeps = table_keeps,
	.label = table_label,
	.fit = table_fit,
	.fill = table_fill,
	.show = table_show,
	.save = table_save,
	.restore = table_restore,
	.read_json = table_read_json,
	.read_npy = table_read_npy,
	.bytes = table_bytes,
	.own_units = table_own_units,
	.describe = table_describe,
};
