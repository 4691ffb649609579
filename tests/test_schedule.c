/* test_schedule.c: the learning rate: the published rates by epoch, and the shape of the linear
 * schedule. */
#include "network/schedule.h"
#include "support.h"

#include <math.h>

static void check_rate(const struct recipe *recipe, int64_t step, int steps, double expected) {
    double rate = (double)schedule_rate(recipe, step, steps);
    if (!(fabs(rate - expected) <= 1e-6 * expected))
        fail_msg("step %lld of epochs of %d: rate %.9g, should be %.9g", (long long)step, steps,
                 rate, expected);
}

/* The first, a middle and the last step of each of 20 epochs (from 1), of 391 steps and of 1. */
static void check_epochs(enum norm_kind norm, double (*published)(int epoch)) {
    const struct recipe *recipe = recipe_find(RECIPE_REFERENCE, norm);
    assert_int_equal(recipe->epochs, 20);
    for (int epoch = 1; epoch <= 20; epoch++) {
        int64_t first = (int64_t)(epoch - 1) * 391;
        check_rate(recipe, first, 391, published(epoch));
        check_rate(recipe, first + 200, 391, published(epoch));
        check_rate(recipe, first + 390, 391, published(epoch));
        check_rate(recipe, epoch - 1, 1, published(epoch));
    }
}

static double batch_norm_rate(int epoch) {
    return epoch <= 8 ? 0.1 : epoch <= 16 ? 0.01 : 0.001;
}

static double group_norm_rate(int epoch) {
    (void)epoch;
    return 0.01;
}

static double layer_norm_rate(int epoch) {
    return epoch <= 10 ? 0.1 : 0.01;
}

static void published_rates(void **state) {
    (void)state;
    check_epochs(NORM_BATCH, batch_norm_rate);
    check_epochs(NORM_GROUP, group_norm_rate);
    check_epochs(NORM_LAYER, layer_norm_rate);
}

/* Not 0.010000001: 0.1 times 0.1 in double, then rounded, as in PyTorch. */
static void rates_are_the_nearest_floats(void **state) {
    (void)state;
    const struct recipe *recipe = recipe_find(RECIPE_REFERENCE, NORM_BATCH);
    assert_true(schedule_rate(recipe, 0, 391) == 0.1f);
    assert_true(schedule_rate(recipe, 8 * 391, 391) == 0.01f);
    assert_true(schedule_rate(recipe, 16 * 391, 391) == 0.001f);
}

static void steps_beyond_the_last_milestone(void **state) {
    (void)state;
    struct recipe recipe = *recipe_find(RECIPE_REFERENCE, NORM_LAYER);
    recipe.epochs = 30; /* --epochs 30: the second milestone, 20, comes */
    check_rate(&recipe, 20 * 10 - 1, 10, 0.01);
    check_rate(&recipe, 20 * 10, 10, 0.001);
    recipe.milestones[0] = recipe.milestones[1] = 0; /* never */
    check_rate(&recipe, 29 * 10, 10, 0.1);
}

/* ---- linear ---------------------------------------------------------------------------------- */

static struct recipe linear_recipe(int epochs, float warmup) {
    return (struct recipe){
        .schedule = SCHEDULE_LINEAR, .epochs = epochs, .learning_rate = 0.5f, .warmup = warmup};
}

/* If W is a whole number, every rate follows the formula. */
static void linear_by_formula(void **state) {
    (void)state;
    struct recipe recipe = linear_recipe(4, 0.25f);
    const int total = 4 * 16, warm = 16;
    for (int step = 0; step < total; step++)
        check_rate(&recipe, step, 16,
                   step < warm ? 0.5 * (step + 1) / warm : 0.5 * (total - step) / (total - warm));
    check_rate(&recipe, 0, 16, 0.5 / 16);
    check_rate(&recipe, 15, 16, 0.5);
    check_rate(&recipe, 16, 16, 0.5);
    check_rate(&recipe, 63, 16, 0.5 / 48);
}

/* Positive, never above the peak, up and then down, and close to the peak in the middle. */
static void check_linear_shape(const struct recipe *recipe, int steps) {
    int64_t total = (int64_t)recipe->epochs * steps;
    double peak = (double)recipe->learning_rate, last = 0, highest = 0;
    bool falling = false;
    for (int64_t step = 0; step < total; step++) {
        double rate = (double)schedule_rate(recipe, step, steps);
        if (!(rate > 0 && rate <= peak))
            fail_msg("step %lld of %lld: rate %.9g, peak %g", (long long)step, (long long)total,
                     rate, peak);
        falling = falling || rate < last;
        if (falling && rate >= last)
            fail_msg("step %lld of %lld: the rate rises again", (long long)step, (long long)total);
        highest = rate > highest ? rate : highest;
        last = rate;
    }
    double warm = (double)recipe->warmup * (double)total;
    double cold = (double)total - warm;
    assert_true(highest >= peak * (1 - 1 / fmin(warm > 1 ? warm : 1e9, cold)) - 1e-6);
    check_rate(recipe, total - 1, steps, peak / (cold > 1 ? cold : 1));
}

static void linear_shape(void **state) {
    (void)state;
    static const float warmups[] = {0, 0.1f, 0.2f, 0.3f, 0.5f};
    static const int steps[] = {1, 7, 100, 391};
    for (size_t w = 0; w < sizeof warmups / sizeof warmups[0]; w++)
        for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
            struct recipe recipe = linear_recipe(20, warmups[w]);
            check_linear_shape(&recipe, steps[s]);
            recipe.epochs = 1;
            if (steps[s] > 1)
                check_linear_shape(&recipe, steps[s]);
        }
    struct recipe without = linear_recipe(2, 0);
    check_rate(&without, 0, 50, 0.5);
    check_rate(&without, 50, 50, 0.25);
}

/* A run of one step has a rate above zero. */
static void linear_of_one_step(void **state) {
    (void)state;
    struct recipe recipe = linear_recipe(1, 0.1f);
    double rate = (double)schedule_rate(&recipe, 0, 1);
    assert_true(rate > 0 && rate <= 0.5);
}

static void tuned_rates(void **state) {
    (void)state;
    for (int norm = 0; norm < NORM_COUNT; norm++) {
        const struct recipe *recipe = recipe_find(RECIPE_TUNED, (enum norm_kind)norm);
        int64_t total = (int64_t)recipe->epochs * 391;
        double peak = (double)recipe->learning_rate;
        if (recipe->schedule == SCHEDULE_LINEAR)
            check_linear_shape(recipe, 391);
        for (int64_t step = 0; step < total; step++) {
            double rate = (double)schedule_rate(recipe, step, 391);
            assert_true(rate > 0 && rate <= peak);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_rates),
        cmocka_unit_test(rates_are_the_nearest_floats),
        cmocka_unit_test(steps_beyond_the_last_milestone),
        cmocka_unit_test(linear_by_formula),
        cmocka_unit_test(linear_shape),
        cmocka_unit_test(linear_of_one_step),
        cmocka_unit_test(tuned_rates),
    };
    return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
