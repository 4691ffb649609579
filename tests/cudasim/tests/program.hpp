// program.hpp: runs a small CUDA program in a process of its own, for the tests of the stand-in:
// most are wrong on purpose and must end with the right message.
#ifndef PROGRAM_HPP
#define PROGRAM_HPP

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

extern "C" {
#include <cmocka.h>
}

#include "cudasim.h"

#include <cudasim_kernel.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// How a program must end.
enum class ends { well, aborted, faulted, leaking };

// One program: its end, and words of its message (null: any). It must end so in each order of
// streams whose bit is set; ORDERS_ANY: in at least one of the three, and succeed in the others.
enum { LATEST = 1, EARLIEST = 2, OTHER = 4, EACH_ORDER = 7, ORDERS_ANY = 8 };

struct program {
    const char *name;
    void (*body)();
    ends end;
    const char *message;
    int orders;
};

// ---- inside the program ------------------------------------------------------------------------

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)
#define OK(call) NEED((call) == cudaSuccess)

// A launch and its check.
#define RUN(...)                                                                                   \
    do {                                                                                           \
        LAUNCH(__VA_ARGS__);                                                                       \
        OK(cudaGetLastError());                                                                    \
    } while (0)

static inline cudaStream_t new_stream() {
    cudaStream_t stream;
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

static inline cudaEvent_t new_event() {
    cudaEvent_t event;
    OK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    return event;
}

template <class T> T *new_device(size_t count) {
    T *memory;
    OK(cudaMalloc(&memory, count * sizeof(T)));
    return memory;
}

template <class T> T *new_pinned(size_t count) {
    T *memory;
    OK(cudaHostAlloc(&memory, count * sizeof(T), cudaHostAllocDefault));
    return memory;
}

// ---- outside -----------------------------------------------------------------------------------

struct outcome {
    int status; // of waitpid
    char text[4096];
};

static inline void be_program(const program *p, enum cudasim_order order, int message_to) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, SIG_DFL); // cmocka's own handlers
    signal(SIGILL, SIG_DFL);
    dup2(message_to, STDERR_FILENO);
    cudasim_set_order(order);
    p->body();
    exit(0);
}

static inline outcome run_program(const program *p, enum cudasim_order order) {
    outcome result = {};
    int ends_of_pipe[2];
    fflush(nullptr);
    assert_int_equal(pipe(ends_of_pipe), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        be_program(p, order, ends_of_pipe[1]);
    close(ends_of_pipe[1]);
    size_t length = 0;
    for (ssize_t got; length < sizeof result.text - 1; length += (size_t)got)
        if ((got = read(ends_of_pipe[0], result.text + length, sizeof result.text - 1 - length)) <=
            0)
            break;
    close(ends_of_pipe[0]);
    assert_int_equal(waitpid(child, &result.status, 0), child);
    return result;
}

static inline bool ended(const outcome *o, ends how) {
    switch (how) {
    case ends::well:
        return WIFEXITED(o->status) && WEXITSTATUS(o->status) == 0;
    case ends::aborted:
        return WIFSIGNALED(o->status) && WTERMSIG(o->status) == SIGABRT;
    case ends::faulted:
        return WIFSIGNALED(o->status) && WTERMSIG(o->status) == SIGSEGV;
    case ends::leaking:
        return WIFEXITED(o->status) && WEXITSTATUS(o->status) == 99;
    }
    return false;
}

static inline void check_program(void **state) {
    const program *p = static_cast<const program *>(*state);
    const char *names[] = {"latest", "earliest", "other"};
    int as_expected = 0;
    for (int order = 0; order < 3; order++) {
        bool any = p->orders & ORDERS_ANY;
        if (!any && !(p->orders & 1 << order))
            continue;
        outcome o = run_program(p, static_cast<enum cudasim_order>(order));
        bool right = ended(&o, p->end) && (!p->message || strstr(o.text, p->message));
        as_expected += right;
        if (!right && !(any && ended(&o, ends::well)))
            fail_msg("order %s: status 0x%x, \"%s\"; expected \"%s\"", names[order],
                     (unsigned)o.status, o.text, p->message ? p->message : "");
    }
    assert_true(as_expected > 0);
}

// Each program is a test of its own.
template <size_t N> int run_programs(const char *name, const program (&programs)[N]) {
    static CMUnitTest tests[N];
    for (size_t i = 0; i < N; i++)
        tests[i] = {programs[i].name, check_program, nullptr, nullptr,
                    const_cast<program *>(&programs[i])};
    return cmocka_run_group_tests_name(name, tests, nullptr, nullptr);
}

#endif
