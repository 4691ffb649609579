/* test_model.c: what the walk passes to each operation. Backends share the walk, so their agreement
 * proves nothing about it. Here the operations only record their arguments, which are compared with
 * the layer table, the plan's rules and the model's options. */
#include "model/device_choice.h"
#include "support.h"

#include "backend.h"
#include "model/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 4, SMALLER = 3, MAX_CALLS = 256 };

enum call_kind {
    CALL_INPUT,
    CALL_CONV,
    CALL_CONV_BACK,
    CALL_FILTER,
    CALL_FILTER_BACK,
    CALL_FINISH,
    CALL_NORM,
    CALL_NORM_BACK,
    CALL_POOL,
    CALL_POOL_BACK,
    CALL_AVERAGE,
    CALL_AVERAGE_BACK,
    CALL_LINEAR,
    CALL_LINEAR_BACK,
    CALL_LOSS,
    CALL_SGD,
    CALL_MUON
};

struct call {
    enum call_kind kind;
    int norm_kind;
    union {
        struct input_args input;
        struct conv_args conv;
        struct {
            int count;
            struct filter_args layers[MAX_LAYERS];
        } filters;
        struct {
            int count;
            struct norm_args norms[MAX_LAYERS];
        } finish;
        struct norm_args norm;
        struct pool_args pool;
        struct average_args average;
        struct linear_args linear;
        struct loss_args loss;
        struct sgd_args sgd;
        struct {
            int count;
            struct muon_matrix matrices[MAX_LAYERS];
        } muon;
    } a;
};

static struct call calls[MAX_CALLS];
static int call_count;

#define SPY(name, member, what, of_norm)                                                           \
    static enum status name(struct error *error, struct device *device,                            \
                            const struct member##_args *a) {                                       \
        (void)error, (void)device;                                                                 \
        assert_true(call_count < MAX_CALLS);                                                       \
        calls[call_count].kind = what;                                                             \
        calls[call_count].norm_kind = of_norm;                                                     \
        calls[call_count++].a.member = *a;                                                         \
        return STATUS_OK;                                                                          \
    }
SPY(spy_input, input, CALL_INPUT, 0)
SPY(spy_conv, conv, CALL_CONV, 0)
SPY(spy_conv_back, conv, CALL_CONV_BACK, 0)
SPY(spy_batch, norm, CALL_NORM, NORM_BATCH)
SPY(spy_batch_back, norm, CALL_NORM_BACK, NORM_BATCH)
SPY(spy_group, norm, CALL_NORM, NORM_GROUP)
SPY(spy_group_back, norm, CALL_NORM_BACK, NORM_GROUP)
SPY(spy_layer, norm, CALL_NORM, NORM_LAYER)
SPY(spy_layer_back, norm, CALL_NORM_BACK, NORM_LAYER)
SPY(spy_pool, pool, CALL_POOL, 0)
SPY(spy_pool_back, pool, CALL_POOL_BACK, 0)
SPY(spy_average, average, CALL_AVERAGE, 0)
SPY(spy_average_back, average, CALL_AVERAGE_BACK, 0)
SPY(spy_linear, linear, CALL_LINEAR, 0)
SPY(spy_linear_back, linear, CALL_LINEAR_BACK, 0)
SPY(spy_loss, loss, CALL_LOSS, 0)
SPY(spy_sgd, sgd, CALL_SGD, 0)

/* As SPY, for an operation on a list. */
#define SPY_LIST(name, type, what, member, list)                                                   \
    static enum status name(struct error *error, struct device *device, const struct type *a) {    \
        (void)error, (void)device;                                                                 \
        assert_true(call_count < MAX_CALLS && a->count <= MAX_LAYERS);                             \
        calls[call_count].kind = what;                                                             \
        calls[call_count].a.member.count = a->count;                                               \
        for (int i = 0; i < a->count; i++)                                                         \
            calls[call_count].a.member.list[i] = a->list[i];                                       \
        call_count++;                                                                              \
        return STATUS_OK;                                                                          \
    }
