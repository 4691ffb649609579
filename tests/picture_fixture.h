/* picture_fixture.h: what the tests of pictures share: a caption, and checks of every picture. On a
 * fault, every function here fails the running test. */
#ifndef PICTURE_FIXTURE_H
#define PICTURE_FIXTURE_H

#include "support.h"

#include "pictures/layout.h"
#include "pictures/pictures.h"
#include "png_file.h"

enum {
    SCALE = 2,
    /* Okabe and Ito's colours, as they published them */
    BLUE = 0x0072B2,
    VERMILLION = 0xD55E00,
    GREEN = 0x009E73,
    WHITE = 0xFFFFFF,
    BEST_LINE = 0x595959,
};

/* Of "group norm, recipe tuned" on CIFAR-10, run "runs/gn-tuned-1". */
extern const struct picture_caption caption;

/* A rectangle in points of the picture. */
struct area in_points(int x, int y, int width, int height);

/* Checks that nothing reaches the edge of the picture, where it would be cut off. */
void assert_margin_is_white(const struct png_file *file);

/* Reads a picture and checks its size (in points), margin, heading and texts. */
struct png_file read_picture(const char *path, int width, int height, const char *title);

/* The number of runs of the ink in a column of pixels, from `top` to before `bottom`. */
int runs_down(const struct png_file *file, int x, int top, int bottom, unsigned ink);

void assert_same_bytes(const char *a, const char *b);

/* A test with a fresh folder. */
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)

/* Runs a group of tests and releases the fonts; skips them if the program was built without cairo.
 * Returns the exit status. */
int run_with_pictures(const char *name, const struct CMUnitTest *tests, size_t count);

#endif
