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
#include <unistd.h>

static enum status run_command(struct error *error, const struct options *options) {
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

static enum status print_version(struct error *error) {
    if (output_print(error, "%s %s\n", PROGRAM_NAME, PROGRAM_VERSION) != STATUS_OK)
        return error->status;
    return output_flush(error);
}

/* GCC's OpenMP waits for its other threads in a busy loop of some milliseconds. On a machine that
 * has anything else to do this takes the time from the very thread that is waited for: a step then
 * takes up to four times as long, as measured with two threads on two busy cores. The library reads
 * its settings before main, so the program starts itself once more with them, under its own path to
 * keep its name; a setting of the user's stays.
 */
static void wait_passively(char *const argv[]) {
    char path[PATH_CAPACITY];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0 || getenv("OMP_WAIT_POLICY") != NULL || getenv("GOMP_SPINCOUNT") != NULL)
        return;
    path[length] = '\0';
    if (setenv("GOMP_SPINCOUNT", "3000", 1) == 0) /* some ten microseconds: a short loop's end */
        (void)execv(path, argv);                  /* where this fails it runs as it is */
}

static bool computes(enum command command) {
    return command == COMMAND_TRAIN || command == COMMAND_EVAL || command == COMMAND_PREDICT ||
           command == COMMAND_COMPARE;
}

static enum status run(struct error *error, int argc, char *const argv[]) {
    struct options options;
    if (output_prepare(error) != STATUS_OK || stop_ignore_write_signals(error) != STATUS_OK ||
        command_line_parse(error, &options, argc, argv) != STATUS_OK)
        return error->status;
    enum status status;
    if (options.help) {
        status = command_line_help(error, &options);
    } else if (options.version) {
        status = print_version(error);
    } else {
        if (computes(options.command))
            wait_passively(argv);
        status = run_command(error, &options);
    }
    command_line_free(&options);
    return status;
}

int main(int argc, char *argv[]) {
    struct error error = {STATUS_OK, ""};
    enum status status = run(&error, argc, argv);
    pictures_release();
    if (status != STATUS_OK)
        output_message(error.text);
    return (int)status;
}
