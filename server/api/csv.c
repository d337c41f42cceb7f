/* Rows of comma-separated values, RFC 4180 with line feeds. */
#include "api/api.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
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
	char text[40];

	if (!isfinite(v)) {
		buf_puts(out, isnan(v) ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	buf_puts(out, text);
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
