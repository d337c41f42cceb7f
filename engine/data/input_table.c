/* Rows to predict: objects by column name, or an array of numbers where all features are numbers. */
#include "data/input.h"
#include "data/load_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void refuse_category(const struct loaded_column *c, const char *name, const char *pointer, struct faults *faults)
{
	const char *near = nearest_name(name, c->categories, (size_t)c->n_categories);

	if (near)
		faults_add(faults, pointer, "\"%.60s\" is no category of %.60s; did you mean \"%.60s\"?", name, c->name,
			near);
	else
		faults_add(faults, pointer, "\"%.60s\" is none of the %d categories of %.60s that the model learned",
			name, c->n_categories, c->name);
}

static int64_t find_category(const struct loaded_column *c, const cJSON *v, const char *pointer, struct faults *faults)
{
	char text[40];
	const char *name = v->valuestring;

	if (cJSON_IsNumber(v)) { /* categories that look like numbers are texts in a pack */
		snprintf(text, sizeof text, "%.15g", v->valuedouble);
		name = text;
	} else if (!cJSON_IsString(v)) {
		faults_add(faults, pointer, "%.60s is a category; give its name", c->name);
		return -1;
	}
	for (int k = 0; k < c->n_categories; k++)
		if (!strcmp(c->categories[k], name))
			return k;
	refuse_category(c, name, pointer, faults);
	return -1;
}

static void read_cell(const struct loader *l, const struct loaded_column *c, const cJSON *v, const char *row,
	float *out, struct faults *faults)
{
	const struct loaded_table *t = l->own;
	bool is_missing = !v || cJSON_IsNull(v), fill = l->options->missing == DATA_MISSING_MEAN;
	char token[128], *pointer;

	json_pointer_token(c->name, token, sizeof token);
	pointer = mem_printf("%s/%s", row, token);
	if (is_missing && !fill)
		faults_add(faults, v ? pointer : row,
			"\"%.60s\" is missing, and the model was trained without such rows", c->name);
	else if (is_missing && c->type == COLUMN_NUMBER)
		*out = table_number(t, c, NAN);
	else if (is_missing)
		table_one_hot(c, -1, out);
	else if (c->type == COLUMN_CATEGORY)
		table_one_hot(c, find_category(c, v, pointer, faults), out);
	else if (!cJSON_IsNumber(v) || !isfinite(table_number(t, c, v->valuedouble)))
		faults_add(faults, pointer, "\"%.60s\" is a number; give one that float32 can hold", c->name);
	else
		*out = table_number(t, c, v->valuedouble);
	mem_free(pointer);
}

/* A name that no column has is a misspelled one. */
static void check_names(const struct loader *l, const cJSON *object, const char *row, struct faults *faults)
{
	const struct loaded_table *t = l->own;
	const char **names = MEM_NEW_N(const char *, t->n), *near;
	const cJSON *member;

	for (int k = 0; k < t->n; k++)
		names[k] = t->columns[k].name;
	cJSON_ArrayForEach(member, object)
	{
		bool known = false;
		char token[128], *pointer;

		for (int k = 0; k < t->n && !known; k++)
			known = !strcmp(names[k], member->string);
		if (known)
			continue;
		json_pointer_token(member->string, token, sizeof token);
		pointer = mem_printf("%s/%s", row, token);
		near = nearest_name(member->string, names, (size_t)t->n);
		faults_add(faults, pointer, "%s has no column of this name%s%.60s%s", l->facts.dataset,
			near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
		mem_free(pointer);
	}
	mem_free(names);
}

static void read_row(const struct loader *l, const cJSON *v, const char *pointer, float *x, struct faults *faults)
{
	const struct loaded_table *t = l->own;

	if (!cJSON_IsObject(v)) {
		faults_add(faults, pointer, "give an object with a value for each column, as in {\"%.60s\": ...}",
			t->columns[t->features[0]].name);
		return;
	}
	check_names(l, v, pointer, faults);
	for (int i = 0; i < t->n_features; i++) {
		const struct loaded_column *c = &t->columns[t->features[i]];

		read_cell(l, c, json_get(v, c->name), pointer, x, faults);
		x += table_width(c);
	}
}

bool table_read_json(const struct loader *l, const cJSON *inputs, struct data_input *out, struct faults *faults)
{
	char pointer[INPUT_POINTER];
	const cJSON *v;
	int i = 0;

	if (!loader_input_room(l, cJSON_GetArraySize(inputs), 0, out, faults))
		return false;
	cJSON_ArrayForEach(v, inputs)
	{
		snprintf(pointer, sizeof pointer, "/inputs/%d", i);
		read_row(l, v, pointer, (float *)out->x + i * td_shape_count(&l->facts.x), faults);
		i++;
	}
	return !faults->n_found;
}

static bool check_array(const struct loader *l, const struct input_array *a, struct faults *faults)
{
	const struct loaded_table *t = l->own;
	char text[TD_SHAPE_TEXT];

	for (int i = 0; i < t->n_features; i++)
		if (t->columns[t->features[i]].type != COLUMN_NUMBER) {
			faults_add(faults, "",
				"\"%.60s\" is a category, which an array cannot hold; send JSON {\"inputs\": [{...}]}",
				t->columns[t->features[i]].name);
			return false;
		}
	if (a->rank == 2 && a->dim[1] == t->n_features && a->dim[0] <= DATA_INPUTS_MOST)
		return true;
	faults_add(faults, "", "an array of shape %s is not [N, %d] with N at most %d",
		input_shape_text(a->dim, a->rank, text), t->n_features, DATA_INPUTS_MOST);
	return false;
}

bool table_read_npy(
	const struct loader *l, const void *body, size_t n_bytes, struct data_input *out, struct faults *faults)
{
	const struct loaded_table *t = l->own;
	struct input_array a;
	bool good;

	if (!input_read_npy(body, n_bytes, &a, faults))
		return false;
	good = check_array(l, &a, faults) && loader_input_room(l, a.dim[0], 0, out, faults);
	for (int64_t i = 0; good && i < a.n; i++) {
		const struct loaded_column *c = &t->columns[t->features[i % t->n_features]];
		float x = table_number(t, c, a.values[i]);

		good = isfinite(x) && (!isnan(a.values[i]) || l->options->missing == DATA_MISSING_MEAN);
		((float *)out->x)[i] = x;
		if (!good)
			faults_add(faults, "", "row %lld: %g is no value for \"%.60s\"", (long long)(i / t->n_features),
				a.values[i], c->name);
	}
	input_array_release(&a);
	return good;
}
