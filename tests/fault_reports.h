/* fault_reports.h: the same as fault_runs.h for what is made of finished runs: the report at the
 * end of a run, and the command `compare`. */
#ifndef FAULT_REPORTS_H
#define FAULT_REPORTS_H

#include "fault_runs.h"

/* Set-up and tear-down of a test program: the undisturbed runs and reports. */
int fault_reports_make(void **state);
int fault_reports_remove(void **state);

/* run_trial for a report. What is left of it is whole files, new or old; and the same command then
 * leaves what an undisturbed one does. START_FORCED finds an older report of the same names; and
 * REPORT_TRAINED with --force older runs as well. */
bool run_report_trial(void *state, struct outcome *out, const struct trial *trial);

#endif
