/* The link against a daemon played by the test: what is not acknowledged comes again, in order, and nothing waits for
 * ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/clock.h"
#include "worker/link.h"

#define WAIT_MS 5000

/* The daemon's end. */
struct peer {
	char folder[64], path[96];
	int listener, fd;
	struct buf in;
};

static void peer_listen(struct peer *p)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof address.sun_path, "%s", p->path);
	unlink(p->path);
	p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(p->listener, 4), 0);
}

static void peer_open(struct peer *p)
{
	*p = (struct peer){ .fd = -1 };
	snprintf(p->folder, sizeof p->folder, "/tmp/tandem-link-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->path, sizeof p->path, "%s/s", p->folder);
	buf_init(&p->in, 64 << 20);
	peer_listen(p);
}

static void peer_accept(struct peer *p)
{
	struct pollfd waiting = { .fd = p->listener, .events = POLLIN };

	assert_int_equal(poll(&waiting, 1, WAIT_MS), 1);
	p->fd = accept(p->listener, NULL, NULL);
	assert_true(p->fd >= 0);
	buf_clear(&p->in);
}

/* As a daemon that was killed: both ends of everything are gone. */
static void peer_die(struct peer *p)
{
	close(p->fd);
	close(p->listener);
	p->fd = p->listener = -1;
	unlink(p->path);
}

static void peer_close(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->listener >= 0)
		close(p->listener);
	unlink(p->path);
	rmdir(p->folder);
	buf_release(&p->in);
}

static bool peer_read(struct peer *p, struct proto_msg *m, int timeout_ms)
{
	struct pollfd waiting = { .fd = p->fd, .events = POLLIN };
	struct err e = { 0 };
	char chunk[65536];
	int got;

	while ((got = proto_decode(&p->in, m, &e)) == 0) {
		ssize_t n;
		if (poll(&waiting, 1, timeout_ms) != 1 || (n = read(p->fd, chunk, sizeof chunk)) <= 0)
			return false;
		assert_true(buf_append(&p->in, chunk, (size_t)n));
	}
	assert_int_equal(got, 1);
	return true;
}

static void peer_expect(struct peer *p, enum proto_kind kind, int64_t number)
{
	struct proto_msg m;

	assert_true(peer_read(p, &m, WAIT_MS));
	assert_string_equal(proto_kind_name(m.kind), proto_kind_name(kind));
	assert_int_equal(m.number, number);
	proto_msg_release(&m);
}

static void peer_say(struct peer *p, enum proto_kind kind, const char *text)
{
	cJSON *body = cJSON_Parse(text);
	struct buf out;

	buf_init(&out, PROTO_BODY_MOST);
	assert_true(proto_encode(&out, kind, 0, body));
	assert_int_equal(write(p->fd, out.data, out.len), out.len);
	buf_release(&out);
	cJSON_Delete(body);
}

static struct link *linked(struct peer *p, int grace_seconds)
{
	struct err e = { 0 };
	struct link *l;

	peer_open(p);
	assert_int_equal(link_open(p->path, "s3cret", "job", "avx2", grace_seconds, &l, &e), TD_OK);
	peer_accept(p);
	peer_expect(p, PROTO_HELLO, 0);
	return l;
}

/* A link that has a job, as after RUN. */
static struct link *running(struct peer *p, int grace_seconds)
{
	struct link *l = linked(p, grace_seconds);
	struct proto_msg m;

	peer_say(p, PROTO_RUN, "{\"job\":\"J1\",\"attempt\":3}");
	assert_int_equal(link_order(l, LINK_FOREVER, &m), 0);
	assert_int_equal(m.kind, PROTO_RUN);
	link_set_job(l, json_string(m.body, "job", ""), (int)json_int(m.body, "attempt", 0));
	proto_msg_release(&m);
	return l;
}

static bool say_step(struct link *l, int step)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddNumberToObject(body, "step", step);
	return link_send(l, PROTO_PROGRESS, body);
}

