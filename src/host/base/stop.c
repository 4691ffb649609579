/* stop.c: signals that ask the program to stop, and those that it ignores. */
#include "base/stop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static const struct {
    int number;
    enum status status;
    const char *name;
} signals[] = {
    {SIGINT, STATUS_INTERRUPTED, "SIGINT"},
    {SIGTERM, STATUS_TERMINATED, "SIGTERM"},
    {SIGHUP, STATUS_HANGUP, "SIGHUP"},
    {SIGUSR1, STATUS_USER_SIGNAL, "SIGUSR1"},
};
enum { SIGNAL_COUNT = sizeof signals / sizeof signals[0] };

/* A global variable, since a signal handler can reach nothing else. */
static volatile sig_atomic_t stop_signal;

static bool is_urgent(int number) {
    return number == SIGINT || number == SIGTERM;
}

static void remember(int number) {
    if (is_urgent(number) && is_urgent(stop_signal))
        _exit(128 + number);
    if (is_urgent(number) || stop_signal == 0)
        stop_signal = number;
}

static enum status install(struct error *error, int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART; /* no system call of the program fails with EINTR */
    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, NULL) != 0)
        return error_set_errno(error, STATUS_FAILED, errno, "cannot handle signal %d", number);
    return STATUS_OK;
}

enum status stop_on_signals(struct error *error) {
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        struct sigaction before;
        int number = signals[i].number;
        if (sigaction(number, NULL, &before) != 0)
            return error_set_errno(error, STATUS_FAILED, errno, "cannot handle signal %d", number);
        if (before.sa_handler != SIG_IGN && install(error, number, remember) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

enum status stop_requested(void) {
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (signals[i].number == stop_signal)
            return signals[i].status;
    return STATUS_OK;
}

const char *stop_signal_name(enum status status) {
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (signals[i].status == status)
            return signals[i].name;
    return NULL;
}

enum status stop_ignore_write_signals(struct error *error) {
    if (install(error, SIGPIPE, SIG_IGN) != STATUS_OK)
        return error->status;
    return install(error, SIGXFSZ, SIG_IGN);
}
