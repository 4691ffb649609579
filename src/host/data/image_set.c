/* image_set.c: memory of image sets. */
#include "data/image_set.h"

#include "memory.h"

enum status image_set_make_list(struct error *error, struct image_set *out, int count,
                                const char *what) {
    *out = (struct image_set){.count = count};
    if (memory_alloc(error, &out->images, (size_t)count, sizeof *out->images, what) == STATUS_OK &&
        memory_alloc(error, &out->labels, (size_t)count, 1, what) == STATUS_OK)
        return STATUS_OK;
    image_set_free(out);
    return error->status;
}

enum status image_set_make(struct error *error, struct image_set *out, int count,
                           const char *what) {
    if (image_set_make_list(error, out, count, what) != STATUS_OK)
        return error->status;
    if (memory_alloc(error, &out->pixels, (size_t)count, IMAGE_BYTES, what) != STATUS_OK) {
        image_set_free(out);
        return error->status;
    }
    for (int i = 0; i < count; i++)
        out->images[i] = out->pixels + (size_t)i * IMAGE_BYTES;
    return STATUS_OK;
}

void image_set_free(struct image_set *set) {
    for (int i = 0; i < MAX_IMAGE_FILES; i++)
        file_unmap(&set->files[i]);
    memory_free(set->images);
    memory_free(set->labels);
    memory_free(set->pixels);
    *set = (struct image_set){.count = 0};
}
