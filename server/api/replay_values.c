/* What a replay has kept: values as NPY or JSON, samples as pictures. */
#include "api/replays.h"
#include "replayfiles.h"

#include <stdio.h>
#include <string.h>

#define NUMBERS_MOST 10000      /* elements of a value as JSON */
#define LINE_MOST    (1u << 20) /* bytes of a line of the document */

/* ---- Values ------------------------------------------------------------------------------------------------------ */

/* A value as it lies in the file: an NPY file, whose elements are its end. */
struct value {
	int64_t at, n_bytes, n;
	const char *dtype; /* borrowed from the document, like the next one */
	const cJSON *shape;
};

static td_status describe_value(const cJSON *v, struct value *out, struct err *e)
{
	const cJSON *dim;

	*out = (struct value){ .at = json_int(v, "at", -1),
		.n_bytes = json_int(v, "bytes", 0),
		.n = 1,
		.dtype = json_string(v, "dtype", ""),
		.shape = json_get(v, "shape") };
	cJSON_ArrayForEach(dim, out->shape) out->n *= (int64_t)dim->valuedouble;
	if (out->at < 0)
		return err_set(e, TD_CONFLICT,
			"of value %lld there are figures only: the steps were too large to keep all elements",
			(long long)json_int(v, "id", 0));
	return TD_OK;
}

/* One of the document's "values", each of which stands on a line of its own: of the megabytes around it nothing is
 * kept. */
static td_status find_value(FILE *document, int64_t id, cJSON **v, struct err *e)
{
	char key[40];
	size_t n_key = (size_t)snprintf(key, sizeof key, "{\"id\":%lld,", (long long)id);
	bool among = false;
	struct buf line;

	buf_init(&line, LINE_MOST);
	while (!*v && !e->status && buf_read_line(&line, document)) {
		if (among && !strncmp(line.data, key, n_key)) {
			while (line.len && line.data[line.len - 1] != '}')
				line.len--;
			*v = json_parse(line.data, line.len, e);
		}
		among |= !strncmp(line.data, "\"values\":[", 10);
		buf_clear(&line);
	}
	if (line.full)
		err_set(e, TD_CORRUPT, "a line of the replay's document is longer than %u bytes", LINE_MOST);
	buf_release(&line);
	return e->status;
}

static td_status read_value(
	const struct request *q, const struct replay_row *row, const char *number, cJSON **v, struct err *e)
{
	FILE *document = replay_open(q, row, REPLAY_DOCUMENT, e);
	int64_t id = replay_number(number);

	*v = NULL;
	if (!document)
		return e->status;
	if (id >= 0)
		find_value(document, id, v, e);
	fclose(document);
	if (!*v && !e->status)
		err_set(e, TD_NOT_FOUND, "the replay of step %lld has no value \"%.40s\"", (long long)row->step,
			number);
	return e->status;
}

/* Element I of BYTES, of the type that DTYPE names. */
static double element(const char *dtype, const char *bytes, int64_t i)
{
	double d;
	float f;
	int32_t i32;
	int64_t i64;

	if (!strcmp(dtype, "float32"))
		return memcpy(&f, bytes + i * 4, 4), f;
	if (!strcmp(dtype, "float64"))
		return memcpy(&d, bytes + i * 8, 8), d;
	if (!strcmp(dtype, "int32"))
		return memcpy(&i32, bytes + i * 4, 4), i32;
	if (!strcmp(dtype, "int64"))
		return memcpy(&i64, bytes + i * 8, 8), (double)i64;
	return (unsigned char)bytes[i];
}

static int64_t size_of(const char *dtype)
{
	return strstr(dtype, "64") ? 8 : strstr(dtype, "32") ? 4 : 1;
}

/* Takes F. */
static td_status respond_numbers(struct response *r, const struct value *v, FILE *f, struct err *e)
{
	char *bytes = mem_alloc((size_t)TD_MAX(v->n_bytes, 1));
	const char *elements = bytes + v->n_bytes - v->n * size_of(v->dtype);
	cJSON *o, *data;

	if (elements < bytes || fseeko(f, (off_t)v->at, SEEK_SET) || fread(bytes, (size_t)v->n_bytes, 1, f) != 1) {
		err_set(e, TD_CORRUPT, "the values of this replay end too early");
	} else {
		o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "dtype", v->dtype);
		cJSON_AddItemToObject(o, "shape", cJSON_Duplicate(v->shape, true));
		data = cJSON_AddArrayToObject(o, "data");
		for (int64_t i = 0; i < v->n; i++)
			cJSON_AddItemToArray(data, json_number(element(v->dtype, elements, i)));
		respond_json(r, 200, o);
	}
	mem_free(bytes);
	fclose(f);
	return e->status;
}

static td_status respond_value(
	struct request *q, struct response *r, const struct replay_row *row, const struct value *v, struct err *e)
{
	const char *format = request_query(q, "format");
	bool json = format && !strcmp(format, "json");
	FILE *f;

	if (format && !json && strcmp(format, "npy") != 0)
		return err_set(e, TD_INVALID, "the query's format is \"%.40s\"; expected \"npy\" or \"json\"", format);
	if (json && v->n > NUMBERS_MOST)
		return err_set(e, TD_TOO_LARGE, "the value has %lld elements; as JSON there are at most %d, as NPY all",
			(long long)v->n, NUMBERS_MOST);
	f = replay_open(q, row, REPLAY_VALUES, e);
	if (!f)
		return e->status;
	return json ? respond_numbers(r, v, f, e)
		    : replay_send(q, r, "application/x-npy", NULL, f, v->at, v->n_bytes, e);
}

td_status job_replay_value(struct request *q, struct response *r, struct err *e)
{
	struct replay_row row;
	struct value v;
	cJSON *found = NULL;

	if (replay_find(q, &row, e))
		return e->status;
	if (!read_value(q, &row, q->param[2], &found, e) && !describe_value(found, &v, e))
		respond_value(q, r, &row, &v, e);
	cJSON_Delete(found);
	replay_release(&row);
	return e->status;
}

/* ---- Samples ----------------------------------------------------------------------------------------------------- */

td_status job_replay_sample(struct request *q, struct response *r, struct err *e)
{
	char *path, name[40];
	struct replay_row row;
	int64_t i = replay_number(q->param[2]);

	if (i < 0 || i > INT32_MAX)
		return err_set(e, TD_NOT_FOUND, "\"%.40s\" is not the number of a sample", q->param[2]);
	if (replay_find(q, &row, e))
		return e->status;
	snprintf(name, sizeof name, REPLAY_SAMPLE, (int)i);
	path = replay_file(q, &row, name);
	if (row.state != REPLAY_SUCCEEDED)
		err_set(e, TD_CONFLICT, "the replay of step %lld is %s", (long long)row.step,
			replay_state_name(row.state));
	else if (respond_file(r, q, path, "image/png", NULL, NULL, e)) {
		err_clear(e);
		err_set(e, TD_NOT_FOUND, "the replay of step %lld has no picture of sample %lld", (long long)row.step,
			(long long)i);
	}
	mem_free(path);
	replay_release(&row);
	return e->status;
}
