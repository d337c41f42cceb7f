/* Warnings: what is allowed and probably not meant.  A rule about an op is a row: the op at which it shows, and a
 * function that looks; the few that need a whole program or an epoch follow.  Nobody looks where nobody listens
 * (td_on_warning). */
#include "core/core.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void td_on_warning(td_ctx *c, td_warning_fn *fn, void *arg)
{
	c->warn = fn;
	c->warn_arg = arg;
}

static void warn_at(td_ctx *c, const char *layer, const char *code, const char *fmt, va_list ap)
{
	char key[320], text[500];

	snprintf(key, sizeof key, "%s\n%s", code, layer);
	if (!c->warn || c->warned.n >= TD_WARNINGS_MOST || map_get(&c->warned, key))
		return;
	map_put(&c->warned, key, c);
	vsnprintf(text, sizeof text, fmt, ap);
	c->warn(c->warn_arg, &(td_warning){ .code = code, .layer = layer, .text = text });
}

void td_warn(td_ctx *c, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	warn_at(c, c->layer, code, fmt, ap);
	va_end(ap);
}

/* About LAYER, which need not be the present one. */
static void warn_about(td_ctx *c, const char *layer, const char *code, const char *fmt, ...) TD_PRINTF(4, 5);

static void warn_about(td_ctx *c, const char *layer, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	warn_at(c, layer, code, fmt, ap);
	va_end(ap);
}

/* ---- What one op shows ------------------------------------------------------------------------------------------- */

/* What made V, behind what only moves or thins its elements; NULL: it is no result. */
static const td_node *maker(const td_value *v)
{
	while (v->producer &&
		(v->producer->op->view || !strcmp(v->producer->op->name, "reorder") ||
			!strcmp(v->producer->op->name, "transpose") || !strcmp(v->producer->op->name, "dropout")))
		v = v->producer->in[0];
	return v->producer;
}

/* V is the result of ACTIVATION: warn with CODE and TEXT about the layer that applied it, so that every loss that reads
 * it means one warning. */
static void look_for_activation(
	td_ctx *c, const td_value *v, const char *activation, const char *code, const char *text)
{
	const td_node *n = maker(v);

	if (n && !strcmp(n->op->name, activation))
		warn_about(c, n->layer, code, "%s", text);
}

/* [N, 1] with [M] becomes [N, M]: meant for an outer sum, and an accident where a column met a row of the same length.
 */
static void look_at_broadcast(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	char inputs[3 * (TD_SHAPE_TEXT + 8)] = "", text[TD_SHAPE_TEXT];
	int64_t n = td_shape_count(out);

	if (c->in_backward)
		return;
	for (int i = 0; i < op->n_in; i++) {
		size_t used = strlen(inputs);

		if (n <= td_shape_count(&in[i]->shape))
			return;
		snprintf(inputs + used, sizeof inputs - used, "%s%s",
			!i                 ? ""
			: i < op->n_in - 1 ? ", "
					   : " and ",
			td_shape_text(&in[i]->shape, text));
	}
	td_warn(c, "broadcast",
		"%s spreads %s of its inputs: %s give %s; if they were meant to match, reshape one of them", op->name,
		op->n_in == 2 ? "both" : "all", inputs, td_shape_text(out, text));
}

static void look_at_logits(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	(void)op;
	(void)out;
	look_for_activation(c, in[0], "softmax", "double_softmax",
		"this softmax goes into a cross-entropy that takes logits (or into a log_softmax) and applies a "
		"softmax itself, so there are two and the loss stalls far above 0; leave this one out");
}

void td__lint_binary_logits(td_ctx *c, const td_value *x)
{
	if (c->warn && x)
		look_for_activation(c, x, "sigmoid", "double_sigmoid",
			"this sigmoid goes into a binary cross-entropy that takes logits and applies a sigmoid itself, "
			"so there are two; leave this one out, or take the loss that takes probabilities");
}

static void look_at_logarithms(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	(void)op;
	(void)out;
	look_for_activation(c, in[0], "softmax", "nll_of_softmax",
		"this softmax goes into a loss that takes logarithms of probabilities, so it falls below 0 and means "
		"nothing; make it a log_softmax, or take a cross-entropy without it");
}

static void look_at_mode(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	(void)in;
	(void)out;
	if (c->no_grad && !c->in_backward)
		td_warn(c, "training_mode",
			"%s runs as in training although no gradient is recorded; for an evaluation switch it to that "
			"mode",
			op->name);
}

static void look_at_norm(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	if (!in[5]) /* nothing tells it the mode */
		look_at_mode(c, op, in, out);
}

static const struct rule {
	const char *op;
	void (*look)(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out);
} rules[] = {
	{ "cross_entropy_each", look_at_logits },
	{ "log_softmax", look_at_logits },
	{ "nll_each", look_at_logarithms },
	{ "dropout", look_at_mode },
	{ "batch_norm_train", look_at_norm },
};

void td__lint(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	if (op->broadcasts)
		look_at_broadcast(c, op, in, out);
	for (size_t i = 0; i < TD_COUNT(rules); i++)
		if (!strcmp(rules[i].op, op->name))
			rules[i].look(c, op, in, out);
}

/* ---- What a whole program shows ---------------------------------------------------------------------------------- */

static bool has_weight(const td_node *n)
{
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] && n->in[i]->captured && n->in[i]->captured->needs_grad)
			return true;
	return false;
}

