/* output.c: standard output, checked, and messages on standard error. */
#include "base/output.h"

#include "base/text.h"
#include "base/version.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum status output_failed(struct error *error) {
    return error_set_errno(error, STATUS_FAILED, errno, "cannot write to standard output");
}

enum status output_print(struct error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int written = vprintf(format, arguments);
    va_end(arguments);
    return written < 0 ? output_failed(error) : STATUS_OK;
}

void output_progress(const char *format, ...) {
    if (ferror(stdout) != 0)
        return;
    va_list arguments;
    va_start(arguments, format);
    int written = vprintf(format, arguments);
    va_end(arguments);
    if (written < 0 || fflush(stdout) != 0)
        output_warning("cannot write to standard output: %s; the work continues, but prints "
                       "nothing more",
                       strerror(errno));
}

enum status output_json(struct error *error, json_t *object) {
    char *text = text_of_json(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for the JSON output");
    enum status status = output_print(error, "%s\n", text);
    free(text);
    return status;
}

void output_message(const char *text) {
    fprintf(stderr, PROGRAM_NAME ": %s\n", text);
}

static void print_after(const char *prefix, const char *format, va_list arguments) {
    char text[2048];
    int length = snprintf(text, sizeof text, "%s: ", prefix);
    vsnprintf(text + length, sizeof text - (size_t)length, format, arguments);
    output_message(text_one_line(text));
}

void output_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_after("note", format, arguments);
    va_end(arguments);
}

void output_warning(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_after("warning", format, arguments);
    va_end(arguments);
}

enum status output_flush(struct error *error) {
    return fflush(stdout) != 0 ? output_failed(error) : STATUS_OK;
}

enum status output_prepare(struct error *error) {
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
        if (fcntl(stream, F_GETFD) != -1)
            continue;
        /* The wrong mode on purpose, so that using the stream fails. open returns the lowest free
         * descriptor, which is `stream`. */
        int mode = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (open("/dev/null", mode) != stream)
            return error_set_errno(error, STATUS_FAILED, errno, "cannot open /dev/null");
    }
    return STATUS_OK;
}
