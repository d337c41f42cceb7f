/* Pictures of any bytes: refused with a reason, or pixels that are all there and become a PNG again. */
#include "io/image.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct err e = { 0 };
	struct image i;
	struct buf png;

	if (image_decode(data, n, &i, &e)) {
		TD_ASSERT(e.text[0] && !i.pixels);
		return 0;
	}
	TD_ASSERT((i.channels == 1 || i.channels == 3) && i.height >= 1 && i.width >= 1);
	if (i.height * i.width <= 1 << 16 && !image_fit(&i, 8, 8, &e)) {
		buf_init(&png, 1 << 16);
		TD_ASSERT(image_encode_png(&i, &png, &e) == TD_OK);
		buf_release(&png);
	}
	image_release(&i);
	return 0;
}
