/* Arrays: NPY files, and NPZ files, which are archives of them.
 *
 * Names say the role of an array (x: what a model sees, y: what it shall say) and its part.  Arrays are read once, in
 * pieces.  Labels are kept as they stand until all are known; pictures (unsigned bytes of a picture's shape) become a
 * pack of images unless the targets turn out to be no classes: then the walk begins again, and they stay arrays. */
#include "data/formats.h"
#include "io/npy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PIECE         4096 /* elements converted at a time */
#define DISTINCT_MOST 1000 /* labels that are not 0, 1, ...: more are values, not classes */
#define PICTURE_LEAST 4    /* pixels a side */
#define CHANNELS_LAST 4

enum role { ROLE_NONE, ROLE_X, ROLE_Y };
enum layout { LAYOUT_NONE, LAYOUT_HW, LAYOUT_HWC, LAYOUT_CHW };

struct array {
	bool there;
	struct npy npy;
	char where[SOURCE_WHERE];
};

struct reading {
	struct prepare *p;
	bool no_pictures; /* second walk: bytes stay arrays */
	enum layout layout;
	struct images images;
	struct array x[PACK_PARTS], y[PACK_PARTS];
	struct column x_files[PACK_PARTS], y_files[PACK_PARTS];
	int64_t n_x[PACK_PARTS], n_y[PACK_PARTS];
	/* of the targets, if they are integers */
	int64_t least, largest;
	int64_t distinct[DISTINCT_MOST + 1];
	int n_distinct; /* DISTINCT_MOST + 1: too many */
	int64_t n_not_finite;
	bool blind; /* some file has neither role; told of in the error where a role is missing */
	char stray[SOURCE_WHERE];
};

/* ---- Roles ------------------------------------------------------------------------------------------------------- */

/* The words of NAME, between what is no letter, against LIST. */
static bool has_word(const char *name, const char *const *list)
{
	for (const char *at = source_base(name); *at;) {
		size_t n = 0;

		while ((at[n] >= 'a' && at[n] <= 'z') || (at[n] >= 'A' && at[n] <= 'Z'))
			n++;
		for (int i = 0; list[i] && n; i++)
			if (strlen(list[i]) == n && !strncasecmp(at, list[i], n))
				return true;
		at += n ? n : 1;
	}
	return false;
}

static enum role role_of(const char *name)
{
	static const char *const x[] = { "x", "xs", "image", "images", "imgs", "data", "feature", "features", "input",
		"inputs", "xtrain", "xtest", NULL };
	static const char *const y[] = { "y", "ys", "label", "labels", "target", "targets", "class", "classes",
		"output", "outputs", "ytrain", "ytest", NULL };
	char *stem = mem_strdup(source_base(name));
	enum role role;

	if (source_has_ending(stem, "npy"))
		stem[strlen(stem) - 4] = '\0';
	role = has_word(stem, y) ? ROLE_Y : has_word(stem, x) ? ROLE_X : ROLE_NONE;
	mem_free(stem);
	return role;
}

static bool array_is_test(const struct source_entry *entry)
{
	return source_is_test(entry->name) || (entry->inside && source_is_test(entry->file));
}

/* How unsigned bytes of this shape are pictures, if they are. */
static enum layout layout_of(const struct npy *a)
{
	int64_t n_last = a->rank ? a->dim[a->rank - 1] : 0;

