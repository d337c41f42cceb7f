/* Images on their way into a pack: see formats.h.
 *
 * Sizes and offsets are written from the first picture on, since nobody knows yet whether the last will have the same
 * size; they are removed at the end where they say nothing.  Class names are known at the end too, so labels are
 * written in the order in which classes were met and renamed then. */
#include "data/formats.h"

#include <math.h>
#include <string.h>

void images_init(struct images *i, struct prepare *p, int64_t channels)
{
	*i = (struct images){ .p = p, .channels = channels };
	for (enum pack_part k = PACK_TRAIN; k < PACK_PARTS; k++) {
		column_open(&i->part[k].pixels, p, k, "images", COLUMN_ROOM);
		column_open(&i->part[k].sizes, p, k, "sizes", COLUMN_ROOM);
		column_open(&i->part[k].offsets, p, k, "offsets", COLUMN_ROOM);
		column_open(&i->part[k].labels, p, k, "labels", COLUMN_ROOM);
	}
}

void images_release(struct images *i)
{
	for (int k = 0; k < PACK_PARTS; k++) {
		column_release(&i->part[k].pixels);
		column_release(&i->part[k].sizes);
		column_release(&i->part[k].offsets);
		column_release(&i->part[k].labels);
	}
}

void images_drop(struct images *i)
{
	for (int k = 0; k < PACK_PARTS; k++) {
		column_drop(&i->part[k].pixels);
		column_drop(&i->part[k].sizes);
		column_drop(&i->part[k].offsets);
		column_drop(&i->part[k].labels);
	}
}

static void count_values(struct images *i, const struct image *picture)
{
	int64_t n = picture->height * picture->width;

	for (int64_t c = 0; c < picture->channels; c++)
		for (int64_t k = 0; k < n; k++)
			i->histogram[c][picture->pixels[c * n + k]]++;
}

/* Make PICTURE one of I's: its size and channels. */
static td_status conform(struct images *i, struct image *picture, struct err *e)
{
	const int64_t *size = i->p->format.image_size;
	td_status s;

	if (!i->channels)
		i->channels = picture->channels;
	if (picture->channels > i->channels) {
		i->needs_colour = true;
		return TD_CONFLICT;
	}
	s = image_set_channels(picture, i->channels, e);
	if (!s && size[0])
		s = image_fit(picture, size[0], size[1], e);
	if (s)
		return s;
	if (!i->height) {
		i->height = picture->height;
		i->width = picture->width;
	}
	i->sizes_differ |= picture->height != i->height || picture->width != i->width;
	return TD_OK;
}

td_status images_add(struct images *i, enum pack_part part, struct image *picture, struct err *e)
{
	struct images_part *to = &i->part[part];
	int32_t size[2];
	td_status s = conform(i, picture, e);

	if (s)
		return s;
	size[0] = (int32_t)picture->height;
	size[1] = (int32_t)picture->width;
	if (part == PACK_TRAIN)
		count_values(i, picture);
	s = column_add(&to->sizes, size, sizeof size, e);
	if (!s)
		s = column_add(&to->offsets, &to->pixels.n_bytes, sizeof to->pixels.n_bytes, e);
	if (!s)
		s = column_add(&to->pixels, picture->pixels,
			(size_t)(picture->channels * picture->height * picture->width), e);
	to->n += !s;
	return s;
}

