/* welch.h: describes samples of values, and tests whether two samples differ by more than chance.
 * Pure functions. */
#ifndef WELCH_H
#define WELCH_H

#include <stdbool.h>

/* The figures of some finite values. */
struct sample {
    int count;
    double mean;
    double deviation; /* sample standard deviation (divisor count - 1); NaN for one value */
    double low, high;
};

/* Describes `count` values; `count` is at least 1. */
struct sample sample_of(const double *values, int count);

enum welch_kind {
    WELCH_KNOWN,
    WELCH_ONE_VALUE, /* a sample of one value has no spread */
    WELCH_NO_SPREAD, /* all values of each sample are the same: t would be 0/0 or infinite */
};

/* The result of Welch's t-test for two means, which allows different variances. t, freedom and p
 * are NaN unless `kind` is WELCH_KNOWN. */
struct welch {
    enum welch_kind kind;
    double difference; /* mean of `a` minus mean of `b` */
    double t;
    double freedom; /* degrees of freedom */
    double p;       /* two-sided */
};

struct welch welch_test(const struct sample *a, const struct sample *b);

/* Whether the difference exceeds the noise: p is below 0.05. */
bool welch_exceeds_noise(const struct welch *welch);

/* The regularized incomplete beta function I_x(a, b), for x from 0 to 1 and a, b above 0. */
double incomplete_beta(double x, double a, double b);

#endif
