/* test_resume.c: runs that are interrupted and resumed from their checkpoint: killed at any moment,
 * stopped by a signal; and checkpoints that are refused.
 *
 * Every run is a separate process: a killed run must not clean up, and neither threads nor an open
 * CUDA device survive a fork. */
#include "event_records.h"
#include "model/weights.h"
#include "run_fixture.h"

#include "base/clock.h"
#include "base/version.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 24, LIMIT_SECONDS = 120 };

static const char *const file_names[] = {"model.safetensors", "best.safetensors",
                                         "checkpoint.safetensors", "metrics.jsonl", "config.json"};
enum { FILE_NAMES = sizeof file_names / sizeof file_names[0] };

/* ---- runs in other processes ----------------------------------------------------------------- */

/* A network of a few channels, so that checkpoints take most of the time. */
static struct options slim_run(const char *folder, const char *name, enum norm_kind norm) {
    struct options options = small_run(folder, RECIPE_TUNED, norm);
    for (int i = 0; i < BLOCK_COUNT; i++)
        options.recipe.channels[i] = 4;
    options.recipe.groups = norm == NORM_GROUP ? 2 : 1;
    options.recipe.dropout = 0.05f;
    options.checkpoint_seconds = 1e-6f; /* after every step */
    snprintf(options.out, sizeof options.out, "%s/%s", folder, name);
    return options;
}

/* Starts a run, whose process exits with its status; its message goes to `folder`/message. */
static pid_t start(const struct options *options, const char *folder) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0)
        return child;
    struct error error = {STATUS_OK, ""};
    signal(SIGINT, SIG_DFL); /* a shell that starts the tests in the background ignores it */
    alarm(LIMIT_SECONDS);
    enum status status = run(&error, options);
    FILE *message = fopen(in_folder(folder, "message"), "w");
    if (message != NULL) {
        fputs(error.text, message);
        fclose(message);
    }
    _exit((int)status);
}

/* Waits for the child; its exit status, or minus the signal that ended it. */
static int finish(pid_t child) {
    int state;
    while (waitpid(child, &state, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(state) ? WEXITSTATUS(state) : -WTERMSIG(state);
}

/* A whole run; a pipe returns its error. */
static enum status child_run(struct error *error, const struct options *options) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error found = {STATUS_OK, ""};
        alarm(LIMIT_SECONDS);
        enum status status = run(&found, options);
        ssize_t told = write(ends[1], &found, sizeof found); /* fits into any pipe */
        _exit(told == (ssize_t)sizeof found ? (int)status : -1);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], error, sizeof *error);
    close(ends[0]);
    int status = finish(child);
    assert_int_equal(got, sizeof *error);
    return (enum status)status;
}

static void child_ok(const struct options *options) {
    struct error error;
    assert_succeeded(child_run(&error, options), &error);
}

static void assert_ends_well(pid_t child, const char *folder) {
    int status = finish(child);
    if (status == 0)
        return;
    size_t size = 0;
    unsigned char *message =
        is_there(folder, "message") ? slurp(&size, in_folder(folder, "message")) : NULL;
    fail_msg("a run ended with %d: %.*s", status, (int)size,
             message == NULL ? "" : (char *)message);
}

static bool can_resume(const struct options *options) {
    return is_there(options->out, "checkpoint.safetensors");
}

/* ---- what the runs leave --------------------------------------------------------------------- */

static void drop_timings(json_t *line) {
    json_object_del(line, "seconds");
    json_object_del(line, "images_per_second");
    json_object_del(line, "eval_seconds");
}

static void assert_same_metrics(const char *folder, const char *expected) {
    struct metrics_file a = read_metrics(folder), b = read_metrics(expected);
    assert_int_equal(a.count, b.count);
    for (int i = 0; i < a.count; i++) {
        drop_timings(a.lines[i]);
        drop_timings(b.lines[i]);
        if (!json_equal(a.lines[i], b.lines[i]))
            fail_msg("line %d of metrics.jsonl differs", i + 1);
    }
    free_metrics(&a);
    free_metrics(&b);
}

