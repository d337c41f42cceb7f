/* Who asks: tokens, sessions, and what protects a browser's user from other pages.
 *
 * A token is 256 random bits; only its SHA-256 is stored, and looked up, so no comparison tells how close a guess was.
 * A browser trades it for a session, a token of its own with a short life, in a cookie that no script can read. */
#include "base/file.h"
#include "http/connection.h"
#include "http/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define CREDENTIAL_MOST 200   /* bytes; ours have 46 */
#define USED_EVERY_MS   60000 /* between two notes of when a token was last used: not a write for every request */

static void be(struct token *t, const char *owner, enum token_scope scope)
{
	t->owner = mem_strdup(owner);
	t->note = mem_strdup("");
	t->scope = scope;
}

/* Everybody may do everything only where nobody else can come from, and only until somebody cared to make a token. */
static td_status let_in_without(struct connection *c, struct err *e)
{
	const struct server *srv = c->q.srv;
	int64_t n_tokens = 0;

	if (!srv->private_address && !srv->config->insecure)
		return TD_OK;
	if (store_token_count(c->q.reader, &n_tokens, e))
		return e->status;
	if (!n_tokens)
		be(&c->q.token, "local", SCOPE_ADMIN);
	return TD_OK;
}

struct used {
	struct store_cmd cmd;
	char id[ULID_TEXT];
	int64_t now_ms;
};

static td_status used_run(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct used *u = (struct used *)cmd;

	return store_token_used(tx, u->id, u->now_ms, e);
}

static void used_done(struct store_cmd *cmd)
{
	mem_free(cmd);
}

/* Nobody waits for this, and a full queue just leaves it to the next request. */
static void note_use(struct store *s, const struct token *t, int64_t now_ms)
{
	struct used *u;

	if (now_ms - t->used_ms < USED_EVERY_MS)
		return;
	u = MEM_NEW(struct used);
	u->cmd.run = used_run;
	u->cmd.done = used_done;
	memcpy(u->id, t->id, sizeof u->id);
	u->now_ms = now_ms;
	if (!store_post(s, &u->cmd))
		mem_free(u);
}

static td_status find(struct connection *c, const char *credential, struct err *e)
{
	char hash[SHA256_TEXT];
	int64_t now = clock_now_ms();

	sha256_of(credential, strlen(credential), hash);
	if (*c->q.srv->local_hash && text_same_secret(hash, c->q.srv->local_hash)) {
		be(&c->q.token, "local", SCOPE_ADMIN);
		return TD_OK;
	}
	if (store_token_find(c->q.reader, hash, now, &c->q.token, e))
		return e->status;
	note_use(c->q.srv->store, &c->q.token, now);
	return TD_OK;
}

td_status auth_identify(struct connection *c, struct err *e)
{
	const char *header = request_header(&c->q, "Authorization");
	char cookie[CREDENTIAL_MOST];
	struct err unknown = { 0 };

	if (header) {
		if (strncasecmp(header, "Bearer ", 7) != 0)
			return err_set(e, TD_UNAUTHORIZED, "the Authorization header is not \"Bearer TOKEN\"");
		header += 7 + strspn(header + 7, " ");
		if (strlen(header) < CREDENTIAL_MOST && !find(c, header, &unknown))
			return TD_OK;
		if (unknown.status && unknown.status != TD_NOT_FOUND)
			return err_copy(e, &unknown);
		return err_set(e, TD_UNAUTHORIZED, "this token is unknown, expired or revoked");
	}
	if (text_cookie(request_header(&c->q, "Cookie"), SESSION_COOKIE, cookie, sizeof cookie) &&
		!find(c, cookie, &unknown))
		return TD_OK;
	return let_in_without(c, e); /* an old cookie, perhaps of another server on this host, is no credential */
}

/* ---- Host and Origin --------------------------------------------------------------------------------------------- */

/* Names that we answer to.  Addresses in digits are safe: only a name can be made to point elsewhere (DNS rebinding).
 */
static bool is_own_name(const struct connection *c, const char *host)
{
	struct in6_addr address;
	char listen[128];

	if (inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1)
		return true;
	if (!strcmp(host, "localhost") || text_in_list(c->q.srv->config->allowed_hosts, host))
		return true;
	return text_host(c->q.srv->config->listen, listen, sizeof listen) && !strcmp(listen, host);
}

bool auth_same_site(struct connection *c)
{
	const char *host = request_header(&c->q, "Host"), *origin = request_header(&c->q, "Origin"), *rest;
	bool reads = !strcmp(c->q.method, "GET") || !strcmp(c->q.method, "HEAD");
	char name[256];

	if (!text_host(host, name, sizeof name) || !is_own_name(c, name)) {
		respond_problem(&c->r, &c->q, 421, "host",
			"the Host \"%.80s\" is not a name of this server; if it should be, start tandemd with "
			"--allowed-hosts",
			host ? host : "");
		return false;
	}
	if (reads || !origin)
		return true;
	rest = strstr(origin, "://");
	if (rest && !strcasecmp(rest + 3, host))
		return true;
	respond_problem(&c->r, &c->q, 403, "origin",
		"a page of \"%.80s\" may not write here; only pages of this server (%.80s) may", origin, host);
	return false;
}
