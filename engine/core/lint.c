/* Warnings: what is allowed and probably not meant.  One rule is one row: the op at which it shows, and a function that
 * looks.  Nobody looks where nobody listens (td_on_warning). */
#include "core/core.h"

#include <stdio.h>
#include <string.h>

void td_on_warning(td_ctx *c, td_warning_fn *fn, void *arg)
{
	c->warn = fn;
	c->warn_arg = arg;
}

void td_warn(td_ctx *c, const char *code, const char *fmt, ...)
{
	char key[320], text[500];
	va_list ap;

	if (!c->warn)
		return;
	snprintf(key, sizeof key, "%s\n%s", code, c->layer);
	if (map_get(&c->warned, key))
		return;
	map_put(&c->warned, key, c);
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c->warn(c->warn_arg, &(td_warning){ .code = code, .layer = c->layer, .text = text });
}

/* The op that made V, behind what only moves or thins its elements. */
static const char *made_by(const td_value *v)
{
	while (v->producer && (v->producer->op->view || !strcmp(v->producer->op->name, "reorder") ||
				      !strcmp(v->producer->op->name, "dropout")))
		v = v->producer->in[0];
	return v->producer ? v->producer->op->name : "";
}

/* [N, 1] with [M] becomes [N, M]: meant for an outer sum, and an accident where a column met a row of the same length.
 */
static void look_at_broadcast(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	char a[TD_SHAPE_TEXT], b[TD_SHAPE_TEXT], y[TD_SHAPE_TEXT];
	int64_t n = td_shape_count(out);

	if (n > td_shape_count(&in[0]->shape) && n > td_shape_count(&in[1]->shape))
		td_warn(c, "broadcast",
			"%s spreads both of its inputs: %s and %s give %s; if they were meant to match, reshape one of "
			"them",
			op->name, td_shape_text(&in[0]->shape, a), td_shape_text(&in[1]->shape, b),
			td_shape_text(out, y));
}

static void look_at_logits(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	(void)op;
	(void)out;
	if (!strcmp(made_by(in[0]), "softmax"))
		td_warn(c, "double_softmax",
			"a cross-entropy on logits gets the result of a softmax, so there are two; leave the softmax "
			"out: the loss "
			"stalls above 1 otherwise");
}

static void look_at_binary_logits(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	(void)op;
	(void)out;
	if (!strcmp(made_by(in[0]), "sigmoid"))
		td_warn(c, "double_sigmoid",
			"a binary cross-entropy on logits gets the result of a sigmoid, so there are two; leave the "
			"sigmoid out");
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

static const struct rule {
	const char *op;
	void (*look)(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out);
} rules[] = {
	{ "add", look_at_broadcast },
	{ "sub", look_at_broadcast },
	{ "mul", look_at_broadcast },
	{ "div", look_at_broadcast },
	{ "maximum", look_at_broadcast },
	{ "minimum", look_at_broadcast },
	{ "equal", look_at_broadcast },
	{ "cross_entropy_each", look_at_logits },
	{ "bce_logits_each", look_at_binary_logits },
	{ "dropout", look_at_mode },
	{ "batch_norm_train", look_at_mode },
};

void td__lint(td_ctx *c, const td_op *op, td_value *const *in, const td_shape *out)
{
	for (size_t i = 0; i < TD_COUNT(rules); i++)
		if (!strcmp(rules[i].op, op->name))
			rules[i].look(c, op, in, out);
}
