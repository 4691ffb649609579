/* make_sheet: makes the inputs with which tests/test_fetch.sh tests tools/fetch-cifar10 and
 * tools/sheets_to_bin.
 *
 *     make_sheet records OUT.bin SEED
 *         10,000 invented records in CIFAR-10's binary format
 *     make_sheet sheet OUT.png WIDTH HEIGHT CHANNELS [IN.bin LEVEL]
 *         a PNG of zeros, or of the records of IN.bin; prints their labels, separated by commas
 *     make_sheet store OUT.gz
 *         stdin as a gzip file that is stored, not deflated: real images hardly shrink, and
 *         compressing them is slow
 *
 * It is the inverse of the converter and shares no code with it. Exit status 1: any failure. */

#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { IMAGES = 10000, PIXELS = 1024, PLANES = 3, RECORD = 1 + PLANES * PIXELS };

static void require(int condition, const char *what) {
    if (condition)
        return;
    fprintf(stderr, "make_sheet: %s\n", what);
    exit(1);
}

/* Every byte depends on its image, plane and pixel, so that a wrong order is noticed. */
static int write_records(const char *path, unsigned seed) {
    uint8_t record[RECORD];
    FILE *out = fopen(path, "wb");
    require(out != NULL, "cannot create the records");
    for (unsigned image = 0; image < IMAGES; image++) {
        record[0] = (uint8_t)((image + seed) * 7 % 10);
        for (unsigned plane = 0; plane < PLANES; plane++)
            for (unsigned pixel = 0; pixel < PIXELS; pixel++)
                record[1 + plane * PIXELS + pixel] =
                    (uint8_t)(seed * 101 + image * 31 + image / 256 + plane * 85 + pixel / 3);
        require(fwrite(record, RECORD, 1, out) == 1, "cannot write the records");
    }
    require(fclose(out) == 0, "cannot write the records");
    return 0;
}

/* One record as a row of RGB pixels; prints its label. */
static void read_row(uint8_t *row, FILE *in, unsigned image) {
    uint8_t record[RECORD];
    require(fread(record, RECORD, 1, in) == 1, "cannot read the records");
    printf("%s%d", image > 0 ? "," : "", record[0]);
    for (int plane = 0; plane < PLANES; plane++)
        for (int pixel = 0; pixel < PIXELS; pixel++)
            row[pixel * PLANES + plane] = record[1 + plane * PIXELS + pixel];
}

static void write_sheet(FILE *out, unsigned width, unsigned height, unsigned channels, FILE *in,
                        int level) {
    static const int types[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    uint8_t *row = calloc(width, channels);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    require(row && png, "out of memory");
    png_infop info = png_create_info_struct(png);
    require(info && setjmp(png_jmpbuf(png)) == 0, "libpng failed");
    png_init_io(png, out);
    png_set_compression_level(png, level);
    png_set_filter(png, 0, PNG_FILTER_NONE);
    png_set_IHDR(png, info, width, height, 8, types[channels], PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (unsigned image = 0; image < height; image++) {
        if (in)
            read_row(row, in, image);
        png_write_row(png, row);
    }
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(row);
}

static int make_sheet(int argc, char **argv) {
    require(argc == 6 || argc == 8, "wrong usage");
    unsigned width = (unsigned)atoi(argv[3]), height = (unsigned)atoi(argv[4]);
    unsigned channels = (unsigned)atoi(argv[5]);
    require(channels >= 1 && channels <= 4, "1 to 4 channels");
    require(argc == 6 || (width == PIXELS && channels == PLANES), "records are rows of 1024 RGB");
    FILE *in = argc == 8 ? fopen(argv[6], "rb") : NULL, *out = fopen(argv[2], "wb");
    require(out && (in || argc == 6), "cannot open the files");
    write_sheet(out, width, height, channels, in, in ? atoi(argv[7]) : 1);
    if (in)
        fclose(in);
    require(fclose(out) == 0, "cannot write the sheet");
    return 0;
}

static int store(const char *path) {
    static char block[1 << 16];
    size_t bytes;
    gzFile out = gzopen(path, "wb0");
    require(out != NULL, "cannot create the gzip file");
    while ((bytes = fread(block, 1, sizeof block, stdin)) > 0)
        require(gzwrite(out, block, (unsigned)bytes) == (int)bytes, "cannot write the gzip file");
    require(!ferror(stdin) && gzclose(out) == Z_OK, "cannot write the gzip file");
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "store") == 0)
        return store(argv[2]);
    if (argc == 4 && strcmp(argv[1], "records") == 0)
        return write_records(argv[2], (unsigned)atoi(argv[3]));
    require(argc > 1 && strcmp(argv[1], "sheet") == 0, "wrong usage");
    return make_sheet(argc, argv);
}
