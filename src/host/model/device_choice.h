/* device_choice.h: the choice of a device among the backends of this build. */
#ifndef DEVICE_CHOICE_H
#define DEVICE_CHOICE_H

#include "backend.h"

/* The backends built into this program, best first, NULL at the end. */
extern const struct backend *const backends[];

enum device_kind { DEVICE_AUTO, DEVICE_CUDA, DEVICE_CPU };

/* The device that the user asks for. */
struct device_request {
    enum device_kind kind;
    int index;   /* DEVICE_CUDA: number of the GPU */
    int threads; /* CPU: number of threads; 0: OpenMP's setting, by default one per core */
    enum precision precision;
    enum batch_norm batch_norm;
    bool fast_algorithms;
};

struct device_choice {
    const struct backend *backend;
    struct device *device;
    int threads;    /* of the host that operations run on; 0: they do not run on the host */
    char text[512]; /* "CPU, 2 threads, AVX-512 (this build has no CUDA backend)" */
};

/* Opens the requested device, using a backend of `list` (`backends`, or a list of the same form).
 * DEVICE_AUTO uses the first backend that opens, and out->text says why no better one; for other
 * kinds the call fails if their backend does not open. Errors: STATUS_NO_DEVICE with the remedy. */
enum status device_choose(struct error *error, struct device_choice *out,
                          const struct backend *const *list, const struct device_request *request);

/* "fp32" or "tf32"; "cudnn" or "own". */
const char *precision_option(enum precision precision);
const char *batch_norm_option(enum batch_norm batch_norm);

/* Closes the device; a zeroed choice is fine. */
void device_close(struct device_choice *choice);

#endif
