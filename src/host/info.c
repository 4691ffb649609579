/* info.c: prints what the program was built with and what it finds on this machine. Text and JSON
 * are made from the same JSON object. */
#include "info.h"

#include "base/output.h"
#include "base/version.h"
#include "model/model.h"
#include "pictures/pictures.h"

#include <jansson.h>
#include <png.h>

enum { MAX_DEVICES = 256 }; /* of one backend */

#ifdef __clang__
static const char compiler[] = __VERSION__; /* "Debian Clang 14.0.6" */
#else
static const char compiler[] = "gcc " __VERSION__;
#endif

/* The algorithms that the device chooses for the network's convolutions; asking for their workspace
 * makes it choose. NULL: the device has no choice of algorithms. */
static json_t *choices_json(const struct backend *backend, struct device *device,
                            const struct network *network, int batch) {
    for (int i = 0; i < network->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        if (layer->kind != LAYER_CONV)
            continue;
        struct conv_args conv = conv_shape_args(layer, batch);
        (void)backend->operations(device)->conv_workspace(device, &conv);
    }
    const char *line = backend->choice(device, 0);
    json_t *lines = line == NULL ? NULL : json_array();
    for (int i = 1; line != NULL; i++) {
        json_array_append_new(lines, json_string(line));
        line = backend->choice(device, i);
    }
    return lines;
}

/* "2: affinity mask of 2 of 8 processors"; NULL: the backend computes on no host threads. */
static json_t *threads_json(const struct backend *backend, const struct device *device) {
    if (backend->threads == NULL)
        return NULL;
    return json_sprintf("%d: %s", backend->threads(device), backend->why_threads(device));
}

/* Adds the devices of a backend, up to the first that does not open; if there is none, the
 * reason. */
static void add_devices(json_t *devices, const struct backend *backend, const struct options *asked,
                        const struct network *network) {
    for (int index = 0; index < MAX_DEVICES; index++) {
        struct error error;
        struct device *device;
        const struct device_options options = {
            .index = index,
            .precision = asked->device.precision,
            .fast_algorithms = asked->device.fast_algorithms,
        };
        if (backend->open(&error, &device, &options) != STATUS_OK) {
            if (index == 0)
                json_array_append_new(devices, json_pack("{s:s, s:s}", "backend", backend->name,
                                                         "reason", error.text));
            return;
        }
        json_array_append_new(
            devices, json_pack("{s:s, s:i, s:s, s:o*, s:o*}", "backend", backend->name, "index",
                               index, "device", backend->describe(device), "threads",
                               threads_json(backend, device), "algorithms",
                               choices_json(backend, device, network, asked->recipe.batch_size)));
        backend->close(device);
    }
}

static json_t *info_json(const struct options *options, const struct network *network) {
    json_t *names = json_array(), *devices = json_array();
    for (int i = 0; backends[i] != NULL; i++) {
        json_array_append_new(names, json_string(backends[i]->name));
        add_devices(devices, backends[i], options, network);
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:{s:s, s:s, s:s?, s:i}}", "program", PROGRAM_NAME,
                     "version", PROGRAM_VERSION, "compiler", compiler, "backends", names, "devices",
                     devices, "libraries", "jansson", jansson_version_str(), "libpng",
                     png_get_libpng_ver(NULL), "cairo", pictures_cairo(), "openmp", (int)_OPENMP);
}

static const char *text_of(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

static enum status print_algorithms(struct error *error, const json_t *lines) {
    for (size_t i = 0; i < json_array_size(lines); i++)
        if (output_print(error, "           %s\n", json_string_value(json_array_get(lines, i))) !=
            STATUS_OK)
            return error->status;
    return STATUS_OK;
}

/* One device that opened. */
static enum status print_device(struct error *error, const json_t *device) {
    const char *threads = text_of(device, "threads");
    if (output_print(error, "device:    %s:%d: %s\n", text_of(device, "backend"),
                     (int)json_integer_value(json_object_get(device, "index")),
                     text_of(device, "device")) != STATUS_OK ||
        (threads != NULL && output_print(error, "           threads %s\n", threads) != STATUS_OK))
        return error->status;
    return print_algorithms(error, json_object_get(device, "algorithms"));
}

static enum status print_devices(struct error *error, const json_t *devices) {
    for (size_t i = 0; i < json_array_size(devices); i++) {
        const json_t *device = json_array_get(devices, i);
        const char *reason = text_of(device, "reason");
        if (reason != NULL) {
            if (output_print(error, "device:    no %s: %s\n", text_of(device, "backend"), reason) !=
                STATUS_OK)
                return error->status;
        } else if (print_device(error, device) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

static enum status print_info(struct error *error, const json_t *object) {
    if (output_print(error, "%s %s\nbackends: ", PROGRAM_NAME, PROGRAM_VERSION) != STATUS_OK)
        return error->status;
    for (int i = 0; backends[i] != NULL; i++)
        if (output_print(error, " %s", backends[i]->name) != STATUS_OK)
            return error->status;
    if (output_print(error, "\n") != STATUS_OK ||
        print_devices(error, json_object_get(object, "devices")) != STATUS_OK)
        return error->status;
    const json_t *libraries = json_object_get(object, "libraries");
    const char *cairo = text_of(libraries, "cairo");
    return output_print(error, "libraries: jansson %s, libpng %s, %s%s, OpenMP %d\ncompiler:  %s\n",
                        text_of(libraries, "jansson"), text_of(libraries, "libpng"),
                        cairo == NULL ? "no cairo" : "cairo ", cairo == NULL ? "" : cairo,
                        (int)json_integer_value(json_object_get(libraries, "openmp")),
                        text_of(object, "compiler"));
}

enum status info(struct error *error, const struct options *options) {
    struct network network;
    if (network_build(error, &network, &options->recipe) != STATUS_OK)
        return error->status;
    json_t *object = info_json(options, &network);
    if (object == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for the output of `info`");
    enum status status;
    if (options->json) {
        status = output_json(error, object);
    } else {
        status = print_info(error, object);
        json_decref(object);
    }
    return status == STATUS_OK ? output_flush(error) : status;
}