static void messages_are_numbered_and_flushed_by_their_acknowledgement(void **state)
{
	struct peer p;
	struct link *l = running(&p, 5);

	(void)state;
	for (int i = 1; i <= 3; i++)
		assert_true(say_step(l, i));
	for (int i = 1; i <= 3; i++)
		peer_expect(&p, PROTO_PROGRESS, i);
	peer_say(&p, PROTO_ACK, "{\"number\":2}");
	assert_false(link_flush(l, 50));
	peer_say(&p, PROTO_ACK, "{\"number\":3}");
	assert_true(link_flush(l, WAIT_MS));
	link_close(l);
	peer_close(&p);
}

static void what_was_not_acknowledged_comes_again_after_a_break(void **state)
{
	struct proto_msg m;
	struct peer p;
	struct link *l = running(&p, 5);

	(void)state;
	for (int i = 1; i <= 4; i++)
		say_step(l, i);
	for (int i = 1; i <= 4; i++)
		peer_expect(&p, PROTO_PROGRESS, i);
	peer_say(&p, PROTO_ACK, "{\"number\":2}");
	usleep(50000); /* the acknowledgement is taken before the break */
	peer_die(&p);
	say_step(l, 5);
	peer_listen(&p);
	peer_accept(&p);
	assert_true(peer_read(&p, &m, WAIT_MS));
	assert_int_equal(m.kind, PROTO_HELLO);
	assert_string_equal(json_string(m.body, "secret", ""), "s3cret");
	assert_string_equal(json_string(m.body, "job", ""), "J1");
	assert_int_equal(json_int(m.body, "attempt", 0), 3);
	proto_msg_release(&m);
	for (int i = 3; i <= 5; i++)
		peer_expect(&p, PROTO_PROGRESS, i);
	peer_say(&p, PROTO_ACK, "{\"number\":5}");
	assert_true(link_flush(l, WAIT_MS));
	link_close(l);
	peer_close(&p);
}

static void a_daemon_that_had_committed_more_than_it_could_say_ends_the_wait(void **state)
{
	struct peer p;
	struct link *l = running(&p, 5);

	(void)state;
	say_step(l, 1);
	say_step(l, 2);
	peer_expect(&p, PROTO_PROGRESS, 1);
	peer_die(&p);
	peer_listen(&p);
	peer_accept(&p);
	peer_expect(&p, PROTO_HELLO, 0);
	peer_say(&p, PROTO_ACK, "{\"number\":2}"); /* committed before it died, but never acknowledged */
	peer_say(&p, PROTO_ACK, "{\"number\":2}"); /* and again for the duplicates */
	assert_true(link_flush(l, WAIT_MS));
	link_close(l);
	peer_close(&p);
}

static void an_acknowledgement_of_what_was_never_sent_changes_nothing(void **state)
{
	struct peer p;
	struct link *l = running(&p, 5);

	(void)state;
	say_step(l, 1);
	peer_expect(&p, PROTO_PROGRESS, 1);
	peer_say(&p, PROTO_ACK, "{\"number\":900}");
	peer_say(&p, PROTO_ACK, "{\"number\":-1}");
	assert_false(link_flush(l, 100));
	link_close(l);
	peer_close(&p);
}

static void a_daemon_that_stays_away_makes_an_orphan(void **state)
{
	struct peer p;
	struct link *l = running(&p, 1);
	int64_t start;

	(void)state;
	peer_die(&p);
	start = clock_monotonic_ms();
	while (link_stop_wanted(l) == LINK_GO && clock_monotonic_ms() - start < WAIT_MS)
		usleep(10000);
	assert_int_equal(link_stop_wanted(l), LINK_ORPHANED);
	assert_in_range(clock_monotonic_ms() - start, 900, 3000);
	assert_false(say_step(l, 1));
	link_close(l);
	peer_close(&p);
}

