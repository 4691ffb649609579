/* open_device.c: finding a CUDA device, opening and closing it. */
#include "kernels/check.h"
#include "kernels/cudnn_ops.h"
#include "kernels/device.h"
#include "memory.h"
#include "poison.h"

#include <stdio.h>

/* The lowest compute capability that the kernels were compiled for, times 10; the Makefile gives
 * it. */
#ifndef CUDA_LOWEST_ARCH
#define CUDA_LOWEST_ARCH 75
#endif

/* ---- finding a device that this program runs on ---------------------------------------------- */

/* CUDA counts its versions as 1000 * major + 10 * minor. */
static int major_of(int version) {
    return version / 1000;
}

static int minor_of(int version) {
    return version % 1000 / 10;
}

/* CUDA reports the same error for no driver and for one that is too old. The version, 0 without a
 * driver, tells them apart. */
static enum status driver_missing(struct error *error) {
    int driver = 0, toolkit = 0;
    if (CUDA(error, cudaDriverGetVersion(&driver)) != STATUS_OK ||
        CUDA(error, cudaRuntimeGetVersion(&toolkit)) != STATUS_OK)
        return error->status;
    if (driver == 0)
        return error_set(error, STATUS_NO_DEVICE,
                         "no NVIDIA driver is loaded: install one for CUDA %d.%d or later "
                         "(nvidia-smi must list the GPU)",
                         major_of(toolkit), minor_of(toolkit));
    return error_set(
        error, STATUS_NO_DEVICE,
        "the NVIDIA driver is too old: it supports CUDA up to %d.%d and this program was "
        "built with CUDA %d.%d; update the driver, or build with an older toolkit",
        major_of(driver), minor_of(driver), major_of(toolkit), minor_of(toolkit));
}

static enum status check_index(struct error *error, int index) {
    int count = 0;
    cudaError_t result = cudaGetDeviceCount(&count);
    if (result == cudaErrorInsufficientDriver)
        return driver_missing(error);
    if (result == cudaErrorNoDevice || (result == cudaSuccess && count == 0))
        return error_set(error, STATUS_NO_DEVICE,
                         "the NVIDIA driver lists no GPU: nvidia-smi must show one, and "
                         "CUDA_VISIBLE_DEVICES, where set, must name it");
    if (check_cuda(error, result, "cudaGetDeviceCount", __FILE__, __LINE__) != STATUS_OK)
        return error->status;
    if (index >= 0 && index < count)
        return STATUS_OK;
    if (count == 1)
        return error_set(error, STATUS_NO_DEVICE, "there is one CUDA device, cuda:0, not cuda:%d",
                         index);
    return error_set(error, STATUS_NO_DEVICE,
                     "there are %d CUDA devices, cuda:0 to cuda:%d, not cuda:%d", count, count - 1,
                     index);
}

