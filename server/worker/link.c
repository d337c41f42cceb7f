/* The worker's side of the socket: see link.h.
 *
 * Two threads meet here.  The training thread appends frames to one buffer of bytes, OUT, and never touches the socket;
 * the link's thread alone reads and writes it.  OUT begins with the oldest frame that is not acknowledged; SENT says
 * how far it has been written to the present connection.  A new connection sets SENT back to 0, so resending needs no
 * code of its own; the daemon ignores numbers that it has committed. */
#include "worker/link.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Unacknowledged bytes.  A second of a fast job's metrics is below 1 MB, so this holds the grace time of most jobs; the
 * largest message fits twice. */
#define OUT_MOST    (32u << 20)
#define READ_BYTES  65536
#define RETRY_MS    50   /* between attempts to reach a daemon that is away */
#define HELLO_MOST  4096 /* bytes of a hello */
#define ORDERS_MOST 4    /* a daemon sends one and waits for what becomes of it */

struct link {
	pthread_t thread;
	pthread_mutex_t lock; /* guards everything below it, but for the atomics */
	pthread_cond_t moved; /* an acknowledgement, an order, or the end of the link */
	char *socket;         /* owned; constant, like the next three */
	char *secret;         /* owned */
	char *role;           /* owned */
	char *fingerprint;    /* owned */
	int grace_ms;

	int fd;              /* -1: no daemon; the link's thread alone opens and closes it */
	char job[ULID_TEXT]; /* "": none yet */
	int attempt;
	int64_t number;   /* of the last message about the job */
	int64_t acked;    /* last number that the daemon has committed */
	struct buf out;   /* frames, oldest first: unacknowledged, then unsent */
	size_t sent;      /* bytes of OUT that this connection has taken */
	struct buf hello; /* of this connection; goes before OUT */
	struct buf in;
	struct proto_msg orders[ORDERS_MOST];
	int n_orders;
	int64_t away_since; /* monotonic ms: no word from a daemon since; 0: it is there */
	bool gone;          /* no daemon any more, for good */
	bool closing;

	atomic_int stop; /* enum link_stop */
	int wake;        /* eventfd: OUT has grown, or the link closes, or a drain was asked for */
};

static void wake_thread(const struct link *l)
{
	uint64_t one = 1;
	ssize_t n = write(l->wake, &one, sizeof one);

	(void)n; /* fails only when the counter is full, and then the thread wakes anyway */
}

/* ---- Connections ----------------------------------------------------------------------------------------------- */

static int connect_to(const char *path, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof address.sun_path) {
		err_set(e, TD_INVALID, "the socket's path %s is longer than %zu bytes", path,
			sizeof address.sun_path - 1);
		return -1;
	}
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) ||
		fcntl(fd, F_SETFL, O_NONBLOCK)) {
		err_errno(e, "connecting to the daemon at %s", path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* A connection begins: say who we are, and everything unacknowledged again. */
static void greet(struct link *l, int fd)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, "secret", l->secret);
	cJSON_AddStringToObject(body, "role", l->role);
	cJSON_AddNumberToObject(body, "pid", getpid());
	cJSON_AddStringToObject(body, "fingerprint", l->fingerprint);
	if (*l->job) {
		cJSON_AddStringToObject(body, "job", l->job);
		cJSON_AddNumberToObject(body, "attempt", l->attempt);
	}
	buf_clear(&l->hello);
	proto_encode(&l->hello, PROTO_HELLO, 0, body);
	cJSON_Delete(body);
	buf_clear(&l->in);
	l->fd = fd;
	l->sent = 0;
}

static void finish(struct link *l, enum link_stop why)
{
	atomic_store(&l->stop, why);
	l->gone = true;
	pthread_cond_broadcast(&l->moved);
}

/* The connection broke.  A worker without a job has nothing to come back for. */
static void lose(struct link *l)
{
	close(l->fd);
	l->fd = -1;
	if (!*l->job)
		finish(l, LINK_ORPHANED);
}

