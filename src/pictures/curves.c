/* curves.c: loss, accuracy and learning rate over the epochs: three panels over one another, which
 * share the axis of epochs. The legend of a curve stands to the right of the panel, at the height
 * where the curve ends. */
#include "axes.h"
#include "canvas.h"
#include "heading.h"
#include "text.h"

#include <math.h>
#include <stdio.h>

enum {
    PLOT_LEFT = CURVES_LEFT,
    PLOT_WIDTH = CURVES_PLOT_WIDTH,
    PLOT_RIGHT = PLOT_LEFT + PLOT_WIDTH,
    LEGEND_LEFT = PLOT_RIGHT + 14,
    LEGEND_WIDTH = CURVES_WIDTH - 12 - LEGEND_LEFT,
    LEGEND_LINE = 34,   /* height of a legend: its name and value, and below it what is missing */
    MARKED_EPOCHS = 40, /* up to so many, every point gets a marker */
};

static const char heading[] = "Training curves";

/* ---- what is drawn --------------------------------------------------------------------------- */

enum quantity { TRAIN_LOSS, TEST_LOSS, TRAIN_ACCURACY, TEST_ACCURACY, LEARNING_RATE };

struct curve {
    enum quantity quantity;
    const char *name, *value; /* for the legend; the format of a value */
    struct stroke stroke;
    enum marker marker;
};

enum { CURVES = 2 }; /* of a panel, at most */

struct panel {
    const char *title;
    double top, height;
    int ticks;      /* of its axis, at most */
    double least;   /* the narrowest range of its axis */
    double highest; /* what cannot be passed; the lowest is 0 */
    int count;
    /* The later ones lie above: a dashed one lets the solid one show. */
    struct curve curves[CURVES];
};

#define TEST {INK_VERMILLION, 2, DASH_NONE}, MARKER_SQUARE
#define TRAIN {INK_BLUE, 2, DASH_LONG}, MARKER_DISC

/* clang-format off */
static const struct panel panels[] = {
    {"Loss (mean cross-entropy of an image)", CURVES_LOSS_TOP, CURVES_LOSS_HEIGHT, 7, 0.1, HUGE_VAL,
     2, {{TEST_LOSS, "test", "%.4g", TEST}, {TRAIN_LOSS, "train", "%.4g", TRAIN}}},
    {"Accuracy (%)", CURVES_ACCURACY_TOP, CURVES_ACCURACY_HEIGHT, 8, 5, 100,
     2, {{TEST_ACCURACY, "test", "%.2f %%", TEST}, {TRAIN_ACCURACY, "train", "%.2f %%", TRAIN}}},
    {"Learning rate (at the end of the epoch)", CURVES_RATE_TOP, CURVES_RATE_HEIGHT, 5, 0, HUGE_VAL,
     1, {{LEARNING_RATE, "rate", "%.3g", {INK_GREEN, 2, DASH_NONE}, MARKER_DIAMOND}}},
};
/* clang-format on */
enum { PANELS = sizeof panels / sizeof panels[0] };

/* The epochs and what follows from them. */
struct curves {
    struct canvas *canvas;
    const struct epoch_metrics *epochs;
    int count;
    int best; /* place of the best test accuracy; -1: none */
    struct axis across;
};

static double value_of(const struct epoch_metrics *epoch, enum quantity quantity) {
    switch (quantity) {
    case TRAIN_LOSS:
        return epoch->train.loss;
    case TEST_LOSS:
        return epoch->test.loss;
    case TRAIN_ACCURACY:
        return epoch->train.accuracy;
    case TEST_ACCURACY:
        return epoch->test.accuracy;
    case LEARNING_RATE:
        return text_decimal(epoch->learning_rate); /* 0.2f is a little more than 0.2 */
    }
    return NAN;
}

/* The first of equals. */
static int find_best(const struct epoch_metrics *epochs, int count) {
    int best = -1;
    for (int i = 0; i < count; i++)
        if (isfinite(epochs[i].test.accuracy) &&
            (best < 0 || epochs[i].test.accuracy > epochs[best].test.accuracy))
            best = i;
    return best;
}

/* Whether the rate stays the same from most epochs to the next: such steps, by powers of ten, show
 * on a logarithmic axis alone, and a slanted line between them would be wrong. */
static bool rate_in_steps(const struct curves *curves) {
    int changes = 0;
    for (int i = 1; i < curves->count; i++)
        changes += curves->epochs[i].learning_rate != curves->epochs[i - 1].learning_rate;
    return changes > 0 && 2 * changes < curves->count;
}

/* A loss that diverges passes through so many powers of ten that a linear axis shows its end only.
 */
