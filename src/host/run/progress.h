/* progress.h: a progress bar on standard error, if that is a terminal; otherwise every call does
 * nothing. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "model/evaluate.h"

#include <stdbool.h>

struct progress {
    bool drawn_on; /* a bar is wanted, and standard error is a terminal */
    bool color;
    bool visible; /* the bar is on the current line */
    int epoch, epochs, steps;
    double start, last; /* clock_seconds at the epoch's start and at the last drawing */
};

/* `wanted`: whether the options allow a bar. In the environment, TERM=dumb means no bar, and
 * NO_COLOR no colour (https://no-color.org). */
void progress_open(struct progress *out, bool wanted);

/* Begins an epoch of `steps` steps, or resumes it after `seconds`. */
void progress_begin(struct progress *progress, int epoch, int epochs, int steps, double seconds);

/* Whether it is time to draw the bar again, half a second after the last time. */
bool progress_due(const struct progress *progress);

/* Draws the bar: `step` steps of the epoch are done, with the score so far. */
void progress_draw(struct progress *progress, int step, const struct score *score);

/* Shows that the epoch is being evaluated. */
void progress_evaluating(struct progress *progress);

/* Erases the bar before something else is printed. */
void progress_clear(struct progress *progress);

#endif
