/* backend_cpu.c: the CPU as a device: threads, the choice of instruction set, memory, copies and
 * events.
 *
 * All work is done when a call returns, so streams and events do nothing. */
#include "cpu/device.h"
#include "memory.h"
#include "poison.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An instruction set that the operations were compiled for. */
struct variant {
    const char *option, *title;
    const struct operations *operations;
    bool runs_here;
};

#ifdef CPU_X86
/* The features that x86-64-v3 and v4 add to the levels below (not every compiler knows the names of
 * the levels). */
static bool has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

static bool has_avx512(void) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

/* Bytes that hold the names of all variants as a list. */
enum { VARIANT_NAMES = 64 };

/* "avx2 or baseline": the variants that this CPU runs. */
static void list_variants(char out[VARIANT_NAMES], const struct variant *variants, size_t count) {
    size_t length = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++)
        if (variants[i].runs_here)
            length += (size_t)snprintf(out + length, VARIANT_NAMES - length, "%s%s",
                                       length == 0      ? ""
                                       : i + 1 == count ? " or "
                                                        : ", ",
                                       variants[i].option);
}

/* The best variant that this CPU runs, or the one that TRAIN_GPU_CPU=avx512|avx2|baseline asks for
 * (for tests and comparisons). Errors: STATUS_NO_DEVICE if it asks for one that is unknown or does
 * not run here. */
static enum status choose_variant(struct error *error, struct variant *out) {
    const char *wanted = getenv("TRAIN_GPU_CPU");
    char names[VARIANT_NAMES];
#ifdef CPU_X86
    bool avx2 = has_avx2(), avx512 = avx2 && has_avx512();
#endif
    const struct variant variants[] = {
#ifdef CPU_X86
        {"avx512", "AVX-512", &cpu_operations_avx512, avx512},
        {"avx2", "AVX2", &cpu_operations_avx2, avx2},
#endif
        {"baseline", "baseline instructions", &cpu_operations_baseline, true},
    };
    const size_t count = sizeof variants / sizeof variants[0];
    for (size_t i = 0; i < count; i++)
        if (variants[i].runs_here &&
            (wanted == NULL || *wanted == '\0' || strcmp(wanted, variants[i].option) == 0)) {
            *out = variants[i];
            return STATUS_OK;
        }
    list_variants(names, variants, count);
    return error_set(
        error, STATUS_NO_DEVICE,
        "TRAIN_GPU_CPU=%.32s: this program and CPU have no such instruction set: unset "
        "it, or set it to %s",
        wanted, names);
}

/* The value of OMP_NUM_THREADS, which the OpenMP library has read; 0: none, or none that it takes. It
 * takes a list, one number for each level of nested threads. */
static int threads_of_environment(void) {
    const char *text = getenv("OMP_NUM_THREADS");
    char *end = NULL;
    if (text == NULL || strtol(text, &end, 10) <= 0)
        return 0;
    end += strspn(end, " \t");
    return *end == '\0' || *end == ',' ? omp_get_max_threads() : 0;
}

/* --threads N, else OMP_NUM_THREADS, else what the system allows; out->why says which. The OpenMP
 * library ends the program if it cannot start that many, so a wild number in the environment is
 * limited, as the option is. */
static void choose_threads(struct processors *out, const struct device_options *options) {
    enum { MAX_THREADS = 1024 };
    const int environment = threads_of_environment();
    if (options->threads > 0)
        *out = (struct processors){options->threads, "as asked for"};
    else if (environment > 0)
        *out = (struct processors){environment, "OMP_NUM_THREADS"};
    else
        processors_find(out, "");
    if (out->count > MAX_THREADS)
        out->count = MAX_THREADS;
}

/* The number of threads that run if `wanted` are requested: OMP_THREAD_LIMIT may allow fewer. */
static int threads_running(int wanted) {
    int running = 1;
    /* With OMP_DYNAMIC the number could change from one operation to the next. */
    omp_set_dynamic(0);
#pragma omp parallel num_threads(wanted)
#pragma omp single
    running = omp_get_num_threads();
    return running;
}

