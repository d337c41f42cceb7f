/* Pictures.
 *
 * Where no operation moves pixels, a batch is a table look-up of 256 values a channel; else each sample walks through
 * the pipeline.  Statistics of the training split are taken from a histogram of bytes in the first case: exact, and
 * quick. */
#include "data/load_images.h"

#include <math.h>
#include <string.h>

#define CHANNELS_KNOWN 64                   /* that info.json may claim */
#define VARIED_BYTES   ((int64_t)128 << 20) /* for pictures of unknown sizes: one of 12 megapixels in floats */
#define GRID_GAP       2                    /* pixels between the pictures of a grid */
#define GRID_PNG_SIDE  8192

/* ---- Creating -------------------------------------------------------------------------------------------------- */

static bool read_image_info(struct loader *l, const cJSON *info, struct faults *faults)
{
	struct image_columns *m = l->own;
	const cJSON *image = json_get(info, "image");

	m->channels = json_int(image, "channels", 0);
	m->height = json_int(image, "height", -1);
	m->width = json_int(image, "width", -1);
	if (m->channels < 1 || m->channels > CHANNELS_KNOWN || m->height < 0 || m->width < 0 ||
		m->height > IMAGE_SIDE_MOST || m->width > IMAGE_SIDE_MOST || m->height * m->width > IMAGE_PIXELS_MOST ||
		!m->height != !m->width)
		return loader_refuse_info(l, faults, "pictures of %lld channels, %lld x %lld", (long long)m->channels,
			(long long)m->height, (long long)m->width);
	return loader_read_classes(l, info, faults);
}

static bool check_extents(
	const struct loader *l, const struct extent *train, const struct extent *other, struct faults *faults)
{
	if (!other->height || !train->height) {
		faults_add(faults, "/data/transforms",
			"the pictures of %s differ in size; add {\"type\": \"resize\", \"size\": 256} and {\"type\": "
			"\"center_crop\", \"size\": 224}, or a resize to [height, width]",
			l->facts.dataset);
		return false;
	}
	if (train->height == other->height && train->width == other->width)
		return true;
	faults_add(faults, "/data/augment",
		"augmented pictures would be %lld x %lld, but those of an evaluation %lld x %lld; add a center_crop or "
		"resize to the transforms",
		(long long)train->height, (long long)train->width, (long long)other->height, (long long)other->width);
	return false;
}

static bool images_create(struct loader *l, const cJSON *info, struct faults *faults)
{
	struct image_columns *m = l->own;
	const struct data_options *o = l->options;
	struct extent train, other;

	if (!read_image_info(l, info, faults))
		return false;
	train = other = (struct extent){ m->channels, m->height, m->width, true };
	if (!image_ops_plan(&o->transforms, "transforms", &other, faults) ||
		!image_ops_plan(&o->augment, "augment", &train, faults) ||
		!image_ops_plan(&o->transforms, "transforms", &train, faults) ||
		!check_extents(l, &train, &other, faults))
		return false;
	pipeline_init(&m->pipeline, o, m->channels, &l->arena);
	l->facts.x = td_shape_make(TD_F32, 3, m->channels, other.height, other.width);
	return true;
}

static void images_release(void *own)
{
	struct image_columns *m = own;

	for (int p = 0; p < PACK_PARTS; p++) {
		pack_unmap(&m->pixels[p]);
		pack_unmap(&m->sizes[p]);
		pack_unmap(&m->offsets[p]);
		pack_unmap(&m->labels[p]);
	}
	mem_free(m->table);
	picture_release(&m->picture);
}

static int64_t images_bytes(const struct loader *l)
{
	const struct image_columns *m = l->own;
	int64_t most = TD_MAX(m->channels * m->height * m->width, td_shape_count(&l->facts.x));

	return m->channels * 256 * (int64_t)sizeof(float) +
	       (m->height ? 4 * most * (int64_t)sizeof(float) : VARIED_BYTES);
}

/* ---- Columns --------------------------------------------------------------------------------------------------- */

/* One picture of a part. */
struct image_at {
	const uint8_t *pixels;
	int64_t height, width;
};

