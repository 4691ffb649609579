/* axes.c: ranges, axes with round ticks, and labels. */
#include "pictures/axes.h"

#include <math.h>
#include <stdio.h>

/* ---- ranges ---------------------------------------------------------------------------------- */

/* The loss of a diverging run can come close to the largest double, and its axis would end beyond
 * that. Larger values are drawn as this one. */
static const double huge = 1e200;

void range_add(struct range *range, double value) {
    if (!isfinite(value))
        return;
    value = fmax(-huge, fmin(value, huge));
    range->low = range->any ? fmin(range->low, value) : value;
    range->high = range->any ? fmax(range->high, value) : value;
    range->any = true;
}

/* ---- axes ------------------------------------------------------------------------------------ */

/* The smallest of 1, 2 and 5 times a power of ten that is at least `width`, which is above 0. */
static double round_up(double width) {
    static const double leading[] = {1, 2, 5};
    double power = pow(10, floor(log10(width)));
    for (int i = 0; i < 3; i++)
        if (leading[i] * power >= width * (1 - 1e-9)) /* allows for rounding of `width` */
            return leading[i] * power;
    return 10 * power;
}

/* Moves the ends outwards to multiples of a round step, at least `least`, so that there are at most
 * `ticks` ticks. */
static void round_ends(struct axis *axis, int ticks, double least) {
    double step = fmax(least, round_up((axis->high - axis->low) / (ticks - 1)));
    for (int i = 0; i < 2; i++) /* rounding each end can add a tick */
        if (ceil(axis->high / step - 1e-9) - floor(axis->low / step + 1e-9) > ticks - 1)
            step = round_up(step * 1.5);
    axis->low = floor(axis->low / step + 1e-9) * step;
    axis->high = ceil(axis->high / step - 1e-9) * step;
    axis->step = step;
}

void axis_fit(struct axis *out, const struct range *range, double least, int ticks) {
    double low = range->any ? range->low : 0, high = range->any ? range->high : 1;
    /* In a narrower range, the labels of neighbouring ticks would be equal. */
    least = fmax(least, fmax(fabs(low), fabs(high)) * 1e-6);
    if (least == 0)
        least = 1; /* all values are 0 */
    if (high - low < least) {
        double middle = low + (high - low) / 2;
        low = middle - least / 2;
        high = middle + least / 2;
    }
    *out = (struct axis){.low = low, .high = high};
    round_ends(out, ticks, 0);
}

void axis_fit_whole(struct axis *out, int first, int last, int ticks) {
    *out = (struct axis){
        .low = first - 0.5,
        .high = last + 0.5,
        .step = fmax(1, round_up(((double)last - first + 1) / ticks)),
    };
}

void axis_fit_logarithmic(struct axis *out, const struct range *range, int ticks) {
    double low = log10(fmax(range->low, 1 / huge)), high = log10(fmax(range->high, 1 / huge));
    if (high - low < 1e-9) /* a single value: show the decade around it */
        high = low + 1e-3;
    *out = (struct axis){.low = low, .high = high, .logarithmic = true};
    round_ends(out, ticks, 1);
    out->low = pow(10, out->low);
    out->high = pow(10, out->high);
}

void axis_clip(struct axis *axis, double low, double high) {
    axis->low = fmax(axis->low, low);
    axis->high = fmin(axis->high, high);
}

/* ---- ticks ----------------------------------------------------------------------------------- */

/* An end of the axis, in steps. Because of rounding it may just miss a whole number; callers allow
 * for that. */
static double in_steps(const struct axis *axis, double end) {
    return (axis->logarithmic ? log10(end) : end) / axis->step;
}

static double first_tick(const struct axis *axis) {
    return ceil(in_steps(axis, axis->low) - 1e-6);
}

int axis_tick_count(const struct axis *axis) {
    return (int)(floor(in_steps(axis, axis->high) + 1e-6) - first_tick(axis)) + 1;
}

double axis_tick(const struct axis *axis, int index) {
    double steps = first_tick(axis) + index;
    return axis->logarithmic ? pow(10, steps * axis->step) : steps * axis->step;
}

double axis_place(const struct axis *axis, double value) {
    value = fmax(axis->low, fmin(value, axis->high));
    if (axis->logarithmic)
        return log(value / axis->low) / log(axis->high / axis->low);
    return (value - axis->low) / (axis->high - axis->low);
}

const char *axis_label(char out[AXIS_LABEL_CAPACITY], const struct axis *axis, double value) {
    double unit = axis->logarithmic ? value : axis->step;
    double largest = fmax(fabs(axis->low), fabs(axis->high));
    if (fabs(value) < unit / 2)
        snprintf(out, AXIS_LABEL_CAPACITY, "0"); /* or 0 but for rounding */
    else if (unit < 1e-4 || largest >= 1e7)
        snprintf(out, AXIS_LABEL_CAPACITY, "%.*e",
                 (int)fmax(0, floor(log10(fabs(value)) + 1e-9) - floor(log10(unit) + 1e-9)), value);
    else
        snprintf(out, AXIS_LABEL_CAPACITY, "%.*f", (int)fmax(0, -floor(log10(unit) + 1e-9)), value);
    return out;
}
