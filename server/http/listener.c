/* The listening socket, those who sleep, and the one thread that wakes them: see listener.h.
 *
 * A connection with nothing to say is suspended and stands in a list.  Every commit wakes all of them; each looks for
 * itself. "Nothing there, so sleep" and "something came, so wake" share one lock and a count of wake-ups, so none is
 * lost. Waking is the work of a thread of its own: the writer, which learns of commits first, only raises a flag. */
#include "http/listener.h"
#include "base/log.h"
#include "http/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define THREADS_MOST_HTTP 64
#define WAKE_GAP_MS       5   /* between two wake-ups of all: commits that come faster are seen together */
#define TICK_MS           500 /* how late a heartbeat may be */
#define BACKLOG           512

struct listener {
	struct server *srv; /* borrowed */
	struct MHD_Daemon *mhd;
	int fd;
	bool is_private;
	char url[128];

	pthread_mutex_t lock;      /* all below */
	pthread_cond_t changed;    /* somebody should be woken, or a connection has ended */
	struct connection *asleep; /* list */
	uint64_t wakes;
	bool wanted; /* a wake-up since the last one */
	bool draining, stopping, ticking;
	int n_connections, n_streams;
	int64_t requests[6];
	struct store_reader *readers[THREADS_MOST_HTTP]; /* owned, one per thread */
	int n_readers;

	pthread_key_t reader_key;
	pthread_t ticker;
};

/* ---- Binding ----------------------------------------------------------------------------------------------------- */

