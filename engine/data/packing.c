/* Classes and samples on their way into a pack: see formats.h. */
#include "data/formats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Classes --------------------------------------------------------------------------------------------------- */

void classes_init(struct classes *c, int64_t n_most)
{
	*c = (struct classes){ .n_most = n_most };
	map_init(&c->index);
}

void classes_release(struct classes *c)
{
	for (int64_t i = 0; i < c->n; i++)
		mem_free(c->names[i]);
	mem_free(c->names);
	mem_free(c->count);
	map_release(&c->index);
	*c = (struct classes){ 0 };
}

static bool name_is_good(const char *name, struct err *e)
{
	size_t n = strlen(name);

	if (n > CLASS_NAME_MOST) {
		err_set(e, TD_INVALID, "\"%.60s...\" has %zu bytes; the name of a class has at most %d", name, n,
			CLASS_NAME_MOST);
		return false;
	}
	if (!utf8_valid(name, n)) {
		err_set(e, TD_INVALID,
			"the name of a class is not UTF-8; convert the file, for example with iconv -f latin1 -t "
			"utf-8");
		return false;
	}
	return true;
}

int32_t classes_add(struct classes *c, const char *name, struct err *e)
{
	intptr_t known = (intptr_t)map_get(&c->index, name);

	if (known)
		return (int32_t)(known - 1);
	if (!name_is_good(name, e))
		return -1;
	c->n_text += strlen(name) + 1;
	if (c->n == c->n_most || c->n_text > CLASSES_TEXT_MOST) {
		err_set(e, TD_TOO_LARGE, "there are more than %lld classes (\"%.60s\" is one more); are these labels?",
			(long long)c->n, name);
		return -1;
	}
	if (c->n == c->room) {
		c->room = c->room ? c->room * 2 : 16;
		c->names = mem_realloc(c->names, sizeof *c->names * (size_t)c->room);
		c->count = mem_realloc(c->count, sizeof *c->count * (size_t)c->room);
	}
	c->names[c->n] = mem_strdup(name);
	memset(c->count[c->n], 0, sizeof *c->count);
	map_put(&c->index, name, (void *)(intptr_t)(c->n + 1));
	return (int32_t)c->n++;
}

td_status classes_by_number(struct classes *c, const struct prepare *p, int64_t n, struct err *e)
{
	const struct opt_strings *given = &p->format.classes;
	char number[24];

	if (given->n && given->n < n)
		return err_set(e, TD_INVALID, "\"classes\" of the format names %d classes, but there is a label %lld",
			given->n, (long long)n - 1);
	for (int64_t i = c->n; i < TD_MAX(n, given->n); i++) {
		snprintf(number, sizeof number, "%lld", (long long)i);
		if (classes_add(c, given->n ? given->items[i] : number, e) < 0)
			return e->status;
		if (c->n == i)
			return err_set(e, TD_INVALID, "the class \"%s\" is named twice", given->items[i]);
	}
	return TD_OK;
}

struct named {
	char *name;
	double number;
	bool is_number;
	int32_t was;
};

