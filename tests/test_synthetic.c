/* test_synthetic.c: the synthetic set is the same everywhere, balanced, and not too easy: simple
 * classifiers that do not see shapes stay near chance on it. Training tests show that networks
 * learn it. */
#include "support.h"

#include "data/dataset.h"
#include "memory.h"

#include <string.h>

enum { TRAIN = 10000, TEST = 2000 };

static void make(struct image_set *out, uint64_t seed, int first, int count) {
    struct error error;
    assert_succeeded(synthetic_fill(&error, out, seed, first, count), &error);
    assert_int_equal(out->count, count);
}

static void drop(struct image_set *set) {
    image_set_free(set);
}

/* ---- what it is ------------------------------------------------------------------------------ */

/* A change of the bytes must be noticed: runs are compared across machines and versions. */
static void the_bytes_are_pinned(void **state) {
    (void)state;
    static const struct {
        uint64_t seed, hash;
        int first;
    } pinned[] = {
        {1, UINT64_C(0x744067d49a4b79f9), 0},
        {UINT64_C(0x123456789abcdef0), UINT64_C(0x9c72fbebb9094358), TRAIN},
    };
    for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++) {
        struct image_set set;
        make(&set, pinned[i].seed, pinned[i].first, 1000);
        uint64_t hash = hash_bytes(set.pixels, (size_t)set.count * IMAGE_BYTES);
        drop(&set);
        if (hash != pinned[i].hash)
            fail_msg("the images of seed %#llx hash to %#018llx",
                     (unsigned long long)pinned[i].seed, (unsigned long long)hash);
    }
}

/* An image depends only on its number, not on the size of the set. */
static void an_image_is_a_function_of_its_number(void **state) {
    (void)state;
    struct image_set whole, part;
    make(&whole, 7, 0, 60);
    make(&part, 7, 33, 20);
    assert_memory_equal(part.pixels, whole.images[33], 20 * IMAGE_BYTES);
    assert_memory_equal(part.labels, whole.labels + 33, 20);
    drop(&whole);
    drop(&part);
}

static void seeds_differ(void **state) {
    (void)state;
    static const uint64_t others[] = {0, 2, UINT64_C(1) << 32 | 1, UINT64_MAX};
    struct image_set one, other;
    make(&one, 1, 0, 100);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        make(&other, others[i], 0, 100);
        for (int n = 0; n < 100; n++)
            assert_memory_not_equal(one.images[n], other.images[n], IMAGE_BYTES);
        drop(&other);
    }
    drop(&one);
}

