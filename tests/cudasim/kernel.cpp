// kernel.cpp: launches of the stand-in: the limits of a launch, and a kernel run block by block,
// forward and then, to find races, backward.

#include "runtime.hpp"

#include <algorithm>
#include <map>
#include <stdlib.h>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace cudasim {
namespace {

constexpr size_t SHARED_WITHOUT_OPT_IN = 48 * 1024;

struct kernel_state {
    std::map<const void *, size_t> opted_in; // dynamic shared memory, by kernel
    bool reverse_known = false, reverse = true, known = false;
    bool runs = false;                     // some work
    std::thread::id thread;                // that runs it
    const kernel_launch *kernel = nullptr; // null: other work
    std::string name;                      // of the work
};

kernel_state &the() {
    static kernel_state *state = new kernel_state; // outlives every atexit handler
    return *state;
}

bool runs_in_reverse() {
    if (!the().reverse_known) {
        const char *text = getenv("CUDASIM_REVERSE");
        the().reverse = !text || atoi(text) != 0;
        the().reverse_known = true;
    }
    return the().reverse;
}

size_t threads_of(dim3 block) {
    return (size_t)block.x * block.y * block.z;
}

// How many blocks the device holds at once. A kernel's registers and its static shared memory are
// unknown here: a thread counts for 64 registers, the most that a block of 1024 threads leaves it.
size_t blocks_at_once(const kernel_launch &l) {
    struct cudaDeviceProp p = device_properties();
    size_t per_block = p.sharedMemPerMultiprocessor - p.sharedMemPerBlockOptin; // CUDA's own share
    size_t by_threads = (size_t)p.maxThreadsPerMultiProcessor / threads_of(l.block);
    size_t by_registers = (size_t)p.regsPerBlock / 64 / threads_of(l.block);
    size_t by_shared = p.sharedMemPerMultiprocessor / (l.shared_bytes + per_block);
    return (size_t)p.multiProcessorCount * std::min({by_threads, by_registers, by_shared});
}

// The limits are those of "Compute Capabilities" in the CUDA C++ Programming Guide.
cudaError_t check_configuration(const kernel_launch &l) {
    if (threads_of(l.block) == 0 || threads_of(l.block) > 1024 || l.block.x > 1024 ||
        l.block.y > 1024 || l.block.z > 64)
        return cudaErrorInvalidConfiguration;
    if (threads_of(l.grid) == 0 || l.grid.x > 0x7fffffff || l.grid.y > 65535 || l.grid.z > 65535)
        return cudaErrorInvalidConfiguration;
    auto opted_in = the().opted_in.find(l.kernel);
    if (l.shared_bytes >
        (opted_in == the().opted_in.end() ? SHARED_WITHOUT_OPT_IN : opted_in->second))
        return cudaErrorInvalidValue;
    if (l.cooperative && threads_of(l.grid) > blocks_at_once(l))
        return cudaErrorCooperativeLaunchTooLarge;
    return has_kernel_image() ? cudaSuccess : cudaErrorNoKernelImageForDevice;
}

void begin_work(const kernel_launch *kernel, const std::string &name, bool twice) {
    catch_faults();
    work_begins(twice);
    the().thread = std::this_thread::get_id();
    the().kernel = kernel;
    the().name = name;
    the().runs = true;
}

void end_work() {
    work_ends();
    the().runs = false;
    the().kernel = nullptr;
}

void run_grid(const kernel_launch &launch, bool reverse) {
    size_t count = threads_of(launch.grid);
    shared_launch_begins(launch, launch.cooperative ? count : 1);
    std::vector<uint3> together;
    for (size_t i = 0; i < count; i++) {
        size_t block = reverse ? count - 1 - i : i;
        uint3 index = {(unsigned)(block % launch.grid.x),
                       (unsigned)(block / launch.grid.x % launch.grid.y),
                       (unsigned)(block / launch.grid.x / launch.grid.y)};
        if (launch.cooperative)
            together.push_back(index);
        else
            run_block(launch, index, reverse);
    }
    if (launch.cooperative)
        run_blocks(launch, together, reverse);
}

void run_kernel(const kernel_launch &launch) {
    bool twice = runs_in_reverse() && !the().known;
    gridDim = launch.grid;
    blockDim = launch.block;
    begin_work(&launch, launch.name, twice);
    run_grid(launch, false);
    if (twice) {
        second_run_begins();
        run_grid(launch, true);
    }
    end_work();
}

} // namespace

