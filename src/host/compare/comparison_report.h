/* comparison_report.h: the files of a comparison: compare.json, compare.md and the pictures. */
#ifndef COMPARISON_REPORT_H
#define COMPARISON_REPORT_H

#include "compare/comparison_figures.h"
#include "error.h"
#include "run/options.h"

/* Writes compare.json, compare.md, compare.png and, after a sweep, sweep.png into the comparison's
 * folder, each whole or not at all. Prints a summary; with --json the object of compare.json
 * instead, with --quiet nothing. If the program cannot draw, a note says so, and the other files
 * are written. Errors: STATUS_FAILED. */
enum status comparison_report(struct error *error, const struct comparison *comparison,
                              const struct options *options);

#endif