static struct image_at image_at(const struct image_columns *m, enum pack_part part, int64_t i)
{
	const uint8_t *pixels = m->pixels[part].data;
	const int32_t *sizes = m->sizes[part].data;
	const int64_t *offsets = m->offsets[part].data;

	if (m->height)
		return (struct image_at){ pixels + i * m->channels * m->height * m->width, m->height, m->width };
	return (struct image_at){ pixels + offsets[i], sizes[2 * i], sizes[2 * i + 1] };
}

/* Sizes are those of pictures, and offsets leave room for exactly them. */
static td_status check_sizes(const struct loader *l, enum pack_part part, struct err *e)
{
	const struct image_columns *m = l->own;
	const int32_t *sizes = m->sizes[part].data;
	const int64_t *offsets = m->offsets[part].data;
	int64_t n = l->n_part[part];

	for (int64_t i = 0; i < n; i++) {
		int64_t height = sizes[2 * i], width = sizes[2 * i + 1];

		if (height < 1 || width < 1 || height > IMAGE_SIDE_MOST || width > IMAGE_SIDE_MOST ||
			offsets[i + 1] - offsets[i] != m->channels * height * width)
			return err_set(e, TD_CORRUPT,
				"dataset %s: picture %lld of part %s is said to be %lld x %lld, in %lld bytes; prepare "
				"it again",
				l->facts.dataset, (long long)i, pack_part_names[part], (long long)height,
				(long long)width, (long long)(offsets[i + 1] - offsets[i]));
	}
	return TD_OK;
}

static td_status map_varied(const struct loader *l, const char *folder, enum pack_part part, struct err *e)
{
	struct image_columns *m = l->own;
	int64_t n = l->n_part[part];
	td_status s = loader_map(l, folder, part, "sizes", n * 2 * (int64_t)sizeof(int32_t), &m->sizes[part], e);

	if (!s)
		s = loader_map(l, folder, part, "offsets", (n + 1) * (int64_t)sizeof(int64_t), &m->offsets[part], e);
	if (!s)
		s = loader_map(l, folder, part, "images", -1, &m->pixels[part], e);
	if (!s)
		s = loader_check_offsets(l, part, "offsets", m->offsets[part].data, n, m->pixels[part].n_bytes, e);
	return s ? s : check_sizes(l, part, e);
}

static td_status images_map(struct loader *l, const char *folder, const char **pointer, struct err *e)
{
	struct image_columns *m = l->own;
	int64_t size = m->channels * m->height * m->width;
	td_status s = TD_OK;

	(void)pointer;
	for (enum pack_part p = PACK_TRAIN; p < PACK_PARTS && !s; p++) {
		int64_t n = l->n_part[p];

		if (!n)
			continue;
		s = m->height ? loader_map(l, folder, p, "images", n * size, &m->pixels[p], e)
			      : map_varied(l, folder, p, e);
		if (!s)
			s = loader_map(l, folder, p, "labels", n * (int64_t)sizeof(int32_t), &m->labels[p], e);
		if (!s)
			s = loader_check_labels(l, p, "labels", m->labels[p].data, n, 0, l->facts.n_classes, e);
	}
	return s;
}

static int32_t images_label(const struct loader *l, enum pack_part part, int64_t i)
{
	const struct image_columns *m = l->own;

	return ((const int32_t *)m->labels[part].data)[i];
}

/* ---- Fitting --------------------------------------------------------------------------------------------------- */

/* Moments of every channel's values before transform I, all of whose predecessors are scalings: from counts of bytes.
 */
static void fit_by_table(const struct loader *l, int i, struct moments *channels)
{
	const struct image_columns *m = l->own;
	const struct view *v = &l->view[DATA_TRAIN];
	int64_t *count = MEM_NEW_N(int64_t, m->channels * 256);
	float *table = MEM_NEW_N(float, m->channels * 256);

	for (int64_t k = 0; k < v->n; k++) {
		struct image_at image = image_at(m, v->part, v->index[k]);
		int64_t area = image.height * image.width;

		for (int64_t c = 0; c < m->channels; c++)
			for (int64_t at = 0; at < area; at++)
				count[c * 256 + image.pixels[c * area + at]]++;
	}
	pipeline_table(&m->pipeline, i, table);
	for (int64_t c = 0; c < m->channels; c++)
		for (int64_t byte = 0; byte < 256; byte++)
			moments_add(&channels[c], (double)count[c * 256 + byte], (double)table[c * 256 + byte], 0);
	mem_free(count);
	mem_free(table);
}

