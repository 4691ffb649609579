/* test_fixtures.c: whole networks against PyTorch: logits, loss and gradients of a first step, and
 * the changes after five steps of SGD, and of Muon with SiLU, computed by tests/reference/make_fixtures.py in
 * float64.
 *
 * That script says what the files hold and why. Start weights and images are drawn here as in the
 * script; for a large tensor the files hold random projections, from which its relative error is
 * estimated. */
#include "compare.h"
#include "data/dataset.h"
#include "device_fixture.h"
#include "memory.h"
#include "model/feed.h"
#include "model/model_private.h"
#include "model/weights.h"
#include "philox.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FEATURES = 64, STEPS = 5, NAME_CAPACITY = 64 };
enum { COARSE = 0x400, FINE, LABELS, SIGNS }; /* Philox streams, beside the state's, from 0 on */

/* Bounds on relative errors: of the first step, and of the changes after STEPS steps. Rounding can
 * turn which element of a pool wins, or what passes a ReLU, and later steps make that larger: up to
 * 2.4.1e-3 in one network of 18 with Winograd's rounding on the CPU, where it is 9e-5 without, and up
 * to 0.054 with cuDNN's as the stand-in has it with CUDASIM_CUDNN=rough. The other kind of momentum
 * makes 0.28 or more. A mistake of less shows in more than one network. */
static const double first_bound = 1e-4, change_bound = 1e-3, turned_bound = 1e-2,
                    rough_change_bound = 0.15;
static int turned; /* networks beyond change_bound, of all instruction sets */

/* ---- expected values ------------------------------------------------------------------------- */

/* One file of tests/reference. */
struct expected {
    char path[128];
    struct tensor_list list;
    json_t *settings;
    int compared;   /* tensors so far */
    double largest; /* relative error so far */
};

static void expected_open(struct expected *out, const struct recipe *recipe, const char *what) {
    struct error error;
    *out = (struct expected){0};
    snprintf(out->path, sizeof out->path, "tests/reference/%s-%s-%s.safetensors",
             norm_option(recipe->norm), recipe_option(recipe->kind), what);
    assert_succeeded(weights_read(&error, &out->list, &out->settings, out->path), &error);
}

/* Everything in the file must have been compared. */
static void expected_close(struct expected *file) {
    if (file->compared != file->list.count)
        fail_msg("%s: %d of %d tensors were compared", file->path, file->compared,
                 file->list.count);
    tensor_list_free(&file->list);
    json_decref(file->settings);
}

static double setting(const struct expected *file, const char *name) {
    const char *text = json_string_value(json_object_get(file->settings, name));
    char *end = NULL;
    double value = text == NULL ? 0 : strtod(text, &end);
    if (text == NULL || end == text || *end != '\0')
        fail_msg("%s: its metadata has no number '%s'", file->path, name);
    return value;
}

/* The features of a tensor in the files: its elements if there are at most FEATURES, otherwise that
 * many sums with random signs. Returns their count. */
static int features(double out[FEATURES], const float *values, int count) {
    memset(out, 0, FEATURES * sizeof *out);
    for (int i = 0; i < count; i++) {
        if (count <= FEATURES) {
            out[i] = (double)values[i];
            continue;
        }
        struct philox_block draw = philox(0, SIGNS, 0, (uint32_t)i);
        uint64_t signs = (uint64_t)draw.word[1] << 32 | draw.word[0];
        for (int j = 0; j < FEATURES; j++)
            out[j] += (signs >> j & 1) != 0 ? -(double)values[i] : (double)values[i];
    }
    return count < FEATURES ? count : FEATURES;
}

static const struct tensor *find(const struct expected *file, const char *name) {
    for (int i = 0; i < file->list.count; i++)
        if (strcmp(file->list.tensors[i].name, name) == 0)
            return &file->list.tensors[i];
    fail_msg("%s: no tensor %s", file->path, name);
    return NULL;
}

