/* Pictures of a pack, for the two files about them: load_images.c (training) and input_images.c (prediction). */
#ifndef TD_DATA_LOAD_IMAGES_H
#define TD_DATA_LOAD_IMAGES_H

#include "data/loader.h"
#include "io/image.h"

struct image_columns {
	int64_t channels, height, width; /* height and width 0: sizes differ */
	struct pack_column pixels[PACK_PARTS], sizes[PACK_PARTS], offsets[PACK_PARTS], labels[PACK_PARTS];
	struct pipeline pipeline;
	float *table;           /* owned; [channels][256]; NULL until all is fitted, or where transforms move pixels */
	struct picture picture; /* the sample under way */
};

/* The picture that the columns' PICTURE begins with, augmented where the request asks, transformed, into OUT. TD_SHAPE:
 * it became another size than the facts say. */
td_status images_walk(const struct loader *l, const struct batch_request *q, int64_t sample, float *out, struct err *e);

bool images_read_json(const struct loader *l, const cJSON *inputs, struct data_input *out, struct faults *faults);
bool images_read_npy(
	const struct loader *l, const void *body, size_t n_bytes, struct data_input *out, struct faults *faults);
bool images_read_image(
	const struct loader *l, const void *body, size_t n_bytes, struct data_input *out, struct faults *faults);

#endif
