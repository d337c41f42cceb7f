/* What a job leaves behind: its graph, its report, its histograms, its checkpoints and files. */
#include "api/api.h"
#include "jobfiles.h"

#include <stdio.h>
#include <string.h>

#define HISTOGRAMS_DEFAULT 200 /* in one answer, of those that there are */

/* ---- Documents that the worker made ------------------------------------------------------------------------------ */

typedef td_status document_get(struct store_reader *r, const char *id, char **json, struct err *e);

/* Say in E why WHAT of J is not there, as far as its state tells, and WHEN it appears while it still may. */
static td_status not_there(const struct job *j, const char *what, const char *when, struct err *e)
{
	static const char *const ends[JOB_N_STATES] = { [JOB_SUCCEEDED] = "has succeeded",
		[JOB_FAILED] = "has failed",
		[JOB_CANCELLED] = "was cancelled",
		[JOB_TIMED_OUT] = "has timed out" };

	err_clear(e);
	if (ends[j->state])
		return err_set(e, TD_NOT_FOUND, "the job %s and has no %s", ends[j->state], what);
	return err_set(e, TD_NOT_FOUND, "the job is %s and has no %s yet; %s", job_state_name(j->state), what, when);
}

static td_status read_document(
	struct request *q, document_get *get, const char *what, const char *when, char **json, struct err *e)
{
	struct job j;

	if (api_job(q, &j, e))
		return e->status;
	if (get(q->reader, q->param[0], json, e) == TD_NOT_FOUND)
		not_there(&j, what, when, e);
	job_release(&j);
	return e->status;
}

td_status job_graph(struct request *q, struct response *r, struct err *e)
{
	char *json;

	if (read_document(q, store_graph_get, "graph", "it appears when the job runs", &json, e))
		return e->status;
	respond_bytes(r, 200, "application/json", json, strlen(json));
	return TD_OK;
}

/* Of every list of samples below V, keep those whose prediction is not their label. */
static void keep_wrong(cJSON *v)
{
	cJSON *child, *next;

	for (child = v ? v->child : NULL; child; child = next) {
		const cJSON *label = json_get(child, "label"), *prediction = json_get(child, "prediction");

		next = child->next;
		if (cJSON_IsArray(v) && label && prediction && cJSON_Compare(label, prediction, true))
			cJSON_Delete(cJSON_DetachItemViaPointer(v, child));
		else if (cJSON_IsObject(child) || cJSON_IsArray(child))
			keep_wrong(child);
	}
}

td_status job_report(struct request *q, struct response *r, struct err *e)
{
	const char *filter = request_query(q, "filter");
	char *json;
	cJSON *report;

	if (filter && strcmp(filter, "wrong") != 0)
		return err_set(e, TD_INVALID, "the query's filter is \"%.60s\"; expected \"wrong\"", filter);
	if (read_document(q, store_report_get, "report", "it appears when the job has ended", &json, e))
		return e->status;
	if (!filter) {
		respond_bytes(r, 200, "application/json", json, strlen(json));
		return TD_OK;
	}
	report = cJSON_Parse(json);
	mem_free(json);
	if (!report)
		return err_set(e, TD_CORRUPT, "the stored report is not JSON");
	keep_wrong(report);
	respond_json(r, 200, report);
	return TD_OK;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static void add_artifact(void *arg, const struct artifact *a)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", a->name);
	cJSON_AddStringToObject(o, "kind", a->kind);
	if (a->step >= 0)
		cJSON_AddNumberToObject(o, "step", (double)a->step);
	cJSON_AddNumberToObject(o, "bytes", (double)a->n_bytes);
	cJSON_AddStringToObject(o, "sha256", a->sha256);
	cJSON_AddStringToObject(o, "media_type", a->media_type ? a->media_type : "application/octet-stream");
	api_add_time(o, "created_at", a->created_ms);
	cJSON_AddItemToArray(arg, o);
}

static td_status respond_artifacts(struct request *q, struct response *r, const char *kind, struct err *e)
{
	cJSON *items, *item;
	struct job j;
	char *base;

	if (api_job(q, &j, e))
		return e->status;
	job_release(&j);
	items = cJSON_CreateArray();
	if (store_artifacts(q->reader, q->param[0], kind, add_artifact, items, e)) {
		cJSON_Delete(items);
		return e->status;
	}
	base = request_url(q, "");
	cJSON_ArrayForEach(item, items)
	{
		char *url = mem_printf(
			"%s" API_BASE "/jobs/%s/artifacts/%s", base, q->param[0], json_string(item, "name", ""));

		cJSON_AddStringToObject(cJSON_AddObjectToObject(item, "links"), "self", url);
		mem_free(url);
	}
	mem_free(base);
	respond_list(r, items, NULL);
	return TD_OK;
}

