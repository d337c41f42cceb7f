/* Arrays: x of any shape, floats or whole numbers, and y, a class or a row of numbers each.
 *
 * Axis 0 of a sample is its channel for the transforms that scale: of [features] every feature, of [C, H, W] every C.
 */
#include "data/input.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ARRAY_RANK_MOST 5                  /* of a sample: a batch has one axis more */
#define ARRAY_SIZE_MOST ((int64_t)1 << 24) /* elements of a sample */

struct array_columns {
	struct pack_column x[PACK_PARTS], y[PACK_PARTS];
	struct pipeline pipeline;
	int64_t channels, area; /* of a sample: axis 0, and the product of the others */
};

/* ---- Creating -------------------------------------------------------------------------------------------------- */

static bool read_shape(struct loader *l, const cJSON *info, const char *name, td_shape *out, struct faults *faults)
{
	const cJSON *array = json_get(info, name), *shape = json_get(array, "shape"), *size;
	bool whole = !strcmp(json_string(array, "dtype", ""), "int64");
	int64_t count = 1;

	*out = (td_shape){ .dtype = whole ? TD_I64 : TD_F32 };
	if ((!whole && strcmp(json_string(array, "dtype", ""), "float32") != 0) || !cJSON_IsArray(shape) ||
		cJSON_GetArraySize(shape) > ARRAY_RANK_MOST)
		return loader_refuse_info(l, faults, "\"%s\" is no array of float32 or int64", name);
	cJSON_ArrayForEach(size, shape)
	{
		int64_t n = json_is_integer(size) ? (int64_t)size->valuedouble : 0;

		if (n < 1 || __builtin_mul_overflow(count, n, &count) || count > ARRAY_SIZE_MOST)
			return loader_refuse_info(l, faults, "\"%s\" has a size that cannot be", name);
		out->dim[out->rank++] = n;
	}
	return true;
}

static bool read_target(struct loader *l, const cJSON *info, struct faults *faults)
{
	td_shape y;

	if (!read_shape(l, info, "y", &y, faults))
		return false;
	if (y.dtype == TD_I64)
		return y.rank ? loader_refuse_info(l, faults, "\"y\" of classes has axes")
			      : loader_read_classes(l, info, faults);
	if (y.rank > 1)
		return loader_refuse_info(l, faults, "\"y\" of numbers has more than one axis");
	l->facts.target = DATA_VALUES;
	l->facts.y = td_shape_make(TD_F32, 1, y.rank ? y.dim[0] : (int64_t)1);
	return true;
}

static bool arrays_create(struct loader *l, const cJSON *info, struct faults *faults)
{
	struct array_columns *a = l->own;
	const struct data_options *o = l->options;
	struct extent extent = { 0 };

	if (!read_shape(l, info, "x", &l->facts.x, faults) || !read_target(l, info, faults))
		return false;
	a->channels = l->facts.x.rank ? l->facts.x.dim[0] : 1;
	a->area = td_shape_count(&l->facts.x) / a->channels;
	extent.channels = a->channels;
	if (!image_ops_plan(&o->augment, "augment", &extent, faults) ||
		!image_ops_plan(&o->transforms, "transforms", &extent, faults))
		return false;
	pipeline_init(&a->pipeline, o, a->channels, &l->arena);
	if (l->facts.x.dtype == TD_I64) {
		l->facts.n_tokens = o->vocab; /* how many there are only the author knows */
		return loader_refuse_scalings(l, "whole numbers are tokens; save x as float32", faults);
	}
	return true;
}

static void arrays_release(void *own)
{
	struct array_columns *a = own;

	for (int p = 0; p < PACK_PARTS; p++) {
		pack_unmap(&a->x[p]);
		pack_unmap(&a->y[p]);
	}
}

static int64_t arrays_bytes(const struct loader *l)
{
	const struct array_columns *a = l->own;

	return a->channels * (int64_t)(sizeof(struct moments) + 2 * OPS_MOST * sizeof(double));
}

/* ---- Columns --------------------------------------------------------------------------------------------------- */

/* Classes come as int64 here. */
static td_status check_classes(const struct loader *l, enum pack_part part, struct err *e)
{
	const struct array_columns *a = l->own;
	const int64_t *y = a->y[part].data;

	for (int64_t i = 0; i < l->n_part[part]; i++)
		if (y[i] < 0 || y[i] >= l->facts.n_classes)
			return err_set(e, TD_CORRUPT,
				"%s.y of dataset %s: entry %lld is %lld, but there are %d classes, from 0; prepare it "
				"again",
				pack_part_names[part], l->facts.dataset, (long long)i, (long long)y[i],
				l->facts.n_classes);
	return TD_OK;
}

