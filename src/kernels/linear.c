/* linear.c: the linear layer through cuBLAS.
 *
 * cuBLAS is column-major: it sees a row-major matrix [rows][columns] as its transpose, so the
 * products below are written transposed: y^T = weight x^T and so on. */
#include "kernels/check.h"
#include "kernels/device.h"

static const float zero = 0, one = 1;

/* y^T [outputs x batch] = weight [outputs x inputs] x^T [inputs x batch] */
enum status cuda_linear_forward(struct error *error, struct device *device,
                                const struct linear_args *a) {
    return CUBLAS(error, cublasSgemm(device->cublas, CUBLAS_OP_T, CUBLAS_OP_N, a->outputs, a->batch,
                                     a->inputs, &one, a->weight, a->inputs, a->x, a->inputs, &zero,
                                     a->y, a->outputs));
}

/* dx^T [inputs x batch] = weight^T [inputs x outputs] dy^T [outputs x batch]
 * dweight^T [inputs x outputs] = x^T [inputs x batch] dy [batch x outputs] */
enum status cuda_linear_backward(struct error *error, struct device *device,
                                 const struct linear_args *a) {
    if (CUBLAS(error, cublasSgemm(device->cublas, CUBLAS_OP_N, CUBLAS_OP_N, a->inputs, a->batch,
                                  a->outputs, &one, a->weight, a->inputs, a->dy, a->outputs, &zero,
                                  a->dx, a->inputs)) != STATUS_OK)
        return error->status;
    return CUBLAS(error, cublasSgemm(device->cublas, CUBLAS_OP_N, CUBLAS_OP_T, a->inputs,
                                     a->outputs, a->batch, &one, a->x, a->inputs, a->dy, a->outputs,
                                     &zero, a->dweight, a->inputs));
}
