/* timing.h: how long work on a device takes, timed as training runs it: many launches in a row
 * without a wait, replayed from a recording where the backend has recordings. */
#ifndef TIMING_H
#define TIMING_H

#include "backend.h"

enum { MAX_SAMPLES = 999 };

/* `launch` is called with index 0, 1, ... in each sample; it may return before its work is done. */
struct work {
    const struct backend *backend;
    struct device *device;
    struct event *event; /* marks the end of a sample */
    enum status (*launch)(struct error *error, const void *context, int index);
    const void *context;
    int least, most; /* launches of a sample */

    /* of time_work: */
    int launches; /* of a sample */
    struct recording *recording;
};

/* Median seconds of a launch, over an odd number of samples, MAX_SAMPLES at most. A sample has as
 * many launches as make it much longer than the wait at its end. */
enum status time_work(struct error *error, double *seconds, struct work *work, int samples);

/* Waits until the device has done what was called so far on STREAM_COMPUTE. */
enum status wait_for_device(struct error *error, const struct backend *backend,
                            struct device *device, struct event *event);

/* The median of an odd number of times; sorts them. */
double median(double *times, int count);

#endif
