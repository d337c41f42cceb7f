/* What the tests of the course's notebooks share: its check values, its pictures, and the network that they use.
 *
 * The files are not part of the source.  They are looked for in the folder that TANDEM_COURSE names, or in
 * ../shared/data; a test whose files are not there says so and is skipped. */
#ifndef TEST_COURSE_H
#define TEST_COURSE_H

#include "../unit/learn_rig.h"

#include <archive.h>
#include <archive_entry.h>
#include <limits.h>
#include <unistd.h>
#include "data/resize.h"
#include "io/image.h"
#include "io/io.h"
#include "io/npy.h"
#include "td_ops.h"

#define GAN_CHECKS   "cs231n/gan-checks.npz"
#define STYLE_CHECKS "cs231n/style-transfer-checks.npz"
#define SQUEEZENET   "weights/squeezenet1_1.safetensors"

#define CHECK_MOST (1u << 20) /* bytes of one array */

/* The path of the course's file NAME, in OUT. */
static inline const char *course_path(const char *name, char out[PATH_MAX])
{
	const char *folder = getenv("TANDEM_COURSE");

	snprintf(out, PATH_MAX, "%s/%s", folder && *folder ? folder : "../shared/data", name);
	return out;
}

/* The test ends here if NAME is not there. */
static inline void course_need(const char *name)
{
	char path[PATH_MAX];

	if (access(course_path(name, path), R_OK) == 0)
		return;
	print_message("%s is not there; TANDEM_COURSE names the folder that has %s\n", path, name);
	skip();
}

/* ---- Check values ------------------------------------------------------------------------------------------------ */

struct check {
	struct npy shape;
	double *values; /* owned */
};

/* The array MEMBER of the archive NAME. */
static inline struct check check_read(const char *name, const char *member)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	struct check c = { .values = NULL };
	char path[PATH_MAX], *bytes = mem_alloc(CHECK_MOST), *file = mem_printf("%s.npy", member);
	struct err e = { 0 };

	archive_read_support_format_zip(a);
	assert_int_equal(archive_read_open_filename(a, course_path(name, path), 65536), ARCHIVE_OK);
	while (!c.values && archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		la_ssize_t n;

		if (strcmp(archive_entry_pathname(entry), file) != 0)
			continue;
		n = archive_read_data(a, bytes, CHECK_MOST);
		assert_in_range(n, 1, CHECK_MOST - 1);
		if (npy_parse(bytes, (size_t)n, &c.shape, &e))
			fail_msg("%s: %s", member, e.text);
		assert_int_equal(n, c.shape.n_header + c.shape.n * npy_type_bytes(c.shape.type));
		c.values = MEM_NEW_N(double, c.shape.n);
		npy_to_doubles(c.shape.type, bytes + c.shape.n_header, c.shape.n, c.values);
	}
	if (!c.values)
		fail_msg("%s has no array %s", path, member);
	archive_read_free(a);
	mem_free(file);
	mem_free(bytes);
	return c;
}

/* The one number of such an array. */
static inline double check_number(const char *name, const char *member)
{
	struct check c = check_read(name, member);
	double v = c.values[0];

	assert_int_equal(c.shape.n, 1);
	mem_free(c.values);
	return v;
}

/* Such an array as a tensor of TYPE, float32 or float64.  The caller's. */
static inline td_value *check_tensor(td_ctx *c, td_dtype type, const char *name, const char *member)
{
	struct check from = check_read(name, member);
	td_shape s = { .dtype = type, .rank = from.shape.rank };
	float *narrow = MEM_NEW_N(float, from.shape.n);
	td_value *v;

	for (int i = 0; i < s.rank; i++)
		s.dim[i] = from.shape.dim[i];
	for (int64_t i = 0; i < from.shape.n; i++)
		narrow[i] = (float)from.values[i];
	v = td_tensor(c, &s, type == TD_F32 ? (const void *)narrow : from.values);
	mem_free(narrow);
	mem_free(from.values);
	return v;
}

