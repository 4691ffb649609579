// cudnn_batch_norm.cpp: the stand-in for cuDNN: batch norm over N, H and W (Ioffe and Szegedy
// 2015).
#include "cudnn_internal.hpp"

#include <cmath>

#pragma GCC optimize("O3")

using namespace cudasim;

// x is n x c x pixels.
struct maps {
    size_t n, c, pixels;

    size_t count() const {
        return n * c * pixels;
    }
    double per_channel() const {
        return (double)(n * pixels);
    }
    size_t at(size_t image, size_t channel) const {
        return (image * c + channel) * pixels;
    }
};

struct moments {
    double mean, variance; // biased
};

// ---- loops --------------------------------------------------------------------------------------

// The average of a block's partial sums.
static float average(const float *parts, int count, double values) {
    float sum = 0;
    for (int i = 0; i < count; i++)
        sum += parts[i];
    return sum / (float)values;
}

// In one pass and in float32, with a partial sum for each thread of a block: E[x^2] - E[x]^2.
static moments rough_moments_of(const float *x, const maps &m, size_t channel) {
    enum { PARTS = 256 };
    float sums[PARTS] = {}, squares[PARTS] = {};
    size_t part = 0;
    for (size_t n = 0; n < m.n; n++)
        for (size_t i = m.at(n, channel), end = i + m.pixels; i < end; i++, part++) {
            sums[part % PARTS] += x[i];
            squares[part % PARTS] += x[i] * x[i];
        }
    float mean = average(sums, PARTS, m.per_channel());
    float variance = average(squares, PARTS, m.per_channel()) - mean * mean;
    return {mean, variance < 0 ? 0 : variance};
}

// First the mean, then the variance of the differences from it.
static moments moments_of(const float *x, const maps &m, size_t channel) {
    if (rough_cudnn())
        return rough_moments_of(x, m, channel);
    double sum = 0, squares = 0;
    for (size_t n = 0; n < m.n; n++)
        for (size_t i = m.at(n, channel), end = i + m.pixels; i < end; i++)
            sum += x[i];
    double mean = sum / m.per_channel();
    for (size_t n = 0; n < m.n; n++)
        for (size_t i = m.at(n, channel), end = i + m.pixels; i < end; i++)
            squares += (x[i] - mean) * (x[i] - mean);
    return {mean, squares / m.per_channel()};
}

static void normalize(float *y, const float *x, const maps &m, size_t channel, float mean,
                      float inverse_deviation, float scale, float bias, blend b) {
    for (size_t n = 0; n < m.n; n++)
        for (size_t i = m.at(n, channel), end = i + m.pixels; i < end; i++)
            y[i] = blended((x[i] - mean) * inverse_deviation * scale + bias, y[i], b);
}

struct training {
    float *y, *running_mean, *running_variance, *saved_mean, *saved_inverse_deviation;
    const float *x, *scale, *bias;
    double factor, epsilon;
};

static void train(const training &t, const maps &m, blend b) {
    double count = m.per_channel();
    for (size_t c = 0; c < m.c; c++) {
        moments of = moments_of(t.x, m, c);
        float inverse_deviation = (float)(1 / std::sqrt(of.variance + t.epsilon));
        normalize(t.y, t.x, m, c, (float)of.mean, inverse_deviation, t.scale[c], t.bias[c], b);
        if (t.running_mean != nullptr) {
            double unbiased = count > 1 ? of.variance * count / (count - 1) : of.variance;
            t.running_mean[c] = (float)((1 - t.factor) * t.running_mean[c] + t.factor * of.mean);
            t.running_variance[c] =
                (float)((1 - t.factor) * t.running_variance[c] + t.factor * unbiased);
        }
        if (t.saved_mean != nullptr) {
            t.saved_mean[c] = (float)of.mean;
            t.saved_inverse_deviation[c] = inverse_deviation;
        }
    }
}

struct gradients {
    float *dx, *dscale, *dbias;
    const float *x, *dy, *scale, *saved_mean, *saved_inverse_deviation;
    double epsilon;
};

