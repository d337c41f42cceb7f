/* One SQLite connection with its cached statements, and the only way in which the store runs a statement:
 *
 *	struct query q;
 *	query_begin(&q, db, e, "SELECT name FROM jobs WHERE id = ?");
 *	query_text(&q, id);
 *	while (query_row(&q))
 *		use(query_get_text(&q, 0));
 *	return query_end(&q);
 *
 * Errors are sticky in the query: once something failed, the rest does nothing and query_end returns the status. */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <sqlite3.h>
#include <stdint.h>
#include "base/err.h"
#include "base/map.h"

/* How long a connection waits for another one's lock.  Readers never need one in WAL mode; checkpoints and backups may.
 */
#define DB_BUSY_MS 5000

struct db {
	sqlite3 *handle;       /* owned */
	struct map statements; /* SQL text -> sqlite3_stmt, owned */
};

/* READ_ONLY: refuses every write.  Otherwise the file is made if need be, in WAL mode with synchronous=FULL. */
td_status db_open(struct db *db, const char *path, bool read_only, struct err *e);
void db_close(struct db *db);
/* What SQLite said last, as a status with a message that names WHAT was being done. */
td_status db_fail(struct db *db, const char *what, struct err *e);
/* Statements without parameters or rows. */
td_status db_run(struct db *db, const char *sql, struct err *e);
/* Several queries that must see one moment: db_snapshot(db, &mine, e) ... db_snapshot_end(db, mine).  Nests. */
td_status db_snapshot(struct db *db, bool *mine, struct err *e);
void db_snapshot_end(struct db *db, bool mine);

struct query {
	struct db *db;
	sqlite3_stmt *stmt; /* borrowed from the cache; NULL after a failure */
	struct err *e;
	int n_bound; /* parameters given so far */
	td_status status;
};

/* SQL is a literal or a text that comes again: it stays in the cache.  One query per SQL text at a time. */
void query_begin(struct query *q, struct db *db, struct err *e, const char *sql);
/* The next parameter.  Texts and blobs are borrowed until query_end; NULL stands for SQL's NULL. */
void query_text(struct query *q, const char *v);
void query_int(struct query *q, int64_t v);
void query_double(struct query *q, double v);
void query_bits(struct query *q, double v); /* as an integer with the same bits */
void query_blob(struct query *q, const void *v, size_t n_bytes);
/* Whether there is a (further) row. */
bool query_row(struct query *q);
/* Columns of the row; texts and blobs are borrowed until the next query_row or query_end. */
int64_t query_get_int(struct query *q, int column);
double query_get_bits(struct query *q, int column);
const char *query_get_text(struct query *q, int column); /* NULL: SQL's NULL */
char *query_take_text(struct query *q, int column);      /* a copy (mem_free) */
const void *query_get_blob(struct query *q, int column, size_t *n_bytes);
/* Frees the statement for its next use.  Returns the query's status. */
td_status query_end(struct query *q);
/* query_row until there is none, then query_end: for statements that write. */
td_status query_run(struct query *q);
/* Rows that the last INSERT, UPDATE or DELETE touched. */
int query_changes(const struct query *q);

#endif
