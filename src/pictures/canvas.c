/* canvas.c: lines, areas and text on a cairo image surface; png_out.c writes the file. */
#include "pictures/canvas.h"

#include "memory.h"
#include "pictures/png_out.h"
#include "pictures/utf8.h"

#include <cairo-ft.h>
#include <cairo.h>
#include <fontconfig/fontconfig.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char font_family[] = "DejaVu Sans";

enum { REGULAR, BOLD, FACES };

struct canvas {
    int width, height; /* in points */
    cairo_surface_t *surface;
    cairo_t *cairo;
    cairo_font_face_t *faces[FACES];
};

/* ---- fonts ----------------------------------------------------------------------------------- */

static enum status font_missing(struct error *error) {
    return error_set(error, STATUS_FAILED,
                     "fontconfig does not find the font %s; run tools/setup, or install "
                     "fonts-dejavu-core",
                     font_family);
}

/* Makes the face from the font's file alone, because the user's fontconfig settings for hinting and
 * smoothing would make the picture depend on the machine. */
static enum status face_of_match(struct error *error, cairo_font_face_t **out,
                                 const FcPattern *match) {
    FcChar8 *family, *file;
    int index;
    if (FcPatternGetString(match, FC_FAMILY, 0, &family) != FcResultMatch ||
        strcmp((const char *)family, font_family) != 0 ||
        FcPatternGetString(match, FC_FILE, 0, &file) != FcResultMatch ||
        FcPatternGetInteger(match, FC_INDEX, 0, &index) != FcResultMatch)
        return font_missing(error);
    FcPattern *alone = FcPatternBuild(NULL, FC_FILE, FcTypeString, file, FC_INDEX, FcTypeInteger,
                                      index, (char *)NULL);
    if (alone == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for a font");
    *out = cairo_ft_font_face_create_for_pattern(alone); /* a failure shows in the face's status */
    FcPatternDestroy(alone);
    return STATUS_OK;
}

static enum status open_face(struct error *error, cairo_font_face_t **out, int weight) {
    FcPattern *wanted = FcPatternBuild(NULL, FC_FAMILY, FcTypeString, font_family, FC_WEIGHT,
                                       FcTypeInteger, weight, (char *)NULL);
    if (wanted == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for a font");
    FcDefaultSubstitute(wanted);
    FcResult result;
    FcPattern *match = FcFontMatch(NULL, wanted, &result);
    FcPatternDestroy(wanted);
    if (match == NULL)
        return font_missing(error);
    enum status status = face_of_match(error, out, match);
    FcPatternDestroy(match);
    return status;
}

/* ---- the sheet ------------------------------------------------------------------------------- */

static enum status sheet_failed(struct error *error, cairo_status_t reason) {
    return error_set(error, STATUS_FAILED, "cairo cannot draw a picture: %s",
                     cairo_status_to_string(reason));
}

static void set_up(struct canvas *canvas) {
    cairo_t *cairo = canvas->cairo;
    cairo_font_options_t *options = cairo_font_options_create();
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    cairo_set_font_options(cairo, options);
    cairo_font_options_destroy(options);
    cairo_scale(cairo, CANVAS_SCALE, CANVAS_SCALE);
    cairo_set_source_rgb(cairo, 1, 1, 1);
    cairo_paint(cairo);
}

enum status canvas_open(struct error *error, struct canvas **out, int width, int height) {
    struct canvas *canvas;
    if (memory_alloc(error, &canvas, 1, sizeof *canvas, "a picture") != STATUS_OK) {
        *out = NULL;
        return error->status;
    }
    *out = canvas;
    canvas->width = width;
    canvas->height = height;
    canvas->surface =
        cairo_image_surface_create(CAIRO_FORMAT_RGB24, width * CANVAS_SCALE, height * CANVAS_SCALE);
    canvas->cairo = cairo_create(canvas->surface);
    enum status status = open_face(error, &canvas->faces[REGULAR], FC_WEIGHT_REGULAR);
    if (status == STATUS_OK)
        status = open_face(error, &canvas->faces[BOLD], FC_WEIGHT_BOLD);
    if (status == STATUS_OK) {
        set_up(canvas);
        if (cairo_status(canvas->cairo) != CAIRO_STATUS_SUCCESS)
            status = sheet_failed(error, cairo_status(canvas->cairo));
    }
    if (status != STATUS_OK) {
        canvas_close(canvas);
        *out = NULL;
    }
    return status;
}

void canvas_close(struct canvas *canvas) {
    if (canvas == NULL)
        return;
    for (int i = 0; i < FACES; i++)
        cairo_font_face_destroy(canvas->faces[i]);
    cairo_destroy(canvas->cairo);
    cairo_surface_destroy(canvas->surface);
    memory_free(canvas);
}

const char *pictures_cairo(void) {
    return cairo_version_string();
}

/* Opens only the fonts. If there is no memory for a sheet, drawing should fail with an error, not
 * be skipped. */
enum status pictures_ready(struct error *error) {
    static const int weights[FACES] = {[REGULAR] = FC_WEIGHT_REGULAR, [BOLD] = FC_WEIGHT_BOLD};
    for (int i = 0; i < FACES; i++) {
        cairo_font_face_t *face = NULL;
        if (open_face(error, &face, weights[i]) != STATUS_OK)
            return error->status;
        cairo_font_face_destroy(face);
    }
    return STATUS_OK;
}

void pictures_release(void) {
    cairo_debug_reset_static_data();
    FcFini();
}

enum status canvas_write(struct error *error, struct canvas *canvas, const char *path,
                         const char *heading, const struct picture_caption *caption) {
    cairo_surface_flush(canvas->surface);
    cairo_status_t status = cairo_status(canvas->cairo);
    if (status != CAIRO_STATUS_SUCCESS)
        return sheet_failed(error, status);
    const struct pixels pixels = {
        .width = cairo_image_surface_get_width(canvas->surface),
        .height = cairo_image_surface_get_height(canvas->surface),
        .stride = cairo_image_surface_get_stride(canvas->surface),
        .scale = CANVAS_SCALE,
        .data = cairo_image_surface_get_data(canvas->surface),
    };
    return png_out(error, path, &pixels, heading, caption);
}

/* ---- lines and areas ------------------------------------------------------------------------- */

static double channel(unsigned ink, int shift) {
    return (double)(ink >> shift & 0xFF) / 255;
}

unsigned ink_mix(unsigned ink, unsigned other, double share) {
    unsigned mixed = 0;
    for (int shift = 0; shift <= 16; shift += 8) {
        double value = share * channel(ink, shift) + (1 - share) * channel(other, shift);
        mixed |= (unsigned)lround(value * 255) << shift;
    }
    return mixed;
}

static void set_ink(struct canvas *canvas, unsigned ink) {
    cairo_set_source_rgb(canvas->cairo, channel(ink, 16), channel(ink, 8), channel(ink, 0));
}

void canvas_join(struct canvas *canvas, struct point point) {
    cairo_line_to(canvas->cairo, point.x, point.y);
}

void canvas_stroke(struct canvas *canvas, const struct stroke *stroke) {
    static const double lengths[][2] = {[DASH_LONG] = {6, 3}, [DASH_SHORT] = {2, 3}};
    static const int counts[] = {[DASH_NONE] = 0, [DASH_LONG] = 2, [DASH_SHORT] = 2};
    set_ink(canvas, stroke->ink);
    cairo_set_line_width(canvas->cairo, stroke->width);
    cairo_set_line_join(canvas->cairo, CAIRO_LINE_JOIN_ROUND);
    cairo_set_dash(canvas->cairo, lengths[stroke->dash], counts[stroke->dash], 0);
    cairo_stroke(canvas->cairo);
}

void canvas_fill(struct canvas *canvas, unsigned ink, double opacity) {
    cairo_set_source_rgba(canvas->cairo, channel(ink, 16), channel(ink, 8), channel(ink, 0),
                          opacity);
    cairo_fill(canvas->cairo);
}

/* Fills the current path, and frames it if there is a stroke. */
static void fill_path(struct canvas *canvas, unsigned fill, const struct stroke *stroke) {
    if (fill != INK_NONE) {
        set_ink(canvas, fill);
        cairo_fill_preserve(canvas->cairo);
    }
    if (stroke != NULL)
        canvas_stroke(canvas, stroke);
    else
        cairo_new_path(canvas->cairo);
}

void canvas_line(struct canvas *canvas, struct point from, struct point to,
                 const struct stroke *stroke) {
    canvas_join(canvas, from);
    canvas_join(canvas, to);
    canvas_stroke(canvas, stroke);
}

/* The point at `distance` from `from` on the way to `to`. */
static struct point towards(struct point from, struct point to, double distance) {
    double share = distance / hypot(to.x - from.x, to.y - from.y);
    return (struct point){from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share};
}

void canvas_arrow(struct canvas *canvas, const struct point *points, int count,
                  const struct stroke *stroke) {
    enum { RADIUS = 8, HEAD = 7 };
    cairo_t *cairo = canvas->cairo;
    struct point tip = points[count - 1], neck = towards(tip, points[count - 2], HEAD);
    cairo_move_to(cairo, points[0].x, points[0].y);
    for (int i = 1; i < count - 1; i++) {
        struct point before = towards(points[i], points[i - 1], RADIUS);
        struct point after = towards(points[i], points[i + 1], RADIUS);
        cairo_line_to(cairo, before.x, before.y);
        cairo_curve_to(cairo, points[i].x, points[i].y, points[i].x, points[i].y, after.x, after.y);
    }
    cairo_line_to(cairo, neck.x, neck.y);
    canvas_stroke(canvas, stroke);
    struct point side = {(neck.y - tip.y) / 2, (tip.x - neck.x) / 2};
    cairo_move_to(cairo, tip.x, tip.y);
    cairo_line_to(cairo, neck.x + side.x, neck.y + side.y);
    cairo_line_to(cairo, neck.x - side.x, neck.y - side.y);
    cairo_close_path(cairo);
    fill_path(canvas, stroke->ink, NULL);
}

void canvas_box(struct canvas *canvas, const struct box *box, double radius, unsigned fill,
                const struct stroke *stroke) {
    const double quarter = acos(0), right = box->x + box->width, bottom = box->y + box->height;
    cairo_t *cairo = canvas->cairo;
    if (radius == 0) {
        cairo_rectangle(cairo, box->x, box->y, box->width, box->height);
    } else {
        cairo_arc(cairo, right - radius, box->y + radius, radius, -quarter, 0);
        cairo_arc(cairo, right - radius, bottom - radius, radius, 0, quarter);
        cairo_arc(cairo, box->x + radius, bottom - radius, radius, quarter, 2 * quarter);
        cairo_arc(cairo, box->x + radius, box->y + radius, radius, 2 * quarter, 3 * quarter);
        cairo_close_path(cairo);
    }
    fill_path(canvas, fill, stroke);
}

void canvas_disc(struct canvas *canvas, struct point centre, double radius, unsigned fill,
                 const struct stroke *stroke) {
    cairo_arc(canvas->cairo, centre.x, centre.y, radius, 0, 4 * acos(0));
    cairo_close_path(canvas->cairo);
    fill_path(canvas, fill, stroke);
}

/* All markers have about the same area; a white rim separates them from the line below them. */
void canvas_marker(struct canvas *canvas, struct point at, enum marker marker, unsigned ink) {
    static const struct stroke rim = {INK_WHITE, 1, DASH_NONE};
    cairo_t *cairo = canvas->cairo;
    switch (marker) {
    case MARKER_DISC:
        canvas_disc(canvas, at, 3.4, ink, &rim);
        return;
    case MARKER_SQUARE:
        canvas_box(canvas, &(struct box){at.x - 3.6, at.y - 3.6, 7.2, 7.2}, 0, ink, &rim);
        return;
    case MARKER_DIAMOND:
        cairo_move_to(cairo, at.x, at.y - 4.6);
        cairo_line_to(cairo, at.x + 4.6, at.y);
        cairo_line_to(cairo, at.x, at.y + 4.6);
        cairo_line_to(cairo, at.x - 4.6, at.y);
        cairo_close_path(cairo);
        fill_path(canvas, ink, &rim);
        return;
    }
}

void canvas_image(struct canvas *canvas, struct point corner, double side, const uint8_t *image) {
    for (int pixel = 0; pixel < IMAGE_PIXELS; pixel++) {
        unsigned ink = (unsigned)image[pixel] << 16 | (unsigned)image[IMAGE_PIXELS + pixel] << 8 |
                       image[2 * IMAGE_PIXELS + pixel];
        int row = pixel / IMAGE_SIDE, column = pixel % IMAGE_SIDE;
        struct box box = {corner.x + column * side, corner.y + row * side, side, side};
        canvas_box(canvas, &box, 0, ink, NULL);
    }
}

/* ---- text ------------------------------------------------------------------------------------ */

enum { TEXT_BYTES = 512 };

static const char ellipsis[] = "\xE2\x80\xA6";

static double width_at(struct canvas *canvas, bool bold, double size, const char *text) {
    cairo_text_extents_t extents;
    cairo_set_font_face(canvas->cairo, canvas->faces[bold ? BOLD : REGULAR]);
    cairo_set_font_size(canvas->cairo, size);
    cairo_text_extents(canvas->cairo, text, &extents);
    return extents.x_advance;
}

double canvas_text_width(struct canvas *canvas, const struct type *type, const char *text) {
    char clean[TEXT_BYTES];
    return width_at(canvas, type->bold, type->size, utf8_clean(clean, sizeof clean, text));
}

/* Cuts whole characters off the end until the text with an ellipsis fits into `room`. */
static void cut(struct canvas *canvas, char text[TEXT_BYTES], double room, bool bold, double size) {
    size_t length = strlen(text);
    do {
        do
            length--;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80);
        snprintf(text + length, TEXT_BYTES - length, "%s", ellipsis);
    } while (length > 0 && width_at(canvas, bold, size, text) > room);
}

/* Returns the font size at which the text fits; cuts the text if it must. */
static double fit(struct canvas *canvas, char text[TEXT_BYTES], double room,
                  const struct type *type) {
    const double smallest = type->size * 0.75;
    double width = width_at(canvas, type->bold, type->size, text);
    if (room <= 0 || width <= room)
        return type->size;
    if (width * 0.75 <= room)
        return type->size * room / width;
    cut(canvas, text, room, type->bold, smallest);
    return smallest;
}

void canvas_text(struct canvas *canvas, struct point at, double room, const struct type *type,
                 const char *format, ...) {
    char raw[TEXT_BYTES], text[TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    utf8_clean(text, sizeof text - sizeof ellipsis, raw);
    double size = fit(canvas, text, room, type);
    double width = width_at(canvas, type->bold, size, text);
    double shares[] = {[ALIGN_LEFT] = 0, [ALIGN_CENTRE] = 0.5, [ALIGN_RIGHT] = 1};
    set_ink(canvas, type->ink);
    cairo_save(canvas->cairo);
    cairo_translate(canvas->cairo, at.x, at.y);
    cairo_rotate(canvas->cairo, type->turn * acos(-1) / 180);
    cairo_move_to(canvas->cairo, -width * shares[type->align], 0);
    cairo_show_text(canvas->cairo, text);
    cairo_restore(canvas->cairo);
    cairo_new_path(canvas->cairo);
}
