/* test_model_weights.c: a model's weights by name, exported and imported into another model on each
 * backend; and imports that are refused. */
#include "compare.h"
#include "device_fixture.h"
#include "memory.h"
#include "model/feed.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

enum { IMAGES = 2 };

/* ---- models ---------------------------------------------------------------------------------- */

/* A model with something to compute on. */
struct trial {
    struct fixture *f;
    struct recipe recipe;
    struct model *model;
    struct image_set set;
    struct feed *feed;
};

static void open_trial(struct trial *out, struct fixture *f, enum recipe_kind kind,
                       enum norm_kind norm, uint64_t seed) {
    struct network network;
    const struct model_options options = {
        .batch = IMAGES, .momentum = 0.9f, .nesterov = true, .replay = true};
    const struct loader_options order = {.batch_size = IMAGES};
    *out = (struct trial){.f = f, .recipe = *recipe_find(kind, norm)};
    assert_succeeded(network_build(&f->error, &network, &out->recipe), &f->error);
    must(f, "model_create",
         model_create(&f->error, &out->model, f->backend, f->device, &network, &options));
    must(f, "model_initialize", model_initialize(&f->error, out->model, seed));
    assert_succeeded(synthetic_fill(&f->error, &out->set, 5, 0, IMAGES), &f->error);
    must(f, "feed_create",
         feed_create(&f->error, &out->feed, f->backend, f->device, &out->set, &order));
}

static void close_trial(struct trial *trial) {
    feed_destroy(trial->feed);
    model_destroy(trial->model);
    image_set_free(&trial->set);
}

/* Passes over the images; returns the loss of the last pass. */
static double pass(struct trial *trial, bool training, int times) {
    struct error *error = &trial->f->error;
    const struct step_state state = {.step = 1, .learning_rate = 0.05f};
    struct counters counters = {0};
    struct device_batch batch;
    for (int i = 0; i < times; i++) {
        must(trial->f, "feed_begin", feed_begin(error, trial->feed, 0, 0));
        must(trial->f, "feed_next", feed_next(error, trial->feed, &batch, &state));
        must(trial->f, "step", model_step(error, trial->model, &batch, training));
        must(trial->f, "feed_release", feed_release(error, trial->feed));
        must(trial->f, "counters", model_take_counters(error, trial->model, &counters));
    }
    return counters.loss;
}

static struct tensor_list weights_of(struct trial *trial) {
    struct tensor_list list;
    must(trial->f, "model_export", model_export(&trial->f->error, trial->model, &list));
    return list;
}

static void import_ok(struct trial *trial, const struct tensor_list *list) {
    must(trial->f, "model_import", model_import(&trial->f->error, trial->model, list, "a file"));
}

/* ---- export and import ----------------------------------------------------------------------- */

/* The same tensors; the same bits, except for filters that were standardized a second time. */
static void check_lists(const struct tensor_list *actual, const struct tensor_list *expected,
                        float filter_norm) {
    assert_int_equal(actual->count, expected->count);
    for (int i = 0; i < expected->count; i++) {
        const struct tensor *a = &actual->tensors[i], *b = &expected->tensors[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->bytes, b->bytes);
        bool filters = filter_norm > 0 && b->dimensions == 4 && b->shape[2] == 3;
        if (!filters) {
            check_bytes(b->name, a->data, b->data, b->bytes);
            continue;
        }
        const float *values = a->data, *due = b->data;
        for (size_t k = 0; k < b->bytes / sizeof(float); k++)
            check_close(b->name, (double)values[k], (double)due[k], 0, 1e-6);
    }
}

/* From a trained model into one with other weights, statistics and momentum, and into an untrained
 * one: all three compute the same, and the latter two continue training identically, which they
 * would not with the old momentum. */
static void there_and_back(struct fixture *f, enum recipe_kind kind, enum norm_kind norm) {
    struct trial source, used, fresh;
    case_name("%s, %s", recipe_option(kind), norm_option(norm));
    open_trial(&source, f, kind, norm, 1);
    open_trial(&used, f, kind, norm, 2);
    open_trial(&fresh, f, kind, norm, 3);
    pass(&source, true, 2);
    pass(&used, true, 3);
    struct tensor_list list = weights_of(&source);
    import_ok(&used, &list);
    import_ok(&fresh, &list);
    struct tensor_list again = weights_of(&used);
    check_lists(&again, &list, source.recipe.filter_norm);
    double loss = pass(&source, false, 1);
    check_close("loss", pass(&used, false, 1), loss, source.recipe.filter_norm > 0 ? 1e-5 : 0, 0);
    pass(&used, true, 2);
    pass(&fresh, true, 2);
    struct tensor_list trained = weights_of(&used), due = weights_of(&fresh);
    check_lists(&trained, &due, 0);
    tensor_list_free(&list);
    tensor_list_free(&again);
    tensor_list_free(&trained);
    tensor_list_free(&due);
    close_trial(&source);
    close_trial(&used);
    close_trial(&fresh);
}

