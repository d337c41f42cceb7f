/* The listening socket and the HTTP threads: what main.c sees of http/.
 *
 * A small fixed pool of threads serves all connections.  Whoever has nothing to say yet is suspended, and costs no
 * thread. */
#ifndef HTTP_LISTENER_H
#define HTTP_LISTENER_H

#include "server.h"

struct listener;

/* Bind SRV->config->listen ("HOST:PORT", "[::1]:PORT"; port 0 picks one) and find out who can reach it.  Nothing is
 * served yet. */
td_status listener_open(struct server *srv, struct listener **out, struct err *e);
const char *listener_url(const struct listener *l); /* "http://127.0.0.1:8080", borrowed */
bool listener_private(const struct listener *l);    /* bound to loopback */
td_status listener_start(struct listener *l, struct err *e);

/* From any thread, never blocks: rows changed, streams should look. */
void listener_wake(struct listener *l);
/* From now on writes are refused with 503; reads and streams go on. */
void listener_drain(struct listener *l);
bool listener_draining(struct listener *l);
/* Refuse new connections, end streams, give requests under way a moment, stop the threads and close their readers.  The
 * store may still call listener_wake. */
void listener_stop(struct listener *l);
void listener_free(struct listener *l); /* NULL is fine */

/* Counters since the start, for /metrics. */
struct listener_stats {
	int64_t requests[6]; /* by first digit of the answer's code */
	int connections, streams;
};
void listener_stats(struct listener *l, struct listener_stats *out);

#endif
