/* test_plan.c: the offsets of plan.h: aligned, inside their arenas, and two tensors share a place
 * only where plan.h says so. */
#include "network/plan.h"
#include "support.h"

#include "memory.h"

#include <string.h>

enum { MAX_SPANS = 256 };

/* A tensor's place in an arena, and when it holds something: forward runs over the steps 0 ...
 * layers - 1, backward over layers ... 2 * layers - 1, the last layer first. */
struct span {
    const char *layer, *what;
    size_t begin, end;
    int born, dies;
    int family; /* spans of one family may share a place, but only all of it; -1: none */
};

struct spans {
    int count;
    struct span items[MAX_SPANS];
};

static void add_span(struct spans *spans, const char *layer, const char *what, size_t offset,
                     size_t size, size_t unit, int born, int dies, int family) {
    if (offset == PLAN_NONE)
        fail_msg("%s has no %s", layer, what);
    if (offset * unit % 64 != 0)
        fail_msg("%s, %s: %zu is not a multiple of 64 bytes", layer, what, offset * unit);
    assert_true(spans->count < MAX_SPANS);
    spans->items[spans->count++] =
        (struct span){layer, what, offset, offset + size, born, dies, family};
}

static void check_pair(const struct span *a, const struct span *b) {
    bool apart = a->end <= b->begin || b->end <= a->begin;
    bool never_together = a->dies < b->born || b->dies < a->born;
    bool shared = a->family != -1 && a->family == b->family;
    if (shared && (a->begin != b->begin || a->end != b->end))
        fail_msg("%s of %s and %s of %s should share one place", a->what, a->layer, b->what,
                 b->layer);
    if (!apart && !never_together && !shared)
        fail_msg("%s of %s and %s of %s overlap", a->what, a->layer, b->what, b->layer);
}

static void check_spans(const struct spans *spans, size_t arena) {
    for (int i = 0; i < spans->count; i++) {
        if (spans->items[i].end > arena)
            fail_msg("%s of %s ends at %zu of %zu", spans->items[i].what, spans->items[i].layer,
                     spans->items[i].end, arena);
        for (int k = 0; k < i; k++)
            check_pair(&spans->items[k], &spans->items[i]);
    }
}

static bool is_conv(const struct layer *layer) {
    return layer->kind == LAYER_CONV || layer->kind == LAYER_LINEAR;
}

/* ---- parameters ------------------------------------------------------------------------------ */

/* Weight decay goes over [0, decayed_count): every convolution, and nothing of a norm. */
static void check_decay(const struct plan *plan, const struct network *network) {
    size_t convolutions_end = 0;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        const struct layer_plan *place = &plan->layers[i];
        size_t end = place->weight + (size_t)layer->weight_count;
        if (is_conv(layer)) {
            assert_true(end <= plan->decayed_count);
            convolutions_end = end > convolutions_end ? end : convolutions_end;
        }
        if (layer->kind == LAYER_NORM)
            assert_true(place->weight >= plan->decayed_count && place->bias >= plan->decayed_count);
    }
    assert_in_range(plan->decayed_count, convolutions_end, convolutions_end + 15); /* padding */
    assert_true(plan->decayed_count <= plan->parameter_count);
}

static void check_parameters(const struct plan *plan, const struct network *network) {
    struct spans weights = {0}, statistics = {0};
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        const struct layer_plan *place = &plan->layers[i];
        size_t channels = (size_t)layer->out.channels;
        if (layer->weight_count > 0)
            add_span(&weights, layer->name, "weight", place->weight, (size_t)layer->weight_count, 4,
                     0, 0, -1);
        else
            assert_true(place->weight == PLAN_NONE);
        if (layer->bias_count > 0)
            add_span(&weights, layer->name, "bias", place->bias, (size_t)layer->bias_count, 4, 0, 0,
                     -1);
        else
            assert_true(place->bias == PLAN_NONE);
        if (layer->kind == LAYER_NORM && layer->norm == NORM_BATCH) {
            add_span(&statistics, layer->name, "running_mean", place->running_mean, channels, 4, 0,
                     0, -1);
            add_span(&statistics, layer->name, "running_var", place->running_var, channels, 4, 0, 0,
                     -1);
        } else {
            assert_true(place->running_mean == PLAN_NONE && place->running_var == PLAN_NONE);
        }
    }
    check_spans(&weights, plan->parameter_count);
    check_spans(&statistics, plan->statistics_count);
    check_decay(plan, network);
    size_t used = (size_t)network_parameters(network);
    assert_in_range(plan->parameter_count, used,
                    used + 16 * 40); /* padding of 40 tensors at most */
}

