// runtime.hpp: what the files of the stand-in's runtime share: calls (calls.cpp), memory
// (memory.cpp, faults.cpp), streams (stream.cpp, copy.cpp, capture.cpp, graph.cpp) and kernels
// (kernel.cpp, block.cpp, shared.cpp).
#ifndef CUDASIM_RUNTIME_HPP
#define CUDASIM_RUNTIME_HPP

#include "cudasim_internal.hpp"

#include <cudasim_kernel.h>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace cudasim {

// ---- calls.cpp: shared by all calls ------------------------------------------------------------

// Lives as long as a call of the CUDA runtime: holds the lock, and knows whether the call must
// fail: at the test's request, after a lasting error, or because there is no device.
class api_call {
  public:
    explicit api_call(const char *name, bool needs_device = true);
    cudaError_t refused() const {
        return refused_;
    }
    // The call's result, refused() before `result`; an error becomes the last error.
    cudaError_t end(cudaError_t result);

  private:
    std::lock_guard<std::recursive_mutex> lock_;
    cudaError_t refused_;
};

std::recursive_mutex &the_lock();
struct cudasim_counts &the_counts();
// The beginning of a launch returns its error, if the test wants one or one lasts. At its end an
// error waits for cudaGetLastError.
cudaError_t launch_begins();
void launch_ends(const char *name, cudaError_t result);

// ---- memory.cpp: allocations -------------------------------------------------------------------

enum class place { device, pinned };
enum class opened : unsigned char { no, to_read, to_write };

// Pages between guards, which must not be touched. The bytes of the allocation end at most 255
// bytes before the second guard; the rest of their pages (the margins) holds a pattern that is
// checked.
struct allocation {
    long number;
    place where;
    bool live;
    unsigned char *map, *pages, *pages_end, *map_end; // guard: map to pages, pages_end to map_end
    unsigned char *start;                             // what the program got
    size_t bytes;
    size_t granule;                // bytes that are opened to work at once
    std::vector<opened> opened_to; // each granule, for the work that runs
};

allocation *allocate(place where, size_t bytes); // null: no memory
void release(allocation *);
// The live allocation that starts there, or that holds all of the bytes; null: none.
allocation *allocation_at(const void *start, place where);
allocation *allocation_of(const void *start, size_t bytes, place where);
// The allocation, live or not, whose pages or guards hold the address; null: none.
allocation *allocation_near(const void *address);
std::string describe(const allocation *);
size_t device_memory_used();
size_t device_memory_limit();
void report_leaked_memory(std::vector<std::string> *lines);

// Device memory is open to work between the first and the last of these. Work that runs twice must
// write the same bytes in both runs, or work_ends fails.
void work_begins(bool twice);
void second_run_begins();
void work_ends();
// A fault of the work: true if the access may be repeated now. `write`: it certainly was a write.
bool open_touched(const void *address, bool write);
bool in_second_run();

// Work between graph_begins and the last run's end belongs to a graph that runs several times, in
// other orders. After each run but the last, memory is as before the graph; a run that leaves
// another result than the first fails.
void graph_begins();
void graph_run_ends(const std::string &graph, bool last);

// ---- faults.cpp --------------------------------------------------------------------------------

// Installs the signal handlers again, in case something else (cmocka) has replaced them.
void catch_faults();

// ---- copy.cpp ----------------------------------------------------------------------------------

// Fail unless device memory lies wholly in one allocation, and the direction matches the addresses.
void check_copy(const char *call, const void *to, const void *from, size_t bytes,
                enum cudaMemcpyKind kind);
void check_device_range(const char *call, const void *start, size_t bytes);

// ---- stream.cpp --------------------------------------------------------------------------------

struct capture_state;

// A place in a stream: where an event was recorded.
struct mark {
    cudaStream_t stream;
    bool done;
    double time;                            // when it was reached, in seconds
    std::shared_ptr<capture_state> capture; // that it belongs to; null: none
    std::vector<size_t> nodes;              // of the capture, which come before it
};

struct operation {
    std::string name;        // for messages about the spans
    std::vector<span> spans; // memory that it uses; of a kernel unknown
    // Called when the operation enters a stream's queue (not a graph); returns the work to do when
    // it runs.
    std::function<std::function<void()>()> issue;
    std::function<void()> work;        // what issue returned
    bool launch = false, copy = false; // counts as
    std::vector<const void *> hosts;   // pinned memory that it uses
    std::shared_ptr<mark> reached;     // set when it has run
    std::shared_ptr<mark> awaited;     // set before it runs
};

