/* Replays: steps of jobs done once more, one at a time, each by a process of its own that can be killed at any moment.
 *
 * Rows say what is to be done; the one that runs, else the oldest, is handed to a replayer, which is started on demand
 * and writes into a folder with a name that nobody looks for.  When it says that all is there and synced, the folder
 * gets the row's name, and only then the row says "succeeded".  So after any death there is a row without a process, and
 * it is handed over again, a few times. */
#include "control_internal.h"
#include "base/log.h"
#include "replayfiles.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#define ATTEMPTS_MOST 3           /* a process that dies thrice dies of what it does */
#define WORD_MS       600000      /* a step, or a validation, takes no longer; one that says nothing hangs */
#define LOOK_MS       100         /* between two readings of the rows: points of metrics wake the loop too */
#define SAY_MS        300         /* between two rows about progress */
#define MEMORY_LEAST  (2LL << 30) /* bytes: an eager step keeps all its values until it ends */
#define POINTS_MOST   1024        /* of one series, from the step on: more than a log window */

struct replaying {
	struct replay_row row; /* owned; as it was handed over */
	char *folder;          /* owned; where it grows */
	int64_t said_ms;
	bool over; /* it has said how it ended */
};

void replaying_free(struct replaying *r)
{
	if (!r)
		return;
	file_remove_tree(r->folder, NULL); /* renamed when it was finished */
	replay_release(&r->row);
	mem_free(r->folder);
	mem_free(r);
}

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

static void copy_row(struct replay_row *to, const struct replay_row *from)
{
	*to = *from;
	to->detail = mem_strdup(from->detail);
	to->phase = mem_strdup(from->phase);
	to->found = mem_strdup(from->found);
}

void control_replays_free(struct control *c)
{
	if (c->replay)
		replay_release(c->replay);
	mem_free(c->replay);
	c->replay = NULL;
}

static void refresh(struct control *c)
{
	int64_t seq = store_seq(c->store);
	struct replay_row row;
	struct err e = { 0 };

	if (!c->replays_reread && seq == c->replays_seq)
		return;
	if (!c->replays_reread && c->now_ms < c->replays_after_ms) {
		control_due(c, c->replays_after_ms);
		return;
	}
	if (store_replay_next(c->reader, &row, &e) && e.status != TD_NOT_FOUND) {
		log_line(LOG_ERROR, "replays cannot be read", "text=%s", e.text);
		control_due(c, c->now_ms + RETRY_MS);
		return;
	}
	control_replays_free(c);
	if (!e.status) {
		c->replay = MEM_NEW(struct replay_row);
		*c->replay = row;
	}
	c->replays_seq = seq;
	c->replays_after_ms = c->now_ms + LOOK_MS;
	c->replays_reread = false;
}

struct replay_action {
	struct action action; /* first */
	struct replay_row row;
	struct worker *worker; /* borrowed: reserved until this is finished; NULL: nobody waits for it */
	cJSON *message;        /* owned; what WORKER is told then */
};

static td_status run_move(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	return store_replay_move(tx, &((struct replay_action *)cmd)->row, e);
}

static void finish_move(struct control *c, struct action *action)
{
	struct replay_action *a = (struct replay_action *)action;

	c->replays_reread = true;
	c->replays_pending--;
	if (action->cmd.err.status && action->cmd.err.status != TD_CONFLICT) {
		log_line(LOG_ERROR, "a replay's row cannot be written", "job=%s step=%lld text=%s", a->row.job,
			(long long)a->row.step, action->cmd.err.text);
		c->replays_hold_ms = c->now_ms + RETRY_MS;
	}
	if (a->worker) {
		a->worker->state = WORKER_BUSY;
		if (action->cmd.err.status) {
			worker_kill(a->worker, NULL);
			cJSON_Delete(a->message);
		} else {
			peer_say(a->worker->peer, PROTO_REPLAY, a->message);
		}
	}
	replay_release(&a->row);
	mem_free(a);
}

static void post_move(struct control *c, const struct replay_row *row, struct worker *w, cJSON *message)
{
	struct replay_action *a = MEM_NEW(struct replay_action);

	a->action = (struct action){ .cmd.run = run_move, .control = c, .finish = finish_move };
	copy_row(&a->row, row);
	a->worker = w;
	a->message = message;
	c->replays_pending++;
	control_post(c, &a->action);
}

