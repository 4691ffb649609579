/* compare.h: making numbers for tests and comparing them.
 *
 * Expected values are doubles from the loops of reference_ops.h; actual ones are what a device
 * wrote. |a - b| <= atol + rtol |b| is written so that a NaN on either side fails. */
#ifndef COMPARE_H
#define COMPARE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* |actual - expected| <= atol + rtol |expected|; false for NaN. */
bool close_to(double actual, double expected, double rtol, double atol);

/* How two arrays differ. */
struct difference {
    size_t bad;              /* elements out of tolerance */
    size_t first;            /* index of the first one */
    double actual, expected; /* values of the first one */
};

/* Counts the elements of actual[count] that are not close to expected[count]. */
struct difference compare_floats(const float *actual, const double *expected, size_t count,
                                 double rtol, double atol);
struct difference compare_doubles(const double *actual, const double *expected, size_t count,
                                  double rtol, double atol);

/* Fail the running test, naming `what`, the case, the first bad index and its values. */
void check_floats(const char *what, const float *actual, const double *expected, size_t count,
                  double rtol, double atol);
void check_doubles(const char *what, const double *actual, const double *expected, size_t count,
                   double rtol, double atol);
void check_close(const char *what, double actual, double expected, double rtol, double atol);
void check_bytes(const char *what, const void *actual, const void *expected, size_t bytes);

/* The case that a failure message names; printf format. */
void case_name(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *case_text(void);

/* ---- numbers --------------------------------------------------------------------------------- */

/* Seeds the sequence that random_number draws from. case_name does it too, from its text, so that a
 * case has the same numbers no matter what ran before it. */
void random_seed(uint64_t seed);

/* Uniform in [low, high), rounded to float: a device gets the same number as the loop. */
double random_number(double low, double high);
/* Uniform in 0 ... bound - 1. */
uint32_t random_below(uint32_t bound);

/* Memory that lives until numbers_free: zeroed doubles, random doubles, bytes. Running out of
 * memory fails the test. Blocks are allocated one by one, so a sanitizer knows their bounds. */
double *doubles(size_t count);
double *random_doubles(size_t count, double low, double high);
double *copied_doubles(const double *from, size_t count);
void *zeroed_bytes(size_t bytes);
void numbers_free(void);

double largest_magnitude(const double *values, size_t count);

#endif
