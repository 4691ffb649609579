/* input.c: bytes to normalized floats, with random crop and flip. */
#include "cpu/simd/variant.h"
#include "image_format.h"
#include "philox.h"

enum { SIDE = IMAGE_SIDE, PIXELS = IMAGE_PIXELS };

/* Where the pixels of an image come from. */
struct crop {
    int rows[SIDE], columns[SIDE];
};

/* Pixel -1 is pixel 1, pixel 32 is pixel 30. */
static int reflect(int i) {
    return i < 0 ? -i : i >= SIDE ? 2 * (SIDE - 1) - i : i;
}

static struct crop draw_crop(const struct input_args *a, int n) {
    int dx = 0, dy = 0, flip = 0;
    if (a->augment) {
        struct philox_block draw = philox(a->seed, PHILOX_AUGMENT, a->state->step, (uint32_t)n);
        const uint32_t shifts = 2 * (uint32_t)a->crop + 1;
        dx = (int)philox_below(draw.word[0], shifts) - a->crop;
        dy = (int)philox_below(draw.word[1], shifts) - a->crop;
        flip = (int)(draw.word[2] >> 31);
    }
    struct crop crop;
    for (int i = 0; i < SIDE; i++) {
        crop.rows[i] = reflect(i + dy);
        crop.columns[i] = reflect((flip ? SIDE - 1 - i : i) + dx);
    }
    return crop;
}

static void convert_plane(float *restrict y, const uint8_t *restrict pixels,
                          const struct crop *crop, float scale, float shift) {
    for (int row = 0; row < SIDE; row++) {
        uint8_t line[SIDE];
        for (int i = 0; i < SIDE; i++)
            line[i] = pixels[crop->rows[row] * SIDE + crop->columns[i]];
        for (int i = 0; i < SIDE; i++)
            y[row * SIDE + i] = (float)line[i] * scale - shift;
    }
}

enum status NAME(input)(struct error *error, struct device *device, const struct input_args *a) {
    (void)error;
    static const float mean[IMAGE_CHANNELS] = IMAGE_MEAN, std[IMAGE_CHANNELS] = IMAGE_STD;
#pragma omp parallel for num_threads(device->threads) schedule(static)
    for (int n = 0; n < a->batch; n++) {
        struct crop crop = draw_crop(a, n);
        for (int c = 0; c < 3; c++) {
            size_t first = ((size_t)n * 3 + (size_t)c) * PIXELS;
            convert_plane(a->y + first, a->images + first, &crop, 1 / (255 * std[c]),
                          mean[c] / std[c]);
        }
    }
    return STATUS_OK;
}
