/* The OpenAPI document (3.1), made from the route table: what it says is what the gates do. */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

/* What answers look like, by the names that the table's rows use.  The job itself is described by schema/job.json. */
static const char components[] =
	"{\"Problem\":{\"type\":\"object\",\"description\":\"RFC "
	"9457\",\"properties\":{\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
	"\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},\"instance\":{\"type\":\"string\"},"
	"\"errors\":{\"type\":\"array\",\"items\":{"
	"\"type\":\"object\",\"properties\":{\"pointer\":{\"type\":\"string\"},\"line\":{\"type\":\"integer\"},"
	"\"column\":{\"type\":\"integer\"},"
	"\"detail\":{\"type\":\"string\"}},\"required\":[\"detail\"]}}},\"required\":[\"type\",\"title\",\"status\"]},"
	"\"Job\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"name\":{\"type\":\"string\"},"
	"\"project\":{\"type\":\"string\"},"
	"\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"notes\":{\"type\":\"string\"},\"owner\":{"
	"\"type\":\"string\"},"
	"\"state\":{\"type\":\"string\",\"enum\":[]},\"reason\":{\"type\":\"string\"},\"detail\":{\"type\":[\"string\","
	"\"null\"]},"
	"\"priority\":{\"type\":\"integer\"},\"attempt\":{\"type\":\"integer\"},\"progress\":{\"type\":\"object\","
	"\"properties\":{\"step\":{\"type\":\"integer\"},"
	"\"n_steps\":{\"type\":\"integer\"},\"fraction\":{\"type\":\"number\"},\"phase\":{\"type\":\"string\"},"
	"\"epoch\":{\"type\":\"integer\"},"
	"\"eta_s\":{\"type\":[\"number\",\"null\"]},\"ran_s\":{\"type\":\"number\"}}},\"created_at\":{\"type\":"
	"\"string\",\"format\":\"date-time\"},"
	"\"queued_at\":{\"type\":[\"string\",\"null\"]},\"started_at\":{\"type\":[\"string\",\"null\"]},\"finished_"
	"at\":{\"type\":[\"string\",\"null\"]},"
	"\"updated_at\":{\"type\":[\"string\",\"null\"]},\"resources\":{\"type\":\"object\"},\"summary\":{\"type\":"
	"\"object\",\"description\":"
	"\"the last value of each "
	"series\"},\"error\":{\"type\":[\"object\",\"null\"]},\"engine\":{\"type\":[\"object\",\"null\"]},"
	"\"spec\":{\"type\":\"object\",\"description\":\"as /api/v1/schema/job.json says, all defaults filled in\"},"
	"\"checked\":{\"type\":[\"object\",\"null\"]},\"warnings\":{\"type\":\"array\",\"description\":"
	"\"what is allowed and probably not meant\",\"items\":{\"type\":\"object\",\"properties\":{\"code\":"
	"{\"type\":\"string\"},\"layer\":{\"type\":\"string\"},\"text\":{\"type\":\"string\"}}}},\"history\":{\"type\":"
	"\"array\",\"items\":{\"type\":\"object\"}},"
	"\"links\":{\"type\":\"object\"}}},"
	"\"List\":{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
	"\"has_more\":{\"type\":\"boolean\"},"
	"\"next\":{\"type\":[\"string\",\"null\"]}}},"
	"\"JobList\":{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
	"components/schemas/Job\"}},"
	"\"has_more\":{\"type\":\"boolean\"},\"next\":{\"type\":[\"string\",\"null\"]}}},"
	"\"Comparison\":{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
	"components/schemas/Job\"}},"
	"\"differences\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"pointer\":{\"type\":"
	"\"string\"},\"values\":{\"type\":\"array\"}}}}}},"
	"\"Metrics\":{\"type\":\"object\",\"description\":\"without a name {items: [...]}; with one columns of equal "
	"length: step, time (milliseconds since 1970), value, min, max, mean, count, non_finite\"},"
	"\"MetricsOfJobs\":{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
	"components/schemas/Metrics\"}}}},"
	"\"ArtifactList\":{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"type\":"
	"\"object\",\"properties\":{"
	"\"name\":{\"type\":\"string\"},\"kind\":{\"type\":\"string\"},\"step\":{\"type\":\"integer\"},\"bytes\":{"
	"\"type\":\"integer\"},"
	"\"sha256\":{\"type\":\"string\"},\"media_type\":{\"type\":\"string\"},\"created_at\":{\"type\":\"string\"}}}}}"
	"},"
	"\"Sweep\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"name\":{\"type\":\"string\"},"
	"\"state\":{\"enum\":[\"running\",\"succeeded\",\"cancelled\"]},\"counts\":{\"type\":\"object\"},"
	"\"best\":{\"type\":[\"object\",\"null\"]},\"jobs\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
	"\"warnings\":{\"type\":\"array\",\"description\":\"of the base; each job has its own\","
	"\"items\":{\"type\":\"object\"}}}},"
	"\"Dataset\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"state\":{\"enum\":["
	"\"known\","
	"\"uploading\",\"fetching\",\"preparing\",\"ready\",\"failed\",\"cancelled\"]},\"kind\":{\"type\":[\"string\","
	"\"null\"]},"
	"\"known\":{\"type\":\"boolean\"},\"source\":{\"type\":\"object\"},\"format\":{\"type\":\"object\"},"
	"\"bytes\":{\"type\":\"integer\"},\"samples\":{\"type\":\"object\"},\"classes\":{\"type\":[\"integer\","
	"\"null\"]},"
	"\"error\":{\"type\":[\"object\",\"null\"]},\"progress\":{\"type\":[\"object\",\"null\"]},"
	"\"hint\":{\"type\":\"string\",\"description\":\"what is to be sent next, while it is uploading\"},"
	"\"files\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"info\":{\"type\":[\"object\",\"null\"]},"
	"\"summary\":{\"type\":[\"object\",\"null\"]}}},"
	"\"DatasetList\":{\"type\":\"object\",\"properties\":{\"items\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/"
	"components/schemas/"
	"Dataset\"}},\"has_more\":{\"type\":\"boolean\"},\"next\":{\"type\":[\"string\",\"null\"]}}},"
	"\"Replay\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"job\":{\"type\":\"string\"},"
	"\"step\":"
	"{\"type\":\"integer\"},\"steps\":{\"type\":\"integer\"},\"state\":{\"enum\":[\"queued\",\"running\","
	"\"succeeded\",\"failed\"]},\"automatic\":{\"type\":\"boolean\"},\"detail\":{\"type\":[\"string\",\"null\"]},"
	"\"progress\":{\"type\":[\"object\",\"null\"]},\"from\":{\"type\":[\"object\",\"null\"]},"
	"\"verdict\":{\"type\":[\"object\",\"null\"]},"
	"\"culprit\":{\"type\":[\"object\",\"null\"]},\"nodes\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
	"\"values\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},"
	"\"samples\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}},"
	"\"Model\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"bytes\":{\"type\":\"integer\"}"
	","
	"\"sha256\":{\"type\":\"string\"},\"source\":{\"type\":\"object\"},"
	"\"tensors\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}},"
	"\"Token\":{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\"},\"owner\":{\"type\":\"string\"},"
	"\"scope\":{\"type\":\"string\"},"
	"\"note\":{\"type\":\"string\"},\"token\":{\"type\":\"string\"}}},"
	"\"Session\":{\"type\":\"object\",\"properties\":{\"signed_in\":{\"type\":\"boolean\"},\"owner\":{\"type\":["
	"\"string\",\"null\"]},"
	"\"scope\":{\"type\":\"string\"},\"needs_token\":{\"type\":\"boolean\"}}}}";

