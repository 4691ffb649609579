/* image_set.h: images with their labels in host memory. */
#ifndef IMAGE_SET_H
#define IMAGE_SET_H

#include "base/file_map.h"
#include "error.h"
#include "image_format.h"

#include <stdint.h>

enum { MAX_IMAGE_FILES = 5 };

struct image_set {
    int count;
    const uint8_t **images; /* [count]: where each image lies, uint8 [3][32][32] */
    uint8_t *labels;        /* [count], below CLASS_COUNT */
    /* what holds the images: memory of their own, or mapped files */
    uint8_t *pixels; /* [count][3][32][32] */
    struct file_map files[MAX_IMAGE_FILES];
};

/* Makes a set of `count` black images with label 0 in memory of their own; `what` ("synthetic
 * images") is for the message. Errors: STATUS_FAILED: no memory; the set is then empty. */
enum status image_set_make(struct error *error, struct image_set *out, int count, const char *what);

/* The same without images: the caller fills in out->images. */
enum status image_set_make_list(struct error *error, struct image_set *out, int count,
                                const char *what);

/* Releases all and empties the set; an empty one is fine. */
void image_set_free(struct image_set *set);

#endif
