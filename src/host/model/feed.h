/* feed.h: brings batches from the loader to the device.
 *
 * There are two slots, each a block of pinned host memory, which the loader fills, and a block of
 * device memory. While the device computes on one slot, the other is filled and uploaded. Copies
 * run on STREAM_COPY; events order them after the last computation that reads the slot and before
 * the next one. The host waits only for copies. The device addresses of a slot never change, so a
 * recorded step can be replayed. */
#ifndef FEED_H
#define FEED_H

#include "backend.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "model/model.h"

struct feed;

/* Creates a feed over `set`, with its slots and its loader thread. Backend, device and set must
 * outlive it. options->batch_size must not exceed the set. Errors: STATUS_FAILED (memory,
 * thread). */
enum status feed_create(struct error *error, struct feed **out, const struct backend *backend,
                        struct device *device, const struct image_set *set,
                        const struct loader_options *options);

/* Begins epoch `epoch` (from 0) at batch `first_batch`. The previous epoch may be cut short. */
enum status feed_begin(struct error *error, struct feed *feed, int epoch, int first_batch);

/* Brings the next batch, with `state`, to the device. Work enqueued on STREAM_COMPUTE after this
 * call can use it. After the last batch of the epoch out->count is 0. */
enum status feed_next(struct error *error, struct feed *feed, struct device_batch *out,
                      const struct step_state *state);

/* Releases the batch. Call it after all work that reads the batch is enqueued on STREAM_COMPUTE. */
enum status feed_release(struct error *error, struct feed *feed);

/* Waits for the device and frees the feed; NULL is fine. */
void feed_destroy(struct feed *feed);

#endif
