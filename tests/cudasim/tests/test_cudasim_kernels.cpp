// test_cudasim_kernels.cpp: kernels on the stand-in for CUDA: correct ones give correct results,
// and each wrong one fails with a message that names the fault.

#include "program.hpp"

#include <cooperative_groups.h>

namespace {

constexpr unsigned ALL = 0xffffffffu;

// Runs a kernel on two arrays of `count` floats, x full of 0, 1, 2 ...; returns y.
struct arrays {
    cudaStream_t stream;
    float *x, *y, *host;
    size_t count;
};

arrays begin(size_t count) {
    arrays a = {new_stream(), new_device<float>(count), new_device<float>(count),
                new_pinned<float>(count), count};
    for (size_t i = 0; i < count; i++)
        a.host[i] = (float)i;
    OK(cudaMemcpyAsync(a.x, a.host, count * sizeof(float), cudaMemcpyHostToDevice, a.stream));
    OK(cudaStreamSynchronize(a.stream));
    return a;
}

void finish(const arrays *a) {
    OK(cudaMemcpyAsync(a->host, a->y, a->count * sizeof(float), cudaMemcpyDeviceToHost, a->stream));
    OK(cudaStreamSynchronize(a->stream));
}

void end(const arrays *a) {
    OK(cudaFree(a->x));
    OK(cudaFree(a->y));
    OK(cudaFreeHost(a->host));
    OK(cudaStreamDestroy(a->stream));
}

// ---- correct kernels ---------------------------------------------------------------------------

__global__ void copy(float *y, const float *x, int n) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        y[i] = x[i];
}

void copies() {
    arrays a = begin(1000);
    RUN(copy, 8, 128, 0, a.stream, a.y, a.x, 1000);
    finish(&a);
    for (int i = 0; i < 1000; i++)
        NEED(a.host[i] == (float)i);
    end(&a);
}

template <class S> __device__ float block_sum(float v, S sums) {
    for (int offset = 16; offset > 0; offset /= 2)
        v += __shfl_xor_sync(ALL, v, offset);
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0;
    for (unsigned i = 0; i < blockDim.x / 32; i++)
        v += sums[i];
    __syncthreads();
    return v;
}

__global__ void sums(float *y, const float *x) {
    SHARED(float, partial, 32);
    float first = block_sum(x[threadIdx.x], partial);
    y[blockIdx.x * blockDim.x + threadIdx.x] = first + block_sum(first, partial);
}

void barriers_and_shuffles() {
    arrays a = begin(256);
    RUN(sums, 2, 128, 0, a.stream, a.y, a.x);
    finish(&a);
    for (int i = 0; i < 256; i++)
        NEED(a.host[i] == 127 * 64 + 128 * 127 * 64);
    end(&a);
}

__global__ void each_shuffle(float *y) {
    int lane = (int)threadIdx.x;
    y[lane] = (float)__shfl_sync(ALL, lane, 5);
    y[32 + lane] = (float)__shfl_up_sync(ALL, lane, 2);
    y[64 + lane] = (float)__shfl_down_sync(ALL, lane, 3, 8);
    y[96 + lane] = (float)__shfl_xor_sync(ALL, lane, 1);
    y[128 + lane] = (float)__shfl_sync(ALL, (double)lane, 1, 16);
    if (lane < 8)
        y[160 + lane] = (float)__shfl_xor_sync(0xffu, lane, 4);
}

void shuffles() {
    arrays a = begin(192);
    RUN(each_shuffle, 1, 32, 0, a.stream, a.y);
    finish(&a);
    for (int lane = 0; lane < 32; lane++) {
        NEED(a.host[lane] == 5);
        NEED(a.host[32 + lane] == (float)(lane < 2 ? lane : lane - 2));
        NEED(a.host[64 + lane] == (float)(lane % 8 > 4 ? lane : lane + 3));
        NEED(a.host[96 + lane] == (float)(lane ^ 1));
        NEED(a.host[128 + lane] == (float)(lane / 16 * 16 + 1));
        NEED(lane >= 8 || a.host[160 + lane] == (float)(lane ^ 4));
    }
    end(&a);
}

