/* report_text.c: the text of report.md: results, pictures, classes, epochs, settings. */
#include "run/report_text.h"

#include "base/text.h"
#include "base/version.h"
#include "run/run_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the parts, each a paragraph or a table -------------------------------------------------- */

/* "test" or "validation": what the figures are measured on. */
static const char *report_word(const struct report_text *report) {
    return evaluated_word(report->run->dataset->validation > 0);
}

static void print_head(FILE *out, const struct report_text *report) {
    const struct run_description *run = report->run;
    char parameters[TEXT_CAPACITY], time[TEXT_CAPACITY], steps[TEXT_CAPACITY];
    fprintf(out,
            "# %s, recipe %s: %.2f %% on %s%s\n\n"
            "%s parameters, trained for %s steps in %s on %s.\n\n",
            norm_title(run->network->norm), recipe_option(run->network->recipe),
            report->score.accuracy, run->dataset->name,
            run->dataset->validation > 0 ? " (validation)" : "",
            text_count(parameters, network_parameters(run->network)),
            text_count(steps, report->state->step), text_duration(time, report->state->elapsed),
            run->device->backend->describe(run->device->device));
}

static void print_result(FILE *out, const char *name, const struct epoch_metrics *epoch) {
    fprintf(out, "| %s | %d | %.2f %% | %.4f | %.2f %% | %.4f |\n", name, epoch->epoch,
            epoch->test.accuracy, epoch->test.loss, epoch->train.accuracy, epoch->train.loss);
}

/* The last epoch and the best one. */
static void print_results(FILE *out, const struct report_text *report) {
    char images[TEXT_CAPACITY];
    const char *word = report_word(report);
    fprintf(out,
            "## Results\n\n"
            "| | epoch | %s accuracy | %s loss | training accuracy | training loss |\n"
            "|---|---:|---:|---:|---:|---:|\n",
            word, word);
    if (report->epoch_count > 0)
        print_result(out, "final", &report->epochs[report->epoch_count - 1]);
    for (int i = 0; i < report->epoch_count; i++)
        if (report->epochs[i].epoch == report->state->best_epoch)
            print_result(out, "best", &report->epochs[i]);
    fprintf(out, "\nThe training figures are measured while the weights change.\n\n");
    if (report->run->dataset->validation > 0)
        fprintf(out,
                "For validation, %s of the training images were held out: they were evaluated and "
                "not trained on. The test set was not used.\n\n",
                text_count(images, report->run->dataset->validation));
}

static void print_pictures(FILE *out, const struct report_text *report) {
    if (report->misclassified_pages == 0)
        return;
    const char *word = report_word(report);
    fprintf(out,
            "![Loss, accuracy and learning rate over the epochs](curves.png)\n\n"
            "## Mistakes\n\n"
            "The network's most confident mistakes:\n\n"
            "![Misclassified %s images](misclassified.png)\n\n",
            word);
    for (int page = 2; page <= report->misclassified_pages; page++)
        fprintf(out, "![Misclassified %s images, page %d](misclassified-%d.png)\n\n", word, page,
                page);
    fprintf(out, "![Confusion matrix](confusion.png)\n\n");
}

/* The class that the images of `row` are most often mistaken for, the first of equal ones; -1:
 * none. */
static int worst_of(const int row[CLASS_COUNT], int class_index) {
    int worst = -1;
    for (int c = 0; c < CLASS_COUNT; c++)
        if (c != class_index && row[c] > (worst < 0 ? 0 : row[worst]))
            worst = c;
    return worst;
}

static void print_class(FILE *out, const struct answers *answers, const int row[CLASS_COUNT],
                        int class_index) {
    int total = 0, worst = worst_of(row, class_index);
    for (int c = 0; c < CLASS_COUNT; c++)
        total += row[c];
    fprintf(out, "| %s | %d | %d |", answers->class_names[class_index], total, row[class_index]);
    if (total > 0)
        fprintf(out, " %.1f %% |", 100.0 * row[class_index] / total);
    else
        fprintf(out, " |");
    if (worst >= 0)
        fprintf(out, " %s (%d) |\n", answers->class_names[worst], row[worst]);
    else
        fprintf(out, " |\n");
}

