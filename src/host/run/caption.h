/* caption.h: the caption of a picture, which says where it comes from; whether pictures can be
 * drawn. */
#ifndef CAPTION_H
#define CAPTION_H

#include "base/files.h"
#include "error.h"
#include "pictures/pictures.h"
#include "run/run_settings.h"

#include <stdbool.h>

enum { MAX_CAPTION_SETTINGS = MAX_RUN_SETTINGS + 1 };

/* A caption and the memory that it points to: do not copy it. */
struct caption {
    struct picture_caption picture;
    char title[64];
    struct picture_setting settings[MAX_CAPTION_SETTINGS];
    char values[MAX_CAPTION_SETTINGS][PATH_CAPACITY];
};

/* Starts a caption; `format` gives its title. `run` is the folder of the run; "": none. `dataset`
 * and `run` must outlive the caption. */
void caption_begin(struct caption *out, const char *dataset, const char *run, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/* Adds a setting, at most MAX_CAPTION_SETTINGS in all; `key` must outlive the caption. */
void caption_add(struct caption *caption, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Whether this program can draw; if it cannot, prints a note that says why, unless `quiet`. */
bool caption_can_draw(bool quiet);

#endif
