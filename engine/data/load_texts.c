/* Many short texts, with a class each or a tag for every word: cut or filled up to one length.
 *
 * Texts stay as they are in the pack; a batch numbers its own tokens, which costs less than reading them would.  Both
 * kinds are one loader: they differ in what cuts a text and in what the target is. */
#include "data/input.h"
#include "data/text.h"
#include "data/vocab.h"

#include <stdio.h>
#include <string.h>

struct texts {
	struct pack_column text[PACK_PARTS], offsets[PACK_PARTS];
	struct pack_column labels[PACK_PARTS];                        /* labelled */
	struct pack_column tags[PACK_PARTS], tag_offsets[PACK_PARTS]; /* tagged */
	text_next *next;                                              /* cuts a sample of the pack */
	text_next *next_given;                                        /* cuts a sample that is sent for a prediction */
	bool tagged;
	int64_t length;  /* steps of a sample */
	int64_t n_known; /* tokens that the vocabulary may hold, at most */
	struct vocab vocab;
};

/* ---- Creating -------------------------------------------------------------------------------------------------- */

static bool create(struct loader *l, const cJSON *info, bool words, struct faults *faults)
{
	struct texts *t = l->own;
	const struct data_options *o = l->options;
	const cJSON *longest = json_get(info, "longest");
	const char *unit = words ? "words" : "characters";
	int64_t distinct = json_int(info, unit, 0), most = json_int(longest, unit, 0);

	if (cJSON_IsNumber(longest)) /* tagged text has words alone */
		most = json_int(info, "longest", 0);
	if (!loader_refuse_scalings(l, "tokens are no numbers to compute with", faults) ||
		!loader_read_classes(l, info, faults))
		return false;
	if (distinct < 0 || distinct > INT32_MAX - VOCAB_SPECIALS || most < 0)
		return loader_refuse_info(l, faults, "texts of at most %lld %s, %lld of them different",
			(long long)most, unit, (long long)distinct);
	t->length = TD_MIN(o->max_length, TD_MAX(most, 1));
	t->n_known = VOCAB_SPECIALS + distinct;
	if (o->vocab)
		t->n_known = TD_MIN(t->n_known, TD_MAX(o->vocab, VOCAB_SPECIALS));
	l->facts.x = td_shape_make(TD_I64, 1, t->length);
	l->facts.has_lengths = true;
	l->facts.n_tokens = t->n_known;
	return true;
}

static bool labelled_create(struct loader *l, const cJSON *info, struct faults *faults)
{
	struct texts *t = l->own;
	bool words = l->options->tokenizer == DATA_WORD;

	t->next = t->next_given = words ? text_next_word : text_next_character;
	return create(l, info, words, faults);
}

static bool tagged_create(struct loader *l, const cJSON *info, struct faults *faults)
{
	struct texts *t = l->own;

	t->next = text_next_line;
	t->next_given = text_next_word;
	t->tagged = true;
	if (!create(l, info, true, faults))
		return false;
	l->facts.target = DATA_TOKENS;
	l->facts.y = td_shape_make(TD_I64, 1, t->length);
	return true;
}

static void texts_release(void *own)
{
	struct texts *t = own;

	for (int p = 0; p < PACK_PARTS; p++) {
		pack_unmap(&t->text[p]);
		pack_unmap(&t->offsets[p]);
		pack_unmap(&t->labels[p]);
		pack_unmap(&t->tags[p]);
		pack_unmap(&t->tag_offsets[p]);
	}
	vocab_release(&t->vocab);
}

static int64_t texts_bytes(const struct loader *l)
{
	const struct texts *t = l->own;

	return t->n_known * VOCAB_TOKEN_BYTES;
}

/* ---- Columns --------------------------------------------------------------------------------------------------- */

/* A sample's bytes. */
struct span {
	const char *at;
	int64_t n;
};

static struct span text_at(const struct texts *t, enum pack_part part, int64_t i)
{
	const int64_t *offsets = t->offsets[part].data;

	if (!t->text[part].data)
		return (struct span){ "", 0 };
	return (struct span){ (const char *)t->text[part].data + offsets[i], offsets[i + 1] - offsets[i] };
}

