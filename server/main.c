/* tandemd: start-up and shutdown order, and nothing else.
 *
 * Up: configuration, log, address, store, scheduler, requests.  Down, on SIGTERM or SIGINT: no new work, workers
 * checkpoint and leave, streams end, the store closes.  A second signal does not wait for the workers. */
#include "api/access.h"
#include "base/log.h"
#include "cli.h"
#include "embedded.h"
#include "http/listener.h"
#include "schema.h"
#include "server.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

static void on_commit(void *listener, int64_t seq __attribute__((unused)))
{
	listener_wake(listener);
}

static void on_answer(void *listener)
{
	listener_wake(listener);
}

/* The job's schema is part of the program; without it nothing could be checked. */
static td_status load_schema(struct server *srv, struct schema **out, struct err *e)
{
	const struct embedded_file *f = embedded_find("schema/job.json");

	if (!f)
		return err_set(e, TD_INTERNAL, "this build carries no schema/job.json");
	if (schema_create((const char *)f->data, f->n_bytes, out, e))
		return err_wrap(e, "schema/job.json");
	srv->job_schema = *out;
	return TD_OK;
}

static td_status start(struct server *srv, struct schema **schema, struct err *e)
{
	/* The address before the store: a start that cannot listen leaves no database behind. */
	if (load_schema(srv, schema, e) || listener_open(srv, &srv->http, e) ||
		file_make_folder(srv->config->data_dir, e) || store_open(srv->config->data_dir, &srv->store, e))
		return e->status;
	store_on_commit(srv->store, on_commit, srv->http);
	srv->private_address = listener_private(srv->http);
	if (access_first_token(srv, e) || control_start(srv->config, srv->store, &srv->control, e) ||
		access_announce(srv, listener_url(srv->http), e))
		return e->status;
	control_on_answer(srv->control, on_answer, srv->http);
	return listener_start(srv->http, e);
}

/* ---- Signals ----------------------------------------------------------------------------------------------------- */

static sigset_t stop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	return set;
}

struct impatience {
	struct control *control;
	atomic_bool over; /* the workers have left */
};

/* Another signal while the workers drain: they are killed, and go on from their last checkpoint next time. */
static void *wait_for_second(void *arg)
{
	const struct timespec moment = { .tv_nsec = 100 * 1000000 };
	struct impatience *i = arg;
	sigset_t set = stop_signals();

	while (!atomic_load(&i->over)) {
		if (sigtimedwait(&set, NULL, &moment) < 0)
			continue;
		log_line(LOG_WARN, "stopping at once", "reason=second_signal");
		control_stop(i->control);
		break;
	}
	return NULL;
}

static void drain(struct control *control)
{
	struct impatience i = { .control = control };
	pthread_t thread;
	bool waits = !pthread_create(&thread, NULL, wait_for_second, &i);

	control_stop(control);
	atomic_store(&i.over, true);
	if (waits)
		pthread_join(thread, NULL);
}

/* In the reverse order of start, for as far as that came. */
static void stop(struct server *srv, struct schema *schema)
{
	if (srv->http)
		listener_drain(srv->http);
	if (srv->control)
		drain(srv->control);
	if (srv->store) /* else the folder may be another daemon's */
		access_withdraw(srv);
	if (srv->http)
		listener_stop(srv->http);
	control_free(srv->control);
	if (srv->store)
		store_close(srv->store);
	listener_free(srv->http); /* after the writer, which wakes it */
	schema_free(schema);
}

int main(int argc, char **argv)
{
	struct config config;
	struct server srv = { .config = &config, .started_ms = clock_now_ms() };
	struct schema *schema = NULL;
	struct err e = { 0 };
	sigset_t set = stop_signals();
	int code = 0, signal_number;

	umask(077); /* what is in the data folder is for its owner alone */
	if (cli_run(argc, argv, &code))
		return code;
	if (config_load(&config, argc, argv, &e)) {
		if (e.status)
			fprintf(stderr, "tandemd: %s\n", e.text);
		config_release(&config);
		return e.status ? 2 : 0;
	}
	log_init("tandemd", config.log_level);
	signal(SIGPIPE, SIG_IGN);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* all threads inherit this: signals come to sigwait alone */
	if (start(&srv, &schema, &e)) {
		fprintf(stderr, "tandemd: %s\n", e.text);
		stop(&srv, schema);
		config_release(&config);
		return 1;
	}
	printf("listening on %s\n", listener_url(srv.http));
	fflush(stdout);
	log_line(LOG_INFO, "started", "url=%s data=%s workers=%d threads=%d", listener_url(srv.http), config.data_dir,
		config.workers, config.threads);
	sigwait(&set, &signal_number);
	log_line(LOG_INFO, "stopping", "signal=%d drain_seconds=%d", signal_number, config.drain_seconds);
	stop(&srv, schema);
	log_line(LOG_INFO, "stopped", "ran_s=%lld", (long long)(clock_now_ms() - srv.started_ms) / 1000);
	config_release(&config);
	return 0;
}
