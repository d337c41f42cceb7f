/* Printing JSON: cJSON's own printer is content with 15 digits when they come within an ulp or so; a metric must keep
 * every bit. */
#include "base/json.h"
#include "base/buf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *json_shortest(double v, char out[32])
{
	if (!isfinite(v))
		return json_nonfinite(v);
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, 32, "%.*g", digits, v);
		if (strtod(out, NULL) == v)
			break;
	}
	return out;
}

static void print_number(double v, struct buf *out)
{
	char text[32];

	if (!isfinite(v)) {
		buf_puts(out, "null"); /* json_number keeps these from being made */
		return;
	}
	buf_puts(out, json_shortest(v, text));
	/* An exponent says that this is no exact integer; without one json_parse refuses it. */
	if (fabs(v) > JSON_INTEGER_MOST && !strchr(text, 'e'))
		buf_puts(out, "e0");
}

static void print_string(const char *s, struct buf *out)
{
	static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: character, letter behind the backslash */

	buf_puts(out, "\"");
	while (*s) {
		const char *start = s, *form = short_forms;

		while (*s && (unsigned char)*s >= 0x20 && *s != '"' && *s != '\\')
			s++;
		buf_append(out, start, (size_t)(s - start));
		if (!*s)
			break;
		while (*form && *form != *s)
			form += 2;
		if (*form)
			buf_printf(out, "\\%c", form[1]);
		else
			buf_printf(out, "\\u%04x", (unsigned)*s);
		s++;
	}
	buf_puts(out, "\"");
}

static void print_value(const cJSON *v, struct buf *out)
{
	const cJSON *child;

	if (cJSON_IsNumber(v)) {
		print_number(v->valuedouble, out);
	} else if (cJSON_IsString(v)) {
		print_string(v->valuestring, out);
	} else if (cJSON_IsRaw(v)) {
		buf_puts(out, v->valuestring);
	} else if (cJSON_IsObject(v) || cJSON_IsArray(v)) {
		buf_puts(out, cJSON_IsObject(v) ? "{" : "[");
		cJSON_ArrayForEach(child, v)
		{
			if (child != v->child)
				buf_puts(out, ",");
			if (cJSON_IsObject(v)) {
				print_string(child->string, out);
				buf_puts(out, ":");
			}
			print_value(child, out);
		}
		buf_puts(out, cJSON_IsObject(v) ? "}" : "]");
	} else {
		buf_puts(out, cJSON_IsTrue(v) ? "true" : cJSON_IsFalse(v) ? "false" : "null");
	}
}

char *json_print(const cJSON *v)
{
	struct buf out;

	buf_init(&out, SIZE_MAX / 4); /* what is printed is in memory already, and so within a cap of its own */
	print_value(v, &out);
	return buf_take(&out);
}

void json_pointer_token(const char *name, char *out, size_t size)
{
	size_t at = 0;

	for (; *name && at + 3 < size; name++) {
		if (*name == '~' || *name == '/') {
			out[at++] = '~';
			out[at++] = *name == '~' ? '0' : '1';
		} else {
			out[at++] = *name;
		}
	}
	out[at] = '\0';
}
