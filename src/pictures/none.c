/* none.c: replaces all other files here in builds without cairo. Every function fails and says why,
 * and what to do. */
#include "pictures/pictures.h"

enum status pictures_ready(struct error *error) {
    return error_set(error, STATUS_FAILED,
                     "this program was built without cairo and cannot draw; run tools/setup (or "
                     "install libcairo2-dev, libpng-dev, pkg-config and fonts-dejavu-core), then "
                     "make again");
}

const char *pictures_cairo(void) {
    return NULL;
}

void pictures_release(void) {
} /* nothing is cached */

enum status curves_draw(struct error *error, const char *path,
                        const struct picture_caption *caption, const struct epoch_metrics *epochs,
                        int count) {
    (void)path, (void)caption, (void)epochs, (void)count;
    return pictures_ready(error);
}

enum status compare_draw(struct error *error, const char *path,
                         const struct picture_caption *caption, const struct norm_curve *accuracy,
                         const struct norm_curve *loss, int norm_count, int epochs) {
    (void)path, (void)caption, (void)accuracy, (void)loss, (void)norm_count, (void)epochs;
    return pictures_ready(error);
}

enum status sweep_draw(struct error *error, const char *path, const struct picture_caption *caption,
                       const struct norm_curve *norms, int norm_count, const int *batch_sizes,
                       int size_count) {
    (void)path, (void)caption, (void)norms, (void)norm_count, (void)batch_sizes, (void)size_count;
    return pictures_ready(error);
}

enum status confusion_draw(struct error *error, const char *path,
                           const struct picture_caption *caption, const struct answers *answers) {
    (void)path, (void)caption, (void)answers;
    return pictures_ready(error);
}

enum status misclassified_draw(struct error *error, int *pages, const char *path,
                               const struct picture_caption *caption, const struct answers *answers,
                               int wanted) {
    (void)path, (void)caption, (void)answers, (void)wanted;
    *pages = 0;
    return pictures_ready(error);
}

enum status network_draw(struct error *error, const char *path,
                         const struct picture_caption *caption, const struct network *network) {
    (void)path, (void)caption, (void)network;
    return pictures_ready(error);
}
