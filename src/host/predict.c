/* predict.c: the command `predict`: the classes of PNG images. */
#include "predict.h"

#include "base/output.h"
#include "base/text.h"
#include "data/image.h"
#include "inference.h"
#include "memory.h"
#include "model/evaluate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SHOWN_CLASSES = 3, WIDEST_PATH = 48 /* columns; longer paths are not aligned */ };

struct prediction {
    double probabilities[CLASS_COUNT];
    int best[SHOWN_CLASSES]; /* the most likely classes, best first, equal ones in order */
};

struct predictions {
    struct dataset dataset; /* the images as its test set, with meaningless labels */
    struct inference inference;
    struct prediction *list; /* [dataset.test.count] */
};

/* ---- images ---------------------------------------------------------------------------------- */

static enum status read_images(struct error *error, struct image_set *out,
                               const struct options *options) {
    if (image_set_make(error, out, options->word_count, "the images") != STATUS_OK)
        return error->status;
    for (int i = 0; i < out->count; i++)
        if (image_read(error, out->pixels + (size_t)i * IMAGE_BYTES, options->words[i]) !=
            STATUS_OK)
            return error->status;
    return STATUS_OK;
}

/* ---- from logits to classes ------------------------------------------------------------------ */

/* Finds the most likely classes, by an insertion sort. */
static void rank(struct prediction *p) {
    int order[CLASS_COUNT] = {0};
    for (int i = 0; i < CLASS_COUNT; i++) {
        int place = i;
        for (; place > 0 && p->probabilities[i] > p->probabilities[order[place - 1]]; place--)
            order[place] = order[place - 1];
        order[place] = i;
    }
    memcpy(p->best, order, sizeof p->best);
}

/* Turns the logits of all images into predictions. */
static enum status take_logits(struct error *error, struct predictions *p, const float *logits) {
    const struct options *options = p->inference.options;
    for (int i = 0; i < options->word_count; i++, logits += CLASS_COUNT) {
        for (int c = 0; c < CLASS_COUNT; c++)
            if (!isfinite(logits[c]))
                return error_set(
                    error, STATUS_BAD_DATA,
                    "weights file '%s': the result for image '%s' is not finite; use other "
                    "weights",
                    options->weights, options->words[i]);
        softmax(p->list[i].probabilities, logits);
        rank(&p->list[i]);
    }
    return STATUS_OK;
}

/* ---- printing -------------------------------------------------------------------------------- */

