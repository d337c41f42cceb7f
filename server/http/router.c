/* From a request to its handler: the gates, in order.
 *
 *	path -> host and origin -> method -> draining -> who asks, and may they -> query -> size of the body
 *	(then the body) its type -> JSON -> schema -> handler
 *
 * The route table says for every route what each gate lets pass; no handler repeats one. */
#include "schema.h"
#include "http/connection.h"
#include "http/text.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PATH_MOST   4096 /* bytes of a path */
#define PARAM_MOST  512  /* bytes of what stands for {..} */
#define EMPTY_BODY  64   /* what a route without a body takes: room for "{}" */
#define ROUTES_MOST 128  /* a promise to the table below, not a limit for anybody */

static struct schema *body_schemas[ROUTES_MOST]; /* compiled once by router_init, then constant; by index in routes[] */

td_status router_init(struct err *e)
{
	for (size_t i = 0; routes[i].method; i++) {
		TD_ASSERT(i < ROUTES_MOST);
		if (!routes[i].body_schema || body_schemas[i])
			continue;
		if (schema_create(routes[i].body_schema, strlen(routes[i].body_schema), &body_schemas[i], e))
			return err_wrap(e, "schema of %s %s", routes[i].method, routes[i].path);
	}
	return TD_OK;
}

/* ---- Path -------------------------------------------------------------------------------------------------------- */

/* Does PATH (escapes still in it) fit PATTERN?  What stands for {..} is decoded into C's request. */
static bool match(struct connection *c, const char *pattern, const char *path, size_t n_path)
{
	const char *end = path + n_path;
	char text[PARAM_MOST];
	int n_params = 0;

	c->q.param[0] = c->q.param[1] = c->q.param[2] = NULL;
	while (*pattern) {
		const char *slash;
		size_t n_pattern, n;

		if (path == end || *path++ != *pattern++) /* both stand at a '/' */
			return false;
		n_pattern = strcspn(pattern, "/");
		slash = memchr(path, '/', (size_t)(end - path));
		n = (size_t)((slash ? slash : end) - path);
		if (*pattern == '{') {
			if (!n || !text_decode(path, n, false, text, sizeof text))
				return false;
			c->q.param[n_params++] = arena_strdup(&c->arena, text);
		} else if (n != n_pattern || memcmp(path, pattern, n) != 0) {
			return false;
		}
		pattern += n_pattern;
		path += n;
	}
	return path == end;
}

static bool is_reading(const char *method)
{
	return !strcmp(method, "GET") || !strcmp(method, "HEAD");
}

/* The route for path and method; C's route is set.  False: refused (404, 405).  Paths outside of the table are the
 * dashboard's. */
static bool find_route(struct connection *c, size_t n_path)
{
	const char *method = !strcmp(c->q.method, "HEAD") ? "GET" : c->q.method;
	char allow[80] = "";
	struct err e = { 0 };

	for (const struct route *r = routes; r->method; r++) {
		if (!match(c, r->path, c->raw, n_path))
			continue;
		if (!strcmp(r->method, method)) {
			c->route = r;
			return true;
		}
		if (!strstr(allow, r->method))
			snprintf(allow + strlen(allow), sizeof allow - strlen(allow), "%s%s%s", *allow ? ", " : "",
				r->method, !strcmp(r->method, "GET") ? ", HEAD" : "");
	}
	if (!*allow && is_reading(c->q.method) && strncmp(c->raw, "/api/", 5) != 0 && n_path > 0 &&
		strcmp(c->q.path, "/api") != 0)
		return true;
	if (!*allow) {
		err_set(&e, TD_NOT_FOUND, "there is nothing at %s; /api/v1/openapi.json lists what there is",
			c->q.path);
		router_fail(c, &e);
	} else {
		respond_header(&c->r, "Allow", allow);
		respond_problem(&c->r, &c->q, 405, "method", "%s is not possible here; %s takes %s", c->q.method,
			c->q.path, allow);
	}
	return false;
}

/* ---- Query ------------------------------------------------------------------------------------------------------- */

/* Is NAME in a row's "limit:int after:string"? */
static bool is_known_name(const char *known, const char *name)
{
	size_t n = strlen(name);

	while (known && *known) {
		if (!strncmp(known, name, n) && known[n] == ':')
			return true;
		known += strcspn(known, " ");
		known += *known == ' ';
	}
	return false;
}