static void end_row(struct control *c, const struct replay_row *row, const char *detail, const char *found)
{
	struct replay_row now = *row;

	now.state = detail ? REPLAY_FAILED : REPLAY_SUCCEEDED;
	now.detail = (char *)detail;
	now.found = (char *)found;
	now.phase = NULL;
	post_move(c, &now, NULL, NULL);
	if (detail)
		log_line(LOG_WARN, "a replay failed", "job=%s step=%lld text=%s", row->job, (long long)row->step,
			detail);
}

/* ---- Folders ----------------------------------------------------------------------------------------------------- */

static void keep_folder(void *arg, const struct replay_row *r)
{
	map_put(arg, r->id, arg); /* any value but NULL */
}

void control_replays_tidy(struct control *c, const char *job)
{
	char *folder = job_replays_folder(c->config, job);
	DIR *dir = opendir(folder);
	struct err e = { 0 };
	struct dirent *d;
	struct map kept;

	map_init(&kept);
	store_replays(c->reader, job, keep_folder, &kept, &e);
	for (struct worker *w = c->workers; w; w = w->next)
		if (w->replaying)
			map_put(&kept, strrchr(w->replaying->folder, '/') + 1, w);
	while (dir && !e.status && (d = readdir(dir))) {
		char *path;

		if (*d->d_name == '.' || map_get(&kept, d->d_name))
			continue;
		path = mem_printf("%s/%s", folder, d->d_name);
		file_remove_tree(path, NULL);
		mem_free(path);
	}
	if (dir)
		closedir(dir);
	map_release(&kept);
	mem_free(folder);
}

/* ---- What the replayer must know --------------------------------------------------------------------------------- */

struct start {
	struct control *c;
	const struct job *job;
	const struct replay_row *row;
	const char *folder; /* of the replay */
	struct resume from; /* FILE NULL: there is no checkpoint before the step */
	cJSON *checkpoints; /* those that the replay will meet */
};

/* Rows come newest first.  A name of its own keeps the file, whatever the job does meanwhile. */
static void consider(void *arg, const struct artifact *a)
{
	struct start *s = arg;
	char *from, *to;
	struct err e = { 0 };
	cJSON *o;

	if (a->step >= s->row->step) {
		o = cJSON_CreateObject();
		cJSON_AddNumberToObject(o, "step", (double)a->step);
		cJSON_AddStringToObject(o, "kind", a->kind);
		cJSON_AddStringToObject(o, "sha256", a->sha256);
		cJSON_AddItemToArray(s->checkpoints, o);
		return;
	}
	if (s->from.file || strcmp(a->kind, "last") != 0 || job_file(s->c->config, s->row->job, a, &from, &e))
		return;
	to = mem_printf("%s/%s", s->folder, a->file);
	if (!file_link(from, to, &e)) {
		s->from.step = a->step;
		s->from.file = mem_strdup(a->file);
		snprintf(s->from.sha256, sizeof s->from.sha256, "%s", a->sha256);
	}
	mem_free(from);
	mem_free(to);
}

struct series_list {
	char *names[STORE_SERIES_MOST]; /* owned */
	int n;
};

static void add_series(void *arg, const struct series_info *s)
{
	struct series_list *l = arg;

	if (s->deterministic && l->n < STORE_SERIES_MOST)
		l->names[l->n++] = mem_strdup(s->name);
}

/* What the job recorded from the step on; less than all where E says why. */
static cJSON *points_json(struct control *c, const struct replay_row *row, struct err *e)
{
	struct point *points = MEM_NEW_N(struct point, POINTS_MOST);
	cJSON *all = cJSON_CreateObject();
	struct series_list l = { 0 };

	store_series_each(c->reader, row->job, add_series, &l, e);
	for (int i = 0; i < l.n; i++) {
		cJSON *list = cJSON_AddArrayToObject(all, l.names[i]);
		int got = 0;

		store_points_read(c->reader, row->job, l.names[i], row->step - 1, points, POINTS_MOST, &got, e);
		for (int k = 0; k < got; k++) {
			cJSON *point = cJSON_CreateArray();

			cJSON_AddItemToArray(point, cJSON_CreateNumber((double)points[k].step));
			cJSON_AddItemToArray(point, json_number(points[k].value));
			cJSON_AddItemToArray(list, point);
		}
		mem_free(l.names[i]);
	}
	mem_free(points);
	return all;
}

