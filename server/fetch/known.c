/* The table of known datasets: see known.h.  Checksums are of the files as their authors published them. */
#include "fetch/known.h"
#include "base/mem.h"

#include <string.h>
#include <sys/stat.h>

/* An info.json: images in parts of N_TRAIN and 10,000, [C, SIZE, SIZE]. */
#define IMAGES(name, n_train, c, size, classes)                                                                        \
	"{\"version\":1,\"dataset\":\"" name "\",\"kind\":\"images\",\"parts\":{\"train\":{\"samples\":" n_train       \
	"},\"test\":{\"samples\":10000}},\"image\":{\"channels\":" c ",\"height\":" size ",\"width\":" size            \
	"},\"classes\":[" classes "]}"

/* clang-format off */
#define CLASSES_MNIST \
	"\"0\",\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\""
#define CLASSES_FASHION_MNIST \
	"\"T-shirt/top\",\"Trouser\",\"Pullover\",\"Dress\",\"Coat\",\"Sandal\",\"Shirt\",\"Sneaker\"," \
	"\"Bag\",\"Ankle boot\""
#define CLASSES_CIFAR10 \
	"\"airplane\",\"automobile\",\"bird\",\"cat\",\"deer\",\"dog\",\"frog\",\"horse\",\"ship\"," \
	"\"truck\""
#define CLASSES_CIFAR100 \
	"\"apple\",\"aquarium_fish\",\"baby\",\"bear\",\"beaver\",\"bed\",\"bee\",\"beetle\",\"bicycle\"," \
	"\"bottle\",\"bowl\",\"boy\",\"bridge\",\"bus\",\"butterfly\",\"camel\",\"can\",\"castle\"," \
	"\"caterpillar\",\"cattle\",\"chair\",\"chimpanzee\",\"clock\",\"cloud\",\"cockroach\",\"couch\"," \
	"\"crab\",\"crocodile\",\"cup\",\"dinosaur\",\"dolphin\",\"elephant\",\"flatfish\",\"forest\"," \
	"\"fox\",\"girl\",\"hamster\",\"house\",\"kangaroo\",\"keyboard\",\"lamp\",\"lawn_mower\"," \
	"\"leopard\",\"lion\",\"lizard\",\"lobster\",\"man\",\"maple_tree\",\"motorcycle\",\"mountain\"," \
	"\"mouse\",\"mushroom\",\"oak_tree\",\"orange\",\"orchid\",\"otter\",\"palm_tree\",\"pear\"," \
	"\"pickup_truck\",\"pine_tree\",\"plain\",\"plate\",\"poppy\",\"porcupine\",\"possum\"," \
	"\"rabbit\",\"raccoon\",\"ray\",\"road\",\"rocket\",\"rose\",\"sea\",\"seal\",\"shark\"," \
	"\"shrew\",\"skunk\",\"skyscraper\",\"snail\",\"snake\",\"spider\",\"squirrel\",\"streetcar\"," \
	"\"sunflower\",\"sweet_pepper\",\"table\",\"tank\",\"telephone\",\"television\",\"tiger\"," \
	"\"tractor\",\"train\",\"trout\",\"tulip\",\"turtle\",\"wardrobe\",\"whale\",\"willow_tree\"," \
	"\"wolf\",\"woman\",\"worm\""

static const struct known_dataset datasets[] = {
	{
		/* LeCun, Cortes and Burges, "The MNIST database of handwritten digits", 1998: 60,000 and 10,000 images of 28x28. */
		.name = "mnist",
		.base_url = "https://ossci-datasets.s3.amazonaws.com/mnist/",
		.n_files = 4,
		.files = {
			{ "t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4542 },
			{ "train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28881 },
			{ "t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1648877 },
			{ "train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9912422 },
		},
		.format = "{\"type\":\"idx\"}",
		.info = IMAGES("mnist", "60000", "1", "28", CLASSES_MNIST),
	},
	{
		/* Xiao, Rasul and Vollgraf, "Fashion-MNIST", 2017: 60,000 and 10,000 images of 28x28; MIT licence. */
		.name = "fashion-mnist",
		.base_url = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
		.n_files = 4,
		.files = {
			{ "t10k-labels-idx1-ubyte.gz", "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05", 5125 },
			{ "train-labels-idx1-ubyte.gz", "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056", 29491 },
			{ "t10k-images-idx3-ubyte.gz", "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa", 4422079 },
			{ "train-images-idx3-ubyte.gz", "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7", 26421856 },
		},
		.format = "{\"type\":\"idx\",\"classes\":[" CLASSES_FASHION_MNIST "]}",
		.info = IMAGES("fashion-mnist", "60000", "1", "28", CLASSES_FASHION_MNIST),
	},
	{
		/* Krizhevsky, "Learning multiple layers of features from tiny images", 2009: 50,000 and 10,000 images of 32x32. */
		.name = "cifar10",
		.base_url = "https://www.cs.toronto.edu/~kriz/",
		.n_files = 1,
		.files = {
			{ "cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170052171 },
		},
		.format = "{\"type\":\"cifar\"}",
		.info = IMAGES("cifar10", "50000", "3", "32", CLASSES_CIFAR10),
	},
	{
		/* The same in a hundred classes. */
		.name = "cifar100",
		.base_url = "https://www.cs.toronto.edu/~kriz/",
		.n_files = 1,
		.files = {
			{ "cifar-100-binary.tar.gz", "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec", 168513733 },
		},
		.format = "{\"type\":\"cifar\"}",
		.info = IMAGES("cifar100", "50000", "3", "32", CLASSES_CIFAR100),
	},
};
/* clang-format on */

const struct known_dataset *known_dataset(const char *name)
{
	for (size_t i = 0; i < TD_COUNT(datasets); i++)
		if (!strcmp(datasets[i].name, name))
			return &datasets[i];
	return NULL;
}

const struct known_dataset *known_at(size_t i)
{
	return i < TD_COUNT(datasets) ? &datasets[i] : NULL;
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