static bool wants_decades(const struct curves *curves, const struct panel *panel,
                          const struct range *range) {
    if (range->low <= 0)
        return false;
    switch (panel->curves[0].quantity) {
    case TRAIN_LOSS:
    case TEST_LOSS:
        return range->high / range->low > 1000;
    case TRAIN_ACCURACY:
    case TEST_ACCURACY:
        return false;
    case LEARNING_RATE:
        return rate_in_steps(curves);
    }
    return false;
}

static void fit_axis(struct axis *out, const struct curves *curves, const struct panel *panel) {
    struct range range = {0};
    for (int c = 0; c < panel->count; c++)
        for (int i = 0; i < curves->count; i++)
            range_add(&range, value_of(&curves->epochs[i], panel->curves[c].quantity));
    if (wants_decades(curves, panel, &range)) {
        axis_fit_logarithmic(out, &range, panel->ticks);
        return;
    }
    if (panel->curves[0].quantity == LEARNING_RATE)
        range_add(&range, 0);
    axis_fit(out, &range, panel->least, panel->ticks);
    axis_clip(out, 0, panel->highest);
}

/* ---- grid ------------------------------------------------------------------------------------ */

static double x_of(const struct curves *curves, double epoch) {
    return PLOT_LEFT + PLOT_WIDTH * axis_place(&curves->across, epoch);
}

static double y_of(const struct panel *panel, const struct axis *axis, double value) {
    return panel->top + panel->height * (1 - axis_place(axis, value));
}

static void draw_grid(const struct curves *curves, const struct panel *panel,
                      const struct axis *axis) {
    static const struct stroke line = {INK_GRID, 1, DASH_NONE}, frame = {INK_FRAME, 1, DASH_NONE};
    static const struct type tick = {.size = 12, .ink = INK_MUTED, .align = ALIGN_RIGHT};
    struct canvas *canvas = curves->canvas;
    char label[AXIS_LABEL_CAPACITY];
    for (int i = 0; i < axis_tick_count(&curves->across); i++) {
        double x = round(x_of(curves, axis_tick(&curves->across, i)));
        canvas_line(canvas, (struct point){x, panel->top},
                    (struct point){x, panel->top + panel->height}, &line);
    }
    for (int i = 0; i < axis_tick_count(axis); i++) {
        double y = round(y_of(panel, axis, axis_tick(axis, i)));
        canvas_line(canvas, (struct point){PLOT_LEFT, y}, (struct point){PLOT_RIGHT, y}, &line);
        canvas_text(canvas, (struct point){PLOT_LEFT - 8, y + 4.5}, PLOT_LEFT - 12, &tick, "%s",
                    axis_label(label, axis, axis_tick(axis, i)));
    }
    canvas_line(canvas, (struct point){PLOT_LEFT, panel->top},
                (struct point){PLOT_LEFT, panel->top + panel->height}, &frame);
    canvas_line(canvas, (struct point){PLOT_LEFT, panel->top + panel->height},
                (struct point){PLOT_RIGHT, panel->top + panel->height}, &frame);
}

/* On paper of its own: the line of the best epoch may pass there. */
static void draw_title(const struct curves *curves, const struct panel *panel) {
    static const struct type type = {.size = 14, .bold = true, .ink = INK_TEXT};
    double width = canvas_text_width(curves->canvas, &type, panel->title);
    const struct box paper = {PLOT_LEFT, panel->top - 26, width + 3, 23};
    canvas_box(curves->canvas, &paper, 0, INK_WHITE, NULL);
    canvas_text(curves->canvas, (struct point){PLOT_LEFT, panel->top - 10}, PLOT_WIDTH, &type, "%s",
                panel->title);
}

static void draw_epochs(const struct curves *curves) {
    static const struct type tick = {.size = 12, .ink = INK_MUTED, .align = ALIGN_CENTRE};
    static const struct type title = {
        .size = 14, .bold = true, .ink = INK_TEXT, .align = ALIGN_CENTRE};
    double bottom = CURVES_RATE_TOP + CURVES_RATE_HEIGHT;
    char label[AXIS_LABEL_CAPACITY];
    for (int i = 0; i < axis_tick_count(&curves->across); i++) {
        double epoch = axis_tick(&curves->across, i);
        canvas_text(curves->canvas, (struct point){x_of(curves, epoch), bottom + 18}, ANY_WIDTH,
                    &tick, "%s", axis_label(label, &curves->across, epoch));
    }
    canvas_text(curves->canvas, (struct point){PLOT_LEFT + PLOT_WIDTH / 2.0, bottom + 42},
                PLOT_WIDTH, &title, "Epoch");
}

