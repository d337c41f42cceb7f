/* Checkpoints: see io.h.  The members that are kept are one table, read by the writer and by the reader. */
#include "io/io.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "tandem-checkpoint"

/* A file this size more than its tensors is not one of ours. */
#define OVERHEAD_MOST ((int64_t)SAFETENSORS_HEADER_MOST + 8)

enum member_kind { MEMBER_COUNT, MEMBER_SEED, MEMBER_DOUBLE, MEMBER_BOOL, MEMBER_TEXT };

static const struct member {
	const char *name;
	enum member_kind kind;
	size_t at;
	size_t size; /* of MEMBER_TEXT */
} members[] = {
	{ "step", MEMBER_COUNT, offsetof(struct checkpoint, step), 0 },
	{ "epoch", MEMBER_COUNT, offsetof(struct checkpoint, epoch), 0 },
	{ "batch", MEMBER_COUNT, offsetof(struct checkpoint, batch), 0 },
	{ "seed", MEMBER_SEED, offsetof(struct checkpoint, seed), 0 },
	{ "fingerprint", MEMBER_TEXT, offsetof(struct checkpoint, fingerprint),
		sizeof((struct checkpoint *)0)->fingerprint },
	{ "window.loss", MEMBER_DOUBLE, offsetof(struct checkpoint, window_loss), 0 },
	{ "window.metric.0", MEMBER_DOUBLE, offsetof(struct checkpoint, window_metric[0]), 0 },
	{ "window.metric.1", MEMBER_DOUBLE, offsetof(struct checkpoint, window_metric[1]), 0 },
	{ "window.metric.2", MEMBER_DOUBLE, offsetof(struct checkpoint, window_metric[2]), 0 },
	{ "window.metric.3", MEMBER_DOUBLE, offsetof(struct checkpoint, window_metric[3]), 0 },
	{ "window.samples", MEMBER_COUNT, offsetof(struct checkpoint, window_samples), 0 },
	{ "best", MEMBER_DOUBLE, offsetof(struct checkpoint, best), 0 },
	{ "finished", MEMBER_BOOL, offsetof(struct checkpoint, finished), 0 },
};

static void member_text(const struct member *m, const struct checkpoint *ck, char *out, size_t size)
{
	const void *at = (const char *)ck + m->at;

	switch (m->kind) {
	case MEMBER_COUNT: snprintf(out, size, "%" PRId64, *(const int64_t *)at); break;
	case MEMBER_SEED: snprintf(out, size, "%" PRIu64, *(const uint64_t *)at); break;
	case MEMBER_DOUBLE: snprintf(out, size, "%a", *(const double *)at); break;
	case MEMBER_BOOL: snprintf(out, size, "%s", *(const bool *)at ? "true" : "false"); break;
	case MEMBER_TEXT: snprintf(out, size, "%s", (const char *)at); break;
	}
}

/* False: TEXT is not what member_text writes. */
static bool member_parse(const struct member *m, const char *text, struct checkpoint *ck)
{
	void *at = (char *)ck + m->at;
	char *end = NULL;

	switch (m->kind) {
	case MEMBER_COUNT: *(int64_t *)at = strtoll(text, &end, 10); return *text && !*end && *(int64_t *)at >= 0;
	case MEMBER_SEED: *(uint64_t *)at = strtoull(text, &end, 10); return *text && !*end && *text != '-';
	case MEMBER_DOUBLE: *(double *)at = strtod(text, &end); return *text && !*end;
	case MEMBER_BOOL: *(bool *)at = !strcmp(text, "true"); return *(bool *)at || !strcmp(text, "false");
	case MEMBER_TEXT: return (size_t)snprintf(at, m->size, "%s", text) < m->size;
	}
	return false;
}

td_status checkpoint_write(const char *path, const struct checkpoint *ck, const struct named_tensor *tensors, int n,
	struct file_facts *facts, struct err *e)
{
	cJSON *metadata = cJSON_CreateObject();
	char text[160];
	td_status s;

