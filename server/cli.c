/* The commands of tandemd that are not the server: see cli.h.
 *
 * Only one process opens a data folder.  So these talk to the server that has it open, over HTTP with the secret of
 * DATA/daemon.json; where none runs, `token` opens the store itself. */
#include "cli.h"
#include "api/access.h"
#include "api/api.h"
#include "base/log.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define ANSWER_MOST (4u << 20) /* bytes: ten thousand tokens */
#define WAIT_S      5          /* for a server that does not answer */
#define OWNER_MOST  100        /* as in the schema of POST /tokens */
#define USAGE_CODE  2          /* exit code: the command line is wrong, as of wrong flags of the server */

/* ---- One HTTP request -------------------------------------------------------------------------------------------- */

/* "http://127.0.0.1:8080" into its halves; an address that means "all of them" is reached by the loopback one. */
static bool split_url(const char *url, char *host, size_t room, char port[8])
{
	const char *start = url + strlen("http://"), *colon = strrchr(url, ':'), *end = colon;

	if (strncmp(url, "http://", 7) != 0 || !colon || colon < start)
		return false;
	if (*start == '[') {
		start++;
		end--;
	}
	snprintf(host, room, "%.*s", (int)(end - start), start);
	snprintf(port, 8, "%s", colon + 1);
	if (!strcmp(host, "0.0.0.0"))
		snprintf(host, room, "127.0.0.1");
	else if (!strcmp(host, "::"))
		snprintf(host, room, "::1");
	return true;
}

static int dial(const char *host, const char *port, struct err *e)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found;
	struct timeval patience = { .tv_sec = WAIT_S };
	int fd, failed = getaddrinfo(host, port, &hints, &found);

	if (failed) {
		err_set(e, TD_UNAVAILABLE, "%s: %s", host, gai_strerror(failed));
		return -1;
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, found->ai_addr, found->ai_addrlen)) {
		err_errno(e, "connecting to %s port %s", host, port);
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return fd;
}

static bool exchange(int fd, const struct buf *request, struct buf *answer)
{
	char piece[4096];
	ssize_t n = 0;

	for (size_t sent = 0; sent < request->len; sent += (size_t)n) {
		n = send(fd, request->data + sent, request->len - sent, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
	}
	while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
		if (!buf_append(answer, piece, (size_t)n))
			return false;
	return n == 0;
}

/* The answer's code, its body in BODY.  0: there is no answer (E). */
static int call(const char *url, const char *secret, const char *method, const char *path, const char *json,
	struct buf *body, struct err *e)
{
	char host[200], port[8];
	struct buf request;
	int fd = -1, code = 0, n_head = 0;
	char *end;

	buf_init(&request, 64 << 10);
	if (!split_url(url, host, sizeof host, port)) {
		err_set(e, TD_INVALID, "\"%.100s\" is not the address of a server", url);
		goto out;
	}
	buf_printf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method, path);
	if (secret)
		buf_printf(&request, "Authorization: Bearer %s\r\n", secret);
	if (json)
		buf_printf(&request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(json));
	buf_printf(&request, "\r\n%s", json ? json : "");
	fd = dial(host, port, e);
	if (fd < 0)
		goto out;
	if (!exchange(fd, &request, body) || !body->data ||
		sscanf(body->data, "HTTP/1.%*d %d%n", &code, &n_head) != 1) {
		code = 0;
		err_set(e, TD_UNAVAILABLE, "the server at %s does not answer", url);
	} else if ((end = strstr(body->data, "\r\n\r\n"))) {
		buf_drop(body, (size_t)(end + 4 - body->data));
	}
out:
	if (fd >= 0)
		close(fd);
	buf_release(&request);
	return code;
}

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

#define TOKEN_ROW "%-26s  %-5s  %-16s  %-24s  %s\n"

static void print_token(const cJSON *t)
{
	printf(TOKEN_ROW, json_string(t, "id", ""), json_string(t, "scope", ""), json_string(t, "owner", ""),
		json_string(t, "expires_at", "never expires"), json_string(t, "note", ""));
}

static void print_answer(const char *verb, const cJSON *answer, bool first)
{
	const cJSON *item;

	if (!strcmp(verb, "create")) {
		if (first)
			fprintf(stderr, "from now on every request needs a token%s\n",
				!strcmp(json_string(answer, "scope", ""), "admin")
					? ""
					: "; make one with --scope admin too, to manage the server with");
		fprintf(stderr, "token %s for \"%s\", scope %s; it is shown this once:\n",
			json_string(answer, "id", ""), json_string(answer, "owner", ""),
			json_string(answer, "scope", ""));
		puts(json_string(answer, "token", ""));
	} else if (!strcmp(verb, "list")) {
		printf(TOKEN_ROW, "ID", "SCOPE", "OWNER", "EXPIRES", "NOTE");
		cJSON_ArrayForEach(item, json_get(answer, "items"))
		{
			print_token(item);
		}
	} else {
		puts("revoked");
	}
}