static void a_daemon_that_accepts_and_closes_makes_an_orphan_too(void **state)
{
	struct peer p;
	struct link *l = running(&p, 1);
	int64_t end = clock_monotonic_ms() + WAIT_MS;
	int n_accepted = 0;

	(void)state;
	close(p.fd);
	p.fd = -1;
	while (link_stop_wanted(l) == LINK_GO && clock_monotonic_ms() < end) {
		struct pollfd waiting = { .fd = p.listener, .events = POLLIN };
		if (poll(&waiting, 1, 20) == 1) {
			close(accept(p.listener, NULL, NULL));
			n_accepted++;
		}
	}
	assert_int_equal(link_stop_wanted(l), LINK_ORPHANED);
	assert_in_range(n_accepted, 2, 60); /* it waits between attempts */
	link_close(l);
	peer_close(&p);
}

static void a_worker_without_a_job_leaves_when_its_daemon_does(void **state)
{
	struct proto_msg m;
	struct peer p;
	struct link *l = linked(&p, 60);

	(void)state;
	peer_die(&p);
	assert_int_equal(link_order(l, LINK_FOREVER, &m), -1);
	assert_int_equal(link_stop_wanted(l), LINK_ORPHANED); /* a replayer looks here, not for orders */
	link_close(l);
	peer_close(&p);
}

static void every_role_gets_its_orders_in_turn(void **state)
{
	static const enum proto_kind kinds[] = { PROTO_CHECK, PROTO_PREPARE, PROTO_PREDICT };
	struct proto_msg m;
	struct peer p;
	struct link *l = linked(&p, 60);

	(void)state;
	for (size_t i = 0; i < TD_COUNT(kinds); i++)
		peer_say(&p, kinds[i], "{\"id\":7}");
	for (size_t i = 0; i < TD_COUNT(kinds); i++) {
		assert_int_equal(link_order(l, WAIT_MS, &m), 0);
		assert_string_equal(proto_kind_name(m.kind), proto_kind_name(kinds[i]));
		assert_int_equal(json_int(m.body, "id", 0), 7);
		proto_msg_release(&m);
	}
	assert_true(link_send(l, PROTO_PREDICTED, cJSON_CreateObject()));
	peer_expect(&p, PROTO_PREDICTED, 0); /* not about a job: not numbered, and sent is done */
	assert_true(link_flush(l, WAIT_MS));
	link_close(l);
	peer_close(&p);
}

static void a_worker_that_nobody_asks_may_leave(void **state)
{
	struct proto_msg m;
	struct peer p;
	struct link *l = linked(&p, 60);
	int64_t began = clock_monotonic_ms();

	(void)state;
	assert_int_equal(link_order(l, 50, &m), 1);
	assert_true(clock_monotonic_ms() - began >= 50);
	assert_int_equal(link_stop_wanted(l), LINK_GO);
	link_close(l);
	peer_close(&p);
}

static void *ask_to_drain(void *l)
{
	usleep(50000);
	link_request_drain(l);
	return NULL;
}

static void a_signal_ends_the_wait_for_an_order(void **state)
{
	struct proto_msg m;
	pthread_t other;
	struct peer p;
	struct link *l = linked(&p, 60);

	(void)state;
	pthread_create(&other, NULL, ask_to_drain, l);
	assert_int_equal(link_order(l, LINK_FOREVER, &m), -1);
	assert_int_equal(link_stop_wanted(l), LINK_DRAIN);
	pthread_join(other, NULL);
	link_close(l);
	peer_close(&p);
}

static void each_reason_to_stop_is_understood_and_stale_is_final(void **state)
{
	static const struct {
		const char *text;
		enum link_stop stop;
	} rows[] = { { "cancel", LINK_CANCEL }, { "pause", LINK_PAUSE }, { "timeout", LINK_TIMEOUT },
		{ "drain", LINK_DRAIN }, { "stale", LINK_STALE } };
	struct peer p;
	struct link *l = running(&p, 5);

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		char text[32];
		int64_t end = clock_monotonic_ms() + WAIT_MS;
		snprintf(text, sizeof text, "{\"why\":\"%s\"}", rows[i].text);
		peer_say(&p, PROTO_STOP, text);
		while (link_stop_wanted(l) != rows[i].stop && clock_monotonic_ms() < end)
			usleep(1000);
		assert_int_equal(link_stop_wanted(l), rows[i].stop);
	}
	assert_false(say_step(l, 1));
	link_request_drain(l);
	assert_int_equal(link_stop_wanted(l), LINK_STALE);
	link_close(l);
	peer_close(&p);
}

