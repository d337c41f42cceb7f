/* Weighted sums of pixels: bilinear resizing, with and without antialiasing. */
#include "kernels/kernels.h"

void K(k_resample)(void *yv, const void *xv, int64_t channels, int64_t width, const struct k_taps *rows,
	const struct k_taps *columns)
{
	real *y = yv;

	for (int64_t i = 0; i < rows->n_out; i++)
		for (int64_t j = 0; j < columns->n_out; j++, y += channels) {
			for (int64_t c = 0; c < channels; c++)
				y[c] = 0;
			for (int64_t p = rows->first[i]; p < rows->first[i + 1]; p++)
				for (int64_t q = columns->first[j]; q < columns->first[j + 1]; q++) {
					const real *x = (const real *)xv +
							(rows->place[p] * width + columns->place[q]) * channels;
					real w = (real)(rows->weight[p] * columns->weight[q]);

					for (int64_t c = 0; c < channels; c++)
						y[c] += w * x[c];
				}
		}
}

void K(k_resample_dx)(void *xv, const void *yv, int64_t channels, int64_t width, const struct k_taps *rows,
	const struct k_taps *columns)
{
	const real *y = yv;

	for (int64_t i = 0; i < rows->n_out; i++)
		for (int64_t j = 0; j < columns->n_out; j++, y += channels)
			for (int64_t p = rows->first[i]; p < rows->first[i + 1]; p++)
				for (int64_t q = columns->first[j]; q < columns->first[j + 1]; q++) {
					real *x = (real *)xv + (rows->place[p] * width + columns->place[q]) * channels;
					real w = (real)(rows->weight[p] * columns->weight[q]);

					for (int64_t c = 0; c < channels; c++)
						x[c] += w * y[c];
				}
}
