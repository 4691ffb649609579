/* test_feed.c: the feed with a backend that runs work as late as events allow.
 *
 * The mock device has two queues and runs each only when it must: in a patient device nothing runs
 * until the host waits; in a hasty one either stream runs as soon as its waits allow. So a missing
 * event shows as wrong contents, whichever side runs too early. */
#include "support.h"

#include "memory.h"
#include "model/feed.h"

#include <stdlib.h>
#include <string.h>

/* ---- the mock backend ------------------------------------------------------------------------ */

enum work_kind { WORK_COPY, WORK_RECORD, WORK_WAIT, WORK_READ };

struct event {
    int recorded, reached; /* how often it was enqueued and reached */
    enum stream stream;    /* of the last time */
};

/* The batch that a step finds when it runs. */
struct sighting {
    struct device_batch batch;
    uint64_t hash, step;
};

struct work {
    enum work_kind kind;
    void *to;
    const void *from;
    size_t bytes;
    struct event *event;
    int turn; /* of the event: which recording */
    struct sighting *sighting;
};

enum { QUEUE = 4096, STREAMS = 2 };

struct device {
    struct work queue[STREAMS][QUEUE];
    int filled[STREAMS], done[STREAMS];
    bool hasty[STREAMS];
    int waits_for_compute; /* times that the host waited for all computation */
    int live;              /* allocations and events */
    int fail_after;        /* calls that succeed before one fails; -1: all */
};

static bool due_to_fail(struct device *device) {
    return device->fail_after >= 0 && device->fail_after-- == 0;
}

static enum status failed(struct error *error) {
    return error_set(error, STATUS_FAILED, "mock failure");
}

static void see(struct sighting *sighting) {
    const struct device_batch *batch = &sighting->batch;
    sighting->hash = hash_bytes(batch->images, (size_t)batch->count * IMAGE_BYTES) ^
                     hash_bytes(batch->labels, (size_t)batch->count);
    sighting->step = batch->state->step;
}

/* Runs the next work of a stream; false if it has to wait or there is none. */
static bool run_one(struct device *device, int stream) {
    if (device->done[stream] == device->filled[stream])
        return false;
    const struct work *work = &device->queue[stream][device->done[stream]];
    switch (work->kind) {
    case WORK_COPY:
        memcpy(work->to, work->from, work->bytes);
        break;
    case WORK_RECORD:
        work->event->reached = work->turn;
        break;
    case WORK_WAIT:
        if (work->event->reached < work->turn)
            return false;
        break;
    case WORK_READ:
        see(work->sighting);
        break;
    }
    device->done[stream]++;
    return true;
}

static void run_hasty(struct device *device) {
    bool ran = true;
    while (ran) {
        ran = false;
        for (int stream = 0; stream < STREAMS; stream++)
            while (device->hasty[stream] && run_one(device, stream))
                ran = true;
    }
}

/* Runs only what the event needs: its stream, and the other one if that stream waits for it. */
static void run_until(struct device *device, const struct event *event, int turn, int stream) {
    while (event->reached < turn) {
        if (run_one(device, stream))
            continue;
        assert_true(device->done[stream] < device->filled[stream]);
        const struct work *work = &device->queue[stream][device->done[stream]];
        assert_int_equal(work->kind, WORK_WAIT);
        run_until(device, work->event, work->turn, 1 - stream);
    }
}

static enum status push(struct error *error, struct device *device, enum stream stream,
                        struct work work) {
    if (due_to_fail(device))
        return failed(error);
    assert_true(device->filled[stream] < QUEUE);
    device->queue[stream][device->filled[stream]++] = work;
    run_hasty(device);
    return STATUS_OK;
}

static enum status mock_alloc(struct error *error, struct device *device, void *out, size_t bytes,
                              const char *what) {
    if (due_to_fail(device))
        return failed(error);
    device->live++;
    return memory_alloc(error, out, bytes, 1, what);
}

static void mock_release(struct device *device, void *memory) {
    device->live--;
    memory_free(memory);
}

static enum status mock_upload(struct error *error, struct device *device, enum stream stream,
                               void *to, const void *from, size_t bytes) {
    return push(error, device, stream,
                (struct work){.kind = WORK_COPY, .to = to, .from = from, .bytes = bytes});
}

static enum status mock_event_create(struct error *error, struct device *device,
                                     struct event **out) {
    return mock_alloc(error, device, out, sizeof **out, "an event");
}

static void mock_event_destroy(struct device *device, struct event *event) {
    mock_release(device, event);
}

static enum status mock_event_record(struct error *error, struct device *device,
                                     struct event *event, enum stream stream) {
    event->stream = stream;
    return push(error, device, stream,
                (struct work){.kind = WORK_RECORD, .event = event, .turn = ++event->recorded});
}

