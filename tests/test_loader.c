/* test_loader.c: the orders of epochs, and the loader's thread: each image once per epoch, restarts
 * and ends at any moment, slots that stay untouched while they are held. Meant to be run under
 * ThreadSanitizer as well.
 *
 * The program replaces the C library's aligned_alloc with its own, which can be made to fail. */
#include "support.h"

#include "data/loader.h"
#include "memory.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- failing calls --------------------------------------------------------------------------- */

static int failing_allocation; /* counts down to the one that fails; 0: none */

void *aligned_alloc(size_t alignment, size_t bytes) {
    void *block = NULL;
    if (failing_allocation > 0 && --failing_allocation == 0)
        return NULL;
    return posix_memalign(&block, alignment, bytes) == 0 ? block : NULL;
}

/* ---- a set and its slots --------------------------------------------------------------------- */

/* 203 images in batches of 20: eleven batches, three images in the last. */
enum { COUNT = 203, BATCH = 20, BATCHES = 11, LAST = 3, MAX_SLOTS = 4 };

struct scene {
    struct image_set set;
    struct loader_batch slots[MAX_SLOTS];
    struct loader *loader;
};

/* All pixels of image n are n, except the first and the last, which are n mod 7 and n mod 11. */
static void image_of(uint8_t out[IMAGE_BYTES], int n) {
    memset(out, n, IMAGE_BYTES);
    out[0] = (uint8_t)(n % 7);
    out[IMAGE_BYTES - 1] = (uint8_t)(n % 11);
}

/* cmocka set-up: *state is a scene with the set and empty slots, without a loader yet. */
static int scene_make(void **state) {
    struct error error;
    struct scene *scene;
    assert_succeeded(memory_alloc(&error, &scene, 1, sizeof *scene, "test"), &error);
    *state = scene;
    assert_succeeded(image_set_make(&error, &scene->set, COUNT, "test"), &error);
    for (int n = 0; n < COUNT; n++) {
        image_of(scene->set.pixels + (size_t)n * IMAGE_BYTES, n);
        scene->set.labels[n] = (uint8_t)(n * 3 % CLASS_COUNT);
    }
    for (int i = 0; i < MAX_SLOTS; i++) {
        struct loader_batch *slot = &scene->slots[i];
        assert_succeeded(memory_alloc(&error, &slot->images, BATCH, IMAGE_BYTES, "test"), &error);
        assert_succeeded(memory_alloc(&error, &slot->labels, BATCH, 1, "test"), &error);
    }
    return 0;
}

static int scene_drop(void **state) {
    struct scene *scene = *state;
    loader_destroy(scene->loader);
    for (int i = 0; i < MAX_SLOTS; i++) {
        memory_free(scene->slots[i].images);
        memory_free(scene->slots[i].labels);
    }
    image_set_free(&scene->set);
    memory_free(scene);
    return 0;
}

static void start(struct scene *scene, int slot_count, bool shuffle, uint64_t seed) {
    struct error error;
    const struct loader_options options = {.batch_size = BATCH, .shuffle = shuffle, .seed = seed};
    assert_succeeded(
        loader_create(&error, &scene->loader, &scene->set, scene->slots, slot_count, &options),
        &error);
}

static void stop(struct scene *scene) {
    loader_destroy(scene->loader);
    scene->loader = NULL;
}

/* Checks that a slot holds batch `index` of the order: these images, with their labels. */
static void assert_batch(const struct loader_batch *slot, const int32_t *order, int index) {
    uint8_t image[IMAGE_BYTES];
    assert_int_equal(slot->index, index);
    assert_int_equal(slot->count, index == BATCHES - 1 ? LAST : BATCH);
    for (int i = 0; i < slot->count; i++) {
        int n = order[index * BATCH + i];
        image_of(image, n);
        assert_memory_equal(slot->images + (size_t)i * IMAGE_BYTES, image, IMAGE_BYTES);
        assert_int_equal(slot->labels[i], n * 3 % CLASS_COUNT);
    }
}

