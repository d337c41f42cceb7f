/* The store's life: opening, migrating, the writer, crashes, a full disk. */
#include "store/store.h"
#include "test_store.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static void a_second_daemon_on_the_same_folder_is_refused(void **state)
{
	struct box *b = *state;
	struct store *second;
	struct err e = { 0 };
	char pid[32];

	assert_int_equal(store_open(b->folder, &second, &e), TD_CONFLICT);
	assert_null(second);
	assert_non_null(strstr(e.text, b->folder));
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	assert_non_null(strstr(e.text, pid));
	box_shut(b);
	box_open(b); /* and taken again once the first has gone */
}

static void a_reader_cannot_write(void **state)
{
	struct box *b = *state;
	struct err e = { 0 };

	assert_int_not_equal(db_run(&b->reader->db, "UPDATE counters SET value = 9", &e), TD_OK);
}

static void a_folder_that_cannot_be_made_is_an_error_with_its_name(void **state)
{
	struct store *s;
	struct err e = { 0 };

	(void)state;
	assert_int_not_equal(store_open("/dev/null/data", &s, &e), TD_OK);
	assert_non_null(strstr(e.text, "/dev/null/data"));
}

static void a_file_that_is_no_database_is_said_to_be_damaged(void **state)
{
	struct box *b = *state;
	char path[128], garbage[8192];
	struct store *s;
	struct err e = { 0 };

	box_shut(b);
	memset(garbage, 'x', sizeof garbage);
	snprintf(path, sizeof path, "%s/tandem.db", b->folder);
	assert_int_equal(file_write(path, garbage, sizeof garbage, &e), TD_OK);
	assert_int_equal(store_open(b->folder, &s, &e), TD_CORRUPT);
	assert_int_equal(unlink(path), 0);
	box_open(b);
}

/* ---- Migrations ------------------------------------------------------------------------------------------------- */

static const struct migration versions[] = {
	{ "migrations/0001_a.sql", "CREATE TABLE a (x); INSERT INTO a VALUES (1);" },
	{ "migrations/0002_b.sql", "ALTER TABLE a ADD COLUMN y; UPDATE a SET y = x + 1;" },
	{ "migrations/0003_c.sql", "CREATE TABLE c (z); SELECT broken;" },
};

static int64_t number(struct db *db, const char *sql)
{
	struct query q;
	int64_t v = -1;

	query_begin(&q, db, NULL, sql);
	if (query_row(&q))
		v = query_get_int(&q, 0);
	query_end(&q);
	return v;
}

static void an_older_schema_is_copied_aside_and_brought_forward(void **state)
{
	struct box *b = *state;
	struct db db, copy;
	struct err e = { 0 };
	char path[128], before[160], never[160];

	snprintf(path, sizeof path, "%s/m.db", b->folder);
	snprintf(before, sizeof before, "%s.before-2", path);
	snprintf(never, sizeof never, "%s.before-1", path);
	assert_int_equal(db_open(&db, path, false, &e), TD_OK);
	assert_int_equal(store_migrate(&db, path, versions, 1, &e), TD_OK);
	assert_int_not_equal(access(never, F_OK), 0); /* a new database needs no copy */
	assert_int_equal(store_migrate(&db, path, versions, 2, &e), TD_OK);
	assert_int_equal(number(&db, "SELECT y FROM a"), 2);
	assert_int_equal(number(&db, "SELECT max(version) FROM migrations"), 2);

	assert_int_equal(db_open(&copy, before, false, &e), TD_OK);
	assert_int_equal(number(&copy, "SELECT max(version) FROM migrations"), 1);
	assert_int_equal(number(&copy, "SELECT x FROM a"), 1);
	db_close(&copy);

	assert_int_equal(store_migrate(&db, path, versions, 2, &e), TD_OK); /* nothing to do */
	db_close(&db);
}

static void a_migration_that_fails_leaves_nothing_behind(void **state)
{
	struct box *b = *state;
	struct db db;
	struct err e = { 0 };
	char path[128];

	snprintf(path, sizeof path, "%s/m.db", b->folder);
	assert_int_equal(db_open(&db, path, false, &e), TD_OK);
	assert_int_not_equal(store_migrate(&db, path, versions, 3, &e), TD_OK);
	assert_non_null(strstr(e.text, "0003_c.sql"));
	assert_int_equal(number(&db, "SELECT max(version) FROM migrations"), 2);
	assert_int_equal(number(&db, "SELECT count(*) FROM sqlite_master WHERE name = 'c'"), 0);
	db_close(&db);
}

