/* cudasim.h: controls and counters of the stand-in for CUDA, for tests. C and C++. */
#ifndef CUDASIM_H
#define CUDASIM_H

#include <stddef.h>

/* The environment describes the device, and is read at each call:
 *   CUDASIM_DEVICES=N          how many (1); 0: cudaErrorNoDevice
 *   CUDASIM_DRIVER=old         cudaErrorInsufficientDriver
 *   CUDASIM_ARCH=MAJOR.MINOR   compute capability (9.0); below 7.5 there is no kernel image
 *   CUDASIM_SHARED=BYTES       shared memory of a block after opting in (99 KB) */

#ifdef __cplusplus
extern "C" {
#endif

/* Calls since the program began or cudasim_reset_counts was called. A replayed graph is one
 * graph_launch; what it runs counts in `launches`, too. */
struct cudasim_counts {
    long launches;         /* kernels, cuDNN's and cuBLAS's included */
    long copies;           /* cudaMemcpyAsync and cudaMemsetAsync */
    long synchronizations; /* the host waited, or might have: streams, events, the device, blocking
                              copies */
    long allocations; /* device or pinned memory, streams, events, graphs, descriptors, handles:
                         made or freed */
    long graph_launches;
    long graph_nodes; /* of the graph that was instantiated or launched last */
    long graph_chain; /* the most of its nodes that must run one after another */
};
void cudasim_reset_counts(void);
#ifdef __cplusplus
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* C++ has one name space for the two */
#endif
struct cudasim_counts cudasim_counts(void);
#ifdef __cplusplus
#pragma GCC diagnostic pop
#endif

/* clang-format off */
/* The order in which asynchronous work runs, one of those that streams and events allow. Read from
 * the environment variable CUDASIM_ORDER at the first call, else latest.
 *     latest    work runs only when something waits for it, and then only what is needed
 *     earliest  work runs as soon as everything it waits for has run
 *     other     as latest, but if several streams could run, another one goes first */
/* clang-format on */
enum cudasim_order { CUDASIM_LATEST, CUDASIM_EARLIEST, CUDASIM_OTHER };
void cudasim_set_order(enum cudasim_order order);

/* Whether each kernel is run a second time, with the blocks and the threads of each block in
 * reverse order, and must write the same bytes; and each graph of several streams, at its first
 * launch, once for each of them, with this one's work as early as possible. On at the start unless CUDASIM_REVERSE=0. */
void cudasim_set_reverse(int on);

/* Device memory in bytes; from CUDASIM_MEMORY at the start, else 2 GiB. */
void cudasim_set_memory(size_t bytes);

/* The `calls`-th CUDA runtime call from now that can fail (1: the next one) returns `code` (a
 * cudaError_t); 0: none does. A launch is such a call, too. Calls that free or destroy do so even
 * if they fail. After a code that leaves the device unusable, such as cudaErrorIllegalAddress,
 * every later call returns it. */
void cudasim_fail_call(long calls, int code);

/* The same for cuDNN and cuBLAS: the `calls`-th call from now, of both together, that returns a
 * status and destroys nothing. `status` is a cudnnStatus_t or a cublasStatus_t; a library that has
 * no such status returns its own EXECUTION_FAILED. */
void cudasim_fail_library_call(long calls, int status);

/* The name of the call that failed at the request of these two, "cudaMalloc"; NULL: none yet. */
const char *cudasim_failed_call(void);

#ifdef __cplusplus
}
#endif

#endif
