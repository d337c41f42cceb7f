/* What a schema says, in words: see schema_words.h. */
#include "schema_words.h"

#include <stdio.h>
#include <string.h>

#define REF_MOST 32 /* $ref to $ref without going down in the document: a loop in the schema */

const char *schema_type_of(const cJSON *v)
{
	return cJSON_IsObject(v)   ? "object"
	       : cJSON_IsArray(v)  ? "array"
	       : cJSON_IsString(v) ? "string"
	       : cJSON_IsNumber(v) ? "number"
	       : cJSON_IsBool(v)   ? "boolean"
				   : "null";
}

bool schema_is_type(const cJSON *v, const char *type)
{
	return !strcmp(type, "integer") ? json_is_integer(v) : !strcmp(type, schema_type_of(v));
}

/* The value for a message: scalars as they are, shortened; of the others the kind. */
const char *schema_show(const cJSON *v, char *out, size_t room)
{
	if (cJSON_IsObject(v) || cJSON_IsArray(v)) {
		snprintf(out, room, "an %s", schema_type_of(v));
	} else {
		char *text = json_print(v);

		snprintf(out, room, strlen(text) > 60 ? "%.57s..." : "%.60s", text);
		mem_free(text);
	}
	return out;
}

/* Follow $ref ("#/$defs/layer").  NULL: it leads nowhere. */
const cJSON *schema_resolve(const cJSON *root, const cJSON *schema)
{
	for (int i = 0; i < REF_MOST && schema; i++) {
		const char *ref = json_string(schema, "$ref", NULL);

		if (!ref)
			return schema;
		schema = *ref == '#' ? json_at(root, ref + 1) : NULL;
	}
	return NULL;
}

/* The name that tells an object branch of a union from its sisters: properties.type.const, or NULL. */
const char *schema_branch_name(const cJSON *branch)
{
	return json_string(json_get(json_get(branch, "properties"), "type"), "const", NULL);
}

const cJSON *schema_branches(const cJSON *schema)
{
	const cJSON *branches = json_get(schema, "oneOf");

	return branches ? branches : json_get(schema, "anyOf");
}

/* Every name that a union knows, from its object branches and the enums of its string branches. */
size_t schema_names(const cJSON *root, const cJSON *schema, const char **names, size_t most)
{
	const cJSON *branch, *word;
	size_t n = 0;

	cJSON_ArrayForEach(branch, schema_branches(schema))
	{
		const cJSON *b = schema_resolve(root, branch);
		const char *name = schema_branch_name(b);
		const cJSON *words = json_get(b, "enum");

		if (name && n < most)
			names[n++] = name;
		if (schema_branches(b))
			n += schema_names(root, b, names + n, most - n);
		cJSON_ArrayForEach(word, words)
		{
			if (cJSON_IsString(word) && n < most)
				names[n++] = word->valuestring;
		}
	}
	return n;
}

static bool listed_before(const char *const *names, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(names[k], names[i]))
			return true;
	return false;
}

/* "did you mean "conv2d"?" or, where nothing is near, "known are a, b, c". */
void schema_hint(const char *name, const char *const *names, size_t n, char *out, size_t room)
{
	const char *near = nearest_name(name, names, n);
	int at;

	if (near) {
		snprintf(out, room, "did you mean \"%s\"?", near);
		return;
	}
	at = snprintf(out, room, "known %s", n ? "are " : "is nothing here");
	for (size_t i = 0; i < n && at > 0 && (size_t)at < room; i++)
		if (!listed_before(names, i))
			at += snprintf(out + at, room - (size_t)at, "%s%s", i ? ", " : "", names[i]);
}

static void describe_bounds(const cJSON *schema, struct buf *out)
{
	static const struct {
		const char *keyword, *text;
	} rows[] = { { "minimum", ">=" }, { "exclusiveMinimum", ">" }, { "maximum", "<=" },
		{ "exclusiveMaximum", "<" } };
	const char *glue = " ";
	char text[80];

	for (size_t i = 0; i < TD_COUNT(rows); i++) {
		const cJSON *bound = json_get(schema, rows[i].keyword);

		if (!bound)
			continue;
		buf_printf(out, "%s%s %s", glue, rows[i].text, schema_show(bound, text, sizeof text));
		glue = " and ";
	}
}

