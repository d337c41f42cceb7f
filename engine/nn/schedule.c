/* Schedules: the factor of every learning rate, as a pure function of the step.  A plateau alone looks back, at what
 * its caller keeps for it.
 *
 * Closed forms of torch.optim.lr_scheduler.  A clock T counts epochs that are done, or steps, whichever the schedule is
 * told to go by; the warm-up counts steps and multiplies whatever the schedule says, as chained schedulers do. */
#include "nn/learn.h"

#include <math.h>

#define COUNT_MOST 1e9 /* steps or epochs */

enum unit { UNIT_EPOCH, UNIT_STEP };

static const char *const unit_names[] = { "epoch", "step", NULL };

#define UNIT_OPTION_OR(type, otherwise)                                                                                \
	{                                                                                                              \
		.name = "unit", .kind = OPT_ENUM, .at = offsetof(struct type, unit), .value = (otherwise),             \
		.names = unit_names, .doc = "What the schedule counts."                                                \
	}
#define UNIT_OPTION(type) UNIT_OPTION_OR(type, "\"epoch\"")

#define FLOAT_OPTION(type, field, otherwise, least, most, text)                                                        \
	{                                                                                                              \
		.name = #field, .kind = OPT_FLOAT, .at = offsetof(struct type, field), .value = (otherwise),           \
		.low = (least), .high = (most), .doc = (text)                                                          \
	}

#define TOTAL_OPTION(type, field, text)                                                                                \
	{                                                                                                              \
		.name = #field, .kind = OPT_INT, .at = offsetof(struct type, field), .value = "0", .low = 0,           \
		.high = COUNT_MOST, .doc = (text)                                                                      \
	}

/* What is done before STEP (from 1). */
static double clock_of(int unit, int64_t step, int64_t n_epoch)
{
	return (double)(unit == UNIT_STEP ? step - 1 : (step - 1) / n_epoch);
}

/* The whole training on the same clock; an epoch that is begun counts. */
static double whole(int unit, int64_t n_epoch, int64_t n_steps)
{
	return (double)(unit == UNIT_STEP ? n_steps : (n_steps + n_epoch - 1) / n_epoch);
}

/* ---- constant: factor until T reaches total_iters, then 1 ------------------------------------------------------- */

struct constant_options {
	double factor;
	int64_t total_iters;
	int unit; /* enum unit */
};

static const struct opt constant_opts[] = {
	FLOAT_OPTION(constant_options, factor, "1", 0, 1, "Part of the full learning rate at the start."),
	TOTAL_OPTION(constant_options, total_iters, "Epochs (or steps) that it holds for; 0: none."),
	UNIT_OPTION(constant_options),
};

static double constant_factor(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct constant_options *o = options;

	(void)n_steps;
	return clock_of(o->unit, step, n_epoch) < (double)o->total_iters ? o->factor : 1;
}

static const struct nn_schedule_type constant = {
	.type = OPT_TYPE(
		constant, "The same learning rate throughout, but for a part of it at the start, as ConstantLR."),
	.factor = constant_factor,
};

/* ---- step: gamma^floor(T / step_size) --------------------------------------------------------------------------- */

#define GAMMA_OPTION(type, text)                                                                                       \
	{                                                                                                              \
		.name = "gamma", .kind = OPT_FLOAT, .at = offsetof(struct type, gamma), .value = text,                 \
		.required = !(text), .low = 0, .high = 10, .doc = "What the learning rate is multiplied by."           \
	}

struct step_options {
	int64_t step_size;
	double gamma;
	int unit; /* enum unit */
};

static const struct opt step_opts[] = {
	{ .name = "step_size",
		.kind = OPT_INT,
		.at = offsetof(struct step_options, step_size),
		.required = true,
		.low = 1,
		.high = COUNT_MOST,
		.doc = "Epochs (or steps) from one decay to the next." },
	GAMMA_OPTION(step_options, "0.1"),
	UNIT_OPTION(step_options),
};

static double step_factor(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct step_options *o = options;

	(void)n_steps;
	return pow(o->gamma, floor(clock_of(o->unit, step, n_epoch) / (double)o->step_size));
}

static const struct nn_schedule_type step_schedule = {
	.type = OPT_TYPE(step, "Multiplied by gamma at regular intervals, as StepLR."),
	.factor = step_factor,
};

/* ---- multi_step: gamma^(milestones that T has reached) --------------------------------------------------------- */

struct multi_step_options {
	struct opt_ints milestones;
	double gamma;
	int unit; /* enum unit */
};

