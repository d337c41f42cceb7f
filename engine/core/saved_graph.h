/* The words of saved graphs, which writing and reading share.
 *
 *	{"tandem_graph": 1, "random": 2,
 *	 "inputs": [{"name": "x", "kind": "placeholder", "dtype": "float32", "shape": ["?64", 784]}, ...],
 *	 "nodes": [{"name": "fc.linear", "op": "linear", "layer": "fc", "attributes": {}, "inputs": ["x", "fc.w", null],
 *	            "after": ["count.assign"]}, ...],
 *	 "collections": {"updates": ["norm.batch_norm_train"]}}
 *
 * "?64": a size that feeds may change, 64 while it was recorded.  A number that no double holds is text, as are NaN and
 * the infinities.  Small tensors without a name are constants and stand in the file with their elements; all others are
 * variables, whose elements stand elsewhere.
 *
 * A node of control flow has functions beside its attributes, each a graph with results:
 *
 *	{"name": "cond", "op": "cond", "attributes": {}, "inputs": ["p", "x"], "functions": {
 *	  "then": {"name": "twice",
 *	    "inputs": [{"name": "input 0", "kind": "placeholder", "dtype": "float32", "shape": ["?64", "?784"]},
 *	               {"name": "table", "kind": "outer", "of": "table"}, ...],
 *	    "nodes": [{"name": "twice.mul", "op": "mul", "inputs": ["input 0", "table"]}, ...],
 *	    "results": ["twice.mul:0"]},
 *	  "otherwise": {...}}}
 *
 * Its placeholders are what the function takes, in order.  "outer": a variable or constant of the outermost graph, which
 * is "of" there.  A function has no variables of its own and no collections.
 *
 * A file is of the lowest version that has its words: 2 with functions, else 1.  All versions so far can be read. */
#ifndef CORE_SAVED_GRAPH_H
#define CORE_SAVED_GRAPH_H

#include "base/json.h"
#include "core/core.h"

#define SAVED_VERSION           2
#define SAVED_VERSION_FUNCTIONS 2  /* the first that has them */
#define SAVED_CONSTANT_MOST     64 /* elements of a constant */
#define SAVED_NODES_MOST        1000000
#define SAVED_NAME_MOST         600 /* bytes; a path of layers has at most 255 */
#define SAVED_INTEGER_LETTERS   24
#define SAVED_DEPTH_MOST        12    /* functions within each other; 4 levels of JSON each */
#define SAVED_FUNCTIONS_MOST    10000 /* of one file: each has a session of its own */

enum { SAVED_PLACEHOLDER, SAVED_VARIABLE, SAVED_CONSTANT, SAVED_OUTER, SAVED_N_KINDS };
extern const char *const td__saved_kinds[SAVED_N_KINDS];   /* of inputs */
extern const char *const td__saved_inits[TD_N_INIT_KINDS]; /* enum td_init_kind */
extern const char *const td__saved_fans[TD_N_FANS];        /* enum td_fan */
extern const char *const td__saved_orders[2];              /* td_order */

/* Element I at P, and the reverse: a number or text.  False: not a number of this kind. */
cJSON *td__saved_field(enum td_field_kind kind, const void *p, int i);
bool td__saved_read_field(enum td_field_kind kind, const cJSON *v, void *p, int i);
cJSON *td__saved_element(td_dtype d, const void *p, int64_t i);
bool td__saved_read_element(td_dtype d, const cJSON *v, void *p, int64_t i);

#endif
