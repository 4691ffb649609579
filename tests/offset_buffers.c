/* offset_buffers.c: device buffers that start anywhere. */
#include "offset_buffers.h"

#include "compare.h"

#include <math.h>
#include <string.h>

enum { FILLER = 0xFE }; /* the fixture's outputs begin with it, too */

/* `values` after `offset` NaNs. */
static double *shifted(const double *values, size_t count, size_t offset) {
    double *all = doubles(offset + count);
    for (size_t i = 0; i < offset; i++)
        all[i] = (double)NAN;
    memcpy(all + offset, values, count * sizeof *all);
    return all;
}

const float *offset_floats(struct fixture *f, const double *values, size_t count, size_t offset) {
    return device_floats(f, shifted(values, count, offset), offset + count) + offset;
}

const uint8_t *offset_bytes(struct fixture *f, const void *values, size_t bytes, size_t offset) {
    uint8_t *all = zeroed_bytes(offset + bytes);
    memset(all, FILLER, offset);
    memcpy(all + offset, values, bytes);
    return (const uint8_t *)device_bytes(f, all, offset + bytes) + offset;
}

float *offset_output(struct fixture *f, size_t count, size_t offset) {
    return device_output(f, offset + count) + offset;
}

uint8_t *offset_output_bytes(struct fixture *f, size_t bytes, size_t offset) {
    uint8_t *all = zeroed_bytes(offset + bytes);
    memset(all, FILLER, offset + bytes);
    return (uint8_t *)device_in_out_bytes(f, all, offset + bytes) + offset;
}

float *offset_in_out(struct fixture *f, const double *values, size_t count, size_t offset) {
    return device_in_out(f, shifted(values, count, offset), offset + count) + offset;
}

void check_offset(struct fixture *f, const char *what, const float *payload, size_t offset,
                  const double *expected, double rtol, double atol) {
    const float *start = payload - offset, *all = device_read(f, start);
    for (size_t i = 0; i < offset; i++)
        if (!isnan(all[i]))
            fail_msg("%s, %s: written %zu elements before its start", case_text(), what,
                     offset - i);
    check_floats(what, all + offset, expected, device_size(f, start) / sizeof *all - offset, rtol,
                 atol);
}

void check_offset_bytes(struct fixture *f, const char *what, const uint8_t *payload, size_t offset,
                        const void *expected) {
    const uint8_t *start = payload - offset, *all = device_read(f, start);
    for (size_t i = 0; i < offset; i++)
        if (all[i] != FILLER)
            fail_msg("%s, %s: written %zu bytes before its start", case_text(), what, offset - i);
    check_bytes(what, all + offset, expected, device_size(f, start) - offset);
}