static td_status arrays_map(struct loader *l, const char *folder, const char **pointer, struct err *e)
{
	struct array_columns *a = l->own;
	int64_t x_bytes = (int64_t)td_shape_bytes(&l->facts.x);
	bool classes = l->facts.n_classes > 0;
	int64_t y_bytes = classes ? (int64_t)sizeof(int64_t) : (int64_t)td_shape_bytes(&l->facts.y);
	td_status s = TD_OK;

	(void)pointer;
	for (enum pack_part p = PACK_TRAIN; p < PACK_PARTS && !s; p++) {
		if (!l->n_part[p])
			continue;
		if (l->n_part[p] > INT64_MAX / TD_MAX(x_bytes, y_bytes))
			return err_set(e, TD_CORRUPT, "dataset %s says that it has %lld samples", l->facts.dataset,
				(long long)l->n_part[p]);
		s = loader_map(l, folder, p, "x", l->n_part[p] * x_bytes, &a->x[p], e);
		if (!s)
			s = loader_map(l, folder, p, "y", l->n_part[p] * y_bytes, &a->y[p], e);
		if (!s && classes)
			s = check_classes(l, p, e);
	}
	return s;
}

static int32_t arrays_label(const struct loader *l, enum pack_part part, int64_t i)
{
	const struct array_columns *a = l->own;

	return (int32_t)((const int64_t *)a->y[part].data)[i];
}

/* ---- Fitting and batches --------------------------------------------------------------------------------------- */

static bool all_finite(const float *x, int64_t n)
{
	float sum = 0;

	for (int64_t i = 0; i < n; i++)
		sum += x[i] * 0.0f; /* NaN from NaN and from infinity, else 0 */
	return sum == 0;
}

static td_status check_finite(const struct loader *l, enum pack_part part, const char *name, int64_t i, const float *x,
	int64_t n, struct err *e)
{
	if (all_finite(x, n))
		return TD_OK;
	return err_set(e, TD_INVALID,
		"sample %lld of %s.%s of dataset %s holds NaN or infinity; clean the array and register it again",
		(long long)i, pack_part_names[part], name, l->facts.dataset);
}

/* Sample I scaled by the first TO transforms. */
static td_status take_floats(const struct loader *l, enum pack_part part, int64_t i, int to, float *out, struct err *e)
{
	const struct array_columns *a = l->own;
	int64_t n = td_shape_count(&l->facts.x);
	const float *x = (const float *)a->x[part].data + i * n;
	td_status s = check_finite(l, part, "x", i, x, n, e);

	memcpy(out, x, sizeof *out * (size_t)n);
	pipeline_scale(&a->pipeline, 0, to, out, a->area);
	return s;
}

static td_status fit_one(struct loader *l, int i, float *sample, struct moments *channels, struct err *e)
{
	struct array_columns *a = l->own;
	const struct view *v = &l->view[DATA_TRAIN];
	td_status s = TD_OK;

	for (int64_t k = 0; k < v->n && !s; k++) {
		s = take_floats(l, v->part, v->index[k], i, sample, e);
		for (int64_t c = 0; c < a->channels && !s; c++)
			moments_add_floats(&channels[c], sample + c * a->area, a->area);
	}
	pipeline_set(&a->pipeline, i, channels);
	return s;
}

static td_status arrays_fit(struct loader *l, const char **pointer, struct err *e)
{
	struct array_columns *a = l->own;
	td_status s = TD_OK;

	*pointer = "/data/transforms";
	for (int i = 0; i < l->options->transforms.n && !s; i++) {
		struct moments *channels;
		float *sample;

		if (!pipeline_is_fitted(&a->pipeline, i))
			continue;
		channels = mem_try_alloc(sizeof *channels * (size_t)a->channels);
		sample = mem_try_alloc(td_shape_bytes(&l->facts.x));
		if (channels && sample) {
			memset(channels, 0, sizeof *channels * (size_t)a->channels);
			s = fit_one(l, i, sample, channels, e);
		} else {
			s = err_set(e, TD_NO_MEMORY, "no memory for the statistics of %lld channels",
				(long long)a->channels);
		}
		mem_free(channels);
		mem_free(sample);
	}
	return s;
}

static td_status arrays_fill(
	const struct loader *l, const struct batch_request *q, const struct data_batch *out, struct err *e)
{
	const struct array_columns *a = l->own;
	int64_t n_x = td_shape_count(&l->facts.x), n_y = td_shape_count(&l->facts.y);
	const char *x = a->x[q->part].data, *y = a->y[q->part].data;
	td_status s = TD_OK;

	for (int64_t i = 0; i < q->n && !s; i++) {
		int64_t sample = q->samples[i];

		if (l->facts.x.dtype == TD_F32)
			s = take_floats(l, q->part, sample, l->options->transforms.n, (float *)out->x + i * n_x, e);
		else
			memcpy((int64_t *)out->x + i * n_x, x + sample * n_x * 8, (size_t)n_x * 8);
		if (l->facts.n_classes) {
			((int64_t *)out->y)[i] = arrays_label(l, q->part, sample);
			continue;
		}
		memcpy((float *)out->y + i * n_y, y + sample * n_y * 4, (size_t)n_y * 4);
		if (!s)
			s = check_finite(l, q->part, "y", sample, (float *)out->y + i * n_y, n_y, e);
	}
	return s;
}

/* ---- For people, and saving ------------------------------------------------------------------------------------ */

#define VALUES_SHOWN 16

