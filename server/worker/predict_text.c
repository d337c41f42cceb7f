/* Continuing a text: the model says how likely each token is to come next, one is drawn, and so on.
 *
 * The model sees the last tokens, at most as many as a training sample had, and its state is computed anew for each of
 * them: simple, and the same for any model. */
#include "worker/predict.h"
#include "base/clock.h"
#include "base/rng.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define LENGTH_DEFAULT   100
#define LENGTH_MOST      2000
#define TEMPERATURE_MOST 100.0
#define TEXTS_MOST       16
#define TIME_MOST_MS     50000     /* the daemon waits 60 s */
#define TEXT_MOST        (1 << 20) /* bytes of what was written */

/* How to write, from the body. */
struct manner {
	int64_t length;
	double temperature;
	uint64_t seed;
	int64_t end_ms; /* monotonic; then what is there is the answer */
};

/* A member of the body: a number within LOW..HIGH. */
static double number(struct prediction *p, const char *name, double otherwise, double low, double high)
{
	const cJSON *v = json_get(p->json, name);
	char pointer[40];

	if (!v)
		return otherwise;
	if (cJSON_IsNumber(v) && v->valuedouble >= low && v->valuedouble <= high)
		return v->valuedouble;
	snprintf(pointer, sizeof pointer, "/%s", name);
	faults_add(&p->faults, pointer, "this is not a number of at least %g and at most %g", low, high);
	return otherwise;
}

static bool read_manner(struct prediction *p, struct manner *m)
{
	m->length = (int64_t)number(p, "length", LENGTH_DEFAULT, 1, LENGTH_MOST);
	m->temperature = number(p, "temperature", 0, 0, TEMPERATURE_MOST);
	m->seed = (uint64_t)number(p, "seed", 0, 0, JSON_INTEGER_MOST);
	m->end_ms = clock_monotonic_ms() + TIME_MOST_MS;
	if (p->input.n > TEXTS_MOST)
		faults_add(&p->faults, "/inputs", "%lld texts at once; at most %d are continued", (long long)p->input.n,
			TEXTS_MOST);
	return !p->faults.n_found;
}

/* A token by its probability P[k], to the power of 1 / temperature; WHERE in [0, 1) chooses. */
static int64_t draw(const float *p, int64_t n, double temperature, double where)
{
	int64_t best = 0;
	double sum = 0, so_far = 0;

	for (int64_t k = 1; k < n; k++)
		best = p[k] > p[best] ? k : best;
	if (temperature <= 0 || !(p[best] > 0))
		return best;
	for (int64_t k = 0; k < n; k++)
		sum += pow((double)p[k] / p[best], 1 / temperature);
	for (int64_t k = 0; k < n; k++) {
		so_far += pow((double)p[k] / p[best], 1 / temperature) / sum;
		if (where < so_far)
			return k;
	}
	return best;
}

/* Words are set apart by spaces, but for punctuation. */
static void write_token(const struct prediction *p, int64_t token, struct buf *text)
{
	const char *word = loader_class_name(p->loader, token);
	bool sign = word[0] && !word[1] && ispunct((unsigned char)word[0]);

	if (p->spec.data.tokenizer == DATA_WORD && text->len && !sign)
		buf_puts(text, " ");
	buf_puts(text, word);
}

/* The token after the N at TOKENS; -1: faults. */
static int64_t next_token(struct prediction *p, const struct manner *m, const int64_t *tokens, int64_t n,
	const struct rng_key *key, uint64_t i)
{
	td_shape sample = td_shape_make(TD_I64, 1, n);
	struct answered a;
	int64_t token = -1;

	if (prediction_run(p, tokens, loader_facts(p->loader)->has_lengths ? &n : NULL, &sample, 1, &a)) {
		int64_t width = a.shape.dim[a.shape.rank - 1], last = td_shape_count(&a.shape) - width;
		token = draw(a.answer + last, width, m->temperature, rng_unit(rng_u32(key, i)));
	}
	answered_release(&a);
	return token;
}

static void continue_text(struct prediction *p, const struct manner *m, int64_t text_at, struct buf *text)
{
	struct rng_key key = { .seed = m->seed, .stream = rng_stream("generate"), .step = (uint32_t)text_at };
	int64_t window = p->input.steps, n = p->input.lengths ? p->input.lengths[text_at] : window;
	int64_t most = TD_MAX(loader_facts(p->loader)->x.dim[0], 1);
	const int64_t *given = (const int64_t *)p->input.x + text_at * window;
	int64_t *tokens = MEM_NEW_N(int64_t, n + m->length + 1);

	memcpy(tokens, given, sizeof *tokens * (size_t)n);
	for (int64_t i = 0; i < m->length && n > 0 && clock_monotonic_ms() < m->end_ms; i++) {
		int64_t seen = TD_MIN(n, most), token = next_token(p, m, tokens + n - seen, seen, &key, (uint64_t)i);
		if (token < 0)
			break;
		tokens[n++] = token;
		write_token(p, token, text);
	}
	mem_free(tokens);
}

void predict_text(struct prediction *p, cJSON *predictions)
{
	struct manner m;

	if (!read_manner(p, &m))
		return;
	for (int64_t i = 0; i < p->input.n && !p->faults.n_found; i++) {
		cJSON *o = cJSON_CreateObject();
		struct buf text;

		buf_init(&text, TEXT_MOST);
		continue_text(p, &m, i, &text);
		cJSON_AddStringToObject(o, "text", text.data ? text.data : "");
		cJSON_AddItemToArray(predictions, o);
		buf_release(&text);
	}
}