/* ---- activations ----------------------------------------------------------------------------- */

/* Gradients that share a tensor: a norm's and its input's, and those of the addends of a skip. */
static void find_families(int family[MAX_LAYERS], const struct network *network) {
    for (int i = 0; i < network->layer_count; i++)
        family[i] = i;
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < network->layer_count; i++) {
            const struct layer *layer = &network->layers[i];
            bool in_place = layer->kind == LAYER_NORM && !layer->per_element;
            int other = in_place ? i : layer->skip;
            if (layer->input == LAYER_NONE || other == LAYER_NONE)
                continue;
            int low = family[layer->input] < family[other] ? family[layer->input] : family[other];
            changed = changed || family[layer->input] != low || family[other] != low;
            family[layer->input] = family[other] = low;
        }
    }
}

/* The step that first writes the gradient of layer `index`: backward of its last consumer. */
static int gradient_born(const struct network *network, int index) {
    int last = network->layer_count; /* the loss */
    for (int i = network->layer_count - 1; i > index; i--)
        if (network->layers[i].input == index || network->layers[i].skip == index) {
            last = i;
            break;
        }
    return 2 * network->layer_count - 1 - last;
}

/* Forward writes it, backward reads it: nothing else may use its place in between. */
static void add_kept(struct spans *spans, const struct network *network, int i, const char *what,
                     size_t offset, size_t bytes) {
    add_span(spans, network->layers[i].name, what, offset, bytes, 1, i, 2 * network->layer_count,
             -1);
}

static void add_layer(struct spans *spans, const struct plan *plan, const struct network *network,
                      int i, int family) {
    const struct layer *layer = &network->layers[i];
    const struct layer_plan *place = &plan->layers[i];
    size_t batch = (size_t)plan->batch, elements = batch * (size_t)shape_elements(layer->out);
    add_kept(spans, network, i, "output", place->output, elements * 4);
    /* Deferred gradients of weights are computed at the end, from the gradients of the maps. */
    add_span(spans, layer->name, "gradient", place->gradient, elements * 4, 1,
             gradient_born(network, i), 2 * network->layer_count, family);
    if (layer->kind == LAYER_NORM) {
        size_t sets =
            layer->norm == NORM_BATCH ? (size_t)layer->out.channels : batch * (size_t)layer->groups;
        add_kept(spans, network, i, "mean", place->mean, sets * 4);
        add_kept(spans, network, i, "rstd", place->rstd, sets * 4);
    } else {
        assert_true(place->mean == PLAN_NONE && place->rstd == PLAN_NONE);
    }
    if (layer->kind == LAYER_POOL)
        add_kept(spans, network, i, "code", place->code, elements);
    else
        assert_true(place->code == PLAN_NONE);
    if (layer->filter_norm > 0)
        add_kept(spans, network, i, "filter", place->filter, (size_t)layer->weight_count * 4);
    else
        assert_true(place->filter == PLAN_NONE);
}

/* A convolution adds to its input's gradient where a skip has already written there. */
static void check_accumulate(const struct plan *plan, const struct network *network) {
    for (int i = 0; i < network->layer_count; i++) {
        bool expected = false;
        for (int k = i + 1; k < network->layer_count; k++)
            if (network->layers[i].input != LAYER_NONE &&
                network->layers[k].skip == network->layers[i].input)
                expected = true;
        if (plan->layers[i].accumulate != expected)
            fail_msg("%s: accumulate is %d", network->layers[i].name, plan->layers[i].accumulate);
    }
}

