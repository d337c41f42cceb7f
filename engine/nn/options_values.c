/* Reading options that are values: numbers, words, and lists of these; and the words of what is wrong. */
#include "nn/options_read.h"

#include <stdio.h>
#include <string.h>

/* ---- Faults ---------------------------------------------------------------------------------------------------- */

void opt_refuse(struct reading *r, const char *pointer, const cJSON *v, const char *expected)
{
	char *text = json_print(v);
	size_t n = strlen(text);

	faults_add(r->faults, pointer, "%.*s%s is not %s", OPT_VALUE_SHOWN, text, n > OPT_VALUE_SHOWN ? "..." : "",
		expected);
	mem_free(text);
}

void opt_child_pointer(char out[OPT_POINTER_BYTES], const char *pointer, const char *name)
{
	char token[128];

	json_pointer_token(name, token, sizeof token);
	snprintf(out, OPT_POINTER_BYTES, "%s/%s", pointer, token);
}

void opt_child_index(char out[OPT_POINTER_BYTES], const char *pointer, int i)
{
	snprintf(out, OPT_POINTER_BYTES, "%s/%d", pointer, i);
}

void opt_list_names(char *out, size_t size, const char *const *names, int n)
{
	size_t at = 0;

	out[0] = '\0';
	for (int i = 0; i < n && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s\"%s\"", !i ? "" : i == n - 1 ? " or " : ", ", names[i]);
}

static int count_names(const char *const *names)
{
	int n = 0;

	while (names[n])
		n++;
	return n;
}

static int find_name(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++)
		if (!strcmp(names[i], name))
			return i;
	return -1;
}

/* ---- Numbers --------------------------------------------------------------------------------------------------- */

static bool in_bounds(const struct opt *o, double x)
{
	return (o->above ? x > o->low : x >= o->low) && (o->below ? x < o->high : x <= o->high);
}

static void describe_bounds(const struct opt *o, const char *what, char *out, size_t size)
{
	snprintf(out, size, "%s %s %.15g and %s %.15g", what, o->above ? "above" : "of at least", o->low,
		o->below ? "below" : "at most", o->high);
}

static bool read_number(
	struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, bool integer, double *x)
{
	char expected[160];

	describe_bounds(o, integer ? "an integer" : "a number", expected, sizeof expected);
	if (!(integer ? json_is_integer(v) : cJSON_IsNumber(v)) || !in_bounds(o, v->valuedouble)) {
		opt_refuse(r, pointer, v, expected);
		return false;
	}
	*x = v->valuedouble;
	return true;
}

void opt_int_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	double x;

	if (read_number(r, o, v, pointer, true, &x))
		*(int64_t *)out = (int64_t)x;
}

void opt_float_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	read_number(r, o, v, pointer, false, out);
}

void opt_bool_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	(void)o;
	if (cJSON_IsBool(v))
		*(bool *)out = cJSON_IsTrue(v);
	else
		opt_refuse(r, pointer, v, "true or false");
}

/* ---- Lists of numbers ------------------------------------------------------------------------------------------ */

bool opt_list_sized(struct reading *r, const cJSON *v, const char *pointer, int least, int most, const char *what)
{
	char expected[120];
	int n = cJSON_IsArray(v) ? cJSON_GetArraySize(v) : -1;

	if (n >= least && n <= most)
		return true;
	if (least == most)
		snprintf(expected, sizeof expected, "an array of %d %s", least, what);
	else
		snprintf(expected, sizeof expected, "an array of %d to %d %s", least, most, what);
	opt_refuse(r, pointer, v, expected);
	return false;
}

void opt_pair_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	int64_t *pair = out;
	char child[OPT_POINTER_BYTES];

	if (cJSON_IsNumber(v)) {
		opt_int_read(r, o, v, pointer, &pair[0]);
		pair[1] = o->alone ? 0 : pair[0];
		return;
	}
	if (cJSON_IsString(v) && o->names) {
		opt_int_or_word_read(r, o, v, pointer, &pair[0]);
		pair[1] = pair[0];
		return;
	}
	if (!opt_list_sized(r, v, pointer, 2, 2, "integers, [height, width], or one integer"))
		return;
	for (int i = 0; i < 2; i++) {
		opt_child_index(child, pointer, i);
		opt_int_read(r, o, cJSON_GetArrayItem(v, i), child, &pair[i]);
	}
}

