/* layout.h: sizes and positions in the pictures, for the code that draws them and the tests that
 * read them back. In points; a file has CANVAS_SCALE pixels per point (canvas.h). */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "image_format.h"

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

enum {
    SWEEP_WIDTH = 960,
    SWEEP_HEIGHT = 600,
    SWEEP_TOP = 144,
    SWEEP_PLOT_HEIGHT = 390, /* left edge and width as in the comparison */
};

enum {
    CONFUSION_WIDTH = 960,
    CONFUSION_LEFT = 150,
    CONFUSION_TOP = 152, /* of the cells */
    CONFUSION_CELL_WIDTH = 70,
    CONFUSION_CELL_HEIGHT = 44,
    CONFUSION_HEIGHT = CONFUSION_TOP + CLASS_COUNT * CONFUSION_CELL_HEIGHT + 72,
    CONFUSION_SLANT = 90, /* added to top and height if class names are too long to be level */
};

enum {
    MISTAKES_A_PAGE = 10,
    MISTAKES_COLUMNS = 5,
    MISTAKES_WIDTH = 960,
    MISTAKES_TOP = 112,   /* of the first row; the height of a page without mistakes */
    MISTAKES_ROW = 272,   /* height of a row with its text */
    MISTAKES_IMAGE = 160, /* side of an image */
};

enum { NETWORK_WIDTH = 790, NETWORK_BOX_LEFT = 100, NETWORK_BOX_WIDTH = 420 };

#endif
