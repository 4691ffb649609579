/* test_image.c: PNG files of every kind and size, against a mean over areas in double precision;
 * and files that are damaged, hostile or not PNG at all. */
#include "support.h"

#include "data/image.h"
#include "data/image_area.h"
#include "png_chunks.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <png.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MEBIBYTE = 1 << 20, PALETTE = 256 };

/* ---- pictures -------------------------------------------------------------------------------- */

/* The properties of a test picture. */
enum pattern { NOISE, GRADIENT, SOLID };

struct picture {
    int width, height, color, depth; /* color: PNG_COLOR_TYPE_... */
    bool interlaced, keyed;          /* keyed: with a tRNS chunk */
    enum pattern pattern;
    uint32_t seed;
};

static int channels_of(const struct picture *p) {
    return 1 + (p->color & PNG_COLOR_MASK_COLOR && p->color != PNG_COLOR_TYPE_PALETTE ? 2 : 0) +
           (p->color & PNG_COLOR_MASK_ALPHA ? 1 : 0);
}

static uint32_t mixed(uint32_t value) { /* lowbias32 of Wellons' hash-prospector */
    value = (value ^ value >> 16) * 0x7feb352du;
    value = (value ^ value >> 15) * 0x846ca68bu;
    return value ^ value >> 16;
}

/* The sample of channel c, from 0 to 2^depth - 1. */
static unsigned sample(const struct picture *p, int x, int y, int c) {
    unsigned most = (1u << p->depth) - 1, seed = p->seed + 7919u * (unsigned)c;
    switch (p->pattern) {
    case NOISE:
        return mixed(seed + (unsigned)(x + p->width * y) * 31u) & most;
    case GRADIENT:
        return (unsigned)((double)most * (x + (c + 1) * y) / (p->width + (c + 1) * p->height));
    case SOLID:
        return mixed(seed) & most;
    }
    return 0;
}

/* Entry i of the palette; the first half of the entries has an alpha of its own. */
static png_color palette_entry(int i) {
    uint32_t word = mixed((uint32_t)i + 5);
    return (png_color){(png_byte)word, (png_byte)(word >> 8), (png_byte)(word >> 16)};
}

static png_byte palette_alpha(int i, int entries) {
    return i < entries / 2 ? (png_byte)(mixed((uint32_t)i + 99) >> 3) : 255;
}

static int palette_entries(const struct picture *p) {
    return 1 << p->depth;
}

/* The transparent color: that of the pixel in the middle. */
static unsigned key(const struct picture *p, int c) {
    return sample(p, p->width / 2, p->height / 2, c);
}