__global__ void turn(float *y, const float *x) {
    SHARED_DYNAMIC(float4, kept);
    unsigned n = blockDim.x, t = threadIdx.x;
    kept[t] = reinterpret_cast<const float4 *>(x)[t];
    __syncthreads();
    float4 v = kept[n - 1 - t];
    reinterpret_cast<float4 *>(y)[t] = make_float4(v.w, v.z, v.y, v.x);
}

// 64 KB of shared memory need opting in.
void dynamic_shared_memory() {
    arrays a = begin(4096);
    LAUNCH(turn, 1, 1024, 65536, a.stream, a.y, a.x);
    NEED(cudaPeekAtLastError() == cudaErrorInvalidValue);
    NEED(cudaGetLastError() == cudaErrorInvalidValue && cudaGetLastError() == cudaSuccess);
    NEED(cudaFuncSetAttribute(turn, cudaFuncAttributeMaxDynamicSharedMemorySize, 1 << 20) ==
         cudaErrorInvalidValue);
    NEED(cudaGetLastError() == cudaErrorInvalidValue);
    OK(cudaFuncSetAttribute(turn, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536));
    RUN(turn, 1, 1024, 65536, a.stream, a.y, a.x);
    finish(&a);
    for (int i = 0; i < 4096; i++)
        NEED(a.host[i] == (float)(4095 - i));
    end(&a);
}

// A recorded launch keeps its size, but not the limit at its recording.
void lowered_limit() {
    arrays a = begin(4096);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaFuncSetAttribute(turn, cudaFuncAttributeMaxDynamicSharedMemorySize, 65536));
    OK(cudaStreamBeginCapture(a.stream, cudaStreamCaptureModeThreadLocal));
    RUN(turn, 1, 1024, 65536, a.stream, a.y, a.x);
    OK(cudaStreamEndCapture(a.stream, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaFuncSetAttribute(turn, cudaFuncAttributeMaxDynamicSharedMemorySize, 60000));
    OK(cudaGraphLaunch(exec, a.stream));
}

__global__ void within_warps(float *y) {
    SHARED(float, values, 64);
    values[threadIdx.x] = (float)threadIdx.x;
    __syncwarp();
    y[threadIdx.x] = values[threadIdx.x ^ 1];
    __syncwarp();
    values[threadIdx.x ^ 1] = 0;
}

void warp_barriers() {
    arrays a = begin(64);
    RUN(within_warps, 1, 64, 0, a.stream, a.y);
    finish(&a);
    for (int i = 0; i < 64; i++)
        NEED(a.host[i] == (float)(i ^ 1));
    end(&a);
}

__global__ void add_index(float *y) {
    y[blockIdx.z * 6 + blockIdx.y * 3 + blockIdx.x] +=
        (float)(threadIdx.z * 100 + threadIdx.y * 10 + threadIdx.x);
}

// A sum in place is correct in both runs of a kernel.
void in_place_and_three_dimensions() {
    arrays a = begin(12);
    OK(cudaMemsetAsync(a.y, 0, 48, a.stream));
    for (int i = 0; i < 3; i++)
        RUN(add_index, dim3(3, 2, 2), 1, 0, a.stream, a.y);
    finish(&a);
    for (int i = 0; i < 12; i++)
        NEED(a.host[i] == 0);
    end(&a);
}

void bad_configurations() {
    cudaStream_t s = new_stream();
    float *y = new_device<float>(1);
    LAUNCH(add_index, 0, 1, 0, s, y);
    NEED(cudaGetLastError() == cudaErrorInvalidConfiguration);
    LAUNCH(add_index, 1, 1025, 0, s, y);
    NEED(cudaGetLastError() == cudaErrorInvalidConfiguration);
    LAUNCH(add_index, dim3(1, 65536), 1, 0, s, y);
    NEED(cudaGetLastError() == cudaErrorInvalidConfiguration);
    setenv("CUDASIM_ARCH", "7.0", 1);
    LAUNCH(add_index, 1, 1, 0, s, y);
    NEED(cudaGetLastError() == cudaErrorNoKernelImageForDevice);
    OK(cudaFree(y));
    OK(cudaStreamDestroy(s));
}

