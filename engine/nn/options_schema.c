/* The JSON Schema of options: see options.h.  Every kind of option is a function and a row of `schemas`. */
#include "nn/options.h"

#include <stdio.h>

typedef cJSON *schema_maker(const struct opt *o, cJSON *defs);

/* TAG: the "type" that chooses T among a family with the options COMMON; NULL: T is a section. */
static cJSON *type_schema(const struct opt_type *t, const struct opt_type *common, cJSON *defs, const char *tag);

static cJSON *number_schema(const struct opt *o, const char *type)
{
	cJSON *s = cJSON_CreateObject();

	cJSON_AddStringToObject(s, "type", type);
	cJSON_AddNumberToObject(s, o->above ? "exclusiveMinimum" : "minimum", o->low);
	cJSON_AddNumberToObject(s, o->below ? "exclusiveMaximum" : "maximum", o->high);
	return s;
}

static cJSON *int_schema(const struct opt *o, cJSON *defs)
{
	(void)defs;
	return number_schema(o, "integer");
}

static cJSON *float_schema(const struct opt *o, cJSON *defs)
{
	(void)defs;
	return number_schema(o, "number");
}

static cJSON *bool_schema(const struct opt *o, cJSON *defs)
{
	cJSON *s = cJSON_CreateObject();

	(void)o;
	(void)defs;
	cJSON_AddStringToObject(s, "type", "boolean");
	return s;
}

static cJSON *array_schema(cJSON *items, int least, int most)
{
	cJSON *s = cJSON_CreateObject();

	cJSON_AddStringToObject(s, "type", "array");
	cJSON_AddItemToObject(s, "items", items);
	cJSON_AddNumberToObject(s, "minItems", least);
	cJSON_AddNumberToObject(s, "maxItems", most);
	return s;
}

/* {"oneOf": [a, b]} */
static cJSON *either_schema(cJSON *a, cJSON *b)
{
	cJSON *s = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(s, "oneOf");

	cJSON_AddItemToArray(list, a);
	cJSON_AddItemToArray(list, b);
	return s;
}

static cJSON *ints_schema(const struct opt *o, cJSON *defs)
{
	cJSON *list = array_schema(number_schema(o, "integer"), o->least, o->most);

	(void)defs;
	return o->alone ? either_schema(number_schema(o, "integer"), list) : list;
}

static cJSON *floats2_schema(const struct opt *o, cJSON *defs)
{
	(void)defs;
	return array_schema(number_schema(o, "number"), 2, 2);
}

static cJSON *floats_schema(const struct opt *o, cJSON *defs)
{
	(void)defs;
	return array_schema(number_schema(o, "number"), 1, o->most);
}

static cJSON *enum_schema(const struct opt *o, cJSON *defs)
{
	cJSON *s = cJSON_CreateObject(), *list;

	(void)defs;
	cJSON_AddStringToObject(s, "type", "string");
	list = cJSON_AddArrayToObject(s, "enum");
	for (int i = 0; o->names[i]; i++)
		cJSON_AddItemToArray(list, cJSON_CreateString(o->names[i]));
	return s;
}

static cJSON *string_schema(const struct opt *o, cJSON *defs)
{
	cJSON *s;

	if (o->names)
		return enum_schema(o, defs);
	s = cJSON_CreateObject();
	cJSON_AddStringToObject(s, "type", "string");
	cJSON_AddNumberToObject(s, "maxLength", o->high);
	return s;
}

static cJSON *strings_schema(const struct opt *o, cJSON *defs)
{
	cJSON *list = array_schema(string_schema(o, defs), 0, o->most);

	return o->alone ? either_schema(string_schema(o, defs), list) : list;
}

static cJSON *pair_schema(const struct opt *o, cJSON *defs)
{
	cJSON *s = either_schema(number_schema(o, "integer"), array_schema(number_schema(o, "integer"), 2, 2));

	if (o->names)
		cJSON_AddItemToArray(cJSON_GetObjectItemCaseSensitive(s, "oneOf"), enum_schema(o, defs));
	return s;
}

static cJSON *int_or_word_schema(const struct opt *o, cJSON *defs)
{
	return either_schema(int_schema(o, defs), enum_schema(o, defs));
}

static cJSON *count_or_part_schema(const struct opt *o, cJSON *defs)
{
	static const struct opt part = { .low = 0, .above = true, .high = 1, .below = true };

	return either_schema(int_schema(o, defs), float_schema(&part, defs));
}

static bool needs_options(const struct opt_type *t)
{
	for (int i = 0; i < t->n_options; i++)
		if (t->options[i].required)
			return true;
	return false;
}

/* The family's place in $defs, made when it is used first: the names that stand alone, then one object a type.  It has
 * its place before its members are described, so a family whose members hold members of it refers to itself. */
