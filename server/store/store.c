/* Opening and closing, and the writer: the thread that owns the one write connection.
 *
 * Its one idea is the group commit.  Whatever waits when the writer comes round goes into one transaction with one sync
 * at its end, so under load the price of durability is shared, and without load a command is on its way at once. */
#include "store/internal.h"
#include "base/file.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUP_MOST 256 /* commands in one commit: bounds how long the first of them waits for the last */

struct store {
	char *path, *lock_path; /* owned */
	int lock;               /* the lock file, held while the store is open; -1: none */
	struct db db;           /* the write connection: the writer's, once it runs */
	_Atomic int64_t seq;    /* of the last commit; written by the writer */
	void (*wake)(void *arg, int64_t seq);
	void *wake_arg; /* borrowed */

	pthread_t writer;
	bool writer_runs;
	pthread_mutex_t mutex;          /* guards what follows, and the finished flag of waiting commands */
	pthread_cond_t work;            /* a command was queued, or closing */
	pthread_cond_t room;            /* the queue was emptied */
	pthread_cond_t finished;        /* a command that somebody waits for has its outcome */
	struct store_cmd *first, **end; /* the queue, oldest first; borrowed from the callers */
	int n_queued;
	bool closing; /* nothing more is taken; the writer leaves when the queue is empty */
};

/* ---- The writer ------------------------------------------------------------------------------------------------- */

/* Take up to GROUP_MOST commands, waiting for the first.  NULL: closing, and nothing is left. */
static struct store_cmd *take_group(struct store *s)
{
	struct store_cmd *group, **last = &s->first;

	pthread_mutex_lock(&s->mutex);
	while (!s->first && !s->closing)
		pthread_cond_wait(&s->work, &s->mutex);
	group = s->first;
	for (int n = 0; *last && n < GROUP_MOST; n++, s->n_queued--)
		last = &(*last)->next;
	s->first = *last;
	*last = NULL;
	if (!s->first)
		s->end = &s->first;
	pthread_cond_broadcast(&s->room);
	pthread_mutex_unlock(&s->mutex);
	return group;
}

/* Run one command in a savepoint, so that its failure takes back only itself. */
static td_status run_one(struct store_tx *tx, struct store_cmd *c, struct err *e)
{
	int64_t seq = tx->seq;
	td_status status = db_run(tx->db, "SAVEPOINT command", e);

	if (status != TD_OK)
		return status;
	err_clear(&tx->err);
	status = c->run(tx, c, &c->err);
	if (status == TD_OK)
		status = c->err.status = tx->err.status;
	if (status != TD_OK) {
		err_set(&c->err, status, "%s", tx->err.text[0] ? tx->err.text : status_text(status));
		tx->seq = seq;
	}
	if (sqlite3_get_autocommit(tx->db->handle)) /* SQLite gave up the whole transaction: disk full, I/O error */
		return err_set(e, status != TD_OK ? status : TD_IO, "%s", c->err.text);
	if (status != TD_OK && db_run(tx->db, "ROLLBACK TO command", e) != TD_OK)
		return e->status;
	return db_run(tx->db, "RELEASE command", e);
}

static td_status keep_seq(struct store_tx *tx, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "UPDATE counters SET value = ? WHERE name = 'seq'");
	query_int(&q, tx->seq);
	return query_run(&q);
}

/* The whole group in one transaction.  When that itself fails, E says why, and no command of the group has happened. */
static td_status commit_group(struct store *s, struct store_cmd *group, struct err *e)
{
	int64_t seq = atomic_load(&s->seq);
	struct store_tx tx = { .db = &s->db, .seq = seq, .now_ms = clock_now_ms() };
	td_status status = db_run(&s->db, "BEGIN IMMEDIATE", e);

	for (struct store_cmd *c = group; c && status == TD_OK; c = c->next) {
		err_clear(&c->err);
		status = run_one(&tx, c, e);
	}
	if (status == TD_OK && tx.seq != seq)
		status = keep_seq(&tx, e);
	if (status == TD_OK)
		status = db_run(&s->db, "COMMIT", e);
	if (status == TD_OK)
		atomic_store(&s->seq, tx.seq);
	else if (!sqlite3_get_autocommit(s->db.handle))
		db_run(&s->db, "ROLLBACK", NULL);
	return status;
}

