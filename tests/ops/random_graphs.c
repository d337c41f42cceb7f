/* Random programs: lists of calls of builders, made from a seed, with shared values, several results, gradients,
 * variables that are updated, branches and loops.
 *
 * A program is found by trying: a call that the shape rules refuse is left out.  It is then run eagerly, and traced at
 * one batch size and replayed at others, on one and two threads, planned and unplanned, and as it comes out of a file;
 * every result, gradient and variable has to be the same to the last bit. */
#include "random_graphs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "random_rows.h"
#include "read_back.h"

enum { CALLS_MOST = 24, VALUES_MOST = 64, WAYS = 4, RUNS = 2 * WAYS };

static char wrong[4000];
#define WRONG(...) (snprintf(wrong, sizeof wrong, __VA_ARGS__), wrong)

static int64_t used[RANDOM_ROWS_MOST]; /* by row: calls so far */

/* ---- Numbers from the seed --------------------------------------------------------------------------------------- */

struct dice {
	struct rng_key key;
	uint64_t at;
};

static uint32_t roll(struct dice *d, uint32_t sides)
{
	return rng_u32(&d->key, d->at++) % sides;
}

/* ---- Programs ------------------------------------------------------------------------------------------------------
 */

struct call {
	int row;
	int x[3]; /* places of values */
	uint32_t n[4];
};

struct program {
	struct call calls[CALLS_MOST];
	int n_calls;
	uint32_t fetched; /* bit i: the result of call i is a result of the program */
	uint32_t weight;  /* of the loss: bit i: that of call i counts */
	bool updates;     /* variables are updated with their gradients */
};

/* Values 0..LEAVES-1 of every program; a size of 0 is the batch. */
static const struct {
	int rank;
	int64_t dim[4];
} leaves[LEAVES] = {
	[LEAF_ROWS_3] = { 2, { 0, 3 } },
	[LEAF_ROWS_4] = { 2, { 0, 4 } },
	[LEAF_IMAGES] = { 4, { 0, 2, 4, 5 } },
	[LEAF_NUMBERS] = { 1, { 0 } },
	[LEAF_SEQUENCES] = { 3, { 0, 3, 4 } },
	[LEAF_SCALAR] = { 0, { 0 } },
	[LEAF_3] = { 1, { 3 } },
	[LEAF_4] = { 1, { 4 } },
	[LEAF_2] = { 1, { 2 } },
	[LEAF_3_4] = { 2, { 3, 4 } },
	[LEAF_4_3] = { 2, { 4, 3 } },
	[LEAF_3_FILTERS] = { 4, { 3, 2, 2, 3 } },
	[LEAF_2_FILTERS] = { 4, { 2, 2, 3, 3 } },
	[LEAF_MATRICES] = { 3, { 2, 4, 3 } },
};

static td_value *make_leaf(td_ctx *c, int i, int64_t batch, uint64_t seed)
{
	td_shape s = { .dtype = TD_F32, .rank = leaves[i].rank };
	struct rng_key key = { .seed = seed, .stream = (uint32_t)i, .step = (uint32_t)batch };
	td_value *v;

	memcpy(s.dim, leaves[i].dim, sizeof leaves[i].dim);
	if (i < BATCHED)
		s.dim[0] = batch;
	v = td_tensor(c, &s, NULL);
	for (int64_t k = 0; v && k < td_shape_count(&s); k++)
		((float *)td_data(v))[k] = 2 * rng_unit(rng_u32(&key, (uint64_t)k)) - 1;
	td_require_grad(c, v, true);
	return v;
}

static td_value *do_call(td_ctx *c, const struct call *call, td_value *const *values)
{
	struct random_arguments a;

	if (td_error(c)->status)
		return NULL;
	for (int i = 0; i < 3; i++)
		a.x[i] = values[call->x[i]];
	memcpy(a.n, call->n, sizeof a.n);
	a.leaves = values;
	return random_row(call->row)->call(c, &a);
}

/* What a call gave back as it was; of a variable, no graph has it. */
static bool is_argument(const struct call *call, td_value *const *values, const td_value *v)
{
	return v == values[call->x[0]] || v == values[call->x[1]] || v == values[call->x[2]];
}