static cJSON *choice_schema(const struct opt *o, cJSON *defs)
{
	const struct opt_family *f = o->family;
	cJSON *s = cJSON_CreateObject(), *def, *list, *bare, *names;
	char ref[80];

	snprintf(ref, sizeof ref, "#/$defs/%s", f->name);
	cJSON_AddStringToObject(s, "$ref", ref);
	if (json_get(defs, f->name))
		return s;
	def = cJSON_AddObjectToObject(defs, f->name);
	list = cJSON_AddArrayToObject(def, "oneOf");
	bare = cJSON_CreateObject();
	cJSON_AddStringToObject(bare, "type", "string");
	names = cJSON_AddArrayToObject(bare, "enum");
	for (int i = 0; i < f->n_types; i++)
		if (!needs_options(f->types[i]))
			cJSON_AddItemToArray(names, cJSON_CreateString(f->types[i]->name));
	if (cJSON_GetArraySize(names))
		cJSON_AddItemToArray(list, bare);
	else
		cJSON_Delete(bare);
	for (int i = 0; i < f->n_types; i++)
		cJSON_AddItemToArray(list, type_schema(f->types[i], f->common, defs, f->types[i]->name));
	return s;
}

static cJSON *choices_schema(const struct opt *o, cJSON *defs)
{
	return array_schema(choice_schema(o, defs), o->least, o->most);
}

static cJSON *choice_lists_schema(const struct opt *o, cJSON *defs)
{
	return array_schema(array_schema(choice_schema(o, defs), 0, OPT_LIST_MOST), o->least, o->most);
}

static cJSON *section_schema(const struct opt *o, cJSON *defs)
{
	return type_schema(o->section, NULL, defs, NULL);
}

static cJSON *sections_schema(const struct opt *o, cJSON *defs)
{
	return array_schema(section_schema(o, defs), o->least, o->most);
}

static cJSON *json_schema(const struct opt *o, cJSON *defs)
{
	(void)o;
	(void)defs;
	return cJSON_CreateObject();
}

static schema_maker *const schemas[] = {
	[OPT_INT] = int_schema,
	[OPT_FLOAT] = float_schema,
	[OPT_BOOL] = bool_schema,
	[OPT_STRING] = string_schema,
	[OPT_ENUM] = enum_schema,
	[OPT_PAIR] = pair_schema,
	[OPT_INTS] = ints_schema,
	[OPT_FLOATS2] = floats2_schema,
	[OPT_FLOATS] = floats_schema,
	[OPT_STRINGS] = strings_schema,
	[OPT_INT_OR_WORD] = int_or_word_schema,
	[OPT_COUNT_OR_PART] = count_or_part_schema,
	[OPT_CHOICE] = choice_schema,
	[OPT_CHOICES] = choices_schema,
	[OPT_CHOICE_LISTS] = choice_lists_schema,
	[OPT_SECTION] = section_schema,
	[OPT_SECTIONS] = sections_schema,
	[OPT_JSON] = json_schema,
};

static void add_member_schema(cJSON *properties, const struct opt *o, cJSON *defs)
{
	cJSON *s = schemas[o->kind](o, defs);

	cJSON_DeleteItemFromObjectCaseSensitive(s, "description");
	cJSON_AddStringToObject(s, "description", o->doc);
	if (o->value)
		cJSON_AddItemToObject(s, "default", cJSON_Parse(o->value));
	if (o->keras)
		cJSON_AddItemToObject(cJSON_AddObjectToObject(s, "x-defaults"), "keras", cJSON_Parse(o->keras));
	if (!o->value && o->kind == OPT_SECTION && !o->optional && !needs_options(o->section))
		cJSON_AddItemToObject(s, "default", cJSON_CreateObject());
	if (o->like)
		cJSON_AddStringToObject(s, "x-default-from", o->like);
	cJSON_AddItemToObject(properties, o->name, s);
}

static void add_members(const struct opt_type *t, cJSON *properties, cJSON *required, cJSON *defs)
{
	for (int i = 0; i < t->n_options; i++) {
		add_member_schema(properties, &t->options[i], defs);
		if (t->options[i].required)
			cJSON_AddItemToArray(required, cJSON_CreateString(t->options[i].name));
	}
}

static cJSON *type_schema(const struct opt_type *t, const struct opt_type *common, cJSON *defs, const char *tag)
{
	cJSON *s = cJSON_CreateObject(), *properties, *required;

	cJSON_AddStringToObject(s, "type", "object");
	cJSON_AddStringToObject(s, "description", t->doc);
	properties = cJSON_AddObjectToObject(s, "properties");
	required = cJSON_CreateArray();
	if (tag) {
		cJSON_AddStringToObject(cJSON_AddObjectToObject(properties, "type"), "const", tag);
		cJSON_AddItemToArray(required, cJSON_CreateString("type"));
	}
	add_members(t, properties, required, defs);
	if (common)
		add_members(common, properties, required, defs);
	if (cJSON_GetArraySize(required))
		cJSON_AddItemToObject(s, "required", required);
	else
		cJSON_Delete(required);
	cJSON_AddFalseToObject(s, "additionalProperties");
	if (t->inferred) {
		cJSON *inferred = cJSON_AddArrayToObject(s, "x-inferred");

		for (int i = 0; t->inferred[i]; i++)
			cJSON_AddItemToArray(inferred, cJSON_CreateString(t->inferred[i]));
	}
	return s;
}

cJSON *opt_schema(const struct opt_type *type, cJSON *defs)
{
	return type_schema(type, NULL, defs, NULL);
}
