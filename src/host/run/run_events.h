/* run_events.h: shows a run in TensorBoard. */
#ifndef RUN_EVENTS_H
#define RUN_EVENTS_H

#include "error.h"
#include "run/event_file.h"
#include "run/run.h"

/* Makes an event file in `folder` and fills it with the epochs of the file `metrics`
 * (metrics.jsonl), which agree with `state`. Their times are computed from their seconds, as if the
 * run had not been interrupted. Errors: STATUS_FAILED; STATUS_BAD_DATA naming the line of
 * `metrics`. */
enum status run_events_open(struct error *error, struct event_file *out, const char *folder,
                            const char *metrics, const struct run_state *state);

/* Adds the scalars of an epoch, in one record; wall_time is as from clock_wall. Errors:
 * STATUS_FAILED. */
enum status run_events_add(struct error *error, struct event_file *out,
                           const struct epoch_metrics *metrics, double wall_time);

#endif
