/* device_fixture.h: an opened device for tests, and device buffers that reveal misuse.
 *
 * A buffer lies between sentinels. Inputs are kept on the host too and must come back unchanged;
 * outputs start as NaN, so that an element that is not written shows. case_end checks all of it.
 * Sentinels are NaN as floats, so that a result that depends on memory outside is NaN, too. */
#ifndef DEVICE_FIXTURE_H
#define DEVICE_FIXTURE_H

#include "backend.h"
#include "support.h"

enum { MAX_BUFFERS = 24 };

enum buffer_role { BUFFER_INPUT, BUFFER_OUTPUT, BUFFER_WORKSPACE };

struct device_buffer {
    enum buffer_role role;
    uint8_t *memory; /* device: sentinel, payload, sentinel */
    size_t bytes;    /* of the payload */
    uint8_t *host;   /* BUFFER_INPUT: the payload as it was uploaded */
};

struct fixture {
    const struct backend *backend;
    struct device *device; /* NULL: there is none */
    struct device_options options;
    const struct operations *ops;
    struct event *event;
    struct error error;
    int buffer_count;
    struct device_buffer buffers[MAX_BUFFERS];
};

/* ---- opening --------------------------------------------------------------------------------- */

/* REQUIRE_GPU=1: a test that finds no GPU fails instead of being skipped. */
bool gpu_required(void);

/* Runs `tests` on every backend of this program, each named "backend: test" and given the fixture
 * as its state; on the CPU once for each of its instruction sets that this machine has, unless
 * TRAIN_GPU_CPU names one. Tests of a backend without a device are skipped; with REQUIRE_GPU=1 they
 * fail, and so does a program whose only backend is the CPU's. TEST_BACKEND=NAME runs only that
 * backend's tests. Returns the number of failures. */
int run_on_backends(const struct CMUnitTest *tests, size_t count);

/* The same on GPUs only, opened with other options; `name` says which, in the names of the tests. */
int run_on_gpus(const struct CMUnitTest *tests, size_t count, const struct device_options *options,
                const char *name);

/* The fixture of a test started by one of these; skips the test when there is no device. */
struct fixture *fixture_of(void **state);

/* Whether the device computes as exactly as the CPU backend, from memory of any alignment. The
 * libraries of a GPU need not: cuDNN may choose Winograd's convolutions, may take a variance as
 * E[x^2] - E[x]^2, and the networks give it addresses of at least 16 bytes' alignment only. The
 * stand-in is exact unless CUDASIM_CUDNN=rough. */
bool device_is_exact(const struct fixture *f);

/* Opens a device for a test that wants options of its own; any failure fails the test. */
void fixture_open(struct fixture *f, const struct backend *backend,
                  const struct device_options *options);
void fixture_close(struct fixture *f);

/* ---- one case: buffers in, one or more operations, checks ------------------------------------ */

/* Releases the buffers of a case that a failure cut short, and names the new one. */
void case_begin(struct fixture *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Checks every sentinel and every input, then releases the buffers and the numbers. */
void case_end(struct fixture *f);

/* Fails the test with the device's message unless status is STATUS_OK. */
void must(struct fixture *f, const char *call, enum status status);
/* Fails the test unless the device refused the operation: STATUS_FAILED and a message. */
void assert_refused(struct fixture *f, enum status status);
/* must(f, "conv_forward", ops->conv_forward(&f->error, f->device, &args)) in short. */
#define RUN(f, operation, args)                                                                    \
    must(f, #operation, (f)->ops->operation(&(f)->error, (f)->device, args))

const float *device_floats(struct fixture *f, const double *values, size_t count);
const void *device_bytes(struct fixture *f, const void *values, size_t bytes);
/* Written by the operation; poisoned until then. */
float *device_output(struct fixture *f, size_t count);
uint8_t *device_output_bytes(struct fixture *f, size_t bytes);
/* Read and written by the operation. */
float *device_in_out(struct fixture *f, const double *values, size_t count);
void *device_in_out_bytes(struct fixture *f, const void *values, size_t bytes);
/* Workspace full of NaN. */
void *device_workspace(struct fixture *f, size_t bytes);
const struct step_state *device_state(struct fixture *f, uint64_t step, float rate);

/* From here on the buffer is an input and must not change. */
void device_freeze(struct fixture *f, const void *payload);
/* Fills a workspace or an output with NaN again. */
void device_poison(struct fixture *f, const void *payload);

/* The payload on the host, valid until case_end. */
const void *device_read(struct fixture *f, const void *payload);
size_t device_size(struct fixture *f, const void *payload);

/* Compares a whole buffer. */
void check_device(struct fixture *f, const char *what, const float *payload, const double *expected,
                  double rtol, double atol);

/* Copies through pinned memory and waits. */
void upload_now(struct fixture *f, void *device_to, const void *from, size_t bytes);
void download_now(struct fixture *f, void *to, const void *device_from, size_t bytes);

#endif
