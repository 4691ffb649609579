// copy.cpp: asynchronous copies of the stand-in. They access host memory as late as the order of
// the streams allows, which reveals a host that does not wait for them.

#include "runtime.hpp"

#include <string.h>

namespace cudasim {
namespace {

enum class side { device, pinned, pageable };

// Where the memory is; fails if only part of it is in an allocation.
side side_of(const char *call, const void *start, size_t bytes) {
    const allocation *a = allocation_near(start);
    if (!a)
        return side::pageable;
    if (!a->live)
        fail("%s: %s was freed", call, describe(a).c_str());
    if (!allocation_of(start, bytes, a->where))
        fail("%s: %zu bytes at offset %td leave %s", call, bytes,
             (const unsigned char *)start - a->start, describe(a).c_str());
    return a->where == place::device ? side::device : side::pinned;
}

// FNV-1a, eight bytes at a time.
uint64_t checksum(const void *start, size_t bytes) {
    const unsigned char *at = static_cast<const unsigned char *>(start);
    uint64_t sum = 0xcbf29ce484222325u;
    for (; bytes > 0;) {
        uint64_t word = 0;
        size_t part = bytes < sizeof word ? bytes : sizeof word;
        memcpy(&word, at, part);
        sum = (sum ^ word) * 0x100000001b3u;
        sum ^= sum >> 29;
        at += part;
        bytes -= part;
    }
    return sum;
}

void need_pinned(const char *call, side where, const char *which) {
    if (where == side::pageable)
        fail("%s: the %s is host memory that is not pinned", call, which);
}

std::function<void()> upload(void *to, const void *from, size_t bytes) {
    uint64_t before = checksum(from, bytes);
    return [=]() {
        if (checksum(from, bytes) != before)
            fail("the host changed the source of an upload before it ran: %zu bytes in %s; wait "
                 "for an event first",
                 bytes, describe(allocation_near(from)).c_str());
        run_work("cudaMemcpyAsync", [=]() { memcpy(to, from, bytes); });
    };
}

// Until the copy has run, the host reads NaN.
std::function<void()> download(void *to, const void *from, size_t bytes) {
    memset(to, 0xff, bytes);
    return [=]() { run_work("cudaMemcpyAsync", [=]() { memcpy(to, from, bytes); }); };
}

} // namespace

void check_device_range(const char *call, const void *start, size_t bytes) {
    if (side_of(call, start, bytes) != side::device)
        fail("%s: %p is not in device memory", call, start);
}

void check_copy(const char *call, const void *to, const void *from, size_t bytes,
                enum cudaMemcpyKind kind) {
    bool to_device = side_of(call, to, bytes) == side::device;
    bool from_device = side_of(call, from, bytes) == side::device;
    int actual = to_device ? (from_device ? cudaMemcpyDeviceToDevice : cudaMemcpyHostToDevice)
                           : (from_device ? cudaMemcpyDeviceToHost : cudaMemcpyHostToHost);
    if (kind != cudaMemcpyDefault && (int)kind != actual)
        fail("%s: the wrong direction: kind is %d, and the addresses say %d", call, (int)kind,
             actual);
}

} // namespace cudasim

using namespace cudasim;

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
    api_call call("cudaMemcpyAsync");
    need_stream(stream, "cudaMemcpyAsync");
    if (call.refused() != cudaSuccess || bytes == 0)
        return call.end(cudaSuccess);
    check_copy("cudaMemcpyAsync", to, from, bytes, kind);
    side source = side_of("cudaMemcpyAsync", from, bytes),
         target = side_of("cudaMemcpyAsync", to, bytes);
    need_pinned("cudaMemcpyAsync", source, "source");
    need_pinned("cudaMemcpyAsync", target, "target");
    if (source == side::pinned && target == side::pinned)
        fail("cudaMemcpyAsync: from host to host");
    operation op;
    op.copy = true;
    op.name = "cudaMemcpyAsync";
    op.spans = {{"the source", from, bytes, 1, false}, {"the target", to, bytes, 1, true}};
    if (source == side::pinned || target == side::pinned)
        op.hosts = {source == side::pinned ? from : to};
    op.issue = [=]() -> std::function<void()> {
        check_copy("cudaMemcpyAsync", to, from, bytes, kind);
        if (source == side::pinned)
            return upload(to, from, bytes);
        if (target == side::pinned)
            return download(to, from, bytes);
        return [=]() { run_work("cudaMemcpyAsync", [=]() { memmove(to, from, bytes); }); };
    };
    return call.end(append(stream, std::move(op)));
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
    api_call call("cudaMemsetAsync");
    need_stream(stream, "cudaMemsetAsync");
    if (call.refused() != cudaSuccess || bytes == 0)
        return call.end(cudaSuccess);
    check_device_range("cudaMemsetAsync", to, bytes);
    operation op;
    op.copy = true;
    op.name = "cudaMemsetAsync";
    op.spans = {{"the target", to, bytes, 1, true}};
    op.issue = [=]() -> std::function<void()> {
        check_device_range("cudaMemsetAsync", to, bytes);
        return [=]() { run_work("cudaMemsetAsync", [=]() { memset(to, value, bytes); }); };
    };
    return call.end(append(stream, std::move(op)));
}