#define THERE_AND_BACK(name, kind, norm)                                                           \
    static void name(void **state) {                                                               \
        there_and_back(fixture_of(state), kind, norm);                                             \
    }
THERE_AND_BACK(reference_batch_norm, RECIPE_REFERENCE, NORM_BATCH)
THERE_AND_BACK(reference_group_norm, RECIPE_REFERENCE, NORM_GROUP)
THERE_AND_BACK(reference_layer_norm, RECIPE_REFERENCE, NORM_LAYER)
THERE_AND_BACK(tuned_batch_norm, RECIPE_TUNED, NORM_BATCH)
THERE_AND_BACK(tuned_group_norm, RECIPE_TUNED, NORM_GROUP)
THERE_AND_BACK(tuned_layer_norm, RECIPE_TUNED, NORM_LAYER)

/* ---- what is refused ------------------------------------------------------------------------- */

static struct tensor *named(struct tensor_list *list, const char *name) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->tensors[i].name, name) == 0)
            return &list->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void drop(struct tensor_list *list, const char *name) {
    *named(list, name) = list->tensors[list->count - 1];
    list->count--;
}

static int64_t batches_tracked(struct tensor_list *list) {
    int64_t count;
    memcpy(&count, named(list, "convblock10.2.num_batches_tracked")->data, sizeof count);
    return count;
}

#define REFUSED(trial, list, ...)                                                                  \
    FAILED(model_import(&(trial)->f->error, (trial)->model, list, "a file"), STATUS_BAD_DATA,      \
           &(trial)->f->error, "a file", __VA_ARGS__)

/* Changes to a correct list, and the names in the messages. */
static void refuse_changes(struct trial *trial, const struct tensor_list *right) {
    struct tensor_list list = *right;
    drop(&list, "convblock3.0.weight");
    REFUSED(trial, &list, "'convblock3.0.weight'", "missing", "norm bn, recipe reference");
    list = *right;
    drop(&list, "convblock10.2.running_var");
    REFUSED(trial, &list, "'convblock10.2.running_var'", "missing");
    list = *right;
    strcpy(named(&list, "convblock3.0.weight")->name, "convblock3.0.weights");
    REFUSED(trial, &list, "'convblock3.0.weights'", "not known");
    list = *right;
    strcpy(list.tensors[list.count].name, "convblock12.0.weight");
    list.tensors[list.count].bytes = sizeof(float);
    list.count++;
    REFUSED(trial, &list, "'convblock12.0.weight'", "not known");
    list = *right;
    named(&list, "convblock2.0.weight")->shape[0] = 16;
    named(&list, "convblock2.0.weight")->shape[1] = 32;
    REFUSED(trial, &list, "'convblock2.0.weight'", "[16, 32, 3, 3]", "[32, 16, 3, 3]");
    list = *right;
    named(&list, "convblock11.0.weight")->dimensions = 2;
    REFUSED(trial, &list, "'convblock11.0.weight'", "F32 [10, 32],", "F32 [10, 32, 1, 1]");
    list = *right;
    named(&list, "convblock1.2.bias")->type = TENSOR_I64;
    REFUSED(trial, &list, "'convblock1.2.bias'", "I64 [16]", "F32 [16]");
    list = *right;
    named(&list, "convblock1.2.num_batches_tracked")->dimensions = 1;
    REFUSED(trial, &list, "'convblock1.2.num_batches_tracked'", "I64 [0]", "I64 []");
    list.count = 0;
    REFUSED(trial, &list, "'convblock1.0.weight'", "missing");
}

static void refusals_change_nothing(void **state) {
    struct trial source, trial;
    struct fixture *f = fixture_of(state);
    case_name("refusals");
    open_trial(&source, f, RECIPE_REFERENCE, NORM_BATCH, 1);
    open_trial(&trial, f, RECIPE_REFERENCE, NORM_BATCH, 2);
    struct tensor_list list = weights_of(&source), before = weights_of(&trial);
    refuse_changes(&trial, &list);
    struct tensor_list after = weights_of(&trial);
    check_lists(&after, &before, 0);
    tensor_list_free(&list);
    tensor_list_free(&before);
    tensor_list_free(&after);
    close_trial(&source);
    close_trial(&trial);
}

