// cudasim_internal.hpp: what the files of the stand-in share. The runtime (memory, streams,
// kernels) fills it; the stand-ins for cuDNN and cuBLAS use it.
#ifndef CUDASIM_INTERNAL_HPP
#define CUDASIM_INTERNAL_HPP

#include "cudasim.h"

#include <cuda_runtime.h>
#include <functional>
#include <vector>

namespace cudasim {

// Prints "cudasim: " and the message to standard error and aborts: the program under test did
// something that a GPU would report later or never.
[[noreturn]] void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

// A call of a library failed at the test's request (cudasim_failed_call).
void library_call_failed(const char *name);

// Memory that an operation reads or writes; NULL with 0 bytes for none.
struct span {
    const char *name;
    const void *start;
    size_t bytes;
    size_t alignment;
    bool written;
};

// Appends work to a stream, or to the graph that the stream is captured into. The work may read and
// write the memory of the spans; it counts as one kernel launch of that name.
void enqueue(cudaStream_t stream, const char *name, std::vector<span> spans,
             std::function<void()> work);

// Says that the work that runs gives other results when it is repeated.
void results_vary();

// Whether the bytes lie inside one live allocation of device memory.
bool on_device(const void *start, size_t bytes);

// Whether the stream exists; whether it is captured now.
bool stream_exists(cudaStream_t stream);
bool capturing(cudaStream_t stream);

// A handle or descriptor was made or destroyed. Those left at the end of the program are reported
// as leaks.
void handle_made(const void *handle, const char *kind);
void handle_gone(const void *handle, const char *kind); // fails the program if it does not exist
bool handle_exists(const void *handle, const char *kind);

} // namespace cudasim

#endif
