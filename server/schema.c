/* A validator for JSON Schema: see schema.h. */
#include "schema.h"
#include "schema_words.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define POINTER_MOST 2048 /* bytes of a pointer in a fault; a deeper place is reported at its ancestor */

struct schema {
	cJSON *root; /* owned */
};

struct walk {
	const cJSON *root;    /* of the schema */
	const char *defaults; /* borrowed from the document: its member "defaults", or "" */
	struct faults *faults;
	struct buf pointer; /* of the value being checked */
};

static cJSON *check(struct walk *w, const cJSON *schema, const cJSON *v);

/* ---- Faults ------------------------------------------------------------------------------------------------------ */

static void fault(struct walk *w, const char *fmt, ...) TD_PRINTF(2, 3);

static void fault(struct walk *w, const char *fmt, ...)
{
	char detail[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof detail, fmt, ap);
	va_end(ap);
	faults_add(w->faults, w->pointer.data ? w->pointer.data : "", "%s", detail);
}

static void fault_unexpected(struct walk *w, const cJSON *schema, const cJSON *v)
{
	struct buf wanted;
	char text[80];

	buf_init(&wanted, 500);
	schema_describe(w->root, schema, &wanted);
	fault(w, "%s does not fit here; expected %s", schema_show(v, text, sizeof text),
		wanted.data ? wanted.data : "another value");
	buf_release(&wanted);
}

/* Step down to member or element NAME; returns the length to give to step_up. */
static size_t step_down(struct walk *w, const char *name)
{
	size_t before = w->pointer.len;
	char token[256];

	json_pointer_token(name, token, sizeof token);
	buf_printf(&w->pointer, "/%s", token);
	return before;
}

static void step_up(struct walk *w, size_t before)
{
	w->pointer.len = before;
	if (w->pointer.data)
		w->pointer.data[before] = '\0';
	w->pointer.full = false;
}

/* ---- Objects ----------------------------------------------------------------------------------------------------- */

/* Required fields that an object lacks. */
struct missing {
	const char *names[NAMES_MOST]; /* borrowed from the schema */
	size_t n;
};

static void find_missing(const cJSON *schema, const cJSON *v, struct missing *m)
{
	const cJSON *required;

	m->n = 0;
	cJSON_ArrayForEach(required, json_get(schema, "required"))
	{
		if (m->n < NAMES_MOST && !json_get(v, required->valuestring))
			m->names[m->n++] = required->valuestring;
	}
}

/* The missing field that NAME, which is none of NAMES, was probably to be: one that is missing may be a change farther
 * off than one that is only possible.  It is taken out of M: one mistake, one fault.  NULL: there is none. */
static const char *take_misspelt(struct missing *m, const char *name, const char *const *names, size_t n)
{
	const char *near = nearest_name(name, m->names, m->n), *other = nearest_name(name, names, n);

	if (!near || name_distance(name, near) > name_distance(name, other) + 1)
		return NULL;
	for (size_t i = 0; i < m->n; i++) {
		if (m->names[i] == near) {
			m->names[i] = m->names[--m->n];
			break;
		}
	}
	return near;
}

static bool is_listed(const cJSON *words, const char *name)
{
	const cJSON *word;

	cJSON_ArrayForEach(word, words)
	{
		if (cJSON_IsString(word) && !strcmp(word->valuestring, name))
			return true;
	}
	return false;
}

static void fault_unknown_member(struct walk *w, const cJSON *schema, const char *name, struct missing *m)
{
	const char *names[NAMES_MOST], *misspelt;
	const cJSON *p;
	size_t n = 0, before = step_down(w, name);
	char text[400];

	cJSON_ArrayForEach(p, json_get(schema, "properties"))
	{
		if (n < NAMES_MOST)
			names[n++] = p->string;
	}
	if (is_listed(json_get(schema, "x-inferred"), name)) {
		fault(w, "leave \"%.60s\" out: it follows from the layer before", name);
	} else {
		misspelt = take_misspelt(m, name, names, n);
		schema_hint(name, misspelt ? &misspelt : names, misspelt ? 1 : n, text, sizeof text);
		fault(w, "there is no field \"%.60s\" here; %s", name, text);
	}
	step_up(w, before);
}

static void fault_missing(struct walk *w, const cJSON *schema, const struct missing *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct buf wanted;

		buf_init(&wanted, 500);
		schema_describe(w->root, json_get(json_get(schema, "properties"), m->names[i]), &wanted);
		fault(w, "the field \"%s\" is missing; expected %s", m->names[i],
			wanted.data ? wanted.data : "a value");
		buf_release(&wanted);
	}
}

/* What P says for documents with such "defaults"; else its default, or that of S, which it refers to. */
static const cJSON *default_of(const struct walk *w, const cJSON *p, const cJSON *s)
{
	const cJSON *by_name = json_get(json_get(p, "x-defaults"), w->defaults), *own = json_get(p, "default");

	return by_name ? by_name : own ? own : json_get(s, "default");
}

