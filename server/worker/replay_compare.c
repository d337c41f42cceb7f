/* What a replay compares: eager with graph, and both with what the job has recorded. */
#include "worker/replay.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DIFFERENCES_MOST 32 /* that are told; one is enough to say no */

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

static void read_tensor(void *arg, const char *name, td_value *v)
{
	struct tensors *t = arg;
	struct tensor_copy *c;

	MEM_GROW(t->items, t->n, t->room);
	c = &t->items[t->n++];
	*c = (struct tensor_copy){
		.tensor = v, .name = mem_strdup(name), .elements = mem_alloc(TD_MAX(td_shape_bytes(td_shape_of(v)), 1))
	};
	td_read(v, c->elements);
}

void tensors_read(struct tensors *t, struct nn_trainer *of)
{
	nn_trainer_tensors(of, read_tensor, t);
}

void tensors_write(const struct tensors *t)
{
	for (int i = 0; i < t->n; i++)
		td_write(t->items[i].tensor, t->items[i].elements);
}

void tensors_release(struct tensors *t)
{
	for (int i = 0; i < t->n; i++) {
		mem_free(t->items[i].name);
		mem_free(t->items[i].elements);
	}
	mem_free(t->items);
	*t = (struct tensors){ 0 };
}

/* ---- Differences ------------------------------------------------------------------------------------------------- */

/* A and B may be NULL; INDEX -1: there is none. */
static void add_difference(struct replay *p, int64_t step, const char *what, const char *name, bool recorded, cJSON *a,
	cJSON *b, int64_t index)
{
	cJSON *o = cJSON_CreateObject(), *between, *values;

	p->differs = true;
	cJSON_AddNumberToObject(o, "step", (double)step);
	cJSON_AddStringToObject(o, "what", what);
	cJSON_AddStringToObject(o, "name", name);
	between = cJSON_AddArrayToObject(o, "between");
	cJSON_AddItemToArray(between, cJSON_CreateString(recorded ? "recorded" : "eager"));
	cJSON_AddItemToArray(between, cJSON_CreateString(recorded ? "replayed" : "graph"));
	values = cJSON_AddArrayToObject(o, "values");
	cJSON_AddItemToArray(values, a);
	cJSON_AddItemToArray(values, b);
	cJSON_AddItemToObject(o, "index", index < 0 ? cJSON_CreateNull() : cJSON_CreateNumber((double)index));
	if (cJSON_GetArraySize(p->differences) < DIFFERENCES_MOST)
		cJSON_AddItemToArray(p->differences, o);
	else
		cJSON_Delete(o);
}

/* The same bits; one NaN is as good as another, for a text does not tell them apart. */
static bool same_number(double a, double b)
{
	uint64_t bits[2];

	memcpy(&bits[0], &a, sizeof a);
	memcpy(&bits[1], &b, sizeof b);
	return (isnan(a) && isnan(b)) || bits[0] == bits[1];
}

void compare_number(struct replay *p, int64_t step, const char *what, double eager, double graph)
{
	if (!same_number(eager, graph))
		add_difference(p, step, what, what, false, json_number(eager), json_number(graph), -1);
}

/* "model.0.weight" is "0.weight", a parameter or a buffer. */
static const char *kind_of(const struct replay *p, const char **name)
{
	if (strncmp(*name, CHECKPOINT_MODEL, strlen(CHECKPOINT_MODEL)) != 0)
		return "optimizer";
	*name += strlen(CHECKPOINT_MODEL);
	for (int i = 0; i < p->run.model->n_params; i++)
		if (!strcmp(p->run.model->params[i].name, *name))
			return p->run.model->params[i].buffer ? "buffer" : "parameter";
	return "parameter";
}

/* Of elements of SIZE bytes; -1: A and B are the same bits. */
static int64_t first_difference(const char *a, const char *b, size_t n_bytes, size_t size)
{
	size_t at = 0;

	if (!memcmp(a, b, n_bytes))
		return -1;
	while (!memcmp(a + at, b + at, size))
		at += size;
	return (int64_t)(at / size);
}

static void compare_tensor(struct replay *p, int64_t step, const struct tensor_copy *eager)
{
	const td_shape *s = td_shape_of(eager->tensor);
	size_t n_bytes = td_shape_bytes(s);
	char *graph = mem_alloc(TD_MAX(n_bytes, 1));
	const char *name = eager->name, *what;
	int64_t i;

	td_read(eager->tensor, graph);
	p->n_tensors++;
	p->n_bytes += (int64_t)n_bytes;
	i = first_difference(eager->elements, graph, n_bytes, td_dtype_size(s->dtype));
	if (i >= 0) {
		what = kind_of(p, &name);
		add_difference(p, step, what, name, false, json_number(recording_element(eager->elements, s->dtype, i)),
			json_number(recording_element(graph, s->dtype, i)), i);
	}
	mem_free(graph);
}

