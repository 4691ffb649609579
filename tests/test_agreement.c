/* test_agreement.c: the same run on another backend and on the CPU: 20 optimizer steps of each
 * network from the same seed, with shuffling, augmentation and dropout, give the same losses.
 *
 * Both draw the same random numbers, so the losses differ by rounding alone; training makes that
 * difference grow, so the bound is tight for the first steps and wider for the last one. At the
 * recipes' own rates it grows beyond any bound, because rounding changes which element wins in a
 * pool: two instruction sets of the CPU, which sum in different orders, then differ by up to 1e-1
 * of the loss within twenty steps. So the rates are lower here: the tuned recipe's warm-up by a
 * factor of 0.3, the reference recipe, which has none, at 0.0005. */
#include "compare.h"
#include "device_fixture.h"
#include "memory.h"
#include "model/device_choice.h"
#include "model/feed.h"
#include "network/schedule.h"
#include "support.h"

#include <math.h>
#include <string.h>

/* Five steps per epoch, the last one of a smaller batch. */
enum { IMAGES = 36, BATCH = 8, STEPS = 20, STEPS_PER_EPOCH = 391 };

/* The run under test: a row of the recipe table, with everything random on. */
static struct recipe random_recipe(enum recipe_kind kind, enum norm_kind norm) {
    struct recipe recipe = *recipe_find(kind, norm);
    recipe.dropout = 0.05f;
    recipe.augment = AUGMENT_FLIP_CROP;
    recipe.learning_rate = kind == RECIPE_REFERENCE ? 5e-4f : 0.3f * recipe.learning_rate;
    return recipe;
}

struct run {
    const struct backend *backend;
    struct device *device;
    struct model *model;
    struct feed *feed;
};

static void run_open(struct run *run, const struct recipe *recipe, const struct image_set *set) {
    struct error error;
    struct network network;
    const struct model_options options = {
        .batch = BATCH,
        .seed = 7,
        .augment = true,
        .crop = 4,
        .momentum = recipe->momentum,
        .weight_decay = recipe->weight_decay,
        .nesterov = recipe->nesterov,
        .replay = true,
    };
    const struct loader_options order = {.batch_size = BATCH, .shuffle = true, .seed = 7};
    assert_succeeded(network_build(&error, &network, recipe), &error);
    assert_succeeded(
        model_create(&error, &run->model, run->backend, run->device, &network, &options), &error);
    assert_succeeded(model_initialize(&error, run->model, 7), &error);
    assert_succeeded(feed_create(&error, &run->feed, run->backend, run->device, set, &order),
                     &error);
}

static void run_close(struct run *run) {
    feed_destroy(run->feed);
    model_destroy(run->model);
    run->backend->close(run->device);
}

/* Writes the mean loss of each step. */
static void train(double losses[STEPS], struct run *run, const struct recipe *recipe) {
    struct error error;
    struct device_batch batch = {0};
    struct counters counters;
    int epoch = 0;
    for (int step = 0; step < STEPS; step++) {
        const struct step_state state = {
            .step = (uint64_t)step, .learning_rate = schedule_rate(recipe, step, STEPS_PER_EPOCH)};
        if (batch.count == 0) /* the first epoch; feed_next says 0 at the end of each */
            assert_succeeded(feed_begin(&error, run->feed, epoch++, 0), &error);
        assert_succeeded(feed_next(&error, run->feed, &batch, &state), &error);
        if (batch.count == 0) {
            step--;
            continue;
        }
        assert_succeeded(model_step(&error, run->model, &batch, true), &error);
        assert_succeeded(feed_release(&error, run->feed), &error);
        assert_succeeded(model_take_counters(&error, run->model, &counters), &error);
        assert_int_equal(counters.images, batch.count);
        losses[step] = counters.loss / (double)counters.images;
    }
}

