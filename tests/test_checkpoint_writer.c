/* test_checkpoint_writer.c: the thread that writes a checkpoint: the caller goes on meanwhile, and
 * learns of a failure when it waits. A pipe stands in for a slow disk: opening it for writing takes
 * until a reader opens it. */
#include "run/checkpoint_writer.h"
#include "run_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT_SECONDS = 60 };

struct scene {
    struct options options;
    struct dataset dataset;
    struct network network;
    struct device_choice device;
    struct model *model;
    struct run_description run;
    struct run_state state;
    struct checkpoint_writer writer;
};

static void open_scene(struct scene *s, const char *folder) {
    struct error error;
    const struct device_request request = {.kind = DEVICE_CPU, .threads = 1};
    const struct model_options model_options = {.batch = 1};
    *s = (struct scene){.options = small_run(folder, RECIPE_TUNED, NORM_GROUP),
                        .dataset = small_set(),
                        .state = RUN_STATE_NEW};
    assert_succeeded(network_build(&error, &s->network, &s->options.recipe), &error);
    assert_succeeded(device_choose(&error, &s->device, backends, &request), &error);
    assert_succeeded(model_create(&error, &s->model, s->device.backend, s->device.device,
                                  &s->network, &model_options),
                     &error);
    assert_succeeded(model_initialize(&error, s->model, 1), &error);
    s->run = (struct run_description){.options = &s->options,
                                      .dataset = &s->dataset,
                                      .network = &s->network,
                                      .device = &s->device,
                                      .steps_per_epoch = STEPS};
    alarm(LIMIT_SECONDS); /* ends a wait for a pipe that nobody opens */
}

static void close_scene(struct scene *s) {
    alarm(0);
    model_destroy(s->model);
    device_close(&s->device);
    dataset_close(&s->dataset);
}

static enum status start(struct error *error, struct scene *s, const char *path) {
    return checkpoint_writer_start(error, &s->writer, path, s->model, &s->state, &s->run);
}

/* The signals that thread `id` of this process blocks. */
static unsigned long long blocked_signals(const char *id) {
    char path[300], line[256];
    unsigned long long blocked = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", id);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "SigBlk:", 7) == 0)
            blocked = strtoull(line + 7, NULL, 16);
    fclose(file);
    return blocked;
}

/* How many threads block the signals that stop a run. */
static int threads_without_stops(void) {
    const unsigned long long stops =
        1ull << (SIGINT - 1) | 1ull << (SIGTERM - 1) | 1ull << (SIGHUP - 1) | 1ull << (SIGUSR1 - 1);
    const struct dirent *entry;
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    while ((entry = readdir(tasks)) != NULL)
        count += entry->d_name[0] != '.' && (blocked_signals(entry->d_name) & stops) == stops;
    closedir(tasks);
    return count;
}

/* Reads all that is written to the open pipe into a file. */
static void drain(const char *to, int pipe) {
    static char bytes[1 << 20];
    size_t size = 0;
    ssize_t got;
    while ((got = read(pipe, bytes + size, sizeof bytes - size)) > 0)
        size += (size_t)got;
    assert_int_equal(got, 0);
    close(pipe);
    file_put(to, bytes, size);
}

/* The state changes after the start, as in training: what is written is what was taken. */
static void goes_on(void **state) {
    struct scene s;
    struct error error;
    char pipe[PATH_CAPACITY], first[PATH_CAPACITY], expected[PATH_CAPACITY];
    strcpy(pipe, in_folder(*state, "pipe"));
    strcpy(first, in_folder(*state, "first"));
    strcpy(expected, in_folder(*state, "expected"));
    open_scene(&s, *state);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(threads_without_stops(), 0);
    assert_succeeded(start(&error, &s, pipe), &error);
    s.state.step = 17;
    assert_succeeded(model_initialize(&error, s.model, 2), &error);
    int end = open(pipe, O_RDONLY); /* waits until the thread has opened the other end */
    assert_true(end >= 0);
    /* the thread is still there, since the pipe does not hold all; ThreadSanitizer has another */
    assert_true(threads_without_stops() > 0);
    drain(first, end);
    assert_succeeded(checkpoint_writer_wait(&error, &s.writer), &error);
    s.state.step = 0;
    assert_succeeded(model_initialize(&error, s.model, 1), &error);
    assert_succeeded(start(&error, &s, expected), &error);
    assert_succeeded(checkpoint_writer_wait(&error, &s.writer), &error);
    assert_true(same_files(first, expected));
    close_scene(&s);
}

/* A failure is reported once, by the next wait or start. */
static void fails_later(void **state) {
    struct scene s;
    struct error error;
    char path[PATH_CAPACITY], good[PATH_CAPACITY];
    strcpy(path, in_folder(*state, "no-folder/checkpoint"));
    strcpy(good, in_folder(*state, "good"));
    open_scene(&s, *state);
    assert_succeeded(checkpoint_writer_wait(&error, &s.writer), &error); /* nothing was started */
    assert_succeeded(start(&error, &s, path), &error);
    FAILED(checkpoint_writer_wait(&error, &s.writer), STATUS_FAILED, &error, path);
    assert_succeeded(checkpoint_writer_wait(&error, &s.writer), &error);
    assert_succeeded(start(&error, &s, path), &error);
    FAILED(start(&error, &s, good), STATUS_FAILED, &error, path);
    assert_false(is_there(*state, "good"));
    assert_succeeded(start(&error, &s, good), &error);
    assert_succeeded(checkpoint_writer_wait(&error, &s.writer), &error);
    assert_true(is_there(*state, "good"));
    close_scene(&s);
}

int main(void) {
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)
    const struct CMUnitTest tests[] = {IN_FOLDER(goes_on), IN_FOLDER(fails_later)};
    return cmocka_run_group_tests_name("checkpoint_writer", tests, NULL, NULL);
}