// ---- wrong barriers ----------------------------------------------------------------------------

__global__ void no_barrier(float *y) {
    SHARED(float, values, 64);
    values[threadIdx.x] = 1;
    y[threadIdx.x] = values[threadIdx.x ^ 32];
}

__global__ void no_barrier_in_warp(float *y) {
    SHARED(float, values, 64);
    values[threadIdx.x] = 1;
    __shfl_xor_sync(ALL, 1.0f, 1); // orders no memory
    y[threadIdx.x] = values[threadIdx.x ^ 1];
}

__global__ void read_after_write(float *y) {
    SHARED(float, values, 64);
    values[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = values[63 - threadIdx.x];
    values[threadIdx.x] = 2;
}

__global__ void write_after_read(float *y) {
    SHARED(float, values, 64);
    values[threadIdx.x] = 1;
    __syncthreads();
    y[threadIdx.x] = values[5];
    if (threadIdx.x == 20)
        values[5] = 2;
}

__global__ void write_after_read_in_warp(float *y) {
    SHARED(float, values, 64);
    values[threadIdx.x] = 1;
    __syncthreads();
    if (threadIdx.x < 32)
        y[threadIdx.x] = values[5];
    if (threadIdx.x == 20)
        values[5] = 2;
}

__global__ void same_value(float *y) {
    SHARED(float, values, 1);
    values[0] = 1;
    y[threadIdx.x] = 1;
}

__global__ void skipped_barrier(float *y) {
    if (threadIdx.x < 40)
        __syncthreads();
    y[threadIdx.x] = 1;
}

__global__ void two_barriers(float *y) {
    if (threadIdx.x < 40)
        __syncthreads();
    else
        __syncthreads();
    y[threadIdx.x] = 1;
}

__global__ void skipped_shuffle(float *y) {
    if (threadIdx.x != 7)
        y[threadIdx.x] = __shfl_down_sync(ALL, 1.0f, 1);
}

__global__ void asks_outside_of_mask(float *y) {
    if (threadIdx.x < 8)
        y[threadIdx.x] = __shfl_down_sync(0xffu, 1.0f, 4);
}

__global__ void not_in_its_mask(float *y) {
    y[threadIdx.x] = __shfl_sync(0xffu, 1.0f, 0);
}

__global__ void different_masks(float *y) {
    if (threadIdx.x < 32)
        y[threadIdx.x] = __shfl_xor_sync(threadIdx.x < 16 ? ALL : 0xffff0000u, 1.0f, 1);
}

template <void (*KERNEL)(float *)> void run_on_64() {
    arrays a = begin(64);
    RUN(KERNEL, 1, 64, 0, a.stream, a.y);
    finish(&a);
    end(&a);
}

void half_a_warp() {
    arrays a = begin(64);
    RUN(each_shuffle, 1, 16, 0, a.stream, a.y);
    finish(&a);
}

// ---- cooperative launches ----------------------------------------------------------------------

#define RUN_COOPERATIVE(...)                                                                       \
    do {                                                                                           \
        LAUNCH_COOPERATIVE(__VA_ARGS__);                                                           \
        OK(cudaGetLastError());                                                                    \
    } while (0)

template <class S> __device__ float next_value(float v, S values) {
    values[threadIdx.x] = v;
    __syncthreads();
    float next = values[(threadIdx.x + 1) % blockDim.x];
    __syncthreads();
    return next;
}

__device__ float next_in_block(float v) {
    SHARED(float, values, 64);
    return next_value(v, values);
}

// Each block adds up what all blocks have written. Its shared memory outlives the barriers, in the
// kernel and in a function that is called before and after one.
__global__ void sum_of_blocks(float *y, float *parts) {
    SHARED(float, own, 64);
    SHARED_DYNAMIC(float, more);
    const float v = (float)(blockIdx.x * blockDim.x + threadIdx.x);
    own[threadIdx.x] = next_in_block(v);
    more[threadIdx.x] = v;
    if (threadIdx.x == 0)
        parts[blockIdx.x] = (float)blockIdx.x;
    cooperative_groups::this_grid().sync();
    float sum = 0;
    for (unsigned i = 0; i < gridDim.x; i++)
        sum += parts[i];
    cooperative_groups::this_grid().sync();
    const unsigned other = 63 - threadIdx.x, first = blockIdx.x * blockDim.x;
    const float next = next_in_block(v);
    const bool kept = own[threadIdx.x] == next && more[other] == (float)(first + other);
    parts[blockIdx.x * blockDim.x + threadIdx.x] = 0;
    y[blockIdx.x * blockDim.x + threadIdx.x] = kept ? sum : -1;
}

void barriers_of_the_grid() {
    arrays a = begin(256);
    for (int i = 0; i < 2; i++)
        RUN_COOPERATIVE(sum_of_blocks, 4, 64, 256, a.stream, a.y, a.x);
    finish(&a);
    for (int i = 0; i < 256; i++)
        NEED(a.host[i] == 6);
    end(&a);
}

void recorded_barriers_of_the_grid() {
    arrays a = begin(256);
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaStreamBeginCapture(a.stream, cudaStreamCaptureModeThreadLocal));
    RUN_COOPERATIVE(sum_of_blocks, 4, 64, 256, a.stream, a.y, a.x);
    OK(cudaStreamEndCapture(a.stream, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    for (int i = 0; i < 2; i++)
        OK(cudaGraphLaunch(exec, a.stream));
    finish(&a);
    for (int i = 0; i < 256; i++)
        NEED(a.host[i] == 6);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    end(&a);
}

// 4 multiprocessors with 1536 threads, 64 Ki registers and 100 KB of shared memory each.
void too_many_blocks() {
    arrays a = begin(2048);
    LAUNCH_COOPERATIVE(sum_of_blocks, 65, 64, 256, a.stream, a.y, a.x);
    NEED(cudaGetLastError() == cudaErrorCooperativeLaunchTooLarge);
    LAUNCH_COOPERATIVE(sum_of_blocks, 9, 64, 40000, a.stream, a.y, a.x);
    NEED(cudaGetLastError() == cudaErrorCooperativeLaunchTooLarge);
    RUN_COOPERATIVE(sum_of_blocks, 8, 64, 40000, a.stream, a.y, a.x);
    finish(&a);
    NEED(a.host[511] == 28);
    end(&a);
}

__global__ void sync_in_some_threads(float *y) {
    if (threadIdx.x < 40)
        cooperative_groups::this_grid().sync();
    y[threadIdx.x] = 1;
}

__global__ void sync_in_some_blocks(float *y) {
    if (blockIdx.x != 2)
        cooperative_groups::this_grid().sync();
    y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}

__global__ void syncs_at_two_places(float *y) {
    if (blockIdx.x < 2)
        cooperative_groups::this_grid().sync();
    else
        cooperative_groups::this_grid().sync();
    y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}

__global__ void sync_of_block_for_grid(float *y) {
    if (threadIdx.x < 32)
        cooperative_groups::this_grid().sync();
    else
        __syncthreads();
    y[blockIdx.x * blockDim.x + threadIdx.x] = 1;
}

// Block 0 runs first, so it is block 1 that reads what it should not see.
__global__ void no_sync_of_grid(float *y) {
    if (threadIdx.x == 0)
        y[blockIdx.x] = 1;
    __syncthreads();
    y[64 + blockIdx.x * blockDim.x + threadIdx.x] = y[3 - blockIdx.x];
}

__global__ void race_after_sync(float *y) {
    SHARED(float, values, 64);
    values[threadIdx.x] = 1;
    cooperative_groups::this_grid().sync();
    y[blockIdx.x * blockDim.x + threadIdx.x] = values[63 - threadIdx.x];
    values[threadIdx.x] = 2;
}

__global__ void memory_of_other_block(float *y) {
    SHARED(float, values, 64);
    if (blockIdx.x == 0)
        values[threadIdx.x] = 1;
    cooperative_groups::this_grid().sync();
    y[blockIdx.x * blockDim.x + threadIdx.x] = values[threadIdx.x];
}

template <void (*KERNEL)(float *)> void run_together() {
    arrays a = begin(512);
    OK(cudaMemsetAsync(a.y, 0, 2048, a.stream));
    RUN_COOPERATIVE(KERNEL, 4, 64, 0, a.stream, a.y);
    finish(&a);
    end(&a);
}

// ---- wrong memory accesses ---------------------------------------------------------------------

__global__ void unwritten(float *y) {
    SHARED(float, values, 64);
    if (blockIdx.x == 0)
        values[threadIdx.x] = 1;
    y[threadIdx.x] = values[threadIdx.x];
}

void shared_memory_of_the_last_block() {
    arrays a = begin(64);
    RUN(unwritten, 2, 64, 0, a.stream, a.y);
    finish(&a);
}

__global__ void beyond_shared(float *y) {
    SHARED(float, values, 63);
    values[threadIdx.x] = 1;
    y[threadIdx.x] = 1;
}

__global__ void below_shared(float *y) {
    SHARED(float, values, 64);
    values[(int)threadIdx.x - 1] = 1;
    y[threadIdx.x] = 1;
}

__global__ void too_much_shared(float *y) {
    SHARED(double, values, 6145);
    values[threadIdx.x] = 1;
    y[threadIdx.x] = 1;
}

__global__ void tail_write(float *y, const float *x, int n) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i <= n)
        y[i] = x[0];
}

