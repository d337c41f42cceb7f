/* Reading the pictures of a source, wherever their labels come from. */
#ifndef TD_DATA_PICTURES_H
#define TD_DATA_PICTURES_H

#include "data/formats.h"

/* The label and part of the picture called NAME.  1: it has them; 0: it is none of the dataset's; -1: E says why. */
typedef int picture_place(void *of, const char *name, int32_t *label, bool *test, struct err *e);

/* Decode all pictures to which PLACE gives a label, in the source's order, and finish the pack; CLASSES are sorted by
 * name.  A few broken pictures are left out and noted; more than format.max_broken refuse the dataset. */
td_status pictures_read(struct prepare *p, picture_place *place, void *of, struct classes *classes, struct err *e);

/* Whether NAME ends as a picture's does. */
bool picture_is_named(const char *name);

#endif
