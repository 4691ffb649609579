/* timing.c: how long work on a device takes. */
#include "timing.h"

#include "base/clock.h"

#include <stdlib.h>

/* The minimum time of a sample, in seconds. */
static const double sample_seconds = 3e-3;

enum status wait_for_device(struct error *error, const struct backend *backend,
                            struct device *device, struct event *event) {
    if (backend->event_record(error, device, event, STREAM_COMPUTE) != STATUS_OK)
        return error->status;
    return backend->event_synchronize(error, device, event);
}

static enum status launch_all(struct error *error, const struct work *work) {
    for (int i = 0; i < work->launches; i++)
        if (work->launch(error, work->context, i) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}

/* Seconds of a sample, which ends with a wait. */
static enum status time_sample(struct error *error, double *seconds, const struct work *work) {
    double start = clock_seconds();
    if ((work->recording == NULL
             ? launch_all(error, work)
             : work->backend->replay(error, work->device, work->recording)) != STATUS_OK ||
        wait_for_device(error, work->backend, work->device, work->event) != STATUS_OK)
        return error->status;
    *seconds = clock_seconds() - start;
    return STATUS_OK;
}

/* One launch to warm up, and one to see how many make a sample, which are recorded. */
static enum status prepare(struct error *error, struct work *work) {
    const struct backend *backend = work->backend;
    double seconds = 0;
    work->launches = 1;
    work->recording = NULL;
    for (int i = 0; i < 2; i++)
        if (time_sample(error, &seconds, work) != STATUS_OK)
            return error->status;
    double wanted = sample_seconds / seconds + 1;
    work->launches = wanted >= work->most    ? work->most
                     : wanted <= work->least ? work->least
                                             : (int)wanted;
    if (backend->record_begin == NULL)
        return STATUS_OK;
    if (backend->record_begin(error, work->device) != STATUS_OK)
        return error->status;
    if (launch_all(error, work) != STATUS_OK) {
        backend->record_cancel(work->device);
        return error->status;
    }
    return backend->record_end(error, work->device, &work->recording);
}

enum status time_work(struct error *error, double *seconds, struct work *work, int samples) {
    double times[MAX_SAMPLES];
    enum status status = prepare(error, work);
    for (int i = 0; i < samples && status == STATUS_OK; i++)
        status = time_sample(error, &times[i], work);
    if (work->recording != NULL)
        work->backend->recording_destroy(work->device, work->recording);
    if (status == STATUS_OK)
        *seconds = median(times, samples) / work->launches;
    return status;
}

static int compare_times(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *times, int count) {
    qsort(times, (size_t)count, sizeof times[0], compare_times);
    return times[count / 2];
}
