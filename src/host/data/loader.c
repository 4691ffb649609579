/* loader.c: a thread that fills slots with batches ahead of the caller.
 *
 * Batches use the slots in turn: the n-th batch (from 0) since loader_begin lies in slot n mod
 * slot_count. Three counters hold the whole state: batches `filled` by the thread, `taken` by
 * loader_next and `released` by loader_release. Always released <= taken <= filled <= released +
 * slot_count. */
#include "data/loader.h"

#include "base/thread.h"
#include "data/shuffle.h"
#include "memory.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct loader {
    /* set once, then only read */
    const struct image_set *set;
    struct loader_batch *slots;
    int slot_count;
    struct loader_options options;
    pthread_t thread;

    /* used only by the thread */
    int32_t *order;    /* [set->count], of the current epoch */
    uint64_t order_of; /* the value of `begun` that it was made for */

    pthread_mutex_t mutex;    /* guards what follows */
    pthread_cond_t has_work;  /* for the thread: an epoch began, a slot was released, or stop */
    pthread_cond_t has_batch; /* for loader_next: a batch was filled */
    bool stop;
    uint64_t begun; /* calls of loader_begin, to recognize a batch of an epoch that was cut short */
    int epoch, first_batch;
    int batches; /* to be filled since loader_begin */
    int filled, taken, released;
};

/* A batch to fill: a copy of what the thread needs without the lock. */
struct task {
    uint64_t begun;
    int epoch, batch, slot;
};

/* These calls fail only if misused, which would be a bug in this file. */
static void must(int result) {
    if (result != 0)
        abort();
}

/* ---- order ----------------------------------------------------------------------------------- */

void loader_order(int32_t *order, int count, bool shuffled, uint64_t seed, int epoch) {
    if (shuffled)
        shuffle(order, count, seed, PHILOX_SHUFFLE, (uint64_t)epoch);
    else
        for (int i = 0; i < count; i++)
            order[i] = i;
}