struct flood {
	struct link *link;
	int n, n_sent; /* n_sent is read while the thread runs, hence the atomics around it */
};

static void *flood(void *arg)
{
	struct flood *f = arg;
	char *text = mem_alloc(1 << 20);

	memset(text, 'x', (1 << 20) - 1);
	for (int i = 0; i < f->n; i++) {
		cJSON *body = cJSON_CreateObject();
		cJSON_AddStringToObject(body, "text", text);
		if (!link_send(f->link, PROTO_LOG, body))
			break;
		__atomic_add_fetch(&f->n_sent, 1, __ATOMIC_SEQ_CST);
	}
	mem_free(text);
	return NULL;
}

static void a_full_buffer_slows_the_sender_down_and_loses_nothing(void **state)
{
	struct peer p;
	struct flood f = { .link = running(&p, 5), .n = 48 };
	pthread_t other;
	int sent = 0, before = -1;

	(void)state;
	pthread_create(&other, NULL, flood, &f);
	for (int i = 0; i < 100 && (sent < 8 || sent != before); i++) { /* until it stands still */
		usleep(300000);
		before = sent;
		sent = __atomic_load_n(&f.n_sent, __ATOMIC_SEQ_CST);
	}
	assert_in_range(sent, 8, 40); /* 32 MB, and it waits */
	for (int i = 1; i <= f.n; i++) {
		char ack[32];
		peer_expect(&p, PROTO_LOG, i);
		snprintf(ack, sizeof ack, "{\"number\":%d}", i);
		peer_say(&p, PROTO_ACK, ack);
	}
	assert_true(link_flush(f.link, WAIT_MS));
	pthread_join(other, NULL);
	assert_int_equal(f.n_sent, f.n);
	link_close(f.link);
	peer_close(&p);
}

static void nonsense_from_the_daemon_breaks_the_connection_only(void **state)
{
	struct peer p;
	struct link *l = running(&p, 5);

	(void)state;
	say_step(l, 1);
	peer_expect(&p, PROTO_PROGRESS, 1);
	assert_int_equal(write(p.fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
	close(p.fd);
	peer_accept(&p);
	peer_expect(&p, PROTO_HELLO, 0);
	peer_expect(&p, PROTO_PROGRESS, 1);
	link_close(l);
	peer_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_numbered_and_flushed_by_their_acknowledgement),
		cmocka_unit_test(what_was_not_acknowledged_comes_again_after_a_break),
		cmocka_unit_test(a_daemon_that_had_committed_more_than_it_could_say_ends_the_wait),
		cmocka_unit_test(an_acknowledgement_of_what_was_never_sent_changes_nothing),
		cmocka_unit_test(a_daemon_that_stays_away_makes_an_orphan),
		cmocka_unit_test(a_daemon_that_accepts_and_closes_makes_an_orphan_too),
		cmocka_unit_test(a_worker_without_a_job_leaves_when_its_daemon_does),
		cmocka_unit_test(every_role_gets_its_orders_in_turn),
		cmocka_unit_test(a_worker_that_nobody_asks_may_leave),
		cmocka_unit_test(a_signal_ends_the_wait_for_an_order),
		cmocka_unit_test(each_reason_to_stop_is_understood_and_stale_is_final),
		cmocka_unit_test(a_full_buffer_slows_the_sender_down_and_loses_nothing),
		cmocka_unit_test(nonsense_from_the_daemon_breaks_the_connection_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