	if (a->type != NPY_U8)
		return LAYOUT_NONE;
	if (a->rank == 3 && a->dim[1] >= PICTURE_LEAST && a->dim[2] >= PICTURE_LEAST)
		return LAYOUT_HW;
	if (a->rank == 4 && (n_last == 1 || n_last == 3 || n_last == CHANNELS_LAST) && a->dim[1] >= PICTURE_LEAST)
		return LAYOUT_HWC;
	if (a->rank == 4 && (a->dim[1] == 1 || a->dim[1] == 3) && a->dim[2] >= PICTURE_LEAST && n_last >= PICTURE_LEAST)
		return LAYOUT_CHW;
	return LAYOUT_NONE;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static td_status read_header(struct source *s, struct npy *out, struct err *e)
{
	uint8_t *header = mem_alloc(NPY_HEADER_MOST + NPY_PREFIX);
	int64_t n = 0;
	td_status status = source_read_exactly(s, header, NPY_PREFIX, e);

	if (!status && (status = npy_header_bytes(header, NPY_PREFIX, &n, e)))
		err_wrap(e, "%s", s->where);
	if (!status && n < NPY_PREFIX)
		status = err_set(e, TD_CORRUPT, "%s: its header has no place for anything", s->where);
	if (!status)
		status = source_read_exactly(s, header + NPY_PREFIX, (size_t)(n - NPY_PREFIX), e);
	if (!status && (status = npy_parse(header, (size_t)n, out, e)))
		err_wrap(e, "%s", s->where);
	mem_free(header);
	if (!status && (!out->rank || !out->n))
		status = err_set(e, TD_INVALID, "%s holds no samples: its shape has %s", s->where,
			out->rank ? "a size of 0" : "no axes");
	return status;
}

/* One of the picture's planes of bytes, whatever the layout in BYTES. */
static td_status to_picture(
	const struct npy *a, enum layout layout, const uint8_t *bytes, struct image *out, struct err *e)
{
	bool last = layout == LAYOUT_HWC, first = layout == LAYOUT_CHW;
	int64_t height = a->dim[first ? 2 : 1], width = a->dim[first ? 3 : 2];
	int64_t step = last ? a->dim[3] : 1, channels = first ? a->dim[1] : last && step >= 3 ? 3 : 1;
	int64_t plane = height * width;
	td_status s = image_init(out, channels, height, width, e);

	if (s)
		return s;
	for (int64_t c = 0; c < channels; c++)
		for (int64_t k = 0; k < plane; k++)
			out->pixels[c * plane + k] = last ? bytes[k * step + c] : bytes[c * plane + k];
	return TD_OK;
}

static td_status read_pictures(struct reading *r, const struct npy *a, bool test, struct err *e)
{
	struct source *source = &r->p->source;
	int64_t n_sample = a->n / a->dim[0];
	uint8_t *bytes;
	td_status s = TD_OK;

	if (n_sample > 4 * (int64_t)IMAGE_PIXELS_MOST)
		return err_set(
			e, TD_TOO_LARGE, "%s: its pictures have more than %d pixels", source->where, IMAGE_PIXELS_MOST);
	bytes = mem_try_alloc((size_t)n_sample);
	if (!bytes)
		return err_set(e, TD_NO_MEMORY, "%s: no memory for a sample of %lld bytes", source->where,
			(long long)n_sample);
	for (int64_t i = 0; i < a->dim[0] && !s; i++) {
		enum pack_part part = prepare_deal(r->p, test, i);
		struct image picture = { 0 };

		s = source_read_exactly(source, bytes, (size_t)n_sample, e);
		if (!s)
			s = to_picture(a, r->layout, bytes, &picture, e);
		if (!s)
			s = images_add(&r->images, part, &picture, e);
		if (s == TD_CONFLICT)
			err_set(e, s, "%s has colour, but another array is grey", source->where);
		r->n_x[part] += !s;
		image_release(&picture);
	}
	mem_free(bytes);
	return s;
}

static void learn_target(struct reading *r, int64_t v)
{
	int at = 0;

	r->least = TD_MIN(r->least, v);
	r->largest = TD_MAX(r->largest, v);
	if (r->n_distinct > DISTINCT_MOST)
		return;
	while (at < r->n_distinct && r->distinct[at] < v)
		at++;
	if (at < r->n_distinct && r->distinct[at] == v)
		return;
	memmove(r->distinct + at + 1, r->distinct + at, sizeof *r->distinct * (size_t)(r->n_distinct - at));
	r->distinct[at] = v;
	r->n_distinct++;
}

/* Integers become int64, all others float32. */
static bool stays_integer(const struct npy *a, enum role role)
{
	return !npy_is_float(a->type) && (role == ROLE_Y || (a->type != NPY_U8 && a->type != NPY_BOOL));
}

/* N elements of one sample, a piece of it, to COLUMN. */
static td_status convert(struct reading *r, const struct npy *a, enum role role, const uint8_t *bytes, int64_t n,
	struct column *to, struct err *e)
{
	int64_t integers[PIECE];
	float floats[PIECE];