static cJSON *make_components(void)
{
	cJSON *all = cJSON_CreateObject(), *schemes = cJSON_AddObjectToObject(all, "securitySchemes"), *one;
	cJSON *schemas = cJSON_Parse(components), *states = cJSON_CreateArray();

	TD_ASSERT(schemas);
	for (int s = 0; s < JOB_N_STATES; s++)
		cJSON_AddItemToArray(states, cJSON_CreateString(job_state_name(s)));
	cJSON_ReplaceItemInObjectCaseSensitive((cJSON *)json_at(schemas, "/Job/properties/state"), "enum", states);
	cJSON_AddItemToObject(all, "schemas", schemas);
	one = cJSON_AddObjectToObject(schemes, "bearer");
	cJSON_AddStringToObject(one, "type", "http");
	cJSON_AddStringToObject(one, "scheme", "bearer");
	one = cJSON_AddObjectToObject(schemes, "cookie");
	cJSON_AddStringToObject(one, "type", "apiKey");
	cJSON_AddStringToObject(one, "in", "cookie");
	cJSON_AddStringToObject(one, "name", "tandem_session");
	return all;
}

static void add_parameter(cJSON *list, const char *name, size_t n_name, const char *in, const char *type)
{
	cJSON *p = cJSON_CreateObject();
	char text[64];

	snprintf(text, sizeof text, "%.*s", (int)n_name, name);
	cJSON_AddStringToObject(p, "name", text);
	cJSON_AddStringToObject(p, "in", in);
	cJSON_AddBoolToObject(p, "required", !strcmp(in, "path"));
	cJSON_AddStringToObject(cJSON_AddObjectToObject(p, "schema"), "type", type);
	cJSON_AddItemToArray(list, p);
}

static cJSON *make_parameters(const struct route *r)
{
	cJSON *list = cJSON_CreateArray();

	for (const char *p = strchr(r->path, '{'); p; p = strchr(p + 1, '{'))
		add_parameter(list, p + 1, strcspn(p + 1, "}"), "path", "string");
	for (const char *p = r->query; p && *p; p += strcspn(p, " "), p += *p == ' ') {
		size_t n = strcspn(p, ":");

		add_parameter(list, p, n, "query", !strncmp(p + n, ":int", 4) ? "integer" : "string");
	}
	return list;
}

