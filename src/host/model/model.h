/* model.h: a network on a device: its memory, its training and evaluation steps, and its weights by
 * name. */
#ifndef MODEL_H
#define MODEL_H

#include "backend.h"
#include "network/network.h"
#include "network/plan.h"

struct model;

struct model_options {
    int batch;             /* size of the largest batch */
    int evaluation_images; /* how many images an evaluation has; 0: batches of `batch` will do */
    uint64_t seed;         /* of dropout and augmentation */
    bool augment;
    int crop; /* with augment: shifts of up to so many pixels */
    float momentum, weight_decay;
    bool nesterov;
    bool muon; /* for the 3x3 filters, with its own momentum and `muon_scale` times the rate */
    float muon_momentum, muon_scale;
    bool replay; /* record each kind of step once, then replay it, if the backend can */
};

/* A batch in device memory. */
struct device_batch {
    int count;
    const uint8_t *images; /* [count][3][32][32] */
    const uint8_t *labels; /* [count] */
    const struct step_state *state;
};

/* Allocates all memory. `network` is copied. The device must outlive the model. Evaluation gets
 * memory for batches of backend->evaluation_batch images if that is more than `batch`, the images
 * are so many, and the device's free memory is known to suffice. Errors:
 * STATUS_FAILED: the device's memory is too small; the error says how much is needed and free, and
 * about which batch would fit, or names the block that could not be allocated. */
enum status model_create(struct error *error, struct model **out, const struct backend *backend,
                         struct device *device, const struct network *network,
                         const struct model_options *options);
void model_destroy(struct model *model);

/* The batch size for an evaluation: the largest one that the model takes, or all of
 * options.evaluation_images. */
int model_evaluation_batch(const struct model *model);

/* The arguments of a convolution with its shapes alone; all pointers are NULL. */
struct conv_args conv_shape_args(const struct layer *layer, int batch);

/* Sets the initial weights: convolutions uniform in +-1/sqrt(fan_in) (PyTorch's Conv2d default:
 * kaiming_uniform with a = sqrt(5)) from Philox (seed, PHILOX_INITIAL_WEIGHTS + layer, 0, element /
 * 4), norm weights 1, biases 0, running means 0, running variances 1; velocity 0. */
enum status model_initialize(struct error *error, struct model *model, uint64_t seed);

/* Takes a batch through the network, without waiting. With `training`, one optimizer step: forward,
 * loss into the counters, backward, SGD. Otherwise forward in evaluation mode, loss into the
 * counters. With options.replay, a step on a batch with the same addresses and size as an earlier
 * one is replayed, so the memory of batches must stay allocated. */
enum status model_step(struct error *error, struct model *model, const struct device_batch *batch,
                       bool training);

/* Copies the logits of the last batch, `count` images, to out[count][CLASS_COUNT]. Waits for the
 * device. */
enum status model_logits(struct error *error, struct model *model, float *out, int count);

/* Reads what the steps have counted since the counters were set or taken. Does not change them, so
 * a sum does not depend on how often it is read. Waits for the device. */
enum status model_read_counters(struct error *error, struct model *model, struct counters *out);

/* The same, then sets the counters to zero. */
enum status model_take_counters(struct error *error, struct model *model, struct counters *out);

/* Sets the counters to `start`. Waits for the device. */
enum status model_set_counters(struct error *error, struct model *model,
                               const struct counters *start);

/* ---- tensors by name ------------------------------------------------------------------------- */

enum { MAX_TENSORS = 128, MAX_DIMENSIONS = 4, TENSOR_NAME_CAPACITY = 96 };
enum tensor_type { TENSOR_F32, TENSOR_I64 };

/* "F32" or "I64", as in weights files; bytes of an element. */
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

/* Copies the state dict to the host, in the order of the layers. Where filters are standardized,
 * the standardized ones are copied, so that other programs can use them in a plain convolution;
 * standardizing them again changes nothing. num_batches_tracked counts the training steps since the
 * initial weights, including those before an import. Waits for the device. Release with
 * tensor_list_free. */
enum status model_export(struct error *error, struct model *model, struct tensor_list *out);

/* Allocates `bytes` bytes for each tensor in the list and sets its `data`, aligned to 8 bytes;
 * `what` is for the message. tensor_list_storage returns the writable data of tensor `i`. Errors:
 * STATUS_FAILED: no memory. */
enum status tensor_list_allocate(struct error *error, struct tensor_list *list, const char *what);
void *tensor_list_storage(const struct tensor_list *list, int i);
void tensor_list_free(struct tensor_list *list);

/* Removes a prefix of the model's own names that all tensors in the list share: "module." of
 * PyTorch's DataParallel, "_orig_mod." of torch.compile, or any other. Writes it to `prefix`; "":
 * there is none. */
void model_strip_prefix(char prefix[TENSOR_NAME_CAPACITY], struct tensor_list *list,
                        const struct model *model);

/* The first tensor with a NaN or an infinity; NULL: all values are finite. */
const struct tensor *tensor_list_not_finite(const struct tensor_list *list);

/* Sets the weights and running statistics from `list`, and the velocity to 0. The list must hold
 * every tensor of the network with its exact shape, and no others except empty ones; only
 * num_batches_tracked may be missing and then counts as 0. Filters to be standardized may be any;
 * those of model_export change only by rounding. `path` names the list in messages. Waits for the
 * device. Errors: STATUS_BAD_DATA naming the tensor, with the model unchanged; STATUS_FAILED. */
enum status model_import(struct error *error, struct model *model, const struct tensor_list *list,
                         const char *path);

/* Copies all that is needed to resume training bit for bit: the weights as trained (filters not
 * standardized), running statistics, num_batches_tracked, and the velocity of each weight under
 * "velocity." and its name; not the counters. Waits for the device. Release with
 * tensor_list_free. */
enum status model_save_state(struct error *error, struct model *model, struct tensor_list *out);

/* Restores what model_save_state copied. Errors: as model_import. */
enum status model_restore_state(struct error *error, struct model *model,
                                const struct tensor_list *list, const char *path);

#endif