/* Find a program by trying: in a graph, where a call that does not fit costs nothing. */
static void make_program(struct program *p, uint64_t seed)
{
	struct dice d = { .key = { .seed = seed, .stream = 1 } };
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = 1, .seed = seed });
	td_graph *g = td_graph_create();
	td_value *values[VALUES_MOST];
	int wanted = 3 + (int)roll(&d, CALLS_MOST - 3), n_values = LEAVES;

	*p = (struct program){ 0 };
	td_trace_begin(c, g);
	for (int i = 0; i < LEAVES; i++) {
		td_shape s = { .dtype = TD_F32, .rank = leaves[i].rank };
		memcpy(s.dim, leaves[i].dim, sizeof leaves[i].dim);
		if (i < BATCHED)
			s.dim[0] = TD_UNKNOWN(3);
		values[i] = td_placeholder(c, "x", &s);
		values[i]->needs_grad = true;
	}
	for (int tries = 0; p->n_calls < wanted && tries < 60 * CALLS_MOST; tries++) {
		struct call *call = &p->calls[p->n_calls];
		td_value *v;

		call->row = (int)roll(&d, (uint32_t)random_n_rows());
		for (int i = 0; i < 3; i++) /* young values more often than old ones */
			call->x[i] = roll(&d, 3) ? n_values - 1 - (int)roll(&d, TD_MIN((uint32_t)n_values, 6))
						 : (int)roll(&d, (uint32_t)n_values);
		for (int i = 0; i < 4; i++)
			call->n[i] = roll(&d, 1u << 16);
		v = do_call(c, call, values);
		if (td_error(c)->status || !v || is_argument(call, values, v) || v->shape.dtype != TD_F32 ||
			td_shape_count(&v->shape) > 4000) {
			td_error_clear(c);
			continue;
		}
		used[call->row]++;
		values[n_values++] = v;
		p->n_calls++;
	}
	td_trace_end(c);
	p->fetched = roll(&d, 1u << 16) << 8 | roll(&d, 256) | 1u << (p->n_calls - 1);
	p->weight = roll(&d, 1u << 16) << 8 | roll(&d, 256) | 1u << (p->n_calls - 1);
	p->updates = roll(&d, 2);
	td_graph_free(g);
	td_ctx_free(c);
}

/* Results, then gradients of all leaves; NULL where there is none. */
static int write_program(td_ctx *c, const struct program *p, td_value *const *in, td_value *lr, td_value **out)
{
	td_value *values[VALUES_MOST], *loss = NULL;
	int n = 0;

	memcpy(values, in, sizeof *in * LEAVES);
	for (int i = 0; i < p->n_calls; i++) {
		td_value *v = values[LEAVES + i] = do_call(c, &p->calls[i], values);
		if (p->fetched >> i & 1)
			out[n++] = v;
		if (p->weight >> i & 1) {
			v = td_mean(c, td_tanh(c, v), TD_ALL_AXES, false);
			loss = loss ? td_add(c, loss, v) : v;
		}
	}
	out[n++] = loss;
	td_gradients(c, &loss, NULL, 1, in, LEAVES, 0, &out[n]);
	td_no_grad_begin(c);
	for (int i = BATCHED; p->updates && i < LEAVES && !td_error(c)->status; i++)
		if (out[n + i])
			td_sgd_update(c, in[i], out[n + i], NULL, lr, lr, lr, &(td_sgd_attrs){ 0 });
	td_no_grad_end(c);
	return n + LEAVES;
}

/* ---- Running -------------------------------------------------------------------------------------------------------
 */

/* Every bit that a run gave, one after the other. */
struct bits {
	unsigned char *bytes; /* owned */
	size_t n, room;
	char error[400]; /* "" if it ran */
};

static void keep(struct bits *b, const td_value *v)
{
	size_t n = v ? td_shape_bytes(td_shape_of(v)) : 0;

	if (b->n + n + 1 > b->room)
		b->bytes = mem_realloc(b->bytes, b->room = 2 * (b->n + n + 64));
	b->bytes[b->n++] = v != NULL;
	if (n)
		td_read(v, b->bytes + b->n);
	b->n += n;
}

enum how { EAGER, UNOPTIMISED, PLANNED, READ };
static const char *const how_names[] = { "eager mode", "the unoptimised graph", "the planned graph",
	"the graph that was saved and read" };

/* What a traced program is fed, gives and writes to, in G; from here on in what G is when it was saved and read.  NULL:
 * it holds code, which cannot be saved, and stays as it is. */
static td_graph *move_to_read(
	td_ctx *c, td_graph *g, td_value **fetched, int n_fetched, td_feed *feeds, td_value **variables)
{
	td_graph *loaded = read_back(c, g);

	for (int i = 0; i < n_fetched && loaded; i++)
		fetched[i] = read_back_value(loaded, g, fetched[i]);
	for (int i = 0; i < BATCHED && loaded; i++)
		feeds[i].placeholder = read_back_value(loaded, g, feeds[i].placeholder);
	for (int i = BATCHED; i < LEAVES && loaded; i++)
		variables[i] = td_variable_tensor(read_back_value(loaded, g, td__graph_capture(g, variables[i])));
	return loaded;
}

