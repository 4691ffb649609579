// capture.cpp: capture of streams into graphs, and launch of graphs. A graph of the stand-in is the
// work of one stream, in order.

#include "runtime.hpp"

#include <algorithm>

struct CUgraph_st {
    long number;
    std::vector<cudasim::operation> operations;
};

struct CUgraphExec_st {
    long number;
    std::vector<cudasim::operation> operations;
};

namespace cudasim {
namespace {

struct capture_store {
    std::vector<cudaGraph_t> graphs;
    std::vector<cudaGraphExec_t> execs;
    long made = 0;
    unsigned long captures = 0;
};

capture_store &the() {
    static capture_store *state = new capture_store; // outlives every atexit handler
    return *state;
}

// Whether a capture forbids calls of this thread that might wait ("cudaStreamCaptureMode" of the
// CUDA Runtime API).
bool forbids(const capture_state &capture) {
    switch (capture.mode) {
    case cudaStreamCaptureModeGlobal:
        return true;
    case cudaStreamCaptureModeThreadLocal:
        return capture.thread == std::this_thread::get_id();
    case cudaStreamCaptureModeRelaxed:
        return false;
    }
    return true;
}

cudaError_t refuse(bool whatever_the_mode) {
    cudaError_t error = cudaSuccess;
    for (cudaStream_t stream : all_streams())
        if (stream->capture && (whatever_the_mode || forbids(*stream->capture))) {
            stream->capture->valid = false;
            error = cudaErrorStreamCaptureUnsupported;
        }
    return error;
}

template <class T> void remove_from(std::vector<T> *all, T one, const char *call) {
    auto found = std::find(all->begin(), all->end(), one);
    if (found == all->end())
        fail("%s: the graph does not exist (any more)", call);
    all->erase(found);
    delete one;
}

void need_exec(cudaGraphExec_t exec, const char *call) {
    if (std::find(the().execs.begin(), the().execs.end(), exec) == the().execs.end())
        fail("%s: the executable graph does not exist (any more)", call);
}

} // namespace

cudaError_t refused_by_capture() {
    return refuse(false);
}

cudaError_t refused_by_any_capture() {
    return refuse(true);
}

cudaError_t refused_by_capture_of(cudaStream_t stream) {
    if (!stream->capture)
        return refuse(false);
    stream->capture->valid = false;
    return cudaErrorStreamCaptureUnsupported;
}

void report_leaked_graphs(std::vector<std::string> *lines) {
    for (cudaGraph_t graph : the().graphs)
        lines->push_back("graph " + std::to_string(graph->number));
    for (cudaGraphExec_t exec : the().execs)
        lines->push_back("executable graph " + std::to_string(exec->number));
}

} // namespace cudasim

using namespace cudasim;

// ---- capture -----------------------------------------------------------------------------------

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status) {
    api_call call("cudaStreamIsCapturing");
    need_stream(stream, "cudaStreamIsCapturing");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    *status = !stream->capture         ? cudaStreamCaptureStatusNone
              : stream->capture->valid ? cudaStreamCaptureStatusActive
                                       : cudaStreamCaptureStatusInvalidated;
    return call.end(cudaSuccess);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode) {
    api_call call("cudaStreamBeginCapture");
    need_stream(stream, "cudaStreamBeginCapture");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    if (stream->capture)
        return call.end(cudaErrorIllegalState);
    stream->capture.reset(
        new capture_state{++the().captures, mode, true, std::this_thread::get_id(), {}});
    return call.end(cudaSuccess);
}

// An error at the test's request still ends the capture, as an invalid one: otherwise the stream
// would be unusable.
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    api_call call("cudaStreamEndCapture");
    need_stream(stream, "cudaStreamEndCapture");
    *graph = nullptr;
    if (!stream->capture)
        return call.end(cudaErrorIllegalState);
    if (stream->capture->mode != cudaStreamCaptureModeRelaxed &&
        stream->capture->thread != std::this_thread::get_id()) {
        stream->capture->valid = false;
        return call.end(cudaErrorStreamCaptureWrongThread);
    }
    std::unique_ptr<capture_state> capture = std::move(stream->capture);
    if (call.refused() != cudaSuccess || !capture->valid)
        return call.end(cudaErrorStreamCaptureInvalidated);
    the_counts().allocations++;
    *graph = new CUgraph_st{++the().made, std::move(capture->operations)};
    the().graphs.push_back(*graph);
    return call.end(cudaSuccess);
}

// ---- graphs ------------------------------------------------------------------------------------

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    api_call call("cudaGraphInstantiate");
    the_counts().allocations++;
    if (std::find(the().graphs.begin(), the().graphs.end(), graph) == the().graphs.end())
        fail("cudaGraphInstantiate: the graph does not exist (any more)");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    *exec = new CUgraphExec_st{++the().made, graph->operations};
    the().execs.push_back(*exec);
    return call.end(cudaSuccess);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream) {
    api_call call("cudaGraphUpload");
    need_stream(stream, "cudaGraphUpload");
    need_exec(exec, "cudaGraphUpload");
    return call.end(cudaSuccess);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    api_call call("cudaGraphLaunch");
    need_stream(stream, "cudaGraphLaunch");
    need_exec(exec, "cudaGraphLaunch");
    if (stream->capture)
        fail(
            "cudaGraphLaunch into a stream that is captured: the stand-in has no graphs in graphs");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    the_counts().graph_launches++;
    for (const operation &op : exec->operations)
        issue(stream, op);
    return call.end(cudaSuccess);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    api_call call("cudaGraphDestroy");
    the_counts().allocations++;
    remove_from(&the().graphs, graph, "cudaGraphDestroy");
    return call.end(cudaSuccess);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    api_call call("cudaGraphExecDestroy");
    the_counts().allocations++;
    remove_from(&the().execs, exec, "cudaGraphExecDestroy");
    return call.end(cudaSuccess);
}
