/* safetensors: see io.h.  The reader trusts nothing; the writer gives the same bytes for the same tensors. */
#include "io/io.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_BYTES 8 /* the header's size in front of it */
#define HEADER_ALIGN 8 /* the header is padded with spaces, so that the elements are aligned in a mapped file */

static const char *const dtype_names[TD_N_DTYPES] = {
	[TD_F32] = "F32",
	[TD_F64] = "F64",
	[TD_I32] = "I32",
	[TD_I64] = "I64",
	[TD_U8] = "U8",
	[TD_BOOL] = "BOOL",
};

/* ---- Writing --------------------------------------------------------------------------------------------------- */

static void add_tensor(cJSON *header, const struct named_tensor *t, int64_t *at)
{
	const td_shape *shape = td_shape_of(t->value);
	cJSON *entry = cJSON_AddObjectToObject(header, t->name), *sizes, *offsets;

	cJSON_AddStringToObject(entry, "dtype", dtype_names[shape->dtype]);
	sizes = cJSON_AddArrayToObject(entry, "shape");
	for (int i = 0; i < shape->rank; i++)
		cJSON_AddItemToArray(sizes, cJSON_CreateNumber((double)shape->dim[i]));
	offsets = cJSON_AddArrayToObject(entry, "data_offsets");
	cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)*at));
	*at += (int64_t)td_shape_bytes(shape);
	cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)*at));
}

static char *header_text(const struct named_tensor *tensors, int n, const cJSON *metadata, int64_t *n_data)
{
	cJSON *header = cJSON_CreateObject();
	char *text;

	*n_data = 0;
	if (metadata)
		cJSON_AddItemToObject(header, "__metadata__", cJSON_Duplicate(metadata, true));
	for (int i = 0; i < n; i++)
		add_tensor(header, &tensors[i], n_data);
	text = json_print(header);
	cJSON_Delete(header);
	return text;
}

td_status safetensors_write(const char *path, const struct named_tensor *tensors, int n, const cJSON *metadata,
	struct file_facts *facts, struct err *e)
{
	int64_t n_data;
	char *header = header_text(tensors, n, metadata, &n_data);
	size_t n_text = strlen(header), n_header = (n_text + HEADER_ALIGN - 1) / HEADER_ALIGN * HEADER_ALIGN;
	size_t n_bytes = LENGTH_BYTES + n_header + (size_t)n_data;
	uint8_t *bytes = mem_try_alloc(n_bytes), *at;
	td_status s;

	if (!bytes) {
		s = err_set(e, TD_NO_MEMORY, "no memory for the %zu bytes of %s", n_bytes, path);
		goto out;
	}
	for (int i = 0; i < LENGTH_BYTES; i++)
		bytes[i] = (uint8_t)(n_header >> (8 * i));
	memset(bytes + LENGTH_BYTES, ' ', n_header);
	memcpy(bytes + LENGTH_BYTES, header, n_text);
	at = bytes + LENGTH_BYTES + n_header;
	for (int i = 0; i < n; i++) {
		td_read(tensors[i].value, at);
		at += td_shape_bytes(td_shape_of(tensors[i].value));
	}
	s = file_write(path, bytes, n_bytes, e);
	facts->n_bytes = (int64_t)n_bytes;
	sha256_of(bytes, n_bytes, facts->sha256);
out:
	mem_free(bytes);
	mem_free(header);
	return s;
}

/* ---- Reading --------------------------------------------------------------------------------------------------- */

struct reading {
	const char *path;
	int64_t n_data; /* bytes behind the header */
	const uint8_t *data;
	struct err *err;
};

static td_status corrupt(const struct reading *r, const char *name, const char *what)
{
	return err_set(r->err, TD_CORRUPT, "%s: tensor \"%.80s\" %s", r->path, name, what);
}

static bool non_negative(const cJSON *v, int64_t *out)
{
	if (!json_is_integer(v) || v->valuedouble < 0)
		return false;
	*out = (int64_t)v->valuedouble;
	return true;
}

static td_status read_shape(const struct reading *r, const cJSON *entry, td_shape *shape, int64_t *n_bytes)
{
	const char *dtype = json_string(entry, "dtype", "");
	const cJSON *sizes = json_get(entry, "shape"), *size;
	int d = 0;

	while (d < TD_N_DTYPES && strcmp(dtype_names[d], dtype) != 0)
		d++;
	if (d == TD_N_DTYPES)
		return corrupt(r, entry->string, "has an element type that is not one of F32, F64, I32, I64, U8, BOOL");
	if (!cJSON_IsArray(sizes) || cJSON_GetArraySize(sizes) > TD_MAX_RANK)
		return corrupt(r, entry->string, "has no shape of at most 6 axes");
	*shape = (td_shape){ .dtype = (td_dtype)d, .order = TD_ROW_MAJOR };
	*n_bytes = (int64_t)td_dtype_size((td_dtype)d);
	cJSON_ArrayForEach(size, sizes)
	{
		int64_t n;
		if (!non_negative(size, &n) || __builtin_mul_overflow(*n_bytes, n, n_bytes))
			return corrupt(r, entry->string, "has a size that cannot be");
		shape->dim[shape->rank++] = n;
	}
	return TD_OK;
}