/* The line of the best epoch runs through all panels; its words stand above the first. */
static void draw_best(const struct curves *curves) {
    static const struct stroke line = {INK_MUTED, 1, DASH_SHORT};
    struct type type = {.size = 12, .ink = INK_TEXT, .align = ALIGN_CENTRE};
    const char words[] = "best test accuracy: epoch 000";
    if (curves->best < 0)
        return;
    const struct epoch_metrics *best = &curves->epochs[curves->best];
    double x = round(x_of(curves, best->epoch)), y = CURVES_LOSS_TOP - 30;
    double half = canvas_text_width(curves->canvas, &type, words) / 2;
    double middle = fmin(fmax(x, PLOT_LEFT + half), PLOT_RIGHT - half);
    canvas_text(curves->canvas, (struct point){middle, y - 4}, ANY_WIDTH, &type,
                "best test accuracy: epoch %d", best->epoch);
    canvas_line(curves->canvas, (struct point){x, y},
                (struct point){x, CURVES_RATE_TOP + CURVES_RATE_HEIGHT}, &line);
}

/* ---- curves ---------------------------------------------------------------------------------- */

/* One panel with its axis. */
struct plot {
    const struct curves *curves;
    const struct panel *panel;
    struct axis axis;
};

static struct point place(const struct plot *plot, const struct curve *curve, int index) {
    const struct epoch_metrics *epoch = &plot->curves->epochs[index];
    return (struct point){x_of(plot->curves, epoch->epoch),
                          y_of(plot->panel, &plot->axis, value_of(epoch, curve->quantity))};
}

static bool is_there(const struct plot *plot, const struct curve *curve, int index) {
    return isfinite(value_of(&plot->curves->epochs[index], curve->quantity));
}

/* The points from `first` to before `end`, all there, as one line. A rate that changes in steps is
 * constant through an epoch, up to its point. */
static void draw_line(const struct plot *plot, const struct curve *curve, int first, int end) {
    struct canvas *canvas = plot->curves->canvas;
    bool steps = curve->quantity == LEARNING_RATE && plot->axis.logarithmic;
    for (int i = first; i < end; i++) {
        struct point at = place(plot, curve, i);
        if (steps && i > first)
            canvas_join(canvas, (struct point){place(plot, curve, i - 1).x, at.y});
        canvas_join(canvas, at);
    }
    canvas_stroke(canvas, &curve->stroke);
}

/* Markers where they are few, and on a point without a neighbour, of which no line would show. */
static void draw_markers(const struct plot *plot, const struct curve *curve, int first, int end) {
    if (plot->curves->count > MARKED_EPOCHS && end - first > 1)
        return;
    for (int i = first; i < end; i++)
        canvas_marker(plot->curves->canvas, place(plot, curve, i), curve->marker,
                      curve->stroke.ink);
}

/* Holes where values are not finite. */
static void draw_curve(const struct plot *plot, const struct curve *curve) {
    int count = plot->curves->count;
    for (int first = 0, end; first < count; first = end + 1) {
        for (end = first; end < count && is_there(plot, curve, end);)
            end++;
        draw_line(plot, curve, first, end);
        draw_markers(plot, curve, first, end);
    }
}

static void draw_best_point(const struct plot *plot, const struct curve *curve) {
    const struct stroke ring = {curve->stroke.ink, 1.5, DASH_NONE};
    if (curve->quantity != TEST_ACCURACY || plot->curves->best < 0)
        return;
    struct point at = place(plot, curve, plot->curves->best);
    canvas_disc(plot->curves->canvas, at, 7.5, INK_NONE, &ring);
}

/* ---- legend ---------------------------------------------------------------------------------- */

/* A value as its curve's legend has it. */
enum { VALUE_CAPACITY = 32 };
static const char *value_text(char out[VALUE_CAPACITY], const char *format, double value) {
    snprintf(out, VALUE_CAPACITY, isfinite(value) ? format : "not finite", value);
    return out;
}

/* Where the curve ends; the middle of the panel if nothing of it is there. */
static double end_of(const struct plot *plot, const struct curve *curve) {
    for (int i = plot->curves->count - 1; i >= 0; i--)
        if (is_there(plot, curve, i))
            return place(plot, curve, i).y;
    return plot->panel->top + plot->panel->height / 2;
}

/* Heights of the legends: at the ends of the curves, but apart, and within the panel. */
static void place_legends(double out[CURVES], const struct plot *plot) {
    const struct panel *panel = plot->panel;
    double top = panel->top + 6, bottom = panel->top + panel->height - LEGEND_LINE / 2.0;
    for (int c = 0; c < panel->count; c++)
        out[c] = end_of(plot, &panel->curves[c]);
    if (panel->count == 2) {
        int upper = out[1] < out[0], lower = !upper;
        double push = fmax(0, LEGEND_LINE - (out[lower] - out[upper])) / 2;
        out[upper] = fmin(fmax(out[upper] - push, top), bottom - LEGEND_LINE);
        out[lower] = fmin(fmax(out[lower] + push, out[upper] + LEGEND_LINE), bottom);
    } else {
        out[0] = fmin(fmax(out[0], top), bottom);
    }
}