static void finish(struct store *s, struct store_cmd *c, int64_t seq, const struct err *failure)
{
	if (failure->status != TD_OK)
		c->err = *failure;
	c->seq = seq;
	c->next = NULL;
	if (!c->waited_for) {
		if (c->done)
			c->done(c);
		return;
	}
	pthread_mutex_lock(&s->mutex);
	c->finished = true;
	pthread_cond_broadcast(&s->finished);
	pthread_mutex_unlock(&s->mutex);
}

static void *writer_main(void *arg)
{
	struct store *s = arg;
	struct store_cmd *group, *next;

	while ((group = take_group(s))) {
		int64_t before = atomic_load(&s->seq), after;
		struct err failure = { 0 };

		if (commit_group(s, group, &failure) != TD_OK)
			log_line(LOG_ERROR, "a commit failed", "status=%s text=%s", status_name(failure.status),
				failure.text);
		after = atomic_load(&s->seq);
		if (after != before && s->wake)
			s->wake(s->wake_arg, after);
		for (struct store_cmd *c = group; c; c = next) {
			next = c->next;
			finish(s, c, after, &failure);
		}
	}
	return NULL;
}

/* ---- Commands --------------------------------------------------------------------------------------------------- */

/* Under the mutex, with room in the queue. */
static void enqueue(struct store *s, struct store_cmd *c)
{
	c->next = NULL;
	c->finished = false;
	*s->end = c;
	s->end = &c->next;
	s->n_queued++;
	pthread_cond_signal(&s->work);
}

/* Wait for room in the queue, under the mutex. */
static td_status wait_for_room(struct store *s, struct err *e)
{
	int64_t deadline_ms = clock_now_ms() + STORE_WAIT_MS;
	struct timespec deadline = { .tv_sec = deadline_ms / 1000, .tv_nsec = deadline_ms % 1000 * 1000000 };

	while (s->n_queued >= STORE_QUEUE_MOST && !s->closing)
		if (pthread_cond_timedwait(&s->room, &s->mutex, &deadline) == ETIMEDOUT)
			return err_set(e, TD_BUSY, "%d writes were waiting for %d s; try again later", s->n_queued,
				STORE_WAIT_MS / 1000);
	if (s->closing)
		return err_set(e, TD_UNAVAILABLE, "the server is shutting down; try again when it is back");
	return TD_OK;
}

td_status store_write(struct store *s, struct store_cmd *cmd)
{
	td_status status;

	err_clear(&cmd->err);
	pthread_mutex_lock(&s->mutex);
	status = wait_for_room(s, &cmd->err);
	if (status == TD_OK) {
		cmd->waited_for = true;
		enqueue(s, cmd);
		/* No deadline: the command is the writer's now, which always finishes, with success or a failure. */
		while (!cmd->finished)
			pthread_cond_wait(&s->finished, &s->mutex);
		status = cmd->err.status;
	}
	pthread_mutex_unlock(&s->mutex);
	return status;
}

