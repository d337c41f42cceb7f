/* Windows over channels-last images: patches for convolution, and max pools.  The innermost loop runs over channels. */
#include "kernels/kernels.h"

#include <string.h>

void K(k_im2col)(void *patchesv, const void *imagev, const struct k_window *w)
{
	const real *image = imagev;
	real *patch = patchesv;
	size_t pixel = sizeof(real) * (size_t)w->channels;

	for (int64_t oy = 0; oy < w->out_height; oy++)
		for (int64_t ox = 0; ox < w->out_width; ox++)
			for (int64_t ky = 0; ky < w->kernel[0]; ky++) {
				int64_t y = oy * w->stride[0] + ky - w->padding[0],
					x = ox * w->stride[1] - w->padding[1];
				bool row = y >= 0 && y < w->height;

				if (row && x >= 0 && x + w->kernel[1] <= w->width) {
					memcpy(patch, image + (y * w->width + x) * w->channels,
						pixel * (size_t)w->kernel[1]);
					patch += w->kernel[1] * w->channels;
					continue;
				}
				for (int64_t kx = 0; kx < w->kernel[1]; kx++, x++, patch += w->channels)
					if (row && x >= 0 && x < w->width)
						memcpy(patch, image + (y * w->width + x) * w->channels, pixel);
					else
						memset(patch, 0, pixel);
			}
}

TD_VECTOR void K(k_col2im)(void *imagev, const void *patchesv, const struct k_window *w)
{
	real *image = imagev;
	const real *patch = patchesv;

	for (int64_t oy = 0; oy < w->out_height; oy++)
		for (int64_t ox = 0; ox < w->out_width; ox++)
			for (int64_t ky = 0; ky < w->kernel[0]; ky++)
				for (int64_t kx = 0; kx < w->kernel[1]; kx++, patch += w->channels) {
					int64_t y = oy * w->stride[0] + ky - w->padding[0],
						x = ox * w->stride[1] + kx - w->padding[1];
					real *to = image + (y * w->width + x) * w->channels;

					if (y < 0 || y >= w->height || x < 0 || x >= w->width)
						continue;
					for (int64_t c = 0; c < w->channels; c++)
						to[c] += patch[c];
				}
}

void K(k_fill_rows)(void *yv, const void *bias, int64_t m, int64_t n)
{
	real *y = yv;

	if (!bias) {
		memset(y, 0, sizeof(real) * (size_t)(m * n));
		return;
	}
	for (int64_t i = 0; i < m; i++)
		memcpy(y + i * n, bias, sizeof(real) * (size_t)n);
}

/* Fold one pixel of the window into the best so far. */
TD_VECTOR static void fold(
	real *restrict best, int32_t *restrict which, const real *restrict x, int64_t n, int32_t place)
{
	if (!which) {
		for (int64_t c = 0; c < n; c++)
			best[c] = x[c] > best[c] || x[c] != x[c] ? x[c] : best[c];
		return;
	}
	for (int64_t c = 0; c < n; c++) {
		bool larger = x[c] > best[c] || x[c] != x[c];
		best[c] = larger ? x[c] : best[c];
		which[c] = larger ? place : which[c];
	}
}

void K(k_max_pool)(void *yv, int32_t *which, const void *xv, const struct k_window *w)
{
	const real *x = xv;
	real *y = yv;

	for (int64_t oy = 0; oy < w->out_height; oy++)
		for (int64_t ox = 0; ox < w->out_width; ox++) {
			bool first = true;
			for (int32_t place = 0; place < (int32_t)(w->kernel[0] * w->kernel[1]); place++) {
				int64_t iy = oy * w->stride[0] + place / w->kernel[1] - w->padding[0];
				int64_t ix = ox * w->stride[1] + place % w->kernel[1] - w->padding[1];
				const real *pixel = x + (iy * w->width + ix) * w->channels;

				if (iy < 0 || iy >= w->height || ix < 0 || ix >= w->width)
					continue;
				if (!first) {
					fold(y, which, pixel, w->channels, place);
					continue;
				}
				first = false;
				memcpy(y, pixel, sizeof(real) * (size_t)w->channels);
				for (int64_t c = 0; which && c < w->channels; c++)
					which[c] = place;
			}
			y += w->channels;
			which = which ? which + w->channels : NULL;
		}
}

TD_VECTOR static void scatter(
	real *restrict dx, const int32_t *restrict which, const real *restrict dy, int64_t n, int32_t place)
{
	for (int64_t c = 0; c < n; c++)
		dx[c] += which[c] == place ? dy[c] : 0;
}

void K(k_max_pool_dx)(void *dxv, const int32_t *which, const void *dyv, const struct k_window *w)
{
	const real *dy = dyv;
	real *dx = dxv;

	memset(dx, 0, sizeof(real) * (size_t)(w->channels * w->height * w->width));
	for (int64_t oy = 0; oy < w->out_height; oy++)
		for (int64_t ox = 0; ox < w->out_width; ox++, dy += w->channels, which += w->channels)
			for (int32_t place = 0; place < (int32_t)(w->kernel[0] * w->kernel[1]); place++) {
				int64_t iy = oy * w->stride[0] + place / w->kernel[1] - w->padding[0];
				int64_t ix = ox * w->stride[1] + place % w->kernel[1] - w->padding[1];

				if (iy >= 0 && iy < w->height && ix >= 0 && ix < w->width)
					scatter(dx + (iy * w->width + ix) * w->channels, which, dy, w->channels, place);
			}
}
