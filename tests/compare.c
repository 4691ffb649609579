/* compare.c: comparing arrays within a tolerance, and numbers for tests. */
#include "compare.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char current_case[256] = "no case";
static uint64_t random_state;

/* Blocks allocated since the last numbers_free. */
struct block {
    struct block *next;
    void *memory;
};
static struct block *blocks;

bool close_to(double actual, double expected, double rtol, double atol) {
    return fabs(actual - expected) <= atol + rtol * fabs(expected);
}

static void count_element(struct difference *difference, size_t index, double actual,
                          double expected, double rtol, double atol) {
    if (close_to(actual, expected, rtol, atol))
        return;
    if (difference->bad++ == 0) {
        difference->first = index;
        difference->actual = actual;
        difference->expected = expected;
    }
}

struct difference compare_floats(const float *actual, const double *expected, size_t count,
                                 double rtol, double atol) {
    struct difference difference = {0};
    for (size_t i = 0; i < count; i++)
        count_element(&difference, i, (double)actual[i], expected[i], rtol, atol);
    return difference;
}

struct difference compare_doubles(const double *actual, const double *expected, size_t count,
                                  double rtol, double atol) {
    struct difference difference = {0};
    for (size_t i = 0; i < count; i++)
        count_element(&difference, i, actual[i], expected[i], rtol, atol);
    return difference;
}

static void check_difference(const char *what, struct difference found, size_t count, double rtol,
                             double atol) {
    if (found.bad == 0)
        return;
    fail_msg("%s, %s: %zu of %zu are wrong, first [%zu]: is %.9g, should be %.9g "
             "(error %.3g, allowed %.3g + %.3g |b|)",
             current_case, what, found.bad, count, found.first, found.actual, found.expected,
             fabs(found.actual - found.expected), atol, rtol);
}

void check_floats(const char *what, const float *actual, const double *expected, size_t count,
                  double rtol, double atol) {
    check_difference(what, compare_floats(actual, expected, count, rtol, atol), count, rtol, atol);
}

void check_doubles(const char *what, const double *actual, const double *expected, size_t count,
                   double rtol, double atol) {
    check_difference(what, compare_doubles(actual, expected, count, rtol, atol), count, rtol, atol);
}

void check_close(const char *what, double actual, double expected, double rtol, double atol) {
    check_doubles(what, &actual, &expected, 1, rtol, atol);
}

void check_bytes(const char *what, const void *actual, const void *expected, size_t bytes) {
    const uint8_t *a = actual, *b = expected;
    if (memcmp(a, b, bytes) == 0)
        return;
    for (size_t i = 0; i < bytes; i++)
        if (a[i] != b[i])
            fail_msg("%s, %s: byte %zu of %zu is %u, should be %u", current_case, what, i, bytes,
                     a[i], b[i]);
}

void case_name(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(current_case, sizeof current_case, format, arguments);
    va_end(arguments);
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (const char *c = current_case; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 1099511628211u;
    random_seed(hash);
}

const char *case_text(void) {
    return current_case;
}

void random_seed(uint64_t seed) {
    random_state = seed;
}

/* SplitMix64 (Steele, Lea and Flood 2014): not Philox, which is under test itself. */
static uint64_t random_word(void) {
    uint64_t z = random_state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

double random_number(double low, double high) {
    double unit = (double)(random_word() >> 11) * 0x1p-53;
    return (double)(float)(low + (high - low) * unit);
}

uint32_t random_below(uint32_t bound) {
    return (uint32_t)(random_word() % bound);
}

void *zeroed_bytes(size_t bytes) {
    struct block *block = malloc(sizeof *block);
    assert_non_null(block);
    block->memory = calloc(bytes == 0 ? 1 : bytes, 1);
    block->next = blocks;
    blocks = block;
    assert_non_null(block->memory);
    return block->memory;
}

double *doubles(size_t count) {
    return zeroed_bytes(count * sizeof(double));
}

double *random_doubles(size_t count, double low, double high) {
    double *values = doubles(count);
    for (size_t i = 0; i < count; i++)
        values[i] = random_number(low, high);
    return values;
}

double *copied_doubles(const double *from, size_t count) {
    double *values = doubles(count);
    memcpy(values, from, count * sizeof *values);
    return values;
}

void numbers_free(void) {
    while (blocks != NULL) {
        struct block *block = blocks;
        blocks = block->next;
        free(block->memory);
        free(block);
    }
}

double largest_magnitude(const double *values, size_t count) {
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(values[i]));
    return largest;
}
