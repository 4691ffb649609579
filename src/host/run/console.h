/* console.h: what a training run prints on standard output; with --quiet nothing. If printing
 * fails, the run continues (output_progress). */
#ifndef CONSOLE_H
#define CONSOLE_H

#include "run/run.h"

#include <stdbool.h>

/* Prints network, data, device and recipe. `resumed`: the state that the run resumes from, NULL for
 * a new run; `unfinished`: an unfinished run in the folder is about to be overwritten. */
void console_header(const struct run_description *run, const struct run_state *resumed,
                    bool unfinished);

/* Prints the line of an epoch. */
void console_epoch(const struct run_description *run, const struct epoch_metrics *metrics);

/* Prints the result: steps, time, best and final accuracy, files. */
void console_closing(const struct run_description *run, const struct run_state *state);

#endif
