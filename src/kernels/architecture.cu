/* architecture.cu: whether this build has kernels for the current device. All kernel files are
 * compiled for the same architectures, so checking one kernel is enough. */
#include "kernels/kernel.cuh"

static __global__ void present() {
}

extern "C" cudaError_t cuda_kernel_image(void) {
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, reinterpret_cast<const void *>(present));
}
