/* synthetic.c: a generated data set of ten classes, five shapes and five textures, for trials
 * without CIFAR-10.
 *
 * An image is a function of (seed, image number): its class is the number mod 10, and everything
 * else is drawn from Philox. A shape or texture in one colour lies on a background of another. The
 * colours, which of them is lighter, position, size, rotation, shading and noise are independent of
 * the class, so neither the mean colour nor any single pixel reveals it. A left-right flip does not
 * change the class.
 *
 * All arithmetic is in integers: every compiler and machine makes the same bytes. */
#include "data/dataset.h"

#include "memory.h"
#include "philox.h"

#include <stdbool.h>
#include <string.h>

enum figure {
    FIGURE_DISC,
    FIGURE_RING,
    FIGURE_SQUARE,
    FIGURE_TRIANGLE,
    FIGURE_CROSS,
    FIGURE_HORIZONTAL,
    FIGURE_VERTICAL,
    FIGURE_DIAGONAL,
    FIGURE_CHECKS,
    FIGURE_DOTS,
};

const char *const synthetic_class_names[CLASS_COUNT] = {
    [FIGURE_DISC] = "disc",
    [FIGURE_RING] = "ring",
    [FIGURE_SQUARE] = "square",
    [FIGURE_TRIANGLE] = "triangle",
    [FIGURE_CROSS] = "cross",
    [FIGURE_HORIZONTAL] = "horizontal stripes",
    [FIGURE_VERTICAL] = "vertical stripes",
    [FIGURE_DIAGONAL] = "diagonal stripes",
    [FIGURE_CHECKS] = "checks",
    [FIGURE_DOTS] = "dots",
};

/* Lengths are in 1/16 pixel. */
enum { PIXEL = 16, SIDE = IMAGE_SIDE * PIXEL };

/* Random numbers of an image: the first Philox blocks give four scalars each, the others the noise
 * of 16 pixel values each, one byte per value. */
enum { SCALAR_BLOCKS = 5, SCALARS = 4 * SCALAR_BLOCKS, NOISE_BYTES = 16 };

/* The content of an image. */
struct scene {
    enum figure figure;
    int x, y;                     /* centre of a shape, origin of a texture */
    int radius;                   /* of a shape */
    int half_period;              /* of a texture: width of a stripe, side of a check */
    int turn;                     /* tangent of the rotation angle, in 1/256 */
    int mirror;                   /* 1, or -1: the diagonal falls instead of rising */
    int ground[IMAGE_CHANNELS];   /* background: levels, 0 ... 255 */
    int contrast[IMAGE_CHANNELS]; /* level of the figure minus that of the background */
    int slope_x, slope_y;         /* shading: levels from the middle to the border */
    int noise;                    /* largest amount, in levels */
};

/* ---- what is drawn --------------------------------------------------------------------------- */

/* The next scalar, uniform in low ... high. */
static int draw(const uint32_t **next, int low, int high) {
    return low + (int)philox_below(*(*next)++, (uint32_t)(high - low + 1));
}

static void draw_colours(struct scene *scene, const uint32_t **next) {
    int strength = draw(next, 48, 112);
    int sign = draw(next, 0, 1) == 0 ? -1 : 1;
    for (int c = 0; c < IMAGE_CHANNELS; c++) {
        int middle = draw(next, 64, 191);
        int difference = sign * strength * draw(next, 64, 256) / 256;
        scene->ground[c] = middle - difference / 2;
        scene->contrast[c] = difference;
    }
}

static struct scene draw_scene(uint64_t seed, int image) {
    uint32_t words[SCALARS];
    for (uint32_t i = 0; i < SCALAR_BLOCKS; i++) {
        struct philox_block block = philox(seed, PHILOX_SYNTHETIC, (uint64_t)image, i);
        memcpy(&words[4 * i], block.word, sizeof block.word);
    }
    const uint32_t *next = words;
    struct scene scene = {.figure = (enum figure)(image % CLASS_COUNT)};
    scene.radius = draw(&next, 7 * PIXEL, 12 * PIXEL);
    scene.x = draw(&next, scene.radius, SIDE - scene.radius);
    scene.y = draw(&next, scene.radius, SIDE - scene.radius);
    scene.half_period = draw(&next, 5 * PIXEL / 2, 5 * PIXEL);
    scene.turn = draw(&next, -40, 40); /* up to 9 degrees */
    scene.mirror = draw(&next, 0, 1) == 0 ? -1 : 1;
    draw_colours(&scene, &next);
    scene.slope_x = draw(&next, -24, 24);
    scene.slope_y = draw(&next, -24, 24);
    scene.noise = draw(&next, 8, 32);
    return scene;
}

