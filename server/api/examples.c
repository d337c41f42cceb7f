/* What the program carries with it for its users: the ready-made jobs, the job's schema, the client for Python. */
#include "api/api.h"
#include "embedded.h"

#include <stdio.h>
#include <string.h>

#define FOLDER "examples/"
#define SUFFIX ".json"

/* "fashion-cnn" for "examples/fashion-cnn.json"; false: F is no example. */
static bool example_name(const struct embedded_file *f, char *out, size_t room)
{
	size_t n = strlen(f->path), n_around = strlen(FOLDER) + strlen(SUFFIX);

	if (n <= n_around || strncmp(f->path, FOLDER, strlen(FOLDER)) != 0 ||
		strcmp(f->path + n - strlen(SUFFIX), SUFFIX) != 0)
		return false;
	snprintf(out, room, "%.*s", (int)(n - n_around), f->path + strlen(FOLDER));
	return true;
}

td_status examples_list(struct request *q, struct response *r, struct err *e)
{
	cJSON *items = cJSON_CreateArray();
	char *base = request_url(q, ""), name[100];

	(void)e;
	for (size_t i = 0; i < n_embedded_files; i++) {
		cJSON *item, *spec, *links;
		bool sweep;
		char *url;

		if (!example_name(&embedded_files[i], name, sizeof name))
			continue;
		item = cJSON_CreateObject();
		spec = cJSON_Parse((const char *)embedded_files[i].data);
		sweep = json_get(spec, "base");
		cJSON_AddStringToObject(item, "name", name);
		cJSON_AddStringToObject(item, "kind", sweep ? "sweep" : "job");
		cJSON_AddStringToObject(item, "notes", json_string(spec, "notes", ""));
		url = mem_printf("%s" API_BASE "/examples/%s", base, name);
		links = cJSON_AddObjectToObject(item, "links");
		cJSON_AddStringToObject(links, "self", url);
		mem_free(url);
		url = mem_printf("%s" API_BASE "%s", base, sweep ? "/sweeps" : "/jobs");
		cJSON_AddStringToObject(links, "post", url);
		mem_free(url);
		cJSON_Delete(spec);
		cJSON_AddItemToArray(items, item);
	}
	mem_free(base);
	respond_list(r, items, NULL);
	return TD_OK;
}

td_status example_get(struct request *q, struct response *r, struct err *e)
{
	char *path = mem_printf(FOLDER "%s" SUFFIX, q->param[0]);
	const struct embedded_file *f = embedded_find(path);

	mem_free(path);
	if (!f)
		return err_set(e, TD_NOT_FOUND, "there is no example \"%.60s\"; " API_BASE "/examples lists them",
			q->param[0]);
	respond_borrowed(r, 200, "application/json", f->data, f->n_bytes);
	return TD_OK;
}

td_status schema_get(struct request *q, struct response *r, struct err *e)
{
	const struct embedded_file *f = embedded_find("schema/job.json");

	(void)q;
	if (!f)
		return err_set(e, TD_NOT_FOUND, "this build carries no schema");
	respond_borrowed(r, 200, "application/schema+json", f->data, f->n_bytes);
	return TD_OK;
}

td_status client_get(struct request *q, struct response *r, struct err *e)
{
	const struct embedded_file *f = embedded_find("assets/tandem.py");

	(void)q;
	if (!f)
		return err_set(e, TD_NOT_FOUND, "this build carries no tandem.py");
	respond_header(r, "Content-Disposition", "attachment; filename=\"tandem.py\"");
	respond_borrowed(r, 200, "text/x-python; charset=utf-8", f->data, f->n_bytes);
	return TD_OK;
}
