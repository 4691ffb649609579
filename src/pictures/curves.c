/* curves.c: draws loss, accuracy and learning rate over the epochs: three panels, one above
 * another, with a common axis of epochs. The legend of a curve is to the right of the panel, at the
 * height where the curve ends. */
#include "base/text.h"
#include "pictures/heading.h"
#include "pictures/layout.h"
#include "pictures/plot.h"

#include <math.h>
#include <stdio.h>

enum {
    PLOT_LEFT = CURVES_LEFT,
    PLOT_WIDTH = CURVES_PLOT_WIDTH,
    PLOT_RIGHT = PLOT_LEFT + PLOT_WIDTH,
    MARKED_EPOCHS = 40, /* up to this many epochs, every point has a marker */
};

static const char heading[] = "Training curves";

/* ---- quantities and panels ------------------------------------------------------------------- */

enum quantity { TRAIN_LOSS, TEST_LOSS, TRAIN_ACCURACY, TEST_ACCURACY, LEARNING_RATE };

struct curve {
    enum quantity quantity;
    const char *name, *value; /* for the legend: the name (NULL: the word of the images), the
                                 format of the value */
    struct curve_style style;
};

enum { CURVES = 2 }; /* at most, per panel */

struct panel {
    const char *title;
    double top, height;
    int ticks;      /* of its axis, at most */
    double least;   /* the narrowest range of its axis */
    double highest; /* upper bound of the values; the lower bound is 0 */
    int count;
    /* In drawing order: a solid curve shows through a dashed one on top of it. */
    struct curve curves[CURVES];
};

#define TEST                                                                                       \
    { {INK_VERMILLION, 2, DASH_NONE}, MARKER_SQUARE }
#define TRAIN                                                                                      \
    { {INK_BLUE, 2, DASH_LONG}, MARKER_DISC }

/* clang-format off */
static const struct panel panels[] = {
    {"Loss (mean cross-entropy per image)", CURVES_LOSS_TOP, CURVES_LOSS_HEIGHT, 7, 0.1, HUGE_VAL,
     2, {{TEST_LOSS, NULL, "%.4g", TEST}, {TRAIN_LOSS, "train", "%.4g", TRAIN}}},
    {"Accuracy (%)", CURVES_ACCURACY_TOP, CURVES_ACCURACY_HEIGHT, 8, 5, 100,
     2, {{TEST_ACCURACY, NULL, "%.2f %%", TEST}, {TRAIN_ACCURACY, "train", "%.2f %%", TRAIN}}},
    {"Learning rate (at the end of the epoch)", CURVES_RATE_TOP, CURVES_RATE_HEIGHT, 5, 0, HUGE_VAL,
     1, {{LEARNING_RATE, "rate", "%.3g", {{INK_GREEN, 2, DASH_NONE}, MARKER_DIAMOND}}}},
};
/* clang-format on */
enum { PANELS = sizeof panels / sizeof panels[0] };

