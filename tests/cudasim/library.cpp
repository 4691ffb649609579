// library.cpp: code that the stand-ins for cuDNN and cuBLAS share (library.hpp).
#include "library.hpp"

#include <cmath>
#include <cstdint>
#include <cstring>

static struct {
    long calls_to_failure; // 0: none fails
    int status;
} injection;

extern "C" void cudasim_fail_library_call(long calls, int status) {
    injection.calls_to_failure = calls;
    injection.status = status;
}

bool cudasim::library_call_fails(int *status, const char *call) {
    if (injection.calls_to_failure == 0 || --injection.calls_to_failure > 0)
        return false;
    *status = injection.status;
    library_call_failed(call);
    return true;
}

static void check_memory(const char *call, const std::vector<cudasim::span> &spans) {
    for (const cudasim::span &s : spans) {
        if (s.bytes > 0 && !cudasim::on_device(s.start, s.bytes))
            cudasim::fail(
                "%s: %s (%p, %zu bytes) does not lie inside one allocation of device memory", call,
                s.name, s.start, s.bytes);
        if ((uintptr_t)s.start % s.alignment != 0)
            cudasim::fail("%s: %s (%p) is not aligned to %zu bytes", call, s.name, s.start,
                          s.alignment);
    }
}

static void check_apart(const char *call, const std::vector<cudasim::span> &spans) {
    for (size_t i = 0; i < spans.size(); i++)
        for (size_t j = i + 1; j < spans.size(); j++) {
            uintptr_t a = (uintptr_t)spans[i].start, b = (uintptr_t)spans[j].start;
            bool apart = a + spans[i].bytes <= b || b + spans[j].bytes <= a;
            if (!apart && (spans[i].written || spans[j].written))
                cudasim::fail("%s: %s and %s overlap", call, spans[i].name, spans[j].name);
        }
}

void cudasim::enqueue_on(cudaStream_t stream, const char *name, std::vector<span> spans,
                         std::function<void()> work) {
    check_memory(name, spans);
    check_apart(name, spans);
    enqueue(stream, name, spans, [name, spans, work = std::move(work)] {
        check_memory(name, spans);
        work();
    });
}

float cudasim::to_tf32(float x) {
    if (!std::isfinite(x))
        return x;
    const uint32_t dropped = 13; // of float32's 23 bits of mantissa
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    bits += (1u << (dropped - 1)) - 1 + (bits >> dropped & 1);
    bits &= ~((1u << dropped) - 1);
    memcpy(&x, &bits, sizeof bits);
    return x;
}