/* Another order, and no num_batches_tracked, as in old files. */
static void without_counts(void **state) {
    struct trial source, trial;
    struct fixture *f = fixture_of(state);
    case_name("without num_batches_tracked");
    open_trial(&source, f, RECIPE_REFERENCE, NORM_BATCH, 1);
    open_trial(&trial, f, RECIPE_REFERENCE, NORM_BATCH, 2);
    pass(&source, true, 1);
    struct tensor_list list = weights_of(&source), some = {0};
    for (int i = list.count - 1; i >= 0; i--)
        if (list.tensors[i].type == TENSOR_F32)
            some.tensors[some.count++] = list.tensors[i];
    assert_int_equal(some.count, list.count - 8);
    import_ok(&trial, &some);
    struct tensor_list after = weights_of(&trial);
    assert_int_equal(batches_tracked(&list), 1);
    assert_int_equal(batches_tracked(&after), 0);
    for (int i = 0; i < after.count; i++)
        if (after.tensors[i].type == TENSOR_I64)
            after.tensors[i].data = named(&list, after.tensors[i].name)->data;
    check_lists(&after, &list, 0);
    import_ok(&trial, &list);
    pass(&trial, true, 2);
    struct tensor_list later = weights_of(&trial);
    assert_int_equal(batches_tracked(&later), 3); /* PyTorch keeps counting too */
    tensor_list_free(&list);
    tensor_list_free(&after);
    tensor_list_free(&later);
    close_trial(&source);
    close_trial(&trial);
}

static void put_before(struct tensor_list *list, const char *prefix) {
    for (int i = 0; i < list->count; i++) {
        char *name = list->tensors[i].name;
        memmove(name + strlen(prefix), name, strlen(name) + 1);
        memcpy(name, prefix, strlen(prefix));
    }
}

static void check_names(const struct tensor_list *actual, const struct tensor_list *expected) {
    assert_int_equal(actual->count, expected->count);
    for (int i = 0; i < expected->count; i++)
        assert_string_equal(actual->tensors[i].name, expected->tensors[i].name);
}

/* The prefixes of PyTorch's wrappers are removed if all names have them; empty tensors do no
 * harm. */
static void prefixes(void **state) {
    static const char *const goes[] = {"module.", "_orig_mod.", "_orig_mod.module.", "a.b c."};
    struct trial trial;
    struct fixture *f = fixture_of(state);
    char prefix[TENSOR_NAME_CAPACITY];
    case_name("prefixes");
    open_trial(&trial, f, RECIPE_REFERENCE, NORM_BATCH, 1);
    const struct tensor_list right = weights_of(&trial);
    struct tensor_list list = right, before;
    for (size_t i = 0; i < sizeof goes / sizeof goes[0]; i++) {
        put_before(&list, goes[i]);
        model_strip_prefix(prefix, &list, trial.model);
        assert_string_equal(prefix, goes[i]);
        check_names(&list, &right);
    }
    model_strip_prefix(prefix, &list, trial.model);
    assert_string_equal(prefix, "");
    put_before(&list, "module.");
    strcpy(list.tensors[list.count - 1].name, right.tensors[list.count - 1].name);
    before = list;
    model_strip_prefix(prefix, &list, trial.model);
    assert_string_equal(prefix, "");
    check_names(&list, &before);
    list = right;
    put_before(&list, "my");
    model_strip_prefix(prefix, &list, trial.model);
    assert_string_equal(prefix, "");
    REFUSED(&trial, &list, "'myconvblock1.0.weight'", "not known");
    list = right;
    strcpy(list.tensors[list.count++].name, "nothing");
    import_ok(&trial, &list);
    list = right;
    tensor_list_free(&list);
    close_trial(&trial);
}

/* A model that returns to a state, and a new one that gets it, continue training bit for bit
 * alike. */
