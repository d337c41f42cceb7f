/* Tables: numbers as they are or standardised, categories as one-hot vectors, beside each other in the order of the
 * features; targets are one category or any of numbers.
 *
 * What is missing is decided here and nowhere else, so that no NaN reaches a batch: rows are dropped before the splits
 * are made, means come from the training split alone. */
#include "data/load_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Values ---------------------------------------------------------------------------------------------------- */

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

		if (c->type == COLUMN_NUMBER && c->data[PACK_TRAIN].data && (features || table_is_target(t, k)))
			s = fit_column(l, c, pointer, e);
		if (s && table_is_target(t, k))
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