/* Columns of UTF-8 text: a byte 10xxxxxx continues a character. */
static int columns(const char *text) {
    int count = 0;
    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

/* The width of the widest text that is not wider than `limit`, in columns. */
static int widest(const char *const *texts, int count, int limit) {
    int most = 0;
    for (int i = 0; i < count; i++) {
        int width = columns(texts[i]);
        most = width > most && width <= limit ? width : most;
    }
    return most;
}

static enum status print_prediction(struct error *error, const struct predictions *p, int image,
                                    int path_width, int class_width) {
    char path[PATH_CAPACITY];
    snprintf(path, sizeof path, "%s", p->inference.options->words[image]);
    text_one_line(path);
    int blanks = path_width - columns(path);
    if (output_print(error, "%s%*s", path, blanks > 0 ? blanks : 0, "") != STATUS_OK)
        return error->status;
    for (int i = 0; i < SHOWN_CLASSES; i++) {
        int class = p->list[image].best[i];
        if (output_print(error, "   %-*s %5.1f %%", class_width, p->dataset.class_names[class],
                         100 * p->list[image].probabilities[class]) != STATUS_OK)
            return error->status;
    }
    return output_print(error, "\n");
}

static enum status print_text(struct error *error, const struct predictions *p) {
    const struct options *options = p->inference.options;
    char count[TEXT_CAPACITY], data[96];
    int path_width = widest(options->words, options->word_count, WIDEST_PATH);
    int class_width = widest(p->dataset.class_names, CLASS_COUNT, WIDEST_PATH);
    snprintf(data, sizeof data, "%s image%s, classes of %s", text_count(count, options->word_count),
             options->word_count == 1 ? "" : "s", p->dataset.name);
    if (inference_print(error, &p->inference, data) != STATUS_OK)
        return error->status;
    for (int i = 0; i < options->word_count; i++)
        if (print_prediction(error, p, i, path_width, class_width) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}

/* The class at `place` among the most likely ones. NULL, here and below: no memory; json_pack
 * passes it on. */
static json_t *top_json(const struct predictions *p, int image, int place) {
    int class = p->list[image].best[place];
    return json_pack("{s:s, s:f}", "class", p->dataset.class_names[class], "probability",
                     p->list[image].probabilities[class]);
}

static json_t *probabilities_json(const struct predictions *p, int image) {
    json_t *all = json_object();
    for (int i = 0; i < CLASS_COUNT; i++) {
        if (json_object_set_new(all, p->dataset.class_names[i],
                                json_real(p->list[image].probabilities[i])) != 0) {
            json_decref(all);
            return NULL;
        }
    }
    return all;
}

static json_t *prediction_json(const struct predictions *p, int image) {
    _Static_assert(SHOWN_CLASSES == 3, "one o below for each");
    return json_pack("{s:o, s:[o, o, o], s:o}", "image",
                     text_json(p->inference.options->words[image]), "top", top_json(p, image, 0),
                     top_json(p, image, 1), top_json(p, image, 2), "probabilities",
                     probabilities_json(p, image));
}

static json_t *list_json(const struct predictions *p) {
    json_t *list = json_array();
    for (int i = 0; i < p->inference.options->word_count; i++)
        list = text_json_append(list, prediction_json(p, i));
    return list;
}

static json_t *predictions_json(const struct predictions *p) {
    const struct inference *inference = &p->inference;
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:o}", "norm", norm_option(inference->network.norm),
                     "recipe", recipe_option(inference->network.recipe), "device",
                     inference->device.text, "weights", text_json(inference->options->weights),
                     "dataset", p->dataset.name, "predictions", list_json(p));
}

/* ---- the command ----------------------------------------------------------------------------- */

/* The name of the data set that the weights were trained on; NULL: the file does not give it. */
static const char *trained_on(const struct inference *inference) {
    return json_string_value(json_object_get(inference->metadata, "dataset"));
}

static enum status run(struct error *error, struct predictions *p, const struct options *options) {
    size_t count = (size_t)p->dataset.test.count;
    float *logits = NULL;
    struct score unused; /* the labels are meaningless */
    if (inference_open(error, &p->inference, options, &p->dataset.test, NULL) != STATUS_OK ||
        memory_alloc(error, &p->list, count, sizeof *p->list, "the predictions") != STATUS_OK ||
        memory_alloc(error, &logits, count, CLASS_COUNT * sizeof *logits, "the logits") !=
            STATUS_OK)
        return error->status;
    struct dataset named = dataset_named(trained_on(&p->inference));
    p->dataset.name = named.name;
    p->dataset.class_names = named.class_names;
    enum status status = evaluate(error, &unused, logits, p->inference.model, p->inference.feed);
    if (status == STATUS_OK)
        status = take_logits(error, p, logits);
    memory_free(logits);
    if (status == STATUS_OK)
        status = options->json ? output_json(error, predictions_json(p)) : print_text(error, p);
    return status == STATUS_OK ? output_flush(error) : status;
}

enum status predict(struct error *error, const struct options *options) {
    struct predictions p = {.list = NULL};
    struct network network;
    enum status status = network_build(error, &network, &options->recipe); /* costs nothing */
    if (status == STATUS_OK)
        status = read_images(error, &p.dataset.test, options);
    if (status == STATUS_OK)
        status = run(error, &p, options);
    inference_close(&p.inference);
    memory_free(p.list);
    dataset_close(&p.dataset);
    return status;
}
