/* Convolution of one image by plain loops: what every faster way is compared with, and the last resort.
 *
 * The sums run in double, over kernel rows, kernel columns and channels (or pixels), in this order. */
#include "kernels/kernels.h"

/* The image's pixel that the place (KY, KX) of the window of result pixel (OY, OX) lies on; NULL: on the padding. */
static inline const real *pixel_at(
	const real *image, const struct k_window *w, int64_t oy, int64_t ox, int64_t ky, int64_t kx)
{
	int64_t y = oy * w->stride[0] + ky * w->dilation[0] - w->padding[0],
		x = ox * w->stride[1] + kx * w->dilation[1] - w->padding[1];

	return y >= 0 && y < w->height && x >= 0 && x < w->width ? image + (y * w->width + x) * w->pixel : NULL;
}

void K(k_convolve)(void *yv, const void *imagev, const void *weightv, const void *biasv, const struct k_window *w,
	int64_t filters, int64_t result)
{
	const real *image = imagev, *bias = biasv;
	real *y = yv;

	for (int64_t oy = 0; oy < w->out_height; oy++)
		for (int64_t ox = 0; ox < w->out_width; ox++, y += result) {
			const real *weight = weightv;

			for (int64_t o = 0; o < filters; o++) {
				double sum = bias ? (double)bias[o] : 0;

				for (int64_t ky = 0; ky < w->kernel[0]; ky++)
					for (int64_t kx = 0; kx < w->kernel[1]; kx++, weight += w->channels) {
						const real *x = pixel_at(image, w, oy, ox, ky, kx);

						for (int64_t c = 0; x && c < w->channels; c++)
							sum += (double)x[c] * (double)weight[c];
					}
				y[o] = (real)sum;
			}
		}
}

/* Gathers: the result pixels whose windows reach a pixel of the image are those where the distance is a multiple of the
 * stride. */
void K(k_convolve_dx)(
	void *imagev, const void *dyv, const void *weightv, const struct k_window *w, int64_t filters, int64_t result)
{
	const real *dy = dyv, *weight = weightv;

	for (int64_t y = 0; y < w->height; y++)
		for (int64_t x = 0; x < w->width; x++)
			for (int64_t c = 0; c < w->channels; c++) {
				double sum = 0;

				for (int64_t ky = 0; ky < w->kernel[0]; ky++)
					for (int64_t kx = 0; kx < w->kernel[1]; kx++) {
						int64_t oy = y + w->padding[0] - ky * w->dilation[0],
							ox = x + w->padding[1] - kx * w->dilation[1];
						const real *from,
							*k = weight + (ky * w->kernel[1] + kx) * w->channels + c;

						if (oy < 0 || ox < 0 || oy % w->stride[0] || ox % w->stride[1])
							continue;
						oy /= w->stride[0];
						ox /= w->stride[1];
						if (oy >= w->out_height || ox >= w->out_width)
							continue;
						from = dy + (oy * w->out_width + ox) * result;
						for (int64_t o = 0; o < filters; o++)
							sum += (double)from[o] *
							       (double)k[o * w->kernel[0] * w->kernel[1] * w->channels];
					}
				((real *)imagev)[(y * w->width + x) * w->pixel + c] = (real)sum;
			}
}

void K(k_convolve_dw)(void *dwv, const void *dyv, const void *imagev, const struct k_window *w, int64_t filters,
	int64_t result, bool add)
{
	const real *image = imagev;
	real *dw = dwv;

	for (int64_t o = 0; o < filters; o++)
		for (int64_t ky = 0; ky < w->kernel[0]; ky++)
			for (int64_t kx = 0; kx < w->kernel[1]; kx++)
				for (int64_t c = 0; c < w->channels; c++, dw++) {
					const real *dy = (const real *)dyv + o;
					double sum = add ? (double)*dw : 0;

					for (int64_t oy = 0; oy < w->out_height; oy++)
						for (int64_t ox = 0; ox < w->out_width; ox++, dy += result) {
							const real *x = pixel_at(image, w, oy, ox, ky, kx);

							sum += x ? (double)*dy * (double)x[c] : 0;
						}
					*dw = (real)sum;
				}
}
