/* Datasets: how one fares, for a job that names it, and known ones that are asked for by being named.
 *
 * Threads that answer requests ask through a reader of their own, so what they are told is committed and no older than
 * their own last write. */
#include "control_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define NAMES_MOST 1000 /* among which the nearest to an unknown one is looked for */

struct known_names {
	char *names[NAMES_MOST]; /* owned */
	size_t n;
};

static void add_name(void *arg, const struct dataset *d)
{
	struct known_names *k = arg;

	if (k->n < NAMES_MOST)
		k->names[k->n++] = mem_strdup(d->name);
}

/* There is no such dataset: the nearest name, and what could be done. */
static void refuse_unknown(const struct control *c, struct store_reader *r, const char *name, struct err *e)
{
	struct known_names k = { 0 };
	const struct known_dataset *known;
	struct err ignored = { 0 };
	char *folder = NULL;
	const char *near;

	store_dataset_each(r, false, NULL, NAMES_MOST, add_name, &k, NULL);
	for (size_t i = 0; (known = known_at(i)) && k.n < NAMES_MOST; i++)
		k.names[k.n++] = mem_strdup(known->name);
	near = nearest_name(name, (const char *const *)k.names, k.n);
	if (near)
		err_set(e, TD_NOT_FOUND, "there is no dataset \"%.64s\"; did you mean \"%s\"?", name, near);
	else if (dataset_name_safe(name) && !dataset_root_folder(c->config, name, &folder, &ignored))
		err_set(e, TD_NOT_FOUND,
			"there is no dataset \"%.64s\", but a folder of this name below --data-root; register it "
			"first: POST /api/v1/datasets {\"name\": \"%.64s\", \"folder\": \"%.64s\"}",
			name, name, name);
	else
		err_set(e, TD_NOT_FOUND,
			"there is no dataset \"%.64s\"; register it first: POST /api/v1/datasets {\"name\": ..., "
			"\"url\": "
			"...}, or upload its files",
			name);
	mem_free(folder);
	for (size_t i = 0; i < k.n; i++)
		mem_free(k.names[i]);
}

static bool pack_is_there(const struct config *c, const struct dataset *d)
{
	char *pack = d->state == DATA_READY && d->pack ? dataset_pack_path(c, d->name, d->pack) : NULL;
	struct stat st;
	bool there = pack && !stat(pack, &st) && S_ISDIR(st.st_mode);

	mem_free(pack);
	return there;
}

/* How NAME fares, and whether a known one should be asked for (again). */
static enum dataset_state judge(
	const struct control *c, struct store_reader *r, const char *name, bool *ask, struct err *e)
{
	bool known = known_dataset(name) != NULL;
	enum dataset_state state = DATASET_FETCHING;
	struct err found = { 0 };
	struct dataset d;

	*ask = false;
	if (store_dataset_get(r, name, &d, &found)) {
		*ask = known && found.status == TD_NOT_FOUND;
		if (!*ask && found.status == TD_NOT_FOUND)
			refuse_unknown(c, r, name, e);
		else if (!*ask)
			err_copy(e, &found);
		return *ask ? DATASET_FETCHING : DATASET_UNKNOWN;
	}
	known = known && !strcmp(d.source, "known");
	if (pack_is_there(c->config, &d)) {
		state = DATASET_READY;
	} else if (d.state == DATA_READY && known) {
		*ask = true;
	} else if (d.state == DATA_READY) {
		err_set(e, TD_CORRUPT,
			"the pack of dataset \"%s\" is gone from the data folder; "
			"POST /api/v1/datasets/%s/prepare makes it again",
			name, name);
		state = DATASET_FAILED;
	} else if (d.state == DATA_FAILED || d.state == DATA_CANCELLED) {
		err_set(e, TD_CONFLICT, "dataset \"%s\" %s: %s", name,
			d.state == DATA_FAILED ? "has failed" : "was cancelled",
			d.detail ? d.detail : "POST /api/v1/datasets/NAME/prepare goes on with it");
		state = DATASET_FAILED;
	} else if (d.state == DATA_UPLOADING) {
		err_set(e, TD_CONFLICT,
			"dataset \"%s\" is being uploaded; POST /api/v1/datasets/%s/prepare says that all "
			"its files are there",
			name, name);
		state = DATASET_UNKNOWN;
	}
	*ask |= known && state == DATASET_FAILED;
	dataset_release(&d);
	return state;
}

