/* Computes metrics for tests/parity/metrics.py: a case per line of standard input, a result per line of standard
 * output.
 *
 *	{"metric": "f1", "target": "class", "classes": 3, "answer": [[..]..], "label": [..], "batch": 4}
 *	-> {"value": 0.5, "error": "NaN", "curves": [..]}
 *
 * "value" or "share" stand in place of "label", of "tokens" STEPS to a sample.  "batch": samples that are added at
 * once. */
#include "nn/learn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MOST (64 << 20)

struct one_case {
	struct arena arena;
	struct faults faults;
	struct opt_choice metric;
	struct data_facts facts;
	int64_t n, steps, width;
	float *answer, *value, *share, *loss;
	int64_t *label;
};

/* All numbers of LIST, however deep, or NULL where it is not there. */
static float *floats(struct arena *a, const cJSON *list, int64_t *n)
{
	const cJSON *row, *item;
	float *out;

	*n = 0;
	if (!list)
		return NULL;
	cJSON_ArrayForEach(row, list) *n += cJSON_IsArray(row) ? cJSON_GetArraySize(row) : 1;
	out = arena_alloc(a, sizeof *out * (size_t)(*n + 1));
	*n = 0;
	cJSON_ArrayForEach(row, list)
	{
		double x = 0;

		if (!cJSON_IsArray(row)) {
			json_to_number(row, &x);
			out[(*n)++] = (float)x;
			continue;
		}
		cJSON_ArrayForEach(item, row)
		{
			json_to_number(item, &x);
			out[(*n)++] = (float)x;
		}
	}
	return out;
}

static void read_case(struct one_case *k, const cJSON *line)
{
	static const struct opt row = { .name = "metric", .kind = OPT_CHOICE, .family = &nn_metrics, .doc = "" };
	static const struct opt_type type = {
		.name = "case", .options = &row, .n_options = 1, .n_bytes = sizeof k->metric
	};
	const char *target = json_string(line, "target", "class");
	cJSON *chosen = cJSON_CreateObject();
	int64_t n, count;
	float *labels;

	*k = (struct one_case){ .facts = { .dataset = "case", .n_classes = (int)json_int(line, "classes", 0) } };
	arena_init(&k->arena);
	faults_init(&k->faults);
	cJSON_AddItemToObject(chosen, "metric", cJSON_Duplicate(json_get(line, "metric"), true));
	opt_read(&type, chosen, "", &k->metric, &k->arena, &k->faults);
	cJSON_Delete(chosen);
	if (k->faults.n_found) {
		fprintf(stderr, "%s\n", k->faults.items[0].detail);
		exit(1);
	}
	k->facts.target = !strcmp(target, "values")   ? DATA_VALUES
			  : !strcmp(target, "tokens") ? DATA_TOKENS
			  : !strcmp(target, "shares") ? DATA_SHARES
						      : DATA_CLASS;
	k->steps = json_int(line, "steps", 1);
	k->width = json_int(line, "width", k->facts.n_classes);
	k->answer = floats(&k->arena, json_get(line, "answer"), &n);
	k->n = n / k->width / k->steps;
	k->value = floats(&k->arena, json_get(line, "value"), &count);
	k->share = floats(&k->arena, json_get(line, "share"), &count);
	k->loss = floats(&k->arena, json_get(line, "loss"), &count);
	labels = floats(&k->arena, json_get(line, "label"), &count);
	k->label = labels ? arena_alloc(&k->arena, sizeof *k->label * (size_t)(count + 1)) : NULL;
	for (int64_t i = 0; i < count && labels; i++)
		k->label[i] = (int64_t)labels[i];
	k->facts.y.rank = k->facts.target != DATA_CLASS;
	k->facts.y.dim[0] = k->facts.target == DATA_TOKENS ? k->steps : k->width;
}

static void measure(const struct one_case *k, int64_t batch, cJSON *result)
{
	const struct nn_metric_type *type = (const struct nn_metric_type *)k->metric.type;
	struct nn_meter meter;
	double value, error;

	nn_meter_init(&meter, &k->metric, &k->facts);
	for (int64_t first = 0; first < k->n; first += batch) {
		int64_t one = k->steps * k->width;

		nn_meter_add(&meter, &(struct nn_answers){ .n = TD_MIN(batch, k->n - first),
					     .steps = k->steps,
					     .width = k->width,
					     .answer = k->answer + first * one,
					     .loss = k->loss ? k->loss + first * k->steps : NULL,
					     .label = k->label ? k->label + first * k->steps : NULL,
					     .value = k->value ? k->value + first * one : NULL,
					     .share = k->share ? k->share + first * one : NULL });
	}
	nn_meter_result(&meter, &value, &error);
	cJSON_AddItemToObject(result, "value", json_number(value));
	cJSON_AddItemToObject(result, "error", json_number(error));
	if (type->curves)
		cJSON_AddItemToObject(result, "curves", type->curves(meter.state));
	nn_meter_release(&meter);
}

int main(void)
{
	char *line = mem_alloc(LINE_MOST);

	while (fgets(line, LINE_MOST, stdin)) {
		struct err e = { 0 };
		cJSON *document = json_parse(line, strlen(line), &e), *result = cJSON_CreateObject();
		struct one_case k;
		char *text;

		if (!document) {
			fprintf(stderr, "%s\n", e.text);
			return 1;
		}
		read_case(&k, document);
		measure(&k, json_int(document, "batch", 1), result);
		text = json_print(result);
		puts(text);
		fflush(stdout);
		mem_free(text);
		cJSON_Delete(result);
		cJSON_Delete(document);
		arena_release(&k.arena);
		faults_release(&k.faults);
	}
	mem_free(line);
	return 0;
}
