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

/* The file of a fork may have this many times the bytes that the fork itself would write: the model once, and whatever
 * another optimizer keeps for it. */
#define FORK_STATE_MOST 8

enum member_kind { MEMBER_COUNT, MEMBER_SEED, MEMBER_DOUBLE, MEMBER_BOOL, MEMBER_TEXT };

/* Rows for versions FROM to TO; 0: the first, this one. */
#define ROW_OF(text, what, field, first, last)                                                                         \
	{                                                                                                              \
		.name = text, .kind = MEMBER_##what, .at = offsetof(struct checkpoint, field),                         \
		.size = sizeof((struct checkpoint *)0)->field, .from = first, .to = last                               \
	}
#define ROW(text, what, field)  ROW_OF(text, what, field, 0, 0)
#define ROW2(text, what, field) ROW_OF(text, what, field, 2, 0)
#define ROW3(text, what, field) ROW_OF(text, what, field, 3, 0)
#define METRIC_ROWS(k)                                                                                                 \
	ROW2("window.metric." #k ".sum", DOUBLE, window_metric[k].sum),                                                \
		ROW2("window.metric." #k ".sum_squares", DOUBLE, window_metric[k].sum_squares),                        \
		ROW2("window.metric." #k ".n", COUNT, window_metric[k].n)

static const struct member {
	const char *name;
	enum member_kind kind;
	size_t at;
	size_t size;  /* bytes in the struct */
	int from, to; /* versions of the file that have it */
} members[] = {
	ROW("step", COUNT, step),
	ROW("epoch", COUNT, epoch),
	ROW("batch", COUNT, batch),
	ROW("seed", SEED, seed),
	ROW("fingerprint", TEXT, fingerprint),
	ROW("window.loss", DOUBLE, window_loss),
	ROW_OF("window.metric.0", DOUBLE, window_metric[0].sum, 0, 1),
	ROW_OF("window.metric.1", DOUBLE, window_metric[1].sum, 0, 1),
	ROW_OF("window.metric.2", DOUBLE, window_metric[2].sum, 0, 1),
	ROW_OF("window.metric.3", DOUBLE, window_metric[3].sum, 0, 1),
	METRIC_ROWS(0),
	METRIC_ROWS(1),
	METRIC_ROWS(2),
	METRIC_ROWS(3),
	METRIC_ROWS(4),
	METRIC_ROWS(5),
	METRIC_ROWS(6),
	METRIC_ROWS(7),
	METRIC_ROWS(8),
	METRIC_ROWS(9),
	METRIC_ROWS(10),
	METRIC_ROWS(11),
	METRIC_ROWS(12),
	METRIC_ROWS(13),
	METRIC_ROWS(14),
	METRIC_ROWS(15),
	ROW("window.samples", COUNT, window_targets),
	ROW("best", DOUBLE, best),
	ROW2("best_step", COUNT, best_step),
	ROW2("early.best", DOUBLE, early_best),
	ROW2("bad", COUNT, bad),
	ROW2("plateau.best", DOUBLE, plateau.best),
	ROW2("plateau.bad", COUNT, plateau.bad),
	ROW2("plateau.factor", DOUBLE, plateau.factor),
	ROW3("skipped", COUNT, skipped),
	ROW2("stopped", BOOL, stopped),
	ROW("finished", BOOL, finished),
};

static bool member_of(const struct member *m, long version)
{
	return version >= m->from && (!m->to || version <= m->to);
}

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
		if (!member_of(&members[i], CHECKPOINT_VERSION))
			continue;
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
	if (number < 1 || number > CHECKPOINT_VERSION)
		return err_set(e, number > CHECKPOINT_VERSION ? TD_UNSUPPORTED : TD_CORRUPT,
			"%s is a checkpoint of version \"%.20s\", but this worker reads versions 1 to %d; run the "
			"version of Tandem that wrote it",
			path, version, CHECKPOINT_VERSION);
	*ck = (struct checkpoint){ .early_best = NAN, .plateau = { .best = NAN, .factor = 1 } };
	for (size_t i = 0; i < TD_COUNT(members); i++) {
		if (!member_of(&members[i], number))
			continue;
		const char *text = json_string(metadata, members[i].name, NULL);
		if (!text || !member_parse(&members[i], text, ck))
			return err_set(e, TD_CORRUPT, "%s: metadata \"%s\" is %s%.40s", path, members[i].name,
				text ? "not valid: " : "missing", text ? text : "");
	}
	for (int k = 0; number == 1 && k < CHECKPOINT_METRICS_MOST; k++) /* it kept means over samples alone */
		ck->window_metric[k].n = ck->window_targets;
	return TD_OK;
}

static bool is_model(const char *name)
{
	return !strncmp(name, CHECKPOINT_MODEL, strlen(CHECKPOINT_MODEL));
}

static int count_model(const struct safetensors *file)
{
	int n = 0;

	for (int i = 0; i < file->n; i++)
		n += is_model(file->items[i].name);
	return n;
}

/* Whether T, of the file, may go into TENSOR. */
static bool fits(const struct stored_tensor *t, const struct named_tensor *tensor)
{
	return t && td_shape_same(&t->shape, td_shape_of(tensor->value));
}

static td_status refuse_tensor(
	const char *path, const struct stored_tensor *t, const struct named_tensor *tensor, struct err *e)
{
	char want[TD_SHAPE_TEXT], have[TD_SHAPE_TEXT];

	if (!t)
		return err_set(
			e, TD_CORRUPT, "%s has no tensor \"%s\"; it belongs to another model", path, tensor->name);
	return err_set(e, TD_CORRUPT, "%s: tensor \"%s\" is %s, but the model has %s; it belongs to another model",
		path, t->name, td_shape_text(&t->shape, have), td_shape_text(td_shape_of(tensor->value), want));
}

/* Every one of TENSORS is in FILE with its type and shape, and nothing else is; in a FORK that holds for the model's.
 */
static td_status compare(const char *path, const struct safetensors *file, const struct named_tensor *tensors, int n,
	bool fork, struct err *e)
{
	int n_file = fork ? count_model(file) : file->n, n_ours = 0;

	for (int i = 0; i < n; i++) {
		const struct stored_tensor *t = safetensors_find(file, tensors[i].name);

		if (fork && !is_model(tensors[i].name))
			continue;
		n_ours++;
		if (!fits(t, &tensors[i]))
			return refuse_tensor(path, t, &tensors[i], e);
	}
	if (n_file != n_ours)
		return err_set(e, TD_CORRUPT, "%s has %d tensors, but the model%s %d; it belongs to another model",
			path, n_file, fork ? " has" : " and its optimizer have", n_ours);
	return TD_OK;
}

static td_status read_checkpoint(const char *path, const char *sha256, struct checkpoint *ck,
	const struct named_tensor *tensors, int n, bool fork, struct err *e)
{
	int64_t n_bytes = 0;
	struct safetensors file;
	struct checkpoint read;
	td_status s;

	for (int i = 0; i < n; i++)
		n_bytes += (int64_t)td_shape_bytes(td_shape_of(tensors[i].value));
	s = safetensors_read(path, OVERHEAD_MOST + n_bytes * (fork ? FORK_STATE_MOST : 1), &file, e);
	if (s)
		return s;
	if (sha256 && strcmp(sha256, file.sha256) != 0)
		s = err_set(e, TD_CORRUPT, "%s has sha256 %s, but %s was recorded; the file was changed or damaged",
			path, file.sha256, sha256);
	if (!s)
		s = read_members(path, file.metadata, &read, e);
	if (!s)
		s = compare(path, &file, tensors, n, fork, e);
	for (int i = 0; i < n && !s; i++) {
		const struct stored_tensor *t = safetensors_find(&file, tensors[i].name);
		if (fits(t, &tensors[i]))
			td_write(tensors[i].value, t->bytes);
	}
	if (!s)
		*ck = read;
	safetensors_release(&file);
	return s;
}

td_status checkpoint_read(const char *path, const char *sha256, struct checkpoint *ck,
	const struct named_tensor *tensors, int n, struct err *e)
{
	return read_checkpoint(path, sha256, ck, tensors, n, false, e);
}

td_status checkpoint_read_fork(const char *path, const char *sha256, struct checkpoint *ck,
	const struct named_tensor *tensors, int n, struct err *e)
{
	return read_checkpoint(path, sha256, ck, tensors, n, true, e);
}