bool store_post(struct store *s, struct store_cmd *cmd)
{
	bool taken;

	pthread_mutex_lock(&s->mutex);
	taken = !s->closing && s->n_queued < STORE_QUEUE_MOST;
	if (taken) {
		cmd->waited_for = false;
		enqueue(s, cmd);
	}
	pthread_mutex_unlock(&s->mutex);
	return taken;
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

/* A process that a killed daemon was just starting holds the lock until it runs its own program. */
#define LOCK_WAIT_MS 1000
#define LOCK_POLL_MS 20

/* As flock, with errno; waits that long for it. */
static int take_lock(int fd)
{
	int failed = flock(fd, LOCK_EX | LOCK_NB);

	for (int ms = 0; failed && errno == EWOULDBLOCK && ms < LOCK_WAIT_MS; ms += LOCK_POLL_MS) {
		poll(NULL, 0, LOCK_POLL_MS);
		failed = flock(fd, LOCK_EX | LOCK_NB);
	}
	return failed;
}

static td_status lock_folder(struct store *s, const char *data_dir, struct err *e)
{
	char holder[32] = "";
	int fd = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_errno(e, "open %s", s->lock_path);
	if (take_lock(fd)) {
		ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
		int error = errno;

		close(fd);
		if (error != EWOULDBLOCK && n < 0)
			return err_errno(e, "lock %s", s->lock_path);
		holder[strcspn(holder, "\n")] = '\0';
		return err_set(e, TD_CONFLICT,
			"another tandemd (process %s) uses %s; stop it, or give this one another --data-dir",
			holder[0] ? holder : "unknown", data_dir);
	}
	s->lock = fd;
	/* For people and for the message above; the lock itself is the kernel's and ends with the process. */
	if (ftruncate(fd, 0) || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return err_errno(e, "write %s", s->lock_path);
	return TD_OK;
}

td_status store_is_used(const char *data_dir, struct err *e)
{
	char *path = mem_printf("%s/tandem.lock", data_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 ? errno == ENOENT || errno == ENOTDIR : !flock(fd, LOCK_SH | LOCK_NB))
		err_set(e, TD_NOT_FOUND, "no tandemd runs with --data-dir %s", data_dir);
	if (fd >= 0)
		close(fd);
	mem_free(path);
	return e->status;
}

static td_status read_seq(struct store *s, struct err *e)
{
	struct query q;

	query_begin(&q, &s->db, e, "SELECT value FROM counters WHERE name = 'seq'");
	if (query_row(&q))
		atomic_init(&s->seq, query_get_int(&q, 0));
	return query_end(&q);
}

td_status store_open(const char *data_dir, struct store **out, struct err *e)
{
	struct store *s = MEM_NEW(struct store);
	td_status status;

	*out = NULL;
	s->lock = -1;
	s->end = &s->first;
	s->path = mem_printf("%s/tandem.db", data_dir);
	s->lock_path = mem_printf("%s/tandem.lock", data_dir);
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->room, NULL);
	pthread_cond_init(&s->finished, NULL);

	status = file_make_folder(data_dir, e);
	if (status == TD_OK)
		status = lock_folder(s, data_dir, e);
	if (status == TD_OK)
		status = db_open(&s->db, s->path, false, e);
	if (status == TD_OK)
		status = store_migrate_embedded(&s->db, s->path, e);
	if (status == TD_OK)
		status = read_seq(s, e);
	if (status == TD_OK)
		status = file_sync(data_dir, e);
	if (status == TD_OK && (errno = pthread_create(&s->writer, NULL, writer_main, s)))
		status = err_errno(e, "start the writer thread");
	s->writer_runs = status == TD_OK;
	if (status == TD_OK)
		*out = s;
	else
		store_close(s);
	return status;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->writer_runs) {
		pthread_mutex_lock(&s->mutex);
		s->closing = true;
		pthread_cond_signal(&s->work);
		pthread_cond_broadcast(&s->room);
		pthread_mutex_unlock(&s->mutex);
		pthread_join(s->writer, NULL);
	}
	if (s->db.handle)
		db_close(&s->db);
	if (s->lock >= 0)
		close(s->lock);
	pthread_cond_destroy(&s->finished);
	pthread_cond_destroy(&s->room);
	pthread_cond_destroy(&s->work);
	pthread_mutex_destroy(&s->mutex);
	mem_free(s->lock_path);
	mem_free(s->path);
	mem_free(s);
}

void store_on_commit(struct store *s, void (*wake)(void *arg, int64_t seq), void *arg)
{
	s->wake = wake;
	s->wake_arg = arg;
}

int64_t store_seq(const struct store *s)
{
	return atomic_load(&s->seq);
}

td_status store_reader_open(struct store *s, struct store_reader **out, struct err *e)
{
	struct store_reader *r = MEM_NEW(struct store_reader);
	td_status status = db_open(&r->db, s->path, true, e);

	*out = status == TD_OK ? r : NULL;
	if (status != TD_OK)
		mem_free(r);
	return status;
}

void store_reader_close(struct store_reader *r)
{
	if (!r)
		return;
	db_close(&r->db);
	mem_free(r);
}

/* ---- Health ----------------------------------------------------------------------------------------------------- */

static td_status run_probe(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct query q;

	(void)cmd;
	query_begin(&q, tx->db, e, "UPDATE counters SET value = ? WHERE name = 'probe'");
	query_int(&q, tx->now_ms);
	return query_run(&q);
}

td_status store_probe(struct store *s, struct err *e)
{
	struct store_cmd cmd = { .run = run_probe };

	if (store_write(s, &cmd) != TD_OK)
		return err_copy(e, &cmd.err);
	return TD_OK;
}

int64_t store_bytes(const struct store *s)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	int64_t n_bytes = 0;
	struct stat st;

	for (size_t i = 0; i < TD_COUNT(suffixes); i++) {
		char *path = mem_printf("%s%s", s->path, suffixes[i]);

		if (!stat(path, &st))
			n_bytes += st.st_size;
		mem_free(path);
	}
	return n_bytes;
}
