// capture.cpp: capture of streams. Their work becomes the nodes of a graph, with an edge wherever
// streams and events order two of them ("CUDA Graphs", "Stream Capture", of the CUDA C++
// Programming Guide).

#include "runtime.hpp"

#include <algorithm>

namespace cudasim {
namespace {

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

cudaError_t append_node(cudaStream_t stream, operation op) {
    capture_state *capture = stream->capture.get();
    if (!capture->valid)
        return cudaErrorStreamCaptureInvalidated;
    capture->nodes.push_back({std::move(op), std::move(stream->reached), stream->branch});
    stream->reached = {capture->nodes.size() - 1};
    return cudaSuccess;
}

static cudaError_t break_captures(cudaStream_t stream, const mark &awaited, cudaError_t error) {
    for (capture_state *each : {stream->capture.get(), awaited.capture.get()})
        if (each)
            each->valid = false;
    return error;
}

cudaError_t wait_in_capture(cudaStream_t stream, const mark &awaited) {
    if (!awaited.capture)
        return break_captures(stream, awaited, cudaErrorStreamCaptureIsolation);
    if (awaited.capture->ended)
        return break_captures(stream, awaited, cudaErrorCapturedEvent);
    if (stream->capture && stream->capture != awaited.capture)
        return break_captures(stream, awaited, cudaErrorStreamCaptureMerge);
    if (!awaited.capture->valid)
        return cudaErrorStreamCaptureInvalidated;
    if (!stream->capture) {
        stream->capture = awaited.capture;
        stream->branch = awaited.capture->branches++;
    }
    for (size_t node : awaited.nodes)
        if (std::find(stream->reached.begin(), stream->reached.end(), node) ==
            stream->reached.end())
            stream->reached.push_back(node);
    return cudaSuccess;
}

// Whether the stream waits for every node.
static bool joined(cudaStream_t origin) {
    const std::vector<node> &nodes = origin->capture->nodes;
    std::vector<bool> waited(nodes.size());
    for (size_t node : origin->reached)
        waited[node] = true;
    for (size_t i = nodes.size(); i-- > 0;)
        for (size_t node : nodes[i].after)
            if (waited[i])
                waited[node] = true;
    return std::find(waited.begin(), waited.end(), false) == waited.end();
}

static void release_streams(const std::shared_ptr<capture_state> &capture) {
    capture->ended = true;
    for (cudaStream_t stream : all_streams())
        if (stream->capture == capture) {
            stream->capture.reset();
            stream->reached.clear();
        }
}

} // namespace cudasim

using namespace cudasim;

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
    stream->capture =
        std::make_shared<capture_state>(capture_state{mode, std::this_thread::get_id(), stream});
    stream->branch = 0;
    return call.end(cudaSuccess);
}

// An error at the test's request still ends the capture, as an invalid one: otherwise the streams
// would be unusable.
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    api_call call("cudaStreamEndCapture");
    need_stream(stream, "cudaStreamEndCapture");
    *graph = nullptr;
    std::shared_ptr<capture_state> capture = stream->capture;
    if (!capture)
        return call.end(cudaErrorIllegalState);
    if (capture->origin != stream) {
        capture->valid = false;
        return call.end(cudaErrorStreamCaptureUnmatched);
    }
    if (capture->mode != cudaStreamCaptureModeRelaxed &&
        capture->thread != std::this_thread::get_id()) {
        capture->valid = false;
        return call.end(cudaErrorStreamCaptureWrongThread);
    }
    bool all_joined = joined(stream);
    release_streams(capture);
    if (call.refused() != cudaSuccess || !capture->valid)
        return call.end(cudaErrorStreamCaptureInvalidated);
    if (!all_joined)
        return call.end(cudaErrorStreamCaptureUnjoined);
    the_counts().allocations++;
    *graph = make_graph(capture.get());
    return call.end(cudaSuccess);
}
