/* output.c: standard output, checked. */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

enum status output_json(struct error *error, json_t *object) {
    char *text =
        object == NULL ? NULL : json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (text == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for the JSON output");
    enum status status = output_print(error, "%s\n", text);
    free(text);
    return status;
}

enum status output_flush(struct error *error) {
    return fflush(stdout) != 0 ? output_failed(error) : STATUS_OK;
}

enum status output_prepare(struct error *error) {
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; stream++) {
        if (fcntl(stream, F_GETFD) != -1)
            continue;
        /* The wrong way round on purpose: reading the input or writing the outputs then fails. The
         * lowest free number is taken, which is `stream`. */
        int mode = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (open("/dev/null", mode) != stream)
            return error_set_errno(error, STATUS_FAILED, errno, "cannot open /dev/null");
    }
    return STATUS_OK;
}
