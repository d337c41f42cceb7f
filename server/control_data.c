/* Datasets: where they lie, and fetching those that are known by name.
 *
 * Any thread may ask; the loop alone downloads.  What is on disk under its name is whole (fetch.h), so "is it there" is
 * a question to the file system and needs no memory of ours. */
#include "control_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_MOST      64
#define FETCH_RETRY_MS 1000
#define LOG_EVERY_MS   5000 /* lines about a download's progress in the logs of the jobs that wait for it */

static bool name_safe(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && (i == 0 || !strchr("-_.", name[i])))
			return false;
	return n > 0 && n <= NAME_MOST;
}

static char *folder_if_there(const char *root, const char *below, const char *name)
{
	char *folder = mem_printf("%s%s/%s", root, below, name);
	const struct known_dataset *k = known_dataset(name);
	struct stat st;

	if (k ? known_complete(k, folder) : !stat(folder, &st) && S_ISDIR(st.st_mode))
		return folder;
	mem_free(folder);
	return NULL;
}

char *dataset_folder(const struct control *c, const char *name)
{
	char *folder = NULL;

	if (!name_safe(name))
		return NULL;
	if (c->config->data_root)
		folder = folder_if_there(c->config->data_root, "", name);
	return folder ? folder : folder_if_there(c->config->data_dir, "/datasets", name);
}

/* ---- Asking ---------------------------------------------------------------------------------------------------- */

static struct dataset_entry *entry_of(struct control *c, const struct known_dataset *k)
{
	for (int i = 0; i < DATASETS_MOST; i++) {
		if (!c->datasets[i].known)
			c->datasets[i].known = k;
		if (c->datasets[i].known == k)
			return &c->datasets[i];
	}
	TD_BUG("more than %d known datasets: raise DATASETS_MOST", DATASETS_MOST);
}

/* Ask for NAME to be fetched unless it is there. */
enum dataset_state dataset_want(struct control *c, const char *name, struct err *e)
{
	const struct known_dataset *k = known_dataset(name);
	char *folder = dataset_folder(c, name);
	enum dataset_state state = DATASET_FETCHING;
	struct dataset_entry *d;

	if (folder) {
		mem_free(folder);
		return DATASET_READY;
	}
	if (!k) {
		char names[256];
		err_set(e, TD_NOT_FOUND,
			"there is no dataset \"%s\": it is not in %s, and not one that Tandem can fetch (%s)", name,
			c->config->data_root ? c->config->data_root : "a --data-root folder",
			known_names(names, sizeof names));
		return DATASET_UNKNOWN;
	}
	pthread_mutex_lock(&c->lock);
	d = entry_of(c, k);
	if (d->state == FETCH_FAILED && clock_monotonic_ms() < d->failed_ms + DATASET_REST_MS) {
		err_set(e, d->err.status, "%s", d->err.text);
		state = DATASET_FAILED;
	} else if (d->state != FETCH_RUNNING) {
		d->wanted = true;
	}
	pthread_mutex_unlock(&c->lock);
	return state;
}

enum dataset_state control_dataset(struct control *c, const char *name, struct err *e)
{
	enum dataset_state state = dataset_want(c, name, e);

	if (state == DATASET_FETCHING)
		control_wake_loop(c);
	return state;
}

/* ---- What downloads tell --------------------------------------------------------------------------------------- */

struct report_action {
	struct action action;    /* first */
	struct fetch_report r;   /* its strings are owned, but for STATE */
	char (*jobs)[ULID_TEXT]; /* owned; whose logs get TEXT */
	int n_jobs;
	char text[200];
};

