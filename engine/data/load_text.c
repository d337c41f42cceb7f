/* One long text: windows of it, and for each token the next one as its target.
 *
 * Window i covers tokens i * T to i * T + T, the last of them as a target alone.  Tokens are numbered once, when the
 * text is opened; which of them the vocabulary knows is decided on the training split, the text's beginning. */
#include "data/input.h"
#include "data/text.h"
#include "data/vocab.h"

#include <stdio.h>
#include <string.h>

#define PROMPT_MOST 65536 /* tokens of a prompt */

struct long_text {
	struct pack_column text[PACK_PARTS];
	text_next *next;
	int64_t n_characters;        /* of both parts, as info.json says */
	int64_t n_known;             /* tokens that the vocabulary may hold, at most */
	int32_t *tokens[PACK_PARTS]; /* owned */
	int64_t n_tokens[PACK_PARTS];
	struct vocab vocab;
};

static bool text_create(struct loader *l, const cJSON *info, struct faults *faults)
{
	struct long_text *t = l->own;
	const struct data_options *o = l->options;
	bool words = o->tokenizer == DATA_WORD;
	int64_t distinct = json_int(info, words ? "words" : "characters", 0), n = o->sequence_length;

	if (!loader_refuse_scalings(l, "tokens are no numbers to compute with", faults))
		return false;
	t->next = words ? text_next_word : text_next_character;
	for (int p = 0; p < PACK_PARTS; p++) /* a text's samples are its characters until it is cut into windows */
		t->n_characters += l->n_part[p];
	if (distinct < 1 || distinct > t->n_characters || distinct > INT32_MAX - VOCAB_SPECIALS)
		return loader_refuse_info(l, faults, "a text of %lld characters with %lld different %s",
			(long long)t->n_characters, (long long)distinct, words ? "words" : "characters");
	if (l->n_part[PACK_TRAIN] <= n) {
		faults_add(faults, "/data/sequence_length",
			"%lld and the next token are more than the %lld characters of %s; take fewer", (long long)n,
			(long long)l->n_part[PACK_TRAIN], l->facts.dataset);
		return false;
	}
	if (o->split.by != DATA_BY_END) {
		faults_add(faults, "/data/split/by",
			"one long text is divided by its \"end\", or parts of it would be "
			"known before they are met");
		return false;
	}
	t->n_known = VOCAB_SPECIALS + distinct;
	if (o->vocab)
		t->n_known = TD_MIN(t->n_known, TD_MAX(o->vocab, VOCAB_SPECIALS));
	/* Exact for characters; words are counted when the text is there, and are fewer. */
	for (int p = 0; p < PACK_PARTS; p++)
		l->n_part[p] = l->n_part[p] ? (l->n_part[p] - 1) / n : 0;
	l->facts.x = td_shape_make(TD_I64, 1, n);
	l->facts.y = td_shape_make(TD_I64, 1, n);
	l->facts.target = DATA_TOKENS;
	l->facts.n_tokens = t->n_known;
	l->facts.n_classes = (int)t->n_known;
	return true;
}

static void text_release(void *own)
{
	struct long_text *t = own;

	for (int p = 0; p < PACK_PARTS; p++) {
		pack_unmap(&t->text[p]);
		mem_free(t->tokens[p]);
	}
	vocab_release(&t->vocab);
}

static int64_t text_bytes(const struct loader *l)
{
	const struct long_text *t = l->own;

	return t->n_characters * (int64_t)sizeof(int32_t) + t->n_known * VOCAB_TOKEN_BYTES;
}

/* ---- Opening --------------------------------------------------------------------------------------------------- */

/* Tokens of PART are counted, and so its windows. */
static td_status text_map(struct loader *l, const char *folder, const char **pointer, struct err *e)
{
	struct long_text *t = l->own;
	char token[TEXT_TOKEN_BYTES];

	for (enum pack_part p = PACK_TRAIN; p < PACK_PARTS; p++) {
		td_status s = loader_map(l, folder, p, "text", -1, &t->text[p], e);
		int64_t at = 0;

		if (s)
			return s;
		while (t->next(t->text[p].data, t->text[p].n_bytes, &at, token))
			t->n_tokens[p]++;
		l->n_part[p] = t->n_tokens[p] ? (t->n_tokens[p] - 1) / l->options->sequence_length : 0;
	}
	if (l->n_part[PACK_TRAIN])
		return TD_OK;
	*pointer = "/data/sequence_length";
	return err_set(e, TD_INVALID,
		"the text of %s has %lld tokens, too few for one sample of %lld and the next token", l->facts.dataset,
		(long long)t->n_tokens[PACK_TRAIN], (long long)l->options->sequence_length);
}

static void fit_vocab(struct loader *l)
{
	struct long_text *t = l->own;
	struct vocab_counts counts = { 0 };
	char token[TEXT_TOKEN_BYTES];
	int64_t n = l->view[DATA_TRAIN].n * l->options->sequence_length + 1, at = 0;

	for (int64_t i = 0; i < n && t->next(t->text[PACK_TRAIN].data, t->text[PACK_TRAIN].n_bytes, &at, token); i++)
		vocab_count(&counts, token);
	vocab_fit(&t->vocab, &counts, t->n_known);
}

