/* Brings a database up to the schema that this program knows: forward only, each migration in one transaction.
 *
 * The table migrations remembers the checksum of each text, so that a migration that was edited after it ran somewhere
 * is noticed instead of leaving two different schemas under one number.  An existing database is copied aside first. */
#include "store/internal.h"
#include "base/file.h"
#include "base/log.h"
#include "embedded.h"

#include <stdlib.h>
#include <string.h>

#define MIGRATIONS_MOST 1000 /* four digits in the file name */

/* Check the rows of what has run already against MIGRATIONS.  *DONE: how many have. */
static td_status check_applied(struct db *db, const struct migration *migrations, int n, int *done, struct err *e)
{
	struct query q;
	char sha[SHA256_TEXT];

	*done = 0;
	query_begin(&q, db, e, "SELECT version, sha256 FROM migrations ORDER BY version");
	while (query_row(&q)) {
		int64_t version = query_get_int(&q, 0);

		if (version != *done + 1)
			q.status = err_set(e, TD_CORRUPT, "the schema's history has %lld where %d was expected",
				(long long)version, *done + 1);
		else if (version > n)
			q.status = err_set(e, TD_UNSUPPORTED,
				"the database is newer than this program: it has schema %lld or later, and this "
				"tandemd "
				"knows schemas up to %d; run the newer tandemd, or go back to the copy that it made "
				"(tandem.db.before-%lld)",
				(long long)version, n, (long long)version);
		else {
			sha256_of(migrations[*done].sql, strlen(migrations[*done].sql), sha);
			if (strcmp(sha, query_get_text(&q, 1)))
				q.status = err_set(e, TD_CORRUPT,
					"%s has changed since it ran on this database (checksum %.12s now, %.12s "
					"then); restore the file, and put the change into a new migration",
					migrations[*done].path, sha, query_get_text(&q, 1));
			++*done;
		}
	}
	return query_end(&q);
}

/* A consistent copy of the database at PATH.before-VERSION, durable before the migration begins. */
static td_status copy_aside(struct db *db, const char *path, int version, struct err *e)
{
	char *name = mem_printf("%s.before-%d", path, version), *partial = mem_printf("%s.partial", name);
	struct db copy = { 0 };
	sqlite3_backup *backup;
	td_status status = db_open(&copy, partial, false, e);

	if (status == TD_OK) {
		/* One file, without a log beside it. */
		backup = sqlite3_backup_init(copy.handle, "main", db->handle, "main");
		if (backup)
			sqlite3_backup_step(backup, -1);
		if (!backup || sqlite3_backup_finish(backup) != SQLITE_OK)
			status = db_fail(&copy, "copying the database aside", e);
		else
			status = db_run(&copy, "PRAGMA journal_mode = DELETE", e);
		db_close(&copy);
	}
	if (status == TD_OK)
		status = file_sync(partial, e);
	if (status == TD_OK)
		status = file_rename(partial, name, e);
	if (status == TD_OK)
		log_line(LOG_INFO, "database copied aside before a migration", "copy=%s", name);
	mem_free(partial);
	mem_free(name);
	return status;
}

static td_status apply(struct db *db, const struct migration *m, int version, struct err *e)
{
	struct query q;
	char sha[SHA256_TEXT];
	td_status status = db_run(db, "BEGIN IMMEDIATE", e);

	if (status != TD_OK)
		return status;
	sha256_of(m->sql, strlen(m->sql), sha);
	status = db_run(db, m->sql, e);
	if (status == TD_OK) {
		query_begin(
			&q, db, e, "INSERT INTO migrations (version, name, sha256, applied_ms) VALUES (?, ?, ?, ?)");
		query_int(&q, version);
		query_text(&q, m->path);
		query_text(&q, sha);
		query_int(&q, clock_now_ms());
		status = query_run(&q);
	}
	if (status == TD_OK)
		status = db_run(db, "COMMIT", e);
	if (status != TD_OK && !sqlite3_get_autocommit(db->handle))
		db_run(db, "ROLLBACK", NULL);
	if (status != TD_OK)
		return err_wrap(e, "%s", m->path);
	log_line(LOG_INFO, "migration applied", "version=%d file=%s", version, m->path);
	return TD_OK;
}

td_status store_migrate(struct db *db, const char *path, const struct migration *migrations, int n, struct err *e)
{
	int done = 0;
	td_status status = db_run(db,
		"CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
		"sha256 TEXT NOT NULL, applied_ms INTEGER NOT NULL)",
		e);

	if (status == TD_OK)
		status = check_applied(db, migrations, n, &done, e);
	if (status == TD_OK && done > 0 && done < n)
		status = copy_aside(db, path, done + 1, e);
	for (int i = done; status == TD_OK && i < n; i++)
		status = apply(db, &migrations[i], i + 1, e);
	return status == TD_OK ? TD_OK : err_wrap(e, "%s", path);
}

td_status store_migrate_embedded(struct db *db, const char *path, struct err *e)
{
	static const char prefix[] = "migrations/";
	struct migration list[MIGRATIONS_MOST];
	int n = 0;

	for (size_t i = 0; i < n_embedded_files && n < MIGRATIONS_MOST; i++) {
		const struct embedded_file *f = &embedded_files[i];

		if (strncmp(f->path, prefix, strlen(prefix)))
			continue;
		list[n++] = (struct migration){ .path = f->path, .sql = (const char *)f->data };
		if (strtol(f->path + strlen(prefix), NULL, 10) != n)
			TD_BUG("%s: migrations are numbered without gaps, and this one is number %d", f->path, n);
	}
	return store_migrate(db, path, list, n, e);
}
