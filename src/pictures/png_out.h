/* png_out.h: pixels into a PNG file. */
#ifndef PNG_OUT_H
#define PNG_OUT_H

#include "error.h"
#include "pictures/pictures.h"

/* As cairo keeps CAIRO_FORMAT_RGB24. */
struct pixels {
    int width, height;
    int stride; /* bytes from row to row */
    int scale;  /* pixels for each point of the picture */
    const unsigned char *data;
};

/* Writes the file (canvas.h, canvas_write). */
enum status png_out(struct error *error, const char *path, const struct pixels *pixels,
                    const char *heading, const struct picture_caption *caption);

#endif