static void a_changed_migration_and_a_newer_database_are_refused(void **state)
{
	struct box *b = *state;
	const struct migration changed[] = { { "migrations/0001_a.sql", "CREATE TABLE a (x, other);" }, versions[1] };
	struct db db;
	struct err e = { 0 };
	char path[128];

	snprintf(path, sizeof path, "%s/m.db", b->folder);
	assert_int_equal(db_open(&db, path, false, &e), TD_OK);
	assert_int_equal(store_migrate(&db, path, versions, 2, &e), TD_OK);
	assert_int_equal(store_migrate(&db, path, changed, 2, &e), TD_CORRUPT);
	assert_non_null(strstr(e.text, "0001_a.sql has changed"));
	err_clear(&e);
	assert_int_equal(store_migrate(&db, path, versions, 1, &e), TD_UNSUPPORTED);
	assert_non_null(strstr(e.text, "newer"));
	db_close(&db);
}

static void the_program_refuses_a_database_of_its_future(void **state)
{
	struct box *b = *state;
	struct store *s;
	struct db db;
	struct err e = { 0 };
	char path[128];

	box_shut(b);
	snprintf(path, sizeof path, "%s/tandem.db", b->folder);
	assert_int_equal(db_open(&db, path, false, &e), TD_OK);
	assert_int_equal(
		db_run(&db, "INSERT INTO migrations SELECT max(version) + 1, 'f', 'f', 0 FROM migrations", &e), TD_OK);
	db_close(&db);
	assert_int_equal(store_open(b->folder, &s, &e), TD_UNSUPPORTED);
	assert_non_null(strstr(e.text, "tandem.db"));
	assert_int_equal(db_open(&db, path, false, &e), TD_OK);
	assert_int_equal(db_run(&db, "DELETE FROM migrations WHERE name = 'f'", &e), TD_OK);
	db_close(&db);
	box_open(b);
}

/* ---- The writer ------------------------------------------------------------------------------------------------- */

static td_status fn_fail_after_writing(struct store_tx *tx, void *arg, struct err *e)
{
	struct job j = { .state = JOB_QUEUED, .spec = (char *)"{}" };

	(void)arg;
	assert_int_equal(store_job_insert(tx, &j, e), TD_OK);
	return err_set(e, TD_INVALID, "on purpose");
}

static void a_command_that_fails_takes_back_only_itself(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	int64_t seq;

	add_job(b, id);
	seq = store_seq(b->store);
	assert_int_equal(do_tx(b, fn_fail_after_writing, NULL), TD_INVALID);
	assert_string_equal(b->err.text, "on purpose");
	assert_int_equal(store_seq(b->store), seq);
	assert_int_equal(number(&b->reader->db, "SELECT count(*) FROM jobs"), 1);
	assert_int_equal(number(&b->reader->db, "SELECT max(seq) FROM events"), seq);
	add_job(b, id); /* its numbers are used by the next */
	assert_int_equal(store_seq(b->store), seq + 1);
}

struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool entered, open;
};

/* Holds the writer until the gate is opened, so that commands pile up behind it. */
static td_status fn_gate(struct store_tx *tx, void *arg, struct err *e)
{
	struct gate *g = arg;

	(void)tx;
	(void)e;
	pthread_mutex_lock(&g->mutex);
	g->entered = true;
	pthread_cond_broadcast(&g->changed);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->mutex);
	pthread_mutex_unlock(&g->mutex);
	return TD_OK;
}

static void gate_wait(struct gate *g)
{
	pthread_mutex_lock(&g->mutex);
	while (!g->entered)
		pthread_cond_wait(&g->changed, &g->mutex);
	pthread_mutex_unlock(&g->mutex);
}

static void gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->mutex);
	g->open = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->mutex);
}

static _Atomic int n_done, n_failed, n_wakes;
static _Atomic int64_t last_wake;

static void count_done(struct store_cmd *cmd)
{
	n_done++;
	n_failed += cmd->err.status != TD_OK;
	mem_free(cmd);
}

static void count_wake(void *arg, int64_t seq)
{
	(void)arg;
	n_wakes++;
	assert_true(seq > last_wake);
	last_wake = seq;
}

static td_status fn_insert_any(struct store_tx *tx, void *arg, struct err *e)
{
	struct job j = { .state = JOB_QUEUED, .spec = (char *)"{}" };

	(void)arg;
	return store_job_insert(tx, &j, e);
}