static void assert_same_results(const char *folder, const char *expected) {
    assert_true(same_files(in_folder(folder, "model.safetensors"),
                           in_folder(expected, "model.safetensors")));
    assert_true(
        same_files(in_folder(folder, "best.safetensors"), in_folder(expected, "best.safetensors")));
    assert_same_metrics(folder, expected);
    assert_int_equal(folder_entries(folder), FILE_NAMES); /* no temporary file is left */
}

/* ---- killed at any moment -------------------------------------------------------------------- */

struct killing {
    unsigned seed;
    double usual;      /* seconds of an undisturbed run */
    int kills, writes; /* all; those that found a checkpoint half written */
};

/* Sleeps for at most the time of an undisturbed run, usually less; the seed decides. */
static void sleep_a_while(struct killing *killing) {
    double share = (double)rand_r(&killing->seed) / RAND_MAX;
    usleep((useconds_t)(1e6 * killing->usual * share * share));
}

/* Runs to the end despite kills, and after enough of them undisturbed. */
static void run_and_kill(struct killing *killing, struct options options, const char *folder,
                         int enough) {
    for (bool ended = false; !ended;) {
        options.resume = can_resume(&options);
        pid_t child = start(&options, folder);
        if (killing->kills >= enough) {
            assert_ends_well(child, folder);
            return;
        }
        sleep_a_while(killing);
        assert_int_equal(kill(child, SIGKILL), 0);
        int status = finish(child);
        ended = status == 0;
        if (!ended)
            assert_int_equal(status, -SIGKILL);
        killing->kills += !ended;
        killing->writes += is_there(options.out, "checkpoint.safetensors.tmp");
    }
}

static void killed(void **state, enum norm_kind norm) {
    const char *folder = *state;
    struct options whole = slim_run(folder, "whole", norm);
    struct killing killing = {.seed = 1 + (unsigned)norm};
    double start_time = clock_seconds();
    assert_ends_well(start(&whole, folder), folder);
    killing.usual = clock_seconds() - start_time;
    for (int round = 0; killing.kills < KILLS; round++) {
        char name[32];
        snprintf(name, sizeof name, "cut-%d", round);
        struct options cut = slim_run(folder, name, norm);
        run_and_kill(&killing, cut, folder, KILLS);
        assert_same_results(cut.out, whole.out);
    }
    print_message("# killed %d times, %d of them while a checkpoint was being written\n",
                  killing.kills, killing.writes);
}

static void killed_batch_norm(void **state) {
    killed(state, NORM_BATCH);
}

static void killed_group_norm(void **state) {
    killed(state, NORM_GROUP);
}

/* ---- stopped by a signal --------------------------------------------------------------------- */

static int lines_of(const char *folder) {
    size_t size;
    int lines = 0;
    if (!is_there(folder, "metrics.jsonl"))
        return 0;
    unsigned char *text = slurp(&size, in_folder(folder, "metrics.jsonl"));
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    free(text);
    return lines;
}

/* The number that the checkpoint's metadata has under `key`. */
static double checkpoint_number(const char *folder, const char *key) {
    struct error error;
    struct tensor_list list;
    json_t *metadata;
    const char *path = in_folder(folder, "checkpoint.safetensors");
    assert_succeeded(weights_read(&error, &list, &metadata, path), &error);
    const char *text = json_string_value(json_object_get(metadata, key));
    assert_non_null(text);
    double value = strtod(text, NULL);
    tensor_list_free(&list);
    json_decref(metadata);
    return value;
}

/* Writes the checkpoint again with another value in its metadata; NULL: without the entry. */
static void change_checkpoint(const char *folder, const char *key, const char *value) {
    const struct weights_origin origin = {recipe_find(RECIPE_TUNED, NORM_GROUP), NULL};
    struct error error;
    struct tensor_list list;
    json_t *metadata;
    const char *path = in_folder(folder, "checkpoint.safetensors");
    assert_succeeded(weights_read(&error, &list, &metadata, path), &error);
    if (value == NULL)
        assert_int_equal(json_object_del(metadata, key), 0);
    else
        assert_int_equal(json_object_set_new(metadata, key, json_string(value)), 0);
    assert_succeeded(weights_write(&error, path, &list, &origin, metadata), &error);
    tensor_list_free(&list);
    json_decref(metadata);
}