/* Red, green and blue over black, from 0 to 1, as PNG defines the pixel. */
static void shade(double out[3], const struct picture *p, int x, int y) {
    int channels = channels_of(p);
    double alpha = 1, most = (1u << p->depth) - 1;
    bool transparent = p->keyed;
    for (int c = 0; c < 3; c++) {
        int from = channels < 3 ? 0 : c;
        out[c] = sample(p, x, y, from) / most;
        transparent = transparent && sample(p, x, y, from) == key(p, from);
    }
    if (p->color == PNG_COLOR_TYPE_PALETTE) {
        int entry = (int)sample(p, x, y, 0);
        png_color color = palette_entry(entry);
        out[0] = color.red / 255.0, out[1] = color.green / 255.0, out[2] = color.blue / 255.0;
        alpha = p->keyed ? palette_alpha(entry, palette_entries(p)) / 255.0 : 1;
    } else if (p->color & PNG_COLOR_MASK_ALPHA) {
        alpha = sample(p, x, y, channels - 1) / most;
    } else if (transparent) {
        alpha = 0;
    }
    for (int c = 0; c < 3; c++)
        out[c] *= alpha;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct buffer {
    uint8_t *bytes;
    size_t size, capacity;
};

static void append(png_structp png, png_bytep data, size_t size) {
    struct buffer *out = png_get_io_ptr(png);
    while (out->size + size > out->capacity) {
        out->capacity = 2 * out->capacity + 4096;
        out->bytes = realloc(out->bytes, out->capacity);
        assert_non_null(out->bytes);
    }
    memcpy(out->bytes + out->size, data, size);
    out->size += size;
}

static void no_flush(png_structp png) {
    (void)png;
}

static void put_palette(png_structp png, png_infop info, const struct picture *p) {
    png_color colors[PALETTE];
    png_byte alphas[PALETTE];
    int entries = palette_entries(p);
    for (int i = 0; i < entries; i++) {
        colors[i] = palette_entry(i);
        alphas[i] = palette_alpha(i, entries);
    }
    png_set_PLTE(png, info, colors, entries);
    if (p->keyed)
        png_set_tRNS(png, info, alphas, (entries + 1) / 2, NULL);
}

static void put_key(png_structp png, png_infop info, const struct picture *p) {
    int last = channels_of(p) - 1;
    png_color_16 color = {.gray = (png_uint_16)key(p, 0),
                          .red = (png_uint_16)key(p, 0),
                          .green = (png_uint_16)key(p, last < 2 ? 0 : 1),
                          .blue = (png_uint_16)key(p, last < 2 ? 0 : 2)};
    png_set_tRNS(png, info, NULL, 0, &color);
}

/* The samples of a row, one byte or two each. */
static void fill_row(uint8_t *row, const struct picture *p, int y) {
    int channels = channels_of(p);
    for (int x = 0; x < p->width; x++) {
        for (int c = 0; c < channels; c++) {
            unsigned value = sample(p, x, y, c);
            if (p->depth == 16)
                *row++ = (uint8_t)(value >> 8);
            *row++ = (uint8_t)value;
        }
    }
}

/* The picture as a PNG; free(bytes). A libpng that fails ends the program: the default. */
static struct buffer png_of(const struct picture *p) {
    struct buffer out = {0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    png_set_write_fn(png, &out, append, no_flush);
    png_set_IHDR(png, info, (png_uint_32)p->width, (png_uint_32)p->height, p->depth, p->color,
                 p->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (p->color == PNG_COLOR_TYPE_PALETTE)
        put_palette(png, info, p);
    else if (p->keyed)
        put_key(png, info, p);
    png_write_info(png, info);
    png_set_packing(png);
    uint8_t *row = malloc((size_t)p->width * 8);
    assert_non_null(row);
    int passes = png_set_interlace_handling(png);
    for (int pass = 0; pass < passes; pass++) {
        for (int y = 0; y < p->height; y++) {
            fill_row(row, p, y);
            png_write_row(png, row);
        }
    }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    free(row);
    return out;
}

/* ---- the expected image ---------------------------------------------------------------------- */

/* How much of [a, a + 1) lies in [from, to). */
static double common(double a, double from, double to) {
    double length = fmin(a + 1, to) - fmax(a, from);
    return length > 0 ? length : 0;
}

/* The mean of each cell of the centre square, [3][32][32], from 0 to 255. */
static void reference(double *out, const struct picture *p) {
    int side = p->width < p->height ? p->width : p->height;
    int left = (p->width - side) / 2, top = (p->height - side) / 2;
    double cell = side / 32.0;
    memset(out, 0, IMAGE_BYTES * sizeof *out);
    for (int row = 0; row < 32; row++) {
        for (int y = (int)(row * cell); y < side && y < (row + 1) * cell; y++) {
            double height = common(y, row * cell, (row + 1) * cell);
            for (int column = 0; column < 32; column++) {
                double *to = out + row * 32 + column;
                for (int x = (int)(column * cell); x < side && x < (column + 1) * cell; x++) {
                    double color[3], area = height * common(x, column * cell, (column + 1) * cell);
                    shade(color, p, left + x, top + y);
                    for (int c = 0; c < 3; c++)
                        to[c * 1024] += 255 * color[c] * area / (cell * cell);
                }
            }
        }
    }
}

static void read_ok(uint8_t out[IMAGE_BYTES], const char *path) {
    struct error error;
    int descriptor = lowest_free_descriptor();
    assert_succeeded(image_read(&error, out, path), &error);
    assert_int_equal(lowest_free_descriptor(), descriptor);
}

static void check_picture(const char *folder, const struct picture *p) {
    static double due[IMAGE_BYTES];
    uint8_t out[IMAGE_BYTES];
    const char *path = in_folder(folder, "picture.png");
    struct buffer png = png_of(p);
    file_put(path, png.bytes, png.size);
    free(png.bytes);
    read_ok(out, path);
    reference(due, p);
    for (int i = 0; i < IMAGE_BYTES; i++)
        if (!(fabs(out[i] - due[i]) <= 0.5 + 1e-9)) /* rounded to the nearest */
            fail_msg("%dx%d, color %d, depth %d, interlaced %d, keyed %d: byte %d is %d, not %.6f",
                     p->width, p->height, p->color, p->depth, p->interlaced, p->keyed, i, out[i],
                     due[i]);
}

/* ---- kinds and sizes ------------------------------------------------------------------------- */

static const struct {
    int color, depth;
} kinds[] = {
    {PNG_COLOR_TYPE_GRAY, 1},        {PNG_COLOR_TYPE_GRAY, 2},      {PNG_COLOR_TYPE_GRAY, 4},
    {PNG_COLOR_TYPE_GRAY, 8},        {PNG_COLOR_TYPE_GRAY, 16},     {PNG_COLOR_TYPE_GRAY_ALPHA, 8},
    {PNG_COLOR_TYPE_GRAY_ALPHA, 16}, {PNG_COLOR_TYPE_PALETTE, 1},   {PNG_COLOR_TYPE_PALETTE, 2},
    {PNG_COLOR_TYPE_PALETTE, 4},     {PNG_COLOR_TYPE_PALETTE, 8},   {PNG_COLOR_TYPE_RGB, 8},
    {PNG_COLOR_TYPE_RGB, 16},        {PNG_COLOR_TYPE_RGB_ALPHA, 8}, {PNG_COLOR_TYPE_RGB_ALPHA, 16},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* Every kind in one size: interlaced or not, with and without tRNS where that may be. */
static void check_kinds(const char *folder, int width, int height, enum pattern pattern) {
    for (int i = 0; i < KINDS; i++) {
        for (int form = 0; form < 4; form++) {
            struct picture p = {.width = width,
                                .height = height,
                                .color = kinds[i].color,
                                .depth = kinds[i].depth,
                                .interlaced = (form & 1) != 0,
                                .keyed = (form & 2) != 0,
                                .pattern = pattern,
                                .seed = (uint32_t)(width + 1000 * i)};
            if (p.keyed && (p.color & PNG_COLOR_MASK_ALPHA) != 0)
                continue; /* has its own alpha: no tRNS */
            check_picture(folder, &p);
        }
    }
}

static void all_kinds(void **state) {
    static const int sizes[][2] = {{1, 1},   {2, 1},    {1, 7},   {5, 4},   {31, 33}, {32, 32},
                                   {33, 32}, {100, 37}, {64, 64}, {3, 500}, {500, 3}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check_kinds(*state, sizes[i][0], sizes[i][1], NOISE);
}

static void gradients(void **state) {
    check_kinds(*state, 37, 100, GRADIENT);
    check_kinds(*state, 211, 200, GRADIENT);
}

static void large(void **state) {
    struct picture p = {2000, 1500, PNG_COLOR_TYPE_RGB, 8, false, false, NOISE, 3};
    check_picture(*state, &p);
    p.interlaced = true;
    check_picture(*state, &p);
    p.color = PNG_COLOR_TYPE_RGB_ALPHA, p.depth = 16, p.pattern = GRADIENT;
    check_picture(*state, &p);
}

/* Every side up to 100 and some beyond: a picture of one color becomes an image of that color. */
static void solid_colors(void **state) {
    const char *path = in_folder(*state, "solid.png");
    uint8_t out[IMAGE_BYTES];
    for (int side = 1; side < 800; side += side < 100 ? 1 : 97) {
        struct picture p = {side, side, PNG_COLOR_TYPE_RGB, 8, false, false, SOLID, (uint32_t)side};
        struct buffer png = png_of(&p);
        file_put(path, png.bytes, png.size);
        free(png.bytes);
        read_ok(out, path);
        for (int i = 0; i < IMAGE_BYTES; i++)
            assert_int_equal(out[i], sample(&p, 0, 0, i / IMAGE_PIXELS));
    }
}

/* The data sets' images are 32x32 of 8 bits: they must be read unchanged. */
static void same_size_is_unchanged(void **state) {
    const char *path = in_folder(*state, "same.png");
    struct picture p = {32, 32, PNG_COLOR_TYPE_RGB, 8, false, false, NOISE, 77};
    uint8_t out[IMAGE_BYTES];
    struct buffer png = png_of(&p);
    file_put(path, png.bytes, png.size);
    free(png.bytes);
    read_ok(out, path);
    for (int i = 0; i < IMAGE_BYTES; i++)
        assert_int_equal(out[i], sample(&p, i % 32, i / 32 % 32, i / IMAGE_PIXELS));
}

/* ---- the sums alone -------------------------------------------------------------------------- */

/* A row of the largest square: every cell gets exactly its share of white. */
static void largest_square(void **state) {
    (void)state;
    static struct image_area area;
    const uint64_t white = UINT64_C(65535) * 65535, side = IMAGE_MAX_SIDE;
    uint8_t *row = malloc((size_t)IMAGE_MAX_SIDE * AREA_PIXEL_BYTES), out[IMAGE_BYTES];
    assert_non_null(row);
    memset(row, 0xff, (size_t)IMAGE_MAX_SIDE * AREA_PIXEL_BYTES);
    image_area_begin(&area, IMAGE_MAX_SIDE, IMAGE_MAX_SIDE);
    image_area_add(&area, row, 0, 0, 1, IMAGE_MAX_SIDE);
    image_area_add(&area, row, IMAGE_MAX_SIDE - 1, 0, 1, IMAGE_MAX_SIDE);
    free(row);
    for (int cell = 0; cell < IMAGE_SIDE; cell++) {
        assert_true(area.sums[0][0][cell] == 32 * side * white);
        assert_true(area.sums[1][1][cell] == 0);
        assert_true(area.sums[2][31][cell] == 32 * side * white);
    }
    for (int i = 0; i < IMAGE_BYTES; i++) /* all rows white: the largest sum there can be */
        (&area.sums[0][0][0])[i] = side * side * white;
    image_area_finish(out, &area);
    for (int i = 0; i < IMAGE_BYTES; i++)
        assert_int_equal(out[i], 255);
}

/* Halves round up; anything less rounds down. */
static void rounding(void **state) {
    (void)state;
    static struct image_area area;
    uint8_t out[IMAGE_BYTES];
    image_area_begin(&area, 2, 2);
    uint64_t one = UINT64_C(4) * 65535 * 257;
    area.sums[0][0][0] = 7 * one + one / 2;
    area.sums[0][0][1] = 7 * one + one / 2 - 1;
    area.sums[0][0][2] = 254 * one + one / 2;
    image_area_finish(out, &area);
    assert_int_equal(out[0], 8);
    assert_int_equal(out[1], 7);
    assert_int_equal(out[2], 255);
    assert_int_equal(out[3], 0);
}

/* ---- files that are refused ------------------------------------------------------------------ */

static int reads, failing_read, read_reason; /* the call that fails, from 1; 0: none */
static int allocations, failing_allocation;
static size_t allocated; /* bytes asked for since it was set to 0 */

ssize_t read(int file, void *out, size_t bytes) {
    if (++reads == failing_read) {
        errno = read_reason;
        return -1;
    }
    return syscall(SYS_read, file, out, bytes);
}

/* The reader's memory comes from here, libpng's and zlib's too. */
void *aligned_alloc(size_t alignment, size_t bytes) {
    void *block = NULL;
    allocated += bytes;
    if (++allocations == failing_allocation || posix_memalign(&block, alignment, bytes) != 0)
        return NULL;
    return block;
}

static enum status read_bad(struct error *error, const char *path) {
    uint8_t out[IMAGE_BYTES];
    int descriptor = lowest_free_descriptor();
    memset(error, 0, sizeof *error);
    enum status status = image_read(error, out, path);
    assert_int_equal(lowest_free_descriptor(), descriptor);
    return status;
}

#define REFUSED(path, ...)                                                                         \
    do {                                                                                           \
        struct error error_;                                                                       \
        FAILED(read_bad(&error_, path), STATUS_BAD_DATA, &error_, path, __VA_ARGS__);              \
    } while (0)

static void no_image(void **state) {
    const char *path = in_folder(*state, "no.png");
    REFUSED(path, "no image");
    assert_int_equal(mkdir(path, 0777), 0);
    REFUSED(path, "is a folder");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0666), 0);
    REFUSED(path, "device or pipe");
    assert_int_equal(unlink(path), 0);
    file_put(path, "", 0);
    REFUSED(path, "empty");
    file_put(path, "\xff\xd8\xff\xe0 a JPEG", 12);
    REFUSED(path, "not a PNG", "convert");
    file_put(path, "x", 1);
    REFUSED(path, "not a PNG");
}

static void no_rights(void **state) {
    const char *path = in_folder(*state, "secret.png");
    file_put(path, "x", 1);
    assert_int_equal(chmod(path, 0), 0);
    become_ordinary();
    struct error error;
    enum status status = read_bad(&error, path);
    become_self();
    FAILED(status, STATUS_BAD_DATA, &error, path, "cannot open", strerror(EACCES));
}

static struct buffer example(void) {
    struct picture p = {9, 7, PNG_COLOR_TYPE_PALETTE, 4, true, true, NOISE, 1};
    return png_of(&p);
}

static void every_cut(void **state) {
    const char *path = in_folder(*state, "cut.png");
    struct buffer png = example();
    for (size_t cut = 1; cut < png.size; cut++) {
        file_put(path, png.bytes, cut);
        REFUSED(path, "cut short", "copy it again");
    }
    file_put(path, png.bytes, png.size);
    uint8_t out[IMAGE_BYTES];
    read_ok(out, path);
    free(png.bytes);
}

/* A flipped bit is detected, by the checksums or before them. */
static void every_bit(void **state) {
    const char *path = in_folder(*state, "bit.png");
    struct buffer png = example();
    file_put(path, png.bytes, png.size);
    for (size_t bit = 0; bit < 8 * png.size; bit++) {
        uint8_t flipped = png.bytes[bit / 8] ^ (uint8_t)(1u << bit % 8);
        file_poke(path, bit / 8, &flipped, 1);
        REFUSED(path, "image");
        file_poke(path, bit / 8, &png.bytes[bit / 8], 1);
    }
    free(png.bytes);
}

/* With corrected checksums, a change gives another image or a refusal, never anything else. */
static void random_bytes(void **state) {
    enum { FILES = 2000 };
    const char *path = in_folder(*state, "random.png");
    int counts[2] = {0};
    for (uint32_t i = 0; i < FILES; i++) {
        struct picture p = {1 + (int)(i % 12),
                            1 + (int)(i % 7),
                            kinds[i % KINDS].color,
                            kinds[i % KINDS].depth,
                            i % 2 == 0,
                            false,
                            NOISE,
                            i};
        struct buffer png = png_of(&p);
        for (uint32_t k = 0; k < 1 + i % 3; k++) {
            uint32_t word = mixed(3 * i + k);
            png.bytes[8 + word % (png.size - 8)] = (uint8_t)(word >> 24);
        }
        png_mend_checksums(png.bytes, png.size);
        file_put(path, png.bytes, png.size);
        free(png.bytes);
        struct error error;
        enum status status = read_bad(&error, path);
        if (status != STATUS_OK)
            FAILED(status, STATUS_BAD_DATA, &error, path);
        counts[status == STATUS_OK]++;
    }
    assert_true(counts[0] > 100 && counts[1] > 100);
}

/* ---- files that ask for too much ------------------------------------------------------------- */

/* A PNG of the given size whose other chunks are `more`. */
static void put_header(const char *path, uint32_t width, uint32_t height, const void *more,
                       size_t size) {
    static const uint8_t signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    uint8_t *file = malloc(64 + size), *to = file;
    assert_non_null(file);
    uint8_t header[13] = {(uint8_t)(width >> 24),
                          (uint8_t)(width >> 16),
                          (uint8_t)(width >> 8),
                          (uint8_t)width,
                          (uint8_t)(height >> 24),
                          (uint8_t)(height >> 16),
                          (uint8_t)(height >> 8),
                          (uint8_t)height,
                          8,
                          2};
    memcpy(to, signature, sizeof signature);
    to += sizeof signature;
    to += png_chunk_put(to, "IHDR", header, sizeof header);
    if (size > 0)
        memcpy(to, more, size);
    file_put(path, file, (size_t)(to - file) + size);
    free(file);
}

static void too_large(void **state) {
    const char *path = in_folder(*state, "large.png");
    uint8_t data[64];
    size_t size = png_chunk_put(data, "IDAT", "x", 1);
    size += png_chunk_put(data + size, "IEND", NULL, 0);
    allocated = 0;
    put_header(path, 65535, 65535, data, size);
    REFUSED(path, "too large", "65535 x 65535", "134217728");
    put_header(path, 65536, 1, data, size);
    REFUSED(path, "too large", "65536 x 1 ");
    put_header(path, 1, INT32_MAX, data, size);
    REFUSED(path, "too large");
    put_header(path, INT32_MAX, INT32_MAX, data, size);
    REFUSED(path, "image"); /* libpng may refuse it first */
    put_header(path, 0, 1, data, size);
    REFUSED(path, "damaged", "IHDR");
    put_header(path, 65535, 2049, data, size);
    REFUSED(path, "too large");
    assert_true(allocated < MEBIBYTE);
    put_header(path, 65535, 2048, data, size); /* within the limits, but no image in it */
    REFUSED(path, "damaged");
    assert_true(allocated < 4 * MEBIBYTE);
}

/* 120 million pixels in a few kB cost one row of memory, interlaced or not. */
static void little_that_is_much(void **state) {
    const char *path = in_folder(*state, "much.png");
    uint8_t out[IMAGE_BYTES];
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        struct picture p = {60000, 2000, PNG_COLOR_TYPE_GRAY, 1, interlaced, false, SOLID, 4};
        if (interlaced) /* so that the test is quick */
            p.height = 200;
        struct buffer png = png_of(&p);
        assert_true(png.size < 100000);
        file_put(path, png.bytes, png.size);
        free(png.bytes);
        allocated = 0;
        read_ok(out, path);
        assert_true(allocated > 60000 * AREA_PIXEL_BYTES && allocated < 4 * MEBIBYTE);
        assert_int_equal(out[0], 255 * sample(&p, 0, 0, 0));
    }
}

/* Texts and profiles are skipped, however large they are or become: the image is read. */
static void other_chunks(void **state) {
    enum { LARGE = 8 << 20 };
    const char *path = in_folder(*state, "text.png");
    static const char *const types[] = {"tEXt", "zTXt", "iTXt", "iCCP", "eXIf", "sPLT", "abCd"};
    struct picture p = {4, 4, PNG_COLOR_TYPE_RGB, 8, false, false, SOLID, 4};
    struct buffer png = png_of(&p);
    enum { HEAD = 8 + 13 + PNG_CHUNK_EXTRA };
    uint8_t *text = calloc(1, LARGE), *file = malloc(png.size + LARGE + PNG_CHUNK_EXTRA);
    assert_true(text != NULL && file != NULL);
    memcpy(text, "a text", 6);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        uint8_t out[IMAGE_BYTES];
        memcpy(file, png.bytes, HEAD);
        size_t size = HEAD + png_chunk_put(file + HEAD, types[i], text, LARGE);
        memcpy(file + size, png.bytes + HEAD, png.size - HEAD);
        file_put(path, file, size + png.size - HEAD);
        allocated = 0;
        read_ok(out, path);
        assert_int_equal(out[0], sample(&p, 0, 0, 0));
        assert_true(allocated < MEBIBYTE);
    }
    png_chunk_put(file + HEAD, "ABCD", text, 1); /* a capital letter: no reader may skip it */
    file_put(path, file, HEAD + PNG_CHUNK_EXTRA + 1);
    REFUSED(path, "damaged", "ABCD");
    free(png.bytes);
    free(text);
    free(file);
}

/* ---- EXIF orientation ------------------------------------------------------------------------ */

enum { EXIF_CAPACITY = 64 };

/* EXIF data whose second entry is the orientation; returns its size. */
static size_t exif_of(uint8_t out[EXIF_CAPACITY], unsigned orientation, bool big_endian) {
    const struct {
        unsigned value;
        int bytes;
    } fields[] = {{42, 2},    {10, 4}, /* the place of the directory */
                  {0, 2},     {2, 2},  /* entries: the width and the orientation */
                  {0x100, 2}, {4, 2},  {1, 4},           {77, 4}, {0x112, 2},
                  {3, 2},     {1, 4},  {orientation, 2}, {0, 2},  {0, 4}};
    size_t size = 2;
    memcpy(out, big_endian ? "MM" : "II", 2);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        for (int k = 0; k < fields[i].bytes; k++) {
            int shift = 8 * (big_endian ? fields[i].bytes - 1 - k : k);
            out[size++] = (uint8_t)(fields[i].value >> shift);
        }
    return size;
}

/* Puts the PNG with an eXIf chunk before or after the pixels. */
static void put_with_exif(const char *path, const struct buffer *png, const void *exif,
                          size_t bytes, bool after) {
    enum { HEAD = 8 + 13 + PNG_CHUNK_EXTRA };
    uint8_t *file = malloc(png->size + bytes + PNG_CHUNK_EXTRA);
    size_t place = after ? png->size - PNG_CHUNK_EXTRA : HEAD;
    assert_non_null(file);
    memcpy(file, png->bytes, place);
    size_t chunk = png_chunk_put(file + place, "eXIf", exif, bytes);
    memcpy(file + place + chunk, png->bytes + place, png->size - place);
    file_put(path, file, png->size + chunk);
    free(file);
}

/* Mirrors left and right, mirrors top and bottom, or exchanges rows and columns. */
static void change(uint8_t image[IMAGE_BYTES], char what) {
    uint8_t from[IMAGE_BYTES];
    memcpy(from, image, sizeof from);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < 32; y++)
            for (int x = 0; x < 32; x++) {
                int from_y = what == 'v' ? 31 - y : what == 't' ? x : y;
                int from_x = what == 'h' ? 31 - x : what == 't' ? y : x;
                image[1024 * c + 32 * y + x] = from[1024 * c + 32 * from_y + from_x];
            }
}

