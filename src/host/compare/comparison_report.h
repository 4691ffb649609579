/* comparison_report.h: what a comparison leaves: compare.json, compare.md and its pictures. */
#ifndef COMPARISON_REPORT_H
#define COMPARISON_REPORT_H

#include "compare/comparison_figures.h"
#include "error.h"
#include "run/options.h"

/* Writes compare.json, compare.md, compare.png and, where there is a sweep, sweep.png into the
 * comparison's folder, each whole or not at all, and prints what they say: with --json the object
 * of compare.json, with --quiet nothing. Where the program cannot draw it says so and writes the
 * other files. Errors: STATUS_FAILED. */
enum status comparison_report(struct error *error, const struct comparison *comparison,
                              const struct options *options);

#endif