/* Traced at a batch of 3, run at BATCH, two steps. */
static void run_program(
	const struct program *p, uint64_t seed, enum how how, int threads, int64_t batch, struct bits *b)
{
	td_ctx *c = td_ctx_create(&(td_ctx_options){ .threads = threads, .seed = seed });
	td_graph *g = td_graph_create(), *loaded = NULL;
	td_value *in[LEAVES], *seen[LEAVES], *kept[LEAVES],
		*out[VALUES_MOST + LEAVES] = { 0 }, *fetched[VALUES_MOST + LEAVES], *lr = td_scalar(c, TD_F32, 0.1);
	td_feed feeds[BATCHED];
	td_session *s = NULL;
	int n = 0, n_fetched = 0;

	for (int i = 0; i < LEAVES; i++)
		in[i] = seen[i] = kept[i] = make_leaf(c, i, batch, seed);
	if (how != EAGER) {
		td_trace_begin(c, g);
		for (int i = 0; i < BATCHED; i++) {
			td_shape shape = *td_shape_of(in[i]);
			shape.dim[0] = TD_UNKNOWN(3);
			seen[i] = td_placeholder(c, "x", &shape);
			seen[i]->needs_grad = true;
			feeds[i] = (td_feed){ seen[i], in[i] };
		}
		n = write_program(c, p, seen, lr, out);
		for (int i = BATCHED; i < LEAVES; i++)
			td__graph_capture(g, in[i]); /* not every program uses all of them */
		td_trace_end(c);
		for (int i = 0; i < n; i++)
			if (out[i])
				fetched[n_fetched++] = out[i];
		if (how == READ && !td_error(c)->status)
			loaded = move_to_read(c, g, fetched, n_fetched, feeds, kept);
		s = td_session_create(c, loaded ? loaded : g, fetched, n_fetched);
		if (s)
			td_session_set_flags(s, how == UNOPTIMISED ? TD_SESSION_UNOPTIMISED : TD_SESSION_PARANOID);
	}
	for (int step = 0; step < 2 && !td_error(c)->status; step++) {
		td_value *results[VALUES_MOST + LEAVES];
		td_step_begin(c);
		if (how == EAGER)
			n = write_program(c, p, in, lr, out);
		else
			td_session_run(s, c, feeds, BATCHED, results);
		for (int i = 0, k = 0; i < n && !td_error(c)->status; i++)
			keep(b, !out[i] ? NULL : how == EAGER ? out[i] : results[k++]);
		td_step_end(c);
	}
	snprintf(b->error, sizeof b->error, "%.399s", td_error(c)->status ? td_error(c)->text : "");
	for (int i = 0; i < LEAVES; i++) {
		if (!td_error(c)->status)
			keep(b, kept[i]);
		td_unref(in[i]);
	}
	td_unref(lr);
	td_session_free(s);
	td_graph_free(loaded);
	td_graph_free(g);
	td_ctx_free(c);
}

static size_t first_difference(const struct bits *a, const struct bits *b)
{
	size_t i = 0;

	while (i < a->n && i < b->n && a->bytes[i] == b->bytes[i])
		i++;
	return i;
}

static void list_calls(const struct program *p, char *out, size_t room)
{
	size_t at = 0;

	for (int i = 0; i < p->n_calls && at + 24 < room; i++)
		at += (size_t)snprintf(out + at, room - at, "%s%s", i ? ", " : "", random_row(p->calls[i].row)->name);
}

const char *random_graph_check(uint64_t seed, bool broken)
{
	static const struct {
		enum how how;
		int threads, batch; /* BATCH: which of the program's sizes */
	} runs[RUNS] = { { EAGER, 1, 0 }, { UNOPTIMISED, 1, 0 }, { PLANNED, 2, 0 }, { READ, 2, 0 }, { EAGER, 2, 1 },
		{ UNOPTIMISED, 2, 1 }, { PLANNED, 1, 1 }, { READ, 1, 1 } };
	struct program p;
	struct bits got[RUNS] = { 0 };
	int64_t sizes[2] = { 3, 1 + (int64_t)(seed % 7) };
	const char *answer = NULL;

	random_rows_break(broken);
	random_flow_init();
	make_program(&p, seed);
	for (int r = 0; r < RUNS && p.n_calls; r++)
		run_program(&p, seed, runs[r].how, runs[r].threads, sizes[runs[r].batch], &got[r]);
	for (int r = 0; r < RUNS && !answer && p.n_calls; r++) {
		const struct bits *a = &got[runs[r].batch * WAYS], *b = &got[r];
		char calls[260];
		bool same = a->n == b->n && first_difference(a, b) == a->n && !*a->error == !*b->error;

		/* what fitted a batch of 3 need not fit another, and a graph may have pruned what does not */
		if (*a->error && runs[r].batch)
			continue;
		list_calls(&p, calls, sizeof calls);
		if (!same)
			answer = WRONG("seed %llu, batch %lld: %s on %d threads differs from eager mode at byte %zu of "
				       "%zu (%s%s%s): %s",
				(unsigned long long)seed, (long long)sizes[runs[r].batch], how_names[runs[r].how],
				runs[r].threads, first_difference(a, b), a->n, a->error, *a->error ? " | " : "",
				b->error, calls);
		else if (*a->error) /* what was found by trying has to run at its own size */
			answer = WRONG("seed %llu: %s: %s", (unsigned long long)seed, a->error, calls);
	}
	for (int r = 0; r < RUNS; r++)
		mem_free(got[r].bytes);
	random_flow_release();
	return answer;
}

void random_graph_tell(void)
{
	for (int i = 0; i < random_n_rows(); i++)
		printf("%s%s %lld", i % 8 ? ", " : i ? "\n" : "", random_row(i)->name, (long long)used[i]);
	printf("\n");
}
