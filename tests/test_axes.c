/* test_axes.c: ticks are round for any values: constant, tiny, huge or missing. */
#include "support.h"

#include "pictures/axes.h"

#include <float.h>
#include <math.h>
#include <string.h>

static struct range range_of(double a, double b) {
    struct range range = {0};
    range_add(&range, a);
    range_add(&range, b);
    return range;
}

/* All labels of an axis in one line. */
static const char *labels(const struct axis *axis) {
    static char line[AXIS_TICKS * (AXIS_LABEL_CAPACITY + 1)];
    char label[AXIS_LABEL_CAPACITY];
    line[0] = '\0';
    assert_in_range(axis_tick_count(axis), 1, AXIS_TICKS);
    for (int i = 0; i < axis_tick_count(axis); i++) {
        strcat(line, i == 0 ? "" : " ");
        strcat(line, axis_label(label, axis, axis_tick(axis, i)));
    }
    return line;
}

static void range_ignores_what_is_not_finite(void **state) {
    (void)state;
    struct range range = {0};
    range_add(&range, NAN);
    range_add(&range, INFINITY);
    range_add(&range, -INFINITY);
    assert_false(range.any);
    range_add(&range, 3);
    range_add(&range, NAN);
    range_add(&range, -2);
    assert_true(range.any && range.low == -2 && range.high == 3);
}

