/* Reading options: see options.h.  Every kind of option is a function and a row of `readers`. */
#include "nn/options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTER_BYTES 256 /* a longer JSON pointer is cut: it is for people to read */
#define VALUE_SHOWN   60  /* bytes of a wrong value that a fault repeats */
#define NAMES_MOST    256 /* names that a hint chooses from */

struct reading {
	struct arena *arena;
	struct faults *faults;
	bool keras; /* whose defaults stand where none is given */
};

typedef void opt_reader(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out);

/* ---- Faults ---------------------------------------------------------------------------------------------------- */

/* "POINTER: 7 is not ...": V as the author wrote it, then what was expected. */
static void refuse(struct reading *r, const char *pointer, const cJSON *v, const char *expected)
{
	char *text = json_print(v);
	size_t n = strlen(text);

	faults_add(r->faults, pointer, "%.*s%s is not %s", VALUE_SHOWN, text, n > VALUE_SHOWN ? "..." : "", expected);
	mem_free(text);
}

static void child_pointer(char out[POINTER_BYTES], const char *pointer, const char *name)
{
	char token[128];

	json_pointer_token(name, token, sizeof token);
	snprintf(out, POINTER_BYTES, "%s/%s", pointer, token);
}

static void child_index(char out[POINTER_BYTES], const char *pointer, int i)
{
	snprintf(out, POINTER_BYTES, "%s/%d", pointer, i);
}

/* "a", "b" or "c" */
static void list_names(char *out, size_t size, const char *const *names, int n)
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
		refuse(r, pointer, v, expected);
		return false;
	}
	*x = v->valuedouble;
	return true;
}

static void int_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	double x;

	if (read_number(r, o, v, pointer, true, &x))
		*(int64_t *)out = (int64_t)x;
}

static void float_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	read_number(r, o, v, pointer, false, out);
}

static void bool_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	(void)o;
	if (cJSON_IsBool(v))
		*(bool *)out = cJSON_IsTrue(v);
	else
		refuse(r, pointer, v, "true or false");
}

/* ---- Lists of numbers ------------------------------------------------------------------------------------------ */

static bool list_sized(struct reading *r, const cJSON *v, const char *pointer, int least, int most, const char *what)
{
	char expected[120];
	int n = cJSON_IsArray(v) ? cJSON_GetArraySize(v) : -1;

	if (n >= least && n <= most)
		return true;
	if (least == most)
		snprintf(expected, sizeof expected, "an array of %d %s", least, what);
	else
		snprintf(expected, sizeof expected, "an array of %d to %d %s", least, most, what);
	refuse(r, pointer, v, expected);
	return false;
}

static opt_reader int_or_word_read;

static void pair_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	int64_t *pair = out;
	char child[POINTER_BYTES];

	if (cJSON_IsNumber(v)) {
		int_read(r, o, v, pointer, &pair[0]);
		pair[1] = o->alone ? 0 : pair[0];
		return;
	}
	if (cJSON_IsString(v) && o->names) {
		int_or_word_read(r, o, v, pointer, &pair[0]);
		pair[1] = pair[0];
		return;
	}
	if (!list_sized(r, v, pointer, 2, 2, "integers, [height, width], or one integer"))
		return;
	for (int i = 0; i < 2; i++) {
		child_index(child, pointer, i);
		int_read(r, o, cJSON_GetArrayItem(v, i), child, &pair[i]);
	}
}

static void ints_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_ints *list = out;
	char child[POINTER_BYTES];
	const cJSON *item;
	int i = 0;

	if (o->alone && cJSON_IsNumber(v)) {
		list->n = 1;
		list->items = arena_alloc(r->arena, sizeof *list->items);
		list->items[0] = 0;
		int_read(r, o, v, pointer, &list->items[0]);
		return;
	}
	if (!list_sized(r, v, pointer, o->least, o->most, "integers"))
		return;
	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, sizeof *list->items * (size_t)(list->n + 1));
	cJSON_ArrayForEach(item, v)
	{
		child_index(child, pointer, i);
		int_read(r, o, item, child, &list->items[i++]);
	}
}

static void read_floats(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, double *out)
{
	char child[POINTER_BYTES];
	const cJSON *item;
	int i = 0;

	cJSON_ArrayForEach(item, v)
	{
		child_index(child, pointer, i);
		float_read(r, o, item, child, &out[i++]);
	}
}