static void stopped_by(const char *folder, int number, enum status status, const char *name) {
    struct options whole = slim_run(folder, "whole", NORM_LAYER);
    struct options cut = slim_run(folder, name, NORM_LAYER);
    whole.recipe.epochs = cut.recipe.epochs = 12;
    cut.checkpoint_seconds = 0;
    pid_t child = start(&cut, folder);
    while (lines_of(cut.out) == 0) /* the child's alarm ends the wait if none comes */
        usleep(1000);
    assert_int_equal(kill(child, number), 0);
    assert_int_equal(finish(child), status);
    size_t size;
    unsigned char *message = slurp(&size, in_folder(folder, "message"));
    assert_true(size > 0 && memmem(message, size, name, strlen(name)) != NULL);
    const char *stopped = memmem(message, size, "after step ", 11);
    assert_non_null(stopped);
    double step = checkpoint_number(cut.out, "state.step");
    assert_true(strtod(stopped + 11, NULL) == step); /* the message ends with a path */
    free(message);
    assert_false(is_there(cut.out, "model.safetensors"));
    assert_true(step >= STEPS && step < 12 * STEPS);
    /* made by the stop itself: one made after an epoch has 0 seconds of the next */
    assert_true(checkpoint_number(cut.out, "state.seconds") > 0);
    cut.resume = true;
    assert_ends_well(start(&cut, folder), folder);
    if (!is_there(folder, "whole"))
        assert_ends_well(start(&whole, folder), folder);
    assert_same_results(cut.out, whole.out);
}

static void stopped(void **state) {
    stopped_by(*state, SIGTERM, STATUS_TERMINATED, "terminated");
    stopped_by(*state, SIGINT, STATUS_INTERRUPTED, "interrupted");
    stopped_by(*state, SIGHUP, STATUS_HANGUP, "hung-up");
    stopped_by(*state, SIGUSR1, STATUS_USER_SIGNAL, "warned");
}

/* Leaves a run that was killed in or after its second epoch. */
static void kill_after_an_epoch(const struct options *options, const char *folder) {
    pid_t child = start(options, folder);
    while (lines_of(options->out) == 0)
        usleep(1000);
    kill(child, SIGKILL);
    finish(child);
}

/* ---- resuming -------------------------------------------------------------------------------- */

/* Resuming a finished run changes nothing. */
static void finished(void **state) {
    struct options whole = slim_run(*state, "whole", NORM_GROUP);
    struct options again = slim_run(*state, "again", NORM_GROUP);
    whole.max_steps = again.max_steps = STEPS + 1; /* an epoch of one step is the last one */
    child_ok(&whole);
    child_ok(&again);
    again.resume = true;
    file_put(in_folder(again.out, "best.safetensors.tmp"), "half", 4);
    child_ok(&again);
    assert_same_results(again.out, whole.out);
    assert_int_equal(unlink(in_folder(again.out, "model.safetensors")), 0);
    child_ok(&again); /* killed between its last checkpoint and its final weights */
    assert_same_results(again.out, whole.out);
}

/* Possible leftovers of a kill beside the checkpoint: a line and weights of an epoch that is not in
 * the checkpoint, part of a line, temporary files. */
static void leftovers(void **state) {
    struct options whole = slim_run(*state, "whole", NORM_GROUP);
    struct options cut = slim_run(*state, "cut", NORM_GROUP);
    static const char line[] = "{\"epoch\": 2, \"test_accuracy\": 100}\n{\"epoch\": 3, ";
    child_ok(&whole);
    kill_after_an_epoch(&cut, *state);
    FILE *metrics = fopen(in_folder(cut.out, "metrics.jsonl"), "a");
    assert_non_null(metrics);
    fputs(line, metrics);
    fclose(metrics);
    file_put(in_folder(cut.out, "model.safetensors"), "old", 3);
    file_put(in_folder(cut.out, "model.safetensors.tmp"), "half", 4);
    file_put(in_folder(cut.out, "best.safetensors.tmp"), "half", 4);
    file_put(in_folder(cut.out, "checkpoint.safetensors.tmp"), "half", 4);
    file_put(in_folder(cut.out, "config.json.tmp"), "half", 4);
    cut.resume = true;
    child_ok(&cut);
    assert_same_results(cut.out, whole.out);
}

