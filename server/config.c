/* Flags and environment: see config.h.  The table below is the one place where a setting is made; --help prints it. */
#include "config.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"

#include <ctype.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define FLAG_MOST 64

enum kind { TEXT, FOLDER, INTEGER, MEGABYTES, BYTES, LEVEL, SWITCH, ON_OFF };

static const struct setting {
	const char *flag, *value; /* VALUE: what stands for it in --help */
	enum kind kind;
	size_t at; /* offset in struct config */
	long long low, high;
	const char *help;
} settings[] = {
#define AT(field) offsetof(struct config, field)
	{ "listen", "HOST:PORT", TEXT, AT(listen), 0, 0,
		"address to serve on; port 0 takes a free one (127.0.0.1:8080)" },
	{ "data-dir", "DIR", FOLDER, AT(data_dir), 0, 0, "the database and the jobs' files (tandem-data)" },
	{ "data-root", "DIR", FOLDER, AT(data_root), 0, 0,
		"data sets that are on this machine already (/usr/share/datasets)" },
	{ "dataset-mirror", "URL", TEXT, AT(dataset_mirror), 0, 0,
		"fetch the known data sets from here instead of from their own sites" },
	{ "fetch-private", "on|off", ON_OFF, AT(fetch_private), 0, 0,
		"fetch data sets from addresses of this machine and its own network too (off)" },
	{ "dataset-max-bytes", "N", BYTES, AT(dataset_max_bytes), 1, 1LL << 50,
		"most bytes of one data set's files (64 GiB)" },
	{ "workers", "N", INTEGER, AT(workers), 1, 256, "jobs at once (as many as --threads)" },
	{ "threads", "N", INTEGER, AT(threads), 1, 1024,
		"threads that all jobs together may use (what this process may use)" },
	{ "memory-mb", "N", MEGABYTES, AT(memory_bytes), 64, 1LL << 30,
		"memory that all jobs together may use (four fifths of what there is)" },
	{ "drain-seconds", "N", INTEGER, AT(drain_seconds), 0, 3600,
		"from SIGTERM until workers that have not left are killed (8)" },
	{ "grace-seconds", "N", INTEGER, AT(grace_seconds), 1, 3600,
		"a worker goes on without its daemon for so long (60)" },
	{ "allowed-hosts", "NAMES", TEXT, AT(allowed_hosts), 0, 0,
		"names under which browsers may reach this server, separated by commas" },
	{ "insecure", NULL, SWITCH, AT(insecure), 0, 0,
		"serve other machines without tokens until the first one is made" },
	{ "http-threads", "N", INTEGER, AT(http_threads), 1, 64,
		"threads that answer requests; streams need none (4)" },
	{ "web-dir", "DIR", FOLDER, AT(web_dir), 0, 0, "serve the dashboard from this folder, while developing it" },
	{ "worker-path", "FILE", FOLDER, AT(worker_path), 0, 0, "the worker program (tandem-worker beside tandemd)" },
	{ "log-level", "LEVEL", LEVEL, AT(log_level), 0, 0, "debug, info, warn or error (info)" },
#undef AT
};

/* ---- What this machine gives ------------------------------------------------------------------------------------- */

/* Up to two numbers of a one-line file of the kernel; "max" counts as -1.  Returns how many. */
static int read_numbers(const char *path, long long out[2])
{
	FILE *f = fopen(path, "re");
	char line[128] = "", *at = line, *end;
	int n = 0;

	if (!f)
		return 0;
	if (!fgets(line, sizeof line, f))
		line[0] = '\0';
	fclose(f);
	for (; n < 2 && *at && *at != '\n'; n++) {
		if (!strncmp(at, "max", 3)) {
			out[n] = -1;
			at += 3;
		} else {
			out[n] = strtoll(at, &end, 10);
			if (end == at)
				break;
			at = end;
		}
		at += strspn(at, " ");
	}
	return n;
}

/* Threads that this process may use: its affinity, and the quota of its control group, whichever is less. */
static int threads_here(void)
{
	cpu_set_t set;
	long long quota[2];
	int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);

	if (read_numbers("/sys/fs/cgroup/cpu.max", quota) == 2 && quota[0] > 0 && quota[1] > 0)
		n = (int)TD_MIN(n, (quota[0] + quota[1] - 1) / quota[1]);
	return TD_MAX(n, 1);
}

