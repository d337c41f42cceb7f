/* Convolution by oneDNN: see dnn.h.  The one file that includes its header.
 *
 * Debian's oneDNN is built for OpenMP.  A primitive remembers how many threads OpenMP would have given when it was
 * made, and with one thread it runs as a plain call, without a parallel region.  So every thread that comes here asks
 * OpenMP for one thread first: no region ever begins, hence no team of threads that a fork would lose or a limit on
 * processes forbid, and no bit that depends on the number of threads. */
#include "kernels/dnn.h"

#if TD_REAL == 32 /* it has no float64 */

#include <dnnl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"
#include "base/mem.h"

/* From <omp.h>, which clang does not bring. */
void omp_set_num_threads(int n);

/* What a slice holds: memory objects are handles to buffers, and two threads cannot share one. */
struct slice {
	dnnl_memory_t x, weights, bias, y, scratch;
};

/* One primitive for all slices but perhaps the last. */
struct part {
	dnnl_primitive_desc_t desc;
	dnnl_primitive_t run;
};

struct dnn_conv {
	enum dnn_pass pass;
	bool bias;
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	struct part part[2]; /* of the most slices; of a shorter last one, empty if there is none */
	int n_slices;
	struct slice *slices;                /* owned */
	dnnl_memory_t plain, own;            /* the weights: [O, kh, kw, I], and in oneDNN's order */
	dnnl_primitive_t reorder;            /* between these two */
	size_t weights_bytes, scratch_bytes; /* scratch: of one slice */
	char *scratch;                       /* owned; [n_slices, scratch_bytes] */
};

static void one_thread(void)
{
	static _Thread_local bool done;

	if (!done)
		omp_set_num_threads(1);
	done = true;
}