/* ---- What arrives ---------------------------------------------------------------------------------------------- */

/* Remove the frames up to the acknowledged number.  They have been sent, so the cut is never behind SENT, except right
 * after a reconnection, when the daemon names what it had committed before the break. */
static void take_ack(struct link *l, int64_t number)
{
	size_t cut = 0;

	if (number > l->number || number < l->acked)
		return;
	while (cut < l->out.len) {
		const unsigned char *head = (const unsigned char *)l->out.data + cut;
		uint64_t n = 0, frame_number = 0;
		for (int i = 0; i < 4; i++)
			n |= (uint64_t)head[i] << (8 * i);
		for (int i = 0; i < 8; i++)
			frame_number |= (uint64_t)head[8 + i] << (8 * i);
		/* A frame of which this connection has taken a part must go on to its end. */
		if ((int64_t)frame_number > number || (l->sent > cut && l->sent < cut + PROTO_HEADER + n))
			break;
		cut += PROTO_HEADER + n;
	}
	buf_drop(&l->out, cut);
	l->sent -= TD_MIN(cut, l->sent);
	l->acked = number;
	pthread_cond_broadcast(&l->moved);
}

static void take_stop(struct link *l, const char *why)
{
	static const struct {
		const char *text;
		enum link_stop stop;
	} rows[] = { { "cancel", LINK_CANCEL }, { "pause", LINK_PAUSE }, { "drain", LINK_DRAIN },
		{ "timeout", LINK_TIMEOUT }, { "stale", LINK_STALE } };

	for (size_t i = 0; i < TD_COUNT(rows); i++)
		if (!strcmp(why, rows[i].text) && !l->gone)
			atomic_store(&l->stop, rows[i].stop);
	if (!strcmp(why, "stale"))
		finish(l, LINK_STALE);
}

/* False: the daemon talks nonsense. */
static bool take_message(struct link *l, struct proto_msg *m)
{
	l->away_since = 0;
	switch (m->kind) {
	case PROTO_ACK: take_ack(l, json_int(m->body, "number", 0)); break;
	case PROTO_STOP: take_stop(l, json_string(m->body, "why", "")); break;
	case PROTO_RUN:
	case PROTO_CHECK:
	case PROTO_PREPARE:
	case PROTO_PREDICT:
	case PROTO_REPLAY:
		if (l->n_orders == ORDERS_MOST)
			return false;
		/* Known from this moment on, so that a break before the first step is survived too. */
		if (m->kind == PROTO_RUN) {
			snprintf(l->job, sizeof l->job, "%s", json_string(m->body, "job", ""));
			l->attempt = (int)json_int(m->body, "attempt", 0);
		}
		l->orders[l->n_orders++] = *m;
		m->body = NULL;
		pthread_cond_broadcast(&l->moved);
		break;
	default: return false;
	}
	proto_msg_release(m);
	return true;
}

static bool read_all(struct link *l)
{
	char chunk[READ_BYTES];
	struct err e = { 0 };
	struct proto_msg m;
	int got;

	for (;;) {
		ssize_t n = recv(l->fd, chunk, sizeof chunk, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0 || !buf_append(&l->in, chunk, (size_t)n))
			return false;
		while ((got = proto_decode(&l->in, &m, &e)) == 1)
			if (!take_message(l, &m)) {
				log_line(LOG_ERROR, "unexpected message", "kind=%s", proto_kind_name(m.kind));
				proto_msg_release(&m);
				return false;
			}
		if (got < 0) {
			log_line(LOG_ERROR, "the daemon's messages cannot be read", "text=%s", e.text);
			return false;
		}
	}
}

/* ---- What leaves ----------------------------------------------------------------------------------------------- */

static bool write_some(struct link *l, const char *bytes, size_t n, size_t *taken)
{
	ssize_t put = n ? send(l->fd, bytes, n, MSG_NOSIGNAL) : 0;

	*taken = put > 0 ? (size_t)put : 0;
	return put >= 0 || errno == EAGAIN || errno == EINTR;
}

