/* console.h: what a training run prints on standard output; with --quiet nothing. If it cannot be
 * written, the run continues (output_progress). */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "run/run.h"

#include <stdbool.h>

/* What is trained, on what, where, how. `resumed`: where the run resumes, NULL for a new one;
 * `unfinished`: an unfinished run in the folder is about to be overwritten. */
void console_header(const struct run_description *run, const struct run_state *resumed,
                    bool unfinished);

/* The line of an epoch. */
void console_epoch(const struct run_description *run, const struct epoch_metrics *metrics);

/* How it ended: the last epoch, the best one, the time that it took. */
void console_closing(const struct run_description *run, const struct run_state *state);

#endif
