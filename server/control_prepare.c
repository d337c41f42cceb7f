/* Datasets: their files decoded into packs, each by a process of its own that can be killed at any moment.
 *
 * A preparer is started on demand, gets one PREPARE, and writes into a folder with a name that nobody looks for; when
 * it says that all is there and synced, the folder gets the name of its key, and only then the row says "ready". */
#include "control_internal.h"
#include "base/log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define KEY_TEXT 33 /* 32 hexadecimal digits and the zero byte */

struct preparation {
	char *dataset, *format; /* owned; of the row it is for */
	int64_t created_ms;     /* likewise */
	char *folder;           /* owned; where the pack grows */
	int64_t id;
	bool over; /* it has said how it ended */
};

void preparation_free(struct preparation *p)
{
	if (!p)
		return;
	file_remove_tree(p->folder, NULL); /* renamed when it was finished */
	mem_free(p->dataset);
	mem_free(p->format);
	mem_free(p->folder);
	mem_free(p);
}

/* The dataset that W prepares, if its row still asks for just this. */
static struct cached_dataset *dataset_of(const struct control *c, const struct worker *w)
{
	const struct preparation *p = w->preparation;
	struct cached_dataset *d = p ? map_get(&c->datasets, p->dataset) : NULL;

	return d && d->state == DATA_PREPARING && d->created_ms == p->created_ms && !strcmp(d->format, p->format)
		       ? d
		       : NULL;
}

static struct worker *preparer_of(const struct control *c, const struct cached_dataset *d)
{
	for (struct worker *w = c->workers; w; w = w->next)
		if (w->role == ROLE_PREPARER && dataset_of(c, w) == d)
			return w;
	return NULL;
}

/* ---- Who is wanted ---------------------------------------------------------------------------------------------- */

int control_preparers_wanted(struct control *c)
{
	struct map_entry *entry;
	int waiting = 0, at_work = 0;

	for (size_t i = 0; (entry = map_next(&c->datasets, &i));) {
		const struct cached_dataset *d = entry->value;
		waiting += d->state == DATA_PREPARING && !d->pending && c->now_ms >= d->hold_until_ms &&
			   !preparer_of(c, d);
	}
	for (const struct worker *w = c->workers; w; w = w->next)
		at_work += w->role == ROLE_PREPARER && w->preparation != NULL;
	return TD_MAX(TD_MIN(waiting, PREPARERS_MOST - at_work), 0);
}

void control_preparers_step(struct control *c)
{
	int wanted = control_preparers_wanted(c);

	for (struct worker *w = c->workers; w; w = w->next) {
		if (w->role != ROLE_PREPARER || w->exited)
			continue;
		if (w->preparation && !w->preparation->over && !dataset_of(c, w))
			worker_kill(w, NULL); /* cancelled, deleted, or to be prepared in another way */
		else if (!w->preparation && wanted-- <= 0)
			worker_kill(w, NULL);
	}
}

/* The pool, which starts them, has had its turn in this round. */
void control_preparers_due(struct control *c)
{
	int missing = c->draining ? 0 : control_preparers_wanted(c);

	for (const struct worker *w = c->workers; w; w = w->next)
		missing -= w->role == ROLE_PREPARER && !w->preparation && !w->process.killed;
	if (missing > 0)
		control_due(c, TD_MAX(c->now_ms, c->spawn_after_ms));
}

/* ---- Handing over ----------------------------------------------------------------------------------------------- */

struct listing {
	const struct config *config;
	const struct cached_dataset *d;
	cJSON *files;
	struct err err; /* a file that must not, or cannot, be read */
};

static void add_file(void *arg, const struct dataset_file *f)
{
	struct listing *l = arg;
	const struct cached_dataset *d = l->d;
	cJSON *item;
	char *path;

	if (l->err.status || dataset_file_place(l->config, d->name, d->source, d->folder, f->file, &path, &l->err))
		return;
	item = cJSON_CreateObject();
	cJSON_AddStringToObject(item, "name", *f->file ? f->file : d->name);
	cJSON_AddStringToObject(item, "path", path);
	cJSON_AddItemToArray(l->files, item);
	mem_free(path);
}

static struct worker *free_preparer(const struct control *c)
{
	for (struct worker *w = c->workers; w; w = w->next)
		if (w->role == ROLE_PREPARER && w->state == WORKER_READY && !w->preparation && w->peer &&
			!w->peer->ended && !w->exited && !w->process.killed)
			return w;
	return NULL;
}

static int64_t memory_of_one(const struct control *c)
{
	return TD_MIN((int64_t)PREPARE_MB << 20, c->config->memory_bytes);
}

static void fail(struct control *c, struct cached_dataset *d, const char *pointer, const char *detail)
{
	dataset_post_move(c, d,
		&(struct dataset_move){ .from = 1u << DATA_PREPARING,
			.to = DATA_FAILED,
			.detail = detail,
			.pointer = pointer && *pointer ? pointer : NULL });
}

/* OURS may pass, and is tried again; what is wrong with the files (THEIRS) will not. */
static void give_up(struct control *c, struct cached_dataset *d, const struct err *ours, const struct err *theirs)
{
	if (!ours->status) {
		fail(c, d, NULL, theirs->text);
		return;
	}
	log_line(LOG_ERROR, "dataset cannot be prepared", "name=%s text=%s", d->name, ours->text);
	d->hold_until_ms = c->now_ms + RETRY_MS;
}