	cJSON_AddStringToObject(metadata, "format", FORMAT);
	snprintf(text, sizeof text, "%d", CHECKPOINT_VERSION);
	cJSON_AddStringToObject(metadata, "version", text);
	for (size_t i = 0; i < TD_COUNT(members); i++) {
		member_text(&members[i], ck, text, sizeof text);
		cJSON_AddStringToObject(metadata, members[i].name, text);
	}
	s = safetensors_write(path, tensors, n, metadata, facts, e);
	cJSON_Delete(metadata);
	return s;
}

static td_status read_members(const char *path, const cJSON *metadata, struct checkpoint *ck, struct err *e)
{
	const char *version = json_string(metadata, "version", "");
	long number = strtol(version, NULL, 10);

	if (strcmp(json_string(metadata, "format", ""), FORMAT) != 0)
		return err_set(
			e, TD_CORRUPT, "%s is not a checkpoint: its metadata has no \"format\": \"" FORMAT "\"", path);
	if (number != CHECKPOINT_VERSION)
		return err_set(e, number > CHECKPOINT_VERSION ? TD_UNSUPPORTED : TD_CORRUPT,
			"%s is a checkpoint of version \"%.20s\", but this worker reads version %d; run the version of "
			"Tandem that wrote it",
			path, version, CHECKPOINT_VERSION);
	for (size_t i = 0; i < TD_COUNT(members); i++) {
		const char *text = json_string(metadata, members[i].name, NULL);
		if (!text || !member_parse(&members[i], text, ck))
			return err_set(e, TD_CORRUPT, "%s: metadata \"%s\" is %s%.40s", path, members[i].name,
				text ? "not valid: " : "missing", text ? text : "");
	}
	return TD_OK;
}

/* Every one of TENSORS is in FILE with its type and shape, and nothing else is. */
static td_status compare(
	const char *path, const struct safetensors *file, const struct named_tensor *tensors, int n, struct err *e)
{
	char want[TD_SHAPE_TEXT], have[TD_SHAPE_TEXT];

	for (int i = 0; i < n; i++) {
		const struct stored_tensor *t = safetensors_find(file, tensors[i].name);
		const td_shape *shape = td_shape_of(tensors[i].value);

		if (!t)
			return err_set(e, TD_CORRUPT, "%s has no tensor \"%s\"; it belongs to another model", path,
				tensors[i].name);
		if (!td_shape_same(&t->shape, shape))
			return err_set(e, TD_CORRUPT,
				"%s: tensor \"%s\" is %s, but the model has %s; it belongs to another model", path,
				t->name, td_shape_text(&t->shape, have), td_shape_text(shape, want));
	}
	if (file->n != n)
		return err_set(e, TD_CORRUPT,
			"%s has %d tensors, but the model and its optimizer have %d; it belongs to another model", path,
			file->n, n);
	return TD_OK;
}

td_status checkpoint_read(const char *path, const char *sha256, struct checkpoint *ck,
	const struct named_tensor *tensors, int n, struct err *e)
{
	int64_t n_bytes = OVERHEAD_MOST;
	struct safetensors file;
	td_status s;

	for (int i = 0; i < n; i++)
		n_bytes += (int64_t)td_shape_bytes(td_shape_of(tensors[i].value));
	s = safetensors_read(path, n_bytes, &file, e);
	if (s)
		return s;
	if (sha256 && strcmp(sha256, file.sha256) != 0)
		s = err_set(e, TD_CORRUPT, "%s has sha256 %s, but %s was recorded; the file was changed or damaged",
			path, file.sha256, sha256);
	if (!s)
		s = read_members(path, file.metadata, ck, e);
	if (!s)
		s = compare(path, &file, tensors, n, e);
	for (int i = 0; i < n && !s; i++) {
		const struct stored_tensor *t = safetensors_find(&file, tensors[i].name);
		td_write(tensors[i].value, t->bytes);
	}
	safetensors_release(&file);
	return s;
}
