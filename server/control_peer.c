/* Sockets of the control loop: bytes in, bytes out, and who is at the other end.
 *
 * A connection is a stranger until its hello names a secret that was handed to a process: then it becomes that
 * worker's.  A worker that comes back after its daemon was away also names its job and attempt. */
#include "control_internal.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_BYTES 65536
#define READ_MOST  (4 * READ_BYTES) /* bytes a round, but for a larger frame: each message moves what lies behind it */
#define IN_MOST    (PROTO_BODY_MOST + PROTO_HEADER + READ_BYTES) /* the largest frame, and the read in which it ended */
#define OUT_MOST   (PROTO_BODY_MOST + (1u << 20))                /* a RUN, and small orders after it */
#define BACKLOG    64

bool control_listen(struct control *c, struct err *e)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	c->socket = mem_printf("%s/worker.sock", c->config->data_dir);
	if (strlen(c->socket) >= sizeof address.sun_path) {
		err_set(e, TD_INVALID,
			"--data-dir %s is too long: %s, the socket of the workers, may have at most %zu characters",
			c->config->data_dir, c->socket, sizeof address.sun_path - 1);
		return false;
	}
	snprintf(address.sun_path, sizeof address.sun_path, "%s", c->socket);
	unlink(c->socket);
	c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* The mode is given before bind, so that the socket is never open to others, not even for a moment. */
	if (c->listener < 0 || fchmod(c->listener, 0600) ||
		bind(c->listener, (const struct sockaddr *)&address, sizeof address) || listen(c->listener, BACKLOG)) {
		err_errno(e, "listening at %s", c->socket);
		return false;
	}
	return true;
}

void control_listen_again(struct control *c)
{
	struct err e = { 0 };

	if (!access(c->socket, F_OK))
		return;
	log_line(LOG_WARN, "the workers' socket was removed", "path=%s text=it is made again", c->socket);
	mem_free(c->socket);
	if (c->listener >= 0)
		close(c->listener);
	if (!control_listen(c, &e))
		log_line(LOG_ERROR, "workers cannot reach the daemon", "text=%s", e.text);
}

/* ---- Bytes ----------------------------------------------------------------------------------------------------- */

static void peer_accept_all(struct control *c)
{
	int fd;

	while (c->n_strangers < STRANGERS_MOST &&
		(fd = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct peer *p = MEM_NEW(struct peer);
		p->fd = fd;
		p->slot = -1;
		p->hello_by_ms = c->now_ms + HELLO_MS;
		buf_init(&p->in, IN_MOST);
		buf_init(&p->out, OUT_MOST);
		p->next = c->strangers;
		c->strangers = p;
		c->n_strangers++;
	}
}

void peer_free(struct peer *p)
{
	if (!p)
		return;
	close(p->fd);
	buf_release(&p->in);
	buf_release(&p->out);
	mem_free(p);
}

void peer_read(struct peer *p)
{
	char chunk[READ_BYTES];

	while (!p->ended && p->in.len < TD_MAX(READ_MOST, proto_frame_bytes(&p->in)) &&
		p->in.cap - p->in.len >= sizeof chunk) {
		ssize_t n = recv(p->fd, chunk, sizeof chunk, 0);
		if (n > 0)
			buf_append(&p->in, chunk, (size_t)n);
		else if (n < 0 && errno == EINTR)
			continue;
		else if (n < 0 && errno == EAGAIN)
			break;
		else
			p->ended = true;
	}
}

void peer_write(struct peer *p)
{
	while (p->out.len) {
		ssize_t n = send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			buf_clear(&p->out); /* it is gone; reading will say so, after what it still had to say */
		if (n < 0)
			break;
		buf_drop(&p->out, (size_t)n);
	}
}

void peer_say(struct peer *p, enum proto_kind kind, cJSON *body)
{
	if (p && !proto_encode(&p->out, kind, 0, body)) {
		log_line(LOG_ERROR, "message does not fit", "kind=%s", proto_kind_name(kind));
		shutdown(p->fd, SHUT_RDWR);
	}
	if (p)
		peer_write(p);
	cJSON_Delete(body);
}

void peer_say_stop(struct peer *p, const char *why)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, "why", why);
	peer_say(p, PROTO_STOP, body);
}

/* ---- Who is who ------------------------------------------------------------------------------------------------ */

/* The worker to whom SECRET was given, and who is where the hello says: a spare or checker at its first hello, or one
 * that has a job and comes back for just that attempt. */
static struct worker *recognise(const struct control *c, const cJSON *hello)
{
	const char *secret = json_string(hello, "secret", ""), *job = json_string(hello, "job", NULL);
	int attempt = (int)json_int(hello, "attempt", 0);
	char hash[SHA256_TEXT];

	sha256_of(secret, strlen(secret), hash);
	for (struct worker *w = c->workers; w; w = w->next) {
		if (memcmp(hash, w->secret_hash, sizeof hash) || w->exited)
			continue;
		if (w->state == WORKER_BORN && !job)
			return w;
		if (w->state == WORKER_BUSY && w->job && job && !strcmp(job, w->job->id) && attempt == w->attempt)
			return w;
	}
	return NULL;
}

static void welcome(struct control *c, struct worker *w, struct peer *p)
{
	peer_free(w->peer); /* a connection that broke, whose end we have not seen yet */
	w->peer = p;
	w->met = true;
	w->deadline_ms = 0;
	if (w->state == WORKER_BORN) {
		w->state = WORKER_READY;
		c->n_failed_starts = 0;
		log_line(LOG_DEBUG, "worker ready", "pid=%d", w->process.pid);
		return;
	}
	log_line(LOG_INFO, "worker is back", "pid=%d job=%s attempt=%d", w->process.pid, w->job->id, w->attempt);
	if (!w->batch) { /* else its end says so */
		cJSON *ack = cJSON_CreateObject();
		cJSON_AddNumberToObject(ack, "number", (double)w->job->acked);
		peer_say(p, PROTO_ACK, ack);
	}
	if (w->stop) { /* it may not have heard */
		const char *why = w->stop;
		w->stop = NULL;
		worker_stop(c, w, why);
	}
}

/* True: P is no stranger any more: a worker's, or freed. */
static bool meet(struct control *c, struct peer *p)
{
	struct proto_msg hello = { 0 };
	struct err e = { 0 };
	struct worker *w = NULL;
	int got;

	peer_read(p);
	got = proto_decode(&p->in, &hello, &e);
	if (!got && !p->ended && c->now_ms < p->hello_by_ms) {
		control_due(c, p->hello_by_ms);
		return false;
	}
	if (got == 1 && hello.kind == PROTO_HELLO)
		w = recognise(c, hello.body);
	if (w) {
		welcome(c, w, p);
	} else {
		log_line(LOG_WARN, "connection refused", "text=%s",
			got < 0 ? e.text
			: got   ? "its secret, job or attempt is not of today"
				: "it did not say hello");
		peer_say_stop(p, "stale");
		peer_free(p);
	}
	proto_msg_release(&hello);
	return true;
}

void control_strangers_step(struct control *c)
{
	peer_accept_all(c);
	for (struct peer **at = &c->strangers; *at;) {
		struct peer *p = *at, *next = p->next;
		if (meet(c, p)) {
			*at = next;
			c->n_strangers--;
		} else {
			at = &p->next;
		}
	}
}
