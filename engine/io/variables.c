/* The variables of a graph as a file: see io.h. */
#include "io/io.h"

#include <string.h>

/* Those of SCOPE (mem_free). */
static struct named_tensor *list(const td_graph *g, const char *scope, int *n)
{
	td_value **symbols;
	struct named_tensor *tensors;

	*n = td_variables(g, scope, TD_GLOBAL, NULL, 0);
	symbols = MEM_NEW_N(td_value *, *n + 1);
	tensors = MEM_NEW_N(struct named_tensor, *n + 1);
	td_variables(g, scope, TD_GLOBAL, symbols, *n);
	for (int i = 0; i < *n; i++)
		tensors[i] = (struct named_tensor){ td_name_of(symbols[i]), td_variable_tensor(symbols[i]) };
	mem_free(symbols);
	return tensors;
}

td_status variables_write(
	const td_graph *g, const char *scope, const char *path, struct file_facts *facts, struct err *e)
{
	int n;
	struct named_tensor *tensors = list(g, scope, &n);
	td_status s = safetensors_write(path, tensors, n, NULL, facts, e);

	mem_free(tensors);
	return s;
}

static td_status check(
	const char *path, const struct safetensors *file, const struct named_tensor *tensors, int n, struct err *e)
{
	char want[TD_SHAPE_TEXT], have[TD_SHAPE_TEXT];

	for (int i = 0; i < n; i++) {
		const struct stored_tensor *t = safetensors_find(file, tensors[i].name);

		if (!t)
			return err_set(e, TD_NOT_FOUND, "%s has no variable \"%s\"", path, tensors[i].name);
		if (!td_shape_same(&t->shape, td_shape_of(tensors[i].value)))
			return err_set(e, TD_SHAPE, "%s: the variable \"%s\" is %s, but the graph's is %s", path,
				t->name, td_shape_text(&t->shape, have),
				td_shape_text(td_shape_of(tensors[i].value), want));
	}
	return TD_OK;
}

td_status variables_read(td_graph *g, const char *scope, const char *path, int64_t bytes_most, struct err *e)
{
	struct safetensors file;
	struct named_tensor *tensors;
	td_status s = safetensors_read(path, bytes_most, &file, e);
	int n;

	if (s)
		return s;
	tensors = list(g, scope, &n);
	s = check(path, &file, tensors, n, e);
	for (int i = 0; i < n && !s; i++)
		td_write(tensors[i].value, safetensors_find(&file, tensors[i].name)->bytes);
	mem_free(tensors);
	safetensors_release(&file);
	return s;
}
