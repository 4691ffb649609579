/* test_philox.c: the random numbers against the published vectors, and the two ways to use a
 * word. */
#include "support.h"

#include "philox.h"

/* kat_vectors of the Random123 library (D. E. Shaw Research), philox4x32 with 10 rounds.
 * Counter words 0 to 3 are index, step (low, high) and stream; key words are the seed's low and
 * high half. */
static void known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], answer[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        const uint32_t *counter = vectors[i].counter, *key = vectors[i].key;
        struct philox_block block = philox((uint64_t)key[1] << 32 | key[0], counter[3],
                                           (uint64_t)counter[2] << 32 | counter[1], counter[0]);
        assert_memory_equal(block.word, vectors[i].answer, sizeof block.word);
    }
}

static void uniform_stays_below_one(void **state) {
    (void)state;
    assert_true(philox_uniform(0) == 0.0f);
    assert_true(philox_uniform(0xff) == 0.0f); /* the low eight bits do not count */
    assert_true(philox_uniform(0x80000000) == 0.5f);
    assert_true(philox_uniform(0xffffffff) == 1.0f - 0x1p-24f);
}

static void below_stays_below_its_bound(void **state) {
    (void)state;
    assert_int_equal(philox_below(0, 9), 0);
    assert_int_equal(philox_below(0xffffffff, 9), 8);
    assert_int_equal(philox_below(0xffffffff, 1), 0);
    assert_int_equal(philox_below(0xffffffff, 0xffffffff), 0xfffffffe);
}

/* 40,000 draws into 10 boxes, 4,000 expected in each: chi-square with 9 degrees of freedom exceeds
 * 33.7 for one seed in 10,000; this seed is fixed. */
static void words_are_even(void **state) {
    (void)state;
    enum { BOXES = 10, BLOCKS = 10000, EXPECTED = 4 * BLOCKS / BOXES };
    int boxes[BOXES] = {0};
    for (uint32_t i = 0; i < BLOCKS; i++) {
        struct philox_block block = philox(1, PHILOX_SHUFFLE, 0, i);
        for (int j = 0; j < 4; j++)
            boxes[philox_below(block.word[j], BOXES)]++;
    }
    double chi_square = 0;
    for (int i = 0; i < BOXES; i++)
        chi_square += (double)(boxes[i] - EXPECTED) * (boxes[i] - EXPECTED) / EXPECTED;
    assert_true(chi_square < 33.7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(uniform_stays_below_one),
        cmocka_unit_test(below_stays_below_its_bound),
        cmocka_unit_test(words_are_even),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