static cJSON *schema_ref(const char *name)
{
	cJSON *ref = cJSON_CreateObject();
	char text[80];

	snprintf(text, sizeof text, "#/components/schemas/%s", name);
	cJSON_AddStringToObject(ref, "$ref", text);
	return ref;
}

static cJSON *make_responses(const struct route *r)
{
	cJSON *all = cJSON_CreateObject(), *one, *media;
	char code[8];

	snprintf(code, sizeof code, "%d", r->success);
	one = cJSON_AddObjectToObject(all, code);
	cJSON_AddStringToObject(one, "description",
		r->success == 201   ? "Made"
		: r->success == 204 ? "Done"
				    : "The answer");
	if (r->response_schema) {
		media = cJSON_AddObjectToObject(cJSON_AddObjectToObject(one, "content"), "application/json");
		cJSON_AddItemToObject(media, "schema", schema_ref(r->response_schema));
	}
	one = cJSON_AddObjectToObject(all, "default");
	cJSON_AddStringToObject(one, "description", "What is wrong, where, and what would be right");
	media = cJSON_AddObjectToObject(cJSON_AddObjectToObject(one, "content"), "application/problem+json");
	cJSON_AddItemToObject(media, "schema", schema_ref("Problem"));
	return all;
}

static cJSON *make_body(const struct route *r)
{
	cJSON *body = cJSON_CreateObject(), *content, *media;

	cJSON_AddBoolToObject(body, "required", true);
	if (r->body == BODY_BYTES) {
		cJSON_AddObjectToObject(cJSON_AddObjectToObject(body, "content"), "*/*");
		return body;
	}
	content = cJSON_AddObjectToObject(body, "content");
	if (r->body == BODY_FILE)
		cJSON_AddObjectToObject(content, "application/octet-stream");
	if (r->body == BODY_FILE && !r->body_schema)
		return body;
	media = cJSON_AddObjectToObject(content, "application/json");
	if (r->body_schema)
		cJSON_AddItemToObject(media, "schema", cJSON_Parse(r->body_schema));
	else
		cJSON_AddStringToObject(cJSON_AddObjectToObject(media, "schema"), "$ref", API_BASE "/schema/job.json");
	return body;
}

static cJSON *make_security(enum token_scope scope)
{
	cJSON *list = cJSON_CreateArray(), *way;

	if (scope == SCOPE_NONE)
		return list;
	way = cJSON_CreateObject();
	cJSON_AddArrayToObject(way, "bearer");
	cJSON_AddItemToArray(list, way);
	way = cJSON_CreateObject();
	cJSON_AddArrayToObject(way, "cookie");
	cJSON_AddItemToArray(list, way);
	return list;
}

static void add_route(cJSON *paths, const struct route *r)
{
	cJSON *item = cJSON_GetObjectItemCaseSensitive(paths, r->path), *op;
	cJSON *tags;
	char method[8] = "";

	if (!item)
		item = cJSON_AddObjectToObject(paths, r->path);
	for (size_t i = 0; i < sizeof method - 1 && r->method[i]; i++)
		method[i] = (char)(r->method[i] | 0x20);
	op = cJSON_AddObjectToObject(item, method);
	tags = cJSON_AddArrayToObject(op, "tags");
	cJSON_AddItemToArray(tags, cJSON_CreateString(r->tag));
	cJSON_AddStringToObject(op, "summary", r->summary);
	if (r->scope != SCOPE_NONE)
		cJSON_AddStringToObject(op, "x-scope", token_scope_name(r->scope));
	cJSON_AddItemToObject(op, "parameters", make_parameters(r));
	if (r->body != BODY_NONE)
		cJSON_AddItemToObject(op, "requestBody", make_body(r));
	cJSON_AddItemToObject(op, "responses", make_responses(r));
	cJSON_AddItemToObject(op, "security", make_security(r->scope));
}

td_status openapi_get(struct request *q, struct response *r, struct err *e)
{
	cJSON *doc = cJSON_CreateObject(), *info, *paths;

	(void)q;
	(void)e;
	cJSON_AddStringToObject(doc, "openapi", "3.1.0");
	info = cJSON_AddObjectToObject(doc, "info");
	cJSON_AddStringToObject(info, "title", "Tandem");
	cJSON_AddStringToObject(info, "version", TD_VERSION);
	cJSON_AddStringToObject(info, "summary", "A deep-learning training server: jobs in, curves and weights out");
	paths = cJSON_AddObjectToObject(doc, "paths");
	for (const struct route *row = routes; row->method; row++)
		add_route(paths, row);
	cJSON_AddItemToObject(doc, "components", make_components());
	respond_json(r, 200, doc);
	return TD_OK;
}
