/* image.c: PNG files, row by row. libpng converts every kind of PNG to 16-bit red, green, blue and
 * alpha; image_area.c sums the pixels. An interlaced image comes as seven smaller ones
 * (https://www.w3.org/TR/png-3/#8InterlaceMethods); their rows are added where they belong, so the
 * whole image is never in memory. */
#include "data/image.h"

#include "base/file_read.h"
#include "data/image_area.h"
#include "data/image_orientation.h"
#include "memory.h"

#include <errno.h>
#include <inttypes.h>
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

/* The chunks that are kept, a palette of 768 bytes and EXIF data (usually below 64 KiB), are read
 * whole. All others are skipped. */
enum { SIGNATURE_BYTES = 8, MAX_CHUNK = 1 << 20, MAX_CACHED_CHUNKS = 1 };

/* A file being read. libpng exits by longjmp: what must survive that is kept here, not in
 * locals. */
struct reader {
    const char *path;
    struct file_reader file;
    struct error *error;
    bool told; /* the error already says why libpng must give up */
    png_structp png;
    png_infop info;
    unsigned char *row;
    struct image_area area;
    int orientation;
};

/* ---- the file -------------------------------------------------------------------------------- */

static enum status cut_short(struct reader *reader) {
    return error_set(reader->error, STATUS_BAD_DATA,
                     "image '%s' is cut short: it ends at byte %" PRIu64 "; copy it again",
                     reader->path, reader->file.done);
}

/* Refuses an empty file and one that is no PNG. */
static enum status check_signature(struct reader *reader) {
    unsigned char bytes[SIGNATURE_BYTES];
    size_t got;
    if (file_read_up_to(reader->error, bytes, &got, sizeof bytes, &reader->file) != STATUS_OK)
        return reader->error->status;
    if (got == 0)
        return error_set(reader->error, STATUS_BAD_DATA, "image '%s' is empty: 0 bytes",
                         reader->path);
    if (png_sig_cmp(bytes, 0, got) != 0)
        return error_set(reader->error, STATUS_BAD_DATA,
                         "image '%s' is not a PNG; convert it to one, for example with "
                         "ImageMagick: convert PICTURE PICTURE.png",
                         reader->path);
    return got < sizeof bytes ? cut_short(reader) : STATUS_OK;
}

/* ---- what libpng calls ----------------------------------------------------------------------- */

/* Reports libpng's `reason` why it cannot continue, unless our own is set already. Must not
 * return. */
static void on_error(png_structp png, png_const_charp reason) {
    struct reader *reader = png_get_error_ptr(png);
    if (!reader->told)
        error_set(reader->error, STATUS_BAD_DATA,
                  "image '%s' is damaged: libpng says '%.100s'; save it again", reader->path,
                  reason);
    png_longjmp(png, 1);
}

/* Warnings: the image can be read all the same. */
static void on_warning(png_structp png, png_const_charp reason) {
    (void)png, (void)reason;
}

static void on_read(png_structp png, png_bytep out, size_t bytes) {
    struct reader *reader = png_get_io_ptr(png);
    size_t got = 0;
    enum status status = file_read_up_to(reader->error, out, &got, bytes, &reader->file);
    if (status == STATUS_OK && got < bytes)
        status = cut_short(reader);
    if (status == STATUS_OK)
        return;
    reader->told = true;
    png_error(png, "");
}

static png_voidp on_alloc(png_structp png, png_alloc_size_t bytes) {
    struct reader *reader = png_get_mem_ptr(png);
    void *block;
    if (bytes > MAX_CHUNK) /* must be a chunk, as a row needs half of that; libpng skips it */
        return NULL;
    if (memory_alloc(reader->error, &block, 1, bytes, "reading an image") != STATUS_OK)
        reader->told = true;
    return block;
}

static void on_free(png_structp png, png_voidp block) {
    (void)png;
    memory_free(block);
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* Limits the cost of a file before anything is allocated that depends on its width. */
static enum status check_size(const struct reader *reader, uint32_t width, uint32_t height) {
    if (width <= IMAGE_MAX_SIDE && height <= IMAGE_MAX_SIDE &&
        (uint64_t)width * height <= IMAGE_MAX_PIXELS)
        return STATUS_OK;
    return error_set(reader->error, STATUS_BAD_DATA,
                     "image '%s' is too large: %" PRIu32 " x %" PRIu32
                     " pixels; at most %d per side and %d in total are supported: make it smaller",
                     reader->path, width, height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
}

static void set_limits(png_structp png) {
    static const png_byte exif[] = "eXIf";
    /* no limit on the size here: check_size has a better message */
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_chunk_malloc_max(png, MAX_CHUNK);
    png_set_chunk_cache_max(png, MAX_CACHED_CHUNKS);
    /* -1: skip all chunks that the pixels do not need, such as profiles and texts; but keep EXIF
     * data, which has the orientation */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_AS_DEFAULT, exif, 1);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
}

/* Every kind of PNG becomes AREA_PIXEL_BYTES bytes a pixel. */
static void set_conversions(png_structp png) {
    png_set_expand_16(png); /* palettes, 1 to 8 bits, transparent colors as alpha */
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, UINT16_MAX, PNG_FILLER_AFTER); /* opaque, if the image has no alpha */
}

