/* progress.h: a progress bar on the terminal behind standard error; elsewhere every call does
 * nothing. */
#ifndef PROGRESS_H
#define PROGRESS_H

#include "model/evaluate.h"

#include <stdbool.h>

struct progress {
    bool drawn_on; /* a bar is wanted, and there is a terminal */
    bool color;
    bool visible; /* the bar is on the current line */
    int epoch, epochs, steps;
    double start, last; /* clock_seconds of the epoch's start, of the last drawing */
};

/* `wanted`: what the options say. The environment: NO_COLOR (https://no-color.org), TERM=dumb for
 * no bar. */
void progress_open(struct progress *out, bool wanted);

/* Begins an epoch of `steps` steps, or resumes it after `seconds`. */
void progress_begin(struct progress *progress, int epoch, int epochs, int steps, double seconds);

/* Whether to draw the bar again: half a second after the last time, never without a bar. */
bool progress_due(const struct progress *progress);

/* Draws the bar: `step` steps of the epoch done, with what was counted in it so far. */
void progress_draw(struct progress *progress, int step, const struct score *score);

/* Shows that the epoch is being evaluated. */
void progress_evaluating(struct progress *progress);

/* Erases the bar before something else is printed. */
void progress_clear(struct progress *progress);

#endif