/* What SCHEMA wants, in words: "an integer >= 1", "one of "a", "b"", "a string or an object". */
void schema_describe(const cJSON *root, const cJSON *schema, struct buf *out)
{
	const cJSON *s = schema_resolve(root, schema), *type = json_get(s, "type"), *item, *words = json_get(s, "enum");
	const char *glue = "";
	char text[80];

	if (json_get(s, "const")) {
		buf_puts(out, schema_show(json_get(s, "const"), text, sizeof text));
	} else if (words) {
		buf_puts(out, cJSON_GetArraySize(words) > 1 ? "one of " : "");
		cJSON_ArrayForEach(item, words)
		{
			buf_printf(out, "%s%s", glue, schema_show(item, text, sizeof text));
			glue = ", ";
		}
	} else if (schema_branches(s)) {
		cJSON_ArrayForEach(item, schema_branches(s))
		{
			const char *name = schema_branch_name(schema_resolve(root, item));

			buf_puts(out, glue);
			if (name)
				buf_printf(out, "{\"type\": \"%s\"}", name);
			else
				schema_describe(root, item, out);
			glue = " or ";
		}
	} else if (cJSON_IsArray(type)) {
		cJSON_ArrayForEach(item, type)
		{
			buf_printf(out, "%s%s%s", glue, strchr("aio", *item->valuestring) ? "an " : "a ",
				item->valuestring);
			glue = " or ";
		}
		describe_bounds(s, out);
	} else if (cJSON_IsString(type)) {
		buf_printf(out, "%s%s", strchr("aio", *type->valuestring) ? "an " : "a ", type->valuestring);
		describe_bounds(s, out);
	} else {
		buf_puts(out, "any value");
	}
}

/* ---- What is known here ------------------------------------------------------------------------------------------ */

/* Keywords, and what stands behind them: 's' a schema, 'l' a list of schemas, 'm' schemas by name, ' ' a plain value.
 */
static const struct {
	const char *name;
	char holds;
} keywords[] = {
	{ "$ref", ' ' }, { "$schema", ' ' }, { "$id", ' ' }, { "$comment", ' ' }, { "$defs", 'm' }, { "title", ' ' },
	{ "description", ' ' }, { "default", ' ' }, { "examples", ' ' }, { "type", ' ' }, { "enum", ' ' },
	{ "const", ' ' }, { "properties", 'm' }, { "required", ' ' }, { "additionalProperties", 's' }, { "items", 's' },
	{ "prefixItems", 'l' }, { "minItems", ' ' }, { "maxItems", ' ' }, { "minimum", ' ' }, { "maximum", ' ' },
	{ "exclusiveMinimum", ' ' }, { "exclusiveMaximum", ' ' }, { "minLength", ' ' }, { "maxLength", ' ' },
	{ "oneOf", 'l' }, { "anyOf", 'l' },
	{ "x-inferred", ' ' },     /* names that follow from elsewhere and are left out */
	{ "x-default-from", ' ' }, /* the sister whose value is the default */
	{ "x-defaults", ' ' },     /* defaults by the name in the document's own member "defaults" */
};

td_status schema_known(const cJSON *root, const cJSON *schema, struct err *e)
{
	const cJSON *member, *inner;

	if (cJSON_IsBool(schema))
		return TD_OK;
	if (!cJSON_IsObject(schema))
		return err_set(e, TD_INVALID, "a schema is an object, true or false");
	if (!schema_resolve(root, schema))
		return err_set(e, TD_INVALID, "the reference %s leads nowhere", json_string(schema, "$ref", ""));
	cJSON_ArrayForEach(member, schema)
	{
		size_t i = 0;

		while (i < TD_COUNT(keywords) && strcmp(keywords[i].name, member->string) != 0)
			i++;
		if (i == TD_COUNT(keywords))
			return err_set(
				e, TD_UNSUPPORTED, "the schema's keyword \"%s\" is not known here", member->string);
		if (keywords[i].holds == 's' && schema_known(root, member, e))
			return e->status;
		if (keywords[i].holds == ' ' || keywords[i].holds == 's')
			continue;
		cJSON_ArrayForEach(inner, member)
		{
			if (schema_known(root, inner, e))
				return e->status;
		}
	}
	return TD_OK;
}
