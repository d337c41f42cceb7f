/* Preparing: the options of "format", the table of formats, and what is the same for all of them.  See prepare.h. */
#include "data/prepare.h"
#include "base/clock.h"
#include "data/formats.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INFO_FILE        "info.json"
#define SUMMARY_FILE     "summary.json"
#define NOTES_MOST       50
#define NOTE_BYTES       1000
#define NAME_CHARACTERS  200   /* of a column or class */
#define CLASS_NAMES_MOST 10000 /* that a document may list */
#define SYNCED_EACH      100   /* files of a pack */
#define DEAL_STREAM      "format.test"

/* ---- The table --------------------------------------------------------------------------------------------------- */

/* X(NAME, "name", what reads it), in the order of enum prepare_type */
#define FORMATS(X)                                                                                                     \
	X(AUTO, "auto", NULL)                                                                                          \
	X(IDX, "idx", from_idx)                                                                                        \
	X(CIFAR, "cifar", from_cifar)                                                                                  \
	X(IMAGE_FOLDER, "image_folder", from_image_folder)                                                             \
	X(IMAGE_CSV, "image_csv", from_image_csv)                                                                      \
	X(ARRAYS, "arrays", from_arrays)                                                                               \
	X(TABLE, "table", from_table)                                                                                  \
	X(TEXT, "text", from_text)                                                                                     \
	X(LABELLED_TEXT, "labelled_text", from_labelled_text)                                                          \
	X(TAGGED_TEXT, "tagged_text", from_tagged_text)

static td_status (*const readers[])(struct prepare *p, struct err *e) = {
#define X(name, word, reader) [PREPARE_##name] = reader,
	FORMATS(X)
#undef X
};

const char *const prepare_type_names[] = {
#define X(name, word, reader) [PREPARE_##name] = word,
	FORMATS(X)
#undef X
		NULL
};

/* ---- Options ----------------------------------------------------------------------------------------------------- */

static const char *const header_names[] = { "auto", "yes", "no", NULL };
const char *const prepare_column_names[] = { "number", "category", "text", "ignored", NULL };

#define AT(member) offsetof(struct prepare_format, member)

static const struct opt options[] = {
	{ "type", OPT_ENUM, AT(type), "\"auto\"", .names = prepare_type_names,
		.doc = "What the files are; \"auto\" looks at their names and first bytes, and says what it chose." },
	{ "image_size", OPT_PAIR, AT(image_size), .low = 1, .high = 4096,
		.doc = "[height, width]: pictures are scaled to cover it (antialiased bilinear), then cut around the "
		       "centre; absent: they stay as they are." },
	{ "header", OPT_ENUM, AT(header), "\"auto\"", .names = header_names,
		.doc = "Whether the first row of a CSV file has the names of its columns." },
	{ "delimiter", OPT_STRING, AT(delimiter), "\"\"", .high = 1,
		.doc = "What stands between the fields of a CSV file; empty: found out." },
	{ "path_column", OPT_STRING, AT(path_column), "\"\"", .high = NAME_CHARACTERS,
		.doc = "The CSV column with the pictures' paths: a name, or a number from 1; empty: found out." },
	{ "label_column", OPT_STRING, AT(label_column), "\"\"", .high = NAME_CHARACTERS,
		.doc = "The CSV column with the labels: a name, or a number from 1; empty: found out." },
	{ "text_column", OPT_STRING, AT(text_column), "\"\"", .high = NAME_CHARACTERS,
		.doc = "The CSV column with the texts: a name, or a number from 1; empty: found out." },
	{ "max_broken", OPT_COUNT_OR_PART, AT(max_broken), "0.01", .low = 0, .high = 1e9,
		.doc = "How many pictures that cannot be read are left out before the dataset is refused: a count, or "
		       "below 1 a part of all, but at least one; 0: none." },
	{ "classes", OPT_STRINGS, AT(classes), .most = CLASS_NAMES_MOST, .high = NAME_CHARACTERS,
		.doc = "Names of the classes, where the labels are numbers from 0." },
	{ "test", OPT_FLOAT, AT(test), "0", .low = 0, .high = 1, .below = true,
		.doc = "The part of the samples that becomes the test part, drawn at random once, where the files have "
		       "none." },
};

static const struct opt_type format_type = {
	.name = "format",
	.doc = "How the files of a dataset are to be read.",
	.options = options,
	.n_options = TD_COUNT(options),
	.n_bytes = sizeof(struct prepare_format),
};

/* "columns": any names, so no row of the table above can say it. */
static void read_columns(const cJSON *columns, const char *pointer, struct prepare_format *out, struct arena *arena,
	struct faults *faults)
{
	const cJSON *one;
	char at[256], token[NAME_CHARACTERS + 1];