/* Numbers first and by value, then names by their bytes. */
static int by_name(const void *a, const void *b)
{
	const struct named *x = a, *y = b;

	if (x->is_number != y->is_number)
		return x->is_number ? -1 : 1;
	if (x->is_number && x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return strcmp(x->name, y->name);
}

int32_t *classes_sort(struct classes *c)
{
	struct named *order = MEM_NEW_N(struct named, c->n + 1);
	int64_t(*count)[PACK_PARTS] = mem_alloc(sizeof *count * (size_t)(c->n + 1));
	int32_t *rank = MEM_NEW_N(int32_t, c->n + 1);

	for (int64_t i = 0; i < c->n; i++) {
		order[i] = (struct named){ .name = c->names[i], .was = (int32_t)i };
		order[i].is_number = csv_number(c->names[i], strlen(c->names[i]), &order[i].number);
	}
	qsort(order, (size_t)c->n, sizeof *order, by_name);
	for (int64_t i = 0; i < c->n; i++) {
		rank[order[i].was] = (int32_t)i;
		c->names[i] = order[i].name;
		memcpy(count[i], c->count[order[i].was], sizeof *count);
		map_put(&c->index, c->names[i], (void *)(intptr_t)(i + 1));
	}
	mem_free(c->count);
	c->count = count;
	c->room = c->n + 1;
	c->names = mem_realloc(c->names, sizeof *c->names * (size_t)c->room);
	mem_free(order);
	return rank;
}

void classes_tell(const struct classes *c, struct prepare *p)
{
	cJSON *names = cJSON_AddArrayToObject(p->info, "classes"),
	      *shown = cJSON_AddArrayToObject(p->summary, "classes");

	for (int64_t i = 0; i < c->n; i++) {
		cJSON *one;

		cJSON_AddItemToArray(names, cJSON_CreateString(c->names[i]));
		if (i >= PREPARE_SHOWN_MOST)
			continue;
		one = cJSON_CreateObject();
		cJSON_AddStringToObject(one, "name", c->names[i]);
		for (int part = 0; part < PACK_PARTS; part++)
			cJSON_AddNumberToObject(one, pack_part_names[part], (double)c->count[i][part]);
		cJSON_AddItemToArray(shown, one);
	}
	if (c->n > PREPARE_SHOWN_MOST)
		prepare_note(p, "The first %d of %lld classes are shown.", PREPARE_SHOWN_MOST, (long long)c->n);
}

/* ---- Samples --------------------------------------------------------------------------------------------------- */

struct chosen {
	int32_t label;
	int64_t at;
};

static int by_label(const void *a, const void *b)
{
	const struct chosen *x = a, *y = b;

	if (x->label != y->label)
		return x->label < y->label ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int choose_by_class(const int32_t *labels, int64_t n, int64_t n_classes, int64_t *out)
{
	int *wanted = MEM_NEW_N(int, n_classes);
	struct chosen chosen[PREPARE_SAMPLES_MOST] = { 0 };
	int n_chosen = 0;

	for (int k = 0; k < PREPARE_SAMPLES_MOST; k++)
		wanted[n_classes > PREPARE_SAMPLES_MOST ? k * n_classes / PREPARE_SAMPLES_MOST : k % n_classes]++;
	for (int64_t i = 0; i < n && n_chosen < PREPARE_SAMPLES_MOST; i++)
		if (wanted[labels[i]] > 0) {
			wanted[labels[i]]--;
			chosen[n_chosen++] = (struct chosen){ labels[i], i };
		}
	qsort(chosen, (size_t)n_chosen, sizeof *chosen, by_label);
	for (int k = 0; k < n_chosen; k++)
		out[k] = chosen[k].at;
	mem_free(wanted);
	return n_chosen;
}

int choose_samples(const int32_t *labels, int64_t n, int64_t n_classes, int64_t out[PREPARE_SAMPLES_MOST])
{
	int n_chosen = (int)TD_MIN(n, PREPARE_SAMPLES_MOST);

	if (labels && n_classes)
		return choose_by_class(labels, n, n_classes, out);
	for (int k = 0; k < n_chosen; k++)
		out[k] = k * n / n_chosen;
	return n_chosen;
}

cJSON *add_sample(struct prepare *p, int64_t index, const char *label)
{
	cJSON *samples = cJSON_GetObjectItemCaseSensitive(p->summary, "samples"), *one = cJSON_CreateObject();

	cJSON_AddStringToObject(one, "part", pack_part_names[PACK_TRAIN]);
	cJSON_AddNumberToObject(one, "index", (double)index);
	if (label)
		cJSON_AddStringToObject(one, "label", label);
	cJSON_AddItemToArray(samples, one);
	return one;
}