/* What a refusal says; a fault is that of the flag whose name its pointer is. */
static void set_problem(const cJSON *problem, struct err *e)
{
	const cJSON *first = json_get(problem, "errors") ? json_get(problem, "errors")->child : NULL;

	const char *pointer = json_string(first, "pointer", "");

	if (*pointer == '/')
		err_set(e, TD_INVALID, "--%s: %s", pointer + 1, json_string(first, "detail", ""));
	else
		err_set(e, TD_INVALID, "%s", json_string(problem, "detail", "the server refused"));
}

/* Whether the server lets everybody in who reaches it: no token has been made yet. */
static bool is_open(const char *url)
{
	struct err ignored = { 0 };
	struct buf body;
	cJSON *session = NULL;
	bool open;

	buf_init(&body, ANSWER_MOST);
	if (call(url, NULL, "GET", "/api/v1/session", NULL, &body, &ignored) == 200 && body.len)
		session = json_parse(body.data, body.len, &ignored);
	open = cJSON_IsFalse(json_get(session, "needs_token"));
	cJSON_Delete(session);
	buf_release(&body);
	return open;
}

static td_status ask_server(const char *url, const char *secret, const char *verb, const cJSON *order, struct err *e)
{
	char *json = json_print(order), *path = mem_printf("/api/v1/tokens%s%s", !strcmp(verb, "revoke") ? "/" : "",
						!strcmp(verb, "revoke") ? json_string(order, "id", "") : "");
	const char *method = !strcmp(verb, "create") ? "POST" : !strcmp(verb, "list") ? "GET" : "DELETE";
	bool first = !strcmp(verb, "create") && is_open(url);
	struct buf body;
	struct err ignored = { 0 };
	cJSON *answer;
	int code;

	buf_init(&body, ANSWER_MOST);
	code = call(url, secret, method, path, !strcmp(verb, "create") ? json : NULL, &body, e);
	answer = body.len ? json_parse(body.data, body.len, &ignored) : NULL;
	if (code >= 400)
		set_problem(answer, e);
	else if (code)
		print_answer(verb, answer, first);
	cJSON_Delete(answer);
	buf_release(&body);
	mem_free(json);
	mem_free(path);
	return e->status;
}

static void collect(void *arg, const struct token *t)
{
	cJSON_AddItemToArray(arg, token_json(t));
}

/* What an order to create a token says, checked as the server would. */
static td_status check_order(const cJSON *order, enum token_scope *scope, int64_t *expires_ms, struct err *e)
{
	const char *owner = json_string(order, "owner", ""), *wanted = json_string(order, "scope", ""),
		   *expires = json_string(order, "expires", NULL);

	*expires_ms = 0;
	if (!*owner || !*wanted)
		return err_set(e, TD_INVALID, "a token needs --owner NAME and --scope read|run|admin");
	if (strlen(owner) > OWNER_MOST)
		return err_set(e, TD_INVALID, "--owner has %zu bytes; expected at most %d", strlen(owner), OWNER_MOST);
	if (!token_scope_parse(wanted, scope))
		return err_set(e, TD_INVALID, "--scope is \"%.40s\"; expected read, run or admin", wanted);
	if (!expires)
		return TD_OK;
	if (api_parse_time(expires, expires_ms, e))
		return err_wrap(e, "--expires");
	if (*expires_ms <= clock_now_ms())
		return err_set(
			e, TD_INVALID, "--expires: \"%.60s\" has passed; such a token would open nothing", expires);
	return TD_OK;
}

static td_status create_directly(struct store *s, const cJSON *order, cJSON **answer, struct err *e)
{
	struct token t = { .owner = mem_strdup(json_string(order, "owner", "")),
		.note = mem_strdup(json_string(order, "note", "")) };
	char text[TOKEN_TEXT], hash[SHA256_TEXT];

	if (!check_order(order, &t.scope, &t.expires_ms, e)) {
		token_make(text, hash);
		token_store(s, &t, hash, e);
	}
	if (!e->status) {
		*answer = token_json(&t);
		cJSON_AddStringToObject(*answer, "token", text);
	}
	token_release(&t);
	return e->status;
}

/* A new database here would only hide that the folder is the wrong one. */
static td_status find_data(const char *data_dir, struct err *e)
{
	char *path = mem_printf("%s/tandem.db", data_dir);

	if (access(path, F_OK) && (errno == ENOENT || errno == ENOTDIR))
		err_set(e, TD_NOT_FOUND,
			"there is no Tandem data in %s; start tandemd there first, or name the folder with --data-dir",
			data_dir);
	mem_free(path);
	return e->status;
}

static td_status do_directly(const char *data_dir, const char *verb, const cJSON *order, struct err *e)
{
	struct store_reader *reader = NULL;
	struct store *s;
	cJSON *answer = NULL;
	int64_t n_tokens = 0;

	if (find_data(data_dir, e) || store_open(data_dir, &s, e))
		return e->status;
	if (store_reader_open(s, &reader, e) || store_token_count(reader, &n_tokens, e)) {
		; /* E says why */
	} else if (!strcmp(verb, "create")) {
		create_directly(s, order, &answer, e);
	} else {
		answer = cJSON_CreateObject();
		if (!strcmp(verb, "list"))
			store_token_each(reader, collect, cJSON_AddArrayToObject(answer, "items"), e);
		else
			token_revoke(s, reader, json_string(order, "id", ""), e);
	}
	store_reader_close(reader);
	store_close(s);
	if (!e->status)
		print_answer(verb, answer, !n_tokens);
	cJSON_Delete(answer);
	return e->status;
}