static int64_t memory_here(void)
{
	struct sysinfo info;
	long long limit[2];
	int64_t bytes = sysinfo(&info) ? 1LL << 30 : (int64_t)info.totalram * info.mem_unit;

	if (read_numbers("/sys/fs/cgroup/memory.max", limit) >= 1 && limit[0] > 0)
		bytes = TD_MIN(bytes, limit[0]);
	return bytes / 5 * 4;
}

static char *beside_this_program(const char *name)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	return slash ? mem_printf("%.*s/%s", (int)(slash - path), path, name) : mem_strdup(name);
}

/* ---- One value --------------------------------------------------------------------------------------------------- */

static char *absolute(const char *path)
{
	char here[PATH_MAX];

	return *path == '/' || !getcwd(here, sizeof here) ? mem_strdup(path) : mem_printf("%s/%s", here, path);
}

static td_status read_integer(
	const struct setting *s, const char *name, const char *text, long long *out, struct err *e)
{
	char *end;

	*out = strtoll(text, &end, 10);
	if (end == text || *end || *out < s->low || *out > s->high)
		return err_set(e, TD_INVALID, "%s is \"%.60s\"; expected an integer from %lld to %lld", name, text,
			s->low, s->high);
	return TD_OK;
}

static td_status read_level(const char *name, const char *text, int *out, struct err *e)
{
	static const char *const levels[] = {
		[LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"
	};

	for (size_t i = 0; i < TD_COUNT(levels); i++) {
		if (!strcmp(levels[i], text)) {
			*out = (int)i;
			return TD_OK;
		}
	}
	return err_set(e, TD_INVALID, "%s is \"%.60s\"; expected debug, info, warn or error", name, text);
}

static td_status read_on_off(const char *name, const char *text, bool *out, struct err *e)
{
	*out = !strcmp(text, "on");
	if (!*out && strcmp(text, "off") != 0)
		return err_set(e, TD_INVALID, "%s is \"%.60s\"; expected on or off", name, text);
	return TD_OK;
}

static td_status read_switch(const char *name, const char *text, bool *out, struct err *e)
{
	*out = !strcmp(text, "1") || !strcmp(text, "true");
	if (!*out && strcmp(text, "0") != 0 && strcmp(text, "false") != 0)
		return err_set(e, TD_INVALID, "%s is \"%.60s\"; expected 1 or 0", name, text);
	return TD_OK;
}

/* Texts of a configuration are its own. */
static void set_text(char **field, char *text)
{
	mem_free(*field);
	*field = text;
}

/* NAME is what the user called it: "--threads" or "TANDEM_THREADS". */
static td_status assign(struct config *c, const struct setting *s, const char *name, const char *text, struct err *e)
{
	void *field = (char *)c + s->at;
	long long number;

	if (!*text && s->kind != SWITCH)
		return err_set(e, TD_INVALID, "%s is empty; expected %s", name, s->value);
	switch (s->kind) {
	case TEXT: set_text(field, mem_strdup(text)); return TD_OK;
	case FOLDER: set_text(field, absolute(text)); return TD_OK;
	case LEVEL: return read_level(name, text, field, e);
	case SWITCH: return read_switch(name, text, field, e);
	case ON_OFF: return read_on_off(name, text, field, e);
	case INTEGER:
		if (read_integer(s, name, text, &number, e))
			return e->status;
		*(int *)field = (int)number;
		return TD_OK;
	case MEGABYTES:
		if (read_integer(s, name, text, &number, e))
			return e->status;
		*(int64_t *)field = number << 20;
		return TD_OK;
	case BYTES:
		if (read_integer(s, name, text, &number, e))
			return e->status;
		*(int64_t *)field = number;
		return TD_OK;
	}
	return TD_OK;
}

/* ---- All of them ------------------------------------------------------------------------------------------------- */

static const char *environment_name(const struct setting *s, char out[FLAG_MOST])
{
	size_t n = (size_t)snprintf(out, FLAG_MOST, "TANDEM_%s", s->flag);

	for (size_t i = 0; i < n; i++)
		out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
	return out;
}

static td_status read_environment(struct config *c, struct err *e)
{
	char name[FLAG_MOST];

	for (size_t i = 0; i < TD_COUNT(settings); i++) {
		const char *text = getenv(environment_name(&settings[i], name));

		if (text && assign(c, &settings[i], name, text, e))
			return e->status;
	}
	return TD_OK;
}

static const struct setting *find_setting(const char *name, size_t n)
{
	for (size_t i = 0; i < TD_COUNT(settings); i++)
		if (strlen(settings[i].flag) == n && !memcmp(settings[i].flag, name, n))
			return &settings[i];
	return NULL;
}

static td_status fail_unknown_flag(const char *flag, struct err *e)
{
	const char *names[TD_COUNT(settings)], *near;
	char name[FLAG_MOST];

	snprintf(name, sizeof name, "%s", flag + strspn(flag, "-"));
	name[strcspn(name, "=")] = '\0';
	for (size_t i = 0; i < TD_COUNT(settings); i++)
		names[i] = settings[i].flag;
	near = nearest_name(name, names, TD_COUNT(names));
	if (near)
		return err_set(e, TD_INVALID, "there is no flag %.60s; did you mean --%s?", flag, near);
	return err_set(e, TD_INVALID, "there is no flag %.60s; tandemd --help lists them", flag);
}

static td_status read_flags(struct config *c, int argc, char **argv, struct err *e)
{
	char name[FLAG_MOST + 2];

	for (int i = 1; i < argc; i++) {
		const char *text = strncmp(argv[i], "--", 2) ? NULL : argv[i] + 2,
			   *equals = text ? strchr(text, '=') : NULL;
		const struct setting *s =
			text ? find_setting(text, equals ? (size_t)(equals - text) : strlen(text)) : NULL;

		if (!s)
			return fail_unknown_flag(argv[i], e);
		snprintf(name, sizeof name, "--%s", s->flag);
		if (equals)
			text = equals + 1;
		else if (s->kind == SWITCH)
			text = "1";
		else if (++i < argc)
			text = argv[i];
		else
			return err_set(e, TD_INVALID, "%s needs a value: %s %s", name, name, s->value);
		if (assign(c, s, name, text, e))
			return e->status;
	}
	return TD_OK;
}

static void print_help(void)
{
	char left[FLAG_MOST];

	puts("tandemd: a deep-learning training server.  Jobs come in over HTTP, curves and weights go out.\n"
	     "\n"
	     "  tandemd [FLAGS]                          serve until SIGTERM; the first line printed says where\n"
	     "  tandemd token create --owner NAME --scope read|run|admin [--note TEXT] [--expires TIME]\n"
	     "  tandemd token list | revoke ID           tokens of the server whose --data-dir is given\n"
	     "  tandemd health                           exit code 0 when that server answers\n"
	     "\n"
	     "Flags (each also as an environment variable, --data-dir as TANDEM_DATA_DIR; defaults in parentheses):\n");
	for (size_t i = 0; i < TD_COUNT(settings); i++) {
		snprintf(left, sizeof left, "--%s %s", settings[i].flag, settings[i].value ? settings[i].value : "");
		printf("  %-24s %s\n", left, settings[i].help);
	}
	puts("  --help, --version\n"
	     "\n"
	     "A first job:  T=http://127.0.0.1:8080/api/v1; curl -s $T/examples/fashion-mlp | curl --json @- $T/jobs");
}

td_status config_load(struct config *c, int argc, char **argv, struct err *e)
{
	*c = (struct config){ 0 };
	for (int i = 1; i < argc; i++) {
		bool help = !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");

		if (help)
			print_help();
		else if (!strcmp(argv[i], "--version"))
			puts("tandemd " TD_VERSION);
		else
			continue;
		return TD_CANCELLED;
	}
	*c = (struct config){ .listen = mem_strdup("127.0.0.1:8080"),
		.data_root = mem_strdup("/usr/share/datasets"),
		.dataset_max_bytes = 64LL << 30,
		.drain_seconds = 8,
		.grace_seconds = 60,
		.http_threads = 4,
		.log_level = LOG_INFO };
	if (read_environment(c, e) || read_flags(c, argc, argv, e))
		return e->status;
	c->names_data_dir = c->data_dir;
	if (!c->data_dir)
		c->data_dir = absolute("tandem-data");
	if (!c->worker_path)
		c->worker_path = beside_this_program("tandem-worker");
	if (!c->threads)
		c->threads = threads_here();
	if (!c->workers)
		c->workers = c->threads;
	if (!c->memory_bytes)
		c->memory_bytes = memory_here();
	return TD_OK;
}

void config_release(struct config *c)
{
	for (size_t i = 0; i < TD_COUNT(settings); i++)
		if (settings[i].kind == TEXT || settings[i].kind == FOLDER)
			set_text((char **)((char *)c + settings[i].at), NULL);
}