static const struct opt multi_step_opts[] = {
	{ .name = "milestones",
		.kind = OPT_INTS,
		.at = offsetof(struct multi_step_options, milestones),
		.required = true,
		.least = 1,
		.low = 1,
		.high = COUNT_MOST,
		.most = 1000,
		.doc = "Epochs (or steps) after which the learning rate decays." },
	GAMMA_OPTION(multi_step_options, "0.1"),
	UNIT_OPTION(multi_step_options),
};

static double multi_step_factor(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct multi_step_options *o = options;
	int reached = 0;

	(void)n_steps;
	for (int i = 0; i < o->milestones.n; i++)
		reached += (double)o->milestones.items[i] <= clock_of(o->unit, step, n_epoch);
	return pow(o->gamma, reached);
}

static const struct nn_schedule_type multi_step = {
	.type = OPT_TYPE(multi_step, "Multiplied by gamma at each milestone, as MultiStepLR."),
	.factor = multi_step_factor,
};

/* ---- piecewise: factors[i] where i boundaries are below T (keras.optimizers.schedules.PiecewiseConstantDecay: a
 *      boundary itself still belongs to what stands before it) ----------------------------------------------------- */

#define PIECES_MOST 1000

struct piecewise_options {
	struct opt_ints boundaries;
	struct opt_floats factors;
	int unit; /* enum unit */
};

static const struct opt piecewise_opts[] = {
	{ .name = "boundaries",
		.kind = OPT_INTS,
		.at = offsetof(struct piecewise_options, boundaries),
		.required = true,
		.least = 1,
		.low = 0,
		.high = COUNT_MOST,
		.most = PIECES_MOST,
		.doc = "The last step (or epoch) of each piece but the last, counted from 0, in rising order." },
	{ .name = "factors",
		.kind = OPT_FLOATS,
		.at = offsetof(struct piecewise_options, factors),
		.required = true,
		.low = 0,
		.high = 1e6,
		.most = PIECES_MOST + 1,
		.doc = "Part of the full learning rate in each piece: one more than there are boundaries." },
	UNIT_OPTION_OR(piecewise_options, "\"step\""),
};

static double piecewise_factor(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct piecewise_options *o = options;
	int piece = 0;

	(void)n_steps;
	for (int i = 0; i < o->boundaries.n; i++)
		piece += (double)o->boundaries.items[i] < clock_of(o->unit, step, n_epoch);
	return o->factors.items[TD_MIN(piece, o->factors.n - 1)];
}

static void piecewise_check(const void *options, const char *pointer, struct faults *faults)
{
	const struct piecewise_options *o = options;

	if (o->factors.n != o->boundaries.n + 1)
		faults_add(faults, pointer,
			"piecewise has %d factors for %d boundaries, but needs %d: one before each, and the last",
			o->factors.n, o->boundaries.n, o->boundaries.n + 1);
	for (int i = 1; i < o->boundaries.n; i++)
		if (o->boundaries.items[i] <= o->boundaries.items[i - 1]) {
			faults_add(faults, pointer, "boundaries must rise, but %lld comes after %lld",
				(long long)o->boundaries.items[i], (long long)o->boundaries.items[i - 1]);
			return;
		}
}

static const struct nn_schedule_type piecewise = {
	.type = OPT_TYPE(piecewise, "A part of the learning rate for each piece of the training, as Keras' "
				    "PiecewiseConstantDecay."),
	.factor = piecewise_factor,
	.check = piecewise_check,
};

/* ---- exponential: gamma^T -------------------------------------------------------------------------------------- */

struct exponential_options {
	double gamma;
	int unit; /* enum unit */
};

static const struct opt exponential_opts[] = { GAMMA_OPTION(exponential_options, NULL),
	UNIT_OPTION(exponential_options) };

static double exponential_factor(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct exponential_options *o = options;

	(void)n_steps;
	return pow(o->gamma, clock_of(o->unit, step, n_epoch));
}

static const struct nn_schedule_type exponential = {
	.type = OPT_TYPE(exponential, "Multiplied by gamma after every epoch (or step), as ExponentialLR."),
	.factor = exponential_factor,
};

/* ---- cosine: min + (1 - min) (1 + cos(pi T / t_max)) / 2 (Loshchilov and Hutter, "SGDR: stochastic gradient descent
 *      with warm restarts", ICLR 2017) -------------------------------------------------------------------------------
 */

struct cosine_options {
	int64_t t_max; /* 0: to the end */
	double min_factor;
	int unit; /* enum unit */
};