/* Only what has come to rest without a pack is begun anew: it may have become ready since it was judged. */
td_status control_dataset_ask(struct store_tx *tx, const struct config *config, const char *name, struct err *e)
{
	struct dataset_move again = { .from = 1u << DATA_FAILED | 1u << DATA_CANCELLED | 1u << DATA_READY,
		.to = DATA_FETCHING };
	const struct known_dataset *k = known_dataset(name);
	struct err found = { 0 };
	struct dataset d;

	if (!k)
		return TD_OK;
	if (store_dataset_read(tx, name, &d, &found) == TD_NOT_FOUND)
		return dataset_add_known(tx, config, k, "", e);
	if (found.status)
		err_copy(e, &found);
	else if (!strcmp(d.source, "known") && again.from & 1u << d.state && !pack_is_there(config, &d))
		store_dataset_move(tx, name, &again, e);
	dataset_release(&d);
	return e->status;
}

enum dataset_state control_dataset(struct control *c, const char *name, struct err *e)
{
	enum dataset_state state;
	bool ask;

	pthread_mutex_lock(&c->data_lock);
	state = judge(c, c->data_reader, name, &ask, e);
	pthread_mutex_unlock(&c->data_lock);
	if (!ask)
		return state == DATASET_FAILED ? DATASET_UNKNOWN : state;
	err_clear(e);
	return DATASET_FETCHING;
}

/* ---- Asking, from the loop -------------------------------------------------------------------------------------- */

struct known_action {
	struct action action; /* first */
	const char *name;     /* borrowed from the table of known ones */
};

static td_status run_known_action(struct store_tx *tx, struct store_cmd *cmd, struct err *e)
{
	const struct known_action *a = (const struct known_action *)cmd;

	return control_dataset_ask(tx, a->action.control->config, a->name, e);
}

static void finish_known(struct control *c, struct action *a)
{
	c->registering = false;
	c->data_reread = true;
	if (a->cmd.err.status)
		c->data_hold_ms = c->now_ms + RETRY_MS;
	mem_free(a);
}

/* A job from before there were rows of datasets, or whose dataset was deleted, asks for a known one here.  What has
 * failed is not tried again behind the back of the job that waits for it. */
enum dataset_state dataset_want(struct control *c, const char *name, struct err *e)
{
	bool ask;
	enum dataset_state state = judge(c, c->reader, name, &ask, e);

	if (ask && state == DATASET_FETCHING && !c->registering && c->now_ms >= c->data_hold_ms) {
		struct known_action *a = MEM_NEW(struct known_action);
		a->action = (struct action){ .cmd.run = run_known_action, .control = c, .finish = finish_known };
		a->name = known_dataset(name)->name;
		c->registering = true;
		control_post(c, &a->action);
	}
	return state;
}

char *dataset_pack(const struct control *c, const char *name)
{
	struct dataset d;
	char *path = NULL;

	if (store_dataset_get(c->reader, name, &d, NULL))
		return NULL;
	if (d.state == DATA_READY && d.pack)
		path = dataset_pack_path(c->config, name, d.pack);
	dataset_release(&d);
	return path;
}

char *dataset_info(const struct control *c, const char *name)
{
	const struct known_dataset *k = known_dataset(name);
	bool known = k != NULL;
	char *info = NULL;
	struct dataset d;

	if (!store_dataset_get(c->reader, name, &d, NULL)) {
		info = mem_strdup(d.state == DATA_READY ? d.info : NULL);
		known = known && !strcmp(d.source, "known");
		dataset_release(&d);
	}
	return info || !known ? info : mem_strdup(k->info);
}
