/* loader.h: a thread that shuffles the images of a set and gathers the next batch while the caller
 * uses the current one. The caller provides the memory for batches, the slots. */
#ifndef LOADER_H
#define LOADER_H

#include "data/dataset.h"
#include "error.h"

#include <stdbool.h>
#include <stdint.h>

/* One batch in host memory. The caller owns the buffers; the loader fills them. */
struct loader_batch {
    uint8_t *images; /* [batch_size][3][32][32] */
    uint8_t *labels; /* [batch_size] */
    int count;       /* images in it: batch_size, or fewer in the last batch of an epoch */
    int index;       /* position in the epoch, from 0 */
};

struct loader_options {
    int batch_size;
    bool shuffle;  /* a new order each epoch; else the order of the set */
    uint64_t seed; /* of the shuffling */
};

struct loader;

/* The order of epoch `epoch` (from 0): a permutation of 0 ... count - 1 (shuffle.h), or the identity
 * unless `shuffled`. Writes order[count]. */
void loader_order(int32_t *order, int count, bool shuffled, uint64_t seed, int epoch);

/* The number of batches in an epoch, with the last, smaller one. */
int loader_batches(int count, int batch_size);

/* Starts the thread. `slots` (slot_count of them, at least 2) and `set` must outlive the loader.
 * Errors: STATUS_FAILED (memory, thread). */
enum status loader_create(struct error *error, struct loader **out, const struct image_set *set,
                          struct loader_batch *slots, int slot_count,
                          const struct loader_options *options);

/* Begins epoch `epoch` at batch `first_batch` (above 0 to resume within an epoch). An epoch that is
 * not at its end is cut short. All slots go back to the loader. */
void loader_begin(struct loader *loader, int epoch, int first_batch);

/* Waits for the next batch of the epoch and returns its slot; -1 after the last batch and before
 * the first loader_begin. The caller must not hold all slots, or no batch could ever come. */
int loader_next(struct loader *loader);

/* Gives a slot back to the loader. Slots must be released in the order in which they were taken. */
void loader_release(struct loader *loader, int slot);

/* Stops the thread, at any time, and frees the loader; NULL is fine. The slots remain the
 * caller's. */
void loader_destroy(struct loader *loader);

#endif