/* A failure here is a bug, or no memory for a small object. */
static void must(dnnl_status_t status, const char *what)
{
	if (status != dnnl_success)
		TD_BUG("oneDNN: %s failed with status %d", what, (int)status);
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

/* Where oneDNN was faster than patches and a matrix product of one thread, on Zen 4 in both instruction sets: where a
 * pass makes enough channels to fill a vector, or reads so few that the product is as poor (the first layer of a
 * network), and where the weights' gradient has enough pixels to add up.  "Makes" and "reads" are channels of one
 * group. */
static const struct row {
	int64_t makes_least, reads_most, pixels_least;
} avx2[] = {
	[DNN_FORWARD] = { 3, 8, 0 },
	[DNN_BY_DATA] = { 3, 8, 0 },
	[DNN_BY_WEIGHTS] = { 1, 0, 64 },
}, avx512[] = {
	[DNN_FORWARD] = { 8, 8, 0 },
	[DNN_BY_DATA] = { 6, 8, 0 },
	[DNN_BY_WEIGHTS] = { 8, 8, 25 },
};

/* oneDNN makes its loops as it runs.  Hardened systems (systemd's MemoryDenyWriteExecute, SELinux) do not let a process
 * make code; what oneDNN has then is slow, and some of it fails when it is made. */
static bool code_can_be_made(void)
{
	static atomic_int known; /* 0: nobody has tried; else 1: no, 2: yes */
	int can = atomic_load(&known);

	if (!can) {
		void *page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		can = 1;
		if (page != MAP_FAILED) {
			can += !mprotect(page, 1, PROT_READ | PROT_WRITE | PROT_EXEC); /* as oneDNN does */
			munmap(page, 1);
		}
		atomic_store(&known, can);
	}
	return can == 2;
}

/* The code that oneDNN makes counts bytes in 32 bits; a stride, dilation or padding beyond all images overflows them. */
static bool counts_in_32_bits(const struct dnn_sizes *s)
{
	double pixel = 4.0 * (double)TD_MAX(s->channels, s->filters), steps[] = { pixel * (double)s->image[1], pixel };

	for (int i = 0; i < 2; i++) {
		double reach = (double)s->dilation[i] * (double)s->kernel[i];
		double most = TD_MAX(
			TD_MAX(reach, (double)s->stride[i]), TD_MAX((double)s->padding[i], (double)s->padding_end[i]));

		if (most * TD_MAX(steps[i], pixel) > INT32_MAX)
			return false;
	}
	return true;
}

bool dnn_takes(enum dnn_pass pass, const struct dnn_sizes *s)
{
	dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
	int64_t channels = s->channels / s->groups, filters = s->filters / s->groups;
	int64_t makes = pass == DNN_BY_DATA ? channels : filters, reads = pass == DNN_BY_DATA ? filters : channels;
	const struct row *row;

	if ((isa & dnnl_cpu_isa_avx2) != dnnl_cpu_isa_avx2 || !code_can_be_made())
		return false;
	if (!s->channels || !s->filters || !s->result[0] || !s->result[1] || !counts_in_32_bits(s))
		return false;
	/* uxlfoundation/oneDNN#6035: writes past its buffers, or never ends. */
	if (pass == DNN_BY_WEIGHTS && s->kernel[0] * s->kernel[1] == 1 && TD_MAX(s->stride[0], s->stride[1]) > 1 &&
		channels < 8)
		return false;
	row = (isa & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core ? &avx512[pass] : &avx2[pass];
	return (makes >= row->makes_least || reads <= row->reads_most) &&
	       s->result[0] * s->result[1] >= row->pixels_least;
}

#define ROUND_UP(n, to) (((n) + (to)-1) / (to) * (to))
#define SCRATCH_MOST    ((size_t)4 << 20) /* bytes for a slice; most need none */

/* oneDNN rounds channels up to vectors of 16, filters up to blocks of as many as 64, and depthwise groups to vectors.
 */
size_t dnn_weights_bytes(const struct dnn_sizes *s)
{
	int64_t channels = s->channels / s->groups, filters = s->filters / s->groups;
	int64_t block = filters > 32 ? 64 : 16, count;

	if (s->groups > 1 && channels == 1 && filters == 1)
		count = ROUND_UP(s->groups, 16);
	else
		count = s->groups * ROUND_UP(filters, block) * ROUND_UP(channels, 16);
	return sizeof(float) * (size_t)(count * s->kernel[0] * s->kernel[1]);
}

/* ---- Making ------------------------------------------------------------------------------------------------------ */

static void describe(dnnl_memory_desc_t *m, int rank, const dnnl_dims_t dim, dnnl_format_tag_t tag)
{
	must(dnnl_memory_desc_init_by_tag(m, rank, dim, dnnl_f32, tag), "describing memory");
}

/* The weights as [O, kh, kw, I], or as ANY order that oneDNN may choose. */
static void describe_weights(const struct dnn_sizes *s, bool any, dnnl_memory_desc_t *w)
{
	const int64_t g = s->groups;

	if (g > 1)
		describe(w, 5, (dnnl_dims_t){ g, s->filters / g, s->channels / g, s->kernel[0], s->kernel[1] },
			any ? dnnl_format_tag_any : dnnl_gohwi);
	else
		describe(w, 4, (dnnl_dims_t){ s->filters, s->channels, s->kernel[0], s->kernel[1] },
			any ? dnnl_format_tag_any : dnnl_ohwi);
}

/* All but the weights, for a slice of IMAGES images. */
static void describe_slice(const struct dnn_sizes *s, int64_t images, dnnl_memory_desc_t *x, dnnl_memory_desc_t *bias,
	dnnl_memory_desc_t *y)
{
	describe(x, 4, (dnnl_dims_t){ images, s->channels, s->image[0], s->image[1] }, dnnl_nhwc);
	describe(y, 4, (dnnl_dims_t){ images, s->filters, s->result[0], s->result[1] }, dnnl_nhwc);
	describe(bias, 1, (dnnl_dims_t){ s->filters }, dnnl_a);
}

/* The first implementation that oneDNN offers for PASS over IMAGES images, unless it is its last resort. */
static dnnl_primitive_desc_t choose(
	const struct dnn_conv *d, const struct dnn_sizes *s, int64_t images, dnnl_primitive_attr_t attr)
{
	/* Its header asks for arrays of the longest kind. */
	const dnnl_dims_t stride = { s->stride[0], s->stride[1] }, skip = { s->dilation[0] - 1, s->dilation[1] - 1 },
			  begin = { s->padding[0], s->padding[1] }, end = { s->padding_end[0], s->padding_end[1] };
	dnnl_memory_desc_t x, w, bias, y;
	dnnl_convolution_desc_t forward, backward;
	dnnl_primitive_desc_t hint = NULL, desc = NULL;
	const char *name = "";

	describe_slice(s, images, &x, &bias, &y);
	describe_weights(s, true, &w);
	if (dnnl_dilated_convolution_forward_desc_init(&forward, dnnl_forward_training, dnnl_convolution_direct, &x, &w,
		    d->bias ? &bias : NULL, &y, stride, skip, begin, end) ||
		dnnl_primitive_desc_create(&hint, &forward, attr, d->engine, NULL))
		return NULL;
	if (d->pass == DNN_FORWARD) {
		desc = hint;
		hint = NULL;
	} else if ((d->pass == DNN_BY_DATA
				   ? dnnl_dilated_convolution_backward_data_desc_init(
					     &backward, dnnl_convolution_direct, &x, &w, &y, stride, skip, begin, end)
				   : dnnl_dilated_convolution_backward_weights_desc_init(&backward,
					     dnnl_convolution_direct, &x, &w, NULL, &y, stride, skip, begin, end)) ||
		   dnnl_primitive_desc_create(&desc, &backward, attr, d->engine, hint)) {
		desc = NULL;
	}
	dnnl_primitive_desc_destroy(hint);
	if (desc)
		dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &name);
	if (!desc || strstr(name, "ref")) { /* plain loops, as our own */
		dnnl_primitive_desc_destroy(desc);
		return NULL;
	}
	return desc;
}

static const dnnl_memory_desc_t *described(dnnl_primitive_desc_t desc, dnnl_query_t what)
{
	return dnnl_primitive_desc_query_md(desc, what, 0);
}

static const dnnl_memory_desc_t *own_weights(const struct dnn_conv *d, const struct part *p)
{
	return described(p->desc, d->pass == DNN_BY_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md);
}

static dnnl_memory_t memory_of(const struct dnn_conv *d, const dnnl_memory_desc_t *m)
{
	dnnl_memory_t memory;

	must(dnnl_memory_create(&memory, m, d->engine, DNNL_MEMORY_NONE), "making a memory object");
	return memory;
}

static bool make_parts(struct dnn_conv *d, const struct dnn_sizes *s, const int64_t images[2])
{
	dnnl_primitive_attr_t attr;
	bool made = true;

	must(dnnl_primitive_attr_create(&attr), "making attributes");
	must(dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user), "asking for our own scratchpad");
	for (int k = 0; k < 2 && images[k]; k++) {
		struct part *p = &d->part[k];

		p->desc = choose(d, s, images[k], attr);
		made = made && p->desc && !dnnl_primitive_create(&p->run, p->desc);
		if (!made)
			break;
		d->scratch_bytes = TD_MAX(
			d->scratch_bytes, dnnl_memory_desc_get_size(described(p->desc, dnnl_query_scratchpad_md)));
	}
	dnnl_primitive_attr_destroy(attr);
	if (!made || (images[1] && !dnnl_memory_desc_equal(own_weights(d, &d->part[0]), own_weights(d, &d->part[1]))))
		return false;
	d->weights_bytes = dnnl_memory_desc_get_size(own_weights(d, &d->part[0]));
	return d->weights_bytes <= dnn_weights_bytes(s) && d->scratch_bytes <= SCRATCH_MOST;
}