	if (!cJSON_IsObject(columns) || cJSON_GetArraySize(columns) > PREPARE_COLUMNS_MOST) {
		snprintf(at, sizeof at, "%s/columns", pointer);
		faults_add(faults, at, "expected an object: {\"name of a column\": \"number\"}, of at most %d columns",
			PREPARE_COLUMNS_MOST);
		return;
	}
	out->columns = arena_alloc(arena, sizeof *out->columns * (size_t)(cJSON_GetArraySize(columns) + 1));
	cJSON_ArrayForEach(one, columns)
	{
		int type = 0;

		while (type < PREPARE_N_COLUMNS &&
			strcmp(prepare_column_names[type], cJSON_IsString(one) ? one->valuestring : "") != 0)
			type++;
		json_pointer_token(one->string, token, sizeof token);
		snprintf(at, sizeof at, "%s/columns/%.180s", pointer, token);
		if (type == PREPARE_N_COLUMNS)
			faults_add(faults, at,
				"the type of a column is \"number\", \"category\", \"text\" or \"ignored\"");
		else
			out->columns[out->n_columns++] = (struct prepare_correction){ arena_strdup(arena, one->string),
				(enum prepare_column)type };
	}
}

static void check_delimiter(const char *delimiter, const char *pointer, struct faults *faults)
{
	char at[64];

	if (!*delimiter || ((unsigned char)*delimiter < 0x7f && !strchr("\"\r\n", *delimiter)))
		return;
	snprintf(at, sizeof at, "%s/delimiter", pointer);
	faults_add(faults, at,
		"%s cannot stand between fields; expected one ASCII character, no quotation mark or line end",
		*delimiter == '"' ? "a quotation mark" : "this");
}

void prepare_format_read(const cJSON *format, const char *pointer, struct prepare_format *out, struct arena *arena,
	struct faults *faults)
{
	cJSON *rest = cJSON_IsObject(format) ? cJSON_Duplicate(format, true) : NULL;
	cJSON *columns = rest ? cJSON_DetachItemFromObjectCaseSensitive(rest, "columns") : NULL;

	*out = (struct prepare_format){ 0 };
	opt_read(&format_type, cJSON_IsNull(format) ? NULL : rest ? rest : format, pointer, out, arena, faults);
	check_delimiter(out->delimiter ? out->delimiter : "", pointer, faults);
	if (columns)
		read_columns(columns, pointer, out, arena, faults);
	cJSON_Delete(columns);
	cJSON_Delete(rest);
}

cJSON *prepare_format_schema(cJSON *defs)
{
	cJSON *schema = opt_schema(&format_type, defs);
	cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
	cJSON *columns = cJSON_AddObjectToObject(properties, "columns"), *type, *words;

	cJSON_AddStringToObject(columns, "type", "object");
	cJSON_AddStringToObject(columns, "description",
		"Types of a table's columns, by name, where the ones that were found out are wrong.");
	type = cJSON_AddObjectToObject(columns, "additionalProperties");
	words = cJSON_AddArrayToObject(type, "enum");
	for (int i = 0; i < PREPARE_N_COLUMNS; i++)
		cJSON_AddItemToArray(words, cJSON_CreateString(prepare_column_names[i]));
	return schema;
}

/* ---- What formats ask of their preparation ----------------------------------------------------------------------- */

void prepare_note(struct prepare *p, const char *fmt, ...)
{
	char text[NOTE_BYTES];
	va_list ap;

	if (cJSON_GetArraySize(p->notes) >= NOTES_MOST)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	cJSON_AddItemToArray(p->notes, cJSON_CreateString(text));
}

void prepare_blame(struct prepare *p, const char *pointer)
{
	snprintf(p->pointer, sizeof p->pointer, "%s", pointer);
}

enum pack_part prepare_deal(struct prepare *p, bool test, int64_t index)
{
	struct rng_key key = { .stream = rng_stream(DEAL_STREAM) };

	p->has_test |= test;
	if (test || (p->format.test > 0 && rng_unit(rng_u32(&key, (uint64_t)index)) < p->format.test))
		return PACK_TEST;
	return PACK_TRAIN;
}

td_status prepare_walk(struct prepare *p, bool (*is_meant)(const struct source_entry *entry), const char *why_not,
	td_status (*read)(void *of, struct err *e), void *of, struct err *e)
{
	td_status s = TD_OK;
	int got = 0;

	while (!s && (got = source_next(&p->source, e)) > 0)
		if (is_meant(&p->source.entry))
			s = read(of, e);
		else
			prepare_note(p, "%s was passed over: %s.", p->source.where, why_not);
	return s ? s : got < 0 ? e->status : TD_OK;
}

