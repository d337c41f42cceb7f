/* The op table: the build finds every TD_OP of ops/ and writes their names to ops.inc, sorted. */
#include "core/core.h"

#include <string.h>

#define X(op) extern const td_op td_op_##op;
#include "ops.inc"
#undef X

const td_op *const td__ops[] = {
#define X(op) &td_op_##op,
#include "ops.inc"
#undef X
	NULL,
};

const td_op *td__op_find(const char *name)
{
	for (const td_op *const *op = td__ops; *op; op++)
		if (!strcmp((*op)->name, name))
			return *op;
	return NULL;
}