/* Runs the epoch from batch `first` to its end; checks every batch, and that no more follow. */
static void assert_rest_of_epoch(struct scene *scene, const int32_t *order, int first) {
    for (int index = first; index < BATCHES; index++) {
        int slot = loader_next(scene->loader);
        assert_in_range(slot, 0, MAX_SLOTS - 1);
        assert_batch(&scene->slots[slot], order, index);
        loader_release(scene->loader, slot);
    }
    assert_int_equal(loader_next(scene->loader), -1);
    assert_int_equal(loader_next(scene->loader), -1);
}

static void nap(long milliseconds) {
    const struct timespec time = {.tv_nsec = milliseconds * 1000000};
    nanosleep(&time, NULL);
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void orders_are_permutations(void **state) {
    (void)state;
    static const int counts[] = {0, 1, 2, 3, COUNT, 50000};
    static int32_t order[50000];
    static uint8_t seen[50000];
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++)
        for (int epoch = 0; epoch < 3; epoch++) {
            loader_order(order, counts[k], true, 1, epoch);
            memset(seen, 0, sizeof seen);
            for (int i = 0; i < counts[k]; i++) {
                assert_in_range(order[i], 0, counts[k] - 1);
                assert_int_equal(seen[order[i]]++, 0);
            }
        }
}

/* Checkpoints rely on it: a resumed run must find the same order. */
static void an_order_is_pinned(void **state) {
    (void)state;
    static const int32_t expected[] = {5, 7, 8, 9, 2, 3, 0, 1, 6, 4};
    int32_t order[10];
    loader_order(order, 10, true, 1, 0);
    assert_memory_equal(order, expected, sizeof order);
}

static void orders_differ_by_epoch_and_seed(void **state) {
    (void)state;
    int32_t a[COUNT], b[COUNT];
    loader_order(a, COUNT, true, 1, 0);
    loader_order(b, COUNT, true, 1, 0);
    assert_memory_equal(a, b, sizeof a);
    loader_order(b, COUNT, true, 1, 1);
    assert_memory_not_equal(a, b, sizeof a);
    loader_order(b, COUNT, true, 2, 0);
    assert_memory_not_equal(a, b, sizeof a);
    loader_order(b, COUNT, true, UINT64_C(1) << 32 | 1, 0);
    assert_memory_not_equal(a, b, sizeof a);
}

static void no_shuffle_is_file_order(void **state) {
    (void)state;
    int32_t order[COUNT];
    loader_order(order, COUNT, false, 1, 5);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(order[i], i);
}

/* Where each of six images lands in 12,000 epochs: 2,000 times everywhere, give or take 6 standard
 * deviations of sqrt(12000 * 5 / 36) = 41. The well-known wrong shuffles are off by 10 % and
 * more. */
static void orders_are_fair(void **state) {
    (void)state;
    enum { IMAGES = 6, EPOCHS = 12000, EXPECTED = EPOCHS / IMAGES, MARGIN = 6 * 41 };
    int landed[IMAGES][IMAGES] = {{0}};
    int32_t order[IMAGES];
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        loader_order(order, IMAGES, true, 1, epoch);
        for (int i = 0; i < IMAGES; i++)
            landed[order[i]][i]++;
    }
    for (int i = 0; i < IMAGES; i++)
        for (int j = 0; j < IMAGES; j++)
            assert_in_range(landed[i][j], EXPECTED - MARGIN, EXPECTED + MARGIN);
}

static void the_last_batch_counts(void **state) {
    (void)state;
    assert_int_equal(loader_batches(50000, 128), 391);
    assert_int_equal(loader_batches(COUNT, BATCH), BATCHES);
    assert_int_equal(loader_batches(40, 20), 2);
    assert_int_equal(loader_batches(1, 20), 1);
    assert_int_equal(loader_batches(0, 20), 0);
    assert_int_equal(loader_batches(INT32_MAX, 2), 0x40000000);
}

/* ---- epochs ---------------------------------------------------------------------------------- */

static void epochs_come_whole_and_in_order(void **state) {
    struct scene *scene = *state;
    int32_t order[COUNT];
    for (int slot_count = 2; slot_count <= MAX_SLOTS; slot_count++) {
        start(scene, slot_count, true, 9);
        for (int epoch = 0; epoch < 5; epoch++) {
            loader_order(order, COUNT, true, 9, epoch);
            loader_begin(scene->loader, epoch, 0);
            assert_rest_of_epoch(scene, order, 0);
        }
        stop(scene);
    }
}

