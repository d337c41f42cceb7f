/* What the files that read options share: options.c, which reads choices and objects, and options_values.c. */
#ifndef TD_NN_OPTIONS_READ_H
#define TD_NN_OPTIONS_READ_H

#include "nn/options.h"

#define OPT_POINTER_BYTES 256 /* a longer JSON pointer is cut: it is for people to read */
#define OPT_VALUE_SHOWN   60  /* bytes of a wrong value that a fault repeats */

struct reading {
	struct arena *arena;
	struct faults *faults;
	bool keras; /* whose defaults stand where none is given */
};

/* Read V, of option O, into OUT; what is wrong is a fault at POINTER, and OUT is then as it was. */
typedef void opt_reader(struct reading *r, const struct opt *o, const cJSON *v, const char *pointer, void *out);

opt_reader opt_int_read, opt_float_read, opt_bool_read, opt_pair_read, opt_ints_read, opt_floats2_read, opt_floats_read;
opt_reader opt_enum_read, opt_string_read, opt_strings_read, opt_int_or_word_read, opt_count_or_part_read;

/* "POINTER: 7 is not EXPECTED": V as the author wrote it, then what was expected. */
void opt_refuse(struct reading *r, const char *pointer, const cJSON *v, const char *expected);
/* NAME is not WHAT; it may be one of the N NAMES, and the nearest is proposed. */
void opt_refuse_name(
	struct reading *r, const char *pointer, const char *name, const char *what, const char *const *names, int n);
/* Whether V is a list of LEAST to MOST WHAT; if not, a fault. */
bool opt_list_sized(struct reading *r, const cJSON *v, const char *pointer, int least, int most, const char *what);
/* "a", "b" or "c" */
void opt_list_names(char *out, size_t size, const char *const *names, int n);
void opt_child_pointer(char out[OPT_POINTER_BYTES], const char *pointer, const char *name);
void opt_child_index(char out[OPT_POINTER_BYTES], const char *pointer, int i);

#endif
