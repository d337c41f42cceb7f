/* Sequences: rows of a table by number, and single steps of recurrent nets.  Gates are named and ordered as torch has
 * them: LSTM i, f, g, o (Hochreiter and Schmidhuber, 1997, with the forget gate of Gers et al., 2000); GRU r, z, n (Cho
 * et al., 2014). */
#include "kernels/rows.h"

#include <math.h>
#include <string.h>

void K(k_embedding)(void *yv, const void *tablev, const int64_t *id, int64_t count, int64_t n)
{
	const real *table = tablev;
	real *y = yv;

	for (int64_t i = 0; i < count; i++, y += n)
		memcpy(y, table + id[i] * n, sizeof(real) * (size_t)n);
}

void K(k_embedding_dw)(void *tablev, const void *dyv, const int64_t *id, int64_t count, int64_t n, int64_t from,
	int64_t to, int64_t skip)
{
	const real *dy = dyv;
	real *table = tablev;

	for (int64_t i = 0; i < count; i++, dy += n) {
		if (id[i] < from || id[i] >= to || id[i] == skip)
			continue;
		for (int64_t j = 0; j < n; j++)
			table[id[i] * n + j] += dy[j];
	}
}

void K(k_sinusoids)(void *yv, int64_t t, int64_t n)
{
	real *y = yv;

	for (int64_t i = 0; i < t; i++, y += n)
		for (int64_t j = 0; j < n; j++) {
			double angle = (double)i * pow(10000, -(double)(j - j % 2) / (double)n);

			y[j] = (real)(j % 2 ? cos(angle) : sin(angle));
		}
}

void K(k_rnn_step)(void *outputv, int64_t h, bool relu)
{
	real *output = outputv;

	for (int64_t j = 0; j < h; j++)
		output[j] = relu ? (output[j] <= 0 ? 0 : output[j]) : R(tanh)(output[j]);
}

void K(k_rnn_step_dx)(void *dgatesv, const void *outputv, int64_t h, bool relu)
{
	const real *output = outputv;
	real *dgates = dgatesv;

	for (int64_t j = 0; j < h; j++)
		dgates[j] = relu ? (output[j] <= 0 ? 0 : dgates[j]) : dgates[j] * (1 - output[j] * output[j]);
}

void K(k_lstm_step)(void *gatesv, void *cellv, void *outputv, int64_t h)
{
	real *i = gatesv, *f = i + h, *g = f + h, *o = g + h, *cell = cellv, *output = outputv;

	for (int64_t j = 0; j < h; j++) {
		i[j] = sigmoid(i[j]);
		f[j] = sigmoid(f[j]);
		g[j] = R(tanh)(g[j]);
		o[j] = sigmoid(o[j]);
		cell[j] = f[j] * cell[j] + i[j] * g[j];
		output[j] = o[j] * R(tanh)(cell[j]);
	}
}

void K(k_lstm_step_dx)(void *dgatesv, void *dcellv, const void *doutputv, const void *gatesv, const void *cellv,
	const void *last_cellv, int64_t h)
{
	const real *i = gatesv, *f = i + h, *g = f + h, *o = g + h, *cell = cellv, *last = last_cellv, *dy = doutputv;
	real *di = dgatesv, *df = di + h, *dg = df + h, *d_o = dg + h, *dcell = dcellv;

	for (int64_t j = 0; j < h; j++) {
		real t = R(tanh)(cell[j]), dc = dcell[j] + dy[j] * o[j] * (1 - t * t);

		d_o[j] = dy[j] * t * o[j] * (1 - o[j]);
		di[j] = dc * g[j] * i[j] * (1 - i[j]);
		df[j] = (last ? dc * last[j] : 0) * f[j] * (1 - f[j]);
		dg[j] = dc * i[j] * (1 - g[j] * g[j]);
		dcell[j] = dc * f[j];
	}
}

void K(k_gru_step)(void *gatesv, const void *hiddenv, void *outputv, const void *lastv, int64_t h)
{
	real *r = gatesv, *z = r + h, *n = z + h, *kept = n + h, *output = outputv;
	const real *hidden = hiddenv, *last = lastv;

	for (int64_t j = 0; j < h; j++) {
		r[j] = sigmoid(r[j]);
		z[j] = sigmoid(z[j]);
		kept[j] = hidden[j];
		n[j] = R(tanh)(n[j] + r[j] * hidden[j]);
		output[j] = (1 - z[j]) * n[j] + z[j] * last[j];
	}
}

void K(k_gru_step_dx)(
	void *dgatesv, void *dlastv, const void *doutputv, const void *gatesv, const void *lastv, int64_t h)
{
	const real *r = gatesv, *z = r + h, *n = z + h, *hidden = n + h, *last = lastv, *dy = doutputv;
	real *dr = dgatesv, *dz = dr + h, *dn = dz + h, *dhidden = dn + h, *dlast = dlastv;

	for (int64_t j = 0; j < h; j++) {
		real dpre = dy[j] * (1 - z[j]) * (1 - n[j] * n[j]);

		dn[j] = dpre;
		dhidden[j] = dpre * r[j];
		dr[j] = dpre * hidden[j] * r[j] * (1 - r[j]);
		dz[j] = dy[j] * ((last ? last[j] : 0) - n[j]) * z[j] * (1 - z[j]);
		dlast[j] = dy[j] * z[j];
	}
}
