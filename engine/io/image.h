/* Pictures: JPEG and PNG files in memory to planes of bytes, and back to PNG.
 *
 * Pixels come as PIL's convert("L") or convert("RGB") gives them: transparency is dropped, palettes are looked up, of
 * 16 bits the upper 8 stay.  The orientation that a camera notes in EXIF is ignored, as torchvision does.  The files
 * come from elsewhere: whatever their bytes, the answer is a picture within the caps or an error. */
#ifndef TD_IO_IMAGE_H
#define TD_IO_IMAGE_H

#include "base/buf.h"

#define IMAGE_SIDE_MOST   16384
#define IMAGE_PIXELS_MOST (1 << 25) /* 8192 x 4096: 100 MB as planes, and as much again while it is decoded */
#define IMAGE_FILE_MOST   ((int64_t)256 << 20) /* bytes of one file */

struct image {
	int64_t channels; /* 1 (grey) or 3 (red, green, blue) */
	int64_t height, width;
	uint8_t *pixels; /* owned; [channels][height][width] */
};

/* Whether BYTES begin as a file that image_decode reads. */
bool image_is_known(const void *bytes, size_t n_bytes);
/* TD_CORRUPT, TD_UNSUPPORTED (CMYK, or no JPEG or PNG), TD_TOO_LARGE, TD_NO_MEMORY; OUT is empty then. */
td_status image_decode(const void *bytes, size_t n_bytes, struct image *out, struct err *e);
/* Room for a picture, not initialised.  TD_NO_MEMORY. */
td_status image_init(struct image *i, int64_t channels, int64_t height, int64_t width, struct err *e);
void image_release(struct image *i);
/* Grey becomes three equal planes, colour becomes grey by ITU-R 601-2 weights in PIL's fixed point. */
td_status image_set_channels(struct image *i, int64_t channels, struct err *e);
/* Scale to cover HEIGHT x WIDTH (resize.h), then cut out the centre. */
td_status image_fit(struct image *i, int64_t height, int64_t width, struct err *e);

/* Append I as a PNG file to OUT.  TD_TOO_LARGE: OUT is full. */
td_status image_encode_png(const struct image *i, struct buf *out, struct err *e);
/* The PNG file in base64 (mem_free), for JSON; NULL: E says why. */
char *image_png_base64(const struct image *i, struct err *e);

#endif
