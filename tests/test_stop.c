/* test_stop.c: signals that ask a run to stop. */
#include "support.h"

#include "base/stop.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Raises the signals, up to the first 0, in a child; returns what stop_requested says after them,
 * or the exit status of a child that they ended. */
static int after(const int signals[4], int ignored) {
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error error;
        if (ignored != 0)
            signal(ignored, SIG_IGN);
        if (stop_on_signals(&error) != STATUS_OK)
            abort();
        for (int i = 0; i < 4 && signals[i] != 0; i++)
            raise(signals[i]);
        _exit((int)stop_requested());
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void signals_are_remembered(void **state) {
    (void)state;
    assert_int_equal(after((int[4]){0}, 0), STATUS_OK);
    assert_int_equal(after((int[4]){SIGINT}, 0), 128 + SIGINT);
    assert_int_equal(after((int[4]){SIGTERM}, 0), 128 + SIGTERM);
    assert_int_equal(after((int[4]){SIGHUP}, 0), 128 + SIGHUP);
    assert_int_equal(after((int[4]){SIGUSR1}, 0), 128 + SIGUSR1);
}

/* A shell and the kernel both send SIGHUP, and a batch system sends SIGTERM some time after
 * SIGUSR1: neither may interrupt the saving. */
static void warnings_do_not_interrupt(void **state) {
    (void)state;
    assert_int_equal(after((int[4]){SIGHUP, SIGHUP, SIGUSR1}, 0), 128 + SIGHUP);
    assert_int_equal(after((int[4]){SIGUSR1, SIGTERM, SIGHUP}, 0), 128 + SIGTERM);
}

/* The second signal exits in the handler: its number differs from what stop_requested would
 * return. */
static void the_second_order_ends_at_once(void **state) {
    (void)state;
    assert_int_equal(after((int[4]){SIGTERM, SIGINT, SIGTERM}, 0), 128 + SIGINT);
    assert_int_equal(after((int[4]){SIGHUP, SIGINT, SIGTERM, SIGINT}, 0), 128 + SIGTERM);
}

static void ignored_signals_stay_ignored(void **state) {
    (void)state;
    assert_int_equal(after((int[4]){SIGHUP}, SIGHUP), STATUS_OK);
    assert_int_equal(after((int[4]){SIGUSR1}, SIGUSR1), STATUS_OK);
}

static void statuses_have_names(void **state) {
    (void)state;
    assert_string_equal(stop_signal_name(STATUS_HANGUP), "SIGHUP");
    assert_string_equal(stop_signal_name(STATUS_USER_SIGNAL), "SIGUSR1");
    assert_null(stop_signal_name(STATUS_OK));
    assert_null(stop_signal_name(STATUS_DIVERGED));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_are_remembered),
        cmocka_unit_test(warnings_do_not_interrupt),
        cmocka_unit_test(the_second_order_ends_at_once),
        cmocka_unit_test(ignored_signals_stay_ignored),
        cmocka_unit_test(statuses_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
