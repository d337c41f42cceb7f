/* The local executor: worker processes on this machine.  It starts, watches, signals and reaps; what a process is for,
 * its caller knows.
 *
 * A process is watched through its pidfd, so one that an earlier daemon started is watched and signalled as safely as
 * our own child.  Processes outlive the daemon on purpose: a restarted daemon adopts them. */
#ifndef SCHED_LOCAL_H
#define SCHED_LOCAL_H

#include <sys/types.h>
#include "base/buf.h"

#define LOCAL_SECRET     65   /* 64 hexadecimal digits and the zero byte */
#define LOCAL_WORDS_MOST 8192 /* bytes of standard error kept: a crash's last words are a few lines */

struct local_process {
	pid_t pid;         /* 0: none */
	int64_t born;      /* start time in ticks since boot: with the pid it names a process for good */
	int pidfd;         /* readable once the process is gone; -1: none */
	int words_fd;      /* its standard output and error; -1: adopted, or closed */
	struct buf words;  /* the last of what it wrote there */
	bool child;        /* ours to reap */
	bool killed;       /* by us, with SIGKILL */
	int64_t oom_kills; /* of the machine, when the process was met */
};

struct local_exit {
	bool known; /* false: not our child, so the kernel tells nobody how it ended */
	bool by_signal;
	int code; /* exit code or signal */
	bool oom; /* the kernel killed something for memory meanwhile, and this with SIGKILL */
};

struct local_options {
	const char *program; /* path of tandem-worker */
	const char *socket;  /* where it finds its daemon */
	const char *role;    /* "job" | "checker" */
	const char *secret;  /* said once, in hello; handed over in the environment, which other users cannot read */
	int grace_seconds;
};

/* Closes what P holds; the process itself goes on. */
void local_release(struct local_process *p);

/* Start one: own process group, standard input empty, all other files closed, a small clean environment. */
td_status local_spawn(struct local_process *p, const struct local_options *o, struct err *e);
/* Watch the process PID that was BORN then, started by an earlier daemon.  TD_NOT_FOUND: it is gone. */
td_status local_adopt(struct local_process *p, pid_t pid, int64_t born, struct err *e);
/* Send SIGNAL unless the process is gone. */
void local_signal(struct local_process *p, int signal);
/* Take what it wrote.  False: it has closed its end. */
bool local_read_words(struct local_process *p);
/* The process is gone (pidfd was readable): collect how, close, and forget it; WORDS stay until local_release. */
struct local_exit local_reap(struct local_process *p);
/* "was killed by signal 9 (Killed)" and the like. */
void local_exit_text(const struct local_exit *x, char *out, size_t n_bytes);

/* Resident memory in bytes; 0: unknown. */
int64_t local_memory(pid_t pid);

#endif