static const struct opt cosine_opts[] = {
	{ .name = "t_max",
		.kind = OPT_INT,
		.at = offsetof(struct cosine_options, t_max),
		.value = "0",
		.low = 0,
		.high = COUNT_MOST,
		.doc = "Epochs (or steps) until the lowest learning rate, from where it rises again; 0: the end of the "
		       "training." },
	FLOAT_OPTION(cosine_options, min_factor, "0", 0, 1, "The lowest learning rate, as a part of the full one."),
	UNIT_OPTION(cosine_options),
};

static double cosine_factor(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct cosine_options *o = options;
	double t_max = o->t_max ? (double)o->t_max : whole(o->unit, n_epoch, n_steps);

	return o->min_factor +
	       (1 - o->min_factor) * (1 + cos(M_PI * clock_of(o->unit, step, n_epoch) / fmax(t_max, 1))) / 2;
}

static const struct nn_schedule_type cosine = {
	.type = OPT_TYPE(cosine, "Half a cosine from the full learning rate to the lowest, as CosineAnnealingLR."),
	.factor = cosine_factor,
	.after_warmup = true,
};

/* ---- linear: start + (end - start) min(T / total_iters, 1) ----------------------------------------------------- */

struct linear_options {
	double start_factor, end_factor;
	int64_t total_iters; /* 0: to the end */
	int unit;            /* enum unit */
};

static const struct opt linear_opts[] = {
	FLOAT_OPTION(linear_options, start_factor, "1", 0, 1, "Part of the full learning rate at the start."),
	FLOAT_OPTION(linear_options, end_factor, "0", 0, 1, "Part of it at the end."),
	{ .name = "total_iters",
		.kind = OPT_INT,
		.at = offsetof(struct linear_options, total_iters),
		.value = "0",
		.low = 0,
		.high = COUNT_MOST,
		.doc = "Epochs (or steps) until the end is reached; 0: those of the training." },
	UNIT_OPTION(linear_options),
};

static double linear_factor(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct linear_options *o = options;
	double total = o->total_iters ? (double)o->total_iters : whole(o->unit, n_epoch, n_steps);
	double part = fmin(clock_of(o->unit, step, n_epoch) / fmax(total, 1), 1);

	return o->start_factor + (o->end_factor - o->start_factor) * part;
}

static const struct nn_schedule_type linear = {
	.type = OPT_TYPE(linear, "A straight line from one learning rate to another, as LinearLR."),
	.factor = linear_factor,
	.after_warmup = true,
};

/* ---- polynomial: (1 - min(T, total) / total)^power --------------------------------------------------------------- */

struct polynomial_options {
	int64_t total_iters; /* 0: to the end */
	double power;
	int unit; /* enum unit */
};

static const struct opt polynomial_opts[] = {
	TOTAL_OPTION(polynomial_options, total_iters,
		"Epochs (or steps) until the learning rate is 0; 0: those of the training."),
	FLOAT_OPTION(polynomial_options, power, "1", 0, 100, "Exponent; 1: a straight line."),
	UNIT_OPTION(polynomial_options),
};

static double polynomial_factor(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct polynomial_options *o = options;
	double total = o->total_iters ? (double)o->total_iters : whole(o->unit, n_epoch, n_steps);

	return pow(1 - fmin(clock_of(o->unit, step, n_epoch) / fmax(total, 1), 1), o->power);
}

static const struct nn_schedule_type polynomial = {
	.type = OPT_TYPE(polynomial, "To 0 by a power of what is left, as PolynomialLR."),
	.factor = polynomial_factor,
	.after_warmup = true,
};

/* ---- one_cycle: up from 1 / div_factor to 1, and down to 1 / (div_factor final_div_factor), or with three phases
 * first down to where it began (Smith and Topin, arXiv:1708.07120).  The optimizer's lr is the highest.  With
 *      cycle_momentum the momentum goes down from its highest value while the learning rate rises, and back -----------
 */

enum anneal { ANNEAL_COS, ANNEAL_LINEAR };

static const char *const anneal_names[] = { "cos", "linear", NULL };

struct one_cycle_options {
	int64_t total_steps; /* 0: all */
	double pct_start, div_factor, final_div_factor, base_momentum, max_momentum;
	bool cycle_momentum;
	int anneal_strategy; /* enum anneal */
	bool three_phase;
	int unit; /* enum unit */
};