static td_status run_report(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct report_action *a = (struct report_action *)cmd;
	struct dataset_file f = { .dataset = a->r.dataset,
		.file = a->r.file,
		.url = a->r.url,
		.sha256 = a->r.sha256,
		.n_bytes = a->r.n_bytes,
		.n_fetched = a->r.n_fetched,
		.state = a->r.state,
		.detail = a->r.detail };
	td_status s = store_dataset_file_set(tx, &f, e);

	for (int i = 0; i < a->n_jobs && !s; i++)
		s = store_log_append(tx, a->jobs[i], clock_now_ms(), a->r.detail ? "warn" : "info", a->text, e);
	return s;
}

static void finish_report(struct control *c, struct action *action)
{
	struct report_action *a = (struct report_action *)action;

	(void)c;
	mem_free((char *)a->r.dataset);
	mem_free((char *)a->r.file);
	mem_free((char *)a->r.url);
	mem_free((char *)a->r.sha256);
	mem_free((char *)a->r.detail);
	mem_free(a->jobs);
	mem_free(a);
}

static void tell_jobs(struct control *c, struct report_action *a)
{
	struct map_entry *entry;

	a->jobs = mem_alloc(sizeof *a->jobs * (c->jobs.n + 1));
	for (size_t i = 0; (entry = map_next(&c->jobs, &i));) {
		const struct cached_job *j = entry->value;
		if (j->state == JOB_PREPARING && j->dataset && !strcmp(j->dataset, a->r.dataset))
			snprintf(a->jobs[a->n_jobs++], ULID_TEXT, "%s", j->id);
	}
	if (a->r.detail)
		snprintf(a->text, sizeof a->text, "%s", a->r.detail);
	else
		snprintf(a->text, sizeof a->text, "%s %s/%s: %.1f of %.1f MB", a->r.state, a->r.dataset, a->r.file,
			(double)a->r.n_fetched / 1e6, (double)a->r.n_bytes / 1e6);
}

static void report(void *arg, const struct fetch_report *r)
{
	struct control *c = arg;
	struct report_action *a = MEM_NEW(struct report_action);

	a->action = (struct action){ .cmd.run = run_report, .control = c, .finish = finish_report };
	a->r = *r;
	a->r.dataset = mem_strdup(r->dataset);
	a->r.file = mem_strdup(r->file);
	a->r.url = mem_strdup(r->url);
	a->r.sha256 = mem_strdup(r->sha256);
	a->r.detail = mem_strdup(r->detail);
	if (r->detail || strcmp(r->state, "fetching") || c->now_ms >= c->data_logged_ms + LOG_EVERY_MS) {
		c->data_logged_ms = c->now_ms;
		tell_jobs(c, a);
	}
	control_post(c, &a->action);
}

/* ---- The loop's side ------------------------------------------------------------------------------------------- */

void control_data_init(struct control *c)
{
	char *folder = mem_printf("%s/datasets", c->config->data_dir);

	c->fetch = fetch_create(&(struct fetch_options){ .folder = folder,
		.mirror = c->config->dataset_mirror,
		.retry_ms = FETCH_RETRY_MS,
		.report = report,
		.arg = c });
	mem_free(folder);
}

void control_data_step(struct control *c)
{
	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < DATASETS_MOST && c->datasets[i].known; i++) {
		struct dataset_entry *d = &c->datasets[i];
		if (!d->wanted || c->draining)
			continue;
		d->wanted = false;
		err_clear(&d->err);
		/* Too many at once, or it still rests after a failure: asked for again later. */
		fetch_start(c->fetch, d->known, &d->err);
	}
	pthread_mutex_unlock(&c->lock);

	fetch_step(c->fetch, c->now_ms);

	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < DATASETS_MOST && c->datasets[i].known; i++) {
		struct dataset_entry *d = &c->datasets[i];
		enum fetch_state before = d->state;
		d->state = fetch_state(c->fetch, d->known->name, &d->err);
		if (d->state == FETCH_FAILED && before != FETCH_FAILED)
			d->failed_ms = c->now_ms;
		if (d->state != before)
			control_due(c, c->now_ms); /* jobs wait for this */
	}
	pthread_mutex_unlock(&c->lock);
}
