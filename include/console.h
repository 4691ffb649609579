/* console.h: what a training run prints on standard output; with --quiet nothing. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "error.h"
#include "run.h"

#include <stdbool.h>

/* What is trained, on what, where, how. `unfinished`: a run in the folder is about to be
 * overwritten. Errors, here and below: STATUS_FAILED when standard output cannot be written. */
enum status console_header(struct error *error, const struct run_description *run, bool unfinished);

/* The line of an epoch. */
enum status console_epoch(struct error *error, const struct run_description *run,
                          const struct epoch_metrics *metrics);

/* How it ended: the last epoch, the best one, the time since the run began. */
enum status console_closing(struct error *error, const struct run_description *run,
                            const struct epoch_metrics *last, const struct epoch_metrics *best,
                            double seconds);

#endif