static void epochs_come_in_file_order_without_shuffle(void **state) {
    struct scene *scene = *state;
    int32_t order[COUNT];
    loader_order(order, COUNT, false, 9, 0);
    start(scene, 2, false, 9);
    for (int epoch = 0; epoch < 2; epoch++) {
        loader_begin(scene->loader, epoch, 0);
        assert_rest_of_epoch(scene, order, 0);
    }
}

static void a_resumed_epoch_has_the_same_tail(void **state) {
    struct scene *scene = *state;
    int32_t order[COUNT];
    loader_order(order, COUNT, true, 9, 3);
    for (int first = 0; first <= BATCHES; first++) {
        start(scene, 3, true, 9);
        loader_begin(scene->loader, 3, first);
        assert_rest_of_epoch(scene, order, first);
        stop(scene);
    }
}

/* Cuts epochs short after any number of batches, with none, one or two slots still held. */
static void an_epoch_may_be_cut_short(void **state) {
    struct scene *scene = *state;
    int32_t order[COUNT];
    start(scene, 3, true, 9);
    for (int held = 0; held <= 2; held++)
        for (int taken = held; taken <= BATCHES; taken++) {
            loader_begin(scene->loader, 0, 0);
            for (int i = 0; i < taken; i++) {
                int slot = loader_next(scene->loader);
                assert_true(slot >= 0);
                if (i < taken - held)
                    loader_release(scene->loader, slot);
            }
            loader_order(order, COUNT, true, 9, taken);
            loader_begin(scene->loader, taken, 0);
            assert_rest_of_epoch(scene, order, 0);
        }
}

/* Begins again and again, at once or while the thread is at work. */
static void epochs_may_begin_in_a_row(void **state) {
    struct scene *scene = *state;
    int32_t order[COUNT];
    start(scene, 2, true, 9);
    for (int epoch = 0; epoch < 2000; epoch++) {
        loader_begin(scene->loader, epoch, epoch % BATCHES);
        if (epoch % 100 == 0)
            nap(1);
    }
    loader_order(order, COUNT, true, 9, 77);
    loader_begin(scene->loader, 77, 0);
    assert_rest_of_epoch(scene, order, 0);
}

/* Two slots are held while the thread has time to fill every slot that it may: only the third. */
static void held_slots_stay_untouched(void **state) {
    struct scene *scene = *state;
    int32_t order[COUNT];
    loader_order(order, COUNT, true, 9, 0);
    start(scene, 3, true, 9);
    loader_begin(scene->loader, 0, 0);
    int first = loader_next(scene->loader), second = loader_next(scene->loader);
    assert_int_not_equal(first, second);
    nap(20);
    assert_batch(&scene->slots[first], order, 0);
    assert_batch(&scene->slots[second], order, 1);
    loader_release(scene->loader, first);
    nap(20);
    assert_batch(&scene->slots[second], order, 1);
    loader_release(scene->loader, second);
    assert_rest_of_epoch(scene, order, 2);
}

static void there_is_nothing_before_an_epoch(void **state) {
    struct scene *scene = *state;
    start(scene, 2, true, 9);
    assert_int_equal(loader_next(scene->loader), -1);
}

