// calls.cpp: code shared by all calls of the stand-in's CUDA runtime: errors, counts, and leaks at
// the end of the program.

#include "runtime.hpp"

#include <algorithm>
#include <map>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

namespace cudasim {
namespace {

constexpr int STATUS_LEAKED = 99; // exit status

struct call_state {
    std::recursive_mutex lock;
    struct cudasim_counts counts = {};
    cudaError_t last = cudaSuccess, lasting = cudaSuccess;
    long fail_after = 0; // calls until one fails; 0: none does
    cudaError_t fail_with = cudaSuccess;
    std::string failed;    // the call that failed at a test's request; "": none yet
    std::string unchecked; // the kernel of a launch whose error was not queried yet
    bool launch_failed = false;
    std::map<std::pair<const void *, std::string>, int> handles;
    pid_t process = 0; // of the first call
};

call_state &the() {
    static call_state *state = new call_state; // outlives every atexit handler
    return *state;
}

// Errors after which a process can no longer use its device ("Error Handling" of the CUDA Runtime
// API).
bool lasts(cudaError_t error) {
    return error == cudaErrorECCUncorrectable ||
           (error >= cudaErrorIllegalAddress && error <= cudaErrorLaunchFailure &&
            error != cudaErrorLaunchOutOfResources);
}

cudaError_t missing_device() {
    const char *driver = getenv("CUDASIM_DRIVER"), *devices = getenv("CUDASIM_DEVICES");
    if (driver && (std::string(driver) == "old" || std::string(driver) == "none"))
        return cudaErrorInsufficientDriver;
    return devices && atoi(devices) == 0 ? cudaErrorNoDevice : cudaSuccess;
}

// Counts the call. Returns the error that the test wants for it, or the lasting one.
cudaError_t wanted_error(const char *name) {
    if (the().lasting != cudaSuccess)
        return the().lasting;
    if (the().fail_after == 0 || --the().fail_after != 0)
        return cudaSuccess;
    the().failed = name;
    if (lasts(the().fail_with))
        the().lasting = the().fail_with;
    return the().fail_with;
}

void fail_if_unchecked(const char *next) {
    if (the().unchecked.empty())
        return;
    fail("an unchecked error code: the launch of kernel %s %s, and the program went on to %s "
         "without cudaGetLastError",
         the().unchecked.c_str(), the().launch_failed ? "failed" : "might have failed", next);
}

void at_end() {
    if (getpid() != the().process)
        return;
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    fail_if_unchecked("its end");
    if (the().lasting != cudaSuccess)
        return;
    std::vector<std::string> lines;
    report_leaked_memory(&lines);
    report_leaked_streams(&lines);
    report_leaked_graphs(&lines);
    for (const auto &[handle, count] : the().handles)
        lines.push_back(handle.second);
    if (lines.empty())
        return;
    for (const std::string &line : lines)
        fprintf(stderr, "cudasim: leaked: %s\n", line.c_str());
    fflush(nullptr);
    _exit(STATUS_LEAKED);
}

void start() {
    catch_faults();
    if (the().process == getpid())
        return;
    if (the().process == 0 && atexit(at_end) != 0)
        fail("atexit failed");
    the().process = getpid();
}

} // namespace

void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fflush(stdout);
    fprintf(stderr, "cudasim: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    fflush(stderr);
    abort();
}

std::recursive_mutex &the_lock() {
    return the().lock;
}

struct cudasim_counts &the_counts() {
    return the().counts;
}

// ---- calls -------------------------------------------------------------------------------------

api_call::api_call(const char *name, bool needs_device) : lock_(the().lock), refused_(cudaSuccess) {
    start();
    fail_if_unchecked(name);
    refused_ = wanted_error(name);
    if (refused_ == cudaSuccess && needs_device)
        refused_ = missing_device();
}

cudaError_t api_call::end(cudaError_t result) {
    if (refused_ != cudaSuccess)
        result = refused_;
    if (result != cudaSuccess)
        the().last = result;
    return result;
}

cudaError_t launch_begins() {
    start();
    cudaError_t error = wanted_error("a launch");
    return error != cudaSuccess ? error : missing_device();
}

void launch_ends(const char *name, cudaError_t result) {
    if (the().unchecked.empty() || result != cudaSuccess)
        the().unchecked = name;
    if (result == cudaSuccess)
        return;
    the().launch_failed = true;
    the().last = result;
}

void library_call_failed(const char *name) {
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    the().failed = name;
}

// ---- handles -----------------------------------------------------------------------------------

void handle_made(const void *handle, const char *kind) {
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    start();
    the().handles[{handle, kind}]++;
    the().counts.allocations++;
}

void handle_gone(const void *handle, const char *kind) {
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    if (the().handles.erase({handle, kind}) == 0)
        fail("%p is destroyed as a %s and is none", handle, kind);
    the().counts.allocations++;
}

bool handle_exists(const void *handle, const char *kind) {
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    return the().handles.count({handle, kind}) != 0;
}

} // namespace cudasim

using cudasim::the;

// ---- errors ------------------------------------------------------------------------------------