/* The seconds and counters of a checkpoint are continued, neither lost nor counted twice. This
 * checkpoint is from a run killed between the last step of its epoch and the evaluation. */
static void counts_go_on(void **state) {
    static const char *const changes[][2] = {
        {"state.epoch", "1"},       {"state.batch", "3"},       {"state.best_epoch", "0"},
        {"state.sum.images", "20"}, {"state.sum.correct", "5"}, {"state.sum.loss", "10"},
        {"state.seconds", "1000"},  {"state.elapsed", "3000"},
    };
    struct options options = slim_run(*state, "run", NORM_GROUP);
    options.max_steps = STEPS;
    child_ok(&options);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        change_checkpoint(options.out, changes[i][0], changes[i][1]);
    options.resume = true;
    child_ok(&options);
    struct metrics_file metrics = read_metrics(options.out);
    assert_int_equal(metrics.count, 1);
    double seconds = number(metrics.lines[0], "seconds");
    assert_true(number(metrics.lines[0], "train_accuracy") == 25);
    assert_true(number(metrics.lines[0], "train_loss") == 0.5);
    assert_true(seconds >= 1000 && seconds < 1000 + LIMIT_SECONDS);
    free_metrics(&metrics);
    double elapsed = checkpoint_number(options.out, "state.elapsed");
    assert_true(elapsed >= 3000 && elapsed < 3000 + LIMIT_SECONDS);
}

/* Two processes in one folder would overwrite each other's temporary files. */
static void one_at_a_time(void **state) {
    struct error error;
    struct options options = slim_run(*state, "run", NORM_GROUP), second = options;
    options.recipe.epochs = second.recipe.epochs = 100000;
    pid_t child = start(&options, *state);
    while (lines_of(options.out) == 0)
        usleep(1000);
    assert_int_equal(kill(child, SIGSTOP), 0); /* it may be in the middle of a write */
    second.resume = true;
    FAILED(child_run(&error, &second), STATUS_FAILED, &error, "another process is using folder",
           options.out);
    second.resume = false;
    second.force = true;
    FAILED(child_run(&error, &second), STATUS_FAILED, &error, "another process is using folder",
           options.out);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(finish(child), -SIGKILL);
    second.recipe.epochs = 1; /* the lock ended with its owner */
    child_ok(&second);
}

/* ---- event files ----------------------------------------------------------------------------- */

/* Leaves what a kill may leave: an epoch that is not in the checkpoint, and part of a record. */
static void spoil_events(const char *folder) {
    char path[1024];
    size_t size;
    assert_true(find_event_files(path, folder) > 0);
    unsigned char *bytes = slurp(&size, path);
    FILE *stream = fopen(path, "ab");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, size, stream), size);
    assert_int_equal(fwrite(bytes, 1, size / 2, stream), size / 2);
    assert_int_equal(fclose(stream), 0);
    free(bytes);
}

/* Whatever was left, the last file has each epoch once. The others stay, because an open
 * TensorBoard stops at a file that is gone. */
static void events(void **state) {
    char first[1024];
    size_t size;
    struct options cut = slim_run(*state, "cut", NORM_GROUP);
    cut.tensorboard = true;
    kill_after_an_epoch(&cut, *state);
    spoil_events(cut.out);
    assert_int_equal(find_event_files(first, cut.out), 1);
    unsigned char *before = slurp(&size, first);
    cut.resume = true;
    child_ok(&cut);
    assert_events_are_metrics(cut.out, 2);
    assert_int_equal(folder_entries(cut.out), FILE_NAMES + 2);
    spoil_events(cut.out);
    child_ok(&cut); /* a finished run has nothing to add */
    assert_events_are_metrics(cut.out, 3);
    assert_file_holds(first, before, size);
    free(before);
    cut.resume = false;
    cut.force = true;
    child_ok(&cut); /* another run */
    assert_events_are_metrics(cut.out, 1);
}

