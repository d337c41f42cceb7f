/* Who may do what, and what was asked before: tokens, and the keys that make a repeated request harmless. */
#include "store/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- Tokens ----------------------------------------------------------------------------------------------------- */

#define TOKEN_COLUMNS "id, owner, note, scope, created_ms, expires_ms, used_ms"

static const char *const scopes[] = {
	[SCOPE_NONE] = "none", [SCOPE_READ] = "read", [SCOPE_RUN] = "run", [SCOPE_ADMIN] = "admin"
};

const char *token_scope_name(enum token_scope s)
{
	TD_ASSERT((size_t)s < TD_COUNT(scopes));
	return scopes[s];
}

bool token_scope_parse(const char *name, enum token_scope *out)
{
	for (size_t i = SCOPE_READ; i < TD_COUNT(scopes); i++) {
		if (strcmp(name, scopes[i]))
			continue;
		*out = (enum token_scope)i;
		return true;
	}
	return false;
}

void token_release(struct token *t)
{
	mem_free(t->owner);
	mem_free(t->note);
	*t = (struct token){ 0 };
}

td_status store_token_add(struct store_tx *tx, struct token *t, const char *hash, struct err *e)
{
	struct query q;

	ulid_make(t->id);
	t->created_ms = tx->now_ms;
	query_begin(&q, tx->db, e,
		"INSERT INTO tokens (id, hash, owner, note, scope, created_ms, expires_ms) VALUES (?, ?, ?, ?, ?, ?, "
		"?)");
	query_text(&q, t->id);
	query_text(&q, hash);
	query_text(&q, t->owner ? t->owner : "");
	query_text(&q, t->note ? t->note : "");
	query_text(&q, token_scope_name(t->scope));
	query_int(&q, t->created_ms);
	query_int(&q, t->expires_ms);
	return query_run(&q);
}

td_status store_token_revoke(struct store_tx *tx, const char *id, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "UPDATE tokens SET revoked_ms = ? WHERE id = ? AND revoked_ms = 0");
	query_int(&q, tx->now_ms);
	query_text(&q, id);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return err_set(e, TD_NOT_FOUND, "there is no token '%.40s'; GET /api/v1/tokens lists them", id);
	return q.status;
}

td_status store_token_used(struct store_tx *tx, const char *id, int64_t now_ms, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "UPDATE tokens SET used_ms = max(used_ms, ?) WHERE id = ?");
	query_int(&q, now_ms);
	query_text(&q, id);
	return query_run(&q);
}

static void take_token(struct query *q, struct token *t)
{
	*t = (struct token){ .owner = query_take_text(q, 1),
		.note = query_take_text(q, 2),
		.created_ms = query_get_int(q, 4),
		.expires_ms = query_get_int(q, 5),
		.used_ms = query_get_int(q, 6) };
	snprintf(t->id, sizeof t->id, "%s", query_get_text(q, 0));
	if (!token_scope_parse(query_get_text(q, 3), &t->scope))
		t->scope = SCOPE_NONE; /* may do nothing */
}

td_status store_token_find(struct store_reader *r, const char *hash, int64_t now_ms, struct token *out, struct err *e)
{
	struct query q;
	bool found;

	*out = (struct token){ 0 };
	query_begin(&q, &r->db, e,
		"SELECT " TOKEN_COLUMNS
		" FROM tokens WHERE hash = ? AND revoked_ms = 0 AND (expires_ms = 0 OR expires_ms > ?)");
	query_text(&q, hash);
	query_int(&q, now_ms);
	found = query_row(&q);
	if (found)
		take_token(&q, out);
	if (query_end(&q) == TD_OK && !found)
		return err_set(e, TD_NOT_FOUND, "this token is not known here, or it has expired or been revoked");
	return q.status;
}

td_status store_token_each(
	struct store_reader *r, void (*each)(void *arg, const struct token *t), void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e, "SELECT " TOKEN_COLUMNS " FROM tokens WHERE revoked_ms = 0 ORDER BY id");
	while (query_row(&q)) {
		struct token t;

		take_token(&q, &t);
		each(arg, &t);
		token_release(&t);
	}
	return query_end(&q);
}

td_status store_token_count(struct store_reader *r, int64_t *n, struct err *e)
{
	struct query q;

	*n = 0;
	query_begin(&q, &r->db, e, "SELECT count(*) FROM tokens");
	if (query_row(&q))
		*n = query_get_int(&q, 0);
	return query_end(&q);
}

/* ---- Idempotency keys ------------------------------------------------------------------------------------------- */

static td_status drop_lapsed(struct store_tx *tx, struct err *e)
{
	struct query q;

	query_begin(
		&q, tx->db, e, "DELETE FROM idempotency WHERE created_ms <= ? AND (status IS NULL OR created_ms <= ?)");
	query_int(&q, tx->now_ms - STORE_RESERVED_MS);
	query_int(&q, tx->now_ms - STORE_IDEMPOTENCY_MS);
	return query_run(&q);
}

/* *FOUND: the key was used before, and what for is in the other results; TD_CONFLICT and TD_BUSY as in store.h. */
static td_status find_key(struct store_tx *tx, const char *owner, const char *key, const char *request_hash,
	bool *found, int *status, char **body, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "SELECT request_hash, status, body FROM idempotency WHERE owner = ? AND key = ?");
	query_text(&q, owner);
	query_text(&q, key);
	*found = query_row(&q);
	if (*found && strcmp(query_get_text(&q, 0), request_hash))
		q.status = err_set(e, TD_CONFLICT,
			"Idempotency-Key '%.100s' was used for another request within the last 24 hours; use a new key "
			"for a new request",
			key);
	else if (*found && !query_get_text(&q, 1))
		q.status =
			err_set(e, TD_BUSY, "the first request with Idempotency-Key '%.100s' is still under way", key);
	else if (*found) {
		*status = (int)query_get_int(&q, 1);
		*body = query_take_text(&q, 2);
	}
	return query_end(&q);
}

td_status store_idempotency_begin(struct store_tx *tx, const char *owner, const char *key, const char *request_hash,
	bool *replay, int *status, char **body, struct err *e)
{
	struct query q;
	td_status result = drop_lapsed(tx, e);

	*replay = false;
	*body = NULL;
	if (result == TD_OK)
		result = find_key(tx, owner, key, request_hash, replay, status, body, e);
	if (result != TD_OK || *replay)
		return result;
	query_begin(
		&q, tx->db, e, "INSERT INTO idempotency (owner, key, request_hash, created_ms) VALUES (?, ?, ?, ?)");
	query_text(&q, owner);
	query_text(&q, key);
	query_text(&q, request_hash);
	query_int(&q, tx->now_ms);
	return query_run(&q);
}

td_status store_idempotency_end(
	struct store_tx *tx, const char *owner, const char *key, int status, const char *body, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "UPDATE idempotency SET status = ?, body = ? WHERE owner = ? AND key = ?");
	query_int(&q, status);
	query_text(&q, body);
	query_text(&q, owner);
	query_text(&q, key);
	return query_run(&q);
}
