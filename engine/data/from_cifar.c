/* CIFAR's binary layout: records of one label (CIFAR-10) or two (CIFAR-100: coarse, then fine, which is the one kept),
 * and 3072 bytes: red, green and blue planes of 32 x 32.  Names of the classes stand in a text file beside them. */
#include "data/formats.h"

#include <string.h>

#define SIDE        32
#define PIXELS      (3 * SIDE * SIDE)
#define NAMES_10    "batches.meta.txt"
#define NAMES_100   "fine_label_names.txt"
#define NAMES_BYTES (1 << 20) /* of a file of names */

struct reading {
	struct prepare *p;
	struct images images;
	struct classes classes; /* of the file of names */
	int64_t largest;        /* label */
	int64_t n_records;
	int64_t n_labels; /* before each image: 1 or 2; 0: not known yet */
};

/* CIFAR-10's files are data_batch_1.bin .. and test_batch.bin, CIFAR-100's train.bin and test.bin; others tell by size.
 */
static int64_t labels_of(const struct source_entry *entry)
{
	const char *base = source_base(entry->name);

	if (strstr(base, "batch"))
		return 1;
	if (!strcmp(base, "train.bin") || !strcmp(base, "test.bin"))
		return entry->n_bytes > 0 && entry->n_bytes % (PIXELS + 1) == 0 && entry->n_bytes % (PIXELS + 2) ? 1
														 : 2;
	return entry->n_bytes > 0 && entry->n_bytes % (PIXELS + 1) && entry->n_bytes % (PIXELS + 2) == 0 ? 2 : 1;
}

static td_status read_record(struct reading *r, enum pack_part part, const uint8_t *record, struct err *e)
{
	uint8_t label = record[r->n_labels - 1];
	struct image picture;
	td_status s = image_init(&picture, 3, SIDE, SIDE, e);

	if (s)
		return s;
	memcpy(picture.pixels, record + r->n_labels, PIXELS);
	r->largest = TD_MAX(r->largest, label);
	s = images_add(&r->images, part, &picture, e);
	if (!s)
		s = images_label(&r->images, part, label, e);
	image_release(&picture);
	return s;
}

static td_status read_records(struct reading *r, struct err *e)
{
	struct source *source = &r->p->source;
	bool test = source_is_test(source->entry.name);
	int64_t n_labels = labels_of(&source->entry);
	uint8_t record[PIXELS + 2];
	td_status s = TD_OK;

	if (r->n_labels && n_labels != r->n_labels)
		return err_set(e, TD_INVALID, "%s looks like CIFAR-%s, the file before it like CIFAR-%s", source->where,
			n_labels == 2 ? "100" : "10", n_labels == 2 ? "10" : "100");
	r->n_labels = n_labels;
	while (!s) {
		ssize_t got = source_read(source, record, 1, e);

		if (got < 0)
			return e->status;
		if (!got)
			break;
		s = source_read_exactly(source, record + 1, (size_t)(PIXELS + n_labels - 1), e);
		if (s)
			return err_wrap(
				e, "record %lld of %d bytes", (long long)r->n_records, (int)(PIXELS + n_labels));
		s = read_record(r, prepare_deal(r->p, test, r->n_records++), record, e);
	}
	return s;
}

/* One name a line. */
static td_status read_names(struct reading *r, struct err *e)
{
	struct buf text;
	td_status s;

	buf_init(&text, NAMES_BYTES);
	s = source_read_all(&r->p->source, &text, e);
	for (char *line = text.data, *next; !s && line && *line; line = next) {
		size_t n = strcspn(line, "\r\n");

		next = line + n + strspn(line + n, "\r\n");
		line[n] = '\0';
		if (n && classes_add(&r->classes, line, e) < 0)
			s = err_wrap(e, "%s", r->p->source.where);
	}
	buf_release(&text);
	return s;
}

static td_status read_entry(struct reading *r, struct err *e)
{
	const struct source_entry *entry = &r->p->source.entry;
	const char *base = source_base(entry->name);

	if (source_has_ending(base, "bin"))
		return read_records(r, e);
	if ((!strcmp(base, NAMES_10) || !strcmp(base, NAMES_100)) && !r->p->format.classes.n && !r->classes.n)
		return read_names(r, e);
	return TD_OK; /* coarse names, a page about the data */
}

td_status from_cifar(struct prepare *p, struct err *e)
{
	struct reading r = { .p = p, .largest = -1 };
	td_status s = TD_OK;
	int got = 0;

	classes_init(&r.classes, PREPARE_CLASSES_MOST);
	images_init(&r.images, p, 3);
	while (!s && (got = source_next(&p->source, e)) > 0)
		s = read_entry(&r, e);
	if (!s && got < 0)
		s = e->status;
	if (!s && r.largest < 0)
		s = err_set(e, TD_INVALID, "none of the files is called *.bin, as CIFAR's binary files are");
	if (!s && r.classes.n && r.classes.n <= r.largest)
		s = err_set(e, TD_INVALID, "the file of names has %lld classes, but there is a label %lld",
			(long long)r.classes.n, (long long)r.largest);
	if (!s && !r.classes.n)
		s = classes_by_number(&r.classes, p, r.largest + 1, e);
	if (!s)
		s = images_finish(&r.images, &r.classes, NULL, e);
	images_release(&r.images);
	classes_release(&r.classes);
	return s;
}
