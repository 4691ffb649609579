/* schedule.c: the learning rate as a function of the step. */
#include "network/schedule.h"

#include "base/text.h"

/* In double precision, like PyTorch's schedulers: 0.1f * 0.1f is not the float nearest to 0.01. */
static float steps_rate(const struct recipe *recipe, int64_t epoch) {
    double rate = text_decimal(recipe->learning_rate);
    for (int i = 0; i < 2; i++)
        if (recipe->milestones[i] > 0 && epoch >= recipe->milestones[i])
            rate *= 0.1;
    return (float)rate;
}

static float linear_rate(const struct recipe *recipe, int64_t step, int64_t total) {
    double warm = (double)recipe->warmup * (double)total;
    double share = (double)(step + 1) < warm ? (double)(step + 1) / warm
                                             : (double)(total - step) / ((double)total - warm);
    return (float)(recipe->learning_rate * (share < 1 ? share : 1));
}

float schedule_rate(const struct recipe *recipe, int64_t step, int steps_per_epoch) {
    switch (recipe->schedule) {
    case SCHEDULE_STEPS:
        return steps_rate(recipe, step / steps_per_epoch);
    case SCHEDULE_LINEAR:
        return linear_rate(recipe, step, (int64_t)recipe->epochs * steps_per_epoch);
    }
    return 0;
}