td_status prepare_parts(struct prepare *p, const int64_t n[PACK_PARTS], struct err *e)
{
	cJSON *parts = cJSON_AddObjectToObject(p->info, "parts");

	if (p->has_test && p->format.test > 0) {
		prepare_blame(p, "/format/test");
		return err_set(e, TD_INVALID, "the files have a test part of their own; leave \"test\" out");
	}
	if (!n[PACK_TRAIN] && n[PACK_TEST] && p->format.test > 0) {
		prepare_blame(p, "/format/test");
		return err_set(e, TD_INVALID,
			"%g of the samples were to become the test part, and so did all of the %lld; make it smaller",
			p->format.test, (long long)n[PACK_TEST]);
	}
	if (!n[PACK_TRAIN] && n[PACK_TEST])
		return err_set(e, TD_INVALID,
			"all %lld samples are in files or folders named for the test part, so there are none to train "
			"on; rename them",
			(long long)n[PACK_TEST]);
	if (!n[PACK_TRAIN])
		return err_set(e, TD_INVALID, "there are no samples in these files");
	for (int part = 0; part < PACK_PARTS; part++)
		if (n[part])
			cJSON_AddNumberToObject(
				cJSON_AddObjectToObject(parts, pack_part_names[part]), "samples", (double)n[part]);
	return TD_OK;
}

struct csv_options prepare_csv_options(const struct prepare *p)
{
	return (struct csv_options){ p->format.delimiter[0], p->format.header };
}

static void on_progress(void *of, int64_t n_bytes)
{
	struct prepare *p = of;
	int64_t now = clock_monotonic_ms();

	/* Each byte is read at least twice: hashed, then decoded.  A second walk shows no progress of its own. */
	p->n_done = TD_MAX(p->n_done, n_bytes + (p->hashed ? p->source.n_total : 0));
	if (!p->order->progress || now - p->told_ms < PREPARE_PROGRESS_MS)
		return;
	p->told_ms = now;
	p->order->progress(p->order->of, p->n_done, 2 * p->source.n_total);
}

/* ---- One preparation --------------------------------------------------------------------------------------------- */

static int by_member_name(const void *a, const void *b)
{
	return strcmp((*(cJSON *const *)a)->string, (*(cJSON *const *)b)->string);
}

/* Members by name, at all depths, so that the same document in another order is the same. */
static void sort_members(cJSON *v)
{
	int n = cJSON_IsObject(v) ? cJSON_GetArraySize(v) : 0, i = 0;
	cJSON **members = MEM_NEW_N(cJSON *, n + 1), *one;

	cJSON_ArrayForEach(one, v)
	{
		sort_members(one);
		if (n)
			members[i++] = one;
	}
	qsort(members, (size_t)n, sizeof *members, by_member_name);
	for (i = 0; i < n; i++)
		cJSON_AddItemToArray(v, cJSON_DetachItemViaPointer(v, members[i]));
	mem_free(members);
}

static td_status make_key(struct prepare *p, char key[PREPARE_KEY], struct err *e)
{
	cJSON *format =
		cJSON_IsObject(p->order->format) ? cJSON_Duplicate(p->order->format, true) : cJSON_CreateObject();
	uint8_t version = PACK_VERSION, digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx hash;
	char *text;
	td_status s;

	sort_members(format);
	text = json_print(format);
	sha256_init(&hash);
	sha256_update(&hash, 1, &version);
	sha256_update(&hash, strlen(text) + 1, (const uint8_t *)text);
	s = source_hash(&p->source, &hash, e);
	sha256_digest(&hash, sizeof digest, digest);
	for (int i = 0; i < PREPARE_KEY / 2; i++)
		snprintf(key + 2 * i, 3, "%02x", digest[i]);
	mem_free(text);
	cJSON_Delete(format);
	p->hashed = true;
	cJSON_AddNumberToObject(p->info, "input_bytes", (double)p->source.n_total);
	return s;
}

td_status prepare_decode(struct prepare *p, struct err *e)
{
	enum prepare_type type = (enum prepare_type)p->format.type;
	td_status s = TD_OK;

	if (type == PREPARE_AUTO)
		s = detect_format(p, &type, e);
	if (s)
		return s;
	cJSON_AddStringToObject(p->info, "format", prepare_type_names[type]);
	s = readers[type](p, e);
	if (!s && p->source.n_links)
		prepare_note(p, "%lld link%s passed over.", (long long)p->source.n_links,
			p->source.n_links == 1 ? " or device was" : "s or devices were");
	return s;
}

