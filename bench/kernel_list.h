/* kernel_list.h: the operations that are bound by memory, with their shapes in the networks: the
 * name, memory traffic, buffers and call of each. */
#ifndef KERNEL_LIST_H
#define KERNEL_LIST_H

#include "layer_calls.h"

enum { MAX_KERNELS = 256 };

enum kernel_kind { KERNEL_INPUT, KERNEL_FILTER, KERNEL_LAYER, KERNEL_LOSS, KERNEL_SGD };

struct kernel {
    enum kernel_kind kind;
    bool backward;              /* KERNEL_FILTER, KERNEL_LAYER */
    bool augment;               /* KERNEL_INPUT */
    enum batch_norm batch_norm; /* of the device; the other one only for a batch norm */
    struct layer layer;         /* KERNEL_FILTER, KERNEL_LAYER */
    size_t count, decayed;      /* KERNEL_SGD: floats of the parameter arena */
    char operation[32];         /* "group_norm_forward" */
    char shape[128];            /* of one image, and other settings that matter */
};

struct kernel_list {
    int count;
    struct kernel kernels[MAX_KERNELS];
};

/* Those of all recipes and norms, each once. */
enum status kernel_list_make(struct error *error, struct kernel_list *out);

/* The operation's minimum traffic, read and written, in bytes. */
double kernel_bytes(const struct kernel *kernel, int batch);

/* One set of buffers for a kernel, carved out of device memory. */
struct kernel_buffers {
    struct layer_buffers layer;
    uint8_t *images, *labels;
    float *velocity;
    struct counters *counters;
};

/* Lays the buffers out from `memory` on, which is device memory of the size that the call with NULL
 * returns. `workspace`: layer_workspace of the kernel's layer. */
size_t kernel_carve(struct kernel_buffers *out, const struct kernel *kernel, int batch,
                    size_t workspace, uint8_t *memory, const struct step_state *state);

/* Gives a set the contents that the operation relies on: labels, and for a backward pass the
 * results of forward. Everything else may hold any numbers. */
enum status kernel_prepare(struct error *error, const struct backend *backend,
                           struct device *device, const struct kernel *kernel,
                           const struct kernel_buffers *buffers);

/* Runs the operation once. */
enum status kernel_run(struct error *error, struct device *device, const struct operations *op,
                       const struct kernel *kernel, const struct kernel_buffers *buffers);

#endif