/* The transformation that makes each orientation upright: for 6, a turn to the right. */
static const char *const changes[] = {"", "", "h", "hv", "v", "t", "th", "thv", "tv"};

static void orientations(void **state) {
    const char *path = in_folder(*state, "camera.png");
    const int widths[] = {32, 48, 32}, heights[] = {32, 32, 100};
    for (int i = 0; i < 3 * 9 * 4; i++) {
        struct picture p = {
            widths[i % 3], heights[i % 3], PNG_COLOR_TYPE_RGB, 8, i % 4 == 3, false, NOISE, 5};
        int orientation = i / 3 % 9; /* 0 is none */
        uint8_t exif[EXIF_CAPACITY], due[IMAGE_BYTES], out[IMAGE_BYTES];
        struct buffer png = png_of(&p);
        file_put(path, png.bytes, png.size);
        read_ok(due, path);
        for (const char *what = changes[orientation]; *what != '\0'; what++)
            change(due, *what);
        size_t bytes = exif_of(exif, (unsigned)orientation, i / 27 % 2 == 0);
        put_with_exif(path, &png, exif, bytes, i / 27 / 2 == 1);
        read_ok(out, path);
        assert_memory_equal(out, due, IMAGE_BYTES);
        free(png.bytes);
    }
}

/* EXIF data cut or changed anywhere leaves the image as it is, or turns it. */
static void damaged_exif(void **state) {
    const char *path = in_folder(*state, "camera.png");
    struct picture p = {32, 32, PNG_COLOR_TYPE_RGB, 8, false, false, NOISE, 6};
    struct buffer png = png_of(&p);
    uint8_t right[EXIF_CAPACITY], plain[IMAGE_BYTES], turned[IMAGE_BYTES], out[IMAGE_BYTES];
    size_t bytes = exif_of(right, 6, false);
    file_put(path, png.bytes, png.size);
    read_ok(plain, path);
    memcpy(turned, plain, sizeof turned);
    change(turned, 't');
    change(turned, 'h');
    for (size_t cut = 0; cut < bytes; cut++) {
        put_with_exif(path, &png, right, cut, false);
        read_ok(out, path);
        assert_memory_equal(out, cut < bytes - 4 ? plain : turned, IMAGE_BYTES);
    }
    static const struct {
        size_t place;
        uint8_t byte;
    } damage[] = {{0, 'X'},   {2, 43}, {4, 200}, {7, 255}, {10, 0},
                  {24, 0x13}, {26, 4}, {32, 9},  {33, 1}};
    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        uint8_t exif[EXIF_CAPACITY];
        memcpy(exif, right, sizeof exif);
        exif[damage[i].place] = damage[i].byte;
        put_with_exif(path, &png, exif, bytes, false);
        read_ok(out, path);
        assert_memory_equal(out, plain, IMAGE_BYTES);
    }
    free(png.bytes);
}