static struct call *posted(td_status (*fn)(struct store_tx *tx, void *arg, struct err *e), void *arg)
{
	struct call *c = MEM_NEW(struct call);

	c->cmd.run = run_call;
	c->cmd.done = count_done;
	c->fn = fn;
	c->arg = arg;
	return c;
}

static void what_waits_is_committed_together_and_the_queue_is_bounded(void **state)
{
	struct box *b = *state;
	struct gate g = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false };
	struct call *c;
	int n = 0;

	n_done = n_failed = n_wakes = 0;
	last_wake = 0;
	box_shut(b);
	box_open(b);
	store_on_commit(b->store, count_wake, NULL);
	assert_true(store_post(b->store, &posted(fn_gate, &g)->cmd));
	gate_wait(&g);
	for (;; n++) {
		c = posted(n % 10 == 9 ? fn_fail_after_writing : fn_insert_any, NULL);
		if (!store_post(b->store, &c->cmd))
			break;
	}
	mem_free(c);
	assert_int_equal(n, STORE_QUEUE_MOST);
	gate_open(&g);
	store_close(b->store); /* drains */
	b->store = NULL;
	assert_int_equal(n_done, n + 1);
	assert_int_equal(n_failed, n / 10);
	/* 1024 commands in groups of 256: a wake-up, hence a commit and a sync, each. */
	assert_int_equal(n_wakes, 4);
	assert_int_equal(number(&b->reader->db, "SELECT count(*) FROM jobs"), n - n / 10);
	assert_int_equal(number(&b->reader->db, "SELECT value FROM counters WHERE name = 'seq'"), last_wake);
	store_reader_close(b->reader);
	box_open(b);
	assert_int_equal(store_seq(b->store), last_wake); /* goes on where it was */
}

struct hammer {
	struct box *box;
	int n;
};

static void *hammer_main(void *arg)
{
	struct hammer *h = arg;
	struct store_reader *r;
	struct err e = { 0 };

	if (store_reader_open(h->box->store, &r, &e) != TD_OK)
		return NULL;
	for (int i = 0; i < h->n; i++) {
		struct job j = { .state = JOB_QUEUED, .spec = (char *)"{}" }, back = { 0 };
		struct call c = { .cmd.run = run_call, .fn = fn_insert, .arg = &j };

		if (store_write(h->box->store, &c.cmd) != TD_OK)
			break;
		/* What was acknowledged is there for everybody. */
		if (store_job_get(r, j.id, &back, &e) != TD_OK || store_seq(h->box->store) < back.seq)
			break;
		job_release(&back);
		n_done++;
	}
	store_reader_close(r);
	return NULL;
}

static void many_threads_write_and_read_their_own_writes(void **state)
{
	struct box *b = *state;
	struct hammer h = { b, 40 };
	pthread_t threads[8];

	n_done = 0;
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, hammer_main, &h);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(n_done, 8 * 40);
	assert_int_equal(number(&b->reader->db, "SELECT count(DISTINCT seq) FROM jobs"), 8 * 40);
}

static td_status fn_modes(struct store_tx *tx, void *arg, struct err *e)
{
	int64_t *modes = arg;

	(void)e;
	modes[0] = number(tx->db, "PRAGMA synchronous");
	modes[1] = number(tx->db, "SELECT count(*) FROM pragma_journal_mode WHERE journal_mode = 'wal'");
	modes[2] = number(tx->db, "PRAGMA foreign_keys");
	return TD_OK;
}

static void every_commit_is_synced(void **state)
{
	int64_t modes[3];

	assert_int_equal(do_tx(*state, fn_modes, modes), TD_OK);
	assert_int_equal(modes[0], 2); /* FULL: the log is synced at every commit */
	assert_int_equal(modes[1], 1);
	assert_int_equal(modes[2], 1);
}

static void a_probe_reaches_the_disk_and_moves_no_seq(void **state)
{
	struct box *b = *state;
	struct err e = { 0 };
	int64_t seq = store_seq(b->store);

	assert_int_equal(store_probe(b->store, &e), TD_OK);
	assert_true(number(&b->reader->db, "SELECT value FROM counters WHERE name = 'probe'") > 1700000000000);
	assert_int_equal(store_seq(b->store), seq);
	assert_true(store_bytes(b->store) > 4096);
}

/* ---- Trouble ---------------------------------------------------------------------------------------------------- */

static td_status fn_limit_pages(struct store_tx *tx, void *arg, struct err *e)
{
	char sql[64];

	snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", *(int *)arg);
	return db_run(tx->db, sql, e);
}

