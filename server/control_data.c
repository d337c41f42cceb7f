/* Datasets: what each of them needs next, and their downloads.
 *
 * The rows that are fetching or preparing are read into a cache; for each the loop starts what is missing (a download,
 * a preparer), and whatever runs without such a row is stopped.  So a cancel, a delete and a restart need no code of
 * their own. */
#include "control_internal.h"
#include "base/log.h"
#include "weights.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FETCH_RETRY_MS 1000
#define FETCH_STALL_S  60

/* ---- The cache ------------------------------------------------------------------------------------------------- */

static void cached_free(struct cached_dataset *d)
{
	mem_free(d->name);
	mem_free(d->source);
	mem_free(d->folder);
	mem_free(d->format);
	mem_free(d->done);
	mem_free(d->total);
	mem_free(d);
}

static void see_row(void *arg, const struct dataset *row)
{
	struct control *c = arg;
	struct cached_dataset *d = map_get(&c->datasets, row->name);

	/* Another row of this name, or another order for it: what was begun for the old one is stopped as if it were
	 * gone. */
	if (d && (d->created_ms != row->created_ms || strcmp(d->format, row->format) != 0)) {
		map_remove(&c->datasets, row->name);
		fetch_stop(c->fetch, row->name);
		cached_free(d);
		d = NULL;
	}
	if (!d) {
		d = MEM_NEW(struct cached_dataset);
		d->name = mem_strdup(row->name);
		d->source = mem_strdup(row->source);
		d->folder = mem_strdup(row->folder);
		d->format = mem_strdup(row->format);
		d->created_ms = row->created_ms;
		d->max_bytes = row->max_bytes;
		map_put(&c->datasets, d->name, d);
	}
	d->state = row->state;
	d->seen = true;
}

static void drop_unseen(struct control *c)
{
	struct map_entry *entry;

	for (size_t i = 0; (entry = map_next(&c->datasets, &i));) {
		struct cached_dataset *d = entry->value;
		if (d->seen)
			continue;
		map_remove(&c->datasets, d->name);
		cached_free(d);
		i = 0; /* removal moves entries */
	}
}

static void refresh(struct control *c)
{
	int64_t seq = store_seq(c->store);
	struct map_entry *entry;
	struct err e = { 0 };

	if (!c->data_reread && atomic_load(&c->woken_seq) <= c->data_seq)
		return;
	if (c->now_ms < c->data_hold_ms) {
		control_due(c, c->data_hold_ms);
		return;
	}
	for (size_t i = 0; (entry = map_next(&c->datasets, &i));)
		((struct cached_dataset *)entry->value)->seen = false;
	if (store_dataset_each(c->reader, true, NULL, -1, see_row, c, &e)) {
		log_line(LOG_ERROR, "datasets cannot be read", "text=%s", e.text);
		c->data_hold_ms = c->now_ms + RETRY_MS;
		control_due(c, c->data_hold_ms);
		return;
	}
	drop_unseen(c);
	c->data_seq = seq;
	c->data_reread = false;
}

/* ---- Commands about a row -------------------------------------------------------------------------------------- */

struct move_action {
	struct action action; /* first */
	char name[DATASET_NAME_MOST + 1];
	struct dataset_move move; /* its texts are owned */
};

static td_status run_move(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct move_action *a = (struct move_action *)cmd;

	return store_dataset_move(tx, a->name, &a->move, e);
}

/* Remove what in FOLDER begins with PREFIX, but for PREFIX KEEP (NULL: all of it). */
static void remove_entries(const char *folder, const char *prefix, const char *keep)
{
	size_t n = strlen(prefix);
	DIR *dir = opendir(folder);
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		if (strncmp(d->d_name, prefix, n) != 0 || (keep && !strcmp(d->d_name + n, keep)))
			continue;
		char *path = mem_printf("%s/%s", folder, d->d_name);
		file_remove_tree(path, NULL);
		mem_free(path);
	}
	if (dir)
		closedir(dir);
}

/* A pack's folder whose name is not KEEP's is of an older format, or was never finished. */
static void remove_other_packs(const struct control *c, const char *dataset, const char *keep)
{
	char *folder = dataset_path(c->config, dataset, NULL);

	remove_entries(folder, DATASET_PACK, keep);
	mem_free(folder);
}

