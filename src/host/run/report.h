/* report.h: the report on a finished run: report.md and its pictures. */
#ifndef REPORT_H
#define REPORT_H

#include "error.h"
#include "model/evaluate.h"
#include "run/run.h"

#include <stdbool.h>

/* Writes curves.png, confusion.png, misclassified.png (with further pages if --misclassified asks
 * for more) and report.md into the run's folder, each whole or not at all. `score` and `logits`
 * [test images][CLASS_COUNT] are the result of the final weights on the test images. If the program
 * cannot draw, a note says so, and only report.md is written. Errors: STATUS_FAILED;
 * STATUS_BAD_DATA: metrics.jsonl cannot be read. */
enum status report_write(struct error *error, const struct run_description *run,
                         const struct run_state *state, const struct score *score,
                         const float *logits);

/* Sets *out to whether the folder holds a report.md. Errors: STATUS_USAGE: its path is too long. */
enum status report_is_there(struct error *error, bool *out, const char *folder);

/* Removes the report of an earlier run from the folder. Errors: STATUS_FAILED. */
enum status report_remove(struct error *error, const char *folder);

#endif
