/* stop.c: stopping on SIGINT and SIGTERM at a step boundary. */
#include "base/stop.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* The one global variable of the program: a handler can reach nothing else. */
static volatile sig_atomic_t stop_signal;

static void remember(int number) {
    if (stop_signal != 0)
        _exit(128 + number);
    stop_signal = number;
}

static enum status install(struct error *error, int number, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART; /* no system call of the program fails with EINTR */
    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, NULL) != 0)
        return error_set_errno(error, STATUS_FAILED, errno, "sigaction for signal %d", number);
    return STATUS_OK;
}

enum status stop_on_signals(struct error *error) {
    static const int numbers[] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) != 0)
            return error_set_errno(error, STATUS_FAILED, errno, "sigaction for signal %d",
                                   numbers[i]);
        if (before.sa_handler != SIG_IGN && install(error, numbers[i], remember) != STATUS_OK)
            return error->status;
    }
    return STATUS_OK;
}

enum status stop_requested(void) {
    if (stop_signal == 0)
        return STATUS_OK;
    return stop_signal == SIGINT ? STATUS_INTERRUPTED : STATUS_TERMINATED;
}

enum status stop_ignore_write_signals(struct error *error) {
    if (install(error, SIGPIPE, SIG_IGN) != STATUS_OK)
        return error->status;
    return install(error, SIGXFSZ, SIG_IGN);
}
