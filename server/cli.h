/* The commands of tandemd that are not the server: `tandemd token ...` and `tandemd health`. */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>

/* Whether ARGV is one of them; then *CODE is its exit code, and it is done. */
bool cli_run(int argc, char **argv, int *code);

#endif