/* The notebooks' measure, max |x - y| / (|x| + |y|), of one number. */
static inline double relative(double x, double y)
{
	return fabs(x - y) / fmax(1e-8, fabs(x) + fabs(y));
}

/* ---- Models ------------------------------------------------------------------------------------------------------ */

struct net {
	struct arena arena;
	struct faults faults;
	struct nn_model_options options;
	cJSON *document;
	struct nn_model *model;
};

/* TEXT is the "model" of a spec, which must be right, for inputs like IN; its weights are drawn with SEED. */
static inline void net_init(struct net *n, td_ctx *c, const char *text, const td_shape *in, uint64_t seed)
{
	*n = (struct net){ .document = cJSON_Parse(text) };
	assert_non_null(n->document);
	arena_init(&n->arena);
	faults_init(&n->faults);
	opt_read(&nn_model_section, n->document, "/model", &n->options, &n->arena, &n->faults);
	n->model = nn_model_create(&n->options, in, 0, false, &n->faults);
	if (n->faults.n_found)
		fail_msg("%s: %s", n->faults.items[0].pointer, n->faults.items[0].detail);
	assert_int_equal(nn_model_allocate(n->model, c, seed), TD_OK);
}

static inline void net_release(struct net *n)
{
	nn_model_free(n->model);
	faults_release(&n->faults);
	arena_release(&n->arena);
	cJSON_Delete(n->document);
}

/* SqueezeNet with its trained weights, frozen, for pictures like IN. */
static inline void squeezenet_init(struct net *n, td_ctx *c, const td_shape *in)
{
	struct opt_strings nothing = { 0 };
	struct safetensors file;
	char path[PATH_MAX];
	struct err e = { 0 };

	net_init(n, c, "{\"name\":\"squeezenet1_1\",\"args\":{\"classes\":1000}}", in, 7);
	if (safetensors_read(course_path(SQUEEZENET, path), 64 << 20, &file, &e))
		fail_msg("%s", e.text);
	if (!nn_model_load(n->model, &file, true, &nothing, NULL, &n->faults))
		fail_msg("%s", n->faults.items[0].detail);
	safetensors_release(&file);
	for (int i = 0; i < n->model->n_params; i++)
		td_require_grad(c, n->model->params[i].value, false);
}

/* ---- Optimizers -------------------------------------------------------------------------------------------------- */

#define LEARNER_MOST 32 /* tensors of one network */

/* An optimizer over some tensors, whatever they are: a network's weights, or a picture. */
struct learner {
	struct chosen chosen;
	td_value *params[LEARNER_MOST]; /* borrowed; they want gradients */
	td_value *state[LEARNER_MOST][NN_STATE_MOST];
	td_value *lr, *one; /* owned, like STATE */
	int n;
};

static inline const struct nn_optimizer_type *learner_type(const struct learner *l)
{
	return (const struct nn_optimizer_type *)l->chosen.choice.type;
}

static inline void learner_init(struct learner *l, td_ctx *c, const char *text)
{
	memset(l, 0, sizeof *l);
	chosen_init(&l->chosen, &nn_optimizers, text);
	assert_null(learner_type(l)->state_start); /* STATE begins with zeros */
	l->lr = td_scalar(c, TD_F32, nn_group_lr(l->chosen.choice.options, -1));
	l->one = td_scalar(c, TD_F32, 1);
}

static inline void learner_add(struct learner *l, td_ctx *c, td_value *param)
{
	assert_in_range(l->n, 0, LEARNER_MOST - 1);
	for (int k = 0; k < learner_type(l)->n_state(l->chosen.choice.options, -1); k++)
		l->state[l->n][k] = td_tensor(c, td_shape_of(param), NULL);
	td_require_grad(c, param, true);
	l->params[l->n++] = param;
}

