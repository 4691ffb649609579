// block.cpp: the threads of a block of the stand-in. Each has a fiber of its own while it waits. A
// fiber whose thread has ended runs the next thread, so a kernel without barriers never switches
// fibers. The blocks of a cooperative launch are all kept until the last one has ended: each runs
// until its threads wait in a barrier of the grid, then the next one does.

#include "runtime.hpp"

#include <new>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

namespace cudasim {
namespace {

// COLOUR: how far the top of each stack lies from that of the one before it. At the same place of
// their pages, all would compete for the same few lines of the cache.
constexpr size_t STACK = 128 << 10, STACK_GUARD = 4096, COLOUR = 320, COLOURS = 64;
constexpr int MAX_THREADS = 1024, LANES = 32;

struct alignas(64) fiber {
    void *place[5]; // where it stopped: the compiler's setjmp is several times as fast as glibc's
};

enum class waits { no, block, warp, ended };

struct thread_state {
    uint3 index;
    waits state;
    enum barrier kind; // what it waits in, and the place of that call
    const char *file;
    int line;
    unsigned mask;
    fiber *stopped;
    unsigned long long value; // shuffle: given, then received
    int source;
};

// Lanes that have reached the same warp barrier.
struct meeting {
    enum barrier kind;
    const char *file;
    int line;
    unsigned mask, arrived;
};

struct block_state {
    const kernel_launch *launch;
    uint3 index;
    bool reverse;
    int count, next, ended; // threads; next: how many have begun
    int running = -1;       // its index; -1: none
    int in_barrier, first_in_barrier;
    thread_state threads[MAX_THREADS];
    std::vector<meeting> meetings[MAX_THREADS / LANES];
    int ready[MAX_THREADS], ready_count, ready_first; // threads that can run: a ring
};

struct fiber_state {
    fiber *current, *creator;
    std::vector<fiber *> idle;
    size_t made;
    fiber scheduler; // the host's own stack
};

// The block that runs; of a cooperative launch, one of `all`. Made at the start, not at first use
// as elsewhere: otherwise every access would have to check.
block_state *b = new block_state();
std::vector<std::unique_ptr<block_state>> &all = *new std::vector<std::unique_ptr<block_state>>;
fiber_state &fibers = *new fiber_state();

// ---- fibers ------------------------------------------------------------------------------------

void work_off_threads();

// OPAQUE: callers of such a function must not look into it. The registers that it leaves alone
// change all the same, and a jump and the place it goes to must be in different functions.
#ifdef __clang__
#define OPAQUE __attribute__((noinline))
#else
#define OPAQUE __attribute__((noipa))
#endif

OPAQUE void jump_to(fiber *next) {
    fibers.current = next;
    __builtin_longjmp(next->place, 1);
}

OPAQUE void change_to(fiber *next) {
    if (__builtin_setjmp(fibers.current->place) == 0)
        jump_to(next);
}

// A new fiber first saves its own context and returns.
OPAQUE void begin_fiber() {
    if (__builtin_setjmp(fibers.current->place) == 0)
        jump_to(fibers.creator);
    work_off_threads();
}

OPAQUE fiber *make_fiber() {
    void *stack = mmap(nullptr, STACK + STACK_GUARD, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack, STACK_GUARD, PROT_NONE) != 0)
        fail("no memory for a thread's stack");
    size_t size = STACK - sizeof(fiber) - fibers.made++ % COLOURS * COLOUR;
    ucontext_t start;
    getcontext(&start);
    start.uc_stack.ss_sp = static_cast<char *>(stack) + STACK_GUARD;
    start.uc_stack.ss_size = size;
    start.uc_link = nullptr;
    makecontext(&start, begin_fiber, 0);
    // Kept for good, beside the frames that are used with it.
    fiber *made = new (static_cast<char *>(stack) + STACK_GUARD + size) fiber;
    fibers.creator = fibers.current;
    fibers.current = made;
    if (__builtin_setjmp(fibers.creator->place) == 0)
        setcontext(&start);
    return made;
}

fiber *idle_fiber() {
    if (fibers.idle.empty())
        return make_fiber();
    fiber *f = fibers.idle.back();
    fibers.idle.pop_back();
    return f;
}

// ---- threads -----------------------------------------------------------------------------------

void set_running(int thread) {
    b->running = thread;
    threadIdx = b->threads[thread].index;
}

fiber *next_ready() {
    int thread = b->ready[b->ready_first];
    b->ready_first = (b->ready_first + 1) % MAX_THREADS;
    b->ready_count--;
    set_running(thread);
    b->threads[thread].state = waits::no;
    return b->threads[thread].stopped;
}

// A fiber starts threads until none is left, then yields.
void work_off_threads() {
    for (;;) {
        while (b->next < b->count) {
            int thread = b->reverse ? b->count - 1 - b->next : b->next;
            b->next++;
            set_running(thread);
            b->threads[thread].state = waits::no;
            b->launch->thread();
            b->threads[thread].state = waits::ended;
            b->ended++;
        }
        b->running = -1;
        fibers.idle.push_back(fibers.current);
        change_to(b->ready_count == 0 ? &fibers.scheduler : next_ready());
    }
}

// Stops the running thread until someone makes it ready.
void stop(waits state) {
    int thread = b->running;
    b->threads[thread].state = state;
    b->threads[thread].stopped = fibers.current;
    if (b->ready_count > 0) {
        change_to(next_ready());
    } else if (b->next < b->count) {
        change_to(idle_fiber()); // it starts the next thread
    } else {
        b->running = -1;
        change_to(&fibers.scheduler);
    }
}

void make_ready(int thread, int except) {
    if (thread != except)
        b->ready[(b->ready_first + b->ready_count++) % MAX_THREADS] = thread;
}

void note_call(enum barrier kind, unsigned mask, const char *file, int line) {
    thread_state &t = b->threads[b->running];
    t.kind = kind;
    t.mask = mask;
    t.file = file;
    t.line = line;
}

// ---- errors ------------------------------------------------------------------------------------

bool same_place(const char *file, int line, const char *other_file, int other_line) {
    return line == other_line && (file == other_file || strcmp(file, other_file) == 0);
}

std::string place_of(const char *file, int line) {
    const char *slash = strrchr(file, '/');
    return std::string(slash ? slash + 1 : file) + ":" + std::to_string(line);
}

std::string call_name(enum barrier kind, const char *file, int line) {
    const char *name = kind == SYNCTHREADS ? "__syncthreads"
                       : kind == SYNCGRID  ? "the grid's sync"
                       : kind == SYNCWARP  ? "__syncwarp"
                                           : "a shuffle";
    return std::string(name) + " at " + place_of(file, line);
}

std::string condition_of(int thread) {
    const thread_state &t = b->threads[thread];
    std::string name = thread_name(thread);
    if (t.state == waits::ended)
        return name + " has ended";
    if (t.state == waits::no)
        return name + " runs";
    return name + " waits in " + call_name(t.kind, t.file, t.line);
}

std::string block_condition(const block_state &block) {
    const thread_state &t = block.threads[0];
    return "block " + triple(block.index) +
           (block.ended == block.count ? " has ended"
                                       : " waits in " + call_name(t.kind, t.file, t.line));
}

// A deadlock: threads wait, and none can run.
[[noreturn]] void fail_stuck() {
    std::string where = who_runs();
    for (int warp = 0; warp * LANES < b->count; warp++)
        for (const meeting &m : b->meetings[warp])
            fail("%s: %s has the mask 0x%08x and was not reached by all of its lanes: lanes 0x%08x "
                 "of warp %d wait, and %s",
                 where.c_str(), call_name(m.kind, m.file, m.line).c_str(), m.mask, m.arrived, warp,
                 condition_of(warp * LANES + __builtin_ctz(m.mask & ~m.arrived)).c_str());
    int other = 0;
    while (b->threads[other].state == waits::block)
        other++;
    const thread_state &t = b->threads[b->first_in_barrier];
    fail("%s: %s was not reached by all threads: %d of %d wait, and %s", where.c_str(),
         call_name(t.kind, t.file, t.line).c_str(), b->in_barrier, b->count,
         condition_of(other).c_str());
}

// ---- barriers ----------------------------------------------------------------------------------

void need_kernel(const char *call) {
    if (b->running < 0)
        fail("%s outside of a kernel", call);
}

// The barrier that the running thread has just reached.
meeting *arrive(enum barrier kind, unsigned mask, const char *file, int line) {
    int warp = b->running / LANES, lanes = std::min(b->count - warp * LANES, (int)LANES);
    unsigned self = 1u << b->running % LANES, exist = lanes == LANES ? ~0u : (1u << lanes) - 1;
    if (!(mask & self) || (mask & ~exist))
        fail("%s: %s has the mask 0x%08x, which %s", who_runs().c_str(),
             call_name(kind, file, line).c_str(), mask,
             mask & self ? "names lanes that the block does not have"
                         : "does not name the lane itself");
    note_call(kind, mask, file, line);
    for (meeting &m : b->meetings[warp])
        if (m.kind == kind && m.mask == mask && same_place(m.file, m.line, file, line)) {
            m.arrived |= self;
            return &m;
        }
    b->meetings[warp].push_back({kind, file, line, mask, self});
    return &b->meetings[warp].back();
}

// Gives each lane the value it requested.
void exchange(int warp, unsigned mask) {
    thread_state *lanes = &b->threads[warp * LANES];
    unsigned long long given[LANES];
    for (int lane = 0; lane < LANES; lane++)
        given[lane] = mask >> lane & 1 ? lanes[lane].value : 0;
    for (int lane = 0; lane < LANES; lane++) {
        if (!(mask >> lane & 1))
            continue;
        int source = lanes[lane].source;
        if (source < 0 || source >= LANES || !(mask >> source & 1))
            fail("%s: %s: lane %d asks lane %d, which is not in the mask 0x%08x",
                 who_runs().c_str(), call_name(SHUFFLE, lanes[lane].file, lanes[lane].line).c_str(),
                 lane, source, mask);
        lanes[lane].value = given[source];
    }
}

// Waits until all lanes have arrived; the last one wakes the others.
void meet(meeting *m) {
    int warp = b->running / LANES, self = b->running;
    if (m->arrived != m->mask) {
        stop(waits::warp);
        return;
    }
    meeting done = *m;
    b->meetings[warp].erase(b->meetings[warp].begin() + (m - b->meetings[warp].data()));
    if (done.kind == SHUFFLE)
        exchange(warp, done.mask);
    for (int i = 0; i < LANES; i++) {
        int lane = b->reverse ? LANES - 1 - i : i;
        if (done.mask >> lane & 1)
            make_ready(warp * LANES + lane, self);
    }
    int lanes = std::min(b->count - warp * LANES, (int)LANES);
    if (done.kind == SYNCWARP && __builtin_popcount(done.mask) == lanes)
        shared_warp_barrier(warp);
}

// The running thread has come to a barrier of the block or of the grid.
void arrive_in_block(enum barrier kind, const char *file, int line) {
    note_call(kind, 0, file, line);
    const thread_state &first = b->threads[b->first_in_barrier];
    if (b->in_barrier == 0)
        b->first_in_barrier = b->running;
    else if (!same_place(first.file, first.line, file, line))
        fail("%s: it has come to %s, and %s", who_runs().c_str(),
             call_name(kind, file, line).c_str(), condition_of(b->first_in_barrier).c_str());
    b->in_barrier++;
}

void leave_barrier(int except) {
    b->in_barrier = 0;
    for (int i = 0; i < b->count; i++)
        make_ready(b->reverse ? b->count - 1 - i : i, except);
    shared_block_barrier();
}

} // namespace

