/* Pictures whose folder is their class, as torchvision's ImageFolder has them: [train|test/]CLASS/.../picture.jpg. */
#include "data/pictures.h"

#include <string.h>
#include <strings.h>

/* Whether a folder of N bytes stands for a part and not for a class.  1: the training part; 2: the test part. */
static int part_of(const char *folder, size_t n)
{
	static const char *const train[] = { "train", "training" };
	static const char *const test[] = { "test", "testing", "val", "valid", "validation" };

	for (size_t i = 0; i < TD_COUNT(train); i++)
		if (strlen(train[i]) == n && !strncasecmp(folder, train[i], n))
			return 1;
	for (size_t i = 0; i < TD_COUNT(test); i++)
		if (strlen(test[i]) == n && !strncasecmp(folder, test[i], n))
			return 2;
	return 0;
}

/* The class's folder within NAME, of *N bytes; NULL: NAME lies in none.  A folder "train" is a part if there are
 * folders below it, else it is a class of that name. */
static const char *class_of(const char *name, size_t *n, int *part)
{
	const char *class = NULL, *slash;

	*part = 0;
	for (const char *at = name; (slash = strchr(at, '/')); at = slash + 1) {
		int here = strchr(slash + 1, '/') ? part_of(at, (size_t)(slash - at)) : 0;

		if (here && !*part) {
			*part = here;
			class = NULL;
		} else if (!*part || !class) { /* below a part its first folder counts, else the last one */
			class = at;
			*n = (size_t)(slash - at);
		}
	}
	return class;
}

struct folders {
	struct prepare *p;
	struct classes classes;
};

static int place(void *of, const char *name, int32_t *label, bool *test, struct err *e)
{
	struct folders *f = of;
	size_t n = 0;
	int part;
	const char *class = class_of(name, &n, &part);
	char *text;

	if (!class)
		return 0;
	text = mem_strndup(class, n);
	*label = classes_add(&f->classes, text, e);
	*test = part == 2 || (!part && source_is_test(f->p->source.entry.file));
	mem_free(text);
	return *label < 0 ? -1 : 1;
}

td_status from_image_folder(struct prepare *p, struct err *e)
{
	struct folders f = { .p = p };
	td_status s;

	classes_init(&f.classes, PREPARE_CLASSES_MOST);
	s = pictures_read(p, place, &f, &f.classes, e);
	classes_release(&f.classes);
	return s;
}
