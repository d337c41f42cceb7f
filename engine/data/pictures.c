/* Reading the pictures of a source: see pictures.h.
 *
 * The dataset has three channels if any of its pictures has colour.  That is known at the first of them; where grey
 * ones stand before it, the walk begins again, once, with three channels. */
#include "data/pictures.h"

#include <stdio.h>
#include <string.h>

#define BROKEN_NAMED 10 /* of all broken pictures */
#define NAME_SHOWN   40 /* bytes, the last ones of a name */

struct reading {
	struct prepare *p;
	picture_place *place;
	void *of;
	struct images images;
	struct buf file;
	int64_t n_read, n_broken, n_other, n_unlabelled;
	char broken[SOURCE_WHERE + 640];             /* the first, and why */
	char names[BROKEN_NAMED * (NAME_SHOWN + 8)]; /* the first ones, shortened */
	char other[SOURCE_WHERE];                    /* the first file that is no picture */
	char unlabelled[SOURCE_WHERE];               /* the first picture without a label */
};

bool picture_is_named(const char *name)
{
	return source_has_ending(name, "jpg") || source_has_ending(name, "jpeg") || source_has_ending(name, "png") ||
	       source_has_ending(name, "jpe");
}

static void note_first(char *to, size_t size, const char *what)
{
	if (!to[0])
		snprintf(to, size, "%s", what);
}

static void note_broken(struct reading *r, const char *why)
{
	const char *name = r->p->source.entry.name;
	size_t n = strlen(name), at = strlen(r->names);
	bool cut = n > NAME_SHOWN;

	if (!r->n_broken)
		snprintf(r->broken, sizeof r->broken, "%s: %s", r->p->source.where, why);
	name += cut ? n - NAME_SHOWN : 0;
	while (cut && ((unsigned char)*name & 0xc0) == 0x80)
		name++; /* not in the middle of a character */
	if (r->n_broken < BROKEN_NAMED)
		snprintf(r->names + at, sizeof r->names - at, "%s%s%s", at ? ", " : "", cut ? "..." : "", name);
	r->n_broken++;
}

/* All pictures that may be left out. */
static int64_t most_broken(const struct reading *r)
{
	double most = r->p->format.max_broken;

	return most >= 1 ? (int64_t)most : most > 0 ? TD_MAX((int64_t)(most * (double)r->n_read), 1) : 0;
}

static td_status add_picture(struct reading *r, int32_t label, bool test, struct err *e)
{
	enum pack_part part = prepare_deal(r->p, test, r->n_read);
	struct err why = { 0 };
	struct image picture;
	td_status s = image_decode(r->file.data, r->file.len, &picture, &why);

	r->n_read++;
	if (s == TD_NO_MEMORY)
		return err_set(e, s, "%s: %s", r->p->source.where, why.text);
	if (s) {
		note_broken(r, why.text);
		return TD_OK;
	}
	s = images_add(&r->images, part, &picture, e);
	if (!s)
		s = images_label(&r->images, part, label, e);
	else if (!r->images.needs_colour)
		err_wrap(e, "%s", r->p->source.where);
	image_release(&picture);
	return s;
}

static td_status read_entry(struct reading *r, struct err *e)
{
	struct source *source = &r->p->source;
	int32_t label;
	bool test;
	td_status s;
	int got;

	if (!picture_is_named(source->entry.name)) {
		r->n_other++;
		note_first(r->other, sizeof r->other, source->where);
		return TD_OK;
	}
	got = r->place(r->of, source->entry.name, &label, &test, e);
	if (got < 0)
		return err_wrap(e, "%s", source->where);
	if (!got) {
		r->n_unlabelled++;
		note_first(r->unlabelled, sizeof r->unlabelled, source->where);
		return TD_OK;
	}
	s = source_read_all(source, &r->file, e);
	return s ? s : add_picture(r, label, test, e);
}

/* Write all pictures; TD_CONFLICT: begin again with colour. */
static td_status walk(struct reading *r, int64_t channels, struct err *e)
{
	td_status s = TD_OK;
	int got = 0;

	r->n_read = r->n_broken = r->n_other = r->n_unlabelled = 0;
	r->names[0] = '\0';
	images_init(&r->images, r->p, channels);
	source_rewind(&r->p->source);
	while (!s && (got = source_next(&r->p->source, e)) > 0)
		s = read_entry(r, e);
	return s ? s : got < 0 ? e->status : TD_OK;
}

static td_status judge(struct reading *r, struct err *e)
{
	if (!r->n_read && r->n_unlabelled)
		return err_set(e, TD_INVALID, "none of the %lld pictures has a label, for example %.300s",
			(long long)r->n_unlabelled, r->unlabelled);
	if (!r->n_read)
		return err_set(e, TD_INVALID, "there is no JPEG or PNG picture in these files%s%.300s",
			r->n_other ? "; the first of them is " : "", r->other);
	if (r->n_broken > most_broken(r))
		return err_set(e, TD_INVALID,
			"%lld of %lld pictures cannot be read (%s%s); replace them, or leave them out with "
			"\"max_broken\": %lld in the format",
			(long long)r->n_broken, (long long)r->n_read, r->names,
			r->n_broken > BROKEN_NAMED ? ", ..." : "", (long long)r->n_broken);
	if (r->n_broken)
		prepare_note(r->p, "%lld of %lld pictures cannot be read and were left out: %s%s; the first is %s",
			(long long)r->n_broken, (long long)r->n_read, r->names,
			r->n_broken > BROKEN_NAMED ? ", ..." : "", r->broken);
	if (r->n_other)
		prepare_note(r->p, "%lld file%s passed over, being no picture; the first is %s", (long long)r->n_other,
			r->n_other == 1 ? " was" : "s were", r->other);
	if (r->n_unlabelled)
		prepare_note(r->p, "%lld picture%s passed over, having no label; the first is %s",
			(long long)r->n_unlabelled, r->n_unlabelled == 1 ? " was" : "s were", r->unlabelled);
	return TD_OK;
}

td_status pictures_read(struct prepare *p, picture_place *place, void *of, struct classes *classes, struct err *e)
{
	struct reading r = { .p = p, .place = place, .of = of };
	int32_t *rank = NULL;
	td_status s;

	buf_init(&r.file, IMAGE_FILE_MOST);
	s = walk(&r, 0, e);
	if (s == TD_CONFLICT && r.images.needs_colour) {
		images_drop(&r.images);
		s = walk(&r, 3, e);
	}
	if (!s)
		s = judge(&r, e);
	if (!s) {
		rank = classes_sort(classes);
		s = images_finish(&r.images, classes, rank, e);
	}
	mem_free(rank);
	images_release(&r.images);
	buf_release(&r.file);
	return s;
}
