/* The variables of a graph as a file: see io.h. */
#include "io/io.h"

#include <string.h>

/* Those of SCOPE (mem_free). */
static td_value **list(const td_graph *g, const char *scope, int *n)
{
	td_value **variables;

	*n = td_variables(g, scope, TD_GLOBAL, NULL, 0);
	variables = MEM_NEW_N(td_value *, *n + 1);
	td_variables(g, scope, TD_GLOBAL, variables, *n);
	return variables;
}

td_status variables_write(
	const td_graph *g, const char *scope, const char *path, struct file_facts *facts, struct err *e)
{
	int n;
	td_value **variables = list(g, scope, &n);
	struct named_tensor *tensors = MEM_NEW_N(struct named_tensor, n + 1);
	td_status s = TD_OK;

	for (int i = 0; i < n && !s; i++) {
		tensors[i] = (struct named_tensor){ td_name_of(variables[i]), td_variable_tensor(variables[i]) };
		if (!td_variable_has_value(variables[i]))
			s = err_set(e, TD_CONFLICT,
				"the variable \"%s\" has no value to save; run the operation of "
				"td_initialise_variables, or restore it",
				tensors[i].name);
	}
	if (!s)
		s = safetensors_write(path, tensors, n, NULL, facts, e);
	mem_free(variables);
	mem_free(tensors);
	return s;
}

static td_status check(const char *path, const struct safetensors *file, td_value **variables, int n, struct err *e)
{
	char want[TD_SHAPE_TEXT], have[TD_SHAPE_TEXT];

	for (int i = 0; i < n; i++) {
		const struct stored_tensor *t = safetensors_find(file, td_name_of(variables[i]));

		if (!t)
			return err_set(e, TD_NOT_FOUND, "%s has no variable \"%s\"", path, td_name_of(variables[i]));
		if (!td_shape_same(&t->shape, td_shape_of(variables[i])))
			return err_set(e, TD_SHAPE, "%s: the variable \"%s\" is %s, but the graph's is %s", path,
				t->name, td_shape_text(&t->shape, have),
				td_shape_text(td_shape_of(variables[i]), want));
	}
	return TD_OK;
}

td_status variables_read(td_graph *g, const char *scope, const char *path, int64_t bytes_most, struct err *e)
{
	struct safetensors file;
	td_value **variables;
	td_status s = safetensors_read(path, bytes_most, &file, e);
	int n;

	if (s)
		return s;
	variables = list(g, scope, &n);
	s = check(path, &file, variables, n, e);
	for (int i = 0; i < n && !s; i++)
		td_write(td_variable_tensor(variables[i]), safetensors_find(&file, td_name_of(variables[i]))->bytes);
	mem_free(variables);
	safetensors_release(&file);
	return s;
}
