/* libmicrohttpd's callbacks: a request comes in piece by piece, goes through the router, and its response goes out.
 *
 * The library calls on one of its threads, and always on the same one for a connection.  The request's life: target
 * seen (it is made), headers seen (the gates), pieces of body, end (the handler), response, completed (it is gone). */
#include "base/log.h"
#include "http/connection.h"
#include "http/text.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define MEMORY_PER_CONNECTION (64u << 10) /* request line and headers; past it libmicrohttpd answers 431 */
#define STREAM_BLOCK          (32u << 10)
#define TARGET_MOST           (16u << 10)

/* ---- Requests as handlers see them ------------------------------------------------------------------------------- */

const char *request_header(const struct request *q, const char *name)
{
	return MHD_lookup_connection_value(q->connection->mhd, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *q, const char *name)
{
	const struct connection *c = q->connection;

	for (int i = 0; i < c->n_query; i++)
		if (!strcmp(c->query[i].name, name))
			return c->query[i].value;
	return NULL;
}

td_status request_int(const struct request *q, const char *name, int64_t low, int64_t high, int64_t otherwise,
	int64_t *out, struct err *e)
{
	const char *text = request_query(q, name);
	char *end;
	long long v;

	*out = otherwise;
	if (!text)
		return TD_OK;
	v = strtoll(
		text, &end, 10); /* beyond the range of long long it stays at the border, which LOW and HIGH exclude */
	if (!*text || *end || strlen(text) > 18 || v < low || v > high ||
		(*text != '-' && (*text < '0' || *text > '9')))
		return err_set(e, TD_INVALID, "the query's %s is \"%.60s\"; expected an integer from %lld to %lld",
			name, text, (long long)low, (long long)high);
	*out = v;
	return TD_OK;
}

bool request_accepts(const struct request *q, const char *media_type)
{
	const char *accept = request_header(q, "Accept");

	return text_accept(accept, media_type, true) > text_accept(accept, "application/json", true);
}

char *request_url(const struct request *q, const char *path)
{
	const char *host = request_header(q, "Host"), *scheme = request_header(q, "X-Forwarded-Proto");

	return mem_printf(
		"%s://%s%s", scheme && !strcmp(scheme, "https") ? "https" : "http", host ? host : "localhost", path);
}

bool request_park(struct request *q, int timeout_ms)
{
	struct connection *c = q->connection;
	int64_t now = clock_monotonic_ms();

	if (!c->park_until_ms)
		c->park_until_ms = now + timeout_ms;
	if (now >= c->park_until_ms || listener_stopping(c->listener) ||
		(!c->admitted && !listener_admit(c->listener, c)))
		return false;
	c->r.parked = true;
	return true;
}

/* ---- In ---------------------------------------------------------------------------------------------------------- */

/* The id that the client gave, if it is one that a log can bear; else one of our own. */
static void choose_id(struct request *q)
{
	const char *given = request_header(q, "X-Request-Id");
	size_t n = given ? strlen(given) : 0;

	if (n == 0 || n >= sizeof q->id ||
		strspn(given, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:=+/") != n)
		ulid_make(q->id);
	else
		memcpy(q->id, given, n + 1);
}

/* The query is ours to read, from RAW: cut it off in the library's own buffer.  Left there, every parameter becomes a
 * record in the memory of the connection, and past a thousand of them 0.9.75 neither answers nor says that the request
 * is over (seen: the client hangs, and this struct leaks). */
static void hide_query(const char *target)
{
	char *mark = strchr((char *)target, '?');

	if (mark && mark[1])
		mark[1] = '\0';
}

static void *on_target(void *arg, const char *target, struct MHD_Connection *mhd)
{
	struct connection *c = MEM_NEW(struct connection);

	arena_init(&c->arena);
	response_init(&c->r, &c->arena);
	buf_init(&c->body, 0);
	part_init(&c->part);
	c->mhd = mhd;
	c->too_long = strlen(target) > TARGET_MOST;
	c->raw = c->too_long ? "/" : arena_strdup(&c->arena, target);
	hide_query(target);
	c->q.connection = c;
	listener_count(arg, c);
	c->q.srv = listener_server(c->listener);
	return c;
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **state, enum MHD_RequestTerminationCode how)
{
	struct connection *c = *state;

	(void)mhd;
	(void)how;
	if (!c)
		return;
	*state = NULL;
	listener_forget(arg, c, c->r.code);
	if (c->q.kept)
		c->q.release_kept(c->q.srv, c->q.kept);
	response_reset(&c->r);
	upload_discard(c);
	buf_release(&c->body);
	cJSON_Delete(c->q.json);
	token_release(&c->q.token);
	arena_release(&c->arena);
	mem_free(c);
}

/* ---- Out --------------------------------------------------------------------------------------------------------- */

/* Has the client left?  While it is suspended the library does not look, and a stream of plain text has no heartbeat to
 * fail on. */
static bool has_left(struct connection *c)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
	char byte;
	ssize_t n = info ? recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* One piece of a stream: what NEXT has appended, asked again only when all of it is out. */
static ssize_t read_stream(void *arg, uint64_t position, char *out, size_t room)
{
	struct connection *c = arg;
	struct response *r = &c->r;
	struct err e = { 0 };

	(void)position;
	for (;;) {
		size_t n = TD_MIN(room, r->out.len - r->n_sent);
		uint64_t seen;
		int64_t now;
		bool silent;

		if (n) {
			memcpy(out, r->out.data + r->n_sent, n);
			r->n_sent += n;
			return (ssize_t)n;
		}
		buf_clear(&r->out);
		r->n_sent = 0;
		if (r->ended)
			return r->length < 0 || (int64_t)position == r->length ? MHD_CONTENT_READER_END_OF_STREAM
									       : MHD_CONTENT_READER_END_WITH_ERROR;
		seen = listener_wakes(c->listener);
		now = clock_monotonic_ms();
		c->q.reader = listener_reader(c->listener, &e);
		silent = now - c->said_ms >= HEARTBEAT_MS;
		r->ended = !c->q.reader || (silent && has_left(c)) ||
			   !r->next(r->state, c->q.reader, silent, &r->out) ||
			   (r->length < 0 && listener_stopping(c->listener));
		if (r->out.full)
			r->ended = true; /* a gap in a stream would be a lie: end it, and let the client come back */
		if (r->out.len || silent)
			c->said_ms = now;
		if (!r->out.len && !r->ended && listener_sleep(c->listener, c, seen, c->said_ms + HEARTBEAT_MS))
			return 0;
	}
}

static struct MHD_Response *make_response(struct connection *c)
{
	struct response *r = &c->r;

	if (r->next) {
		c->said_ms = clock_monotonic_ms();
		return MHD_create_response_from_callback(
			r->length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)r->length, STREAM_BLOCK, read_stream, c, NULL);
	}
	if (r->fd >= 0) {
		struct MHD_Response *m =
			MHD_create_response_from_fd_at_offset64((uint64_t)r->length, r->fd, (uint64_t)r->offset);

		r->fd = -1; /* the library closes it */
		return m;
	}
	return MHD_create_response_from_buffer(
		r->n, r->bytes ? r->bytes : (char *)r->borrowed, MHD_RESPMEM_PERSISTENT); /* ours until completed */
}

static enum MHD_Result send_response(struct connection *c)
{
	struct response *r = &c->r;
	struct MHD_Response *m;
	enum MHD_Result result;

	if (r->next && r->length < 0 && !listener_admit(c->listener, c)) {
		response_reset(r);
		respond_header(r, "Retry-After", "10");
		respond_problem(r, &c->q, 503, "unavailable",
			"%d streams are open already, the most that this server keeps", STREAMS_MOST);
	}
	response_finish(c);
	if (r->code >= 500)
		log_line(LOG_WARN, "request failed", "code=%d method=%s target=%.200s id=%s", r->code, c->q.method,
			c->raw, c->q.id);
	else
		log_line(LOG_DEBUG, "request", "code=%d method=%s target=%.200s id=%s", r->code, c->q.method, c->raw,
			c->q.id);
	m = make_response(c);
	if (!m)
		return MHD_NO;
	for (int i = 0; i < r->n_headers; i++)
		MHD_add_response_header(m, r->headers[i].name, r->headers[i].value);
	result = MHD_queue_response(c->mhd, (unsigned)r->code, m);
	MHD_destroy_response(m);
	return result;
}

/* The handler, again and again while it parks. */
static enum MHD_Result run(struct connection *c)
{
	struct err e = { 0 };

	for (;;) {
		uint64_t seen = listener_wakes(c->listener);

		c->q.reader = listener_reader(c->listener, &e);
		if (!c->q.reader) {
			router_fail(c, &e);
			break;
		}
		router_run(c);
		if (!c->r.parked)
			break;
		response_reset(&c->r);
		if (listener_sleep(c->listener, c, seen, c->park_until_ms))
			return MHD_YES; /* woken, it comes here again */
	}
	return send_response(c);
}

static bool begin(struct connection *c, const char *method, int64_t declared)
{
	struct err e = { 0 };

	c->begun = true;
	c->q.method = arena_strdup(&c->arena, method);
	c->q.path = "/";
	choose_id(&c->q);
	if (c->too_long) {
		respond_problem(&c->r, &c->q, 414, "too-long", "the address has more than %u bytes", TARGET_MOST);
		return false;
	}
	c->q.reader = listener_reader(c->listener, &e);
	if (!c->q.reader) {
		router_fail(c, &e);
		return false;
	}
	return router_begin(c, declared);
}

static enum MHD_Result on_headers(struct connection *c, const char *method)
{
	const char *length = MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, "Content-Length");
	int64_t declared = length ? strtoll(length, NULL, 10) : -1;

	c->n_missing = declared;
	c->refused = !begin(c, method, declared);
	if (c->refused && (request_header(&c->q, "Expect") || declared > (int64_t)DISCARD_MOST))
		return send_response(
			c); /* who asks before sending is told at once; too much to be read away is cut off */
	return MHD_YES;
}

static enum MHD_Result on_body(struct connection *c, const char *data, size_t n)
{
	if (!c->refused && c->part.fd >= 0) {
		c->refused = !upload_take(c, data, n);
	} else if (!c->refused && !buf_append(&c->body, data, n)) {
		c->refused = true;
		buf_release(&c->body);
		respond_problem(&c->r, &c->q, 413, "too-large",
			"the body is larger than the %zu bytes that %s %s takes", c->route ? c->route->max_body : 0,
			c->q.method, c->q.path);
	}
	if (c->refused)
		c->n_discarded += n; /* read away, so that its sender gets to see the answer */
	c->n_missing -= (int64_t)n;
	if (c->n_discarded > DISCARD_MOST)
		return MHD_NO;
	/* The end of a connection that came together with these bytes is seen here or, its edge being gone, by nobody
	 * until the connection has idled. */
	return c->n_missing > 0 && has_left(c) ? MHD_NO : MHD_YES;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url, const char *method,
	const char *version, const char *data, size_t *n_data, void **state)
{
	struct connection *c = *state;

	(void)arg;
	(void)mhd;
	(void)url;
	(void)version;
	if (!c->begun)
		return on_headers(c, method);
	if (*n_data) {
		size_t n = *n_data;

		*n_data = 0;
		return on_body(c, data, n);
	}
	return c->refused ? send_response(c) : run(c);
}

/* ---- Start ------------------------------------------------------------------------------------------------------- */

static void on_log(void *arg, const char *fmt, va_list ap)
{
	char text[300];

	(void)arg;
	vsnprintf(text, sizeof text, fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	log_line(LOG_DEBUG, "libmicrohttpd", "text=%s", text);
}

/* We decode targets ourselves: the library would cut them at a zero byte. */
static size_t keep_escapes(void *arg, struct MHD_Connection *mhd, char *s)
{
	(void)arg;
	(void)mhd;
	return strlen(s);
}

struct MHD_Daemon *serve_start(struct listener *l, int fd, int n_threads)
{
	struct MHD_OptionItem options[] = {
		{ MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)on_log, NULL }, /* first, to hear of the others */
		{ MHD_OPTION_LISTEN_SOCKET, fd, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MOST, NULL },
		{ MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, NULL },
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_PER_CONNECTION, NULL },
		{ MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL },
		{ MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)on_target, l },
		{ MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, l },
		{ n_threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, n_threads, NULL },
		{ MHD_OPTION_END, 0, NULL },
	};

	return MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL,
		NULL, on_request, l, MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}
