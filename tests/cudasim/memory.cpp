// memory.cpp: device and pinned memory of the stand-in. Each allocation has pages of its own,
// device memory is closed to the host, and the pages that a kernel writes are saved, so that it can
// be run again.

#include "runtime.hpp"

#include <algorithm>
#include <map>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

namespace cudasim {
namespace {

constexpr size_t PAGE = 4096;
constexpr size_t GUARD = 1 << 20;
constexpr size_t ALIGNMENT = 256;        // of cudaMalloc
constexpr size_t SAVE_AREA = 8ull << 30; // address space, not memory
constexpr size_t SAVE_KEPT = 64 << 20;   // memory kept from kernel to kernel
constexpr size_t DEAD_KEPT = 2000;       // freed allocations whose addresses stay reserved
constexpr size_t SMALL = 256 << 10;      // up to here memory is opened page by page, beyond
constexpr size_t GRANULE = 64 << 10;     // in larger steps, of which
constexpr size_t GRANULES = 4096;        // an allocation has at most about so many
constexpr size_t DEFAULT_LIMIT = 2ull << 30;
// The bytes of margins: as floats NaN, and 8.4e37 in the second run. A result that depends on them
// differs.
constexpr unsigned char MARGIN[4] = {0xa1, 0xc3, 0xe5, 0xff};
constexpr unsigned char MARGIN_2[4] = {0x7e, 0x7e, 0x7e, 0x7e};

enum class run { none, once, first, second };

// A part of an allocation that work has touched.
struct granule {
    allocation *owner;
    unsigned char *start, *end;
    unsigned char *saved; // its content before the first run, later after it; null: not written
};

// A granule that a graph has changed.
struct change {
    granule where;
    std::string who;                          // the last work that changed it, in the first run
    size_t turn;                              // of that work
    std::vector<unsigned char> before, after; // the graph; after its first run, empty: as before
};

// A graph that runs several times.
struct graph_runs {
    bool on = false, first = true;
    bool varies = false; // and has work with other results each time
    size_t turns = 0;
    std::map<unsigned char *, change> changes; // by the start of the granule
};

struct memory_state {
    std::map<const unsigned char *, allocation> all; // by `map`
    std::deque<const unsigned char *> dead;
    long made = 0;
    size_t used = 0, limit = 0;
    run running = run::none;
    unsigned char *save_area = nullptr;
    size_t save_used = 0;
    std::vector<granule> touched;
    graph_runs graph;
};

memory_state &the() {
    static memory_state *state = new memory_state; // outlives every atexit handler
    return *state;
}

size_t round_up(size_t bytes, size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

void protect(unsigned char *start, const unsigned char *end, int access) {
    if (start < end && mprotect(start, (size_t)(end - start), access) != 0)
        fail("mprotect failed");
}

// ---- margins -----------------------------------------------------------------------------------

void fill(unsigned char *from, const unsigned char *to, const unsigned char *pattern) {
    for (; from < to; from++)
        *from = pattern[(uintptr_t)from % 4];
}

// The first byte that is not the pattern's; null: none.
const unsigned char *find_other(const unsigned char *from, const unsigned char *to,
                                const unsigned char *pattern) {
    for (; from < to; from++)
        if (*from != pattern[(uintptr_t)from % 4])
            return from;
    return nullptr;
}

// The bytes of the margins between two addresses of the allocation's pages.
void fill_margins(const allocation *a, unsigned char *from, unsigned char *to,
                  const unsigned char *pattern) {
    fill(from, std::min(to, a->start), pattern);
    fill(std::max(from, a->start + a->bytes), to, pattern);
}

void check_margins(const allocation *a, const unsigned char *from, const unsigned char *to,
                   const unsigned char *pattern, const char *who) {
    const unsigned char *end = a->start + a->bytes;
    const unsigned char *other =
        find_other(std::max<const unsigned char *>(from, end), to, pattern);
    if (other)
        fail("%s wrote %td bytes after the end of %s", who, other - end, describe(a).c_str());
    other = find_other(from, std::min<const unsigned char *>(to, a->start), pattern);
    if (other)
        fail("%s wrote %td bytes before the start of %s", who, a->start - other,
             describe(a).c_str());
}

} // namespace

// ---- allocations -------------------------------------------------------------------------------

std::string describe(const allocation *a) {
    return std::string(a->where == place::device ? "device" : "pinned") + " allocation " +
           std::to_string(a->number) + " (" + std::to_string(a->bytes) + " bytes)";
}

size_t device_memory_limit() {
    if (the().limit == 0) {
        const char *text = getenv("CUDASIM_MEMORY");
        the().limit = text ? strtoull(text, nullptr, 10) : DEFAULT_LIMIT;
    }
    return the().limit;
}

size_t device_memory_used() {
    return the().used;
}

allocation *allocate(place where, size_t bytes) {
    size_t pages = round_up(bytes, PAGE), total = pages + 2 * GUARD;
    if (where == place::device &&
        bytes > device_memory_limit() - std::min(the().used, device_memory_limit()))
        return nullptr;
    void *map = mmap(nullptr, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return nullptr;
    allocation a = {};
    a.number = ++the().made;
    a.where = where;
    a.live = true;
    a.map = static_cast<unsigned char *>(map);
    a.pages = a.map + GUARD;
    a.pages_end = a.pages + pages;
    a.map_end = a.map + total;
    a.start = a.pages_end - round_up(bytes, ALIGNMENT);
    a.bytes = bytes;
    for (a.granule = pages > SMALL ? GRANULE : PAGE; pages / a.granule > GRANULES; a.granule *= 2)
        ;
    a.opened_to.assign(pages / a.granule + 1, opened::no);
    protect(a.pages, a.pages_end, PROT_READ | PROT_WRITE);
    memset(a.start, 0xff, bytes);
    fill_margins(&a, a.pages, a.pages_end, MARGIN);
    if (where == place::device) {
        the().used += bytes;
        protect(a.pages, a.pages_end, PROT_NONE);
    }
    return &(the().all[a.map] = a);
}

void release(allocation *a) {
    protect(a->pages, a->pages_end, PROT_READ);
    check_margins(a, a->pages, a->pages_end, MARGIN,
                  a->where == place::device ? "Something" : "The host");
    a->live = false;
    if (a->where == place::device)
        the().used -= a->bytes;
    // The addresses stay reserved, so that a later use is found; the memory is released.
    if (mmap(a->pages, (size_t)(a->pages_end - a->pages), PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        fail("mmap failed");
    the().dead.push_back(a->map);
    if (the().dead.size() > DEAD_KEPT) {
        allocation &oldest = the().all.at(the().dead.front());
        munmap(oldest.map, (size_t)(oldest.map_end - oldest.map));
        the().all.erase(oldest.map);
        the().dead.pop_front();
    }
}

allocation *allocation_near(const void *address) {
    const unsigned char *at = static_cast<const unsigned char *>(address);
    auto next = the().all.upper_bound(at);
    if (next == the().all.begin())
        return nullptr;
    allocation *a = &std::prev(next)->second;
    return at < a->map_end ? a : nullptr;
}

allocation *allocation_of(const void *start, size_t bytes, place where) {
    const unsigned char *from = static_cast<const unsigned char *>(start);
    allocation *a = allocation_near(start);
    if (!a || !a->live || a->where != where || from < a->start || from > a->start + a->bytes)
        return nullptr;
    return bytes <= (size_t)(a->start + a->bytes - from) ? a : nullptr;
}

allocation *allocation_at(const void *start, place where) {
    allocation *a = allocation_of(start, 0, where);
    return a && a->start == start ? a : nullptr;
}

bool on_device(const void *start, size_t bytes) {
    std::lock_guard<std::recursive_mutex> lock(the_lock());
    return allocation_of(start, bytes, place::device) != nullptr;
}

void report_leaked_memory(std::vector<std::string> *lines) {
    for (auto &[map, a] : the().all)
        if (a.live)
            lines->push_back(describe(&a));
}

// ---- work opens memory -------------------------------------------------------------------------

// Device memory is closed (PROT_NONE). While work runs, the signal handler opens touched memory,
// granule by granule; when the work is done, it is closed again.

static void reserve_memory() {
    if (the().save_area)
        return;
    void *area = mmap(nullptr, SAVE_AREA, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED)
        fail("no address space for the pages that kernels write");
    the().save_area = static_cast<unsigned char *>(area);
    the().touched.reserve(1 << 16); // the handler of a signal adds to it
}

void work_begins(bool twice) {
    reserve_memory();
    the().running = twice ? run::first : run::once;
}

static unsigned char *save(const granule &g) {
    size_t bytes = (size_t)(g.end - g.start);
    if (the().save_used + bytes > SAVE_AREA)
        fail("a kernel writes more than %zu bytes", SAVE_AREA);
    unsigned char *saved = the().save_area + the().save_used;
    the().save_used += bytes;
    memcpy(saved, g.start, bytes);
    return saved;
}

// Opens the granule for what this run may do: a fault in a readable granule is a write.
static bool open_granule(allocation *a, size_t index, bool write) {
    opened *now = &a->opened_to[index];
    granule g = {a, a->pages + index * a->granule, nullptr, nullptr};
    g.end = std::min(g.start + a->granule, a->pages_end);
    bool known = *now != opened::no;
    if (*now == opened::to_write || (the().running == run::second && (write || known)))
        return false;
    if (the().running == run::once || write || known) {
        protect(g.start, g.end, PROT_READ | PROT_WRITE);
        g.saved = the().running == run::first || the().graph.on ? save(g) : nullptr;
        *now = opened::to_write;
    } else {
        protect(g.start, g.end, PROT_READ);
        *now = opened::to_read;
    }
    if (!known) {
        the().touched.push_back(g);
        return true;
    }
    for (granule &old : the().touched)
        if (old.start == g.start)
            old.saved = g.saved;
    return true;
}

bool open_touched(const void *address, bool write) {
    allocation *a = allocation_near(address);
    const unsigned char *at = static_cast<const unsigned char *>(address);
    if (the().running == run::none || !a || !a->live || a->where != place::device ||
        at < a->pages || at >= a->pages_end)
        return false;
    return open_granule(a, (size_t)(at - a->pages) / a->granule, write);
}

bool in_second_run() {
    return the().running == run::second;
}

// `saved` holds what the granule had before the work.
static void keep_change(const granule &g, const std::string &who) {
    size_t bytes = (size_t)(g.end - g.start);
    graph_runs &graph = the().graph;
    if (!graph.on || !g.saved || memcmp(g.start, g.saved, bytes) == 0)
        return;
    change &c = graph.changes[g.start];
    if (c.before.empty())
        c = {g, who, 0, {g.saved, g.saved + bytes}, {}};
    if (graph.first)
        c.who = who;
    if (graph.first || c.turn == 0)
        c.turn = ++graph.turns;
}

// Restores the old contents, with other margins: the second run may write only where the first did.
void second_run_begins() {
    std::string who = who_runs();
    for (granule &g : the().touched) {
        if (!g.saved)
            protect(g.start, g.end, PROT_READ | PROT_WRITE);
        check_margins(g.owner, g.start, g.end, MARGIN, who.c_str());
        keep_change(g, who);
        if (g.saved)
            std::swap_ranges(g.start, g.end, g.saved);
        fill_margins(g.owner, g.start, g.end, MARGIN_2);
        if (!g.saved)
            protect(g.start, g.end, PROT_READ);
    }
    the().running = run::second;
}

// Fails with the problem if the granule is not as it was after the first run, `saved`.
static void compare_runs(const std::string &problem, const granule &g, const char *second_order) {
    const allocation *a = g.owner;
    const unsigned char *from = std::max(g.start, a->start),
                        *to = std::min(g.end, a->start + a->bytes);
    if (from >= to || memcmp(from, g.saved + (from - g.start), (size_t)(to - from)) == 0)
        return;
    const unsigned char *at = from;
    while (*at == g.saved[at - g.start])
        at++;
    size_t offset = (size_t)(at - a->start), word = offset / 4 * 4;
    float first = NAN, second = NAN;
    if (word + 4 <= a->bytes) {
        memcpy(&first, g.saved + (a->start + word - g.start), 4);
        memcpy(&second, a->start + word, 4);
    }
    fail("%s: %s, offset %zu: %g (0x%02x), in %s order %g (0x%02x)", problem.c_str(),
         describe(a).c_str(), offset, (double)first, g.saved[at - g.start], second_order,
         (double)second, *at);
}

void work_ends() {
    bool twice = the().running == run::second;
    std::string who = who_runs();
    for (const granule &g : the().touched) {
        if (twice) {
            protect(g.start, g.end, PROT_READ | PROT_WRITE);
            if (g.saved) {
                check_margins(g.owner, g.start, g.end, MARGIN_2, who.c_str());
                compare_runs(who + ": the result depends on the order of blocks and threads, or "
                                   "on what lies outside of its memory",
                             g, "reverse");
            }
            fill_margins(g.owner, g.start, g.end, MARGIN);
        } else {
            check_margins(g.owner, g.start, g.end, MARGIN, who.c_str());
            keep_change(g, who);
        }
        protect(g.start, g.end, PROT_NONE);
        g.owner->opened_to[(size_t)(g.start - g.owner->pages) / g.owner->granule] = opened::no;
    }
    the().running = run::none;
    if (the().save_used > SAVE_KEPT)
        madvise(the().save_area, the().save_used, MADV_DONTNEED);
    the().save_used = 0;
    the().touched.clear();
}

// ---- graphs that run several times -------------------------------------------------------------

void graph_begins() {
    the().graph = {};
    the().graph.on = true;
}

void results_vary() {
    the().graph.varies = true;
}

// Work whose result differs makes what reads it differ, too. So the message is about the memory that
// is finished first.
static void compare_graph_runs(const std::string &name) {
    std::map<size_t, const change *> by_turn;
    for (auto &[start, c] : the().graph.changes)
        by_turn[c.turn] = &c;
    for (auto &[turn, c] : by_turn) {
        granule g = c->where;
        std::vector<unsigned char> first = c->after.empty() ? c->before : c->after;
        g.saved = first.data();
        protect(g.start, g.end, PROT_READ);
        compare_runs(name +
                         ": the result depends on the order of its branches, so an event is "
                         "missing; last written by " +
                         c->who,
                     g, "another");
    }
}

void graph_run_ends(const std::string &name, bool last) {
    graph_runs &graph = the().graph;
    if (!graph.first && !graph.varies)
        compare_graph_runs(name);
    for (auto &[start, c] : graph.changes) {
        const granule &g = c.where;
        protect(g.start, g.end, PROT_READ | PROT_WRITE);
        if (graph.first)
            c.after.assign(g.start, g.end);
        if (!last)
            std::copy(c.before.begin(), c.before.end(), g.start);
        protect(g.start, g.end, PROT_NONE);
    }
    graph.first = false;
    if (last)
        graph = {}; // releases the copies
}

} // namespace cudasim

void cudasim_set_memory(size_t bytes) {
    std::lock_guard<std::recursive_mutex> lock(cudasim::the_lock());
    cudasim::the().limit = bytes;
}
