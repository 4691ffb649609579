/* error.c: filling a struct error. */
#include "error.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Prints into the text from byte `place` on, and keeps it to one line. */
static void print_at(struct error *error, size_t place, const char *format, va_list arguments) {
    vsnprintf(error->text + place, sizeof error->text - place, format, arguments);
    text_one_line(error->text + place);
}

enum status error_set(struct error *error, enum status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error->status = status;
    print_at(error, 0, format, arguments);
    va_end(arguments);
    return status;
}

enum status error_append(struct error *error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_at(error, strlen(error->text), format, arguments);
    va_end(arguments);
    return error->status;
}

enum status error_set_errno(struct error *error, enum status status, int errno_value,
                            const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error->status = status;
    print_at(error, 0, format, arguments);
    va_end(arguments);
    return error_append(error, ": %s", strerror(errno_value));
}
