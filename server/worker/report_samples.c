/* Samples of a report: the first ones of the split, then the worst by loss, each with what the model says of it.
 *
 * An evaluation keeps a loss for each sample and no answers; the few samples that are shown go through the model once
 * more. */
#include "worker/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_FIRST 32         /* from the split's beginning, right or wrong */
#define SAMPLES_WORST 96         /* of the others, those with the largest loss */
#define TOP_MOST      5          /* classes named for each */
#define IMAGES_MOST   (3u << 20) /* bytes of all images together, as text; the samples after that come without */
#define STEPS_SHOWN   200        /* words of a tagged text */

/* ---- Which ------------------------------------------------------------------------------------------------------- */

struct ranked {
	float loss;
	int64_t i;
};

/* The largest loss first; NaN is the worst. */
static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (!isnan(x->loss) != !isnan(y->loss))
		return isnan(x->loss) ? -1 : 1;
	if (x->loss != y->loss && !isnan(x->loss))
		return x->loss > y->loss ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

/* Whether the label of sample I counts, and something else was answered. */
static bool is_wrong(const struct evaluation *e, int64_t i)
{
	return e->label[i] >= 0 && e->label[i] != e->predicted[i];
}

/* Of classes, only a mistake is among the worst. */
static bool may_be_worst(const struct evaluation *e, int64_t i)
{
	return !e->label || e->steps > 1 || is_wrong(e, i);
}

/* Positions in the split; returns how many. */
static int64_t choose(const struct evaluation *e, int64_t out[SAMPLES_FIRST + SAMPLES_WORST])
{
	struct ranked *others = MEM_NEW_N(struct ranked, TD_MAX(e->n, 1));
	int64_t n = 0, n_others = 0;

	for (int64_t i = 0; i < e->n; i++) {
		if (i < SAMPLES_FIRST)
			out[n++] = i;
		else if (may_be_worst(e, i))
			others[n_others++] = (struct ranked){ e->sample_loss[i], i };
	}
	qsort(others, (size_t)n_others, sizeof *others, compare_ranked);
	for (int64_t i = 0; i < TD_MIN(n_others, SAMPLES_WORST); i++)
		out[n++] = others[i].i;
	mem_free(others);
	return n;
}

/* ---- What the model says ----------------------------------------------------------------------------------------- */

cJSON *report_top(const struct loader *l, const float *p, int64_t n_classes, int top)
{
	cJSON *list = cJSON_CreateArray();
	double above = INFINITY; /* probability and class of the one before */
	int64_t last = -1;

	for (int n = 0; n < top; n++) {
		int64_t best = -1;
		for (int64_t k = 0; k < n_classes; k++) {
			bool comes_later = p[k] < above || (p[k] == (float)above && k > last);
			if (comes_later && (best < 0 || p[k] > p[best]))
				best = k;
		}
		if (best < 0)
			break; /* no more classes, or no numbers */
		cJSON *o = cJSON_CreateObject();
		cJSON_AddStringToObject(o, "label", loader_class_name(l, best));
		cJSON_AddItemToObject(o, "probability", json_number(p[best]));
		cJSON_AddItemToArray(list, o);
		above = p[best];
		last = best;
	}
	return list;
}

/* Sample AT of the split, which is sample I of A; a label that does not count is null. */
static void add_class(
	const struct run *r, cJSON *o, const struct evaluation *e, int64_t at, const struct nn_answers *a, int64_t i)
{
	const float *p = a->answer + i * a->width;
	int32_t label = e->label[at], guess = e->predicted[at];

	cJSON_AddItemToObject(o, "label", label < 0 ? cJSON_CreateNull() : cJSON_CreateNumber(label));
	cJSON_AddNumberToObject(o, "prediction", guess);
	cJSON_AddItemToObject(o, "probability", json_number(p[guess]));
	cJSON_AddBoolToObject(o, "wrong", is_wrong(e, at));
	cJSON_AddItemToObject(o, "top", report_top(r->loader, p, a->width, TOP_MOST));
}