	if (stays_integer(a, role)) {
		npy_to_ints(a->type, bytes, n, integers);
		for (int64_t i = 0; i < n && role == ROLE_Y; i++)
			learn_target(r, integers[i]);
		return column_add(to, integers, (size_t)n * sizeof *integers, e);
	}
	npy_to_floats(a->type, bytes, n, floats);
	for (int64_t i = 0; i < n; i++)
		r->n_not_finite += !isfinite(floats[i]);
	return column_add(to, floats, (size_t)n * sizeof *floats, e);
}

static td_status read_elements(struct reading *r, const struct npy *a, enum role role, bool test, struct err *e)
{
	int64_t n_sample = a->n / a->dim[0], size = npy_type_bytes(a->type);
	struct column *files = role == ROLE_X ? r->x_files : r->y_files;
	uint8_t bytes[PIECE * 8];
	td_status s = TD_OK;

	for (int64_t i = 0; i < a->dim[0] && !s; i++) {
		enum pack_part part = prepare_deal(r->p, test, i);

		for (int64_t left = n_sample, n; left && !s; left -= n) {
			n = TD_MIN(left, PIECE);
			s = source_read_exactly(&r->p->source, bytes, (size_t)(n * size), e);
			if (!s)
				s = convert(r, a, role, bytes, n, &files[part], e);
		}
		(role == ROLE_X ? r->n_x : r->n_y)[part]++;
	}
	return s;
}

static td_status check_end(struct source *s, struct err *e)
{
	uint8_t more;
	ssize_t got = source_read(s, &more, 1, e);

	return got < 0 ? e->status : got ? err_set(e, TD_CORRUPT, "%s is longer than its shape says", s->where) : TD_OK;
}

/* A sample's shape must be that of the other part. */
static td_status check_shape(const struct array *a, const struct array *other, enum role role, struct err *e)
{
	bool same = a->npy.rank == other->npy.rank && npy_is_float(a->npy.type) == npy_is_float(other->npy.type) &&
		    stays_integer(&a->npy, role) == stays_integer(&other->npy, role) &&
		    (role == ROLE_Y || (a->npy.type == NPY_U8) == (other->npy.type == NPY_U8));

	for (int i = 1; same && i < a->npy.rank; i++)
		same = a->npy.dim[i] == other->npy.dim[i];
	if (same || !other->there)
		return TD_OK;
	return err_set(
		e, TD_INVALID, "%.200s and %.200s do not have samples of one shape and kind", other->where, a->where);
}

static td_status read_array(void *of, struct err *e)
{
	struct reading *r = of;
	struct source *source = &r->p->source;
	enum role role = role_of(source->entry.name);
	bool test = array_is_test(&source->entry);
	enum pack_part part = test ? PACK_TEST : PACK_TRAIN;
	struct array *a = role == ROLE_Y ? &r->y[part] : &r->x[part];
	td_status s;

	if (role == ROLE_NONE) {
		r->blind = true;
		snprintf(r->stray, sizeof r->stray, "%s", source->where);
		prepare_note(r->p, "%s was passed over: its name says neither x nor y.", source->where);
		return TD_OK;
	}
	if (a->there)
		return err_set(e, TD_INVALID, "%.200s and %.200s are both the %s of the %s part; rename one", a->where,
			source->where, role == ROLE_X ? "inputs (x)" : "targets (y)", pack_part_names[part]);
	a->there = true;
	snprintf(a->where, sizeof a->where, "%s", source->where);
	s = read_header(source, &a->npy, e);
	if (!s)
		s = check_shape(a, &(role == ROLE_Y ? r->y : r->x)[!part], role, e);
	if (s)
		return s;
	if (role == ROLE_X && !r->no_pictures && !r->x[!part].there)
		r->layout = layout_of(&a->npy);
	if (role == ROLE_X && r->layout != LAYOUT_NONE)
		s = read_pictures(r, &a->npy, test, e);
	else
		s = read_elements(r, &a->npy, role, test, e);
	return s ? s : check_end(source, e);
}

/* ---- The end ----------------------------------------------------------------------------------------------------- */

static bool target_is_one(const struct npy *y)
{
	return y->n == y->dim[0];
}

/* Whether targets are classes: one integer each, 0, 1, ... or few enough. */
static bool are_classes(const struct reading *r)
{
	const struct npy *y = &r->y[PACK_TRAIN].npy;

	return !npy_is_float(y->type) && target_is_one(y) &&
	       ((r->least >= 0 && r->largest < PREPARE_CLASSES_MOST) || r->n_distinct <= DISTINCT_MOST);
}

static td_status add_classes(struct reading *r, struct classes *c, struct err *e)
{
	char number[24];

	if (r->least >= 0 && r->largest < PREPARE_CLASSES_MOST)
		return classes_by_number(c, r->p, r->largest + 1, e);
	for (int i = 0; i < r->n_distinct; i++) {
		snprintf(number, sizeof number, "%lld", (long long)r->distinct[i]);
		if (classes_add(c, number, e) < 0)
			return e->status;
	}
	prepare_note(r->p, "The labels are from %lld to %lld; they were numbered from 0 in this order.",
		(long long)r->least, (long long)r->largest);
	return TD_OK;
}

static int64_t class_number(const struct reading *r, int64_t v)
{
	int from = 0, to = r->n_distinct;

	if (r->least >= 0 && r->largest < PREPARE_CLASSES_MOST)
		return v;
	while (from < to) {
		int middle = (from + to) / 2;
		if (r->distinct[middle] < v)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

/* Walk a part's targets: count classes, and give them to the images' labels, or write their numbers back. */
static td_status number_targets(struct reading *r, struct classes *c, enum pack_part part, struct err *e)
{
	int64_t *y = r->n_y[part] ? column_map(&r->y_files[part], e) : NULL;
	td_status s = r->n_y[part] && !y ? e->status : TD_OK;

	for (int64_t i = 0; i < r->n_y[part] && !s; i++) {
		y[i] = class_number(r, y[i]);
		if (r->layout != LAYOUT_NONE)
			s = images_label(&r->images, part, (int32_t)y[i], e);
		else
			c->count[y[i]][part]++;
	}
	column_unmap(&r->y_files[part], y);
	return s;
}

/* Integer targets that are no classes: float32, in a file that takes the other's place. */
static td_status to_values(struct reading *r, enum pack_part part, struct err *e)
{
	int64_t n = r->y_files[part].n_bytes / (int64_t)sizeof(int64_t), *y = column_map(&r->y_files[part], e);
	struct column values;
	td_status s;

	if (!y)
		return e->status;
	column_open(&values, r->p, part, "y.values", COLUMN_ROOM);
	s = TD_OK;
	for (int64_t i = 0; i < n && !s; i++) {
		float v = (float)y[i];
		s = column_add(&values, &v, sizeof v, e);
	}
	column_unmap(&r->y_files[part], y);
	if (!s)
		s = column_flush(&values, e);
	if (!s)
		s = column_replace(&r->y_files[part], &values, e);
	column_release(&values);
	return s;
}

static cJSON *describe(const struct npy *a, bool integers, bool scalar, cJSON *to)
{
	cJSON *shape;

	cJSON_AddStringToObject(to, "dtype", integers ? "int64" : "float32");
	shape = cJSON_AddArrayToObject(to, "shape");
	for (int i = 1; i < a->rank && !scalar; i++)
		cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)a->dim[i]));
	return shape;
}