/* A run resumed with --tensorboard shows all its epochs; one resumed without it leaves the event
 * files as they are. */
static void events_from_the_middle(void **state) {
    char path[1024];
    struct options cut = slim_run(*state, "cut", NORM_GROUP);
    kill_after_an_epoch(&cut, *state);
    assert_int_equal(find_event_files(path, cut.out), 0);
    cut.resume = cut.tensorboard = true;
    child_ok(&cut);
    assert_events_are_metrics(cut.out, 1);
    cut.tensorboard = false;
    child_ok(&cut);
    assert_events_are_metrics(cut.out, 1);
}

/* The epochs of a resumed run are as far apart as their seconds say, and in the past. */
static void times_of_events(void **state) {
    char path[1024];
    struct options options = slim_run(*state, "run", NORM_GROUP);
    options.tensorboard = true;
    child_ok(&options);
    options.resume = true;
    child_ok(&options);
    assert_int_equal(find_event_files(path, options.out), 2);
    struct event_list list = read_events(path);
    struct metrics_file metrics = read_metrics(options.out);
    assert_int_equal(list.count, EPOCHS + 1);
    for (int i = 1; i < EPOCHS; i++) {
        double due = number(metrics.lines[i], "seconds") + number(metrics.lines[i], "eval_seconds");
        double found = list.events[i + 1].wall_time - list.events[i].wall_time;
        assert_true(fabs(found - due) <= 1e-6); /* seconds since 1970 leave 2e-7 of a double */
    }
    assert_true(list.events[EPOCHS].wall_time <= clock_wall());
    assert_true(list.events[1].wall_time > clock_wall() - LIMIT_SECONDS);
    free_metrics(&metrics);
    free_events(&list);
}

static void events_of_damaged_lines(void **state) {
    struct error error;
    struct options options = slim_run(*state, "run", NORM_GROUP);
    child_ok(&options);
    const char *path = in_folder(options.out, "metrics.jsonl");
    size_t size;
    unsigned char *lines = slurp(&size, path);
    unsigned char *second = (unsigned char *)memchr(lines, '\n', size) + 1;
    file_poke(path, (size_t)(second - lines), "x", 1);
    free(lines);
    options.resume = options.tensorboard = true;
    FAILED(child_run(&error, &options), STATUS_BAD_DATA, &error, "line 2", path);
    options.tensorboard = false;
    child_ok(&options);
}

/* ---- refusals -------------------------------------------------------------------------------- */

struct folder_bytes {
    unsigned char *bytes[FILE_NAMES];
    size_t sizes[FILE_NAMES];
};

static struct folder_bytes remember(const char *folder) {
    struct folder_bytes all;
    for (int i = 0; i < FILE_NAMES; i++)
        all.bytes[i] = slurp(&all.sizes[i], in_folder(folder, file_names[i]));
    return all;
}

static void assert_untouched(const char *folder, struct folder_bytes *before) {
    for (int i = 0; i < FILE_NAMES; i++) {
        assert_file_holds(in_folder(folder, file_names[i]), before->bytes[i], before->sizes[i]);
        free(before->bytes[i]);
    }
    assert_int_equal(folder_entries(folder), FILE_NAMES);
}

#define REFUSES(options, status, ...)                                                              \
    do {                                                                                           \
        struct error refusal;                                                                      \
        struct folder_bytes before = remember((options)->out);                                     \
        FAILED(child_run(&refusal, options), status, &refusal, (options)->out, __VA_ARGS__);       \
        assert_untouched((options)->out, &before);                                                 \
    } while (0)