static bool write_all(struct link *l)
{
	size_t taken = 0;

	if (l->hello.len) {
		if (!write_some(l, l->hello.data, l->hello.len, &taken))
			return false;
		buf_drop(&l->hello, taken);
	}
	if (!l->hello.len && l->sent < l->out.len) {
		if (!write_some(l, l->out.data + l->sent, l->out.len - l->sent, &taken))
			return false;
		l->sent += taken;
	}
	/* A checker's answers are not numbered, so nobody acknowledges them: sent is done. */
	if (!*l->job && l->sent == l->out.len && l->out.len) {
		buf_drop(&l->out, l->sent);
		l->sent = 0;
		pthread_cond_broadcast(&l->moved);
	}
	return true;
}

/* ---- The thread ------------------------------------------------------------------------------------------------ */

/* Wait for the socket or a wake-up, with the lock released. */
static short wait_events(struct link *l, int timeout_ms)
{
	bool unsent = l->hello.len || l->sent < l->out.len;
	struct pollfd fds[2] = { { .fd = l->wake, .events = POLLIN },
		{ .fd = l->fd, .events = (short)(POLLIN | (unsent ? POLLOUT : 0)) } };
	uint64_t count;

	pthread_mutex_unlock(&l->lock);
	poll(fds, 2, timeout_ms);
	if (fds[0].revents && read(l->wake, &count, sizeof count) < 0)
		errno = 0; /* somebody else's wake-up was counted in this one */
	pthread_mutex_lock(&l->lock);
	return l->fd >= 0 ? fds[1].revents : 0;
}

/* A daemon is back when it has said something: one that only accepts and closes must not keep the worker waiting for
 * ever. */
static void reach_again(struct link *l)
{
	int64_t now_ms = clock_monotonic_ms();
	int fd;

	if (!l->away_since)
		l->away_since = now_ms;
	else
		wait_events(l, RETRY_MS);
	if (now_ms - l->away_since >= l->grace_ms) {
		finish(l, LINK_ORPHANED);
		return;
	}
	pthread_mutex_unlock(&l->lock);
	fd = connect_to(l->socket, NULL);
	pthread_mutex_lock(&l->lock);
	if (fd >= 0)
		greet(l, fd);
}

