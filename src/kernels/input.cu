/* input.cu: bytes to normalized floats, with random crop and flip, in one kernel.
 *
 * Reads every byte of the images once and writes every float once, 15 bytes per pixel: the floor of
 * an image is 15 KiB. A thread makes four neighbouring floats of each of the three planes and
 * stores them 16 bytes at a time. It loads single bytes, since crop and flip break up any larger
 * unit; a warp's loads fall into the same few sectors, so that memory sees them once. */
#include "image_format.h"
#include "kernels/vectors.cuh"

enum { CHANNELS = IMAGE_CHANNELS, SIDE = IMAGE_SIDE, PIXELS = IMAGE_PIXELS };
enum { RUN = 4, THREADS = PIXELS / RUN }; /* one block per image */

/* Shift and flip of an image. */
struct crop {
    int dx, dy;
    bool flip;
};

/* Every thread of the block draws it: that is faster than waiting for one thread to do it. */
__device__ static struct crop draw_crop(const struct input_args *a, uint32_t n) {
    struct crop crop = {0, 0, false};
    if (a->augment) {
        struct philox_block draw = philox(a->seed, PHILOX_AUGMENT, a->state->step, n);
        const uint32_t shifts = 2 * (uint32_t)a->crop + 1;
        crop.dx = (int)philox_below(draw.word[0], shifts) - a->crop;
        crop.dy = (int)philox_below(draw.word[1], shifts) - a->crop;
        crop.flip = draw.word[2] >> 31 != 0;
    }
    return crop;
}

/* Pixel -1 is pixel 1, pixel 32 is pixel 30. */
__device__ static int reflect(int i) {
    return i < 0 ? -i : i >= SIDE ? 2 * (SIDE - 1) - i : i;
}

/* WIDTH: floats that one access stores. */
template <int WIDTH> __global__ void input_kernel(struct input_args a) {
    const struct crop crop = draw_crop(&a, blockIdx.x);
    const int row = (int)threadIdx.x / (SIDE / RUN), column = (int)threadIdx.x % (SIDE / RUN) * RUN;
    const size_t image = (size_t)blockIdx.x * (CHANNELS * PIXELS);
    const uint8_t *line = a.images + image + reflect(row + crop.dy) * SIDE;
    uint8_t pixels[CHANNELS][RUN]; /* all loads are under way before the first is needed */
    for (int i = 0; i < RUN; i++) {
        const int from = reflect((crop.flip ? SIDE - 1 - (column + i) : column + i) + crop.dx);
        for (int c = 0; c < CHANNELS; c++)
            pixels[c][i] = line[c * PIXELS + from];
    }
    const float mean[CHANNELS] = IMAGE_MEAN, std[CHANNELS] = IMAGE_STD;
    for (int c = 0; c < CHANNELS; c++) {
        const float scale = 1 / (255 * std[c]), shift = mean[c] / std[c];
        float *y = a.y + image + (size_t)c * PIXELS + RUN * threadIdx.x;
        for (int i = 0; i < RUN; i += WIDTH) {
            struct values<WIDTH> out;
            for (int k = 0; k < WIDTH; k++)
                out.at[k] = (float)pixels[c][i + k] * scale - shift;
            store(y + i, out);
        }
    }
}

enum status cuda_input(struct error *error, struct device *device, const struct input_args *a) {
    void (*const input)(struct input_args) =
        vectors_allowed(a->y) ? input_kernel<RUN> : input_kernel<1>;
    LAUNCH(input, (unsigned)a->batch, THREADS, 0, device->compute, *a);
    return check_launch(error, "input");
}
