/* device_choice.c: the backends built into this program, and the choice of one. No other host file
 * depends at compile time on whether CUDA is built in. */
#include "model/device_choice.h"

#include <stdio.h>
#include <string.h>

const struct backend *const backends[] = {
#ifdef HAVE_CUDA
    &cuda_backend,
#endif
    &cpu_backend,
    NULL,
};

static const struct backend *find(const struct backend *const *list, const char *name) {
    for (; *list != NULL; list++)
        if (strcmp((*list)->name, name) == 0)
            return *list;
    return NULL;
}

/* Opens one backend and describes its device. `why` says why a better backend is not used; "": none
 * is better. */
static enum status open_backend(struct error *error, struct device_choice *out,
                                const struct backend *backend, const struct device_request *request,
                                const char *why) {
    struct device_options options = {
        .index = request->index,
        .threads = request->threads,
        .precision = request->precision,
        .batch_norm = request->batch_norm,
        .fast_algorithms = request->fast_algorithms,
    };
    if (backend->open(error, &out->device, &options) != STATUS_OK)
        return error->status;
    out->backend = backend;
    out->threads = backend->threads == NULL ? 0 : backend->threads(out->device);
    const char *text = backend->describe(out->device);
    if (why[0] == '\0')
        snprintf(out->text, sizeof out->text, "%s", text);
    else
        snprintf(out->text, sizeof out->text, "%s (%.256s)", text, why);
    return STATUS_OK;
}

static enum status open_first(struct error *error, struct device_choice *out,
                              const struct backend *const *list,
                              const struct device_request *request) {
    char why[sizeof error->text] = "";
    if (find(list, "cuda") == NULL)
        snprintf(why, sizeof why, "this build has no CUDA backend");
    error_set(error, STATUS_NO_DEVICE, "this build has no backend");
    for (; *list != NULL; list++) {
        if (open_backend(error, out, *list, request, why) == STATUS_OK)
            return STATUS_OK;
        memcpy(why, error->text, sizeof why);
    }
    return error->status;
}

enum status device_choose(struct error *error, struct device_choice *out,
                          const struct backend *const *list, const struct device_request *request) {
    memset(out, 0, sizeof *out);
    const char *name = NULL;
    switch (request->kind) {
    case DEVICE_AUTO:
        return open_first(error, out, list, request);
    case DEVICE_CUDA:
        name = "cuda";
        break;
    case DEVICE_CPU:
        name = "cpu";
        break;
    }
    const struct backend *backend = find(list, name);
    if (backend == NULL)
        return error_set(
            error, STATUS_NO_DEVICE,
            "this build has no %s backend: build again where `make` finds a CUDA toolkit",
            strcmp(name, "cuda") == 0 ? "CUDA" : name);
    return open_backend(error, out, backend, request, "");
}

const char *precision_option(enum precision precision) {
    switch (precision) {
    case PRECISION_FP32:
        return "fp32";
    case PRECISION_TF32:
        return "tf32";
    }
    return "";
}

const char *batch_norm_option(enum batch_norm batch_norm) {
    switch (batch_norm) {
    case BATCH_NORM_CUDNN:
        return "cudnn";
    case BATCH_NORM_OWN:
        return "own";
    }
    return "";
}

void device_close(struct device_choice *choice) {
    if (choice->device != NULL)
        choice->backend->close(choice->device);
    choice->device = NULL;
}
