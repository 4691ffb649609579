// test_cudasim_streams.cpp: streams, events, copies, graphs, errors and leaks on the stand-in for
// CUDA: correct programs pass in each order of the streams, and each wrong one fails with a message
// that names the fault.

#include "program.hpp"

#include <thread>

namespace {

constexpr int N = 1000;
constexpr size_t BYTES = N * sizeof(float);

__global__ void add(float *y, const float *x, float value) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < N)
        y[i] += x[i] + value;
}

// As in a training step: a stream that computes and one that copies, and an input that passes
// through pinned memory.
struct step {
    cudaStream_t compute, copy;
    cudaEvent_t copied, computed;
    float *x, *y, *pinned, *result;
};

step begin() {
    step s = {new_stream(),         new_stream(),         new_event(),
              new_event(),          new_device<float>(N), new_device<float>(N),
              new_pinned<float>(N), new_pinned<float>(N)};
    OK(cudaMemsetAsync(s.x, 0, BYTES, s.compute));
    OK(cudaMemsetAsync(s.y, 0, BYTES, s.compute));
    OK(cudaStreamSynchronize(s.compute));
    return s;
}

void end(const step *s) {
    OK(cudaFree(s->x));
    OK(cudaFree(s->y));
    OK(cudaFreeHost(s->pinned));
    OK(cudaFreeHost(s->result));
    OK(cudaEventDestroy(s->copied));
    OK(cudaEventDestroy(s->computed));
    OK(cudaStreamDestroy(s->compute));
    OK(cudaStreamDestroy(s->copy));
}

void fill(float *values, float value) {
    for (int i = 0; i < N; i++)
        values[i] = value;
}

void upload(const step *s, cudaStream_t stream) {
    OK(cudaMemcpyAsync(s->x, s->pinned, BYTES, cudaMemcpyHostToDevice, stream));
}

void download(const step *s, cudaStream_t stream) {
    OK(cudaMemcpyAsync(s->result, s->y, BYTES, cudaMemcpyDeviceToHost, stream));
}

void launch_add(const step *s, float value) {
    RUN(add, (N + 255) / 256, 256, 0, s->compute, s->y, s->x, value);
}

// ---- streams and events ------------------------------------------------------------------------

void pipeline(bool wait_for_copy, bool wait_for_compute) {
    step s = begin();
    for (int i = 1; i <= 3; i++) {
        fill(s.pinned, (float)i);
        if (wait_for_compute)
            OK(cudaStreamWaitEvent(s.copy, s.computed, 0));
        upload(&s, s.copy);
        OK(cudaEventRecord(s.copied, s.copy));
        if (wait_for_copy)
            OK(cudaStreamWaitEvent(s.compute, s.copied, 0));
        launch_add(&s, 0);
        OK(cudaEventRecord(s.computed, s.compute));
        OK(cudaEventSynchronize(s.copied));
    }
    download(&s, s.compute);
    OK(cudaStreamSynchronize(s.compute));
    for (int i = 0; i < N; i++)
        NEED(s.result[i] == 1 + 2 + 3);
    end(&s);
}

void events_order_streams() {
    pipeline(true, true);
}

void compute_does_not_wait() {
    pipeline(false, true);
}

void copy_does_not_wait() {
    pipeline(true, false);
}

// The last record before the wait counts.
void wait_is_for_the_last_record() {
    step s = begin();
    OK(cudaStreamWaitEvent(s.compute, s.copied, 0)); // never recorded
    fill(s.pinned, 1);
    upload(&s, s.copy);
    OK(cudaEventRecord(s.copied, s.copy));
    OK(cudaStreamWaitEvent(s.compute, s.copied, 0));
    launch_add(&s, 0);
    OK(cudaEventRecord(s.copied, s.compute));
    OK(cudaEventSynchronize(s.copied));
    OK(cudaMemcpy(s.result, s.y, BYTES, cudaMemcpyDeviceToHost));
    NEED(s.result[N - 1] == 1);
    end(&s);
}

void asking_comes_to_an_end() {
    step s = begin();
    launch_add(&s, 1);
    launch_add(&s, 1);
    OK(cudaEventRecord(s.computed, s.compute));
    for (int i = 0;; i++) {
        cudaError_t error = cudaEventQuery(s.computed);
        if (error == cudaSuccess)
            break;
        NEED(error == cudaErrorNotReady && cudaGetLastError() == cudaErrorNotReady && i < 10);
    }
    end(&s);
}

