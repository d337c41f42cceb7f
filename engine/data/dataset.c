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

static td_status load_images(const struct data_info *info, int64_t n, int64_t n_most, const char *path,
	struct data_part *part, struct err *e)
{
	struct idx images;
	td_status s = idx_read(path, 3, n * info->height * info->width, n_most, &images, e);

	if (s)
		return s;
	part->images = images.bytes;
	part->n = images.n;
	if (images.dim[0] != n || images.dim[1] != info->height || images.dim[2] != info->width)
		return err_set(e, TD_CORRUPT,
			"%s holds %lld images of %lld x %lld, but %s has %lld of %lld x %lld here; is it another file?",
			path, (long long)images.dim[0], (long long)images.dim[1], (long long)images.dim[2], info->name,
			(long long)n, (long long)info->height, (long long)info->width);
	return TD_OK;
}

static td_status load_labels(const struct data_info *info, int64_t n, int64_t n_most, const char *path,
	struct data_part *part, struct err *e)
{
	struct idx labels;
	td_status s = idx_read(path, 1, n, n_most, &labels, e);

	if (s)
		return s;
	part->labels = labels.bytes;
	if (labels.dim[0] != n)
		return err_set(e, TD_CORRUPT, "%s holds %lld labels for %lld images", path, (long long)labels.dim[0],
			(long long)n);
	for (int64_t i = 0; i < labels.n; i++)
		if (labels.bytes[i] >= info->n_classes)
			return err_set(e, TD_CORRUPT, "%s: label %lld is %d, but there are %d classes, from 0", path,
				(long long)i, labels.bytes[i], info->n_classes);
	return TD_OK;
}

static void part_release(struct data_part *p)
{
	mem_free(p->images);
	mem_free(p->labels);
	memset(p, 0, sizeof *p);
}

void data_init(struct dataset *d, const struct data_info *info)
{
	*d = (struct dataset){ .info = info };
}

td_status data_load(struct dataset *d, enum data_part_name part, const char *folder, int64_t n_most, struct err *e)
{
	const struct data_info *info = d->info;
	struct data_part *p = &d->part[part];
	char *images = mem_printf("%s/%s", folder, info->images[part]),
	     *labels = mem_printf("%s/%s", folder, info->labels[part]);
	td_status s;

	TD_ASSERT(!p->images);
	s = load_images(info, info->n[part], n_most, images, p, e);
	if (!s)
		s = load_labels(info, info->n[part], n_most, labels, p, e);
	if (s)
		part_release(p);
	mem_free(images);
	mem_free(labels);
	return s;
}

void data_release(struct dataset *d)
{
	for (int i = 0; i < DATA_PARTS; i++)
		part_release(&d->part[i]);
	d->info = NULL;
}