/* Take "--NAME VALUE" of ours out of ARGV (what is left is the server's flags) into ORDER. */
static td_status read_order(int *argc, char **argv, cJSON *order, struct err *e)
{
	static const char *const names[] = { "owner", "scope", "note", "expires" };
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		size_t k = 0;

		while (k < TD_COUNT(names) && (strncmp(argv[i], "--", 2) || strcmp(argv[i] + 2, names[k])))
			k++;
		if (k == TD_COUNT(names)) {
			argv[kept++] = argv[i];
			continue;
		}
		if (++i == *argc)
			return err_set(e, TD_INVALID, "--%s needs a value", names[k]);
		cJSON_AddStringToObject(order, names[k], argv[i]);
	}
	*argc = kept;
	return TD_OK;
}

/* ARGV: token VERB [ID] flags.  What is wrong here is wrong with the command line.  TD_CANCELLED: as config_load. */
static td_status read_command(int argc, char **argv, cJSON *order, struct config *c, struct err *e)
{
	const char *verb = argc > 2 ? argv[2] : "";
	bool revokes = !strcmp(verb, "revoke"), creates = !strcmp(verb, "create");
	int skip = revokes ? 3 : 2;
	enum token_scope scope;
	int64_t expires_ms;
	td_status s;

	if ((!creates && !revokes && strcmp(verb, "list") != 0) || (revokes && (argc < 4 || *argv[3] == '-')))
		return err_set(e, TD_INVALID,
			"expected tandemd token create --owner NAME --scope read|run|admin, tandemd token list, or "
			"tandemd token revoke ID");
	if (revokes)
		cJSON_AddStringToObject(order, "id", argv[3]);
	argc -= skip;
	argv += skip;
	s = read_order(&argc, argv, order, e);
	if (!s)
		s = config_load(c, argc, argv, e);
	return !s && creates ? check_order(order, &scope, &expires_ms, e) : s;
}

static td_status carry_out(const char *data_dir, const char *verb, const cJSON *order, struct err *e)
{
	char *url = NULL, *secret = NULL;
	struct err direct = { 0 };

	if (do_directly(data_dir, verb, order, &direct) != TD_CONFLICT)
		*e = direct;
	else if (!access_read(data_dir, &url, &secret, e))
		ask_server(url, secret, verb, order, e);
	mem_free(url);
	mem_free(secret);
	return e->status;
}

/* The exit code, like that of the other command. */
static int token_command(int argc, char **argv, struct err *e)
{
	cJSON *order = cJSON_CreateObject();
	struct config c = { 0 };
	int code;

	if (read_command(argc, argv, order, &c, e))
		code = e->status ? USAGE_CODE : 0; /* 0: --help */
	else
		code = carry_out(c.data_dir, argv[2], order, e) ? 1 : 0;
	config_release(&c);
	cJSON_Delete(order);
	return code;
}

/* ---- Health ------------------------------------------------------------------------------------------------------ */

/* A folder that is named must have a daemon of its own: another server may answer at --listen. */
static td_status ask_health(const struct config *c, struct err *e)
{
	char *url = NULL, *secret = NULL;
	struct err none = { 0 };
	struct buf body;
	int code;

	if (c->names_data_dir && store_is_used(c->data_dir, e))
		return e->status;
	if (access_read(c->data_dir, &url, &secret, &none)) /* not ours to read, or not there: ask where it should be */
		url = mem_printf("http://%s", c->listen);
	buf_init(&body, ANSWER_MOST);
	code = call(url, NULL, "GET", "/healthz", NULL, &body, e);
	if (code && code != 200)
		err_set(e, TD_UNAVAILABLE, "the server at %s answers %d", url, code);
	buf_release(&body);
	mem_free(url);
	mem_free(secret);
	return e->status;
}

static int health_command(int argc, char **argv, struct err *e)
{
	struct config c;
	int code;

	if (config_load(&c, argc - 1, argv + 1, e))
		code = e->status ? USAGE_CODE : 0; /* 0: --help */
	else
		code = ask_health(&c, e) ? 1 : 0;
	config_release(&c);
	return code;
}

bool cli_run(int argc, char **argv, int *code)
{
	struct err e = { 0 };

	if (argc < 2 || (strcmp(argv[1], "token") != 0 && strcmp(argv[1], "health") != 0))
		return false;
	log_init("tandemd", LOG_WARN);
	*code = !strcmp(argv[1], "token") ? token_command(argc, argv, &e) : health_command(argc, argv, &e);
	if (*e.text)
		fprintf(stderr, "tandemd %s: %s\n", argv[1], e.text);
	return true;
}
