/* pictures.h: pictures of training and of networks, as PNG files: 8-bit RGB at twice the intended
 * size (which pHYs gives), with the settings in tEXt chunks (iTXt if a value is not ASCII). The
 * same input gives the same bytes, as long as cairo, FreeType, libpng, zlib and the font stay the
 * same.
 *
 * Every function writes the whole file or nothing, and fails if pictures_ready fails. A text that
 * does not fit is set smaller, then cut with an ellipsis. */
#ifndef PICTURES_H
#define PICTURES_H

#include "data/answers.h"
#include "error.h"
#include "model/epoch_metrics.h"
#include "network/network.h"

/* Texts are UTF-8, and invalid bytes and control characters become '?'. No pointer may be NULL. */
struct picture_setting {
    const char *key;   /* 1 to 79 printable ASCII characters, no blank at either end */
    const char *value; /* left out if empty; cut to 2047 bytes */
};

/* What every picture says about where it comes from. */
struct picture_caption {
    const char *title;   /* "group norm, recipe tuned" */
    const char *dataset; /* "CIFAR-10" */
    const char *run;     /* "runs/gn-tuned-1"; "" if there is none */
    bool validation;     /* what is called `test` here is of images held out for validation */
    const struct picture_setting *settings;
    int setting_count;
};

/* Checks that this program can draw. Errors: STATUS_FAILED, saying what to install: it was built
 * without cairo, or the font is missing. */
enum status pictures_ready(struct error *error);

/* The version of cairo, "1.16.0"; NULL if this program was built without it. */
const char *pictures_cairo(void);

/* Releases the caches of cairo and fontconfig, so that a leak checker at the end of the program
 * reports only our own leaks. */
void pictures_release(void);

/* Loss, accuracy and learning rate over the epochs, with the epoch of the best test accuracy
 * marked. Values that are not finite are gaps, and their number is shown beside the curve. `count`
 * may be 0. */
enum status curves_draw(struct error *error, const char *path,
                        const struct picture_caption *caption, const struct epoch_metrics *epochs,
                        int count);

/* One value of a norm over its seeds; all three are finite. */
struct band {
    double mean, low, high;
};

struct norm_curve {
    enum norm_kind norm;
    int seeds;
    const struct band *bands;
    const char *end; /* its last value, for the legend: "84.96 +- 0.18 %" */
};

/* Test accuracy and loss of each norm over the epochs: the mean of the seeds as a line, in a band
 * from the lowest to the highest seed. `accuracy` and `loss` have norm_count elements (up to
 * NORM_COUNT), each with `epochs` bands. */
enum status compare_draw(struct error *error, const char *path,
                         const struct picture_caption *caption, const struct norm_curve *accuracy,
                         const struct norm_curve *loss, int norm_count, int epochs);

/* The test error of each norm, in percent, over the batch sizes, which are in rising order. Each
 * norm has size_count bands. */
enum status sweep_draw(struct error *error, const char *path, const struct picture_caption *caption,
                       const struct norm_curve *norms, int norm_count, const int *batch_sizes,
                       int size_count);

/* The confusion matrix: counts, and the accuracy of each class. */
enum status confusion_draw(struct error *error, const char *path,
                           const struct picture_caption *caption, const struct answers *answers);

/* The `wanted` most confident mistakes, ten per page: `path` is the first page,
 * "x/misclassified.png"; then come "x/misclassified-2.png" and so on. Removes further pages of an
 * older picture. Without mistakes, a single page says so. *pages is the number of pages written;
 * they stay after a failure on a later page. */
enum status misclassified_draw(struct error *error, int *pages, const char *path,
                               const struct picture_caption *caption, const struct answers *answers,
                               int wanted);

/* The layers of a network from the image to the class scores, with the skips. */
enum status network_draw(struct error *error, const char *path,
                         const struct picture_caption *caption, const struct network *network);

#endif