/* Members that are absent get their default: a value of their own, or that of a sister. */
static void fill_absent(struct walk *w, const cJSON *schema, const cJSON *v, cJSON *copy)
{
	const cJSON *p;

	cJSON_ArrayForEach(p, json_get(schema, "properties"))
	{
		const cJSON *otherwise = default_of(w, p, schema_resolve(w->root, p)),
			    *sister = json_get(copy, json_string(p, "x-default-from", ""));
		size_t before;

		if (json_get(v, p->string))
			continue;
		if (sister)
			cJSON_AddItemToObject(copy, p->string, cJSON_Duplicate(sister, true));
		if (sister || !otherwise)
			continue;
		before = step_down(w, p->string);
		cJSON_AddItemToObject(copy, p->string, check(w, p, otherwise)); /* a default may have defaults inside */
		step_up(w, before);
	}
}

static cJSON *check_object(struct walk *w, const cJSON *schema, const cJSON *v)
{
	const cJSON *member, *properties = json_get(schema, "properties"),
			     *others = json_get(schema, "additionalProperties");
	cJSON *copy = cJSON_CreateObject();
	struct missing missing;

	find_missing(schema, v, &missing);
	cJSON_ArrayForEach(member, v)
	{
		const cJSON *s = json_get(properties, member->string);
		size_t before;

		if (!s && cJSON_IsFalse(others)) {
			fault_unknown_member(w, schema, member->string, &missing);
			continue;
		}
		before = step_down(w, member->string);
		s = s ? s : cJSON_IsObject(others) ? others : NULL;
		cJSON_AddItemToObject(copy, member->string, s ? check(w, s, member) : cJSON_Duplicate(member, true));
		step_up(w, before);
	}
	fault_missing(w, schema, &missing);
	fill_absent(w, schema, v, copy);
	return copy;
}

/* ---- Arrays, strings, numbers ------------------------------------------------------------------------------------ */

static cJSON *check_array(struct walk *w, const cJSON *schema, const cJSON *v)
{
	const cJSON *element, *prefix = json_get(schema, "prefixItems"), *items = json_get(schema, "items");
	const cJSON *own = prefix ? prefix->child : NULL;
	cJSON *copy = cJSON_CreateArray();
	int n = cJSON_GetArraySize(v), i = 0;

	if (n < json_double(schema, "minItems", 0))
		fault(w, "there are %d elements; expected at least %.0f", n, json_double(schema, "minItems", 0));
	if (n > json_double(schema, "maxItems", INFINITY))
		fault(w, "there are %d elements; expected at most %.0f", n, json_double(schema, "maxItems", 0));
	cJSON_ArrayForEach(element, v)
	{
		const cJSON *s = own ? own : items;
		char index[16];
		size_t before;

		snprintf(index, sizeof index, "%d", i++);
		before = step_down(w, index);
		if (cJSON_IsFalse(s))
			fault(w, "there is one element too many; expected at most %d", i - 1);
		cJSON_AddItemToArray(copy, cJSON_IsObject(s) ? check(w, s, element) : cJSON_Duplicate(element, true));
		step_up(w, before);
		own = own ? own->next : NULL;
	}
	return copy;
}

static void check_string(struct walk *w, const cJSON *schema, const cJSON *v)
{
	size_t n = 0;

	for (const char *p = v->valuestring; *p; p++)
		n += ((unsigned char)*p & 0xc0) != 0x80;
	if ((double)n < json_double(schema, "minLength", 0))
		fault(w, "this text has %zu characters; expected at least %.0f", n,
			json_double(schema, "minLength", 0));
	if ((double)n > json_double(schema, "maxLength", INFINITY))
		fault(w, "this text has %zu characters; expected at most %.0f", n, json_double(schema, "maxLength", 0));
}

static void check_number(struct walk *w, const cJSON *schema, const cJSON *v)
{
	double x = v->valuedouble;
	bool fits = x >= json_double(schema, "minimum", -INFINITY) && x <= json_double(schema, "maximum", INFINITY) &&
		    x > json_double(schema, "exclusiveMinimum", -INFINITY) &&
		    x < json_double(schema, "exclusiveMaximum", INFINITY);

	if (!fits)
		fault_unexpected(w, schema, v);
}

/* ---- Unions ------------------------------------------------------------------------------------------------------ */

/* The branch for objects whose type is NAME; unions may stand in unions. */
static const cJSON *branch_by_name(const struct walk *w, const cJSON *schema, const char *name)
{
	const cJSON *branch;

	cJSON_ArrayForEach(branch, schema_branches(schema))
	{
		const cJSON *b = schema_resolve(w->root, branch);
		const char *own = schema_branch_name(b);
		const cJSON *found = schema_branches(b) ? branch_by_name(w, b, name) : NULL;

		if (own && !strcmp(own, name))
			return b;
		if (found)
			return found;
	}
	return NULL;
}

