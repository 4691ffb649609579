/* machine.c: what this machine's CPU could do at most: its multiply-adds a second, and the
 * bandwidth of its memory. */
#include "machine.h"

#include "cpu/device.h"
#include "device_copy.h"
#include "timing.h"

enum {
    ROUNDS = 1 << 23, /* of a sample: some 30 ms */
    BLOCK = 256 << 20 /* bytes read, or copied: more than caches hold */
};

static const struct probes *probes_of(const struct device *device) {
#ifdef CPU_X86
    if (device->operations == &cpu_operations_avx512)
        return &probes_avx512;
    if (device->operations == &cpu_operations_avx2)
        return &probes_avx2;
#endif
    return &probes_baseline;
}

struct probe {
    const struct probes *probes;
    float *block; /* to read; NULL: multiply-adds */
    int threads;
};

/* What the number of threads leaves over is not read. */
static enum status launch_probe(struct error *error, const void *context, int index) {
    const struct probe *probe = context;
    const size_t part = BLOCK / sizeof(float) / (size_t)probe->threads / 64 * 64;
    (void)error;
    (void)index;
#pragma omp parallel for num_threads(probe->threads) schedule(static)
    for (int i = 0; i < probe->threads; i++)
        if (probe->block == NULL)
            probe->probes->multiply_adds(ROUNDS);
        else
            probe->probes->sum(probe->block + (size_t)i * part, part);
    return STATUS_OK;
}

enum status machine_measure(struct error *error, struct machine *out, struct device *device,
                            struct event *event, int samples) {
    struct device_copy copy = {
        .backend = &cpu_backend, .device = device, .event = event, .bytes = BLOCK};
    struct probe probe = {.probes = probes_of(device), .threads = device->threads};
    struct work work = {.backend = &cpu_backend,
                        .device = device,
                        .event = event,
                        .launch = launch_probe,
                        .context = &probe,
                        .least = 1,
                        .most = 1};
    double seconds = 0;
    if (time_work(error, &seconds, &work, samples) != STATUS_OK)
        return error->status;
    out->flops = probe.probes->flops * ROUNDS * probe.threads / seconds;
    enum status status = STATUS_OK;
    float *from = NULL;
    if (cpu_backend.alloc(error, device, &from, BLOCK, "a block to read") ||
        cpu_backend.alloc(error, device, &copy.to, BLOCK, "a block to write"))
        status = error->status;
    copy.from = probe.block = from;
    if (status == STATUS_OK)
        status = time_work(error, &seconds, &work, samples);
    out->read = BLOCK / seconds;
    if (status == STATUS_OK)
        status = copy_rate(error, &out->copy, &copy, samples);
    cpu_backend.release(device, from);
    cpu_backend.release(device, copy.to);
    return status;
}
