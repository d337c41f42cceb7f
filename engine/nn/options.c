/* Reading options: see options.h.  Every kind of option is a function and a row of `readers`. */
#include "nn/options_read.h"

#include <stdio.h>
#include <string.h>

#define NAMES_MOST 256 /* names that a hint chooses from */

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
	opt_refuse_name(r, pointer, name, what, names, n);
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
	char child[OPT_POINTER_BYTES], expected[160];

	snprintf(child, sizeof child, "%s%s", pointer, cJSON_IsObject(v) && tag ? "/type" : "");
	if (!cJSON_IsString(tag)) {
		snprintf(expected, sizeof expected, "a known %s: give its name, \"%s\", or an object with a \"type\"",
			o->family->name, o->family->types[0]->name);
		opt_refuse(r, pointer, v, expected);
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
	char child[OPT_POINTER_BYTES];
	const cJSON *item;
	int i = 0;

	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, sizeof *list->items * (size_t)(list->n + 1));
	cJSON_ArrayForEach(item, v)
	{
		opt_child_index(child, pointer, i);
		choice_read(r, o, item, child, &list->items[i++]);
	}
}

static void choices_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	char what[80];

	snprintf(what, sizeof what, "%ss", o->family->name);
	if (opt_list_sized(r, v, pointer, o->least, o->most, what))
		read_choices(r, o, v, pointer, out);
}

static void choice_lists_read(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out)
{
	struct opt_choice_lists *lists = out;
	char child[OPT_POINTER_BYTES], what[80], lists_of[100];
	const cJSON *item;
	int i = 0;

	snprintf(what, sizeof what, "%ss", o->family->name);
	snprintf(lists_of, sizeof lists_of, "lists of %s", what);
	if (!opt_list_sized(r, v, pointer, o->least, o->most, lists_of))
		return;
	lists->n = cJSON_GetArraySize(v);
	lists->items = arena_alloc(r->arena, sizeof *lists->items * (size_t)(lists->n + 1));
	cJSON_ArrayForEach(item, v)
	{
		opt_child_index(child, pointer, i);
		if (opt_list_sized(r, item, child, 0, OPT_LIST_MOST, what))
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
	char child[OPT_POINTER_BYTES];
	const cJSON *item;
	int i = 0;

	if (!opt_list_sized(r, v, pointer, o->least, o->most, "objects"))
		return;
	list->n = cJSON_GetArraySize(v);
	list->items = arena_alloc(r->arena, o->section->n_bytes * (size_t)(list->n + 1));
	cJSON_ArrayForEach(item, v)
	{
		opt_child_index(child, pointer, i);
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
	[OPT_INT] = opt_int_read,
	[OPT_FLOAT] = opt_float_read,
	[OPT_BOOL] = opt_bool_read,
	[OPT_STRING] = opt_string_read,
	[OPT_ENUM] = opt_enum_read,
	[OPT_PAIR] = opt_pair_read,
	[OPT_INTS] = opt_ints_read,
	[OPT_FLOATS2] = opt_floats2_read,
	[OPT_FLOATS] = opt_floats_read,
	[OPT_STRINGS] = opt_strings_read,
	[OPT_INT_OR_WORD] = opt_int_or_word_read,
	[OPT_COUNT_OR_PART] = opt_count_or_part_read,
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
	char child[OPT_POINTER_BYTES], list[500];
	int n = add_names(t->common, names, add_names(t->type, names, 0));

	opt_child_pointer(child, pointer, name);
	opt_list_names(list, sizeof list, names, n);
	near = nearest_name(name, names, (size_t)n);
	if (near)
		faults_add(r->faults, child, "%s has no option \"%.*s\"; did you mean \"%s\"?", t->type->name,
			OPT_VALUE_SHOWN, name, near);
	else if (n)
		faults_add(r->faults, child, "%s has no option \"%.*s\"; it has %s", t->type->name, OPT_VALUE_SHOWN,
			name, list);
	else
		faults_add(r->faults, child, "%s has no option \"%.*s\"; it has none", t->type->name, OPT_VALUE_SHOWN,
			name);
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
	} else if (o->kind == OPT_SECTION && !o->optional) {
		read_section(r, o->section, NULL, pointer, place);
	}
}

static void read_options(
	struct reading *r, const struct opt_type *t, const cJSON *object, const char *pointer, void *out, bool complete)
{
	char child[OPT_POINTER_BYTES];

	for (int i = 0; i < t->n_options; i++) {
		const struct opt *o = &t->options[i];
		const cJSON *v = object ? json_get(object, o->name) : NULL;
		void *place = (char *)out + o->at;

		opt_child_pointer(child, pointer, o->name);
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
		opt_refuse(r, pointer, object, "an object");
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

void opt_read_stored(
	const struct opt_type *type, const cJSON *object, void *out, struct arena *arena, struct faults *faults)
{
	struct reading r = { .arena = arena, .faults = faults };

	read_section(&r, type, object, "", out);
}
