/* summary.c: the layer table, as text, as JSON and as a picture. Multiply-adds and activation bytes
 * are for the forward pass of one image. */
#include "summary.h"

#include "base/output.h"
#include "base/text.h"
#include "network/network.h"
#include "run/caption.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static int64_t activation_bytes(const struct layer *layer) {
    return (int64_t)shape_elements(layer->out) * (int64_t)sizeof(float);
}

/* ---- text ------------------------------------------------------------------------------------ */

/* One row; counts of zero are left blank. */
static enum status print_row(struct error *error, const char *name, const char *type,
                             const char *shape, const int64_t counts[3]) {
    char texts[3][TEXT_CAPACITY] = {"", "", ""};
    for (int i = 0; i < 3; i++)
        if (counts[i] != 0)
            text_count(texts[i], counts[i]);
    return output_print(error, "%-14s  %-12s  %12s  %10s  %13s  %16s\n", name, type, shape,
                        texts[0], texts[1], texts[2]);
}

static enum status print_layer(struct error *error, const struct layer *layer) {
    char shape[48];
    snprintf(shape, sizeof shape, "%dx%dx%d", layer->out.channels, layer->out.height,
             layer->out.width);
    const int64_t counts[3] = {layer_parameters(layer), layer->multiply_adds,
                               activation_bytes(layer)};
    return print_row(error, layer->name, layer_type(layer), shape, counts);
}

static enum status print_table(struct error *error, const struct network *network) {
    if (output_print(error, "%s, recipe %s\n\n%-14s  %-12s  %12s  %10s  %13s  %16s\n",
                     norm_title(network->norm), recipe_option(network->recipe), "layer", "type",
                     "output", "parameters", "multiply-adds", "activation bytes") != STATUS_OK)
        return error->status;
    for (int i = 0; i < network->layer_count; i++)
        if (print_layer(error, &network->layers[i]) != STATUS_OK)
            return error->status;
    const int64_t totals[3] = {network_parameters(network), network_multiply_adds(network),
                               network_activation_bytes(network)};
    if (print_row(error, "total", "", "", totals) != STATUS_OK)
        return error->status;
    if (network_parameters(network) >= PARAMETER_LIMIT &&
        output_print(error, "\nparameters: the assignment allows fewer than 50,000\n") != STATUS_OK)
        return error->status;
    return output_print(error, "\nmultiply-adds and activation bytes: forward, for one image\n");
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* The network as JSON; NULL: no memory. */
static json_t *network_json(const struct network *network) {
    json_t *layers = json_array();
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        json_t *row =
            json_pack("{s:s, s:s, s:[i, i, i], s:i, s:I, s:I}", "name", layer->name, "type",
                      layer_type(layer), "output", layer->out.channels, layer->out.height,
                      layer->out.width, "parameters", layer_parameters(layer), "multiply_adds",
                      (json_int_t)layer->multiply_adds, "activation_bytes",
                      (json_int_t)activation_bytes(layer));
        layers = text_json_append(layers, row);
    }
    return json_pack("{s:s, s:s, s:i, s:I, s:I, s:o}", "norm", norm_option(network->norm), "recipe",
                     recipe_option(network->recipe), "parameters", network_parameters(network),
                     "multiply_adds", (json_int_t)network_multiply_adds(network),
                     "activation_bytes", (json_int_t)network_activation_bytes(network), "layers",
                     layers);
}

/* ---- picture --------------------------------------------------------------------------------- */

/* The recipes are for CIFAR-10; a summary reads no data. */
static enum status draw(struct error *error, const char *path, const struct network *network,
                        const struct recipe *recipe) {
    struct caption caption = {0};
    caption_begin(&caption, "CIFAR-10", "", "%s, recipe %s", norm_title(network->norm),
                  recipe_option(network->recipe));
    caption_add(&caption, "norm", "%s", norm_option(network->norm));
    caption_add(&caption, "recipe", "%s", recipe_option(network->recipe));
    caption_add(&caption, "parameters", "%d", network_parameters(network));
    caption_add(&caption, "groups", "%d", recipe->groups);
    caption_add(&caption, "dropout", "%g", text_decimal(recipe->dropout));
    return network_draw(error, path, &caption.picture, network);
}

enum status summary(struct error *error, const struct options *options) {
    struct network network;
    if (network_build(error, &network, &options->recipe) != STATUS_OK)
        return error->status;
    if (options->png[0] != '\0' &&
        draw(error, options->png, &network, &options->recipe) != STATUS_OK)
        return error->status;
    enum status status =
        options->json ? output_json(error, network_json(&network)) : print_table(error, &network);
    return status == STATUS_OK ? output_flush(error) : status;
}
