/* The table of known datasets: see known.h.  Checksums are of the files as their authors published them. */
#include "fetch/known.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct known_dataset datasets[] = {
	{
		/* Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017: 60,000 and 10,000 images of 28x28, ten classes; MIT licence. */
		.name = "fashion-mnist",
		.base_url = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
		.n_files = 4,
		.files = {
			{ "t10k-labels-idx1-ubyte.gz", "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05", 5125 },
			{ "train-labels-idx1-ubyte.gz", "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056", 29491 },
			{ "t10k-images-idx3-ubyte.gz", "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa", 4422079 },
			{ "train-images-idx3-ubyte.gz", "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7", 26421856 },
		},
	},
};

const struct known_dataset *known_dataset(const char *name)
{
	for (size_t i = 0; i < TD_COUNT(datasets); i++)
		if (!strcmp(datasets[i].name, name))
			return &datasets[i];
	return NULL;
}

const char *known_names(char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < TD_COUNT(datasets) && at < size; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "", datasets[i].name);
	return out;
}

bool known_complete(const struct known_dataset *d, const char *folder)
{
	bool complete = true;

	for (int i = 0; complete && i < d->n_files; i++) {
		char *path = mem_printf("%s/%s", folder, d->files[i].name);
		struct stat st;
		complete = !stat(path, &st) && S_ISREG(st.st_mode) && st.st_size == d->files[i].n_bytes;
		mem_free(path);
	}
	return complete;
}