static td_status read_entry(const struct reading *r, const cJSON *entry, struct stored_tensor *t)
{
	const cJSON *offsets = json_get(entry, "data_offsets");
	int64_t n_bytes = 0, from, to;
	td_status s;

	if (strlen(entry->string) > SAFETENSORS_NAME_MOST)
		return corrupt(r, entry->string, "has a name of more than 256 bytes");
	if (!cJSON_IsObject(entry) || cJSON_GetArraySize(entry) != 3)
		return corrupt(r, entry->string, "is not described by exactly dtype, shape and data_offsets");
	s = read_shape(r, entry, &t->shape, &n_bytes);
	if (s)
		return s;
	if (!cJSON_IsArray(offsets) || cJSON_GetArraySize(offsets) != 2 || !non_negative(offsets->child, &from) ||
		!non_negative(offsets->child->next, &to) || from > to || to > r->n_data)
		return corrupt(r, entry->string, "has data_offsets that do not lie in the file");
	if (to - from != n_bytes)
		return corrupt(r, entry->string, "has data_offsets that are not as far apart as its shape asks for");
	t->name = entry->string;
	t->bytes = r->data + from;
	return TD_OK;
}

static int compare_places(const void *a, const void *b)
{
	const struct stored_tensor *x = a, *y = b;

	if (x->bytes != y->bytes)
		return (const uint8_t *)x->bytes < (const uint8_t *)y->bytes ? -1 : 1;
	/* Empty tensors share their place with what follows. */
	size_t n = td_shape_bytes(&x->shape), m = td_shape_bytes(&y->shape);
	return n < m ? -1 : n > m;
}

/* Together the tensors fill the data: no hole, no overlap, no rest. */
static td_status check_places(const struct reading *r, struct safetensors *s)
{
	const uint8_t *at = r->data;

	qsort(s->items, (size_t)s->n, sizeof *s->items, compare_places);
	for (int i = 0; i < s->n; i++) {
		if (s->items[i].bytes != at)
			return corrupt(r, s->items[i].name,
				(const uint8_t *)s->items[i].bytes < at ? "overlaps another" : "lies behind a hole");
		at += td_shape_bytes(&s->items[i].shape);
	}
	if (at != r->data + r->n_data)
		return err_set(r->err, TD_CORRUPT, "%s: %" PRId64 " bytes at its end belong to no tensor", r->path,
			(int64_t)(r->data + r->n_data - at));
	return TD_OK;
}

static td_status check_metadata(const struct reading *r, const cJSON *metadata)
{
	const cJSON *member;

	if (!cJSON_IsObject(metadata))
		return err_set(r->err, TD_CORRUPT, "%s: __metadata__ is not an object", r->path);
	cJSON_ArrayForEach(member, metadata) if (!cJSON_IsString(member)) return err_set(
		r->err, TD_CORRUPT, "%s: __metadata__ \"%.80s\" is not a string", r->path, member->string);
	return TD_OK;
}

static td_status read_header(struct reading *r, struct safetensors *s)
{
	const uint8_t *bytes = (const uint8_t *)s->file.data;
	uint64_t n_header = 0;
	const cJSON *entry;

	if (s->file.len < LENGTH_BYTES)
		return err_set(r->err, TD_CORRUPT, "%s has %zu bytes; a safetensors file has at least 8", r->path,
			s->file.len);
	for (int i = 0; i < LENGTH_BYTES; i++)
		n_header |= (uint64_t)bytes[i] << (8 * i);
	if (n_header > SAFETENSORS_HEADER_MOST || n_header > s->file.len - LENGTH_BYTES)
		return err_set(r->err, TD_CORRUPT,
			"%s: a header of %" PRIu64 " bytes does not fit into a file of %zu (at most %u)", r->path,
			n_header, s->file.len, SAFETENSORS_HEADER_MOST);
	s->header = json_parse(s->file.data + LENGTH_BYTES, n_header, r->err);
	if (!s->header || !cJSON_IsObject(s->header)) {
		err_set(r->err, TD_CORRUPT, "the header is not an object");
		r->err->status = TD_CORRUPT;
		return err_wrap(r->err, "%s: its header", r->path);
	}
	r->data = bytes + LENGTH_BYTES + n_header;
	r->n_data = (int64_t)(s->file.len - LENGTH_BYTES - n_header);
	s->items = MEM_NEW_N(struct stored_tensor, cJSON_GetArraySize(s->header) + 1);
	cJSON_ArrayForEach(entry, s->header)
	{
		td_status status;
		if (!strcmp(entry->string, "__metadata__")) {
			s->metadata = entry;
			status = check_metadata(r, entry);
		} else {
			status = read_entry(r, entry, &s->items[s->n]);
			s->n++;
		}
		if (status)
			return status;
	}
	return check_places(r, s);
}

td_status safetensors_read(const char *path, int64_t bytes_most, struct safetensors *out, struct err *e)
{
	struct err own = { 0 };
	struct reading r = { .path = path, .err = e ? e : &own };
	td_status s;

	memset(out, 0, sizeof *out);
	buf_init(&out->file, (size_t)bytes_most);
	s = file_read(path, &out->file, r.err);
	if (!s)
		s = read_header(&r, out);
	if (s)
		safetensors_release(out);
	else
		sha256_of(out->file.data, out->file.len, out->sha256);
	return s;
}

void safetensors_release(struct safetensors *s)
{
	cJSON_Delete(s->header);
	mem_free(s->items);
	buf_release(&s->file);
	memset(s, 0, sizeof *s);
}

const struct stored_tensor *safetensors_find(const struct safetensors *s, const char *name)
{
	for (int i = 0; i < s->n; i++)
		if (!strcmp(s->items[i].name, name))
			return &s->items[i];
	return NULL;
}