static void check_activations(const struct plan *plan, const struct network *network) {
    struct spans spans = {0};
    int family[MAX_LAYERS];
    find_families(family, network);
    add_span(&spans, "image", "input", plan->input, (size_t)plan->batch * 3 * 32 * 32 * 4, 1, 0,
             2 * network->layer_count, -1);
    for (int i = 0; i < network->layer_count; i++)
        add_layer(&spans, plan, network, i, family[i]);
    check_spans(&spans, plan->activation_bytes);
    check_accumulate(plan, network);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

enum { UNIT = 64 }; /* bytes */

/* The arena in units, each with the number of the tensor that was last written there, and the
 * tensors by number. */
struct arena {
    unsigned char *owner;
    size_t units;
    int count;
    struct place {
        size_t begin, end; /* units */
    } tensors[4 * MAX_LAYERS];
};

/* Writes a tensor: its units are its own from now on. Returns its number. */
static int write_tensor(struct arena *arena, size_t offset, size_t bytes) {
    int number = ++arena->count;
    struct place place = {offset / UNIT, (offset + bytes + UNIT - 1) / UNIT};
    assert_true(offset % UNIT == 0 && place.end <= arena->units && number < 4 * MAX_LAYERS);
    memset(arena->owner + place.begin, number, place.end - place.begin);
    arena->tensors[number] = place;
    return number;
}

/* Reads a tensor: all of its units must still be its own. */
static void read_tensor(const struct arena *arena, int number, const char *reader) {
    const struct place *place = &arena->tensors[number];
    for (size_t i = place->begin; i < place->end; i++)
        if (arena->owner[i] != number)
            fail_msg("%s reads tensor %d, but tensor %d was written over it", reader, number,
                     arena->owner[i]);
}

/* One layer: reads and writes its tensors at once, so that none may lie on another. */
static void evaluate_layer(struct arena *arena, int outputs[MAX_LAYERS],
                           const int filters[MAX_LAYERS], int image, const struct plan *plan,
                           const struct network *network, int i) {
    const struct layer *layer = &network->layers[i];
    const struct layer_plan *place = &plan->layers[i];
    size_t batch = (size_t)plan->evaluation_batch;
    int input = layer->input == LAYER_NONE ? image : outputs[layer->input];
    outputs[i] = write_tensor(arena, place->evaluation_output,
                              batch * (size_t)shape_elements(layer->out) * 4);
    if (layer->kind == LAYER_NORM) {
        size_t sets =
            layer->norm == NORM_BATCH ? (size_t)layer->out.channels : batch * (size_t)layer->groups;
        int mean = write_tensor(arena, place->evaluation_mean, sets * 4);
        read_tensor(arena, write_tensor(arena, place->evaluation_rstd, sets * 4), layer->name);
        read_tensor(arena, mean, layer->name);
    }
    read_tensor(arena, outputs[i], layer->name);
    read_tensor(arena, input, layer->name);
    if (layer->skip != LAYER_NONE)
        read_tensor(arena, outputs[layer->skip], layer->name);
    if (filters[i] != 0)
        read_tensor(arena, filters[i], layer->name);
}

/* Walks two batches as the model does, with the filters of the first. */
static void check_evaluation(const struct plan *plan, const struct network *network) {
    struct error error;
    struct arena arena = {.units = plan->activation_bytes / UNIT};
    int filters[MAX_LAYERS] = {0}, outputs[MAX_LAYERS], layers = network->layer_count;
    assert_succeeded(memory_alloc(&error, &arena.owner, arena.units, 1, "the owners"), &error);
    for (int i = 0; i < layers; i++)
        if (network->layers[i].filter_norm > 0)
            filters[i] = write_tensor(&arena, plan->layers[i].filter,
                                      (size_t)network->layers[i].weight_count * 4);
    int first = arena.count;
    for (int batch = 0; batch < 2; batch++, arena.count = first) {
        int image = write_tensor(&arena, plan->evaluation_input,
                                 (size_t)plan->evaluation_batch * 3 * 32 * 32 * 4);
        for (int i = 0; i < layers; i++)
            evaluate_layer(&arena, outputs, filters, image, plan, network, i);
        read_tensor(&arena, outputs[layers - 1], "the host");
    }
    /* model_logits needs not know what ran last */
    assert_true(plan->layers[layers - 1].output == plan->layers[layers - 1].evaluation_output);
    memory_free(arena.owner);
}

/* Whether layer `reader` reads the output of layer `index`, or the images for LAYER_NONE. */
static bool reads(const struct network *network, int reader, int index) {
    const struct layer *layer = &network->layers[reader];
    return layer->input == index || (index != LAYER_NONE && layer->skip == index);
}

/* The most bytes of outputs and images that hold something at once, for one image. */
static size_t most_at_once(const struct network *network) {
    size_t most = 0;
    for (int now = 0; now < network->layer_count; now++) {
        size_t bytes = 0;
        for (int i = LAYER_NONE; i <= now; i++) {
            bool needed = i == now;
            for (int reader = now; reader < network->layer_count; reader++)
                needed = needed || reads(network, reader, i);
            if (needed)
                bytes += i == LAYER_NONE ? (size_t)3 * 32 * 32 * 4
                                         : (size_t)shape_elements(network->layers[i].out) * 4;
        }
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* An evaluation in batches as large as those of training fits into the memory of training. A larger
 * one takes little more than what it needs at once. */
static void check_evaluation_size(const struct network *network) {
    struct plan training, both, larger;
    plan_make(&training, network, 128, 1);
    plan_make(&both, network, 128, 128);
    plan_make(&larger, network, 1, 1000);
    assert_int_equal(both.activation_bytes, training.activation_bytes);
    size_t least = 1000 * most_at_once(network);
    if (larger.activation_bytes > least + least / 100)
        fail_msg("an evaluation of 1000 images takes %zu bytes, but needs %zu",
                 larger.activation_bytes, least);
}

/* ---- the plans of every network -------------------------------------------------------------- */

static void check_plans(enum recipe_kind kind, enum norm_kind norm) {
    static const int batches[][2] = {{1, 1}, {2, 3}, {3, 2}, {128, 128}, {7, 300}, {1000, 1}};
    struct network network;
    struct error error = {0};
    assert_int_equal(network_build(&error, &network, recipe_find(kind, norm)), STATUS_OK);
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++) {
        struct plan plan;
        plan_make(&plan, &network, batches[i][0], batches[i][1]);
        assert_int_equal(plan.batch, batches[i][0]);
        assert_int_equal(plan.evaluation_batch, batches[i][1]);
        check_parameters(&plan, &network);
        check_activations(&plan, &network);
        check_evaluation(&plan, &network);
    }
    check_evaluation_size(&network);
}

static void plans_of_reference(void **state) {
    (void)state;
    for (int norm = 0; norm < NORM_COUNT; norm++)
        check_plans(RECIPE_REFERENCE, (enum norm_kind)norm);
}

static void plans_of_tuned(void **state) {
    (void)state;
    for (int norm = 0; norm < NORM_COUNT; norm++)
        check_plans(RECIPE_TUNED, (enum norm_kind)norm);
}

/* 262,144 images: a layer has more elements than 32 bits can count. */
static void plan_of_a_huge_batch(void **state) {
    (void)state;
    struct network network;
    struct error error = {0};
    struct plan plan;
    const struct recipe *recipe = recipe_find(RECIPE_REFERENCE, NORM_BATCH);
    assert_int_equal(network_build(&error, &network, recipe), STATUS_OK);
    plan_make(&plan, &network, 262144, 262144);
    assert_true(plan.activation_bytes >
                (size_t)262144 * (size_t)network_activation_bytes(&network));
    check_activations(&plan, &network);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_of_reference),
        cmocka_unit_test(plans_of_tuned),
        cmocka_unit_test(plan_of_a_huge_batch),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