/* Check V against BRANCH without telling anybody.  NULL: it does not fit. */
static cJSON *try_branch(struct walk *w, const cJSON *branch, const cJSON *v, size_t *n_faults)
{
	struct faults *own = w->faults, quiet;
	cJSON *copy;

	faults_init(&quiet);
	w->faults = &quiet;
	copy = check(w, branch, v);
	*n_faults = quiet.n_found;
	w->faults = own;
	faults_release(&quiet);
	if (*n_faults) {
		cJSON_Delete(copy);
		copy = NULL;
	}
	return copy;
}

static bool type_fits(const cJSON *type, const cJSON *v)
{
	const cJSON *item;

	if (!type)
		return true;
	if (cJSON_IsString(type))
		return schema_is_type(v, type->valuestring);
	cJSON_ArrayForEach(item, type)
	{
		if (schema_is_type(v, item->valuestring))
			return true;
	}
	return false;
}

/* Whether V has the JSON type that BRANCH asks for, whatever is wrong inside. */
static bool same_kind(const struct walk *w, const cJSON *branch, const cJSON *v)
{
	const cJSON *b = schema_resolve(w->root, branch), *type = json_get(b, "type"), *words = json_get(b, "enum");

	if (!type && words && words->child)
		return !strcmp(schema_type_of(words->child), schema_type_of(v));
	if (cJSON_IsNumber(v) && cJSON_IsString(type) && !strcmp(type->valuestring, "integer"))
		return true; /* 1.5 was meant as one */
	return type_fits(type, v);
}

/* Unions without names.  The one branch of the value's own kind is checked at once, and only of several each is tried:
 * trying at every level would cost a hostile document's depth in powers of two. */
static cJSON *check_plain_union(struct walk *w, const cJSON *schema, const cJSON *v)
{
	const cJSON *branch, *candidate = NULL;
	size_t n_candidates = 0, n_faults;
	cJSON *copy;

	cJSON_ArrayForEach(branch, schema_branches(schema))
	{
		if (same_kind(w, branch, v)) {
			candidate = branch;
			n_candidates++;
		}
	}
	if (n_candidates == 1 && (cJSON_IsObject(v) || cJSON_IsArray(v)))
		return check(w, candidate, v);
	cJSON_ArrayForEach(branch, schema_branches(schema))
	{
		copy = same_kind(w, branch, v) ? try_branch(w, branch, v, &n_faults) : NULL;
		if (copy)
			return copy;
	}
	fault_unexpected(w, schema, v);
	return cJSON_Duplicate(v, true);
}

static void fault_unknown_name(struct walk *w, const cJSON *schema, const char *name, bool in_type)
{
	const char *names[NAMES_MOST], *what = json_string(schema, "title", "");
	size_t n = schema_names(w->root, schema, names, NAMES_MOST),
	       before = in_type ? step_down(w, "type") : w->pointer.len;
	char text[400];

	schema_hint(name, names, n, text, sizeof text);
	fault(w, "unknown %s%stype \"%.60s\"; %s", what, *what ? " " : "", name, text);
	step_up(w, before);
}

/* Is "name" alone one of the words of a string branch? */
static bool is_word(const struct walk *w, const cJSON *schema, const char *name)
{
	const cJSON *branch, *word;

	cJSON_ArrayForEach(branch, schema_branches(schema))
	{
		const cJSON *b = schema_resolve(w->root, branch);

		if (schema_branches(b) && is_word(w, b, name))
			return true;
		cJSON_ArrayForEach(word, json_get(b, "enum"))
		{
			if (cJSON_IsString(word) && !strcmp(word->valuestring, name))
				return true;
		}
	}
	return false;
}

static cJSON *check_word(struct walk *w, const cJSON *schema, const cJSON *v)
{
	const cJSON *branch = branch_by_name(w, schema, v->valuestring);
	cJSON *object, *copy;

	if (!is_word(w, schema, v->valuestring)) {
		if (!branch) {
			fault_unknown_name(w, schema, v->valuestring, false);
			return cJSON_Duplicate(v, true);
		}
		fault(w, "\"%s\" needs options; write {\"type\": \"%s\", ...}", v->valuestring, v->valuestring);
		return cJSON_Duplicate(v, true);
	}
	if (!branch)
		return cJSON_Duplicate(v, true);
	object = cJSON_CreateObject();
	cJSON_AddStringToObject(object, "type", v->valuestring);
	copy = check(w, branch, object);
	cJSON_Delete(object);
	return copy;
}

