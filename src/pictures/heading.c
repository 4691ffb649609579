/* heading.c: the lines at the top of every picture. */
#include "pictures/heading.h"

void heading_draw(struct canvas *canvas, int width, const char *heading,
                  const struct picture_caption *caption, const char *facts) {
    static const struct type title = {.size = 20, .bold = true, .ink = INK_TEXT};
    static const struct type origin = {.size = 13, .ink = INK_MUTED};
    static const struct type fact = {.size = 13, .ink = INK_TEXT};
    const double left = PICTURE_MARGIN, room = width - 2 * PICTURE_MARGIN;
    canvas_text(canvas, (struct point){left, 42}, room, &title, "%s: %s", heading, caption->title);
    canvas_text(canvas, (struct point){left, 65}, room, &origin, "data set %s%s%s",
                caption->dataset, caption->run[0] == '\0' ? "" : ", run ", caption->run);
    canvas_text(canvas, (struct point){left, 86}, room, &fact, "%s", facts);
}