static void make_reorder(struct dnn_conv *d, const struct dnn_sizes *s)
{
	const dnnl_memory_desc_t *own = own_weights(d, &d->part[0]);
	bool out = d->pass == DNN_BY_WEIGHTS;
	dnnl_memory_desc_t plain;
	dnnl_primitive_desc_t desc;

	describe_weights(s, false, &plain);
	must(dnnl_reorder_primitive_desc_create(
		     &desc, out ? own : &plain, d->engine, out ? &plain : own, d->engine, NULL),
		"describing a reorder");
	must(dnnl_primitive_create(&d->reorder, desc), "making a reorder");
	dnnl_primitive_desc_destroy(desc);
	d->plain = memory_of(d, &plain);
	d->own = memory_of(d, own);
}

static void make_slices(struct dnn_conv *d, const struct dnn_sizes *s, const int64_t images[2])
{
	d->slices = MEM_NEW_N(struct slice, d->n_slices);
	d->scratch_bytes = ROUND_UP(d->scratch_bytes, 64);
	d->scratch = d->scratch_bytes ? mem_alloc(d->scratch_bytes * (size_t)d->n_slices) : NULL;
	for (int i = 0; i < d->n_slices; i++) {
		struct slice *l = &d->slices[i];
		bool last = images[1] && i == d->n_slices - 1;
		const struct part *p = &d->part[last];
		dnnl_memory_desc_t x, bias, y;

		describe_slice(s, images[last], &x, &bias, &y);
		l->x = memory_of(d, &x);
		l->y = memory_of(d, &y);
		l->weights = memory_of(d, own_weights(d, p));
		l->bias = memory_of(d, &bias);
		l->scratch = memory_of(d, described(p->desc, dnnl_query_scratchpad_md));
	}
}

struct dnn_conv *dnn_conv_create(
	enum dnn_pass pass, const struct dnn_sizes *s, int n_slices, int64_t per_slice, int64_t last)
{
	struct dnn_conv *d = MEM_NEW(struct dnn_conv);
	const int64_t images[2] = { per_slice, last == per_slice ? 0 : last };