SPY_LIST(spy_filter, filter_list, CALL_FILTER, filters, layers)
SPY_LIST(spy_filter_back, filter_list, CALL_FILTER_BACK, filters, layers)
SPY_LIST(spy_finish, finish_args, CALL_FINISH, finish, norms)

SPY_LIST(spy_muon, muon_args, CALL_MUON, muon, matrices)

static struct operations spies;
static bool defers; /* the backend leaves gradients for finish_gradients */

static const struct operations *spy_operations(const struct device *device) {
    spies = *cpu_backend.operations(device); /* the workspace functions stay */
    spies.input = spy_input, spies.loss = spy_loss, spies.sgd = spy_sgd;
    spies.muon = spy_muon;
    spies.conv_forward = spy_conv, spies.conv_backward = spy_conv_back;
    spies.filter_forward = spy_filter, spies.filter_backward = spy_filter_back;
    spies.norm[NORM_BATCH].forward = spy_batch, spies.norm[NORM_BATCH].backward = spy_batch_back;
    spies.norm[NORM_GROUP].forward = spy_group, spies.norm[NORM_GROUP].backward = spy_group_back;
    spies.norm[NORM_LAYER].forward = spy_layer, spies.norm[NORM_LAYER].backward = spy_layer_back;
    spies.pool_forward = spy_pool, spies.pool_backward = spy_pool_back;
    spies.average_forward = spy_average, spies.average_backward = spy_average_back;
    spies.linear_forward = spy_linear, spies.linear_backward = spy_linear_back;
    spies.finish_gradients = defers ? spy_finish : NULL;
    return &spies;
}

/* ---- the expected walk ----------------------------------------------------------------------- */

static int at; /* the next call to look at */

static const struct call *next(enum call_kind kind) {
    assert_true(at < call_count);
    assert_int_equal(calls[at].kind, kind);
    return &calls[at++];
}

static void same_norm(const struct norm_args *n, const struct layer *layer, int i,
                      const struct device_batch *batch, bool training) {
    assert_int_equal(n->batch, batch->count);
    assert_int_equal(n->layer, i); /* each layer draws its own mask */
    assert_true(n->seed == 99 && n->state == batch->state);
    assert_int_equal(n->training, training);
    assert_true(n->dropout == layer->dropout && n->epsilon == layer->epsilon);
    assert_true(n->stat_momentum == layer->stat_momentum && n->per_element == layer->per_element);
    assert_int_equal(n->activation, layer->activation);
    assert_int_equal(n->groups, layer->groups);
    assert_int_equal(n->deferred, defers && layer->norm != NORM_BATCH);
    assert_true(!n->deferred || !n->per_element || n->dx != n->dy);
    assert_true(layer->norm != NORM_BATCH || (n->running_mean != NULL && n->running_var != NULL));
}

struct outputs {
    const void *image, *of[MAX_LAYERS], *filter[MAX_LAYERS]; /* what forward wrote */
};

static void check_filters(struct outputs *out, const struct network *network) {
    const struct call *c = NULL;
    int count = 0;
    for (int i = 0; i < network->layer_count; i++) {
        out->filter[i] = NULL;
        if (network->layers[i].filter_norm <= 0)
            continue;
        if (c == NULL)
            c = next(CALL_FILTER);
        assert_true(c->a.filters.layers[count].gain == network->layers[i].filter_norm);
        out->filter[i] = c->a.filters.layers[count++].y;
    }
    assert_true(c == NULL || c->a.filters.count == count);
}