static void add_row(struct reader *reader, int row, int first, int step, int count) {
    png_read_row(reader->png, reader->row, NULL);
    image_area_add(&reader->area, reader->row, row, first, step, count);
}

static void read_pass(struct reader *reader, int pass, int width, int height) {
    if (PNG_PASS_COLS(width, pass) == 0) /* the file has no rows for an empty pass */
        return;
    for (int i = 0; i < PNG_PASS_ROWS(height, pass); i++)
        add_row(reader, PNG_ROW_FROM_PASS_ROW(i, pass), PNG_PASS_START_COL(pass),
                PNG_PASS_COL_OFFSET(pass), PNG_PASS_COLS(width, pass));
}

static void read_pixels(struct reader *reader, int width, int height) {
    image_area_begin(&reader->area, width, height);
    if (png_get_interlace_type(reader->png, reader->info) == PNG_INTERLACE_NONE)
        for (int row = 0; row < height; row++)
            add_row(reader, row, 0, 1, width);
    else
        for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; pass++)
            read_pass(reader, pass, width, height);
    png_read_end(reader->png, reader->info); /* checks the rest of the file, too */
}

/* EXIF data may come before or after the pixels. */
static int read_orientation(const struct reader *reader) {
    png_uint_32 bytes;
    png_bytep exif;
    if (png_get_eXIf_1(reader->png, reader->info, &bytes, &exif) == 0)
        return 1;
    return exif_orientation(exif, bytes);
}

static enum status decode(struct reader *reader) {
    png_structp png = reader->png;
    png_set_read_fn(png, reader, on_read);
    png_set_sig_bytes(png, SIGNATURE_BYTES);
    set_limits(png);
    png_read_info(png, reader->info);
    uint32_t width = png_get_image_width(png, reader->info);
    uint32_t height = png_get_image_height(png, reader->info);
    if (check_size(reader, width, height) != STATUS_OK)
        return reader->error->status;
    set_conversions(png);
    png_read_update_info(png, reader->info);
    if (memory_alloc(reader->error, &reader->row, png_get_rowbytes(png, reader->info), 1,
                     "a row of an image") != STATUS_OK)
        return reader->error->status;
    read_pixels(reader, (int)width, (int)height);
    reader->orientation = read_orientation(reader);
    return STATUS_OK;
}

/* The only place that libpng jumps back to. No local variable changes after setjmp. */
static enum status decode_guarded(struct reader *reader) {
    if (setjmp(png_jmpbuf(reader->png)) != 0)
        return reader->error->status;
    return decode(reader);
}

static enum status read_png(struct reader *reader) {
    reader->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, reader, on_error, on_warning,
                                           reader, on_alloc, on_free);
    if (reader->png != NULL)
        reader->info = png_create_info_struct(reader->png);
    enum status status = STATUS_OK;
    if (reader->info != NULL)
        status = decode_guarded(reader);
    else if (reader->told)
        status = reader->error->status;
    else
        status = error_set(reader->error, STATUS_FAILED,
                           "libpng %s cannot be used: the program was built with version %s",
                           png_get_libpng_ver(NULL), PNG_LIBPNG_VER_STRING);
    png_destroy_read_struct(&reader->png, &reader->info, NULL);
    memory_free(reader->row);
    return status;
}

enum status image_read(struct error *error, uint8_t out[IMAGE_BYTES], const char *path) {
    struct reader reader = {.path = path, .error = error, .orientation = 1};
    if (file_open(error, &reader.file, path, "image") != STATUS_OK)
        return reader.file.reason == EISDIR || reader.file.reason == ENOTSUP
                   ? error_append(error, "; give PNG files")
                   : error->status;
    enum status status = check_signature(&reader);
    if (status == STATUS_OK)
        status = read_png(&reader);
    file_close(&reader.file);
    if (status == STATUS_OK) {
        image_area_finish(out, &reader.area);
        image_orient(out, reader.orientation);
    }
    return status;
}