static td_status fn_big_log(struct store_tx *tx, void *arg, struct err *e)
{
	static char text[60000];

	memset(text, 'x', sizeof text - 1);
	return store_log_append(tx, arg, 0, "info", text, e);
}

static void a_full_disk_fails_the_command_and_the_daemon_lives_on(void **state)
{
	struct box *b = *state;
	int pages = 1, plenty = 1 << 30;
	char id[ULID_TEXT];
	td_status status = TD_OK;
	int64_t seq;

	add_job(b, id);
	assert_int_equal(do_tx(b, fn_limit_pages, &pages), TD_OK); /* as large as it is now, no larger */
	for (int i = 0; i < 20 && status == TD_OK; i++) {
		seq = store_seq(b->store);
		status = do_tx(b, fn_big_log, id);
	}
	assert_int_equal(status, TD_NO_SPACE);
	assert_non_null(strstr(b->err.text, "disk is full"));
	assert_int_equal(store_seq(b->store), seq);
	assert_int_equal(do_tx(b, fn_limit_pages, &plenty), TD_OK);
	assert_int_equal(do_tx(b, fn_big_log, id), TD_OK);
	assert_true(store_seq(b->store) > seq);
}

/* A child that writes, tells each acknowledged write over a pipe, and dies in the middle of it all. */
static _Noreturn void child_writes_and_dies(const char *folder, int fd, int n_before_death)
{
	struct store *s;
	struct err e = { 0 };

	if (store_open(folder, &s, &e) != TD_OK)
		_exit(2);
	for (int i = 0;; i++) {
		struct job j = { .state = JOB_QUEUED, .spec = (char *)"{}" };
		struct call c = { .cmd.run = run_call, .fn = fn_insert, .arg = &j }, *more = MEM_NEW(struct call);

		if (store_write(s, &c.cmd) != TD_OK || write(fd, j.id, ULID_TEXT) != ULID_TEXT)
			_exit(3);
		more->cmd.run = run_call;
		more->cmd.done = count_done;
		more->fn = fn_insert_any;
		store_post(s, &more->cmd); /* in the writer's hands at the moment of death */
		if (i == n_before_death)
			_exit(0);
	}
}

static void what_was_acknowledged_before_a_crash_is_there_after_it(void **state)
{
	struct box *b = *state;
	char id[ULID_TEXT];
	int ends[2], status, told = 0;
	int64_t seq = 0;

	box_shut(b);
	for (int round = 0; round < 5; round++) {
		pid_t child;

		assert_int_equal(pipe(ends), 0);
		child = fork();
		if (!child)
			child_writes_and_dies(b->folder, ends[1], 3 + round * 7);
		close(ends[1]);
		waitpid(child, &status, 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		box_open(b);
		while (read(ends[0], id, ULID_TEXT) == ULID_TEXT) {
			struct job j;
			struct err e = { 0 };

			assert_int_equal(store_job_get(b->reader, id, &j, &e), TD_OK);
			job_release(&j);
			told++;
		}
		close(ends[0]);
		assert_true(store_seq(b->store) > seq); /* never goes back */
		seq = store_seq(b->store);
		assert_int_equal(number(&b->reader->db, "SELECT max(seq) FROM events"), seq);
		assert_int_equal(number(&b->reader->db,
					 "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
			0);
		box_shut(b);
	}
	assert_int_equal(told, 4 + 11 + 18 + 25 + 32);
	box_open(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		box_test(a_second_daemon_on_the_same_folder_is_refused),
		box_test(a_reader_cannot_write),
		box_test(a_folder_that_cannot_be_made_is_an_error_with_its_name),
		box_test(a_file_that_is_no_database_is_said_to_be_damaged),
		box_test(an_older_schema_is_copied_aside_and_brought_forward),
		box_test(a_migration_that_fails_leaves_nothing_behind),
		box_test(a_changed_migration_and_a_newer_database_are_refused),
		box_test(the_program_refuses_a_database_of_its_future),
		box_test(a_command_that_fails_takes_back_only_itself),
		box_test(what_waits_is_committed_together_and_the_queue_is_bounded),
		box_test(many_threads_write_and_read_their_own_writes),
		box_test(every_commit_is_synced),
		box_test(a_probe_reaches_the_disk_and_moves_no_seq),
		box_test(a_full_disk_fails_the_command_and_the_daemon_lives_on),
		box_test(what_was_acknowledged_before_a_crash_is_there_after_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
