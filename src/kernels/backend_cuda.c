/* backend_cuda.c: the CUDA device as a backend: memory, copies, events and recordings, and the
 * tables.
 *
 * All streams are non-blocking: only events order them. The host thread that opened the device
 * makes all calls, so CUDA's current device is always this one. */
#include "kernels/check.h"
#include "kernels/cudnn_ops.h"
#include "kernels/device.h"
#include "poison.h"

#include <string.h>

static const char *describe(const struct device *device) {
    return device->description;
}

static const struct operations *operations(const struct device *device) {
    static const struct operations table = {
        OPERATION_ENTRIES,
        .finish_gradients = cuda_finish_gradients,
    };
    (void)device;
    return &table;
}

static const char *choice(const struct device *device, int index) {
    return cudnn_state_choice(device->cudnn, index);
}

static cudaStream_t stream_of(const struct device *device, enum stream stream) {
    return stream == STREAM_COMPUTE ? device->compute : device->copy;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t memory_left(struct device *device) {
    struct error unheard;
    size_t left = 0, total = 0;
    (void)device;
    return CUDA(&unheard, cudaMemGetInfo(&left, &total)) == STATUS_OK ? left : 0;
}

/* Writes zeros or poison on the compute stream and waits: no stream of ours is ordered after the
 * legacy stream, which cudaMemset would use. */
static enum status fill_and_wait(struct error *error, struct device *device, void *memory,
                                 size_t bytes) {
    int byte = device->poison ? POISON_BYTE : 0;
    if (CUDA(error, cudaMemsetAsync(memory, byte, bytes, device->compute)) != STATUS_OK)
        return error->status;
    return CUDA(error, cudaStreamSynchronize(device->compute));
}

static void release(struct device *device, void *memory) {
    struct error unheard; /* the caller can do nothing about a failure here */
    (void)device;
    if (memory != NULL)
        (void)CUDA(&unheard, cudaFree(memory));
}

static enum status alloc(struct error *error, struct device *device, void *out, size_t bytes,
                         const char *what) {
    void *memory = NULL;
    size_t needed = bytes > 0 ? bytes : 1; /* an address even for 0 bytes */
    memcpy(out, &memory, sizeof memory);
    cudaError_t result = cudaMalloc(&memory, needed);
    enum status status = check_cuda(error, result, "cudaMalloc", __FILE__, __LINE__);
    if (result == cudaErrorMemoryAllocation)
        return error_set(error, STATUS_FAILED,
                         "out of GPU memory: needed %zu bytes for %s, %zu are free; nvidia-smi "
                         "lists what else runs on this GPU",
                         bytes, what, memory_left(device));
    if (status != STATUS_OK)
        return status;
    if (fill_and_wait(error, device, memory, needed) != STATUS_OK) {
        release(device, memory);
        return error->status;
    }
    memcpy(out, &memory, sizeof memory);
    return STATUS_OK;
}

static void release_pinned(struct device *device, void *memory) {
    struct error unheard; /* the caller can do nothing about a failure here */
    (void)device;
    if (memory != NULL)
        (void)CUDA(&unheard, cudaFreeHost(memory));
}

static enum status alloc_pinned(struct error *error, struct device *device, void *out, size_t bytes,
                                const char *what) {
    void *memory = NULL;
    size_t needed = bytes > 0 ? bytes : 1;
    (void)device;
    memcpy(out, &memory, sizeof memory);
    cudaError_t result = cudaHostAlloc(&memory, needed, cudaHostAllocDefault);
    if (check_cuda(error, result, "cudaHostAlloc", __FILE__, __LINE__) != STATUS_OK)
        return error_set(error, STATUS_FAILED,
                         "no pinned host memory: needed %zu bytes for %s: %s (%s)", bytes, what,
                         cudaGetErrorString(result), cudaGetErrorName(result));
    memset(memory, 0, needed);
    memcpy(out, &memory, sizeof memory);
    return STATUS_OK;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static enum status upload(struct error *error, struct device *device, enum stream stream,
                          void *device_to, const void *host_from, size_t bytes) {
    return CUDA(error, cudaMemcpyAsync(device_to, host_from, bytes, cudaMemcpyHostToDevice,
                                       stream_of(device, stream)));
}

static enum status download(struct error *error, struct device *device, enum stream stream,
                            void *host_to, const void *device_from, size_t bytes) {
    return CUDA(error, cudaMemcpyAsync(host_to, device_from, bytes, cudaMemcpyDeviceToHost,
                                       stream_of(device, stream)));
}

static enum status clear(struct error *error, struct device *device, enum stream stream,
                         void *device_to, size_t bytes) {
    return CUDA(error, cudaMemsetAsync(device_to, 0, bytes, stream_of(device, stream)));
}

/* ---- events: a struct event is what a cudaEvent_t points to ---------------------------------- */

static enum status event_create(struct error *error, struct device *device, struct event **out) {
    cudaEvent_t event = NULL;
    (void)device;
    *out = NULL;
    if (CUDA(error, cudaEventCreateWithFlags(&event, cudaEventDisableTiming)) != STATUS_OK)
        return error->status;
    *out = (struct event *)event;
    return STATUS_OK;
}

static void event_destroy(struct device *device, struct event *event) {
    struct error unheard; /* the caller can do nothing about a failure here */
    (void)device;
    (void)CUDA(&unheard, cudaEventDestroy((cudaEvent_t)event));
}

static enum status event_record(struct error *error, struct device *device, struct event *event,
                                enum stream stream) {
    return CUDA(error, cudaEventRecord((cudaEvent_t)event, stream_of(device, stream)));
}

static enum status event_wait(struct error *error, struct device *device, struct event *event,
                              enum stream stream) {
    return CUDA(error, cudaStreamWaitEvent(stream_of(device, stream), (cudaEvent_t)event, 0));
}

/* A kernel's failure is noticed here at the latest. */
static enum status event_synchronize(struct error *error, struct device *device,
                                     struct event *event) {
    (void)device;
    return CUDA(error, cudaEventSynchronize((cudaEvent_t)event));
}

/* ---- recordings: a struct recording is what a cudaGraphExec_t points to ---------------------- */

/* A recording can only wait for work that it holds, so work of a step that failed before its end is
 * waited for now. */
static enum status record_begin(struct error *error, struct device *device) {
    if (side_join(error, device) != STATUS_OK)
        return error->status;
    return CUDA(error, cudaStreamBeginCapture(device->compute, cudaStreamCaptureModeThreadLocal));
}

/* Instantiates the graph and uploads it, so that the first replay costs no more than the others. */
static enum status make_executable(struct error *error, struct device *device, cudaGraphExec_t *out,
                                   cudaGraph_t graph) {
    struct error unheard;
    cudaGraphExec_t executable = NULL;
    if (CUDA(error, cudaGraphInstantiate(&executable, graph, 0)) != STATUS_OK)
        return error->status;
    if (CUDA(error, cudaGraphUpload(executable, device->compute)) != STATUS_OK) {
        (void)CUDA(&unheard, cudaGraphExecDestroy(executable));
        return error->status;
    }
    *out = executable;
    return STATUS_OK;
}

static enum status record_end(struct error *error, struct device *device, struct recording **out) {
    struct error unheard;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t executable = NULL;
    *out = NULL;
    enum status status = CUDA(error, cudaStreamEndCapture(device->compute, &graph));
    if (status == STATUS_OK)
        status = make_executable(error, device, &executable, graph);
    if (graph != NULL)
        (void)CUDA(&unheard, cudaGraphDestroy(graph));
    *out = (struct recording *)executable;
    return status;
}

/* Ending the capture fails if the failed operation has invalidated it; the stream is usable either
 * way. */
static void record_cancel(struct device *device) {
    struct error unheard;
    cudaGraph_t graph = NULL;
    (void)CUDA(&unheard, cudaStreamEndCapture(device->compute, &graph));
    if (graph != NULL)
        (void)CUDA(&unheard, cudaGraphDestroy(graph));
}

static enum status replay(struct error *error, struct device *device, struct recording *recording) {
    return CUDA(error, cudaGraphLaunch((cudaGraphExec_t)recording, device->compute));
}

static void recording_destroy(struct device *device, struct recording *recording) {
    struct error unheard; /* the caller can do nothing about a failure here */
    (void)device;
    (void)CUDA(&unheard, cudaGraphExecDestroy((cudaGraphExec_t)recording));
}

const struct backend cuda_backend = {
    .name = "cuda",
    .evaluation_batch = 1000, /* divides CIFAR-10's 10,000 test images */
    .open = cuda_open,
    .close = cuda_close,
    .describe = describe,
    .arithmetic = describe, /* GPU, driver and libraries */
    .operations = operations,
    .choice = choice,
    .memory_left = memory_left,
    .alloc = alloc,
    .release = release,
    .alloc_pinned = alloc_pinned,
    .release_pinned = release_pinned,
    .upload = upload,
    .download = download,
    .clear = clear,
    .event_create = event_create,
    .event_destroy = event_destroy,
    .event_record = event_record,
    .event_wait = event_wait,
    .event_synchronize = event_synchronize,
    .record_begin = record_begin,
    .record_end = record_end,
    .record_cancel = record_cancel,
    .replay = replay,
    .recording_destroy = recording_destroy,
};
