/* heading.h: the lines at the top of every picture. */
#ifndef HEADING_H
#define HEADING_H

#include "pictures/canvas.h"

enum { PICTURE_MARGIN = 32 };

/* Draws three lines: "HEADING: TITLE"; data set and run; `facts`. They use the width of the picture
 * between its margins, and its upper 100 points. */
void heading_draw(struct canvas *canvas, int width, const char *heading,
                  const struct picture_caption *caption, const char *facts);

#endif