void time_between_events() {
    step s = begin();
    cudaEvent_t from, to;
    float ms = -1;
    OK(cudaEventCreateWithFlags(&from, cudaEventDefault));
    OK(cudaEventCreateWithFlags(&to, cudaEventDefault));
    OK(cudaEventRecord(from, s.compute));
    launch_add(&s, 1);
    OK(cudaEventRecord(to, s.compute));
    OK(cudaDeviceSynchronize());
    OK(cudaEventElapsedTime(&ms, from, to));
    NEED(ms > 0 && ms < 10000);
    NEED(cudaEventElapsedTime(&ms, from, s.copied) == cudaErrorInvalidResourceHandle);
    OK(cudaEventDestroy(from));
    OK(cudaEventDestroy(to));
    end(&s);
}

// A blocking copy does not wait for streams that are not blocking.
void blocking_copy_is_no_barrier() {
    step s = begin();
    launch_add(&s, 1);
    OK(cudaMemcpy(s.result, s.y, BYTES, cudaMemcpyDeviceToHost));
    NEED(s.result[0] == 1);
}

void destroyed_stream() {
    step s = begin();
    OK(cudaStreamDestroy(s.copy));
    upload(&s, s.copy);
}

void copy_on_default_stream() {
    step s = begin();
    upload(&s, nullptr);
}

// ---- the host's side of copies -----------------------------------------------------------------

void pinned_memory_reused() {
    step s = begin();
    fill(s.pinned, 1);
    upload(&s, s.copy);
    fill(s.pinned, 2);
    OK(cudaStreamSynchronize(s.copy));
    end(&s);
}

void pinned_memory_freed() {
    step s = begin();
    upload(&s, s.copy);
    OK(cudaFreeHost(s.pinned));
}

void pinned_memory_overrun() {
    step s = begin();
    s.pinned[N] = 1;
    end(&s);
}

void result_read_too_early() {
    step s = begin();
    download(&s, s.compute);
    NEED(s.result[0] == 0);
}

void pageable_copy() {
    step s = begin();
    static float here[N];
    OK(cudaMemcpyAsync(s.x, here, BYTES, cudaMemcpyHostToDevice, s.copy));
}

void copy_beyond_the_end() {
    step s = begin();
    OK(cudaMemcpyAsync(s.x + 1, s.pinned, BYTES, cudaMemcpyHostToDevice, s.copy));
}

void wrong_direction() {
    step s = begin();
    OK(cudaMemcpyAsync(s.x, s.pinned, BYTES, cudaMemcpyDeviceToHost, s.copy));
}

void host_reads_device_memory() {
    step s = begin();
    volatile float *x = s.x;
    s.pinned[0] = x[7];
}

void host_writes_freed_memory() {
    step s = begin();
    OK(cudaFree(s.x));
    volatile float *x = s.x;
    x[7] = 1;
}

void host_fault_of_its_own() {
    step s = begin();
    end(&s);
    volatile float *volatile nowhere = nullptr;
    *nowhere = 1;
}

void freed_twice() {
    step s = begin();
    OK(cudaFree(s.x));
    OK(cudaFree(s.x));
}

// ---- graphs ------------------------------------------------------------------------------------

cudaGraphExec_t capture_adds(const step *s) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    enum cudaStreamCaptureStatus status;
    OK(cudaStreamBeginCapture(s->compute, cudaStreamCaptureModeThreadLocal));
    OK(cudaStreamIsCapturing(s->compute, &status));
    NEED(status == cudaStreamCaptureStatusActive);
    launch_add(s, 1);
    OK(cudaEventRecord(s->computed, s->compute));
    OK(cudaStreamWaitEvent(s->compute, s->computed, 0));
    launch_add(s, 2);
    OK(cudaStreamEndCapture(s->compute, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphDestroy(graph));
    return exec;
}

void graphs_replay() {
    step s = begin();
    cudaGraphExec_t exec = capture_adds(&s);
    cudasim_reset_counts();
    fill(s.pinned, 10);
    upload(&s, s.compute);
    for (int i = 0; i < 3; i++)
        OK(cudaGraphLaunch(exec, s.compute));
    download(&s, s.compute);
    OK(cudaStreamSynchronize(s.compute));
    NEED(s.result[0] == 3 * 23 && s.result[N - 1] == 3 * 23);
    struct cudasim_counts c = cudasim_counts();
    NEED(c.graph_launches == 3 && c.launches == 6 && c.copies == 2 && c.synchronizations == 1 &&
         c.allocations == 0);
    OK(cudaGraphExecDestroy(exec));
    end(&s);
}