static void finish_move(struct control *c, struct action *action)
{
	struct move_action *a = (struct move_action *)action;
	struct cached_dataset *d = map_get(&c->datasets, a->name);
	const struct err *e = &action->cmd.err;

	c->data_reread = true;
	if (d && d->created_ms == a->move.created_ms) {
		d->pending = false;
		if (!e->status)
			d->state = a->move.to; /* the row says so too, but is read later in this round */
		else if (e->status != TD_CONFLICT && e->status != TD_NOT_FOUND)
			d->hold_until_ms = c->now_ms + RETRY_MS;
	}
	if (e->status)
		log_line(LOG_WARN, "dataset not moved", "name=%s text=%s", a->name, e->text);
	else if (a->move.to == DATA_READY)
		remove_other_packs(c, a->name, a->move.pack);
	if (!e->status)
		log_line(LOG_INFO, "dataset", "name=%s state=%s", a->name, data_state_name(a->move.to));
	mem_free((char *)a->move.format_was);
	mem_free((char *)a->move.detail);
	mem_free((char *)a->move.pointer);
	mem_free((char *)a->move.pack);
	mem_free((char *)a->move.info);
	mem_free(a);
}

void dataset_post_move(struct control *c, struct cached_dataset *d, const struct dataset_move *m)
{
	struct move_action *a = MEM_NEW(struct move_action);

	a->action = (struct action){ .cmd.run = run_move, .control = c, .finish = finish_move };
	snprintf(a->name, sizeof a->name, "%s", d->name);
	a->move = *m;
	a->move.created_ms = d->created_ms;
	a->move.format_was = mem_strdup(d->format);
	a->move.detail = mem_strdup(m->detail);
	a->move.pointer = mem_strdup(m->pointer);
	a->move.pack = mem_strdup(m->pack);
	a->move.info = mem_strdup(m->info);
	d->pending = true;
	control_post(c, &a->action);
}

/* ---- Commands about progress ------------------------------------------------------------------------------------ */

struct progress_action {
	struct action action; /* first */
	char name[DATASET_NAME_MOST + 1], phase[16];
	int64_t created_ms, done, total;
	char *file;              /* owned */
	bool has_report;         /* also a row about one file */
	struct fetch_report r;   /* its strings are owned, but for STATE */
	char (*jobs)[ULID_TEXT]; /* owned; whose logs get TEXT */
	int n_jobs;
	char text[300];
};

static td_status run_progress(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	struct progress_action *a = (struct progress_action *)cmd;
	struct dataset_file f = { .dataset = a->name,
		.file = a->r.file,
		.url = a->r.url,
		.sha256 = a->r.sha256,
		.etag = a->r.etag,
		.n_bytes = a->r.n_bytes,
		.n_fetched = a->r.n_fetched,
		.state = a->r.state,
		.detail = a->r.detail,
		.position = a->r.position };
	struct dataset d;
	td_status s = store_dataset_read(tx, a->name, &d, e);
	bool same = !s && d.created_ms == a->created_ms;

	dataset_release(&d);
	if (!same) /* it has been deleted meanwhile */
		return s == TD_NOT_FOUND ? (err_clear(e), TD_OK) : s;
	if (a->has_report)
		s = store_dataset_file_set(tx, &f, e);
	if (!s)
		s = store_dataset_progress(tx, a->name, a->created_ms, a->phase, a->done, a->total, a->file, e);
	for (int i = 0; i < a->n_jobs && !s; i++)
		s = store_log_append(tx, a->jobs[i], clock_now_ms(), a->r.detail ? "warn" : "info", a->text, e);
	return s;
}

static void finish_progress(struct control *c, struct action *action)
{
	struct progress_action *a = (struct progress_action *)action;

	(void)c;
	mem_free(a->file);
	mem_free((char *)a->r.file);
	mem_free((char *)a->r.url);
	mem_free((char *)a->r.sha256);
	mem_free((char *)a->r.etag);
	mem_free((char *)a->r.detail);
	mem_free(a->jobs);
	mem_free(a);
}

/* The logs of the jobs that wait for A's dataset get a line. */
static void tell_jobs(struct control *c, struct progress_action *a)
{
	struct map_entry *entry;

	a->jobs = mem_alloc(sizeof *a->jobs * (c->jobs.n + 1));
	for (size_t i = 0; (entry = map_next(&c->jobs, &i));) {
		const struct cached_job *j = entry->value;
		if (j->state == JOB_PREPARING && j->dataset && !strcmp(j->dataset, a->name))
			snprintf(a->jobs[a->n_jobs++], ULID_TEXT, "%s", j->id);
	}
	if (a->r.detail)
		snprintf(a->text, sizeof a->text, "%s", a->r.detail);
	else if (a->total)
		snprintf(a->text, sizeof a->text, "%s %s: %.1f of %.1f MB", a->phase, a->name, (double)a->done / 1e6,
			(double)a->total / 1e6);
	else
		snprintf(a->text, sizeof a->text, "%s %s: %.1f MB", a->phase, a->name, (double)a->done / 1e6);
}

static struct progress_action *make_progress(
	struct control *c, const struct cached_dataset *d, int64_t done, int64_t total, const char *file)
{
	struct progress_action *a = MEM_NEW(struct progress_action);

