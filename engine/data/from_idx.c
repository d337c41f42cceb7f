/* IDX: pairs of files, one of images and one of labels, for training and for testing, told apart by their axes and
 * names.
 *
 * A file of three axes holds grey images [n, height, width], of four [n, channels, height, width]; of one axis, labels.
 */
#include "data/formats.h"
#include "data/idx.h"

#include <stdio.h>
#include <string.h>

#define LABELS_ROOM 65536 /* bytes read at a time */

struct reading {
	struct prepare *p;
	struct images images;
	int64_t largest;                          /* label */
	char places[PACK_PARTS][2][SOURCE_WHERE]; /* which file gave a part's images and labels; "": none yet */
};

static td_status read_header(struct source *s, struct idx *out, struct err *e)
{
	uint8_t header[IDX_HEADER_MOST];
	int64_t n = 0;
	td_status status = source_read_exactly(s, header, IDX_MAGIC, e);

	if (!status && (status = idx_header_bytes(header, &n, e)))
		return err_wrap(e, "%s", s->where);
	if (!status)
		status = source_read_exactly(s, header + IDX_MAGIC, (size_t)n - IDX_MAGIC, e);
	if (!status && (status = idx_parse(header, out, e)))
		return err_wrap(e, "%s", s->where);
	return status;
}

static td_status check_end(struct source *s, struct err *e)
{
	uint8_t more;
	ssize_t got = source_read(s, &more, 1, e);

	if (got > 0)
		return err_set(e, TD_CORRUPT, "%s is longer than its header says; is it whole?", s->where);
	return got < 0 ? e->status : TD_OK;
}

static td_status read_labels(struct reading *r, bool test, const struct idx *idx, struct err *e)
{
	uint8_t *piece = mem_alloc(LABELS_ROOM);
	int64_t index = 0;
	td_status s = TD_OK;

	for (int64_t left = idx->n, n; left > 0 && !s; left -= n) {
		n = TD_MIN(left, LABELS_ROOM);
		s = source_read_exactly(&r->p->source, piece, (size_t)n, e);
		for (int64_t i = 0; i < n && !s; i++, index++) {
			r->largest = TD_MAX(r->largest, piece[i]);
			s = images_label(&r->images, prepare_deal(r->p, test, index), piece[i], e);
		}
	}
	mem_free(piece);
	return s;
}

static td_status read_images(struct reading *r, bool test, const struct idx *idx, struct err *e)
{
	struct source *source = &r->p->source;
	int64_t channels = idx->rank == 4 ? idx->dim[1] : 1;
	const int64_t *size = idx->dim + idx->rank - 2;
	td_status s = TD_OK;

	if ((channels != 1 && channels != 3) || size[0] > IMAGE_SIDE_MOST || size[1] > IMAGE_SIDE_MOST ||
		size[0] * size[1] > IMAGE_PIXELS_MOST)
		return err_set(e, TD_INVALID,
			"%s: images of %lld channels and %lld x %lld pixels; 1 or 3 channels, and at most %d pixels "
			"are read",
			source->where, (long long)channels, (long long)size[1], (long long)size[0], IMAGE_PIXELS_MOST);
	for (int64_t i = 0; i < idx->dim[0] && !s; i++) {
		struct image picture;

		s = image_init(&picture, channels, size[0], size[1], e);
		if (!s)
			s = source_read_exactly(source, picture.pixels, (size_t)(channels * size[0] * size[1]), e);
		if (!s)
			s = images_add(&r->images, prepare_deal(r->p, test, i), &picture, e);
		image_release(&picture);
	}
	return s == TD_CONFLICT && r->images.needs_colour
		       ? err_set(e, TD_INVALID, "%s has colour, but the images of another file are grey", source->where)
		       : s;
}

static td_status read_file(void *of, struct err *e)
{
	struct reading *r = of;
	struct source *source = &r->p->source;
	bool test = source_is_test(source->entry.name);
	enum pack_part part = test ? PACK_TEST : PACK_TRAIN;
	struct idx idx;
	td_status s = read_header(source, &idx, e);
	bool labels;

	if (s)
		return s;
	if (idx.rank == 2)
		return err_set(
			e, TD_INVALID, "%s has two axes; images have three (or four), labels one", source->where);
	labels = idx.rank == 1;
	if (r->places[part][labels][0])
		return err_set(e, TD_INVALID,
			"%.200s and %.200s both hold the %s of the %s part; put \"train\" or \"test\" into their names",
			r->places[part][labels], source->where, labels ? "labels" : "images", pack_part_names[part]);
	snprintf(r->places[part][labels], sizeof r->places[part][labels], "%s", source->where);
	s = labels ? read_labels(r, test, &idx, e) : read_images(r, test, &idx, e);
	return s ? s : check_end(source, e);
}

static bool is_meant(const struct source_entry *entry)
{
	return !entry->inside || strcasestr(entry->name, "ubyte") || strcasestr(entry->name, "idx");
}

td_status from_idx(struct prepare *p, struct err *e)
{
	struct reading r = { .p = p, .largest = -1 };
	struct classes classes;
	td_status s;

	classes_init(&classes, PREPARE_CLASSES_MOST);
	images_init(&r.images, p, 0);
	s = prepare_walk(p, is_meant, "its name is not that of an IDX file", read_file, &r, e);
	for (int part = 0; part < PACK_PARTS && !s; part++)
		if (!r.places[part][0][0] != !r.places[part][1][0])
			s = err_set(e, TD_INVALID, "%s has no file of %s beside it",
				r.places[part][!r.places[part][0][0]], r.places[part][0][0] ? "labels" : "images");
	if (!s)
		s = classes_by_number(&classes, p, r.largest + 1, e);
	if (!s)
		s = images_finish(&r.images, &classes, NULL, e);
	images_release(&r.images);
	classes_release(&classes);
	return s;
}
