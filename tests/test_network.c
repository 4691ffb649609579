/* test_network.c: the layer tables against the published ones, row by row; the tuned recipes. */
#include "network/network.h"
#include "network/recipe.h"
#include "support.h"

#include <string.h>

/* A row of the published tables ("Conv2d-1 [-1, 16, 32, 32] 432"); rows of ReLU and Dropout, which
 * have no layer of their own here, are left out. */
struct row {
    const char *type, *name;
    struct shape out;
    int parameters;
};

static const struct row batch_rows[] = {
    {"conv", "convblock1.0", {16, 32, 32}, 432},  {"batch_norm", "convblock1.2", {16, 32, 32}, 32},
    {"conv", "convblock2.0", {32, 32, 32}, 4608}, {"batch_norm", "convblock2.2", {32, 32, 32}, 64},
    {"conv", "convblock3.0", {16, 32, 32}, 512},  {"max_pool", "pool1", {16, 16, 16}, 0},
    {"conv", "convblock4.0", {24, 16, 16}, 3456}, {"batch_norm", "convblock4.2", {24, 16, 16}, 48},
    {"conv", "convblock5.0", {28, 16, 16}, 6048}, {"batch_norm", "convblock5.2", {28, 16, 16}, 56},
    {"conv", "convblock6.0", {32, 16, 16}, 8064}, {"batch_norm", "convblock6.2", {32, 16, 16}, 64},
    {"conv", "convblock7.0", {16, 16, 16}, 512},  {"max_pool", "pool2", {16, 8, 8}, 0},
    {"conv", "convblock8.0", {20, 8, 8}, 2880},   {"batch_norm", "convblock8.2", {20, 8, 8}, 40},
    {"conv", "convblock9.0", {26, 8, 8}, 4680},   {"batch_norm", "convblock9.2", {26, 8, 8}, 52},
    {"conv", "convblock10.0", {32, 8, 8}, 7488},  {"batch_norm", "convblock10.2", {32, 8, 8}, 64},
    {"average_pool", "gap", {32, 1, 1}, 0},       {"conv", "convblock11.0", {10, 1, 1}, 320},
};

static const struct row group_rows[] = {
    {"conv", "convblock1.0", {16, 32, 32}, 432},  {"group_norm", "convblock1.2", {16, 32, 32}, 32},
    {"conv", "convblock2.0", {32, 32, 32}, 4608}, {"group_norm", "convblock2.2", {32, 32, 32}, 64},
    {"conv", "convblock3.0", {16, 32, 32}, 512},  {"max_pool", "pool1", {16, 16, 16}, 0},
    {"conv", "convblock4.0", {24, 16, 16}, 3456}, {"group_norm", "convblock4.2", {24, 16, 16}, 48},
    {"conv", "convblock5.0", {28, 16, 16}, 6048}, {"group_norm", "convblock5.2", {28, 16, 16}, 56},
    {"conv", "convblock6.0", {32, 16, 16}, 8064}, {"group_norm", "convblock6.2", {32, 16, 16}, 64},
    {"conv", "convblock7.0", {16, 16, 16}, 512},  {"max_pool", "pool2", {16, 8, 8}, 0},
    {"conv", "convblock8.0", {20, 8, 8}, 2880},   {"group_norm", "convblock8.2", {20, 8, 8}, 40},
    {"conv", "convblock9.0", {28, 8, 8}, 5040},   {"group_norm", "convblock9.2", {28, 8, 8}, 56},
    {"conv", "convblock10.0", {32, 8, 8}, 8064},  {"group_norm", "convblock10.2", {32, 8, 8}, 64},
    {"average_pool", "gap", {32, 1, 1}, 0},       {"conv", "convblock11.0", {10, 1, 1}, 320},
};

