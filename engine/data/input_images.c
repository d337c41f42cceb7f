/* Pictures to predict: files, arrays and nested lists become what the model was trained on. */
#include "data/input.h"
#include "data/load_images.h"

#include <nettle/base64.h>
#include <stdio.h>
#include <string.h>

/* Whether the transforms alone bring a picture of this size to the training's. */
static bool transforms_fit(const struct loader *l, const struct image *image)
{
	const struct image_columns *m = l->own;
	struct extent x = { m->channels, image->height, image->width, true };
	struct faults ignored;
	bool fits;

	if (m->height == image->height && m->width == image->width)
		return true;
	faults_init(&ignored);
	fits = (!m->height || m->pipeline.resizes) &&
	       image_ops_plan(&l->options->transforms, "transforms", &x, &ignored) && x.height == l->facts.x.dim[1] &&
	       x.width == l->facts.x.dim[2];
	faults_release(&ignored);
	return fits;
}

/* IMAGE as the model was trained on such: its channels become the dataset's, and where no transform brings it to the
 * training's size, it is scaled to cover the size of the dataset's pictures and its centre is cut out. */
static td_status take(const struct loader *l, struct image *image, float *out, struct err *e)
{
	struct image_columns *m = l->own;
	struct batch_request q = { .epoch = -1 };
	td_status s = TD_OK;

	if (image->channels != m->channels) {
		if ((image->channels != 1 && image->channels != 3) || (m->channels != 1 && m->channels != 3))
			return err_set(e, TD_SHAPE, "it has %lld channels, but the model was trained on %lld",
				(long long)image->channels, (long long)m->channels);
		s = image_set_channels(image, m->channels, e);
	}
	if (!s && !transforms_fit(l, image))
		s = image_fit(
			image, m->height ? m->height : l->facts.x.dim[1], m->height ? m->width : l->facts.x.dim[2], e);
	if (s)
		return s;
	picture_begin(&m->picture, image->pixels, m->channels, image->height, image->width);
	return images_walk(l, &q, 0, out, e);
}

bool images_read_image(
	const struct loader *l, const void *body, size_t n_bytes, struct data_input *out, struct faults *faults)
{
	struct image image = { 0 };
	struct err e = { 0 };
	td_status s = image_decode(body, n_bytes, &image, &e);

	if (!s && !loader_input_room(l, 1, 0, out, faults))
		s = TD_NO_MEMORY;
	else if (!s)
		s = take(l, &image, out->x, &e);
	if (e.status)
		faults_add(faults, "", "the picture cannot be read: %s", e.text);
	image_release(&image);
	return !s;
}

/* How numbers lie that stand for pictures. */
struct layout {
	int64_t n, channels, height, width;
	bool channels_last;
};

/* One picture, [H, W], [C, H, W] or [H, W, C], with the dataset's channels where that is possible. */
static bool layout_of_one(const int64_t *dim, int rank, int64_t channels, struct layout *out)
{
	bool first = rank == 3 && (dim[0] == channels || (dim[2] != channels && (dim[0] == 1 || dim[0] == 3)));

	if (rank == 2)
		*out = (struct layout){ 1, 1, dim[0], dim[1], false };
	else if (rank == 3 && first)
		*out = (struct layout){ 1, dim[0], dim[1], dim[2], false };
	else if (rank == 3)
		*out = (struct layout){ 1, dim[2], dim[0], dim[1], true };
	else
		return false;
	return out->channels == channels || out->channels == 1 || out->channels == 3 || out->channels == 4;
}

/* One picture, or [N, ...] of them. */
static bool layout_of(const struct input_array *a, int64_t channels, struct layout *out)
{
	bool one = a->rank == 2 || (a->rank == 3 && (a->dim[0] == channels || a->dim[2] == channels));

	if (one)
		return layout_of_one(a->dim, a->rank, channels, out);
	if (a->rank < 3 || !layout_of_one(a->dim + 1, a->rank - 1, channels, out))
		return false;
	out->n = a->dim[0];
	return true;
}

/* VALUES, 0 to 255, as planes of bytes; the fourth channel of colours is transparency and dropped. */
static bool to_image(const struct loader *l, const double *values, const struct layout *lay, const char *pointer,
	struct image *image, struct faults *faults)
{
	const struct image_columns *m = l->own;
	int64_t channels = lay->channels == 4 && m->channels != 4 ? 3 : lay->channels, area = lay->height * lay->width;
	struct err e = { 0 };

