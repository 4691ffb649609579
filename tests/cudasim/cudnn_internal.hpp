// cudnn_internal.hpp: what the files of the stand-in for cuDNN share.
#ifndef CUDASIM_CUDNN_INTERNAL_HPP
#define CUDASIM_CUDNN_INTERNAL_HPP

#include "library.hpp"

#include <cudnn.h>

// A tensor (n, c, h, w) or a filter (n = output channels).
struct shape {
    bool set;
    cudnnTensorFormat_t format;
    cudnnDataType_t type;
    int n, c, h, w;

    size_t count() const {
        return (size_t)n * (size_t)c * (size_t)h * (size_t)w;
    }
};

struct cudnnTensorStruct : shape {};
struct cudnnFilterStruct : shape {};

struct cudnnConvolutionStruct {
    bool set;
    int pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w;
    cudnnConvolutionMode_t mode;
    cudnnDataType_t compute_type;
    cudnnMathType_t math;
};

struct cudnnContext {
    cudaStream_t stream;
    void *scratch; // device memory, as in the real handle
};

namespace cudasim {

// Sets the text of cudnnGetLastErrorString and returns the status.
cudnnStatus_t refuse(cudnnStatus_t status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// Each call begins with one of these two. The first is for calls without a handle; the second
// refuses a handle that is NULL and fails the program for one that was destroyed.
cudnnStatus_t enter(const char *call);
cudnnStatus_t enter(const char *call, cudnnHandle_t handle);

// Refuses a descriptor that is NULL or was never set; fails the program for one that was destroyed.
cudnnStatus_t known(const char *call, const cudnnTensorStruct *tensor);
cudnnStatus_t known(const char *call, const cudnnFilterStruct *filter);
cudnnStatus_t known(const char *call, const cudnnConvolutionStruct *convolution);

// ---- convolution --------------------------------------------------------------------------------

enum direction { FORWARD, BACKWARD_DATA, BACKWARD_FILTER };

// A convolution of stride 1 whose descriptors fit one another; x is n x c x h x w, the filters k x
// c x r x s, y is n x k x out_h x out_w.
struct problem {
    int n, c, h, w, k, r, s, pad_h, pad_w, out_h, out_w;
    cudnnMathType_t math;
    bool winograd; // computed by Winograd's minimal filtering, not as direct sums

    size_t x_count() const {
        return (size_t)n * (size_t)c * (size_t)h * (size_t)w;
    }
    size_t w_count() const {
        return (size_t)k * (size_t)c * (size_t)r * (size_t)s;
    }
    size_t y_count() const {
        return (size_t)n * (size_t)k * (size_t)out_h * (size_t)out_w;
    }
    bool tf32() const {
        return math != CUDNN_FMA_MATH;
    }
};

// Fills the problem, or refuses.
cudnnStatus_t problem_of(problem *p, const char *call, const cudnnTensorStruct *x,
                         const cudnnFilterStruct *w, const cudnnConvolutionStruct *convolution,
                         const cudnnTensorStruct *y);

// An algorithm for a problem.
struct algorithm {
    cudnnStatus_t status; // CUDNN_STATUS_SUCCESS if it supports it
    const char *reason;   // why not
    size_t workspace;     // bytes
    bool deterministic;
    bool winograd;
};
// CUDNN_STATUS_BAD_PARAM for a number that is not an algorithm.
algorithm algorithm_for(const problem &p, direction direction, int algo);

// The loops. Each `order` other than 0 changes the order of sums; only algorithms that are not
// deterministic use one.
struct blend {
    float alpha, beta; // beta 0: the old value is not read
};
void convolve(float *y, const float *x, const float *w, const problem &p, blend blend);
void convolve_backward_data(float *dx, const float *w, const float *dy, const problem &p,
                            blend blend, unsigned order);
void convolve_backward_filter(float *dw, const float *x, const float *dy, const problem &p,
                              blend blend, unsigned order);

// The same for filters of 3 x 3 by Winograd's minimal filtering.
void winograd(float *y, const float *x, const float *w, const problem &p, blend blend);
void winograd_backward_filter(float *dw, const float *x, const float *dy, const problem &p,
                              blend blend);

// CUDASIM_CUDNN=rough: the library is as inaccurate as the real one may be.
bool rough_cudnn();

inline float blended(float value, float old, blend b) {
    return b.beta == 0 ? b.alpha * value : b.alpha * value + b.beta * old;
}

} // namespace cudasim

#endif