static td_status fit_by_walking(const struct loader *l, int i, struct moments *channels, struct err *e)
{
	struct image_columns *m = l->own;
	const struct view *v = &l->view[DATA_TRAIN];
	td_status s = TD_OK;

	for (int64_t k = 0; k < v->n && !s; k++) {
		struct image_at image = image_at(m, v->part, v->index[k]);
		int64_t area;

		picture_begin(&m->picture, image.pixels, m->channels, image.height, image.width);
		s = pipeline_transform(&m->pipeline, 0, i, &m->picture, e);
		area = m->picture.height * m->picture.width;
		for (int64_t c = 0; c < m->channels && !s; c++)
			moments_add_floats(&channels[c], m->picture.at + c * area, area);
	}
	return s;
}

static bool moved_before(const struct pipeline *p, int i)
{
	for (int k = 0; k < i; k++)
		if (image_op_of(&p->transforms->items[k])->apply)
			return true;
	return false;
}

static void make_table(struct image_columns *m)
{
	if (m->pipeline.moves)
		return;
	m->table = MEM_NEW_N(float, m->channels * 256);
	pipeline_table(&m->pipeline, m->pipeline.transforms->n, m->table);
}

static td_status images_fit(struct loader *l, const char **pointer, struct err *e)
{
	struct image_columns *m = l->own;
	td_status s = TD_OK;

	*pointer = "/data/transforms";
	for (int i = 0; i < m->pipeline.transforms->n && !s; i++) {
		struct moments *channels;

		if (!pipeline_is_fitted(&m->pipeline, i))
			continue;
		channels = MEM_NEW_N(struct moments, m->channels);
		if (moved_before(&m->pipeline, i))
			s = fit_by_walking(l, i, channels, e);
		else
			fit_by_table(l, i, channels);
		pipeline_set(&m->pipeline, i, channels);
		mem_free(channels);
	}
	make_table(m);
	return s;
}

/* ---- Batches --------------------------------------------------------------------------------------------------- */

static float *look_up(const float *table, const uint8_t *bytes, int64_t channels, int64_t area, float *out)
{
	for (int64_t c = 0; c < channels; c++, bytes += area, table += 256)
		for (int64_t p = 0; p < area; p++)
			*out++ = table[bytes[p]];
	return out;
}

td_status images_walk(const struct loader *l, const struct batch_request *q, int64_t sample, float *out, struct err *e)
{
	struct image_columns *m = l->own;
	struct picture *p = &m->picture;
	td_status s = TD_OK;

	if (q->epoch >= 0)
		s = pipeline_augment(&m->pipeline, p, l->seed, q->epoch, sample, e);
	if (!s)
		s = pipeline_transform(&m->pipeline, 0, m->pipeline.transforms->n, p, e);
	if (s)
		return err_wrap(e, "sample %lld of part %s", (long long)sample, pack_part_names[q->part]);
	if (p->height != l->facts.x.dim[1] || p->width != l->facts.x.dim[2])
		return err_set(e, TD_SHAPE,
			"sample %lld of part %s became %lld x %lld, not %lld x %lld; resize to [height, width]",
			(long long)sample, pack_part_names[q->part], (long long)p->height, (long long)p->width,
			(long long)l->facts.x.dim[1], (long long)l->facts.x.dim[2]);
	memcpy(out, p->at, td_shape_bytes(&l->facts.x));
	return TD_OK;
}

static td_status images_fill(
	const struct loader *l, const struct batch_request *q, const struct data_batch *out, struct err *e)
{
	struct image_columns *m = l->own;
	bool augmented = q->epoch >= 0 && m->pipeline.augment->n > (l->mixup ? 1 : 0);
	int64_t size = td_shape_count(&l->facts.x), *labels = out->y;
	float *x = out->x;
	td_status s = TD_OK;

	for (int64_t i = 0; i < q->n && !s; i++, x += size) {
		struct image_at image = image_at(m, q->part, q->samples[i]);

		labels[i] = images_label(l, q->part, q->samples[i]);
		if (m->table && !augmented) {
			look_up(m->table, image.pixels, m->channels, image.height * image.width, x);
			continue;
		}
		picture_begin(&m->picture, image.pixels, m->channels, image.height, image.width);
		s = images_walk(l, q, q->samples[i], x, e);
	}
	return s;
}

