/* axes.h: the numbers on the axes of a picture: ranges, round ticks and their labels. Pure
 * arithmetic. */
#ifndef AXES_H
#define AXES_H

#include <stdbool.h>

/* The smallest and largest of some values; NaN and infinities are ignored. */
struct range {
    double low, high; /* both 0 while empty */
    bool any;
};

void range_add(struct range *range, double value);

struct axis {
    double low, high; /* its ends; low < high */
    double step;      /* ticks lie at its multiples; in decades if logarithmic */
    bool logarithmic;
};

enum { AXIS_TICKS = 12 }; /* at most, on any axis */

/* A linear axis over the range, with ends and ticks at multiples of 1, 2 or 5 times a power of ten
 * and at most `ticks` of them (3 to AXIS_TICKS). A range narrower than `least` is widened about its
 * middle, so that noise does not fill the axis; an empty range counts as 0 to 1. */
void axis_fit(struct axis *out, const struct range *range, double least, int ticks);

/* The same for whole numbers: the ends lie 0.5 beyond `first` and `last`, so that both are
 * inside. */
void axis_fit_whole(struct axis *out, int first, int last, int ticks);

/* A logarithmic axis over a range above 0, with ends and at most `ticks` ticks at powers of ten;
 * `step` counts decades. */
void axis_fit_logarithmic(struct axis *out, const struct range *range, int ticks);

/* Limits the axis to the values that are possible: an accuracy ends at 100 %. `low` and `high`
 * should be multiples of every step. */
void axis_clip(struct axis *axis, double low, double high);

/* Ticks lie between the ends. */
int axis_tick_count(const struct axis *axis);
double axis_tick(const struct axis *axis, int index);

/* Where a value lies: 0 at the low end, 1 at the high end. A value beyond an end counts as it. */
double axis_place(const struct axis *axis, double value);

/* A tick as text, with as many digits as its step needs: "0", "0.25", "40", "1e-05". Returns
 * `out`. */
enum { AXIS_LABEL_CAPACITY = 32 };
const char *axis_label(char out[AXIS_LABEL_CAPACITY], const struct axis *axis, double value);

#endif
