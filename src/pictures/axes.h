/* axes.h: the numbers on the axes of a picture: ranges, round ticks and their labels. Pure
 * arithmetic. */
#ifndef AXES_H
#define AXES_H

#include <stdbool.h>

/* The smallest and largest of some values; NaN and infinities do not count. */
struct range {
    double low, high; /* both 0 while empty */
    bool any;
};

void range_add(struct range *range, double value);

struct axis {
    double low, high; /* its ends; low < high */
    double step;      /* between ticks, which are its multiples; logarithmic: in decades */
    bool logarithmic;
};

enum { AXIS_TICKS = 12 }; /* the most that an axis has */

/* A linear axis over the range, with ends and ticks at multiples of 1, 2 or 5 times a power of ten
 * and at most `ticks` of them (3 to AXIS_TICKS). A range narrower than `least` is widened about its
 * middle, so that noise does not fill the axis; an empty one is taken for 0 to 1. */
void axis_fit(struct axis *out, const struct range *range, double least, int ticks);

/* The same for whole numbers: the ends lie 0.5 beyond `first` and `last`, so that these are inside.
 */
void axis_fit_whole(struct axis *out, int first, int last, int ticks);

/* A logarithmic axis over a range above 0, with ends and ticks at powers of ten, at most `ticks` of
 * them; `step` counts decades. */
void axis_fit_logarithmic(struct axis *out, const struct range *range, int ticks);

/* Cuts off what lies beyond values that cannot be, as an accuracy above 100 %; `low` and `high`
 * should be multiples of any step. */
void axis_clip(struct axis *axis, double low, double high);

/* Ticks lie within the ends. */
int axis_tick_count(const struct axis *axis);
double axis_tick(const struct axis *axis, int index);

/* Where a value lies: 0 at the low end, 1 at the high one. Values beyond the ends are put there. */
double axis_place(const struct axis *axis, double value);

/* A tick as text, with the digits that its step needs: "0", "0.25", "40", "1e-05". Returns `out`.
 */
enum { AXIS_LABEL_CAPACITY = 32 };
const char *axis_label(char out[AXIS_LABEL_CAPACITY], const struct axis *axis, double value);

#endif
