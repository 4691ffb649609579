/* machine.h: what this machine's CPU could do at most, to compare the layers with. */
#ifndef MACHINE_H
#define MACHINE_H

#include "backend.h"

/* A second, with all threads of the device. 0: not measured. */
struct machine {
    double flops;      /* 2 * multiply-adds, with the instruction set that the device uses */
    double read, copy; /* bytes; copy: read and written */
};

/* Medians of several samples. `device` is one of cpu_backend's. */
enum status machine_measure(struct error *error, struct machine *out, struct device *device,
                            struct event *event, int samples);

/* Loops for one instruction set. */
struct probes {
    double flops; /* of a round of multiply_adds */
    float (*multiply_adds)(long rounds);
    float (*sum)(const float *x, size_t count); /* reads; count: a multiple of 64 */
};
extern const struct probes probes_baseline;
#ifdef CPU_X86
extern const struct probes probes_avx2, probes_avx512;
#endif

#endif
