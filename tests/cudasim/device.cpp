// device.cpp: the device that the stand-in reports, and the calls that allocate, free and copy
// synchronously.

#include "runtime.hpp"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

using namespace cudasim;

// ---- queries -----------------------------------------------------------------------------------

namespace {

constexpr int MULTIPROCESSORS = 4;
constexpr int DRIVER = 13000, OLD_DRIVER = 11080;

int device_count() {
    const char *text = getenv("CUDASIM_DEVICES");
    return text ? atoi(text) : 1;
}

void architecture(int *major, int *minor) {
    const char *text = getenv("CUDASIM_ARCH");
    if (!text || sscanf(text, "%d.%d", major, minor) != 2) {
        *major = 9;
        *minor = 0;
    }
}

} // namespace

bool cudasim::has_kernel_image() {
    int major, minor;
    architecture(&major, &minor);
    return 10 * major + minor >= 75;
}

size_t cudasim::shared_opt_in_limit() {
    const char *text = getenv("CUDASIM_SHARED");
    return text ? strtoull(text, nullptr, 10) : 99 * 1024;
}

cudaError_t cudaGetDeviceCount(int *count) {
    api_call call("cudaGetDeviceCount");
    *count = call.refused() == cudaSuccess ? device_count() : 0;
    return call.end(cudaSuccess);
}

static thread_local int
    current_device; /* as in CUDA, each thread's own; all devices share the one memory */

cudaError_t cudaSetDevice(int device) {
    api_call call("cudaSetDevice");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    if (device < 0 || device >= device_count())
        return call.end(cudaErrorInvalidDevice);
    current_device = device;
    return call.end(cudaSuccess);
}

cudaError_t cudaGetDevice(int *device) {
    api_call call("cudaGetDevice");
    if (call.refused() == cudaSuccess)
        *device = current_device;
    return call.end(cudaSuccess);
}

struct cudaDeviceProp cudasim::device_properties() {
    struct cudaDeviceProp properties, *prop = &properties;
    memset(prop, 0, sizeof *prop);
    snprintf(prop->name, sizeof prop->name, "stand-in for a GPU");
    prop->totalGlobalMem = device_memory_limit();
    prop->sharedMemPerBlock = 48 * 1024;
    prop->regsPerBlock = 65536;
    prop->warpSize = warpSize;
    prop->maxThreadsPerBlock = 1024;
    prop->maxThreadsDim[0] = prop->maxThreadsDim[1] = 1024;
    prop->maxThreadsDim[2] = 64;
    prop->maxGridSize[0] = 0x7fffffff;
    prop->maxGridSize[1] = prop->maxGridSize[2] = 65535;
    architecture(&prop->major, &prop->minor);
    prop->multiProcessorCount = MULTIPROCESSORS;
    prop->memoryBusWidth = 128;
    prop->l2CacheSize = 4 << 20;
    prop->maxThreadsPerMultiProcessor = 1536;
    prop->sharedMemPerMultiprocessor = shared_opt_in_limit() + 1024;
    prop->sharedMemPerBlockOptin = shared_opt_in_limit();
    return properties;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device) {
    api_call call("cudaGetDeviceProperties");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    if (device < 0 || device >= device_count())
        return call.end(cudaErrorInvalidDevice);
    *prop = device_properties();
    return call.end(cudaSuccess);
}

static int attribute_of(const struct cudaDeviceProp *prop, enum cudaDeviceAttr attr) {
    switch (attr) {
    case cudaDevAttrMaxThreadsPerBlock:
        return prop->maxThreadsPerBlock;
    case cudaDevAttrMaxSharedMemoryPerBlock:
        return (int)prop->sharedMemPerBlock;
    case cudaDevAttrWarpSize:
        return prop->warpSize;
    case cudaDevAttrMultiProcessorCount:
        return prop->multiProcessorCount;
    case cudaDevAttrMemoryClockRate:
        return 1000000;
    case cudaDevAttrGlobalMemoryBusWidth:
        return prop->memoryBusWidth;
    case cudaDevAttrL2CacheSize:
        return prop->l2CacheSize;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        return prop->maxThreadsPerMultiProcessor;
    case cudaDevAttrComputeCapabilityMajor:
        return prop->major;
    case cudaDevAttrComputeCapabilityMinor:
        return prop->minor;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        return (int)prop->sharedMemPerMultiprocessor;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        return (int)prop->sharedMemPerBlockOptin;
    }
    fail("cudaDeviceGetAttribute: the stand-in does not know attribute %d", (int)attr);
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device) {
    struct cudaDeviceProp prop;
    cudaError_t error = cudaGetDeviceProperties(&prop, device);
    if (error == cudaSuccess)
        *value = attribute_of(&prop, attr);
    return error;
}

