/* tandem-worker: one process, one job.
 *
 * Started by the daemon, never by hand, but for "tandem-worker --schema", which prints the JSON Schema of a job.  A
 * worker that waits for its job has everything loaded and touched that the first step would otherwise wait for. */
#include "td.h"
#include "base/log.h"
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_MOST    256   /* descriptors: a dataset's files, checkpoints, the socket */
#define OOM_SCORE     "500" /* when memory runs out the kernel takes a job before it takes the daemon */
#define FLUSH_MS      5000  /* a checker's last answer */
#define GRACE_DEFAULT 60    /* seconds */

static struct link *link_of_signal; /* for the one thing a signal does */

static void on_terminate(int signal)
{
	(void)signal;
	if (link_of_signal)
		link_request_drain(link_of_signal);
}

/* In force before anything that a user wrote is read. */
static void limit_process(void)
{
	struct rlimit none = { 0, 0 }, files = { FILES_MOST, FILES_MOST };
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* A limit that cannot be set is one that somebody has set tighter; the daemon watches memory from outside. */
	if (setrlimit(RLIMIT_CORE, &none) || setrlimit(RLIMIT_NOFILE, &files) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		log_line(LOG_WARN, "a limit cannot be set", "text=%s", strerror(errno));
	if (fd >= 0 && write(fd, OOM_SCORE, strlen(OOM_SCORE)) < 0)
		log_line(LOG_DEBUG, "oom_score_adj cannot be set", "text=%s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Signals: gone sockets and pipes are errors of write, not deaths; SIGTERM means checkpoint and leave; ^C is the
 * daemon's. */
static void set_signals(void)
{
	struct sigaction terminate = { .sa_handler = on_terminate, .sa_flags = SA_RESTART };

	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	sigaction(SIGTERM, &terminate, NULL);
}

/* Load and touch what a first step needs: the BLAS (it detects the processor and allocates its buffers at its first
 * call), the engine's threads and allocator. */
static void warm_up(void)
{
	enum { N = 64 };
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = 1 });
	td_shape square = td_shape_make(TD_F32, 2, (int64_t)N, (int64_t)N);
	td_value *a = td_tensor(c, &square, NULL);

	td_step_begin(c);
	td_relu(c, td_matmul(c, a, a, false, true));
	td_step_end(c);
	td_unref(a);
	td_ctx_free(c);
}

static int print_schema(void)
{
	cJSON *schema = worker_schema();
	char *text = json_print(schema);
	int failed = puts(text) < 0 || fflush(stdout);

	mem_free(text);
	cJSON_Delete(schema);
	return failed;
}

static int check_all(struct link *l)
{
	struct proto_msg m;

	while (!link_order(l, &m)) {
		if (m.kind == PROTO_CHECK) {
			cJSON *checked = worker_check(m.body);
			cJSON_DeleteItemFromObjectCaseSensitive(checked, "id");
			cJSON_AddItemToObject(checked, "id", cJSON_CreateNumber(json_double(m.body, "id", 0)));
			link_send(l, PROTO_CHECKED, checked);
		}
		proto_msg_release(&m);
	}
	link_flush(l, FLUSH_MS);
	return 0;
}

static int run_one(struct link *l)
{
	struct proto_msg m;
	int code = 0;

	if (link_order(l, &m))
		return 0;
	if (m.kind == PROTO_RUN) {
		link_set_job(l, json_string(m.body, "job", ""), (int)json_int(m.body, "attempt", 0));
		code = worker_train(l, m.body);
	}
	proto_msg_release(&m);
	return code;
}

/* Take NAME out of the environment: what is started or printed later must not see it. */
static char *take_environment(const char *name)
{
	char *value = mem_strdup(getenv(name));

	unsetenv(name);
	return value;
}

static int work(const char *role, const char *socket)
{
	char *secret = take_environment("TANDEM_SECRET"), *grace = take_environment("TANDEM_GRACE_SECONDS");
	long grace_seconds = grace ? strtol(grace, NULL, 10) : GRACE_DEFAULT;
	struct err e = { 0 };
	struct link *l = NULL;
	int code = 1;

	if (!secret) {
		log_line(LOG_ERROR, "no secret", "text=TANDEM_SECRET is not set: only tandemd starts workers");
		goto out;
	}
	limit_process();
	set_signals();
	if (link_open(socket, secret, role, td_fingerprint(), (int)grace_seconds, &l, &e)) {
		log_line(LOG_ERROR, "no daemon", "text=%s", e.text);
		goto out;
	}
	link_of_signal = l;
	warm_up();
	code = strcmp(role, "checker") ? run_one(l) : check_all(l);
	link_of_signal = NULL;
	link_close(l);
out:
	mem_free(secret);
	mem_free(grace);
	return code;
}

int main(int argc, char **argv)
{
	log_init("tandem-worker", LOG_INFO);
	if (argc == 2 && !strcmp(argv[1], "--schema"))
		return print_schema();
	if (argc == 3)
		return work(argv[1], argv[2]);
	fprintf(stderr, "tandemd starts this program as: tandem-worker ROLE SOCKET\nby hand it does one thing: "
			"tandem-worker --schema\n");
	return 2;
}
