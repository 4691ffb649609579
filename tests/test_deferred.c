/* test_deferred.c: gradients of weights that a backward pass leaves for finish_gradients have the
 * same bits as those that it computes at once. A backend that leaves nothing must pass, too. */
#include "compare.h"
#include "device_fixture.h"
#include "reference_ops.h"

#include <string.h>

/* One block of device memory, divided from its start. */
struct block {
    float *device, *next;
    size_t floats;
};

static void block_open(struct fixture *f, struct block *block, size_t floats) {
    must(f, "alloc",
         f->backend->alloc(&f->error, f->device, &block->device, floats * sizeof(float), "a test"));
    block->next = block->device;
    block->floats = floats;
}

static float *take(struct block *block, size_t count) {
    float *taken = block->next;
    block->next += (count + 63) / 64 * 64;
    assert_true((size_t)(block->next - block->device) <= block->floats);
    return taken;
}

static float *take_random(struct fixture *f, struct block *block, size_t count) {
    float *taken = take(block, count), *host = zeroed_bytes(count * sizeof(float));
    const double *values = random_doubles(count, -1, 1);
    for (size_t i = 0; i < count; i++)
        host[i] = (float)values[i];
    upload_now(f, taken, host, count * sizeof(float));
    return taken;
}

static void finish(struct fixture *f, const struct norm_args *norms, int count) {
    const struct finish_args args = {count, norms};
    if (f->ops->finish_gradients != NULL)
        RUN(f, finish_gradients, &args);
}

static void same_bits(struct fixture *f, const char *what, int index, const float *a,
                      const float *b, size_t count) {
    float *first = zeroed_bytes(count * sizeof(float)),
          *second = zeroed_bytes(count * sizeof(float));
    download_now(f, first, a, count * sizeof(float));
    download_now(f, second, b, count * sizeof(float));
    if (memcmp(first, second, count * sizeof(float)) != 0)
        fail_msg("%s %d: deferred, it has other bits", what, index);
}

/* ---- norms ----------------------------------------------------------------------------------- */

enum { MOST_NORMS = 40, BATCH = 3 };

/* Weights per channel and per element, in vectors and not. */
static struct norm_args norm_of(struct fixture *f, struct block *block, int i) {
    static const int pixels[] = {64, 49, 16, 225};
    struct norm_args a = {.batch = BATCH,
                          .channels = 4 + 2 * (i % 3),
                          .pixels = pixels[i % 4],
                          .groups = i % 2 == 0 ? 2 : 1,
                          .per_element = i % 3 == 1,
                          .training = true,
                          .activation = (enum activation)(i % 3),
                          .epsilon = 1e-5f,
                          .dropout = i % 5 == 0 ? 0.05f : 0,
                          .layer = i};
    size_t count = (size_t)(BATCH * a.channels * a.pixels), sets = (size_t)(BATCH * a.groups);
    a.x = take_random(f, block, count);
    a.y = take_random(f, block, count); /* of no consequence */
    a.dy = take_random(f, block, count);
    a.weight = take_random(f, block, norm_weights(&a));
    a.bias = take_random(f, block, norm_weights(&a));
    a.mean = take_random(f, block, sets);
    a.rstd = take_random(f, block, sets);
    a.state = (const struct step_state *)(const void *)take_random(f, block, 4);
    a.dx = take(block, count);
    return a;
}

static enum norm_kind kind_of(const struct norm_args *a) {
    return a->groups == 1 ? NORM_LAYER : NORM_GROUP;
}

static void run_norm(struct fixture *f, struct block *block, struct norm_args *a, bool deferred) {
    a->deferred = deferred;
    a->dweight = take(block, norm_weights(a));
    a->dbias = take(block, norm_weights(a));
    a->workspace =
        take(block, f->ops->norm[kind_of(a)].workspace(f->device, a) / sizeof(float) + 1);
    must(f, "norm backward", f->ops->norm[kind_of(a)].backward(&f->error, f->device, a));
}

