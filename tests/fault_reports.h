/* fault_reports.h: the same as fault_runs.h for reports on finished runs: the one at the end of a
 * run, and those of `compare`. */
#ifndef FAULT_REPORTS_H
#define FAULT_REPORTS_H

#include "fault_runs.h"

/* Set-up and tear-down of a test program: the undisturbed runs and reports. */
int fault_reports_make(void **state);
int fault_reports_remove(void **state);

/* run_trial for a report. It must leave complete files only, new or old, and the same command must
 * then leave what an undisturbed one does. START_FORCED finds an older report of the same names;
 * REPORT_TRAINED with --force finds older runs as well. */
bool run_report_trial(void *state, struct outcome *out, const struct trial *trial);

#endif