void opt_ints_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_ints *list = out;
	char child[OPT_POINTER_BYTES];
	const cJSON *item;
	int i = 0;

	if (o->alone && cJSON_IsNumber(v)) {
		list->n = 1;
		list->items = arena_alloc(r->arena, sizeof *list->items);
		list->items[0] = 0;
		opt_int_read(r, o, v, pointer, &list->items[0]);
		return;
	}
	if (!opt_list_sized(r, v, pointer, o->least, o->most, "integers"))
		return;
	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, sizeof *list->items * (size_t)(list->n + 1));
	cJSON_ArrayForEach(item, v)
	{
		opt_child_index(child, pointer, i);
		opt_int_read(r, o, item, child, &list->items[i++]);
	}
}

static void read_floats(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, double *out)
{
	char child[OPT_POINTER_BYTES];
	const cJSON *item;
	int i = 0;

	cJSON_ArrayForEach(item, v)
	{
		opt_child_index(child, pointer, i);
		opt_float_read(r, o, item, child, &out[i++]);
	}
}

void opt_floats2_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	if (opt_list_sized(r, v, pointer, 2, 2, "numbers"))
		read_floats(r, o, v, pointer, out);
}

void opt_floats_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_floats *list = out;

	if (!opt_list_sized(r, v, pointer, 1, o->most, "numbers"))
		return;
	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, sizeof *list->items * (size_t)list->n);
	read_floats(r, o, v, pointer, list->items);
}

/* ---- Words ----------------------------------------------------------------------------------------------------- */

void opt_refuse_name(
	struct reading *r, const char *pointer, const char *name, const char *what, const char *const *names, int n)
{
	const char *near = nearest_name(name, names, (size_t)n);
	char list[400];

	opt_list_names(list, sizeof list, names, n);
	if (near)
		faults_add(r->faults, pointer, "\"%.*s\" is not %s; did you mean \"%s\"? Known: %s", OPT_VALUE_SHOWN,
			name, what, near, list);
	else
		faults_add(r->faults, pointer, "\"%.*s\" is not %s; known: %s", OPT_VALUE_SHOWN, name, what, list);
}

void opt_enum_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	int n = count_names(o->names), at = cJSON_IsString(v) ? find_name(o->names, v->valuestring) : -1;
	char list[400];

	if (at >= 0) {
		*(int *)out = at;
	} else if (cJSON_IsString(v)) {
		opt_refuse_name(r, pointer, v->valuestring, "a value of this option", o->names, n);
	} else {
		opt_list_names(list, sizeof list, o->names, n);
		opt_refuse(r, pointer, v, list);
	}
}

/* As JSON Schema counts them: Unicode's code points. */
static double count_characters(const char *s)
{
	double n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void opt_string_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	char expected[80];
	int name = -1;

	if (o->names) {
		opt_enum_read(r, o, v, pointer, &name);
		if (name >= 0)
			*(const char **)out = o->names[name];
		return;
	}
	if (cJSON_IsString(v) && count_characters(v->valuestring) <= o->high) {
		*(const char **)out = arena_strdup(r->arena, v->valuestring);
		return;
	}
	snprintf(expected, sizeof expected, "a string of at most %.0f characters", o->high);
	opt_refuse(r, pointer, v, expected);
}

void opt_strings_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_strings *list = out;
	char child[OPT_POINTER_BYTES];

	if (o->alone && cJSON_IsString(v)) {
		list->n = 1;
		list->items = arena_alloc(r->arena, 2 * sizeof *list->items);
		list->items[0] = "";
		opt_string_read(r, o, v, pointer, &list->items[0]);
		return;
	}
	if (!opt_list_sized(r, v, pointer, 0, o->most, "strings"))
		return;
	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, sizeof *list->items * (size_t)(list->n + 1));
	for (int i = 0; i < list->n; i++) {
		list->items[i] = "";
		opt_child_index(child, pointer, i);
		opt_string_read(r, o, cJSON_GetArrayItem(v, i), child, &list->items[i]);
	}
}

void opt_int_or_word_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	int word = -1;

	if (cJSON_IsNumber(v)) {
		opt_int_read(r, o, v, pointer, out);
		return;
	}
	opt_enum_read(r, o, v, pointer, &word);
	if (word >= 0)
		*(int64_t *)out = -1 - word;
}

void opt_count_or_part_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	if (cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < 1)
		*(double *)out = v->valuedouble;
	else if (json_is_integer(v) && in_bounds(o, v->valuedouble))
		*(double *)out = v->valuedouble;
	else
		opt_refuse(r, pointer, v, "a count (an integer from 0) or a fraction between 0 and 1");
}
