/* report_text.h: the text of report.md. */
#ifndef REPORT_TEXT_H
#define REPORT_TEXT_H

#include "data/answers.h"
#include "error.h"
#include "run/run.h"

#include <stddef.h>

/* The contents of a report. */
struct report_text {
    const struct run_description *run;
    const struct run_state *state;
    const struct epoch_metrics *epochs; /* [epoch_count] */
    int epoch_count;
    struct answers answers;  /* of the final weights on the test set */
    struct score score;      /* of the final weights on the test set */
    int misclassified_pages; /* pictures of mistakes; 0: no pictures were drawn */
};

/* Makes the text, Markdown with tables, of *bytes bytes. Release with report_text_free. Errors:
 * STATUS_FAILED: no memory. */
enum status report_text_make(struct error *error, char **out, size_t *bytes,
                             const struct report_text *report);
void report_text_free(char *text);

#endif