static void ticks_are_round(void **state) {
    (void)state;
    static const struct {
        double low, high, least;
        int ticks;
        const char *labels;
    } rows[] = {
        {0.41, 1.67, 0.1, 6, "0 0.5 1.0 1.5 2.0"},
        {0.41, 1.67, 0.1, 9, "0.4 0.6 0.8 1.0 1.2 1.4 1.6 1.8"},
        {37.8, 85.9, 5, 7, "30 40 50 60 70 80 90"},
        {0, 0.2, 0, 5, "0 0.05 0.10 0.15 0.20"},
        {0, 0.3, 0, 4, "0 0.1 0.2 0.3"},
        {-0.3, 0.3, 0, 7, "-0.3 -0.2 -0.1 0 0.1 0.2 0.3"},
        {10, 10, 5, 6, "6 8 10 12 14"},
        {2.3026, 2.3026, 0.1, 5, "2.25 2.30 2.35 2.40"},
        {0, 0, 0, 5, "-0.5 0 0.5"},
        {0.00002, 0.00009, 0, 5, "2e-05 4e-05 6e-05 8e-05 1.0e-04"},
        {0, 3e9, 0, 5, "0 1e+09 2e+09 3e+09"},
        {1e5, 1.2e6, 0, 5, "0 500000 1000000 1500000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct range range = range_of(rows[i].low, rows[i].high);
        struct axis axis;
        axis_fit(&axis, &range, rows[i].least, rows[i].ticks);
        assert_string_equal(labels(&axis), rows[i].labels);
    }
}

/* From the smallest to the largest numbers: few ticks, which enclose the range and differ. */
static void any_range_has_an_axis(void **state) {
    (void)state;
    static const double values[] = {0,           1e-300, DBL_MIN, 1e-9, 1,    1 + 1e-12,
                                    9.999999999, 10.1,   99.95,   1e9,  3e99, DBL_MAX};
    enum { COUNT = sizeof values / sizeof values[0] };
    for (int a = 0; a < 2 * COUNT; a++)
        for (int b = 0; b < 2 * COUNT; b++)
            for (int ticks = 3; ticks <= AXIS_TICKS; ticks++) {
                struct range range = range_of(a < COUNT ? values[a] : -values[a - COUNT],
                                              b < COUNT ? values[b] : -values[b - COUNT]);
                struct axis axis;
                axis_fit(&axis, &range, 0, ticks);
                assert_true(isfinite(axis.high - axis.low) && axis.low < axis.high);
                double rounding = 1e-6 * (axis.high - axis.low);
                assert_true(axis.low <= range.low + rounding);
                assert_true(axis.high >= range.high - rounding);
                assert_in_range(axis_tick_count(&axis), 2, ticks);
                assert_true(axis_tick(&axis, 1) > axis_tick(&axis, 0));
            }
}

static void no_values_no_harm(void **state) {
    (void)state;
    const struct range nothing = {0};
    struct axis axis;
    axis_fit(&axis, &nothing, 0, 6);
    assert_string_equal(labels(&axis), "0 0.2 0.4 0.6 0.8 1.0");
}

static void whole_numbers_have_whole_ticks(void **state) {
    (void)state;
    static const struct {
        int first, last;
        const char *labels;
    } rows[] = {
        {1, 1, "1"},
        {1, 2, "1 2"},
        {1, 9, "1 2 3 4 5 6 7 8 9"},
        {1, 20, "2 4 6 8 10 12 14 16 18 20"},
        {1, 50, "5 10 15 20 25 30 35 40 45 50"},
        {1, 200, "20 40 60 80 100 120 140 160 180 200"},
        {17, 19, "17 18 19"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct axis axis;
        axis_fit_whole(&axis, rows[i].first, rows[i].last, 10);
        assert_string_equal(labels(&axis), rows[i].labels);
        assert_true(axis.low < rows[i].first && axis.high > rows[i].last);
    }
}

static void decades(void **state) {
    (void)state;
    static const struct {
        double low, high;
        const char *labels;
    } rows[] = {
        {0.001, 0.1, "0.001 0.01 0.1"},
        {0.1, 0.1, "0.1 1"},
        {0.002, 0.3, "0.001 0.01 0.1 1"},
        {1e-6, 1e-4, "1e-06 1e-05 0.0001"},
        {0.5, 4e9, "1e-02 1e+00 1e+02 1e+04 1e+06 1e+08 1e+10"},
        {DBL_TRUE_MIN, DBL_MAX, "1e-200 1e-100 1e+00 1e+100 1e+200"},
    };
    struct axis axis;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct range range = range_of(rows[i].low, rows[i].high);
        axis_fit_logarithmic(&axis, &range, 7);
        assert_string_equal(labels(&axis), rows[i].labels);
    }
}

static void places(void **state) {
    (void)state;
    struct range range = range_of(0, 100);
    struct axis axis;
    axis_fit(&axis, &range, 0, 6);
    assert_true(axis_place(&axis, 0) == 0 && axis_place(&axis, 100) == 1);
    assert_true(fabs(axis_place(&axis, 25) - 0.25) < 1e-12);
    assert_true(axis_place(&axis, -7) == 0 && axis_place(&axis, 1e9) == 1);
    struct range rates = range_of(0.001, 0.1);
    axis_fit_logarithmic(&axis, &rates, 5);
    assert_true(fabs(axis_place(&axis, 0.01) - 0.5) < 1e-12);
    assert_true(axis_place(&axis, 0) == 0);
}

/* An accuracy that stays at 100 %: the axis ends there. */
static void clipped_axis_keeps_its_ticks(void **state) {
    (void)state;
    struct range range = range_of(100, 100);
    struct axis axis;
    axis_fit(&axis, &range, 5, 6);
    axis_clip(&axis, 0, 100);
    assert_string_equal(labels(&axis), "96 98 100");
    assert_true(axis_place(&axis, 100) == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(range_ignores_what_is_not_finite),
        cmocka_unit_test(ticks_are_round),
        cmocka_unit_test(any_range_has_an_axis),
        cmocka_unit_test(no_values_no_harm),
        cmocka_unit_test(whole_numbers_have_whole_ticks),
        cmocka_unit_test(decades),
        cmocka_unit_test(places),
        cmocka_unit_test(clipped_axis_keeps_its_ticks),
    };
    return cmocka_run_group_tests_name("axes", tests, NULL, NULL);
}
