// faults.cpp: forbidden memory accesses, by the program or by a kernel.

#include "runtime.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

namespace cudasim {
namespace {

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};
constexpr size_t SIGNAL_STACK = 256 << 10;

struct fault_state {
    struct sigaction before[4]; // the handlers before ours
};

fault_state &the() {
    static fault_state *state = new fault_state;
    return *state;
}

// Whether the fault was a read or a write, as far as the processor tells.
enum class fault { read, write, unknown };

fault kind_of(const void *context) {
#ifdef __x86_64__
    // Bit 1 of the page fault's error code: it was a write (Intel SDM, volume 3, "Page-Fault
    // Exception").
    const ucontext_t *u = static_cast<const ucontext_t *>(context);
    return u->uc_mcontext.gregs[REG_ERR] & 2 ? fault::write : fault::read;
#else
    (void)context;
    return fault::unknown;
#endif
}

const char *verb(const void *context) {
    fault kind = kind_of(context);
    return kind == fault::write ? "wrote" : kind == fault::read ? "read" : "touched";
}

// "4 bytes after the end of device allocation 3 (64 bytes)"
std::string position(const allocation *a, const void *address) {
    const unsigned char *at = static_cast<const unsigned char *>(address);
    const unsigned char *end = a->start + a->bytes;
    std::string what = describe(a);
    if (!a->live)
        what += ", which was freed,";
    if (at >= end)
        return std::to_string(at - end) + " bytes after the end of " + what;
    if (at < a->start)
        return std::to_string(a->start - at) + " bytes before the start of " + what;
    return "offset " + std::to_string(at - a->start) + " of " + what;
}

void explain(int number, const siginfo_t *info, const void *context) {
    const void *address = info->si_addr;
    bool ours = work_runs_in_this_thread();
    // x86 reports an aligned instruction at a misaligned address as a fault without an address.
    bool without_address = info->si_code == SI_KERNEL && !address;
    if (number == SIGILL || number == SIGTRAP || without_address) {
        if (ours)
            fail("%s: misaligned access: a vector of 8 or 16 bytes at an address that is no "
                 "multiple of its size",
                 who_runs().c_str());
        return;
    }
    const allocation *a = allocation_near(address);
    if (a && !ours)
        fail("the host %s %s", verb(context), position(a, address).c_str());
    if (a && in_second_run() && a->live)
        fail("%s: in reverse order it wrote to %s, otherwise not", who_runs().c_str(),
             position(a, address).c_str());
    if (a)
        fail("%s %s %s", who_runs().c_str(), verb(context), position(a, address).c_str());
    if (ours)
        fail("%s %s address %p, which is no device memory", who_runs().c_str(), verb(context),
             address);
}

void on_fault(int number, siginfo_t *info, void *context) {
    if (number != SIGILL && number != SIGTRAP && work_runs_in_this_thread() &&
        open_touched(info->si_addr, kind_of(context) == fault::write))
        return;
    explain(number, info, context);
    // Not ours: the instruction is repeated under the previous handler.
    for (int i = 0; i < 4; i++)
        if (SIGNALS[i] == number)
            sigaction(number, &the().before[i], nullptr);
}

// A stack of its own: a kernel that overflows its stack leaves none for the handler.
void use_signal_stack() {
    stack_t now;
    if (sigaltstack(nullptr, &now) == 0 && !(now.ss_flags & SS_DISABLE))
        return;
    stack_t stack = {};
    // Lives as long as the thread; not from malloc, because tests make malloc fail.
    stack.ss_sp =
        mmap(nullptr, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack.ss_size = SIGNAL_STACK;
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, nullptr) != 0)
        fail("no stack for signals");
}

} // namespace

void catch_faults() {
    static thread_local bool has_stack;
    if (!has_stack)
        use_signal_stack();
    has_stack = true;
    for (int i = 0; i < 4; i++) {
        struct sigaction now;
        if (sigaction(SIGNALS[i], nullptr, &now) != 0)
            fail("sigaction failed");
        if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_fault)
            continue;
        the().before[i] = now;
        struct sigaction mine = {};
        mine.sa_sigaction = on_fault;
        mine.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
        sigemptyset(&mine.sa_mask);
        sigaction(SIGNALS[i], &mine, nullptr);
    }
}

} // namespace cudasim
