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

void compare_point(void *arg, const char *series, int64_t step, double value)
{
	struct replay *p = arg;
	const cJSON *point;
	double was;

	if (!p->listens)
		return;
	cJSON_ArrayForEach(point, json_get(json_get(p->message, "points"), series))
	{
		const cJSON *of = cJSON_GetArrayItem(point, 0);

		if ((int64_t)of->valuedouble != step || !json_to_number(of->next, &was))
			continue;
		p->n_points++;
		if (!same_number(was, value))
			add_difference(p, step, "point", series, true, json_number(was), json_number(value), -1);
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
		if (strcmp(sha256, was) != 0)
			add_difference(p, p->run.at.step, "checkpoint", kind, true, cJSON_CreateString(was),
				cJSON_CreateString(sha256), -1);
	}
	return true;
}

/* ---- The verdict ------------------------------------------------------------------------------------------------- */

cJSON *verdict_json(const struct replay *p)
{
	const char *fingerprint = json_string(p->message, "fingerprint", "");
	cJSON *o = cJSON_CreateObject(), *compared, *machines;

	cJSON_AddBoolToObject(o, "identical", !p->differs);
	cJSON_AddBoolToObject(o, "exact",
		json_bool(p->message, "exact", true) && (!*fingerprint || !strcmp(fingerprint, td_fingerprint())));
	compared = cJSON_AddObjectToObject(o, "compared");
	cJSON_AddNumberToObject(compared, "tensors", (double)p->n_tensors);
	cJSON_AddNumberToObject(compared, "bytes", (double)p->n_bytes);
	cJSON_AddNumberToObject(compared, "recorded_points", (double)p->n_points);
	cJSON_AddNumberToObject(compared, "checkpoints", (double)p->n_checkpoints);
	cJSON_AddNumberToObject(compared, "until_step", (double)p->run.at.step);
	machines = cJSON_AddObjectToObject(o, "fingerprint");
	cJSON_AddStringToObject(machines, "recorded", fingerprint);
	cJSON_AddStringToObject(machines, "here", td_fingerprint());
	cJSON_AddItemToObject(o, "differences", cJSON_Duplicate(p->differences, true));
	return o;
}
