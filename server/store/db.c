/* SQLite connections and statements: see db.h. */
#include "store/db.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* SQLite's result codes that mean something to a caller. */
static const struct {
	int code; /* primary result code */
	td_status status;
} results[] = {
	{ SQLITE_FULL, TD_NO_SPACE },
	{ SQLITE_IOERR, TD_IO },
	{ SQLITE_READONLY, TD_IO },
	{ SQLITE_CANTOPEN, TD_IO },
	{ SQLITE_CORRUPT, TD_CORRUPT },
	{ SQLITE_NOTADB, TD_CORRUPT },
	{ SQLITE_NOMEM, TD_NO_MEMORY },
	{ SQLITE_BUSY, TD_BUSY },
	{ SQLITE_LOCKED, TD_BUSY },
	{ SQLITE_TOOBIG, TD_TOO_LARGE },
	{ SQLITE_CONSTRAINT, TD_CONFLICT },
};

td_status db_fail(struct db *db, const char *what, struct err *e)
{
	int code = sqlite3_errcode(db->handle), error = sqlite3_system_errno(db->handle);
	td_status status = TD_INTERNAL;

	for (size_t i = 0; i < TD_COUNT(results); i++)
		if (results[i].code == (code & 0xff))
			status = results[i].status;
	if (status == TD_IO && (error == ENOSPC || error == EDQUOT || error == EFBIG))
		status = TD_NO_SPACE;
	if (status == TD_NO_SPACE)
		return err_set(e, status,
			"the database cannot grow (%s): the disk is full; free some space in the data folder", what);
	return err_set(e, status, "database: %s: %s (SQLite result %d%s%s)", what, sqlite3_errmsg(db->handle), code,
		status == TD_IO && error ? ", " : "", status == TD_IO && error ? strerror(error) : "");
}

/* bits_real(x): the double with the bits of the integer x; NaN comes out as NULL. */
static void bits_real(sqlite3_context *context, int n, sqlite3_value **values)
{
	int64_t bits = sqlite3_value_int64(values[0]);
	double v;

	(void)n;
	memcpy(&v, &bits, sizeof v);
	if (sqlite3_value_type(values[0]) == SQLITE_NULL)
		sqlite3_result_null(context);
	else
		sqlite3_result_double(context, v);
}

td_status db_run(struct db *db, const char *sql, struct err *e)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL) == SQLITE_OK ? TD_OK : db_fail(db, sql, e);
}

td_status db_open(struct db *db, const char *path, bool read_only, struct err *e)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (read_only ? 0 : SQLITE_OPEN_CREATE);

	*db = (struct db){ 0 };
	map_init(&db->statements);
	if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK) {
		db_fail(db, "open", e);
		db_close(db);
		return err_wrap(e, "%s", path);
	}
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_busy_timeout(db->handle, DB_BUSY_MS);
	sqlite3_create_function(
		db->handle, "bits_real", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL, bits_real, NULL, NULL);
	/* A read-only WAL database would need its shared memory to exist already; query_only has no such edge. */
	if (db_run(db,
		    read_only ? "PRAGMA query_only = ON"
			      : "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;",
		    e) == TD_OK)
		return TD_OK;
	db_close(db);
	return err_wrap(e, "%s", path);
}

void db_close(struct db *db)
{
	struct map_entry *entry;

	for (size_t i = 0; (entry = map_next(&db->statements, &i));)
		sqlite3_finalize(entry->value);
	map_release(&db->statements);
	sqlite3_close(db->handle);
	*db = (struct db){ 0 };
}

td_status db_snapshot(struct db *db, bool *mine, struct err *e)
{
	*mine = sqlite3_get_autocommit(db->handle);
	return *mine ? db_run(db, "BEGIN", e) : TD_OK;
}

void db_snapshot_end(struct db *db, bool mine)
{
	if (mine)
		db_run(db, "COMMIT", NULL);
}

/* ---- Queries ---------------------------------------------------------------------------------------------------- */

static void fail(struct query *q)
{
	q->status = db_fail(q->db, sqlite3_sql(q->stmt), q->e);
}

void query_begin(struct query *q, struct db *db, struct err *e, const char *sql)
{
	*q = (struct query){ .db = db, .e = e, .stmt = map_get(&db->statements, sql) };
	if (q->stmt) {
		TD_ASSERT(!sqlite3_stmt_busy(q->stmt));
		return;
	}
	if (sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->stmt, NULL) == SQLITE_OK)
		map_put(&db->statements, sql, q->stmt);
	else
		q->status = db_fail(db, sql, e);
}

static void bound(struct query *q, int result)
{
	if (result != SQLITE_OK)
		fail(q);
}

void query_text(struct query *q, const char *v)
{
	if (q->status == TD_OK)
		bound(q, sqlite3_bind_text(q->stmt, ++q->n_bound, v, -1, SQLITE_STATIC));
}

void query_int(struct query *q, int64_t v)
{
	if (q->status == TD_OK)
		bound(q, sqlite3_bind_int64(q->stmt, ++q->n_bound, v));
}

void query_double(struct query *q, double v)
{
	if (q->status == TD_OK)
		bound(q, sqlite3_bind_double(q->stmt, ++q->n_bound, v));
}

void query_bits(struct query *q, double v)
{
	int64_t bits;

	memcpy(&bits, &v, sizeof bits);
	query_int(q, bits);
}

void query_blob(struct query *q, const void *v, size_t n_bytes)
{
	if (q->status == TD_OK)
		bound(q, sqlite3_bind_blob64(q->stmt, ++q->n_bound, v, n_bytes, SQLITE_STATIC));
}

bool query_row(struct query *q)
{
	int result;

	if (q->status != TD_OK)
		return false;
	result = sqlite3_step(q->stmt);
	if (result != SQLITE_ROW && result != SQLITE_DONE)
		fail(q);
	return result == SQLITE_ROW;
}

int64_t query_get_int(struct query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

double query_get_bits(struct query *q, int column)
{
	int64_t bits = sqlite3_column_int64(q->stmt, column);
	double v;

	memcpy(&v, &bits, sizeof v);
	return v;
}

const char *query_get_text(struct query *q, int column)
{
	return (const char *)sqlite3_column_text(q->stmt, column);
}

char *query_take_text(struct query *q, int column)
{
	return mem_strdup(query_get_text(q, column));
}

const void *query_get_blob(struct query *q, int column, size_t *n_bytes)
{
	const void *blob = sqlite3_column_blob(q->stmt, column);

	*n_bytes = (size_t)sqlite3_column_bytes(q->stmt, column);
	return blob;
}

td_status query_end(struct query *q)
{
	if (q->stmt) {
		sqlite3_reset(q->stmt);
		sqlite3_clear_bindings(q->stmt);
	}
	return q->status;
}

td_status query_run(struct query *q)
{
	while (query_row(q))
		;
	return query_end(q);
}

int query_changes(const struct query *q)
{
	return sqlite3_changes(q->db->handle);
}