static td_status write_json(const struct prepare *p, const char *name, const cJSON *v, struct err *e)
{
	char *path = mem_printf("%s/%s", p->order->folder, name), *text = json_print(v);
	td_status s = file_write(path, text, strlen(text), e);

	mem_free(text);
	mem_free(path);
	return s;
}

/* The sizes of the folder's files, and how many there are. */
static td_status count_folder(const char *folder, int64_t *n_bytes, int *n_files, struct err *e)
{
	DIR *d = opendir(folder);
	struct dirent *one;
	struct stat st;

	*n_bytes = *n_files = 0;
	if (!d)
		return err_errno(e, "opening %s", folder);
	while ((one = readdir(d)))
		if (one->d_name[0] != '.' && !fstatat(dirfd(d), one->d_name, &st, 0)) {
			*n_bytes += st.st_size;
			++*n_files;
		}
	closedir(d);
	return TD_OK;
}

static td_status sync_each(const char *folder, struct err *e)
{
	DIR *d = opendir(folder);
	struct dirent *one;

	if (!d)
		return err_errno(e, "opening %s", folder);
	while (!e->status && (one = readdir(d))) {
		char *path = mem_printf("%s/%s", folder, one->d_name);
		if (one->d_name[0] != '.')
			file_sync(path, e);
		mem_free(path);
	}
	closedir(d);
	return e->status ? e->status : file_sync(folder, e);
}

static td_status sync_folder(const char *folder, int64_t *n_bytes, struct err *e)
{
	int n_files;

	if (count_folder(folder, n_bytes, &n_files, e))
		return e->status;
	return n_files > SYNCED_EACH ? file_sync_folder(folder, e) : sync_each(folder, e);
}

static td_status prepare_all(struct prepare *p, struct prepared *out, struct err *e)
{
	td_status s = make_key(p, out->key, e);

	if (!s)
		s = prepare_decode(p, e);
	if (!s)
		s = source_unchanged(&p->source, e); /* the key is of what was hashed before */
	if (!s)
		s = write_json(p, INFO_FILE, p->info, e);
	if (!s)
		s = write_json(p, SUMMARY_FILE, p->summary, e);
	return s ? s : sync_folder(p->order->folder, &out->n_bytes, e);
}

static td_status open_source(struct prepare *p, struct err *e)
{
	td_status s;

	if (p->order->n_files < 1 || p->order->n_files > PREPARE_FILES_MOST)
		return err_set(e, TD_INVALID, "a dataset has 1 to %d files, this one %d; pack them into an archive",
			PREPARE_FILES_MOST, p->order->n_files);
	s = source_init(&p->source, p->order->files, p->order->n_files, e);
	p->source.told = on_progress;
	p->source.of = p;
	return s;
}

bool prepare_begin(struct prepare *p, const struct prepare_order *order, struct faults *faults)
{
	size_t n_before = faults->n_found;
	struct err e = { 0 };

	*p = (struct prepare){
		.order = order, .info = cJSON_CreateObject(), .summary = cJSON_CreateObject(), .source.fd = -1
	};
	arena_init(&p->arena);
	cJSON_AddNumberToObject(p->info, "version", PACK_VERSION);
	cJSON_AddStringToObject(p->info, "dataset", order->dataset);
	cJSON_AddArrayToObject(p->summary, "samples");
	p->notes = cJSON_AddArrayToObject(p->summary, "notes");
	prepare_format_read(order->format, "/format", &p->format, &p->arena, faults);
	if (faults->n_found == n_before && open_source(p, &e))
		faults_add(faults, p->pointer, "%s", e.text);
	return faults->n_found == n_before;
}

void prepare_end(struct prepare *p)
{
	source_release(&p->source);
	cJSON_Delete(p->info);
	cJSON_Delete(p->summary);
	arena_release(&p->arena);
}

bool prepare_run(const struct prepare_order *order, struct prepared *out, struct faults *faults)
{
	struct prepare p;
	struct err e = { 0 };
	bool done = prepare_begin(&p, order, faults);

	*out = (struct prepared){ 0 };
	if (done && prepare_all(&p, out, &e)) {
		faults_add(faults, p.pointer, "%s", e.text);
		*out = (struct prepared){ 0 };
		done = false;
	}
	if (done) {
		out->info = p.info;
		p.info = NULL;
	}
	prepare_end(&p);
	return done;
}

void prepared_release(struct prepared *p)
{
	cJSON_Delete(p->info);
	*p = (struct prepared){ 0 };
}
