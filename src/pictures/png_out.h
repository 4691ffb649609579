/* png_out.h: writes pixels as a PNG file. */
#ifndef PNG_OUT_H
#define PNG_OUT_H

#include "error.h"
#include "pictures/pictures.h"

/* In cairo's CAIRO_FORMAT_RGB24: 32 bits a pixel, 0x00RRGGBB in the machine's byte order. */
struct pixels {
    int width, height;
    int stride; /* bytes from row to row */
    int scale;  /* pixels for each point of the picture */
    const unsigned char *data;
};

/* Writes the file that canvas_write describes (canvas.h). */
enum status png_out(struct error *error, const char *path, const struct pixels *pixels,
                    const char *heading, const struct picture_caption *caption);

#endif
