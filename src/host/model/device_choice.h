/* device_choice.h: the choice of a device among the backends of this build. */
#ifndef DEVICE_CHOICE_H
#define DEVICE_CHOICE_H

#include "backend.h"

/* The backends built into this program, best first, NULL at the end. */
extern const struct backend *const backends[];

enum device_kind { DEVICE_AUTO, DEVICE_CUDA, DEVICE_CPU };

/* What the user asks for. */
struct device_request {
    enum device_kind kind;
    int index;   /* DEVICE_CUDA: which one */
    int threads; /* CPU: how many; 0: as OpenMP is set, by default one a core */
    enum precision precision;
    bool fast_algorithms;
};

struct device_choice {
    const struct backend *backend;
    struct device *device;
    int threads;    /* that the operations run on; 0: none of the host */
    char text[512]; /* "CPU, 2 threads, AVX-512 (this build has no CUDA backend)" */
};

/* Opens the device that is asked for, out of `list` (`backends`, or a list of the same form). With
 * DEVICE_AUTO the first backend that opens is taken, and the text says why not a better one; a
 * backend asked for by name is opened or the call fails. Errors: STATUS_NO_DEVICE with the
 * remedy. */
enum status device_choose(struct error *error, struct device_choice *out,
                          const struct backend *const *list, const struct device_request *request);

/* "fp32" or "tf32". */
const char *precision_option(enum precision precision);

/* Closes the device; a zeroed choice is fine. */
void device_close(struct device_choice *choice);

#endif
