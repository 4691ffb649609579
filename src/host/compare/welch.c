/* welch.c: means, standard deviations and Welch's t-test.
 *
 * t and its degrees of freedom: B. L. Welch, "The generalization of 'Student's' problem when
 * several different population variances are involved", Biometrika 34 (1947), after F. E.
 * Satterthwaite, "An approximate distribution of estimates of variance components", Biometrics
 * Bulletin 2 (1946). The formulas of the beta function: NIST Digital Library of Mathematical
 * Functions, https://dlmf.nist.gov/8.17. */
#include "compare/welch.h"

#include <math.h>

static const double noise_level = 0.05;

struct sample sample_of(const double *values, int count) {
    struct sample sample = {.count = count, .low = values[0], .high = values[0]};
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++) {
        sum += values[i];
        sample.low = fmin(sample.low, values[i]);
        sample.high = fmax(sample.high, values[i]);
    }
    /* exact for equal values, so that rounding does not look like a spread */
    sample.mean = sample.low == sample.high ? sample.low : sum / count;
    for (int i = 0; i < count; i++)
        squares += (values[i] - sample.mean) * (values[i] - sample.mean);
    sample.deviation = count > 1 ? sqrt(squares / (count - 1)) : (double)NAN;
    return sample;
}

/* ---- the beta function ----------------------------------------------------------------------- */

/* The coefficient d_n of the continued fraction 1 / (1 + d_1 / (1 + d_2 / (1 + ...))), DLMF
 * 8.17.23. */
static double coefficient(int n, double x, double a, double b) {
    int m = n / 2; /* n is 2m or 2m + 1 */
    if (n % 2 == 0)
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
}

/* The continued fraction, by Lentz's method as modified by I. J. Thompson and A. R. Barnett,
 * "Coulomb and Bessel functions of complex arguments and order", J. Comput. Phys. 64 (1986): 1 +
 * d_1 / (1 + ...) is the product of the ratios of successive numerators and denominators, in which
 * a tiny number replaces zeros. */
static double fraction(double x, double a, double b) {
    enum { MOST_TERMS = 10000 };
    const double tiny = 1e-300, precision = 1e-15;
    double numerators = 1, denominators = 0, product = 1, change = 0;
    for (int n = 1; n <= MOST_TERMS && fabs(change - 1) >= precision; n++) {
        double d = coefficient(n, x, a, b);
        denominators = 1 + d * denominators;
        denominators = 1 / (denominators == 0 ? tiny : denominators);
        numerators = 1 + d / numerators;
        numerators = numerators == 0 ? tiny : numerators;
        change = numerators * denominators;
        product *= change;
    }
    return 1 / product;
}

/* The fraction converges fast for x below (a + 1) / (a + b + 2); above, DLMF 8.17.4 (symmetry) is
 * used. */
double incomplete_beta(double x, double a, double b) {
    if (!(x > 0))
        return 0;
    if (x >= 1)
        return 1;
    if (x > (a + 1) / (a + b + 2))
        return 1 - incomplete_beta(1 - x, b, a);
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a;
    return front * fraction(x, a, b);
}

/* ---- the test -------------------------------------------------------------------------------- */

struct welch welch_test(const struct sample *a, const struct sample *b) {
    struct welch welch = {.kind = WELCH_KNOWN,
                          .difference = a->mean - b->mean,
                          .t = (double)NAN,
                          .freedom = (double)NAN,
                          .p = (double)NAN};
    if (a->count < 2 || b->count < 2) {
        welch.kind = WELCH_ONE_VALUE;
        return welch;
    }
    /* squared standard errors of the two means */
    double from_a = a->deviation * a->deviation / a->count;
    double from_b = b->deviation * b->deviation / b->count;
    double both = from_a + from_b;
    if (!(both > 0)) {
        welch.kind = WELCH_NO_SPREAD;
        return welch;
    }
    double share_a = from_a / both, share_b = from_b / both;
    welch.t = welch.difference / sqrt(both);
    welch.freedom = 1 / (share_a * share_a / (a->count - 1) + share_b * share_b / (b->count - 1));
    /* Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.1 */
    double x = welch.freedom / (welch.freedom + welch.t * welch.t);
    welch.p = incomplete_beta(x, welch.freedom / 2, 0.5);
    return welch;
}

bool welch_exceeds_noise(const struct welch *welch) {
    return welch->kind == WELCH_KNOWN && welch->p < noise_level;
}