__global__ void tail_read(float *y, const float *x, int n) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n)
        y[i] = fmaxf(x[i + 1], 0.0f);
}

template <void (*KERNEL)(float *, const float *, int), int N> void run_on_tail() {
    arrays a = begin(N);
    RUN(KERNEL, N / 128 + 1, 128, 0, a.stream, a.y, a.x, N);
    finish(&a);
    end(&a);
}

__global__ void read_misaligned(float *y, const float *x) {
    y[threadIdx.x] = reinterpret_cast<const float4 *>(x + 1)[0].y;
}

void misaligned() {
    arrays a = begin(64);
    RUN(read_misaligned, 1, 1, 0, a.stream, a.y, a.x);
    finish(&a);
}

__global__ void global_race(float *y) {
    y[0] = (float)threadIdx.x;
}

__global__ void block_race(float *y) {
    if (threadIdx.x == 0)
        y[0] = y[0] + (float)blockIdx.x * 0.1f + y[blockIdx.x];
    y[blockIdx.x] = (float)blockIdx.x;
}

void race_of_blocks() {
    arrays a = begin(64);
    OK(cudaMemsetAsync(a.y, 0, 256, a.stream));
    RUN(block_race, 64, 32, 0, a.stream, a.y);
    finish(&a);
}

__global__ void first_comer(float *y) {
    if (y[0] == 0) {
        y[0] = 1;
        y[1 + threadIdx.x * 1024] = 1;
    }
}

