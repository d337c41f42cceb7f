/* Rows of comma-separated values, RFC 4180 with line feeds. */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

void csv_field(struct buf *out, const char *text, bool first)
{
	if (!first)
		buf_puts(out, ",");
	if (!text[strcspn(text, ",\"\r\n")]) {
		buf_puts(out, text);
		return;
	}
	buf_puts(out, "\"");
	for (; *text; text++)
		buf_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
	buf_puts(out, "\"");
}

void csv_double(struct buf *out, double v)
{
	char text[32];

	buf_puts(out, json_shortest(v, text));
}

void csv_value(struct buf *out, const cJSON *v, bool first)
{
	char *text;

	if (cJSON_IsNull(v) || !v) {
		csv_field(out, "", first);
	} else if (cJSON_IsString(v)) {
		csv_field(out, v->valuestring, first);
	} else if (cJSON_IsNumber(v)) {
		csv_field(out, "", first);
		csv_double(out, v->valuedouble);
	} else {
		text = json_print(v);
		csv_field(out, text, first);
		mem_free(text);
	}
}