static enum status mock_event_wait(struct error *error, struct device *device, struct event *event,
                                   enum stream stream) {
    return push(error, device, stream,
                (struct work){.kind = WORK_WAIT, .event = event, .turn = event->recorded});
}

static enum status mock_event_synchronize(struct error *error, struct device *device,
                                          struct event *event) {
    if (due_to_fail(device))
        return failed(error);
    run_until(device, event, event->recorded, (int)event->stream);
    if (device->done[STREAM_COMPUTE] == device->filled[STREAM_COMPUTE])
        device->waits_for_compute++;
    return STATUS_OK;
}

static const struct backend mock = {
    .name = "mock",
    .alloc = mock_alloc,
    .release = mock_release,
    .alloc_pinned = mock_alloc,
    .release_pinned = mock_release,
    .upload = mock_upload,
    .event_create = mock_event_create,
    .event_destroy = mock_event_destroy,
    .event_record = mock_event_record,
    .event_wait = mock_event_wait,
    .event_synchronize = mock_event_synchronize,
};

/* ---- the batches ----------------------------------------------------------------------------- */

enum { IMAGES = 37, BATCH = 8, BATCHES = 5, EPOCHS = 3 };

static struct image_set make_set(void) {
    struct image_set set;
    struct error error;
    assert_succeeded(image_set_make(&error, &set, IMAGES, "images"), &error);
    for (int i = 0; i < IMAGES; i++) {
        memset(set.pixels + (size_t)i * IMAGE_BYTES, 5 * i + 1, IMAGE_BYTES);
        set.labels[i] = (uint8_t)(i % 10);
    }
    return set;
}

static void free_set(struct image_set *set) {
    image_set_free(set);
}

/* The hash of batch `index` of an epoch, gathered here. */
static uint64_t expected_hash(const struct image_set *set, bool shuffle, int epoch, int index) {
    int32_t order[IMAGES];
    loader_order(order, IMAGES, shuffle, 7, epoch);
    static uint8_t images[BATCH * IMAGE_BYTES];
    uint8_t labels[BATCH];
    int count = 0;
    for (int i = index * BATCH; i < IMAGES && count < BATCH; i++, count++) {
        memcpy(images + (size_t)count * IMAGE_BYTES, set->images[order[i]], IMAGE_BYTES);
        labels[count] = set->labels[order[i]];
    }
    return hash_bytes(images, (size_t)count * IMAGE_BYTES) ^ hash_bytes(labels, (size_t)count);
}

static enum status make_feed(struct error *error, struct feed **out, struct device *device,
                             const struct image_set *set, bool shuffle) {
    const struct loader_options options = {.batch_size = BATCH, .shuffle = shuffle, .seed = 7};
    return feed_create(error, out, &mock, device, set, &options);
}

/* Enqueues one batch as a step that reads it when the device gets there. Returns its count. */
static int enqueue_batch(struct feed *feed, struct device *device, uint64_t step,
                         struct sighting *sighting) {
    struct error error;
    const struct step_state state = {.step = step};
    struct device_batch batch;
    assert_succeeded(feed_next(&error, feed, &batch, &state), &error);
    if (batch.count == 0)
        return 0;
    sighting->batch = batch;
    assert_succeeded(push(&error, device, STREAM_COMPUTE,
                          (struct work){.kind = WORK_READ, .sighting = sighting}),
                     &error);
    assert_succeeded(feed_release(&error, feed), &error);
    return batch.count;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void feed_epochs(bool hasty_compute, bool hasty_copy, bool shuffle) {
    struct error error;
    struct image_set set = make_set();
    struct device *device = calloc(1, sizeof *device);
    assert_non_null(device);
    device->fail_after = -1;
    device->hasty[STREAM_COMPUTE] = hasty_compute;
    device->hasty[STREAM_COPY] = hasty_copy;
    struct feed *feed;
    assert_succeeded(make_feed(&error, &feed, device, &set, shuffle), &error);
    struct sighting seen[EPOCHS * BATCHES];
    int steps = 0;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        assert_succeeded(feed_begin(&error, feed, epoch, 0), &error);
        int images = 0, count;
        while ((count = enqueue_batch(feed, device, (uint64_t)steps,
                                      &seen[steps < EPOCHS * BATCHES ? steps : 0])) > 0) {
            images += count;
            steps++;
        }
        assert_int_equal(images, IMAGES);
    }
    assert_int_equal(steps, EPOCHS * BATCHES);
    if (!hasty_compute) /* the host ran ahead: it never waited for the last step */
        assert_int_equal(device->waits_for_compute, 0);
    feed_destroy(feed);
    assert_int_equal(device->live, 0);
    for (int i = 0; i < steps; i++) {
        assert_true(seen[i].step == (uint64_t)i);
        assert_true(seen[i].hash == expected_hash(&set, shuffle, i / BATCHES, i % BATCHES));
    }
    free(device);
    free_set(&set);
}

