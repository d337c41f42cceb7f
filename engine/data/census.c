/* Distinct characters and words: see census.h. */
#include "data/census.h"
#include "data/text.h"

#define CODE_POINTS 0x110000

void census_init(struct census *c)
{
	*c = (struct census){ .seen = mem_alloc(CODE_POINTS / 8), .room = 1024 };
	c->words = MEM_NEW_N(uint64_t, c->room);
}

void census_release(struct census *c)
{
	mem_free(c->seen);
	mem_free(c->words);
}

int64_t census_characters(struct census *c, const char *text, size_t n)
{
	int64_t n_characters = 0;

	for (size_t i = 0; i < n; n_characters++) {
		uint8_t lead = (uint8_t)text[i];
		size_t n_bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
		uint32_t point = n_bytes == 1 ? lead : lead & (0x7fu >> n_bytes);

		for (size_t k = 1; k < n_bytes && i + k < n; k++)
			point = point << 6 | ((uint8_t)text[i + k] & 0x3f);
		i += n_bytes;
		if (point < CODE_POINTS && !(c->seen[point / 8] >> (point % 8) & 1)) {
			c->seen[point / 8] |= (uint8_t)(1 << (point % 8));
			c->n_characters++;
		}
	}
	return n_characters;
}

static void put_word(uint64_t *words, int64_t room, uint64_t hash)
{
	uint64_t at = hash & (uint64_t)(room - 1);

	while (words[at] && words[at] != hash)
		at = (at + 1) & (uint64_t)(room - 1);
	words[at] = hash;
}

void census_word(struct census *c, const char *word)
{
	uint64_t hash = 0xcbf29ce484222325u, at; /* FNV-1a: a collision miscounts one word */

	for (; *word; word++)
		hash = (hash ^ (uint8_t)*word) * 0x100000001b3u;
	hash += !hash;
	for (at = hash & (uint64_t)(c->room - 1); c->words[at]; at = (at + 1) & (uint64_t)(c->room - 1))
		if (c->words[at] == hash)
			return;
	if (c->n_words == WORDS_MOST)
		return;
	if (2 * ++c->n_words > c->room) {
		uint64_t *wider = MEM_NEW_N(uint64_t, c->room * 2);

		for (int64_t i = 0; i < c->room; i++)
			if (c->words[i])
				put_word(wider, c->room * 2, c->words[i]);
		mem_free(c->words);
		c->words = wider;
		c->room *= 2;
	}
	put_word(c->words, c->room, hash);
}

int64_t census_words(struct census *c, const char *text, size_t n)
{
	char word[TEXT_TOKEN_BYTES];
	int64_t at = 0, n_words = 0;

	for (; text_next_word(text, (int64_t)n, &at, word); n_words++)
		census_word(c, word);
	return n_words;
}

void census_tell(const struct census *c, struct prepare *p)
{
	cJSON_AddNumberToObject(p->info, "characters", (double)c->n_characters);
	cJSON_AddNumberToObject(p->info, "words", (double)c->n_words);
	if (c->n_words == WORDS_MOST)
		prepare_note(p, "There are more than %d distinct words; no more were counted.", WORDS_MOST);
}

void texts_tell(struct prepare *p, enum pack_kind kind, const struct classes *classes, const struct census *c,
	int64_t longest_characters, int64_t longest_words)
{
	cJSON *longest;

	cJSON_AddStringToObject(p->info, "kind", pack_kind_names[kind]);
	classes_tell(classes, p);
	census_tell(c, p);
	longest = cJSON_AddObjectToObject(p->info, "longest");
	cJSON_AddNumberToObject(longest, "characters", (double)longest_characters);
	cJSON_AddNumberToObject(longest, "words", (double)longest_words);
}

td_status text_tell(struct prepare *p, const struct column *text, int64_t from, int64_t end, char line_end, int64_t at,
	const char *label, struct err *e)
{
	char bytes[TEXT_SHOWN + 1] = { 0 };
	size_t n = (size_t)TD_MIN(end - from, TEXT_SHOWN + 1), shown = TD_MIN(n, TEXT_SHOWN);
	td_status s = n ? column_read(text, from, bytes, n, e) : TD_OK;

	while (shown && shown < n && ((uint8_t)bytes[shown] & 0xc0) == 0x80)
		shown--;
	bytes[shown] = '\0';
	for (size_t i = 0; i < shown; i++)
		if (bytes[i] == '\n')
			bytes[i] = line_end;
	if (!s)
		cJSON_AddStringToObject(add_sample(p, at, label), "text", bytes);
	return s;
}

td_status text_tell_one(struct prepare *p, const struct column *text, const struct column *offsets, char line_end,
	int64_t at, const char *label, struct err *e)
{
	int64_t span[2];
	td_status s = column_read(offsets, at * (int64_t)sizeof *span, span, sizeof span, e);

	return s ? s : text_tell(p, text, span[0], span[1], line_end, at, label, e);
}
