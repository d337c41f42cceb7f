/* A vocabulary: which number stands for which token.
 *
 * Numbers begin with DATA_PAD (0), which fills up, and VOCAB_UNKNOWN (1), which stands for all tokens that are not in
 * it; then come the most frequent tokens first, and among equally frequent ones the order of their bytes. */
#ifndef TD_DATA_VOCAB_H
#define TD_DATA_VOCAB_H

#include "base/json.h"
#include "base/map.h"

#define VOCAB_UNKNOWN  1
#define VOCAB_SPECIALS 2
/* Memory that a token takes: twice its text, and a place in two maps while it is counted. */
#define VOCAB_TOKEN_BYTES 256

struct vocab {
	struct map ids; /* token -> number */
	char **tokens;  /* owned; [n] */
	int64_t n;      /* numbers in use, the special ones included */
};

int64_t vocab_id(const struct vocab *v, const char *token);
/* The token of number K, also of the special ones and of numbers that nothing uses. */
const char *vocab_token(const struct vocab *v, int64_t k);
void vocab_release(struct vocab *v);

/* Fitting: count every token, then keep the most frequent. */
struct vocab_counts {
	struct map places; /* token -> its place in ITEMS, from 1 */
	struct vocab_count *items;
	int64_t n, room;
};

void vocab_count(struct vocab_counts *c, const char *token);
/* At most MOST numbers in all.  C is released. */
void vocab_fit(struct vocab *v, struct vocab_counts *c, int64_t most);

/* The tokens in order, without the special ones; and back.  False: J is no list of at most MOST strings. */
cJSON *vocab_to_json(const struct vocab *v);
bool vocab_from_json(struct vocab *v, const cJSON *j, int64_t most);

#endif