void block_barrier(const char *file, int line) {
    need_kernel("__syncthreads");
    int self = b->running;
    arrive_in_block(SYNCTHREADS, file, line);
    if (b->in_barrier < b->count)
        stop(waits::block);
    else
        leave_barrier(self);
}

// The last thread waits, too: run_blocks goes on when all blocks have come here.
void grid_barrier(const char *file, int line) {
    need_kernel("the grid's sync");
    if (!b->launch->cooperative)
        fail("%s: %s, and the launch was not cooperative", who_runs().c_str(),
             call_name(SYNCGRID, file, line).c_str());
    arrive_in_block(SYNCGRID, file, line);
    stop(waits::block);
}

void warp_barrier(unsigned mask, const char *file, int line) {
    need_kernel("__syncwarp");
    meet(arrive(SYNCWARP, mask, file, line));
}

unsigned long long shuffle(unsigned mask, unsigned long long value, int source, const char *file,
                           int line) {
    need_kernel("a shuffle");
    thread_state &t = b->threads[b->running];
    meeting *m = arrive(SHUFFLE, mask, file, line);
    t.value = value;
    t.source = source;
    meet(m);
    return t.value;
}

int lane() {
    return b->running % LANES;
}

// ---- blocks ------------------------------------------------------------------------------------