static td_status fail_unknown_name(const struct connection *c, const char *name, struct err *e)
{
	char list[300], *names[QUERY_MOST], *save = NULL;
	const char *near;
	size_t n = 0;

	snprintf(list, sizeof list, "%s", c->route && c->route->query ? c->route->query : "");
	for (char *item = strtok_r(list, " ", &save); item && n < TD_COUNT(names); item = strtok_r(NULL, " ", &save)) {
		item[strcspn(item, ":")] = '\0';
		names[n++] = item;
	}
	near = nearest_name(name, (const char *const *)names, n);
	if (near)
		return err_set(e, TD_INVALID, "the query has no \"%.60s\"; did you mean \"%s\"?", name, near);
	return err_set(e, TD_INVALID, "the query has no \"%.60s\" here; %s%s", name,
		n ? "it takes " : "it takes nothing", n ? c->route->query : "");
}

static td_status add_parameter(struct connection *c, const char *item, size_t n, struct err *e)
{
	const char *equals = memchr(item, '=', n);
	size_t n_name = equals ? (size_t)(equals - item) : n, n_value = equals ? n - n_name - 1 : 0;
	char *name = arena_alloc(&c->arena, n_name + 1), *value = arena_alloc(&c->arena, n_value + 1);

	if (!text_decode(item, n_name, true, name, n_name + 1) ||
		!text_decode(equals ? equals + 1 : "", n_value, true, value, n_value + 1))
		return err_set(
			e, TD_INVALID, "the query \"%.*s\" is not percent-encoded UTF-8", (int)TD_MIN(n, 80), item);
	if (request_query(&c->q, name))
		return err_set(e, TD_INVALID, "the query has \"%.60s\" twice; keep one", name);
	if (c->route && !is_known_name(c->route->query, name))
		return fail_unknown_name(c, name, e);
	if (c->n_query == QUERY_MOST)
		return err_set(e, TD_INVALID, "the query has more than %d parameters", QUERY_MOST);
	c->query[c->n_query++] = (struct pair){ name, value };
	return TD_OK;
}

static td_status read_query(struct connection *c, const char *text, struct err *e)
{
	while (*text) {
		size_t n = strcspn(text, "&");

		if (n && add_parameter(c, text, n, e))
			return e->status;
		text += n + (text[n] == '&');
	}
	return TD_OK;
}

/* ---- Who, and may they ------------------------------------------------------------------------------------------- */

static td_status check_scope(struct connection *c, struct err *e)
{
	enum token_scope needed = c->route ? c->route->scope : SCOPE_NONE;

	if (needed == SCOPE_NONE) /* a wrong token is no reason to hide what is public */
		return auth_identify(c, &(struct err){ 0 }), TD_OK;
	if (auth_identify(c, e))
		return e->status;
	if (c->q.token.scope >= needed)
		return TD_OK;
	if (c->q.token.scope == SCOPE_NONE)
		return err_set(e, TD_UNAUTHORIZED,
			"a token is needed: send it as \"Authorization: Bearer TOKEN\"; `tandemd token create` makes "
			"one");
	return err_set(e, TD_FORBIDDEN, "this token's scope is \"%s\"; %s %s needs \"%s\"",
		token_scope_name(c->q.token.scope), c->q.method, c->q.path, token_scope_name(needed));
}

/* ---- Body -------------------------------------------------------------------------------------------------------- */

/* A route that takes files may take JSON instead. */
static bool is_file(const struct connection *c)
{
	const char *type = request_header(&c->q, "Content-Type");

	return c->route && c->route->body == BODY_FILE &&
	       !(c->route->body_schema && type && text_media_type_is(type, "application/json"));
}

static bool check_size(struct connection *c, int64_t declared)
{
	size_t most = c->route && c->route->body != BODY_NONE ? c->route->max_body : EMPTY_BODY;

	buf_init(&c->body, most);
	if (declared <= (int64_t)most)
		return true;
	if (!c->route || c->route->body == BODY_NONE)
		respond_problem(&c->r, &c->q, 413, "too-large", "%s %s takes no body", c->q.method, c->q.path);
	else
		respond_problem(&c->r, &c->q, 413, "too-large", "the body has %lld bytes; %s %s takes at most %zu",
			(long long)declared, c->q.method, c->q.path, most);
	return false;
}

/* curl's -d sends JSON under the type of a form.  What begins like an object is read as JSON; a real form is refused.
 */