static void patient_device(void **state) {
    (void)state;
    feed_epochs(false, false, true);
}

static void hasty_compute(void **state) {
    (void)state;
    feed_epochs(true, false, true);
}

static void hasty_copy(void **state) {
    (void)state;
    feed_epochs(false, true, true);
}

static void hasty_device(void **state) {
    (void)state;
    feed_epochs(true, true, false);
}

/* There are two slots, each with the same device addresses every time. */
static void fixed_addresses(void **state) {
    (void)state;
    struct error error;
    struct image_set set = make_set();
    struct device *device = calloc(1, sizeof *device);
    assert_non_null(device);
    device->fail_after = -1;
    struct feed *feed;
    assert_succeeded(make_feed(&error, &feed, device, &set, true), &error);
    struct sighting seen[2 * BATCHES];
    for (int epoch = 0; epoch < 2; epoch++) {
        assert_succeeded(feed_begin(&error, feed, epoch, 0), &error);
        for (int i = 0; i < BATCHES; i++)
            enqueue_batch(feed, device, 0, &seen[epoch * BATCHES + i]);
    }
    for (int i = 0; i < 2 * BATCHES; i++) {
        int same = i % BATCHES % 2;
        assert_ptr_equal(seen[i].batch.images, seen[same].batch.images);
        assert_ptr_equal(seen[i].batch.labels, seen[same].batch.labels);
        assert_ptr_equal(seen[i].batch.state, seen[same].batch.state);
    }
    assert_ptr_not_equal(seen[0].batch.images, seen[1].batch.images);
    feed_destroy(feed);
    free(device);
    free_set(&set);
}

/* An epoch that is cut short after any number of batches, and one that starts in the middle. */
static void cut_short(void **state) {
    (void)state;
    struct error error;
    struct image_set set = make_set();
    for (int taken = 0; taken <= BATCHES; taken++) {
        struct device *device = calloc(1, sizeof *device);
        assert_non_null(device);
        device->fail_after = -1;
        struct feed *feed;
        assert_succeeded(make_feed(&error, &feed, device, &set, true), &error);
        struct sighting seen[BATCHES + 1];
        assert_succeeded(feed_begin(&error, feed, 0, 0), &error);
        for (int i = 0; i < taken; i++)
            assert_true(enqueue_batch(feed, device, 0, &seen[i]) > 0);
        assert_succeeded(feed_begin(&error, feed, 1, BATCHES - 1), &error);
        assert_int_equal(enqueue_batch(feed, device, 9, &seen[BATCHES]), IMAGES % BATCH);
        struct sighting none;
        assert_int_equal(enqueue_batch(feed, device, 9, &none), 0);
        feed_destroy(feed);
        for (int i = 0; i < taken; i++)
            assert_true(seen[i].hash == expected_hash(&set, true, 0, i));
        assert_true(seen[BATCHES].hash == expected_hash(&set, true, 1, BATCHES - 1));
        assert_int_equal(device->live, 0);
        free(device);
    }
    free_set(&set);
}

/* Every call to the backend fails once: each time there is an error, and nothing stays
 * allocated. */
static void every_failure(void **state) {
    (void)state;
    struct error error;
    struct image_set set = make_set();
    bool succeeded = false;
    for (int calls = 0; !succeeded; calls++) {
        assert_in_range(calls, 0, 200);
        struct device *device = calloc(1, sizeof *device);
        assert_non_null(device);
        device->fail_after = calls;
        struct feed *feed = NULL;
        enum status status = make_feed(&error, &feed, device, &set, true);
        const struct step_state step = {0};
        struct device_batch batch = {.count = 1};
        if (status == STATUS_OK)
            status = feed_begin(&error, feed, 0, 0);
        while (status == STATUS_OK && batch.count > 0) {
            status = feed_next(&error, feed, &batch, &step);
            if (status == STATUS_OK && batch.count > 0)
                status = feed_release(&error, feed);
        }
        succeeded = status == STATUS_OK;
        assert_true(succeeded || strcmp(error.text, "mock failure") == 0);
        device->fail_after = -1;
        feed_destroy(feed);
        assert_int_equal(device->live, 0);
        free(device);
    }
    free_set(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patient_device),  cmocka_unit_test(hasty_compute),
        cmocka_unit_test(hasty_copy),      cmocka_unit_test(hasty_device),
        cmocka_unit_test(fixed_addresses), cmocka_unit_test(cut_short),
        cmocka_unit_test(every_failure),
    };
    return cmocka_run_group_tests_name("feed", tests, NULL, NULL);
}
