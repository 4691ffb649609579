/* plot.h: a panel with two axes: its grid, its texts, and the legends to its right. */
#ifndef PLOT_H
#define PLOT_H

#include "pictures/axes.h"
#include "pictures/canvas.h"

enum { PLOT_LEGEND_LINE = 34 }; /* height of a legend: a line, and a smaller one below */

struct plot {
    struct canvas *canvas;
    struct box area;
    int width; /* of the picture: the legends end before its right edge */
    struct axis across, up;
};

/* The look of a curve, which tells it from others in colour and in grey. */
struct curve_style {
    struct stroke stroke;
    enum marker marker;
};

/* The position of a value on the canvas, in points. */
double plot_x(const struct plot *plot, double value);
double plot_y(const struct plot *plot, double value);

/* Draws lines at the ticks of both axes, and the labels of the vertical axis. */
void plot_grid(const struct plot *plot);

/* Draws the title above the panel, on white, because a line may run there. */
void plot_title(const struct plot *plot, const char *title);

/* Draws the labels of the ticks and the name of the axis below the panel. `exponents`: tick n
 * stands for 2^n. */
void plot_across(const struct plot *plot, const char *name, bool exponents);

/* Moves the heights (y) of `count` legends apart, as little as possible, and into the panel. */
enum { PLOT_MAX_LEGENDS = 4 };
void plot_spread_legends(double *heights, int count, const struct plot *plot);

/* Draws a sample of the curve, `words` beside it, and `small` (or nothing, if NULL) below them. */
void plot_legend(const struct plot *plot, double height, const struct curve_style *style,
                 const char *words, const char *small);

#endif
