/* norm_curves.c: compares the norms: draws test accuracy and loss over the epochs, and test error
 * over the batch sizes. Each norm has a line for the mean of its seeds, in a band from the lowest
 * to the highest seed. */
#include "pictures/heading.h"
#include "pictures/layout.h"
#include "pictures/plot.h"

#include <math.h>
#include <stdio.h>

enum { MARKED_PLACES = 40 }; /* up to this many points, every mean has a marker */

_Static_assert((int)NORM_COUNT <= (int)PLOT_MAX_LEGENDS, "the legends of all norms are spread");

static const char compare_heading[] = "Comparison of the norms";

/* ---- curves ---------------------------------------------------------------------------------- */

static struct curve_style style_of(enum norm_kind norm) {
    switch (norm) {
    case NORM_BATCH:
        return (struct curve_style){{INK_BLUE, 2, DASH_LONG}, MARKER_DISC};
    case NORM_GROUP:
        return (struct curve_style){{INK_VERMILLION, 2, DASH_NONE}, MARKER_SQUARE};
    case NORM_LAYER:
        return (struct curve_style){{INK_GREEN, 2, DASH_SHORT}, MARKER_DIAMOND};
    }
    return (struct curve_style){0};
}

/* One panel and its curves. */
struct panel {
    struct plot plot;
    const struct norm_curve *norms; /* [norm_count] */
    int norm_count;
    int count;              /* bands per norm */
    const int *batch_sizes; /* [count]; NULL: the bands are for epochs 1, 2, ... */
};

/* The position of a band, in units of the horizontal axis. */
static double across_of(const struct panel *panel, int index) {
    return panel->batch_sizes == NULL ? index + 1 : log2(panel->batch_sizes[index]);
}

static struct point place(const struct panel *panel, int index, double value) {
    return (struct point){plot_x(&panel->plot, across_of(panel, index)),
                          plot_y(&panel->plot, value)};
}

/* Goes along the highest values and back along the lowest. A single band is drawn as a bar. */
static void draw_band(const struct panel *panel, const struct norm_curve *norm) {
    enum { HALF_BAR = 5 };
    struct canvas *canvas = panel->plot.canvas;
    double half = panel->count == 1 ? HALF_BAR : 0;
    for (int i = 0; i < panel->count; i++) {
        struct point high = place(panel, i, norm->bands[i].high);
        canvas_join(canvas, (struct point){high.x - half, high.y});
        canvas_join(canvas, (struct point){high.x + half, high.y});
    }
    for (int i = panel->count - 1; i >= 0; i--) {
        struct point low = place(panel, i, norm->bands[i].low);
        canvas_join(canvas, (struct point){low.x + half, low.y});
        canvas_join(canvas, (struct point){low.x - half, low.y});
    }
    canvas_fill(canvas, style_of(norm->norm).stroke.ink, 0.2);
}

static void draw_mean(const struct panel *panel, const struct norm_curve *norm) {
    const struct curve_style style = style_of(norm->norm);
    struct canvas *canvas = panel->plot.canvas;
    for (int i = 0; i < panel->count; i++)
        canvas_join(canvas, place(panel, i, norm->bands[i].mean));
    canvas_stroke(canvas, &style.stroke);
    for (int i = 0; i < panel->count && panel->count <= MARKED_PLACES; i++)
        canvas_marker(canvas, place(panel, i, norm->bands[i].mean), style.marker, style.stroke.ink);
}

static void draw_legends(const struct panel *panel) {
    double heights[NORM_COUNT];
    for (int i = 0; i < panel->norm_count; i++)
        heights[i] = place(panel, panel->count - 1, panel->norms[i].bands[panel->count - 1].mean).y;
    plot_spread_legends(heights, panel->norm_count, &panel->plot);
    for (int i = 0; i < panel->norm_count; i++) {
        const struct norm_curve *norm = &panel->norms[i];
        char words[96], small[64];
        snprintf(words, sizeof words, "%s %s", norm_option(norm->norm), norm->end);
        snprintf(small, sizeof small, "%s, %d seed%s", norm_title(norm->norm), norm->seeds,
                 norm->seeds == 1 ? "" : "s");
        const struct curve_style style = style_of(norm->norm);
        plot_legend(&panel->plot, heights[i], &style, words, small);
    }
}

/* All bands come first, so that none dims a line. */
static void draw_panel(const struct panel *panel, const char *title) {
    plot_grid(&panel->plot);
    plot_title(&panel->plot, title);
    for (int i = 0; i < panel->norm_count; i++)
        draw_band(panel, &panel->norms[i]);
    for (int i = 0; i < panel->norm_count; i++)
        draw_mean(panel, &panel->norms[i]);
    draw_legends(panel);
}

