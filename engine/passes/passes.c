/* The passes, in their order.  A pass changes a plan and leaves it legal; none may change a bit of any result. */
#include "core/core.h"

const td_pass td__passes[] = {
	{ "prune", td__pass_prune },
	{ NULL, NULL },
};

void td__passes_run(td_plan *p, bool verify)
{
	for (const td_pass *pass = td__passes; pass->name; pass++) {
		pass->run(p);
		if (verify)
			td__verify_plan(p, pass->name);
	}
}