static const struct row layer_rows[] = {
    {"conv", "convblock1.0", {8, 30, 30}, 216},
    {"layer_norm", "convblock1.2", {8, 30, 30}, 14400},
    {"conv", "convblock2.0", {10, 28, 28}, 720},
    {"layer_norm", "convblock2.2", {10, 28, 28}, 15680},
    {"conv", "convblock3.0", {8, 28, 28}, 80},
    {"max_pool", "pool1", {8, 14, 14}, 0},
    {"conv", "convblock4.0", {10, 14, 14}, 720},
    {"layer_norm", "convblock4.2", {10, 14, 14}, 3920},
    {"conv", "convblock5.0", {12, 14, 14}, 1080},
    {"layer_norm", "convblock5.2", {12, 14, 14}, 4704},
    {"conv", "convblock6.0", {14, 14, 14}, 1512},
    {"layer_norm", "convblock6.2", {14, 14, 14}, 5488},
    {"conv", "convblock7.0", {8, 14, 14}, 112},
    {"max_pool", "pool2", {8, 7, 7}, 0},
    {"conv", "convblock8.0", {10, 7, 7}, 720},
    {"layer_norm", "convblock8.2", {10, 7, 7}, 980},
    {"conv", "convblock9.0", {12, 7, 7}, 1080},
    {"layer_norm", "convblock9.2", {12, 7, 7}, 1176},
    {"conv", "convblock10.0", {14, 7, 7}, 1512},
    {"layer_norm", "convblock10.2", {14, 7, 7}, 1372},
    {"average_pool", "gap", {14, 1, 1}, 0},
    {"conv", "convblock11.0", {10, 1, 1}, 140},
};

enum { ROWS = 22 };

/* Positions in the table. */
enum { NORM1 = 1, CONV2 = 2, CONV3 = 4, POOL1 = 5, CONV7 = 12, POOL2 = 13, GAP = 20, LINEAR = 21 };

static struct network built(enum recipe_kind kind, enum norm_kind norm) {
    struct network network;
    struct error error = {0};
    const struct recipe *recipe = recipe_find(kind, norm);
    assert_non_null(recipe);
    assert_int_equal(network_build(&error, &network, recipe), STATUS_OK);
    assert_int_equal(network.recipe, kind);
    assert_int_equal(network.norm, norm);
    return network;
}

static void check_shape(const char *name, struct shape actual, struct shape expected) {
    if (memcmp(&actual, &expected, sizeof actual) != 0)
        fail_msg("%s is %d x %d x %d, should be %d x %d x %d", name, actual.channels, actual.height,
                 actual.width, expected.channels, expected.height, expected.width);
}

static void check_rows(const struct network *network, const struct row *rows, int total) {
    assert_int_equal(network->layer_count, ROWS);
    int sum = 0;
    for (int i = 0; i < ROWS; i++) {
        const struct layer *layer = &network->layers[i];
        assert_string_equal(layer->name, rows[i].name);
        assert_string_equal(layer_type(layer), rows[i].type);
        check_shape(layer->name, layer->out, rows[i].out);
        check_shape(layer->name, layer->in,
                    i == 0 ? (struct shape){3, 32, 32} : network->layers[i - 1].out);
        assert_int_equal(layer->input, i - 1); /* LAYER_NONE for the first */
        assert_int_equal(layer_parameters(layer), rows[i].parameters);
        sum += layer_parameters(layer);
    }
    assert_int_equal(sum, total);
    assert_int_equal(network_parameters(network), total);
}

/* Properties of every network: kinds, kernels, counts, and the sums over layers. */
static void check_consistency(const struct network *network) {
    int64_t bytes = 0;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *l = &network->layers[i];
        int pixels = l->out.height * l->out.width, ins = l->in.channels, outs = l->out.channels;
        bytes += 4 * (int64_t)shape_elements(l->out);
        assert_true(l->kind == LAYER_NORM || l->dropout == 0);
        switch (l->kind) {
        case LAYER_CONV:
            assert_int_equal(l->weight_count, ins * outs * l->kernel * l->kernel);
            assert_int_equal(l->bias_count, 0);
            assert_int_equal(l->multiply_adds, (int64_t)l->weight_count * pixels);
            assert_int_equal(l->kernel, i == CONV3 || i == CONV7 ? 1 : 3);
            assert_int_equal(l->out.height, l->in.height + 2 * l->padding - l->kernel + 1);
            break;
        case LAYER_NORM:
            assert_int_equal(l->norm, network->norm);
            assert_int_equal(l->weight_count, l->per_element ? outs * pixels : outs);
            assert_int_equal(l->bias_count, l->weight_count);
            assert_true(l->epsilon == 1e-5f);
            assert_true(l->groups >= 1 && outs % l->groups == 0);
            break;
        case LAYER_POOL:
            assert_int_equal(l->kernel, 2);
            if (l->skip != LAYER_NONE)
                check_shape(l->name, network->layers[l->skip].out, l->in);
            break;
        case LAYER_AVERAGE:
            assert_int_equal(i, GAP);
            break;
        case LAYER_LINEAR:
            assert_int_equal(i, LINEAR);
            assert_int_equal(l->multiply_adds, 10 * ins);
            break;
        }
    }
    assert_int_equal(network_activation_bytes(network), bytes);
}

