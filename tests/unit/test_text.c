/* Texts: tokens, vocabularies, windows, and texts of many lengths. */
#include "test_pack.h"

#include "data/text.h"
#include "data/vocab.h"

/* Tokens of TEXT (N bytes) joined by '|'. */
static const char *cut(text_next *next, const char *text, int64_t n)
{
	static char joined[1024];
	char token[TEXT_TOKEN_BYTES];
	int64_t at = 0;

	joined[0] = '\0';
	while (next(text, n, &at, token))
		snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s|", token);
	return joined;
}
#define CUT(next, text) cut(next, text, sizeof(text) - 1)

static void words_are_runs_and_everything_else_stands_alone(void **state)
{
	(void)state;
	assert_string_equal(
		CUT(text_next_word, "  It's  GOOD,\n(100%) na\xc3\xafve!"), "it's|good|,|(|100|%|)|na\xc3\xafve|!|");
	assert_string_equal(CUT(text_next_word, " \t\n"), "");
	assert_string_equal(CUT(text_next_word, "a\0b"), "a|b|");
	assert_string_equal(CUT(text_next_line, "New\nYork\n\nU.S."), "new|york||u.s.|");
}

static void characters_are_code_points_and_what_is_none_is_replaced(void **state)
{
	(void)state;
	assert_string_equal(CUT(text_next_character, "A\xc3\xaf\xf0\x9f\x98\x80"), "A|\xc3\xaf|\xf0\x9f\x98\x80|");
	assert_string_equal(CUT(text_next_character, "\xc3"), "\xef\xbf\xbd|");
	assert_string_equal(CUT(text_next_character, "\xc0\x80z"), "\xef\xbf\xbd|\xef\xbf\xbd|z|");
	assert_string_equal(CUT(text_next_character, "\xed\xa0\x80"), "\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd|");
	assert_string_equal(CUT(text_next_character, "a\0"), "a|\xef\xbf\xbd|");
}

static void an_endless_word_is_cut_between_characters(void **state)
{
	char text[3 * 300], token[TEXT_TOKEN_BYTES];
	int64_t at = 0, total = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		memcpy(text + 3 * i, "\xe2\x82\xac", 3);
	while (text_next_word(text, sizeof text, &at, token)) {
		assert_true(utf8_valid(token, strlen(token)));
		total += (int64_t)strlen(token);
	}
	assert_int_equal(total, sizeof text);
}

static void a_vocabulary_keeps_the_most_frequent_and_orders_ties_by_bytes(void **state)
{
	static const char *const words[] = { "b", "a", "c", "b", "d", "a", "\xc3\xa4" };
	struct vocab_counts counts = { 0 };
	struct vocab v, again;
	cJSON *saved;

	(void)state;
	for (size_t i = 0; i < TD_COUNT(words); i++)
		vocab_count(&counts, words[i]);
	vocab_fit(&v, &counts, 6);
	assert_int_equal(v.n, 6);
	assert_int_equal(vocab_id(&v, "a"), 2);
	assert_int_equal(vocab_id(&v, "b"), 3);
	assert_int_equal(vocab_id(&v, "c"), 4);
	assert_int_equal(vocab_id(&v, "d"), 5);
	assert_int_equal(vocab_id(&v, "\xc3\xa4"), VOCAB_UNKNOWN);
	assert_int_equal(vocab_id(&v, "<pad>"), VOCAB_UNKNOWN);
	saved = vocab_to_json(&v);
	assert_true(vocab_from_json(&again, saved, 6));
	assert_int_equal(vocab_id(&again, "d"), 5);
	assert_string_equal(vocab_token(&again, 2), "a");
	assert_string_equal(vocab_token(&again, 99), "<unknown>");
	vocab_release(&again);
	assert_false(vocab_from_json(&again, saved, 5));
	cJSON_AddItemToArray(saved, cJSON_CreateString("a"));
	assert_false(vocab_from_json(&again, saved, 99)); /* twice */
	cJSON_Delete(saved);
	vocab_release(&v);
}

/* ---- One long text ----------------------------------------------------------------------------------------------- */

static const char *const long_info =
	"{\"version\":1,\"dataset\":\"rhyme\",\"kind\":\"text\",\"parts\":{\"train\":{\"samples\":14}},\"bytes\":14,"
	"\"characters\":5,\"words\":4}";

static void windows_follow_each_other_and_targets_are_shifted_by_one(void **state)
{
	struct lab *lab = *state;
	static const char *const expected[4] = { "b", "a", "b", "c" };
	struct data_batch b;

	lab_write(lab, "train.text", "babcbabcbabcxz", 14);
	/* 13 tokens and a last target: three windows; the last one validates, and its x is not known. */
	lab_open(lab, "{\"sequence_length\":4,\"split\":{\"validation\":1}}", long_info, 7);
	assert_int_equal(loader_facts(lab->l)->n[DATA_TRAIN], 2);
	assert_int_equal(loader_facts(lab->l)->n[DATA_VALIDATION], 1);
	assert_int_equal(loader_facts(lab->l)->n_tokens, 7);
	assert_int_equal(loader_facts(lab->l)->n_classes, 7);
	assert_int_equal(loader_facts(lab->l)->target, DATA_TOKENS);
	assert_null(loader_facts(lab->l)->class_names);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 2);
	for (int k = 0; k < 8; k++) {
		assert_string_equal(loader_class_name(lab->l, ((int64_t *)b.x)[k]), expected[k % 4]);
		assert_string_equal(loader_class_name(lab->l, ((int64_t *)b.y)[k]), expected[(k + 1) % 4]);
	}
	batch_free(&b);
	b = lab_batch(lab, DATA_VALIDATION, -1, NULL, 0, 1);
	assert_int_equal(((int64_t *)b.y)[3], VOCAB_UNKNOWN);
	batch_free(&b);
}

