/* test_welch.c: means, deviations and Welch's t against values of SciPy 1 (scipy.stats.ttest_ind
 * with equal_var=False, scipy.special.betainc), and samples without a t. */
#include "compare.h"
#include "support.h"

#include "compare/welch.h"

#include <math.h>

static void describes_values(void **state) {
    (void)state;
    const double values[] = {84.98, 85.12, 84.77};
    struct sample sample = sample_of(values, 3);
    assert_int_equal(sample.count, 3);
    assert_true(close_to(sample.mean, 84.956666666666667, 1e-14, 0));
    assert_true(close_to(sample.deviation, 0.1761628034896553, 1e-11, 0));
    assert_true(sample.low == 84.77 && sample.high == 85.12);
}

static void one_value_has_no_deviation(void **state) {
    (void)state;
    struct sample sample = sample_of((const double[]){3.5}, 1);
    assert_true(sample.mean == 3.5 && sample.low == 3.5 && sample.high == 3.5);
    assert_true(isnan(sample.deviation));
}

/* Sums of 0.1 are rounded; that must not count as a spread. */
static void equal_values_have_none_either(void **state) {
    (void)state;
    const double values[] = {70.1, 70.1, 70.1, 70.1, 70.1, 70.1, 70.1};
    for (int count = 2; count <= 7; count++) {
        struct sample sample = sample_of(values, count);
        assert_true(sample.mean == 70.1 && sample.deviation == 0);
    }
}

static void beta_function(void **state) {
    (void)state;
    static const struct {
        double x, a, b, value;
    } rows[] = {
        {0.5, 2, 3, 0.6875},
        {0.1, 0.5, 0.5, 0.20483276469913345},
        {0.9, 0.5, 0.5, 0.7951672353008665},
        {0.999, 20, 0.5, 0.8424161860163615},
        {1e-6, 1, 0.5, 5.000001250000625e-07},
        {0.3, 100, 50, 1.1193825947269355e-20},
        {0.7, 100, 50, 0.8054481662277535},
        {0.99, 5000, 0.5, 1.1849636488949144e-23},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double value = incomplete_beta(rows[i].x, rows[i].a, rows[i].b);
        if (!close_to(value, rows[i].value, 1e-10, 0))
            fail_msg("row %zu: %.17g, expected %.17g", i, value, rows[i].value);
    }
    assert_true(incomplete_beta(0, 2, 3) == 0 && incomplete_beta(1, 2, 3) == 1);
}

static void known_tests(void **state) {
    (void)state;
    static const struct {
        double a[6], b[6];
        int a_count, b_count;
        double t, freedom, p;
        bool exceeds;
    } rows[] = {
        {{84.98, 85.12, 84.77},
         {84.76, 84.9, 84.31},
         3,
         3,
         1.463463001096635,
         3.180341173203437,
         0.23456781636354276,
         false},
        {{85.0, 84.2, 84.9},
         {79.4, 79.1, 79.9},
         3,
         3,
         15.249188039008967,
         3.97734513274337,
         0.00011197659978683107,
         true},
        {{1, 2},
         {1.5, 10, 3, 4},
         2,
         4,
         -1.6193756890782394,
         3.3945807999539617,
         0.1931871450476136,
         false},
        {{70.1, 70.3, 70.2, 70.4, 70.25, 70.15},
         {70.05, 70.45},
         6,
         2,
         -0.08137884587711015,
         1.0990658350123883,
         0.9473796809998133,
         false},
        {{5, 5, 5}, {5.1, 5.2, 5.4}, 3, 3, -2.645751311064586, 2, 0.11808289631180349, false},
        {{1, 2, 3}, {3, 2, 1}, 3, 3, 0, 4, 1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sample a = sample_of(rows[i].a, rows[i].a_count);
        struct sample b = sample_of(rows[i].b, rows[i].b_count);
        struct welch welch = welch_test(&a, &b);
        assert_int_equal(welch.kind, WELCH_KNOWN);
        assert_true(welch.difference == a.mean - b.mean);
        if (!close_to(welch.t, rows[i].t, 1e-9, 0) ||
            !close_to(welch.freedom, rows[i].freedom, 1e-9, 0) ||
            !close_to(welch.p, rows[i].p, 1e-8, 0))
            fail_msg("row %zu: t %.17g, freedom %.17g, p %.17g", i, welch.t, welch.freedom,
                     welch.p);
        assert_true(welch_exceeds_noise(&welch) == rows[i].exceeds);
        welch = welch_test(&b, &a); /* the other way round */
        assert_true(close_to(welch.t, -rows[i].t, 1e-9, 0) &&
                    close_to(welch.p, rows[i].p, 1e-8, 0));
    }
}

static void nothing_to_judge_by(void **state) {
    (void)state;
    const double three[] = {1, 2, 3}, same[] = {5, 5, 5};
    struct sample many = sample_of(three, 3), one = sample_of(three, 1), flat = sample_of(same, 3);
    struct welch tests[] = {welch_test(&one, &many), welch_test(&many, &one),
                            welch_test(&one, &one), welch_test(&flat, &flat)};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(tests[i].kind, i < 3 ? WELCH_ONE_VALUE : WELCH_NO_SPREAD);
        assert_true(isnan(tests[i].t) && isnan(tests[i].freedom) && isnan(tests[i].p));
        assert_false(welch_exceeds_noise(&tests[i]));
    }
    assert_true(tests[0].difference == -1);
    assert_int_equal(welch_test(&flat, &many).kind, WELCH_KNOWN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_values),
        cmocka_unit_test(one_value_has_no_deviation),
        cmocka_unit_test(equal_values_have_none_either),
        cmocka_unit_test(beta_function),
        cmocka_unit_test(known_tests),
        cmocka_unit_test(nothing_to_judge_by),
    };
    return cmocka_run_group_tests_name("welch", tests, NULL, NULL);
}