/* Fails unless the tensor's relative error, in the L2 norm, is within the bound. */
static void check(struct expected *file, const char *name, const float *values, int count,
                  double bound) {
    double actual[FEATURES], error = 0, size = 0;
    const struct tensor *tensor = find(file, name);
    const float *due = tensor->data;
    int found = features(actual, values, count);
    assert_int_equal(tensor->bytes, (size_t)found * sizeof *due);
    for (int i = 0; i < found; i++) {
        error += (actual[i] - (double)due[i]) * (actual[i] - (double)due[i]);
        size += (double)due[i] * (double)due[i];
    }
    double relative = sqrt(error / size);
    if (!(relative <= bound))
        fail_msg("%s: %s: relative error %.2e, allowed %.0e (%s)", case_text(), name, relative,
                 bound, file->path);
    file->largest = fmax(file->largest, relative);
    file->compared++;
}

/* ---- random inputs --------------------------------------------------------------------------- */

/* Element `index` of a stream; each has its own word. */
static uint32_t draw(uint64_t seed, uint32_t stream, uint64_t step, uint32_t index) {
    return philox(seed, stream, step, index / 4).word[index % 4];
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* Start value of an element of a state tensor; u is exact, and so is every value except the
 * convolutions'. */
static float start_value(const struct tensor *tensor, double u) {
    const int64_t *shape = tensor->shape; /* of a filter: [out, in, height, width] */
    if (tensor->dimensions == 4)
        return (float)((2 * u - 1) * sqrt(3 / (double)(shape[1] * shape[2] * shape[3])));
    bool scale = ends_with(tensor->name, "weight") || ends_with(tensor->name, "running_var");
    return (float)(u + (scale ? 0.5 : -0.5));
}

/* Imports the start weights; the streams count the tensors of the state dict. */
static void import_start(struct fixture *f, struct model *model, uint64_t seed) {
    struct tensor_list list;
    must(f, "model_export", model_export(&f->error, model, &list));
    for (int t = 0; t < list.count; t++) {
        struct tensor *tensor = &list.tensors[t];
        if (tensor->type != TENSOR_F32)
            continue;
        float *values = zeroed_bytes(tensor->bytes);
        for (size_t i = 0; i < tensor->bytes / sizeof *values; i++)
            values[i] = start_value(
                tensor, (double)philox_uniform(draw(seed, (uint32_t)t, 0, (uint32_t)i)));
        tensor->data = values;
    }
    must(f, "model_import", model_import(&f->error, model, &list, "the start weights"));
    tensor_list_free(&list);
}

/* Images of 4 x 4 squares, each of one value per channel, plus noise. */
static void draw_images(struct image_set *set, uint64_t seed) {
    for (int n = 0; n < set->count; n++) {
        set->labels[n] = (uint8_t)philox_below(draw(seed, LABELS, 0, (uint32_t)n), CLASS_COUNT);
        for (int i = 0; i < IMAGE_BYTES; i++) {
            int channel = i / IMAGE_PIXELS, row = i / IMAGE_SIDE % IMAGE_SIDE / 8;
            int square = (channel * 4 + row) * 4 + i % IMAGE_SIDE / 8;
            uint32_t coarse = draw(seed, COARSE, (uint64_t)n, (uint32_t)square) >> 24;
            uint32_t fine = draw(seed, FINE, (uint64_t)n, (uint32_t)i) >> 24;
            set->pixels[n * IMAGE_BYTES + i] = (uint8_t)((coarse + fine) / 2);
        }
    }
}

/* ---- the model ------------------------------------------------------------------------------- */

struct trial {
    struct fixture *f;
    struct model *model;
    struct feed *feed;
    struct image_set set;
    float learning_rate;
};

static void open_trial(struct trial *out, struct fixture *f, const struct recipe *recipe,
                       const struct expected *file, bool nesterov, bool muon) {
    struct network network;
    const int batch = (int)setting(file, "batch_size"), images = (int)setting(file, "images");
    const uint64_t seed = (uint64_t)setting(file, "seed");
    const struct model_options options = {
        .batch = batch,
        .momentum = (float)setting(file, "momentum"),
        .weight_decay = (float)setting(file, "weight_decay"),
        .nesterov = nesterov,
        .muon = muon,
        .muon_momentum = muon ? (float)setting(file, "muon_momentum") : 0,
        .muon_scale = muon ? (float)setting(file, "muon_scale") : 0,
        .replay = true};
    const struct loader_options order = {.batch_size = batch};
    *out = (struct trial){.f = f, .learning_rate = (float)setting(file, "learning_rate")};
    must(f, "image_set_make", image_set_make(&f->error, &out->set, images, "images"));
    draw_images(&out->set, seed);
    assert_succeeded(network_build(&f->error, &network, recipe), &f->error);
    must(f, "model_create",
         model_create(&f->error, &out->model, f->backend, f->device, &network, &options));
    import_start(f, out->model, seed);
    must(f, "feed_create",
         feed_create(&f->error, &out->feed, f->backend, f->device, &out->set, &order));
}

static void close_trial(struct trial *trial) {
    feed_destroy(trial->feed);
    model_destroy(trial->model);
    image_set_free(&trial->set);
}

/* Runs a step on the next batch; returns its mean loss. */
static float run_step(struct trial *trial, int step, bool training) {
    struct fixture *f = trial->f;
    struct device_batch batch;
    struct counters counters = {0};
    const struct step_state state = {.step = (uint64_t)step, .learning_rate = trial->learning_rate};
    must(f, "feed_next", feed_next(&f->error, trial->feed, &batch, &state));
    assert_true(batch.count > 0);
    must(f, "step", model_step(&f->error, trial->model, &batch, training));
    must(f, "feed_release", feed_release(&f->error, trial->feed));
    must(f, "counters", model_take_counters(&f->error, trial->model, &counters));
    assert_int_equal(counters.images, batch.count);
    return (float)(counters.loss / (double)counters.images);
}

static void begin_pass(struct trial *trial) {
    must(trial->f, "feed_begin", feed_begin(&trial->f->error, trial->feed, 0, 0));
}

/* A copy of device memory, until the network is done. */
static float *copy_of(struct trial *trial, const void *device_from, size_t count) {
    float *copy = zeroed_bytes(count * sizeof *copy);
    download_now(trial->f, copy, device_from, count * sizeof *copy);
    return copy;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* Checks "what.layer.tensor", which lies at `offset` of an arena. */
static void check_part(struct expected *file, const char *what, const struct layer *layer,
                       const char *tensor, const float *arena, size_t offset, int count,
                       double bound) {
    char name[NAME_CAPACITY];
    if (count == 0)
        return;
    snprintf(name, sizeof name, "%s.%s.%s", what, layer->name, tensor);
    check(file, name, arena + offset, count, bound);
}

/* Every weight and bias, of an arena laid out as the parameters are. */
static void check_parameters(struct expected *file, const struct model *model, const char *what,
                             const float *arena, double bound) {
    for (int i = 0; i < model->network.layer_count; i++) {
        const struct layer *layer = &model->network.layers[i];
        const struct layer_plan *place = &model->plan.layers[i];
        check_part(file, what, layer, "weight", arena, place->weight, layer->weight_count, bound);
        check_part(file, what, layer, "bias", arena, place->bias, layer->bias_count, bound);
    }
}

static void check_statistics(struct expected *file, const struct model *model, const char *what,
                             const float *arena, double bound) {
    for (int i = 0; i < model->network.layer_count; i++) {
        const struct layer *layer = &model->network.layers[i];
        const struct layer_plan *place = &model->plan.layers[i];
        if (layer->kind != LAYER_NORM || layer->norm != NORM_BATCH)
            continue;
        check_part(file, what, layer, "running_mean", arena, place->running_mean,
                   layer->out.channels, bound);
        check_part(file, what, layer, "running_var", arena, place->running_var, layer->out.channels,
                   bound);
    }
}

/* Logits and mean loss of the model's last batch, a full one. */
static void check_outputs(struct expected *file, struct trial *trial, const char *prefix,
                          float loss) {
    char name[NAME_CAPACITY];
    const struct model *model = trial->model;
    const int last = model->network.layer_count - 1, count = model->plan.batch * CLASS_COUNT;
    const float *logits =
        copy_of(trial, model->activations + model->plan.layers[last].output, (size_t)count);
    snprintf(name, sizeof name, "%slogits", prefix);
    check(file, name, logits, count, first_bound);
    snprintf(name, sizeof name, "%sloss", prefix);
    check(file, name, &loss, 1, first_bound);
}

/* The first batch in evaluation mode, then a step with it. Velocity is 0 before it. */
static double check_first(struct fixture *f, const struct recipe *recipe) {
    struct expected file;
    struct trial trial;
    expected_open(&file, recipe, "first");
    open_trial(&trial, f, recipe, &file, recipe->nesterov, false);
    begin_pass(&trial);
    check_outputs(&file, &trial, "evaluation.", run_step(&trial, 0, false));
    begin_pass(&trial);
    check_outputs(&file, &trial, "", run_step(&trial, 0, true));
    const struct model *model = trial.model;
    check_parameters(&file, model, "gradient",
                     copy_of(&trial, model->gradients, model->plan.parameter_count), first_bound);
    close_trial(&trial);
    expected_close(&file);
    return file.largest;
}

static void subtract(float *values, const float *from, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] -= from[i];
}

/* `what`: "momentum", "nesterov" or "silu-muon", where the recipe has SiLU. */
static double check_steps(struct fixture *f, const struct recipe *recipe, const char *what) {
    struct expected file;
    struct trial trial;
    expected_open(&file, recipe, what);
    open_trial(&trial, f, recipe, &file, strcmp(what, "momentum") != 0,
               strcmp(what, "silu-muon") == 0);
    const struct model *model = trial.model;
    size_t parameters = model->plan.parameter_count, running = model->plan.statistics_count;
    const double bound = device_is_exact(f) ? turned_bound : rough_change_bound;
    const float *weights_before = copy_of(&trial, model->weights, parameters);
    const float *running_before = copy_of(&trial, model->statistics, running);
    begin_pass(&trial);
    for (int step = 0; step < STEPS; step++)
        run_step(&trial, step, true);
    float *weights = copy_of(&trial, model->weights, parameters);
    float *statistics = copy_of(&trial, model->statistics, running);
    subtract(weights, weights_before, parameters);
    subtract(statistics, running_before, running);
    check_parameters(&file, model, "change", weights, bound);
    check_statistics(&file, model, "change", statistics, bound);
    check_parameters(&file, model, "velocity", copy_of(&trial, model->velocity, parameters), bound);
    close_trial(&trial);
    expected_close(&file);
    return file.largest;
}

static void check_network(struct fixture *f, enum recipe_kind kind, enum norm_kind norm) {
    struct recipe recipe = *recipe_find(kind, norm);
    recipe.dropout = 0;
    case_name("%s, %s, %s", f->backend->name, norm_option(norm), recipe_option(kind));
    double first = check_first(f, &recipe);
    double momentum = check_steps(f, &recipe, "momentum");
    double nesterov = check_steps(f, &recipe, "nesterov"), largest = fmax(momentum, nesterov);
    recipe.activation = SILU_AFTER;
    if (kind == RECIPE_TUNED)
        largest = fmax(largest, check_steps(f, &recipe, "silu-muon"));
    numbers_free();
    if (device_is_exact(f) && largest > change_bound && ++turned > 1)
        fail_msg("%s: relative error %.2e after %d steps, as in another network: more than %.0e is "
                 "allowed in one",
                 case_text(), largest, STEPS, change_bound);
    print_message("# %s: largest relative error %.1e in the first step, %.1e after %d\n",
                  case_text(), first, largest, STEPS);
}

#define TEST(name, kind, norm)                                                                     \
    static void name(void **state) {                                                               \
        check_network(fixture_of(state), kind, norm);                                              \
    }
TEST(reference_batch_norm, RECIPE_REFERENCE, NORM_BATCH)
TEST(reference_group_norm, RECIPE_REFERENCE, NORM_GROUP)
TEST(reference_layer_norm, RECIPE_REFERENCE, NORM_LAYER)
TEST(tuned_batch_norm, RECIPE_TUNED, NORM_BATCH)
TEST(tuned_group_norm, RECIPE_TUNED, NORM_GROUP)
TEST(tuned_layer_norm, RECIPE_TUNED, NORM_LAYER)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_batch_norm), cmocka_unit_test(reference_group_norm),
        cmocka_unit_test(reference_layer_norm), cmocka_unit_test(tuned_batch_norm),
        cmocka_unit_test(tuned_group_norm),     cmocka_unit_test(tuned_layer_norm),
    };
    return run_on_backends(tests, sizeof tests / sizeof tests[0]);
}
