/* tandem-worker: one process, one role: it runs a job, checks specs, prepares a dataset, predicts, or replays
 * steps.
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
#define FLUSH_MS      5000  /* a last answer */
#define IDLE_MS       60000 /* a predictor that nobody asks leaves */
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

/* ---- Roles: what a worker does with its orders ------------------------------------------------------------------ */

static void say(struct link *l, enum proto_kind kind, const cJSON *question, cJSON *answer)
{
	cJSON_DeleteItemFromObjectCaseSensitive(answer, "id");
	cJSON_AddItemToObject(answer, "id", cJSON_CreateNumber(json_double(question, "id", 0)));
	link_send(l, kind, answer);
}

static int run_one(struct link *l)
{
	struct proto_msg m;
	int code = 0;

	if (link_order(l, LINK_FOREVER, &m))
		return 0;
	if (m.kind == PROTO_RUN) {
		link_set_job(l, json_string(m.body, "job", ""), (int)json_int(m.body, "attempt", 0));
		code = worker_train(l, m.body);
	}
	proto_msg_release(&m);
	return code;
}

static int check_all(struct link *l)
{
	struct proto_msg m;

	while (!link_order(l, LINK_FOREVER, &m)) {
		if (m.kind == PROTO_CHECK)
			say(l, PROTO_CHECKED, m.body, worker_check(m.body));
		proto_msg_release(&m);
	}
	link_flush(l, FLUSH_MS);
	return 0;
}

static int prepare_one(struct link *l)
{
	struct proto_msg m;

	if (link_order(l, LINK_FOREVER, &m))
		return 0;
	if (m.kind == PROTO_PREPARE)
		worker_prepare(l, m.body);
	proto_msg_release(&m);
	return link_flush(l, FLUSH_MS) ? 0 : 1;
}

static int predict_all(struct link *l)
{
	struct proto_msg m;

	while (!link_order(l, IDLE_MS, &m)) {
		if (m.kind == PROTO_PREDICT)
			say(l, PROTO_PREDICTED, m.body, worker_predict(m.body));
		proto_msg_release(&m);
	}
	link_flush(l, FLUSH_MS);
	return 0;
}

static int replay_one(struct link *l)
{
	struct proto_msg m;

	if (link_order(l, LINK_FOREVER, &m))
		return 0;
	if (m.kind == PROTO_REPLAY)
		worker_replay(l, m.body);
	proto_msg_release(&m);
	return 0;
}

static const struct role {
	const char *name;
	int (*work)(struct link *l); /* returns the exit code */
	bool computes;               /* with the engine's ops */
} roles[] = {
	{ "job", run_one, true },
	{ "checker", check_all, true },
	{ "preparer", prepare_one, false },
	{ "predictor", predict_all, true },
	{ "replayer", replay_one, true },
};

static const struct role *find_role(const char *name)
{
	for (size_t i = 0; i < TD_COUNT(roles); i++)
		if (!strcmp(roles[i].name, name))
			return &roles[i];
	return NULL;
}

/* ---- The process ------------------------------------------------------------------------------------------------- */

/* Take NAME out of the environment: what is started or printed later must not see it. */
static char *take_environment(const char *name)
{
	char *value = mem_strdup(getenv(name));

	unsetenv(name);
	return value;
}

static int work(const struct role *role, const char *socket)
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
	if (link_open(socket, secret, role->name, td_fingerprint(), (int)grace_seconds, &l, &e)) {
		log_line(LOG_ERROR, "no daemon", "text=%s", e.text);
		goto out;
	}
	link_of_signal = l;
	if (role->computes)
		warm_up();
	code = role->work(l);
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
	if (argc == 3 && find_role(argv[1]))
		return work(find_role(argv[1]), argv[2]);
	fprintf(stderr, "tandemd starts this program as: tandem-worker ROLE SOCKET\nby hand it does one thing: "
			"tandem-worker --schema\n");
	return 2;
}
