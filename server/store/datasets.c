/* Files of datasets that are being fetched, so that a download goes on after a restart. */
#include "store/internal.h"

td_status store_dataset_file_set(struct store_tx *tx, const struct dataset_file *f, struct err *e)
{
	struct query q;

	query_begin(&q, tx->db, e,
		"INSERT INTO dataset_files (dataset, file, url, sha256, n_bytes, n_fetched, state, detail) "
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (dataset, file) DO UPDATE SET url = excluded.url, "
		"sha256 = excluded.sha256, n_bytes = excluded.n_bytes, n_fetched = excluded.n_fetched, state = "
		"excluded.state, "
		"detail = excluded.detail");
	query_text(&q, f->dataset);
	query_text(&q, f->file);
	query_text(&q, f->url ? f->url : "");
	query_text(&q, f->sha256 ? f->sha256 : "");
	query_int(&q, f->n_bytes);
	query_int(&q, f->n_fetched);
	query_text(&q, f->state);
	query_text(&q, f->detail ? f->detail : "");
	return query_run(&q);
}

td_status store_dataset_files(struct store_reader *r, const char *dataset,
	void (*each)(void *arg, const struct dataset_file *f), void *arg, struct err *e)
{
	struct query q;

	query_begin(&q, &r->db, e,
		"SELECT dataset, file, url, sha256, n_bytes, n_fetched, state, detail FROM dataset_files "
		"WHERE ?1 IS NULL OR dataset = ?1 ORDER BY dataset, file");
	query_text(&q, dataset);
	while (query_row(&q)) {
		struct dataset_file f = { .dataset = query_get_text(&q, 0),
			.file = query_get_text(&q, 1),
			.url = query_get_text(&q, 2),
			.sha256 = query_get_text(&q, 3),
			.n_bytes = query_get_int(&q, 4),
			.n_fetched = query_get_int(&q, 5),
			.state = query_get_text(&q, 6),
			.detail = query_get_text(&q, 7) };

		each(arg, &f);
	}
	return query_end(&q);
}
