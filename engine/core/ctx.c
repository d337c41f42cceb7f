/* The context: mode, step, sticky error, and what the present step has made. */
#include "core/core.h"
#include "kernels/dnn.h"
#include "kernels/kernels.h"

#include <stdio.h>
#include <string.h>

#define PATH_MOST 256 /* bytes of a layer path: about 16 levels of "layers.12" */

/* Make PATH (interned, so that nodes can point to it) the present one. */
static void set_layer(td_ctx *c, const char *path)
{
	char *interned = map_get(&c->layers, path);

	if (!interned && c->layers.n >= TD_LAYERS_MOST) {
		td_fail(c, TD_TOO_LARGE,
			"\"%s\" would be one layer too many for a context, which knows %d; a name that changes from "
			"step to step is no layer's",
			path, TD_LAYERS_MOST);
		return;
	}
	if (!interned) {
		interned = mem_strdup(path);
		map_put(&c->layers, path, interned);
	}
	c->layer = interned;
}

td_ctx *td_ctx_create(const td_ctx_options *options)
{
	td_ctx *c = MEM_NEW(td_ctx);

	k_gemm_one_thread();
	c->seed = options->seed;
	c->threads = threads_create(TD_MAX(options->threads, 1));
	c->device = &td__devices[TD_CPU];
	c->pool = td__pool_create(c->device);
	map_init(&c->layers);
	map_init(&c->warned);
	set_layer(c, "");
	return c;
}

bool td__arena_reserve(td_ctx *c, size_t n_bytes)
{
	TD_ASSERT(!c->runs_plan);
	if (n_bytes <= c->arena_bytes)
		return true;
	mem_free(c->arena); /* first: the old and the new one need not fit together */
	c->arena = mem_try_alloc(n_bytes);
	c->arena_bytes = c->arena ? n_bytes : 0;
	return c->arena;
}

void td__keep(td_ctx *c, td_value *v)
{
	MEM_GROW(c->made, c->n_made, c->made_room);
	c->made[c->n_made++] = v;
}

static void release_made(td_ctx *c)
{
	while (c->n_made)
		td_unref(c->made[--c->n_made]);
}

void td_ctx_free(td_ctx *c)
{
	struct map_entry *e;

	if (!c)
		return;
	release_made(c);
	td__handles_free(c);
	mem_free(c->made);
	mem_free(c->scopes);
	for (size_t i = 0; (e = map_next(&c->layers, &i));)
		mem_free(e->value);
	map_release(&c->layers);
	map_release(&c->warned);
	td__pool_unref(c->pool);
	threads_free(c->threads);
	mem_free(c->arena);
	mem_free(c);
}

const struct err *td_error(const td_ctx *c)
{
	return &c->err;
}

void td_error_clear(td_ctx *c)
{
	err_clear(&c->err);
}

td_value *td_fail(td_ctx *c, td_status s, const char *fmt, ...)
{
	va_list ap;

	if (c->err.status)
		return NULL;
	va_start(ap, fmt);
	err_vset(&c->err, s, fmt, ap);
	va_end(ap);
	if (*c->layer)
		err_wrap(&c->err, "layer %s", c->layer);
	return NULL;
}

td_counters td_ctx_counters(const td_ctx *c)
{
	td_counters n = c->counters;

	td__pool_count(c->pool, &n.live_bytes, &n.peak_bytes);
	return n;
}

const char *td_fingerprint(void)
{
	static char text[160];

	if (!*text) {
		const char *isa = __builtin_cpu_supports("avx512f") ? "avx512"
				  : __builtin_cpu_supports("avx2")  ? "avx2"
								    : "sse2";
		snprintf(text, sizeof text, "%s openblas-%s onednn-%s tandem-%s", isa, k_gemm_core(), dnn_name(),
			TD_VERSION);
	}
	return text;
}

void td_step_begin(td_ctx *c)
{
	c->step++;
	c->n_random = 0;
}

void td_step_end(td_ctx *c)
{
	if (c->observer)
		c->observer(c->observer_arg, &(td_event){ .kind = TD_EVENT_STEP_END });
	release_made(c);
}

void td_step_set(td_ctx *c, int64_t step)
{
	c->step = step;
}

void td_observe(td_ctx *c, td_observer *fn, void *arg)
{
	c->observer = fn;
	c->observer_arg = arg;
}

void td__observe_gradient(td_ctx *c, td_value *v, td_value *grad)
{
	if (c->observer && !c->graph && v && grad)
		c->observer(c->observer_arg,
			&(td_event){ .kind = TD_EVENT_GRADIENT, .in = &v, .n_in = 1, .out = &grad, .n_out = 1 });
}

uint32_t td__next_stream(td_ctx *c)
{
	return c->n_random++;
}

enum td_reuse td__reuse_now(const td_ctx *c)
{
	int outside = c->graph ? c->graph->n_scopes : 0;

	return c->n_scopes > outside ? c->scopes[c->n_scopes - 1].reuse : TD_REUSE_INHERIT;
}

void td__scope_push(td_ctx *c, const char *name, enum td_reuse reuse)
{
	char path[PATH_MOST];

	MEM_GROW(c->scopes, c->n_scopes, c->scopes_room);
	c->scopes[c->n_scopes++] = (td_scope){ .outside = c->layer, .reuse = reuse };
	snprintf(path, sizeof path, "%s%s%s", c->layer, *c->layer ? "." : "", name);
	set_layer(c, path);
}

void td_name_push(td_ctx *c, const char *name)
{
	td__scope_push(c, name, td__reuse_now(c));
}

void td_name_pop(td_ctx *c)
{
	TD_ASSERT(c->n_scopes > 0);
	c->layer = c->scopes[--c->n_scopes].outside; /* not what is before a dot: names may have dots */
}

void td_no_grad_begin(td_ctx *c)
{
	c->no_grad++;
}

void td_no_grad_end(td_ctx *c)
{
	TD_ASSERT(c->no_grad > 0);
	c->no_grad--;
}
