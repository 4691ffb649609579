/* run_events.c: shows a run in TensorBoard: the epochs of metrics.jsonl as scalars.
 *
 * A resumed run adds a new event file. The earlier ones stay, because a TensorBoard that has one
 * open stops following the run if it disappears. The new file begins a session at step 0, which
 * makes TensorBoard drop everything it has read, and then repeats the epochs of metrics.jsonl,
 * which by now agrees with the checkpoint. So each epoch is shown once, no matter what a killed run
 * left behind, and whether or not the run had --tensorboard from the start. */
#include "run/run_events.h"

#include "base/clock.h"
#include "memory.h"
#include "run/metrics.h"

enum status run_events_add(struct error *error, struct event_file *out,
                           const struct epoch_metrics *metrics, double wall_time) {
    bool validation = metrics->validation;
    const struct event_scalar scalars[] = {
        {"loss/train", (float)metrics->train.loss},
        {validation ? "loss/validation" : "loss/test", (float)metrics->test.loss},
        {"accuracy/train", (float)metrics->train.accuracy},
        {validation ? "accuracy/validation" : "accuracy/test", (float)metrics->test.accuracy},
        {"learning_rate", metrics->learning_rate},
        {"images_per_second", (float)metrics->images_per_second},
    };
    return event_file_add_scalars(error, out, metrics->step, wall_time, scalars,
                                  sizeof scalars / sizeof scalars[0]);
}

enum status run_events_open(struct error *error, struct event_file *out, const char *folder,
                            const char *metrics, const struct run_state *state) {
    struct epoch_metrics *epochs;
    int count;
    if (event_file_create(error, out, folder) != STATUS_OK ||
        metrics_read(error, &epochs, &count, metrics) != STATUS_OK)
        return error->status;
    double wall_time = clock_wall() - state->elapsed;
    enum status status = STATUS_OK;
    for (int i = 0; i < count && status == STATUS_OK; i++) {
        wall_time += epochs[i].seconds + epochs[i].eval_seconds;
        status = run_events_add(error, out, &epochs[i], wall_time);
    }
    memory_free(epochs);
    return status;
}