void compare_tensors(struct replay *p, int64_t step, const struct tensors *eager)
{
	for (int i = 0; i < eager->n; i++)
		compare_tensor(p, step, &eager->items[i]);
}

/* ---- What the job recorded --------------------------------------------------------------------------------------- */

#define LOSS "train/loss"

/* A point, as it was recorded: [step, value]. */
static int64_t point_step(const cJSON *point)
{
	return (int64_t)cJSON_GetArrayItem(point, 0)->valuedouble;
}

/* NAN: its value is none, which the control loop never sends. */
static double point_value(const cJSON *point)
{
	double value = NAN;

	json_to_number(cJSON_GetArrayItem(point, 1), &value);
	return value;
}

/* The weights after which step a point of STEP tells of: a step's loss and gradients come of the weights before it, a
 * validation of those after it.  0: of none; and what is not finite may come of any weights. */
static int64_t weights_of(const char *series, int64_t step, double value)
{
	if (!isfinite(value))
		return 0;
	if (!strncmp(series, "val/", strlen("val/")))
		return step;
	return strcmp(series, LOSS) != 0 && strcmp(series, "train/grad_norm") != 0 ? 0 : step - 1;
}

static int64_t sooner(int64_t a, int64_t b)
{
	return a && a < b ? a : b; /* 0: there is none */
}

int64_t compare_until(const struct replay *p)
{
	int64_t last = TD_MIN(p->step + p->steps - 1, p->run.n_steps), loss = 0, weights = 0;
	const cJSON *item, *series;

	cJSON_ArrayForEach(item, json_get(p->message, "checkpoints"))
	{
		if (json_int(item, "step", 0) >= last)
			weights = sooner(weights, json_int(item, "step", 0));
	}
	cJSON_ArrayForEach(series, json_get(p->message, "points"))
	{
		cJSON_ArrayForEach(item, series)
		{
			int64_t step = point_step(item);

			if (step >= last && !strcmp(series->string, LOSS))
				loss = sooner(loss, step);
			if (weights_of(series->string, step, point_value(item)) >= last)
				weights = sooner(weights, step);
		}
	}
	return TD_MAX(last, TD_MAX(loss, weights));
}

/* The weights after step AFTER; a checkpoint has them all, bit by bit. */
static void tested(struct replay *p, int64_t after, int64_t step, const char *by)
{
	if (after < p->weights.after || (after == p->weights.after && strcmp(by, "checkpoint") != 0))
		return;
	p->weights.after = after;
	p->weights.step = step;
	p->weights.by = by;
}

/* The place of STEP among the points in LIST; -1: it is not there. */
static int find_point(const cJSON *list, int64_t step)
{
	const cJSON *point;
	int at = 0;

	cJSON_ArrayForEach(point, list)
	{
		if (point_step(point) == step)
			return at;
		at++;
	}
	return -1;
}

void compare_point(void *arg, const char *series, int64_t step, double value)
{
	struct replay *p = arg;
	const cJSON *list = json_get(json_get(p->message, "points"), series);
	cJSON *unmet = cJSON_GetObjectItemCaseSensitive(p->unmet, series);
	int n = cJSON_GetArraySize(list), at;
	double was;

	if (!p->listens || !n) /* measured times are not in the list */
		return;
	at = find_point(list, step);
	if (at < 0) {
		/* One that it came by without saying this; a job that runs has not said its latest yet. */
		if (point_step(cJSON_GetArrayItem(list, n - 1)) > step)
			add_difference(p, step, "point", series, true, cJSON_CreateNull(), json_number(value), -1);
		return;
	}
	cJSON_DeleteItemFromArray(unmet, find_point(unmet, step));
	was = point_value(cJSON_GetArrayItem(list, at));
	p->n_points++;
	if (!same_number(was, value))
		add_difference(p, step, "point", series, true, json_number(was), json_number(value), -1);
	if (!strcmp(series, LOSS))
		p->loss_till = TD_MAX(p->loss_till, step);
	tested(p, weights_of(series, step, was), step, "point");
}

void compare_unmet(struct replay *p)
{
	const cJSON *series, *point;

	cJSON_ArrayForEach(series, p->unmet)
	{
		if (!strncmp(series->string, "test/", strlen("test/"))) /* comes when the training is over */
			continue;
		cJSON_ArrayForEach(point, series)
		{
			if (point_step(point) <= p->until)
				add_difference(p, point_step(point), "point", series->string, true,
					json_number(point_value(point)), cJSON_CreateNull(), -1);
		}
	}
}