static bool check_type(struct connection *c)
{
	const char *type = request_header(&c->q, "Content-Type"), *body = c->q.body;
	char *url;

	if (!type || !*type || text_media_type_is(type, "application/json"))
		return true;
	if (text_media_type_is(type, "application/x-www-form-urlencoded") && body &&
		body[strspn(body, " \t\r\n")] == '{')
		return true;
	url = request_url(&c->q, c->q.path);
	respond_problem(&c->r, &c->q, 415, "media-type",
		"the body's type is \"%.80s\"; expected application/json: curl -X %s -H 'Content-Type: "
		"application/json' --data-binary @FILE %s",
		type, c->q.method, url);
	mem_free(url);
	return false;
}

static bool read_json(struct connection *c)
{
	struct err e = { 0 };
	struct faults f;
	const struct schema *schema = body_schemas[c->route - routes];

	if (c->q.json)
		return true; /* a parked request comes here again */
	if (!check_type(c))
		return false;
	if (!c->q.n_body || c->q.body[strspn(c->q.body, " \t\r\n")] == '\0')
		err_set(&e, TD_INVALID, "the body is empty; expected a JSON object");
	else
		c->q.json = json_parse(c->q.body, c->q.n_body, &e);
	if (!c->q.json) {
		router_fail(c, &e);
		return false;
	}
	if (!schema)
		return true;
	faults_init(&f);
	cJSON *checked = schema_check(schema, c->q.json, &f);
	if (f.n_found) {
		respond_faults(&c->r, &c->q, &f, &e);
		cJSON_Delete(checked);
	} else {
		cJSON_Delete(c->q.json);
		c->q.json = checked;
	}
	faults_release(&f);
	return c->r.code == 0;
}

/* A route without a body gets none, or "{}", which some clients send whatever they do. */
static bool check_no_body(struct connection *c)
{
	const char *p = c->q.body ? c->q.body + strspn(c->q.body, " \t\r\n") : "";
	struct err e = { 0 };

	if (!strncmp(p, "{}", 2))
		p += 2 + strspn(p + 2, " \t\r\n");
	if (!*p)
		return true;
	err_set(&e, TD_INVALID, "%s %s takes no body", c->q.method, c->q.path);
	router_fail(c, &e);
	return false;
}

static bool take_body(struct connection *c)
{
	switch (c->route ? c->route->body : BODY_NONE) {
	case BODY_JSON: return read_json(c);
	case BODY_BYTES: return true;
	case BODY_FILE: return c->q.upload.path ? c->part.fd < 0 || upload_end(c) : read_json(c);
	case BODY_NONE: break;
	}
	return check_no_body(c);
}

/* ---- The two halves ---------------------------------------------------------------------------------------------- */

bool router_begin(struct connection *c, int64_t declared_bytes)
{
	const char *mark = strchr(c->raw, '?');
	size_t n_path = mark ? (size_t)(mark - c->raw) : strlen(c->raw);
	char *path = arena_alloc(&c->arena, n_path + 1);
	struct err e = { 0 };
	bool writes = !is_reading(c->q.method);

	if (n_path >= PATH_MOST || *c->raw != '/' || !text_decode(c->raw, n_path, false, path, n_path + 1)) {
		err_set(&e, TD_NOT_FOUND,
			"there is nothing at this address: it is not percent-encoded UTF-8 of at most %d bytes",
			PATH_MOST);
		router_fail(c, &e);
		return false;
	}
	c->q.path = path;
	if (!auth_same_site(c) || !find_route(c, n_path))
		return false;
	if (writes && listener_draining(c->listener) && !c->route->while_draining) {
		err_set(&e, TD_UNAVAILABLE, "the server is about to stop and takes nothing new; try again in a moment");
	} else if (!check_scope(c, &e)) {
		read_query(c, mark ? mark + 1 : "", &e);
	}
	if (e.status) {
		router_fail(c, &e);
		return false;
	}
	return is_file(c) ? upload_begin(c, declared_bytes) : check_size(c, declared_bytes);
}

void router_run(struct connection *c)
{
	struct err e = { 0 };

	c->q.body = c->body.data;
	c->q.n_body = c->body.len;
	if (!take_body(c))
		return;
	if ((c->route ? c->route->handler : static_serve)(&c->q, &c->r, &e)) {
		if (c->r.code < 400) /* a handler may have described its refusal itself */
			router_fail(c, &e);
	} else if (!c->r.code && !c->r.parked && !c->r.next) {
		TD_BUG("%s %s gave no response", c->q.method, c->q.path);
	}
}