static void check_reference_norms(const struct network *network, int groups, bool per_element,
                                  float dropout) {
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *l = &network->layers[i];
        assert_true(l->filter_norm == 0);
        if (l->kind != LAYER_NORM)
            continue;
        assert_int_equal(l->activation, RELU_BEFORE);
        assert_int_equal(l->groups, groups);
        assert_int_equal(l->per_element, per_element);
        assert_true(l->dropout == dropout);
        if (network->norm == NORM_BATCH)
            assert_true(l->stat_momentum == 0.1f);
    }
}

static void reference_batch_norm(void **state) {
    (void)state;
    struct network network = built(RECIPE_REFERENCE, NORM_BATCH);
    check_rows(&network, batch_rows, 39420);
    check_consistency(&network);
    check_reference_norms(&network, 1, false, 0.05f);
    assert_int_equal(network.layers[POOL1].skip, NORM1);
    assert_int_equal(network.layers[POOL2].skip, POOL1);
}

static void reference_group_norm(void **state) {
    (void)state;
    struct network network = built(RECIPE_REFERENCE, NORM_GROUP);
    check_rows(&network, group_rows, 40360);
    check_consistency(&network);
    check_reference_norms(&network, 4, false, 0);
    assert_int_equal(network.layers[POOL1].skip, NORM1);
    assert_int_equal(network.layers[POOL2].skip, POOL1);
}

static void reference_layer_norm(void **state) {
    (void)state;
    struct network network = built(RECIPE_REFERENCE, NORM_LAYER);
    check_rows(&network, layer_rows, 55612);
    check_consistency(&network);
    check_reference_norms(&network, 1, true, 0);
    assert_int_equal(network.layers[POOL1].skip, LAYER_NONE);
    assert_int_equal(network.layers[POOL2].skip, POOL1);
    assert_int_equal(network.layers[0].padding, 0);
    assert_int_equal(network.layers[CONV2].padding, 0);
}

/* The published hyper-parameters, except the schedule (test_schedule.c). */
static void reference_training(void **state) {
    (void)state;
    for (int norm = 0; norm < NORM_COUNT; norm++) {
        const struct recipe *recipe = recipe_find(RECIPE_REFERENCE, (enum norm_kind)norm);
        assert_non_null(recipe);
        assert_int_equal(recipe->epochs, 20);
        assert_int_equal(recipe->batch_size, 128);
        assert_true(recipe->momentum == 0.9f);
        assert_true(recipe->weight_decay == 0);
        assert_false(recipe->nesterov);
        assert_int_equal(recipe->augment, AUGMENT_NONE);
        assert_int_equal(recipe->schedule, SCHEDULE_STEPS);
    }
}

/* The tuned networks differ only in the norm, and have fewer parameters than the assignment's
 * 50,000. */
static void tuned(void **state) {
    (void)state;
    struct network first = built(RECIPE_TUNED, NORM_BATCH);
    for (int norm = 0; norm < NORM_COUNT; norm++) {
        struct network network = built(RECIPE_TUNED, (enum norm_kind)norm);
        const struct recipe *recipe = recipe_find(RECIPE_TUNED, (enum norm_kind)norm);
        check_consistency(&network);
        assert_in_range(network_parameters(&network), 1, 49999);
        assert_int_equal(network_parameters(&network), network_parameters(&first));
        assert_memory_equal(recipe->channels, recipe_find(RECIPE_TUNED, NORM_BATCH)->channels,
                            sizeof recipe->channels);
        assert_int_equal(network.layer_count, ROWS);
        for (int i = 0; i < ROWS; i++) {
            assert_string_equal(network.layers[i].name, batch_rows[i].name);
            check_shape(network.layers[i].name, network.layers[i].out, first.layers[i].out);
            assert_int_equal(network.layers[i].skip, first.layers[i].skip);
        }
        assert_true(recipe->epochs >= 1 && recipe->epochs <= 20);
    }
}

