/* error.h: how a function says that it failed, why, and what to do about it.
 *
 * Every function that can fail takes a `struct error *` first and returns an `enum status`, which
 * is also the exit status of the program (docs/manual.md, "Exit status"). The function that notices
 * a fault fills the error with error_set(); callers pass it up; main prints it, once, as one line. */
#ifndef ERROR_H
#define ERROR_H

enum status {
    STATUS_OK = 0,
    STATUS_FAILED = 1,    /* failed while running: a system call, memory, the disk, the device */
    STATUS_USAGE = 2,     /* wrong option, value or combination of them */
    STATUS_NO_DEVICE = 3, /* no usable device */
    STATUS_BAD_DATA = 4,  /* missing or damaged data, weights or checkpoint */
    STATUS_DIVERGED = 5,  /* loss or weights are not finite */
    /* stopped by a signal, after a checkpoint: 128 and its number */
    STATUS_HANGUP = 129,      /* SIGHUP */
    STATUS_INTERRUPTED = 130, /* SIGINT */
    STATUS_USER_SIGNAL = 138, /* SIGUSR1 */
    STATUS_TERMINATED = 143,  /* SIGTERM */
};

struct error {
    enum status status;
    char text[2048]; /* what, where, why and the remedy; one line: error_set turns control bytes
                         into '?'; no prefix */
};

/* Fills `error` from a printf format and returns `status`, so that a fault is one statement:
 * `return error_set(error, STATUS_BAD_DATA, "%s: empty file", path);` */
enum status error_set(struct error *error, enum status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: appends ": " and the text of `errno_value`. */
enum status error_set_errno(struct error *error, enum status status, int errno_value,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Appends to the text of a failure, for a caller that knows what to do about it:
 * `return error_append(error, "; run `make data`");`. Returns its status. */
enum status error_append(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
