/* Tokens, idempotency keys, and downloads that go on. */
#include "store/store.h"
#include "test_store.h"

/* ---- Tokens and idempotency ------------------------------------------------------------------------------------- */

struct token_args {
	struct token t;
	const char *hash;
};

static td_status fn_token(struct store_tx *tx, void *arg, struct err *e)
{
	struct token_args *a = arg;

	return store_token_add(tx, &a->t, a->hash, e);
}

static td_status fn_revoke(struct store_tx *tx, void *arg, struct err *e)
{
	return store_token_revoke(tx, arg, e);
}

static void tokens_are_found_until_they_expire_or_are_revoked(void **state)
{
	struct box *b = *state;
	struct token_args a = {
		{ .owner = (char *)"ann", .note = (char *)"laptop", .scope = SCOPE_RUN, .expires_ms = 1000 }, "h"
	};
	struct token_args forever = { { .owner = (char *)"bob", .scope = SCOPE_ADMIN }, "h2" };
	struct token t;
	int64_t n;

	assert_int_equal(do_tx(b, fn_token, &a), TD_OK);
	assert_int_equal(do_tx(b, fn_token, &forever), TD_OK);
	assert_int_equal(do_tx(b, fn_token, &forever), TD_CONFLICT); /* the same hash */
	assert_int_equal(store_token_find(b->reader, "h", 999, &t, NULL), TD_OK);
	assert_string_equal(t.owner, "ann");
	assert_string_equal(t.note, "laptop");
	assert_int_equal(t.scope, SCOPE_RUN);
	token_release(&t);
	assert_int_equal(store_token_find(b->reader, "h", 1000, &t, NULL), TD_NOT_FOUND);
	assert_int_equal(store_token_find(b->reader, "H2", 1, &t, NULL), TD_NOT_FOUND);
	assert_int_equal(store_token_find(b->reader, "h2", INT64_MAX, &t, NULL), TD_OK);
	assert_int_equal(do_tx(b, fn_revoke, t.id), TD_OK);
	assert_int_equal(do_tx(b, fn_revoke, t.id), TD_NOT_FOUND);
	token_release(&t);
	assert_int_equal(store_token_find(b->reader, "h2", 1, &t, NULL), TD_NOT_FOUND);
	assert_int_equal(store_token_count(b->reader, &n, NULL), TD_OK);
	assert_int_equal(n, 2);
}

struct key_args {
	const char *owner, *key, *hash;
	int64_t age_ms; /* pretend that so much time has passed */
	bool replay;
	int status;
	char *body;
};

static td_status fn_begin(struct store_tx *tx, void *arg, struct err *e)
{
	struct key_args *a = arg;

	tx->now_ms += a->age_ms;
	return store_idempotency_begin(tx, a->owner, a->key, a->hash, &a->replay, &a->status, &a->body, e);
}

static td_status fn_end(struct store_tx *tx, void *arg, struct err *e)
{
	struct key_args *a = arg;

	return store_idempotency_end(tx, a->owner, a->key, 201, "{\"id\":1}", e);
}

static void a_key_answers_again_for_a_day_and_never_for_another_request(void **state)
{
	struct box *b = *state;
	struct key_args a = { .owner = "o", .key = "k", .hash = "h1" }, again = a, other = a, stranger = a;

	assert_int_equal(do_tx(b, fn_begin, &a), TD_OK);
	assert_false(a.replay);
	assert_int_equal(do_tx(b, fn_begin, &again), TD_BUSY);
	again.age_ms = STORE_RESERVED_MS + 1000; /* whoever reserved it has died */
	assert_int_equal(do_tx(b, fn_begin, &again), TD_OK);
	assert_false(again.replay);
	again.age_ms = 0;
	assert_int_equal(do_tx(b, fn_end, &a), TD_OK);
	assert_int_equal(do_tx(b, fn_begin, &again), TD_OK);
	assert_true(again.replay);
	assert_int_equal(again.status, 201);
	assert_string_equal(again.body, "{\"id\":1}");
	mem_free(again.body);
	other.hash = "h2";
	assert_int_equal(do_tx(b, fn_begin, &other), TD_CONFLICT);
	stranger.owner = "p"; /* keys belong to their owner */
	assert_int_equal(do_tx(b, fn_begin, &stranger), TD_OK);
	assert_false(stranger.replay);
	other.age_ms = STORE_IDEMPOTENCY_MS + STORE_RESERVED_MS + 2000;
	assert_int_equal(do_tx(b, fn_begin, &other), TD_OK);
	assert_false(other.replay);
}

static void collect_file(void *arg, const struct dataset_file *f)
{
	buf_printf(arg, "%s/%s:%s:%lld/%lld ", f->dataset, f->file, f->state, (long long)f->n_fetched,
		(long long)f->n_bytes);
}

static td_status fn_file(struct store_tx *tx, void *arg, struct err *e)
{
	return store_dataset_file_set(tx, arg, e);
}

static void a_download_is_remembered(void **state)
{
	struct box *b = *state;
	struct dataset_file f = {
		.dataset = "d", .file = "f", .url = "u", .sha256 = "s", .n_bytes = 10, .state = "fetching"
	};
	struct buf out;

	buf_init(&out, 1000);
	assert_int_equal(do_tx(b, fn_file, &f), TD_OK);
	f.n_fetched = 10;
	f.state = "ready";
	assert_int_equal(do_tx(b, fn_file, &f), TD_OK);
	assert_int_equal(store_dataset_files(b->reader, "d", collect_file, &out, NULL), TD_OK);
	assert_string_equal(out.data, "d/f:ready:10/10 ");
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		box_test(tokens_are_found_until_they_expire_or_are_revoked),
		box_test(a_key_answers_again_for_a_day_and_never_for_another_request),
		box_test(a_download_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
