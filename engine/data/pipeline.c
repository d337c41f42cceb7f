/* The operations of one job in order: see pipeline.h. */
#include "data/pipeline.h"

#include <math.h>

/* ---- Moments --------------------------------------------------------------------------------------------------- */

void moments_add(struct moments *m, double n, double mean, double squares)
{
	double all = m->n + n, delta = mean - m->mean;

	if (n <= 0)
		return;
	m->mean += delta * n / all;
	m->squares += squares + delta * delta * m->n * n / all;
	m->n = all;
}

void moments_add_floats(struct moments *m, const float *x, int64_t n)
{
	double sum = 0, squares = 0, mean;

	for (int64_t i = 0; i < n; i++)
		sum += (double)x[i];
	mean = sum / (double)TD_MAX(n, 1);
	for (int64_t i = 0; i < n; i++)
		squares += ((double)x[i] - mean) * ((double)x[i] - mean);
	moments_add(m, (double)n, mean, squares);
}

/* Of the population; 1 where nothing varies, so that it can divide. */
static double moments_std(const struct moments *m)
{
	double variance = m->n > 0 ? m->squares / m->n : 0;

	return variance > 0 ? sqrt(variance) : 1;
}

/* ---- The pipeline ---------------------------------------------------------------------------------------------- */

void pipeline_init(struct pipeline *p, const struct data_options *o, int64_t channels, struct arena *arena)
{
	*p = (struct pipeline){ .augment = &o->augment, .transforms = &o->transforms, .channels = channels };
	for (int i = 0; i < o->transforms.n; i++) {
		const struct opt_choice *c = &o->transforms.items[i];
		const struct image_op *op = image_op_of(c);

		p->moves |= op->apply != NULL;
		p->resizes |= op->any_size;
		if (!op->scale)
			continue;
		p->scalings[i].mean = arena_alloc(arena, sizeof(double) * (size_t)channels);
		p->scalings[i].std = arena_alloc(arena, sizeof(double) * (size_t)channels);
		op->scale(c->options, channels, &p->scalings[i]);
	}
}

bool pipeline_is_fitted(const struct pipeline *p, int i)
{
	return image_op_of(&p->transforms->items[i])->is_fitted;
}

void pipeline_set(struct pipeline *p, int i, const struct moments *channels)
{
	for (int64_t c = 0; c < p->channels; c++) {
		p->scalings[i].mean[c] = channels[c].mean;
		p->scalings[i].std[c] = moments_std(&channels[c]);
	}
}

void pipeline_scale(const struct pipeline *p, int from, int to, float *x, int64_t area)
{
	for (int i = from; i < to; i++) {
		const struct scaling *s = &p->scalings[i];

		for (int64_t c = 0; s->mean && c < p->channels; c++) {
			float mean = (float)s->mean[c], std = (float)s->std[c], *plane = x + c * area;

			for (int64_t k = 0; k < area; k++)
				plane[k] = (plane[k] - mean) / std;
		}
	}
}

td_status pipeline_transform(const struct pipeline *p, int from, int to, struct picture *picture, struct err *e)
{
	td_status s = TD_OK;

	for (int i = from; i < to && !s; i++) {
		const struct opt_choice *c = &p->transforms->items[i];
		const struct image_op *op = image_op_of(c);

		if (!op->on_bytes)
			s = picture_floats(picture, e);
		if (!s && op->apply)
			s = op->apply(c->options, picture, NULL, e);
		else if (!s)
			pipeline_scale(p, i, i + 1, picture->at, picture->height * picture->width);
	}
	return s ? s : picture_floats(picture, e);
}

td_status pipeline_augment(
	const struct pipeline *p, struct picture *picture, uint64_t seed, int64_t epoch, int64_t sample, struct err *e)
{
	struct draws d = { .key = { .seed = seed, .stream = rng_stream("augment"), .step = (uint32_t)epoch } };
	td_status s = TD_OK;

	for (int i = 0; i < p->augment->n && !s; i++) {
		const struct opt_choice *c = &p->augment->items[i];
		const struct image_op *op = image_op_of(c);

		if (!op->apply)
			continue;
		if (!op->on_bytes)
			s = picture_floats(picture, e);
		d.first = ((uint64_t)sample * OPS_MOST + (uint64_t)i) * DRAWS_MOST;
		if (!s)
			s = op->apply(c->options, picture, &d, e);
	}
	return s;
}

void pipeline_table(const struct pipeline *p, int to, float *table)
{
	for (int64_t i = 0; i < p->channels * 256; i++)
		table[i] = (float)(i % 256) / 255.0f;
	pipeline_scale(p, 0, to, table, 256);
}

/* ---- Saving ---------------------------------------------------------------------------------------------------- */

cJSON *pipeline_to_json(const struct pipeline *p)
{
	cJSON *list = cJSON_CreateArray(), *item;

	for (int i = 0; i < p->transforms->n; i++) {
		if (!pipeline_is_fitted(p, i)) {
			cJSON_AddItemToArray(list, cJSON_CreateNull());
			continue;
		}
		item = cJSON_CreateObject();
		cJSON_AddItemToObject(item, "mean", cJSON_CreateDoubleArray(p->scalings[i].mean, (int)p->channels));
		cJSON_AddItemToObject(item, "std", cJSON_CreateDoubleArray(p->scalings[i].std, (int)p->channels));
		cJSON_AddItemToArray(list, item);
	}
	return list;
}

static bool read_doubles(const cJSON *list, double *out, int64_t n)
{
	const cJSON *v;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != n)
		return false;
	cJSON_ArrayForEach(v, list)
	{
		if (!cJSON_IsNumber(v))
			return false;
		*out++ = v->valuedouble;
	}
	return true;
}

bool pipeline_from_json(struct pipeline *p, const cJSON *j)
{
	if (!cJSON_IsArray(j) || cJSON_GetArraySize(j) != p->transforms->n)
		return false;
	for (int i = 0; i < p->transforms->n; i++) {
		const cJSON *item = cJSON_GetArrayItem(j, i);

		if (!pipeline_is_fitted(p, i))
			continue;
		if (!read_doubles(json_get(item, "mean"), p->scalings[i].mean, p->channels) ||
			!read_doubles(json_get(item, "std"), p->scalings[i].std, p->channels))
			return false;
		for (int64_t c = 0; c < p->channels; c++)
			if (!(p->scalings[i].std[c] > 0))
				return false;
	}
	return true;
}
