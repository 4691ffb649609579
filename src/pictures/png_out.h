/* png_out.h: writes pixels as a PNG file. */
#ifndef PNG_OUT_H
#define PNG_OUT_H

#include "error.h"
#include "pictures/pictures.h"

/* Pixels as in cairo's CAIRO_FORMAT_RGB24: 32 bits each, 0x00RRGGBB in the machine's byte order. */
struct pixels {
    int width, height;
    int stride; /* bytes from row to row */
    int scale;  /* pixels per point of the picture */
    const unsigned char *data;
};

/* Writes the file as described for canvas_write (canvas.h). Errors: STATUS_FAILED. */
enum status png_out(struct error *error, const char *path, const struct pixels *pixels,
                    const char *heading, const struct picture_caption *caption);

#endif
