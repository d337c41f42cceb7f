/* Updates of parameters: the rules of torch.optim, and of keras.optimizers where those differ (see the ops in
 * ops/state.c and ops/adaptive.c).  Scalars are combined in double, once; elements are in the tensor's type. */
#include "kernels/kernels.h"

#include <math.h>

TD_VECTOR void K(k_lerp)(void *yv, const void *xv, int64_t n, double keep)
{
	const real kept = (real)keep, rest = (real)(1 - keep);
	real *y = yv;
	const real *x = xv;

	for (int64_t i = 0; i < n; i++)
		y[i] = kept * y[i] + rest * x[i];
}

/* ---- sgd --------------------------------------------------------------------------------------------------------- */

TD_VECTOR static void sgd_plain(
	real *restrict param, const real *restrict grad, int64_t n, real lr, real decay, real shrink)
{
	for (int64_t i = 0; i < n; i++)
		param[i] = shrink * param[i] - lr * (grad[i] + decay * param[i]);
}

TD_VECTOR static void sgd_momentum(real *restrict param, const real *restrict grad, real *restrict buffer, int64_t n,
	real lr, real decay, real momentum, real keep, real nesterov)
{
	for (int64_t i = 0; i < n; i++) {
		real g = grad[i] + decay * param[i], b = momentum * buffer[i] + keep * g;
		buffer[i] = b;
		param[i] -= lr * (nesterov != 0 ? g + momentum * b : b);
	}
}

TD_VECTOR static void sgd_velocity(real *restrict param, const real *restrict grad, real *restrict velocity, int64_t n,
	real lr, real shrink, real momentum, real nesterov)
{
	for (int64_t i = 0; i < n; i++) {
		real step = lr * grad[i], v = momentum * velocity[i] - step;
		velocity[i] = v;
		param[i] = shrink * param[i] + (nesterov != 0 ? momentum * v - step : v);
	}
}

void K(k_sgd)(void *param, const void *grad, void *buffer, int64_t n, const struct k_sgd *s)
{
	double shrink = s->keras ? 1 - s->lr * s->weight_decay : 1, decay = s->keras ? 0 : s->weight_decay;

	if (!buffer)
		sgd_plain(param, grad, n, (real)s->lr, (real)decay, (real)shrink);
	else if (s->keras)
		sgd_velocity(param, grad, buffer, n, (real)s->lr, (real)shrink, (real)s->momentum, s->nesterov);
	else
		sgd_momentum(param, grad, buffer, n, (real)s->lr, (real)decay, (real)s->momentum,
			(real)(s->first ? 1 : 1 - s->dampening), s->nesterov);
}

/* ---- adam -------------------------------------------------------------------------------------------------------- */

TD_VECTOR static void adam(real *restrict param, const real *restrict grad, real *restrict m, real *restrict v,
	int64_t n, real beta1, real beta2, real keep1, real keep2, real step, real root, real eps, real decay,
	real shrink)
{
	for (int64_t i = 0; i < n; i++) {
		real g = grad[i] + decay * param[i];
		m[i] = beta1 * m[i] + keep1 * g;
		v[i] = beta2 * v[i] + keep2 * (g * g);
		param[i] = param[i] * shrink - step * (m[i] / (R(sqrt)(v[i]) / root + eps));
	}
}

/* The same with the largest v so far, which stays NaN once it is. */
TD_VECTOR static void amsgrad(real *restrict param, const real *restrict grad, real *restrict m, real *restrict v,
	real *restrict top, int64_t n, real beta1, real beta2, real keep1, real keep2, real step, real root, real eps,
	real decay, real shrink)
{
	for (int64_t i = 0; i < n; i++) {
		real g = grad[i] + decay * param[i];
		m[i] = beta1 * m[i] + keep1 * g;
		v[i] = beta2 * v[i] + keep2 * (g * g);
		top[i] = v[i] <= top[i] || top[i] != top[i] ? top[i] : v[i];
		param[i] = param[i] * shrink - step * (m[i] / (R(sqrt)(top[i]) / root + eps));
	}
}