static enum status check_architecture(struct error *error,
                                      const struct cudaDeviceProp *properties) {
    cudaError_t result = cuda_kernel_image();
    if (result != cudaErrorNoKernelImageForDevice)
        return check_cuda(error, result, "cudaFuncGetAttributes", __FILE__, __LINE__);
    return error_set(error, STATUS_NO_DEVICE,
                     "%.96s has compute capability %d.%d, and this program has no kernels for it "
                     "(the oldest are for %d.%d): rebuild it where `make` finds a "
                     "toolkit that supports this GPU, with CUDA_ARCH=%d%d",
                     properties->name, properties->major, properties->minor, CUDA_LOWEST_ARCH / 10,
                     CUDA_LOWEST_ARCH % 10, properties->major, properties->minor);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Bytes. The documentation of cublasSetWorkspace asks for 16 KiB at least; it recommends 4 MiB, and
 * 32 MiB from compute capability 9.0 on, for products of large matrices. The matrices here are the
 * classifier's, of hundreds to thousands of numbers. */
enum { CUBLAS_WORKSPACE = 4 << 20 };

/* With a workspace of its own and on one stream only, cuBLAS allocates nothing when it is called
 * and gives the same bits each time. cublasSetStream resets the workspace, so it comes first. */
static enum status open_cublas(struct error *error, struct device *device) {
    /* The default mode rounds nothing to TF32. */
    cublasMath_t math = CUBLAS_DEFAULT_MATH;
    switch (device->options.precision) {
    case PRECISION_FP32:
        break;
    case PRECISION_TF32:
        math = CUBLAS_TF32_TENSOR_OP_MATH;
        break;
    }
    if (CUBLAS(error, cublasCreate(&device->cublas)) != STATUS_OK ||
        CUDA(error, cudaMalloc(&device->cublas_workspace, CUBLAS_WORKSPACE)) != STATUS_OK ||
        CUBLAS(error, cublasSetStream(device->cublas, device->compute)) != STATUS_OK ||
        CUBLAS(error, cublasSetWorkspace(device->cublas, device->cublas_workspace,
                                         CUBLAS_WORKSPACE)) != STATUS_OK ||
        CUBLAS(error, cublasSetMathMode(device->cublas, math)) != STATUS_OK)
        return error->status;
    return STATUS_OK;
}

static enum status describe(struct error *error, struct device *device,
                            const struct cudaDeviceProp *properties) {
    int driver = 0, toolkit = 0, cublas = 0;
    if (CUDA(error, cudaDriverGetVersion(&driver)) != STATUS_OK ||
        CUDA(error, cudaRuntimeGetVersion(&toolkit)) != STATUS_OK ||
        CUBLAS(error, cublasGetVersion(device->cublas, &cublas)) != STATUS_OK)
        return error->status;
    snprintf(device->description, sizeof device->description,
             "%.96s, compute capability %d.%d, %.0f GiB, CUDA %d.%d (driver %d.%d), cuDNN %s, "
             "cuBLAS %d.%d",
             properties->name, properties->major, properties->minor,
             (double)properties->totalGlobalMem / (1 << 30), major_of(toolkit), minor_of(toolkit),
             major_of(driver), minor_of(driver), cudnn_state_version(device->cudnn), cublas / 10000,
             cublas / 100 % 100);
    return STATUS_OK;
}

/* Fills a zeroed device; after a failure, cuda_close releases the rest. The device becomes this
 * thread's current one, and no other thread calls CUDA. */
static enum status open_device(struct error *error, struct device *device) {
    struct cudaDeviceProp properties;
    int index = device->options.index;
    if (check_index(error, index) != STATUS_OK || CUDA(error, cudaSetDevice(index)) != STATUS_OK ||
        CUDA(error, cudaGetDeviceProperties(&properties, index)) != STATUS_OK ||
        check_architecture(error, &properties) != STATUS_OK)
        return error->status;
    device->multiprocessors = properties.multiProcessorCount;
    device->shared_bytes = (int)properties.sharedMemPerBlockOptin;
    if (CUDA(error, cudaStreamCreateWithFlags(&device->compute, cudaStreamNonBlocking)) !=
            STATUS_OK ||
        CUDA(error, cudaStreamCreateWithFlags(&device->copy, cudaStreamNonBlocking)) != STATUS_OK ||
        CUDA(error, cudaStreamCreateWithFlags(&device->side, cudaStreamNonBlocking)) != STATUS_OK ||
        CUDA(error, cudaEventCreateWithFlags(&device->forked, cudaEventDisableTiming)) !=
            STATUS_OK ||
        CUDA(error, cudaEventCreateWithFlags(&device->joined, cudaEventDisableTiming)) !=
            STATUS_OK ||
        open_cublas(error, device) != STATUS_OK ||
        cudnn_state_create(error, &device->cudnn, device) != STATUS_OK ||
        describe(error, device, &properties) != STATUS_OK)
        return error->status;
    return STATUS_OK;
}

enum status cuda_open(struct error *error, struct device **out,
                      const struct device_options *options) {
    struct device *device;
    *out = NULL;
    if (memory_alloc(error, &device, 1, sizeof *device, "the CUDA device") != STATUS_OK)
        return error->status;
    device->options = *options;
    device->poison = poison_wanted();
    if (open_device(error, device) != STATUS_OK) {
        cuda_close(device);
        return error->status = STATUS_NO_DEVICE;
    }
    *out = device;
    return STATUS_OK;
}

/* In reverse order. Nothing could be done about a failure here. */
void cuda_close(struct device *device) {
    struct error unheard;
    cudnn_state_destroy(device->cudnn);
    if (device->cublas != NULL)
        (void)CUBLAS(&unheard, cublasDestroy(device->cublas));
    if (device->cublas_workspace != NULL)
        (void)CUDA(&unheard, cudaFree(device->cublas_workspace));
    if (device->joined != NULL)
        (void)CUDA(&unheard, cudaEventDestroy(device->joined));
    if (device->forked != NULL)
        (void)CUDA(&unheard, cudaEventDestroy(device->forked));
    if (device->side != NULL)
        (void)CUDA(&unheard, cudaStreamDestroy(device->side));
    if (device->copy != NULL)
        (void)CUDA(&unheard, cudaStreamDestroy(device->copy));
    if (device->compute != NULL)
        (void)CUDA(&unheard, cudaStreamDestroy(device->compute));
    memory_free(device);
}