static void other_settings(void **state) {
    const struct options first = slim_run(*state, "run", NORM_GROUP);
    struct options o = first;
    child_ok(&first);
#define OTHER(change, ...)                                                                         \
    o = first;                                                                                     \
    o.resume = true;                                                                               \
    o.change;                                                                                      \
    REFUSES(&o, STATUS_USAGE, __VA_ARGS__)
    OTHER(recipe.norm = NORM_LAYER, "--norm gn", "--norm ln");
    OTHER(recipe.kind = RECIPE_REFERENCE, "--recipe tuned", "--recipe reference");
    OTHER(recipe.groups = 4, "--groups 2", "--groups 4");
    OTHER(recipe.activation = SILU_AFTER, "--activation relu", "--activation silu");
    OTHER(recipe.dropout = 0, "--dropout 0.05", "--dropout 0");
    OTHER(recipe.epochs = 4, "--epochs 3", "--epochs 4");
    OTHER(recipe.batch_size = 9, "--batch-size 8", "--batch-size 9");
    OTHER(recipe.learning_rate = 0.1f, "--lr 0.2", "--lr 0.1");
    OTHER(recipe.momentum = 0.5f, "--momentum 0.9", "--momentum 0.5");
    OTHER(recipe.weight_decay = 0, "--weight-decay 0.0005", "--weight-decay 0");
    OTHER(recipe.optimizer = OPTIMIZER_MUON, "--optimizer sgd, no --muon-lr, no --muon-momentum;",
          "--optimizer muon, --muon-lr 0.1, --muon-momentum 0.6");
    OTHER(recipe.augment = AUGMENT_NONE, "--augment flip-crop, --crop 4;",
          "--augment none, no --crop;");
    OTHER(recipe.crop = 2, "--crop 4", "--crop 2");
    OTHER(seed = 4, "--seed 3", "--seed 4");
    OTHER(no_shuffle = true, "no --no-shuffle;", "has --no-shuffle;");
    OTHER(validation = 5, "no --validation;", "--validation 5");
    OTHER(max_steps = 5, "no --max-steps;", "--max-steps 5");
    OTHER(device.precision = PRECISION_TF32, "--precision fp32", "--precision tf32");
    OTHER(device.batch_norm = BATCH_NORM_OWN, "--batch-norm cudnn", "--batch-norm own");
    OTHER(device.fast_algorithms = true, "no --fast-algorithms;", "has --fast-algorithms;");
    o = first;
    o.resume = true;
    strcpy(o.weights, "some.safetensors");
    REFUSES(&o, STATUS_USAGE, "no --weights;", "--weights some.safetensors");
    o.seed = 5;
    REFUSES(&o, STATUS_USAGE, "--seed 3, no --weights;", "--seed 5, --weights some.safetensors");
    o = first;
    o.resume = true;
    o.device.kind = DEVICE_CPU;
    if (on_cuda())
        REFUSES(&o, STATUS_USAGE, "--device cuda", "--device cpu");
    o.device.kind = first.device.kind;
    change_checkpoint(o.out, "setting.data", "CIFAR-10");
    change_checkpoint(o.out, "setting.device", "abacus");
    REFUSES(&o, STATUS_USAGE, "--data CIFAR-10, --device abacus;",
            "--data synthetic:3, --device c");
}

/* Settings that do not affect the results may change. */
static void other_threads(void **state) {
    struct options whole = slim_run(*state, "whole", NORM_GROUP);
    struct options cut = slim_run(*state, "cut", NORM_GROUP);
    child_ok(&whole);
    kill_after_an_epoch(&cut, *state);
    cut.resume = true;
    cut.device.threads = 2;
    cut.no_graph = true;
    cut.checkpoint_seconds = 0;
    assert_ends_well(start(&cut, *state), *state);
    assert_same_results(cut.out, whole.out);
}

static void no_checkpoint(void **state) {
    struct error error;
    struct options options = slim_run(*state, "none", NORM_GROUP);
    options.resume = true;
    FAILED(child_run(&error, &options), STATUS_BAD_DATA, &error, "none/checkpoint.safetensors",
           "leave out --resume");
    assert_int_equal(folder_entries(*state), 0);
}

