/* Between image.c and the two file formats: each fills an image or says why not; the caller releases it. */
#ifndef TD_IO_IMAGE_CODECS_H
#define TD_IO_IMAGE_CODECS_H

#include "io/image.h"

/* Whether a header's size is within the caps, before anything is allocated for it. */
td_status image_check_size(int64_t height, int64_t width, struct err *e);
td_status image_decode_jpeg(const uint8_t *bytes, size_t n_bytes, struct image *out, struct err *e);
td_status image_decode_png(const uint8_t *bytes, size_t n_bytes, struct image *out, struct err *e);

#endif