/* Write what the job would have written, for its hash. */
static bool hash_checkpoint(struct replay *p, bool last, char sha256[SHA256_TEXT])
{
	struct run *r = &p->run;
	struct checkpoint at = r->at;
	struct file_facts facts = { 0 };
	char *path = mem_printf("%s/compared", r->folder);
	bool ok;

	at.finished = last && (at.step == r->n_steps || at.stopped);
	ok = write_checkpoint(r, path, &at, &facts);
	snprintf(sha256, SHA256_TEXT, "%s", facts.sha256);
	unlink(path);
	mem_free(path);
	return ok;
}

bool compare_checkpoints(struct replay *p)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, json_get(p->message, "checkpoints"))
	{
		const char *kind = json_string(item, "kind", "last"), *was = json_string(item, "sha256", "");
		char sha256[SHA256_TEXT];

		if (json_int(item, "step", 0) != p->run.at.step)
			continue;
		if (!hash_checkpoint(p, !strcmp(kind, "last"), sha256))
			return false;
		p->n_checkpoints++;
		p->loss_till = TD_MAX(p->loss_till, p->run.at.step); /* what its window had come to is in it */
		tested(p, p->run.at.step, p->run.at.step, "checkpoint");
		if (strcmp(sha256, was) != 0)
			add_difference(p, p->run.at.step, "checkpoint", kind, true, cJSON_CreateString(was),
				cJSON_CreateString(sha256), -1);
	}
	return true;
}

/* ---- The verdict ------------------------------------------------------------------------------------------------- */

/* The last step that was come to; the one that was not finite counts. */
static int64_t reached(const struct replay *p)
{
	return p->run.at.step + (p->run.nonfinite != NULL);
}

static bool loss_compared(const struct replay *p)
{
	return p->loss_till >= p->last;
}

static bool weights_compared(const struct replay *p)
{
	return p->last_unfinite || p->weights.after >= p->last;
}

/* What shows that the weights after the last step are those that the job had. */
static cJSON *weights_json(const struct replay *p)
{
	const char *by = p->weights.after >= p->last ? p->weights.by : p->last_unfinite ? "no_update" : NULL;
	int64_t step = p->weights.after >= p->last ? p->weights.step : p->last;
	cJSON *o = cJSON_CreateObject();

	cJSON_AddBoolToObject(o, "compared", by != NULL);
	cJSON_AddItemToObject(o, "by", by ? cJSON_CreateString(by) : cJSON_CreateNull());
	cJSON_AddItemToObject(o, "step", by ? cJSON_CreateNumber((double)step) : cJSON_CreateNull());
	return o;
}

/* What could not be compared with what the job recorded, and why; null where all was. */
static cJSON *gap_json(const struct replay *p)
{
	bool loss = loss_compared(p), weights = weights_compared(p);
	const char *what = loss ? "the weights after" : weights ? "the loss of" : "the loss of, and the weights after,";
	cJSON *text;
	char *line;

	if (loss && weights)
		return cJSON_CreateNull();
	line = mem_printf("%s step %lld could not be compared with the job's: %s", what, (long long)p->last,
		loss && reached(p) > p->last
			? "what it recorded later is not finite, which other weights might have given, too"
			: "it had recorded nothing yet that tells of them; ask again once it has gone on, if it does");
	text = cJSON_CreateString(line);
	mem_free(line);
	return text;
}

cJSON *verdict_json(const struct replay *p)
{
	const char *fingerprint = json_string(p->message, "fingerprint", "");
	cJSON *o = cJSON_CreateObject(), *gap = gap_json(p), *compared, *machines;

	cJSON_AddItemToObject(o, "identical",
		!p->differs && cJSON_IsString(gap) ? cJSON_CreateNull() : cJSON_CreateBool(!p->differs));
	cJSON_AddBoolToObject(o, "exact",
		json_bool(p->message, "exact", true) && (!*fingerprint || !strcmp(fingerprint, td_fingerprint())));
	compared = cJSON_AddObjectToObject(o, "compared");
	cJSON_AddNumberToObject(compared, "tensors", (double)p->n_tensors);
	cJSON_AddNumberToObject(compared, "bytes", (double)p->n_bytes);
	cJSON_AddNumberToObject(compared, "recorded_points", (double)p->n_points);
	cJSON_AddNumberToObject(compared, "checkpoints", (double)p->n_checkpoints);
	cJSON_AddNumberToObject(compared, "until_step", (double)reached(p));
	cJSON_AddItemToObject(o, "weights", weights_json(p));
	cJSON_AddItemToObject(o, "not_compared", gap);
	machines = cJSON_AddObjectToObject(o, "fingerprint");
	cJSON_AddStringToObject(machines, "recorded", fingerprint);
	cJSON_AddStringToObject(machines, "here", td_fingerprint());
	cJSON_AddItemToObject(o, "differences", cJSON_Duplicate(p->differences, true));
	return o;
}