static td_status map_labels(struct loader *l, const char *folder, enum pack_part p, struct err *e)
{
	struct texts *t = l->own;
	int64_t n = l->n_part[p];
	td_status s = loader_map(l, folder, p, "labels", n * (int64_t)sizeof(int32_t), &t->labels[p], e);

	return s ? s : loader_check_labels(l, p, "labels", t->labels[p].data, n, 0, l->facts.n_classes, e);
}

static td_status map_tags(struct loader *l, const char *folder, enum pack_part p, struct err *e)
{
	struct texts *t = l->own;
	int64_t n = l->n_part[p], n_tags;
	td_status s = loader_map(l, folder, p, "tags", -1, &t->tags[p], e);

	if (!s)
		s = loader_map(l, folder, p, "tag_offsets", (n + 1) * (int64_t)sizeof(int64_t), &t->tag_offsets[p], e);
	n_tags = t->tags[p].n_bytes / (int64_t)sizeof(int32_t);
	if (!s)
		s = loader_check_labels(l, p, "tags", t->tags[p].data, n_tags, 0, l->facts.n_classes, e);
	return s ? s : loader_check_offsets(l, p, "tag_offsets", t->tag_offsets[p].data, n, n_tags, e);
}

static td_status texts_map(struct loader *l, const char *folder, const char **pointer, struct err *e)
{
	struct texts *t = l->own;
	td_status s = TD_OK;

	(void)pointer;
	for (enum pack_part p = PACK_TRAIN; p < PACK_PARTS && !s; p++) {
		int64_t n = l->n_part[p];

		if (!n)
			continue;
		s = loader_map(l, folder, p, "text", -1, &t->text[p], e);
		if (!s)
			s = loader_map(l, folder, p, "offsets", (n + 1) * (int64_t)sizeof(int64_t), &t->offsets[p], e);
		if (!s)
			s = loader_check_offsets(l, p, "offsets", t->offsets[p].data, n, t->text[p].n_bytes, e);
		if (!s)
			s = t->tagged ? map_tags(l, folder, p, e) : map_labels(l, folder, p, e);
	}
	return s;
}

static int32_t texts_label(const struct loader *l, enum pack_part part, int64_t i)
{
	const struct texts *t = l->own;

	return ((const int32_t *)t->labels[part].data)[i];
}

/* ---- Fitting and batches --------------------------------------------------------------------------------------- */

static td_status texts_fit(struct loader *l, const char **pointer, struct err *e)
{
	struct texts *t = l->own;
	const struct view *v = &l->view[DATA_TRAIN];
	struct vocab_counts counts = { 0 };
	char token[TEXT_TOKEN_BYTES];

	(void)pointer;
	(void)e;
	for (int64_t i = 0; i < v->n; i++) {
		struct span s = text_at(t, v->part, v->index[i]);
		int64_t at = 0;

		while (t->next(s.at, s.n, &at, token))
			vocab_count(&counts, token);
	}
	vocab_fit(&t->vocab, &counts, t->n_known);
	return TD_OK;
}

/* The first LENGTH tokens of S into X, filled up; returns how many there are, at least 1: an empty text is one unknown
 * token, since a sequence of no steps has no last one. */
static int64_t number_tokens(const struct texts *t, text_next *next, struct span s, int64_t length, int64_t *x)
{
	char token[TEXT_TOKEN_BYTES];
	int64_t n = 0, at = 0;

	while (n < length && next(s.at, s.n, &at, token))
		x[n++] = vocab_id(&t->vocab, token);
	if (!n)
		x[n++] = VOCAB_UNKNOWN;
	for (int64_t k = n; k < length; k++)
		x[k] = DATA_PAD;
	return n;
}

