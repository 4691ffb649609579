/* winograd.h: 3x3 correlations with a quarter of the multiplications: F(4x4, 3x3) of Winograd
 * (Lavin and Gray 2016). docs/architecture.md shows how the data lies. */
#ifndef WINOGRAD_H
#define WINOGRAD_H

#include "cpu/simd/conv_layout.h"

/* One use of it: `batch` maps of `channels` channels to `out_channels`, with g's sizes. */
struct winograd_job {
    int batch, channels, out_channels;
    struct geometry g;
};

/* Whether it is faster than the direct loops. */
bool NAME(winograd_pays)(const struct winograd_job *job);

/* Floats of workspace. */
size_t NAME(winograd_workspace)(const struct winograd_job *job, int threads);

/* y (+)= correlation of x with the filters: weight [out][in][3][3], or, for the gradient of the
 * input, `transposed`: [in][out][3][3] to be rotated by 180 degrees. */
void NAME(winograd_correlate)(float *y, bool accumulate, const float *x, const float *weight,
                              bool transposed, const struct winograd_job *job, float *workspace,
                              int threads);

/* The same for the gradient of the filters: a->dweight from a->x and a->dy. */
bool NAME(winograd_weight_pays)(const struct conv_args *a, const struct geometry *g);
size_t NAME(winograd_weight_workspace)(const struct conv_args *a, const struct geometry *g,
                                       int threads);
void NAME(winograd_weight_gradient)(const struct conv_args *a, const struct geometry *g,
                                    int threads);

#endif