td_status images_label(struct images *i, enum pack_part part, int32_t label, struct err *e)
{
	i->part[part].n_labels++;
	return column_add(&i->part[part].labels, &label, sizeof label, e);
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static td_status finish_part(struct images *i, struct images_part *part, const int32_t *rank, struct err *e)
{
	td_status s;

	if (part->n != part->n_labels)
		return err_set(e, TD_INVALID, "there are %lld images but %lld labels", (long long)part->n,
			(long long)part->n_labels);
	if (!part->n || !i->sizes_differ) {
		column_drop(&part->sizes);
		column_drop(&part->offsets);
	} else {
		s = column_add(&part->offsets, &part->pixels.n_bytes, sizeof part->pixels.n_bytes, e);
		if (s || (s = column_flush(&part->offsets, e)) || (s = column_flush(&part->sizes, e)))
			return s;
	}
	if (!part->n)
		return TD_OK;
	s = column_flush(&part->pixels, e);
	if (!s)
		s = column_flush(&part->labels, e);
	return s || !rank ? s : column_rename(&part->labels, rank, e);
}

static td_status count_labels(struct images *i, struct classes *c, struct err *e)
{
	for (int k = 0; k < PACK_PARTS; k++) {
		const struct images_part *part = &i->part[k];
		int32_t *labels = part->n ? column_map(&part->labels, e) : NULL;

		if (part->n && !labels)
			return e->status;
		for (int64_t n = 0; n < part->n; n++)
			c->count[labels[n]][k]++;
		column_unmap(&part->labels, labels);
	}
	return TD_OK;
}

/* Mean and deviation of each channel's values in [0, 1], over the training part. */
static void tell_channels(const struct images *i)
{
	cJSON *channels = cJSON_AddArrayToObject(i->p->summary, "channels");

	for (int64_t c = 0; c < i->channels; c++) {
		double n = 0, sum = 0, squares = 0, mean;
		cJSON *one = cJSON_CreateObject();

		for (int v = 0; v < 256; v++) {
			n += (double)i->histogram[c][v];
			sum += (double)i->histogram[c][v] * v;
		}
		mean = sum / n;
		for (int v = 0; v < 256; v++)
			squares += (double)i->histogram[c][v] * (v - mean) * (v - mean);
		cJSON_AddNumberToObject(one, "mean", mean / 255);
		cJSON_AddNumberToObject(one, "std", sqrt(squares / n) / 255);
		cJSON_AddItemToArray(channels, one);
	}
}

static void tell_info(const struct images *i)
{
	cJSON *image;

	cJSON_AddStringToObject(i->p->info, "kind", pack_kind_names[PACK_IMAGES]);
	image = cJSON_AddObjectToObject(i->p->info, "image");
	cJSON_AddNumberToObject(image, "channels", (double)i->channels);
	cJSON_AddNumberToObject(image, "height", i->sizes_differ ? 0 : (double)i->height);
	cJSON_AddNumberToObject(image, "width", i->sizes_differ ? 0 : (double)i->width);
}

/* Image AT of PART, as it was written. */
static td_status read_back(
	const struct images *i, const struct images_part *part, int64_t at, struct image *out, struct err *e)
{
	int32_t size[2] = { (int32_t)i->height, (int32_t)i->width };
	int64_t offset = at * i->channels * i->height * i->width;
	td_status s = TD_OK;

	if (i->sizes_differ) {
		s = column_read(&part->sizes, at * (int64_t)sizeof size, size, sizeof size, e);
		if (!s)
			s = column_read(&part->offsets, at * (int64_t)sizeof offset, &offset, sizeof offset, e);
	}
	if (!s)
		s = image_init(out, i->channels, size[0], size[1], e);
	return s ? s : column_read(&part->pixels, offset, out->pixels, (size_t)(i->channels * size[0] * size[1]), e);
}

/* Not larger than a thumbnail, in the picture's proportions. */
static td_status shrink(struct image *picture, struct err *e)
{
	int64_t side = TD_MAX(picture->height, picture->width);

	if (side <= THUMBNAIL_SIDE)
		return TD_OK;
	return image_fit(picture, TD_MAX(1, picture->height * THUMBNAIL_SIDE / side),
		TD_MAX(1, picture->width * THUMBNAIL_SIDE / side), e);
}

static td_status tell_sample(
	const struct images *i, const struct classes *c, const int32_t *labels, int64_t at, struct err *e)
{
	struct image picture = { 0 };
	cJSON *sample, *image;
	char *png = NULL;
	td_status s = read_back(i, &i->part[PACK_TRAIN], at, &picture, e);

	if (!s)
		s = shrink(&picture, e);
	if (!s && !(png = image_png_base64(&picture, e)))
		s = e->status;
	if (!s) {
		sample = add_sample(i->p, at, c->names[labels[at]]);
		image = cJSON_AddObjectToObject(sample, "image");
		cJSON_AddNumberToObject(image, "width", (double)picture.width);
		cJSON_AddNumberToObject(image, "height", (double)picture.height);
		cJSON_AddStringToObject(image, "png", png);
	}
	mem_free(png);
	image_release(&picture);
	return s;
}

static td_status tell_samples(const struct images *i, const struct classes *c, struct err *e)
{
	const struct images_part *part = &i->part[PACK_TRAIN];
	int64_t chosen[PREPARE_SAMPLES_MOST];
	int32_t *labels = column_map(&part->labels, e);
	td_status s = labels ? TD_OK : e->status;
	int n = s ? 0 : choose_samples(labels, part->n, c->n, chosen);

	for (int k = 0; k < n && !s; k++)
		s = tell_sample(i, c, labels, chosen[k], e);
	column_unmap(&part->labels, labels);
	return s;
}

td_status images_finish(struct images *i, struct classes *c, const int32_t *rank, struct err *e)
{
	td_status s = prepare_parts(i->p, (int64_t[]){ i->part[PACK_TRAIN].n, i->part[PACK_TEST].n }, e);

	for (int k = 0; k < PACK_PARTS && !s; k++)
		s = finish_part(i, &i->part[k], rank, e);
	if (!s)
		s = count_labels(i, c, e);
	if (s)
		return s;
	tell_info(i);
	tell_channels(i);
	classes_tell(c, i->p);
	return tell_samples(i, c, e);
}