static void check_forward(struct outputs *out, const struct network *network,
                          const struct device_batch *batch, bool training, bool augment) {
    const struct call *c = next(CALL_INPUT);
    assert_true(c->a.input.images == batch->images && c->a.input.state == batch->state);
    assert_int_equal(c->a.input.augment, augment);
    assert_true(c->a.input.seed == 99 && c->a.input.batch == batch->count);
    out->image = c->a.input.y;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        const void *x = layer->input == LAYER_NONE ? out->image : out->of[layer->input];
        switch (layer->kind) {
        case LAYER_CONV:
            c = next(CALL_CONV);
            assert_true(c->a.conv.x == x && c->a.conv.batch == batch->count);
            assert_true(out->filter[i] == NULL || c->a.conv.weight == out->filter[i]);
            out->of[i] = c->a.conv.y;
            break;
        case LAYER_NORM:
            c = next(CALL_NORM);
            assert_int_equal(c->norm_kind, layer->norm);
            assert_true(c->a.norm.x == x);
            same_norm(&c->a.norm, layer, i, batch, training);
            out->of[i] = c->a.norm.y;
            break;
        case LAYER_POOL:
            c = next(CALL_POOL);
            assert_true(c->a.pool.x == x && c->a.pool.batch == batch->count);
            assert_true(c->a.pool.skip ==
                        (layer->skip == LAYER_NONE ? NULL : out->of[layer->skip]));
            assert_int_equal(c->a.pool.code != NULL, training);
            out->of[i] = c->a.pool.y;
            break;
        case LAYER_AVERAGE:
            c = next(CALL_AVERAGE);
            assert_true(c->a.average.x == x && c->a.average.batch == batch->count);
            out->of[i] = c->a.average.y;
            break;
        case LAYER_LINEAR:
            c = next(CALL_LINEAR);
            assert_true(c->a.linear.x == x && c->a.linear.batch == batch->count);
            out->of[i] = c->a.linear.y;
            break;
        }
    }
    c = next(CALL_LOSS);
    assert_true(c->a.loss.logits == out->of[network->layer_count - 1]);
    assert_true(c->a.loss.labels == batch->labels && c->a.loss.batch == batch->count);
    assert_int_equal(c->a.loss.dlogits != NULL, training);
}

/* Where a backward pass defers gradients, it has a workspace that no other call of the step has. */
static void check_deferred(const struct call *back, const struct norm_args *n, int *deferred) {
    if (!n->deferred)
        return;
    for (const struct call *c = calls; c < calls + call_count; c++) {
        if (c->kind == CALL_CONV || c->kind == CALL_CONV_BACK)
            assert_true(c->a.conv.workspace != n->workspace);
        if (c->kind == CALL_NORM_BACK && c != back)
            assert_true(c->a.norm.workspace != n->workspace);
    }
    ++*deferred;
}

/* After the layers: deferred gradients, then those of standardized filters. */
static void check_finish(const struct outputs *out, const struct network *network, int deferred,
                         const float *const *dweight) {
    const struct call *c = NULL;
    int count = 0;
    if (defers) {
        c = next(CALL_FINISH);
        assert_int_equal(c->a.finish.count, deferred);
        for (int i = 0; i < deferred; i++)
            assert_true(c->a.finish.norms[i].deferred);
        c = NULL;
    }
    for (int i = 0; i < network->layer_count; i++) {
        if (network->layers[i].filter_norm <= 0)
            continue;
        if (c == NULL)
            c = next(CALL_FILTER_BACK);
        const struct filter_args *filter = &c->a.filters.layers[count++];
        assert_true(filter->d == dweight[i] && filter->weight != out->filter[i]);
    }
    assert_true(c == NULL || c->a.filters.count == count);
}