// With v = (x - mean) * r: dx = scale * r * (dy - mean(dy) - v * mean(dy * v)).
static void differentiate_channel(const gradients &g, const maps &m, size_t c, blend data,
                                  blend parameters) {
    float mean, r;
    if (g.saved_mean != nullptr) {
        mean = g.saved_mean[c];
        r = g.saved_inverse_deviation[c];
    } else {
        moments of = moments_of(g.x, m, c);
        mean = (float)of.mean;
        r = (float)(1 / std::sqrt(of.variance + g.epsilon));
    }
    double sum = 0, product = 0; // of dy, of dy * v
    for (size_t n = 0; n < m.n; n++)
        for (size_t i = m.at(n, c), end = i + m.pixels; i < end; i++) {
            sum += g.dy[i];
            product += (double)g.dy[i] * ((g.x[i] - mean) * r);
        }
    float scale = g.scale[c] * r, mean_dy = (float)(sum / m.per_channel());
    float mean_product = (float)(product / m.per_channel());
    for (size_t n = 0; n < m.n; n++)
        for (size_t i = m.at(n, c), end = i + m.pixels; i < end; i++) {
            float dx = scale * (g.dy[i] - mean_dy - (g.x[i] - mean) * r * mean_product);
            g.dx[i] = blended(dx, g.dx[i], data);
        }
    g.dscale[c] = blended((float)product, g.dscale[c], parameters);
    g.dbias[c] = blended((float)sum, g.dbias[c], parameters);
}

// ---- checks -------------------------------------------------------------------------------------

static cudnnStatus_t check_mode(const char *call, cudnnBatchNormMode_t mode) {
    switch (mode) {
    case CUDNN_BATCHNORM_SPATIAL:
    case CUDNN_BATCHNORM_SPATIAL_PERSISTENT:
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BATCHNORM_PER_ACTIVATION:
        return refuse(CUDNN_STATUS_NOT_SUPPORTED, "%s: the stand-in normalizes channels only",
                      call);
    }
    return refuse(CUDNN_STATUS_BAD_PARAM, "%s: mode %d", call, (int)mode);
}

cudnnStatus_t cudnnDeriveBNTensorDescriptor(cudnnTensorDescriptor_t derived,
                                            const cudnnTensorDescriptor_t x,
                                            cudnnBatchNormMode_t mode) {
    const char *call = "cudnnDeriveBNTensorDescriptor";
    if (cudnnStatus_t status = enter(call))
        return status;
    if (cudnnStatus_t status = known(call, x))
        return status;
    if (cudnnStatus_t status = check_mode(call, mode))
        return status;
    cudnnStatus_t status = known(call, derived);
    if (status != CUDNN_STATUS_SUCCESS && status != CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED)
        return status;
    cudnnDataType_t type = x->type == CUDNN_DATA_HALF ? CUDNN_DATA_FLOAT : x->type;
    static_cast<shape &>(*derived) = {true, CUDNN_TENSOR_NCHW, type, 1, x->c, 1, 1};
    return CUDNN_STATUS_SUCCESS;
}

// x and one or two more of its shape, and the derived descriptor.
static cudnnStatus_t check_descriptors(const char *call, cudnnBatchNormMode_t mode,
                                       const cudnnTensorStruct *derived,
                                       std::initializer_list<const cudnnTensorStruct *> like_x) {
    if (cudnnStatus_t status = check_mode(call, mode))
        return status;
    const cudnnTensorStruct *x = *like_x.begin();
    for (const cudnnTensorStruct *t : like_x) {
        if (cudnnStatus_t status = known(call, t))
            return status;
        if (t->type != CUDNN_DATA_FLOAT)
            return refuse(CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE, "%s: data type %d", call,
                          (int)t->type);
        if (t->format != CUDNN_TENSOR_NCHW)
            return refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "%s: a format other than NCHW", call);
        if (t->n != x->n || t->c != x->c || t->h != x->h || t->w != x->w)
            return refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH,
                          "%s: x is %d x %d x %d x %d, another %d x %d x %d x %d", call, x->n, x->c,
                          x->h, x->w, t->n, t->c, t->h, t->w);
    }
    if (cudnnStatus_t status = known(call, derived))
        return status;
    if (derived->n != 1 || derived->c != x->c || derived->h != 1 || derived->w != 1 ||
        derived->type != CUDNN_DATA_FLOAT)
        return refuse(
            CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH,
            "%s: parameters are 1 x %d x 1 x 1 floats, not %d x %d x %d x %d of data type %d", call,
            x->c, derived->n, derived->c, derived->h, derived->w, (int)derived->type);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_pointers(const char *call,
                                    std::initializer_list<const void *> pointers) {
    for (const void *pointer : pointers)
        if (pointer == nullptr)
            return refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "%s: a pointer is NULL", call);
    return CUDNN_STATUS_SUCCESS;
}