struct node {
    operation op;
    std::vector<size_t> after; // the nodes that it waits for; their numbers are smaller
    size_t branch;             // its stream: 0 where the capture began, then as they joined it
};

struct capture_state {
    enum cudaStreamCaptureMode mode;
    std::thread::id thread;
    cudaStream_t origin;
    bool valid = true, ended = false;
    size_t branches = 1;
    std::vector<node> nodes = {};
};

} // namespace cudasim

struct CUstream_st {
    long number;
    bool blocking; // waits for the default stream
    std::deque<cudasim::operation> queue;
    std::shared_ptr<cudasim::capture_state> capture; // null: not captured
    size_t branch;                                   // of the capture
    std::vector<size_t> reached;                     // nodes that its next one waits for
};

struct CUevent_st {
    long number;
    bool timing;
    std::shared_ptr<cudasim::mark> recorded; // the most recent record; null: never
};

namespace cudasim {

// Fails unless the stream exists and is not the default stream.
void need_stream(cudaStream_t stream, const char *call);
const std::vector<cudaStream_t> &all_streams();
void report_leaked_streams(std::vector<std::string> *lines);
// Into the queue or the graph; an error if the capture is broken.
cudaError_t append(cudaStream_t stream, operation op);
// Into the queue.
void issue(cudaStream_t stream, operation op);
void run_until(cudaStream_t stream, const mark *goal); // goal null: everything
void run_everything();
enum cudasim_order chosen_order();
void run_blocking_streams();
bool uses_pinned(const allocation *); // by work that is still queued

// ---- capture.cpp -------------------------------------------------------------------------------

// The error of a call that would wait or allocate while a stream is captured in a mode that forbids
// it; it also breaks the capture. The others are for calls that no mode allows: waiting for all
// streams, or for this one.
cudaError_t refused_by_capture();
cudaError_t refused_by_any_capture();
cudaError_t refused_by_capture_of(cudaStream_t stream);
// A node of the capture that the stream belongs to; an error if the capture is broken.
cudaError_t append_node(cudaStream_t stream, operation op);
// The stream or the mark belongs to a capture: the other one joins it, or may not.
cudaError_t wait_in_capture(cudaStream_t stream, const mark &awaited);

// ---- graph.cpp ---------------------------------------------------------------------------------

// Of the capture's nodes, which it takes. Fails if two that may run at the same time use the same
// memory.
cudaGraph_t make_graph(capture_state *capture);
void report_leaked_graphs(std::vector<std::string> *lines);

// ---- kernel.cpp, block.cpp, shared.cpp ---------------------------------------------------------

enum barrier { SYNCTHREADS, SYNCGRID, SYNCWARP, SHUFFLE };

struct kernel_launch {
    std::string name;
    const void *kernel;
    dim3 grid, block;
    size_t shared_bytes, shared_limit; // dynamic; static and dynamic together
    bool cooperative;                  // may synchronize the grid
    std::function<void()> thread;
};

struct cudaDeviceProp device_properties();
size_t shared_opt_in_limit();
bool has_kernel_image();

// Runs work that is not a kernel and may touch device memory.
void run_work(const std::string &name, const std::function<void()> &work);

// The work that runs now, for messages: "kernel NAME, block (x,y,z), thread (x,y,z)"; empty: none.
std::string who_runs();
bool work_runs_in_this_thread();
bool work_runs_twice(); // cudasim_set_reverse
// Whether the kernels that follow have run in both orders before, with the same arguments.
void kernels_are_known(bool known);

// Runs a block of the launch, its threads in order or in reverse order.
void run_block(const kernel_launch &launch, uint3 index, bool reverse);
// Runs the blocks of a cooperative launch, in the given order from one barrier of the grid to the
// next.
void run_blocks(const kernel_launch &launch, const std::vector<uint3> &order, bool reverse);
std::string triple(uint3 v);         // "(x,y,z)"
std::string thread_name(int thread); // "thread (x,y,z)" of the running block
int running_thread();

// Order among accesses to shared memory: those before a barrier happened before those after it.
// `memories`: of blocks that exist at the same time; shared_select chooses one of them.
void shared_launch_begins(const kernel_launch &launch, size_t memories);
void shared_select(size_t memory);
void shared_block_begins();
void shared_block_barrier();
void shared_warp_barrier(int warp);

} // namespace cudasim

#endif
