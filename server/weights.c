/* Files of weights: see weights.h. */
#include "weights.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "jobfiles.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LENGTH_BYTES 8 /* of the header's length, little-endian, at the beginning of the file */
#define DIMS_MOST    16

char *weights_path(const struct config *c, const char *name)
{
	return name ? mem_printf("%s/models/%s.safetensors", c->data_dir, name) : mem_printf("%s/models", c->data_dir);
}

/* ---- The header ------------------------------------------------------------------------------------------------- */

/* The types of the format, and the bytes of one element. */
static const struct {
	const char *name;
	int n_bytes;
} types[] = {
	{ "F64", 8 },
	{ "F32", 4 },
	{ "F16", 2 },
	{ "BF16", 2 },
	{ "F8_E4M3", 1 },
	{ "F8_E5M2", 1 },
	{ "I64", 8 },
	{ "I32", 4 },
	{ "I16", 2 },
	{ "I8", 1 },
	{ "U64", 8 },
	{ "U32", 4 },
	{ "U16", 2 },
	{ "U8", 1 },
	{ "BOOL", 1 },
};

struct span {
	int64_t from, to; /* in the bytes after the header */
	const char *name; /* borrowed */
};

static td_status read_header(const char *path, char **text, size_t *n_text, int64_t *n_data, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t length[LENGTH_BYTES];
	uint64_t n = 0;
	struct stat st;

	*text = NULL;
	if (fd < 0 || fstat(fd, &st)) {
		err_errno(e, "opening the file");
		goto out;
	}
	if (pread(fd, length, sizeof length, 0) != sizeof length) {
		err_set(e, TD_INVALID, "this is no safetensors file: it has %lld bytes", (long long)st.st_size);
		goto out;
	}
	for (int i = LENGTH_BYTES - 1; i >= 0; i--)
		n = n << 8 | length[i];
	if (n < 2 || n > WEIGHTS_HEADER_MOST || (int64_t)n > st.st_size - LENGTH_BYTES) {
		err_set(e, TD_INVALID,
			"this is no safetensors file: it says that its header has %llu bytes; expected 2 to %lld",
			(unsigned long long)n, (long long)TD_MIN(WEIGHTS_HEADER_MOST, st.st_size - LENGTH_BYTES));
		goto out;
	}
	*n_text = (size_t)n;
	*n_data = st.st_size - LENGTH_BYTES - (int64_t)n;
	*text = mem_alloc(n + 1);
	if (pread(fd, *text, n, LENGTH_BYTES) != (ssize_t)n)
		err_errno(e, "reading the file's header");
out:
	if (fd >= 0)
		close(fd);
	return e->status;
}

/* Elements of SHAPE times the bytes of one, or -1: no shape, or more than there could be. */
static int64_t bytes_of(const cJSON *shape, int n_bytes)
{
	int64_t n = n_bytes;
	const cJSON *size;

	if (!cJSON_IsArray(shape) || cJSON_GetArraySize(shape) > DIMS_MOST)
		return -1;
	cJSON_ArrayForEach(size, shape)
	{
		if (!json_is_integer(size) || size->valuedouble < 0 ||
			__builtin_mul_overflow(n, (int64_t)size->valuedouble, &n))
			return -1;
	}
	return n;
}

static td_status read_tensor(const cJSON *item, int64_t n_data, struct span *out, struct err *e)
{
	const cJSON *shape = json_get(item, "shape"), *offsets = json_get(item, "data_offsets");
	const cJSON *from = cJSON_GetArrayItem(offsets, 0), *to = cJSON_GetArrayItem(offsets, 1);
	const char *dtype = json_string(item, "dtype", "");
	int64_t n_bytes;
	size_t type = 0;

	while (type < TD_COUNT(types) && strcmp(types[type].name, dtype) != 0)
		type++;
	if (type == TD_COUNT(types))
		return err_set(e, TD_INVALID,
			"tensor \"%.100s\" has dtype \"%.20s\"; expected F32 or another of the format's", item->string,
			dtype);
	n_bytes = bytes_of(shape, types[type].n_bytes);
	if (n_bytes < 0)
		return err_set(e, TD_INVALID, "tensor \"%.100s\" has no shape: expected an array of at most %d sizes",
			item->string, DIMS_MOST);
	if (cJSON_GetArraySize(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to) ||
		from->valuedouble < 0 || to->valuedouble > (double)n_data ||
		to->valuedouble - from->valuedouble != (double)n_bytes)
		return err_set(e, TD_INVALID,
			"tensor \"%.100s\" of %lld bytes has data_offsets that do not fit it, or leave the file's %lld "
			"bytes of data",
			item->string, (long long)n_bytes, (long long)n_data);
	*out = (struct span){ (int64_t)from->valuedouble, (int64_t)to->valuedouble, item->string };
	return TD_OK;
}

static int compare_spans(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->from != y->from ? (x->from < y->from ? -1 : 1) : (x->to > y->to) - (x->to < y->to);
}

