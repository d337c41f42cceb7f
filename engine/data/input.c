/* Inputs to predict: see input.h; what a kind makes of them stands in its own file. */
#include "data/input.h"
#include "io/image.h"
#include "io/npy.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define INPUT_BYTES_MOST ((int64_t)1 << 30) /* of the tensor that is made: a predictor is a small process */

/* ---- Lists of JSON --------------------------------------------------------------------------------------------- */

static bool find_shape(const cJSON *v, const char *pointer, struct input_array *a, struct faults *faults)
{
	for (a->rank = 0; cJSON_IsArray(v); v = v->child) {
		if (a->rank == INPUT_RANK_MOST || !v->child) {
			faults_add(faults, pointer, "%s", v->child ? "lists are nested too deep" : "a list is empty");
			return false;
		}
		a->dim[a->rank++] = cJSON_GetArraySize(v);
	}
	return true;
}

static bool gather(const cJSON *v, int axis, const char *pointer, struct input_array *a, struct faults *faults)
{
	char child[INPUT_POINTER];
	const cJSON *item;
	int i = 0;

	if (axis == a->rank) {
		if (!cJSON_IsNumber(v)) {
			faults_add(faults, pointer, "this is not a number");
			return false;
		}
		MEM_GROW(a->values, a->n, a->room);
		a->values[a->n++] = v->valuedouble;
		return true;
	}
	if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != a->dim[axis]) {
		faults_add(faults, pointer, "this is no list of %lld like its neighbours", (long long)a->dim[axis]);
		return false;
	}
	cJSON_ArrayForEach(item, v)
	{
		snprintf(child, sizeof child, "%s/%d", pointer, i++);
		if (!gather(item, axis + 1, child, a, faults))
			return false;
	}
	return true;
}

bool input_read_array(const cJSON *v, const char *pointer, struct input_array *out, struct faults *faults)
{
	*out = (struct input_array){ 0 };
	if (find_shape(v, pointer, out, faults) && gather(v, 0, pointer, out, faults))
		return true;
	input_array_release(out);
	return false;
}

void input_array_release(struct input_array *a)
{
	mem_free(a->values);
	*a = (struct input_array){ 0 };
}

const char *input_shape_text(const int64_t *dim, int rank, char out[TD_SHAPE_TEXT])
{
	size_t at = (size_t)snprintf(out, TD_SHAPE_TEXT, "[");

	for (int i = 0; i < rank && at < TD_SHAPE_TEXT; i++)
		at += (size_t)snprintf(out + at, TD_SHAPE_TEXT - at, "%s%lld", i ? ", " : "", (long long)dim[i]);
	if (at < TD_SHAPE_TEXT)
		snprintf(out + at, TD_SHAPE_TEXT - at, "]");
	return out;
}

/* ---- NPY ------------------------------------------------------------------------------------------------------- */

bool input_read_npy(const void *body, size_t n_bytes, struct input_array *out, struct faults *faults)
{
	struct err e = { 0 };
	struct npy npy;

	*out = (struct input_array){ 0 };
	if (npy_parse(body, n_bytes, &npy, &e)) {
		faults_add(faults, "", "%s", e.text);
		return false;
	}
	if (npy.n > INPUT_VALUES_MOST || npy.n < 1) {
		faults_add(faults, "", "the array has %lld elements; send 1 to %lld", (long long)npy.n,
			(long long)INPUT_VALUES_MOST);
		return false;
	}
	if ((int64_t)n_bytes - npy.n_header < npy.n * npy_type_bytes(npy.type)) {
		faults_add(faults, "", "the file ends before its %lld elements do", (long long)npy.n);
		return false;
	}
	out->values = mem_try_alloc(sizeof(double) * (size_t)npy.n);
	if (!out->values) {
		faults_add(faults, "", "no memory for %lld elements; send fewer samples at a time", (long long)npy.n);
		return false;
	}
	npy_to_doubles(npy.type, (const char *)body + npy.n_header, npy.n, out->values);
	out->n = npy.n;
	out->rank = npy.rank;
	out->is_float = npy_is_float(npy.type);
	memcpy(out->dim, npy.dim, sizeof npy.dim);
	return true;
}

/* ---- Rooms ----------------------------------------------------------------------------------------------------- */

bool loader_input_room(const struct loader *l, int64_t n, int64_t steps, struct data_input *out, struct faults *faults)
{
	td_shape one = l->facts.x;
	int64_t bytes;

	if (steps)
		one.dim[0] = steps;
	bytes = (int64_t)td_shape_bytes(&one);
	*out = (struct data_input){ .n = n, .steps = steps };
	if (bytes <= INPUT_BYTES_MOST / TD_MAX(n, 1))
		out->x = mem_try_alloc((size_t)TD_MAX(n * bytes, 1));
	if (!out->x)
		faults_add(faults, "/inputs",
			"%lld samples are too many for this predictor's memory; send fewer at a time", (long long)n);
	else
		memset(out->x, 0, (size_t)(n * bytes));
	return out->x != NULL;
}

void data_input_release(struct data_input *in)
{
	mem_free(in->x);
	mem_free(in->lengths);
	*in = (struct data_input){ 0 };
}

/* ---- Dispatch -------------------------------------------------------------------------------------------------- */

static bool read_json(
	const struct loader *l, const void *body, size_t n_bytes, struct data_input *out, struct faults *faults)
{
	struct err e = { 0 };
	cJSON *root = json_parse(body, n_bytes, &e);
	const cJSON *inputs = json_get(root, "inputs");
	int n = cJSON_IsArray(inputs) ? cJSON_GetArraySize(inputs) : -1;
	bool good = false;

	if (!root)
		faults_add(faults, "", "%s", e.text);
	else if (n < 0)
		faults_add(faults, "/inputs", "give {\"inputs\": [...]}, a list with one entry for each sample");
	else if (n < 1 || n > DATA_INPUTS_MOST)
		faults_add(faults, "/inputs", "%d inputs were given; send 1 to %d at a time", n, DATA_INPUTS_MOST);
	else
		good = l->kind->read_json(l, inputs, out, faults);
	cJSON_Delete(root);
	return good;
}

/* A media type without its parameters. */
static bool is_type(const char *media_type, const char *name)
{
	size_t n = strcspn(media_type, "; \t");

	return n == strlen(name) && !strncasecmp(media_type, name, n);
}

bool loader_input(const struct loader *l, const char *media_type, const void *body, size_t n_bytes,
	struct data_input *out, struct faults *faults)
{
	const struct loader_kind *k = l->kind;
	bool npy = n_bytes >= 6 && !memcmp(body, "\x93NUMPY", 6);
	bool good;

	*out = (struct data_input){ 0 };
	if (is_type(media_type, "application/json")) {
		good = read_json(l, body, n_bytes, out, faults);
	} else if (npy && k->read_npy) {
		good = k->read_npy(l, body, n_bytes, out, faults);
	} else if (image_is_known(body, n_bytes) && k->read_image) {
		good = k->read_image(l, body, n_bytes, out, faults);
	} else {
		faults_add(faults, "",
			"a body of type \"%.60s\" is nothing that this model reads; send application/json {\"inputs\": "
			"[...]}%s%s",
			media_type, k->read_npy ? ", application/x-npy" : "",
			k->read_image ? ", image/png or image/jpeg" : "");
		return false;
	}
	if (!good)
		data_input_release(out);
	return good;
}