static void an_empty_set_has_no_batches(void **state) {
    struct scene *scene = *state;
    scene->set.count = 0;
    start(scene, 2, true, 9);
    loader_begin(scene->loader, 0, 0);
    assert_int_equal(loader_next(scene->loader), -1);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

/* Ends the loader before an epoch, during the first batch, between batches, with slots held and
 * after the last. */
static void it_may_end_at_any_moment(void **state) {
    struct scene *scene = *state;
    loader_destroy(NULL);
    for (int round = 0; round < 20; round++)
        for (int taken = -1; taken <= BATCHES; taken++) {
            start(scene, 2, true, (uint64_t)round);
            if (taken >= 0)
                loader_begin(scene->loader, 0, 0);
            for (int i = 0; i < taken; i++) {
                int slot = loader_next(scene->loader);
                assert_true(slot >= 0);
                if (i < taken - 1)
                    loader_release(scene->loader, slot);
            }
            if (round == 0)
                nap(1); /* else it ends while the thread is at work */
            stop(scene);
        }
}

/* Sets the bytes of stack of every new thread and returns what they were. */
static size_t set_stack_of_threads(size_t bytes) {
    pthread_attr_t attributes;
    size_t before;
    assert_int_equal(pthread_getattr_default_np(&attributes), 0);
    assert_int_equal(pthread_attr_getstacksize(&attributes, &before), 0);
    assert_int_equal(pthread_attr_setstacksize(&attributes, bytes), 0);
    assert_int_equal(pthread_setattr_default_np(&attributes), 0);
    assert_int_equal(pthread_attr_destroy(&attributes), 0);
    return before;
}

/* Fails each allocation in turn, then the thread: no machine has room for such a stack. */
static void it_says_what_it_cannot_have(void **state) {
    struct scene *scene = *state;
    struct error error;
    const struct loader_options options = {.batch_size = BATCH};
    for (int n = 1; n <= 2; n++) {
        failing_allocation = n;
        FAILED(loader_create(&error, &scene->loader, &scene->set, scene->slots, 2, &options),
               STATUS_FAILED, &error, "out of memory");
        assert_null(scene->loader);
    }
    failing_allocation = 0;
    size_t before = set_stack_of_threads(SIZE_MAX / 16);
    enum status status =
        loader_create(&error, &scene->loader, &scene->set, scene->slots, 2, &options);
    set_stack_of_threads(before);
    FAILED(status, STATUS_FAILED, &error, "thread", strerror(EAGAIN));
    assert_null(scene->loader);
}

/* A signal that main blocks would end the process if the loader's thread received it. The test's
 * parent may have blocked or ignored signals, so that is undone first. */
static void signals_are_left_to_main(void **state) {
    struct scene *scene = *state;
    sigset_t none, before, after, usr1;
    const struct timespec patience = {.tv_sec = 5};
    sigemptyset(&none);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &none, &before), 0);
    assert_true(signal(SIGUSR1, SIG_DFL) != SIG_ERR);
    start(scene, 2, true, 9);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
    for (int number = 1; number < SIGRTMIN; number++)
        assert_int_equal(sigismember(&after, number), 0);
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &usr1, NULL), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    nap(20); /* time for the wrong thread to receive it */
    assert_int_equal(sigtimedwait(&usr1, NULL, &patience), SIGUSR1);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

/* Waiting uses no processor time: before an epoch, with all slots full, after the last batch. */
static void waiting_is_idle(void **state) {
    struct scene *scene = *state;
    int32_t order[COUNT];
    start(scene, 2, false, 9);
    for (int stage = 0; stage < 3; stage++) {
        if (stage == 1)
            loader_begin(scene->loader, 0, 0);
        if (stage == 2) {
            loader_order(order, COUNT, false, 9, 0);
            assert_rest_of_epoch(scene, order, 0);
        }
        nap(20);
        clock_t used = clock();
        nap(200);
        assert_true(clock() - used < CLOCKS_PER_SEC / 20);
    }
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_make, scene_drop)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_permutations),
        cmocka_unit_test(an_order_is_pinned),
        cmocka_unit_test(orders_differ_by_epoch_and_seed),
        cmocka_unit_test(no_shuffle_is_file_order),
        cmocka_unit_test(orders_are_fair),
        cmocka_unit_test(the_last_batch_counts),
        IN_SCENE(epochs_come_whole_and_in_order),
        IN_SCENE(epochs_come_in_file_order_without_shuffle),
        IN_SCENE(a_resumed_epoch_has_the_same_tail),
        IN_SCENE(an_epoch_may_be_cut_short),
        IN_SCENE(epochs_may_begin_in_a_row),
        IN_SCENE(held_slots_stay_untouched),
        IN_SCENE(there_is_nothing_before_an_epoch),
        IN_SCENE(an_empty_set_has_no_batches),
        IN_SCENE(it_may_end_at_any_moment),
        IN_SCENE(it_says_what_it_cannot_have),
        IN_SCENE(signals_are_left_to_main),
        IN_SCENE(waiting_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