static void *run(void *arg)
{
	struct link *l = arg;

	pthread_mutex_lock(&l->lock);
	while (!l->closing && !l->gone) {
		short events;
		if (l->fd < 0) {
			reach_again(l);
			continue;
		}
		events = wait_events(l, -1);
		if (atomic_load(&l->stop) != LINK_GO)
			pthread_cond_broadcast(&l->moved); /* a signal handler cannot */
		if ((events & (POLLIN | POLLHUP | POLLERR) && !read_all(l)) || (!l->gone && !write_all(l)))
			lose(l);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* ---- For the training thread ----------------------------------------------------------------------------------- */

td_status link_open(const char *socket, const char *secret, const char *role, const char *fingerprint,
	int grace_seconds, struct link **out, struct err *e)
{
	int fd = connect_to(socket, e);
	pthread_condattr_t monotonic;
	struct link *l;

	if (fd < 0)
		return e->status;
	l = MEM_NEW(struct link);
	l->socket = mem_strdup(socket);
	l->secret = mem_strdup(secret);
	l->role = mem_strdup(role);
	l->fingerprint = mem_strdup(fingerprint);
	l->grace_ms = grace_seconds * 1000;
	buf_init(&l->out, OUT_MOST);
	buf_init(&l->in, PROTO_BODY_MOST + PROTO_HEADER + READ_BYTES);
	buf_init(&l->hello, HELLO_MOST);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->moved, &monotonic);
	pthread_condattr_destroy(&monotonic);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	TD_ASSERT(l->wake >= 0);
	greet(l, fd);
	TD_ASSERT(!pthread_create(&l->thread, NULL, run, l));
	*out = l;
	return TD_OK;
}

void link_close(struct link *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->closing = true;
	pthread_mutex_unlock(&l->lock);
	wake_thread(l);
	pthread_join(l->thread, NULL);
	for (int i = 0; i < l->n_orders; i++)
		proto_msg_release(&l->orders[i]);
	if (l->fd >= 0)
		close(l->fd);
	close(l->wake);
	buf_release(&l->out);
	buf_release(&l->in);
	buf_release(&l->hello);
	pthread_cond_destroy(&l->moved);
	pthread_mutex_destroy(&l->lock);
	mem_free(l->socket);
	mem_free(l->secret);
	mem_free(l->role);
	mem_free(l->fingerprint);
	mem_free(l);
}

/* The moment TIMEOUT_MS from now, as pthread_cond_timedwait wants it. */
static struct timespec after_ms(int timeout_ms)
{
	int64_t end = clock_monotonic_ns() + timeout_ms * 1000000ll;

	return (struct timespec){ .tv_sec = end / 1000000000, .tv_nsec = end % 1000000000 };
}

int link_order(struct link *l, int timeout_ms, struct proto_msg *m)
{
	struct timespec until = after_ms(TD_MAX(timeout_ms, 0));
	int got = -1, waited = 0;

	pthread_mutex_lock(&l->lock);
	while (!l->n_orders && !l->gone && atomic_load(&l->stop) == LINK_GO && !waited)
		waited = timeout_ms == LINK_FOREVER ? pthread_cond_wait(&l->moved, &l->lock)
						    : pthread_cond_timedwait(&l->moved, &l->lock, &until);
	if (l->n_orders) {
		*m = l->orders[0];
		memmove(l->orders, l->orders + 1, sizeof *m * (size_t)--l->n_orders);
		got = 0;
	} else if (waited) {
		got = 1;
	}
	pthread_mutex_unlock(&l->lock);
	return got;
}

void link_set_job(struct link *l, const char *job, int attempt)
{
	pthread_mutex_lock(&l->lock);
	snprintf(l->job, sizeof l->job, "%s", job);
	l->attempt = attempt;
	l->number = l->acked = 0;
	pthread_mutex_unlock(&l->lock);
}

bool link_send(struct link *l, enum proto_kind kind, cJSON *body)
{
	struct buf frame;
	bool sent = false;

	buf_init(&frame, PROTO_BODY_MOST + PROTO_HEADER);
	pthread_mutex_lock(&l->lock);
	if (!proto_encode(&frame, kind, *l->job ? l->number + 1 : 0, body))
		TD_BUG("a %s message is over %u bytes", proto_kind_name(kind), PROTO_BODY_MOST);
	while (!l->gone && frame.len > l->out.cap - l->out.len)
		pthread_cond_wait(&l->moved, &l->lock);
	if (!l->gone) {
		sent = buf_append(&l->out, frame.data, frame.len);
		l->number += *l->job ? 1 : 0;
	}
	pthread_mutex_unlock(&l->lock);
	wake_thread(l);
	buf_release(&frame);
	cJSON_Delete(body);
	return sent;
}

enum link_stop link_stop_wanted(const struct link *l)
{
	return (enum link_stop)atomic_load(&l->stop);
}

void link_request_drain(struct link *l)
{
	int go = LINK_GO;

	if (atomic_compare_exchange_strong(&l->stop, &go, LINK_DRAIN))
		wake_thread(l);
}

bool link_flush(struct link *l, int timeout_ms)
{
	struct timespec until = after_ms(timeout_ms);
	bool flushed;
	int waited = 0;

	pthread_mutex_lock(&l->lock);
	while (l->out.len && !l->gone && !waited)
		waited = pthread_cond_timedwait(&l->moved, &l->lock, &until);
	flushed = !l->out.len;
	pthread_mutex_unlock(&l->lock);
	return flushed;
}
