/* pictures.h: the pictures of a run and of a network, as PNG files: 8-bit RGB, twice the size that
 * they are meant to be seen at (pHYs says so), the run's settings in tEXt chunks (iTXt where a
 * value is not ASCII). The same input gives the same bytes, but for another version of cairo,
 * FreeType, libpng, zlib or the font.
 *
 * Every function writes the whole file or none (file_write) and fails where pictures_ready does.
 * The sizes and places beside the functions are in points, half of what the file has in pixels.
 * Texts that do not fit are set smaller, then cut with an ellipsis. */
#ifndef PICTURES_H
#define PICTURES_H

#include "data/answers.h"
#include "error.h"
#include "model/epoch_metrics.h"
#include "network/network.h"

/* What stands in every picture. No pointer may be NULL; UTF-8, bytes that are none become '?'. */
struct picture_setting {
    const char *key;   /* 1 to 79 printable ASCII characters, no blank at either end */
    const char *value; /* an empty one is left out; at most 2047 bytes are kept */
};

struct picture_caption {
    const char *title;   /* what was trained: "group norm, recipe tuned" */
    const char *dataset; /* "CIFAR-10" */
    const char *run;     /* "runs/gn-tuned-1"; "" where there is none */
    const struct picture_setting *settings;
    int setting_count;
};

/* Whether this program can draw. Errors: STATUS_FAILED with what to install: it was built without
 * cairo, or the font is missing. */
enum status pictures_ready(struct error *error);

/* The version of cairo, "1.16.0"; NULL: this program was built without it. */
const char *pictures_cairo(void);

/* Gives back what cairo and fontconfig keep for the next picture. For the end of the program: so a
 * leak checker sees our own leaks alone. */
void pictures_release(void);

/* Loss, accuracy and learning rate over the epochs, the epoch of the best test accuracy marked.
 * What is not finite is left out and counted beside the curve. `count` may be 0. */
enum {
    CURVES_WIDTH = 960,
    CURVES_HEIGHT = 830,
    CURVES_LEFT = 80,
    CURVES_PLOT_WIDTH = 660,
    CURVES_LOSS_TOP = 158,
    CURVES_LOSS_HEIGHT = 210,
    CURVES_ACCURACY_TOP = 412,
    CURVES_ACCURACY_HEIGHT = 210,
    CURVES_RATE_TOP = 666,
    CURVES_RATE_HEIGHT = 100,
};
enum status curves_draw(struct error *error, const char *path,
                        const struct picture_caption *caption, const struct epoch_metrics *epochs,
                        int count);

/* Of what the seeds of a norm gave at one place: their mean, the lowest and the highest, all
 * finite.
 */
struct band {
    double mean, low, high;
};

struct norm_curve {
    enum norm_kind norm;
    int seeds;
    const struct band *bands;
    const char *end; /* its last value for the legend: "84.96 +- 0.18 %" */
};

/* Test accuracy and loss of each norm over the epochs: the mean as a line, from the lowest to the
 * highest seed as a band. All arrays have norm_count elements (up to NORM_COUNT), all bands one for
 * each epoch. */
enum {
    COMPARE_WIDTH = 960,
    COMPARE_HEIGHT = 780,
    COMPARE_LEFT = 80,
    COMPARE_PLOT_WIDTH = 640,
    COMPARE_ACCURACY_TOP = 144,
    COMPARE_ACCURACY_HEIGHT = 300,
    COMPARE_LOSS_TOP = 494,
    COMPARE_LOSS_HEIGHT = 220,
};
enum status compare_draw(struct error *error, const char *path,
                         const struct picture_caption *caption, const struct norm_curve *accuracy,
                         const struct norm_curve *loss, int norm_count, int epochs);

/* The test error of each norm, in percent, over the batch sizes, of which the bands have one for
 * each; these rise. */
enum {
    SWEEP_WIDTH = 960,
    SWEEP_HEIGHT = 600,
    SWEEP_TOP = 144,
    SWEEP_PLOT_HEIGHT = 390, /* left and width are those of compare_draw */
};
enum status sweep_draw(struct error *error, const char *path, const struct picture_caption *caption,
                       const struct norm_curve *norms, int norm_count, const int *batch_sizes,
                       int size_count);

/* The confusion matrix: counts, and the accuracy of each class. */
enum {
    CONFUSION_WIDTH = 960,
    CONFUSION_LEFT = 150,
    CONFUSION_TOP = 152, /* of the cells */
    CONFUSION_CELL_WIDTH = 70,
    CONFUSION_CELL_HEIGHT = 44,
    CONFUSION_HEIGHT = CONFUSION_TOP + CLASS_COUNT * CONFUSION_CELL_HEIGHT + 72,
    CONFUSION_SLANT = 90, /* more of both where names of classes are too long to stand upright */
};
enum status confusion_draw(struct error *error, const char *path,
                           const struct picture_caption *caption, const struct answers *answers);

/* The `wanted` most confident mistakes, ten a page: "x/misclassified.png", as `path` says, then
 * "x/misclassified-2.png" and so on; the next pages of an older picture are removed. Without
 * mistakes the one page says so. *pages is the number of pages written; on failure those before the
 * fault stay. */
enum {
    MISTAKES_A_PAGE = 10,
    MISTAKES_COLUMNS = 5,
    MISTAKES_WIDTH = 960,
    MISTAKES_TOP = 112,   /* of the first row, and height of a page without any */
    MISTAKES_ROW = 272,   /* height of one, with its text */
    MISTAKES_IMAGE = 160, /* side of an image */
};
enum status misclassified_draw(struct error *error, int *pages, const char *path,
                               const struct picture_caption *caption, const struct answers *answers,
                               int wanted);

/* The layers from the image down to the classes, with the skips. */
enum { NETWORK_WIDTH = 790, NETWORK_BOX_LEFT = 100, NETWORK_BOX_WIDTH = 420 };
enum status network_draw(struct error *error, const char *path,
                         const struct picture_caption *caption, const struct network *network);

#endif
