/* Pictures, and CSV files that say which label each path has.
 *
 * The CSV files come first, whether they stand beside the archive or in it; then the pictures are met in the archive's
 * order.  Of a path only a hash is kept, so ten million rows take 400 MB at most.  A row's path is the end of a
 * picture's, in whole folders, with or without the ending: "images/7.png", "7.png" and "7" all mean
 * "fashion/images/7.png". */
#include "data/pictures.h"

#include <stdio.h>
#include <string.h>

#define ROWS_MOST 10000000

struct row {
	uint8_t key[16]; /* of SHA-256: two paths do not share it, even on purpose */
	int32_t label;   /* -1: a free slot */
	bool test, met;
};

struct rows {
	struct prepare *p;
	struct classes classes;
	struct row *slots; /* owned */
	int64_t n, room;
	int64_t n_met;
	char first[200]; /* the first row's path, for messages */
};

/* ---- Rows by path ------------------------------------------------------------------------------------------------ */

static void key_of(const char *path, size_t n, uint8_t key[16])
{
	struct sha256_ctx hash;

	sha256_init(&hash);
	sha256_update(&hash, n, (const uint8_t *)path);
	sha256_digest(&hash, 16, key);
}

static struct row *slot_of(const struct rows *r, const uint8_t key[16])
{
	uint64_t at;

	memcpy(&at, key, sizeof at);
	for (at &= (uint64_t)r->room - 1; r->slots[at].label >= 0; at = (at + 1) & ((uint64_t)r->room - 1))
		if (!memcmp(r->slots[at].key, key, 16))
			break;
	return &r->slots[at];
}

static void grow(struct rows *r)
{
	struct row *old = r->slots;
	int64_t n_old = r->room;

	r->room = n_old ? n_old * 2 : 1024;
	r->slots = MEM_NEW_N(struct row, r->room);
	for (int64_t i = 0; i < r->room; i++)
		r->slots[i].label = -1;
	for (int64_t i = 0; i < n_old; i++)
		if (old[i].label >= 0)
			*slot_of(r, old[i].key) = old[i];
	mem_free(old);
}

/* Slashes of one kind, and none in front. */
static const char *clean_path(char *path, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		if (path[i] == '\\')
			path[i] = '/';
	while (*n && (path[0] == '/' || (path[0] == '.' && *n > 1 && path[1] == '/'))) {
		path++;
		--*n;
	}
	return path;
}

static struct row *find(const struct rows *r, const char *name)
{
	const char *dot = strrchr(source_base(name), '.');