/* Fits the vertical axis: within 0 to `highest`, and at least `least` long. */
static void fit_up(struct panel *panel, double least, double highest) {
    struct range range = {0};
    for (int n = 0; n < panel->norm_count; n++)
        for (int i = 0; i < panel->count; i++) {
            range_add(&range, panel->norms[n].bands[i].low);
            range_add(&range, panel->norms[n].bands[i].high);
        }
    axis_fit(&panel->plot.up, &range, least, 8);
    axis_clip(&panel->plot.up, 0, highest);
}

/* Whether no norm has more than one seed, so that there are no means and bands. */
static bool have_one_seed(const struct norm_curve *norms, int norm_count) {
    for (int n = 0; n < norm_count; n++)
        if (norms[n].seeds > 1)
            return false;
    return true;
}

/* ---- the pictures ---------------------------------------------------------------------------- */

static void draw_epochs(struct canvas *canvas, const struct norm_curve *accuracy,
                        const struct norm_curve *loss, int norm_count, int epochs,
                        const char *title) {
    char accuracies[64], losses[64];
    snprintf(accuracies, sizeof accuracies, "%s accuracy (%%)", title);
    snprintf(losses, sizeof losses, "%s loss (mean cross-entropy per image)", title);
    struct panel upper = {
        .plot = {.canvas = canvas,
                 .area = {COMPARE_LEFT, COMPARE_ACCURACY_TOP, COMPARE_PLOT_WIDTH,
                          COMPARE_ACCURACY_HEIGHT},
                 .width = COMPARE_WIDTH},
        .norms = accuracy,
        .norm_count = norm_count,
        .count = epochs,
    };
    axis_fit_whole(&upper.plot.across, 1, epochs, 10);
    struct panel lower = upper;
    lower.norms = loss;
    lower.plot.area.y = COMPARE_LOSS_TOP;
    lower.plot.area.height = COMPARE_LOSS_HEIGHT;
    fit_up(&upper, 5, 100);
    fit_up(&lower, 0.1, HUGE_VAL);
    draw_panel(&upper, accuracies);
    draw_panel(&lower, losses);
    plot_across(&lower.plot, "Epoch", false);
}

enum status compare_draw(struct error *error, const char *path,
                         const struct picture_caption *caption, const struct norm_curve *accuracy,
                         const struct norm_curve *loss, int norm_count, int epochs) {
    struct canvas *canvas;
    if (canvas_open(error, &canvas, COMPARE_WIDTH, COMPARE_HEIGHT) != STATUS_OK)
        return error->status;
    heading_draw(canvas, COMPARE_WIDTH, compare_heading, caption,
                 have_one_seed(accuracy, norm_count)
                     ? "one seed for each norm"
                     : "lines: mean of the seeds; bands: lowest to highest seed");
    draw_epochs(canvas, accuracy, loss, norm_count, epochs, evaluated_title(caption->validation));
    enum status status = canvas_write(error, canvas, path, compare_heading, caption);
    canvas_close(canvas);
    return status;
}

static void draw_sizes(struct canvas *canvas, const struct norm_curve *norms, int norm_count,
                       const int *batch_sizes, int size_count, const char *title) {
    char errors[64];
    snprintf(errors, sizeof errors, "%s error after the last epoch (%%)", title);
    struct panel panel = {
        .plot = {.canvas = canvas,
                 .area = {COMPARE_LEFT, SWEEP_TOP, COMPARE_PLOT_WIDTH, SWEEP_PLOT_HEIGHT},
                 .width = SWEEP_WIDTH},
        .norms = norms,
        .norm_count = norm_count,
        .count = size_count,
        .batch_sizes = batch_sizes,
    };
    double first = floor(across_of(&panel, 0)), last = ceil(across_of(&panel, size_count - 1));
    axis_fit_whole(&panel.plot.across, (int)first, (int)last, AXIS_TICKS);
    fit_up(&panel, 5, 100);
    draw_panel(&panel, errors);
    plot_across(&panel.plot, "Batch size (images)", true);
}

enum status sweep_draw(struct error *error, const char *path, const struct picture_caption *caption,
                       const struct norm_curve *norms, int norm_count, const int *batch_sizes,
                       int size_count) {
    const char *title = evaluated_title(caption->validation);
    struct canvas *canvas;
    char heading[64];
    snprintf(heading, sizeof heading, "%s error over the batch size", title);
    if (canvas_open(error, &canvas, SWEEP_WIDTH, SWEEP_HEIGHT) != STATUS_OK)
        return error->status;
    heading_draw(canvas, SWEEP_WIDTH, heading, caption,
                 have_one_seed(norms, norm_count)
                     ? "learning rate proportional to the batch size; one seed for each norm; "
                       "legend: at the largest batch size"
                     : "learning rate proportional to the batch size; lines: mean of the seeds; "
                       "bands: lowest to highest seed; legend: at the largest batch size");
    draw_sizes(canvas, norms, norm_count, batch_sizes, size_count, title);
    enum status status = canvas_write(error, canvas, path, heading, caption);
    canvas_close(canvas);
    return status;
}