static td_status texts_fill(
	const struct loader *l, const struct batch_request *q, const struct data_batch *out, struct err *e)
{
	const struct texts *t = l->own;
	int64_t *y = out->y;

	for (int64_t i = 0; i < q->n; i++) {
		int64_t sample = q->samples[i], *x = (int64_t *)out->x + i * t->length;
		int64_t n = number_tokens(t, t->next, text_at(t, q->part, sample), t->length, x), n_tags;
		const int64_t *tag_at = t->tag_offsets[q->part].data;

		out->lengths[i] = n;
		if (!t->tagged) {
			y[i] = texts_label(l, q->part, sample);
			continue;
		}
		n_tags = tag_at[sample + 1] - tag_at[sample];
		if (TD_MIN(n_tags, t->length) != n && !(n == 1 && !n_tags))
			return err_set(e, TD_CORRUPT,
				"sample %lld of part %s of %s has %lld tags, but another number of words; prepare it "
				"again",
				(long long)sample, pack_part_names[q->part], l->facts.dataset, (long long)n_tags);
		for (int64_t k = 0; k < t->length; k++)
			y[i * t->length + k] =
				k < n_tags ? ((const int32_t *)t->tags[q->part].data)[tag_at[sample] + k] : DATA_IGNORE;
	}
	return TD_OK;
}

/* ---- For people, and saving ------------------------------------------------------------------------------------ */

static void texts_show(const struct loader *l, enum pack_part part, int64_t i, cJSON *object)
{
	const struct texts *t = l->own;
	struct span s = text_at(t, part, i);
	int64_t n = TD_MIN(s.n, TEXT_SHOWN);
	char *text;

	while (n < s.n && n > 0 && ((unsigned char)s.at[n] & 0xc0) == 0x80) /* not within a character */
		n--;
	text = mem_strndup(s.at, (size_t)n);
	for (int64_t k = 0; k < n; k++)
		if (t->tagged && text[k] == '\n')
			text[k] = ' ';
	cJSON_AddStringToObject(object, "text", text);
	mem_free(text);
}

static void texts_save(const struct loader *l, cJSON *state)
{
	const struct texts *t = l->own;

	cJSON_AddItemToObject(state, "vocabulary", vocab_to_json(&t->vocab));
}

static bool texts_restore(struct loader *l, const cJSON *state)
{
	struct texts *t = l->own;

	return vocab_from_json(&t->vocab, json_get(state, "vocabulary"), t->n_known);
}

/* ---- Prediction ------------------------------------------------------------------------------------------------ */

static bool texts_read_json(const struct loader *l, const cJSON *inputs, struct data_input *out, struct faults *faults)
{
	const struct texts *t = l->own;
	int64_t i = 0;
	const cJSON *v;

	if (!loader_input_room(l, cJSON_GetArraySize(inputs), t->length, out, faults))
		return false;
	out->lengths = MEM_NEW_N(int64_t, out->n);
	cJSON_ArrayForEach(v, inputs)
	{
		struct span s = { v->valuestring, cJSON_IsString(v) ? (int64_t)strlen(v->valuestring) : 0 };
		char pointer[INPUT_POINTER];

		snprintf(pointer, sizeof pointer, "/inputs/%lld", (long long)i);
		if (!cJSON_IsString(v))
			faults_add(faults, pointer, "this is no text; give a string");
		else
			out->lengths[i] =
				number_tokens(t, t->next_given, s, t->length, (int64_t *)out->x + i * t->length);
		i++;
	}
	return !faults->n_found;
}

static const char *texts_token(const struct loader *l, int64_t k)
{
	const struct texts *t = l->own;

	return vocab_token(&t->vocab, k);
}

const struct loader_kind load_labelled_text = {
	.n_bytes = sizeof(struct texts),
	.create = labelled_create,
	.release = texts_release,
	.map = texts_map,
	.label = texts_label,
	.fit = texts_fit,
	.fill = texts_fill,
	.show = texts_show,
	.save = texts_save,
	.restore = texts_restore,
	.read_json = texts_read_json,
	.bytes = texts_bytes,
	.token = texts_token,
};

const struct loader_kind load_tagged_text = {
	.n_bytes = sizeof(struct texts),
	.create = tagged_create,
	.release = texts_release,
	.map = texts_map,
	.fit = texts_fit,
	.fill = texts_fill,
	.show = texts_show,
	.save = texts_save,
	.restore = texts_restore,
	.read_json = texts_read_json,
	.bytes = texts_bytes,
	.token = texts_token,
};