/* optimizer.step(), then optimizer.zero_grad().  T: a scalar, the number of this update. */
static inline void learner_step(struct learner *l, td_ctx *c, td_value *t)
{
	td_no_grad_begin(c);
	for (int i = 0; i < l->n; i++) {
		struct nn_update u = { .param = l->params[i],
			.grad = td_grad_of(l->params[i]),
			.lr = l->lr,
			.t = t,
			.gate = l->one,
			.group = -1,
			.weight_decay = nn_group_weight_decay(l->chosen.choice.options, -1) };

		memcpy(u.state, l->state[i], sizeof u.state);
		learner_type(l)->update(c, l->chosen.choice.options, &u);
	}
	td_no_grad_end(c);
	td_zero_grad(c, l->params, l->n, TD_ZERO_NONE);
}

static inline void learner_release(struct learner *l)
{
	for (int i = 0; i < l->n; i++)
		for (int k = 0; k < NN_STATE_MOST; k++)
			td_unref(l->state[i][k]);
	td_unref(l->lr);
	td_unref(l->one);
	chosen_release(&l->chosen);
}

/* ---- Pictures ---------------------------------------------------------------------------------------------------- */

static const double picture_mean[3] = { 0.485, 0.456, 0.406 }, picture_std[3] = { 0.229, 0.224, 0.225 };

/* Where the longer side ends up between two pixels: torchvision rounds down, others to the nearest. */
enum picture_rounding { ROUND_DOWN, ROUND_NEAREST };

/* The file NAME with its shorter side resized to SIDE, as planes of bytes. */
static inline void picture_read(const char *name, int64_t side, enum picture_rounding rounding, struct image *out)
{
	struct err e = { 0 };
	struct image whole;
	struct resize plan;
	struct buf file;
	char path[PATH_MAX];
	int64_t height, width, least;

	buf_init(&file, 16 << 20);
	if (file_read(course_path(name, path), &file, &e) || image_decode(file.data, file.len, &whole, &e) ||
		image_set_channels(&whole, 3, &e))
		fail_msg("%s: %s", path, e.text);
	least = TD_MIN(whole.height, whole.width);
	height = (side * whole.height + (rounding == ROUND_NEAREST ? least / 2 : 0)) / least;
	width = (side * whole.width + (rounding == ROUND_NEAREST ? least / 2 : 0)) / least;
	assert_int_equal(resize_init(&plan, whole.height, whole.width, height, width, &e), TD_OK);
	assert_int_equal(image_init(out, 3, height, width, &e), TD_OK);
	resize_apply(&plan, whole.pixels, 3, out->pixels);
	resize_release(&plan);
	image_release(&whole);
	buf_release(&file);
}

/* The picture NAME as the network takes it, [1, 3, H, W], (x / 255 - mean) / std by channel: its shorter side resized
 * to SIDE, then CROP x CROP of its centre (0: all).  The caller's. */
static inline td_value *picture_tensor(
	td_ctx *c, const char *name, int64_t side, enum picture_rounding rounding, int64_t crop)
{
	int64_t height, width, top, left, n = 0;
	struct image image;
	td_shape s;
	td_value *v;
	float *x;

	picture_read(name, side, rounding, &image);
	height = crop ? crop : image.height;
	width = crop ? crop : image.width;
	top = resize_centre(image.height, height);
	left = resize_centre(image.width, width);
	x = MEM_NEW_N(float, 3 * height * width);
	for (int k = 0; k < 3; k++)
		for (int64_t i = 0; i < height; i++)
			for (int64_t j = 0; j < width; j++) {
				int64_t at = (k * image.height + top + i) * image.width + left + j;

				x[n++] = (float)(((double)image.pixels[at] / 255 - picture_mean[k]) / picture_std[k]);
			}
	s = td_shape_make(TD_F32, 4, (int64_t)1, (int64_t)3, height, width);
	v = td_tensor(c, &s, x);
	mem_free(x);
	image_release(&image);
	return v;
}

#endif