int running_thread() {
    return b->running;
}

std::string thread_name(int thread) {
    return "thread " + triple(b->threads[thread].index);
}

static void begin_block(const kernel_launch &launch, uint3 index, bool reverse) {
    b->launch = &launch;
    b->index = blockIdx = index;
    b->reverse = reverse;
    b->count = (int)(launch.block.x * launch.block.y * launch.block.z);
    b->next = b->ended = b->in_barrier = b->first_in_barrier = b->ready_count = b->ready_first = 0;
    for (int i = 0; i < b->count; i++) {
        unsigned u = (unsigned)i;
        b->threads[i].index = {u % launch.block.x, u / launch.block.x % launch.block.y,
                               u / launch.block.x / launch.block.y};
        b->threads[i].state = waits::no;
    }
    shared_block_begins();
    fibers.current = &fibers.scheduler;
    change_to(idle_fiber());
    b->running = -1;
}

void run_block(const kernel_launch &launch, uint3 index, bool reverse) {
    begin_block(launch, index, reverse);
    if (b->ended != b->count)
        fail_stuck();
}

// ---- cooperative launches ----------------------------------------------------------------------

static void select_block(size_t number) {
    b = all[number].get();
    blockIdx = b->index;
    shared_select(number);
}

// After each block has run as far as it could. Returns whether all have ended; otherwise all wait
// in the same barrier of the grid.
static bool all_ended() {
    const block_state &first = *all[0];
    for (size_t i = 0; i < all.size(); i++) {
        select_block(i);
        const thread_state &t = b->threads[b->first_in_barrier];
        if (b->ended != b->count && (b->in_barrier != b->count || t.kind != SYNCGRID))
            fail_stuck();
        if (b->ended == first.ended &&
            (b->ended == b->count ||
             same_place(t.file, t.line, first.threads[0].file, first.threads[0].line)))
            continue;
        std::string here = block_condition(*b), there = block_condition(first);
        fail("%s: the grid's sync was not reached by all blocks: %s, and %s", who_runs().c_str(),
             there.c_str(), here.c_str());
    }
    return first.ended == first.count;
}

static void resume_block() {
    fibers.current = &fibers.scheduler;
    leave_barrier(-1);
    change_to(next_ready());
    b->running = -1;
}

void run_blocks(const kernel_launch &launch, const std::vector<uint3> &order, bool reverse) {
    block_state *alone = b;
    while (all.size() < order.size())
        all.emplace_back(new block_state());
    all.resize(order.size());
    for (size_t i = 0; i < order.size(); i++) {
        all[i]->index = order[i];
        select_block(i);
        begin_block(launch, order[i], reverse);
    }
    while (!all_ended())
        for (size_t i = 0; i < order.size(); i++) {
            select_block(i);
            resume_block();
        }
    b = alone;
}

} // namespace cudasim
