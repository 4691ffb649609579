/* layer_calls.h: the layers of a network as operations of the backend interface, for benchmarks:
 * the call of each with given buffers, and its minimum traffic and arithmetic. */
#ifndef LAYER_CALLS_H
#define LAYER_CALLS_H

#include "backend.h"
#include "network/network.h"

/* Device memory, large enough for the layers it is used for. A norm's backward works in place on
 * `gradient`. */
struct layer_buffers {
    float *x, *y, *gradient; /* [batch] maps; gradient: of in or out, whichever is larger */
    float *weight, *bias, *weight_gradient, *bias_gradient;
    float *statistics; /* layer_statistics(...) floats */
    uint8_t *code;     /* one for each output of a pool */
    void *workspace;   /* layer_workspace(...) bytes */
    const struct step_state *state;
    int batch;
};

/* Runs the layer once. */
enum status layer_forward(struct error *error, struct device *device, const struct operations *op,
                          const struct layer_buffers *buffers, const struct layer *layer);
enum status layer_backward(struct error *error, struct device *device, const struct operations *op,
                           const struct layer_buffers *buffers, const struct layer *layer);

/* One of the two gradients of a convolution, which cost as much as its forward pass. */
enum status layer_data_gradient(struct error *error, struct device *device,
                                const struct operations *op, const struct layer_buffers *buffers,
                                const struct layer *layer);
enum status layer_filter_gradient(struct error *error, struct device *device,
                                  const struct operations *op, const struct layer_buffers *buffers,
                                  const struct layer *layer);

/* Floats of a norm's statistics, 0 for other layers; bytes of workspace. */
size_t layer_statistics(const struct layer *layer, int batch);
size_t layer_workspace(struct device *device, const struct operations *op,
                       const struct layer *layer, int batch);

/* The minimum that a layer's operation reads and writes, each number once, in bytes, and its
 * arithmetic. */
struct layer_cost {
    double flops, bytes;
};
struct layer_cost layer_forward_cost(const struct layer *layer, int batch);
struct layer_cost layer_backward_cost(const struct layer *layer, int batch);

/* Numbers in [-1, 1): ReLU and pool see both signs, as in training. */
void fill_random(float *values, size_t count);

#endif
