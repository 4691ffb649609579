/* feed.h: the way of a batch from the loader to the device.
 *
 * There are two slots, each a block of pinned host memory that the loader fills and a block of
 * device memory. While the device computes on one, the other is gathered and uploaded: copies run
 * on STREAM_COPY, and events order them after the computation that last read the slot and before
 * the one that reads it next. The host waits for copies only. The device addresses of a slot never
 * change, so a recorded step can be replayed. */
#ifndef FEED_H
#define FEED_H

#include "backend.h"
#include "data/dataset.h"
#include "data/loader.h"
#include "model/model.h"

struct feed;

/* Makes a feed over `set` with its slots and its loader thread. Backend, device and set must
 * outlive it. options->batch_size must not exceed the set. Errors: STATUS_FAILED (memory,
 * thread). */
enum status feed_create(struct error *error, struct feed **out, const struct backend *backend,
                        struct device *device, const struct image_set *set,
                        const struct loader_options *options);

/* Begins epoch `epoch` (from 0) at batch `first_batch`; an epoch before it may have been cut
 * short. */
enum status feed_begin(struct error *error, struct feed *feed, int epoch, int first_batch);

/* Brings the next batch to the device together with `state`; what is enqueued on STREAM_COMPUTE
 * from now on finds it there. After the last batch of the epoch out->count is 0. */
enum status feed_next(struct error *error, struct feed *feed, struct device_batch *out,
                      const struct step_state *state);

/* Releases the batch, after everything that reads it was enqueued on STREAM_COMPUTE. */
enum status feed_release(struct error *error, struct feed *feed);

/* Waits for the device and frees the feed; NULL is fine. */
void feed_destroy(struct feed *feed);

#endif