static cudaError_t look_at_error(bool forget) {
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    the().unchecked.clear();
    the().launch_failed = false;
    if (the().lasting != cudaSuccess)
        return the().lasting;
    cudaError_t error = the().last;
    if (forget)
        the().last = cudaSuccess;
    return error;
}

cudaError_t cudaGetLastError(void) {
    return look_at_error(true);
}

cudaError_t cudaPeekAtLastError(void) {
    return look_at_error(false);
}

static const struct {
    cudaError_t code;
    const char *name, *words;
} ERRORS[] = {
#define ENTRY(code, words)                                                                         \
    { code, #code, words }
    ENTRY(cudaSuccess, "no error"),
    ENTRY(cudaErrorInvalidValue, "invalid argument"),
    ENTRY(cudaErrorMemoryAllocation, "out of memory"),
    ENTRY(cudaErrorInitializationError, "initialization error"),
    ENTRY(cudaErrorInvalidConfiguration, "invalid configuration argument"),
    ENTRY(cudaErrorInvalidHostPointer, "invalid host pointer"),
    ENTRY(cudaErrorInvalidDevicePointer, "invalid device pointer"),
    ENTRY(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy"),
    ENTRY(cudaErrorInsufficientDriver,
          "CUDA driver version is insufficient for CUDA runtime version"),
    ENTRY(cudaErrorInvalidDeviceFunction, "invalid device function"),
    ENTRY(cudaErrorNoDevice, "no CUDA-capable device is detected"),
    ENTRY(cudaErrorInvalidDevice, "invalid device ordinal"),
    ENTRY(cudaErrorNoKernelImageForDevice,
          "no kernel image is available for execution on the device"),
    ENTRY(cudaErrorECCUncorrectable, "uncorrectable ECC error encountered"),
    ENTRY(cudaErrorInvalidResourceHandle, "invalid resource handle"),
    ENTRY(cudaErrorIllegalState, "the operation cannot be performed in the present state"),
    ENTRY(cudaErrorNotReady, "device not ready"),
    ENTRY(cudaErrorIllegalAddress, "an illegal memory access was encountered"),
    ENTRY(cudaErrorLaunchOutOfResources, "too many resources requested for launch"),
    ENTRY(cudaErrorLaunchTimeout, "the launch timed out and was terminated"),
    ENTRY(cudaErrorAssert, "device-side assert triggered"),
    ENTRY(cudaErrorHardwareStackError, "hardware stack error"),
    ENTRY(cudaErrorIllegalInstruction, "an illegal instruction was encountered"),
    ENTRY(cudaErrorMisalignedAddress, "misaligned address"),
    ENTRY(cudaErrorInvalidAddressSpace, "operation not supported on global/shared address space"),
    ENTRY(cudaErrorInvalidPc, "invalid program counter"),
    ENTRY(cudaErrorLaunchFailure, "unspecified launch failure"),
    ENTRY(cudaErrorCooperativeLaunchTooLarge, "too many blocks in cooperative launch"),
    ENTRY(cudaErrorNotPermitted, "operation not permitted"),
    ENTRY(cudaErrorNotSupported, "operation not supported"),
    ENTRY(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing"),
    ENTRY(cudaErrorStreamCaptureInvalidated,
          "operation failed due to a previous error during capture"),
    ENTRY(cudaErrorStreamCaptureMerge,
          "operation would result in a merge of separate capture sequences"),
    ENTRY(cudaErrorStreamCaptureUnmatched, "capture was not ended in the same stream as it began"),
    ENTRY(cudaErrorStreamCaptureUnjoined, "capturing stream has unjoined work"),
    ENTRY(cudaErrorStreamCaptureIsolation,
          "dependency created on uncaptured work in another stream"),
    ENTRY(cudaErrorStreamCaptureImplicit,
          "operation would make the legacy stream depend on a capturing blocking stream"),
    ENTRY(cudaErrorCapturedEvent,
          "operation not permitted on an event last recorded in a capturing stream"),
    ENTRY(cudaErrorStreamCaptureWrongThread,
          "attempt to terminate a thread-local capture sequence from another thread"),
    ENTRY(cudaErrorUnknown, "unknown error"),
#undef ENTRY
};

const char *cudaGetErrorName(cudaError_t error) {
    for (const auto &entry : ERRORS)
        if (entry.code == error)
            return entry.name;
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
    for (const auto &entry : ERRORS)
        if (entry.code == error)
            return entry.words;
    return "unrecognized error code";
}

// ---- for tests ---------------------------------------------------------------------------------

void cudasim_reset_counts(void) {
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    the().counts = {};
}

struct cudasim_counts cudasim_counts(void) {
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    return the().counts;
}

void cudasim_fail_call(long calls, int code) {
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    the().fail_after = code == cudaSuccess ? 0 : calls;
    the().fail_with = static_cast<cudaError_t>(code);
}

const char *cudasim_failed_call(void) {
    std::lock_guard<std::recursive_mutex> lock(the().lock);
    return the().failed.empty() ? nullptr : the().failed.c_str();
}
