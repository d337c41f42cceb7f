/* A vocabulary: see vocab.h. */
#include "data/vocab.h"

#include <stdlib.h>
#include <string.h>

struct vocab_count {
	char *token; /* owned */
	int64_t n;
};

static const char *const specials[VOCAB_SPECIALS] = { "<pad>", "<unknown>" };

int64_t vocab_id(const struct vocab *v, const char *token)
{
	intptr_t id = (intptr_t)map_get(&v->ids, token);

	return id ? id : VOCAB_UNKNOWN;
}

const char *vocab_token(const struct vocab *v, int64_t k)
{
	if (k >= 0 && k < VOCAB_SPECIALS)
		return specials[k];
	return k >= 0 && k < v->n ? v->tokens[k] : specials[VOCAB_UNKNOWN];
}

void vocab_release(struct vocab *v)
{
	for (int64_t k = VOCAB_SPECIALS; k < v->n; k++)
		mem_free(v->tokens[k]);
	mem_free(v->tokens);
	map_release(&v->ids);
	*v = (struct vocab){ 0 };
}

void vocab_count(struct vocab_counts *c, const char *token)
{
	intptr_t place = (intptr_t)map_get(&c->places, token);

	if (!place) {
		MEM_GROW(c->items, c->n, c->room);
		c->items[c->n] = (struct vocab_count){ mem_strdup(token), 0 };
		place = (intptr_t)++c->n;
		map_put(&c->places, token, (void *)place);
	}
	c->items[place - 1].n++;
}

static int compare_counts(const void *a, const void *b)
{
	const struct vocab_count *x = a, *y = b;

	return x->n != y->n ? (x->n < y->n) - (x->n > y->n) : strcmp(x->token, y->token);
}

/* TOKEN becomes V's. */
static void add(struct vocab *v, char *token)
{
	map_put(&v->ids, token, (void *)(intptr_t)v->n);
	v->tokens[v->n++] = token;
}

static void begin(struct vocab *v, int64_t n)
{
	*v = (struct vocab){ .tokens = MEM_NEW_N(char *, VOCAB_SPECIALS + n), .n = VOCAB_SPECIALS };
}

void vocab_fit(struct vocab *v, struct vocab_counts *c, int64_t most)
{
	int64_t n = TD_MIN(c->n, TD_MAX(most - VOCAB_SPECIALS, 0));

	if (c->n)
		qsort(c->items, (size_t)c->n, sizeof *c->items, compare_counts);
	begin(v, n);
	for (int64_t i = 0; i < n; i++)
		add(v, c->items[i].token);
	for (int64_t i = n; i < c->n; i++)
		mem_free(c->items[i].token);
	mem_free(c->items);
	map_release(&c->places);
	*c = (struct vocab_counts){ 0 };
}

cJSON *vocab_to_json(const struct vocab *v)
{
	cJSON *list = cJSON_CreateArray();

	for (int64_t k = VOCAB_SPECIALS; k < v->n; k++)
		cJSON_AddItemToArray(list, cJSON_CreateString(v->tokens[k]));
	return list;
}

bool vocab_from_json(struct vocab *v, const cJSON *j, int64_t most)
{
	int64_t n = cJSON_IsArray(j) ? cJSON_GetArraySize(j) : -1;
	const cJSON *token;

	if (n < 0 || n > most - VOCAB_SPECIALS)
		return false;
	begin(v, n);
	cJSON_ArrayForEach(token, j)
	{
		if (!cJSON_IsString(token) || map_get(&v->ids, token->valuestring)) {
			vocab_release(v);
			return false;
		}
		add(v, mem_strdup(token->valuestring));
	}
	return true;
}