static cJSON *message_json(struct control *c, const struct start *s, const char *data, struct err *e)
{
	cJSON *body = cJSON_CreateObject(), *engine = s->job->engine ? cJSON_Parse(s->job->engine) : NULL;

	cJSON_AddStringToObject(body, "id", s->row->id);
	cJSON_AddNumberToObject(body, "step", (double)s->row->step);
	cJSON_AddNumberToObject(body, "steps", (double)s->row->steps);
	cJSON_AddStringToObject(body, "folder", s->folder);
	control_add_start(c, body, s->job, data, &s->from);
	cJSON_AddNumberToObject(body, "threads", 1);
	cJSON_AddNumberToObject(body, "progress", (double)s->job->step);
	cJSON_AddStringToObject(body, "fingerprint", json_string(engine, "fingerprint", ""));
	cJSON_AddBoolToObject(body, "exact", json_bool(engine, "exact", true));
	cJSON_AddStringToObject(body, "data_recorded", json_string(engine, "data", ""));
	cJSON_AddStringToObject(body, "init_recorded", json_string(engine, "init", ""));
	cJSON_AddItemToObject(body, "checkpoints", cJSON_Duplicate(s->checkpoints, true));
	cJSON_AddItemToObject(body, "points", points_json(c, s->row, e));
	cJSON_Delete(engine);
	if (e->status) { /* with fewer points the verdict would say less than it seems */
		cJSON_Delete(body);
		return NULL;
	}
	return body;
}

/* NULL: E says why this step cannot be replayed. */
static cJSON *prepare(struct control *c, struct start *s, struct err *e)
{
	cJSON *spec = cJSON_Parse(s->job->spec), *message = NULL; /* our own column */
	const char *dataset = json_string(json_get(spec, "data"), "dataset", "");
	char *data = dataset_pack(c, dataset);

	if (!data)
		err_set(e, TD_CONFLICT, "the data set \"%.64s\" is not here any more", dataset);
	else if (!file_make_folder(s->folder, e) &&
		 !store_artifacts(c->reader, s->row->job, "checkpoint", consider, s, e)) {
		if (!s->from.file && s->job->parent)
			err_set(e, TD_CONFLICT,
				"the job is a fork, and no checkpoint before step %lld is kept, not even the one it "
				"began from; \"keep\": {\"last\": ...} keeps more",
				(long long)s->row->step);
		else
			message = message_json(c, s, data, e);
	}
	mem_free(data);
	cJSON_Delete(spec);
	return message;
}

/* ---- Handing over ------------------------------------------------------------------------------------------------ */

static struct worker *replayer(const struct control *c)
{
	for (struct worker *w = c->workers; w; w = w->next)
		if (w->role == ROLE_REPLAYER && !w->exited && !w->process.killed &&
			!(w->replaying && w->replaying->over))
			return w;
	return NULL;
}

static void hand_over(struct control *c, struct worker *w)
{
	struct replaying *p = MEM_NEW(struct replaying);
	struct start s = { .c = c, .row = &p->row, .checkpoints = cJSON_CreateArray() };
	char *folder = job_replays_folder(c->config, c->replay->job);
	struct err e = { 0 };
	cJSON *message = NULL;
	struct job j = { 0 };

	copy_row(&p->row, c->replay);
	p->row.state = REPLAY_RUNNING;
	p->row.attempts++;
	p->folder = mem_printf("%s/%s-%d.part", folder, p->row.id, p->row.attempts);
	s.folder = p->folder;
	s.job = &j;
	file_remove_tree(p->folder, NULL);
	if (!store_job_get(c->reader, p->row.job, &j, &e))
		message = prepare(c, &s, &e);
	if (message) {
		w->replaying = p;
		w->state = WORKER_RESERVED;
		w->memory_most = TD_MIN(TD_MAX(2 * j.memory_bytes, MEMORY_LEAST), c->config->memory_bytes);
		w->deadline_ms = c->now_ms + WORD_MS;
		w->deadline_why = "it replays a step and has said nothing for ten minutes";
		post_move(c, &p->row, w, message);
		log_line(LOG_INFO, "replaying", "job=%s step=%lld pid=%d", p->row.job, (long long)p->row.step,
			w->process.pid);
	} else {
		end_row(c, &p->row, e.text, NULL);
		replaying_free(p);
	}
	cJSON_Delete(s.checkpoints);
	mem_free(s.from.file);
	job_release(&j);
	mem_free(folder);
}

int control_replayers_wanted(struct control *c)
{
	const struct worker *w = replayer(c);

	return c->replay && !c->draining && !c->replays_pending && !c->replays_reread &&
	       c->now_ms >= c->replays_hold_ms && (!w || !w->replaying);
}