static void damaged_states(void **state) {
    static const struct {
        const char *key, *value, *part;
    } cases[] = {
        {"state.step", NULL, "'state.step'"},
        {"state.step", "", "'state.step' is ''"},
        {"state.step", "x", "'x'"},
        {"state.step", "9x", "'9x'"},
        {"state.step", "99999999999999999999", "'99999999999999999999'"},
        {"state.step", "-1", "step -1"},
        {"state.step", "8", "step 8"},
        {"state.epoch", "0", "epoch 0"},
        {"state.epoch", "5", "epoch 5"},
        {"state.epoch", "4294967297", "'4294967297'"},
        {"state.batch", "-1", "batch -1"},
        {"state.batch", "4", "batch 4"},
        {"state.sum.images", "1", "do not fit"},
        {"state.sum.correct", "1", "do not fit"},
        {"state.sum.loss", "nan", "'nan'"},
        {"state.best_accuracy", "inf", "'inf'"},
        {"state.best_epoch", "4", "best epoch 4"},
        {"state.best_epoch", "0", "best epoch 0"},
        {"state.learning_rate", "1e99", "'1e99'"},
        {"state.learning_rate", "-1", "'-1'"},
        {"state.sum.loss", "-1", "'-1'"},
        {"state.seconds", "-1", "'-1'"},
        {"state.elapsed", "1e300", "'1e300'"},
        {"state.last_accuracy", "101", "'101'"},
        {"setting.channels", NULL, "'setting.channels': another build"},
        {"setting.validation", NULL, "'setting.validation': another build"},
        {"version", NULL, "'version'"},
    };
    struct options options = slim_run(*state, "run", NORM_GROUP);
    child_ok(&options);
    options.resume = true;
    size_t size;
    const char *path = in_folder(options.out, "checkpoint.safetensors");
    unsigned char *right = slurp(&size, path);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        file_put(in_folder(options.out, "checkpoint.safetensors"), right, size);
        change_checkpoint(options.out, cases[i].key, cases[i].value);
        REFUSES(&options, STATUS_BAD_DATA, "checkpoint.safetensors", cases[i].part);
    }
    free(right);
}

static void other_version(void **state) {
    struct options options = slim_run(*state, "run", NORM_GROUP);
    child_ok(&options);
    options.resume = true;
    change_checkpoint(options.out, "version", "0.0.9");
    REFUSES(&options, STATUS_USAGE, "version 0.0.9", "this is " PROGRAM_VERSION, "--out");
}

/* A checkpoint cut at any place, or replaced by the run's weights. */
static void damaged_files(void **state) {
    enum { CUTS = 32 };
    struct options options = slim_run(*state, "run", NORM_GROUP);
    child_ok(&options);
    options.resume = true;
    size_t size, weights_size;
    unsigned char *right = slurp(&size, in_folder(options.out, "checkpoint.safetensors"));
    for (size_t i = 0; i < CUTS; i++) {
        file_put(in_folder(options.out, "checkpoint.safetensors"), right, size * i / CUTS);
        REFUSES(&options, STATUS_BAD_DATA, "checkpoint.safetensors");
    }
    free(right);
    unsigned char *weights = slurp(&weights_size, in_folder(options.out, "best.safetensors"));
    file_put(in_folder(options.out, "checkpoint.safetensors"), weights, weights_size);
    REFUSES(&options, STATUS_BAD_DATA, "checkpoint.safetensors", "'version'");
    free(weights);
}

/* Lines and weights that the checkpoint requires but the folder lacks are an error. */
static void lost_results(void **state) {
    struct options options = slim_run(*state, "run", NORM_GROUP);
    child_ok(&options);
    options.resume = true;
    size_t size;
    unsigned char *lines = slurp(&size, in_folder(options.out, "metrics.jsonl"));
    file_put(in_folder(options.out, "metrics.jsonl"), lines, size - 1);
    struct error error;
    struct folder_bytes before = remember(options.out);
    options.device.threads = 2; /* config.json would show it */
    FAILED(child_run(&error, &options), STATUS_BAD_DATA, &error, "metrics.jsonl", "2 whole lines",
           "3 epochs");
    assert_untouched(options.out, &before);
    file_put(in_folder(options.out, "metrics.jsonl"), lines, size);
    free(lines);
    assert_int_equal(unlink(in_folder(options.out, "best.safetensors")), 0);
    FAILED(child_run(&error, &options), STATUS_BAD_DATA, &error, "best.safetensors' is missing",
           "--force");
}

/* ---- divergence ------------------------------------------------------------------------------ */

/* A rate at which the weights overflow in some step: the run stops at its next log point, and the
 * files that it keeps can be read. */
