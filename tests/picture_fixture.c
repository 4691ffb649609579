/* picture_fixture.c: a caption, and checks of every picture. */
#include "picture_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct picture_setting settings[] = {{"norm", "gn"},
                                                  {"seed", "1"},
                                                  {"out", "runs/gr\xC3\xBC\xC3\x9F"},
                                                  {"bad", "a\xFFz\n\x80"},
                                                  {"absent", ""}};

const struct picture_caption caption = {
    .title = "group norm, recipe tuned",
    .dataset = "CIFAR-10",
    .run = "runs/gn-tuned-1",
    .settings = settings,
    .setting_count = sizeof settings / sizeof settings[0],
};

struct area in_points(int x, int y, int width, int height) {
    return (struct area){x * SCALE, y * SCALE, width * SCALE, height * SCALE};
}

void assert_margin_is_white(const struct png_file *file) {
    enum { MARGIN = 6 };
    int width = file->width, height = file->height;
    assert_int_equal(png_file_inked(file, (struct area){0, 0, width, MARGIN}), 0);
    assert_int_equal(png_file_inked(file, (struct area){0, height - MARGIN, width, MARGIN}), 0);
    assert_int_equal(png_file_inked(file, (struct area){0, 0, MARGIN, height}), 0);
    assert_int_equal(png_file_inked(file, (struct area){width - MARGIN, 0, MARGIN, height}), 0);
}

struct png_file read_picture(const char *path, int width, int height, const char *title) {
    struct png_file file = png_file_read(path);
    assert_int_equal(file.width, width * SCALE);
    assert_int_equal(file.height, height * SCALE);
    assert_in_range(file.pixels_per_metre, 5668, 5671); /* 144 per inch */
    assert_false(file.has_time);
    assert_margin_is_white(&file);
    assert_true(png_file_inked(&file, in_points(32, 20, 400, 30)) > 1000);
    assert_string_equal(png_file_text(&file, "Title"), title);
    assert_string_equal(png_file_text(&file, "Dataset"), "CIFAR-10");
    assert_true(strncmp(png_file_text(&file, "Software"), "train_gpu ", 10) == 0);
    return file;
}

void assert_same_bytes(const char *a, const char *b) {
    FILE *file = fopen(a, "rb");
    assert_non_null(file);
    enum { CAPACITY = 4 << 20 };
    char *bytes = malloc(CAPACITY);
    assert_non_null(bytes);
    size_t size = fread(bytes, 1, CAPACITY, file);
    assert_in_range(size, 1, CAPACITY - 1);
    assert_file_holds(b, bytes, size);
    free(bytes);
    assert_int_equal(fclose(file), 0);
}

int runs_down(const struct png_file *file, int x, int top, int bottom, unsigned ink) {
    int runs = 0;
    for (int y = top + 1; y < bottom; y++)
        runs += png_file_pixel(file, x, y) == ink && png_file_pixel(file, x, y - 1) != ink;
    return runs;
}

static int release(void **state) {
    (void)state;
    pictures_release();
    return 0;
}

static void needs_cairo(void **state) {
    (void)state;
    skip_because("this program was built without cairo");
}

int run_with_pictures(const char *name, const struct CMUnitTest *tests, size_t count) {
    static const struct CMUnitTest without_cairo[] = {cmocka_unit_test(needs_cairo)};
    struct error error;
    if (pictures_cairo() == NULL)
        return _cmocka_run_group_tests(name, without_cairo, 1, NULL, NULL);
    if (pictures_ready(&error) == STATUS_OK)
        return _cmocka_run_group_tests(name, tests, count, NULL, release);
    fprintf(stderr, "%s\n", error.text);
    return 1;
}
