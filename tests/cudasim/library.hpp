// library.hpp: what the stand-ins for cuDNN and cuBLAS share: failures on request, checks of a
// call's memory, rounding to TF32.
#ifndef CUDASIM_LIBRARY_HPP
#define CUDASIM_LIBRARY_HPP

#include "cudasim_internal.hpp"

namespace cudasim {

// Counts a call; true if it is the one that cudasim_fail_library_call chose: it must fail with
// *status. `call` is its name, for cudasim_failed_call.
bool library_call_fails(int *status, const char *call);

inline span floats_in(const char *name, const void *start, size_t count) {
    return {name, start, count * sizeof(float), sizeof(float), false};
}

inline span floats_out(const char *name, const void *start, size_t count) {
    return {name, start, count * sizeof(float), sizeof(float), true};
}

// Enqueues work as cudasim::enqueue does, but first fails the program if a span is not wholly
// device memory, is misaligned, or overlaps one that is written: on a GPU these are memory faults
// or wrong results. That the memory still exists is checked again when the work runs.
void enqueue_on(cudaStream_t stream, const char *name, std::vector<span> spans,
                std::function<void()> work);

// The bits of a float32 that tensor cores see: 10 of the mantissa, rounded to nearest even.
float to_tf32(float x);

} // namespace cudasim

#endif
