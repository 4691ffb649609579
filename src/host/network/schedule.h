/* schedule.h: the learning rate of each optimizer step. */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include "network/recipe.h"

#include <stdint.h>

/* The rate of step `step` (from 0) in a training of recipe->epochs epochs of `steps_per_epoch`
 * steps. SCHEDULE_STEPS: peak * 0.1^(number of milestone epochs passed). SCHEDULE_LINEAR, with W =
 * warmup * total: peak * (step + 1) / W while step + 1 < W, then peak * min(1, (total - step) /
 * (total - W)). The last step has a small positive rate. */
float schedule_rate(const struct recipe *recipe, int64_t step, int steps_per_epoch);

#endif
