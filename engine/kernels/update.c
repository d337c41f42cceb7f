/* Updates of parameters: SGD as torch.optim.SGD defines it, Adam as torch.optim.Adam (Kingma and Ba, 2015; eps outside
 * the root) and AdamW, RMSprop as torch.optim.RMSprop. Scalars are combined in double, once; elements are in the
 * tensor's type. */
#include "kernels/kernels.h"

#include <math.h>

TD_VECTOR static void sgd_plain(real *restrict param, const real *restrict grad, int64_t n, real lr, real decay)
{
	for (int64_t i = 0; i < n; i++)
		param[i] -= lr * (grad[i] + decay * param[i]);
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

void K(k_sgd)(void *param, const void *grad, void *buffer, int64_t n, const struct k_sgd *s)
{
	if (!buffer)
		sgd_plain(param, grad, n, (real)s->lr, (real)s->weight_decay);
	else
		sgd_momentum(param, grad, buffer, n, (real)s->lr, (real)s->weight_decay, (real)s->momentum,
			(real)(s->first ? 1 : 1 - s->dampening), s->nesterov);
}

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

void K(k_adam)(void *param, const void *grad, void *m, void *v, int64_t n, const struct k_adam *s)
{
	double step = s->lr / (1 - pow(s->beta1, s->t)), root = sqrt(1 - pow(s->beta2, s->t));

	adam(param, grad, m, v, n, (real)s->beta1, (real)s->beta2, (real)(1 - s->beta1), (real)(1 - s->beta2),
		(real)step, (real)root, (real)s->eps, (real)(s->decoupled ? 0 : s->weight_decay),
		(real)(s->decoupled ? 1 - s->lr * s->weight_decay : 1));
}

TD_VECTOR void K(k_rmsprop)(void *paramv, const void *gradv, void *squarev, void *bufferv, void *averagev, int64_t n,
	const struct k_rmsprop *s)
{
	const real lr = (real)s->lr, alpha = (real)s->alpha, keep = (real)(1 - s->alpha), eps = (real)s->eps,
		   momentum = (real)s->momentum, decay = (real)s->weight_decay;
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
		d = g / (R(sqrt)(d) + eps);
		if (buffer)
			d = buffer[i] = momentum * buffer[i] + d;
		param[i] -= lr * d;
	}
}