/* Layer i gets the gradient that its last consumer wrote. */
static void check_backward(const struct outputs *out, const struct network *network,
                           const struct device_batch *batch, const float *dlogits) {
    const void *gradient[MAX_LAYERS] = {NULL};
    const float *dweight[MAX_LAYERS] = {NULL};
    bool written[MAX_LAYERS] = {false};
    int deferred = 0;
    gradient[network->layer_count - 1] = dlogits;
    for (int i = network->layer_count - 1; i >= 0; i--) {
        const struct layer *layer = &network->layers[i];
        const void *x = layer->input == LAYER_NONE ? out->image : out->of[layer->input], *dx = NULL;
        const struct call *c;
        switch (layer->kind) {
        case LAYER_CONV:
            c = next(CALL_CONV_BACK);
            assert_true(c->a.conv.dy == gradient[i] && c->a.conv.x == x &&
                        c->a.conv.batch == batch->count);
            assert_true(out->filter[i] == NULL || c->a.conv.weight == out->filter[i]);
            assert_int_equal(c->a.conv.dx != NULL, layer->input != LAYER_NONE);
            assert_int_equal(c->a.conv.accumulate,
                             layer->input != LAYER_NONE && written[layer->input]);
            assert_true(defers == (c->a.conv.filter_workspace != NULL) &&
                        c->a.conv.filter_workspace != c->a.conv.workspace);
            dx = c->a.conv.dx;
            dweight[i] = c->a.conv.dweight;
            break;
        case LAYER_NORM:
            c = next(CALL_NORM_BACK);
            assert_int_equal(c->norm_kind, layer->norm);
            assert_true(c->a.norm.dy == gradient[i] && c->a.norm.x == x &&
                        c->a.norm.y == out->of[i]);
            same_norm(&c->a.norm, layer, i, batch, true); /* the mask of forward */
            check_deferred(c, &c->a.norm, &deferred);
            dx = c->a.norm.dx;
            break;
        case LAYER_POOL:
            c = next(CALL_POOL_BACK);
            assert_true(c->a.pool.dy == gradient[i] && c->a.pool.code != NULL);
            dx = c->a.pool.ds;
            if (layer->skip != LAYER_NONE)
                gradient[layer->skip] = dx, written[layer->skip] = true;
            break;
        case LAYER_AVERAGE:
            c = next(CALL_AVERAGE_BACK);
            assert_true(c->a.average.dy == gradient[i]);
            dx = c->a.average.dx;
            break;
        case LAYER_LINEAR:
            c = next(CALL_LINEAR_BACK);
            assert_true(c->a.linear.dy == gradient[i] && c->a.linear.x == x);
            dx = c->a.linear.dx;
            break;
        }
        if (layer->input != LAYER_NONE) {
            assert_true(!written[layer->input] || gradient[layer->input] == dx);
            gradient[layer->input] = dx, written[layer->input] = true;
        }
    }
    check_finish(out, network, deferred, dweight);
}

/* Muon gets every 3x3 filter, a row for each; SGD what follows. Returns where that begins. */
static size_t check_muon(const struct network *network, const struct plan *plan) {
    const struct call *c = next(CALL_MUON);
    int count = 0;
    size_t end = 0;
    const float *first = c->a.muon.matrices[0].weight;
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->kind != LAYER_CONV || layer->kernel != 3)
            continue;
        const struct muon_matrix *m = &c->a.muon.matrices[count++];
        assert_int_equal(m->rows, layer->out.channels);
        assert_int_equal(m->columns, layer->in.channels * 9);
        assert_true(m->weight == first + plan->layers[i].weight);
        assert_true(m->velocity != m->weight && m->gradient != m->weight);
        end = plan->layers[i].weight + (size_t)layer->weight_count;
    }
    assert_int_equal(c->a.muon.count, count);
    return (end + 15) / 16 * 16;
}