static td_status text_fit(struct loader *l, const char **pointer, struct err *e)
{
	struct long_text *t = l->own;
	char token[TEXT_TOKEN_BYTES];

	(void)pointer;
	fit_vocab(l);
	for (int p = 0; p < PACK_PARTS; p++) {
		int64_t at = 0;

		t->tokens[p] = mem_try_alloc(sizeof(int32_t) * (size_t)TD_MAX(t->n_tokens[p], 1));
		if (!t->tokens[p])
			return err_set(e, TD_NO_MEMORY, "no memory for the %lld tokens of %s",
				(long long)t->n_tokens[p], l->facts.dataset);
		for (int64_t i = 0; i < t->n_tokens[p] && t->next(t->text[p].data, t->text[p].n_bytes, &at, token); i++)
			t->tokens[p][i] = (int32_t)vocab_id(&t->vocab, token);
	}
	return TD_OK;
}

/* ---- Batches --------------------------------------------------------------------------------------------------- */

static td_status text_fill(
	const struct loader *l, const struct batch_request *q, const struct data_batch *out, struct err *e)
{
	const struct long_text *t = l->own;
	int64_t n = l->options->sequence_length, *x = out->x, *y = out->y;

	(void)e;
	for (int64_t i = 0; i < q->n; i++, x += n, y += n) {
		const int32_t *from = t->tokens[q->part] + q->samples[i] * n;

		for (int64_t k = 0; k < n; k++) {
			x[k] = from[k];
			y[k] = from[k + 1];
		}
	}
	return TD_OK;
}

/* ---- For people, and saving ------------------------------------------------------------------------------------ */

static void text_show(const struct loader *l, enum pack_part part, int64_t i, cJSON *object)
{
	const struct long_text *t = l->own;
	int64_t n = l->options->sequence_length;
	struct buf text;

	buf_init(&text, TEXT_SHOWN);
	for (int64_t k = 0; k < n; k++) {
		const char *token = vocab_token(&t->vocab, t->tokens[part][i * n + k]);

		if (!buf_printf(&text, "%s%s", k && l->options->tokenizer == DATA_WORD ? " " : "", token))
			break;
	}
	cJSON_AddStringToObject(object, "text", text.data ? text.data : "");
	buf_release(&text);
}

static const char *text_token(const struct loader *l, int64_t k)
{
	const struct long_text *t = l->own;

	return vocab_token(&t->vocab, k);
}

static void text_save(const struct loader *l, cJSON *state)
{
	const struct long_text *t = l->own;

	cJSON_AddItemToObject(state, "vocabulary", vocab_to_json(&t->vocab));
}

static bool text_restore(struct loader *l, const cJSON *state)
{
	struct long_text *t = l->own;

	return vocab_from_json(&t->vocab, json_get(state, "vocabulary"), t->n_known);
}

/* ---- Prediction: prompts --------------------------------------------------------------------------------------- */

static int64_t count_prompt(const struct long_text *t, const char *text, int64_t n_bytes)
{
	char token[TEXT_TOKEN_BYTES];
	int64_t n = 0, at = 0;

	while (n <= PROMPT_MOST && t->next(text, n_bytes, &at, token))
		n++;
	return n;
}

static int64_t longest_prompt(const struct long_text *t, const cJSON *inputs, struct faults *faults)
{
	int64_t longest = 0, i = 0;
	const cJSON *v;

	cJSON_ArrayForEach(v, inputs)
	{
		int64_t n = cJSON_IsString(v) ? count_prompt(t, v->valuestring, (int64_t)strlen(v->valuestring)) : -1;
		char pointer[INPUT_POINTER];

		snprintf(pointer, sizeof pointer, "/inputs/%lld", (long long)i++);
		if (n < 1 || n > PROMPT_MOST)
			faults_add(faults, pointer, "give the beginning of a text, a string of 1 to %d tokens",
				PROMPT_MOST);
		longest = TD_MAX(longest, n);
	}
	return faults->n_found ? 0 : longest;
}

/* Prompts are as long as they are; shorter ones are filled up at their end, and LENGTHS says where they end. */
static bool text_read_json(const struct loader *l, const cJSON *inputs, struct data_input *out, struct faults *faults)
{
	const struct long_text *t = l->own;
	int64_t steps = longest_prompt(t, inputs, faults), i = 0;
	const cJSON *v;

	if (!steps || !loader_input_room(l, cJSON_GetArraySize(inputs), steps, out, faults))
		return false;
	out->lengths = MEM_NEW_N(int64_t, out->n);
	cJSON_ArrayForEach(v, inputs)
	{
		int64_t *x = (int64_t *)out->x + i * steps, at = 0, n_bytes = (int64_t)strlen(v->valuestring);
		char token[TEXT_TOKEN_BYTES];

		while (t->next(v->valuestring, n_bytes, &at, token))
			x[out->lengths[i]++] = vocab_id(&t->vocab, token);
		i++;
	}
	return true;
}

const struct loader_kind load_text = {
	.n_bytes = sizeof(struct long_text),
	.create = text_create,
	.release = text_release,
	.map = text_map,
	.fit = text_fit,
	.fill = text_fill,
	.show = text_show,
	.save = text_save,
	.restore = text_restore,
	.read_json = text_read_json,
	.bytes = text_bytes,
	.token = text_token,
};