static td_status tell_arrays(struct reading *r, struct classes *c, struct err *e)
{
	const struct npy *x = &r->x[PACK_TRAIN].npy, *y = &r->y[PACK_TRAIN].npy;
	bool classes = are_classes(r);
	cJSON *shape;
	td_status s = prepare_parts(r->p, r->n_x, e);

	for (enum pack_part part = PACK_TRAIN; part < PACK_PARTS && !s; part++) {
		if (!r->n_x[part]) {
			column_drop(&r->x_files[part]);
			column_drop(&r->y_files[part]);
			continue;
		}
		s = column_flush(&r->x_files[part], e);
		if (!s && !classes && !npy_is_float(y->type))
			s = to_values(r, part, e);
	}
	if (s)
		return s;
	cJSON_AddStringToObject(r->p->info, "kind", pack_kind_names[PACK_ARRAYS]);
	describe(x, stays_integer(x, ROLE_X), false, cJSON_AddObjectToObject(r->p->info, "x"));
	shape = describe(y, classes, classes, cJSON_AddObjectToObject(r->p->info, "y"));
	if (!classes && y->rank == 1)
		cJSON_AddItemToArray(shape, cJSON_CreateNumber(1));
	if (classes)
		classes_tell(c, r->p);
	return TD_OK;
}

