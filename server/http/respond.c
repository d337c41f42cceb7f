/* Responses: what handlers fill in, and the rules that hold for all of them (ETag, Range, security headers).
 *
 * A response is plain data; listener.c turns it into libmicrohttpd's. */
#include "http/connection.h"
#include "http/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void response_init(struct response *r, struct arena *arena)
{
	*r = (struct response){ .arena = arena, .fd = -1, .length = -1 };
	buf_init(&r->out, STREAM_PIECE_MOST);
}

void response_reset(struct response *r)
{
	mem_free(r->bytes);
	if (r->fd >= 0)
		close(r->fd);
	if (r->release)
		r->release(r->state);
	buf_release(&r->out);
	response_init(r, r->arena);
}

void respond_header(struct response *r, const char *name, const char *value)
{
	char *copy = arena_strdup(r->arena, value);

	for (char *p = copy; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' '; /* a line break in a value would begin another header */
	TD_ASSERT(r->n_headers < HEADERS_MOST);
	r->headers[r->n_headers].name = arena_strdup(r->arena, name);
	r->headers[r->n_headers++].value = copy;
}

static const char *header_of(const struct response *r, const char *name)
{
	for (int i = 0; i < r->n_headers; i++)
		if (!strcmp(r->headers[i].name, name))
			return r->headers[i].value;
	return NULL;
}

void respond_bytes(struct response *r, int code, const char *media_type, char *bytes, size_t n)
{
	r->code = code;
	r->bytes = bytes;
	r->n = n;
	respond_header(r, "Content-Type", media_type);
}

void respond_borrowed(struct response *r, int code, const char *media_type, const void *bytes, size_t n)
{
	r->code = code;
	r->borrowed = bytes;
	r->n = n;
	respond_header(r, "Content-Type", media_type);
}

void respond_json(struct response *r, int code, cJSON *body)
{
	char *text = json_print(body);

	cJSON_Delete(body);
	respond_bytes(r, code, "application/json", text, strlen(text));
}

void respond_text(struct response *r, int code, const char *json)
{
	respond_bytes(r, code, "application/json", mem_strdup(json), strlen(json));
}

void respond_empty(struct response *r, int code)
{
	r->code = code;
	r->borrowed = "";
	r->n = 0;
}

/* ---- Ranges and files -------------------------------------------------------------------------------------------- */

td_status respond_range(
	struct response *r, const struct request *q, int64_t total, int64_t *first, int64_t *n, struct err *e)
{
	const char *range = request_header(q, "Range"), *only_if = request_header(q, "If-Range"),
		   *etag = header_of(r, "ETag");
	char text[80];

	*first = 0;
	*n = total;
	r->code = 200;
	respond_header(r, "Accept-Ranges", "bytes");
	if (only_if && (!etag || !text_etag_matches(only_if, etag) || !strncmp(only_if, "W/", 2)))
		range = NULL; /* it has changed since: the client needs all of it */
	switch (text_range(range, total, first, n)) {
	case RANGE_NONE: break;
	case RANGE_UNSATISFIABLE:
		snprintf(text, sizeof text, "bytes */%lld", (long long)total);
		respond_header(r, "Content-Range", text);
		respond_problem(r, q, 416, "range", "the range \"%.80s\" lies outside of the %lld bytes that there are",
			range, (long long)total);
		return err_set(e, TD_INVALID, "range");
	case RANGE_PART:
		snprintf(text, sizeof text, "bytes %lld-%lld/%lld", (long long)*first, (long long)(*first + *n - 1),
			(long long)total);
		respond_header(r, "Content-Range", text);
		r->code = 206;
		break;
	}
	r->length = *n;
	return TD_OK;
}

/* Content-Disposition with a name that cannot break out of its quotes. */
static void respond_attachment(struct response *r, const char *name)
{
	char value[300], *out = value + snprintf(value, sizeof value, "attachment; filename=\"");

	for (; *name && out < value + sizeof value - 3; name++)
		*out++ = (unsigned char)*name < 0x20 || (unsigned char)*name > 0x7e || strchr("\"\\/", *name) ? '_'
													      : *name;
	*out++ = '"';
	*out = '\0';
	respond_header(r, "Content-Disposition", value);
}

td_status respond_file(struct response *r, const struct request *q, const char *path, const char *media_type,
	const char *sha256, const char *name, struct err *e)
{
	struct err refused = { 0 };
	struct stat st;
	char etag[SHA256_TEXT + 2];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT || errno == ELOOP || errno == ENOTDIR
			       ? err_set(e, TD_NOT_FOUND, "the file is not there any more")
			       : err_errno(e, "opening the file");
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, TD_NOT_FOUND, "there is no such file");
	}
	if (sha256) {
		snprintf(etag, sizeof etag, "\"%.64s\"", sha256);
		respond_header(r, "ETag", etag);
	}
	if (name)
		respond_attachment(r, name);
	if (respond_range(r, q, st.st_size, &r->offset, &r->length, &refused)) {
		close(fd);
		return TD_OK; /* the response says why */
	}
	respond_header(r, "Content-Type", media_type);
	r->fd = fd;
	return TD_OK;
}

void respond_stream(
	struct response *r, const char *media_type, stream_fn next, void *state, void (*release)(void *state))
{
	if (!r->code)
		r->code = 200;
	r->next = next;
	r->state = state;
	r->release = release;
	respond_header(r, "Content-Type", media_type);
}

/* ---- What all responses have in common --------------------------------------------------------------------------- */

static void make_etag(struct response *r)
{
	const void *bytes = r->bytes ? r->bytes : r->borrowed;
	char etag[SHA256_TEXT + 2], hash[SHA256_TEXT];

	if (r->code != 200 || !bytes || header_of(r, "ETag"))
		return;
	sha256_of(bytes, r->n, hash);
	snprintf(etag, sizeof etag, "\"%.32s\"", hash);
	respond_header(r, "ETag", etag);
}

void response_finish(struct connection *c)
{
	struct response *r = &c->r;
	bool reading = !strcmp(c->q.method, "GET") || !strcmp(c->q.method, "HEAD");
	const char *known = request_header(&c->q, "If-None-Match"), *etag;

	if (reading)
		make_etag(r);
	etag = header_of(r, "ETag");
	if (reading && known && etag && (r->code == 200 || r->code == 206) && text_etag_matches(known, etag)) {
		char *kept = arena_strdup(&c->arena, etag);

		response_reset(r);
		respond_empty(r, 304);
		respond_header(r, "ETag", kept);
	}
	respond_header(r, "X-Request-Id", c->q.id);
	respond_header(r, "X-Content-Type-Options", "nosniff");
	respond_header(r, "Referrer-Policy", "same-origin");
	respond_header(r, "Cross-Origin-Resource-Policy", "same-origin");
	if (!header_of(r, "Cache-Control"))
		respond_header(r, "Cache-Control", r->next || r->code >= 400 || !reading ? "no-store" : "no-cache");
	/* The headers of a 304 replace those of the browser's copy, and a page has a policy of its own. */
	if (r->code != 304 && !header_of(r, "Content-Security-Policy"))
		respond_header(r, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
}