static void a_text_is_divided_by_its_end_alone_and_must_fill_a_window(void **state)
{
	struct lab *lab = *state;

	lab_refused(lab, "{\"split\":{\"by\":\"random\"},\"sequence_length\":4}", long_info, "/data/split/by", "end");
	lab_refused(lab, "{\"sequence_length\":14}", long_info, "/data/sequence_length", "14 characters");
	lab_refused(lab, "{\"sequence_length\":4,\"transforms\":[\"one_hot\"]}", long_info, "/data/transforms/0",
		"classes");
	lab_refused(lab, "{\"sequence_length\":4,\"augment\":[\"mixup\"]}", long_info, "/data/augment/0", "tokens");
	/* Words are counted when the text is there. */
	lab_write(lab, "train.text", "one two, three", 14);
	lab_open(lab, "{\"sequence_length\":3,\"tokenizer\":\"word\"}", long_info, 7);
	assert_int_equal(loader_facts(lab->l)->n[DATA_TRAIN], 1);
	assert_non_null(lab_create(lab, "{\"sequence_length\":4,\"tokenizer\":\"word\"}", long_info));
	assert_int_equal(lab_try_open(lab, 7), TD_INVALID);
	assert_string_equal(lab->pointer, "/data/sequence_length");
}

static void prompts_are_numbered_as_the_text_was(void **state)
{
	struct lab *lab = *state;
	const char *body = "{\"inputs\":[\"ab\",\"bzcb\"]}";
	struct data_input in;
	struct loader *restored;
	cJSON *saved;
	int64_t *x;

	lab_write(lab, "train.text", "babcbabcbabcxy", 14);
	lab_open(lab, "{\"sequence_length\":4}", long_info, 7);
	saved = loader_state(lab->l);
	restored = loader_restore(&lab->options, saved, &lab->faults);
	assert_non_null(restored);
	assert_true(loader_input(restored, "application/json", body, strlen(body), &in, &lab->faults));
	x = in.x;
	assert_int_equal(in.steps, 4);
	assert_int_equal(in.lengths[0], 2);
	assert_int_equal(in.lengths[1], 4);
	assert_int_equal(x[2], DATA_PAD);
	assert_int_equal(x[4 + 1], VOCAB_UNKNOWN);
	assert_string_equal(loader_class_name(restored, x[1]), "b");
	data_input_release(&in);
	loader_free(restored);
	cJSON_Delete(saved);
	body = "{\"inputs\":[\"a\",\"\"]}";
	assert_false(loader_input(lab->l, "application/json", body, strlen(body), &in, &lab->faults));
	assert_string_equal(lab->faults.items[0].pointer, "/inputs/1");
}

/* ---- Many texts -------------------------------------------------------------------------------------------------- */

static const char *const labelled_info =
	"{\"version\":1,\"dataset\":\"reviews\",\"kind\":\"labelled_text\",\"parts\":{\"train\":{\"samples\":3}},"
	"\"classes\":[\"bad\",\"good\"],\"characters\":12,\"words\":4,\"longest\":{\"characters\":14,\"words\":3}}";

static void write_labelled(struct lab *lab)
{
	const int64_t offsets[4] = { 0, 14, 14, 22 };
	const int32_t labels[3] = { 1, 0, 0 };

	lab_write(lab, "train.text", "Good good filmbad film", 22);
	LAB_WRITE(lab, "train.offsets", offsets);
	LAB_WRITE(lab, "train.labels", labels);
}