std::string triple(uint3 v) {
    return "(" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + ")";
}

void run_work(const std::string &name, const std::function<void()> &work) {
    begin_work(nullptr, name, false);
    work();
    end_work();
}

bool work_runs_in_this_thread() {
    return the().runs && the().thread == std::this_thread::get_id();
}

bool work_runs_twice() {
    return runs_in_reverse();
}

void kernels_are_known(bool known) {
    the().known = known;
}

std::string who_runs() {
    if (!the().runs)
        return "";
    if (!the().kernel)
        return the().name;
    std::string name = "kernel " + the().name;
    return running_thread() < 0
               ? name
               : name + ", block " + triple(blockIdx) + ", " + thread_name(running_thread());
}

// ---- launches ----------------------------------------------------------------------------------

void check_pointer(const char *name, int number, const void *pointer) {
    std::lock_guard<std::recursive_mutex> lock(the_lock());
    const allocation *a = allocation_near(pointer);
    if (pointer && (!a || a->where != place::device))
        fail("kernel %s: argument %d is the address of host memory", name, number);
}

// The limit of dynamic shared memory belongs to the kernel: a later call may have lowered it since
// the launch was recorded.
void check_replay(const kernel_launch &l) {
    if (check_configuration(l) == cudaErrorInvalidValue)
        fail("kernel %s is replayed with %zu bytes of dynamic shared memory, more than "
             "cudaFuncSetAttribute allows it by now",
             l.name.c_str(), l.shared_bytes);
}

void launch(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared_bytes,
            cudaStream_t stream, bool cooperative, std::function<void()> thread) {
    std::lock_guard<std::recursive_mutex> lock(the_lock());
    kernel_launch l = {name,        kernel,           grid,
                       block,       shared_bytes,     SHARED_WITHOUT_OPT_IN,
                       cooperative, std::move(thread)};
    if (the().opted_in.count(kernel))
        l.shared_limit = shared_opt_in_limit();
    cudaError_t error = launch_begins();
    need_stream(stream, ("the launch of kernel " + l.name).c_str());
    if (error == cudaSuccess)
        error = check_configuration(l);
    if (error == cudaSuccess) {
        operation op;
        op.launch = true;
        op.issue = [l]() -> std::function<void()> {
            check_replay(l);
            return [l]() { run_kernel(l); };
        };
        error = append(stream, std::move(op));
    }
    launch_ends(name, error);
}

} // namespace cudasim

using namespace cudasim;

void cudasim_set_reverse(int on) {
    std::lock_guard<std::recursive_mutex> lock(the_lock());
    the().reverse = on != 0;
    the().reverse_known = true;
}

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attribute,
                                 int value) {
    api_call call("cudaFuncSetAttribute");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    if (!function)
        return call.end(cudaErrorInvalidDeviceFunction);
    if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
        return call.end(cudaSuccess);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        (size_t)value > shared_opt_in_limit())
        return call.end(cudaErrorInvalidValue);
    the().opted_in[function] = (size_t)value;
    return call.end(cudaSuccess);
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *function) {
    api_call call("cudaFuncGetAttributes");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    if (!function)
        return call.end(cudaErrorInvalidDeviceFunction);
    if (!has_kernel_image())
        return call.end(cudaErrorNoKernelImageForDevice);
    *attributes = {};
    attributes->maxThreadsPerBlock = 1024;
    attributes->numRegs = 32;
    auto opted_in = the().opted_in.find(function);
    attributes->maxDynamicSharedSizeBytes =
        (int)(opted_in == the().opted_in.end() ? SHARED_WITHOUT_OPT_IN : opted_in->second);
    return call.end(cudaSuccess);
}
