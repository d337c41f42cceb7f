/* Splits, epochs and batches: which samples, in which order, as which numbers. */
#include "data/data.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int64_t data_split_count(double validation, int64_t n)
{
	return validation < 1 ? (int64_t)floor(validation * (double)n) : (int64_t)validation;
}

static void view_init(
	struct data_view *v, const struct dataset *d, enum data_part_name part, const int64_t *from, int64_t n)
{
	*v = (struct data_view){ .data = d, .part = part, .n = n, .index = MEM_NEW_N(int64_t, TD_MAX(n, 1)) };
	memcpy(v->index, from, sizeof *from * (size_t)n);
}

static int compare_indices(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

void data_split(const struct dataset *d, int64_t limit, int64_t n_validation, enum data_split_by by, uint64_t seed,
	struct data_view *train, struct data_view *validation)
{
	struct rng_key key = { .seed = seed, .stream = rng_stream("split") };
	int64_t n = limit - n_validation, *index = MEM_NEW_N(int64_t, TD_MAX(limit, 1));

	TD_ASSERT(n >= 0 && n_validation >= 0 && limit <= d->part[DATA_TRAIN].n);
	if (by == DATA_BY_RANDOM) {
		rng_permutation(&key, limit, index);
		/* Which samples is random; their order is the file's, as everywhere else. */
		qsort(index, (size_t)n, sizeof *index, compare_indices);
		qsort(index + n, (size_t)n_validation, sizeof *index, compare_indices);
	} else {
		for (int64_t i = 0; i < limit; i++)
			index[i] = i;
	}
	view_init(train, d, DATA_TRAIN, index, n);
	view_init(validation, d, DATA_TRAIN, index + n, n_validation);
	mem_free(index);
}

void data_whole(const struct dataset *d, enum data_part_name part, struct data_view *out)
{
	int64_t n = d->part[part].n, *index = MEM_NEW_N(int64_t, TD_MAX(n, 1));

	for (int64_t i = 0; i < n; i++)
		index[i] = i;
	view_init(out, d, part, index, n);
	mem_free(index);
}

void data_view_release(struct data_view *v)
{
	mem_free(v->index);
	memset(v, 0, sizeof *v);
}

void data_epoch_order(uint64_t seed, int64_t epoch, bool shuffle, int64_t n, int64_t *order)
{
	struct rng_key key = { .seed = seed, .stream = rng_stream("shuffle"), .step = (uint32_t)epoch };

	if (shuffle) {
		rng_permutation(&key, n, order);
		return;
	}
	for (int64_t i = 0; i < n; i++)
		order[i] = i;
}

int64_t data_batches(int64_t n, int64_t batch_size)
{
	return n / batch_size + (n % batch_size != 0);
}

void data_batch(const struct data_view *v, const struct data_table *t, const int64_t *order, int64_t first, int64_t n,
	float *images, int64_t *labels)
{
	const struct data_info *info = v->data->info;
	const struct data_part *part = &v->data->part[v->part];
	int64_t area = info->height * info->width, size = info->channels * area;

	TD_ASSERT(first >= 0 && n >= 0 && first + n <= v->n && t->channels == info->channels);
	for (int64_t i = 0; i < n; i++) {
		int64_t sample = v->index[order ? order[first + i] : first + i];
		const uint8_t *from = part->images + sample * size;

		labels[i] = part->labels[sample];
		for (int64_t c = 0; c < info->channels; c++, from += area) {
			const float *value = t->value + c * 256;

			for (int64_t p = 0; p < area; p++)
				*images++ = value[from[p]];
		}
	}
}