static void diverges(const char *folder, float interval, int64_t saved) {
    struct error error;
    struct options options = slim_run(folder, "run", NORM_GROUP);
    options.recipe.schedule = SCHEDULE_STEPS;
    options.recipe.learning_rate = 3e38f;
    options.checkpoint_seconds = interval;
    options.force = true;
    char kept[64];
    snprintf(kept, sizeof kept, "the checkpoint of step %" PRId64 " is kept", saved);
    file_put(in_folder(options.out, "model.safetensors.tmp"), "half", 4);
    FAILED(child_run(&error, &options), STATUS_DIVERGED, &error, "the training loss", "step",
           "3e+38", "--lr", kept);
    assert_true(checkpoint_number(options.out, "state.step") == (double)saved);
    struct tensor_list list;
    const char *path = in_folder(options.out, "checkpoint.safetensors");
    assert_succeeded(weights_read(&error, &list, NULL, path), &error);
    assert_null(tensor_list_not_finite(&list));
    tensor_list_free(&list);
    assert_int_equal(folder_entries(options.out), 3); /* nothing is left of the run before it */
}

static void divergence(void **state) {
    const struct options before = slim_run(*state, "run", NORM_GROUP);
    child_ok(&before);
    diverges(*state, 0, 0);
    diverges(*state, 1e-6f,
             1); /* the first step's loss was finite, and so are the weights after it */
}

/* The loss of the only step is finite, but the weights that it leaves are not. */
static void divergence_of_the_test(void **state) {
    struct error error;
    struct options options = slim_run(*state, "run", NORM_GROUP);
    options.recipe.schedule = SCHEDULE_STEPS;
    options.recipe.learning_rate = 3e38f;
    options.checkpoint_seconds = 0;
    options.max_steps = 1;
    FAILED(child_run(&error, &options), STATUS_DIVERGED, &error, "the test loss", "after step 1",
           "3e+38", "the checkpoint of step 0 is kept");
    assert_int_equal(folder_entries(options.out), 3);
    assert_int_equal(lines_of(options.out), 0);
}

/* Starting weights that are not finite are bad data, not divergence, and the earlier run stays. */
static void weights_not_finite(void **state) {
    struct error error;
    struct tensor_list list;
    struct options options = slim_run(*state, "run", NORM_GROUP);
    const struct weights_origin origin = {&options.recipe, NULL};
    child_ok(&options);
    assert_succeeded(weights_read(&error, &list, NULL, in_folder(options.out, "model.safetensors")),
                     &error);
    *(float *)list.storage = NAN;
    snprintf(options.weights, sizeof options.weights, "%s/nan.safetensors", (char *)*state);
    assert_succeeded(weights_write(&error, options.weights, &list, &origin, NULL), &error);
    options.force = true;
    struct folder_bytes before = remember(options.out);
    FAILED(child_run(&error, &options), STATUS_BAD_DATA, &error, "nan.safetensors",
           list.tensors[0].name, "not finite");
    assert_untouched(options.out, &before);
    tensor_list_free(&list);
}

int main(void) {
#define IN_FOLDER(test)                                                                            \
    cmocka_unit_test_setup_teardown(test, temporary_folder_make, temporary_folder_remove)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(killed_batch_norm),
        IN_FOLDER(killed_group_norm),
        IN_FOLDER(stopped),
        IN_FOLDER(finished),
        IN_FOLDER(leftovers),
        IN_FOLDER(counts_go_on),
        IN_FOLDER(one_at_a_time),
        IN_FOLDER(events),
        IN_FOLDER(events_from_the_middle),
        IN_FOLDER(times_of_events),
        IN_FOLDER(events_of_damaged_lines),
        IN_FOLDER(other_settings),
        IN_FOLDER(other_threads),
        IN_FOLDER(no_checkpoint),
        IN_FOLDER(damaged_states),
        IN_FOLDER(other_version),
        IN_FOLDER(damaged_files),
        IN_FOLDER(lost_results),
        IN_FOLDER(divergence),
        IN_FOLDER(divergence_of_the_test),
        IN_FOLDER(weights_not_finite),
    };
    return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