static void check_walk(enum recipe_kind kind, enum norm_kind norm,
                       const struct model_options *options, int count) {
    struct error error;
    struct network network;
    struct plan plan;
    struct model *model;
    struct device *device;
    struct outputs out;
    struct recipe recipe = *recipe_find(kind, norm);
    struct backend backend = cpu_backend;
    const struct device_options device_options = {0};
    static unsigned char memory[4 * 3072 + 64]; /* only its addresses count */
    const struct device_batch batch = {count, memory + 64, memory + 32,
                                       (const struct step_state *)(void *)memory};
    recipe.dropout = 0.05f;
    backend.operations = spy_operations;
    assert_succeeded(network_build(&error, &network, &recipe), &error);
    plan_make(&plan, &network, BATCH, BATCH);
    assert_succeeded(cpu_backend.open(&error, &device, &device_options), &error);
    assert_succeeded(model_create(&error, &model, &backend, device, &network, options), &error);

    at = call_count = 0;
    assert_succeeded(model_step(&error, model, &batch, true), &error);
    check_filters(&out, &network);
    assert_int_equal(calls[at].a.input.crop, options->crop);
    check_forward(&out, &network, &batch, true, options->augment);
    check_backward(&out, &network, &batch, calls[at - 1].a.loss.dlogits);
    size_t first = options->muon ? check_muon(&network, &plan) : 0;
    const struct sgd_args *sgd = &next(CALL_SGD)->a.sgd;
    assert_int_equal(at, call_count);
    assert_true(sgd->momentum == options->momentum && sgd->decay == options->weight_decay);
    assert_int_equal(sgd->nesterov, options->nesterov);
    assert_true(sgd->count == plan.parameter_count - first &&
                sgd->decayed == plan.decayed_count - first);
    assert_true(sgd->state == batch.state);

    for (int i = 0; i < 2; i++) { /* an evaluation standardizes the filters once */
        at = call_count = 0;
        assert_succeeded(model_step(&error, model, &batch, false), &error);
        if (i == 0)
            check_filters(&out, &network);
        check_forward(&out, &network, &batch, false, false);
        assert_int_equal(at, call_count);
    }
    model_destroy(model);
    cpu_backend.close(device);
}

static void walks(void **state) {
    (void)state;
    for (int kind = 0; kind < 2; kind++)
        for (int norm = 0; norm < NORM_COUNT; norm++)
            for (int i = 0; i < 8; i++) {
                defers = i >= 4;
                const struct model_options options = {.batch = BATCH,
                                                      .seed = 99,
                                                      .augment = i % 2 == 0,
                                                      .crop = i,
                                                      .momentum = 0.75f,
                                                      .weight_decay = i % 4 == 0 ? 0 : 0.125f,
                                                      .nesterov = i % 4 >= 2,
                                                      .muon = i % 3 == 1};
                check_walk((enum recipe_kind)kind, (enum norm_kind)norm, &options,
                           i % 4 == 3 ? SMALLER : BATCH);
            }
}

/* Standardized filters are exported as used: zero mean, an L2 norm of filter_norm. */
static void exported_filters(void **state) {
    (void)state;
    struct error error;
    struct network network;
    struct model *model;
    struct device *device;
    struct tensor_list list;
    const struct device_options device_options = {0};
    const struct model_options options = {.batch = BATCH, .seed = 99};
    int checked = 0;
    assert_succeeded(network_build(&error, &network, recipe_find(RECIPE_TUNED, NORM_GROUP)),
                     &error);
    assert_succeeded(cpu_backend.open(&error, &device, &device_options), &error);
    assert_succeeded(model_create(&error, &model, &cpu_backend, device, &network, &options),
                     &error);
    assert_succeeded(model_initialize(&error, model, 99), &error);
    assert_succeeded(model_export(&error, model, &list), &error);
    for (int i = 0; i < network.layer_count; i++)
        for (int t = 0; network.layers[i].filter_norm > 0 && t < list.count; t++) {
            const struct tensor *tensor = &list.tensors[t];
            char name[48];
            snprintf(name, sizeof name, "%s.weight", network.layers[i].name);
            if (strcmp(name, tensor->name) != 0)
                continue;
            int64_t elements = tensor->shape[1] * tensor->shape[2] * tensor->shape[3];
            for (int64_t filter = 0; filter < tensor->shape[0]; filter++) {
                double sum = 0, squares = 0;
                for (int64_t k = 0; k < elements; k++) {
                    double w = (double)((const float *)tensor->data)[filter * elements + k];
                    sum += w, squares += w * w;
                }
                assert_true(fabs(sum) < 1e-4);
                assert_true(fabs(sqrt(squares) - (double)network.layers[i].filter_norm) < 1e-4);
            }
            checked++;
        }
    assert_true(checked > 0);
    tensor_list_free(&list);
    model_destroy(model);
    cpu_backend.close(device);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(walks), cmocka_unit_test(exported_filters)};
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