cudaError_t cudaDriverGetVersion(int *version) {
    api_call call("cudaDriverGetVersion", false);
    const char *driver = getenv("CUDASIM_DRIVER");
    if (call.refused() == cudaSuccess)
        *version = !driver                       ? DRIVER
                   : strcmp(driver, "old") == 0  ? OLD_DRIVER
                   : strcmp(driver, "none") == 0 ? 0
                                                 : DRIVER;
    return call.end(cudaSuccess);
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    api_call call("cudaRuntimeGetVersion", false);
    if (call.refused() == cudaSuccess)
        *version = CUDART_VERSION;
    return call.end(cudaSuccess);
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    api_call call("cudaMemGetInfo");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    size_t limit = device_memory_limit(), used = device_memory_used();
    *total_bytes = limit;
    *free_bytes = used < limit ? limit - used : 0;
    return call.end(cudaSuccess);
}

cudaError_t cudaDeviceSynchronize(void) {
    api_call call("cudaDeviceSynchronize");
    the_counts().synchronizations++;
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    cudaError_t error = refused_by_any_capture();
    if (error == cudaSuccess)
        run_everything();
    return call.end(error);
}

// ---- memory ------------------------------------------------------------------------------------

static cudaError_t allocate_for(void **memory, size_t bytes, place where, const char *name) {
    api_call call(name);
    the_counts().allocations++;
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    cudaError_t error = refused_by_capture();
    if (error != cudaSuccess)
        return call.end(error);
    if (!memory)
        return call.end(cudaErrorInvalidValue);
    *memory = nullptr;
    if (bytes == 0)
        return call.end(cudaSuccess);
    allocation *a = allocate(where, bytes);
    if (!a)
        return call.end(cudaErrorMemoryAllocation);
    *memory = a->start;
    return call.end(cudaSuccess);
}

// An error at the test's request still releases the memory: nothing could release it later.
static cudaError_t release_for(void *memory, place where, const char *name) {
    api_call call(name);
    the_counts().allocations++;
    if (!memory)
        return call.end(cudaSuccess);
    cudaError_t error = refused_by_capture();
    if (error != cudaSuccess)
        return call.end(error);
    allocation *a = allocation_at(memory, where);
    if (!a)
        fail("%s of %p, which is not (or no longer) the start of an allocation", name, memory);
    if (where == place::device) {
        the_counts().synchronizations++;
        run_everything();
    } else if (uses_pinned(a)) {
        fail("%s of %s, which a copy that has not run yet uses", name, describe(a).c_str());
    }
    release(a);
    return call.end(cudaSuccess);
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    return allocate_for(memory, bytes, place::device, "cudaMalloc");
}

cudaError_t cudaFree(void *memory) {
    return release_for(memory, place::device, "cudaFree");
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned int) {
    return allocate_for(memory, bytes, place::pinned, "cudaHostAlloc");
}

cudaError_t cudaFreeHost(void *memory) {
    return release_for(memory, place::pinned, "cudaFreeHost");
}

// The default stream waits only for streams that are not cudaStreamNonBlocking.
static cudaError_t blocking_call_begins(api_call *call) {
    the_counts().synchronizations++;
    if (call->refused() != cudaSuccess)
        return call->refused();
    cudaError_t error = refused_by_capture();
    if (error == cudaSuccess)
        run_blocking_streams();
    return error;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind) {
    api_call call("cudaMemcpy");
    cudaError_t error = blocking_call_begins(&call);
    if (error != cudaSuccess || bytes == 0)
        return call.end(error);
    check_copy("cudaMemcpy", to, from, bytes, kind);
    run_work("cudaMemcpy", [=]() { memmove(to, from, bytes); });
    return call.end(cudaSuccess);
}

cudaError_t cudaMemset(void *to, int value, size_t bytes) {
    api_call call("cudaMemset");
    cudaError_t error = blocking_call_begins(&call);
    if (error != cudaSuccess || bytes == 0)
        return call.end(error);
    check_device_range("cudaMemset", to, bytes);
    run_work("cudaMemset", [=]() { memset(to, value, bytes); });
    return call.end(cudaSuccess);
}