static td_status check_pairs(const struct reading *r, struct err *e)
{
	for (enum pack_part part = PACK_TRAIN; part < PACK_PARTS; part++) {
		const struct array *x = &r->x[part], *y = &r->y[part];

		if (x->there != y->there || (part == PACK_TRAIN && !x->there))
			return err_set(e, TD_INVALID,
				"there is no array of the %s of the %s part%s%.200s; name arrays x and y, x_train, "
				"y_train, x_test and y_test, or images and labels",
				x->there ? "targets (y)" : "inputs (x)", pack_part_names[part],
				r->blind ? ", and its name does not say what this is: " : "", r->stray);
		if (x->there && x->npy.dim[0] != y->npy.dim[0])
			return err_set(e, TD_INVALID, "%.200s has %lld samples, but %.200s has %lld", x->where,
				(long long)x->npy.dim[0], y->where, (long long)y->npy.dim[0]);
	}
	return TD_OK;
}

static td_status finish(struct reading *r, struct err *e)
{
	struct classes c;
	td_status s = check_pairs(r, e);

	classes_init(&c, PREPARE_CLASSES_MOST);
	for (enum pack_part part = PACK_TRAIN; part < PACK_PARTS && !s; part++)
		if (r->n_y[part])
			s = column_flush(&r->y_files[part], e);
	if (!s && are_classes(r)) {
		s = add_classes(r, &c, e);
		for (enum pack_part part = PACK_TRAIN; part < PACK_PARTS && !s; part++)
			s = number_targets(r, &c, part, e);
	}
	if (!s && r->layout != LAYOUT_NONE) {
		for (int part = 0; part < PACK_PARTS; part++) {
			column_drop(&r->x_files[part]);
			column_drop(&r->y_files[part]);
		}
		s = images_finish(&r->images, &c, NULL, e);
	} else if (!s) {
		images_drop(&r->images);
		s = tell_arrays(r, &c, e);
	}
	if (!s && r->n_not_finite)
		prepare_note(r->p, "%lld values are NaN or infinite.", (long long)r->n_not_finite);
	classes_release(&c);
	return s;
}

static bool is_meant(const struct source_entry *entry)
{
	return !entry->inside || source_has_ending(entry->name, "npy");
}

static td_status walk(struct reading *r, struct err *e)
{
	struct prepare *p = r->p;

	images_init(&r->images, p, 0);
	for (enum pack_part part = PACK_TRAIN; part < PACK_PARTS; part++) {
		column_open(&r->x_files[part], p, part, "x", COLUMN_ROOM);
		column_open(&r->y_files[part], p, part, "y", COLUMN_ROOM);
	}
	source_rewind(&p->source);
	return prepare_walk(p, is_meant, "it is not called .npy", read_array, r, e);
}

static void reading_release(struct reading *r)
{
	images_release(&r->images);
	for (int part = 0; part < PACK_PARTS; part++) {
		column_release(&r->x_files[part]);
		column_release(&r->y_files[part]);
	}
}

static struct reading *reading_create(struct prepare *p, bool no_pictures)
{
	struct reading *r = MEM_NEW(struct reading);

	r->p = p;
	r->no_pictures = no_pictures;
	r->least = INT64_MAX;
	r->largest = INT64_MIN;
	return r;
}

td_status from_arrays(struct prepare *p, struct err *e)
{
	struct reading *r = reading_create(p, false);
	td_status s = walk(r, e);

	if (!s && r->layout != LAYOUT_NONE && r->y[PACK_TRAIN].there && !are_classes(r)) {
		images_drop(&r->images);
		reading_release(r);
		mem_free(r);
		r = reading_create(p, true);
		s = walk(r, e);
	}
	if (!s)
		s = finish(r, e);
	reading_release(r);
	mem_free(r);
	return s;
}