/* ---- how it is painted ----------------------------------------------------------------------- */

/* The index of the band of width `band` that contains a: the quotient, rounded down. */
static int band_of(int a, int band) {
    return a >= 0 ? a / band : -((-a + band - 1) / band);
}

static bool odd_band(int a, int band) {
    return band_of(a, band) % 2 != 0;
}

static bool in_dot(int u, int v, int cell) {
    int a = u - band_of(u, cell) * cell - cell / 2;
    int b = v - band_of(v, cell) * cell - cell / 2;
    return 9 * (a * a + b * b) <= cell * cell; /* a radius of a third of the cell */
}

/* Whether the figure covers the point (x, y), relative to its centre. */
static bool covers(const struct scene *scene, int x, int y) {
    int u = x - scene->turn * y / 256, v = y + scene->turn * x / 256;
    int a = u < 0 ? -u : u, b = v < 0 ? -v : v;
    int radius = scene->radius, band = scene->half_period;
    switch (scene->figure) {
    case FIGURE_DISC:
        return u * u + v * v <= radius * radius;
    case FIGURE_RING: /* the hole has half the radius */
        return u * u + v * v <= radius * radius && 4 * (u * u + v * v) >= radius * radius;
    case FIGURE_SQUARE:
        return 8 * a <= 7 * radius && 8 * b <= 7 * radius;
    case FIGURE_TRIANGLE: /* apex up, base as wide as high */
        return b <= radius && 2 * a <= v + radius;
    case FIGURE_CROSS:
        return (a <= radius && 4 * b <= radius) || (b <= radius && 4 * a <= radius);
    case FIGURE_HORIZONTAL:
        return odd_band(v, band);
    case FIGURE_VERTICAL:
        return odd_band(u, band);
    case FIGURE_DIAGONAL: /* 181 / 128 is the root of two */
        return odd_band(128 * (u + scene->mirror * v) / 181, band);
    case FIGURE_CHECKS:
        return odd_band(u, band) != odd_band(v, band);
    case FIGURE_DOTS:
        return in_dot(u, v, 2 * band);
    }
    return false;
}

/* How many of four points in a pixel the figure covers, for smooth edges. */
static int coverage(const struct scene *scene, int column, int row) {
    int count = 0;
    for (int i = 0; i < 4; i++) {
        int x = column * PIXEL + (i % 2 == 0 ? 4 : 12), y = row * PIXEL + (i < 2 ? 4 : 12);
        count += covers(scene, x - scene->x, y - scene->y);
    }
    return count;
}

static uint8_t clamp(int level) {
    return (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
}

/* Writes the scene without noise to pixels[3][32][32]. */
static void paint(uint8_t *pixels, const struct scene *scene) {
    enum { MIDDLE = IMAGE_SIDE / 2 };
    for (int row = 0; row < IMAGE_SIDE; row++)
        for (int column = 0; column < IMAGE_SIDE; column++) {
            int covered = coverage(scene, column, row);
            int shade =
                (scene->slope_x * (column - MIDDLE) + scene->slope_y * (row - MIDDLE)) / MIDDLE;
            for (int c = 0; c < IMAGE_CHANNELS; c++)
                pixels[c * IMAGE_PIXELS + row * IMAGE_SIDE + column] =
                    clamp(scene->ground[c] + scene->contrast[c] * covered / 4 + shade);
        }
}

/* Adds uniform noise of up to `noise` levels to pixels[IMAGE_BYTES]. */
static void add_noise(uint8_t *pixels, int noise, uint64_t seed, int image) {
    for (int first = 0; first < IMAGE_BYTES; first += NOISE_BYTES) {
        uint32_t index = (uint32_t)(SCALAR_BLOCKS + first / NOISE_BYTES);
        struct philox_block block = philox(seed, PHILOX_SYNTHETIC, (uint64_t)image, index);
        for (int i = 0; i < NOISE_BYTES; i++) {
            int byte = (int)(block.word[i / 4] >> (8 * (i % 4)) & 0xff);
            pixels[first + i] = clamp(pixels[first + i] + (byte - 128) * noise / 128);
        }
    }
}

enum status synthetic_fill(struct error *error, struct image_set *out, uint64_t seed, int first,
                           int count) {
    if (image_set_make(error, out, count, "synthetic images") != STATUS_OK)
        return error->status;
    for (int i = 0; i < count; i++) {
        struct scene scene = draw_scene(seed, first + i);
        uint8_t *pixels = out->pixels + (size_t)i * IMAGE_BYTES;
        paint(pixels, &scene);
        add_noise(pixels, scene.noise, seed, first + i);
        out->labels[i] = (uint8_t)scene.figure;
    }
    return STATUS_OK;
}