static enum status cpu_open(struct error *error, struct device **out,
                            const struct device_options *options) {
    if (options->index != 0)
        return error_set(error, STATUS_NO_DEVICE, "there is one CPU device, 0, not %d",
                         options->index);
    struct variant variant = {0};
    if (choose_variant(error, &variant) != STATUS_OK ||
        memory_alloc(error, out, 1, sizeof **out, "the CPU device") != STATUS_OK)
        return error->status;
    struct processors wanted;
    choose_threads(&wanted, options);
    int threads = threads_running(wanted.count);
    char limit[64] = "";
    if (threads < wanted.count)
        snprintf(limit, sizeof limit, " (%d requested, but OpenMP allows no more)", wanted.count);
    (*out)->threads = threads;
    (*out)->poison = poison_wanted();
    (*out)->operations = variant.operations;
    (*out)->instructions = variant.title;
    memcpy((*out)->why_threads, wanted.why, sizeof wanted.why);
    snprintf((*out)->description, sizeof(*out)->description, "CPU, %d thread%s%s, %s", threads,
             threads == 1 ? "" : "s", limit, variant.title);
    return STATUS_OK;
}

static void cpu_close(struct device *device) {
    memory_free(device);
}

static const char *cpu_describe(const struct device *device) {
    return device->description;
}

static int cpu_threads(const struct device *device) {
    return device->threads;
}

static const char *cpu_why_threads(const struct device *device) {
    return device->why_threads;
}

static const char *cpu_arithmetic(const struct device *device) {
    return device->instructions;
}

static const struct operations *cpu_operations(const struct device *device) {
    return device->operations;
}

/* The CPU has one algorithm for each operation. */
static const char *cpu_choice(const struct device *device, int index) {
    (void)device;
    (void)index;
    return NULL;
}

/* Unknown: the system promises more memory than it has. */
static size_t cpu_memory_left(struct device *device) {
    (void)device;
    return 0;
}

static enum status cpu_alloc(struct error *error, struct device *device, void *out, size_t bytes,
                             const char *what) {
    void *memory = NULL;
    enum status status = memory_alloc(error, &memory, bytes, 1, what);
    memcpy(out, &memory, sizeof memory);
    if (status == STATUS_OK && device->poison)
        memset(memory, POISON_BYTE, bytes);
    return status;
}

static enum status cpu_alloc_pinned(struct error *error, struct device *device, void *out,
                                    size_t bytes, const char *what) {
    (void)device;
    return memory_alloc(error, out, bytes, 1, what);
}

static void cpu_release(struct device *device, void *memory) {
    (void)device;
    memory_free(memory);
}

static enum status cpu_copy(struct error *error, struct device *device, enum stream stream,
                            void *to, const void *from, size_t bytes) {
    (void)error;
    (void)device;
    (void)stream;
    memcpy(to, from, bytes);
    return STATUS_OK;
}

static enum status cpu_clear(struct error *error, struct device *device, enum stream stream,
                             void *to, size_t bytes) {
    (void)error;
    (void)device;
    (void)stream;
    memset(to, 0, bytes);
    return STATUS_OK;
}

static enum status cpu_event_create(struct error *error, struct device *device,
                                    struct event **out) {
    (void)device;
    return memory_alloc(error, out, 1, 1, "an event");
}

static void cpu_event_destroy(struct device *device, struct event *event) {
    (void)device;
    memory_free(event);
}

static enum status cpu_event_on_stream(struct error *error, struct device *device,
                                       struct event *event, enum stream stream) {
    (void)error;
    (void)device;
    (void)event;
    (void)stream;
    return STATUS_OK;
}

static enum status cpu_event_synchronize(struct error *error, struct device *device,
                                         struct event *event) {
    (void)error;
    (void)device;
    (void)event;
    return STATUS_OK;
}

const struct backend cpu_backend = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .threads = cpu_threads,
    .why_threads = cpu_why_threads,
    .arithmetic = cpu_arithmetic,
    .operations = cpu_operations,
    .choice = cpu_choice,
    .memory_left = cpu_memory_left,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .alloc_pinned = cpu_alloc_pinned,
    .release_pinned = cpu_release,
    .upload = cpu_copy,
    .download = cpu_copy,
    .clear = cpu_clear,
    .event_create = cpu_event_create,
    .event_destroy = cpu_event_destroy,
    .event_record = cpu_event_on_stream,
    .event_wait = cpu_event_on_stream,
    .event_synchronize = cpu_event_synchronize,
};