static void floats2_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	if (list_sized(r, v, pointer, 2, 2, "numbers"))
		read_floats(r, o, v, pointer, out);
}

static void floats_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_floats *list = out;

	if (!list_sized(r, v, pointer, 1, o->most, "numbers"))
		return;
	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, sizeof *list->items * (size_t)list->n);
	read_floats(r, o, v, pointer, list->items);
}

/* ---- Words ----------------------------------------------------------------------------------------------------- */

static void refuse_name(
	struct reading *r, const char *pointer, const char *name, const char *what, const char *const *names, int n)
{
	const char *near = nearest_name(name, names, (size_t)n);
	char list[400];

	list_names(list, sizeof list, names, n);
	if (near)
		faults_add(r->faults, pointer, "\"%.*s\" is not %s; did you mean \"%s\"? Known: %s", VALUE_SHOWN, name,
			what, near, list);
	else
		faults_add(r->faults, pointer, "\"%.*s\" is not %s; known: %s", VALUE_SHOWN, name, what, list);
}

static void enum_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	int n = count_names(o->names), at = cJSON_IsString(v) ? find_name(o->names, v->valuestring) : -1;
	char list[400];

	if (at >= 0) {
		*(int *)out = at;
	} else if (cJSON_IsString(v)) {
		refuse_name(r, pointer, v->valuestring, "a value of this option", o->names, n);
	} else {
		list_names(list, sizeof list, o->names, n);
		refuse(r, pointer, v, list);
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

static void string_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	char expected[80];
	int name = -1;

	if (o->names) {
		enum_read(r, o, v, pointer, &name);
		if (name >= 0)
			*(const char **)out = o->names[name];
		return;
	}
	if (cJSON_IsString(v) && count_characters(v->valuestring) <= o->high) {
		*(const char **)out = arena_strdup(r->arena, v->valuestring);
		return;
	}
	snprintf(expected, sizeof expected, "a string of at most %.0f characters", o->high);
	refuse(r, pointer, v, expected);
}

static void strings_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_strings *list = out;
	char child[POINTER_BYTES];

	if (o->alone && cJSON_IsString(v)) {
		list->n = 1;
		list->items = arena_alloc(r->arena, 2 * sizeof *list->items);
		list->items[0] = "";
		string_read(r, o, v, pointer, &list->items[0]);
		return;
	}
	if (!list_sized(r, v, pointer, 0, o->most, "strings"))
		return;
	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, sizeof *list->items * (size_t)(list->n + 1));
	for (int i = 0; i < list->n; i++) {
		list->items[i] = "";
		child_index(child, pointer, i);
		string_read(r, o, cJSON_GetArrayItem(v, i), child, &list->items[i]);
	}
}

static void int_or_word_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	int word = -1;

	if (cJSON_IsNumber(v)) {
		int_read(r, o, v, pointer, out);
		return;
	}
	enum_read(r, o, v, pointer, &word);
	if (word >= 0)
		*(int64_t *)out = -1 - word;
}

static void count_or_part_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	if (cJSON_IsNumber(v) && v->valuedouble > 0 && v->valuedouble < 1)
		*(double *)out = v->valuedouble;
	else if (json_is_integer(v) && in_bounds(o, v->valuedouble))
		*(double *)out = v->valuedouble;
	else
		refuse(r, pointer, v, "a count (an integer from 0) or a fraction between 0 and 1");
}

/* ---- Choices: tagged unions ------------------------------------------------------------------------------------ */

static const struct opt_type *find_type(
	struct reading *r, const struct opt_family *f, const char *name, const char *pointer)
{
	const char *names[NAMES_MOST];
	char what[80];
	int n = 0;

	for (; n < f->n_types && n < NAMES_MOST; n++) {
		if (!strcmp(f->types[n]->name, name))
			return f->types[n];
		names[n] = f->types[n]->name;
	}
	snprintf(what, sizeof what, "a known %s", f->name);
	refuse_name(r, pointer, name, what, names, n);
	return NULL;
}

/* Where the members of one object go: the options of its type, and those that all members of its family have. */
struct target {
	const struct opt_type *type;
	void *out;                     /* TYPE's struct */
	const struct opt_type *common; /* NULL: none */
	void *common_out;
	bool tagged; /* "type" is a member too */
};