void K(k_adam)(void *param, const void *grad, void *m, void *v, void *top, int64_t n, const struct k_adam *s)
{
	double step = s->lr / (1 - pow(s->beta1, s->t)), root = sqrt(1 - pow(s->beta2, s->t));
	real decay = (real)(s->decoupled ? 0 : s->weight_decay),
	     shrink = (real)(s->decoupled ? 1 - s->lr * s->weight_decay : 1);

	if (s->keras) {
		step *= root;
		root = 1;
	}
	if (top)
		amsgrad(param, grad, m, v, top, n, (real)s->beta1, (real)s->beta2, (real)(1 - s->beta1),
			(real)(1 - s->beta2), (real)step, (real)root, (real)s->eps, decay, shrink);
	else
		adam(param, grad, m, v, n, (real)s->beta1, (real)s->beta2, (real)(1 - s->beta1), (real)(1 - s->beta2),
			(real)step, (real)root, (real)s->eps, decay, shrink);
}

/* ---- rmsprop, adagrad, adadelta ---------------------------------------------------------------------------------- */

TD_VECTOR void K(k_rmsprop)(void *paramv, const void *gradv, void *squarev, void *bufferv, void *averagev, int64_t n,
	const struct k_rmsprop *s)
{
	const real lr = (real)s->lr, alpha = (real)s->alpha, keep = (real)(1 - s->alpha), eps = (real)s->eps,
		   momentum = (real)s->momentum, decay = (real)(s->keras ? 0 : s->weight_decay),
		   shrink = (real)(s->keras ? 1 - s->lr * s->weight_decay : 1);
	real *param = paramv, *square = squarev, *buffer = bufferv, *average = averagev;
	const real *grad = gradv;

	for (int64_t i = 0; i < n; i++) {
		real g = grad[i] + decay * param[i], d;

		square[i] = alpha * square[i] + keep * (g * g);
		d = square[i];
		if (average) {
			average[i] += keep * (g - average[i]);
			d -= average[i] * average[i];
		}
		d = s->keras ? lr * g / R(sqrt)(d + eps) : g / (R(sqrt)(d) + eps);
		if (buffer)
			d = buffer[i] = momentum * buffer[i] + d;
		param[i] = shrink * param[i] - (s->keras ? d : lr * d);
	}
}

TD_VECTOR void K(k_adagrad)(void *paramv, const void *gradv, void *sumv, int64_t n, const struct k_adagrad *s)
{
	const real lr = (real)(s->lr / (1 + (s->t - 1) * s->lr_decay)), eps = (real)s->eps,
		   decay = (real)(s->keras ? 0 : s->weight_decay),
		   shrink = (real)(s->keras ? 1 - s->lr * s->weight_decay : 1);
	real *param = paramv, *sum = sumv;
	const real *grad = gradv;

	for (int64_t i = 0; i < n; i++) {
		real g = grad[i] + decay * param[i];

		sum[i] += g * g;
		param[i] = shrink * param[i] - lr * (g / (s->keras ? R(sqrt)(sum[i] + eps) : R(sqrt)(sum[i]) + eps));
	}
}

TD_VECTOR void K(k_adadelta)(
	void *paramv, const void *gradv, void *squarev, void *deltav, int64_t n, const struct k_adadelta *s)
{
	const real lr = (real)s->lr, rho = (real)s->rho, keep = (real)(1 - s->rho), eps = (real)s->eps,
		   decay = (real)(s->decoupled ? 0 : s->weight_decay),
		   shrink = (real)(s->decoupled ? 1 - s->lr * s->weight_decay : 1);
	real *param = paramv, *square = squarev, *delta = deltav;
	const real *grad = gradv;

	for (int64_t i = 0; i < n; i++) {
		real g = grad[i] + decay * param[i], d;

		square[i] = rho * square[i] + keep * (g * g);
		d = R(sqrt)(delta[i] + eps) / R(sqrt)(square[i] + eps) * g;
		delta[i] = rho * delta[i] + keep * (d * d);
		param[i] = shrink * param[i] - lr * d;
	}
}
