/* image_area.c: resampling by area in exact integers. */
#include "data/image_area.h"

#include <string.h>

/* 65535 / 255: an 8-bit value times this is the same shade in 16 bits. */
enum { WHITE = 65535, SHADE = WHITE / 255 };

void image_area_begin(struct image_area *out, int width, int height) {
    memset(out, 0, sizeof *out);
    out->side = width < height ? width : height;
    out->left = (width - out->side) / 2;
    out->top = (height - out->side) / 2;
}

/* The first cell that pixel `place` of the square overlaps, along one axis. */
static int first_cell(int place, int side) {
    return IMAGE_SIDE * place / side;
}

/* The overlap of pixel and cell, in 1/32 pixel; 0 or negative: none. */
static int overlap(int place, int cell, int side) {
    int start = IMAGE_SIDE * place, end = start + IMAGE_SIDE;
    int cell_start = side * cell, cell_end = cell_start + side;
    return (end < cell_end ? end : cell_end) - (start > cell_start ? start : cell_start);
}

/* A row of the square, summed into its cells. */
struct row_sums {
    uint64_t color[IMAGE_CHANNELS][IMAGE_SIDE];
};

static int two_bytes(const uint8_t *bytes) {
    return bytes[0] << 8 | bytes[1];
}

static void add_pixel(struct row_sums *sums, const uint8_t *pixel, int column, int side) {
    uint64_t alpha = (uint64_t)two_bytes(pixel + 2 * IMAGE_CHANNELS), value[IMAGE_CHANNELS];
    for (int c = 0; c < IMAGE_CHANNELS; c++)
        value[c] = alpha * (uint64_t)two_bytes(pixel + 2 * c);
    for (int cell = first_cell(column, side); cell < IMAGE_SIDE; cell++) {
        int share = overlap(column, cell, side);
        if (share <= 0)
            return;
        for (int c = 0; c < IMAGE_CHANNELS; c++)
            sums->color[c][cell] += (uint64_t)share * value[c];
    }
}

static void add_row(struct image_area *area, const struct row_sums *sums, int row) {
    for (int cell = first_cell(row, area->side); cell < IMAGE_SIDE; cell++) {
        int share = overlap(row, cell, area->side);
        if (share <= 0)
            return;
        for (int c = 0; c < IMAGE_CHANNELS; c++)
            for (int i = 0; i < IMAGE_SIDE; i++)
                area->sums[c][cell][i] += (uint64_t)share * sums->color[c][i];
    }
}

void image_area_add(struct image_area *area, const uint8_t *pixels, int row, int first, int step,
                    int count) {
    if (row < area->top || row >= area->top + area->side)
        return;
    struct row_sums sums = {{{0}}};
    for (int i = 0; i < count; i++) {
        int column = first + i * step - area->left;
        if (column >= 0 && column < area->side)
            add_pixel(&sums, pixels + (size_t)i * AREA_PIXEL_BYTES, column, area->side);
    }
    add_row(area, &sums, row - area->top);
}

void image_area_finish(uint8_t out[IMAGE_BYTES], const struct image_area *area) {
    /* weights times full alpha times the 16-bit shade of 1 in 8 bits */
    uint64_t unit = (uint64_t)area->side * (uint64_t)area->side * WHITE * SHADE;
    const uint64_t *sums = &area->sums[0][0][0];
    for (int i = 0; i < IMAGE_BYTES; i++) {
        uint64_t whole = sums[i] / unit, rest = sums[i] % unit;
        out[i] = (uint8_t)(whole + (rest >= unit - rest)); /* adding half could overflow */
    }
}
