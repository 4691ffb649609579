/* plot.c: draws a panel with two axes, and the legends to its right. */
#include "pictures/plot.h"

#include <math.h>
#include <stdio.h>

/* ---- axes ------------------------------------------------------------------------------------ */

double plot_x(const struct plot *plot, double value) {
    return plot->area.x + plot->area.width * axis_place(&plot->across, value);
}

double plot_y(const struct plot *plot, double value) {
    return plot->area.y + plot->area.height * (1 - axis_place(&plot->up, value));
}

void plot_grid(const struct plot *plot) {
    static const struct stroke line = {INK_GRID, 1, DASH_NONE}, frame = {INK_FRAME, 1, DASH_NONE};
    static const struct type tick = {.size = 12, .ink = INK_MUTED, .align = ALIGN_RIGHT};
    const struct box *area = &plot->area;
    const double left = area->x, right = area->x + area->width;
    const double top = area->y, bottom = area->y + area->height;
    char label[AXIS_LABEL_CAPACITY];
    for (int i = 0; i < axis_tick_count(&plot->across); i++) {
        double x = round(plot_x(plot, axis_tick(&plot->across, i)));
        canvas_line(plot->canvas, (struct point){x, top}, (struct point){x, bottom}, &line);
    }
    for (int i = 0; i < axis_tick_count(&plot->up); i++) {
        double value = axis_tick(&plot->up, i), y = round(plot_y(plot, value));
        canvas_line(plot->canvas, (struct point){left, y}, (struct point){right, y}, &line);
        canvas_text(plot->canvas, (struct point){left - 8, y + 4.5}, left - 12, &tick, "%s",
                    axis_label(label, &plot->up, value));
    }
    canvas_line(plot->canvas, (struct point){left, top}, (struct point){left, bottom}, &frame);
    canvas_line(plot->canvas, (struct point){left, bottom}, (struct point){right, bottom}, &frame);
}

void plot_title(const struct plot *plot, const char *title) {
    static const struct type type = {.size = 14, .bold = true, .ink = INK_TEXT};
    const struct box *area = &plot->area;
    double width = canvas_text_width(plot->canvas, &type, title);
    const struct box paper = {area->x, area->y - 26, width + 3, 23};
    canvas_box(plot->canvas, &paper, 0, INK_WHITE, NULL);
    canvas_text(plot->canvas, (struct point){area->x, area->y - 10}, area->width, &type, "%s",
                title);
}

void plot_across(const struct plot *plot, const char *name, bool exponents) {
    static const struct type tick = {.size = 12, .ink = INK_MUTED, .align = ALIGN_CENTRE};
    static const struct type title = {
        .size = 14, .bold = true, .ink = INK_TEXT, .align = ALIGN_CENTRE};
    double bottom = plot->area.y + plot->area.height;
    char label[AXIS_LABEL_CAPACITY];
    for (int i = 0; i < axis_tick_count(&plot->across); i++) {
        double value = axis_tick(&plot->across, i);
        if (exponents)
            snprintf(label, sizeof label, "%.0f", exp2(value));
        else
            axis_label(label, &plot->across, value);
        canvas_text(plot->canvas, (struct point){plot_x(plot, value), bottom + 18}, ANY_WIDTH,
                    &tick, "%s", label);
    }
    canvas_text(plot->canvas, (struct point){plot->area.x + plot->area.width / 2.0, bottom + 42},
                plot->area.width, &title, "%s", name);
}

/* ---- legends --------------------------------------------------------------------------------- */

/* The indices of the legends by increasing y; equal ones keep their order. */
static void sort_heights(int order[PLOT_MAX_LEGENDS], const double *heights, int count) {
    for (int i = 0; i < count; i++) {
        int place = i;
        for (; place > 0 && heights[i] < heights[order[place - 1]]; place--)
            order[place] = order[place - 1];
        order[place] = i;
    }
}

/* Subtracts from each sorted height PLOT_LEGEND_LINE for every legend above it. The legends are far
 * enough apart if these numbers never fall. The closest such numbers (least squares) come from
 * pooling neighbours that fall: T. Robertson, F. Wright, R. Dykstra, "Order Restricted Statistical
 * Inference" (1988), section 1.2. */
void plot_spread_legends(double *heights, int count, const struct plot *plot) {
    int order[PLOT_MAX_LEGENDS], sizes[PLOT_MAX_LEGENDS], pools = 0;
    double means[PLOT_MAX_LEGENDS];
    double top = plot->area.y + 6;
    double bottom = plot->area.y + plot->area.height - PLOT_LEGEND_LINE / 2.0;
    sort_heights(order, heights, count);
    for (int i = 0; i < count; i++) {
        means[pools] = heights[order[i]] - i * PLOT_LEGEND_LINE;
        sizes[pools++] = 1;
        for (; pools > 1 && means[pools - 2] > means[pools - 1]; pools--) {
            int both = sizes[pools - 2] + sizes[pools - 1];
            means[pools - 2] += (means[pools - 1] - means[pools - 2]) * sizes[pools - 1] / both;
            sizes[pools - 2] = both;
        }
    }
    double most = bottom - (count - 1) * PLOT_LEGEND_LINE;
    for (int pool = 0, i = 0; pool < pools; pool++)
        for (int k = 0; k < sizes[pool]; k++, i++)
            heights[order[i]] = fmin(fmax(means[pool], top), most) + i * PLOT_LEGEND_LINE;
}

void plot_legend(const struct plot *plot, double height, const struct curve_style *style,
                 const char *words, const char *small) {
    enum { SAMPLE = 30, GAP = 14, MARGIN = 12 };
    static const struct type large_type = {.size = 13, .bold = true, .ink = INK_TEXT};
    static const struct type small_type = {.size = 11, .ink = INK_MUTED};
    double left = plot->area.x + plot->area.width + GAP, text = left + SAMPLE + 8;
    double room = plot->width - MARGIN - text;
    canvas_line(plot->canvas, (struct point){left, height}, (struct point){left + SAMPLE, height},
                &style->stroke);
    canvas_marker(plot->canvas, (struct point){left + SAMPLE / 2.0, height}, style->marker,
                  style->stroke.ink);
    canvas_text(plot->canvas, (struct point){text, height + 4.5}, room, &large_type, "%s", words);
    if (small != NULL)
        canvas_text(plot->canvas, (struct point){text, height + 19}, room, &small_type, "%s",
                    small);
}
