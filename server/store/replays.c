/* Replays: rows that the control loop works off. */
#include "store/internal.h"

#include <stdio.h>
#include <string.h>

static const char *const states[REPLAY_N_STATES] = { [REPLAY_QUEUED] = "queued",
	[REPLAY_RUNNING] = "running",
	[REPLAY_SUCCEEDED] = "succeeded",
	[REPLAY_FAILED] = "failed" };

const char *replay_state_name(enum replay_state s)
{
	return states[s];
}

static enum replay_state parse_state(const char *name)
{
	for (int s = 0; s < REPLAY_N_STATES; s++)
		if (name && !strcmp(name, states[s]))
			return (enum replay_state)s;
	return REPLAY_FAILED;
}

void replay_release(struct replay_row *r)
{
	mem_free(r->detail);
	mem_free(r->phase);
	mem_free(r->found);
	*r = (struct replay_row){ 0 };
}

#define REPLAY_COLUMNS                                                                                                 \
	"id, job, step, steps, state, automatic, detail, phase, done, total, attempts, found, created_ms, finished_ms"

static void take_row(struct query *q, struct replay_row *r)
{
	*r = (struct replay_row){ .step = query_get_int(q, 2),
		.steps = query_get_int(q, 3),
		.state = parse_state(query_get_text(q, 4)),
		.automatic = query_get_int(q, 5) != 0,
		.detail = query_take_text(q, 6),
		.phase = query_take_text(q, 7),
		.done = query_get_int(q, 8),
		.total = query_get_int(q, 9),
		.attempts = (int)query_get_int(q, 10),
		.found = query_take_text(q, 11),
		.created_ms = query_get_int(q, 12),
		.finished_ms = query_get_int(q, 13) };
	snprintf(r->id, sizeof r->id, "%s", query_get_text(q, 0));
	snprintf(r->job, sizeof r->job, "%s", query_get_text(q, 1));
}

static td_status tell(struct store_tx *tx, const struct replay_row *r, const char *state, struct err *e)
{
	cJSON *data = cJSON_CreateObject();

	cJSON_AddNumberToObject(data, "step", (double)r->step);
	cJSON_AddStringToObject(data, "state", state);
	cJSON_AddStringToObject(data, "phase", r->phase ? r->phase : "");
	cJSON_AddNumberToObject(data, "done", (double)r->done);
	cJSON_AddNumberToObject(data, "total", (double)r->total);
	return tx_event(tx, r->job, "replay", data, e);
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

#define IS_ACTIVE "state IN ('queued', 'running')"

td_status store_replay_room(struct store_tx *tx, const char *job, struct err *e)
{
	struct query q;
	int64_t n;

	query_begin(&q, tx->db, e, "SELECT count(*) FROM replays WHERE job = ? AND " IS_ACTIVE);
	query_text(&q, job);
	n = query_row(&q) ? query_get_int(&q, 0) : 0;
	if (query_end(&q) == TD_OK && n >= STORE_REPLAYS_MOST)
		return err_set(e, TD_CONFLICT,
			"%lld replays of job %s wait or run already; ask again when one is over, or DELETE one",
			(long long)n, job);
	return q.status;
}

td_status store_replay_insert(struct store_tx *tx, struct replay_row *r, struct err *e)
{
	struct query q;

	ulid_make(r->id);
	r->created_ms = tx->now_ms;
	r->state = REPLAY_QUEUED;
	query_begin(&q, tx->db, e,
		"INSERT INTO replays (id, job, step, steps, state, automatic, created_ms) VALUES (?, ?, ?, ?, ?, ?, "
		"?)");
	query_text(&q, r->id);
	query_text(&q, r->job);
	query_int(&q, r->step);
	query_int(&q, r->steps);
	query_text(&q, states[r->state]);
	query_int(&q, r->automatic);
	query_int(&q, r->created_ms);
	if (query_run(&q))
		return q.status;
	query_begin(&q, tx->db, e,
		"DELETE FROM replays WHERE id IN (SELECT id FROM replays WHERE job = ? "
		"ORDER BY " IS_ACTIVE " DESC, created_ms DESC, id DESC LIMIT -1 OFFSET ?)");
	query_text(&q, r->job);
	query_int(&q, STORE_REPLAYS_MOST);
	return query_run(&q) ? q.status : tell(tx, r, states[r->state], e);
}

td_status store_replay_again(struct store_tx *tx, struct replay_row *r, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"UPDATE replays SET state = ?, steps = ?, detail = NULL, phase = '', done = 0, total = 0, attempts = "
		"0, found = NULL, finished_ms = 0 WHERE id = ?");
	query_text(&q, states[REPLAY_QUEUED]);
	query_int(&q, r->steps);
	query_text(&q, r->id);
	if (query_run(&q))
		return q.status;
	r->state = REPLAY_QUEUED;
	r->finished_ms = 0;
	mem_free(r->detail);
	mem_free(r->found);
	r->detail = r->found = NULL;
	return tell(tx, r, states[r->state], e);
}

