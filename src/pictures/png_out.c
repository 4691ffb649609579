/* png_out.c: writes pixels as a PNG file, with libpng, and the caption and settings as text chunks.
 * The file holds no time, so the same picture gives the same bytes. */
#include "pictures/png_out.h"

#include "base/files.h"
#include "base/text.h"
#include "base/version.h"
#include "memory.h"
#include "pictures/utf8.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OWN_TEXTS = 4, VALUE_CAPACITY = 2048, KEY_CAPACITY = 80 };

/* A text chunk; libpng copies it. */
struct text {
    char key[KEY_CAPACITY];
    char value[VALUE_CAPACITY];
};

/* A file being encoded in memory. On an error libpng exits by longjmp: what must survive that is
 * kept here, not in locals. */
struct writing {
    const char *path;
    const struct pixels *pixels;
    png_structp png;
    png_infop info;
    FILE *memory;
    char *bytes; /* contents of the stream, after it is closed */
    size_t count;
    struct text *texts;
    int text_count;
    uint8_t *row;     /* [width][3] */
    char reason[160]; /* libpng's */
};

/* ---- libpng's reports ------------------------------------------------------------------------ */

static void png_fault(png_structp png, png_const_charp reason) {
    struct writing *writing = png_get_error_ptr(png);
    snprintf(writing->reason, sizeof writing->reason, "%s", reason);
    png_longjmp(png, 1);
}

/* A warning (of an invalid key, say) means a bug in the caller, which must not go unnoticed. */
static void png_warned(png_structp png, png_const_charp reason) {
    png_fault(png, reason);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void set_text(struct text *text, const char *key, const char *value) {
    utf8_clean(text->key, sizeof text->key, key);
    utf8_clean(text->value, sizeof text->value, value);
}

static enum status collect_texts(struct error *error, struct writing *writing, const char *heading,
                                 const struct picture_caption *caption) {
    writing->text_count = OWN_TEXTS + caption->setting_count;
    if (memory_alloc(error, &writing->texts, (size_t)writing->text_count, sizeof(struct text),
                     "the texts of a picture") != STATUS_OK)
        return error->status;
    char title[VALUE_CAPACITY];
    snprintf(title, sizeof title, "%s: %s", heading, caption->title);
    set_text(&writing->texts[0], "Title", title);
    set_text(&writing->texts[1], "Dataset", caption->dataset);
    set_text(&writing->texts[2], "Run", caption->run);
    set_text(&writing->texts[3], "Software", PROGRAM_NAME " " PROGRAM_VERSION);
    for (int i = 0; i < caption->setting_count; i++)
        set_text(&writing->texts[OWN_TEXTS + i], caption->settings[i].key,
                 caption->settings[i].value);
    return STATUS_OK;
}

static enum status prepare(struct error *error, struct writing *writing) {
    if (memory_alloc(error, &writing->row, (size_t)writing->pixels->width, 3,
                     "a row of a picture") != STATUS_OK)
        return error->status;
    writing->memory = open_memstream(&writing->bytes, &writing->count);
    if (writing->memory == NULL)
        return error_set_errno(error, STATUS_FAILED, errno, "cannot make '%s'", writing->path);
    writing->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, writing, png_fault, png_warned);
    if (writing->png != NULL)
        writing->info = png_create_info_struct(writing->png);
    if (writing->info == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for '%s'", writing->path);
    return STATUS_OK;
}

static void put_header(struct writing *writing) {
    const struct pixels *pixels = writing->pixels;
    /* 72 points per inch: viewers that use it show the picture at its intended size. */
    png_uint_32 per_metre = (png_uint_32)(72 * pixels->scale / 0.0254 + 0.5);
    png_set_IHDR(writing->png, writing->info, (png_uint_32)pixels->width,
                 (png_uint_32)pixels->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_sRGB(writing->png, writing->info, PNG_sRGB_INTENT_PERCEPTUAL);
    png_set_pHYs(writing->png, writing->info, per_metre, per_metre, PNG_RESOLUTION_METER);
    for (int i = 0; i < writing->text_count; i++) {
        struct text *text = &writing->texts[i];
        if (text->value[0] == '\0')
            continue;
        png_text chunk = {
            .compression =
                text_is_ascii(text->value) ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE,
            .key = text->key,
            .text = text->value,
        };
        png_set_text(writing->png, writing->info, &chunk, 1);
    }
    png_write_info(writing->png, writing->info);
}

static void put_row(struct writing *writing, int y) {
    const unsigned char *from = writing->pixels->data + (size_t)y * (size_t)writing->pixels->stride;
    for (int x = 0; x < writing->pixels->width; x++) {
        uint32_t pixel; /* in the machine's byte order */
        memcpy(&pixel, from + (size_t)x * sizeof pixel, sizeof pixel);
        for (int i = 0; i < 3; i++)
            writing->row[3 * x + i] = (uint8_t)(pixel >> (16 - 8 * i));
    }
    png_write_row(writing->png, writing->row);
}

/* libpng does not say why a write failed; a write to memory fails only for lack of memory. */
static enum status encoding_failed(struct error *error, const struct writing *writing) {
    if (ferror(writing->memory) != 0)
        return error_set(error, STATUS_FAILED, "out of memory for '%s'", writing->path);
    return error_set(error, STATUS_FAILED, "cannot make '%s': libpng: %s", writing->path,
                     writing->reason);
}

/* Writes the whole file to the stream. */
static enum status encode(struct error *error, struct writing *writing) {
    if (setjmp(png_jmpbuf(writing->png)))
        return encoding_failed(error, writing);
    png_init_io(writing->png, writing->memory);
    png_set_filter(writing->png, PNG_FILTER_TYPE_BASE, PNG_FILTER_NONE); /* best for flat colours */
    put_header(writing);
    for (int y = 0; y < writing->pixels->height; y++)
        put_row(writing, y);
    png_write_end(writing->png, NULL);
    return STATUS_OK;
}

/* `bytes` and `count` are valid only after the stream is closed. */
static enum status close_stream(struct error *error, struct writing *writing) {
    FILE *memory = writing->memory;
    writing->memory = NULL;
    if (fclose(memory) != 0)
        return error_set_errno(error, STATUS_FAILED, errno, "cannot make '%s'", writing->path);
    return STATUS_OK;
}

static void release(struct writing *writing) {
    png_destroy_write_struct(&writing->png, &writing->info);
    if (writing->memory != NULL)
        fclose(writing->memory); /* already failed: nothing to check */
    free(writing->bytes);
    memory_free(writing->row);
    memory_free(writing->texts);
}

enum status png_out(struct error *error, const char *path, const struct pixels *pixels,
                    const char *heading, const struct picture_caption *caption) {
    struct writing writing = {.path = path, .pixels = pixels};
    enum status status = collect_texts(error, &writing, heading, caption);
    if (status == STATUS_OK)
        status = prepare(error, &writing);
    if (status == STATUS_OK)
        status = encode(error, &writing);
    if (status == STATUS_OK)
        status = close_stream(error, &writing);
    if (status == STATUS_OK)
        status = file_write(error, path, &(struct file_piece){writing.bytes, writing.count}, 1);
    release(&writing);
    return status;
}