static bool runs_layer(const td_plan *p, const char *layer)
{
	for (int k = 0; k < p->n_steps; k++)
		if (!p->steps[k].node->backward && !strcmp(p->steps[k].node->layer, layer))
			return true;
	return false;
}

/* A node without effects whose result nothing reads, and no gradient either: the end of a branch that leads nowhere. */
static bool is_loose_end(const td_node *n, const bool *read)
{
	bool computes = false; /* not from shapes alone, as a constant is */

	for (int i = 0; i < n->n_in; i++)
		computes |= n->in[i] && !(n->op->shape_only >> i & 1);
	if (!computes || n->backward || n->walked || n->op->writes || !n->op->n_out || !strcmp(n->op->name, "assigned"))
		return false;
	for (int i = 0; i < n->op->n_out; i++)
		if (read[n->out[i]->id])
			return false;
	return true;
}

static void warn_of_loose_ends(td_ctx *c, const td_graph *g, const bool *kept)
{
	bool *read = MEM_NEW_N(bool, g->n_values + 1);
	char text[TD_SHAPE_TEXT];

	for (int k = 0; k < g->n_nodes; k++)
		for (int i = 0; i < g->nodes[k]->n_in; i++)
			if (g->nodes[k]->in[i])
				read[g->nodes[k]->in[i]->id] = true;
	for (int k = 0; k < g->n_nodes; k++) {
		const td_node *n = g->nodes[k];

		if (!kept[k] && is_loose_end(n, read))
			warn_about(c, n->layer, "unused",
				"%s, which makes %s here, reaches no fetch, so it is not computed; is what comes next "
				"given an earlier value?  Use its result, or leave it out",
				n->op->name, td_shape_text(&n->out[0]->shape, text));
	}
	mem_free(read);
}

/* A layer with weights whose output reaches no fetch and no update learns nothing; and whatever else ends nowhere. */
void td__lint_plan(td_ctx *c, const td_plan *p)
{
	const td_graph *g = p->graph;
	bool *kept;

	if (g->n_sessions > 1 || p->n_values > p->n_recorded) /* another session, or what is fed, has its place */
		return;
	kept = MEM_NEW_N(bool, g->n_nodes + 1);
	for (int k = 0; k < p->n_steps; k++)
		kept[p->steps[k].node->id] = true;
	for (int i = 0; i < g->n_nodes; i++) {
		const td_node *n = g->nodes[i];

		if (!kept[i] && *n->layer && !n->backward && has_weight(n) && !runs_layer(p, n->layer))
			warn_about(c, n->layer, "unused",
				"nothing that is fetched depends on this layer, so it is not computed and learns "
				"nothing; use its output, or leave it out");
	}
	warn_of_loose_ends(c, g, kept);
	mem_free(kept);
}

/* Does N, which ran, write to (WRITES) or else read what V has? */
static bool touches(const td_node *n, const td_value *v, bool writes)
{
	for (int i = 0; i < n->n_in; i++)
		if (n->in[i] && td__base(n->in[i]) == v && !(n->op->shape_only >> i & 1) &&
			(writes ? n->op->writes : ~n->op->overwrites) >> i & 1)
			return true;
	return false;
}

/* Of the nodes that ran, whether any but an initialisation touches V. */
static bool was_touched(const td_graph *g, const bool *used, int n_used, const td_value *v, bool writes)
{
	for (int k = 0; k < n_used; k++)
		if (used[k] && strcmp(g->nodes[k]->op->name, "initialise") && touches(g->nodes[k], v, writes))
			return true;
	return false;
}

/* In TensorFlow's session each run says what it needs, so it is at the end that a variable turns out to be forgotten:
 * others learnt, and nothing read this one. */
void td__lint_session(td_ctx *c, const td_graph *g, const bool *used, int n_used)
{
	bool learns = false;

	for (int i = 0; i < g->n_variables && !learns; i++)
		learns = g->variables[i].trainable && was_touched(g, used, n_used, g->variables[i].symbol, true);
	for (int i = 0; i < g->n_variables && learns; i++) {
		const td_variable *v = &g->variables[i];
		const char *dot = strrchr(v->name, '.');
		char layer[256];

		if (!v->trainable || was_touched(g, used, n_used, v->symbol, false))
			continue;
		snprintf(layer, sizeof layer, "%.*s", dot ? (int)(dot - v->name) : 0, v->name);
		warn_about(c, layer, "unused",
			"no run read the variable \"%s\", which is trainable, while others learnt; use it, or make it "
			"one that is not trainable",
			v->name);
	}
}

/* ---- What epochs show -------------------------------------------------------------------------------------------- */

#define ORDER_LEAST 16 /* samples: fewer come in the same order by chance */

void td_note_order(td_ctx *c, const int64_t *order, int64_t n)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */

	if (!c->warn || n < ORDER_LEAST)
		return;
	for (int64_t i = 0; i < n; i++)
		hash = (hash ^ (uint64_t)order[i]) * 1099511628211u;
	hash += !hash; /* 0 says that none was noted */
	if (hash == c->order_hash)
		td_warn(c, "same_order",
			"two epochs show their %lld samples in the same order although they are shuffled; draw the "
			"order from the number of the epoch, too",
			(long long)n);
	c->order_hash = hash;
}
