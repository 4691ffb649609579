// stream.cpp: streams and events of the stand-in: queues of work, and the order in which they are
// emptied.

#include "runtime.hpp"

#include <algorithm>
#include <stdlib.h>
#include <string.h>
#include <time.h>

namespace cudasim {
namespace {

struct stream_state {
    std::vector<cudaStream_t> streams; // by age
    std::vector<cudaEvent_t> events;
    long made = 0;
    bool order_known = false;
    enum cudasim_order order = CUDASIM_LATEST;
};

stream_state &the() {
    static stream_state *state = new stream_state; // outlives every atexit handler
    return *state;
}

} // namespace

enum cudasim_order chosen_order() {
    if (!the().order_known) {
        const char *text = getenv("CUDASIM_ORDER");
        std::string name = text ? text : "latest";
        if (name != "latest" && name != "earliest" && name != "other")
            fail("CUDASIM_ORDER is %s: latest, earliest or other", name.c_str());
        the().order = name == "latest"     ? CUDASIM_LATEST
                      : name == "earliest" ? CUDASIM_EARLIEST
                                           : CUDASIM_OTHER;
        the().order_known = true;
    }
    return the().order;
}

namespace {

double seconds() {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void run_needed(cudaStream_t stream, const mark *goal);

void run_front(cudaStream_t stream) {
    operation op = std::move(stream->queue.front());
    stream->queue.pop_front();
    if (op.awaited)
        run_needed(op.awaited->stream, op.awaited.get());
    if (op.work)
        op.work();
    if (op.reached) {
        op.reached->done = true;
        op.reached->time = seconds();
    }
}

void run_needed(cudaStream_t stream, const mark *goal) {
    while (goal ? !goal->done : !stream->queue.empty())
        run_front(stream);
}

template <class T> bool contains(const std::vector<T> &all, T one) {
    return std::find(all.begin(), all.end(), one) != all.end();
}

cudaEvent_t need_event(cudaEvent_t event, const char *call) {
    if (!contains(the().events, event))
        fail("%s: the event does not exist (any more)", call);
    return event;
}

} // namespace

void need_stream(cudaStream_t stream, const char *call) {
    // 1 and 2 are cudaStreamLegacy and cudaStreamPerThread.
    if ((uintptr_t)stream <= 2)
        fail("%s uses the default stream", call);
    if (!contains(the().streams, stream))
        fail("%s: the stream does not exist (any more)", call);
}

bool stream_exists(cudaStream_t stream) {
    std::lock_guard<std::recursive_mutex> lock(the_lock());
    return contains(the().streams, stream);
}

bool capturing(cudaStream_t stream) {
    std::lock_guard<std::recursive_mutex> lock(the_lock());
    return contains(the().streams, stream) && stream->capture;
}

const std::vector<cudaStream_t> &all_streams() {
    return the().streams;
}

void report_leaked_streams(std::vector<std::string> *lines) {
    for (cudaStream_t stream : the().streams)
        lines->push_back("stream " + std::to_string(stream->number));
    for (cudaEvent_t event : the().events)
        lines->push_back("event " + std::to_string(event->number));
}

// ---- queues ------------------------------------------------------------------------------------

// `other` lets every stream run before the one that is waited for.
void run_until(cudaStream_t stream, const mark *goal) {
    if (chosen_order() == CUDASIM_OTHER)
        for (cudaStream_t each : the().streams)
            if (each != stream)
                run_needed(each, nullptr);
    run_needed(stream, goal);
}

void run_everything() {
    std::vector<cudaStream_t> streams = the().streams;
    if (chosen_order() == CUDASIM_OTHER)
        std::reverse(streams.begin(), streams.end());
    for (cudaStream_t stream : streams)
        run_needed(stream, nullptr);
}

void run_blocking_streams() {
    for (cudaStream_t stream : the().streams)
        if (stream->blocking)
            run_needed(stream, nullptr);
}

void issue(cudaStream_t stream, operation op) {
    the_counts().launches += op.launch;
    the_counts().copies += op.copy;
    if (op.issue)
        op.work = op.issue();
    stream->queue.push_back(std::move(op));
    if (chosen_order() == CUDASIM_EARLIEST)
        run_needed(stream, nullptr);
}

cudaError_t append(cudaStream_t stream, operation op) {
    if (!stream->capture) {
        issue(stream, std::move(op));
        return cudaSuccess;
    }
    return append_node(stream, std::move(op));
}

void enqueue(cudaStream_t stream, const char *name, std::vector<span> spans,
             std::function<void()> work) {
    std::lock_guard<std::recursive_mutex> lock(the_lock());
    need_stream(stream, name);
    operation op;
    op.launch = true;
    std::string kept = op.name = name;
    op.spans = std::move(spans);
    op.issue = [kept, work]() -> std::function<void()> {
        return [kept, work]() { run_work(kept, work); };
    };
    // In a broken capture the work is dropped, and the end of the capture fails.
    (void)append(stream, std::move(op));
}

bool uses_pinned(const allocation *a) {
    for (cudaStream_t stream : the().streams)
        for (const operation &op : stream->queue)
            for (const void *host : op.hosts)
                if (allocation_near(host) == a)
                    return true;
    return false;
}

} // namespace cudasim

using namespace cudasim;

void cudasim_set_order(enum cudasim_order order) {
    std::lock_guard<std::recursive_mutex> lock(the_lock());
    the().order = order;
    the().order_known = true;
    if (order == CUDASIM_EARLIEST)
        run_everything();
}

// ---- streams -----------------------------------------------------------------------------------

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags) {
    api_call call("cudaStreamCreateWithFlags");
    the_counts().allocations++;
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    if (flags != cudaStreamDefault && flags != cudaStreamNonBlocking)
        return call.end(cudaErrorInvalidValue);
    *stream = new CUstream_st;
    (*stream)->number = ++the().made;
    (*stream)->blocking = flags == cudaStreamDefault;
    the().streams.push_back(*stream);
    return call.end(cudaSuccess);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    api_call call("cudaStreamDestroy");
    the_counts().allocations++;
    need_stream(stream, "cudaStreamDestroy");
    if (stream->capture)
        fail("cudaStreamDestroy of a stream that is captured");
    run_needed(stream, nullptr); // a real stream lives until its work is done
    the().streams.erase(std::find(the().streams.begin(), the().streams.end(), stream));
    delete stream;
    return call.end(cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    api_call call("cudaStreamSynchronize");
    the_counts().synchronizations++;
    need_stream(stream, "cudaStreamSynchronize");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    cudaError_t error = refused_by_capture_of(stream);
    if (error == cudaSuccess)
        run_until(stream, nullptr);
    return call.end(error);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int) {
    api_call call("cudaStreamWaitEvent");
    need_stream(stream, "cudaStreamWaitEvent");
    need_event(event, "cudaStreamWaitEvent");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    const std::shared_ptr<mark> &recorded = event->recorded;
    if (!recorded)
        return call.end(cudaSuccess);
    if (stream->capture || recorded->capture)
        return call.end(wait_in_capture(stream, *recorded));
    operation op;
    op.awaited = recorded;
    return call.end(append(stream, std::move(op)));
}

// ---- events ------------------------------------------------------------------------------------

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags) {
    api_call call("cudaEventCreateWithFlags");
    the_counts().allocations++;
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    if (flags & ~(unsigned)(cudaEventBlockingSync | cudaEventDisableTiming))
        return call.end(cudaErrorInvalidValue);
    *event = new CUevent_st{++the().made, !(flags & cudaEventDisableTiming), nullptr};
    the().events.push_back(*event);
    return call.end(cudaSuccess);
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    api_call call("cudaEventDestroy");
    the_counts().allocations++;
    need_event(event, "cudaEventDestroy");
    the().events.erase(std::find(the().events.begin(), the().events.end(), event));
    delete event; // those that wait for it keep its mark
    return call.end(cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    api_call call("cudaEventRecord");
    need_stream(stream, "cudaEventRecord");
    need_event(event, "cudaEventRecord");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    if (stream->capture && !stream->capture->valid)
        return call.end(cudaErrorStreamCaptureInvalidated);
    auto here = std::make_shared<mark>(mark{stream, false, 0.0, stream->capture, stream->reached});
    event->recorded = here;
    if (stream->capture)
        return call.end(cudaSuccess);
    operation op;
    op.reached = here;
    return call.end(append(stream, std::move(op)));
}

static cudaError_t captured_event(cudaEvent_t event) {
    if (event->recorded && event->recorded->capture) {
        (void)refused_by_any_capture();
        return cudaErrorCapturedEvent;
    }
    return refused_by_capture();
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    api_call call("cudaEventSynchronize");
    the_counts().synchronizations++;
    need_event(event, "cudaEventSynchronize");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    cudaError_t error = captured_event(event);
    if (error == cudaSuccess && event->recorded && !event->recorded->done)
        run_until(event->recorded->stream, event->recorded.get());
    return call.end(error);
}

// Each query runs one operation of the stream, so that a loop of queries ends.
cudaError_t cudaEventQuery(cudaEvent_t event) {
    api_call call("cudaEventQuery");
    need_event(event, "cudaEventQuery");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    cudaError_t error = captured_event(event);
    if (error != cudaSuccess || !event->recorded || event->recorded->done)
        return call.end(error);
    run_front(event->recorded->stream);
    return call.end(cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end) {
    api_call call("cudaEventElapsedTime");
    need_event(start, "cudaEventElapsedTime");
    need_event(end, "cudaEventElapsedTime");
    if (call.refused() != cudaSuccess)
        return call.end(cudaSuccess);
    if (!start->timing || !end->timing || !start->recorded || !end->recorded)
        return call.end(cudaErrorInvalidResourceHandle);
    if (!start->recorded->done || !end->recorded->done)
        return call.end(cudaErrorNotReady);
    *milliseconds = (float)(1e3 * (end->recorded->time - start->recorded->time));
    return call.end(cudaSuccess);
}