static void read_members(struct reading *r, const struct target *t, const cJSON *object, const char *pointer);

static void choice_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_choice *choice = out;
	const cJSON *tag = cJSON_IsObject(v) ? json_get(v, "type") : v;
	const struct opt_type *t;
	char child[POINTER_BYTES], expected[160];

	snprintf(child, sizeof child, "%s%s", pointer, cJSON_IsObject(v) && tag ? "/type" : "");
	if (!cJSON_IsString(tag)) {
		snprintf(expected, sizeof expected, "a known %s: give its name, \"%s\", or an object with a \"type\"",
			o->family->name, o->family->types[0]->name);
		refuse(r, pointer, v, expected);
		return;
	}
	t = find_type(r, o->family, tag->valuestring, child);
	if (!t)
		return;
	choice->type = t;
	choice->options = arena_alloc(r->arena, TD_MAX(t->n_bytes, 1));
	if (o->family->common)
		choice->common = arena_alloc(r->arena, TD_MAX(o->family->common->n_bytes, 1));
	read_members(r,
		&(struct target){ .type = t,
			.out = choice->options,
			.common = o->family->common,
			.common_out = choice->common,
			.tagged = true },
		cJSON_IsObject(v) ? v : NULL, pointer);
}

static void read_choices(
	struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, struct opt_choices *list)
{
	char child[POINTER_BYTES];
	const cJSON *item;
	int i = 0;

	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, sizeof *list->items * (size_t)(list->n + 1));
	cJSON_ArrayForEach(item, v)
	{
		child_index(child, pointer, i);
		choice_read(r, o, item, child, &list->items[i++]);
	}
}

static void choices_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	char what[80];

	snprintf(what, sizeof what, "%ss", o->family->name);
	if (list_sized(r, v, pointer, o->least, o->most, what))
		read_choices(r, o, v, pointer, out);
}

static void choice_lists_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_choice_lists *lists = out;
	char child[POINTER_BYTES], what[80], lists_of[100];
	const cJSON *item;
	int i = 0;

	snprintf(what, sizeof what, "%ss", o->family->name);
	snprintf(lists_of, sizeof lists_of, "lists of %s", what);
	if (!list_sized(r, v, pointer, o->least, o->most, lists_of))
		return;
	lists->n = cJSON_GetArraySize(v);
	lists->items = arena_alloc(r->arena, sizeof *lists->items * (size_t)(lists->n + 1));
	cJSON_ArrayForEach(item, v)
	{
		child_index(child, pointer, i);
		if (list_sized(r, item, child, 0, OPT_LIST_MOST, what))
			read_choices(r, o, item, child, &lists->items[i]);
		i++;
	}
}

static void read_section(
	struct reading *r, const struct opt_type *section, const cJSON *v, const char *pointer, void *out)
{
	read_members(r, &(struct target){ .type = section, .out = out }, v, pointer);
}

static void section_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	read_section(r, o->section, v, pointer, out);
}

static void sections_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_sections *list = out;
	char child[POINTER_BYTES];
	const cJSON *item;
	int i = 0;

	if (!list_sized(r, v, pointer, o->least, o->most, "objects"))
		return;
	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, o->section->n_bytes * (size_t)(list->n + 1));
	cJSON_ArrayForEach(item, v)
	{
		child_index(child, pointer, i);
		read_section(r, o->section, item, child, (char *)list->items + o->section->n_bytes * (size_t)i++);
	}
}

static void json_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	(void)r;
	(void)o;
	(void)pointer;
	*(const cJSON **)out = v;
}

/* ---- Objects --------------------------------------------------------------------------------------------------- */

static opt_reader *const readers[] = {
	[OPT_INT] = int_read,
	[OPT_FLOAT] = float_read,
	[OPT_BOOL] = bool_read,
	[OPT_STRING] = string_read,
	[OPT_ENUM] = enum_read,
	[OPT_PAIR] = pair_read,
	[OPT_INTS] = ints_read,
	[OPT_FLOATS2] = floats2_read,
	[OPT_FLOATS] = floats_read,
	[OPT_STRINGS] = strings_read,
	[OPT_INT_OR_WORD] = int_or_word_read,
	[OPT_COUNT_OR_PART] = count_or_part_read,
	[OPT_CHOICE] = choice_read,
	[OPT_CHOICES] = choices_read,
	[OPT_CHOICE_LISTS] = choice_lists_read,
	[OPT_SECTION] = section_read,
	[OPT_SECTIONS] = sections_read,
	[OPT_JSON] = json_read,
};

