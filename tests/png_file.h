/* png_file.h: a PNG file read back: its pixels, its texts, and its ink by place. On a fault, every
 * function here fails the running test. */
#ifndef PNG_FILE_H
#define PNG_FILE_H

#include <stdbool.h>
#include <stdint.h>

struct png_file {
    int width, height;
    int pixels_per_metre;
    bool has_time;
    int text_count;
    struct {
        char *key, *value;
        bool international; /* an iTXt chunk */
    } texts[64];
    uint8_t *pixels; /* [height][width][3] */
};

/* A rectangle of pixels. */
struct area {
    int x, y, width, height;
};

struct png_file png_file_read(const char *path);
void png_file_free(struct png_file *file);

/* The value of the text chunk with this key; NULL: there is none. */
const char *png_file_text(const struct png_file *file, const char *key);

/* 0xRRGGBB of a pixel. */
unsigned png_file_pixel(const struct png_file *file, int x, int y);

/* Pixels of exactly this ink in an area, which must lie within the picture. */
int png_file_count(const struct png_file *file, struct area area, unsigned ink);

/* Pixels that are not white. */
int png_file_inked(const struct png_file *file, struct area area);

#endif
