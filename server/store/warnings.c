/* Warnings of jobs: what is allowed and probably not meant.  Each is kept once, so that an attempt that begins anew and
 * sees the same does not say it again. */
#include "store/internal.h"

#include <string.h>

/* *ADDED: it was not there, and there was room. */
static td_status insert(struct store_tx *tx, const char *id, const struct store_warning *w, bool *added, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"INSERT OR IGNORE INTO warnings (job, code, layer, text) "
		"SELECT ?1, ?2, ?3, ?4 WHERE (SELECT count(*) FROM warnings WHERE job = ?1) < ?5");
	query_text(&q, id);
	query_text(&q, w->code);
	query_text(&q, w->layer);
	query_text(&q, w->text);
	query_int(&q, STORE_WARNINGS_MOST);
	*added = query_run(&q) == TD_OK && query_changes(&q);
	return q.status;
}

/* The line of the log, and the event. */
static td_status tell(struct store_tx *tx, const char *id, const struct store_warning *w, struct err *e)
{
	char *line = *w->layer ? mem_printf("layer %s: %s", w->layer, w->text) : mem_strdup(w->text);
	td_status status = store_log_append(tx, id, w->time_ms, "warning", line, e);
	cJSON *data;

	mem_free(line);
	if (status != TD_OK)
		return status;
	data = cJSON_CreateObject();
	cJSON_AddStringToObject(data, "code", w->code);
	cJSON_AddStringToObject(data, "layer", w->layer);
	cJSON_AddStringToObject(data, "text", w->text);
	return tx_event(tx, id, "warning", data, e);
}

td_status store_warning_add(struct store_tx *tx, const char *id, const struct store_warning *w, struct err *e)
{
	bool added;

	if (!*w->code || strlen(w->code) > STORE_WARNING_CODE || strlen(w->layer) > STORE_WARNING_LAYER ||
		strlen(w->text) > STORE_WARNING_TEXT)
		return err_set(e, TD_INVALID,
			"a warning has a code of 1 to %d bytes, a layer of at most %d and a text of at most %d",
			STORE_WARNING_CODE, STORE_WARNING_LAYER, STORE_WARNING_TEXT);
	if (insert(tx, id, w, &added, e) || !added)
		return e->status;
	return tell(tx, id, w, e);
}

td_status warnings_read(struct db *db, const char *id, char **json, struct err *e)
{
	struct query q;

	query_begin(&q, db, e,
		"SELECT json_group_array(json_object('code', code, 'layer', layer, 'text', text)) FROM "
		"(SELECT code, layer, text FROM warnings WHERE job = ? ORDER BY rowid)");
	query_text(&q, id);
	if (query_row(&q))
		*json = query_take_text(&q, 0);
	return query_end(&q);
}
