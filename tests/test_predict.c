/* test_predict.c: from images to logits on each backend, and from logits to probabilities. */
#include "compare.h"
#include "device_fixture.h"
#include "memory.h"
#include "model/evaluate.h"
#include "model/feed.h"
#include "model/model.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { IMAGES = 7 };

/* ---- logits ---------------------------------------------------------------------------------- */

/* Runs the set through a new model in batches of `batch`. */
static struct counters logits_of(struct fixture *f, float out[][CLASS_COUNT],
                                 const struct network *network, const struct image_set *set,
                                 int batch) {
    const struct model_options options = {.batch = batch, .replay = true};
    const struct loader_options order = {.batch_size = batch};
    const struct step_state state = {0};
    struct error *error = &f->error;
    struct model *model;
    struct feed *feed;
    struct counters counters;
    struct device_batch part;
    must(f, "model_create", model_create(error, &model, f->backend, f->device, network, &options));
    must(f, "model_initialize", model_initialize(error, model, 1));
    must(f, "feed_create", feed_create(error, &feed, f->backend, f->device, set, &order));
    must(f, "feed_begin", feed_begin(error, feed, 0, 0));
    for (int done = 0; done < set->count; done += part.count) {
        must(f, "feed_next", feed_next(error, feed, &part, &state));
        must(f, "step", model_step(error, model, &part, false));
        must(f, "feed_release", feed_release(error, feed));
        must(f, "model_logits", model_logits(error, model, out[done], part.count));
    }
    must(f, "counters", model_take_counters(error, model, &counters));
    feed_destroy(feed);
    model_destroy(model);
    return counters;
}

/* The loss and the correct answers that the device counted follow from its logits. */
static void check_against_counters(float logits[][CLASS_COUNT], const struct image_set *set,
                                   const struct counters *counters) {
    double loss = 0;
    uint64_t correct = 0;
    for (int i = 0; i < set->count; i++) {
        double probabilities[CLASS_COUNT];
        int best = 0;
        softmax(probabilities, logits[i]);
        for (int c = 1; c < CLASS_COUNT; c++)
            best = logits[i][c] > logits[i][best] ? c : best;
        loss -= log(probabilities[set->labels[i]]);
        correct += best == set->labels[i];
    }
    check_close("loss", counters->loss, loss, 1e-5, 0);
    assert_true(counters->correct == correct);
    assert_true(counters->images == (uint64_t)set->count);
}

/* Images of one set in another order: image i of the new one is image order[i] of the old one. */
static struct image_set reordered(struct fixture *f, const struct image_set *set,
                                  const int order[IMAGES]) {
    struct image_set out = {.count = IMAGES};
    must(f, "alloc", memory_alloc(&f->error, &out.images, IMAGES, IMAGE_BYTES, "images"));
    must(f, "alloc", memory_alloc(&f->error, &out.labels, IMAGES, 1, "labels"));
    for (int i = 0; i < IMAGES; i++) {
        memcpy(out.images + i * IMAGE_BYTES, set->images + order[i] * IMAGE_BYTES, IMAGE_BYTES);
        out.labels[i] = set->labels[order[i]];
    }
    return out;
}

/* An image's logits depend neither on the batch nor on the other images. On the CPU they are
 * bit-identical; elsewhere a library may choose other algorithms for another size. */
static void check_alike(const struct fixture *f, const float actual[CLASS_COUNT],
                        const float expected[CLASS_COUNT]) {
    double tolerance = strcmp(f->backend->name, "cpu") == 0 ? 0 : 1e-4;
    for (int c = 0; c < CLASS_COUNT; c++)
        check_close("logit", (double)actual[c], (double)expected[c], tolerance, tolerance);
}

static void check_network(struct fixture *f, enum recipe_kind kind, enum norm_kind norm) {
    static const int order[IMAGES] = {4, 0, 6, 2, 5, 1, 3};
    static const int batches[] = {IMAGES, 3, 1};
    float first[IMAGES][CLASS_COUNT], logits[IMAGES][CLASS_COUNT];
    struct network network;
    struct image_set set;
    case_name("%s, %s", recipe_option(kind), norm_option(norm));
    assert_succeeded(network_build(&f->error, &network, recipe_find(kind, norm)), &f->error);
    assert_succeeded(synthetic_fill(&f->error, &set, 5, 0, IMAGES), &f->error);
    struct image_set other = reordered(f, &set, order);
    struct counters counters = logits_of(f, first, &network, &set, IMAGES);
    check_against_counters(first, &set, &counters);
    assert_true(memcmp(first[0], first[1], sizeof first[0]) != 0);
    for (int b = 0; b < 3; b++) {
        counters = logits_of(f, logits, &network, &other, batches[b]);
        check_against_counters(logits, &other, &counters);
        for (int i = 0; i < IMAGES; i++)
            check_alike(f, logits[i], first[order[i]]);
    }
    memory_free(set.images);
    memory_free(set.labels);
    memory_free(other.images);
    memory_free(other.labels);
}

static void logits(void **state) {
    struct fixture *f = fixture_of(state);
    check_network(f, RECIPE_REFERENCE, NORM_BATCH);
    check_network(f, RECIPE_TUNED, NORM_GROUP);
    check_network(f, RECIPE_REFERENCE, NORM_LAYER);
}

/* ---- probabilities --------------------------------------------------------------------------- */

static void probabilities(void **state) {
    (void)state;
    static const float rows[][CLASS_COUNT] = {
        {0},
        {1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
        {-1, 0.5f, -30, 20, 3, 0, 0, 1e-3f, 7, 19},
    };
    double out[CLASS_COUNT];
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        double sum = 0;
        for (int i = 0; i < CLASS_COUNT; i++) /* too small to overflow: the textbook formula */
            sum += exp((double)rows[r][i]);
        softmax(out, rows[r]);
        for (int i = 0; i < CLASS_COUNT; i++)
            check_close("probability", out[i], exp((double)rows[r][i]) / sum, 1e-14, 0);
    }
    const float huge[CLASS_COUNT] = {FLT_MAX, -FLT_MAX, FLT_MAX, 0};
    softmax(out, huge);
    for (int i = 0; i < CLASS_COUNT; i++)
        assert_true(out[i] == (i == 0 || i == 2 ? 0.5 : 0.0));
}

int main(void) {
    const struct CMUnitTest everywhere[] = {cmocka_unit_test(logits)};
    const struct CMUnitTest here[] = {cmocka_unit_test(probabilities)};
    int failed = run_on_backends(everywhere, 1);
    return failed + cmocka_run_group_tests_name("predict", here, NULL, NULL);
}
