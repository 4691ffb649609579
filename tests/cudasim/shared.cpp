// shared.cpp: shared memory of the stand-in. Each access is checked: it must be inside the array,
// read only what was written, and not race with another thread.
//
// A clock counts barriers. Two accesses of different threads are in order if a barrier of the
// block, or of the warp that both are in, lies between: if the first one's time is before the time
// of the last such barrier. Shuffles are not barriers: they "do not imply a memory barrier" ("Warp
// Shuffle Functions", CUDA C++ Programming Guide).

#include "runtime.hpp"

#include <string.h>

namespace cudasim {

namespace {

// The history of an element: the times of the last write and read (before the block began: never in
// this block) and the threads. Of readers, enough is kept to find one that races with any later
// writer: which warps, one reader of two different ones, and which lanes while there is one warp
// only.
struct element_state {
    unsigned long written = 0, read = 0;
    uint32_t read_warps = 0, read_lanes = 0;
    short writer = 0, reader = 0, other_reader = 0;
};

} // namespace

struct shared_array {
    const shared_site *site; // of the first declaration
    std::string name;
    size_t count, element_bytes;
    std::vector<unsigned char> content;
    std::vector<element_state> states;
};

namespace {

// The shared memory of the block that runs, and of those that run after it.
struct shared_state {
    unsigned long number = 0; // of all that there ever were
    // Times: now, when the block began, of its last barrier, and of the last barrier of each warp.
    unsigned long now = 1, block_begun = 1, block_since = 1, warp_since[32] = {};
    std::vector<std::unique_ptr<shared_array>> arrays;
    shared_array *dynamic = nullptr;
    size_t static_bytes = 0;
};

// Made at the start, not at first use as elsewhere: otherwise every access would have to check.
std::vector<shared_state> &memories = *new std::vector<shared_state>(1);
shared_state *state = memories.data();
unsigned long made; // memories, in all launches
const kernel_launch *current;

bool in_order(unsigned long time, int thread, int other) {
    return time < state->block_since ||
           (thread / 32 == other / 32 && time < state->warp_since[thread / 32]);
}

[[noreturn]] void fail_race(const shared_array *array, size_t index, const char *did, int other,
                            const char *had) {
    fail("%s: race: it %s %s[%zu], which %s has %s, and no barrier lies between",
         who_runs().c_str(), did, array->name.c_str(), index, thread_name(other).c_str(), had);
}

element_state *checked_element(shared_array *array, size_t index, const char *did) {
    if (index >= array->count)
        fail("%s %s %s[%zd], and the array has %zu elements", who_runs().c_str(), did,
             array->name.c_str(), (ssize_t)index, array->count);
    return &array->states[index];
}

void note_reader(element_state *e, int thread) {
    uint32_t warp = 1u << thread / 32, lane = 1u << thread % 32;
    if (e->read < state->block_since) {
        e->read_warps = e->read_lanes = 0;
        e->reader = (short)thread;
    }
    if (e->read < state->warp_since[thread / 32] && e->read_warps == warp) {
        e->read_lanes = 0;
        e->reader = (short)thread;
    }
    if (e->reader / 32 != thread / 32)
        e->other_reader = (short)thread;
    e->read_warps |= warp;
    e->read_lanes |= lane;
    e->read = state->now;
}

// A reader that races with a write of the thread now; -1: none.
int racing_reader(const element_state *e, int thread) {
    if (e->read < state->block_since)
        return -1;
    uint32_t warp = 1u << thread / 32, lane = 1u << thread % 32;
    if (e->read_warps & ~warp)
        return e->reader / 32 != thread / 32 ? e->reader : e->other_reader;
    if (e->read < state->warp_since[thread / 32] || !(e->read_lanes & ~lane))
        return -1;
    return thread / 32 * 32 + __builtin_ctz(e->read_lanes & ~lane);
}

} // namespace

// ---- accesses ----------------------------------------------------------------------------------

shared_array *shared_open(shared_site *site, size_t count, size_t element_bytes) {
    if (site->memory == state->number)
        return site->array;
    if (!current)
        fail("shared memory outside of a kernel");
    site->memory = state->number;
    for (const std::unique_ptr<shared_array> &array : state->arrays)
        if (array->site == site)
            return site->array = array.get(); // another block ran in between
    if (site->dynamic) {
        if (state->dynamic && state->dynamic->element_bytes != element_bytes)
            fail("kernel %s: dynamic shared memory as elements of %zu and of %zu bytes",
                 current->name.c_str(), state->dynamic->element_bytes, element_bytes);
        count = current->shared_bytes / element_bytes;
    } else {
        state->static_bytes += count * element_bytes;
    }
    if (state->static_bytes + current->shared_bytes > current->shared_limit)
        fail("kernel %s: %zu bytes of static and %zu bytes of dynamic shared memory are more than "
             "%zu",
             current->name.c_str(), state->static_bytes, current->shared_bytes,
             current->shared_limit);
    if (!site->dynamic || !state->dynamic) {
        state->arrays.emplace_back(
            new shared_array{site, site->name, count, element_bytes,
                             std::vector<unsigned char>(count * element_bytes, 0xff),
                             std::vector<element_state>(count)});
        site->array = state->arrays.back().get();
        if (site->dynamic)
            state->dynamic = site->array;
    } else {
        site->array = state->dynamic;
    }
    return site->array;
}

void shared_read(void *to, shared_array *array, size_t index) {
    element_state *e = checked_element(array, index, "read");
    int thread = running_thread();
    if (e->written < state->block_begun)
        fail("%s read %s[%zu] before any thread of the block wrote it", who_runs().c_str(),
             array->name.c_str(), index);
    if (e->writer != thread && !in_order(e->written, thread, e->writer))
        fail_race(array, index, "read", e->writer, "written");
    note_reader(e, thread);
    memcpy(to, &array->content[index * array->element_bytes], array->element_bytes);
}

void shared_write(shared_array *array, size_t index, const void *from) {
    element_state *e = checked_element(array, index, "wrote");
    int thread = running_thread();
    if (e->written >= state->block_begun && e->writer != thread &&
        !in_order(e->written, thread, e->writer))
        fail_race(array, index, "wrote", e->writer, "written");
    int reader = racing_reader(e, thread);
    if (reader >= 0)
        fail_race(array, index, "wrote", reader, "read");
    e->written = state->now;
    e->writer = (short)thread;
    e->read = 0;
    memcpy(&array->content[index * array->element_bytes], from, array->element_bytes);
}

// ---- time --------------------------------------------------------------------------------------

void shared_launch_begins(const kernel_launch &launch, size_t count) {
    current = &launch;
    memories.clear();
    memories.resize(count);
    for (shared_state &each : memories)
        each.number = ++made;
    shared_select(0);
}

void shared_select(size_t memory) {
    state = &memories[memory];
}

void shared_block_begins() {
    state->block_begun = state->block_since = ++state->now;
}

void shared_block_barrier() {
    state->block_since = ++state->now;
}

void shared_warp_barrier(int warp) {
    state->warp_since[warp] = ++state->now;
}

} // namespace cudasim
