/* The log of a job: one stream of bytes, in pieces that begin and end with a line. */
#include "store/internal.h"

#include <string.h>

#define PIECE_BYTES                                                                                                    \
	4096 /* lines are gathered into pieces of about this size: a row per line would cost more than the line */
#define LINE_MOST (64 << 10)                               /* bytes of one call; longer text is cut, and says so */
#define LAST_LINE 512                                      /* more than the line takes that says that the log is full */
#define FULL      (STORE_LOG_MOST - LINE_MOST - LAST_LINE) /* from this length on nothing is added */

struct log_end {
	int64_t n_bytes;      /* of the whole log */
	int64_t key, n_piece; /* the last piece and its length; key 0: none */
};

static td_status find_end(struct store_tx *tx, const char *id, struct log_end *out, struct err *e)
{
	struct query q;
	bool found;

	*out = (struct log_end){ 0 };
	query_begin(&q, tx->db, e, "SELECT log_bytes FROM jobs WHERE id = ?");
	query_text(&q, id);
	found = query_row(&q);
	if (found)
		out->n_bytes = query_get_int(&q, 0);
	if (query_end(&q) != TD_OK || !found)
		return q.status != TD_OK ? q.status : job_missing(id, e);

	query_begin(&q, tx->db, e, "SELECT key, n_bytes FROM log WHERE job = ? ORDER BY first DESC LIMIT 1");
	query_text(&q, id);
	if (query_row(&q)) {
		out->key = query_get_int(&q, 0);
		out->n_piece = query_get_int(&q, 1);
	}
	return query_end(&q);
}

static td_status add_line(
	struct store_tx *tx, const char *id, const struct log_end *end, const char *line, struct err *e)
{
	int64_t n = (int64_t)strlen(line);
	struct query q;

	if (end->key && end->n_piece + n <= PIECE_BYTES) {
		query_begin(&q, tx->db, e, "UPDATE log SET text = text || ?, n_bytes = n_bytes + ? WHERE key = ?");
		query_text(&q, line);
		query_int(&q, n);
		query_int(&q, end->key);
	} else {
		query_begin(&q, tx->db, e, "INSERT INTO log (job, first, n_bytes, text) VALUES (?, ?, ?, ?)");
		query_text(&q, id);
		query_int(&q, end->n_bytes);
		query_int(&q, n);
		query_text(&q, line);
	}
	if (query_run(&q) != TD_OK)
		return q.status;
	query_begin(&q, tx->db, e, "UPDATE jobs SET log_bytes = log_bytes + ? WHERE id = ?");
	query_int(&q, n);
	query_text(&q, id);
	return query_run(&q);
}

static td_status log_event(struct store_tx *tx, const char *id, int64_t offset, int64_t time_ms, const char *level,
	const char *text, struct err *e)
{
	cJSON *data = cJSON_CreateObject();

	cJSON_AddNumberToObject(data, "offset", (double)offset);
	json_add_time(data, "time", time_ms);
	cJSON_AddStringToObject(data, "level", level);
	cJSON_AddStringToObject(data, "text", text);
	return tx_event(tx, id, "log", data, e);
}

/* Length of TEXT without its last line ends, cut at LINE_MOST between two characters. */
static size_t body_length(const char *text)
{
	size_t n = strlen(text);

	while (n && text[n - 1] == '\n')
		n--;
	if (n <= LINE_MOST - LAST_LINE)
		return n;
	for (n = LINE_MOST - LAST_LINE; n && ((unsigned char)text[n] & 0xc0) == 0x80;)
		n--;
	return n;
}

/* One line and its event.  END moves on. */
static td_status append_line(struct store_tx *tx, const char *id, struct log_end *end, int64_t time_ms,
	const char *level, const char *body, struct err *e)
{
	char time[CLOCK_TEXT], *line;
	td_status status;

	clock_text(time_ms, time);
	line = mem_printf("%s %s %s\n", time, level, body);
	status = add_line(tx, id, end, line, e);
	if (status == TD_OK)
		status = log_event(tx, id, end->n_bytes, time_ms, level, body, e);
	end->n_bytes += (int64_t)strlen(line);
	mem_free(line);
	return status;
}

td_status store_log_append(
	struct store_tx *tx, const char *id, int64_t time_ms, const char *level, const char *text, struct err *e)
{
	size_t n = body_length(text), n_cut = strlen(text + n);
	bool whole = strspn(text + n, "\n") == n_cut;
	char *body = whole ? mem_strndup(text, n) : mem_printf("%.*s ... (%zu bytes more)", (int)n, text, n_cut);
	struct log_end end;
	td_status status = find_end(tx, id, &end, e);

	if (status == TD_OK && end.n_bytes < FULL) {
		status = append_line(tx, id, &end, time_ms, level, body, e);
		if (status == TD_OK && end.n_bytes >= FULL && (status = find_end(tx, id, &end, e)) == TD_OK)
			status = append_line(tx, id, &end, time_ms, "warning",
				"the log has reached its limit of 64 MiB; nothing more is kept", e);
	}
	mem_free(body);
	return status;
}

td_status store_log_size(struct store_reader *r, const char *id, int64_t *n_bytes, struct err *e)
{
	struct query q;
	bool found;

	*n_bytes = 0;
	query_begin(&q, &r->db, e, "SELECT log_bytes FROM jobs WHERE id = ?");
	query_text(&q, id);
	found = query_row(&q);
	if (found)
		*n_bytes = query_get_int(&q, 0);
	if (query_end(&q) == TD_OK && !found)
		return job_missing(id, e);
	return q.status;
}

td_status store_log_read(
	struct store_reader *r, const char *id, int64_t offset, char *out, int64_t n, int64_t *got, struct err *e)
{
	struct query q;

	*got = 0;
	query_begin(&q, &r->db, e,
		"SELECT first, text FROM log WHERE job = ?1 AND first >= "
		"(SELECT coalesce(max(first), 0) FROM log WHERE job = ?1 AND first <= ?2) AND first < ?3 ORDER BY "
		"first");
	query_text(&q, id);
	query_int(&q, offset);
	query_int(&q, offset + n);
	while (*got < n && query_row(&q)) {
		int64_t first = query_get_int(&q, 0), skip = TD_MAX(offset - first, 0), take;
		size_t n_text;
		const char *text = query_get_blob(&q, 1, &n_text);

		take = TD_MIN((int64_t)n_text - skip, n - *got);
		if (take <= 0)
			continue;
		memcpy(out + *got, text + skip, (size_t)take);
		*got += take;
	}
	return query_end(&q);
}
