/* The decoder must survive whatever a broken or hostile peer sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "base/rng.h"
#include "proto.h"

static void encode(struct buf *b, enum proto_kind kind, int64_t number, const char *text)
{
	cJSON *body = cJSON_Parse(text);

	assert_non_null(body);
	assert_true(proto_encode(b, kind, number, body));
	cJSON_Delete(body);
}

static void what_was_encoded_is_decoded(void **state)
{
	struct proto_msg m;
	struct err e = { 0 };
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 16);
	for (int k = 0; k < PROTO_N_KINDS; k++)
		encode(&b, (enum proto_kind)k, (1ll << 40) + k, "{\"step\":3,\"loss\":\"NaN\"}");
	for (int k = 0; k < PROTO_N_KINDS; k++) {
		assert_int_equal(proto_decode(&b, &m, &e), 1);
		assert_int_equal(m.kind, k);
		assert_true(m.number == (1ll << 40) + k);
		assert_int_equal(json_int(m.body, "step", 0), 3);
		proto_msg_release(&m);
	}
	assert_int_equal(proto_decode(&b, &m, &e), 0);
	assert_int_equal(b.len, 0);
	buf_release(&b);
}

/* A worker of yesterday and a daemon of today must mean the same by a number: new kinds stand at the end. */
static void kinds_keep_their_numbers(void **state)
{
	static const struct {
		enum proto_kind kind;
		int number;
		const char *name;
	} rows[] = {
		{ PROTO_HELLO, 0, "hello" },
		{ PROTO_METRICS, 3, "metrics" },
		{ PROTO_DONE, 8, "done" },
		{ PROTO_CHECKED, 11, "checked" },
		{ PROTO_RUN, 12, "run" },
		{ PROTO_STOP, 15, "stop" },
		{ PROTO_PREPARE, 16, "prepare" },
		{ PROTO_PREPARED, 17, "prepared" },
		{ PROTO_REFUSED, 18, "refused" },
		{ PROTO_PREDICT, 19, "predict" },
		{ PROTO_PREDICTED, 20, "predicted" },
		{ PROTO_HISTOGRAM, 21, "histogram" },
	};

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		assert_int_equal(rows[i].kind, rows[i].number);
		assert_string_equal(proto_kind_name(rows[i].kind), rows[i].name);
	}
	assert_string_equal(proto_kind_name(PROTO_N_KINDS), "unknown");
}

static void a_frame_that_comes_byte_by_byte_is_decoded_once_whole(void **state)
{
	struct buf whole, b;
	struct proto_msg m;
	struct err e = { 0 };

	(void)state;
	buf_init(&whole, 4096);
	buf_init(&b, 4096);
	encode(&whole, PROTO_LOG, 7, "{\"text\":\"h\\u00e9\"}");
	for (size_t i = 0; i + 1 < whole.len; i++) {
		buf_append(&b, whole.data + i, 1);
		assert_int_equal(proto_decode(&b, &m, &e), 0);
	}
	buf_append(&b, whole.data + whole.len - 1, 1);
	assert_int_equal(proto_decode(&b, &m, &e), 1);
	assert_string_equal(json_string(m.body, "text", ""), "h\xc3\xa9");
	proto_msg_release(&m);
	buf_release(&whole);
	buf_release(&b);
}

static void an_encode_that_does_not_fit_appends_nothing(void **state)
{
	cJSON *body = cJSON_CreateObject();
	char *long_text = mem_alloc(PROTO_BODY_MOST + 1);
	struct buf small, large;

	(void)state;
	memset(long_text, 'x', PROTO_BODY_MOST);
	buf_init(&small, 20);
	buf_init(&large, 2 * PROTO_BODY_MOST);
	buf_puts(&small, "abc");
	cJSON_AddNumberToObject(body, "number", 12345);
	assert_false(proto_encode(&small, PROTO_ACK, 1, body));
	assert_int_equal(small.len, 3);
	cJSON_AddStringToObject(body, "text", long_text);
	assert_false(proto_encode(&large, PROTO_LOG, 1, body));
	assert_int_equal(large.len, 0);
	cJSON_Delete(body);
	mem_free(long_text);
	buf_release(&small);
	buf_release(&large);
}