static const struct opt one_cycle_opts[] = {
	TOTAL_OPTION(one_cycle_options, total_steps, "Steps (or epochs) of the cycle; 0: those of the training."),
	FLOAT_OPTION(one_cycle_options, pct_start, "0.3", 0, 1, "Part of the cycle in which the learning rate rises."),
	{ .name = "anneal_strategy",
		.kind = OPT_ENUM,
		.at = offsetof(struct one_cycle_options, anneal_strategy),
		.value = "\"cos\"",
		.names = anneal_names,
		.doc = "Along half a cosine, or in a straight line." },
	FLOAT_OPTION(one_cycle_options, div_factor, "25", 1, 1e9,
		"The cycle begins with this part of the highest learning rate: the highest over div_factor."),
	FLOAT_OPTION(one_cycle_options, final_div_factor, "10000", 1, 1e15,
		"It ends with this part of the first learning rate: the first over final_div_factor."),
	{ .name = "three_phase",
		.kind = OPT_BOOL,
		.at = offsetof(struct one_cycle_options, three_phase),
		.value = "false",
		.doc = "Down to the first learning rate as it went up, and from there to the last." },
	/* torch's default is true: a job's spec from before there was the option does not say it. */
	{ .name = "cycle_momentum",
		.kind = OPT_BOOL,
		.at = offsetof(struct one_cycle_options, cycle_momentum),
		.value = "false",
		.doc = "Let the momentum of sgd, or beta1 of adam and adamw, fall while the learning rate rises, and "
		       "rise while it falls." },
	FLOAT_OPTION(one_cycle_options, base_momentum, "0.85", 1e-6, 0.999999, "The lowest momentum of such a cycle."),
	FLOAT_OPTION(one_cycle_options, max_momentum, "0.95", 1e-6, 0.999999, "The highest, with which it begins."),
	UNIT_OPTION_OR(one_cycle_options, "\"step\""),
};

static double anneal(int strategy, double from, double to, double part)
{
	return strategy == ANNEAL_COS ? to + (from - to) / 2 * (1 + cos(M_PI * part)) : from + (to - from) * part;
}

/* From FIRST by TOP to LAST; of three phases the second comes back to FIRST. */
static double one_cycle_at(
	const struct one_cycle_options *o, double total, double now, double first, double top, double last)
{
	double rise = o->pct_start * total - 1, start = 0;
	const struct {
		double end, from, to;
	} phases[] = { { rise, first, top }, { 2 * rise, top, first },
		{ total - 1, o->three_phase ? first : top, last } };
	int i = 0;

	while (i < 2 && now > phases[i].end) {
		start = phases[i].end;
		i += o->three_phase ? 1 : 2;
	}
	return anneal(o->anneal_strategy, phases[i].from, phases[i].to,
		phases[i].end > start ? fmin((now - start) / (phases[i].end - start), 1) : 1);
}

static double one_cycle_total(const struct one_cycle_options *o, int64_t n_epoch, int64_t n_steps)
{
	return o->total_steps ? (double)o->total_steps : whole(o->unit, n_epoch, n_steps);
}

static double one_cycle_factor(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct one_cycle_options *o = options;
	double first = 1 / o->div_factor;

	return one_cycle_at(o, one_cycle_total(o, n_epoch, n_steps), clock_of(o->unit, step, n_epoch), first, 1,
		first / o->final_div_factor);
}

static double one_cycle_momentum(const void *options, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct one_cycle_options *o = options;

	return o->cycle_momentum
		       ? one_cycle_at(o, one_cycle_total(o, n_epoch, n_steps), clock_of(o->unit, step, n_epoch),
				 o->max_momentum, o->base_momentum, o->max_momentum)
		       : -1;
}

static const struct nn_schedule_type one_cycle = {
	.type = OPT_TYPE(one_cycle, "Up to the full learning rate and down to almost nothing, as OneCycleLR; the "
				    "momentum stays, but for cycle_momentum."),
	.factor = one_cycle_factor,
	.momentum = one_cycle_momentum,
};

/* ---- plateau: multiplied by factor whenever PATIENCE validations more were no better --------------------------- */

struct plateau_options {
	const char *metric;
	double factor, threshold, min_factor;
	int64_t patience;
};