/* ---- errors and words ------------------------------------------------------------------------ */

static void expect_refusal(int groups, const char *layer) {
    struct recipe recipe = *recipe_find(RECIPE_REFERENCE, NORM_GROUP);
    struct network network;
    struct error error = {0};
    recipe.groups = groups;
    assert_int_equal(network_build(&error, &network, &recipe), STATUS_USAGE);
    assert_int_equal(error.status, STATUS_USAGE);
    if (strstr(error.text, layer) == NULL)
        fail_msg("groups %d: \"%s\" does not name %s", groups, error.text, layer);
}

static void groups_must_divide(void **state) {
    (void)state;
    expect_refusal(3, "convblock1.2");  /* 16 */
    expect_refusal(16, "convblock4.2"); /* 16, 32, then 24 */
    expect_refusal(8, "convblock5.2");  /* 16, 32, 24, then 28 */
    expect_refusal(64, "convblock1.2");
    for (int groups = 1; groups <= 4; groups *= 2) {
        struct recipe recipe = *recipe_find(RECIPE_REFERENCE, NORM_GROUP);
        struct network network;
        struct error error = {0};
        recipe.groups = groups;
        assert_int_equal(network_build(&error, &network, &recipe), STATUS_OK);
        assert_int_equal(network.layers[NORM1].groups, groups);
        assert_int_equal(network_parameters(&network), 40360);
    }
}

/* A pool adds a skip only to maps of the same shape. */
static void skips_where_shapes_allow(void **state) {
    (void)state;
    for (int changed = 0; changed < BLOCK_COUNT; changed++) {
        struct recipe recipe = *recipe_find(RECIPE_TUNED, NORM_GROUP);
        struct network network;
        struct error error = {0};
        recipe.channels[changed] += 8;
        assert_int_equal(network_build(&error, &network, &recipe), STATUS_OK);
        for (int i = 0, pool = 0; i < network.layer_count; i++) {
            const struct layer *l = &network.layers[i];
            if (l->kind != LAYER_POOL)
                continue;
            bool equal = pool++ == 0 ? changed != 0 && changed != 2 : changed != 2 && changed != 6;
            assert_int_equal(l->skip != LAYER_NONE, equal);
        }
    }
}

/* Invalid numbers of groups must not cause a division by zero. */
static void groups_below_one(void **state) {
    (void)state;
    expect_refusal(0, "convblock1.2");
    expect_refusal(-4, "convblock1.2");
}

static void dropout_of_the_recipe(void **state) {
    (void)state;
    struct recipe recipe = *recipe_find(RECIPE_REFERENCE, NORM_LAYER);
    struct network network;
    struct error error = {0};
    recipe.dropout = 0.25f;
    assert_int_equal(network_build(&error, &network, &recipe), STATUS_OK);
    for (int i = 0; i < network.layer_count; i++)
        if (network.layers[i].kind == LAYER_NORM)
            assert_true(network.layers[i].dropout == 0.25f);
}

static void words(void **state) {
    (void)state;
    assert_string_equal(norm_option(NORM_BATCH), "bn");
    assert_string_equal(norm_option(NORM_GROUP), "gn");
    assert_string_equal(norm_option(NORM_LAYER), "ln");
    assert_string_equal(norm_title(NORM_BATCH), "batch norm");
    assert_string_equal(norm_title(NORM_GROUP), "group norm");
    assert_string_equal(norm_title(NORM_LAYER), "layer norm");
    assert_string_equal(recipe_option(RECIPE_TUNED), "tuned");
    assert_string_equal(recipe_option(RECIPE_REFERENCE), "reference");
    assert_string_equal(augment_option(AUGMENT_NONE), "none");
    assert_string_equal(augment_option(AUGMENT_FLIP_CROP), "flip-crop");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_batch_norm),
        cmocka_unit_test(reference_group_norm),
        cmocka_unit_test(reference_layer_norm),
        cmocka_unit_test(reference_training),
        cmocka_unit_test(tuned),
        cmocka_unit_test(groups_must_divide),
        cmocka_unit_test(skips_where_shapes_allow),
        cmocka_unit_test(groups_below_one),
        cmocka_unit_test(dropout_of_the_recipe),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