static void check_losses(const double losses[STEPS], const double expected[STEPS]) {
    for (int step = 0; step < STEPS; step++) {
        double bound = step < 3 ? 1e-5 : 1e-3;
        double difference = fabs(losses[step] - expected[step]);
        if (!(difference <= bound * fabs(expected[step])))
            fail_msg("%s: loss of step %d: %.9g, on the CPU %.9g", case_text(), step + 1,
                     losses[step], expected[step]);
    }
    print_message("# %s: the last loss %.6f, relative difference %.1e\n", case_text(),
                  expected[STEPS - 1],
                  fabs(losses[STEPS - 1] - expected[STEPS - 1]) / fabs(expected[STEPS - 1]));
}

static void train_on_both(const struct backend *backend, struct device *device,
                          enum recipe_kind kind, enum norm_kind norm, enum batch_norm batch_norm) {
    struct error error;
    struct image_set set;
    double losses[STEPS], expected[STEPS];
    const struct device_options options = {0};
    const struct recipe recipe = random_recipe(kind, norm);
    struct run other = {.backend = backend, .device = device}, cpu = {.backend = &cpu_backend};
    assert_succeeded(synthetic_fill(&error, &set, 5, 0, IMAGES), &error);
    assert_succeeded(cpu_backend.open(&error, &cpu.device, &options), &error);
    run_open(&cpu, &recipe, &set);
    train(expected, &cpu, &recipe);
    run_close(&cpu);
    run_open(&other, &recipe, &set);
    train(losses, &other, &recipe);
    run_close(&other);
    case_name("%s, %s, %s, --batch-norm %s", backend->name, recipe_option(kind), norm_option(norm),
              batch_norm_option(batch_norm));
    check_losses(losses, expected);
    image_set_free(&set);
}

/* On every backend except the CPU's. */
static void agree(enum recipe_kind kind, enum norm_kind norm, enum batch_norm batch_norm) {
    int tried = 0;
    for (const struct backend *const *backend = backends; *backend != &cpu_backend; backend++) {
        struct error error;
        struct device *device;
        const struct device_options options = {.batch_norm = batch_norm};
        enum status status = (*backend)->open(&error, &device, &options);
        if (status == STATUS_NO_DEVICE && !gpu_required())
            continue;
        assert_succeeded(status, &error);
        train_on_both(*backend, device, kind, norm, batch_norm);
        tried++;
    }
    if (tried > 0)
        return;
    if (gpu_required())
        fail_msg("REQUIRE_GPU=1, but this program was built without a GPU backend");
    skip_because("only the CPU backend has a device here");
}

#define TEST(name, kind, norm, batch_norm)                                                         \
    static void name(void **state) {                                                               \
        (void)state;                                                                               \
        agree(kind, norm, batch_norm);                                                             \
    }
TEST(reference_batch_norm, RECIPE_REFERENCE, NORM_BATCH, BATCH_NORM_CUDNN)
TEST(reference_group_norm, RECIPE_REFERENCE, NORM_GROUP, BATCH_NORM_CUDNN)
TEST(reference_layer_norm, RECIPE_REFERENCE, NORM_LAYER, BATCH_NORM_CUDNN)
TEST(reference_own_batch_norm, RECIPE_REFERENCE, NORM_BATCH, BATCH_NORM_OWN)
TEST(tuned_own_batch_norm, RECIPE_TUNED, NORM_BATCH, BATCH_NORM_OWN)
TEST(tuned_batch_norm, RECIPE_TUNED, NORM_BATCH, BATCH_NORM_CUDNN)
TEST(tuned_group_norm, RECIPE_TUNED, NORM_GROUP, BATCH_NORM_CUDNN)
TEST(tuned_layer_norm, RECIPE_TUNED, NORM_LAYER, BATCH_NORM_CUDNN)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_batch_norm),     cmocka_unit_test(reference_group_norm),
        cmocka_unit_test(reference_layer_norm),     cmocka_unit_test(tuned_batch_norm),
        cmocka_unit_test(reference_own_batch_norm), cmocka_unit_test(tuned_own_batch_norm),
        cmocka_unit_test(tuned_group_norm),         cmocka_unit_test(tuned_layer_norm),
    };
    return cmocka_run_group_tests_name("agreement", tests, NULL, NULL);
}
