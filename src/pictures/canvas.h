/* canvas.h: draws lines, areas and text: a thin layer over cairo. Lengths are in points of the
 * picture at its intended size, and y points down. The file has CANVAS_SCALE pixels per point, so
 * that lines of width 1 at whole coordinates are crisp.
 *
 * Drawing calls do not report errors; canvas_write does so for all calls before it. */
#ifndef CANVAS_H
#define CANVAS_H

#include "error.h"
#include "image_format.h"
#include "pictures/pictures.h"

#include <stdbool.h>
#include <stdint.h>

enum { CANVAS_SCALE = 2 };

/* Colours as 0xRRGGBB. Those from orange to purple can be told apart with every kind of colour
 * vision (Okabe and Ito, "Color Universal Design", 2002); in grey, dashes, markers and texts tell
 * curves apart. */
enum {
    INK_BLACK = 0x000000,
    INK_ORANGE = 0xE69F00,
    INK_SKY = 0x56B4E9,
    INK_GREEN = 0x009E73,
    INK_YELLOW = 0xF0E442,
    INK_BLUE = 0x0072B2,
    INK_VERMILLION = 0xD55E00,
    INK_PURPLE = 0xCC79A7,
    INK_WHITE = 0xFFFFFF, /* the paper */
    INK_TEXT = 0x1A1A1A,
    INK_MUTED = 0x595959, /* contrast with the paper is still 7:1 */
    INK_FRAME = 0x8C8C8C,
    INK_GRID = 0xE3E3E3,
    INK_NONE = 0x1000000, /* as a fill: transparent */
};

/* Mixes a `share` (0 to 1) of `ink` with `other`. */
unsigned ink_mix(unsigned ink, unsigned other, double share);

struct point {
    double x, y;
};

struct box {
    double x, y, width, height;
};

struct canvas;

/* Opens a white sheet, sizes in points. Errors: STATUS_FAILED: no memory, or no font. */
enum status canvas_open(struct error *error, struct canvas **out, int width, int height);
void canvas_close(struct canvas *canvas);

/* Writes the sheet as a PNG file. Its tEXt chunks are Title ("HEADING: TITLE"), Dataset, Run,
 * Software and the settings of the caption. Errors: STATUS_FAILED: a drawing call had no memory, or
 * the file cannot be written. */
enum status canvas_write(struct error *error, struct canvas *canvas, const char *path,
                         const char *heading, const struct picture_caption *caption);

/* ---- lines and areas ------------------------------------------------------------------------- */

enum dash { DASH_NONE, DASH_LONG, DASH_SHORT };

struct stroke {
    unsigned ink;
    double width;
    enum dash dash;
};

void canvas_line(struct canvas *canvas, struct point from, struct point to,
                 const struct stroke *stroke);

/* A line through any number of points: canvas_join adds a point, canvas_stroke draws the line and
 * starts a new one. */
void canvas_join(struct canvas *canvas, struct point point);
void canvas_stroke(struct canvas *canvas, const struct stroke *stroke);

/* Fills the area enclosed by the points added so far, with `opacity` from 0 to 1, and starts a new
 * line. */
void canvas_fill(struct canvas *canvas, unsigned ink, double opacity);

/* A path through `count` points with rounded corners, and an arrow head at its end. */
void canvas_arrow(struct canvas *canvas, const struct point *points, int count,
                  const struct stroke *stroke);

/* A filled box, its corners rounded with `radius`, and a filled disc; framed unless `stroke` is
 * NULL. */
void canvas_box(struct canvas *canvas, const struct box *box, double radius, unsigned fill,
                const struct stroke *stroke);
void canvas_disc(struct canvas *canvas, struct point centre, double radius, unsigned fill,
                 const struct stroke *stroke);

enum marker { MARKER_DISC, MARKER_SQUARE, MARKER_DIAMOND };
void canvas_marker(struct canvas *canvas, struct point at, enum marker marker, unsigned ink);

/* An image in CIFAR-10's layout ([3][32][32]); each pixel is a sharp square of `side`. */
void canvas_image(struct canvas *canvas, struct point corner, double side, const uint8_t *image);

/* ---- text ------------------------------------------------------------------------------------ */

enum align { ALIGN_LEFT, ALIGN_CENTRE, ALIGN_RIGHT };

struct type {
    double size; /* of the font, in points */
    bool bold;
    unsigned ink;
    enum align align;
    double turn; /* rotation about `at`, in degrees, clockwise */
};

enum { ANY_WIDTH = 0 };

/* Prints a text with `at` on its baseline. A text wider than `room` is set smaller, by at most a
 * quarter, then cut with an ellipsis; ANY_WIDTH: no limit. */
void canvas_text(struct canvas *canvas, struct point at, double room, const struct type *type,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The width of a text at full size, in points. */
double canvas_text_width(struct canvas *canvas, const struct type *type, const char *text);

#endif
