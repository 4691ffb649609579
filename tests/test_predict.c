/* test_predict.c: from images to logits on each backend, in batches of different sizes, and from
 * logits to probabilities. */
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
    struct image_set out;
    must(f, "alloc", image_set_make(&f->error, &out, IMAGES, "images"));
    for (int i = 0; i < IMAGES; i++) {
        out.images[i] = set->images[order[i]];
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
    image_set_free(&set);
    image_set_free(&other);
}

static void logits(void **state) {
    struct fixture *f = fixture_of(state);
    check_network(f, RECIPE_REFERENCE, NORM_BATCH);
    check_network(f, RECIPE_TUNED, NORM_GROUP);
    check_network(f, RECIPE_REFERENCE, NORM_LAYER);
}

/* ---- the batches of an evaluation ------------------------------------------------------------ */

static size_t memory_told; /* by a backend that knows how much is free; 0: it does not */

static size_t tell_memory(struct device *device) {
    (void)device;
    return memory_told;
}

static struct model *model_for(struct fixture *f, const struct backend *backend,
                               const struct network *network, int images) {
    const struct model_options options = {.batch = 2, .evaluation_images = images, .replay = true};
    struct model *model;
    must(f, "model_create", model_create(&f->error, &model, backend, f->device, network, &options));
    return model;
}

/* The batch in which a model for batches of two would evaluate. */
static int evaluation_batch(struct fixture *f, const struct backend *backend,
                            const struct network *network, int images) {
    struct model *model = model_for(f, backend, network, images);
    int batch = model_evaluation_batch(model);
    model_destroy(model);
    return batch;
}

/* The backend says which batch keeps it busy; there may be fewer images, or less memory. */
static void evaluation_batches(void **state) {
    struct fixture *f = fixture_of(state);
    struct backend backend = *f->backend;
    struct network network;
    const size_t plenty = (size_t)1 << 40;
    assert_succeeded(network_build(&f->error, &network, recipe_find(RECIPE_TUNED, NORM_GROUP)),
                     &f->error);
    backend.memory_left = tell_memory;
    memory_told = plenty;
    backend.evaluation_batch = 60;
    assert_int_equal(evaluation_batch(f, &backend, &network, 100), 60);
    assert_int_equal(evaluation_batch(f, &backend, &network, 50), 50);
    assert_int_equal(evaluation_batch(f, &backend, &network, 1), 1); /* a feed takes no more */
    /* 60 images need 360,448 * 60 bytes at once, 20.6 MiB; training needs less than 8 MiB */
    memory_told = (size_t)20 << 20;
    assert_int_equal(evaluation_batch(f, &backend, &network, 100), 2);
    memory_told = 0;
    assert_int_equal(evaluation_batch(f, &backend, &network, 100), 2);
    memory_told = plenty;
    backend.evaluation_batch = 0;
    assert_int_equal(evaluation_batch(f, &backend, &network, 100), 2);
    backend.evaluation_batch = 1;
    assert_int_equal(evaluation_batch(f, &backend, &network, 100), 2);
    int own = f->backend->evaluation_batch; /* 10,000 images: all batches have one size */
    assert_true(own == 0 || (own >= 1000 && 10000 % own == 0));
}

/* Evaluates after a training step, whose memory the evaluation uses. */
static struct score score_of_batch(struct fixture *f, float out[][CLASS_COUNT],
                                   const struct network *network, const struct image_set *set,
                                   int batch) {
    struct backend backend = *f->backend;
    const struct step_state state = {.learning_rate = 0.01f};
    const struct loader_options two = {.batch_size = 2};
    struct error *error = &f->error;
    struct feed *feeds[2];
    struct device_batch step;
    struct score score = {0};
    backend.memory_left = tell_memory;
    memory_told = (size_t)1 << 40;
    backend.evaluation_batch = batch;
    struct model *model = model_for(f, &backend, network, set->count);
    const struct loader_options order = {.batch_size = model_evaluation_batch(model)};
    assert_int_equal(order.batch_size, batch);
    must(f, "model_initialize", model_initialize(error, model, 1));
    must(f, "feed_create", feed_create(error, &feeds[0], f->backend, f->device, set, &two));
    must(f, "feed_create", feed_create(error, &feeds[1], f->backend, f->device, set, &order));
    for (int epoch = 0; epoch < 3; epoch++) { /* called, recorded, replayed */
        must(f, "feed_begin", feed_begin(error, feeds[0], epoch, 0));
        must(f, "feed_next", feed_next(error, feeds[0], &step, &state));
        must(f, "step", model_step(error, model, &step, true));
        must(f, "feed_release", feed_release(error, feeds[0]));
        must(f, "evaluate", evaluate(error, &score, out[0], model, feeds[1]));
    }
    feed_destroy(feeds[1]);
    feed_destroy(feeds[0]);
    model_destroy(model);
    return score;
}

/* Loss, number right and logits do not depend on the batch, but for rounding. */
static void check_scores(struct fixture *f, enum recipe_kind kind, enum norm_kind norm) {
    float expected[IMAGES][CLASS_COUNT], actual[IMAGES][CLASS_COUNT];
    struct network network;
    struct image_set set;
    case_name("%s, %s", recipe_option(kind), norm_option(norm));
    assert_succeeded(network_build(&f->error, &network, recipe_find(kind, norm)), &f->error);
    assert_succeeded(synthetic_fill(&f->error, &set, 5, 0, IMAGES), &f->error);
    struct score first = score_of_batch(f, expected, &network, &set, 2);
    for (int batch = 5; batch <= IMAGES; batch += 2) {
        struct score score = score_of_batch(f, actual, &network, &set, batch);
        check_close("loss", score.loss, first.loss, 1e-5, 0);
        assert_true(score.images == IMAGES && score.correct == first.correct);
        for (int i = 0; i < IMAGES; i++)
            check_alike(f, actual[i], expected[i]);
    }
    image_set_free(&set);
}

static void scores(void **state) {
    struct fixture *f = fixture_of(state);
    check_scores(f, RECIPE_REFERENCE, NORM_BATCH);
    check_scores(f, RECIPE_TUNED, NORM_GROUP);
    check_scores(f, RECIPE_REFERENCE, NORM_LAYER);
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
    const struct CMUnitTest everywhere[] = {
        cmocka_unit_test(logits), cmocka_unit_test(evaluation_batches), cmocka_unit_test(scores)};
    const struct CMUnitTest here[] = {cmocka_unit_test(probabilities)};
    int failed = run_on_backends(everywhere, 3);
    return failed + cmocka_run_group_tests_name("predict", here, NULL, NULL);
}