static void hand_over(struct control *c, struct cached_dataset *d, struct worker *w)
{
	struct preparation *p = MEM_NEW(struct preparation);
	struct listing list = { .config = c->config, .d = d, .files = cJSON_CreateArray() };
	cJSON *body = cJSON_CreateObject();
	struct err e = { 0 };
	char id[ULID_TEXT], name[ULID_TEXT + 16];

	ulid_make(id);
	snprintf(name, sizeof name, DATASET_PACK "%s.part", id);
	p->dataset = mem_strdup(d->name);
	p->format = mem_strdup(d->format);
	p->created_ms = d->created_ms;
	p->folder = dataset_path(c->config, d->name, name);
	p->id = c->now_ms;
	cJSON_AddNumberToObject(body, "id", (double)p->id);
	cJSON_AddStringToObject(body, "dataset", d->name);
	cJSON_AddItemToObject(body, "format", cJSON_Parse(d->format)); /* our own column */
	cJSON_AddItemToObject(body, "files", list.files);
	cJSON_AddStringToObject(body, "folder", p->folder);
	cJSON_AddNumberToObject(body, "memory_bytes", (double)memory_of_one(c));
	if (file_make_folder(p->folder, &e) || store_dataset_files(c->reader, d->name, add_file, &list, &e) ||
		list.err.status) {
		give_up(c, d, &e, &list.err);
		cJSON_Delete(body);
		preparation_free(p);
		return;
	}
	w->preparation = p;
	w->state = WORKER_BUSY;
	w->memory_most = memory_of_one(c);
	w->deadline_ms = c->now_ms + PREPARE_WORD_MS;
	w->deadline_why = "it prepares a dataset and has said nothing for a minute";
	peer_say(w->peer, PROTO_PREPARE, body);
	log_line(LOG_INFO, "preparing a dataset", "name=%s pid=%d", d->name, w->process.pid);
}

void dataset_prepare(struct control *c, struct cached_dataset *d)
{
	struct worker *w = preparer_of(c, d) || c->draining ? NULL : free_preparer(c);

	if (w)
		hand_over(c, d, w);
}

/* ---- How it ended ----------------------------------------------------------------------------------------------- */

static bool key_valid(const char *key)
{
	return strlen(key) == KEY_TEXT - 1 && strspn(key, "0123456789abcdef") == KEY_TEXT - 1;
}

/* Give the pack its name.  One of the same key may be there, and damaged: no job uses it, or this would not be asked
 * for. */
static td_status name_pack(struct control *c, const struct preparation *p, const char *key, struct err *e)
{
	char *pack = dataset_pack_path(c->config, p->dataset, key);

	if (!file_sync(p->folder, e) && !file_remove_tree(pack, e))
		file_rename(p->folder, pack, e);
	mem_free(pack);
	return e->status;
}

static void finish(struct control *c, struct cached_dataset *d, const struct preparation *p, const cJSON *body)
{
	const char *key = json_string(body, "key", "");
	const cJSON *info = json_get(body, "info");
	struct err e = { 0 };
	char *text;

	if (!key_valid(key) || !cJSON_IsObject(info))
		err_set(&e, TD_INTERNAL, "the process that prepared it sent no key or no info");
	else
		name_pack(c, p, key, &e);
	if (e.status) {
		fail(c, d, NULL, e.text);
		return;
	}
	text = json_print(info);
	dataset_post_move(c, d,
		&(struct dataset_move){ .from = 1u << DATA_PREPARING,
			.to = DATA_READY,
			.pack = key,
			.info = text,
			.pack_bytes = json_int(body, "bytes", 0) });
	mem_free(text);
}

/* All faults in one text, and the pointer of the first. */
static void refuse(struct control *c, struct cached_dataset *d, const cJSON *body)
{
	const cJSON *faults = json_get(body, "faults"), *fault;
	const char *pointer = json_string(cJSON_GetArrayItem(faults, 0), "pointer", "");
	struct buf text;

	buf_init(&text, 4000);
	cJSON_ArrayForEach(fault, faults)
	{
		buf_printf(&text, "%s%s", text.len ? "; " : "", json_string(fault, "detail", "it was refused"));
	}
	fail(c, d, pointer, text.len ? text.data : json_string(body, "detail", "it was refused"));
	buf_release(&text);
}

void control_preparer_said(struct control *c, struct worker *w, struct proto_msg *m)
{
	struct preparation *p = w->preparation;
	struct cached_dataset *d = dataset_of(c, w);

	if (!p || p->over)
		return;
	w->deadline_ms = c->now_ms + PREPARE_WORD_MS;
	if (m->kind == PROTO_PROGRESS) {
		if (d)
			dataset_post_progress(c, d, json_int(m->body, "step", 0), json_int(m->body, "n_steps", 0),
				json_string(m->body, "file", ""));
		return;
	}
	if (m->kind != PROTO_PREPARED && m->kind != PROTO_REFUSED && m->kind != PROTO_FAILED)
		return;
	p->over = true; /* it leaves by itself */
	w->deadline_ms = c->now_ms + STOP_MS;
	w->deadline_why = "it has prepared its dataset and does not leave";
	if (d && m->kind == PROTO_PREPARED)
		finish(c, d, p, m->body);
	else if (d)
		refuse(c, d, m->body);
}

void control_preparer_lost(struct control *c, struct worker *w, bool by_itself, const char *how)
{
	const struct preparation *p = w->preparation;
	struct cached_dataset *d = dataset_of(c, w);
	char detail[600];

	(void)by_itself; /* it leaves when it is over */
	control_data_tidy(c);
	if (!p || p->over || !d || d->pending || c->draining)
		return;
	if (w->over_memory)
		snprintf(detail, sizeof detail,
			"preparing it took more than %lld MB of memory; split its files, or make them smaller",
			(long long)memory_of_one(c) >> 20);
	else
		snprintf(detail, sizeof detail, "the process that prepared it ended: %s", how);
	fail(c, d, NULL, detail);
}
