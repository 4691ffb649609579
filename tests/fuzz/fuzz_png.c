/* fuzz_png.c: any bytes as an image. Most inputs get correct checksums, because libpng stops at a
 * wrong one. */
#include "fuzz.h"

#include "data/image.h"
#include "png_chunks.h"

#include <string.h>

/* libFuzzer's own mutator. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 != 0)
        png_mend_checksums(data, size);
    return size;
}

/* Every byte of the image comes from the file: reading it into other memory gives the same. */
static void check_again(const uint8_t first[IMAGE_BYTES], const char *path) {
    struct error error;
    uint8_t second[IMAGE_BYTES];
    memset(second, 0xff, sizeof second);
    require(image_read(&error, second, path) == STATUS_OK);
    require(memcmp(first, second, sizeof second) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct error error = {STATUS_OK, ""};
    uint8_t out[IMAGE_BYTES] = {0};
    const char *path = fuzz_file(data, size);
    int descriptor = fuzz_lowest_descriptor();
    enum status status = image_read(&error, out, path);
    require(fuzz_lowest_descriptor() == descriptor);
    if (status == STATUS_OK) {
        check_again(out, path);
    } else {
        require(status == STATUS_BAD_DATA);
        fuzz_check_error(status, &error, path);
    }
    return 0;
}