static void draw_legend(const struct plot *plot, const struct curve *curve, double y) {
    enum { SAMPLE = 30, TEXT_LEFT = LEGEND_LEFT + SAMPLE + 8, ROOM = LEGEND_WIDTH - SAMPLE - 8 };
    const struct type type = {.size = 13, .bold = true, .ink = INK_TEXT};
    static const struct type small = {.size = 11, .ink = INK_MUTED};
    const struct curves *curves = plot->curves;
    char value[VALUE_CAPACITY] = "no value";
    int missing = 0;
    for (int i = 0; i < curves->count; i++)
        missing += !is_there(plot, curve, i);
    if (curves->count > 0)
        value_text(value, curve->value,
                   value_of(&curves->epochs[curves->count - 1], curve->quantity));
    canvas_line(curves->canvas, (struct point){LEGEND_LEFT, y},
                (struct point){LEGEND_LEFT + SAMPLE, y}, &curve->stroke);
    canvas_marker(curves->canvas, (struct point){LEGEND_LEFT + SAMPLE / 2.0, y}, curve->marker,
                  curve->stroke.ink);
    canvas_text(curves->canvas, (struct point){TEXT_LEFT, y + 4.5}, ROOM, &type, "%s %s",
                curve->name, value);
    if (missing > 0)
        canvas_text(curves->canvas, (struct point){TEXT_LEFT, y + 19}, ROOM, &small,
                    "gaps: %d of %d not finite", missing, curves->count);
}

/* ---- the picture ----------------------------------------------------------------------------- */

static void draw_panel(const struct plot *plot) {
    const struct panel *panel = plot->panel;
    double legends[CURVES] = {0};
    draw_title(plot->curves, panel);
    for (int c = 0; c < panel->count; c++) {
        draw_curve(plot, &panel->curves[c]);
        draw_best_point(plot, &panel->curves[c]);
    }
    place_legends(legends, plot);
    for (int c = 0; c < panel->count; c++)
        draw_legend(plot, &panel->curves[c], legends[c]);
}

/* The line of the best epoch goes over the grids and under the curves. */
static void draw_panels(const struct curves *curves) {
    struct plot plots[PANELS];
    for (int i = 0; i < PANELS; i++) {
        plots[i] = (struct plot){.curves = curves, .panel = &panels[i]};
        fit_axis(&plots[i].axis, curves, &panels[i]);
        draw_grid(curves, &panels[i], &plots[i].axis);
    }
    draw_best(curves);
    for (int i = 0; i < PANELS; i++)
        draw_panel(&plots[i]);
    draw_epochs(curves);
}

/* The result in one line. */
static void describe(char *out, size_t capacity, const struct curves *curves) {
    if (curves->count == 0) {
        snprintf(out, capacity, "no epoch was finished");
        return;
    }
    const struct epoch_metrics *last = &curves->epochs[curves->count - 1];
    char accuracy[VALUE_CAPACITY], loss[VALUE_CAPACITY];
    int length = snprintf(out, capacity, "after epoch %d: test accuracy %s, test loss %s",
                          last->epoch, value_text(accuracy, "%.2f %%", last->test.accuracy),
                          value_text(loss, "%.4g", last->test.loss));
    if (curves->best < 0 || length < 0 || (size_t)length >= capacity)
        return;
    const struct epoch_metrics *best = &curves->epochs[curves->best];
    if (best == last)
        snprintf(out + length, capacity - (size_t)length, "; the best accuracy of all epochs");
    else
        snprintf(out + length, capacity - (size_t)length,
                 "; best test accuracy %.2f %% after epoch %d", best->test.accuracy, best->epoch);
}

static void draw(struct canvas *canvas, const struct picture_caption *caption,
                 const struct epoch_metrics *epochs, int count) {
    struct curves curves = {
        .canvas = canvas, .epochs = epochs, .count = count, .best = find_best(epochs, count)};
    axis_fit_whole(&curves.across, count == 0 ? 1 : epochs[0].epoch,
                   count == 0 ? 1 : epochs[count - 1].epoch, 10);
    char facts[256];
    describe(facts, sizeof facts, &curves);
    heading_draw(canvas, CURVES_WIDTH, heading, caption, facts);
    draw_panels(&curves);
}

enum status curves_draw(struct error *error, const char *path,
                        const struct picture_caption *caption, const struct epoch_metrics *epochs,
                        int count) {
    struct canvas *canvas;
    if (canvas_open(error, &canvas, CURVES_WIDTH, CURVES_HEIGHT) != STATUS_OK)
        return error->status;
    draw(canvas, caption, epochs, count);
    enum status status = canvas_write(error, canvas, path, heading, caption);
    canvas_close(canvas);
    return status;
}