static int add_names(const struct opt_type *t, const char **names, int n)
{
	for (int i = 0; t && i < t->n_options && n < NAMES_MOST; i++)
		names[n++] = t->options[i].name;
	return n;
}

static void refuse_member(struct reading *r, const struct target *t, const char *name, const char *pointer)
{
	const char *names[NAMES_MOST], *near;
	char child[POINTER_BYTES], list[500];
	int n = add_names(t->common, names, add_names(t->type, names, 0));

	child_pointer(child, pointer, name);
	list_names(list, sizeof list, names, n);
	near = nearest_name(name, names, (size_t)n);
	if (near)
		faults_add(r->faults, child, "%s has no option \"%.*s\"; did you mean \"%s\"?", t->type->name,
			VALUE_SHOWN, name, near);
	else if (n)
		faults_add(r->faults, child, "%s has no option \"%.*s\"; it has %s", t->type->name, VALUE_SHOWN, name,
			list);
	else
		faults_add(
			r->faults, child, "%s has no option \"%.*s\"; it has none", t->type->name, VALUE_SHOWN, name);
}

static bool has_option(const struct opt_type *t, const char *name)
{
	for (int i = 0; t && i < t->n_options; i++)
		if (!strcmp(name, t->options[i].name))
			return true;
	return false;
}

static void refuse_unknown(struct reading *r, const struct target *t, const cJSON *object, const char *pointer)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, object)
	{
		bool tag = t->tagged && !strcmp(member->string, "type");

		if (!tag && !has_option(t->type, member->string) && !has_option(t->common, member->string))
			refuse_member(r, t, member->string, pointer);
	}
}

static cJSON *parse_default(const struct opt *o, const char *text)
{
	struct err e = { 0 };
	cJSON *v = json_parse(text, strlen(text), &e);

	if (!v)
		TD_BUG("the default of option %s is not JSON: %s", o->name, e.text);
	return v;
}

/* Fill the place of O with its default, so that a struct is whole even where the document is not. */
static void set_default(struct reading *r, const struct opt *o, const char *pointer, void *place)
{
	const char *text = r->keras && o->keras ? o->keras : o->value;
	cJSON *v;

	if (text) {
		v = parse_default(o, text);
		readers[o->kind](r, o, v, pointer, place);
		cJSON_Delete(v);
	} else if (o->kind == OPT_SECTION) {
		read_section(r, o->section, NULL, pointer, place);
	}
}

static void read_options(
	struct reading *r, const struct opt_type *t, const cJSON *object, const char *pointer, void *out, bool complete)
{
	char child[POINTER_BYTES];

	for (int i = 0; i < t->n_options; i++) {
		const struct opt *o = &t->options[i];
		const cJSON *v = object ? json_get(object, o->name) : NULL;
		void *place = (char *)out + o->at;

		child_pointer(child, pointer, o->name);
		if (!v || o->kind != OPT_SECTION) /* a section that is there fills itself */
			set_default(r, o, child, place);
		if (v)
			readers[o->kind](r, o, v, child, place);
		else if (o->required && complete)
			faults_add(r->faults, pointer, "\"%s\" is missing from %s: %s", o->name, t->name, o->doc);
	}
}

static void read_members(struct reading *r, const struct target *t, const cJSON *object, const char *pointer)
{
	bool complete = object || t->tagged; /* a section that is not there at all is its parent's concern */

	if (object && !cJSON_IsObject(object)) {
		refuse(r, pointer, object, "an object");
		object = NULL;
		complete = false;
	} else if (object) {
		refuse_unknown(r, t, object, pointer);
	}
	read_options(r, t->type, object, pointer, t->out, complete);
	if (t->common)
		read_options(r, t->common, object, pointer, t->common_out, complete);
}

void opt_read(const struct opt_type *type, const cJSON *object, const char *pointer, void *out, struct arena *arena,
	struct faults *faults)
{
	struct reading r = { .arena = arena,
		.faults = faults,
		.keras = has_option(type, "defaults") && !strcmp(json_string(object, "defaults", ""), "keras") };

	read_section(&r, type, object, pointer, out);
}
