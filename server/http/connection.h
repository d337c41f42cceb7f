/* A request under way and its response: what the files of http/ share and handlers do not see. */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include "base/arena.h"
#include "http/http.h"
#include "http/listener.h"
#include "part.h"
#include "server.h"

#define QUERY_MOST   32          /* parameters of a query */
#define HEADERS_MOST 20          /* headers that we add to one response */
#define DISCARD_MOST (64u << 20) /* bytes of a refused body that are read away so that its sender sees the answer */
#define STREAMS_MOST 512         /* streams and parked requests at once */
#define CONNECTIONS_MOST                                                                                               \
	2048               /* past it libmicrohttpd leaves clients without an answer: keep well above STREAMS_MOST     \
			    */
#define IDLE_SECONDS 60    /* a connection on which nothing moves; suspended ones do not count */
#define HEARTBEAT_MS 15000 /* a stream that is silent for so long says a comment; that also finds out who has left */
#define STOP_MS      2000  /* for requests under way when the server stops */

struct pair {
	const char *name, *value;
};

struct response {
	int code; /* 0: no response yet */
	struct {
		char *name, *value; /* in the connection's arena */
	} headers[HEADERS_MOST];
	int n_headers;
	struct arena *arena; /* borrowed */

	/* exactly one kind of content */
	char *bytes; /* owned */
	const void *borrowed;
	size_t n;
	int fd;                 /* of a file; -1: none.  The listener takes it */
	int64_t offset, length; /* what of it; LENGTH also of a stream, -1: unknown */
	stream_fn next;
	void *state; /* of the stream, owned through RELEASE */
	void (*release)(void *state);
	bool ended;     /* the stream has said all */
	bool parked;    /* the handler wants to be called again */
	struct buf out; /* appended by NEXT, not sent yet */
	size_t n_sent;  /* of OUT */
};

struct connection {
	struct request q;
	struct response r;
	struct arena arena;        /* everything that lives as long as the request */
	const struct route *route; /* NULL: not one of the API's */
	const char *raw;           /* request target as it was sent; "/" where it is too long to keep */
	bool too_long;
	struct pair query[QUERY_MOST];
	int n_query;
	struct buf body;
	struct part part;      /* of a body that is written to a file; closed: it is none */
	bool begun;            /* headers were looked at */
	bool refused;          /* ... and R holds a refusal that waits for the body to end */
	size_t n_discarded;    /* bytes of its body meanwhile */
	int64_t n_missing;     /* bytes of a body of declared length that have not come yet */
	bool admitted;         /* counted among the streams */
	int64_t park_until_ms; /* monotonic; 0: never parked */
	int64_t said_ms;       /* a stream's last piece */

	/* under the listener's lock */
	bool asleep;
	int64_t wake_at_ms; /* monotonic */
	struct connection *next_asleep, *previous_asleep;
	struct listener *listener;
	void *mhd; /* struct MHD_Connection */
};

/* ---- listener.c -------------------------------------------------------------------------------------------------- */
struct server *listener_server(const struct listener *l);
/* This thread's reader; NULL: none can be opened. */
struct store_reader *listener_reader(struct listener *l, struct err *e);
/* Wake-ups so far.  Read it, then look for news, then sleep: a wake-up in between is not missed. */
uint64_t listener_wakes(struct listener *l);
/* Suspend C unless there was a wake-up since SEEN, or the server stops: then false. */
bool listener_sleep(struct listener *l, struct connection *c, uint64_t seen, int64_t wake_at_ms);
bool listener_stopping(struct listener *l);
/* One more stream or parked request; false: STREAMS_MOST are open. */
bool listener_admit(struct listener *l, struct connection *c);
void listener_count(struct listener *l, struct connection *c);            /* C has come */
void listener_forget(struct listener *l, struct connection *c, int code); /* C has ended */

/* ---- serve.c ----------------------------------------------------------------------------------------------------- */
/* Start libmicrohttpd on the bound socket FD. */
struct MHD_Daemon;
struct MHD_Daemon *serve_start(struct listener *l, int fd, int n_threads);

/* ---- router.c ---------------------------------------------------------------------------------------------------- */
/* The gates that need no body.  False: c->r holds the refusal. */
bool router_begin(struct connection *c, int64_t declared_bytes);
/* The gates that do, and the handler. */
void router_run(struct connection *c);
/* Turn E into a problem response: the only place where a status becomes an HTTP code. */
void router_fail(struct connection *c, const struct err *e);
/* Compile the schemas of the route table's bodies, once. */
td_status router_init(struct err *e);

/* ---- upload.c ---------------------------------------------------------------------------------------------------- */
/* False: c->r holds the refusal, and nothing is left of the file. */
bool upload_begin(struct connection *c, int64_t declared_bytes);
bool upload_take(struct connection *c, const void *bytes, size_t n);
bool upload_end(struct connection *c);
/* What no handler has kept goes. */
void upload_discard(struct connection *c);

/* ---- respond.c --------------------------------------------------------------------------------------------------- */
void response_init(struct response *r, struct arena *arena);
void response_reset(struct response *r); /* forget everything; what it owns is released */
/* If-None-Match, headers that every response has. */
void response_finish(struct connection *c);

/* ---- auth.c ------------------------------------------------------------------------------------------------------ */
#define SESSION_COOKIE "tandem_session"
#define SESSION_NOTE   "session of " /* a session is a token whose note names the one it was made with */
/* Who asks?  Fills q->token; scope SCOPE_NONE for nobody.  A bearer token that is not known is TD_UNAUTHORIZED. */
td_status auth_identify(struct connection *c, struct err *e);
/* Host allow-list and, for writes, Origin.  False: c->r holds the refusal. */
bool auth_same_site(struct connection *c);

/* ---- static.c ---------------------------------------------------------------------------------------------------- */
/* A file of the dashboard; TD_NOT_FOUND. */
td_status static_serve(struct request *q, struct response *r, struct err *e);

#endif
