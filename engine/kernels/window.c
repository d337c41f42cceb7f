/* Windows over channels-last images: patches for convolution, and pools.  The innermost loop runs over channels. */
#include "kernels/kernels.h"

#include <math.h>
#include <string.h>

void K(k_im2col)(void *patchesv, const void *imagev, const struct k_window *w)
{
	const real *image = imagev;
	real *patch = patchesv;
	size_t pixel = sizeof(real) * (size_t)w->channels;
	bool dense = w->pixel == w->channels && w->dilation[1] == 1; /* a row of the window lies in one piece */

	for (int64_t oy = 0; oy < w->out_height; oy++)
		for (int64_t ox = 0; ox < w->out_width; ox++)
			for (int64_t ky = 0; ky < w->kernel[0]; ky++) {
				int64_t y = oy * w->stride[0] + ky * w->dilation[0] - w->padding[0],
					x = ox * w->stride[1] - w->padding[1];
				bool row = y >= 0 && y < w->height;

				if (dense && row && x >= 0 && x + w->kernel[1] <= w->width) {
					memcpy(patch, image + (y * w->width + x) * w->pixel,
						pixel * (size_t)w->kernel[1]);
					patch += w->kernel[1] * w->channels;
					continue;
				}
				for (int64_t kx = 0; kx < w->kernel[1]; kx++, x += w->dilation[1], patch += w->channels)
					if (row && x >= 0 && x < w->width)
						memcpy(patch, image + (y * w->width + x) * w->pixel, pixel);
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
					int64_t y = oy * w->stride[0] + ky * w->dilation[0] - w->padding[0],
						x = ox * w->stride[1] + kx * w->dilation[1] - w->padding[1];
					real *to = image + (y * w->width + x) * w->pixel;

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

/* The first pixel of a window (NULL: there is none) is its best so far. */
static void begin(real *best, int32_t *which, const real *x, int64_t n, int32_t pixel)
{
	for (int64_t c = 0; c < n; c++)
		best[c] = x ? x[c] : (real)-INFINITY;
	for (int64_t c = 0; which && c < n; c++)
		which[c] = pixel;
}

/* Fold another pixel of the window into the best so far. */
TD_VECTOR static void fold(
	real *restrict best, int32_t *restrict which, const real *restrict x, int64_t n, int32_t pixel)
{
	if (!which) {
		for (int64_t c = 0; c < n; c++)
			best[c] = x[c] > best[c] || x[c] != x[c] ? x[c] : best[c];
		return;
	}
	for (int64_t c = 0; c < n; c++) {
		bool larger = x[c] > best[c] || x[c] != x[c];
		best[c] = larger ? x[c] : best[c];
		which[c] = larger ? pixel : which[c];
	}
}

void K(k_max_pool)(void *yv, int32_t *which, const void *xv, int64_t channels, int64_t width, const struct k_span *rows,
	int64_t n_rows, const struct k_span *columns, int64_t n_columns)
{
	const real *x = xv;
	real *y = yv;

	for (int64_t i = 0; i < n_rows; i++)
		for (int64_t k = 0; k < n_columns; k++, y += channels, which = which ? which + channels : NULL) {
			bool first = true;

			for (int64_t iy = rows[i].from; iy < rows[i].to; iy += rows[i].step)
				for (int64_t ix = columns[k].from; ix < columns[k].to; ix += columns[k].step) {
					int64_t pixel = iy * width + ix;

					if (first)
						begin(y, which, x + pixel * channels, channels, (int32_t)pixel);
					else
						fold(y, which, x + pixel * channels, channels, (int32_t)pixel);
					first = false;
				}
			if (first)
				begin(y, which, NULL, channels, -1);
		}
}

void K(k_scatter_pixels)(void *xv, const int32_t *which, const void *yv, int64_t m, int64_t n, int64_t n_pixels)
{
	const real *y = yv;
	real *x = xv;

	for (int64_t i = 0; i < m; i++, which += n, y += n)
		for (int64_t c = 0; c < n; c++)
			if (which[c] >= 0 && which[c] < n_pixels)
				x[which[c] * n + c] += y[c];
}

void K(k_gather_pixels)(void *yv, const int32_t *which, const void *xv, int64_t m, int64_t n, int64_t n_pixels)
{
	const real *x = xv;
	real *y = yv;

	for (int64_t i = 0; i < m; i++, which += n, y += n)
		for (int64_t c = 0; c < n; c++)
			y[c] = which[c] >= 0 && which[c] < n_pixels ? x[which[c] * n + c] : 0;
}

void K(k_mean_pool)(void *yv, const void *xv, int64_t channels, int64_t width, const struct k_span *rows,
	int64_t n_rows, const struct k_span *columns, int64_t n_columns)
{
	const real *x = xv;
	real *y = yv;

	for (int64_t i = 0; i < n_rows; i++)
		for (int64_t k = 0; k < n_columns; k++, y += channels) {
			real scale = (real)(1 / (double)(rows[i].count * columns[k].count));

			memset(y, 0, sizeof(real) * (size_t)channels);
			for (int64_t iy = rows[i].from; iy < rows[i].to; iy++)
				for (int64_t ix = columns[k].from; ix < columns[k].to; ix++)
					for (int64_t c = 0; c < channels; c++)
						y[c] += x[(iy * width + ix) * channels + c];
			for (int64_t c = 0; c < channels; c++)
				y[c] *= scale;
		}
}

void K(k_mean_pool_dx)(void *dxv, const void *dyv, int64_t channels, int64_t width, const struct k_span *rows,
	int64_t n_rows, const struct k_span *columns, int64_t n_columns)
{
	const real *dy = dyv;
	real *dx = dxv;

	for (int64_t i = 0; i < n_rows; i++)
		for (int64_t k = 0; k < n_columns; k++, dy += channels) {
			real scale = (real)(1 / (double)(rows[i].count * columns[k].count));

			for (int64_t iy = rows[i].from; iy < rows[i].to; iy++)
				for (int64_t ix = columns[k].from; ix < columns[k].to; ix++)
					for (int64_t c = 0; c < channels; c++)
						dx[(iy * width + ix) * channels + c] += dy[c] * scale;
		}
}