void control_replays_step(struct control *c)
{
	struct worker *w;

	refresh(c);
	if (c->now_ms < c->replays_hold_ms) {
		control_due(c, c->replays_hold_ms);
		return;
	}
	w = replayer(c);
	if (w && w->replaying && (!c->replay || strcmp(c->replay->id, w->replaying->row.id) != 0) &&
		!c->replays_pending)
		worker_kill(w, NULL); /* cancelled or deleted */
	else if (w && !w->replaying && !c->replay && w->state == WORKER_READY)
		worker_kill(w, NULL);
	else if (w && !w->replaying && c->replay && w->state == WORKER_READY && w->peer && !w->peer->ended &&
		 !c->replays_pending && !c->draining)
		hand_over(c, w);
	else if (!w && c->replay && !c->draining) /* the pool, which starts it, has had its turn in this round */
		control_due(c, TD_MAX(c->now_ms, c->spawn_after_ms));
}

/* ---- How it ended ------------------------------------------------------------------------------------------------ */

/* The folder gets the name that the row has. */
static td_status name_folder(const struct replaying *p, struct err *e)
{
	char *to = mem_strdup(p->folder);

	*strrchr(to, '-') = '\0';
	if (!file_sync(p->folder, e) && !file_remove_tree(to, e))
		file_rename(p->folder, to, e);
	mem_free(to);
	return e->status;
}

/* What it has written goes first: it may be what fills the disk, and the row needs room. */
static void take_failed(struct control *c, const struct replaying *p, const char *detail)
{
	file_remove_tree(p->folder, NULL);
	end_row(c, &p->row, detail, NULL);
}

static void take_replayed(struct control *c, struct replaying *p, cJSON *body)
{
	struct err e = { 0 };
	char *found;

	if (name_folder(p, &e)) {
		take_failed(c, p, e.text);
		return;
	}
	cJSON_DeleteItemFromObjectCaseSensitive(body, "id");
	found = json_print(body);
	end_row(c, &p->row, NULL, found);
	mem_free(found);
	log_line(LOG_INFO, "replayed", "job=%s step=%lld", p->row.job, (long long)p->row.step);
}

static void take_progress(struct control *c, struct replaying *p, const cJSON *body)
{
	const char *phase = json_string(body, "phase", "");

	if (c->replays_pending || (c->now_ms < p->said_ms + SAY_MS && !strcmp(phase, p->row.phase ? p->row.phase : "")))
		return;
	p->said_ms = c->now_ms;
	mem_free(p->row.phase);
	p->row.phase = mem_strdup(phase);
	p->row.done = json_int(body, "step", 0);
	p->row.total = json_int(body, "n_steps", 0);
	post_move(c, &p->row, NULL, NULL);
}

void control_replayer_said(struct control *c, struct worker *w, struct proto_msg *m)
{
	struct replaying *p = w->replaying;

	if (!p || p->over)
		return;
	w->deadline_ms = c->now_ms + WORD_MS;
	if (m->kind == PROTO_PROGRESS) {
		take_progress(c, p, m->body);
		return;
	}
	if (m->kind != PROTO_REPLAYED && m->kind != PROTO_REFUSED)
		return;
	p->over = true; /* it leaves by itself */
	w->deadline_ms = c->now_ms + STOP_MS;
	w->deadline_why = "it has replayed its step and does not leave";
	if (m->kind == PROTO_REPLAYED)
		take_replayed(c, p, m->body);
	else
		take_failed(c, p, json_string(m->body, "detail", "it was refused"));
}

void control_replayer_lost(struct control *c, struct worker *w, bool by_itself, const char *how)
{
	const struct replaying *p = w->replaying;
	struct replay_row row;
	char detail[600];

	(void)by_itself; /* it leaves when it is over */
	if (!p)
		return;
	control_replays_tidy(c, p->row.job);
	if (p->over || c->draining || !c->replay || strcmp(c->replay->id, p->row.id) != 0)
		return;
	if (w->over_memory)
		snprintf(detail, sizeof detail,
			"it took more than the %lld MB that it may use: an eager step keeps all its values",
			(long long)w->memory_most >> 20);
	else
		snprintf(detail, sizeof detail, "%d processes that were at it ended; the last: %s", p->row.attempts,
			how);
	if (w->over_memory || p->row.attempts >= ATTEMPTS_MOST) {
		end_row(c, &p->row, detail, NULL);
		return;
	}
	row = p->row;
	row.state = REPLAY_QUEUED;
	row.phase = NULL;
	row.done = 0;
	post_move(c, &row, NULL, NULL);
}