td_status job_checkpoints(struct request *q, struct response *r, struct err *e)
{
	return respond_artifacts(q, r, "checkpoint", e);
}

td_status job_artifacts(struct request *q, struct response *r, struct err *e)
{
	return respond_artifacts(q, r, "artifact", e);
}

/* The file NAME of the path's job; as an attachment when ATTACH. */
static td_status respond_artifact(
	struct request *q, struct response *r, const char *name, const char *media_type, bool attach, struct err *e)
{
	struct artifact a;
	struct job j;
	char *text;

	if (api_job(q, &j, e))
		return e->status;
	if (store_artifact_get(q->reader, j.id, name, &a, e)) {
		if (e->status == TD_NOT_FOUND) {
			text = mem_printf("file \"%.80s\"", name);
			not_there(&j, text, "model.safetensors appears when it succeeds", e);
			mem_free(text);
		}
		job_release(&j);
		return e->status;
	}
	if (!media_type)
		media_type = a.media_type && *a.media_type ? a.media_type : "application/octet-stream";
	if (!job_file(q->srv->config, j.id, &a, &text, e))
		respond_file(r, q, text, media_type, a.sha256, attach ? a.name : NULL, e);
	mem_free(text);
	artifact_release(&a);
	job_release(&j);
	return e->status;
}

td_status job_artifact(struct request *q, struct response *r, struct err *e)
{
	return respond_artifact(q, r, q->param[1], NULL, true, e);
}

td_status job_pytorch(struct request *q, struct response *r, struct err *e)
{
	return respond_artifact(q, r, "pytorch.py", "text/x-python; charset=utf-8", false, e);
}

/* ---- Histograms -------------------------------------------------------------------------------------------------- */

static void add_histogram_name(void *arg, const char *name, int64_t n, int64_t last_step)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "name", name);
	cJSON_AddNumberToObject(o, "count", (double)n);
	cJSON_AddNumberToObject(o, "last_step", (double)last_step);
	cJSON_AddItemToArray(arg, o);
}

struct columns {
	cJSON *steps, *edges, *counts; /* borrowed */
};

static void add_histogram(void *arg, int64_t step, const char *data)
{
	struct columns *c = arg;
	cJSON *one = cJSON_Parse(data); /* our own column */

	cJSON_AddItemToArray(c->steps, cJSON_CreateNumber((double)step));
	cJSON_AddItemToArray(c->edges, cJSON_DetachItemFromObjectCaseSensitive(one, "edges"));
	cJSON_AddItemToArray(c->counts, cJSON_DetachItemFromObjectCaseSensitive(one, "counts"));
	cJSON_Delete(one);
}

static td_status respond_histograms(
	struct request *q, struct response *r, const char *name, int64_t most, struct err *e)
{
	cJSON *answer = cJSON_CreateObject();
	struct columns c;

	cJSON_AddStringToObject(answer, "name", name);
	c.steps = cJSON_AddArrayToObject(answer, "steps");
	c.edges = cJSON_AddArrayToObject(answer, "edges");
	c.counts = cJSON_AddArrayToObject(answer, "counts");
	if (!store_histograms(q->reader, q->param[0], name, (int)most, add_histogram, &c, e) && !c.steps->child)
		err_set(e, TD_NOT_FOUND, "the job has no histogram \"%.100s\"; without a name this lists those it has",
			name);
	if (e->status)
		cJSON_Delete(answer);
	else
		respond_json(r, 200, answer);
	return e->status;
}

td_status job_histograms(struct request *q, struct response *r, struct err *e)
{
	const char *name = request_query(q, "name");
	cJSON *items;
	struct job j;
	int64_t most;

	if (request_int(q, "max", 1, STORE_HISTOGRAMS_MOST, HISTOGRAMS_DEFAULT, &most, e) || api_job(q, &j, e))
		return e->status;
	job_release(&j);
	if (name)
		return respond_histograms(q, r, name, most, e);
	items = cJSON_CreateArray();
	if (store_histogram_names(q->reader, q->param[0], add_histogram_name, items, e))
		cJSON_Delete(items);
	else
		respond_list(r, items, NULL);
	return e->status;
}