/* Every byte of data belongs to one tensor. */
static td_status check_spans(struct span *spans, size_t n, int64_t n_data, struct err *e)
{
	int64_t at = 0;

	qsort(spans, n, sizeof *spans, compare_spans);
	for (size_t i = 0; i < n; at = spans[i++].to)
		if (spans[i].from != at)
			return err_set(e, TD_INVALID,
				"tensor \"%.100s\" begins at byte %lld of the data; expected %lld", spans[i].name,
				(long long)spans[i].from, (long long)at);
	if (at != n_data)
		return err_set(
			e, TD_INVALID, "%lld bytes at the file's end belong to no tensor", (long long)(n_data - at));
	return TD_OK;
}

static td_status read_tensors(const cJSON *header, int64_t n_data, cJSON *tensors, struct err *e)
{
	size_t n = 0, room = (size_t)cJSON_GetArraySize(header);
	struct span *spans = MEM_NEW_N(struct span, room + 1);
	const cJSON *item;

	cJSON_ArrayForEach(item, header)
	{
		cJSON *o;

		if (!strcmp(item->string, "__metadata__"))
			continue;
		if (read_tensor(item, n_data, &spans[n++], e))
			break;
		o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "name", item->string);
		cJSON_AddStringToObject(o, "dtype", json_string(item, "dtype", ""));
		cJSON_AddItemToObject(o, "shape", cJSON_Duplicate(json_get(item, "shape"), true));
		cJSON_AddItemToArray(tensors, o);
	}
	if (!e->status && !n)
		err_set(e, TD_INVALID, "the file holds no tensor");
	if (!e->status)
		check_spans(spans, n, n_data, e);
	mem_free(spans);
	return e->status;
}

td_status weights_tensors(const char *path, cJSON **tensors, struct err *e)
{
	cJSON *header = NULL;
	int64_t n_data = 0;
	size_t n_text = 0;
	char *text;

	*tensors = NULL;
	if (!read_header(path, &text, &n_text, &n_data, e)) {
		while (n_text && text[n_text - 1] == ' ') /* padding */
			n_text--;
		header = json_parse(text, n_text, e);
		if (!header)
			err_wrap(e, "the file's header is not JSON");
		else if (!cJSON_IsObject(header))
			err_set(e, TD_INVALID, "the file's header is no JSON object");
	}
	if (!e->status) {
		*tensors = cJSON_CreateArray();
		if (read_tensors(header, n_data, *tensors, e)) {
			cJSON_Delete(*tensors);
			*tensors = NULL;
		}
	}
	cJSON_Delete(header);
	mem_free(text);
	return e->status;
}

/* ---- What a job begins from ------------------------------------------------------------------------------------- */

const char *weights_artifact(const char *checkpoint)
{
	if (!strcmp(checkpoint, "last"))
		return "model.safetensors";
	return strcmp(checkpoint, "best") ? NULL : "best.safetensors";
}

static td_status find_artifact(const struct config *c, struct store_reader *r, const char *job, const char *checkpoint,
	char **path, struct err *e)
{
	const char *name = weights_artifact(checkpoint);
	struct err found = { 0 };
	struct artifact a;
	struct job j;

	if (!name)
		return err_set(e, TD_INVALID, "the checkpoint is \"%.40s\"; expected \"best\" or \"last\"", checkpoint);
	if (store_job_get(r, job, &j, &found))
		return err_set(e, found.status, "there is no job %.40s; GET /api/v1/jobs lists them", job);
	job_release(&j);
	if (store_artifact_get(r, job, name, &a, &found))
		return err_set(e, found.status, "job %.40s has no %s weights: %s appears when it has succeeded%s", job,
			checkpoint, name, strcmp(checkpoint, "best") ? "" : " and its spec says train/keep/best");
	job_file(c, job, &a, path, e);
	artifact_release(&a);
	return e->status;
}

td_status weights_find(
	const struct config *c, struct store_reader *r, const cJSON *init_from, char **path, struct err *e)
{
	const char *model = json_string(init_from, "model", NULL), *job = json_string(init_from, "job", NULL);
	struct model m;

	*path = NULL;
	if (model && *model) {
		if (!store_model_get(r, model, &m, e)) {
			*path = weights_path(c, m.name);
			model_release(&m);
		}
		return e->status;
	}
	if (job && *job)
		return find_artifact(c, r, job, json_string(init_from, "checkpoint", "last"), path, e);
	return err_set(e, TD_INVALID, "init_from names neither a model nor a job");
}

/* ---- Tidying ---------------------------------------------------------------------------------------------------- */

static void keep_name(void *arg, const struct model *m)
{
	char *file = mem_printf("%s.safetensors", m->name);

	map_put(arg, file, arg); /* any value but NULL */
	mem_free(file);
}

void weights_sweep(const struct config *c, struct store_reader *r)
{
	char *folder = weights_path(c, NULL);
	DIR *dir = NULL;
	struct dirent *d;
	struct map kept;

	map_init(&kept);
	if (!store_model_each(r, NULL, -1, keep_name, &kept, NULL))
		dir = opendir(folder);
	while (dir && (d = readdir(dir))) {
		if (d->d_type == DT_DIR || map_get(&kept, d->d_name))
			continue;
		char *path = mem_printf("%s/%s", folder, d->d_name);
		log_line(LOG_INFO, "removing a file without a model", "path=%s", path);
		unlink(path);
		mem_free(path);
	}
	if (dir)
		closedir(dir);
	map_release(&kept);
	mem_free(folder);
}
