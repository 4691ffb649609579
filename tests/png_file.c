/* png_file.c: PNG files read back with libpng. */
#include "png_file.h"

#include "support.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fault(png_structp png, png_const_charp reason) {
    (void)png;
    fail_msg("libpng: %s", reason);
    abort(); /* libpng must not continue; fail_msg does not return */
}

static void read_texts(struct png_file *out, png_structp png, png_infop info) {
    png_textp texts = NULL;
    png_get_text(png, info, &texts, &out->text_count);
    assert_in_range(out->text_count, 0, sizeof out->texts / sizeof out->texts[0]);
    for (int i = 0; i < out->text_count; i++) {
        out->texts[i].key = strdup(texts[i].key);
        out->texts[i].value = strdup(texts[i].text);
        out->texts[i].international = texts[i].compression == PNG_ITXT_COMPRESSION_NONE;
    }
}

static void read_pixels(struct png_file *out, png_structp png) {
    size_t row = (size_t)out->width * 3;
    out->pixels = malloc(row * (size_t)out->height);
    assert_non_null(out->pixels);
    for (int y = 0; y < out->height; y++)
        png_read_row(png, out->pixels + row * (size_t)y, NULL);
}

struct png_file png_file_read(const char *path) {
    struct png_file out = {0};
    FILE *stream = fopen(path, "rb");
    if (stream == NULL)
        fail_msg("%s does not exist", path);
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, fault, fault);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, stream);
    png_read_info(png, info);
    assert_int_equal(png_get_bit_depth(png, info), 8);
    assert_int_equal(png_get_color_type(png, info), PNG_COLOR_TYPE_RGB);
    out.width = (int)png_get_image_width(png, info);
    out.height = (int)png_get_image_height(png, info);
    out.pixels_per_metre = (int)png_get_pixels_per_meter(png, info);
    read_texts(&out, png, info);
    read_pixels(&out, png);
    png_read_end(png, info);
    out.has_time = png_get_valid(png, info, PNG_INFO_tIME) != 0;
    png_destroy_read_struct(&png, &info, NULL);
    assert_int_equal(fgetc(stream), EOF);
    assert_int_equal(fclose(stream), 0);
    return out;
}

void png_file_free(struct png_file *file) {
    for (int i = 0; i < file->text_count; i++) {
        free(file->texts[i].key);
        free(file->texts[i].value);
    }
    free(file->pixels);
}

const char *png_file_text(const struct png_file *file, const char *key) {
    for (int i = 0; i < file->text_count; i++)
        if (strcmp(file->texts[i].key, key) == 0)
            return file->texts[i].value;
    return NULL;
}

unsigned png_file_pixel(const struct png_file *file, int x, int y) {
    assert_in_range(x, 0, file->width - 1);
    assert_in_range(y, 0, file->height - 1);
    const uint8_t *pixel = file->pixels + ((size_t)y * (size_t)file->width + (size_t)x) * 3;
    return (unsigned)pixel[0] << 16 | (unsigned)pixel[1] << 8 | pixel[2];
}

int png_file_count(const struct png_file *file, struct area area, unsigned ink) {
    int count = 0;
    for (int y = area.y; y < area.y + area.height; y++)
        for (int x = area.x; x < area.x + area.width; x++)
            count += png_file_pixel(file, x, y) == ink;
    return count;
}

int png_file_inked(const struct png_file *file, struct area area) {
    return area.width * area.height - png_file_count(file, area, 0xFFFFFF);
}