static cJSON *check_union(struct walk *w, const cJSON *schema, const cJSON *v)
{
	const char *names[NAMES_MOST], *name = json_string(v, "type", NULL);
	const cJSON *branch = cJSON_IsObject(v) && name ? branch_by_name(w, schema, name) : NULL;
	size_t n_faults, n = schema_names(w->root, schema, names, NAMES_MOST);
	bool named = false;
	char text[400];

	for (size_t i = 0; i < n && !named; i++)
		named = branch_by_name(w, schema, names[i]) != NULL;
	if (branch)
		return check(w, branch, v);
	if (named && cJSON_IsString(v))
		return check_word(w, schema, v);
	if (!named || !cJSON_IsObject(v))
		return check_plain_union(w, schema, v);

	cJSON *copy = NULL; /* an object: a branch without a name may still fit it ({"name": "resnet18"}) */
	const cJSON *other;
	cJSON_ArrayForEach(other, schema_branches(schema))
	{
		if (!copy && !schema_branch_name(schema_resolve(w->root, other)))
			copy = try_branch(w, other, v, &n_faults);
	}
	if (copy)
		return copy;
	if (name && is_word(w, schema, name)) {
		fault(w, "\"%s\" takes no options; write it as a string", name);
	} else if (name) {
		fault_unknown_name(w, schema, name, true);
	} else {
		size_t before = json_get(v, "type") ? step_down(w, "type") : w->pointer.len;

		schema_hint("", names, n, text, sizeof text);
		fault(w, "the field \"type\" %s; %s", json_get(v, "type") ? "is not a string" : "is missing", text);
		step_up(w, before);
	}
	return cJSON_Duplicate(v, true);
}

/* ---- One value --------------------------------------------------------------------------------------------------- */

static bool is_allowed(const cJSON *words, const cJSON *v)
{
	const cJSON *word;

	cJSON_ArrayForEach(word, words)
	{
		if (cJSON_Compare(word, v, true))
			return true;
	}
	return false;
}

static void check_enum(struct walk *w, const cJSON *schema, const cJSON *words, const cJSON *v)
{
	const char *names[NAMES_MOST], *near = NULL;
	const cJSON *word;
	size_t n = 0;

	if (is_allowed(words, v))
		return;
	cJSON_ArrayForEach(word, words)
	{
		if (cJSON_IsString(word) && n < NAMES_MOST)
			names[n++] = word->valuestring;
	}
	if (cJSON_IsString(v))
		near = nearest_name(v->valuestring, names, n);
	if (near)
		fault(w, "\"%.60s\" is not known here; did you mean \"%s\"?", v->valuestring, near);
	else
		fault_unexpected(w, schema, v);
}

/* Check V; the copy with defaults is returned also when there were faults. */
static cJSON *check(struct walk *w, const cJSON *given, const cJSON *v)
{
	const cJSON *schema = schema_resolve(w->root, given), *words = json_get(schema, "enum"),
		    *only = json_get(schema, "const");

	TD_ASSERT(schema); /* schema_create has followed every reference */
	if (schema_branches(schema))
		return check_union(w, schema, v);
	if (!type_fits(json_get(schema, "type"), v)) {
		fault_unexpected(w, schema, v);
		return cJSON_Duplicate(v, true);
	}
	if (words)
		check_enum(w, schema, words, v);
	if (only && !cJSON_Compare(only, v, true))
		fault_unexpected(w, schema, v);
	if (cJSON_IsString(v))
		check_string(w, schema, v);
	else if (cJSON_IsNumber(v))
		check_number(w, schema, v);
	else if (cJSON_IsObject(v))
		return check_object(w, schema, v);
	else if (cJSON_IsArray(v))
		return check_array(w, schema, v);
	return cJSON_Duplicate(v, true);
}

cJSON *schema_check(const struct schema *s, const cJSON *document, struct faults *f)
{
	return schema_check_as(s, "", document, f);
}

cJSON *schema_check_as(const struct schema *s, const char *place, const cJSON *document, struct faults *f)
{
	struct walk w = { .root = s->root, .defaults = json_string(document, "defaults", ""), .faults = f };
	cJSON *copy;

	buf_init(&w.pointer, POINTER_MOST);
	copy = check(&w, json_at(s->root, place), document);
	buf_release(&w.pointer);
	return copy;
}

/* ---- A schema ---------------------------------------------------------------------------------------------------- */

td_status schema_create(const char *text, size_t n, struct schema **out, struct err *e)
{
	cJSON *root = json_parse(text, n, e);

	if (!root)
		return e->status;
	if (schema_known(root, root, e)) {
		cJSON_Delete(root);
		return e->status;
	}
	*out = MEM_NEW(struct schema);
	(*out)->root = root;
	return TD_OK;
}

void schema_free(struct schema *s)
{
	if (!s)
		return;
	cJSON_Delete(s->root);
	mem_free(s);
}
