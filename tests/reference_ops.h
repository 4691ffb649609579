/* reference_ops.h: the operations of backend.h as double-precision loops that are too simple to be
 * wrong.
 *
 * Shapes and settings come from the operation's own argument struct, whose pointers are not
 * read; tensors are doubles on the host, outputs first. test_reference.c compares their gradients
 * with finite differences, the tests of the operations compare devices with them. */
#ifndef REFERENCE_OPS_H
#define REFERENCE_OPS_H

#include "backend.h"

void reference_input(double *y, const struct input_args *a, uint64_t step, const uint8_t *images);

void reference_conv_forward(double *y, const struct conv_args *a, const double *x,
                            const double *weight);
/* dx may be NULL; with a->accumulate the gradient is added to it. */
void reference_conv_backward(double *dx, double *dweight, const struct conv_args *a,
                             const double *x, const double *weight, const double *dy);

void reference_filter_forward(double *y, const struct filter_args *a, const double *weight);
/* d holds dL/dy, then dL/dw. */
void reference_filter_backward(double *d, const struct filter_args *a, const double *weight);

/* The tensors of a norm; those that a call does not use may be NULL. */
struct norm_tensors {
    const double *x, *weight, *bias;
    double *y;
    double *before_relu; /* forward, may be NULL: v, so that a test can keep off the kink of ReLU */
    double *mean, *rstd;
    double *running_mean, *running_var;
    const double *dy;
    double *dx, *dweight, *dbias;
};

void reference_norm_forward(const struct norm_tensors *t, enum norm_kind kind,
                            const struct norm_args *a, uint64_t step);
void reference_norm_backward(const struct norm_tensors *t, enum norm_kind kind,
                             const struct norm_args *a, uint64_t step);
/* Elements of mean and of rstd; of weight and of bias. */
size_t norm_statistics(enum norm_kind kind, const struct norm_args *a);
size_t norm_weights(const struct norm_args *a);

/* skip and code may be NULL. */
void reference_pool_forward(double *y, uint8_t *code, const struct pool_args *a, const double *x,
                            const double *skip);
void reference_pool_backward(double *ds, const struct pool_args *a, const uint8_t *code,
                             const double *dy);

void reference_average_forward(double *y, const struct average_args *a, const double *x);
void reference_average_backward(double *dx, const struct average_args *a, const double *dy);

void reference_linear_forward(double *y, const struct linear_args *a, const double *x,
                              const double *weight);
void reference_linear_backward(double *dx, double *dweight, const struct linear_args *a,
                               const double *x, const double *weight, const double *dy);

/* dlogits may be NULL. */
void reference_loss(double *dlogits, struct counters *counters, const struct loss_args *a,
                    const double *logits, const uint8_t *labels);

void reference_sgd(double *weight, double *velocity, const struct sgd_args *a, double rate,
                   const double *gradient);

/* One matrix, step by step on X itself. */
void reference_muon(double *weight, double *velocity, const struct muon_matrix *m, double momentum,
                    double rate, const double *gradient);

#endif