static void print_classes(FILE *out, const struct report_text *report) {
    int confusion[CLASS_COUNT][CLASS_COUNT];
    answers_confusion(confusion, &report->answers);
    fprintf(out,
            "## Classes\n\n"
            "| class | %s images | correct | accuracy | most often mistaken for |\n"
            "|---|---:|---:|---:|---|\n",
            report_word(report));
    for (int c = 0; c < CLASS_COUNT; c++)
        print_class(out, &report->answers, confusion[c], c);
    fprintf(out, "\n");
}

static void print_epochs(FILE *out, const struct report_text *report) {
    fprintf(out,
            "## Epochs\n\n"
            "| epoch | step | learning rate | training loss | training accuracy | %s loss | "
            "%s accuracy | seconds | images/s |\n"
            "|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
            report_word(report), report_word(report));
    for (int i = 0; i < report->epoch_count; i++) {
        const struct epoch_metrics *epoch = &report->epochs[i];
        fprintf(out, "| %d | %lld | %.4g | %.4f | %.2f %% | %.4f | %.2f %% | %.1f | %.0f |\n",
                epoch->epoch, (long long)epoch->step, text_decimal(epoch->learning_rate),
                epoch->train.loss, epoch->train.accuracy, epoch->test.loss, epoch->test.accuracy,
                epoch->seconds, epoch->images_per_second);
    }
    fprintf(out, "\n");
}

/* Quotes a word for a shell if it needs it. */
static void print_word(FILE *out, const char *word) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "-_./:+=,@%";
    if (word[0] != '\0' && strspn(word, plain) == strlen(word)) {
        fputs(word, out);
        return;
    }
    fputc('\'', out);
    for (; *word != '\0'; word++)
        fputs(*word == '\'' ? "'\\''" : (char[]){*word, '\0'}, out);
    fputc('\'', out);
}

/* The command that trains the same weights again, with every setting. */
static void print_settings(FILE *out, const struct report_text *report) {
    struct run_settings list;
    run_settings_list(&list, report->run);
    fprintf(out, "## Settings\n\n```sh\n./train_gpu train");
    for (int i = 0; i < list.count; i++) {
        const struct run_setting *setting = &list.settings[i];
        bool is_data = strcmp(setting->option, "data") == 0;
        bool other_norm =
            strcmp(setting->option, "groups") == 0 && report->run->network->norm != NORM_GROUP;
        if (other_norm || run_setting_unset(setting, setting->value))
            continue;
        fprintf(out, " \\\n    --%s", setting->option);
        if (setting->flag)
            continue;
        fputc(' ', out);
        print_word(out, is_data ? report->run->options->data : setting->value);
    }
    fprintf(out,
            "\n```\n\n`config.json`, beside this file, has all settings in full.\n\n"
            "Written by %s %s.\n",
            PROGRAM_NAME, PROGRAM_VERSION);
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum status report_text_make(struct error *error, char **out, size_t *bytes,
                             const struct report_text *report) {
    *out = NULL;
    FILE *stream = open_memstream(out, bytes);
    if (stream == NULL)
        return error_set(error, STATUS_FAILED, "out of memory for the report");
    print_head(stream, report);
    print_results(stream, report);
    print_pictures(stream, report);
    print_classes(stream, report);
    print_epochs(stream, report);
    print_settings(stream, report);
    bool failed = ferror(stream) != 0;
    if (fclose(stream) == 0 && !failed)
        return STATUS_OK;
    free(*out);
    *out = NULL;
    return error_set(error, STATUS_FAILED, "out of memory for the report");
}

void report_text_free(char *text) {
    free(text);
}
