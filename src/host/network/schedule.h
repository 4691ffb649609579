/* schedule.h: the learning rate of each optimizer step. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include "network/recipe.h"

#include <stdint.h>

/* The rate of step `step` (from 0) of a run of recipe->epochs epochs of `steps_per_epoch` steps.
 * SCHEDULE_STEPS: peak * 0.1^(milestone epochs passed). SCHEDULE_LINEAR: with W = warmup * total
 * steps, peak * (step + 1) / W while step + 1 < W, then peak * min(1, (total - step) / (total -
 * W)), never above the peak: the last step has a small positive rate. */
float schedule_rate(const struct recipe *recipe, int64_t step, int steps_per_epoch);

#endif
