/* Tokens and sessions: who may come in.
 *
 * The text of a token is shown once, when it is made.  A session is a token that a browser holds in a cookie; it goes
 * with the token that it was made with. */
#include "api/api.h"
#include "http/connection.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SESSION_MS (7LL * 24 * 3600 * 1000)

/* ---- Making one -------------------------------------------------------------------------------------------------- */

void token_make(char text[TOKEN_TEXT], char hash[SHA256_TEXT])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char bytes[43];

	random_bytes(bytes, sizeof bytes);
	memcpy(text, "td_", 3);
	for (size_t i = 0; i < sizeof bytes; i++)
		text[3 + i] = digits[bytes[i] & 63];
	text[3 + sizeof bytes] = '\0';
	sha256_of(text, strlen(text), hash);
}

struct token_cmd {
	struct store_cmd cmd;
	struct token *token;
	const char *hash;
};

static td_status add_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct token_cmd *c = (struct token_cmd *)cmd;

	return store_token_add(tx, c->token, c->hash, e);
}

td_status token_store(struct store *s, struct token *t, const char *hash, struct err *e)
{
	struct token_cmd c = { .cmd.run = add_run, .token = t, .hash = hash };

	return store_write(s, &c.cmd) ? err_copy(e, &c.cmd.err) : TD_OK;
}

cJSON *token_json(const struct token *t)
{
	cJSON *o = cJSON_CreateObject();

	cJSON_AddStringToObject(o, "id", t->id);
	cJSON_AddStringToObject(o, "owner", t->owner);
	cJSON_AddStringToObject(o, "scope", token_scope_name(t->scope));
	cJSON_AddStringToObject(o, "note", t->note ? t->note : "");
	api_add_time(o, "created_at", t->created_ms);
	api_add_time(o, "expires_at", t->expires_ms);
	api_add_time(o, "used_at", t->used_ms);
	return o;
}

td_status api_parse_time(const char *text, int64_t *ms, struct err *e)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int fraction = 0, n = 0;

	if (rest && *rest == '.' && sscanf(rest, ".%3d%n", &fraction, &n) == 1)
		rest += n + (int)strspn(rest + n, "0123456789");
	if (!rest || strcmp(rest, "Z") != 0)
		return err_set(
			e, TD_INVALID, "\"%.60s\" is not a time; expected one in UTC like 2027-01-31T12:00:00Z", text);
	for (int scale = n - 1; n && scale < 3; scale++)
		fraction *= 10;
	*ms = (int64_t)timegm(&tm) * 1000 + fraction;
	return TD_OK;
}

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

static void add_token(void *arg, const struct token *t)
{
	if (strncmp(t->note ? t->note : "", SESSION_NOTE, strlen(SESSION_NOTE)) != 0)
		cJSON_AddItemToArray(arg, token_json(t));
}

td_status tokens_list(struct request *q, struct response *r, struct err *e)
{
	cJSON *items = cJSON_CreateArray();

	if (store_token_each(q->reader, add_token, items, e)) {
		cJSON_Delete(items);
		return e->status;
	}
	respond_list(r, items, NULL);
	return TD_OK;
}

static td_status read_expiry(struct request *q, struct response *r, int64_t *ms, struct err *e)
{
	const char *text = json_string(q->json, "expires", NULL);
	struct err wrong = { 0 };
	struct faults f;

	*ms = 0;
	if (!text)
		return TD_OK;
	if (!api_parse_time(text, ms, &wrong) && *ms <= clock_now_ms())
		err_set(&wrong, TD_INVALID, "\"%.60s\" has passed; such a token would open nothing", text);
	if (!wrong.status)
		return TD_OK;
	faults_init(&f);
	faults_add(&f, "/expires", "%s", wrong.text);
	respond_faults(r, q, &f, e);
	faults_release(&f);
	return TD_INVALID;
}

td_status token_create(struct request *q, struct response *r, struct err *e)
{
	struct token t = { .owner = mem_strdup(json_string(q->json, "owner", "")),
		.note = mem_strdup(json_string(q->json, "note", "")) };
	char text[TOKEN_TEXT], hash[SHA256_TEXT];
	cJSON *answer;

	token_scope_parse(json_string(q->json, "scope", "read"), &t.scope);
	if (read_expiry(q, r, &t.expires_ms, e)) {
		token_release(&t);
		return TD_OK; /* the response says why */
	}
	token_make(text, hash);
	if (!token_store(q->srv->store, &t, hash, e)) {
		answer = token_json(&t);
		cJSON_AddStringToObject(answer, "token", text);
		respond_json(r, 201, answer);
	}
	token_release(&t);
	return e->status;
}

/* A token goes with its sessions, all in one commit. */
#define REVOKE_MOST 256

struct revoke {
	struct store_cmd cmd;
	char ids[REVOKE_MOST][ULID_TEXT];
	int n;
};

