/* The check that every mode computes the same bits. */
#include "read_back.h"
#include "suite.h"

#include <string.h>

#include "td_ops.h"

/* ---- What a run leaves ------------------------------------------------------------------------------------------- */

#define MOST_VALUES (2 * TD_MOST_IN + 1)

/* Result, gradients of the inputs, variables afterwards: copies of their bytes. */
struct outcome {
	td_status status; /* not TD_OK: nothing was left */
	int n;
	td_shape shape[MOST_VALUES];
	void *bytes[MOST_VALUES];
};

static void keep(struct outcome *o, const td_value *v)
{
	int i = o->n++;

	if (!v) {
		o->bytes[i] = NULL;
		return;
	}
	o->shape[i] = v->shape;
	o->bytes[i] = mem_alloc(td_shape_bytes(&v->shape));
	td_read(v, o->bytes[i]);
}

static void outcome_release(struct outcome *o)
{
	for (int i = 0; i < o->n; i++)
		mem_free(o->bytes[i]);
	*o = (struct outcome){ 0 };
}

static bool outcomes_equal(const struct outcome *a, const struct outcome *b)
{
	if (a->n != b->n || a->status != b->status)
		return false;
	for (int i = 0; i < a->n; i++) {
		if (!a->bytes[i] != !b->bytes[i])
			return false;
		if (a->bytes[i] && (!td_shape_same(&a->shape[i], &b->shape[i]) ||
					   memcmp(a->bytes[i], b->bytes[i], td_shape_bytes(&a->shape[i])) != 0))
			return false;
	}
	return true;
}

/* Forward and, if there is one and it is asked for, the gradient of the sum of squares (which fits any batch size),
 * written once for both modes. */
static td_value *whole_step(
	td_ctx *c, const td_op *op, const td_sample *s, td_value *const *in, bool gradients, td_value **grads)
{
	td_value *y = s->apply(c, in), *loss, *wants[TD_MOST_IN]; /* a graph's placeholder has a gradient unasked */

	memset(grads, 0, sizeof *grads * (size_t)s->n_in);
	for (int k = 0; k < s->n_in; k++)
		wants[k] = in[k] && in[k]->needs_grad ? in[k] : NULL;
	if (gradients && suite_has_gradient(op, s) && y && td__is_float(y->shape.dtype)) {
		loss = td_sum_squares(c, y);
		td_gradients(c, &loss, NULL, 1, wants, s->n_in, TD_CREATE_GRAPH, grads);
	}
	return y;
}

static void run_eager(
	const td_op *op, const td_sample *s, int64_t batch, int threads, bool gradients, struct outcome *o)
{
	td_ctx *c = suite_context(threads);
	td_value *in[TD_MOST_IN] = { 0 }, *grads[TD_MOST_IN], *y;

	suite_make_inputs(c, s, batch, false, 5, in);
	for (int k = 0; k < s->n_in; k++)
		if (gradients && suite_differentiable(op, s, k))
			td_require_grad(c, in[k], true);
	td_step_end(c);
	td_step_begin(c);
	y = whole_step(c, op, s, in, gradients, grads);
	o->status = c->err.status;
	if (!o->status) {
		keep(o, y);
		for (int k = 0; k < s->n_in; k++)
			keep(o, grads[k]);
		for (int k = 0; k < s->n_in; k++)
			if (s->in[k].variable)
				keep(o, in[k]);
	}
	td_step_end(c);
	suite_drop(in, s->n_in);
	td_ctx_free(c);
}

struct way {
	int threads;
	unsigned flags; /* of the session */
	bool saved;     /* saved, and read again */
	bool alone;     /* no gradients, and the op is the last reader of inputs that the plan may overwrite */
	const char *name;
};

/* A value of the graph's own with the elements of V, which is fed. */
static td_value *own(td_ctx *c, td_value *v)
{
	return v->shape.dtype == TD_BOOL ? td_logical_or(c, v, v) : td_maximum(c, v, v);
}