static void norms_at_the_end(void **state) {
    /* The CUDA backend takes 12 norms of a kind in a launch; two of three have weights per
     * channel. */
    static const int counts[] = {1, 2, 18, 20, MOST_NORMS};
    struct fixture *f = fixture_of(state);
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        struct block block;
        struct norm_args at_once[MOST_NORMS], deferred[MOST_NORMS];
        case_begin(f, "%d norms", counts[c]);
        block_open(f, &block, (size_t)1 << 20);
        for (int i = 0; i < counts[c]; i++) {
            at_once[i] = deferred[i] = norm_of(f, &block, i);
            run_norm(f, &block, &at_once[i], false);
        }
        for (int i = 0; i < counts[c]; i++)
            run_norm(f, &block, &deferred[i], true);
        finish(f, deferred, counts[c]);
        for (int i = 0; i < counts[c]; i++) {
            size_t weights = norm_weights(&at_once[i]);
            same_bits(f, "dweight", i, at_once[i].dweight, deferred[i].dweight, weights);
            same_bits(f, "dbias", i, at_once[i].dbias, deferred[i].dbias, weights);
        }
        f->backend->release(f->device, block.device);
        case_end(f);
    }
}

/* ---- filters --------------------------------------------------------------------------------- */

enum { CONVOLUTIONS = 4, CHANNELS = 6, SIDE = 12 };

/* A branch, as between a skip and its pool: the last convolution adds to the dy of the first. */
static void run_branch(struct fixture *f, struct block *block, float *dweight[CONVOLUTIONS],
                       const float *x, const float *weight, float *gradients[CONVOLUTIONS],
                       bool deferred) {
    struct conv_args a = {.batch = BATCH,
                          .in_channels = CHANNELS,
                          .out_channels = CHANNELS,
                          .height = SIDE,
                          .width = SIDE,
                          .kernel = 3,
                          .padding = 1,
                          .x = x,
                          .weight = weight};
    size_t workspace = f->ops->conv_workspace(f->device, &a) / sizeof(float) + 1;
    a.workspace = take(block, workspace);
    a.filter_workspace = deferred ? take(block, workspace) : NULL;
    for (int i = 0; i < CONVOLUTIONS; i++) {
        dweight[i] = a.dweight = take(block, (size_t)(CHANNELS * CHANNELS * 9));
        a.dy = gradients[i];
        a.accumulate = i == CONVOLUTIONS - 1;
        a.dx = a.accumulate ? gradients[0] : gradients[i + 1];
        RUN(f, conv_backward, &a);
    }
    finish(f, NULL, 0);
}

static void filters_beside(void **state) {
    struct fixture *f = fixture_of(state);
    const size_t map = (size_t)BATCH * CHANNELS * SIDE * SIDE, weights = CHANNELS * CHANNELS * 9;
    struct block block;
    float *dweight[2][CONVOLUTIONS], *gradients[CONVOLUTIONS], *sum[2];
    case_begin(f, "a branch of convolutions");
    block_open(f, &block, (size_t)4 << 20);
    float *first = zeroed_bytes(map * sizeof(float));
    const float *x = take_random(f, &block, map), *weight = take_random(f, &block, weights);
    for (int i = 0; i < CONVOLUTIONS; i++)
        gradients[i] = take_random(f, &block, map);
    download_now(f, first, gradients[0], map * sizeof(float));
    for (int deferred = 0; deferred < 2; deferred++) {
        sum[deferred] = take(&block, map);
        gradients[0] = sum[deferred];
        upload_now(f, gradients[0], first, map * sizeof(float));
        for (int i = 1; i < CONVOLUTIONS; i++) /* nothing is left of the first run */
            upload_now(f, gradients[i], first, map * sizeof(float));
        run_branch(f, &block, dweight[deferred], x, weight, gradients, deferred);
    }
    for (int i = 0; i < CONVOLUTIONS; i++)
        same_bits(f, "dweight", i, dweight[0][i], dweight[1][i], weights);
    same_bits(f, "dx", CONVOLUTIONS - 1, sum[0], sum[1], map);
    f->backend->release(f->device, block.device);
    case_end(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norms_at_the_end),
        cmocka_unit_test(filters_beside),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