	a->action = (struct action){ .cmd.run = run_progress, .control = c, .finish = finish_progress };
	snprintf(a->name, sizeof a->name, "%s", d->name);
	snprintf(a->phase, sizeof a->phase, "%s", data_state_name(d->state));
	a->created_ms = d->created_ms;
	a->done = done;
	a->total = total;
	a->file = mem_strdup(file);
	return a;
}

static void post_progress(struct control *c, struct cached_dataset *d, struct progress_action *a, bool urgent)
{
	if (urgent || !d->logged_ms || c->now_ms >= d->logged_ms + DATA_LOG_MS) {
		d->logged_ms = c->now_ms;
		tell_jobs(c, a);
	}
	d->said_ms = c->now_ms;
	control_post(c, &a->action);
}

void dataset_post_progress(struct control *c, struct cached_dataset *d, int64_t done, int64_t total, const char *file)
{
	if (!d->said_ms || c->now_ms >= d->said_ms + DATA_SAY_MS || done == total)
		post_progress(c, d, make_progress(c, d, done, total, file), false);
}

/* What a download tells: fetch.h sees to it that this is not too often. */
static void on_report(void *arg, const struct fetch_report *r)
{
	struct control *c = arg;
	struct cached_dataset *d = map_get(&c->datasets, r->dataset);
	struct progress_action *a;
	int64_t done = 0, total = 0;
	bool known = true;

	if (!d || r->position >= d->n_files)
		return;
	d->done[r->position] = r->n_fetched;
	d->total[r->position] = r->n_bytes;
	for (int i = 0; i < d->n_files; i++) {
		done += d->done[i];
		total += d->total[i];
		known &= d->total[i] >= 0;
	}
	a = make_progress(c, d, done, known ? total : 0, r->file);
	a->has_report = true;
	a->r = *r;
	a->r.file = mem_strdup(r->file);
	a->r.url = mem_strdup(r->url);
	a->r.sha256 = mem_strdup(r->sha256);
	a->r.etag = mem_strdup(r->etag);
	a->r.detail = mem_strdup(r->detail);
	post_progress(c, d, a, r->detail || !strcmp(r->state, "ready"));
}

/* ---- Fetching --------------------------------------------------------------------------------------------------- */

struct file_list {
	struct fetch_file *files; /* owned, and its texts */
	int64_t *done;            /* owned */
	int n, room, done_room;
};

static void add_file(void *arg, const struct dataset_file *f)
{
	struct file_list *l = arg;

	MEM_GROW(l->files, l->n, l->room);
	MEM_GROW(l->done, l->n, l->done_room);
	l->done[l->n] = !strcmp(f->state, "ready") ? f->n_fetched : 0;
	l->files[l->n++] = (struct fetch_file){ .name = mem_strdup(f->file),
		.url = mem_strdup(f->url),
		.sha256 = mem_strdup(f->sha256),
		.etag = mem_strdup(f->etag),
		.n_bytes = f->n_bytes };
}

static void free_list(struct file_list *l)
{
	for (int i = 0; i < l->n; i++) {
		mem_free((char *)l->files[i].name);
		mem_free((char *)l->files[i].url);
		mem_free((char *)l->files[i].sha256);
		mem_free((char *)l->files[i].etag);
	}
	mem_free(l->files);
	mem_free(l->done);
}

/* What is promised of a file's size is promised by the table of known datasets alone: what a row of another says was
 * learned from an answer, and the next one may say another. */
static void start_fetch(struct control *c, struct cached_dataset *d)
{
	bool known = !strcmp(d->source, "known");
	struct file_list list = { 0 };
	struct err e = { 0 };

	if (store_dataset_files(c->reader, d->name, add_file, &list, &e)) {
		d->hold_until_ms = c->now_ms + RETRY_MS;
		log_line(LOG_ERROR, "files of a dataset cannot be read", "name=%s text=%s", d->name, e.text);
		goto out;
	}
	mem_free(d->done);
	mem_free(d->total);
	d->n_files = list.n;
	d->done = MEM_NEW_N(int64_t, list.n + 1);
	d->total = MEM_NEW_N(int64_t, list.n + 1);
	for (int i = 0; i < list.n; i++) {
		d->done[i] = list.done[i];
		d->total[i] = list.files[i].n_bytes;
		if (!known)
			list.files[i].n_bytes = -1;
	}
	/* TD_BUSY: too many at once; a later round tries again. */
	fetch_start(c->fetch,
		&(struct fetch_request){ .name = d->name,
			.files = list.files,
			.n_files = list.n,
			.max_bytes = d->max_bytes,
			.allow_private = c->config->fetch_private || (known && c->config->dataset_mirror) },
		&e);
out:
	free_list(&list);
}

