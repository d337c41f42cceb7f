/* How the first ones come in: see access.h. */
#include "api/access.h"
#include "api/api.h"
#include "base/log.h"

#include <string.h>
#include <unistd.h>

#define ANNOUNCEMENT_MOST 4096 /* bytes of daemon.json */

static char *path_of(const char *data_dir, const char *name)
{
	return mem_printf("%s/%s", data_dir, name);
}

/* The file comes first: a crash between the two leaves a file that the next start replaces, never a token that nobody
 * has. */
static td_status make_admin(struct server *srv, struct err *e)
{
	struct token t = {
		.owner = mem_strdup("admin"), .note = mem_strdup("made at the first start"), .scope = SCOPE_ADMIN
	};
	char text[TOKEN_TEXT + 1], hash[SHA256_TEXT], *path = path_of(srv->config->data_dir, "admin-token");

	token_make(text, hash);
	strncat(text, "\n", 2);
	if (!file_write(path, text, strlen(text), e) && !token_store(srv->store, &t, hash, e))
		log_line(LOG_INFO, "admin token made", "file=%s", path);
	token_release(&t);
	mem_free(path);
	return e->status;
}

td_status access_first_token(struct server *srv, struct err *e)
{
	struct store_reader *reader;
	int64_t n_tokens = 0;

	if (srv->private_address)
		return TD_OK;
	if (srv->config->insecure) {
		log_line(LOG_WARN, "serving other machines without tokens",
			"text=until the first one is made, because of --insecure");
		return TD_OK;
	}
	if (store_reader_open(srv->store, &reader, e))
		return e->status;
	store_token_count(reader, &n_tokens, e);
	store_reader_close(reader);
	if (e->status || n_tokens)
		return e->status;
	return make_admin(srv, e) ? err_wrap(e, "others are not served without a token, and the first cannot be made")
				  : TD_OK;
}

td_status access_announce(struct server *srv, const char *url, struct err *e)
{
	char secret[TOKEN_TEXT], *path = path_of(srv->config->data_dir, "daemon.json"), *text;
	cJSON *o = cJSON_CreateObject();

	token_make(secret, srv->local_hash);
	cJSON_AddStringToObject(o, "url", url);
	cJSON_AddStringToObject(o, "secret", secret);
	cJSON_AddNumberToObject(o, "pid", getpid());
	text = json_print(o);
	file_write(path, text, strlen(text), e);
	cJSON_Delete(o);
	mem_free(text);
	mem_free(path);
	return e->status;
}

void access_withdraw(const struct server *srv)
{
	char *path = path_of(srv->config->data_dir, "daemon.json");

	unlink(path);
	mem_free(path);
}

td_status access_read(const char *data_dir, char **url, char **secret, struct err *e)
{
	char *path = path_of(data_dir, "daemon.json");
	struct buf text;
	cJSON *o = NULL;

	buf_init(&text, ANNOUNCEMENT_MOST);
	if (!file_read(path, &text, e)) {
		o = json_parse(text.data ? text.data : "", text.len, e);
		*url = mem_strdup(json_string(o, "url", ""));
		*secret = mem_strdup(json_string(o, "secret", ""));
	}
	cJSON_Delete(o);
	buf_release(&text);
	mem_free(path);
	return e->status;
}