/* Record at the sample's own size, run at BATCH. */
static const char *run_graph(
	const td_op *op, const td_sample *s, int64_t batch, const struct way *way, struct outcome *o)
{
	td_ctx *c = suite_context(way->threads);
	td_graph *g = td_graph_create(), *loaded = NULL;
	td_value *in[TD_MOST_IN] = { 0 }, *symbols[TD_MOST_IN] = { 0 }, *grads[TD_MOST_IN], *fetches[MOST_VALUES],
		 *results[MOST_VALUES] = { 0 }, *written[TD_MOST_IN] = { 0 }, *y;
	td_feed feeds[TD_MOST_IN];
	int n_feeds = 0, n_fetches = 0, taken = 0;
	const char *wrong = NULL;
	td_session *session;

	suite_make_inputs(c, s, batch, false, 5, in);
	td_step_end(c);
	td_trace_begin(c, g);
	for (int k = 0; k < s->n_in; k++) {
		td_shape declared = s->in[k].shape;

		if (s->in[k].batched)
			declared.dim[0] = TD_UNKNOWN(declared.dim[0]);
		symbols[k] = s->in[k].variable ? in[k] : td_placeholder(c, "input", &declared);
		if (!s->in[k].variable) {
			symbols[k]->needs_grad = !way->alone && suite_differentiable(op, s, k);
			feeds[n_feeds++] = (td_feed){ symbols[k], in[k] };
			if (way->alone)
				symbols[k] = own(c, symbols[k]);
		}
	}
	y = whole_step(c, op, s, symbols, !way->alone, grads);
	td_trace_end(c);
	if (y)
		fetches[n_fetches++] = y;
	for (int k = 0; k < s->n_in; k++)
		if (grads[k])
			fetches[n_fetches++] = grads[k];
	memcpy(written, in, sizeof written);
	if (way->saved && !c->err.status)
		loaded = read_back(c, g);
	for (int k = 0; k < n_fetches && loaded; k++)
		fetches[k] = read_back_value(loaded, g, fetches[k]);
	for (int k = 0; k < n_feeds && loaded; k++)
		feeds[k].placeholder = read_back_value(loaded, g, feeds[k].placeholder);
	for (int k = 0; k < s->n_in && loaded; k++) {
		const td_value *variable =
			s->in[k].variable ? read_back_value(loaded, g, td__graph_capture(g, in[k])) : NULL;
		written[k] = variable ? td_variable_tensor(variable) : in[k]; /* not every op uses all of them */
	}
	session = td_session_create(c, loaded ? loaded : g, fetches, n_fetches);
	if (session) {
		td_session_set_flags(session, way->flags);
		td_step_begin(c);
		td_session_run(session, c, feeds, n_feeds, results);
	}
	o->status = c->err.status;
	if (c->err.status && batch) {
		wrong = suite_wrong("as a graph: %s", c->err.text);
	} else if (!c->err.status) {
		keep(o, y ? results[taken++] : NULL);
		for (int k = 0; k < s->n_in; k++)
			keep(o, grads[k] ? results[taken++] : NULL);
		for (int k = 0; k < s->n_in; k++)
			if (s->in[k].variable)
				keep(o, written[k]);
	}
	td_step_end(c);
	td_session_free(session);
	td_graph_free(loaded);
	td_graph_free(g);
	suite_drop(in, s->n_in);
	td_ctx_free(c);
	return wrong;
}

/* ---- Batches of no samples --------------------------------------------------------------------------------------- */

/* Of no elements none is the largest: along the batch's axis these refuse to work, as in torch. */
static bool may_refuse_none(const td_op *op)
{
	static const char *const names[] = { "argmax", "argmin", "max", "min" };

	for (size_t i = 0; i < TD_COUNT(names); i++)
		if (!strcmp(op->name, names[i]))
			return true;
	return false;
}

/* A batch of no samples is one: the op works, and every size of its result is on the line through those of two other
 * batches (a slice of the batch is as long as it was asked to be, or as there is). */
static const char *check_none(const td_op *op, const td_sample *s, int i, const struct outcome *none)
{
	const int64_t few = 5, many = 37;
	struct outcome a = { 0 }, b = { 0 };
	const char *wrong = NULL;

	if (none->status)
		return may_refuse_none(op) ? NULL
					   : suite_wrong("%s sample %d refuses a batch of no samples", op->name, i);
	if (!strcmp(op->name, "slice"))
		return NULL;
	run_eager(op, s, few, 1, false, &a);
	run_eager(op, s, many, 1, false, &b);
	for (int k = 0; !a.status && !b.status && none->bytes[0] && k < none->shape[0].rank && !wrong; k++) {
		int64_t at_few = a.shape[0].dim[k], each = (b.shape[0].dim[k] - at_few) / (many - few),
			want = at_few - few * each;

		if (none->shape[0].dim[k] != want)
			wrong = suite_wrong("%s sample %d: of no samples axis %d has %lld elements, not %lld", op->name,
				i, k, (long long)none->shape[0].dim[k], (long long)want);
	}
	outcome_release(&a);
	outcome_release(&b);
	return wrong;
}

/* ---- The check ---------------------------------------------------------------------------------------------------- */

const char *suite_same_bits(const td_op *op, const td_sample *s, int i)
{
	static const int64_t batches[] = { -1, 1, 5, 37, 0 };
	static const struct way ways[] = { { 1, TD_SESSION_UNOPTIMISED, .name = "unoptimised graph" },
		{ 1, TD_SESSION_PARANOID, .name = "planned graph" },
		{ 2, TD_SESSION_PARANOID, .name = "planned graph, 2 threads" },
		{ 1, TD_SESSION_PARANOID, .saved = true, .name = "graph that was saved and read again" },
		{ 1, TD_SESSION_PARANOID, .alone = true, .name = "planned graph that may overwrite the inputs" } };
	bool batched = false;
	const char *wrong = NULL;

	for (int k = 0; k < s->n_in; k++)
		batched |= s->in[k].batched;
	for (size_t b = 0; b < (batched ? TD_COUNT(batches) : 1) && !wrong; b++) {
		struct outcome eager[2] = { 0 }, other = { 0 }; /* [alone] */

		run_eager(op, s, batches[b], 1, true, &eager[0]);
		run_eager(op, s, batches[b], 1, false, &eager[1]);
		run_eager(op, s, batches[b], 2, true, &other);
		if (!outcomes_equal(&eager[0], &other))
			wrong = suite_wrong("%s sample %d, batch %lld: 2 threads give other bits", op->name, i,
				(long long)batches[b]);
		outcome_release(&other);
		if (!batches[b] && !wrong)
			wrong = check_none(op, s, i, &eager[1]);
		for (size_t w = 0; w < TD_COUNT(ways) && !wrong; w++) {
			wrong = run_graph(op, s, batches[b], &ways[w], &other);
			if (!wrong && !outcomes_equal(&eager[ways[w].alone], &other))
				wrong = suite_wrong("%s sample %d, batch %lld: the %s gives other bits than eager mode",
					op->name, i, (long long)batches[b], ways[w].name);
			outcome_release(&other);
		}
		outcome_release(&eager[0]);
		outcome_release(&eager[1]);
	}
	return wrong;
}
