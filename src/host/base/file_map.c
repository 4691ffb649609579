/* file_map.c: maps files, and reports those that are lost while they are in use. */
#include "base/file_map.h"

#include "base/text.h"
#include "base/version.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum status file_map(struct error *error, struct file_map *out, const struct file_reader *reader) {
    int flags = MAP_PRIVATE;
#ifdef MAP_POPULATE
    flags |= MAP_POPULATE; /* reads the file at once and in order, instead of page by page */
#endif
    void *bytes = mmap(NULL, reader->size, PROT_READ, flags, reader->handle, 0);
    *out = (struct file_map){.bytes = NULL};
    if (bytes == MAP_FAILED)
        return error_set_errno(error, STATUS_BAD_DATA, errno, "cannot map %s '%s' into memory",
                               reader->kind, reader->path);
    *out = (struct file_map){bytes, reader->size};
    return STATUS_OK;
}

void file_unmap(struct file_map *map) {
    if (map->bytes != NULL)
        (void)munmap((void *)map->bytes, map->size); /* it fails only if misused */
    *map = (struct file_map){.bytes = NULL};
}

/* ---- files that are lost --------------------------------------------------------------------- */

/* What the handler writes: a signal handler can reach nothing but global variables. */
static char lost_message[1024];

static void lost(int number, siginfo_t *about, void *context) {
    (void)context;
    if (about->si_code != BUS_ADRERR) { /* not a file: what happens without a handler */
        signal(number, SIG_DFL);
        raise(number);
        return;
    }
    if (write(STDERR_FILENO, lost_message, strlen(lost_message)) < 0)
        _exit(STATUS_FAILED);
    _exit(STATUS_BAD_DATA);
}

enum status file_map_guard(struct error *error, const char *format, ...) {
    char text[sizeof lost_message - sizeof PROGRAM_NAME - 5];
    struct sigaction action;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *begin = isatty(STDERR_FILENO) ? "\n" : ""; /* a line of progress may stand there */
    snprintf(lost_message, sizeof lost_message, "%s%s: %s\n", begin, PROGRAM_NAME,
             text_one_line(text));
    memset(&action, 0, sizeof action);
    action.sa_sigaction = lost;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, NULL) != 0)
        return error_set_errno(error, STATUS_FAILED, errno, "cannot handle signal %d", SIGBUS);
    return STATUS_OK;
}
