/* Known datasets: a table of what each is, and the reading of their files. */
#include "data/data.h"

#include <string.h>

static const char *const fashion_classes[] = { "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
	"Sneaker", "Bag", "Ankle boot" };

static const struct data_info known[] = {
	{
		.name = "fashion-mnist",
		.doc = "70,000 grey images of clothes, 28 x 28, 10 classes (Zalando Research).",
		.channels = 1,
		.height = 28,
		.width = 28,
		.n_classes = 10,
		.class_names = fashion_classes,
		.n = { 60000, 10000 },
		.images = { "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz" },
		.labels = { "train-labels-idx1-ubyte.gz", "t10k-labels-idx1-ubyte.gz" },
	},
};

const char *const data_names[] = { "fashion-mnist", NULL };

const struct data_info *data_find(const char *name)
{
	for (size_t i = 0; i < TD_COUNT(known); i++)
		if (!strcmp(known[i].name, name))
			return &known[i];
	return NULL;
}

static td_status load_images(const struct data_info *info, const char *path, struct data_part *part, struct err *e)
{
	struct idx images;
	td_status s = idx_read(path, 3, part->n * info->height * info->width, &images, e);

	if (s)
		return s;
	if (images.dim[0] != part->n || images.dim[1] != info->height || images.dim[2] != info->width) {
		s = err_set(e, TD_CORRUPT,
			"%s holds %lld images of %lld x %lld, but %s has %lld of %lld x %lld here; is it another file?",
			path, (long long)images.dim[0], (long long)images.dim[1], (long long)images.dim[2], info->name,
			(long long)part->n, (long long)info->height, (long long)info->width);
		idx_release(&images);
		return s;
	}
	part->images = images.bytes;
	return TD_OK;
}

static td_status load_labels(const struct data_info *info, const char *path, struct data_part *part, struct err *e)
{
	struct idx labels;
	td_status s = idx_read(path, 1, part->n, &labels, e);

	if (s)
		return s;
	part->labels = labels.bytes;
	if (labels.dim[0] != part->n)
		return err_set(e, TD_CORRUPT, "%s holds %lld labels for %lld images", path, (long long)labels.dim[0],
			(long long)part->n);
	for (int64_t i = 0; i < part->n; i++)
		if (labels.bytes[i] >= info->n_classes)
			return err_set(e, TD_CORRUPT, "%s: label %lld is %d, but there are %d classes, from 0", path,
				(long long)i, labels.bytes[i], info->n_classes);
	return TD_OK;
}

td_status data_load(const struct data_info *info, const char *folder, struct dataset *out, struct err *e)
{
	td_status s = TD_OK;

	memset(out, 0, sizeof *out);
	out->info = info;
	for (int i = 0; i < DATA_PARTS && !s; i++) {
		struct data_part *part = &out->part[i];
		char *images = mem_printf("%s/%s", folder, info->images[i]),
		     *labels = mem_printf("%s/%s", folder, info->labels[i]);

		part->n = info->n[i];
		s = load_images(info, images, part, e);
		if (!s)
			s = load_labels(info, labels, part, e);
		mem_free(images);
		mem_free(labels);
	}
	if (s)
		data_release(out);
	return s;
}

void data_release(struct dataset *d)
{
	for (int i = 0; i < DATA_PARTS; i++) {
		mem_free(d->part[i].images);
		mem_free(d->part[i].labels);
	}
	memset(d, 0, sizeof *d);
}