	for (const char *at = name; at && r->room; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL) {
		size_t lengths[] = { strlen(at), dot ? (size_t)(dot - at) : 0 };

		for (size_t i = 0; i < TD_COUNT(lengths); i++) {
			uint8_t key[16];
			struct row *row;

			if (!lengths[i])
				continue;
			key_of(at, lengths[i], key);
			row = slot_of(r, key);
			if (row->label >= 0)
				return row;
		}
	}
	return NULL;
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

struct choice {
	int path, label, part; /* columns; PART -1: none */
};

static const char *const path_names[] = { "path", "file", "filename", "file_name", "filepath", "file_path", "image",
	"image_path", "image_name", "img", "image_id", "id", "name", NULL };
static const char *const label_names[] = { "label", "class", "category", "target", "labels", "class_name", "label_name",
	"y", NULL };
static const char *const part_names[] = { "split", "part", "subset", "set", NULL };

/* The column that the format names under POINTER, or else one of NAMES.  False: the format names one that is not there.
 */
static bool choose(struct rows *r, const struct csv *c, const char *named, const char *pointer,
	const char *const *names, int *out, struct err *e)
{
	*out = named[0] ? csv_find(c, named) : csv_find_any(c, names);
	if (*out >= 0 || !named[0])
		return true;
	prepare_blame(r->p, pointer);
	err_set(e, TD_INVALID, "%s has no column \"%.100s\"; its columns begin with \"%.100s\"", c->source->where,
		named, c->names[0]);
	return false;
}

static bool choose_columns(struct rows *r, const struct csv *c, struct choice *out, struct err *e)
{
	const struct prepare_format *f = &r->p->format;

	if (!choose(r, c, f->path_column, "/format/path_column", path_names, &out->path, e) ||
		!choose(r, c, f->label_column, "/format/label_column", label_names, &out->label, e))
		return false;
	out->part = csv_find_any(c, part_names);
	if (c->n_columns == 2 && out->path < 0 && out->label < 0) /* without a header: path, label */
		out->path = 0;
	if (c->n_columns == 2 && out->path >= 0 && out->label < 0)
		out->label = 1 - out->path;
	if (c->n_columns == 2 && out->label >= 0 && out->path < 0)
		out->path = 1 - out->label;
	return true;
}

/* ---- Reading the CSV files --------------------------------------------------------------------------------------- */

static td_status refuse_row(const struct csv *c, struct err *e, const char *what, const char *value)
{
	char where[SOURCE_WHERE + 32];

	csv_where(c, where, sizeof where);
	return err_set(e, TD_INVALID, "%.300s: %s \"%.100s\"", where, what, value);
}

static td_status add_row(struct rows *r, const struct csv *c, const struct choice *at, bool test_file, struct err *e)
{
	size_t n = csv_field_bytes(c, at->path), n_label = csv_field_bytes(c, at->label);
	const char *path, *label = csv_trim(csv_field(c, at->label), &n_label);
	char *name = mem_strndup(label, n_label);
	uint8_t key[16];
	struct row *row;
	int32_t k = -1;

	path = csv_trim(csv_field(c, at->path), &n);
	path = clean_path((char *)path, &n);
	if (n && n_label)
		k = classes_add(&r->classes, name, e);
	mem_free(name);
	if (!n || !n_label)
		return refuse_row(c, e, n ? "there is no label for" : "there is no path for", n ? path : label);
	if (k < 0)
		return e->status;
	if (r->n >= ROWS_MOST)
		return err_set(e, TD_TOO_LARGE, "%s: more than %d rows", c->source->where, ROWS_MOST);
	if (4 * (r->n + 1) > 3 * r->room)
		grow(r);
	key_of(path, n, key);
	row = slot_of(r, key);
	if (row->label >= 0)
		return refuse_row(c, e, "a second row for", path);
	if (!r->n++)
		snprintf(r->first, sizeof r->first, "%.*s", (int)TD_MIN(n, sizeof r->first - 1), path);
	memcpy(row->key, key, sizeof key);
	row->label = k;
	row->test = at->part >= 0 ? source_is_test(csv_field(c, at->part)) : test_file;
	return TD_OK;
}

static td_status read_csv(struct rows *r, struct source *source, struct err *e)
{
	struct csv_options options = prepare_csv_options(r->p);
	bool test = source_is_test(source->entry.name);
	struct choice at;
	struct csv c;
	td_status s = csv_open(&c, source, &options, e);
	int got = 0;

	if (!s && !choose_columns(r, &c, &at, e))
		s = e->status;
	if (!s && (at.path < 0 || at.label < 0)) {
		prepare_note(r->p, "%s was passed over: it has no columns of paths and labels.", source->where);
		goto out;
	}
	while (!s && (got = csv_next(&c, e)) > 0)
		s = add_row(r, &c, &at, test, e);
	if (!s && got < 0)
		s = e->status;
	if (!s)
		prepare_note(r->p, "%s: paths from column \"%s\", labels from column \"%s\".", source->where,
			c.names[at.path], c.names[at.label]);
out:
	csv_release(&c);
	return s;
}

static bool is_csv(const char *name)
{
	return source_has_ending(name, "csv") || source_has_ending(name, "tsv");
}

static td_status read_all_csv(struct rows *r, struct source *source, struct err *e)
{
	td_status s = TD_OK;
	int got = 0;

	while (!s && (got = source_next(source, e)) > 0)
		if (is_csv(source->entry.name))
			s = read_csv(r, source, e);
	if (!s && got < 0)
		s = e->status;
	if (!s && !r->n)
		s = err_set(e, TD_INVALID,
			"no CSV file here has columns of paths and labels; name them as \"path_column\" and "
			"\"label_column\" "
			"of the format");
	return s;
}

/* CSV files of their own, if there are any: an archive need not be walked for others then. */
static td_status read_labels(struct rows *r, struct err *e)
{
	const struct prepare_order *order = r->p->order;
	struct prepare_file *files = MEM_NEW_N(struct prepare_file, order->n_files);
	struct source alone;
	int n = 0;
	td_status s;

	for (int i = 0; i < order->n_files; i++)
		if (is_csv(order->files[i].name))
			files[n++] = order->files[i];
	if (n) {
		s = source_init(&alone, files, n, e);
		if (!s)
			s = read_all_csv(r, &alone, e);
		source_release(&alone);
	} else {
		s = read_all_csv(r, &r->p->source, e);
	}
	mem_free(files);
	return s;
}

static int place(void *of, const char *name, int32_t *label, bool *test, struct err *e)
{
	struct rows *r = of;
	struct row *row = find(r, name);

	(void)e;
	if (!row)
		return 0;
	r->n_met += !row->met;
	row->met = true;
	*label = row->label;
	*test = row->test;
	return 1;
}

td_status from_image_csv(struct prepare *p, struct err *e)
{
	struct rows r = { .p = p };
	td_status s;

	classes_init(&r.classes, PREPARE_CLASSES_MOST);
	s = read_labels(&r, e);
	if (!s)
		s = pictures_read(p, place, &r, &r.classes, e);
	if (!s && r.n_met < r.n)
		prepare_note(p, "%lld of %lld rows have no picture in the files.", (long long)(r.n - r.n_met),
			(long long)r.n);
	if (s && !r.n_met && r.n)
		err_wrap(e, "the first path of the CSV is \"%s\"", r.first);
	mem_free(r.slots);
	classes_release(&r.classes);
	return s;
}