	if (lay->height > IMAGE_SIDE_MOST || lay->width > IMAGE_SIDE_MOST ||
		image_init(image, channels, lay->height, lay->width, &e)) {
		faults_add(faults, pointer, "a picture of %lld x %lld is too large", (long long)lay->height,
			(long long)lay->width);
		return false;
	}
	for (int64_t c = 0; c < channels; c++)
		for (int64_t k = 0; k < area; k++) {
			double value = values[lay->channels_last ? k * lay->channels + c : c * area + k];

			if (!(value >= 0 && value <= 255)) {
				faults_add(faults, pointer, "%g is no value of a pixel; they go from 0 to 255", value);
				return false;
			}
			image->pixels[c * area + k] = (uint8_t)(value + 0.5);
		}
	return true;
}

bool images_read_npy(
	const struct loader *l, const void *body, size_t n_bytes, struct data_input *out, struct faults *faults)
{
	const struct image_columns *m = l->own;
	struct input_array a;
	struct layout lay;
	char text[TD_SHAPE_TEXT];
	bool good;

	if (!input_read_npy(body, n_bytes, &a, faults))
		return false;
	good = !a.is_float && layout_of(&a, m->channels, &lay);
	if (a.is_float)
		faults_add(faults, "", "pixels are whole numbers from 0 to 255 here; send x.astype(\"uint8\")");
	else if (!good)
		faults_add(faults, "", "an array of shape %s is no picture; send [N, C, H, W] or [N, H, W]",
			input_shape_text(a.dim, a.rank, text));
	if (good && lay.n > DATA_INPUTS_MOST) {
		faults_add(faults, "", "%lld pictures are too many; send at most %d at a time", (long long)lay.n,
			DATA_INPUTS_MOST);
		good = false;
	}
	good = good && loader_input_room(l, lay.n, 0, out, faults);
	for (int64_t i = 0; good && i < lay.n; i++) {
		struct image image = { 0 };
		struct err e = { 0 };

		good = to_image(l, a.values + i * (a.n / lay.n), &lay, "", &image, faults);
		if (good && take(l, &image, (float *)out->x + i * td_shape_count(&l->facts.x), &e)) {
			faults_add(faults, "", "picture %lld: %s", (long long)i, e.text);
			good = false;
		}
		image_release(&image);
	}
	input_array_release(&a);
	return good;
}

/* {"image": base64 of a file}. */
static bool image_of_base64(const cJSON *text, const char *pointer, struct image *image, struct faults *faults)
{
	struct base64_decode_ctx decoder;
	size_t n = cJSON_IsString(text) ? strlen(text->valuestring) : 0, n_bytes = BASE64_DECODE_LENGTH(n);
	uint8_t *bytes = n ? mem_try_alloc(n_bytes) : NULL;
	struct err e = { 0 };

	base64_decode_init(&decoder);
	if (!bytes || !base64_decode_update(&decoder, &n_bytes, bytes, n, text->valuestring) ||
		!base64_decode_final(&decoder))
		faults_add(faults, pointer, "give {\"image\": \"...\"}, a PNG or JPEG file in base64");
	else if (image_decode(bytes, n_bytes, image, &e))
		faults_add(faults, pointer, "the picture cannot be read: %s", e.text);
	mem_free(bytes);
	return image->pixels != NULL;
}

static bool image_of_json(
	const struct loader *l, const cJSON *v, const char *pointer, struct image *image, struct faults *faults)
{
	const struct image_columns *m = l->own;
	struct input_array a;
	struct layout lay;
	char text[TD_SHAPE_TEXT];
	bool good;

	if (cJSON_IsObject(v))
		return image_of_base64(json_get(v, "image"), pointer, image, faults);
	if (!input_read_array(v, pointer, &a, faults))
		return false;
	good = layout_of_one(a.dim, a.rank, m->channels, &lay);
	if (!good)
		faults_add(faults, pointer, "numbers of shape %s are no picture; give [C, H, W], [H, W, C] or [H, W]",
			input_shape_text(a.dim, a.rank, text));
	good = good && to_image(l, a.values, &lay, pointer, image, faults);
	input_array_release(&a);
	return good;
}

bool images_read_json(const struct loader *l, const cJSON *inputs, struct data_input *out, struct faults *faults)
{
	float *x;
	const cJSON *v;
	int i = 0;

	if (!loader_input_room(l, cJSON_GetArraySize(inputs), 0, out, faults))
		return false;
	x = out->x;
	cJSON_ArrayForEach(v, inputs)
	{
		struct image image = { 0 };
		struct err e = { 0 };
		char pointer[INPUT_POINTER];

		snprintf(pointer, sizeof pointer, "/inputs/%d", i++);
		if (image_of_json(l, v, pointer, &image, faults) && take(l, &image, x, &e))
			faults_add(faults, pointer, "%s", e.text);
		image_release(&image);
		x += td_shape_count(&l->facts.x);
	}
	return !faults->n_found;
}
