/* Worker processes on this machine: see local.h. */
#include "sched/local.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENVIRONMENT_MOST 24 /* entries: those of kept_names, and what local_spawn adds */

/* What a worker may see of the daemon's environment.  Anything else stays out: it may hold secrets, or change numbers.
 */
static const char *const kept_names[] = { "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH",
	"ASAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "FAIL_AT" };

static void local_init(struct local_process *p)
{
	*p = (struct local_process){ .pidfd = -1, .words_fd = -1 };
	buf_init(&p->words, LOCAL_WORDS_MOST);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void local_release(struct local_process *p)
{
	close_fd(&p->pidfd);
	close_fd(&p->words_fd);
	buf_release(&p->words);
}

/* ---- What /proc tells ------------------------------------------------------------------------------------------ */

static bool read_proc(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, out, size - 1);
	close(fd);
	if (n <= 0)
		return false;
	out[n] = '\0';
	return true;
}

/* Start time of PID, or 0. */
static int64_t local_born(pid_t pid)
{
	char path[48], text[1024];
	long long born = 0;
	const char *at;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	/* The second field is the program's name in parentheses and may hold anything, so count from the last ')':
	 * state is field 3, the start time field 22. */
	if (!read_proc(path, text, sizeof text) || !(at = strrchr(text, ')')))
		return 0;
	at++;
	for (int field = 3; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at && sscanf(at, " %lld", &born) == 1 ? born : 0;
}

int64_t local_memory(pid_t pid)
{
	char path[48], text[256];
	long long total, resident;

	snprintf(path, sizeof path, "/proc/%d/statm", pid);
	if (!read_proc(path, text, sizeof text) || sscanf(text, "%lld %lld", &total, &resident) != 2)
		return 0;
	return resident * sysconf(_SC_PAGESIZE);
}

static int64_t oom_kills(void)
{
	char text[16384];
	long long n = 0;
	const char *at;

	if (read_proc("/proc/vmstat", text, sizeof text) && (at = strstr(text, "\noom_kill ")))
		sscanf(at, "\noom_kill %lld", &n);
	return n;
}

/* ---- Starting -------------------------------------------------------------------------------------------------- */

struct environment {
	char *entries[ENVIRONMENT_MOST + 1]; /* owned */
	int n;
};

static void environment_add(struct environment *v, const char *name, const char *value)
{
	TD_ASSERT(v->n < ENVIRONMENT_MOST);
	v->entries[v->n++] = mem_printf("%s=%s", name, value);
}

static void environment_make(struct environment *v, const struct local_options *o)
{
	char grace[16];

	*v = (struct environment){ .n = 0 };
	for (size_t i = 0; i < TD_COUNT(kept_names); i++)
		if (getenv(kept_names[i]))
			environment_add(v, kept_names[i], getenv(kept_names[i]));
	snprintf(grace, sizeof grace, "%d", o->grace_seconds);
	environment_add(v, "TANDEM_SECRET", o->secret);
	environment_add(v, "TANDEM_GRACE_SECONDS", grace);
	environment_add(
		v, "OPENBLAS_NUM_THREADS", "1"); /* the engine splits the work; a BLAS that does too changes bits */
	environment_add(v, "OMP_NUM_THREADS", "1");
}

static void environment_release(struct environment *v)
{
	for (int i = 0; i < v->n; i++)
		mem_free(v->entries[i]);
}

/* posix_spawn, because fork in a process with threads may only do what is async-signal-safe.  Returns an errno. */
static int spawn(pid_t *pid, const struct local_options *o, char *const *environment, int words)
{
	char *argv[] = { (char *)o->program, (char *)o->role, (char *)o->socket,
		NULL }; /* so that ps tells whose it is */
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none, all;
	int failed;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&how);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&how, 0); /* ^C in the daemon's terminal is the daemon's alone */
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setsigdefault(&how, &all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, words, 1);
	posix_spawn_file_actions_adddup2(&files, words, 2);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	failed = posix_spawn(pid, o->program, &files, &how, argv, environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&how);
	return failed;
}

td_status local_spawn(struct local_process *p, const struct local_options *o, struct err *e)
{
	struct environment environment;
	td_status s = TD_OK;
	int words[2], failed;

	local_init(p);
	if (pipe2(words, O_CLOEXEC))
		return err_errno(e, "making a pipe for %s", o->program);
	environment_make(&environment, o);
	failed = spawn(&p->pid, o, environment.entries, words[1]);
	environment_release(&environment);
	close(words[1]);
	p->words_fd = words[0];
	if (failed) {
		errno = failed;
		s = err_errno(e, "starting %s", o->program);
		p->pid = 0;
		goto out;
	}
	p->child = true;
	p->born = local_born(p->pid);
	p->oom_kills = oom_kills();
	fcntl(p->words_fd, F_SETFL, O_NONBLOCK);
	p->pidfd = pidfd_open(p->pid, 0);
	if (p->pidfd < 0) {
		s = err_errno(e, "watching process %d", p->pid);
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
out:
	if (s)
		local_release(p);
	return s;
}

td_status local_adopt(struct local_process *p, pid_t pid, int64_t born, struct err *e)
{
	local_init(p);
	p->pidfd = pid > 0 ? pidfd_open(pid, 0) : -1;
	/* Asked after the pidfd was taken: from then on this pid cannot come to mean another process unnoticed. */
	if (p->pidfd < 0 || !born || local_born(pid) != born) {
		close_fd(&p->pidfd);
		return err_set(e, TD_NOT_FOUND, "process %d is gone", pid);
	}
	p->pid = pid;
	p->born = born;
	p->oom_kills = oom_kills();
	return TD_OK;
}

/* ---- Watching and ending --------------------------------------------------------------------------------------- */

void local_signal(struct local_process *p, int signal)
{
	if (p->pidfd < 0)
		return;
	if (signal == SIGKILL)
		p->killed = true;
	pidfd_send_signal(p->pidfd, signal, NULL, 0);
}

bool local_read_words(struct local_process *p)
{
	char chunk[2048];
	ssize_t n;

	while ((n = read(p->words_fd, chunk, sizeof chunk)) > 0) {
		size_t over = p->words.len + (size_t)n > p->words.cap ? p->words.len + (size_t)n - p->words.cap : 0;
		buf_drop(&p->words, TD_MIN(over, p->words.len));
		buf_append(&p->words, chunk, (size_t)n);
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	close_fd(&p->words_fd);
	return false;
}

struct local_exit local_reap(struct local_process *p)
{
	struct local_exit x = { 0 };
	siginfo_t info = { 0 };

	if (p->words_fd >= 0)
		local_read_words(p);
	if (p->child && !waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED)) {
		x.known = true;
		x.by_signal = info.si_code != CLD_EXITED;
		x.code = info.si_status;
		x.oom = x.by_signal && x.code == SIGKILL && !p->killed && oom_kills() > p->oom_kills;
	}
	close_fd(&p->pidfd);
	close_fd(&p->words_fd);
	p->pid = 0;
	return x;
}

void local_exit_text(const struct local_exit *x, char *out, size_t n_bytes)
{
	if (!x->known)
		snprintf(out, n_bytes, "ended while no daemon watched it");
	else if (x->oom)
		snprintf(out, n_bytes, "was killed by the kernel because the machine ran out of memory");
	else if (x->by_signal)
		snprintf(out, n_bytes, "was killed by signal %d (%s)", x->code, strsignal(x->code));
	else
		snprintf(out, n_bytes, "ended with exit code %d before the job did", x->code);
}
