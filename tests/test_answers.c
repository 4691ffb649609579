/* test_answers.c: the mistakes and their order, and the confusion matrix. */
#include "support.h"

#include "data/answers.h"

#include <math.h>
#include <string.h>

enum { COUNT = 8 };

/* One row for each image: the probabilities of the first three classes, the others 0. */
struct row {
    uint8_t label;
    float probabilities[3];
};

static struct answers answers_of(uint8_t labels[COUNT], float probabilities[COUNT][CLASS_COUNT],
                                 const struct row rows[COUNT]) {
    memset(probabilities, 0, sizeof(float[COUNT][CLASS_COUNT]));
    for (int i = 0; i < COUNT; i++) {
        labels[i] = rows[i].label;
        memcpy(probabilities[i], rows[i].probabilities, sizeof rows[i].probabilities);
    }
    return (struct answers){
        .count = COUNT, .labels = labels, .probabilities = &probabilities[0][0]};
}

static const struct row rows[COUNT] = {
    {0, {0.9f, 0.1f, 0}},    /* right */
    {1, {0.7f, 0.3f, 0}},    /* wrong, 0.7 */
    {2, {0.5f, 0.5f, 0}},    /* wrong, 0.5: of equal ones the first, class 0 */
    {0, {0.2f, 0.8f, 0}},    /* wrong, 0.8 */
    {0, {NAN, NAN, NAN}},    /* class 3: the first number, though it is 0 */
    {2, {0.3f, 0.7f, 0}},    /* wrong, 0.7, later than image 1 */
    {2, {0, NAN, 1}},        /* right */
    {1, {NAN, 0.25f, 0.75f}} /* wrong, 0.75 */
};

static void predicted_is_the_first_of_the_largest(void **state) {
    (void)state;
    uint8_t labels[COUNT];
    float probabilities[COUNT][CLASS_COUNT];
    struct answers answers = answers_of(labels, probabilities, rows);
    static const int expected[COUNT] = {0, 0, 0, 1, 3, 1, 2, 2};
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(answers_predicted(&answers, i), expected[i]);
    assert_true(answers_probability(&answers, 7, 2) == 0.75f);
}

static void mistakes_come_in_order_of_confidence(void **state) {
    (void)state;
    uint8_t labels[COUNT];
    float probabilities[COUNT][CLASS_COUNT];
    struct answers answers = answers_of(labels, probabilities, rows);
    static const int expected[] = {3, 7, 1, 5, 2, 4};
    enum { MISTAKES = sizeof expected / sizeof expected[0] };
    for (int limit = 0; limit <= COUNT; limit++) {
        int found[COUNT + 1];
        memset(found, 0xEE, sizeof found);
        assert_int_equal(answers_mistakes(found, limit, &answers), MISTAKES);
        int kept = limit < MISTAKES ? limit : MISTAKES;
        assert_memory_equal(found, expected, (size_t)kept * sizeof found[0]);
        for (int i = kept; i <= COUNT; i++)
            assert_int_equal(found[i], (int)0xEEEEEEEE); /* not written */
    }
}

static void nothing_but_nan_is_class_0(void **state) {
    (void)state;
    uint8_t labels[COUNT];
    float probabilities[COUNT][CLASS_COUNT];
    struct answers answers = answers_of(labels, probabilities, rows);
    for (int i = 0; i < CLASS_COUNT; i++)
        probabilities[4][i] = NAN;
    assert_int_equal(answers_predicted(&answers, 4), 0);
    int found[COUNT];
    assert_int_equal(answers_mistakes(found, COUNT, &answers), 5); /* it is right by chance */
    labels[4] = 1;
    assert_int_equal(answers_mistakes(found, COUNT, &answers), 6);
    assert_int_equal(found[5], 4);
}

static void confusion_counts_every_image_once(void **state) {
    (void)state;
    uint8_t labels[COUNT];
    float probabilities[COUNT][CLASS_COUNT];
    struct answers answers = answers_of(labels, probabilities, rows);
    int counts[CLASS_COUNT][CLASS_COUNT], sum = 0;
    memset(counts, 0xEE, sizeof counts);
    answers_confusion(counts, &answers);
    for (int i = 0; i < CLASS_COUNT; i++)
        for (int k = 0; k < CLASS_COUNT; k++)
            sum += counts[i][k];
    assert_int_equal(sum, COUNT);
    assert_int_equal(counts[0][0], 1);
    assert_int_equal(counts[0][1], 1);
    assert_int_equal(counts[0][3], 1);
    assert_int_equal(counts[1][0], 1);
    assert_int_equal(counts[1][2], 1);
    assert_int_equal(counts[2][0], 1);
    assert_int_equal(counts[2][1], 1);
    assert_int_equal(counts[2][2], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(predicted_is_the_first_of_the_largest),
        cmocka_unit_test(mistakes_come_in_order_of_confidence),
        cmocka_unit_test(nothing_but_nan_is_class_0),
        cmocka_unit_test(confusion_counts_every_image_once),
    };
    return cmocka_run_group_tests_name("answers", tests, NULL, NULL);
}