static int decode_bytes(const void *bytes, size_t n, struct err *e)
{
	struct proto_msg m = { 0 };
	struct buf b;
	int got;

	buf_init(&b, n);
	buf_append(&b, bytes, n);
	err_clear(e);
	got = proto_decode(&b, &m, e);
	proto_msg_release(&m);
	buf_release(&b);
	return got;
}

static void a_broken_header_is_refused_before_its_body_arrives(void **state)
{
	static const struct {
		unsigned char head[PROTO_HEADER];
		const char *says;
	} rows[] = {
		{ { 2, 0, 0, 0, 2, 0, 0, 0 }, "version is 2" },
		{ { 1, 0, 128, 0, 1, 0, 0, 0 }, "size is 8388609" },
		{ { 255, 255, 255, 255, 1, 0, 0, 0 }, "size is 4294967295" },
		{ { 2, 0, 0, 0, 1, 0, PROTO_N_KINDS, 0 }, "kind is" },
		{ { 2, 0, 0, 0, 1, 0, 0, 255 }, "kind is 65280" },
		{ { 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128 }, "number is" },
	};
	struct err e = { 0 };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		assert_int_equal(decode_bytes(rows[i].head, PROTO_HEADER, &e), -1);
		if (!strstr(e.text, rows[i].says))
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i, e.text, rows[i].says);
	}
}

static void a_body_that_is_not_one_json_object_is_refused(void **state)
{
	static const char *const bodies[] = { "", "[]", "1", "null", "{", "{} ", "{}{}", "{\"a\":1,\"a\":2}",
		"{\"a\":\"\xff\"}", "{\"a\":\"\\u0000\"}" };

	(void)state;
	for (size_t i = 0; i < TD_COUNT(bodies); i++) {
		unsigned char bytes[64] = { 0 };
		size_t n = strlen(bodies[i]);
		struct err e = { 0 };
		int expected = strcmp(bodies[i], "{} ") ? -1 : 1; /* trailing space is fine */

		bytes[0] = (unsigned char)n;
		bytes[4] = PROTO_VERSION;
		memcpy(bytes + PROTO_HEADER, bodies[i], n);
		if (decode_bytes(bytes, PROTO_HEADER + n, &e) != expected)
			fail_msg("body %s: %s", bodies[i], e.text);
	}
}

/* Random bytes, and valid frames with random bytes changed: any answer but a crash, an endless loop or a read past the
 * end. */
static void random_streams_are_survived(void **state)
{
	struct rng_key key = { .seed = 20260101, .stream = 1, .step = 0 };
	uint64_t at = 0;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct proto_msg m;
		struct err e = { 0 };
		struct buf b;
		int got, n_changes = (int)(rng_u32(&key, at++) % 4);

		buf_init(&b, 4096);
		encode(&b, PROTO_METRICS, round,
			"{\"points\":[[\"train/loss\",1,1700000000000,0.5],[\"a\",2,3,\"NaN\"]]}");
		encode(&b, PROTO_ACK, round, "{\"number\":12}");
		for (int i = 0; i < n_changes; i++, at += 2)
			b.data[rng_u32(&key, at) % b.len] = (char)rng_u32(&key, at + 1);
		while ((got = proto_decode(&b, &m, &e)) == 1) {
			assert_true(cJSON_IsObject(m.body));
			proto_msg_release(&m);
		}
		assert_true(got == 0 || e.status != TD_OK);
		if (!n_changes)
			assert_int_equal(b.len, 0);
		buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_encoded_is_decoded),
		cmocka_unit_test(kinds_keep_their_numbers),
		cmocka_unit_test(a_frame_that_comes_byte_by_byte_is_decoded_once_whole),
		cmocka_unit_test(an_encode_that_does_not_fit_appends_nothing),
		cmocka_unit_test(a_broken_header_is_refused_before_its_body_arrives),
		cmocka_unit_test(a_body_that_is_not_one_json_object_is_refused),
		cmocka_unit_test(random_streams_are_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
