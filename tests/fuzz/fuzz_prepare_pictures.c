/* Pictures in archives, in folders of classes or beside a list of labels: names, lists and pictures of any bytes. */
#include "archives.h"
#include "prepare.h"

static const char *const formats[] = {
	"{\"type\":\"image_folder\",\"test\":0.3}",
	"{\"type\":\"image_csv\"}",
	"{\"type\":\"image_csv\",\"path_column\":\"1\",\"label_column\":\"2\",\"header\":\"no\",\"image_size\":[2,3]}",
	"{}",
};

static const struct packing packings[] = {
	{ archive_write_set_format_ustar, archive_write_add_filter_none },
	{ archive_write_set_format_zip, archive_write_add_filter_none },
};
static unsigned char bytes[2 * TD_COUNT(packings)][1 + ARCHIVE_MOST];
static struct seed seeds[2 * TD_COUNT(packings)];

static void make_seeds(void)
{
	static const char list[] = "image,label\nimages/1.png,cat\n2.png,dog\n";
	static uint8_t pixels[] = { 1, 2, 3, 4, 5, 6 };
	struct image grey = { .channels = 1, .height = 2, .width = 3, .pixels = pixels },
		     colour = { .channels = 3, .height = 1, .width = 2, .pixels = pixels };
	struct buf png[2];
	struct err e = { 0 };

	buf_init(&png[0], 512);
	buf_init(&png[1], 512);
	TD_ASSERT(!image_encode_png(&grey, &png[0], &e) && !image_encode_png(&colour, &png[1], &e));
	for (size_t k = 0; k < TD_COUNT(seeds); k++) {
		const struct member folders[] = { { "train/cat/1.png", png[0].data, png[0].len },
			{ "train/dog/2.png", png[1].data, png[1].len }, { "test/cat/3.png", png[0].data, png[0].len } };
		const struct member listed[] = { { "labels.csv", list, sizeof list - 1 },
			{ "images/1.png", png[0].data, png[0].len }, { "images/2.png", png[0].data, png[0].len } };

		bytes[k][0] = (unsigned char)(k % 2);
		seeds[k].n = 1 + fuzz_pack(&packings[k / 2], k % 2 ? listed : folders, 3, bytes[k] + 1);
		seeds[k].bytes = bytes[k];
	}
	buf_release(&png[0]);
	buf_release(&png[1]);
}

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t n, size_t most, unsigned random)
{
	if (!seeds[0].n)
		make_seeds();
	n = fuzz_mutate(data, n, most, random, seeds, TD_COUNT(seeds));
	if (n && random / SEED_AGAIN % 8)
		fuzz_set_checksums(data + 1, n - 1);
	return n;
}

FUZZ_ONE(formats, "pictures")