void race_for_a_place() {
    arrays a = begin(4096);
    OK(cudaMemsetAsync(a.y, 0, 4, a.stream));
    RUN(first_comer, 1, 4, 0, a.stream, a.y);
    finish(&a);
}

void null_pointer() {
    arrays a = begin(64);
    RUN(copy, 1, 64, 0, a.stream, a.y, static_cast<const float *>(nullptr), 64);
    finish(&a);
}

void host_pointer() {
    arrays a = begin(64);
    RUN(copy, 1, 64, 0, a.stream, a.y, a.host, 64);
}

void used_after_free() {
    arrays a = begin(64);
    OK(cudaFree(a.x));
    RUN(copy, 1, 64, 0, a.stream, a.y, a.x, 64);
    finish(&a);
}

__device__ float deep(int n, volatile float *from) {
    volatile float local[512];
    for (int i = 0; i < 512; i++)
        local[i] = (float)n;
    return n == 0 ? 0.0f : deep(n - 1, local) + local[n % 512] + from[0];
}

__global__ void recursion(float *y) {
    float one = 1;
    y[0] = deep(1000, &one);
}

// ---- launches ----------------------------------------------------------------------------------

void unchecked_failure() {
    cudaStream_t s = new_stream();
    float *y = new_device<float>(1);
    LAUNCH(add_index, 0, 1, 0, s, y);
    OK(cudaStreamSynchronize(s));
}

