/* A job as JSON: the same words everywhere, in answers, lists and columns. */
#include "api/api.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static cJSON *api_time(int64_t ms)
{
	char text[CLOCK_TEXT];

	if (!ms)
		return cJSON_CreateNull();
	clock_text(ms, text);
	return cJSON_CreateString(text);
}

void api_add_time(cJSON *object, const char *name, int64_t ms)
{
	cJSON_AddItemToObject(object, name, api_time(ms));
}

void respond_list(struct response *r, cJSON *items, const char *next)
{
	cJSON *answer = cJSON_CreateObject();

	cJSON_AddItemToObject(answer, "items", items);
	cJSON_AddBoolToObject(answer, "has_more", next != NULL);
	cJSON_AddItemToObject(answer, "next", next ? cJSON_CreateString(next) : cJSON_CreateNull());
	respond_json(r, 200, answer);
}

/* JSON that the store gave, as it is; null for none. */
static void add_document(cJSON *object, const char *name, const char *json)
{
	if (json && *json)
		cJSON_AddRawToObject(object, name, json);
	else
		cJSON_AddNullToObject(object, name);
}

/* Seconds of running time so far. */
static double ran_s(const struct job *j, int64_t now_ms)
{
	bool runs = job_state_occupies(j->state) && j->started_ms;

	return (double)(j->run_ms + (runs && now_ms > j->started_ms ? now_ms - j->started_ms : 0)) / 1000.0;
}

static cJSON *progress_json(const struct job *j, int64_t now_ms)
{
	cJSON *p = cJSON_CreateObject();
	double ran = ran_s(j, now_ms);

	cJSON_AddNumberToObject(p, "step", (double)j->step);
	cJSON_AddNumberToObject(p, "n_steps", (double)j->n_steps);
	cJSON_AddNumberToObject(p, "fraction", j->n_steps > 0 ? (double)j->step / (double)j->n_steps : 0);
	cJSON_AddStringToObject(p, "phase", j->phase ? j->phase : "");
	cJSON_AddNumberToObject(p, "epoch", j->epoch);
	if (j->state == JOB_RUNNING && j->step > 0 && j->n_steps >= j->step)
		cJSON_AddNumberToObject(
			p, "eta_s", round(ran / (double)j->step * (double)(j->n_steps - j->step) * 10) / 10);
	else
		cJSON_AddNullToObject(p, "eta_s");
	cJSON_AddNumberToObject(p, "ran_s", ran);
	return p;
}

static cJSON *resources_json(const struct job *j)
{
	cJSON *resources = cJSON_CreateObject();

	cJSON_AddNumberToObject(resources, "threads", j->threads);
	cJSON_AddNumberToObject(resources, "memory_mb", (double)(j->memory_bytes >> 20));
	return resources;
}

static cJSON *sweep_json(const struct job *j)
{
	cJSON *o;

	if (!j->sweep)
		return cJSON_CreateNull();
	o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "id", j->sweep);
	cJSON_AddNumberToObject(o, "index", j->sweep_index);
	add_document(o, "params", j->params);
	return o;
}

cJSON *job_json(const struct job *j, int64_t now_ms)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "id", j->id);
	cJSON_AddStringToObject(o, "name", j->name);
	cJSON_AddStringToObject(o, "project", j->project);
	add_document(o, "tags", j->tags);
	cJSON_AddStringToObject(o, "notes", j->notes);
	cJSON_AddStringToObject(o, "owner", j->owner);
	cJSON_AddStringToObject(o, "state", job_state_name(j->state));
	cJSON_AddStringToObject(o, "reason", j->reason ? j->reason : "");
	if (j->detail)
		cJSON_AddStringToObject(o, "detail", j->detail);
	else
		cJSON_AddNullToObject(o, "detail");
	cJSON_AddNumberToObject(o, "priority", j->priority);
	cJSON_AddNumberToObject(o, "attempt", j->attempt);
	cJSON_AddItemToObject(o, "progress", progress_json(j, now_ms));
	api_add_time(o, "created_at", j->created_ms);
	api_add_time(o, "queued_at", j->queued_ms);
	api_add_time(o, "started_at", j->started_ms);
	api_add_time(o, "finished_at", j->finished_ms);
	api_add_time(o, "updated_at", j->updated_ms);
	cJSON_AddItemToObject(o, "resources", resources_json(j));
	if (j->summary)
		cJSON_AddRawToObject(o, "summary", j->summary);
	else
		cJSON_AddObjectToObject(o, "summary");
	add_document(o, "error", j->error);
	cJSON_AddStringToObject(o, "kind", j->kind ? j->kind : "train");
	cJSON_AddItemToObject(o, "sweep", sweep_json(j));
	add_document(o, "parent", j->parent);
	return o;
}

cJSON *job_json_whole(const struct job *j, const char *base, int64_t now_ms)
{
	static const char *const links[] = { "events", "log", "metrics", "graph", "report", "checkpoints", "artifacts",
		"histograms", "pytorch.py" };
	cJSON *o = job_json(j, now_ms), *all;
	char url[700];

	add_document(o, "engine", j->engine);
	add_document(o, "spec", j->spec);
	add_document(o, "checked", j->checked);
	cJSON_AddRawToObject(o, "warnings", j->warnings ? j->warnings : "[]");
	all = cJSON_AddObjectToObject(o, "links");
	snprintf(url, sizeof url, "%s" API_BASE "/jobs/%s", base, j->id);
	cJSON_AddStringToObject(all, "self", url);
	snprintf(url, sizeof url, "%s/jobs/%s", base, j->id);
	cJSON_AddStringToObject(all, "page", url);
	for (size_t i = 0; i < TD_COUNT(links); i++) {
		snprintf(url, sizeof url, "%s" API_BASE "/jobs/%s/%s", base, j->id, links[i]);
		cJSON_AddStringToObject(all, links[i], url);
	}
	return o;
}

cJSON *job_column(const cJSON *spec, const cJSON *summary, const cJSON *brief, const char *column)
{
	const cJSON *found = *column == '/' ? json_at(spec, column) : json_get(brief, column);

	if (!found && *column != '/')
		found = json_get(summary, column);
	return found ? cJSON_Duplicate(found, true) : cJSON_CreateNull();
}
