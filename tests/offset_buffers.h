/* offset_buffers.h: device buffers that start anywhere. The interface asks for no alignment beyond
 * that of the type, and wide accesses must check it.
 *
 * An offset buffer begins `offset` elements into a buffer of device_fixture.h. The elements before
 * it are NaN (bytes: 0xFE), and check_offset wants them unchanged. */
#ifndef OFFSET_BUFFERS_H
#define OFFSET_BUFFERS_H

#include "device_fixture.h"

const float *offset_floats(struct fixture *f, const double *values, size_t count, size_t offset);
const uint8_t *offset_bytes(struct fixture *f, const void *values, size_t bytes, size_t offset);
float *offset_output(struct fixture *f, size_t count, size_t offset);
uint8_t *offset_output_bytes(struct fixture *f, size_t bytes, size_t offset);
float *offset_in_out(struct fixture *f, const double *values, size_t count, size_t offset);

/* Compare the whole buffer. */
void check_offset(struct fixture *f, const char *what, const float *payload, size_t offset,
                  const double *expected, double rtol, double atol);
void check_offset_bytes(struct fixture *f, const char *what, const uint8_t *payload, size_t offset,
                        const void *expected);

#endif
