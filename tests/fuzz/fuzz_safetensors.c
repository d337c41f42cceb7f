/* Weights from outside: a file of any bytes is refused, or every tensor that it names lies within it. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "io/io.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	int fd = memfd_create("weights", 0);
	char *path = mem_printf("/proc/self/fd/%d", fd);
	struct safetensors file = { 0 };
	struct err e = { 0 };
	unsigned char sum = 0;

	TD_ASSERT(fd >= 0 && write(fd, data, n) == (ssize_t)n);
	if (safetensors_read(path, 1 << 20, &file, &e) == TD_OK) {
		for (int i = 0; i < file.n; i++) {
			const unsigned char *bytes = file.items[i].bytes;

			TD_ASSERT(safetensors_find(&file, file.items[i].name));
			if (td_shape_count(&file.items[i].shape) > 0)
				sum = (unsigned char)(sum + bytes[0]); /* the sanitizer looks */
		}
		safetensors_release(&file);
	} else {
		TD_ASSERT(e.text[0]);
	}
	mem_free(path);
	close(fd);
	__asm__ volatile("" : : "r"(sum));
	return 0;
}