/* ---- calls that fail ------------------------------------------------------------------------- */

static void failing_reads(void **state) {
    struct error error;
    const char *path = in_folder(*state, "file.png");
    struct buffer png = example();
    file_put(path, png.bytes, png.size);
    free(png.bytes);
    uint8_t out[IMAGE_BYTES];
    reads = 0;
    read_ok(out, path);
    int needed = reads;
    assert_true(needed > 5);
    for (failing_read = 1; failing_read <= needed; failing_read++) {
        reads = 0, read_reason = EIO;
        FAILED(read_bad(&error, path), STATUS_BAD_DATA, &error, path, "cannot read", strerror(EIO));
        reads = 0, read_reason = EINTR;
        read_ok(out, path);
    }
    failing_read = 0;
}

static void no_memory(void **state) {
    struct error error;
    const char *path = in_folder(*state, "file.png");
    struct buffer png = example();
    file_put(path, png.bytes, png.size);
    free(png.bytes);
    enum status status = STATUS_FAILED;
    for (failing_allocation = 1; status != STATUS_OK; failing_allocation++) {
        allocations = 0;
        status = read_bad(&error, path);
        if (status != STATUS_OK)
            FAILED(status, STATUS_FAILED, &error, "out of memory");
    }
    assert_true(failing_allocation > 5);
    failing_allocation = 0;
}

int main(void) {
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(all_kinds),
        IN_FOLDER(gradients),
        IN_FOLDER(large),
        IN_FOLDER(solid_colors),
        cmocka_unit_test(largest_square),
        IN_FOLDER(orientations),
        IN_FOLDER(damaged_exif),
        cmocka_unit_test(rounding),
        IN_FOLDER(same_size_is_unchanged),
        IN_FOLDER(no_image),
        IN_FOLDER(no_rights),
        IN_FOLDER(every_cut),
        IN_FOLDER(every_bit),
        IN_FOLDER(random_bytes),
        IN_FOLDER(too_large),
        IN_FOLDER(little_that_is_much),
        IN_FOLDER(other_chunks),
        IN_FOLDER(failing_reads),
        IN_FOLDER(no_memory),
    };
    return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
