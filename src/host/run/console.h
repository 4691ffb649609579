/* console.h: what a training run prints on standard output; with --quiet nothing. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "error.h"
#include "run/run.h"

#include <stdbool.h>

/* What is trained, on what, where, how. `resumed`: where the run goes on, NULL for a new one;
 * `unfinished`: a run in the folder is about to be overwritten. Errors, here and below:
 * STATUS_FAILED when standard output cannot be written. */
enum status console_header(struct error *error, const struct run_description *run,
                           const struct run_state *resumed, bool unfinished);

/* The line of an epoch. */
enum status console_epoch(struct error *error, const struct run_description *run,
                          const struct epoch_metrics *metrics);

/* How it ended: the last epoch, the best one, the time that it took. */
enum status console_closing(struct error *error, const struct run_description *run,
                            const struct run_state *state);

#endif