/* ---- For people ------------------------------------------------------------------------------------------------ */

static void images_show(const struct loader *l, enum pack_part part, int64_t i, cJSON *object)
{
	const struct image_columns *m = l->own;
	struct image_at at = image_at(m, part, i);
	/* Of other numbers of channels than 1 and 3 the first one is shown. */
	struct image view = { m->channels == 3 ? 3 : 1, at.height, at.width, (uint8_t *)(uintptr_t)at.pixels };
	struct err e = { 0 };
	char *png = image_png_base64(&view, &e);
	cJSON *image;

	if (!png)
		return;
	image = cJSON_AddObjectToObject(object, "image");
	cJSON_AddNumberToObject(image, "width", (double)at.width);
	cJSON_AddNumberToObject(image, "height", (double)at.height);
	cJSON_AddStringToObject(image, "png", png);
	mem_free(png);
}

/* N pictures X side by side, LOW to HIGH as 0 to 255. */
static void draw_grid(const td_shape *shape, const float *x, int64_t n, int64_t columns, float low, float high,
	const struct image *grid)
{
	int64_t height = shape->dim[1], width = shape->dim[2], area = height * width;
	float scale = high > low ? 255.0f / (high - low) : 0;

	for (int64_t i = 0; i < n; i++) {
		int64_t top = i / columns * (height + GRID_GAP), left = i % columns * (width + GRID_GAP);

		for (int64_t c = 0; c < grid->channels; c++)
			for (int64_t k = 0; k < area; k++) {
				float value = x[(i * shape->dim[0] + c) * area + k];
				int64_t row = c * grid->height + top + k / width;

				grid->pixels[row * grid->width + left + k % width] =
					(uint8_t)((value - low) * scale + 0.5f);
			}
	}
}

bool loader_grid_png(const struct loader *l, const float *x, int64_t n, struct buf *out)
{
	const td_shape *shape = &l->facts.x;
	int64_t columns = (int64_t)ceil(sqrt((double)TD_MAX(n, 1))), rows = (n + columns - 1) / columns;
	struct image grid = { 0 };
	float low = INFINITY, high = -INFINITY;
	int64_t height, width;
	bool good;

	if (l->kind != &load_images || n < 1)
		return false;
	height = rows * (shape->dim[1] + GRID_GAP) - GRID_GAP;
	width = columns * (shape->dim[2] + GRID_GAP) - GRID_GAP;
	if (height > GRID_PNG_SIDE || width > GRID_PNG_SIDE)
		return false;
	for (int64_t i = 0; i < n * td_shape_count(shape); i++) {
		low = fminf(low, x[i]);
		high = fmaxf(high, x[i]);
	}
	if (image_init(&grid, shape->dim[0] == 3 ? 3 : 1, height, width, NULL))
		return false;
	memset(grid.pixels, 255, (size_t)(grid.channels * height * width));
	draw_grid(shape, x, n, columns, low, high, &grid);
	good = !image_encode_png(&grid, out, NULL);
	image_release(&grid);
	return good;
}

static void images_save(const struct loader *l, cJSON *state)
{
	const struct image_columns *m = l->own;

	cJSON_AddItemToObject(state, "transforms", pipeline_to_json(&m->pipeline));
}

static bool images_restore(struct loader *l, const cJSON *state)
{
	struct image_columns *m = l->own;

	return pipeline_from_json(&m->pipeline, json_get(state, "transforms"));
}

const struct loader_kind load_images = {
	.n_bytes = sizeof(struct image_columns),
	.create = images_create,
	.release = images_release,
	.map = images_map,
	.label = images_label,
	.fit = images_fit,
	.fill = images_fill,
	.show = images_show,
	.save = images_save,
	.restore = images_restore,
	.read_json = images_read_json,
	.read_npy = images_read_npy,
	.read_image = images_read_image,
	.bytes = images_bytes,
};