static void images_differ(void **state) {
    (void)state;
    enum { COUNT = 2000 };
    static uint64_t hashes[COUNT];
    struct image_set set;
    make(&set, 1, 0, COUNT);
    for (int i = 0; i < COUNT; i++) {
        hashes[i] = hash_bytes(set.images[i], IMAGE_BYTES);
        for (int j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
    }
    drop(&set);
}

static void classes_are_balanced(void **state) {
    (void)state;
    int counts[CLASS_COUNT] = {0};
    struct image_set set;
    make(&set, 1, TRAIN, TEST);
    for (int i = 0; i < TEST; i++) {
        assert_in_range(set.labels[i], 0, CLASS_COUNT - 1);
        counts[set.labels[i]]++;
    }
    for (int i = 0; i < CLASS_COUNT; i++)
        assert_int_equal(counts[i], TEST / CLASS_COUNT);
    drop(&set);
}

static void classes_have_names(void **state) {
    (void)state;
    for (int i = 0; i < CLASS_COUNT; i++) {
        assert_non_null(synthetic_class_names[i]);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(synthetic_class_names[i], synthetic_class_names[j]);
    }
}

static void an_empty_set_is_fine(void **state) {
    (void)state;
    struct image_set set;
    make(&set, 1, 0, 0);
    drop(&set);
}

/* ---- what it is not: separable by something simple ------------------------------------------- */

/* A class's mean, in a space of up to IMAGE_BYTES dimensions. */
static float means[CLASS_COUNT][IMAGE_BYTES];

/* Writes the features of one image, returns how many. */
typedef int feature_function(float out[IMAGE_BYTES], const uint8_t *image);

static int pixels(float out[IMAGE_BYTES], const uint8_t *image) {
    for (int i = 0; i < IMAGE_BYTES; i++)
        out[i] = image[i];
    return IMAGE_BYTES;
}

/* Mean and variance of each colour: roughly what is left if the pixels are shuffled. */
static int colours(float out[IMAGE_BYTES], const uint8_t *image) {
    for (int c = 0; c < IMAGE_CHANNELS; c++) {
        float sum = 0, squares = 0;
        for (int i = 0; i < IMAGE_PIXELS; i++) {
            float pixel = image[c * IMAGE_PIXELS + i];
            sum += pixel;
            squares += pixel * pixel;
        }
        float mean = sum / IMAGE_PIXELS;
        out[2 * c] = mean;
        out[2 * c + 1] = squares / IMAGE_PIXELS - mean * mean;
    }
    return 2 * IMAGE_CHANNELS;
}

static void learn_means(const struct image_set *train, feature_function *feature) {
    static float features[IMAGE_BYTES];
    int counts[CLASS_COUNT] = {0};
    memset(means, 0, sizeof means);
    for (int i = 0; i < train->count; i++) {
        int size = feature(features, train->images[i]);
        float *mean = means[train->labels[i]];
        float weight = 1.0f / (float)++counts[train->labels[i]];
        for (int j = 0; j < size; j++) /* running mean */
            mean[j] += weight * (features[j] - mean[j]);
    }
}

static int nearest_mean(const float *features, int size) {
    int nearest = 0;
    float least = -1;
    for (int c = 0; c < CLASS_COUNT; c++) {
        float distance = 0;
        for (int j = 0; j < size; j++)
            distance += (features[j] - means[c][j]) * (features[j] - means[c][j]);
        if (least < 0 || distance < least)
            nearest = c, least = distance;
    }
    return nearest;
}

/* Percent of `test` that the nearest mean of `train` classifies correctly. */
static double nearest_mean_accuracy(const struct image_set *train, const struct image_set *test,
                                    feature_function *feature) {
    static float features[IMAGE_BYTES];
    int right = 0;
    learn_means(train, feature);
    for (int i = 0; i < test->count; i++) {
        int size = feature(features, test->images[i]);
        right += nearest_mean(features, size) == test->labels[i];
    }
    return 100.0 * right / test->count;
}

/* Percent of `test` whose nearest image in `train`, pixel by pixel, has the same label. */
static double nearest_neighbour_accuracy(const struct image_set *train,
                                         const struct image_set *test) {
    int right = 0;
    for (int i = 0; i < test->count; i++) {
        const uint8_t *a = test->images[i];
        int label = -1;
        int64_t least = INT64_MAX;
        for (int j = 0; j < train->count; j++) {
            const uint8_t *b = train->images[j];
            int distance = 0; /* at most 3072 * 255^2, below 2^31 */
            for (int k = 0; k < IMAGE_BYTES; k++)
                distance += (a[k] - b[k]) * (a[k] - b[k]);
            if (distance < least)
                label = train->labels[j], least = distance;
        }
        right += label == test->labels[i];
    }
    return 100.0 * right / test->count;
}

static void simple_classifiers_fail(void **state) {
    (void)state;
    struct image_set train, test, few;
    make(&train, 1, 0, TRAIN);
    make(&test, 1, TRAIN, TEST);
    make(&few, 1, TRAIN, 100);
    double by_pixels = nearest_mean_accuracy(&train, &test, pixels);
    double by_colours = nearest_mean_accuracy(&train, &test, colours);
    train.count = 1000;
    double by_neighbour = nearest_neighbour_accuracy(&train, &few);
    print_message("# right: nearest mean of pixels %.1f %%, of colours %.1f %%, nearest neighbour "
                  "%.1f %%\n",
                  by_pixels, by_colours, by_neighbour);
    assert_true(by_pixels < 25 && by_colours < 25 && by_neighbour < 40);
    drop(&train);
    drop(&test);
    drop(&few);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_bytes_are_pinned),
        cmocka_unit_test(an_image_is_a_function_of_its_number),
        cmocka_unit_test(seeds_differ),
        cmocka_unit_test(images_differ),
        cmocka_unit_test(classes_are_balanced),
        cmocka_unit_test(classes_have_names),
        cmocka_unit_test(an_empty_set_is_fine),
        cmocka_unit_test(simple_classifiers_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