cJSON *report_values(const struct loader *l, const float *v, int64_t n, bool own)
{
	const char *const *names = loader_facts(l)->value_names;
	cJSON *o = cJSON_CreateObject();

	for (int64_t k = 0; k < n; k++) {
		char *name = names ? mem_strdup(names[k]) : mem_printf("%lld", (long long)k);

		cJSON_AddItemToObject(o, name, json_number(own ? v[k] : loader_own_units(l, (int)k, v[k])));
		mem_free(name);
	}
	return o;
}

static void add_tags(const struct run *r, cJSON *o, const int32_t *label, const int32_t *predicted, int64_t n)
{
	cJSON *labels = cJSON_AddArrayToObject(o, "label"), *predictions = cJSON_AddArrayToObject(o, "prediction");
	bool wrong = false;

	for (int64_t t = 0; t < TD_MIN(n, STEPS_SHOWN); t++) {
		if (label[t] < 0)
			continue;
		cJSON_AddItemToArray(labels, cJSON_CreateString(loader_class_name(r->loader, label[t])));
		cJSON_AddItemToArray(predictions, cJSON_CreateString(loader_class_name(r->loader, predicted[t])));
		wrong = wrong || label[t] != predicted[t];
	}
	cJSON_AddBoolToObject(o, "wrong", wrong);
}

/* Sample AT of the split, which is sample I of A. */
static cJSON *sample_json(struct run *r, const struct evaluation *e, const struct nn_answers *a, int64_t i, int64_t at)
{
	cJSON *o = loader_sample_json(r->loader, e->split, at);

	cJSON_AddStringToObject(o, "split", run_split_names[e->split]);
	cJSON_AddItemToObject(o, "loss", json_number(e->sample_loss[at]));
	if (a->value) {
		cJSON_AddItemToObject(o, "target", report_values(r->loader, a->value + i * a->width, a->width, true));
		cJSON_AddItemToObject(
			o, "prediction", report_values(r->loader, a->answer + i * a->width, a->width, true));
	} else if (e->label && a->steps == 1) {
		add_class(r, o, e, at, a, i);
	} else if (e->label) {
		add_tags(r, o, e->label + at * e->steps, e->predicted + at * e->steps, e->steps);
	}
	return o;
}

/* ---- The walk ---------------------------------------------------------------------------------------------------- */

/* Images are what makes a report large. */
static void drop_image(cJSON *sample, size_t *n_image_bytes)
{
	*n_image_bytes += strlen(json_string(json_get(sample, "image"), "png", ""));
	if (*n_image_bytes > IMAGES_MOST)
		cJSON_DeleteItemFromObjectCaseSensitive(sample, "image");
}

static bool add_batch(struct run *r, const struct evaluation *e, const int64_t *chosen, int64_t first, int64_t n,
	float *answer, float *each, cJSON *list, size_t *n_image_bytes)
{
	struct batch *b = run_batch(r, e->split, -1, chosen, first, n);
	struct nn_answers a;

	if (!b)
		return false;
	if (nn_trainer_evaluate(r->trainer, &b->of, each, answer)) {
		err_set(&r->err, td_error(r->c)->status, "evaluating samples: %s", td_error(r->c)->text);
		return false;
	}
	a = run_answers(r, n, answer, each);
	for (int64_t i = 0; i < n; i++) {
		cJSON *o = sample_json(r, e, &a, i, chosen[first + i]);

		drop_image(o, n_image_bytes);
		cJSON_AddItemToArray(list, o);
	}
	return true;
}

cJSON *report_samples(struct run *r, const struct evaluation *e)
{
	int64_t chosen[SAMPLES_FIRST + SAMPLES_WORST], n = choose(e, chosen), size = r->spec.data.batch_size;
	float *answer, *each;
	cJSON *list = cJSON_CreateArray();
	size_t n_image_bytes = 0;
	bool ok = answer_rooms(r, TD_MIN(n, size), &answer, &each);

	for (int64_t i = 0; ok && i < n; i += size)
		ok = !run_abandoned(r) &&
		     add_batch(r, e, chosen, i, TD_MIN(size, n - i), answer, each, list, &n_image_bytes);
	mem_free(answer);
	mem_free(each);
	if (ok)
		return list;
	cJSON_Delete(list);
	return NULL;
}