static const struct opt plateau_opts[] = {
	{ .name = "metric",
		.kind = OPT_STRING,
		.at = offsetof(struct plateau_options, metric),
		.value = "\"val/loss\"",
		.high = 100,
		.doc = "The series that must improve." },
	{ .name = "factor",
		.kind = OPT_FLOAT,
		.at = offsetof(struct plateau_options, factor),
		.value = "0.1",
		.low = 0,
		.high = 1,
		.below = true,
		.doc = "What the learning rate is multiplied by." },
	{ .name = "patience",
		.kind = OPT_INT,
		.at = offsetof(struct plateau_options, patience),
		.value = "10",
		.low = 0,
		.high = COUNT_MOST,
		.doc = "How many validations without improvement are borne." },
	FLOAT_OPTION(plateau_options, threshold, "0.0001", 0, 1,
		"An improvement is a change by more than this part of the best value."),
	FLOAT_OPTION(plateau_options, min_factor, "0", 0, 1, "The lowest learning rate, as a part of the full one."),
};

static void plateau_observe(const void *options, struct nn_plateau *p, double value, bool smaller_is_better)
{
	const struct plateau_options *o = options;
	double least = p->best * (smaller_is_better ? 1 - o->threshold : 1 + o->threshold);

	if (isnan(p->best) ? !isnan(value) : smaller_is_better ? value < least : value > least) {
		p->best = value;
		p->bad = 0;
		return;
	}
	if (++p->bad <= o->patience)
		return;
	p->factor = fmax(p->factor * o->factor, o->min_factor);
	p->bad = 0;
}

static const char *plateau_watches(const void *options)
{
	return ((const struct plateau_options *)options)->metric;
}

static const struct nn_schedule_type plateau = {
	.type = OPT_TYPE(plateau, "Lowered whenever a series has stopped improving, as ReduceLROnPlateau."),
	.observe = plateau_observe,
	.watches = plateau_watches,
};

/* ---- All of them, and what they share -------------------------------------------------------------------------- */

static const struct opt warmup_opts[] = {
	{ .name = "warmup_steps",
		.kind = OPT_INT,
		.at = offsetof(struct nn_warmup, steps),
		.value = "0",
		.low = 0,
		.high = COUNT_MOST,
		.doc = "Steps during which the learning rate rises in a straight line." },
	{ .name = "warmup_factor",
		.kind = OPT_FLOAT,
		.at = offsetof(struct nn_warmup, factor),
		.value = "0.3333333333333333",
		.low = 0,
		.high = 1,
		.doc = "Part of the full learning rate with which the warm-up begins, as LinearLR's start_factor." },
};

static const struct opt_type warmup_type = { .name = "warmup",
	.options = warmup_opts,
	.n_options = TD_COUNT(warmup_opts),
	.n_bytes = sizeof(struct nn_warmup) };

static const struct opt_type *const types[] = { &constant.type, &step_schedule.type, &multi_step.type, &piecewise.type,
	&exponential.type, &polynomial.type, &cosine.type, &linear.type, &one_cycle.type, &plateau.type };

const struct opt_family nn_schedules = {
	.name = "schedule", .types = types, .n_types = TD_COUNT(types), .common = &warmup_type
};

double nn_schedule_factor(
	const struct opt_choice *schedule, const struct nn_plateau *p, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct nn_schedule_type *type = (const struct nn_schedule_type *)schedule->type;
	const struct nn_warmup *warmup = schedule->common;
	double rise = 1;
	int64_t before;

	if (!type)
		return 1;
	if (step - 1 < warmup->steps)
		rise = warmup->factor + (1 - warmup->factor) * (double)(step - 1) / (double)warmup->steps;
	if (!type->factor)
		return rise * p->factor;
	before = type->after_warmup ? TD_MIN(warmup->steps, n_steps) : 0;
	return rise * type->factor(schedule->options, TD_MAX(step - before, 1), n_epoch, n_steps - before);
}

double nn_schedule_momentum(const struct opt_choice *schedule, int64_t step, int64_t n_epoch, int64_t n_steps)
{
	const struct nn_schedule_type *type = (const struct nn_schedule_type *)schedule->type;

	return type && type->momentum ? type->momentum(schedule->options, step, n_epoch, n_steps) : -1;
}

void nn_schedule_check_optimizer(const struct opt_choice *schedule, const struct opt_choice *optimizer,
	const char *pointer, struct faults *faults)
{
	const struct nn_optimizer_type *type = (const struct nn_optimizer_type *)optimizer->type;

	if (nn_schedule_momentum(schedule, 1, 1, 1) < 0 ||
		(type->takes_momentum && type->takes_momentum(optimizer->options)))
		return;
	faults_add(faults, pointer,
		"%s would move the momentum, but this %s has none to move; take adam, adamw or sgd with a "
		"\"momentum\" above 0, or leave \"cycle_momentum\" out",
		schedule->type->name, type->type.name);
}
