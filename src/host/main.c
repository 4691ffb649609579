/* main.c: reads the command line, runs the command, and reports what went wrong: one line on
 * standard error, and the status as exit status. */
#include "base/output.h"
#include "base/stop.h"
#include "base/version.h"
#include "command_line.h"
#include "compare/comparison.h"
#include "eval.h"
#include "info.h"
#include "pictures/pictures.h"
#include "predict.h"
#include "run/train.h"
#include "summary.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static enum status print_version(struct error *error) {
    if (output_print(error, "%s %s\n", PROGRAM_NAME, PROGRAM_VERSION) != STATUS_OK)
        return error->status;
    return output_flush(error);
}

/* GCC's OpenMP waits for its other threads in a busy loop of some milliseconds. On a machine that
 * has anything else to do this takes the time from the very thread that is waited for: a step then
 * takes up to four times as long, measured with two threads on two busy cores. The library reads
 * its settings once, before any code of this program runs, and no call changes them later; so the
 * program starts itself again with a short loop, under its own path to keep its name. What the user
 * has set stays. */
static void wait_passively(char *const argv[]) {
    char path[PATH_CAPACITY];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0 || getenv("OMP_WAIT_POLICY") != NULL || getenv("GOMP_SPINCOUNT") != NULL)
        return;
    path[length] = '\0';
    if (setenv("GOMP_SPINCOUNT", "3000", 1) == 0) /* some ten microseconds */
        (void)execv(path, argv);                  /* if this fails, the program runs as it is */
}

static bool computes(enum command command) {
    return command == COMMAND_TRAIN || command == COMMAND_EVAL || command == COMMAND_PREDICT ||
           command == COMMAND_COMPARE;
}

/* Raises a stack limit that is too small, where that is allowed: a stack that overflows ends the
 * program without a message. Training with its report needs between 96 and 112 KiB (`ulimit -s`,
 * x86-64). */
static enum status ensure_stack(struct error *error) {
    const rlim_t needed = 512 << 10;
    struct rlimit limit;
    if (getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= needed)
        return STATUS_OK;
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = needed;
    if (limit.rlim_max >= needed && setrlimit(RLIMIT_STACK, &limit) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED,
                     "the limit on the stack is %llu KiB, and this program needs %llu: run "
                     "`ulimit -s 8192`, or ask for a higher limit",
                     (unsigned long long)before >> 10, (unsigned long long)needed >> 10);
}

static enum status run_command(struct error *error, const struct options *options,
                               char *const argv[]) {
    if (options->help)
        return command_line_help(error, options);
    if (options->version)
        return print_version(error);
    if (computes(options->command))
        wait_passively(argv);
    switch (options->command) {
    case COMMAND_TRAIN:
        return train(error, options);
    case COMMAND_EVAL:
        return eval(error, options);
    case COMMAND_PREDICT:
        return predict(error, options);
    case COMMAND_COMPARE:
        return compare(error, options);
    case COMMAND_SUMMARY:
        return summary(error, options);
    case COMMAND_INFO:
        return info(error, options);
    }
    return STATUS_OK;
}

static enum status prepare(struct error *error, struct options *out, int argc, char *const argv[]) {
    if (ensure_stack(error) != STATUS_OK || output_prepare(error) != STATUS_OK ||
        stop_ignore_write_signals(error) != STATUS_OK)
        return error->status;
    return command_line_parse(error, out, argc, argv);
}

int main(int argc, char *argv[]) {
    struct error error = {STATUS_OK, ""};
    struct options options = {0};
    enum status status = prepare(&error, &options, argc, argv);
    if (status == STATUS_OK) {
        status = run_command(&error, &options, argv);
        command_line_free(&options);
    }
    pictures_release();
    if (status != STATUS_OK)
        output_message(error.text);
    return (int)status;
}
