/* HTTP, seen from a handler.  libmicrohttpd stays behind this header.
 *
 * http/ assembles a request (capped), walks THE route table (routes.c) and its gates, and calls the row's handler:
 *
 *	answers	it fills the response and returns TD_OK, or returns a status with a message: only the router turns a
 *		status into HTTP
 *	streams	respond_stream: a callback writes pieces, the connection sleeps while there is nothing
 *	parks	request_park: it is called again at every wake-up until it is ready or its deadline has passed
 *
 * It never waits for more than the writer or the checker. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/file.h"
#include "store/store.h"

struct server; /* main.c's: store, control, configuration; see server.h */

/* A body that was written to a file as it came. */
struct upload {
	char *path;   /* owned; the file, gone when the request is over unless upload_keep has given it another name */
	int64_t most; /* bytes */
	int64_t n_bytes; /* like the next one, when the handler runs */
	char sha256[SHA256_TEXT];
};
td_status upload_keep(struct upload *u, const char *path, struct err *e);

struct request {
	struct server *srv;
	struct store_reader *reader; /* this thread's */
	const char *method, *path;   /* borrowed */
	const char *param[3];        /* what stood for {..} in the route's path, in order */
	const char *body;            /* zero-terminated; NULL: none */
	size_t n_body;
	cJSON *json;                   /* the parsed body when the route takes JSON; the router's */
	struct upload upload;          /* PATH NULL: the body is no file */
	struct token token;            /* who asks; owner "local" and scope admin where no token is needed */
	char id[ULID_TEXT + 64];       /* X-Request-Id */
	struct connection *connection; /* http/'s own */
	/* The handler's own, which stays while it parks and is released when the request is over. */
	void *kept;
	void (*release_kept)(struct server *srv, void *kept);
};

const char *request_query(const struct request *q, const char *name);  /* decoded value, or NULL */
const char *request_header(const struct request *q, const char *name); /* or NULL */
/* An integer of the query within LOW..HIGH; absent: OTHERWISE; else TD_INVALID with a message that names it. */
td_status request_int(const struct request *q, const char *name, int64_t low, int64_t high, int64_t otherwise,
	int64_t *out, struct err *e);
bool request_accepts(const struct request *q, const char *media_type); /* prefers it to JSON */
/* "http://HOST/path" as the client knows this server, for links (mem_free). */
char *request_url(const struct request *q, const char *path);
/* "There is nothing to say yet": when true, the handler returns TD_OK without a response and is called again at the
 * next commit, with everything it did forgotten.  False: TIMEOUT_MS have passed since the first call, or the server
 * stops; answer now. */
bool request_park(struct request *q, int timeout_ms);

struct response; /* http/'s own */

/* JSON: takes the tree.  A strong ETag is made of the body; If-None-Match is answered by the router. */
void respond_json(struct response *r, int code, cJSON *body);
void respond_bytes(struct response *r, int code, const char *media_type, char *bytes /* taken */, size_t n);
void respond_borrowed(struct response *r, int code, const char *media_type, const void *bytes,
	size_t n);                                                              /* lives as long as the program */
void respond_text(struct response *r, int code, const char *json /* copied */); /* JSON that is printed already */
void respond_empty(struct response *r, int code);
/* A refusal that has no td_status (405, 415, 421 ...). */
void respond_problem(struct response *r, const struct request *q, int code, const char *type, const char *fmt, ...)
	TD_PRINTF(5, 6);
void respond_header(struct response *r, const char *name, const char *value);
/* A file below the data folder, with Range, ETag "SHA256" (may be NULL), Content-Disposition: attachment when NAME. */
td_status respond_file(struct response *r, const struct request *q, const char *path, const char *media_type,
	const char *sha256, const char *name, struct err *e);
/* Every fault becomes an entry of the problem's errors[], with line and column in the request's body. */
td_status respond_faults(struct response *r, const struct request *q, const struct faults *f, struct err *e);

/* ---- Streams ----------------------------------------------------------------------------------------------------- */

/* Append to OUT what is new; called at the start, at every wake-up (store commit) and every heartbeat.  Return false to
 * end the stream after what was appended.  HEARTBEAT: 15 s have passed with nothing to say. */
typedef bool (*stream_fn)(void *state, struct store_reader *reader, bool heartbeat, struct buf *out);
void respond_stream(
	struct response *r, const char *media_type, stream_fn next, void *state, void (*release)(void *state));
/* The same for content of a known length: what Range asks for of TOTAL bytes.  *FIRST and *N say which bytes NEXT has
 * to append. */
td_status respond_range(
	struct response *r, const struct request *q, int64_t total, int64_t *first, int64_t *n, struct err *e);
#define STREAM_PIECE_MOST (2u << 20) /* bytes that one call of a stream_fn may append */

/* ---- The route table --------------------------------------------------------------------------------------------- */

enum body_kind {
	BODY_NONE,
	BODY_JSON,
	BODY_BYTES, /* of whatever media type: the handler's business */
	BODY_FILE,  /* written to a file as it comes; where there is a body_schema, JSON is read as for BODY_JSON */
};

struct route {
	const char *method, *path; /* "/api/v1/jobs/{id}/cancel" */
	td_status (*handler)(struct request *q, struct response *r, struct err *e);
	enum token_scope scope; /* SCOPE_NONE: public */
	enum body_kind body;
	size_t max_body; /* bytes; 0 with BODY_NONE */
	const char *
		body_schema; /* JSON Schema of the body, checked before the handler; NULL: the handler's own business */
	/* Of BODY_FILE: says where the file grows and how large it may become, or refuses, before the body is read. */
	td_status (*open)(struct request *q, struct upload *u, struct err *e);
	bool while_draining;       /* a write that is taken even then */
	const char *tag, *summary; /* for the OpenAPI document */
	const char *query; /* "limit:int after:string state:string", for the OpenAPI document and refusal of unknown
			      names */
	int success;       /* its 2xx code */
	const char *response_schema; /* name in components/schemas, or NULL */
};

extern const struct route routes[]; /* the router's table in http/routes.c; ends with method NULL */

#endif