void destroyed_graph() {
    step s = begin();
    cudaGraphExec_t exec = capture_adds(&s);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphLaunch(exec, s.compute));
}

// The graph keeps addresses: freed ones are a mistake.
void graph_of_freed_memory() {
    step s = begin();
    cudaGraphExec_t exec = capture_adds(&s);
    OK(cudaFree(s.x));
    OK(cudaGraphLaunch(exec, s.compute));
    OK(cudaStreamSynchronize(s.compute));
}

// Each call that a capture forbids is refused and breaks the capture.
template <class F> void expect_broken(F forbidden, cudaError_t expected) {
    step s = begin();
    cudaGraph_t graph;
    upload(&s, s.copy);
    OK(cudaEventRecord(s.copied, s.copy));
    OK(cudaStreamBeginCapture(s.compute, cudaStreamCaptureModeGlobal));
    launch_add(&s, 1);
    OK(cudaEventRecord(s.computed, s.compute));
    NEED(forbidden(&s) == expected);
    NEED(cudaGetLastError() == expected);
    LAUNCH(add, 1, 256, 0, s.compute, s.y, s.x, 1.0f);
    NEED(cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
    NEED(cudaStreamEndCapture(s.compute, &graph) == cudaErrorStreamCaptureInvalidated && !graph);
    NEED(cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
    launch_add(&s, 1); // the stream works again
    end(&s);
}

void forbidden_in_capture() {
    const cudaError_t unsupported = cudaErrorStreamCaptureUnsupported;
    expect_broken(
        [](step *) {
            float *p;
            return cudaMalloc(&p, 4);
        },
        unsupported);
    expect_broken(
        [](step *) {
            float *p;
            return cudaHostAlloc(&p, 4, cudaHostAllocDefault);
        },
        unsupported);
    expect_broken([](step *s) { return cudaFree(s->x); }, unsupported);
    expect_broken([](step *s) { return cudaFreeHost(s->result); }, unsupported);
    expect_broken([](step *s) { return cudaStreamSynchronize(s->compute); }, unsupported);
    expect_broken([](step *) { return cudaDeviceSynchronize(); }, unsupported);
    expect_broken([](step *s) { return cudaMemcpy(s->x, s->y, 4, cudaMemcpyDeviceToDevice); },
                  unsupported);
    expect_broken([](step *s) { return cudaEventSynchronize(s->computed); },
                  cudaErrorCapturedEvent);
    expect_broken([](step *s) { return cudaEventQuery(s->computed); }, cudaErrorCapturedEvent);
    expect_broken([](step *s) { return cudaStreamWaitEvent(s->compute, s->copied, 0); },
                  cudaErrorStreamCaptureIsolation);
}

void capture_never_ended() {
    step s = begin();
    OK(cudaStreamBeginCapture(s.compute, cudaStreamCaptureModeRelaxed));
    OK(cudaStreamDestroy(s.compute));
}

// ---- graphs of several streams -----------------------------------------------------------------

// y = x + value. Unlike add it forgets what was there.
__global__ void assign(float *y, const float *x, float value) {
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < N)
        y[i] = x[i] + value;
}

// A step with a second branch, and with more arrays of zeros.
struct branches {
    step s;
    cudaStream_t side, third;
    cudaEvent_t forked, joined;
    float *z, *w;
};

branches begin_branches() {
    branches b = {begin(),     new_stream(),         new_stream(),        new_event(),
                  new_event(), new_device<float>(N), new_device<float>(N)};
    OK(cudaMemsetAsync(b.z, 0, BYTES, b.s.compute));
    OK(cudaMemsetAsync(b.w, 0, BYTES, b.s.compute));
    OK(cudaStreamSynchronize(b.s.compute));
    return b;
}

void end_branches(const branches *b) {
    OK(cudaFree(b->z));
    OK(cudaFree(b->w));
    OK(cudaEventDestroy(b->forked));
    OK(cudaEventDestroy(b->joined));
    OK(cudaStreamDestroy(b->side));
    OK(cudaStreamDestroy(b->third));
    end(&b->s);
}

void add_on(cudaStream_t stream, float *y, const float *x, float value) {
    RUN(add, (N + 255) / 256, 256, 0, stream, y, x, value);
}

void assign_on(cudaStream_t stream, float *y, const float *x, float value) {
    RUN(assign, (N + 255) / 256, 256, 0, stream, y, x, value);
}

void begin_capture(const branches *b) {
    OK(cudaStreamBeginCapture(b->s.compute, cudaStreamCaptureModeThreadLocal));
}

cudaGraphExec_t end_capture(const branches *b) {
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    OK(cudaStreamEndCapture(b->s.compute, &graph));
    OK(cudaGraphInstantiate(&exec, graph, 0));
    OK(cudaGraphDestroy(graph));
    return exec;
}

// `to` waits for what is in `from` now.
void order(cudaEvent_t event, cudaStream_t from, cudaStream_t to) {
    OK(cudaEventRecord(event, from));
    OK(cudaStreamWaitEvent(to, event, 0));
}

bool is_captured(cudaStream_t stream) {
    enum cudaStreamCaptureStatus status;
    OK(cudaStreamIsCapturing(stream, &status));
    return status == cudaStreamCaptureStatusActive;
}

// Launches twice, and reads an array after it.
float launch_twice(const branches *b, cudaGraphExec_t exec, const float *array) {
    for (int i = 0; i < 2; i++)
        OK(cudaGraphLaunch(exec, b->s.compute));
    OK(cudaMemcpyAsync(b->s.result, array, BYTES, cudaMemcpyDeviceToHost, b->s.compute));
    OK(cudaStreamSynchronize(b->s.compute));
    OK(cudaGraphExecDestroy(exec));
    return b->s.result[N - 1];
}

enum fault { NONE, EARLY_FORK, LATE_JOIN };

void fork_and_join(fault f) {
    branches b = begin_branches();
    const step *s = &b.s;
    begin_capture(&b);
    NEED(is_captured(s->compute) && !is_captured(b.side));
    if (f == EARLY_FORK)
        order(b.forked, s->compute, b.side);
    add_on(s->compute, s->x, s->y, 1);
    if (f != EARLY_FORK)
        order(b.forked, s->compute, b.side);
    NEED(is_captured(b.side) && !is_captured(b.third));
    add_on(b.side, b.z, s->x, 1);
    add_on(s->compute, s->y, s->x, 3);
    if (f != LATE_JOIN)
        order(b.joined, b.side, s->compute);
    add_on(s->compute, s->y, b.z, 0);
    if (f == LATE_JOIN)
        order(b.joined, b.side, s->compute);
    cudaGraphExec_t exec = end_capture(&b);
    NEED(!is_captured(s->compute) && !is_captured(b.side));
    cudasim_reset_counts();
    NEED(launch_twice(&b, exec, s->y) == 28);
    struct cudasim_counts c = cudasim_counts();
    NEED(c.graph_launches == 2 && c.launches == 8 && c.copies == 1);
    if (f == NONE)
        NEED(c.graph_nodes == 4 && c.graph_chain == 3);
    add_on(b.side, b.z, s->x, 1); // an ordinary stream again
    end_branches(&b);
}

void two_streams_captured() {
    fork_and_join(NONE);
}

void fork_too_early() {
    fork_and_join(EARLY_FORK);
}

void join_too_late() {
    fork_and_join(LATE_JOIN);
}

// Without the repeated runs, a missing event is a wrong result in one of the orders.
void fork_too_early_run_once() {
    cudasim_set_reverse(0);
    fork_and_join(EARLY_FORK);
}

void join_too_late_run_once() {
    cudasim_set_reverse(0);
    fork_and_join(LATE_JOIN);
}

// The side stream forks once more; the third joins the first. Work after the launch waits for all
// of them.
void nested(bool third_waits) {
    branches b = begin_branches();
    const step *s = &b.s;
    begin_capture(&b);
    order(b.forked, s->compute, b.side);
    if (!third_waits)
        order(b.forked, b.side, b.third);
    add_on(b.side, b.z, s->x, 1);
    if (third_waits)
        order(b.forked, b.side, b.third);
    add_on(b.side, s->y, b.z, 2);
    add_on(b.third, b.w, b.z, 4);
    order(b.joined, b.side, s->compute);
    order(b.joined, b.third, s->compute);
    NEED(is_captured(b.third));
    cudaGraphExec_t exec = end_capture(&b);
    struct cudasim_counts c = cudasim_counts();
    NEED(!third_waits || (c.graph_nodes == 3 && c.graph_chain == 2));
    NEED(launch_twice(&b, exec, b.w) == (1 + 4) + (2 + 4));
    OK(cudaMemcpy(s->result, s->y, BYTES, cudaMemcpyDeviceToHost));
    NEED(s->result[0] == (1 + 2) + (2 + 2));
    end_branches(&b);
}

void nested_forks() {
    nested(true);
}

void side_streams_race() {
    nested(false);
}

void side_streams_race_run_once() {
    cudasim_set_reverse(0);
    nested(false);
}

// The same streams fork and join again; a join of a branch without work is no node.
void forked_again_and_again() {
    branches b = begin_branches();
    const step *s = &b.s;
    begin_capture(&b);
    for (int i = 0; i < 3; i++) {
        order(b.forked, s->compute, b.side);
        add_on(b.side, b.z, s->x, 1);
        add_on(s->compute, s->y, s->x, 2);
        order(b.joined, b.side, s->compute);
        add_on(s->compute, s->x, b.z, 0);
    }
    order(b.forked, s->compute, b.side);
    order(b.joined, b.side, s->compute);
    cudaGraphExec_t exec = end_capture(&b);
    struct cudasim_counts c = cudasim_counts();
    NEED(c.graph_nodes == 9 && c.graph_chain == 6);
    NEED(launch_twice(&b, exec, s->y) == 2 * 6 + (0 + 1 + 4 + 12 + 33 + 88));
    end_branches(&b);
}

// Two branches pass different values through one array. Each pair of kernels is right; only
// together they are wrong.
void shared_scratch() {
    branches b = begin_branches();
    const step *s = &b.s;
    begin_capture(&b);
    order(b.forked, s->compute, b.side);
    assign_on(s->compute, b.w, s->x, 1);
    assign_on(b.side, b.w, s->x, 2);
    add_on(s->compute, s->y, b.w, 0);
    add_on(b.side, b.z, b.w, 0);
    order(b.joined, b.side, s->compute);
    NEED(launch_twice(&b, end_capture(&b), b.z) == 2 + 2);
    end_branches(&b);
}

void shared_scratch_run_once() {
    cudasim_set_reverse(0);
    shared_scratch();
}

// The missing event is one between early work of the first stream and late work of the second.
void late_on_the_side() {
    cudasim_set_reverse(0);
    branches b = begin_branches();
    const step *s = &b.s;
    begin_capture(&b);
    order(b.forked, s->compute, b.side);
    add_on(s->compute, s->x, s->y, 1);
    add_on(b.side, b.w, s->y, 1);
    add_on(b.side, b.z, s->x, 1);
    order(b.joined, b.side, s->compute);
    NEED(launch_twice(&b, end_capture(&b), b.z) == (1 + 1) + (2 + 1));
    end_branches(&b);
}

// Calls whose memory is known are compared before anything runs.
void branches_write_the_same() {
    branches b = begin_branches();
    begin_capture(&b);
    order(b.forked, b.s.compute, b.side);
    OK(cudaMemsetAsync(b.z, 0, BYTES, b.s.compute));
    OK(cudaMemcpyAsync(b.z + N - 1, b.w, sizeof(float), cudaMemcpyDeviceToDevice, b.side));
    order(b.joined, b.side, b.s.compute);
    (void)end_capture(&b);
}

void branches_of_copies() {
    branches b = begin_branches();
    begin_capture(&b);
    order(b.forked, b.s.compute, b.side);
    OK(cudaMemcpyAsync(b.z, b.w, BYTES / 2, cudaMemcpyDeviceToDevice, b.s.compute));
    OK(cudaMemcpyAsync(b.z + N / 2, b.w, BYTES / 2, cudaMemcpyDeviceToDevice, b.side));
    order(b.joined, b.side, b.s.compute);
    OK(cudaMemsetAsync(b.z, 0, BYTES, b.s.compute));
    OK(cudaMemsetAsync(b.w, 0, BYTES, b.s.compute)); // after both, through the one before
    NEED(launch_twice(&b, end_capture(&b), b.z) == 0);
    end_branches(&b);
}

// Begins a capture with work on both branches, ends it after `fault`, and needs this error.
template <class F> void expect_no_graph(F fault, cudaError_t expected) {
    branches b = begin_branches();
    cudaGraph_t graph;
    begin_capture(&b);
    add_on(b.s.compute, b.s.x, b.s.y, 1);
    order(b.forked, b.s.compute, b.side);
    add_on(b.side, b.z, b.s.x, 1);
    fault(&b);
    NEED(cudaStreamEndCapture(b.s.compute, &graph) == expected && !graph);
    NEED(cudaGetLastError() == expected);
    NEED(!is_captured(b.s.compute) && !is_captured(b.side));
    add_on(b.s.compute, b.s.y, b.s.x, 1);
    add_on(b.side, b.z, b.w, 1);
    end_branches(&b);
}

void branches_that_fail() {
    const cudaError_t invalidated = cudaErrorStreamCaptureInvalidated;
    expect_no_graph([](branches *) {}, cudaErrorStreamCaptureUnjoined);
    expect_no_graph(
        [](branches *b) { // joined too early
            order(b->joined, b->side, b->s.compute);
            add_on(b->side, b->z, b->s.x, 1);
        },
        cudaErrorStreamCaptureUnjoined);
    expect_no_graph(
        [](branches *b) { // joined to a stream that is not joined
            order(b->joined, b->side, b->third);
            add_on(b->third, b->w, b->s.x, 1);
        },
        cudaErrorStreamCaptureUnjoined);
    expect_no_graph(
        [](branches *b) {
            cudaGraph_t graph;
            NEED(cudaStreamEndCapture(b->side, &graph) == cudaErrorStreamCaptureUnmatched);
            NEED(!graph);
            LAUNCH(add, 1, 256, 0, b->side, b->z, b->s.x, 1.0f);
            NEED(cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
        },
        invalidated);
    expect_no_graph(
        [](branches *b) {
            cudaGraph_t graph;
            cudaError_t error = cudaSuccess;
            std::thread([&] { error = cudaStreamEndCapture(b->s.compute, &graph); }).join();
            NEED(error == cudaErrorStreamCaptureWrongThread && !graph);
        },
        invalidated);
    expect_no_graph(
        [](branches *b) {
            NEED(cudaStreamBeginCapture(b->side, cudaStreamCaptureModeThreadLocal) ==
                 cudaErrorIllegalState);
            NEED(cudaStreamSynchronize(b->side) == cudaErrorStreamCaptureUnsupported);
        },
        invalidated);
    expect_no_graph(
        [](branches *b) {
            OK(cudaEventRecord(b->s.copied, b->s.copy));
            NEED(cudaStreamWaitEvent(b->side, b->s.copied, 0) == cudaErrorStreamCaptureIsolation);
        },
        invalidated);
    expect_no_graph(
        [](branches *b) {
            cudaGraph_t graph;
            OK(cudaStreamBeginCapture(b->third, cudaStreamCaptureModeThreadLocal));
            NEED(cudaStreamWaitEvent(b->third, b->forked, 0) == cudaErrorStreamCaptureMerge);
            NEED(cudaStreamEndCapture(b->third, &graph) == cudaErrorStreamCaptureInvalidated);
        },
        invalidated);
}

// After its capture an event stands for nothing that could be waited for.
void captured_event_outside() {
    branches b = begin_branches();
    begin_capture(&b);
    order(b.forked, b.s.compute, b.side);
    OK(cudaGraphExecDestroy(end_capture(&b)));
    NEED(cudaStreamWaitEvent(b.side, b.forked, 0) == cudaErrorCapturedEvent);
    NEED(cudaEventSynchronize(b.forked) == cudaErrorCapturedEvent);
    NEED(cudaGetLastError() == cudaErrorCapturedEvent);
    order(b.forked, b.s.compute, b.side); // recorded again
    end_branches(&b);
}

// A second capture knows nothing of the first one's nodes.
void captured_twice() {
    branches b = begin_branches();
    for (int i = 0; i < 2; i++) {
        begin_capture(&b);
        order(b.forked, b.s.compute, b.side);
        add_on(b.s.compute, b.s.y, b.s.x, 1);
        add_on(b.side, b.z, b.s.x, 1);
        order(b.joined, b.side, b.s.compute);
        cudaGraphExec_t exec = end_capture(&b);
        NEED(cudasim_counts().graph_nodes == 2 && cudasim_counts().graph_chain == 1);
        NEED(launch_twice(&b, exec, b.z) == 2 * (float)(i + 1));
    }
    end_branches(&b);
}

// A copy reads what a kernel of the other branch writes.
void copied_too_early() {
    branches b = begin_branches();
    begin_capture(&b);
    order(b.forked, b.s.compute, b.side);
    add_on(b.s.compute, b.s.x, b.s.y, 1);
    OK(cudaMemcpyAsync(b.z, b.s.x, BYTES, cudaMemcpyDeviceToDevice, b.side));
    order(b.joined, b.side, b.s.compute);
    (void)launch_twice(&b, end_capture(&b), b.z);
}

void side_stream_destroyed_in_capture() {
    branches b = begin_branches();
    begin_capture(&b);
    order(b.forked, b.s.compute, b.side);
    OK(cudaStreamDestroy(b.side));
}

// ---- errors, leaks, the device -----------------------------------------------------------------

void injected_errors() {
    cudasim_fail_call(2, cudaErrorUnknown);
    cudaStream_t stream = new_stream();
    void *memory;
    NEED(cudaMalloc(&memory, 4) == cudaErrorUnknown);
    NEED(cudaPeekAtLastError() == cudaErrorUnknown && cudaGetLastError() == cudaErrorUnknown);
    OK(cudaGetLastError());
    OK(cudaMalloc(&memory, 4));
    cudasim_fail_call(1, cudaErrorInvalidValue);
    NEED(cudaFree(memory) == cudaErrorInvalidValue); // and it is freed anyway
    cudasim_fail_call(1, cudaErrorLaunchFailure);
    NEED(cudaStreamSynchronize(stream) == cudaErrorLaunchFailure);
    NEED(cudaGetLastError() == cudaErrorLaunchFailure &&
         cudaGetLastError() == cudaErrorLaunchFailure);
    NEED(cudaMalloc(&memory, 4) == cudaErrorLaunchFailure);
    NEED(strcmp(cudaGetErrorName(cudaErrorLaunchFailure), "cudaErrorLaunchFailure") == 0);
    NEED(strcmp(cudaGetErrorString(cudaErrorLaunchFailure), "unspecified launch failure") == 0);
}

void injected_launch_failure() {
    step s = begin();
    cudasim_fail_call(1, cudaErrorLaunchOutOfResources);
    LAUNCH(add, 1, 256, 0, s.compute, s.y, s.x, 1.0f);
    NEED(cudaGetLastError() == cudaErrorLaunchOutOfResources);
    launch_add(&s, 1);
    end(&s);
}

void limited_memory() {
    size_t left, total;
    void *a, *b;
    cudasim_set_memory(1 << 20);
    OK(cudaMalloc(&a, 1 << 19));
    OK(cudaMemGetInfo(&left, &total));
    NEED(left == 1 << 19 && total == 1 << 20);
    NEED(cudaMalloc(&b, (1 << 19) + 1) == cudaErrorMemoryAllocation && !b);
    NEED(cudaGetLastError() == cudaErrorMemoryAllocation);
    NEED((uintptr_t)a % 256 == 0);
    OK(cudaFree(a));
    OK(cudaFree(nullptr));
}

void devices() {
    int count = -1, version = -1, value = -1;
    struct cudaDeviceProp prop;
    OK(cudaGetDeviceCount(&count));
    OK(cudaGetDeviceProperties(&prop, 0));
    NEED(count == 1 && prop.major == 9 && prop.minor == 0 &&
         prop.sharedMemPerBlockOptin == 99 * 1024);
    OK(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0));
    NEED(value == 99 * 1024);
    NEED(cudaSetDevice(1) == cudaErrorInvalidDevice);
    setenv("CUDASIM_DRIVER", "old", 1);
    NEED(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver && count == 0);
    OK(cudaDriverGetVersion(&version));
    NEED(version < 13000);
    unsetenv("CUDASIM_DRIVER");
    setenv("CUDASIM_DEVICES", "0", 1);
    NEED(cudaGetDeviceCount(&count) == cudaErrorNoDevice && count == 0);
    setenv("CUDASIM_DEVICES", "2", 1);
    OK(cudaGetDeviceCount(&count));
    OK(cudaSetDevice(1));
    NEED(count == 2);
    setenv("CUDASIM_ARCH", "7.0", 1);
    struct cudaFuncAttributes attributes;
    NEED(cudaFuncGetAttributes(&attributes, add) == cudaErrorNoKernelImageForDevice);
}

void leaked_memory() {
    (void)new_device<float>(1);
}

void leaked_pinned_memory() {
    (void)new_pinned<float>(1);
}

void leaked_event() {
    (void)new_event();
}

void leaked_graph() {
    step s = begin();
    (void)capture_adds(&s);
    end(&s);
}

// ---- the list ----------------------------------------------------------------------------------

#define RIGHT(body)                                                                                \
    { #body, body, ends::well, nullptr, EACH_ORDER }
#define WRONG(body, message, orders)                                                               \
    { #body, body, ends::aborted, message, orders }
#define LEAKING(body, message)                                                                     \
    { #body, body, ends::leaking, "cudasim: leaked: " message, LATEST }

const program programs[] = {
    RIGHT(events_order_streams),
    RIGHT(wait_is_for_the_last_record),
    RIGHT(asking_comes_to_an_end),
    RIGHT(time_between_events),
    RIGHT(graphs_replay),
    RIGHT(forbidden_in_capture),
    RIGHT(two_streams_captured),
    RIGHT(nested_forks),
    RIGHT(forked_again_and_again),
    RIGHT(branches_of_copies),
    RIGHT(branches_that_fail),
    RIGHT(captured_event_outside),
    RIGHT(captured_twice),
    RIGHT(injected_errors),
    RIGHT(injected_launch_failure),
    RIGHT(limited_memory),
    RIGHT(devices),
    WRONG(compute_does_not_wait, "not so: s.result[i] == 1 + 2 + 3", ORDERS_ANY),
    WRONG(copy_does_not_wait, "not so: s.result[i] == 1 + 2 + 3", ORDERS_ANY),
    WRONG(blocking_copy_is_no_barrier, "not so: s.result[0] == 1", LATEST),
    WRONG(destroyed_stream, "cudaMemcpyAsync: the stream does not exist", EACH_ORDER),
    WRONG(copy_on_default_stream, "cudaMemcpyAsync uses the default stream", EACH_ORDER),
    WRONG(pinned_memory_reused,
          "the host changed the source of an upload before it ran: 4000 bytes", LATEST | OTHER),
    WRONG(pinned_memory_freed,
          "cudaFreeHost of pinned allocation 3 (4000 bytes), which a copy that has not run yet",
          LATEST | OTHER),
    WRONG(pinned_memory_overrun, "The host wrote 0 bytes after the end of pinned allocation 3",
          EACH_ORDER),
    WRONG(result_read_too_early, "not so: s.result[0] == 0", LATEST | OTHER),
    WRONG(pageable_copy, "the source is host memory that is not pinned", EACH_ORDER),
    WRONG(copy_beyond_the_end, "4000 bytes at offset 4 leave device allocation 1 (4000 bytes)",
          EACH_ORDER),
    WRONG(wrong_direction, "the wrong direction: kind is 2, and the addresses say 1", EACH_ORDER),
    WRONG(host_reads_device_memory, "the host read offset 28 of device allocation 1 (4000 bytes)",
          EACH_ORDER),
    WRONG(host_writes_freed_memory,
          "offset 28 of device allocation 1 (4000 bytes), which was freed", EACH_ORDER),
    {"host_fault_of_its_own", host_fault_of_its_own, ends::faulted, nullptr, LATEST},
    WRONG(freed_twice, "which is not (or no longer) the start of an allocation", EACH_ORDER),
    WRONG(destroyed_graph, "cudaGraphLaunch: the executable graph does not exist", EACH_ORDER),
    WRONG(graph_of_freed_memory, "offset 0 of device allocation 1 (4000 bytes), which was freed",
          EACH_ORDER),
    WRONG(capture_never_ended, "cudaStreamDestroy of a stream that is captured", EACH_ORDER),
    WRONG(fork_too_early,
          "cudasim: graph 2: the result depends on the order of its branches, so an event is "
          "missing; last written by kernel add: device allocation 5 (4000 bytes), offset",
          EACH_ORDER),
    WRONG(join_too_late, "the result depends on the order of its branches", EACH_ORDER),
    WRONG(side_streams_race, "the result depends on the order of its branches", EACH_ORDER),
    WRONG(shared_scratch, "the result depends on the order of its branches", EACH_ORDER),
    WRONG(fork_too_early_run_once, "not so: launch_twice(&b, exec, s->y) == 28", ORDERS_ANY),
    WRONG(join_too_late_run_once, "not so: launch_twice(&b, exec, s->y) == 28", ORDERS_ANY),
    WRONG(side_streams_race_run_once, "not so: launch_twice(&b, exec, b.w)", ORDERS_ANY),
    WRONG(shared_scratch_run_once, "not so: launch_twice(&b, end_capture(&b), b.z)", ORDERS_ANY),
    WRONG(copied_too_early, "last written by cudaMemcpyAsync: device allocation 5", EACH_ORDER),
    WRONG(late_on_the_side, "not so: launch_twice(&b, end_capture(&b), b.z)", OTHER),
    WRONG(branches_write_the_same,
          "cudaMemsetAsync (the target) and cudaMemcpyAsync (the target) are captured in streams "
          "that no event orders, and use the same memory: device allocation 5 (4000 bytes)",
          EACH_ORDER),
    WRONG(side_stream_destroyed_in_capture, "cudaStreamDestroy of a stream that is captured",
          EACH_ORDER),
    LEAKING(leaked_memory, "device allocation 1 (4 bytes)"),
    LEAKING(leaked_pinned_memory, "pinned allocation 1 (4 bytes)"),
    LEAKING(leaked_event, "event 1"),
    LEAKING(leaked_graph, "executable graph"),
};

} // namespace

int main() {
    return run_programs("the stand-in's streams", programs);
}