/* "HOST:PORT", "[V6]:PORT" or ":PORT" into its halves.  The port is checked here: getaddrinfo takes 99999 for 34463. */
static bool split_address(const char *text, char *host, size_t room, const char **port)
{
	const char *colon = strrchr(text, ':'), *start = text, *end = colon;

	if (!colon || !colon[1] || colon[1 + strspn(colon + 1, "0123456789")] || strlen(colon + 1) > 5 ||
		strtol(colon + 1, NULL, 10) > UINT16_MAX)
		return false;
	if (*start == '[') {
		start++;
		end = colon - 1;
		if (end < start || *end != ']')
			return false;
	} else if (memchr(text, ':', (size_t)(colon - text))) {
		return false;
	}
	if ((size_t)(end - start) >= room)
		return false;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	*port = colon + 1;
	return true;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

	if (a->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return a->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static td_status bind_to(const struct addrinfo *a, int *out, struct err *e)
{
	int on = 1, fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_errno(e, "opening a socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, BACKLOG)) {
		err_errno(e, "listening");
		close(fd);
		return e->status;
	}
	*out = fd;
	return TD_OK;
}

static void describe_address(struct listener *l)
{
	struct sockaddr_storage a = { 0 };
	socklen_t n = sizeof a;
	char host[64], port[8];

	getsockname(l->fd, (struct sockaddr *)&a, &n);
	l->is_private = is_loopback(&a);
	getnameinfo((struct sockaddr *)&a, n, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(l->url, sizeof l->url, strchr(host, ':') ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

td_status listener_open(struct server *srv, struct listener **out, struct err *e)
{
	const char *address = srv->config->listen, *port;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found = NULL;
	struct listener *l;
	char host[128];
	int failed, fd = -1;

	if (!split_address(address, host, sizeof host, &port))
		return err_set(e, TD_INVALID,
			"--listen \"%s\" is not an address; expected HOST:PORT, like 127.0.0.1:8080 or [::1]:8080",
			address);
	failed = getaddrinfo(*host ? host : NULL, port, &hints, &found);
	if (failed)
		return err_set(e, TD_INVALID, "--listen \"%s\": %s", address, gai_strerror(failed));
	if (bind_to(found, &fd, e)) {
		freeaddrinfo(found);
		return err_wrap(e, "--listen %s", address);
	}
	freeaddrinfo(found);
	l = MEM_NEW(struct listener);
	l->srv = srv;
	l->fd = fd;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_key_create(&l->reader_key, NULL);
	describe_address(l);
	*out = l;
	return TD_OK;
}

const char *listener_url(const struct listener *l)
{
	return l->url;
}

bool listener_private(const struct listener *l)
{
	return l->is_private;
}

struct server *listener_server(const struct listener *l)
{
	return l->srv;
}

/* ---- Readers ----------------------------------------------------------------------------------------------------- */

struct store_reader *listener_reader(struct listener *l, struct err *e)
{
	struct store_reader *reader = pthread_getspecific(l->reader_key);

	if (reader)
		return reader;
	if (store_reader_open(l->srv->store, &reader, e))
		return NULL;
	pthread_mutex_lock(&l->lock);
	TD_ASSERT(l->n_readers < THREADS_MOST_HTTP);
	l->readers[l->n_readers++] = reader;
	pthread_mutex_unlock(&l->lock);
	pthread_setspecific(l->reader_key, reader);
	return reader;
}

/* ---- Sleeping and waking ----------------------------------------------------------------------------------------- */

uint64_t listener_wakes(struct listener *l)
{
	uint64_t n;

	pthread_mutex_lock(&l->lock);
	n = l->wakes;
	pthread_mutex_unlock(&l->lock);
	return n;
}

bool listener_stopping(struct listener *l)
{
	bool stopping;

	pthread_mutex_lock(&l->lock);
	stopping = l->stopping;
	pthread_mutex_unlock(&l->lock);
	return stopping;
}

bool listener_sleep(struct listener *l, struct connection *c, uint64_t seen, int64_t wake_at_ms)
{
	bool sleeps;

	pthread_mutex_lock(&l->lock);
	sleeps = l->wakes == seen && !l->stopping;
	if (sleeps) {
		MHD_suspend_connection(c->mhd);
		c->asleep = true;
		c->wake_at_ms = wake_at_ms;
		c->previous_asleep = NULL;
		c->next_asleep = l->asleep;
		if (l->asleep)
			l->asleep->previous_asleep = c;
		l->asleep = c;
	}
	pthread_mutex_unlock(&l->lock);
	return sleeps;
}

static void wake(struct listener *l, struct connection *c)
{
	if (c->previous_asleep)
		c->previous_asleep->next_asleep = c->next_asleep;
	else
		l->asleep = c->next_asleep;
	if (c->next_asleep)
		c->next_asleep->previous_asleep = c->previous_asleep;
	c->asleep = false;
	MHD_resume_connection(c->mhd);
}

/* Those whose time has come, or ALL.  Under the lock. */
static void wake_due(struct listener *l, int64_t now_ms, bool all)
{
	struct connection *next;

	for (struct connection *c = l->asleep; c; c = next) {
		next = c->next_asleep; /* C may be gone once it is awake */
		if (all || c->wake_at_ms <= now_ms)
			wake(l, c);
	}
}

static void wait_ms(struct listener *l, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&l->changed, &l->lock, &until);
}

static void *tick(void *arg)
{
	struct listener *l = arg;
	int64_t woke_ms = 0;

	pthread_mutex_lock(&l->lock);
	while (l->ticking) {
		int64_t now = clock_monotonic_ms();

		if (l->wanted && now - woke_ms < WAKE_GAP_MS) {
			wait_ms(l, WAKE_GAP_MS);
			continue;
		}
		if (l->wanted) {
			l->wanted = false;
			l->wakes++;
			woke_ms = now;
			wake_due(l, now, true);
			continue;
		}
		wake_due(l, now, false);
		wait_ms(l, TICK_MS);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

void listener_wake(struct listener *l)
{
	pthread_mutex_lock(&l->lock);
	l->wanted = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

/* ---- Counting ---------------------------------------------------------------------------------------------------- */

bool listener_admit(struct listener *l, struct connection *c)
{
	pthread_mutex_lock(&l->lock);
	if (!c->admitted && l->n_streams < STREAMS_MOST) {
		c->admitted = true;
		l->n_streams++;
	}
	pthread_mutex_unlock(&l->lock);
	return c->admitted;
}

void listener_count(struct listener *l, struct connection *c)
{
	c->listener = l;
	pthread_mutex_lock(&l->lock);
	l->n_connections++;
	pthread_mutex_unlock(&l->lock);
}

void listener_forget(struct listener *l, struct connection *c, int code)
{
	pthread_mutex_lock(&l->lock);
	TD_ASSERT(!c->asleep);
	l->n_connections--;
	l->n_streams -= c->admitted;
	if (code >= 100 && code < 600)
		l->requests[code / 100]++;
	if (l->stopping)
		pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

void listener_stats(struct listener *l, struct listener_stats *out)
{
	pthread_mutex_lock(&l->lock);
	memcpy(out->requests, l->requests, sizeof out->requests);
	out->connections = l->n_connections;
	out->streams = l->n_streams;
	pthread_mutex_unlock(&l->lock);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

/* Descriptors for every connection, besides what the rest of the daemon needs. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= 2 * CONNECTIONS_MOST)
		return;
	limit.rlim_cur = TD_MIN(limit.rlim_max, 2 * CONNECTIONS_MOST);
	setrlimit(RLIMIT_NOFILE, &limit);
}

td_status listener_start(struct listener *l, struct err *e)
{
	int n_threads = TD_MIN(l->srv->config->http_threads, THREADS_MOST_HTTP);

	if (router_init(e))
		return e->status;
	raise_file_limit();
	l->ticking = true;
	if (pthread_create(&l->ticker, NULL, tick, l)) {
		l->ticking = false;
		return err_set(e, TD_NO_MEMORY, "the thread that wakes streams cannot be started");
	}
	l->mhd = serve_start(l, l->fd, n_threads);
	return l->mhd ? TD_OK
		      : err_set(e, TD_UNAVAILABLE, "libmicrohttpd cannot be started with %d threads", n_threads);
}

void listener_drain(struct listener *l)
{
	pthread_mutex_lock(&l->lock);
	l->draining = true;
	pthread_mutex_unlock(&l->lock);
}

bool listener_draining(struct listener *l)
{
	bool draining;

	pthread_mutex_lock(&l->lock);
	draining = l->draining;
	pthread_mutex_unlock(&l->lock);
	return draining;
}

/* libmicrohttpd aborts when it is stopped with a suspended connection: wake all, let none sleep again, give them a
 * moment. */
static void end_requests(struct listener *l)
{
	int64_t deadline = clock_monotonic_ms() + STOP_MS, left;

	pthread_mutex_lock(&l->lock);
	l->stopping = true;
	l->wakes++;
	wake_due(l, 0, true);
	while (l->n_connections > 0 && (left = deadline - clock_monotonic_ms()) > 0)
		wait_ms(l, (int)left);
	if (l->n_connections > 0)
		log_line(LOG_WARN, "requests cut off", "n=%d after_ms=%d", l->n_connections, STOP_MS);
	pthread_mutex_unlock(&l->lock);
}

void listener_stop(struct listener *l)
{
	if (l->mhd) {
		MHD_quiesce_daemon(l->mhd);
		shutdown(l->fd, SHUT_RDWR); /* clients are refused at once, not left in the backlog */
		end_requests(l);
		MHD_stop_daemon(l->mhd);
		l->mhd = NULL;
	}
	if (l->ticking) {
		pthread_mutex_lock(&l->lock);
		l->ticking = false;
		pthread_cond_broadcast(&l->changed);
		pthread_mutex_unlock(&l->lock);
		pthread_join(l->ticker, NULL);
	}
	for (; l->n_readers; l->n_readers--)
		store_reader_close(l->readers[l->n_readers - 1]);
}

void listener_free(struct listener *l)
{
	if (!l)
		return;
	listener_stop(l);
	close(l->fd);
	pthread_key_delete(l->reader_key);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	mem_free(l);
}