static td_status revoke_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct revoke *v = (struct revoke *)cmd;

	for (int i = 0; i < v->n; i++)
		if (store_token_revoke(tx, v->ids[i], e))
			return e->status;
	return TD_OK;
}

static void add_session(void *arg, const struct token *t)
{
	struct revoke *v = arg;
	const char *note = t->note ? t->note : "";

	if (v->n < REVOKE_MOST && !strncmp(note, SESSION_NOTE, strlen(SESSION_NOTE)) &&
		!strcmp(note + strlen(SESSION_NOTE), v->ids[0]))
		memcpy(v->ids[v->n++], t->id, ULID_TEXT);
}

td_status token_revoke(struct store *s, struct store_reader *reader, const char *id, struct err *e)
{
	struct revoke v = { .cmd.run = revoke_run, .n = 1 };

	snprintf(v.ids[0], ULID_TEXT, "%s", id);
	if (strlen(id) >= ULID_TEXT)
		return err_set(e, TD_NOT_FOUND, "there is no token \"%.60s\"", id);
	if (store_token_each(reader, add_session, &v, e))
		return e->status;
	return store_write(s, &v.cmd) ? err_copy(e, &v.cmd.err) : TD_OK;
}

td_status token_delete(struct request *q, struct response *r, struct err *e)
{
	if (token_revoke(q->srv->store, q->reader, q->param[0], e))
		return e->status;
	respond_empty(r, 204);
	return TD_OK;
}

/* ---- Sessions ---------------------------------------------------------------------------------------------------- */

static void respond_cookie(const struct request *q, struct response *r, const char *text, int64_t seconds)
{
	const char *scheme = request_header(q, "X-Forwarded-Proto");
	char cookie[200];

	snprintf(cookie, sizeof cookie, SESSION_COOKIE "=%s; HttpOnly; SameSite=Strict; Path=/; Max-Age=%lld%s", text,
		(long long)seconds, scheme && !strcmp(scheme, "https") ? "; Secure" : "");
	respond_header(r, "Set-Cookie", cookie);
}

td_status session_get(struct request *q, struct response *r, struct err *e)
{
	cJSON *o = cJSON_CreateObject();
	bool known = q->token.scope != SCOPE_NONE;

	(void)e;
	cJSON_AddBoolToObject(o, "signed_in", known);
	cJSON_AddItemToObject(o, "owner", known ? cJSON_CreateString(q->token.owner) : cJSON_CreateNull());
	cJSON_AddStringToObject(o, "scope", token_scope_name(q->token.scope));
	cJSON_AddBoolToObject(
		o, "needs_token", !known || *q->token.id); /* false: everybody on this machine is let in */
	respond_header(r, "Cache-Control", "no-store");
	respond_json(r, 200, o);
	return TD_OK;
}

td_status session_create(struct request *q, struct response *r, struct err *e)
{
	const char *given = json_string(q->json, "token", "");
	char text[TOKEN_TEXT], hash[SHA256_TEXT];
	struct token parent, t = { 0 };
	int64_t now = clock_now_ms();
	struct err unknown = { 0 };
	cJSON *answer;

	sha256_of(given, strlen(given), hash);
	if (store_token_find(q->reader, hash, now, &parent, &unknown))
		return unknown.status == TD_NOT_FOUND
			       ? err_set(e, TD_UNAUTHORIZED, "this token is unknown, expired or revoked")
			       : err_copy(e, &unknown);
	t.owner = mem_strdup(parent.owner);
	t.note = mem_printf(SESSION_NOTE "%s", parent.id);
	t.scope = parent.scope;
	t.expires_ms = parent.expires_ms && parent.expires_ms < now + SESSION_MS ? parent.expires_ms : now + SESSION_MS;
	token_make(text, hash);
	if (!token_store(q->srv->store, &t, hash, e)) {
		answer = cJSON_CreateObject();
		cJSON_AddBoolToObject(answer, "signed_in", true);
		cJSON_AddStringToObject(answer, "owner", t.owner);
		cJSON_AddStringToObject(answer, "scope", token_scope_name(t.scope));
		api_add_time(answer, "expires_at", t.expires_ms);
		respond_cookie(q, r, text, (t.expires_ms - now) / 1000);
		respond_json(r, 200, answer);
	}
	token_release(&parent);
	token_release(&t);
	return e->status;
}

td_status session_delete(struct request *q, struct response *r, struct err *e)
{
	const char *note = q->token.note ? q->token.note : "";

	if (!strncmp(note, SESSION_NOTE, strlen(SESSION_NOTE)) &&
		token_revoke(q->srv->store, q->reader, q->token.id, e))
		return e->status;
	respond_cookie(q, r, "", 0);
	respond_empty(r, 204);
	return TD_OK;
}