	one_thread();
	d->pass = pass;
	d->bias = s->bias;
	d->n_slices = n_slices;
	must(dnnl_engine_create(&d->engine, dnnl_cpu, 0), "making an engine");
	must(dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags), "making a stream");
	if (!make_parts(d, s, images)) {
		dnn_conv_free(d);
		return NULL;
	}
	make_reorder(d, s);
	make_slices(d, s, images);
	return d;
}

void dnn_conv_free(struct dnn_conv *d)
{
	if (!d)
		return;
	for (int i = 0; d->slices && i < d->n_slices; i++) {
		struct slice *l = &d->slices[i];

		dnnl_memory_destroy(l->x);
		dnnl_memory_destroy(l->y);
		dnnl_memory_destroy(l->weights);
		dnnl_memory_destroy(l->bias);
		dnnl_memory_destroy(l->scratch);
	}
	for (int k = 0; k < 2; k++) {
		dnnl_primitive_destroy(d->part[k].run);
		dnnl_primitive_desc_destroy(d->part[k].desc);
	}
	dnnl_primitive_destroy(d->reorder);
	dnnl_memory_destroy(d->plain);
	dnnl_memory_destroy(d->own);
	dnnl_stream_destroy(d->stream);
	dnnl_engine_destroy(d->engine);
	mem_free(d->slices);
	mem_free(d->scratch);
	mem_free(d);
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

static void point(dnnl_memory_t m, const void *bytes)
{
	must(dnnl_memory_set_data_handle(m, (void *)bytes), "pointing at a buffer");
}

static void reorder(struct dnn_conv *d, dnnl_memory_t to, dnnl_memory_t from)
{
	dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, from }, { DNNL_ARG_TO, to } };

	must(dnnl_primitive_execute(d->reorder, d->stream, 2, args), "reordering weights");
}

void dnn_weights_in(struct dnn_conv *d, void *to, const void *from)
{
	one_thread();
	point(d->plain, from);
	point(d->own, to);
	reorder(d, d->own, d->plain);
}

void dnn_weights_out(struct dnn_conv *d, void *to, const void *from)
{
	one_thread();
	point(d->plain, to);
	point(d->own, from);
	reorder(d, d->plain, d->own);
}

int64_t dnn_weights_count(const struct dnn_conv *d)
{
	return (int64_t)(d->weights_bytes / sizeof(float));
}

/* What each pass calls its arguments; x, weights, bias, y. */
static const int names[][4] = {
	[DNN_FORWARD] = { DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST },
	[DNN_BY_DATA] = { DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, 0, DNNL_ARG_DIFF_DST },
	[DNN_BY_WEIGHTS] = { DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, 0, DNNL_ARG_DIFF_DST },
};

void dnn_conv_slice(struct dnn_conv *d, int i, void *x, void *weights, void *bias, void *y)
{
	const struct slice *l = &d->slices[i];
	const struct part *p = &d->part[d->part[1].run && i == d->n_slices - 1];
	const int *name = names[d->pass];
	dnnl_exec_arg_t args[] = { { name[0], l->x }, { name[1], l->weights }, { name[3], l->y },
		{ DNNL_ARG_SCRATCHPAD, l->scratch }, { name[2], l->bias } };

	one_thread();
	point(l->x, x);
	point(l->weights, weights);
	point(l->y, y);
	point(l->scratch, d->scratch ? d->scratch + d->scratch_bytes * (size_t)i : NULL);
	if (d->bias)
		point(l->bias, bias);
	must(dnnl_primitive_execute(p->run, d->stream, d->bias ? 5 : 4, args), "a convolution");
}

const char *dnn_name(void)
{
	static char text[48];
	static const struct {
		dnnl_cpu_isa_t isa;
		const char *name;
	} rows[] = { { dnnl_cpu_isa_sse41, "sse41" }, { dnnl_cpu_isa_avx, "avx" }, { dnnl_cpu_isa_avx2, "avx2" },
		{ dnnl_cpu_isa_avx512_core, "avx512" } };
	const dnnl_version_t *v = dnnl_version();
	const char *isa = "plain";

	for (size_t i = 0; i < TD_COUNT(rows); i++)
		if (code_can_be_made() && (dnnl_get_effective_cpu_isa() & rows[i].isa) == rows[i].isa)
			isa = rows[i].name;
	snprintf(text, sizeof text, "%d.%d.%d-%s", v->major, v->minor, v->patch, isa);
	return text;
}

#endif