static void texts_are_cut_or_filled_up_and_lengths_say_how_far(void **state)
{
	struct lab *lab = *state;
	/* film and good are met twice, and f comes before g. */
	const int64_t x[9] = { 3, 3, 2, VOCAB_UNKNOWN, 0, 0, 4, 2, 0 }, lengths[3] = { 3, 1, 2 }, y[3] = { 1, 0, 0 };
	struct data_batch b;
	cJSON *sample;

	write_labelled(lab);
	lab_open(lab, "{\"tokenizer\":\"word\"}", labelled_info, 7);
	assert_int_equal(loader_facts(lab->l)->x.dim[0], 3);
	assert_int_equal(loader_facts(lab->l)->n_tokens, 6);
	assert_true(loader_facts(lab->l)->has_lengths);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 3);
	assert_memory_equal(b.x, x, sizeof x);
	assert_memory_equal(b.y, y, sizeof y);
	assert_memory_equal(b.lengths, lengths, sizeof lengths);
	batch_free(&b);
	sample = loader_sample_json(lab->l, DATA_TRAIN, 0);
	assert_string_equal(json_string(sample, "text", ""), "Good good film");
	cJSON_Delete(sample);
	lab_open(lab, "{\"tokenizer\":\"word\",\"max_length\":2,\"vocab\":3}", labelled_info, 7);
	assert_int_equal(loader_facts(lab->l)->n_tokens, 3);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 2, 1);
	assert_int_equal(((int64_t *)b.x)[0], VOCAB_UNKNOWN);
	assert_int_equal(((int64_t *)b.x)[1], 2);
	batch_free(&b);
	assert_non_null(lab_create(lab, "{\"tokenizer\":\"char\"}", labelled_info));
	assert_int_equal(loader_facts(lab->l)->x.dim[0], 14);
}

static void a_text_to_predict_is_cut_and_filled_up_likewise(void **state)
{
	struct lab *lab = *state;
	const char *body = "{\"inputs\":[\"FILM, good film\",7]}", *good = "{\"inputs\":[\"FILM, good film\"]}";
	const int64_t x[3] = { 2, VOCAB_UNKNOWN, 3 };
	struct data_input in;

	write_labelled(lab);
	lab_open(lab, "{\"tokenizer\":\"word\"}", labelled_info, 7);
	assert_false(loader_input(lab->l, "application/json", body, strlen(body), &in, &lab->faults));
	assert_string_equal(lab->faults.items[0].pointer, "/inputs/1");
	faults_release(&lab->faults);
	assert_true(loader_input(lab->l, "application/json", good, strlen(good), &in, &lab->faults));
	assert_memory_equal(in.x, x, sizeof x);
	assert_int_equal(in.lengths[0], 3);
	assert_int_equal(in.steps, 3);
	data_input_release(&in);
	assert_false(loader_input(lab->l, "image/png", "\x89PNG\r\n\x1a\n", 8, &in, &lab->faults));
}

static void tags_stand_beside_their_words_and_nothing_beside_padding(void **state)
{
	struct lab *lab = *state;
	const char *info =
		"{\"version\":1,\"dataset\":\"tags\",\"kind\":\"tagged_text\",\"parts\":{\"train\":{\"samples\":2}},"
		"\"classes\":[\"O\",\"LOC\"],\"words\":4,\"longest\":{\"words\":3}}";
	const int64_t offsets[3] = { 0, 11, 16 }, tag_offsets[3] = { 0, 3, 4 }, uneven[3] = { 0, 2, 4 };
	const int32_t tags[4] = { 0, 1, 1, 1 }, wrong[4] = { 0, 1, -1, 1 };
	const int64_t y[6] = { 0, 1, 1, 1, DATA_IGNORE, DATA_IGNORE };
	int64_t room_x[6], room_y[6], room_n[2];
	struct data_batch b, room = { room_x, room_y, room_n };

	lab_write(lab, "train.text", "In\nNew\nYorkParis", 16);
	LAB_WRITE(lab, "train.offsets", offsets);
	LAB_WRITE(lab, "train.tags", tags);
	LAB_WRITE(lab, "train.tag_offsets", tag_offsets);
	lab_open(lab, "{}", info, 7);
	assert_int_equal(loader_facts(lab->l)->target, DATA_TOKENS);
	assert_int_equal(loader_facts(lab->l)->n_classes, 2);
	b = lab_batch(lab, DATA_TRAIN, 0, NULL, 0, 2);
	assert_memory_equal(b.y, y, sizeof y);
	assert_int_equal(b.lengths[0], 3);
	assert_int_equal(((int64_t *)b.x)[4], DATA_PAD);
	assert_string_equal(loader_class_name(lab->l, 1), "LOC");
	batch_free(&b);
	LAB_WRITE(lab, "train.tag_offsets", uneven);
	lab_open(lab, "{}", info, 7);
	assert_int_equal(loader_batch(lab->l, DATA_TRAIN, 0, NULL, 0, 2, &room, &lab->err), TD_CORRUPT);
	LAB_WRITE(lab, "train.tags", wrong);
	assert_non_null(lab_create(lab, "{}", info));
	assert_int_equal(lab_try_open(lab, 7), TD_CORRUPT);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_runs_and_everything_else_stands_alone),
		cmocka_unit_test(characters_are_code_points_and_what_is_none_is_replaced),
		cmocka_unit_test(an_endless_word_is_cut_between_characters),
		cmocka_unit_test(a_vocabulary_keeps_the_most_frequent_and_orders_ties_by_bytes),
		TEST(windows_follow_each_other_and_targets_are_shifted_by_one),
		TEST(a_text_is_divided_by_its_end_alone_and_must_fill_a_window),
		TEST(prompts_are_numbered_as_the_text_was),
		TEST(texts_are_cut_or_filled_up_and_lengths_say_how_far),
		TEST(a_text_to_predict_is_cut_and_filled_up_likewise),
		TEST(tags_stand_beside_their_words_and_nothing_beside_padding),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