static void arrays_show(const struct loader *l, enum pack_part part, int64_t i, cJSON *object)
{
	const struct array_columns *a = l->own;
	int64_t n = td_shape_count(&l->facts.x);
	cJSON *values = cJSON_AddArrayToObject(object, "values");

	for (int64_t k = 0; k < TD_MIN(n, VALUES_SHOWN); k++) {
		double value = l->facts.x.dtype == TD_F32 ? (double)((const float *)a->x[part].data)[i * n + k]
							  : (double)((const int64_t *)a->x[part].data)[i * n + k];
		cJSON_AddItemToArray(values, json_number(value));
	}
}

static void arrays_save(const struct loader *l, cJSON *state)
{
	const struct array_columns *a = l->own;

	cJSON_AddItemToObject(state, "transforms", pipeline_to_json(&a->pipeline));
}

static bool arrays_restore(struct loader *l, const cJSON *state)
{
	struct array_columns *a = l->own;

	return pipeline_from_json(&a->pipeline, json_get(state, "transforms"));
}

/* ---- Prediction ------------------------------------------------------------------------------------------------ */

static bool shape_is(const int64_t *dim, int rank, const td_shape *one)
{
	return rank == one->rank && !memcmp(dim, one->dim, sizeof *dim * (size_t)rank);
}

/* One sample of VALUES into position I of OUT. */
static bool put(const struct loader *l, const double *values, int64_t i, const char *pointer, struct data_input *out,
	struct faults *faults)
{
	const struct array_columns *a = l->own;
	int64_t n = td_shape_count(&l->facts.x), *tokens = (int64_t *)out->x + i * n;
	float *x = (float *)out->x + i * n;

	for (int64_t k = 0; k < n; k++) {
		bool whole = values[k] == floor(values[k]) && fabs(values[k]) <= JSON_INTEGER_MOST;

		if (!isfinite((float)values[k]) || (l->facts.x.dtype == TD_I64 && !whole)) {
			faults_add(faults, pointer, "%g is no %s", values[k],
				l->facts.x.dtype == TD_I64 ? "whole number" : "finite float32 number");
			return false;
		}
		if (l->facts.x.dtype == TD_I64)
			tokens[k] = (int64_t)values[k];
		else
			x[k] = (float)values[k];
	}
	if (l->facts.x.dtype == TD_F32)
		pipeline_scale(&a->pipeline, 0, l->options->transforms.n, x, a->area);
	return true;
}

static void refuse_shape(
	const struct loader *l, const char *pointer, const struct input_array *got, struct faults *faults)
{
	char is[TD_SHAPE_TEXT], wanted[TD_SHAPE_TEXT];

	faults_add(faults, pointer, "this has shape %s, but a sample has %s", input_shape_text(got->dim, got->rank, is),
		input_shape_text(l->facts.x.dim, l->facts.x.rank, wanted));
}

static bool arrays_read_json(const struct loader *l, const cJSON *inputs, struct data_input *out, struct faults *faults)
{
	const cJSON *v;
	int64_t i = 0;

	if (!loader_input_room(l, cJSON_GetArraySize(inputs), 0, out, faults))
		return false;
	cJSON_ArrayForEach(v, inputs)
	{
		struct input_array a;
		char pointer[INPUT_POINTER];

		snprintf(pointer, sizeof pointer, "/inputs/%lld", (long long)i);
		if (input_read_array(v, pointer, &a, faults)) {
			if (shape_is(a.dim, a.rank, &l->facts.x))
				put(l, a.values, i, pointer, out, faults);
			else
				refuse_shape(l, pointer, &a, faults);
			input_array_release(&a);
		}
		i++;
	}
	return !faults->n_found;
}

static bool arrays_read_npy(
	const struct loader *l, const void *body, size_t n_bytes, struct data_input *out, struct faults *faults)
{
	const td_shape *one = &l->facts.x;
	struct input_array a;
	bool single, good;
	int64_t n;

	if (!input_read_npy(body, n_bytes, &a, faults))
		return false;
	single = shape_is(a.dim, a.rank, one);
	n = single ? 1 : a.dim[0];
	good = single || (a.rank && shape_is(a.dim + 1, a.rank - 1, one) && n <= DATA_INPUTS_MOST);
	if (!good && a.rank && shape_is(a.dim + 1, a.rank - 1, one))
		faults_add(faults, "", "%lld samples are too many; send at most %d at a time", (long long)n,
			DATA_INPUTS_MOST);
	else if (!good)
		refuse_shape(l, "", &a, faults);
	good = good && loader_input_room(l, n, 0, out, faults);
	for (int64_t i = 0; good && i < n; i++)
		good = put(l, a.values + i * td_shape_count(one), i, "", out, faults);
	input_array_release(&a);
	return good;
}

const struct loader_kind load_arrays = {
	.n_bytes = sizeof(struct array_columns),
	.create = arrays_create,
	.release = arrays_release,
	.map = arrays_map,
	.label = arrays_label,
	.fit = arrays_fit,
	.fill = arrays_fill,
	.show = arrays_show,
	.save = arrays_save,
	.restore = arrays_restore,
	.read_json = arrays_read_json,
	.read_npy = arrays_read_npy,
	.bytes = arrays_bytes,
};
