/* feed.c: two slots between the loader and the device.
 *
 * The stages of a slot, and what marks the end of each:
 *     gathered   by the loader's thread                    (loader_next returns)
 *     copied     on STREAM_COPY, after `consumed`          (event `copied`)
 *     used       on STREAM_COMPUTE                         (event `consumed`)
 * The host half of a slot is free again after `copied`, its device half after `consumed`. */
#include "model/feed.h"

#include "memory.h"

#include <string.h>

enum { SLOT_COUNT = 2, SLOT_NONE = -1 };

/* Both halves have the same layout: the step state, the labels, the images. The images come last,
 * so that a smaller batch is a shorter copy. */
struct slot {
    unsigned char *host, *device;
    struct event *copied, *consumed;
};

struct feed {
    const struct backend *backend;
    struct device *device;
    struct loader *loader;
    struct loader_batch batches[SLOT_COUNT]; /* the host halves as the loader knows them */
    struct slot slots[SLOT_COUNT];
    size_t images_offset; /* bytes from the start of a slot */
    int copying;          /* the slot whose host half may still be being copied, or SLOT_NONE */
    int in_use;           /* the slot handed out by feed_next */
};

enum { LABELS_OFFSET = 64, ALIGNMENT = 64 };
_Static_assert(sizeof(struct step_state) <= LABELS_OFFSET, "the state lies before the labels");

static enum status slot_create(struct error *error, struct feed *feed, int index, size_t bytes) {
    const struct backend *backend = feed->backend;
    struct slot *slot = &feed->slots[index];
    if (backend->alloc_pinned(error, feed->device, &slot->host, bytes, "a batch in host memory") ||
        backend->alloc(error, feed->device, &slot->device, bytes, "a batch") ||
        backend->event_create(error, feed->device, &slot->copied) ||
        backend->event_create(error, feed->device, &slot->consumed))
        return error->status;
    feed->batches[index].labels = slot->host + LABELS_OFFSET;
    feed->batches[index].images = slot->host + feed->images_offset;
    return STATUS_OK;
}

static void slot_destroy(struct feed *feed, struct slot *slot) {
    const struct backend *backend = feed->backend;
    if (slot->consumed != NULL)
        backend->event_destroy(feed->device, slot->consumed);
    if (slot->copied != NULL)
        backend->event_destroy(feed->device, slot->copied);
    if (slot->device != NULL)
        backend->release(feed->device, slot->device);
    if (slot->host != NULL)
        backend->release_pinned(feed->device, slot->host);
}

enum status feed_create(struct error *error, struct feed **out, const struct backend *backend,
                        struct device *device, const struct image_set *set,
                        const struct loader_options *options) {
    *out = NULL;
    struct feed *feed;
    if (memory_alloc(error, &feed, 1, sizeof *feed, "the feed") != STATUS_OK)
        return error->status;
    size_t batch = (size_t)options->batch_size;
    feed->backend = backend;
    feed->device = device;
    feed->copying = SLOT_NONE;
    feed->in_use = SLOT_NONE;
    feed->images_offset = LABELS_OFFSET + (batch + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    enum status status = STATUS_OK;
    for (int i = 0; i < SLOT_COUNT && status == STATUS_OK; i++)
        status = slot_create(error, feed, i, feed->images_offset + batch * IMAGE_BYTES);
    if (status == STATUS_OK)
        status = loader_create(error, &feed->loader, set, feed->batches, SLOT_COUNT, options);
    if (status != STATUS_OK) {
        feed_destroy(feed);
        return status;
    }
    *out = feed;
    return STATUS_OK;
}

/* Waits for a running copy, if any, and returns its host half to the loader. */
static enum status finish_copy(struct error *error, struct feed *feed) {
    if (feed->copying == SLOT_NONE)
        return STATUS_OK;
    struct event *copied = feed->slots[feed->copying].copied;
    if (feed->backend->event_synchronize(error, feed->device, copied) != STATUS_OK)
        return error->status;
    loader_release(feed->loader, feed->copying);
    feed->copying = SLOT_NONE;
    return STATUS_OK;
}

enum status feed_begin(struct error *error, struct feed *feed, int epoch, int first_batch) {
    if (finish_copy(error, feed) != STATUS_OK)
        return error->status;
    loader_begin(feed->loader, epoch, first_batch);
    return STATUS_OK;
}

enum status feed_next(struct error *error, struct feed *feed, struct device_batch *out,
                      const struct step_state *state) {
    memset(out, 0, sizeof *out);
    /* Rarely waits: the copy of the previous batch was enqueued a whole step ago. */
    if (finish_copy(error, feed) != STATUS_OK)
        return error->status;
    int index = loader_next(feed->loader);
    if (index < 0)
        return STATUS_OK;
    const struct backend *backend = feed->backend;
    struct device *device = feed->device;
    struct slot *slot = &feed->slots[index];
    int count = feed->batches[index].count;
    size_t bytes = feed->images_offset + (size_t)count * IMAGE_BYTES;
    memcpy(slot->host, state, sizeof *state);
    if (backend->event_wait(error, device, slot->consumed, STREAM_COPY) ||
        backend->upload(error, device, STREAM_COPY, slot->device, slot->host, bytes) ||
        backend->event_record(error, device, slot->copied, STREAM_COPY) ||
        backend->event_wait(error, device, slot->copied, STREAM_COMPUTE))
        return error->status;
    feed->copying = index;
    feed->in_use = index;
    out->count = count;
    out->state = (const struct step_state *)(const void *)slot->device;
    out->labels = slot->device + LABELS_OFFSET;
    out->images = slot->device + feed->images_offset;
    return STATUS_OK;
}

enum status feed_release(struct error *error, struct feed *feed) {
    struct event *consumed = feed->slots[feed->in_use].consumed;
    return feed->backend->event_record(error, feed->device, consumed, STREAM_COMPUTE);
}

/* Waits for all work on both streams. Errors are ignored: a device that fails here has failed
 * before, and that was reported. */
static void drain(struct feed *feed) {
    struct error ignored;
    const enum stream streams[] = {STREAM_COPY, STREAM_COMPUTE};
    struct event *event = feed->slots[0].copied;
    for (int i = 0; i < 2 && event != NULL; i++)
        if (feed->backend->event_record(&ignored, feed->device, event, streams[i]) == STATUS_OK)
            (void)feed->backend->event_synchronize(&ignored, feed->device, event);
}

void feed_destroy(struct feed *feed) {
    if (feed == NULL)
        return;
    drain(feed);
    loader_destroy(feed->loader);
    for (int i = 0; i < SLOT_COUNT; i++)
        slot_destroy(feed, &feed->slots[i]);
    memory_free(feed);
}
