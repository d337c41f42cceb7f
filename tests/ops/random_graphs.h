/* Random programs, and the check that eager mode, the unoptimised graph and the planned graph compute the same bits. */
#ifndef OPS_RANDOM_GRAPHS_H
#define OPS_RANDOM_GRAPHS_H

#include <stdbool.h>
#include <stdint.h>

/* NULL, or what is wrong with the program that SEED stands for; valid until the next call. */
const char *random_graph_check(uint64_t seed, bool broken /* one op is wrong on purpose */);
/* What the programs so far were made of, printed. */
void random_graph_tell(void);

#endif