static void state_there_and_back(struct fixture *f, enum recipe_kind kind, enum norm_kind norm) {
    struct trial source, fresh;
    case_name("state of %s, %s", recipe_option(kind), norm_option(norm));
    open_trial(&source, f, kind, norm, 1);
    open_trial(&fresh, f, kind, norm, 2);
    pass(&source, true, 2);
    struct tensor_list middle, end, again, elsewhere;
    must(f, "model_save_state", model_save_state(&f->error, source.model, &middle));
    pass(&source, true, 3);
    must(f, "model_save_state", model_save_state(&f->error, source.model, &end));
    must(f, "model_restore_state",
         model_restore_state(&f->error, source.model, &middle, "a checkpoint"));
    must(f, "model_restore_state",
         model_restore_state(&f->error, fresh.model, &middle, "a checkpoint"));
    pass(&source, true, 3);
    pass(&fresh, true, 3);
    must(f, "model_save_state", model_save_state(&f->error, source.model, &again));
    must(f, "model_save_state", model_save_state(&f->error, fresh.model, &elsewhere));
    check_lists(&again, &end, 0);
    check_lists(&elsewhere, &end, 0);
    const char *name = "velocity.convblock11.0.weight";
    assert_true(
        memcmp(named(&end, name)->data, named(&middle, name)->data, named(&end, name)->bytes) != 0);
    struct tensor_list *const all[] = {&middle, &end, &again, &elsewhere};
    for (int i = 0; i < 4; i++)
        tensor_list_free(all[i]);
    close_trial(&source);
    close_trial(&fresh);
}

static void states(void **state) {
    struct fixture *f = fixture_of(state);
    state_there_and_back(f, RECIPE_REFERENCE, NORM_BATCH);
    state_there_and_back(f, RECIPE_REFERENCE, NORM_LAYER);
    state_there_and_back(f, RECIPE_TUNED, NORM_GROUP);
}

/* Weights are no state, and a state is no weights file. */
static void states_and_weights(void **state) {
    struct trial trial;
    struct fixture *f = fixture_of(state);
    struct tensor_list weights, all;
    case_name("states and weights");
    open_trial(&trial, f, RECIPE_REFERENCE, NORM_GROUP, 1);
    weights = weights_of(&trial);
    must(f, "model_save_state", model_save_state(&f->error, trial.model, &all));
    FAILED(model_restore_state(&f->error, trial.model, &weights, "a file"), STATUS_BAD_DATA,
           &f->error, "'velocity.convblock1.0.weight'", "missing");
    REFUSED(&trial, &all, "'velocity.convblock1.0.weight'", "is a checkpoint", "model.safetensors");
    assert_null(tensor_list_not_finite(&all));
    float *last =
        (float *)(void *)((char *)all.storage + ((const char *)all.tensors[all.count - 1].data -
                                                 (const char *)all.storage));
    last[1] = -INFINITY;
    assert_ptr_equal(tensor_list_not_finite(&all), &all.tensors[all.count - 1]);
    tensor_list_free(&weights);
    tensor_list_free(&all);
    close_trial(&trial);
}

/* Weights of another network. */
static void other_networks(void **state) {
    struct trial bn, gn, ln, tuned;
    struct fixture *f = fixture_of(state);
    case_name("other networks");
    open_trial(&bn, f, RECIPE_REFERENCE, NORM_BATCH, 1);
    open_trial(&gn, f, RECIPE_REFERENCE, NORM_GROUP, 1);
    open_trial(&ln, f, RECIPE_REFERENCE, NORM_LAYER, 1);
    open_trial(&tuned, f, RECIPE_TUNED, NORM_LAYER, 1);
    struct tensor_list of_bn = weights_of(&bn), of_gn = weights_of(&gn), of_ln = weights_of(&ln);
    struct tensor_list of_tuned = weights_of(&tuned);
    REFUSED(&gn, &of_bn, "'convblock1.2.running_mean'", "not known", "norm gn");
    REFUSED(&bn, &of_gn, "'convblock1.2.running_mean'", "missing", "norm bn");
    REFUSED(&tuned, &of_ln, "'convblock1.0.weight'", "[8, 3, 3, 3]", "recipe tuned");
    REFUSED(&ln, &of_tuned, "'convblock1.0.weight'", "[8, 3, 3, 3]", "recipe reference");
    tensor_list_free(&of_bn);
    tensor_list_free(&of_gn);
    tensor_list_free(&of_ln);
    tensor_list_free(&of_tuned);
    close_trial(&bn);
    close_trial(&gn);
    close_trial(&ln);
    close_trial(&tuned);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_batch_norm),
        cmocka_unit_test(reference_group_norm),
        cmocka_unit_test(reference_layer_norm),
        cmocka_unit_test(tuned_batch_norm),
        cmocka_unit_test(tuned_group_norm),
        cmocka_unit_test(tuned_layer_norm),
        cmocka_unit_test(refusals_change_nothing),
        cmocka_unit_test(without_counts),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(other_networks),
        cmocka_unit_test(states),
        cmocka_unit_test(states_and_weights),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