void unchecked_at_the_end() {
    static float *y = new_device<float>(1);
    LAUNCH(add_index, 1, 1, 0, new_stream(), y);
}

void default_stream() {
    float *y = new_device<float>(1);
    LAUNCH(add_index, 1, 1, 0, nullptr, y);
}

// ---- the list ----------------------------------------------------------------------------------

#define RIGHT(body)                                                                                \
    { #body, body, ends::well, nullptr, EACH_ORDER }
#define WRONG(name, body, message)                                                                 \
    { name, body, ends::aborted, message, LATEST }

const program programs[] = {
    RIGHT(copies),
    RIGHT(barriers_and_shuffles),
    RIGHT(shuffles),
    RIGHT(dynamic_shared_memory),
    RIGHT(warp_barriers),
    RIGHT(in_place_and_three_dimensions),
    RIGHT(bad_configurations),
    RIGHT(barriers_of_the_grid),
    RIGHT(recorded_barriers_of_the_grid),
    RIGHT(too_many_blocks),
    WRONG("not_cooperative", run_on_64<sync_in_some_threads>,
          "kernel KERNEL, block (0,0,0), thread (0,0,0): the grid's sync at "
          "test_cudasim_kernels.cpp"),
    WRONG("sync_in_some_threads", run_together<sync_in_some_threads>,
          "was not reached by all threads: 40 of 64 wait, and thread (40,0,0) has ended"),
    WRONG("sync_in_some_blocks", run_together<sync_in_some_blocks>,
          ", and block (2,0,0) has ended"),
    WRONG("syncs_at_two_places", run_together<syncs_at_two_places>,
          "kernel KERNEL: the grid's sync was not reached by all blocks: block (0,0,0) waits in "
          "the grid's sync at test_cudasim_kernels.cpp"),
    WRONG("sync_of_block_for_grid", run_together<sync_of_block_for_grid>,
          "thread (32,0,0): it has come to __syncthreads at test_cudasim_kernels.cpp"),
    WRONG("no_sync_of_grid", run_together<no_sync_of_grid>,
          "depends on the order of blocks and threads"),
    WRONG("race_after_sync", run_together<race_after_sync>,
          "thread (32,0,0): race: it read values[31], which thread (31,0,0) has written, and no "
          "barrier lies between"),
    WRONG("memory_of_other_block", run_together<memory_of_other_block>,
          "block (1,0,0), thread (0,0,0) read values[0] before any thread of the block wrote it"),
    WRONG("lowered_limit", lowered_limit,
          "kernel turn is replayed with 65536 bytes of dynamic shared memory"),
    WRONG("no_barrier", run_on_64<no_barrier>,
          "read values[32] before any thread of the block wrote it"),
    WRONG("no_barrier_in_warp", run_on_64<no_barrier_in_warp>,
          "thread (31,0,0): race: it read values[30], which thread (30,0,0) has written, and no "
          "barrier lies between"),
    WRONG("write_after_read", run_on_64<write_after_read>,
          "thread (20,0,0): race: it wrote values[5], which thread (63,0,0) has read, and no "
          "barrier lies between"),
    WRONG("write_after_read_in_warp", run_on_64<write_after_read_in_warp>,
          "thread (20,0,0): race: it wrote values[5], which thread (0,0,0) has read, and no "
          "barrier lies between"),
    WRONG(
        "read_after_write", run_on_64<read_after_write>,
        "race: it read values[63], which thread (63,0,0) has written, and no barrier lies between"),
    WRONG("same_value", run_on_64<same_value>,
          "thread (1,0,0): race: it wrote values[0], which thread (0,0,0) has written"),
    WRONG("skipped_barrier", run_on_64<skipped_barrier>,
          "was not reached by all threads: 40 of 64 wait, and thread (40,0,0) has ended"),
    WRONG("two_barriers", run_on_64<two_barriers>,
          "thread (40,0,0): it has come to __syncthreads at test_cudasim"),
    WRONG("skipped_shuffle", run_on_64<skipped_shuffle>,
          "lanes 0xffffff7f of warp 0 wait, and thread (7,0,0) has ended"),
    WRONG("asks_outside_of_mask", run_on_64<asks_outside_of_mask>,
          "lane 4 asks lane 8, which is not in the mask 0x000000ff"),
    WRONG("not_in_its_mask", run_on_64<not_in_its_mask>, "which does not name the lane itself"),
    WRONG("different_masks", run_on_64<different_masks>, "was not reached by all of its lanes"),
    WRONG("half_a_warp", half_a_warp, "names lanes that the block does not have"),
    WRONG("shared_memory_of_the_last_block", shared_memory_of_the_last_block,
          "kernel unwritten, block (1,0,0), thread (0,0,0) read values[0] before any thread of the "
          "block wrote it"),
    WRONG("beyond_shared", run_on_64<beyond_shared>,
          "wrote values[63], and the array has 63 elements"),
    WRONG("below_shared", run_on_64<below_shared>,
          "wrote values[-1], and the array has 64 elements"),
    WRONG("too_much_shared", run_on_64<too_much_shared>,
          "49160 bytes of static and 0 bytes of dynamic shared memory"),
    WRONG("write_behind_the_margin", (run_on_tail<tail_write, 128>),
          "block (1,0,0), thread (0,0,0) wrote 0 bytes after the end of device allocation 2 (512 "
          "bytes)"),
    WRONG("write_into_the_margin", (run_on_tail<tail_write, 100>),
          "wrote 0 bytes after the end of device allocation 2 (400 bytes)"),
    WRONG("read_behind_the_margin", (run_on_tail<tail_read, 128>),
          "thread (127,0,0) read 0 bytes after the end of device allocation 1 (512 bytes)"),
    WRONG("read_from_the_margin", (run_on_tail<tail_read, 100>),
          "or on what lies outside of its memory: device allocation 2 (400 bytes), offset 396"),
    WRONG("misaligned", misaligned,
          "kernel read_misaligned, block (0,0,0), thread (0,0,0): misaligned access"),
    WRONG("global_race", run_on_64<global_race>,
          "depends on the order of blocks and threads, or on what lies outside of its memory: "
          "device allocation 2 (256 "
          "bytes), offset 2: 63 (0x7c), in reverse order 0 (0x00)"),
    WRONG("race_of_blocks", race_of_blocks, "depends on the order of blocks and threads"),
    WRONG("race_for_a_place", race_for_a_place,
          "thread (3,0,0): in reverse order it wrote to offset 12292 of device allocation 2"),
    WRONG("null_pointer", null_pointer, "read address (nil), which is no device memory"),
    WRONG("host_pointer", host_pointer, "kernel copy: argument 1 is the address of host memory"),
    WRONG("used_after_free", used_after_free,
          "offset 0 of device allocation 1 (256 bytes), which was freed"),
    WRONG("recursion", run_on_64<recursion>, "which is no device memory"),
    WRONG(
        "unchecked_failure", unchecked_failure,
        "the launch of kernel add_index failed, and the program went on to cudaStreamSynchronize"),
    WRONG("unchecked_at_the_end", unchecked_at_the_end,
          "might have failed, and the program went on to its end"),
    WRONG("default_stream", default_stream,
          "the launch of kernel add_index uses the default stream"),
};

} // namespace

int main() {
    return run_programs("the stand-in's kernels", programs);
}