/* A known dataset may be on this machine already. */
static bool is_here(const struct control *c, const struct cached_dataset *d)
{
	const struct known_dataset *k = !strcmp(d->source, "known") ? known_dataset(d->name) : NULL;
	char *folder = k ? dataset_known_folder(c->config, k) : NULL;
	bool here = folder != NULL;

	mem_free(folder);
	return here;
}

static void fetch_one(struct control *c, struct cached_dataset *d)
{
	struct err e = { 0 };

	switch (fetch_state(c->fetch, d->name, &e)) {
	case FETCH_NONE:
		if (!is_here(c, d)) {
			if (!c->draining)
				start_fetch(c, d);
			break;
		}
		/* fall through */
	case FETCH_DONE:
		dataset_post_move(c, d, &(struct dataset_move){ .from = 1u << DATA_FETCHING, .to = DATA_PREPARING });
		break;
	case FETCH_RUNNING: break;
	case FETCH_FAILED:
		dataset_post_move(c, d,
			&(struct dataset_move){ .from = 1u << DATA_FETCHING, .to = DATA_FAILED, .detail = e.text });
		break;
	}
}

struct names {
	struct control *c;
	char *items[16]; /* owned; more than downloads at once */
	int n;
};

static void note_stray(void *arg, const char *name)
{
	struct names *names = arg;
	const struct cached_dataset *d = map_get(&names->c->datasets, name);

	if ((!d || d->state != DATA_FETCHING) && (size_t)names->n < TD_COUNT(names->items))
		names->items[names->n++] = mem_strdup(name);
}

/* Downloads that no row asks for (any more). */
static void stop_strays(struct control *c)
{
	struct names names = { .c = c };

	fetch_each(c->fetch, note_stray, &names);
	for (int i = 0; i < names.n; i++) {
		fetch_stop(c->fetch, names.items[i]);
		mem_free(names.items[i]);
	}
}

void control_data_step(struct control *c)
{
	struct map_entry *entry;

	refresh(c);
	stop_strays(c);
	control_preparers_step(c);
	fetch_step(c->fetch, c->now_ms);
	for (size_t i = 0; (entry = map_next(&c->datasets, &i));) {
		struct cached_dataset *d = entry->value;
		if (d->pending)
			continue;
		if (c->now_ms < d->hold_until_ms)
			control_due(c, d->hold_until_ms);
		else if (d->state == DATA_FETCHING)
			fetch_one(c, d);
		else if (d->state == DATA_PREPARING)
			dataset_prepare(c, d);
	}
	control_preparers_due(c);
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

/* Of what an earlier life left below DATA/datasets: what was growing goes (parts of downloads stay, to go on from),
 * packs that no row names, and so do folders without a row, but for those of known datasets, whose files are as good as
 * they were. */
static void sweep_folder(struct control *c, const char *name)
{
	char *folder = dataset_path(c->config, name, NULL);
	struct dataset row;
	struct err e = { 0 };
	td_status s = store_dataset_get(c->reader, name, &row, &e);

	if (s == TD_NOT_FOUND && !known_dataset(name)) {
		log_line(LOG_INFO, "removing a folder without a dataset", "path=%s", folder);
		file_remove_tree(folder, NULL);
	} else if (!s) {
		remove_entries(folder, DATASET_UPLOAD, NULL);
		remove_entries(folder, DATASET_PACK, row.pack);
	}
	dataset_release(&row);
	mem_free(folder);
}

/* What was deleted under a preparer's hands. */
void control_data_tidy(struct control *c)
{
	char *folder = mem_printf("%s/datasets", c->config->data_dir);

	remove_entries(folder, DATASET_GONE, NULL);
	mem_free(folder);
}

static void sweep(struct control *c, const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			sweep_folder(c, d->d_name);
	if (dir)
		closedir(dir);
}

td_status control_data_init(struct control *c, struct err *e)
{
	char *folder = mem_printf("%s/datasets", c->config->data_dir);

	if (!file_make_folder(folder, e) && !store_reader_open(c->store, &c->data_reader, e)) {
		sweep(c, folder);
		weights_sweep(c->config, c->reader);
		c->fetch = fetch_create(&(struct fetch_options){ .folder = folder,
			.retry_ms = FETCH_RETRY_MS,
			.stall_s = FETCH_STALL_S,
			.report = on_report,
			.arg = c });
		c->data_reread = true;
	}
	mem_free(folder);
	return e->status;
}

void control_data_free(struct control *c)
{
	struct map_entry *entry;

	for (size_t i = 0; (entry = map_next(&c->datasets, &i));)
		cached_free(entry->value);
	map_release(&c->datasets);
	fetch_free(c->fetch);
	if (c->data_reader)
		store_reader_close(c->data_reader);
	pthread_mutex_destroy(&c->data_lock);
}
