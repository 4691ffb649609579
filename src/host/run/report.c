/* report.c: writes report.md and its pictures for a finished run. The epochs come from
 * metrics.jsonl, so the report of a resumed run has all of them; the rest comes from the last
 * evaluation. */
#include "run/report.h"

#include "base/version.h"
#include "data/answers.h"
#include "memory.h"
#include "run/caption.h"
#include "run/metrics.h"
#include "run/report_text.h"
#include "run/run_folder.h"

#include <stdio.h>
#include <string.h>

static const char curves_name[] = "curves.png";
static const char misclassified_name[] = "misclassified.png";
static const char confusion_name[] = "confusion.png";
static const char report_name[] = "report.md";

/* ---- the network's answers ------------------------------------------------------------------- */

/* Fills *out. The caller releases out->probabilities with memory_free. */
static enum status make_answers(struct error *error, struct answers *out,
                                const struct run_description *run, const float *logits) {
    const struct image_set *set = &run->dataset->test;
    float *values;
    *out = (struct answers){.count = set->count,
                            .images = set->images,
                            .labels = set->labels,
                            .class_names = run->dataset->class_names};
    if (memory_alloc(error, &values, (size_t)set->count, CLASS_COUNT * sizeof *values,
                     "the probabilities of the images") != STATUS_OK)
        return error->status;
    out->probabilities = values;
    for (int i = 0; i < set->count; i++, values += CLASS_COUNT, logits += CLASS_COUNT) {
        double probabilities[CLASS_COUNT];
        softmax(probabilities, logits);
        for (int c = 0; c < CLASS_COUNT; c++)
            values[c] = (float)probabilities[c];
    }
    return STATUS_OK;
}

/* ---- pictures -------------------------------------------------------------------------------- */

static void make_caption(struct caption *out, const struct run_description *run) {
    struct run_settings list;
    run_settings_list(&list, run);
    caption_begin(out, run->dataset->name, run->options->out, "%s, recipe %s",
                  norm_title(run->network->norm), recipe_option(run->network->recipe));
    out->picture.validation = run->dataset->validation > 0;
    caption_add(out, "version", "%s", PROGRAM_VERSION);
    for (int i = 0; i < list.count; i++)
        caption_add(out, list.settings[i].option, "%s", list.settings[i].value);
}

static enum status draw_pictures(struct error *error, struct report_text *report) {
    const struct run_description *run = report->run;
    const char *folder = run->options->out;
    struct caption caption = {0};
    char curves[PATH_CAPACITY], confusion[PATH_CAPACITY], misclassified[PATH_CAPACITY];
    if (!caption_can_draw(run->options->quiet))
        return STATUS_OK;
    make_caption(&caption, run);
    if (path_join(error, curves, folder, curves_name) != STATUS_OK ||
        path_join(error, confusion, folder, confusion_name) != STATUS_OK ||
        path_join(error, misclassified, folder, misclassified_name) != STATUS_OK ||
        curves_draw(error, curves, &caption.picture, report->epochs, report->epoch_count) !=
            STATUS_OK ||
        confusion_draw(error, confusion, &caption.picture, &report->answers) != STATUS_OK)
        return error->status;
    return misclassified_draw(error, &report->misclassified_pages, misclassified, &caption.picture,
                              &report->answers, run->options->misclassified);
}

/* ---- the report ------------------------------------------------------------------------------ */

static enum status write_text(struct error *error, const struct report_text *report) {
    char path[PATH_CAPACITY], *text = NULL;
    size_t bytes = 0;
    if (path_join(error, path, report->run->options->out, report_name) != STATUS_OK ||
        report_text_make(error, &text, &bytes, report) != STATUS_OK)
        return error->status;
    const struct file_piece piece = {text, bytes};
    enum status status = file_write(error, path, &piece, 1);
    report_text_free(text);
    return status;
}

enum status report_write(struct error *error, const struct run_description *run,
                         const struct run_state *state, const struct score *score,
                         const float *logits) {
    struct report_text report = {.run = run, .state = state, .score = *score};
    struct epoch_metrics *epochs = NULL;
    char metrics[PATH_CAPACITY];
    enum status status = run_folder_metrics_path(error, metrics, run->options->out);
    if (status == STATUS_OK)
        status = metrics_read(error, &epochs, &report.epoch_count, metrics);
    report.epochs = epochs;
    if (status == STATUS_OK)
        status = make_answers(error, &report.answers, run, logits);
    if (status == STATUS_OK)
        status = draw_pictures(error, &report);
    if (status == STATUS_OK)
        status = write_text(error, &report);
    memory_free((void *)report.answers.probabilities);
    memory_free(epochs);
    return status;
}

enum status report_is_there(struct error *error, bool *out, const char *folder) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder, report_name) != STATUS_OK)
        return error->status;
    *out = file_exists(path);
    return STATUS_OK;
}

static enum status remove_file(struct error *error, bool *there, const char *folder,
                               const char *name) {
    char path[PATH_CAPACITY];
    if (path_join(error, path, folder, name) != STATUS_OK)
        return error->status;
    *there = file_exists(path);
    return file_remove(error, path);
}

enum status report_remove(struct error *error, const char *folder) {
    const char *const names[] = {report_name, curves_name, confusion_name, misclassified_name};
    bool there = true;
    for (int page = 2; there; page++) { /* first the later pages, up to the first missing one */
        char name[40];
        snprintf(name, sizeof name, "misclassified-%d.png", page);
        if (remove_file(error, &there, folder, name) != STATUS_OK)
            return error->status;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (remove_file(error, &there, folder, names[i]) != STATUS_OK)
            return error->status;
    return STATUS_OK;
}
