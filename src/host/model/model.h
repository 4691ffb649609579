/* model.h: a network on a device: its arenas, and the walk over its layers forward and backward. */
#ifndef MODEL_H
#define MODEL_H

#include "backend.h"
#include "network/network.h"
#include "network/plan.h"

struct model;

struct model_options {
    int batch;     /* the largest batch */
    uint64_t seed; /* of dropout and augmentation */
    bool augment;
    float momentum, weight_decay;
    bool nesterov;
    bool replay; /* record each step once and replay it, where the backend can */
};

/* A batch in device memory. */
struct device_batch {
    int count;
    const uint8_t *images; /* [count][3][32][32] */
    const uint8_t *labels; /* [count] */
    const struct step_state *state;
};

/* Allocates the arenas. `network` is copied. The device must outlive the model.
 * Errors: STATUS_FAILED: the device's memory is too small (says what is needed, what is left and
 * about which batch would fit), or names the arena that did not fit. */
enum status model_create(struct error *error, struct model **out, const struct backend *backend,
                         struct device *device, const struct network *network,
                         const struct model_options *options);
void model_destroy(struct model *model);

/* The network that it computes. */
const struct network *model_network(const struct model *model);

/* The shape of a convolution as its operation gets it; the pointers are NULL. */
struct conv_args conv_shape_args(const struct layer *layer, int batch);

/* Sets the initial weights: convolutions uniform in +-1/sqrt(fan_in) (PyTorch's Conv2d default:
 * kaiming_uniform with a = sqrt(5)) from Philox (seed, PHILOX_INITIAL_WEIGHTS + layer, 0, element /
 * 4), norm weights 1, biases 0, running means 0, running variances 1; velocity 0. */
enum status model_initialize(struct error *error, struct model *model, uint64_t seed);

/* Takes a batch through the network. Training: one optimizer step, which is forward, loss into the
 * counters, backward, SGD. Otherwise: forward in evaluation mode, loss into the counters. Enqueued,
 * not waited for. From the second time that a batch has the same place and size the step is
 * replayed, if the options say so: the batch's addresses must then stay those of live memory. */
enum status model_step(struct error *error, struct model *model, const struct device_batch *batch,
                       bool training);

/* Copies the logits of the last batch, `count` images, to out[count][CLASS_COUNT]. Waits for the
 * device. */
enum status model_logits(struct error *error, struct model *model, float *out, int count);

/* What the steps have counted since the counters were set or taken. The counters keep counting, so
 * a sum does not depend on how often it was read. Waits for the device. */
enum status model_read_counters(struct error *error, struct model *model, struct counters *out);

/* The same, and the counters are zero again. */
enum status model_take_counters(struct error *error, struct model *model, struct counters *out);

/* Lets the counters count on from `start`. Waits for the device. */
enum status model_set_counters(struct error *error, struct model *model,
                               const struct counters *start);

/* ---- tensors by name ------------------------------------------------------------------------- */

enum { MAX_TENSORS = 128, MAX_DIMENSIONS = 4, TENSOR_NAME_CAPACITY = 96 };
enum tensor_type { TENSOR_F32, TENSOR_I64 };

/* "F32", "I64", as weights files name them; bytes of an element. */
const char *tensor_type_name(enum tensor_type type);
size_t tensor_type_bytes(enum tensor_type type);

struct tensor {
    char name[TENSOR_NAME_CAPACITY]; /* as in the published state dict: "convblock1.0.weight" */
    enum tensor_type type;
    int dimensions;
    int64_t shape[MAX_DIMENSIONS];
    const void *data; /* host memory, owned by the list */
    size_t bytes;
};

struct tensor_list {
    int count;
    struct tensor tensors[MAX_TENSORS];
    void *storage;
};

/* Copies the state dict to the host, in the order of the layers. Convolutions come as they are
 * used: where filters are standardized, the standardized ones (standardizing them again changes
 * nothing), so that a plain convolution anywhere takes them as they are. num_batches_tracked counts
 * the training steps since the initial weights, those before an import included. Waits for the
 * device. Release with tensor_list_free. */
enum status model_export(struct error *error, struct model *model, struct tensor_list *out);

/* Allocates the storage of all tensors in the list, by their `bytes`, and sets their `data`, aligned
 * to 8 bytes; `what` names it in a message. tensor_list_storage is where to write those of tensor
 * `i`. Errors: STATUS_FAILED: no memory. */
enum status tensor_list_allocate(struct error *error, struct tensor_list *list, const char *what);
void *tensor_list_storage(const struct tensor_list *list, int i);
void tensor_list_free(struct tensor_list *list);

/* Takes off what stands before the model's own name in the names of all tensors: "module." of
 * PyTorch's DataParallel, "_orig_mod." of torch.compile, or any other; `prefix` says what it was,
 * "": there is none. */
void model_strip_prefix(char prefix[TENSOR_NAME_CAPACITY], struct tensor_list *list,
                        const struct model *model);

/* The first tensor that holds a NaN or an infinity; NULL: all values are finite. */
const struct tensor *tensor_list_not_finite(const struct tensor_list *list);

/* Sets the weights and running statistics from `list`, which must hold every tensor of the network
 * with its exact shape and no other but empty ones; only num_batches_tracked may be missing, which
 * counts as 0.
 * Velocity becomes 0. Where filters are standardized, the model takes any filters and standardizes
 * them, which changes those of model_export by rounding only. `path` names the list in
 * messages. Waits for the device. Errors: STATUS_BAD_DATA naming the tensor, the model unchanged;
 * STATUS_FAILED. */
enum status model_import(struct error *error, struct model *model, const struct tensor_list *list,
                         const char *path);

/* All that training resumes from, bit for bit: the weights as they are trained (filters not
 * standardized), running statistics, num_batches_tracked, and the velocity of each weight under
 * "velocity." and its name. The counters are not in it. Waits for the device. */
enum status model_save_state(struct error *error, struct model *model, struct tensor_list *out);

/* Restores what model_save_state gave. Errors: as model_import. */
enum status model_restore_state(struct error *error, struct model *model,
                                const struct tensor_list *list, const char *path);

#endif