int loader_batches(int count, int batch_size) {
    return count / batch_size + (count % batch_size != 0);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Waits for a batch to fill; false: stop. */
static bool wait_for_task(struct loader *loader, struct task *out) {
    must(pthread_mutex_lock(&loader->mutex));
    while (!loader->stop && (loader->filled == loader->batches ||
                             loader->filled == loader->released + loader->slot_count))
        must(pthread_cond_wait(&loader->has_work, &loader->mutex));
    bool go_on = !loader->stop;
    *out = (struct task){.begun = loader->begun,
                         .epoch = loader->epoch,
                         .batch = loader->first_batch + loader->filled,
                         .slot = loader->filled % loader->slot_count};
    must(pthread_mutex_unlock(&loader->mutex));
    return go_on;
}

/* Gathers the images of a batch into its slot. Needs no lock: until the batch is reported, only the
 * thread uses the slot. */
static void fill(struct loader *loader, const struct task *task) {
    const struct image_set *set = loader->set;
    struct loader_batch *slot = &loader->slots[task->slot];
    int first = task->batch * loader->options.batch_size;
    int rest = set->count - first;
    slot->index = task->batch;
    slot->count = rest < loader->options.batch_size ? rest : loader->options.batch_size;
    for (int i = 0; i < slot->count; i++) {
        int32_t image = loader->order[first + i];
        memcpy(slot->images + (size_t)i * IMAGE_BYTES, set->images[image], IMAGE_BYTES);
        slot->labels[i] = set->labels[image];
    }
}

/* Counts a filled batch, unless its epoch was cut short meanwhile; its slot is then free again. */
static void report(struct loader *loader, const struct task *task) {
    must(pthread_mutex_lock(&loader->mutex));
    if (task->begun == loader->begun) {
        loader->filled++;
        must(pthread_cond_signal(&loader->has_batch));
    }
    must(pthread_mutex_unlock(&loader->mutex));
}

static void *work(void *argument) {
    struct loader *loader = argument;
    struct task task;
    while (wait_for_task(loader, &task)) {
        if (loader->order_of != task.begun)
            loader_order(loader->order, loader->set->count, loader->options.shuffle,
                         loader->options.seed, task.epoch);
        loader->order_of = task.begun;
        fill(loader, &task);
        report(loader, &task);
    }
    return NULL;
}

/* ---- the caller ------------------------------------------------------------------------------ */

static enum status start(struct error *error, struct loader *loader) {
    int result = thread_start(&loader->thread, work, loader);
    if (result != 0)
        return error_set_errno(
            error, STATUS_FAILED, result,
            "cannot start the loader's thread (`ulimit -u` limits their number)");
    return STATUS_OK;
}

/* Releases everything except the thread. */
static void discard(struct loader *loader) {
    must(pthread_cond_destroy(&loader->has_batch));
    must(pthread_cond_destroy(&loader->has_work));
    must(pthread_mutex_destroy(&loader->mutex));
    memory_free(loader->order);
    memory_free(loader);
}

enum status loader_create(struct error *error, struct loader **out, const struct image_set *set,
                          struct loader_batch *slots, int slot_count,
                          const struct loader_options *options) {
    assert(slot_count >= 2 && options->batch_size > 0);
    struct loader *loader;
    *out = NULL;
    if (memory_alloc(error, &loader, 1, sizeof *loader, "the loader") != STATUS_OK)
        return error->status;
    loader->set = set;
    loader->slots = slots;
    loader->slot_count = slot_count;
    loader->options = *options;
    must(pthread_mutex_init(&loader->mutex, NULL));
    must(pthread_cond_init(&loader->has_work, NULL));
    must(pthread_cond_init(&loader->has_batch, NULL));
    if (memory_alloc(error, &loader->order, (size_t)set->count, sizeof *loader->order,
                     "the order of an epoch") != STATUS_OK ||
        start(error, loader) != STATUS_OK) {
        discard(loader);
        return error->status;
    }
    *out = loader;
    return STATUS_OK;
}

void loader_begin(struct loader *loader, int epoch, int first_batch) {
    int left = loader_batches(loader->set->count, loader->options.batch_size) - first_batch;
    assert(epoch >= 0 && first_batch >= 0);
    must(pthread_mutex_lock(&loader->mutex));
    loader->begun++;
    loader->epoch = epoch;
    loader->first_batch = first_batch;
    loader->batches = left > 0 ? left : 0;
    loader->filled = loader->taken = loader->released = 0;
    must(pthread_cond_signal(&loader->has_work));
    must(pthread_mutex_unlock(&loader->mutex));
}

int loader_next(struct loader *loader) {
    int slot = -1;
    must(pthread_mutex_lock(&loader->mutex));
    if (loader->taken < loader->batches) {
        /* otherwise no batch could ever come */
        assert(loader->taken - loader->released < loader->slot_count);
        while (loader->taken == loader->filled)
            must(pthread_cond_wait(&loader->has_batch, &loader->mutex));
        slot = loader->taken++ % loader->slot_count;
    }
    must(pthread_mutex_unlock(&loader->mutex));
    return slot;
}

void loader_release(struct loader *loader, int slot) {
    must(pthread_mutex_lock(&loader->mutex));
    assert(loader->released < loader->taken && slot == loader->released % loader->slot_count);
    loader->released++;
    must(pthread_cond_signal(&loader->has_work));
    must(pthread_mutex_unlock(&loader->mutex));
}

void loader_destroy(struct loader *loader) {
    if (loader == NULL)
        return;
    must(pthread_mutex_lock(&loader->mutex));
    loader->stop = true;
    must(pthread_cond_signal(&loader->has_work));
    must(pthread_mutex_unlock(&loader->mutex));
    must(pthread_join(loader->thread, NULL));
    discard(loader);
}
