/* Numbers and words of saved graphs: every bit comes back. */
#include "core/saved_graph.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *const td__saved_kinds[SAVED_N_KINDS] = { "placeholder", "variable", "constant", "outer" };
const char *const td__saved_inits[TD_N_INIT_KINDS] = { "constant", "uniform", "normal", "truncated_normal" };
const char *const td__saved_fans[TD_N_FANS] = { "none", "in", "out", "average" };
const char *const td__saved_orders[2] = { "row_major", "channels_last" };

static cJSON *integer(int64_t v)
{
	char text[SAVED_INTEGER_LETTERS];

	if (fabs((double)v) <= JSON_INTEGER_MOST)
		return cJSON_CreateNumber((double)v);
	snprintf(text, sizeof text, "%lld", (long long)v);
	return cJSON_CreateString(text);
}

static bool read_integer(const cJSON *v, int64_t low, int64_t high, int64_t *out)
{
	char *end;

	if (cJSON_IsString(v)) {
		errno = 0;
		*out = strtoll(v->valuestring, &end, 10);
		if (errno || end == v->valuestring || *end)
			return false;
	} else if (json_is_integer(v)) {
		*out = (int64_t)v->valuedouble;
	} else {
		return false;
	}
	return *out >= low && *out <= high;
}

static bool read_number(const cJSON *v, double *out)
{
	return v && json_to_number(v, out);
}

cJSON *td__saved_field(enum td_field_kind kind, const void *p, int i)
{
	switch (kind) {
	case TD_FIELD_INT: return integer(((const int *)p)[i]);
	case TD_FIELD_INT64: return integer(((const int64_t *)p)[i]);
	case TD_FIELD_MASK: return integer(((const uint32_t *)p)[i]);
	case TD_FIELD_FLOAT: return json_number((double)((const float *)p)[i]);
	case TD_FIELD_DOUBLE: return json_number(((const double *)p)[i]);
	case TD_FIELD_BOOL: return cJSON_CreateBool(((const bool *)p)[i]);
	case TD_FIELD_FUNCTION:
	case TD_FIELD_CODE: break; /* no number */
	}
	return NULL;
}

bool td__saved_read_field(enum td_field_kind kind, const cJSON *v, void *p, int i)
{
	int64_t n = 0;
	double x = 0;

	switch (kind) {
	case TD_FIELD_INT:
		if (!read_integer(v, INT_MIN, INT_MAX, &n))
			return false;
		((int *)p)[i] = (int)n;
		return true;
	case TD_FIELD_INT64: return read_integer(v, INT64_MIN, INT64_MAX, (int64_t *)p + i);
	case TD_FIELD_MASK:
		if (!read_integer(v, 0, UINT32_MAX, &n))
			return false;
		((uint32_t *)p)[i] = (uint32_t)n;
		return true;
	case TD_FIELD_FLOAT:
		if (!read_number(v, &x) || (isfinite(x) && fabs(x) > (double)__FLT_MAX__))
			return false;
		((float *)p)[i] = (float)x;
		return true;
	case TD_FIELD_DOUBLE: return read_number(v, (double *)p + i);
	case TD_FIELD_BOOL: ((bool *)p)[i] = cJSON_IsTrue(v); return cJSON_IsBool(v);
	case TD_FIELD_FUNCTION:
	case TD_FIELD_CODE: break;
	}
	return false;
}

cJSON *td__saved_element(td_dtype d, const void *p, int64_t i)
{
	switch (d) {
	case TD_F32: return json_number((double)((const float *)p)[i]);
	case TD_F64: return json_number(((const double *)p)[i]);
	case TD_I32: return integer(((const int32_t *)p)[i]);
	case TD_I64: return integer(((const int64_t *)p)[i]);
	default: return integer(((const uint8_t *)p)[i]);
	}
}

bool td__saved_read_element(td_dtype d, const cJSON *v, void *p, int64_t i)
{
	int64_t n = 0;

	switch (d) {
	case TD_F32: return td__saved_read_field(TD_FIELD_FLOAT, v, p, (int)i);
	case TD_F64: return td__saved_read_field(TD_FIELD_DOUBLE, v, p, (int)i);
	case TD_I32: return td__saved_read_field(TD_FIELD_INT, v, p, (int)i);
	case TD_I64: return td__saved_read_field(TD_FIELD_INT64, v, p, (int)i);
	default:
		if (!read_integer(v, 0, d == TD_BOOL ? 1 : UINT8_MAX, &n))
			return false;
		((uint8_t *)p)[i] = (uint8_t)n;
		return true;
	}
}