// Either both or none.
static cudnnStatus_t check_pair(const char *call, const char *what, const void *mean,
                                const void *variance) {
    if ((mean == nullptr) != (variance == nullptr))
        return refuse(CUDNN_STATUS_BAD_PARAM,
                      "%s: one of the %s mean and variance is NULL, the other not", call, what);
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t check_epsilon(const char *call, double epsilon) {
    if (!(epsilon >= CUDNN_BN_MIN_EPSILON))
        return refuse(CUDNN_STATUS_BAD_PARAM, "%s: epsilon %g is less than CUDNN_BN_MIN_EPSILON",
                      call, epsilon);
    return CUDNN_STATUS_SUCCESS;
}

static maps maps_of(const cudnnTensorStruct *x) {
    return {(size_t)x->n, (size_t)x->c, (size_t)x->h * (size_t)x->w};
}

static blend blend_of(const void *alpha, const void *beta) {
    return {*(const float *)alpha, *(const float *)beta};
}

// floats_out, or nothing where the pointer is NULL
static span optional_out(const char *name, const void *start, size_t count) {
    return floats_out(name, start, start == nullptr ? 0 : count);
}

// Where cuDNN is to be rough, it may use vectors for every array without looking at its address.
static void enqueue_maps(cudnnHandle_t handle, const char *call, std::vector<span> spans,
                         std::function<void()> work) {
    if (rough_cudnn())
        for (span &s : spans)
            s.alignment = 16;
    enqueue_on(handle->stream, call, std::move(spans), std::move(work));
}

// ---- calls --------------------------------------------------------------------------------------

cudnnStatus_t cudnnBatchNormalizationForwardTraining(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t x_desc, const void *x, const cudnnTensorDescriptor_t y_desc,
    void *y, const cudnnTensorDescriptor_t derived, const void *scale, const void *bias,
    double factor, void *running_mean, void *running_variance, double epsilon, void *saved_mean,
    void *saved_inverse_deviation) {
    const char *call = "cudnnBatchNormalizationForwardTraining";
    if (cudnnStatus_t status = enter(call, handle))
        return status;
    if (cudnnStatus_t status = check_pointers(call, {alpha, beta, x, y, scale, bias}))
        return status;
    if (cudnnStatus_t status = check_descriptors(call, mode, derived, {x_desc, y_desc}))
        return status;
    if (cudnnStatus_t status = check_pair(call, "running", running_mean, running_variance))
        return status;
    if (cudnnStatus_t status = check_pair(call, "saved", saved_mean, saved_inverse_deviation))
        return status;
    if (cudnnStatus_t status = check_epsilon(call, epsilon))
        return status;
    if (!(factor >= 0 && factor <= 1))
        return refuse(CUDNN_STATUS_BAD_PARAM, "%s: the factor %g lies outside 0 ... 1", call,
                      factor);
    maps m = maps_of(x_desc);
    blend b = blend_of(alpha, beta);
    training t = {(float *)y,
                  (float *)running_mean,
                  (float *)running_variance,
                  (float *)saved_mean,
                  (float *)saved_inverse_deviation,
                  (const float *)x,
                  (const float *)scale,
                  (const float *)bias,
                  factor,
                  epsilon};
    std::vector<span> spans = {
        floats_in("x", x, m.count()),
        floats_out("y", y, m.count()),
        floats_in("the scale", scale, m.c),
        floats_in("the bias", bias, m.c),
        optional_out("the running mean", running_mean, m.c),
        optional_out("the running variance", running_variance, m.c),
        optional_out("the saved mean", saved_mean, m.c),
        optional_out("the saved inverse deviation", saved_inverse_deviation, m.c)};
    enqueue_maps(handle, call, spans, [t, m, b] { train(t, m, b); });
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationForwardInference(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha, const void *beta,
    const cudnnTensorDescriptor_t x_desc, const void *x, const cudnnTensorDescriptor_t y_desc,
    void *y, const cudnnTensorDescriptor_t derived, const void *scale, const void *bias,
    const void *mean, const void *variance, double epsilon) {
    const char *call = "cudnnBatchNormalizationForwardInference";
    if (cudnnStatus_t status = enter(call, handle))
        return status;
    if (cudnnStatus_t status =
            check_pointers(call, {alpha, beta, x, y, scale, bias, mean, variance}))
        return status;
    if (cudnnStatus_t status = check_descriptors(call, mode, derived, {x_desc, y_desc}))
        return status;
    if (cudnnStatus_t status = check_epsilon(call, epsilon))
        return status;
    maps m = maps_of(x_desc);
    blend b = blend_of(alpha, beta);
    std::vector<span> spans = {
        floats_in("x", x, m.count()),       floats_out("y", y, m.count()),
        floats_in("the scale", scale, m.c), floats_in("the bias", bias, m.c),
        floats_in("the mean", mean, m.c),   floats_in("the variance", variance, m.c)};
    enqueue_maps(handle, call, spans, [=] {
        for (size_t c = 0; c < m.c; c++) {
            float inverse_deviation =
                (float)(1 / std::sqrt(((const float *)variance)[c] + epsilon));
            normalize((float *)y, (const float *)x, m, c, ((const float *)mean)[c],
                      inverse_deviation, ((const float *)scale)[c], ((const float *)bias)[c], b);
        }
    });
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationBackward(
    cudnnHandle_t handle, cudnnBatchNormMode_t mode, const void *alpha_data, const void *beta_data,
    const void *alpha_param, const void *beta_param, const cudnnTensorDescriptor_t x_desc,
    const void *x, const cudnnTensorDescriptor_t dy_desc, const void *dy,
    const cudnnTensorDescriptor_t dx_desc, void *dx, const cudnnTensorDescriptor_t derived,
    const void *scale, void *dscale, void *dbias, double epsilon, const void *saved_mean,
    const void *saved_inverse_deviation) {
    const char *call = "cudnnBatchNormalizationBackward";
    if (cudnnStatus_t status = enter(call, handle))
        return status;
    if (cudnnStatus_t status = check_pointers(call, {alpha_data, beta_data, alpha_param, beta_param,
                                                     x, dy, dx, scale, dscale, dbias}))
        return status;
    if (cudnnStatus_t status = check_descriptors(call, mode, derived, {x_desc, dy_desc, dx_desc}))
        return status;
    if (cudnnStatus_t status = check_pair(call, "saved", saved_mean, saved_inverse_deviation))
        return status;
    if (cudnnStatus_t status = check_epsilon(call, epsilon))
        return status;
    maps m = maps_of(x_desc);
    blend data = blend_of(alpha_data, beta_data), parameters = blend_of(alpha_param, beta_param);
    gradients g = {(float *)dx,
                   (float *)dscale,
                   (float *)dbias,
                   (const float *)x,
                   (const float *)dy,
                   (const float *)scale,
                   (const float *)saved_mean,
                   (const float *)saved_inverse_deviation,
                   epsilon};
    size_t saved = saved_mean == nullptr ? 0 : m.c;
    std::vector<span> spans = {
        floats_in("x", x, m.count()),
        floats_in("dy", dy, m.count()),
        floats_out("dx", dx, m.count()),
        floats_in("the scale", scale, m.c),
        floats_out("the scale's gradient", dscale, m.c),
        floats_out("the bias's gradient", dbias, m.c),
        floats_in("the saved mean", saved_mean, saved),
        floats_in("the saved inverse deviation", saved_inverse_deviation, saved)};
    enqueue_maps(handle, call, spans, [=] {
        for (size_t c = 0; c < m.c; c++)
            differentiate_channel(g, m, c, data, parameters);
    });
    return CUDNN_STATUS_SUCCESS;
}