/* The epochs, and values computed from them. */
struct curves {
    struct canvas *canvas;
    const struct epoch_metrics *epochs;
    int count;
    int best;         /* index of the best test accuracy; -1: none */
    const char *word; /* "test" or "validation": what is not training */
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

/* The epoch with the best test accuracy, the first of equal ones; -1: none. */
static int find_best(const struct epoch_metrics *epochs, int count) {
    int best = -1;
    for (int i = 0; i < count; i++)
        if (isfinite(epochs[i].test.accuracy) &&
            (best < 0 || epochs[i].test.accuracy > epochs[best].test.accuracy))
            best = i;
    return best;
}

/* Whether the rate falls in steps: most epochs have the rate of the epoch before. Steps by powers
 * of ten need a logarithmic axis, and slanted lines between them would be wrong. */
static bool rate_in_steps(const struct curves *curves) {
    int changes = 0;
    for (int i = 1; i < curves->count; i++)
        changes += curves->epochs[i].learning_rate != curves->epochs[i - 1].learning_rate;
    return changes > 0 && 2 * changes < curves->count;
}

/* Whether the axis is logarithmic. A diverging loss passes through so many powers of ten that a
 * linear axis would show only its end. */
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

/* ---- one panel ------------------------------------------------------------------------------- */

/* A panel with its axes. */
struct shown {
    const struct curves *curves;
    const struct panel *panel;
    struct plot plot;
};

static struct shown show(const struct curves *curves, const struct panel *panel) {
    struct shown shown = {
        .curves = curves,
        .panel = panel,
        .plot = {.canvas = curves->canvas,
                 .area = {PLOT_LEFT, panel->top, PLOT_WIDTH, panel->height},
                 .width = CURVES_WIDTH,
                 .across = curves->across},
    };
    fit_axis(&shown.plot.up, curves, panel);
    return shown;
}

/* The line at the best epoch runs through all panels; its text is above the first. */
static void draw_best(const struct curves *curves, const struct plot *plot) {
    static const struct stroke line = {INK_MUTED, 1, DASH_SHORT};
    struct type type = {.size = 12, .ink = INK_TEXT, .align = ALIGN_CENTRE};
    char words[64];
    if (curves->best < 0)
        return;
    const struct epoch_metrics *best = &curves->epochs[curves->best];
    double x = round(plot_x(plot, best->epoch)), y = CURVES_LOSS_TOP - 30;
    snprintf(words, sizeof words, "best %s accuracy: epoch 000", curves->word);
    double half = canvas_text_width(curves->canvas, &type, words) / 2;
    double middle = fmin(fmax(x, PLOT_LEFT + half), PLOT_RIGHT - half);
    canvas_text(curves->canvas, (struct point){middle, y - 4}, ANY_WIDTH, &type,
                "best %s accuracy: epoch %d", curves->word, best->epoch);
    canvas_line(curves->canvas, (struct point){x, y},
                (struct point){x, CURVES_RATE_TOP + CURVES_RATE_HEIGHT}, &line);
}

/* ---- curves ---------------------------------------------------------------------------------- */

static struct point place(const struct shown *shown, const struct curve *curve, int index) {
    const struct epoch_metrics *epoch = &shown->curves->epochs[index];
    return (struct point){plot_x(&shown->plot, epoch->epoch),
                          plot_y(&shown->plot, value_of(epoch, curve->quantity))};
}

static bool has_value(const struct shown *shown, const struct curve *curve, int index) {
    return isfinite(value_of(&shown->curves->epochs[index], curve->quantity));
}

/* Draws the points from `first` up to `end` (excluded), all finite, as one line. A rate that falls
 * in steps is constant within an epoch, up to the epoch's point. */
static void draw_line(const struct shown *shown, const struct curve *curve, int first, int end) {
    struct canvas *canvas = shown->curves->canvas;
    bool steps = curve->quantity == LEARNING_RATE && shown->plot.up.logarithmic;
    for (int i = first; i < end; i++) {
        struct point at = place(shown, curve, i);
        if (steps && i > first)
            canvas_join(canvas, (struct point){place(shown, curve, i - 1).x, at.y});
        canvas_join(canvas, at);
    }
    canvas_stroke(canvas, &curve->style.stroke);
}

/* Draws markers if there are few points, and on a point without neighbours, which has no line. */
static void draw_markers(const struct shown *shown, const struct curve *curve, int first, int end) {
    if (shown->curves->count > MARKED_EPOCHS && end - first > 1)
        return;
    for (int i = first; i < end; i++)
        canvas_marker(shown->curves->canvas, place(shown, curve, i), curve->style.marker,
                      curve->style.stroke.ink);
}

/* Leaves gaps where values are not finite. */
static void draw_curve(const struct shown *shown, const struct curve *curve) {
    int count = shown->curves->count;
    for (int first = 0, end; first < count; first = end + 1) {
        for (end = first; end < count && has_value(shown, curve, end);)
            end++;
        draw_line(shown, curve, first, end);
        draw_markers(shown, curve, first, end);
    }
}

static void draw_best_point(const struct shown *shown, const struct curve *curve) {
    const struct stroke ring = {curve->style.stroke.ink, 1.5, DASH_NONE};
    if (curve->quantity != TEST_ACCURACY || shown->curves->best < 0)
        return;
    struct point at = place(shown, curve, shown->curves->best);
    canvas_disc(shown->curves->canvas, at, 7.5, INK_NONE, &ring);
}

/* ---- legend ---------------------------------------------------------------------------------- */

/* A value for the legend. */
enum { VALUE_CAPACITY = 32 };
static const char *value_text(char out[VALUE_CAPACITY], const char *format, double value) {
    snprintf(out, VALUE_CAPACITY, isfinite(value) ? format : "not finite", value);
    return out;
}

/* The height at which the curve ends; without finite values, the middle of the panel. */
static double end_of(const struct shown *shown, const struct curve *curve) {
    for (int i = shown->curves->count - 1; i >= 0; i--)
        if (has_value(shown, curve, i))
            return place(shown, curve, i).y;
    return shown->panel->top + shown->panel->height / 2;
}

static void draw_legend(const struct shown *shown, const struct curve *curve, double height) {
    const struct curves *curves = shown->curves;
    char value[VALUE_CAPACITY] = "no value", words[2 * VALUE_CAPACITY], gaps[64];
    int missing = 0;
    for (int i = 0; i < curves->count; i++)
        missing += !has_value(shown, curve, i);
    if (curves->count > 0)
        value_text(value, curve->value,
                   value_of(&curves->epochs[curves->count - 1], curve->quantity));
    snprintf(words, sizeof words, "%s %s", curve->name != NULL ? curve->name : curves->word, value);
    snprintf(gaps, sizeof gaps, "gaps: %d of %d not finite", missing, curves->count);
    plot_legend(&shown->plot, height, &curve->style, words, missing > 0 ? gaps : NULL);
}

/* ---- the picture ----------------------------------------------------------------------------- */

/* The legends are at the ends of the curves. */
static void draw_panel(const struct shown *shown) {
    const struct panel *panel = shown->panel;
    double legends[CURVES] = {0};
    plot_title(&shown->plot, panel->title);
    for (int c = 0; c < panel->count; c++) {
        draw_curve(shown, &panel->curves[c]);
        draw_best_point(shown, &panel->curves[c]);
        legends[c] = end_of(shown, &panel->curves[c]);
    }
    plot_spread_legends(legends, panel->count, &shown->plot);
    for (int c = 0; c < panel->count; c++)
        draw_legend(shown, &panel->curves[c], legends[c]);
}

/* The line at the best epoch is above the grids and below the curves. */
static void draw_panels(const struct curves *curves) {
    struct shown shown[PANELS];
    for (int i = 0; i < PANELS; i++) {
        shown[i] = show(curves, &panels[i]);
        plot_grid(&shown[i].plot);
    }
    draw_best(curves, &shown[0].plot);
    for (int i = 0; i < PANELS; i++)
        draw_panel(&shown[i]);
    plot_across(&shown[PANELS - 1].plot, "Epoch", false);
}

/* The result in one line. */
static void describe(char *out, size_t capacity, const struct curves *curves) {
    if (curves->count == 0) {
        snprintf(out, capacity, "no epoch was finished");
        return;
    }
    const struct epoch_metrics *last = &curves->epochs[curves->count - 1];
    char accuracy[VALUE_CAPACITY], loss[VALUE_CAPACITY];
    int length = snprintf(out, capacity, "after epoch %d: %s accuracy %s, %s loss %s", last->epoch,
                          curves->word, value_text(accuracy, "%.2f %%", last->test.accuracy),
                          curves->word, value_text(loss, "%.4g", last->test.loss));
    if (curves->best < 0 || length < 0 || (size_t)length >= capacity)
        return;
    const struct epoch_metrics *best = &curves->epochs[curves->best];
    if (best == last)
        snprintf(out + length, capacity - (size_t)length, "; the best accuracy of all epochs");
    else
        snprintf(out + length, capacity - (size_t)length,
                 "; best %s accuracy %.2f %% after epoch %d", curves->word, best->test.accuracy,
                 best->epoch);
}

static void draw(struct canvas *canvas, const struct picture_caption *caption,
                 const struct epoch_metrics *epochs, int count) {
    struct curves curves = {.canvas = canvas,
                            .epochs = epochs,
                            .count = count,
                            .best = find_best(epochs, count),
                            .word = evaluated_word(caption->validation)};
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
