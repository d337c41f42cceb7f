/* Fields of a spec by their pointers: how forks and sweeps change them, and whom a fault of the result belongs to. */
#include "api/api.h"

#include <stdio.h>
#include <string.h>

void fields_set(cJSON *spec, const cJSON *set, struct faults *f)
{
	const cJSON *field;

	cJSON_ArrayForEach(field, set)
	{
		if (!strcmp(field->string, "/defaults"))
			faults_add(f, field->string,
				"it says what fields that are left out come to, and here all are given already; set "
				"the fields themselves");
		else if (cJSON_IsNull(field) && !json_remove_at(spec, field->string))
			faults_add(f, field->string,
				"null takes a member of an object away, and this is none; a list is given as a whole");
		else if (!cJSON_IsNull(field) &&
			 (*field->string != '/' || !json_set_at(spec, field->string, cJSON_Duplicate(field, true))))
			faults_add(f, field->string,
				"there is no such place in the job's spec; GET /jobs/{id} shows it with all defaults");
	}
}

/* Whether A is B, or lies below it. */
static bool within(const char *a, const char *b)
{
	size_t n = strlen(b);

	return !strncmp(a, b, n) && (a[n] == '\0' || a[n] == '/');
}

static char *pointer_of(const char *fault, const cJSON *set, const char *below)
{
	const cJSON *field;
	char token[600];

	cJSON_ArrayForEach(field, set)
	{
		if (!within(fault, field->string) && !within(field->string, fault))
			continue;
		json_pointer_token(field->string, token, sizeof token);
		return mem_printf(
			"%s/%s%s", below, token, within(fault, field->string) ? fault + strlen(field->string) : "");
	}
	return NULL;
}

static bool is_there(const struct faults *f, const char *pointer)
{
	for (size_t i = 0; i < f->n; i++)
		if (!strcmp(f->items[i].pointer, pointer))
			return true;
	return false;
}

void fields_move_faults(
	const struct faults *from, const cJSON *set, const char *below, const char *elsewhere, struct faults *to)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct fault *f = &from->items[i];
		char *pointer = *f->pointer ? pointer_of(f->pointer, set, below) : NULL;

		if (!pointer)
			pointer = mem_printf("%s%s", elsewhere, f->pointer);
		if (!is_there(to, pointer))
			faults_add(to, pointer, "%s", f->detail);
		mem_free(pointer);
	}
}
