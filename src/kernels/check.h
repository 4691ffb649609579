/* check.h: turns status codes of CUDA, cuDNN and cuBLAS into errors of this program. Every call to
 * them goes through one of three macros:
 *
 *     if (CUDA(error, cudaStreamCreate(&stream)) != STATUS_OK)
 *         return error->status;
 *
 * The message names the call, the file and line, the reason in words and the remedy, if there is
 * one. */
#ifndef KERNELS_CHECK_H
#define KERNELS_CHECK_H

#include "error.h"

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cudnn.h>

#define CUDA(error, call) check_cuda(error, call, #call, __FILE__, __LINE__)
#define CUDNN(error, call) check_cudnn(error, call, #call, __FILE__, __LINE__)
#define CUBLAS(error, call) check_cublas(error, call, #call, __FILE__, __LINE__)

/* STATUS_OK for success. A fault that leaves the device unusable (such as a kernel that read beyond
 * its memory) is reported by a later call: the message says so, and how to find the kernel. */
enum status check_cuda(struct error *error, cudaError_t result, const char *call, const char *file,
                       int line);
enum status check_cudnn(struct error *error, cudnnStatus_t result, const char *call,
                        const char *file, int line);
enum status check_cublas(struct error *error, cublasStatus_t result, const char *call,
                         const char *file, int line);

/* After a kernel launch: `kernel` is what the message names. */
enum status check_launch(struct error *error, const char *kernel);

#endif
