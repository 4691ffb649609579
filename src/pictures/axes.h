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

/* Widens the range to include the value. */
void range_add(struct range *range, double value);

struct axis {
    double low, high; /* the ends; low < high */
    double step;      /* ticks are at multiples of this; in decades if logarithmic */
    bool logarithmic;
};

enum { AXIS_TICKS = 12 }; /* the most ticks on any axis */

/* A linear axis over the range, with at most `ticks` ticks (3 to AXIS_TICKS); these and the ends
 * are at multiples of 1, 2 or 5 times a power of ten. A range narrower than `least` is widened on
 * both sides, so that noise does not fill the axis; an empty range counts as 0 to 1. */
void axis_fit(struct axis *out, const struct range *range, double least, int ticks);

/* The same for whole numbers from `first` to `last`; the ends are 0.5 beyond them. */
void axis_fit_whole(struct axis *out, int first, int last, int ticks);

/* A logarithmic axis over a range above 0, with ends and at most `ticks` ticks at powers of ten;
 * `step` counts decades. */
void axis_fit_logarithmic(struct axis *out, const struct range *range, int ticks);

/* Limits the axis to possible values: for an accuracy, 0 to 100 %. `low` and `high` should be
 * multiples of every step. */
void axis_clip(struct axis *axis, double low, double high);

/* The number of ticks, which lie between the ends, and the value of one. */
int axis_tick_count(const struct axis *axis);
double axis_tick(const struct axis *axis, int index);

/* The position of a value: 0 at the low end, 1 at the high end. Values beyond an end count as the
 * end. */
double axis_place(const struct axis *axis, double value);

/* The label of a tick, with as many digits as the step needs: "0", "0.25", "40", "1e-05". Returns
 * `out`. */
enum { AXIS_LABEL_CAPACITY = 32 };
const char *axis_label(char out[AXIS_LABEL_CAPACITY], const struct axis *axis, double value);

#endif