td_status store_replay_move(struct store_tx *tx, const struct replay_row *r, struct err *e)
{
	bool over = r->state >= REPLAY_SUCCEEDED;
	struct query q;

	query_begin(&q, tx->db, e,
		"UPDATE replays SET state = ?, detail = ?, phase = ?, done = ?, total = ?, attempts = ?, found = ?, "
		"finished_ms = ? WHERE id = ? AND " IS_ACTIVE);
	query_text(&q, states[r->state]);
	query_text(&q, r->detail);
	query_text(&q, r->phase ? r->phase : "");
	query_int(&q, r->done);
	query_int(&q, r->total);
	query_int(&q, r->attempts);
	query_text(&q, r->found);
	query_int(&q, over ? tx->now_ms : 0);
	query_text(&q, r->id);
	if (query_run(&q) == TD_OK && !query_changes(&q))
		return err_set(e, TD_CONFLICT, "the replay of step %lld is gone, or over", (long long)r->step);
	return q.status ? q.status : tell(tx, r, states[r->state], e);
}

td_status store_replay_delete(struct store_tx *tx, const struct replay_row *r, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e, "DELETE FROM replays WHERE id = ?");
	query_text(&q, r->id);
	return query_run(&q) ? q.status : tell(tx, r, "deleted", e);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

/* True: *OUT is the row, or Q->status says why not.  False: there is none. */
static bool take_one(struct query *q, struct replay_row *out)
{
	bool found = query_row(q);

	*out = (struct replay_row){ 0 };
	if (found)
		take_row(q, out);
	return query_end(q) != TD_OK || found;
}

static td_status find(struct db *db, const char *job, int64_t step, struct replay_row *out, struct err *e)
{
	struct query q;

	query_begin(&q, db, e, "SELECT " REPLAY_COLUMNS " FROM replays WHERE job = ? AND step = ?");
	query_text(&q, job);
	query_int(&q, step);
	if (take_one(&q, out))
		return q.status;
	return err_set(e, TD_NOT_FOUND,
		"job %s has no replay of step %lld; POST /api/v1/jobs/%s/replay {\"step\": %lld} makes one", job,
		(long long)step, job, (long long)step);
}

td_status store_replay_get(struct store_reader *r, const char *job, int64_t step, struct replay_row *out, struct err *e)
{
	return find(&r->db, job, step, out, e);
}

td_status store_replay_read(struct store_tx *tx, const char *job, int64_t step, struct replay_row *out, struct err *e)
{
	return find(tx->db, job, step, out, e);
}

td_status store_replays(struct store_reader *r, const char *job, void (*each)(void *arg, const struct replay_row *r),
	void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT " REPLAY_COLUMNS " FROM replays WHERE job = ? ORDER BY created_ms DESC, id DESC");
	query_text(&q, job);
	while (query_row(&q)) {
		struct replay_row row;

		take_row(&q, &row);
		each(arg, &row);
		replay_release(&row);
	}
	return query_end(&q);
}

td_status store_replay_next(struct store_reader *r, struct replay_row *out, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT " REPLAY_COLUMNS " FROM replays WHERE " IS_ACTIVE
		" ORDER BY state = 'running' DESC, created_ms, id LIMIT 1");
	return take_one(&q, out) ? q.status : err_set(e, TD_NOT_FOUND, "no replay is queued or runs");
}
